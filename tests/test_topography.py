"""Paths against known passes, matching against brute force, kernels against NumPy, intervals against simulation."""

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.spatial.distance
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from popview import topography
from popview.common.errors import UsageError
from popview.landscapes import LANDSCAPES, get
from popview.topography import (
    FourierPath,
    FourierPathFinder,
    PerceptronLoss,
    lowest_passes,
    match,
    network_loss,
    permute,
    profile,
    settle,
)


def minima(name: str, *indices: int) -> Tensor:
    return torch.tensor([get(name).minima[i].location for i in indices], dtype=torch.float64)


def bowl(w: Tensor) -> Tensor:
    return (w * w).sum(-1)


class Test_Passes:
    @pytest.mark.parametrize("name", LANDSCAPES)
    def test_the_lowest_out_of_each_basin_is_its_barrier(self, name):
        """`Landscape.minima` has barriers, computed elsewhere."""
        landscape, passes = get(name), lowest_passes(get(name))
        assert torch.equal(passes, passes.T)
        for i, minimum in enumerate(landscape.minima):
            others = torch.cat([passes[i, :i], passes[i, i + 1 :]])
            assert float(others.min()) - minimum.value == pytest.approx(minimum.barrier)
            assert float(passes[i, i]) == minimum.value

    def test_the_way_around(self):
        """From Himmelblau's fourth minimum to its second the pass between the two, 178.34, is not the lowest."""
        assert float(lowest_passes(get("himmelblau"))[3, 1]) == pytest.approx(104.0152, abs=1e-3)


#: Minima of Himmelblau's function (numbered as in `Landscape.minima`) and the true pass, the saddle between them; for
#: the last pair the way around.
HIMMELBLAU = ((0, 2, 67.72), (2, 3, 104.02), (1, 0, 13.31), (3, 1, 104.02))


@pytest.fixture(scope="module")
def path() -> FourierPath:
    start, end = (minima("himmelblau", *(pair[side] for pair in HIMMELBLAU)) for side in (0, 1))
    return FourierPathFinder(get("himmelblau")).fit(start, end)


class Test_Himmelblau:
    @pytest.mark.slow
    def test_rises_are_those_of_the_passes(self, path):
        for rise, straight, (_, _, true) in zip(path.rise[:3], path.straight_rise, HIMMELBLAU, strict=False):
            assert float(rise) == pytest.approx(true, rel=0.01)
            assert float(rise) < float(straight)
        assert path.converged.all()
        assert torch.equal(path.height, path.losses.amax(1))

    def test_the_soft_maximum_finds_the_lowest_way_around(self, path):
        """Begun with the sum's path, which leads around; from the straight line it stays at the pass between."""
        assert 113 < float(path.height[3]) < 114
        begin = torch.stack([path.coefficients[3], torch.zeros_like(path.coefficients[3])])
        finder = FourierPathFinder(get("himmelblau"), points=200, objective="maximum")
        around, between = finder.fit(path.start[[3, 3]], path.end[[3, 3]], begin).height.tolist()
        assert around == pytest.approx(float(lowest_passes(get("himmelblau"))[3, 1]), rel=1e-3)
        assert between == pytest.approx(178.34, rel=1e-3)

    def test_swapping_the_ends_turns_the_path_round(self):
        start, end = minima("himmelblau", 0, 3, 1), minima("himmelblau", 2, 1, 0)
        for objective, tolerance in (
            ("sum", 1e-7),
            ("maximum", 1e-3),
        ):  # Adam makes much of rounding at low temperature
            finder = FourierPathFinder(get("himmelblau"), objective=objective, steps=200)
            there, back = finder.fit(start, end), finder.fit(end, start)
            torch.testing.assert_close(there.height, back.height, rtol=tolerance, atol=0)
            torch.testing.assert_close(there.losses, back.losses.flip(1), rtol=0, atol=100 * tolerance)
            torch.testing.assert_close(there.at(there.points), back.at(back.points).flip(1), rtol=0, atol=tolerance)

    def test_a_large_penalty_gives_the_straight_line(self):
        start, end = minima("himmelblau", 0, 3), minima("himmelblau", 2, 1)
        path = FourierPathFinder(get("himmelblau"), penalty=1e6).fit(start, end)
        torch.testing.assert_close(path.height, path.straight_height, rtol=1e-3, atol=0)
        assert path.coefficients.abs().max() < 0.01
        bent = FourierPathFinder(get("himmelblau"), steps=100).fit(start, end)
        assert (bent.coefficients.abs().amax((1, 2)) > 0.1).all()


