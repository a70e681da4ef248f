"""What the printed formulas and pseudo-code would do if they were followed to the letter, beside what was meant.

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
from popview.paper.audit.check import Check

__all__ = ["gate_table", "noise_gate", "noise_injections", "printed_formulas", "six_hump_stationary_points"]


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
        get("three-hump-camel"),
        formula="2x² − 1.04x⁴ + x⁶/6 + xy + y²",
        value_and_gradient=_three_hump_printed,
    ),
    "six-hump-camel": replace(
        get("six-hump-camel"), formula="(4 − 2.1x² + x⁴/3)x² + xy + (−44y²)y²", value_and_gradient=_six_hump_printed
    ),
}


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


def printed_formulas() -> list[Check]:
    """Check the formulas of Figure 1, and what the text says of the six-hump camel's minima."""
    return [_three_hump(), _six_hump(), _sharpest()]


def _three_hump() -> Check:
    meant, printed = (landscape.minima[-1] for landscape in (get("three-hump-camel"), PRINTED["three-hump-camel"]))
    moved = float(np.hypot(*(np.array(meant.location) - printed.location)))
    return Check(
        name="Formula of the three-hump camel",
        where="Figure 1",
        printed="2x² − 1.04x⁴ + x⁶/6 + xy + y²",
        computed=f"the standard coefficient is 1.05; with 1.04 the local minima move by {moved:.3f}, from "
        f"(±{abs(meant.location[0]):.4f}, ∓{abs(meant.location[1]):.4f}) to (±{abs(printed.location[0]):.4f}, "
        f"∓{abs(printed.location[1]):.4f}), and from {meant.value:.4f} to {printed.value:.4f}",
        p_value=None,
        found=moved > 1e-6,
        impossible=False,
        innocent="a digit misprinted, or misread by the scan; the code may well use the standard formula",
    )


def _six_hump() -> Check:
    points = six_hump_stationary_points()
    minima = int((points["lowest"] > 0).sum())
    far = float(PRINTED["six-hump-camel"](torch.tensor([0.0, 10.0], dtype=torch.float64)))
    return Check(
        name="Formula of the six-hump camel",
        where="Figure 1 and Table 1",
        printed="… + (−44y²)y², and six minima",
        computed=f"as printed it is unbounded below (f(0, 10) = {far:,.0f}), and {minima} of its {len(points)} "
        "stationary points are minima; the standard term is (−4 + 4y²)y²".replace("-", "−"),
        p_value=None,
        found=minima == 0,
        impossible=True,
        innocent="a plus sign lost in print or in the scan: −4 + 4 became −44",
    )


def _sharpest() -> Check:
    local = [m for m in get("six-hump-camel").minima if m.kind == "local"]
    shallow, deep = local[-1], local[0]
    return Check(
        name="The sharpest local minima",
        where="text on Table 1",
        printed="minima are listed flatter before sharper; LM3 and LM4, which few restarts reach, are the sharpest",
        computed=f"the pair at value {shallow.value:.3f} is the flattest of all (trace {shallow.trace:.1f}, against "
        f"{deep.trace:.1f} of the pair at {deep.value:.3f}".replace("-", "−")
        + f") and has the lowest barrier ({shallow.barrier:.3f}, against {deep.barrier:.3f}): if it is LM3 and LM4, "
        "shallow was taken for sharp",
        p_value=None,
        found=shallow.trace < deep.trace,
        impossible=False,
        innocent="LM3 and LM4 are the other pair; then their shares differ from what symmetric starts give",
    )


def acceptance(rho: float = 1.0, *, restarts: int = 300, hops: int = 40, seed: int = 0) -> Check:
    """Measure, on the six-hump camel, how often hops go uphill under Algorithm 9's rule as printed."""
    settings: dict[str, Any] = {"restarts": restarts, "hops": hops, "seed": seed}
    printed, classical = (hop_rates("six-hump-camel", rule, rho, **settings) for rule in ("printed", "classical"))
    return Check(
        name="Monotonic Basin Hopping",
        where="Algorithm 9, lines 6–11",
        printed="w is overwritten by the perturbed point, then the candidate is compared with that; called monotonic",
        computed=f"at ρ = {rho:g} {100 * printed['accepted']:.0f} % of hops are accepted and "
        f"{100 * printed['uphill']:.0f} % end above where they began; compared with the previous minimum, "
        f"{100 * classical['accepted']:.0f} % and {100 * classical['uphill']:.0f} %",
        p_value=None,
        found=printed["uphill"] > 0,
        impossible=True,
        innocent="the box keeps no copy of w for brevity, and the code does",
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
    return Check(
        name="When noise is injected",
        where="Algorithm 2, line 5",
        printed="noise wherever ‖g‖ < ε and t > τ, t counted from the start",
        computed=f"once t > τ = {tau}, a flat region gets noise at every step: up to {worst['printed']:.0f} times in "
        f"{iterations:,} steps (ε = {worst['epsilon']:g}), against {worst['since_last']:.0f} with t counted from the "
        "last noise, as in Jin et al. 2017",
        p_value=None,
        found=bool((table["printed"] > table["since_last"]).any()),
        impossible=False,
        innocent="t was meant to start anew; or the simpler rule was intended, and only the name is borrowed",
    )
