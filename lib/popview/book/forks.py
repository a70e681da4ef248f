"""Chapters that run in processes forked from one that has loaded the libraries, so that no chapter loads them again.

Loading torch, pandas, SciPy and the figures' libraries takes three to five seconds a chapter. A fork starts with them,
and shares nothing else: what one chapter does another cannot see. Linux alone: elsewhere a process that has loaded
numerical libraries cannot be trusted after a fork.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from popview.common.children import run_child
from popview.common.errors import UsageError, last_line
from popview.common.files import temporary_folder

#: The program that is forked, and the name of its socket, in the folder where it runs.
PROGRAM, SOCKET = Path(__file__).with_name("forked.py"), ".socket"


class Forks:
    """The process that is forked, as those see it who want a chapter run.

    Parameters
    ----------
    folder
        With its socket, and temporary files of chapters.
    """

    def __init__(self, folder: Path) -> None:
        self.place, self.over = folder, threading.Event()
        self.words = ""  # what it printed at its end

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """Make a folder that is gone at the end of this context, and if this process is killed."""
        path = self.place / name
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run papermill with these arguments in a fork, as `popview.common.children.run_child` runs a program.

        Raises
        ------
        UsageError
            If the process that is forked has ended.
        KeyboardInterrupt
            If `popview.common.children.end_children` has ended it.
        """
        request = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
        text = b""
        with self._connection() as connection, suppress(ConnectionError):
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answer:
                text = answer.read()
        if not text and self.over.wait(1):
            raise self._end()
        told: dict[str, Any] = {"code": 137, "error": "papermill was killed"}
        with suppress(ValueError):  # nothing, or half an answer
            told = json.loads(text)
        return subprocess.CompletedProcess(arguments, told["code"], "", told["error"])

    def _connection(self) -> socket.socket:
        """Return a connection; until the process listens it is waited for."""
        place = os.open(self.place, os.O_DIRECTORY)
        try:
            while not self.over.is_set():
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    connection.connect(f"/proc/self/fd/{place}/{SOCKET}")  # a socket's path is 107 bytes at most
                except OSError:
                    connection.close()
                    time.sleep(0.05)
                else:
                    return connection
        finally:
            os.close(place)
        raise self._end()

    def _end(self) -> BaseException:
        """Return why there are no forks any more."""
        return UsageError(f"the process that is forked has ended: {self.words}") if self.words else KeyboardInterrupt()


@contextmanager
def forking(environment: Mapping[str, str]) -> Iterator[Forks]:
    """Within this context chapters can run in forks; all end with it, with this process, and by `end_children`.

    Parameters
    ----------
    environment
        Variables that count while libraries are loaded.
    """
    with temporary_folder() as folder:
        forks = Forks(folder)

        def serve() -> None:
            try:
                with suppress(KeyboardInterrupt):  # of `end_children`
                    done = run_child([sys.executable, "-P", str(PROGRAM)], folder, environment)
                    words = last_line(done.stderr) if done.returncode == 1 else ""  # of an exception
                    forks.words = words or f"it ended with code {done.returncode}"
            finally:
                forks.over.set()

        thread = threading.Thread(target=serve, name="forks", daemon=True)
        thread.start()
        try:
            yield forks
        finally:
            with suppress(KeyboardInterrupt, UsageError), forks._connection():
                pass  # a connection without a request asks for the end
            thread.join()
