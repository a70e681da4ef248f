"""Figures of trajectories and populations: learning curves, distributions over restarts, time to a target.

Each takes the width in pixels that it is drawn at, as `popview.book.page.figure` gives it.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from popview.book import style
from popview.book.colours import colour
from popview.book.names import task_title
from popview.tasks.catalogue import RECORDS

#: Height of a line of text and a mark, in pixels, and of what stands around a panel.
LINE, AROUND = 19, 70

#: Column → what its axis is called.
LABELS = {"epoch": "epoch", "gradient_evaluations": "gradient evaluations", "train_loss": "training loss"}


def case_title(task: str, variant: str = "") -> str:
    """Return a panel's title, "CIFAR-10, tuned"; without a variant where there is but one."""
    return f"{task_title(task)}, {variant}" if variant else task_title(task)


def learning_curves(
    results: Mapping[tuple[str, str], pd.DataFrame],
    algorithms: Sequence[str],
    width: int,
    *,
    y: str,
    across: Sequence[str],
    log: bool = False,
    from_share: float = 0.0,
) -> Figure:
    """Draw the median over restarts, with all restarts behind it (the paper's Figure 4).

    Parameters
    ----------
    results : mapping of (task, variant) to DataFrame
        As `popview.populations.tables.gather` returns it; one line of panels each.
    algorithms : sequence of str
        Those to draw, where a task has them.
    width : int
        In pixels.
    y : {"train_loss", "test_metric"}
        Column to draw.
    across : sequence of str
        Columns for the horizontal axes: "epoch", "gradient_evaluations"; one panel each.
    log : bool
        Whether the vertical axis is logarithmic.
    from_share : float
        Leave out the first checkpoints, up to this share of the epochs.
    """
    if not results:
        return style.empty(width)
    columns = len(across) if len(across) > 1 else 2
    figure, panels = style.canvas(width, 210, len(results) * len(across), columns=columns)
    places = [(key, x) for key in results for x in across]
    for axes, ((task, variant), x) in zip(panels, places, strict=True):
        rows = results[task, variant]
        late = rows[rows["epoch"] >= from_share * rows["epoch"].max()]
        for algorithm in algorithms:
            _curves(axes, late[late["algorithm"] == algorithm], algorithm, x, y)
        axes.set(xlabel=LABELS.get(x, x), title=case_title(task, variant))
        if log:
            log_axis(axes, "y")
        axes.set_ylabel(LABELS.get(y, f"test {RECORDS[task].metric}"))
    _legend(figure, panels[0], width)
    return figure


def _curves(axes: Axes, rows: pd.DataFrame, algorithm: str, x: str, y: str) -> None:
    """Draw an algorithm's restarts, the fainter the more there are, and their median; SGD's dashed and on top."""
    if rows.empty:
        return
    faint = float(np.clip(4.5 / rows["seed"].nunique(), 0.04, 0.35))
    for _, restart in rows.groupby("seed"):
        axes.plot(restart[x], restart[y], color=colour(algorithm), alpha=faint, linewidth=0.8, rasterized=True)
    median = rows.groupby("step")[[x, y]].median()
    line, level = ("--", 3) if algorithm == "SGD" else ("-", 2)
    axes.plot(median[x], median[y], line, color=colour(algorithm), linewidth=2, label=algorithm, zorder=level)


def _legend(figure: Figure, axes: Axes, width: int) -> None:
    """Name the lines of a panel below the figure."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), width // 110))


def distributions(values: Mapping[tuple[str, str], pd.DataFrame], label: str, width: int) -> Figure:
    """Draw one value per restart for each algorithm: every restart as a point, the quartiles as a box.

    Parameters
    ----------
    values : mapping of (task, variant) to DataFrame
        Rows: restarts; columns: algorithms. One panel each.
    label : str
        Of the horizontal axes.
    width : int
        In pixels.
    """
    if not values:
        return style.empty(width)
    height = LINE * max(frame.shape[1] for frame in values.values()) + AROUND
    figure, panels = style.canvas(width, height, len(values), columns=2)
    for axes, (key, frame) in zip(panels, values.items(), strict=True):
        _spread(axes, frame)
        axes.set(xlabel=label, title=case_title(*key))
    return figure


def _spread(axes: Axes, values: pd.DataFrame) -> None:
    """Draw one panel of `distributions`."""
    jitter = np.random.default_rng(0)
    for place, algorithm in enumerate(values.columns):
        column = values[algorithm].dropna()
        height = place + jitter.uniform(-0.22, 0.22, len(column))
        axes.scatter(column, height, s=9, color=colour(str(algorithm)), alpha=0.55, linewidth=0)
        axes.boxplot(
            column,
            positions=[place],
            orientation="horizontal",
            widths=0.6,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": "none", "edgecolor": "#444444"},
        )
    style.lines(axes, list(values.columns))


def log_axis(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with labels that do not run into each other: 0.1, 0.3, 1."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def reached(
    times: Mapping[tuple[str, str], pd.DataFrame],
    budgets: Mapping[tuple[str, str], float],
    algorithms: Sequence[str],
    width: int,
) -> Figure:
    """Draw the share of restarts that have come within the margin of the target, by gradient evaluations.

    Parameters
    ----------
    times : mapping of (task, variant) to DataFrame
        As `popview.populations.time_to_target.time_to_target` returns it; one panel each.
    budgets : mapping of (task, variant) to float
        Where each panel ends.
    algorithms : sequence of str
    width : int
        In pixels.
    """
    if not times:
        return style.empty(width)
    figure, panels = style.canvas(width, 190, len(times), columns=2)
    for axes, (key, table) in zip(panels, times.items(), strict=True):
        for algorithm in (name for name in algorithms if name in table):
            ordered = np.sort(table[algorithm].dropna().to_numpy())
            known = ordered[np.isfinite(ordered)]
            heights = 100 * np.arange(len(known) + 1) / len(ordered)
            across = np.concatenate([[0.0], known, [budgets[key]]])
            axes.step(across, [*heights, heights[-1]], where="post", color=colour(algorithm), label=algorithm)
        axes.set(xlabel="gradient evaluations", title=case_title(*key), ylim=(0, 100), xlim=(0, budgets[key]))
        axes.set_ylabel("restarts, %")
    _legend(figure, panels[0], width)
    return figure
