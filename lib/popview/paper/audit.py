"""Inconsistencies of the paper's printed tables: each check is a plain function of the cells in ``data/paper``.

A check computes numbers and whether they contradict what is printed. ``data/paper/checks.csv`` has its words: what is
printed, what follows from it, and the most innocent explanation. It accuses nobody: a misprint, a lost digit or a
caption read wrongly explains most of them. `popview.paper.audit_formulas` checks the printed formulas and pseudo-code.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.stats

from popview.common.errors import UsageError
from popview.common.files import read_csv_table
from popview.common.folders import PAPER
from popview.common.seeds import draws
from popview.paper import table_one
from popview.paper.finding import filled_in, list_rows
from popview.paper.printed import fits, printed_table
from popview.statistics import holm, simulate_nested
from popview.statistics.batched import p_values

#: The paper's numbers: pooled models a set, trajectories, and its level.
MODELS, TRAJECTORIES, ALPHA = 50, 5, 0.05

#: The verdict on what a check does not contradict.
NO_FLAG = "no flag"


class Check(NamedTuple):
    """What one check computes.

    Attributes
    ----------
    found : bool
        Whether the numbers show an inconsistency.
    numbers : dict
        What the check's words in ``data/paper/checks.csv`` name.
    p_value : float or None
        How likely such numbers are by chance; None where the argument is not one of chance.
    """

    found: bool
    numbers: dict[str, Any]
    p_value: float | None = None


def worded(checks: Mapping[str, Check]) -> pd.DataFrame:
    """Put checks into the words of ``data/paper/checks.csv``.

    Parameters
    ----------
    checks : mapping of str to Check
        By id.

    Returns
    -------
    DataFrame
        Index: ids. ``name, where, verdict`` ('cannot both hold': no data could give both printed statements, and no
        caption leaves room; 'flag'; 'no flag'), ``printed, computed, p_value, innocent`` (the most innocent
        explanation), ``slip`` (whether one slip of the character reader, or the same one in several places, would
        explain it), ``misread`` (what it would have misread).
    """
    file = PAPER / "checks.csv"
    sentences = ("printed", "computed", "innocent")
    words = read_csv_table(file, ("id", "name", "where", "found", "slip", "misread", *sentences)).set_index("id")
    if lacking := [name for name in checks if name not in words.index]:
        raise UsageError(f"{file} has no row for {', '.join(lacking)}")
    words = words.loc[list(checks)]
    filled = {
        column: [
            filled_in(text, check.numbers, f"{file}, {words.index[place]}")
            for place, (text, check) in enumerate(zip(words[column], checks.values(), strict=True))
        ]
        for column in sentences
    }
    verdict = words["found"].where(np.array([check.found for check in checks.values()]), NO_FLAG)
    p_value = np.array([check.p_value for check in checks.values()], dtype=float)
    table = words.assign(verdict=verdict, p_value=p_value, slip=words["slip"] == "yes", **filled)
    return table[["name", "where", "verdict", "printed", "computed", "p_value", "innocent", "slip", "misread"]]


def printed_checks() -> pd.DataFrame:
    """Return every check of the printed tables, in the order of the tables, as `worded` does."""
    one, two, three, four, six = (printed_table(number) for number in ("1", "2a", "3a", "4", "6"))
    return worded(
        {
            "number-of-algorithms": algorithms_counted(one, four),
            "restarts-of-six-hump": restarts_behind_table_one(one),
            "mirror-images": symmetric_minima(one),
            "row-sums": row_sums(one),
            "rejections-2a": rejections_by_chance(two, named=2),
            "rejections-3a": rejections_by_chance(three, named=0),
            "two-tests": agreement_of_tests(two, three),
            "set-b-below": set_b_below_set_a(four),
            "decimals": misplaced_decimals(four),
            "top-three": top_three_counts(four),
            "spreads-3a": implied_against_printed(implied_by_table_four(four, three)),
            "sentence-under-six": sentence_under_table_six(six),
            "spreads-6": implied_against_printed(implied_for_table_six(four, six)),
        }
    )


def slips_of_texts() -> pd.DataFrame:
    """Read the list of slips in the texts: ``document, where, says, but, source``. They were read, not computed."""
    return read_csv_table(PAPER / "slips.csv", ("document", "where", "says", "but", "source"))


def algorithms_counted(one: pd.DataFrame, four: pd.DataFrame, said: int = 6) -> Check:
    """Count the algorithms that Table 1 lists under the words "each of the 6 algorithms"."""
    listed, trained = one["algorithm"].nunique(), four["algorithm"].nunique()
    return Check(listed != said, {"said": said, "listed": listed, "trained": trained})


def restarts_behind_table_one(one: pd.DataFrame, said: int = 500) -> Check:
    """Ask which numbers of restarts the percentages of Table 1's six-hump camel can come from."""
    rows = one[one["landscape"] == "six-hump-camel"].groupby("algorithm")["percent"]
    fit, fit_800 = (rows.apply(lambda percents, n=n: fits(percents, n)) for n in (said, 800))
    others = ", ".join(f"{name}'s" for name in fit_800.index[~fit_800]) or "none"
    numbers = {"said": said, "rows": len(fit), "fitting": fit.sum(), "fitting_800": fit_800.sum(), "others": others}
    return Check(not fit.all(), numbers)


