"""Claims judged by the results of a task: what the rules of ``data/paper/rules.toml`` take from it, and decide by."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import Any

import pandas as pd

from popview.paper.finding import LARGE, Decision, Finding, Word, any_or_settled, list_rows, signs, that_share
from popview.populations import (
    checkpoints,
    comparisons,
    flatness_factors,
    flatness_relations,
    pooled,
    selection,
    tables,
)
from popview.populations.comparisons import ALPHA
from popview.populations.outcomes import by_algorithm
from popview.populations.time_to_target import within
from popview.populations.unfinished import unfinished
from popview.statistics import effective_n, simulations
from popview.tasks.catalogue import RECORDS

#: The paper's design: trajectories, and models of each.
RESTARTS, MODELS = 5, 10

#: Measures of flatness that look at the loss around a model, or at its curvature.
SHARPNESS = ("ball_maximum", "adaptive_sharpness", "average_sharpness", "top_eigenvalue", "trace")

SIX = ("SGD", *tables.PAPER_FAMILY)


@dataclass(frozen=True)
class Results:
    """The trajectories of a task and variant, and what the rules take from them.

    Attributes
    ----------
    task : str
        Its name.
    trajectories : DataFrame
        As `popview.populations.tables.load_trajectories` returns it.
    margin : float
        Of equivalence.
    measures : DataFrame, optional
        As `popview.populations.outcomes.load_final_measures` returns it.
    cheaper : DataFrame, optional
        Trajectories of algorithms that pay SGD's gradients with a schedule of their own, in fewer epochs: annealed,
        SAM's. Those in `trajectories` have as many epochs as SGD's.
    by_last : bool
        Whether comparisons are by the last model on the whole test split, where they are by the mean of SetA.
    """

    task: str
    trajectories: pd.DataFrame
    margin: float
    measures: pd.DataFrame | None = None
    cheaper: pd.DataFrame | None = None
    by_last: bool = False

    @cached_property
    def six(self) -> pd.DataFrame:
        """The trajectories of the paper's six algorithms."""
        return self.trajectories[self.trajectories["algorithm"].isin(SIX)]

    @cached_property
    def set_a(self) -> pd.DataFrame:
        """The models of lowest training loss of each restart."""
        return checkpoints.select(self.trajectories, "train_loss", MODELS)

    @cached_property
    def set_b(self) -> pd.DataFrame:
        """The models of highest test metric of each restart."""
        return checkpoints.select(self.trajectories, "test_metric", MODELS)

    @cached_property
    def values(self) -> pd.DataFrame:
        """Mean test metric of SetA, or the last model's on the whole test split: one value per restart."""
        if not self.by_last:
            return checkpoints.per_restart(self.set_a)
        assert self.measures is not None
        return by_algorithm(self.measures, "whole_test.metric")

    @cached_property
    def tests(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The paper's tests of SetA against SetB for its six algorithms, with its five restarts and with all."""
        sets = [chosen[chosen["algorithm"].isin(SIX)] for chosen in (self.set_a, self.set_b)]
        first = sorted(self.trajectories["seed"].unique())[:RESTARTS]
        few = [chosen[chosen["seed"].isin(first)] for chosen in sets]
        return pooled.set_a_against_set_b(*few), pooled.set_a_against_set_b(*sets)

    @cached_property
    def clustering(self) -> pd.Series:
        """Median over algorithms of the intra-class correlation of SetA's models, from 0 to 1: ``low, icc, high``."""
        return pooled.clustering(self.set_a)[["low", "icc", "high"]].median().clip(0, 1)

    @cached_property
    def slow(self) -> pd.DataFrame:
        """What `unfinished` finds not to be finished, by algorithm: such a setting says nothing of algorithms."""
        table = unfinished(self.trajectories, self.margin)
        return table[table["unfinished"].astype(bool)].set_index("algorithm")

    @cached_property
    def flatness(self) -> pd.DataFrame:
        """What `flatness_relations` relates, of the algorithms whose training has ended; empty without measures."""
        if self.measures is None:
            return pd.DataFrame(columns=["algorithm", "seed"])
        ended = self.measures[~self.measures["algorithm"].isin(self.slow.index)]
        return flatness_relations.adjusted(flatness_relations.measured(self.trajectories, ended))

    def excluded(self, needs: Sequence[str], learned: Sequence[str] = (), metric: str = "") -> Finding | None:
        """Return why a rule cannot judge these results; None where it can.

        Parameters
        ----------
        needs : sequence of str
            Algorithms that the rule compares.
        learned : sequence of str
            Algorithms whose training must have ended when the epochs did.
        metric : {"", "accuracy", "macro-F1"}
            The only metric that the claim is about, if it names one.
        """
        measured = RECORDS[self.task].metric
        if metric not in ("", measured):
            return Finding("not applicable", f"measured by {measured}")
        if absent := [name for name in needs if name not in self.values]:
            return Finding("not run here", f"no results of {', '.join(absent)}")
        slow = self.slow[self.slow.index.isin(learned)]
        if slow.empty:
            return None
        points = slow.assign(points=100 * slow["gain"]).reset_index()
        listed = list_rows(
            points,
            "{algorithm} ({left} of {restarts} restarts had left the plateau; in the last quarter it gained "
            "{points:+.1f} points more than SGD)",
        )
        return Finding("inconclusive", f"still learning when the epochs ended: {listed}")

    def against(self, pairs: Sequence[Sequence[str]]) -> pd.DataFrame:
        """Compare pairs as one Holm family, one value per restart, on the restarts that all of them have."""
        return _outcomes(comparisons.against(self.values, [(a, b) for a, b in pairs], self.margin))


def _outcomes(table: pd.DataFrame) -> pd.DataFrame:
    """Add what deciders count to a table of comparisons.

    ``real`` (Holm's p is at most 0.05, whatever the size), ``better, worse`` (and on that side), ``beyond`` (and the
    whole 95 % interval lies outside the margin), ``equivalent``.
    """
    real, up, equivalent = table["adjusted_p"] <= ALPHA, table["difference"] > 0, table["verdict"] == "equivalent"
    beyond = real & comparisons.beyond_margin(table)
    return table.assign(real=real, better=real & up, worse=real & ~up, beyond=beyond, equivalent=equivalent)


def _numbers(table: pd.DataFrame, names: str) -> dict[str, Any]:
    """Return what sentences name of a table of `_outcomes`; `names` is the column that names its comparisons."""
    lists = {column: ", ".join(table.loc[table[column], names]) for column in ("better", "worse", "real", "beyond")}
    groups = table.groupby("verdict", sort=False)[names]
    points = table.assign(points=100 * table["difference"])
    return {
        **{column: listed or "none" for column, listed in lists.items()},
        "margin": 100 * table["margin"].iloc[0],
        "verdicts": "; ".join(f"{word}: {', '.join(found)}" for word, found in groups),
        "differences": list_rows(points[table["real"]], "{comparison} {points:+.2f}", ", "),
    }


def all_equivalent(results: Results, pairs: Sequence[Sequence[str]], names: str = "comparison") -> Decision:
    """'holds' if all pairs are equivalent, 'in part' if some; else 'does not hold' if some lie beyond the margin."""
    table = results.against(pairs)
    return any_or_settled(table["equivalent"], settled=table["beyond"].any()), _numbers(table, names)


def none_apart(results: Results, pairs: Sequence[Sequence[str]]) -> Decision:
    """'does not hold' if a pair is told apart, whatever the size of its difference; else as `all_equivalent`."""
    table = results.against(pairs)
    numbers = _numbers(table, "comparison")
    if table["real"].any():
        return "does not hold", numbers | {"apart": f"told apart: {numbers['differences']} points; "}
    return any_or_settled(table["equivalent"], settled=False), numbers | {"apart": ""}


def all_better(results: Results, better: Sequence[str], than: Sequence[str]) -> Decision:
    """'holds' if each of the first is better than each of the others, 'does not hold' if one is worse.

    'holds in part' if some are better and none worse; else 'inconclusive'.
    """
    table = results.against(list(product(better, than)))
    means = 100 * results.values[list(SIX)].mean().sort_values(ascending=False, kind="stable")
    numbers = {"better": table["better"].sum(), "worse": table["worse"].sum()}
    word = "does not hold" if table["worse"].any() else any_or_settled(table["better"], settled=False)
    return word, numbers | {"means": ", ".join(f"{name} {value:.2f}" for name, value in means.items())}


def ratio_within(results: Results, of: str, column: str, low: float, high: float) -> Decision:
    """Count the algorithms of which one algorithm's column is `low` to `high` times as much an epoch, on average."""
    paid = (checkpoints.final(results.trajectories, column) / checkpoints.final(results.trajectories, "epoch")).mean()
    ratios = {name: paid[of] / paid[name] for name in SIX if name != of}
    listed = ", ".join(f"{ratio:.2f} × {name}'s" for name, ratio in ratios.items())
    return that_share(low <= ratio <= high for ratio in ratios.values()), {"ratios": listed}


def loss_beats_recency(results: Results) -> Decision:
    """Decide by the models that the training loss chooses, against as many of the last checkpoints."""
    table = _outcomes(selection.against_last(results.six, results.margin, per_trajectory=MODELS))
    gains = 100 * table["difference"]
    settled = (table["worse"] | table["equivalent"]).all()
    numbers = _numbers(table, "algorithm") | {"low": gains.min(), "high": gains.max()}
    return any_or_settled(table["better"], settled), numbers


def loss_as_good_as_validation(results: Results) -> Decision:
    """Decide by the models that the training loss chooses, against those that the validation metric chooses."""
    table = _outcomes(selection.verdicts(results.six, results.margin, per_trajectory=MODELS))
    regret = -100 * table["difference"]
    word = any_or_settled(selection.as_good(table), settled="worse" in set(table["verdict"]))
    return word, _numbers(table, "algorithm") | {"low": regret.min(), "high": regret.max()}


def sets_alike(results: Results) -> Decision:
    """Decide by the paper's test of SetA against SetB and, where it rejects for none, by the regret to SetB."""
    few, all_ = (table["mann_whitney"] <= ALPHA for table in results.tests)
    own = selection.regret(results.trajectories, per_trajectory=MODELS)[list(SIX)]
    inside = int((selection.mean_with_interval(own, results.margin)["equivalence_p"] <= ALPHA).sum())
    word: Word = "does not hold" if few.mean() > 0.5 else "holds in part"
    if not few.any():
        word = "holds" if inside == len(SIX) else "inconclusive"
    more = f", {all_.sum()} with all" if results.trajectories["seed"].nunique() > RESTARTS else ""
    return word, {"few": few.sum(), "of": len(few), "more": more, "margin": 100 * results.margin, "inside": inside}


def tests_alike(results: Results) -> Decision:
    """Decide by whether both tests of SetA against SetB are on the same side of 0.05."""
    few = results.tests[0][["mann_whitney", "t_test"]]
    both, neither = (few <= ALPHA).all(axis=1), (few > ALPHA).all(axis=1)
    word: Word = "holds" if (both | neither).all() else "does not hold"
    return word, {"both": both.sum(), "neither": neither.sum(), "of": len(few)}


def sam_at_equal_gradients(results: Results) -> Decision:
    """Decide by SAM's training loss at SGD's gradient evaluations, and with as many epochs."""
    rows = results.trajectories
    budget = int(rows.loc[rows["algorithm"] == "SGD"].groupby("seed")["gradient_evaluations"].max().min())
    names = ["SAM", "SGD", "NiM-BH"]
    equal = rows
    if results.cheaper is not None:
        equal = pd.concat([rows[~rows["algorithm"].isin(results.cheaper["algorithm"])], results.cheaper])
    cut, whole = (checkpoints.final(part, "train_loss")[names] for part in (within(equal, budget), rows))
    table = comparisons.log_loss(pd.concat([cut.add_suffix(", cut"), whole], axis=1))
    pairs = [("SAM, cut", "SGD, cut"), ("SAM, cut", "NiM-BH, cut"), ("SAM", "SGD"), ("SAM", "NiM-BH")]
    found = comparisons.against(table, pairs, None, higher_is_better=False)
    medians = [", ".join(f"{who} {value:.2g}" for who, value in part.median().items()) for part in (cut, whole)]
    adjusted = ", ".join(f"{p:.2g}" for p in found["adjusted_p"])
    higher, lower = found["verdict"] == "worse", found["verdict"] == "better"
    word: Word = "holds" if higher.all() else "holds in part"
    if not higher[:2].any():
        word = "does not hold" if lower[:2].any() else "inconclusive"
    return word, {"budget": budget, "cut": medians[0], "whole": medians[1], "adjusted": adjusted}


def ahead_by_f1(results: Results) -> Decision:
    """Decide by SAM, claimed to be worse than SGD, and two of Basin Hopping, one of them claimed to be better."""
    table = results.against([("SAM", "SGD"), ("NiG-BH", "SGD"), ("NiM-BH", "SGD")])
    sam = table["a"] == "SAM"
    claimed = [table.loc[sam, "worse"].any(), table.loc[~sam, "better"].any()]
    settled = table["equivalent"] | table["better"].where(sam, table["worse"])
    return any_or_settled(claimed, settled.all()), _numbers(table, "a")


def one_run_misleads(results: Results) -> Decision | Finding:
    """Decide by how surely one run each ranks a pair as all restarts do, over all pairs."""
    names = [name for name in SIX if name not in results.slow.index]
    if len(names) < 2:
        return Finding("inconclusive", "all others were still learning when the epochs ended")
    table = results.against(list(combinations(names, 2)))
    first = table["a12"] >= 0.5
    right = table["a12"].where(first, 1 - table["a12"])
    low = table["a12_low"].where(first, 1 - table["a12_high"])
    high = table["a12_high"].where(first, 1 - table["a12_low"])
    sure, unsure = low > LARGE, high < LARGE
    own = results.values["SGD"].dropna().to_numpy()
    apart = [abs(x - y) > results.margin for x, y in combinations(own, 2)]
    numbers = {"of": len(table), "low": right.min(), "high": right.max(), "sure": sure.sum(), "unsure": unsure.sum()}
    numbers |= {"apart": 100 * sum(apart) / len(apart), "margin": 100 * results.margin}
    if sure.all():
        return "does not hold", numbers
    if not unsure.any():
        return "inconclusive", numbers
    return "holds in part" if sure.any() or unsure.mean() <= 0.5 else "holds", numbers


def pooled_tests_here(results: Results) -> Decision:
    """Decide by the false positives of pooled Mann–Whitney at the task's intra-class correlation and its interval."""
    ends = results.clustering
    rows = [simulations.false_positives([icc], tests=["pooled Mann–Whitney"]).iloc[0] for icc in ends]
    rates = {f"rate_{end}": 100 * row["rate"] for end, row in zip(ends.index, rows, strict=True)}
    numbers = {"models": RESTARTS * MODELS, "worth": effective_n(RESTARTS, MODELS, ends["icc"])}
    least, _, most = (row["low"] > 0.06 for row in rows)
    word: Word = "does not hold" if least else "inconclusive" if most else "holds"
    return word, {**ends, **rates, **numbers}


def monotonic_is_worse(results: Results) -> Decision:
    """Decide by training loss and test metric of Monotonic Basin Hopping, against those of Basin Hopping."""
    pairs = [("NiG-MBH", "NiG-BH"), ("NiM-MBH", "NiM-BH")]
    losses = comparisons.log_loss(checkpoints.final(results.trajectories, "train_loss"))
    loss = comparisons.against(losses, pairs, None, higher_is_better=False)
    higher, metric = loss["verdict"] == "worse", results.against(pairs)
    factors = list_rows(loss.assign(factor=10 ** loss["difference"]), "{a} {factor:.2f} ({verdict})", ", ")
    numbers = _numbers(metric, "comparison") | {"factors": factors}
    if higher.any():
        return "holds" if higher.all() and (metric["verdict"] == "worse").any() else "holds in part", numbers
    return "does not hold" if metric["verdict"].isin(["equivalent", "better"]).all() else "inconclusive", numbers


#: The deciders that compare algorithms by `Results.values`.
COMPARING = (all_equivalent, none_apart, all_better, ahead_by_f1, one_run_misleads, monotonic_is_worse)


def sharper_is_worse(results: Results, outcome: str, weak: float) -> Decision | Finding:
    """'holds' if restarts with sharper minima fare worse within algorithms, by every measure of `SHARPNESS`, 'in part'
    by some; 'does not hold' if by none, and some say the opposite or all relations are weak."""
    table = results.flatness
    if outcome not in table:
        return Finding("not run here", "the files have no such measures")
    found = flatness_relations.relations(table, SHARPNESS, [outcome])
    if found.empty or "within" not in set(found["level"]):
        return Finding("not run here", f"needs {flatness_relations.FEWEST} restarts of each algorithm")
    within, between = found[found["level"] == "within"], found[found["level"] == "between"]
    real = within["adjusted_p"] <= ALPHA
    settled = (real & (within["tau"] < 0)).any() or (within["high"] < weak).all()
    told = "{measure} {tau:+.2f} [{low:+.2f}, {high:+.2f}]"
    numbers = {
        "within": list_rows(within, told, ", "),
        "algorithms": int(within["algorithms"].iloc[0]),
        "restarts": int(within["restarts"].iloc[0]),
        "between": list_rows(between, "{measure} {tau:+.2f} [{low:+.2f}, {high:+.2f}]", ", "),
    }
    return any_or_settled(real & (within["tau"] > 0), settled), numbers


def flatter(results: Results, algorithm: str, reference: str) -> Decision | Finding:
    """'holds' if an algorithm's models are flatter by every measure of `SHARPNESS`, 'does not hold' if none says so and
    some that they are sharper, 'inconclusive' if measures contradict each other or none is sure."""
    table, rows = results.flatness, pd.DataFrame()
    if {algorithm, reference} <= set(table["algorithm"]):
        rows = flatness_factors.ratios(table, [algorithm], SHARPNESS, "algorithm", reference)
    if rows.empty:
        return Finding("not run here", "the files have no such measures")
    real = rows["adjusted_p"] <= ALPHA
    told = list_rows(rows, "{measure} {ratio:.2f} (p {adjusted_p:.2g})", ", ")
    word = signs(real & (rows["ratio"] < 1), real & (rows["ratio"] > 1))
    return word, {"ratios": told, "restarts": int(rows["restarts"].iloc[0])}
