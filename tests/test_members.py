"""Hyperparameters of one value per member: several runs as one population, each as it is alone; and what is refused."""

import io
from collections.abc import Callable
from typing import Any

import helpers
import pytest
import torch
from helpers import CASES, INF, options_for, same
from torch import Tensor, nn

from popview.common.errors import UsageError
from popview.optimizers import hyperparameters, make
from popview.optimizers.checks import PER_MEMBER

#: Three runs whose settings all differ; one always may fire or hop (ε = ∞), one never does.
RUNS: dict[str, tuple[float, ...]] = {
    "lr": (0.02, 0.007, 0.03),
    "rho": (0.4, 0.15, 0.7),
    "epsilon": (0.8, INF, 0.0),
    "tau": (9, 4, 1000),
    "temperature": (0.5, 0.0, 0.1),
}
SEEDS = (5, 11, 6)
#: Members of a run: a model alone, and more than vectorised loops take at once, whose last ones go another way.
SIZES = (1, 37)


def settings(label: str, sweep: tuple[str, ...]) -> list[dict[str, float]]:
    """Return a case's settings run by run: those of `sweep` as in RUNS, the others the first run's."""
    taken = set(hyperparameters(CASES[label][0]))
    return [{name: RUNS[name][run if name in sweep else 0] for name in PER_MEMBER if name in taken} for run in range(3)]


def options(label: str, own: dict[str, Any], **world: Any) -> dict[str, Any]:
    return {**options_for(label, momentum=0.5, weight_decay=1e-3, **world), **own}


def stacked(runs: list[dict[str, float]], sweep: tuple[str, ...], size: int) -> dict[str, Any]:
    """Return settings of all runs at once: tensors of what is swept."""
    return {
        name: torch.tensor([run[name] for run in runs], dtype=torch.float64).repeat_interleave(size)
        if name in sweep
        else first
        for name, first in runs[0].items()
    }


def walk(optimizer: Any, params: list[nn.Parameter], loss: Callable[[list], Tensor], steps: int) -> list[list[Tensor]]:
    """Return the parameters after each step, and what the run returns."""

    def closure() -> Tensor:
        for p in params:
            p.grad = None
        losses = loss(params)
        losses.sum().backward()
        return losses

    path = []
    for _ in range(steps):
        optimizer.step(closure)
        path.append([p.detach().clone() for p in params])
    with optimizer.solution():
        path.append([p.detach().clone() for p in params])
    return path


def surface(params: list) -> Tensor:
    return helpers.six_hump(params[0])


def compare(label: str, tensors: list[Tensor], loss: Any, sweep: tuple[str, ...], size: int, equal: Any) -> list[Any]:
    """Compare three runs of `size` members, stacked, with each run alone; return the counters."""
    runs = settings(label, sweep)
    whole = [nn.Parameter(t.clone()) for t in tensors]
    own = {**stacked(runs, sweep, size), "seed": SEEDS, "population": True}
    optimizer = make(CASES[label][0], whole, **options(label, own))
    path = walk(optimizer, whole, loss, 24)
    for i, run in enumerate(runs):
        rows = slice(i * size, (i + 1) * size)
        params = [nn.Parameter(t[rows].clone()) for t in tensors]
        alone = make(CASES[label][0], params, **options(label, {**run, "seed": SEEDS[i], "population": True}))
        for t, (together, apart) in enumerate(zip(path, walk(alone, params, loss, 24), strict=True)):
            assert equal([p[rows] for p in together], apart), f"run {i} parts from itself at step {t}"
        for ours, its in zip(helpers.counters(optimizer), helpers.counters(alone), strict=True):
            assert torch.equal(ours[rows], its)
    return helpers.counters(optimizer)


