"""What `.grad` holds between two passes: whose it is, and whether anything was added since."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.utils.weak import TensorWeakRef


class Held:
    """The gradients of some parameters at one moment: which tensors, and how often each had been written to.

    None is kept alive.

    Examples
    --------
    >>> import torch
    >>> from popview.optimizers.gradients import Held
    >>> w = torch.nn.Parameter(torch.tensor([2.0]))
    >>> (w**2).sum().backward()
    >>> held = Held([w])
    >>> held.changed([w])
    []
    >>> (w**2).sum().backward()
    >>> held.changed([w])
    [0]
    """

    def __init__(self, params: Iterable[Tensor]) -> None:
        self._seen: list[tuple[TensorWeakRef, int] | None] = []
        self.extend(params)

    def extend(self, params: Iterable[Tensor]) -> None:
        """Add the gradients that more parameters have now."""
        self._seen += [None if p.grad is None else (TensorWeakRef(p.grad), p.grad._version) for p in params]

    def changed(self, params: Iterable[Tensor]) -> list[int]:
        """Return the places of parameters that have a gradient which is another tensor now, or was written to."""
        found = []
        for i, (p, seen) in enumerate(zip(params, self._seen, strict=True)):
            if p.grad is not None and (seen is None or seen[0]() is not p.grad or seen[1] != p.grad._version):
                found.append(i)
        return found


def separate_(params: Iterable[Tensor]) -> None:
    """Give each parameter a gradient with memory of its own, so that one that is scaled in place is scaled once.

    Two parameters share a gradient where their sum is what the loss sees; the gradient of a sum's terms is expanded.
    """
    seen = set()
    for p in params:
        assert p.grad is not None
        place = (p.grad.device, p.grad.data_ptr())
        if place in seen or torch._debug_has_internal_overlap(p.grad):
            p.grad = p.grad.clone(memory_format=torch.contiguous_format)
        seen.add(place)
