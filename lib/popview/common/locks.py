"""Who may work on what: a lock file that the system releases when its holder dies."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def claim(file: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold `file` as a lock within this context; yield whether it could be had.

    The lock is the kernel's (``flock``), so a killed process holds nothing. Whoever gets it must look again whether the
    work is still to be done: the holder before may just have finished. The file is removed at the end.

    Parameters
    ----------
    file : Path
        Its folder is made where it is missing.
    wait : bool
        Whether to wait for another holder; else False is yielded at once.

    Raises
    ------
    OSError
        If the lock file cannot be made, as on a read-only disk.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    held = False
    while not held:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            held = _is_at(descriptor, file)  # else the holder before has removed it, and others may hold a new one
            if held:
                try:
                    yield True
                finally:
                    file.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def abandoned(files: Iterable[Path]) -> Iterator[Path]:
    """Yield those lock files whose holders were killed, each held meanwhile; then they are removed."""
    for file in files:
        with suppress(OSError), claim(file) as free:  # gone by now, or another user's
            if free:
                yield file


def _is_at(descriptor: int, file: Path) -> bool:
    """Whether the open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def is_held(file: Path) -> bool:
    """Whether a living process holds the lock `file`."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