def mirror_images(one: pd.DataFrame, restarts: int = 500) -> pd.DataFrame:
    """Test the pairs of minima that f(−w) = f(w) makes equal; ``adjusted`` is Holm's p over all.

    See `popview.paper.table_one.symmetry`.
    """
    pairs = table_one.symmetry(one.rename(columns={"percent": "printed"}), "printed", restarts)
    return pairs.assign(adjusted=holm(pairs["p_value"]))


def symmetric_minima(one: pd.DataFrame, restarts: int = 500) -> Check:
    """Count the pairs of `mirror_images` that differ."""
    pairs = mirror_images(one, restarts)
    unequal = pairs[pairs["adjusted"] <= ALPHA]
    worst = pairs.loc[pairs["p_value"].idxmin()]
    numbers = {"unequal": len(unequal), "pairs": len(pairs), "rows": unequal["algorithm"].nunique(), "worst": worst}
    return Check(len(unequal) > 0, numbers, float(pairs["adjusted"].min()))


def row_sums(one: pd.DataFrame, slack: float = 0.05) -> Check:
    """Sum the rows of Table 1 that can be read whole; an empty Else may be 0, or lost."""
    sums = []
    for (algorithm, landscape), row in one.groupby(["algorithm", "landscape"], sort=False):
        unread = row[row["percent"].isna()]
        if set(unread["column"]) <= {"Else"} and not unread["legible"].eq("partial").any():
            total, known = float(row["percent"].sum()), row["percent"].dropna()
            tolerance = slack + (0.5 if (known % 1 == 0).all() else 0.005) * len(known)
            off = total > 100 + tolerance or (unread.empty and total < 100 - tolerance)
            sums.append({"algorithm": algorithm, "landscape": landscape, "total": total, "off": off})
    rows = pd.DataFrame(sums)
    off, short = rows[rows["off"]], rows[~rows["off"] & (rows["total"] < 99)]
    numbers = {
        "rows": len(rows),
        "off": len(off),
        "sums_off": list_rows(off, "{algorithm} on {landscape}: {total:g}"),
        "sums_short": list_rows(short, "{algorithm} on {landscape} ({total:.3g})", ", "),
    }
    return Check(len(off) > 0, numbers)


def rejections_by_chance(table: pd.DataFrame, named: int) -> Check:
    """Compare the number of p-values below 0.05 with what chance gives and with the number that the text names."""
    low, tests = table[table["p_value"] < ALPHA], len(table)
    chance = float(scipy.stats.binom.sf(len(low) - 1, tests, ALPHA))
    numbers = {
        "low": len(low),
        "tests": tests,
        "cells": list_rows(low, "{algorithm} on {task} {p_value:g}"),
        "named": named,
        "expected": tests * ALPHA,
        "chance": chance,
        "smallest": float(holm(table["p_value"]).min()),
    }
    unnamed = named < len(low)
    return Check(unnamed or chance <= ALPHA, numbers, None if unnamed else chance)


