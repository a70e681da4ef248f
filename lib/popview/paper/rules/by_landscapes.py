"""Claims judged by landscapes and simulations, computed on the spot."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import scipy.stats

from popview.paper import table_one
from popview.paper.audit import NO_FLAG, worded
from popview.paper.audit_formulas import accept_rule as accept_rule_check
from popview.paper.audit_formulas import sharpest_minima as sharpest_minima_check
from popview.paper.rules.finding import Finding, Word, share
from popview.populations import landscape_paths
from popview.populations.comparisons import ALPHA
from popview.statistics import holm, simulations

__all__ = ["COMPUTED", "Computed"]


@dataclass(frozen=True)
class Computed:
    """What the landscape rules need, computed when first asked for, with chapter 4's protocol.

    Attributes
    ----------
    restarts : int
        Per cell of Table 1.
    two_well_restarts : int
        Per algorithm on the two-well landscape.
    iterations : int
        Updates per restart, on all landscapes.
    repeats : int
        Of the simulation of pooled tests.
    seed : int
    """

    restarts: int = 500
    two_well_restarts: int = 2000
    iterations: int = 1000
    repeats: int = 5000
    seed: int = 0

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Table 1, as `popview.paper.table_one.cells` returns it."""
        protocol = table_one.Protocol(restarts=self.restarts, iterations=self.iterations)
        names = [(landscape, algorithm) for landscape in table_one.COLUMNS for algorithm in table_one.ALGORITHMS]
        return table_one.cells([protocol.sample(*pair, self.seed) for pair in names], protocol.radius)

    @cached_property
    def wells(self) -> pd.DataFrame:
        """Where restarts end on the two-well landscapes of chapter 4: `popview.paper.table_one.preferences`."""
        return table_one.preferences(self.two_well_restarts, self.iterations, self.seed)

    @cached_property
    def nowhere(self) -> pd.DataFrame:
        """Restarts at no minimum, in percent: rows algorithms, columns landscapes."""
        left = self.cells[self.cells["column"].isin(["Else", "Diverged"])]
        return left.pivot_table(index="algorithm", columns="landscape", values="percent", aggfunc="sum", sort=False)


def pooled_tests(evidence: Computed) -> Finding:
    """'does not hold' if pooled Mann–Whitney is wrong in more than 6 % of cases at an ICC of 0.5 or 0.8."""
    table = simulations.false_positives((0.5, 0.8), repeats=evidence.repeats, seed=evidence.seed)
    rows = table[table["test"] == "pooled Mann–Whitney"]
    rates = " and ".join(f"{100 * row.rate:.0f} % (ICC {row.icc:g})" for row in rows.itertuples())
    word: Word = "does not hold" if (rows["low"] > 0.06).any() else "holds"
    return Finding(word, f"simulated false positives {rates}, where 5 % are promised")


def accept_rule(evidence: Computed) -> Finding:
    """'does not hold' if hops go uphill under the accept rule as printed."""
    check = worded({"accept-rule": accept_rule_check(seed=evidence.seed)}).loc["accept-rule"]
    return Finding("holds" if check["verdict"] == NO_FLAG else "does not hold", check["computed"])


def sharpest_minima(evidence: Computed) -> Finding:
    """'inconclusive' if the pair of highest value is not the sharpest of the local minima, else 'holds'.

    That this pair is the paper's LM3 and LM4 is suggested by their small shares; the paper gives no coordinates.
    """
    check = worded({"sharpest-minima": sharpest_minima_check()}).loc["sharpest-minima"]
    return Finding("holds" if check["verdict"] == NO_FLAG else "inconclusive", check["computed"])


def prefers_flat(evidence: Computed) -> Finding:
    """Shares of the wide well among restarts that end in one, of two equally deep, in 2 and in 10 dimensions.

    'holds' if NiG-GD and SAM end in it more often than in the narrow one (p ≤ 0.05, Holm over the rows of chapter 4's
    table) in both, and no other algorithm does in either; 'does not hold' if the intervals of NiG-GD and SAM all lie
    within 45 to 55 % and neither is significant; else 'inconclusive'.
    """
    wells = evidence.wells[evidence.wells["depth"] == 0]
    prefers = wells[(wells["adjusted"] <= ALPHA) & (wells["share"] > 50)]
    two = wells[wells["algorithm"].isin(["NiG-GD", "SAM"])]
    shares = "; ".join(
        f"{r.algorithm}, {r.dimension}-d {r.share:.1f} % [{r.low:.1f}, {r.high:.1f}] without {r.saddle} at the saddle"
        for r in two.itertuples()
    )
    detail = f"two wells of equal depth, share of the wide one: {shares}; without preference 50 %; at ρ = 0.3 only"
    ours = prefers["algorithm"].isin(["NiG-GD", "SAM"])
    if ours.all() and len(prefers) == len(two):
        return Finding("holds", detail)
    level = two["low"].ge(45).all() and two["high"].le(55).all()
    return Finding("does not hold" if level and not ours.any() else "inconclusive", detail)


