"""The command line: run, status, chapter, book. A mistake is answered in one line, never a traceback."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from popview.errors import UsageError

__all__ = ["app", "main"]

INTERRUPTED = 130

app = typer.Typer(
    name="popview",
    help="Optimizers compared as populations of models: the commands of the book.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    """Keep `app` a group of commands, however few there are. Commands import what they need when they run."""


@app.command()
def chapter(
    number: Annotated[str, typer.Argument(help="Which chapter: 4, 04 or 04-stationary-distribution.")],
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Replace a default; repeatable.")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show the chapter's parameters and stop.")] = False,
) -> None:
    """Run one chapter.

    With parameters of your own it runs in any case, and its notebook and page go to book/run/custom/; without, the
    book's own page is brought up to date.
    """
    from popview import book, pages

    root = _root()
    chosen = book.find(root, number)
    known = book.parameters(chosen)
    if listing:
        for name, entry in known.items():
            typer.echo(f"{name}: {entry.type} = {entry.default!r}  {entry.help}".rstrip())
        return
    given = dict(_pair(text) for text in parameter or [])
    effective = book.override(chosen, given)
    for name in given:
        typer.echo(f"{name} = {effective[name]!r} (default {known[name].default!r})")
    custom = book.output_path(chosen, given) != chosen.page
    reasons = book.stale(chosen)
    if not custom and not reasons:
        typer.echo(f"{chosen.page.relative_to(root)} is fresh")
        return
    typer.echo(f"running {chosen.name} ({'your parameters' if custom else book.summary(reasons)})")
    notebook = book.execute(chosen, given)
    typer.echo(notebook.relative_to(root))
    if custom:
        typer.echo(pages.render_alone(root, notebook).relative_to(root))


@app.command(name="book")
def build_book(
    force: Annotated[bool, typer.Option("--force", help="Run every chapter and build every page.")] = False,
) -> None:
    """Run the stale chapters and build the pages, with every warning an error."""
    from popview import book

    book.build(_root(), force)


@app.command()
def run(
    profile: Annotated[str, typer.Option(help="smoke or laptop: how much to compute.")] = "laptop",
    task: Annotated[str, typer.Option(help="Which task.")] = "digits",
    algorithm: Annotated[list[str] | None, typer.Option(help="Only this algorithm; repeatable.")] = None,
    restarts: Annotated[int | None, typer.Option(help="Restarts per algorithm; the profile's by default.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one a core by default.")] = None,
) -> None:
    """Compute the trajectories that are missing; what was finished before is kept."""
    from popview import engine, specs

    wanted = specs.expand(profile, task, algorithms=tuple(algorithm) if algorithm else None, restarts=restarts)
    computed = engine.run(wanted, workers=workers)
    typer.echo(
        f"{profile}/{task}: {len(wanted)} files wanted, {computed} computed, {len(wanted) - computed} there before"
    )


@app.command()
def status(
    profile: Annotated[str, typer.Option(help="smoke or laptop.")] = "laptop",
) -> None:
    """Say how many restarts are wanted, done and diverged, per task and algorithm."""
    from popview import store

    rows = store.inventory(profile)
    for row in rows:
        counts = f"{row['wanted']} wanted, {row['done']} done, {row['diverged']} diverged"
        typer.echo(f"{profile}/{row['task']}/{row['algorithm']}: {counts}")
    typer.echo(f"{sum(row['bytes'] for row in rows) / 1e6:.1f} MB")


def _root() -> Path:
    """Return the book's folder."""
    from popview.paths import ROOT

    if not (ROOT / "_toc.yml").is_file():
        raise UsageError(f"no book in {ROOT}: run this in the project's folder, or name that in POPVIEW_ROOT")
    return ROOT


def _pair(text: str) -> tuple[str, str]:
    """Split ``name=value``."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise UsageError(f"-p {text}: expected NAME=VALUE")
    return name.strip(), value.strip()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a user's mistake, 130 for an interrupt.

    Parameters
    ----------
    arguments
        The words after ``popview``; those of this process by default.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(args=words or ["--help"], prog_name="popview", standalone_mode=False) or 0
    except (UsageError, typer.TyperException) as error:
        message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        print(f"popview: {' '.join(message.split())}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer's own way of telling it
        print("popview: interrupted; what was finished is kept", file=sys.stderr)
    return code
