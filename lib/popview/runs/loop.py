"""The training loop: steps in the order of the seed, checkpoints, and a state from which an interrupted run goes on."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from popview.common import tensor_files
from popview.common.environment import versions
from popview.common.errors import UsageError, reason_of
from popview.common.files import writing
from popview.common.named_code import is_reference
from popview.common.seeds import seed_of, seed_torch, stream
from popview.optimizers import Optimizer, make
from popview.optimizers.foreign import make_foreign
from popview.runs.own import OwnSpec
from popview.runs.schedules import scheduler
from popview.runs.specs import RunSpec
from popview.tasks.problem import Problem

#: Seconds between two writings of a half-done run's state.
EVERY = 60.0


#: Seconds of training for each second that the writing of a state took.
SPARING = 20


class Recorder(Protocol):
    """What takes note of a run at its checkpoints, and can go on from a state.

    Attributes
    ----------
    spec : RunSpec
        Whose run it is.
    alive : ndarray of bool, shape (P,)
        Which restarts go on; where none does, the run ends.
    """

    spec: RunSpec
    alive: np.ndarray

    def observe(self) -> None:
        """Take note of the gradient that the step just taken has followed."""

    def checkpoint(self, step: int, seconds: float) -> None:
        """Evaluate the models."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""


Begun = tuple[Problem, Optimizer, list[Any]]


@dataclass
class Followed:
    """A run that has ended: what was trained, its recorders, the first parameters, and its seconds of training."""

    problem: Problem
    optimizer: Optimizer
    records: list[Any]
    start: list[Tensor]
    seconds: float


def follow(
    begin: Callable[[], Begun],
    spec: RunSpec,
    unfinished: Path | None = None,
    every: float = EVERY,
    at_end: bool = False,
) -> Followed:
    """Train to the end, continuing where an interrupted run left off; every recorder sees every checkpoint.

    Torch's global random state is changed: fork it around the call.

    Parameters
    ----------
    begin : callable
        Sets up the problem, its optimizer, and the recorders, each a `Recorder`; called again where a state cannot be
        continued.
    spec : RunSpec
    unfinished : Path, optional
        Where the state of the half-done run is read from, if there, and written to.
    every : float
        Seconds between two writings, or `SPARING` times what the last one took where that is longer. Nothing that is
        computed depends on them.
    at_end : bool
        Whether the state is also written at the end; else it is if training took longer than `every`.
    """
    problem, optimizer, records = begin()
    start = [p.detach().clone() for p in problem.parameters]
    try:
        first, spent = _resumed(unfinished, problem, optimizer, records)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        print(f"popview: {unfinished} cannot be continued ({reason_of(error)}): the run starts over", file=sys.stderr)
        problem, optimizer, records = begin()
        first, spent = -1, 0.0
    began = saved = time.perf_counter()
    wait = every
    due = set(np.linspace(0, spec.epochs * problem.steps_per_epoch, spec.checkpoints, dtype=int).tolist())
    for step in train(problem, optimizer, spec, first):
        if step > max(first, 0):
            for record in records:
                record.observe()
        if step in due and step > first:
            now = time.perf_counter()
            for record in records:
                record.checkpoint(step, spent + now - began)
            for record in records:  # of two, the first is the one that trains: an average of it ends with it
                record.alive &= records[0].alive
        if not records[0].alive.any():
            break
        now = time.perf_counter()
        if unfinished is not None and step > first and now - saved >= wait:
            _write(unfinished, problem, optimizer, records, step, spent + now - began)
            saved = time.perf_counter()
            wait = max(every, SPARING * (saved - now))
    seconds = spent + time.perf_counter() - began
    if unfinished is not None and (seconds >= every or at_end) and step > first:
        _write(unfinished, problem, optimizer, records, step, seconds)
    return Followed(problem, optimizer, records, start, seconds)


def optimizer_of(spec: RunSpec, problem: Problem) -> Optimizer:
    """Return a spec's optimizer of a problem's parameters, with the noise of the spec's seed.

    Raises
    ------
    UsageError
        If it refuses a hyperparameter.
    """
    given: dict[str, Any] = {"buffers": problem.buffers, "population": problem.population}
    given["seed"] = stream(seed_of("noise", spec.seed, spec.model.get("fixed_seeds")), "noise")
    with _refusals(spec):
        if isinstance(spec, OwnSpec) and is_reference(spec.algorithm):
            return make_foreign(spec.algorithm, problem.parameters, spec.hyperparameters, **given)
        return make(spec.algorithm, problem.parameters, **given, **spec.hyperparameters)


