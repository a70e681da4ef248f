"""A run continued is the run uninterrupted; what rides along, or never leaves SGD's path, is SGD's own run."""

import io
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tiny
import torch
from helpers import closure_on
from test_runs import ALGORITHMS, spec_of
from torch.optim.swa_utils import AveragedModel, update_bn

from popview.common import tensor_files
from popview.common.errors import UsageError
from popview.common.seeds import stream
from popview.optimizers import make
from popview.runs import loop, store, training
from popview.runs.specs import RunSpec
from popview.tasks.digits import Digits
from popview.tasks.images import Images
from popview.tasks.problem import Problem
from popview.tasks.setup import set_up
from popview.tasks.texts import Texts

KINDS: dict[str, type[Problem]] = {"digits": Digits, "cifar10": Images, "tweeteval": Texts}
HOP = {"tau": 2, "rho": 0.1, "epsilon": 0.0}
OWN: dict[str, dict[str, Any]] = {
    "SGD": {},
    "SWA": {"average_from": 2, "average_every": 1},
    "SAM": {},
    "NiM-MBH": HOP,
    "AdamW": {"lr": 0.005, "momentum": None},
}
MODELS = {"cifar10": tiny.IMAGE_MODEL, "tweeteval": tiny.TEXT_MODEL}


def small(task: str, algorithm: str, **changes: Any) -> RunSpec:
    """Return a spec of 6 steps (images, with BatchNorm) or 5 (texts, with dropout), 4 checkpoints."""
    given = {"lr": 0.05, "momentum": 0.9, **OWN[algorithm]}
    own = {name: value for name, value in given.items() if value is not None}
    return replace(RunSpec(task, "smoke", algorithm, "base", 2, 1, 1, 4, own, MODELS[task]), **changes)


def told(table: pa.Table) -> dict[str, Any]:
    """Return a table's metadata without times."""
    return {k: v for k, v in json.loads(table.schema.metadata[b"popview"]).items() if k != "seconds"}


def assert_same(found: training.Trajectory, expected: training.Trajectory) -> None:
    """Compare rows, metadata and best models bit for bit; times aside."""
    assert found.spec == expected.spec
    assert found.table.drop_columns(["seconds"]).equals(expected.table.drop_columns(["seconds"]))
    assert told(found.table) == told(expected.table)
    for a, b in zip(found.best.models, expected.best.models, strict=True):
        assert torch.equal(a, b)


@pytest.fixture(autouse=True)
def _every_state_is_written(monkeypatch) -> None:
    """However long the writing of the one before took."""
    monkeypatch.setattr(loop, "SPARING", 0)


@pytest.fixture
def quick(monkeypatch) -> None:
    """Leave out the measures at the end: they need not be repeated for every algorithm."""

    def measures(problem: Problem, start: list[torch.Tensor], *_: Any) -> dict[str, Any]:
        moved = [float((p.detach() - s).double().norm()) for p, s in zip(problem.parameters, start, strict=True)]
        return {"moved": moved, "test": problem.evaluate_whole_test()[0].tolist(), "seconds": {}}

    monkeypatch.setattr(training, "measures", measures)


@contextmanager
def interrupted(kind: type[Problem], after: float, where: str = "loss") -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at the next call of a problem's method after so many; yield a list, an entry a call."""
    method: Callable[..., Any] = getattr(kind, where)
    calls: list[int] = []

    def counting(*given: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return method(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, where, counting)
        yield calls


def check(spec: RunSpec, file: Path, stops: tuple[int, ...], where: str = "loss") -> None:
    """Interrupt a run again and again, each time after so many more calls; compare it with one left alone.

    That it went on, and did not start over to the same end, is seen by what was left for it to do.
    """
    with interrupted(KINDS[spec.task], math.inf, where) as whole:
        expected = training.compute(spec)
    for stop in stops:
        with interrupted(KINDS[spec.task], stop, where), pytest.raises(KeyboardInterrupt):
            training.compute(spec, file, every=0)
        assert file.is_file()
        assert [p.name for p in file.parent.iterdir()] == [file.name]
    told_of = io.StringIO()
    with interrupted(KINDS[spec.task], math.inf, where) as rest, redirect_stderr(told_of):
        found = training.compute(spec, file, every=0)
    assert told_of.getvalue() == ""
    assert len(rest) < len(whole)
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)


