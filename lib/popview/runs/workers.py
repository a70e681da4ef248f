"""Many specs: compute those that are missing, one process a core with one thread each, here or on a cluster."""

import os
import platform
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from popview.common import processes, tensor_files
from popview.common.endings import code_of
from popview.common.errors import Unavailable, Unfinished, UsageError, check_name, place_of, reason_of
from popview.common.files import writing
from popview.common.folders import RESULTS
from popview.common.locks import abandoned, claim, is_held
from popview.runs import store
from popview.runs.cluster import dask_client, dask_results
from popview.runs.computing import compute_part
from popview.runs.loop import EVERY
from popview.runs.specs import Part
from popview.runs.training import taken

#: How often what a killed worker left is tried before giving up.
ATTEMPTS = 3

#: What became of a job: digest → whether this job stored that file (else another driver did, or is at it), or an error.
Outcome = dict[str, bool] | UsageError

#: Torch's random state is one per process: where a Dask worker has several threads, one of them trains at a time.
_training = threading.Lock()


def run(
    parts: Iterable[Part],
    *,
    workers: int | None = None,
    backend: str = "loky",
    scheduler: str | None = None,
    keep_weights: bool = False,
    every: float = EVERY,
    root: Path = RESULTS,
    quiet: bool = False,
) -> int:
    """Compute the parts that the store does not hold, and store each as soon as it is finished.

    A killed run loses nothing that was finished, and of what was not at most a minute of training, or twenty times what
    writing a state takes, and the measures at the end: call it again. Neither the number of workers nor the backend
    changes the results. Several drivers may work on one store: each part is computed by one of them. What another is
    at, and a task that cannot be set up, do not keep the others from being computed; they are told at the end. What has
    to be there before (`Part.sources`) is computed first, and where it could not be, what needs it is left out. Nothing
    is computed whose rows another file has (`Part.same_as`).

    Parameters
    ----------
    parts : iterable of Part
    workers : int, optional
        Processes; by default one a core, but 1 where there is a GPU: all would share the first. Slurm's jobs have no
        default. With 1 and "loky" nothing is forked.
    backend : {"loky", "dask"}
    scheduler : str, optional
        Of "dask": the address of a running scheduler, or "slurm" for jobs started through dask-jobqueue (its
        configuration file says how); by default a cluster on this machine. See Notes.
    keep_weights : bool
        Whether to keep the ten models of lowest training loss beside each trajectory, as safetensors; one without them
        is computed again.
    every : float
        Seconds between two writings of a half-done trajectory's state; see `popview.runs.training.compute`.
    root : Path
        The store.
    quiet : bool
        Whether to hide the progress bar.

    Returns
    -------
    int
        How many were computed.

    Raises
    ------
    Unfinished
        If a task cannot be set up, or another driver is still at work on some specs; all others are computed.
    UsageError
        If the backend is unknown, its scheduler cannot be reached or goes away, the store cannot be written, memory is
        short, or workers are killed again and again (by a lack of it for example).

    Notes
    -----
    Workers of a Dask scheduler need this version of popview, the store's folder under the same name, and in their own
    environment what a task needs: POPVIEW_HUB or the network, POPVIEW_CACHE. Start them with
    ``MALLOC_ARENA_MAX=1 dask worker <address> --nthreads 1 --nworkers <cores>``; the variable makes them as fast as
    local workers. An interrupted driver's futures are cancelled; what their workers have begun they finish and store.

    The Slurm jobs of "slurm" end with the driver. One that ends before, as at its walltime, is replaced, if it is of
    one worker (``cores: 1``); what it was at goes on from its half-done state.
    """
    check_name("backend", backend, BACKENDS)
    if scheduler is not None and backend != "dask":
        raise UsageError(f"scheduler {scheduler!r} needs the backend dask")
    if scheduler == "slurm" and workers is None:
        raise UsageError("scheduler slurm needs --workers, the number of jobs: the cores of this machine say nothing")
    root = root.absolute()
    given = {part.digest: part for part in parts}
    store.tidy(given.values(), root)
    options: dict[str, Any] = {"workers": workers, "backend": backend, "scheduler": scheduler, "every": every}
    wanted, computed_first, told = _after_sources([*given.values()], root, keep_weights, quiet=quiet, **options)
    todo = wanted
    ours: dict[str, bool] = {}
    several = len({part.task for part in wanted}) > 1
    title = " and ".join(dict.fromkeys(part.experiment for part in wanted))
    others: set[str] = set()
    lost: dict[str, Unavailable] = {}
    kills = 0
    while jobs := _jobs(todo, root):
        others |= {spec.digest for spec in todo} - {served.digest for job in jobs for served in _served(job)}
        before = kills
        try:
            still = (job for job in jobs if job.task not in lost)
            with BACKENDS[backend](
                still, min(workers or _usual(), len(jobs)), scheduler, root, keep_weights, every
            ) as outcomes:
                with processes.held():  # a bar that is half made would tell of Ctrl-C by a traceback
                    bar = tqdm(outcomes, total=len(jobs), desc=title, unit="file", disable=quiet)
                for outcome in bar:
                    _note(outcome, ours, lost, several)
        except TerminatedWorkerError:
            kills += 1
            print("popview: a worker was killed; what it had not finished is computed again", file=sys.stderr)
        finally:
            locks = (store.beside(spec, "lock", root) for spec in todo)
            for _ in abandoned(lock for lock in locks if lock.is_file()):  # by killed workers
                pass
        if kills == before and any(job.digest not in ours and job.task not in lost for job in jobs):
            raise UsageError("the workers have another version of popview: start them anew")
        left = (spec for spec in to_compute(todo, root, keep_weights) if not ours.get(spec.digest))
        todo = [spec for spec in left if spec.task not in lost]
        if todo and kills == ATTEMPTS:
            raise UsageError(f"workers were killed {kills} times, {len(todo)} files are missing: try fewer --workers")
    told += [f"not set up, as told above: {', '.join(lost)}" if several else str(one) for one in lost.values()][:1]
    if todo:
        told.append(
            f"{len(todo)} of {len(wanted)} files are being computed by another driver on this store, the others are "
            "done: run again when it has finished"
        )
    if told:
        raise Unfinished("; ".join(dict.fromkeys(told)))
    return computed_first + sum(ours.get(part.digest, part.digest not in others) for part in wanted)


