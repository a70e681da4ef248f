"""Inconsistencies of the printed tables, each as a computed check: pure functions of the cells in ``data/paper``.

A check states what is printed, what follows from it, how likely that is, and the most innocent explanation. It accuses
nobody: a misprint, a lost digit or a caption read wrongly explains most of them. `popview.paper.audit.formulas` does
the same for the printed formulas and pseudo-code.
"""

import numpy as np
import pandas as pd
import scipy.stats

from popview.common import read_log
from popview.common.folders import PAPER
from popview.paper import printed, table_one
from popview.paper.audit.check import Check
from popview.paper.audit.implied_tests import (
    ALPHA,
    MODELS,
    TRAJECTORIES,
    by_set,
    table_four_against_six,
    table_four_against_tests,
)
from popview.statistics import holm, simulate_nested
from popview.statistics.batched import p_values

__all__ = ["printed_checks", "slips"]


def printed_checks() -> list[Check]:
    """Return every check of the printed tables, in the order of the tables."""
    one, two, three, four, six = (printed.table(number) for number in ("1", "2a", "3a", "4", "6"))
    return [
        algorithms_counted(one, four),
        restarts_behind_table_one(one),
        symmetric_minima(one),
        row_sums(one),
        rejections_by_chance(two, "2a", named=2),
        rejections_by_chance(three, "3a", named=0),
        agreement_of_tests(two, three),
        set_b_below_set_a(four),
        misplaced_decimals(four),
        top_three_counts(four),
        table_four_against_tests(four, three),
        sentence_under_table_six(six),
        table_four_against_six(four, six),
    ]


def slips() -> pd.DataFrame:
    """Read the list of slips in the texts: ``document, where, says, but, source``. They were read, not computed."""
    file = PAPER / "slips.csv"
    read_log.record(file)
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def algorithms_counted(one: pd.DataFrame, four: pd.DataFrame, said: int = 6) -> Check:
    """Count the algorithms that Table 1 lists under the words "each of the 6 algorithms"."""
    listed, trained = one["algorithm"].nunique(), four["algorithm"].nunique()
    return Check(
        name="Number of algorithms",
        where="text above Table 1",
        printed=f'"each of the {said} algorithms"',
        computed=f"Table 1 lists {listed}; Tables 2 to 4 list {trained}",
        p_value=None,
        found=listed != said,
        impossible=False,
        innocent="the sentence was written for the tables of trained models, which leave out the monotonic two",
    )


def restarts_behind_table_one(one: pd.DataFrame, said: int = 500) -> Check:
    """Ask which numbers of restarts the percentages of Table 1's six-hump camel can come from."""
    rows = {
        str(name): list(row["percent"]) for name, row in one[one["landscape"] == "six-hump-camel"].groupby("algorithm")
    }
    fit, other = ([name for name, row in rows.items() if printed.fits(row, n)] for n in (said, 800))
    odd = ", ".join(f"{name}'s" for name in rows if name not in other) or "none"
    return Check(
        name="Number of restarts behind the six-hump camel",
        where="Table 1 and the text above it",
        printed=f"end points of {said} trajectories",
        computed=f"{len(fit)} of {len(rows)} rows are multiples of 1/{said} as printed, {len(other)} of 1/800 "
        f"(not {odd} row)",
        p_value=None,
        found=len(fit) < len(rows),
        impossible=True,
        innocent="800 restarts were run for this function, and one digit of one cell is a slip of pen or of scan",
    )


def symmetric_minima(one: pd.DataFrame, restarts: int = 500) -> Check:
    """Test the pairs of minima that f(−w) = f(w) makes equal; `popview.paper.table_one.symmetry`, Holm over all
    pairs."""
    cells = one.rename(columns={"percent": "printed"})
    found = table_one.symmetry(cells, "printed", restarts)
    found["adjusted"] = holm(found["p_value"])
    unequal = found[found["adjusted"] <= ALPHA]
    worst = found.loc[found["p_value"].idxmin()]
    return Check(
        name="Mirror images of a minimum",
        where="Table 1, both camels",
        printed=f"{worst['algorithm']}: {worst['first']:g} % and {worst['second']:g} % ({worst['pair']})",
        computed=f"{len(unequal)} of {len(found)} legible pairs differ beyond chance after Holm, in "
        f"{unequal['algorithm'].nunique()} rows; symmetric starts make each pair equal in expectation",
        p_value=float(found["adjusted"].min()),
        found=len(unequal) > 0,
        impossible=False,
        innocent="an asymmetric domain, which the paper does not state, or a formula other than the function's",
    )