class Test_SixHump:
    """Controls: where the straight line is close to right, and all routes lead over known saddles."""

    @pytest.mark.slow
    def test_heights(self):
        pairs = list(itertools.combinations(range(6), 2))
        start, end = (minima("six-hump-camel", *side) for side in zip(*pairs, strict=True))
        path = FourierPathFinder(get("six-hump-camel")).fit(start, end)
        true = torch.stack([lowest_passes(get("six-hump-camel"))[pair] for pair in pairs])
        rise = true - torch.maximum(get("six-hump-camel")(start), get("six-hump-camel")(end))
        assert ((path.rise - rise).abs() <= 0.035 * rise).all()  # the deep ones to 1 %, the shallow pair's to 3.5
        assert ((path.rise - rise).abs() <= 0.01 * rise)[rise > 0.2].all()
        straight = path.straight_rise <= 1.01 * rise
        assert straight.sum() >= 6
        torch.testing.assert_close(path.rise[straight], path.straight_rise[straight], rtol=0.01, atol=0)


class Test_SeedsToy:
    """Two wells and two bumps (paper-facts 2.1). The seed's figures come from minimising the sum of f², as its notebook
    does, not of f; heights are f's."""

    ENDS = torch.tensor([[-0.62, -0.54], [0.49, -0.02]], dtype=torch.float64)

    @staticmethod
    def toy(w: Tensor) -> Tensor:
        def bump(x: float, y: float, sharpness: float) -> Tensor:
            return torch.exp(-sharpness * ((w[..., 0] - x) ** 2 + (w[..., 1] - y) ** 2))

        return bump(-0.2, -0.4, 15) + bump(0, 0.3, 15) - bump(0.5, 0, 3) - bump(-0.5, -0.5, 3) + 1.019

    @pytest.mark.slow
    @pytest.mark.parametrize(("penalty", "printed"), [(10, 0.646), (100, 0.640), (1000, 0.652)])
    def test_heights(self, penalty, printed):
        squares = FourierPathFinder(lambda w: self.toy(w) ** 2, points=100, penalty=penalty).fit(*self.ENDS)
        assert float(squares.height.sqrt()) == pytest.approx(printed, rel=0.02)
        assert float(squares.straight_height.sqrt()) == pytest.approx(1.102, abs=1e-3)

    def test_the_formula_as_printed_does_not_give_them(self):
        plain = FourierPathFinder(self.toy, points=100, penalty=1000).fit(*self.ENDS)
        assert float(plain.height) > 1.05 * 0.652


