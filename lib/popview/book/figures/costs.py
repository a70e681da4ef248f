"""Figures of prices: what SAM gains at equal epochs and at equal gradients, and what the whole design costs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from popview.book import style
from popview.book.colours import colour
from popview.book.figures.trajectories import AROUND, LINE
from popview.book.names import task_title
from popview.book.page import points
from popview.book.tables.costs import hours

#: Lowest and highest difference drawn, in points: beyond it stands an arrow with its number.
LOWEST, HIGHEST = -14.0, 5.0


def hours_figure(rows: pd.DataFrame, width: int) -> Figure:
    """Draw the GPU-hours of one profile and variant of `popview.runs.costs.cost_table`: a panel for each task."""
    if rows.empty:
        return style.empty(width)
    tasks = list(rows["task"].unique())
    names = list(rows["algorithm"].unique())
    figure, panels = style.canvas(width, LINE * len(names) + AROUND, len(tasks), columns=2, sharex=True)
    for axes, task in zip(panels, tasks, strict=True):
        members = rows[rows["task"] == task].set_index("algorithm")["gpu_hours"].reindex(names)
        axes.barh(range(len(names)), members.fillna(0), color=[colour(name) for name in names], height=0.7)
        for place, value in enumerate(members):
            words = " not in the profile" if np.isnan(value) else f" {hours(value)}"
            axes.text(0 if np.isnan(value) else value, place, words, va="center", color="#444444")
        axes.set(title=task_title(task), xlabel="GPU-hours", xlim=(0, 1.25 * rows["gpu_hours"].max()))
        style.lines(axes, names)
    return figure


def budgets(metric: pd.DataFrame, width: int) -> Figure:
    """Draw one algorithm's difference to SGD at equal epochs and at equal gradients: a panel per task.

    Parameters
    ----------
    metric : DataFrame
        Rows of one algorithm of `popview.populations.equal_budget.equal_budgets`, of tasks and variants.
    width : int
        In pixels.
    """
    if metric.empty:
        return style.empty(width)
    tasks = list(metric["task"].unique())
    figure, panels = style.canvas(width, 250, len(tasks), columns=4, phone_columns=2, sharey=True)
    for axes, task in zip(panels, tasks, strict=True):
        rows = metric[metric["task"] == task]
        margin = 100 * float(rows["margin"].iloc[0])
        axes.axhspan(-margin, margin, **style.MARGIN)
        axes.axhline(0, color="#444444", linewidth=0.8)
        for place, (variant, own) in enumerate(rows.groupby("variant", sort=False)):
            _slope(axes, own, 0.16 * (2 * place - 1), variant == "base")
        axes.set(title=task_title(task), xlim=(-0.5, 1.5), ylim=(LOWEST, HIGHEST))
        axes.set_xticks([0, 1], ["epochs", "gradients"])
        axes.set_yticks([-10, -5, 0, 5], ["−10", "−5", "0", "+5"])
        axes.grid(axis="x", visible=False)
    figure.supylabel("points above SGD", fontsize=8.5)
    figure.supxlabel("for the same number of …", fontsize=8.5)
    shade = colour(str(metric["algorithm"].iloc[0]))
    names = {"default settings": False, "searched settings": True}
    marks = [style.mark(name, shade, filled=filled, linewidth=1.4) for name, filled in names.items()]
    figure.legend(handles=marks[: metric["variant"].nunique()], loc="outside upper right", ncols=2, borderaxespad=0)
    return figure


def _slope(axes: Axes, rows: pd.DataFrame, aside: float, hollow: bool) -> None:
    """Draw one variant in a panel of `budgets`."""
    shade = colour(str(rows["algorithm"].iloc[0]))
    ordered = rows.sort_values("budget")  # epochs before gradients
    places = [0 + aside, 1 + aside]
    values, low, high = (100 * ordered[f"difference{end}"].to_numpy() for end in ("", "_low", "_high"))
    shown = values.clip(LOWEST + 0.6, HIGHEST - 0.6)
    axes.plot(places, shown, color=shade, alpha=0.6)
    for place, value, height, lower, upper in zip(places, values, shown, low, high, strict=True):
        inside = value == height
        if inside:
            axes.plot([place, place], np.clip([lower, upper], LOWEST, HIGHEST), color=shade, linewidth=1.8)
        else:
            axes.text(place, LOWEST + (1.3 if aside < 0 else 2.9), points(value), ha="center", color="#222222")
        axes.plot(place, height, "o" if inside else "v", color=shade, markerfacecolor="white" if hollow else shade)
