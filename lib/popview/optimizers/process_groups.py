"""Processes that train one model together, as under DistributedDataParallel: what their decisions rest on is shared.

Gradients are averaged between ranks by the model's wrapper. What a rank then decides by a loss of its own is not, and
ranks that decide differently part: their weights differ from there on, or one waits for the other for ever.
"""

from typing import Any

from torch import Generator, Tensor, distributed

from popview.common.errors import UsageError


class Ranks:
    """The ranks that share a model, or this process alone.

    Parameters
    ----------
    given : ProcessGroup, False or None
        Their group; False where ranks are independent of each other; None where nothing is said of them.
    decider : str or None
        The algorithm's name, if it decides by losses.

    Raises
    ------
    UsageError
        If the algorithm decides by losses, several ranks are there, and nothing is said of them.
    TypeError
        If `given` is something else.
    """

    def __init__(self, given: Any, decider: str | None) -> None:
        self.said = given is not None
        self.group: Any = None if given is None or given is False else given
        self.decider = decider
        if self.group is not None and not (
            distributed.is_available() and isinstance(self.group, distributed.ProcessGroup)
        ):
            raise TypeError(f"process_group must be a torch.distributed process group or False, got {given!r}")
        self.check()

    def check(self) -> None:
        """Raise UsageError where ranks would part; also called at each decision, since a group may be made late."""
        if self.said or self.decider is None or not (distributed.is_available() and distributed.is_initialized()):
            return
        if (ranks := distributed.get_world_size()) > 1:
            raise UsageError(
                f"{self.decider} decides by losses, and each of {ranks} ranks has its own: pass "
                "process_group=torch.distributed.group.WORLD to decide by their mean, or process_group=False if the "
                "ranks are independent"
            )

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over ranks, the same on each of them; the values themselves where there is no group."""
        self.check()
        if self.group is None:
            return values
        total = values.clone()
        distributed.all_reduce(total, group=self.group)
        return total / distributed.get_world_size(self.group)

    def share(self, generator: Generator) -> None:
        """Bring every rank's noise stream to where that of the group's first rank is."""
        if self.group is not None:
            state = generator.get_state().to(generator.device)
            distributed.broadcast(state, group=self.group, group_src=0)
            generator.set_state(state.cpu())

    def __deepcopy__(self, memo: dict) -> "Ranks":
        """Return itself: a copied optimizer belongs to the same group."""
        return self

    def __reduce__(self) -> Any:
        """Of a process group nothing can be written: it is this process's."""
        if self.group is not None:
            raise TypeError("an optimizer with a process_group cannot be pickled: save its state_dict()")
        return Ranks, (False if self.said else None, None), {"decider": self.decider}
