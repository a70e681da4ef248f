"""Tables of the errata page: checks of the printed numbers, and slips of the printed text."""

from collections.abc import Iterable

import pandas as pd

from popview.book.page import number
from popview.paper.audit.check import Check

__all__ = ["checks_in_brief", "checks_in_full", "evidence", "slips_table"]


def checks_in_full(checks: Iterable[Check]) -> pd.DataFrame:
    """Tabulate checks in full, for the page's CSV."""
    columns = ("name", "where", "verdict", "printed", "computed", "p_value", "innocent")
    return pd.DataFrame({column: getattr(check, column) for column in columns} for check in checks)


def checks_in_brief(checks: Iterable[Check]) -> pd.DataFrame:
    """Lay out checks in one line each: what, where, verdict, and the p-value where the argument is one of chance."""
    return pd.DataFrame(
        {
            "check": check.name,
            "where": check.where,
            "verdict": f"**{check.verdict}**" if check.found else check.verdict,
            "p": "–" if check.p_value is None else number(check.p_value, 3),
        }
        for check in checks
    )


def evidence(checks: Iterable[Check]) -> pd.DataFrame:
    """Lay out checks with what is printed, what follows from it, and the most innocent explanation."""
    return pd.DataFrame(
        {
            "check": f"**{check.name}** ({check.where}): {check.verdict}",
            "printed": check.printed,
            "computed": check.computed,
            "most innocent explanation": check.innocent if check.found else "–",
        }
        for check in checks
    ).map(_escaped)


def slips_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out ``data/paper/slips.csv``: where, what it says, and what speaks against it."""
    return table[["where", "says", "but"]].map(_escaped)


def _escaped(text: str) -> str:
    """A bar would end a cell, and a lone asterisk or tilde begin an emphasis."""
    return text.replace("|", "\\|")
