"""Time to target: what an optimizer pays, in gradient evaluations, until it is as good as a reference usually gets."""

import numpy as np
import pandas as pd
import scipy.stats

from popview.common.errors import check_name


def _finite(trajectories: pd.DataFrame, value: str) -> pd.DataFrame:
    return trajectories[np.isfinite(trajectories[["train_loss", value]]).all(axis=1)]


def within(trajectories: pd.DataFrame, gradient_evaluations: int) -> pd.DataFrame:
    """Keep the checkpoints that cost at most so many gradient evaluations: the equal-gradient view of equal epochs."""
    return trajectories[trajectories["gradient_evaluations"] <= gradient_evaluations]


def equal_gradients(trajectories: pd.DataFrame, reference: str = "SGD") -> pd.DataFrame:
    """Cut every trajectory where the reference's gradient evaluations end, so that all have had the same chance.

    Raises
    ------
    UsageError
        If the reference is not among the trajectories.
    """
    check_name("reference", reference, list(trajectories["algorithm"].unique()))
    own = trajectories[trajectories["algorithm"] == reference]
    return within(trajectories, int(own["gradient_evaluations"].max()))


def dearer(trajectories: pd.DataFrame, reference: str = "SGD") -> list[str]:
    """Return the algorithms that pay more gradient evaluations than the reference in the same epochs."""
    most = trajectories.groupby("algorithm", sort=False)["gradient_evaluations"].max()
    return [str(name) for name, number in most.items() if number > most[reference]]


def target(trajectories: pd.DataFrame, reference: str = "SGD", value: str = "validation_metric") -> float:
    """Return the median over the reference's restarts of the best value on the way.

    So about half of the reference's own restarts miss it, by construction.

    Parameters
    ----------
    trajectories : DataFrame
        As `popview.populations.tables.load_trajectories` returns it.
    value : str
        A column of which more is better; the validation metric, so that the test split decides nothing.

    Raises
    ------
    UsageError
        If the reference is not among the trajectories.
    """
    check_name("reference", reference, list(trajectories["algorithm"].unique()))
    own = trajectories[trajectories["algorithm"] == reference]
    return float(_finite(own, value).groupby("seed")[value].max().median())


def time_to_target(
    trajectories: pd.DataFrame, level: float, value: str = "validation_metric", cost: str = "gradient_evaluations"
) -> pd.DataFrame:
    """Return what each restart has paid at its first checkpoint that reaches the level; infinite where none does.

    Where an algorithm has no restart of a seed the entry is NaN.

    Known to the distance between checkpoints, and never too early. What an accept rule pays in loss evaluations is not
    in the gradient evaluations.

    Returns
    -------
    DataFrame
        Rows: seeds; columns: algorithms.
    """
    algorithms, seeds = trajectories["algorithm"].unique(), sorted(trajectories["seed"].unique())
    finite = _finite(trajectories, value)
    reached = finite[finite[value] >= level]
    first = reached.groupby(["seed", "algorithm"])[cost].min().unstack()
    there = trajectories.groupby(["seed", "algorithm"]).size().unstack().reindex(index=seeds, columns=algorithms)
    table = first.reindex(index=seeds, columns=algorithms).astype(float).fillna(np.inf).where(there.notna())
    return table.rename_axis(index="seed", columns="algorithm")


def median_times(times: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Return the median time of each algorithm, with the interval between order statistics, and the misses.

    The interval assumes nothing about the distribution, and counts a miss as later than any time. Where there are too
    few restarts for the level (5 at 0.95) it is (0, ∞).

    Returns
    -------
    DataFrame
        ``algorithm, restarts, missed, median, low, high``.

    References
    ----------
    Thompson 1936, Annals of Mathematical Statistics 7, 122: confidence ranges for the median from order statistics.
    """
    rows = []
    for name in times.columns:
        ordered = np.sort(times[name].dropna().to_numpy())
        n = len(ordered)
        # the largest k with P(fewer than k below) in the tail
        cut = int(scipy.stats.binom.ppf((1 - level) / 2, n, 0.5))
        low, high = (ordered[cut - 1], ordered[n - cut]) if cut else (0.0, np.inf)
        row = {"algorithm": name, "restarts": n, "missed": int(np.isinf(ordered).sum())}
        rows.append(row | {"median": float(np.median(ordered)), "low": float(low), "high": float(high)})
    return pd.DataFrame(rows)


def times(trajectories: pd.DataFrame, margin: float, reference: str = "SGD") -> pd.DataFrame:
    """Return `median_times` at the target, and within the equivalence margin of it, at `equal_gradients`.

    Returns
    -------
    DataFrame
        As `median_times`, with ``series`` ("at the target", "within the margin of it"), ``level``, and ``passes``: the
        median number of loss evaluations that the accept rule has paid by then, over the restarts that get there.
    """
    trajectories = equal_gradients(trajectories, reference)
    level = target(trajectories, reference)
    frames = []
    for series, aim in (("at the target", level), ("within the margin of it", level - margin)):
        passes = time_to_target(trajectories, aim, cost="loss_evaluations").replace(np.inf, np.nan).median()
        table = median_times(time_to_target(trajectories, aim))
        frames.append(table.assign(series=series, level=aim, passes=passes.to_numpy()))
    return pd.concat(frames, ignore_index=True)
