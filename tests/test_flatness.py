"""Flatness against closed forms, full Hessian matrices, brute force, and curvlinops."""

import math
from collections.abc import Callable
from copy import deepcopy
from functools import cache

import curvlinops
import pytest
import torch
from helpers import same
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from popview.common.seeds import generator
from popview.landscapes import LANDSCAPES, two_well
from popview.topography import flatness


def draws(seed: int = 0) -> torch.Generator:
    return generator(seed, "flatness")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed, "test"))


# ---------------------------------------------------------------- losses with known answers


def symmetric(eigenvalues: list[float], seed: int = 0) -> Tensor:
    """Return a matrix with these eigenvalues and random eigenvectors."""
    rotation = torch.linalg.qr(normal(len(eigenvalues), len(eigenvalues), seed=seed))[0]
    return rotation * torch.tensor(eigenvalues, dtype=torch.float64) @ rotation.T


def quadratic(matrix: Tensor, slope: Tensor, start: Tensor) -> tuple[Callable[[], Tensor], list[Tensor]]:
    """Return ½ wᵀ A w + bᵀ w as a loss of w, split into parameters of shapes (2, 2), () and the rest."""
    parameters = [p.clone().requires_grad_() for p in (start[:4].view(2, 2), start[4], start[5:])]

    def loss() -> Tensor:
        w = torch.cat([p.reshape(-1) for p in parameters])
        return w @ matrix @ w / 2 + slope @ w

    return loss, parameters


SPECTRA = {
    "bowl": [10.0, 9.0, 4.0, 2.0, 1.0, 0.5, 0.1, 0.01],
    "saddle, negative dominating": [3.0, 1.0, 0.5, 0.0, -1.0, -5.0, -50.0, -1000.0],
    "maximum": [-0.5, -1.0, -2.0, -3.0, -5.0, -8.0, -13.0, -2000.0],
    "repeated": [2.0, 2.0, 2.0, 2.0, 1.0, 1.0, -4.0, -4.0],
    "singular, nothing above 0": [0.0, 0.0, 0.0, -1.0, -1.0, -2.0, -3.0, -9.0],
    "identity": [1.0] * 8,
    "minus identity": [-1.0] * 8,
    "rank one": [5.0] + [0.0] * 7,
    "zero": [0.0] * 8,
}


