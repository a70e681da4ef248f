"""What choosing models by training loss costs: overlap, regret and rank correlation, one value per restart each."""

import numpy as np
import pandas as pd
import scipy.stats

from popview.populations.checkpoints import chances, per_restart
from popview.populations.comparisons import SECOND_FAMILY, against_apart, joined_later
from popview.statistics import tost

#: The regrets that are reported: name → (what the rival chooses by, what both are judged by).
REGRETS = {
    "to the best by test, on test": ("test_metric", "test_metric"),
    "to the best by validation, on validation": ("validation_metric", "validation_metric"),
    "to the best by validation, on test": ("validation_metric", "test_metric"),
}

#: Kendall's τ is taken over no fewer different losses.
FEWEST_LOSSES = 5


def overlap(trajectories: pd.DataFrame, by: str = "test_metric", per_trajectory: int = 10) -> pd.DataFrame:
    """Return the share of a restart's models chosen by training loss that `by` chooses too, ties broken at random.

    Were the two criteria unrelated it would be `per_trajectory` in the number of checkpoints.

    Returns
    -------
    DataFrame
        Rows: seeds; columns: algorithms.

    Raises
    ------
    UsageError
        As `popview.populations.checkpoints.select`.
    """
    ours, rival = (chances(trajectories, criterion, per_trajectory) for criterion in ("train_loss", by))
    return _average(trajectories.assign(both=rival), "both", ours)


def chosen(trajectories: pd.DataFrame, by: str, value: str = "test_metric", per_trajectory: int = 10) -> pd.DataFrame:
    """Return the mean of a column over the models that `by` chooses in each restart, ties broken at random.

    Returns
    -------
    DataFrame
        Rows: seeds; columns: algorithms.

    Raises
    ------
    UsageError
        As `popview.populations.checkpoints.select`.
    """
    return _average(trajectories, value, chances(trajectories, by, per_trajectory))


def regret(
    trajectories: pd.DataFrame, by: str = "test_metric", value: str = "test_metric", per_trajectory: int = 10
) -> pd.DataFrame:
    """Return what choosing by training loss gives away: `chosen` by `by` less `chosen` by the loss, for each restart.

    With `by` equal to `value` it cannot be negative, and part of it is luck: the rival takes the models that happen to
    do best on these very examples. With `by` the validation metric and `value` the test metric it is what can be had.
    """
    best, ours = (chosen(trajectories, criterion, value, per_trajectory) for criterion in (by, "train_loss"))
    return best - ours


def verdicts(trajectories: pd.DataFrame, margin: float | None, per_trajectory: int = 10) -> pd.DataFrame:
    """Compare choosing by training loss with choosing by the validation metric, for each algorithm.

    Holm families are SGD and the paper's five, the second family, and algorithms that joined later, so that an
    algorithm has one p-value wherever it is judged (`popview.populations.comparisons.FAMILIES`).

    Returns
    -------
    DataFrame
        ``algorithm``, then the columns of `popview.populations.comparisons.against`; 'better' means that the loss
        chooses better.

    Raises
    ------
    UsageError
        As `popview.populations.checkpoints.select`, and if there are fewer than two restarts.
    """
    return _compare_choices(trajectories, "train_loss", "validation_metric", margin, per_trajectory)


def as_good(table: pd.DataFrame) -> pd.Series:
    """Say of `verdicts` where the training loss chooses as well within the margin, or better."""
    return table["verdict"].isin(["equivalent", "better"])


def last_checkpoints(trajectories: pd.DataFrame, value: str = "test_metric", number: int = 10) -> pd.DataFrame:
    """Return the mean of a column over the last checkpoints of each restart: choosing by recency alone.

    If choosing by loss does not beat this, then all that the loss tells us is that late models are better.

    Returns
    -------
    DataFrame
        Rows: seeds; columns: algorithms.
    """
    ordered = trajectories[np.isfinite(trajectories[["train_loss", value]]).all(axis=1)].sort_values("step")
    return per_restart(ordered.groupby(["algorithm", "seed"], sort=False).tail(number).sort_index(), value)


def against_last(trajectories: pd.DataFrame, margin: float | None, per_trajectory: int = 10) -> pd.DataFrame:
    """Compare choosing by training loss with taking as many of the last checkpoints, as `verdicts` does.

    Returns
    -------
    DataFrame
        As `verdicts`; 'better' means that the loss chooses better than recency alone.

    Raises
    ------
    UsageError
        As `verdicts`.
    """
    return _compare_choices(trajectories, "train_loss", "last", margin, per_trajectory)


def last_against_validation(trajectories: pd.DataFrame, margin: float | None, per_trajectory: int = 10) -> pd.DataFrame:
    """Compare taking the last checkpoints with choosing as many by the validation metric, as `verdicts` does.

    What the loss chooses is worth knowing only so far as it does better in `verdicts` than the last ones do here.

    Returns
    -------
    DataFrame
        As `verdicts`; 'better' means that recency chooses better.

    Raises
    ------
    UsageError
        As `verdicts`.
    """
    return _compare_choices(trajectories, "last", "validation_metric", margin, per_trajectory)


def _compare_choices(
    trajectories: pd.DataFrame, ours: str, rival: str, margin: float | None, per_trajectory: int
) -> pd.DataFrame:
    """Compare two choices among the checkpoints of the same trajectories, for each algorithm, as `verdicts` says.

    A choice is what `chosen` chooses by, or "last".
    """
    first, second = (
        last_checkpoints(trajectories, number=per_trajectory)
        if by == "last"
        else chosen(trajectories, by, per_trajectory=per_trajectory)
        for by in (ours, rival)
    )
    names = [name for name in first.columns if name in second]
    values = pd.concat([first.add_suffix(f", {ours}"), second.add_suffix(f", {rival}")], axis=1)
    pairs = [(f"{name}, {ours}", f"{name}, {rival}") for name in names]
    sides = [2 * joined_later(name) + (name in SECOND_FAMILY) for name in names]
    table = against_apart(values, pairs, sides, margin)
    table.insert(0, "algorithm", names)
    return table


