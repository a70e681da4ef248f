"""Claims judged by landscapes and simulations: what the rules of ``data/paper/rules.toml`` need, and decide by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import scipy.stats

from popview.common.kept import kept
from popview.paper import audit_formulas, table_one
from popview.paper.audit import worded
from popview.paper.finding import Decision, Word, any_or_settled, list_rows, that_share
from popview.paper.rules.by_checks import by_check
from popview.populations import landscape_paths, landscape_sweeps
from popview.populations.comparisons import ALPHA
from popview.statistics import holm, simulations


@dataclass(frozen=True)
class Computed:
    """What the landscape rules need, computed when first asked for, with the protocol of the page on test functions.

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
        Of starts, noise and simulations.
    profile : str
        Of the sweeps that ship.
    """

    restarts: int = 500
    two_well_restarts: int = 2000
    iterations: int = 1000
    repeats: int = 5000
    seed: int = 0
    profile: str = "laptop"

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Table 1, as `popview.paper.table_one.cells` returns it."""
        protocol = table_one.Protocol(restarts=self.restarts, iterations=self.iterations)
        return table_one.cells(table_one.run_cells([protocol], seed=self.seed), protocol.radius)

    @cached_property
    def wells(self) -> pd.DataFrame:
        """Where restarts end on the two-well landscapes: `popview.paper.table_one.preferences`."""
        return kept(table_one.preferences, self.two_well_restarts, self.iterations, self.seed)

    @cached_property
    def nowhere(self) -> pd.DataFrame:
        """Restarts at no minimum, in percent: rows algorithms, columns landscapes."""
        left = self.cells[self.cells["column"].isin(["Else", "Diverged"])]
        return left.pivot_table(index="algorithm", columns="landscape", values="percent", aggfunc="sum", sort=False)

    @cached_property
    def checks(self) -> pd.DataFrame:
        """The checks of the printed formulas and algorithms that claims are judged by, as `worded` returns them."""
        accept_rule = audit_formulas.accept_rule(seed=self.seed)
        return worded({"accept-rule": accept_rule, "sharpest-minima": audit_formulas.sharpest_minima()})


def by_formula_check(evidence: Computed, check: str, found: Word) -> Decision:
    """Say the word `found` if a check of a formula or algorithm finds an inconsistency, else 'holds'."""
    return by_check(evidence.checks, check, found)


def pooled_tests(evidence: Computed, iccs: Sequence[float], above: float) -> Decision:
    """'does not hold' if pooled Mann–Whitney is surely wrong more often than `above`, at one of these ICCs."""
    table = simulations.false_positives(iccs, repeats=evidence.repeats, seed=evidence.seed)
    rows = table[table["test"] == "pooled Mann–Whitney"].assign(percent=lambda rows: 100 * rows["rate"])
    rates = list_rows(rows, "{percent:.0f} % (ICC {icc:g})", " and ")
    return "does not hold" if (rows["low"] > above).any() else "holds", {"rates": rates}


def prefers_flat(evidence: Computed, algorithms: Sequence[str], level: Sequence[float]) -> Decision:
    """Decide by which algorithms end in the wide one of two equally deep wells more often than in the narrow one."""
    wells = evidence.wells[evidence.wells["depth"] == 0]
    prefers = (wells["adjusted"] <= ALPHA) & (wells["share"] > 50)
    claimed = wells["algorithm"].isin(algorithms)
    near_half = wells["low"].ge(level[0]) & wells["high"].le(level[1])
    template = "{algorithm}, {dimension}-d {share:.1f} % [{low:.1f}, {high:.1f}] without {saddle} at the saddle"
    word: Word = "holds" if (prefers == claimed).all() else "inconclusive"
    if near_half[claimed].all() and not prefers[claimed].any():
        word = "does not hold"
    return word, {"shares": list_rows(wells[claimed], template)}


