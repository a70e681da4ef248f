"""One spec → one trajectory: train, evaluate at checkpoints, return a table with its provenance."""

import json
import platform
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from popview.optimizers import Optimizer, make
from popview.seeds import stream
from popview.specs import RunSpec
from popview.tasks import SPLITS, TASKS, Problem

__all__ = ["FAR", "processor", "run"]

#: A restart counts as diverged if its training loss ends above this many times what it was at the start, as it does
#: where the loss is not finite: units that a huge step has switched off leave a loss that is finite, in the millions.
FAR = 10


def run(spec: RunSpec) -> pa.Table:
    """Train the restarts of a spec and return their trajectories.

    Returns
    -------
    pyarrow.Table
        One row per restart and checkpoint: ``seed, step, epoch, gradient_evaluations, loss_evaluations, train_loss,
        validation_loss, validation_metric, test_loss, test_metric, seconds`` (since the start, of the whole stack).
        A restart ends with its first row whose training loss is not finite. The metadata under ``popview`` is JSON:
        spec, digest, and per restart the counts of noise, hops and whether it diverged (see `FAR`); versions and
        processor.
    """
    problem = TASKS[spec.task](spec.seeds, **spec.model)
    optimizer = make(
        spec.algorithm,
        problem.parameters,
        buffers=problem.buffers,
        population=True,
        seed=stream(spec.seed, "noise"),
        **spec.hyperparameters,
    )
    started = time.perf_counter()
    due = set(np.linspace(0, spec.epochs * problem.steps_per_epoch, spec.checkpoints, dtype=int).tolist())
    frames, losses, alive = [], [], np.ones(spec.restarts, dtype=bool)
    for step in _train(problem, optimizer, spec):
        if step in due:
            columns = _checkpoint(problem, optimizer)
            columns |= {"seed": np.array(spec.seeds), "step": np.full(spec.restarts, step)}
            columns["epoch"] = columns["step"] / problem.steps_per_epoch
            columns["seconds"] = np.full(spec.restarts, time.perf_counter() - started)
            frames.append(pa.table(columns).filter(pa.array(alive)))
            losses.append(columns["train_loss"])
            alive &= np.isfinite(losses[-1])
            if not alive.any():
                break
    table = pa.concat_tables(frames).select(COLUMNS)
    diverged = ~(alive & (losses[-1] <= FAR * losses[0]))
    return table.replace_schema_metadata({"popview": json.dumps(_metadata(spec, optimizer, diverged))})


COLUMNS = [
    "seed",
    "step",
    "epoch",
    "gradient_evaluations",
    "loss_evaluations",
    "train_loss",
    "validation_loss",
    "validation_metric",
    "test_loss",
    "test_metric",
    "seconds",
]


def _train(problem: Problem, optimizer: Optimizer, spec: RunSpec) -> Iterator[int]:
    """Take the steps, and yield the number of steps taken: 0 first, then after each."""
    yield 0
    step = 0
    for epoch in range(spec.epochs):
        for minibatch in problem.minibatches(epoch):

            def closure(minibatch: Any = minibatch) -> Tensor:
                optimizer.zero_grad()
                losses = problem.loss(minibatch)
                losses.sum().backward()
                return losses.detach()

            optimizer.step(closure, lambda: problem.evaluate("train")[0])
            step += 1
            yield step


def _checkpoint(problem: Problem, optimizer: Optimizer) -> dict[str, np.ndarray]:
    """Evaluate what each restart would return if it ended here."""
    columns = {name: optimizer.counts[name].numpy().copy() for name in ("gradient_evaluations", "loss_evaluations")}
    with optimizer.solution():
        for split in SPLITS:
            loss, metric = problem.evaluate(split)
            columns[f"{split}_loss"], columns[f"{split}_metric"] = loss.double().numpy(), metric.double().numpy()
    return columns


def _metadata(spec: RunSpec, optimizer: Optimizer, diverged: np.ndarray) -> dict[str, Any]:
    return {
        "spec": json.loads(spec.canonical),
        "digest": spec.digest,
        "diverged": diverged.tolist(),
        **{name: count.tolist() for name, count in optimizer.counts.items()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
        "processor": processor(),
    }


def processor() -> str:
    """Return the processor's name as the system gives it."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
