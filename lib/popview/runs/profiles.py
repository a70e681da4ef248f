"""What a profile says of each task: its tables, read from TOML and checked. No torch here."""

import json
import tomllib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from popview.common import read_log
from popview.common.errors import UsageError, check_name
from popview.common.schemas import check
from popview.runs.schemas import AnnealedTable, ModelTable, SearchEntry, TaskTable

FOLDER = Path(__file__).parent / "profiles" / "optimizers"

#: A table may be like one that is like one …: so many, at most.
MOST_HEIRS = 9


def profile_names(folder: Path = FOLDER) -> list[str]:
    """Return the names of the profiles in a folder, in alphabetical order."""
    read_log.record(folder)
    return sorted(file.stem for file in folder.glob("*.toml"))


def tables(profile: str, folder: Path) -> dict[str, Any]:
    """Return the tables of a profile in a folder of profiles, ``<folder>/<profile>.toml``.

    Raises
    ------
    UsageError
        If the profile is unknown or cannot be read, or a table is like one that there is not.
    """
    known = _read(profile, folder)
    return {name: _inherited(known, name, profile) for name in known}


def _read(profile: str, folder: Path) -> dict[str, Any]:
    """Return what a profile's file holds, as it is written there."""
    file = folder / f"{profile}.toml"
    read_log.record(file)
    try:
        return _parsed(file.read_text("utf-8"))
    except FileNotFoundError:
        check_name("profile", profile, profile_names(folder))
        raise
    except (OSError, RecursionError, ValueError) as error:
        raise UsageError(f"profile {profile} ({file}) cannot be read: {error}") from error


_parsed = cache(tomllib.loads)


def _inherited(known: dict[str, Any], name: str, profile: str, heirs: tuple[str, ...] = ()) -> Any:
    """Return a table of a profile, completed by the one that it is ``like``, if it says so.

    That is another of the same profile, or, as ``<experiment>/<profile>/<task>``, of another experiment's.
    """
    table, where = known[name], f"{name} in profile {profile}"
    if not isinstance(table, dict) or "like" not in table:
        return table
    heirs, like = (*heirs, name), table["like"]
    if not isinstance(like, str):
        raise UsageError(f"like of {where} must be the name of a table, got {like!r}")
    if like in heirs or len(heirs) > MOST_HEIRS:
        raise UsageError(f"{heirs[0]} in profile {profile} is like itself: {' → '.join((*heirs, like))}")
    if like.count("/") == 2:
        experiment, profile, like = like.split("/")
        known = _read(profile, FOLDER.parent / experiment)
    check_name(f"table that {where} is like", like, [*known])
    own = {key: value for key, value in table.items() if key != "like"}
    return merged(_inherited(known, like, profile, heirs), own)


def merged(table: Any, changes: Any) -> Any:
    """Return a table with changes; what is a table in both is merged in turn."""
    if not isinstance(table, dict) or not isinstance(changes, dict):
        return changes
    return table | {key: merged(table.get(key), value) for key, value in changes.items()}


def tasks(profile: str) -> tuple[str, ...]:
    """Return the names of a profile's tasks."""
    return tuple(_read(profile, FOLDER))


def settings(profile: str, task: str) -> dict[str, Any]:
    """Return a task's table in a profile (``lib/popview/runs/profiles/optimizers/<profile>.toml``).

    Raises
    ------
    UsageError
        If the profile or the task is unknown, one of the table's keys unknown or missing, or a value out of range.
    """
    known = _read(profile, FOLDER)
    check_name(f"task of profile {profile}", task, known)
    return dict(checked(check_task, _inherited(known, task, profile), f"{task} in profile {profile}"))


def check_task(table: Any, where: str) -> None:
    """Raise UsageError for a task's table that has an unknown key, lacks one, or holds a value out of range."""
    check(TaskTable, table, where)
    check(ModelTable, table["model"], where)
    if "annealed" in table:
        task, _, profile = where.partition(" ")
        check(AnnealedTable, table["annealed"], f"[{task}.annealed] {profile}")


def checked(checks: Callable[[Any, str], None], table: Any, where: str) -> Any:
    """Return a copy of what was read from a file, which is checked once as long as it stays the same."""
    text = json.dumps(table, default=repr)
    if (where, text) not in _CHECKED:
        checks(table, where)
        _CHECKED.add((where, text))
    return json.loads(text)


_CHECKED: set[tuple[str, str]] = set()


def searches(profile: str) -> dict[str, dict[str, Any]]:
    """Return what `search` does for each task.

    Raises
    ------
    UsageError
        If the file cannot be read, or a value of it is not what `popview.runs.search` writes.
    """
    file = FOLDER.parent / "searches" / f"{profile}.json"
    read_log.record(file)
    try:
        found = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        return dict(checked(partial(check, dict[str, dict[str, SearchEntry]]), found, file.name))
    except (OSError, RecursionError, ValueError) as error:
        raise UsageError(f"{file} cannot be read ({error}): remove it and run `popview tune` again") from error


def base_of(base: dict[str, Any], algorithm: str) -> dict[str, Any]:
    """Merge the hyperparameters common to all with the algorithm's own; ``common = false`` there takes only its own."""
    own = dict(base.get(algorithm, {}))
    common = {name: value for name, value in base.items() if not isinstance(value, dict)}
    return (common if own.pop("common", True) else {}) | own
