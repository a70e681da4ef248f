"""The book's table of contents: which pages there are, in which order, and what each takes to run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from popview.common import read_log
from popview.common.files import read_toml, read_yaml
from popview.common.folders import ROOT

CONTENTS = "_toc.yml"


def page_names(root: Path = ROOT) -> list[str]:
    """Return the names of the book's pages, as ``_toc.yml`` lists them; none where it is empty, or not there.

    Parameters
    ----------
    root : Path
        The book's folder.

    Raises
    ------
    UsageError
        If the file is no YAML, or no table of keys and values.
    """
    file = root / CONTENTS
    if not file.is_file():
        read_log.record(file)  # that it is not there counts, too
        return []
    contents = read_yaml(file) or {}
    return [*([str(contents["root"])] if "root" in contents else []), *_files(contents)]


def page_seconds(root: Path) -> dict[str, float]:
    """Return the seconds that pages take to run, by name, as ``book/seconds.toml`` has them; none without that file."""
    file = root / "book" / "seconds.toml"
    return read_toml(file) if file.is_file() else {}


def _files(entry: dict[str, Any]) -> Iterator[str]:
    for key in ("parts", "chapters", "sections"):
        for part in entry.get(key) or ():
            if "file" in part:
                yield str(part["file"])
            yield from _files(part)
