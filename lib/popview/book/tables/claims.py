"""The ledger of claims as tables: a line per claim for the first page, a line per scale for the status page."""

from collections.abc import Mapping

import pandas as pd

from popview.book.page import signed
from popview.paper.claims import COMPUTED_SCALE, NO_SCALE, PRINTED_SCALE

__all__ = ["changed_rules", "compact", "full", "in_a_line", "named", "rules", "scales_without_verdicts"]


def _link(chapter: str, pages: Mapping[str, str]) -> str:
    """Return a link to a chapter's page beside this one, or its number where there is no such page."""
    words = f"chapter\u00a0{int(chapter)}"
    return f"[{words}]({pages[chapter]}.ipynb)" if chapter in pages else words


def _there(entries: pd.DataFrame) -> list[str]:
    """Return the scales of tasks that have a verdict for some claim, in order."""
    fixed = {PRINTED_SCALE, COMPUTED_SCALE, NO_SCALE}
    judged = entries[~entries["scale"].isin(fixed) & (entries["verdict"] != "not run here")]
    return list(dict.fromkeys(judged["scale"]))


def scales_without_verdicts(entries: pd.DataFrame) -> list[str]:
    """Return the scales of tasks without any verdict, in order."""
    there = {*_there(entries), PRINTED_SCALE, COMPUTED_SCALE, NO_SCALE}
    return [scale for scale in dict.fromkeys(entries["scale"]) if scale not in there]


def named(scales: list[str]) -> str:
    """Name scales of tasks in a line: the task alone where all of its variants are meant, as far as they are listed."""
    words = [task if len(found) > 1 else next(iter(found.values())) for task, found in _variants(scales).items()]
    return ", ".join(words) or "none"


def compact(entries: pd.DataFrame, document: str, pages: Mapping[str, str]) -> pd.DataFrame:
    """Lay out one document's claims, one line each: the verdict on the printed tables, here, and on each task there is.

    A task has one column: one word where its variants agree, else one for each.

    Parameters
    ----------
    entries : DataFrame
        As `popview.paper.claims.judge_everything` returns it.
    document : str
    pages : mapping of str to str
        Chapter → page, as `popview.paper.claims.written_chapters` returns it.
    """
    chosen = entries[entries["document"] == document]
    here = chosen["scale"].replace({COMPUTED_SCALE: "computed here", NO_SCALE: "computed here"})
    wide = chosen.assign(scale=here).pivot(index="id", columns="scale", values="verdict").fillna("–")
    wide = wide.reindex(index=list(dict.fromkeys(chosen["id"])))
    columns = {name: wide[name] for name in (PRINTED_SCALE, "computed here") if name in wide}
    for task, variants in _variants(_there(chosen)).items():
        columns[task] = wide[list(variants.values())].set_axis(list(variants), axis=1).apply(_agreed, axis=1)
    first = chosen.drop_duplicates("id").set_index("id")
    table = pd.DataFrame(columns)
    table.insert(0, "claim", first["claim"])
    table["read on"] = first["chapter"].map(lambda chapter: _link(chapter, pages))
    return table.reset_index(drop=True)


def in_a_line(entries: pd.DataFrame, claim: str) -> str:
    """Write one claim's verdicts on the tasks there are: "*holds* on digits (base); *inconclusive* on digits (tuned)".

    A variant is named where another one of the same task has another verdict.
    """
    chosen = entries[entries["id"] == claim].set_index("scale")["verdict"]
    where: dict[str, list[str]] = {}
    for task, variants in _variants(_there(entries)).items():
        found = {variant: chosen[scale] for variant, scale in variants.items() if scale in chosen}
        for variant, word in found.items():
            name = task if len({*found.values()}) == 1 else f"{task} ({variant})"
            if name not in where.setdefault(word, []):
                where[word].append(name)
    return "; ".join(f"*{word}* on {', '.join(names)}" for word, names in where.items()) or "not run here"


def _variants(scales: list[str]) -> dict[str, dict[str, str]]:
    """Sort scales "<task> (<variant>)": task → variant → scale."""
    found: dict[str, dict[str, str]] = {}
    for scale in scales:
        task, _, variant = scale.rstrip(")").partition(" (")
        found.setdefault(task, {})[variant] = scale
    return found


def _agreed(words: pd.Series) -> str:
    """Return the word that all variants share, else each with its variant's name."""
    return words.iloc[0] if words.nunique() == 1 else "; ".join(f"{name}: {word}" for name, word in words.items())


def full(entries: pd.DataFrame, document: str, pages: Mapping[str, str]) -> pd.DataFrame:
    """Lay out one document's claims, one line per claim and scale, with where it is made and the numbers behind it.

    Tasks without a verdict for any claim share one line per claim.
    """
    chosen = entries[entries["document"] == document]
    absent = scales_without_verdicts(entries)
    lines = []
    for _, rows in chosen.groupby("id", sort=False):
        shown = rows[~rows["scale"].isin(absent)]
        left = rows[rows["scale"].isin(absent)]
        if len(left):
            joined = {**left.iloc[0].to_dict(), "scale": named(list(left["scale"]))}
            shown = pd.concat([shown, pd.DataFrame([joined])])
        for place, row in enumerate(shown.to_dict("records")):
            first = place == 0
            lines.append(
                {
                    "claim": row["claim"] if first else "",
                    "where": row["where"] if first else "",
                    "scale": "–" if row["scale"] == NO_SCALE else row["scale"],
                    "verdict": f"**{row['verdict']}**",
                    "numbers": signed(row["detail"].replace("|", "\\|")),
                    "tested in": _link(row["chapter"], pages) if first else "",
                }
            )
    return pd.DataFrame(lines)


#: Kind of evidence → what a reader is told.
_EVIDENCE = {
    "printed": "printed tables",
    "computed": "landscapes, simulations",
    "task": "each task and variant",
    "study": "each network of chapter 11",
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
        told = [f"{row.scale}: *{row.earlier}*, now *{row.verdict}*" for row in turned.itertuples()]
        first = rows.iloc[0]
        lines.append({"claim": first["claim"], "changed": first["changed"], "verdicts": "; ".join(told) or "the same"})
    return pd.DataFrame(lines)