def agreement_of_tests(two: pd.DataFrame, three: pd.DataFrame, repeats: int = 500, seed: int = 0) -> Check:
    """Correlate the p-values of the two tests over their cells, and simulate how well two tests of one data set agree.

    The simulated cells have the paper's design (5 × 10 models a set, normal, intra-class correlation 0.8) and no
    difference, which makes agreement harder than real differences would.
    """
    both = two.merge(three, on=["algorithm", "task"], suffixes=("_u", "_t"))
    ours = round(float(scipy.stats.spearmanr(both["p_value_u"], both["p_value_t"]).statistic), 2) + 0.0
    generator = draws(seed)
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
    return Check(chance <= ALPHA, {"cells": len(both), "correlation": ours, "low": low, "high": high}, chance)


def set_b_below_set_a(four: pd.DataFrame, rounding: float = 0.001) -> Check:
    """Look for cells in which the models with the highest score score lower than others of the same trajectories.

    The best L scores of a trajectory, sorted, are each at least those of any other L of its checkpoints. That holds
    pooled over trajectories too, so for the mean, the median, any quantile, and for medians of medians.
    """
    cells = by_set(four)
    below = cells[cells["center_a"] - cells["center_b"] > rounding]
    listed = list_rows(below, "{algorithm} on {task}: {center_b:.3f} below {center_a:.3f}")
    return Check(len(below) > 0, {"below": listed, "count": len(below), "cells": len(cells)})


def misplaced_decimals(four: pd.DataFrame, factor: float = 5.0) -> Check:
    """Look for standard deviations far above all others of the table that are among them a decimal place lower."""
    deviations = four["standard_deviation"]
    far = deviations > factor * deviations.median()
    odd, ordinary = four[far], deviations[~far]
    shifted = odd["standard_deviation"] / 10
    numbers = {
        "odd": list_rows(odd, "{standard_deviation:g} ({algorithm} on {task})", ", "),
        "count": len(odd),
        "cells": len(four),
        "largest": ordinary.max(),
        "ratio": odd["standard_deviation"].min() / ordinary.max(),
        "shifted": ", ".join(shifted.map("{:.4f}".format)),
        "within": shifted.between(ordinary.min(), ordinary.max()).sum(),
    }
    return Check(len(odd) > 0, numbers)


#: How often the text places an algorithm among the top three of SetA, over two tasks each.
TOP_THREE = {
    ("cifar10", "cifar100"): {"SGD": 2, "NiM-SGD": 1, "SAM": 2},
    ("goemotions", "tweeteval"): {"SGD": 1, "NiM-SGD": 1, "NiM-BH": 2},
}


def top_three_counts(four: pd.DataFrame) -> Check:
    """Recount the top three optimizers of SetA that the text reads off Table 4; ties for the third place count."""
    set_a = four[four["set"] == "A"]
    top = set_a[set_a.groupby("task")["median"].rank(ascending=False, method="min") <= 3]
    counted = [top.loc[top["task"].isin(tasks), "algorithm"].value_counts().sort_index() for tasks in TOP_THREE]
    places = [found.sort_values(ascending=False, kind="stable").to_dict() for found in counted]
    said, listed = (
        " | ".join(", ".join(f"{name} {times}" for name, times in found.items()) for found in both)
        for both in (TOP_THREE.values(), places)
    )
    return Check(places != list(TOP_THREE.values()), {"said": said, "counted": listed})


def sentence_under_table_six(six: pd.DataFrame) -> Check:
    """Compare Table 6 with the sentence that all of its p-values are above 0.05."""
    low = six[six["p_value"] < ALPHA]
    numbers = {
        "low": len(low),
        "cells": len(six),
        "named": list_rows(low, "{comparison} on {task} {p_value:g}"),
        "smallest": float(holm(six["p_value"]).min()),
    }
    return Check(len(low) > 0, numbers)


