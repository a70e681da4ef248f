"""Spread over restarts beside the one of independent errors, and crossed intervals, by simulation and by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.stats
from stand_ins import stand_in

from popview.populations.restart_spread import (
    accuracy_spread,
    confirmed_predictions,
    crossed_differences,
    labels_of_test_split,
    whole_test_predictions,
)
from popview.populations.tables import wanted
from popview.runs import store
from popview.runs.expansion import expand
from popview.tasks.scores import to_bytes

EXAMPLES = 10_000


def simulated(restarts: int, common: float, seed: int = 0) -> tuple[dict[str, pd.DataFrame], np.ndarray, pd.DataFrame]:
    """Return predictions of 10 classes, right with each example's probability, shifted for a whole restart; labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(10, size=EXAMPLES)
    ease = scipy.stats.logistic.ppf(generator.beta(2, 1, EXAMPLES))
    better = common * generator.standard_normal((restarts, 1))
    right = generator.uniform(size=(restarts, EXAMPLES)) < scipy.stats.logistic.cdf(ease + better)
    usual, other = generator.integers(1, 10, EXAMPLES), generator.integers(1, 10, right.shape)
    wrong = (labels + np.where(generator.uniform(size=right.shape) < 0.7, usual, other)) % 10
    table = pd.DataFrame(np.where(right, labels, wrong), index=pd.RangeIndex(restarts, name="seed"))
    return {"SGD": table}, labels, pd.DataFrame({"SGD": right.mean(1)}, index=table.index)


class TestAccuracySpread:
    def test_restarts_that_err_independently_scatter_as_it_says(self) -> None:
        predicted, labels, scores = simulated(400, common=0.0)
        row = accuracy_spread(scores, "cifar10", predicted, labels).iloc[0]
        assert row["sd"] == pytest.approx(row["independent"], rel=0.1)
        assert row["sd_low"] < row["independent"] < row["sd_high"]
        assert row["independent"] < row["independent_most"]

    def test_what_all_examples_of_a_restart_share_is_beyond_it(self) -> None:
        predicted, labels, scores = simulated(30, common=0.2)
        row = accuracy_spread(scores, "cifar10", predicted, labels).iloc[0]
        assert row["share"] < 0.2
        assert row["beyond"] == pytest.approx(np.sqrt(row["sd"] ** 2 - row["independent"] ** 2))
        # by hand: the variance within examples, and the disagreement of all pairs
        right = predicted["SGD"].to_numpy() == labels
        assert row["independent"] == pytest.approx(np.sqrt(right.var(axis=0, ddof=1).sum()) / EXAMPLES)
        classes = predicted["SGD"].to_numpy()
        apart = np.mean([(classes[i] != classes[j]).mean() for i in range(30) for j in range(i)])
        assert row["disagreement"] == pytest.approx(apart)
        assert row["independent_most"] == pytest.approx(np.sqrt(apart / 2 / EXAMPLES))

    def test_without_labels_or_predictions_there_are_limits(self) -> None:
        predicted, labels, scores = simulated(10, common=0.1, seed=3)
        known = accuracy_spread(scores, "cifar10", predicted, labels).iloc[0]
        unlabelled = accuracy_spread(scores, "cifar10", predicted).iloc[0]
        bare = accuracy_spread(scores, "cifar10").iloc[0]
        assert known["independent"] <= unlabelled["independent_most"] <= bare["independent_most"]
        assert np.isnan([unlabelled["independent"], bare["independent"], bare["disagreement"]]).all()
        mean = scores["SGD"].mean()
        assert bare["independent_most"] == pytest.approx(np.sqrt(mean * (1 - mean) / EXAMPLES))
        assert (unlabelled["share"], bare["share"]) >= (known["share"], unlabelled["share"])

    def test_other_metrics_and_single_restarts_have_no_rows(self) -> None:
        _, _, scores = simulated(3, common=0.1)
        assert accuracy_spread(scores, "goemotions").empty
        assert accuracy_spread(scores[:1], "cifar10").empty

    def test_shipped_at_a_constant_rate_the_test_examples_explain_little(self) -> None:
        metric = {
            spec.seed: store.metadata(spec)["whole_test"]["metric"][0] for spec in wanted("laptop", "cifar10")[:10]
        }
        row = accuracy_spread(pd.DataFrame({"SGD": metric}), "cifar10").iloc[0]
        assert round(100 * row["sd"], 2) == 2.30
        assert row["share"] < 0.05


