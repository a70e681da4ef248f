"""The answers of chapters 6, 7 and 9, worded by rule from the numbers."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from popview.book.cells import of, with_interval, with_variant, word
from popview.book.page import NOT_RUN
from popview.populations.comparisons import ALPHA, first_average, powerless
from popview.populations.pooled import tally
from popview.populations.selection import as_good
from popview.populations.tables import copies, parting
from popview.runs.expansion import unchanged
from popview.runs.flops import example
from popview.runs.profiles import settings
from popview.statistics import mean_difference
from popview.statistics.results import interval_columns

__all__ = [
    "change_with_more_restarts",
    "cost_of_choosing_by_loss",
    "duplicate_cases",
    "headline",
    "never_parted",
    "not_finished",
    "statistics_alone",
    "targets_reached",
    "verdict_counts",
]

#: Verdicts that decide.
DECIDED = ("better", "worse", "equivalent")


def not_finished(found: pd.DataFrame) -> str:
    """Name what `popview.populations.unfinished.unfinished` finds, `stack`ed over tasks and variants."""
    if found.empty:
        return ""
    rows = found[found["unfinished"]]
    if rows.empty:
        return "By the slope of the curves no algorithm was still learning faster than SGD when the epochs ended."
    points = with_interval(rows, "gain", 100.0, ends="gain_")
    apart = with_interval(rows, "difference", 100.0, ends="difference_")
    items = [
        f"- {row.algorithm} on {with_variant(row.task, row.variant)}: {row.left} of {row.restarts} restarts had left "
        f"the plateau, and end {distance} points from SGD. In the last quarter the curves gain {gain} points more than "
        f"SGD's."
        for row, gain, distance in zip(rows.itertuples(), points, apart, strict=True)
    ]
    return (
        "Training that was not finished when the epochs ended, so that chapter 1 leaves claims about it open. A "
        "restart is on the plateau below half of SGD's mean. A difference then says how many restarts had begun to "
        "learn, and not how good an optimizer is once they have.\n\n" + "\n".join(items)
    )


def never_parted(results: Mapping[tuple[str, str], pd.DataFrame]) -> str:
    """Name the algorithms that are SGD under another name: the restarts of which never part from SGD's."""
    if not results:
        return ""
    found = [
        f"{name} on {', '.join(key)}"
        for key, rows in results.items()
        for name, epoch in parting(rows).drop("SGD").items()
        if np.isinf(epoch)
    ]
    return f"The same as SGD, step by step, in a restart or more: {', '.join(found) or 'none'}."


def duplicate_cases(results: Mapping[tuple[str, str], pd.DataFrame], profile: str) -> set[tuple[str, str, str]]:
    """Return the cases (task, variant, algorithm) that are another case's runs under another name.

    A tuned algorithm whose search chose the base setting, where base is there too; and one that is SGD in all restarts.
    """
    found = set()
    for (task, variant), rows in results.items():
        names = copies(rows)
        if variant == "tuned" and (task, "base") in results:
            names = [*names, *unchanged(profile, task)]
        found |= {(task, variant, name) for name in names}
    return found


def cost_of_choosing_by_loss(
    verdicts: pd.DataFrame, last: pd.DataFrame, again: Collection[tuple[str, str, str]] = frozenset()
) -> str:
    """Count in a line what choosing by training loss costs and gains.

    Parameters
    ----------
    verdicts, last : DataFrame
        Of `popview.populations.selection.verdicts` and `popview.populations.selection.against_last`.
    again : collection of (task, variant, algorithm)
        Cases that are the runs of another one, as `duplicate_cases` returns them.
    """
    if verdicts.empty:
        return NOT_RUN.capitalize() + "."
    real = last["adjusted_p"] <= ALPHA
    better, worse = real & (last["difference"] > 0), real & (last["difference"] < 0)
    same = len({*again} & {*zip(verdicts["task"], verdicts["variant"], verdicts["algorithm"], strict=True)})
    return (
        "Against choosing by validation metric, no more than the margin of equivalence in "
        f"{as_good(verdicts).sum()} of {len(verdicts)} cases of an algorithm on a task and variant"
        + (f" ({same} of them the runs of another case)" if same else "")
        + f", each tested at {100 * ALPHA:g} %. Against simply taking the last checkpoints, the loss is shown to do "
        f"better in {better.sum()} and worse in {worse.sum()} of the {len(last)} cases, by any amount."
    )


