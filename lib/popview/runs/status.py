"""What the store holds of many parts: done, running, half-done, damaged or missing, with bytes and seconds."""

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from popview.common import read_log
from popview.common.folders import RESULTS
from popview.common.locks import is_held
from popview.runs import store
from popview.runs.annealed import AnnealedPlan
from popview.runs.expansion import expand, unsearched
from popview.runs.profiles import tasks
from popview.runs.specs import VARIANTS, Part

__all__ = ["State", "inventory", "seconds", "status"]


class State(NamedTuple):
    """What the store holds of a part.

    ``state`` is "done", "running" (a living process works on it), "half_done" (begun, to be continued), "damaged" or
    "missing". Damaged are files whose metadata cannot be read or are another part's, and those that were set aside and
    not replaced; damage to rows is noticed where they are loaded. ``diverged`` counts restarts; ``bytes`` and
    ``seconds`` are those of what is done.
    """

    state: str
    diverged: int = 0
    bytes: int = 0
    seconds: float = 0.0


def status(parts: Iterable[Part], root: Path = RESULTS) -> list[State]:
    """Return the state of each part; the store's folders are listed once each."""
    listed: dict[str, set[str]] = {}
    found, place = [], str(root)
    for part in parts:
        folder = f"{place}/{store.folder_of(part)}"
        if folder not in listed:
            read_log.record(folder)
            listed[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        found.append(_state(part, folder, listed[folder]))
    return found


def _state(part: Part, folder: str, names: set[str]) -> State:
    stem = store.stem_of(part)
    if f"{stem}.parquet" in names:
        file = Path(f"{folder}/{stem}.parquet")
        known = store.peek(file)
        if known is None:
            return State("damaged")
        taken = seconds(known, alone=not part.alongside)
        return State("done", sum(known.get("diverged", ())), file.stat().st_size, taken)
    if f"{stem}.lock" in names and is_held(Path(f"{folder}/{stem}.lock")):
        return State("running")
    if f"{stem}.unfinished" in names:
        return State("half_done")
    return State("damaged" if f"{stem}.damaged" in names else "missing")


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
        named = dict(zip(("task", "variant", "algorithm"), names, strict=True))
        return rows.setdefault(names, named | dict.fromkeys(counts, 0))

    for task in tasks(profile):
        plan = AnnealedPlan(profile, task)
        for variant in (*VARIANTS, *plan.variants):
            if variant in VARIANTS:
                specs = expand(profile, task, variant=variant, restarts=restarts)
            else:
                specs = plan.expand(variant, restarts=restarts)
            known = {name: row_of(task, variant, name) for name in dict.fromkeys(spec.algorithm for spec in specs)}
            for spec, found in zip(specs, status(specs, root), strict=True):
                row = known[spec.algorithm]
                row["wanted"] += spec.restarts
                if found.state in row:
                    row[found.state] += spec.restarts
                row["diverged"] += found.diverged
                row["bytes"] += found.bytes
                row["core_hours"] += found.seconds / 3600
            to_come = plan.restarts_to_come if variant in plan.variants else partial(unsearched, profile, task)
            for algorithm, number in to_come(variant, known, restarts).items():
                row_of(task, variant, algorithm)["wanted"] += number
    return list(rows.values())
