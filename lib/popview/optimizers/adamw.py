"""AdamW, in torch's own arithmetic: a reference that the paper lacks."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from popview.optimizers.base import InShort, Optimizer
from popview.optimizers.tensors import equal_rows


class AdamW(Optimizer):
    """AdamW (Loshchilov and Hutter 2019): `torch.optim.adamw.adamw` behind the closures and counters of this package.

    Parameters
    ----------
    lr, weight_decay, betas, eps
        As in `torch.optim.AdamW`, with its defaults.

    Examples
    --------
    The first step has length η, whatever the gradient's size.

    >>> import torch
    >>> from popview.optimizers import AdamW
    >>> w = torch.nn.Parameter(torch.tensor([2.0]))
    >>> optimizer = AdamW([w], lr=0.5, weight_decay=0.0)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (100 * w**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), round(w.item(), 6)
    (400.0, 1.5)
    """

    in_short = InShort("{cite:t}`loshchilov2019`, which the paper lacks", "torch's own AdamW")
    per_group = (*Optimizer.per_group, "betas", "eps")

    def __init__(
        self,
        params: Iterable,
        *,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        **others: Any,
    ) -> None:
        defaults = {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps}
        super().__init__(params, defaults, **others)

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        betas, eps = group["betas"], group["eps"]
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(f"betas must be two numbers, got {betas!r}")
        for i, beta in enumerate(betas):
            if not 0 <= beta < 1:
                raise ValueError(f"betas[{i}] must be in [0, 1), got {beta!r}")
        if not eps >= 0:
            raise ValueError(f"eps must be 0 or above, got {eps!r}")

    def _moments(self, params: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return both moments of parameters, and how many steps each has taken."""
        first, second = (self._of_state(key, "zeros", params) for key in ("first_moment", "second_moment"))
        return first, second, [self.state[p].setdefault("step", torch.tensor(0.0)) for p in params]

    def _make_state(self) -> None:
        super()._make_state()
        self._moments(self._trained())

    def _descend(self) -> None:
        models, gradients = self._moved(), self._followed
        first, second, steps = self._moments(self._moving())
        for group, span in self._spans():
            lr, taken = self._rate(group), steps[span]
            for rows, number in equal_rows(lr) if isinstance(lr, Tensor) else [(slice(None), lr)]:
                counted = [step.clone() for step in taken] if isinstance(lr, Tensor) else taken  # by each call
                adamw(
                    [t[rows] for t in models[span]],
                    [g[rows] for g in gradients[span]],
                    [m[rows] for m in first[span]],
                    [m[rows] for m in second[span]],
                    [],
                    counted,
                    amsgrad=False,
                    beta1=group["betas"][0],
                    beta2=group["betas"][1],
                    lr=number,
                    weight_decay=group["weight_decay"],
                    eps=group["eps"],
                    maximize=False,
                )
            if isinstance(lr, Tensor):
                torch._foreach_add_(taken, 1)
