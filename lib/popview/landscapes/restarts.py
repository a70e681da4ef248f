"""Where an optimizer's restarts end on a landscape: the "stationary distribution" of Table 1, as a population.

What is sampled is the distribution of end points after a finite number of steps, over random starts: basin hits. The
paper calls it stationary distribution, and the name is kept.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from popview.common.seeds import generator, stream
from popview.landscapes.functions import Landscape, get
from popview.optimizers import make

__all__ = ["Sample", "hop_rates", "sample"]

#: Beyond this distance from the origin a restart counts as diverged, as it does when it is not finite.
FAR = 1e3
#: A local descent that ends farther from every minimum than this has not finished.
NEAR = 1e-2


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
    surface = get(landscape) if isinstance(landscape, str) else landscape
    for name, value in (("restarts", restarts), ("iterations", iterations)):
        if value < 1:
            raise ValueError(f"{name} must be 1 or above, got {value!r}")
    starts = surface.sample_starts(restarts, generator(seed, "starts"), domain)
    points = torch.nn.Parameter(starts.clone())
    optimizer = make(algorithm, [points], population=True, seed=stream(seed, "noise"), **hyperparameters)

    def closure() -> Tensor:
        value, points.grad = surface.value_and_gradient(points.detach())
        return value

    records = [starts]
    for iteration in range(1, iterations + 1):
        optimizer.step(closure)
        if record_every and iteration % record_every == 0:
            records.append(points.detach().clone())
    optimizer.finish()
    ends = points.detach().clone()
    diverged = ~(ends.norm(dim=-1) <= FAR)
    settled = torch.where(diverged.unsqueeze(-1), 0.0, ends)
    nearest, distance = surface.nearest(settled)
    basin, left = surface.nearest(surface.polish(settled))
    return Sample(
        landscape=surface,
        algorithm=algorithm,
        starts=starts,
        ends=ends,
        nearest=nearest,
        distance=distance,
        basin=torch.where(left <= NEAR, basin, -1),
        diverged=diverged,
        path=torch.stack(records) if record_every else None,
        **optimizer.counts,
    )


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
