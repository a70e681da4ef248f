"""Time to target: against a loop over rows, and the exact coverage of its intervals."""

from math import comb

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from popview.common.errors import UsageError
from popview.populations import time_to_target

INF = np.inf


def trajectories(draw: int = 0, seeds: int = 7, checkpoints: int = 9) -> pd.DataFrame:
    """Random metrics; SAM pays two gradients a step; one checkpoint is not finite."""
    generator = np.random.default_rng(draw)
    rows = [
        {
            "task": "digits",
            "profile": "smoke",
            "variant": "base",
            "algorithm": algorithm,
            "seed": seed,
            "step": 10 * i,
            "gradient_evaluations": 10 * i * cost,
            "loss_evaluations": i,
            "train_loss": 1.0,
            "validation_metric": generator.integers(0, 20) / 20,
        }
        for algorithm, cost in (("SGD", 1), ("SAM", 2))
        for seed in range(seeds)
        for i in range(checkpoints)
    ]
    table = pd.DataFrame(rows)
    table.loc[3, ["validation_metric", "train_loss"]] = [1.0, np.nan]  # a network of NaNs has an accuracy too
    return table.sample(frac=1, random_state=0)


def brute(table: pd.DataFrame, level: float, cost: str) -> dict[tuple[int, str], float]:
    """First cost at the level, row by row."""
    found = {(seed, name): INF for seed in table["seed"].unique() for name in table["algorithm"].unique()}
    for row in table.sort_values("step").to_dict("records"):
        key = (row["seed"], row["algorithm"])
        if np.isfinite(row["train_loss"]) and row["validation_metric"] >= level and found[key] == INF:
            found[key] = row[cost]
    return found


class TestTimeToTarget:
    @pytest.mark.parametrize("level", [0.0, 0.5, 0.85, 0.95, 2.0])
    @pytest.mark.parametrize("cost", ["gradient_evaluations", "loss_evaluations"])
    def test_against_a_loop(self, level, cost):
        table = trajectories()
        found = time_to_target.time_to_target(table, level, cost=cost)
        assert found.stack().to_dict() == brute(table, level, cost)

    def test_a_restart_that_was_never_run_is_no_miss(self):
        table = trajectories()
        few = table[(table["algorithm"] == "SGD") | (table["seed"] < 5)]
        times = time_to_target.time_to_target(few, 0.5)
        assert times["SAM"].isna().tolist() == [False] * 5 + [True] * 2
        alone = time_to_target.median_times(time_to_target.time_to_target(few[few["algorithm"] == "SAM"], 0.5))
        beside = time_to_target.median_times(times).query("algorithm == 'SAM'").reset_index(drop=True)
        pd.testing.assert_frame_equal(beside, alone)

    def test_target_is_the_median_of_the_reference_s_best(self):
        table = trajectories()
        finite = table[np.isfinite(table["train_loss"]) & (table["algorithm"] == "SGD")]
        best = [rows["validation_metric"].max() for _, rows in finite.groupby("seed")]
        assert time_to_target.target(table) == np.median(best)
        reached = time_to_target.time_to_target(table, time_to_target.target(table))["SGD"]
        assert np.isfinite(reached).sum() >= len(best) / 2

    def test_unknown_reference(self):
        for function in (
            time_to_target.target,
            time_to_target.equal_gradients,
            lambda t, name: time_to_target.times(t, 0.1, name),
        ):
            with pytest.raises(UsageError, match="unknown reference 'SGDD': did you mean 'SGD'"):
                function(trajectories(), "SGDD")

    def test_equal_gradients_cut_what_pays_more(self):
        table = trajectories()
        cut = time_to_target.equal_gradients(table)
        assert cut.groupby("algorithm")["gradient_evaluations"].max().to_dict() == {"SGD": 80, "SAM": 80}
        assert cut.groupby("algorithm")["step"].max().to_dict() == {"SGD": 80, "SAM": 40}
        assert time_to_target.dearer(table) == ["SAM"]

    def test_times_hold_both_levels_at_equal_gradients(self):
        table = trajectories()
        found = time_to_target.times(table, 0.1)
        level = time_to_target.target(table)
        assert found.groupby("series", sort=False)["level"].first().tolist() == pytest.approx([level, level - 0.1])
        row = found[(found["algorithm"] == "SAM") & (found["series"] == "at the target")].iloc[0]
        expected = brute(table[table["gradient_evaluations"] <= 80], level, "gradient_evaluations")
        assert row["missed"] == sum(np.isinf(v) for (_, name), v in expected.items() if name == "SAM")
        assert row["median"] == np.median([v for (_, name), v in expected.items() if name == "SAM"])


class TestSummary:
    def test_misses_are_later_than_any_time(self):
        times = pd.DataFrame({"SGD": [3.0, INF, 1.0, INF, 2.0, 5.0, 4.0, INF]})
        (row,) = time_to_target.median_times(times).to_dict("records")
        assert (row["restarts"], row["missed"]) == (8, 3)
        assert row["median"] == 4.5
        assert (row["low"], row["high"]) == (1.0, INF)  # the first and the last of eight: 99.2 %

    def test_too_few_restarts_for_the_level(self):
        (row,) = time_to_target.median_times(pd.DataFrame({"SGD": [1.0, 2.0, 3.0, 4.0, 5.0]})).to_dict("records")
        assert (row["low"], row["high"]) == (0.0, INF)

    @pytest.mark.parametrize("n", [6, 9, 20, 100, 101])
    def test_exact_coverage(self, n):
        """By counting: the interval holds the median unless too few values lie on one side of it."""
        (row,) = time_to_target.median_times(pd.DataFrame({"SGD": np.arange(1.0, n + 1)})).to_dict("records")
        k = int(row["low"])
        assert row["high"] == n + 1 - k
        outside = 2 * sum(comb(n, i) for i in range(k)) / 2**n
        wider = 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n
        assert outside <= 0.05 < wider

    def test_is_the_sign_test_s(self):
        times = pd.DataFrame({"SGD": np.random.default_rng(0).exponential(size=31)})
        (row,) = time_to_target.median_times(times).to_dict("records")
        inside = [scipy.stats.binomtest(int((times["SGD"] < m).sum()), 31).pvalue > 0.05 for m in times["SGD"] + 1e-9]
        kept = times["SGD"][inside]
        assert row["low"] <= kept.min()
        assert kept.max() <= row["high"]
