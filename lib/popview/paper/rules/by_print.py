"""Claims judged by the paper's own printed tables."""

from collections.abc import Callable

import pandas as pd

from popview.paper import printed
from popview.paper.audit import NO_FLAG, printed_checks
from popview.paper.rules.finding import Finding, Word, share

__all__ = ["PRINTED", "printed_checks"]

PrintedRule = Callable[[pd.DataFrame], Finding]


def _check(name: str, title: str, word: Word = "does not hold", detail: str = "{computed}") -> PrintedRule:
    """Return the rule that says `word` where a check finds an inconsistency, else 'holds'."""

    def rule(checks: pd.DataFrame) -> Finding:
        check = checks.loc[name]
        return Finding("holds" if check["verdict"] == NO_FLAG else word, detail.format(**check))

    rule.__doc__ = f"'{word}' if the check '{title}' of chapter 13 finds an inconsistency, else 'holds'."
    return rule


def _contradicted(name: str, title: str) -> PrintedRule:
    """Return the rule that says 'inconclusive' where a check finds that the printed numbers disagree, else 'holds'."""
    return _check(name, title, "inconclusive", "{printed}: {computed}")


def _printed_centers(tasks: tuple[str, ...]) -> pd.DataFrame:
    """Return SetA's printed centres of Table 4; rows: algorithms, columns: tasks."""
    cells = printed.printed_table("4")
    return cells[cells["set"] == "A"].pivot(index="algorithm", columns="task", values="median")[list(tasks)]


def top_three_printed(checks: pd.DataFrame) -> Finding:
    """'holds' if SGD, NiM-SGD and SAM have the three highest centres of both CIFAR tasks in Table 4."""
    centers = _printed_centers(("cifar10", "cifar100"))
    top = {task: list(centers[task].nlargest(3).index) for task in centers}
    right = sum(set(names) == {"SGD", "NiM-SGD", "SAM"} for names in top.values())
    return share(right, len(top), "; ".join(f"{task}: {', '.join(names)}" for task, names in top.items()))


def ahead_by_f1_printed(checks: pd.DataFrame) -> Finding:
    """'holds' if, on both text tasks of Table 4, SAM is below SGD, and NiG-BH and NiM-BH are above it."""
    centers = _printed_centers(("goemotions", "tweeteval"))
    signs = {"SAM": -1, "NiG-BH": 1, "NiM-BH": 1}
    right = {name: bool((sign * (centers.loc[name] - centers.loc["SGD"]) > 0).all()) for name, sign in signs.items()}
    words = "; ".join(f"{name} {', '.join(f'{value:.3f}' for value in centers.loc[name])}" for name in ("SGD", *signs))
    return share(sum(right.values()), len(right), f"SetA on goemotions, tweeteval: {words}")


#: Rule → finding from the checks of the printed tables, by name.
PRINTED: dict[str, PrintedRule] = {
    "tests_of_one_set": _contradicted("two-tests", "Two tests of the same sets"),
    "set_b_below": _contradicted("set-b-below", "SetB below SetA"),
    "table_six_spreads": _contradicted("spreads-6", "Centres and spreads of Table 4 against Table 6"),
    "sentence_under_six": _check("sentence-under-six", "The sentence under Table 6"),
    "top_three": top_three_printed,
    "ahead_by_f1_printed": ahead_by_f1_printed,
    "mirror_images": _contradicted("mirror-images", "Mirror images of a minimum"),
}
