"""Chapter 11's figures: accuracies, profiles of paths, rises with intervals, kernel principal components."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from popview import topography
from popview.book.colours import colour
from popview.book.figures.trajectories import empty
from popview.book.tables.topography import STAGE_NAMES

__all__ = ["accuracies", "components", "profiles", "rises"]

#: Least rise drawn on a logarithmic axis.
LEAST = 1e-4


def accuracies(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Draw the test accuracy of every solution, one panel per network: stages across, algorithms by colour."""
    if table.empty:
        return empty()
    networks = list(table["network"].unique())
    figure, grid = plt.subplots(1, len(networks), figsize=(max(6, 4.4 * len(networks)), 3.8), squeeze=False)
    shown = table.assign(percent=100 * table["test_accuracy"], solutions=table["stage"].map(STAGE_NAMES))
    names = list(table["algorithm"].unique())
    given: dict[str, Any] = {"hue_order": names, "palette": [colour(name) for name in names]}
    for axes, network in zip(grid[0], networks, strict=True):
        rows = shown[shown["network"] == network]
        given |= {"order": list(STAGE_NAMES.values()), "dodge": True, "jitter": False, "size": 3.5, "alpha": 0.5}
        sns.stripplot(rows, x="solutions", y="percent", hue="algorithm", legend=False, ax=axes, **given)
        axes.set(title=titles[network], xlabel="", ylabel="test accuracy, %" if axes is grid[0][0] else "")
    marks = [Line2D([], [], color=colour(name), marker="o", linewidth=0, markersize=4, label=name) for name in names]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=8)
    return figure


def profiles(barriers: pd.DataFrame, titles: Mapping[str, str], algorithms: Sequence[str]) -> Figure:
    """Draw the loss along paths and straight lines between fully fitted solutions: median and middle half over pairs.

    One panel per network and kind of ends (as they are, aligned); paths by the sum of losses.
    """
    if len(barriers):
        barriers = barriers[(barriers["stage"] == "fitted") & (barriers["objective"] == "sum")]
        barriers = barriers[barriers["algorithm"].isin(algorithms)]
    if barriers.empty:
        return empty()
    panels = [(n, e) for n in barriers["network"].unique() for e in ("plain", "aligned")]
    size = (10, 3.3 * len(panels) / 2)
    figure, grid = plt.subplots(len(panels) // 2, 2, figsize=size, sharex=True, sharey="row", squeeze=False)
    for axes, (network, ends) in zip(grid.flat, panels, strict=True):
        rows = barriers[(barriers["network"] == network) & (barriers["ends"] == ends)]
        for algorithm in dict.fromkeys(rows["algorithm"]):
            own = rows[rows["algorithm"] == algorithm]
            for column, dashes in (("profile", "-"), ("straight_profile", ":")):
                losses = np.stack(own[column].to_list())
                low, middle, high = np.quantile(losses, [0.25, 0.5, 0.75], axis=0)
                t = np.linspace(0, 1, losses.shape[1])
                label = algorithm if column == "profile" else f"{algorithm}, straight line"
                axes.plot(t, middle, dashes, color=colour(algorithm), label=label)
                axes.fill_between(t, low, high, color=colour(algorithm), alpha=0.12, linewidth=0)
        words = "as they are" if ends == "plain" else "aligned"
        axes.set(title=f"{titles[network]}, {words}", yscale="log", ylim=(1e-7, None))
    for axes in grid[-1]:
        axes.set(xlabel="t")
    for axes in grid[:, 0]:
        axes.set(ylabel="loss on training images")
    grid[0][0].legend(fontsize=7)
    return figure


def rises(means: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Draw the mean rise of each set of pairs with its interval, beside that of the straight line (hollow).

    One panel per network; paths by the sum of losses.
    """
    if len(means):
        means = means[means["objective"] == "sum"]
    if means.empty:
        return empty()
    order = {name: place for place, name in enumerate([*STAGE_NAMES, "plain", "aligned"])}
    panels = [
        rows.sort_values(["stage", "ends"], key=lambda column: column.map(order), kind="stable")
        for _, rows in means.groupby("network", sort=False)
    ]
    lines = [len(rows) for rows in panels]
    size = (7.6, sum(0.9 + 0.24 * count for count in lines))
    figure, grid = plt.subplots(len(panels), 1, figsize=size, squeeze=False, height_ratios=lines, sharex=True)
    for axes, rows in zip(grid[:, 0], panels, strict=True):
        _draw_rises(axes, rows)
        axes.set(title=titles[rows["network"].iloc[0]], xscale="log")
    grid[-1][0].set(xlabel="rise above the higher end")
    return figure


def _draw_rises(axes: plt.Axes, rows: pd.DataFrame) -> None:
    """Draw one panel of `rises`."""
    names = []
    for place, row in enumerate(rows.to_dict("records")):
        shade = colour(row["algorithm"])
        for value, face, alpha in (("straight_rise", "white", 0.4), ("rise", shade, 0.8)):
            low, middle, high = (max(row[name], LEAST) for name in (f"{value}_low", value, f"{value}_high"))
            axes.plot([low, high], [place, place], color=shade, alpha=alpha)
            axes.plot(middle, place, "o", color=shade, markerfacecolor=face, markersize=5)
        names.append(f"{row['algorithm']}, {STAGE_NAMES[row['stage']]}{', aligned' * (row['ends'] == 'aligned')}")
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()


def components(
    found: Mapping[str, tuple[pd.DataFrame, np.ndarray, int]],
    titles: Mapping[str, str],
    algorithms: Sequence[str],
    kernels: Sequence[str] = ("rbf", "linear", "cosine"),
) -> Figure:
    """Draw fully fitted solutions of some algorithms in the plane of their first kernel principal components.

    Rows: networks; columns: kernels.
    """
    if not found:
        return empty()
    size = (3.6 * len(kernels), 3.2 * len(found))
    figure, grid = plt.subplots(len(found), len(kernels), figsize=size, squeeze=False)
    for line, (network, (frame, inner, parameters)) in zip(grid, found.items(), strict=True):
        chosen = np.flatnonzero(frame["algorithm"].isin(algorithms))
        names, points = frame["algorithm"].to_numpy()[chosen], topography.coordinates(inner[np.ix_(chosen, chosen)])
        for axes, kernel in zip(line, kernels, strict=True):
            scores = topography.kernel_pca(points, kernel, parameters=parameters).scores
            for algorithm in dict.fromkeys(names):
                axes.scatter(*scores[names == algorithm].T, s=14, color=colour(algorithm), label=algorithm)
            axes.set(title=f"{titles[network]}: {kernel}", xticks=[], yticks=[])
            axes.title.set_fontsize(8)
    grid[0][0].legend(fontsize=7)
    return figure
