"""Whether a lower training loss goes with a better score, while a network still learns and when its score is flat."""

import numpy as np
import pandas as pd

from popview.populations.selection import against_last, mean_with_interval, rank_correlation
from popview.populations.unfinished import late_gains

__all__ = ["HALF", "loss_and_learning"]

#: The part of the epochs, at the end, that is looked at.
HALF = 0.5


def loss_and_learning(trajectories: pd.DataFrame, margin: float, value: str = "test_metric") -> pd.DataFrame:
    """Set what an algorithm still gains in the second half of training beside what its training loss tells there.

    Three readings of the loss are given. The rank correlation of loss and score over the checkpoints of a restart is
    high wherever the loss falls while the score climbs, whatever the reason. The same correlation of what is left
    when a straight line over the epochs is taken from both (from the logarithm of the loss) is free of that common
    trend. And choosing the ten checkpoints of lowest loss can be better than taking the last ten, or not.

    Parameters
    ----------
    trajectories : DataFrame
        Of one task and variant, as `popview.populations.tables.load_trajectories` returns it.
    margin : float
        Of equivalence, in units of `value`: an algorithm is still learning if it gains more.
    value : str
        The score.

    Returns
    -------
    DataFrame
        One row per algorithm: ``algorithm, restarts``; ``climb`` (gain over the second half, by the least-squares
        line), ``tau`` and ``trendless`` (Kendall's τ of −loss and score there, as they are and without their trends),
        each a mean over restarts with ``_low`` and ``_high``, the ends of its 95 % t interval; ``choice`` (the mean
        score of the ten checkpoints of lowest loss less that of the last ten, over the whole training) with its ends
        and ``choice_verdict``; ``learning`` (bool). NaN where τ is not defined
        (`popview.populations.selection.rank_correlation`).

    Raises
    ------
    UsageError
        As `popview.populations.selection.against_last`.
    """
    start = (1 - HALF) * trajectories["epoch"].max()
    late = trajectories[trajectories["epoch"] >= start]
    tau = rank_correlation(late, value)
    readings = {
        "climb": late_gains(trajectories, value, HALF),
        "tau": tau,
        "trendless": rank_correlation(_without_trend(late, value), value).where(tau.notna()),
    }
    table = pd.DataFrame(
        {"algorithm": tau.columns, "restarts": late.groupby("algorithm")["seed"].nunique()[tau.columns]}
    )
    for name, values in readings.items():
        means = mean_with_interval(values[tau.columns])
        for column, end in (("mean", ""), ("low", "_low"), ("high", "_high")):
            table[name + end] = means[column].to_numpy()
    choice = against_last(trajectories, margin, value).set_index("algorithm").loc[tau.columns]
    for end in ("", "_low", "_high"):
        table[f"choice{end}"] = choice[f"difference{end}"].to_numpy()
    table["choice_verdict"] = choice["verdict"].to_numpy()
    return table.assign(learning=table["climb"] > margin).reset_index(drop=True)


def _without_trend(late: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return the trajectories with a straight line over the epochs taken from the log loss and the score of each."""
    known = late[(late["train_loss"] > 0) & np.isfinite(late[["train_loss", value]]).all(axis=1)]
    known = known.assign(train_loss=np.log(known["train_loss"]))
    restarts = known.groupby(["algorithm", "seed"])
    epoch = known["epoch"] - restarts["epoch"].transform("mean")
    left = {}
    for column in ("train_loss", value):
        centred = known[column] - restarts[column].transform("mean")
        products = pd.DataFrame({"x": epoch * centred, "y": epoch**2}).groupby([known["algorithm"], known["seed"]])
        left[column] = centred - epoch * (products["x"].transform("sum") / products["y"].transform("sum"))
    return known.assign(**left)
