"""How the learning rate of a run changes: not at all, or up and then down to zero."""

import math
from collections.abc import Callable

from torch.optim.lr_scheduler import LambdaLR

from popview.common.errors import check_name
from popview.optimizers import Optimizer

#: Share of an annealed run's steps in which the learning rate rises.
WARM_UP = 0.05


def annealed(step: int, steps: int) -> float:
    """Return what the learning rate is multiplied by at a step (0 is the first) of an annealed run of so many steps.

    It rises linearly over the first 5 % of the steps, reaches 1 at the last of them, and then falls along one half of
    a cosine, to 0 after the last step (Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts).

    >>> [round(annealed(step, 40), 3) for step in (0, 1, 2, 21, 39, 40)]
    [0.5, 1.0, 1.0, 0.5, 0.002, 0.0]
    """
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm)))) / 2


#: Name of a schedule → factor of the learning rate, from the step and the number of steps; None where it never changes.
SCHEDULES: dict[str, Callable[[int, int], float] | None] = {"constant": None, "annealed": annealed}


def scheduler(name: str, optimizer: Optimizer, steps: int, taken: int = 0) -> LambdaLR | None:
    """Return torch's scheduler of a run of so many steps, of which some are taken; None where the rate is constant.

    Call its ``step`` after each step of the optimizer. A run that goes on from a state in which the optimizer had a
    scheduler gets the rates that it would have had without the break.

    Raises
    ------
    UsageError
        If the name is unknown.
    """
    check_name("schedule", name, SCHEDULES)
    factor = SCHEDULES[name]
    return None if factor is None else LambdaLR(optimizer, lambda step: factor(step, steps), last_epoch=taken - 1)
