"""What a chapter shows: numbers as text, provenance lines, and figures that hold what they were given."""

import ast
import base64
import io
import re
from collections import Counter
from itertools import combinations

import jupytext
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from popview.book import colours, page, style
from popview.book.figures import comparisons, landscapes, trajectories
from popview.book.figures import runs as run_figures
from popview.book.tables import runs as run_tables
from popview.common.folders import ROOT
from popview.landscapes import LANDSCAPES, Landscape, get
from popview.landscapes.restarts import sample
from popview.optimizers import ALGORITHMS


@pytest.fixture(autouse=True)
def closed():
    plt.switch_backend("agg")
    yield
    plt.close("all")


#: What linear RGB becomes without one kind of cone (Machado, Oliveira and Fernandes 2009, severity 1), and with all.
EYES = [
    np.eye(3),
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
]


def difference(one: str, other: str) -> float:
    """Distance of two colours in CIELAB (CIE 1976), the smallest over `EYES`."""

    def lab(colour: str) -> np.ndarray:
        rgb = np.array(to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        to_xyz = [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
        xyz = np.clip(np.array(EYES) @ linear, 0, 1) @ np.array(to_xyz).T / (0.95047, 1, 1.08883)
        x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
        return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    return float(np.linalg.norm(lab(one) - lab(other), axis=0).min())


class TestPage:
    @pytest.mark.parametrize(
        ("names", "words"), [([], "–"), (["A"], "A"), (["A", "B"], "A and B"), (["A", "B", "C"], "A, B and C")]
    )
    def test_names_in_a_sentence(self, names, words):
        assert page.listed(iter(names)) == words

    @pytest.mark.parametrize(
        ("value", "words"),
        [(0.2, "0.20"), (0.03344, "0.033"), (0.001, "0.0010"), (0.00099, "< 0.001"), (0.0, "< 0.001"), (1.0, "1.0")],
    )
    def test_p_values_have_two_significant_digits(self, value, words):
        assert page.p_value(value) == words
        assert page.p_value(float("nan")) == "–"

    @pytest.mark.parametrize(
        ("value", "digits", "text"),
        [
            (3, 2, "3"),
            (12345.678, 2, "12,345.68"),
            (0.0, 2, "0.00"),
            (0.004, 2, "4.0e−03"),
            (-0.004, 2, "−4.0e−03"),
            (0.05, 2, "0.05"),
            (float("nan"), 2, "–"),
            (np.float64(1.5), 1, "1.5"),
            ("GD", 2, "GD"),
        ],
    )
    def test_number(self, value, digits, text):
        assert page.number(value, digits) == text

    @pytest.mark.parametrize(
        ("value", "text"), [(1.44, "+1.4"), (-20.62, "−20.6"), (-0.04, "0.0"), (0.0, "0.0"), (float("nan"), "–")]
    )
    def test_points_have_a_sign_and_zero_has_none(self, value, text):
        assert page.points(value) == text

    def test_infinity_is_written_as_such(self):
        assert page.written(float("-inf"), "+.1f") == "−∞"

    def test_provenance_holds_the_numbers_in_full(self):
        frame = pd.DataFrame({"a": [1 / 3, 2.0], "b": ["x, y", "z"]})
        html = page.provenance(frame, "odd.csv", restarts=500, noise_radius="<0.1>").data
        assert "restarts 500 · noise radius &lt;0.1&gt; · <a download" in html
        data = re.search(r'download="odd.csv" href="data:text/csv;base64,([^"]+)"', html)
        assert data is not None
        pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(base64.b64decode(data[1]))), frame)


