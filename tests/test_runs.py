"""From a spec to a file: specs and profiles, the digits task, trajectories, the store and the engine."""

import contextlib
import hashlib
import itertools
import json
import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats
import torch
from helpers import closure_on
from sklearn.datasets import load_digits
from torch import nn

from popview.common.errors import UsageError
from popview.common.folders import RESULTS
from popview.common.seeds import stream
from popview.optimizers import hyperparameters, make
from popview.runs import costs, loop, profiles, specs, status, store, training
from popview.runs.expansion import expand
from popview.runs.profiles import settings
from popview.runs.specs import RunSpec
from popview.tasks.digits import Digits
from popview.tasks.problem import Problem
from popview.tasks.setup import TASKS

COLUMNS = [
    *["seed", "step", "epoch", "gradient_evaluations", "loss_evaluations", "train_loss", "validation_loss"],
    *["validation_metric", "test_loss", "test_metric", "seconds"],
]
HOP = {"tau": 5, "rho": 0.1, "epsilon": 0.0}
#: Every algorithm of the profiles with settings under which it does what it is named for, within 20 steps.
ALGORITHMS: dict[str, dict[str, Any]] = {
    "SGD": {},
    "NiG-SGD": {"rho": 0.1},
    "NiM-SGD": {"rho": 0.1, "tau": 4, "epsilon": math.inf},
    "SAM": {"rho": 0.05},
    "NiG-BH": HOP,
    "NiM-BH": HOP,
    "NiG-MBH": HOP,
    "NiM-MBH": HOP,
    "AdamW": {},
    "SWA": {"average_from": 6, "average_every": 2},
    "SGLD": {"temperature": 1e-5},
}
GOLDEN = RunSpec(
    task="digits",
    profile="smoke",
    algorithm="NiM-SGD",
    variant="base",
    seed=4,
    restarts=2,
    epochs=3,
    checkpoints=5,
    hyperparameters={"lr": 0.05, "epsilon": math.inf, "tau": 20},
    model={"hidden": 8},
)


def spec_of(algorithm: str, **changes: Any) -> RunSpec:
    """Return a spec that runs in a moment: three restarts, one epoch of 20 steps, 11 checkpoints."""
    own = {"lr": 0.05, **ALGORITHMS.get(algorithm, {}), **changes.pop("hyperparameters", {})}
    base = RunSpec("digits", "smoke", algorithm, "base", 0, 3, 1, 11, own, {"hidden": 16, "batch_size": 50})
    return replace(base, **changes)


def rows(table: pa.Table) -> pd.DataFrame:
    return table.drop_columns(["seconds"]).to_pandas()


def facts(table: pa.Table) -> dict[str, Any]:
    """Return a table's metadata without times."""
    return {k: v for k, v in json.loads(table.schema.metadata[b"popview"]).items() if k != "seconds"}


# ---------------------------------------------------------------- specs


class TestDigest:
    def test_golden(self):
        """Whoever changes this makes every stored result count as missing."""
        assert GOLDEN.canonical == (
            '{"algorithm":"NiM-SGD","checkpoints":5,"epochs":3,"hyperparameters":{"epsilon":Infinity,"lr":0.05,"tau":20},'
            '"model":{"hidden":8},"profile":"smoke","restarts":2,"revisions":{"algorithm":1,"task":1},"seed":4,'
            '"task":"digits","variant":"base"}'
        )
        assert GOLDEN.digest == "81b6f3cccff01763"  # sha256sum of the above, cut to 16
        assert GOLDEN.digest == hashlib.sha256(GOLDEN.canonical.encode()).hexdigest()[:16]

    @pytest.mark.parametrize("field", [f.name for f in fields(RunSpec)])
    def test_changes_with_every_field(self, field):
        value = getattr(GOLDEN, field)
        other = {**value, "lr": 0.06} if isinstance(value, dict) else value + ("x" if isinstance(value, str) else 1)
        assert replace(GOLDEN, **{field: other}).digest != GOLDEN.digest

    @pytest.mark.parametrize("name", ["digits", "NiM-SGD"])
    def test_changes_with_a_revision(self, name, monkeypatch):
        monkeypatch.setattr(specs, "REVISIONS", {name: 2})
        assert GOLDEN.digest != "81b6f3cccff01763"
        monkeypatch.setattr(specs, "REVISIONS", {name: 1, "SAM": 9, "cifar10": 3})
        assert GOLDEN.digest == "81b6f3cccff01763"

    def test_does_not_change_with_the_order_of_a_dict(self):
        turned = dict(reversed(GOLDEN.hyperparameters.items()))
        assert list(turned) != list(GOLDEN.hyperparameters)
        assert replace(GOLDEN, hyperparameters=turned).digest == GOLDEN.digest

    def test_seeds(self):
        assert list(GOLDEN.seeds) == [4, 5]


