"""The paper's comparisons of populations, and beside each what holds when the restart is the unit."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from popview.statistics import compare, icc, mann_whitney, t_test

__all__ = ["PAPER_FAMILY", "SECOND_FAMILY", "against", "clustering", "pairwise", "set_a_against_set_b"]

#: Compared with SGD as one Holm family each: the paper's five algorithms; then references and both monotonic ones.
PAPER_FAMILY = ("NiG-SGD", "NiM-SGD", "SAM", "NiG-BH", "NiM-BH")
SECOND_FAMILY = ("NiG-MBH", "NiM-MBH", "AdamW", "SWA", "SGLD")


def _by_algorithm(population: pd.DataFrame, value: str) -> dict[str, np.ndarray]:
    return {str(name): rows[value].to_numpy() for name, rows in population.groupby("algorithm", sort=False)}


def set_a_against_set_b(set_a: pd.DataFrame, set_b: pd.DataFrame, value: str = "test_metric") -> pd.DataFrame:
    """Compare SetA with SetB for each algorithm: the paper's two tests on pooled models, and what lies under them.

    SetB is chosen by the test metric, so it exceeds SetA by construction, and both are parts of the same trajectories:
    the p-values answer no question about optimizers. ``overlap`` is the share of models that are in both sets, and
    ``regret`` what selection by loss costs in the metric, paired within each restart, with its standard error.

    Returns
    -------
    DataFrame
        ``algorithm, models, median_a, sd_a, median_b, sd_b, mann_whitney, t_test, overlap, regret, regret_error``.
    """
    a, b = _by_algorithm(set_a, value), _by_algorithm(set_b, value)
    keys = ["algorithm", "seed", "step"]
    both = set_a.merge(set_b[keys], on=keys).groupby("algorithm").size()
    rows = []
    for name in a:
        means = [
            population[population["algorithm"] == name].groupby("seed")[value].mean() for population in (set_a, set_b)
        ]
        regret = means[1] - means[0]
        rows.append(
            {
                "algorithm": name,
                "models": len(a[name]),
                "median_a": float(np.median(a[name])),
                "sd_a": float(a[name].std(ddof=1)),
                "median_b": float(np.median(b[name])),
                "sd_b": float(b[name].std(ddof=1)),
                "mann_whitney": mann_whitney(a[name], b[name]).p_value,
                "t_test": t_test(a[name], b[name]).p_value,
                "overlap": both.get(name, 0) / len(a[name]),
                "regret": float(regret.mean()),
                "regret_error": float(regret.sem()),
            }
        )
    return pd.DataFrame(rows)


def pairwise(population: pd.DataFrame, algorithms: Sequence[str], value: str = "test_metric") -> pd.DataFrame:
    """Return the paper's Mann–Whitney p-value on pooled models for each pair of algorithms: Table 6, in long form."""
    models = _by_algorithm(population, value)
    pairs = combinations(algorithms, 2)
    return pd.DataFrame(
        {"a": a, "b": b, "models": len(models[a]), "pooled_p": mann_whitney(models[a], models[b]).p_value}
        for a, b in pairs
    )


def against(values: pd.DataFrame, pairs: Sequence[tuple[str, str]], margin: float) -> pd.DataFrame:
    """Compare pairs of algorithms as one Holm family, on one value per restart; see `popview.statistics.compare`.

    Parameters
    ----------
    values : DataFrame
        Rows: seeds; columns: algorithms.
    pairs : sequence of (str, str)
        First against second; positive estimates favour the first.
    margin : float
        Of equivalence.

    Returns
    -------
    DataFrame
        ``comparison, restarts, estimate, low, high`` (Hodges–Lehmann shift), ``p, adjusted_p, equivalence_p, a12,
        a12_low, a12_high, verdict``.
    """
    complete = values.dropna()
    groups = {str(name): complete[name].to_numpy() for name in complete.columns}
    rows = []
    for (a, b), c in compare(groups, pairs, margin=margin).items():
        low, high = c.shift.interval or (np.nan, np.nan)
        a12_low, a12_high = c.a12.interval or (np.nan, np.nan)
        rows.append(
            {
                "comparison": f"{a} – {b}",
                "restarts": len(complete),
                "estimate": c.shift.estimate,
                "low": low,
                "high": high,
                "p": c.test.p_value,
                "adjusted_p": c.adjusted_p,
                "equivalence_p": c.equivalence.p_value if c.equivalence else np.nan,
                "a12": c.a12.estimate,
                "a12_low": a12_low,
                "a12_high": a12_high,
                "verdict": str(c.verdict),
            }
        )
    return pd.DataFrame(rows)


def clustering(population: pd.DataFrame, value: str = "test_metric") -> pd.DataFrame:
    """Return the intra-class correlation of the models of one restart, per algorithm.

    Returns
    -------
    DataFrame
        ``algorithm, icc, low, high, models, effective`` (models that would carry as much information if independent).
    """
    rows = []
    for name, models in population.groupby("algorithm", sort=False):
        groups = [restart[value].to_numpy() for _, restart in models.groupby("seed")]
        found = icc(groups)
        low, high = found.interval or (np.nan, np.nan)
        size = np.mean([len(group) for group in groups])
        effective = len(models) / (1 + (size - 1) * max(found.estimate, 0.0))
        rows.append(
            {
                "algorithm": name,
                "icc": found.estimate,
                "low": low,
                "high": high,
                "models": len(models),
                "effective": effective,
            }
        )
    return pd.DataFrame(rows)
