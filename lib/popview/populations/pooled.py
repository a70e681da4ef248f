"""The paper's tests, which pool the models of all restarts, and how many independent models pooled ones are worth."""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from popview.common.errors import UsageError
from popview.populations.checkpoints import select
from popview.statistics import effective_n, holm, icc, mann_whitney, t_test
from popview.statistics.results import interval_columns

#: The pairs of the paper's Table 6.
PRINTED_PAIRS = (("SGD", "SAM"), ("SGD", "NiM-BH"), ("SAM", "NiM-BH"))


def _by_algorithm(population: pd.DataFrame, value: str) -> dict[str, np.ndarray]:
    return {str(name): rows[value].to_numpy() for name, rows in population.groupby("algorithm", sort=False)}


def set_a_against_set_b(set_a: pd.DataFrame, set_b: pd.DataFrame, value: str = "test_metric") -> pd.DataFrame:
    """Compare SetA with SetB for each algorithm as the paper does (Tables 2 to 5): two tests on pooled models.

    SetB is chosen by the test metric, so it exceeds SetA by construction, and both are parts of the same trajectories:
    the p-values answer no question about optimizers. `popview.populations.selection` has what does.

    Returns
    -------
    DataFrame
        ``algorithm, restarts, models`` (per set), ``median_a, sd_a, within_a, median_b, sd_b, within_b, mann_whitney,
        t_test``. ``sd`` is over the pooled models, ``within`` the median over restarts of the SD inside a restart: the
        paper's "median standard deviation" can be read as either. Both are NaN where there is one model.
    """
    restarts = set_a.groupby("algorithm")["seed"].nunique()
    a, b = _by_algorithm(set_a, value), _by_algorithm(set_b, value)
    within = [s.groupby(["algorithm", "seed"])[value].std().groupby("algorithm").median() for s in (set_a, set_b)]
    return pd.DataFrame(
        {
            "algorithm": name,
            "restarts": int(restarts[name]),
            "models": len(a[name]),
            "median_a": float(np.median(a[name])),
            "sd_a": float(a[name].std(ddof=1)),
            "within_a": float(within[0][name]),
            "median_b": float(np.median(b[name])),
            "sd_b": float(b[name].std(ddof=1)),
            "within_b": float(within[1][name]),
            "mann_whitney": mann_whitney(a[name], b[name]).p_value,
            "t_test": t_test(a[name], b[name]).p_value,
        }
        for name in a
    )


def paper_sets(
    trajectories: pd.DataFrame, per_trajectory: int = 10, value: str = "test_metric", few: int = 5
) -> pd.DataFrame:
    """Return `set_a_against_set_b` for the first `few` restarts (the paper has five) and, below, for all of them."""
    if few < 1:
        raise UsageError(f"the restarts that are pooled first must be 1 or more, got {few}")
    frames = []
    for restarts in sorted({min(few, trajectories["seed"].nunique()), trajectories["seed"].nunique()}):
        rows = trajectories[trajectories["seed"].isin(sorted(trajectories["seed"].unique())[:restarts])]
        set_a, set_b = (select(rows, by, per_trajectory) for by in ("train_loss", "test_metric"))
        frames.append(set_a_against_set_b(set_a, set_b, value))
    return pd.concat(frames, ignore_index=True)


def pairwise(population: pd.DataFrame, algorithms: Sequence[str], value: str = "test_metric") -> pd.DataFrame:
    """Return the paper's Mann–Whitney p-value on pooled models for each pair of algorithms: Table 6, in long form."""
    models = _by_algorithm(population, value)
    pairs = combinations(algorithms, 2)
    return pd.DataFrame(
        {"a": a, "b": b, "models": len(models[a]), "pooled_p": mann_whitney(models[a], models[b]).p_value}
        for a, b in pairs
    )


def tally(p_values: Iterable[float], alpha: float = 0.05) -> dict[str, float]:
    """Count the p-values of at most `alpha` in a table, beside how many chance gives, and Holm's smallest over it.

    Returns
    -------
    dict
        ``tests, rejected, expected`` (tests × alpha, if every hypothesis were true), ``adjusted`` (the smallest
        adjusted p-value; NaN where there are none). NaN among the p-values is left out.
    """
    known = np.array([p for p in p_values if not np.isnan(p)], dtype=float)
    return {
        "tests": known.size,
        "rejected": int((known <= alpha).sum()),
        "expected": known.size * alpha,
        "adjusted": float(holm(known).min()) if known.size else np.nan,
    }


def clustering(population: pd.DataFrame, value: str = "test_metric") -> pd.DataFrame:
    """Return the intra-class correlation of the models of one restart, per algorithm.

    Returns
    -------
    DataFrame
        ``algorithm, icc, low, high, models, effective`` (models that would carry as much information if independent).
        With one model per restart the correlation is NaN and all models count.
    """
    rows = []
    for name, models in population.groupby("algorithm", sort=False):
        groups = [restart[value].to_numpy() for _, restart in models.groupby("seed")]
        row = {"algorithm": name, "icc": np.nan, "low": np.nan, "high": np.nan, "models": len(models)}
        effective = float(len(models))
        if max(len(group) for group in groups) > 1:
            found = icc(groups)
            row |= {"icc": found.estimate, **interval_columns(found)}
            effective = effective_n(len(groups), len(models) / len(groups), found.estimate)
        rows.append(row | {"effective": effective})
    return pd.DataFrame(rows)


def matrix(population: pd.DataFrame, value: str = "test_metric") -> np.ndarray:
    """Return a column of one algorithm's models as an array of shape ``(restarts, models)``.

    Restarts that contribute fewer models than the others (diverged ones) are left out.

    Raises
    ------
    UsageError
        If there are no models, or those of several algorithms.
    """
    if population["algorithm"].nunique() != 1:
        raise UsageError(f"choose one algorithm that has results, got {sorted(set(population['algorithm']))}")
    rows = [models[value].to_numpy() for _, models in population.groupby("seed")]
    most = max(len(row) for row in rows)
    return np.array([row for row in rows if len(row) == most], dtype=float)


def deviations(values: pd.DataFrame, reference: str = "SGD") -> tuple[float, float]:
    """Return two standard deviations of one value per restart (rows: seeds; columns: algorithms).

    Medians over algorithms: of a restart's value, and of its difference from the reference's with the same seed (NaN
    without the reference).
    """
    single = float(values.std().median())
    if reference not in values:
        return single, np.nan
    return single, float(values.drop(columns=reference).sub(values[reference], axis=0).std().median())
