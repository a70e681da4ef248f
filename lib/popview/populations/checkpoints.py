"""From trajectories to models: SetA and SetB, the last ones, one value per restart, and when two algorithms part."""

import numpy as np
import pandas as pd

from popview.common.errors import UsageError, check_name

#: What names a restart.
RESTART = ["task", "profile", "algorithm", "variant", "seed"]

#: Column that ranks the checkpoints of a trajectory → whether the lowest is best.
CRITERIA = {"train_loss": True, "validation_metric": False, "test_metric": False}


def select(trajectories: pd.DataFrame, by: str, per_trajectory: int = 10) -> pd.DataFrame:
    """Select the best checkpoints of each trajectory: SetA by training loss, SetB by the test metric.

    SetB is chosen by the score that is then compared, so it exceeds SetA by construction; selecting by the
    validation metric does not have that flaw.

    Parameters
    ----------
    trajectories : DataFrame
        As `load_trajectories` returns it.
    by : {"train_loss", "validation_metric", "test_metric"}
    per_trajectory : int
        The paper's L. Of equal checkpoints the earlier is taken; one whose value or training loss is not finite is
        never taken, so a diverged restart may contribute fewer.

    Raises
    ------
    UsageError
        If `by` is unknown, or `per_trajectory` below 1 or above the checkpoints of every trajectory.
    """
    finite = _eligible(trajectories, by, per_trajectory)
    ranked = finite.sort_values([by, "step"], ascending=[CRITERIA[by], True], kind="stable")
    return ranked.groupby(RESTART).head(per_trajectory).sort_index().reset_index(drop=True)


def chances(trajectories: pd.DataFrame, by: str, per_trajectory: int = 10) -> pd.Series:
    """Return each checkpoint's chance of being selected, were ties broken at random.

    `select` takes the earlier of equal checkpoints, and an accuracy on few examples has many of them; averages with
    these weights favour neither end of the trajectory. They sum to `per_trajectory` in each restart, or to the number
    of its eligible checkpoints where there are fewer.

    Parameters
    ----------
    trajectories, by, per_trajectory : see `select`

    Returns
    -------
    Series
        Of the index of `trajectories`; 0 for checkpoints that `select` never takes.

    Raises
    ------
    UsageError
        As `select`.
    """
    restarts = _eligible(trajectories, by, per_trajectory).groupby(RESTART)[by]
    better = restarts.rank(method="min", ascending=CRITERIA[by]) - 1
    tied = restarts.rank(method="max", ascending=CRITERIA[by]) - better
    return ((per_trajectory - better) / tied).clip(0, 1).reindex(trajectories.index, fill_value=0.0).rename("chance")


def _eligible(trajectories: pd.DataFrame, by: str, per_trajectory: int) -> pd.DataFrame:
    """Return the checkpoints that may be selected, after checking the request."""
    check_name("criterion", by, CRITERIA)
    longest = int(trajectories.groupby(RESTART).size().max())
    if not 1 <= per_trajectory <= longest:
        task = ", ".join(trajectories["task"].unique())
        raise UsageError(
            f"per_trajectory must be between 1 and {longest}, the checkpoints of {task}, got {per_trajectory!r}"
        )
    return trajectories[np.isfinite(trajectories[[by, "train_loss"]]).all(axis=1)]


def per_restart(population: pd.DataFrame, value: str = "test_metric") -> pd.DataFrame:
    """Average a column over each restart's models: the restart is the unit. Rows: seeds; columns: algorithms."""
    _check_one_kind(population)
    return population.pivot_table(index="seed", columns="algorithm", values=value, aggfunc="mean", sort=False)


def final(trajectories: pd.DataFrame, value: str = "test_metric") -> pd.DataFrame:
    """Return a column at each restart's last checkpoint. Rows: seeds; columns: algorithms."""
    _check_one_kind(trajectories)
    last = trajectories.loc[trajectories.groupby(["algorithm", "seed"], sort=False)["step"].idxmax()]
    return last.pivot_table(index="seed", columns="algorithm", values=value, sort=False)


def _check_one_kind(table: pd.DataFrame) -> None:
    """Raise UsageError where seed and algorithm do not name a restart, so that unlike ones would be averaged."""
    for key in ("task", "profile", "variant"):
        if table[key].nunique() > 1:
            raise UsageError(f"choose one {key} first: the table holds {', '.join(sorted(set(table[key])))}")


def distinct(chosen: pd.DataFrame) -> pd.Series:
    """Return how many of a restart's chosen models differ (by training loss), the mean over restarts, per algorithm.

    A monotonic algorithm is evaluated at the minimum that it would return, so checkpoints within a hop repeat it.
    """
    return chosen.groupby(["algorithm", "seed"])["train_loss"].nunique().groupby("algorithm").mean()


def copies(trajectories: pd.DataFrame, reference: str = "SGD") -> list[str]:
    """Return the algorithms whose training losses are the reference's at every checkpoint that both have."""
    apart = _apart(trajectories, reference)
    alike = ~(apart == 1).any() & apart.notna().any()
    return [str(name) for name in alike.index[alike] if name != reference]


def _apart(trajectories: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Say for each seed and epoch (rows) which algorithms' training losses (columns) are not the reference's.

    1 where they are not (one that is NaN is not), 0 where they are, NaN where an algorithm has no checkpoint.
    """
    losses = trajectories.pivot_table(index=["seed", "epoch"], columns="algorithm", values="train_loss", sort=False)
    known = losses.dropna(subset=[reference])  # fewer epochs have checkpoints in between
    there = trajectories.groupby(["seed", "epoch", "algorithm"]).size().unstack("algorithm")
    there = there.reindex(index=known.index, columns=known.columns).notna()
    return known.ne(known[reference], axis=0).astype(float).where(there)


def parting(trajectories: pd.DataFrame, reference: str = "SGD") -> pd.Series:
    """Return the epoch by which every restart of an algorithm has parted from the reference's of the same seed.

    Two restarts have parted at the first checkpoint at which their training losses differ; all algorithms of a seed
    start together.

    Parameters
    ----------
    trajectories : DataFrame
        As `load_trajectories` returns it.
    reference : str

    Returns
    -------
    Series
        Algorithm → epoch; infinite where a restart never parts, so that an algorithm is another one under its name.

    Raises
    ------
    UsageError
        If the reference is not among the trajectories.
    """
    _check_one_kind(trajectories)
    check_name("reference", reference, list(trajectories["algorithm"].unique()))
    apart = _apart(trajectories, reference)
    epochs = apart.index.get_level_values("epoch").to_numpy(dtype=float)
    first = apart.apply(lambda column: pd.Series(np.where(column == 1, epochs, np.inf), index=column.index))
    first = first.where(apart.notna())
    return first.groupby("seed").min().max()
