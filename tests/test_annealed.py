"""The annealed variant: schedules, noise that stops, a grid searched in two rounds, what its files keep."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import helpers
import numpy as np
import pytest
import tiny
import torch
from helpers import closure_of
from sklearn.metrics import average_precision_score, f1_score, log_loss
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from popview import cli
from popview.common.errors import UsageError
from popview.optimizers import make
from popview.runs import annealed, costs, expansion, profiles, store, training
from popview.runs import search as tuning
from popview.runs.final_measures import KEPT
from popview.runs.schedules import scheduler
from popview.runs.specs import RunSpec
from popview.tasks import scores
from popview.tasks.digits import Digits
from popview.tasks.supervised import draw_fixed

PROFILE = """
[digits]
restarts = 4
stack = 2
epochs = 2
checkpoints = 5
margin = 0.01
algorithms = ["SGD", "SAM", "NiM-BH", "NiG-SGD", "SWA"]
model = { hidden = 8, batch_size = 50 }

[digits.base]
lr = 0.05

[digits.annealed]
epochs = 6
checkpoints = 7
restarts = 4
algorithms = ["SGD", "SAM", "NiM-BH", "NiG-SGD", "SWA"]
model = { fixed_validation = true }

[digits.annealed.base]
lr = 0.1
momentum = 0.9

[digits.annealed.base.NiM-BH]
rho = 0.1
tau_epochs = 1.5
noise_until_epochs = 4.5

[digits.annealed.base.NiG-SGD]
rho = 0.1

[digits.annealed.base.SWA]
average_from_epochs = 3
average_every_epochs = 1

[digits.annealed.grid]
SGD = { lr = [0.01, 0.1, 1.0], weight_decay = [0.0, 0.001] }
SAM = { lr = [0.1, 0.3, 1.0], rho = [0.01, 0.1] }

[digits.annealed.arms.equal-epochs]
algorithms = ["SAM"]
epochs = 6
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of a profile "tiny", and of no other."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "tiny.toml").write_text(PROFILE)
    monkeypatch.setattr(profiles, "FOLDER", tmp_path / "profiles")
    return tmp_path / "profiles"


def choose(folder: Path, **chosen: int) -> None:
    """Write that searches have chosen these cells."""
    (folder.parent / "searches").mkdir(exist_ok=True)
    entries = {
        name: {"of": annealed.AnnealedPlan("tiny", "digits").record_of(name), "finalists": [0, 1, 2], "chosen": place}
        for name, place in chosen.items()
    }
    (folder.parent / "searches" / "tiny-annealed.json").write_text(json.dumps({"digits": entries}))


def expanded(variant: str, algorithm: str, **changes: Any) -> list[RunSpec]:
    return expansion.expand("tiny", "digits", variant=variant, algorithms=(algorithm,), **changes)


# ---------------------------------------------------------------- schedules


class TestSchedules:
    @pytest.mark.parametrize("steps", [1, 3, 20, 39, 780])
    def test_the_rates_of_torch_s_own_schedulers(self, steps):
        """A linear warm-up, then one cosine to zero, each as torch has it."""
        warm = max(1, round(0.05 * steps))
        w = helpers.point([1.0, 1.0])
        ours, theirs = (torch.optim.SGD([w], lr=0.4) for _ in range(2))
        mine = scheduler("annealed", ours, steps)
        rise = (
            LinearLR(theirs, 1 / warm, total_iters=max(1, warm - 1)) if warm > 1 else LinearLR(theirs, 1, total_iters=1)
        )
        fall = CosineAnnealingLR(theirs, max(1, steps - warm))
        reference = SequentialLR(theirs, [rise, fall], [warm])
        for _ in range(steps):
            assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
            for optimizer, schedule in ((ours, mine), (theirs, reference)):
                optimizer.step()
                schedule.step()
        if steps > 1:
            assert ours.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)

    def test_goes_on_where_it_was(self):
        def rates(breaks: set[int]) -> list[float]:
            w = helpers.point([1.0, 1.0])
            optimizer = make("SGD", [w], lr=0.3)
            schedule, found = scheduler("annealed", optimizer, 40), []
            for step in range(40):
                if step in breaks:
                    state = optimizer.state_dict()
                    optimizer = make("SGD", [w], lr=0.3)
                    optimizer.load_state_dict(state)
                    schedule = scheduler("annealed", optimizer, 40, taken=step)
                found.append(optimizer.param_groups[0]["lr"])
                optimizer.step(closure_of(helpers.bowl_2d, w))
                schedule.step()
            return found

        assert rates({1, 2, 17, 39}) == rates(set())

    def test_constant_is_none(self):
        optimizer = make("SGD", [helpers.point([0.0])])
        assert scheduler("constant", optimizer, 10) is None
        with pytest.raises(UsageError, match=r"unknown schedule 'anealed': did you mean 'annealed'"):
            scheduler("anealed", optimizer, 10)