def prefers_flat_by_size(evidence: Computed, algorithms: Sequence[str], sweep: str) -> Decision | None:
    """Decide by which algorithms prefer the wide one of two equally deep wells at some size; None without the sweep."""
    rows = landscape_sweeps.well_preference(landscape_sweeps.load_sweep(evidence.profile, sweep))
    rows = rows[(rows["depth"] == 0) & (rows["preference"] != "not judged")]
    if not set(algorithms) <= set(rows["algorithm"]):
        return None
    wide, narrow = (rows[rows["preference"] == name].groupby("algorithm")["change"] for name in ("wide", "narrow"))
    judged = rows.groupby("algorithm", sort=False).size().rename("of").to_frame()
    judged = judged.join(wide.agg(["size", "max"])).join(narrow.agg(narrow="size", least="min")).fillna(0).reset_index()
    claimed, skewed = judged["algorithm"].isin(algorithms), judged["size"] > 0
    word = that_share(skewed[claimed])
    if word == "holds" and skewed[~claimed].any():
        word = "holds in part"
    told = "{algorithm} wide {size:.0f} (to {max:+.0f}), narrow {narrow:.0f} (to {least:+.0f}) of {of}"
    return word, {"counts": list_rows(judged, told)}


def mirror_images_differ(evidence: Computed, landscape: str, pair: str) -> Decision:
    """'holds' if a pair of mirror images differs beyond chance for any algorithm, 'does not hold' if for none."""
    found = table_one.symmetry(evidence.cells, "percent", evidence.restarts)
    unequal = holm(found["p_value"]) <= ALPHA
    ours = (found["landscape"] == landscape) & (found["pair"] == pair)
    numbers = {**found.loc[ours, ["first", "second"]].mean(), "algorithms": ours.sum(), "unequal": unequal[ours].sum()}
    return "holds" if unequal[ours].any() else "does not hold", numbers


def hardest(evidence: Computed, landscape: str) -> Decision:
    """Count the algorithms of which more restarts end at no minimum of a landscape than of any other (Fisher, Holm)."""
    n, counts = evidence.restarts, (evidence.nowhere * evidence.restarts / 100).round().astype(int)
    ours, others = counts[landscape], counts.drop(columns=landscape).max(axis=1)
    tables = [[[a, n - a], [b, n - b]] for a, b in zip(ours, others, strict=True)]
    adjusted = holm([scipy.stats.fisher_exact(table, "greater").pvalue for table in tables])
    left = evidence.nowhere[(counts > 0).any(axis=1)]
    rows = [(name, ", ".join(f"{where} {share:.1f} %" for where, share in row.items())) for name, row in left.T.items()]
    shares = "; ".join(f"{name} {listed}" for name, listed in rows) or "no restart of any algorithm"
    numbers = {"more": (adjusted <= ALPHA).sum(), "of": len(ours), "smallest": min(adjusted)}
    return any_or_settled(adjusted <= ALPHA, settled=False), numbers | {"shares": shares}


def near_printed(evidence: Computed, landscape: str, printed: Mapping[str, float], points: float) -> Decision:
    """Count the algorithms whose share of restarts at no minimum is within some points of the printed one."""
    ours = evidence.nowhere.loc[list(printed), landscape]
    listed = ", ".join(f"{name} {value:.1f} %" for name, value in ours.items())
    return that_share((ours - pd.Series(printed)).abs() <= points), {"ours": listed}


def most_reach_minima(evidence: Computed, algorithms: Sequence[str]) -> Decision:
    """'holds' if these algorithms end at a minimum in more than half of the restarts on every landscape."""
    reached = (100 - evidence.nowhere).min(axis=1)
    least = reached[list(algorithms)].min()
    return "holds" if least > 50 else "does not hold", {"least": least, "plain": reached["GD"]}


def paths_reach_passes(evidence: Computed, factor: float) -> Decision:
    """Count the neighbouring minima whose path rises to at most `factor` × the true pass, and less than a line."""
    table = landscape_paths.neighbours()
    low = (table["path"] <= factor * table["pass"]) & (table["path"] < table["straight"])
    rises = list_rows(table, "{path:.2f} (pass {pass:.2f}, straight line {straight:.2f})", ", ")
    return that_share(low), {"rises": rises}
