"""Verdicts as a function of the margin, against the tests made anew at each margin."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from test_confirmation import DECIDED, drawn

from popview.book.tables import confirmed as tables
from popview.populations.comparisons import against, against_reference
from popview.populations.confirmation import confirm, confirm_tasks, latest
from popview.populations.margins import confirmed_by_margin, smallest_margins, verdicts_by_margin
from popview.populations.outcomes import outcomes_by_case
from popview.populations.tables import gather
from popview.runs.profiles import settings

GAPS = {"NiG-SGD": 0.0005, "NiM-SGD": 0.006, "SAM": -0.015, "NiG-BH": 0.0}


class TestVerdictsByMargin:
    @pytest.mark.parametrize("restarts", [4, 5, 10])
    def test_are_those_of_comparisons_made_at_each_margin(self, restarts: int) -> None:
        values, pairs = drawn(GAPS, restarts, spread=0.003), [(name, "SGD") for name in GAPS]
        factors = (0.1, 0.5, 1.0, 1.5, 2.0, 10.0)
        found = verdicts_by_margin(against(values, pairs, 0.004), factors).set_index(["factor", "a"])
        for factor in factors:
            anew = against(values, pairs, factor * 0.004).set_index("a")
            assert found.loc[factor, "verdict"].to_dict() == anew["verdict"].to_dict()
            assert found.loc[factor, "margin"].to_numpy() == pytest.approx(factor * 0.004)
        assert {"equivalent", "inconclusive"} <= set(found["verdict"])

    def test_equivalence_begins_at_the_smallest_margin(self) -> None:
        values = drawn(GAPS, 10)
        table = against(values, [("SAM", "SGD")], 0.01)
        smallest = smallest_margins(table).item()
        gaps = values["SAM"] - values["SGD"]
        p = scipy.stats.ttest_1samp(gaps, -smallest, alternative="greater").pvalue
        assert p == pytest.approx(0.05)
        for by, word in ((0.999, "worse"), (1.001, "equivalent")):
            assert verdicts_by_margin(table, [by * smallest / 0.01])["verdict"].tolist() == [word]
        row = verdicts_by_margin(table).iloc[0]
        assert row["smallest_factor"] == pytest.approx(row["smallest_margin"] / 0.01)

    def test_a_copy_is_equivalent_within_any_margin(self) -> None:
        values = pd.DataFrame({"SGD": [0.5, 0.7, 0.6], "NiM-SGD": [0.5, 0.7, 0.6]})
        table = verdicts_by_margin(against(values, [("NiM-SGD", "SGD")], 0.01), (1e-6,))
        assert table[["verdict", "smallest_margin"]].values.tolist() == [["equivalent", 0.0]]

    @pytest.mark.slow
    def test_no_shipped_verdict_is_another_at_the_decided_margin(self) -> None:
        _, results = gather("laptop")
        number = 0
        for (task, variant), outcomes in outcomes_by_case(results, "laptop").items():
            table = against_reference(outcomes["last"], settings("laptop", task)["margin"]).assign(variant=variant)
            found = verdicts_by_margin(table.assign(task=task), (1.0,))
            assert found["verdict"].tolist() == table["verdict"].tolist()
            assert found["task"].eq(task).all()
            number += len(found)
        assert number > 50

    def test_refuses_a_factor_of_zero(self) -> None:
        with pytest.raises(ValueError, match="above 0"):
            verdicts_by_margin(pd.DataFrame(), (0.0,))
        assert verdicts_by_margin(pd.DataFrame()).empty


def test_the_confirmation_is_judged_at_all_margins_that_were_written_down() -> None:
    values = drawn({"SAM": 0.005, "NiM-BH": 0.0}, 10, spread=0.003)
    found = confirmed_by_margin({"cifar10": values}, DECIDED)
    decided = found[found["decided"]].drop(columns=["task", "decided", "turned"])
    pd.testing.assert_frame_equal(decided, confirm(values, DECIDED, "cifar10"))
    others = found[~found["decided"]]
    assert np.unique(others["margin"]).tolist() == DECIDED["other_margins"]["cifar10"]
    assert (others["smallest_margin"].to_numpy() == decided["smallest_margin"].to_numpy()).all()
    assert found["turned"].tolist() == [False] * len(decided) + [
        a != b for a, b in zip(decided["verdict"], others["verdict"], strict=True)
    ]
    prices = {"cifar10": pd.Series({"SAM": 1.0, "NiM-BH": 1.25})}
    laid = tables.confirmed(found, prices)
    assert set(laid.loc[laid["comparison"] == "NiM-BH – SGD", "gradients, × SGD's"]) == {"1.25"}
    assert len(laid) == len(decided)
    assert laid["by the smaller margin"].str.startswith("±0.4: ").all()
    assert tables.confirmed(confirmed_by_margin({}, DECIDED), {}).empty


def test_the_comparison_of_the_most_restarts_is_reported() -> None:
    """SAM and NiM-BH are in two families, of which the second goes on to 20 and 30 restarts."""
    values = drawn(dict.fromkeys(DECIDED["families"][0]["algorithms"], 0.0), 20, spread=0.003)
    values.loc[110:, [name for name in values if name not in ("SGD", "SAM", "NiM-BH")]] = np.nan
    for seeds, of_two in ((10, "all"), (20, "two")):
        found = latest(confirm_tasks({"cifar10": values[:seeds]}, DECIDED)).set_index("a")
        assert found.loc[["SAM", "NiM-BH"], "family"].unique().tolist() == [of_two]
        assert found.loc[["SAM", "NiM-BH"], "restarts"].tolist() == [seeds, seeds]
        assert found.loc["AdamW", "restarts"] == 10
    assert latest(pd.DataFrame()).empty


def test_each_algorithm_has_a_line_and_each_task_a_column() -> None:
    """SAM and NiM-BH are in two families: the first, of all algorithms, is shown."""
    names = DECIDED["families"][0]["algorithms"]
    cifar10 = drawn({name: -0.05 if name == "SAM" else 0.0 for name in names}, 10, spread=0.003)
    tweeteval = drawn({"SAM": 0.0}, 10, spread=0.003)
    found = confirm_tasks({"cifar10": cifar10, "tweeteval": tweeteval}, DECIDED)
    laid = tables.by_task(latest(found))
    assert laid["algorithm"].tolist() == list(names)
    assert list(laid.columns) == ["algorithm", "CIFAR-10", "TweetEval"]
    assert laid.set_index("algorithm").loc["SAM", "CIFAR-10"].startswith("▼\u00a0−4.96 [")
    assert laid.set_index("algorithm")["TweetEval"].eq("–").sum() == len(names) - 1
