"""One part of a sweep over landscapes → its table. Torch is imported here, and not where parts are named."""

import time
from typing import Any

import numpy as np
import pyarrow as pa

from popview.landscapes.transitions import landscape_of, sweep_settings, traced
from popview.runs import store
from popview.runs.columns import SWEEP
from popview.runs.sweeps import SweepPart, settings_of


def sweep_table(part: SweepPart) -> pa.Table:
    """Run an algorithm with all settings of a sweep.

    Returns
    -------
    pyarrow.Table
        One row per setting, in the order of `popview.runs.sweeps.settings_of`: its values; ``restarts, near`` (see
        `popview.landscapes.transitions.sweep_settings`); means over restarts of ``noise_triggers, hops_tried,
        hops_accepted, gradient_evaluations``; ``transitions``: restarts by where gradient descent ends (rows) and where
        the algorithm does (columns), row by row. Minima are in the landscape's order; then come none and diverged.
    """
    began = time.perf_counter()
    rows, given = list(settings_of(part)), part.settings
    found = sweep_settings(part.algorithm, samples_of(part))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns |= {name: [row[name] for row in found] for name in found[0] if name != "transitions"}
    columns |= {"restarts": [given["restarts"]] * len(rows)}
    columns |= {"transitions": [row["transitions"].ravel().astype(np.int64) for row in found]}
    table = pa.table({field.name: pa.array(columns[field.name], field.type) for field in SWEEP}, schema=SWEEP)
    return store.described(table, part, seconds=time.perf_counter() - began)


def samples_of(part: SweepPart) -> list[dict[str, Any]]:
    """Return the arguments of `popview.stationary.sample`, but for the algorithm, of each setting of a part."""
    given = part.settings
    common = {"restarts": given["restarts"], "iterations": given.get("iterations", 1000), "seed": part.seed}
    penalties = {weight: traced(weight) for weight in given.get("weight", []) if weight}
    wanted = []
    for row in settings_of(part):
        place = [row[name] for name in ("landscape", "dimension", "ratio", "depth")]
        setting = {"landscape": landscape_of(*place), **{name: row[name] for name in ("lr", "rho", "normalized")}}
        setting |= {"tau": row["tau"], "epsilon": given.get("epsilon", 1e-3)} if row["tau"] else {}
        setting |= {"penalty": penalties[row["weight"]]} if row["weight"] else {}
        wanted.append(common | setting)
    return wanted
