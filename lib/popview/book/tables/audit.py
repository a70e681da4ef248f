"""Tables and the figure of the errata page: checks of the printed numbers, and slips of the printed text."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from popview.book.page import number
from popview.paper.audit.check import Check

__all__ = ["evidence", "implied_p_values", "overview", "records", "slips"]


def records(checks: Iterable[Check]) -> pd.DataFrame:
    """Tabulate checks in full, for the page's CSV."""
    columns = ("name", "where", "verdict", "printed", "computed", "p_value", "innocent")
    return pd.DataFrame({column: getattr(check, column) for column in columns} for check in checks)


def overview(checks: Iterable[Check]) -> pd.DataFrame:
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


def slips(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out ``data/paper/slips.csv``: where, what it says, and what speaks against it."""
    return table[["where", "says", "but"]].map(_escaped)


def _escaped(text: str) -> str:
    """A bar would end a cell, and a lone asterisk or tilde begin an emphasis."""
    return text.replace("|", "\\|")


def implied_p_values(panels: dict[str, pd.DataFrame], alpha: float = 0.05) -> Figure:
    """Draw printed p-values beside those that Table 4 implies: one line per cell, sorted by how far they lie apart.

    Parameters
    ----------
    panels : dict of str to DataFrame
        Title → columns ``cell, printed, implied, restarts``.
    alpha : float
        Where to draw the level.
    """
    lines = max(len(table) for table in panels.values())
    size = (5.2 * len(panels), 0.24 * lines + 1.3)
    figure, grid = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for axes, (title, table) in zip(grid[0], panels.items(), strict=True):
        rows = table.assign(ratio=table["printed"] / table["implied"]).sort_values("ratio")
        y = range(len(rows))
        axes.hlines(y, rows["implied"], rows["printed"], color="#bbbbbb", linewidth=1)
        axes.plot(rows["printed"], y, "o", color="#222222", markersize=4.5, label="printed")
        axes.plot(rows["implied"], y, "D", color="#b2182b", markersize=4, label="implied, 50 models a set")
        axes.plot(rows["restarts"], y, "D", color="#f4a582", markersize=4, label="implied, 5 restarts")
        axes.axvline(alpha, color="#333333", linestyle="--", linewidth=1)
        axes.set_yticks(list(y), list(rows["cell"]), fontsize=7.5)
        axes.set(xscale="log", xlabel="p-value", title=title)
        axes.legend(fontsize=7.5, loc="lower left")
    return figure
