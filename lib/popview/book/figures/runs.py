"""The figure of what has been run."""

import pandas as pd
from matplotlib.figure import Figure

from popview.book import style
from popview.book.names import task_title

#: Kind of runs → what a reader is told.
KINDS = {
    "base": "default settings",
    "trial": "search",
    "tuned": "searched settings",
    "finalist": "search, annealed",
    "annealed": "annealed",
}


def progress(inventory: pd.DataFrame, width: int) -> Figure:
    """Draw the share of planned runs that are done: a panel for each kind, a bar for each task.

    Parameters
    ----------
    inventory : DataFrame
        `popview.runs.status.inventory`, as a table.
    width : int
        In pixels.
    """
    known = {kind: words for kind, words in KINDS.items() if (inventory["variant"] == kind).any()}
    tasks = list(inventory["task"].unique())
    height = 26 * len(tasks) + 46
    figure, panels = style.canvas(width, height, len(known), columns=3, phone_columns=1, sharex=True, sharey=True)
    for axes, (kind, words) in zip(panels, known.items(), strict=True):
        counts = inventory[inventory["variant"] == kind].groupby("task")[["done", "wanted"]].sum().reindex(tasks)
        share = counts["done"] / counts["wanted"]
        axes.barh(tasks, counts["wanted"].notna().astype(float), facecolor="none", edgecolor="#888888", height=0.62)
        axes.barh(tasks, share.fillna(0), color="#0b5d8f", height=0.62)
        for place, row in enumerate(counts.itertuples()):
            if row.wanted > 0:
                axes.text(1.03, place, f"{row.done:,.0f} of {row.wanted:,.0f}", va="center")
        axes.set(title=words, xlim=(0, 1.75), xticks=[])
        axes.set_yticks(range(len(tasks)), [task_title(task) for task in tasks])
        axes.spines["bottom"].set_visible(False)
        axes.grid(visible=False)
    panels[0].invert_yaxis()
    return figure
