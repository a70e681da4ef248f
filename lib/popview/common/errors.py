"""The one error that a user's mistake raises, and how a misspelt name is answered."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

__all__ = ["Unavailable", "UsageError", "check_name", "nearest"]


class UsageError(ValueError):
    """A user's mistake, told in one line; the command line prints it without a traceback.

    Examples
    --------
    >>> from popview.common.errors import UsageError
    >>> from popview.optimizers import hyperparameters
    >>> try:
    ...     hyperparameters("SAMM")
    ... except UsageError as error:
    ...     print(str(error).partition(" known:")[0])
    unknown algorithm 'SAMM': did you mean 'SAM'?
    """


class Unavailable(UsageError):
    """A task that cannot be set up, for want of its data or model say; other tasks are not concerned."""

    def __init__(self, message: str, task: str) -> None:
        super().__init__(message, task)
        self.task = task

    def __str__(self) -> str:
        return str(self.args[0])


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the known name that is closest to `name` (case ignored), or None where none is close."""
    folded = {k.casefold(): k for k in known}
    found = get_close_matches(name.casefold(), folded, n=1, cutoff=0.4)
    return folded[found[0]] if found else None


def check_name(kind: str, name: Any, known: Collection[str]) -> None:
    """Raise UsageError, naming the nearest valid one, unless `name` is among `known`."""
    if name in known:
        return
    guess = nearest(str(name), known)
    hint = f"did you mean {guess!r}? " if guess else ""
    raise UsageError(f"unknown {kind} {name!r}: {hint}known: {', '.join(map(str, known))}")
