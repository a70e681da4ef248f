"""Where an optimizer's restarts end on a landscape: the "stationary distribution" of Table 1, as a population.

What is sampled is the distribution of end points after a finite number of steps, over random starts: basin hits. The
paper calls it stationary distribution, and the name is kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from popview.common.seeds import generator, stream
from popview.landscapes.functions import Landscape, get
from popview.optimizers import make
from popview.optimizers.checks import PER_MEMBER

__all__ = ["Sample", "hop_rates", "sample", "sample_each"]

#: Beyond this distance from the origin a restart counts as diverged, as it does when it is not finite.
FAR = 1e3
#: A local descent that ends farther from every minimum than this has not finished; so close to one it is over.
NEAR, ARRIVED = 1e-2, 5e-4


@dataclass(frozen=True)
class Sample:
    """The restarts of one algorithm on one landscape.

    Attributes
    ----------
    starts, ends : Tensor of shape ``(restarts, d)``
    nearest : Tensor of shape ``(restarts,)``
        Index into ``landscape.minima`` of the minimum nearest to the end point.
    distance : Tensor of shape ``(restarts,)``
        Distance to it.
    basin : Tensor of shape ``(restarts,)``
        Index of the minimum in whose basin the end point lies: where a local descent leads from it; −1 where that
        does not finish, as on a saddle.
    diverged : Tensor of shape ``(restarts,)``
        Whether the end point is not finite, or farther than `FAR` from the origin. Counted apart from all minima.
    gradient_evaluations, loss_evaluations : Tensor of shape ``(restarts,)``
    noise_triggers, hops_tried, hops_accepted : Tensor of shape ``(restarts,)``
    path : Tensor of shape ``(records, restarts, d)`` or None
        Every `record_every`-th position, the start included.

    Examples
    --------
    >>> from popview.stationary import sample
    >>> ends = sample("three-hump-camel", "GD", restarts=100, iterations=50)
    >>> ends.ends.shape, ends.gradient_evaluations[0].item()
    (torch.Size([100, 2]), 50)

    Restarts in the basin of each of the three minima; in none; diverged:

    >>> counts = ends.counts_by_basin()
    >>> len(counts), counts.sum().item()
    (5, 100)
    """

    landscape: Landscape
    algorithm: str
    starts: Tensor
    ends: Tensor
    nearest: Tensor
    distance: Tensor
    basin: Tensor
    diverged: Tensor
    gradient_evaluations: Tensor
    loss_evaluations: Tensor
    noise_triggers: Tensor
    hops_tried: Tensor
    hops_accepted: Tensor
    path: Tensor | None = None

    def counts_by_radius(self, radius: float) -> Tensor:
        """Count end points within `radius` of each minimum; then those near none; then the diverged."""
        return self._counts(self.nearest, (self.distance <= radius) & ~self.diverged)

    def counts_by_basin(self) -> Tensor:
        """Count end points in the basin of each minimum; then those in none (−1 in `basin`); then the diverged."""
        return self._counts(self.basin, (self.basin >= 0) & ~self.diverged)

    def _counts(self, index: Tensor, reached: Tensor) -> Tensor:
        minima = len(self.landscape.minima)
        inside = torch.bincount(index[reached], minlength=minima)
        diverged = self.diverged.sum()
        return torch.cat([inside, torch.stack([len(index) - inside.sum() - diverged, diverged])])


def sample(
    landscape: str | Landscape,
    algorithm: str,
    restarts: int = 500,
    *,
    iterations: int = 1000,
    domain: tuple[tuple[float, float], ...] | None = None,
    seed: int = 0,
    record_every: int | None = None,
    penalty: Callable[[Landscape, Tensor], Tensor] | None = None,
    **hyperparameters: Any,
) -> Sample:
    """Run all restarts of an algorithm as one population, and say where each ends.

    Parameters
    ----------
    landscape : str or Landscape
        A name of `LANDSCAPES`, or any landscape.
    algorithm : str
        A name of `popview.optimizers.ALGORITHMS`.
    restarts : int
        Number of starts, drawn by `seed` alone: the same for every algorithm (common random numbers).
    iterations : int
        Updates per restart (the paper's I). SAM pays two gradients for each.
    domain : tuple of (low, high), optional
        Draw starts uniformly from here instead of from the landscape's own domain.
    seed : int
        Of the starts, and of the algorithm's own noise stream.
    record_every : int, optional
        Keep every so-many-th position in `Sample.path`.
    penalty : callable, optional
        Of Basin Hopping: what is added to the value where a hop is accepted or not, such as a weight times a sharpness;
        the landscape and points ``(P, d)`` in, ``(P,)`` out. A hop is accepted where value and penalty together fall.
    **hyperparameters
        Of the algorithm; see `popview.optimizers.hyperparameters`.

    Raises
    ------
    UsageError
        If a name is unknown.
    ValueError
        If `restarts` or `iterations` is below 1, or a hyperparameter out of range.

    Examples
    --------
    Gradient descent on the two-well landscape, whose starts lie on both sides of the boundary equally often:

    >>> from popview.stationary import sample
    >>> ends = sample("two-well", "GD", restarts=1000, iterations=300)
    >>> left, right, nowhere, diverged = ends.counts_by_basin().tolist()
    >>> abs(left - right) < 100, nowhere, diverged
    (True, 0, 0)
    """
    run = _Run(landscape, restarts, iterations, domain, seed, record_every, penalty, hyperparameters)
    return _together(algorithm, [run])[0]


def sample_each(algorithm: str, settings: Iterable[Mapping[str, Any]], **common: Any) -> list[Sample]:
    """Do what `sample` does with each of several settings, as many of them as possible as one population.

    Settings share a population if they differ in nothing but the landscape (of the same dimension), the domain, the
    seed, and the hyperparameters `lr`, `rho`, `epsilon`, `tau` and `temperature`. Each keeps its own starts and its own
    noise stream.

    Parameters
    ----------
    algorithm : str
        A name of `popview.optimizers.ALGORITHMS`.
    settings : iterable of mappings
        What `sample` takes by name: ``landscape, restarts, iterations, domain, seed, record_every, penalty``,
        hyperparameters.
    **common
        The same, for settings that do not say otherwise.

    Returns
    -------
    list of Sample
        One per setting, in their order: what `sample` returns for this setting alone, bit for bit.

    Raises
    ------
    TypeError
        If a setting has no landscape.
    UsageError, ValueError
        As `sample` does.

    Examples
    --------
    >>> from popview.stationary import sample, sample_each
    >>> settings = [{"lr": 0.001, "rho": 0.1}, {"lr": 0.01, "rho": 0.5}]
    >>> both = sample_each("NiG-GD", settings, landscape="himmelblau", restarts=50, iterations=100)
    >>> alone = sample("himmelblau", "NiG-GD", restarts=50, iterations=100, lr=0.01, rho=0.5)
    >>> both[1].ends.equal(alone.ends)
    True
    """
    names = {f.name for f in fields(_Run)} - {"hyperparameters"}
    populations: dict[Any, list[tuple[int, _Run]]] = {}
    for i, setting in enumerate({**common, **setting} for setting in settings):
        own = {name: value for name, value in setting.items() if name in names}
        run = _Run(**own, hyperparameters={name: value for name, value in setting.items() if name not in names})
        populations.setdefault(run.population(), []).append((i, run))
    samples: dict[int, Sample] = {}
    for members in populations.values():
        places, runs = zip(*members, strict=True)
        samples |= dict(zip(places, _together(algorithm, runs), strict=True))
    return [samples[i] for i in sorted(samples)]


@dataclass(frozen=True)
class _Run:
    """What `sample` was asked for."""

    landscape: str | Landscape
    restarts: int = 500
    iterations: int = 1000
    domain: tuple[tuple[float, float], ...] | None = None
    seed: int = 0
    record_every: int | None = None
    penalty: Callable[[Landscape, Tensor], Tensor] | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("restarts", self.restarts), ("iterations", self.iterations)):
            if value < 1:
                raise ValueError(f"{name} must be 1 or above, got {value!r}")

    @cached_property
    def surface(self) -> Landscape:
        return get(self.landscape) if isinstance(self.landscape, str) else self.landscape

    def population(self) -> tuple[Any, ...]:
        """Return what is equal in all runs of one population."""
        fixed = {name: None if name in PER_MEMBER else value for name, value in self.hyperparameters.items()}
        every, penalty = self.record_every, self.penalty
        return self.surface.dimension, self.restarts, self.iterations, every, penalty, frozenset(fixed.items())


def _together(algorithm: str, given: Sequence[_Run]) -> list[Sample]:
    """Run what may be one population as one: landscape by landscape, so that each is evaluated once a step."""
    blocks: dict[Landscape, list[_Run]] = {}
    for run in sorted(given, key=lambda run: float(run.hyperparameters.get("lr", 0))) if len(given) > 1 else given:
        blocks.setdefault(run.surface, []).append(run)  # equal learning rates stand next to each other: one operation
    order, restarts = [run for runs in blocks.values() for run in runs], given[0].restarts
    sizes = [restarts * len(runs) for runs in blocks.values()]
    starts = torch.cat(
        [run.surface.sample_starts(restarts, generator(run.seed, "starts"), run.domain) for run in order]
    )
    points = torch.nn.Parameter(starts.clone())
    hyperparameters = {
        name: _of_members([run.hyperparameters[name] for run in order], restarts) for name in order[0].hyperparameters
    }
    seeds = [stream(run.seed, "noise") for run in order]
    if penalty := given[0].penalty:

        def score(loss_closure: Callable[[], Tensor]) -> Tensor:
            parts = [penalty(s, p) for s, p in zip(blocks, points.detach().split(sizes), strict=True)]
            return loss_closure() + torch.cat(parts)

        hyperparameters["accept"] = score
    optimizer = make(algorithm, [points], population=True, seed=seeds, **hyperparameters)

    def closure() -> Tensor:
        parts = [s.value_and_gradient(p) for s, p in zip(blocks, points.detach().split(sizes), strict=True)]
        value, points.grad = parts[0] if len(parts) == 1 else map(torch.cat, zip(*parts, strict=True))
        return value

    iterations, every = given[0].iterations, given[0].record_every
    records = [starts]
    for taken in range(0, iterations, every or iterations):
        steps = min(every or iterations, iterations - taken)
        optimizer.repeat(closure, steps)
        if every == steps:
            records.append(points.detach().clone())
    optimizer.finish()
    ends = points.detach().clone()
    diverged = ~(ends.norm(dim=-1) <= FAR)
    settled = torch.where(diverged.unsqueeze(-1), 0.0, ends).split(sizes)
    found = [(*s.nearest(p), *s.nearest(s.polish(p, enough=ARRIVED))) for s, p in zip(blocks, settled, strict=True)]
    nearest, distance, basin, left = map(torch.cat, zip(*found, strict=True))
    whole = {"starts": starts, "ends": ends, "nearest": nearest, "distance": distance, "diverged": diverged}
    whole |= {"basin": torch.where(left <= NEAR, basin, -1), **optimizer.counts}
    path = torch.stack(records) if every else None
    samples = {}
    for i, run in enumerate(order):
        rows = slice(i * restarts, (i + 1) * restarts)
        of_run = {name: tensor[rows] for name, tensor in whole.items()}
        samples[id(run)] = Sample(run.surface, algorithm, path=None if path is None else path[:, rows], **of_run)
    return [samples[id(run)] for run in given]


def _of_members(values: list[Any], restarts: int) -> Any:
    """Return a hyperparameter of several runs: what all have, or one number per member."""
    if len(values) == 1 or all(value == values[0] for value in values):
        return values[0]
    return torch.tensor(values, dtype=torch.float64).repeat_interleave(restarts)


def hop_rates(
    landscape: str | Landscape,
    accept: str,
    rho: float,
    *,
    restarts: int = 300,
    hops: int = 40,
    lr: float = 0.01,
    tau: int = 50,
    epsilon: float = 1e-4,
    domain: tuple[tuple[float, float], ...] = ((-2.0, 2.0), (-1.0, 1.0)),
    seed: int = 0,
) -> dict[str, Any]:
    """Measure how often hops of NiM-(M)BH are accepted, and how often they go uphill, under an accept rule.

    Every restart first descends for 400 steps. Uphill means more than 1e-3 above the point before the hop.

    Returns
    -------
    dict
        ``rho, accept``, ``accepted`` and ``uphill`` (shares of all hops), ``hops`` (their number).

    Examples
    --------
    A hop that does not leave the basin ends where it began. Under the classical rule no hop goes uphill:

    >>> from popview.stationary import hop_rates
    >>> hop_rates("six-hump-camel", "always", rho=0.1, restarts=20, hops=5)
    {'rho': 0.1, 'accept': 'always', 'accepted': 1.0, 'uphill': 0.0, 'hops': 100}
    >>> hop_rates("six-hump-camel", "classical", rho=2.0, restarts=20, hops=5)["uphill"]
    0.0
    """
    surface = get(landscape) if isinstance(landscape, str) else landscape
    start = sample(surface, "GD", restarts, iterations=400, lr=lr, domain=domain, seed=seed)
    points = torch.nn.Parameter(start.ends[~start.diverged].clone())
    hyperparameters: dict[str, Any] = {"rho": rho, "tau": tau, "epsilon": epsilon, "lr": lr, "accept": accept}
    optimizer = make("NiM-BH", [points], population=True, seed=stream(seed, "noise"), **hyperparameters)

    def closure() -> Tensor:
        value, points.grad = surface.value_and_gradient(points.detach())
        return value

    previous = surface(points.detach())
    tried, accepted = optimizer.counts["hops_tried"].clone(), optimizer.counts["hops_accepted"].clone()
    kept, uphill = torch.zeros_like(tried), torch.zeros_like(tried)
    while (tried < hops).any():
        optimizer.step(closure)
        ended = (optimizer.counts["hops_tried"] > tried) & (tried < hops)
        value = surface(points.detach())
        kept += ended & (optimizer.counts["hops_accepted"] > accepted)
        uphill += ended & (value > previous + 1e-3)
        first = optimizer.counts["noise_triggers"] == 0  # it polishes what 400 steps have left
        previous = torch.where(ended | first, value, previous)
        tried, accepted = optimizer.counts["hops_tried"].clone(), optimizer.counts["hops_accepted"].clone()
    number = hops * len(points)
    shares = {"accepted": int(kept.sum()) / number, "uphill": int(uphill.sum()) / number}
    return {"rho": rho, "accept": accept, **shares, "hops": number}
