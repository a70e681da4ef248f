"""From trajectories to populations of models: SetA, SetB, and one value per restart."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from popview.common.errors import UsageError, check_name
from popview.common.folders import RESULTS
from popview.runs import store
from popview.runs.expansion import expand, recorded_trials, restarts_of
from popview.runs.own import OwnSpec, is_own, resolved, stored
from popview.runs.profiles import searches, settings
from popview.runs.profiles import tasks as tasks_of
from popview.runs.specs import RunSpec
from popview.tasks.catalogue import SHOWN

#: The algorithms that the paper sets against SGD, in its order: results without one of them are not shown.
PAPER_FAMILY = ("NiG-SGD", "NiM-SGD", "SAM", "NiG-BH", "NiM-BH")

#: What a file's metadata counts for each restart.
COUNTS = (
    "gradient_evaluations",
    "loss_evaluations",
    "noise_triggers",
    "hops_tried",
    "hops_accepted",
    "diverged",
)


def compared(profile: str, task: str) -> tuple[str, str]:
    """Return the variants of a task that are compared: "base", and "annealed" or "tuned", whose settings were searched.

    They are "annealed" where the profile has ``[<task>.annealed]`` and no ``[<task>.search]``. The latter, and what it
    found at constant learning rates, leave a profile with the commit that completes a task's annealed runs.

    Examples
    --------
    >>> from popview.populations.tables import compared
    >>> compared("laptop", "digits"), compared("laptop", "goemotions")
    (('base', 'annealed'), ('base', 'tuned'))
    """
    table = settings(profile, task) if task in tasks_of(profile) else {}
    return "base", "annealed" if "annealed" in table and "search" not in table else "tuned"


def wanted(
    profile: str,
    task: str,
    variant: str = "base",
    *,
    algorithms: tuple[str, ...] | None = None,
    restarts: int | None = None,
) -> list[RunSpec]:
    """Return the specs of a task and variant as `popview.runs.expansion.expand` does; none where there is nothing to
    compare.

    That is where the profile lacks the task, or, unless algorithms are named, where a search for the tuned settings has
    not ended, or not as the profile stands now, or has not come to SGD and another algorithm. Of a reader's own
    optimizers (`popview.runs.own.is_own`) it is what has been run.

    Raises
    ------
    UsageError
        If the task is not one of `popview.tasks.catalogue.SHOWN`, or the variant not `compared`, or as
        `popview.runs.expansion.expand`.
    """
    if own := [name for name in algorithms or () if is_own(name)]:
        theirs = tuple(name for name in algorithms or () if name not in own)
        found = wanted(profile, task, variant, algorithms=theirs, restarts=restarts) if theirs else []
        return found + [spec for name in own for spec in stored(task, name, profile=profile)]
    check_name("task", task, SHOWN)
    check_name(f"variant of {task} that is compared", variant, compared(profile, task))
    if task not in tasks_of(profile):
        return []
    found = expand(profile, task, algorithms=algorithms, restarts=restarts, variant=variant)
    if variant != "tuned" or algorithms is not None:
        return found
    valid = recorded_trials(profile, task)
    ended = all("chosen" in valid.get(name, {}) for name in valid.keys() | searches(profile).get(task, {}).keys())
    return found if ended and {"SGD"} < {spec.algorithm for spec in found} else []


def cases(profile: str, task: str, variant: str) -> list[tuple[str, str]]:
    """Return the tasks and variants that a page shows: one of each, or all that are `compared` where the word is "all".

    Raises
    ------
    UsageError
        If no task has the variant.
    """
    every = [(name, kind) for name in (SHOWN if task == "all" else (task,)) for kind in compared(profile, name)]
    check_name("variant", variant, ("all", *dict.fromkeys(kind for _, kind in every)))
    return [case for case in every if variant in ("all", case[1])]


def gather(
    profile: str,
    task: str = "all",
    variant: str = "all",
    restarts: int | None = None,
    root: Path = RESULTS,
    own: Sequence[str] = (),
) -> tuple[pd.DataFrame, dict[tuple[str, str], pd.DataFrame]]:
    """Say which tasks have results, and load those of the algorithms that are complete; nothing is computed.

    Nothing of a task and variant is loaded where SGD lacks a restart, or one of `PAPER_FAMILY` that is wanted, so that
    this family is always whole.

    Parameters
    ----------
    profile : str
    task, variant : str
        As for `cases`.
    restarts : int, optional
        Per algorithm; the profile's by default.
    root : Path
        Of the store.
    own : sequence of str
        A reader's own optimizers (`popview.runs.own.stored`), whose results stand beside those of the base variant.

    Returns
    -------
    coverage : DataFrame
        ``task, variant, restarts`` (per algorithm), ``files`` (wanted), ``present, algorithms`` (wanted), ``whole``
        (algorithms that are loaded), ``state``: "complete", "in part" or "not run here yet".
    results : dict of (task, variant) to DataFrame
        As `load_trajectories` returns them; without those of which nothing is loaded.

    Raises
    ------
    UsageError
        As `wanted`.
    """
    rows, results, lacking_own = [], {}, set(own)
    for case in cases(profile, task, variant):
        files = wanted(profile, *case, restarts=restarts)
        absent = store.missing(files, root)
        lacking, present = {spec.algorithm for spec in absent}, len(files) - len(absent)
        whole = [] if lacking & {"SGD", *PAPER_FAMILY} else [spec for spec in files if spec.algorithm not in lacking]
        number = (restarts or restarts_of(profile, *case)) if files else 0
        rows.append(
            {
                "task": case[0],
                "variant": case[1],
                "restarts": number,
                "files": len(files),
                "present": present,
                "algorithms": len({spec.algorithm for spec in files}),
                "whole": len({spec.algorithm for spec in whole}),
                "state": "complete" if files and not absent else "in part" if present else "not run here yet",
            }
        )
        if whole:
            mine = _own_of(own, profile, case, root)
            lacking_own -= {name for name, specs in mine.items() if specs}
            results[case] = load_trajectories([*whole, *chain(*mine.values())], number, root)
    for name in lacking_own:
        stored(SHOWN[0] if task == "all" else task, name, profile=profile, root=root)  # says how to compute it
    return pd.DataFrame(rows), results


def _own_of(own: Sequence[str], profile: str, case: tuple[str, str], root: Path) -> dict[str, list[OwnSpec]]:
    """Return what has been run of a reader's own optimizers on a task, if the variant is that of base settings."""
    found: dict[str, list[OwnSpec]] = {name: [] for name in own}
    for name in own if case[1] == "base" else ():
        with suppress(UsageError):
            found[name] = stored(case[0], name, profile=profile, root=root)
    return found


