"""Batches of tests against the same tests called one data set at a time, and what the simulations of chapter 8 show."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from interpreter import printed_by

from popview import statistics
from popview.common.errors import UsageError
from popview.populations import pooled
from popview.statistics import power as designs
from popview.statistics import simulations
from popview.statistics.batched import equivalence_p_values, p_values
from popview.statistics.clustering import simulate_selected

SEED = 20240301


def batches(repeats: int, n_a: int, n_b: int, shift: float = 0.5, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Return two batches of normal data sets, some rows rounded so that they have ties."""
    generator = np.random.default_rng(seed)
    a, b = generator.standard_normal((repeats, n_a)) + shift, generator.standard_normal((repeats, n_b))
    a[::3], b[::3] = a[::3].round(1), b[::3].round(1)
    return a, b


class TestPValues:
    @pytest.mark.parametrize(("n_a", "n_b"), [(5, 5), (5, 7), (50, 50)])
    def test_mann_whitney_and_t_are_scipys_row_by_row(self, n_a, n_b):
        a, b = batches(60, n_a, n_b)
        rows = list(zip(a, b, strict=True))
        assert p_values("Mann–Whitney", a, b) == pytest.approx([scipy.stats.mannwhitneyu(*row).pvalue for row in rows])
        assert p_values("t", a, b) == pytest.approx([scipy.stats.ttest_ind(*row).pvalue for row in rows])

    def test_exact_where_no_row_is_tied_although_another_is(self):
        """SciPy takes one method for a whole batch; a tie in row 0 must not make row 1 asymptotic."""
        a, b = np.array([[1.0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]), np.array([[1.0, 5, 6, 7, 8], [6, 7, 8, 9, 10]])
        assert p_values("Mann–Whitney", a, b)[1] == pytest.approx(2 / 252)

    @pytest.mark.parametrize("sizes", [(5, 5), (4, 6), (2, 3)])
    def test_permutation_is_the_exact_test_of_each_row(self, sizes):
        a, b = batches(80, *sizes)
        expected = [statistics.exact_permutation(*row).p_value for row in zip(a, b, strict=True)]
        assert p_values("permutation", a, b) == pytest.approx(expected, abs=1e-12)

    def test_drawn_relabellings_come_close_to_the_exact_test(self):
        a, b = batches(30, 9, 9)  # 48,620 relabellings: drawn here, enumerated there
        expected = np.array([statistics.exact_permutation(*row).p_value for row in zip(a, b, strict=True)])
        error = np.sqrt(2 * expected / 1000) + 2 / 1000
        assert (np.abs(p_values("permutation", a, b) - expected) <= 4 * error).all()

    def test_without_spread_it_is_the_single_test_s(self):
        a, b = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]), np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
        assert p_values("t", a, b).tolist() == [statistics.t_test(*row).p_value for row in zip(a, b, strict=True)]
        assert p_values("t", a, b).tolist() == [1.0, 0.0]

    def test_drawn_relabellings_keep_the_level(self):
        a, b = batches(4000, 20, 20, shift=0.0)
        assert np.mean(p_values("permutation", a, b) <= 0.05) == pytest.approx(0.05, abs=0.012)

    def test_equivalence_is_tost_row_by_row(self):
        a, b = batches(50, 6, 9)
        expected = [statistics.tost(*row, 1.0).p_value for row in zip(a, b, strict=True)]
        assert equivalence_p_values(a, b, 1.0) == pytest.approx(expected)

    def test_bad_input(self):
        a, b = batches(3, 4, 4)
        with pytest.raises(UsageError, match="unknown test 'welch': "):
            p_values("welch", a, b)
        with pytest.raises(ValueError, match=r"a must have shape \(repeats, 2 or more\), got \(4,\)"):
            p_values("t", a[0], b)
        with pytest.raises(ValueError, match="a has 3 data sets and b 2"):
            p_values("t", a, b[:2])
        with pytest.raises(ValueError, match="b has 1 values that are NaN or infinite"):
            p_values("t", a, np.where(np.arange(12).reshape(3, 4) == 5, np.nan, b))
        with pytest.raises(ValueError, match="margin must be a number above 0"):
            equivalence_p_values(a, b, 0.0)