class Test_Finder:
    def test_objectives_are_those_of_the_definition(self):
        """After one step `objective` is what the given path costs, written out point by point."""
        generator = torch.Generator().manual_seed(1)
        start, end = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
        coefficients = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64)
        t = torch.linspace(0, 1, 21, dtype=torch.float64)
        vectors = (1 - t)[:, None] * start[:, None] + t[:, None] * end[:, None]
        for n in range(1, 5):
            vectors = vectors + torch.sin(n * torch.pi * t)[:, None] * coefficients[:, n - 1 : n]
        length = (vectors[:, 1:] - vectors[:, :-1]).square().sum((1, 2))
        losses = bowl(vectors)
        path = FourierPathFinder(bowl, 4, 20, penalty=0.3, steps=1).fit(start, end, coefficients)
        torch.testing.assert_close(path.objective, losses.sum(1) + 0.3 * length)
        temperature = 0.2 * (losses.amax(1) - losses.amin(1))
        path = FourierPathFinder(bowl, 4, 20, penalty=0.3, steps=1, objective="maximum", temperature=(0.7, 0.2)).fit(
            start, end, coefficients
        )
        soft = temperature * torch.exp(losses / temperature[:, None]).sum(1).log()
        torch.testing.assert_close(path.objective, soft + 0.3 * length)

    def test_pairs_do_not_influence_each_other(self):
        start, end = minima("himmelblau", 0, 2, 1, 3), minima("himmelblau", 2, 3, 0, 1)
        finder = FourierPathFinder(get("himmelblau"), steps=300, tolerance=0.002)
        together = finder.fit(start, end)
        assert len(set(together.steps.tolist())) > 1, "pairs are to converge at different times"
        finder.batch = 110  # two pairs at a time
        chunked = finder.fit(start, end)
        torch.testing.assert_close(chunked.losses, together.losses, rtol=1e-9, atol=1e-9)
        for i in (0, 3):
            alone = finder.fit(start[i], end[i])
            assert alone.height.shape == ()
            assert alone.losses.shape == (2001,)
            assert alone.coefficients.shape == (10, 2)
            assert int(alone.steps) == int(together.steps[i])
            torch.testing.assert_close(alone.coefficients, together.coefficients[i], rtol=1e-9, atol=1e-9)

    def test_the_unit_of_the_parameters_does_not_matter(self):
        start, end = minima("himmelblau", 0, 2)
        path = FourierPathFinder(get("himmelblau"), penalty=2.0, steps=150).fit(start, end)
        small = FourierPathFinder(lambda w: get("himmelblau")(w * 1000), penalty=2e6, steps=150)
        small = small.fit(start / 1000, end / 1000)
        torch.testing.assert_close(small.coefficients * 1000, path.coefficients, rtol=1e-6, atol=1e-9)

    def test_heights_see_what_the_fitted_points_step_over(self):
        """A spike of width 0.002 at t = 0.5075, between the fitted points 0.50 and 0.52."""

        def spike(w: Tensor) -> Tensor:
            return w[:, 1] ** 2 + torch.exp(-(((w[:, 0] - 0.5075) / 0.001) ** 2))

        ends = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
        path = FourierPathFinder(spike, steps=2).fit(*ends)
        assert spike(path.at(torch.linspace(0, 1, 51))).max() < 1e-9
        assert float(path.height) > 0.9
        assert path.points.shape == (2001,)
        torch.testing.assert_close(path.losses, spike(path.at(path.points)))

    def test_rise_is_above_the_higher_end(self):
        path = FourierPathFinder(lambda w: w[:, 0] + 0 * w[:, 1], steps=5).fit(torch.zeros(2), torch.tensor([3.0, 1]))
        assert float(path.height) == pytest.approx(3)
        assert float(path.rise) == pytest.approx(0, abs=1e-5)
        assert float(path.straight_rise) == 0

    def test_ends_stay_where_they_are(self):
        start, end = minima("himmelblau", 0, 2)
        path = FourierPathFinder(get("himmelblau"), steps=50).fit(start, end)
        torch.testing.assert_close(path.at(torch.tensor([0.0, 1.0])), torch.stack([start, end]), rtol=0, atol=1e-12)

    def test_convergence(self):
        start, end = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
        long = FourierPathFinder(bowl, penalty=1.0).fit(start, end)
        assert bool(long.converged)
        assert 50 <= int(long.steps) < 1000
        short = FourierPathFinder(bowl, penalty=1.0, steps=20).fit(start, end)
        assert not bool(short.converged)
        assert int(short.steps) == 20
        assert float(short.objective) > float(long.objective)

    def test_the_same_point_twice(self):
        for objective in ("sum", "maximum"):
            path = FourierPathFinder(bowl, objective=objective, steps=60).fit(torch.ones(3), torch.ones(3))
            assert float(path.rise) == pytest.approx(0, abs=1e-5)

    def test_a_path_that_is_lost_leaves_the_others_alone(self):
        def walled(w: Tensor) -> Tensor:
            return torch.where(w[:, 0] > 5, torch.nan, 1.0) * get("himmelblau")(w)

        start, end = minima("himmelblau", 0, 0), minima("himmelblau", 2, 2)
        end[1] = torch.tensor([6.0, 0.0])
        path = FourierPathFinder(walled, steps=200).fit(start, end)
        alone = FourierPathFinder(get("himmelblau"), steps=200).fit(start[0], end[0])
        assert torch.isnan(path.height).tolist() == [False, True]
        assert path.converged.tolist()[1] is False
        torch.testing.assert_close(path.height[0], alone.height)

    def test_without_gradients_around_it(self):
        with torch.no_grad():
            path = FourierPathFinder(get("himmelblau"), steps=100).fit(*minima("himmelblau", 0, 2))
        assert float(path.rise) < float(path.straight_rise) - 1
        assert not path.losses.requires_grad

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"objective": "max"}, "unknown objective 'max': did you mean 'maximum'"),
            ({"terms": 0}, "terms must be a whole number, 1 or above, got 0"),
            ({"terms": 50}, "points must be a whole number above the number of terms, 50, got 50"),
            ({"fine": 500}, "fine must be a whole number, 2000 or above, got 500"),
            ({"steps": 1.5}, "steps must be a whole number"),
            ({"batch": 0}, "batch must be a whole number, 1 or above"),
            ({"penalty": -1.0}, "penalty must be 0 or above"),
            ({"penalty": float("nan")}, "penalty must be 0 or above"),
            ({"tolerance": -1e-9}, "tolerance must be 0 or above"),
            ({"lr": 0.0}, "lr must be above 0"),
            ({"temperature": (0.001, 0.1)}, "temperature must be"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(UsageError, match=message):
            FourierPathFinder(bowl, **options)

    @pytest.mark.parametrize(
        ("loss", "ends", "message"),
        [
            (bowl, (torch.zeros(2), torch.zeros(3)), r"one shape and type, got \(2,\) torch.float32 and \(3,\)"),
            (bowl, (torch.zeros(2), torch.zeros(2).double()), "one shape and type"),
            (bowl, (torch.zeros(2, dtype=torch.int64), torch.zeros(2)), "start must be a floating-point tensor"),
            (bowl, (torch.zeros(1, 2, 3), torch.zeros(1, 2, 3)), r"shape \(d,\) or \(pairs, d\)"),
            (bowl, (torch.zeros(2), torch.tensor([torch.inf, 0])), "end must not be empty and must be finite"),
            (bowl, (torch.zeros(2), torch.ones(2), torch.zeros(3, 2)), r"coefficients must have shape \(10, 2\)"),
            (lambda w: bowl(w).sum(), (torch.zeros(2), torch.ones(2)), r"to losses \(51,\), got \(\)"),
            (lambda w: 1.0, (torch.zeros(2), torch.ones(2)), "got float"),
            (lambda w: bowl(w).detach(), (torch.zeros(2), torch.ones(2)), "loss must be differentiable"),
        ],
    )
    def test_bad_input(self, loss, ends, message):
        with pytest.raises(UsageError, match=message):
            FourierPathFinder(loss).fit(*ends)


def ravine(w: Tensor) -> Tensor:
    """Return Rosenbrock's function: its valley is easily found, and followed slowly."""
    return (1 - w[..., 0]) ** 2 + 100 * (w[..., 1] - w[..., 0] ** 2) ** 2


class Test_Settled:
    ENDS = torch.tensor([[[-1.5, 2.5]], [[1.5, 2.0]]], dtype=torch.float64)

    @staticmethod
    def cost(flat: np.ndarray, ends: np.ndarray, points: int, penalty: float) -> float:
        """Write the objective of a path over Himmelblau's function out, point by point."""
        b, total, before = flat.reshape(-1, 2), 0.0, None
        for t in np.linspace(0, 1, points + 1):
            sines = np.sin(np.pi * t * np.arange(1, len(b) + 1))
            x, y = here = (1 - t) * ends[0] + t * ends[1] + sines @ b
            total += (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2
            total += 0 if before is None else penalty * ((here - before) ** 2).sum()
            before = here
        return total

    def test_the_objective_is_at_its_least(self):
        """Against SciPy's BFGS on the objective as it is defined."""
        landscape, (start, end) = get("himmelblau"), minima("himmelblau", 0, 2)
        finder = FourierPathFinder(landscape, 3, 20, penalty=0.5)
        path = settle(finder, start[None], end[None], partial(profile, landscape), first=50, within=0, share=1e-9)
        assert path.converged.all()
        given = (torch.stack([start, end]).numpy(), 20, 0.5)
        ours = self.cost(path.coefficients[0].numpy().ravel(), *given)
        theirs = scipy.optimize.minimize(self.cost, np.zeros(6), given, method="BFGS", options={"gtol": 1e-4})
        assert ours == pytest.approx(theirs.fun, rel=1e-6)

    def test_it_is_told_where_a_path_has_not_settled(self):
        """Few steps do not do; with as many as it takes, five times as many change the height by little."""
        finder, measure = FourierPathFinder(ravine, 6, 30), partial(profile, ravine)
        short = settle(finder, *self.ENDS, measure, first=4, most=8, within=0.0)
        assert short.converged.tolist() == [False]
        assert 8 <= int(short.steps) < 40
        assert abs(float(short.height - short.earlier_height)) > 0.02 * float(short.height)
        long = settle(finder, *self.ENDS, measure, first=8, most=4000, within=0.0)
        assert long.converged.tolist() == [True]
        assert float(long.height) < float(short.height) / 2
        longer = settle(finder, *self.ENDS, measure, first=5 * int(long.steps), most=5 * int(long.steps))
        assert longer.converged.tolist() == [False], "there is no earlier height to compare with"
        assert float(longer.height) == pytest.approx(float(long.height), rel=0.05)

    def test_pairs_are_fitted_one_by_one(self):
        landscape, start, end = get("himmelblau"), minima("himmelblau", 0, 2), minima("himmelblau", 2, 3)
        finder, measure = FourierPathFinder(landscape, 3, 20), partial(profile, landscape)
        both, second = settle(finder, start, end, measure), settle(finder, start[1:], end[1:], measure)
        assert both.coefficients.shape == (2, 3, 2)
        torch.testing.assert_close(both.coefficients[1:], second.coefficients)
        assert both.steps[1] == second.steps[0]
        assert (both.height < profile(landscape, start, end, both.coefficients[:, :0]).height).all()

    def test_the_soft_maximum_ends_lower_than_the_sum_that_it_begins_with(self):
        landscape, (start, end) = get("himmelblau"), minima("himmelblau", 2, 3).split(1)
        measure = partial(profile, landscape)
        by_sum = settle(FourierPathFinder(landscape, 6), start, end, measure)
        finder = FourierPathFinder(landscape, 6, objective="maximum", temperature=(0.1, 0.01))
        by_maximum = settle(finder, start, end, measure, by_sum.coefficients)
        true = float(lowest_passes(landscape)[2, 3])
        assert true - 1e-3 <= float(by_maximum.height) < float(by_sum.height)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"first": 0}, "first must be a whole number, 1 or above, got 0"),
            ({"most": 2.5}, "most must be a whole number, 1 or above, got 2.5"),
            ({"share": 1.0}, "share must be 0 or above, and below 1, got 1.0"),
            ({"within": -1e-4}, "within must be 0 or above, and below 1, got -0.0001"),
        ],
    )
    def test_mistakes(self, options, message):
        with pytest.raises(UsageError, match=message):
            settle(FourierPathFinder(ravine), *self.ENDS, partial(profile, ravine), **options)


