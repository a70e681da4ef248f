"""Staleness by content: digests of what a chapter depends on, and the differences between two of them in words.

A *stamp* is a plain dictionary that fits into a notebook's metadata::

    {"text": digest, "parameters": {name: value}, "modules": {"popview.x": digest},
     "files": {"requirements.lock": digest, "data/…": digest}}

Modules are found by reading the source, not by importing it: an import inside a function counts, and so does a string
that is exactly a module's dotted name (``import_module("popview.tasks.digits")``). A file that the library reads at
run time, be it a result or a profile, enters through `popview.common.read_log.record`.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from popview.common.digests import ABSENT, path_digest, text_digest

LOCK = "requirements.lock"  # the environment is an input of every chapter


class Snapshot:
    """What files hold at one moment: each is digested once, and each module is parsed once, whoever asks again.

    Attributes
    ----------
    parsed : dict of Path to list of str
        As `popview.common.imports.imported_modules` takes it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from popview.book.staleness import Snapshot
    >>> Snapshot().digest(Path("no-such-file"))
    'absent'
    """

    def __init__(self) -> None:
        self._digests: dict[Path, str] = {}
        self.parsed: dict[Path, list[str]] = {}

    def digest(self, path: Path) -> str:
        """Return `path_digest` of a file or folder."""
        if path not in self._digests:
            self._digests[path] = path_digest(path)
        return self._digests[path]


def make_stamp(
    text: str,
    parameters: Mapping[str, Any],
    modules: Mapping[str, Path],
    files: Iterable[Path],
    root: Path,
    snapshot: Snapshot | None = None,
) -> dict[str, Any]:
    """Return the stamp of a chapter: its text, effective parameters, imported modules and files, as they are now."""
    snapshot = snapshot or Snapshot()
    relative = {Path(os.path.relpath(path, root)).as_posix(): path for path in files}
    return {
        "text": text_digest(text),
        "parameters": json.loads(json.dumps(dict(parameters))),
        "modules": {name: snapshot.digest(path) for name, path in modules.items()},
        "files": {name: snapshot.digest(path) for name, path in sorted(relative.items())},
    }


def checked_stamp(stamp: Any) -> dict[str, Any]:
    """Return a stamp as it was read; raise ValueError where it has not the shape that `make_stamp` gives it."""
    kinds = {"text": str, "parameters": dict, "modules": dict, "files": dict}
    if not isinstance(stamp, dict) or any(not isinstance(stamp.get(key), kind) for key, kind in kinds.items()):
        raise ValueError("no stamp")
    return stamp


def stamp_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return in words what differs between two stamps; nothing where they agree."""
    reasons = ["text changed"] if old["text"] != new["text"] else []
    for name, before, now in _changes(old["parameters"], new["parameters"]):
        reasons.append(f"parameter {name}: {before} -> {now}")
    for kind, label in (("modules", "module"), ("files", "result")):
        for name, before, now in _changes(old[kind], new[kind]):
            verb = "is new" if before == ABSENT else "is gone" if now == ABSENT else "changed"
            reasons.append(f"{name} {verb}" if name == LOCK else f"{label} {name} {verb}")
    return reasons


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield name, old and new value of every entry that differs, in the new one's order."""
    for name in [*new, *(name for name in old if name not in new)]:
        before, now = (values.get(name, ABSENT) for values in (old, new))
        if json.dumps(before) != json.dumps(now):  # as text, since nan differs from itself
            yield name, before, now