class TestNoiseThatStops:
    def path(self, algorithm: str, steps: int, **options: Any) -> tuple[list[torch.Tensor], Any]:
        w = helpers.point([1.5, 0.9])
        optimizer = make(algorithm, [w], lr=0.01, momentum=0.9, seed=3, **options)
        found = []
        for _ in range(steps):
            optimizer.step(closure_of(helpers.six_hump, w))
            found.append(w.detach().clone())
        return found, optimizer

    @pytest.mark.parametrize("algorithm", ["NiG-BH", "NiM-BH", "NiG-MBH", "NiM-MBH"])
    def test_the_hops_before_are_the_same(self, algorithm):
        hop = {"rho": 0.5, "tau": 10, "epsilon": 0.0}
        whole, endless = self.path(algorithm, 60, **hop)
        cut, stopped = self.path(algorithm, 60, **hop, noise_until=30)
        assert endless.hops_tried == 5
        assert stopped.hops_tried == 3  # those that start after 10, 20 and 30 steps
        assert stopped.noise_triggers == 3
        assert all(map(torch.equal, whole[:40], cut[:40]))
        assert not torch.equal(whole[40], cut[40])

    @pytest.mark.parametrize("algorithm", ["NiG-BH", "NiM-BH"])
    def test_the_rest_is_one_local_search(self, algorithm):
        """From the end of the last hop, with its momentum, plain SGD gives the same points."""
        found, optimizer = self.path(algorithm, 25, rho=0.5, tau=10, epsilon=0.0, noise_until=10)
        w = helpers.point(found[19])
        v = (found[18] - found[19]) / 0.01
        for step in range(20, 25):
            closure_of(helpers.six_hump, w)()
            v = 0.9 * v + w.grad
            w = helpers.point(w.detach() - 0.01 * v)
            torch.testing.assert_close(w.detach(), found[step], rtol=1e-12, atol=1e-12)
        assert optimizer.hops_tried == 1

    def test_the_last_search_is_what_a_run_returns(self):
        """Of Monotonic Basin Hopping too, which in mid-hop returns its incumbent."""
        found, optimizer = self.path("NiM-MBH", 25, rho=0.5, tau=10, epsilon=0.0, noise_until=10)
        w = optimizer.param_groups[0]["params"][0]
        with optimizer.solution():
            assert torch.equal(w.detach(), found[-1])

    def test_members_stop_alike(self):
        """Each member of a population, at whatever place in its hop, gives what the single run gives."""
        starts, until, noise = helpers.starts(4), 25, {"rho": 0.3, "tau": 9, "epsilon": 0.8}

        def moved(points: torch.Tensor, population: bool) -> torch.Tensor:
            w = helpers.point(points)
            zetas = lambda models, generator: [torch.full_like(t, 0.5) for t in models]  # noqa: E731
            optimizer = make("NiM-BH", [w], lr=0.01, population=population, noise=zetas, noise_until=until, **noise)
            for _ in range(60):
                optimizer.step(closure_of(helpers.six_hump, w))
            return w.detach()

        together = moved(starts, True)
        assert torch.equal(together, torch.stack([moved(start, False) for start in starts]))

    def test_of_nim_sgd(self):
        always = {"rho": 0.1, "tau": 5, "epsilon": math.inf}
        _, optimizer = self.path("NiM-SGD", 30, **always, noise_until=12)
        assert optimizer.noise_triggers == 8  # at steps 6 to 13
        _, endless = self.path("NiM-SGD", 30, **always)
        assert endless.noise_triggers == 25

    @pytest.mark.parametrize("value", [-1, math.nan, "late"])
    def test_refused(self, value):
        with pytest.raises((TypeError, ValueError), match="noise_until must be"):
            make("NiM-BH", [helpers.point([0.0])], noise_until=value)