def test_the_inventory_says_what_is_to_come():
    counts = ("wanted", "done", "running", "half_done", "diverged", "damaged", "core_hours")
    rows = [
        ("cifar10", "base", "SGD", 5, 5, 0, 0, 1, 0, 0.5),
        ("cifar10", "base", "SAM", 5, 2, 1, 1, 0, 1, 0.25),
        ("cifar10", "tuned", "SGD", 5, 0, 0, 0, 0, 0, 0.0),
        ("digits", "base", "SGD", 100, 100, 0, 0, 0, 0, 0.125),
    ]
    laid = run_tables.inventory_table(pd.DataFrame(rows, columns=["task", "variant", "algorithm", *counts]))
    assert laid.to_numpy().tolist() == [
        ["CIFAR-10", "base", 10, 7, "SAM 3", 2, 1, 1, "0.75"],
        ["CIFAR-10", "tuned", 5, 0, "all", 0, 0, 0, "0.00"],
        ["Digits", "base", 100, 100, "–", 0, 0, 0, "0.12"],
    ]


def test_what_has_been_run_is_drawn_as_a_share_of_what_is_planned():
    rows = [("cifar10", "base", 10, 4), ("digits", "base", 5, 5), ("cifar10", "annealed", 8, 0)]
    table = pd.DataFrame(rows, columns=["task", "variant", "wanted", "done"])
    base, annealed, *_ = run_figures.progress(table, 688).axes
    assert [axes.get_title() for axes in (base, annealed)] == ["default settings", "annealed"]
    assert [bar.get_width() for bar in base.containers[1]] == [0.4, 1.0]
    assert [text.get_text() for text in base.texts] == ["4 of 10", "5 of 5"]
    assert [text.get_text() for text in annealed.texts] == ["0 of 8"]  # of Digits nothing is planned
    assert [label.get_text() for label in base.get_yticklabels()] == ["CIFAR-10", "Digits"]


