"""`statistics` on someone's own arrays, without any run of ours: what it takes, and what it says to bad input."""

import doctest
from math import inf, nan

import numpy as np
import pytest
from interpreter import printed_by

from popview.statistics import compare, detectable, detectable_effect, exact_permutation, icc, verdicts

MINE = [("mine", "SGD")]


def test_the_example_of_compare_holds():
    assert doctest.testmod(verdicts).failed == doctest.testmod(detectable).failed == 0
    assert len(doctest.DocTestFinder().find(compare)[0].examples) == 4


def test_needs_neither_torch_nor_the_store():
    code = (
        "import sys\nfrom popview.statistics import compare\n"
        "compare({'mine': [1.0, 2.0, 4.0], 'SGD': [1.5, 2.5, 3.5]}, [('mine', 'SGD')])\n"
        "sys.exit(sorted({'torch', 'popview.runs.store', 'popview.runs.specs'} & set(sys.modules)) or 0)"
    )
    printed_by(code)


class TestGroups:
    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ([], "a has 0 values, needs 2 or more"),
            ([0.9], "a has 1 values, needs 2 or more"),
            ([0.9, nan, 0.8], "a has 1 values that are NaN or infinite"),
            ([0.9, inf, 0.8], "a has 1 values that are NaN or infinite"),
            (np.ones((5, 10)), "a has shape (5, 10): reduce it to one value per restart first"),
        ],
        ids=["empty", "one restart", "nan", "inf", "checkpoints"],
    )
    @pytest.mark.parametrize("n", [4, 9])
    def test_bad_groups_are_named_in_one_line(self, bad, message, n):
        good = np.linspace(0.8, 0.9, n)
        for groups, place in (({"mine": bad, "SGD": good}, "a"), ({"mine": good, "SGD": bad}, "b")):
            with pytest.raises(ValueError, match="mine") as caught:
                compare(groups, MINE, margin=0.01)
            told = str(caught.value)
            assert told.startswith("a = 'mine', b = 'SGD': ")
            assert message.replace("a has", f"{place} has") in told
            assert "\n" not in told

    def test_unequal_groups_are_tested_unpaired(self):
        groups = {"mine": [0.9, 0.91, 0.92, 0.93], "SGD": np.linspace(0.8, 0.85, 12)}
        one = compare(groups, MINE, margin=0.01)["mine", "SGD"]
        assert not one.paired
        assert one.test == exact_permutation(groups["mine"], groups["SGD"])

    def test_unequal_groups_cannot_be_paired_but_may_be_kept_unpaired(self):
        groups = {"mine": np.linspace(0.90, 0.95, 9), "SGD": np.linspace(0.8, 0.85, 12)}
        with pytest.raises(ValueError, match="a and b are paired, but a has 9 values and b 12"):
            compare(groups, MINE, paired=True)
        one = compare(groups, MINE)["mine", "SGD"]
        assert not one.paired
        assert one.test.n == (9, 12)
        assert one.verdict.word == "better"

    @pytest.mark.parametrize("margin", [0, -0.5, nan, inf])
    def test_margin(self, margin):
        with pytest.raises(ValueError, match="a = 'mine', b = 'SGD': margin must be a number above 0"):
            compare({"mine": [1.0, 2.0], "SGD": [1.0, 2.0]}, MINE, margin=margin)


class TestConventions:
    @pytest.mark.parametrize("n", [4, 9])
    @pytest.mark.filterwarnings("error")
    def test_constant_and_equal(self, n):
        one = compare({"mine": [0.9] * n, "SGD": [0.9] * n}, MINE, margin=0.01)["mine", "SGD"]
        assert (one.test.p_value, one.a12.estimate, one.shift.estimate) == (1.0, 0.5, 0.0)
        assert str(one.verdict) == "equivalent"

    @pytest.mark.parametrize("n", [5, 9])
    @pytest.mark.filterwarnings("error")
    def test_constant_and_different(self, n):
        """No spread at all: the difference is certain, and is judged against the margin."""
        groups = {"mine": [0.92] * n, "SGD": [0.9] * n}
        beyond = compare(groups, MINE, margin=0.01)["mine", "SGD"]
        assert beyond.equivalence is not None
        assert beyond.equivalence.p_value == 1.0
        assert beyond.verdict.word == "better"
        assert beyond.a12.estimate == 1.0
        assert str(compare(groups, MINE, margin=0.05)["mine", "SGD"].verdict) == (
            "equivalent (estimate on the better side)"
        )

    @pytest.mark.parametrize("n", [6, 10])
    @pytest.mark.filterwarnings("error")
    def test_ties_everywhere(self, n):
        """Two values only, as accuracies on a handful of examples give; swapping the groups mirrors everything."""
        a, b = np.tile([0.8, 0.9], n // 2), np.where(np.arange(n) < 2, 0.9, 0.8)
        one = compare({"mine": a, "SGD": b}, MINE, margin=0.2)["mine", "SGD"]
        other = compare({"mine": b, "SGD": a}, MINE, margin=0.2)["mine", "SGD"]
        assert one.test.p_value == pytest.approx(other.test.p_value)
        assert one.a12.estimate == pytest.approx(1 - other.a12.estimate)
        assert one.a12.interval == pytest.approx(tuple(1 - end for end in reversed(other.a12.interval)))
        assert one.shift.estimate == pytest.approx(-other.shift.estimate)
        assert 0.0 < one.test.p_value <= 1.0

    @pytest.mark.filterwarnings("error")
    def test_one_constant_group(self):
        one = compare({"mine": [0.9] * 6, "SGD": [0.80, 0.82, 0.84, 0.86, 0.88, 0.89]}, MINE, margin=0.01)
        assert one["mine", "SGD"].verdict.word == "better"

    def test_two_restarts_can_decide_nothing_by_testing(self):
        one = compare({"mine": [0.9, 0.91], "SGD": [0.5, 0.51]}, MINE)["mine", "SGD"]
        assert one.verdict.word == "undecidable at this n"
        assert detectable_effect(2, 2).effect == inf

    def test_clusters_without_spread_have_no_correlation(self):
        assert np.isnan(icc(np.full((4, 3), 0.9)).estimate)
        with pytest.raises(ValueError, match="groups has 1 restarts, needs 2 or more"):
            icc([[0.9, 0.8]])


def test_detectable_effect_where_statsmodels_changes_its_solver():
    """100 pairs in a family of 7 made it return an array, at which the page of the tuned runs failed."""
    six, seven, eight = (detectable_effect(100, 100, family_size=m, paired=True).effect for m in (6, 7, 8))
    assert six < seven < eight
    assert isinstance(seven, float)