# ---------------------------------------------------------------- specs


class TestSpecs:
    def test_cells(self, folder):
        found = expanded("cell", "SGD")
        assert [(s.hyperparameters["lr"], s.hyperparameters["weight_decay"]) for s in found] == [
            *[(0.01, 0.0), (0.01, 0.001), (0.1, 0.0), (0.1, 0.001), (1.0, 0.0), (1.0, 0.001)]
        ]
        assert {(s.seed, s.epochs, s.checkpoints, s.schedule, s.restarts) for s in found} == {
            (10_000, 2, 2, "annealed", 2)
        }
        assert all(s.model == {"hidden": 8, "batch_size": 50, "fixed_validation": True} for s in found)
        assert len({s.digest for s in found}) == 6

    def test_equal_gradients(self, folder):
        """SAM takes two gradients a step: half the epochs, but in the arm of equal epochs."""
        choose(folder, SGD=3, SAM=2)
        ends = {("annealed", "SGD"): 6, ("annealed", "SAM"): 3, ("equal-epochs", "SAM"): 6}
        for (variant, algorithm), epochs in ends.items():
            assert {s.epochs for s in expanded(variant, algorithm)} == {epochs}
        sam, sgd = (costs.cost(expanded("annealed", name)[0]).gradients for name in ("SAM", "SGD"))
        assert sam == sgd == 2 * 6 * 20

    @pytest.mark.parametrize(("arm", "times"), [("twice", 2), ("five-times", 5), ("ten-times", 10)])
    def test_longer_arms_differ_in_epochs_alone(self, arm, times):
        annealed_ones = expansion.expand("laptop", "digits", variant="annealed", algorithms=("SGD",))
        variant = f"{arm}-as-long"
        longer = [replace(spec, variant=variant, epochs=times * spec.epochs) for spec in annealed_ones]
        assert longer == expansion.expand("laptop", "digits", variant=variant)

    def test_steps_scale_with_the_budget(self, folder):
        choose(folder, SGD=3)
        (whole, _), short = expanded("annealed", "NiM-BH"), expansion.expand("tiny", "digits", variant="annealed")[0]
        assert (whole.hyperparameters["tau"], whole.hyperparameters["noise_until"]) == (30, 90)  # of 120 steps
        (cell,) = annealed.AnnealedPlan("tiny", "digits")._specs("NiM-BH", "cell", [{}], [0])
        assert (cell.epochs, cell.hyperparameters["tau"], cell.hyperparameters["noise_until"]) == (2, 10, 30)
        assert "tau_epochs" not in whole.hyperparameters
        assert "noise_until" not in short.hyperparameters

    def test_fresh_seeds(self, folder):
        choose(folder, SGD=3)
        found = [
            s
            for variant in annealed.AnnealedPlan("tiny", "digits").variants
            for s in expansion.expand("tiny", "digits", variant=variant)
        ]
        searched = {seed for s in found if s.variant in annealed.ROUNDS for seed in s.seeds}
        fresh = {seed for s in found if s.variant not in annealed.ROUNDS for seed in s.seeds}
        base = {seed for s in expansion.expand("tiny", "digits") for seed in s.seeds}
        assert min(fresh) == 100
        assert not fresh & searched
        assert not base & (fresh | searched)

    def test_an_algorithm_without_a_grid_takes_sgd_s_rate(self, folder):
        assert expansion.expand("tiny", "digits", variant="annealed") == []
        choose(folder, SGD=5)
        found = {s.algorithm: s.hyperparameters for s in expansion.expand("tiny", "digits", variant="annealed")}
        assert set(found) == {"SGD", "NiM-BH", "NiG-SGD", "SWA"}  # SAM's search has yet to choose
        assert {own["lr"] for own in found.values()} == {1.0}
        assert found["SGD"]["weight_decay"] == 0.001
        assert expansion.unsearched("tiny", "digits", "annealed", set(found)) == {"SAM": 4}

    def test_swa_rides_on_sgd_at_a_constant_rate(self, folder):
        choose(folder, SGD=3)
        one = expanded("annealed", "SWA")[0]
        assert (one.schedule, one.hyperparameters["average_from"], one.hyperparameters["average_every"]) == (
            "constant",
            60,
            20,
        )
        (beside,) = one.alongside
        assert (beside.algorithm, beside.variant, beside.schedule) == ("SGD", "constant", "constant")
        assert beside in expansion.expand("tiny", "digits", variant="constant")
        assert beside.digest != expanded("annealed", "SGD")[0].digest

    def test_a_search_of_another_grid_is_not_taken(self, folder):
        choose(folder, SGD=3)
        file = folder / "tiny.toml"
        file.write_text(file.read_text().replace("lr = [0.01, 0.1, 1.0]", "lr = [0.01, 0.2, 1.0]"))
        assert expansion.expand("tiny", "digits", variant="annealed") == []

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("checkpoints = 7\n", "", r"\[digits.annealed\] in profile tiny has no checkpoints"),
            ("checkpoints = 7", "checkpoint = 7", "unknown key of .* 'checkpoint': did you mean 'checkpoints'"),
            ("lr = [0.01, 0.1, 1.0]", 'lr = ["ball"]', r"lr in .* must be a number, got 'ball'"),
            ('algorithms = ["SAM"]\nepochs = 6', 'algorithm = ["SAM"]', "unknown key of .*equal-epochs.* 'algorithm'"),
        ],
    )
    def test_a_table_that_is_wrong(self, folder, old, new, message):
        file = folder / "tiny.toml"
        file.write_text(file.read_text().replace(old, new))
        with pytest.raises(UsageError, match=message):
            annealed.AnnealedPlan("tiny", "digits")

    def test_an_unknown_variant(self, folder):
        with pytest.raises(UsageError, match=r"unknown variant 'aneal'.*annealed"):
            expansion.expand("tiny", "digits", variant="aneal")

    def test_schedule_enters_the_digest_only_where_it_is_not_constant(self):
        spec = RunSpec("digits", "smoke", "SGD", "base", 0, 2, 1, 2)
        assert "schedule" not in spec.canonical
        assert '"schedule":"annealed"' in replace(spec, schedule="annealed").canonical


