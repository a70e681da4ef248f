"""What is measured once, of the model that a run returns and of the best models on its way."""

import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from popview import flatness
from popview.optimizers.models import members_of
from popview.seeds import generator
from popview.tasks import Problem

__all__ = ["Best", "measures"]

#: Models of lowest training loss that a restart keeps: the paper's L.
KEPT = 10

#: Radii of the flatness measures: those of Foret et al. 2021, Kwon et al. 2021, and a twentieth of each weight.
RADIUS, ADAPTIVE_RADIUS, RELATIVE_NOISE = 0.05, 0.5, 0.05

#: Random draws of the average-case sharpness and of the trace, and Lanczos steps of the top eigenvalue.
NOISE_DRAWS, TRACE_DRAWS, LANCZOS_STEPS = 10, 4, 12


def numbers(values: Tensor | np.ndarray) -> list[float | None]:
    """Return one number per restart, None where it is not finite."""
    here = values.detach().cpu() if isinstance(values, Tensor) else values
    return [float(v) if math.isfinite(v) else None for v in np.asarray(here, dtype=float).reshape(-1)]


def measures(problem: Problem, start: list[Tensor], seed: int, whole: bool = True) -> dict[str, Any]:
    """Return what is said of each restart's last model: lists with one entry per restart, None where not finite.

    Parameters
    ----------
    problem : Problem
        Holds the models.
    start : list of Tensor
        Their parameters before the first step.
    seed : int
        Of the random draws, shared by the restarts of a stack.
    whole : bool
        Whether to measure more than ``whole_test``: of the trials of a search nobody reads more.

    Returns
    -------
    dict
        ``whole_test`` (loss and metric on the whole test split); ``flatness`` on the training sample in float32:
        ``ball_maximum, adaptive_sharpness, average_sharpness`` and, where `Problem.curvature`, ``top_eigenvalue`` and
        ``trace``; ``weight_norm, distance`` from the start, ``input_gradient_norm`` on test inputs; ``corrupted``: the
        metric per corruption, one list per severity, and ``clean``, one list: that of the same examples as they are
        (older files lack it); ``seconds`` of each of these.
    """
    parameters, population = list(problem.parameters), problem.population
    found: dict[str, Any] = {}
    clock = {"whole_test": time.perf_counter()}
    loss, metric = problem.evaluate_whole_test()
    found["whole_test"] = {"loss": numbers(loss), "metric": numbers(metric)}

    if not whole:
        return found | {"seconds": {"whole_test": time.perf_counter() - clock["whole_test"]}}

    clock["flatness"] = time.perf_counter()
    draws = generator(seed, "flatness")
    sample = (problem.sample_loss, parameters)
    with problem.measuring():
        flat: dict[str, Tensor | flatness.Estimate] = {
            "ball_maximum": flatness.ball_maximum(*sample, rho=RADIUS, population=population),
            "adaptive_sharpness": flatness.adaptive_sharpness(*sample, rho=ADAPTIVE_RADIUS, population=population),
            "average_sharpness": flatness.average_sharpness(
                *sample, rho=RELATIVE_NOISE, draws=NOISE_DRAWS, generator=draws, population=population
            ),
            "weight_norm": flatness.weight_norm(parameters, population=population),
            "distance": flatness.distance(parameters, start, population=population),
            "input_gradient_norm": flatness.input_gradient_norm(*problem.input_losses()),
        }
        if problem.curvature:
            curved = (problem.curvature_loss, parameters)
            flat["top_eigenvalue"] = flatness.top_eigenvalue(
                *curved, iterations=LANCZOS_STEPS, generator=draws, population=population
            )
            flat["trace"] = flatness.trace(*curved, draws=TRACE_DRAWS, generator=draws, population=population)
    found["flatness"] = {name: numbers(value) for name, value in _without_estimates(flat).items()}

    clock["corrupted"] = time.perf_counter()
    found["corrupted"] = {name: [numbers(value) for value in values] for name, values in problem.corrupted().items()}
    ends = [*clock.values(), time.perf_counter()]
    found["seconds"] = {name: later - earlier for name, earlier, later in zip(clock, ends, ends[1:], strict=False)}
    return found


