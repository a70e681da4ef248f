"""What an optimizer accepts: hyperparameters within bounds, switches, tensors that it can train, buffers."""

import math
import sys
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from popview.common.seeds import checked_seed

#: Hyperparameter → (lower bound, whether the bound itself is allowed, upper bound, in words).
BOUNDS: dict[str, tuple[float, bool, float, str]] = {
    "lr": (0, True, math.inf, "above 0"),  # 0 is taken too, since schedules begin and end there
    "momentum": (0, True, 1, "in [0, 1)"),
    "weight_decay": (0, True, math.inf, "0 or above"),
    "rho": (0, True, math.inf, "0 or above"),
    "tau": (1, True, math.inf, "a whole number, 1 or above"),
    "epsilon": (0, True, math.inf, "0 or above"),
    "temperature": (0, True, math.inf, "0 or above"),
    "noise_until": (0, True, math.inf, "0 or above"),
    "average_from": (0, True, math.inf, "a whole number, 0 or above"),
    "average_every": (1, True, math.inf, "a whole number, 1 or above"),
    "history": (1, True, math.inf, "a whole number, 1 or above"),
    "evaluations": (1, True, math.inf, "a whole number, 1 or above"),
}
WHOLE = ("tau", "average_from", "average_every", "history", "evaluations")
#: What may differ between the members of a population.
PER_MEMBER = ("lr", "rho", "epsilon", "tau", "temperature")
_MAY_BE_INFINITE = ("epsilon", "noise_until")  # ε = ∞: the condition on the gradient's norm always holds


def check_switch(name: str, value: Any) -> bool:
    """Return `value` if it is true or false; TypeError if it is a text or a number, which Python would take as one."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def checked_hyperparameter(name: str, value: Any, size: int | None = None) -> float | int | Tensor:
    """Return a hyperparameter as a number within its bounds; a learning rate that is a tensor of one number stays one.

    In a population of `size` members those of `PER_MEMBER` may be tensors of shape ``(size,)``.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is out of bounds, or a tensor has not one value per member.
    """
    one_rate = isinstance(value, Tensor) and name == "lr" and value.numel() == 1
    if isinstance(value, Tensor) and value.dim() == 1 and size is not None and name in PER_MEMBER and not one_rate:
        if len(value) != size:
            raise ValueError(f"{name} must have one value per member, shape ({size},), got shape {tuple(value.shape)}")
        numbers = [checked_hyperparameter(name, number) for number in value.tolist()]
        return torch.tensor(numbers, dtype=torch.int64 if name in WHOLE else torch.float64) if size > 1 else numbers[0]
    low, inclusive, high, words = BOUNDS[name]
    if isinstance(value, bool) or not (one_rate or isinstance(value, Real)):
        raise TypeError(f"{name} must be a number ({words}), got {value!r}")
    number = float(value)
    right = (low <= number if inclusive else low < number) and (number < high or name in _MAY_BE_INFINITE)
    if not right or (name in WHOLE and not number.is_integer()):
        raise ValueError(f"{name} must be {words}, got {value!r}")
    if one_rate:
        return value
    return int(number) if name in WHOLE else number  # no NumPy scalars: torch.load(weights_only=True) refuses them


def checked_seeds(seed: Any, size: int) -> list[int]:
    """Return the seeds of a population of `size` members: of its one run, or of several runs of equally many members.

    Raises
    ------
    TypeError
        If one is no whole number.
    ValueError
        If the members cannot be shared equally between so many runs.
    """
    if isinstance(seed, str) or not isinstance(seed, Sequence):
        return [checked_seed(seed)]
    if not seed or size % len(seed):
        raise ValueError(f"seed must be a number, or one for each of equally large runs: {len(seed)} for {size} models")
    return [checked_seed(s) for s in seed]


def check_place(i: int, p: Tensor) -> None:
    """Raise TypeError where a parameter's numbers are not all here: it is sharded, or on the meta device.

    A parameter that does not require a gradient may be on the meta device, since it is left alone.
    """
    module = sys.modules.get("torch.distributed.tensor")  # not loaded: then nothing is a DTensor
    if (module is not None and isinstance(p, module.DTensor)) or getattr(p, "_fsdp_flattened", False):
        raise TypeError(
            f"params[{i}] is sharded (DTensor or FSDP): norms need whole tensors, as with DistributedDataParallel"
        )
    if p.is_meta and p.requires_grad:
        raise TypeError(f"params[{i}] is on the meta device: make the optimizer once the model's weights are there")


def check_trained(i: int, p: Tensor, size: int | None) -> None:
    """Raise TypeError or ValueError where a parameter cannot be trained; `size` is the population's, or None."""
    if p.is_complex() or not p.is_floating_point():
        raise TypeError(f"params[{i}] must be real floating-point, got {p.dtype}")
    if size is not None and (p.dim() == 0 or len(p) != size):
        raise ValueError(
            f"params[{i}] has shape {tuple(p.shape)}; with population=True dimension 0 indexes models: "
            "it must be present, and equal in all params"
        )


def checked_buffers(buffers: Iterable[Any], size: int | None) -> list[Tensor]:
    """Return buffers given as tensors or as pairs of a name and a tensor; `size` is the population's, or None.

    Raises
    ------
    TypeError
        If one is no tensor.
    ValueError
        If dimension 0 of one does not index the population's models.
    """
    found = [b[1] if isinstance(b, tuple) and len(b) == 2 else b for b in buffers]
    for i, b in enumerate(found):
        if not isinstance(b, Tensor):
            raise TypeError(f"buffers[{i}] must be a tensor, or a pair of a name and a tensor, got {b!r}")
        if size is not None and (b.dim() == 0 or len(b) != size):
            raise ValueError(f"buffers[{i}] has shape {tuple(b.shape)}; its dimension 0 must be {size}")
    return found