# ---------------------------------------------------------------- splits


class TestFixedValidation:
    @pytest.mark.parametrize("own", [np.arange(0), np.arange(70, 100)])
    def test_no_seed_trains_on_it(self, own):
        drawn = [draw_fixed(100, own, 40, 20, seed) for seed in range(30)]
        first = drawn[0]
        for split in ("validation", "rest"):
            assert all(np.array_equal(d[split], first[split]) for d in drawn)
        held = set(first["validation"]) | set(first["rest"])
        assert all(len(set(d["train"])) == 40 and not held & set(d["train"]) for d in drawn)
        assert len({tuple(d["train"]) for d in drawn}) == 30
        if len(own):
            assert held == set(own)

    def test_too_many(self):
        with pytest.raises(UsageError, match=r"50 training and 40 validation examples wanted, .* has 70 and 30"):
            draw_fixed(100, np.arange(70, 100), 50, 40, 0)

    def test_of_digits(self):
        plain, fixed = Digits([3, 4]), Digits([3, 4], fixed_validation=True)
        images = {split: fixed._splits[split][0] for split in ("train", "validation")}
        assert torch.equal(images["validation"][0], images["validation"][1])
        assert not torch.equal(plain._splits["validation"][0][0], plain._splits["validation"][0][1])
        assert images["train"].shape == (2, 1000, 64)
        together = torch.cat([images["train"][0], images["validation"][0]])
        assert len(together.unique(dim=0)) == len(torch.cat([plain._splits[s][0][0] for s in images]).unique(dim=0))

    def test_of_images(self, tiny_hub):
        model = tiny.IMAGE_MODEL | {"fixed_validation": True}
        from popview.tasks.images import Images

        made = [Images([seed], **model, label=("label",)) for seed in (1, 2)]
        (a, _), (b, _) = (m._samples["validation"] for m in made)
        assert torch.equal(a, b)
        assert len(a) == 40  # evaluated whole, where samples are of 30
        for m in made:
            trained = {bytes(image.numpy()) for image in m._train[0]}
            assert not trained & {bytes(image.numpy()) for image in a}

    def test_of_texts(self, tiny_hub):
        """The data set's own validation rows, of which it has 30, come after its 110 training rows."""
        from popview.tasks.texts import Texts

        model = tiny.TEXT_MODEL | {"fixed_validation": True, "validation": 25}
        made = [Texts([seed], **model, label=("label",), multilabel=False) for seed in (1, 2)]
        assert all(set(m._train) <= set(range(110)) for m in made)
        assert np.array_equal(made[0]._samples["validation"], made[1]._samples["validation"])
        assert set(made[0]._samples["validation"]) <= set(range(110, 140))

    def test_base_rates(self, tiny_hub):
        from popview.tasks.texts import Texts

        model = tiny.TEXT_MODEL | {"data": tiny.MANY, "base_rates": True}
        made = Texts([1], **model, label=("labels",), multilabel=True)
        rates = (made._rest.labels[made._train].sum(0) + 0.5) / (90 + 1)
        torch.testing.assert_close(made.network.classifier.bias.sigmoid(), torch.tensor(rates, dtype=torch.float32))
        plain = Texts([1], **model | {"base_rates": False}, label=("labels",), multilabel=True)
        assert torch.equal(plain.network.classifier.bias, torch.zeros(4))
        assert torch.equal(plain.network.classifier.weight, made.network.classifier.weight)


