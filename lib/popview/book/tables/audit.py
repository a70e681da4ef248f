"""Tables of the errata page: checks of the printed numbers, and slips of the printed text."""

import pandas as pd

from popview.book.page import number
from popview.paper.audit import NO_FLAG

__all__ = ["checks_in_brief", "checks_in_full", "slips_table"]


def checks_in_brief(checks: pd.DataFrame) -> pd.DataFrame:
    """Lay out checks (`popview.paper.audit.worded`) in one line each: what, where, verdict, and p by chance."""
    found = checks["verdict"] != NO_FLAG
    lines = checks[["name", "where"]].set_axis(["check", "where"], axis=1)
    verdict = checks["verdict"].mask(found, "**" + checks["verdict"] + "**")
    return lines.assign(verdict=verdict, p=checks["p_value"].map(lambda p: number(p, 3)))


def checks_in_full(checks: pd.DataFrame) -> pd.DataFrame:
    """Lay out checks with what is printed, what follows from it, and the most innocent explanation."""
    return pd.DataFrame(
        {
            "check": "**" + checks["name"] + "** (" + checks["where"] + "): " + checks["verdict"],
            "printed": checks["printed"],
            "computed": checks["computed"],
            "most innocent explanation": checks["innocent"].where(checks["verdict"] != NO_FLAG, "–"),
        }
    ).map(_escaped)


def slips_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out ``data/paper/slips.csv``: where, what it says, and what speaks against it."""
    return table[["where", "says", "but"]].map(_escaped)


def _escaped(text: str) -> str:
    """A bar would end a cell, and a lone asterisk or tilde begin an emphasis."""
    return text.replace("|", "\\|")
