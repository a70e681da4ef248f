"""Chapters in forks of one process: the same pages as each on its own, and nothing passes from one to another."""

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from test_children import CHAPTER, book, check_nothing_left, noted, started, temporary
from test_workers import until

from popview.book import build, forks

__all__ = ["book", "temporary"]  # fixtures

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux alone")

#: A chapter that leaves behind what it can, and one that looks for it.
LEAVES = """# %%
import os, subprocess, sys
import numpy as np
import pandas as pd

np.random.seed(0)
pd.leftover = os.environ["LEFTOVER"] = "left"
sys.path.insert(0, "/leftover")
print(sorted({"torch", "seaborn"} & {*sys.modules}))
subprocess.Popen(["sleep", "300"], start_new_session=True)
"""
LOOKS = """# %% tags=["parameters"]
start: int = 1

# %%
import os, sys, tempfile
import pandas as pd
from popview.common.seeds import generator

print(hasattr(pd, "leftover"), "LEFTOVER" in os.environ, "/leftover" in sys.path, start)
print(os.getcwd() == os.environ["POPVIEW_ROOT"], tempfile.gettempdir() == os.environ["TMPDIR"])
print(generator(0, "noise").initial_seed())
"""
#: What depends on whether a library finds a kernel while it is imported, and on where modules are looked for.
PLAIN = """# %%
import multiprocessing
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import beside

lines = plt.plot([1, 2])

# %%
pd.DataFrame(np.zeros((2, 30)))

# %%
print(pd.DataFrame(np.zeros((2, 30))), beside.HERE, multiprocessing.process.ORIGINAL_DIR)
"""
FAILS = "# %%\nraise ValueError('on purpose')\n"
KILLED = "# %%\nimport os\nos.kill(os.getpid(), 9)\n"


def printed(root: Path, name: str) -> str:
    cells = json.loads((root / "book" / "run" / f"{name}.ipynb").read_text())["cells"]
    return "".join(line for cell in cells for output in cell.get("outputs", []) for line in output.get("text", []))


def shelf(root: Path, **texts: str) -> Path:
    """Write a book of chapters."""
    (root / "book").mkdir(parents=True)
    (root / "_toc.yml").touch()
    for name, text in texts.items():
        (root / "book" / f"{name}.py").write_text(text)
    return root.resolve()


def due(root: Path) -> dict[build.Chapter, list[str]]:
    return {chapter: ["never run"] for chapter in build.chapters(root).values()}


def test_chapters_find_nothing_of_each_other_and_give_what_each_gives_alone(tmp_path, capsys):
    texts = {"before": LEAVES, "fails": FAILS, "killed": KILLED, "plain": PLAIN, "looks": LOOKS}
    assert len(texts) == build.MANY
    root = shelf(tmp_path / "many", **texts)
    (root / "beside.py").write_text("HERE = 'here'\n")
    failures = sorted(build._run_all(due(root)))
    assert failures[0].startswith(
        "chapter fails, cell 1 (raise ValueError('on purpose')): ValueError: on purpose; see "
    )
    assert failures[1].startswith("chapter killed: ")
    assert "died" in failures[1].lower()
    assert len(failures) == 2
    assert [name for name, chapter in build.chapters(root).items() if build.stale(chapter)] == ["fails", "killed"]
    assert printed(root, "before") == "['seaborn', 'torch']\n"  # they are there
    assert printed(root, "looks").splitlines()[:2] == ["False False False 1", "True True"]
    assert '"image/png"' in (root / "book" / "run" / "plain.ipynb").read_text()
    pages = {name: root / "book" / "run" / f"{name}.ipynb" for name in ("looks", "plain")}
    together = {name: page.read_bytes() for name, page in pages.items()}
    for name, page in pages.items():
        build.execute(build.find(root, name))
        assert page.read_bytes() == together[name]


@pytest.mark.parametrize("many", [1, 9], ids=["forked", "alone"])
def test_no_kernel_listens_on_a_port_that_another_process_could_take_before_it(tmp_path, monkeypatch, many):
    """A chapter failed now and then: "Kernel died before replying", where two kernels had found the same free port."""
    monkeypatch.setattr(build, "MANY", many)
    told = "from ipykernel.connect import get_connection_info as told\nprint(told())\n"
    root = shelf(tmp_path / "two", one=f"# %%\n{told}", two=f"# %%\n{told}")
    assert build._run_all(due(root)) == []
    told = [json.loads(printed(root, name)) for name in ("one", "two")]
    assert {kernel["transport"] for kernel in told} == {"ipc"}
    assert all(kernel["ip"].startswith("@") for kernel in told)
    assert told[0]["ip"] != told[1]["ip"]


def test_where_nothing_can_be_forked_chapters_run_by_themselves(tmp_path, monkeypatch, capsys):
    program = tmp_path / "forked.py"
    program.write_text("raise ImportError('no such library')\n")
    monkeypatch.setattr(forks, "PROGRAM", program)
    root = shelf(tmp_path / "one", fine="# %%\nprint(1)\n")
    monkeypatch.setattr(build, "MANY", 1)
    assert build._run_all(due(root)) == []
    assert printed(root, "fine") == "1\n"
    told = "popview: chapter fine runs by itself: the process that is forked has ended: ImportError: no such library\n"
    assert capsys.readouterr().err == told


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_all_forks_end_with_the_command(book, tmp_path, temporary, number):
    for i in range(build.MANY):
        (book / "book" / f"more{i}.py").write_text(CHAPTER.format(notes=tmp_path / f"notes{i}", seconds=300))
    command = started("book")
    running = [*noted(tmp_path / "notes"), *noted(tmp_path / "notes0")]
    command.send_signal(number)
    assert command.stderr.read().decode().count("\n") == (number != signal.SIGKILL)
    command.wait()
    check_nothing_left(running, temporary, book)


@pytest.mark.slow
def test_a_killed_fork_takes_its_kernel_along_and_the_other_goes_on(tmp_path):
    notes = tmp_path / "notes"
    root = shelf(tmp_path / "one", long=CHAPTER.format(notes=notes, seconds=300), fine="# %%\nprint(1)\n")
    chapters = build.chapters(root)
    with forks.forking(build._environment(build.LIBRARY)) as forked, ThreadPoolExecutor() as pool:
        long = pool.submit(build.execute, chapters["long"], forks=forked)
        papermill, kernel, far = noted(notes)
        papermill.kill()
        with pytest.raises(build.ChapterError, match="papermill was killed"):
            long.result(60)
        for _ in until(20):
            if not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE:
                break
        assert not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE
        build.execute(chapters["fine"], forks=forked)
    assert printed(root, "fine") == "1\n"
    assert psutil.wait_procs([far], timeout=20)[1] == []  # with the process that was forked
    assert os.listdir(forked.place.parent).count(forked.place.name) == 0
