"""Dask's side of a run: the client of a scheduler, or of a cluster here or of Slurm jobs; and what they answer."""

import logging
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from joblib.externals.loky.process_executor import TerminatedWorkerError

from popview.common import processes
from popview.common.errors import UsageError, reason_of

#: Seconds that a Dask scheduler has to answer.
PATIENCE = 15


@contextmanager
def dask_client(scheduler: str | None, workers: int) -> Iterator[Any]:
    """Within this context there is a client of the scheduler; see `popview.runs.workers.run`."""
    try:
        from distributed import Client
        from distributed.utils import silence_logging_cmgr
    except ValueError as error:  # one of its files is no YAML
        raise UsageError(f"Dask's configuration: {reason_of(error)}") from error

    with ExitStack() as stack:
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL))  # errors are told in one line
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "Port .* is already in use")  # that of Dask's status, in another driver
        cluster = _cluster(scheduler, workers, stack)
        try:
            client = stack.enter_context(Client(cluster, timeout=PATIENCE))
        except Exception as error:  # a server of another kind may answer anything
            raise UsageError(f"no Dask scheduler answers at {scheduler}: {reason_of(error)}") from error
        if not client.nthreads():
            print("popview: no Dask worker is there yet; waiting for one", file=sys.stderr)
        yield client


def _cluster(scheduler: str | None, workers: int, stack: ExitStack) -> Any:
    """Return what a Dask client connects to: an address, or a cluster started here that ends with the stack."""
    if scheduler is None:
        from dask import config
        from distributed import LocalCluster

        environment = {"MALLOC_ARENA_MAX": 1, **processes.HUGE_PAGES}
        start = {f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in environment.items()}
        stack.enter_context(_main_left_alone())  # also for a worker that is started anew
        try:
            with config.set(start), processes.uninterrupted():
                local = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=50)
        except (OSError, RuntimeError) as error:
            raise UsageError(
                f"Dask's workers do not start on this machine: {reason_of(error.__cause__ or error)}"
            ) from error
        return stack.enter_context(local)
    return _slurm(workers, stack) if scheduler == "slurm" else scheduler


@contextmanager
def _main_left_alone() -> Iterator[None]:
    """Let processes that are spawned not import the main script, which may run at its import, for want of a guard."""
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


def _slurm(workers: int, stack: ExitStack) -> Any:
    """Return a Dask cluster whose workers are Slurm jobs, as dask-jobqueue's configuration file says.

    A job that ends before its time, or at its walltime, is replaced.
    """
    if shutil.which("sbatch") is None:
        raise UsageError("scheduler slurm: there is no sbatch on this machine")
    from dask import config
    from distributed import Status

    async def submitted(cluster: Any) -> None:
        cluster.scale(workers)
        try:
            await cluster  # else nobody would hear what sbatch says
        except RuntimeError:
            for job in cluster.workers.values():
                job.status = Status.failed  # else the cluster could not be closed
            raise

    try:
        with processes.uninterrupted():  # Ctrl-C is to mean what it meant: dask-jobqueue makes it a silent exit
            from dask_jobqueue import SLURMCluster

            options = {"dashboard_address": None} | config.get("jobqueue.slurm.scheduler-options", {})
            cluster = stack.enter_context(SLURMCluster(silence_logs=50, scheduler_options=options))
        cluster.sync(submitted, cluster)
    except ModuleNotFoundError as error:
        raise UsageError("scheduler slurm needs dask-jobqueue: `pip install dask-jobqueue`") from error
    except (RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).rpartition("stderr:")[2].split())
        raise UsageError(f"scheduler slurm, by dask-jobqueue's configuration file: {said}") from error
    cluster.adapt(minimum=workers, maximum=workers)
    return cluster


def dask_results(futures: list[Any], scheduler: str | None) -> Iterator[Any]:
    """Yield the outcomes as they come; what killed workers is told at the end, when the others are done."""
    from distributed import CancelledError, as_completed
    from distributed.scheduler import KilledWorker

    killed: KilledWorker | None = None
    for future in as_completed(futures):
        try:
            yield future.result()
        except KilledWorker as error:
            killed = error
        except CancelledError as error:
            message = f"the Dask scheduler {scheduler or ''} has gone away; what was finished is kept: run again"
            raise UsageError(message) from error
    if killed is not None:
        raise TerminatedWorkerError(str(killed)) from killed
