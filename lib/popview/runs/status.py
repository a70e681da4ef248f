"""What the store holds of many parts: done, running, half-done, damaged or missing, with bytes and seconds."""

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from popview.common import read_log
from popview.common.folders import RESULTS
from popview.common.locks import is_held
from popview.runs import profiles
from popview.runs.index import Index
from popview.runs.specs import VARIANTS, Part
from popview.tasks import catalogue


class State(NamedTuple):
    """What the store holds of a part.

    ``state`` is "done", "running" (a living process works on it), "half_done" (begun, to be continued), "damaged" or
    "missing". Damaged are files that are not what was written, or are another part's, and those that were set aside and
    not replaced. A file is read when its size or time is not that of the index (`popview.runs.index`), else the index
    is believed. ``diverged`` counts restarts; ``bytes`` and ``seconds`` are those of what is done.
    """

    state: str
    diverged: int = 0
    bytes: int = 0
    seconds: float = 0.0


class _Place(NamedTuple):
    """Where a part's file belongs, its restarts, and whether its training counts (see `seconds`)."""

    folder: str
    stem: str
    restarts: int
    alone: bool


def _place(part: Part) -> _Place:
    from popview.runs import store  # which takes longer to import than all else here

    restarts = getattr(part, "restarts", 0)
    return _Place(store.folder_of(part), store.stem_of(part), restarts, not part.alongside)


def status(parts: Iterable[Part], root: Path = RESULTS) -> list[State]:
    """Return the state of each part; the store's folders are listed once each."""
    index = Index(root)
    found = _states([_place(part) for part in parts], root, index)
    index.save()
    return found


def _states(places: Iterable[_Place], root: Path, index: Index) -> list[State]:
    listed: dict[str, dict[str, os.DirEntry[str]]] = {}
    found = []
    for place in places:
        if place.folder not in listed:
            folder = root / place.folder
            read_log.record(folder)
            there = os.scandir(folder) if folder.is_dir() else ()
            listed[place.folder] = {entry.name: entry for entry in there}
        found.append(_state(place, listed[place.folder], index))
    return found


def _state(place: _Place, there: dict[str, os.DirEntry[str]], index: Index) -> State:
    if entry := there.get(f"{place.stem}.parquet"):
        facts = entry.stat()
        name, state = f"{place.folder}/{entry.name}", [facts.st_mtime_ns, facts.st_size]
        known = index.remembered(name, state, lambda: _known(Path(entry.path)))
        return State("done", known[0], facts.st_size, known[1 + place.alone]) if known else State("damaged")
    lock = there.get(f"{place.stem}.lock")
    if lock and is_held(Path(lock.path)):
        return State("running")
    if f"{place.stem}.unfinished" in there:
        return State("half_done")
    return State("damaged" if f"{place.stem}.damaged" in there else "missing")


def _known(file: Path) -> list[Any] | None:
    """Return of a file how many restarts diverged, and its seconds without and with training; None if it is damaged."""
    from popview.runs import store

    try:
        told = store.contents(file)[1]
    except store.Damaged:
        return None
    return [sum(told.get("diverged", ())), seconds(told, alone=False), seconds(told, alone=True)]


def seconds(told: dict[str, Any], alone: bool) -> float:
    """Return what a file took, by its metadata: the measures at its end and, if `alone`, all before them.

    One whose rows were taken from another's file has no clock: it took nothing.

    Parameters
    ----------
    told : dict
    alone : bool
        Whether the training is to be counted: not for SWA beside the SGD that was trained with it.
    """
    clock = told["seconds"]
    if isinstance(clock, float):
        return clock
    return clock.get("measures", 0.0) + (clock.get("training_and_checkpoints", 0.0) if alone else 0.0)


def inventory(profile: str, root: Path = RESULTS, *, restarts: int | None = None) -> list[dict[str, Any]]:
    """Return, per task, variant and algorithm of a profile, how many restarts there are of each kind, bytes and hours.

    Grids over hyperparameters come last. ``experiment``: "optimizers", or the grid, which is the variant, too.
    ``wanted``: restarts that the profile asks for, also where a search has yet to choose their settings; ``done``;
    ``diverged``: how many of these diverged; ``running``, ``half_done``, ``damaged``: see `State`; ``bytes`` and
    ``core_hours`` of what is done.

    Parameters
    ----------
    profile : str
    root : Path
    restarts : int, optional
        Wanted per algorithm; the profile's by default.
    """
    counts = ("wanted", "done", "running", "half_done", "diverged", "damaged", "bytes", "core_hours")
    rows: dict[tuple[str, ...], dict[str, Any]] = {}

    def row_of(*names: str) -> dict[str, Any]:
        named = dict(zip(("experiment", "task", "variant", "algorithm"), names, strict=True))
        return rows.setdefault(names, named | dict.fromkeys(counts, 0))

    index = Index(root)
    if read_log.recording():  # a page takes note of the profiles that it reads
        plan = _plan(profile, restarts)
    else:
        plan = index.remembered(f"plan of {profile}, {restarts}", _sources(), lambda: _plan(profile, restarts))
    for experiment, task, variant, algorithm, to_come, places in plan:
        row = row_of(experiment, task, variant, algorithm)
        row["wanted"] += to_come
        known = [_Place(*place) for place in places]
        for place, found in zip(known, _states(known, root, index), strict=True):
            row["wanted"] += place.restarts
            if found.state in row:
                row[found.state] += place.restarts
            row["diverged"] += found.diverged
            row["bytes"] += found.bytes
            row["core_hours"] += found.seconds / 3600
    index.save()
    return list(rows.values())


def _plan(profile: str, restarts: int | None) -> list[list[Any]]:
    """Return, per experiment, task, variant and algorithm, its restarts that have no settings yet, and its places."""
    from popview.runs.annealed import AnnealedPlan
    from popview.runs.expansion import expand, unsearched
    from popview.runs.grids import grid_specs, grid_tasks, grids

    plan: list[list[Any]] = []
    for task in profiles.tasks(profile):
        annealed = AnnealedPlan(profile, task)
        for variant in (*VARIANTS, *annealed.variants):
            if variant in VARIANTS:
                specs = expand(profile, task, variant=variant, restarts=restarts)
            else:
                specs = annealed.expand(variant, restarts=restarts)
            places = _places(specs)
            to_come = annealed.restarts_to_come if variant in annealed.variants else partial(unsearched, profile, task)
            later = to_come(variant, places, restarts)
            for name in {**places, **later}:
                plan.append(["optimizers", task, variant, name, later.get(name, 0), places.get(name, [])])
    for grid in (name for name in grids() if profile in profiles.profile_names(profiles.FOLDER.parent / name)):
        for task in grid_tasks(grid, profile):
            places = _places(grid_specs(grid, profile, task, restarts=restarts))
            plan += [[grid, task, grid, name, 0, places[name]] for name in places]
    return plan


def _places(specs: Iterable[Part]) -> dict[str, list[_Place]]:
    """Return the places of specs, by algorithm."""
    found: dict[str, list[_Place]] = {}
    for spec in specs:
        found.setdefault(spec.algorithm, []).append(_place(spec))
    return found


def _sources() -> list[list[Any]]:
    """Return the state of the code and of the profiles that a plan depends on: names, sizes and times."""
    folders = (Path(__file__).parent, profiles.FOLDER.parent)
    every = sorted({str(file) for folder in folders for file in folder.rglob("*.*") if "__pycache__" not in file.parts})
    every.append(str(catalogue.__file__))  # how many examples a task has decides steps
    return [[name, facts.st_mtime_ns, facts.st_size] for name in every for facts in [os.stat(name)]]
