"""The answers of chapters 6 and 7, worded by rule from the numbers: one paragraph per task and variant."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from popview.comparisons import blind, first_average, tally
from popview.comparisons import words as verdict_words
from popview.report.page import signed
from popview.report.trajectories import NOT_RUN
from popview.specs import settings
from popview.statistics import mean_difference

__all__ = ["all_pairs", "headline", "statistics_alone", "times"]


def headline(comparison: pd.DataFrame, stuck: Sequence[str] = ()) -> str:
    """Word `popview.comparisons.against_reference` of all tasks and variants in a line; `stuck` hardly trained."""
    if comparison.empty:
        return NOT_RUN.capitalize() + "."
    kinds = verdict_words(comparison)
    parts = []
    for word in ("better", "worse"):
        settings = comparison[kinds == word].groupby(["task", "variant"], sort=False)["a"]
        names = [f"{', '.join(found)} on {task} ({variant})" for (task, variant), found in settings]
        parts.append(f"{word.capitalize()}: {'; '.join(names) or 'none'}.")
    alike = (kinds == "equivalent").sum()
    parts.append(f"Equivalent within the margin: {alike} of {len(kinds)} comparisons.")
    parts.append(f"Not decided: {len(kinds) - alike - kinds.isin(['better', 'worse']).sum()}.")
    if stuck:
        parts.append(f"(Hardly trained, with less than half of SGD's points: {', '.join(stuck)}.)")
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
    if not blind(rows).all():
        return ""
    return (
        f" The least p that could have come out after this correction is {rows['smallest_adjusted_p'].min():.2g}: "
        "no difference could be found over all pairs, whatever its size."
    )


def statistics_alone(results: dict[tuple[str, str], pd.DataFrame], profile: str) -> str:
    """Word `popview.comparisons.first_average` where the base results have a checkpoint at that step."""
    said = []
    for (task, variant), rows in results.items():
        swa = settings(profile, task)["base"].get("SWA")
        if variant != "base" or swa is None:
            continue
        pairs = first_average(rows, swa["average_from"] + swa["average_every"])
        if len(pairs) > 1:
            found = mean_difference(pairs["SWA"], pairs["SGD"], paired=True)
            low, high = found.interval or (np.nan, np.nan)
            numbers = f"{100 * found.estimate:+.2f} points [{100 * low:+.2f},\u00a0{100 * high:+.2f}]"
            said.append(signed(f"on {task} {numbers} ({len(pairs)} restarts)"))
    return "; ".join(said) or NOT_RUN


def times(table: pd.DataFrame, misses: pd.DataFrame) -> str:
    """Word `popview.targets.times` and `popview.targets.shared_misses`, for each task and variant."""
    if table.empty:
        return NOT_RUN.capitalize() + "."
    items = []
    for (task, variant), rows in table.groupby(["task", "variant"], sort=False):
        aims = rows.groupby("series", sort=False)["level"].first()
        levels = " and ".join(f"{100 * level:.2f} ({series})" for series, level in aims.items())
        own = rows[(rows["algorithm"] == "SGD") & (rows["series"] == aims.index[0])].iloc[0]
        both = misses[(misses["task"] == task) & (misses["variant"] == variant)].iloc[0]
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