class TestSelected:
    def test_both_sets_are_the_best_by_brute_force(self):
        set_a, set_b = simulate_selected(np.random.default_rng(1), 3, 20, 4, 0.6, repeats=5)
        generator = np.random.default_rng(1)
        quality = generator.standard_normal((5, 3, 20))
        score = 0.6 * quality + 0.8 * generator.standard_normal((5, 3, 20))
        for i in range(5):
            for j in range(3):
                by_loss = sorted(range(20), key=lambda k: -quality[i, j, k])[:4]
                np.testing.assert_allclose(sorted(set_a[i, j]), sorted(score[i, j, by_loss]))
                np.testing.assert_allclose(sorted(set_b[i, j]), sorted(score[i, j])[-4:])

    def test_set_b_is_never_below_set_a(self):
        a, b = (
            np.sort(s, axis=2) for s in simulate_selected(np.random.default_rng(2), 5, 50, 10, 0.3, 0.4, repeats=40)
        )
        assert (b >= a).all()

    def test_the_same_sets_at_a_correlation_of_one(self):
        a, b = (np.sort(s, axis=2) for s in simulate_selected(np.random.default_rng(3), 2, 30, 5, 1.0, repeats=3))
        np.testing.assert_array_equal(a, b)

    def test_the_share_between_trajectories_is_the_intra_class_correlation(self):
        everything, _ = simulate_selected(np.random.default_rng(4), 2000, 10, 10, 0.0, 0.7, repeats=1)
        assert statistics.icc(everything[0]).estimate == pytest.approx(0.7, abs=0.03)

    def test_bad_input(self):
        with pytest.raises(ValueError, match="chosen at most checkpoints"):
            simulate_selected(np.random.default_rng(0), 2, 5, 6, 0.5, repeats=1)
        with pytest.raises(ValueError, match="correlation must lie in"):
            simulate_selected(np.random.default_rng(0), 2, 5, 5, 1.5, repeats=1)


