"""Tables of the rises of paths between solutions, and between minima of landscapes."""

from collections.abc import Mapping

import pandas as pd

from popview.book.names import landscape_title
from popview.book.page import signed, written
from popview.book.tables.topography import STAGE_NAMES, once, small
from popview.populations.solutions import QUASI_NEWTON


def _rise(value: float) -> str:
    """Write a rise with four decimals, with two from 0.1 on; what four decimals would show as 0 as a power of ten."""
    if abs(value) < 5e-5:
        return small(value)
    return written(value, ".2f" if abs(value) >= 0.1 else ".4f")


def _interval(rows: pd.DataFrame, value: str, low: str, high: str) -> pd.Series:
    return rows.apply(lambda r: f"{_rise(r[value])} [{_rise(r[low])},\u00a0{_rise(r[high])}]", axis=1)


def _percent(shares: pd.Series) -> pd.Series:
    return (100 * shares).round().astype(int)


def passes_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.landscape_paths.heights`."""
    return pd.DataFrame(
        {
            "landscape": table["landscape"].map(landscape_title),
            "between": (table["start"] + " and " + table["end"]).map(signed),
            "true pass": table["pass"],
            "sum of losses": table["sum of losses"],
            "soft maximum": table["soft maximum"],
            "straight line": table["straight"],
        }
    )


def _kind(rows: pd.DataFrame) -> pd.Series:
    """Name the solutions that pairs consist of."""
    return rows["stage"].map(STAGE_NAMES) + rows["ends"].map({"plain": "", "aligned": ", aligned"})


def barriers_table(means: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.populations.solutions.barrier_means`."""
    named = {"height": "height", "rise": "rise", "straight_rise": "straight line's rise"}
    return once(
        pd.DataFrame(
            {
                "network": means["network"].map(titles),
                "solutions": _kind(means),
                "algorithm": means["algorithm"],
                "path by": means["objective"].map({"sum": "sum of losses", "maximum": "soft maximum"}),
                "settled, %": _percent(means["converged"]),
                **{
                    words: _interval(means, name, f"{name}_dyadic_low", f"{name}_dyadic_high")
                    for name, words in named.items()
                },
                "low, %": _percent(means["halved"]),
            }
        )
    )


def barrier_differences_table(table: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.populations.solutions.barrier_differences` of paths by the sum of losses, one line per set.

    A column ``algorithm``, if there is one, says whose rises they are; else they are the quasi-Newton method's. The
    column ``within`` says to what a settled height is told: smaller differences do not count.
    """
    shown = table[table["objective"] == "sum"]
    places = {name: place for place, name in enumerate(("fitted", "equal", "early", "plain", "aligned"))}
    shown = shown.sort_values(
        ["network", "stage", "ends"],
        key=lambda names: names.map({name: place for place, name in enumerate(titles)} | places).fillna(len(places)),
        kind="stable",
    )
    robust = {"value": "difference", "low": "dyadic_low", "high": "dyadic_high"}
    return once(
        pd.DataFrame(
            {
                "network": shown["network"].map(titles),
                "solutions": _kind(shown),
                "algorithm": shown.get("algorithm", QUASI_NEWTON),
                "rise": shown["a"].map(_rise),
                "SGD's": shown["b"].map(_rise),
                "settled, %": _percent(shown["converged"]),
                "difference [dyadic-robust]": _interval(shown, **robust),
                "bootstrap": _interval(shown, "difference", "low", "high").str.replace(r"^[^\[]*", "", regex=True),
                "by dyadic-robust": shown.apply(
                    lambda r: _side(r["dyadic_low"], r["dyadic_high"], r["within"]), axis=1
                ),
                "by bootstrap": shown.apply(lambda r: _side(r["low"], r["high"], r["within"]), axis=1),
            }
        )
    )


def _side(low: float, high: float, within: float) -> str:
    """Say on which side of 0 an interval lies, if further than a settled height is told to."""
    return "higher" if low > within else "lower" if high < -within else "not told apart"
