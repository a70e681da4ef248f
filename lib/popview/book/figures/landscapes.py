"""Figures of landscapes: surfaces, contours, minima, end points, and interactive maps of trajectories and paths."""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from matplotlib.figure import Figure

from popview.book import style
from popview.book.colours import MARKERS, colour
from popview.book.names import landscape_title
from popview.landscapes import Landscape
from popview.landscapes.restarts import Sample

Window = tuple[tuple[float, float], tuple[float, float]]

#: Colours of global and local minima, and of the paper's three landscapes.
_GLOBAL, _LOCAL = "#0173b2", "#b0431e"
_SHADES = ("#0173b2", "#5a5a5a", "#b0431e")
_LABEL = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}


def _window(landscape: Landscape) -> Window:
    """Return the part of the plane that is drawn."""
    x, y, *_ = landscape.domain
    return landscape.window or (x, y)


def _mesh(landscape: Landscape, window: Window | None, points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y and values over a window, the values as log₁₀(1 + f − min f) so that the basins can be seen.

    min f is that of the known minima and of the values over the window.
    """
    (x_low, x_high), (y_low, y_high) = window or _window(landscape)
    x, y = np.linspace(x_low, x_high, points), np.linspace(y_low, y_high, points)
    plane = np.stack(np.meshgrid(x, y), axis=-1)
    values = landscape(torch.as_tensor(plane)).numpy()
    lowest = min([values.min(), *(m.value for m in landscape.minima)])
    return x, y, np.log10(1 + values - lowest)


def surfaces(width: int, landscapes: Sequence[Landscape]) -> Figure:
    """Draw each landscape as a surface: the counterpart of the paper's Figure 1."""
    figure, panels = style.canvas(width, 230, len(landscapes), columns=3, subplot_kw={"projection": "3d"})
    for axes, landscape in zip(panels, landscapes, strict=True):
        x, y, height = _mesh(landscape, None, 121)
        axes.plot_surface(
            *np.meshgrid(x, y), height, cmap="viridis", linewidth=0, antialiased=True, rcount=90, ccount=90
        )
        axes.set(title=landscape_title(landscape.name), xlabel="x", ylabel="y", zticklabels=[])
        axes.locator_params(nbins=4)
        axes.tick_params(pad=-3)
        axes.xaxis.labelpad = axes.yaxis.labelpad = -7
        axes.view_init(elev=38, azim=-58)
    return figure


def _draw_contour(axes: plt.Axes, landscape: Landscape, window: Window | None = None) -> None:
    x, y, height = _mesh(landscape, window, 241)
    axes.contourf(x, y, height, levels=24, cmap="Greys", alpha=0.55)
    axes.contour(x, y, height, levels=24, colors="#555555", linewidths=0.35)
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    axes.grid(False)


def contours(width: int, landscapes: Sequence[Landscape], labels: Mapping[str, Sequence[str]]) -> Figure:
    """Draw contours with their minima, star for global and circle for local: the paper's Figure 2.

    Parameters
    ----------
    width : int
        In pixels.
    landscapes : sequence of Landscape
    labels : mapping of landscape name to sequence of str
        Names of its minima, in the order of `Landscape.minima`; the trace of the Hessian is written after each.
    """
    figure, panels = style.canvas(width, 240, len(landscapes), columns=2)
    for axes, landscape in zip(panels, landscapes, strict=True):
        _draw_contour(axes, landscape)
        axes.set(title=landscape_title(landscape.name), xlabel="x", ylabel="y")
        for kind, marker in MARKERS.items():
            points = np.array([m.location[:2] for m in landscape.minima if m.kind == kind]).reshape(-1, 2)
            size, shade = (150, _GLOBAL) if kind == "global" else (55, _LOCAL)
            axes.scatter(*points.T, marker=marker, s=size, color=shade, edgecolor="white", zorder=3, label=kind)
        low, high = axes.get_ylim()
        for label, minimum in zip(labels.get(landscape.name, ()), landscape.minima, strict=False):
            x, y = minimum.location[:2]
            shift = -9 if y - low > 0.2 * (high - low) else 9
            style.note(axes, f"{label}: {minimum.trace:.3g}", (x, y), (0, shift), bbox=_LABEL)
    return figure


def sharpness_and_barrier(axes: plt.Axes, landscapes: Sequence[Landscape], labels: Mapping[str, Sequence[str]]) -> None:
    """Draw every minimum by the trace of its Hessian and by its escape barrier; minima that coincide share a label."""
    for row, (landscape, marker, shade) in enumerate(zip(landscapes, "osD", _SHADES, strict=False)):
        at: dict[tuple[float, float], list[str]] = {}
        for label, minimum in zip(labels[landscape.name], landscape.minima, strict=True):
            at.setdefault((round(minimum.trace, 3), round(minimum.barrier, 3)), []).append(label)
        across, up = zip(*at, strict=True)
        axes.scatter(across, up, 34, color=shade, marker=marker, label=landscape_title(landscape.name), zorder=3)
        for i, (point, names) in enumerate(at.items()):
            shift = (0, -5) if row == 1 else (6, 0) if row or i == 1 else (-6, 0)
            if row == 2 and i < 2:
                shift = (6, 4 - 8 * i)  # these two lie close together
            text = f"{names[0]}, {names[-1]}" if len(names) > 1 else names[0]
            style.note(axes, text, point, shift, color=shade)
    axes.set(xscale="log", yscale="log", xlim=(3.5, 700), ylim=(0.05, 600))
    axes.set(xlabel="sharpness: trace of the Hessian", ylabel="barrier: height of the lowest way out")
    axes.minorticks_off()
    axes.legend(loc="upper left", handletextpad=0.2, borderpad=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")


def end_points(width: int, samples: Mapping[str, Mapping[str, Sample]], shown: int = 50) -> Figure:
    """Draw the end points of the first `shown` restarts: rows of landscapes, columns of algorithms (Figure 3).

    Parameters
    ----------
    width : int
        In pixels.
    samples : mapping of landscape name to mapping of algorithm to Sample
    shown : int
        How many of the restarts.
    """
    pairs = [s for of_landscape in samples.values() for s in of_landscape.values()]
    columns = max(len(s) for s in samples.values())
    figure, panels = style.canvas(width, 190, len(pairs), columns=columns, phone_columns=2)
    for axes, s in zip(panels, pairs, strict=True):
        _draw_contour(axes, s.landscape, _window_of([s], shown))
        ends = s.ends[:shown][~s.diverged[:shown]]
        axes.scatter(*ends.T, s=16, color=colour(s.algorithm), edgecolor="white", linewidth=0.4, zorder=3)
        first = s is next(iter(samples[s.landscape.name].values()))
        axes.set(title=f"{landscape_title(s.landscape.name)}\n{s.algorithm}" if first else f"\n{s.algorithm}")
    return figure


def _window_of(samples: Sequence[Sample], shown: int) -> Window:
    """Return the landscape's window, widened to hold the end points that did not diverge."""
    (x_low, x_high), (y_low, y_high) = _window(samples[0].landscape)
    ends = torch.cat([s.ends[:shown][~s.diverged[:shown]] for s in samples]).numpy()
    if len(ends):
        x_low, x_high = min(x_low, ends[:, 0].min() - 0.2), max(x_high, ends[:, 0].max() + 0.2)
        y_low, y_high = min(y_low, ends[:, 1].min() - 0.2), max(y_high, ends[:, 1].max() + 0.2)
    return (float(x_low), float(x_high)), (float(y_low), float(y_high))


def _map(landscape: Landscape, window: Window) -> go.Figure:
    """Return an interactive contour of a landscape, to be drawn on."""
    x, y, height = _mesh(landscape, window, 81)
    return go.Figure(
        go.Contour(
            x=x.round(3),
            y=y.round(3),
            z=height.round(3),
            colorscale="Greys",
            opacity=0.6,
            showscale=False,
            ncontours=26,
            hoverinfo="skip",
        )
    )


def _finish(figure: go.Figure, landscape: Landscape, window: Window) -> go.Figure:
    """Mark the minima on an interactive contour, and lay it out."""
    minima = landscape.minima
    figure.add_scatter(
        x=[m.location[0] for m in minima],
        y=[m.location[1] for m in minima],
        mode="markers",
        marker={
            "symbol": ["star" if m.kind == "global" else "circle" for m in minima],
            "size": [15 if m.kind == "global" else 10 for m in minima],
            "color": "#de8f05",
            "line": {"color": "black", "width": 1},
        },
        name="minima",
        text=[
            f"{m.kind} minimum<br>f = {m.value:.4f}<br>trace {m.trace:.1f}<br>escape barrier {m.barrier:.3g}"
            for m in minima
        ],
        hoverinfo="text",
    )
    figure.update_layout(
        height=520,
        margin={"l": 40, "r": 10, "t": 10, "b": 40},
        legend={"orientation": "h", "y": -0.12},
        xaxis={"title": "x", "range": list(window[0]), "gridcolor": style.GREY},
        yaxis={"title": "y", "range": list(window[1]), "gridcolor": style.GREY},
    )
    return figure


def trajectory_map(samples: Mapping[str, Sample], shown: int = 12, at_first: Collection[str] = ()) -> go.Figure:
    """Draw a landscape with the trajectories of each algorithm, to be switched on and off in the legend.

    Parameters
    ----------
    samples : mapping of algorithm to Sample with recorded `path`
    shown : int
        Restarts drawn per algorithm: the same starts for each.
    at_first : collection of str
        Algorithms that are switched on when the page opens; by default the first.
    """
    at_first = at_first or list(samples)[:1]
    landscape = next(iter(samples.values())).landscape
    window = _window(landscape)
    figure = _map(landscape, window)
    for algorithm, s in samples.items():
        if s.path is None:
            raise ValueError(f"the sample of {algorithm} has no recorded path: pass record_every")
        points: list[np.ndarray] = []
        for restart in range(min(shown, len(s.ends))):
            points += [s.path[:, restart].numpy(), np.full((1, 2), np.nan)]
        line = np.concatenate(points).round(3)
        figure.add_scatter(
            x=line[:, 0],
            y=line[:, 1],
            mode="lines+markers",
            marker={"size": 3},
            line={"color": colour(algorithm), "width": 1.5},
            name=algorithm,
            visible=True if algorithm in at_first else "legendonly",
            hoverinfo="name",
        )
    return _finish(figure, landscape, window)


def positions(samples: Sequence[Sample], shown: int) -> pd.DataFrame:
    """Tabulate what a figure draws of samples: every recorded position of the first restarts, or their end points.

    Returns
    -------
    DataFrame
        ``landscape, algorithm, restart, record, x, y``; one record, 0, where no path was recorded.
    """
    frames = []
    for s in samples:
        path = (s.ends.unsqueeze(0) if s.path is None else s.path)[:, :shown, :2]
        index = pd.MultiIndex.from_product([range(len(path)), range(path.shape[1])], names=["record", "restart"])
        frame = pd.DataFrame(path.reshape(-1, 2).numpy().round(4), columns=["x", "y"], index=index).reset_index()
        frames.append(frame.assign(landscape=s.landscape.name, algorithm=s.algorithm))
    return pd.concat(frames)[["landscape", "algorithm", "restart", "record", "x", "y"]]
