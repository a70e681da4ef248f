"""Train a set of solutions: of each run the early-stopped, the one at a common training loss, and the fitted one."""

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from popview.common import tensor_files
from popview.common.errors import UsageError, setting_up
from popview.common.seeds import generator
from popview.optimizers import Optimizer
from popview.runs import store
from popview.runs.loop import EVERY, follow, optimizer_of
from popview.runs.solutions.parts import STAGES, TopographyPart
from popview.runs.solutions.vectors import Network, place, vectors
from popview.runs.specs import Part, RunSpec
from popview.tasks.problem import SPLITS, Problem
from popview.tasks.setup import set_up
from popview.topography.measures import FLATNESS, Models, flatness_of

#: Models whose flatness is measured at once.
AT_ONCE = 6

#: A training loss falls where it comes to this share of the last one that it fell to, or below.
FALLEN = 0.99


@dataclass(frozen=True)
class Found:
    """A computed part, its table, and of solutions their weights."""

    spec: Part
    table: pa.Table
    weights: dict[str, Any] = field(default_factory=dict)


class Stages:
    """The solutions that P runs have passed so far, one for each of `STAGES`.

    Parameters
    ----------
    members : int
        P.
    level : float
        Training loss at which runs are compared.
    floor : float
        Training loss at which a run has ended, though others of its stack go on.
    patience : int, optional
        Checkpoints in a row at which the training loss has not fallen by 1 %, after which a run has stalled and ends;
        none by default.

    Attributes
    ----------
    steps : dict of str to array of int, shape (P,)
        Stage → when; -1 where a run has not been there.
    vectors : dict of str to Tensor
        Stage → parameter vectors ``(P, d)``; of no meaning where the step is -1.
    """

    def __init__(self, members: int, level: float, floor: float, patience: int | None = None) -> None:
        self.level, self.floor, self.patience = level, floor, patience
        self.running = np.ones(members, dtype=bool)
        self.fallen_to, self.waited = np.full(members, np.inf), np.zeros(members, dtype=int)
        self.lowest = {stage: np.full(members, np.inf) for stage in ("early", "fitted")}
        self.steps = {stage: np.full(members, -1) for stage in STAGES}
        self.vectors: dict[str, Tensor] = {}

    def offer(self, step: int, train_loss: np.ndarray, validation_loss: np.ndarray, found: Tensor) -> None:
        """Take the models as they stand after a step wherever they are a solution of a stage: of equals, the earlier.

        A loss that is not finite is lower than none.
        """
        now = {"equal": (self.steps["equal"] < 0) & (train_loss <= self.level)}
        for stage, losses in (("early", validation_loss), ("fitted", train_loss)):
            now[stage] = losses < self.lowest[stage]
            self.lowest[stage] = np.where(now[stage], losses, self.lowest[stage])
        for stage, reached in now.items():
            members = reached & self.running
            kept = self.vectors.setdefault(stage, torch.zeros_like(found))
            chosen = torch.from_numpy(members)
            kept[chosen] = found[chosen]
            self.steps[stage][members] = step
        fell = train_loss <= FALLEN * self.fallen_to
        self.fallen_to = np.where(fell, train_loss, self.fallen_to)
        self.waited = np.where(fell, 0, self.waited + 1)
        self.running &= ~(train_loss <= self.floor)
        if self.patience is not None:
            self.running &= self.waited < self.patience


