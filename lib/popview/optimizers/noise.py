"""The noise vectors ζ of the paper, at radius 1; the optimizers multiply them by ρ.

The paper writes "ζ ∈ B₀(ρ)" and no more. The reading taken by default is *uniform in the ball*; the other two readings
found in its sources are the *sphere* (Ge et al. 2015) and a *Gaussian* of the same root-mean-square norm. In a ball of
many dimensions nearly all of the volume lies at the surface: for a network the three hardly differ.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from popview.common.errors import UsageError, check_name
from popview.optimizers.tensors import norm, scale_

#: Models in, unit noise of the same shapes out.
Noise = Callable[[list[Tensor], Generator], list[Tensor]]
#: A noise stream; or those of several runs of equally many models each, None where a run draws nothing.
Streams = Generator | Sequence[Generator | None]


def _normal(models: list[Tensor], streams: Streams) -> list[Tensor]:
    zeta = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in models]
    for t in zeta:
        for part, generator in _runs(t, streams):
            part.normal_(generator=generator)
    return zeta


def _runs(t: Tensor, streams: Streams) -> list[tuple[Tensor, Generator]]:
    """Return each run's part of a tensor, and its noise stream."""
    if isinstance(streams, Generator):
        return [(t, streams)]
    parts = zip(t.chunk(len(streams)), streams, strict=True)
    return [(part, generator) for part, generator in parts if generator is not None]


def _dimension(models: list[Tensor]) -> int:
    return sum(t[0].numel() for t in models)


def ball(models: list[Tensor], streams: Streams) -> list[Tensor]:
    """Draw ζ uniformly in the unit ball, for each model: a direction times U^(1/d), U uniform on [0, 1]."""
    zeta = _normal(models, streams)
    length = norm(zeta)
    radius = torch.empty_like(length)
    for part, generator in _runs(radius, streams):  # powers of many numbers at once round as their place has it
        part.uniform_(generator=generator).pow_(1 / _dimension(models))
    scale_(zeta, radius / length)
    return zeta


def sphere(models: list[Tensor], streams: Streams) -> list[Tensor]:
    """Draw ζ uniformly on the unit sphere, for each model."""
    zeta = _normal(models, streams)
    scale_(zeta, 1 / norm(zeta))
    return zeta


def gaussian(models: list[Tensor], streams: Streams) -> list[Tensor]:
    """Draw ζ from a normal distribution with E‖ζ‖² = 1 for each model: standard deviation 1/√d a coordinate."""
    zeta = _normal(models, streams)
    torch._foreach_mul_(zeta, _dimension(models) ** -0.5)
    return zeta


#: Those that are known by name draw for several runs at once, too.
NOISES: dict[str, Callable[[list[Tensor], Any], list[Tensor]]] = {"ball": ball, "sphere": sphere, "gaussian": gaussian}
SCOPES = ("model", "layer")


def make_noise(noise: str | Noise, scope: str) -> Noise:
    """Return the noise named, drawn once per model or, with ``scope="layer"``, once per tensor.

    With scope ``"layer"`` every tensor has a ball of radius ρ of its own (Orvieto et al. 2022).

    Raises
    ------
    UsageError
        If the name of the noise or of the scope is unknown, or a callable is given a scope.
    """
    check_name("scope", scope, SCOPES)
    if callable(noise):
        if scope != "model":
            raise UsageError(f"scope {scope!r} is for the noises named, not for a callable: it draws what it likes")
        return noise
    check_name("noise", noise, NOISES)
    return NOISES[noise] if scope == "model" else partial(_by_layer, NOISES[noise])


def _by_layer(one: Callable[[list[Tensor], Any], list[Tensor]], models: list[Tensor], streams: Streams) -> list[Tensor]:
    return [one([t], streams)[0] for t in models]


def draw_noise(noise: Noise, models: list[Tensor], streams: Streams) -> list[Tensor]:
    """Draw noise for the models of one run, or of several.

    Parameters
    ----------
    noise : callable
        As `make_noise` returns it.
    models : list of Tensor
        Of shapes ``(P, …)``.
    streams : Generator, or sequence of Generator or None
        One noise stream, or K of them: the P models are K runs of P/K models each, one after the other, and each run
        draws from its own stream what it draws alone. What models get of which the stream is None means nothing.

    Examples
    --------
    The second of two runs draws what it draws alone:

    >>> import torch
    >>> from popview.optimizers.noise import NOISES, draw_noise
    >>> models, streams = [torch.zeros(4, 2)], [None, torch.Generator().manual_seed(1)]
    >>> alone = NOISES["ball"]([models[0][2:]], torch.Generator().manual_seed(1))
    >>> draw_noise(NOISES["ball"], models, streams)[0][2:].equal(alone[0])
    True
    """
    if isinstance(streams, Generator):
        return noise(models, streams)
    if getattr(noise, "func", noise) in (_by_layer, *NOISES.values()):
        return noise(models, streams)  # type: ignore[arg-type]
    zeta = [torch.zeros_like(t, memory_format=torch.contiguous_format) for t in models]
    for place, generator in enumerate(streams):
        if generator is not None:
            own = [t.chunk(len(streams))[place] for t in models]
            for z, drawn in zip(zeta, noise(own, generator), strict=True):
                z.chunk(len(streams))[place].copy_(drawn)
    return zeta
