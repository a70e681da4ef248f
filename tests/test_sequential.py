"""Looks at accumulating restarts, crossed intervals and dyads, against other implementations and simulations."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import statsmodels.api as sm
from statsmodels.formula.api import ols

from popview import topography
from popview.statistics import crossed_mean, dyadic_mean, look_levels, sequential_holm, spent, spread_of_scores


class TestLookLevels:
    def test_are_the_published_boundaries_of_three_equal_looks(self) -> None:
        # gsDesign's sfLDPocock, three looks, two-sided 5 %: 2.279, 2.295, 2.296
        bounds = scipy.stats.norm.isf(np.array(look_levels([10, 20, 30], 0.05)) / 2)
        assert np.allclose(bounds, [2.279, 2.295, 2.296], atol=5e-4)

    @pytest.mark.parametrize("sizes", [[10, 20, 30], [5, 30], [10, 12, 40]])
    @pytest.mark.parametrize("two_sided", [True, False])
    def test_spend_what_the_normal_distribution_of_scipy_says(self, sizes: list[int], two_sided: bool) -> None:
        level = 0.04
        p = np.array(look_levels(sizes, level, two_sided=two_sided))
        bounds = scipy.stats.norm.isf(p / (1 + two_sided))
        covariance = np.sqrt([[min(a, b) / max(a, b) for a in sizes] for b in sizes])
        for looks in range(1, len(sizes) + 1):
            lower = -bounds[:looks] if two_sided else np.full(looks, -np.inf)
            inside = scipy.stats.multivariate_normal(cov=covariance[:looks, :looks], seed=0).cdf(
                bounds[:looks], lower_limit=lower
            )
            assert 1 - inside == pytest.approx(spent(sizes[looks - 1] / sizes[-1], level), abs=3e-5)

    def test_a_single_look_has_the_whole_level(self) -> None:
        assert look_levels([10], 0.05) == pytest.approx([0.05])

    def test_keep_the_level_on_t_tests_of_ten_restarts_and_more(self) -> None:
        draws = np.random.default_rng(0).standard_normal((20_000, 30))
        p = np.stack([scipy.stats.ttest_1samp(draws[:, :n], 0, axis=1).pvalue for n in (10, 20, 30)])
        rejected = (p <= np.array(look_levels([10, 20, 30], 0.05))[:, None]).any(0).mean()
        assert rejected == pytest.approx(0.05, abs=0.005)

    @pytest.mark.parametrize("sizes", [[], [10, 10], [20, 10], [1, 5]])
    def test_refuses_looks_that_do_not_grow(self, sizes: list[int]) -> None:
        with pytest.raises(ValueError, match="restarts must be numbers from 2 that grow"):
            look_levels(sizes, 0.05)


class TestSequentialHolm:
    def test_is_holm_where_there_is_one_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from statsmodels.stats.multitest import multipletests

        monkeypatch.setattr("gc.collect", lambda: 0)  # statsmodels calls it each time: 100 s in all
        for p in np.random.default_rng(1).uniform(0, 0.06, (200, 4)):
            expected = multipletests(p, 0.05, method="holm")[0]
            assert [look == 0 for look in sequential_holm([p], [10], 0.05)] == expected.tolist()

    def test_keeps_the_familywise_level_over_looks(self) -> None:
        draws = np.random.default_rng(2).standard_normal((4_000, 2, 30))
        p = np.stack([scipy.stats.ttest_1samp(draws[..., :n], 0, axis=2).pvalue for n in (10, 20, 30)], axis=1)
        wrong = [any(look is not None for look in sequential_holm(one, [10, 20, 30], 0.05)) for one in p]
        assert np.mean(wrong) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p))

    def test_a_rejection_stays_and_what_is_left_has_the_whole_level(self) -> None:
        half, whole = look_levels([10, 20], 0.025), look_levels([10, 20], 0.05)
        first = [half[0] * 0.99, whole[0] * 1.01]
        assert sequential_holm([first], [10, 20], 0.05) == [0, None]
        assert sequential_holm([first, [0.9, whole[1] * 0.99]], [10, 20], 0.05) == [0, 1]
        assert sequential_holm([[half[0] * 1.01, whole[0] * 0.99]], [10, 20], 0.05) == [None, None]

    def test_refuses_more_looks_than_planned(self) -> None:
        with pytest.raises(ValueError, match="1 looks or fewer"):
            sequential_holm([[0.1], [0.1]], [10], 0.05)


class TestCrossedMean:
    def test_its_mean_squares_are_those_of_statsmodels(self) -> None:
        table = np.random.default_rng(3).normal(size=(6, 9)) + np.arange(6)[:, None] + np.arange(9) / 2
        long = pd.DataFrame(
            [{"restart": i, "example": j, "value": table[i, j]} for i, j in itertools.product(range(6), range(9))]
        )
        squares = sm.stats.anova_lm(ols("value ~ C(restart) + C(example)", long).fit())
        rows, columns, rest = squares["sum_sq"] / squares["df"]
        variance = (rows + columns - rest) / table.size
        freedom = (rows + columns - rest) ** 2 / (rows**2 / 5 + columns**2 / 8 + rest**2 / 40)
        low, high = scipy.stats.t.interval(0.95, freedom, table.mean(), np.sqrt(variance))
        assert crossed_mean(table).interval == pytest.approx((low, high))

    @pytest.mark.parametrize(("restart_sd", "example_sd"), [(1.0, 0.0), (0.0, 3.0), (1.0, 3.0)])
    def test_holds_the_truth_as_often_as_it_says(self, restart_sd: float, example_sd: float) -> None:
        generator, held = np.random.default_rng(4), 0
        for _ in range(1_500):
            table = (
                restart_sd * generator.standard_normal((10, 1))
                + example_sd * generator.standard_normal((1, 60))
                + 3 * generator.standard_normal((10, 60))
            )
            low, high = crossed_mean(table).interval or (0, 0)
            held += low <= 0 <= high
        assert 0.94 <= held / 1_500 <= 0.985

    def test_is_wider_than_the_interval_over_restarts_where_examples_matter(self) -> None:
        generator = np.random.default_rng(5)
        table = generator.standard_normal((1, 200)) + 0.5 * generator.standard_normal((10, 200))
        alone = scipy.stats.t.interval(0.95, 9, table.mean(), scipy.stats.sem(table.mean(1)))
        low, high = crossed_mean(table).interval or (0, 0)
        assert high - low > 2 * (alone[1] - alone[0])

    def test_refuses_a_vector(self) -> None:
        with pytest.raises(ValueError, match="must be \\(restarts, examples\\)"):
            crossed_mean([0.1, 0.2])


class TestSpreadOfScores:
    def test_independent_errors_give_the_spread_that_is_expected(self) -> None:
        generator = np.random.default_rng(6)
        chance = generator.uniform(size=500)
        observed, expected = spread_of_scores(generator.uniform(size=(4_000, 500)) < chance)
        truth = np.sqrt((chance * (1 - chance)).sum()) / 500
        assert expected == pytest.approx(truth, rel=0.02)
        assert observed == pytest.approx(truth, rel=0.05)

    def test_restarts_that_are_better_everywhere_scatter_more(self) -> None:
        generator = np.random.default_rng(7)
        level = generator.uniform(0.3, 0.9, (200, 1))
        observed, expected = spread_of_scores(generator.uniform(size=(200, 500)) < level)
        assert observed > 5 * expected

    def test_refuses_probabilities(self) -> None:
        with pytest.raises(ValueError, match="0 and 1 only"):
            spread_of_scores([[0.5, 1], [0, 1]])


def over_pairs_of_pairs(values: np.ndarray, pairs: np.ndarray) -> tuple[float, float]:
    """The interval by a loop: products of the residuals of all pairs of pairs with a common member, each once."""
    residuals, members = values - values.mean(), [set(pair.tolist()) for pair in pairs]
    places = itertools.product(range(len(values)), repeat=2)
    variance = sum(residuals[p] * residuals[q] for p, q in places if members[p] & members[q])
    freedom = len(set.union(*members)) - 1
    return scipy.stats.t.interval(0.95, freedom, values.mean(), np.sqrt(variance) / len(values))


class TestDyadicMean:
    def test_is_the_sum_over_all_pairs_of_pairs_that_share_a_member(self) -> None:
        generator = np.random.default_rng(8)
        pairs = np.array(list(itertools.combinations(range(7), 2)))[generator.permutation(21)[:15]]
        share = generator.normal(size=7)
        values = share[pairs].sum(1) + 0.1 * generator.normal(size=15)
        assert dyadic_mean(values, pairs).interval == pytest.approx(over_pairs_of_pairs(values, pairs))

    def test_of_pairs_in_both_orders_each_pair_of_pairs_is_counted_once(self) -> None:
        """As of two algorithms' models from different seeds: (0, 1) and (1, 0) are two values of the same two seeds."""
        generator = np.random.default_rng(12)
        pairs = np.array(list(itertools.permutations(range(5), 2)))
        values = generator.normal(size=5)[pairs].sum(1) + generator.normal(size=20)
        assert dyadic_mean(values, pairs).interval == pytest.approx(over_pairs_of_pairs(values, pairs))

    def test_holds_the_truth_where_heights_are_sums_of_two_solutions_shares(self) -> None:
        generator, held, independent = np.random.default_rng(9), 0, 0
        everyone = np.array(list(itertools.combinations(range(24), 2)))
        for _ in range(1_000):
            pairs = everyone[generator.permutation(len(everyone))[:50]]
            values = generator.normal(size=24)[pairs].sum(1)
            low, high = dyadic_mean(values, pairs).interval or (0, 0)
            held += low <= 0 <= high
            low, high = scipy.stats.t.interval(0.95, 49, values.mean(), scipy.stats.sem(values))
            independent += low <= 0 <= high
        assert held / 1_000 >= 0.9
        assert independent / 1_000 <= 0.75

    def test_holds_the_truth_where_pairs_vary_more_than_solutions_do_and_is_no_wider_than_the_bootstrap(self) -> None:
        """Each pair's own noise, beside its solutions' shares: what the bootstrap over solutions is too wide for."""
        generator, held, widths = np.random.default_rng(10), 0, []
        everyone = np.array(list(itertools.combinations(range(24), 2)))
        for trial in range(600):
            pairs = everyone[generator.permutation(len(everyone))[:50]]
            values = 0.3 * generator.normal(size=24)[pairs].sum(1) + generator.normal(size=50)
            low, high = dyadic_mean(values, pairs).interval or (0, 0)
            held += low <= 0 <= high
            if trial < 40:
                wide = topography.mean(values, pairs, resamples=1_000).interval or (0, 0)
                widths.append((high - low) / (wide[1] - wide[0]))
        assert 0.9 <= held / 600 <= 0.97
        assert np.mean(widths) < 0.9

    def test_refuses_a_pair_of_one_member(self) -> None:
        with pytest.raises(ValueError, match="joins a member with itself"):
            dyadic_mean([1.0, 2.0], [[0, 0], [1, 2]])