class TestStudies:
    def test_false_positives_at_the_ends(self):
        table = simulations.false_positives((0.0, 1.0), repeats=2000).set_index(["icc", "test"])["rate"]
        assert table[0.0, "pooled Mann–Whitney"] == pytest.approx(0.05, abs=0.015)
        assert table[1.0, "pooled t"] > 0.4
        for icc in (0.0, 1.0):
            for test in simulations.RESTART_LEVEL:
                assert table[icc, test] <= 0.065

    @pytest.mark.parametrize(("icc", "alike"), [(0.5, 0.0), (0.5, 0.5), (0.8, 0.9), (0.6, 1.0)])
    def test_false_positives_where_seeds_share_their_luck_against_the_formula(self, icc, alike):
        """The pooled t test takes the variance of a difference of means for 2 / n, whatever it is."""
        design = {"restarts": 100, "checkpoints": 10, "repeats": 4000, "tests": ["pooled t"]}
        (row,) = simulations.false_positives((icc,), alike=alike, **design).to_dict("records")
        inflated = 10 * icc * (1 - alike) + 1 - icc  # its true variance, in that unit
        expected = 2 * scipy.stats.norm.sf(scipy.stats.norm.isf(0.025) / inflated**0.5)
        assert row["low"] - 0.01 < expected < row["high"] + 0.01

    def test_a_correlation_between_optimizers_that_is_none(self):
        with pytest.raises(UsageError, match=r"must lie in \[0, 1\], got -0.1"):
            simulations.false_positives((0.5,), alike=-0.1)

    def test_intervals_are_wilsons(self):
        row = simulations.false_positives((0.5,), repeats=500).iloc[0]
        interval = scipy.stats.binomtest(round(row["rate"] * 500), 500).proportion_ci(0.95, "wilson")
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))

    def test_splits_of_identical_restarts_find_nothing_and_of_pooled_ones_everything_wrong(self):
        values = np.random.default_rng(5).standard_normal((40, 1)) + 1e-3 * np.random.default_rng(6).standard_normal(
            (40, 10)
        )
        shares = simulations.rejected(simulations.split_p_values(values, 20, 400)).set_index("test")["rate"]
        assert shares["permutation on restarts"] == pytest.approx(0.05, abs=0.03)
        assert shares["pooled t"] > 0.4

    def test_some_tests_alone_give_what_all_together_give(self):
        every = simulations.false_positives((0.3,), repeats=300).set_index("test")
        alone = simulations.false_positives((0.3,), repeats=300, tests=["pooled t"]).set_index("test")
        assert alone.equals(every.loc[["pooled t"]])

    def test_a_split_uses_each_restart_once(self, monkeypatch):
        sides = []
        monkeypatch.setattr(simulations, "_tests", lambda a, b, seed: sides.append((a, b)) or {"t": np.ones(len(a))})
        simulations.split_p_values(np.arange(10.0).reshape(10, 1), 5, 50)
        together = np.sort(np.concatenate(sides[0], axis=1)[:, :, 0], axis=1)
        assert (together == np.arange(10)).all()
        assert len(np.unique(sides[0][0].sum(axis=1))) > 5

    def test_too_few_restarts_to_split(self):
        with pytest.raises(UsageError, match="6 restarts a side need 12, there are 10"):
            simulations.split_p_values(np.zeros((10, 2)), 6)
        with pytest.raises(UsageError, match="number of splits must be 1 or above, got 0"):
            simulations.split_p_values(np.zeros((10, 2)), 5, 0)

    def test_construction_is_certain_then_deaf(self):
        rates = simulations.decided_by_construction((0.0, 0.99), repeats=60).set_index("correlation")
        assert rates.loc[0.0, "rate"] == 1
        assert rates.loc[0.99, "rate"] == 0
        assert (rates["gap"] > 0).all()

    def test_power_is_the_formulas_and_zero_where_nothing_can_reject(self):
        table = designs.power((3, 20), (0.0, 1.0), families=(1, 5)).set_index(["restarts", "family", "effect"])
        assert table.loc[(20, 1, 0.0), "power"] == pytest.approx(0.05)
        noncentral = scipy.stats.nct(38, np.sqrt(10))
        limit = scipy.stats.t.isf(0.005, 38)
        expected = noncentral.sf(limit) + noncentral.cdf(-limit)
        assert table.loc[(20, 5, 1.0), "power"] == pytest.approx(expected, abs=1e-6)
        assert (table.loc[3, "power"] == 0).all()  # smallest p 0.1

    def test_simulated_power_is_near_the_formula(self):
        table = designs.power((10,), (), families=(1,), simulated=(1.0,), repeats=1500)
        assert table["permutation"][0] == pytest.approx(table["power"][0], abs=0.05)

    @pytest.mark.parametrize(
        ("restarts", "margin", "known"),
        [(5, 1.0, 0.07), (5, 2.0, 0.78), (8, 1.5, 0.77), (10, 1.0, 0.39), (20, 1.0, 0.85)],
    )
    def test_equivalence_power_is_that_of_a_plain_loop(self, restarts, margin, known):
        """Beside values computed elsewhere, scipy's Welch tests row by row on other draws."""
        a, b = np.random.default_rng(7).standard_normal((1500, 2, restarts)).swapaxes(0, 1)
        welch = {"equal_var": False, "axis": 1}
        above = scipy.stats.ttest_ind(a, b - margin, alternative="greater", **welch).pvalue
        below = scipy.stats.ttest_ind(a, b + margin, alternative="less", **welch).pvalue
        found = (np.maximum(above, below) <= 0.05).sum()
        power = designs.equivalence_power(restarts, margin)
        assert power == pytest.approx(found / 1500, abs=0.05)
        assert power == pytest.approx(known, abs=0.03)

    def test_silence_says_little_and_equivalence_errs_rarely(self):
        table = designs.silence((5, 20), repeats=1500).set_index(["restarts", "difference"])
        assert table.loc[(5, 1.0), "not_rejected"] > 0.6
        assert table.loc[(20, 0.0), "equivalent"] == pytest.approx(0.85, abs=0.05)
        assert (table.xs(1.0, level="difference")["equivalent"] <= 0.065).all()

    def test_smallest_p_and_family(self):
        table = designs.smallest((5, 6, 7, 8)).set_index("restarts")
        assert table["unpaired_family"].to_list() == [6, 23, 85, 321]
        assert table["paired"].to_list() == [2 / 2**n for n in (5, 6, 7, 8)]
        assert table["paired_family"].to_list() == [0, 1, 3, 6]

    def test_detectable_points_scale_with_the_deviation(self):
        table = designs.detectable_points((5, 10), {"task": (2.0, 0.5)}, family=5).set_index("restarts")
        assert table.loc[10, "task, unpaired"] == pytest.approx(2 * table.loc[10, "unpaired"])
        assert table.loc[10, "task, paired"] == pytest.approx(table.loc[10, "paired"] / 2)
        assert np.isinf(table.loc[5, "task, paired"])

    def test_deviations_without_the_reference(self):
        values = pd.DataFrame({"SAM": [0.0, 1.0], "SGD": [0.0, 2.0]})
        assert pooled.deviations(values) == pytest.approx((np.std([0, 1.5], ddof=1), np.sqrt(0.5)))
        single, difference = pooled.deviations(values[["SAM"]])
        assert single == pytest.approx(np.sqrt(0.5))
        assert np.isnan(difference)

    def test_matrix_leaves_out_restarts_with_fewer_models(self):
        rows = [("SGD", 0, 0.1), ("SGD", 0, 0.2), ("SGD", 1, 0.3), ("SGD", 2, 0.4), ("SGD", 2, 0.5)]
        table = pd.DataFrame(rows, columns=["algorithm", "seed", "test_metric"])
        np.testing.assert_array_equal(pooled.matrix(table), [[0.1, 0.2], [0.4, 0.5]])
        with pytest.raises(UsageError, match="choose one algorithm"):
            pooled.matrix(table.iloc[:0])


def test_a_test_that_is_added_is_simulated_and_drawn_without_another_line():
    """Once a test needed an entry in a second table, and a colour in a third."""
    code = """
from popview import statistics
statistics.TESTS["brave"] = lambda a, b, seed: (a.mean(1) > b.mean(1)) * 1.0
from popview.book.figures import simulations as figures
from popview.statistics import simulations
table = simulations.false_positives((0.5,), repeats=400)
(axes,) = figures.false_positive_rates(table, table.assign(task="digits", shared=False), 688).axes
heights = [round(float(line.get_ydata()[0]), 6) for line in axes.lines if line.get_color() == figures.RESTART_SHADE]
rates = table.set_index("test")["rate"]
print(round(rates["brave on restarts"], 1), len(heights), round(100 * rates["brave on restarts"], 6) in heights)
"""
    assert printed_by(code).split() == ["0.5", "4", "True"]
