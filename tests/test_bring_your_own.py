"""The page Bring your own, executed as it is printed: its files, its commands, its Python; nothing shipped changes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from popview.common.folders import ROOT

PAGE = (ROOT / "book" / "bring-your-own.md").read_text("utf-8")
FILES = re.findall(r"^```\{literalinclude\} assets/(\w+\.py)$", PAGE, re.MULTILINE)
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

#: Runs the page's blocks one after the other in one process: it starts once, and names are those of a reader.
RUNNER = """
import json, shlex, sys
from popview.cli import main
for kind, block in json.load(sys.stdin):
    if kind == "python":
        exec(compile(block, "the page", "exec"), {})
        continue
    for line in block.splitlines():
        print("$", line, flush=True)
        assert main(shlex.split(line)[1:]) == 0, line
"""


def small(kind: str, block: str, restarts: int) -> tuple[str, str]:
    """Ask each run of a block for so few restarts; all else stays as it is printed."""
    if kind == "python":
        return kind, block
    lines = [re.sub(r" --restarts \d+", "", line) for line in block.splitlines()]
    runs = f" --restarts {restarts} --workers 1"
    return kind, "\n".join(line + runs if line.startswith("popview run ") else line for line in lines)


def clone(folder: Path) -> None:
    """Make what a clone is for a reader: the book and its results, and the files that the page shows."""
    for name in ("_toc.yml", "_config.yml", "requirements.lock", "data"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "book").mkdir()
    for file in (ROOT / "book").iterdir():
        if file.name != "run":
            (folder / "book" / file.name).symlink_to(file)
    for name in FILES:
        (folder / name).write_bytes((ROOT / "book" / "assets" / name).read_bytes())


def shipped() -> dict[str, tuple[int, int]]:
    """Return size and time of every file that ships."""
    facts = ((file, file.stat()) for file in (ROOT / "data").rglob("*") if file.is_file())
    return {str(file): (known.st_size, known.st_mtime_ns) for file, known in facts}


def executed(folder: Path, blocks: list[tuple[str, str]]) -> str:
    environment = {**os.environ, "POPVIEW_ROOT": str(folder), "PYTHONPATH": str(ROOT / "lib"), "OMP_NUM_THREADS": "1"}
    before = shipped()
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        cwd=folder,
        env=environment,
        input=json.dumps(blocks),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert shipped() == before
    return done.stdout


@pytest.fixture
def folder(tmp_path) -> Path:
    clone(tmp_path)
    return tmp_path


def test_the_page_has_the_files_and_commands_that_it_promises():
    assert FILES == ["mymodule.py", "mytask.py", "ring.py"]
    code = [line for line in (ROOT / "book" / "assets" / "mymodule.py").read_text().splitlines() if line.strip()]
    assert len(code) <= 25
    assert len((ROOT / "book" / "assets" / "ring.py").read_text().partition("class Ring")[2].splitlines()) <= 40
    assert [kind for kind, _ in BLOCKS] == ["bash", "bash", "bash", "python", "bash"]
    assert PAGE.index(BLOCKS[0][1]) < PAGE.index("<picture>")  # the commands are on the first screen


@pytest.mark.slow
def test_what_the_page_prints_has_the_form_of_what_is_printed(folder):
    """Optimizers and a task of one's own: the first two commands, and those of the data sets."""
    blocks = [small(*block, restarts=2) for block in BLOCKS]
    first = "\n".join(blocks[0][1].splitlines()[:2])
    printed = executed(folder, [("bash", first), *blocks[2:4]])
    output = printed.partition("$ popview compare mymodule:MyOptimizer SGD --task digits\n")[2].partition("$ ")[0]
    told = (ROOT / "book" / "assets" / "bring-your-own.txt").read_text()
    names = [re.match(r"\s*(.*?)(  |$| against)", line)[1] for line in told.splitlines()]
    assert [re.match(r"\s*(.*?)(  |$| against)", line)[1] for line in output.splitlines()] == names
    assert "your own family of 1, against SGD" in output
    assert "2 restarts each" in output
    rows = [line for line in printed.splitlines() if re.match(r"\d+ +(SAM|mymodule:MyOptimizer) ", line)]
    assert len(rows) == 2
    assert len([*(folder / "own").rglob("*.parquet")]) == 1 + 3 * 2  # a stack, and restart by restart


@pytest.mark.slow
def test_the_whole_page_runs_and_the_copy_has_the_new_rows(folder):
    printed = executed(folder, [small(*block, restarts=3) for block in BLOCKS])
    assert printed.count("$ popview") == 13
    assert "torch.optim:LBFGS lr=0.1 max_iter=5 against SGD lr=0.1: ring:Ring" in printed
    (page,) = (folder / "book" / "run" / "custom").glob("better-than-sgd-*/index.html")
    tables = page.parent / "files" / page.parent.name
    theirs = pd.read_csv(tables / "against-sgd.csv")
    own = theirs[theirs["a"] == "mymodule:MyOptimizer lr=0.001"]
    assert list(own["family"]) == ["your own"]
    assert list(own["restarts"]) == [3]
    assert own["verdict"].notna().all()
    assert "<!-- MyOptimizer -->" in (tables / "effects.svg").read_text()
    assert set(theirs.loc[theirs["variant"] == "base", "family"]) == {"the paper's", "second", "your own"}


@pytest.mark.slow
def test_the_copys_other_rows_are_those_of_the_book(folder):
    """With and without a reader's row, the numbers of the others are the same."""
    code = """
import sys
import pandas as pd
from popview.book.results import planned_comparison
from popview.populations import outcomes, tables
found = []
for own in ([], ["mymodule:MyOptimizer"]):
    results = tables.gather("laptop", "digits", "base", own=own)[1]
    last = {key: values["last"] for key, values in outcomes.outcomes_by_case(results, "laptop").items()}
    found.append(planned_comparison(last, "laptop"))
before, after = found
own = after["a"].str.contains(":")
assert own.sum() == 1 and len(after) == len(before) + 1
pd.testing.assert_frame_equal(after[~own].reset_index(drop=True), before.reset_index(drop=True), check_exact=True)
"""
    run = small(*BLOCKS[0], restarts=3)[1].splitlines()[0]
    executed(folder, [("bash", run), ("python", code)])
