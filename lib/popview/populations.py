"""From trajectories to populations of models: SetA, SetB, and one value per restart."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from popview import store
from popview.errors import UsageError, check_name
from popview.paths import TRAJECTORIES
from popview.specs import RunSpec

__all__ = ["CRITERIA", "final", "load", "per_restart", "select", "within"]

#: Column that ranks the checkpoints of a trajectory → whether the lowest is best.
CRITERIA = {"train_loss": True, "validation_metric": False, "test_metric": False}


def load(specs: Iterable[RunSpec], restarts: int | None = None, root: Path = TRAJECTORIES) -> pd.DataFrame:
    """Read the trajectories of specs from the store into one table.

    Parameters
    ----------
    specs : iterable of RunSpec
    restarts : int, optional
        Keep the seeds below this number: stacks may hold more restarts than were asked for.

    Returns
    -------
    DataFrame
        The columns of `popview.trajectory.run`, after ``task, profile, algorithm, variant``.

    Raises
    ------
    UsageError
        If a trajectory is not in the store.
    """
    frames = []
    for spec in specs:
        frame = store.load(spec, root).to_pandas()
        for place, name in enumerate(("task", "profile", "algorithm", "variant")):
            frame.insert(place, name, getattr(spec, name))
        frames.append(frame if restarts is None else frame[frame["seed"] < restarts])
    if not frames:
        raise UsageError("no specs to load")
    return pd.concat(frames, ignore_index=True)


def select(trajectories: pd.DataFrame, by: str, per_trajectory: int = 10) -> pd.DataFrame:
    """Select the best checkpoints of each trajectory: SetA by training loss, SetB by the test metric.

    SetB is chosen by the score that is then compared, so it exceeds SetA by construction; selecting by the
    validation metric does not have that flaw.

    Parameters
    ----------
    trajectories : DataFrame
        As `load` returns it.
    by : {"train_loss", "validation_metric", "test_metric"}
    per_trajectory : int
        The paper's L. Of equal checkpoints the earlier is taken; one whose value or training loss is not finite is
        never taken, so a diverged restart may contribute fewer.

    Raises
    ------
    UsageError
        If `by` is unknown, or `per_trajectory` below 1 or above the checkpoints of every trajectory.
    """
    check_name("criterion", by, CRITERIA)
    keys = ["task", "profile", "algorithm", "variant", "seed"]
    longest = int(trajectories.groupby(keys).size().max())
    if not 1 <= per_trajectory <= longest:
        raise UsageError(f"per_trajectory must be between 1 and {longest} (checkpoints), got {per_trajectory!r}")
    finite = trajectories[np.isfinite(trajectories[[by, "train_loss"]]).all(axis=1)]
    ranked = finite.sort_values([by, "step"], ascending=[CRITERIA[by], True], kind="stable")
    return ranked.groupby(keys).head(per_trajectory).sort_index().reset_index(drop=True)


def within(trajectories: pd.DataFrame, gradient_evaluations: int) -> pd.DataFrame:
    """Keep the checkpoints that cost at most so many gradient evaluations: the equal-gradient view of equal epochs."""
    return trajectories[trajectories["gradient_evaluations"] <= gradient_evaluations]


def per_restart(population: pd.DataFrame, value: str = "test_metric") -> pd.DataFrame:
    """Average a column over each restart's models: the restart is the unit. Rows: seeds; columns: algorithms."""
    _check_one_kind(population)
    return population.pivot_table(index="seed", columns="algorithm", values=value, aggfunc="mean", sort=False)


def final(trajectories: pd.DataFrame, value: str = "test_metric") -> pd.DataFrame:
    """Return a column at each restart's last checkpoint. Rows: seeds; columns: algorithms."""
    _check_one_kind(trajectories)
    last = trajectories.loc[trajectories.groupby(["algorithm", "seed"])["step"].idxmax()]
    return last.pivot_table(index="seed", columns="algorithm", values=value, sort=False)


def _check_one_kind(table: pd.DataFrame) -> None:
    """Raise UsageError where seed and algorithm do not name a restart, so that unlike ones would be averaged."""
    for key in ("task", "profile", "variant"):
        if table[key].nunique() > 1:
            raise UsageError(f"choose one {key} first: the table holds {', '.join(sorted(set(table[key])))}")
