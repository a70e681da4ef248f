"""Landscapes with known minima: the paper's three functions and a two-well whose depth and width are set apart.

A landscape maps points of shape ``(..., d)`` to values of shape ``(...)``. Value and gradient are written out
(`popview.landscapes.formulas`), because 500 restarts × 24 cells are computed while a chapter is built; tests check them
against autograd.

The paper's Figure 1 misprints two of the formulas (1.04 for 1.05 in the three-hump camel; −44y² · y² for
(−4 + 4y²) · y² in the six-hump camel, which is then unbounded below). The standard formulas are used here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.integrate
import scipy.optimize
import torch
from torch import Tensor

from popview.common.errors import check_name
from popview.landscapes import formulas
from popview.landscapes.formulas import ValueAndGradient

#: Steps of a descent between two looks at which points have arrived.
LOOK = 10


@dataclass(frozen=True)
class Minimum:
    """A minimum of a landscape.

    Attributes
    ----------
    location : tuple of float
        Solved to a gradient below 1e-10.
    value : float
    eigenvalues : tuple of float
        Of the Hessian, in ascending order.
    barrier : float
        Height of the lowest pass that leads out of its basin into another one, above the minimum's value.
    kind : {"global", "local"}

    Examples
    --------
    >>> from popview.landscapes import get
    >>> lowest = get("himmelblau").minima[0]
    >>> [round(x, 6) for x in lowest.location], round(lowest.barrier, 2), lowest.kind
    ([3.0, 2.0], 13.31, 'global')
    """

    location: tuple[float, ...]
    value: float
    eigenvalues: tuple[float, ...]
    barrier: float
    kind: Literal["global", "local"]

    @property
    def trace(self) -> float:
        """Trace of the Hessian: the sharpness that orders minima of equal value."""
        return sum(self.eigenvalues)


@dataclass(frozen=True)
class Landscape:
    """A smooth function, with its minima where they are known.

    Parameters
    ----------
    name : str
        As in `LANDSCAPES`.
    formula : str
        For the reader.
    value_and_gradient : callable
        Points of shape ``(..., d)`` → values ``(...)`` and gradients ``(..., d)``.
    domain : tuple of (low, high)
        One pair per coordinate: where restarts start by default.
    guesses : tuple of points
        Rough positions of the minima, from which they are solved. Where there are none, no restart is in a basin.
    passes : tuple of points
        Rough positions of the saddles that separate the minima's basins. A minimum without any has an infinite barrier.
    symmetric : bool
        Whether f(−w) = f(w).
    start : callable, optional
        ``(restarts, generator)`` → starts of shape ``(restarts, d)``, where not uniform over the domain.
    window : two pairs (low, high), optional
        The part of the plane of the first two coordinates that figures show; by default the domain's.

    Examples
    --------
    >>> import torch
    >>> from popview.landscapes import Landscape, get
    >>> get("himmelblau")(torch.tensor([[3.0, 2.0], [0.0, 0.0]]))
    tensor([  0., 170.])

    A landscape of a reader's own. At the minima (±1, 0) the Hessian is diagonal with entries 2 and 8. At the saddle
    between them, (0, 0), the value is 1:

    >>> def value_and_gradient(points):
    ...     x, y = points.unbind(-1)
    ...     value = (x**2 - 1) ** 2 + y**2
    ...     return value, torch.stack([4 * x * (x**2 - 1), 2 * y], dim=-1)
    >>> wells = Landscape(
    ...     name="wells",
    ...     formula="(x² − 1)² + y²",
    ...     value_and_gradient=value_and_gradient,
    ...     domain=((-2.0, 2.0), (-1.0, 1.0)),
    ...     guesses=((-0.9, 0.1), (0.9, 0.1)),
    ...     passes=((0.1, 0.1),),
    ... )
    >>> [(minimum.location[0], minimum.eigenvalues, minimum.barrier) for minimum in wells.minima]
    [(-1.0, (2.0, 8.0), 1.0), (1.0, (2.0, 8.0), 1.0)]
    """

    name: str
    formula: str
    value_and_gradient: ValueAndGradient
    domain: tuple[tuple[float, float], ...]
    guesses: tuple[tuple[float, ...], ...] = ()
    passes: tuple[tuple[float, ...], ...] = ()
    symmetric: bool = False
    start: Callable[[int, torch.Generator], Tensor] | None = None
    window: tuple[tuple[float, float], tuple[float, float]] | None = None

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return len(self.domain)

    def __call__(self, points: Tensor) -> Tensor:
        """Return the values, of shape ``(...)``, at points of shape ``(..., d)``."""
        return self.value_and_gradient(self._checked(points))[0]

    def gradient(self, points: Tensor) -> Tensor:
        """Return the gradients, of shape ``(..., d)``, at points of shape ``(..., d)``."""
        return self.value_and_gradient(self._checked(points))[1]

    def hessian(self, points: Tensor) -> Tensor:
        """Return the Hessians, of shape ``(..., d, d)``: the gradient above, differentiated by autograd."""
        with torch.enable_grad():
            points = self._checked(points).detach().requires_grad_()
            gradient = self.gradient(points).unbind(-1)
            rows = [torch.autograd.grad(g.sum(), points, retain_graph=True)[0] for g in gradient]
        return torch.stack(rows, dim=-2)

    def polish(self, points: Tensor, iterations: int = 400, enough: float = 0.0) -> Tensor:
        """Descend from each point to the minimum of its basin, along the gradient flow.

        Heun's method with a step size per point, which grows by a quarter after a step along which the gradient
        changed by less than half and the value did not rise, and is halved otherwise, the step taken back. Plain
        descent steps of that length leave the basin too often (2 % on the three-hump camel); these end where an
        integrated flow does, as a test shows.

        Parameters
        ----------
        points : Tensor of shape ``(P, d)``
        iterations : int
            Evaluations of the gradient, two a step. The default is enough from within 20 of the paper's minima.
        enough : float
            A point that has come this close to a minimum is followed no further; by default all are.

        Returns
        -------
        Tensor of shape ``(P, d)``; points that are not finite stay as they are.
        """
        points = self._checked(points)
        size = torch.full_like(points[..., :1], 1e-3)
        value, gradient = self.value_and_gradient(points)
        ends, places = points.clone(), torch.arange(len(points))
        for step in range(iterations // 2):
            if enough and step % LOOK == 0:
                ends[places] = points
                far = self.nearest(points)[1] > enough
                places, points, size, value, gradient = (t[far] for t in (places, points, size, value, gradient))
            ahead = self.value_and_gradient(points - size * gradient)[1]
            trial = points - size / 2 * (gradient + ahead)
            trial_value, trial_gradient = self.value_and_gradient(trial)
            straight = (ahead - gradient).norm(dim=-1) <= gradient.norm(dim=-1) / 2
            good = straight & (trial_value <= value)
            rows = good.unsqueeze(-1)
            points, value = torch.where(rows, trial, points), torch.where(good, trial_value, value)
            gradient = torch.where(rows, trial_gradient, gradient)
            size = size * torch.where(rows, 1.25, 0.5)
        ends[places] = points
        return ends

    def nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the index into `minima` of the nearest minimum, and the distance to it, for points ``(P, d)``.

        −1 and ∞ where no minimum is known.
        """
        if not self.minima:
            return torch.full(points.shape[:1], -1), points.new_full(points.shape[:1], torch.inf)
        locations = torch.tensor([m.location for m in self.minima], dtype=points.dtype)
        distance, index = torch.cdist(points, locations, compute_mode="donot_use_mm_for_euclid_dist").min(dim=-1)
        return index, distance

    def _checked(self, points: Tensor) -> Tensor:
        if points.shape[-1:] != (self.dimension,):
            raise ValueError(
                f"points of {self.name} must have shape (..., {self.dimension}), got {tuple(points.shape)}"
            )
        return points

    def sample_starts(
        self, restarts: int, generator: torch.Generator, domain: tuple[tuple[float, float], ...] | None = None
    ) -> Tensor:
        """Draw starts of shape ``(restarts, d)``: uniform over `domain`, by default as the landscape has it.

        Raises
        ------
        ValueError
            If the domain is not one finite (low, high) pair per coordinate, low below high.
        """
        if domain is None and self.start is not None:
            return self.start(restarts, generator)
        box = self.domain if domain is None else domain
        if len(box) != self.dimension or not all(-math.inf < low < high < math.inf for low, high in box):
            raise ValueError(f"domain must be {self.dimension} finite pairs low < high on {self.name}, got {domain!r}")
        low, high = torch.tensor(box, dtype=torch.float64).T
        return low + (high - low) * torch.rand(restarts, self.dimension, dtype=torch.float64, generator=generator)

    @cached_property
    def minima(self) -> tuple[Minimum, ...]:
        """All minima, ordered by value, then by the Hessian's trace, then by x."""
        points = [self._stationary(guess) for guess in self.guesses]
        values = [self._value(point) for point in points]
        minima = [
            Minimum(
                location=tuple(point.tolist()),
                value=value,
                eigenvalues=tuple(np.linalg.eigvalsh(self._hessian(point)).tolist()),
                barrier=pass_ - value,
                kind="global" if value - min(values) < 1e-9 else "local",
            )
            for point, value, pass_ in zip(points, values, self._lowest_passes(points), strict=True)
        ]
        return tuple(sorted(minima, key=lambda m: (round(m.value, 9), round(m.trace, 6), m.location[0])))

    @cached_property
    def saddles(self) -> tuple[tuple[float, ...], ...]:
        """The saddles that separate basins, solved from `passes`."""
        return tuple(tuple(self._stationary(guess).tolist()) for guess in self.passes)

    def _value(self, point: np.ndarray) -> float:
        return float(self(torch.as_tensor(point)))

    def _gradient(self, point: np.ndarray) -> np.ndarray:
        return self.gradient(torch.as_tensor(point)).numpy()

    def _hessian(self, point: np.ndarray) -> np.ndarray:
        return self.hessian(torch.as_tensor(point)).numpy()

    def _stationary(self, guess: tuple[float, ...]) -> np.ndarray:
        """Solve ∇f = 0 from a guess by Newton's method (SciPy's hybrid Powell with the exact Hessian)."""
        solved = scipy.optimize.root(self._gradient, np.array(guess, dtype=float), jac=self._hessian, tol=1e-14)
        if np.abs(self._gradient(solved.x)).max() > 1e-10:
            raise ArithmeticError(f"{self.name}: no stationary point near {guess}")
        return solved.x

    def _lowest_passes(self, minima: list[np.ndarray]) -> list[float]:
        """Return for each minimum the value of the lowest saddle from which the flow leads to it on one side only."""
        lowest = [np.inf] * len(minima)
        for saddle in map(np.array, self.saddles):
            downhill = np.linalg.eigh(self._hessian(saddle))[1][:, 0]
            ends = self.polish(torch.as_tensor(np.stack([saddle - 1e-3 * downhill, saddle + 1e-3 * downhill]))).numpy()
            sides = {int(np.argmin([np.linalg.norm(end - m) for m in minima])) for end in ends}
            if len(sides) == 2:
                for side in sides:
                    lowest[side] = min(lowest[side], self._value(saddle))
        return lowest


