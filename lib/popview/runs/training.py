"""One spec → one trajectory: train, evaluate at checkpoints, measure the end, return a table with its provenance."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from popview.common.environment import processor, versions
from popview.common.errors import setting_up
from popview.common.named_code import is_reference
from popview.optimizers import Optimizer
from popview.optimizers.tensors import members_of, norm
from popview.runs.columns import COLUMNS, TRAJECTORY
from popview.runs.final_measures import Best, measures, measures_of_kept, numbers
from popview.runs.loop import EVERY, follow, optimizer_of, train, unattached
from popview.runs.own import OwnSpec
from popview.runs.specs import RunSpec
from popview.tasks.named import named_problem
from popview.tasks.problem import SPLITS, Problem
from popview.tasks.scores import to_bytes
from popview.tasks.setup import set_up

#: A restart counts as diverged if its training loss ends above this many times what it was at the start, as it does
#: where the loss is not finite: units that a huge step has switched off leave a loss that is finite, in the millions.
FAR = 10


@dataclass
class Trajectory:
    """A finished trajectory: its spec, its table, and the models of lowest training loss (`Best.models`)."""

    spec: RunSpec
    table: pa.Table
    best: Best

    @property
    def weights(self) -> dict[str, Any]:
        """The state that holds these models."""
        return self.best.state_dict()


def train_table(spec: RunSpec) -> pa.Table:
    """Train the restarts of a spec and return their trajectories.

    Returns
    -------
    pyarrow.Table
        One row per restart and checkpoint: ``seed, step, epoch, gradient_evaluations, loss_evaluations, train_loss,
        validation_loss, validation_metric, test_loss, test_metric, seconds`` (since the start, of the whole stack).
        A restart ends with its first row whose training loss is not finite, SWA's also where that of the SGD beside it
        is. For tasks that train one restart a file,
        ``probabilities`` in the last row: what the ten models of lowest training loss predict on average on the test
        sample, float16, examples × classes in a row. Where `RunSpec.extent` is "whole" instead ``test_probabilities``
        in each restart's last row: what its last model predicts on the whole test split, in the data's order, in 8 bits
        (`popview.tasks.scores.to_bytes`); where it is "scores" neither.
        The metadata under ``popview`` is JSON: spec, digest, and per restart the counts of noise, hops and whether it
        diverged (see `FAR`); what `popview.runs.final_measures` measures; for NiM-SGD ``equals`` ("SGD" where no noise
        was ever injected: the rows are SGD's); for SGD ``least_gradient_norm`` of all steps' minibatches; precision,
        versions, processor (of a run that was continued on others: all, in that order), seconds.
    """
    return compute(spec)[-1].table


def compute(spec: RunSpec, unfinished: Path | None = None, every: float = EVERY) -> list[Trajectory]:
    """Train the restarts of a spec, continuing where an interrupted run left off; see `train_table`.

    Parameters
    ----------
    spec : RunSpec
    unfinished : Path, optional
        Where the state of the half-done run is read from, if there, and written to.
    every : float
        Seconds between two writings, or `SPARING` times what the last one took where that is longer; of which there is
        another before the measures at the end where all training took longer. Nothing that is computed depends on them.

    Returns
    -------
    list of Trajectory
        Of the specs that this run serves: `RunSpec.alongside`, and last `spec` itself.

    Raises
    ------
    Unavailable
        If the task cannot be set up (see `popview.tasks.setup.set_up`).
    UsageError
        If the optimizer refuses a hyperparameter, or the state cannot be written.
    """
    with torch.random.fork_rng([]):
        run = follow(lambda: _begun(spec), spec, unfinished, every)
        return [Trajectory(r.spec, r.finish(run.start, run.seconds), r.best) for r in run.records]


def _begun(spec: RunSpec) -> tuple[Problem, Optimizer, list["Record"]]:
    """Set up a spec's problem, its optimizer, and the records of the specs that its run serves."""
    with setting_up(spec.task):
        own = isinstance(spec, OwnSpec) and is_reference(spec.task)
        problem = named_problem(spec.task, spec.seed) if own else set_up(spec.task, spec.seeds, spec.model)
    optimizer = optimizer_of(spec, problem)
    served = [*((other, True) for other in spec.alongside), (spec, False)]
    return problem, optimizer, [Record(one, problem, optimizer, beside) for one, beside in served]


def trained_anew(spec: RunSpec) -> Problem:
    """Return the problem of a spec with its last models, trained anew; nothing is stored."""
    with torch.random.fork_rng([]):
        problem = set_up(spec.task, spec.seeds, spec.model)
        for _ in train(problem, optimizer_of(spec, problem), spec):
            pass
    return problem


class Record:
    """What one spec's trajectory consists of so far.

    Parameters
    ----------
    spec : RunSpec
    problem : Problem
    optimizer : Optimizer
    alongside : bool
        Whether the spec is the one alongside the optimizer's own: its models are where the optimizer stands.
    """

    def __init__(self, spec: RunSpec, problem: Problem, optimizer: Optimizer, alongside: bool) -> None:
        self.spec, self.problem, self.optimizer, self.alongside = spec, problem, optimizer, alongside
        self.frames = [TRAJECTORY.empty_table()]
        self.losses: list[np.ndarray] = []
        self.alive = np.ones(spec.restarts, dtype=bool)
        self.processors = [processor(problem.device)]
        self.best = Best(problem)
        #: Of a spec whose files keep all: the model of the highest validation metric.
        self.validated = Best(problem, 1) if spec.extent == "whole" else None
        #: Of SGD: each restart's smallest gradient norm so far; of others it stays infinite.
        self.least = torch.full((spec.restarts,), torch.inf, device=problem.device)

    def observe(self) -> None:
        """Take note of the gradient that the step just taken has followed."""
        if self.spec.algorithm == "SGD" and not self.spec.hyperparameters.get("normalized"):
            gradients = [p.grad for p in self.problem.parameters if p.grad is not None]
            self.least = torch.minimum(self.least, norm(members_of(gradients, self.problem.population)))

    @contextmanager
    def _solution(self) -> Iterator[None]:
        """Within this context the models are what each restart would return if it ended here."""
        if self.alongside:
            yield
            return
        with self.optimizer.solution():
            if self.optimizer.averages:
                self.problem.recompute_statistics()
            yield

    @torch.no_grad()
    def checkpoint(self, step: int, seconds: float) -> None:
        """Evaluate the models and add a row for each restart that has not diverged."""
        names = ("gradient_evaluations", "loss_evaluations")
        columns = {name: self.optimizer.counts[name].cpu().numpy().copy() for name in names}
        with self._solution():
            for split in SPLITS:
                logits = self.problem.logits(split)
                loss, metric = self.problem.score(split, logits)
                columns[f"{split}_loss"], columns[f"{split}_metric"] = loss.double().numpy(), metric.double().numpy()
            alive = np.where(self.alive, columns["train_loss"], np.nan)  # what has ended offers nothing more
            predicted = self.problem.probabilities(logits)
            self.best.offer(step, alive, predicted)
            if self.validated:
                self.validated.offer(step, np.where(np.isnan(alive), np.nan, -columns["validation_metric"]), predicted)
        columns |= {"seed": np.array(self.spec.seeds), "step": np.full(self.spec.restarts, step)}
        columns["epoch"] = columns["step"] / self.problem.steps_per_epoch
        columns["seconds"] = np.full(self.spec.restarts, seconds)
        self.frames.append(pa.table(columns).select(COLUMNS).filter(pa.array(self.alive)))
        self.losses.append(columns["train_loss"])
        self.alive &= np.isfinite(self.losses[-1])

    def finish(self, start: list[Tensor], seconds: float) -> pa.Table:
        """Measure the models that the restarts return; return the table with its metadata."""
        began = time.perf_counter()
        with self._solution():
            ending = measures(self.problem, start, self.spec.seed, self.spec.extent)
            table = pa.concat_tables(self.frames)
            if self.validated:
                table = self._with_predictions(table, self.problem.whole_test()[0])
            ending |= measures_of_kept(self.best, self.validated, self.spec.extent)
        if self.spec.extent in ("brief", "sample") and not self.problem.population:
            probabilities = self.best.mean_probabilities().flatten().half().numpy()
            column = pa.array([None] * (len(table) - 1) + [probabilities], type=pa.list_(pa.float16()))
            table = table.append_column("probabilities", column)
        ending["seconds"] |= {"training_and_checkpoints": seconds, "measures": time.perf_counter() - began}
        return table.replace_schema_metadata({"popview": json.dumps(self._metadata() | ending)})

    def _with_predictions(self, table: pa.Table, probabilities: Tensor) -> pa.Table:
        """Add the column ``test_probabilities`` to the last row of each restart: see `train_table`."""
        seeds = table["seed"].to_numpy()
        kept: list[Any] = [None] * len(table)
        for seed, predicted in zip(self.spec.seeds, probabilities, strict=True):
            kept[int(np.flatnonzero(seeds == seed)[-1])] = to_bytes(
                predicted.detach().numpy(), self.problem.multilabel
            ).ravel()
        return table.append_column("test_probabilities", pa.array(kept, type=pa.list_(pa.uint8())))

    def _metadata(self) -> dict[str, Any]:
        counts = {name: count.tolist() for name, count in self.optimizer.counts.items()}
        silent = self.spec.algorithm == "NiM-SGD"
        known = {"least_gradient_norm": numbers(self.least)} if self.spec.algorithm == "SGD" else {}
        return known | {
            "spec": json.loads(self.spec.canonical),
            "digest": self.spec.digest,
            "diverged": (~(self.alive & (self.losses[-1] <= FAR * self.losses[0]))).tolist(),
            **counts,
            "equals": ["SGD" if silent and not fired else None for fired in counts["noise_triggers"]],
            "precision": self.problem.precision,
            "versions": versions(),
            "processor": ", then ".join(self.processors),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run needs."""
        rows = pa.concat_tables(self.frames)
        return {
            "columns": {name: torch.tensor(rows[name].to_numpy()) for name in COLUMNS},
            "losses": [torch.from_numpy(losses) for losses in self.losses],
            "alive": torch.from_numpy(self.alive),
            "processors": self.processors,
            "best": self.best.state_dict(),
            "validated": self.validated.state_dict() if self.validated else None,
            "least": self.least,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.frames = [pa.table({name: column.numpy() for name, column in state["columns"].items()})]
        self.losses, self.alive = [losses.numpy() for losses in state["losses"]], state["alive"].numpy()
        if any(losses.shape != self.alive.shape for losses in self.losses):
            raise ValueError("its losses are not one per restart")
        self.processors = list(dict.fromkeys([*state["processors"], *self.processors]))
        self.best.load_state_dict(state["best"])
        if self.validated:
            self.validated.load_state_dict(state["validated"])
        self.least.copy_(state["least"])


def taken(spec: RunSpec, other: RunSpec, table: pa.Table) -> pa.Table | None:
    """Return what training a spec would give, in no seconds, from the table of one of `RunSpec.same_as`.

    The same settings under another name give the same rows. NiM-SGD has SGD's rows, and is flagged, if none of SGD's
    gradients was small enough for its noise; None where one was below ε, or where that is not known.
    """
    metadata = json.loads(table.schema.metadata[b"popview"])
    if other.algorithm == spec.algorithm:
        return _of(spec, table, metadata)
    least = metadata.pop("least_gradient_norm", [None])
    if None in least or min(least) < unattached(spec).hyperparameter("epsilon"):
        return None
    return _of(spec, table, metadata | {"equals": ["SGD"] * spec.restarts})


def _of(spec: RunSpec, table: pa.Table, told: dict[str, Any]) -> pa.Table:
    """Return a table that was taken from another spec's, as this one's."""
    own = {"spec": json.loads(spec.canonical), "digest": spec.digest, "seconds": {}}
    return table.replace_schema_metadata({"popview": json.dumps(told | own)})
