"""The ledger of claims: what the three documents say, where it is tested, and the verdict at each scale.

The claims are in ``data/paper/claims.csv``, in our words, with the names of the rules that judge them
(`popview.paper.rules`). No verdict is in that file.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from popview.common import read_log
from popview.common.contents import page_names
from popview.common.errors import UsageError, check_name
from popview.common.files import read_csv_table
from popview.common.folders import PAPER, ROOT
from popview.paper.audit import printed_checks
from popview.paper.finding import Finding
from popview.paper.rules import DECIDERS, Computed, Factors, Results, Study, load_rules
from popview.paper.rules.by_tasks import COMPARING, MODELS
from popview.populations import tables
from popview.populations.control_arms import equal_epochs, trajectories_at_equal_epochs
from popview.populations.flatness_factors import FACTORS
from popview.populations.outcomes import load_final_measures
from popview.runs import grids, profiles
from popview.runs.annealed import GRADIENTS_A_STEP
from popview.runs.profiles import FOLDER
from popview.runs.solutions import parts

DOCUMENTS = {
    "inan2024": "Inan, Liu and Shehu 2024",
    "yu2026": "Yu and Morozov 2026",
    "article": "article on flat minima and distribution shift",
}

PRINTED_SCALE, COMPUTED_SCALE, NO_SCALE = "printed tables", "landscapes and simulations", "any"

COLUMNS = ("id", "document", "where", "claim", "page", *DECIDERS, "reason")


def read_claims(file: Path = PAPER / "claims.csv") -> pd.DataFrame:
    """Read the claims, one row each.

    Returns
    -------
    DataFrame
        ``id, document, where, claim, page`` (its name), ``printed, computed, task, study, factors`` (names of rules),
        ``reason`` (why nothing tests it; "page": its page does).

    Raises
    ------
    UsageError
        If the file is missing, a name is unknown, or a claim has neither a rule nor a reason.
    """
    if not file.is_file():
        read_log.record(file)
        raise UsageError(f"the claims should be at {file}, where there is no file")
    table = read_csv_table(file, ())
    if tuple(table.columns) != COLUMNS:
        raise UsageError(f"{file.name} has columns {', '.join(table.columns)}, wanted {', '.join(COLUMNS)}")
    rules, pages = _all_rules(), page_names()
    for row in table.to_dict("records"):
        check_name(f"document of claim {row['id']}", row["document"], DOCUMENTS)
        check_name(f"page of claim {row['id']}", row["page"], pages)
        for kind, known in rules.items():
            if row[kind]:
                check_name(f"{kind} rule of claim {row['id']}", row[kind], known)
        if not any(row[column] for column in (*rules, "reason")):
            raise UsageError(f"claim {row['id']} of {file.name} has neither a rule nor a reason")
    return table


def _all_rules() -> dict[str, dict[str, Any]]:
    return {kind: load_rules(kind) for kind in DECIDERS}


def rules_of_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rules that claims are judged by, and what each states: a row per claim and kind of evidence.

    Parameters
    ----------
    table : DataFrame
        As `read_claims` returns it.

    Returns
    -------
    DataFrame
        ``document, claim, evidence`` (a column of the claims), ``rule`` (its name), ``stated``, ``changed`` (in sight
        of results, and when; or empty).
    """
    rules = _all_rules()
    long = table.melt(["document", "claim"], list(rules), "evidence", "rule", ignore_index=False)
    rows = long[long["rule"] != ""].sort_index(kind="stable").reset_index(drop=True)
    found = [rules[kind][name] for kind, name in zip(rows["evidence"], rows["rule"], strict=True)]
    return rows.assign(stated=[rule.states for rule in found], changed=["; ".join(rule.changed) for rule in found])


#: Kind of results → the words where there are none.
_LACKING = {
    "task": "no whole results yet of the paper's six algorithms, two restarts and ten checkpoints or more",
    "study": "no results yet",
    "factors": "the runs that it needs are not there",
}


