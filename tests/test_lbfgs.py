"""L-BFGS-GSS against SciPy, against dense BFGS written out, and where losses are hostile; what it shares with the other
optimizers (populations row by row, resumed runs, bad input) is in test_optimizers_common and test_optimizers_input."""

from collections.abc import Callable
from typing import Any

import helpers
import numpy as np
import pytest
import scipy.optimize
import torch
from helpers import closure_of
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from popview.landscapes import get
from popview.landscapes.restarts import sample
from popview.optimizers import make

FLAT = 1e-5


def rosenbrock(w: Tensor) -> Tensor:
    ahead, behind = w[..., 1:], w[..., :-1]
    return (100 * (ahead - behind**2) ** 2 + (1 - behind) ** 2).sum(-1)


def minimise(function: Callable, start: Any, steps: int = 3000, **options: Any) -> tuple[Tensor, Any]:
    """Run until no component of the gradient is above 1e-5; return the point and the optimizer."""
    w = helpers.point(start)
    optimizer = make("L-BFGS-GSS", [w], **options)
    closure = closure_of(function, w)
    for _ in range(steps):
        stood = w.detach().clone()
        optimizer.step(closure, lambda: function(w))
        assert w.grad is not None
        if w.grad.abs().max() <= FLAT:
            return stood, optimizer
    return w.detach(), optimizer


def scipys(function: Callable, start: Tensor) -> Any:
    def value_and_gradient(w: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.tensor(w, requires_grad=True)
        value = function(point)
        return float(value.detach()), torch.autograd.grad(value, point)[0].numpy()

    settings = {"maxcor": 10, "gtol": FLAT, "ftol": 0.0, "maxiter": 5000, "maxfun": 50000}
    return scipy.optimize.minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=settings)


