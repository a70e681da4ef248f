"""Table 1 as readings: columns and sums, the distance to the printed rows, and what symmetry rules out."""

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.stats
import torch

from popview.landscapes import Landscape, get, two_well
from popview.landscapes.restarts import sample
from popview.paper import printed, table_one
from popview.paper.basins import against_basins, basin_shares
from popview.paper.table_one import (
    ALGORITHMS,
    COLUMNS,
    Protocol,
    against_printed,
    at_saddles,
    cells,
    closest,
    grid,
    symmetry,
    wide_well,
)

QUICK = Protocol(restarts=200, iterations=150, lr=0.06)


def printed_rows() -> pd.DataFrame:
    """The printed table in the columns that `symmetry` and `compare` read."""
    return printed.printed_table("1").rename(columns={"percent": "printed"})


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjustment, written anew."""
    order = np.argsort(p_values)
    adjusted = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    return np.minimum(1, adjusted)[np.argsort(order)]


@pytest.fixture(scope="module")
def samples() -> list:
    return [QUICK.sample(landscape, algorithm, seed=4) for landscape in COLUMNS for algorithm in ALGORITHMS]


@pytest.fixture(scope="module")
def tabulated(samples) -> pd.DataFrame:
    return cells(samples, QUICK.radius)


class TestCells:
    def test_one_row_per_algorithm_landscape_and_column(self, tabulated):
        keys = list(tabulated[["algorithm", "landscape", "column"]].itertuples(index=False, name=None))
        assert len(keys) == len(set(keys))
        assert set(keys) == {
            (a, n, c) for n, named in COLUMNS.items() for a in ALGORITHMS for c in (*named, "Else", "Diverged")
        }
        expected = "algorithm landscape column count percent low high basin restarts printed legible"
        assert list(tabulated.columns) == expected.split()

    @pytest.mark.parametrize("name", COLUMNS)
    def test_columns_are_the_minima_in_order(self, name):
        kinds = [m.kind for m in get(name).minima]
        assert len(kinds) == len(COLUMNS[name])
        assert [c.startswith("GM") for c in COLUMNS[name]] == [k == "global" for k in kinds]

    def test_sums(self, tabulated):
        groups = tabulated.groupby(["algorithm", "landscape"])
        assert (groups["count"].sum() == QUICK.restarts).all()
        assert groups[["percent", "basin"]].sum().to_numpy() == pytest.approx(100)
        assert (tabulated["restarts"] == QUICK.restarts).all()
        assert tabulated["percent"].to_numpy() == pytest.approx(100 * tabulated["count"] / QUICK.restarts)

    def test_counts_are_those_of_the_samples(self, samples, tabulated):
        for s in samples:
            row = tabulated.query("algorithm == @s.algorithm and landscape == @s.landscape.name")
            assert row["count"].tolist() == s.counts_by_radius(QUICK.radius).tolist()
            assert (row["basin"] * 2).round(6).tolist() == s.counts_by_basin().tolist()

    def test_intervals_are_those_of_wilson(self, tabulated):
        for row in tabulated.iloc[::7].itertuples():
            interval = scipy.stats.binomtest(row.count, row.restarts).proportion_ci(0.95, "wilson")
            assert (row.low, row.high) == pytest.approx((100 * interval.low, 100 * interval.high), abs=1e-9)

    def test_printed_values_stand_beside_their_cell(self, tabulated):
        cell = tabulated.set_index(["algorithm", "landscape", "column"])["printed"]
        assert cell["GD", "six-hump-camel", "GM2"] == 23.5
        assert cell["SAM", "three-hump-camel", "Else"] == 18
        assert np.isnan(cell["GD", "himmelblau", "GM3"])
        assert cell[:, :, "Diverged"].isna().all()
        assert cell.notna().sum() == printed_rows()["printed"].notna().sum()


class TestCompare:
    def test_a_row_is_at_distance_0_of_itself(self, tabulated):
        copied = tabulated.assign(printed=tabulated["percent"])
        result = against_printed(copied, printed_restarts=QUICK.restarts)
        assert len(result) == 24
        assert result["distance"].to_numpy() == pytest.approx(0, abs=1e-9)
        assert result["p_value"].to_numpy() == pytest.approx(1, abs=1e-9)

    def test_illegible_cells_make_no_distance(self, tabulated):
        copied = tabulated.assign(printed=tabulated["percent"].where(tabulated["column"].isin(["GM1", "LM2", "Else"])))
        result = against_printed(copied, printed_restarts=QUICK.restarts)
        assert result["distance"].to_numpy() == pytest.approx(0, abs=1e-9)
        assert (
            result["legible"] == result["landscape"].map({"himmelblau": 1, "three-hump-camel": 1, "six-hump-camel": 2})
        ).all()

    def test_a_row_by_hand(self):
        row = {"algorithm": "GD", "landscape": "three-hump-camel", "restarts": 200}
        table = pd.DataFrame(
            [
                {**row, "column": "GM", "percent": 50.0, "printed": 40.0},
                {**row, "column": "LM1", "percent": 30.0, "printed": 35.0},
                {**row, "column": "LM2", "percent": 10.0, "printed": np.nan},
                {**row, "column": "Else", "percent": 6.0, "printed": 3.0},
                {**row, "column": "Diverged", "percent": 4.0, "printed": np.nan},
            ]
        )
        result = against_printed(table, printed_restarts=500).iloc[0]
        # remainder: ours 10 + 6 + 4 = 20, printed 100 − 75 = 25; moved: 10 to LM1 (5) and to the remainder (5)
        assert result["distance"] == pytest.approx(10)
        assert result["legible"] == 2
        expected = scipy.stats.chi2_contingency([[100, 60, 40], [200, 175, 125]]).pvalue
        assert result["p_value"] == pytest.approx(expected)

    def test_the_p_value_is_uniform_enough_under_equality(self):
        rng, truth, rows = np.random.default_rng(0), [0.33, 0.34, 0.33], []
        for i in range(400):
            ours, theirs = rng.multinomial(500, truth), rng.multinomial(500, truth)
            for c, a, b in zip(COLUMNS["three-hump-camel"], ours, theirs, strict=True):
                rows.append(
                    {
                        "algorithm": str(i),
                        "landscape": "three-hump-camel",
                        "restarts": 500,
                        "column": c,
                        "percent": a / 5,
                        "printed": b / 5,
                    }
                )
        p_value = against_printed(pd.DataFrame(rows))["p_value"]
        assert 0.02 <= (p_value < 0.05).mean() <= 0.085


class TestSymmetry:
    @pytest.mark.parametrize("restarts", [400, 500, 800])
    def test_the_printed_gradient_descent_row_is_impossible(self, restarts):
        result = symmetry(printed_rows(), "printed", restarts)
        global_pairs = result.query("landscape == 'six-hump-camel' and pair == 'GM1 – GM2'").set_index("algorithm")
        assert global_pairs.loc["GD", ["first", "second"]].tolist() == [4.25, 23.5]
        first, second = round(4.25 * restarts / 100), round(23.5 * restarts / 100)
        tail = sum(scipy.stats.binom(first + second, 0.5).pmf(np.arange(first + 1)))
        assert global_pairs.loc["GD", "p_value"] == pytest.approx(2 * tail, rel=1e-9)
        assert global_pairs.loc["GD", "p_value"] < 1e-9

    @pytest.mark.parametrize("restarts", [400, 500, 800])
    def test_it_stays_so_after_holm_over_all_rows(self, restarts):
        result = symmetry(printed_rows(), "printed", restarts)
        result["adjusted"] = holm(result["p_value"].to_numpy())
        six = result[result["landscape"] == "six-hump-camel"]
        assert six.query("algorithm == 'GD' and pair == 'GM1 – GM2'")["adjusted"].item() < 1e-9
        assert {"GD", "NiG-BH", "NiM-BH", "NiG-MBH", "NiM-MBH"} <= set(six.loc[six["adjusted"] < 1e-4, "algorithm"])
        assert (result.query("landscape == 'three-hump-camel'")["adjusted"] > 0.05).all()

    @pytest.mark.parametrize("restarts", [400, 500, 800])
    @pytest.mark.parametrize("other", ["LM2", "LM3", "LM4"])
    def test_no_matching_of_the_local_minima_saves_the_row(self, restarts, other):
        """Whichever local columns are mirror images, one of the two pairs is unequal beyond chance."""
        rest = [c for c in ("LM2", "LM3", "LM4") if c != other]
        rows = printed_rows()
        for algorithm in ("GD", "NiM-BH"):
            row = rows.query("landscape == 'six-hump-camel' and algorithm == @algorithm").set_index("column")["printed"]
            matched = {"LM1": row["LM1"], "LM2": row[other], "LM3": row[rest[0]], "LM4": row[rest[1]]}
            table = pd.DataFrame(
                {"column": ["GM1", "GM2", *matched], "printed": [row["GM1"], row["GM2"], *matched.values()]}
            )
            result = symmetry(table.assign(algorithm=algorithm, landscape="six-hump-camel"), "printed", restarts)
            assert len(result) == 3
            assert holm(result["p_value"].to_numpy())[1:].min() < 1e-4

    def test_ours_is_not_rejected(self, tabulated):
        result = symmetry(tabulated, "percent", QUICK.restarts)
        assert len(result) == 8 * 4
        assert (holm(result["p_value"].to_numpy()) > 0.05).all()

    def test_pairs_are_mirror_images(self):
        for name, pairs in table_one.PAIRS.items():
            place = {c: m.location for c, m in zip(COLUMNS[name], get(name).minima, strict=True)}
            for first, second in pairs:
                assert place[first] == pytest.approx([-c for c in place[second]], abs=1e-12)

    def test_illegible_cells_are_left_out(self):
        result = symmetry(printed_rows(), "printed", 500)
        pairs = {tuple(p) for p in result.query("algorithm == 'SAM'")[["landscape", "pair"]].to_numpy()}
        assert pairs == {("three-hump-camel", "LM1 – LM2"), ("six-hump-camel", "LM1 – LM2")}
        assert not set(result["landscape"]) - {"three-hump-camel", "six-hump-camel"}


class TestGrid:
    @pytest.mark.slow
    def test_is_the_comparison_of_every_protocol_with_every_row(self):
        choices = {"normalized": (True, False), "iterations": (10,), "domain": (((-3.0, 3.0), (-2.0, 2.0)),)}
        table = grid(choices, radii=(0.5,), restarts=20, seed=1)
        assert len(table) == 24 * 2
        protocol = Protocol(normalized=False, iterations=10, domain=((-3.0, 3.0), (-2.0, 2.0)), restarts=20)
        s = protocol.sample("six-hump-camel", "NiM-BH", seed=1)
        own = table.query(
            "landscape == 'six-hump-camel' and algorithm == 'NiM-BH' and not normalized and radius == 0.5"
        )
        assert own["distance"].item() == pytest.approx(against_printed(cells([s], 0.5))["distance"].item())
        best = closest(table)
        assert len(best) == 24
        lowest = table.groupby(["landscape", "algorithm"])["distance"].min()
        assert (best.set_index(["landscape", "algorithm"])["distance"].sort_index() == lowest.sort_index()).all()


class TestWideWell:
    @pytest.mark.parametrize(
        "options",
        [{}, {"dimension": 10}, {"depth": 0.3}, {"curvatures": (20.0, 2.0)}, {"depth": -0.4, "dimension": 4}],
        ids=str,
    )
    def test_small_steps_of_plain_descent_have_no_preference(self, options):
        s = sample(two_well(**options), "GD", 1000, iterations=800, lr=0.01)
        row = wide_well([s]).iloc[0]
        arrived = row["wide"] + row["narrow"]
        low, high = scipy.stats.binom(arrived, 0.5).interval(0.999)
        assert low <= row["wide"] <= high
        assert row["low"] < row["share"] < row["high"]
        assert row["p_value"] > 1e-3
        assert arrived + row["saddle"] == row["restarts"] == 1000

    def test_restarts_left_beside_the_saddle_count_for_neither_well(self):
        """Once they counted for the basin they lay in, which made SAM, stuck on one side, seem to prefer a well."""
        s = sample(two_well(), "SAM", 500, iterations=1000, lr=0.01, normalized=True, rho=0.3)
        row = wide_well([s]).iloc[0]
        assert row["saddle"] > 50
        assert row["wide"] + row["narrow"] + row["saddle"] == 500
        assert row["p_value"] > 1e-3

    def test_the_wide_well_is_the_one_of_smaller_curvature(self):
        for curvatures, side in (((2.0, 20.0), -1.5), ((20.0, 2.0), 1.5)):
            s = sample(
                two_well(curvatures=curvatures),
                "GD",
                50,
                iterations=300,
                lr=0.02,
                domain=((side, side + 0.01), (0, 0.1)),
            )
            assert wide_well([s])["wide"].item() == 50

    def test_depth_is_that_of_the_landscape(self):
        for depth in (0.0, 0.3, -0.4):
            s = sample(two_well(depth=depth), "GD", 5, iterations=5)
            assert wide_well([s])["depth"].item() == depth

    def test_is_empty_where_everything_diverged(self):
        s = sample("two-well", "GD", 20, iterations=60, lr=5.0, domain=((3.0, 4.0), (0.0, 1.0)))
        assert s.diverged.all()
        assert np.isnan(wide_well([s])["share"].item())


def flowed(surface: Landscape, points: np.ndarray, time: float) -> np.ndarray:
    """Follow the gradient flow by SciPy's Runge-Kutta."""

    def downhill(_: float, flat: np.ndarray) -> np.ndarray:
        return -surface.gradient(torch.from_numpy(flat.reshape(points.shape))).numpy().ravel()

    solved = scipy.integrate.solve_ivp(downhill, (0, time), points.ravel(), "RK45", rtol=1e-4, atol=1e-6)
    return solved.y[:, -1].reshape(points.shape)