class TestFigures:
    def test_every_algorithm_has_a_colour(self, monkeypatch):
        assert set(colours.COLOURS) <= set(ALGORITHMS)
        assert colours.colour("mine") == "#777777"
        for name in ("mine", "another", "third"):
            monkeypatch.setitem(ALGORITHMS, name, ALGORITHMS["SGD"])
        on_landscapes = {"GD": "SGD", "NiG-GD": "NiG-SGD", "NiM-GD": "NiM-SGD"}
        shown = {on_landscapes.get(name, name): colours.colour(name) for name in ALGORITHMS}
        assert len({*shown.values(), "#777777"}) == len(shown) + 1
        assert [colours.colour(name) for name in ("third", "mine")] == [colours.FURTHER[2], colours.FURTHER[0]]

    def test_further_colours_are_as_far_apart_as_the_first_whatever_cones_an_eye_lacks(self):
        taken = list(dict.fromkeys([*colours.COLOURS.values(), "#777777"]))
        closest = min(difference(one, other) for one, other in combinations(taken, 2))
        for i, colour in enumerate(colours.FURTHER):
            assert min(difference(colour, other) for other in [*taken, *colours.FURTHER[:i]]) >= closest

    def test_contours_mark_every_minimum_and_write_its_trace(self):
        names = {name: [f"m{i}" for i in range(len(surface.minima))] for name, surface in LANDSCAPES.items()}
        figure = landscapes.contours(style.DESKTOP, list(LANDSCAPES.values()), names)
        for axes, landscape in zip(figure.axes, LANDSCAPES.values(), strict=True):
            drawn = [c.get_offsets() for c in axes.collections if c.get_label() in ("global", "local")]
            places = {tuple(np.round(p, 6)) for p in np.concatenate(drawn)}
            assert places == {tuple(np.round(m.location, 6)) for m in landscape.minima}
            low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
            assert all(((low < m.location) & (m.location < high)).all() for m in landscape.minima)
            written = {tuple(np.round(text.xy, 6)): text.get_text() for text in axes.texts}
            for name, m in zip(names[landscape.name], landscape.minima, strict=True):
                assert written[tuple(np.round(m.location, 6))] == f"{name}: {sum(m.eigenvalues):.3g}"

    def test_a_landscape_of_which_only_the_domain_is_known_is_drawn(self):
        bowl = Landscape("bowl", "x² + y²", lambda w: ((w * w).sum(-1), 2 * w), ((-3.0, 3.0), (-2.0, 2.0)))
        samples = {"GD": sample(bowl, "GD", 5, iterations=3, record_every=1)}
        figures = [landscapes.contours(style.PHONE, [bowl], {}), landscapes.surfaces(style.PHONE, [bowl])]
        figures.append(landscapes.end_points(style.DESKTOP, {"bowl": samples}))
        assert all(f.axes[0].get_xlim() == pytest.approx((-3, 3), abs=0.5) for f in figures)
        assert tuple(landscapes.trajectory_map(samples).layout.yaxis.range) == (-2, 2)

    def test_the_window_of_a_landscape_is_what_is_drawn(self):
        for landscape in LANDSCAPES.values():
            window = landscape.window or landscape.domain
            axes = landscapes.contours(style.PHONE, [landscape], {}).axes[0]
            assert (axes.get_xlim(), axes.get_ylim()) == window
            samples = {"GD": sample(landscape, "GD", 2, iterations=1, record_every=1)}
            assert tuple(landscapes.trajectory_map(samples).layout.xaxis.range) == window[0]

    def test_values_below_all_known_minima_are_drawn(self):
        bowl = Landscape("bowl", "x² + y² − 9", lambda w: ((w * w).sum(-1) - 9, 2 * w), ((-3.0, 3.0), (-2.0, 2.0)))
        mesh = landscapes.trajectory_map({"GD": sample(bowl, "GD", 2, iterations=1, record_every=1)}).data[0].z
        assert np.min(mesh) == 0
        assert np.max(mesh) == pytest.approx(np.log10(1 + 13), abs=1e-3)

    def test_end_points_are_those_of_the_samples(self):
        s = sample("himmelblau", "GD", 30, iterations=300, lr=0.01, normalized=True)
        axes = landscapes.end_points(style.PHONE, {"himmelblau": {"GD": s}}, shown=20).axes[0]
        points = next(c.get_offsets() for c in axes.collections if len(c.get_offsets()) == 20)
        np.testing.assert_allclose(points, s.ends[:20])

    def test_interactive_map_has_a_line_for_each_algorithm(self):
        samples = {a: sample("six-hump-camel", a, 3, iterations=20, record_every=10) for a in ("GD", "SAM")}
        figure = landscapes.trajectory_map(samples, shown=2)
        assert [trace.name for trace in figure.data[1:]] == ["GD", "SAM", "minima"]
        assert [trace.visible for trace in figure.data[1:3]] == [True, "legendonly"]
        both = landscapes.trajectory_map(samples, at_first=("GD", "SAM"))
        assert [trace.visible for trace in both.data[1:3]] == [True, True]
        assert len(figure.data[1].x) == 2 * 4  # three positions and a gap for each restart
        assert len(figure.data[-1].x) == len(get("six-hump-camel").minima)
        with pytest.raises(ValueError, match="the sample of GD has no recorded path"):
            landscapes.trajectory_map({"GD": sample("himmelblau", "GD", 3, iterations=2)})

    def test_learning_curves_draw_medians_over_restarts(self):
        rows = [("SGD", seed, step, step / 10, 10.0 * seed + step) for seed in (0, 1, 5) for step in (0, 10)]
        table = pd.DataFrame(rows, columns=["algorithm", "seed", "step", "epoch", "train_loss"])
        results = {("digits", "base"): table, ("cifar10", "base"): table}
        figure = trajectories.learning_curves(results, ["SGD", "SAM"], 688, y="train_loss", across=["epoch"])
        assert [axes.get_title() for axes in figure.axes] == ["Digits, base", "CIFAR-10, base"]
        median = figure.axes[1].lines[-1]
        assert median.get_label() == "SGD"
        np.testing.assert_allclose(median.get_xydata(), [[0, 10], [1, 20]])
        late = trajectories.learning_curves(results, ["SGD"], 358, y="train_loss", across=["epoch"], from_share=0.5)
        np.testing.assert_allclose(late.axes[0].lines[-1].get_xydata(), [[1, 20]])
        assert len(trajectories.learning_curves({}, ["SGD"], 688, y="train_loss", across=["epoch"]).axes) == 1

    def test_distributions_have_a_panel_for_each_task(self):
        values = pd.DataFrame({"SGD": [1.0, 2.0], "SAM": [3.0, np.nan]})
        figure = trajectories.distributions({("a", "base"): values, ("b", "base"): values[["SAM"]]}, "points", 688)
        first, second = figure.axes
        assert [text.get_text() for text in first.get_yticklabels()] == ["SGD", "SAM"]
        assert sorted(first.collections[0].get_offsets()[:, 0]) == [1, 2]
        assert [text.get_text() for text in second.get_yticklabels()] == ["SAM"]

    def test_final_values_are_laid_out_by_variant(self):
        values = pd.DataFrame({"SGD": [0.5, 0.75], "SAM": [0.25, 0.25]})
        table = run_tables.finals({("a", "base"): values, ("a", "tuned"): values[["SGD"]], ("b", "base"): values})
        assert list(table["task"]) == ["a", "", "b", ""]
        assert list(table["algorithm"]) == ["SGD", "SAM", "SGD", "SAM"]
        assert table["base"][0] == f"62.50 ± {25 / np.sqrt(2):.2f} [50.00,\u00a075.00]"
        assert list(table["tuned"].eq("–")) == [False, True, True, True]


