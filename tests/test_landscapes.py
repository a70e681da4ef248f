"""Landscapes against formulas, derivatives, searches and flows written anew here, by other means."""

import itertools
import math
import warnings

import numpy as np
import pytest
import scipy.integrate
import scipy.ndimage
import scipy.optimize
import scipy.stats
import torch
from helpers import same

from popview.common.errors import UsageError
from popview.landscapes import LANDSCAPES, Landscape, get, two_well

PLANE = ("himmelblau", "three-hump-camel", "six-hump-camel")

#: The formulas in powers; they take numbers, arrays and tensors alike.
VALUES = {
    "himmelblau": lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    "three-hump-camel": lambda x, y: 2 * x**2 - 1.05 * x**4 + x**6 / 6 + x * y + y**2,
    "six-hump-camel": lambda x, y: (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (-4 + 4 * y**2) * y**2,
}
GRADIENTS = {
    "himmelblau": lambda x, y: (
        4 * x * (x**2 + y - 11) + 2 * (x + y**2 - 7),
        2 * (x**2 + y - 11) + 4 * y * (x + y**2 - 7),
    ),
    "three-hump-camel": lambda x, y: (4 * x - 4.2 * x**3 + x**5 + y, x + 2 * y),
    "six-hump-camel": lambda x, y: (8 * x - 8.4 * x**3 + 2 * x**5 + y, x - 8 * y + 16 * y**3),
}
HESSIANS = {
    "himmelblau": lambda x, y: (12 * x**2 + 4 * y - 42, 4 * x + 4 * y, 12 * y**2 + 4 * x - 26),
    "three-hump-camel": lambda x, y: (4 - 12.6 * x**2 + 5 * x**4, 1.0, 2.0),
    "six-hump-camel": lambda x, y: (8 - 25.2 * x**2 + 10 * x**4, 1.0, 48 * y**2 - 8),
}

#: `paper-facts`: location, value, eigenvalues, trace, each to the digits given there.
TRUTH = {
    "himmelblau": [
        ((3, 2), 0, (25.72, 82.28), 108.0),
        ((3.5844, -1.8481), 0, (28.69, 105.42), 134.1),
        ((-2.8051, 3.1313), 0, (64.84, 80.55), 145.4),
        ((-3.7793, -3.2832), 0, (70.71, 133.79), 204.5),
    ],
    "three-hump-camel": [
        ((0, 0), 0, (1.59, 4.41), 6.00),
        ((-1.7476, 0.8738), 0.298638, (1.90, 12.25), 14.15),
        ((1.7476, -0.8738), 0.298638, (1.90, 12.25), 14.15),
    ],
    "six-hump-camel": [
        ((-0.0898, 0.7127), -1.031628, (7.68, 16.49), 24.2),
        ((0.0898, -0.7127), -1.031628, (7.68, 16.49), 24.2),
        ((-1.7036, 0.7961), -0.215464, (18.82, 22.70), 41.5),
        ((1.7036, -0.7961), -0.215464, (18.82, 22.70), 41.5),
        ((-1.6071, -0.5687), 2.104250, (7.12, 10.02), 17.1),
        ((1.6071, 0.5687), 2.104250, (7.12, 10.02), 17.1),
    ],
}
BARRIERS = {
    "himmelblau": [13.31, 13.31, 67.72, 104.02],
    "three-hump-camel": [0.877, 0.579, 0.579],
    "six-hump-camel": [1.032, 1.032, 0.759, 0.759, 0.125, 0.125],
}
WINDOWS = {  # a part of the plane that holds every minimum and every pass between them
    "himmelblau": ((-5, 5), (-5, 5)),
    "three-hump-camel": ((-2.6, 2.6), (-2.2, 2.2)),
    "six-hump-camel": ((-2.1, 2.1), (-1.3, 1.3)),
}

WELLS = {
    "default": {},
    "deeper on the right": {"depth": -0.5},
    "narrow on the left": {"curvatures": (20.0, 2.0), "depth": 0.3},
    "very narrow, three dimensions": {"dimension": 3, "curvatures": (1.0, 100.0)},
    "flat barrier, ten dimensions": {"dimension": 10, "depth": 0.1, "height": 0.5, "curvatures": (1.0, 10.0)},
    "far deeper": {"depth": 5.0, "curvatures": (3.0, 4.0)},
}


def well(
    point: np.ndarray, depth: float = 0.0, curvatures: tuple = (2.0, 20.0), height: float = 1.0, dimension: int = 2
) -> tuple[float, list[float]]:
    """Value and gradient of the two-well as its docstring states it, of one point and in plain numbers."""
    x, *y = point.tolist()
    t = min(max((x + 1) / 2, 0), 1)
    s, slope = 6 * t**5 - 15 * t**4 + 10 * t**3, (30 * t**4 - 60 * t**3 + 30 * t**2) / 2
    k = curvatures[0] * (1 - s) + curvatures[1] * s
    square = sum(c**2 for c in y)
    value = height * (x**2 - 1) ** 2 + depth * s + k * square / 2
    along = 4 * height * x * (x**2 - 1) + depth * slope + (curvatures[1] - curvatures[0]) * slope * square / 2
    return value, [along, *(k * c for c in y)]


def random_points(landscape: Landscape, number: int, seed: int = 0) -> torch.Tensor:
    low, high = np.array(landscape.domain).T
    return torch.as_tensor(np.random.default_rng(seed).uniform(low, high, (number, landscape.dimension)))


def stationary_points(name: str) -> list[np.ndarray]:
    """Find every root of the gradient that a grid of starts leads SciPy to."""
    (x0, x1), (y0, y1) = WINDOWS[name]
    found: list[np.ndarray] = []
    for start in itertools.product(np.linspace(x0, x1, 21), np.linspace(y0, y1, 21)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            root, *_ = scipy.optimize.fsolve(lambda w: GRADIENTS[name](*w), start, full_output=True, xtol=1e-13)
        gradient = np.abs(GRADIENTS[name](*root)).max()
        if gradient < 1e-9 and all(np.linalg.norm(root - other) > 1e-5 for other in found):
            found.append(root)
    return found


def eigenvalues(name: str, point: np.ndarray) -> np.ndarray:
    xx, xy, yy = HESSIANS[name](*point)
    return np.linalg.eigvalsh(np.array([[xx, xy], [xy, yy]]))


@pytest.fixture(scope="module", params=PLANE)
def searched(request) -> tuple[Landscape, list[np.ndarray], list[np.ndarray]]:
    """A landscape with the minima and saddles that the search finds."""
    points = stationary_points(request.param)
    kinds = [int((eigenvalues(request.param, p) < 0).sum()) for p in points]
    pick = [[p for p, k in zip(points, kinds, strict=True) if k == kind] for kind in (0, 1)]
    return get(request.param), *pick


class TestMinima:
    def test_are_those_of_a_search_over_a_grid(self, searched):
        landscape, minima, _ = searched
        assert len(minima) == len(landscape.minima)
        for m in landscape.minima:
            nearest = min(minima, key=lambda p: np.linalg.norm(p - m.location))
            assert np.abs(nearest - m.location).max() < 1e-8
            assert m.value == pytest.approx(VALUES[landscape.name](*nearest), abs=1e-10)

    @pytest.mark.parametrize("name", PLANE)
    def test_descents_from_a_grid_end_at_no_other(self, name):
        locations = np.array([m.location for m in get(name).minima])
        axes = [np.linspace(low, high, 9) for low, high in get(name).domain]
        reached = set()
        for start in itertools.product(*axes):
            result = scipy.optimize.minimize(
                lambda w: VALUES[name](*w), start, jac=lambda w: np.array(GRADIENTS[name](*w)), method="BFGS", tol=1e-9
            )
            if eigenvalues(name, result.x).min() < 0:
                continue  # a start on a symmetry line may end on a saddle
            distance = np.linalg.norm(locations - result.x, axis=1)
            assert distance.min() < 1e-6
            reached.add(int(distance.argmin()))
        assert reached == set(range(len(locations)))

    def test_every_saddle_is_among_the_passes(self, searched):
        landscape, _, saddles = searched
        solved = [
            scipy.optimize.fsolve(lambda w: GRADIENTS[landscape.name](*w), p, xtol=1e-13) for p in landscape.passes
        ]
        assert len(solved) == len(saddles)
        assert all(min(np.linalg.norm(s - p) for p in solved) < 1e-7 for s in saddles)

    @pytest.mark.parametrize("name", PLANE)
    def test_table_of_the_ground_truth(self, name):
        assert len(get(name).minima) == len(TRUTH[name])
        for m, (location, value, eigen, trace) in zip(get(name).minima, TRUTH[name], strict=True):
            assert m.location == pytest.approx(location, abs=6e-5)
            assert m.value == pytest.approx(value, abs=6e-7)
            assert m.eigenvalues == pytest.approx(eigen, abs=6e-3)
            assert m.trace == pytest.approx(trace, abs=6e-2)

    @pytest.mark.parametrize("name", PLANE)
    def test_barriers_are_the_known_ones(self, name):
        assert [m.barrier for m in get(name).minima] == pytest.approx(BARRIERS[name], abs=6e-3)

    @pytest.mark.parametrize("name", PLANE)
    def test_barriers_are_where_a_rising_flood_joins_two_minima(self, name):
        (x0, x1), (y0, y1) = WINDOWS[name]
        x, y = np.linspace(x0, x1, 501), np.linspace(y0, y1, 501)
        height = VALUES[name](*np.meshgrid(x, y, indexing="ij"))
        cells = [
            (int(np.abs(x - m.location[0]).argmin()), int(np.abs(y - m.location[1]).argmin())) for m in get(name).minima
        ]

        def alone(which: int, level: float) -> bool:
            lakes, _ = scipy.ndimage.label(height <= level, structure=np.ones((3, 3)))
            mine = lakes[cells[which]]
            return mine == 0 or all(lakes[c] != mine for i, c in enumerate(cells) if i != which)

        for i, m in enumerate(get(name).minima):
            low, high = m.value, m.value + 200.0
            for _ in range(26):
                middle = (low + high) / 2
                low, high = (middle, high) if alone(i, middle) else (low, middle)
            assert high - m.value == pytest.approx(m.barrier, rel=3e-3, abs=2e-3)

    @pytest.mark.parametrize("name", LANDSCAPES)
    def test_order_is_by_value_then_trace_then_x(self, name):
        minima = get(name).minima
        keys = [(round(m.value, 7), round(m.trace, 5), m.location[0]) for m in minima]
        assert keys == sorted(keys)
        lowest = min(m.value for m in minima)
        assert [m.kind == "global" for m in minima] == [m.value < lowest + 1e-6 for m in minima]

    @pytest.mark.parametrize("name", LANDSCAPES)
    def test_the_gradient_vanishes_there(self, name):
        locations = torch.tensor([m.location for m in get(name).minima], dtype=torch.float64)
        assert get(name).gradient(locations).abs().max() < 1e-10


class TestDerivatives:
    @pytest.mark.parametrize("name", PLANE)
    def test_values_are_the_formula(self, name):
        points = random_points(get(name), 200)
        np.testing.assert_allclose(get(name)(points), VALUES[name](*points.numpy().T), rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("name", PLANE)
    def test_gradients_are_those_of_autograd(self, name):
        points = random_points(get(name), 200).requires_grad_()
        VALUES[name](*points.unbind(-1)).sum().backward()
        torch.testing.assert_close(get(name).gradient(points.detach()), points.grad, rtol=1e-11, atol=1e-10)

    @pytest.mark.parametrize("name", LANDSCAPES)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_numpy_gives_the_bits_of_torch(self, name, dtype):
        """Points that require a gradient are evaluated in torch, others in NumPy, some thousand at once."""
        for number, scale in ((1, 1.0), (9001, 1.0), (50, 1e9)):  # the last ones overflow in float32
            points = (scale * random_points(get(name), number)).to(dtype)
            by_numpy = get(name).value_and_gradient(points)
            by_torch = get(name).value_and_gradient(points.clone().requires_grad_())
            assert all(t.grad_fn is not None for t in by_torch)
            assert same(list(by_numpy), [t.detach() for t in by_torch])

    @pytest.mark.parametrize("name", PLANE)
    def test_hessians_are_the_closed_form(self, name):
        points = random_points(get(name), 50)
        xx, xy, yy = (np.broadcast_to(h, 50) for h in HESSIANS[name](*points.numpy().T))
        expected = np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2)
        np.testing.assert_allclose(get(name).hessian(points), expected, rtol=1e-11, atol=1e-10)

    @pytest.mark.parametrize("name", LANDSCAPES)
    def test_hessians_are_central_differences_of_values(self, name):
        landscape, points, h = get(name), random_points(get(name), 20), 1e-3
        if name == "two-well":  # its third derivative jumps at x = ±1: keep the stencil on one side
            points = points[(points[:, 0].abs() - 1).abs() > 3 * h]
        hessian = landscape.hessian(points)
        for i, j in itertools.product(range(2), repeat=2):
            a, b = (h * torch.eye(2, dtype=torch.float64)[k] for k in (i, j))
            second = landscape(points + a + b) - landscape(points + a - b) - landscape(points - a + b)
            second = (second + landscape(points - a - b)) / (4 * h * h)
            torch.testing.assert_close(second, hessian[:, i, j], rtol=1e-4, atol=1e-3)

    @pytest.mark.parametrize("name", LANDSCAPES)
    def test_any_leading_shape(self, name):
        landscape, points = get(name), random_points(get(name), 6)
        values, gradients = landscape(points), landscape.gradient(points)
        assert torch.equal(landscape(points.view(2, 3, 2)), values.view(2, 3))
        assert torch.equal(landscape.gradient(points.view(3, 1, 2, 2)), gradients.view(3, 1, 2, 2))
        assert torch.equal(landscape(points[4]), values[4])
        assert landscape.hessian(points[4]).shape == (2, 2)
        with torch.no_grad():
            assert landscape.hessian(points).shape == (6, 2, 2)

    def test_a_wrong_shape_is_refused(self):
        with pytest.raises(ValueError, match=r"himmelblau must have shape \(..., 2\), got \(4, 3\)"):
            get("himmelblau")(torch.zeros(4, 3))


class TestSymmetry:
    @pytest.mark.parametrize("name", LANDSCAPES)
    def test_is_exact_where_it_is_claimed_and_absent_elsewhere(self, name):
        landscape, points = get(name), random_points(get(name), 500)
        assert torch.equal(landscape(-points), landscape(points)) == landscape.symmetric
        assert torch.equal(landscape.gradient(-points), -landscape.gradient(points)) == landscape.symmetric

    @pytest.mark.parametrize("name", [n for n in PLANE if LANDSCAPES[n].symmetric])
    def test_pairs_of_minima_are_neighbours_in_the_order(self, name):
        minima = [m for m in get(name).minima if m.location != (0.0, 0.0)]
        for left, right in zip(minima[::2], minima[1::2], strict=True):
            assert left.location == pytest.approx([-c for c in right.location], abs=1e-12)
            assert left.location[0] < 0
            assert left.eigenvalues == pytest.approx(right.eigenvalues, abs=1e-9)
            assert left.barrier == pytest.approx(right.barrier, abs=1e-9)


def points_beside(landscape: Landscape) -> torch.Tensor:
    """Points at the saddles, and so near to them that a descent takes long."""
    saddles = torch.tensor(landscape.saddles, dtype=torch.float64)
    return torch.cat([saddles, saddles + 1e-9, saddles - 1e-6])


class TestPolish:
    @pytest.mark.parametrize("name", PLANE)
    def test_ends_where_the_gradient_flow_does(self, name):
        landscape, box = get(name), ((-5.0, 5.0), (-5.0, 5.0))
        points = landscape.sample_starts(300, torch.Generator().manual_seed(1), box)
        polished = landscape.polish(points)
        index, distance = landscape.nearest(polished)
        assert distance.max() < 1e-6
        flow = [flow_end(lambda w, t: [-g for g in GRADIENTS[name](*w.tolist())], start) for start in points.numpy()]
        reached, away = landscape.nearest(torch.tensor(np.array(flow)))
        assert away.max() < 1e-3
        assert (reached == index).double().mean() >= 0.99

    @pytest.mark.parametrize("options", WELLS.values(), ids=WELLS)
    def test_ends_where_the_gradient_flow_does_on_two_wells(self, options):
        landscape = two_well(**options)
        points = random_points(landscape, 100, seed=1)
        index, distance = landscape.nearest(landscape.polish(points))
        assert distance.max() < 1e-2
        reached = [flow_end(lambda w, t: [-g for g in well(w, **options)[1]], start)[0] > 0 for start in points.numpy()]
        ends_right = torch.tensor([landscape.minima[i].location[0] > 0 for i in index])
        assert (ends_right == torch.tensor(reached)).double().mean() >= 0.99

    @pytest.mark.parametrize("name", LANDSCAPES)
    @pytest.mark.parametrize("reach", [1.0, 1e3])
    def test_never_raises_the_value(self, name, reach):
        landscape = get(name)
        points = reach * random_points(landscape, 300, seed=2) / 5
        before, values = landscape(points), []
        for iterations in (1, 3, 30, 400):
            values.append(landscape(landscape.polish(points, iterations)))
        for earlier, later in itertools.pairwise([before, *values]):
            assert (later <= earlier).all()

    @pytest.mark.parametrize("landscape", [*map(get, LANDSCAPES), two_well(10)], ids=[*LANDSCAPES, "ten dimensions"])
    def test_a_descent_that_is_near_enough_is_over_and_the_others_go_on(self, landscape):
        points = torch.cat([landscape.sample_starts(300, torch.Generator().manual_seed(3)), points_beside(landscape)])
        minima = landscape.nearest(landscape.polish(points))[0]
        for iterations in (1, 40, 80, 400):
            whole, short = (landscape.polish(points, iterations, enough) for enough in (0.0, 5e-4))
            index, left = landscape.nearest(short)
            over = left <= 5e-4
            assert torch.equal(index[over], minima[over])
            assert torch.equal(short[~over], whole[~over])
        assert over[:300].all()
        assert not torch.equal(short, whole)

    def test_leaves_its_argument_and_what_is_not_finite(self):
        points = torch.tensor([[math.nan, 0.0], [math.inf, 1.0], [3.1, 2.1]], dtype=torch.float64)
        kept = points.clone()
        polished = get("himmelblau").polish(points)
        assert torch.equal(points.nan_to_num(7), kept.nan_to_num(7))
        assert torch.equal(polished[:2].nan_to_num(7), kept[:2].nan_to_num(7))
        assert polished[2].numpy() == pytest.approx([3, 2], abs=1e-12)

    def test_nearest_is_the_plain_distance(self):
        landscape, points = get("six-hump-camel"), random_points(get("six-hump-camel"), 50)
        locations = np.array([m.location for m in landscape.minima])
        distance = np.linalg.norm(points.numpy()[:, None] - locations, axis=-1)
        index, nearest = landscape.nearest(points)
        assert index.tolist() == distance.argmin(1).tolist()
        np.testing.assert_allclose(nearest, distance.min(1), rtol=1e-12)


def flow_end(flow, start: np.ndarray, time: float = 40.0) -> np.ndarray:
    """Integrate a flow with LSODA and return where it is in the end."""
    return scipy.integrate.odeint(flow, start, [0.0, time], rtol=1e-7, atol=1e-9, mxstep=20000)[-1]


class TestTwoWell:
    @pytest.mark.parametrize("options", WELLS.values(), ids=WELLS)
    def test_value_and_gradient_are_the_stated_formula(self, options):
        landscape = two_well(**options)
        points = random_points(landscape, 100)
        expected = [well(p, **options) for p in points.numpy()]
        np.testing.assert_allclose(landscape(points), [v for v, _ in expected], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(landscape.gradient(points), [g for _, g in expected], rtol=1e-11, atol=1e-11)

    @pytest.mark.parametrize("options", WELLS.values(), ids=WELLS)
    def test_minima_are_exact(self, options):
        landscape = two_well(**options)
        depth, height = options.get("depth", 0.0), options.get("height", 1.0)
        others = landscape.dimension - 1
        by_side = {m.location: m for m in landscape.minima}
        for side, value, k in zip((-1.0, 1.0), (0.0, depth), options.get("curvatures", (2.0, 20.0)), strict=True):
            m = by_side[(side, *(0.0,) * others)]
            assert m.value == value
            assert m.eigenvalues == pytest.approx(sorted([8 * height, *[k] * others]), abs=1e-10)
            assert m.kind == ("global" if value == min(0.0, depth) else "local")

    @pytest.mark.parametrize("options", WELLS.values(), ids=WELLS)
    def test_barriers_are_the_highest_value_between_the_wells(self, options):
        landscape = two_well(**options)
        line = np.zeros((20001, landscape.dimension))
        line[:, 0] = np.linspace(-1, 1, 20001)
        top = max(well(p, **options)[0] for p in line)
        for m in landscape.minima:
            assert m.barrier == pytest.approx(top - m.value, abs=1e-6)

    def test_depth_and_width_are_independent(self):
        narrow, wide = (2.0, 50.0), (2.0, 5.0)
        plain, deep = ({m.location[0]: m for m in two_well(curvatures=narrow, depth=d).minima} for d in (0.0, -0.7))
        assert all(plain[side].eigenvalues == pytest.approx(deep[side].eigenvalues, abs=1e-10) for side in plain)
        values = [{m.location[0]: m.value for m in two_well(curvatures=k, depth=0.3).minima} for k in (narrow, wide)]
        assert values[0] == values[1] == {-1.0: 0.0, 1.0: 0.3}
        axis = torch.stack([torch.linspace(-2, 2, 101), torch.zeros(101)], -1).double()
        assert torch.equal(two_well(curvatures=narrow)(axis), two_well(curvatures=wide)(axis))

    @pytest.mark.slow
    @pytest.mark.parametrize("options", WELLS.values(), ids=WELLS)
    def test_gradient_flow_splits_the_starts_in_halves(self, options):
        landscape = two_well(**options)
        starts = landscape.sample_starts(400, torch.Generator().manual_seed(3))
        assert starts[:, 1:].norm(dim=1).max() <= 1 + 1e-12
        right = [flow_end(lambda w, t: [-g for g in well(w, **options)[1]], start)[0] > 0 for start in starts.numpy()]
        low, high = scipy.stats.binom(400, 0.5).interval(0.999)
        assert low <= sum(right) <= high

    @pytest.mark.parametrize("options", WELLS.values(), ids=WELLS)
    def test_starts_lie_as_far_from_the_separatrix_on_either_side(self, options):
        """At ‖y‖ = r the separatrix is found by bisection of the flow; starts there reach 1 to each side of it."""
        landscape = two_well(**options)
        starts = landscape.sample_starts(40000, torch.Generator().manual_seed(4)).numpy()
        radius = np.linalg.norm(starts[:, 1:], axis=1)
        for r in (0.3, 0.95):
            low, high = -2.0, 2.0
            for _ in range(30):
                middle = (low + high) / 2
                start = np.array([middle, r, *np.zeros(landscape.dimension - 2)])
                right = flow_end(lambda w, t: [-g for g in well(w, **options)[1]], start)[0] > 0
                low, high = (low, middle) if right else (middle, high)
            near = starts[np.abs(radius - r) < 0.02, 0]
            if len(near) > 200:
                assert near.min() == pytest.approx(high - 1, abs=0.1)
                assert near.max() == pytest.approx(high + 1, abs=0.1)
                assert near.mean() == pytest.approx(high, abs=4 * 0.58 / len(near) ** 0.5 + 0.02)

    def test_starts_are_uniform_in_the_ball(self):
        starts = two_well(5).sample_starts(4000, torch.Generator().manual_seed(5))[:, 1:]
        assert scipy.stats.kstest((starts.norm(dim=1) ** 4).numpy(), "uniform").pvalue > 0.01
        assert starts.mean(0).abs().max() < 4 / math.sqrt(4000)

    @pytest.mark.parametrize(
        "options",
        [
            {"dimension": 1},
            {"dimension": 0},
            {"height": 0.0},
            {"height": -1.0},
            {"height": math.inf},
            {"height": math.nan},
            {"curvatures": (0.0, 1.0)},
            {"curvatures": (1.0, -1.0)},
            {"curvatures": (1.0, math.nan)},
            {"curvatures": (math.inf, 1.0)},
            {"curvatures": (1.0, 2.0, 3.0)},
            {"curvatures": (1.0,)},
            {"depth": math.nan},
            {"depth": math.inf},
            {"depth": 101.0},
            {"depth": -5.0, "height": 0.01},
        ],
    )
    def test_bad_parameters_are_refused(self, options):
        with pytest.raises(ValueError, match=r"must be"):
            two_well(**options)

    def test_domain_given_is_used_instead(self):
        starts = two_well(3).sample_starts(500, torch.Generator().manual_seed(0), ((-9, -8), (3, 4), (0, 1)))
        assert ((starts > torch.tensor([-9, 3, 0])) & (starts < torch.tensor([-8, 4, 1]))).all()


class TestStarts:
    @pytest.mark.parametrize("name", PLANE)
    def test_are_uniform_over_the_domain(self, name):
        landscape = get(name)
        starts = landscape.sample_starts(4000, torch.Generator().manual_seed(0)).numpy()
        for column, (low, high) in zip(starts.T, landscape.domain, strict=True):
            assert scipy.stats.kstest((column - low) / (high - low), "uniform").pvalue > 0.01

    @pytest.mark.parametrize(
        "domain",
        [
            ((0, 1),),
            ((0, 1),) * 3,
            ((1, 0), (0, 1)),
            ((0, 0), (0, 1)),
            ((0, math.nan), (0, 1)),
            ((-math.inf, 1), (0, 1)),
        ],
    )
    def test_bad_domains_are_refused(self, domain):
        with pytest.raises(ValueError, match="domain must be 2 finite pairs"):
            get("himmelblau").sample_starts(5, torch.Generator(), domain)

    def test_an_unknown_name_is_answered_with_the_nearest(self):
        with pytest.raises(UsageError, match="did you mean 'himmelblau'"):
            get("himelblau")
