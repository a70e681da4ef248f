"""The words that a rule may say, how parts that say yes or no become one word, and how rows become a list."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from popview.common.errors import UsageError

#: Where Vargha and Delaney call an effect large: below this A12 a comparison, or a component, is not sure of the order.
LARGE = 0.71

Word = Literal[
    "holds",
    "holds in part",
    "does not hold",
    "inconclusive",
    "not applicable",
    "not run here",
    "not tested",
    "not tested yet",
    "see the page",
]
WORDS: tuple[Word, ...] = Word.__args__  # type: ignore[attr-defined]

#: What a decider returns: a word, and the numbers that the rule's sentences in ``data/paper/rules.toml`` name.
Decision = tuple[Word, dict[str, Any]]


@dataclass(frozen=True)
class Finding:
    """What one rule says of one claim: a word of `WORDS`, the numbers behind it, and the one that sums them up."""

    word: Word
    detail: str
    number: str = ""


def filled_in(sentence: str, numbers: Mapping[str, Any], where: str) -> str:
    """Put numbers into a sentence's fields; raise UsageError, which says where, if a field is none of them."""
    try:
        return sentence.format(**numbers)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        known = f"known: {', '.join(numbers)}" if numbers else "there are no numbers"
        raise UsageError(f"{where}: a field of {sentence!r} cannot be filled ({error}); {known}") from error


def that_share(yes: Iterable[bool]) -> Word:
    """'holds' if every part says yes, 'does not hold' if none does, else 'holds in part'."""
    yes = list(yes)
    return "holds" if all(yes) else "holds in part" if any(yes) else "does not hold"


def any_or_settled(yes: Iterable[bool], settled: bool) -> Word:
    """As `that_share`, but where no part says yes 'does not hold' only if that is settled, else 'inconclusive'."""
    yes = list(yes)
    return that_share(yes) if any(yes) or settled else "inconclusive"


def signs(yes: Iterable[bool], no: Iterable[bool]) -> Word:
    """As `that_share`, but 'inconclusive' where one part says yes and another no, or no part says either."""
    yes = list(yes)
    return "inconclusive" if any(yes) == any(no) else that_share(yes)


def list_rows(rows: pd.DataFrame, template: str, separator: str = "; ") -> str:
    """Write each row of a table by a template that names its columns, one after another; 'none' without rows."""
    return separator.join(template.format(**row) for row in rows.to_dict("records")) or "none"
