"""Many specs: compute those that are missing, one process a core with one thread each, here or on a cluster."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from popview import processes, states, store, trajectory
from popview.errors import UsageError, check_name
from popview.locks import claim
from popview.paths import TRAJECTORIES
from popview.specs import RunSpec

__all__ = ["BACKENDS", "run"]

#: How often what a killed worker left is tried before giving up.
ATTEMPTS = 3


def run(
    specs: Iterable[RunSpec],
    *,
    workers: int | None = None,
    backend: str = "loky",
    scheduler: str | None = None,
    keep_weights: bool = False,
    root: Path = TRAJECTORIES,
    quiet: bool = False,
) -> int:
    """Compute the specs that the store does not hold, and store each as soon as it is finished.

    A killed run loses nothing that was finished, and of what was not at most a minute: call it again. Neither the
    number of workers nor the backend changes the results. Several drivers may work on one store: each spec is computed
    by one of them.

    Parameters
    ----------
    specs : iterable of RunSpec
    workers : int, optional
        Processes; by default one a core. With 1 and "loky" nothing is forked.
    backend : {"loky", "dask"}
    scheduler : str, optional
        Of "dask": the address of a running scheduler, whose workers share the store's folder; "slurm" for jobs started
        through dask-jobqueue (its configuration file says how); by default a cluster on this machine.
    keep_weights : bool
        Whether to keep the ten models of lowest training loss beside each trajectory, as safetensors.
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
    UsageError
        If the backend is unknown, its scheduler cannot be reached, workers are killed again and again (by a lack of
        memory for example), or another driver is still at work on some of the specs.
    """
    check_name("backend", backend, BACKENDS)
    if scheduler is not None and backend != "dask":
        raise UsageError(f"scheduler {scheduler!r} needs the backend dask")
    wanted = store.missing(specs, root)
    todo, elsewhere = wanted, 0
    for _ in range(ATTEMPTS):
        jobs = _jobs(todo)
        if not jobs:
            break
        with BACKENDS[backend](jobs, workers or cpu_count(), scheduler, root, keep_weights) as done:
            try:
                finished = list(tqdm(done, total=len(jobs), desc="trajectories", unit="file", disable=quiet))
                elsewhere = finished.count(False)
            except TerminatedWorkerError:
                elsewhere = 0
                print("popview: a worker was killed; what it had not finished is computed again", file=sys.stderr)
        todo = store.missing(todo, root)
        if elsewhere:
            break
    if todo and elsewhere:
        raise UsageError(
            f"{len(todo)} of {len(wanted)} files are being computed by another driver on this store, the others are "
            "done: run again when it has finished"
        )
    if todo:
        raise UsageError(f"workers were killed {ATTEMPTS} times, {len(todo)} files are missing: try fewer --workers")
    return len(wanted)


def _jobs(todo: list[RunSpec]) -> list[RunSpec]:
    """Leave out the specs that the run of another one serves as well."""
    served = [spec.alongside for spec in todo]
    return [spec for spec in todo if spec not in served]


def _compute(spec: RunSpec, root: Path, keep_weights: bool) -> bool:
    """Compute and store a spec, and the one alongside it; say whether they are there now."""
    processes.keep_pages()
    with ExitStack() as stack:
        for served in filter(None, (spec.alongside, spec)):
            if not stack.enter_context(claim(store.beside(served, "lock", root))):
                return False
        if not store.path(spec, root).is_file():
            unfinished = store.beside(spec, "unfinished", root)
            stack.enter_context(processes.one_thread())
            for found in trajectory.compute(spec, unfinished):
                if keep_weights:
                    states.save(store.beside(found.spec, "weights", root), found.best.state_dict())
                if not store.path(found.spec, root).is_file():
                    store.save(found.spec, found.table, root)
            unfinished.unlink(missing_ok=True)
        return True


@contextmanager
def _loky(jobs: list[RunSpec], workers: int, _: str | None, *given: Any) -> Iterator[Iterable[bool]]:
    parallel = Parallel(n_jobs=min(workers, len(jobs)), return_as="generator_unordered")
    yield parallel(delayed(_compute)(spec, *given) for spec in jobs)


@contextmanager
def _dask(jobs: list[RunSpec], workers: int, scheduler: str | None, *given: Any) -> Iterator[Iterable[bool]]:
    from distributed import Client, LocalCluster, as_completed
    from distributed.scheduler import KilledWorker

    with ExitStack() as stack:
        cluster: Any = scheduler
        if scheduler is None:
            local = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=50)
            cluster = stack.enter_context(local)
        elif scheduler == "slurm":
            from dask_jobqueue import SLURMCluster

            cluster = stack.enter_context(SLURMCluster())
            cluster.scale(jobs=workers)
        try:
            client = stack.enter_context(Client(cluster, timeout=20))
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(f"no Dask scheduler answers at {scheduler}: {error}") from error
        futures = client.map(_compute, jobs, *([value] * len(jobs) for value in given), pure=False, retries=ATTEMPTS)

        def results() -> Iterator[bool]:
            try:
                for future in as_completed(futures):
                    yield future.result()
            except KilledWorker as error:
                raise TerminatedWorkerError(str(error)) from error

        yield results()


Backend = Callable[..., Any]
BACKENDS: dict[str, Backend] = {"loky": _loky, "dask": _dask}
