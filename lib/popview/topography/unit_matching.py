"""Hidden units have no order: permute one network's units to lie as close as possible to another's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from popview.common.errors import UsageError

Array = np.ndarray


@dataclass(frozen=True)
class Match:
    """A network whose hidden units were permuted to match another's.

    Attributes
    ----------
    parameters : dict of str to Tensor
        The permuted parameters, named and ordered as those of `end`; the function they compute is the same.
    permutations : tuple of Tensor, each of shape ``(units,)``
        For each layer but the last: unit i is now what unit ``permutation[i]`` of `end` was.
    distance, distance_before : float
        Euclidean distance to `start`, after and before.

    Examples
    --------
    >>> import torch
    >>> from popview.topography import match
    >>> start = {"0.weight": torch.tensor([[1.0], [2.0]]), "2.weight": torch.tensor([[3.0, 4.0]])}
    >>> end = {"0.weight": torch.tensor([[2.0], [1.0]]), "2.weight": torch.tensor([[4.0, 3.0]])}
    >>> matched = match(start, end, ("0", "2"))
    >>> matched.distance_before, matched.distance, matched.permutations
    (2.0, 0.0, (tensor([1, 0]),))
    """

    parameters: dict[str, Tensor]
    permutations: tuple[Tensor, ...]
    distance: float
    distance_before: float


def permute(
    parameters: Mapping[str, Tensor], layers: Sequence[str], permutations: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Return the parameters of the same function with the hidden units in another order.

    Parameters
    ----------
    parameters, layers
        See `match`.
    permutations : sequence of Tensor, each of shape ``(units,)``
        One for each layer but the last: unit i becomes what unit ``permutation[i]`` was.

    Raises
    ------
    UsageError
        As `match`, or if a permutation is none of its layer's units.

    Examples
    --------
    >>> import torch
    >>> from popview.topography import permute
    >>> network = {"0.weight": torch.tensor([[2.0], [1.0]]), "2.weight": torch.tensor([[4.0, 3.0]])}
    >>> permute(network, ("0", "2"), [torch.tensor([1, 0])])
    {'0.weight': tensor([[1.],
            [2.]]), '2.weight': tensor([[3., 4.]])}
    """
    units = _units(parameters, layers)
    if len(permutations) != len(units):
        raise UsageError(f"permutations must be {len(units)}, one for each layer but the last, got {len(permutations)}")
    for layer, count, permutation in zip(layers, units, permutations, strict=False):
        if sorted(permutation.tolist()) != list(range(count)):
            raise UsageError(f"permutation of layer {layer!r} must hold each of 0 … {count - 1} once")
    changed = dict(parameters)
    for i, layer in enumerate(layers):
        weight = f"{layer}.weight"
        if i > 0:
            grouped = changed[weight].reshape(len(changed[weight]), units[i - 1], -1)
            changed[weight] = grouped[:, permutations[i - 1]].reshape(changed[weight].shape)
        for name in _names(changed, layer) if i < len(units) else ():
            changed[name] = changed[name][permutations[i]]
    return changed


def match(start: Mapping[str, Tensor], end: Mapping[str, Tensor], layers: Sequence[str]) -> Match:
    """Permute the hidden units of `end` to bring its weights close to those of `start`: weight matching.

    Networks that are a chain of dense and convolutional layers, each followed by something that treats all units
    alike (an activation, pooling, flattening). One layer's permutation at a time is solved exactly, the others fixed,
    until none improves; from three beginnings (the order as it is; layer by layer from the inputs; from the outputs),
    of which the closest is returned. The distance therefore never grows. That does not make it the smallest
    possible: matching all layers together is a hard problem.

    Parameters
    ----------
    start, end : mapping of str to Tensor
        As `state_dict()` gives them: for each layer ``<layer>.weight``, of shape ``(outputs, inputs, …)``, and
        optionally ``<layer>.bias``. A dense layer after convolutions has the entries of a channel side by side, as
        `torch.nn.Flatten` leaves them.
    layers : sequence of str
        Names of the layers from input to output, such as ``("0", "2", "4")`` in a `torch.nn.Sequential`.

    Returns
    -------
    Match

    Raises
    ------
    UsageError
        If layers and parameters don't fit together, or the two networks have different shapes.

    References
    ----------
    Ainsworth, Hayase and Srinivasa 2023, Git Re-Basin, arXiv 2209.04836: algorithm 1.

    Examples
    --------
    Two networks that differ only in the order of their two hidden units. Matched, they have the same weights:

    >>> import torch
    >>> from popview.topography import match
    >>> start = {"0.weight": torch.tensor([[1.0], [2.0]]), "2.weight": torch.tensor([[3.0, 4.0]])}
    >>> end = {"0.weight": torch.tensor([[2.0], [1.0]]), "2.weight": torch.tensor([[4.0, 3.0]])}
    >>> matched = match(start, end, ("0", "2"))
    >>> matched.distance_before, matched.distance
    (2.0, 0.0)
    """
    units = _units(end, layers)
    if {n: t.shape for n, t in start.items()} != {n: t.shape for n, t in end.items()}:
        raise UsageError("start and end must hold the same names with the same shapes")
    ours, theirs = ({n: t.detach().cpu().double().numpy() for n, t in side.items()} for side in (start, end))
    candidates = []
    for beginning in ((), range(len(units)), range(len(units))[::-1]):
        permutations: list[Array | None] = [None if len(beginning) else np.arange(count) for count in units]
        for i in beginning:
            permutations[i] = _best(_products(ours, theirs, layers, permutations, i))
        settled = _descend(ours, theirs, layers, [p for p in permutations if p is not None])
        candidates.append(tuple(torch.as_tensor(p, dtype=torch.int64) for p in settled))
    matched = [permute(end, layers, permutations) for permutations in candidates]
    distances = [_distance(start, parameters) for parameters in matched]
    best = int(np.argmin(distances))
    return Match(matched[best], candidates[best], distances[best], _distance(start, end))


