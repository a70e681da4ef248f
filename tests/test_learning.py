"""What the second half of training says of loss and score: against closed forms and a count of pairs."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from popview.populations.learning import second_half, second_halves
from popview.populations.selection import against_last
from popview.populations.tables import gather
from popview.runs.profiles import settings


def restart(loss: np.ndarray, score: np.ndarray, algorithm: str = "SGD", seed: int = 0) -> pd.DataFrame:
    table = pd.DataFrame({"train_loss": loss, "test_metric": score, "epoch": np.arange(len(loss)) * 2.0})
    return table.assign(algorithm=algorithm, seed=seed)


def concordance(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's τ by its definition; for values without ties."""
    pairs = list(combinations(range(len(x)), 2))
    return sum(np.sign((x[i] - x[j]) * (y[i] - y[j])) for i, j in pairs) / len(pairs)


class TestSecondHalf:
    def test_time_alone(self):
        """Loss and score that share nothing but time agree at every pair, and not at all without their trends."""
        epoch, generator = np.arange(401), np.random.default_rng(0)
        loss, score = (generator.uniform(-4e-4, 4e-4, 401) for _ in range(2))  # a step of the trend is more
        (row,) = second_half(restart(1 - epoch / 800 + loss, epoch / 800 + score)).to_dict("records")
        assert row["gain"] == pytest.approx(200 / 800, rel=0.01)
        assert row["tau"] == 1.0
        assert abs(row["tau_without_trend"]) < 0.1  # its standard error is 0.05

    def test_noise_that_both_share(self):
        """On a flat curve what remains is the noise: lower loss, higher score, checkpoint by checkpoint."""
        noise = np.random.default_rng(0).normal(size=41)
        (row,) = second_half(restart(1 + 0.01 * noise, 0.5 - 0.01 * noise)).to_dict("records")
        assert row["tau"] == row["tau_without_trend"] == pytest.approx(1.0)

    def test_against_statsmodels_and_a_count_of_pairs(self):
        generator = np.random.default_rng(1)
        table = restart(generator.random(21), generator.random(21))
        (row,) = second_half(table).to_dict("records")
        late = table[table["epoch"] >= 20]
        time = sm.add_constant(late["epoch"])
        fits = {name: sm.OLS(late[name], time).fit() for name in ("train_loss", "test_metric")}
        assert row["gain"] == pytest.approx(20 * fits["test_metric"].params["epoch"])
        assert row["tau"] == pytest.approx(concordance(-late["train_loss"].to_numpy(), late["test_metric"].to_numpy()))
        loss, score = (fits[name].resid.to_numpy() for name in ("train_loss", "test_metric"))
        assert row["tau_without_trend"] == pytest.approx(concordance(-loss, score))

    def test_the_second_half_is_of_an_algorithm_s_own_epochs(self):
        generator = np.random.default_rng(2)
        long, short = (restart(generator.random(n), generator.random(n), a) for n, a in ((41, "SGD"), (21, "SAM")))
        found = second_half(pd.concat([long, short], ignore_index=True))
        alone = pd.concat([second_half(long), second_half(short)], ignore_index=True)
        pd.testing.assert_frame_equal(found, alone)

    def test_what_is_not_defined(self):
        flat = restart(np.linspace(1, 0, 21), np.full(21, 0.5))
        kept = restart(np.repeat(0.1, 21), np.linspace(0, 1, 21), "NiM-MBH")
        lost = restart(np.r_[np.ones(12), np.full(9, np.nan)], np.linspace(0, 1, 21), "SAM")
        found = second_half(pd.concat([flat, kept, lost])).set_index("algorithm")
        assert found.loc["SGD", "gain"] == 0
        assert found.loc["NiM-MBH", "gain"] == pytest.approx(0.5)
        assert found[["tau", "tau_without_trend"]].isna().all(axis=None)
        assert np.isnan(found.loc["SAM", "gain"])


class TestSecondHalves:
    def test_means_over_restarts_and_who_still_learns(self):
        generator = np.random.default_rng(2)
        rises = {"SGD": 0.1, "SAM": 0.0}
        table = pd.concat(
            restart(generator.random(21), generator.normal(0, 1e-3, 21) + np.arange(21) * rise / 10, name, seed)
            for name, rise in rises.items()
            for seed in range(4)
        )
        found = second_halves(table, margin=0.05).set_index("algorithm")
        each = second_half(table).groupby("algorithm")
        for reading in ("gain", "tau", "tau_without_trend"):
            np.testing.assert_allclose(found[reading], each[reading].mean()[found.index])
            half = 3.182446 * each[reading].std()[found.index] / 2  # t of 3 degrees of freedom, four restarts
            most = np.inf if reading == "gain" else 1
            np.testing.assert_allclose(found[f"{reading}_high"], np.minimum(found[reading] + half, most), rtol=1e-5)
            np.testing.assert_allclose(found[f"{reading}_low"], np.maximum(found[reading] - half, -most), rtol=1e-5)
        assert found["restarts"].tolist() == [4, 4]
        assert found["learning"].to_dict() == {"SGD": True, "SAM": False}


@pytest.mark.slow
def test_on_shipped_results_loss_and_score_go_together_where_networks_still_learn():
    """The finding of the first page: at constant rates, settings that still learn and settings that are flat do not
    overlap in τ. Annealed, a score gains as the rate falls: on Digits whatever the loss does, and τ is small; on
    CIFAR-10 both go on, and τ is as large as that of settings that still learn. On TweetEval no score gains, and τ is
    near zero.

    And that more is not said: on GoEmotions, which still learns, loss chooses no better than the last checkpoints.
    """
    parts = []
    for (task, variant), rows in gather("laptop")[1].items():
        margin = float(settings("laptop", task)["margin"])
        choice = against_last(rows, margin).set_index("algorithm")["difference"]
        halves = second_halves(rows, margin).assign(task=task, variant=variant)
        parts.append(halves.join(choice, on="algorithm"))
    every = pd.concat(parts).dropna(subset="tau")
    table, annealed = every[every["variant"] != "annealed"], every[every["variant"] == "annealed"]
    assert set(annealed["task"]) == {"digits", "cifar10", "tweeteval"}
    on_tweets = annealed[annealed["task"] == "tweeteval"]
    assert not on_tweets["learning"].any()
    assert on_tweets["tau"].between(0, 0.25).all()
    assert annealed.query("task == 'digits'")["tau"].between(0.2, 0.45).all()
    assert annealed.query("task == 'cifar10'")["tau"].min() > 0.5
    assert annealed.query("task == 'cifar10'")["difference"].abs().max() < 0.003  # and yet the last are as good
    learning, flat = (table[table["learning"] == word] for word in (True, False))
    assert learning["tau"].min() > flat["tau"].max()
    assert set(learning["task"]) == {"cifar10", "goemotions", "digits"}
    assert set(flat["task"]) == {"digits", "tweeteval"}
    assert learning.query("task == 'goemotions'")["difference"].abs().max() < 0.001
    assert learning.query("task == 'cifar10' and algorithm != 'SWA'")["difference"].min() > 0.003