class TestQuadratic:
    """A quadratic's expansion ends at second order: everything is exact."""

    matrix, slope, start = symmetric(SPECTRA["saddle, negative dominating"]), normal(8, seed=1), normal(8, seed=2)

    @pytest.mark.parametrize("spectrum", SPECTRA)
    def test_top_eigenvalue(self, spectrum):
        expected = max(SPECTRA[spectrum])
        loss, parameters = quadratic(symmetric(SPECTRA[spectrum]), self.slope, self.start)
        found = flatness.top_eigenvalue(loss, parameters, tolerance=0, generator=draws())
        assert found.shape == (1,)
        assert found.dtype == torch.float64
        assert abs(float(found) - expected) < 1e-12 * max(1, *map(abs, SPECTRA[spectrum]))

    @pytest.mark.slow
    @pytest.mark.parametrize("deflation", [0, 3, 7, 8, 20])
    @pytest.mark.parametrize("spectrum", SPECTRA)
    def test_trace(self, spectrum, deflation):
        expected, scale = sum(SPECTRA[spectrum]), max(1, *map(abs, SPECTRA[spectrum]))
        loss, parameters = quadratic(symmetric(SPECTRA[spectrum]), self.slope, self.start)
        found = flatness.trace(loss, parameters, 400, deflation, generator=draws())
        assert float(found.standard_error) <= 0.2 * scale
        if deflation >= len(set(SPECTRA[spectrum])) == 8:  # the Krylov space is the whole space
            assert float(found.standard_error) < 1e-12 * scale
        assert abs(float(found.value) - expected) < 4 * float(found.standard_error) + 1e-11 * scale

    def test_trace_has_hutchinsons_variance(self):
        loss, parameters = quadratic(self.matrix, self.slope, self.start)
        error = float(flatness.trace(loss, parameters, 1500, 0, generator=draws()).standard_error)
        off = self.matrix - self.matrix.diag().diag()
        assert error == pytest.approx(math.sqrt(2 * float(off.square().sum()) / 1500), rel=0.1)

    def test_deflation_leaves_the_variance_of_the_bulk(self):
        bulk = torch.linspace(-1, 1, 57, dtype=torch.float64).tolist()
        matrix = symmetric([1000.0, 500.0, 200.0, *bulk])
        loss, parameters = quadratic(matrix, normal(60), normal(60, seed=1))
        value, error = flatness.trace(loss, parameters, 200, 12, generator=draws())
        assert float(error) < math.sqrt(2 * sum(b * b for b in bulk) / 200)
        assert abs(float(value) - 1700) < 4 * float(error)
        assert float(flatness.trace(loss, parameters, 200, 0, generator=draws()).standard_error) > 50 * float(error)

    def test_trace_of_a_diagonal_needs_no_average(self):
        loss, parameters = quadratic(torch.diag(self.matrix.diag()), self.slope, self.start)
        found = flatness.trace(loss, parameters, 2, 0, generator=draws())
        torch.testing.assert_close(found.value, self.matrix.diag().sum().view(1))
        assert float(found.standard_error) < 1e-12

    def test_hessian_vector_product(self):
        loss, parameters = quadratic(self.matrix, self.slope, self.start)
        vector = normal(8, seed=3)
        product = flatness.hessian_vector_product(loss, parameters, [vector[:4].view(2, 2), vector[4], vector[5:]])
        assert [h.shape for h in product] == [p.shape for p in parameters]
        torch.testing.assert_close(torch.cat([h.reshape(-1) for h in product]), self.matrix @ vector)

    def test_ball_maximum(self):
        loss, parameters = quadratic(self.matrix, self.slope, self.start)
        gradient = self.matrix @ self.start + self.slope
        up = gradient / gradient.norm()
        for rho in (0.0, 0.05, 2.0):
            expected = rho * gradient.norm() + rho**2 / 2 * up @ self.matrix @ up
            torch.testing.assert_close(flatness.ball_maximum(loss, parameters, rho), expected.view(1))

    def test_adaptive_sharpness(self):
        loss, parameters = quadratic(self.matrix, self.slope, self.start)
        gradient = self.matrix @ self.start + self.slope
        for rho in (0.0, 0.5, 2.0):
            change = rho * self.start**2 * gradient / (self.start.abs() * gradient).norm()
            expected = gradient @ change + change @ self.matrix @ change / 2
            torch.testing.assert_close(flatness.adaptive_sharpness(loss, parameters, rho), expected.view(1))

    @pytest.mark.parametrize("rho", [0.01, 0.3])
    def test_average_sharpness(self, rho):
        loss, parameters = quadratic(self.matrix, 1e3 * self.slope, self.start)
        found = flatness.average_sharpness(loss, parameters, rho, 2000, generator=draws())
        expected = rho**2 / 2 * self.start.square() @ self.matrix.diag()
        scaled = rho**2 * self.start.outer(self.start) * self.matrix  # ½ zᵀ S z has variance ½ tr S²
        spread = math.sqrt(float(scaled.square().sum()) / 2 / 2000)
        assert float(found.standard_error) == pytest.approx(spread, rel=0.1)  # nothing of the slope is in it
        assert abs(float(found.value) - float(expected)) < 4 * spread

    def test_first_order_maxima_lie_below_brute_force_and_close_for_small_radii(self):
        matrix = symmetric([8.0, 4.0, 1.0, -2.0, 0.5, 0.0, 3.0, -1.0])
        loss, parameters = quadratic(matrix, self.slope, self.start)
        gradient = matrix @ self.start + self.slope
        directions = torch.nn.functional.normalize(normal(400_000, 8, seed=5), dim=1)
        slopes, curvatures = directions @ gradient, (directions @ matrix * directions).sum(1)
        for rho, share in ((0.01, 0.999), (0.5, 0.9)):
            inside = (rho * slopes + rho**2 / 2 * curvatures).max()
            ours = float(flatness.ball_maximum(loss, parameters, rho))
            assert ours >= share * float(inside)
            assert float(inside) >= 0.9 * ours


