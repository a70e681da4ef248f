"""Dask on a real Slurm of one node, started here on loopback: run by hand, as root, on Debian 12 (Slurm 22.05).

    apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
    POPVIEW_SLURM=1 .venv/bin/python -m pytest tests/test_slurm.py

The packages' own services may stay off: keys, sockets, ports, configuration and state are the tests' own, in pytest's
folder, and nothing is left running. Without POPVIEW_SLURM all of it is skipped.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dask
import pytest
from test_workers import POPVIEW, SOME, contents, run, until
from test_workers_killed import LONG

from popview.common.errors import UsageError
from popview.runs.expansion import expand

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo", "squeue")


def lacking() -> str:
    """Return why these tests cannot run here, if so."""
    if not os.environ.get("POPVIEW_SLURM"):
        return "starts a Slurm of its own: ask for it with POPVIEW_SLURM=1"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "slurmd must be root"


#: All of the profile and task that the command is asked for.
SMOKE = expand("smoke", "digits")

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(lacking()), reason=lacking())]

#: Two CPUs, whatever the machine has; nothing listens but on loopback.
SLURM = """\
ClusterName=popview
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
StateSaveLocation={folder}/slurmctld
SlurmdSpoolDir={folder}/slurmd
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8192
PartitionName=short Nodes=ALL Default=YES State=UP MaxTime=60
"""

#: As in a user's ~/.config/dask/jobqueue.yaml; lost jobs are noticed sooner.
DASK = """\
jobqueue:
  slurm:
    queue: short
    cores: 1
    processes: 1
    memory: 2 GiB
    walltime: "00:10:00"
    interface: lo
    python: {python}
    local-directory: {folder}/dask
    log-directory: {folder}/jobs
    job-script-prologue: [export MALLOC_ARENA_MAX=1]
    worker-extra-args: [--dashboard-address, "127.0.0.1:0"]
distributed:
  deploy:
    lost-worker-timeout: 1s
"""


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in found]


def told(*words: str) -> str:
    """Return what a program of Slurm prints."""
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Iterator[Path]:
    """A Slurm of one idle node, and dask-jobqueue's configuration for it; yield the folder of both."""
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("slurmctld", "slurmd"):
        (folder / name).mkdir()
    (folder / "munge.key").touch(0o600)
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    host = socket.gethostname().split(".")[0]
    (folder / "slurm.conf").write_text(SLURM.format(folder=folder, host=host, ports=free_ports(2)))
    (folder / "jobqueue.yaml").write_text(DASK.format(folder=folder, python=sys.executable))
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("DASK_CONFIG", str(folder / "jobqueue.yaml"))

        def start(*words: str) -> None:
            log = stack.enter_context((folder / f"{words[0]}.out").open("ab"))
            started = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder, start_new_session=True)
            stack.callback(started.wait)
            stack.callback(started.terminate)

        files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        start("munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files)
        for _ in until(10):
            if (folder / "munge.socket").exists():
                break
        start("slurmctld", "-D")
        start("slurmd", "-D")
        for _ in until(60):
            if told("sinfo", "--noheader", "--format=%T") == "idle":
                break
        dask.config.refresh(paths=[str(folder / "jobqueue.yaml")])
        stack.callback(dask.config.refresh)
        stack.callback(no_jobs)
        yield folder


def no_jobs() -> None:
    """Cancel what is left of jobs, and wait for their end."""
    subprocess.run(["scancel", "--user=root"])
    for _ in until(60):
        if not told("squeue", "--noheader"):
            break


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    """A store that one local worker filled without a break."""
    root = tmp_path_factory.mktemp("reference")
    wanted = [*SMOKE, *LONG]
    assert run(wanted, root) == len(wanted)
    return root


def test_slurm_gives_what_loky_gives(slurm, reference, tmp_path):
    how = {"workers": 2, "backend": "dask", "scheduler": "slurm"}
    assert run(SOME, tmp_path, **how) == 5
    for spec in SOME:
        assert contents(spec, tmp_path) == contents(spec, reference)
    assert run(SOME, tmp_path, **how) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cancelled_job_is_replaced(slurm, reference, tmp_path, workers):
    cancelled = []

    def cancel() -> None:
        for _ in until(120):
            if any(tmp_path.glob("*/*/*/*/*.unfinished")):
                cancelled.append(told("squeue", "--noheader", "--states=R", "--format=%i").split()[0])
                told("scancel", cancelled[0])
                return

    thread = threading.Thread(target=cancel, daemon=True)
    thread.start()
    assert run(LONG, tmp_path, workers=workers, backend="dask", scheduler="slurm", every=0.0) == 2
    thread.join()
    assert len(cancelled) == 1
    for spec in LONG:
        assert contents(spec, tmp_path) == contents(spec, reference)


def test_the_command(slurm, reference, tmp_path):
    words = ["run", "--profile", "smoke", "--task", "digits", "--backend", "dask", "--scheduler", "slurm"]
    done = subprocess.run(
        [*POPVIEW, *words, "--workers", "2"],
        env={**os.environ, "POPVIEW_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"smoke/digits: {len(SMOKE)} files wanted, {len(SMOKE)} new, 0 there before\n"
    for spec in SMOKE:
        assert contents(spec, tmp_path / "data") == contents(spec, reference)


def test_what_sbatch_refuses_is_one_line(slurm, tmp_path):
    with (
        dask.config.set({"jobqueue.slurm.queue": "long"}),
        pytest.raises(UsageError, match="nvalid partition") as caught,
    ):
        run(SOME, tmp_path, backend="dask", scheduler="slurm")
    assert "\n" not in str(caught.value)
