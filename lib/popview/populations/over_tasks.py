"""Comparisons of several tasks at once: their mean, and the smallest difference that each could have found."""

import numpy as np
import pandas as pd
import scipy.stats

from popview.statistics import random_effects_mean
from popview.statistics.results import interval_columns

#: What a table of comparisons may have beside the task: its cells are averaged or listed apart.
_KINDS = ("outcome", "variant")


def _kinds(comparisons: pd.DataFrame) -> list[str]:
    return [name for name in _KINDS if name in comparisons]


def mean_over_tasks(comparisons: pd.DataFrame, late: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the random-effects mean over tasks of each difference, in the metric's unit and in margins.

    Tasks are few, and their metrics are unlike: so the mean is taken twice, the second time of differences divided by
    the margin of their task. An interval is for the mean over tasks like these.

    Parameters
    ----------
    comparisons : DataFrame
        Of several tasks, with the columns of `popview.populations.comparisons.against`, and ``task``; if they have
        ``variant`` or ``outcome``, the mean is taken for each.
    late : DataFrame, optional
        What `popview.populations.unfinished.unfinished` says of each ``task, variant, algorithm``. Comparisons of an
        algorithm whose training had not ended there are left out.

    Returns
    -------
    DataFrame
        ``outcome, variant`` as far as given, ``a, b, unit`` ("metric" or "margin"), ``tasks`` (number), ``names``, then
        ``mean, low, high, p`` (95 %, Hartung and Knapp's t), ``between`` (standard deviation τ of the tasks' true
        differences), ``inconsistency`` (I², 0 to 1), ``homogeneity_p``; ``unfinished``: tasks left out because of
        `late`; ``without_error``: tasks left out because the two algorithms differ by the same in every restart, as
        where one is the other. Pairs of fewer than two tasks have no row.

    Raises
    ------
    ValueError
        If a pair has a task twice.
    """
    rows, table = [], comparisons.assign(ended=True)
    if late is not None and len(late) and len(table):
        flagged = late.set_index(["task", "variant", "algorithm"])["unfinished"].astype(bool)
        places = pd.MultiIndex.from_frame(table[["task", "variant", "a"]])
        table["ended"] = ~flagged.reindex(places, fill_value=False).to_numpy()
    keys = [*_kinds(comparisons), "a", "b"]
    for names, found in table.groupby(keys, sort=False) if len(table) else ():
        half = (found["difference_high"] - found["difference_low"]) / 2
        error = half / scipy.stats.t.isf(0.025, found["restarts"] - 1)
        used = found[found["ended"] & (error > 0)]
        if used["task"].nunique() != len(used):
            raise ValueError(f"{' – '.join(map(str, names))} has a task twice: choose one profile and family first")
        if len(used) < 2:
            continue
        for unit, scale in (("metric", 1.0), ("margin", used["margin"])):
            summary = random_effects_mean(used["difference"] / scale, error[used.index] / scale)
            row = dict(zip(keys, names, strict=True)) | {"unit": unit, "tasks": len(used)}
            row |= {"names": ", ".join(used["task"]), "mean": summary.estimate, **interval_columns(summary)}
            row |= {"p": summary.p_value, "between": summary.between, "inconsistency": summary.inconsistency}
            row |= {"homogeneity_p": summary.homogeneity_p, "unfinished": int((~found["ended"]).sum())}
            row |= {"without_error": int((found["ended"] & ~(error > 0)).sum())}
            rows.append(row)
    return pd.DataFrame(rows)


def detectable_differences(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return for each comparison the smallest difference that would have been found 4 times in 5.

    Parameters
    ----------
    comparisons : DataFrame
        As for `mean_over_tasks`.

    Returns
    -------
    DataFrame
        ``outcome, variant`` as far as given, ``task, a, b, restarts``, ``detectable`` (in the metric's unit, at the
        level of Holm's first rejection, given the spread that was seen; infinite where no result could have been a
        difference; 0 where two algorithms differ by the same in every restart), ``margin``, and ``in_margins``, the
        first divided by the second.
    """
    columns = [*_kinds(comparisons), "task", "a", "b", "restarts", "detectable", "margin"]
    if comparisons.empty:
        return pd.DataFrame(columns=[*columns, "in_margins"])
    found = comparisons[columns].reset_index(drop=True)
    return found.assign(in_margins=found["detectable"] / found["margin"])


def detectable_summary(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return per task which differences would have been missed: below ``least`` all of them, above ``most`` none.

    "Missed" means: found less often than 4 times in 5.

    Returns
    -------
    DataFrame
        ``outcome, variant`` as far as given, ``task, comparisons`` (without those of an algorithm that is the other
        one), ``least, least_of`` (the algorithm), ``most, most_of, median, margin`` (in the metric's unit) and
        ``below_margin``: how many comparisons would have found a difference as large as the margin.
    """
    table, rows = detectable_differences(comparisons), []
    keys = [*_kinds(comparisons), "task"]
    for names, every in table.groupby(keys, sort=False) if len(table) else ():
        found = every[every["detectable"] > 0].sort_values("detectable", kind="stable")
        row = dict(zip(keys, names, strict=True)) | {"comparisons": len(found)}
        for word, place in (("least", 0), ("most", -1)):
            one = found.iloc[place] if len(found) else {"detectable": np.nan, "a": ""}
            row |= {word: one["detectable"], f"{word}_of": one["a"]}
        row |= {"median": found["detectable"].median(), "margin": every["margin"].iloc[0]}
        rows.append(row | {"below_margin": int((found["in_margins"] <= 1).sum())})
    return pd.DataFrame(rows)
