"""Claims judged by the study of solutions: what chapter 11 measures on one network."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from popview.paper.rules.finding import Finding, Word, share
from popview.populations import solutions as readings
from popview.populations.comparisons import ALPHA, log_loss
from popview.populations.solutions import QUASI_NEWTON
from popview.runs import solutions as study
from popview.statistics import Result, holm, paired_permutation

__all__ = ["STUDY", "Study"]

#: Where Vargha and Delaney call an effect large: a component that orders two sets less surely does not separate them.
LARGE = 0.71

#: Paths are called low where, for this share of the pairs, they rise at most half as far as the straight line.
NEARLY_ALL = 0.95

#: Value of a barrier → what a reader is told.
VALUES = {
    "height": "height",
    "rise": "rise",
    "fitted_height": "height on the images fitted",
    "fitted_rise": "rise on the images fitted",
}

#: Stages that the text compares → what a reader is told.
STAGE_WORDS = {"early": "early-stopped", "fitted": "fully fitted"}

SHARPNESS = ("ball_maximum", "adaptive_sharpness", "average_sharpness", "top_eigenvalue")


@dataclass(frozen=True)
class Study:
    """What is there of one network, and what the rules take from it.

    Attributes
    ----------
    network : str
    solutions, barriers : DataFrame
        As `popview.runs.solutions` returns them; empty where nothing is there.
    products : mapping of str to (DataFrame, array, int)
        Stage → as `popview.runs.solutions.products` returns it; without stages that are not there.
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

    def against(self, stage: str, name: str, algorithm: str = QUASI_NEWTON, *, logarithm: bool = True) -> Result | None:
        """Compare an algorithm's solutions with SGD's, paired by seed; None where fewer than three seeds have both."""
        wide = self.values(stage, name, logarithm)
        if not {algorithm, "SGD"} <= set(wide):
            return None
        both = wide[[algorithm, "SGD"]].dropna()
        if len(both) < readings.FEWEST:
            return None
        return paired_permutation(both[algorithm], both["SGD"], unit="solution")

    @cached_property
    def differences(self) -> dict[str, pd.DataFrame]:
        """Quasi-Newton's barriers − SGD's, by the sum of losses: `VALUES` → `solutions.barrier_differences`.

        Those on the images that paths are fitted on only where these are not the ones that heights are taken on.
        """
        rows = self.barriers
        rows = rows[rows["objective"] == "sum"] if len(rows) else rows
        one_sample = rows.empty or (rows["fitted_height"] == rows["height"]).all()
        names = list(VALUES)[:2] if one_sample else VALUES
        return {value: readings.barrier_differences(rows, value) for value in names}


def _absent(what: str) -> Finding:
    return Finding("not run here", f"no {what} of both {QUASI_NEWTON} and SGD yet")


def _interval(row: pd.Series) -> str:
    return f"{row['difference']:+.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def _signs(yes: Iterable[bool], no: Iterable[bool], detail: str, number: str = "") -> Finding:
    """'holds' if every part says yes, 'in part' if some do and none says no, 'does not hold' if none does and one no.

    'inconclusive' if parts contradict each other, or all are silent.
    """
    yes = list(yes)
    if any(yes) == any(no):
        return Finding("inconclusive", detail, number)
    return Finding("holds" if all(yes) else "holds in part" if any(yes) else "does not hold", detail, number)


def _capped(finding: Finding, limits: Sequence[str]) -> Finding:
    """Return the finding with what limits it, beside its number too; with a limit, 'holds' becomes 'holds in part'."""
    word = "holds in part" if limits and finding.word == "holds" else finding.word
    detail, number = ("; ".join([said, *limits]) if said else "" for said in (finding.detail, finding.number))
    return replace(finding, word=word, detail=detail, number=number)


def _stages_missing(there: Iterable[str]) -> list[str]:
    return [f"{STAGE_WORDS[stage]} not run" for stage in STAGE_WORDS if stage not in set(there)]