def unattached(spec: RunSpec) -> Optimizer:
    """Return a spec's optimizer of one weight that is nobody's, to ask it for its kind and its hyperparameters.

    Raises
    ------
    UsageError
        As `optimizer_of`.
    """
    with _refusals(spec):
        return make(spec.algorithm, [torch.zeros(1, requires_grad=True)], **spec.hyperparameters)


@contextmanager
def _refusals(spec: RunSpec) -> Iterator[None]:
    """Within this context an optimizer that refuses a hyperparameter raises UsageError, which says whose it is."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise UsageError(f"{spec.algorithm} on {spec.task} in profile {spec.profile}: {error}") from error


def train(problem: Problem, optimizer: Optimizer, spec: RunSpec, first: int = 0) -> Iterator[int]:
    """Take the steps after the first ones, and yield the number of steps taken: 0 first, then after each."""
    step = max(first, 0)
    noise = seed_of("noise", spec.seed, spec.model.get("fixed_seeds"))
    schedule = scheduler(spec.schedule, optimizer, spec.epochs * problem.steps_per_epoch, step)
    yield step
    while step < spec.epochs * problem.steps_per_epoch:
        epoch, done = divmod(step, problem.steps_per_epoch)
        for minibatch in islice(problem.minibatches(epoch), done, None):

            def closure(minibatch: Any = minibatch) -> Tensor:
                optimizer.zero_grad()
                losses = problem.loss(minibatch)
                losses.sum().backward()
                return losses.detach()

            seed_torch(stream(noise, f"step/{step}"))  # dropout: the same for every algorithm
            optimizer.step(closure, lambda: problem.evaluate("train")[0])
            if schedule:
                schedule.step()
            step += 1
            yield step


def _write(file: Path, problem: Problem, optimizer: Optimizer, records: list[Any], step: int, spent: float) -> None:
    """Write the state of a half-done run."""
    with writing(file):
        tensor_files.save_tensors(file, _state(problem, optimizer, records, step, spent))


def _state(problem: Problem, optimizer: Optimizer, records: list[Any], step: int, spent: float) -> dict[str, Any]:
    return {
        "made": _maker(problem, records),
        "step": step,
        "spent": spent,
        "parameters": list(problem.parameters),
        "buffers": list(problem.buffers),
        "optimizer": optimizer.state_dict(),
        "records": [record.state_dict() for record in records],
    }


def _maker(problem: Problem, records: list[Any]) -> dict[str, str]:
    """Return what a state must agree in with the run that continues it."""
    known = {"digest": records[-1].spec.digest, "precision": problem.precision, "device": problem.device.type}
    return known | versions()


def _resumed(file: Path | None, problem: Problem, optimizer: Optimizer, records: list[Any]) -> tuple[int, float]:
    """Bring everything to where an interrupted run left off; return its step and seconds, -1 and 0 without one.

    Raises
    ------
    ValueError, LookupError and others
        If the state is damaged, or of another run, precision, device or version; what was set up is spoilt then.
    """
    if file is None or not file.is_file():
        return -1, 0.0
    state, own = tensor_files.load_tensors(file), _maker(problem, records)
    then = state["made"]
    if other := [f"{name} was {then.get(name)}, is {value}" for name, value in own.items() if then.get(name) != value]:
        raise ValueError(", ".join(other))
    fresh = _state(problem, optimizer, records, 0, 0.0)
    for place, kept in state["optimizer"]["state"].items():
        fresh["optimizer"]["state"][place] = {
            name: problem.parameters[place] for name, value in kept.items() if isinstance(value, Tensor) and value.dim()
        }
    tensor_files.check_shapes(state, fresh)
    with torch.no_grad():
        for now, kept in zip(
            [*problem.parameters, *problem.buffers], [*state["parameters"], *state["buffers"]], strict=True
        ):
            now.copy_(kept)
    optimizer.load_state_dict(state["optimizer"])
    for record, kept in zip(records, state["records"], strict=True):
        record.load_state_dict(kept)
    return state["step"], state["spent"]