class TestExpand:
    @pytest.mark.parametrize(("restarts", "stacks"), [(1, 1), (49, 1), (50, 1), (51, 2), (100, 2), (None, 2), (101, 3)])
    def test_stacks_cover_the_restarts(self, restarts, stacks):
        found = expand("laptop", "digits", restarts=restarts, algorithms=("SAM", "SGD"))
        assert [s.algorithm for s in found] == ["SAM"] * stacks + ["SGD"] * stacks
        seeds = [seed for s in found[:stacks] for seed in s.seeds]
        assert seeds == list(range(50 * stacks))
        assert len({s.digest for s in found}) == len(found)

    @pytest.mark.parametrize("profile", ["smoke", "laptop", "paper"])
    def test_every_algorithm_of_a_profile_can_be_made(self, profile):
        for task in profiles.tasks(profile):
            found = expand(profile, task)
            assert {s.algorithm for s in found} == set(settings(profile, task)["algorithms"])
            for s in found:
                assert set(s.hyperparameters) <= set(hyperparameters(s.algorithm))
                make(s.algorithm, [nn.Parameter(torch.zeros(3))], **s.hyperparameters)

    def test_cifar100_has_the_settings_of_cifar10_on_a_laptop(self):
        tables = [settings("laptop", task) for task in ("cifar10", "cifar100")]
        assert tables[0] == tables[1]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('[a]\nlike = "b"\n[b]\nlike = "a"', "a in profile tiny is like itself: a → b → a"),
            (
                '[a]\nlike = "digit"\n[digits]\nstack = 1',
                "unknown table that a in profile tiny is like 'digit': did you",
            ),
        ],
    )
    def test_a_table_like_none(self, text, message, tmp_path):
        (tmp_path / "tiny.toml").write_text(text)
        with pytest.raises(UsageError, match=message):
            profiles.tables("tiny", tmp_path)

    def test_a_table_like_another(self, tmp_path):
        text = "[a]\nx = 1\n[a.base]\nlr = 1\n[a.base.SAM]\nrho = 2\n"
        (tmp_path / "tiny.toml").write_text(text + '[b]\nlike = "a"\n[b.base]\nlr = 3\n[b.base.SAM]\ntau = 4\n')
        expected = {"x": 1, "base": {"lr": 3, "SAM": {"rho": 2, "tau": 4}}}
        assert profiles.tables("tiny", tmp_path) == {"a": {"x": 1, "base": {"lr": 1, "SAM": {"rho": 2}}}, "b": expected}

    def test_the_paper_s_scale_has_the_laptop_s_hyperparameters(self):
        """But for lengths in steps, and two rates of AdamW that say so."""
        for task in profiles.tasks("paper"):
            few, many = (settings(profile, task)["base"] for profile in ("laptop", "paper"))
            for name in ("tau", "average_from", "average_every"):
                for own in [*few.values(), *many.values()]:
                    if isinstance(own, dict):
                        own.pop(name, None)
            differing = {name for name in few.keys() | many.keys() if few.get(name) != many.get(name)}
            assert differing == ({"AdamW"} if task in ("goemotions", "tweeteval") else set())

    def test_common_hyperparameters_are_merged_unless_refused(self):
        base = {s.algorithm: s.hyperparameters for s in expand("laptop", "digits", restarts=1)}
        assert base["SGD"] == {"lr": 0.05, "momentum": 0.9}
        assert base["SAM"] == {"lr": 0.05, "momentum": 0.9, "rho": 0.05}
        assert base["AdamW"] == {"lr": 0.001, "weight_decay": 0.01}

    def test_changes_reach_the_specs(self):
        (plain,), (changed,) = (
            expand("smoke", "digits", algorithms=("NiG-BH",), **more) for more in ({}, {"epochs": 7, "checkpoints": 3})
        )
        assert (changed.epochs, changed.checkpoints) == (7, 3)
        assert changed == replace(plain, epochs=7, checkpoints=3)

    @pytest.mark.parametrize(
        ("arguments", "changes", "message"),
        [
            (("laptopp", "digits"), {}, "unknown profile 'laptopp': did you mean 'laptop'"),
            (("smoke", "digit"), {}, "unknown task of profile smoke 'digit': did you mean 'digits'"),
            (("smoke", "digits"), {"algorithms": ("SMA",)}, "unknown algorithm of digits .* 'SMA': did you mean"),
            (("smoke", "digits"), {"epoch": 3}, "unknown change 'epoch': did you mean 'epochs'"),
            (("smoke", "digits"), {"restarts": 0}, "restarts must be a whole number, 1 or above, got 0"),
            (("smoke", "digits"), {"epochs": 0}, "epochs must be a whole number, 1 or above, got 0"),
            (("smoke", "digits"), {"checkpoints": 1}, "checkpoints must be a whole number, 2 or above, got 1"),
        ],
    )
    def test_mistakes_are_named(self, arguments, changes, message):
        with pytest.raises(UsageError, match=message):
            expand(*arguments, **changes)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("[digits]\nstck = 4\nbase = {}", "unknown key of digits in profile odd 'stck': did you mean 'stack'"),
            ('[digits]\nalgorithms = ["SAM"]\n[digits.base.SMA]\nrho = 1', "'SMA': did you mean 'SAM'"),
        ],
    )
    def test_unknown_keys_of_a_profile_are_refused(self, line, message, tmp_path, monkeypatch):
        (tmp_path / "odd.toml").write_text(line)
        monkeypatch.setattr(profiles, "FOLDER", tmp_path)
        with pytest.raises(UsageError, match=message):
            settings("odd", "digits")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("stack = 4", "stack = 0", "stack of digits in profile odd must be a whole number, 1 or above, got 0"),
            ("stack = 4", "stack = -4", "stack of digits .* got -4"),
            ("stack = 4", "stack = '4'", "stack of digits .* got '4'"),
            ("restarts = 4", "restarts = '4'", "restarts of digits .* got '4'"),
            ("restarts = 4", "restarts = true", "restarts of digits .* got True"),
            ("epochs = 2", "epochs = 2.5", "epochs of digits .* got 2.5"),
            ("checkpoints = 13", "checkpoints = 1", "checkpoints of digits .* 2 or above, got 1"),
            ("margin = 0.005", "margin = 0", "margin of digits in profile odd must be a number above 0, got 0"),
            ("hidden = 32", "hidden = '32'", "hidden of digits .* got '32'"),
            ("hidden = 32", "hidden = [32, 0]", "hidden of digits .* got 0"),
            ("batch_size = 50", "batch_size = 0", "batch_size of digits .* got 0"),
            ("batch_size = 50", "batch_size = 2000", "batch_size is 2000, above the 1000 rows of the train split"),
            ("model = {", "model = 3 # {", "model of digits in profile odd must be a table, got 3"),
            ("model = {", "model = { network = 5,", "network of digits in profile odd must be a name, got 5"),
            ("model = {", 'model = { curvature = "no",', "curvature of digits .* must be true or false, got 'no'"),
            ("lr = 0.05", "lr = -0.05", "SGD on digits in profile odd: lr must be .* -0.05"),
            (
                'algorithms = ["SGD"]',
                'algorithms = "SGD"',
                "algorithms of digits .* must be a list of names, got 'SGD'",
            ),
        ],
    )
    def test_wrong_values_of_a_profile_are_refused(self, old, new, message, tmp_path, monkeypatch):
        text = """
            [digits]
            restarts = 4
            stack = 4
            epochs = 2
            checkpoints = 13
            margin = 0.005
            algorithms = ["SGD"]
            model = { hidden = 32, batch_size = 50 }
            [digits.base]
            lr = 0.05
        """
        assert old in text
        (tmp_path / "odd.toml").write_text(text.replace(old, new))
        monkeypatch.setattr(profiles, "FOLDER", tmp_path)
        with pytest.raises(UsageError, match=message):
            costs.cost_table(expand("odd", "digits"), root=tmp_path)
        with pytest.raises(UsageError, match=message):
            training.train_table(*expand("odd", "digits"))


