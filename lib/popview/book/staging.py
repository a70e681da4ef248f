"""The folder that Jupyter Book builds from: the pages under their own names, their pictures and tables as files.

An executed notebook carries its tables (CSV) and pictures (SVG, PNG) within itself, so that it is one file. On the site
each is a file with an address of its own: ``/files/<page>/<name>``, or ``/<name>`` where the page says so
(`popview.book.page.site_file`). All results are ``/data.zip``, beside the page ``data``.
"""

import json
import re
import zipfile
import zlib
from base64 import b64decode
from collections.abc import Collection
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from popview.book.closing import NOTEBOOKS, Settings, cite_section, rerun_section
from popview.book.notebooks import to_run
from popview.book.parameters import read_parameters
from popview.common.contents import CONTENTS, page_names, page_seconds
from popview.common.errors import UsageError
from popview.common.files import read_utf8, read_yaml, write_zip, writing
from popview.runs.manifest import entries

#: Folder of the stage that is copied as it is to the top of the site.
EXTRA = "extra"

#: A file within a page: its name stands beside it, or before it.
_WITHIN = re.compile(
    r'(?P<before>(?:download|data-name|data-(?P<top>site))="(?P<name>[\w.-]+)" (?:href|src|srcset)=")'
    r'data:[\w/+-]+;base64,(?P<data>[\w+/=]+)"'
)


def sources(root: Path, pages: Collection[str] | None = None) -> dict[str, Path]:
    """Return the file of each page by name: the executed notebook, or the prose.

    Parameters
    ----------
    root
        The book's folder.
    pages
        Names of the pages; by default those of ``_toc.yml``.

    Raises
    ------
    UsageError
        If a page is neither in ``book/run`` nor prose in ``book``.
    """
    found = {}
    for name in page_names(root) if pages is None else pages:
        places = [root / "book" / "run" / f"{name}.ipynb", root / "book" / f"{name}.md"]
        found[name] = next((place for place in places if place.is_file()), places[0])
        if not found[name].is_file():
            raise UsageError(f"{CONTENTS} names {name}, and there is neither book/{name}.md nor {places[0]}")
    return found


def stage(root: Path, folder: Path, pages: dict[str, Path]) -> None:
    """Write what Jupyter Book reads into `folder`; what is unchanged is left alone, what is no more is removed.

    Parameters
    ----------
    root
        The book's folder.
    folder
        Where to; made if it is not there.
    pages
        Name of a page → its file, as `sources` returns it.
    """
    wanted: dict[str, bytes] = {}
    settings = Settings.of((read_yaml(config) if (config := root / "_config.yml").is_file() else None) or {})
    seconds, listed = page_seconds(root), page_names(root)
    for name, file in pages.items():
        text, source = read_utf8(file), root / "book" / f"{name}.py"
        computed = file.suffix == ".ipynb"
        shown = "".join("".join(cell["source"]) for cell in json.loads(text)["cells"][:1]) if computed else text
        title = re.search(r"^# (.+)$", shown, re.MULTILINE)
        cite = cite_section(name, title[1], settings, "cite" in pages) if title and name in listed else ""
        if not computed:
            wanted[file.name] = "\n".join(filter(None, [text, cite])).encode()
            continue
        script = read_utf8(source) if source.is_file() else ""
        known = read_parameters(script, name)
        words = rerun_section(name, known, settings.repository, seconds.get(name), "rerun" in pages) if known else ""
        wanted |= _notebook(name, json.loads(text), [words, cite])
        if script:
            wanted[f"{EXTRA}/{NOTEBOOKS}/{name}.ipynb"] = to_run(script)
    for name in ("_config.yml", CONTENTS):
        if (root / name).is_file():
            wanted[name] = (root / name).read_bytes()
    for place in ("book/assets", "book/references.bib", "data/paper"):
        for file in sorted(path for path in [root / place, *(root / place).rglob("[!.]*")] if path.is_file()):
            wanted[file.relative_to(root / "book" if place.startswith("book") else root).as_posix()] = file.read_bytes()
    if "data" in pages and (root / "data" / "manifest.csv").is_file():
        wanted[f"{EXTRA}/data.zip"] = _results(root / "data", folder / EXTRA / "data.zip")
    wanted.setdefault(f"{EXTRA}/.keep", b"")
    with writing(folder):
        for path in [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else ():
            if path.relative_to(folder).as_posix() not in wanted:
                path.unlink()
        for name, content in wanted.items():
            path = folder / name
            if not path.is_file() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


def _notebook(page: str, notebook: dict[str, Any], last: list[str]) -> dict[str, bytes]:
    """Return the files of an executed page: the notebook without the files within it, and those.

    The texts in `last` stand at its end.
    """
    found: dict[str, bytes] = {}

    def move(match: re.Match[str]) -> str:
        place = match["name"] if match["top"] else f"files/{page}/{match['name']}"
        found[f"{EXTRA}/{place}"] = b64decode(match["data"])
        return f'{match["before"]}{place}"'

    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", ())):
        for kind in [kind for kind in output.get("data", {}) if kind.endswith("text/html")]:  # shown, or glued
            output["data"][kind] = _WITHIN.sub(move, "".join(output["data"][kind]))
    for cell in notebook["cells"]:
        tags = cell["metadata"].setdefault("tags", [])
        if "parameters" in tags and "hide-input" not in tags:
            tags.append("hide-input")
    for number, words in enumerate(filter(None, last), start=1):
        notebook["cells"].append({"cell_type": "markdown", "id": f"last-{number}", "metadata": {}, "source": words})
    found[f"{page}.ipynb"] = json.dumps(notebook, indent=1, ensure_ascii=False).encode()
    return found


def _results(folder: Path, made: Path) -> bytes:
    """Return a zip of the results that the manifest lists, and of the tables and words beside them.

    That is the one that is `made` already, if it holds them all, whole, and nothing else.
    """
    shipped = [folder / name for name in entries(folder)]
    if absent := [path for path in shipped if not path.is_file()]:
        raise UsageError(
            f"{absent[0]} is not there, and data/manifest.csv lists it: popview verify names all such files"
        )
    beside = [path for kind in ("*.md", "*.csv", "paper/*", "ensembles/**/*.csv") for path in folder.glob(kind)]
    contents = {f"data/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in shipped + beside}
    with suppress(OSError, zipfile.BadZipFile, zlib.error), zipfile.ZipFile(made) as zipped:
        there = {entry.filename: entry.CRC for entry in zipped.infolist()}
        if there == {name: zlib.crc32(content) for name, content in contents.items()} and not zipped.testzip():
            return made.read_bytes()
    write_zip(anew := BytesIO(), contents)
    return anew.getvalue()
