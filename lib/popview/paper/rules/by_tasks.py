"""Claims judged by the results of a task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import pandas as pd

from popview.paper.rules.finding import Finding, Word, share
from popview.populations import comparisons, selection, tables
from popview.populations.comparisons import ALPHA
from popview.statistics import effective_n, simulations

__all__ = ["ACCURACY", "REVISED", "SIX", "TASK", "Results"]

#: Tasks measured by accuracy; the others by macro-F1.
ACCURACY = ("digits", "cifar10", "cifar100")

#: The paper's design: trajectories, and models of each.
RESTARTS, MODELS = 5, 10

SIX = ("SGD", *tables.PAPER_FAMILY)


@dataclass(frozen=True)
class Results:
    """The trajectories of a task and variant, and what the rules take from them.

    Attributes
    ----------
    task : str
    trajectories : DataFrame
        As `popview.populations.tables.load_trajectories` returns it.
    margin : float
        Of equivalence.
    earlier : bool
        Judge by the rules of `REVISED` as they stood before they were changed in sight of results.
    """

    task: str
    trajectories: pd.DataFrame
    margin: float
    earlier: bool = False

    @cached_property
    def six(self) -> pd.DataFrame:
        """The trajectories of the paper's six algorithms."""
        return self.trajectories[self.trajectories["algorithm"].isin(SIX)]

    @cached_property
    def set_a(self) -> pd.DataFrame:
        """The models of lowest training loss of each restart."""
        return tables.select(self.trajectories, "train_loss", MODELS)

    @cached_property
    def set_b(self) -> pd.DataFrame:
        """The models of highest test metric of each restart."""
        return tables.select(self.trajectories, "test_metric", MODELS)

    @cached_property
    def values(self) -> pd.DataFrame:
        """Mean test metric of SetA, one value per restart."""
        return tables.per_restart(self.set_a)

    @cached_property
    def tests(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The paper's tests of SetA against SetB for its six algorithms, with its five restarts and with all."""
        sets = [chosen[chosen["algorithm"].isin(SIX)] for chosen in (self.set_a, self.set_b)]
        few = [chosen[chosen["seed"] < RESTARTS] for chosen in sets]
        return comparisons.set_a_against_set_b(*few), comparisons.set_a_against_set_b(*sets)

    def lacks(self, names: Sequence[str]) -> Finding | None:
        """Return 'not run here' where an algorithm has no results."""
        absent = [name for name in names if name not in self.values]
        return Finding("not run here", f"no results of {', '.join(absent)}") if absent else None

    @cached_property
    def slow(self) -> dict[str, int]:
        """What `popview.populations.comparisons.below_half` finds: such a setting says nothing of algorithms."""
        return {} if self.earlier else comparisons.below_half(self.values)

    def below_half(self, names: Sequence[str]) -> Finding | None:
        """Return 'inconclusive' where one of these is among the `slow`."""
        found = [name for name in self.slow if name in names]
        if not found:
            return None
        means, number = 100 * self.values.mean(), len(self.values)
        listed = ", ".join(
            f"{name} {means[name]:.1f} points (below that half in {self.slow[name]} of {number} restarts)"
            for name in found
        )
        return Finding(
            "inconclusive", f"less than half of SGD's mean at this setting: {listed}, SGD {means['SGD']:.1f}"
        )

    def against(self, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
        """Compare pairs as one Holm family, one value per restart, on the restarts that all of them have."""
        return comparisons.against(self.values, pairs, self.margin)


def _listed(table: pd.DataFrame, names: pd.Series) -> str:
    return "; ".join(
        f"{word}: {', '.join(found)}" for word, found in names.groupby(comparisons.words(table), sort=False)
    )


#: Of a difference that can be told from zero, inside the margin or not.
SIDES = ("better", "worse")


def _sides(table: pd.DataFrame) -> pd.Series:
    """Return 'better' or 'worse' where Holm's p is at most 0.05, inside the margin or not; '' elsewhere."""
    better, worse = SIDES
    sides = table["difference"].gt(0).map({True: better, False: worse})
    return sides.where(table["adjusted_p"] <= ALPHA, "")


def _apart(table: pd.DataFrame) -> str:
    """List the comparisons that can be told apart, with their differences in points."""
    real = table[table["adjusted_p"] <= ALPHA]
    return ", ".join(f"{row.comparison} {100 * row.difference:+.2f}" for row in real.itertuples()) or "none"


def _equivalence(table: pd.DataFrame, names: pd.Series, results: Results) -> Finding:
    """'holds' if all are equivalent; if some lie beyond the margin, 'in part' or, where none is, 'does not hold'.

    Else 'inconclusive'. Beyond: Holm's p ≤ 0.05 and the whole 95 % interval outside.
    """
    words = comparisons.words(table)
    equivalent = int((words == "equivalent").sum())
    beyond = (table["adjusted_p"] <= ALPHA) & comparisons.beyond_margin(table)
    listed = ", ".join(names[beyond]) or "none"
    detail = f"within ±{100 * results.margin:g} points: {_listed(table, names)}; surely beyond it: {listed}"
    if equivalent == len(table):
        return Finding("holds", detail)
    if (words.isin(SIDES) if results.earlier else beyond).any():
        return Finding("holds in part" if equivalent else "does not hold", detail)
    return Finding("inconclusive", detail)


def _blind(table: pd.DataFrame) -> str:
    """Say so where no comparison of a family could have come out as a difference."""
    if not comparisons.powerless(table):
        return ""
    return f" (at {table['restarts'].iloc[0]} restarts no result could be: least p {_least(table)})"


def _least(table: pd.DataFrame) -> str:
    return f"{table['smallest_adjusted_p'].min():.2g}"


def sets_alike(results: Results) -> Finding:
    """SetA against SetB for the paper's six: its Mann–Whitney test, five restarts each, and equivalence by restarts.

    'does not hold' if the test rejects for more than half, 'holds in part' if for some. A test that rejects for none
    shows nothing by itself: 'holds' if, besides, the mean regret to SetB is inside the margin for all (two one-sided t
    tests over restarts), else 'inconclusive'. SetB exceeds SetA by construction.
    """
    if absent := results.lacks(SIX):
        return absent
    few, all_ = (table["mann_whitney"] <= ALPHA for table in results.tests)
    own = selection.regret(results.trajectories, per_trajectory=MODELS)[list(SIX)]
    inside = int((selection.mean_with_interval(own, results.margin)["equivalence_p"] <= ALPHA).sum())
    word: Word = "does not hold" if few.mean() > 0.5 else "holds in part"
    if not few.any():
        word = "holds" if inside == len(SIX) else "inconclusive"
    detail = f"the paper's test rejects for {few.sum()} of {len(few)} algorithms with {RESTARTS} restarts"
    if results.trajectories["seed"].nunique() > RESTARTS:
        detail += f", {all_.sum()} with all"
    detail += f"; the regret to SetB is inside ±{100 * results.margin:g} points for {inside}"
    return Finding(word, f"{detail}; SetB exceeds SetA by construction")


def tests_alike(results: Results) -> Finding:
    """Whether both tests of SetA against SetB are on the same side of 0.05, for the paper's six, five restarts each.

    'holds' if they are for all, as the paper finds, 'does not hold' if they part for some. That both are above says
    that they agree, not that the sets do.
    """
    if absent := results.lacks(SIX):
        return absent
    few = results.tests[0]
    both = ((few["mann_whitney"] <= ALPHA) & (few["t_test"] <= ALPHA)).sum()
    neither = ((few["mann_whitney"] > ALPHA) & (few["t_test"] > ALPHA)).sum()
    detail = f"with {RESTARTS} restarts both reject for {both} of {len(few)} algorithms, neither for {neither}"
    return Finding("holds" if both + neither == len(few) else "does not hold", detail)


def lower_loss_is_better(results: Results) -> Finding:
    """For the paper's six: are models chosen by training loss better than random ones of the second half?

    By the test metric, paired within restarts (`selection.against_late`); only beyond that does a lower loss tell more
    than that late models are better than early ones. 'holds' if they are better for all algorithms (Holm's p ≤ 0.05, of
    any size), 'holds in part' if for some; 'does not hold' if for none, at restarts at which p could have been so low,
    and for each they are worse (the same) or equivalent within the margin; else 'inconclusive'.
    """
    if absent := results.lacks(SIX):
        return absent
    table = selection.against_late(results.six, results.margin, per_trajectory=MODELS)
    sides, words = _sides(table), comparisons.words(table)
    detail = "; ".join(f"{side} for: {', '.join(table.loc[sides == side, 'algorithm']) or 'none'}" for side in SIDES)
    detail += _blind(table)
    detail += f"; within ±{100 * results.margin:g} points: {_listed(table, table['algorithm'])}"
    better = int((sides == "better").sum())
    if better:
        return share(better, len(table), detail)
    settled = not _blind(table) and ((sides == "worse") | (words == "equivalent")).all()
    return Finding("does not hold" if settled else "inconclusive", detail)


def loss_costs_nothing(results: Results) -> Finding:
    """For the paper's six: does choosing by training loss cost more than the margin, against validation metric?

    By the test metric, paired within restarts (`selection.verdicts`). 'holds' if the loss chooses as well within the
    margin, or better, for all algorithms, 'holds in part' if for some; 'does not hold' if for none and it is worse for
    some (Holm's p ≤ 0.05); else 'inconclusive'. That the cost is within the margin does not say that there is none.
    """
    if absent := results.lacks(SIX):
        return absent
    table = selection.verdicts(results.six, results.margin, per_trajectory=MODELS)
    words = comparisons.words(table)
    regret = -100 * table["difference"]
    detail = (
        f"within ±{100 * results.margin:g} points: {_listed(table, table['algorithm'])}; "
        f"mean regret {regret.min():.2f} to {regret.max():.2f} points, above or below zero for: "
        + (", ".join(table.loc[table["adjusted_p"] <= ALPHA, "algorithm"]) or "none")
        + _blind(table)
    )
    free = int(selection.as_good(table).sum())
    if free:
        return share(free, len(table), detail)
    return Finding("does not hold" if "worse" in set(words) else "inconclusive", detail)


def on_par_with_sam(results: Results) -> Finding:
    """'holds' if all five are equivalent to SAM within the margin.

    'does not hold' if some are surely beyond the margin (Holm's p ≤ 0.05 and the whole 95 % interval outside) and none
    is equivalent, 'holds in part' if some are beyond and some equivalent; else 'inconclusive'. A difference that may be
    inside the margin contradicts nothing. 'inconclusive' too where SAM has less than half of SGD's points: some or all
    of its restarts had hardly begun to learn at that setting.
    """
    if absent := results.lacks(SIX) or results.below_half(["SAM"]):
        return absent
    table = comparisons.against_sam(results.values, results.margin)
    return _equivalence(table, table["a"], results)


def indistinguishable(results: Results) -> Finding:
    """The three pairs of Table 6: 'does not hold' if any can be told apart (Holm's p ≤ 0.05), as in the printed table.

    'holds' if none can and all are equivalent within the margin; else 'inconclusive', and where SAM has less than half
    of SGD's points.
    """
    if absent := results.lacks(("SGD", "SAM", "NiM-BH")) or results.below_half(["SAM"]):
        return absent
    table = results.against(comparisons.PRINTED_PAIRS)
    found = _equivalence(table, table["comparison"], results)
    if not _sides(table).any():
        return found
    return Finding("does not hold", f"told apart: {_apart(table)} points; {found.detail}")


def half_the_gradients(results: Results) -> Finding:
    """'holds' for an algorithm if SAM pays 1.95 to 2.05 times its gradient evaluations for the same epochs."""
    if absent := results.lacks(SIX):
        return absent
    paid = tables.final(results.trajectories, "gradient_evaluations").mean()
    ratios = {name: paid["SAM"] / paid[name] for name in SIX if name != "SAM"}
    detail = "SAM pays " + ", ".join(f"{ratio:.2f} × {name}'s" for name, ratio in ratios.items())
    return share(sum(1.95 <= ratio <= 2.05 for ratio in ratios.values()), len(ratios), detail)


def sam_at_equal_gradients(results: Results) -> Finding:
    """SAM's training loss against SGD's and NiM-BH's: stopped at SGD's gradient evaluations, and with all its epochs.

    On the logarithm of the loss, one value per restart, four comparisons in one Holm family, p ≤ 0.05. 'holds' if it is
    higher than both at equal gradients and stays higher than both with all epochs; 'holds in part' if it is higher than
    one of them at equal gradients; 'does not hold' if higher than neither and lower than one; else 'inconclusive', and
    where SAM has less than half of SGD's points.
    """
    if absent := results.lacks(("SGD", "SAM", "NiM-BH")) or results.below_half(["SAM"]):
        return absent
    rows = results.trajectories
    budget = int(rows.loc[rows["algorithm"] == "SGD"].groupby("seed")["gradient_evaluations"].max().min())
    names, places = ["SAM", "SGD", "NiM-BH"], (f"at {budget:,} gradients", "at equal epochs")
    cut, whole = (tables.final(part, "train_loss")[names] for part in (tables.within(rows, budget), rows))
    medians = [
        f"{place} " + ", ".join(f"{who} {value:.2g}" for who, value in part.median().items())
        for place, part in zip(places, (cut, whole), strict=True)
    ]
    table = comparisons.log_loss(pd.concat([cut.add_suffix(", cut"), whole], axis=1))
    pairs = [("SAM, cut", "SGD, cut"), ("SAM, cut", "NiM-BH, cut"), ("SAM", "SGD"), ("SAM", "NiM-BH")]
    found = comparisons.against(table, pairs, None, higher_is_better=False)
    adjusted = ", ".join(f"{p:.2g}" for p in found["adjusted_p"])
    detail = f"median training loss {'; '.join(medians)}; SAM against both, and again, Holm's p {adjusted}"
    words = list(found["verdict"])
    if "worse" not in words[:2]:
        return Finding("does not hold" if "better" in words[:2] else "inconclusive", detail)
    return Finding("holds" if words == ["worse"] * 4 else "holds in part", detail)


def top_three_by_accuracy(results: Results) -> Finding:
    """SGD, NiM-SGD and SAM against NiG-SGD, NiG-BH and NiM-BH: nine pairs, one Holm family (p ≤ 0.05, any size).

    'holds' if all are better, 'does not hold' if one of the claimed is worse, 'holds in part' if some are better and
    none worse; else 'inconclusive', and where one of the six has less than half of SGD's points.
    """
    if results.task not in ACCURACY:
        return Finding("not applicable", "measured by macro-F1")
    if absent := results.lacks(SIX) or results.below_half(SIX):
        return absent
    claimed = ("SGD", "NiM-SGD", "SAM")
    words = list(_sides(results.against([(a, b) for a in claimed for b in SIX if b not in claimed])))
    means = 100 * results.values[list(SIX)].mean().sort_values(ascending=False, kind="stable")
    better, worse = words.count("better"), words.count("worse")
    detail = f"of nine pairs {better} better, {worse} worse; means " + ", ".join(
        f"{name} {value:.2f}" for name, value in means.items()
    )
    if worse or not better:
        return Finding("does not hold" if worse else "inconclusive", detail)
    return share(better, len(words), detail)


def ahead_by_f1(results: Results) -> Finding:
    """'holds' if SAM is worse than SGD and one of NiG-BH and NiM-BH better (Holm's p ≤ 0.05, of any size).

    'holds in part' if one of the two is so. 'does not hold' if neither and each of the three is equivalent to SGD
    within the margin or on the other side of it (Holm's p ≤ 0.05); else 'inconclusive', and where SAM has less than
    half of SGD's points.
    """
    if results.task in ACCURACY:
        return Finding("not applicable", "measured by accuracy")
    if absent := results.lacks(("SGD", "SAM", "NiG-BH", "NiM-BH")) or results.below_half(["SAM"]):
        return absent
    table = results.against([("SAM", "SGD"), ("NiG-BH", "SGD"), ("NiM-BH", "SGD")])
    sides = list(_sides(table))
    found = (sides[0] == "worse") + ("better" in sides[1:])
    detail = f"against SGD: {_listed(table, table['a'])}; told apart, in points: {_apart(table)}"
    settled = comparisons.words(table) == "equivalent"
    if not results.earlier:
        settled |= pd.Series(sides) == ["better", "worse", "worse"]
    if found == 0 and not settled.all():
        return Finding("inconclusive", detail)
    return share(found, 2, detail)


def one_run_misleads(results: Results) -> Finding:
    """Of the paper's six, the pairs that differ (Holm's p ≤ 0.05 over all pairs, of any size): does one run show it?

    Those with a mean of less than half of SGD's are left out: their difference is of the setting, at which some or all
    of their restarts had hardly begun to learn when the epochs ended.

    One run each ranks a pair as the populations do with a probability, A12; 0.71 is where Vargha and Delaney call an
    effect large. 'does not hold' if it is surely above 0.71 for all of these pairs, 'holds' if for none, 'holds in
    part' if for some; 'inconclusive' where no pair differs, or none does surely either way.
    """
    if absent := results.lacks(SIX):
        return absent
    names = [name for name in SIX if name not in results.slow]
    if len(names) < 2:
        return Finding("inconclusive", "all others have less than half of SGD's mean at this setting")
    table = results.against(list(combinations(names, 2)))
    differ = table[table["adjusted_p"] <= ALPHA]
    if differ.empty:
        could = f"least p that could have come out {_least(table)}"
        return Finding("inconclusive", f"none of {len(table)} pairs could be told apart (Holm over all; {could})")
    first = differ["difference"] > 0
    right = differ["a12"].where(first, 1 - differ["a12"])
    low = differ["a12_low"].where(first, 1 - differ["a12_high"])
    high = differ["a12_high"].where(first, 1 - differ["a12_low"])
    sure = int((low > 0.71).sum())
    detail = (
        f"{len(differ)} of {len(table)} pairs differ; one run each ranks them rightly with probability "
        f"{right.min():.2f} to {right.max():.2f}, surely above 0.71 for {sure}"
    )
    if sure == 0 and not (high < 0.71).any():
        return Finding("inconclusive", detail)
    return Finding("does not hold" if sure == len(differ) else "holds in part" if sure else "holds", detail)


def pooled_tests_here(results: Results) -> Finding:
    """Pooled Mann–Whitney, simulated at the task's intra-class correlation (ICC): is it wrong over 6 times in 100?

    The ICC is the median over algorithms, and so are the ends of its 95 % interval. 'does not hold' if the test is
    wrong so often at the lower end (surely, for the finite number of repeats), 'holds' if not even at the upper end;
    else 'inconclusive'.
    """
    ends = comparisons.clustering(results.set_a)[["low", "icc", "high"]].median().clip(0, 1)
    rows = [simulations.false_positives([icc], tests=["pooled Mann–Whitney"]).iloc[0] for icc in ends]
    worth = effective_n(RESTARTS, MODELS, ends["icc"])
    low, rate, high = (f"{100 * row['rate']:.0f}" for row in rows)
    detail = (
        f"median ICC {ends['icc']:.2f} [{ends['low']:.2f}, {ends['high']:.2f}]: {RESTARTS * MODELS} models are worth "
        f"{worth:.1f}, false positives {rate} % [{low}, {high}] where no seeds are shared"
    )
    if rows[0]["low"] > 0.06:
        return Finding("does not hold", detail)
    return Finding("inconclusive" if rows[2]["low"] > 0.06 else "holds", detail)


def monotonic_is_worse(results: Results) -> Finding:
    """NiG-MBH and NiM-MBH against NiG-BH and NiM-BH: training loss at the end (logarithm), and the test metric.

    'holds' if both end at a higher loss (Holm's p ≤ 0.05) and one is worse by the test metric; 'holds in part' if one
    ends at a higher loss; 'does not hold' if none does and both are equivalent or better by the test metric; else
    'inconclusive'.
    """
    if absent := results.lacks(("NiG-BH", "NiM-BH", "NiG-MBH", "NiM-MBH")):
        return absent
    pairs = [("NiG-MBH", "NiG-BH"), ("NiM-MBH", "NiM-BH")]
    losses = comparisons.log_loss(tables.final(results.trajectories, "train_loss"))
    loss = comparisons.against(losses, pairs, None, higher_is_better=False)
    metric = results.against(pairs)
    higher, words = int((comparisons.words(loss) == "worse").sum()), comparisons.words(metric)
    factors = (10 ** loss["difference"]).map("{:.2f}".format) + " (" + comparisons.words(loss) + ")"
    detail = f"training loss times that without monotonicity: {', '.join(loss['a'] + ' ' + factors)}; test metric "
    detail += f"within ±{100 * results.margin:g} points: {_listed(metric, metric['comparison'])}"
    if higher:
        return Finding("holds" if higher == 2 and (words == "worse").any() else "holds in part", detail)
    return Finding("does not hold" if words.isin(["equivalent", "better"]).all() else "inconclusive", detail)


#: Rule → finding from a task's results.
TASK: dict[str, Callable[[Results], Finding]] = {
    rule.__name__: rule
    for rule in (
        sets_alike,
        tests_alike,
        lower_loss_is_better,
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


_SLOW = (
    "26 November 2026, with GoEmotions' base results there: an algorithm with less than half of SGD's points says that "
    "of its setting, and is no longer judged"
)

#: Rule → what was changed in it when results were there, and when: `Results.earlier` judges without that.
REVISED: dict[str, str] = {
    "on_par_with_sam": "26 November 2026, with CIFAR-10's and TweetEval's base results there: only a difference surely "
    f"beyond the margin contradicts, where one that could be told from zero did. {_SLOW}",
    "indistinguishable": _SLOW,
    "sam_at_equal_gradients": _SLOW,
    "top_three_by_accuracy": _SLOW,
    "ahead_by_f1": f"{_SLOW}. Later that day, with TweetEval's tuned results there: a difference on the other side "
    "contradicts, where only equivalence did",
    "one_run_misleads": _SLOW,
}
