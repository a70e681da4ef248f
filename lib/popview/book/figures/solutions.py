"""Figures of the page on what lies between solutions: sharpness, losses along paths, rises, principal components."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from popview import topography
from popview.book import style
from popview.book.colours import colour
from popview.book.names import landscape_title
from popview.book.tables.topography import STAGE_NAMES, measure_words
from popview.landscapes import Landscape
from popview.topography import FourierPath

#: Algorithm → the shape of its points, so that colour is not all that tells them apart.
SHAPES = {"SGD": "o", "L-BFGS-GSS": "D", "SAM": "^", "NiM-BH": "s"}

#: Half of the range of differences of rises that is drawn at least, in nats: what is smaller is to look small.
LEAST = 0.002


def sharper_and_worse(
    solutions: pd.DataFrame, titles: Mapping[str, str], algorithms: Sequence[str], width: int
) -> Figure:
    """Draw every solution at equal training loss: how sharp, how accurate on test images; one panel per network.

    Parameters
    ----------
    solutions
        As `popview.runs.solutions.load.solutions` returns it, of one or several networks.
    titles
        Network → its title.
    algorithms
        Those that are drawn.
    width
        In pixels.
    """
    if solutions.empty:
        return style.empty()
    rows = solutions[(solutions["stage"] == "equal") & solutions["algorithm"].isin(algorithms)]
    panels = list(rows["network"].unique())
    figure, grid = style.canvas(width, 255, len(panels), columns=3, sharex=True, sharey=True)
    for axes, network in zip(grid, panels, strict=True):
        for algorithm in algorithms:
            own = rows[(rows["network"] == network) & (rows["algorithm"] == algorithm)]
            x, y = own["top_eigenvalue"], 100 * own["test_accuracy"]
            look = {"color": colour(algorithm), "marker": SHAPES.get(algorithm, "o"), "linewidths": 0}
            axes.scatter(x, y, s=16, alpha=0.45, **look)
            axes.scatter(x.median(), y.median(), s=70, **look | {"edgecolors": "white", "linewidths": 1})
            end, shift = (y.max(), 8) if algorithm == "SGD" else (y.min(), -8)
            style.note(axes, algorithm, (x.median(), end), (0, shift), color=colour(algorithm), weight="bold")
        axes.set(title=titles[network], xscale="log", xlabel="sharpness (largest eigenvalue)")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.tick_params(labelbottom=True)
        axes.margins(x=0.12, y=0.2)
    for axes in grid:
        if axes.get_subplotspec().is_first_col():
            axes.set(ylabel="test accuracy, %")
    return figure


def times_sgd(ratios: pd.DataFrame, titles: Mapping[str, str], width: int) -> Figure:
    """Draw how many times SGD's each measure of sharpness is, by algorithm, one panel per network.

    Parameters
    ----------
    ratios
        As `popview.paper.against_sgd.ratios_to_sgd` returns it.
    titles
        Network → its title.
    width
        In pixels.
    """
    if ratios.empty:
        return style.empty()
    panels, measures = list(ratios["network"].unique()), list(ratios["measure"].unique())
    figure, grid = style.canvas(width, 190, len(panels), columns=3, sharex=True, sharey=True)
    for axes, network in zip(grid, panels, strict=True):
        axes.axvline(1, color=colour("SGD"), linewidth=1.2)
        for algorithm, own in ratios[ratios["network"] == network].groupby("algorithm", sort=False):
            look = {"color": colour(str(algorithm)), "marker": SHAPES.get(str(algorithm), "o"), "label": algorithm}
            axes.plot(own["ratio"], [measures.index(name) for name in own["measure"]], linestyle="", **look)
        axes.set(title=titles[network], xscale="log", xlabel="times SGD's")
        style.lines(axes, [measure_words(name) for name in measures], grid=True)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.tick_params(labelbottom=True, labelleft=axes.get_subplotspec().is_first_col())
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def profiles(barriers: pd.DataFrame, titles: Mapping[str, str], algorithms: Sequence[str], width: int) -> Figure:
    """Draw the loss along straight lines and paths between solutions: medians of pairs, one panel per network.

    Parameters
    ----------
    barriers
        As `popview.runs.solutions.load.barriers` returns it, of one or several networks. Paths by the sum of losses
        between solutions as they are get drawn.
    titles
        Network → its title.
    algorithms
        Those that are drawn.
    width
        In pixels.
    """
    if len(barriers):
        chosen = {"stage": "fitted", "objective": "sum", "ends": "plain"}
        barriers = barriers[(barriers[list(chosen)] == pd.Series(chosen)).all(axis=1)]
    if barriers.empty:
        return style.empty()
    panels = list(barriers["network"].unique())
    figure, grid = style.canvas(width, 215, len(panels), columns=3)
    for axes, network in zip(grid, panels, strict=True):
        for algorithm in algorithms:
            own = barriers[(barriers["network"] == network) & (barriers["algorithm"] == algorithm)]
            if own.empty:
                continue
            for name, dashes, width_of in (("straight_profile", ":", 1.4), ("profile", "-", 2.2)):
                middle = np.median(np.stack(own[name].to_list()), axis=0)
                look = {"color": colour(algorithm), "linewidth": width_of, "clip_on": False}
                if dashes == ":":
                    look |= {"marker": SHAPES.get(algorithm, "o"), "markevery": len(middle) // 8, "markersize": 4}
                axes.plot(np.linspace(0, 1, len(middle)), middle, dashes, **look)
        axes.set(title=titles[network], ylim=(0, None), xlabel="from one solution to the other", xticks=[0, 0.5, 1])
        if axes.get_subplotspec().is_first_col():
            axes.set(ylabel="training loss")
    there = [name for name in algorithms if name in set(barriers["algorithm"])]
    handles = [Line2D([], [], color=colour(name), marker=SHAPES.get(name, "o"), label=name) for name in there]
    kinds = [
        Line2D([], [], color="#444444", linestyle=":", label="straight line"),
        Line2D([], [], color="#444444", label="path"),
    ]
    figure.legend(handles=handles + kinds, loc="outside lower center", ncols=4 if width > style.PHONE else 2)
    return figure


def differences(table: pd.DataFrame, titles: Mapping[str, str], width: int) -> Figure:
    """Draw differences of mean rises with both of their intervals, one panel per network, each with its own scale.

    Parameters
    ----------
    table
        As `popview.populations.solutions.barrier_differences` returns it, with a column ``within``: to what a settled
        height is told.
    titles
        Network → its title.
    width
        In pixels.
    """
    if table.empty:
        return style.empty()
    sets = [(stage, ends) for stage in ("fitted", "equal", "early") for ends in ("plain", "aligned")]
    there = set(zip(table["stage"], table["ends"], strict=True))
    sets = [name for name in sets if name in there]
    panels = list(table["network"].unique())
    figure, grid = style.canvas(width, 200, len(panels), columns=3, sharey=True)
    for axes, network in zip(grid, panels, strict=True):
        axes.axvline(0, color="#777777", linewidth=1)
        for row in table[table["network"] == network].to_dict("records"):
            y = sets.index((row["stage"], row["ends"]))
            apart = row["dyadic_low"] > row["within"] or row["dyadic_high"] < -row["within"]
            axes.plot([row["low"], row["high"]], [y, y], color="#333333", linewidth=1)
            axes.plot([row["dyadic_low"], row["dyadic_high"]], [y, y], color="#333333", linewidth=3.5)
            axes.plot(row["difference"], y, "o", color="#333333", markerfacecolor="#333333" if apart else "white")
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -LEAST), max(high, LEAST))
        labels = [STAGE_NAMES[stage] + ",\naligned" * (ends == "aligned") for stage, ends in sets]
        style.lines(axes, labels, grid=True)
        axes.locator_params(axis="x", nbins=4)
        axes.tick_params(labelleft=axes.get_subplotspec().is_first_col())
        axes.set(title=titles[network], xlabel="L-BFGS-GSS − SGD")
    return figure


def components(
    found: Mapping[str, tuple[pd.DataFrame, np.ndarray, int]],
    titles: Mapping[str, str],
    algorithms: Sequence[str],
    width: int,
    kernels: Sequence[str] = ("rbf", "linear", "cosine"),
) -> Figure:
    """Draw fully fitted solutions in the plane of their first two kernel principal components.

    Parameters
    ----------
    found
        Network → as `popview.runs.solutions.load.products` returns it. Networks stand under each other.
    titles
        Network → its title.
    algorithms
        Those that are drawn.
    width
        In pixels.
    kernels
        Side by side.
    """
    if not found:
        return style.empty()
    across, panels = len(kernels), len(found) * len(kernels)
    figure, grid = style.canvas(width, round(0.27 * width) + 40, panels, columns=across, phone_columns=across)
    cells = iter(grid)
    for network, (frame, inner, parameters) in found.items():
        chosen = np.flatnonzero(frame["algorithm"].isin(algorithms))
        names, points = frame["algorithm"].to_numpy()[chosen], topography.coordinates(inner[np.ix_(chosen, chosen)])
        for kernel, axes in zip(kernels, cells, strict=False):
            scores = topography.kernel_pca(points, kernel, parameters=parameters)
            for algorithm in dict.fromkeys(names):
                look = {"marker": SHAPES.get(algorithm, "o"), "color": colour(algorithm), "label": algorithm}
                axes.scatter(*scores[names == algorithm].T, s=12, alpha=0.8, linewidths=0, **look)
            axes.set(title=f"{kernel} kernel" if axes.get_subplotspec().is_first_row() else "", xticks=[], yticks=[])
            if axes.get_subplotspec().is_first_col():
                axes.set(ylabel=titles[network])
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def path_map(
    drawn: Sequence[tuple[Landscape, Sequence[tuple[int, int]], FourierPath]],
    level: Callable[[np.ndarray], np.ndarray],
    width: int,
) -> Figure:
    """Draw paths between minima over the contours of landscapes, one panel each.

    Parameters
    ----------
    drawn
        Landscapes, the pairs of their minima, and the paths between them.
    level
        From heights above the lowest point to what contours are evenly spaced in.
    width
        In pixels.
    """
    figure, grid = style.canvas(width, 300, len(drawn), columns=2)
    for axes, (landscape, pairs, path) in zip(grid, drawn, strict=True):
        lines = path.at(torch.linspace(0, 1, 201, dtype=torch.float64)).numpy()
        minima = np.array([m.location for m in landscape.minima])
        _contours(axes, landscape, np.concatenate([lines.reshape(-1, 2), minima]), level)
        for line, pair in zip(lines, pairs, strict=True):
            axes.plot(*minima[list(pair)].T, ":", color="#555555", linewidth=1)
            axes.plot(*line.T, color=colour("L-BFGS-GSS"), linewidth=1.6)
        axes.plot(*minima.T, "o", color="#222222", markersize=5)
        axes.set(title=landscape_title(landscape.name), xlabel="x", ylabel="y")
        axes.grid(visible=False)
    return figure


def _contours(
    axes: plt.Axes, landscape: Landscape, points: np.ndarray, level: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Draw grey contours of a landscape around points, with a tenth of their span to every side."""
    low, high = points.min(0), points.max(0)
    margin = 0.12 * (high - low).max()
    x, y = (np.linspace(low[i] - margin, high[i] + margin, 160) for i in range(2))
    at = torch.tensor(np.stack(np.meshgrid(x, y), axis=-1))
    heights = landscape(at).numpy()
    axes.contour(x, y, level(heights - heights.min()), levels=14, colors="#b8b8b8", linewidths=0.7)
