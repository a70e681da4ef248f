"""The ledger of claims: what the three documents say, where it is tested, and the verdict at each scale.

The claims are in ``data/paper/claims.csv``, in our words, with the names of the rules that judge them
(`popview.paper.rules`). No verdict is in that file.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from popview.common import read_log
from popview.common.errors import UsageError, check_name
from popview.common.folders import PAPER, ROOT
from popview.paper import rules
from popview.paper.rules import Computed, Finding, Results, Study
from popview.paper.rules.by_tasks import MODELS
from popview.populations import tables
from popview.runs import profiles, solutions

__all__ = [
    "CHAPTERS",
    "DOCUMENTS",
    "PRINTED_SCALE",
    "claims",
    "entries",
    "judge",
    "reconsidered",
    "stated",
    "tasks",
    "written",
]

#: Every chapter that the book has or plans.
CHAPTERS = {
    "01": "the question",
    "02": "optimizers",
    "03": "landscapes",
    "04": "stationary distribution",
    "05": "tasks and trajectories",
    "06": "optimization against generalization",
    "07": "optimizers compared",
    "08": "what the tests can and cannot say",
    "09": "the budget",
    "10": "noise magnitude",
    "11": "topography",
    "12": "flatness and distribution shift",
    "13": "errata and forensics",
    "14": "bring your own optimizer",
    "15": "status",
}

DOCUMENTS = {
    "inan2024": "Inan, Liu and Shehu 2024",
    "yu2026": "Yu and Morozov 2026",
    "article": "article on flat minima and distribution shift",
}

PRINTED_SCALE, COMPUTED_SCALE, NO_SCALE = "printed tables", "landscapes and simulations", "any"

COLUMNS = ("id", "document", "where", "claim", "chapter", "printed", "computed", "task", "study", "reason")

#: Column of the claims → the rules that it may name.
RULES: dict[str, Mapping] = {
    "printed": rules.PRINTED,
    "computed": rules.COMPUTED,
    "task": rules.TASK,
    "study": rules.STUDY,
}


def claims(file: Path = PAPER / "claims.csv") -> pd.DataFrame:
    """Read the claims, one row each.

    Returns
    -------
    DataFrame
        ``id, document, where, claim, chapter`` (two digits), ``printed, computed, task, study`` (names of rules),
        ``reason`` (why nothing tests it; "chapter": its chapter does).

    Raises
    ------
    UsageError
        If the file is missing, a name is unknown, or a claim has neither a rule nor a reason.
    """
    read_log.record(file)
    if not file.is_file():
        raise UsageError(f"the claims should be at {file}, where there is no file")
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    if tuple(table.columns) != COLUMNS:
        raise UsageError(f"{file.name} has columns {', '.join(table.columns)}, wanted {', '.join(COLUMNS)}")
    for row in table.to_dict("records"):
        check_name(f"document of claim {row['id']}", row["document"], DOCUMENTS)
        check_name(f"chapter of claim {row['id']}", row["chapter"], CHAPTERS)
        for column, known in RULES.items():
            if row[column]:
                check_name(f"{column} rule of claim {row['id']}", row[column], known)
        if not any(row[column] for column in (*RULES, "reason")):
            raise UsageError(f"claim {row['id']} of {file.name} has neither a rule nor a reason")
    return table


def stated(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rules that claims are judged by, as their docstrings state them: a row per claim and kind of evidence.

    Parameters
    ----------
    table : DataFrame
        As `claims` returns it.

    Returns
    -------
    DataFrame
        ``document, claim, evidence`` (a column of the claims), ``rule`` (its name), ``stated``.
    """
    return pd.DataFrame(
        {
            "document": claim["document"],
            "claim": claim["claim"],
            "evidence": kind,
            "rule": claim[kind],
            "stated": " ".join((inspect.getdoc(known[claim[kind]]) or "").split()),
        }
        for claim in table.to_dict("records")
        for kind, known in RULES.items()
        if claim[kind]
    )


#: Kind of results → what is said where there are none.
_LACKING = {
    "task": "no whole results yet of the paper's six algorithms, two restarts and ten checkpoints or more",
    "study": "no results yet",
}


def written(root: Path = ROOT) -> dict[str, str]:
    """Return the pages that the book's table of contents names, by chapter: ``{"06": "06-optimization-…"}``."""
    contents = root / "_toc.yml"
    read_log.record(contents)
    names = re.findall(r"book/(?:run/)?((\d\d)-[\w-]+)", contents.read_text("utf-8")) if contents.is_file() else []
    return {number: name for name, number in names}


