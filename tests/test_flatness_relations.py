"""Rank correlations of flatness with outcomes: against SciPy, by hand, and on what ships."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from popview.populations.flatness_relations import MEASURES, agreement, flatness_table, relations
from popview.statistics import granulated_tau, holm, kendall, mean_kendall


class TestKendall:
    def test_is_scipys_with_ties(self):
        draws = np.random.default_rng(0)
        for _ in range(20):
            x, y = draws.integers(6, size=(2, 12))
            assert kendall(x, y).estimate == pytest.approx(scipy.stats.kendalltau(x, y).statistic)

    def test_leaves_each_row_out_of_all_groups(self):
        x, y = np.random.default_rng(1).integers(9, size=(2, 3, 8)).astype(float)
        result = mean_kendall(x, y)
        kept = [np.delete(np.stack([x, y]), i, axis=2) for i in range(8)]
        out = [np.mean([scipy.stats.kendalltau(a, b).statistic for a, b in zip(*part, strict=True)]) for part in kept]
        error = np.sqrt(7 / 8 * ((np.array(out) - np.mean(out)) ** 2).sum())
        half = scipy.stats.t.isf(0.025, 7) * error
        assert result.interval == pytest.approx((result.estimate - half, result.estimate + half))

    def test_groups_that_are_copies_do_not_narrow_the_interval(self):
        x, y = np.random.default_rng(2).normal(size=(2, 1, 10))
        assert mean_kendall(np.repeat(x, 6, 0), np.repeat(y, 6, 0)).interval == pytest.approx(
            mean_kendall(x, y).interval
        )

    def test_rejects_no_more_often_than_it_says_where_nothing_is_related(self):
        """The jackknife's variance is biased upwards (Efron & Stein 1981), so it is a little less."""
        draws = np.random.default_rng(3)
        p = [mean_kendall(*draws.normal(size=(2, 6, 10))).p_value for _ in range(1500)]
        assert 0.01 < np.mean(np.array(p) < 0.05) < 0.05

    def test_a_constant_group_is_left_out(self):
        x = [[1, 2, 3, 4], [5, 5, 5, 5]]
        y = [[1, 2, 4, 3], [1, 2, 3, 4]]
        assert mean_kendall(x, y).estimate == pytest.approx(scipy.stats.kendalltau(x[0], y[0]).statistic)
        assert np.isnan(mean_kendall(x[1:], y[1:]).estimate)

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ValueError, match="of 3 rows or more"):
            mean_kendall([[1, 2]], [[1, 2]])


class TestGranulated:
    def test_is_the_mean_over_groups_in_which_one_varies(self):
        """Simpson's paradox: over all runs the two go together, and at each width they do the opposite."""
        settings = pd.DataFrame(itertools.product([1, 2, 3], [1, 2, 3], range(4)), columns=["width", "depth", "seed"])
        noise = np.random.default_rng(0).normal(scale=0.01, size=len(settings))
        measure = 10.0 * settings["width"] + settings["depth"] + noise
        outcome = 10.0 * settings["width"] - settings["depth"]
        assert scipy.stats.kendalltau(measure, outcome).statistic > 0.4
        found = granulated_tau(measure, outcome, settings, "seed").set_index("hyperparameter")
        assert found["tau"].to_dict() == pytest.approx({"width": 1, "depth": -1, "mean": 0})
        assert found["groups"].to_dict() == {"width": 12, "depth": 12, "mean": 24}
        assert found.loc["depth", ["low", "high"]].tolist() == pytest.approx([-1, -1])

    def test_is_by_hand(self):
        draws = np.random.default_rng(1)
        settings = pd.DataFrame(itertools.product([1, 2, 3], "ab", range(5)), columns=["lr", "norm", "seed"])
        measure, outcome = (pd.Series(draws.normal(size=len(settings))) for _ in range(2))
        found = granulated_tau(measure, outcome, settings, "seed").set_index("hyperparameter")
        wanted = {}
        for name, other in (("lr", "norm"), ("norm", "lr")):
            taus = [
                scipy.stats.kendalltau(measure[rows.index], outcome[rows.index]).statistic
                for _, rows in settings.groupby([other, "seed"])
            ]
            wanted[name] = np.mean(taus)
        assert found.loc["lr", "tau"] == pytest.approx(wanted["lr"])
        assert found.loc["norm", "tau"] == pytest.approx(wanted["norm"])
        assert found.loc["mean", "tau"] == pytest.approx(np.mean([*wanted.values()]))
        assert found.loc["mean", "low"] < found.loc["mean", "tau"] < found.loc["mean", "high"]

    def test_values_may_depend_on_what_varies(self):
        draws = np.random.default_rng(2)
        settings = pd.DataFrame(itertools.product([1, 2, 3], [0, 1], range(4)), columns=["lr", "norm", "seed"])
        measure, outcome = (pd.DataFrame(draws.normal(size=(len(settings), 2)), columns=["lr", "norm"]) for _ in "xy")
        found = granulated_tau(measure, outcome, settings, "seed").set_index("hyperparameter")
        for name in ("lr", "norm"):
            alone = granulated_tau(measure[name], outcome[name], settings, "seed").set_index("hyperparameter")
            pd.testing.assert_series_equal(found.loc[name], alone.loc[name])
        assert found.loc["mean", "tau"] == pytest.approx(found.loc[["lr", "norm"], "tau"].mean())

    def test_without_restarts_has_no_interval(self):
        settings = pd.DataFrame({"lr": [1, 2, 3]})
        found = granulated_tau(pd.Series([1, 2, 3]), pd.Series([3, 2, 1]), settings)
        assert found["tau"].tolist() == [-1, -1]
        assert found["low"].isna().all()


