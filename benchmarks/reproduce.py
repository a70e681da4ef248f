"""Shipped trajectories computed again from their specs: are they the same?

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/reproduce.py [--tasks digits --tasks cifar10] [--algorithm SGD]

The first file of each task and variant in the store (one restart; for `digits` a stack of them) is computed anew into
a store of its own, from the spec, and compared with what ships: all columns but `seconds`, and all metadata but times
(of what a newer version has added to the metadata, older files know nothing).
With the versions of requirements.lock on the same kind of processor all is the same, bit for bit; elsewhere the largest
relative difference of a loss, and the largest difference of a metric, say how far rounding has carried. Takes as long
as these trajectories do. Exits with 1 if a file differs though its processor is this one.
"""

import tempfile
from pathlib import Path
from typing import Any

import typer
from interruptions import contents

from popview import engine, populations, store, trajectory
from popview.paths import TRAJECTORIES
from popview.specs import RunSpec

LOSSES, METRICS = ["train_loss", "validation_loss", "test_loss"], ["validation_metric", "test_metric"]


def first(profile: str, task: str, variant: str, algorithm: str) -> list[RunSpec]:
    """Return the first spec that the store holds, if any."""
    specs = [s for s in populations.wanted(profile, task, variant) if s.algorithm == algorithm]
    return [spec for spec in specs if store.path(spec).is_file()][:1]


def within(told: Any, new: Any) -> bool:
    """Whether everything that the one metadata says, the other says too."""
    if isinstance(told, dict) and isinstance(new, dict):
        return all(key in new and within(value, new[key]) for key, value in told.items())
    return bool(told == new)


def compared(spec: RunSpec, root: Path) -> tuple[str, bool]:
    """Return a line of the table, and whether the files agree as they should."""
    before, now = (store.load(spec, place).to_pandas() for place in (TRAJECTORIES, root))
    (rows, told), (new_rows, new_told) = contents(spec, TRAJECTORIES), contents(spec, root)
    same = rows == new_rows and within(told, new_told)
    loss, metric = "–", "–"
    if len(before) == len(now):
        loss = f"{(now[LOSSES] / before[LOSSES] - 1).abs().max(axis=None):.1e}"
        metric = f"{(now[METRICS] - before[METRICS]).abs().max(axis=None):.1e}"
    there, here = store.metadata(spec)["processor"], trajectory.processor()
    cells = (spec.task, spec.variant, spec.algorithm, spec.digest, len(before), "yes" if same else "no", loss, metric)
    return f"| {' | '.join(map(str, cells))} | {there} / {here} |", same or there != here


def main(
    tasks: list[str] | None = None, algorithm: str = "SGD", profile: str = "laptop", workers: int | None = None
) -> None:
    """Print the table as Markdown."""
    variants = ((task, variant) for task in tasks or populations.TASKS for variant in populations.COMPARED)
    specs = [spec for task, variant in variants for spec in first(profile, task, variant, algorithm)]
    print("| task | variant | algorithm | spec | rows | same | loss, relative | metric | processor: shipped / here |")
    print("|---|---|---|---|---|---|---|---|---|")
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
