"""Claims judged by the solutions of one network: what the rules of ``data/paper/rules.toml`` decide by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from popview.paper.finding import LARGE, Decision, Finding, Word, list_rows, signs, that_share
from popview.populations import solutions
from popview.populations.comparisons import ALPHA, log_loss
from popview.populations.solutions import QUASI_NEWTON
from popview.runs.solutions import load
from popview.runs.solutions.parts import STAGES
from popview.statistics import Result, holm, paired_permutation

#: Paths are called low where, for this share of the pairs, they rise at most half as far as the straight line. Their
#: heights are taken as found where the search had settled for this share.
NEARLY_ALL = 0.95

#: Stages that the text compares → their words.
STAGE_WORDS = {"early": "early-stopped", "fitted": "fully fitted"}


@dataclass(frozen=True)
class Study:
    """The solutions of one network, and what the rules take from them.

    Attributes
    ----------
    network : str
        Its name.
    solutions, barriers : DataFrame
        As `popview.runs.solutions` returns them; empty where nothing has been run.
    products : mapping of str to (DataFrame, array, int)
        Stage → as `popview.runs.solutions.load.products` returns it; without stages that have not been run.
    """

    network: str
    solutions: pd.DataFrame
    barriers: pd.DataFrame
    products: Mapping[str, tuple[pd.DataFrame, np.ndarray, int]]

    @classmethod
    def load(cls, profile: str, network: str) -> "Study | None":
        """Return what the store holds of a network; None where it holds no whole set of solutions."""
        rows = load.solutions(profile, network)
        products = {stage: load.products(profile, network, stage) for stage in STAGES}
        there = {stage: found for stage, found in products.items() if found is not None}
        return None if rows.empty else cls(network, rows, load.barriers(profile, network), there)

    def values(self, stage: str, name: str) -> pd.DataFrame:
        """Return one column of the solutions at a stage: rows seeds, columns algorithms."""
        if self.solutions.empty:
            return pd.DataFrame()
        rows = self.solutions[self.solutions["stage"] == stage]
        return rows.pivot(index="seed", columns="algorithm", values=name)

    def against(self, stage: str, name: str, algorithm: str = QUASI_NEWTON) -> Result | None:
        """Compare an algorithm's solutions with SGD's, paired by seed: accuracies as they are, other columns by log₁₀.

        Returns
        -------
        Result or None
            None where fewer than three seeds have both.
        """
        wide = self.values(stage, name)
        wide = wide if name.endswith("accuracy") else log_loss(wide)
        if not {algorithm, "SGD"} <= set(wide):
            return None
        both = wide[[algorithm, "SGD"]].dropna()
        if len(both) < solutions.FEWEST:
            return None
        return paired_permutation(both[algorithm], both["SGD"], unit="solution")

    def family(self, stage: str, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
        """Compare quasi-Newton's solutions with SGD's by several columns: estimates, and which of them Holm rejects.

        None where a column cannot be compared.
        """
        found = [result for name in names if (result := self.against(stage, name)) is not None]
        if len(found) < len(names):
            return None
        return np.array([result.estimate for result in found]), holm([_p(result) for result in found]) <= ALPHA

    @cached_property
    def fits(self) -> pd.DataFrame:
        """The barriers of paths by the sum of losses."""
        return self.barriers[self.barriers["objective"] == "sum"] if len(self.barriers) else self.barriers

    @cached_property
    def differences(self) -> pd.DataFrame:
        """Quasi-Newton's heights and rises − SGD's: `popview.populations.solutions.barrier_differences`."""
        return pd.concat([solutions.barrier_differences(self.fits, value) for value in ("height", "rise")])

    @cached_property
    def separation(self) -> pd.Series | None:
        """A12 of fully fitted solutions by kernel and by norm; None where one of the two sets has not been run."""
        if "fitted" not in self.products:
            return None
        if not {"SGD", QUASI_NEWTON} <= set(self.products["fitted"][0]["algorithm"]):
            return None
        return solutions.separation(*self.products["fitted"]).set_index("by")["a12"]


def _p(result: Result) -> float:
    assert result.p_value is not None
    return result.p_value


def _limited(word: Word, limits: Iterable[str]) -> tuple[Word, str]:
    """Return 'holds in part' for 'holds' where there are limits, and the limits as the end of a sentence."""
    ends = "".join(f"; {limit}" for limit in limits)
    return "holds in part" if ends and word == "holds" else word, ends


def _not_run(stages: Iterable[str]) -> list[str]:
    return [f"{STAGE_WORDS[stage]} not run" for stage in STAGE_WORDS if stage not in set(stages)]


def higher_barriers(evidence: Study, stages: Sequence[str]) -> Decision | None:
    """Decide by the intervals of quasi-Newton's barriers less SGD's: 'holds' if all lie above 0."""
    table = evidence.differences
    if table.empty:
        return None
    rows = table[table["stage"].isin(stages) & (table["ends"] == "plain")]
    rise = table[table["value"] == "rise"]
    others = rise[(rise["stage"] == "equal") | (rise["ends"] == "aligned")]
    if rows.empty:
        return None
    there = [stage for stage in stages if stage in set(rows["stage"])]
    number = "; ".join(
        f"{STAGE_WORDS[stage]}, "
        + list_rows(rows[(rows["stage"] == stage)][:2], "{value} {a:.2g} against {b:.2g}", ", ")
        for stage in there
    )
    limits = _not_run(there) if len(stages) > 1 else []
    converged = evidence.fits.loc[evidence.fits["stage"].isin(stages) & (evidence.fits["ends"] == "plain"), "converged"]
    if converged.mean() < NEARLY_ALL:
        limits.append(f"{converged.sum() or 'none'} of {len(converged)} searches had settled")
    word, ends = _limited(signs(rows["low"] > 0, rows["high"] < 0), limits)
    parts = list_rows(rows, "{stage} {value} {difference:+.3g} [{low:.3g}, {high:.3g}]", ", ")
    listed = list_rows(others, "{stage}, {ends}: rise {difference:+.3g} [{low:.3g}, {high:.3g}]")
    beside = "" if others.empty else f"; beside it {listed}"
    return word, {"parts": parts, "limits": ends, "others": beside, "number": number}


def deeper_minima(evidence: Study) -> Decision | None:
    """Decide by quasi-Newton's lowest training losses against SGD's."""
    found = evidence.against("fitted", "train_loss")
    if found is None:
        return None
    word: Word = "holds" if found.estimate < 0 else "does not hold"
    ends = evidence.solutions.query("stage == 'fitted' and algorithm == 'SGD'")
    last = int(np.isclose(ends["epoch"], ends["epochs"]).sum())
    limit = f"{last} of {len(ends)} runs of SGD were at their lowest at their last checkpoint"
    word, limits = _limited(word if _p(found) <= ALPHA else "inconclusive", [limit] if last > len(ends) / 2 else [])
    medians = evidence.values("fitted", "train_loss").median()
    numbers = {"ours": medians[QUASI_NEWTON], "theirs": medians["SGD"], "p": found.p_value}
    return word, numbers | {"limit": limit, "limits": limits}


def less_general(evidence: Study) -> Decision | None:
    """Decide by test loss and test accuracy of fully fitted solutions."""
    found = evidence.family("fitted", ["test_loss", "test_accuracy"])
    if found is None:
        return None
    (loss, accuracy), real = found
    worse = real & np.array([loss > 0, accuracy < 0])
    equal, depth = evidence.against("equal", "test_accuracy"), evidence.against("fitted", "train_loss")
    deeper = depth is not None and depth.estimate < 0 and _p(depth) <= ALPHA
    limits = [] if deeper else ["its training loss is not below SGD's here"]
    word, ends = _limited(signs(worse, real & ~worse), limits)
    beside = f"{100 * equal.estimate:+.2f} points (p = {_p(equal):.2g})" if equal is not None else ""
    at_equal = f"; at equal training loss accuracy {beside}" if beside else ""
    return word, {"loss": 10**loss, "accuracy": 100 * accuracy, "at_equal": at_equal, "limits": ends}


def smoother_basins(evidence: Study, measures: Sequence[str]) -> Decision | None:
    """Decide by measures of sharpness at equal training loss; they are one Holm family."""
    found, loss = evidence.family("equal", measures), evidence.against("equal", "train_loss")
    if found is None or loss is None:
        return None
    change, real = found
    factors = [f"{name.replace('_', ' ')} × {10**by:.2g}" for name, by in zip(measures, change, strict=True)]
    limit = f"{QUASI_NEWTON}'s loss is {10**loss.estimate:.2f} times SGD's there (p = {loss.p_value:.2g})"
    lower = loss.estimate > 0 and _p(loss) <= ALPHA
    word, limits = _limited(signs(real & (change > 0), real & (change < 0)), [limit] if lower else [])
    return word, {"factors": ", ".join(factors), "last": factors[-1], "limits": limits}


def more_spread_out(evidence: Study) -> Decision | None:
    """Decide by the mean distance between quasi-Newton's solutions, less that between SGD's."""
    rows, words = [], {}
    for stage in STAGE_WORDS:
        if stage in evidence.products:
            table = solutions.spread(*evidence.products[stage]).set_index("algorithm")
            if QUASI_NEWTON in table.index and table.loc[QUASI_NEWTON].notna().all():
                ours, theirs = table.loc[QUASI_NEWTON], table.loc["SGD"]
                rows.append(ours)
                words[stage] = f"{ours['distance']:.3g} against {theirs['distance']:.3g}, at norm 1: "
                words[stage] += f"{ours['direction']:.3g} against {theirs['direction']:.3g}"
    if not rows:
        return None
    found = pd.DataFrame(rows)
    word, limits = _limited(signs(found["more_low"] > 0, found["more_high"] < 0), _not_run(words))
    distances = "; ".join(f"{stage} {said}" for stage, said in words.items())
    number = "; ".join(f"{STAGE_WORDS[stage]}, {said}" for stage, said in words.items())
    return word, {"distances": distances, "number": number, "limits": limits}


def rbf_alone(evidence: Study) -> Decision | None:
    """Decide by which kernels' first components separate the two sets of fully fitted solutions."""
    if evidence.separation is None:
        return None
    kernels = evidence.separation[["rbf", "linear", "polynomial", "sigmoid"]]
    listed = ", ".join(f"{name} {value:.2f}" for name, value in kernels.items())
    numbers = {"kernels": listed, "rbf": kernels["rbf"], "others": kernels[1:].max()}
    if kernels.isna().any():
        return "inconclusive", numbers
    apart = kernels >= LARGE
    return "does not hold" if not apart["rbf"] else "holds in part" if apart[1:].any() else "holds", numbers