def mirror_images_here(evidence: Computed) -> Finding:
    """'holds' if our GM1 and GM2 of any row differ beyond chance (symmetry test, Holm), 'does not hold' if of none."""
    found = table_one.symmetry(evidence.cells, "percent", evidence.restarts)
    adjusted = holm(found["p_value"])
    ours = (found["landscape"] == "six-hump-camel") & (found["pair"] == "GM1 – GM2")
    unequal = int((adjusted[ours] <= ALPHA).sum())
    first, second = (found.loc[ours, name].mean() for name in ("first", "second"))
    detail = f"GM1 {first:.1f} %, GM2 {second:.1f} % (mean of {int(ours.sum())} algorithms); {unequal} rows differ"
    return Finding("holds" if unequal else "does not hold", detail)


def six_hump_is_hardest(evidence: Computed) -> Finding:
    """'holds' if, of each algorithm, more restarts end at no minimum than on both other landscapes; 'in part' of some.

    Fisher's exact tests, one-sided, against the landscape with the next more; Holm's p ≤ 0.05 over the algorithms.
    'inconclusive' where it is so of none.
    """
    counts = (evidence.nowhere * evidence.restarts / 100).round().astype(int)
    ours, others = counts["six-hump-camel"], counts.drop(columns="six-hump-camel").max(axis=1)
    n = evidence.restarts
    tests = [
        scipy.stats.fisher_exact([[a, n - a], [b, n - b]], "greater").pvalue for a, b in zip(ours, others, strict=True)
    ]
    more = int((holm(tests) <= ALPHA).sum())
    left = evidence.nowhere[(counts > 0).any(axis=1)]
    shares = "; ".join(
        f"{name} " + ", ".join(f"{landscape} {value:.1f} %" for landscape, value in row.items())
        for name, row in left.iterrows()
    )
    detail = f"at no minimum: {shares or 'no restart of any algorithm'}; all other algorithms none anywhere"
    detail += f"; more on the six-hump camel for {more} of {len(ours)}, smallest p (Holm) {min(holm(tests)):.2g}"
    return share(more, len(ours), detail) if more else Finding("inconclusive", detail)


def a_third_at_no_minimum(evidence: Computed) -> Finding:
    """'holds' for an algorithm if our share is within 10 points of the printed one."""
    rows, near = [], 0
    for name, said in (("NiG-GD", 38.0), ("SAM", 34.0)):
        ours = evidence.nowhere.loc[name, "six-hump-camel"]
        near += abs(ours - said) <= 10
        rows.append(f"{name} {ours:.1f} %")
    return share(near, 2, f"under our protocol {', '.join(rows)}")


def hopping_reaches_minima(evidence: Computed) -> Finding:
    """'holds' if NiG-BH and NiM-BH end at a minimum in more than half of the restarts on every landscape."""
    reached = (100 - evidence.nowhere).min(axis=1)
    hopping, plain = reached[["NiG-BH", "NiM-BH"]].min(), reached["GD"]
    detail = f"at least {hopping:.1f} % of restarts on every landscape, as against {plain:.1f} % of plain GD"
    return Finding("holds" if hopping > 50 else "does not hold", detail)


def paths_reach_passes(evidence: Computed) -> Finding:
    """'holds' for neighbouring minima of Himmelblau's function if their path rises within 1 % of the true pass.

    And lies below the straight line. Neighbours: the pairs whose lowest pass is one saddle between them.
    """
    table = landscape_paths.neighbours()
    near = (table["path"] <= 1.01 * table["pass"]) & (table["path"] < table["straight"])
    listed = ", ".join(
        f"{r.path:.2f} (pass {r['pass']:.2f}, straight line {r.straight:.2f})" for _, r in table.iterrows()
    )
    return share(int(near.sum()), len(table), f"rises between neighbours: {listed}")


#: Rule → finding from landscapes and simulations.
COMPUTED: dict[str, Callable[[Computed], Finding]] = {
    rule.__name__: rule
    for rule in (
        pooled_tests,
        accept_rule,
        sharpest_minima,
        prefers_flat,
        mirror_images_here,
        six_hump_is_hardest,
        a_third_at_no_minimum,
        hopping_reaches_minima,
        paths_reach_passes,
    )
}
