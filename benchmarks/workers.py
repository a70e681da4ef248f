"""What the engine adds and what workers bring: one worker against two, and a thousand trivial specs through Dask.

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/workers.py [--repeats 5] [--specs 1000] [--no-trivial]

(a) Sixteen specs of digits (stacks of 50 restarts, as in the laptop profile), by one worker, which is the driver's own
    process, and by two, which are already up; turn by turn. Required: at least 1.9 × as fast on an idle machine of two
    cores, and the same files, bit for bit but for times.
(b) Trivial specs, for which a worker does everything but train: lock, write the file, sweep, unlock. A local Dask
    cluster of two workers; its start is not counted, nor is the first run of twenty specs. Overhead is wall time per
    spec; it is also what a single scheduler and driver cost, since the workers' part shrinks with their number.

Ratios are the median of the repeats' own. About six minutes. Exits with 1 where (a) falls short.
"""

import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import typer
from interruptions import contents

from popview.common.environment import processor
from popview.runs import store, training
from popview.runs import workers as engine
from popview.runs.expansion import expand
from popview.runs.specs import RunSpec

MANY = 100_000


def work() -> list[RunSpec]:
    """Return sixteen specs that take two or three seconds each."""
    algorithms = ("SGD", "NiG-SGD", "NiM-SGD", "AdamW")
    return expand("laptop", "digits", algorithms=algorithms, restarts=200, epochs=15, checkpoints=4)


def timed(specs: list[RunSpec], root: Path, **options: Any) -> float:
    began = time.perf_counter()
    assert engine.run(specs, root=root, quiet=True, **options) == len(specs)
    return time.perf_counter() - began


def speed_up(folder: Path, repeats: int) -> bool:
    """(a) Print the seconds of one and of two workers; return whether both requirements are met."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    warm = [replace(spec, restarts=1, epochs=1) for spec in work()]
    up = timed(warm, folder / "warm", workers=2)
    same = 0
    for repeat in range(repeats):
        for workers, taken in seconds.items():
            taken.append(timed(work(), folder / f"{workers}-{repeat}", workers=workers))
        same += sum(contents(s, folder / f"1-{repeat}") == contents(s, folder / f"2-{repeat}") for s in work())
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    print(f"Two workers are up, and have run sixteen specs of a moment, after {up:.1f} s.\n")
    print("| workers | seconds for sixteen specs |\n|---|---|")
    for workers, taken in seconds.items():
        print(f"| {workers} | {spread(taken)} |")
    print(f"\nSpeed-up {spread(ratios)}; {same} of {repeats * len(work())} files the same, bit for bit.\n")
    return statistics.median(ratios) >= 1.9 and same == repeats * len(work())


def without_training(spec: RunSpec, mark: str, root: Path, *given: Any) -> engine.Outcome:
    """Stand in for `workers._far`: all that a worker does, but for the training."""

    def compute(spec: RunSpec, *_: Any) -> list[training.Trajectory]:
        table = pa.table({"seed": [spec.seed]}).replace_schema_metadata({"popview": f'{{"digest": "{spec.digest}"}}'})
        return [training.Trajectory(spec, table, None)]  # type: ignore[arg-type]

    assert Path(mark).exists()
    training.compute = compute
    return engine._compute(spec, root, *given)


def overhead(folder: Path, repeats: int, many: int) -> None:
    """(b) Print the seconds per trivial spec."""
    from distributed import LocalCluster

    spec = expand("smoke", "digits", algorithms=("SAM",))[0]
    engine._far = without_training
    found: dict[int, list[float]] = {many // 4: [], many: []}
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        where = {"backend": "dask", "scheduler": cluster.scheduler_address}
        timed([replace(spec, seed=-1 - i) for i in range(20)], folder / "few", **where)
        for repeat in range(repeats):
            for count, taken in found.items():
                specs = [replace(spec, seed=i) for i in range(count)]
                taken.append(timed(specs, folder / f"{count}-{repeat}", **where) / count * 1000)
    began = time.perf_counter()
    assert not store.missing(specs, folder / f"{many}-0")
    looking = (time.perf_counter() - began) / many * 1000
    print("| trivial specs | milliseconds a spec |\n|---|---|")
    for count, taken in found.items():
        print(f"| {count:,} | {spread(taken)} |")
    each = statistics.median(found[many])
    hours = each * MANY / 3.6e6
    print(
        f"\n{MANY:,} trajectories: {hours:.2f} hours of overhead in all, and {looking * MANY / 1000:.0f} s to find",
        end=" ",
    )
    print(
        f"that all are there. One driver keeps up to {240 / (each / 1000):,.0f} workers at work if each trajectory",
        end=" ",
    )
    print("takes four minutes.")


def spread(values: list[float]) -> str:
    """Write the median and the range."""
    return f"{statistics.median(values):.3g} ({min(values):.3g}–{max(values):.3g})"


def main(repeats: int = 5, specs: int = 1000, trivial: bool = True) -> None:
    """Print the tables as Markdown."""
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}; {repeats} repeats;", end=" ")
    print("median (range)\n")
    with tempfile.TemporaryDirectory() as name:
        met = speed_up(Path(name) / "work", repeats)
        if trivial:
            overhead(Path(name) / "trivial", repeats, specs)
    raise typer.Exit(0 if met else 1)


if __name__ == "__main__":
    typer.run(main)
