"""Figures of trajectories and populations: learning curves, distributions over restarts, effects with intervals."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from popview.book.colours import colour
from popview.book.page import NOT_RUN
from popview.tasks.catalogue import RECORDS

__all__ = [
    "distributions",
    "effects",
    "empty",
    "forest",
    "learning_curves",
    "loss_against_metric",
    "reached",
]

#: Marks of the series of `effects`; the first is filled.
MARKS = ("o", "s", "D")

#: Column → what its axis is called.
LABELS = {
    "epoch": "epoch",
    "gradient_evaluations": "gradient evaluations",
    "train_loss": "training loss",
}


def learning_curves(
    results: Mapping[tuple[str, str], pd.DataFrame],
    algorithms: Sequence[str],
    *,
    y: str,
    across: Sequence[str],
    log: bool = False,
    from_share: float = 0.0,
) -> Figure:
    """Draw the median over restarts, with all restarts behind it (the paper's Figure 4).

    Parameters
    ----------
    results : mapping of (task, variant) to DataFrame
        As `popview.populations.tables.gather` returns it; one line of panels each.
    algorithms : sequence of str
        Those to draw, where a task has them.
    y : {"train_loss", "test_metric"}
        Column to draw.
    across : sequence of str
        Columns for the horizontal axes: "epoch", "gradient_evaluations"; one panel each.
    log : bool
        Whether the vertical axis is logarithmic.
    from_share : float
        Leave out the first checkpoints, up to this share of the epochs.
    """
    if not results:
        return empty()
    size = (5.2 * len(across), 3.4 * len(results) + 0.3)
    figure, grid = plt.subplots(len(results), len(across), figsize=size, sharey="row", squeeze=False)
    for ((task, variant), trajectories), line in zip(results.items(), grid, strict=True):
        late = trajectories[trajectories["epoch"] >= from_share * trajectories["epoch"].max()]
        for axes, x in zip(line, across, strict=True):
            for algorithm in algorithms:
                _curves(axes, late[late["algorithm"] == algorithm], algorithm, x, y)
            axes.set(xlabel=LABELS.get(x, x), title=f"{task}, {variant}", yscale="log" if log else "linear")
        line[0].set(ylabel=LABELS.get(y, f"test {RECORDS[task].metric}"))
    grid[0][0].legend(ncols=2, fontsize=8)
    return figure


def _curves(axes: Axes, rows: pd.DataFrame, algorithm: str, x: str, y: str) -> None:
    """Draw an algorithm's restarts, the fainter the more there are, and their median; SGD's dashed and on top."""
    if rows.empty:
        return
    faint = float(np.clip(4.5 / rows["seed"].nunique(), 0.04, 0.35))
    for _, restart in rows.groupby("seed"):
        axes.plot(restart[x], restart[y], color=colour(algorithm), alpha=faint, linewidth=0.8)
    median = rows.groupby("step")[[x, y]].median()
    line, level = ("--", 3) if algorithm == "SGD" else ("-", 2)
    axes.plot(median[x], median[y], line, color=colour(algorithm), linewidth=2, label=algorithm, zorder=level)


def distributions(values: Mapping[tuple[str, str], pd.DataFrame], label: str) -> Figure:
    """Draw one value per restart for each algorithm: every restart as a point, the quartiles as a box.

    Parameters
    ----------
    values : mapping of (task, variant) to DataFrame
        Rows: restarts; columns: algorithms. One panel each.
    label : str
        Of the horizontal axes.
    """
    if not values:
        return empty()
    columns = min(2, len(values))
    lines = -(-len(values) // columns)
    height = 0.36 * max(frame.shape[1] for frame in values.values()) + 1.2
    figure, grid = plt.subplots(lines, columns, figsize=(7.2 if columns == 1 else 11, height * lines), squeeze=False)
    for axes, (key, frame) in zip(grid.flat, values.items(), strict=False):
        _spread(axes, frame)
        axes.set(xlabel=label, title=", ".join(key))
    for axes in list(grid.flat)[len(values) :]:
        axes.set_visible(False)
    return figure


def _spread(axes: Axes, values: pd.DataFrame) -> None:
    """Draw one panel of `distributions`."""
    jitter = np.random.default_rng(0)
    for place, algorithm in enumerate(values.columns):
        column = values[algorithm].dropna()
        height = place + jitter.uniform(-0.22, 0.22, len(column))
        axes.scatter(column, height, s=9, color=colour(str(algorithm)), alpha=0.55, linewidth=0)
        axes.boxplot(
            column,
            positions=[place],
            orientation="horizontal",
            widths=0.6,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": "none", "edgecolor": "#444444"},
        )
    axes.set_yticks(range(values.shape[1]), list(values.columns))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def loss_against_metric(
    results: Mapping[tuple[str, str], pd.DataFrame], algorithms: Sequence[str], from_share: float
) -> Figure:
    """Draw test metric against training loss: one point per checkpoint of every restart.

    Parameters
    ----------
    results : mapping of (task, variant) to DataFrame
        As `popview.populations.tables.gather` returns it; one line of panels each.
    algorithms : sequence of str
        One panel each, where the task has it.
    from_share : float
        Leave out the first checkpoints, up to this share of the epochs.
    """
    if not results:
        return empty()
    size = (2.7 * len(algorithms), 2.4 * len(results) + 0.3)
    figure, grid = plt.subplots(len(results), len(algorithms), figsize=size, sharex="row", sharey="row", squeeze=False)
    for ((task, variant), trajectories), line in zip(results.items(), grid, strict=True):
        late = trajectories[trajectories["epoch"] >= from_share * trajectories["epoch"].max()]
        for axes, algorithm in zip(line, algorithms, strict=True):
            rows = late[late["algorithm"] == algorithm]
            axes.scatter(rows["train_loss"], rows["test_metric"], s=3, alpha=0.15, color=colour(algorithm), linewidth=0)
            axes.set(title=f"{algorithm}: {task}, {variant}", xscale="log")
            axes.title.set_fontsize(9)
        line[0].set(ylabel=f"test {RECORDS[task].metric}")
    figure.supxlabel("training loss", fontsize=10)
    return figure


def effects(table: pd.DataFrame, *, label: str, zero: bool = True) -> Figure:
    """Draw estimates with their intervals: one panel per task and variant, one line per name, one mark per series.

    An interval that reaches to infinity ends in an arrow at the panel's edge.

    Parameters
    ----------
    table : DataFrame
        ``task, variant, name`` (an algorithm), ``estimate, low, high``; optionally ``margin`` (half width of a band
        around zero, by task) and ``series`` (what a name's marks stand for).
    label : str
        Of the horizontal axis.
    zero : bool
        Whether to draw a line at zero.
    """
    if table.empty:
        return empty()
    panels = [(key, rows) for key, rows in table.groupby(["task", "variant"], sort=False)]
    series = list(table["series"].unique()) if "series" in table else []
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    height = (0.3 + 0.06 * len(series)) * max(rows["name"].nunique() for _, rows in panels) + 1.2
    figure, grid = plt.subplots(lines, columns, figsize=(7.2 if columns == 1 else 11, height * lines), squeeze=False)
    for axes, (key, rows) in zip(grid.flat, panels, strict=False):
        _panel(axes, rows, series)
        margin = f" (equivalence margin ±{rows['margin'].iloc[0]:g})" if "margin" in rows else ""
        axes.set(xlabel=label, title=", ".join(key) + margin)
        if zero:
            axes.axvline(0, color="#444444", linewidth=0.8)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    marks = [
        Line2D([], [], color="#444444", marker=mark, linewidth=0, markersize=5, markerfacecolor=_fill(i), label=name)
        for i, (mark, name) in enumerate(zip(MARKS, series, strict=False))
    ]
    if marks:
        figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=8)
    return figure


def forest(comparison: pd.DataFrame, *, label: str, scale: float = 100.0) -> Figure:
    """Draw the effects of `popview.populations.comparisons.against_reference`, multiplied by `scale` (100: points).

    Two marks each: the difference of means, which the verdicts are about, and the Hodges–Lehmann shift.
    """
    if comparison.empty:
        return empty()
    keys = ["task", "variant", "a", "margin"]
    means = comparison[[*keys, "difference", "difference_low", "difference_high"]]
    shifts = comparison[[*keys, "estimate", "low", "high"]]
    columns = ["task", "variant", "name", "margin", "estimate", "low", "high"]
    parts = {"difference of means": means, "Hodges–Lehmann shift": shifts}
    table = pd.concat([part.set_axis(columns, axis=1).assign(series=name) for name, part in parts.items()])
    table[["estimate", "low", "high", "margin"]] *= scale
    return effects(table, label=label)


def _fill(which: int, shade: str = "#444444") -> str:
    """Return the inner colour of a mark: only those of the first series are filled."""
    return shade if which == 0 else "white"


def _panel(axes: Axes, rows: pd.DataFrame, series: Sequence[str]) -> None:
    """Draw one panel of `effects`."""
    margin = float(rows["margin"].iloc[0]) if "margin" in rows else np.nan
    if np.isfinite(margin):
        axes.axvspan(-margin, margin, color="#999999", alpha=0.18)
    ends = rows[["estimate", "low", "high"]].to_numpy()
    reach = [*ends[np.isfinite(ends)], *([-margin, margin] if np.isfinite(margin) else []), 0.0]
    edge = 0.04 * (max(reach) - min(reach) or 1.0)
    left, right = min(reach) - edge, max(reach) + edge
    names = list(rows["name"].unique())
    for _, row in rows.iterrows():
        which = series.index(row["series"]) if series else 0
        place = names.index(row["name"]) + 0.26 * (which - (len(series) - 1) / 2 if series else 0)
        shade, low, high = colour(row["name"]), max(row["low"], left), min(row["high"], right)
        axes.plot([low, high], [place, place], color=shade, linewidth=2.2, alpha=1 if which == 0 else 0.55)
        fill = _fill(which, shade)
        axes.plot(row["estimate"], place, MARKS[which], color=shade, markersize=5, markerfacecolor=fill)
        for end, at, mark in ((row["low"], left, "<"), (row["high"], right, ">")):
            if np.isinf(end):
                axes.plot(at, place, mark, color=shade, markersize=5)
    axes.set_xlim(left, right)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()


def reached(
    times: Mapping[tuple[str, str], pd.DataFrame], budgets: Mapping[tuple[str, str], float], algorithms: Sequence[str]
) -> Figure:
    """Draw the share of restarts that have come within the margin of the target, by gradient evaluations.

    Parameters
    ----------
    times : mapping of (task, variant) to DataFrame
        As `popview.populations.time_to_target.time_to_target` returns it; one panel each.
    budgets : mapping of (task, variant) to float
        Where each panel ends.
    algorithms : sequence of str
    """
    if not times:
        return empty()
    columns = min(2, len(times))
    lines = -(-len(times) // columns)
    size = (7.2 if columns == 1 else 11, 3.6 * lines)
    figure, grid = plt.subplots(lines, columns, figsize=size, sharey=True, squeeze=False)
    for axes, (key, table) in zip(grid.flat, times.items(), strict=False):
        for algorithm in (name for name in algorithms if name in table):
            ordered = np.sort(table[algorithm].to_numpy())
            known = ordered[np.isfinite(ordered)]
            heights = np.arange(len(known) + 1) / len(ordered)
            across = np.concatenate([[0.0], known, [budgets[key]]])
            axes.step(across, [*heights, heights[-1]], where="post", color=colour(algorithm), label=algorithm)
        axes.set(xlabel="gradient evaluations", title=", ".join(key), ylim=(0, 1), xlim=(0, budgets[key]))
    grid[0][0].set(ylabel="share within the margin of the target")
    grid[0][0].legend(ncols=2, fontsize=8)
    for axes in list(grid.flat)[len(times) :]:
        axes.set_visible(False)
    return figure


def empty() -> Figure:
    """Return a figure that says that there is nothing to draw yet."""
    figure, axes = plt.subplots(figsize=(7.2, 0.8))
    axes.axis("off")
    axes.text(0.5, 0.5, NOT_RUN, ha="center", va="center")
    return figure
