"""Arrays made once, locks that a dead process does not hold, and states that come back as they were."""

import json
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import closure_on
from test_runs import ALGORITHMS

from popview.common import tensor_files
from popview.common.errors import UsageError
from popview.common.locks import claim, is_held
from popview.optimizers import make
from popview.tasks import array_cache
from popview.tasks.digits import Digits

# ---------------------------------------------------------------- the cache


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("POPVIEW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Makes arrays, and counts how often it is asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> dict[str, np.ndarray]:
        self.calls += 1
        return {"numbers": np.arange(12).reshape(3, 4), "words": np.array(["a", "längst"]), "one": np.float32([0.5])}


class TestArrays:
    def test_are_made_once_and_opened_ever_after(self, place):
        maker = Maker()
        for _ in range(3):
            found = array_cache.arrays("some", maker)
            assert {name: array.tolist() for name, array in found.items()} == {
                name: array.tolist() for name, array in Maker()().items()
            }
            assert found["numbers"].dtype == np.int64
            with pytest.raises(ValueError, match="read-only"):
                found["numbers"][0, 0] = 5
        assert maker.calls == 1
        assert array_cache.arrays("other", maker).keys() == found.keys()
        assert maker.calls == 2
        assert sorted(path.name for path in place.iterdir()) == ["other", "some"]

    @pytest.mark.parametrize(
        ("damage", "told"),
        [
            (lambda folder: (folder / "numbers.npy").write_bytes(b""), "damaged"),
            (lambda folder: (folder / "numbers.npy").write_bytes(b"garbage" * 50), "damaged"),
            (lambda folder: os.truncate(folder / "numbers.npy", 140), "damaged"),
            (
                lambda folder: np.save(folder / "numbers.npy", np.arange(12).reshape(3, 4) * 2),
                "wrong checksum of numbers",
            ),
            (lambda folder: (folder / "words.npy").unlink(), "words.npy is missing"),
            (lambda folder: (folder / array_cache.MANIFEST).unlink(), "is missing"),
            (lambda folder: (folder / array_cache.MANIFEST).write_text(""), "damaged"),
            (lambda folder: (folder / array_cache.MANIFEST).write_text("{}"), "it names no arrays"),
            (lambda folder: (folder / array_cache.MANIFEST).write_text("null"), "damaged"),
            (lambda folder: (folder / array_cache.MANIFEST).write_text('["numbers"]'), "damaged"),
            (lambda folder: (folder / array_cache.MANIFEST).write_bytes(b"\xff\xfe"), "damaged"),
        ],
    )
    def test_what_is_damaged_is_told_in_one_line_and_made_anew(self, place, capsys, damage, told):
        maker = Maker()
        kept = {name: array.tolist() for name, array in array_cache.arrays("some", maker).items()}
        damage(place / "some")
        for calls in (2, 2):
            assert {name: array.tolist() for name, array in array_cache.arrays("some", maker).items()} == kept
            assert maker.calls == calls
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1
        assert [path.name for path in place.iterdir()] == ["some"]

    @pytest.mark.parametrize("name", ["cache", "file/cache"])
    def test_a_folder_that_cannot_be_written_is_one_line(self, tmp_path, monkeypatch, name):
        (tmp_path / "file").write_text("")
        (tmp_path / "cache").symlink_to("/proc")
        monkeypatch.setenv("POPVIEW_CACHE", str(tmp_path / name))
        with pytest.raises(
            UsageError, match=r"^cannot write to the cache .*; name another in POPVIEW_CACHE$"
        ) as raised:
            array_cache.arrays("some", Maker())
        assert "\n" not in str(raised.value)

    def test_a_full_disk_is_one_line_and_leaves_nothing(self, place, monkeypatch):
        def full(file: Path, array: np.ndarray, **_: Any) -> None:
            file.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(np, "save", full)
        with pytest.raises(UsageError, match=r"cannot write to the cache .*: No space left on device; name another"):
            array_cache.arrays("some", Maker())
        assert list(place.iterdir()) == []

    def test_what_goes_wrong_in_the_making_is_not_the_cache_s(self, place):
        def broken() -> dict[str, np.ndarray]:
            raise OSError("no such picture")

        with pytest.raises(OSError, match="no such picture"):
            array_cache.arrays("some", broken)
        assert list(place.iterdir()) == []

    def test_what_a_killed_process_left_is_swept_away(self, place):
        (place / "some.part").mkdir(parents=True)
        (place / "some.part" / "numbers.npy").write_bytes(b"half")
        assert array_cache.arrays("some", Maker()).keys() == Maker()().keys()
        assert [path.name for path in place.iterdir()] == ["some"]

    def test_what_can_be_read_needs_no_lock(self, place, monkeypatch):
        array_cache.arrays("some", Maker())
        monkeypatch.setattr(array_cache, "claim", None)
        assert array_cache.arrays("some", Maker()).keys() == Maker()().keys()

    def test_two_processes_at_once_make_it_once(self, place, tmp_path):
        code = (
            "import sys, time, numpy as np\n"
            "from popview.tasks import array_cache\n"
            "def make():\n"
            f"    open({str(tmp_path / 'made')!r}, 'a').write('x')\n"
            "    time.sleep(0.5)\n"
            "    return {'a': np.arange(5)}\n"
            "print(array_cache.arrays('some', make)['a'].sum())\n"
        )
        both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert [process.communicate(timeout=60)[0] for process in both] == ["10\n", "10\n"]
        assert (tmp_path / "made").read_text() == "x"

    def test_the_folder(self, monkeypatch):
        monkeypatch.delenv("POPVIEW_CACHE", raising=False)
        assert array_cache.folder().name == "popview"
        monkeypatch.setenv("POPVIEW_CACHE", "~/elsewhere")
        assert array_cache.folder() == Path.home() / "elsewhere"


# ---------------------------------------------------------------- locks

HOLD = """
import sys, time
from pathlib import Path
from popview.common.locks import claim
with claim(Path(sys.argv[1])) as held:
    print(held, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds a lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


class TestLocks:
    def test_is_held_within_and_gone_after(self, tmp_path):
        file = tmp_path / "new" / "lock"
        assert not is_held(file)
        with claim(file) as held:
            assert held
            assert is_held(file)
            with claim(file) as second:
                assert not second
            assert is_held(file)
        assert not is_held(file)
        assert list(file.parent.iterdir()) == []

    def test_an_exception_releases_it(self, tmp_path):
        with pytest.raises(KeyError), claim(tmp_path / "lock"):
            raise KeyError
        assert list(tmp_path.iterdir()) == []

    def test_between_processes(self, tmp_path, holder):
        assert is_held(tmp_path / "lock")
        with claim(tmp_path / "lock") as held:
            assert not held
        assert is_held(tmp_path / "lock")

    def test_a_killed_process_holds_nothing(self, tmp_path, holder):
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert (tmp_path / "lock").exists()
        assert not is_held(tmp_path / "lock")
        with claim(tmp_path / "lock") as held:
            assert held
            assert is_held(tmp_path / "lock")
        assert not (tmp_path / "lock").exists()

    def test_whoever_waited_holds_it_alone(self, tmp_path):
        """The file that the waiting one opened is removed by the holder before: it must look for the new one."""
        file, inside, release = tmp_path / "lock", threading.Event(), threading.Event()

        def wait() -> None:
            with claim(file, wait=True) as held:
                assert held
                inside.set()
                release.wait(10)

        waiting = threading.Thread(target=wait)
        with claim(file):
            waiting.start()
            time.sleep(0.2)
            assert not inside.is_set()
        assert inside.wait(10)
        assert is_held(file)
        with claim(file) as third:
            assert not third
        release.set()
        waiting.join(10)
        assert not is_held(file)


# ---------------------------------------------------------------- states

EVERY = ALGORITHMS | {"L-BFGS-GSS": {"lr": 1.0}}


def trained(algorithm: str, steps: range, state: Any = None, parameters: Any = None) -> tuple[Any, Any]:
    """Return parameters and optimizer after some steps on digits, from a state or from the start."""
    problem = Digits(range(2), hidden=8)
    for p, given in zip(problem.parameters, parameters or [], strict=parameters is not None):
        p.data.copy_(given)
    momentum = {} if algorithm in ("AdamW", "L-BFGS-GSS") else {"momentum": 0.9}
    options = {"lr": 0.05, **momentum, **EVERY[algorithm]}
    optimizer = make(algorithm, problem.parameters, population=True, seed=3, **options)
    if state is not None:
        optimizer.load_state_dict(state)
    batches = list(problem.minibatches(0))
    for step in steps:
        closure = closure_on(optimizer, lambda minibatch=batches[step]: problem.loss(minibatch))

        optimizer.step(closure, lambda: problem.evaluate("train")[0])
    return [p.detach().clone() for p in problem.parameters], optimizer


def alike(a: Any, b: Any) -> bool:
    """Whether two states are equal bit for bit, but for tuples that became lists."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.stride() == b.stride() and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(alike(a[key], b[key]) and type(a) is type(b) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


class TestStates:
    @pytest.mark.parametrize("algorithm", EVERY)
    def test_optimizers_continue_from_a_file(self, algorithm, tmp_path):
        whole, last = trained(algorithm, range(14))
        parameters, optimizer = trained(algorithm, range(8))
        tensor_files.save_tensors(tmp_path / "state", {"optimizer": optimizer.state_dict(), "parameters": parameters})
        state = tensor_files.load_tensors(tmp_path / "state")
        assert alike(optimizer.state_dict(), state["optimizer"])
        again, continued = trained(
            algorithm, range(8, 14), **{"state": state["optimizer"], "parameters": state["parameters"]}
        )
        assert all(map(torch.equal, whole, again))
        assert alike(last.state_dict(), continued.state_dict())

    def test_everything_that_a_state_may_hold(self, tmp_path):
        wide = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
        state = {
            "plain": [1, 2.5, True, None, "text", math.inf, -0.0],
            "dict": {3: {"a": [torch.tensor(7)]}, "3": (), "empty": {}},
            "tensors": [torch.zeros(0), torch.tensor(1.5), torch.ones(2, 3).bool(), wide, wide.bfloat16(), wide[0].mT],
            "generator": torch.Generator().manual_seed(9).get_state(),
            "shared": [wide, wide],
            "tuple": (1, (2, torch.arange(3))),
        }
        tensor_files.save_tensors(tmp_path / "state", state)
        found = tensor_files.load_tensors(tmp_path / "state")
        assert alike(state["plain"], found["plain"])
        assert list(found["dict"]) == [3, "3", "empty"]
        assert [t.dtype for t in found["tensors"]] == [t.dtype for t in state["tensors"]]
        assert all(map(torch.equal, state["tensors"], found["tensors"]))
        assert found["tensors"][3].is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(found["generator"], state["generator"])
        assert found["tuple"][0] == 1
        assert found["tuple"][1][1].tolist() == [0, 1, 2]
        assert math.copysign(1, found["plain"][-1]) == -1

    def test_nan_stays(self, tmp_path):
        tensor_files.save_tensors(tmp_path / "state", {"a": math.nan, "b": torch.tensor([math.nan, -math.inf])})
        found = tensor_files.load_tensors(tmp_path / "state")
        assert math.isnan(found["a"])
        assert found["b"].isnan().tolist() == [True, False]

    def test_a_damaged_file_is_told(self, tmp_path):
        """Whichever bit flips, and wherever the file ends: ValueError, or the state is what it was."""
        _, optimizer = trained("SWA", range(8))
        state, file = optimizer.state_dict(), tmp_path / "state"
        tensor_files.save_tensors(file, state)
        whole, draws, refused = file.read_bytes(), np.random.default_rng(0), 0
        cases = [whole[:length] for length in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1)]
        cases += [b"garbage" * 100, b"\xff" * 500]
        for place in [*range(0, 12), *draws.choice(len(whole), 150, replace=False)]:
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(draws.integers(8))
            cases.append(bytes(flipped))
        for case in cases:
            file.write_bytes(case)
            try:
                assert alike(tensor_files.load_tensors(file), state)
            except ValueError:
                refused += 1
        assert refused >= len(cases) - 3

    def test_another_safetensors_file_is_refused(self, tmp_path):
        from safetensors.torch import save_file

        for metadata in (None, {}, {"outline": "[]"}, {"outline": "[]", "crc32": "0"}):
            save_file({"a": torch.zeros(2)}, tmp_path / "state", metadata)
            with pytest.raises(ValueError, match=r"^[^\n]+$"):
                tensor_files.load_tensors(tmp_path / "state")

    def test_nothing_is_pickled(self, tmp_path, monkeypatch):
        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("pickled")

        for owner, names in ((pickle, ("load", "loads", "dump", "dumps")), (torch, ("load", "save"))):
            for name in names:
                monkeypatch.setattr(owner, name, refuse)
        tensor_files.save_tensors(tmp_path / "state", {"a": [torch.ones(2), 3]})
        assert tensor_files.load_tensors(tmp_path / "state")["a"][1] == 3
        size = int.from_bytes((tmp_path / "state").read_bytes()[:8], "little")
        assert json.loads((tmp_path / "state").read_bytes()[8 : 8 + size])["__metadata__"]["outline"]