class TestLinear:
    """For a linear loss the maxima over ball and ellipsoid are exact, and there is no curvature."""

    slope, start = normal(8, seed=1), normal(8, seed=2)

    def linear(self, slope: Tensor | None = None) -> tuple[Callable[[], Tensor], list[Tensor]]:
        return quadratic(torch.zeros(8, 8, dtype=torch.float64), self.slope if slope is None else slope, self.start)

    @pytest.mark.parametrize("scale", [1.0, 1e-100])
    def test_maxima_beat_every_sample(self, scale):
        loss, parameters = self.linear(scale * self.slope)
        directions = torch.nn.functional.normalize(normal(100_000, 8, seed=5), dim=1)
        for measure, weights in (
            (flatness.ball_maximum, torch.ones(8)),
            (flatness.adaptive_sharpness, self.start.abs()),
        ):
            ours = float(measure(loss, parameters, 0.3)) / scale
            sampled = 0.3 * float((directions * weights @ self.slope).max())
            assert ours == pytest.approx(0.3 * float((weights * self.slope).norm()), rel=1e-9)
            assert 0.9 * ours < sampled <= ours * (1 + 1e-9)

    def test_has_no_curvature(self):
        loss, parameters = self.linear()
        assert flatness.top_eigenvalue(loss, parameters, generator=draws()).tolist() == [0]
        assert flatness.trace(loss, parameters, generator=draws()) == (torch.zeros(1), torch.zeros(1))
        assert all(not h.any() for h in flatness.hessian_vector_product(loss, parameters, parameters))
        assert abs(float(flatness.average_sharpness(loss, parameters, generator=draws()).value)) < 1e-15

    def test_without_autograd_graph_in_the_gradient(self):
        """The gradient of a sum is a constant that torch gives no graph; a parameter may also be absent altogether."""
        w, absent = (torch.nn.Parameter(t) for t in (torch.ones(3), torch.ones(2)))
        assert flatness.top_eigenvalue(lambda: w.sum(), [w, absent], generator=draws()).tolist() == [0]
        found = flatness.ball_maximum(lambda: w.sum(), [w, absent], 0.3)
        assert float(found) == pytest.approx(0.3 * math.sqrt(3), rel=1e-6)
        half = flatness.hessian_vector_product(lambda: w.square().sum(), [w, absent], [w.detach(), absent.detach()])
        assert [h.tolist() for h in half] == [[2, 2, 2], [0, 0]]

    def test_gradients_whose_squares_vanish_in_float32(self):
        w = torch.nn.Parameter(torch.zeros(3))
        found = flatness.ball_maximum(lambda: 1e-30 * w.sum(), [w], 0.3)
        assert float(found) == pytest.approx(1e-30 * 0.3 * math.sqrt(3), rel=1e-6, abs=0)

    def test_zero_gradient_gives_zero(self):
        w = torch.nn.Parameter(torch.zeros(3))
        assert flatness.ball_maximum(lambda: w.square().sum(), [w]).tolist() == [0]
        assert flatness.adaptive_sharpness(lambda: w.sum(), [w]).tolist() == [0]  # no weight has any size


