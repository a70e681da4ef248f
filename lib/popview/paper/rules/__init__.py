"""The rules by which the ledger judges the claims: numbers in, one of a few words out, never typed by hand.

``data/paper/rules.toml`` states every rule, names the function that decides it, and has the sentence for its numbers.
Five kinds of evidence: ``printed`` (the checks of `popview.paper.audit.printed_checks`), ``computed`` (`Computed`,
landscapes and simulations), ``task`` (`Results` of a task), ``study`` (`Study` of a network's solutions) and
``factors`` (`Factors`, a factorial of settings and single changes).
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from inspect import isfunction, signature
from types import ModuleType
from typing import Any

from popview.common.errors import UsageError, check_name
from popview.common.files import read_toml
from popview.common.folders import PAPER
from popview.paper.finding import WORDS, Decision, Finding, filled_in
from popview.paper.rules import by_checks, by_factors, by_landscapes, by_solutions, by_tasks
from popview.paper.rules.by_factors import Factors
from popview.paper.rules.by_landscapes import Computed
from popview.paper.rules.by_solutions import Study
from popview.paper.rules.by_tasks import Results

__all__ = ["DECIDERS", "WORDS", "Computed", "Factors", "Finding", "Results", "Rule", "Study", "load_rules"]


def _functions_of(module: ModuleType) -> dict[str, Callable[..., Decision | Finding | None]]:
    """Return the public functions that a module defines, by name."""
    own = {name: function for name, function in vars(module).items() if isfunction(function) and name[0] != "_"}
    return {name: function for name, function in own.items() if function.__module__ == module.__name__}


#: Kind of evidence → the functions that its rules may be decided by: all public ones of a module.
DECIDERS = {
    "printed": _functions_of(by_checks),
    "computed": _functions_of(by_landscapes),
    "task": _functions_of(by_tasks),
    "study": _functions_of(by_solutions),
    "factors": _functions_of(by_factors),
}

#: Keys of a rule that say which results it cannot judge: arguments of `Results.excluded`.
GUARDS = ("metric", "needs", "learned")


@dataclass(frozen=True)
class Rule:
    """One rule, called with evidence of its kind.

    Attributes
    ----------
    states : str
        What the rule says.
    decide : callable
        Evidence → a word and numbers; a finding where its sentence is another; None where evidence is missing.
    settings, guards : dict
        Arguments of `decide`, and of the evidence's ``excluded``.
    detail, number : str
        Sentences with fields for the numbers.
    absent : str
        The sentence where evidence is missing.
    changed : sequence of str
        What was changed in the rule in sight of results, and when.
    version : str
        The first 12 hexadecimal digits of the SHA-256 of its table in ``data/paper/rules.toml``, as JSON with sorted
        keys and no spaces, in UTF-8.
    """

    states: str
    decide: Callable[..., Decision | Finding | None]
    settings: Mapping[str, Any]
    guards: Mapping[str, Any]
    detail: str
    number: str = ""
    absent: str = ""
    changed: Sequence[str] = ()
    version: str = ""

    def __call__(self, evidence: Any) -> Finding:
        """Judge by the evidence."""
        if self.guards and (excluded := evidence.excluded(**self.guards)):
            return excluded
        decided = self.decide(evidence, **self.settings)
        if decided is None:
            return Finding("not run here", self.absent)
        if isinstance(decided, Finding):
            return decided
        word, numbers = decided
        return Finding(word, *(filled_in(text, numbers, self.states) for text in (self.detail, self.number)))


def load_rules(kind: str) -> dict[str, Rule]:
    """Read the rules of one kind of evidence from ``data/paper/rules.toml``, by name.

    Raises
    ------
    UsageError
        If there is no such kind, the file cannot be read, or a rule lacks something, names no function that decides
        rules of its kind, or has settings that it does not take.
    """
    check_name("kind of evidence", kind, DECIDERS)
    file = PAPER / "rules.toml"
    found, rules = read_toml(file).get(kind, {}), {}
    for name, row in found.items() if isinstance(found, dict) else ():
        for key in ("decide", "states", "detail"):
            if not isinstance(row, dict) or not isinstance(row.get(key), str):
                raise UsageError(f"rule {name} of {file} needs {key}, a text")
        check_name(f"decider of rule {name}", row["decide"], DECIDERS[kind])
        canonical = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
        row["version"] = hashlib.sha256(canonical.encode()).hexdigest()[:12]
        row |= {"decide": DECIDERS[kind][row["decide"]], "states": " ".join(row["states"].split())}
        own = {field.name: row.pop(field.name) for field in fields(Rule) if field.name in row}
        guards = {key: row.pop(key) for key in GUARDS if key in row}
        _check_arguments(own["decide"], row, f"rule {name} of {file}")
        rules[name] = Rule(**own, guards=guards, settings=row)
    return rules


def _check_arguments(decide: Callable[..., Any], settings: Mapping[str, Any], where: str) -> None:
    """Raise UsageError where a rule's settings are not arguments of its decider."""
    try:
        signature(decide).bind(None, **settings)
    except TypeError as error:
        raise UsageError(f"{where}: {error}") from error
