"""Running a page again: the page of parameters against what a terminal prints, and plain papermill on a notebook."""

import json
import re
import subprocess
import sys

import nbformat
import pytest

from popview import cli
from popview.book import build
from popview.book.notebooks import to_run
from popview.book.tables import parameters as tables
from popview.common.files import read_toml
from popview.common.folders import ROOT

CHAPTERS = build.chapters(ROOT)


def test_the_page_of_parameters_says_what_a_terminal_prints(capsys):
    table = tables.all_parameters()
    for name in CHAPTERS:
        assert cli.main(["chapter", name, "--list"]) == 0
        ends = table["bounds"].where(table["bounds"] == "", " [" + table["bounds"] + "]")
        lines = table["parameter"] + ": " + table["type"] + " = " + table["default"] + "  " + table["meaning"] + ends
        assert capsys.readouterr().out.splitlines() == list(lines[table["page"] == name].str.rstrip())


def test_every_number_has_bounds_and_every_page_its_seconds():
    table = tables.all_parameters()
    assert (table["meaning"] != "").all()
    numbers = table[table["type"].str.contains("int|float")]
    assert (numbers["bounds"] != "").all()
    assert table["seconds"].notna().all()
    assert set(read_toml(ROOT / "book" / "seconds.toml")) <= set(CHAPTERS)


def test_the_laid_out_table_names_each_page_once():
    table = tables.all_parameters()
    shown = tables.parameters_table(table)
    assert [name for name in shown["page"] if name] == [f"[{name}]({name}.ipynb)" for name in table["page"].unique()]
    assert len(shown) == len(table)
    assert not shown.map(lambda cell: bool(re.search(r"(?<!\\)\|", cell))).any(axis=None)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_to_run_is_the_same_every_time_and_has_its_parameters_in_place(name):
    text = CHAPTERS[name].source.read_text(encoding="utf-8")
    made = to_run(text)
    assert made == to_run(text)
    notebook = nbformat.reads(made.decode(), as_version=4)
    nbformat.validate(notebook)
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert [bool(cell.source) for cell in tagged] == [True] * bool(build.parameters(CHAPTERS[name]))
    assert notebook.metadata["kernelspec"]["name"] == "python3"


@pytest.mark.slow
def test_plain_papermill_runs_a_notebook_with_another_value_and_shows_its_tables(tmp_path):
    (tmp_path / "status.ipynb").write_bytes(to_run(CHAPTERS["status"].source.read_text(encoding="utf-8")))
    command = [sys.executable, "-m", "papermill", "status.ipynb", "mine.ipynb", "-p", "profile", "smoke"]
    done = subprocess.run([*command, "--no-progress-bar"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    cells = json.loads((tmp_path / "mine.ipynb").read_text())["cells"]
    assert any("".join(cell["source"]).strip().endswith('profile = "smoke"') for cell in cells)
    shown = [output["data"] for cell in cells for output in cell.get("outputs", ()) if "data" in output]
    assert any("text/markdown" in data for data in shown)  # the tables
    assert any("<picture>" in "".join(data.get("text/html", "")) for data in shown)  # the figure
