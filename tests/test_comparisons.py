"""Comparisons of populations, on tables small enough to compute by hand, and how pages lay them out."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.power import TTestPower

from popview.book import cells, style
from popview.book.figures import comparisons as comparison_figures
from popview.book.names import task_title, with_variant
from popview.book.results import required
from popview.book.tables import comparisons as comparison_tables
from popview.book.tables import printed as printed_tables
from popview.book.tables import selection as selection_tables
from popview.common.errors import UsageError
from popview.populations import checkpoints, comparisons, margins, over_tasks, pooled, selection, tables
from popview.populations.averaged_weights import statistics_alone, swa_against_averages
from popview.populations.outcomes import against_by_outcome
from popview.runs.profiles import settings
from popview.statistics import detectable_effect, holm


def population(algorithm: str, seeds: int, values: np.ndarray, steps: list[int]) -> pd.DataFrame:
    """One row per restart and step, as `popview.populations.checkpoints.select` returns them."""
    index = pd.MultiIndex.from_product([range(seeds), steps], names=["seed", "step"])
    kind = {"task": "digits", "profile": "smoke", "variant": "base", "algorithm": algorithm}
    return pd.DataFrame({"test_metric": values}, index=index).reset_index().assign(**kind)


def restarts(n: int, shifts: dict[str, float], noise: float = 0.001, seed: int = 1) -> pd.DataFrame:
    """One value per restart around a luck that the algorithms share."""
    generator = np.random.default_rng(seed)
    luck = generator.normal(0.9, 0.01, n)
    return pd.DataFrame({name: luck + shift + generator.normal(0, noise, n) for name, shift in shifts.items()})


class TestSets:
    def test_the_papers_tests_and_both_readings_of_its_spread(self):
        a = population("SGD", 2, np.array([0.1, 0.2, 0.3, 0.8]), [1, 2])
        b = population("SGD", 2, np.array([0.2, 0.5, 0.4, 0.5]), [2, 3])
        (row,) = pooled.set_a_against_set_b(a, b).to_dict("records")
        expected = scipy.stats.mannwhitneyu(a["test_metric"], b["test_metric"], alternative="two-sided").pvalue
        assert row["mann_whitney"] == pytest.approx(expected)
        assert row["t_test"] == pytest.approx(scipy.stats.ttest_ind(a["test_metric"], b["test_metric"]).pvalue)
        assert (row["restarts"], row["models"]) == (2, 4)
        assert (row["median_a"], row["median_b"]) == (0.25, 0.45)
        assert row["sd_a"] == pytest.approx(np.std([0.1, 0.2, 0.3, 0.8], ddof=1))
        assert row["within_a"] == pytest.approx(np.mean([0.1, 0.5]) / np.sqrt(2))  # of two numbers: |x − y| / √2

    def test_a_set_against_itself_differs_in_nothing(self):
        a = population("SGD", 3, np.linspace(0, 1, 6), [1, 2])
        (row,) = pooled.set_a_against_set_b(a, a).to_dict("records")
        assert (row["mann_whitney"], row["t_test"]) == (1.0, 1.0)

    def test_the_papers_five_restarts_stand_above_all_of_them(self):
        generator = np.random.default_rng(0)
        rows = population("SGD", 8, generator.uniform(size=32), [1, 2, 3, 4])
        rows["train_loss"] = generator.uniform(size=32)
        found = pooled.paper_sets(rows, per_trajectory=2)
        assert found["restarts"].tolist() == [5, 8]
        alone = pooled.paper_sets(rows[rows["seed"] < 5], per_trajectory=2)
        pd.testing.assert_frame_equal(found.iloc[:1], alone)
        assert found.loc[1, "median_b"] >= found.loc[1, "median_a"]


class TestTally:
    def test_by_hand(self):
        found = pooled.tally([0.01, 0.0501, 0.05, np.nan])  # at 0.05 a verdict rejects as well
        assert found == {"tests": 3, "rejected": 2, "expected": pytest.approx(0.15), "adjusted": pytest.approx(0.03)}

    def test_the_printed_tables_reject_as_often_as_their_readers_count(self):
        from popview.paper import printed

        six = pooled.tally(printed.printed_table("6")["p_value"])
        assert (six["tests"], six["rejected"]) == (12, 2)
        assert six["adjusted"] == pytest.approx(12 * 0.035478)

    def test_of_nothing(self):
        found = pooled.tally([])
        assert (found["tests"], found["rejected"]) == (0, 0)
        assert np.isnan(found["adjusted"])


class TestPairs:
    def test_pairwise_is_scipys(self):
        generator = np.random.default_rng(0)
        both = pd.concat([population(name, 5, generator.normal(size=10), [1, 2]) for name in ("SGD", "SAM")])
        (row,) = pooled.pairwise(both, ["SGD", "SAM"]).to_dict("records")
        one, other = (both.loc[both["algorithm"] == name, "test_metric"] for name in ("SGD", "SAM"))
        assert row["pooled_p"] == pytest.approx(scipy.stats.mannwhitneyu(one, other).pvalue)

    def test_all_pairs_are_one_family_and_keep_the_pooled_p(self):
        generator = np.random.default_rng(0)
        names = ("SGD", "SAM", "NiM-BH")
        three = pd.concat([population(name, 5, generator.normal(size=10), [1, 2]) for name in names])
        found = comparisons.all_pairs(three, margin=0.1)
        assert list(zip(found["a"], found["b"], strict=True)) == list(combinations(names, 2))
        np.testing.assert_allclose(found["adjusted_p"], holm(found["p"]))
        np.testing.assert_allclose(found["pooled_p"], pooled.pairwise(three, names)["pooled_p"])

    def test_printed_values_stand_beside_their_own_comparison(self):
        """Table 6 is joined by name: once it was joined by position, which swapped two of its rows."""
        ours = pd.DataFrame({"task": "digits", "label": "base", "comparison": ["SAM vs. NiM-BH"], "p": [0.5]})
        table = printed_tables.printed_and_ours(ours, "6", "comparison").set_index("comparison")
        assert table.loc["SAM vs. NiM-BH", "Digits: base"] == "0.50"
        assert table.loc["SAM vs. NiM-BH", "CIFAR-100: printed"] == "0.0458"  # as printed
        assert table.loc["SGD vs. SAM", "GoEmotions: printed"] == "0.035478"
        assert table.loc["SGD vs. SAM", "Digits: base"] == "–"


class TestAgainst:
    @pytest.mark.parametrize(("shift", "verdict"), [(0.0, "equivalent"), (0.05, "better"), (-0.05, "worse")])
    def test_verdicts(self, shift, verdict):
        found = comparisons.against(restarts(12, {"SGD": 0.0, "SAM": shift}), [("SAM", "SGD")], margin=0.005)
        assert found["verdict"][0] == verdict
        gain = found["difference"][0]
        assert found["direction"][0] == ("better" if gain > 0 else "worse")
        assert found["low"][0] <= found["estimate"][0] <= found["high"][0]
        assert found["difference"][0] == pytest.approx(shift, abs=0.001)

    def test_a_loss_is_better_where_it_is_lower_and_has_no_margin(self):
        values = restarts(12, {"SGD": 0.0, "SAM": -0.05})
        (row,) = comparisons.against(values, [("SAM", "SGD")], None, higher_is_better=False).to_dict("records")
        assert row["verdict"] == "better"
        assert np.isnan(row["margin"])
        assert np.isnan(row["equivalence_p"])

    @pytest.mark.parametrize(("n", "signs"), [(7, False), (8, True)])
    def test_detectable_is_the_design_s_effect_times_the_spread_seen(self, n, signs):
        values = restarts(n, {"SGD": 0.0, "SAM": 0.01, "NiM-BH": 0.0})
        pairs = [("SAM", "SGD"), ("NiM-BH", "SGD")]
        row = comparisons.against(values, pairs, 0.005).iloc[0]
        effect = detectable_effect(n, n, family_size=2, paired=True, permutation=signs).effect
        if not signs:
            assert effect == pytest.approx(TTestPower().solve_power(nobs=n, alpha=0.025, power=0.8))
        spread = np.std(values["SAM"] - values["SGD"], ddof=1)
        assert row["test"] == ("sign flips" if signs else "paired t")
        assert row["detectable"] == pytest.approx(effect * spread)
        assert row["correlation"] == pytest.approx(np.corrcoef(values["SAM"], values["SGD"])[0, 1])

    def test_a_design_that_can_find_nothing_says_so(self):
        values = restarts(8, {"SGD": 0.0, "SAM": 0.05})
        row = comparisons.against(values, [("SAM", "SGD")], None, family_size=7).iloc[0]
        assert row["detectable"] == np.inf
        assert row["smallest_adjusted_p"] == pytest.approx(7 * 2 / 2**8)
        assert row["verdict"] == "undecidable at this n"

    def test_constant_and_missing_values(self):
        values = pd.DataFrame({"SGD": [0.5] * 6, "SAM": [0.5, np.nan, 0.5, 0.5, 0.5, 0.5]})
        row = comparisons.against(values, [("SAM", "SGD")], margin=0.01).iloc[0]
        assert (row["restarts"], row["p"], row["verdict"]) == (5, 1.0, "equivalent")
        assert np.isnan(row["correlation"])

    def test_the_order_of_seeds_does_not_matter(self):
        """Seeds come in the order in which they were loaded; once the drawn p-values depended on it."""
        values = restarts(30, {"SGD": 0.0, "SAM": 0.0003})
        shuffled = values.sample(frac=1, random_state=0)
        found = [comparisons.against(table, [("SAM", "SGD")], 0.005) for table in (values, shuffled)]
        pd.testing.assert_frame_equal(*found)

    def test_one_restart_is_a_mistake(self):
        with pytest.raises(UsageError, match="a comparison needs 2 restarts or more, got 1"):
            comparisons.against(pd.DataFrame({"SGD": [0.5], "SAM": [0.6]}), [("SAM", "SGD")], 0.01)

    def test_each_family_is_corrected_by_itself(self):
        names = ["SGD", *tables.PAPER_FAMILY, *comparisons.SECOND_FAMILY[:2]]
        values = restarts(6, {name: 0.002 * i for i, name in enumerate(names)})
        found = comparisons.against_reference(values, 0.005)
        assert found.groupby("family", sort=False).size().to_dict() == {"the paper's": 5, "second": 2}
        for _, rows in found.groupby("family"):
            np.testing.assert_allclose(rows["adjusted_p"], holm(rows["p"]))
        assert comparisons.against_reference(values.drop(columns="SGD"), 0.005).empty

    def test_an_algorithm_that_joins_later_moves_no_number_of_the_others(self):
        values = restarts(9, {"SGD": 0.0, "SAM": 0.001, "NiM-BH": 0.0005, "AdamW": 0.0015})
        wider = values.assign(Lion=values["SGD"] + np.linspace(0.001, 0.002, 9), Muon=values["SGD"] + 0.001)
        wider.loc[0, "Lion"] = np.nan
        before, after = (
            comparisons.against_reference(table, 0.005, planned=[*table, *tables.PAPER_FAMILY])
            for table in (values, wider)
        )
        pd.testing.assert_frame_equal(after.iloc[: len(before)], before)
        later = after.iloc[len(before) :]
        assert later[["family", "a"]].to_numpy().tolist() == [["others", "Lion"], ["others", "Muon"]]
        np.testing.assert_allclose(later["adjusted_p"], holm(later["p"]))

    @pytest.mark.parametrize("table", ["all pairs", "verdicts", "last"])
    def test_nor_does_it_in_families_over_all_algorithms(self, table):
        generator = np.random.default_rng(3)
        names = ["SGD", "SAM", "Lion", "AdamW"]
        rows = pd.concat([population(name, 8, generator.normal(size=32), [1, 2, 3, 4]) for name in names])
        for column in ("train_loss", "validation_metric"):
            rows[column] = generator.normal(size=len(rows))
        found = {}
        for kept in ((*names,), ("SGD", "SAM", "AdamW")):
            some = rows[rows["algorithm"].isin(kept)]
            found[len(kept)] = {
                "all pairs": lambda t: comparisons.all_pairs(t, 0.1),
                "verdicts": lambda t: selection.verdicts(t, 0.1, per_trajectory=2),
                "last": lambda t: selection.against_last(t, 0.1, per_trajectory=2),
            }[table](some)
        joined = found[4]["comparison"].str.contains("Lion")
        assert joined.any()
        pd.testing.assert_frame_equal(found[4][~joined].reset_index(drop=True), found[3])
        np.testing.assert_allclose(found[4][joined]["adjusted_p"], holm(found[4][joined]["p"]))

    @pytest.mark.parametrize("compare", [selection.verdicts, selection.against_last])
    def test_choosing_by_loss_has_the_p_values_of_the_ledger_s_six(self, compare):
        """One page judged ten algorithms as one family, and the ledger six: one comparison had two verdicts."""
        generator = np.random.default_rng(5)
        six, second = ["SGD", *tables.PAPER_FAMILY], ["AdamW", "SWA"]
        rows = pd.concat([population(name, 8, generator.normal(size=32), [1, 2, 3, 4]) for name in six + second])
        for column in ("train_loss", "validation_metric"):
            rows[column] = generator.normal(size=len(rows))
        found = compare(rows, 0.1, per_trajectory=2).set_index("algorithm")
        alone = compare(rows[rows["algorithm"].isin(six)], 0.1, per_trajectory=2).set_index("algorithm")
        pd.testing.assert_frame_equal(found.loc[six], alone)
        for names in (six, second):
            np.testing.assert_allclose(found.loc[names, "adjusted_p"], holm(found.loc[names, "p"]))

    def test_a_planned_algorithm_counts_before_it_has_been_run(self):
        values = restarts(5, {"SGD": 0.0, "SWA": 0.05})
        planned = ["SGD", "NiG-SGD", "NiG-MBH", "NiM-MBH", "AdamW", "SWA"]
        alone, among = (comparisons.against_reference(values, 0.005, planned=p).iloc[0] for p in ((), planned))
        p_value = scipy.stats.ttest_rel(values["SWA"], values["SGD"]).pvalue
        assert (alone["adjusted_p"], among["adjusted_p"]) == pytest.approx((p_value, 4 * p_value))
        assert among["detectable"] > alone["detectable"]

    def test_later_restarts_stand_beside_the_first_and_all(self):
        values = restarts(12, {"SGD": 0.0, "SAM": 0.05, "NiM-BH": 0.0}, noise=0.003)
        values.loc[5:, "SAM"] -= 0.1  # the later restarts turn it round
        found = comparisons.repeated(values.sample(frac=1, random_state=0), 0.008, 5, planned=["SWA"])
        for part, seeds in {"first": range(5), "later": range(5, 12), "all": range(12)}.items():
            alone = comparisons.against_reference(values.loc[seeds], 0.008, planned=["SWA"])
            rows = found[found["part"] == part].reset_index(drop=True)
            pd.testing.assert_frame_equal(rows[list(alone)], alone)
            difference = values["SAM"] - values["SGD"]
            welch = scipy.stats.ttest_ind(difference[5:], difference[:5], equal_var=False).confidence_interval()
            row = rows[rows["a"] == "SAM"].iloc[0]
            assert (row["change_low"], row["change_high"]) == pytest.approx((welch.low, welch.high))
            assert row["change"] == pytest.approx(difference[5:].mean() - difference[:5].mean())
        assert comparisons.repeated(values[:9], 0.008, 5).empty
        assert comparisons.repeated(values.drop(columns="SGD"), 0.008, 5).empty
        for few in (1, 0, -2):
            with pytest.raises(UsageError, match=f"must be 2 or more, got {few}"):
                comparisons.repeated(values, 0.008, few)
        laid = comparison_tables.repeats(cells.stack({("digits", "base"): found, ("cifar10", "base"): pd.DataFrame()}))
        assert laid["restarts"].tolist() == ["5 + 7"] * 2
        assert [laid[column][0][:3] for column in ("the first", "the later")] == ["▲\u00a0+", "▼\u00a0−"]
        difference = 100 * (values["SAM"] - values["SGD"]).mean()
        assert laid["all"][0].split("\u00a0")[1].split()[0] == f"{difference:+.2f}".replace("-", "−")

    def test_losses_that_are_not_finite_are_left_out_and_zero_is_a_small_one(self):
        found = comparisons.log_loss(pd.DataFrame({"SGD": [0.1, 0.0], "SAM": [np.inf, np.nan]}))
        assert found["SGD"].tolist() == pytest.approx([-1, -12])
        assert found["SAM"].isna().all()


class TestWords:
    """The answers hold what the numbers say, and a page without results says so."""

    def family(self, **shifts: float) -> pd.DataFrame:
        values = restarts(12, {"SGD": 0.0, **shifts})
        return cells.stack({("digits", "base"): comparisons.against_reference(values, 0.005)})

    def test_outcomes_give_points_and_signs(self):
        row = comparison_tables.outcomes(self.family(**{"NiM-SGD": -0.05})).iloc[0]
        assert row["task"] == "Digits, base"
        assert row["difference"].startswith("−5.0")
        assert row["difference"].count("−") == 3
        assert row["verdict"] == "▼\u00a0worse"

    def test_a_variant_is_named_where_there_is_one(self):
        assert with_variant("digits", "base") == "Digits (base)"
        assert with_variant("FCP on MNIST", "") == "FCP on MNIST"

    def test_the_side_is_named_where_it_is_real(self):
        table = pd.DataFrame({"verdict": ["equivalent"] * 3 + ["better"], "adjusted_p": [0.01, 0.06, 0.01, 0.01]})
        found = cells.word(table.assign(direction=["worse", "worse", "level", "better"]))
        assert list(found) == ["equivalent, but worse", "equivalent", "equivalent", "better"]

    def test_table_six_has_a_pair_in_whatever_order_the_profile_names_it(self):
        values = restarts(6, {"SAM": 0.0, "NiM-BH": 0.01, "SGD": 0.0})
        pairs = comparisons.against(values, list(combinations(values, 2)), 0.005)
        found = printed_tables.printed_pairs(pairs.assign(pooled_p=0.5, task="cifar10", variant="base"))
        own = found[found["label"] == "base, restarts"].set_index("comparison")["p"]
        assert own["SGD vs. SAM"] == pairs.set_index("comparison")["p"]["SAM – SGD"]
        assert len(own) == 3

    def test_verdicts_stand_by_outcome_in_a_line_for_each_comparison(self):
        values = restarts(8, {"SGD": 0.0, "SAM": 0.05, "NiM-BH": 0.0})
        by_outcome = {"last": values, "SetA": values.assign(SAM=values["SGD"] - 0.05)}
        table = pd.concat(
            against_by_outcome(by_outcome, 0.005).assign(task=task, variant=variant)
            for task, variant in (("digits", "base"), ("cifar10", "base"), ("cifar10", "tuned"))
        )
        found = comparison_tables.verdicts_by_outcome(table.reset_index(drop=True))
        assert list(found) == ["task", "comparison", "last", "SetA"]
        assert list(found["task"]) == ["Digits, base", "", "CIFAR-10, base", "", "CIFAR-10, tuned", ""]
        assert list(found["comparison"]) == ["SAM – SGD", "NiM-BH – SGD"] * 3
        assert found.loc[0, "last"].startswith("▲\u00a0+5.0")
        assert found.loc[0, "SetA"] == "▼\u00a0−5.00"

    def test_swa_is_set_against_averages_of_sgds_own(self):
        values = restarts(8, {"SGD": 0.0, "SWA": 0.03})
        outcomes = {"last, sample": values, "averaged": values.assign(SGD=values["SGD"] + 0.04)}
        found = swa_against_averages(outcomes, 0.005).set_index("a")
        assert found.loc["SWA", "difference"] == pytest.approx((values["SWA"] - values["SGD"]).mean() - 0.04)
        assert found.loc["SGD, averaged weights", "difference"] == pytest.approx(0.04)
        assert swa_against_averages({"last": values}, 0.005).empty

    def test_hyperparameters_may_be_names(self):
        assert (
            comparison_tables.write_hyperparameters({"lr": 0.123456, "tau": 100000, "noise": "sphere"})
            == "lr = 0.1235, tau = 100000, noise = sphere"
        )

    def test_choices_within_a_restart_are_worded_as_the_table_words_them(self):
        """A gain that is there and inside the margin is neither "better" nor "no difference found"."""
        luck = pd.DataFrame({"algorithm": ["SGD", "SAM"], "adjusted_p": [0.01, 0.5], "smallest_adjusted_p": 1e-4})
        luck = luck.assign(difference_low=0.0, difference_high=0.0, margin=0.005)
        luck = luck.assign(verdict="equivalent", direction=["better", "worse"])
        assert selection_tables._counts(luck) == "2 same within the margin"
        many = pd.concat([luck[1:]] * 4 + [luck[:1]])
        assert selection_tables._counts(many) == "5 same within the margin"
        assert list(cells.word(many)) == ["equivalent"] * 4 + ["equivalent, but better"]

    def test_runs_that_are_sgds_in_every_restart_are_copies(self):
        parted = {"SGD": (0.0, 0.0), "NiM-SGD": (0.0, 0.1), "SAM": (0.2, 0.1)}
        rows = pd.DataFrame(
            {"task": "digits", "profile": "p", "variant": "base", "algorithm": name, "seed": seed, "epoch": epoch}
            | {"train_loss": 1.0 - epoch / 10 + epoch * shift}
            for name, shifts in parted.items()
            for seed, shift in enumerate(shifts)
            for epoch in (0, 1, 2)
        )
        assert checkpoints.parting(rows)["NiM-SGD"] == np.inf
        assert checkpoints.copies(rows) == []  # it parted in the other restart
        assert checkpoints.copies(rows[rows["seed"] == 0]) == ["NiM-SGD"]
        few = rows[(rows["seed"] == 0) | (rows["algorithm"] != "NiM-SGD")]  # one restart, beside two of the others
        assert checkpoints.copies(few) == ["NiM-SGD"]
        assert checkpoints.parting(few).to_dict() == {"SGD": np.inf, "NiM-SGD": np.inf, "SAM": 1}

    def test_distances_are_those_of_twins_over_those_of_seeds(self):
        generator = np.random.default_rng(0)
        luck = generator.normal(0, 0.02, 4000)
        values = pd.DataFrame({"SGD": luck, "same": luck, "other": generator.permutation(luck), "moved": luck + 0.05})
        found = comparisons.seed_distances(values)
        assert found["same"] == 0
        assert found["other"] == pytest.approx(1, abs=0.05)  # as far as another seed
        assert found["moved"] == pytest.approx(0.05 / (np.sqrt(2) * luck.std(ddof=1)))

    def test_the_missed_and_the_mean_over_tasks_are_the_functions(self):
        values = restarts(12, {"SGD": 0.0, "SAM": 0.02, "NiM-BH": 0.0}, noise=0.004)
        table = cells.stack({(t, "base"): comparisons.against_reference(values, 0.01) for t in ("digits", "cifar10")})
        (line, _) = comparison_tables.missed(over_tasks.detectable_summary(table)).to_dict("records")
        ends = 100 * table["detectable"][:2]
        names = table["a"][:2].to_list()
        least, most = sorted(zip(ends, names, strict=True))
        said = f"{least[0]:.1f} ({least[1]}) to {most[0]:.1f} ({most[1]})"
        assert (line["task"], line["smallest difference found, points"]) == ("Digits, base", said)
        laid = comparison_tables.over_tasks(over_tasks.mean_over_tasks(table)).set_index("comparison")
        own = 100 * (values["SAM"] - values["SGD"]).mean()
        assert laid.loc["SAM – SGD", "mean, points"].startswith(f"{own:+.2f} [")
        assert laid.loc["SAM – SGD", "mean, margins"].startswith(f"{own:+.2f} [")  # a margin of one point
        assert list(laid["tasks"]) == [2, 2]

    def test_a_wider_margin_turns_too_few_into_the_same(self):
        values = restarts(12, {"SGD": 0.0, "SAM": 0.004}, noise=0.006)
        table = cells.stack({("digits", "base"): comparisons.against_reference(values, 0.005)})
        (line,) = comparison_tables.by_margin(margins.verdicts_by_margin(table)).to_dict("records")
        smallest = float(line["same within ±"])
        for factor in ("0.5", "1", "2"):
            assert (line[f"{factor} × margin"] == "=") == (smallest < 0.5 * float(factor))

    @pytest.mark.parametrize(("least", "differ"), [(0.012, "2"), (0.12, "–")])
    def test_pairs_are_counted_by_verdict(self, least, differ):
        """Where no pair could differ, whatever the data, none is counted."""
        words = ["better", "worse", "equivalent", "inconclusive", "undecidable at this n"]
        pairs = pd.DataFrame({"verdict": words, "p": [0.01, 0.05, 0.2, 0.3, 0.4], "smallest_adjusted_p": least})
        pairs = pairs.assign(task="cifar10", variant="base")
        (line,) = comparison_tables.pair_counts(pairs, {("cifar10", "base"): {"rejected": 3}}).to_dict("records")
        assert list(line.values()) == ["CIFAR-10, base", 5, 3, 2, differ, 1, 2, f"{least:.2g}"]

    @pytest.mark.parametrize("width", [style.DESKTOP, style.PHONE])
    def test_the_forest_has_every_comparison_and_arrows_for_what_is_far(self, width):
        values = restarts(12, {"SGD": 0.0, "SAM": -0.2, "NiM-BH": 0.001})
        table = cells.stack({(t, "base"): comparisons.against_reference(values, 0.01) for t in ("digits", "cifar10")})
        figure = comparison_figures.forest(table, width, {("digits", "base", "SAM")})
        titles = [axes.get_title() for axes in figure.axes]
        assert titles == ["Digits", "CIFAR-10"]
        far = 100 * (values["SAM"] - values["SGD"]).mean()
        told = [[text.get_text() for text in axes.texts] for axes in figure.axes]
        assert told == [[f"−{-far:.1f}*"], [f"−{-far:.1f}"]]
        near = 100 * (values["NiM-BH"] - values["SGD"]).mean()
        drawn = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
        assert drawn == pytest.approx([near])

    def test_marks_stand_at_their_algorithm_s_line_however_many_variants_a_task_has(self):
        values = restarts(12, {"SGD": 0.0, "SAM": -0.01, "NiM-BH": 0.001})
        found = comparisons.against_reference(values, 0.01)
        kept = {"base": ("SAM", "NiM-BH"), "tuned": ("NiM-BH",), "annealed": ("SAM",)}
        table = cells.stack({("cifar10", name): found[found["a"].isin(own)] for name, own in kept.items()})
        (axes,) = comparison_figures.forest(table, style.DESKTOP).axes
        places = {(line.get_marker(), line.get_ydata()[0]) for line in axes.lines if line.get_marker() in ("o", "D")}
        assert places == {("o", -0.23), ("D", 0.23), ("o", 0.77), ("o", 1.23)}

    def test_the_figures_of_distances_and_of_a_search_have_every_mark(self):
        table = pd.DataFrame({"task": "digits", "variant": ["base", "tuned"], "a": "SAM", "distance": [0.5, 9.0]})
        marks = comparison_figures.distances_from_sgd(table, style.DESKTOP).axes[0].lines
        assert [line.get_xdata()[0] for line in marks][:2] == [0.5, 5.0]  # what is further stands at the edge
        by_rate = pd.DataFrame({"algorithm": "SGD", "rung": "cell", "lr": [0.1, 0.2], "best": [0.6, 0.7]})
        budgets = pd.DataFrame({"algorithm": "SGD", "trials": [1, 2], "validation_metric": [0.5, 0.6]})
        both = {"digits": by_rate, "cifar10": by_rate.assign(algorithm="SAM"), "tweeteval": by_rate[:0]}
        left, right = comparison_figures.search_curves(both, "lr", style.PHONE).axes
        assert list(left.lines[0].get_ydata()) == list(right.lines[0].get_ydata()) == pytest.approx([60, 70])
        assert [text.get_text() for text in left.figure.legends[0].get_texts()] == ["SGD", "SAM"]
        (axes,) = comparison_figures.search_curves({"digits": budgets}, "trials", style.DESKTOP).axes
        assert list(axes.lines[0].get_ydata()) == pytest.approx([50, 60])

    def test_verdicts_that_changed_name_the_last_reading_before(self):
        def read(**verdicts):
            rows = [
                {"task": "digits", "a": a, "b": "SGD", "verdict": v, "direction": "level", "restarts": 5}
                for a, v in verdicts.items()
            ]
            return pd.DataFrame(rows)

        found = comparison_tables.changed_verdicts(
            ("SetA", read(SAM="equivalent", SWA="better"), ""),
            ("last", read(SAM="inconclusive"), "one model"),
            ("annealed", read(SAM="inconclusive", SWA="worse", AdamW="worse"), "fresh seeds"),
        )
        assert found[["comparison", "reason"]].to_numpy().tolist() == [
            ["SAM – SGD", "one model"],
            ["SWA – SGD", "fresh seeds"],
        ]
        assert found["old"].tolist() == ["same within the margin (SetA, 5 runs)", "better (SetA, 5 runs)"]
        assert found["new"].tolist() == ["too few runs to tell (last, 5 runs)", "worse (annealed, 5 runs)"]

    def test_five_restarts_are_compared_by_the_paired_t_test_both_ways(self):
        values = restarts(5, {"SGD": 0.0, "SAM": 0.05, "NiM-SGD": 0.0})
        values["NiM-SGD"] = values["SGD"]
        found = comparisons.against(values, [("SAM", "SGD"), ("NiM-SGD", "SGD")], 0.005)
        theirs = scipy.stats.ttest_rel(values["SAM"], values["SGD"])
        first, same = found.iloc[0], found.iloc[1]
        assert (first["difference_low"], first["difference_high"]) == pytest.approx(tuple(theirs.confidence_interval()))
        assert (first["p"], first["adjusted_p"]) == pytest.approx((theirs.pvalue, 2 * theirs.pvalue))
        gap = (values["SAM"] - values["SGD"]).to_numpy()
        one_sided = scipy.stats.ttest_1samp(gap, 0.005, alternative="less").pvalue
        assert first["equivalence_p"] == pytest.approx(one_sided)
        assert (first["verdict"], same["verdict"]) == ("better", "equivalent")
        assert (same["difference_low"], same["difference_high"], same["p"]) == (0, 0, 1)

    def test_what_recomputed_statistics_do_alone(self):
        """At the step of the first averaged model, and nowhere else."""
        swa = settings("laptop", "cifar10")["base"]["SWA"]
        first = swa["average_from"] + swa["average_every"]
        rows = pd.DataFrame(
            {"algorithm": name, "seed": seed, "step": step, "test_metric": 0.5 + (name == "SWA") * gain}
            for name in ("SGD", "SWA", "SAM")
            for seed, gains in enumerate([(0.01, 0.3), (0.03, 0.2)])
            for step, gain in zip((first, first + swa["average_every"]), gains, strict=True)
        )
        half = 0.01 * scipy.stats.t.ppf(0.975, 1)
        (found,) = statistics_alone({("cifar10", "base"): rows}, "laptop").to_dict("records")
        assert (found["task"], found["restarts"]) == ("cifar10", 2)
        assert (found["mean"], found["low"], found["high"]) == pytest.approx((0.02, 0.02 - half, 0.02 + half))
        assert statistics_alone({("cifar10", "tuned"): rows}, "laptop").empty
        for part in (rows[rows["step"] > first], rows[rows["algorithm"] != "SWA"]):
            assert statistics_alone({("cifar10", "base"): part}, "laptop").empty
        swa = settings("laptop", "tweeteval")["base"]["SWA"]  # no BatchNorm there
        there = rows.assign(step=swa["average_from"] + swa["average_every"])
        once = there.drop_duplicates(["algorithm", "seed"])
        assert statistics_alone({("tweeteval", "base"): once}, "laptop").empty

    def test_tasks_stand_in_order_with_the_printed_column_last(self):
        ours = pd.DataFrame({"task": ["goemotions", "cifar10"], "label": "base", "algorithm": "SGD", "p": [0.2, 0.1]})
        columns = list(printed_tables.printed_and_ours(ours, "2a").columns)
        assert columns[:3] == ["algorithm", "CIFAR-10: base", "CIFAR-10: printed"]
        assert columns[-3:] == ["GoEmotions: base", "GoEmotions: printed", "TweetEval: printed"]


class TestClustering:
    def test_models_that_do_not_vary_within_restarts(self):
        fixed = population("SGD", 4, np.repeat([0.1, 0.2, 0.3, 0.4], 3), [1, 2, 3])
        (row,) = pooled.clustering(fixed).to_dict("records")
        assert row["icc"] == 1.0
        assert row["effective"] == pytest.approx(4)

    def test_one_model_per_restart_counts_in_full(self):
        (row,) = pooled.clustering(population("SGD", 4, np.linspace(0, 1, 4), [1])).to_dict("records")
        assert np.isnan(row["icc"])
        assert row["effective"] == 4


class TestAgainstSAM:
    def test_the_family_is_the_paper_s_whether_it_has_been_run_or_not(self):
        values = restarts(8, {"SGD": 0.0, "SAM": 0.01, "AdamW": 0.0, "NiG-BH": 0.02})
        found = comparisons.against_sam(values, 0.005)
        assert list(found["comparison"]) == ["SGD – SAM", "NiG-BH – SAM"]
        alone = comparisons.against(values, [("SGD", "SAM")], 0.005)
        assert found["smallest_adjusted_p"][0] == pytest.approx(5 * alone["smallest_adjusted_p"][0])
        assert comparisons.against_sam(values[["SGD", "NiG-BH"]], 0.005).empty

    def test_a_seed_that_an_algorithm_of_another_family_lacks_is_kept(self):
        """Page 7 dropped it and the ledger kept it: a claim and its table did not agree."""
        values = restarts(8, {"SGD": 0.0, "SAM": 0.01, "SGLD": 0.02})
        values.loc[7, "SGLD"] = np.nan
        assert list(comparisons.against_sam(values, 0.005)["restarts"]) == [8]
        assert list(comparisons.against_reference(values, 0.005)["restarts"]) == [8, 7]
        mixed = comparisons.against_reference(values, 0.005).assign(task="digits", variant="base")
        designs = comparison_tables.designs(margins.design_strengths(mixed, {("digits", "base"): values})).iloc[0]
        assert (designs["restarts"], designs["tests"]) == ("8, 7", "sign flips, paired t")

    def test_the_sampling_error_is_that_of_all_test_examples_which_the_outcome_is_of(self):
        values = restarts(8, {"SGD": 0.0, "SAM": 0.01})
        mixed = comparisons.against_reference(values, 0.005).assign(task="cifar10", variant="base")
        designs = comparison_tables.designs(margins.design_strengths(mixed, {("cifar10", "base"): values})).iloc[0]
        error = scipy.stats.binom(10_000, values["SGD"].mean()).std() / 100
        assert designs["sampling error of the test set, points"] == pytest.approx(error)

    def test_a_family_of_seven_at_eight_restarts_is_powerless(self):
        values = restarts(8, {"SGD": 0.0, "SAM": 0.01})
        pair = [("SGD", "SAM")]
        for table, powerless in (
            (comparisons.against_sam(values, 0.005), False),
            (comparisons.against(values, pair, 0.005, family_size=7), True),
            (comparisons.against(values[:7], pair, 0.005, family_size=7), False),
        ):
            assert (table["smallest_adjusted_p"] > comparisons.ALPHA).all() == powerless

    def test_an_algorithm_without_values_is_a_users_mistake(self):
        with pytest.raises(UsageError, match="unknown algorithm 'SAN': did you mean 'SAM'"):
            comparisons.against(restarts(5, {"SGD": 0.0, "SAM": 0.01}), [("SGD", "SAN")], 0.005)


@pytest.mark.parametrize(
    ("task", "title"), [("cifar10", "CIFAR-10"), ("goemotions", "GoEmotions"), ("FCP on MNIST", "FCP on MNIST")]
)
def test_a_task_is_called_as_readers_know_it(task, title):
    assert task_title(task) == title


class TestPairedDifference:
    def test_is_scipys_over_the_seeds_of_both(self) -> None:
        ours, theirs = (
            pd.Series([0.7, 0.8, 0.75, 0.9], index=[0, 1, 2, 3]),
            pd.Series([0.6, 0.7, 0.72], index=[1, 2, 5]),
        )
        found = comparisons.paired_difference(ours, theirs)
        test = scipy.stats.ttest_rel([0.8, 0.75], [0.6, 0.7])
        interval = test.confidence_interval()
        assert found["restarts"] == 2
        assert found["mean"] == pytest.approx(0.775)
        assert (found["difference"], found["low"], found["high"]) == pytest.approx((0.125, *interval))
        assert found["p"] == pytest.approx(test.pvalue)

    def test_of_fewer_than_two_pairs_there_is_none(self) -> None:
        """An arm of one restart once ended two pages in an error."""
        found = comparisons.paired_difference(pd.Series([0.7]), pd.Series([0.6]))
        assert found["restarts"] == 1
        assert all(np.isnan(found[name]) for name in ("difference", "low", "high", "p"))


def test_a_page_without_results_says_how_to_compute_them() -> None:
    there = {("digits", "base"): pd.DataFrame()}
    assert required(there, "paper") is there
    with pytest.raises(
        UsageError, match=r"^there are no whole results in profile paper: `popview run --profile paper`"
    ):
        required({}, "paper")
    with pytest.raises(
        UsageError, match=r"of cifar100 in profile laptop: `popview run --profile laptop --task cifar100`"
    ):
        required({}, "laptop", "cifar100")