def test_positions_are_the_end_points_or_the_recorded_path():
    from popview.book.figures.landscapes import positions
    from popview.landscapes.restarts import sample

    ends = sample("himmelblau", "GD", 5, iterations=10, lr=0.001)
    moved = sample("himmelblau", "GD", 5, iterations=10, lr=0.001, record_every=5)
    table = positions([ends, moved], shown=3)
    assert len(table) == 3 + 3 * 3
    assert table.iloc[:3][["x", "y"]].to_numpy() == pytest.approx(ends.ends[:3].numpy(), abs=1e-4)
    last = table.iloc[3:][table.iloc[3:]["record"] == 2]
    assert last[["x", "y"]].to_numpy() == pytest.approx(ends.ends[:3].numpy(), abs=1e-4)


class TestIntervals:
    """Effects, regrets and the share of restarts at a target hold what they were given."""

    def rows(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "task": ["digits", "digits", "cifar10"],
                "variant": "base",
                "a": ["SAM", "NiM-BH", "SAM"],
                "difference": [0.001, -0.002, 0.003],
                "difference_low": [0.0, -np.inf, 0.002],
                "difference_high": [0.002, np.inf, 0.004],
                "margin": [0.005, 0.005, 0.01],
            }
        )

    def test_the_forest_has_a_panel_and_a_band_for_each_task_in_points(self):
        digits, cifar10 = comparisons.forest(self.rows(), 688).axes
        assert [axes.get_title() for axes in (digits, cifar10)] == ["Digits", "CIFAR-10"]
        assert [tick.get_text() for tick in digits.get_yticklabels()] == ["SAM", "NiM-BH"]
        for axes, margin in ((digits, 0.5), (cifar10, 1.0)):
            band = axes.patches[0]
            assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((-margin, margin))
        intervals = [line.get_xdata() for line in digits.lines[1:] if len(line.get_xdata()) == 2]
        np.testing.assert_allclose(intervals[0], [0.0, 0.2])
        np.testing.assert_allclose(intervals[1], digits.get_xlim())  # an infinite one ends at the edges

    def test_reached_counts_restarts(self):
        times = {("digits", "base"): pd.DataFrame({"SGD": [10.0, 30.0, np.inf, 30.0]})}
        (line,) = trajectories.reached(times, {("digits", "base"): 100.0}, ["SGD", "SAM"], 688).axes[0].lines
        np.testing.assert_allclose(line.get_xdata(), [0, 10, 30, 30, 100])
        np.testing.assert_allclose(line.get_ydata(), [0, 25, 50, 75, 75])

    def test_without_results_a_figure_says_so(self):
        nothing = pd.DataFrame()
        for figure in (
            comparisons.forest(nothing, 688),
            comparisons.distances_from_sgd(nothing, 358),
            comparisons.search_curves({"digits": nothing}, "lr", 688),
            trajectories.reached({}, {}, ["SGD"], 358),
        ):
            assert [text.get_text() for text in figure.axes[0].texts] == ["not run here yet"]


