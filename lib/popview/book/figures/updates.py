"""Figures of the optimizers: what one update does on a curve, and how often hops go uphill."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from popview.book import style

STEP, NOISE = "#0173b2", "#b0431e"
#: Accept rule → what a line of `uphill_hops` is called, its colour, line and shift of the words in points.
_RULES = {
    "printed": ("MBH as printed", NOISE, "-", 9),
    "always": ("BH: accepts every hop", "#555555", "--", -28),
    "classical": ("MBH as meant", STEP, "-", 9),
}


def _curve(x: np.ndarray | float) -> np.ndarray:
    """Return a loss of one weight: a deep well near −1.1, and a shallower one near 1."""
    return 1 + 0.09 * np.square(x) - 0.9 * np.exp(-2 * np.square(x + 1.1)) - 0.7 * np.exp(-np.square(x - 1) / 0.35)


def _slope(x: float) -> float:
    return float(_curve(x + 1e-6) - _curve(x - 1e-6)) / 2e-6


def _descent(x: float, lr: float, steps: int) -> list[float]:
    places = [x]
    for _ in range(steps):
        places.append(places[-1] - lr * _slope(places[-1]))
    return places


def _arrow(axes: plt.Axes, start: float, end: float, shade: str, bend: float = 0.0) -> None:
    """Draw a move between two points of the curve."""
    ends = [(x, float(_curve(x))) for x in (start, end)]
    style_of_line = {"arrowstyle": "-|>", "color": shade, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
    style_of_line["mutation_scale"] = 9
    axes.annotate("", ends[1], ends[0], arrowprops={**style_of_line, "connectionstyle": f"arc3,rad={bend}"}, zorder=4)


def _reach(axes: plt.Axes, centre: float, size: float) -> None:
    """Draw how far the noise reaches, below the curve."""
    axes.plot([centre - size, centre + size], [-0.1] * 2, color=NOISE, linewidth=4, solid_capstyle="butt")


def _hop(axes: plt.Axes, start: float, lr: float) -> None:
    """Draw a local search as dots."""
    places = _descent(start, lr, 16)
    axes.scatter(places[1:], _curve(np.array(places[1:])), color=STEP, s=9, zorder=4)


def updates(width: int, lr: float, rho: float) -> Figure:
    """Draw one update of six algorithms on the same curve: steps of the gradient blue, noise red, all to scale.

    Parameters
    ----------
    width : int
        In pixels.
    lr, rho : float
        Learning rate η, and radius ρ of the noise.
    """
    start, minimum = 1.75, _descent(1.0, lr, 200)[-1]
    plain, small = start - lr * _slope(start), lr * rho

    def descent(axes: plt.Axes) -> None:
        _arrow(axes, start, plain, STEP)

    def in_gradient(axes: plt.Axes) -> None:
        _arrow(axes, start, plain, STEP)
        _arrow(axes, plain, plain - 0.8 * small, NOISE)
        _reach(axes, plain, small)

    def in_model(axes: plt.Axes) -> None:
        _arrow(axes, minimum, minimum - 0.6 * rho, NOISE, 0.5)
        _arrow(axes, minimum - 0.6 * rho, minimum - 0.6 * rho - lr * _slope(minimum - 0.6 * rho), STEP)
        _reach(axes, minimum, rho)

    def sam(axes: plt.Axes) -> None:
        _arrow(axes, start, start + rho, NOISE, -0.35)
        _arrow(axes, start, start - lr * _slope(start + rho), STEP)

    def hop_in_gradient(axes: plt.Axes) -> None:
        _arrow(axes, minimum, minimum + 0.9 * small, NOISE, -0.9)
        _hop(axes, minimum + 0.9 * small, lr)
        _reach(axes, minimum, small)

    def hop_in_model(axes: plt.Axes) -> None:
        _arrow(axes, minimum, minimum - 0.95 * rho, NOISE, 0.4)
        _hop(axes, minimum - 0.95 * rho, lr)
        _reach(axes, minimum, rho)

    panels: list[tuple[str, float, str, Callable[[plt.Axes], None]]] = [
        ("GD: a step", start, "no noise", descent),
        ("NiG-GD: noise in the gradient", start, f"noise reaches ηρ = {small:g}", in_gradient),
        ("NiM-GD: noise in the model", minimum, f"noise reaches ρ = {rho:g}", in_model),
        ("SAM: a look uphill", start, f"looks ρ = {rho:g}, comes back", sam),
        ("NiG-BH: kicks the gradient", minimum, f"noise reaches ηρ = {small:g}", hop_in_gradient),
        ("NiM-BH: kicks the model", minimum, f"noise reaches ρ = {rho:g}", hop_in_model),
    ]
    figure, drawn = style.canvas(width, 165, len(panels), columns=3, phone_columns=2, sharex=True)
    x = np.linspace(-2.2, 2.9, 300)
    for axes, (name, place, words, draw) in zip(drawn, panels, strict=True):
        axes.plot(x, _curve(x), color="#888888", linewidth=1.3)
        axes.scatter(place, _curve(place), color="black", s=22, zorder=5)
        draw(axes)
        axes.text(0.3, 2.02, words, ha="center", va="top", color="black" if words == "no noise" else NOISE)
        name = name if width > style.PHONE else name.replace(": ", "\n")
        axes.set(title=name, xlim=(x[0], x[-1]), ylim=(-0.25, 2.1), xticks=[], yticks=[])
        axes.spines["left"].set_visible(False)
    return figure


def uphill_hops(width: int, rates: pd.DataFrame) -> Figure:
    """Draw how many hops end uphill, by radius of the kick and by accept rule.

    Parameters
    ----------
    width : int
        In pixels.
    rates : DataFrame
        Rows of `popview.stationary.hop_rates`.
    """
    figure, (axes,) = style.canvas(width, 240)
    radii = list(rates["rho"].unique())
    for rule, (words, shade, line, shift) in _RULES.items():
        percent = 100 * rates[rates["accept"] == rule]["uphill"].to_numpy()
        axes.plot(range(len(radii)), percent, line, color=shade, marker="o")
        style.note(axes, words, (len(radii) - 1, percent[-1]), (-10, shift), color=shade)
    axes.set_xticks(range(len(radii)), [f"{rho:g}" for rho in radii])
    axes.set(xlabel="ρ, radius of the kick", ylabel="% of hops that end uphill", ylim=(-2, None))
    axes.margins(x=0.08, y=0.15)
    return figure