def judge_everything(profile: str = "laptop", computed: Computed | None = None, root: Path = ROOT) -> pd.DataFrame:
    """Judge every claim at every scale, from the printed tables, from landscapes and simulations, and from results.

    A task and variant without results of SGD and the paper's five, or a network without results, gets 'not run here';
    nothing is trained.

    Parameters
    ----------
    profile : str
        Scale of the runs.
    computed : Computed, optional
        How much to compute on landscapes; the numbers of the page on test functions by default.
    root : Path
        Of the book, whose table of contents says which pages there are.

    Returns
    -------
    DataFrame
        One row per claim, scale and variant: ``id, document, where, claim, page, scale`` (a task, the title of a
        network, `PRINTED_SCALE`, `COMPUTED_SCALE` or `NO_SCALE`), ``variant`` (of a task, else empty), ``verdict,
        detail, number`` (the one that sums the numbers up, or empty), ``evidence`` (its kind), ``rule`` and
        ``rule_version`` (all three empty where no rule judged).
    """
    results, pages = task_results(profile), set(page_names(root))
    studies, factors = network_studies(profile), factor_grids(profile)
    return judge_claims(read_claims(), results, computed or Computed(), pages, studies, factors)


def task_results(profile: str) -> dict[tuple[str, str], Results | None]:
    """Return the results of each task and variant; None where they are not whole, or too few to judge by.

    That is one restart, or fewer checkpoints than the paper's ten models. The paper compares at equal epochs. So
    annealed SAM, which has half of the epochs, is judged by the runs that have all of them
    (`popview.populations.control_arms.EQUAL_EPOCHS`), and left out where these are not there.
    """
    coverage, there = tables.gather(profile)
    results: dict[tuple[str, str], Results | None] = {(row.task, row.variant): None for row in coverage.itertuples()}
    for (task, variant), rows in there.items():
        if rows["seed"].nunique() > 1 and rows["step"].nunique() >= MODELS:
            names = set(rows["algorithm"])
            specs = [spec for spec in tables.wanted(profile, task, variant) if spec.algorithm in names]
            margin = float(profiles.settings(profile, task)["margin"])
            cheaper = None
            if variant == "annealed":
                cheaper = rows[rows["algorithm"].isin(GRADIENTS_A_STEP)]
                specs = [spec for spec in specs if spec.algorithm not in GRADIENTS_A_STEP]
                specs += equal_epochs(profile, task)
            level = trajectories_at_equal_epochs(rows, profile, task)
            results[task, variant] = Results(task, level, margin, load_final_measures(specs), cheaper)
    return results


def revised_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts by the rules that were changed in sight of results, as they are and as they were before.

    Both are of the results of 29 November 2026, base and tuned, or of CIFAR-10's single changes or annealed runs of 30
    November, and are kept in ``data/paper/revised-verdicts.csv``. The earlier rules are in the repository's history.

    Parameters
    ----------
    table : DataFrame
        As `read_claims` returns it.

    Returns
    -------
    DataFrame
        One row per claim, task and variant: ``id, document, claim, scale`` (the task), ``variant, verdict, earlier,
        changed`` (when, why and what).
    """
    file = PAPER / "revised-verdicts.csv"
    rules, claims = _all_rules(), table.set_index("id")
    verdicts = read_csv_table(file, ("id", "scale", "earlier", "verdict")).join(
        claims[["document", "claim", "task", "factors"]], on="id", how="inner"
    )
    kinds = ["factors" if variant == "factors" else "task" for variant in verdicts["variant"]]
    named = [row[kind] for kind, row in zip(kinds, verdicts.to_dict("records"), strict=True)]
    changed = [". ".join(rules[kind][name].changed) for kind, name in zip(kinds, named, strict=True)]
    return verdicts.assign(changed=changed)[
        ["id", "document", "claim", "scale", "variant", "verdict", "earlier", "changed"]
    ]


def superseded_verdicts(entries: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts on annealed runs, and those that runs with settings searched at a constant rate had given.

    The earlier ones were in the ledger until the commit that completed a task's annealed runs, and are kept in
    ``data/paper/superseded-verdicts.csv``.

    Parameters
    ----------
    entries : DataFrame
        As `judge_everything` returns it.

    Returns
    -------
    DataFrame
        One row per claim and task: ``id, claim, scale`` (the task), ``verdict, earlier``.
    """
    earlier = read_csv_table(PAPER / "superseded-verdicts.csv", ("id", "scale", "verdict"))
    now = entries[entries["variant"] == "annealed"][["id", "claim", "scale", "verdict"]]
    return now.merge(earlier.rename(columns={"verdict": "earlier"}), on=["id", "scale"])


