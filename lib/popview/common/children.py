"""A program that ends with the process that started it, and takes along all that it has started.

Between the two stands a supervisor: this file, run as a script in a session of its own, which neither the terminal's
signals nor those to the process group reach. It holds the reading end of a pipe, whose writing end its parent has. When
that is closed, be it that the parent was killed, it kills the program and what that has started, and removes the
program's folder. On Linux the program is killed with its supervisor, and orphans become the supervisor's children. On
other systems a killed supervisor leaves its program until that is done, and a Jupyter kernel ends by itself within a
second.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# Options of Linux' prctl (prctl.h)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

#: Seconds that resource trackers, which remove a killed process's semaphores, have to end by themselves.
PATIENCE = 5.0

#: The writing ends of the pipes to supervisors that are at work.
_lifelines: set[int] = set()


def run_child(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, merged: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and end it, with all that it has started, when this process ends or is interrupted.

    Parameters
    ----------
    command
        The program and its arguments.
    folder
        Where it runs and has its temporary files; removed if this process is killed.
    environment
        Environment variables that differ from this process's.
    merged
        Whether what it prints on stderr is to stand within what it prints on stdout.

    Raises
    ------
    KeyboardInterrupt
        If `end_children` ended it.
    """
    given = {**os.environ, "TMPDIR": str(folder), "PYTHONUTF8": "1", **(environment or {})}
    given.pop("PYTHONIOENCODING", None)  # what it prints is read here, and not by the terminal
    if os.path.expanduser("~") == "~":  # a user without a home
        given["HOME"] = str(folder)
    read, write = os.pipe()
    _lifelines.add(write)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(folder), *command],
            stdin=read,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            cwd=folder,
            env=given,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except BaseException:
        _cut(write)
        raise
    finally:
        os.close(read)
    try:
        out, error = process.communicate()
    except BaseException:
        _cut(write)
        process.wait()
        raise
    if not _cut(write):
        raise KeyboardInterrupt
    return subprocess.CompletedProcess(command, process.returncode, out, error)


def end_children() -> None:
    """End the programs that other threads run."""
    for write in [*_lifelines]:
        _cut(write)


def _cut(write: int) -> bool:
    """Close a pipe to a supervisor, and say whether nobody had done it before."""
    try:
        _lifelines.remove(write)
    except KeyError:
        return False
    os.close(write)
    return True


def _supervise(folder: str, command: list[str]) -> int:
    """Run the program and return its exit code; end it when the pipe that is this process's stdin is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the parent decides; unlike SIG_IGN not inherited
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    parent_gone = threading.Event()
    lifeline = os.dup(0)
    program = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    )

    def watch() -> None:
        os.read(lifeline, 1)
        parent_gone.set()
        kill_descendants()

    threading.Thread(target=watch, daemon=True).start()
    code = program.wait()
    latest = time.monotonic() + PATIENCE
    while kill_descendants(all_of_them=time.monotonic() > latest) and time.monotonic() < 2 * PATIENCE + latest:
        _reap()
        time.sleep(0.05)
    if parent_gone.is_set():
        shutil.rmtree(folder, ignore_errors=True)
        Path(f"{folder}.lock").unlink(missing_ok=True)  # of `popview.common.files.temporary_folder`
    return code if code >= 0 else 128 - code


def kill_descendants(all_of_them: bool = False) -> bool:
    """Kill what this process has started, resource trackers only if `all_of_them`; return whether any was left."""
    import psutil

    found = psutil.Process().children(recursive=True)
    for process in found:
        with suppress(psutil.Error):
            if all_of_them or not any("resource_tracker" in word for word in process.cmdline()):
                process.kill()
    return bool(found)


def _reap() -> None:
    """Collect children that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process, on Linux."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(_supervise(sys.argv[1], sys.argv[2:]))
