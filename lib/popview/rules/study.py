"""Claims judged by the study of solutions: what chapter 11 measures on one network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from popview import comparisons, study
from popview.rules.findings import ALPHA, Finding, Word, share
from popview.statistics import holm
from popview.study import readings
from popview.study.readings import QUASI_NEWTON

__all__ = ["STUDY", "Study"]

#: Where Vargha and Delaney call an effect large: a component that orders two sets less surely does not separate them.
LARGE = 0.71

#: A path is called low where its height is below the straight line's for this share of the pairs.
NEARLY_ALL = 0.95

SHARPNESS = ("ball_maximum", "adaptive_sharpness", "average_sharpness", "top_eigenvalue")

#: Least value of a loss or sharpness before its logarithm is taken.
TINY = 1e-12


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
        return np.log10(wide.clip(lower=TINY)) if logarithm else wide

    def against(
        self, stage: str, name: str, *, higher_is_better: bool = False, logarithm: bool = True
    ) -> pd.Series | None:
        """Compare quasi-Newton's solutions with SGD's, paired by seed; None where fewer than three seeds have both."""
        wide = self.values(stage, name, logarithm)
        if not {QUASI_NEWTON, "SGD"} <= set(wide) or len(wide[[QUASI_NEWTON, "SGD"]].dropna()) < readings.FEWEST:
            return None
        pair = [(QUASI_NEWTON, "SGD")]
        return comparisons.against(wide[[QUASI_NEWTON, "SGD"]], pair, None, higher_is_better=higher_is_better).iloc[0]

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
    row = evidence.against("fitted", "train_loss")
    if row is None:
        return _absent("solutions")
    median = 10 ** evidence.values("fitted", "train_loss", logarithm=True)[[QUASI_NEWTON, "SGD"]].median()
    detail = f"median training loss {QUASI_NEWTON} {median[QUASI_NEWTON]:.2g}, SGD {median['SGD']:.2g}"
    return Finding(_word(row, "better", "worse"), f"{detail}; p = {row['p']:.2g}")


def _word(row: pd.Series, yes: str, no: str) -> Word:
    verdict = row["verdict"].split(" (")[0]
    return "holds" if verdict == yes else "does not hold" if verdict == no else "inconclusive"


def less_general(evidence: Study) -> Finding:
    """'holds' if quasi-Newton's fully fitted solutions have higher test loss and lower test accuracy (Holm's p ≤ 0.05).

    'in part' if one of the two, 'does not hold' if neither and one is the other way round, else 'inconclusive'. Beside
    it: the test accuracy at equal training loss.
    """
    loss = evidence.against("fitted", "test_loss")
    accuracy = evidence.against("fitted", "test_accuracy", higher_is_better=True, logarithm=False)
    if loss is None or accuracy is None:
        return _absent("solutions")
    real = holm([loss["p"], accuracy["p"]]) <= ALPHA
    worse = int(real[0] and loss["difference"] > 0) + int(real[1] and accuracy["difference"] < 0)
    better = int(real[0] and loss["difference"] < 0) + int(real[1] and accuracy["difference"] > 0)
    detail = f"test loss × {10 ** loss['difference']:.3g}, accuracy {100 * accuracy['difference']:+.2f} points"
    equal = evidence.against("equal", "test_accuracy", higher_is_better=True, logarithm=False)
    if equal is not None:
        detail += f"; at equal training loss accuracy {100 * equal['difference']:+.2f} points (p = {equal['p']:.2g})"
    if not worse:
        return Finding("does not hold" if better else "inconclusive", detail)
    return share(worse, 2, detail)


def smoother_basins(evidence: Study) -> Finding:
    """'holds' if SGD's solutions are flatter at equal training loss by all four measures (Holm's p ≤ 0.05).

    'in part' if by some, 'does not hold' if by none and sharper by one, else 'inconclusive'. Sharpness shrinks with the
    loss itself, so fully fitted solutions cannot be compared.
    """
    rows = [evidence.against("equal", name) for name in SHARPNESS]
    if any(row is None for row in rows):
        return _absent("solutions at equal training loss")
    table = pd.DataFrame(rows).assign(measure=SHARPNESS)
    real = holm(table["p"]) <= ALPHA
    flatter, sharper = int((real & (table["difference"] > 0)).sum()), int((real & (table["difference"] < 0)).sum())
    listed = ", ".join(f"{row.measure.replace('_', ' ')} × {10**row.difference:.2g}" for row in table.itertuples())
    detail = f"at equal training loss {QUASI_NEWTON} against SGD: {listed}"
    if not flatter:
        return Finding("does not hold" if sharper else "inconclusive", detail)
    return share(flatter, len(SHARPNESS), detail)


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
    """'holds' if kernel PCA of fully fitted solutions separates the sets by norm alone, as the printed text says.

    Three parts: the RBF kernel separates them on its first component; linear, polynomial and sigmoid kernels do not;
    with every solution scaled to norm 1 the RBF kernel does not. To separate: A12 of 0.71 or more (Vargha and Delaney's
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
    found = [raw["rbf"] >= LARGE, not (others >= LARGE).any(), not scaled >= LARGE]
    listed = ", ".join(f"{name} {value:.2f}" for name, value in raw.items())
    return share(sum(map(bool, found)), 3, f"A12 on the first component: {listed}; rbf with norms of 1 {scaled:.2f}")


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