@pytest.mark.parametrize("chapter", sorted((ROOT / "book").glob("*.py")), ids=lambda file: file.stem)
def test_every_cell_is_read_as_one(chapter):
    """A role of glue in the caption of a table has made jupytext take the cells after it for text."""
    text = chapter.read_text("utf-8")
    assert len(jupytext.reads(text, "py:percent").cells) == len(re.findall(r"^# %%", text, re.MULTILINE))


@pytest.mark.parametrize("chapter", sorted((ROOT / "book").glob("*.py")), ids=lambda file: file.stem)
def test_every_drawn_figure_is_described_in_words(chapter):
    """Interactive ones (`page.interactive`) are no images; a name may be made in a loop."""
    text = chapter.read_text("utf-8")
    shown = set(re.findall(r"\{glue:figure\} ([\w-]+)\n", text))
    starts = {"page.figure": [], "page.interactive": []}
    for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
        if (kind := ast.unparse(call.func)) in starts:
            name = call.args[0]
            starts[kind].append(name.value if isinstance(name, ast.Constant) else name.values[0].value)
        if kind == "page.figure":
            words = {keyword.arg: keyword.value for keyword in call.keywords}
            assert len(ast.unparse(words["alt"])) > 40
    every = tuple(starts["page.figure"] + starts["page.interactive"])
    assert {name for name in shown if not name.startswith(every)} == set()
    assert [start for start in every if not any(name.startswith(start) for name in shown)] == []


@pytest.mark.parametrize("chapter", sorted((ROOT / "book").glob("*.py")), ids=lambda file: file.stem)
def test_a_name_is_glued_once(chapter):
    """A figure and a number of one name are a warning of the book's build, which ends it."""
    makers = {"glue", "page.figure", "page.table", "page.show", "page.interactive"}
    lines = [node.value for node in ast.parse(chapter.read_text("utf-8")).body if isinstance(node, ast.Expr)]
    calls = [line for line in lines if isinstance(line, ast.Call) and ast.unparse(line.func) in makers]
    names = [call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)]
    assert [name for name, number in Counter(names).items() if number > 1] == []


@pytest.mark.parametrize(("points", "kind"), [(3, "svg"), (20_000, "png")])
def test_a_figure_of_very_many_marks_is_shown_as_pixels(points, kind):
    drawn, (axes,) = style.canvas(style.PHONE, 100)
    axes.plot(np.arange(points) % 7, np.arange(points) % 11, ".")
    found, address = page._image(drawn)
    assert found == kind
    assert address.startswith(f"data:image/{'png' if kind == 'png' else 'svg+xml'};base64,")
    assert len(address) < 4 / 3 * page.HEAVY


def test_no_two_chapters_share_a_label():
    """Sphinx warns of it, and a warning ends the build after all chapters have run."""
    texts = [path.read_text("utf-8") for path in (ROOT / "book").glob("*.py")]
    labels = [label for text in texts for label in re.findall(r"^# :name: (.+)$", text, re.MULTILINE)]
    assert len(labels) > 50
    assert {label for label in labels if labels.count(label) > 1} == set()


def test_a_table_without_rows_is_a_table_still(monkeypatch):
    """A table directive takes nothing else; the first page that had an empty one gave an error of the book."""
    given = {}
    monkeypatch.setattr(page, "glue", lambda name, shown, display: given.update({name: shown.data}))
    page.show("rows", pd.DataFrame(), empty="no task has them")
    assert given["rows"].splitlines()[1].startswith("|:-")
    assert "*No task has them.*" in given["rows"]
    page.show("rows", pd.DataFrame({"value": [0.5]}))
    assert given["rows"].splitlines()[-1].split("|")[1].strip() == "0.50"
