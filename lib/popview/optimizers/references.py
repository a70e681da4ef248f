"""References that the paper lacks: AdamW, in torch's own arithmetic, and stochastic weight averaging."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from popview.optimizers.base import Optimizer
from popview.optimizers.sgd import SGD

__all__ = ["SWA", "AdamW"]


class AdamW(Optimizer):
    """AdamW (Loshchilov and Hutter 2019): `torch.optim.adamw.adamw` behind the closures and counters of this package.

    Parameters
    ----------
    lr, weight_decay, betas, eps
        As in `torch.optim.AdamW`, with its defaults.
    """

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

    def _descend(self) -> None:
        models, gradients = self._models(), self._gradients()
        first, second = (self._of_state(key, "zeros") for key in ("first_moment", "second_moment"))
        for group, span in self._spans():
            adamw(
                models[span],
                gradients[span],
                first[span],
                second[span],
                [],
                [self.state[p].setdefault("step", torch.tensor(0.0)) for p in group["params"]],
                amsgrad=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=float(group["lr"]),
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )


class SWA(SGD):
    """Stochastic weight averaging along SGD's own trajectory (Izmailov et al. 2018).

    The parameters are SGD's throughout; `solution` and `finish` put the average in their place. BatchNorm statistics
    of the average are the caller's to recompute (`torch.optim.swa_utils.update_bn`).

    Parameters
    ----------
    average_from : int
        Steps after which averaging begins: the first model that enters is the one `average_every` steps later.
    average_every : int
        Steps between averaged models.
    """

    model_wide = ("average_from", "average_every")

    def __init__(self, params: Iterable, *, average_from: int = 0, average_every: int = 1, **others: Any) -> None:
        super().__init__(params, average_from=average_from, average_every=average_every, **others)
        self._averaged = 0

    def _descend(self) -> None:
        super()._descend()
        late = self.steps - self.hyperparameter("average_from")
        if late > 0 and late % self.hyperparameter("average_every") == 0:
            self._averaged += 1
            torch._foreach_lerp_(self._of_state("average", "copy"), self._models(), 1 / self._averaged)

    @property
    def averages(self) -> bool:  # type: ignore[override]
        """Whether a model was averaged yet."""
        return self._averaged > 0

    def _returns(self) -> tuple[list[Tensor], list[Tensor], Tensor] | None:
        return (self._of_state("average", "copy"), self._buffers(), self._everyone) if self._averaged else None

    def _run_state(self) -> dict[str, Any]:
        return {**super()._run_state(), "averaged": self._averaged}

    def _load_run_state(self, run: dict[str, Any]) -> None:
        super()._load_run_state(run)
        self._averaged = run["averaged"]
