"""Claims judged by the paper's own printed tables: by the checks of what it prints, and by the centres of Table 4."""

from collections.abc import Mapping, Sequence

import pandas as pd

from popview.paper.audit import NO_FLAG
from popview.paper.finding import Decision, Word, that_share
from popview.paper.printed import printed_table


def by_check(checks: pd.DataFrame, check: str, found: Word) -> Decision:
    """Say the word `found` if a check finds an inconsistency, else 'holds'; `checks` as `popview.paper.audit.worded`"""
    row = checks.loc[check]
    return "holds" if row["verdict"] == NO_FLAG else found, row.to_dict()


def _printed_centers(tasks: Sequence[str]) -> pd.DataFrame:
    """Return SetA's printed centres of Table 4; rows: algorithms, columns: tasks."""
    cells = printed_table("4")
    return cells[cells["set"] == "A"].pivot(index="algorithm", columns="task", values="median")[list(tasks)]


def highest_printed(checks: pd.DataFrame, tasks: Sequence[str], algorithms: Sequence[str]) -> Decision:
    """Count the tasks on which these algorithms have the highest printed centres."""
    centers = _printed_centers(tasks)
    top = {task: list(centers[task].nlargest(len(algorithms)).index) for task in centers}
    listed = "; ".join(f"{task}: {', '.join(names)}" for task, names in top.items())
    return that_share(set(names) == set(algorithms) for names in top.values()), {"top": listed}


def signs_printed(checks: pd.DataFrame, tasks: Sequence[str], signs: Mapping[str, int]) -> Decision:
    """Count the algorithms whose printed centres are all above SGD's (sign 1) or all below (sign −1)."""
    centers = _printed_centers(tasks)
    right = [(sign * (centers.loc[name] - centers.loc["SGD"]) > 0).all() for name, sign in signs.items()]
    rows = [f"{name} {', '.join(f'{value:.3f}' for value in centers.loc[name])}" for name in ("SGD", *signs)]
    return that_share(right), {"centers": "; ".join(rows)}
