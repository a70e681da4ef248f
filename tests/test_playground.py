"""The playground's data are the library's numbers, its scripts are small and reach for nothing outside.

What the scripts compute is compared with the library in a browser: `audit_playground.py`.
"""

import json
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest

from popview.book import playground
from popview.common.errors import UsageError
from popview.common.folders import ROOT
from popview.landscapes import LANDSCAPES
from popview.paper.table_one import ALGORITHMS
from popview.populations import selection, tables
from popview.statistics import simulations

ASSETS = sorted((ROOT / "book" / "assets").glob("playground*"))
PAGE = "\n".join(
    line.removeprefix("#").removeprefix(" ")
    for line in (ROOT / "book" / "playground.py").read_text(encoding="utf-8").splitlines()
)
KEPT = {"loss": "train_loss", "validation": "validation_metric", "test": "test_metric"}


@pytest.fixture(scope="module")
def results():
    return {task: found for (task, _), found in tables.gather("laptop", variant="base")[1].items()}


@pytest.fixture(scope="module")
def data(results):
    return json.loads(json.dumps(playground.trajectories(results, ("SGD", "SAM"), 10)))


def test_order_and_ties_of_checkpoints_are_those_of_the_results(results, data):
    assert list(data) == list(results)
    for task, found in results.items():
        for name, runs in data[task]["runs"].items():
            rows = found[found["algorithm"] == name].sort_values(["seed", "step"])
            assert len(runs) == 10
            for run, (_, own) in zip(runs, rows.groupby("seed"), strict=False):
                assert data[task]["epochs"] == own["epoch"].tolist()
                for short, column in KEPT.items():
                    assert pd.Series(run[short]).rank().tolist() == own[column].rank().tolist()


@pytest.mark.parametrize("number", [1, 10])
def test_choices_among_the_page_s_numbers_cost_what_they_cost_among_the_results(results, data, number):
    for task, found in results.items():
        frames = [
            pd.DataFrame({column: run[short] for short, column in KEPT.items()}).assign(
                task=task, profile="laptop", variant="base", algorithm=name, seed=seed, step=lambda table: table.index
            )
            for name, runs in data[task]["runs"].items()
            for seed, run in enumerate(runs)
        ]
        ours = selection.regret(pd.concat(frames, ignore_index=True), per_trajectory=number)
        theirs = selection.regret(found, per_trajectory=number).sort_index().iloc[:10]
        assert ours.to_numpy() == pytest.approx(theirs[ours.columns].to_numpy(), abs=2e-6)


def test_what_is_not_finite_is_no_number_and_what_is_unknown_is_refused(results):
    some = results["digits"].query("seed < 2 and algorithm == 'SGD'").copy()
    some.loc[some.index[:3], "train_loss"] = np.nan
    runs = playground.trajectories({"digits": some}, ("SGD", "SAM"), 10)["digits"]["runs"]
    assert list(runs) == ["SGD"]
    assert sum(run["loss"].count(None) for run in runs["SGD"]) == 3
    assert playground.trajectories({"digits": some}, ("SAM",), 10) == {}
    with pytest.raises(UsageError, match="SDG"):
        playground.trajectories({}, ("SDG",), 10)


def test_landscapes_are_the_library_s():
    found = json.loads(json.dumps(playground.landscapes()))
    assert list(found) == list(LANDSCAPES)
    for name, landscape in LANDSCAPES.items():
        assert [(m["x"], m["y"]) for m in found[name]["minima"]] == [m.location for m in landscape.minima]
        assert [(s["x"], s["y"]) for s in found[name]["saddles"]] == list(landscape.saddles)
        (left, right), (low, high) = found[name]["window"]
        assert all(left < m["x"] < right and low < m["y"] < high for m in found[name]["minima"])


def test_data_cannot_end_their_element():
    code = playground.embedded("x", {"words": "</script><b>"}).data
    assert code.count("<") == 2
    assert json.loads(re.search(">(.*)<", code)[1]) == {"words": "</script><b>"}


def test_scripts_reach_for_nothing_outside_and_run_no_text():
    assert [path.name for path in ASSETS] == ["playground-maths.js", "playground-views.js", "playground.css"]
    for text in [path.read_text(encoding="utf-8") for path in ASSETS]:
        assert set(re.findall(r"https?://[^\"' ]*", text)) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"\b(eval|Function|fetch|XMLHttpRequest|import|innerHTML|WebSocket)\b|@import|url\(", text)
    assert not re.search(r"<[^>]* on\w+=|javascript:|style=", PAGE)


def test_scripts_and_data_are_small(data):
    known = {"landscapes": playground.landscapes(), "protocol": playground.protocol(), "trajectories": data}
    size = len(playground.embedded("x", known).data.encode()) + sum(path.stat().st_size for path in ASSETS)
    assert 50_000 < size < 200_000


def test_examples_name_what_the_controls_offer():
    views = dict(re.findall(r'id="playground-(\w+)"(.*?)(?=id="playground-|<noscript>)', PAGE, re.S))
    for name, view in views.items():
        values = {
            control: text.split() for control, text in re.findall(r'name="(\w+)"[^>]*data-values="([^"]*)"', view)
        }
        controls = set(re.findall(r'name="(\w+)"', view))
        presets = [json.loads(unescape(text)) for text in re.findall(r"data-preset='([^']*)'", view)]
        assert presets
        for preset in [*presets, *([playground.protocol()] if name == "restarts" else [])]:
            assert preset.keys() <= controls or preset == playground.protocol()
            for control, value in preset.items():
                assert control not in values or f"{value:g}" in values[control]
            assert preset.get("algorithm", "GD") in ALGORITHMS
            assert preset.get("landscape", "two-well") in LANDSCAPES
    assert list(views) == ["restarts", "sets", "positives"]
    assert set(re.findall(r'data-test="([^"]*)"', PAGE)) <= {*simulations.POOLED, *simulations.RESTART_LEVEL}


def test_every_control_has_a_label_and_every_view_says_what_happens():
    for control in re.finditer(r"<(?:input|select)[^>]*>", PAGE):
        before = PAGE[: control.start()]
        assert before.rfind("<label>") > before.rfind("</label>")
    assert PAGE.count('role="status" aria-live="polite"') == 3