def lower_barriers(evidence: Study) -> Finding:
    """'holds' if quasi-Newton's barriers are higher than SGD's: height and rise, early-stopped and fully fitted.

    Of paths by the sum of losses between solutions as they are; also on the images that paths are fitted on, where
    those are fewer. A 95 % interval above 0 (bootstrap over solutions, not adjusted for the number of intervals) counts
    as higher. 'holds in part' if only some are, or one of the two stages was not run, or no fit had converged when its
    steps were used up: heights of paths found are upper bounds, and their difference bounds nothing. 'does not hold' if
    none is and one is lower; 'inconclusive' if some are higher and some lower, or none either. Beside it: aligned
    solutions, and solutions at equal training loss.
    """
    found = _barriers(evidence, ("early", "fitted"))
    rise = evidence.differences["rise"]
    if found.word == "not run here":
        return found
    others = rise[(rise["stage"] == "equal") | (rise["ends"] == "aligned")]
    beside = "; ".join(f"{row['stage']}, {row['ends']}: rise {_interval(row)}" for _, row in others.iterrows())
    return replace(found, detail=found.detail + (f"; beside it {beside}" if beside else ""))


def lower_when_early(evidence: Study) -> Finding:
    """'holds', 'does not hold' and the rest as in `lower_barriers`, for early-stopped solutions alone."""
    return _barriers(evidence, ("early",))


def _barriers(evidence: Study, stages: Sequence[str]) -> Finding:
    """Judge whether quasi-Newton's barriers are higher than SGD's at some stages."""
    tables = {
        VALUES[value]: table[table["stage"].isin(stages) & (table["ends"] == "plain")]
        for value, table in evidence.differences.items()
        if len(table)
    }
    if not tables or tables["rise"].empty:
        return _absent("barriers")
    parts = [f"{row['stage']} {value} {_interval(row)}" for value, t in tables.items() for _, row in t.iterrows()]
    rows = pd.concat(tables.values())
    number = "; ".join(
        f"{STAGE_WORDS[stage]}, "
        + ", ".join(f"{value} {row['a']:.2g} against {row['b']:.2g}" for value, row in _at(tables, stage).items())
        for stage in stages
        if stage in set(tables["rise"]["stage"])
    )
    found = _signs(rows["low"] > 0, rows["high"] < 0, f"{QUASI_NEWTON} − SGD: {', '.join(parts)}", number)
    limits = _stages_missing(tables["rise"]["stage"]) if len(stages) > 1 else []
    fits = evidence.barriers[evidence.barriers["stage"].isin(stages) & (evidence.barriers["objective"] == "sum")]
    return _capped(found, limits + ([] if fits["converged"].any() else ["no fit had converged"]))


def _at(tables: Mapping[str, pd.DataFrame], stage: str) -> dict[str, pd.Series]:
    """Return height and rise of a stage, of tables by value."""
    return {value: tables[value].set_index("stage").loc[stage] for value in ("height", "rise")}


def deeper_minima(evidence: Study) -> Finding:
    """'holds' if quasi-Newton's lowest training losses are below SGD's (sign-flip test on log₁₀ by seed, p ≤ 0.05).

    'does not hold' if they are above; else 'inconclusive'. At most 'in part' if most of SGD's runs were at their lowest
    at their last checkpoint: the loss is then what the budget allows, not the depth of a minimum.
    """
    found = evidence.against("fitted", "train_loss")
    if found is None:
        return _absent("solutions")
    median = evidence.values("fitted", "train_loss")[[QUASI_NEWTON, "SGD"]].median()
    number = f"median {median[QUASI_NEWTON]:.2g} against {median['SGD']:.2g}"
    word: Word = "holds" if found.estimate < 0 else "does not hold"
    detail = f"lowest training loss {QUASI_NEWTON} against SGD: {number}; p = {_p(found):.2g}"
    ends = evidence.solutions.query("stage == 'fitted' and algorithm == 'SGD'")
    last, runs = int(np.isclose(ends["epoch"], ends["epochs"]).sum()), len(ends)
    limit = f"{last} of {runs} runs of SGD were at their lowest at their last checkpoint"
    finding = Finding(word if _p(found) <= ALPHA else "inconclusive", detail, number)
    return _capped(finding, [limit]) if last > runs / 2 else replace(finding, detail=f"{detail}; {limit}")