class TestLandscapes:
    """All minima, saddles and random points of each landscape, as one population of points."""

    @pytest.mark.parametrize("name", [*LANDSCAPES, "two-well, six dimensions"])
    def test_hessian(self, name):
        landscape = LANDSCAPES.get(name) or two_well(6, depth=0.3)
        fixed = [m.location for m in landscape.minima] + list(landscape.saddles)
        points = torch.cat([torch.tensor(fixed).double(), landscape.sample_starts(40, draws(1))])
        points.requires_grad_()
        loss = lambda: landscape(points)  # noqa: E731
        hessian = landscape.hessian(points)
        eigenvalues = torch.linalg.eigvalsh(hessian)
        top = flatness.top_eigenvalue(loss, [points], tolerance=0, generator=draws(), population=True)
        size = eigenvalues.abs().amax(1)
        assert ((top - eigenvalues[:, -1]).abs() <= 1e-10 * size).all()
        trace, error = flatness.trace(loss, [points], 100, generator=draws(), population=True)
        assert ((trace - hessian.diagonal(dim1=1, dim2=2).sum(1)).abs() <= 5 * error + 1e-10 * size).all()
        assert landscape.dimension > 2 or (error <= 1e-10 * size).all()  # two steps of Lanczos' method see all
        vectors = normal(*points.shape, seed=4)
        (product,) = flatness.hessian_vector_product(loss, [points], [vectors], population=True)
        torch.testing.assert_close(product, (hessian @ vectors.unsqueeze(-1)).squeeze(-1))

    def test_ball_maximum_is_that_of_the_written_gradient(self):
        landscape = LANDSCAPES["six-hump-camel"]
        points = landscape.sample_starts(50, draws(1)).requires_grad_()
        value, gradient = landscape.value_and_gradient(points.detach())
        expected = landscape(points.detach() + 0.1 * torch.nn.functional.normalize(gradient, dim=1)) - value
        found = flatness.ball_maximum(lambda: landscape(points), [points], 0.1, population=True)
        torch.testing.assert_close(found, expected)

    def test_saddle_of_known_eigenvalues(self):
        """At six-hump's origin the Hessian is [[8, 1], [1, −8]]: ±√65."""
        w = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
        found = flatness.top_eigenvalue(lambda: LANDSCAPES["six-hump-camel"](w), [w], generator=draws())
        assert float(found) == pytest.approx(math.sqrt(65), rel=1e-12)


# ---------------------------------------------------------------- networks


def perceptron(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10)).double().eval()


def convolutional(seed: int = 0) -> nn.Sequential:
    """Convolutions, BatchNorm with statistics of its own, pooling and dropout, in evaluation mode."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 2)]
        model = nn.Sequential(*layers, nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(16, 10)).double()
        model(torch.randn(32, 1, 8, 8).double())
        return model.eval()


NETS = {"perceptron": perceptron, "convolutional": convolutional}
IMAGES, LABELS = normal(30, 1, 8, 8, seed=7), torch.arange(30) % 10


def loss_of(model: nn.Module) -> Callable[[], Tensor]:
    dtype = next(model.parameters()).dtype
    return lambda: cross_entropy(model(IMAGES.to(dtype)), LABELS)


def full_hessian(model: nn.Module) -> Tensor:
    """Return the whole matrix, by torch.autograd.functional."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    sizes = [p.numel() for p in parameters]

    def loss(flat: Tensor) -> Tensor:
        parts = [v.view_as(p) for v, p in zip(flat.split(sizes), parameters, strict=True)]
        return cross_entropy(functional_call(model, dict(zip(names, parts, strict=True)), (IMAGES,)), LABELS)

    flat = torch.cat([p.detach().reshape(-1) for p in parameters])
    return torch.autograd.functional.hessian(loss, flat, vectorize=True)


@cache
def trained(kind: str) -> nn.Sequential:
    """Return a net trained to a loss of 0.65 (perceptron) or 1.96: its gradient is not zero yet."""
    model = NETS[kind]()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for _ in range(30):
        optimizer.zero_grad()
        loss_of(model)().backward()
        optimizer.step()
    optimizer.zero_grad()
    return model


@pytest.fixture(params=NETS)
def net(request):
    return deepcopy(trained(request.param))


