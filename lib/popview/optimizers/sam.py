"""Sharpness-aware minimization: Algorithm 3 of arXiv 2403.00574, after Foret et al. 2021."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from popview.optimizers.base import InShort
from popview.optimizers.sgd import SGD
from popview.optimizers.tensors import add_scaled_, copied, matched, norm


class SAM(SGD):
    """Step along the gradient taken uphill: g₂ = ∇f(w + ρ g/‖g‖), w ← w − η g₂.

    Two gradients a step. Both passes see the same random draws (dropout masks), and only the first one changes the
    buffers that are given as ``buffers``; of a model whose buffers are not given BatchNorm updates its statistics
    twice a step. Where g is zero the ascent is zero.

    Parameters
    ----------
    rho : float
        Length of the ascent; 0.05 is Foret et al.'s default, the paper states none.

    Notes
    -----
    One copy of the parameters is kept, so that each step returns to w exactly. Its memory is used again by the next
    step (fresh pages cost more than the copying), and it is not part of the state dict.

    Examples
    --------
    The loss w² at w = 2 has gradient 4. The ascent goes to 2.5, where the gradient is 5.

    >>> import torch
    >>> from popview.optimizers import SAM
    >>> w = torch.nn.Parameter(torch.tensor([2.0]))
    >>> optimizer = SAM([w], lr=0.25, rho=0.5)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), w.item(), optimizer.gradient_evaluations
    (4.0, 0.75, 2)
    """

    in_short = InShort(
        "Algorithm 3, {cite:t}`foret2021`", r"$w \leftarrow w - \eta\,\nabla f(w + \rho\, g / \lVert g\rVert)$", "2"
    )
    replays = True
    model_wide = ("rho",)

    def __init__(self, params: Iterable, *, rho: float = 0.05, **others: Any) -> None:
        super().__init__(params, rho=rho, **others)
        self._kept: list[Tensor] = []

    def _gradient(self, closure: Any) -> Any:
        loss = self._first_pass(closure)
        if self._skipped():
            return loss
        models = self._moved()
        self._kept = copied(models, self._kept)
        length = norm(self._followed)
        try:
            ascent = length.reciprocal() * matched(self.hyperparameter("rho"), length)
            add_scaled_(models, self._followed, torch.where(length > 0, ascent, 0))
            self._second_pass(closure)
        finally:  # back to w, even when interrupted
            torch._foreach_copy_(models, self._kept)
        self._normalize()
        return loss