def load_trajectories(specs: Iterable[RunSpec], restarts: int | None = None, root: Path = RESULTS) -> pd.DataFrame:
    """Read the trajectories of specs from the store into one table.

    Parameters
    ----------
    specs : iterable of RunSpec
    restarts : int, optional
        Keep so many, from the lowest seed on: stacks may hold more restarts than were asked for.

    Returns
    -------
    DataFrame
        The columns of `popview.runs.training.train_table`, after ``task, profile, algorithm, variant`` and before
        ``processor``.

    Raises
    ------
    UsageError
        If a trajectory is not in the store.
    """
    frames, names, specs = [], [], list(specs)
    end = _end(specs, restarts)
    for spec in specs:
        found = store.load(spec, root)
        frame = found.select([name for name in found.column_names if name != "probabilities"]).to_pandas()
        frames.append(frame[frame["seed"] < end])
        names.append((spec.task, spec.profile, spec.shown, spec.variant, store.metadata(spec, root)["processor"]))
    if not frames:
        raise UsageError("no specs to load")
    table, lengths = pd.concat(frames, ignore_index=True), [len(frame) for frame in frames]
    known = pd.DataFrame(names, columns=["task", "profile", "algorithm", "variant", "processor"])
    for place, name in enumerate(known):  # texts at once: file by file they take longer than all else
        table.insert(place if name != "processor" else table.shape[1], name, known[name].repeat(lengths).array)
    return table


def _end(specs: Sequence[RunSpec], restarts: int | None) -> float:
    """Return the seed before which so many restarts end; those of annealed runs do not begin at 0."""
    return np.inf if restarts is None else min((spec.seed for spec in specs), default=0) + restarts


def load_own(task: str, names: Sequence[str], *, epochs: int | None = None, root: Path = RESULTS) -> pd.DataFrame:
    """Read the runs of several optimizers on a task of a reader's own.

    Parameters
    ----------
    task : str
        ``module:function``.
    names : sequence of str
        Of optimizers, with their settings or without: `popview.runs.own.resolved`.
    epochs : int, optional
        Which runs: those of so many epochs.
    root : Path
        The store beside which they lie.

    Returns
    -------
    DataFrame
        As `load_trajectories`.

    Raises
    ------
    UsageError
        If one has no results.
    """
    labels = [resolved(task, name, epochs=epochs, root=root) for name in names]
    return load_trajectories([s for name in labels for s in stored(task, name, epochs=epochs, root=root)], None, root)


def records(specs: Iterable[RunSpec], restarts: int | None = None, root: Path = RESULTS) -> pd.DataFrame:
    """Read what each restart did: one row per restart, ``algorithm, seed, precision`` and the numbers of `COUNTS`.

    Parameters
    ----------
    specs, restarts, root : see `load_trajectories`

    Raises
    ------
    UsageError
        If a trajectory is not in the store.
    """
    specs = list(specs)
    found, end = ((spec, store.metadata(spec, root)) for spec in specs), _end(specs, restarts)
    return pd.DataFrame(
        {"algorithm": spec.shown, "seed": seed, "precision": record["precision"]}
        | {name: record[name][place] for name in COUNTS}
        for spec, record in found
        for place, seed in enumerate(spec.seeds)
        if seed < end
    )
