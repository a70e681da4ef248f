"""Runs that are interrupted at random moments, against one that is not: are the files the same, bit for bit?

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/interruptions.py [--kills 50] [--terms 10] [--seed 0]

Seven specs of digits, with several checkpoints, and three of CIFAR-10 (smoke's network, the data from POPVIEW_HUB or
the Hub) are computed once without a break; then again under signals:

(a) SIGKILL and SIGTERM of the driver, at random moments of as long as the whole takes: twice for each new store, unless
    it ends before, after which it is started again and left alone; with one worker and with two by turns;
(b) SIGKILL of one worker under loky with two workers, when a file is finished and a half-done state is there;
(c) SIGKILL of one worker of a Dask scheduler reached by its address, which has two.

Half-done states are written at every checkpoint, so that every kill in the midst of a trajectory meets one. Compared
are all columns but `seconds` and all metadata but `seconds`. After each signal, processes that live on for half a
minute are counted (orphans), at the end files of dead processes in /dev/shm. Exits with 1 if any file differs or
anything is left. Half an hour. `interrupted_book.py` does the same to chapters and the book.
"""

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import typer

from popview.common import locks
from popview.common.endings import reported
from popview.common.environment import processor
from popview.runs import loop, store
from popview.runs import workers as engine
from popview.runs.expansion import expand
from popview.runs.specs import RunSpec

DIGITS = ("SGD", "SWA", "SAM", "NiM-BH", "NiG-MBH", "AdamW", "SGLD")
IMAGES = ("SGD", "SWA", "NiM-MBH")

#: Environment variable that processes started here have.
MARK = "POPVIEW_INTERRUPTED"


def wanted() -> list[RunSpec]:
    """Return the specs: 200 steps and 21 checkpoints on digits, 16 steps and 9 checkpoints on CIFAR-10."""
    digits = expand("smoke", "digits", algorithms=DIGITS, epochs=10, checkpoints=21)
    images = expand("smoke", "cifar10", algorithms=IMAGES, epochs=2, checkpoints=9)
    return digits[:4] + images + digits[4:]


def drive(root: Path, workers: int, address: str = "") -> None:
    """Compute what is missing; note in a file each trajectory that this process continues from a half-done state."""
    resume = loop._resumed

    def noted(file: Path | None, *given: Any) -> tuple[int, float]:
        step, spent = resume(file, *given)
        if file is not None and step >= 0:
            with (root / "resumed").open("a") as lines:
                lines.write(f"{file.stem} {step}\n")
        return step, spent

    loop._resumed = noted
    how = {"backend": "dask", "scheduler": address} if address else {"workers": workers}
    with reported():
        engine.run(wanted(), root=root, quiet=True, every=0.0, **how)


def start(root: Path, workers: int, address: str = "") -> subprocess.Popen[str]:
    """Start a process that drives."""
    root.mkdir(exist_ok=True)
    return begun([__file__, "--drive", str(root), "--workers", str(workers), "--address", address])


