"""The command line: run, topography, tune, data, status, verify, … A mistake is one line, never a traceback."""

from popview.common.endings import reported

with reported():  # a signal may come while these are loaded
    import gc
    import os
    import sys
    from collections.abc import Iterator
    from contextlib import contextmanager, nullcontext
    from pathlib import Path
    from typing import Annotated, Any

    from popview.common.errors import UsageError, of_the_book

    with of_the_book():
        import typer


INTERRUPTED = 130

app = typer.Typer(
    name="popview",
    help="Optimizers compared as populations of models: the commands of the book.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _profile_option(experiment: str) -> Any:
    """Return an option that names a profile, with those that there are in its help."""
    folder = Path(__file__).parent / "runs" / "profiles" / experiment
    names = sorted(file.stem for file in folder.glob("*.toml"))
    return typer.Option(help=f"How much to compute: {', '.join(names)}.")


Profile = Annotated[str, _profile_option("optimizers")]
StudyProfile = Annotated[str, _profile_option("solutions")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core, or 1 with a GPU.")]


@app.callback()
def _commands() -> None:
    """Refuse a POPVIEW_ROOT that is not there, lest results go where nobody meant. Commands import what they need."""
    named = os.environ.get("POPVIEW_ROOT")
    if named and not Path(os.path.expanduser(named)).is_dir():
        raise UsageError(f"POPVIEW_ROOT names {named}, where there is no folder")


@app.command()
def chapter(
    name: Annotated[str, typer.Argument(help="Which page: test-functions, or its number in the contents.")],
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Replace a default; repeatable.")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show the chapter's parameters and stop.")] = False,
) -> None:
    """Run one chapter.

    With parameters of your own it runs in any case, and its notebook and page go to book/run/custom/; without, the
    book's own page is brought up to date.
    """
    from popview.book import build, html, notebooks, parameters

    root = _root()
    chosen = build.find(root, name)
    known = build.parameters(chosen)
    if listing:
        for line in parameters.parameter_lines(known):
            typer.echo(line)
        return
    given = dict(_pair(text) for text in parameter or [])
    effective = build.override(chosen, given)
    for own in given:
        typer.echo(f"{own} = {effective[own]!r} (default {known[own].default!r})")
    output = build.output_path(chosen, given)
    custom = output != chosen.page
    with notebooks.alone(root, output.name):
        reasons = build.stale(chosen)
        if not custom and not reasons:
            typer.echo(f"{chosen.page.relative_to(root)} is fresh")
            return
        typer.echo(f"running {chosen.name} ({'your parameters' if custom else build.first_reasons(reasons)})")
        notebook = build.execute(chosen, given)
        typer.echo(notebook.relative_to(root))
        if custom:
            typer.echo(html.render_alone(root, notebook).relative_to(root))


@app.command(name="book")
def build_book(
    force: Annotated[bool, typer.Option("--force", help="Run every chapter and build every page.")] = False,
) -> None:
    """Run the stale chapters and build the pages, with every warning an error."""
    from popview.book import build

    build.build(_root(), force)


