"""The ledger of claims as tables: a grid of marks, a line per claim and scale, and the rules."""

import html
import re
from collections.abc import Collection, Mapping

import pandas as pd

from popview.book.names import task_title, with_variant
from popview.book.page import signed
from popview.book.tables.topography import MEASURES
from popview.paper.claims import COMPUTED_SCALE, NO_SCALE, PRINTED_SCALE

#: Scales that are neither a task nor a network.
FIXED = (PRINTED_SCALE, COMPUTED_SCALE, NO_SCALE)


def _link(page: str, pages: Collection[str]) -> str:
    """Return a link to a page, which bears its title; or the page's name where it is not written."""
    return f"[]({page}.ipynb)" if page in pages else page


def _judged(entries: pd.DataFrame) -> list[str]:
    """Return the tasks, and networks, that have a verdict for some claim, in order."""
    rows = entries[~entries["scale"].isin(FIXED) & (entries["verdict"] != "not run here")]
    return [str(scale) for scale in rows["scale"].unique()]


def without_verdicts(entries: pd.DataFrame) -> pd.Series:
    """Say which entries are of a task and variant, or of a network, without any verdict."""
    there = entries["scale"].isin(FIXED) | (entries["verdict"] != "not run here")
    return ~there.groupby([entries["scale"], entries["variant"]]).transform("any")


def named(entries: pd.DataFrame) -> str:
    """Name the tasks of entries in a line: the task alone where all of its variants are meant, as far as listed."""
    listed = entries.groupby("scale", sort=False)["variant"].unique()
    words = [
        task_title(str(task)) if len(found) > 1 else with_variant(str(task), *found) for task, found in listed.items()
    ]
    return ", ".join(words) or "none"


#: Verdict → its mark in a grid and the colour of it; others are a dash.
_MARKS = {
    "holds": ("✓", "success"),
    "holds in part": ("◐", "text-base"),
    "does not hold": ("✗", "danger"),
    "inconclusive": ("?", "text-muted"),
}


def marks_grid(entries: pd.DataFrame, words: Mapping[str, str], pages: Collection[str]) -> pd.DataFrame:
    """Lay out claims as a grid of marks: ✓ holds, ◐ in part, ✗ does not hold, ? cannot be told, – not tested.

    A cell has one mark where base and searched settings agree, else one for each. The verdict and its numbers show
    where a reader points at it.

    Parameters
    ----------
    entries : DataFrame
        As `popview.paper.claims.judge_everything` returns it.
    words : mapping of str to str
        Identifier of a claim → what the grid calls it; in the order of the lines.
    pages : collection of str
        Names of the pages that are written.

    Returns
    -------
    DataFrame
        The claim, with a link to its page; a column per task that has verdicts, then one per other kind of evidence.
    """
    chosen = entries[entries["id"].isin(words.keys())]
    here = chosen.assign(scale=chosen["scale"].replace({NO_SCALE: COMPUTED_SCALE}))
    columns = [*_judged(chosen), *(name for name in (PRINTED_SCALE, COMPUTED_SCALE) if name in set(here["scale"]))]
    by_claim = {str(name): rows for name, rows in here.groupby("id", sort=False)}
    lines = []
    for claim, said in words.items():
        rows = by_claim.get(claim, chosen[:0])
        if rows.empty:  # of networks that the profile does not train
            lines.append({"claim": said} | dict.fromkeys(map(task_title, columns), "–"))
            continue
        page = rows["page"].iloc[0]
        line = {"claim": f"[{said}]({page}.ipynb)" if page in pages else said}
        lines.append(line | {task_title(name): _marks(rows[rows["scale"] == name]) for name in columns})
    return pd.DataFrame(lines)


def _marks(rows: pd.DataFrame) -> str:
    """Return the mark of one claim at one scale, or of each variant where they differ."""
    if rows.empty:
        return "–"
    lines = [(row.variant, row.verdict, row.detail) for row in rows.itertuples()]
    shown = lines[:1] if rows["verdict"].nunique() == 1 else lines
    told = "\n".join(f"{f'{variant}: ' if variant else ''}{verdict}: {detail}" for variant, verdict, detail in lines)
    return "\u00a0".join(_mark(verdict, told) for _, verdict, _ in shown)


def _mark(verdict: str, told: str) -> str:
    sign, colour = _MARKS.get(verdict, ("–", "text-muted"))
    title = html.escape(signed(_named(told))).replace("|", "&#124;").replace("\n", "&#10;")
    style = f"color:var(--pst-color-{colour});font-weight:700"
    return f'<span role="img" aria-label="{verdict}" title="{title}" style="{style}">{sign}</span>'


