"""Figures of comparisons with SGD: all algorithms on all tasks, and how far each moves a run from SGD's."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from popview.book import style
from popview.book.colours import colour
from popview.book.figures.trajectories import AROUND, LINE, log_axis
from popview.book.names import short_names, task_title
from popview.book.page import points

#: Variant → mark, whether it is filled, and what the figure calls it.
VARIANTS: dict[str, tuple[str, bool, str]] = {
    "base": ("o", False, "default settings"),
    "tuned": ("o", True, "searched settings"),
    "annealed": ("D", True, "annealed"),
}

#: From which difference on, in points, a mark stands at the panel's edge.
EDGE = 5.0


def forest(comparison: pd.DataFrame, width: int, unfinished: Collection[tuple[str, str, str]] = ()) -> Figure:
    """Draw every algorithm's difference to SGD in points: a panel per task, a line per algorithm, a mark per variant.

    All panels have one scale. What lies beyond it stands at the edge as an arrow, with its number.

    Parameters
    ----------
    comparison : DataFrame
        ``task, variant, a, difference, difference_low, difference_high, margin``, as
        `popview.populations.comparisons.against_reference` gives them; in the order in which lines are drawn.
    width : int
        In pixels.
    unfinished : collection of (task, variant, algorithm)
        Those that had not finished learning: their numbers get a star.
    """
    if comparison.empty:
        return style.empty(width)
    names, tasks = list(comparison["a"].unique()), list(comparison["task"].unique())
    narrow = width <= style.PHONE
    height = (25 if narrow else 30) * len(names) + AROUND
    figure, panels = style.canvas(width, height, len(tasks), columns=4)
    for place, (axes, task) in enumerate(zip(panels, tasks, strict=True)):
        rows = comparison[comparison["task"] == task]
        margin = 100 * float(rows["margin"].iloc[0])
        axes.axvspan(-margin, margin, **style.MARGIN)
        axes.axvline(0, color="#444444", linewidth=0.8)
        both = rows.groupby("a")["variant"].nunique() > 1
        for row in rows.itertuples():  # default settings above, searched ones below
            at = names.index(row.a) + (-0.23 if row.variant == "base" else 0.23) * both[row.a]
            _mark(axes, row, at, (task, row.variant, row.a) in unfinished)
        axes.set(title=task_title(task), xlim=(-EDGE, EDGE), ylim=(len(names) - 0.4, -0.6))
        axes.set_xticks([-4, -2, 0, 2, 4], ["−4", "−2", "0", "+2", "+4"])
        axes.set_yticks(range(len(names)), short_names(names) if narrow or not place else [""] * len(names))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
    figure.supxlabel("points of test score above SGD (right: better)", fontsize=8.5)
    there = [VARIANTS[name] for name in VARIANTS if name in set(comparison["variant"])]
    marks: list[Any] = [style.mark(name, "#444444", marker, filled) for marker, filled, name in there]
    marks.append(Patch(**style.MARGIN, label="the margin"))
    figure.legend(handles=marks, loc="outside upper right", ncols=2 if narrow else len(marks), borderaxespad=0)
    return figure


def _mark(axes: Axes, row: Any, at: float, star: bool) -> None:
    """Draw one comparison of `forest`: its interval and mark, or an arrow and its number at the edge."""
    shade = colour(row.a)
    mark, filled, _ = VARIANTS[row.variant]
    value, low, high = (100 * end for end in (row.difference, row.difference_low, row.difference_high))
    if abs(value) < EDGE:
        axes.plot(np.clip([low, high], -EDGE, EDGE), [at, at], color=shade, linewidth=1.8)
        axes.plot(value, at, mark, color=shade, markersize=5, markerfacecolor=shade if filled else "white")
        if star:
            axes.text(value, at - 0.1, "*", ha="center", va="bottom", color="#222222")
        return
    side = np.sign(value)
    arrow = "<" if side < 0 else ">"
    axes.plot(side * 0.94 * EDGE, at, arrow, color=shade, markerfacecolor=shade if filled else "white")
    words = points(value) + ("*" if star else "")
    axes.text(side * 0.84 * EDGE, at, words, ha="left" if side < 0 else "right", va="center", color="#222222")


def distances_from_sgd(table: pd.DataFrame, width: int) -> Figure:
    """Draw `popview.populations.comparisons.seed_distances`: by task, algorithm and variant.

    Parameters
    ----------
    table : DataFrame
        ``task, variant, a, distance``; in the order in which lines are drawn.
    width : int
        In pixels.
    """
    if table.empty:
        return style.empty(width)
    names, tasks = list(table["a"].unique()), list(table["task"].unique())
    figure, panels = style.canvas(width, LINE * len(names) + AROUND, len(tasks), columns=4, phone_columns=2)
    left_most = 4 if width > style.PHONE else 2
    for place, (axes, task) in enumerate(zip(panels, tasks, strict=True)):
        rows = table[table["task"] == task]
        for row in rows.itertuples():
            mark, filled, _ = VARIANTS[row.variant]
            shade = colour(row.a)
            at = min(max(row.distance, 0.05), 5.0)
            axes.plot(at, names.index(row.a), mark, color=shade, markerfacecolor=shade if filled else "white")
        log_axis(axes, "x")
        axes.axvline(1, color="#444444", linewidth=0.8)
        axes.set(title=task_title(task), xlim=(0.04, 6.5), ylim=(len(names) - 0.5, -0.5))
        axes.set_xticks([0.1, 1.0], ["0.1", "1"])
        axes.set_xlabel("distance")
        axes.set_yticks(range(len(names)), [""] * len(names) if place % left_most else names)
        axes.tick_params(axis="y", length=0)
    return figure


def search_curves(searches: Mapping[str, pd.DataFrame], along: str, width: int) -> Figure:
    """Draw what searches saw, a panel per task, a line per algorithm.

    Parameters
    ----------
    searches : mapping of str to DataFrame
        Task → `popview.populations.searched.sensitivity` along a hyperparameter, or `best_of_budget`.
    along : str
        The column to the right: "lr", "rho" or "trials".
    width : int
        In pixels.
    """
    there = {task: rows for task, rows in searches.items() if len(rows)}
    if not there:
        return style.empty(width)
    figure, panels = style.canvas(width, 200, len(there), columns=4, phone_columns=2)
    value, words = {
        "lr": ("best", "learning rate"),
        "rho": ("best", "ρ"),
        "trials": ("validation_metric", "trials"),
    }[along]
    for axes, (task, rows) in zip(panels, there.items(), strict=True):
        first = rows[rows["rung"] == "cell"] if "rung" in rows else rows
        for algorithm, own in first.groupby("algorithm", sort=False):
            mark = "o-" if along != "trials" else "-"
            axes.plot(own[along], 100 * own[value], mark, color=colour(str(algorithm)), label=algorithm)
        if along != "trials":
            axes.set_xscale("log")
        axes.set(xlabel=words, title=task_title(task))
    panels[0].set_ylabel("validation score, %")
    figure.legend(*_every_label(panels), loc="outside lower center", ncols=3 if width <= style.PHONE else 5)
    return figure


def _every_label(panels: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    """Return what a legend of all panels shows, each name once."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return [*found.values()], [*found]
