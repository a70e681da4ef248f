"""Grids over hyperparameters: experiments made of a few lines of TOML. No torch here.

``profiles/<grid>/<profile>.toml`` says for each task what it is like and which values are tried::

    [digits]
    like = "optimizers/laptop/digits"
    algorithms = ["NiG-SGD", "NiM-BH"]
    restarts = 50
    grid = { rho = [0.0, 0.05, 0.5, 5.0] }
"""

import itertools
from collections.abc import Collection
from typing import Any

from popview.common.errors import UsageError, check_name
from popview.common.schemas import check
from popview.runs import profiles
from popview.runs.profiles import base_of, check_task, checked, tables
from popview.runs.schemas import Budget
from popview.runs.specs import GridSpec

__all__ = ["grid_specs", "grid_tasks", "grids"]

#: Folders of profiles that are no grids.
OTHERS = ("landscapes", "optimizers", "searches", "solutions")


def grids() -> tuple[str, ...]:
    """Return the names of the grids: the folders of profiles that are not another experiment's."""
    folders = (place.name for place in profiles.FOLDER.parent.iterdir() if place.is_dir())
    return tuple(sorted(name for name in folders if name not in OTHERS))


def grid_tasks(grid: str, profile: str) -> tuple[str, ...]:
    """Return the tasks of a grid in a profile."""
    check_name("experiment", grid, grids())
    return tuple(tables(profile, profiles.FOLDER.parent / grid))


def grid_specs(
    grid: str, profile: str, task: str, algorithms: Collection[str] | None = None, restarts: int | None = None
) -> list[GridSpec]:
    """Return the specs of a grid: for each algorithm every combination of the values that it has a hyperparameter for.

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
    table = tables(profile, profiles.FOLDER.parent / grid)[task]
    values = table.get("grid") if isinstance(table, dict) else None
    if not isinstance(values, dict) or not values:
        raise UsageError(f"{where} has no grid: a table of hyperparameters and lists of values")
    table = {key: value for key, value in table.items() if key not in ("grid", "search", "annealed", "tuned_restarts")}
    if isinstance(table.get("base"), dict):  # what it is like may have more algorithms
        own = table.get("algorithms", ())
        table["base"] = {n: v for n, v in table["base"].items() if not isinstance(v, dict) or n in own}
    table = checked(check_task, table, where)
    wanted = table["restarts"] if restarts is None else restarts
    check(Budget, {name: table[name] for name in ("epochs", "checkpoints")} | {"restarts": wanted})
    for name in (name for name, value in values.items() if isinstance(value, dict)):
        check_name(f"algorithm in the grid of {where}", name, table["algorithms"])
    for name in algorithms or ():
        check_name(f"algorithm of {where}", name, table["algorithms"])
    fields = {name: table[name] for name in ("epochs", "checkpoints", "model")}
    fields |= {"task": task, "profile": profile, "variant": grid, "restarts": table["stack"]}
    found = []
    for algorithm in algorithms or table["algorithms"]:
        axes = _axes(values, algorithm, where)
        base = base_of(table["base"], algorithm)
        varied = [name for name in axes if name in base or name in values.get(algorithm, {})]  # it may lack others
        for point in itertools.product(*(axes[name] for name in varied)):
            settings = base | dict(zip(varied, point, strict=True))
            found += [
                GridSpec(algorithm=algorithm, seed=seed, hyperparameters=settings, axes=tuple(axes), **fields)
                for seed in range(0, wanted, table["stack"])
            ]
    return found


def _axes(values: dict[str, Any], algorithm: str, where: str) -> dict[str, list[Any]]:
    """Return the values that an algorithm's hyperparameters take: the common ones, then its own."""
    common = {name: value for name, value in values.items() if not isinstance(value, dict)}
    axes = common | values.get(algorithm, {})
    for name, value in axes.items():
        if not isinstance(value, list) or not value:
            raise UsageError(f"{name} in the grid of {where} must be a list of values, got {value!r}")
    return axes