def apart_by_norm(evidence: Study) -> Decision | Finding | None:
    """Decide by whether norms separate the two sets of fully fitted solutions, and directions do not."""
    if evidence.separation is None:
        return None
    norm, told = evidence.separation["norm"], solutions.directions(*evidence.products["fitted"][:2])
    if told is None or np.isnan(norm):
        return Finding("inconclusive", "fewer than three seeds have both")
    right, of, p = told
    word: Word = "does not hold" if norm < LARGE else "holds" if p > ALPHA else "holds in part"
    return word, {"norm": norm, "right": right, "of": of, "p": p}


def low_paths(evidence: Study) -> Decision | None:
    """Count the sets in which nearly all paths rise at most half as far as the straight line."""
    if evidence.fits.empty:
        return None
    table = solutions.barrier_means(evidence.fits)
    low = table["halved"] >= NEARLY_ALL
    notes = {"aligned": (table["ends"] == "aligned").map({True: " aligned", False: ""})}
    notes["high"] = low.map({True: "", False: " (not low)"})
    rises = list_rows(
        table.assign(**notes), "{algorithm} {stage}{aligned} {rise:.2g} against {straight_rise:.2g}{high}", ", "
    )
    return that_share(low), {"rises": rises, "low": low.sum(), "of": len(low)}
