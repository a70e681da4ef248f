"""Restarts as one population: symmetry, common starts, divergence, counts; and the same numbers one by one."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from helpers import same

from popview.common.errors import UsageError
from popview.common.seeds import generator, stream
from popview.landscapes import LANDSCAPES, Landscape, get, two_well
from popview.landscapes.passes import lowest_passes
from popview.landscapes.restarts import FAR, sample, sample_each
from popview.optimizers import ALGORITHMS, make

SQUARE = ((-5.0, 5.0), (-5.0, 5.0))
#: Every algorithm of Table 1 with settings under which it does what it is named for.
SETTINGS: dict[str, dict[str, Any]] = {
    "GD": {},
    "NiG-GD": {"rho": 0.1},
    "NiM-GD": {"rho": 0.1, "tau": 20, "epsilon": 0.05},
    "SAM": {"rho": 0.1},
    "NiG-BH": {"rho": 0.1, "tau": 20},
    "NiM-BH": {"rho": 0.1, "tau": 20},
    "NiG-MBH": {"rho": 0.1, "tau": 20},
    "NiM-MBH": {"rho": 0.1, "tau": 20},
}


def small_step(algorithm: str, **options: Any) -> dict[str, Any]:
    return {"lr": 0.005, **SETTINGS[algorithm], **options}


class TestSymmetry:
    """Mirrored minima are hit equally often: given the pair, the first one's count is binomial with probability ½."""

    @pytest.mark.slow
    @pytest.mark.parametrize("algorithm", ["GD", "NiG-GD", "NiM-BH"])
    @pytest.mark.parametrize("name", ["six-hump-camel", "three-hump-camel"])
    def test_pairs_are_equal(self, name, algorithm):
        s = sample(name, algorithm, 20_000, iterations=200, seed=3, **small_step(algorithm))
        minima = s.landscape.minima
        mirrored = [(i, i + 1) for i in range(len(minima) - 1) if minima[i].location[0] < 0]
        assert len(mirrored) == len(minima) // 2
        for counts in (s.counts_by_basin(), s.counts_by_radius(0.1)):
            for first, second in mirrored:
                both = int(counts[first] + counts[second])
                low, high = scipy.stats.binom(both, 0.5).interval(0.9999)
                assert both > 100
                assert low <= int(counts[first]) <= high

    def test_mirrored_starts_end_mirrored(self):
        landscape = get("six-hump-camel")
        starts = random_starts(500)
        ends = [descend("GD", landscape, side * starts, 300, normalized=True) for side in (1, -1)]
        assert torch.equal(ends[0], -ends[1])


class TestWithoutKnownMinima:
    """Restarts on a landscape of which nothing but the domain is known are in no basin, or have diverged."""

    def test_restarts_are_in_no_basin(self):
        bowl = Landscape("bowl", "x² + y²", lambda w: ((w * w).sum(-1), 2 * w), SQUARE)
        s = sample(bowl, "GD", 7, iterations=50, lr=0.1)
        assert s.counts_by_basin().tolist() == s.counts_by_radius(1.0).tolist() == [7, 0]
        assert (s.nearest == -1).all()
        assert torch.isinf(s.distance).all()
        diverged = sample(bowl, "GD", 7, iterations=50, lr=10.0)
        assert diverged.counts_by_basin().tolist() == [0, 7]

    def test_minima_without_saddles_are_walled_in(self):
        double = get("himmelblau")
        known = Landscape("two of four", double.formula, double.value_and_gradient, SQUARE, guesses=double.guesses[:2])
        assert [m.location for m in known.minima] == [m.location for m in double.minima[:2]]
        assert [m.barrier for m in known.minima] == [math.inf, math.inf]
        heights = lowest_passes(known)
        assert torch.isinf(heights[0, 1])
        assert heights.diagonal().tolist() == [m.value for m in known.minima]
        assert int(sample(known, "GD", 40, iterations=200, lr=0.01, seed=1).counts_by_basin().sum()) == 40


