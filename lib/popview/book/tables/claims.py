"""The ledger of claims as tables: a line per claim for the first page, a line per scale for the status page."""

from collections.abc import Collection

import pandas as pd

from popview.book.cells import with_variant
from popview.book.page import signed
from popview.paper.claims import COMPUTED_SCALE, NO_SCALE, PLANNED, PRINTED_SCALE

__all__ = ["changed_rules", "compact", "full", "in_a_line", "named", "rules", "without_verdicts"]

#: Scales that are neither a task nor a network.
FIXED = (PRINTED_SCALE, COMPUTED_SCALE, NO_SCALE)


def _link(page: str, pages: Collection[str]) -> str:
    """Return a link to a page, which bears its title; or the page's name where it is not written."""
    return f"[]({page}.ipynb)" if page in pages else PLANNED.get(page, page)


def _judged(entries: pd.DataFrame) -> dict[str, list[str]]:
    """Return the tasks, and networks, that have a verdict for some claim, each with its variants, in order."""
    rows = entries[~entries["scale"].isin(FIXED) & (entries["verdict"] != "not run here")]
    return {str(scale): list(variants.unique()) for scale, variants in rows.groupby("scale", sort=False)["variant"]}


def without_verdicts(entries: pd.DataFrame) -> pd.Series:
    """Say which entries are of a task and variant, or of a network, without any verdict."""
    there = entries["scale"].isin(FIXED) | (entries["verdict"] != "not run here")
    return ~there.groupby([entries["scale"], entries["variant"]]).transform("any")


def named(entries: pd.DataFrame) -> str:
    """Name the tasks of entries in a line: the task alone where all of its variants are meant, as far as listed."""
    listed = entries.groupby("scale", sort=False)["variant"].unique()
    words = [str(task) if len(found) > 1 else with_variant(str(task), *found) for task, found in listed.items()]
    return ", ".join(words) or "none"


def compact(entries: pd.DataFrame, document: str, pages: Collection[str]) -> pd.DataFrame:
    """Lay out one document's claims, one line each: the verdict on the printed tables, here, and on each task there is.

    A task has one column: one word where its variants agree, else one for each.

    Parameters
    ----------
    entries : DataFrame
        As `popview.paper.claims.judge_everything` returns it.
    document : str
    pages : collection of str
        Names of the pages that are written.
    """
    chosen = entries[entries["document"] == document]
    here = chosen["scale"].replace({COMPUTED_SCALE: "computed here", NO_SCALE: "computed here"})
    wide = chosen.assign(scale=here).pivot(index="id", columns=["scale", "variant"], values="verdict").fillna("–")
    wide = wide.reindex(index=list(dict.fromkeys(chosen["id"])))
    columns = {name: wide[name, ""] for name in (PRINTED_SCALE, "computed here") if (name, "") in wide}
    for scale, variants in _judged(chosen).items():
        columns[scale] = wide[[(scale, name) for name in variants]].set_axis(variants, axis=1).apply(_agreed, axis=1)
    first = chosen.drop_duplicates("id").set_index("id")
    table = pd.DataFrame(columns)
    table.insert(0, "claim", first["claim"])
    table["read on"] = first["page"].map(lambda page: _link(page, pages))
    return table.reset_index(drop=True)


def in_a_line(entries: pd.DataFrame, claim: str) -> str:
    """Write one claim's verdicts on the tasks there are: "*holds* on digits (base); *inconclusive* on digits (tuned)".

    A variant is named where another one of the same task has another verdict.
    """
    chosen = entries[entries["id"] == claim].set_index(["scale", "variant"])["verdict"]
    where: dict[str, list[str]] = {}
    for scale, variants in _judged(entries).items():
        found = {variant: chosen[scale, variant] for variant in variants if (scale, variant) in chosen}
        for variant, word in found.items():
            name = scale if len({*found.values()}) == 1 else with_variant(scale, variant)
            if name not in where.setdefault(word, []):
                where[word].append(name)
    return "; ".join(f"*{word}* on {', '.join(names)}" for word, names in where.items()) or "not run here"


def _agreed(words: pd.Series) -> str:
    """Return the word that all variants share, else each with its variant's name."""
    return words.iloc[0] if words.nunique() == 1 else "; ".join(f"{name}: {word}" for name, word in words.items())


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
                    "numbers": signed(row["detail"].replace("|", "\\|")),
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
}


def rules(stated: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.paper.claims.rules_of_claims`: claim, evidence, rule, with the words of verdicts in italics."""
    again = stated["claim"].duplicated()
    words = stated["stated"].str.replace(r"'([a-z ]+)'", r"*\1*", regex=True)
    return pd.DataFrame(
        {
            "claim": stated["claim"].mask(again, ""),
            "evidence": stated["evidence"].map(_EVIDENCE),
            "rule": "`" + stated["rule"] + "`: " + words.str.replace("|", "\\|"),
        }
    )


def changed_rules(found: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.paper.claims.revised_verdicts`: the claims, and the verdicts that turn on a changed rule."""
    lines = []
    for _, rows in found.groupby("id", sort=False):
        turned = rows[rows["verdict"] != rows["earlier"]]
        where = turned["scale"].combine(turned["variant"], with_variant)
        told = where + ": *" + turned["earlier"] + "*, now *" + turned["verdict"] + "*"
        first = rows.iloc[0]
        lines.append({"claim": first["claim"], "changed": first["changed"], "verdicts": "; ".join(told) or "the same"})
    return pd.DataFrame(lines)