def two_well(
    dimension: int = 2, depth: float = 0.0, curvatures: tuple[float, float] = (2.0, 20.0), height: float = 1.0
) -> Landscape:
    """Return a double well along the first axis whose two wells differ in depth and in width independently.

    With y the other coordinates and s the C² step from 0 to 1 over [−1, 1]
    (s = 6t⁵ − 15t⁴ + 10t³, t = (x + 1)/2 clamped to [0, 1]),

        f(x, y) = height · (x² − 1)² + depth · s(x) + ½ k(x) ‖y‖²,   k(x) = k₋ + (k₊ − k₋) s(x).

    The minima are exactly (−1, 0) with value 0 and (1, 0) with value `depth`; the Hessian there is 8 · height along x
    and k₋ or k₊ across it. Starts are drawn on both sides of the separatrix of the gradient flow: y uniform in the
    unit ball, x uniform within 1 of the separatrix at that ‖y‖. Gradient flow splits them 50 : 50 in expectation; an
    algorithm's preference is its deviation from that.

    Parameters
    ----------
    dimension : int
        Number of coordinates, 2 or more.
    depth : float
        Value of the right well; the left one's is 0. There are two wells at any depth, but the shallower one's barrier
        shrinks: 0.13 · height where |depth| = 5 · height. Up to 100 · height are taken.
    curvatures : (float, float)
        k₋ and k₊, the transverse curvatures of the left and of the right well: the smaller, the wider.
    height : float
        Of the barrier, where `depth` is 0.

    Raises
    ------
    ValueError
        If a parameter is out of range or not finite.

    Examples
    --------
    A right well that is deeper by 0.1 and ten times narrower:

    >>> from popview.landscapes import two_well
    >>> for minimum in two_well(depth=-0.1, curvatures=(2.0, 20.0)).minima:
    ...     print([round(x, 6) for x in minimum.location], round(minimum.value, 6), round(minimum.trace, 6))
    [1.0, 0.0] -0.1 28.0
    [-1.0, 0.0] 0.0 10.0
    """
    if dimension < 2:
        raise ValueError(f"dimension must be 2 or more, got {dimension!r}")
    if len(curvatures) != 2 or not all(0 < scale < math.inf for scale in (height, *curvatures)):
        raise ValueError(f"height and two curvatures must be above 0, got {height!r} and {curvatures!r}")
    if not abs(depth) <= 100 * height:
        raise ValueError(f"depth must be within 100 times the height, {height!r}, of 0, got {depth!r}")
    value_and_gradient = formulas.two_well_formula(dimension, depth, curvatures, height)

    # for |x| < 1, df/dx on the axis is (1 − x²)(q (1 − x²) − 4 height x) with q = 15/16 depth: one saddle, and no other
    q = 15 / 16 * depth
    saddle = q / (2 * height + math.hypot(2 * height, q))
    zeros = (0.0,) * (dimension - 1)
    separatrix = _separatrix(value_and_gradient, saddle, dimension)

    def start(restarts: int, generator: torch.Generator) -> Tensor:
        y = torch.randn(restarts, dimension - 1, dtype=torch.float64, generator=generator)
        uniform = torch.rand(2, restarts, dtype=torch.float64, generator=generator)
        radius = uniform[0] ** (1 / (dimension - 1))
        x = torch.as_tensor(separatrix(radius.numpy())) + 2 * uniform[1] - 1
        return torch.cat([x.unsqueeze(-1), y * (radius / y.norm(dim=-1)).unsqueeze(-1)], dim=-1)

    return Landscape(
        name="two-well",
        formula="height (x² − 1)² + depth s(x) + ½ k(x) ‖y‖²",
        value_and_gradient=value_and_gradient,
        domain=((-2.0, 2.0), *((-1.0, 1.0),) * (dimension - 1)),
        guesses=((-1.0, *zeros), (1.0, *zeros)),
        passes=((saddle, *zeros),),
        start=start,
        window=((-1.9, 1.9), (-1.2, 1.2)),
    )


