"""What a file of each kind holds: its columns, their types, and which rows there are. No torch here."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from popview.runs.seals import TYPES, type_name

#: Names in the order of the columns → types, as `popview.runs.seals.type_name` gives them.
Types = Mapping[str, str]

#: Of trajectories: one row per restart and checkpoint.
_TRAJECTORY = dict.fromkeys(("seed", "step"), "<i8") | {"epoch": "<f8"}
_TRAJECTORY |= dict.fromkeys(("gradient_evaluations", "loss_evaluations"), "<i8")
_TRAJECTORY |= dict.fromkeys(
    ("train_loss", "validation_loss", "validation_metric", "test_loss", "test_metric", "seconds"), "<f8"
)
COLUMNS = list(_TRAJECTORY)

#: The same for Arrow.
_ARROW = {name: kind for kind, name in TYPES.items()}
TRAJECTORY = pa.schema([(name, _ARROW[kind]) for name, kind in _TRAJECTORY.items()])

#: What may come after them: predictions, in some rows only.
_PREDICTIONS = {"probabilities": "list of <f2", "test_probabilities": "list of |u1"}

#: Of solutions, one row per stage and seed; the measures of flatness come after them.
_SOLUTIONS = {"seed": "<i8", "stage": "text", "step": "<i8", "epoch": "<f8"}
_SOLUTIONS |= dict.fromkeys(("gradient_evaluations", "loss_evaluations"), "<i8")
_SOLUTIONS |= {f"{split}_{what}": "<f8" for split in ("train", "validation", "test") for what in ("loss", "accuracy")}

_PRODUCTS = {"algorithm": "text", "seed": "<i8", "products": "list of <f4"}

#: Of barriers, one row per pair.
_PAIRS = dict.fromkeys(("first", "second"), "<i8")
_HEIGHTS = dict.fromkeys(
    ("distance", "start_loss", "end_loss", "height", "rise", "straight_height", "straight_rise", "earlier_height"),
    "<f8",
)
_PATHS = {"steps": "<i8", "converged": "|b1"} | dict.fromkeys(("profile", "straight_profile"), "list of <f4")

#: Of sweeps over landscapes, one row per setting.
_SWEEP = {"landscape": "text", "dimension": "<i8", "ratio": "<f8", "depth": "<f8", "normalized": "|b1"}
_SWEEP |= dict.fromkeys(("lr", "displacement", "rho"), "<f8") | {"tau": "<i8", "weight": "<f8"}
_SWEEP |= dict.fromkeys(("restarts", "near"), "<i8")
_SWEEP |= dict.fromkeys(("noise_triggers", "hops_tried", "hops_accepted", "gradient_evaluations"), "<f8")
SWEEP = pa.schema([*((name, _ARROW[kind]) for name, kind in _SWEEP.items()), ("transitions", pa.list_(pa.int64()))])


def check_schema(table: pa.Table, told: Mapping[str, Any]) -> None:
    """Raise ValueError unless a table has the columns and rows that the spec in its metadata asks for.

    Parameters
    ----------
    table : pyarrow.Table
    told : mapping
        Its metadata: `popview.runs.training.train_table`, `popview.runs.store.described`.
    """
    spec = told["spec"]
    kind = spec.get("kind", "trajectory")
    if kind not in _KINDS:
        raise ValueError(f"it is of an unknown kind, {kind}")
    _KINDS[kind](table, spec, told)


def _check_columns(table: pa.Table, needed: Types, optional: Types | None = None) -> None:
    """Raise ValueError unless a table has these columns in this order, without nulls, and some of the optional ones."""
    found = {field.name: type_name(field.type) for field in table.schema}
    more = {name: kind for name, kind in (optional or {}).items() if name in found}
    if [*found.items()] != [*needed.items(), *more.items()] or len(found) != table.num_columns:
        known = {**needed, **more}
        wrong = [name for name in {**known, **found} if known.get(name) != found.get(name)]
        raise ValueError(f"its columns are not those of its kind: {', '.join(wrong) or 'their order'}")
    if any(table[name].null_count for name in needed):
        raise ValueError("it has rows without values")


def _trajectory(table: pa.Table, spec: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """Each restart has a row at every checkpoint, up to its end where it diverged."""
    _check_columns(table, _TRAJECTORY, _PREDICTIONS)
    seed, step, epoch = (table[name].to_numpy() for name in ("seed", "step", "epoch"))
    first, restarts = spec["seed"], spec["restarts"]
    diverged = np.array(told["diverged"], dtype=bool)
    place = seed - first
    if diverged.shape != (restarts,) or not len(table) or place.min() < 0 or place.max() >= restarts:
        raise ValueError(f"its seeds are not {first} to {first + restarts - 1}")
    per_epoch = round(step[-1] / epoch[-1]) if epoch[-1] > 0 else 1
    due = np.unique(np.linspace(0, spec["epochs"] * per_epoch, spec["checkpoints"], dtype=int))
    length = np.bincount(place, minlength=restarts)
    checkpoint, restart = np.nonzero(np.arange(length.max())[:, None] < length)
    whole = (length == len(due)) | (diverged & (length > 0) & (length < len(due)))
    if not (whole.all() and np.array_equal(place, restart) and np.array_equal(step, due[checkpoint])):
        raise ValueError(f"its rows are not one per seed and checkpoint, {restarts} × {spec['checkpoints']}")


def _solutions(table: pa.Table, spec: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """Each solution has a row for every stage that it reached."""
    measures = dict.fromkeys(table.column_names[len(_SOLUTIONS) :], "<f8")
    _check_columns(table, _SOLUTIONS | measures)
    first, restarts = spec["seed"], spec["settings"]["restarts"]
    seeds = table["seed"].to_pylist()
    rows = {*zip(table["stage"].to_pylist(), seeds, strict=True)}
    if len(rows) < len(table) or not set(seeds) <= set(range(first, first + restarts)):
        raise ValueError(f"its rows are not one per stage and seed, {first} to {first + restarts - 1}")


def _products(table: pa.Table, spec: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """Each solution has a row, with its product with every other."""
    _check_columns(table, _PRODUCTS)
    rows = {*zip(table["algorithm"].to_pylist(), table["seed"].to_pylist(), strict=True)}
    if not {len(table)} >= {len(rows), *(len(products) for products in table["products"])}:
        raise ValueError("its rows are not one per solution, with as many products")


def _barriers(table: pa.Table, spec: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """Each pair has a row, but for those of which a run did not reach the stage."""
    given = spec["settings"]
    _check_columns(table, _PAIRS | _HEIGHTS | _PATHS if len(table) else _PAIRS)
    pairs = {*zip(table["first"].to_pylist(), table["second"].to_pylist(), strict=True)}
    if not len(pairs) == len(table) == given["count"] - told["missing"]:
        raise ValueError(f"its rows are not one per pair, {given['count'] - told['missing']}")


def _sweep(table: pa.Table, spec: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """Each setting has a row, whose counts add up to its restarts."""
    _check_columns(table, _SWEEP | {"transitions": "list of <i8"})
    names = list(_SWEEP)[:10]
    settings = {*zip(*(map(str, table[name].to_pylist()) for name in names), strict=True)}
    counts = np.array([sum(counts) for counts in table["transitions"].to_pylist()])
    if len(settings) < len(table) or not (counts == spec["settings"]["restarts"]).all():
        raise ValueError("its rows are not one per setting, with as many restarts as were asked for")


_KINDS: dict[str, Callable[[pa.Table, Mapping[str, Any], Mapping[str, Any]], None]] = {
    "trajectory": _trajectory,
    "solutions": _solutions,
    "products": _products,
    "barriers": _barriers,
    "sweep": _sweep,
}