def row_sums(one: pd.DataFrame, slack: float = 0.05) -> Check:
    """Sum the rows of Table 1 that can be read whole; an empty Else may be 0, or lost."""
    rows = []
    for (algorithm, landscape), row in one.groupby(["algorithm", "landscape"], sort=False):
        unread = row[row["percent"].isna()]
        if set(unread["column"]) <= {"Else"} and not unread["legible"].eq("partial").any():
            total = float(row["percent"].sum())
            places = 0.5 if (row["percent"].dropna() % 1 == 0).all() else 0.005
            tolerance = slack + places * int(row["percent"].notna().sum())
            whole = unread.empty
            rows.append((algorithm, landscape, total, total > 100 + tolerance or (whole and total < 100 - tolerance)))
    odd = [f"{algorithm} on {landscape}: {total:g}" for algorithm, landscape, total, off in rows if off]
    short = [f"{a} on {landscape} ({total:.3g})" for a, landscape, total, off in rows if not off and total < 99]
    return Check(
        name="Sums of rows",
        where="Table 1",
        printed=f"percentages of all restarts; {len(rows)} rows can be read whole, but for an empty Else",
        computed=f"{len(odd)} cannot sum to 100 with the rounding of its cells ({'; '.join(odd) or 'none'}); "
        f"with an Else that cannot be read, {', '.join(short) or 'none'} falls short of 99",
        p_value=None,
        found=bool(odd),
        impossible=False,
        innocent="a digit misprinted, or misread by the scan that our text comes from",
    )


def rejections_by_chance(table: pd.DataFrame, number: str, named: int) -> Check:
    """Compare the number of p-values below 0.05 with what chance gives, and Holm's smallest with 0.05."""
    low = table[table["p_value"] < ALPHA]
    tests = len(table)
    cells = "; ".join(f"{row.algorithm} on {row.task} {row.p_value:g}" for row in low.itertuples())
    chance = float(scipy.stats.binom.sf(len(low) - 1, tests, ALPHA))
    untold = named < len(low)
    return Check(
        name=f"Rejections in Table {number}",
        where=f"Table {number} and its text",
        printed=f"{len(low)} of {tests} p-values below {ALPHA:g} ({cells})"
        + (f"; the text names {named} of them" if untold else ""),
        computed=f"{tests * ALPHA:.1f} are expected if every hypothesis were true, {len(low)} or more come with "
        f"probability {chance:.2f}; Holm's smallest is {float(holm(table['p_value']).min()):.2f}",
        p_value=None if untold else chance,
        found=untold or chance <= ALPHA,
        impossible=False,
        innocent="the caption says that they are set in bold, so they are disclosed; the text speaks of the exceptions "
        "of Table 2a and means both tables"
        if untold
        else "no more than chance would give",
    )


def agreement_of_tests(two: pd.DataFrame, three: pd.DataFrame, repeats: int = 500, seed: int = 0) -> Check:
    """Correlate the p-values of the two tests over their cells, and simulate how well two tests of one data set agree.

    The simulated cells have the paper's design (5 × 10 models a set, normal, intra-class correlation 0.8) and no
    difference, which makes agreement harder than real differences would.
    """
    both = two.merge(three, on=["algorithm", "task"], suffixes=("_u", "_t"))
    ours = round(float(scipy.stats.spearmanr(both["p_value_u"], both["p_value_t"]).statistic), 2) + 0.0
    generator = np.random.default_rng(seed)
    per_set = MODELS // TRAJECTORIES
    a, b = (simulate_nested(generator, TRAJECTORIES, per_set, 0.8, repeats=repeats * len(both)) for _ in range(2))
    a, b = (values.reshape(len(values), -1) for values in (a, b))
    shape = (repeats, len(both))
    ranks = [scipy.stats.rankdata(p_values(test, a, b).reshape(shape), axis=1) for test in ("Mann–Whitney", "t")]
    centred = [rank - rank.mean(axis=1, keepdims=True) for rank in ranks]
    lengths = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    simulated = (centred[0] * centred[1]).sum(axis=1) / lengths
    chance = (1 + int((simulated <= ours).sum())) / (1 + repeats)
    low, high = np.quantile(simulated, [0.005, 0.995])
    return Check(
        name="Two tests of the same sets",
        where="Tables 2a and 3a",
        printed=f"{len(both)} cells tested by Mann–Whitney and by t, on the same two sets each",
        computed=f"the two p-values have a rank correlation of {ours:.2f} over the cells; simulated sets of that "
        f"design give {low:.2f} to {high:.2f} (99 %)",
        p_value=chance,
        found=chance <= ALPHA,
        impossible=False,
        innocent="the two tables come from different runs, or a few collapsed models spoil the t test in many cells",
    )


