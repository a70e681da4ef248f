"""Whether the loss still tells a better model: what the second half of training gains, and how loss and score go
together there."""

import numpy as np
import pandas as pd
import scipy.stats

from popview.populations.selection import FEWEST_LOSSES, mean_with_interval

__all__ = ["READINGS", "second_half", "second_halves"]

#: What `second_half` says of a restart.
READINGS = ("gain", "tau", "tau_without_trend")


def second_half(trajectories: pd.DataFrame, value: str = "test_metric") -> pd.DataFrame:
    """Return what each restart gains in the second half of its epochs, and how loss and score go together there.

    A loss that falls while the score rises agrees with it at every pair of checkpoints, even where nothing but time
    connects the two. So the agreement is given without the trend, too: the straight line through the second half is
    taken from the loss, and another one from the score, and what is left is ranked.

    Parameters
    ----------
    trajectories : DataFrame
        Of one task and variant, as `popview.populations.tables.load_trajectories` returns it.
    value : str
        Column of the score.

    Returns
    -------
    DataFrame
        One row per restart: ``algorithm, seed, gain`` (by the least-squares line, over the second half, in the unit of
        the score), ``tau`` (Kendall's τ_b of −training loss and the score), ``tau_without_trend``. The last two are
        NaN where the score is constant, or the loss takes fewer than `popview.populations.selection.FEWEST_LOSSES`
        values; all are NaN where a restart has fewer than three finite checkpoints.

    Examples
    --------
    >>> import pandas as pd
    >>> from popview.populations.learning import second_half
    >>> epochs = list(range(11))
    >>> rows = {"algorithm": "SGD", "seed": 0, "epoch": epochs, "train_loss": [1 - e / 20 for e in epochs]}
    >>> restart = pd.DataFrame(rows | {"test_metric": [e / 20 for e in epochs]})
    >>> second_half(restart)[["gain", "tau"]].round(2).to_dict("records")
    [{'gain': 0.25, 'tau': 1.0}]
    """
    half = trajectories["epoch"].max() / 2
    late = trajectories[trajectories["epoch"] >= half]
    finite = late[np.isfinite(late[["train_loss", value]]).all(axis=1)]
    rows = []
    for (algorithm, seed), restart in finite.groupby(["algorithm", "seed"], sort=False):
        row = {"algorithm": str(algorithm), "seed": int(seed)} | dict.fromkeys(READINGS, np.nan)
        if len(restart) > 2:
            epoch, loss, score = (restart[name].to_numpy(dtype=float) for name in ("epoch", "train_loss", value))
            row["gain"] = float(scipy.stats.linregress(epoch, score).slope * half)
            if len(np.unique(loss)) >= FEWEST_LOSSES and np.ptp(score):
                row["tau"] = _tau(-loss, score)
                row["tau_without_trend"] = _tau(-_without_line(epoch, loss), _without_line(epoch, score))
        rows.append(row)
    return pd.DataFrame(rows, columns=["algorithm", "seed", *READINGS])


def _tau(x: np.ndarray, y: np.ndarray) -> float:
    return float(scipy.stats.kendalltau(x, y, method="asymptotic").statistic)  # methods differ in the p-value only


def _without_line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return what the least-squares line of y on x leaves."""
    line = scipy.stats.linregress(x, y)
    return y - line.intercept - line.slope * x


def second_halves(trajectories: pd.DataFrame, margin: float, value: str = "test_metric") -> pd.DataFrame:
    """Return the mean of `second_half` over restarts, and whether an algorithm was still learning there.

    Parameters
    ----------
    trajectories, value
        As for `second_half`.
    margin : float
        Of equivalence, in the unit of the score.

    Returns
    -------
    DataFrame
        One row per algorithm: ``algorithm, restarts``; of each of `READINGS` its mean under its own name, and
        ``<name>_low, <name>_high`` of Student's 95 % interval; ``learning``: whether the mean gain is above the margin.
    """
    found = second_half(trajectories, value)
    table = pd.DataFrame({"algorithm": list(dict.fromkeys(trajectories["algorithm"]))})
    table["restarts"] = table["algorithm"].map(found.groupby("algorithm")["seed"].nunique()).fillna(0).astype(int)
    for name in READINGS:
        wide = found.pivot(index="seed", columns="algorithm", values=name).reindex(columns=table["algorithm"])
        means = mean_with_interval(wide)
        table[[name, f"{name}_low", f"{name}_high"]] = means[["mean", "low", "high"]].to_numpy()
    return table.assign(learning=table["gain"] > margin)
