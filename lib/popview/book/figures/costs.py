"""Chapter 9's figure of what the whole design costs."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from popview.book.colours import colour
from popview.book.tables.costs import hours

__all__ = ["hours_figure"]


def hours_figure(rows: pd.DataFrame) -> Figure:
    """Draw the GPU-hours of one profile and variant of `popview.runs.costs.cost_table`: a panel for each task."""
    tasks = list(rows["task"].unique())
    names = list(rows["algorithm"].unique())
    size = (2.9 * len(tasks) + 1.2, 0.28 * len(names) + 1.1)
    figure, grid = plt.subplots(1, len(tasks), figsize=size, sharex=True, sharey=True, squeeze=False)
    for axes, task in zip(grid[0], tasks, strict=True):
        members = rows[rows["task"] == task].set_index("algorithm")["gpu_hours"].reindex(names)
        axes.barh(range(len(names)), members.fillna(0), color=[colour(name) for name in names], height=0.7)
        for place, value in enumerate(members):
            words = " not in the profile" if np.isnan(value) else f" {hours(value)}"
            axes.text(0 if np.isnan(value) else value, place, words, va="center", fontsize=7.5, color="#444444")
        axes.set(title=task, xlabel="GPU-hours", xlim=(0, 1.25 * rows["gpu_hours"].max()))
        axes.grid(axis="y", visible=False)
    grid[0][0].set_yticks(range(len(names)), names)
    grid[0][0].invert_yaxis()
    return figure
