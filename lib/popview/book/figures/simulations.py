"""Figures of what tests can say (`popview.statistics.simulations` and `popview.statistics.power`)."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from popview.book import style
from popview.book.names import task_title
from popview.statistics.simulations import POOLED, RESTART_LEVEL

#: Of tests on pooled checkpoints, or of a difference that is there; of tests on restarts; and of what is neither.
POOLED_SHADE, RESTART_SHADE, NEUTRAL = "#b2182b", "#0b5d8f", "#8d99a6"


def _promise(axes: Axes, percent: float) -> None:
    axes.axhline(percent, color="#333333", linewidth=1.0, linestyle=(0, (6, 3)))


def false_positive_rates(table: pd.DataFrame, tasks: pd.DataFrame, width: int, alpha: float = 0.05) -> Figure:
    """Draw how often each test finds a difference that is not there, against the correlation within a restart.

    Parameters
    ----------
    table : DataFrame
        Of `popview.statistics.simulations.false_positives`, of several correlations.
    tasks : DataFrame
        The same at the correlation of each ``task``, marked on the pooled test's line; and, where ``shared`` is true,
        with runs that share their seeds, as hollow marks.
    width : int
        In pixels.
    alpha : float
        The level that the tests promise.
    """
    figure, (axes,) = style.canvas(width, 320 if width > style.PHONE else 290)
    every = pd.concat([table, tasks[~tasks["shared"]]]).sort_values("icc")
    names = {"Mann–Whitney": "pooled, Mann–Whitney", "t": "pooled, t test"}
    for test, line in zip(POOLED, ("-", "--"), strict=True):
        rows = every[every["test"] == test]
        axes.plot(rows["icc"], 100 * rows["rate"], line, color=POOLED_SHADE, linewidth=2, label=names[POOLED[test]])
    for test in RESTART_LEVEL:
        rows = every[every["test"] == test]
        axes.plot(rows["icc"], 100 * rows["rate"], color=RESTART_SHADE, linewidth=1)
    _promise(axes, 100 * alpha)
    marks = tasks[tasks["test"] == next(iter(POOLED))].sort_values("icc")
    twins = marks[marks["shared"]]
    axes.plot(twins["icc"], 100 * twins["rate"], "o", color=POOLED_SHADE, markerfacecolor="white", markersize=6)
    for row in marks[~marks["shared"]].itertuples():
        axes.plot(row.icc, 100 * row.rate, "o", color=POOLED_SHADE, markersize=7)
        words = f"{task_title(row.task)}, {100 * row.rate:.0f} %"
        place = (28, -4) if row.icc < 0.3 else (-7, 9)  # clear of the axis and of twins
        style.note(axes, words, (row.icc, 100 * row.rate), place, va="baseline")
    wide = width > style.PHONE
    words = f"one value per run keeps the {100 * alpha:g} %" if wide else "one value per run"
    axes.text(1.07 if wide else 1.28, 100 * alpha + 1.2, words, color=RESTART_SHADE, ha="right", va="bottom")
    top = 100 * every["rate"].max() + 6
    axes.set(xlabel="ICC: how alike checkpoints of a run are", ylim=(0, top))
    axes.set(xlim=(-0.02, 1.08 if wide else 1.3), xticks=(0, 0.25, 0.5, 0.75, 1))
    axes.set_ylabel("false differences, % of cases")
    axes.legend(loc="upper left")
    return figure


def similarity(clusters: pd.DataFrame, width: int) -> Figure:
    """Draw the intra-class correlation of each algorithm with its interval, a row per task, and the median as a line.

    Parameters
    ----------
    clusters : DataFrame
        ``task`` beside the columns of `popview.populations.pooled.clustering`.
    width : int
        In pixels.
    """
    if clusters.empty:
        return style.empty(width)
    tasks = list(clusters["task"].unique())
    figure, (axes,) = style.canvas(width, 60 + 46 * len(tasks))
    for place, task in enumerate(tasks):
        rows = clusters[clusters["task"] == task].sort_values("icc")
        heights = place + np.linspace(-0.33, 0.33, len(rows))
        axes.hlines(heights, rows["low"], rows["high"], color=RESTART_SHADE, linewidth=1, alpha=0.5)
        axes.plot(rows["icc"], heights, "o", color=RESTART_SHADE, markersize=4)
        axes.vlines(rows["icc"].median(), place - 0.42, place + 0.42, color=POOLED_SHADE, linewidth=2.5)
    style.lines(axes, [task_title(task) for task in tasks])
    axes.set(xlabel="ICC of the ten checkpoints of lowest loss", xlim=(-0.15, 1.02))
    return figure


def p_value_histograms(
    found: Mapping[str, pd.DataFrame], tests: Sequence[str], width: int, alpha: float = 0.05
) -> Figure:
    """Draw the p-values of each test as a histogram, the share of at most `alpha` in its title.

    Parameters
    ----------
    found : mapping of str to DataFrame
        What a line of panels is → p-values, one column per test, as
        `popview.statistics.simulations.split_p_values` returns them.
    tests : sequence of str
        Columns to draw.
    width : int
        In pixels.
    alpha : float
        Width of a bin as well.
    """
    bins = np.linspace(0, 1, round(1 / alpha) + 1)
    panels = [(label, test) for label in found for test in tests]
    columns = 3 if len(panels) > 2 else len(panels)
    figure, every = style.canvas(width, 165, len(panels), columns=columns, phone_columns=1, sharex=True, sharey=True)
    for axes, (label, test) in zip(every, panels, strict=True):
        values = found[label][test]
        counts = 100 * np.histogram(values, bins)[0] / len(values)
        shades = [POOLED_SHADE if right <= alpha + 1e-9 else NEUTRAL for right in bins[1:]]
        axes.bar(bins[:-1], counts, np.diff(bins), align="edge", color=shades)
        _promise(axes, 100 * alpha)
        axes.set_title(f"{test}\n{label}: {100 * (values <= alpha).mean():.1f} % at most {alpha:g}")
        axes.set_xlabel("p-value")
    for axes in every[::columns] if width > style.PHONE else every:
        axes.set_ylabel("% of cases")
    return figure


def power_curves(table: pd.DataFrame, width: int) -> Figure:
    """Draw `popview.statistics.power.power`: a panel per Holm family, a line per number of restarts, simulated
    marks."""
    families = list(table["family"].unique())
    figure, panels = style.canvas(width, 270, len(families), columns=2, phone_columns=1, sharey=True)
    sizes = list(table["restarts"].unique())
    shades = dict(zip(sizes, sns.color_palette("viridis_r", len(sizes) + 2).as_hex()[2:], strict=True))
    for axes, family in zip(panels, families, strict=True):
        for size in sizes:
            rows = table[(table["family"] == family) & (table["restarts"] == size)]
            axes.plot(rows["effect"], 100 * rows["power"], color=shades[size], label=f"{size} runs each")
            marks = rows[rows["permutation"].notna()]
            axes.plot(marks["effect"], 100 * marks["permutation"], "o", color=shades[size], markersize=4)
        _promise(axes, 80)
        named = "one comparison" if family == 1 else f"first of {family} (Holm)"
        axes.set(title=named, xlabel="true difference, standard deviations", ylim=(0, 102), ylabel="power, %")
    panels[0].legend(loc="lower right")
    return figure


def construction(tables: Mapping[str, pd.DataFrame], width: int) -> Figure:
    """Draw `popview.statistics.simulations.decided_by_construction`, one line per label."""
    figure, (axes,) = style.canvas(width, 290)
    for shade, mark, (label, rows) in zip((POOLED_SHADE, RESTART_SHADE), "os", tables.items(), strict=False):
        axes.plot(rows["correlation"], 100 * rows["rate"], f"{mark}-", color=shade, label=label, markersize=4)
        axes.fill_between(rows["correlation"], 100 * rows["low"], 100 * rows["high"], color=shade, alpha=0.2)
    _promise(axes, 5)
    axes.set(xlabel="correlation of lower loss and score", ylabel="SetA ≠ SetB, % of cases")
    figure.legend(loc="outside upper left")
    return figure


def missed_differences(table: pd.DataFrame, effect: float, width: int) -> Figure:
    """Draw `popview.statistics.power.silence`: what a reader of "p > 0.05" sees, and what a test of equivalence
    says."""
    names = {"not_rejected": "test says p > 0.05", "equivalent": "equivalence is shown"}
    figure, panels = style.canvas(width, 230, 2, columns=2, phone_columns=1, sharey=True)
    series = ((0.0, "no difference", NEUTRAL), (effect, f"a difference of {effect:g} SD", POOLED_SHADE))
    for axes, (column, label) in zip(panels, names.items(), strict=True):
        for place, (difference, words, shade) in enumerate(series):
            rows = table[table["difference"] == difference]
            x = np.arange(len(rows)) + (place - 0.5) * 0.4
            bars = axes.bar(x, 100 * rows[column], 0.38, color=shade, label=words)
            axes.bar_label(bars, fmt="%.0f", padding=1)
        sizes = table["restarts"].unique()
        axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
        axes.set(title=label, xlabel="runs of each optimizer", ylim=(0, 112), ylabel="% of cases")
        axes.grid(axis="x", visible=False)
    handles: list[plt.Artist]
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2 if width > style.PHONE else 1)
    return figure