# ---------------------------------------------------------------- networks


def perceptron(bias: bool, activation: type[nn.Module] = nn.ReLU, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise((64, 12, 8, 10)):
            layers += [nn.Linear(inputs, outputs, bias=bias), activation()]
        return nn.Sequential(*layers[:-1])


def lenet(seed: int) -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 2), nn.ReLU(), nn.Flatten(),
            nn.Linear(24, 9), nn.ReLU(), nn.Linear(9, 10),
        )  # fmt: skip


def digits(count: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    data = load_digits()
    return torch.tensor(data.data[:count] / 16, dtype=dtype), torch.tensor(data.target[:count])


def vectors_of(model: nn.Module, count: int) -> Tensor:
    vector = parameters_to_vector(model.parameters()).detach().double()
    noise = torch.randn(count, len(vector), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return vector + 0.1 * noise


def one_by_one(model: nn.Module, images: Tensor, labels: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and gradients, the plain way."""
    losses, gradients = [], []
    for vector in vectors:
        vector_to_parameters(vector, model.parameters())
        model.zero_grad()
        loss = cross_entropy(model(images), labels)
        loss.backward()
        losses.append(loss.detach())
        gradients.append(parameters_to_vector([p.grad for p in model.parameters() if p.grad is not None]).clone())
    return torch.stack(losses), torch.stack(gradients)


class Test_Networks:
    @pytest.mark.parametrize(
        "kind", ["perceptron", "with biases", "softplus", "LeNet", "vmap", "vmap in chunks", "one by one"]
    )
    def test_losses_and_gradients_are_the_networks(self, kind):
        images, labels = digits(40)
        if kind == "LeNet":
            model, images = lenet(0).double(), images.view(-1, 1, 8, 8)
        else:
            model = perceptron(kind != "perceptron", nn.Softplus if kind == "softplus" else nn.ReLU).double()
        chunks = {"LeNet": None, "vmap": None, "vmap in chunks": 3, "one by one": 1}
        if kind in chunks:
            loss: Any = network_loss(model, images, labels, chunk=chunks[kind])
        else:
            activation = softplus if kind == "softplus" else torch.relu
            loss = PerceptronLoss(images, labels, (12, 8, 10), activation=activation, bias=kind != "perceptron")
        vectors = vectors_of(model, 7).requires_grad_()
        losses = loss(vectors)
        (gradients,) = torch.autograd.grad(losses.sum(), vectors)
        expected = one_by_one(model, images, labels, vectors.detach())
        torch.testing.assert_close(losses.detach(), expected[0])
        torch.testing.assert_close(gradients, expected[1])

    @pytest.mark.parametrize("bias", [False, True])
    def test_along_is_the_loss_of_the_mixtures(self, bias):
        images, labels = digits(30)
        loss = PerceptronLoss(images, labels, (12, 8, 10), bias=bias)
        basis = vectors_of(perceptron(bias), 8).view(2, 4, -1).requires_grad_()
        weights = torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        mixed, plain = loss.along(weights, basis), loss((weights @ basis).flatten(0, 1)).view(2, 30)
        torch.testing.assert_close(mixed, plain)
        gradients = [torch.autograd.grad((losses**2).sum(), basis)[0] for losses in (mixed, plain)]
        torch.testing.assert_close(*gradients)

    def test_paths_are_the_same_whichever_way_the_loss_is_computed(self):
        images, labels = digits(50, torch.float32)
        start, end = (parameters_to_vector(perceptron(True, seed=s).parameters()).detach() for s in (1, 2))
        losses = PerceptronLoss(images, labels, (12, 8, 10), bias=True), network_loss(perceptron(True), images, labels)
        fast, slow = (FourierPathFinder(loss, points=20, steps=30).fit(start, end) for loss in losses)
        torch.testing.assert_close(fast.height, slow.height, rtol=1e-4, atol=0)
        torch.testing.assert_close(fast.straight_losses, slow.straight_losses, rtol=1e-4, atol=1e-5)
        assert float(fast.losses.mean()) < float(fast.straight_losses.mean())

    def test_buffers_are_used_as_they_are(self):
        model = nn.Sequential(nn.Linear(64, 5), nn.BatchNorm1d(5), nn.Linear(5, 10)).eval()
        model[1].running_mean.fill_(0.3)
        images, labels = digits(20, torch.float32)
        vector = parameters_to_vector(model.parameters()).detach()
        expected = cross_entropy(model(images), labels).detach()
        torch.testing.assert_close(network_loss(model, images, labels)(vector[None])[0], expected)

    def test_mistakes(self):
        images, labels = digits(5)
        with pytest.raises(UsageError, match="have 974 entries"):
            network_loss(perceptron(True), images, labels)(torch.zeros(2, 9))
        with pytest.raises(UsageError, match="have 944 entries"):
            PerceptronLoss(images, labels, (12, 8, 10))(torch.zeros(2, 9))
        with pytest.raises(UsageError, match=r"images and labels must have shapes \(n, inputs\) and \(n,\)"):
            PerceptronLoss(images, labels[:4], (12, 10))
        with pytest.raises(UsageError, match="widths"):
            PerceptronLoss(images, labels, ())


# ---------------------------------------------------------------- matching


NETS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "perceptron": (lambda seed: perceptron(False, seed=seed), ("0", "2", "4")),
    "with biases": (lambda seed: perceptron(True, seed=seed), ("0", "2", "4")),
    "LeNet": (lenet, ("0", "3", "6", "8")),
}


def images_for(net: str) -> Tensor:
    images = digits(20, torch.float32)[0]
    return images.view(-1, 1, 8, 8) if net == "LeNet" else images


def shuffles(net: str, seed: int) -> list[Tensor]:
    build, layers = NETS[net]
    generator = torch.Generator().manual_seed(seed)
    units = [len(build(0).state_dict()[f"{layer}.weight"]) for layer in layers[:-1]]
    return [torch.randperm(count, generator=generator) for count in units]


class Test_Matching:
    @pytest.mark.parametrize("net", NETS)
    def test_the_function_stays_and_the_distance_does_not_grow(self, net):
        build, layers = NETS[net]
        for seed in range(5):
            start, end = build(seed), build(seed + 50)
            found = match(start.state_dict(), end.state_dict(), layers)
            assert found.distance < found.distance_before
            between = parameters_to_vector(start.parameters()) - parameters_to_vector(end.parameters())
            assert found.distance_before == pytest.approx(float(between.detach().norm()), rel=1e-5)
            outputs = end(images_for(net)).detach()
            end.load_state_dict(found.parameters)
            torch.testing.assert_close(end(images_for(net)).detach(), outputs, rtol=1e-4, atol=1e-5)
            again = parameters_to_vector(start.parameters()) - parameters_to_vector(end.parameters())
            assert found.distance == pytest.approx(float(again.detach().norm()), rel=1e-5)

    @pytest.mark.parametrize("net", NETS)
    @pytest.mark.parametrize("noise", [0.0, 0.1])
    def test_a_shuffled_copy_is_put_back(self, net, noise):
        build, layers = NETS[net]
        for seed in range(10):
            start, permutations = build(seed).state_dict(), shuffles(net, seed)
            generator = torch.Generator().manual_seed(seed)
            shuffled = permute(start, layers, permutations)
            for t in shuffled.values():
                t.add_(noise * t.std() * torch.randn(t.shape, generator=generator))
            found = match(start, shuffled, layers)
            for permutation, back in zip(permutations, found.permutations, strict=True):
                assert torch.equal(permutation[back], torch.arange(len(back)))
            assert noise or found.distance == 0

    def test_one_layer_is_solved_exactly(self):
        """Against all 120 orders of five hidden units."""
        layers = ("0", "1")
        for seed in range(5):
            torch.manual_seed(seed)
            nets = [nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)).state_dict() for _ in range(2)]
            orders = itertools.permutations(range(5))
            permuted = [permute(nets[1], layers, [torch.tensor(order)]) for order in orders]
            distances = [sum(float((nets[0][n] - p[n]).square().sum()) for n in p) ** 0.5 for p in permuted]
            assert match(*nets, layers).distance == pytest.approx(min(distances), rel=1e-6)

    @pytest.mark.parametrize("net", NETS)
    def test_what_is_aligned_already_is_left(self, net):
        build, layers = NETS[net]
        state = build(3).state_dict()
        found = match(state, state, layers)
        assert found.distance == found.distance_before == 0
        assert all(torch.equal(p, torch.arange(len(p))) for p in found.permutations)
        assert list(found.parameters) == list(state)

    @pytest.mark.parametrize(
        ("change", "layers", "message"),
        [
            ({}, ("0",), "layers must name two or more"),
            ({}, ("0", "1", "4"), "layer '1' has no parameter '1.weight'"),
            ({}, ("0", "4"), r"parameters of no layer in layers would not be permuted: 2.bias, 2.weight"),
            ({}, ("0", "4", "2"), r"'4.weight' of shape \(10, 8\) does not follow a layer of 12 units"),
            ({"0.weight": torch.zeros(12, 3)}, ("0", "2", "4"), "same names with the same shapes"),
        ],
    )
    def test_mistakes(self, change, layers, message):
        state = perceptron(True).state_dict()
        with pytest.raises(UsageError, match=message):
            match(state | change, state, layers)

    def test_no_permutation(self):
        state, layers = perceptron(True).state_dict(), ("0", "2", "4")
        with pytest.raises(UsageError, match="layer '2' must hold each of 0 … 7 once"):
            permute(state, layers, [torch.arange(12), torch.zeros(8, dtype=torch.int64)])
        with pytest.raises(UsageError, match="permutations must be 2"):
            permute(state, layers, [torch.arange(12)])


# ---------------------------------------------------------------- kernels


def solutions(count: int = 12, size: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, size))


class Test_Kernels:
    def test_distances_and_norms(self):
        x = solutions()
        products = topography.gram(x)
        expected = scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(x))
        np.testing.assert_allclose(topography.distances(products), expected, atol=1e-6)
        np.testing.assert_allclose(topography.norms(products), np.linalg.norm(x, axis=1))
        directions = x / np.linalg.norm(x, axis=1, keepdims=True)
        expected = scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(directions))
        np.testing.assert_allclose(topography.distances(products, unit_norm=True), expected, atol=1e-6)
        np.testing.assert_allclose(topography.gram(topography.coordinates(products)), products, atol=1e-9)

    @pytest.mark.parametrize("kernel", topography.KERNELS)
    def test_components_are_those_of_the_centred_kernel(self, kernel):
        """Against NumPy: eigenvectors of K with rows and columns centred, times the roots of their eigenvalues."""
        x = solutions()
        products, squares = x @ x.T, (x * x).sum(1)
        matrix = {
            "rbf": np.exp(-(squares[:, None] + squares - 2 * products) / 30),
            "linear": products,
            "polynomial": (products / 30 + 1) ** 3,
            "sigmoid": np.tanh(products / 30 + 1),
            "cosine": products / np.sqrt(np.outer(squares, squares)),
        }[kernel]
        centre = np.eye(12) - 1 / 12
        values, vectors = np.linalg.eigh(centre @ matrix @ centre)
        if values.min() < -1e-6 * values.max():
            with pytest.raises(UsageError, match="kernel 'sigmoid' has no principal components"):
                topography.kernel_pca(x, kernel)
            return
        found = topography.kernel_pca(x, kernel)
        expected = (vectors * np.sqrt(values.clip(0)))[:, ::-1][:, :2]
        np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-6)
        shipped = topography.coordinates(topography.gram(x))  # what is left when only inner products are kept
        again = topography.kernel_pca(shipped, kernel, parameters=30)
        np.testing.assert_allclose(np.abs(again), np.abs(found), atol=1e-6)

    def test_norm_or_direction(self):
        """Two sets that differ in norm only are split by the first RBF component, and no longer at unit norm."""
        x = solutions(40, 200)
        x[20:] *= 2
        first = topography.kernel_pca(x)[:, 0]
        assert (np.sign(first[:20]) == np.sign(first[0])).all()
        assert (np.sign(first[20:]) == -np.sign(first[0])).all()
        first = topography.kernel_pca(x / np.linalg.norm(x, axis=1, keepdims=True))[:, 0]
        assert 4 <= (first[:20] > 0).sum() <= 16

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: topography.kernel_pca(solutions(), "rbv"), "unknown kernel 'rbv': did you mean 'rbf'"),
            (lambda: topography.kernel_pca(solutions(), parameters=0), "parameters must be 1 or above"),
            (lambda: topography.kernel_pca(np.eye(2)), "two components need three solutions or more, got 2"),
            (lambda: topography.distances(np.zeros((3, 3)), unit_norm=True), "a solution of norm 0"),
            (lambda: topography.gram(np.zeros(3)), r"shape \(n, d\)"),
            (lambda: topography.gram([[np.nan, 1], [0, 0]]), "must be finite"),
            (lambda: topography.distances(solutions()), "symmetric square matrix"),
        ],
    )
    def test_mistakes(self, call, message):
        with pytest.raises(UsageError, match=message):
            call()


# ---------------------------------------------------------------- intervals


def draw(generator: np.random.Generator, solutions: int, pairs: int, shared: float, own: float) -> Any:
    """Heights as sums of what each solution brings, and of what is the pair's own, with the pairs."""
    ends = topography.random_pairs(solutions, pairs, int(generator.integers(2**31)))
    brought = shared * generator.standard_normal(solutions)
    return brought[ends].sum(1) + own * generator.standard_normal(pairs), ends


class Test_Intervals:
    REPEATS = 300

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("solutions", "pairs", "shared", "own"), [(24, 50, 1, 0), (24, 50, 1, 1), (24, 50, 0, 1), (10, 45, 1, 0.3)]
    )
    def test_coverage(self, solutions, pairs, shared, own):
        """At a nominal 95 %, 300 repeats: 91.2 % is three standard errors below."""
        held, _ = self.repeated(solutions, pairs, shared, own)
        assert held >= 0.912

    def repeated(self, solutions: int, pairs: int, shared: float, own: float) -> tuple[float, float]:
        """Return how often the interval held 0, and its mean width over that of a normal interval of known spread."""
        generator, held, widths, estimates = np.random.default_rng(0), 0, [], []
        for repeat in range(self.REPEATS):
            result = topography.mean(*draw(generator, solutions, pairs, shared, own), resamples=400, seed=repeat)
            assert result.interval is not None
            held += result.interval[0] <= 0 <= result.interval[1]
            widths.append(result.interval[1] - result.interval[0])
            estimates.append(result.estimate)
        return held / self.REPEATS, float(np.mean(widths) / (2 * 1.96 * np.std(estimates)))

    @pytest.mark.slow
    def test_width(self):
        """Where solutions alone matter, a third too wide at most; where pairs alone do, twice: as chapter 11 says."""
        assert self.repeated(24, 50, 1, 0)[1] <= 1.33
        assert 1.5 <= self.repeated(24, 50, 0, 1)[1] <= 2.2

    def test_resampling_pairs_would_not_do(self):
        generator, held = np.random.default_rng(0), 0
        for _ in range(self.REPEATS):
            heights = draw(generator, 24, 50, 1, 0)[0]
            low, high = np.quantile(heights[generator.integers(50, size=(400, 50))].mean(1), [0.025, 0.975])
            held += low <= 0 <= high
        assert 0.5 < held / self.REPEATS < 0.7

    def test_estimates(self):
        pairs = [(0, 1), (1, 2), (7, 0)]
        result = topography.mean([1.0, 2.0, 6.0], pairs)
        assert result.estimate == pytest.approx(3)
        assert (result.n, result.unit, result.p_value) == ((4,), "solution", None)

    def test_a_constant_has_no_width(self):
        pairs = topography.random_pairs(6, 10, 0)
        assert topography.mean(np.full(10, 2.5), pairs).interval == pytest.approx((2.5, 2.5))

    def test_is_the_seeds(self):
        drawn = draw(np.random.default_rng(0), 10, 20, 1, 1)
        assert topography.mean(*drawn, seed=3) == topography.mean(*drawn, seed=3)
        assert topography.mean(*drawn, seed=3) != topography.mean(*drawn, seed=4)

    def test_wider_at_a_higher_level(self):
        drawn = draw(np.random.default_rng(0), 10, 20, 1, 1)
        narrow, wide = (topography.mean(*drawn, level=level).interval for level in (0.8, 0.99))
        assert wide is not None
        assert narrow is not None
        assert wide[0] < narrow[0] < narrow[1] < wide[1]

    def test_random_pairs_are_different_pairs_of_different_solutions(self):
        pairs = topography.random_pairs(8, 28, 1)
        assert {frozenset(pair) for pair in pairs.tolist()} == {
            frozenset(p) for p in itertools.combinations(range(8), 2)
        }
        assert not np.array_equal(topography.random_pairs(24, 50, 0), topography.random_pairs(24, 50, 1))

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: topography.random_pairs(5, 11, 0), "pairs must lie between 1 and 10 for 5 solutions, got 11"),
            (lambda: topography.mean([1.0], [(0, 1)]), "3 or more solutions"),
            (lambda: topography.mean([1.0, 2.0], [(0, 1)]), r"shapes \(n,\) and \(n, 2\), got \(2,\) and \(1, 2\)"),
            (lambda: topography.mean([1.0, 2.0], [(0, 1), (2, 2)]), "joins a solution with itself"),
            (lambda: topography.mean([1.0, np.nan], [(0, 1), (1, 2)]), "1 values that are NaN or infinite"),
            (lambda: topography.mean([1.0, 2.0], [(0.0, 1.0), (1.0, 2.0)]), "shapes"),
            (lambda: topography.mean([1.0, 2.0], [(0, 1), (1, 2)], level=1.0), "level must lie between 0 and 1"),
        ],
    )
    def test_mistakes(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()
