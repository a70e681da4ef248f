"""What is said of several tasks at once, recomputed with pandas and SciPy only."""

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.stats

from popview.book.results import planned_comparison
from popview.populations.comparisons import against
from popview.populations.outcomes import against_by_outcome, outcomes_by_case
from popview.populations.over_tasks import detectable_differences, detectable_summary, mean_over_tasks
from popview.populations.tables import gather
from popview.statistics import random_effects_mean

TASKS = {"digits": 0.005, "cifar10": 0.01, "goemotions": 0.02}


def by_hand(estimates: np.ndarray, errors: np.ndarray) -> tuple[float, float, float, float]:
    """Return mean, half of the 95 % interval, τ and Q: Paule and Mandel's equation solved by bisection."""

    def q(square: float) -> float:
        weights = 1 / (errors**2 + square)
        return float((weights * (estimates - (weights @ estimates) / weights.sum()) ** 2).sum())

    freedom = len(estimates) - 1
    widest = 100 * (np.ptp(estimates) + errors.max()) ** 2
    square = scipy.optimize.brentq(lambda s: q(s) - freedom, 0, widest, xtol=1e-18) if q(0) > freedom else 0.0
    weights = 1 / (errors**2 + square)
    error = np.sqrt(max(1, q(square) / freedom) / weights.sum())
    half = scipy.stats.t.isf(0.025, freedom) * error
    return (weights @ estimates) / weights.sum(), half, np.sqrt(square), q(0)