def _p(result: Result) -> float:
    assert result.p_value is not None
    return result.p_value


def less_general(evidence: Study) -> Finding:
    """'holds' if quasi-Newton's fully fitted solutions have higher test loss and lower test accuracy (Holm's p ≤ 0.05).

    'in part' if one of the two and the other is not told apart, or if the solutions are not deeper: their training loss
    is not below SGD's (sign-flip test, p ≤ 0.05). 'does not hold' if neither and one is the other way round;
    'inconclusive' if they contradict each other, or neither is told apart. Beside it: the test accuracy at equal
    training loss.
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
    found = _signs(worse, real & ~worse, detail, f"accuracy {100 * accuracy.estimate:+.2f} points")
    depth = evidence.against("fitted", "train_loss")
    deeper = depth is not None and depth.estimate < 0 and _p(depth) <= ALPHA
    return found if deeper else _capped(found, ["its training loss is not below SGD's here"])


def smoother_basins(evidence: Study) -> Finding:
    """'holds' if SGD's solutions are flatter at equal training loss by all four measures (Holm's p ≤ 0.05).

    'in part' if by some and sharper by none, or if SGD's loss there is the lower one after all (sign-flip test on log₁₀
    by seed, p ≤ 0.05): sharpness shrinks with the loss itself, so fully fitted solutions cannot be compared. 'does not
    hold' if by none and sharper by one; 'inconclusive' if measures contradict each other, or none tells them apart.
    """
    found = [result for name in SHARPNESS if (result := evidence.against("equal", name)) is not None]
    if len(found) < len(SHARPNESS):
        return _absent("solutions at equal training loss")
    real, change = holm([_p(result) for result in found]) <= ALPHA, np.array([result.estimate for result in found])
    listed = [f"{name.replace('_', ' ')} × {10**by:.2g}" for name, by in zip(SHARPNESS, change, strict=True)]
    detail = f"at equal training loss {QUASI_NEWTON} against SGD: {', '.join(listed)}"
    finding = _signs(real & (change > 0), real & (change < 0), detail, listed[-1])
    loss = evidence.against("equal", "train_loss")
    assert loss is not None  # it is there where sharpness is
    limit = f"{QUASI_NEWTON}'s loss is {10**loss.estimate:.2f} times SGD's there (p = {_p(loss):.2g})"
    return _capped(finding, [limit]) if loss.estimate > 0 and _p(loss) <= ALPHA else finding


def more_spread_out(evidence: Study) -> Finding:
    """'holds' if quasi-Newton's solutions lie further apart than SGD's, early-stopped and fully fitted.

    Mean distance between solutions; a 95 % interval of the difference above 0 (bootstrap over solutions, not adjusted)
    counts as further. 'in part' if at one stage, 'does not hold' if at none and nearer at one, 'inconclusive' if
    further at one and nearer at the other, or neither. Beside it: between directions.
    """
    found = {}
    for stage in STAGE_WORDS:
        if stage in evidence.products:
            table = readings.spread(*evidence.products[stage]).set_index("algorithm")
            if QUASI_NEWTON in table.index and table.loc[QUASI_NEWTON].notna().all():
                found[stage] = table.loc[[QUASI_NEWTON, "SGD"]]
    if not found:
        return _absent("solutions")
    parts = {stage: _apart(*table["distance"], *table["direction"]) for stage, table in found.items()}
    rows = pd.concat([table.iloc[:1] for table in found.values()])
    detail = "mean distance: " + "; ".join(f"{stage} {words}" for stage, words in parts.items())
    number = "; ".join(f"{STAGE_WORDS[stage]}, {words}" for stage, words in parts.items())
    finding = _signs(rows["more_low"] > 0, rows["more_high"] < 0, detail, number)
    return _capped(finding, _stages_missing(found))


def _apart(ours: float, theirs: float, direction: float, reference: float) -> str:
    return f"{ours:.3g} against {theirs:.3g}, at norm 1: {direction:.3g} against {reference:.3g}"


def rbf_alone(evidence: Study) -> Finding:
    """'holds' if on fully fitted solutions an RBF kernel's first component separates the two sets and no other does.

    The others: linear, polynomial and sigmoid. To separate: A12 of 0.71 or more (Vargha and Delaney's large effect).
    'in part' if one of the others does as well, 'does not hold' if the RBF kernel does not, 'inconclusive' where a
    kernel has no components.
    """
    found = _separation(evidence)
    if found is None:
        return _absent("solutions")
    kernels = found[["rbf", "linear", "polynomial", "sigmoid"]]
    detail = "A12 on the first component: " + ", ".join(f"{name} {value:.2f}" for name, value in kernels.items())
    number = f"RBF {kernels['rbf']:.2f}, others up to {kernels.iloc[1:].max():.2f}"
    if kernels.isna().any():
        return Finding("inconclusive", detail, number)
    apart = kernels >= LARGE
    word: Word = "does not hold" if not apart["rbf"] else "holds in part" if apart.iloc[1:].any() else "holds"
    return Finding(word, detail, number)


def _separation(evidence: Study) -> pd.Series | None:
    """Return the A12 of fully fitted solutions by kernel and by norm; None where one of the two sets is not there."""
    if "fitted" not in evidence.products:
        return None
    if not {"SGD", QUASI_NEWTON} <= set(evidence.products["fitted"][0]["algorithm"]):
        return None
    return readings.separation(*evidence.products["fitted"]).set_index("by")["a12"]


def apart_by_norm(evidence: Study) -> Finding:
    """'holds' if norms alone separate the two sets of fully fitted solutions, and directions do not tell them apart.

    Norms: A12 of 0.71 or more. Directions: which of the two mean directions over the other seeds is nearer, right no
    more often than after exchanges of the two within seeds (p > 0.05; that is no proof of equal directions). 'in part'
    if directions tell them apart as well, 'does not hold' if norms do not separate them, 'inconclusive' where there are
    too few seeds.
    """
    found = _separation(evidence)
    if found is None:
        return _absent("solutions")
    told = readings.directions(*evidence.products["fitted"][:2])
    if told is None or np.isnan(found["norm"]):
        return Finding("inconclusive", "fewer than three seeds have both")
    right, of, p = told
    number = f"by direction alone {right} of {of} right"
    word: Word = "does not hold" if found["norm"] < LARGE else "holds" if p > ALPHA else "holds in part"
    return Finding(word, f"A12 of the norms {found['norm']:.2f}; {number} (p = {p:.2g})", number)


def low_paths(evidence: Study) -> Finding:
    """'holds' if, for 95 % of the pairs of every set, the path rises at most half as far as the straight line.

    'in part' if of some sets, 'does not hold' if of none. Paths by the sum of losses, both rises on the same images;
    solutions as they are and aligned.
    """
    rows = evidence.barriers
    rows = rows[rows["objective"] == "sum"] if len(rows) else rows
    if rows.empty:
        return Finding("not run here", "no paths yet")
    table = readings.barrier_means(rows)
    low = table["halved"] >= NEARLY_ALL
    detail = "mean rise, path against straight line: " + ", ".join(
        f"{row.algorithm} {row.stage}{' aligned' * (row.ends == 'aligned')} {row.rise:.2g} against "
        f"{row.straight_rise:.2g}{'' if halved else ' (not low)'}"
        for row, halved in zip(table.itertuples(), low, strict=True)
    )
    return replace(share(int(low.sum()), len(low), detail), number=f"{low.sum()} of {len(low)} sets")


#: Rule → finding from the study of one network.
STUDY: dict[str, Callable[[Study], Finding]] = {
    rule.__name__: rule
    for rule in (
        lower_barriers,
        lower_when_early,
        deeper_minima,
        less_general,
        smoother_basins,
        more_spread_out,
        rbf_alone,
        apart_by_norm,
        low_paths,
    )
}
