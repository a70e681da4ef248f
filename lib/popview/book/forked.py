"""The program that is forked for each chapter; `popview.book.forks` starts it and asks for forks.

It is run as a script and imports no module of popview, so that each chapter loads the library as it is when the chapter
begins. A request is a JSON object on a socket: papermill's arguments, the folder, environment variables. The answer has
papermill's exit code and what it printed. The kernel is forked from the same process, before papermill has threads.
"""

import builtins
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

#: What chapters import. Not matplotlib's inline backend, which looks for the kernel while it is imported.
LIBRARIES = (
    *("papermill.cli", "ipykernel.kernelapp", "matplotlib.backends.backend_agg", "matplotlib.pyplot", "myst_nb"),
    *("numpy", "pandas", "pyarrow.parquet", "scipy.stats", "scipy.optimize", "scipy.integrate", "seaborn"),
    *("plotly.graph_objects", "torch", "torch._dynamo", "torch.utils.flop_counter", "psutil", "pydantic"),
    *("statsmodels.stats.power", "statsmodels.stats.contingency_tables", "statsmodels.stats.multitest"),
)
#: Two modules that need nothing of popview: loaded by their paths, they are no modules of a chapter.
children = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "common" / "children.py")))
kernels = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("kernels.py"))))


def _main() -> int:
    """Load the libraries, then fork a process for each request; return in each fork, once it is over."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(".socket")
    server.listen(64)
    given = dict(os.environ)  # without what libraries set
    _load()
    gc.freeze()  # what is loaded is not looked through again, and stays shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks that have ended need not be waited for
    while True:
        connection, _ = server.accept()
        with connection:
            with connection.makefile("rb") as sent:
                request = json.loads(sent.read() or "null")
            if request is None:
                return 0
            try:
                fork = os.fork()
            except OSError as error:
                _answer(connection, 1, f"OSError: {error}")
                continue
            if not fork:
                server.close()
                return _run_papermill(request, connection, given)


def _load() -> None:
    """Import the libraries as a kernel would: pandas asks, while it is imported, whether there is one."""
    builtins.get_ipython = lambda: SimpleNamespace(kernel=None)  # type: ignore[attr-defined]
    for name in LIBRARIES:
        importlib.import_module(name)
    del builtins.get_ipython  # type: ignore[attr-defined]


def _run_papermill(request: dict[str, Any], connection: socket.socket, given: dict[str, str]) -> int:
    """Run papermill, and answer with its exit code and what was printed."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _die_with_parent()
    children.prctl(children.PR_SET_CHILD_SUBREAPER, 1)  # what the kernel leaves running comes here
    folder, code = Path(request["folder"]), 1
    home = {"HOME": str(folder)} if given.get("HOME") == given["TMPDIR"] else {}  # a user without a home
    os.environ.clear()
    os.environ |= given | home | request["environment"] | {"TMPDIR": str(folder)}
    tempfile.tempdir = None
    try:
        os.chdir(folder)
        with Path("printed").open("wb") as printed:
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
        read, write = os.pipe()
        kernel = os.fork()  # before there are threads
    except OSError:
        return _answer(connection, code, traceback.format_exc())
    if not kernel:
        os.close(write)
        connection.close()
        return _run_kernel(read)
    os.close(read)
    try:
        _give_to_papermill(kernel, write)
        importlib.import_module("papermill.cli").papermill(request["arguments"], standalone_mode=False)
        code = 0
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    children.kill_descendants()
    return _answer(connection, code, Path("printed").read_text("utf-8", "replace"))


def _answer(connection: socket.socket, code: int, words: str) -> int:
    """Send the exit code and the words, and return the code."""
    connection.sendall(json.dumps({"code": code, "error": words}).encode())
    return code


def _give_to_papermill(pid: int, write: int) -> None:
    """Let Jupyter take a process that waits for a pipe as the kernel, in place of a program that it starts."""

    class Forked(kernels.Named):  # type: ignore[name-defined]
        async def launch_kernel(self, cmd: list[str], **given: Any) -> Any:
            environment = given["env"] | {"JPY_PARENT_PID": str(os.getpid())}
            wanted = {
                "arguments": cmd[cmd.index("-f") :],
                "environment": environment,
                "folder": given.get("cwd") or os.getcwd(),
            }
            with os.fdopen(write, "w") as pipe:
                json.dump(wanted, pipe)
            self.process, self.pid, self.pgid = cast(Any, _Kernel(pid)), pid, pid
            return self.connection_info

    kernels.give_to_papermill(Forked)


class _Kernel:
    """A forked kernel with the methods of `subprocess.Popen` that Jupyter needs."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self._wait(os.WNOHANG)
        return self.returncode

    def wait(self) -> int | None:
        if self.returncode is None:
            self._wait(0)
        return self.returncode

    def _wait(self, options: int) -> None:
        pid, status = os.waitpid(self.pid, options)
        if pid:
            self.returncode = os.waitstatus_to_exitcode(status)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _run_kernel(read: int) -> int:
    """Wait to be told what to run, and run it as a Jupyter kernel."""
    _die_with_parent()
    parent = os.getppid()
    os.setsid()
    with os.fdopen(read) as pipe:
        text = pipe.read()
    if not text:  # papermill has failed before
        return 0
    wanted = json.loads(text)
    os.environ.clear()
    os.environ |= wanted["environment"]
    os.chdir(wanted["folder"])
    processes: Any = importlib.import_module("multiprocessing.process")
    processes.ORIGINAL_DIR = wanted["folder"]  # where its children look for modules
    site = [i for i, place in enumerate(sys.path) if Path(place).name in ("site-packages", "dist-packages")]
    sys.path.insert(site[0] if site else 0, "")  # as IPython does, but for -P
    importlib.import_module("numpy").random.seed()  # Python's own generator is seeded anew by a fork
    sys.argv = ["ipykernel_launcher", *wanted["arguments"], f"--IPKernelApp.parent_handle={parent}"]
    importlib.import_module("ipykernel.kernelapp").launch_new_instance()
    return 0


def _die_with_parent() -> None:
    parent = os.getppid()
    children.prctl(children.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(_main())
