"""Killed workers and drivers: what was finished is kept, the rest goes on, and every file is as it would have been."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from test_workers import contents, run, until

from popview.common import locks, tensor_files
from popview.common.errors import UsageError
from popview.runs import expansion, specs, store, workers

WANTED = expansion.expand("smoke", "digits", algorithms=("SGD", "SAM"))

#: Long enough to be killed on the way: 2 × 400 steps with 201 checkpoints, and states written on the way.
LONG = expansion.expand("smoke", "digits", algorithms=("SAM", "NiM-MBH"), epochs=20, checkpoints=201)


def killer(times: int, first: int = 1):
    """A stand-in for joblib.Parallel that finishes `first` jobs and is then killed, `times` times."""
    left = [times]

    class Killed:
        def __init__(self, **_):
            pass

        def __call__(self, jobs):
            for number, (function, arguments, options) in enumerate(jobs):
                if left[0] and number == first:
                    left[0] -= 1
                    raise TerminatedWorkerError("killed")
                yield function(*arguments, **options)

    return Killed


def test_what_was_finished_is_kept_and_the_rest_computed_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(workers, "Parallel", killer(1))
    assert run(WANTED, tmp_path) == 2
    assert store.missing(WANTED, tmp_path) == []
    error = capsys.readouterr().err
    assert "a worker was killed" in error
    assert error.count("\n") == 1


def test_giving_up_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "Parallel", killer(99, first=0))
    with pytest.raises(UsageError, match="workers were killed 3 times, 2 files are missing") as caught:
        run(WANTED, tmp_path)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- real kills


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    """A store that one worker filled without a break, and without half-done states."""
    root = tmp_path_factory.mktemp("reference")
    assert run(LONG, root) == 2
    return root


def equal(root: Path, reference: Path) -> None:
    """Check that the stores hold the same, and nothing but results."""
    for spec in LONG:
        assert contents(spec, root) == contents(spec, reference)
    assert {p.suffix for p in root.rglob("*") if p.is_file()} == {".parquet"}


def under_way(spec: specs.RunSpec, root: Path) -> bool:
    """Whether a state is there from which a run would not start over."""
    try:
        return tensor_files.load_tensors(store.beside(spec, "unfinished", root))["step"] > 0
    except (OSError, ValueError):  # not yet, or no longer
        return False


@contextmanager
def killing(root: Path, victims: Callable[[], list[psutil.Process]]) -> Iterator[list[int]]:
    """Kill the first of the victims as soon as a half-done state is there; yield the list of those killed."""
    killed: list[int] = []

    def kill() -> None:
        for _ in until(120):
            if any(root.glob("*/*/*/*/*.unfinished")):
                victim = victims()[0]
                victim.kill()
                killed.append(victim.pid)
                return

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield killed
    thread.join()


def children(of: int, word: str) -> list[psutil.Process]:
    """Return the processes below one whose command line has this word, the youngest first."""
    below = psutil.Process(of).children(recursive=True)
    return sorted((p for p in below if word in " ".join(p.cmdline())), key=lambda p: -p.create_time())


@pytest.mark.slow
def test_a_killed_worker_of_loky(tmp_path, reference, capsys):
    with killing(tmp_path, lambda: children(os.getpid(), "popen_loky")) as killed:
        assert run(LONG, tmp_path, workers=2, every=0.05) == 2
    assert len(killed) == 1
    assert "a worker was killed" in capsys.readouterr().err
    equal(tmp_path, reference)


@pytest.mark.slow
def test_a_killed_driver_takes_its_workers_along(tmp_path, reference, capfd):
    code = (
        "import sys\nfrom pathlib import Path\nfrom popview.runs import workers\nfrom test_workers_killed import LONG\n"
        "workers.run(LONG, workers=2, root=Path(sys.argv[1]), quiet=True, every=0.05)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parent)
    for _ in until(120):
        if all(under_way(spec, tmp_path) for spec in LONG):
            break
    workers = children(driver.pid, "popen_loky")
    driver.kill()
    assert driver.wait() == -signal.SIGKILL
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert (len(gone), alive) == (2, [])
    assert not any(locks.is_held(store.beside(spec, "lock", tmp_path)) for spec in LONG)
    assert len(store.missing(LONG, tmp_path)) == 2
    assert all(under_way(spec, tmp_path) for spec in LONG)
    capfd.readouterr()
    assert run(LONG, tmp_path, every=0.05) == 2
    assert "cannot be continued" not in capfd.readouterr().err
    equal(tmp_path, reference)


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[Any]]]]:
    """Start a Dask scheduler and two workers with nannies; yield its address and the nannies."""
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    with ExitStack() as stack:

        def start(*words: str) -> subprocess.Popen[Any]:
            started = subprocess.Popen([*dask, *words, "--scheduler-file", str(file), "--no-dashboard"], **quiet)
            stack.callback(started.wait)
            stack.callback(started.terminate)
            return started

        start("scheduler", "--host", "127.0.0.1", "--port", "0")
        nannies = [start("worker", "--nthreads", "1", "--host", "127.0.0.1") for _ in range(2)]
        from distributed import Client

        with Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
        yield address, nannies


@pytest.mark.slow
def test_a_killed_worker_of_dask_reached_by_address(tmp_path, reference, capsys):
    with cluster(tmp_path) as (address, nannies):
        root = tmp_path / "store"
        with killing(root, lambda: children(nannies[0].pid, "spawn_main")) as killed:
            assert run(LONG, root, backend="dask", scheduler=address, every=0.05) == 2
        assert len(killed) == 1
    equal(root, reference)


@pytest.mark.slow
def test_a_dask_scheduler_that_dies_is_one_line(tmp_path, reference):
    with cluster(tmp_path) as (address, _):
        root = tmp_path / "store"
        scheduler = next(p for p in psutil.Process().children() if "scheduler" in p.cmdline())
        with killing(root, lambda: [scheduler]), pytest.raises(UsageError, match="has gone away") as caught:
            run(LONG, root, backend="dask", scheduler=address, every=0.05)
        assert "\n" not in str(caught.value)
    run(LONG, root)
    for spec in LONG:
        assert contents(spec, root) == contents(spec, reference)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["script.py"], ["-m", "script"]])
def test_a_script_without_a_guard_runs_on_dask(tmp_path, words):
    """Its workers do not run it once more; it finds itself unchanged afterwards."""
    code = (
        "from pathlib import Path\nfrom popview.runs import expansion, workers\n"
        "wanted = expansion.expand('smoke', 'digits', algorithms=('SWA',), epochs=1, checkpoints=2)\n"
        "print(workers.run(wanted, workers=2, backend='dask', root=Path('store'), quiet=True), Path(__file__).name)\n"
    )
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("1 script.py\n", "", 0)
