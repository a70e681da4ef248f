"""The results that a page shows: required to be there, and read by the margins and the plan of the profile."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import pandas as pd

from popview.book.cells import stack
from popview.common.errors import UsageError
from popview.populations.comparisons import against_reference
from popview.runs import expansion, profiles

Found = TypeVar("Found", bound=Mapping[Any, Any])


def required(found: Found, profile: str, task: str = "all") -> Found:
    """Return what is given; a page that has nothing to show ends here.

    Raises
    ------
    UsageError
        If it is empty: with the command that computes results.
    """
    if not found:
        of, only = ("", "") if task == "all" else (f" of {task}", f" --task {task}")
        command = f"popview run --profile {profile}{only}"
        raise UsageError(f"there are no whole results{of} in profile {profile}: `{command}` computes them")
    return found


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


def base_setting_chosen(settings_there: Iterable[tuple[str, str]], profile: str) -> str:
    """Name the algorithms of each tuned task of which the search chose the base setting.

    Parameters
    ----------
    settings_there : iterable of (task, variant)
    profile : str
    """
    named = {task: expansion.unchanged(profile, task) for task, variant in settings_there if variant == "tuned"}
    return "; ".join(f"{', '.join(names)} on {task}" for task, names in named.items() if names) or "nowhere so far"