def begun(words: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start a Python that is known, with all that it starts, by a mark in the environment."""
    known = {**os.environ, MARK: str(os.getpid()), **environment}
    return subprocess.Popen(
        [sys.executable, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=known
    )


def interrupt(process: subprocess.Popen[str], number: int) -> int:
    """Send a signal, and return how many of the processes that it should have ended live on for half a minute."""
    process.send_signal(number)
    error = process.communicate()[1]
    if process.returncode == 128 + number:
        assert error == "popview: asked to end; what was finished is kept\n", error
    late = time.monotonic() + 30
    while alive := marked():
        if time.monotonic() > late:
            for orphan in alive:
                orphan.kill()
            break
        time.sleep(0.1)
    return len(alive)


def marked() -> list[psutil.Process]:
    """Return the processes that `begun` started, and theirs."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == str(os.getpid()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def in_memory() -> int:
    """Return how many files of multiprocessing and joblib lie in /dev/shm whose processes are gone."""
    names = [re.search(r"(?:loky|mp|folder)[-_](\d+)", file.name) for file in Path("/dev/shm").iterdir()]
    return sum(not psutil.pid_exists(int(name[1])) for name in names if name)


def contents(spec: RunSpec, root: Path) -> tuple[bytes, Any]:
    """Return a file's columns, as bytes, and metadata, without times."""

    def timeless(value: Any) -> Any:
        return {k: timeless(v) for k, v in value.items() if k != "seconds"} if isinstance(value, dict) else value

    table = store.load(spec, root).drop_columns(["seconds"]).combine_chunks()
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as stream:
        stream.write_table(table.replace_schema_metadata())
    return sink.getvalue(), timeless(store.metadata(spec, root))


def equal(root: Path, reference: Path) -> int:
    """Return how many files are the same in both stores, and check that nothing else is left over."""
    left = [p for p in root.rglob("*") if p.is_file() and p.suffix != ".parquet" and p.name != "resumed"]
    assert not [p for p in left if p.suffix != ".lock"], left
    return sum(contents(spec, root) == contents(spec, reference) for spec in wanted())


def counts(root: Path) -> tuple[int, int, int]:
    """Return how many files are finished, half-done, untouched."""
    done = [store.path(spec, root).is_file() for spec in wanted()]
    half = [store.beside(spec, "unfinished", root).is_file() for spec in wanted()]
    finished, begun = sum(done), sum(h and not d for d, h in zip(done, half, strict=True))
    return finished, begun, len(done) - finished - begun


def kill_drivers(
    folder: Path, reference: Path, signals: list[int], draws: random.Random, span: float
) -> tuple[int, int, int]:
    """(a) Kill twice, then let it finish; return how many files were compared, the same, and how many orphans lived."""
    compared = same = spent = resumed = orphans = 0
    kills = len(signals)
    print("| kill | signal | store | workers | seconds after the start | finished | half-done | untouched |")
    print("|---|---|---|---|---|---|---|---|")
    for number in count(1):
        if spent == kills:
            break
        root = folder / f"killed-{number}"
        for time_left in [True] * min(2, kills - spent) + [False]:
            workers = 1 + spent % 2
            driver, moment = start(root, workers), draws.uniform(0, span)
            try:
                error = driver.communicate(timeout=moment if time_left else None)[1]
                assert driver.returncode == 0, error
                break
            except subprocess.TimeoutExpired:
                orphans += interrupt(driver, signals[spent])
            name, spent = signal.Signals(signals[spent]).name, spent + 1
            finished, half, untouched = counts(root)
            print(
                f"| {spent} | {name} | {number} | {workers} | {moment:.1f} | {finished} | {half} | {untouched} |",
                flush=True,
            )
            assert not any(locks.is_held(file) for file in root.rglob("*.lock"))
        resumed += len((root / "resumed").read_text().split("\n")) - 1 if (root / "resumed").is_file() else 0
        compared, same = compared + len(wanted()), same + equal(root, reference)
    print(f"\n{spent} signals to the driver; {resumed} trajectories were continued (as far as seen: with one worker)")
    return compared, same, orphans


def kill_one(driver: subprocess.Popen[str], root: Path, victim: Callable[[], psutil.Process]) -> None:
    """Kill a worker once half-done states are there, and let the driver finish."""
    while not (any(root.glob("*/*/*/*/*.parquet")) and any(root.glob("*/*/*/*/*.unfinished"))):
        time.sleep(0.02)
    victim().kill()
    finished, half, untouched = counts(root)
    error = driver.communicate()[1]
    assert driver.returncode == 0, error
    print(f"{finished} finished, {half} half-done, {untouched} untouched; the driver: {error.strip() or 'nothing'}")


def below(process: int, word: str) -> psutil.Process:
    """Return the youngest process below another whose command line has this word."""
    found = [p for p in psutil.Process(process).children(recursive=True) if word in " ".join(p.cmdline())]
    return max(found, key=lambda p: p.create_time())


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a Dask scheduler and two workers with nannies on loopback; yield its address and a nanny."""
    file = folder / "scheduler.json"
    with ExitStack() as stack:

        def begin(*words: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "dask", *words, "--scheduler-file", str(file), "--no-dashboard"]
            log = stack.enter_context((folder / f"{words[0]}.log").open("ab"))
            begun = subprocess.Popen([*command, "--host", "127.0.0.1"], stdout=log, stderr=log, cwd=folder)
            stack.callback(begun.wait)
            stack.callback(begun.terminate)
            return begun

        begin("scheduler", "--port", "0")
        _, nanny = (begin("worker", "--nthreads", "1") for _ in range(2))
        while not (file.is_file() and file.read_text()):
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"], nanny


def main(
    kills: int = 50,
    terms: int = 10,
    seed: int = 0,
    drive_in: str = typer.Option("", "--drive"),
    workers: int = 1,
    address: str = "",
) -> None:
    """Print what was interrupted when, how many files are the same, and what was left."""
    if drive_in:
        drive(Path(drive_in), workers, address)
        return
    before = in_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = folder / "reference"
        began = time.perf_counter()
        driver = start(reference, 1)
        error = driver.communicate()[1]
        assert driver.returncode == 0, error
        whole = time.perf_counter() - began
        print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; ", end="")
        print(f"{len(wanted())} files, computed without a break in {whole:.0f} s by one worker\n")
        draws = random.Random(seed)
        results = {"driver": kill_drivers(folder, reference, drawn(kills, terms, draws), draws, whole)}
        print("\nOne worker of loky's two killed:", end=" ")
        driver = start(folder / "loky", 2)
        kill_one(driver, folder / "loky", lambda: below(driver.pid, "popen_loky"))
        results["worker of loky"] = len(wanted()), equal(folder / "loky", reference), 0
        print("One worker of Dask's two, by address, killed:", end=" ")
        with cluster(folder) as (reached, nanny):
            driver = start(folder / "dask", 2, reached)
            kill_one(driver, folder / "dask", lambda: below(nanny.pid, "spawn_main"))
        results["worker of Dask"] = len(wanted()), equal(folder / "dask", reference), 0
    left = in_memory() - before
    print("\n| interrupted | files compared | the same, bit for bit | orphans |\n|---|---|---|---|")
    for what, counted in results.items():
        print(f"| {what} | {' | '.join(map(str, counted))} |")
    print(f"\n{left} files left over in /dev/shm")
    if left > 0 or any(compared != same or orphans for compared, same, orphans in results.values()):
        raise SystemExit(1)


def drawn(kills: int, terms: int, draws: random.Random) -> list[int]:
    """Return so many SIGKILLs and SIGTERMs in a random order."""
    signals: list[int] = [signal.SIGKILL] * kills + [signal.SIGTERM] * terms
    draws.shuffle(signals)
    return signals


if __name__ == "__main__":
    typer.run(main)
