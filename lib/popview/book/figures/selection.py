"""Figures of what the training loss tells, and of what choosing models by it costs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from popview.book import style
from popview.book.names import task_title
from popview.book.page import points
from popview.populations.comparisons import ALPHA

#: A task's mark, in the order in which tasks come.
MARKS = ("o", "s", "D", "^", "v", "P")

#: Of what is still learning, or real; and of what is flat, or not known.
LEARNING, FLAT = "#0b5d8f", "#767676"


def score_against_loss(
    curves: Mapping[str, pd.DataFrame], learning: Mapping[str, bool], chosen: pd.DataFrame, width: int, columns: int = 2
) -> Figure:
    """Draw test score against training loss, one panel per task: every restart, and the median over restarts.

    All panels span as many points of score. The loss falls to the right. A dot marks half of the epochs.

    Parameters
    ----------
    curves : mapping of str to DataFrame
        Task → trajectories of one algorithm.
    learning : mapping of str to bool
        Whether the task was still being learnt in the second half.
    chosen : DataFrame
        ``task, by, train_loss, test_metric``: means over the models that are chosen ``by`` "loss" and by "score".
    width : int
        In pixels.
    columns : int
        Panels side by side on a desktop; on a phone, two.
    """
    if not curves:
        return style.empty(width)
    medians = {task: rows.groupby("epoch")[["train_loss", "test_metric"]].median() for task, rows in curves.items()}
    halves = {task: table.loc[table.index >= table.index.max() / 2].iloc[0] for task, table in medians.items()}
    tops = {task: 100 * rows["test_metric"].max() + 1 for task, rows in curves.items()}
    span = 1.6 * max(max(top - 100 * halves[task]["test_metric"] for task, top in tops.items()), 5.0)
    columns = min(len(curves), columns if width > style.PHONE else 2)
    wide = width / columns > 250
    figure, panels = style.canvas(width, 178 if wide else 168, len(curves), columns=columns, phone_columns=2)
    for axes, (task, rows) in zip(panels, curves.items(), strict=True):
        shade = LEARNING if learning[task] else FLAT
        for _, restart in rows.groupby("seed"):
            alpha = float(np.clip(4 / rows["seed"].nunique(), 0.06, 0.4))
            axes.plot(restart["train_loss"], 100 * restart["test_metric"], color=shade, alpha=alpha, linewidth=0.8)
        axes.plot(medians[task]["train_loss"], 100 * medians[task]["test_metric"], color=shade, linewidth=2.2)
        axes.plot(halves[task]["train_loss"], 100 * halves[task]["test_metric"], "o", color="black", markersize=6)
        for by, mark in (("loss", {"markerfacecolor": "#d55e00"}), ("score", {"markerfacecolor": "white"})):
            point = chosen[(chosen["task"] == task) & (chosen["by"] == by)]
            axes.plot(
                point["train_loss"], 100 * point["test_metric"], "D", color="#d55e00", markersize=6, zorder=4, **mark
            )
        between, colon = (", ", ": ") if wide else ("\n", "\n")
        axes.set_title(f"{task_title(task)}{colon}{'still learning' if learning[task] else 'flat'}")
        first, last = (100 * point["test_metric"] for point in (halves[task], medians[task].iloc[-1]))
        axes.text(
            0.97, 0.06, f"{first:.1f} at half{between}{last:.1f} at the end", transform=axes.transAxes, ha="right"
        )
        axes.set(xscale="log", ylim=(tops[task] - span, tops[task]))
        seen = medians[task][100 * medians[task]["test_metric"] > tops[task] - span]["train_loss"]
        axes.set_xlim(1.15 * seen.max(), 0.85 * seen.min())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(ticks := _round_values(axes.get_xlim(), 5 if wide else 3))
        axes.set_xticklabels([f"{tick:g}" for tick in ticks])
    for axes in panels[-columns:]:
        axes.set_xlabel("training loss")
    for axes in panels[::columns]:
        axes.set_ylabel("test score, points")
    return figure


def _round_values(ends: tuple[float, float], most: int) -> list[float]:
    """Return values to mark on a logarithmic axis between two ends: the densest round ones that are no more than
    `most`."""
    low, high = sorted(ends)
    places = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 5), (1, 3), (1,)):
        found = [value for place in places for step in steps if low <= (value := step * 10.0**place) <= high]
        if len(found) <= most:
            return found
    return found[:: len(found) // most + 1]


def loss_and_score(halves: pd.DataFrame, width: int) -> Figure:
    """Draw how loss and score agree in the second half against what that half gains: with the time trend, and without.

    Parameters
    ----------
    halves : DataFrame
        `popview.populations.learning.second_halves`, stacked over tasks and variants.
    width : int
        In pixels.
    """
    if halves.empty:
        return style.empty(width)
    titles = {"tau": "as it is", "tau_without_trend": "without the time trend"}
    figure, panels = style.canvas(width, 270, 2, columns=2, phone_columns=1, sharex=True, sharey=True)
    tasks = list(halves["task"].unique())
    for axes, (column, title) in zip(panels, titles.items(), strict=True):
        axes.axhline(0, color="#444444", linewidth=0.8)
        for (task, variant), rows in halves.groupby(["task", "variant"], sort=False):
            for learning, some in rows.groupby("learning"):
                shade = LEARNING if learning else FLAT
                fill = shade if variant == "base" else "white"
                mark: dict[str, Any] = {"marker": MARKS[tasks.index(task) % len(MARKS)], "linestyle": ""}
                axes.plot(100 * some["gain"], some[column], color=shade, markerfacecolor=fill, **mark)
        axes.set(title=title, ylim=(-1, 1), xlabel="gain of the second half, points")
    panels[0].set_ylabel("τ of lower loss and higher score")
    handles = [style.mark(task_title(task), "#444444", MARKS[place % len(MARKS)]) for place, task in enumerate(tasks)]
    figure.legend(handles=handles, loc="outside upper center", ncols=4 if width > style.PHONE else 2)
    return figure


def choices(gains: Mapping[str, pd.DataFrame], width: int) -> Figure:
    """Draw what choosing by training loss gains over rivals: a panel each, a row per task, a line per algorithm.

    Blue: real after Holm's correction. The ends of a row are named where they are half of the margin or more.

    Parameters
    ----------
    gains : mapping of str to DataFrame
        Rival → ``task, variant, algorithm, difference, difference_low, difference_high, adjusted_p, margin``, as
        `popview.populations.selection.verdicts` returns them, stacked over tasks and variants.
    width : int
        In pixels.
    """
    if not any(len(table) for table in gains.values()):
        return style.empty(width)
    most = max(len(table) for table in gains.values())
    reach = 150 * max(table[["margin", "difference"]].abs().max().max() for table in gains.values())
    height = 100 + int(6.5 * most)
    figure, panels = style.canvas(width, height, len(gains), columns=2, phone_columns=1, sharex=True)
    for axes, (rival, table) in zip(panels, gains.items(), strict=True):
        axes.axvline(0, color="#444444", linewidth=0.8)
        place = 0.0
        for task, rows in table.groupby("task", sort=False):
            words = f"{task_title(str(task))}: margin ±{100 * rows['margin'].iloc[0]:g}"
            axes.text(-0.98 * reach, place - 1.2, words, va="bottom")
            _task_row(axes, rows, place)
            place += len(rows) + 4
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set(title=rival, xlabel="gain by choosing by loss, points", ylim=(place - 3.5, -3.5), xlim=(-reach, reach))
    return figure


def _task_row(axes: Axes, rows: pd.DataFrame, top: float) -> None:
    """Draw the algorithms of a task below each other from `top` on, with the band of its margin, and name the ends."""
    margin = 100 * rows["margin"].iloc[0]
    axes.add_patch(Rectangle((-margin, top - 0.8), 2 * margin, len(rows) + 0.6, color="#999999", alpha=0.18, zorder=0))
    ends = rows.loc[[rows["difference"].idxmin(), rows["difference"].idxmax()]]
    for line, row in enumerate(rows.itertuples()):
        place, shade = top + line, LEARNING if row.adjusted_p <= ALPHA else FLAT
        low, high = 100 * row.difference_low, 100 * row.difference_high
        axes.plot([low, high], [place, place], color=shade, linewidth=1.4)
        fill = shade if row.variant == "base" else "white"
        axes.plot(100 * row.difference, place, "o", color=shade, markersize=4.5, markerfacecolor=fill)
        if row.Index in ends.index and abs(row.difference) > rows["margin"].iloc[0] / 2:
            end, shift = (low, -4) if row.difference < 0 else (high, 4)
            style.note(axes, f"{row.algorithm} {points(100 * row.difference)}", (end, place), (shift, 0))
