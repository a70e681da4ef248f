"""The transcribed tables against facts that were read in the paper's text, one by one."""

from itertools import product

import pandas
import pytest

from popview.common.errors import UsageError
from popview.paper.printed import TABLES, fits, printed_table

LANDSCAPES = {
    "himmelblau": ["GM1", "GM2", "GM3", "GM4", "Else"],
    "three-hump-camel": ["GM", "LM1", "LM2", "Else"],
    "six-hump-camel": ["GM1", "GM2", "LM1", "LM2", "LM3", "LM4", "Else"],
}
SYNTHETIC = ["GD", "NiG-GD", "NiM-GD", "SAM", "NiG-BH", "NiM-BH", "NiG-MBH", "NiM-MBH"]
TRAINED = ["SGD", "NiG-SGD", "NiM-SGD", "SAM", "NiG-BH", "NiM-BH"]
TASKS = ["cifar10", "cifar100", "goemotions", "tweeteval"]
PAIRS = ["SGD vs. SAM", "SGD vs. NiM-BH", "SAM vs. NiM-BH"]
VALUES = {
    "1": ["percent"],
    "2a": ["p_value"],
    "3a": ["p_value"],
    "4": ["median", "standard_deviation"],
    "6": ["p_value"],
}
CELLS = {
    "1": [(a, landscape, c) for a in SYNTHETIC for landscape, columns in LANDSCAPES.items() for c in columns],
    "2a": list(product(TRAINED, TASKS)),
    "3a": list(product(TRAINED, TASKS)),
    "4": list(product(TRAINED, TASKS, ["A", "B"])),
    "6": list(product(PAIRS, TASKS)),
}


def row(algorithm: str, landscape: str) -> pandas.DataFrame:
    """Return one algorithm's cells on one landscape of Table 1, in printed order."""
    cells = printed_table("1")
    return cells[(cells.algorithm == algorithm) & (cells.landscape == landscape)]


def percents(algorithm: str, landscape: str) -> list[float]:
    return row(algorithm, landscape)["percent"].tolist()


class TestEveryTable:
    def test_the_available_ones_are_those_with_a_file(self):
        assert [n for n, entry in TABLES.items() if entry.available] == list(VALUES)
        assert [n for n, entry in TABLES.items() if entry.file is None] == ["2b", "3b", "5a", "5b"]

    @pytest.mark.parametrize("number", VALUES)
    def test_has_every_cell_once(self, number):
        cells = printed_table(number)
        keys = list(cells.columns[: len(CELLS[number][0])])
        assert sorted(cells[keys].itertuples(index=False, name=None)) == sorted(CELLS[number])
        assert list(cells.columns) == [*keys, *VALUES[number], "legible", "note"]

    @pytest.mark.parametrize("number", VALUES)
    def test_has_values_just_where_they_can_be_read(self, number):
        cells = printed_table(number)
        values = cells[VALUES[number]]
        assert set(cells.legible) <= {"yes", "partial", "no"}
        assert values[cells.legible == "no"].isna().all(axis=None)
        assert values[cells.legible == "yes"].notna().all(axis=None)
        assert (cells.note[cells.legible != "yes"] != "").all()
        assert all(pandas.api.types.is_float_dtype(kind) for kind in values.dtypes)
        assert cells.note.map(type).eq(str).all()


class TestTable1:
    def test_gradient_descent_on_the_six_hump_camel(self):
        assert percents("GD", "six-hump-camel") == [4.25, 23.5, 22.75, 17.25, 1.5, 10.25, 20.5]

    def test_the_text_and_the_table_agree_on_else(self):
        assert percents("NiG-GD", "six-hump-camel")[-1] == 38
        assert percents("SAM", "six-hump-camel")[-1] == 34

    def test_fully_legible_rows_sum_to_100(self):
        full = printed_table("1").groupby(["algorithm", "landscape"])["percent"].sum(min_count=1)
        legible = (
            printed_table("1").groupby(["algorithm", "landscape"])["legible"].agg(lambda cells: (cells == "yes").all())
        )
        assert set(full[legible].index) == {
            ("GD", "six-hump-camel"),
            ("NiM-BH", "six-hump-camel"),
            ("SAM", "three-hump-camel"),
        }
        assert full[legible].between(99, 101).all()

    @pytest.mark.parametrize(
        ("algorithm", "landscape", "column", "legible"),
        [
            ("SAM", "six-hump-camel", "GM2", "partial"),
            ("SAM", "himmelblau", "GM2", "partial"),
            ("NiG-GD", "six-hump-camel", "LM4", "partial"),
            ("NiM-MBH", "six-hump-camel", "LM4", "partial"),
            ("NiM-GD", "six-hump-camel", "Else", "no"),
            ("NiG-GD", "himmelblau", "GM4", "no"),
            ("NiG-BH", "six-hump-camel", "LM3", "no"),
        ],
    )
    def test_damaged_cells_are_empty(self, algorithm, landscape, column, legible):
        cell = row(algorithm, landscape).set_index("column").loc[column]
        assert cell.legible == legible
        assert pandas.isna(cell.percent)