class TestPairedToGD:
    def test_counts_and_p_are_those_of_the_ends_by_hand(self):
        """From the signs of x, once SciPy has followed the flow from where both algorithms ended."""
        surface = two_well()
        own = {"restarts": 500, "iterations": 400, "lr": 0.01, "normalized": True}
        plain = sample(surface, "GD", **own)
        hops = sample(surface, "NiM-BH", rho=0.9, tau=20, epsilon=1e-3, **own)
        row = wide_well([plain, hops]).set_index("algorithm").loc["NiM-BH"]
        before, after = (flowed(surface, s.ends.numpy(), 3.0)[:, 0] for s in (plain, hops))
        near = np.hypot(*hops.ends.numpy().T) < 0.2
        to_wide, to_narrow = ((before > 0) & (after < 0) & ~near).sum(), ((before < 0) & (after > 0) & ~near).sum()
        assert to_wide + to_narrow > 20
        assert row[["paired", "to_wide", "to_narrow"]].tolist() == [(~near).sum(), to_wide, to_narrow]
        assert row["paired_p"] == pytest.approx(scipy.stats.binomtest(to_wide, to_wide + to_narrow).pvalue)
        interval = scipy.stats.binomtest(to_wide + to_narrow, int(row["paired"])).proportion_ci(0.95, "wilson")
        assert row[["moved_low", "moved_high"]].tolist() == pytest.approx([100 * interval.low, 100 * interval.high])

    def test_gd_moves_nothing_and_is_not_tested(self):
        plain = sample(two_well(), "GD", 50, iterations=300)
        assert "paired_p" not in wide_well([sample(two_well(), "SAM", 50, iterations=300)])
        row = wide_well([plain]).iloc[0]
        assert (row["moved"], row["to_wide"], row["to_narrow"]) == (0, 0, 0)
        assert np.isnan(row["paired_p"])

    def test_holm_is_over_all_but_gd(self):
        table = table_one.preferences(40, 40, 0)
        others = table[table["algorithm"] != "GD"]
        assert len(others) == 21
        assert others["paired_adjusted"].to_numpy() == pytest.approx(holm(others["paired_p"].to_numpy()))
        assert table.loc[table["algorithm"] == "GD", "paired_adjusted"].isna().all()


