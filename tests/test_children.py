"""Programs that end with whoever started them, folders for a moment, and the making of one notebook at a time."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from test_workers import until

from popview.book import build, html, notebooks
from popview.common import children, files
from popview.common.errors import UsageError

#: Starts a process in a session of its own, notes both process ids, and waits.
PROGRAM = """
import os, subprocess, sys, time
far = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
with open("{notes}.part", "w") as file:
    file.write(f"{{os.getppid()}} {{os.getpid()}} {{far.pid}}")
os.rename("{notes}.part", "{notes}")
time.sleep(300)
"""

PARENT = """
import sys
from pathlib import Path
from popview.common.children import run_child
from popview.common.endings import reported
from popview.common.files import temporary_folder
with reported(), temporary_folder() as folder:
    run_child([sys.executable, "-c", sys.argv[1]], folder)
"""

CHAPTER = """# %%
import os, subprocess, tempfile, time
tempfile.mkdtemp()
far = subprocess.Popen(["sleep", "300"], start_new_session=True)
with open("{notes}.part", "w") as file:
    file.write(f"{{os.getppid()}} {{os.getpid()}} {{far.pid}}")
os.rename("{notes}.part", "{notes}")
time.sleep({seconds})
"""


def noted(notes: Path) -> list[psutil.Process]:
    """Return the processes that a program has noted, once it has."""
    for _ in until(60):
        if notes.is_file():
            break
    return [psutil.Process(int(number)) for number in notes.read_text().split()]


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """A folder that processes started here have for a temporary one."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def book(tmp_path, monkeypatch) -> Iterator[Path]:
    """A book of one chapter, which never ends."""
    root = tmp_path / "project"
    (root / "book").mkdir(parents=True)
    (root / "_toc.yml").touch()
    (root / "book" / "long.py").write_text(CHAPTER.format(notes=tmp_path / "notes", seconds=300))
    monkeypatch.setenv("POPVIEW_ROOT", str(root))
    return root


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_all_that_a_child_started_ends_with_its_parent(tmp_path, temporary, number):
    notes = tmp_path / "notes"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, PROGRAM.format(notes=notes)], stderr=subprocess.PIPE)
    started = noted(notes)
    assert any(temporary.iterdir())
    parent.send_signal(number)
    error = parent.stderr.read().decode()
    assert error.count("\n") == (number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)), error
    parent.wait()
    assert psutil.wait_procs(started, timeout=20)[1] == []
    for _ in until(20):
        if not any(temporary.iterdir()):
            break
    assert not any(temporary.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the program is left")
def test_a_killed_supervisor_takes_its_program_along(tmp_path):
    notes, ended = tmp_path / "notes", []
    words = [sys.executable, "-c", PROGRAM.format(notes=notes)]
    thread = threading.Thread(target=lambda: ended.append(children.run_child(words, tmp_path)))
    thread.start()
    supervisor, program, far = noted(notes)
    supervisor.kill()
    assert psutil.wait_procs([program], timeout=20)[1] == []
    far.kill()  # that is left
    thread.join(20)
    assert ended[0].returncode == -signal.SIGKILL


def test_children_of_other_threads_can_be_ended(tmp_path):
    notes, raised = tmp_path / "notes", []

    def run() -> None:
        try:
            children.run_child([sys.executable, "-c", PROGRAM.format(notes=notes)], tmp_path)
        except KeyboardInterrupt:
            raised.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    started = noted(notes)
    children.end_children()
    thread.join(20)
    assert raised == [True]
    assert psutil.wait_procs(started, timeout=5)[1] == []


def test_what_a_child_prints_and_how_it_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    code = "import os, sys\nprint('ρ', flush=True)\nprint(os.getcwd(), os.environ['A'], file=sys.stderr)\n"
    done = children.run_child([sys.executable, "-c", code + "sys.exit(3)"], tmp_path, {"A": "b"})
    assert (done.returncode, done.stdout, done.stderr) == (3, "ρ\n", f"{tmp_path} b\n")
    done = children.run_child([sys.executable, "-c", code], tmp_path, {"A": "b"}, merged=True)
    assert (done.returncode, done.stdout) == (0, f"ρ\n{tmp_path} b\n")
    done = children.run_child([sys.executable, "-c", "import os\nos.abort()"], tmp_path)
    assert done.returncode == 128 + signal.SIGABRT


def test_folders_of_killed_processes_go_and_others_stay(temporary):
    code = "import os\nfrom popview.common.files import temporary_folder\nwith temporary_folder() as folder:\n"
    words = [sys.executable, "-c", code + "    (folder / 'file').touch()\n    os.kill(os.getpid(), 9)"]
    assert subprocess.run(words).returncode == -signal.SIGKILL
    assert len([*temporary.iterdir()]) == 2  # a folder and its lock
    with files.temporary_folder() as ours:
        assert sorted(temporary.iterdir()) == [ours, ours.with_suffix(".lock")]
        with files.temporary_folder() as second:
            assert ours.is_dir()
            assert second.stat().st_mode & 0o77 == 0
    assert not any(temporary.iterdir())


def test_the_second_waits_and_says_so(tmp_path, capsys):
    order, inside = [], threading.Event()

    def first() -> None:
        with notebooks.alone(tmp_path, "sums.ipynb"):
            inside.set()
            time.sleep(0.5)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with notebooks.alone(tmp_path, "products.ipynb"):
        pass
    assert capsys.readouterr().err == ""
    with notebooks.alone(tmp_path, "sums.ipynb"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert capsys.readouterr().err == "popview: another process makes sums.ipynb; waiting for it\n"
    assert not any((tmp_path / "book" / "run").iterdir())


@pytest.mark.parametrize("place", ["book/run", "book/assets", "_build"])
def test_what_cannot_be_written_is_told_before_anything_runs(book, monkeypatch, place):
    monkeypatch.setattr(build, "execute", lambda *_: pytest.fail("a chapter ran"))
    (book / place).touch()  # where a folder should be: as root, nothing is read-only
    with pytest.raises(UsageError, match=rf"cannot write .*{place}: "):
        build.build(book)


def test_a_page_of_ones_own_is_replaced_as_a_whole(tmp_path, monkeypatch):
    """What a killed process left half-copied is neither shown nor in the way."""
    notebook = tmp_path / "book" / "run" / "custom" / "a-page.ipynb"
    for folder in (notebook.with_suffix(""), notebook.parent / ".a-page.part"):
        folder.mkdir(parents=True)
        (folder / "half").touch()
    notebook.write_text('{"cells": []}')
    (tmp_path / "_config.yml").touch()

    def built(_: list[str], log: Path, folder: Path) -> None:
        log.touch()
        (folder / "_build" / "html").mkdir(parents=True)
        (folder / "_build" / "html" / "index.html").touch()

    monkeypatch.setattr(html, "_jupyter_book", built)
    assert html.render_alone(tmp_path, notebook) == notebook.with_suffix("") / "index.html"
    assert sorted(p.name for p in notebook.parent.iterdir()) == ["a-page", "a-page.ipynb"]
    assert [p.name for p in notebook.with_suffix("").iterdir()] == ["index.html"]


def started(*words: str) -> subprocess.Popen[bytes]:
    """Start a command of popview."""
    code = "import sys\nfrom popview.cli import main\nsys.exit(main())"
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def check_nothing_left(running: list[psutil.Process], temporary: Path, book: Path) -> None:
    """Check that processes end, and that nothing stays behind but what the next start clears away."""
    assert psutil.wait_procs(running, timeout=20)[1] == []
    for _ in until(20):
        if not any(temporary.iterdir()):
            break
    assert not any(temporary.iterdir())
    assert not [file for file in (book / "book" / "run").iterdir() if file.suffix != ".lock"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("words", [("chapter", "long"), ("book",)])
def test_a_kernel_ends_with_the_command(book, tmp_path, temporary, number, words):
    command = started(*words)
    running = noted(tmp_path / "notes")
    command.send_signal(number)
    error = command.stderr.read().decode()
    told = "" if number == signal.SIGKILL else "popview: asked to end; what was finished is kept\n"
    assert error == told
    command.wait()
    check_nothing_left(running, temporary, book)
    (book / "book" / "long.py").write_text(CHAPTER.format(notes=tmp_path / "notes", seconds=0))
    build.execute(build.find(book, "long"))
    with notebooks.alone(book, "book"):
        pass
    assert [file.name for file in (book / "book" / "run").iterdir()] == ["long.ipynb"]
    assert os.listdir(temporary) == []
