"""Figures of trajectories and populations: learning curves, distributions over restarts, effects with intervals."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from popview.report.style import colour

__all__ = ["distributions", "effects", "learning_curves", "loss_against_metric"]

#: Column → what its axis is called.
LABELS = {
    "epoch": "epoch",
    "gradient_evaluations": "gradient evaluations",
    "train_loss": "training loss",
    "test_loss": "test loss",
    "test_metric": "test accuracy",
    "validation_metric": "validation accuracy",
}


def learning_curves(
    trajectories: pd.DataFrame, algorithms: Sequence[str], *, y: str, across: Sequence[str], log: bool = False
) -> Figure:
    """Draw the median over restarts, with all restarts behind it: one panel per horizontal axis (the paper's Figure 4).

    Parameters
    ----------
    trajectories : DataFrame
        As `popview.populations.load` returns it.
    algorithms : sequence of str
    y : str
        Column to draw.
    across : sequence of str
        Columns for the horizontal axes: "epoch", "gradient_evaluations".
    log : bool
        Whether the vertical axis is logarithmic.
    """
    figure, grid = plt.subplots(1, len(across), figsize=(5.2 * len(across), 4), sharey=True, squeeze=False)
    for axes, x in zip(grid[0], across, strict=True):
        for algorithm in algorithms:
            rows = trajectories[trajectories["algorithm"] == algorithm]
            restarts = [restart for _, restart in rows.groupby("seed")]
            for restart in restarts:
                axes.plot(restart[x], restart[y], color=colour(algorithm), alpha=0.045, linewidth=0.8)
            median = rows.groupby("step")[[x, y]].median()
            axes.plot(median[x], median[y], color=colour(algorithm), linewidth=2, label=algorithm)
        axes.set(xlabel=LABELS.get(x, x), ylabel=LABELS.get(y, y) if axes is grid[0][0] else "")
        if log:
            axes.set_yscale("log")
    grid[0][0].legend(ncols=2, fontsize=8)
    return figure


def distributions(values: pd.DataFrame, label: str) -> Figure:
    """Draw one value per restart for each algorithm: every restart as a point, the quartiles as a box.

    Parameters
    ----------
    values : DataFrame
        Rows: restarts; columns: algorithms.
    label : str
        Of the horizontal axis.
    """
    figure, axes = plt.subplots(figsize=(7.2, 0.42 * values.shape[1] + 1.2))
    jitter = np.random.default_rng(0)
    for place, algorithm in enumerate(values.columns):
        column = values[algorithm].dropna()
        height = place + jitter.uniform(-0.22, 0.22, len(column))
        axes.scatter(column, height, s=9, color=colour(str(algorithm)), alpha=0.55, linewidth=0)
        box = {"facecolor": "none", "edgecolor": "#444444"}
        axes.boxplot(
            column,
            positions=[place],
            orientation="horizontal",
            widths=0.6,
            showfliers=False,
            patch_artist=True,
            boxprops=box,
        )
    axes.set_yticks(range(values.shape[1]), list(values.columns))
    axes.invert_yaxis()
    axes.set(xlabel=label)
    axes.grid(axis="y", visible=False)
    return figure


def loss_against_metric(trajectories: pd.DataFrame, algorithms: Sequence[str], from_epoch: float) -> Figure:
    """Draw test metric against training loss: one point per checkpoint from an epoch on, one panel per algorithm."""
    columns = min(4, len(algorithms))
    lines = -(-len(algorithms) // columns)
    figure, grid = plt.subplots(
        lines, columns, figsize=(2.7 * columns, 2.4 * lines), sharex=True, sharey=True, squeeze=False
    )
    late = trajectories[trajectories["epoch"] >= from_epoch]
    for axes, algorithm in zip(grid.flat, algorithms, strict=False):
        rows = late[late["algorithm"] == algorithm]
        axes.scatter(rows["train_loss"], rows["test_metric"], s=3, alpha=0.15, color=colour(algorithm), linewidth=0)
        axes.set(title=algorithm, xscale="log")
    for axes in list(grid.flat)[len(algorithms) :]:
        axes.set_visible(False)
    figure.supxlabel("training loss", fontsize=10)
    figure.supylabel("test accuracy", fontsize=10)
    return figure


def effects(table: pd.DataFrame, *, label: str, margin: float | None = None) -> Figure:
    """Draw effects with their intervals, one line per comparison, and the band of equivalence.

    Parameters
    ----------
    table : DataFrame
        Index: names of the comparisons; columns ``estimate, low, high``.
    label : str
        Of the horizontal axis.
    margin : float, optional
        Half width of the band around zero.
    """
    figure, axes = plt.subplots(figsize=(7.2, 0.4 * len(table) + 1.2))
    if margin is not None:
        axes.axvspan(-margin, margin, color="#999999", alpha=0.18, label=f"equivalence margin ±{margin:g}")
        axes.legend(loc="lower right", fontsize=8)
    axes.axvline(0, color="#444444", linewidth=0.8)
    for place, (name, row) in enumerate(table.iterrows()):
        shade = colour(str(name).split(" ")[0])
        axes.plot([row["low"], row["high"]], [place, place], color=shade, linewidth=2.4)
        axes.plot(row["estimate"], place, "o", color=shade)
    axes.set_yticks(range(len(table)), list(table.index))
    axes.invert_yaxis()
    axes.set(xlabel=label)
    return figure