def set_b_below_set_a(four: pd.DataFrame, rounding: float = 0.001) -> Check:
    """Look for cells in which the models with the highest score score lower than others of the same trajectories.

    The best L scores of a trajectory, sorted, are each at least those of any other L of its checkpoints. That holds
    pooled over trajectories too, so for the mean, the median, any quantile, and for medians of medians.
    """
    cells = by_set(four)
    below = cells[cells["center_a"] - cells["center_b"] > rounding]
    named = "; ".join(f"{r.algorithm} on {r.task}: {r.center_b:.3f} below {r.center_a:.3f}" for r in below.itertuples())
    return Check(
        name="SetB below SetA",
        where="Table 4 and the definition of the sets",
        printed=named or "no cell",
        computed=f"{len(below)} of {len(cells)} cells; the highest-scoring models of a trajectory cannot have a lower "
        "median than other models of it",
        p_value=None,
        found=len(below) > 0,
        impossible=True,
        innocent="two entries were swapped, or the two rows come from different runs",
    )


def misplaced_decimals(four: pd.DataFrame, factor: float = 5.0) -> Check:
    """Look for standard deviations far above all others of the table that are among them a decimal place lower."""
    deviations = four["standard_deviation"]
    ordinary = deviations[deviations <= factor * deviations.median()]
    odd = four[deviations > factor * deviations.median()]
    shifted = (odd["standard_deviation"] / 10).between(ordinary.min(), ordinary.max())
    named = ", ".join(f"{r.standard_deviation:g} ({r.algorithm} on {r.task})" for r in odd.itertuples())
    ratio = odd["standard_deviation"].min() / ordinary.max() if len(odd) else np.nan
    return Check(
        name="Standard deviations of another size",
        where="Table 4, SetB",
        printed=named or "none",
        computed=f"the next largest of {len(four)} is {ordinary.max():g}, {ratio:.1f} times less; a decimal place "
        f"lower {int(shifted.sum())} of {len(odd)} lie within the range of the others",
        p_value=None,
        found=len(odd) > 0,
        impossible=False,
        innocent="a lost zero: " + ", ".join(f"{value / 10:.4f}" for value in odd["standard_deviation"]),
    )


#: How often the text places an algorithm among the top three of SetA, over two tasks each.
TOP_THREE = {
    ("cifar10", "cifar100"): {"SGD": 2, "NiM-SGD": 1, "SAM": 2},
    ("goemotions", "tweeteval"): {"SGD": 1, "NiM-SGD": 1, "NiM-BH": 2},
}


def top_three_counts(four: pd.DataFrame) -> Check:
    """Recount the top three optimizers of SetA that the text reads off Table 4."""
    said, counted, differ = [], [], False
    for tasks, named in TOP_THREE.items():
        places: dict[str, int] = {}
        for task in tasks:
            cells = four[(four["task"] == task) & (four["set"] == "A")]
            threshold = cells["median"].nlargest(3).min()
            for name in cells.loc[cells["median"] >= threshold, "algorithm"]:
                places[name] = places.get(name, 0) + 1
        differ |= places != named
        said.append(", ".join(f"{name} {times}" for name, times in named.items()))
        counted.append(", ".join(f"{name} {places[name]}" for name in sorted(places, key=lambda n: (-places[n], n))))
    return Check(
        name="The top three optimizers",
        where="text on Table 4",
        printed=f"times in the top three of two tasks each: {' | '.join(said)} (sums 5 and 4)",
        computed=f"the table gives {' | '.join(counted)}",
        p_value=None,
        found=differ,
        impossible=False,
        innocent="a slip in counting, or the numbers in brackets count something else",
    )


def sentence_under_table_six(six: pd.DataFrame) -> Check:
    """Compare Table 6 with the sentence that all of its p-values are above 0.05."""
    low = six[six["p_value"] < ALPHA]
    named = "; ".join(f"{r.comparison} on {r.task} {r.p_value:g}" for r in low.itertuples())
    adjusted = float(holm(six["p_value"]).min())
    survives = "the conclusion survives the correction" if adjusted > ALPHA else "so does one after correction"
    return Check(
        name="The sentence under Table 6",
        where="Table 6 and its text",
        printed=f'"All p-values are higher than {ALPHA:g}"',
        computed=f"{len(low)} of {len(six)} are not ({named}); Holm's smallest over the table is {adjusted:.2f}: "
        f"{survives}, the sentence does not",
        p_value=None,
        found=len(low) > 0,
        impossible=True,
        innocent="the sentence was written for an earlier table, or for corrected p-values",
    )
