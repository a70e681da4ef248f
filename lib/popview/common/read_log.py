"""What a chapter reads while it runs, so that it can be called stale when that changes."""

import os
from pathlib import Path

ENVIRONMENT_VARIABLE = "POPVIEW_READS"


def record(path: str | os.PathLike[str]) -> None:
    """Note that `path` was read, by whoever calls this before opening it.

    Appends the absolute path as one line to the file that the environment variable ``POPVIEW_READS`` names; does
    nothing where it is not set. Worker processes inherit the variable, so their reads count too.

    Parameters
    ----------
    path
        A file, or a folder whose listing was read: every file below it counts then. It need not exist: that it was
        looked for and not found is a result as well.
    """
    log = os.environ.get(ENVIRONMENT_VARIABLE)
    if not log:
        return
    line = os.fsencode(f"{Path(path).absolute()}\n")
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)  # one write: lines of two processes never mix
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def recording() -> bool:
    """Return whether it is noted what is read."""
    return bool(os.environ.get(ENVIRONMENT_VARIABLE))
