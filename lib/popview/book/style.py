"""One look for all figures, and the widths they are drawn at."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

#: Shown where a task that was asked for has no results.
NOT_RUN = "not run here yet"

#: Width of a page's text in pixels, on a desktop and on a phone 390 pixels wide.
DESKTOP, PHONE = 688, 358
#: How the margin of equivalence is drawn.
MARGIN: dict[str, Any] = {"color": "#999999", "alpha": 0.22, "linewidth": 0}

#: Words and grids of interactive figures: to be read on white and on black.
GREY = "#767676"

PIXELS_PER_INCH = 96


def use() -> None:
    """Set matplotlib up for a page: text of 11 pixels and more, a light grid, the same bytes from the same numbers."""
    sns.set_theme(style="ticks")
    plt.rcParams |= {
        "font.size": 8.5,  # points of 4/3 pixels
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "axes.labelsize": 8.5,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "axes.linewidth": 0.8,
        "xtick.major.width": 0.8,
        "ytick.major.width": 0.8,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "lines.linewidth": 1.4,
        "lines.markersize": 5,
        "figure.dpi": PIXELS_PER_INCH,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.08,  # inches: a title stands apart from the axis above it
        "legend.frameon": False,
        "svg.hashsalt": "popview",
    }


def canvas(
    width: int, height: int, panels: int = 1, columns: int = 1, phone_columns: int = 1, **shared: Any
) -> tuple[Figure, list[Any]]:
    """Return a figure of a page's width, and its panels in reading order.

    Parameters
    ----------
    width
        In pixels, as `popview.book.page.figure` gives it.
    height
        Of one row of panels, in pixels.
    panels
        How many.
    columns, phone_columns
        How many stand side by side on a desktop, and on a phone.
    **shared
        To `matplotlib.pyplot.subplots`, such as ``sharex=True``.
    """
    across = min(panels, columns if width > PHONE else phone_columns)
    rows = -(-panels // across)
    size = (width / PIXELS_PER_INCH, rows * height / PIXELS_PER_INCH)
    figure, axes = plt.subplots(rows, across, figsize=size, squeeze=False, **shared)
    for unused in axes.flat[panels:]:
        unused.set_axis_off()
    return figure, list(axes.flat[:panels])


def note(axes: plt.Axes, words: str, point: tuple[Any, Any], shift: tuple[float, float], **look: Any) -> None:
    """Write words beside a point of a panel, or above or below it.

    Parameters
    ----------
    axes
        The panel.
    words
        What to write.
    point
        Where, in the panel's own units.
    shift
        To the right and up from there, in points. Words that are shifted to one side begin, or end, there; words that
        are not are centred above or below.
    **look
        To `matplotlib.axes.Axes.annotate`, such as ``color``.
    """
    across, up = np.sign(shift)
    sides = {"ha": ("right", "center", "left")[int(across) + 1], "va": "center"}
    if not across:
        sides["va"] = "bottom" if up > 0 else "top"
    axes.annotate(words, point, shift, textcoords="offset points", **(sides | look))


def lines(axes: plt.Axes, names: Sequence[str], grid: bool = False) -> None:
    """Give a panel a line for each name, from the top down."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=grid)


def mark(name: str, shade: str, marker: str = "o", filled: bool = True, linewidth: float = 0) -> Line2D:
    """Return what a legend shows of a mark."""
    face = shade if filled else "white"
    return Line2D([], [], color=shade, marker=marker, markerfacecolor=face, linewidth=linewidth, label=name)


def empty(width: int = DESKTOP) -> Figure:
    """Return a figure that says that there is nothing to draw yet."""
    figure, (axes,) = canvas(width, 60)
    axes.axis("off")
    axes.text(0.5, 0.5, NOT_RUN, ha="center", va="center")
    return figure
