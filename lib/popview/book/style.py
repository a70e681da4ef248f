"""One look for all figures, and the widths they are drawn at."""

from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

#: Shown where a task that was asked for has no results.
NOT_RUN = "not run here yet"

#: Width of a page's text in pixels, on a desktop and on a phone 390 pixels wide.
DESKTOP, PHONE = 688, 358
#: How the margin of equivalence is drawn.
MARGIN: dict[str, Any] = {"color": "#999999", "alpha": 0.22, "linewidth": 0}

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


def empty(width: int = DESKTOP) -> Figure:
    """Return a figure that says that there is nothing to draw yet."""
    figure, (axes,) = canvas(width, 60)
    axes.axis("off")
    axes.text(0.5, 0.5, NOT_RUN, ha="center", va="center")
    return figure