# ---------------------------------------------------------------- scores


class TestScores:
    draws = np.random.default_rng(5)
    several = draws.random((50, 6))
    many = (draws.random((50, 6)) < 0.3).astype(np.float32)
    single = draws.dirichlet(np.ones(6), size=50)
    classes = draws.integers(0, 6, 50)

    def test_likelihood(self):
        assert scores.negative_log_likelihood(self.single, self.classes) == pytest.approx(
            log_loss(self.classes, self.single, labels=np.arange(6))
        )
        labels = [log_loss(self.many[:, i], self.several[:, i], labels=[0, 1]) for i in range(6)]
        assert scores.negative_log_likelihood(self.several, self.many) == pytest.approx(np.mean(labels))

    @pytest.mark.parametrize("bins", [1, 5, 15])
    def test_calibration_by_loops(self, bins):
        confidence, right = self.single.max(1), self.single.argmax(1) == self.classes
        expected = 0.0
        for i in range(bins):
            inside = (confidence >= i / bins) & ((confidence < (i + 1) / bins) | (i == bins - 1))
            if inside.any():
                expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
        assert scores.calibration_error(self.single, self.classes, bins) == pytest.approx(expected)

    def test_calibrated_by_construction(self):
        p = np.repeat([0.1, 0.4, 0.9], 1000)[:, None]
        labels = np.concatenate([np.arange(1000) < 1000 * q for q in (0.1, 0.4, 0.9)])[:, None].astype(float)
        assert scores.calibration_error(p, labels) == pytest.approx(0, abs=1e-12)

    def test_average_precision_leaves_out_what_does_not_occur(self):
        labels = self.many.copy()
        labels[:, 2] = 0
        kept = [average_precision_score(labels[:, i], self.several[:, i]) for i in (0, 1, 3, 4, 5)]
        assert scores.average_precision(self.several, labels) == pytest.approx(np.mean(kept))

    def test_bytes(self):
        p = np.linspace(0, 1, 100_001)[:, None]
        apart = np.abs(scores.from_bytes(scores.to_bytes(p, False)) - p)
        assert apart.max() < 0.004
        assert apart[p < 0.01].max() < 0.0004
        assert scores.to_bytes(np.array([[np.nan], [-1.0], [2.0]]), False).ravel().tolist() == [0, 0, 255]

    @pytest.mark.parametrize("multilabel", [False, True])
    def test_bytes_keep_predictions(self, multilabel):
        """Of nearly equal classes, of labels near the threshold, and of certain ones."""
        draws = np.random.default_rng(8)
        p = np.concatenate([0.3 + draws.normal(0, 2e-3, (2000, 10)), draws.dirichlet(np.full(10, 0.01), 2000)])
        kept = scores.from_bytes(scores.to_bytes(p, multilabel))
        assert np.array_equal(scores.predictions(kept, multilabel), scores.predictions(p, multilabel))
        assert np.abs(kept - p).max() < 0.012

    def test_disagreement(self):
        predicted = np.array([[0, 1, 2, 3], [0, 1, 2, 0], [1, 1, 2, 0]])
        assert scores.disagreement(predicted) == pytest.approx((1 / 4 + 2 / 4 + 1 / 4) / 3)


