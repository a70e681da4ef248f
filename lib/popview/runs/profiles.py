"""What a profile says of each task: its tables, read from TOML and checked. No torch here."""

import json
import math
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from popview.common import read_log
from popview.common.errors import UsageError, check_name

__all__ = [
    "CHANGEABLE",
    "FOLDER",
    "LEAST",
    "base_of",
    "check_table",
    "check_whole",
    "searches",
    "settings",
    "tables",
    "tasks",
]

FOLDER = Path(__file__).parent / "profiles" / "optimizers"


#: What a task's table in a profile holds, and may hold: `tuned_restarts` where they are fewer than the base ones.
_NEEDED = ("restarts", "stack", "epochs", "checkpoints", "margin", "algorithms", "model", "base")


_SETTINGS = (*_NEEDED, "tuned_restarts", "search", "annealed")


#: Whole numbers, and the least that they may be: in a task's table (`expand` may change the last two), in its model's.
LEAST = {"restarts": 1, "tuned_restarts": 1, "stack": 1, "epochs": 1, "checkpoints": 2}


CHANGEABLE = ("epochs", "checkpoints")


_SIZES = {"frozen": 0} | dict.fromkeys(
    ("hidden", "width", "length", "train", "validation", "evaluated", "tested", "batch_size"), 1
)


_MODEL: dict[str, type] = dict.fromkeys(
    ("augmented", "pretrained", "curvature", "shared", "fixed_validation", "base_rates"), bool
) | dict.fromkeys(("network", "model", "data", "config", "precision"), str)


_KINDS = {"algorithms": list, "model": dict, "base": dict, "search": dict, "annealed": dict}


def tables(profile: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the tables of a profile in a folder of profiles, ``<folder>/<profile>.toml``.

    Raises
    ------
    UsageError
        If the profile is unknown or cannot be read.
    """
    check_name("profile", profile, sorted(file.stem for file in folder.glob("*.toml")))
    file = folder / f"{profile}.toml"
    read_log.record(file)
    try:
        found = _parsed(file.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"profile {profile} ({file}) cannot be read: {error}") from error
    return {name: _inherited(found, name, profile) for name in found}


def _inherited(known: dict[str, Any], name: str, profile: str, heirs: tuple[str, ...] = ()) -> Any:
    """Return a table of a profile, completed by the one that it is ``like``, if it says so.

    That is another of the same profile, or, as ``<experiment>/<profile>/<task>``, of another experiment's.
    """
    table = known[name]
    if not isinstance(table, dict) or "like" not in table:
        return table
    if table["like"].count("/") == 2:
        experiment, of, task = table["like"].split("/")
        others = tables(of, FOLDER.parent / experiment)
        check_name(f"table that {name} in profile {profile} is like", task, [*others])
        return _merged(others[task], {key: value for key, value in table.items() if key != "like"})
    check_name(f"table that {name} in profile {profile} is like", table["like"], [*known])
    if table["like"] in (*heirs, name):
        chain = [*heirs, name, table["like"]]
        raise UsageError(f"{chain[0]} in profile {profile} is like itself: {' → '.join(chain)}")
    own = {key: value for key, value in table.items() if key != "like"}
    return _merged(_inherited(known, table["like"], profile, (*heirs, name)), own)


def _merged(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a table with changes; what is a table in both is merged in turn."""
    both = {
        key: _merged(table[key], value) if isinstance(value, dict) and isinstance(table.get(key), dict) else value
        for key, value in changes.items()
    }
    return table | both


def _profile(profile: str) -> dict[str, dict[str, Any]]:
    return tables(profile, FOLDER)


_parsed = cache(tomllib.loads)


def tasks(profile: str) -> tuple[str, ...]:
    """Return the names of a profile's tasks."""
    return tuple(_profile(profile))


def settings(profile: str, task: str) -> dict[str, Any]:
    """Return a task's table in a profile (``lib/popview/runs/profiles/optimizers/<profile>.toml``).

    Raises
    ------
    UsageError
        If the profile or the task is unknown, one of the table's keys unknown or missing, or a value out of range.
    """
    known = _profile(profile)
    check_name(f"task of profile {profile}", task, known)
    if not isinstance(known[task], dict):
        raise UsageError(f"{task} in profile {profile} must be a table, [{task}]")
    text = json.dumps(known[task], default=str)
    _check_once(text, f"{task} in profile {profile}")
    return json.loads(text)  # a copy of its own for each caller


@cache
def _check_once(text: str, where: str) -> None:
    check_table(json.loads(text), where)


def check_table(table: dict[str, Any], where: str) -> None:
    """Raise UsageError for a task's table that has an unknown key, lacks one, or holds a value out of range."""
    for key in table:
        check_name(f"key of {where}", key, _SETTINGS)
    _check_values(table, f"of {where}")
    for group in ("base", "search"):
        for name, value in table.get(group, {}).items():
            if isinstance(value, dict):
                check_name(f"algorithm in {group} of {where}", name, table.get("algorithms", ()))
    for key in _NEEDED:
        if key not in table:
            raise UsageError(f"{where} has no {key}")


def _check_values(table: dict[str, Any], where: str) -> None:
    """Raise UsageError for a value of a task's table that is of another kind, or out of range."""
    for key, kind in _KINDS.items():
        if not isinstance(table.get(key, kind()), kind):
            what = "a list of names" if kind is list else "a table"
            raise UsageError(f"{key} {where} must be {what}, got {table[key]!r}")
    for names, values in ((LEAST, table), (_SIZES, table.get("model", {}))):
        for key in names.keys() & values.keys():
            for value in values[key] if key == "hidden" and isinstance(values[key], list) else [values[key]]:
                check_whole(f"{key} {where}", value, names[key])
    for key, value in table.get("model", {}).items():
        if key in _MODEL and not isinstance(value, _MODEL[key]):
            what = "true or false" if _MODEL[key] is bool else "a name"
            raise UsageError(f"{key} {where} must be {what}, got {value!r}")
    if "trials" in table.get("search", {}):
        check_whole(f"trials in [search] {where}", table["search"]["trials"], 1)
    if table.get("tuned_restarts", 1) > table.get("restarts", math.inf):
        raise UsageError(f"tuned_restarts {where} must be at most its restarts: base ones come first")
    margin = table.get("margin", 1)
    if not isinstance(margin, int | float) or not 0 < margin < math.inf:
        raise UsageError(f"margin {where} must be a number above 0, got {margin!r}")


def check_whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{name} must be a whole number, {least} or above, got {value!r}")


def searches(profile: str) -> dict[str, dict[str, Any]]:
    """Return what `search` does for each task."""
    file = FOLDER.parent / "searches" / f"{profile}.json"
    read_log.record(file)
    try:
        return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}
    except (TypeError, ValueError) as error:
        raise UsageError(f"{file} cannot be read ({error}): remove it and run `popview tune` again") from error


def base_of(base: dict[str, Any], algorithm: str) -> dict[str, Any]:
    """Merge the hyperparameters common to all with the algorithm's own; ``common = false`` there takes only its own."""
    own = dict(base.get(algorithm, {}))
    common = {name: value for name, value in base.items() if not isinstance(value, dict)}
    return (common if own.pop("common", True) else {}) | own
