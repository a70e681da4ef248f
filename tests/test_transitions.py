"""Where algorithms end against gradient descent: closed forms, identities, and what is written of a sweep."""

import itertools

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from statsmodels.stats.contingency_tables import mcnemar

from popview.landscapes import get, two_well
from popview.landscapes.restarts import sample, sample_each
from popview.landscapes.transitions import landscape_of, places, sweep_settings, traced, transitions
from popview.statistics import paired_change

ALGORITHMS = ("NiG-GD", "NiM-GD", "SAM", "NiG-BH", "NiM-BH")


class TestPlaces:
    def test_sam_stays_at_the_saddle_where_its_look_reaches_across_it(self):
        """On the axis f' has the sign of −x between the wells: a look ρ uphill from |x| < ρ sees the other side."""
        rho, lr = 0.3, 0.01
        line = ((-1.0, 1.0), (-1e-9, 1e-9))
        s = sample("two-well", "SAM", 400, iterations=600, domain=line, lr=lr, rho=rho, normalized=True)
        x, place = s.starts[:, 0], places(s)
        assert (place[x.abs() < rho - lr] == 2).all()
        away = x.abs() > rho + lr
        assert (place[away] == (x[away] > 0).long()).all()
        assert 0.2 < (place == 2).double().mean() < 0.4

    @pytest.mark.parametrize(("lr", "rho"), [(0.01, 0.3), (0.03, 0.05)])
    def test_sam_bounces_across_a_well_by_its_look(self, lr, rho):
        """Across curvature k a step is η k (|y| + ρ) towards 0, which leads to −y where |y| = ηkρ / (2 − ηk)."""
        s = sample(landscape_of("two-well", ratio=20.0), "SAM", 60, iterations=1500, lr=lr, rho=rho)
        narrow = (places(s) == 1) & (s.starts[:, 0] > 0.8)
        assert narrow.any()
        assert s.ends[narrow][:, 1].abs().numpy() == pytest.approx(40 * lr * rho / (2 - 40 * lr), rel=0.02)

    def test_minima_none_and_diverged(self):
        surface = get("two-well")
        s = sample(surface, "GD", 5, iterations=1)
        ends = torch.tensor([[-1.0, 0.3], [1.3, 0.0], [0.1, 0.0], [-0.15, 0.4], [torch.nan, 0.0]], dtype=torch.float64)
        at = surface.nearest(surface.polish(ends.nan_to_num()))[0]
        object.__setattr__(s, "ends", ends)
        object.__setattr__(s, "basin", at)
        object.__setattr__(s, "diverged", ends.isnan().any(-1))
        assert places(s).tolist() == [0, 1, 2, 2, 3]

    def test_on_the_papers_landscapes_minima_are_their_own(self):
        for name in ("himmelblau", "three-hump-camel", "six-hump-camel"):
            s = sample(name, "GD", 6, iterations=1)
            found = s.landscape.minima
            ends = torch.tensor([m.location for m in found], dtype=torch.float64)
            for field, value in (("ends", ends), ("basin", torch.arange(len(found)))):
                object.__setattr__(s, field, value)
            object.__setattr__(s, "diverged", torch.zeros(len(found), dtype=torch.bool))
            assert places(s).tolist() == list(range(len(found)))


class TestTransitions:
    def test_counts_are_those_of_a_loop(self):
        began, ended = (sample("six-hump-camel", name, 300, lr=0.02, seed=2) for name in ("GD", "SAM"))
        expected = np.zeros((8, 8), int)
        for a, b in zip(places(began).tolist(), places(ended).tolist(), strict=True):
            expected[a, b] += 1
        assert (transitions(began, ended) == expected).all()

    def test_other_starts_are_refused(self):
        with pytest.raises(ValueError, match="the same starts"):
            transitions(*(sample("himmelblau", "GD", 5, iterations=1, seed=seed) for seed in (0, 1)))

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("normalized", [True, False])
    def test_noise_of_no_size_moves_nothing(self, algorithm, normalized):
        setting = {"rho": 0.0, "lr": 0.01, "normalized": normalized}
        row = sweep_settings(
            algorithm, [setting], landscape=landscape_of("two-well", ratio=5.0), restarts=60, iterations=300
        )[0]
        assert np.trace(row["transitions"]) == 60

    def test_a_setting_gives_what_it_gives_alone(self):
        surface = landscape_of("two-well", ratio=5.0, depth=-0.3)
        common = {"landscape": surface, "restarts": 40, "iterations": 300}
        many = [{"rho": rho, "lr": lr, "tau": 20} for rho, lr in itertools.product((0.3, 1.0, 2.0), (0.01, 0.02))]
        for setting, row in zip(many, sweep_settings("NiM-BH", many, **common), strict=True):
            alone = sample(algorithm="NiM-BH", **common, **setting)
            plain = sample(algorithm="GD", **common, lr=setting["lr"])
            assert (row["transitions"] == transitions(plain, alone)).all()
            assert row["hops_tried"] == alone.hops_tried.double().mean()