def _average(trajectories: pd.DataFrame, value: str, weights: pd.Series) -> pd.DataFrame:
    """Return the weighted mean of a column in each restart; rows: seeds; columns: algorithms."""
    taken = trajectories[["task", "profile", "variant", "algorithm", "seed"]].assign(
        weight=weights, part=weights * trajectories[value]
    )[weights > 0]
    return per_restart(taken, "part") / per_restart(taken, "weight")


def rank_correlation(trajectories: pd.DataFrame, value: str = "test_metric", from_epoch: float = 0.0) -> pd.DataFrame:
    """Return Kendall's τ_b between −training loss and a column, over the checkpoints of each restart.

    1: the lower the loss, the higher the column, at every pair of checkpoints; 0: no relation. Pairs tied in one of the
    two count for neither side and shorten the scale, as in τ_b. Where the column is constant, or the loss takes fewer
    than `FEWEST_LOSSES` finite values (Monotonic Basin Hopping repeats its incumbent), the entry is NaN: τ is not
    defined, or says nothing of a trajectory.

    Parameters
    ----------
    from_epoch : float
        Leave out the checkpoints before, where both improve whatever the optimizer does.

    Returns
    -------
    DataFrame
        Rows: seeds; columns: algorithms.

    References
    ----------
    Kendall 1945, Biometrika 33, 239: ties in rank correlation.
    """
    late = trajectories[trajectories["epoch"] >= from_epoch]
    finite = late[np.isfinite(late[["train_loss", value]]).all(axis=1)]
    found: dict[str, dict[int, float]] = {str(name): {} for name in trajectories["algorithm"].unique()}
    for (name, seed), rows in finite.groupby(["algorithm", "seed"]):
        found[name][seed] = _tau(-rows["train_loss"].to_numpy(), rows[value].to_numpy())
    seeds = pd.Index(sorted(trajectories["seed"].unique()), name="seed")
    return pd.DataFrame(found, index=seeds).rename_axis(columns="algorithm")


def _tau(x: np.ndarray, y: np.ndarray) -> float:
    if len(np.unique(x)) < FEWEST_LOSSES or np.ptp(y) == 0:
        return np.nan
    return float(scipy.stats.kendalltau(x, y, method="asymptotic").statistic)  # methods differ in the p-value only


def mean_with_interval(values: pd.DataFrame, margin: float | None = None, level: float = 0.95) -> pd.DataFrame:
    """Return the mean over restarts of each column, with Student's interval.

    The interval takes the mean for normal. Of regrets, overlaps and rank correlations drawn from those of `digits`, it
    covers 94 % to 95 % at 100 restarts, but at 5 only 86 % to 94 %, least where most values are zero.

    Parameters
    ----------
    values : DataFrame
        Rows: seeds; columns: algorithms. NaN is left out, and counted.
    margin : float, optional
        Test, too, whether the mean lies within ±margin.

    Returns
    -------
    DataFrame
        ``algorithm, restarts, undefined`` (restarts without a value), ``mean, sd, low, high``; with `margin` also
        ``equivalence_p``, of two one-sided t tests. NaN where there are too few.

    Examples
    --------
    >>> import pandas as pd
    >>> from popview.populations.selection import mean_with_interval
    >>> values = pd.DataFrame({"SGD": [1.0, 2.0, 3.0]})
    >>> mean_with_interval(values).round(2).to_dict("records")
    [{'algorithm': 'SGD', 'restarts': 3, 'undefined': 0, 'mean': 2.0, 'sd': 1.0, 'low': -0.48, 'high': 4.48}]
    """
    rows = []
    for name in values.columns:
        known = values[name].dropna().to_numpy()
        n = len(known)
        mean = float(known.mean()) if n else np.nan
        sd = float(known.std(ddof=1)) if n > 1 else np.nan
        half = float(scipy.stats.t.isf((1 - level) / 2, n - 1)) * sd / np.sqrt(n) if n > 1 else np.nan
        row = {"algorithm": name, "restarts": n, "undefined": len(values) - n, "mean": mean, "sd": sd}
        row |= {"low": mean - half, "high": mean + half}
        if margin is not None:
            row["equivalence_p"] = tost(known, 0, margin, paired=True).p_value if n > 1 else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def regrets(trajectories: pd.DataFrame, margin: float, per_trajectory: int = 10) -> pd.DataFrame:
    """Return `mean_with_interval` of each of `REGRETS`, named in a column ``series``, with the ``margin``."""
    frames = [
        mean_with_interval(regret(trajectories, by, value, per_trajectory), margin).assign(series=name, margin=margin)
        for name, (by, value) in REGRETS.items()
    ]
    return pd.concat(frames, ignore_index=True)


def overlaps(trajectories: pd.DataFrame, per_trajectory: int = 10) -> pd.DataFrame:
    """Return `mean_with_interval` of the overlap with the choice by test and by validation metric.

    Returns
    -------
    DataFrame
        As `mean_with_interval`, with ``split`` ("test", "validation") and ``chance``: the overlap of unrelated
        criteria.
    """
    chance = per_trajectory / trajectories.groupby("algorithm")["step"].nunique().max()
    frames = [
        mean_with_interval(overlap(trajectories, f"{split}_metric", per_trajectory)).assign(split=split, chance=chance)
        for split in ("test", "validation")
    ]
    return pd.concat(frames, ignore_index=True)
