"""What is measured once, of the model that a run returns and of the best models on its way."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from popview.common.seeds import generator
from popview.optimizers.tensors import members_of
from popview.tasks import scores
from popview.tasks.problem import Problem
from popview.topography.measures import FLATNESS, Measure, Models, flatness_of

#: Models of lowest training loss that a restart keeps: the paper's L.
KEPT = 10


def numbers(values: Tensor | np.ndarray) -> list[float | None]:
    """Return one number per restart, None where it is not finite."""
    here = values.detach().cpu() if isinstance(values, Tensor) else values
    return [float(v) if math.isfinite(v) else None for v in np.asarray(here, dtype=float).reshape(-1)]


@dataclass(frozen=True)
class End:
    """A run at its end.

    Attributes
    ----------
    problem : Problem
        Holds the last models.
    start : list of Tensor
        Their parameters before the first step.
    seed : int
        Of the random draws, shared by the restarts of a stack.
    extent : str
        How much is measured: `popview.runs.specs.RunSpec.extent`.
    """

    problem: Problem
    start: list[Tensor]
    seed: int
    extent: str

    def whole_test(self) -> dict[str, Any]:
        """Return loss and metric on the whole test split."""
        loss, metric = self.problem.evaluate_whole_test()
        return {"loss": numbers(loss), "metric": numbers(metric)}

    def scores(self) -> dict[str, Any]:
        """Return the `scores_of` the whole test split."""
        return scores_of(self.problem, *self.problem.whole_test())

    def validation(self) -> dict[str, Any]:
        """Return the `scores_of` the validation split."""
        probabilities = self.problem.probabilities(self.problem.logits("validation"))
        return scores_of(self.problem, probabilities, self.problem.sample_labels("validation"))

    def flatness(self) -> dict[str, Any]:
        """Return what `popview.topography.measures` declares, in float32."""
        problem = self.problem
        with problem.measuring():
            models = Models(
                parameters=list(problem.parameters),
                start=self.start,
                population=problem.population,
                draws=generator(self.seed, "flatness"),
                loss=problem.sample_loss,
                curvature_loss=problem.curvature_loss if problem.curvature else None,
                input_losses=problem.input_losses,
            )
            return {name: numbers(value) for name, value in flatness_of(models, self.extent).items()}

    def corrupted(self) -> dict[str, Any]:
        """Return the metric per corruption, one list per severity, and that of the same examples as they are."""
        found = self.problem.corrupted(whole=self.extent == "whole")
        return {name: [numbers(value) for value in values] for name, values in found.items()}

    def corrupted_losses(self) -> dict[str, Any] | None:
        """Return the loss per corruption, one list per severity; None where it is not kept."""
        found = self.problem.corrupted_losses()
        return {name: [numbers(value) for value in values] for name, values in found.items()} or None

    def unseen(self) -> dict[str, Any] | None:
        """Return how well classes that were not trained on are told apart; None where all were."""
        found = self.problem.unseen()
        return None if found is None else {"metric": numbers(found)}


_ONCE = (1, 0)

#: What is said of the last models. Flatness costs what `FLATNESS` says. Where the extent is "whole", another pass over
#: the test split makes the probabilities that the file keeps.
LAST_MODELS = (
    Measure("whole_test", End.whole_test, {"whole_test": _ONCE}, ("brief", "scores", "sample")),
    Measure("whole_test", End.scores, {"whole_test": (2, 0)}, ("whole",)),
    Measure("validation", End.validation, {"validation": _ONCE}, ("scores", "whole")),
    Measure("flatness", End.flatness, {}, ("sample", "whole")),
    Measure("corrupted", End.corrupted, {"clean": _ONCE, "corrupted": _ONCE}, ("sample",)),
    Measure("corrupted", End.corrupted, {"whole_corrupted": _ONCE}, ("whole",)),
    Measure("corrupted_losses", End.corrupted_losses, {"corrupted_losses": _ONCE}, ("sample",)),
    Measure("unseen", End.unseen, {"unseen": _ONCE}, ("sample", "whole")),
)


def measures(problem: Problem, start: list[Tensor], seed: int, extent: str = "sample") -> dict[str, Any]:
    """Return what is said of each restart's last model: lists with one entry per restart, None where not finite.

    Parameters
    ----------
    problem, start, seed : see `End`
    extent : {"brief", "scores", "sample", "whole"}
        How much: "brief", of trials, no more than ``whole_test``; "scores", of the runs of other searches, also
        ``validation``; else all, with corruptions of a sample of the test split, or of the whole of it.

    Returns
    -------
    dict
        The measures of `LAST_MODELS` that extent and problem have, by their names; ``seconds`` of each of these. Older
        files lack ``clean`` among the corruptions.
    """
    end, found, clock = End(problem, start, seed, extent), {}, {}
    for measure in LAST_MODELS:
        if extent in measure.where:
            began = time.perf_counter()
            if (value := measure.take(end)) is not None:
                found[measure.name] = value
                clock[measure.name] = time.perf_counter() - began
    return found | {"seconds": clock}


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

    def mean_probabilities(self) -> Tensor:
        """Return what the kept models of each restart predict on average, ``(P, n, classes)``; 0 if there is none."""
        assert self.probabilities is not None
        return self._mean(self.probabilities)

    def _mean(self, probabilities: Tensor) -> Tensor:
        there = torch.from_numpy(np.isfinite(self.losses)).float()
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

    def _spread(self) -> Tensor:
        """Return the root mean square distance of the kept models' parameters from their mean, ``(P,)``."""
        there = torch.from_numpy(np.isfinite(self.losses)).float()
        count, squares = there.sum(0).clamp(min=1), torch.zeros(there.shape[1])
        for kept in self.models[: len(self.problem.parameters)]:
            flat = kept.flatten(2)
            mean = torch.einsum("kp,kpn->pn", there, flat) / count[:, None]
            squares += ((flat - mean).square().sum(-1) * there).sum(0) / count
        return squares.sqrt()

    def _kept_steps(self) -> list[list[int]]:
        """Return each restart's steps at which its models were kept, in order."""
        return [sorted(int(s) for s in column if s >= 0) for column in self.steps.T]

    @torch.no_grad()
    def measures(self) -> dict[str, Any]:
        """Return what the kept models achieve as an ensemble, and what the mean of their weights does.

        ``ensemble``: metric of the mean probabilities on the test sample; ``averaged_weights``: loss and metric of the
        averaged weights there, BatchNorm statistics recomputed; ``kept``: the steps; ``spread``: root mean square
        distance of the models from their mean, which older files lack. The problem's models come back.
        """
        with self._placed(self._averages()):
            self.problem.recompute_statistics()
            loss, metric = self.problem.evaluate("test")
        return {
            "ensemble": {"metric": numbers(self.problem.metric("test", self.mean_probabilities()))},
            "averaged_weights": {"loss": numbers(loss), "metric": numbers(metric)},
            "kept": self._kept_steps(),
            "spread": numbers(self._spread()),
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


def _by_validation(_: Best, validated: Best) -> dict[str, Any]:
    """Return the `scores_of` the models of the highest validation metric on the whole test split, and their steps."""
    problem = validated.problem
    chosen = scores_of(problem, validated.on_whole_test()[0], problem.test_labels())
    return {"by_validation": chosen | {"step": validated.steps[0].tolist()}}


#: What is said of the models that a restart keeps; each gives entries of the metadata.
KEPT_MODELS = (
    Measure("best", lambda best, _: best.measures(), {"test": _ONCE, "statistics": _ONCE}, ("brief", "sample")),
    Measure(
        "best", lambda best, _: best.whole_measures(), {"whole_test": (KEPT + 1, 0), "statistics": _ONCE}, ("whole",)
    ),
    Measure("by_validation", _by_validation, {"whole_test": _ONCE}, ("whole",)),
)

#: All that is measured at the end of a run.
FINAL_MEASURES = (*LAST_MODELS, *FLATNESS, *KEPT_MODELS)


def measures_of_kept(best: Best, validated: Best | None, extent: str) -> dict[str, Any]:
    """Return what is said of the models that each restart keeps.

    Parameters
    ----------
    best : Best
        Those of lowest training loss.
    validated : Best or None
        That of the highest validation metric, where the extent is "whole".
    extent : str
        See `measures`.
    """
    found: dict[str, Any] = {}
    for measure in KEPT_MODELS:
        if extent in measure.where:
            found |= measure.take(best, validated)
    return found
