"""The page on the magnitude of noise: what its figures show, and the cells of the network's grid."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scipy.stats

from popview.book import style
from popview.book.figures import noise as figures
from popview.book.tables import noise as tables
from popview.common.folders import RESULTS
from popview.landscapes.transitions import landscape_of
from popview.populations.landscape_sweeps import first_effect, in_flattest, moves, well_preference
from popview.populations.noise_outcomes import against_plain, at_equal_displacement, noise_outcomes

WIDTHS = (style.DESKTOP, style.PHONE)


pytestmark = pytest.mark.usefixtures("page_style")


def swept(algorithms=("NiG-GD", "SAM"), landscape="two-well", size=4) -> pd.DataFrame:
    """Return rows of a sweep whose larger size moves 30 of 100 restarts from the last minimum to the first."""
    rows = []
    for name in algorithms:
        for ratio in (1.0, 5.0):
            for displacement, share in ((0.1, 0), (1.0, 30)):
                counts = np.zeros((size, size), int)
                counts[0, 0], counts[size - 3, size - 3], counts[size - 3, 0] = 50, 50 - share, share
                setting = {"landscape": landscape, "dimension": 2, "ratio": ratio, "depth": 0.0, "normalized": True}
                setting |= {
                    "lr": 0.01,
                    "displacement": displacement,
                    "rho": displacement / 0.01,
                    "tau": 0,
                    "weight": 0.0,
                }
                rows.append({"algorithm": name, **setting, "transitions": counts})
    return pd.DataFrame(rows)


class TestFigures:
    @pytest.mark.parametrize("width", WIDTHS)
    def test_phases_mark_preferences(self, width):
        rows = well_preference(swept()).assign(panel=lambda table: table["algorithm"])
        drawn = figures.phases(width, rows)
        image = drawn.axes[0].images[0].get_array()
        assert image.tolist() == [[0, 30], [0, 30]]
        (dots,) = drawn.axes[0].lines
        assert {*map(tuple, dots.get_xydata().tolist())} == {(1.0, 0.0), (1.0, 1.0)}
        assert [text.get_text() for text in drawn.axes[0].texts] == ["30"]
        assert not drawn.axes[0].patches
        assert drawn.get_size_inches()[0] * style.PIXELS_PER_INCH == pytest.approx(width)

    @pytest.mark.parametrize("counts", [[40, 40, 20, 0], [0, 0, 100, 0]])
    def test_phases_hatch_what_is_not_judged_and_say_so_in_the_key(self, counts):
        """Too few restarts in a well, or none at all."""
        rows = swept()
        rows.at[1, "transitions"] = np.diag(counts)
        drawn = figures.phases(style.DESKTOP, well_preference(rows).assign(panel=rows["algorithm"]))
        (dots,), (hatched,) = drawn.axes[0].lines, drawn.axes[0].patches
        assert dots.get_xydata().tolist() == [[1.0, 1.0]]
        assert hatched.get_center().tolist() == [1.0, 0.0]
        assert drawn.axes[0].images[0].get_array().mask.tolist() == [[False, True], [False, False]]
        (key,) = drawn.legends
        assert [text.get_text() for text in key.get_texts()] == ["differs from gradient descent", "not judged"]
        assert key.get_patches()[0].get_hatch() == hatched.get_hatch()
        assert key.get_patches()[0].get_facecolor() == hatched.get_facecolor()

    @pytest.mark.parametrize("width", WIDTHS)
    def test_onset_draws_the_same_shares_against_both_sizes(self, width):
        rows = swept()
        drawn = figures.onset(width, moves(rows[rows["ratio"] == 1.0]))
        against_rho, against_displacement = (axes.lines[0] for axes in drawn.axes)
        assert against_rho.get_ydata().tolist() == against_displacement.get_ydata().tolist() == [0, 30]
        assert against_rho.get_xdata().tolist() == pytest.approx([10, 100])
        assert against_displacement.get_xdata().tolist() == [0.1, 1.0]

    @pytest.mark.parametrize("width", WIDTHS)
    def test_effects_add_up_to_all_restarts(self, width):
        rows = swept(size=5)
        rows = rows[rows["ratio"] == 1.0]
        shares = pd.DataFrame({"1": [50, 80] * 2, "2": [0, 0] * 2, "3": [50, 10] * 2, "none": [0, 5] * 2}, rows.index)
        drawn = figures.effects(width, rows.join(shares.assign(diverged=[0, 5] * 2)), ["a", "b", "c"])
        heights = np.array([[bar.get_height() for bar in part] for part in drawn.axes[0].containers])
        assert heights.sum(0).tolist() == [100, 100]

    @pytest.mark.parametrize("width", WIDTHS)
    def test_acceptance_marks_where_wells_are_worth_the_same(self, width):
        rows = swept(("NiM-MBH",)).iloc[:2].assign(weight=[0.001, 0.1], flattest=[1, 99], plain=50.0, worth=0.01)
        rows = pd.concat([rows.assign(weight=0.0, displacement=0.1).head(1), rows.assign(displacement=0.1)])
        (axes,) = figures.acceptance(width, {"wells": rows}).axes
        assert axes.lines[-1].get_xdata()[0] == pytest.approx(1.5)  # half-way, on the logarithmic scale

    @pytest.mark.parametrize("width", WIDTHS)
    def test_on_task_has_a_line_for_each_algorithm(self, width):
        cells = pd.DataFrame(
            {
                "algorithm": ["SGD", "NiG-SGD", "NiG-SGD"] * 2,
                "lr": [0.05] * 3 + [0.5] * 3,
                "displacement": [np.nan, 0.1, 1.0] * 2,
                "accuracy": [95.0, 94.0, 50.0] * 2,
                "train_loss": [0.1, 0.2, 2.0] * 2,
                "distance": [5.0, 6.0, 60.0] * 2,
            }
        )
        drawn = figures.on_task(width, cells)
        assert len(drawn.axes) == 6
        second, third = (2, 4) if width == style.DESKTOP else (1, 2)
        for place, wanted in ((0, [95, 94]), (second, [0.1, 0.2]), (third, [5, 6])):
            assert [line.get_ydata()[0] for line in drawn.axes[place].lines] == wanted

    def test_map_shows_one_algorithm_and_landscape_at_first(self):
        rows = moves(swept(landscape="himmelblau", size=6).drop_duplicates(["algorithm", "displacement"]))
        shares = pd.DataFrame({"1": 50.0, "none": np.nan}, rows.index)
        drawn = figures.sweep_map(rows, shares, ("SAM", "himmelblau"))
        assert [trace.visible for trace in drawn.data] == [False, True]
        assert drawn.data[0].z.tolist() == [[0, 30]]
        assert drawn.data[0].customdata.tolist() == [["1: 50 %"] * 2]


class TestTables:
    def test_first_effects_say_displacement_and_rho(self):
        rows = swept()
        table = tables.first_effects(first_effect(moves(rows[rows["ratio"] == 1.0])))
        assert table.to_dict("list") == {"algorithm": ["NiG-GD", "SAM"], "Two-well": ["1 (100)", "1 (100)"]}

    def test_preferences_are_laid_out_with_their_intervals(self):
        rows = well_preference(swept(("NiG-GD",)))
        laid = tables.preferences_by_size(rows[rows["preference"] == "wide"])
        assert laid["prefers"].tolist() == ["wide", "wide"]
        assert laid["narrower by"].tolist() == ["1", "5"]
        assert laid["reach a well, %"].tolist() == ["100", "100"]
        assert laid["more in the wide well, points"][1].startswith("+30.0 [+20.")

    def test_flattest_minimum_and_its_price(self):
        rows = swept(("NiM-MBH",)).iloc[2:4]
        deep = rows.assign(depth=-0.3)
        found = in_flattest(pd.concat([rows, deep], ignore_index=True))
        assert found["flattest"].tolist() == [50, 80, 50, 20]  # the deeper of the two comes first
        assert found["plain"].tolist() == [50] * 4
        assert found["worth"].tolist() == pytest.approx([np.nan, np.nan, 0.3 / 8, 0.3 / 8], nan_ok=True)
        minima = landscape_of("two-well", 2, 5.0, -0.3).minima
        assert (minima[1].value - minima[0].value) / (minima[0].trace - minima[1].trace) == pytest.approx(0.3 / 8)


class TestNetwork:
    def test_rows_are_those_of_the_files(self):
        found = noise_outcomes("laptop", "digits")
        (file,) = RESULTS.glob("noise/laptop/digits/NiG-SGD/0.05-5.0-0-*.parquet")
        told = json.loads(pq.read_schema(file).metadata[b"popview"])
        cell = found[(found["algorithm"] == "NiG-SGD") & (found["lr"] == 0.05) & (found["rho"] == 5.0)]
        assert cell["accuracy"].tolist() == pytest.approx([100 * value for value in told["whole_test"]["metric"]])
        assert cell["distance"].tolist() == pytest.approx(told["flatness"]["distance"])
        assert set(cell["displacement"]) == {0.25}
        hops = found[(found["algorithm"] == "NiM-BH") & (found["rho"] == 0.5) & (found["lr"] == 0.05)]
        most = hops.groupby("tau")["noise_triggers"].mean()
        assert most[5] > most[20] > most[100] > 0
        noise_in_model = found[found["algorithm"] == "NiM-SGD"]
        assert noise_in_model["displacement"].equals(noise_in_model["rho"])

    def test_differences_are_paired_t_tests(self):
        draws = np.random.default_rng(0)
        plain, noisy = draws.normal(90, 1, 6), draws.normal(88, 1, 6)
        common = {"lr": 0.1, "tau": np.nan, "seed": range(6), "train_loss": 1.0, "distance": 2.0, "diverged": False}
        restarts = pd.concat(
            [
                pd.DataFrame({"algorithm": "SGD", "rho": np.nan, "displacement": np.nan, "accuracy": plain, **common}),
                pd.DataFrame({"algorithm": "NiG-SGD", "rho": 1.0, "displacement": 0.1, "accuracy": noisy, **common}),
            ],
            ignore_index=True,
        )
        restarts.loc[11, "diverged"] = True
        sgd, row = against_plain(restarts).to_dict("records")
        expected = scipy.stats.ttest_rel(noisy[:5], plain[:5])
        assert row["p_value"] == pytest.approx(expected.pvalue)
        assert (row["low"], row["high"]) == pytest.approx(tuple(expected.confidence_interval()))
        assert (row["restarts"], row["diverged"]) == (6, 1)
        assert np.isnan(sgd["estimate"])
        assert tables.network_cells(pd.DataFrame([row]))["diverged"].tolist() == ["1 of 6"]

    def test_noise_in_gradient_and_model_are_compared_where_a_draw_moves_the_model_as_far(self):
        """0.1 · 3 and 0.3 are equal, though not in floating point; of 0.5 there is no other."""
        draws = np.random.default_rng(1)
        one, other = draws.normal(90, 1, 6), draws.normal(91, 1, 6)
        common = {"lr": 0.1, "seed": range(6), "diverged": [False] * 5 + [True]}
        parts = [("NiG-SGD", 0.1 * 3.0, one, 500), ("NiM-SGD", 0.3, other, 20), ("NiM-SGD", 0.5, other, 20)]
        frames = [
            pd.DataFrame({"algorithm": name, "displacement": size, "accuracy": of, "noise_triggers": drawn, **common})
            for name, size, of, drawn in parts
        ]
        (row,) = at_equal_displacement(pd.concat(frames, ignore_index=True)).to_dict("records")
        expected = scipy.stats.ttest_rel(one[:5], other[:5])
        assert (row["displacement"], row["pairs"], row["draws_first"], row["draws_second"]) == (0.3, 5, 500, 20)
        far = pd.concat([frames[0], frames[1].assign(displacement=3.0)], ignore_index=True)
        assert at_equal_displacement(far).empty
        (carried,) = at_equal_displacement(far, times=10).to_dict("records")
        assert carried == row
        laid = tables.alike(pd.DataFrame([row]).assign(adjusted=0.5)).to_dict("records")[0]
        assert (laid["displacement"], laid["pairs"], laid["draws in the gradient"], laid["in the model"]) == (
            "0.3",
            5,
            "500",
            "20",
        )
        assert row["p_value"] == pytest.approx(expected.pvalue)
        assert (row["low"], row["high"]) == pytest.approx(tuple(expected.confidence_interval()))