def by_set(four: pd.DataFrame) -> pd.DataFrame:
    """Return Table 4 with a row per cell: ``algorithm, task, center_a, center_b, sd_a, sd_b``."""
    set_a, set_b = (
        four[four["set"] == name].rename(columns={"median": f"center_{end}", "standard_deviation": f"sd_{end}"})
        for name, end in (("A", "a"), ("B", "b"))
    )
    keys = ["algorithm", "task"]
    return set_a[[*keys, "center_a", "sd_a"]].merge(set_b[[*keys, "center_b", "sd_b"]], on=keys)


def implied_by_table_four(four: pd.DataFrame, three: pd.DataFrame) -> pd.DataFrame:
    """Compute Welch's t test of SetA against SetB that Table 4's entries imply, read as mean and SD, beside Table 3a.

    Returns
    -------
    DataFrame
        ``algorithm, task, center_a, center_b, difference, implied`` (p at 50 models a set),
        ``restarts`` (p at 5), ``printed``, ``needed`` (the SD, common to both sets, at which the printed p would come
        out), ``allowed`` (the largest SD that values in [0, 1] with these means can have).
    """
    cells = by_set(four).merge(three[["algorithm", "task", "p_value"]], on=["algorithm", "task"])
    return _implied(cells, "algorithm")


def implied_for_table_six(four: pd.DataFrame, six: pd.DataFrame) -> pd.DataFrame:
    """Compute Welch's t test of two optimizers' SetA that Table 4's entries imply, beside Table 6's Mann–Whitney p.

    Returns
    -------
    DataFrame
        As `implied_by_table_four`, with ``comparison`` for ``algorithm``.
    """
    cells = six[["comparison", "task", "p_value"]].copy()
    cells[["a", "b"]] = cells["comparison"].str.split(" vs. ", expand=True)
    set_a = by_set(four)[["algorithm", "task", "center_a", "sd_a"]]
    for side in ("a", "b"):
        names = {"algorithm": side, "center_a": f"center_{side}", "sd_a": f"sd_{side}"}
        cells = cells.merge(set_a.rename(columns=names), on=[side, "task"])
    return _implied(cells, "comparison")


def _implied(cells: pd.DataFrame, key: str) -> pd.DataFrame:
    """Add what two centres and spreads imply to a table with a column `key`, ``task``, these four, and ``p_value``."""
    difference = cells["center_b"] - cells["center_a"]
    p = {}
    for name, n in (("implied", MODELS), ("restarts", TRAJECTORIES)):
        entries = (cells["center_a"], cells["sd_a"], n, cells["center_b"], cells["sd_b"], n)
        p[name] = scipy.stats.ttest_ind_from_stats(*entries, equal_var=False).pvalue
    statistic = scipy.stats.t.isf(cells["p_value"] / 2, 2 * MODELS - 2)
    center = (cells["center_a"] + cells["center_b"]) / 2
    table = cells.assign(
        difference=difference,
        **p,
        printed=cells["p_value"],
        needed=difference.abs() / statistic / sqrt(2 / MODELS),
        allowed=np.sqrt(center * (1 - center)),
    )
    implied = ["center_a", "center_b", "difference", "implied", "restarts", "printed", "needed", "allowed"]
    return table[[key, "task", *implied]]


def implied_against_printed(cells: pd.DataFrame) -> Check:
    """Look for cells of an implied table whose implied p is at most 0.05, after Holm, and whose printed p is above."""
    apart = (holm(cells["implied"]) <= ALPHA) & (cells["printed"] > ALPHA)
    worst = cells.loc[cells["implied"].where(apart, 1).idxmin()]
    numbers = {"models": MODELS, "trajectories": TRAJECTORIES, "cells": len(cells), "apart": apart.sum()}
    return Check(bool(apart.any()), numbers | {"worst": worst, "name": f"{worst.iloc[0]} on {worst['task']}"})