def _without_estimates(flat: dict[str, Tensor | flatness.Estimate]) -> dict[str, Tensor]:
    """Split an estimate into its value and ``<name>_standard_error``."""
    found = {}
    for name, value in flat.items():
        if isinstance(value, flatness.Estimate):
            found[name], found[f"{name}_standard_error"] = value
        else:
            found[name] = value
    return found


class Best:
    """The models of lowest training loss of each restart, with what they predict on the test sample.

    Of equal losses the earlier model is kept; one whose loss is not finite never is.

    Attributes
    ----------
    losses, steps : ndarray
        Shape ``(kept, P)``; infinite and -1 where there is no model yet.
    models : list of Tensor
        Each ``(kept, P, …)``: parameters, then buffers.
    probabilities : Tensor or None
        ``(kept, P, n, classes)``.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        members = self._members()
        shape = (KEPT, len(members[0]))
        self.losses, self.steps = np.full(shape, np.inf), np.full(shape, -1)
        self.models = [torch.zeros(KEPT, *t.shape, dtype=t.dtype) for t in members]
        self.probabilities: Tensor | None = None

    def _members(self) -> list[Tensor]:
        return members_of([*self.problem.parameters, *self.problem.buffers], self.problem.population)

    @torch.no_grad()
    def offer(self, step: int, losses: np.ndarray, probabilities: Tensor) -> None:
        """Keep the models as they now stand, for each restart whose loss is below that of the worst kept."""
        if self.probabilities is None:
            self.probabilities = torch.zeros(KEPT, *probabilities.shape)
        worst = np.lexsort((self.steps, self.losses), axis=0)[-1]
        restart = np.arange(len(losses))
        better = losses < self.losses[worst, restart]
        place, restart = worst[better], restart[better]
        self.losses[place, restart], self.steps[place, restart] = losses[better], step
        at = torch.from_numpy(place), torch.from_numpy(restart)
        self.probabilities[at] = probabilities[at[1]].float()
        for kept, now in zip(self.models, self._members(), strict=True):
            kept[at] = now.detach()[at[1].to(now.device)].cpu()

    def mean_probabilities(self) -> Tensor:
        """Return what the kept models of each restart predict on average, ``(P, n, classes)``; 0 if there is none."""
        assert self.probabilities is not None
        there = torch.from_numpy(np.isfinite(self.losses)).float()
        return torch.einsum("kp,kpnc->pnc", there, self.probabilities) / there.sum(0).clamp(min=1)[:, None, None]

    @torch.no_grad()
    def measures(self) -> dict[str, Any]:
        """Return what the kept models achieve as an ensemble, and what the mean of their weights does.

        ``ensemble``: metric of the mean probabilities on the test sample; ``averaged_weights``: loss and metric of the
        averaged weights there, BatchNorm statistics recomputed; ``kept``: the steps. The problem's models come back.
        """
        before = [t.clone() for t in self._members()]
        there = torch.from_numpy(np.isfinite(self.losses))
        count = there.sum(0).clamp(min=1)
        try:
            for now, kept in zip(self._members(), self.models, strict=True):
                if kept.is_floating_point():
                    shape = (-1, *[1] * (now.dim() - 1))
                    now.copy_((kept * there.view(KEPT, *shape)).sum(0) / count.view(shape))
            self.problem.recompute_statistics()
            loss, metric = self.problem.evaluate("test")
        finally:
            for now, earlier in zip(self._members(), before, strict=True):
                now.copy_(earlier)
        return {
            "ensemble": {"metric": numbers(self.problem.metric("test", self.mean_probabilities()))},
            "averaged_weights": {"loss": numbers(loss), "metric": numbers(metric)},
            "kept": [sorted(int(s) for s in column if s >= 0) for column in self.steps.T],
        }

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run needs."""
        return {
            "losses": torch.from_numpy(self.losses),
            "steps": torch.from_numpy(self.steps),
            "models": self.models,
            "probabilities": self.probabilities,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.losses, self.steps = state["losses"].numpy(), state["steps"].numpy()
        self.models, self.probabilities = state["models"], state["probabilities"]