class TestPredictions:
    def test_are_the_classes_that_the_files_keep(self, tmp_path: Path) -> None:
        generator, kept = np.random.default_rng(0), {}
        for spec in expand("laptop", "cifar10", variant="annealed", algorithms=("SGD",)):
            probabilities = generator.dirichlet(np.ones(10), EXAMPLES)
            kept[spec.seed] = probabilities.argmax(-1)
            table = stand_in(spec, whole_test={"metric": [0.7]})
            column = [None] * (len(table) - 1) + [to_bytes(probabilities, False).ravel()]
            table = table.append_column("test_probabilities", pa.array(column, pa.list_(pa.uint8())))
            store.save(spec, table, tmp_path)
        found = confirmed_predictions("laptop", "cifar10", tmp_path)
        assert list(found) == ["SGD"]
        assert found["SGD"].index.tolist() == list(kept)
        assert all(np.array_equal(found["SGD"].loc[seed], classes) for seed, classes in kept.items())
        assert confirmed_predictions("laptop", "goemotions", tmp_path) == {}
        assert confirmed_predictions("laptop", "cifar10", tmp_path / "empty") == {}

    def test_shipped_restarts_of_sgd_differ_on_a_fifth_of_the_examples(self) -> None:
        specs = expand("laptop", "cifar10", variant="annealed", algorithms=("SGD",))
        metric = {spec.seed: store.metadata(spec)["whole_test"]["metric"][0] for spec in specs}
        row = accuracy_spread(pd.DataFrame({"SGD": metric}), "cifar10", whole_test_predictions(specs)).iloc[0]
        assert (round(100 * row["sd"], 2), round(100 * row["independent_most"], 2)) == (0.70, 0.31)
        assert row["disagreement"] == pytest.approx(0.187, abs=5e-4)

    def test_labels_are_the_data_sets_own(self) -> None:
        labels = labels_of_test_split("laptop", "digits")
        assert labels.shape == (597,)
        assert set(labels.tolist()) == set(range(10))


class TestCrossedDifferences:
    def test_the_interval_is_that_of_the_two_way_table(self) -> None:
        predicted, labels, _ = simulated(6, common=0.1)
        others, _, _ = simulated(6, common=0.1, seed=1)
        both = {"SGD": predicted["SGD"], "SAM": others["SGD"].iloc[1:]}
        row = crossed_differences(both, labels).iloc[0]
        gaps = (both["SAM"] == labels).astype(float) - (both["SGD"].loc[1:] == labels)
        means = gaps.mean(axis=1)
        assert (row["restarts"], row["examples"]) == (5, EXAMPLES)
        assert row["difference"] == pytest.approx(means.mean())
        alone = scipy.stats.t.interval(0.95, 4, means.mean(), scipy.stats.sem(means))
        assert (row["low"], row["high"]) == pytest.approx(alone)
        # Searle, Casella and McCulloch: (MS restarts + MS examples − MS rest) / (restarts · examples)
        table = gaps.to_numpy()
        rows, columns = table.mean(1, keepdims=True), table.mean(0, keepdims=True)
        squares = [EXAMPLES * rows.var(ddof=1), 5 * columns.var(ddof=1)]
        rest = ((table - rows - columns + table.mean()) ** 2).sum() / (4 * (EXAMPLES - 1))
        error = np.sqrt(max((sum(squares) - rest), *squares) / table.size)
        middle = (row["crossed_low"] + row["crossed_high"]) / 2
        assert middle == pytest.approx(means.mean())
        assert row["crossed_high"] - middle >= 1.95 * error
        assert row["crossed_high"] - middle <= scipy.stats.t.isf(0.025, 4) * error * (1 + 1e-9)

    def test_without_the_reference_or_shared_seeds_there_is_nothing(self) -> None:
        predicted, labels, _ = simulated(3, common=0.1)
        assert crossed_differences({"SAM": predicted["SGD"]}, labels).empty
        apart = {"SGD": predicted["SGD"], "SAM": predicted["SGD"].set_axis([7, 8, 9])}
        assert crossed_differences(apart, labels).empty