def _separatrix(
    value_and_gradient: ValueAndGradient, saddle: float, dimension: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Return x on the boundary of the two basins as a function of ‖y‖ in [0, 1].

    The boundary is the saddle's stable manifold: from beside the saddle, climb along +∇f (where x is contracting)
    until ‖y‖ = 1. The flow is radial in y, so the plane (x, ‖y‖) is enough.
    """

    def ascent(radius: float, x: np.ndarray) -> np.ndarray:
        point = torch.zeros(dimension, dtype=torch.float64)
        point[0], point[1] = float(x[0]), radius
        gradient = value_and_gradient(point)[1]
        return np.array([float(gradient[0] / gradient[1])])

    near = 1e-3
    curve = scipy.integrate.solve_ivp(ascent, (near, 1), [saddle], "LSODA", rtol=1e-9, atol=1e-11, dense_output=True)
    return lambda radius: curve.sol(np.clip(radius, near, 1))[0]


_SQUARE = ((-5.0, 5.0), (-5.0, 5.0))

LANDSCAPES: dict[str, Landscape] = {
    "himmelblau": Landscape(
        name="himmelblau",
        formula="(x² + y − 11)² + (x + y² − 7)²",
        value_and_gradient=formulas.on_coordinates(formulas.himmelblau),
        domain=_SQUARE,
        guesses=((3.0, 2.0), (3.6, -1.8), (-2.8, 3.1), (-3.8, -3.3)),
        passes=((3.4, 0.1), (0.1, 2.9), (-3.1, -0.1), (-0.1, -1.95)),
    ),
    "three-hump-camel": Landscape(
        name="three-hump-camel",
        formula="2x² − 1.05x⁴ + x⁶/6 + xy + y²",
        value_and_gradient=formulas.on_coordinates(formulas.three_hump_camel),
        domain=_SQUARE,
        guesses=((0.0, 0.0), (1.75, -0.87), (-1.75, 0.87)),
        passes=((1.07, -0.54), (-1.07, 0.54)),
        symmetric=True,
        window=((-2.6, 2.6), (-2.2, 2.2)),
    ),
    "six-hump-camel": Landscape(
        name="six-hump-camel",
        formula="(4 − 2.1x² + x⁴/3)x² + xy + (−4 + 4y²)y²",
        value_and_gradient=formulas.on_coordinates(formulas.six_hump_camel),
        domain=((-3.0, 3.0), (-2.0, 2.0)),
        guesses=((0.09, -0.71), (-0.09, 0.71), (1.7, -0.8), (-1.7, 0.8), (1.6, 0.57), (-1.6, -0.57)),
        passes=((0.0, 0.0), (1.11, -0.77), (-1.11, 0.77), (1.64, 0.23), (-1.64, -0.23), (1.3, 0.6), (-1.3, -0.6)),
        symmetric=True,
        window=((-2.1, 2.1), (-1.3, 1.3)),
    ),
    "two-well": two_well(),
}


def get(name: str) -> Landscape:
    """Return the landscape of that name.

    Raises
    ------
    UsageError
        If there is none; the message names the nearest.

    Examples
    --------
    >>> from popview.landscapes import get
    >>> get("six-hump-camel").formula
    '(4 − 2.1x² + x⁴/3)x² + xy + (−4 + 4y²)y²'
    """
    check_name("landscape", name, LANDSCAPES)
    return LANDSCAPES[name]
