"""Chapter 11's sentences, worded by rule from the numbers."""

from collections.abc import Mapping

import pandas as pd

from popview.book.page import MINUS, NOT_RUN, signed
from popview.book.tables.topography import STAGE_NAMES, side_of_zero
from popview.paper.rules import Finding, Study, load_rules
from popview.populations.comparisons import ALPHA
from popview.statistics import holm

__all__ = ["accuracy_differences", "answer", "converged", "count_sides", "judged", "norms_and_directions", "others"]

#: Rule → what the answer says before its verdicts.
CLAIMS = {
    "lower_barriers": "Barriers between SGD's solutions are lower than between L-BFGS-GSS's",
    "lower_when_early": "Barriers are lower for early-stopped solutions too",
    "deeper_minima": "L-BFGS-GSS reaches lower training loss",
    "less_general": "L-BFGS-GSS's fully fitted solutions generalize less well",
    "smoother_basins": "SGD's solutions lie in flatter places at equal training loss",
    "more_spread_out": "L-BFGS-GSS's solutions lie further apart",
    "rbf_alone": "An RBF kernel separates the two sets and others do not",
    "apart_by_norm": "The two sets differ in norm, not in direction",
    "low_paths": "Fourier paths are low",
}


def answer(networks: Mapping[str, Study | None]) -> str:
    """Word what the study says of the claims, by rule: a count, a line per claim, and where nothing has been run."""
    there = {title: evidence for title, evidence in networks.items() if evidence is not None}
    if not there:
        return "The study of trained networks has not been run here yet."
    rules = load_rules("study")
    found = {rule: {title: rules[rule](evidence) for title, evidence in there.items()} for rule in CLAIMS}
    words = [{finding.word for finding in by.values()} - {"not run here"} for by in found.values()]
    everywhere, nowhere = (sum(word == {kind} for word in words) for kind in ("holds", "does not hold"))
    tested = sum(bool(word) for word in words)
    lead = (
        f"**Of {tested} claims, {everywhere} {'holds' if everywhere == 1 else 'hold'} on every network where it was "
        f"tested, {nowhere} on none, the other {tested - everywhere - nowhere} in part, on some, or undecided.** "
        "Numbers are L-BFGS-GSS's against SGD's."
    )
    absent = [title for title in networks if title not in there]
    lines = [f"- **{CLAIMS[rule]}:** {_grouped(by)}" for rule, by in found.items()]
    return "\n".join([lead, "", *lines]) + (f"\n\n{NOT_RUN.capitalize()}: {', '.join(absent)}." if absent else "")


def _grouped(found: Mapping[str, Finding]) -> str:
    """Group networks by their word: "*holds* on all 3 (FCP: 1 against 2; …)"."""
    groups: dict[str, list[str]] = {}
    for title, finding in found.items():
        groups.setdefault(finding.word, []).append(f"{title}: {_signed(finding.number)}" if finding.number else title)
    everywhere = f" on {'both' if len(found) == 2 else f'all {len(found)}'}" if len(groups) == 1 < len(found) else ""
    return ", ".join(f"*{word}*{everywhere} ({'; '.join(titles)})" for word, titles in groups.items()) + "."


def _signed(words: str) -> str:
    return signed(words.replace("e-0", "e-"))


def judged(rule: str, networks: Mapping[str, Study | None]) -> str:
    """Write a rule's verdict on each network with all of its numbers, one line each."""
    judge = load_rules("study")[rule]
    there = {title: judge(evidence) for title, evidence in networks.items() if evidence is not None}
    return "\n".join(f"- {title}: *{found.word}*: {found.detail}." for title, found in there.items()) or NOT_RUN


def converged(barriers: pd.DataFrame) -> str:
    """Say how many of the fits had converged when their steps were used up, by what they minimise."""
    if barriers.empty:
        return f"{NOT_RUN.capitalize()}."
    names = {"sum": "the sum of losses", "maximum": "the soft maximum"}
    parts = [
        f"{int(rows['converged'].sum()):,} of {len(rows):,} fits of {names[objective]}"
        for objective, rows in barriers.groupby("objective", sort=False)
    ]
    return f"When the steps were used up, {' and '.join(parts)} had converged."


def count_sides(table: pd.DataFrame) -> str:
    """Count on which side of 0 the intervals of `popview.populations.solutions.changes` lie."""
    if table.empty:
        return f"{NOT_RUN}"
    counts = table.apply(lambda r: side_of_zero(r["low"], r["high"]), axis=1).value_counts()
    parts = [f"{word} in {counts.get(word, 0)}" for word in ("lower", "higher", "not told apart")]
    return f"{', '.join(parts)} of {len(table)} sets"


def others(table: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """Compare rises of fully fitted solutions as they are with SGD's: `changes` with a column ``algorithm``."""
    if table.empty:
        return f"The rise against SGD's of the other algorithms: {NOT_RUN}."
    rows = table[(table["stage"] == "fitted") & (table["ends"] == "plain") & (table["objective"] == "sum")]
    parts = [
        f"{row['algorithm']}'s on {titles[row['network']]} {side_of_zero(row['low'], row['high'])} "
        f"({row['a']:.2g} against {row['b']:.2g})"
        for row in rows.to_dict("records")
    ]
    return f"Against SGD's, the mean rise between fully fitted solutions is: {', '.join(parts)}."


def accuracy_differences(networks: Mapping[str, Study | None]) -> str:
    """Compare every algorithm's fully fitted test accuracy with SGD's by seed, Holm's p within a network, by rule."""
    lines = []
    for title, evidence in networks.items():
        names = [name for name in evidence.values("fitted", "seed") if name != "SGD"] if evidence is not None else []
        found = {
            name: result
            for name in names
            if evidence and (result := evidence.against("fitted", "test_accuracy", name)) is not None
        }
        if found:
            adjusted = holm([result.p_value or 0.0 for result in found.values()])
            parts = [
                f"{name} {100 * result.estimate:+.2f}".replace("+-", "-").replace(" -", f" {MINUS}")
                + ("" if p <= ALPHA else " (not told apart)")
                for (name, result), p in zip(found.items(), adjusted, strict=True)
            ]
            lines.append(f"{title}: {', '.join(parts)}")
    if not lines:
        return f"{NOT_RUN.capitalize()}."
    return (
        "Test accuracy of fully fitted solutions less SGD's, in points (sign-flip test by seed, Holm's p ≤ 0.05 within "
        f"a network): {'; '.join(lines)}."
    )


def norms_and_directions(table: pd.DataFrame, told: pd.DataFrame) -> str:
    """Say how often norms alone separate the two sets entirely, and directions tell them apart, over all stages."""
    if told.empty:
        return f"{NOT_RUN.capitalize()}."
    norms = table[table["by"] == "norm"]
    stages = ", ".join(STAGE_NAMES[stage] for stage in dict.fromkeys(told["stage"]))
    return (
        f"Over all networks and stages ({stages}): norms alone order the two sets without an error in "
        f"{(norms['a12'] == 1).sum()} of {len(norms)} cases; directions tell them apart (p ≤ {ALPHA:g}) in "
        f"{(told['p'] <= ALPHA).sum()} of {len(told)}, with {told['right'].min()} to {told['right'].max()} of "
        f"{told['of'].max()} assigned rightly."
    )
