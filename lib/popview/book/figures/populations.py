"""What a population gains, and what it costs, task by task."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedFormatter, FixedLocator

from popview.book import style
from popview.book.colours import colour
from popview.book.names import task_title

COSTS = (1, 2, 3, 5, 10)


def gains_by_cost(arms: dict[str, pd.DataFrame], best: dict[str, pd.Series], width: int) -> Figure:
    """Draw the gain of each use of SGD's models over its last model against the cost in runs; below, gain per run.

    Parameters
    ----------
    arms : dict of str to DataFrame
        Task → rows of `popview.populations.put_to_use.arms_table`, of SGD on the test sample: base, annealed, longer
        runs.
    best : dict of str to Series
        Task → the row "best other optimizer" of `popview.populations.put_to_use.population_or_optimizer`.
    width : int
        In pixels.
    """
    number, phone = len(arms), width <= style.PHONE
    figure, axes = style.canvas(width, 150 if phone else 210, 2 * number, columns=max(2, number), phone_columns=2)
    gains, per_run = (axes[::2], axes[1::2]) if phone else (axes[:number], axes[number:])
    for above, below, (task, rows) in zip(gains, per_run, arms.items(), strict=True):
        row = best.get(task)
        for ax, own, rival in ((above, rows, row), (below, _per_run(rows), None if row is None else _per_run(row))):
            ax.axhline(0, color="0.5", linewidth=0.8)
            averaged = own[(own["variant"] == "base") & (own["arm"] == "averaged")]
            _points(ax, averaged, "s", colour("SGD"), filled=False)
            costs = [_ensembles(ax, own, variant) for variant in ("base", "annealed")]
            _long_runs(ax, own)
            if rival is not None and rival["gain"] == rival["gain"]:
                name = str(rival["algorithm"])
                _points(ax, pd.DataFrame([rival]), "*", colour(name))
                text = withStroke(linewidth=2.5, foreground="white")
                place = rival["cost"], 100 * rival["gain"]
                style.note(ax, name, place, (5, -9), color=colour(name), path_effects=[text], zorder=4)
            ax.set(xscale="log", xlim=(0.8, 1.25 * max(3, *costs)))
            ax.xaxis.set_major_locator(FixedLocator(COSTS))
            ax.xaxis.set_major_formatter(FixedFormatter([str(cost) for cost in COSTS]))
            ax.xaxis.set_minor_locator(FixedLocator([]))
        above.set(title=task_title(task))
        below.set(title="the same per run" if phone else "")
    figure.supxlabel("training cost, in runs of SGD", fontsize=8.5)
    gains[0].set_ylabel("gain in points")
    per_run[0].set_ylabel("" if phone else "gain per run of cost")
    handles = _key(gains[0])
    figure.legend(handles=handles, loc="outside upper left", ncols=3 if width > style.PHONE else 1, handlelength=3)
    return figure


def _per_run(rows: Any) -> Any:
    """Return rows, or one, with the gain and its interval divided by the cost."""
    divided = rows.copy()
    for name in ("gain", "gain_low", "gain_high"):
        divided[name] = rows[name] / rows["cost"]
    return divided


def _points(ax: Axes, rows: pd.DataFrame, mark: str, shade: str, filled: bool = True) -> None:
    """Draw gains with their intervals; what is hollow is larger, so that others show in it."""
    low, high = 100 * (rows["gain"] - rows["gain_low"]), 100 * (rows["gain_high"] - rows["gain"])
    face, size = (shade, None) if filled else ("white", 8)
    ax.errorbar(
        rows["cost"],
        100 * rows["gain"],
        [low, high],
        fmt=mark,
        color=shade,
        mfc=face,
        ms=size,
        elinewidth=0.9,
        zorder=3,
    )


def _ensembles(ax: Axes, rows: pd.DataFrame, variant: str) -> float:
    """Draw the ensembles of restarts as a line, from one run of as many models each; return the highest cost."""
    one = "ensemble of ten" if variant == "base" else "last"
    kept = rows["arm"].isin([one, "restarts"]) & (rows["restarts"] <= COSTS[-1])
    part = rows[(rows["variant"] == variant) & kept].sort_values("cost")
    if variant == "annealed" and not len(part):
        return 0
    shade = colour("SGD")
    ax.plot(part["cost"], 100 * part["gain"], color=shade, linestyle="-" if variant == "base" else "--")
    _points(ax, part, "o", shade)
    return max(part["cost"], default=0)


def _long_runs(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw annealed runs of more and more epochs as a line."""
    part = rows[~rows["variant"].isin(["base", "tuned"]) & (rows["arm"] == "last")].sort_values("cost")
    if len(part) > 1:
        ax.plot(part["cost"], 100 * part["gain"], color="0.3", linestyle=":")
        _points(ax, part[1:], "^", "0.3")


def _key(ax: Axes) -> list[Line2D]:
    """Return the marks with their names."""
    return [
        ax.plot([], [], "o-", color=colour("SGD"), label="SGD, ten checkpoints a run")[0],
        ax.plot([], [], "o--", color=colour("SGD"), label="SGD, decaying rate, last models")[0],
        ax.plot([], [], "^:", color="0.3", label="one longer run, decaying rate")[0],
        ax.plot([], [], "s", color=colour("SGD"), mfc="white", label="one run, weights averaged")[0],
        ax.plot([], [], "*", color="0.3", label="best other optimizer")[0],
    ]


def disagreement_with_sgd(pairs: dict[str, pd.DataFrame], width: int) -> Figure:
    """Draw how often another run differs from one of SGD: of another seed, or of another algorithm at the same seed.

    Parameters
    ----------
    pairs : dict of str to DataFrame
        Task → ``run`` (its name), ``disagreement, disagreement_low, disagreement_high``, the run of another seed first.
    width : int
        In pixels.
    """
    names = list(dict.fromkeys(name for rows in pairs.values() for name in rows["run"]))
    figure, axes = style.canvas(width, 60 + 22 * len(names), len(pairs), columns=len(pairs), sharey=True)
    for ax, (task, rows) in zip(axes, pairs.items(), strict=True):
        for row in rows.to_dict("records"):
            place, seed = names.index(row["run"]), row["run"] == names[0]
            shade = "0.15" if seed else colour(row["run"])
            low, high = row["disagreement_low"], row["disagreement_high"]
            ax.plot([100 * low, 100 * high], [place, place], color=shade)
            ax.plot(100 * row["disagreement"], place, "D" if seed else "o", color=shade)
            if seed:
                ax.axvline(100 * row["disagreement"], color="0.15", linewidth=0.8, linestyle=":")
        style.lines(ax, names, grid=True)
        ax.set(title=task_title(task), xlabel="answers that differ, %", xlim=(0, None))
    return figure