def by_last_model(profile: str) -> pd.DataFrame:
    """Judge the claims that compare optimizers by the last models on the whole test split as well.

    Returns
    -------
    DataFrame
        One row per claim, task and variant with a verdict: ``id, scale, variant, by_last`` (the word), ``numbers``.
        Beside the verdicts of `judge_everything`, which are by SetA, by the first three.
    """
    rules, table, results = load_rules("task"), read_claims(), task_results(profile)
    comparing = table[[bool(name) and rules[name].decide in COMPARING for name in table["task"]]]
    rows = []
    for claim in comparing.to_dict("records"):
        for (task, variant), given in results.items():
            if given is None:
                continue
            last = rules[claim["task"]](replace(given, by_last=True))
            if last.word not in ("not applicable", "not run here"):
                rows.append((claim["id"], task, variant, last.word, last.detail))
    return pd.DataFrame(rows, columns=["id", "scale", "variant", "by_last", "numbers"])


def network_studies(profile: str) -> dict[str, Study | None]:
    """Return what the study of solutions has of each network, by its title; None where nothing is there."""
    known = parts.titles(profile) if profile in parts.PROFILES else {}
    return {title: Study.load(profile, name) for name, title in known.items()}


def factor_grids(profile: str) -> dict[str, Factors | None]:
    """Return what the grids on flatness have of each of their tasks; None where they were not run."""
    names = grids.grid_tasks(FACTORS, profile) if profile in profiles.profile_names(FOLDER.parent / FACTORS) else ()
    return {task: Factors.load(profile, task) for task in names}


def judge_claims(
    table: pd.DataFrame,
    results: Mapping[tuple[str, str], Results | None],
    computed: Computed,
    pages: set[str],
    networks: Mapping[str, Study | None] | None = None,
    factors: Mapping[str, Factors | None] | None = None,
) -> pd.DataFrame:
    """Judge the claims of a table.

    Parameters
    ----------
    table : DataFrame
        As `read_claims` returns it.
    results : mapping of (str, str) to Results or None
        Task and variant → their results, None where there are none.
    computed : Computed
    pages : set of str
        Names of the pages that are written.
    networks : mapping of str to Study or None, optional
        Title of a network → what the study has of it, None where there is nothing.
    factors : mapping of str to Factors or None, optional
        Task → what the grids on flatness have of it.

    Returns
    -------
    DataFrame
        As `judge_everything`.
    """
    rules = _all_rules()
    evidence: dict[str, Mapping[tuple[str, str], Any]] = {
        "printed": {(PRINTED_SCALE, ""): printed_checks()},
        "computed": {(COMPUTED_SCALE, ""): computed},
        "task": results,
        "study": {(title, ""): study for title, study in (networks or {}).items()},
        "factors": {(task, "factors"): found for task, found in (factors or {}).items()},
    }
    rows = []
    for claim in table.to_dict("records"):
        judged = {
            place: (kind, rules[kind][claim[kind]], given)
            for kind, places in evidence.items()
            if claim[kind]
            for place, given in places.items()
        }
        fixed = {name: claim[name] for name in ("id", "document", "where", "claim", "page")}
        for (scale, variant), (kind, rule, given) in judged.items():
            finding = Finding("not run here", "") if given is None else rule(given)
            if finding.word == "not run here" and not finding.detail:
                finding = Finding(finding.word, _LACKING[kind])
            by = {"evidence": kind, "rule": claim[kind], "rule_version": rule.version}
            rows.append(fixed | {"scale": scale, "variant": variant} | _said(finding) | by)
        if claim["reason"]:
            finding = _untested(claim["reason"], claim["page"], pages)
            by = dict.fromkeys(("evidence", "rule", "rule_version"), "")
            rows.append(fixed | {"scale": NO_SCALE, "variant": ""} | _said(finding) | by)
    return pd.DataFrame(rows)


def _said(finding: Finding) -> dict[str, str]:
    return {"verdict": finding.word, "detail": finding.detail, "number": finding.number}


def _untested(reason: str, page: str, pages: set[str]) -> Finding:
    """Return 'not tested' with the reason; where that is "page", whether the page is written."""
    if reason != "page":
        return Finding("not tested", reason)
    if page in pages:
        return Finding("see the page", "its page tests it")
    return Finding("not tested yet", f"the page {page} is not in the table of contents")
