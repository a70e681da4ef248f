"""The engine: what is missing is computed once, by whoever and however many; mistakes and faults are one line."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from popview.common import locks, processes, tensor_files
from popview.common.errors import UsageError
from popview.runs import cluster, loop, status, store, training, workers
from popview.runs.expansion import expand
from popview.runs.specs import RunSpec

SOME = expand("smoke", "digits", algorithms=("SGD", "SWA", "SAM", "NiM-MBH", "SGLD"))

POPVIEW = [sys.executable, "-c", "import sys; from popview.cli import main; sys.exit(main())"]


def spec_of(algorithm: str, **changes: Any) -> RunSpec:
    """Return a spec that runs in a moment: three restarts, one epoch of 20 steps, 11 checkpoints."""
    own = {"average_from": 6, "average_every": 2} if algorithm == "SWA" else {}
    base = RunSpec("digits", "smoke", algorithm, "base", 0, 3, 1, 11, {"lr": 0.05, **own}, {"hidden": 16})
    return replace(base, **changes)


def timeless(value: Any) -> Any:
    """Drop what is a time from metadata."""
    return {k: timeless(v) for k, v in value.items() if k != "seconds"} if isinstance(value, dict) else value


def contents(spec: RunSpec, root: Path) -> tuple[Any, Any]:
    """Return a trajectory's columns and metadata, without times."""
    table = store.load(spec, root)
    return table.drop_columns(["seconds"]).to_pydict(), timeless(store.metadata(spec, root))


def run(specs: list[RunSpec], root: Path, **options: Any) -> int:
    return workers.run(specs, root=root, quiet=True, **({"workers": 1} | options))


@pytest.fixture
def counted(monkeypatch) -> list[str]:
    """Names of the algorithms that are run, in this process."""
    ran: list[str] = []
    compute = training.compute

    def counting(spec: RunSpec, *given: Any) -> list[training.Trajectory]:
        ran.append(spec.algorithm)
        return compute(spec, *given)

    monkeypatch.setattr(training, "compute", counting)
    return ran


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    """A store that one worker filled without a break."""
    root = tmp_path_factory.mktemp("reference")
    assert run(SOME, root) == 5
    return root


class TestTheBaseSettingChosen:
    """A tuned trajectory of the base setting is the base one: it is not trained again."""

    BASE = spec_of("SAM")
    TUNED = replace(BASE, variant="tuned")

    def test_is_not_trained_and_equals_what_training_gives(self, tmp_path, counted):
        assert run([self.BASE, self.TUNED], tmp_path / "both") == 2
        assert run([self.TUNED], tmp_path / "alone") == 1
        assert counted == ["SAM", "SAM"]
        assert contents(self.TUNED, tmp_path / "both") == contents(self.TUNED, tmp_path / "alone")
        told = store.metadata(self.TUNED, tmp_path / "both")
        assert (told["digest"], told["spec"]["variant"]) == (self.TUNED.digest, "tuned")
        assert (
            status.seconds(told, alone=True) == 0 < status.seconds(store.metadata(self.BASE, tmp_path / "both"), True)
        )

    def test_is_trained_under_another_setting_or_where_the_file_is_not_whole(self, tmp_path, counted):
        run([self.BASE], tmp_path)
        other = replace(self.TUNED, hyperparameters=self.TUNED.hyperparameters | {"lr": 0.2})
        assert run([other], tmp_path) == 1
        store.path(self.BASE, tmp_path).write_bytes(b"nothing")
        assert run([self.TUNED], tmp_path) == 1
        assert counted == ["SAM"] * 3
        assert self.BASE.same_as == []

    def test_its_weights_are_kept_by_training_it(self, tmp_path, counted):
        run([self.BASE], tmp_path)
        assert run([self.TUNED], tmp_path, keep_weights=True) == 1
        assert counted == ["SAM", "SAM"]


