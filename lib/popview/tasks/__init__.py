"""Real tasks, each as data, model, loss and metric; `catalogue` says what they are, `TASKS` maps their names."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from popview.tasks.problem import SPLITS, Problem
    from popview.tasks.setup import TASKS, set_up

__all__ = ["SPLITS", "TASKS", "Problem", "set_up"]


def __getattr__(name: str) -> Any:
    """Return one of `__all__`, loaded only now: it needs torch, and the catalogue does not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    module = "popview.tasks.problem" if name in ("SPLITS", "Problem") else "popview.tasks.setup"
    return getattr(import_module(module), name)