class TestNetworks:
    def test_products_are_those_of_the_full_matrix(self, net):
        matrix, parameters = full_hessian(net), list(net.parameters())
        vectors = [normal(*p.shape, seed=i) for i, p in enumerate(parameters)]
        product = flatness.hessian_vector_product(loss_of(net), parameters, vectors)
        expected = matrix @ torch.cat([v.reshape(-1) for v in vectors])
        torch.testing.assert_close(torch.cat([h.reshape(-1) for h in product]), expected)

    def test_top_eigenvalue_is_that_of_the_full_matrix(self, net):
        top = float(torch.linalg.eigvalsh(full_hessian(net))[-1])
        for seed in range(3):
            exact = flatness.top_eigenvalue(loss_of(net), net.parameters(), 60, 1e-7, generator=draws(seed))
            assert float(exact) == pytest.approx(top, rel=1e-10)
            default = flatness.top_eigenvalue(loss_of(net), net.parameters(), generator=draws(seed))
            assert top * 0.99 < float(default) <= top * (1 + 1e-12)
        loose = flatness.top_eigenvalue(loss_of(net), net.parameters(), 60, 0.5, generator=draws())
        assert top * 0.5 < float(loose) < top * 0.999
        few = [float(flatness.top_eigenvalue(loss_of(net), net.parameters(), n, 0, generator=draws())) for n in (1, 3)]
        assert few[0] < few[1] < top * 0.999

    def test_trace_is_that_of_the_full_matrix(self, net):
        matrix = full_hessian(net)
        for deflation in (0, 12):
            value, error = flatness.trace(loss_of(net), net.parameters(), 150, deflation, generator=draws())
            assert abs(float(value) - float(matrix.trace())) < 4 * float(error)
            assert float(error) < 0.05 * float(matrix.trace())

    def test_average_sharpness_of_small_noise_is_the_weighted_diagonal(self, net):
        """Of a smooth net: kinks of ReLU and pooling, which no Hessian sees, would count at any ρ."""
        swap = {nn.ReLU: nn.Tanh(), nn.MaxPool2d: nn.AvgPool2d(2)}
        smooth = nn.Sequential(*[swap.get(type(layer), layer) for layer in net])
        w = torch.cat([p.detach().reshape(-1) for p in smooth.parameters()])
        scaled = 1e-3**2 * w.outer(w) * full_hessian(smooth)
        spread = math.sqrt(float(scaled.square().sum()) / 2 / 200)
        value, error = flatness.average_sharpness(loss_of(smooth), smooth.parameters(), 1e-3, 200, generator=draws())
        assert float(error) == pytest.approx(spread, rel=0.2)
        assert abs(float(value) - float(scaled.trace()) / 2) < 4 * spread
        assert spread < 0.1 * abs(float(value))

    def test_in_float32_is_that_in_float64(self, net):
        narrow = deepcopy(net).float()
        for both in zip(every_measure(net), every_measure(narrow), strict=True):
            assert [t.dtype for t in both] == [torch.float64] * 2
            torch.testing.assert_close(*both, rtol=2e-3, atol=1e-7)

    def test_channels_last_changes_rounding_only(self):
        model = convolutional()
        last = deepcopy(model).to(memory_format=torch.channels_last)
        for a, b in zip(every_measure(model), every_measure(last), strict=True):
            torch.testing.assert_close(a, b)

    def test_rescaled_relu_layers(self, net):
        """Multiply a layer by 5 and divide the next: the same function, the same adaptive measures, not the others."""
        first, second = [m for m in net if isinstance(m, nn.Conv2d | nn.Linear | nn.BatchNorm2d)][-2:]
        before = measures(net)
        with torch.no_grad():
            first.weight *= 5
            first.bias *= 5
            second.weight /= 5
        after = measures(net)
        for name in ("adaptive_sharpness", "average_sharpness"):
            torch.testing.assert_close(before[name], after[name])
        for name in ("ball_maximum", "top_eigenvalue", "trace"):
            assert abs(float(after[name] / before[name]) - 1) > 0.1


# ---------------------------------------------------------------- what is common to all measures


def of(loss: Callable[[], Tensor], parameters: list[Tensor], population: bool) -> dict[str, Tensor]:
    """Return every measure of a loss, each with a generator of its own; estimates as two entries."""
    p: dict[str, bool] = {"population": population}
    average = flatness.average_sharpness(loss, parameters, draws=3, generator=draws(1), **p)
    trace = flatness.trace(loss, parameters, 3, 5, generator=draws(2), **p)
    return {
        "ball_maximum": flatness.ball_maximum(loss, parameters, **p),
        "adaptive_sharpness": flatness.adaptive_sharpness(loss, parameters, **p),
        "average_sharpness": average.value,
        "average_sharpness error": average.standard_error,
        "top_eigenvalue": flatness.top_eigenvalue(loss, parameters, 40, 1e-4, generator=draws(3), **p),
        "trace": trace.value,
        "trace error": trace.standard_error,
        "weight_norm": flatness.weight_norm(parameters, **p),
        "distance": flatness.distance(parameters, [torch.ones_like(t) for t in parameters], **p),
    }