@pytest.mark.usefixtures("quick")
class TestResume:
    @pytest.mark.parametrize("algorithm", [*ALGORITHMS, "L-BFGS-GSS"])
    def test_digits(self, algorithm, tmp_path):
        own = {} if algorithm in ("AdamW", "L-BFGS-GSS") else {"momentum": 0.9}
        check(spec_of(algorithm, hyperparameters=own, checkpoints=6), tmp_path / "state", (7, 6))

    @pytest.mark.parametrize(("where", "after"), [("loss", 2), ("loss", 26), ("logits", 10), ("logits", 23)])
    def test_wherever_it_is_interrupted(self, where, after, tmp_path):
        """Between two checkpoints, in another epoch, while one is evaluated, while a hop is."""
        check(spec_of("NiM-MBH", epochs=2, checkpoints=9), tmp_path / "state", (after,), where)

    @pytest.mark.slow
    @pytest.mark.usefixtures("tiny_hub")
    @pytest.mark.parametrize("algorithm", OWN)
    @pytest.mark.parametrize("task", MODELS)
    def test_networks(self, task, algorithm, tmp_path):
        check(small(task, algorithm), tmp_path / "state", (4,))

    @pytest.mark.usefixtures("tiny_hub")
    def test_in_bfloat16_where_the_processor_has_it(self, tmp_path):
        model = tiny.IMAGE_MODEL | {"precision": "bfloat16"}
        check(small("cifar10", "SGD", model=model), tmp_path / "state", (5,))

    @pytest.mark.usefixtures("tiny_hub")
    def test_frozen_layers(self, tmp_path):
        check(small("tweeteval", "SGD", model=tiny.TEXT_MODEL | {"frozen": 1}), tmp_path / "state", (4,))

    def test_a_damaged_state_is_told_and_the_run_starts_over(self, tmp_path, capsys):
        spec, file = spec_of("SAM"), tmp_path / "some.unfinished"
        expected = training.compute(spec)
        with interrupted(Digits, 30), pytest.raises(KeyboardInterrupt):
            training.compute(spec, file, every=0)
        whole = file.read_bytes()
        for broken in (b"", whole[:-1], whole[:2000] + bytes([whole[2000] ^ 4]) + whole[2001:]):
            file.write_bytes(broken)
            assert_same(training.compute(spec, file)[0], expected[0])
            error = capsys.readouterr().err
            assert error.startswith(f"popview: {file} cannot be continued (")
            assert error.endswith("): the run starts over\n")
            assert error.count("\n") == 1

    @pytest.mark.parametrize("changed", ["digest", "precision", "device", "torch", "numpy"])
    def test_a_state_of_something_else_is_told_and_the_run_starts_over(self, tmp_path, capsys, monkeypatch, changed):
        spec, file, maker = spec_of("SAM"), tmp_path / "some.unfinished", loop._maker
        monkeypatch.setattr(loop, "_maker", lambda *given: maker(*given) | {changed: "another"})
        with interrupted(Digits, 30), pytest.raises(KeyboardInterrupt):
            training.compute(spec, file, every=0)
        monkeypatch.setattr(loop, "_maker", maker)
        assert_same(training.compute(spec, file)[0], training.compute(spec)[0])
        error = capsys.readouterr().err
        assert f"some.unfinished cannot be continued ({changed} was another, is " in error
        assert error.count("\n") == 1

    def test_every_processor_is_named(self, tmp_path, monkeypatch):
        """Of a run that two others continue, the second on the first's; of one that was left alone its own."""
        spec, file = spec_of("SGD"), tmp_path / "state"
        for name, stop in (("one", 7), ("another", 7), ("one", math.inf)):
            monkeypatch.setattr(training, "processor", lambda device, name=name: name)
            with interrupted(Digits, stop), suppress(KeyboardInterrupt):
                (found,) = training.compute(spec, file, every=0)
        assert told(found.table)["processor"] == "one, then another"
        assert told(training.compute(spec)[0].table)["processor"] == "one"

    @pytest.mark.parametrize("lacking", ["optimizer", "parameters", "made"])
    def test_a_state_that_does_not_fit_spoils_nothing(self, tmp_path, capsys, lacking):
        spec, file = spec_of("NiG-SGD"), tmp_path / "some.unfinished"
        with interrupted(Digits, 13), pytest.raises(KeyboardInterrupt):
            training.compute(spec, file, every=0)
        state = tensor_files.load_tensors(file)
        if lacking == "parameters":
            state["parameters"][-1] = torch.zeros(7)
        else:
            del state[lacking]
        tensor_files.save_tensors(file, state)
        assert_same(training.compute(spec, file)[0], training.compute(spec)[0])
        assert capsys.readouterr().err.count("\n") == 1

    def test_a_kill_between_two_checkpoints_or_in_the_measures_costs_little(self, tmp_path):
        """20 steps with a checkpoint only at each end: the state of the last step is there, and of the end."""
        spec, file = spec_of("SGD", checkpoints=2), tmp_path / "state"
        with interrupted(Digits, 13), pytest.raises(KeyboardInterrupt):
            training.compute(spec, file, every=0)
        assert tensor_files.load_tensors(file)["step"] == 13
        with interrupted(Digits, 0, "evaluate_whole_test"), pytest.raises(KeyboardInterrupt):
            training.compute(spec, file, every=0)
        assert tensor_files.load_tensors(file)["step"] == 20
        with interrupted(Digits, 0):  # nothing is left to train
            (found,) = training.compute(spec, file)
        assert_same(found, training.compute(spec)[0])

    def test_a_run_that_has_diverged_does_not_go_on_after_an_interrupt(self, tmp_path):
        spec, file = spec_of("SGD", hyperparameters={"lr": 1e30}), tmp_path / "state"
        with interrupted(Digits, 0, "evaluate_whole_test"), pytest.raises(KeyboardInterrupt):
            training.compute(spec, file, every=0)
        with interrupted(Digits, 0):
            (found,) = training.compute(spec, file)
        (expected,) = training.compute(spec)
        assert len(found.table) == len(expected.table) < 33
        assert told(found.table)["gradient_evaluations"] == told(expected.table)["gradient_evaluations"]

    def test_seconds_go_on(self, tmp_path):
        spec, file = spec_of("SGD"), tmp_path / "state"
        with interrupted(Digits, 15), pytest.raises(KeyboardInterrupt):
            training.compute(spec, file, every=0)
        found = training.compute(spec, file)[0].table["seconds"].to_pylist()
        assert found == sorted(found)
        assert found[0] > 0

    def test_nothing_is_written_before_its_time(self, tmp_path):
        training.compute(spec_of("SGD"), tmp_path / "state", every=60)
        assert list(tmp_path.iterdir()) == []

    def test_slow_writing_makes_states_rare(self, tmp_path, monkeypatch):
        """A state that takes a second is not written again before 20 seconds have passed."""
        clock, written = [0.0], []
        monkeypatch.setattr(loop, "SPARING", 20)
        monkeypatch.setattr(loop.time, "perf_counter", lambda: clock[0])

        def write(file: Path, problem: Problem, optimizer: Any, records: Any, step: int, spent: float) -> None:
            clock[0] += 1
            written.append(step)

        steps = loop.train

        def timed(*given: Any) -> Iterator[int]:
            for step in steps(*given):
                clock[0] += 2.5
                yield step

        monkeypatch.setattr(loop, "_write", write)
        monkeypatch.setattr(loop, "train", timed)
        training.compute(spec_of("SGD"), tmp_path / "state", every=5)
        assert written == [1, 9, 17, 20]


