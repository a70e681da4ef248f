"""Many specs: compute those that are missing, one process a core with one thread each."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from popview import store
from popview.errors import UsageError
from popview.paths import TRAJECTORIES
from popview.specs import RunSpec
from popview.trajectory import run as run_trajectory

__all__ = ["run"]

#: How often what a killed worker left is tried before giving up.
ATTEMPTS = 3


def run(specs: Iterable[RunSpec], *, workers: int | None = None, root: Path = TRAJECTORIES, quiet: bool = False) -> int:
    """Compute the specs that the store does not hold, and store each as soon as it is finished.

    A killed run loses what was not finished, and nothing else: call it again. The number of workers does not change
    the results.

    Parameters
    ----------
    specs : iterable of RunSpec
    workers : int, optional
        Processes; by default one a core. With 1 nothing is forked.
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
        If workers are killed again and again, by a lack of memory for example.
    """
    todo = store.missing(specs, root)
    computed = len(todo)
    for _ in range(ATTEMPTS):
        if not todo:
            return computed
        jobs = min(workers or cpu_count(), len(todo))
        done = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(_compute)(spec, root) for spec in todo)
        try:
            for _ in tqdm(done, total=len(todo), desc="trajectories", unit="file", disable=quiet):
                pass
        except TerminatedWorkerError:
            print("popview: a worker was killed; what it had not finished is computed again", file=sys.stderr)
        todo = store.missing(todo, root)
    if todo:
        raise UsageError(f"workers were killed {ATTEMPTS} times, {len(todo)} files are missing: try fewer --workers")
    return computed


def _compute(spec: RunSpec, root: Path) -> float:
    started, threads = time.perf_counter(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        store.save(spec, run_trajectory(spec), root)
    finally:
        torch.set_num_threads(threads)
    return time.perf_counter() - started
