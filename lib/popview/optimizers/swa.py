"""Stochastic weight averaging along SGD's own trajectory: a reference that the paper lacks."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from popview.optimizers.base import InShort
from popview.optimizers.sgd import SGD


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

    Examples
    --------
    SGD halves w in each step, from 2 to 1 and 0.5. The average of both is 0.75.

    >>> import torch
    >>> from popview.optimizers import SWA
    >>> w = torch.nn.Parameter(torch.tensor([2.0]))
    >>> optimizer = SWA([w], lr=0.25)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(2):
    ...     loss = optimizer.step(closure)
    >>> with optimizer.solution():
    ...     print(w.item())
    0.75
    >>> w.item()
    0.5
    """

    in_short = InShort(
        "{cite:t}`izmailov2018`, which the paper lacks", "SGD's; the mean of models on its way is returned"
    )
    model_wide = ("average_from", "average_every")
    copied_as = "average"

    def __init__(self, params: Iterable, *, average_from: int = 0, average_every: int = 1, **others: Any) -> None:
        super().__init__(params, average_from=average_from, average_every=average_every, **others)
        self._averaged = 0

    def _descend(self) -> None:
        if self._averaged:
            self._average()  # of a parameter that is trained from now on: its value in all models so far
        super()._descend()
        late = self.steps - self.hyperparameter("average_from")
        if late > 0 and late % self.hyperparameter("average_every") == 0:
            self._averaged += 1
            torch._foreach_lerp_(self._average(), self._covered(), 1 / self._averaged)

    def _average(self) -> list[Tensor]:
        return self._of_state("average", "copy", self._copied_or_trained())

    def _make_state(self) -> None:
        super()._make_state()
        self._average()

    @property
    def averages(self) -> bool:  # type: ignore[override]
        """Whether a model was averaged yet."""
        return self._averaged > 0

    def _returns(self) -> tuple[list[Tensor], list[Tensor], Tensor] | None:
        return (self._average(), self._buffers(), self._everyone) if self._averaged else None

    def _run_state(self) -> dict[str, Any]:
        return {**super()._run_state(), "averaged": self._averaged}

    def _load_run_state(self, run: dict[str, Any]) -> None:
        super()._load_run_state(run)
        self._averaged = run["averaged"]
