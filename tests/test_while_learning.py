"""What the loss tells while a network learns, against other libraries; and where it must tell nothing."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import statsmodels.api as sm

from popview.populations.tables import gather
from popview.populations.while_learning import loss_and_learning


def curves(climb: float, shared: float, restarts: int = 12, noise: float = 0.004) -> pd.DataFrame:
    """Return trajectories whose score gains `climb` in the second half; a share of its noise is the loss's."""
    generator, frames = np.random.default_rng(5), []
    epochs = np.arange(1, 41)
    for seed in range(restarts):
        common, own = generator.standard_normal((2, len(epochs)))
        score = 0.6 + climb * (epochs - 20) / 20 + noise * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
        frames.append(
            pd.DataFrame(
                {"epoch": epochs, "train_loss": np.exp(-epochs / 20 - 0.1 * common), "test_metric": score}
            ).assign(seed=seed, step=10 * epochs, validation_metric=score)
        )
    table = pd.concat(frames, ignore_index=True)
    return table.assign(task="digits", profile="smoke", variant="base", algorithm="SGD")


def test_readings_are_those_of_other_libraries():
    table = curves(0.03, 0.6)
    (row,) = loss_and_learning(table, 0.01).to_dict("records")
    climbs, taus, without = [], [], []
    for _, rest in table[table["epoch"] >= 20].groupby("seed"):
        climbs.append(scipy.stats.linregress(rest["epoch"], rest["test_metric"]).slope * 20)
        taus.append(scipy.stats.kendalltau(-rest["train_loss"], rest["test_metric"]).statistic)
        design = sm.add_constant(rest["epoch"].astype(float))
        left = [sm.OLS(y, design).fit().resid for y in (-np.log(rest["train_loss"]), rest["test_metric"])]
        without.append(scipy.stats.kendalltau(*left).statistic)
    for name, values in (("climb", climbs), ("tau", taus), ("trendless", without)):
        interval = sm.stats.DescrStatsW(values).tconfint_mean()
        assert (row[name], row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx((np.mean(values), *interval))
    ordered = [rest.sort_values("train_loss")["test_metric"].head(10).mean() for _, rest in table.groupby("seed")]
    last = [rest["test_metric"].tail(10).mean() for _, rest in table.groupby("seed")]
    assert row["choice"] == pytest.approx(np.mean(np.subtract(ordered, last)))
    assert row["learning"]
    assert row["restarts"] == 12


@pytest.mark.parametrize("climb", [0.0, 0.1])
def test_a_common_trend_alone_gives_tau_and_nothing_else(climb):
    """Loss falls, the score climbs or not, and their noise is independent."""
    (row,) = loss_and_learning(curves(climb, 0.0, restarts=40), 0.01).to_dict("records")
    assert row["learning"] == (climb > 0)
    assert (row["tau"] > 0.5) == (climb > 0)
    assert row["trendless_low"] < 0 < row["trendless_high"]
    assert abs(row["choice"]) < 0.005


def test_a_constant_score_has_no_correlation():
    table = curves(0.0, 0.0).assign(test_metric=0.5)
    (row,) = loss_and_learning(table, 0.01).to_dict("records")
    assert np.isnan(row["tau"])
    assert np.isnan(row["trendless"])
    assert row["climb"] == pytest.approx(0)


@pytest.mark.slow
def test_on_shipped_results_loss_and_score_go_together_where_networks_still_learn():
    """The finding of the first page: learning and flat settings do not overlap in τ."""
    _, results = gather("laptop")
    margins = {"digits": 0.005, "cifar10": 0.01, "goemotions": 0.02, "tweeteval": 0.02}
    parts = [loss_and_learning(rows, margins[task]).assign(task=task) for (task, _), rows in results.items()]
    table = pd.concat(parts).dropna(subset="tau")
    learning, flat = (table[table["learning"] == word] for word in (True, False))
    assert learning["tau"].min() > flat["tau"].max()
    assert set(learning["task"]) == {"cifar10", "goemotions", "digits"}
    assert set(flat["task"]) == {"digits", "tweeteval"}
    assert learning[learning["task"] == "goemotions"]["choice"].abs().max() < 0.001