# ---------------------------------------------------------------- the digits task


def images_of(problem: Digits, restart: int, split: str) -> list[int]:
    """Return which of scikit-learn's images a split holds, found by their pixels (no two images are equal)."""
    data = load_digits()
    place = {image.tobytes(): i for i, image in enumerate((data.data / 16).astype(np.float32))}
    images, labels = problem._splits[split]
    found = [place[image.numpy().tobytes()] for image in images[restart]]
    assert labels[restart].tolist() == data.target[found].tolist()
    return found


class TestDigits:
    def test_splits_are_disjoint_and_complete(self):
        problem = Digits(range(3), hidden=4)
        for restart in range(3):
            parts = [images_of(problem, restart, split) for split in ("train", "validation", "test")]
            assert [len(p) for p in parts] == [1000, 200, 597]
            assert sorted(itertools.chain(*parts)) == list(range(1797))

    def test_the_test_split_is_the_same_for_all_and_the_others_are_the_seed_s(self):
        problem, later = Digits(range(3), hidden=4), Digits([2, 70], hidden=4)
        assert images_of(problem, 0, "test") == images_of(problem, 2, "test") == images_of(later, 1, "test")
        validation = [
            set(images_of(p, i, "validation")) for p, i in ((problem, 0), (problem, 1), (problem, 2), (later, 1))
        ]
        assert images_of(problem, 2, "train") == images_of(later, 0, "train")
        for i in range(4):
            for j in range(i):  # 200 of 1,200 twice: 33 in common, give or take
                assert 10 < len(validation[i] & validation[j]) < 60

    def test_minibatches_are_a_new_permutation_in_every_epoch(self):
        problem = Digits([5, 6], hidden=4, batch_size=100)
        orders = []
        for epoch in (0, 1):
            batches = [images for images, _ in problem.minibatches(epoch)]
            assert len(batches) == problem.steps_per_epoch == 10
            orders.append(torch.cat(batches, dim=1))
            for restart in range(2):
                seen = sorted(image.numpy().tobytes() for image in orders[-1][restart])
                assert seen == sorted(image.numpy().tobytes() for image in problem._splits["train"][0][restart])
        assert not torch.equal(orders[0], orders[1])
        again = torch.cat([images for images, _ in Digits([6], hidden=9, batch_size=100).minibatches(1)], dim=1)
        assert torch.equal(again[0], orders[1][1])

    def test_what_does_not_fill_a_batch_is_left_out(self):
        problem = Digits([0], hidden=4, batch_size=300)
        assert [len(labels[0]) for _, labels in problem.minibatches(0)] == [300] * 3
        assert problem.steps_per_epoch == 3

    def test_initial_parameters_are_distributed_as_those_of_linear_layers(self):
        mine = Digits(range(40), hidden=32).parameters
        layers = nn.Linear(64, 32), nn.Linear(32, 10)
        theirs = [t for layer in layers for t in (layer.weight.T, layer.bias.unsqueeze(0))]
        for parameter, like, inputs in zip(mine, theirs, (64, 64, 32, 32), strict=True):
            assert parameter.shape == (40, *like.shape)
            bound = inputs**-0.5
            values = parameter.detach().double().flatten().numpy()
            assert np.abs(values).max() <= bound
            assert float(like.detach().abs().max()) <= bound
            assert scipy.stats.kstest(values / bound / 2 + 0.5, "uniform").pvalue > 1e-3

    def test_loss_and_metric_are_those_of_a_plain_network(self):
        problem = Digits([3, 4], hidden=16)
        for restart in range(2):
            network = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
            for p, values in zip(network.parameters(), (0, 1, 2, 3), strict=True):
                p.data = problem.parameters[values].detach()[restart].T.squeeze(-1)
            for split in ("train", "validation", "test"):
                images, labels = (part[restart] for part in problem._splits[split])
                logits = network(images)
                losses, metrics = problem.evaluate(split)
                assert losses[restart].item() == pytest.approx(
                    nn.functional.cross_entropy(logits, labels).item(), abs=1e-5
                )
                assert metrics[restart].item() == pytest.approx(
                    (logits.argmax(1) == labels).double().mean().item(), abs=1e-9
                )

    @pytest.mark.parametrize("algorithm", ["SGD", "SAM", "NiM-MBH"])
    def test_a_stack_equals_restarts_one_by_one(self, algorithm):
        options = {"lr": 0.1, **ALGORITHMS[algorithm]}
        if "rho" in options and algorithm != "SAM":
            options["rho"] = 0.0  # the noise is the stack's own

        def train(seeds: list[int]) -> list[torch.Tensor]:
            problem = Digits(seeds, hidden=16)
            optimizer = make(algorithm, problem.parameters, population=True, **options)
            for _, minibatch in zip(range(12), problem.minibatches(0), strict=False):
                closure = closure_on(optimizer, lambda minibatch=minibatch: problem.loss(minibatch))

                optimizer.step(closure, lambda: problem.evaluate("train")[0])
            return [p.detach() for p in problem.parameters]

        stacked = train([0, 7, 8])
        for i, seed in enumerate([0, 7, 8]):
            for together, alone in zip(stacked, train([seed]), strict=True):
                torch.testing.assert_close(together[i], alone[0], rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- trajectories


class Valley(Problem):
    """f(w) = k w² / 2 for each restart: with η k > 2 it diverges, by the factor 1 − η k a step."""

    steps_per_epoch = 10

    def __init__(self, seeds: range, *, curvatures: list[float]) -> None:
        self.k = torch.tensor(curvatures)
        self.parameters = [nn.Parameter(torch.full((len(seeds), 1), 1e10))]

    def minibatches(self, epoch: int) -> Iterator[None]:
        yield from [None] * 10

    def loss(self, minibatch: None) -> torch.Tensor:
        return self.k * self.parameters[0].squeeze(1) ** 2 / 2

    def logits(self, split: str) -> torch.Tensor:
        return self.parameters[0].detach().view(-1, 1, 1)

    def score(self, split: str, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.k * logits.view(-1) ** 2 / 2, torch.zeros(len(self.k))

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        return logits

    def metric(self, split: str, probabilities: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(self.k))

    def sample_loss(self) -> torch.Tensor:
        return self.loss(None)

    def input_losses(self) -> tuple[Any, torch.Tensor]:
        return lambda inputs: inputs.squeeze(2) ** 2, torch.ones(len(self.k), 3, 1)


@pytest.fixture(scope="module")
def trajectories() -> dict[str, pa.Table]:
    return {algorithm: training.train_table(spec_of(algorithm)) for algorithm in ALGORITHMS}


class TestTrajectory:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_rows(self, trajectories, algorithm):
        table = trajectories[algorithm]
        assert table.column_names == COLUMNS
        frame = table.to_pandas()
        assert len(frame) == 3 * 11
        assert np.isfinite(frame.to_numpy(dtype=float)).all()
        for seed, restart in frame.groupby("seed"):
            assert seed in (0, 1, 2)
            assert restart["step"].tolist() == list(range(0, 21, 2))
            assert restart["epoch"].tolist() == [step / 20 for step in range(0, 21, 2)]
            for counter in ("gradient_evaluations", "loss_evaluations", "seconds"):
                assert restart[counter].is_monotonic_increasing
            assert restart["test_metric"].between(0, 1).all()

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_gradient_evaluations_are_what_the_algorithm_pays(self, trajectories, algorithm):
        frame = trajectories[algorithm].to_pandas()
        expected = {
            "SAM": 2 * frame["step"],
            "NiM-SGD": frame["step"] + (frame["step"] - 4).clip(lower=0),  # it fires at every step after the fourth
        }.get(algorithm, frame["step"])
        assert (frame["gradient_evaluations"] == expected).all()
        hops = (frame["step"] // 5 - 1).clip(lower=0) if "MBH" in algorithm else 0
        assert (frame["loss_evaluations"] == 2 * hops).all()

    def test_they_start_alike(self, trajectories):
        starts = [rows(table).query("step == 0").reset_index(drop=True) for table in trajectories.values()]
        for start in starts[1:]:
            pd.testing.assert_frame_equal(start, starts[0], check_exact=True)
        assert starts[0]["train_loss"].nunique() == 3
        assert starts[0]["train_loss"].between(2.2, 2.5).all()  # about ln 10

    @pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a != "SGD"])
    def test_and_end_apart(self, trajectories, algorithm):
        ends = [rows(trajectories[a]).query("step == 20")["train_loss"].to_numpy() for a in ("SGD", algorithm)]
        assert (ends[0] != ends[1]).all()
        assert (ends[1] < 2.3).all()

    @pytest.mark.parametrize("algorithm", ["SGD", "NiG-SGD", "NiM-MBH", "SWA"])
    def test_the_same_spec_gives_the_same_rows(self, trajectories, algorithm):
        again = training.train_table(spec_of(algorithm))
        pd.testing.assert_frame_equal(rows(again), rows(trajectories[algorithm]), check_exact=True)
        assert facts(again) == facts(trajectories[algorithm])

    def test_the_seed_is_the_restart_s(self, trajectories):
        """Restart 1 of a stack from 0 is restart 0 of a stack from 1 (to rounding, without noise)."""
        shifted = rows(training.train_table(spec_of("SGD", seed=1, restarts=2)))
        same = rows(trajectories["SGD"]).query("seed >= 1").reset_index(drop=True)
        pd.testing.assert_frame_equal(shifted, same, rtol=1e-3, atol=1e-4)

    def test_checkpoints_are_spread_over_the_epochs(self):
        steps = training.train_table(spec_of("SGD", epochs=5, checkpoints=51)).to_pandas()["step"]
        assert sorted(set(steps)) == list(range(0, 101, 2))
        assert len(steps) == 3 * 51
        few = training.train_table(spec_of("SGD", checkpoints=2)).to_pandas()["step"]
        assert sorted(set(few)) == [0, 20]

    def test_checkpoints_do_not_disturb_the_run(self, trajectories):
        for algorithm in ("NiM-MBH", "SWA", "NiG-SGD"):
            sparse = rows(training.train_table(spec_of(algorithm, checkpoints=2)))
            dense = rows(trajectories[algorithm]).query("step in (0, 20)").reset_index(drop=True)
            pd.testing.assert_frame_equal(sparse, dense, check_exact=True)

    def test_metadata(self, trajectories):
        for algorithm, table in trajectories.items():
            spec, told = spec_of(algorithm), facts(table)
            assert told["digest"] == spec.digest
            assert told["spec"] == json.loads(spec.canonical)
            assert told["diverged"] == [False] * 3
            fired = {"NiG-SGD": 20, "NiM-SGD": 16, "SGLD": 20}.get(algorithm, 3 if "BH" in algorithm else 0)
            assert told["noise_triggers"] == [fired] * 3
            assert told["hops_tried"] == [3 if "BH" in algorithm else 0] * 3
            assert told["processor"]
            assert told["versions"]["torch"] in torch.__version__
            if "MBH" in algorithm:
                assert all(0 <= hops <= 3 for hops in told["hops_accepted"])

    def test_monotonic_hopping_checkpoints_show_what_would_be_returned(self, trajectories):
        """In mid-hop that is the incumbent: the training loss never rises from the end of the first search on."""
        for algorithm in ("NiG-MBH", "NiM-MBH"):
            for _, restart in trajectories[algorithm].to_pandas().groupby("seed"):
                late = restart.query("step >= 6")["train_loss"]
                assert late.is_monotonic_decreasing


class TestWiring:
    """What `run` hands to an optimizer."""

    def test_noise_has_the_stack_s_own_stream(self, monkeypatch):
        seeds = []

        def watched(*arguments: Any, seed: int, **options: Any) -> Any:
            seeds.append(seed)
            return make(*arguments, seed=seed, **options)

        monkeypatch.setattr(loop, "make", watched)
        for seed in (0, 3):
            training.train_table(spec_of("NiG-SGD", seed=seed, checkpoints=2))
        assert seeds == [stream(0, "noise"), stream(3, "noise")]

    @pytest.mark.parametrize(("task", "accepted"), [("valley", [7, 7]), ("plain", [0, 0])])
    def test_hops_are_accepted_by_the_loss_on_the_whole_training_split(self, monkeypatch, task, accepted):
        class Plain(Valley):
            def score(self, split: str, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                return torch.ones(2), torch.zeros(2)  # what minibatches see goes down, this does not

        monkeypatch.setitem(TASKS, "valley", Valley)
        monkeypatch.setitem(TASKS, "plain", Plain)
        own = {"lr": 0.1, "rho": 0.0, "tau": 5, "epsilon": 0.0}
        table = training.train_table(
            RunSpec(task, "smoke", "NiM-MBH", "base", 0, 2, 4, 2, own, {"curvatures": [1.0, 2.0]})
        )
        assert facts(table)["hops_tried"] == [7, 7]
        assert facts(table)["hops_accepted"] == accepted


class TestDivergence:
    def test_one_restart_may_diverge_alone(self, monkeypatch):
        monkeypatch.setitem(TASKS, "valley", Valley)
        spec = RunSpec("valley", "smoke", "SGD", "base", 5, 3, 4, 21, {"lr": 1.0}, {"curvatures": [0.5, 10.0, 1.0]})
        table = training.train_table(spec)
        frame, told = table.to_pandas(), facts(table)
        assert told["diverged"] == [False, True, False]
        lost = frame.query("seed == 6")
        assert np.isfinite(lost["train_loss"].to_numpy()[:-1]).all()
        assert not np.isfinite(lost["train_loss"].to_numpy()[-1])
        assert lost["step"].tolist() == list(range(0, 41, 2))[: len(lost)]
        # (−9)^t · 1e10, squared, passes the largest float32 (3.4e38) in the tenth step
        assert lost["step"].max() == 10
        kept = frame.query("seed != 6")
        assert kept["step"].tolist() == [step for step in range(0, 41, 2) for _ in (5, 7)]
        assert np.isfinite(kept["train_loss"]).all()

    def test_a_run_ends_when_all_have(self, monkeypatch):
        monkeypatch.setitem(TASKS, "valley", Valley)
        spec = RunSpec("valley", "smoke", "SGD", "base", 0, 2, 4, 41, {"lr": 1.0}, {"curvatures": [9.0, 10.0]})
        table = training.train_table(spec)
        assert facts(table)["diverged"] == [True, True]
        assert table.to_pandas()["step"].max() == 10

    @pytest.mark.parametrize("algorithm", ["SGD", "SAM", "AdamW", "SWA", "NiM-BH"])
    def test_a_huge_step_is_called_diverged(self, algorithm):
        """Of a perceptron all units die instead: the loss stays finite, in the millions, where 2.3 is chance."""
        table = training.train_table(spec_of(algorithm, hyperparameters={"lr": 1e6}, epochs=2))
        frame = table.to_pandas()
        assert facts(table)["diverged"] == [True] * 3
        for _, restart in frame.groupby("seed"):
            assert np.isfinite(restart["train_loss"].to_numpy()[:-1]).all()
            assert restart["step"].iloc[0] == 0

    def test_a_poor_run_is_not(self):
        assert facts(training.train_table(spec_of("SGD", hyperparameters={"lr": 1e-6})))["diverged"] == [False] * 3


# ---------------------------------------------------------------- the store


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return training.train_table(spec_of("SGD"))


def damaged_files(file: Path, table: pa.Table) -> dict[str, bytes]:
    """Ways in which a file can be wrong."""
    whole = file.read_bytes()
    flipped, losses = bytearray(whole), pq.read_metadata(file).row_group(0).column(5)
    flipped[losses.dictionary_page_offset + losses.total_compressed_size - 1] ^= 0x10  # of a value, and not of a header
    without = table.replace_schema_metadata(None)
    odd = {
        "no metadata": without,
        "metadata that is no JSON": without.replace_schema_metadata({"popview": "{"}),
        "metadata that is a list": without.replace_schema_metadata({"popview": "[]"}),
        "metadata without a digest": without.replace_schema_metadata({"popview": "{}"}),
    }
    written = {}
    for name, other in odd.items():
        sink = pa.BufferOutputStream()
        pq.write_table(other, sink)
        written[name] = sink.getvalue().to_pybytes()
    return {
        "empty": b"",
        "garbage": b"\x00garbage" * 100,
        "truncated": whole[: len(whole) // 2],
        "its last byte missing": whole[:-1],
        "one bit flipped": bytes(flipped),
        **written,
    }


DAMAGES = (
    "empty",
    "garbage",
    "truncated",
    "its last byte missing",
    "one bit flipped",
    "no metadata",
    "metadata that is no JSON",
    "metadata that is a list",
    "metadata without a digest",
)


class TestStore:
    def test_round_trip(self, table, tmp_path):
        spec = spec_of("SGD")
        file = store.save(spec, table, tmp_path)
        assert file == tmp_path / "optimizers" / "smoke" / "digits" / "SGD" / f"base-0-{spec.digest}.parquet"
        assert [p.name for p in file.parent.iterdir()] == [file.name]
        loaded = store.load(spec, tmp_path)
        assert loaded.equals(table)
        assert loaded.schema.metadata == table.schema.metadata
        assert store.metadata(spec, tmp_path) == json.loads(table.schema.metadata[b"popview"])
        assert file.stat().st_mode & 0o777 == 0o644

    def test_missing_keeps_the_order(self, table, tmp_path):
        wanted = [spec_of("SGD", seed=seed) for seed in (6, 3, 0)]
        assert store.missing(wanted, tmp_path) == wanted
        store.save(wanted[2], table, tmp_path)  # seed 0 is the spec of the table
        assert store.missing(wanted, tmp_path) == wanted[:2]

    def test_a_trajectory_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(UsageError, match=r"no trajectory of SGD on digits, seed 0, .*popview run --profile smoke"):
            store.load(spec_of("SGD"), tmp_path)

    @pytest.mark.parametrize(
        "error", [RuntimeError("power cut"), KeyboardInterrupt(), OSError(28, "No space left on device")]
    )
    def test_a_crash_while_writing_leaves_nothing(self, table, tmp_path, monkeypatch, error):
        def half(_: pa.Table, part: Any, **options: Any) -> None:
            part.write(b"PAR1 half a file")
            part.flush()
            raise error

        monkeypatch.setattr(pq, "write_table", half)
        with pytest.raises(UsageError if isinstance(error, OSError) else type(error)) as raised:
            store.save(spec_of("SGD"), table, tmp_path)
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
        if isinstance(error, OSError):
            assert str(raised.value).startswith("cannot write ")
            assert str(raised.value).endswith(": No space left on device")

    def test_the_file_is_whole_when_it_gets_its_name(self, table, tmp_path, monkeypatch):
        """Nothing may be left in a buffer at the moment of the rename."""
        sizes, replace_ = [], os.replace

        def watched(source: str, target: Path) -> None:
            sizes.append(Path(source).stat().st_size)
            assert pq.read_table(source).equals(table)
            replace_(source, target)

        monkeypatch.setattr(os, "replace", watched)
        file = store.save(spec_of("SGD"), table, tmp_path)
        assert sizes == [file.stat().st_size]

    @pytest.mark.parametrize("place", ["mkdir", "temporary file", "rename"])
    def test_a_folder_that_cannot_be_written_is_one_line(self, table, tmp_path, monkeypatch, place):
        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(13, "Permission denied")

        owner, name = {
            "mkdir": (Path, "mkdir"),
            "temporary file": (tempfile, "NamedTemporaryFile"),
            "rename": (os, "replace"),
        }[place]
        monkeypatch.setattr(owner, name, refuse)
        with pytest.raises(UsageError, match=r"^cannot write .*SGD.*\.parquet: Permission denied$") as raised:
            store.save(spec_of("SGD"), table, tmp_path)
        assert "\n" not in str(raised.value)
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == []

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_damaged_file_is_named_and_set_aside(self, table, tmp_path, capsys, damage):
        spec = spec_of("SGD")
        file = store.save(spec, table, tmp_path)
        contents = damaged_files(file, table)
        assert tuple(contents) == DAMAGES
        file.write_bytes(contents[damage])
        with pytest.raises(UsageError, match="is damaged"):
            store.load(spec, tmp_path)
        assert store.missing([spec], tmp_path) == [spec]
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert f"popview: {file.name} is damaged (" in told
        assert "set aside as" in told
        assert not file.exists()
        assert file.with_suffix(".damaged").read_bytes() == contents[damage]

    @pytest.mark.parametrize(
        "error", [OSError(24, "Too many open files"), pa.ArrowMemoryError("short"), PermissionError(13, "denied")]
    )
    def test_what_the_system_cannot_read_now_is_not_damaged(self, table, tmp_path, monkeypatch, error):
        spec = spec_of("SGD")
        file = store.save(spec, table, tmp_path)

        def refuse(*_: Any, **__: Any) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(store.pq, "ParquetFile", refuse)
            for ask in (lambda: store.missing([spec], tmp_path), lambda: store.load(spec, tmp_path)):
                with pytest.raises(UsageError, match=r"\.parquet cannot be read: "):
                    ask()
        assert file.exists()
        assert store.missing([spec], tmp_path) == []

    def test_a_file_of_another_spec_is_set_aside(self, table, tmp_path, capsys):
        other = spec_of("SGD", seed=9)
        store.save(spec_of("SGD"), table, tmp_path).rename(store.path(other, tmp_path))
        assert store.missing([other], tmp_path) == [other]
        assert "it holds another spec" in capsys.readouterr().err

    def test_a_damaged_file_that_cannot_be_set_aside_is_one_line(self, table, tmp_path, monkeypatch):
        file = store.save(spec_of("SGD"), table, tmp_path)
        file.write_bytes(b"")

        def refuse(*_: Any) -> None:
            raise PermissionError(30, "Read-only file system")

        monkeypatch.setattr(Path, "rename", refuse)
        with pytest.raises(UsageError, match=r"is damaged \(.*\) and cannot be set aside: Read-only file system$"):
            store.missing([spec_of("SGD")], tmp_path)

    def test_flipped_bits_do_not_pass_for_results(self, table, tmp_path):
        """Of 300 files with one bit wrong, those that still read as this spec's hold what it held, but for a few."""
        spec = spec_of("SGD")
        file = store.save(spec, table, tmp_path)
        whole, rng, wrong = file.read_bytes(), np.random.default_rng(0), 0
        for place in rng.choice(len(whole), 300, replace=False):
            broken = bytearray(whole)
            broken[place] ^= 1 << int(rng.integers(8))
            file.write_bytes(broken)
            with contextlib.suppress(UsageError, UnicodeDecodeError):  # the latter from the name of a column
                wrong += not store.load(spec, tmp_path).equals(table, check_metadata=True)
        assert wrong <= 6

    def test_metadata_are_protected(self, table, tmp_path):
        spec = spec_of("SGD")
        file = store.save(spec, table, tmp_path)
        sealed = pq.read_table(file)
        changed = {k: v.replace(b'"diverged": [false', b'"diverged": [true') for k, v in sealed.schema.metadata.items()}
        assert changed != sealed.schema.metadata
        pq.write_table(sealed.replace_schema_metadata(changed), file)
        with pytest.raises(UsageError, match=r"is damaged \(its seal is not that of its rows, columns and metadata\)"):
            store.load(spec, tmp_path)
        assert status.status([spec], tmp_path) == [status.State("damaged")]  # of `popview status`
        renamed = sealed.rename_columns([name.replace("seconds", "sekonds") for name in sealed.column_names])
        pq.write_table(renamed.replace_schema_metadata(sealed.schema.metadata), file)
        with pytest.raises(UsageError, match=r"is damaged \(its seal is not that of its rows, columns and metadata\)"):
            store.load(spec, tmp_path)
        pq.write_table(table, file)
        with pytest.raises(UsageError, match=r"is damaged \(it has no seal\)"):
            store.load(spec, tmp_path)
        pq.write_table(sealed, file)
        assert store.load(spec, tmp_path).equals(table, check_metadata=True)

    def test_what_ships_is_whole(self):
        """With the results in the repository no chapter has anything to compute."""
        for spec in expand("laptop", "digits"):
            found = store.load(spec)
            assert sorted(set(found["seed"].to_pylist())) == list(spec.seeds)
            steps = found["step"].to_numpy().reshape(-1, spec.restarts)
            assert (steps == np.arange(0, 2001, 40)[:, None]).all() or any(store.metadata(spec)["diverged"])
        assert RESULTS.is_dir()
