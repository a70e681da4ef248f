"""Figures of the page on the printed paper: statements against numbers, and p-values that Table 4 implies."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from popview.book import style
from popview.book.page import written

#: What agrees, and what does not.
CALM, ODD = "#777777", "#b2182b"


def contradictions(low: pd.DataFrame, sets: pd.DataFrame, pairs: pd.DataFrame, width: int) -> Figure:
    """Draw printed numbers beside what the text says of them, red where they disagree, in three panels.

    Parameters
    ----------
    low
        ``cell, p_value`` of tests that the text calls not significant.
    sets
        ``cell, gap``: SetB's printed centre less SetA's, in points.
    pairs
        ``algorithm, first, second, adjusted``: shares of mirror images in percent, and Holm's p that they are equal.
    width
        In pixels.
    """
    figure, (left, middle, right) = style.canvas(width, 265, 3, columns=3)
    _sorted(left, low, "p_value", low["p_value"] < 0.05, ".3f")
    left.axvline(0.05, color="#333333", linewidth=1, linestyle="--")
    left.set(title="“All p-values are\nhigher than 0.05”", xscale="log", xlabel="p, Table 6 of the paper")
    left.set_xticks([0.05, 0.1, 0.3, 0.6], ["0.05", "0.1", "0.3", "0.6"])
    left.minorticks_off()
    _sorted(middle, sets, "gap", sets["gap"] < 0, "+.1f")
    middle.axvline(0, color="#333333", linewidth=1, linestyle="--")
    middle.set(title="SetB scores highest,\nSetA does not", xlabel="SetB \u2212 SetA, points")
    unequal = pairs["adjusted"] <= 0.05
    right.axline((0, 0), slope=1, color="#333333", linewidth=1, linestyle="--")
    for rows, shade, marker in ((pairs[~unequal], CALM, "o"), (pairs[unequal], ODD, "D")):
        right.plot(rows["first"], rows["second"], marker, color=shade, alpha=0.8, markersize=4.5)
    worst = pairs.loc[pairs["adjusted"].idxmin()]
    words = f"{worst['algorithm']}: {worst['first']:g}\nand {worst['second']:g}"
    style.note(right, words, (worst["first"], worst["second"]), (-2, 7), color=ODD, ha="left", va="bottom")
    right.set(title="Mirror images are hit\nequally often", xlabel="one minimum, %", ylabel="its image, %")
    right.set(xlim=(0, 42), ylim=(0, 42), xticks=[0, 20, 40], yticks=[0, 20, 40])
    return figure


def _sorted(axes: plt.Axes, table: pd.DataFrame, value: str, odd: pd.Series, form: str) -> None:
    """Draw values in their order, one line each; the odd ones are red and named."""
    rows = table.assign(odd=odd).sort_values(value, ignore_index=True)
    for place, row in rows.iterrows():
        shade, marker = (ODD, "D") if row["odd"] else (CALM, "o")
        axes.plot(row[value], place, marker, color=shade, markersize=4.5)
    named = rows[rows["odd"]]
    words = [f"{cell}: {written(at, form)}" for cell, at in zip(named["cell"], named[value], strict=True)]
    axes.text(0.99, 0.03, "\n".join(words), color=ODD, ha="right", va="bottom", transform=axes.transAxes)
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")


def implied_p_values(panels: Mapping[str, pd.DataFrame], width: int, alpha: float = 0.05) -> Figure:
    """Draw printed p-values beside those that Table 4 implies: one line per cell, sorted by how far they lie apart.

    Parameters
    ----------
    panels
        Title → columns ``cell, printed, implied, restarts``.
    width
        In pixels.
    alpha
        Where to draw the level.
    """
    lines = max(len(table) for table in panels.values())
    figure, grid = style.canvas(width, 18 * lines + 80, len(panels))
    for axes, (title, table) in zip(grid, panels.items(), strict=True):
        rows = table.assign(ratio=table["printed"] / table["implied"]).sort_values("ratio")
        y = range(len(rows))
        axes.hlines(y, rows["implied"], rows["printed"], color="#bbbbbb", linewidth=1)
        axes.plot(rows["implied"], y, "D", color=ODD, markersize=4, label="implied, 50 models a set")
        axes.plot(rows["restarts"], y, "D", color=ODD, markerfacecolor="white", markersize=4, label="implied, 5 runs")
        axes.plot(rows["printed"], y, "o", color="#222222", markersize=4.5, label="printed")
        axes.axvline(alpha, color="#333333", linestyle="--", linewidth=1)
        axes.set_yticks(list(y), list(rows["cell"]))
        axes.set(xscale="log", xlabel="p-value", title=title, ylim=(-0.7, lines - 0.3))
        axes.tick_params(labelbottom=True)
    columns = 3 if width > style.PHONE else 1
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    return figure