def _descend(
    start: Mapping[str, Array], end: Mapping[str, Array], layers: Sequence[str], permutations: list[Array]
) -> list[Array]:
    """Improve one layer's permutation at a time until none changes for the better."""
    improved = True
    while improved:
        improved = False
        for i, permutation in enumerate(permutations):
            products = _products(start, end, layers, permutations, i)
            better = _best(products)
            units = np.arange(len(better))
            gain = products[units, better].sum() - products[units, permutation].sum()
            if gain > 1e-12 * np.abs(products).max() * len(units):  # beyond rounding, lest it go round in circles
                permutations[i], improved = better, True
    return permutations


def _best(products: Array) -> Array:
    return linear_sum_assignment(products, maximize=True)[1]


def _products(
    start: Mapping[str, Array],
    end: Mapping[str, Array],
    layers: Sequence[str],
    permutations: Sequence[Array | None],
    i: int,
) -> Array:
    """Return the inner products of each unit of layer i of `start` with each of `end`.

    A unit is its incoming weights, bias and outgoing weights; those that lead to a layer whose permutation is not
    known yet (None) are left out.
    """
    count = len(start[f"{layers[i]}.weight"])
    products = np.zeros((count, count))
    before = permutations[i - 1] if i > 0 else slice(None)
    if before is not None:
        for name in _names(start, layers[i]):
            theirs = end[name]
            if i > 0 and name.endswith("weight"):
                theirs = theirs.reshape(count, len(start[f"{layers[i - 1]}.weight"]), -1)[:, before]
            products += start[name].reshape(count, -1) @ theirs.reshape(count, -1).T
    weight = f"{layers[i + 1]}.weight"
    after = permutations[i + 1] if i + 1 < len(permutations) else slice(None)
    if after is not None:
        ours, theirs = (w.reshape(len(w), count, -1).swapaxes(0, 1) for w in (start[weight], end[weight][after]))
        products += ours.reshape(count, -1) @ theirs.reshape(count, -1).T
    return products


def _names(parameters: Mapping[str, object], layer: str) -> list[str]:
    return [name for name in (f"{layer}.weight", f"{layer}.bias") if name in parameters]


def _units(parameters: Mapping[str, Tensor], layers: Sequence[str]) -> list[int]:
    """Return the numbers of units of all layers but the last, after checking that the layers form a chain."""
    if len(layers) < 2:
        raise UsageError(f"layers must name two or more, from input to output, got {tuple(layers)!r}")
    for layer in layers:
        if f"{layer}.weight" not in parameters:
            raise UsageError(f"layer {layer!r} has no parameter '{layer}.weight' among {', '.join(parameters)}")
    others = set(parameters) - {name for layer in layers for name in _names(parameters, layer)}
    if others:
        raise UsageError(f"parameters of no layer in layers would not be permuted: {', '.join(sorted(others))}")
    shapes = [tuple(parameters[f"{layer}.weight"].shape) for layer in layers]
    for i, shape in enumerate(shapes):
        if len(shape) < 2:
            raise UsageError(f"'{layers[i]}.weight' must have shape (outputs, inputs, …), got {shape}")
        before = shapes[i - 1][0] if i else 1
        if prod(shape[1:]) == 0 or shape[1] % before or (len(shape) > 2 and i and shape[1] != before):
            raise UsageError(f"'{layers[i]}.weight' of shape {shape} does not follow a layer of {before} units")
    return [shape[0] for shape in shapes[:-1]]


def _distance(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    return sum(float((a[name].detach().double() - b[name].detach().double()).square().sum()) for name in a) ** 0.5
