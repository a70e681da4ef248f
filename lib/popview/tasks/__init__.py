"""Real tasks, each as data, model, loss and metric; `TASKS` maps their names."""

from collections.abc import Callable

from popview.tasks.base import SPLITS, Problem
from popview.tasks.digits import Digits
from popview.tasks.images import cifar10, cifar100, mnist
from popview.tasks.texts import goemotions, tweeteval

__all__ = ["SPLITS", "TASKS", "Problem"]

#: Task → what sets it up for the seeds of restarts, given the settings of its model in the profile.
TASKS: dict[str, Callable[..., Problem]] = {
    "digits": Digits,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "mnist": mnist,
    "goemotions": goemotions,
    "tweeteval": tweeteval,
}
