"""Figures of Table 1: printed shares beside ours, pairs of mirror images, and where restarts on two wells end."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from popview.book import style
from popview.book.figures.landscapes import sharpness_and_barrier
from popview.landscapes import LANDSCAPES, Landscape
from popview.paper.table_one import COLUMNS

PRINTED, OURS, EXACT = "#b0431e", "#0173b2", "#555555"
#: Parts of a bar of `wells`: column, colour, words.
_PARTS = (("wide", "#0173b2", "wide well"), ("saddle", "#c9c9c9", "saddle"), ("narrow", "#b0431e", "narrow well"))


def _pair(axes: plt.Axes, cells: pd.DataFrame, columns: Sequence[str]) -> None:
    """Draw the shares of two mirror images: the printed pair filled and joined, ours hollow with intervals."""
    names = list(cells["algorithm"].unique())
    rows = cells.set_index(["algorithm", "column"])
    for place, name in enumerate(names):
        printed = [rows.loc[(name, column), "printed"] for column in columns]
        axes.plot(printed, [place - 0.17] * 2, color=PRINTED, linewidth=1.6, zorder=2)
        for column, value, marker in zip(columns, printed, "os", strict=True):
            axes.scatter(value, place - 0.17, color=PRINTED, marker=marker, s=26, zorder=3)
            cell = rows.loc[(name, column)]
            axes.hlines(place + 0.2, cell["low"], cell["high"], color=OURS, linewidth=1, alpha=0.7)
            axes.scatter(cell["percent"], place + 0.2, facecolor="white", edgecolor=OURS, marker=marker, s=22, zorder=3)
    style.lines(axes, names)
    axes.set(xlabel="% of restarts", title=f"● {columns[0]}, ■ {columns[1]}")


def _six_hump(cells: pd.DataFrame) -> pd.DataFrame:
    return cells[cells["landscape"] == "six-hump-camel"]


def _key(axes: plt.Axes, printed: tuple[float, float], ours: tuple[float, float]) -> None:
    """Say beside the marks which are printed and which are ours."""
    for words, shade, place in (("printed", PRINTED, printed), ("ours", OURS, ours)):
        axes.text(*place, words, color=shade, fontweight="bold", va="center")


def evidence(
    width: int, landscapes: Sequence[Landscape], labels: Mapping[str, Sequence[str]], cells: pd.DataFrame
) -> Figure:
    """Draw sharpness against barrier, and the pair of global minima of the six-hump camel as printed and as computed.

    Parameters
    ----------
    width : int
        In pixels.
    landscapes, labels
        As `popview.book.figures.landscapes.sharpness_and_barrier` takes them.
    cells : DataFrame
        As `popview.paper.table_one.cells` returns it.
    """
    figure, (left, right) = style.canvas(width, 330, 2, columns=2)
    sharpness_and_barrier(left, landscapes, labels)
    left.set_title("Every minimum: sharpness and barrier")
    paper = LANDSCAPES["six-hump-camel"].minima[-1]
    at = (paper.trace, paper.barrier)
    style.note(left, "the paper: “sharpest”", at, (6, -13), color=PRINTED)
    _pair(right, _six_hump(cells), COLUMNS["six-hump-camel"][:2])
    right.set(title="Six-hump camel: ● GM1, ■ GM2", xlim=(0, 30))
    _key(right, (24.5, -0.17), (15.9, 0.23))
    return figure


def mirror_pairs(width: int, cells: pd.DataFrame) -> Figure:
    """Draw all three pairs of mirror images of the six-hump camel, as printed and as computed.

    Parameters
    ----------
    width : int
        In pixels.
    cells : DataFrame
        As `popview.paper.table_one.cells` returns it.
    """
    figure, panels = style.canvas(width, 300, 3, columns=3, sharex=True, sharey=width > style.PHONE)
    columns = COLUMNS["six-hump-camel"]
    for axes, pair in zip(panels, (columns[:2], columns[2:4], columns[4:]), strict=True):
        _pair(axes, _six_hump(cells), pair)
        axes.xaxis.set_tick_params(labelbottom=True)
    panels[0].set_xlim(0, 30)
    return figure


def shares_of_minima(width: int, cells: pd.DataFrame, basins: pd.DataFrame, landscape: str) -> Figure:
    """Draw one landscape of Table 1: a panel for each minimum, printed shares filled, ours hollow with intervals.

    Parameters
    ----------
    width : int
        In pixels.
    cells : DataFrame
        As `popview.paper.table_one.cells` returns it.
    basins : DataFrame
        As `popview.paper.basins.basin_shares` returns it: a line in each panel.
    landscape : str
        A name of `popview.paper.table_one.COLUMNS`.
    """
    columns = COLUMNS[landscape]
    across = 4 if len(columns) == 4 else 3
    figure, panels = style.canvas(width, 230, len(columns), columns=across, phone_columns=2, sharex=True, sharey=True)
    exact = basins[basins["landscape"] == landscape].set_index("column")["share"]
    for axes, column in zip(panels, columns, strict=True):
        rows = cells[(cells["landscape"] == landscape) & (cells["column"] == column)]
        lines = range(len(rows))
        axes.axvline(exact[column], color=EXACT, linestyle="--", linewidth=1)
        axes.hlines([line + 0.2 for line in lines], rows["low"], rows["high"], color=OURS, linewidth=1)
        axes.scatter(rows["percent"], [line + 0.2 for line in lines], facecolor="white", edgecolor=OURS, s=22, zorder=3)
        axes.scatter(rows["printed"], [line - 0.17 for line in lines], color=PRINTED, s=24, zorder=3)
        style.lines(axes, list(rows["algorithm"]))
        axes.set(title=column, xlabel="% of restarts")
        axes.xaxis.set_tick_params(labelbottom=True)
    panels[0].set_xlim(0, None)
    return figure


def wells(width: int, table: pd.DataFrame) -> Figure:
    """Draw where restarts on the two wells end, and how many end in another well than gradient descent's.

    Parameters
    ----------
    width : int
        In pixels.
    table : DataFrame
        Rows of `popview.paper.table_one.preferences` of one landscape.
    """
    figure, (left, right) = style.canvas(width, 280, 2, columns=2, sharey=width > style.PHONE)
    names, done = list(table["algorithm"]), np.zeros(len(table))
    lines = np.arange(len(table))
    for column, shade, words in _PARTS:
        part = (100 * table[column] / table["restarts"]).to_numpy()
        left.barh(lines, part, left=done, color=shade, height=0.7)
        largest = int(part.argmax()) if column == "saddle" else 0
        if part[largest] > 10:
            dark = "black" if column == "saddle" else "white"
            left.text(done[largest] + part[largest] / 2, largest, words, va="center", ha="center", color=dark)
        done = done + part
    left.axvline(50, color="black", linestyle="--", linewidth=1)
    left.set(title="Where restarts end", xlabel="% of restarts", xlim=(0, 100))
    style.lines(left, names)
    moved = table[["to_wide", "to_narrow"]].mul(100).div(table["paired"], axis=0)
    right.barh(lines, -moved["to_wide"], color=_PARTS[0][1], height=0.7)
    right.barh(lines, moved["to_narrow"], color=_PARTS[2][1], height=0.7)
    right.axvline(0, color="black", linewidth=1)
    reach = max(1.0, 1.3 * float(moved.max(axis=None)))
    right.set(title="In another well than gradient descent", xlabel="% of restarts", xlim=(-reach, reach))
    right.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    style.lines(right, names)
    right.text(-0.97 * reach, 0, "to the wide", color=_PARTS[0][1], va="center")
    right.text(0.97 * reach, 0, "to the narrow", color=_PARTS[2][1], va="center", ha="right")
    return figure
