"""Chapters: typed parameters, staleness, execution through papermill, and the pages that Jupyter Book makes of them.

A chapter is a file ``book/name.py`` (jupytext, py:percent) with at most one cell tagged ``parameters``. Executed, it
is ``book/run/name.ipynb``, whose metadata hold the stamp (`popview.book.staleness`) of all that it was made from, so
that one atomic rename publishes the notebook and its provenance together.
"""

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from popview.book import html, notebooks, staleness
from popview.book.forks import Forks, forking
from popview.book.parameters import Parameter, convert, read_parameters
from popview.common.children import end_children, run_child
from popview.common.contents import page_names, page_seconds
from popview.common.errors import UsageError, check_name, last_line
from popview.common.files import read_utf8, temporary_folder
from popview.common.imports import imported_modules
from popview.common.read_log import ENVIRONMENT_VARIABLE

LIBRARY = Path(__file__).resolve().parents[2]
#: Stands after the title of a page that has not the book's parameters.
OWN = Path(__file__).with_name("templates") / "own-parameters.md"
#: Papermill, as a script.
PAPERMILL = Path(__file__).with_name("kernels.py")
QUIET = {  # what would make two executions of a notebook differ, or a reader's own settings leak into it
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",  # two run at a time, and sums do not depend on the machine's cores
    "TQDM_DISABLE": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
#: From so many chapters on, libraries are loaded once for all.
MANY = 5


class ChapterError(UsageError):
    """A chapter or the book failed to build, told in one line."""


@dataclass(frozen=True)
class Chapter:
    """One computed section of the book: ``book/<name>.py`` under `root`, run with the package found in `library`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from popview.book.build import Chapter
    >>> Chapter(Path("popview"), "test-functions").source.as_posix()
    'popview/book/test-functions.py'
    """

    root: Path
    name: str
    library: Path = LIBRARY

    @property
    def source(self) -> Path:
        """The chapter's text."""
        return self.root / "book" / f"{self.name}.py"

    @property
    def page(self) -> Path:
        """The executed notebook that the book shows."""
        return self.root / "book" / "run" / f"{self.name}.ipynb"


def chapters(root: Path, library: Path = LIBRARY) -> dict[str, Chapter]:
    """Return the chapters under `root` by name, in the order of the table of contents; those it lacks come last."""
    there = sorted(path.stem for path in (root / "book").glob("*.py"))
    order = [name for name in page_names(root) if name in there]
    names = [*order, *(name for name in there if name not in order)]
    return {name: Chapter(root.resolve(), name, library) for name in names}


def find(root: Path, name: str, library: Path = LIBRARY) -> Chapter:
    """Return the chapter called `name`: "test-functions", or its number in the order of `chapters`, from 1 on."""
    known = chapters(root, library)
    if name.isdecimal() and 0 < int(name) <= len(known):
        return [*known.values()][int(name) - 1]
    check_name("chapter", name, known)
    return known[name]


def parameters(chapter: Chapter) -> dict[str, Parameter]:
    """Return the chapter's parameters by name, in order; empty where it has no cell tagged ``parameters``."""
    return read_parameters(read_utf8(chapter.source), chapter.name)


def override(chapter: Chapter, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the chapter's effective parameters: its defaults, replaced by the checked values in `given`.

    Parameters
    ----------
    chapter
        The chapter.
    given
        Name to value; a text is read as the parameter's type says, any other value must be of that type.
    """
    known = parameters(chapter)
    effective = {name: parameter.default for name, parameter in known.items()}
    for name, value in (given or {}).items():
        check_name(f"parameter of chapter {chapter.name}", name, known)
        effective[name] = convert(known[name], value)
    return effective


def _changed(chapter: Chapter, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return those effective parameters that are not the chapter's defaults."""
    known = parameters(chapter)
    effective = override(chapter, given)
    return {name: value for name, value in effective.items() if repr(value) != repr(known[name].default)}


def output_path(chapter: Chapter, given: Mapping[str, Any] | None = None) -> Path:
    """Return where the notebook goes: the book's page, or ``book/run/custom/`` where a parameter is not its default."""
    changed = _changed(chapter, given)
    if not changed:
        return chapter.page
    digest = staleness.text_digest(json.dumps(changed, sort_keys=True))[:8]
    return chapter.page.parent / "custom" / f"{chapter.name}-{digest}.ipynb"


def stale(
    chapter: Chapter, given: Mapping[str, Any] | None = None, snapshot: staleness.Snapshot | None = None
) -> list[str]:
    """Return in words why the book's page of `chapter` is not what an execution now would give; empty if it is.

    `snapshot` is what is known already of the files that chapters share.
    """
    try:
        old = staleness.checked_stamp(json.loads(chapter.page.read_text(encoding="utf-8"))["metadata"]["popview"])
    except FileNotFoundError:
        return ["never run"]
    except (OSError, LookupError, RecursionError, TypeError, ValueError):
        return [f"{chapter.page.name} is damaged"]
    return staleness.stamp_differences(
        old, _stamp(chapter, given, [chapter.root / name for name in old["files"]], snapshot)
    )


def _stamp(
    chapter: Chapter, given: Mapping[str, Any] | None, files: list[Path], snapshot: staleness.Snapshot | None = None
) -> dict[str, Any]:
    text, snapshot = read_utf8(chapter.source), snapshot or staleness.Snapshot()
    modules = imported_modules(text, chapter.library, origin=chapter.source.name, parsed=snapshot.parsed)
    lock = chapter.root / staleness.LOCK
    return staleness.make_stamp(text, override(chapter, given), modules, [lock, *files], chapter.root, snapshot)


def execute(chapter: Chapter, given: Mapping[str, Any] | None = None, forks: Forks | None = None) -> Path:
    """Run a chapter through papermill and publish the executed notebook, stamped, by one rename.

    Parameters
    ----------
    chapter
        The chapter.
    given
        Parameters other than the defaults (`override`). Tuples reach the notebook as lists, as papermill has none.
    forks
        Where papermill is to run; by default in a process of its own.

    Returns
    -------
    Path
        `output_path`. A failing cell raises `ChapterError` and leaves what was there untouched; the failed notebook
        is kept under ``book/run/failed/``.
    """
    import nbformat

    output, changed = output_path(chapter, given), _changed(chapter, given)
    stamp = _stamp(chapter, given, [])  # before the run: what changes meanwhile makes the page stale
    with forks.folder(chapter.name) if forks else temporary_folder() as folder:
        result, log = _papermill(chapter, changed, folder, forks)
        executed = folder / "executed.ipynb"
        notebook = None
        with suppress(FileNotFoundError, ValueError):  # killed while it was written, or a full disk
            notebook = nbformat.read(executed, as_version=4)
        reads = sorted(set((folder / "reads").read_text("utf-8", "backslashreplace").splitlines()))
    failed = chapter.page.parent / "failed" / output.name
    if notebook is None or result:
        raise _failure(chapter, notebook, log, failed)
    if changed:
        words = ", ".join(f"{name} = {value!r}" for name, value in changed.items())
        notebook.cells.insert(1, nbformat.v4.new_markdown_cell(OWN.read_text(encoding="utf-8").format(words)))
    notebooks.clean(notebook)
    stamp["files"] |= staleness.make_stamp("", {}, {}, map(Path, reads), chapter.root)["files"]
    notebook.metadata["popview"] = stamp
    notebooks.publish(notebook, output)
    failed.unlink(missing_ok=True)
    return output


def _papermill(chapter: Chapter, changed: Mapping[str, Any], folder: Path, forks: Forks | None) -> tuple[int, str]:
    """Execute a chapter in `folder` (``executed.ipynb``, ``reads``); return the exit code and what was printed."""
    import jupytext
    import yaml

    jupytext.write(notebooks.from_text(read_utf8(chapter.source)), folder / "source.ipynb")
    (folder / "reads").touch()
    (folder / "parameters.yml").write_text(yaml.safe_dump(json.loads(json.dumps(changed))), encoding="utf-8")
    environment = {
        **_environment(chapter.library),
        "IPYTHONDIR": str(folder),
        "JUPYTER_RUNTIME_DIR": str(folder),
        "POPVIEW_ROOT": str(chapter.root),
        ENVIRONMENT_VARIABLE: str(folder / "reads"),
    }
    arguments = ["source.ipynb", "executed.ipynb", "-f", "parameters.yml"]
    arguments += ["--cwd", str(chapter.root), "--no-progress-bar", "--no-log-output"]
    if forks:
        try:
            done = forks.run(arguments, folder, environment)
            return done.returncode, done.stderr
        except UsageError as error:
            print(f"popview: chapter {chapter.name} runs by itself: {error}", file=sys.stderr, flush=True)
    done = run_child([sys.executable, "-P", str(PAPERMILL), *arguments], folder, environment)
    return done.returncode, done.stderr


def _environment(library: Path) -> dict[str, str]:
    """Return the environment variables that are the same in all chapters."""
    return {**QUIET, "PYTHONPATH": os.pathsep.join(filter(None, [str(library), os.environ.get("PYTHONPATH")]))}


def _failure(chapter: Chapter, notebook: Any, log: str, kept: Path) -> ChapterError:
    """Keep a failed notebook, and return the error that names the chapter, the cell and the exception's last line."""
    for cell in notebook.cells if notebook else ():
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                notebooks.publish(notebook, kept)
                what = ": ".join(filter(None, [output.ename, last_line(output.evalue)]))
                where = f"chapter {chapter.name}, cell {cell.execution_count} ({_failing_line(cell, output)})"
                return ChapterError(f"{where}: {what}; see {kept.relative_to(chapter.root)}")
    lines = [line for line in log.strip().splitlines() if re.search(r"\w", line)] or ["papermill printed nothing"]
    last = ([line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)] or lines)[-1]
    return ChapterError(f"chapter {chapter.name}: {last}")


def _failing_line(cell: Any, output: Any) -> str:
    """Return the line of the cell that raised, as the traceback tells it, else the cell's first line."""
    lines = cell.source.splitlines()
    traceback = html.COLOUR.sub("", "\n".join(output.traceback))
    told = re.search(rf"Cell In\[{cell.execution_count}\], line (\d+)", traceback)
    number = int(told[1]) if told else 1
    return lines[number - 1].strip() if number <= len(lines) else ""


def build(root: Path, force: bool = False, library: Path = LIBRARY) -> None:
    """Run the stale chapters, two at a time, then build the pages; print a line for each and the seconds it took.

    Those that take longest come first, lest one process be left with one of them at the end.

    Parameters
    ----------
    root
        The folder with ``_config.yml`` and ``_toc.yml``.
    force
        Run every chapter and build every page.
    library
        The folder that holds the package.
    """
    with notebooks.alone(root, "book"):
        html.check_folders(root)
        _build(root, force, library)


def _build(root: Path, force: bool, library: Path) -> None:
    start = time.perf_counter()
    snapshot = staleness.Snapshot()
    reasons = {chapter: stale(chapter, snapshot=snapshot) for chapter in chapters(root, library).values()}
    due = {chapter: why or ["forced"] for chapter, why in reasons.items() if why or force}
    if fresh := [chapter.name for chapter in reasons if chapter not in due]:
        print(f"fresh chapters: {', '.join(fresh)}", flush=True)
    known = page_seconds(root)
    failures = _run_all(dict(sorted(due.items(), key=lambda item: -known.get(item[0].name, inf))))
    ran = time.perf_counter()
    if failures:
        raise ChapterError("; ".join(sorted(failures)))
    built = html.render(root, force)
    finished = f"{time.perf_counter() - ran:.1f} s" if built else "fresh"
    print(f"chapters {ran - start:.1f} s, pages {finished}: {root / '_build' / 'html' / 'index.html'}")


def _run_all(due: Mapping[Chapter, list[str]]) -> list[str]:
    """Execute chapters, two processes at a time, with a line for each; return the messages of those that failed."""
    failures, many = [], len(due) >= MANY and sys.platform == "linux"
    place = forking(_environment(next(iter(due)).library)) if many else nullcontext()
    with place as forks, ThreadPoolExecutor(max_workers=2) as pool:
        try:
            running = {pool.submit(_timed, chapter, forks): chapter for chapter in due}
            for done in as_completed(running):
                name = running[done].name
                if isinstance(done.exception(), UsageError):
                    failures.append(str(done.exception()))
                    print(f"chapter {name}: failed", flush=True)
                    continue
                print(f"chapter {name}: {done.result():.1f} s ({first_reasons(due[running[done]])})", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt starts no more, and ends those that run
            end_children()
            raise
    return failures


def _timed(chapter: Chapter, forks: Forks | None) -> float:
    """Execute a chapter, and return the seconds it took."""
    start = time.perf_counter()
    with notebooks.alone(chapter.root, chapter.page.name):
        execute(chapter, forks=forks)
    return time.perf_counter() - start


def first_reasons(reasons: list[str], most: int = 3) -> str:
    """Return the first reasons in one line, and how many more there are."""
    more = f", and {len(reasons) - most} more" if len(reasons) > most else ""
    return ", ".join(reasons[:most]) + more
