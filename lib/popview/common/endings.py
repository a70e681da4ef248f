"""How a command ends: in one line and an exit code where it is no bug; signals that ask for an end count as Ctrl-C.

Nothing heavy is imported here: this is in force while all else is.
"""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from popview.common.errors import UsageError, is_out_of_memory, last_line

#: Signals that ask for an end: Ctrl-C, a request (``kill``, a batch system at its walltime), a closed terminal.
STOPS = {signal.SIGINT: "interrupted", signal.SIGTERM: "asked to end", signal.SIGHUP: "the terminal was closed"}

#: What a write fails with where the file's name is not told.
WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Stop(BaseException):
    """A signal of `STOPS` but Ctrl-C, which Python raises as KeyboardInterrupt.

    Parameters
    ----------
    number
        The signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """Within this context the signals of `STOPS` raise `Stop`, once, unless one is ignored, as after ``nohup``.

    Ctrl-C stays KeyboardInterrupt. Outside the main thread nothing is changed.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in STOPS:
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would break off the tidying up
    raise Stop(number)


@contextmanager
def reported() -> Iterator[None]:
    """Within this context what ends a command, but is no bug, becomes a line on stderr and SystemExit with its code.

    Characters that the terminal's encoding lacks are printed as escapes. What was printed is flushed at the end, since
    Python would tell of a full disk or a closed pipe in its own words. Codes: 2 for a mistake and for a failure of the
    system, 128 and the signal's number for a signal.
    """
    stream, strict = sys.stdout, getattr(sys.stdout, "errors", None)
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")  # as stderr has it anyway
    try:
        with stoppable():
            yield
            if sys.stdout is not None:
                sys.stdout.flush()
    except BaseException as error:
        ending = code_of(error)
        if ending is None:
            raise
        code, words = ending
        with suppress(OSError, ValueError):  # stderr is full or closed: the code says it
            if words and sys.stderr is not None:
                print(f"popview: {' '.join(words.split())}", file=sys.stderr, flush=True)
        _forget_what_cannot_be_written()
        raise SystemExit(code) from None
    finally:
        if hasattr(stream, "reconfigure"):
            with suppress(OSError):
                stream.reconfigure(errors=strict)


def code_of(error: BaseException) -> tuple[int, str] | None:
    """Return the exit code and the words, if any, for what ended a command; None for a bug, which gets its traceback.

    Examples
    --------
    >>> from popview.common.endings import code_of
    >>> code_of(PermissionError(13, "Permission denied", "data/smoke"))
    (2, 'data/smoke: Permission denied')
    >>> code_of(MemoryError())
    (2, 'memory is short: free some, or compute less at once (fewer --workers, fewer restarts)')
    >>> code_of(KeyError("seed")) is None
    True
    """
    if isinstance(error, ImportError) and isinstance(error.__cause__, KeyboardInterrupt | Stop):
        error = error.__cause__  # what SciPy's C++ makes of a signal while it is loaded
    if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
        error = error.__context__  # what typer makes of a closed pipe
    if isinstance(error, KeyboardInterrupt | Stop):
        number = error.number if isinstance(error, Stop) else signal.SIGINT
        return 128 + number, f"{STOPS[signal.Signals(number)]}; what was finished is kept"
    if isinstance(error, UsageError):
        return 2, str(error)
    if is_out_of_memory(error):
        words = last_line(str(error))
        cure = "free some, or compute less at once (fewer --workers, fewer restarts)"
        return 2, f"memory is short{f' ({words})' if words else ''}: {cure}"
    if isinstance(error, BrokenPipeError):
        return 128 + signal.SIGPIPE, ""  # as after ``| head``
    if isinstance(error, OSError):
        reason = error.strerror or last_line(str(error)) or type(error).__name__
        where = error.filename if error.filename is not None else "cannot write" if error.errno in WRITING else ""
        return 2, f"{os.fsdecode(where)}: {reason}" if where else reason
    return None


def _forget_what_cannot_be_written() -> None:
    """Let what is left in stdout's buffer go nowhere if it cannot be written, lest Python complain at its exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
