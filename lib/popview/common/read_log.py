"""What a chapter reads while it runs, so that it can be called stale when that changes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

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


@contextmanager
def apart() -> Iterator[list[Path]]:
    """Note what is read within this context in a list, which is filled at its end, and nowhere else.

    Examples
    --------
    >>> from popview.common import read_log
    >>> with read_log.apart() as reads:
    ...     read_log.record("/a/file")
    >>> [path.as_posix() for path in reads]
    ['/a/file']
    """
    outside, reads = os.environ.get(ENVIRONMENT_VARIABLE), list[Path]()
    with NamedTemporaryFile(prefix="popview-") as log:
        os.environ[ENVIRONMENT_VARIABLE] = log.name
        try:
            yield reads
        finally:
            if outside is None:
                del os.environ[ENVIRONMENT_VARIABLE]
            else:
                os.environ[ENVIRONMENT_VARIABLE] = outside
            reads += map(Path, dict.fromkeys(os.fsdecode(log.read()).splitlines()))
