"""Figures of prices: what SAM gains at equal epochs and at equal gradients, and what the whole design costs."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from popview.book import style
from popview.book.cells import task_title
from popview.book.colours import colour
from popview.book.figures.trajectories import AROUND, LINE, empty
from popview.book.tables.costs import hours

__all__ = ["hours_figure"]


def hours_figure(rows: pd.DataFrame, width: int) -> Figure:
    """Draw the GPU-hours of one profile and variant of `popview.runs.costs.cost_table`: a panel for each task."""
    if rows.empty:
        return empty(width)
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
        axes.grid(axis="y", visible=False)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
    return figure
