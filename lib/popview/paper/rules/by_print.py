"""Claims judged by the paper's own printed tables."""

from collections.abc import Callable

import pandas as pd

from popview.paper import printed
from popview.paper.audit.check import Check
from popview.paper.audit.tables import printed_checks
from popview.paper.rules.finding import Finding, share

__all__ = ["PRINTED", "checks_by_name"]


def _check(name: str) -> Callable[[dict[str, Check]], Finding]:
    """Return the rule 'does not hold' where the named check finds an inconsistency, else 'holds'."""

    def rule(checks: dict[str, Check]) -> Finding:
        check = checks[name]
        return Finding("does not hold" if check.found else "holds", check.computed)

    rule.__doc__ = f"'does not hold' if the check '{name}' of chapter 13 finds an inconsistency, else 'holds'."
    return rule


def _contradicted(name: str) -> Callable[[dict[str, Check]], Finding]:
    """Return the rule 'inconclusive' where the named check finds that the printed numbers disagree, else 'holds'."""

    def rule(checks: dict[str, Check]) -> Finding:
        check = checks[name]
        return Finding("inconclusive" if check.found else "holds", f"{check.printed}: {check.computed}")

    rule.__doc__ = f"'inconclusive' if the check '{name}' of chapter 13 finds an inconsistency, else 'holds'."
    return rule


def _printed_centers(tasks: tuple[str, ...]) -> pd.DataFrame:
    """Return SetA's printed centres of Table 4; rows: algorithms, columns: tasks."""
    cells = printed.table("4")
    return cells[cells["set"] == "A"].pivot(index="algorithm", columns="task", values="median")[list(tasks)]


def top_three_printed(checks: dict[str, Check]) -> Finding:
    """'holds' if SGD, NiM-SGD and SAM have the three highest centres of both CIFAR tasks in Table 4."""
    centers = _printed_centers(("cifar10", "cifar100"))
    top = {task: list(centers[task].nlargest(3).index) for task in centers}
    right = sum(set(names) == {"SGD", "NiM-SGD", "SAM"} for names in top.values())
    return share(right, len(top), "; ".join(f"{task}: {', '.join(names)}" for task, names in top.items()))


def ahead_by_f1_printed(checks: dict[str, Check]) -> Finding:
    """'holds' if, on both text tasks of Table 4, SAM is below SGD, and NiG-BH and NiM-BH are above it."""
    centers = _printed_centers(("goemotions", "tweeteval"))
    signs = {"SAM": -1, "NiG-BH": 1, "NiM-BH": 1}
    right = {name: bool((sign * (centers.loc[name] - centers.loc["SGD"]) > 0).all()) for name, sign in signs.items()}
    words = "; ".join(f"{name} {', '.join(f'{value:.3f}' for value in centers.loc[name])}" for name in ("SGD", *signs))
    return share(sum(right.values()), len(right), f"SetA on goemotions, tweeteval: {words}")


#: Rule → finding from the checks of the printed tables, by name.
PRINTED: dict[str, Callable[[dict[str, Check]], Finding]] = {
    "tests_of_one_set": _contradicted("Two tests of the same sets"),
    "set_b_below": _contradicted("SetB below SetA"),
    "table_six_spreads": _contradicted("Centres and spreads of Table 4 against Table 6"),
    "sentence_under_six": _check("The sentence under Table 6"),
    "top_three": top_three_printed,
    "ahead_by_f1_printed": ahead_by_f1_printed,
    "mirror_images": _contradicted("Mirror images of a minimum"),
}


def checks_by_name() -> dict[str, Check]:
    """Return the checks of the printed tables by name: the evidence of `PRINTED`."""
    return {check.name: check for check in printed_checks()}
