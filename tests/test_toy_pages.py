"""The pages of test functions and of algorithms: figures and tables hold the numbers they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from popview.book import style
from popview.book.figures import table_one as figures
from popview.book.figures import updates
from popview.book.names import landscape_title
from popview.book.tables import table_one as tables
from popview.landscapes import LANDSCAPES
from popview.landscapes.restarts import sample
from popview.paper.table_one import ALGORITHMS, COLUMNS, wide_well

WIDTHS = (style.DESKTOP, style.PHONE)


pytestmark = pytest.mark.usefixtures("page_style")


def made_up_cells() -> pd.DataFrame:
    """All cells of Table 1 with values of their own; every fifth printed cell is illegible."""
    keys = [(a, name, c) for name in COLUMNS for a in ALGORITHMS for c in (*COLUMNS[name], "Else", "Diverged")]
    table = pd.DataFrame(keys, columns=["algorithm", "landscape", "column"])
    number = np.arange(len(table))
    table["count"] = np.where(table["column"] == "Diverged", 0, 1 + number)
    table["percent"] = table["count"] / 10
    table = table.assign(low=table["percent"] - 1, high=table["percent"] + 1)
    return table.assign(printed=np.where((number % 5 == 0) | (table["column"] == "Diverged"), np.nan, 20 + number / 10))


def marks(axes: plt.Axes, colour: str, filled: bool) -> set[float]:
    """The places across of the marks of a colour, those that are filled or those that are hollow."""
    found: set[float] = set()
    for points in axes.collections:
        offsets = np.ma.filled(points.get_offsets(), np.nan) if hasattr(points, "get_sizes") else np.empty((0, 2))
        face, edge = (
            plt.matplotlib.colors.to_hex(c[0]) if len(c) else ""
            for c in (points.get_facecolor(), points.get_edgecolor())
        )
        if (face if filled else edge) == colour and (filled or face == "#ffffff"):
            found |= {round(float(x), 6) for x in offsets[:, 0] if x == x}
    return found


class TestTableOneFigures:
    @pytest.mark.parametrize("width", WIDTHS)
    def test_shares_draw_printed_and_own_cells_of_each_minimum(self, width):
        cells = made_up_cells()
        basins = pd.DataFrame({"landscape": "himmelblau", "column": COLUMNS["himmelblau"], "share": [10.0, 20, 30, 40]})
        figure = figures.shares_of_minima(width, cells, basins, "himmelblau")
        for axes, column, share in zip(figure.axes, COLUMNS["himmelblau"], basins["share"], strict=True):
            rows = cells[(cells["landscape"] == "himmelblau") & (cells["column"] == column)]
            assert axes.get_title(loc="left") == column
            assert marks(axes, figures.PRINTED, True) == set(rows["printed"].dropna().round(6))
            assert marks(axes, figures.OURS, False) == set(rows["percent"].round(6))
            assert axes.lines[0].get_xdata() == [share, share]

    @pytest.mark.parametrize("width", WIDTHS)
    def test_mirror_images_stand_in_one_panel(self, width):
        cells = made_up_cells()
        panels = figures.mirror_pairs(width, cells).axes
        for axes, pair in zip(panels, (("GM1", "GM2"), ("LM1", "LM2"), ("LM3", "LM4")), strict=True):
            rows = cells[(cells["landscape"] == "six-hump-camel") & cells["column"].isin(pair)]
            assert marks(axes, figures.PRINTED, True) == set(rows["printed"].dropna().round(6))
            assert marks(axes, figures.OURS, False) == set(rows["percent"].round(6))
        assert [text.get_text() for text in panels[0].get_yticklabels()] == list(ALGORITHMS)

    def test_evidence_places_every_minimum_by_sharpness_and_barrier(self):
        three = [LANDSCAPES[name] for name in COLUMNS]
        left, right = figures.evidence(style.PHONE, three, COLUMNS, made_up_cells()).axes
        drawn = sorted(tuple(p) for points in left.collections for p in points.get_offsets())
        expected = sorted({(round(m.trace, 3), round(m.barrier, 3)) for surface in three for m in surface.minima})
        assert np.array(drawn) == pytest.approx(np.array(expected), abs=1e-9)
        assert len(drawn) == 9
        words = {text.get_text(): text.xy for text in left.texts}
        assert words["LM3, LM4"] == pytest.approx((17.14, 0.125), rel=1e-2)
        assert len(right.get_yticks()) == 8

    @pytest.mark.parametrize("width", WIDTHS)
    def test_wells_are_shares_that_add_up_and_moves_to_either_side(self, width):
        own = {"restarts": 60, "iterations": 100, "lr": 0.01, "normalized": True}
        samples = [sample("two-well", "GD", **own), sample("two-well", "NiM-BH", rho=1.0, tau=20, epsilon=1e-3, **own)]
        table = wide_well(samples)
        left, right = figures.wells(width, table).axes
        ends = {round(bar.get_x() + bar.get_width(), 6) for bar in left.patches[-2:]}
        assert ends == {100}
        lengths = [bar.get_width() for bar in right.patches]
        settled = table["paired"][1]
        expected = [0, -100 * table["to_wide"][1] / settled, 0, 100 * table["to_narrow"][1] / settled]
        assert min(expected) < 0 < max(expected)
        assert lengths == pytest.approx(expected)
        assert [bar.get_y() + bar.get_height() / 2 for bar in right.patches] == pytest.approx([0, 1, 0, 1])
        assert [text.get_text() for text in left.get_yticklabels()] == ["GD", "NiM-BH"]


class TestUpdates:
    @pytest.mark.parametrize("width", WIDTHS)
    def test_the_noise_of_the_gradient_reaches_eta_times_as_far(self, width):
        panels = updates.updates(width, lr=0.25, rho=0.8).axes
        bars = {}
        for axes in panels:
            thick = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 4]
            bars[axes.get_title(loc="left").replace("\n", ": ").partition(":")[0]] = thick[0] if thick else None
        assert bars["GD"] is None
        assert bars["SAM"] is None
        for name, reach in {"NiG-GD": 0.2, "NiM-GD": 0.8, "NiG-BH": 0.2, "NiM-BH": 0.8}.items():
            assert np.diff(bars[name]) / 2 == pytest.approx([reach])

    def test_hops_that_go_uphill_are_drawn_in_percent(self):
        rates = [("classical", 0.0), ("printed", 0.1), ("always", 0.2)]
        table = pd.DataFrame([{"rho": r, "accept": a, "uphill": u * r} for r in (0.5, 1.0) for a, u in rates])
        (axes,) = updates.uphill_hops(style.PHONE, table).axes
        drawn = [list(line.get_ydata()) for line in axes.lines]
        assert drawn == [pytest.approx([5, 10]), pytest.approx([10, 20]), [0, 0]]


class TestTables:
    def test_printed_cells_stay_as_printed_and_nothing_diverged_is_no_column(self):
        cells = made_up_cells()
        table = tables.beside_printed(cells, "three-hump-camel")
        assert list(table.columns) == ["algorithm", "whose", "GM", "LM1", "LM2", "Else"]
        rows = cells[(cells["landscape"] == "three-hump-camel") & (cells["algorithm"] == "GD")].set_index("column")
        assert table["GM"][0] == f"{rows['percent']['GM']:.1f} [{rows['low']['GM']:.0f}, {rows['high']['GM']:.0f}]"
        assert table["LM1"][1] == ("–" if np.isnan(rows["printed"]["LM1"]) else f"{rows['printed']['LM1']:g}")
        cells.loc[cells["column"] == "Diverged", "count"] = 1
        assert "Diverged" in tables.beside_printed(cells, "three-hump-camel")

    def test_minima_are_written_without_false_digits_and_with_true_minus(self):
        table = tables.minima([LANDSCAPES["six-hump-camel"]], COLUMNS).set_index("minimum")
        assert table.loc["GM1"].to_dict() == {
            "landscape": "Six-hump camel",
            "at": "(−0.09, 0.71)",
            "value": "−1.032",
            "eigenvalues of the Hessian": "7.7, 16.5",
            "trace": "24.2",
            "escape barrier": "1.03",
        }
        assert set(tables.minima([LANDSCAPES["himmelblau"]], COLUMNS)["value"]) == {"0.000"}

    def test_names_of_landscapes(self):
        assert [landscape_title(n) for n in ("himmelblau", "two-well")] == ["Himmelblau", "Two-well"]
