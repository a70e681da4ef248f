"""The words that a rule may say, and what goes with them."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["WORDS", "Finding", "Word", "share"]

Word = Literal[
    "holds",
    "holds in part",
    "does not hold",
    "inconclusive",
    "not applicable",
    "not run here",
    "not tested",
    "not tested yet",
    "see the chapter",
]
WORDS: tuple[Word, ...] = Word.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Finding:
    """What one rule says of one claim: a word of `WORDS`, the numbers behind it, and the one that sums them up.

    Examples
    --------
    >>> from popview.paper.rules.finding import share
    >>> share(2, 3, "two of three landscapes").word
    'holds in part'
    """

    word: Word
    detail: str
    number: str = ""


def share(found: int, of: int, detail: str) -> Finding:
    """'holds' if all of them do, 'does not hold' if none does, else 'holds in part'."""
    return Finding("holds" if found == of else "does not hold" if found == 0 else "holds in part", detail)
