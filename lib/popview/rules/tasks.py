"""Claims judged by the results of a task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from popview import comparisons, populations, selections, simulations
from popview.rules.findings import ALPHA, Finding, Word, share
from popview.statistics import effective_n

__all__ = ["ACCURACY", "SIX", "TASK", "Results"]

#: Tasks measured by accuracy; the others by macro-F1.
ACCURACY = ("digits", "cifar10", "cifar100")

#: The paper's design: trajectories, and models of each.
RESTARTS, MODELS = 5, 10

SIX = ("SGD", *populations.PAPER_FAMILY)


@dataclass(frozen=True)
class Results:
    """The trajectories of a task and variant, and what the rules take from them.

    Attributes
    ----------
    task : str
    trajectories : DataFrame
        As `popview.populations.load` returns it.
    margin : float
        Of equivalence.
    """

    task: str
    trajectories: pd.DataFrame
    margin: float

    @cached_property
    def set_a(self) -> pd.DataFrame:
        """The models of lowest training loss of each restart."""
        return populations.select(self.trajectories, "train_loss", MODELS)

    @cached_property
    def set_b(self) -> pd.DataFrame:
        """The models of highest test metric of each restart."""
        return populations.select(self.trajectories, "test_metric", MODELS)

    @cached_property
    def values(self) -> pd.DataFrame:
        """Mean test metric of SetA, one value per restart."""
        return populations.per_restart(self.set_a)

    @cached_property
    def tests(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The paper's tests of SetA against SetB, with its five restarts and with all."""
        few = [chosen[chosen["seed"] < RESTARTS] for chosen in (self.set_a, self.set_b)]
        return comparisons.set_a_against_set_b(*few), comparisons.set_a_against_set_b(self.set_a, self.set_b)

    def lacks(self, names: Sequence[str]) -> Finding | None:
        """Return 'not run here' where an algorithm has no results."""
        absent = [name for name in names if name not in self.values]
        return Finding("not run here", f"no results of {', '.join(absent)}") if absent else None

    def against(self, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
        """Compare pairs as one Holm family, one value per restart, on the restarts that all of them have."""
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        return comparisons.against(self.values[names], pairs, self.margin)


def _listed(table: pd.DataFrame, names: pd.Series) -> str:
    words = table["verdict"].str.split(" \\(").str[0]
    return "; ".join(f"{word}: {', '.join(found)}" for word, found in names.groupby(words, sort=False))


def _equivalence(table: pd.DataFrame, names: pd.Series, margin: float) -> Finding:
    """'holds' if all are equivalent; 'does not hold' if all differ, or some do and none is; else in part, or open."""
    words = table["verdict"].str.split(" \\(").str[0]
    equivalent, differ = (words == "equivalent").sum(), words.isin(["better", "worse"]).sum()
    detail = f"within ±{100 * margin:g} points: {_listed(table, names)}"
    if equivalent == len(table):
        return Finding("holds", detail)
    if differ:
        return Finding("holds in part" if equivalent else "does not hold", detail)
    return Finding("inconclusive", detail)


def sets_alike(results: Results) -> Finding:
    """'holds' if Mann–Whitney rejects for no algorithm with five restarts each, 'does not hold' if for more than half.

    SetB exceeds SetA by construction, so this says how tightly loss and score are tied.
    """
    few, all_ = ((table["mann_whitney"] < ALPHA) for table in results.tests)
    word: Word = "holds" if not few.any() else "does not hold" if few.mean() > 0.5 else "holds in part"
    detail = f"the paper's test rejects for {few.sum()} of {len(few)} algorithms with {RESTARTS} restarts"
    return Finding(word, f"{detail}, {all_.sum()} with all; SetB exceeds SetA by construction")


def tests_alike(results: Results) -> Finding:
    """'holds' if both tests fall on the same side of 0.05 for all algorithms, with five restarts each."""
    few = results.tests[0]
    same = ((few["mann_whitney"] < ALPHA) == (few["t_test"] < ALPHA)).sum()
    return share(int(same), len(few), f"both on the same side of {ALPHA:g} for {same} of {len(few)} algorithms")


def loss_costs_nothing(results: Results) -> Finding:
    """Selection by training loss against selection by validation metric, on the test metric: `selections.verdicts`.

    'holds' if it is equivalent or better for all algorithms, 'holds in part' if for some, 'does not hold' if it is
    worse for some and good for none, else 'inconclusive'.
    """
    table = selections.verdicts(results.trajectories, results.margin, per_trajectory=MODELS)
    words = table["verdict"].str.split(" \\(").str[0]
    good = words.isin(["equivalent", "better"]).sum()
    detail = f"against selection by validation metric, within ±{100 * results.margin:g} points: " + _listed(
        table, table["algorithm"]
    )
    if good == 0 and not (words == "worse").any():
        return Finding("inconclusive", detail)
    return share(int(good), len(words), detail)


def on_par_with_sam(results: Results) -> Finding:
    """'holds' if all five are equivalent to SAM within the margin; see `_equivalence`."""
    pairs = [(name, "SAM") for name in SIX if name != "SAM"]
    if absent := results.lacks(SIX):
        return absent
    table = results.against(pairs)
    return _equivalence(table, pd.Series([name for name, _ in pairs]), results.margin)


def indistinguishable(results: Results) -> Finding:
    """The three pairs of Table 6: 'holds' if all are equivalent within the margin and no difference is significant.

    'holds in part' if all are equivalent and a difference inside the margin is significant (Holm's p ≤ 0.05); where not
    all are equivalent, see `_equivalence`.
    """
    if absent := results.lacks(("SGD", "SAM", "NiM-BH")):
        return absent
    table = results.against([("SGD", "SAM"), ("SGD", "NiM-BH"), ("SAM", "NiM-BH")])
    found = _equivalence(table, table["comparison"], results.margin)
    real = table[table["adjusted_p"] <= ALPHA]
    if found.word != "holds" or real.empty:
        return found
    inside = ", ".join(f"{row.comparison} {100 * row.difference:+.2f}" for row in real.itertuples())
    return Finding("holds in part", f"{found.detail}; a difference is there, inside the margin: {inside} points")


def half_the_gradients(results: Results) -> Finding:
    """'holds' for an algorithm if SAM pays 1.95 to 2.05 times its gradient evaluations for the same epochs."""
    if absent := results.lacks(SIX):
        return absent
    paid = populations.final(results.trajectories, "gradient_evaluations").mean()
    ratios = {name: paid["SAM"] / paid[name] for name in SIX if name != "SAM"}
    detail = "SAM pays " + ", ".join(f"{ratio:.2f} × {name}'s" for name, ratio in ratios.items())
    return share(sum(1.95 <= ratio <= 2.05 for ratio in ratios.values()), len(ratios), detail)


def sam_at_equal_gradients(results: Results) -> Finding:
    """'holds' if SAM, stopped at SGD's gradient evaluations, ends at a higher loss than SGD and NiM-BH (Holm ≤ 0.05).

    On the logarithm of the training loss, one value per restart. 'does not hold' if it is higher than neither and one
    difference goes the other way; 'holds in part' if higher than one; else 'inconclusive'.
    """
    if absent := results.lacks(("SGD", "SAM", "NiM-BH")):
        return absent
    rows = results.trajectories
    budget = int(rows.loc[rows["algorithm"] == "SGD"].groupby("seed")["gradient_evaluations"].max().min())
    table = populations.final(populations.within(rows, budget), "train_loss")[["SAM", "SGD", "NiM-BH"]]
    pairs = [("SAM", "SGD"), ("SAM", "NiM-BH")]
    words = list(comparisons.against(np.log10(table), pairs, None, higher_is_better=False)["verdict"])
    higher = words.count("worse")
    detail = f"median training loss at {budget:,} gradients: " + ", ".join(
        f"{name} {value:.2g}" for name, value in table.median().items()
    )
    if higher == 0:
        return Finding("does not hold" if "better" in words else "inconclusive", detail)
    return share(higher, 2, detail)


def top_three_by_accuracy(results: Results) -> Finding:
    """'holds' if the three of highest mean are SGD, NiM-SGD and SAM, 'holds in part' if some are."""
    if results.task not in ACCURACY:
        return Finding("not applicable", "measured by macro-F1")
    if absent := results.lacks(SIX):
        return absent
    means = 100 * results.values[list(SIX)].mean().sort_values(ascending=False, kind="stable")
    claimed = [name for name in means.index[:3] if name in ("SGD", "NiM-SGD", "SAM")]
    detail = "ours: " + ", ".join(f"{name} {value:.2f}" for name, value in means.items())
    return share(len(claimed), 3, detail)


def ahead_by_f1(results: Results) -> Finding:
    """'holds' if SAM is worse than SGD and one of NiG-BH and NiM-BH better (Holm's p ≤ 0.05), 'in part' if one of both.

    'does not hold' if neither and all three are equivalent to SGD within the margin; else 'inconclusive'.
    """
    if results.task in ACCURACY:
        return Finding("not applicable", "measured by accuracy")
    if absent := results.lacks(("SGD", "SAM", "NiG-BH", "NiM-BH")):
        return absent
    table = results.against([("SAM", "SGD"), ("NiG-BH", "SGD"), ("NiM-BH", "SGD")])
    words = list(table["verdict"].str.split(" \\(").str[0])
    found = (words[0] == "worse") + ("better" in words[1:])
    detail = f"against SGD: {_listed(table, table['a'])}"
    if found == 0 and words.count("equivalent") < 3:
        return Finding("inconclusive", detail)
    return share(found, 2, detail)


def one_run_misleads(results: Results) -> Finding:
    """'holds' if one run each of SAM and SGD ranks them as the populations do with a probability surely below 0.71.

    0.71 is where Vargha and Delaney call an effect large. 'does not hold' if it is surely above; else 'inconclusive'.
    """
    if absent := results.lacks(("SGD", "SAM")):
        return absent
    row = results.against([("SAM", "SGD")]).iloc[0]
    ahead = row["a12"] >= 0.5
    chance, low, high = (
        (row["a12"], row["a12_low"], row["a12_high"])
        if ahead
        else (1 - row["a12"], 1 - row["a12_high"], 1 - row["a12_low"])
    )
    word: Word = "holds" if high < 0.71 else "does not hold" if low > 0.71 else "inconclusive"
    better, other = ("SAM", "SGD") if ahead else ("SGD", "SAM")
    return Finding(
        word, f"one run each ranks {better} above {other} with probability {chance:.2f} [{low:.2f}, {high:.2f}]"
    )


def pooled_tests_here(results: Results) -> Finding:
    """'does not hold' if pooled Mann–Whitney, simulated at the task's median ICC, is wrong over 6 times in 100."""
    icc = float(np.clip(comparisons.clustering(results.set_a)["icc"].median(), 0, 1))
    table = simulations.false_positives([icc], repeats=2000)
    row = table[table["test"] == "pooled Mann–Whitney"].iloc[0]
    worth = effective_n(RESTARTS, MODELS, icc)
    detail = f"median ICC {icc:.2f}: {RESTARTS * MODELS} models are worth {worth:.1f}, false positives "
    return Finding("does not hold" if row["low"] > 0.06 else "holds", f"{detail}{100 * row['rate']:.0f} %")


def monotonic_is_worse(results: Results) -> Finding:
    """'holds' if NiG-MBH and NiM-MBH are worse than NiG-BH and NiM-BH (Holm's p ≤ 0.05), 'in part' if one is.

    'does not hold' if neither is worse, and both are equivalent within the margin or better; else 'inconclusive'.
    """
    if absent := results.lacks(("NiG-BH", "NiM-BH", "NiG-MBH", "NiM-MBH")):
        return absent
    table = results.against([("NiG-MBH", "NiG-BH"), ("NiM-MBH", "NiM-BH")])
    words = table["verdict"].str.split(" \\(").str[0]
    worse = int((words == "worse").sum())
    detail = f"within ±{100 * results.margin:g} points: {_listed(table, table['comparison'])}"
    if worse == 0 and not words.isin(["equivalent", "better"]).all():
        return Finding("inconclusive", detail)
    return share(worse, 2, detail)


#: Rule → finding from a task's results.
TASK: dict[str, Callable[[Results], Finding]] = {
    rule.__name__: rule
    for rule in (
        sets_alike,
        tests_alike,
        loss_costs_nothing,
        on_par_with_sam,
        indistinguishable,
        half_the_gradients,
        sam_at_equal_gradients,
        top_three_by_accuracy,
        ahead_by_f1,
        one_run_misleads,
        pooled_tests_here,
        monotonic_is_worse,
    )
}