def headline(comparison: pd.DataFrame, late: pd.DataFrame) -> str:
    """Word `popview.populations.comparisons.against_reference` of all tasks and variants in a line.

    `late` is what `popview.populations.unfinished.unfinished` finds on the same ones.
    """
    if comparison.empty:
        return NOT_RUN.capitalize() + "."
    kinds = comparison["verdict"]
    parts = [f"{kind.capitalize()}: {_named(comparison[kinds == kind]) or 'none'}." for kind in ("better", "worse")]
    slow = set(late.loc[late["unfinished"], ["task", "variant", "algorithm"]].itertuples(index=False, name=None))
    keys = zip(comparison["task"], comparison["variant"], comparison["a"], strict=True)
    open_ = kinds.isin(["better", "worse"]) & pd.Series([key in slow for key in keys], comparison.index)
    if open_.any():
        parts.append(f"(Of these still learning when the epochs ended: {_named(comparison[open_])}.)")
    alike = (kinds == "equivalent").sum()
    parts.append(f"Equivalent within the margin: {alike} of {len(kinds)} comparisons{_of_one(comparison)}.")
    parts.append(f"Not decided: {len(kinds) - alike - kinds.isin(['better', 'worse']).sum()}.")
    families = comparison.groupby(["task", "variant", "family"]).ngroups
    parts.append(f"(Holm's correction within each of {families} families, not over all of them.)")
    return " ".join(parts)


def _named(comparison: pd.DataFrame) -> str:
    """Name the algorithms that are compared, by task and variant."""
    where = comparison.groupby(["task", "variant"], sort=False)["a"]
    return "; ".join(f"{', '.join(found)} on {with_variant(*key)}" for key, found in where)


def change_with_more_restarts(comparison: pd.DataFrame) -> str:
    """Word `popview.populations.comparisons.repeated`: what changed after the first restarts, and which verdicts."""
    if comparison.empty:
        return ""
    parts = {part: rows.reset_index(drop=True) for part, rows in comparison.groupby("part")}
    same = _the_same(parts["all"])
    first, later, now = (parts[part][~same] for part in ("first", "later", "all"))
    within = (first["change_low"] <= 0) & (first["change_high"] >= 0)
    inside = within & (first["change_low"] >= -first["margin"]) & (first["change_high"] <= first["margin"])
    intervals = with_interval(first, "change", 100.0, ends="change_")
    changed = [
        f"{row.comparison} on {with_variant(row.task, row.variant)}, {interval}"
        for row, interval in zip(first[~within].itertuples(), intervals[~within], strict=True)
    ]
    then, after = first["verdict"], now["verdict"]
    decided, kept, alone = then.isin(DECIDED), then == after, then == later["verdict"]
    others = pd.DataFrame({"then": word(first), "after": word(now)}).join(now[["task", "variant", "comparison"]])
    named = [
        f"{row.comparison} on {with_variant(row.task, row.variant)}: *{row.then}*, then *{row.after}*"
        for row in others[decided & ~kept].itertuples()
    ]
    return (
        f"Of {len(first)} comparisons{f' (and {same.sum()} of runs that are the same)' if same.any() else ''} "
        f"{within.sum()} have a 95 % interval of the change from the first restarts to the later ones that contains "
        f"zero, {inside.sum()} of these wholly within the margin; if nothing but chance had changed, one in twenty "
        f"would not. {'The others: ' if changed else ''}{'; '.join(changed)}{'. ' if changed else ''}By the first "
        f"restarts {decided.sum()} were decided (*better*, *worse* or *equivalent*). By the later ones alone "
        f"{(decided & alone).sum()} of these are decided alike, of whatever size; by all of them "
        f"{(decided & kept).sum()}{', others not: ' if named else ''}{'; '.join(named)}. Of the {(~decided).sum()} "
        f"that were open, {after[~decided].isin(DECIDED).sum()} are decided by all."
    )


