"""Low paths between two points of a loss: FourierPathFinder (Yu and Morozov, arXiv 2602.21276), batched over pairs."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from popview.common.errors import UsageError, check_name

#: Parameter vectors of shape ``(N, d)`` → losses of shape ``(N,)``.
Loss = Callable[[Tensor], Tensor]

OBJECTIVES = ("sum", "maximum")
#: A fit has converged when its objective has stayed within the tolerance for this many steps.
WINDOW = 50
#: Numbers in the parameter vectors evaluated at once, by default: 8 MB in single precision.
NUMBERS = 2**21


@dataclass(frozen=True)
class FourierPath:
    """A path ω(t) = (1 − t) start + t end + Σₙ bₙ sin(nπt) and the loss along it; ``...`` is empty or the pairs.

    Attributes
    ----------
    start, end : Tensor of shape ``(..., d)``
    coefficients : Tensor of shape ``(..., terms, d)``
        The bₙ.
    points : Tensor of shape ``(n,)``
        The t at which the losses below are given: 2,001 or more, from 0 to 1.
    losses, straight_losses : Tensor of shape ``(..., n)``
        Along the path, and along the straight line between its ends.
    objective : Tensor of shape ``(...)``
        What was minimised, as it was at the last step.
    steps : Tensor of shape ``(...)``
        Of Adam, taken.
    converged : Tensor of shape ``(...)``
        Whether the fit ended because the objective no longer changed.

    Examples
    --------
    >>> import torch
    >>> from popview.topography import FourierPathFinder
    >>> bowl = FourierPathFinder(lambda w: w.square().sum(-1), steps=10)
    >>> path = bowl.fit(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 0.0]))
    >>> path.coefficients.shape, path.points.shape, path.losses.shape
    (torch.Size([10, 2]), torch.Size([2001]), torch.Size([2001]))

    The ends are the highest points of the straight line through a bowl, and so of the path:

    >>> path.height.item(), path.rise.item(), path.straight_height.item()
    (1.0, 0.0, 1.0)
    >>> path.at(torch.tensor([0.0, 1.0])).tolist()[1][0]
    1.0
    """

    start: Tensor
    end: Tensor
    coefficients: Tensor
    points: Tensor
    losses: Tensor
    straight_losses: Tensor
    objective: Tensor
    steps: Tensor
    converged: Tensor

    @property
    def height(self) -> Tensor:
        """Highest loss along the path: an upper bound of the lowest pass between its ends (up to the grid)."""
        return self.losses.amax(-1)

    @property
    def rise(self) -> Tensor:
        """Height above the higher of the two ends; 0 where the path only descends from it."""
        return self.height - self._higher_end

    @property
    def straight_height(self) -> Tensor:
        """Highest loss along the straight line: the control."""
        return self.straight_losses.amax(-1)

    @property
    def straight_rise(self) -> Tensor:
        """Height of the straight line above the higher of the two ends."""
        return self.straight_height - self._higher_end

    @property
    def _higher_end(self) -> Tensor:
        return torch.maximum(self.straight_losses[..., 0], self.straight_losses[..., -1])

    def at(self, points: Tensor) -> Tensor:
        """Return the path at t = `points`, of shape ``(n,)``, as ``(..., n, d)``."""
        basis = torch.cat([torch.stack([self.start, self.end], -2), self.coefficients], -2)
        return _weights(points, self.coefficients.shape[-2]).to(basis) @ basis


@dataclass(frozen=True)
class Profile:
    """The loss along paths, on a grid that was filled in where it is highest.

    Attributes
    ----------
    points : Tensor of shape ``(n,)``
        The t of the coarse grid, from 0 to 1.
    losses : Tensor of shape ``(pairs, n)``
        There.
    height : Tensor of shape ``(pairs,)``
        Highest loss found.

    Examples
    --------
    >>> import torch
    >>> from popview.topography import profile
    >>> start, end = torch.tensor([[-1.0]]), torch.tensor([[2.0]])
    >>> straight = profile(lambda w: w.square().sum(-1), start, end, torch.zeros(1, 0, 1), grids=(3, 6))
    >>> straight.losses
    tensor([[1., 0., 1., 4.]])
    """

    points: Tensor
    losses: Tensor
    height: Tensor


def _weights(points: Tensor, terms: int) -> Tensor:
    """Return what multiplies start, end and each bₙ at t = `points`: shape ``(n, 2 + terms)``."""
    t = points.to(torch.float64).unsqueeze(1)
    sines = torch.sin(math.pi * t * torch.arange(1, terms + 1, dtype=t.dtype, device=t.device))
    return torch.cat([1 - t, t, sines], dim=1)


def along(loss: Loss, weights: Tensor, basis: Tensor, batch: int) -> Tensor:
    """Return the losses at linear mixtures of vectors: the vectors ``weights @ basis``.

    A loss that can do that cheaper than vector by vector has a method ``along(weights, basis)`` of its own (see
    `PerceptronLoss`), which is used.

    Parameters
    ----------
    loss : callable
        Vectors ``(N, d)`` → losses ``(N,)``.
    weights : Tensor of shape ``(n, k)``
    basis : Tensor of shape ``(pairs, k, d)``
    batch : int
        Vectors evaluated at once (at least one for each pair).

    Returns
    -------
    Tensor of shape ``(pairs, n)``

    Raises
    ------
    UsageError
        If the loss returns another shape than one loss per vector.
    """
    if hasattr(loss, "along"):
        return loss.along(weights, basis)
    parts = []
    for some in weights.split(max(1, batch // len(basis))):
        vectors = (some @ basis).flatten(0, 1)
        losses = loss(vectors)
        if not isinstance(losses, Tensor) or losses.shape != vectors.shape[:1]:
            shape = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise UsageError(f"loss must map vectors {tuple(vectors.shape)} to losses ({len(vectors)},), got {shape}")
        parts.append(losses.view(len(basis), -1))
    return torch.cat(parts, 1)


@torch.no_grad()
def profile(
    loss: Loss, start: Tensor, end: Tensor, coefficients: Tensor, *, grids: Sequence[int] = (100, 2000), batch: int = 8
) -> Profile:
    """Return the loss along paths and its height, from few points: a coarse grid, filled in around its highest point.

    The height is that of the finest grid as long as the highest point of each grid lies within a segment of the highest
    of the grid before. A path of ten sines crosses five points of a grid of 50 between two turns of its last one.

    Parameters
    ----------
    loss : callable
    start, end : Tensor of shape ``(pairs, d)``
    coefficients : Tensor of shape ``(pairs, terms, d)``
        With no terms: the straight line.
    grids : sequence of int
        Segments of the grids, from coarse to fine, each a multiple of the one before.
    batch : int
        Vectors evaluated at once.

    Raises
    ------
    UsageError
        If a grid is no multiple of the one before, or the loss returns another shape than one loss per vector.

    Examples
    --------
    Along the straight line from −1 to 1 the loss (1 − w²)² is highest in the middle. The coarse grid of three segments
    has no point there. The grid of six, which is evaluated around the highest points of the coarse one, has:

    >>> import torch
    >>> from popview.topography import profile
    >>> start, end = torch.tensor([[-1.0]]), torch.tensor([[1.0]])
    >>> straight = profile(lambda w: (1 - w.square()).square().sum(-1), start, end, torch.zeros(1, 0, 1), grids=(3, 6))
    >>> [round(loss, 2) for loss in straight.losses[0].tolist()], straight.height.item()
    ([0.0, 0.79, 0.79, 0.0], 1.0)
    """
    if not grids or grids[0] < 1 or any(fine % coarse for coarse, fine in pairwise(grids)):
        raise UsageError(f"grids must be numbers of segments, each a multiple of the one before, got {tuple(grids)!r}")
    basis = torch.cat([torch.stack([start, end], 1), coefficients], 1)
    points = torch.linspace(0, 1, grids[-1] + 1, dtype=torch.float64, device=start.device)
    weights, step = _weights(points, coefficients.shape[1]).to(start), grids[-1] // grids[0]
    losses = along(loss, weights[::step], basis, batch)
    heights = []
    for row, one in zip(losses, basis.split(1), strict=True):
        known = dict(zip(range(0, grids[-1] + 1, step), row.nan_to_num(math.inf).tolist(), strict=True))
        for coarse, fine in pairwise(grids):
            top = max(known, key=known.__getitem__)
            width, gap = grids[-1] // coarse, grids[-1] // fine
            low, high = max(0, top - width), min(grids[-1], top + width)
            near = [i for i in range(low, high + 1, gap) if i not in known]
            found = along(loss, weights[near], one, batch)[0] if near else row[:0]
            known |= dict(zip(near, found.nan_to_num(math.inf).tolist(), strict=True))
        heights.append(max(known.values()))
    return Profile(points[::step].to(start), losses, losses.new_tensor(heights))


class FourierPathFinder:
    """Find low paths between pairs of points: straight lines bent by `terms` sines, fitted by Adam.

    Minimises, over the coefficients bₙ, Σₘ loss(ω(m/M)) + penalty · Σₘ ‖ω(m/M) − ω((m − 1)/M)‖², both ends included.
    With ``objective="maximum"`` the first sum is replaced by the soft maximum T log Σₘ exp(loss/T): the sum may be
    lowered by a path that crosses high ground fast, and is not the height. What is reported is the loss on a finer
    grid, since the fitted points step over the top.

    The fit is a descent from the straight line (or from `coefficients`), and the height so found depends on it: it
    bounds the lowest pass from above. Pairs don't influence each other.

    Parameters
    ----------
    loss : callable
        Differentiable; parameter vectors of shape ``(N, d)`` → losses ``(N,)``. A landscape is one;
        `popview.topography.network_loss` and `PerceptronLoss` make one of a network.
    terms : int
        Sines, fewer than `points`; more than half as many let the path swing between the points that are fitted.
    points : int
        M, the segments of the path that is fitted.
    penalty : float
        On the squared lengths of the segments. A large one gives the straight line.
    objective : {"sum", "maximum"}
    temperature : (float, float)
        First and last T of the soft maximum, which falls geometrically over the first half of the steps: as shares of
        the range of the losses along the path that the fit starts from.
    steps : int
        Of Adam, at most; its rate falls linearly to 0 over them.
    lr : float
        Adam's first rate, as a share of the root mean square of end − start, which makes the fit independent of the
        unit of the parameters.
    tolerance : float
        A pair's fit ends when its objective has varied by less than this share of itself for 50 steps.
    fine : int
        Segments of the grid for heights and profiles, 2,000 or more.
    batch : int, optional
        Vectors evaluated at once (whole paths, at least one); by default as many as make 2²¹ numbers.

    Raises
    ------
    UsageError
        If a value is out of range.

    References
    ----------
    Yu and Morozov 2026, arXiv 2602.21276: the path and its objective (terms 10, M = 50, penalty 10⁻⁴ for networks).

    Examples
    --------
    Two minima of Himmelblau's function. The highest point of the straight line between them is above that of the bent
    path, and the path's is above the lowest pass:

    >>> import torch
    >>> from popview.landscapes import get
    >>> from popview.topography import FourierPathFinder, lowest_passes
    >>> landscape = get("himmelblau")
    >>> start, end = (torch.tensor(landscape.minima[i].location, dtype=torch.float64) for i in (0, 2))
    >>> path = FourierPathFinder(landscape, terms=3, steps=100).fit(start, end)
    >>> true = lowest_passes(landscape)[0, 2].item()
    >>> round(true, 2), true <= path.height < path.straight_height
    (67.72, tensor(True))
    """

    def __init__(
        self,
        loss: Loss,
        terms: int = 10,
        points: int = 50,
        penalty: float = 1e-4,
        *,
        objective: str = "sum",
        temperature: tuple[float, float] = (0.1, 0.001),
        steps: int = 1000,
        lr: float = 0.005,
        tolerance: float = 1e-6,
        fine: int = 2000,
        batch: int | None = None,
    ) -> None:
        check_name("objective", objective, OBJECTIVES)
        least = {"terms": 1, "steps": 1, "fine": 2000, "batch": 1}
        wholes = {"terms": terms, "steps": steps, "fine": fine} | ({} if batch is None else {"batch": batch})
        for name, value in wholes.items():
            if not isinstance(value, int) or value < least[name]:
                raise UsageError(f"{name} must be a whole number, {least[name]} or above, got {value!r}")
        if not isinstance(points, int) or points <= terms:
            raise UsageError(f"points must be a whole number above the number of terms, {terms}, got {points!r}")
        for name, number in (("penalty", penalty), ("tolerance", tolerance)):
            if not 0 <= number < math.inf:
                raise UsageError(f"{name} must be 0 or above, and finite, got {number!r}")
        if not 0 < lr < math.inf:
            raise UsageError(f"lr must be above 0 and finite, got {lr!r}")
        if len(temperature) != 2 or not 0 < temperature[1] <= temperature[0] < math.inf:
            raise UsageError(f"temperature must be (first, last) with first >= last > 0, got {temperature!r}")
        self.loss, self.terms, self.points, self.penalty = loss, terms, points, penalty
        self.objective, self.temperature = objective, temperature
        self.steps, self.lr, self.tolerance, self.fine, self.batch = steps, lr, tolerance, fine, batch

    def fit(self, start: Tensor, end: Tensor, coefficients: Tensor | None = None) -> FourierPath:
        """Fit the path between two points, or between the points of each pair.

        Parameters
        ----------
        start, end : Tensor of shape ``(d,)`` or ``(pairs, d)``
        coefficients : Tensor of shape ``(terms, d)`` or ``(pairs, terms, d)``, optional
            Of the path to begin with, such as those of a path fitted before; by default the straight line.

        Returns
        -------
        FourierPath
            Without the dimension of pairs where `start` had none. Where the losses were not finite all along, they are
            so in the result, and the height is NaN or infinite.

        Raises
        ------
        UsageError
            If shapes or types don't fit, an end is not finite, or the loss returns something else than one
            differentiable loss per vector.
        """
        start, end, coefficients = self._checked(start, end, coefficients)
        single = start.dim() == 1
        if single:
            start, end, coefficients = start.unsqueeze(0), end.unsqueeze(0), coefficients.unsqueeze(0)
        points = torch.linspace(0, 1, self.fine + 1, dtype=torch.float64, device=start.device)
        parts = []
        for group in self._groups(start, end, coefficients):
            found = self._fit(*group)
            first, last, _ = group
            straight = self._profile(points, first, last, found[0][:, :0])
            parts.append((found[0], self._profile(points, first, last, found[0]), straight, *found[1:]))
        fitted = [torch.cat(part) for part in zip(*parts, strict=True)]
        if single:
            start, end, fitted = start.squeeze(0), end.squeeze(0), [part.squeeze(0) for part in fitted]
        return FourierPath(start, end, fitted[0], points.to(start), *fitted[1:])

    def _groups(self, *given: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Yield start, end and coefficients of as many pairs as are fitted at once."""
        size = max(1, self._batch(given[0]) // (self.points + 1))
        return zip(*(t.split(size) for t in given), strict=True)

    def _batch(self, vectors: Tensor) -> int:
        return max(1, NUMBERS // vectors.shape[1]) if self.batch is None else self.batch

    def _checked(self, start: Tensor, end: Tensor, coefficients: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        for name, value in (("start", start), ("end", end)):
            if not isinstance(value, Tensor) or not value.is_floating_point() or value.dim() not in (1, 2):
                raise UsageError(f"{name} must be a floating-point tensor of shape (d,) or (pairs, d)")
            if not value.numel() or not torch.isfinite(value).all():
                raise UsageError(f"{name} must not be empty and must be finite")
        if start.shape != end.shape or start.dtype != end.dtype:
            described = [f"{tuple(t.shape)} {t.dtype}" for t in (start, end)]
            raise UsageError(f"start and end must be of one shape and type, got {' and '.join(described)}")
        shape = (*start.shape[:-1], self.terms, start.shape[-1])
        if coefficients is None:
            coefficients = start.new_zeros(shape)
        if coefficients.shape != shape:
            raise UsageError(f"coefficients must have shape {shape}, got {tuple(coefficients.shape)}")
        return start.detach(), end.detach(), coefficients.detach().to(start)

    @torch.enable_grad()
    def _fit(self, start: Tensor, end: Tensor, coefficients: Tensor) -> tuple[Tensor, ...]:
        """Fit a group of pairs; return coefficients, objective, steps taken, and whether each converged."""
        unit, bent = self.bent(start, end)
        moving = (coefficients / unit).requires_grad_()  # in units of the distance
        adam = torch.optim.Adam([moving], lr=self.lr)
        found, reached = coefficients, torch.full_like(start[:, 0], math.nan)
        taken, spread = torch.zeros_like(reached, dtype=torch.int64), None
        running = torch.ones_like(taken, dtype=torch.bool)
        recent = torch.full((WINDOW, len(start)), math.inf).to(start)
        for step in range(1, self.steps + 1):
            losses, length = bent(moving)
            if spread is None:
                if not losses.requires_grad:
                    raise UsageError("loss must be differentiable: what it returned carries no gradient")
                spread = (losses.amax(1) - losses.amin(1)).detach().clamp(min=torch.finfo(start.dtype).eps)
            objective = self.aim(losses, spread, step) + self.penalty * length
            moving.grad, adam.param_groups[0]["lr"] = None, self.lr * (1 - (step - 1) / self.steps)
            objective.sum().backward()
            adam.step()
            reached = torch.where(running, objective.detach(), reached)
            recent[step % WINDOW] = reached
            settled = recent.amax(0) - recent.amin(0) <= self.tolerance * reached.abs()
            now = running & (settled | (step == self.steps))
            if now.any():
                found = torch.where(now.view(-1, 1, 1), (unit * moving).detach(), found)
                taken = torch.where(now, step, taken)
            running = running & ~settled
            if not running.any():
                break
        return found, reached, taken, ~running

    def bent(self, start: Tensor, end: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
        """Return a unit of length for each pair, and what maps coefficients in that unit to a path's losses and length.

        The unit is the root mean square of end − start, shape ``(pairs, 1, 1)``. Losses are those at the fitted points,
        ``(pairs, M + 1)``; lengths are the sums of the squared lengths of the segments, ``(pairs,)``.
        """
        unit = (end - start).square().mean(1).sqrt().view(-1, 1, 1)
        unit = torch.where(unit > 0, unit, 1)
        points = torch.linspace(0, 1, self.points + 1, dtype=torch.float64, device=start.device)
        weights, ends = _weights(points, self.terms).to(start), torch.stack([start, end], 1)
        order = torch.arange(1, self.terms + 1, dtype=torch.float64, device=start.device)
        # Σₘ (sin nπ(m+1)/M − sin nπm/M)²; the products of two different terms, and with the straight line, sum to 0
        stretch = (2 * self.points * torch.sin(order * math.pi / (2 * self.points)).square()).to(start)
        straight = (end - start).square().sum(1) / self.points

        def path(moving: Tensor) -> tuple[Tensor, Tensor]:
            terms = unit * moving
            losses = along(self.loss, weights, torch.cat([ends, terms], 1), self._batch(start))
            return losses, straight + (stretch.unsqueeze(1) * terms.square()).sum((1, 2))

        return unit, path

    def aim(self, losses: Tensor, spread: Tensor, step: int) -> Tensor:
        """Return the sum of the losses on each path, or their soft maximum at the temperature of the step."""
        if self.objective == "sum":
            return losses.sum(1)
        first, last = self.temperature
        temperature = (spread * first * (last / first) ** min(1, 2 * step / self.steps)).unsqueeze(1)
        return (temperature * torch.logsumexp(losses / temperature, 1, keepdim=True)).squeeze(1)

    @torch.no_grad()
    def _profile(self, points: Tensor, start: Tensor, end: Tensor, coefficients: Tensor) -> Tensor:
        """Return the losses at all `points` of each pair, shape ``(pairs, n)``."""
        weights, basis = _weights(points, coefficients.shape[1]).to(start), torch.stack([start, end], 1)
        return along(self.loss, weights, torch.cat([basis, coefficients], 1), self._batch(start))