@pytest.fixture(scope="module")
def shares() -> pd.DataFrame:
    return basin_shares(restarts=10_000, seed=7)


class TestBasins:
    def test_are_the_areas_that_an_integrated_flow_drains(self, shares):
        """SciPy's Runge-Kutta from a grid of starts: another integrator, and no random starts."""
        centres = np.linspace(-5, 5, 33)[:-1] + 10 / 64
        starts = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
        for name in ("himmelblau", "six-hump-camel"):
            surface = get(name)
            nearest = surface.nearest(torch.from_numpy(flowed(surface, starts, 4.0)))[0]
            count = np.bincount(nearest.numpy(), minlength=len(surface.minima))
            found = shares[shares["landscape"] == name]
            assert 100 * count / len(starts) == pytest.approx(found["share"].to_numpy(), abs=2.5)

    def test_add_up_and_keep_the_symmetry(self, shares):
        assert shares.groupby("landscape")["share"].sum().to_numpy() == pytest.approx(100)
        at = shares.set_index(["landscape", "column"])
        for name, pairs in table_one.PAIRS.items():
            for first, second in pairs:
                gap = at.loc[(name, first), "share"] - at.loc[(name, second), "share"]
                assert abs(gap) < 4 * np.sqrt(2) * at.loc[(name, first), "error"]
        row = at.loc[("himmelblau", "GM1")]
        assert row["error"] == pytest.approx(np.sqrt(row["share"] * (100 - row["share"]) / 10_000))

    def test_one_sample_tests_are_pearsons_by_hand(self, samples, shares, tabulated):
        table = against_basins(tabulated, shares).set_index(["landscape", "algorithm"])
        share = shares.set_index(["landscape", "column"])["share"] / 100
        camel = share["three-hump-camel"].to_numpy()
        # 33, 35 and 31 % of 500: a restart in a hundred is rounding, and is left out
        seen = np.array([165, 175, 155])
        statistic = ((seen - 495 * camel) ** 2 / (495 * camel)).sum()
        row = table.loc[("three-hump-camel", "NiM-BH")]
        assert row["printed_p"] == pytest.approx(scipy.stats.chi2.sf(statistic, 2))
        assert row["printed_at_minima"] == 99
        # two illegible cells are one remainder of 49 %
        two = share["himmelblau"][["GM1", "GM2"]].to_numpy()
        parts = np.append(two, 1 - two.sum())
        statistic = ((np.array([140, 115, 245]) - 500 * parts) ** 2 / (500 * parts)).sum()
        row = table.loc[("himmelblau", "NiG-GD")]
        assert (row["legible"], row["printed_p"]) == (2, pytest.approx(scipy.stats.chi2.sf(statistic, 2)))
        # ours, of all restarts at minima
        s = next(s for s in samples if (s.landscape.name, s.algorithm) == ("three-hump-camel", "SAM"))
        seen = s.counts_by_radius(QUICK.radius)[:3].numpy()
        statistic = ((seen - seen.sum() * camel) ** 2 / (seen.sum() * camel)).sum()
        assert table.loc[("three-hump-camel", "SAM"), "ours_p"] == pytest.approx(scipy.stats.chi2.sf(statistic, 2))
        two_sample = against_printed(tabulated).set_index(["landscape", "algorithm"])["p_value"]
        pd.testing.assert_series_equal(table["two_sample_p"], two_sample, check_names=False)

    def test_the_rows_of_himmelblau_and_three_hump_fit_and_six_hump_does_not(self, shares, tabulated):
        table = against_basins(tabulated, shares)
        descent = table[table["algorithm"] == "GD"].set_index("landscape")["printed_p"]
        assert descent["himmelblau"] > 0.05 < descent["three-hump-camel"]
        assert descent["six-hump-camel"] < 1e-10


class TestAtSaddles:
    def test_sams_else_lies_at_saddles_and_descents_has_none(self):
        both = at_saddles([Protocol(restarts=300).sample("himmelblau", name) for name in ("GD", "SAM")], 0.1)
        rows = both.set_index("algorithm")
        assert rows.loc["GD", "else"] == 0
        assert rows.loc["SAM", "at a saddle"] == rows.loc["SAM", "else"] > 0
