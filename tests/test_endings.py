"""What ends a command from outside: signals, a full disk, a terminal of few letters, a user without a home."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from test_workers import until
from test_workers_killed import children, under_way

from popview.common import endings
from popview.common.errors import UsageError, check_name
from popview.common.folders import cache_folder
from popview.runs import expansion, store

#: Runs that no machine finishes while they are being asked to end.
ENDLESS = expansion.expand("smoke", "digits", algorithms=("SAM", "NiM-MBH"), epochs=2000, checkpoints=201)

MAIN = "import sys\nfrom popview.cli import main\nsys.exit(main())"


def command(*words: str, first: str = "", **how: Any) -> subprocess.CompletedProcess[bytes]:
    """Run ``popview`` in a process of its own, after `first`."""
    given: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    return subprocess.run([sys.executable, "-c", f"{first}\n{MAIN}", *words], **given)


@pytest.mark.parametrize(("encoding", "shown"), [("cp437", "\\u03c1 \xf1"), ("iso8859-7", "ρ \\xf1")])
def test_letters_that_a_terminal_lacks_are_escaped(tmp_path, monkeypatch, encoding, shown):
    (tmp_path / "book").mkdir()
    text = '# %% tags=["parameters"]\nnoise: str = "ρ ñ"\n'
    (tmp_path / "book" / "sums.py").write_text(text, "utf-8")
    (tmp_path / "_toc.yml").touch()
    for name, value in {"POPVIEW_ROOT": str(tmp_path), "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}.items():
        monkeypatch.setenv(name, value)
    done = command("chapter", "sums", "--list")
    assert done.stderr == b""
    assert done.stdout.decode(encoding) == f"noise: str = '{shown}'\n"


@pytest.mark.parametrize("words", [("--help",), ("status", "--profile", "smoke"), ("status", "--profile", "nothing")])
def test_a_full_disk_is_one_line(words):
    with open("/dev/full", "w") as full:
        done = command(*words, stdout=full)
        assert command(*words, stdout=full, stderr=full).returncode == 2  # nor where that cannot be told
    wrong = "unknown profile 'nothing': " if "nothing" in words else "cannot write: No space left on device\n"
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"popview: {wrong}")
    assert done.stderr.count(b"\n") == 1


def test_a_pipe_that_is_closed_is_nothing_to_tell():
    process = subprocess.Popen([sys.executable, "-c", MAIN, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 128 + signal.SIGPIPE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("module", ["typer", "torch"])
def test_a_signal_while_modules_are_loaded_is_one_line(tmp_path, monkeypatch, number, module):
    """Of the command line itself, and of what a command needs."""
    (tmp_path / f"{module}.py").write_text(f"import os, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(60)\n")
    first = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})"
    done = command("run", "--profile", "smoke", "--dry-run", first=first)
    assert done.returncode == 128 + number
    assert done.stderr.decode() == f"popview: {endings.STOPS[number]}; what was finished is kept\n"


def test_a_signal_that_is_ignored_stays_ignored():
    """As SIGHUP is after ``nohup``; and what this process does with signals is as before afterwards."""
    number = signal.SIGHUP
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with endings.stoppable():
            signal.raise_signal(number)
            assert signal.getsignal(signal.SIGTERM) is endings._raise
    finally:
        signal.signal(number, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_second_signal_does_not_break_off_the_tidying_up():
    tidied = []

    def stopped() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            tidied.append(True)

    with endings.stoppable(), pytest.raises(endings.Stop):
        stopped()
    assert tidied


@pytest.mark.parametrize("short", [lambda: np.empty(2**57), lambda: torch.empty(2**60), lambda: bytearray(2**60)])
def test_want_of_memory_is_one_line(short):
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        short()
    code, words = endings.code_of(caught.value)
    assert code == 2
    assert words.startswith("memory is short")
    assert "\n" not in words
    assert "frame #" not in words


@pytest.mark.parametrize("bug", [RuntimeError("shapes differ"), KeyError("seed"), ImportError("no such library")])
def test_a_bug_keeps_its_traceback(bug):
    assert endings.code_of(bug) is None


def test_a_user_without_a_home_is_asked_for_a_cache(monkeypatch):
    import pwd

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "POPVIEW_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=r"the cache has no folder .*: name one in POPVIEW_CACHE"):
        cache_folder()
    monkeypatch.setenv("POPVIEW_CACHE", "~/cache")
    with pytest.raises(UsageError, match="name one in POPVIEW_CACHE"):
        cache_folder()
    monkeypatch.setenv("POPVIEW_CACHE", "/cache")
    assert cache_folder() == Path("/cache")


def test_where_nothing_is_known_nothing_is_listed():
    with pytest.raises(UsageError, match=r"^unknown task 'digits': there is none$"):
        check_name("task", "digits", ())


@pytest.mark.parametrize("silenced", [True, False])
def test_a_semaphore_that_is_gone_before_its_tracker_knows_is_no_leak(silenced):
    """A driver that is asked to end may be gone in between: the tracker told of a leak, in several lines."""
    start = "with processes.uninterrupted():\n    pass" if silenced else "loky_tracker.ensure_running()"
    code = (
        "import os\nfrom joblib.externals.loky.backend import resource_tracker as loky_tracker\n"
        f"from popview.common import processes\nbefore = dict(os.environ)\n{start}\n"
        "assert os.environ == before\nloky_tracker.register('/loky-0-gone', 'semlock')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ("leaked semlock" in ended.stderr) != silenced
    assert (ended.stderr == "") == silenced


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_a_run_that_is_asked_to_end_leaves_nothing_but_its_states(tmp_path, backend):
    """No worker, no semaphore in /dev/shm, no file of a driver; and it goes on from there."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom popview.common.endings import reported\n"
        "from popview.runs import workers\nfrom test_endings import ENDLESS\nwith reported():\n"
        f"    workers.run(ENDLESS, workers=2, backend={backend!r}, root=Path(sys.argv[1]), quiet=True, every=0.05)"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    driver = subprocess.Popen(words, cwd=Path(__file__).parent, stderr=subprocess.PIPE, text=True)
    for _ in until(120):
        if all(under_way(spec, tmp_path) for spec in ENDLESS):
            break
    started = children(driver.pid, "")
    assert len(started) >= 2
    driver.send_signal(signal.SIGTERM)
    assert driver.communicate()[1] == "popview: asked to end; what was finished is kept\n"
    assert driver.returncode == 128 + signal.SIGTERM
    assert psutil.wait_procs(started, timeout=10)[1] == []
    assert [left for left in Path("/dev/shm").iterdir() if str(driver.pid) in left.name] == []
    left = {file.suffix for file in tmp_path.rglob("*") if file.is_file()}
    assert left <= {".unfinished", ".parquet"}
    assert len(store.missing(ENDLESS, tmp_path)) == 2