class StageRecorder:
    """Offers the models of a run to `Stages` at its checkpoints; see `popview.runs.loop.Recorder`."""

    def __init__(self, spec: RunSpec, problem: Problem, optimizer: Optimizer, stages: Stages) -> None:
        self.spec, self.problem, self.optimizer, self.stages = spec, problem, optimizer, stages

    @property
    def alive(self) -> np.ndarray:
        """Which runs go on, shape ``(P,)``."""
        return self.stages.running

    @alive.setter
    def alive(self, running: np.ndarray) -> None:
        self.stages.running = running

    def observe(self) -> None:
        """Take note of nothing: stages are a matter of checkpoints."""

    def checkpoint(self, step: int, seconds: float) -> None:
        """Evaluate the models and offer them."""
        with self.optimizer.solution():
            train, validation = (self.problem.evaluate(split)[0].double().numpy() for split in SPLITS[:2])
            self.stages.offer(step, train, validation, vectors(self.problem))

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run needs."""
        stages = self.stages
        return {
            "running": torch.from_numpy(stages.running),
            "fallen_to": torch.from_numpy(stages.fallen_to),
            "waited": torch.from_numpy(stages.waited),
            "lowest": {stage: torch.from_numpy(losses) for stage, losses in stages.lowest.items()},
            "steps": {stage: torch.from_numpy(steps) for stage, steps in stages.steps.items()},
            "vectors": stages.vectors,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.stages.running, self.stages.vectors = state["running"].numpy(), state["vectors"]
        self.stages.fallen_to, self.stages.waited = state["fallen_to"].numpy(), state["waited"].numpy()
        self.stages.lowest = {stage: losses.numpy() for stage, losses in state["lowest"].items()}
        self.stages.steps = {stage: steps.numpy() for stage, steps in state["steps"].items()}


def trained(part: TopographyPart, unfinished: Path | None = None, every: float = EVERY) -> Found:
    """Train the solutions of a part; return their table and their weights.

    Parameters
    ----------
    part : TopographyPart
    unfinished : Path, optional
        Where the states of half-done runs are read from, if there, and written to: one file a run that is not stacked.
    every : float
        See `popview.runs.loop.follow`.

    Returns
    -------
    Found
        One row per seed and stage that the run reached: ``seed, stage, step, epoch, gradient_evaluations`` (all of the
        run), loss and accuracy on ``train``, ``validation`` and the whole ``test`` split, and the measures of flatness
        on the first of them (`popview.topography.measures`).
        The weights are, of each stage, ``steps`` ``(P,)`` and ``vectors`` ``(P, d)``.

    Raises
    ------
    Unavailable
        If the network's task cannot be set up.
    """
    began = time.process_time()
    run = part.settings
    with setting_up(part.task):
        network = Network.of(run["task"], run["model"])
        stacked = set_up(run["task"], [part.seed], run["model"]).population
    seeds = range(part.seed, part.seed + run["restarts"])
    frames, kept = [], []
    for group in [seeds] if stacked else [[seed] for seed in seeds]:
        file = unfinished and unfinished.with_suffix(f".{group[0]}{unfinished.suffix}")
        frame, stages = _run(part, group, network, file, every)
        frames.append(frame)
        kept.append(stages)
    weights = {
        stage: {
            "steps": torch.from_numpy(np.concatenate([k.steps[stage] for k in kept])),
            "vectors": torch.cat([k.vectors[stage] for k in kept]),
        }
        for stage in STAGES
    }
    facts = {"parameters": network.parameters, "seconds": time.process_time() - began}
    return Found(part, store.described(pa.concat_tables(frames), part, **facts), weights)


def stored_weights(part: TopographyPart, root: Path) -> dict[str, dict[str, Tensor]]:
    """Read the weights that `trained` returned, from beside the part's file.

    Raises
    ------
    UsageError
        If they are damaged; the file is removed, so that the next run trains them anew: to the same numbers on the same
        processor with the same versions, elsewhere to rounding, which training amplifies.
    """
    file = store.beside(part, "weights", root)
    try:
        found = tensor_files.load_tensors(file)
        vector = {"steps": torch.zeros(part.settings["restarts"], dtype=torch.int64), "vectors": torch.zeros(0, 0)}
        tensor_files.check_shapes(found, dict.fromkeys(STAGES, vector))
        return found
    except (LookupError, TypeError, ValueError) as error:
        file.unlink(missing_ok=True)
        raise UsageError(f"{file} is damaged ({error}): run {part.command} again") from error


def _run(
    part: TopographyPart, seeds: Any, network: Network, unfinished: Path | None, every: float
) -> tuple[pa.Table, Stages]:
    """Train the runs of some seeds; return their rows and what they passed."""
    run = part.settings
    spec = RunSpec(
        run["task"], part.profile, part.algorithm, "base", seeds[0], len(seeds), run["epochs"], run["checkpoints"],
        run["hyperparameters"], run["model"],
    )  # fmt: skip

    def begin() -> tuple[Problem, Optimizer, list[StageRecorder]]:
        problem = set_up(spec.task, seeds, spec.model)
        optimizer = optimizer_of(spec, problem)
        stages = Stages(len(seeds), run["level"], run["floor"], run.get("patience"))
        return problem, optimizer, [StageRecorder(spec, problem, optimizer, stages)]

    with torch.random.fork_rng([]):
        followed = follow(begin, spec, unfinished, every, at_end=True)
    problem, optimizer, stages = followed.problem, followed.optimizer, followed.records[0].stages
    start = vectors(problem, followed.start)
    evaluations = {
        name: np.broadcast_to(optimizer.counts[name].numpy(), len(seeds))
        for name in ("gradient_evaluations", "loss_evaluations")
    }
    frames = [_rows(stage, stages, problem, start, network, part, seeds, evaluations) for stage in STAGES]
    return pa.concat_tables(frames), stages


@torch.no_grad()
def _rows(
    stage: str,
    stages: Stages,
    problem: Problem,
    start: Tensor,
    network: Network,
    part: TopographyPart,
    seeds: Any,
    evaluations: dict[str, np.ndarray],
) -> pa.Table:
    """Return a stage's rows: one for each run that reached it."""
    found, steps = stages.vectors[stage], stages.steps[stage]
    there = steps >= 0
    place(problem, found)
    columns: dict[str, Any] = {"seed": np.array(seeds), "step": steps, "epoch": steps / problem.steps_per_epoch}
    columns |= evaluations
    for split in SPLITS:
        loss, accuracy = problem.evaluate_whole_test() if split == "test" else problem.evaluate(split)
        columns[f"{split}_loss"], columns[f"{split}_accuracy"] = loss.double().numpy(), accuracy.double().numpy()
    columns |= flatness(found, start, network, part.settings["fitted"], part.settings["chunk"])
    table = pa.table(columns).filter(pa.array(there))
    return table.add_column(1, "stage", pa.array([stage] * len(table), pa.string()))


def flatness(found: Tensor, start: Tensor, network: Network, images: int, chunk: int) -> dict[str, np.ndarray]:
    """Measure how flat the loss is around parameter vectors ``(P, d)``, on the first `images` of the sample."""
    loss = network.loss(images, chunk)
    parts = []
    for some, before in zip(found.split(AT_ONCE), start.split(AT_ONCE), strict=True):
        vectors_ = some.clone().requires_grad_()
        here = partial(loss, vectors_)
        models = Models([vectors_], [before], True, generator(0, "flatness"), loss=here, curvature_loss=here)
        with torch.enable_grad():
            parts.append(flatness_of(models, "solutions"))
    names = [measure.name for measure in FLATNESS if "solutions" in measure.where]
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in names}