class TestNoiseThatNeverFires:
    """NiM-SGD is SGD then: its rows are taken from SGD's file, if that says how small gradients became."""

    SGD = spec_of("SGD")

    def nim(self, epsilon: float) -> RunSpec:
        return replace(
            self.SGD, algorithm="NiM-SGD", hyperparameters={"lr": 0.05, "rho": 0.5, "tau": 2, "epsilon": epsilon}
        )

    def test_is_not_trained_and_equals_what_training_gives(self, tmp_path, counted):
        run([self.SGD], tmp_path / "both")
        least = min(store.metadata(self.SGD, tmp_path / "both")["least_gradient_norm"])
        specs = [self.nim(least), self.nim(1.001 * least)]
        assert run([self.SGD, *specs], tmp_path / "both") == 2
        assert run(specs, tmp_path / "alone") == 2
        assert counted == ["SGD", "NiM-SGD", "NiM-SGD", "NiM-SGD"]  # only the second, beside SGD
        assert [contents(s, tmp_path / "both") for s in specs] == [contents(s, tmp_path / "alone") for s in specs]
        reused, fired = (store.metadata(s, tmp_path / "both") for s in specs)
        assert reused["equals"] == ["SGD"] * 3
        assert status.seconds(reused, alone=True) == 0 < status.seconds(fired, alone=True)
        assert None in fired["equals"]

    def test_is_trained_where_its_weights_are_to_be_kept_or_nothing_is_known(self, tmp_path, counted):
        run([self.SGD], tmp_path)
        old = store.load(self.SGD, tmp_path)
        told = {k: v for k, v in store.metadata(self.SGD, tmp_path).items() if k != "least_gradient_norm"}
        assert run([self.nim(0.0)], tmp_path, keep_weights=True) == 1
        assert store.beside(self.nim(0.0), "weights", tmp_path).is_file()
        store.save(self.SGD, old.replace_schema_metadata({"popview": json.dumps(told)}), tmp_path)
        assert run([self.nim(1e-9)], tmp_path) == 1
        assert counted == ["SGD", "NiM-SGD", "NiM-SGD"]

    def test_is_not_stored_again_where_another_driver_was_faster(self, tmp_path):
        run([self.SGD, self.nim(0.0)], tmp_path)
        file = store.path(self.nim(0.0), tmp_path)
        before = file.stat().st_ino
        assert workers._compute(self.nim(0.0), tmp_path, False, 60.0) == {self.nim(0.0).digest: False}
        assert file.stat().st_ino == before

    def test_is_trained_where_the_file_of_sgd_is_damaged(self, tmp_path, counted):
        run([self.SGD], tmp_path)
        store.path(self.SGD, tmp_path).write_bytes(b"nothing")
        assert run([self.nim(0.0)], tmp_path) == 1
        assert counted == ["SGD", "NiM-SGD"]

    def test_is_not_looked_for_in_gradients_that_were_normalised(self, tmp_path, counted):
        normalized = replace(self.SGD, hyperparameters={"lr": 0.05, "normalized": True})
        run([normalized], tmp_path)
        assert store.metadata(normalized, tmp_path)["least_gradient_norm"] == [None] * 3
        silent = replace(self.nim(0.0), hyperparameters=self.nim(0.0).hyperparameters | {"normalized": True})
        assert silent.same_as == [normalized]
        run([silent], tmp_path)
        assert counted == ["SGD", "NiM-SGD"]

    def test_refuses_what_the_optimizer_refuses(self, tmp_path):
        run([self.SGD], tmp_path)
        with pytest.raises(UsageError, match=r"NiM-SGD on digits in profile smoke: .*epsilon"):
            run([self.nim(-1.0)], tmp_path)


