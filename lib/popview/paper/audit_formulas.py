"""What the printed formulas and pseudo-code would do if they were followed to the letter, next to what was meant.

The formulas are those of the paper's Figure 1, the algorithms its Algorithms 2 and 9. The only text at hand is the
output of a character reader, so a misread sign is always among the innocent explanations.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.optimize
import torch
from torch import Tensor

from popview.common.seeds import generator
from popview.landscapes import Landscape, get
from popview.landscapes.restarts import hop_rates
from popview.optimizers.noise import make_noise
from popview.paper.audit import Check, worded


def _three_hump_printed(points: Tensor) -> tuple[Tensor, Tensor]:
    x, y = points.unbind(-1)
    square = x * x
    value = square * (2 + square * (square / 6 - 1.04)) + y * (x + y)
    return value, torch.stack([x * (4 + square * (square - 4.16)) + y, x + 2 * y], dim=-1)


def _six_hump_printed(points: Tensor) -> tuple[Tensor, Tensor]:
    x, y = points.unbind(-1)
    u, v = x * x, y * y
    value = u * (4 + u * (u / 3 - 2.1)) + x * y - 44 * v * v
    return value, torch.stack([x * (8 + u * (2 * u - 8.4)) + y, x - 176 * v * y], dim=-1)


#: Landscape → the one that Figure 1's formula is, to the letter.
PRINTED: dict[str, Landscape] = {
    "three-hump-camel": replace(
        get("three-hump-camel"), formula="2x² − 1.04x⁴ + x⁶/6 + xy + y²", value_and_gradient=_three_hump_printed
    ),
    "six-hump-camel": replace(
        get("six-hump-camel"), formula="(4 − 2.1x² + x⁴/3)x² + xy + (−44y²)y²", value_and_gradient=_six_hump_printed
    ),
}


def formula_checks(gate: pd.DataFrame, restarts: int = 300, hops: int = 40, seed: int = 0) -> pd.DataFrame:
    """Return every check of the printed formulas and algorithms, as `popview.paper.audit.worded` does.

    Parameters
    ----------
    gate : DataFrame
        As `gate_table` returns it.
    restarts, hops, seed
        As in `accept_rule`.
    """
    return worded(
        {
            "three-hump-formula": three_hump_formula(),
            "six-hump-formula": six_hump_formula(),
            "sharpest-minima": sharpest_minima(),
            "accept-rule": accept_rule(restarts=restarts, hops=hops, seed=seed),
            "noise-gate": noise_gate(gate),
        }
    )


def six_hump_stationary_points() -> pd.DataFrame:
    """Return all stationary points of the six-hump camel as printed, with the eigenvalues of the Hessian there.

    ∂f/∂y = x − 176y³ = 0 gives y as a function of x; what remains, one equation in x, is bracketed on a grid and
    solved.
    Beyond |x| = 3 it grows without a zero: 8x − 8.4x³ + 2x⁵ alone is positive from x = 1.66 on.

    Returns
    -------
    DataFrame
        ``x, y, value, lowest, highest`` (eigenvalues), ordered by x.
    """

    def slope(x: float) -> float:
        return x * (8 + x * x * (2 * x * x - 8.4)) + float(np.cbrt(x / 176))

    grid = np.linspace(-3, 3, 6002)  # even, so that 0, a root, lies between two points
    signs = np.sign([slope(x) for x in grid])
    roots = [scipy.optimize.brentq(slope, grid[i], grid[i + 1]) for i in np.flatnonzero(np.diff(signs))]
    landscape = PRINTED["six-hump-camel"]
    rows = []
    for x in roots:
        point = torch.tensor([x, float(np.cbrt(x / 176))], dtype=torch.float64)
        low, high = torch.linalg.eigvalsh(landscape.hessian(point)).tolist()
        value = float(landscape(point))
        rows.append({"x": x, "y": float(point[1]), "value": value, "lowest": low, "highest": high})
    return pd.DataFrame(rows)


def three_hump_formula() -> Check:
    """Ask how far the printed coefficient moves the local minima of the three-hump camel."""
    meant, printed = (landscape.minima[-1] for landscape in (get("three-hump-camel"), PRINTED["three-hump-camel"]))
    moved = float(np.hypot(*(np.array(meant.location) - printed.location)))
    numbers = {"moved": moved, "value": meant.value, "value_printed": printed.value}
    numbers |= dict(zip(("x", "y"), np.abs(meant.location), strict=True))
    return Check(moved > 1e-6, numbers | dict(zip(("x_printed", "y_printed"), np.abs(printed.location), strict=True)))


def six_hump_formula() -> Check:
    """Count the minima of the six-hump camel as printed, and evaluate it far away."""
    points = six_hump_stationary_points()
    minima = int((points["lowest"] > 0).sum())
    far = float(PRINTED["six-hump-camel"](torch.tensor([0.0, 10.0], dtype=torch.float64)))
    return Check(minima == 0, {"depth": -far, "minima": minima, "stationary": len(points)})


def sharpest_minima() -> Check:
    """Compare the trace and the barrier of the six-hump camel's highest local minima with those of the lowest."""
    local = [m for m in get("six-hump-camel").minima if m.kind == "local"]
    shallow, deep = local[-1], local[0]
    return Check(shallow.trace < deep.trace, {"shallow": shallow, "deep": deep, "depth": -deep.value})


