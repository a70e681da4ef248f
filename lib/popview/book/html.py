"""The pages that Jupyter Book makes of executed notebooks and prose, rebuilt only when something they show changed."""

import json
import os
import re
import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryFile

from popview.book import closing, staging, web
from popview.book.staging import sources, stage
from popview.book.staleness import LOCK, path_digest
from popview.common.children import run_child
from popview.common.contents import CONTENTS
from popview.common.errors import UsageError, last_line, reason_of
from popview.common.files import read_utf8, read_yaml, temporary_folder, writing
from popview.common.locks import claim

SETTINGS = ("_config.yml", CONTENTS, LOCK)  # a change in one of these rebuilds every page
JUPYTER_BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
LIBRARY = Path(__file__).resolve().parents[1]
#: Pages that a notebook rendered alone may refer to.
ALONE = ("references", "how-to-read")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def render(root: Path, force: bool = False) -> bool:
    """Build ``_build/html`` with every warning an error; return False where the last good build is still right.

    Parameters
    ----------
    root
        The folder with ``_config.yml`` and ``_toc.yml``.
    force
        Build even though nothing changed.
    """
    provide_scripts(root)
    built, record = root / "_build", root / "_build" / "inputs.json"
    inputs = _inputs(root)
    try:
        old = dict(json.loads(record.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):  # never built, or damaged: the pages are built
        old = {}
    if not force and inputs == old and (built / "html" / "index.html").is_file():
        return False
    if force or any(inputs[name] != old.get(name) for name in SETTINGS):
        shutil.rmtree(built, ignore_errors=True)  # also after a failed build: Sphinx warns of a page only once
    record.unlink(missing_ok=True)
    if read_yaml(root / "_config.yml") is None:
        raise UsageError(f"{root / '_config.yml'} must hold keys and values, as `title: …`")
    pages = sources(root)
    if (references := root / "book" / "references.bib").is_file():
        _check_references(references)
    stage(root, built / "source", pages)
    with temporary_folder() as folder:
        arguments = ["--path-output", str(root.resolve()), "-W", "-n", "--keep-going"]
        _jupyter_book([str(built / "source"), *arguments], built / "jupyter-book.log", folder)
    with writing(record):
        record.write_text(json.dumps(inputs, indent=1), encoding="utf-8")
    return True


def check_folders(root: Path) -> None:
    """Raise UsageError if the folders that `render` writes to cannot be written, as in a read-only checkout."""
    for place in (root / "_build", root / "book" / "assets"):
        with writing(place):
            place.mkdir(exist_ok=True)
            TemporaryFile(dir=place).close()


def render_alone(root: Path, notebook: Path) -> Path:
    """Build one executed notebook in the book's dress beside it, and return its first page.

    References to other pages of the book, but `ALONE`, stay plain text there.
    """
    with temporary_folder() as folder:
        provide_scripts(root)
        others = [name for name in ALONE if (root / "book" / f"{name}.md").is_file()]
        stage(root, folder / "source", {notebook.stem: notebook} | sources(root, others))
        contents = "".join(f"- file: {name}\n" for name in others)
        contents = f"format: jb-book\nroot: {notebook.stem}\n" + (f"chapters:\n{contents}" if others else "")
        (folder / "source" / CONTENTS).write_text(contents, encoding="utf-8")
        _jupyter_book([str(folder / "source"), "--path-output", str(folder)], notebook.with_suffix(".log"), folder)
        target = notebook.with_suffix("")
        part = target.with_name(f".{target.name}.part")
        with writing(target):
            shutil.rmtree(part, ignore_errors=True)  # of a killed process
            shutil.move(folder / "_build" / "html", part)
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
    notebook.with_suffix(".log").unlink()
    return target / "index.html"


def provide_scripts(root: Path) -> None:
    """Put the installed plotly's script and MathJax's into ``book/assets``, so that the pages need no network."""
    from plotly.offline import get_plotlyjs

    formulas = distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax/tex-svg.js")
    for name, script in (("plotly.min.js", get_plotlyjs().encode()), ("tex-svg.js", Path(str(formulas)).read_bytes())):
        path = root / "book" / "assets" / name
        if path.is_file() and path.read_bytes() == script:
            continue
        with writing(path), claim(path.with_name(".scripts.lock"), wait=True):
            part = path.with_name(f".{name}.part")  # what a killed process left is written over
            part.write_bytes(script)
            part.replace(path)


def _jupyter_book(arguments: list[str], log: Path, folder: Path) -> None:
    """Run ``jupyter-book build`` in `folder`; what it prints goes to `log`, and to the terminal only if it fails."""
    done = run_child([*JUPYTER_BOOK, *arguments, "-q"], folder, merged=True)
    text = COLOUR.sub("", done.stdout)
    with writing(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(text, encoding="utf-8")
    if done.returncode:
        if not (told := len(re.findall("WARNING:|ERROR:", text))):
            raise UsageError(f"jupyter-book failed: {last_line(text) or 'it said nothing'}; see {log}")
        print(text, file=sys.stderr)
        raise UsageError(f"jupyter-book gave {told} warnings or errors, see {log}")


def _check_references(file: Path) -> None:
    """Raise UsageError where the list of references cannot be read."""
    from pybtex.database import parse_string
    from pybtex.exceptions import PybtexError

    try:
        parse_string(read_utf8(file), "bibtex")
    except PybtexError as error:
        raise UsageError(f"{file} cannot be read: {reason_of(error)}") from error


def _inputs(root: Path) -> dict[str, str]:
    """Return the digest of every file that the pages are made of, by path relative to `root`, and of how they are."""
    book, data = root / "book", root / "data"
    places = (*book.rglob("[!.]*"), *data.glob("[!.]*"), *(data / "paper").rglob("[!.]*"))
    files = {root / name for name in SETTINGS} | {path for path in places if path.is_file()}
    files -= {path for name in ("failed", "custom") for path in (book / "run" / name).rglob("*")}
    files |= {path for page in book.glob("*.md") for path in _documented(read_utf8(page))}
    inputs = {Path(os.path.relpath(path, root)).as_posix(): path_digest(path) for path in sorted(files)}
    inputs |= {f"templates/{path.name}": path_digest(path) for path in sorted(closing.TEMPLATES.glob("*.md"))}
    return inputs | {module.__name__: path_digest(Path(str(module.__file__))) for module in (closing, staging, web)}


def _documented(prose: str) -> set[Path]:
    """Return the sources of the rooms of the library whose docstrings a page shows."""
    rooms = {LIBRARY / room for room in re.findall(r"^\.\. auto\w+:: popview\.(\w+)", prose, re.MULTILINE)}
    return {path for room in rooms for path in (*room.glob("*.py"), room.with_suffix(".py")) if path.is_file()}
