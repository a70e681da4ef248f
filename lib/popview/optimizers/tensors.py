"""Arithmetic on models: a model is a list of tensors, a population stacks P models along dimension 0 of each.

Everything here works on populations; a single model is a population of one (`members_of` adds the dimension as a
view). Norms and masks are therefore always of shape ``(P,)``, one entry per model.

The numbers of float16 are few: norms of such tensors, and products with what is divided by a norm, are taken in
float32.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


def members_of(tensors: Iterable[Tensor], population: bool) -> list[Tensor]:
    """Return views whose dimension 0 indexes models: the tensors of a population, or ``(1, …)`` of a single model."""
    return list(tensors) if population else [t.unsqueeze(0) for t in tensors]


def broadcast(values: Tensor, like: Tensor) -> Tensor:
    """Return per-model `values` of shape ``(P,)`` as a view that broadcasts against `like` of shape ``(P, …)``."""
    return values.view(-1, *[1] * (like.dim() - 1))


def equal_rows(values: Tensor) -> list[tuple[slice, float]]:
    """Return where members that follow each other have one value, and the value; `values` has shape ``(P,)``.

    What rounds differently for a number and for a tensor of numbers (a product and a sum rounded once) is done so with
    numbers only.

    >>> import torch
    >>> from popview.optimizers.tensors import equal_rows
    >>> equal_rows(torch.tensor([0.5, 0.5, 2.0]))
    [(slice(0, 2, None), 0.5), (slice(2, 3, None), 2.0)]
    """
    numbers, counts = torch.unique_consecutive(values, return_counts=True)
    stops = counts.cumsum(0).tolist()
    return [(slice(a, b), number) for a, b, number in zip([0, *stops], stops, numbers.tolist(), strict=False)]


def matched(value: float | Tensor, like: Tensor) -> float | Tensor:
    """Return a hyperparameter as `like`, of shape ``(P,)``, is compared and multiplied with it."""
    return value.to(like) if isinstance(value, Tensor) else value


def norm(models: list[Tensor]) -> Tensor:
    """Return the Euclidean norm of each model, over all of its tensors: shape ``(P,)``."""
    norms = [
        torch.linalg.vector_norm(
            t if t.dim() == 2 else t.reshape(len(t), -1), dim=1, dtype=torch.float32 if _small(t) else None
        )
        for t in models
    ]
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms, 1), dim=1)


def scale_(models: list[Tensor], factors: Tensor) -> None:
    """Multiply each model by its own factor, of shape ``(P,)``, in place."""
    if len(factors) == 1 and not any(map(_small, models)):
        torch._foreach_mul_(models, factors.squeeze(0))
    else:
        for t in models:
            t.copy_(_times(t, factors)) if _small(t) else t.mul_(broadcast(factors, t))


def scaled(models: list[Tensor], factors: Tensor) -> list[Tensor]:
    """Return each model times its own factor, of shape ``(P,)``; the models stay as they are."""
    if len(factors) == 1 and not any(map(_small, models)):
        return list(torch._foreach_mul(models, factors.squeeze(0)))
    return [_times(t, factors) for t in models]


def add_scaled_(models: list[Tensor], change: list[Tensor], factors: Tensor) -> None:
    """Add `change` times each model's own factor, of shape ``(P,)``, in place; the product is rounded first."""
    if len(factors) > 1 or models[0].is_cuda or any(map(_small, models)):
        torch._foreach_add_(models, scaled(change, factors))
        return
    factor = factors.squeeze(0)
    for t, c in zip(models, change, strict=True):  # one product at a time: its memory serves the next
        t.add_(c * factor)


def add_all_(models: list[Tensor], change: list[Tensor], alpha: float | Tensor) -> None:
    """Add ``alpha · change`` in place; `alpha` is a number, or of shape ``(P,)``."""
    if isinstance(alpha, Tensor) and alpha.numel() > 1:
        for rows, number in equal_rows(alpha):
            torch._foreach_add_([t[rows] for t in models], [c[rows] for c in change], alpha=number)
    else:
        torch._foreach_add_(models, change, alpha=float(alpha))


def add_(models: list[Tensor], change: list[Tensor], alpha: float | Tensor, where: Tensor) -> None:
    """Add ``alpha · change`` in place to the models that the mask `where`, of shape ``(P,)``, selects."""
    if where.all():
        add_all_(models, change, alpha)
        return
    if isinstance(alpha, Tensor):
        for rows, number in equal_rows(alpha):
            if where[rows].any():
                add_([t[rows] for t in models], [c[rows] for c in change], number, where[rows])
        return
    copy_where_(models, [t.add(c, alpha=alpha) for t, c in zip(models, change, strict=True)], where)  # rounds as above


def copied(models: list[Tensor], memory: list[Tensor]) -> list[Tensor]:
    """Return copies of the models, in the `memory` of earlier ones if it fits: fresh pages cost more than copying."""
    if [(t.shape, t.dtype, t.device) for t in memory] != [(t.shape, t.dtype, t.device) for t in models]:
        memory = [torch.empty_like(t) for t in models]
    if models:
        torch._foreach_copy_(memory, models)
    return memory


def copy_where_(models: list[Tensor], source: list[Tensor], where: Tensor) -> None:
    """Overwrite in place the models that the mask `where`, of shape ``(P,)``, selects by those of `source`."""
    if models and where.all():
        torch._foreach_copy_(models, source)
        return
    if models and where.any():  # of so small tensors all numbers are chosen sooner than the places of some are found
        for t, s in zip(models, source, strict=True):
            t.copy_(torch.where(broadcast(where, t), s, t))


def _small(t: Tensor) -> bool:
    return t.dtype == torch.float16


def _times(t: Tensor, factors: Tensor) -> Tensor:
    if _small(t):
        return (t.float() * broadcast(factors, t)).to(t.dtype)
    return t * broadcast(factors, t)
