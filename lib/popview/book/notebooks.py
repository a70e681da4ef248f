"""Notebooks: to be run by a reader; executed, without what differs from one run to the next, and written whole."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from popview.common.files import writing
from popview.common.locks import abandoned, claim

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def from_text(text: str) -> Any:
    """Return a chapter's text (py:percent) as a notebook, not executed."""
    import jupytext

    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata["kernelspec"] = KERNEL
    return notebook


def to_run(text: str) -> bytes:
    """Return a chapter's text as the file of a notebook that a reader opens in Jupyter, or gives to papermill."""
    import nbformat

    notebook = from_text(text)
    clean(notebook)
    return nbformat.writes(notebook).encode()


def clean(notebook: Any) -> None:
    """Remove what differs from one execution to the next: times, paths, random cell names, chopped streams."""
    for key in ("papermill", "jupytext"):
        notebook.metadata.pop(key, None)
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        joined: list[Any] = []
        for output in cell.get("outputs", ()):
            if joined and output.output_type == "stream" and joined[-1].get("name") == output.name:
                joined[-1].text += output.text
            else:
                joined.append(output)
        if cell.cell_type == "code":
            cell.outputs = joined


def publish(notebook: Any, path: Path) -> None:
    """Write a notebook by temporary file and rename."""
    import nbformat

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")  # what a killed process left is written over
        try:
            nbformat.write(notebook, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def alone(root: Path, name: str) -> Iterator[None]:
    """Within this context no other process makes a notebook of this name, or the book; one that does is waited for.

    Parameters
    ----------
    root
        The folder with ``_toc.yml``.
    name
        The notebook's name, or "book".

    Raises
    ------
    UsageError
        If the folder of executed notebooks cannot be written: before, and not after, an hour of computing.
    """
    folder = root / "book" / "run"
    lock = folder / f".{name}.lock"
    with ExitStack() as stack:
        with writing(folder):
            if not stack.enter_context(claim(lock)):
                print(f"popview: another process makes {name}; waiting for it", file=sys.stderr, flush=True)
                stack.enter_context(claim(lock, wait=True))
        for _ in abandoned(other for other in folder.glob(".*.lock") if other != lock):
            pass
        yield
