"""What is taken from trained solutions: barriers of random pairs, and inner products."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from popview.common.errors import setting_up
from popview.runs import store
from popview.runs.solutions.parts import TopographyPart
from popview.runs.solutions.training import Found, stored_weights
from popview.runs.solutions.vectors import Network
from popview.topography import (
    FourierPathFinder,
    SettledPaths,
    gram,
    match,
    profile,
    random_pairs,
    settle,
)

#: Segments of the profiles that are kept, at most.
KEPT = 100

#: Of the drawing of pairs: the same pairs of seeds for every algorithm and stage.
PAIRS_SEED = 0


def measure_barriers(part: TopographyPart, root: Path) -> Found:
    """Find paths between a part's pairs and return their heights.

    Returns
    -------
    Found
        One row per pair: ``first, second`` (the seeds), ``distance`` between the ends, ``start_loss, end_loss``,
        ``height, rise`` (above the higher end), ``straight_height, straight_rise``, ``earlier_height, steps,
        converged`` (see `popview.topography`'s `SettledPaths`), ``profile`` and ``straight_profile`` (losses at equally
        spaced points from 0 to 1, 101 at most, float32). Pairs of which a run did not reach the stage are left out; the
        metadata say how many.

    Raises
    ------
    Unavailable
        If the network's task cannot be set up.
    """
    began, given = time.process_time(), part.settings
    trained = given["sources"][0]["settings"]
    with setting_up(part.task):
        network = Network.of(trained["task"], trained["model"])
    solutions, there = _solutions(part, root)
    drawn = random_pairs(given["solutions"], given["pairs"], PAIRS_SEED)[part.seed : part.seed + given["count"]]
    usable = drawn[there[drawn].all(1)]
    if given["ends"] == "aligned":
        ends = [_aligned(network, solutions[i], solutions[j]) for i, j in usable]
    else:
        ends = [solutions[j] for j in usable[:, 1]]
    start, end = solutions[usable[:, 0]], torch.stack(ends) if ends else solutions[:0]
    columns = _paths(network, start, end, given) if len(usable) else {}
    names = {"first": usable[:, 0], "second": usable[:, 1]}
    facts = {"missing": len(drawn) - len(usable), "seconds": time.process_time() - began}
    return Found(part, store.described(pa.table(names | columns), part, **facts))


def _solutions(part: TopographyPart, root: Path) -> tuple[Tensor, np.ndarray]:
    """Return the parameter vectors ``(n, d)`` of a part's sources at its stage, and which runs reached it."""
    stage = part.settings["stage"]
    found = [stored_weights(source, root)[stage] for source in part.sources]
    return torch.cat([f["vectors"] for f in found]), torch.cat([f["steps"] for f in found]).numpy() >= 0


def _aligned(network: Network, start: Tensor, end: Tensor) -> Tensor:
    """Return `end` with its hidden units permuted to lie close to those of `start`."""
    matched = match(network.named(start), network.named(end), network.layers)
    return torch.cat([matched.parameters[name].flatten() for name in network.shapes])


def _paths(network: Network, start: Tensor, end: Tensor, given: dict[str, Any]) -> dict[str, Any]:
    """Fit paths until they have settled and measure them; return the columns."""
    loss, grids = network.loss(given["images"], given["chunk"]), given["grids"]
    found = fitted(loss, start, end, given)
    bent = found.coefficients
    path, straight = (profile(loss, start, end, terms, grids=grids) for terms in (bent, bent[:, :0]))
    ends = straight.losses[:, [0, -1]].double()
    columns: dict[str, Any] = {
        "distance": (start - end).double().norm(dim=1).numpy(),
        "start_loss": ends[:, 0].numpy(),
        "end_loss": ends[:, 1].numpy(),
    }
    for name, lost in (("", path), ("straight_", straight)):
        height, higher = lost.height.double(), lost.losses[:, [0, -1]].double().amax(1)
        columns |= {f"{name}height": height.numpy(), f"{name}rise": (height - higher).numpy()}
    columns["earlier_height"] = found.earlier_height.double().numpy()
    columns |= {"steps": found.steps.numpy(), "converged": found.converged.numpy()}
    for name, lost in (("profile", path), ("straight_profile", straight)):
        kept = lost.losses[:, :: max(1, grids[0] // KEPT)]
        columns[name] = pa.array(list(kept.numpy()), type=pa.list_(pa.float32()))
    return columns


def fitted(loss: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, given: dict[str, Any]) -> SettledPaths:
    """Fit paths by the sum of losses, and from there by the soft maximum where that is asked for."""
    measure = partial(profile, loss, grids=given["grids"])

    def search(objective: str, begin: Tensor | None = None) -> SettledPaths:
        finder = FourierPathFinder(loss, objective=objective, **given["path"])
        torch.set_flush_denormal(True)  # else gradients that all but vanish make a processor five times as slow
        try:
            return settle(finder, start, end, measure, begin, **given["settled"])
        finally:
            torch.set_flush_denormal(False)

    found = search("sum")
    return search("maximum", found.coefficients) if given["objective"] == "maximum" else found


def measure_products(part: TopographyPart, root: Path) -> Found:
    """Return the inner products of all solutions of a network at a stage.

    Returns
    -------
    Found
        One row per solution: ``algorithm, seed``, and ``products`` with every solution of the table, float32.
    """
    began, names, found = time.process_time(), [], []
    for source in part.sources:
        state = stored_weights(source, root)[part.settings["stage"]]
        reached = (state["steps"] >= 0).nonzero().flatten()
        names += [(source.algorithm, source.seed + int(i)) for i in reached]
        found.append(state["vectors"][reached])
    together = torch.cat(found)
    inner = gram(together.numpy()).astype(np.float32) if len(together) > 1 else np.zeros((len(together),) * 2)
    table = pa.table(
        {
            "algorithm": [name for name, _ in names],
            "seed": [seed for _, seed in names],
            "products": pa.array(list(inner), type=pa.list_(pa.float32())),
        }
    )
    facts = {"parameters": together.shape[1], "seconds": time.process_time() - began}
    return Found(part, store.described(table, part, **facts))
