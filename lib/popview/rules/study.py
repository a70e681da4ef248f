"""Claims judged by the study of solutions: what chapter 11 measures on one network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from popview import study
from popview.comparisons import log_loss
from popview.rules.findings import ALPHA, Finding, Word, share
from popview.statistics import Result, holm, paired_permutation
from popview.study import readings
from popview.study.readings import QUASI_NEWTON

__all__ = ["STUDY", "Study"]

#: Where Vargha and Delaney call an effect large: a component that orders two sets less surely does not separate them.
LARGE = 0.71

#: A path is called low where its height is below the straight line's for this share of the pairs.
NEARLY_ALL = 0.95

SHARPNESS = ("ball_maximum", "adaptive_sharpness", "average_sharpness", "top_eigenvalue")


@dataclass(frozen=True)
class Study:
    """What is there of one network, and what the rules take from it.

    Attributes
    ----------
    network : str
    solutions, barriers : DataFrame
        As `popview.study` returns them; empty where nothing is there.
    products : mapping of str to (DataFrame, array, int)
        Stage → as `popview.study.products` returns it; without stages that are not there.
    """

    network: str
    solutions: pd.DataFrame
    barriers: pd.DataFrame
    products: Mapping[str, tuple[pd.DataFrame, np.ndarray, int]]

    @classmethod
    def load(cls, profile: str, network: str) -> "Study | None":
        """Return what the store holds of a network; None where it holds no whole set of solutions."""
        solutions = study.solutions(profile, network)
        products = {stage: study.products(profile, network, stage) for stage in study.STAGES}
        there = {stage: found for stage, found in products.items() if found is not None}
        return None if solutions.empty else cls(network, solutions, study.barriers(profile, network), there)

    def values(self, stage: str, name: str, logarithm: bool = False) -> pd.DataFrame:
        """Return one column of the solutions at a stage: rows seeds, columns algorithms."""
        if self.solutions.empty:
            return pd.DataFrame()
        rows = self.solutions[self.solutions["stage"] == stage]
        wide = rows.pivot(index="seed", columns="algorithm", values=name)
        return log_loss(wide) if logarithm else wide

    def against(self, stage: str, name: str, *, logarithm: bool = True) -> Result | None:
        """Compare quasi-Newton's solutions with SGD's, paired by seed; None where fewer than three seeds have both."""
        wide = self.values(stage, name, logarithm)
        if not {QUASI_NEWTON, "SGD"} <= set(wide):
            return None
        both = wide[[QUASI_NEWTON, "SGD"]].dropna()
        if len(both) < readings.FEWEST:
            return None
        return paired_permutation(both[QUASI_NEWTON], both["SGD"], unit="solution")

    @cached_property
    def differences(self) -> dict[str, pd.DataFrame]:
        """Quasi-Newton's barriers − SGD's, by the sum of losses: "height", "rise" → `readings.barrier_differences`."""
        rows = self.barriers
        rows = rows[rows["objective"] == "sum"] if len(rows) else rows
        return {value: readings.barrier_differences(rows, value) for value in ("height", "rise")}


def _absent(what: str) -> Finding:
    return Finding("not run here", f"no {what} of both {QUASI_NEWTON} and SGD yet")


def _interval(row: pd.Series) -> str:
    return f"{row['difference']:+.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def _signs(tables: Sequence[pd.DataFrame], detail: str) -> Finding:
    """'holds' if every interval lies above 0, 'in part' if some do, 'does not hold' if none does and one lies below."""
    rows = pd.concat(tables)
    above, below = int((rows["low"] > 0).sum()), int((rows["high"] < 0).sum())
    word: Word = "holds" if above == len(rows) else "holds in part" if above else "does not hold"
    return Finding("inconclusive" if not above and not below else word, detail)


def lower_barriers(evidence: Study) -> Finding:
    """'holds' if quasi-Newton's barriers are higher than SGD's: height and rise, early-stopped and fully fitted.

    Of paths by the sum of losses between solutions as they are; an interval above 0 (bootstrap over solutions) counts
    as higher. 'holds in part' if some are, 'does not hold' if none is and one is lower, else 'inconclusive'. Beside it:
    aligned solutions, and solutions at equal training loss.
    """
    found = {}
    for value, table in evidence.differences.items():
        if table.empty:
            return _absent("barriers")
        found[value] = table[table["stage"].isin(["early", "fitted"]) & (table["ends"] == "plain")]
    if any(table.empty for table in found.values()):
        return _absent("barriers")
    parts = [f"{row['stage']} {value} {_interval(row)}" for value, t in found.items() for _, row in t.iterrows()]
    rise = evidence.differences["rise"]
    others = rise[(rise["stage"] == "equal") | (rise["ends"] == "aligned")]
    beside = "; ".join(f"{row['stage']}, {row['ends']}: rise {_interval(row)}" for _, row in others.iterrows())
    detail = f"{QUASI_NEWTON} − SGD: {', '.join(parts)}" + (f"; beside it {beside}" if beside else "")
    return _signs(list(found.values()), detail)


def deeper_minima(evidence: Study) -> Finding:
    """'holds' if quasi-Newton's lowest training losses are below SGD's (sign-flip test on log₁₀ by seed, p ≤ 0.05).

    'does not hold' if they are above; else 'inconclusive'.
    """
    found = evidence.against("fitted", "train_loss")
    if found is None:
        return _absent("solutions")
    median = evidence.values("fitted", "train_loss")[[QUASI_NEWTON, "SGD"]].median()
    detail = f"median training loss {QUASI_NEWTON} {median[QUASI_NEWTON]:.2g}, SGD {median['SGD']:.2g}"
    word: Word = "holds" if found.estimate < 0 else "does not hold"
    return Finding(word if _p(found) <= ALPHA else "inconclusive", f"{detail}; p = {_p(found):.2g}")


def _p(result: Result) -> float:
    assert result.p_value is not None
    return result.p_value


def less_general(evidence: Study) -> Finding:
    """'holds' if quasi-Newton's fully fitted solutions have higher test loss and lower test accuracy (Holm's p ≤ 0.05).

    'in part' if one of the two, 'does not hold' if neither and one is the other way round, else 'inconclusive'. Beside
    it: the test accuracy at equal training loss.
    """
    loss = evidence.against("fitted", "test_loss")
    accuracy = evidence.against("fitted", "test_accuracy", logarithm=False)
    if loss is None or accuracy is None:
        return _absent("solutions")
    real = holm([_p(loss), _p(accuracy)]) <= ALPHA
    worse = real & np.array([loss.estimate > 0, accuracy.estimate < 0])
    detail = f"test loss × {10**loss.estimate:.3g}, accuracy {100 * accuracy.estimate:+.2f} points"
    equal = evidence.against("equal", "test_accuracy", logarithm=False)
    if equal is not None:
        detail += f"; at equal training loss accuracy {100 * equal.estimate:+.2f} points (p = {_p(equal):.2g})"
    return _share(worse, real & ~worse, detail)


def _share(yes: np.ndarray, no: np.ndarray, detail: str) -> Finding:
    """Return `share` of those that say yes; where none does and none says no, 'inconclusive'."""
    return share(int(yes.sum()), len(yes), detail) if (yes | no).any() else Finding("inconclusive", detail)


def smoother_basins(evidence: Study) -> Finding:
    """'holds' if SGD's solutions are flatter at equal training loss by all four measures (Holm's p ≤ 0.05).

    'in part' if by some, 'does not hold' if by none and sharper by one, else 'inconclusive'. Sharpness shrinks with the
    loss itself, so fully fitted solutions cannot be compared.
    """
    found = [result for name in SHARPNESS if (result := evidence.against("equal", name)) is not None]
    if len(found) < len(SHARPNESS):
        return _absent("solutions at equal training loss")
    real, change = holm([_p(result) for result in found]) <= ALPHA, np.array([result.estimate for result in found])
    listed = ", ".join(f"{name.replace('_', ' ')} × {10**by:.2g}" for name, by in zip(SHARPNESS, change, strict=True))
    detail = f"at equal training loss {QUASI_NEWTON} against SGD: {listed}"
    return _share(real & (change > 0), real & (change < 0), detail)


def more_spread_out(evidence: Study) -> Finding:
    """'holds' if quasi-Newton's solutions lie further apart than SGD's, early-stopped and fully fitted.

    Mean distance between solutions; an interval above 0 (bootstrap over solutions) counts as further. 'in part' if at
    one stage, 'does not hold' if at none and nearer at one, else 'inconclusive'. Beside it: between directions.
    """
    tables, parts = [], []
    for stage in ("early", "fitted"):
        if stage in evidence.products:
            table = readings.spread(*evidence.products[stage]).set_index("algorithm")
            if QUASI_NEWTON in table.index and table.loc[QUASI_NEWTON].notna().all():
                row = table.loc[QUASI_NEWTON]
                tables.append(pd.DataFrame([{"low": row["more_low"], "high": row["more_high"]}]))
                parts.append(
                    f"{stage} {row['distance']:.3g} against {table.loc['SGD', 'distance']:.3g}, with all norms 1 "
                    f"{row['direction']:.3g} against {table.loc['SGD', 'direction']:.3g}"
                )
    if not tables:
        return _absent("solutions")
    return _signs(tables, f"mean distance: {'; '.join(parts)}")


def apart_by_norm(evidence: Study) -> Finding:
    """'holds' if kernel PCA of fully fitted solutions tells the sets apart by norm alone, as the printed text says.

    That is: an RBF kernel separates them on its first component, but not once every solution is scaled to norm 1, and
    linear, polynomial and sigmoid kernels do not. 'in part' if one of the latter does as well; 'does not hold' if the
    RBF kernel does not separate them, or still does at norm 1. To separate: A12 of 0.71 or more (Vargha and Delaney's
    large effect).
    """
    if "fitted" not in evidence.products:
        return _absent("solutions")
    frame = evidence.products["fitted"][0]
    if not {"SGD", QUASI_NEWTON} <= set(frame["algorithm"]):
        return _absent("solutions")
    table = readings.separation(*evidence.products["fitted"]).set_index(["kernel", "weights"])["a12"]
    raw = table.xs("as they are", level="weights")
    others = raw[["linear", "polynomial", "sigmoid"]]
    scaled = table["rbf", "norm 1"]
    listed = ", ".join(f"{name} {value:.2f}" for name, value in raw.items())
    detail = f"A12 on the first component: {listed}; rbf with norms of 1 {scaled:.2f}"
    if not raw["rbf"] >= LARGE or scaled >= LARGE:
        return Finding("does not hold", detail)
    return Finding("holds in part" if (others >= LARGE).any() else "holds", detail)


def low_paths(evidence: Study) -> Finding:
    """'holds' if paths by the sum of losses lie below the straight line for 95 % of the pairs of every set.

    'in part' if of some sets, 'does not hold' if of none. Solutions as they are.
    """
    rows = evidence.barriers
    rows = rows[(rows["objective"] == "sum") & (rows["ends"] == "plain")] if len(rows) else rows
    if rows.empty:
        return Finding("not run here", "no paths yet")
    table = readings.barrier_means(rows)
    detail = "mean rise, path against straight line: " + ", ".join(
        f"{row.algorithm} {row.stage} {row.rise:.2g} against {row.straight_rise:.2g}" for row in table.itertuples()
    )
    return share(int((table["lower"] >= NEARLY_ALL).sum()), len(table), detail)


#: Rule → finding from the study of one network.
STUDY: dict[str, Callable[[Study], Finding]] = {
    rule.__name__: rule
    for rule in (
        lower_barriers,
        deeper_minima,
        less_general,
        smoother_basins,
        more_spread_out,
        apart_by_norm,
        low_paths,
    )
}