def measures(model: nn.Module) -> dict[str, Tensor]:
    return of(loss_of(model), list(model.parameters()), False)


def every_measure(model: nn.Module) -> list[Tensor]:
    return list(measures(model).values())


def stacked(models: list[nn.Module]) -> tuple[Callable[[], Tensor], list[Tensor]]:
    parameters, buffers = stack_module_state(models)

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return cross_entropy(functional_call(models[0], (parameters, buffers), (IMAGES,)), LABELS)

    return lambda: vmap(one)(parameters, buffers), list(parameters.values())


class TestPopulation:
    @pytest.mark.parametrize("kind", NETS)
    def test_equals_its_members(self, kind):
        """Also where members need different numbers of products: one of them has a tenth of the curvature."""
        models = [NETS[kind](seed) for seed in range(4)]
        with torch.no_grad():
            for p in models[2].parameters():
                p *= 0.3
        loss, parameters = stacked(models)
        together = of(loss, parameters, True)
        alone = [measures(model) for model in models]
        for name, values in together.items():
            assert values.shape == (4,)
            assert values.dtype == torch.float64
            torch.testing.assert_close(values, torch.cat([a[name] for a in alone]), rtol=1e-6, atol=1e-12, msg=name)

    def test_a_diverged_member_is_nan_and_alone_so(self):
        models = [perceptron(seed) for seed in range(3)]
        with torch.no_grad():
            models[1][1].weight[0, 0] = math.inf
        for name, values in of(*stacked(models), True).items():
            finite = [True, False, True]
            assert values.isfinite().tolist() == finite, name
            expected = torch.cat([measures(model)[name] for model in (models[0], models[2])])
            torch.testing.assert_close(values[finite], expected, msg=name, rtol=1e-6, atol=1e-12)
        single = measures(models[1])
        assert not any(bool(v.isfinite()) for v in single.values())

    def test_flat_and_curved_members_side_by_side(self):
        """Members are done after different numbers of steps, from one (zero Hessian) to all of them."""
        spectra = list(SPECTRA.values())
        matrices = torch.stack([symmetric(s) for s in spectra])
        w = normal(len(spectra), 8).requires_grad_()
        loss = lambda: (w.unsqueeze(1) @ matrices @ w.unsqueeze(2)).flatten() / 2  # noqa: E731
        eigenvalues = torch.tensor(spectra, dtype=torch.float64)
        scale = eigenvalues.abs().amax(1).clamp(min=1)
        top = flatness.top_eigenvalue(loss, [w], tolerance=0, generator=draws(), population=True)
        assert ((top - eigenvalues.amax(1)).abs() < 1e-12 * scale).all()
        value, error = flatness.trace(loss, [w], 300, generator=draws(), population=True)
        assert ((value - eigenvalues.sum(1)).abs() < 4 * error + 1e-11 * scale).all()


