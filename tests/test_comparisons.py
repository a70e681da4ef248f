"""Comparisons of populations, on tables small enough to compute by hand."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from popview import comparisons
from popview.report import tables


def population(algorithm: str, seeds: int, values: np.ndarray, steps: list[int]) -> pd.DataFrame:
    """One row per restart and step, as `popview.populations.select` returns them."""
    index = pd.MultiIndex.from_product([range(seeds), steps], names=["seed", "step"])
    return pd.DataFrame({"test_metric": values}, index=index).reset_index().assign(algorithm=algorithm)


class TestSets:
    def test_overlap_regret_and_pooled_tests(self):
        a = population("SGD", 2, np.array([0.1, 0.2, 0.3, 0.4]), [1, 2])
        b = population("SGD", 2, np.array([0.2, 0.5, 0.4, 0.5]), [2, 3])
        (row,) = comparisons.set_a_against_set_b(a, b).to_dict("records")
        assert row["overlap"] == 0.5
        assert row["regret"] == pytest.approx(np.mean([0.35 - 0.15, 0.45 - 0.35]))
        assert row["regret_error"] == pytest.approx(np.std([0.2, 0.1], ddof=1) / np.sqrt(2))
        expected = scipy.stats.mannwhitneyu(a["test_metric"], b["test_metric"], alternative="two-sided").pvalue
        assert row["mann_whitney"] == pytest.approx(expected)
        assert row["t_test"] == pytest.approx(scipy.stats.ttest_ind(a["test_metric"], b["test_metric"]).pvalue)

    def test_a_set_against_itself_differs_in_nothing(self):
        a = population("SGD", 3, np.linspace(0, 1, 6), [1, 2])
        (row,) = comparisons.set_a_against_set_b(a, a).to_dict("records")
        assert (row["overlap"], row["regret"], row["mann_whitney"]) == (1.0, 0.0, 1.0)


class TestPairs:
    def test_pairwise_is_scipys(self):
        generator = np.random.default_rng(0)
        both = pd.concat([population(name, 5, generator.normal(size=10), [1, 2]) for name in ("SGD", "SAM")])
        (row,) = comparisons.pairwise(both, ["SGD", "SAM"]).to_dict("records")
        one, other = (both.loc[both["algorithm"] == name, "test_metric"] for name in ("SGD", "SAM"))
        assert row["pooled_p"] == pytest.approx(scipy.stats.mannwhitneyu(one, other).pvalue)

    def test_printed_values_stand_beside_their_own_comparison(self):
        """Table 6 is joined by name: once it was joined by position, which swapped two of its rows."""
        from popview import published

        names = set(published.table("6")["comparison"])
        assert names == {"SGD vs. SAM", "SGD vs. NiM-BH", "SAM vs. NiM-BH"}

    @pytest.mark.parametrize(("shift", "verdict"), [(0.0, "equivalent"), (0.05, "better"), (-0.05, "worse")])
    def test_against_and_its_sentence(self, shift, verdict):
        generator = np.random.default_rng(1)
        base = generator.normal(0.9, 0.01, 12)
        values = pd.DataFrame({"SGD": base, "SAM": base + shift + generator.normal(0, 0.001, 12)})
        found = comparisons.against(values, [("SAM", "SGD")], margin=0.005)
        assert found["verdict"][0].split(" ")[0] == verdict
        assert found["low"][0] <= found["estimate"][0] <= found["high"][0]
        assert tables.sentence(found) == f"SAM: {verdict}"

    def test_square_mirrors_the_verdicts(self):
        verdicts = pd.DataFrame({"a": ["x"], "b": ["y"], "verdict": ["better"]})
        square = tables.square(verdicts, ["x", "y"]).set_index("")
        assert (square.loc["x", "y"], square.loc["y", "x"], square.loc["x", "x"]) == ("+", "−", "")


def test_clustering_of_models_that_do_not_vary_within_restarts():
    fixed = population("SGD", 4, np.repeat([0.1, 0.2, 0.3, 0.4], 3), [1, 2, 3])
    (row,) = comparisons.clustering(fixed).to_dict("records")
    assert row["icc"] == 1.0
    assert row["effective"] == pytest.approx(4)
