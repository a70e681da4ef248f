"""Shipped trajectories computed again from their specs: are they the same?

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/reproduce.py [--tasks digits --tasks cifar10] [--algorithm SGD]
        [--seeds 0 --seeds 1]

A file of each task and variant in the store (one restart; for `digits` a stack of them) is computed anew into a store
of its own, from the spec, and compared with what ships: all columns but `seconds`, and all metadata but times (of what
a newer version has added to the metadata, older files know nothing). It is the first file that a processor like this
one has made, or else the first; with `--seeds` those of these restarts.
With the versions of requirements.lock on the same kind of processor all is the same, bit for bit. Another one adds in
another order, and training carries the rounding on: the table says by how much losses differ at the start, at the next
checkpoint and at most, relatively, and how far apart final test metrics are at most, beside the standard deviation of
the shipped restarts. Exits with 1 if a file differs though its processor is this one, or at the start by more than
rounding (1e-5). Takes as long as these trajectories do.
"""

import math
import tempfile
from pathlib import Path
from typing import Any

import typer
from interruptions import contents

from popview.common.environment import processor
from popview.common.folders import RESULTS
from popview.populations import checkpoints, tables
from popview.runs import store
from popview.runs import workers as engine
from popview.runs.specs import RunSpec
from popview.tasks.catalogue import SHOWN

LOSSES = ["train_loss", "validation_loss", "test_loss"]

#: Up to what relative difference the losses of the same weights are the same.
ROUNDING = 1e-5


def chosen(profile: str, task: str, variant: str, algorithm: str, seeds: list[int] | None) -> list[RunSpec]:
    """Return the specs of these seeds, or the first of a processor like this one, or else the first, if any."""
    there = stored(profile, task, variant, algorithm)
    if seeds:
        return [spec for spec in there if set(seeds) & set(spec.seeds)]
    return sorted(there, key=lambda spec: store.metadata(spec)["processor"] != processor())[:1]


def stored(profile: str, task: str, variant: str, algorithm: str) -> list[RunSpec]:
    """Return the specs of an algorithm that the store holds."""
    specs = [spec for spec in tables.wanted(profile, task, variant) if spec.algorithm == algorithm]
    return [spec for spec in specs if store.path(spec).is_file()]


def within(told: Any, new: Any) -> bool:
    """Whether everything that the one metadata says, the other says too."""
    if isinstance(told, dict) and isinstance(new, dict):
        return all(key in new and within(value, new[key]) for key, value in told.items())
    return bool(told == new)


def compared(spec: RunSpec, root: Path) -> tuple[str, bool]:
    """Return a line of the table, and whether the files agree as they should."""
    before, now = (store.load(spec, place).to_pandas() for place in (RESULTS, root))
    (rows, told), (new_rows, new_told) = contents(spec, RESULTS), contents(spec, root)
    same = rows == new_rows and within(told, new_told)
    apart, at_start = ["–"] * 4, math.inf
    if len(before) == len(now):
        losses = (now[LOSSES] / before[LOSSES] - 1).abs().max(axis=1).groupby(before["step"]).max()
        ends = (now["test_metric"] - before["test_metric"]).abs()[before["step"] == before["step"].max()]
        apart = [f"{value:.1e}" for value in (losses.iloc[0], losses.iloc[1], losses.max(), ends.max())]
        at_start = losses.iloc[0]
    there, here = store.metadata(spec)["processor"], processor()
    cells = (spec.task, spec.variant, spec.algorithm, spec.digest, len(before), "yes" if same else "no", *apart)
    agree = same or (there != here and at_start <= ROUNDING)
    return f"| {' | '.join(map(str, cells))} | {spread(spec):.1e} | {there} / {here} |", agree


def spread(spec: RunSpec) -> float:
    """Return the standard deviation over the shipped restarts of an algorithm, of the last test metric."""
    there = stored(spec.profile, spec.task, spec.variant, spec.algorithm)
    return float(checkpoints.final(tables.load_trajectories(there))[spec.algorithm].std())


def main(
    tasks: list[str] | None = None,
    algorithm: str = "SGD",
    seeds: list[int] | None = None,
    profile: str = "laptop",
    workers: int | None = None,
) -> None:
    """Print the table as Markdown."""
    variants = ((task, variant) for task in tasks or SHOWN for variant in tables.compared(profile, task))
    specs = [spec for task, variant in variants for spec in chosen(profile, task, variant, algorithm, seeds)]
    apart = "loss, start | next checkpoint | at most | final metric, at most | SD over restarts"
    print(f"| task | variant | algorithm | spec | rows | same | {apart} | processor: shipped / here |")
    print(f"|{'---|' * 12}")
    agreed = []
    with tempfile.TemporaryDirectory() as name:
        engine.run(specs, root=Path(name), workers=workers, quiet=True)
        for spec in specs:
            line, well = compared(spec, Path(name))
            print(line)
            agreed.append(well)
    raise typer.Exit(0 if all(agreed) else 1)


if __name__ == "__main__":
    typer.run(main)