def _named(detail: str) -> str:
    """Write measures of sharpness by the names that pages use."""
    return re.sub(r"\b(" + "|".join(MEASURES) + r")\b", lambda found: f"“{MEASURES[found[0]]}”", detail)


def full(entries: pd.DataFrame, document: str, pages: Collection[str]) -> pd.DataFrame:
    """Lay out one document's claims, one line per claim and scale, with where it is made and the numbers behind it.

    Tasks without a verdict for any claim share one line per claim.
    """
    chosen, absent = entries[entries["document"] == document], without_verdicts(entries)
    lines = []
    for _, rows in chosen.groupby("id", sort=False):
        left = rows[absent[rows.index]]
        there = rows.drop(left.index).to_dict("records")
        shown = [(with_variant(row["scale"], row["variant"]), row) for row in there]
        shown += [(named(left), row) for row in left[:1].to_dict("records")]
        for place, (scale, row) in enumerate(shown):
            first = place == 0
            lines.append(
                {
                    "claim": row["claim"] if first else "",
                    "where": row["where"] if first else "",
                    "scale": "–" if scale == NO_SCALE else scale,
                    "verdict": f"**{row['verdict']}**",
                    "numbers": signed(_named(row["detail"]).replace("|", "\\|")),
                    "tested in": _link(row["page"], pages) if first else "",
                }
            )
    return pd.DataFrame(lines)


#: Kind of evidence → what a reader is told.
_EVIDENCE = {
    "printed": "printed tables",
    "computed": "landscapes, simulations",
    "task": "each task and variant",
    "study": "each network between whose solutions paths were sought",
    "factors": "a factorial of settings, and single changes",
}


def rules(stated: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.paper.claims.rules_of_claims`: claim, evidence, rule, with the words of verdicts in italics."""
    again = stated["claim"].duplicated()
    said = stated["stated"] + (" Changed: " + stated["changed"] + ".").where(stated["changed"] != "", "")
    words = said.str.replace(r"(?<![a-z])'([a-z ]+)'(?![a-z])", r"*\1*", regex=True)
    return pd.DataFrame(
        {
            "claim": stated["claim"].mask(again, ""),
            "evidence": stated["evidence"].map(_EVIDENCE),
            "rule": "`" + stated["rule"] + "`: " + words.str.replace("|", "\\|"),
        }
    )


def changed_rules(found: pd.DataFrame, stated: pd.DataFrame) -> pd.DataFrame:
    """Lay out every rule that was changed: the claims it judges, and the verdicts that turn on it.

    Parameters
    ----------
    found : DataFrame
        `popview.paper.claims.revised_verdicts`.
    stated : DataFrame
        `popview.paper.claims.rules_of_claims`: rules that had given no verdict before they were changed stand here
        alone.
    """
    lines = []
    for _, rows in found.groupby("id", sort=False):
        turned = rows[rows["verdict"] != rows["earlier"]]
        where = turned["scale"].combine(turned["variant"], with_variant)
        told = where + ": *" + turned["earlier"] + "*, now *" + turned["verdict"] + "*"
        first = rows.iloc[0]
        lines.append({"claim": first["claim"], "changed": first["changed"], "verdicts": "; ".join(told) or "the same"})
    others = stated[(stated["changed"] != "") & ~stated["claim"].isin(found["claim"])]
    for row in others.itertuples():
        lines.append({"claim": row.claim, "changed": row.changed, "verdicts": "none by the earlier rule"})
    return pd.DataFrame(lines)


def by_last(found: pd.DataFrame) -> pd.DataFrame:
    """Lay out, of the ledger beside `popview.paper.claims.by_last_model`, the verdicts that are others than by SetA."""
    turned = found[found["verdict"] != found["by_last"]]
    columns = {"claim": turned["claim"], "task": turned["scale"].combine(turned["variant"], with_variant)}
    words = {"by SetA": turned["verdict"], "by the last model": turned["by_last"], "its numbers": turned["numbers"]}
    return pd.DataFrame(columns | words)


def superseded(found: pd.DataFrame) -> pd.DataFrame:
    """Lay out those of `popview.paper.claims.superseded_verdicts` that are others now."""
    turned = found[found["verdict"] != found["earlier"]]
    columns = {"claim": turned["claim"], "task": turned["scale"].map(task_title)}
    return pd.DataFrame(columns | {"searched, constant rate": turned["earlier"], "annealed": turned["verdict"]})