class TestCommonStarts:
    def test_are_the_same_for_every_algorithm_and_setting(self):
        expected = sample("himmelblau", "GD", 50, iterations=1).starts
        for algorithm, options in SETTINGS.items():
            for more in ({"lr": 0.3}, {"lr": 1e-4}):
                s = sample("himmelblau", algorithm, 50, iterations=2, **options, **more)
                assert torch.equal(s.starts, expected)
        assert not torch.equal(sample("himmelblau", "GD", 50, iterations=1, seed=1).starts, expected)

    def test_of_few_restarts_are_the_first_of_many(self):
        few, many = (sample("himmelblau", "GD", n, iterations=1).starts for n in (10, 100))
        assert torch.equal(few, many[:10])

    def test_noise_has_a_stream_of_its_own(self):
        drawn = []

        def noise(models: list[torch.Tensor], source: torch.Generator) -> list[torch.Tensor]:
            drawn.append(torch.rand(models[0].shape, dtype=torch.float64, generator=source))
            return [torch.zeros_like(m) for m in models]

        s = sample("himmelblau", "NiG-GD", 5000, iterations=2, domain=((0, 1), (0, 1)), noise=noise, lr=1e-3)
        for a in drawn:
            for first in a.T:
                for second in s.starts.T:
                    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / math.sqrt(5000)
                    assert not set(first.tolist()) & set(second.tolist())

    def test_streams_differ_by_name_and_seed(self):
        names = ("starts", "noise", "split", "order/0", "order/1", "initialisation")
        seeds = {stream(seed, name) for seed in range(200) for name in names}
        assert len(seeds) == 200 * len(names)
        assert all(0 <= s < 2**63 for s in seeds)
        assert stream(0, "starts") == 6662061020852157275  # sha256sum of "0/starts", its first 63 bits
        first, second = (torch.rand(5000, generator=generator(s, "starts")).numpy() for s in (0, 1))
        assert abs(np.corrcoef(first, second)[0, 1]) < 4 / math.sqrt(5000)

    @pytest.mark.parametrize("algorithm", SETTINGS)
    def test_the_same_call_gives_the_same_ends(self, algorithm):
        a, b = (sample("six-hump-camel", algorithm, 40, iterations=60, **small_step(algorithm)) for _ in range(2))
        assert torch.equal(a.ends, b.ends)
        other = sample("six-hump-camel", algorithm, 40, iterations=60, seed=1, **small_step(algorithm))
        assert not torch.equal(a.ends, other.ends)


class TestDivergence:
    """With the raw gradient and η = 0.1 on [−5, 5]² the steep outskirts throw points to infinity."""

    @pytest.mark.parametrize("algorithm", SETTINGS)
    @pytest.mark.parametrize("name", ["himmelblau", "three-hump-camel", "six-hump-camel"])
    def test_is_counted_apart_and_leaks_nowhere(self, name, algorithm):
        options = {**SETTINGS[algorithm], "lr": 0.1, "domain": SQUARE}
        s = sample(name, algorithm, 400, iterations=100, **options)
        lost = ~torch.isfinite(s.ends).all(1) | (s.ends.norm(dim=1) > FAR)
        assert lost.any()
        assert torch.equal(s.diverged, lost)
        for counts in (s.counts_by_basin(), s.counts_by_radius(0.1), s.counts_by_radius(1e9)):
            assert counts.sum() == 400
            assert (counts >= 0).all()
            assert counts[-1] == lost.sum()
        assert torch.isfinite(s.distance).all()
        assert s.nearest.min() >= 0
        assert s.basin.max() < len(s.landscape.minima)

    def test_one_lost_point_does_not_touch_the_others(self):
        landscape = get("six-hump-camel")
        starts = random_starts(20)
        starts[7] = torch.tensor([400.0, 300.0])
        for algorithm in ("GD", "SAM"):
            options = {**SETTINGS[algorithm], "lr": 0.02}
            ends = descend(algorithm, landscape, starts, 50, **options)
            assert not torch.isfinite(ends[7]).all()
            others = torch.arange(20) != 7
            assert torch.equal(ends[others], descend(algorithm, landscape, starts[others], 50, **options))

    def test_far_but_finite_counts_as_diverged(self):
        s = sample("two-well", "GD", 30, iterations=1, lr=1e-9, domain=((2 * FAR, 3 * FAR), (0.0, 1.0)))
        assert s.diverged.all()
        assert s.counts_by_basin().tolist() == [0, 0, 0, 30]


