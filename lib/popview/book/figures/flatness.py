"""Figures of the page on flatness and shift: relations, what changes sharpness, robustness, corrupted images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from popview.book import style
from popview.book.tables.topography import MEASURES

#: Measure → its name on the page.
MEASURE_NAMES = MEASURES | {
    "trace": "trace of the Hessian",
    "input_gradient_norm": "gradient by the input",
    "weight_norm": "norm of the weights",
    "distance": "distance from the start",
}

#: Arm of the single changes → its name.
ARMS = {
    "small-rate": "learning rate ÷ 4",
    "large-rate": "learning rate × 4",
    "small-batch": "batches of 20",
    "large-batch": "batches of 125",
    "schedule": "decaying learning rate",
    "weight-decay": "weight decay",
    "dropout": "dropout 0.2",
    "batch-norm": "BatchNorm",
    "label-smoothing": "label smoothing",
    "adam": "Adam",
    "rmsprop": "RMSprop",
    "sam": "SAM",
    "swa": "SWA",
    "noise-in-gradients": "noise in gradients",
    "noise-in-model": "noise in weights",
    "narrower": "half as wide",
    "wider": "four times as wide",
    "deeper": "two layers",
    "deepest": "three layers",
}

#: The same of CIFAR-10, where they go by other names.
ARMS_OF_IMAGES = ARMS | {
    "no-weight-decay": "no weight decay",
    "no-batch-norm": "no BatchNorm",
    "small-batch": "batches of 32",
    "large-batch": "batches of 512",
    "wider": "twice as wide",
    "deeper": "ResNet-14",
    "deepest": "ResNet-20",
}

#: How runs are compared → name, mark, colour.
LEVELS = {
    "within": ("restarts of one setting", "o", "#0173b2"),
    "varied": ("one setting varied, all else equal", "D", "#d55e00"),
    "beyond": ("the same, training loss taken out", "o", "#333333"),
    "between": ("means of settings", "s", "#7f3b08"),
}

_SHADES = ("#0173b2", "#d55e00", "#029e73", "#7f3b08", "#4c4c4c")
_MARKS = ("o", "D", "^", "v", "s")


#: How far below its mark a number stands, by how many marks share a line: away from the others.
_BESIDE = {1: (0.0,), 2: (-0.15, 0.06), 4: (0.0,) * 4}


def tau_levels(
    panels: Mapping[str, pd.DataFrame], measures: Sequence[str], width: int, levels: Sequence[str] = tuple(LEVELS)
) -> Figure:
    """Draw rank correlations of sharpness with what is worse, by how runs are compared; a panel per title.

    Parameters
    ----------
    panels : mapping of str to DataFrame
        Title → ``level`` (of `LEVELS`), ``measure, tau, low, high``; what ``words`` says, if there, stands at the mark.
    measures : sequence of str
        In the order of the lines.
    width : int
        In pixels.
    levels : sequence of str
        Those that are drawn.
    """
    few = len(levels) <= 2
    side_by_side = {"columns": 4 if few else 2, "phone_columns": 2 if few else 1}
    height = (80 if few else 60) + (26 if few else 36) * len(measures)
    figure, axes = style.canvas(width, height, len(panels), **side_by_side, sharex=True, sharey=True)
    offsets = 0.64 * ((np.arange(len(levels)) + 0.5) / len(levels) - 0.5)
    for ax, (title, rows) in zip(axes, panels.items(), strict=True):
        ax.axvline(0, color="0.3", linewidth=0.8)
        for level, offset, shift in zip(levels, offsets, _BESIDE[len(levels)], strict=True):
            name, mark, shade = LEVELS[level]
            own = rows[rows["level"] == level]
            places = [measures.index(measure) + offset for measure in own["measure"]]
            ends = [(own["tau"] - own["low"]).clip(lower=0), (own["high"] - own["tau"]).clip(lower=0)]
            ax.errorbar(own["tau"], places, xerr=ends, fmt=mark, color=shade, elinewidth=1.1, label=name)
            columns = (own[name] for name in ("tau", "low", "high"))
            for place, words, tau, low, high in zip(places, own.get("words", ()), *columns, strict=False):
                end, side = (high + 0.05, "left") if tau > 0 or low < -0.65 else (low - 0.05, "right")
                ax.text(end, place + shift, words, color=shade, weight="bold", va="center", ha=side)
        ax.set(title=title, xlim=(-1.02, 1.02), xticks=[-1, 0, 1] if few else [-1, -0.5, 0, 0.5, 1])
        style.lines(ax, [MEASURE_NAMES[name] for name in measures], grid=True)
        ax.tick_params(labelbottom=True)
    figure.supxlabel("rank correlation τ: right, sharper is worse", fontsize=8.5)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2 if width > style.PHONE else 1)
    return figure


def sharpness_after(ratios: pd.DataFrame, measures: Sequence[str], width: int) -> Figure:
    """Draw how many times plain SGD's each measure of sharpness is, by what alone was changed.

    Parameters
    ----------
    ratios : DataFrame
        ``arm`` (of `ARMS`), ``measure, ratio``.
    measures : sequence of str
    width : int
        In pixels.
    """
    names = [arm for arm in ARMS if arm in set(ratios["arm"])]
    figure, (ax,) = style.canvas(width, 80 + 16 * len(names))
    ax.axvline(1, color="0.3", linewidth=0.8)
    for measure, shade, mark in zip(measures, _SHADES, _MARKS, strict=False):
        own = ratios[(ratios["measure"] == measure) & ratios["arm"].isin(names)]
        places = [names.index(arm) for arm in own["arm"]]
        ax.plot(own["ratio"], places, mark, color=shade, alpha=0.85, label=MEASURE_NAMES[measure])
    ax.set(xscale="log", xlabel="sharpness, times plain SGD's: right is sharper")
    style.lines(ax, [ARMS[arm] for arm in names], grid=True)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(loc="outside upper left", ncols=3 if width > style.PHONE else 1)
    return figure


def shift_differences(panels: Mapping[str, pd.DataFrame], width: int) -> Figure:
    """Draw differences to plain SGD in points of error, with their intervals; one panel per outcome.

    Parameters
    ----------
    panels : mapping of str to DataFrame
        Title → ``arm, difference, low, high``.
    width : int
        In pixels.
    """
    names = [arm for arm in ARMS if any(arm in set(rows["arm"]) for rows in panels.values())]
    figure, axes = style.canvas(width, 60 + 16 * len(names), len(panels), columns=len(panels), sharey=True)
    for ax, (title, rows) in zip(axes, panels.items(), strict=True):
        own = rows[rows["arm"].isin(names)]
        ax.axvline(0, color="0.3", linewidth=0.8)
        places, middle = [names.index(arm) for arm in own["arm"]], 100 * own["difference"]
        ends = [middle - 100 * own["low"], 100 * own["high"] - middle]
        ax.errorbar(middle, places, xerr=ends, fmt="o", color=_SHADES[0], elinewidth=1.1)
        ax.set(title=title, xlabel="points of error: left is better")
        style.lines(ax, [ARMS[arm] for arm in names], grid=True)
    return figure


def corruption_sheet(images: Mapping[str, Sequence[np.ndarray]], width: int) -> Figure:
    """Show an image under each corruption, a line each; from left to right as it is, then at rising severity.

    Parameters
    ----------
    images : mapping of str to sequence of ndarray
        Corruption → images, in [0, 1], grey or of three colours.
    width : int
        In pixels.
    """
    columns = len(next(iter(images.values())))
    figure, axes = style.canvas(width, (width - 90) // columns, len(images) * columns, columns, columns)
    for place, (name, shown) in enumerate(images.items()):
        for severity, (ax, image) in enumerate(zip(axes[place * columns :], shown, strict=False)):
            ax.imshow(image, cmap="gray", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            ax.grid(visible=False)
            if not place:
                ax.set_title(f"{severity}" if severity else "clean", loc="center")
            if not severity:
                ax.set_ylabel(name)
    return figure
