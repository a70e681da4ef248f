"""Training that had not ended when the epochs did, on curves that are straight lines."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

from popview.book.tables import comparisons as comparison_tables
from popview.populations.unfinished import late_gains, unfinished


def lines(ends: dict[str, list[float]], slopes: dict[str, list[float]], epochs: int = 20) -> pd.DataFrame:
    """Return curves that end at these scores, one per seed, with these gains over the last quarter."""
    rows = [
        {"algorithm": name, "seed": seed, "epoch": epoch, "value": end + slope * (epoch - epochs) / (epochs / 4)}
        for name in ends
        for seed, (end, slope) in enumerate(zip(ends[name], slopes[name], strict=True))
        for epoch in np.linspace(0, epochs, 41)
    ]
    table = pd.DataFrame(rows)
    table = table.assign(step=(10 * table["epoch"]).astype(int), train_loss=1.0, validation_metric=table["value"])
    return table.rename(columns={"value": "test_metric"}).assign(task="digits", profile="smoke", variant="base")


FLAT = [0.0, 0.0, 0.0, 0.0]


def test_the_gain_of_a_line_is_its_slope_times_a_quarter():
    table = lines({"SGD": [0.8, 0.9], "SAM": [0.7, 0.6]}, {"SGD": [0.1, -0.2], "SAM": [0.0, 0.05]})
    found = late_gains(table)
    np.testing.assert_allclose(found["SGD"], [0.1, -0.2], atol=1e-12)
    np.testing.assert_allclose(found["SAM"], [0.0, 0.05], atol=1e-12)
    curved = table.assign(validation_metric=table["validation_metric"].where(table["epoch"] >= 15, 0.1))
    np.testing.assert_allclose(late_gains(curved), found, atol=1e-12)  # what was before does not count
    late = table[(table["algorithm"] == "SAM") & (table["seed"] == 1) & (table["epoch"] >= 15)]
    theirs = scipy.stats.linregress(late["epoch"], late["validation_metric"]).slope * 5
    assert found["SAM"][1] == pytest.approx(theirs)
    assert late_gains(table[table["epoch"] < 1]).isna().all(axis=None)


def test_the_last_quarter_is_of_an_algorithm_s_own_epochs():
    """Annealed, SAM has half of SGD's: it once had no last quarter, and was never found unfinished."""
    flat, climbing = {"SGD": [0.8, 0.81, 0.79, 0.8]}, {"SAM": [0.7, 0.71, 0.7, 0.72]}
    short = lines(climbing, {"SAM": [0.1, 0.11, 0.1, 0.12]}, epochs=10)
    table = pd.concat([lines(flat, {"SGD": FLAT}), short], ignore_index=True)
    np.testing.assert_allclose(late_gains(table)["SAM"], [0.1, 0.11, 0.1, 0.12], atol=1e-12)
    assert unfinished(table, 0.02)["unfinished"].tolist() == [True]


def test_a_curve_that_climbs_is_found_above_half_of_the_reference():
    """61 % of SGD's mean, and still rising by 13 points in the last quarter: SAM on GoEmotions, tuned."""
    ends = {"SGD": [0.44, 0.42, 0.43, 0.43], "SAM": [0.27, 0.25, 0.26, 0.28]}
    gains = {"SGD": [0.01, 0.0, -0.01, 0.0], "SAM": [0.14, 0.12, 0.13, 0.14]}
    (row,) = unfinished(lines(ends, gains), 0.02).to_dict("records")
    assert (row["algorithm"], row["left"], row["restarts"]) == ("SAM", 4, 4)
    assert (row["climbs"], row["on_plateau"], row["unfinished"]) == (True, False, True)
    theirs = scipy.stats.ttest_rel(gains["SAM"], gains["SGD"])
    assert row["gain"] == pytest.approx(np.mean(gains["SAM"]))
    assert (row["gain_low"], row["gain_high"]) == pytest.approx(tuple(theirs.confidence_interval()))


def test_low_and_finished_is_not_unfinished():
    """A worse optimizer that has ended is judged; so is one that climbs as SGD itself does."""
    ends = {"SGD": [0.44, 0.42, 0.43, 0.43], "AdamW": [0.3, 0.31, 0.3, 0.32], "SAM": [0.5, 0.4, 0.4, 0.5]}
    gains = {"SGD": [0.05] * 4, "AdamW": FLAT, "SAM": [0.06, 0.05, 0.06, 0.05]}
    assert not unfinished(lines(ends, gains), 0.02)["unfinished"].any()


def test_of_restarts_on_a_plateau_the_share_and_the_difference_of_the_others_are_told():
    """Five of ten, as SAM on GoEmotions: a mean between the two describes no restart."""
    ends = {"SGD": [0.42, 0.43, 0.41, 0.42, 0.4, 0.43, 0.42, 0.41, 0.4, 0.42]}
    ends["SAM"] = [0.07, 0.02, 0.05, 0.02, 0.02, 0.39, 0.27, 0.4, 0.4, 0.38]
    table = lines(ends, dict.fromkeys(ends, [0.0] * 10))
    (row,) = unfinished(table, 0.02).to_dict("records")
    assert (row["left"], row["share"], row["on_plateau"], row["climbs"]) == (5, 0.5, True, False)
    assert (row["share_low"], row["share_high"]) == pytest.approx(proportion_confint(5, 10, method="wilson"))
    theirs = scipy.stats.ttest_rel(ends["SAM"][5:], ends["SGD"][5:])
    assert row["difference"] == pytest.approx(np.mean(ends["SAM"][5:]) - np.mean(ends["SGD"][5:]))
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(tuple(theirs.confidence_interval()))
    laid = comparison_tables.unfinished_table(unfinished(table, 0.02).assign(task="goemotions", variant="base"))
    (line,) = laid.to_dict("records")
    assert (line["task"], line["algorithm"], line["left the plateau"]) == ("GoEmotions, base", "SAM", "5 of 10")
    assert line["their difference to SGD"].startswith("−4.80 [")


def test_where_one_restart_or_none_left_there_is_no_difference():
    for ends, left in (([0.01, 0.02], 0), ([0.01, 0.4], 1)):
        (row,) = unfinished(lines({"SGD": [0.4, 0.42], "SAM": ends}, {"SGD": FLAT[:2], "SAM": FLAT[:2]}), 0.02).to_dict(
            "records"
        )
        assert (row["left"], row["unfinished"]) == (left, True)
        assert np.isnan([row["difference"], row["difference_low"], row["difference_high"]]).all()


def test_without_the_reference_nothing_is_said():
    table = lines({"SAM": [0.1, 0.2]}, {"SAM": FLAT[:2]})
    assert unfinished(table, 0.02).empty
