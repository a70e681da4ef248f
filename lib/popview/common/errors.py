"""The one error that a user's mistake raises, how a misspelt name is answered, and what an error of others says."""

import re
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any


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


class Unfinished(UsageError):
    """Some of what was asked for could not be computed now; all else was."""


@contextmanager
def setting_up(task: str) -> Iterator[None]:
    """Within this context a UsageError becomes `Unavailable` of the task."""
    try:
        yield
    except UsageError as error:
        raise Unavailable(str(error), task) from error


@contextmanager
def of_the_book() -> Iterator[None]:
    """Within this context a package that is not installed raises UsageError, which says that it comes with the book."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: pip install 'popview[book]'") from error


def check_name(kind: str, name: Any, known: Collection[str]) -> None:
    """Raise UsageError, naming the nearest valid one, case ignored, unless `name` is among `known`."""
    if name in known:
        return
    folded = {one.casefold(): one for one in known}
    close = get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.4)
    hint = f"did you mean {folded[close[0]]!r}? " if close else ""
    names = f"known: {', '.join(map(str, known))}" if known else "there is none"
    raise UsageError(f"unknown {kind} {name!r}: {hint}{names}")


def last_line(message: str) -> str:
    """Return the last line of an error's message that has a word, without the C++ calls that torch appends; or "".

    Examples
    --------
    >>> from popview.common.errors import last_line
    >>> last_line('too large for "int\\nException raised from unpack at numbers.h:79\\nframe #0: main\\n"')
    'too large for "int'
    """
    lines = message.partition("\nException raised from")[0].splitlines()
    return next((line.strip() for line in reversed(lines) if re.search(r"\w", line)), "")


def place_of(error: BaseException) -> str:
    """Return where an error arose, "file.py, line 9": in a reader's own code, if it passed any."""
    popview, every = Path(__file__).parents[1], traceback.extract_tb(error.__traceback__)
    theirs = [
        frame for frame in every if "-packages" not in frame.filename and popview not in Path(frame.filename).parents
    ]
    place = (theirs or every)[-1]
    return f"{Path(place.filename).name}, line {place.lineno}"


def reason_of(error: BaseException, most: int = 200) -> str:
    """Return what an error says in one line, of at most so many letters, or its kind where it says nothing.

    Examples
    --------
    >>> from popview.common.errors import reason_of
    >>> reason_of(OSError("no such\\n  file")), reason_of(AssertionError())
    ('no such file', 'AssertionError')
    """
    return " ".join(str(error).split())[:most] or type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was short: Python, NumPy and Arrow raise MemoryError for it, torch RuntimeError."""
    words = "out of memory|allocate memory|enough memory"
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(re.search(words, str(error))))
