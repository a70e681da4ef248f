"""How a comparison is written in a table's cell, and how tables of several tasks and variants are put together."""

import pandas as pd

from popview.book.names import task_title
from popview.book.page import written
from popview.populations.comparisons import ALPHA


def setting(table: pd.DataFrame) -> pd.Series:
    """Return "CIFAR-10, base" for the first line of each task and variant, and nothing for the others."""
    setting = table["task"].map(task_title) + ", " + table["variant"]
    return setting.where(setting != setting.shift(), "")


def word(comparison: pd.DataFrame) -> pd.Series:
    """Return the verdicts of `popview.populations.comparisons.against`: the side of the estimate is named only where it
    is real.

    That is where the two are equivalent and Holm's p is at most 0.05 all the same: "equivalent, but worse".
    """
    word, side = comparison["verdict"], comparison["direction"]
    real = (word == "equivalent") & (comparison["adjusted_p"] <= ALPHA) & (side != "level")
    return word + (", but " + side).where(real, "")


#: Verdict → the word that a page shows, and its sign.
WORDS = {
    "better": "better",
    "worse": "worse",
    "equivalent": "same within the margin",
    "inconclusive": "too few runs to tell",
    "undecidable at this n": "too few runs to tell",
}
WORD_SIGNS = {"better": "▲", "worse": "▼", "same within the margin": "=", "too few runs to tell": "?"}


def words(comparison: pd.DataFrame) -> pd.Series:
    """Return the verdicts of `popview.populations.comparisons.against` in the four words that pages use."""
    return comparison["verdict"].map(WORDS)


def with_interval(
    rows: pd.DataFrame, estimate: str = "mean", scale: float = 1.0, ends: str = "", form: str = "+.2f"
) -> pd.Series:
    """Write estimates as "+0.12 [+0.08, +0.16]", from the columns `estimate`, ``<ends>low`` and ``<ends>high``."""
    return without_interval(rows[estimate], scale, form) + " " + interval(rows, scale, ends, form)


def interval(rows: pd.DataFrame, scale: float = 1.0, ends: str = "", form: str = "+.2f") -> pd.Series:
    """Write intervals as "[+0.08, +0.16]", from the columns ``<ends>low`` and ``<ends>high``."""
    low, high = (without_interval(rows[f"{ends}{end}"], scale, form) for end in ("low", "high"))
    return "[" + low + ",\u00a0" + high + "]"


def without_interval(values: pd.Series, scale: float = 1.0, form: str = "+.2f") -> pd.Series:
    """Write numbers as `popview.book.page.written` does."""
    return values.map(lambda value: written(scale * value, form)).astype(str)


def waits(rows: pd.DataFrame) -> pd.Series:
    """Write `popview.populations.time_to_target.times` as "460 [360, 1,000]"; ∞ where it never comes."""
    return with_interval(rows, "median", form=",.0f")


def stack(frames: dict[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """Put readings of several tasks and variants under each other, after columns ``task, variant``.

    Those without rows are left out: they would turn the whole numbers of others into floats.
    """
    names = ["task", "variant"]
    parts = {key: frame.drop(columns=names, errors="ignore") for key, frame in frames.items() if len(frame)}
    return pd.concat(parts, names=names).reset_index(names).reset_index(drop=True) if parts else pd.DataFrame()


def of_variant(table: pd.DataFrame, variant: str) -> pd.DataFrame:
    """Return the rows of a variant, of a table made by `stack`."""
    return table[table["variant"] == variant] if len(table) else table


def of(table: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
    """Return the rows of a task and variant, of a table made by `stack`."""
    return table[(table["task"] == key[0]) & (table["variant"] == key[1])] if len(table) else table
