"""Computing a reader's own runs: their code is imported here, to see that it fits before anything is computed."""

import ast
from pathlib import Path
from typing import Any

import torch

from popview.common.errors import UsageError, check_name
from popview.common.folders import OWN, RESULTS
from popview.common.named_code import is_reference
from popview.optimizers import ALGORITHMS
from popview.optimizers.foreign import Foreign, make_foreign
from popview.runs import workers
from popview.runs.loop import unattached
from popview.runs.own import own_specs


def run_own(
    task: str,
    optimizer: str,
    texts: dict[str, str],
    *,
    profile: str = "laptop",
    restarts: int | None = None,
    epochs: int | None = None,
    root: Path = RESULTS,
    **options: Any,
) -> str:
    """Compute what is missing of an optimizer on a task, in the folder ``own``; say in a line what there is.

    Parameters
    ----------
    task, optimizer : str
        Names of the book's, or of code, ``module:name``.
    texts : dict
        Hyperparameter → its value as it is typed: a Python literal, or else a text.
    profile, restarts, epochs
        See `popview.runs.own.own_specs`.
    root : Path
        The store beside which the folder lies.
    **options
        See `popview.runs.workers.run`.

    Raises
    ------
    UsageError
        If a name or a setting is unknown, or code cannot be imported or used; as `popview.runs.workers.run`.
    """
    given = {name: _value(text) for name, text in texts.items()}
    scale: dict[str, Any] = {"profile": profile, "restarts": restarts, "epochs": epochs}
    if is_reference(optimizer):
        stacked = not is_reference(task) and _takes_one_gradient(optimizer, given)
        specs = own_specs(task, optimizer, given, stacked=stacked, **scale)
    else:
        check_name("optimizer", optimizer, ALGORITHMS)
        if ours := sorted({"seed", "population", "buffers", "scaler", "process_group", "params"} & given.keys()):
            raise UsageError(f"{ours[0]} is no setting of {optimizer}: a run sets it itself")
        specs = own_specs(task, optimizer, given, stacked=not is_reference(task), **scale)
        unattached(specs[0])  # refuses a setting
    new = workers.run(specs, root=root, **options)
    where = f"{OWN}/{specs[0].experiment}/{specs[0].profile}"
    return f"{specs[0].shown} on {task}: {len(specs)} files wanted, {new} new, in {where}"


def _takes_one_gradient(optimizer: str, given: dict[str, Any]) -> bool:
    """Say whether each step on a bowl takes one gradient: else a stack would be evaluated for each of its models."""
    w = torch.nn.Parameter(torch.ones(1, 2, 2))
    made = make_foreign(optimizer, [w], given, population=True)
    if not isinstance(made, Foreign):
        return True

    def closure() -> torch.Tensor:
        made.zero_grad()
        losses = (w**2).sum((1, 2))
        losses.sum().backward()
        return losses

    for _ in range(3):
        made.step(closure)
    return isinstance(made.gradient_evaluations, torch.Tensor) and int(made.gradient_evaluations) == 3


def _value(text: str) -> Any:
    """Return the value that a text spells: a number, True, None, a list, …; or the text."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return {"true": True, "false": False}.get(text, text)
    if not isinstance(value, bool | int | float | str | list | tuple | None):
        raise UsageError(f"{text} is no number, text, list, True, False or None")
    return list(value) if isinstance(value, tuple) else value
