"""Real tasks, each as data, model, loss and metric; `TASKS` maps their names."""

from popview.tasks.base import SPLITS, Problem
from popview.tasks.digits import Digits

__all__ = ["SPLITS", "TASKS", "Problem"]

TASKS: dict[str, type[Digits]] = {"digits": Digits}