@app.command()
def run(
    profile: Profile = "laptop",
    task: Annotated[list[str] | None, typer.Option(help="Only this task; repeatable.")] = None,
    algorithm: Annotated[list[str] | None, typer.Option(help="Only this algorithm; repeatable.")] = None,
    experiment: Annotated[
        str, typer.Option(help="optimizers, solutions, landscapes, or a grid's name.")
    ] = "optimizers",
    variant: Annotated[str, typer.Option(help="Of optimizers: base, tuned, trial, annealed or an arm.")] = "base",
    restarts: Annotated[int | None, typer.Option(help="Restarts per algorithm; the profile's by default.")] = None,
    workers: Workers = None,
    backend: Annotated[str, typer.Option(help="loky (this machine) or dask.")] = "loky",
    scheduler: Annotated[str | None, typer.Option(help="Of dask: a scheduler's address, or slurm.")] = None,
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Keep each run's ten best models.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute nothing; say what it would take.")] = False,
    optimizer: Annotated[
        str | None, typer.Option(help="One of your own, module:Class, or the book's with other settings.")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Of --optimizer; repeatable.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Of --optimizer on a task of your own, module:function.")] = None,
) -> None:
    """Compute what is missing of an experiment; what was finished before is kept.

    With --optimizer, what is missing of your own runs; they lie in the folder own.
    """
    from popview.runs import experiment as experiments

    how: dict[str, Any] = {"workers": workers, "backend": backend, "scheduler": scheduler, "keep_weights": keep_weights}
    if optimizer is None and (parameter or epochs is not None):
        raise UsageError("-p and --epochs are of --optimizer, which is not given")
    if optimizer is not None:
        if algorithm or variant != "base" or experiment != "optimizers" or dry_run or not task:
            raise UsageError("--optimizer needs --task, and takes no --algorithm, --variant, --experiment or --dry-run")
        from popview.runs import own_runs

        given = dict(_pair(text) for text in parameter or [])
        scale: dict[str, Any] = {"profile": profile, "restarts": restarts, "epochs": epochs}
        for name in task:
            typer.echo(own_runs.run_own(name, optimizer, given, **scale, **how))
        return
    algorithms = tuple(dict.fromkeys(algorithm)) if algorithm else None
    taken = experiments.takes(experiment)
    asked = {"algorithm": bool(algorithm), "restarts": restarts is not None, "keep-weights": keep_weights}
    for option, there in (asked | {"variant": variant != "base"}).items():
        if there and option not in taken:
            raise UsageError(f"--experiment {experiment} takes no --{option}")
    wanted = {}
    for name in task or experiments.tasks_of(experiment, profile):
        if experiment == "optimizers":
            wanted[name] = _variant_specs(profile, name, variant, algorithms, restarts, named=bool(task))
        else:
            limits = {"algorithms": algorithms, "restarts": restarts} if "restarts" in taken else {}
            wanted[name] = experiments.parts_of(experiment, profile, name, **limits)
    if not any(wanted.values()):
        raise UsageError(f"no task of profile {profile} has a {variant} setting, as told above")
    if dry_run:
        from popview.runs import costs

        if experiment in ("solutions", "landscapes"):
            raise UsageError(
                "--dry-run prices runs of optimizers and of grids, not the study of solutions or landscapes"
            )

        typer.echo(costs.text([spec for found in wanted.values() for spec in found]))
        return
    _compute(profile, wanted, **how)


def _compute(profile: str, wanted: dict[str, Any], **how: Any) -> None:
    """Compute what is missing of the parts of tasks, and say of each task how many files are new."""
    from popview.common.folders import RESULTS as root
    from popview.runs import experiment

    def report(name: str, files: experiment.FileCounts) -> None:
        typer.echo(f"{profile}/{name}: {files.wanted} files wanted, {files.new} new, {files.before} there before")

    experiment.run_experiment(wanted, report=report, root=root, **how)


def _variant_specs(
    profile: str, task: str, variant: str, algorithms: tuple[str, ...] | None, restarts: int | None, named: bool
) -> Any:
    """Return the specs of a task in a variant; say which algorithms have no setting for it yet, and what gives one.

    A task without any is an error where it was `named`.
    """
    from popview.runs import expansion, profiles
    from popview.runs.annealed import AnnealedPlan

    specs = expansion.expand(profile, task, algorithms=algorithms, restarts=restarts, variant=variant)
    if algorithms:
        return specs
    plan = AnnealedPlan(profile, task)
    later = variant in plan.variants
    search = plan.searched if later else expansion.searched(profile, task)
    known = {spec.algorithm for spec in specs}
    planned = [*expansion.unsearched(profile, task, variant, known)] if later else []
    absent = planned or [
        one for one in profiles.settings(profile, task)["algorithms"] if not later and one not in known
    ]
    searched, never = ([one for one in absent if (one in search) is there] for there in (True, False))
    advice = f"`popview tune --profile {profile} --task {task}{' --annealed' if later else ''}`"
    if absent and not specs and named:
        cure = f"run {advice}" if searched else f"it has no [{task}.search.<algorithm>]"
        raise UsageError(f"{task} has no {variant} settings in profile {profile}: {cure}")
    for names, why in ((searched, f"{advice} chooses one"), (never, "the profile searches none")):
        if names:
            typer.echo(f"{profile}/{task}: left out, without a {variant} setting ({why}): {', '.join(names)}")
    return specs


@app.command()
def topography(
    profile: StudyProfile = "laptop",
    network: Annotated[list[str] | None, typer.Option(help="Only this network; repeatable.")] = None,
    workers: Workers = None,
) -> None:
    """Train the solutions of the page between-solutions and find paths between them; what was finished is kept."""
    from popview.runs import experiment

    names = network or experiment.tasks_of("solutions", profile)
    _compute(profile, {name: experiment.parts_of("solutions", profile, name) for name in names}, workers=workers)


@app.command()
def tune(
    task: Annotated[str, typer.Option(help="Which task.")],
    profile: Profile = "laptop",
    algorithm: Annotated[list[str] | None, typer.Option(help="Only this algorithm; repeatable.")] = None,
    annealed: Annotated[bool, typer.Option("--annealed", help="Search the grid of [<task>.annealed].")] = False,
    workers: Workers = None,
) -> None:
    """Search for hyperparameters: compute the trials that are missing and choose the best on the validation split."""
    from popview.runs import search

    tried, method = ("cells", search.anneal) if annealed else ("trials", search.tune)
    for name, entry in method(profile, task, tuple(algorithm) if algorithm else None, workers=workers).items():
        settings = entry[tried][entry["chosen"]].items()
        values = ", ".join(f"{key} = {value:g}" for key, value in settings) or "the base setting"
        scores = entry["scores"]
        best = f"{min(scores['finalist']):.4f}" if annealed else f"metric {scores[entry['chosen']]:.4f}"
        typer.echo(f"{profile}/{task}/{name}: {values} (validation {best}, {len(entry[tried])} {tried})")


@app.command()
def data(
    task: Annotated[list[str] | None, typer.Argument(help="Which tasks; all of the profile by default.")] = None,
    profile: Profile = "laptop",
) -> None:
    """Load the data and models of tasks once, into the cache, or say what is missing."""
    from popview.runs import profiles
    from popview.tasks import array_cache
    from popview.tasks.setup import set_up

    missing = []
    for name in task or profiles.tasks(profile):
        try:
            set_up(name, [0], profiles.settings(profile, name)["model"])
            typer.echo(f"{name}: ready in {array_cache.folder()}")
        except UsageError as error:
            missing.append(str(error))
    if missing:
        raise UsageError("; ".join(missing))


@app.command()
def status(
    profile: Profile = "laptop",
    restarts: Annotated[int | None, typer.Option(help="Wanted per algorithm; the profile's by default.")] = None,
) -> None:
    """Say how many restarts are wanted, done, running and so on, per task, variant or grid, and algorithm."""
    from popview.runs.status import inventory

    rows = inventory(profile, restarts=restarts)
    kinds = ("wanted", "done", "running", "half_done", "diverged", "damaged")
    for row in rows:
        counts = ", ".join(f"{row[kind]} {kind.replace('_', '-')}" for kind in kinds)
        typer.echo(f"{profile}/{row['task']}/{row['variant']}/{row['algorithm']}: {counts}")
    totals = ", ".join(f"{sum(row[kind] for row in rows)} {kind.replace('_', '-')}" for kind in kinds)
    taken = f"{sum(row['bytes'] for row in rows) / 1e6:.1f} MB, {sum(row['core_hours'] for row in rows):.1f} core-hours"
    typer.echo(f"in all: {totals}; {taken}")


@app.command()
def verify(
    write: Annotated[bool, typer.Option("--write", help="Write the manifest of all that is right.")] = False,
) -> None:
    """Read all results and say what is missing, foreign, changed or damaged, by the manifest of what ships."""
    from popview.runs import manifest

    found = manifest.verify(write=write)
    for line in (*found.written, *found.wrong):
        typer.echo(line)
    typer.echo(f"{found.right} files are right, {len(found.wrong)} are not")
    if found.wrong:
        raise typer.Exit(1)


@app.command()
def ensembles(
    task: Annotated[list[str] | None, typer.Option(help="Which tasks; all of the profile by default.")] = None,
    profile: Profile = "laptop",
) -> None:
    """Score ensembles of restarts, and pairs of them, from the probabilities in the store.

    It needs the data. On Digits it trains SGD's runs anew as well, in seconds, to score them under corruption.
    """
    from popview.populations import disagreement, ensembles, restart_spread, scored_predictions, shifted_ensembles
    from popview.populations.embedded import EMBEDDED
    from popview.runs import profiles
    from popview.tasks.catalogue import SHOWN

    kinds = {
        "ensembles": ensembles.ensembles_of,
        "pairs": disagreement.pairs_of,
        "spreads": restart_spread.spreads_of,
        "differences": restart_spread.differences_of,
    }
    for name in task or [name for name in profiles.tasks(profile) if name in SHOWN]:
        tables = scored_predictions.write_derived(profile, name, kinds)
        if name == EMBEDDED:
            tables["ensembles under corruption"] = shifted_ensembles.write_shifted(profile)
        rows = ", ".join(f"{len(table)} {what}" for what, table in tables.items())
        typer.echo(f"{name}: {rows or 'no probabilities in the store'}")


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="An algorithm, such as SAM.")],
    b: Annotated[str, typer.Argument(help="What it is compared with, such as SGD.")],
    task: Annotated[str, typer.Option(help="Which task.")] = "digits",
    profile: Profile = "laptop",
    variant: Annotated[str, typer.Option(help="base, or what a search gave: tuned or annealed.")] = "base",
    metric: Annotated[str, typer.Option(help="test_metric, validation_metric, or a loss.")] = "test_metric",
    models: Annotated[str, typer.Option(help="Of each run: last, or SetA, the paper's ten.")] = "last",
    epochs: Annotated[int | None, typer.Option(help="Of your own task: the runs of so many epochs.")] = None,
    margin: Annotated[float | None, typer.Option(help="Of your own task: equivalence, as a share.")] = None,
) -> None:
    """Compare two algorithms as the page better-than-sgd does: effect, intervals, tests, verdict."""
    from popview.populations import compare_text

    scale: dict[str, Any] = {"task": task, "profile": profile, "variant": variant, "epochs": epochs, "margin": margin}
    typer.echo(compare_text.comparison(a, b, metric=metric, models=models, **scale))


@contextmanager
def _lean() -> Iterator[None]:
    """Start no threads of linear algebra and collect no garbage: a third of the time of a command that ends at once."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _root() -> Path:
    """Return the book's folder."""
    from popview.common.folders import ROOT

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
    """Run the command line and return its exit code, which `popview.common.endings.reported` chooses where it is not 0.

    Parameters
    ----------
    arguments
        The words after ``popview``; those of this process by default.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        with reported(), _lean() if words[:1] == ["status"] else nullcontext():  # from the start: imports take longest
            try:
                code = app(args=words or ["--help"], prog_name="popview", standalone_mode=False) or 0
            except typer.TyperException as error:
                raise UsageError(error.format_message()) from error
            if code == INTERRUPTED:  # what typer makes of Ctrl-C
                raise KeyboardInterrupt
        return code
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 1