def table(seeds: int = 8, names: str = "abcdef") -> pd.DataFrame:
    """Sharper algorithms fare worse; within an algorithm the sharper restart fares better."""
    rows = [
        {"algorithm": name, "seed": seed, "trace": 10 * place + seed, "error": 10 * place - seed}
        for place, name in enumerate(names)
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


class TestRelations:
    def test_within_and_between_are_told_apart(self):
        found = relations(table(), ["trace"], ["error"]).set_index("level")
        assert found.loc["within", ["tau", "spearman", "low", "high"]].tolist() == pytest.approx([-1, -1, -1, -1])
        assert found.loc["between", ["tau", "spearman", "algorithms", "restarts"]].tolist() == [1, 1, 6, 8]
        assert found.loc["between", "p"] == scipy.stats.kendalltau(range(6), range(6)).pvalue

    def test_are_adjusted_at_each_level(self):
        draws = np.random.default_rng(0)
        noisy = table().assign(**{name: draws.normal(size=48) for name in ("trace", "error", "gap", "ball_maximum")})
        found = relations(noisy, ["trace", "ball_maximum"], ["error", "gap"])
        for _, rows in found.groupby("level"):
            assert len(rows) == 4
            assert rows["adjusted_p"].tolist() == pytest.approx(list(holm(rows["p"].to_numpy())))

    def test_need_seeds_that_all_algorithms_have(self):
        some = table().iloc[4:]  # the first algorithm lacks four seeds: four are left
        assert relations(some, ["trace"], ["error"])["level"].tolist() == ["between"]

    def test_of_few_algorithms_are_within_only(self):
        assert relations(table(names="abc"), ["trace"], ["error"])["level"].tolist() == ["within"]

    def test_agreement_is_of_each_pair_of_measures_once(self):
        some = table().assign(ball_maximum=lambda t: -t["trace"])
        found = agreement(some, ["trace", "ball_maximum"]).set_index("level")
        assert found["tau"].to_dict() == pytest.approx({"within": -1, "between": -1})


class TestWhatShips:
    def test_the_gap_is_that_of_the_last_checkpoints(self):
        from popview.populations.tables import gather

        found = flatness_table("laptop", "digits").set_index(["algorithm", "seed"])
        rows = gather("laptop", "digits", "base")[1]["digits", "base"]
        last = rows.sort_values("step").groupby(["algorithm", "seed"]).tail(1).set_index(["algorithm", "seed"])
        assert found["gap"].to_dict() == pytest.approx(
            (last["test_loss"] - last["train_loss"]).loc[found.index].to_dict()
        )
        assert set(MEASURES) <= set(found)
        assert {"shifted_error", "adjusted_error"} <= set(found)

    def test_the_adjusted_error_is_a_residual(self):
        found = flatness_table("laptop", "cifar10")
        line = scipy.stats.linregress(found["error"], found["shifted_error"])
        wanted = found["shifted_error"] - line.intercept - line.slope * found["error"]
        assert found["adjusted_error"].to_numpy() == pytest.approx(wanted.to_numpy())

    def test_what_has_not_learned_is_left_out(self):
        assert "SAM" not in set(flatness_table("laptop", "goemotions")["algorithm"])


def test_rank_correlation_goes_by_the_labels_of_series() -> None:
    values = pd.Series([0.1, 0.4, 0.2, 0.3], index=[3, 1, 4, 2])
    assert kendall(values, 2 * values.sort_index()).estimate == 1


def test_runs_that_lack_a_setting_are_grouped_by_the_others() -> None:
    """SGD's have no ρ, say: two depths of these are two groups, in which the learning rate varies."""
    runs = list(itertools.product([np.nan, 0.1, 0.2], [1, 2], [0.1, 0.2]))
    settings = pd.DataFrame(runs, columns=["rho", "depth", "lr"])
    measure = pd.Series(range(12), dtype=float)
    found = granulated_tau(measure, -measure, settings).set_index("hyperparameter")
    assert found.loc["lr", ["groups", "tau"]].tolist() == [6, -1]
