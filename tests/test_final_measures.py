"""What is measured once: the best models, their ensemble and average, flatness of the last model."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from helpers import closure_on
from test_resume import small
from test_runs import spec_of
from torch import Tensor, nn

from popview.common.seeds import generator
from popview.optimizers import make
from popview.runs import final_measures, training
from popview.runs.final_measures import KEPT, Best, measures
from popview.tasks.digits import Digits
from popview.tasks.problem import Problem
from popview.tasks.setup import TASKS, set_up
from popview.topography import flatness

MEASURES = {
    *("ball_maximum", "adaptive_sharpness", "average_sharpness", "average_sharpness_standard_error"),
    *("weight_norm", "distance", "input_gradient_norm", "top_eigenvalue", "trace", "trace_standard_error"),
}


class Lines(Problem):
    """P models of two numbers and a counter; what they predict is for the test to say."""

    steps_per_epoch = 1

    def __init__(self, seeds: range) -> None:
        self.parameters = [nn.Parameter(torch.zeros(len(seeds), 2))]
        self.buffers = [torch.zeros(len(seeds), dtype=torch.int64), torch.zeros(len(seeds), 3)]
        self.recomputed: list[Tensor] = []

    def minibatches(self, epoch: int) -> Iterator[Any]:
        yield None

    def loss(self, minibatch: Any) -> Tensor:
        return self.parameters[0].sum(1)

    def logits(self, split: str) -> Tensor:
        return self.parameters[0].detach().unsqueeze(2).expand(-1, -1, 3)

    def score(self, split: str, logits: Tensor) -> tuple[Tensor, Tensor]:
        return logits.sum((1, 2)), logits[:, 0, 0].clone()

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits

    def metric(self, split: str, probabilities: Tensor) -> Tensor:
        return probabilities.sum((1, 2))

    def recompute_statistics(self) -> None:
        self.recomputed.append(self.parameters[0].detach().clone())
        self.buffers[1].fill_(-7)

    def sample_loss(self) -> Tensor:
        return self.loss(None)

    def input_losses(self) -> Any:
        raise NotImplementedError


def offered(losses: np.ndarray) -> tuple[Lines, Best, Tensor]:
    """Offer a model for each row of losses ``(steps, P)``, of random weights and predictions; return these too."""
    draws = torch.Generator().manual_seed(0)
    problem = Lines(range(losses.shape[1]))
    best = Best(problem)
    weights = torch.randn(*losses.shape, 2, generator=draws)
    for step, row in enumerate(losses):
        problem.parameters[0].data.copy_(weights[step])
        problem.buffers[0].fill_(step)
        problem.buffers[1].copy_(weights[step].sum(1, keepdim=True).expand(-1, 3))
        best.offer(5 * step, row, problem.logits("test"))
    return problem, best, weights


def lowest(losses: np.ndarray) -> list[int]:
    """Return the steps of the ten lowest finite losses, of equals the earlier: by sorting."""
    finite = [(loss, step) for step, loss in enumerate(losses) if math.isfinite(loss)]
    return sorted(step for _, step in sorted(finite)[:KEPT])


class TestBest:
    @pytest.mark.parametrize("case", range(12))
    def test_the_ten_lowest_by_brute_force(self, case):
        draws = np.random.default_rng(case)
        losses = draws.integers(0, 12, size=(int(draws.integers(1, 40)), 3)).astype(float)  # many ties
        losses[draws.random(losses.shape) < 0.1] = np.nan
        losses[draws.random(losses.shape) < 0.05] = np.inf
        problem, best, weights = offered(losses)
        found = best.measures()
        for restart in range(3):
            expected = lowest(losses[:, restart])
            assert found["kept"][restart] == [5 * step for step in expected]
            if not expected:
                continue
            place = {int(step): i for i, step in enumerate(best.steps[:, restart])}
            for step in expected:
                i = place[5 * step]
                assert torch.equal(best.models[0][i, restart], weights[step, restart])
                assert int(best.models[1][i, restart]) == step
                assert best.losses[i, restart] == losses[step, restart]
            mean = weights[expected, restart].mean(0)
            torch.testing.assert_close(best.mean_probabilities()[restart], mean.unsqueeze(1).expand(2, 3))
            assert found["ensemble"]["metric"][restart] == pytest.approx(3 * float(mean.sum()), abs=1e-5)
            torch.testing.assert_close(problem.recomputed[0][restart], mean)
            assert found["averaged_weights"]["loss"][restart] == pytest.approx(3 * float(mean.sum()), abs=1e-5)
            assert found["averaged_weights"]["metric"][restart] == pytest.approx(float(mean[0]), abs=1e-5)
            spread = weights[expected, restart].double().var(0, correction=0).sum().sqrt()
            assert found["spread"][restart] == pytest.approx(float(spread), rel=1e-4, abs=1e-6)

    def test_the_models_come_back(self):
        problem, best, weights = offered(np.random.default_rng(0).random((15, 2)))
        buffers = [b.clone() for b in problem.buffers]
        best.measures()
        assert torch.equal(problem.parameters[0], weights[-1])
        assert all(map(torch.equal, problem.buffers, buffers))
        assert len(problem.recomputed) == 1

    def test_the_models_come_back_after_an_interrupt(self, monkeypatch):
        problem, best, weights = offered(np.random.default_rng(0).random((15, 2)))

        def stop(split: str) -> Any:
            raise KeyboardInterrupt

        monkeypatch.setattr(problem, "evaluate", stop)
        with pytest.raises(KeyboardInterrupt):
            best.measures()
        assert torch.equal(problem.parameters[0], weights[-1])
        assert problem.buffers[0].tolist() == [14, 14]

    def test_continued_from_a_state(self):
        losses = np.random.default_rng(3).integers(0, 9, size=(30, 2)).astype(float)
        _, whole, weights = offered(losses)
        _, half, _ = offered(losses[:14])
        other = Lines(range(2))
        best = Best(other)
        best.load_state_dict(half.state_dict())
        for step in range(14, 30):
            other.parameters[0].data.copy_(weights[step])
            best.offer(5 * step, losses[step], other.logits("test"))
        assert best.measures()["kept"] == whole.measures()["kept"]
        assert torch.equal(best.models[0], whole.models[0])
        assert torch.equal(best.mean_probabilities(), whole.mean_probabilities())


class TestOfTrajectories:
    def test_averaged_weights_and_ensemble_of_digits(self):
        """Against the models themselves, put into a task again; 13 checkpoints, of which ten are kept."""
        (found,) = training.compute(spec_of("SGD", epochs=2, checkpoints=13))
        told = found.best.measures()
        problem, probabilities = Digits(range(3), hidden=16), []
        for i in range(KEPT):
            for p, models in zip(problem.parameters, found.best.models, strict=True):
                p.data.copy_(models[i])
            train, _ = problem.evaluate("train")
            torch.testing.assert_close(train.double(), torch.from_numpy(found.best.losses[i]), atol=1e-6, rtol=0)
            probabilities.append(problem.logits("test").softmax(-1))
        labels = problem._splits["test"][1]
        ensemble = (torch.stack(probabilities).mean(0).argmax(-1) == labels).double().mean(1)
        assert told["ensemble"]["metric"] == pytest.approx(ensemble.tolist(), abs=1.1 / 597)
        for p, models in zip(problem.parameters, found.best.models, strict=True):
            p.data.copy_(models.mean(0))
        loss, metric = problem.evaluate("test")
        assert told["averaged_weights"]["loss"] == pytest.approx(loss.tolist(), abs=1e-5)
        assert told["averaged_weights"]["metric"] == pytest.approx(metric.tolist(), abs=1.1 / 597)
        frame = found.table.to_pandas()
        for seed, steps in enumerate(told["kept"]):
            rows = frame[frame["seed"] == seed].sort_values(["train_loss", "step"])
            assert steps == sorted(rows["step"][:KEPT])

    @pytest.mark.usefixtures("tiny_hub")
    def test_averaged_weights_get_statistics_of_their_own(self):
        (found,) = training.compute(small("cifar10", "SGD"))
        told = found.best.measures()
        assert len(told["kept"][0]) == 4  # all checkpoints
        problem: Any = set_up("cifar10", [2], tiny.IMAGE_MODEL)
        for now, models in zip([*problem.parameters, *problem.buffers], found.best.models, strict=True):
            if now.is_floating_point():
                now.data.copy_(models[found.best.steps[:, 0] >= 0].mean(0)[0])
        with_means = problem.evaluate("test")[0].item()
        problem.recompute_statistics()
        loss, metric = problem.evaluate("test")
        assert told["averaged_weights"]["loss"] == pytest.approx(loss.tolist(), rel=1e-5)
        assert told["averaged_weights"]["metric"] == pytest.approx(metric.tolist())
        assert abs(loss.item() - with_means) > 1e-4


def trained(seeds: list[int]) -> tuple[Digits, list[Tensor]]:
    problem = Digits(seeds, hidden=8)
    start = [p.detach().clone() for p in problem.parameters]
    optimizer = make("SGD", problem.parameters, population=True, lr=0.1, momentum=0.9)
    for minibatch in problem.minibatches(0):
        closure = closure_on(optimizer, lambda minibatch=minibatch: problem.loss(minibatch))

        optimizer.step(closure)
    return problem, start


class TestMeasures:
    def test_a_stack_has_the_measures_of_its_restarts(self):
        stacked = measures(*trained([4, 9]), seed=4)
        for i, seed in enumerate((4, 9)):
            alone = measures(*trained([seed]), seed=4)
            for kind, tolerance in (("whole_test", 1e-5), ("flatness", 2e-2)):
                assert set(stacked[kind]) == set(alone[kind])
                for name, values in stacked[kind].items():
                    assert values[i] == pytest.approx(alone[kind][name][0], rel=tolerance), name

    def test_are_those_of_flatness_on_the_training_split(self):
        problem, start = trained([1, 2])
        found = measures(problem, start, seed=1)
        assert set(found["flatness"]) == MEASURES
        assert all(math.isfinite(v) for values in found["flatness"].values() for v in values)
        assert set(found["corrupted"]) == {"clean", "noise", "blur", "contrast", "brightness"}
        assert set(found["corrupted_losses"]) == set(found["corrupted"]) - {"clean"}
        assert set(found["seconds"]) == {"whole_test", "flatness", "corrupted", "corrupted_losses"}
        images, labels = problem._splits["train"]
        for i in range(2):
            weights = [p.detach()[i].clone().requires_grad_() for p in problem.parameters]

            def loss(weights: list[Tensor] = weights, i: int = i) -> Tensor:
                hidden = torch.relu(images[i] @ weights[0] + weights[1])
                return nn.functional.cross_entropy(hidden @ weights[2] + weights[3], labels[i])

            gradient = torch.autograd.grad(loss(), weights)
            length = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradient))
            here = loss().item()
            with torch.no_grad():
                for w, g in zip(weights, gradient, strict=True):
                    w.add_(0.05 / length * g)
            assert found["flatness"]["ball_maximum"][i] == pytest.approx(loss().item() - here, rel=1e-3)
            ends = [p.detach() for p in problem.parameters]
            moved = sum(float(((p[i] - s[i]).double() ** 2).sum()) for p, s in zip(ends, start, strict=True))
            assert found["flatness"]["distance"][i] == pytest.approx(math.sqrt(moved), rel=1e-5)
            assert found["whole_test"]["loss"][i] == pytest.approx(problem.evaluate("test")[0][i].item())
        curved = flatness.top_eigenvalue(
            problem.sample_loss, problem.parameters, 200, 1e-4, generator=generator(0, "a"), population=True
        )
        assert found["flatness"]["top_eigenvalue"] == pytest.approx(curved.tolist(), rel=0.05)

    def test_leave_the_models_alone(self):
        problem, start = trained([3])
        before = [p.detach().clone() for p in problem.parameters]
        drawn = torch.get_rng_state()
        measures(problem, start, seed=0)
        assert all(map(torch.equal, problem.parameters, before))
        assert torch.equal(torch.get_rng_state(), drawn)

    @pytest.mark.usefixtures("tiny_hub")
    def test_on_images_and_on_texts(self):
        texts = small("tweeteval", "SGD")
        asked = replace(texts, model=texts.model | {"curvature": True})
        for spec, own in ((small("cifar10", "SGD"), MEASURES), (texts, None), (asked, MEASURES)):
            spec = replace(spec, epochs=1, checkpoints=2)
            problem: Any = set_up(spec.task, spec.seeds, spec.model)
            buffers = [b.clone() for b in problem.buffers]
            start = [p.detach().clone() for p in problem.parameters]
            found = measures(problem, start, spec.seed)
            expected = own or MEASURES - {"top_eigenvalue", "trace", "trace_standard_error"}
            assert set(found["flatness"]) == expected
            assert found["flatness"]["distance"] == [0.0]
            assert all(math.isfinite(value) for (value,) in found["flatness"].values())
            assert all(0 <= value <= 1 for levels in found["corrupted"].values() for (value,) in levels)
            assert all(map(torch.equal, problem.buffers, buffers))

    def test_of_a_diverged_restart_are_none(self, monkeypatch):
        class Lost(Digits):
            """The second restart's weights become NaN in the first step."""

            def loss(self, minibatch: Any) -> Tensor:
                losses = super().loss(minibatch)
                return losses * torch.tensor([1.0, math.nan])

        monkeypatch.setitem(TASKS, "lost", Lost)
        spec = spec_of("SGD", task="lost", restarts=2)
        told = json.loads(training.train_table(spec).schema.metadata[b"popview"])
        assert told["diverged"] == [False, True]
        for name, (kept, lost) in told["flatness"].items():
            assert math.isfinite(kept), name
            assert lost is None, name
        assert told["whole_test"]["loss"][1] is None
        assert told["kept"][1] == [0]  # its start

    def test_of_a_trial_are_what_the_search_reads(self):
        keys = []
        for variant in ("trial", "base"):
            table = training.train_table(spec_of("SGD", variant=variant))
            told = json.loads(table.schema.metadata[b"popview"])
            assert told["whole_test"]["metric"] == pytest.approx(table["test_metric"].to_pylist()[-3:])
            assert told["seconds"]["measures"] > 0
            keys.append(set(told))
        assert keys[1] - keys[0] == {"flatness", "corrupted", "corrupted_losses"}

    def test_numbers(self):
        assert final_measures.numbers(torch.tensor([1.0, math.nan, math.inf, -2])) == [1.0, None, None, -2.0]
        assert final_measures.numbers(np.float32(0.5)) == [0.5]

    def test_numbers_of_a_gpu_come_back(self):
        class OnGpu(Tensor):
            """Refuses NumPy, as a tensor on a GPU does, until it was copied."""

            def __array__(self, *_: Any) -> Any:
                raise TypeError("can't convert cuda:0 device type tensor to numpy")

            def cpu(self) -> Tensor:
                return self.as_subclass(Tensor)

        assert final_measures.numbers(torch.tensor([1.0, math.nan]).as_subclass(OnGpu)) == [1.0, None]