def _after_sources(
    parts: list[Part], root: Path, keep_weights: bool, **options: Any
) -> tuple[list[Part], int, list[str]]:
    """Compute the sources of parts; return what can be computed now, how many parts that were, and what is left out."""
    wanted, told = to_compute(parts, root, keep_weights), []
    sources = {source.digest: source for part in wanted for source in part.sources}
    if not sources:
        return wanted, 0, []
    try:
        run(sources.values(), keep_weights=True, root=root, **options)
    except Unfinished as error:
        told.append(str(error))
    lacking = {source.digest for source in to_compute([*sources.values()], root, True)}
    absent = to_compute(parts, root, keep_weights)
    ready = [part for part in absent if lacking.isdisjoint(one.digest for one in [part, *part.sources])]
    return ready, len(wanted) - len(absent), told


def _note(outcome: Outcome, ours: dict[str, bool], lost: dict[str, Unavailable], several: bool) -> None:
    """Note what became of a job; of several tasks say at once which cannot be set up."""
    if isinstance(outcome, Unavailable):
        if outcome.task not in lost and several:
            print(f"popview: {outcome}", file=sys.stderr)
        lost[outcome.task] = outcome
    elif isinstance(outcome, UsageError):
        raise outcome
    else:
        ours |= outcome


def _usual() -> int:
    """Return the processes of a run that does not say: one a core, but a single one where there is a GPU."""
    return 1 if torch.cuda.is_available() else cpu_count()


def to_compute(specs: Sequence[Part], root: Path, keep_weights: bool) -> list[Part]:
    """Return the specs whose trajectory, or its weights where they are to be kept, is not in the store."""
    absent = {spec.digest for spec in store.missing(specs, root)}
    return [spec for spec in specs if spec.digest in absent or _lacks(spec, root, keep_weights)]


def _lacks(spec: Part, root: Path, keep_weights: bool) -> bool:
    """Whether a spec's file is not there, or that of its weights where they are to be kept."""
    there = store.path(spec, root).is_file() and (store.beside(spec, "weights", root).is_file() or not keep_weights)
    return not there


def _served(spec: Part) -> list[Part]:
    """Return the specs that a run of `spec` serves, itself last."""
    return [*spec.alongside, spec]