def entries(
    profile: str = "laptop",
    computed: Computed | None = None,
    root: Path = ROOT,
    results: Mapping[str, Results | None] | None = None,
) -> pd.DataFrame:
    """Judge every claim at every scale, from the printed tables, from landscapes and simulations, and from results.

    A task and variant without results of SGD and the paper's five, or a network without results, gets 'not run here';
    nothing is trained.

    Parameters
    ----------
    profile : str
        Scale of the runs.
    computed : Computed, optional
        How much to compute on landscapes; chapter 4's numbers by default.
    root : Path
        Of the book, whose table of contents says which chapters there are.
    results : mapping of str to Results or None, optional
        As `tasks` returns them for the profile, where they have been loaded.

    Returns
    -------
    DataFrame
        One row per claim and scale: ``id, document, where, claim, chapter, scale, verdict, detail``. Of a task the
        scale is "<task> (<variant>)".
    """
    found = tasks(profile) if results is None else results
    return judge(claims(), found, computed or Computed(), set(written(root)), studies(profile))


def tasks(profile: str) -> dict[str, Results | None]:
    """Return the results of each task and variant, by scale; None where they are not whole, or too few to judge by.

    That is one restart, or fewer checkpoints than the paper's ten models.
    """
    covered = tables.task_coverage(profile)
    scales: dict[str, Results | None] = {f"{row.task} ({row.variant})": None for row in covered.itertuples()}
    for (task, variant), rows in tables.load_available(profile, covered[covered["restarts"] > 1]).items():
        if rows["step"].nunique() >= MODELS:
            margin = float(profiles.settings(profile, task)["margin"])
            scales[f"{task} ({variant})"] = Results(task, rows, margin)
    return scales


def reconsidered(table: pd.DataFrame, results: Mapping[str, Results | None]) -> pd.DataFrame:
    """Judge by the rules that were changed in sight of results, as they are and as they stood before.

    Parameters
    ----------
    table, results
        As in `judge`.

    Returns
    -------
    DataFrame
        One row per claim and scale with results whose rule is one of `popview.paper.rules.REVISED`:
        ``id, document, claim, scale, verdict, earlier, changed``.
    """
    both = [(scale, now, replace(now, earlier=True)) for scale, now in results.items() if now is not None]
    rows = []
    for claim in table[table["task"].isin(rules.REVISED)].to_dict("records"):
        judged, changed = rules.TASK[claim["task"]], rules.REVISED[claim["task"]]
        said = {name: claim[name] for name in ("id", "document", "claim")}
        for scale, now, before in both:
            words = {"verdict": judged(now).word, "earlier": judged(before).word}
            rows.append({**said, "scale": scale, **words, "changed": changed})
    return pd.DataFrame(rows, columns=["id", "document", "claim", "scale", "verdict", "earlier", "changed"])


def studies(profile: str) -> dict[str, Study | None]:
    """Return what the study of solutions has of each network, by its title; None where nothing is there."""
    known = solutions.titles(profile) if profile in solutions.PROFILES else {}
    return {title: Study.load(profile, name) for name, title in known.items()}


def judge(
    table: pd.DataFrame,
    results: Mapping[str, Results | None],
    computed: Computed,
    chapters: set[str],
    networks: Mapping[str, Study | None] | None = None,
) -> pd.DataFrame:
    """Judge the claims of a table.

    Parameters
    ----------
    table : DataFrame
        As `claims` returns it.
    results : mapping of str to Results or None
        Scale, a task and variant → its results, None where there are none.
    computed : Computed
    chapters : set of str
        Numbers of the chapters that are written.
    networks : mapping of str to Study or None, optional
        Title of a network → what the study has of it, None where there is nothing.

    Returns
    -------
    DataFrame
        As `entries`.
    """
    checks = rules.printed_checks()
    rows = []
    for claim in table.to_dict("records"):
        found: dict[str, Finding] = {}
        if claim["printed"]:
            found[PRINTED_SCALE] = rules.PRINTED[claim["printed"]](checks)
        if claim["computed"]:
            found[COMPUTED_SCALE] = rules.COMPUTED[claim["computed"]](computed)
        kinds: tuple[tuple[str, Mapping, Mapping], ...] = (
            ("task", rules.TASK, results),
            ("study", rules.STUDY, networks or {}),
        )
        for kind, known, scales in kinds:
            for scale, evidence in scales.items() if claim[kind] else ():
                found[scale] = (
                    Finding("not run here", _LACKING[kind]) if evidence is None else known[claim[kind]](evidence)
                )
        if claim["reason"]:
            found[NO_SCALE] = _untested(claim["reason"], claim["chapter"], chapters)
        fixed = {name: claim[name] for name in ("id", "document", "where", "claim", "chapter")}
        for scale, finding in found.items():
            rows.append({**fixed, "scale": scale, "verdict": finding.word, "detail": finding.detail})
    return pd.DataFrame(rows)


def _untested(reason: str, chapter: str, chapters: set[str]) -> Finding:
    """Return 'not tested' with the reason; where that is "chapter", whether the chapter is written."""
    if reason != "chapter":
        return Finding("not tested", reason)
    if chapter in chapters:
        return Finding("see the chapter", f"chapter {int(chapter)} tests it")
    return Finding("not tested yet", f"chapter {int(chapter)}, {CHAPTERS[chapter]}, is not written")
