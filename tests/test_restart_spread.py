"""Spread over restarts beside the one of independent errors, and crossed intervals, by simulation and by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.stats
from stand_ins import stand_in

from popview.populations.restart_spread import (
    accuracy_spread,
    crossed_differences,
    differences_of,
    load_differences,
    load_spreads,
    most_independent,
    spreads_of,
)
from popview.populations.stored_predictions import Predictions, digest_of, specs_with_probabilities, stored_predictions
from popview.populations.tables import wanted
from popview.runs import store
from popview.runs.expansion import expand
from popview.tasks.scores import to_bytes

EXAMPLES = 10_000


def simulated(restarts: int, common: float, seed: int = 0) -> np.ndarray:
    """Return what is right, with each example's own probability, which is shifted for a whole restart."""
    generator = np.random.default_rng(seed)
    ease = scipy.stats.logistic.ppf(generator.beta(2, 1, EXAMPLES))
    better = common * generator.standard_normal((restarts, 1))
    return generator.uniform(size=(restarts, EXAMPLES)) < scipy.stats.logistic.cdf(ease + better)


class TestAccuracySpread:
    def test_restarts_that_err_independently_scatter_as_it_says(self) -> None:
        found = accuracy_spread(simulated(400, common=0.0))
        assert found["sd"] == pytest.approx(found["independent"], rel=0.1)
        assert found["sd_low"] < found["independent"] < found["sd_high"]

    def test_what_all_examples_of_a_restart_share_is_beyond_it(self) -> None:
        right = simulated(30, common=0.2)
        found = accuracy_spread(right)
        assert found["share"] < 0.2
        # by hand: the variance within examples
        assert found["independent"] == pytest.approx(np.sqrt(right.var(axis=0, ddof=1).sum()) / EXAMPLES)
        assert found["sd"] == pytest.approx(right.mean(axis=1).std(ddof=1))
        low, high = np.sqrt(29 * found["sd"] ** 2 / scipy.stats.chi2.ppf([0.975, 0.025], 29))
        assert (found["sd_low"], found["sd_high"]) == pytest.approx((low, high))

    def test_a_mean_accuracy_alone_gives_a_limit(self) -> None:
        right = simulated(200, common=0.1, seed=3)
        most = most_independent(right.mean(), EXAMPLES)
        assert accuracy_spread(right)["independent"] < most
        # it is reached where all examples are equally hard
        alike = np.random.default_rng(0).uniform(size=(400, EXAMPLES)) < 0.7
        assert accuracy_spread(alike)["independent"] == pytest.approx(most_independent(0.7, EXAMPLES), rel=0.01)

    def test_shipped_at_a_constant_rate_the_test_examples_explain_little(self) -> None:
        metric = np.array([store.metadata(s)["whole_test"]["metric"][0] for s in wanted("laptop", "cifar10")[:10]])
        assert round(100 * metric.std(ddof=1), 2) == 2.30
        assert (most_independent(metric.mean(), EXAMPLES) / metric.std(ddof=1)) ** 2 < 0.05


class TestDerived:
    """Tables that `popview ensembles` writes: with labels of a task, and probabilities that are made up."""

    def stored(self, root: Path, algorithms: tuple[str, ...]) -> dict[str, list[np.ndarray]]:
        generator: np.random.Generator = np.random.default_rng(0)
        kept: dict[str, list[np.ndarray]] = {}
        for spec in expand("laptop", "cifar10", variant="annealed", algorithms=algorithms):
            probabilities = generator.dirichlet(np.ones(10), EXAMPLES)
            kept.setdefault(spec.algorithm, []).append(probabilities.argmax(-1))
            table = stand_in(spec, whole_test={"metric": [0.7]})
            column = [None] * (len(table) - 1) + [to_bytes(probabilities, False).ravel()]
            table = table.append_column("test_probabilities", pa.array(column, pa.list_(pa.uint8())))
            store.save(spec, table, root)
        return kept

    def test_are_of_the_classes_that_the_files_keep(self, tmp_path: Path) -> None:
        kept = self.stored(tmp_path, ("SGD", "SAM"))
        labels = np.random.default_rng(1).integers(10, size=EXAMPLES)
        found = []
        for (variant, name), specs in specs_with_probabilities("laptop", "cifar10", tmp_path).items():
            _, probabilities = stored_predictions(specs, tmp_path)
            seeds, problem = tuple(spec.seed for spec in specs), SimpleNamespace(multilabel=False)
            named = Predictions(variant, name, "last", "whole", digest_of(specs), seeds, probabilities, problem, labels)
            found += [named, named._replace(where="sample"), named._replace(models="ten of lowest loss")]
        kinds = {"spreads": spreads_of, "differences": differences_of}
        for what, make in kinds.items():
            place = tmp_path / "ensembles" / "laptop"
            place.mkdir(parents=True, exist_ok=True)
            make(found).to_csv(place / f"cifar10-{what}.csv", index=False)
        spreads = load_spreads("laptop", "cifar10", tmp_path).set_index("algorithm")
        for name, classes in kept.items():
            scores = [(one == labels).mean() for one in classes]
            assert spreads.loc[name, "mean"] == pytest.approx(np.mean(scores))
            assert spreads.loc[name, "sd"] == pytest.approx(np.std(scores, ddof=1))
        gaps = [(a == labels).mean() - (b == labels).mean() for a, b in zip(kept["SAM"], kept["SGD"], strict=True)]
        (row,) = load_differences("laptop", "cifar10", tmp_path).to_dict("records")
        assert (row["algorithm"], row["other"], row["restarts"]) == ("SAM", "SGD", 10)
        assert row["difference"] == pytest.approx(np.mean(gaps))
        assert (row["low"], row["high"]) == pytest.approx(
            scipy.stats.t.interval(0.95, 9, np.mean(gaps), scipy.stats.sem(gaps))
        )
        assert row["crossed_low"] < row["difference"] < row["crossed_high"]

    def test_of_other_metrics_or_nothing_computed_are_empty(self, tmp_path: Path) -> None:
        for load in (load_spreads, load_differences):
            assert load("laptop", "goemotions", tmp_path).empty
            assert load("laptop", "cifar10", tmp_path).empty

    def test_shipped_restarts_of_sgd_scatter_more_than_the_test_examples_explain(self) -> None:
        """Recomputed from the shipped probabilities where the labels are; else against the observed SD alone."""
        spreads = load_spreads("laptop", "cifar10").set_index(["variant", "algorithm"])
        row = spreads.loc[("annealed", "SGD")]
        assert spreads.loc[("constant", "SGD"), "sd"] > 2 * row["sd"]
        specs = expand("laptop", "cifar10", variant="annealed", algorithms=("SGD",))
        metric = [store.metadata(spec)["whole_test"]["metric"][0] for spec in specs]
        assert row["sd"] == pytest.approx(np.std(metric, ddof=1), abs=2e-4)
        assert 0.1 < row["share"] < 0.2


class TestCrossedDifferences:
    def test_the_interval_is_that_of_the_two_way_table(self) -> None:
        both = {name: pd.DataFrame(simulated(6, common=0.1, seed=seed)) for seed, name in enumerate(("SGD", "SAM"))}
        both["SAM"] = both["SAM"].iloc[1:]
        row = crossed_differences(both).iloc[0]
        gaps = both["SAM"].astype(float) - both["SGD"].loc[1:]
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
        right = pd.DataFrame(simulated(3, common=0.1))
        assert crossed_differences({"SAM": right}).empty
        assert crossed_differences({"SGD": right, "SAM": right.set_axis([7, 8, 9])}).empty
