"""What is measured once, of the model that a run returns and of the best models on its way."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from popview.common.seeds import generator
from popview.optimizers.tensors import members_of
from popview.tasks import Problem, scores
from popview.topography import flatness

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


def measures(problem: Problem, start: list[Tensor], seed: int, extent: str = "sample") -> dict[str, Any]:
    """Return what is said of each restart's last model: lists with one entry per restart, None where not finite.

    Parameters
    ----------
    problem : Problem
        Holds the models.
    start : list of Tensor
        Their parameters before the first step.
    seed : int
        Of the random draws, shared by the restarts of a stack.
    extent : {"brief", "scores", "sample", "whole"}
        How much: "brief", of trials, no more than ``whole_test``; "scores", of the runs of other searches, also
        ``validation``; else all, with corruptions of a sample of the test split, or of the whole of it.

    Returns
    -------
    dict
        ``whole_test`` (loss and metric on the whole test split, or `scores_of` there); ``validation`` (`scores_of`
        there; where the extent is "scores" or "whole"); ``flatness`` on the training sample in float32:
        ``ball_maximum, adaptive_sharpness, average_sharpness`` and, where `Problem.curvature`, ``top_eigenvalue`` and
        ``trace``; ``weight_norm, distance`` from the start, ``input_gradient_norm`` on test inputs; ``corrupted``: the
        metric per corruption, one list per severity, and ``clean``, one list: that of the same examples as they are
        (older files lack it); ``seconds`` of each of these.
    """
    parameters, population = list(problem.parameters), problem.population
    found: dict[str, Any] = {}
    clock = {"whole_test": time.perf_counter()}
    if extent == "whole":
        found["whole_test"] = scores_of(problem, *problem.whole_test())
    else:
        loss, metric = problem.evaluate_whole_test()
        found["whole_test"] = {"loss": numbers(loss), "metric": numbers(metric)}
    if extent in ("scores", "whole"):
        probabilities = problem.probabilities(problem.logits("validation"))
        found["validation"] = scores_of(problem, probabilities, problem.sample_labels("validation"))

    if extent in ("brief", "scores"):
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
    corrupted = problem.corrupted(whole=extent == "whole")
    found["corrupted"] = {name: [numbers(value) for value in values] for name, values in corrupted.items()}
    ends = [*clock.values(), time.perf_counter()]
    found["seconds"] = {name: later - earlier for name, earlier, later in zip(clock, ends, ends[1:], strict=False)}
    return found


def scores_of(problem: Problem, probabilities: Tensor, labels: Tensor) -> dict[str, list[float | None]]:
    """Return how good predicted probabilities ``(P, n, classes)`` are; lists with one entry per restart.

    ``loss`` (mean negative log likelihood; of several labels, their mean), ``metric``, ``calibration_error`` and, where
    an example may have several labels, ``average_precision``, its mean over the labels that occur.
    """
    shared = problem.multilabel or labels.dim() == 1
    rows = [(p, labels if shared else labels[i]) for i, p in enumerate(probabilities)]
    pairs = [(p.detach().double().numpy(), y.numpy()) for p, y in rows]
    kinds = {"loss": scores.negative_log_likelihood, "calibration_error": scores.calibration_error}
    if problem.multilabel:
        kinds["average_precision"] = scores.average_precision
    found = {name: [score(p, y) if np.isfinite(p).all() else None for p, y in pairs] for name, score in kinds.items()}
    return found | {"metric": numbers(problem.metric_of(probabilities, labels))}


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
    """The models of each restart with the lowest of some score, with what they predict on the test sample.

    Of equal scores the earlier model is kept; one whose score is not finite never is.

    Parameters
    ----------
    problem : Problem
    kept : int
        How many each restart keeps.

    Attributes
    ----------
    losses, steps : ndarray
        Scores, training losses usually, of shape ``(kept, P)``; infinite, and -1, where there is no model yet.
    models : list of Tensor
        Each ``(kept, P, …)``: parameters, then buffers.
    probabilities : Tensor or None
        ``(kept, P, n, classes)``.
    """

    def __init__(self, problem: Problem, kept: int = KEPT) -> None:
        self.problem = problem
        members = self._members()
        shape = (kept, len(members[0]))
        self.losses, self.steps = np.full(shape, np.inf), np.full(shape, -1)
        self.models = [torch.zeros(kept, *t.shape, dtype=t.dtype) for t in members]
        self.probabilities: Tensor | None = None

    def _members(self) -> list[Tensor]:
        return members_of([*self.problem.parameters, *self.problem.buffers], self.problem.population)

    @torch.no_grad()
    def offer(self, step: int, losses: np.ndarray, probabilities: Tensor) -> None:
        """Keep the models as they now stand, for each restart whose loss is below that of the worst kept."""
        if self.probabilities is None:
            self.probabilities = torch.zeros(len(self.losses), *probabilities.shape)
        worst = np.lexsort((self.steps, self.losses), axis=0)[-1]
        restart = np.arange(len(losses))
        better = losses < self.losses[worst, restart]
        place, restart = worst[better], restart[better]
        self.losses[place, restart], self.steps[place, restart] = losses[better], step
        at = torch.from_numpy(place), torch.from_numpy(restart)
        self.probabilities[at] = probabilities[at[1]].float()
        for kept, now in zip(self.models, self._members(), strict=True):
            kept[at] = now.detach()[at[1].to(now.device)].cpu()

    def _there(self) -> Tensor:
        """Say which places hold a model, as 0 and 1 of shape ``(kept, P)``."""
        return torch.from_numpy(np.isfinite(self.losses)).float()

    def mean_probabilities(self) -> Tensor:
        """Return what the kept models of each restart predict on average, ``(P, n, classes)``; 0 if there is none."""
        assert self.probabilities is not None
        return self._mean(self.probabilities)

    def _mean(self, probabilities: Tensor) -> Tensor:
        there = self._there()
        return torch.einsum("kp,kpnc->pnc", there, probabilities) / there.sum(0).clamp(min=1)[:, None, None]

    @contextmanager
    def _placed(self, models: list[Tensor | None]) -> Iterator[None]:
        """Within this context the problem's models are these; a tensor that is None stays as it is."""
        before = [t.clone() for t in self._members()]
        try:
            for now, other in zip(self._members(), models, strict=True):
                if other is not None:
                    now.copy_(other)
            yield
        finally:
            for now, earlier in zip(self._members(), before, strict=True):
                now.copy_(earlier)

    def _averages(self) -> list[Tensor | None]:
        """Return the means of the kept models' tensors, ``(P, …)``; None for whole numbers."""
        there = torch.from_numpy(np.isfinite(self.losses))
        count = there.sum(0).clamp(min=1)
        found: list[Tensor | None] = []
        for now, kept in zip(self._members(), self.models, strict=True):
            shape = (-1, *[1] * (now.dim() - 1))
            mean = (
                (kept * there.view(len(kept), *shape)).sum(0) / count.view(shape) if kept.is_floating_point() else None
            )
            found.append(mean)
        return found

    def _kept_steps(self) -> list[list[int]]:
        """Return each restart's steps at which its models were kept, in order."""
        return [sorted(int(s) for s in column if s >= 0) for column in self.steps.T]

    @torch.no_grad()
    def measures(self) -> dict[str, Any]:
        """Return what the kept models achieve as an ensemble, and what the mean of their weights does.

        ``ensemble``: metric of the mean probabilities on the test sample; ``averaged_weights``: loss and metric of the
        averaged weights there, BatchNorm statistics recomputed; ``kept``: the steps. The problem's models come back.
        """
        with self._placed(self._averages()):
            self.problem.recompute_statistics()
            loss, metric = self.problem.evaluate("test")
        return {
            "ensemble": {"metric": numbers(self.problem.metric("test", self.mean_probabilities()))},
            "averaged_weights": {"loss": numbers(loss), "metric": numbers(metric)},
            "kept": self._kept_steps(),
        }

    @torch.no_grad()
    def on_whole_test(self) -> Tensor:
        """Return what each kept model predicts on the whole test split, ``(kept, P, n, classes)``."""
        predicted = []
        for place in range(len(self.losses)):
            with self._placed([kept[place] for kept in self.models]):
                predicted.append(self.problem.whole_test()[0])
        return torch.stack(predicted)

    @torch.no_grad()
    def whole_measures(self) -> dict[str, Any]:
        """Return what `measures` does on the whole test split, and what the kept models do there one by one.

        ``ensemble, averaged_weights``: their `scores_of`; ``kept``: the steps; ``kept_models``: per score and restart
        the mean over the kept models, and the ``disagreement`` of two of them.
        """
        labels, each, there = self.problem.test_labels(), self.on_whole_test(), np.isfinite(self.losses)
        with self._placed(self._averages()):
            self.problem.recompute_statistics()
            averaged = scores_of(self.problem, self.problem.whole_test()[0], labels)
        single = [scores_of(self.problem, one, labels) for one in each]
        mean = {
            name: numbers(np.nanmean(np.where(there, np.array([s[name] for s in single], float), np.nan), axis=0))
            for name in single[0]
        }
        predicted = scores.predictions(each.numpy(), self.problem.multilabel)
        apart = [
            scores.disagreement(predicted[there[:, p], p]) if there[:, p].sum() > 1 else None
            for p in range(there.shape[1])
        ]
        return {
            "ensemble": scores_of(self.problem, self._mean(each), labels),
            "averaged_weights": averaged,
            "kept": self._kept_steps(),
            "kept_models": mean | {"disagreement": apart},
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