class TestRuns:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("label", CASES)
    def test_bit_for_bit_on_a_landscape(self, label, size):
        tensors = [helpers.starts(3 * size)]
        sweep = tuple(settings(label, ())[0])
        counts = dict(zip(helpers.COUNTERS, compare(label, tensors, surface, sweep, size, same), strict=True))
        if helpers.hops(label):
            assert counts["hops_tried"][-1] == 0 < counts["hops_tried"][size], "runs are to hop at different times"

    @pytest.mark.slow
    @pytest.mark.parametrize("name", PER_MEMBER)
    @pytest.mark.parametrize("label", CASES)
    def test_of_one_hyperparameter(self, label, name):
        if name not in hyperparameters(CASES[label][0]):
            pytest.skip(f"{label} has no {name}")
        compare(label, [helpers.starts(9).float()], surface, (name,), 3, same)

    @pytest.mark.parametrize("label", CASES)
    def test_bit_for_bit_where_a_member_has_several_tensors(self, label):
        generator = torch.Generator().manual_seed(3)
        tensors = [torch.rand(15, *s, generator=generator, dtype=torch.float64) for s in ((2,), (2,), (3, 2), ())]

        def loss(params: list[Tensor]) -> Tensor:
            a, b, c, d = params
            return helpers.six_hump(a) + helpers.three_hump(b) + d * d + helpers.six_hump(c).sum(-1)

        compare(label, tensors, loss, tuple(settings(label, ())[0]), 5, same)

    @pytest.mark.parametrize("label", CASES)
    def test_to_rounding_on_a_stack_of_nets(self, label):
        generator = torch.Generator().manual_seed(4)
        shapes = ((3, 5), (1, 5), (5, 2), (1, 2))
        tensors = [torch.randn(6, *s, generator=generator, dtype=torch.float64) for s in shapes]
        x, y = (torch.randn(20, n, generator=generator, dtype=torch.float64) for n in (3, 2))

        def loss(params: list[Tensor]) -> Tensor:
            w1, b1, w2, b2 = params
            output = torch.baddbmm(b2, torch.tanh(torch.baddbmm(b1, x.expand(len(w1), -1, -1), w1)), w2)
            return (output - y).square().mean((-2, -1))

        def equal(together: list, alone: list) -> bool:
            return helpers.close(together, alone, rtol=1e-9, atol=1e-11)

        compare(label, tensors, loss, tuple(settings(label, ())[0]), 2, equal)

    @pytest.mark.parametrize("label", CASES)
    def test_a_run_of_one_member_is_a_model_alone(self, label):
        runs, start = settings(label, PER_MEMBER), helpers.starts(3)
        w = helpers.point(start)
        own = {**stacked(runs, tuple(runs[0]), 1), "seed": SEEDS, "population": True}
        path = walk(make(CASES[label][0], [w], **options(label, own)), [w], surface, 24)
        for i, run in enumerate(runs):
            alone = helpers.point(start[i])
            optimizer = make(CASES[label][0], [alone], **options(label, {**run, "seed": SEEDS[i]}))
            for together, apart in zip(path, walk(optimizer, [alone], surface, 24), strict=True):
                assert same([together[0][i]], apart)

    @pytest.mark.parametrize("label", CASES)
    def test_equal_values_are_a_number(self, label):
        """Without seeds of their own, members that all have the same values are a population as ever."""
        run, paths = settings(label, ())[0], []
        for own in (run, {name: torch.full((8,), value, dtype=torch.float64) for name, value in run.items()}):
            w = helpers.point(helpers.starts(8))
            optimizer = make(CASES[label][0], [w], **options(label, {**own, "seed": 3, "population": True}))
            paths.append(walk(optimizer, [w], surface, 24))
        assert all(same(a, b) for a, b in zip(*paths, strict=True))

    @pytest.mark.parametrize("label", CASES)
    def test_resumed(self, label):
        runs, start, at, end = settings(label, PER_MEMBER), helpers.starts(9), 13, 40

        def fresh(own: dict[str, Any], seeds: tuple[int, ...]) -> Any:
            w = helpers.point(start)
            return w, make(CASES[label][0], [w], **options(label, {**own, "seed": seeds, "population": True}))

        w, optimizer = fresh(stacked(runs, tuple(runs[0]), 3), SEEDS)
        whole = walk(optimizer, [w], surface, end)
        expected = helpers.counters(optimizer)

        w, optimizer = fresh(stacked(runs, tuple(runs[0]), 3), SEEDS)
        begun = walk(optimizer, [w], surface, at)
        assert same(begun[-2], whole[at - 1])
        file = io.BytesIO()
        torch.save({"w": w, "optimizer": optimizer.state_dict()}, file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)

        w, optimizer = fresh({name: 0.5 if name != "tau" else 2 for name in runs[0]}, (1, 2, 3))
        with torch.no_grad():
            w.copy_(saved["w"])
        optimizer.load_state_dict(saved["optimizer"])
        rest = walk(optimizer, [w], surface, end - at)
        assert all(same(a, b) for a, b in zip(rest, whole[at:], strict=True))
        assert all(map(torch.equal, helpers.counters(optimizer), expected))


class TestMistakes:
    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            ({"lr": torch.ones(3)}, ValueError, r"lr must have one value per member, shape \(4,\), got shape \(3,\)"),
            ({"rho": torch.tensor([0.1, 0.2, -0.1, 0.0])}, ValueError, "rho must be 0 or above, got -0.1"),
            (
                {"tau": torch.tensor([1.0, 2.5, 3.0, 4.0])},
                ValueError,
                "tau must be a whole number, 1 or above, got 2.5",
            ),
            ({"epsilon": torch.full((4,), float("nan"))}, ValueError, "epsilon must be 0 or above"),
            ({"epsilon": torch.ones(4, 1)}, TypeError, "epsilon must be a number"),
            ({"momentum": torch.full((4,), 0.5)}, TypeError, "momentum must be a number"),
            ({"seed": (1, 2, 3)}, ValueError, "one for each of equally large runs: 3 for 4 models"),
            ({"seed": ()}, ValueError, "0 for 4 models"),
            ({"seed": (1, 0.5)}, TypeError, "seed must be a whole number, got 0.5"),
            ({"seed": "12"}, TypeError, "seed must be a whole number, got '12'"),
        ],
    )
    def test_are_named(self, given, error, message):
        with pytest.raises(error, match=message):
            make("NiM-SGD", [helpers.point(helpers.starts(4))], population=True, **given)

    def test_one_model_has_one_value(self):
        with pytest.raises(TypeError, match="rho must be a number"):
            make("SAM", [helpers.point([0.0, 0.0])], rho=torch.ones(2))

    def test_groups_agree_on_what_belongs_to_a_member(self):
        groups = [{"params": [helpers.point(helpers.starts(4))], "rho": torch.full((4,), rho)} for rho in (0.1, 0.2)]
        with pytest.raises(ValueError, match="rho belongs to the whole model"):
            make("SAM", groups, population=True)
        groups[1]["rho"] = groups[0]["rho"].clone()
        assert len(make("SAM", groups, population=True).param_groups) == 2

    def test_a_state_of_other_runs_is_refused(self):
        saved = make("NiG-SGD", [helpers.point(helpers.starts(4))], population=True, seed=(1, 2)).state_dict()
        other = make("NiG-SGD", [helpers.point(helpers.starts(4))], population=True)
        with pytest.raises(UsageError, match="holds 2 noise streams, and this optimizer has 1: give it as many seeds"):
            other.load_state_dict(saved)