class Test_AgainstSciPy:
    @pytest.mark.parametrize("dimension", [2, 100])
    def test_rosenbrock(self, dimension):
        start = torch.tensor([-1.2, 1.0], dtype=torch.float64).repeat(dimension // 2)
        end, optimizer = minimise(rosenbrock, start)
        theirs = scipys(rosenbrock, start)
        assert np.abs(theirs.x - 1).max() < 1e-4
        assert (end - 1).abs().max() < 1e-4
        assert optimizer.gradient_evaluations < theirs.nfev  # the losses of its searches are paid on top
        assert optimizer.loss_evaluations == 7 * optimizer.gradient_evaluations

    @pytest.mark.parametrize("name", ["himmelblau", "three-hump-camel", "six-hump-camel"])
    def test_landscapes(self, name):
        """From starts close to each minimum both end there (but SciPy's first step leaves six-hump's shallow pair)."""
        landscape = get(name)
        for m in landscape.minima:
            minimum = torch.tensor(m.location, dtype=torch.float64)
            for offset in ([0.03, 0.0], [-0.02, 0.03]):
                start = minimum + torch.tensor(offset, dtype=torch.float64)
                end, _ = minimise(landscape, start)
                torch.testing.assert_close(end, minimum, rtol=0, atol=1e-5)
                if m.barrier > 0.2:
                    np.testing.assert_allclose(scipys(landscape, start).x, minimum, atol=1e-5)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    def test_logistic_regression(self, dtype):
        """A convex loss of 650 weights: one minimum, whoever finds it."""
        digits = load_digits()
        images, labels = torch.tensor(digits.data[:200] / 16), torch.tensor(digits.target[:200])

        def loss(w: Tensor) -> Tensor:
            weight, bias = w[:640].view(64, 10), w[640:]
            return cross_entropy(images.to(w.dtype) @ weight + bias, labels) + 1e-3 * (w * w).sum()

        theirs = scipys(loss, torch.zeros(650, dtype=torch.float64))
        w = nn.Parameter(torch.zeros(650, dtype=dtype))
        optimizer = make("L-BFGS-GSS", [w])
        for _ in range(150):
            optimizer.step(closure_of(loss, w), lambda: loss(w))
        single = dtype == torch.float32
        assert float(loss(w.detach())) - theirs.fun < (1e-6 if single else 1e-9)
        assert np.abs(w.detach().numpy() - theirs.x).max() < (2e-2 if single else 1e-3)


class Test_Direction:
    def test_is_that_of_dense_bfgs(self):
        """After each step p is parallel to −H g, H updated as a matrix from γ I over the last pairs."""
        history, dimension = 3, 6
        w = helpers.point(torch.linspace(-1, 1, dimension, dtype=torch.float64))
        optimizer = make("L-BFGS-GSS", [w], history=history)
        positions, gradients = [], []
        for step in range(9):
            positions.append(w.detach().numpy().copy())
            optimizer.step(closure_of(rosenbrock, w), lambda: rosenbrock(w))
            assert w.grad is not None
            gradients.append(w.grad.numpy().copy())
            pairs = [
                (positions[i + 1] - positions[i], gradients[i + 1] - gradients[i])
                for i in range(max(0, step - history), step)
            ]
            pairs = [(s, y) for s, y in pairs if s @ y > 1e-12 * np.linalg.norm(s) * np.linalg.norm(y)]
            scale = (pairs[-1][0] @ pairs[-1][1]) / (pairs[-1][1] @ pairs[-1][1]) if pairs else 1
            inverse = scale * np.eye(dimension)
            for s, y in pairs:
                v = np.eye(dimension) - np.outer(s, y) / (s @ y)
                inverse = v @ inverse @ v.T + np.outer(s, s) / (s @ y)
            wanted, moved = -inverse @ gradients[-1], w.detach().numpy() - positions[-1]
            assert np.linalg.norm(moved) > 0
            cosine = wanted @ moved / np.linalg.norm(wanted) / np.linalg.norm(moved)
            assert cosine == pytest.approx(1, abs=1e-9)
        assert len(pairs) == history

    def test_exact_searches_end_on_a_quadratic_after_as_many_steps_as_dimensions(self):
        w = helpers.point([3.0, -2.0, 0.5, 4.0])
        optimizer = make("L-BFGS-GSS", [w], evaluations=60)
        for _ in range(5):
            optimizer.step(closure_of(helpers.bowl, w))
        assert helpers.bowl(w.detach()) < 1e-12

    def test_negative_curvature_is_not_remembered(self):
        """From the hump of a double well the first steps see yᵀs < 0; the search goes on down to the well."""
        end, _ = minimise(lambda w: ((w * w - 1) ** 2).sum(-1), [0.01, -0.02])
        torch.testing.assert_close(end.abs(), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-5)

    def test_a_concave_loss_never_fools_it(self):
        """Where every pair has yᵀs < 0 the direction stays the gradient's, downhill."""
        w = helpers.point([0.1, 0.3])
        optimizer = make("L-BFGS-GSS", [w])
        for _ in range(6):
            before = w.detach().clone()
            optimizer.step(closure_of(lambda w: -(w * w).sum(-1), w))
            moved = w.detach() - before
            assert torch.dot(moved, before) == pytest.approx(float(moved.norm() * before.norm()))  # −∇f is 2 w


class Test_Search:
    def test_is_a_golden_section(self):
        """On 1.3 (x − 0.3)² from 0: the full step, 0.78, is too far; then golden section of [0, 0.78] around 0.3."""
        tried = []
        w = helpers.point([0.0])

        def loss(w: Tensor) -> Tensor:
            return 1.3 * ((w - 0.3) ** 2).sum()

        def seen() -> Tensor:
            tried.append(float(w.detach()))
            return loss(w)

        make("L-BFGS-GSS", [w], evaluations=5).step(closure_of(loss, w), seen)
        parts = [0, 1, 0.38196601, 0.61803399, 0.23606798, 0.47213595]
        assert tried == pytest.approx([0.78 * part for part in parts])
        assert float(w.detach()) == tried[2]

    def test_grows_while_the_loss_falls(self):
        tried: list[float] = []
        w = helpers.point([0.0])

        def loss() -> Tensor:
            tried.append(float(w.detach()))
            return -w.sum()

        make("L-BFGS-GSS", [w], evaluations=4).step(closure_of(lambda w: -w.sum(), w), loss)
        golden = (1 + 5**0.5) / 2
        assert tried == pytest.approx([0, 1, 1 + golden, 1 + golden + golden**2, 1 + golden + golden**2 + golden**3])
        assert float(w.detach()) == tried[-1]

    @pytest.mark.parametrize("evaluations", [1, 2, 6])
    def test_spends_what_is_stated(self, evaluations):
        w = helpers.point(helpers.starts(5))
        optimizer = make("L-BFGS-GSS", [w], evaluations=evaluations, population=True)
        for _ in range(4):
            optimizer.step(closure_of(helpers.six_hump, w))
        assert optimizer.gradient_evaluations.tolist() == [4] * 5
        assert optimizer.loss_evaluations.tolist() == [4 * evaluations] * 5
        optimizer.step(closure_of(helpers.six_hump, w), lambda: helpers.six_hump(w))
        assert optimizer.loss_evaluations.tolist() == [5 * evaluations + 1] * 5

    @pytest.mark.parametrize("evaluations", [1, 6])
    def test_never_raises_the_loss(self, evaluations):
        w = helpers.point(6 * helpers.starts(200))
        optimizer = make("L-BFGS-GSS", [w], evaluations=evaluations, population=True)
        value = helpers.six_hump(w.detach())
        for _ in range(30):
            optimizer.step(closure_of(helpers.six_hump, w))
            now = helpers.six_hump(w.detach())
            assert (now <= value).all()
            value = now


class Test_Hostile:
    """Losses that end in NaN or infinity not far from where the search stands."""

    @pytest.mark.parametrize("beyond", [float("nan"), float("inf"), -float("inf")])
    def test_points_without_a_finite_loss_are_never_taken(self, beyond):
        def walled(w: Tensor) -> Tensor:
            """Rosenbrock's function, a wall at 0.6 from the minimum; both starts and minimum are inside."""
            value = rosenbrock(w)
            return torch.where((w - 1).abs().amax(-1) > 0.6, torch.full_like(value, beyond), value)

        w = helpers.point([[0.8, 0.45], [1.5, 0.7], [0.45, 1.55], [1.0, 1.0]])
        optimizer = make("L-BFGS-GSS", [w], population=True)
        for _ in range(60):
            optimizer.step(closure_of(walled, w))
            assert torch.isfinite(walled(w.detach())).all()
        assert (w.detach() - 1).abs().max() < 1e-6

    def test_a_logarithm(self):
        """x − log x: the first trials leave the domain."""
        end, _ = minimise(lambda w: (30 * w - torch.log(w)).sum(-1), [4.0, 0.01], lr=10.0)
        torch.testing.assert_close(end, torch.full((2,), 1 / 30, dtype=torch.float64), rtol=1e-5, atol=0)

    def test_without_a_finite_gradient_the_model_stays(self):
        w = helpers.point([[0.0, 1.0], [2.0, 1.0], [float("nan"), 1.0]])
        optimizer = make("L-BFGS-GSS", [w], population=True)

        def loss(w: Tensor) -> Tensor:
            return torch.sqrt(w[:, 0]) + w[:, 1] ** 2  # infinite gradient at 0

        before = w.detach().clone()
        for _ in range(3):
            optimizer.step(closure_of(loss, w))
        moved = (w.detach() != before).any(1) & ~before.isnan().any(1)
        assert moved.tolist() == [False, True, False]
        assert optimizer.loss_evaluations.tolist() == [0, 18, 0]

    def test_from_an_infinite_loss_any_finite_one_is_better(self):
        def loss(w: Tensor) -> Tensor:
            value = (w * w).sum(-1)
            return value + torch.where(value > 4, torch.inf, 0.0)

        w = helpers.point([3.0, 0.0])
        make("L-BFGS-GSS", [w], lr=3.0).step(closure_of(loss, w))
        assert torch.isfinite(loss(w.detach()))

    @pytest.mark.parametrize("scale", [1e-12, 1e12])
    def test_badly_scaled_losses(self, scale):
        end, _ = minimise(lambda w: ((w - 3) ** 2 / scale).sum(-1), [3 + scale**0.5, 3.0], steps=60)
        assert (end - 3).abs().max() < 1e-4 * max(scale, 1)


class Test_Stalled:
    def test_at_a_minimum_steps_come_to_nothing(self):
        w = helpers.point([[3.4, 1.5], [-2.0, 3.0]])
        optimizer = make("L-BFGS-GSS", [w], population=True)
        for _ in range(60):
            optimizer.step(closure_of(helpers.himmelblau, w))
        assert optimizer.stalled.tolist() == [True, True]
        before, evaluations = w.detach().clone(), optimizer.loss_evaluations.clone()
        optimizer.step(closure_of(helpers.himmelblau, w))
        assert torch.equal(w.detach(), before)
        assert torch.equal(optimizer.loss_evaluations, evaluations)
        assert float(helpers.himmelblau(w.detach()).max()) < 1e-20

    def test_where_the_gradient_is_zero(self):
        w = helpers.point([1.0, 1.0, 1.0, 1.0])
        optimizer = make("L-BFGS-GSS", [w])
        assert optimizer.stalled is False
        optimizer.step(closure_of(helpers.bowl, w))
        assert optimizer.stalled is True
        assert optimizer.loss_evaluations == 0

    def test_on_the_way_it_is_not(self):
        w = helpers.point([-1.2, 1.0])
        optimizer = make("L-BFGS-GSS", [w])
        for _ in range(10):
            optimizer.step(closure_of(rosenbrock, w))
        assert not optimizer.stalled


class Test_Use:
    def test_on_landscapes_as_a_population(self):
        s = sample("himmelblau", "L-BFGS-GSS", 60, iterations=40)
        assert s.counts_by_radius(1e-5).tolist()[-2:] == [0, 0]
        assert s.counts_by_basin().tolist() == s.counts_by_radius(1e-5).tolist()
        assert (s.counts_by_basin()[:4] > 0).all()

    def test_a_schedule_may_begin_at_zero(self):
        w = helpers.point([-1.2, 1.0])
        optimizer = make("L-BFGS-GSS", [w])
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 3))
        for number in range(60):
            optimizer.step(closure_of(rosenbrock, w))
            schedule.step()
            if number == 0:
                assert w.tolist() == pytest.approx([-1.2, 1.0])
                assert not optimizer.stalled
        assert w.tolist() == pytest.approx([1.0, 1.0], abs=1e-5)

    def test_a_parameter_added_later(self):
        a, b = helpers.point([3.0]), helpers.point([-2.0])

        def closure() -> Tensor:
            a.grad = b.grad = None
            loss = (a**2 + (b - a - 1) ** 2).sum()
            loss.backward()
            return loss

        optimizer = make("L-BFGS-GSS", [a])
        optimizer.step(closure)
        optimizer.add_param_group({"params": [b]})
        for _ in range(25):
            optimizer.step(closure)
        assert abs(a.item()) < 1e-6
        assert abs(b.item() - 1) < 1e-6

    def test_dropout_masks_hold_through_a_search(self):
        """Within a step every loss is of the same masks, so that the accepted point is lower under them."""
        torch.manual_seed(3)
        net = nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, 1))
        x, y = torch.randn(30, 4), torch.randn(30, 1)
        optimizer = make("L-BFGS-GSS", net.parameters())

        closure = helpers.closure_on(optimizer, lambda: ((net(x) - y) ** 2).mean())

        for _ in range(10):
            state = torch.get_rng_state()
            before = optimizer.step(closure).item()
            torch.set_rng_state(state)
            assert ((net(x) - y) ** 2).mean().item() < before