class TestPreference:
    @pytest.mark.slow
    @pytest.mark.parametrize("ratio", [1.0, 5.0])
    def test_noise_in_raw_gradients_visits_wells_as_boltzmann_says(self, ratio):
        """Steps η (g + ζ) are Langevin dynamics of temperature η ρ² / (2 (d + 2)): ζ varies by ρ² / (d + 2)."""
        lr, rho = 0.01, 20.0
        surface, temperature = two_well(2, 0.0, (2.0, 2.0 * ratio)), lr * rho**2 / 8
        s = sample(surface, "NiG-GD", 4000, iterations=4000, lr=lr, rho=rho)

        def density(x: float) -> float:
            t = min(max((x + 1) / 2, 0.0), 1.0)
            across = 2 + 2 * (ratio - 1) * (6 * t**5 - 15 * t**4 + 10 * t**3)
            return float(np.exp(-((x * x - 1) ** 2) / temperature) / across**0.5)

        left, right = (scipy.integrate.quad(density, *ends)[0] for ends in ((-3, 0), (0, 3)))
        share = float((s.ends[:, 0] < 0).double().mean())
        assert share == pytest.approx(left / (left + right), abs=0.035)
        assert abs(share - 0.5) < 0.03 if ratio == 1 else share > 0.6

    def test_between_equal_wells_there_is_none(self):
        for algorithm, rho in (("NiM-BH", 1.0), ("NiG-BH", 100.0)):
            row = sweep_settings(
                algorithm, [{"rho": rho}], landscape=landscape_of("two-well"), restarts=1500, iterations=400, lr=0.01
            )[0]
            counts = row["transitions"]
            moved = int(counts[0, 1] + counts[1, 0])
            assert moved > 100
            assert scipy.stats.binomtest(int(counts[0, 1]), moved).pvalue > 1e-3


class TestTies:
    """Monotonic hops between wells: the narrow one comes nearer to its bottom, and depth overrules that."""

    @pytest.mark.parametrize(("height", "wide"), [(0.0, False), (0.001, True)])
    def test_a_tie_is_broken_by_what_is_left_of_the_descent(self, height, wide):
        surface = landscape_of("two-well", ratio=20.0, depth=height)
        s = sample(surface, "NiM-MBH", 200, iterations=1000, lr=0.01, rho=3.0, tau=200, normalized=False)
        share = (places(s) == 0).float().mean()
        assert share > 0.9 if wide else share < 0.4


class TestPenalty:
    """Two wells of which the narrow one is 0.3 deeper and 8 sharper are worth the same at a weight of 0.3 / 8."""

    @pytest.mark.slow
    @pytest.mark.parametrize(("weight", "deep"), [(0.0, True), (0.03, True), (0.045, False), (0.06, False)])
    def test_hops_trade_depth_for_flatness_where_they_are_worth_the_same(self, weight, deep):
        surface = landscape_of("two-well", ratio=5.0, depth=-0.3)
        s = sample(surface, "NiM-MBH", 100, iterations=2500, lr=0.02, rho=2.0, penalty=traced(weight))
        counts = torch.bincount(places(s), minlength=4).tolist()
        assert counts[0 if deep else 1] >= 95

    def test_of_weight_zero_changes_nothing(self):
        plain, zero = (
            sample("himmelblau", "NiM-MBH", 50, iterations=300, rho=2.0, **more)
            for more in ({}, {"penalty": traced(0)})
        )
        assert plain.ends.equal(zero.ends)

    def test_settings_with_different_ones_are_different_populations(self):
        weights = [traced(0.0), traced(0.2)]
        surface = landscape_of("two-well", ratio=5.0, depth=-0.3)
        common = {"landscape": surface, "restarts": 30, "iterations": 500, "rho": 2.0, "lr": 0.02}
        both = sample_each("NiM-MBH", [{"penalty": penalty} for penalty in weights], **common)
        for penalty, s in zip(weights, both, strict=True):
            assert s.ends.equal(sample(algorithm="NiM-MBH", penalty=penalty, **common).ends)

    def test_is_the_trace(self):
        surface = landscape_of("two-well", ratio=5.0)
        points = torch.tensor([m.location for m in surface.minima], dtype=torch.float64)
        assert traced(0.5)(surface, points).tolist() == pytest.approx([5.0, 9.0])


class TestPairedChange:
    def test_p_values_are_mcnemars(self):
        gains, losses = [6, 0, 3, 12, 0, 7], [0, 0, 3, 5, 1, 20]
        found = paired_change(gains, losses, [100] * 6)
        expected = [mcnemar([[0, a], [b, 0]], exact=True).pvalue for a, b in zip(gains, losses, strict=True)]
        assert found.p_value == pytest.approx(expected)
        assert found.estimate == pytest.approx([(a - b) / 100 for a, b in zip(gains, losses, strict=True)])

    @pytest.mark.parametrize(("gain", "loss"), [(0.005, 0.0), (0.02, 0.0), (0.03, 0.01), (0.1, 0.05), (0.3, 0.3)])
    @pytest.mark.parametrize("restarts", [100, 300, 500])
    def test_intervals_cover_as_the_docstring_says(self, gain, loss, restarts):
        """Summed over all outcomes that have any probability to speak of."""
        gains = np.arange(restarts + 1)
        counts = np.array([(b, c) for b in gains for c in range(restarts + 1 - b)])
        rest = restarts - counts.sum(axis=1)
        probability = scipy.stats.multinomial.pmf(
            np.column_stack([counts, rest]), restarts, [gain, loss, 1 - gain - loss]
        )
        likely = probability > 1e-9
        found = paired_change(*counts[likely].T, np.full(likely.sum(), restarts))
        covered = (found.low <= gain - loss) & (gain - loss <= found.high)
        assert probability[likely][covered].sum() >= 0.935

    def test_impossible_counts_are_refused(self):
        for counts in (([-1], [0], [5]), ([3], [3], [5])):
            with pytest.raises(ValueError, match="gains and losses"):
                paired_change(*counts)
        assert np.isnan(paired_change([0], [0], [0]).estimate).all()
