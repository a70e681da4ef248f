"""Grids over hyperparameters: experiments made of a few lines of TOML. No torch here.

``profiles/<grid>/<profile>.toml`` says for each task what it is like and which values are tried::

    [digits]
    like = "optimizers/laptop/digits"
    algorithms = ["NiG-SGD", "NiM-BH"]
    restarts = 50
    grid = { rho = [0.0, 0.05, 0.5, 5.0], model = { batch_size = [20, 50] } }

or, where one thing at a time is changed, names each change, an arm::

    [digits.arms.batch-norm]
    model = { batch_norm = true }
"""

import itertools
from collections.abc import Collection, Iterator
from typing import Any

from popview.common.errors import UsageError, check_name
from popview.common.schemas import check
from popview.runs import profiles
from popview.runs.profiles import base_of, check_task, checked, merged, tables
from popview.runs.schemas import Budget, GridArm
from popview.runs.specs import GridSpec

#: Folders of profiles that are no grids.
OTHERS = ("landscapes", "optimizers", "searches", "solutions")


def grids() -> tuple[str, ...]:
    """Return the names of the grids: the folders of profiles that are not another experiment's."""
    folders = (place for place in profiles.FOLDER.parent.iterdir() if place.is_dir() and place != profiles.FOLDER)
    return tuple(sorted(place.name for place in folders if place.name not in OTHERS))


def grid_tasks(grid: str, profile: str) -> tuple[str, ...]:
    """Return the tasks of a grid in a profile."""
    check_name("experiment", grid, grids())
    return tuple(tables(profile, profiles.FOLDER.parent / grid))


def grid_specs(
    grid: str, profile: str, task: str, algorithms: Collection[str] | None = None, restarts: int | None = None
) -> list[GridSpec]:
    """Return the specs of a grid: of each algorithm every combination of the values that it has a setting for, or arms.

    A combination that is the base setting of the profile that the grid is like has base rows, and is not trained again.

    Parameters
    ----------
    grid, profile, task : str
    algorithms : collection of str, optional
        Some of the grid's.
    restarts : int, optional
        Per algorithm and combination; the grid's by default.

    Raises
    ------
    UsageError
        If a name is unknown, or a table's key or value is.
    """
    check_name(f"task of profile {profile} of {grid}", task, grid_tasks(grid, profile))
    where = f"{task} in profile {profile} of {grid}"
    whole = tables(profile, profiles.FOLDER.parent / grid)[task]
    table = whole if isinstance(whole, dict) else {}
    arms = {"": {"grid": table["grid"]}} if "grid" in table else table.get("arms")
    if not isinstance(arms, dict) or not arms:
        raise UsageError(f"{where} has no grid: a table of settings and lists of values; and no arms")
    table = {key: table[key] for key in table if key not in ("grid", "arms", "search", "annealed", "tuned_restarts")}
    known = {
        name: _checked(merged(table, arm), f"{name} of {where}".removeprefix(" of ")) for name, arm in arms.items()
    }
    for name in algorithms or ():
        check_name(f"algorithm of {where}", name, {one for arm in known.values() for one in arm["algorithms"]})
    found = []
    for name, arm in known.items():
        wanted = arm["restarts"] if restarts is None else restarts
        check(Budget, {key: arm[key] for key in ("epochs", "checkpoints")} | {"restarts": wanted})
        fields = {key: arm[key] for key in ("epochs", "checkpoints", "schedule")}
        fields |= {"task": task, "profile": profile, "variant": grid, "restarts": arm["stack"], "arm": name}
        seeds = range(0, wanted, arm["stack"])
        for algorithm in (one for one in algorithms or arm["algorithms"] if one in arm["algorithms"]):
            points = _points(arm["grid"], algorithm, base_of(arm["base"], algorithm), where)
            found += [
                GridSpec(
                    algorithm=algorithm, seed=seed, hyperparameters=own, model=arm["model"] | model, axes=axes, **fields
                )
                for own, model, axes in points
                for seed in seeds
            ]
    return found


def _checked(table: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the table of a grid or an arm, with its values and its schedule, once it is known to be sound."""
    own = {"grid": table.pop("grid", {}), "schedule": table.pop("schedule", "constant")}
    check(GridArm, own, where)
    names = table.get("algorithms", ())
    if isinstance(table.get("base"), dict):  # what it is like may have more algorithms
        table["base"] = {n: v for n, v in table["base"].items() if not isinstance(v, dict) or n in names}
    table = checked(check_task, table, where)
    for name in (name for name, value in own["grid"].items() if isinstance(value, dict) and name != "model"):
        check_name(f"algorithm in the grid of {where}", name, table["algorithms"])
    return table | own


def _points(
    values: dict[str, Any], algorithm: str, base: dict[str, Any], where: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]]:
    """Yield the hyperparameters of each combination, the model's settings that vary, and the names of what varies."""
    model, own = values.get("model", {}), values.get(algorithm, {})
    common = {name: value for name, value in values.items() if not isinstance(value, dict)}
    axes = common | own | model
    for name, value in axes.items():
        if not isinstance(value, list) or not value:
            raise UsageError(f"{name} in the grid of {where} must be a list of values, got {value!r}")
    varied = [name for name in axes if name in base or name in own or name in model]  # it may lack others
    for point in itertools.product(*(axes[name] for name in varied)):
        chosen = dict(zip(varied, point, strict=True))
        settings = {name: value for name, value in chosen.items() if name not in model}
        yield base | settings, {name: chosen[name] for name in model}, tuple(axes)