# ---------------------------------------------------------------- what is SGD's


class TestAlongside:
    @pytest.mark.usefixtures("tiny_hub")
    def test_the_trajectory_of_sgd_is_its_own(self):
        """With all measures at the end."""
        found = training.compute(small("cifar10", "SWA"))
        (alone,) = training.compute(small("cifar10", "SGD"))
        assert_same(found[0], alone)
        assert [told(made.table)["spec"]["algorithm"] for made in found] == ["SGD", "SWA"]
        assert set(told(alone.table)) > {"whole_test", "flatness", "corrupted", "ensemble", "averaged_weights"}

    @pytest.mark.usefixtures("tiny_hub", "quick")
    def test_of_texts(self):
        beside, _ = training.compute(small("tweeteval", "SWA"))
        (alone,) = training.compute(small("tweeteval", "SGD"))
        assert_same(beside, alone)

    @pytest.mark.usefixtures("tiny_hub", "quick")
    def test_sgd_that_diverges_ends_as_it_ends_alone(self):
        """And the average ends with it: neither offers a model after its end."""
        both = ({"lr": 1e6, **own} for own in ({"average_from": 2, "average_every": 1}, {}))
        beside, alone = (
            small("cifar10", name, hyperparameters=own, epochs=2, checkpoints=7)
            for name, own in zip(("SWA", "SGD"), both, strict=True)
        )
        found, swa = training.compute(beside)
        (expected,) = training.compute(alone)
        rows, of_its_own = (made.table.drop_columns(["seconds"]).to_pandas() for made in (found, expected))
        assert rows.equals(of_its_own)  # NaN equals NaN
        assert json.dumps(told(found.table)) == json.dumps(told(expected.table))
        assert told(expected.table)["diverged"] == told(swa.table)["diverged"] == [True]
        assert told(expected.table)["gradient_evaluations"][0] < 12

    def test_an_average_ends_with_its_restart_in_a_stack_too(self, monkeypatch):
        """SGD's loss of restart 0 is no number once, at step 4; the weights stay what they are."""
        evaluate, calls = Digits.score, []

        def scored(self: Digits, split: str, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            loss, metric = evaluate(self, split, logits)
            calls.append(split)
            if split == "train" and calls.count("train") == 5:  # SGD's and SWA's take turns: the third of SGD
                loss[0] = torch.nan
            return loss, metric

        monkeypatch.setattr(Digits, "score", scored)
        sgd, swa = (made.table for made in training.compute(spec_of("SWA")))
        for table in (sgd, swa):
            rows = table.to_pandas()
            assert rows[rows["seed"] == 0]["step"].tolist() == [0, 2, 4]
            assert rows[rows["seed"] == 1]["step"].max() == 20
            assert told(table)["diverged"] == [True, False, False]

    def test_a_restart_that_has_ended_offers_nothing_more(self, monkeypatch):
        """In a stack the others go on, and so do its weights."""
        spec = spec_of("SGD", checkpoints=21)
        score, calls = Digits.score, []

        def scored(self: Digits, split: str, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            loss, metric = score(self, split, logits)
            calls.append(split)
            if split == "train" and calls.count("train") == 3:
                loss[0] = torch.nan
            return loss, metric

        monkeypatch.setattr(Digits, "score", scored)
        (made,) = training.compute(spec)
        rows = made.table.to_pandas()
        assert rows[rows["seed"] == 0]["step"].tolist() == [0, 1, 2]
        assert set(told(made.table)["kept"][0]) - {None, -1} <= {0, 1}

    def test_of_digits(self):
        beside, _ = training.compute(spec_of("SWA"))
        (alone,) = training.compute(spec_of("SGD"))
        assert_same(beside, alone)

    @pytest.mark.usefixtures("tiny_hub", "quick")
    def test_swa_is_the_mean_of_models_with_its_own_statistics(self):
        """Against torch's AveragedModel along an SGD of ours: 12 steps, averaged after 6, 8, 10 and 12."""
        own = {"lr": 0.05, "momentum": 0.9, "average_from": 4, "average_every": 2}
        spec = small("cifar10", "SWA", epochs=2, checkpoints=6, hyperparameters=own)
        sgd, swa = (found.table.to_pandas() for found in training.compute(spec))
        assert sgd.query("step < 5").equals(swa.query("step < 5").assign(seconds=sgd["seconds"]))
        problem: Any = set_up(spec.task, spec.seeds, spec.model)
        optimizer = make("SGD", problem.parameters, buffers=problem.buffers, lr=0.05, momentum=0.9)
        average, step = None, 0
        for epoch in range(2):
            for minibatch in problem.minibatches(epoch):
                closure = closure_on(optimizer, lambda minibatch=minibatch: problem.loss(minibatch))

                optimizer.step(closure)
                step += 1
                if step >= 6 and step % 2 == 0:
                    average = average or AveragedModel(problem.network)
                    average.update_parameters(problem.network)
        assert average is not None
        update_bn([problem.normalized(problem._train[0])], average)
        problem.network = average.module
        last = swa.iloc[-1]
        for split in ("train", "validation", "test"):
            loss, metric = problem.evaluate(split)
            assert loss.item() == pytest.approx(last[f"{split}_loss"], rel=1e-4)
            if split != "train":
                assert metric.item() == pytest.approx(last[f"{split}_metric"], abs=0.04)
        assert abs(last["train_loss"] - sgd.iloc[-1]["train_loss"]) > 1e-3


class TestSilentNoise:
    """NiM-SGD whose condition never holds is SGD."""

    @pytest.mark.usefixtures("tiny_hub", "quick")
    @pytest.mark.parametrize("task", MODELS)
    def test_rows_are_sgd_s(self, task):
        spec = small(task, "SGD")
        silent = replace(spec, algorithm="NiM-SGD", hyperparameters=spec.hyperparameters | {"epsilon": 0.0, "rho": 5.0})
        (found,), (sgd,) = training.compute(silent), training.compute(spec)
        assert found.table.drop_columns(["seconds"]).equals(sgd.table.drop_columns(["seconds"]))
        assert told(found.table)["noise_triggers"] == [0]
        assert told(found.table)["equals"] == ["SGD"]
        assert told(sgd.table)["equals"] == [None]

    @pytest.mark.usefixtures("quick")
    def test_restart_by_restart(self):
        """With ε among the gradients' norms it fires in some restarts of a stack only."""
        spec = spec_of("SGD", restarts=4, epochs=2, checkpoints=5)
        own = spec.hyperparameters | {"tau": 1, "rho": 0.1, "epsilon": 0.3}
        sgd, table = (training.train_table(s) for s in (spec, replace(spec, algorithm="NiM-SGD", hyperparameters=own)))
        fired, equals = (told(table)[name] for name in ("noise_triggers", "equals"))
        assert 0 < sum(count > 0 for count in fired) < 4
        assert equals == [None if count else "SGD" for count in fired]
        for seed, count in enumerate(fired):
            a, b = (made.drop_columns(["seconds"]).filter(pc.field("seed") == seed) for made in (table, sgd))
            assert a.equals(b) == (count == 0)


# ---------------------------------------------------------------- what a run leaves


@pytest.mark.usefixtures("tiny_hub")
class TestTable:
    def test_probabilities_stand_in_the_last_row(self, tmp_path):
        spec = small("cifar10", "SGD")
        (made,) = training.compute(spec)
        store.save(spec, made.table, tmp_path)
        table = store.load(spec, tmp_path)
        assert table.equals(made.table)
        assert table.schema.field("probabilities").type == pa.list_(pa.float16())
        column = table["probabilities"].to_pylist()
        assert column[:-1] == [None] * 3
        probabilities = torch.tensor(column[-1]).view(40, tiny.CLASSES)
        torch.testing.assert_close(probabilities.sum(1), torch.ones(40), atol=2e-3, rtol=0)
        torch.testing.assert_close(probabilities, made.best.mean_probabilities()[0], atol=5e-4, rtol=0)

    @pytest.mark.usefixtures("quick")
    def test_precision_is_recorded(self, monkeypatch):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        asked = small("cifar10", "SGD", epochs=1, checkpoints=2)
        (exact,) = training.compute(asked)
        (fallen,) = training.compute(replace(asked, model=asked.model | {"precision": "bfloat16"}))
        assert told(fallen.table)["precision"] == "float32"
        assert fallen.table.drop_columns(["seconds"]).equals(exact.table.drop_columns(["seconds"]))

    @pytest.mark.usefixtures("quick")
    def test_all_algorithms_start_alike(self):
        for task in MODELS:
            starts = [
                training.train_table(small(task, name, epochs=1, checkpoints=2)).drop_columns(["seconds"]).slice(0, 1)
                for name in ("SGD", "SAM")
            ]
            assert starts[0].drop_columns(["probabilities"]).equals(starts[1].drop_columns(["probabilities"]))

    @pytest.mark.usefixtures("quick")
    def test_dropout_is_the_step_s(self):
        """What is drawn before the run does not matter, nor does the run for what is drawn after it."""
        spec = small("tweeteval", "SAM", epochs=1, checkpoints=2)
        torch.manual_seed(5)
        first, drawn = training.train_table(spec), torch.rand(3)
        torch.manual_seed(6)
        assert training.train_table(spec).drop_columns(["seconds"]).equals(first.drop_columns(["seconds"]))
        torch.manual_seed(5)
        assert torch.equal(torch.rand(3), drawn)
        problem: Any = set_up(spec.task, spec.seeds, spec.model)
        minibatch = next(problem.minibatches(0))
        losses = []
        for step in (0, 0, 1):
            with torch.random.fork_rng([]):
                torch.manual_seed(stream(spec.seed, f"step/{step}"))
                losses.append(problem.loss(minibatch).item())
        assert losses[0] == losses[1] != losses[2]


class TestMistakes:
    @pytest.mark.parametrize(
        ("own", "message"),
        [
            ({"lr": -1.0}, "^SGD on digits in profile smoke: lr must be above 0, got -1.0$"),
            ({"momentum": "much"}, "^SGD on digits in profile smoke: momentum must be a number"),
            ({"population": False}, "^SGD on digits in profile smoke: .*population"),
        ],
    )
    def test_values_of_hyperparameters(self, own, message):
        with pytest.raises(UsageError, match=message):
            training.train_table(spec_of("SGD", hyperparameters=own))