class TestLeavesNoTrace:
    def state(self, model: nn.Module) -> list[Tensor]:
        return [t.detach().clone() for t in [*model.parameters(), *model.buffers()]]

    def test_parameters_gradients_buffers_and_global_draws(self, net):
        parameters = list(net.parameters())
        with torch.no_grad():
            parameters[0].view(-1)[0] = -0.0
        parameters[0].grad = torch.full_like(parameters[0], 7.0)
        before, random = self.state(net), torch.get_rng_state()
        every_measure(net)
        flatness.input_gradient_norm(lambda x: cross_entropy(net(x), LABELS, reduction="none"), IMAGES)
        assert same(before, self.state(net))
        assert math.copysign(1, parameters[0].detach().view(-1)[0].item()) == -1
        assert (parameters[0].grad == 7).all()
        assert all(p.grad is None and p.requires_grad for p in parameters[1:])
        assert torch.equal(random, torch.get_rng_state())
        assert not IMAGES.requires_grad

    @pytest.mark.parametrize("fails_at", range(1, 6))
    def test_exceptions(self, net, fails_at):
        before = self.state(net)
        for measure in (flatness.ball_maximum, flatness.adaptive_sharpness, flatness.average_sharpness):
            calls = 0

            def loss() -> Tensor:
                nonlocal calls
                calls += 1
                if calls == fails_at:
                    raise KeyboardInterrupt
                return loss_of(net)()

            options = {"generator": draws()} if measure is flatness.average_sharpness else {}
            try:
                measure(loss, net.parameters(), **options)
            except KeyboardInterrupt:
                pass
            else:
                assert fails_at > 3
            assert same(before, self.state(net))

    def test_within_no_grad(self, net):
        expected = every_measure(net)
        with torch.no_grad():
            assert same(expected, every_measure(net))

    def test_autocast_around_the_call_does_not_freeze_the_weights(self):
        """Autocast caches weights cast to bfloat16; kept over a change of the weights they would hide it."""
        model = perceptron().float()
        with torch.no_grad():
            inside = flatness.ball_maximum(loss_of(model), model.parameters(), 1.0)
        with torch.autocast("cpu", torch.bfloat16):
            around = flatness.ball_maximum(loss_of(model), model.parameters(), 1.0)
        torch.testing.assert_close(around, inside, rtol=0.05, atol=0)

    def test_the_generator_decides(self, net):
        """Same state, same estimate; it moves on; and how long Lanczos' method takes does not change what follows."""
        for measure in (flatness.average_sharpness, flatness.trace):
            g = draws()
            first, second = (float(measure(loss_of(net), net.parameters(), draws=3, generator=g)[0]) for _ in range(2))
            assert first == float(measure(loss_of(net), net.parameters(), draws=3, generator=draws())[0])
            assert first != second
        after = []
        for tolerance in (0.5, 1e-6):
            g = draws()
            flatness.top_eigenvalue(loss_of(net), net.parameters(), 30, tolerance, generator=g)
            after.append(g.get_state())
        assert torch.equal(*after)


class TestDistances:
    def test_weight_norm_and_distance(self, net):
        flat = torch.cat([p.detach().reshape(-1) for p in net.parameters()])
        torch.testing.assert_close(flatness.weight_norm(net.parameters()), flat.norm().view(1))
        start = [p.detach() - 0.5 for p in net.parameters()]
        expected = 0.5 * math.sqrt(len(flat))
        assert float(flatness.distance(net.parameters(), start)) == pytest.approx(expected, rel=1e-12)
        assert float(flatness.distance(net.parameters(), net.parameters())) == 0

    def test_input_gradient_norm_is_that_of_each_example_alone(self, net):
        found = flatness.input_gradient_norm(lambda x: cross_entropy(net(x), LABELS, reduction="none"), IMAGES)
        lengths = []
        for image, label in zip(IMAGES, LABELS, strict=True):
            one = image.unsqueeze(0).clone().requires_grad_()
            lengths.append(torch.autograd.grad(cross_entropy(net(one), label.view(1)), one)[0].norm())
        torch.testing.assert_close(found, torch.stack(lengths).mean().view(1))

    def test_input_gradient_norm_of_a_population(self):
        slopes = normal(3, 5)
        inputs = normal(4, 5, seed=1).expand(3, 4, 5)
        found = flatness.input_gradient_norm(lambda x: (x * slopes.unsqueeze(1)).sum(-1), inputs)
        torch.testing.assert_close(found, slopes.norm(dim=1))


