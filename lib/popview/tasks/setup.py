"""From a task of the catalogue and the settings of its model to a `Problem`."""

import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any

from popview.common.errors import UsageError, check_name
from popview.tasks.catalogue import RECORDS, Task
from popview.tasks.digits import Digits
from popview.tasks.images import Images
from popview.tasks.problem import Problem
from popview.tasks.texts import Texts

#: Kind of a task → its class, and what the class takes of the task's record.
_KINDS: dict[str, tuple[type[Problem], tuple[str, ...]]] = {
    "digits": (Digits, ()),
    "images": (Images, ("data", "config", "label", "classes", "augmented")),
    "texts": (Texts, ("data", "config", "label", "multilabel", "classes")),
}


def maker_of(task: Task) -> partial[Problem]:
    """Return what sets up a task of the catalogue."""
    kind, known = _KINDS[task.kind]
    return partial(kind, **{name: getattr(task, name) for name in known})


#: Task → what sets it up for the seeds of restarts, given the settings of its model in the profile.
TASKS = {name: maker_of(task) for name, task in RECORDS.items()}


def set_up(task: str, seeds: Sequence[int], model: dict[str, Any]) -> Problem:
    """Set up a task for the restarts of given seeds.

    Parameters
    ----------
    task : str
        A key of `TASKS`.
    seeds : sequence of int
    model : dict
        The settings of its model: ``model`` of its table in a profile.

    Raises
    ------
    UsageError
        If the task is unknown, one of its settings unknown or missing, or its data or model cannot be had.

    Examples
    --------
    >>> from popview.tasks.setup import set_up
    >>> task = set_up("digits", seeds=[0, 1, 2], model={"hidden": 16})
    >>> task.steps_per_epoch, task.population
    (20, True)
    """
    check_name("task", task, TASKS)
    known = {name: entry for name, entry in inspect.signature(TASKS[task]).parameters.items() if name != "seeds"}
    for name in model:
        check_name(f"setting of {task}'s model", name, known)
    for name, entry in known.items():
        if entry.default is entry.empty and name not in model:
            raise UsageError(f"the model of {task} needs the setting {name}")
    return TASKS[task](seeds, **model)