def compared(seed: int = 0, restarts: int = 10) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return comparisons of two algorithms with SGD on three tasks, and the values that they were made of."""
    generator, values, tables = np.random.default_rng(seed), {}, []
    for task, margin in TASKS.items():
        shared = generator.normal(0.7, 0.02, restarts)
        table = pd.DataFrame(
            {"SGD": shared, "SAM": shared + generator.normal(generator.normal(0, 0.02), 0.01, restarts)}
        )
        table["NiM-SGD"] = shared if task == "digits" else shared + generator.normal(0, 0.005, restarts)
        values[task] = table.rename_axis("seed")
        pairs = [("SAM", "SGD"), ("NiM-SGD", "SGD")]
        tables.append(against(table, pairs, margin).assign(task=task, variant="base"))
    return pd.concat(tables, ignore_index=True), values


class TestRandomEffectsMean:
    @pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
    @pytest.mark.parametrize("scale", [1.0, 1e-5])
    def test_is_paule_and_mandels_with_hartung_and_knapps_interval(self, spread: float, scale: float) -> None:
        generator = np.random.default_rng(1)
        errors = scale * generator.uniform(0.1, 1, 6)
        estimates = scale * spread * generator.normal(size=6) + errors * generator.normal(size=6)
        found, (mean, half, tau, q) = random_effects_mean(estimates, errors), by_hand(estimates, errors)
        assert found.estimate == pytest.approx(mean, rel=1e-4, abs=1e-6 * scale)
        assert found.interval == pytest.approx((mean - half, mean + half), rel=1e-4, abs=1e-6 * scale)
        assert found.between == pytest.approx(tau, rel=1e-3, abs=1e-9 * scale)
        assert found.homogeneity_p == pytest.approx(scipy.stats.chi2.sf(q, 5))
        assert found.inconsistency == pytest.approx(max(0, 1 - 5 / q))
        assert (found.p_value < 0.05) == (abs(mean) > half)

    @pytest.mark.parametrize(
        ("errors", "between", "low", "high"),
        [
            ((0.5, 0.5, 0.5, 0.5), 1.0, 0.94, 0.99),
            ((0.2, 0.4, 1.0, 1.5), 1.0, 0.87, 0.94),
            ((0.5,) * 4, 0.0, 0.99, 1.0),
        ],
    )
    def test_its_interval_holds_the_mean_as_often_as_it_says(
        self, errors: tuple, between: float, low: float, high: float
    ) -> None:
        generator, held = np.random.default_rng(2), 0
        for _ in range(1_000):
            estimates = generator.normal(0.5, between, 4) + errors * generator.normal(size=4)
            ends = random_effects_mean(estimates, errors).interval or (0, 0)
            held += ends[0] <= 0.5 <= ends[1]
        assert low <= held / 1_000 <= high

    @pytest.mark.parametrize(
        ("estimates", "errors", "message"),
        [
            ([1.0], [1.0], "needs 2 or more"),
            ([1.0, 2.0], [1.0, 0.0], "above 0"),
            ([1.0, 2.0], [1.0, 2.0, 3.0], "got 2 and 3"),
            ([1.0, np.nan], [1.0, 1.0], "NaN"),
        ],
    )
    def test_refuses(self, estimates: list, errors: list, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            random_effects_mean(estimates, errors)


class TestMeanOverTasks:
    def test_is_that_of_the_paired_differences(self) -> None:
        table, values = compared()
        found = mean_over_tasks(table).set_index(["a", "unit"])
        gaps = {task: v["SAM"] - v["SGD"] for task, v in values.items()}
        for unit, scale in (("metric", dict.fromkeys(TASKS, 1.0)), ("margin", TASKS)):
            estimates = np.array([gaps[task].mean() / scale[task] for task in TASKS])
            errors = np.array([scipy.stats.sem(gaps[task]) / scale[task] for task in TASKS])
            mean, half, tau, _ = by_hand(estimates, errors)
            row = found.loc[("SAM", unit)]
            assert row["tasks"] == 3
            assert [row["mean"], row["low"], row["high"]] == pytest.approx([mean, mean - half, mean + half], rel=1e-4)
            assert row["between"] == pytest.approx(tau, rel=1e-3)

    def test_a_copy_has_no_error_and_is_left_out(self) -> None:
        row = mean_over_tasks(compared()[0]).set_index(["a", "unit"]).loc[("NiM-SGD", "metric")]
        assert (row["tasks"], row["without_error"], row["names"]) == (2, 1, "cifar10, goemotions")

    def test_where_training_had_not_ended_a_task_is_left_out(self) -> None:
        table, _ = compared()
        late = pd.DataFrame({"task": [*TASKS] * 2, "variant": "base", "algorithm": ["SAM"] * 3 + ["NiM-SGD"] * 3})
        late["unfinished"] = late["task"].eq("goemotions") & late["algorithm"].eq("SAM")
        row = mean_over_tasks(table, late).set_index(["a", "unit"]).loc[("SAM", "metric")]
        assert (row["unfinished"], row["names"]) == (1, "digits, cifar10")
        without = mean_over_tasks(table[table["task"] != "goemotions"]).set_index(["a", "unit"]).loc[("SAM", "metric")]
        assert row["mean"] == without["mean"]

    def test_outcomes_and_variants_are_apart_and_a_task_counts_once(self) -> None:
        table, _ = compared()
        both = pd.concat([table.assign(outcome="last"), table.assign(outcome="SetA", difference=1.0)])
        assert mean_over_tasks(both).groupby("outcome", sort=False).size().to_dict() == {"last": 4, "SetA": 4}
        assert mean_over_tasks(table[table["task"] == "digits"]).empty
        assert mean_over_tasks(pd.DataFrame()).empty
        with pytest.raises(ValueError, match="SAM – SGD has a task twice"):
            mean_over_tasks(both.drop(columns="outcome"))

    @pytest.mark.slow
    def test_shipped_hopping_is_sgd_within_a_tenth_of_a_point(self) -> None:
        """A reviewer, by another estimator: NiM-BH − SGD over the four tasks, base, SetA: −0.01 ± 0.05 points."""
        _, results = gather("laptop", variant="base")
        values = {key: {"SetA": found["SetA"]} for key, found in outcomes_by_case(results, "laptop").items()}
        found = mean_over_tasks(planned_comparison(values, "laptop", against_by_outcome))
        row = found[(found["a"] == "NiM-BH") & (found["unit"] == "metric")].iloc[0]
        assert row["tasks"] == 4
        assert round(100 * row["mean"], 2) == -0.01
        assert round(50 * (row["high"] - row["low"]), 2) == 0.05


class TestDetectable:
    def test_is_found_four_times_in_five(self) -> None:
        """Normal differences of that mean and the spread seen, tested by the t test at the level of Holm's first."""
        table, values = compared(restarts=5)
        found = detectable_differences(table).set_index(["task", "a"])
        gaps = values["cifar10"]["SAM"] - values["cifar10"]["SGD"]
        shift = found.loc[("cifar10", "SAM"), "detectable"] * np.sqrt(5) / gaps.std(ddof=1)
        bound = scipy.stats.t.isf(0.05 / 2 / 2, 4)
        power = scipy.stats.nct.sf(bound, 4, shift) + scipy.stats.nct.cdf(-bound, 4, shift)
        assert power == pytest.approx(0.8, abs=1e-3)
        assert (found["in_margins"] == found["detectable"] / found["margin"]).all()

    def test_the_summary_leaves_copies_out(self) -> None:
        table, _ = compared()
        found = detectable_summary(table).set_index("task")
        listed = detectable_differences(table).set_index(["task", "a"])
        assert listed.loc[("digits", "NiM-SGD"), "detectable"] == 0
        assert found.loc["digits", ["comparisons", "least_of", "most_of"]].tolist() == [1, "SAM", "SAM"]
        both = listed.loc["cifar10", "detectable"]
        assert found.loc["cifar10", ["least", "most"]].tolist() == [both.min(), both.max()]
        assert found.loc["cifar10", "below_margin"] == (both <= 0.01).sum()
        assert detectable_summary(pd.DataFrame()).empty
