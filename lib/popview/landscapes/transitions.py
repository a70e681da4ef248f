"""Where another algorithm ends from where gradient descent does, with the same starts: sweeps as tables of counts."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from popview.landscapes.functions import Landscape, get, two_well
from popview.landscapes.restarts import Sample, sample_each

#: Share of the way from a saddle to a minimum within which a restart counts as beside the saddle.
BESIDE = 0.2

#: Distance to its minimum within which an end point counts as near, as in Table 1.
RADIUS = 0.1

#: What makes a setting of gradient descent: it has nothing else.
PLAIN = ("landscape", "restarts", "iterations", "seed", "lr", "normalized")

_WELLS: dict[tuple[int, float, float], Landscape] = {}


def landscape_of(name: str, dimension: int = 2, ratio: float = 1.0, depth: float = 0.0) -> Landscape:
    """Return a landscape by its name; of "two-well" with its wells as they are asked for.

    Parameters
    ----------
    name : str
        A name of `popview.landscapes.LANDSCAPES`.
    dimension : int
        Of the two wells.
    ratio : float
        Curvature across the narrow well over that across the wide one, which is 2. At 1 both are as wide.
    depth : float
        Value of the narrow well; the wide one's is 0. Below 0 the narrow well is the deeper one.

    Examples
    --------
    >>> from popview.landscapes.transitions import landscape_of
    >>> [round(minimum.trace, 6) for minimum in landscape_of("two-well", ratio=5.0).minima]
    [10.0, 18.0]
    """
    if name != "two-well":
        return get(name)
    key = (dimension, ratio, depth)
    if key not in _WELLS:
        _WELLS[key] = two_well(dimension, depth, (2.0, 2.0 * ratio))
    return _WELLS[key]


def places(s: Sample) -> Tensor:
    """Say where each restart ended: the minimum's index, one more than the last for none, two more for diverged.

    A restart is at a minimum if gradient flow leads there from its end point, and the point does not lie beside a
    saddle: seen along the line to any saddle, it has left `BESIDE` of the way at least. SAM comes to rest at saddles,
    and the side on which it does so says nothing.

    Returns
    -------
    Tensor of shape ``(restarts,)``
    """
    found = s.landscape.minima
    minima = s.ends.new_tensor([minimum.location for minimum in found])
    way = s.ends.new_tensor(s.landscape.saddles).reshape(-1, s.landscape.dimension) - minima.unsqueeze(1)
    basin = s.basin.clamp(min=0)
    left = (s.ends - minima[basin]).unsqueeze(1) * way[basin]
    beside = (left.sum(-1) > (1 - BESIDE) * way[basin].square().sum(-1)).any(-1)
    place = torch.where((s.basin < 0) | beside, len(found), s.basin)
    return torch.where(s.diverged, len(found) + 1, place)


def transitions(began: Sample, ended: Sample) -> np.ndarray:
    """Count restarts by where two algorithms end from the same starts.

    Parameters
    ----------
    began, ended : Sample
        Of the same landscape and starts; the first is gradient descent, say.

    Returns
    -------
    ndarray of shape ``(minima + 2, minima + 2)``
        Rows: where the first ends, by `places`; columns: where the second does.

    Raises
    ------
    ValueError
        If the starts differ.

    Examples
    --------
    Noise of no size changes nothing:

    >>> from popview.landscapes.transitions import transitions
    >>> from popview.stationary import sample
    >>> ends = [sample("three-hump-camel", name, restarts=60, lr=0.05) for name in ("GD", "SAM")]
    >>> still = sample("three-hump-camel", "NiG-GD", restarts=60, lr=0.05, rho=0.0)
    >>> counts = transitions(ends[0], still)
    >>> counts.sum().item(), (counts - np.diag(np.diag(counts))).any().item()
    (60, False)
    """
    if not began.starts.equal(ended.starts):
        raise ValueError("the two samples must have the same starts")
    size = len(ended.landscape.minima) + 2
    return np.bincount((places(began) * size + places(ended)).numpy(), minlength=size * size).reshape(size, size)


def _trace(weight: float, landscape: Landscape, points: Tensor) -> Tensor:
    return weight * torch.diagonal(landscape.hessian(points), dim1=-2, dim2=-1).sum(-1)


def traced(weight: float) -> partial[Tensor]:
    """Return a penalty for `popview.stationary.sample`: `weight` times the trace of the Hessian."""
    return partial(_trace, weight)


def sweep_settings(algorithm: str, settings: Iterable[Mapping[str, Any]], **common: Any) -> list[dict[str, Any]]:
    """Run an algorithm with many settings, and gradient descent from the same starts, as few populations.

    Parameters
    ----------
    algorithm : str
    settings : iterable of mappings
        As `popview.stationary.sample_each` takes them. The landscape is an object.
    **common
        The same, for settings that do not say otherwise.

    Returns
    -------
    list of dict
        One per setting: ``transitions`` from gradient descent of the same learning rate, ``near`` (restarts within
        `RADIUS` of the nearest minimum), and means over restarts: ``noise_triggers, hops_tried, hops_accepted,
        gradient_evaluations``.

    Examples
    --------
    >>> from popview.landscapes import get
    >>> from popview.landscapes.transitions import sweep_settings
    >>> settings = [{"rho": 0.0}, {"rho": 0.5}]
    >>> rows = sweep_settings("SAM", settings, landscape=get("two-well"), restarts=50, iterations=200)
    >>> rows[0]["gradient_evaluations"], rows[0]["transitions"].diagonal().sum().item()
    (400.0, 50)
    """
    wanted = [{**common, **setting} for setting in settings]
    plain = [{name: setting[name] for name in PLAIN if name in setting} for setting in wanted]
    distinct = {_key(setting): setting for setting in plain}
    began = dict(zip(distinct, sample_each("GD", distinct.values()), strict=True))
    samples: Sequence[Sample] = sample_each(algorithm, wanted)
    return [_row(began[_key(setting)], s) for setting, s in zip(plain, samples, strict=True)]


def _key(setting: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(setting.get(name) for name in PLAIN)


def _row(began: Sample, s: Sample) -> dict[str, Any]:
    names = ("noise_triggers", "hops_tried", "hops_accepted", "gradient_evaluations")
    means = {name: float(getattr(s, name).double().mean()) for name in names}
    near = int(((s.distance <= RADIUS) & ~s.diverged).sum())
    return {"transitions": transitions(began, s), "near": near, **means}
