"""One way to run an experiment: its parts, and computing what is missing of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from popview.common.errors import UsageError, check_name
from popview.common.folders import RESULTS
from popview.runs import grids, profiles, sweeps, workers
from popview.runs.expansion import expand
from popview.runs.solutions import parts
from popview.runs.specs import Part


def experiments() -> tuple[str, ...]:
    """Return the names of the experiments: optimizers compared, solutions, sweeps over landscapes, and the grids."""
    return ("optimizers", "solutions", "landscapes", *grids.grids())


def tasks_of(experiment: str, profile: str) -> tuple[str, ...]:
    """Return the tasks of an experiment in a profile; of the study of solutions its networks, of landscapes its sweeps.

    Raises
    ------
    UsageError
        If a name is unknown.
    """
    check_name("experiment", experiment, experiments())
    if experiment == "optimizers":
        return profiles.tasks(profile)
    if experiment == "landscapes":
        return sweeps.sweep_names(profile)
    return parts.networks(profile) if experiment == "solutions" else grids.grid_tasks(experiment, profile)


def takes(experiment: str) -> tuple[str, ...]:
    """Return which of the command line's options algorithm, restarts, variant and keep-weights an experiment takes.

    Raises
    ------
    UsageError
        If the name is unknown.
    """
    check_name("experiment", experiment, experiments())
    known = {"optimizers": ("algorithm", "restarts", "variant", "keep-weights"), "solutions": ()}
    known["landscapes"] = ("algorithm", "restarts")
    return known.get(experiment, ("algorithm", "restarts", "keep-weights"))


def parts_of(experiment: str, profile: str, task: str, **options: Any) -> list[Part]:
    """Return the parts of an experiment on a task, each a file of the store.

    Parameters
    ----------
    experiment, profile, task : str
    **options
        Of "optimizers" see `popview.runs.expansion.expand`, of "landscapes" `popview.runs.sweeps.sweep_parts`, of a
        grid `popview.runs.grids.grid_specs`.

    Raises
    ------
    UsageError
        If a name is unknown.
    """
    check_name("experiment", experiment, experiments())
    if experiment == "optimizers":
        return [*expand(profile, task, **options)]
    if experiment == "solutions":
        return [*parts.topography_parts(profile, task)]
    if experiment == "landscapes":
        return [*sweeps.sweep_parts(profile, task, **options)]
    return [*grids.grid_specs(experiment, profile, task, **options)]


class FileCounts(NamedTuple):
    """How many files of a task are wanted, how many of them are new, and how many were there before."""

    wanted: int
    new: int
    before: int


def run_experiment(
    wanted: Mapping[str, Sequence[Part]],
    *,
    keep_weights: bool = False,
    report: Callable[[str, FileCounts], None] | None = None,
    root: Path = RESULTS,
    **options: Any,
) -> dict[str, FileCounts]:
    """Compute what the store does not hold of the parts of some tasks.

    Parameters
    ----------
    wanted : mapping of str to sequence of Part
        Task → its parts, as `parts_of` returns them.
    keep_weights, root, **options
        See `popview.runs.workers.run`.
    report : callable, optional
        Is given each task of which something is new and, where nothing failed, each task; also before an error is
        raised.

    Returns
    -------
    dict of str to FileCounts

    Raises
    ------
    UsageError
        As `popview.runs.workers.run`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from popview.runs.experiment import parts_of, run_experiment
    >>> wanted = {"digits": parts_of("optimizers", "smoke", "digits", algorithms=("SGD",))}
    >>> with TemporaryDirectory() as folder:
    ...     run_experiment(wanted, root=Path(folder), workers=1, quiet=True)
    {'digits': FileCounts(wanted=1, new=1, before=0)}
    """
    absent = {task: workers.to_compute(some, root, keep_weights) for task, some in wanted.items()}
    failed = None
    try:
        everything = [part for some in wanted.values() for part in some]
        workers.run(everything, keep_weights=keep_weights, root=root, **options)
    except UsageError as error:
        failed = error
    found = {}
    for task, lacking in absent.items():
        new = len(lacking) - len(workers.to_compute(lacking, root, keep_weights))  # by whichever driver
        found[task] = FileCounts(len(wanted[task]), new, len(wanted[task]) - len(lacking))
        if report and (new or (wanted[task] and not failed)):
            report(task, found[task])
    if failed:
        raise failed
    return found