# ---------------------------------------------------------------- what files keep


def told(table: Any) -> dict[str, Any]:
    return json.loads(table.schema.metadata[b"popview"])


class TestFiles:
    spec = RunSpec(
        *("digits", "tiny", "NiM-BH", "annealed", 100, 2, 3, 14),
        {"lr": 0.3, "rho": 0.1, "tau": 15, "noise_until": 45},
        {"hidden": 8, "batch_size": 50, "fixed_validation": True},
        "annealed",
    )

    def test_predictions_of_the_last_model(self):
        (found,) = training.compute(self.spec)
        frame = found.table.to_pandas()
        problem = found.best.problem
        labels = problem.test_labels().numpy()
        for i, (_, rows) in enumerate(frame.groupby("seed")):
            assert rows["test_probabilities"].isna().tolist() == [True] * 13 + [False]
            p = scores.from_bytes(rows["test_probabilities"].iloc[-1]).reshape(len(labels), 10)
            assert np.abs(p - problem.whole_test()[0][i].detach().numpy()).max() < 0.012
            assert (p.argmax(1) == labels).mean() == rows["test_metric"].iloc[-1]
            assert told(found.table)["whole_test"]["metric"][i] == rows["test_metric"].iloc[-1]
            assert told(found.table)["whole_test"]["loss"][i] == pytest.approx(rows["test_loss"].iloc[-1], abs=1e-6)

    def test_arms_by_hand(self):
        """The ten models of lowest loss put into the task again, one by one."""
        (found,) = training.compute(self.spec)
        known, problem, best = told(found.table), found.best.problem, found.best
        labels = problem.test_labels().numpy()
        each = []
        for place in range(KEPT):
            for p, models in zip(problem.parameters, best.models, strict=True):
                p.data.copy_(models[place])
            each.append(problem.probabilities(problem.logits("test")).detach().numpy())
        for i in range(2):
            mine = [one[i].astype(float) for one in each]
            assert known["ensemble"]["metric"][i] == pytest.approx((np.mean(mine, 0).argmax(1) == labels).mean())
            assert known["ensemble"]["loss"][i] == pytest.approx(log_loss(labels, np.mean(mine, 0)), abs=1e-5)
            accuracy = np.mean([(p.argmax(1) == labels).mean() for p in mine])
            assert known["kept_models"]["metric"][i] == pytest.approx(accuracy)
            rows = found.table.to_pandas()
            rows = rows[rows["seed"] == 100 + i].reset_index(drop=True)
            chosen = rows["validation_metric"].idxmax()
            assert known["by_validation"]["step"][i] == rows["step"][chosen]
            assert known["by_validation"]["metric"][i] == pytest.approx(rows["test_metric"][chosen])
            assert known["validation"]["loss"][i] == pytest.approx(rows["validation_loss"].iloc[-1], abs=1e-5)

    def test_resumed(self, tmp_path):
        """Interrupted in the middle of the cosine, a run goes on to the same rows and measures."""
        (whole,) = training.compute(self.spec)
        state, steps = tmp_path / "state", 0
        original = training.Record.checkpoint

        def stop(record: Any, step: int, seconds: float) -> None:
            nonlocal steps
            original(record, step, seconds)
            steps += 1
            if steps == 8:
                raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training.Record, "checkpoint", stop)
            with pytest.raises(KeyboardInterrupt):
                training.compute(self.spec, state, every=0.0)
        assert state.is_file()
        (resumed,) = training.compute(self.spec, state)
        drop = ["seconds"]
        assert whole.table.drop_columns(drop).equals(resumed.table.drop_columns(drop))
        known = [{k: v for k, v in told(t.table).items() if k != "seconds"} for t in (whole, resumed)]
        assert known[0] == known[1]

    def test_a_search_keeps_scores_only(self):
        (found,) = training.compute(replace(self.spec, variant="cell"))
        known = told(found.table)
        assert {"whole_test", "validation"} <= set(known)
        assert not {"flatness", "ensemble", "kept", "corrupted", "by_validation"} & set(known)
        assert found.table.column_names == training.COLUMNS

    def test_images_and_texts(self, tiny_hub, monkeypatch):
        """In the data's own order, though texts are evaluated in order of length."""
        from popview.tasks.images import Images
        from popview.tasks.texts import Texts

        for problem, macro in (
            (Images([1], **tiny.IMAGE_MODEL, label=("label",)), False),
            (Texts([1], **tiny.TEXT_MODEL, label=("label",), multilabel=False), True),
            (Texts([1], **tiny.TEXT_MODEL | {"data": tiny.MANY}, label=("labels",), multilabel=True), True),
        ):
            p, labels = problem.whole_test()
            arrays = problem._arrays["test_labels"] if hasattr(problem, "_arrays") else problem._test.labels
            assert np.array_equal(labels.numpy(), arrays)
            assert torch.equal(problem.test_labels(), labels)
            loss, metric = problem.evaluate_whole_test()
            assert problem.metric_of(p, labels).item() == pytest.approx(metric.item())
            assert scores.negative_log_likelihood(p[0].double().numpy(), labels.numpy()) == pytest.approx(
                loss.item(), abs=1e-5
            )
            if macro and labels.dim() == 1:
                expected = f1_score(labels, p[0].argmax(1), labels=range(4), average="macro", zero_division=0)
                assert metric.item() == pytest.approx(expected)
            whole = problem.corrupted(whole=True)
            assert whole["clean"][0].item() == pytest.approx(metric.item())
            assert all(len(values) == 3 for name, values in whole.items() if name != "clean")