def _of_one(comparison: pd.DataFrame) -> str:
    """Say how many comparisons are of runs that are the same, seed by seed."""
    same = int(_the_same(comparison).sum())
    return f" ({same} of them of runs that are the same)" if same else ""


def _the_same(comparison: pd.DataFrame) -> pd.Series:
    """Return which comparisons are of runs that are the same, seed by seed."""
    return (comparison[["difference", "difference_low", "difference_high"]] == 0).all(axis=1)


def verdict_counts(comparison: pd.DataFrame) -> str:
    """Count the verdicts and the rejections of `popview.populations.comparisons.all_pairs`, for each task and
    variant."""
    if comparison.empty:
        return NOT_RUN.capitalize() + "."
    items = []
    for (task, variant), rows in comparison.groupby(["task", "variant"], sort=False):
        words = ", ".join(f"{number} *{kind}*" for kind, number in rows["verdict"].value_counts().items())
        pooled, restarts = tally(rows["pooled_p"]), tally(rows["p"])
        items.append(
            f"- **{task}, {variant}:** {pooled['tests']} pairs. Pooled models reject {pooled['rejected']} at 0.05, "
            f"restarts {restarts['rejected']}, where chance alone would give {pooled['expected']:.1f}. Verdicts with "
            f"restarts (differences after Holm over all pairs, equivalences at 5 % each): {words}.{undecided(rows)}"
        )
    return "\n".join(items)


def undecided(rows: pd.DataFrame) -> str:
    """Say of a family's comparisons, where it is so, that none could have come out as a difference."""
    if not powerless(rows):
        return ""
    return (
        f" The least p that could have come out after this correction is {rows['smallest_adjusted_p'].min():.2g}: "
        "no difference could be found over all pairs, whatever its size."
    )


def statistics_alone(results: Mapping[tuple[str, str], pd.DataFrame], profile: str) -> str:
    """Word `popview.populations.comparisons.first_average` of base results on networks with BatchNorm."""
    said = []
    for (task, variant), rows in results.items():
        table = settings(profile, task)
        swa = table["base"].get("SWA")
        if variant != "base" or swa is None or not example(task, table["model"]).normalized:
            continue
        pairs = first_average(rows, swa["average_from"] + swa["average_every"])
        if len(pairs) > 1:
            found = mean_difference(pairs["SWA"], pairs["SGD"], paired=True)
            means = pd.DataFrame([{"mean": found.estimate, **interval_columns(found)}])
            said.append(f"on {task} {with_interval(means, scale=100)[0]} points ({len(pairs)} restarts)")
    return "; ".join(said) or "no results have a checkpoint there"


def targets_reached(table: pd.DataFrame, misses: pd.DataFrame) -> str:
    """Word `popview.populations.time_to_target.times` and `popview.populations.time_to_target.shared_misses`, for each
    task and variant."""
    if table.empty:
        return NOT_RUN.capitalize() + "."
    items = []
    for (task, variant), rows in table.groupby(["task", "variant"], sort=False):
        aims = rows.groupby("series", sort=False)["level"].first()
        levels = " and ".join(f"{100 * level:.2f} ({series})" for series, level in aims.items())
        own = rows[(rows["algorithm"] == "SGD") & (rows["series"] == aims.index[0])].iloc[0]
        both = of(misses, (task, variant)).iloc[0]
        paid = rows[rows["series"] == aims.index[-1]]
        paid = paid[paid["passes"] > 0]
        passes = ", ".join(
            f"{name} {number:.0f}" for name, number in zip(paid["algorithm"], paid["passes"], strict=True)
        )
        items.append(
            f"- **{task}, {variant}:** {levels} points of validation metric. SGD itself misses the target in "
            f"{own['missed']} of {own['restarts']} restarts. All algorithms reach it in {both['all_reach']} of the "
            f"seeds and none in {both['all_miss']}; independent misses would give {both['expected_reach']:.1f} and "
            f"{both['expected_miss']:.1f}."
            + (
                f" Passes over the training split for the accept rule come on top, in the median: {passes}."
                if passes
                else ""
            )
        )
    return "\n".join(items)
