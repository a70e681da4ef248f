"""Chapter 8's figures of what the tests can say (`popview.statistics.simulations` and `popview.statistics.power`)."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from popview.statistics.simulations import POOLED, RESTART_LEVEL

__all__ = ["construction", "false_positive_bars", "p_value_histograms", "power_curves", "silence_bars"]

#: The pooled tests are warm, those on restarts cool.
_SHADES = {
    name: shade
    for names, palette in ((POOLED, "YlOrRd"), (RESTART_LEVEL, "PuBu"))
    for name, shade in zip(names, sns.color_palette(palette, len(names) + 3).as_hex()[2:-1], strict=True)
}


def _line(axes: plt.Axes, percent: float, label: str | None = None) -> None:
    axes.axhline(percent, color="#333333", linewidth=1.0, linestyle="--", label=label)


def false_positive_bars(table: pd.DataFrame, alpha: float = 0.05) -> Figure:
    """Draw `popview.statistics.simulations.false_positives` as bars, grouped by intra-class correlation, with their
    intervals."""
    figure, axes = plt.subplots(figsize=(7.6, 3.6))
    tests = list(table["test"].unique())
    groups = list(table["icc"].unique())
    for place, test in enumerate(tests):
        rows = table[table["test"] == test]
        x = np.arange(len(groups)) + (place - (len(tests) - 1) / 2) * 0.16
        axes.bar(x, 100 * rows["rate"], 0.15, color=_SHADES[test], label=test)
        axes.vlines(x, 100 * rows["low"], 100 * rows["high"], color="#333333", linewidth=1)
    _line(axes, 100 * alpha, f"what was promised: {100 * alpha:g} %")
    axes.set_xticks(range(len(groups)), [f"{icc:g}" for icc in groups])
    axes.set(xlabel="intra-class correlation of the checkpoints of a restart", ylabel="false positives, %")
    axes.grid(axis="x", visible=False)
    axes.legend(fontsize=8, loc="upper left")
    return figure


def p_value_histograms(found: Mapping[str, pd.DataFrame], tests: Sequence[str], alpha: float = 0.05) -> Figure:
    """Draw the p-values of each test as a histogram, the share of at most `alpha` in its title.

    Parameters
    ----------
    found : mapping of str to DataFrame
        Label of a line of panels → p-values, one column per test, as
        `popview.statistics.simulations.split_p_values` returns them.
    tests : sequence of str
        Columns to draw.
    alpha : float
        Width of a bin as well.
    """
    bins = np.linspace(0, 1, round(1 / alpha) + 1)
    size = (2.3 * len(tests), 2.1 * len(found))
    figure, grid = plt.subplots(len(found), len(tests), figsize=size, sharex=True, sharey="row", squeeze=False)
    for line, (label, table) in zip(grid, found.items(), strict=True):
        for axes, test in zip(line, tests, strict=True):
            counts = 100 * np.histogram(table[test], bins)[0] / len(table)
            shades = ["#b2182b" if right <= alpha + 1e-9 else "#9aa5b1" for right in bins[1:]]
            axes.bar(bins[:-1], counts, np.diff(bins), align="edge", color=shades)
            _line(axes, 100 * alpha)
            axes.set_title(f"{test}\n{100 * (table[test] <= alpha).mean():.1f} % at most {alpha:g}", fontsize=8.5)
        line[0].set_ylabel(f"{label}\n% of cases")
    for axes in grid[-1]:
        axes.set_xlabel("p-value")
    return figure


def power_curves(table: pd.DataFrame) -> Figure:
    """Draw `popview.statistics.power.power`: one panel per Holm family, one line per number of restarts, simulated
    marks."""
    families = list(table["family"].unique())
    figure, grid = plt.subplots(1, len(families), figsize=(4.4 * len(families), 3.6), sharey=True, squeeze=False)
    sizes = list(table["restarts"].unique())
    shades = dict(zip(sizes, sns.color_palette("viridis_r", len(sizes) + 1).as_hex()[1:], strict=True))
    for axes, family in zip(grid[0], families, strict=True):
        for size in sizes:
            rows = table[(table["family"] == family) & (table["restarts"] == size)]
            axes.plot(rows["effect"], 100 * rows["power"], color=shades[size], label=f"{size} restarts each")
            marks = rows[rows["permutation"].notna()]
            axes.plot(marks["effect"], 100 * marks["permutation"], "o", color=shades[size], markersize=4)
        _line(axes, 80)
        named = "one comparison" if family == 1 else f"first of {family} (Holm)"
        axes.set(title=named, xlabel="true difference, standard deviations", ylim=(0, 102))
    grid[0][0].set_ylabel("power, %")
    grid[0][0].legend(fontsize=8)
    return figure


def construction(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw `popview.statistics.simulations.decided_by_construction`, one line per label."""
    figure, axes = plt.subplots(figsize=(6.4, 3.4))
    for shade, (label, rows) in zip(sns.color_palette("colorblind"), tables.items(), strict=False):
        axes.plot(rows["correlation"], 100 * rows["rate"], "o-", color=shade, label=label, markersize=4)
        axes.fill_between(rows["correlation"], 100 * rows["low"], 100 * rows["high"], color=shade, alpha=0.2)
    _line(axes, 5)
    axes.set(xlabel="correlation of −loss and score along a trajectory", ylabel="SetA ≠ SetB, % of cases")
    axes.legend(fontsize=8, loc="lower left")
    return figure


def silence_bars(table: pd.DataFrame, effect: float) -> Figure:
    """Draw `popview.statistics.power.silence`: what a reader of "p > 0.05" sees, and what a test of equivalence
    says."""
    figure, grid = plt.subplots(1, 2, figsize=(8.4, 3.2), sharey=True)
    names = {"not_rejected": "p > 0.05", "equivalent": "equivalence shown"}
    for axes, (column, label) in zip(grid, names.items(), strict=True):
        for place, (difference, word, shade) in enumerate(
            ((0.0, "no difference", "#9aa5b1"), (effect, f"a true difference of {effect:g} SD", "#b2182b"))
        ):
            rows = table[table["difference"] == difference]
            x = np.arange(len(rows)) + (place - 0.5) * 0.36
            axes.bar(x, 100 * rows[column], 0.34, color=shade, label=word)
            axes.vlines(x, 100 * rows[f"{column}_low"], 100 * rows[f"{column}_high"], color="#333333", linewidth=1)
        axes.set_xticks(range(len(rows)), [str(size) for size in rows["restarts"]])
        axes.set(title=label, xlabel="restarts of each optimizer")
        axes.grid(axis="x", visible=False)
    grid[0].set_ylabel("% of cases")
    grid[1].legend(fontsize=8, loc="upper left")
    return figure