def _jobs(todo: list[Part], root: Path) -> list[Part]:
    """Leave out the specs that the run of another one serves as well, and those that another driver is at."""
    also = {served.digest for spec in todo for served in _served(spec)[:-1]}
    jobs = [spec for spec in todo if spec.digest not in also]
    return [spec for spec in jobs if not any(is_held(store.beside(s, "lock", root)) for s in _served(spec))]


def _compute(spec: Part, root: Path, keep_weights: bool, every: float) -> Outcome:
    """Compute and store a part, and those alongside it."""
    served = _served(spec)
    try:
        with _training, ExitStack() as stack:
            for one in served:
                lock = store.beside(one, "lock", root)
                with writing(lock):
                    held = stack.enter_context(claim(lock))
                if not held:
                    return {one.digest: False for one in served}
            absent = {one.digest: _lacks(one, root, keep_weights) for one in served}
            if absent[spec.digest] and (keep_weights or not _reuse(spec, root)):
                processes.keep_pages()
                stack.enter_context(processes.one_thread())
                for found in compute_part(spec, store.beside(spec, "unfinished", root), every, root):
                    if absent[found.spec.digest]:
                        weights = store.beside(found.spec, "weights", root)
                        if keep_weights or found.spec.keeps_weights:
                            with writing(weights):
                                weights.parent.mkdir(parents=True, exist_ok=True)
                                tensor_files.save_tensors(weights, found.weights)
                        store.save(found.spec, found.table, root)
            for one in served:
                with writing(store.path(one, root)):
                    store.sweep(one, root)
            return absent
    except UsageError as error:
        return error
    except Exception as error:
        ending = code_of(error) if isinstance(error, OSError | MemoryError | RuntimeError) else None
        if ending is None and not spec.readers:
            raise
        told = f"failed in {place_of(error)}: {type(error).__name__}: {reason_of(error)}"
        return UsageError(f"{spec.algorithm} on {spec.task}, seed {spec.seed}: {ending[1] if ending else told}")


def _reuse(part: Any, root: Path) -> bool:
    """Store a part's table, and say so, where another part's file has the same rows."""
    for other in part.same_as:
        try:
            table = taken(part, other, store.load(other, root))
        except UsageError:  # not there, or damaged
            continue
        if table is not None:
            store.save(part, table, root)
            return True
    return False


@contextmanager
def _loky(jobs: Iterable[Part], workers: int, _: str | None, *given: Any) -> Iterator[Iterable[Outcome]]:
    for name, value in processes.HUGE_PAGES.items():
        os.environ.setdefault(name, value)  # for the workers: it counts when a process starts
    parallel = Parallel(n_jobs=workers, batch_size=1, return_as="generator_unordered")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="joblib")  # that workers were stopped, or anew
        with processes.uninterrupted():  # a worker that is still starting would tell of Ctrl-C in its own words
            begun = parallel(delayed(_child)(os.getpid(), spec, *given) for spec in jobs)
        with closing(begun) as outcomes:
            yield outcomes


def _child(driver: int, *given: Any) -> Outcome:
    processes.serve(driver)
    return _compute(*given)


@contextmanager
def _dask(jobs: Iterable[Part], workers: int, scheduler: str | None, root: Path, *given: Any) -> Iterator[Any]:
    mark = root / f".driver-{uuid4().hex}"
    with ExitStack() as stack:
        with writing(mark):
            for _ in abandoned(root.glob(".driver-*")):
                pass
            stack.enter_context(claim(mark, wait=True))
        client = stack.enter_context(dask_client(scheduler, workers))
        every = list(jobs)
        many = ([value] * len(every) for value in (str(mark), root, *given))
        futures = client.map(_far, every, *many, pure=False, retries=ATTEMPTS)
        yield dask_results(futures, scheduler)


def _far(spec: Part, mark: str, root: Path, *given: Any) -> Outcome:
    """Compute on a worker that may be on another machine."""
    if not Path(mark).exists():
        return UsageError(f"{root} on worker {platform.node()} is not the driver's folder: they must share it")
    return _compute(spec, root, *given)


Backend = Callable[..., Any]
BACKENDS: dict[str, Backend] = {"loky": _loky, "dask": _dask}
