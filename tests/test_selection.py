"""What choosing by training loss costs: against brute force over tie orders and pairs, and closed forms."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.weightstats import DescrStatsW

from popview.book import cells
from popview.book.tables import selection as selection_tables
from popview.common.errors import UsageError
from popview.populations import checkpoints, learning, pooled, selection, tables
from popview.populations.checkpoints import chances


def trajectories(values: dict[str, np.ndarray], algorithm: str = "SGD", seed: int = 0) -> pd.DataFrame:
    """One restart: columns by name, one row per checkpoint."""
    kind = {"task": "digits", "profile": "smoke", "variant": "base", "algorithm": algorithm, "seed": seed}
    table = pd.DataFrame(values).assign(**kind)
    return table.assign(step=np.arange(len(table)) * 10, epoch=np.arange(len(table)) / 2)


def several(seeds: int, checkpoints: int, levels: int, draw: int = 0) -> pd.DataFrame:
    """Several restarts with tied metrics, and in one of them a checkpoint that is not finite."""
    generator = np.random.default_rng(draw)
    frames = []
    for algorithm in ("SGD", "SAM"):
        for seed in range(seeds):
            metric = {n: generator.integers(0, levels, checkpoints) / levels for n in ("validation", "test")}
            loss = generator.integers(0, levels, checkpoints) / levels
            columns = {"train_loss": loss, **{f"{n}_metric": v for n, v in metric.items()}}
            frames.append(trajectories(columns, algorithm, seed))
    table = pd.concat(frames, ignore_index=True)
    table.loc[1, "train_loss"] = np.nan
    return table.sample(frac=1, random_state=1)


def by_tie_order(rows: pd.DataFrame, by: str, number: int) -> np.ndarray:
    """Return how often each row is selected over all orders of the rows: brute force over ties."""
    values, finite = rows[by].to_numpy(), np.isfinite(rows["train_loss"].to_numpy())
    counts = np.zeros(len(rows))
    orders = list(permutations(np.flatnonzero(finite)))
    sign = 1 if checkpoints.CRITERIA[by] else -1
    for order in orders:
        ranked = sorted(order, key=lambda i: sign * values[i])  # stable: ties stay in this order
        counts[ranked[:number]] += 1
    return counts / len(orders)


class TestChances:
    @pytest.mark.parametrize("by", checkpoints.CRITERIA)
    @pytest.mark.parametrize("number", [1, 2, 3, 5])
    def test_against_every_order_of_the_ties(self, by, number):
        table = several(2, 6, levels=3)
        weights = chances(table, by, number)
        for _, rows in table.groupby(["algorithm", "seed"]):
            np.testing.assert_allclose(weights[rows.index], by_tie_order(rows, by, number), atol=1e-12)

    def test_without_ties_it_is_select(self):
        table = several(3, 8, levels=10**6)
        chosen = checkpoints.select(table, "train_loss", 3)
        taken = table[chances(table, "train_loss", 3) > 0]
        keys = ["algorithm", "seed", "step"]
        assert set(map(tuple, taken[keys].to_numpy())) == set(map(tuple, chosen[keys].to_numpy()))
        assert set(chances(table, "train_loss", 3)) == {0.0, 1.0}

    def test_mistakes_are_those_of_select(self):
        table = several(1, 4, levels=3)
        with pytest.raises(UsageError, match="unknown criterion 'test_loss'"):
            chances(table, "test_loss", 2)
        with pytest.raises(UsageError, match="per_trajectory must be between 1 and 4"):
            chances(table, "train_loss", 5)


class TestRegret:
    def test_by_hand(self):
        metric = np.array([0.1, 0.4, 0.9, 0.6])
        table = trajectories({"train_loss": np.array([4.0, 3.0, 2.0, 1.0]), "test_metric": metric})
        assert selection.regret(table, per_trajectory=1).loc[0, "SGD"] == pytest.approx(0.9 - 0.6)
        assert selection.regret(table, per_trajectory=2).loc[0, "SGD"] == pytest.approx(0.0)
        assert selection.overlap(table, per_trajectory=1).loc[0, "SGD"] == 0.0
        assert selection.overlap(table, per_trajectory=3).loc[0, "SGD"] == 1.0

    @pytest.mark.parametrize("by", ["validation_metric", "test_metric"])
    def test_against_every_order_of_the_ties(self, by):
        table, number = several(2, 6, levels=3), 2
        regret = selection.regret(table, by, "test_metric", number)
        overlap = selection.overlap(table, by, number)
        for (algorithm, seed), rows in table.groupby(["algorithm", "seed"]):
            ours, rival = (by_tie_order(rows, name, number) for name in ("train_loss", by))
            value = rows["test_metric"].to_numpy()
            assert regret.loc[seed, algorithm] == pytest.approx((rival - ours) @ value / number)
            assert overlap.loc[seed, algorithm] == pytest.approx(ours @ rival / number)

    def test_to_the_best_by_its_own_score_it_is_never_negative(self):
        table = several(4, 12, levels=4)
        assert (selection.regret(table, per_trajectory=3).to_numpy() >= -1e-12).all()
        np.testing.assert_allclose(selection.regret(table, "train_loss", per_trajectory=3), 0, atol=1e-12)

    def test_unrelated_criteria_share_what_chance_gives(self):
        found = selection.overlaps(several(200, 20, levels=10**6), per_trajectory=5)
        assert set(found["chance"]) == {0.25}
        assert (np.abs(found["mean"] - 0.25) < 4 * found["sd"] / np.sqrt(found["restarts"])).all()

    def test_verdicts_are_paired_even_for_few_restarts(self):
        table = several(5, 12, levels=10**6)
        found = selection.verdicts(table, 0.9, per_trajectory=3)
        assert found["algorithm"].tolist() == ["SAM", "SGD"] or found["algorithm"].tolist() == ["SGD", "SAM"]
        assert set(found["test"]) == {"paired t"}
        for row in found.to_dict("records"):
            name = row["algorithm"]
            ours = selection.chosen(table, "train_loss", per_trajectory=3)[name]
            theirs = selection.chosen(table, "validation_metric", per_trajectory=3)[name]
            assert row["p"] == pytest.approx(scipy.stats.ttest_1samp(ours - theirs, 0).pvalue)
        regret = selection.regret(table, "validation_metric", "test_metric", 3)
        for row in found.to_dict("records"):
            assert row["difference"] == pytest.approx(-regret[row["algorithm"]].mean())
            assert row["verdict"] == "equivalent"


class TestRankCorrelation:
    def brute(self, x: np.ndarray, y: np.ndarray) -> float:
        """τ_b from its definition, pair by pair."""
        signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in combinations(range(len(x)), 2)]
        both = sum(a * b for a, b in signs)
        return both / np.sqrt(sum(a * a for a, _ in signs) * sum(b * b for _, b in signs))

    def test_against_the_definition(self):
        table = several(3, 12, levels=7)
        assert table.groupby(["algorithm", "seed"])["train_loss"].nunique().between(5, 11).all()  # with ties
        found = selection.rank_correlation(table)
        for (algorithm, seed), rows in table.groupby(["algorithm", "seed"]):
            known = rows[np.isfinite(rows["train_loss"])]
            expected = self.brute(-known["train_loss"].to_numpy(), known["test_metric"].to_numpy())
            assert found.loc[seed, algorithm] == pytest.approx(expected)

    def test_full_agreement_and_late_checkpoints(self):
        loss = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.4, 0.3, 0.2, 0.1])
        score = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 8.0, 7.0, 6.0, 5.5])
        table = trajectories({"train_loss": loss, "test_metric": score})
        middle = table["epoch"].iloc[5]
        assert selection.rank_correlation(table, from_epoch=middle).loc[0, "SGD"] == pytest.approx(-1.0)
        assert selection.rank_correlation(table.iloc[:6]).loc[0, "SGD"] == pytest.approx(1.0)

    def test_a_repeated_incumbent_says_nothing_of_a_trajectory(self):
        """Sixteen checkpoints that show four models."""
        loss, score = np.repeat([4.0, 3.0, 2.0, 1.0], 4), np.repeat([0.1, 0.2, 0.3, 0.4], 4)
        assert np.isnan(
            selection.rank_correlation(trajectories({"train_loss": loss, "test_metric": score})).loc[0, "SGD"]
        )

    @pytest.mark.parametrize("constant", ["train_loss", "test_metric"])
    def test_a_constant_column_has_none_and_is_counted(self, constant):
        table = several(3, 6, levels=10**6)
        table.loc[(table["seed"] == 2) & (table["algorithm"] == "SAM"), constant] = 0.5
        found = selection.rank_correlation(table)
        assert np.isnan(found.loc[2, "SAM"])
        summary = selection.mean_with_interval(found).set_index("algorithm")
        assert summary["undefined"].to_dict() == {"SAM": 1, "SGD": 0}
        assert summary["restarts"].to_dict() == {"SAM": 2, "SGD": 3}

    def test_one_checkpoint_has_none(self):
        table = trajectories({"train_loss": np.array([1.0, 0.5]), "test_metric": np.array([0.1, 0.2])})
        assert np.isnan(selection.rank_correlation(table, from_epoch=0.5).loc[0, "SGD"])
        assert np.isnan(selection.rank_correlation(table, from_epoch=99).loc[0, "SGD"])


class TestSummary:
    def test_against_statsmodels(self):
        values = pd.DataFrame({"SGD": np.random.default_rng(0).exponential(size=9)})
        (row,) = selection.mean_with_interval(values, margin=2.0).to_dict("records")
        assert (row["low"], row["high"]) == pytest.approx(DescrStatsW(values["SGD"]).tconfint_mean(0.05))
        assert row["mean"] == pytest.approx(values["SGD"].mean())
        upper = scipy.stats.ttest_1samp(values["SGD"], 2.0, alternative="less").pvalue
        lower = scipy.stats.ttest_1samp(values["SGD"], -2.0, alternative="greater").pvalue
        assert row["equivalence_p"] == pytest.approx(max(upper, lower))

    @pytest.mark.filterwarnings("error")
    def test_too_few_values(self):
        (row,) = selection.mean_with_interval(pd.DataFrame({"SGD": [np.nan, 0.5]}), margin=1.0).to_dict("records")
        assert (row["restarts"], row["undefined"], row["mean"]) == (1, 1, 0.5)
        assert np.isnan([row["low"], row["high"], row["equivalence_p"]]).all()
        (row,) = selection.mean_with_interval(pd.DataFrame({"SGD": [np.nan, np.nan]})).to_dict("records")
        assert row["undefined"] == 2
        assert np.isnan(row["mean"])

    @pytest.mark.parametrize(("restarts", "least", "most"), [(5, 0.84, 0.96), (100, 0.935, 0.96)])
    def test_interval_covers_what_its_docstring_says(self, restarts, least, most):
        """Regrets on `digits`, drawn again: short of 95 % at 5 restarts, not at 100."""
        table = tables.load_trajectories(tables.wanted("laptop", "digits", algorithms=("SGD", "AdamW")), 100)
        regrets = selection.regret(table)
        generator = np.random.default_rng(0)
        for name in regrets:
            values = regrets[name].to_numpy()
            drawn = generator.choice(values, (4000, restarts))
            half = scipy.stats.t.isf(0.025, restarts - 1) * drawn.std(axis=1, ddof=1) / np.sqrt(restarts)
            covered = np.mean(np.abs(drawn.mean(axis=1) - values.mean()) <= half)
            assert least <= covered <= most
            found = selection.mean_with_interval(pd.DataFrame({"one": drawn[0]})).iloc[0]
            assert found["high"] - found["mean"] == pytest.approx(half[0])


def test_readings_name_their_series():
    table = several(3, 12, levels=10**6)
    regrets = selection.regrets(table, 0.01, 3)
    assert regrets.groupby("series", sort=False).size().to_dict() == dict.fromkeys(selection.REGRETS, 2)


class TestLate:
    def table(self) -> pd.DataFrame:
        """Four checkpoints, of which the last three are the second half: the loss picks the last."""
        rows = [
            ("SGD", seed, epoch, 1 - 0.1 * epoch, score + 0.01 * seed)
            for seed in range(6)
            for epoch, score in ((0, 0.1), (2, 0.5), (3, 0.6), (4, 0.7))
        ]
        table = pd.DataFrame(rows, columns=["algorithm", "seed", "epoch", "train_loss", "test_metric"])
        return table.assign(task="digits", profile="smoke", variant="base", step=table["epoch"])

    def test_the_last_checkpoints_are_the_rival(self):
        """Recency alone: where the loss falls to the end, it chooses the last models, and nothing is gained."""
        table = self.table()
        row = selection.against_last(table, 0.05, per_trajectory=1).iloc[0]
        ours, last = (
            selection.chosen(table, "train_loss", per_trajectory=1),
            selection.last_checkpoints(table, number=1),
        )
        assert row["difference"] == pytest.approx((ours - last)["SGD"].mean())
        falling = table.assign(train_loss=-table["epoch"])
        same = selection.against_last(falling, 0.05, per_trajectory=2).iloc[0]
        assert (same["difference"], same["p"], same["verdict"]) == (0.0, 1.0, "equivalent")


class TestOverview:
    def test_says_what_the_readings_hold_setting_by_setting(self):
        results = {("digits", "base"): several(9, 12, levels=10**6), ("cifar10", "base"): several(5, 12, levels=10**6)}
        margins = {9: 0.9, 5: 0.01}

        def each(reading):
            return cells.stack({key: reading(t, margins[t["seed"].nunique()]) for key, t in results.items()})

        readings = [
            each(lambda t, _: pooled.paper_sets(t, 3)),
            each(lambda t, m: selection.regrets(t, m, 3)),
            each(lambda t, m: selection.verdicts(t, m, per_trajectory=3)),
            each(lambda t, m: selection.against_last(t, m, per_trajectory=3)),
            each(lambda t, _: selection.overlaps(t, 3)),
            each(lambda t, m: learning.second_halves(t, m)),
        ]
        table = selection_tables.selection_overview(*readings).set_index("")
        assert list(table) == ["Digits, base", "CIFAR-10, base"]
        assert list(table.loc["restarts"]) == ["9", "5"]
        assert list(table.loc["margin"]) == ["±90", "±1"]
        assert table.loc["loss against validation", "Digits, base"] == "2 same within the margin"
        for key, column in zip(results, table, strict=True):
            rows = results[key]
            last = selection.last_checkpoints(rows, number=3)
            expected = {
                "gain over validation": -selection.regret(rows, "validation_metric", "test_metric", 3),
                "gain over the last": selection.chosen(rows, "train_loss", per_trajectory=3) - last,
                "regret to the best": selection.regret(rows, per_trajectory=3),
                "models that both": selection.overlap(rows, per_trajectory=3),
                "τ, second half": selection.rank_correlation(rows, from_epoch=rows["epoch"].max() / 2) / 100,
            }
            for label, found in expected.items():
                means, digits = 100 * found.mean(), 0 if "both" in label else 2
                ends = (f"{means[name]:.{digits}f} ({name})" for name in (means.idxmin(), means.idxmax()))
                (cell,) = table.loc[table.index.str.startswith(label), column]
                assert cell.split(";")[0] == " to ".join(ends).replace("-", "−")
            (shared,) = table.loc[table.index.str.startswith("models"), column]
            assert shared.endswith("; by chance 25")
        test = table.loc["paper's test: SetA differs from SetB"]
        assert test["Digits, base"] == "2 of 2 (5 restarts); 2 of 2 (9 restarts)"

    def test_a_mean_of_zero_has_no_sign_and_what_is_undefined_is_named(self):
        rows = pd.DataFrame({"algorithm": ["SGD", "SAM", "SWA"], "mean": [-0.0, 0.001, np.nan]})
        assert selection_tables._range(rows, "mean") == "0.00 (SGD) to 0.00 (SAM); undefined for SWA"
        assert selection_tables._range(rows[2:], "mean") == "undefined"


def test_recency_stands_beside_the_case_that_it_is_of():
    table = several(4, 8, levels=10**6)
    readings = [read(table, 0.01, 3) for read in (selection.verdicts, selection.last_against_validation)]
    by_loss, recency = (reading.assign(task="digits", variant="base") for reading in readings)
    gains = cells.with_interval(recency, "difference", 100, ends="difference_")
    shown = selection_tables.choices_table(by_loss, recency).set_index("algorithm")["the last ten gain"]
    assert dict(shown) == dict(zip(recency["algorithm"], gains, strict=True))
    assert list(recency["algorithm"]) != list(by_loss["algorithm"])
