"""The results that a page shows: read as the profile plans it, and named where they are missing."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from popview.book.cells import stack
from popview.book.page import NOT_RUN
from popview.populations.comparisons import against_reference
from popview.runs import expansion, profiles

__all__ = ["absent", "base_setting_chosen", "each", "margin", "planned_comparison", "to_fill"]


def each(
    results: dict[tuple[str, str], pd.DataFrame], profile: str, reading: Callable[[pd.DataFrame, float], pd.DataFrame]
) -> pd.DataFrame:
    """Apply a reading to the trajectories and the margin of each task and variant, and `stack` what it returns."""
    return stack({key: reading(rows, margin(profile, key)) for key, rows in results.items()})


def planned_comparison(
    values: dict[tuple[str, str], pd.DataFrame],
    profile: str,
    comparison: Callable[..., pd.DataFrame] = against_reference,
    **options: Any,
) -> pd.DataFrame:
    """Apply a comparison with SGD to the values of each task and variant, as the profile plans it.

    A tuned algorithm is planned where the profile has a search of it: the others never arrive.

    The comparison is `popview.populations.comparisons.against_reference`, or another with its arguments and these
    options.
    """
    return stack(
        {
            key: comparison(table, margin(profile, key), planned=expansion.planned(profile, *key), **options)
            for key, table in values.items()
        }
    )


def margin(profile: str, key: tuple[str, str]) -> float:
    """Return the equivalence margin that the profile fixes for a task; `key` is (task, variant)."""
    return float(profiles.settings(profile, key[0])["margin"])


def absent(coverage: pd.DataFrame, variant: str) -> str:
    """Say which tasks have no whole results in a variant, for a line under a table."""
    missing = coverage[(coverage["variant"] == variant) & (coverage["whole"] == 0)]["task"]
    if missing.empty:
        return f"all tasks that were asked for, {variant}"
    return f"{NOT_RUN}, or not whole, {variant}: {', '.join(missing)}"


def to_fill(coverage: pd.DataFrame, profile: str, inventory: Iterable[Mapping[str, Any]]) -> str:
    """Name the commands that compute the tasks of which nothing is there, and their hours by a task of like settings.

    Parameters
    ----------
    coverage : DataFrame
        As `popview.populations.tables.gather` gives it.
    profile : str
    inventory : iterable of mappings
        As `popview.runs.status.inventory` gives it.
    """
    taken = pd.DataFrame(inventory).groupby(["task", "variant"])["core_hours"].sum()
    present = coverage.groupby("task", sort=False)["present"].sum()
    sentences = []
    for task in present[present == 0].index:
        own = profiles.settings(profile, task)
        like = next((n for n in profiles.tasks(profile) if n != task and profiles.settings(profile, n) == own), None)
        base, trial, tuned = (taken.get((like, variant), 0.0) for variant in ("base", "trial", "tuned"))
        run, tune = (f"popview {command} --profile {profile} --task {task}" for command in ("run", "tune"))
        how, hours = f"`{run}` computes its base results", [base]
        if "search" in own:
            how += f", and then `{tune}` and `{run} --variant tuned` its tuned ones"
            hours.append(trial + tuned)
        words = " and ".join(f"{number:.1f}" for number in hours)
        spent = f" (some {words} core-hours, as on {like}, whose settings are the same)" if all(hours) else ""
        sentences.append(f"Nothing of {task} is there. Where its data are, {how}{spent}.")
    return " ".join(sentences) or "Every task that was asked for has results."


def base_setting_chosen(settings_there: Iterable[tuple[str, str]], profile: str) -> str:
    """Name the algorithms of each tuned task of which the search chose the base setting.

    Parameters
    ----------
    settings_there : iterable of (task, variant)
    profile : str
    """
    named = {task: expansion.unchanged(profile, task) for task, variant in settings_there if variant == "tuned"}
    return "; ".join(f"{', '.join(names)} on {task}" for task, names in named.items() if names) or "nowhere so far"