class TestWhatIsComputed:
    def test_what_is_missing_once(self, tmp_path, counted):
        wanted = [spec_of(a) for a in ("NiG-SGD", "SAM", "AdamW")]
        assert run([*wanted[:1], *wanted[:1]], tmp_path) == 1
        assert run(wanted, tmp_path) == 2
        before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
        assert run(wanted, tmp_path) == 0
        assert counted == ["NiG-SGD", "SAM", "AdamW"]
        assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before
        assert {p.suffix for p in before} == {".parquet"}  # nothing else is left

    def test_swa_serves_sgd_as_well(self, tmp_path, counted):
        wanted = [spec_of("SGD"), spec_of("SWA")]
        assert run(wanted, tmp_path / "both") == 2
        assert counted == ["SWA"]
        run(wanted[:1], tmp_path / "alone")
        assert contents(wanted[0], tmp_path / "both") == contents(wanted[0], tmp_path / "alone")

    def test_sgd_that_is_there_stays(self, tmp_path, counted):
        wanted = [spec_of("SGD"), spec_of("SWA")]
        run(wanted[:1], tmp_path)
        before = store.path(wanted[0], tmp_path).stat().st_mtime_ns
        assert run(wanted, tmp_path) == 1
        assert counted == ["SGD", "SWA"]
        assert store.path(wanted[0], tmp_path).stat().st_mtime_ns == before

    def test_a_damaged_file_again(self, tmp_path, counted, capsys):
        wanted = [spec_of("SGD"), spec_of("SAM")]
        run(wanted, tmp_path)
        first = contents(wanted[1], tmp_path)
        store.path(wanted[1], tmp_path).write_bytes(b"PAR1")
        assert run(wanted, tmp_path) == 1
        assert counted == ["SGD", "SAM", "SAM"]
        assert "is damaged" in capsys.readouterr().err
        assert contents(wanted[1], tmp_path) == first

    def test_weights_on_request(self, tmp_path):
        run([spec_of("SWA")], tmp_path, keep_weights=True)
        for spec in (spec_of("SWA"), spec_of("SGD")):
            kept = tensor_files.load_tensors(store.beside(spec, "weights", tmp_path))
            assert sorted(kept["steps"][:, 0].tolist()) == store.metadata(spec, tmp_path)["kept"][0]

    def test_weights_of_what_is_there_already(self, tmp_path, counted, monkeypatch):
        spec = spec_of("SAM")
        run([spec], tmp_path)
        with monkeypatch.context() as patch:  # a kill while they are written leaves none under their name
            patch.setattr(tensor_files, "save_file", lambda _, file, **__: file.write_bytes(b"half") and 1 / 0)
            with pytest.raises(ZeroDivisionError):
                run([spec], tmp_path, keep_weights=True)
        assert not store.beside(spec, "weights", tmp_path).exists()
        assert run([spec], tmp_path, keep_weights=True) == 1
        assert tensor_files.load_tensors(store.beside(spec, "weights", tmp_path))["steps"].shape == (10, 3)
        assert run([spec], tmp_path, keep_weights=True) == 0
        assert counted == ["SAM"] * 3

    def test_what_killed_runs_left_goes(self, tmp_path):
        wanted = [spec_of("SAM"), spec_of("AdamW"), spec_of("SGLD")]
        run(wanted[:2], tmp_path)
        for spec in wanted[:2]:
            stem = store.path(spec, tmp_path).with_suffix("")
            for suffix in (".lock", ".unfinished", ".abc.part"):
                Path(f"{stem}{suffix}").write_bytes(b"")
            Path(f"{stem}.unfinished.part").mkdir()
            Path(f"{stem}.unfinished.part", ".tmpAbC").write_bytes(b"half")
        with locks.claim(store.beside(wanted[1], "lock", tmp_path)):
            assert run(wanted[:2], tmp_path) == 0
            assert [p.name for p in store.path(wanted[0], tmp_path).parent.iterdir()] == [
                store.path(wanted[0], tmp_path).name
            ]
            assert len(list(store.path(wanted[1], tmp_path).parent.iterdir())) == 5  # somebody is at it
        run(wanted[1:2], tmp_path)
        assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".parquet"}

    def test_threads_are_one_while_it_runs_and_as_before_after(self, tmp_path, monkeypatch):
        seen = []
        compute = training.compute
        monkeypatch.setattr(training, "compute", lambda *given: seen.append(torch.get_num_threads()) or compute(*given))
        torch.set_num_threads(2)
        try:
            run([spec_of("SGD")], tmp_path)
            assert (seen, torch.get_num_threads()) == ([1], 2)
        finally:
            torch.set_num_threads(1)

    def test_in_one_process_one_trains_at_a_time(self, tmp_path, monkeypatch):
        """Torch's random state belongs to the process: a Dask worker may have several threads."""
        at_once, most = [0], [0]
        compute = training.compute

        def watched(*given: Any) -> list[training.Trajectory]:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            time.sleep(0.05)
            found = compute(*given)
            at_once[0] -= 1
            return found

        monkeypatch.setattr(training, "compute", watched)
        wanted = [spec_of("SGD", seed=seed) for seed in (0, 3, 6)]
        threads = [threading.Thread(target=workers._compute, args=(spec, tmp_path, False, 60.0)) for spec in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1]
        assert store.missing(wanted, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_two_workers_give_what_one_gives(backend, reference, tmp_path):
    assert run(SOME, tmp_path, workers=2, backend=backend) == 5
    for spec in SOME:
        assert contents(spec, tmp_path) == contents(spec, reference)
    assert run(SOME, tmp_path, workers=2, backend=backend) == 0


# ---------------------------------------------------------------- several drivers


class TestTwoDrivers:
    def test_what_another_is_at_is_left_to_it(self, tmp_path, counted):
        wanted = [spec_of("SAM"), spec_of("NiG-SGD")]
        with (
            locks.claim(store.beside(wanted[0], "lock", tmp_path)),
            pytest.raises(UsageError, match="1 of 2 files are being computed by another driver"),
        ):
            run(wanted, tmp_path)
        assert counted == ["NiG-SGD"]
        assert run(wanted, tmp_path) == 1

    @pytest.mark.parametrize("algorithm", ["SGD", "SWA"])
    def test_neither_is_what_one_run_would_serve(self, tmp_path, counted, algorithm):
        wanted = [spec_of("SGD"), spec_of("SWA")]
        with locks.claim(store.beside(spec_of(algorithm), "lock", tmp_path)), pytest.raises(UsageError, match="2 of 2"):
            run(wanted, tmp_path)
        assert counted == []

    def test_what_another_was_at_and_finished_is_not_counted(self, tmp_path, counted, monkeypatch):
        """One spec is left out as locked; when this driver has done the other, the first is there too."""
        wanted = [spec_of("SAM"), spec_of("NiG-SGD")]
        first = store.beside(wanted[0], "lock", tmp_path)
        compute = workers._compute

        def meanwhile(spec: RunSpec, root: Path, *given: Any) -> Any:
            monkeypatch.setattr(workers, "is_held", locks.is_held)
            assert compute(wanted[0], root, *given) == {wanted[0].digest: True}
            return compute(spec, root, *given)

        monkeypatch.setattr(workers, "is_held", lambda file: file == first)
        monkeypatch.setattr(workers, "_compute", meanwhile)
        assert run(wanted, tmp_path) == 1
        assert counted == ["SAM", "NiG-SGD"]

    def test_what_another_finished_in_the_meantime_is_not_counted(self, tmp_path, counted, monkeypatch):
        wanted = [spec_of("SAM"), spec_of("NiG-SGD")]
        jobs = workers._jobs

        def late(todo: list[RunSpec], root: Path) -> list[RunSpec]:
            found = jobs(todo, root)
            monkeypatch.setattr(workers, "_jobs", jobs)
            run(wanted[:1], tmp_path)
            return found

        monkeypatch.setattr(workers, "_jobs", late)
        assert run(wanted, tmp_path) == 1
        assert counted == ["SAM", "NiG-SGD"]

    def test_a_driver_that_died_holds_nothing(self, tmp_path, counted, monkeypatch):
        """Found locked by a job, and no longer when all is done: it is computed after all."""
        wanted, claim = [spec_of("SAM")], locks.claim

        def taken(file: Path) -> Any:
            monkeypatch.setattr(workers, "claim", claim)
            holder = claim(file)
            holder.__enter__()
            try:
                return claim(file)
            finally:
                threading.Timer(0.2, holder.__exit__, (None, None, None)).start()

        monkeypatch.setattr(workers, "claim", taken)
        monkeypatch.setattr(workers, "is_held", lambda file: time.sleep(0.5) or locks.is_held(file))
        assert run(wanted, tmp_path) == 1
        assert counted == ["SAM"]

    @pytest.mark.slow
    @pytest.mark.slow
    def test_two_at_once_compute_each_file_once(self, tmp_path, reference):
        code = (
            "import sys\nfrom pathlib import Path\nfrom popview.runs import expansion, training, workers\n"
            "root, log, compute = Path(sys.argv[1]), Path(sys.argv[2]), training.compute\n"
            "def logged(spec, *given):\n"
            "    with log.open('a') as lines:\n        lines.write(spec.algorithm + chr(10))\n"
            "    return compute(spec, *given)\n"
            "training.compute = logged\n"
            "wanted = expansion.expand('smoke', 'digits', algorithms=sys.argv[3:])\n"
            "try:\n    workers.run(wanted, workers=1, root=root, quiet=True)\n"
            "except workers.UsageError as error:\n    sys.exit(str(error))\n"
        )
        log, algorithms = tmp_path / "log", [spec.algorithm for spec in SOME]
        command = [sys.executable, "-c", code, str(tmp_path / "store"), str(log), *algorithms]
        drivers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        told = [driver.communicate(timeout=120)[1] for driver in drivers]
        assert sorted(log.read_text().split()) == sorted(set(algorithms) - {"SGD"})
        codes = [driver.returncode for driver in drivers]
        assert 0 in codes  # the last one finds everything there
        for code, text in zip(codes, told, strict=True):
            assert code == 0 or (text.count("\n") == 1 and "by another driver on this store" in text)
        for spec in SOME:
            assert contents(spec, tmp_path / "store") == contents(spec, reference)


# ---------------------------------------------------------------- mistakes and faults


class TestFaults:
    def test_a_mistake_in_a_spec(self, tmp_path):
        wrong = spec_of("SGD", hyperparameters={"momentun": 0.9})
        with pytest.raises(UsageError, match="did you mean 'momentum'"):
            run([wrong], tmp_path)

    @pytest.mark.slow
    @pytest.mark.parametrize("backend", ["loky", "dask"])
    def test_a_mistake_told_by_a_worker_keeps_what_is_finished(self, tmp_path, backend):
        fine, wrong = spec_of("SAM"), spec_of("SGD", hyperparameters={"momentun": 0.9}, epochs=2)
        run([fine], tmp_path)
        with pytest.raises(UsageError, match="did you mean 'momentum'"):
            run([fine, wrong, replace(wrong, seed=3)], tmp_path, workers=2, backend=backend)
        assert store.missing([fine], tmp_path) == []

    @pytest.mark.parametrize(
        ("backend", "told"), [("lokky", "did you mean 'loky'"), ("loky", "needs the backend dask")]
    )
    def test_backends(self, tmp_path, backend, told):
        with pytest.raises(UsageError, match=told):
            run([spec_of("SGD")], tmp_path, backend=backend, scheduler="tcp://127.0.0.1:1")

    def test_slurm_needs_the_number_of_jobs(self, tmp_path):
        with pytest.raises(UsageError, match="scheduler slurm needs --workers"):
            run([spec_of("SGD")], tmp_path, backend="dask", scheduler="slurm", workers=None)

    def test_one_process_by_default_where_there_is_a_gpu(self, monkeypatch):
        assert workers._usual() == workers.cpu_count()
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert workers._usual() == 1

    @pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "slurm"])
    def test_a_scheduler_that_is_not_there(self, tmp_path, monkeypatch, address):
        monkeypatch.setattr(cluster, "PATIENCE", 1)
        monkeypatch.setattr(cluster.shutil, "which", lambda _: None)
        with pytest.raises(UsageError, match=r"no Dask scheduler answers|no sbatch on this machine") as caught:
            run([spec_of("SGD")], tmp_path, backend="dask", scheduler=address)
        assert "\n" not in str(caught.value)
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == []

    @pytest.mark.parametrize("place", ["a file", "/proc"])
    @pytest.mark.parametrize("backend", ["loky", "dask"])
    def test_a_store_that_cannot_be_written(self, tmp_path, place, backend):
        (tmp_path / "a file").write_text("")
        with pytest.raises(UsageError, match="cannot write") as caught:
            run([spec_of("SGD")], Path(place) if place == "/proc" else tmp_path / place / "store", backend=backend)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("what", ["result", "half-done state", "half-done state's checksummed tensors"])
    def test_a_full_disk(self, tmp_path, monkeypatch, what):
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def save(*_: Any, **__: Any) -> None:
            if what == "half-done state":
                raise full
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

        def write_table(table: Any, part: Any, **_: Any) -> None:
            part.write(b"PAR1")
            raise full

        fine, spec = spec_of("SAM"), spec_of("NiG-SGD")
        run([fine], tmp_path)
        with monkeypatch.context() as patch:
            if what == "result":
                patch.setattr(store.pq, "write_table", write_table)
            else:
                patch.setattr(tensor_files, "save_file", save)
            with pytest.raises(UsageError, match="No space left on device") as caught:
                run([fine, spec], tmp_path, every=0.0)
        assert "\n" not in str(caught.value)
        assert str(store.path(spec, tmp_path).with_suffix("")) in str(caught.value)
        assert run([fine, spec], tmp_path) == 1
        run([spec], tmp_path / "whole")
        assert contents(spec, tmp_path) == contents(spec, tmp_path / "whole")
        assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".parquet"}

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (MemoryError(), "SAM on digits, seed 0: memory is short: free some"),
            (
                RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
                r"SAM on digits, seed 0: memory is short \(DefaultCPUAllocator: can't allocate memory: you tried\)",
            ),
            (
                torch.OutOfMemoryError("CUDA out of memory. Tried"),
                r"SAM on digits, seed 0: memory is short \(CUDA out of memory\. Tried\)",
            ),
            (FileNotFoundError(2, "No such file", "vocab.txt"), "SAM on digits, seed 0: vocab.txt: No such file"),
        ],
        ids=["memory", "processor's memory", "GPU's memory", "file"],
    )
    def test_what_fails_while_it_computes_is_not_told_as_writing(self, tmp_path, monkeypatch, error, told):
        def fail(*_: Any) -> None:
            raise error

        monkeypatch.setattr(training, "measures", fail)
        with pytest.raises(UsageError, match=f"^{told}") as caught:
            run([spec_of("SAM")], tmp_path)
        assert "\n" not in str(caught.value)

    def test_an_error_of_ours_is_a_traceback(self, tmp_path, monkeypatch):
        def fail(*_: Any) -> None:
            raise RuntimeError("shapes do not agree")

        monkeypatch.setattr(training, "measures", fail)
        with pytest.raises(RuntimeError, match="shapes do not agree"):
            run([spec_of("SAM")], tmp_path)

    @pytest.mark.parametrize("backend", ["loky", pytest.param("dask", marks=pytest.mark.slow)])
    def test_a_task_that_cannot_be_set_up_leaves_the_others_alone(self, tmp_path, monkeypatch, capsys, backend):
        model = {"data": "no/such", "network": "resnet-8", "train": 10, "validation": 5}
        absent = [spec_of("SGD", task="cifar10", model=model, restarts=1, seed=seed) for seed in range(3)]
        fine = [spec_of("SAM"), spec_of("AdamW")]
        with pytest.raises(UsageError, match=r"^not set up, as told above: cifar10$"):
            run([*absent, *fine], tmp_path, backend=backend)
        assert store.missing(fine, tmp_path) == []
        error = capsys.readouterr().err
        assert error.startswith("popview: cannot read data set no/such")
        assert error.count("\n") == 1

    def test_workers_of_another_version(self, tmp_path, monkeypatch):
        monkeypatch.setattr(workers, "_compute", lambda *_: {"another digest": True})
        with pytest.raises(UsageError, match="another version of popview"):
            run([spec_of("SGD")], tmp_path)

    def test_a_worker_that_does_not_see_the_store(self, tmp_path):
        outcome = workers._far(spec_of("SGD"), str(tmp_path / "no mark"), tmp_path, False, 60.0)
        assert isinstance(outcome, UsageError)
        assert "must share it" in str(outcome)