def accept_rule(rho: float = 1.0, *, restarts: int = 300, hops: int = 40, seed: int = 0) -> Check:
    """Measure, on the six-hump camel, how often hops go uphill under Algorithm 9's rule as printed."""
    settings: dict[str, Any] = {"restarts": restarts, "hops": hops, "seed": seed}
    printed, classical = (hop_rates("six-hump-camel", rule, rho, **settings) for rule in ("printed", "classical"))
    numbers = {"rho": rho} | {name: 100 * printed[name] for name in ("accepted", "uphill")}
    return Check(
        printed["uphill"] > 0, numbers | {f"{name}_classical": 100 * classical[name] for name in ("accepted", "uphill")}
    )


def noise_injections(
    epsilon: float,
    *,
    since_last: bool,
    landscape: str = "six-hump-camel",
    rho: float = 0.1,
    tau: int = 50,
    lr: float = 0.01,
    restarts: int = 200,
    iterations: int = 1000,
    seed: int = 0,
) -> float:
    """Return how often NiM-GD injects noise per restart: after step τ as printed, or τ steps after its last noise.

    Parameters
    ----------
    epsilon : float
        Gradient norm below which a point counts as stationary.
    since_last : bool
        Whether t counts from the last injection, as in Jin et al. 2017, or from the start, as Algorithm 2 prints it.
    landscape, rho, tau, lr, restarts, iterations, seed
        As in `popview.landscapes.restarts.sample`; the gradient is not normalised.
    """
    surface = get(landscape)
    points = surface.sample_starts(restarts, generator(seed, "starts"))
    draw, stream = make_noise("ball", "model"), generator(seed, "noise")
    last, injected = torch.zeros(2, restarts, dtype=torch.float64)
    for step in range(1, iterations + 1):
        gradient = surface.gradient(points)
        flat = (gradient.norm(dim=-1) < epsilon) & (step - (last if since_last else 0 * last) > tau)
        if flat.any():
            moved = points + rho * draw([points], stream)[0]
            points = torch.where(flat.unsqueeze(-1), moved, points)
            gradient = torch.where(flat.unsqueeze(-1), surface.gradient(points), gradient)
            last, injected = torch.where(flat, float(step), last), injected + flat
        points = points - lr * gradient
    return float(injected.mean())


def gate_table(epsilons: tuple[float, ...] = (0.001, 0.1, 1.0), **settings: Any) -> pd.DataFrame:
    """Tabulate `noise_injections` under both readings of t: ``epsilon, printed, since_last``, per restart."""
    return pd.DataFrame(
        {
            "epsilon": epsilon,
            "printed": noise_injections(epsilon, since_last=False, **settings),
            "since_last": noise_injections(epsilon, since_last=True, **settings),
        }
        for epsilon in epsilons
    )


def noise_gate(table: pd.DataFrame, tau: int = 50, iterations: int = 1000) -> Check:
    """Compare the two readings of t in Algorithm 2, from `gate_table`."""
    worst = table.loc[(table["printed"] - table["since_last"]).idxmax()]
    found = bool((table["printed"] > table["since_last"]).any())
    return Check(found, {"tau": tau, "iterations": iterations, **worst})
