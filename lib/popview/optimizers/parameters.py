"""Which tensors an optimizer moves: its groups, those that require a gradient, and those that have one in a step."""

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor

from popview.optimizers.checks import BOUNDS, check_place, check_switch, check_trained, checked_hyperparameter
from popview.optimizers.tensors import members_of


def uncompiled(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method as torch.compile leaves it out, which would lose the numbers in it that are no tensors.

    Torch's own decorator imports the compiler at the first call, which takes two seconds. This one does not where
    nothing has imported it yet, since nothing can be compiled then.
    """
    left_out = torch._disable_dynamo(method)

    @wraps(method)
    def called(*given: Any, **named: Any) -> Any:
        return (left_out if "torch._dynamo" in sys.modules else method)(*given, **named)

    return called


class Parameters(torch.optim.Optimizer):
    """The parameters of an optimizer, for one model or for a population of models.

    There are three kinds in each step: frozen ones, which do not require a gradient and are left alone; trained ones,
    which do; and of these the ones in motion, which have a gradient after the step's last pass.
    """

    #: Hyperparameters that may differ between param groups; the others belong to the model as a whole.
    per_group: tuple[str, ...] = ("lr", "momentum", "weight_decay")
    #: Key of `state` under which an algorithm keeps copies of the parameters; empty where it keeps none.
    copied_as = ""

    def __init__(self, params: Iterable, defaults: dict[str, Any], population: bool) -> None:
        self.population = check_switch("population", population)
        #: Parameters in motion, group by group.
        self._motion: list[list[Tensor]] = []
        super().__init__(params, defaults)
        if not self._params():
            raise ValueError("params has no tensor: every group is empty")

    #: Torch's own, without torch's own decorator.
    _add_group = uncompiled(unwrap(torch.optim.Optimizer.add_param_group))
    _clear = uncompiled(unwrap(torch.optim.Optimizer.zero_grad))
    state_dict = uncompiled(unwrap(torch.optim.Optimizer.state_dict))
    load_state_dict = uncompiled(unwrap(torch.optim.Optimizer.load_state_dict))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group after checking its tensors and hyperparameters; see `torch.optim.Optimizer.add_param_group`."""
        self._add_group(param_group)
        try:
            self._check_group(self.param_groups[-1])
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise

    def _check_group(self, group: dict[str, Any]) -> None:
        for name, value in group.items():
            if name in BOUNDS:
                group[name] = value = checked_hyperparameter(name, value, self._members())
            elif name == "normalized":
                check_switch(name, value)
            if name in self.defaults and name not in self.per_group and not _equal(value, self.param_groups[0][name]):
                raise ValueError(
                    f"{name} belongs to the whole model and must be the same in every group, got {value!r}"
                )
        start = sum(len(g["params"]) for g in self.param_groups[:-1])
        for i, p in enumerate(group["params"], start):
            check_place(i, p)
            if p.requires_grad:
                check_trained(i, p, self._members())

    def _members(self) -> int | None:
        """Return the population's size, as the first trained tensor with a dimension has it; None for one model."""
        if not self.population:
            return None
        return next((len(p) for p in self._trained() if p.dim()), 1)

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _trained(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"] if p.requires_grad]

    def _moving(self) -> list[Tensor]:
        return [p for group in self._motion for p in group]

    def _spans(self) -> Iterator[tuple[dict[str, Any], slice]]:
        """Each group that has parameters in motion, and where they stand among those of all groups."""
        start = 0
        for group, params in zip(self.param_groups, self._motion, strict=True):
            stop = start + len(params)
            if stop > start:
                yield group, slice(start, stop)
            start = stop

    def _models(self) -> list[Tensor]:
        """Views of the trained parameters, dimension 0 indexing models."""
        return members_of(self._trained(), self.population)

    def _copied_or_trained(self) -> list[Tensor]:
        """Parameters that `_of_state` has copied under `copied_as`, frozen since or not, and all that are trained."""
        return [p for p in self._params() if p.requires_grad or (p in self.state and self.copied_as in self.state[p])]

    def _covered(self) -> list[Tensor]:
        """Views of `_copied_or_trained`, dimension 0 indexing models."""
        return members_of(self._copied_or_trained(), self.population)

    def _moved(self) -> list[Tensor]:
        """Views of the parameters in motion, dimension 0 indexing models."""
        return members_of(self._moving(), self.population)

    def _of_state(self, key: str, start_from: str, params: list[Tensor]) -> list[Tensor]:
        """Views of one tensor per parameter kept in `state` under `key`, made on first use: zeros, or a copy."""
        for p in params:
            if key not in self.state[p]:
                make = torch.zeros_like if start_from == "zeros" else torch.clone
                self.state[p][key] = make(p.detach(), memory_format=torch.preserve_format)
        return members_of([self.state[p][key] for p in params], self.population)

    def hyperparameter(self, name: str) -> Any:
        """Return a hyperparameter of the model as a whole (`rho`, `tau`, …); `lr` and the like live in the groups."""
        return self.param_groups[0][name]

    @staticmethod
    def _rate(group: dict[str, Any]) -> float | Tensor:
        """Return a group's learning rate: a number, or one per member."""
        lr = group["lr"]
        return lr if isinstance(lr, Tensor) and lr.numel() > 1 else float(lr)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and a.tolist() == b.tolist()
    return bool(a == b)
