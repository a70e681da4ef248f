"""The figure of the errata page: printed p-values beside those that Table 4 implies."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

__all__ = ["implied_p_values"]


def implied_p_values(panels: dict[str, pd.DataFrame], alpha: float = 0.05) -> Figure:
    """Draw printed p-values beside those that Table 4 implies: one line per cell, sorted by how far they lie apart.

    Parameters
    ----------
    panels : dict of str to DataFrame
        Title → columns ``cell, printed, implied, restarts``.
    alpha : float
        Where to draw the level.
    """
    lines = max(len(table) for table in panels.values())
    size = (5.2 * len(panels), 0.24 * lines + 1.3)
    figure, grid = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for axes, (title, table) in zip(grid[0], panels.items(), strict=True):
        rows = table.assign(ratio=table["printed"] / table["implied"]).sort_values("ratio")
        y = range(len(rows))
        axes.hlines(y, rows["implied"], rows["printed"], color="#bbbbbb", linewidth=1)
        axes.plot(rows["printed"], y, "o", color="#222222", markersize=4.5, label="printed")
        axes.plot(rows["implied"], y, "D", color="#b2182b", markersize=4, label="implied, 50 models a set")
        axes.plot(rows["restarts"], y, "D", color="#f4a582", markersize=4, label="implied, 5 restarts")
        axes.axvline(alpha, color="#333333", linestyle="--", linewidth=1)
        axes.set_yticks(list(y), list(rows["cell"]), fontsize=7.5)
        axes.set(xscale="log", xlabel="p-value", title=title)
        axes.legend(fontsize=7.5, loc="lower left")
    return figure
