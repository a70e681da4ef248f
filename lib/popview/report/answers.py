"""The answers of chapters 6, 7 and 9, worded by rule from the numbers."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from popview.comparisons import ALPHA, first_average, powerless, tally, untrained
from popview.comparisons import words as verdict_words
from popview.operations import example
from popview.populations import parting
from popview.report.comparisons import of, with_interval
from popview.report.trajectories import NOT_RUN
from popview.selections import as_good
from popview.specs import settings
from popview.statistics import mean_difference

__all__ = ["all_pairs", "choices", "hardly_trained", "headline", "never_parted", "statistics_alone", "times"]


def hardly_trained(values: Mapping[tuple[str, str], pd.DataFrame]) -> str:
    """Name what `popview.comparisons.untrained` finds in the values of each task and variant."""
    found = [f"{name} on {', '.join(key)}" for key, table in values.items() for name in untrained(table)]
    if not found:
        return "No algorithm has less than half of SGD's points."
    return f"Hardly trained, with less than half of SGD's points, and evidence of no more: {', '.join(found)}."


def never_parted(results: Mapping[tuple[str, str], pd.DataFrame]) -> str:
    """Name the algorithms that are SGD under another name: the restarts of which never part from SGD's."""
    found = [
        f"{name} on {', '.join(key)}"
        for key, rows in results.items()
        for name, epoch in parting(rows).drop("SGD").items()
        if np.isinf(epoch)
    ]
    return f"The same as SGD, step by step, in a restart or more: {', '.join(found) or 'none'}."


def choices(verdicts: pd.DataFrame, chance: pd.DataFrame) -> str:
    """Count in a line what choosing by training loss costs and gains.

    Parameters
    ----------
    verdicts, chance : DataFrame
        Of `popview.selections.verdicts` and `popview.selections.against_late`.
    """
    if verdicts.empty:
        return NOT_RUN.capitalize() + "."
    better = (chance["adjusted_p"] <= ALPHA) & (chance["difference"] > 0)
    could = sum(len(rows) for _, rows in chance.groupby(["task", "variant"]) if not powerless(rows))
    return (
        "Against choosing by validation metric, no more than the margin of equivalence in "
        f"{as_good(verdicts).sum()} of {len(verdicts)} cases of an algorithm on a task and variant, each tested at "
        f"{100 * ALPHA:g} %. Against a model of the second half drawn at random, the loss is shown to do better, by "
        f"any amount, in {better.sum()} of the {could} cases that have restarts enough to show it."
    )


def headline(comparison: pd.DataFrame) -> str:
    """Word `popview.comparisons.against_reference` of all tasks and variants in a line."""
    if comparison.empty:
        return NOT_RUN.capitalize() + "."
    kinds = verdict_words(comparison)
    parts = []
    for word in ("better", "worse"):
        where = comparison[kinds == word].groupby(["task", "variant"], sort=False)["a"]
        names = [f"{', '.join(found)} on {task} ({variant})" for (task, variant), found in where]
        parts.append(f"{word.capitalize()}: {'; '.join(names) or 'none'}.")
    alike = (kinds == "equivalent").sum()
    parts.append(f"Equivalent within the margin: {alike} of {len(kinds)} comparisons.")
    parts.append(f"Not decided: {len(kinds) - alike - kinds.isin(['better', 'worse']).sum()}.")
    families = comparison.groupby(["task", "variant", "family"]).ngroups
    parts.append(f"(Holm's correction within each of {families} families, not over all of them.)")
    return " ".join(parts)


def all_pairs(comparison: pd.DataFrame) -> str:
    """Count the verdicts and the rejections of `popview.comparisons.all_pairs`, for each task and variant."""
    if comparison.empty:
        return NOT_RUN.capitalize() + "."
    items = []
    for (task, variant), rows in comparison.groupby(["task", "variant"], sort=False):
        counts = verdict_words(rows).value_counts()
        words = ", ".join(f"{number} *{word}*" for word, number in counts.items())
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
    """Word `popview.comparisons.first_average` of base results on networks with BatchNorm."""
    said = []
    for (task, variant), rows in results.items():
        table = settings(profile, task)
        swa = table["base"].get("SWA")
        if variant != "base" or swa is None or not example(task, table["model"]).normalized:
            continue
        pairs = first_average(rows, swa["average_from"] + swa["average_every"])
        if len(pairs) > 1:
            found = mean_difference(pairs["SWA"], pairs["SGD"], paired=True)
            low, high = found.interval or (np.nan, np.nan)
            means = pd.DataFrame({"mean": [found.estimate], "low": low, "high": high})
            said.append(f"on {task} {with_interval(means, scale=100)[0]} points ({len(pairs)} restarts)")
    return "; ".join(said) or "no results have a checkpoint there"


def times(table: pd.DataFrame, misses: pd.DataFrame) -> str:
    """Word `popview.targets.times` and `popview.targets.shared_misses`, for each task and variant."""
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
