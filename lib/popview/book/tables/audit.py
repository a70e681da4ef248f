"""Tables of the page on the printed paper: checks of what is printed, damaged cells, and slips of the text."""

import re
from collections.abc import Mapping

import pandas as pd

from popview.book.names import task_title
from popview.book.page import MINUS, p_value, raised
from popview.paper.audit import NO_FLAG

#: Verdict of a check → what a reader is told.
VERDICTS = {"cannot both hold": "contradiction", "flag": "odd", NO_FLAG: "nothing"}

#: Names of tasks in the paper's tables.
TASKS = ("cifar10", "cifar100", "goemotions", "tweeteval")


def in_words(text: str) -> str:
    """Write data sets by their names, true minus signs, powers of ten, and what would end a table's cell."""
    text = re.sub(r"(\d)e-(\d+)", lambda found: f"{found[1]} × 10{raised(-int(found[2]))}", text)
    text = re.sub(r"(?<!\w)-(?=\d)", MINUS, text).replace("|", "\\|")
    text = re.sub(r"\b(six|three)-hump-camel", r"the \1-hump camel", text).replace("himmelblau", "Himmelblau")
    for task in TASKS:
        text = re.sub(rf"\b{task}\b", task_title(task), text)
    return text


def checks_table(checks: pd.DataFrame, innocent: bool = True, p: bool = False) -> pd.DataFrame:
    """Lay out checks (`popview.paper.audit.worded`): what is printed, what speaks against it, what could explain it.

    Parameters
    ----------
    checks
        As `popview.paper.audit.worded` returns them.
    innocent
        Whether to show the most innocent explanation.
    p
        Whether to show the verdict, and p by chance, where there is one.
    """
    explained = checks["innocent"].where(checks["verdict"] != NO_FLAG, "–")
    columns = {
        "printed": "**" + checks["where"].str.replace("^text", "Text", regex=True) + ":** " + checks["printed"],
        "but": checks["computed"],
        "our copy would have misread": checks["misread"],
    }
    columns |= {"harmless explanation": explained} if innocent else {}
    columns |= {"found": checks["verdict"].map(VERDICTS), "p": checks["p_value"].map(p_value)} if p else {}
    return pd.DataFrame(columns).map(in_words)


def damaged_cells(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Lay out the cells of printed tables that are not legible, or with a note: where, and what can be read."""
    lines = []
    for number, table in tables.items():
        names = [name for name in ("algorithm", "comparison", "landscape", "task", "column", "set") if name in table]
        rows = table[(table["legible"] != "yes") | (table["note"] != "")]
        where = [", ".join(map(str, row)) for row in rows[names].itertuples(index=False)]
        lines.append(pd.DataFrame({"table": number, "cell": where, "reads": rows["note"].fillna("")}))
    return pd.concat(lines, ignore_index=True).map(in_words)


def slips_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out ``data/paper/slips.csv``: where, what it says, and what speaks against it."""
    return table[["where", "says", "but"]].map(in_words)
