"""Checks of the printed tables: each finds its inconsistency in the paper's cells, and none where it is put right."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from popview.book import style
from popview.book.figures import audit as audit_figures
from popview.book.tables import audit as audit_tables
from popview.common.folders import PAPER
from popview.landscapes import get
from popview.landscapes.restarts import sample
from popview.paper import audit, printed
from popview.paper import audit_formulas as formulas


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return {number: printed.printed_table(number) for number in ("1", "2a", "3a", "4", "6")}


@pytest.fixture(scope="module")
def checks() -> pd.DataFrame:
    return audit.printed_checks()


def changed(table: pd.DataFrame, value: str, number: float, **cell: str) -> pd.DataFrame:
    """Return the table with one cell replaced."""
    chosen = np.logical_and.reduce([table[name] == text for name, text in cell.items()])
    assert chosen.sum() == 1
    return table.assign(**{value: table[value].where(~chosen, number)})


class TestPrintedChecks:
    def test_every_check_is_complete_and_worded_by_rule(self, checks):
        assert len(checks) == 13
        assert checks.index.is_unique
        assert checks["name"].is_unique
        for check in checks.itertuples():
            assert all((check.name, check.where, check.printed, check.computed, check.innocent))
            assert check.verdict in ("no flag", "cannot both hold", "flag")
            assert np.isnan(check.p_value) or 0 <= check.p_value <= 1

    @pytest.mark.parametrize(("found", "verdict"), [(False, "no flag"), (True, "cannot both hold")])
    def test_the_verdict_is_the_words_where_something_is_found(self, found, verdict):
        numbers = {"below": "x", "count": 2, "cells": 24}
        check = audit.worded({"set-b-below": audit.Check(found, numbers, 0.25)}).loc["set-b-below"]
        assert (check["verdict"], check["p_value"], check["printed"]) == (verdict, 0.25, "x")
        assert check["computed"].startswith("2 of 24 cells")

    def test_every_check_has_words_and_every_word_a_check(self, checks):
        words = pd.read_csv(PAPER / "checks.csv")
        followed = formulas.formula_checks(formulas.gate_table((1.0,), restarts=2, iterations=60), 5, 4)
        assert list(words["id"]) == [*checks.index, *followed.index]
        assert set(words["found"]) == {"cannot both hold", "flag"}

    def test_the_sentence_under_table_six(self, tables, checks):
        check = checks.loc["sentence-under-six"]
        assert check.verdict == "cannot both hold"
        for number in ("0.0458", "0.035478", "0.43"):
            assert number in check.computed
        fixed = tables["6"].assign(p_value=tables["6"]["p_value"].clip(lower=0.051))
        assert not audit.sentence_under_table_six(fixed).found

    def test_rejections_by_chance_against_the_binomial(self, tables):
        check = audit.rejections_by_chance(tables["2a"], named=2)
        tail = 1 - sum(scipy.stats.binom.pmf(k, 24, 0.05) for k in (0, 1))
        assert check.p_value == pytest.approx(tail)
        assert not check.found
        assert check.numbers["smallest"] == pytest.approx(0.84, abs=0.005)
        assert audit.rejections_by_chance(tables["3a"], named=0).found
        many = tables["2a"].assign(p_value=0.01)
        assert audit.rejections_by_chance(many, named=24).found

    def test_two_tests_of_one_data_set_agree_in_simulated_cells(self, tables):
        assert audit.agreement_of_tests(tables["2a"], tables["3a"], repeats=100).found
        same = tables["3a"].assign(p_value=tables["2a"]["p_value"] * 0.9)
        assert not audit.agreement_of_tests(tables["2a"], same, repeats=100).found

    def test_set_b_below_set_a_in_two_cells(self, tables, checks):
        check = checks.loc["set-b-below"]
        assert check.verdict == "cannot both hold"
        assert check.printed.count("below") == 2
        fixed = changed(tables["4"], "median", 0.94, algorithm="SGD", task="cifar10", set="B")
        fixed = changed(fixed, "median", 0.485, algorithm="NiG-SGD", task="goemotions", set="B")
        assert not audit.set_b_below_set_a(fixed).found

    def test_set_b_cannot_lie_below_set_a(self):
        """The argument of that check, tried on random trajectories: mean, median, and median of medians."""
        generator = np.random.default_rng(0)
        for _ in range(200):
            score = np.round(generator.standard_normal((5, 30)), 1)  # with ties
            rows = np.arange(5)[:, None]
            set_a = score[rows, np.argsort(generator.standard_normal((5, 30)), axis=1)[:, :10]]
            set_b = np.sort(score, axis=1)[:, -10:]
            assert set_b.mean() >= set_a.mean()
            assert np.median(set_b) >= np.median(set_a)
            assert np.median(np.median(set_b, axis=1)) >= np.median(np.median(set_a, axis=1))

    def test_misplaced_decimals(self, tables, checks):
        check = checks.loc["decimals"]
        assert check.verdict == "flag"
        assert "0.298" in check.printed
        assert "0.327" in check.printed
        fixed = tables["4"].assign(standard_deviation=tables["4"]["standard_deviation"].clip(upper=0.033))
        assert not audit.misplaced_decimals(fixed).found

    def test_top_three_are_recounted(self, tables, checks):
        assert checks.loc["top-three"].verdict == "flag"
        assert "NiM-SGD 2, SAM 2, SGD 2" in checks.loc["top-three"].computed

    def test_implied_p_values_are_welchs(self, tables):
        cells = audit.implied_by_table_four(tables["4"], tables["3a"]).set_index(["algorithm", "task"])
        assert len(cells) == 24
        row = cells.loc[("SGD", "cifar10")]
        error = np.sqrt((0.004**2 + 0.002**2) / 50)
        freedom = error**4 / (((0.004**2 / 50) ** 2 + (0.002**2 / 50) ** 2) / 49)
        assert row["implied"] == pytest.approx(2 * scipy.stats.t.sf(0.005 / error, freedom), rel=1e-6)
        assert row["printed"] == 0.2314
        again = scipy.stats.ttest_ind_from_stats(0.934, row["needed"], 50, 0.929, row["needed"], 50)
        assert again.pvalue == pytest.approx(row["printed"])

    def test_the_widest_gap_of_table_six_needs_another_spread_than_the_printed(self, tables, checks):
        """No impossibility: Table 6 prints Mann–Whitney, which four collapsed models of fifty leave at p = 0.7."""
        cells = audit.implied_for_table_six(tables["4"], tables["6"]).set_index(["comparison", "task"])
        row = cells.loc[("SGD vs. NiM-BH", "cifar10")]
        assert (row["center_a"], row["center_b"], row["printed"]) == (0.934, 0.896, 0.6542)
        assert row["implied"] < 1e-15
        assert row["needed"] > row["allowed"] == pytest.approx(np.sqrt(0.915 * 0.085))
        assert (cells["needed"] <= cells["allowed"]).sum() == 11
        check = checks.loc["spreads-6"]
        assert f"SDs of {row['needed']:.3f} in a t test" in check.computed
        assert check.verdict == "flag"
        alike = np.random.default_rng(0).normal(0.93, 0.004, (2, 50))
        alike[1, :4] = 0.45  # a gap of the printed size
        assert scipy.stats.mannwhitneyu(*alike).pvalue > 0.05

    def test_restarts_behind_the_six_hump_camel(self, tables, checks):
        check = checks.loc["restarts-of-six-hump"]
        assert check.computed.startswith("0 of 8 rows")
        assert "7 of 1/800 (not NiM-GD's row)" in check.computed
        rounded = tables["1"].assign(percent=(tables["1"]["percent"] * 5).round() / 5)
        assert not audit.restarts_behind_table_one(rounded).found

    def test_row_sums(self, tables, checks):
        assert "NiM-BH on six-hump-camel: 100.25" in checks.loc["row-sums"].computed
        fixed = changed(tables["1"], "percent", 2.0, algorithm="NiM-BH", landscape="six-hump-camel", column="LM3")
        assert not audit.row_sums(fixed).found
        short = changed(tables["1"], "percent", 12, algorithm="SAM", landscape="three-hump-camel", column="Else")
        assert "SAM on three-hump-camel: 94" in audit.row_sums(short).numbers["sums_off"]

    def test_symmetric_minima_and_number_of_algorithms(self, tables, checks):
        assert checks.loc["mirror-images"].p_value < 1e-12
        even = tables["1"].assign(percent=10.0)
        assert not audit.symmetric_minima(even).found
        assert checks.loc["number-of-algorithms"].computed == "Table 1 lists 8; Tables 2 to 4 list 6"
        assert not audit.algorithms_counted(tables["1"], tables["4"], said=8).found


class TestMisprints:
    def test_printed_gradients_are_those_of_the_printed_formulas(self):
        points = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        x, y = points.unbind(-1)
        values = {
            "three-hump-camel": 2 * x**2 - 1.04 * x**4 + x**6 / 6 + x * y + y**2,
            "six-hump-camel": (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (-44 * y**2) * y**2,
        }
        for name, landscape in formulas.PRINTED.items():
            torch.testing.assert_close(landscape(points), values[name])
            leaf = points.clone().requires_grad_()
            (auto,) = torch.autograd.grad(landscape(leaf).sum(), leaf)
            torch.testing.assert_close(landscape.gradient(points), auto)

    def test_the_standard_landscapes_are_left_alone(self):
        assert get("three-hump-camel").minima[-1].value == pytest.approx(0.298638, abs=1e-6)
        assert formulas.PRINTED["three-hump-camel"].minima[-1].value == pytest.approx(0.3899, abs=1e-4)

    def test_stationary_points_of_the_printed_six_hump_camel(self):
        table = formulas.six_hump_stationary_points()
        gradient = formulas.PRINTED["six-hump-camel"].gradient(torch.tensor(table[["x", "y"]].to_numpy()))
        assert gradient.abs().max() < 1e-8
        assert (table["lowest"] < 0).all()
        # y = (x/176)^⅓ turns ∂f/∂x into a polynomial in z = x^⅓: its real roots, found independently
        polynomial = np.zeros(16)
        polynomial[[15, 9, 3, 1]] = 2, -8.4, 8, 176 ** (-1 / 3)
        roots = np.roots(polynomial[::-1])
        real = np.sort(roots[np.abs(roots.imag) < 1e-9].real ** 3)
        np.testing.assert_allclose(np.unique(real.round(6)), table["x"].round(6), atol=1e-6)

    def test_formulas_are_checked(self):
        gate = formulas.gate_table((1.0,), restarts=5, iterations=300)
        checks = formulas.formula_checks(gate, restarts=60, hops=8)
        wanted = ["flag", "cannot both hold", "flag", "cannot both hold", "flag"]
        assert list(checks["verdict"]) == wanted
        assert "(±1.7289, ∓0.8644)" in checks.loc["three-hump-formula", "computed"]
        assert "0 of its 5 stationary points are minima" in checks.loc["six-hump-formula", "computed"]

    def test_the_printed_rule_is_not_monotonic(self):
        assert formulas.accept_rule(restarts=60, hops=8).found

    @pytest.mark.parametrize("epsilon", [0.001, 1.0])
    def test_the_printed_gate_is_the_optimizers_own(self, epsilon):
        ours = formulas.noise_injections(epsilon, since_last=False, restarts=40, iterations=300, seed=3)
        settings = {"iterations": 300, "lr": 0.01, "rho": 0.1, "tau": 50, "epsilon": epsilon, "seed": 3}
        theirs = sample("six-hump-camel", "NiM-GD", 40, **settings).noise_triggers.double().mean()
        assert ours == pytest.approx(float(theirs), abs=1e-6)

    def test_the_gate_of_the_source_waits(self):
        table = formulas.gate_table((1e9,), restarts=5, iterations=300)
        assert table.iloc[0].to_list() == [1e9, 250.0, 5.0]  # steps 51 to 300, against 51, 102, …, 255
        assert formulas.noise_gate(table, iterations=300).found
        never = formulas.gate_table((1e-12,), restarts=5, iterations=60)
        assert not formulas.noise_gate(never).found


class TestLayout:
    def test_slips_have_no_empty_cell_and_a_known_document(self):
        slips = audit.slips_of_texts()
        assert (slips != "").all(axis=None)
        assert set(slips["document"]) == {"inan2024", "yu2026", "article"}

    def test_a_bar_in_a_cell_does_not_end_it(self):
        check = {"name": "a", "where": "b", "verdict": "flag", "printed": "x | y", "computed": "c", "innocent": "d"}
        check |= {"misread": "on cifar100", "slip": False}
        checks = pd.DataFrame([check | {"p_value": np.nan}, check | {"p_value": 0.25, "verdict": "no flag"}])
        shown = audit_tables.checks_table(checks, p=True)
        assert shown["printed"][0] == "**b:** x \\| y"
        assert shown["our copy would have misread"][0] == "on CIFAR-100"
        assert shown["harmless explanation"].tolist() == ["d", "–"]
        assert shown["p"].tolist() == ["–", "0.25"]
        assert shown["found"].tolist() == ["odd", "nothing"]
        assert "harmless explanation" not in audit_tables.checks_table(checks, innocent=False)

    def test_damaged_cells_are_those_that_cannot_be_read_or_have_a_note(self, tables):
        shown = audit_tables.damaged_cells(tables)
        assert set(shown["table"]) == {"1", "4"}
        assert "SGD, CIFAR-10, A" in set(shown["cell"])
        assert len(shown) == sum(((t["legible"] != "yes") | (t["note"] != "")).sum() for t in tables.values())

    @pytest.mark.parametrize("width", [style.DESKTOP, style.PHONE])
    def test_figure_draws_every_cell(self, tables, width):
        cells = audit.implied_for_table_six(tables["4"], tables["6"])
        panels = {"Table 6": cells.assign(cell=cells["comparison"] + cells["task"])}
        figure = audit_figures.implied_p_values(panels, width)
        assert [len(line.get_xdata()) for line in figure.axes[0].lines[:3]] == [12, 12, 12]

    def test_what_disagrees_is_red_and_named(self, tables):
        tests = tables["6"].assign(cell=tables["6"]["task"])
        sets = audit.by_set(tables["4"])
        gaps = sets.assign(cell=sets["algorithm"], gap=100 * (sets["center_b"] - sets["center_a"]))
        pairs = audit.mirror_images(tables["1"])
        figure = audit_figures.contradictions(tests, gaps, pairs, style.DESKTOP)
        left, middle, right = figure.axes
        assert [text.get_text() for text in left.texts] == ["goemotions: 0.035\ncifar100: 0.046"]
        assert [text.get_text() for text in middle.texts] == ["SGD: −0.5\nNiG-SGD: −0.3"]
        calm, odd = (line for line in right.lines if line.get_marker() in ("o", "D"))
        assert (len(calm.get_xdata()), len(odd.get_xdata())) == (18, 8)


class TestSlipsOfTheReader:
    """What one slip of the character reader could explain is no contradiction of the paper's."""

    def test_four_contradictions_are_left(self, checks):
        followed = formulas.formula_checks(formulas.gate_table((1.0,), restarts=5, iterations=300), 60, 8)
        every = pd.concat([checks, followed])
        firm = every[(every["verdict"] == "cannot both hold") & ~every["slip"]]
        assert list(firm.index) == ["restarts-of-six-hump", "set-b-below", "sentence-under-six", "accept-rule"]
        assert {"six-hump-formula", "three-hump-formula", "decimals"} <= set(every.index[every["slip"]])
        assert (every["misread"] != "").all()

    def test_cells_called_clean_are_clean_in_our_copy(self, tables):
        for number in ("2a", "3a", "6"):
            assert (tables[number]["legible"] == "yes").all()
        four = tables["4"]
        assert set(four[four["legible"] != "yes"][["algorithm", "task"]].itertuples(index=False, name=None)) == {
            ("SGD", "cifar10")
        }