# ---------------------------------------------------------------- the search


class TestSearch:
    @pytest.mark.slow
    def test_both_rounds(self, folder, tmp_path, capsys, monkeypatch):
        root = tmp_path / "store"
        found = tuning.anneal("tiny", "digits", ("SGD", "SAM"), root=root, workers=1, quiet=True)
        for algorithm in ("SGD", "SAM"):
            entry, cells = found[algorithm], expanded("cell", algorithm)
            losses = []
            for spec in cells:
                rows = store.load(spec, root).to_pandas()
                losses.append(rows[rows["step"] == rows["step"].max()]["validation_loss"].mean())
            assert entry["scores"]["cell"] == pytest.approx(losses, abs=1e-5)
            assert entry["finalists"] == list(np.argsort(losses, kind="stable")[:3])
            last = expanded("finalist", algorithm)
            ends = [store.metadata(spec, root)["validation"]["loss"] for spec in last]
            assert entry["chosen"] == entry["finalists"][int(np.argmin(np.mean(ends, axis=1)))]
        (spec, *_) = expanded("annealed", "SAM")
        chosen = annealed.AnnealedPlan("tiny", "digits").cells("SAM")[found["SAM"]["chosen"]]
        assert chosen.items() <= spec.hyperparameters.items()
        again = tuning.anneal("tiny", "digits", ("SGD",), root=root, workers=1, quiet=True)
        assert again["SGD"] == found["SGD"]

    def test_the_best_finalist_is_chosen_when_cells_come_out_in_another_order(self, folder, monkeypatch):
        """As on another machine, or where a cell was damaged and computed again."""
        monkeypatch.setattr(tuning.workers, "run", lambda specs, **how: 0)
        plan = annealed.AnnealedPlan("tiny", "digits")
        cells = [spec.hyperparameters for spec in plan.expand("cell", ("SGD",))]
        whole = {0: 0.5, 1: 0.1, 2: 0.3}  # of the three that are finalists in any order

        def scored(spec, root):
            place = cells.index(spec.hyperparameters)
            return whole[place] if spec.variant == "finalist" else first[place]

        monkeypatch.setattr(annealed, "loss_on_validation", scored)
        first = [1.0, 2.0, 3.0, 9.0, 9.0, 9.0]
        assert tuning.anneal("tiny", "digits", ("SGD",))["SGD"]["chosen"] == 1
        first[:3] = [2.0, 1.0, 3.0]
        found = tuning.anneal("tiny", "digits", ("SGD",))["SGD"]
        assert found["chosen"] == 1
        scores = dict(zip(found["finalists"], found["scores"]["finalist"], strict=True))
        assert scores == pytest.approx(whole)
        assert annealed.AnnealedPlan("tiny", "digits").choices["SGD"]["chosen"] == 1

    def test_weight_decay_is_what_sgd_s_search_chose(self):
        """Of algorithms that contain SGD, wherever that search has ended."""
        for task in profiles.tasks("laptop"):
            chosen = annealed.AnnealedPlan("laptop", task).choices.get("SGD", {})
            if "chosen" in chosen:
                decay = annealed.AnnealedPlan("laptop", task).cells("SGD")[chosen["chosen"]]["weight_decay"]
                assert annealed.AnnealedPlan("laptop", task).table["base"]["weight_decay"] == decay

    def test_ties_to_the_setting_nearer_base(self, folder, monkeypatch):
        """Base is lr 0.1; of the cells (0.01, 0.1, 1) × (0, 0.001) the middle ones are nearest."""
        plan = annealed.AnnealedPlan("tiny", "digits")
        assert [round(tuning._distance(plan, "SGD", i), 3) for i in range(6)] == [
            2.303,
            2.303,
            0,
            0,
            2.303,
            2.303,
        ]

    @pytest.mark.parametrize(("lost", "told"), [("cell", "all 6 cells"), ("finalist", "all 3 finalists")])
    def test_diverged_runs_are_never_chosen(self, folder, monkeypatch, lost, told):
        monkeypatch.setattr(tuning.workers, "run", lambda specs, **how: 0)
        monkeypatch.setattr(annealed, "loss_on_validation", lambda spec, root: np.inf if spec.variant == lost else 1.0)
        with pytest.raises(UsageError, match=f"{told} of SGD on digits diverged: lower its grid"):
            tuning.anneal("tiny", "digits", ("SGD",))
        assert "chosen" not in annealed.AnnealedPlan("tiny", "digits").choices.get("SGD", {})

    def test_command_line(self, folder, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(tuning, "RESULTS", tmp_path / "store")
        monkeypatch.setattr(tuning.anneal, "__kwdefaults__", {"root": tmp_path / "store"})
        search = ["tune", "--annealed", "--profile", "tiny", "--task", "digits", "--algorithm"]
        assert cli.main([*search, "SGD", "--workers", "1"]) == 0
        assert "tiny/digits/SGD: lr = " in capsys.readouterr().out
        assert cli.main([*search, "NiM-BH"]) == 2
        assert "unknown algorithm with variant cell" in capsys.readouterr().err
