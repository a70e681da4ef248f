"""The book's table of contents: which pages there are, in which order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from popview.common import read_log
from popview.common.errors import UsageError, reason_of
from popview.common.files import read_utf8
from popview.common.folders import ROOT

__all__ = ["CONTENTS", "page_names"]

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
    import yaml

    file = root / CONTENTS
    read_log.record(file)
    if not file.is_file():
        return []
    try:
        contents = yaml.safe_load(read_utf8(file))
    except yaml.YAMLError as error:
        raise UsageError(f"{file} is no YAML: {reason_of(error)}") from error
    if contents is None:
        return []
    if not isinstance(contents, dict):
        raise UsageError(f"{file} must hold keys and values, as `root: index`")
    return [str(contents["root"]), *_files(contents)] if "root" in contents else [*_files(contents)]


def _files(entry: dict[str, Any]) -> Iterator[str]:
    for key in ("parts", "chapters", "sections"):
        for part in entry.get(key) or ():
            if "file" in part:
                yield str(part["file"])
            yield from _files(part)