class TestTables2To6:
    @pytest.mark.parametrize(
        ("number", "below"),
        [
            ("2a", {("NiM-SGD", "goemotions", 0.03489), ("NiG-BH", "goemotions", 0.04868)}),
            ("3a", {("NiM-SGD", "cifar10", 0.0421), ("NiG-BH", "goemotions", 0.03135)}),
            ("6", {("SGD vs. SAM", "goemotions", 0.035478), ("SAM vs. NiM-BH", "cifar100", 0.0458)}),
        ],
    )
    def test_p_values_below_5_percent(self, number, below):
        cells = printed_table(number)
        small = cells[cells.p_value < 0.05].drop(columns=["legible", "note"])
        assert set(small.itertuples(index=False, name=None)) == below

    def test_set_b_is_below_set_a_in_two_cells(self):
        sets = printed_table("4").pivot(index=["algorithm", "task"], columns="set", values="median")
        lower = sets[sets.B < sets.A]
        assert {key: tuple(medians) for key, medians in zip(lower.index, lower.to_numpy(), strict=True)} == {
            ("SGD", "cifar10"): (0.934, 0.929),
            ("NiG-SGD", "goemotions"): (0.485, 0.482),
        }

    def test_misprinted_deviations_stand_as_printed(self):
        odd = printed_table("4").query("standard_deviation > 0.1")
        assert odd.standard_deviation.tolist() == [0.298, 0.327]
        assert odd.note.str.contains("misprint").all()

    def test_a_comma_read_as_a_point_is_partial(self):
        assert printed_table("4").query("legible == 'partial'")["median"].tolist() == [0.934, 0.929]


class TestMistakes:
    def test_a_missing_table_is_said_to_be_missing(self):
        with pytest.raises(UsageError, match=r"^Table 2b is missing from the only text at hand$"):
            printed_table("2b")

    def test_an_unknown_table_is_answered_with_the_nearest(self):
        with pytest.raises(UsageError, match="did you mean '2a'"):
            printed_table("2A")

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(UsageError, match=r"table-1\.csv, where there is no file"):
            printed_table("1", tmp_path)


def smallest(printed: list[float]) -> int | None:
    """Return the smallest population, up to 2,000, that all percentages fit."""
    return next((n for n in range(1, 2001) if fits(printed, n)), None)


class TestFits:
    @pytest.mark.parametrize(
        ("printed", "population"),
        [([50, 25, 25], 4), ([33.3, 66.7], 3), ([0, 100], 1), ([12.5], 8), ([0.05], 1819), ([float("nan"), 20], 5)],
    )
    def test_small_cases(self, printed, population):
        assert smallest(printed) == population

    @pytest.mark.parametrize("printed", [12.5, 0.1, 2.25])
    def test_is_the_smallest_by_brute_force(self, printed):
        half = 0.05 if printed != 2.25 else 0.005
        sizes = [n for n in range(1, 2001) if any(abs(100 * k / n - printed) <= half + 1e-12 for k in range(n + 1))]
        assert smallest([printed]) == sizes[0]

    def test_none_where_no_population_fits(self):
        assert smallest(percents("NiM-GD", "six-hump-camel")) is None

    def test_gradient_descent_on_the_six_hump_camel_needs_400(self):
        assert smallest(percents("GD", "six-hump-camel")) == 400

    def test_no_six_hump_row_fits_500_restarts(self):
        assert not any(fits(percents(algorithm, "six-hump-camel"), 500) for algorithm in SYNTHETIC)

    def test_one_population_of_800_fits_all_but_one_cell(self):
        cells = printed_table("1").query("landscape == 'six-hump-camel'").dropna()
        assert smallest(cells.percent[cells.percent != 9.86]) == 800
        assert not fits([9.86], 800)
