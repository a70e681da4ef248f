"""Results that nobody trained: whole, as the store wants them, with the values that a test gives."""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from popview.runs.columns import TRAJECTORY
from popview.runs.specs import RunSpec

STEPS_PER_EPOCH = 100


def stand_in(spec: RunSpec, columns: dict[str, Any] | None = None, **told: Any) -> pa.Table:
    """Return a table with a row per checkpoint and restart, in that order; zero but for the columns that are given."""
    due = np.linspace(0, spec.epochs * STEPS_PER_EPOCH, spec.checkpoints, dtype=int)
    values = {name: np.zeros(len(due) * spec.restarts) for name in TRAJECTORY.names}
    values |= {"seed": np.tile(spec.seeds, len(due)), "step": np.repeat(due, spec.restarts)}
    values["epoch"] = values["step"] / STEPS_PER_EPOCH
    values |= {name: np.broadcast_to(column, len(values["seed"])) for name, column in (columns or {}).items()}
    known = {"spec": json.loads(spec.canonical), "digest": spec.digest, "diverged": [False] * spec.restarts} | told
    table = pa.table({name: pa.array(values[name], TRAJECTORY.field(name).type) for name in TRAJECTORY.names})
    return table.replace_schema_metadata({"popview": json.dumps(known)})
