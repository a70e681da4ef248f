"""The noise vectors ζ of the paper, at radius 1; the optimizers multiply them by ρ.

The paper writes "ζ ∈ B₀(ρ)" and no more. The reading taken by default is *uniform in the ball*; the other two readings
found in its sources are the *sphere* (Ge et al. 2015) and a *Gaussian* of the same root-mean-square norm. In a ball of
many dimensions nearly all of the volume lies at the surface: for a network the three hardly differ.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor

from popview.common.errors import UsageError, check_name
from popview.optimizers.tensors import norm, scale_

#: Models in, unit noise of the same shapes out.
Noise = Callable[[list[Tensor], Generator], list[Tensor]]


def _normal(models: list[Tensor], generator: Generator) -> list[Tensor]:
    return [torch.empty_like(t, memory_format=torch.contiguous_format).normal_(generator=generator) for t in models]


def _dimension(models: list[Tensor]) -> int:
    return sum(t[0].numel() for t in models)


def ball(models: list[Tensor], generator: Generator) -> list[Tensor]:
    """Draw ζ uniformly in the unit ball, for each model: a direction times U^(1/d), U uniform on [0, 1]."""
    zeta = _normal(models, generator)
    length = norm(zeta)
    radius = torch.empty_like(length).uniform_(generator=generator).pow_(1 / _dimension(models))
    scale_(zeta, radius / length)
    return zeta


def sphere(models: list[Tensor], generator: Generator) -> list[Tensor]:
    """Draw ζ uniformly on the unit sphere, for each model."""
    zeta = _normal(models, generator)
    scale_(zeta, 1 / norm(zeta))
    return zeta


def gaussian(models: list[Tensor], generator: Generator) -> list[Tensor]:
    """Draw ζ from a normal distribution with E‖ζ‖² = 1 for each model: standard deviation 1/√d a coordinate."""
    zeta = _normal(models, generator)
    torch._foreach_mul_(zeta, _dimension(models) ** -0.5)
    return zeta


NOISES: dict[str, Noise] = {"ball": ball, "sphere": sphere, "gaussian": gaussian}
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
    draw = NOISES[noise]
    if scope == "model":
        return draw
    return partial(_by_layer, draw)


def _by_layer(draw: Noise, models: list[Tensor], generator: Generator) -> list[Tensor]:
    return [draw([t], generator)[0] for t in models]
