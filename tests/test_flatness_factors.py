"""What makes minima flat: ratios by hand, relations where one setting varies, the rules' words, and what ships."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from popview.book import style
from popview.book.figures import flatness as figures
from popview.paper import rules
from popview.paper.rules import Factors, by_factors
from popview.paper.rules.by_tasks import SHARPNESS
from popview.populations import flatness_factors
from popview.populations.flatness_factors import SETTINGS, arm_differences, level_ratios, one_varies, ratios
from popview.runs import grids, status, store
from popview.statistics import holm

RULES = rules.load_rules("factors")


def factorial(rate: float = 1.0, error: float = 1.0, seeds: int = 5) -> pd.DataFrame:
    """Sharpness is the learning rate to a power, times noise; the error follows it, or does the opposite."""
    draws = np.random.default_rng(0)
    points = itertools.product([1, 2, 4], [0, 1, 2], [20, 50, 125], [0, 0.2, 0.5], range(seeds))
    table = pd.DataFrame(points, columns=[*SETTINGS, "seed"])
    level = table["lr"] ** rate * np.exp(draws.normal(scale=0.05, size=len(table)))
    for name in SHARPNESS:
        table[name] = level * np.exp(draws.normal(scale=0.01, size=len(table)))
    noise = draws.normal(size=len(table))
    for outcome in ("error", "adjusted_error", "train_loss"):
        table[outcome] = error * np.log(level) + (0.02 if error else 1.0) * noise
    return table


def singles(factor: float, error: float = 0.0, seeds: int = 12) -> pd.DataFrame:
    """Every arm's sharpness is that many times the plain one's, and its error under corruption so much more."""
    draws, rows = np.random.default_rng(1), []
    for seed in range(seeds):
        base = draws.uniform(1, 2)
        for arm in ("plain", *figures.ARMS):
            own = factor if arm != "plain" else 1.0
            sign = (-1) ** seed * (1 if arm == "plain" else -1)  # noise whose mean is zero
            sharp = {name: base * own * np.exp(0.01 * sign) for name in SHARPNESS}
            adjusted = 0.001 * sign + (error if arm != "plain" else 0.0)
            rows.append({"arm": arm, "seed": seed, "adjusted_error": adjusted} | sharp)
    return pd.DataFrame(rows)


class TestRatios:
    def test_of_levels_are_by_hand(self):
        table = factorial()
        found = level_ratios(table, "lr", SHARPNESS).set_index("measure")
        means = []
        for _, rows in table.groupby("seed"):
            logs = np.log(rows["trace"])
            means.append(logs[rows["lr"] == 4].mean() - logs[rows["lr"] == 1].mean())
        assert found.loc["trace", "ratio"] == pytest.approx(np.exp(np.mean(means)))
        test = scipy.stats.ttest_1samp(means, 0)
        assert found.loc["trace", "p"] == pytest.approx(test.pvalue)
        ends = test.confidence_interval()
        assert found.loc["trace", ["low", "high"]].tolist() == pytest.approx(np.exp([ends.low, ends.high]))
        assert found["adjusted_p"].tolist() == pytest.approx(list(holm(found["p"].to_numpy())))

    def test_of_arms_are_paired_by_seed(self):
        table = singles(3.0)
        found = ratios(table, ["adam", "sam"], SHARPNESS).set_index(["arm", "measure"])
        wide = table.pivot(index="seed", columns="arm", values="trace")
        test = scipy.stats.ttest_rel(np.log(wide["sam"]), np.log(wide["plain"]))
        assert found.loc[("sam", "trace"), "p"] == pytest.approx(test.pvalue)
        assert found["ratio"].between(2.9, 3.1).all()
        assert len(found) == 2 * len(SHARPNESS)

    def test_a_measure_that_is_not_above_zero_is_left_out(self):
        table = singles(3.0)
        table.loc[0, "trace"] = 0.0
        assert set(ratios(table, ["sam"], SHARPNESS)["measure"]) == {*SHARPNESS} - {"trace"}

    def test_differences_are_paired(self):
        table = singles(1.0, error=0.01)
        found = arm_differences(table, "adjusted_error", ["sam"]).iloc[0]
        wide = table.pivot(index="seed", columns="arm", values="adjusted_error")
        test = scipy.stats.ttest_rel(wide["sam"], wide["plain"])
        assert found["difference"] == pytest.approx((wide["sam"] - wide["plain"]).mean())
        assert found["p"] == pytest.approx(test.pvalue)


class TestOneVaries:
    def test_holm_is_over_the_measures_of_an_outcome(self):
        found = one_varies(factorial(), SHARPNESS, ["error", "train_loss"])
        means = found[found["hyperparameter"] == "mean"]
        assert len(means) == 2 * len(SHARPNESS)
        for _, rows in means.groupby("outcome"):
            assert rows["adjusted_p"].tolist() == pytest.approx(list(holm(rows["p"].to_numpy())))
        assert found.loc[found["hyperparameter"] != "mean", "adjusted_p"].isna().all()

    def test_beyond_the_loss_is_what_a_line_leaves(self):
        table = factorial().assign(train_loss=lambda t: np.exp(t["error"]))
        table["gap"] = 3 * np.log(table["train_loss"]) + np.random.default_rng(5).normal(size=len(table))
        found = flatness_factors.beyond_loss(table, SHARPNESS)
        fitted = scipy.stats.linregress(np.log(table["train_loss"]), table["gap"])
        left = table["gap"] - fitted.intercept - fitted.slope * np.log(table["train_loss"])
        assert found["gap"].to_numpy() == pytest.approx(left.to_numpy(), abs=1e-9)
        assert found["train_loss"].equals(table["train_loss"])
        line = scipy.stats.linregress(np.log(table["train_loss"]), np.log(table["trace"]))
        wanted = np.log(table["trace"]) - line.intercept - line.slope * np.log(table["train_loss"])
        assert found["trace"].to_numpy() == pytest.approx(wanted.to_numpy(), abs=1e-9)
        assert abs(np.corrcoef(found["trace"], np.log(table["train_loss"]))[0, 1]) < 1e-9

    def test_the_slope_within_groups_is_that_of_a_regression_on_their_dummies(self):
        """Over all runs the rate raises loss and sharpness both; within groups they go against each other."""
        table = factorial()
        draws = np.random.default_rng(7)
        table["train_loss"] = np.exp(table["lr"] + table["dropout"] + draws.normal(scale=0.1, size=len(table)))
        table["trace"] = np.exp(5 * table["lr"] - 2 * table["dropout"] + draws.normal(scale=0.1, size=len(table)))
        found = flatness_factors.beyond_loss(table, ["trace"], ["error"], varying="dropout")
        groups = table.groupby(["lr", "weight_decay", "batch_size", "seed"]).ngroup()
        dummies = pd.get_dummies(groups).to_numpy(float)
        for name, values in (("trace", np.log(table["trace"])), ("error", table["error"])):
            design = np.column_stack([np.log(table["train_loss"]), dummies])
            slope = np.linalg.lstsq(design, values, rcond=None)[0][0]
            wanted = values - slope * np.log(table["train_loss"])
            assert found[name].to_numpy() == pytest.approx(wanted.to_numpy())

    def test_relations_beyond_the_loss_take_each_setting_s_own_slope(self):
        table = factorial().assign(train_loss=lambda rows: np.exp(rows["lr"] * 0.1 + rows["dropout"]))
        found = one_varies(table, SHARPNESS, ["error"], beyond=True).set_index(["measure", "hyperparameter"])
        for name in SETTINGS:
            if name not in ("lr", "dropout"):
                continue  # the loss does not vary there: no slope
            left = flatness_factors.beyond_loss(table, SHARPNESS, ["error"], varying=name)
            alone = one_varies(left, SHARPNESS, ["error"]).set_index(["measure", "hyperparameter"])
            assert found.loc[("trace", name), "tau"] == pytest.approx(alone.loc[("trace", name), "tau"])

    def test_failed_runs_are_left_out_of_the_line_too(self):
        table = factorial().assign(train_loss=0.1, shifted_error=lambda t: 2 * t["error"] + t["seed"])
        table.loc[[0, 7], ["train_loss", "shifted_error"]] = 2.3, 90.0
        found = flatness_factors.learned(table)
        rest = table.drop(index=[0, 7])
        line = scipy.stats.linregress(rest["error"], rest["shifted_error"])
        wanted = rest["shifted_error"] - line.intercept - line.slope * rest["error"]
        assert found["adjusted_error"].to_numpy() == pytest.approx(wanted.to_numpy())


class TestRules:
    @pytest.mark.slow
    @pytest.mark.parametrize(("error", "word"), [(1.0, "holds"), (-1.0, "does not hold"), (0.0, "does not hold")])
    def test_sharper_is_worse(self, error, word):
        assert RULES["sharper_is_worse"](Factors(factorial(error=error), pd.DataFrame())).word == word

    @pytest.mark.slow
    @pytest.mark.parametrize(("error", "word"), [(1.0, "holds"), (-1.0, "does not hold"), (0.0, "does not hold")])
    def test_unseen_classes_and_spread_are_judged_by_their_own_factorial(self, error, word):
        of_unseen = factorial(error=error).rename(columns={"error": "unseen_error"})
        evidence = Factors(factorial(error=1.0), pd.DataFrame(), of_unseen.assign(spread=of_unseen["unseen_error"]))
        for name in ("sharper_tells_unseen_apart_less", "sharper_varies_more"):
            assert RULES[name](evidence).word == word, name
            assert RULES[name](Factors(factorial(), pd.DataFrame())).word == "not run here"
            assert RULES[name](Factors(pd.DataFrame(), singles(1.0))).word == "not applicable"
        assert RULES["sharper_is_worse"](evidence).word == "holds"

    @pytest.mark.parametrize(("rate", "word"), [(1.0, "holds"), (-1.0, "does not hold"), (0.0, "inconclusive")])
    def test_a_level_is_flatter(self, rate, word):
        """Dropout and weight decay change nothing here; a smaller rate is flatter, sharper, or neither."""
        evidence = Factors(factorial(rate=rate), pd.DataFrame())
        assert RULES["small_rate"](evidence).word == word
        assert "learning rate 4 over 1" in RULES["small_rate"](evidence).detail
        assert (
            by_factors.level_is_flatter(evidence, "lr", "high", "large-rate")[0]
            == by_factors.level_is_flatter(Factors(factorial(rate=-rate), pd.DataFrame()), "lr", "low", "small-rate")[0]
        )
        assert RULES["dropout"](evidence).word == "inconclusive"

    @pytest.mark.parametrize(("factor", "word"), [(0.5, "holds"), (2.0, "does not hold"), (1.0, "inconclusive")])
    def test_arms_are_flatter(self, factor, word):
        evidence = Factors(pd.DataFrame(), singles(factor))
        for name in ("adaptive", "batch_norm", "designed", "schedule"):
            assert RULES[name](evidence).word == word, name
        number = {0.5: "10 of 10 for, 0 against", 2.0: "0 of 10 for, 10 against", 1.0: "0 of 10 for, 0 against"}
        assert RULES["adaptive"](evidence).number == number[factor]

    def test_an_arm_that_is_claimed_to_be_sharper_counts_the_other_way(self):
        table = singles(2.0)
        half = table["arm"] == "narrower"
        table.loc[half, list(SHARPNESS)] /= 4
        assert RULES["simpler"](Factors(pd.DataFrame(), table)).word == "holds"
        assert RULES["simpler"](Factors(pd.DataFrame(), singles(2.0))).word == "inconclusive"

    @pytest.mark.parametrize(("error", "word"), [(-0.01, "holds"), (0.01, "does not hold"), (0.0, "inconclusive")])
    def test_arms_are_more_robust(self, error, word):
        assert RULES["regularized"](Factors(pd.DataFrame(), singles(1.0, error))).word == word

    def test_what_was_not_run_is_said_not_to_have_been(self):
        assert {rule(Factors(pd.DataFrame(), pd.DataFrame())).word for rule in RULES.values()} == {"not run here"}

    def test_a_rule_judges_only_where_all_of_its_changes_have_run(self):
        whole = singles(2.0)
        for gone, rule in (
            ("rmsprop", "adaptive"),
            ("plain", "schedule"),
            ("deeper", "simpler"),
            ("sam", "regularized"),
        ):
            evidence = Factors(pd.DataFrame(), whole[whole["arm"] != gone])
            assert RULES[rule](evidence).word == "not run here", gone
            assert RULES[rule](Factors(pd.DataFrame(), whole)).word != "not run here"

    def test_every_rule_says_when_it_was_written_and_what_was_changed_since(self):
        ends = ("Written before the runs.", "Written before the runs on Digits.", "with the runs there.")
        assert all(rule.states.endswith(ends) for rule in RULES.values())
        assert all(rule.changed for rule in RULES.values() if rule.states.endswith("on Digits."))

    @pytest.mark.parametrize(("factor", "word"), [(2.0, "holds"), (0.5, "does not hold"), (1.0, "inconclusive")])
    def test_arms_that_end_at_a_higher_loss(self, factor, word):
        table = singles(factor).assign(train_loss=lambda rows: rows["trace"])
        assert RULES["slower"](Factors(pd.DataFrame(), table)).word == word

    def test_what_goes_without_counts_the_other_way(self):
        """Without BatchNorm and weight decay all is twice as sharp, and so is what the other regularizers do."""
        table = singles(2.0, error=0.01)
        renamed = {"batch-norm": "no-batch-norm", "weight-decay": "no-weight-decay"}
        evidence = Factors(pd.DataFrame(), table.replace({"arm": renamed}))
        assert RULES["batch_norm"](evidence).word == RULES["weight_decay"](evidence).word == "holds"
        assert RULES["batch_norm"](Factors(pd.DataFrame(), table)).word == "does not hold"
        assert RULES["regularizers"](evidence).word == "inconclusive"
        assert "no-batch-norm +1.0" in RULES["regularized"](evidence).detail
        assert RULES["regularized"](evidence).word == "inconclusive"
        assert RULES["regularized"](Factors(pd.DataFrame(), table)).word == "does not hold"

    def test_single_changes_decide_where_there_is_no_factorial_and_claim_no_correlation(self):
        evidence = Factors(pd.DataFrame(), singles(0.5))
        assert RULES["small_rate"](evidence).word == RULES["dropout"](evidence).word == "holds"
        assert RULES["small_rate"](evidence).detail.startswith(
            "against plain SGD, 12 restarts: small-rate: ball_maximum 0.5"
        )
        assert RULES["sharper_is_worse"](evidence).word == "not applicable"
        both = Factors(factorial(rate=1.0), singles(2.0))
        assert RULES["small_rate"](both).word == "holds"  # the factorial, where there is one


class TestWhatShips:
    def test_the_factorial_is_full(self):
        table = flatness_factors.factor_table(flatness_factors.FACTORIAL, "laptop", "digits")
        assert table.groupby([*SETTINGS]).size().eq(5).all()
        assert len(table) == 3**4 * 5
        line = scipy.stats.linregress(table["error"], table["shifted_error"])
        wanted = table["shifted_error"] - line.intercept - line.slope * table["error"]
        assert table["adjusted_error"].to_numpy() == pytest.approx(wanted.to_numpy())

    def test_single_changes_are_twenty_restarts_each(self):
        table = flatness_factors.factor_table(flatness_factors.FACTORS, "laptop", "digits")
        assert table.groupby("arm").size().to_dict() == dict.fromkeys(("plain", *figures.ARMS), 20)

    def test_a_change_counts_once_all_its_restarts_are_there(self, tmp_path):
        specs = grids.grid_specs(flatness_factors.FACTORS, "laptop", "digits")
        there = [spec for spec in specs if spec.arm in ("plain", "sam")]
        for spec in there:
            copied = store.path(spec, tmp_path)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.symlink_to(store.path(spec))
        table = flatness_factors.factor_table(flatness_factors.FACTORS, "laptop", "digits", tmp_path)
        assert set(table["arm"]) == {"plain", "sam"}
        store.path(there[-1], tmp_path).unlink()
        table = flatness_factors.factor_table(flatness_factors.FACTORS, "laptop", "digits", tmp_path)
        assert set(table["arm"]) == {"plain"}

    def test_status_counts_grids(self):
        rows = [row for row in status.inventory("laptop") if row["experiment"] != "optimizers"]
        assert {row["experiment"] for row in rows} == set(grids.grids())
        for grid in ("noise", flatness_factors.FACTORIAL):
            own = [row for row in rows if row["experiment"] == grid]
            specs = grids.grid_specs(grid, "laptop", "digits")
            assert sum(row["wanted"] for row in own) == sum(spec.restarts for spec in specs)
            lacking = sum(spec.restarts for spec in store.missing(specs))
            assert sum(row["done"] for row in own) == sum(row["wanted"] for row in own) - lacking
        table = flatness_factors.factor_table(flatness_factors.FACTORIAL, "laptop", "digits")
        (counted,) = (row["core_hours"] for row in rows if row["experiment"] == flatness_factors.FACTORIAL)
        clocks = [store.metadata(spec)["seconds"] for spec in specs]
        taken = sum(clock["measures"] + clock["training_and_checkpoints"] for clock in clocks) / 3600
        assert table["core_hours"].sum() == pytest.approx(counted) == pytest.approx(taken)

    def test_cifar_has_whole_arms_of_three_restarts(self):
        specs = grids.grid_specs(flatness_factors.FACTORS, "laptop", "cifar10")
        table = flatness_factors.factor_table(flatness_factors.FACTORS, "laptop", "cifar10")
        assert (
            set(table["arm"]) == {spec.arm for spec in specs} >= {"plain", "sam", "no-batch-norm", "dropout", "deepest"}
        )
        assert table.groupby("arm")["seed"].agg(list).map(lambda seeds: seeds == [0, 1, 2]).all()
        assert flatness_factors.factor_table(flatness_factors.FACTORIAL, "laptop", "cifar10").empty


class TestFigures:
    @pytest.mark.parametrize("width", [style.DESKTOP, style.PHONE])
    def test_every_relation_stands_at_its_measure(self, width):
        rows = pd.DataFrame(
            [("within", "trace", 0.2, 0.1, 0.3), ("varied", "ball_maximum", -0.5, -0.6, -0.4)],
            columns=["level", "measure", "tau", "low", "high"],
        )
        drawn = figures.tau_levels({"Digits": rows, "CIFAR-10": rows}, SHARPNESS, width)
        (ax, _) = drawn.axes
        points = {tuple(np.round(line.get_xydata()[0], 6)) for line in ax.get_lines() if len(line.get_xydata()) == 1}
        assert points == {(0.2, SHARPNESS.index("trace") - 0.24), (-0.5, -0.08)}

    @pytest.mark.parametrize("width", [style.DESKTOP, style.PHONE])
    def test_relations_that_are_asked_for_are_drawn_and_a_number_stands_at_its_mark(self, width):
        rows = pd.DataFrame(
            [
                ("within", "trace", 0.2, 0.1, 0.3, "left out"),
                ("varied", "trace", -0.5, -0.6, -0.4, "−0.50"),
                ("beyond", "trace", 0.2, 0.1, 0.3, "0.20"),
            ],
            columns=["level", "measure", "tau", "low", "high", "words"],
        )
        (ax,) = figures.tau_levels({"Digits": rows}, SHARPNESS, width, ("varied", "beyond")).axes
        points = {tuple(np.round(line.get_xydata()[0], 6)) for line in ax.get_lines() if len(line.get_xydata()) == 1}
        places = [SHARPNESS.index("trace") + offset for offset in (-0.16, 0.16)]
        assert points == {(-0.5, places[0]), (0.2, places[1])}
        told = {text.get_text(): (text.get_position(), text.get_ha()) for text in ax.texts}
        assert told == {
            "−0.50": (pytest.approx((-0.65, places[0] - 0.15)), "right"),  # clear of the other's number
            "0.20": (pytest.approx((0.35, places[1] + 0.06)), "left"),
        }

    def test_a_number_stands_on_the_side_of_its_estimate(self):
        """Right of an interval that reached over zero it stood on the mark of the next line."""
        columns = ["level", "measure", "tau", "low", "high", "words"]
        rows = pd.DataFrame([("beyond", "trace", -0.1, -0.2, 0.05, "−0.10")], columns=columns)
        (ax,) = figures.tau_levels({"Digits": rows}, SHARPNESS, style.DESKTOP, ("beyond",)).axes
        (text,) = ax.texts
        assert (text.get_position()[0], text.get_ha()) == (pytest.approx(-0.25), "right")

    @pytest.mark.parametrize("width", [style.DESKTOP, style.PHONE])
    def test_changes_and_robustness_have_a_line_per_arm(self, width):
        table = singles(2.0, error=0.01)
        drawn = figures.sharpness_after(ratios(table, (), SHARPNESS), SHARPNESS, width)
        assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == [*figures.ARMS.values()]
        beyond = arm_differences(table, "adjusted_error")
        drawn = figures.shift_differences({"one": beyond, "two": beyond}, width)
        (first, *_) = drawn.axes
        middle = next(line for line in first.get_lines() if len(line.get_xdata()) == len(figures.ARMS))
        assert middle.get_xdata() == pytest.approx(100 * beyond.set_index("arm").loc[[*figures.ARMS], "difference"])

    def test_the_sheet_shows_every_image(self):
        images = {name: [np.full((8, 8), value) for value in (0.1, 0.5)] for name in ("noise", "blur")}
        drawn = figures.corruption_sheet(images, style.PHONE)
        shown = [ax.images[0].get_array()[0, 0] for ax in drawn.axes if ax.images]
        assert shown == pytest.approx([0.1, 0.5, 0.1, 0.5])
