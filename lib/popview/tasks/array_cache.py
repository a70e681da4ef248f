"""Arrays that are made once and memory-mapped ever after: decoded images, tokens, states of frozen layers."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from popview.common.errors import reason_of
from popview.common.files import file_digest, writing
from popview.common.folders import cache_folder as folder
from popview.common.locks import claim

#: Names the arrays, and the SHA-256 of each one's file: of type and shape as of the values.
MANIFEST = "files.json"


def array_digest(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's bytes, in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def arrays(name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the arrays kept under `name`, memory-mapped and read-only, making them where they are not there.

    Parameters
    ----------
    name : str
        Says everything that the arrays depend on; it becomes a folder's name.
    make : callable
        Returns them. Of several processes one makes them and the others wait.

    Raises
    ------
    UsageError
        If the cache's folder cannot be written.

    Notes
    -----
    The SHA-256 of each array's file is kept beside it and checked at every opening; what does not agree is made anew.
    """
    place = folder() / name
    where = f"to the cache {place.parent}", "; name another in POPVIEW_CACHE"
    found = _opened(place, quiet=True)
    if found is not None:
        return found
    with ExitStack() as stack:
        with writing(*where):
            stack.enter_context(claim(place.with_name(name + ".lock"), wait=True))
        found = _opened(place)
        if found is not None:
            return found
        made = make()
        with writing(*where):
            return _written(place, made)


def _opened(place: Path, quiet: bool = False) -> dict[str, np.ndarray] | None:
    """Open the arrays of a folder; None where they are not there, or damaged, which is told unless `quiet`."""
    try:
        sums = dict(json.loads((place / MANIFEST).read_text("utf-8")))
        wrong = [key for key, known in sums.items() if file_digest(place / f"{key}.npy") != known]
        reason = f"wrong checksum of {', '.join(wrong)}" if wrong else "" if sums else "it names no arrays"
    except FileNotFoundError as error:
        if not place.exists():
            return None
        reason = f"{Path(error.filename).name} is missing"
    except (OSError, RecursionError, TypeError, ValueError) as error:
        reason = reason_of(error)
    if reason and not quiet:
        print(f"popview: {place} is damaged ({reason}): made anew", file=sys.stderr)
    return None if reason else _mapped(place, sums)


def _mapped(place: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    return {key: np.load(place / f"{key}.npy", mmap_mode="r", allow_pickle=False) for key in names}


def _written(place: Path, made: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Write to a folder beside it, then rename that; whoever calls this holds the lock."""
    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        part.mkdir()
        for key, array in made.items():
            np.save(part / f"{key}.npy", array, allow_pickle=False)
        (part / MANIFEST).write_text(json.dumps({key: file_digest(part / f"{key}.npy") for key in made}), "utf-8")
        if place.exists():
            shutil.rmtree(place)
        part.rename(place)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return _mapped(place, made)
