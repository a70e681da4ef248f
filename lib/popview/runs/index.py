"""What was learnt of files before, kept in the cache: so that asking again takes no reading of them."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from popview.common.errors import UsageError
from popview.common.files import written_whole
from popview.common.folders import cache_folder


class Index:
    """What was made of files, by name, and of which state of them: it is made again when that is another.

    The index is a file of the cache, its SHA-256 in the first line and JSON in the second. One that is damaged, gone or
    of another version is begun anew; one that cannot be written is not missed.

    Parameters
    ----------
    root : Path
        The folder whose index it is.
    """

    def __init__(self, root: Path) -> None:
        self.file = cache_folder() / "index" / hashlib.sha256(f"1 {root.absolute()}".encode()).hexdigest()[:16]
        self.known: dict[str, Any] = {}
        self.changed = False
        with suppress(OSError, ValueError):
            seal, text = self.file.read_bytes().split(b"\n")
            if hashlib.sha256(text).hexdigest().encode() == seal:
                self.known = json.loads(text)

    def remembered(self, name: str, state: list[Any], make: Callable[[], Any]) -> Any:
        """Return what was made of `name` in this state, of numbers and texts; else make it, and keep it."""
        kept = self.known.get(name)
        if kept is None or kept[0] != state:
            kept = self.known[name] = [state, make()]
            self.changed = True
        return kept[1]

    def save(self) -> None:
        """Write what was learnt, if anything, where that can be done."""
        if self.changed:
            text = json.dumps(self.known, separators=(",", ":")).encode()
            with suppress(UsageError), written_whole(self.file) as file:
                file.write(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
            self.changed = False