class TestCounts:
    @pytest.mark.parametrize("algorithm", SETTINGS)
    @pytest.mark.parametrize("name", LANDSCAPES)
    def test_sum_to_the_restarts(self, name, algorithm):
        s = sample(name, algorithm, 97, iterations=40, **small_step(algorithm))
        for counts in (s.counts_by_basin(), *(s.counts_by_radius(r) for r in (0.0, 0.05, 1.0, 1e9))):
            assert counts.shape == (len(s.landscape.minima) + 2,)
            assert counts.sum() == 97

    def test_by_radius_are_those_of_a_plain_loop(self):
        s = sample("himmelblau", "NiG-GD", 300, iterations=150, rho=20.0, lr=0.01, seed=5)
        locations = np.array([m.location for m in s.landscape.minima])
        for radius in (0.05, 0.1, 0.3):
            expected = [0] * 6
            for end in s.ends.numpy():
                distance = np.linalg.norm(locations - end, axis=1)
                expected[int(distance.argmin()) if distance.min() <= radius else 4] += 1
            assert s.counts_by_radius(radius).tolist() == expected
        assert s.counts_by_radius(0.05)[4] > s.counts_by_radius(0.3)[4] > 0

    def test_settled_points_count_alike_by_radius_and_by_basin(self):
        s = sample("himmelblau", "GD", 300, iterations=1000, lr=0.003)
        assert s.counts_by_basin().tolist() == s.counts_by_radius(1e-3).tolist()
        assert s.counts_by_basin()[-2:].tolist() == [0, 0]

    def test_a_point_on_a_saddle_is_in_no_basin(self):
        landscape = get("six-hump-camel")
        tiny = 1e-30
        s = sample(landscape, "GD", 10, iterations=1, lr=1e-30, domain=((0.0, tiny), (0.0, tiny)))
        assert s.basin.tolist() == [-1] * 10
        assert s.counts_by_basin().tolist() == [0] * 6 + [10, 0]

    @pytest.mark.parametrize(
        ("algorithm", "gradients"), [("GD", 60), ("NiG-GD", 60), ("SAM", 120), ("NiG-BH", 60), ("NiM-MBH", 60)]
    )
    def test_of_evaluations(self, algorithm, gradients):
        s = sample("six-hump-camel", algorithm, 15, iterations=60, **{**small_step(algorithm), "lr": 1e-4})
        assert s.gradient_evaluations.tolist() == [gradients] * 15
        if "BH" in algorithm:  # three searches of 20 steps, of which two are hops, compared at two losses each
            assert s.hops_tried.tolist() == [2] * 15
            assert s.loss_evaluations.tolist() == [4 if "MBH" in algorithm else 0] * 15
        else:
            assert s.noise_triggers.tolist() == [60 if algorithm == "NiG-GD" else 0] * 15

    @pytest.mark.parametrize("algorithm", ["NiG-MBH", "NiM-MBH"])
    def test_a_run_that_ends_in_mid_hop_returns_its_incumbent(self, algorithm):
        """A hop of the second kind is thrown far up here; without `finish` it would be caught on its way down."""
        options = {"lr": 1e-3, "tau": 20, "rho": 2.0 if algorithm == "NiM-MBH" else 2000.0}
        complete, cut = (sample("six-hump-camel", algorithm, 60, iterations=n, **options) for n in (40, 45))
        assert torch.equal(cut.ends, complete.ends)
        assert cut.hops_tried.tolist() == [1] * 60

    def test_recorded_path(self):
        s = sample("himmelblau", "GD", 7, iterations=25, record_every=10, lr=1e-3)
        assert s.path is not None
        assert s.path.shape == (3, 7, 2)
        assert torch.equal(s.path[0], s.starts)
        assert torch.equal(s.path[1], sample("himmelblau", "GD", 7, iterations=10, lr=1e-3).ends)
        assert sample("himmelblau", "GD", 7, iterations=5, lr=1e-3).path is None


class TestPopulation:
    @pytest.mark.parametrize("options", [{}, {"normalized": True}, {"momentum": 0.9}], ids=str)
    @pytest.mark.parametrize("name", LANDSCAPES)
    def test_equals_one_restart_after_another_bit_for_bit(self, name, options):
        s = sample(name, "GD", 12, iterations=120, lr=0.004, seed=2, **options)
        alone = [
            descend("GD", s.landscape, start.unsqueeze(0), 120, population=False, lr=0.004, **options)
            for start in s.starts
        ]
        assert same([s.ends], [torch.cat(alone)])  # one of them diverges with momentum

    def test_equals_plain_descent_written_in_numpy(self):
        s = sample("himmelblau", "GD", 20, iterations=300, lr=0.002, normalized=True)
        for start, end in zip(s.starts.numpy(), s.ends.numpy(), strict=True):
            x, y = start
            for _ in range(300):
                a, b = x**2 + y - 11, x + y**2 - 7
                g = np.array([4 * x * a + 2 * b, 2 * a + 4 * y * b])
                x, y = np.array([x, y]) - 0.002 * g / np.hypot(*g)
            assert end == pytest.approx([x, y], abs=1e-8)

    def test_takes_any_landscape(self):
        s = sample(two_well(4, depth=0.2), "NiM-BH", 30, iterations=60, lr=0.01)
        assert s.ends.shape == (30, 4)
        assert s.counts_by_basin().sum() == 30


