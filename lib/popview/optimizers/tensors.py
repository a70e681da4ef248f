"""Arithmetic on models: a model is a list of tensors, a population stacks P models along dimension 0 of each.

Everything here works on populations; a single model is a population of one (`members_of` adds the dimension as a
view). Norms and masks are therefore always of shape ``(P,)``, one entry per model.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["add_", "broadcast", "copy_where_", "members_of", "norm", "scale_"]


def members_of(tensors: Iterable[Tensor], population: bool) -> list[Tensor]:
    """Return views whose dimension 0 indexes models: the tensors of a population, or ``(1, …)`` of a single model."""
    return list(tensors) if population else [t.unsqueeze(0) for t in tensors]


def broadcast(values: Tensor, like: Tensor) -> Tensor:
    """Return per-model `values` of shape ``(P,)`` as a view that broadcasts against `like` of shape ``(P, …)``."""
    return values.view(-1, *[1] * (like.dim() - 1))


def norm(models: list[Tensor]) -> Tensor:
    """Return the Euclidean norm of each model, over all of its tensors: shape ``(P,)``."""
    norms = [torch.linalg.vector_norm(t.reshape(len(t), -1), dim=1) for t in models]
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms, 1), dim=1)


def scale_(models: list[Tensor], factors: Tensor) -> None:
    """Multiply each model by its own factor, of shape ``(P,)``, in place."""
    if len(factors) == 1:
        torch._foreach_mul_(models, factors.squeeze(0))
    else:
        for t in models:
            t.mul_(broadcast(factors, t))


def add_(models: list[Tensor], change: list[Tensor], alpha: float, where: Tensor) -> None:
    """Add ``alpha · change`` in place to the models that the mask `where`, of shape ``(P,)``, selects."""
    if where.all():
        torch._foreach_add_(models, change, alpha=alpha)
        return
    for t, c in zip(models, change, strict=True):
        t[where] = t[where].add(c[where], alpha=alpha)  # rounds as the line above does


def copy_where_(models: list[Tensor], source: list[Tensor], where: Tensor) -> None:
    """Overwrite in place the models that the mask `where`, of shape ``(P,)``, selects by those of `source`."""
    if models and where.all():
        torch._foreach_copy_(models, source)
        return
    for t, s in zip(models, source, strict=True):
        t[where] = s[where]
