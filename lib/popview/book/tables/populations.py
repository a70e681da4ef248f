"""Tables of the page on what a population is good for."""

from collections.abc import Mapping

import pandas as pd

from popview.book.names import task_title
from popview.populations.disagreement import KINDS

_WHERE = {"sample": "test sample", "whole": "whole test split"}


def answers(summed: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Lay out `popview.populations.disagreement.by_kind` of several tasks: "percent that differ (error correlation)".

    Settings that are searched at a constant rate are left out, and the sample where there is the whole test split.
    """
    lines = []
    for task, table in summed.items():
        for variant, rows in table[table["variant"] != "tuned"].groupby("variant", sort=False):
            where = "whole" if (rows["where"] == "whole").any() else "sample"
            own = rows[rows["where"] == where]
            models = own.loc[own["kind"] != "one run", "models"].iloc[0]
            cells = {row.kind: _cell(row.disagreement, row.error_correlation, row.cases) for row in own.itertuples()}
            line = {"task": task_title(task), "settings": variant, "scored on": _WHERE[where]}
            line["each is"] = "ten checkpoints" if models.startswith("ten") else "a last model"
            lines.append(line | {words: cells.get(kind, "–") for kind, words in KINDS.items()})
    return pd.DataFrame(lines)


def _cell(differ: float, together: float, cases: int) -> str:
    of = f", of {cases}" if cases > 1 else ""
    return f"{100 * differ:.1f}" + ("" if together != together else f" ({together:.2f})") + of