# ---------------------------------------------------------------- stand-ins for Slurm's programs


def start_with(sbatch: str, folder: Path) -> subprocess.Popen[str]:
    """Start the command with Slurm's scheduler, where `sbatch` is a line of shell, and scancel notes its words."""
    for name, line in {"sbatch": sbatch, "scancel": f'echo "$@" >> {folder}/cancelled'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    given = {f"DASK_JOBQUEUE__SLURM__{k}": v for k, v in (("CORES", "1"), ("MEMORY", "1 GiB"), ("INTERFACE", "lo"))}
    how = ["--workers", "1", "--backend", "dask", "--scheduler", "slurm"]
    return subprocess.Popen(
        [*POPVIEW, "run", "--profile", "smoke", "--task", "digits", *how],
        env={**os.environ, **given, "POPVIEW_ROOT": str(folder), "PATH": f"{folder}:{os.environ['PATH']}"},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
class TestSlurm:
    def test_what_sbatch_refuses_is_one_line(self, tmp_path):
        driver = start_with("echo 'sbatch: error: Batch job submission failed' >&2; exit 1", tmp_path)
        out, error = driver.communicate(timeout=120)
        told = "popview: scheduler slurm, by dask-jobqueue's configuration file: "
        assert (driver.returncode, out) == (2, "")
        assert error == f"{told}sbatch: error: Batch job submission failed\n"

    def test_ctrl_c_cancels_the_jobs(self, tmp_path):
        driver = start_with("echo Submitted batch job 42", tmp_path)
        assert driver.stderr is not None
        assert driver.stderr.readline() == "popview: no Dask worker is there yet; waiting for one\n"
        os.killpg(driver.pid, signal.SIGINT)
        out, error = driver.communicate(timeout=120)
        assert (driver.returncode, out) == (130, "")
        assert error.endswith("popview: interrupted; what was finished is kept\n")
        assert "Traceback" not in error
        assert (tmp_path / "cancelled").read_text() == "42\n"


# ---------------------------------------------------------------- interrupts


class TestInterrupts:
    def test_a_half_done_run_goes_on_where_it_was(self, tmp_path, monkeypatch):
        spec, checkpoint, calls = spec_of("NiG-SGD"), training.Record.checkpoint, []

        def stop(*given: Any) -> None:
            calls.append(1)
            if len(calls) == 6:
                raise KeyboardInterrupt
            checkpoint(*given)

        monkeypatch.setattr(training.Record, "checkpoint", stop)
        monkeypatch.setattr(loop, "SPARING", 0)  # a state after every step
        with pytest.raises(KeyboardInterrupt):
            run([spec], tmp_path, every=0.0)
        assert store.beside(spec, "unfinished", tmp_path).is_file()
        assert not locks.is_held(store.beside(spec, "lock", tmp_path))
        assert run([spec], tmp_path) == 1
        assert len(calls) == 6 + 6  # five were kept
        run([spec], tmp_path / "whole")
        assert contents(spec, tmp_path) == contents(spec, tmp_path / "whole")
        assert not store.beside(spec, "unfinished", tmp_path).exists()

    def test_ctrl_c_waits_and_children_never_see_it(self):
        codes = []

        def both() -> None:
            with processes.uninterrupted():
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.3)"])
                os.kill(child.pid, signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
                codes.append(child.wait())

        with pytest.raises(KeyboardInterrupt):
            both()
        assert codes == [0]

    def test_a_bar_is_made_whole_before_ctrl_c_is_heard(self, tmp_path, monkeypatch, capsys):
        """Once a half-made bar told of it by a traceback, as an exception that is ignored."""
        made = []

        class Bar(workers.tqdm):
            def __init__(self, *given: Any, **named: Any) -> None:
                os.kill(os.getpid(), signal.SIGINT)
                super().__init__(*given, **named)
                made.append(self)

        monkeypatch.setattr(workers, "tqdm", Bar)
        with pytest.raises(KeyboardInterrupt):
            workers.run([spec_of("SGD")], workers=1, root=tmp_path)
        assert len(made) == 1
        assert "Traceback" not in capsys.readouterr().err

    @pytest.mark.slow
    def test_workers_that_are_still_starting_never_see_it(self, tmp_path):
        """Once a worker that was still importing told of Ctrl-C by a traceback: it must be deaf from its start."""
        code = (
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            "from popview.runs import workers\n"
            "from popview.common.errors import UsageError\n"
            "from popview.runs.expansion import expand\n"
            "from popview.runs.specs import RunSpec\n"
            "driver = os.getpid()\n"
            "class Tell(RunSpec):\n"
            "    @property\n"
            "    def alongside(self):\n"  # a worker asks for it first
            "        if os.getpid() == driver:\n"
            "            return []\n"
            "        raise UsageError(f'deaf: {signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])}')\n"
            "specs = [Tell(**vars(spec)) for spec in expand('smoke', 'digits', algorithms=('SGD', 'SAM'))]\n"
            "try:\n"
            "    workers.run(specs, workers=2, root=Path(sys.argv[1]), quiet=True)\n"
            "except UsageError as error:\n"
            "    print(error, signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
        )
        words = [sys.executable, "-c", code, str(tmp_path)]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert told.strip() == "deaf: True set()"

    @pytest.mark.slow
    @pytest.mark.parametrize("words", [["--workers", "1"], ["--workers", "2"], ["--workers", "2", "--backend", "dask"]])
    def test_ctrl_c_is_one_line(self, tmp_path, words):
        """To the whole process group, as a terminal sends it, while trajectories are in work."""
        driver = subprocess.Popen(
            [*POPVIEW, "run", "--profile", "smoke", "--task", "digits", *words],
            env={**os.environ, "POPVIEW_ROOT": str(tmp_path)},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in until(120):
            if any(tmp_path.rglob("*.lock")):
                break
        os.killpg(driver.pid, signal.SIGINT)
        out, error = driver.communicate(timeout=60)
        lines = [line for line in error.replace("\r", "\n").split("\n") if line and "optimizers:" not in line]
        assert (driver.returncode, out, lines) == (130, "", ["popview: interrupted; what was finished is kept"])


def until(seconds: float) -> Iterator[None]:
    """Yield now and again until the time is over, and fail then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.02)
    pytest.fail(f"it took more than {seconds} s")
