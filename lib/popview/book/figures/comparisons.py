"""Figures of comparisons with SGD: all algorithms on all tasks, and how far each moves a run from SGD's."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from popview.book import style
from popview.book.cells import task_title
from popview.book.colours import colour
from popview.book.figures.trajectories import AROUND, empty, points

__all__ = ["forest"]

#: Variant → mark, whether it is filled, and what the figure calls it.
VARIANTS: dict[str, tuple[str, bool, str]] = {
    "base": ("o", False, "default settings"),
    "tuned": ("o", True, "searched settings"),
    "annealed": ("D", True, "annealed"),
}

#: From which difference on, in points, a mark stands at the panel's edge.
EDGE = 5.0


def forest(comparison: pd.DataFrame, width: int, unfinished: set[tuple[str, str, str]] = frozenset()) -> Figure:
    """Draw every algorithm's difference to SGD in points: a panel per task, a line per algorithm, a mark per variant.

    All panels have one scale. What lies beyond it stands at the edge as an arrow, with its number.

    Parameters
    ----------
    comparison : DataFrame
        ``task, variant, a, difference, difference_low, difference_high, margin``, as
        `popview.populations.comparisons.against_reference` gives them; in the order in which lines are drawn.
    width : int
        In pixels.
    unfinished : set of (task, variant, algorithm)
        Those that had not finished learning: their numbers get a star.
    """
    if comparison.empty:
        return empty(width)
    names, tasks = list(comparison["a"].unique()), list(comparison["task"].unique())
    narrow = width <= style.PHONE
    height = (26 if narrow else 29) * len(names) + AROUND
    figure, panels = style.canvas(width, height, len(tasks), columns=4)
    for place, (axes, task) in enumerate(zip(panels, tasks, strict=True)):
        rows = comparison[comparison["task"] == task]
        margin = 100 * float(rows["margin"].iloc[0])
        axes.axvspan(-margin, margin, color="#999999", alpha=0.22, linewidth=0)
        axes.axvline(0, color="#444444", linewidth=0.8)
        shown = list(rows["variant"].unique())
        for row in rows.itertuples():
            at = names.index(row.a) + (0.0 if len(shown) < 2 else 0.4 * (shown.index(row.variant) - 0.5))
            _mark(axes, row, at, (task, row.variant, row.a) in unfinished)
        axes.set(title=task_title(task), xlim=(-EDGE, EDGE), ylim=(len(names) - 0.4, -0.6))
        axes.set_xticks([-4, -2, 0, 2, 4], ["−4", "−2", "0", "+2", "+4"])
        axes.set_yticks(range(len(names)), names if narrow or not place else [""] * len(names))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
    figure.supxlabel("points of test score above SGD", fontsize=8.5)
    there = [VARIANTS[name] for name in VARIANTS if name in set(comparison["variant"])]
    marks = [
        Line2D(
            [],
            [],
            color="#444444",
            marker=mark,
            linewidth=0,
            markerfacecolor="#444444" if fill else "white",
            label=name,
        )
        for mark, fill, name in there
    ]
    figure.legend(handles=marks, loc="outside upper right", ncols=len(marks), borderaxespad=0)
    return figure


def _mark(axes: Axes, row: Any, at: float, star: bool) -> None:
    """Draw one comparison of `forest`: its interval and mark, or an arrow and its number at the edge."""
    shade = colour(row.a)
    mark, filled, _ = VARIANTS[row.variant]
    value, low, high = (100 * end for end in (row.difference, row.difference_low, row.difference_high))
    if abs(value) < EDGE:
        axes.plot(np.clip([low, high], -EDGE, EDGE), [at, at], color=shade, linewidth=1.8)
        axes.plot(value, at, mark, color=shade, markersize=5, markerfacecolor=shade if filled else "white")
        return
    side = np.sign(value)
    arrow = "<" if side < 0 else ">"
    axes.plot(side * 0.94 * EDGE, at, arrow, color=shade, markerfacecolor=shade if filled else "white")
    words = points(value) + ("*" if star else "")
    axes.text(side * 0.84 * EDGE, at, words, ha="left" if side < 0 else "right", va="center", color="#222222")