class TestSweep:
    """Several settings as one population are each setting's own run, bit for bit."""

    COUNTS = ("gradient_evaluations", "loss_evaluations", "noise_triggers", "hops_tried", "hops_accepted")

    @pytest.mark.slow
    @pytest.mark.parametrize("algorithm", SETTINGS)
    def test_gives_what_each_setting_gives_alone(self, algorithm):
        own = SETTINGS[algorithm]
        settings = [
            {"landscape": "himmelblau", **own, "lr": 0.02, "seed": 4},
            {"landscape": two_well(depth=0.3), **own, "lr": 0.005},
            {"landscape": two_well(10), **own, "lr": 0.01, "restarts": 11},
            {"landscape": "himmelblau", **own, "lr": 0.1, "domain": ((-5.0, 5.0), (-1.0, 5.0))},  # some diverge
            {"landscape": "himmelblau", **own, "lr": 0.02, "normalized": True},
            {"landscape": "himmelblau", "lr": 0.02, **{k: {"tau": 5}.get(k, 3 * v) for k, v in own.items()}},
        ]
        common = {"restarts": 37, "iterations": 60, "record_every": 25}
        together = sample_each(algorithm, settings, **common)
        assert len(together) == len(settings)
        for setting, s in zip(settings, together, strict=True):
            alone = sample(algorithm=algorithm, **{**common, **setting})
            assert s.landscape == alone.landscape
            assert len(s.ends) == setting.get("restarts", 37)
            for name in ("starts", "ends", "path", "nearest", "distance", "basin", "diverged", *self.COUNTS):
                assert same([getattr(s, name)], [getattr(alone, name)]), name

    def test_mistakes_are_those_of_sample(self):
        with pytest.raises(UsageError, match="did you mean 'himmelblau'"):
            sample_each("GD", [{"landscape": "himelblau"}])
        with pytest.raises(ValueError, match="restarts must be 1 or above, got 0"):
            sample_each("GD", [{"landscape": "himmelblau", "restarts": 0}])
        with pytest.raises(TypeError, match="landscape"):
            sample_each("GD", [{"lr": 0.1}])
        with pytest.raises(ValueError, match="lr must be above 0"):
            sample_each("GD", [{"lr": 0.1}, {"lr": -1.0}], landscape="himmelblau")
        assert sample_each("GD", []) == []


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "options", "error", "message"),
        [
            (("himelblau", "GD"), {}, UsageError, "did you mean 'himmelblau'"),
            (("himmelblau", "NiG-MHB"), {}, UsageError, "did you mean 'NiG-MBH'"),
            (("himmelblau", "GD"), {"rh": 0.1}, UsageError, "unknown hyperparameter of GD 'rh'"),
            (("himmelblau", "GD"), {"restarts": 0}, ValueError, "restarts must be 1 or above, got 0"),
            (("himmelblau", "GD"), {"iterations": 0}, ValueError, "iterations must be 1 or above, got 0"),
            (("himmelblau", "GD"), {"lr": -1.0}, ValueError, "lr must be above 0"),
            (("himmelblau", "GD"), {"domain": ((0, 1),)}, ValueError, "domain must be 2 finite pairs"),
        ],
    )
    def test_are_named(self, arguments, options, error, message):
        with pytest.raises(error, match=message):
            sample(*arguments, **options)

    def test_all_of_table_one_can_be_run(self):
        assert set(SETTINGS) <= set(ALGORITHMS)


def random_starts(number: int) -> torch.Tensor:
    return get("six-hump-camel").sample_starts(number, torch.Generator().manual_seed(0))


def descend(
    algorithm: str, landscape: Any, starts: torch.Tensor, iterations: int, *, population: bool = True, **options: Any
) -> torch.Tensor:
    """Run an optimizer on a landscape without `sample`: a population, or one model of shape ``(1, d)``."""
    points = torch.nn.Parameter(starts.clone())
    optimizer = make(algorithm, [points], population=population, **options)

    def closure() -> torch.Tensor:
        value, points.grad = landscape.value_and_gradient(points.detach())
        return value

    for _ in range(iterations):
        optimizer.step(closure)
    return points.detach()
