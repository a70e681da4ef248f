"""The tests that Table 4's centres and spreads imply, beside the p-values that Tables 3a and 6 print."""

from math import sqrt

import numpy as np
import pandas as pd
import scipy.stats

from popview.paper.audit.check import Check
from popview.statistics import holm

__all__ = [
    "by_set",
    "implied_by_table_four",
    "implied_for_table_six",
    "table_four_against_six",
    "table_four_against_tests",
]

#: The paper's numbers: pooled models a set, trajectories, and its level.
MODELS, TRAJECTORIES, ALPHA = 50, 5, 0.05


def by_set(four: pd.DataFrame) -> pd.DataFrame:
    """Return Table 4 with a row per cell: ``algorithm, task, center_a, center_b, sd_a, sd_b``."""
    wide = four.pivot(index=["algorithm", "task"], columns="set", values=["median", "standard_deviation"])
    wide.columns = [f"{'center' if name == 'median' else 'sd'}_{chosen.lower()}" for name, chosen in wide.columns]
    return wide.reindex(list(dict.fromkeys(zip(four["algorithm"], four["task"], strict=True)))).reset_index()


def implied_by_table_four(four: pd.DataFrame, three: pd.DataFrame) -> pd.DataFrame:
    """Compute Welch's t test of SetA against SetB that Table 4's entries imply, read as mean and SD, beside Table 3a.

    Returns
    -------
    DataFrame
        ``algorithm, task, difference, implied`` (p at 50 models a set), ``restarts`` (p at 5), ``printed``, ``needed``
        (the SD, common to both sets, at which the printed p would come out), ``allowed`` (the largest SD that values
        in [0, 1] with these means can have).
    """
    cells = by_set(four).merge(three[["algorithm", "task", "p_value"]], on=["algorithm", "task"])
    return _implied(cells.rename(columns={"p_value": "printed"}))[["algorithm", "task", *_IMPLIED]]


def implied_for_table_six(four: pd.DataFrame, six: pd.DataFrame) -> pd.DataFrame:
    """Compute Welch's t test of two optimizers' SetA that Table 4's entries imply, beside Table 6's Mann–Whitney p.

    Returns
    -------
    DataFrame
        ``comparison, task``, then as `implied_by_table_four`.
    """
    set_a = four[four["set"] == "A"].set_index(["algorithm", "task"])[["median", "standard_deviation"]]
    rows = []
    for row in six.itertuples():
        first, second = str(row.comparison).split(" vs. ")
        (center_a, sd_a), (center_b, sd_b) = (set_a.loc[(name, row.task)] for name in (first, second))
        entry = {"comparison": row.comparison, "task": row.task, "center_a": center_a, "sd_a": sd_a}
        rows.append(entry | {"center_b": center_b, "sd_b": sd_b, "printed": row.p_value})
    return _implied(pd.DataFrame(rows))[["comparison", "task", *_IMPLIED]]


_IMPLIED = ["center_a", "center_b", "difference", "implied", "restarts", "printed", "needed", "allowed"]


def _implied(cells: pd.DataFrame) -> pd.DataFrame:
    difference = cells["center_b"] - cells["center_a"]
    p = {}
    for name, n in (("implied", MODELS), ("restarts", TRAJECTORIES)):
        entries = (cells["center_a"], cells["sd_a"], n, cells["center_b"], cells["sd_b"], n)
        p[name] = scipy.stats.ttest_ind_from_stats(*entries, equal_var=False).pvalue
    statistic = scipy.stats.t.isf(cells["printed"] / 2, 2 * MODELS - 2)
    center = (cells["center_a"] + cells["center_b"]) / 2
    return cells.assign(
        difference=difference,
        **p,
        needed=difference.abs() / statistic / sqrt(2 / MODELS),
        allowed=np.sqrt(center * (1 - center)),
    )


def table_four_against_tests(four: pd.DataFrame, three: pd.DataFrame) -> Check:
    """Compare the p-values that Table 4 implies for SetA against SetB with those of Table 3a."""
    cells = implied_by_table_four(four, three)
    return _against_printed(cells, cells["algorithm"] + " on " + cells["task"], "Tables 4 and 3a")


def table_four_against_six(four: pd.DataFrame, six: pd.DataFrame) -> Check:
    """Compare the p-values that Table 4 implies between optimizers with those of Table 6."""
    cells = implied_for_table_six(four, six)
    return _against_printed(cells, cells["comparison"] + " on " + cells["task"], "Tables 4 and 6")


def _against_printed(cells: pd.DataFrame, names: pd.Series, where: str) -> Check:
    apart = (holm(cells["implied"]) <= ALPHA) & (cells["printed"] > ALPHA)
    worst = cells["implied"].where(apart, 1).idxmin()
    row = cells.loc[worst]
    return Check(
        name=f"Centres and spreads of Table 4 against Table {where.split()[-1]}",
        where=where,
        printed=f"{names[worst]}: {row['center_a']:.3f} and {row['center_b']:.3f}, p = {row['printed']:g}",
        computed=f"read as mean and SD of {MODELS} models, {int(apart.sum())} of {len(cells)} cells with a printed p "
        f"above {ALPHA:g} imply one below it, after Holm. The quoted cell implies p = {row['implied']:.0e} "
        f"({row['restarts']:.2g} with {TRAJECTORIES} restarts); its printed p would need SDs of "
        f"{row['needed']:.3f} in a t test",
        p_value=None,
        found=bool(apart.any()),
        impossible=False,
        innocent='the caption says "median standard deviation", perhaps within a trajectory; medians are not means; '
        "the tests were run on one value per trajectory; or a few collapsed models move a mean and hardly a rank",
    )