class TestMistakes:
    w = torch.nn.Parameter(torch.ones(3, 2))

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda loss, w: flatness.ball_maximum(loss, [w], -1), "rho must be 0 or above and finite, got -1"),
            (lambda loss, w: flatness.adaptive_sharpness(loss, [w], math.nan), "rho must be 0 or above"),
            (lambda loss, w: flatness.average_sharpness(loss, [w], draws=1, generator=draws()), "draws must be 2"),
            (lambda loss, w: flatness.trace(loss, [w], 1, generator=draws()), "draws must be 2 or above"),
            (lambda loss, w: flatness.trace(loss, [w], deflation=-1, generator=draws()), "deflation must be 0"),
            (lambda loss, w: flatness.top_eigenvalue(loss, [w], 0, generator=draws()), "iterations must be 1"),
            (lambda loss, w: flatness.top_eigenvalue(loss, [w], 9, -1, generator=draws()), "tolerance must be 0"),
            (lambda loss, w: flatness.ball_maximum(loss, [w], population=True), r"return shape \(3,\).*got \(\)"),
            (lambda loss, w: flatness.ball_maximum(lambda: w.sum(1), [w]), r"return shape \(\).*got \(3,\)"),
            (lambda loss, w: flatness.ball_maximum(loss, []), "parameters must be tensors"),
            (lambda loss, w: flatness.ball_maximum(loss, [w, w[0]], population=True), "one size along dimension 0"),
            (lambda loss, w: flatness.hessian_vector_product(loss, [w], [w.T]), r"vectors .* got \[\(2, 3\)\]"),
            (lambda loss, w: flatness.distance([w], [w[0]]), r"start must .* got \[\(2,\)\]"),
            (lambda loss, w: flatness.input_gradient_norm(lambda x: x.sum(), w), r"losses \(\) and inputs \(3, 2\)"),
            (lambda loss, w: flatness.input_gradient_norm(lambda x: x.sum(1).expand(4, 3), w), r"losses \(4, 3\)"),
        ],
    )
    def test_one_line_says_what_is_wrong(self, call, message):
        with pytest.raises(ValueError, match=message) as raised:
            call(lambda: self.w.square().sum(), self.w)
        assert "\n" not in str(raised.value)

    def test_a_frozen_parameter_is_named_where_a_gradient_is_needed(self):
        """Here the second of three: a layer of a network that is trained around it."""
        net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1, bias=False)).double()
        net[0].bias.requires_grad_(False)
        parameters, loss = list(net.parameters()), lambda: net(normal(5, 2)).square().mean()
        for measure in (
            lambda w: flatness.ball_maximum(loss, w),
            lambda w: flatness.adaptive_sharpness(loss, w),
            lambda w: flatness.hessian_vector_product(loss, w, [t.detach() for t in w]),
            lambda w: flatness.top_eigenvalue(loss, w, generator=draws()),
            lambda w: flatness.trace(loss, w, generator=draws()),
        ):
            with pytest.raises(ValueError, match=r"^parameters\[1\] of shape \(3,\) is frozen.*leave it out$"):
                measure(parameters)
            measure([parameters[0], parameters[2]])  # the advice
        assert torch.isfinite(flatness.average_sharpness(loss, parameters, generator=draws()).value).all()
        assert flatness.weight_norm(parameters).item() == pytest.approx(
            sum(float(p.detach().square().sum()) for p in parameters) ** 0.5
        )

    def test_a_loss_without_a_gradient_is_said_to_be_one(self):
        with pytest.raises(ValueError, match=r"^loss returned a number without a gradient"):
            flatness.trace(lambda: self.w.detach().square().sum(), [self.w], generator=draws())


# ---------------------------------------------------------------- another implementation


class TestCurvlinops:
    """Product, top eigenvalue and trace against another implementation's."""

    def test_agrees(self, net):
        ours = list(net.parameters())
        theirs = curvlinops.HessianLinearOperator(net, nn.CrossEntropyLoss(), ours, [(IMAGES, LABELS)])
        vectors = [normal(*p.shape, seed=i) for i, p in enumerate(ours)]
        flat = torch.cat([v.reshape(-1) for v in vectors])
        product = flatness.hessian_vector_product(loss_of(net), ours, vectors)
        torch.testing.assert_close(torch.cat([h.reshape(-1) for h in product]), theirs @ flat)
        matrix = theirs @ torch.eye(len(flat), dtype=torch.float64)
        top = flatness.top_eigenvalue(loss_of(net), ours, 60, 1e-7, generator=draws())
        assert float(top) == pytest.approx(float(torch.linalg.eigvalsh((matrix + matrix.T) / 2)[-1]), rel=1e-9)
        value, error = flatness.trace(loss_of(net), ours, 20, generator=draws())
        assert abs(float(value) - float(matrix.trace())) < 4 * float(error)
