"""Dropout, BatchNorm, label smoothing and corrupted images of digits: against torch's modules, and by hand."""

import hashlib
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import closure_on
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestCentroid
from test_runs import facts, rows, spec_of
from torch import nn

from popview.common.errors import UsageError
from popview.common.seeds import generator
from popview.optimizers import make
from popview.populations.tables import wanted
from popview.runs import loop, store, training
from popview.tasks import corruptions
from popview.tasks.catalogue import RECORDS
from popview.tasks.digits import CORRUPTIONS, Digits, _rows, corrupted_digits, unseen_by_pixels
from popview.tasks.problem import Problem

GOLDEN = Path(__file__).parent / "golden"
ALL = {"hidden": [6, 5], "dropout": 0.4, "batch_norm": True, "label_smoothing": 0.1}


class Kept(nn.Module):
    """What dropout has drawn, one minibatch after another."""

    def __init__(self) -> None:
        super().__init__()
        self.now = torch.ones(())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.now if self.training else x


def torchs(task: Digits, member: int) -> nn.Sequential:
    """Return a member as a network of torch's own modules."""
    weights, layers = [p[member].detach() for p in task.parameters], []
    sizes = [64, *task.hidden, 10]
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        linear = nn.Linear(inputs, outputs)
        linear.weight.data, linear.bias.data = weights[2 * place].T.clone(), weights[2 * place + 1][0].clone()
        layers += [linear, nn.BatchNorm1d(outputs), nn.ReLU(), Kept()] if place < len(task.hidden) else [linear]
    return nn.Sequential(*layers)


def losses_of(task: Digits, steps: int, algorithm: str = "SGD") -> list[torch.Tensor]:
    """Train for some steps; return the losses of each."""
    optimizer = make(algorithm, task.parameters, buffers=task.buffers, lr=0.1, momentum=0.9, population=True)
    found = []
    for minibatch in islice(task.minibatches(0), steps):
        closure = closure_on(optimizer, lambda minibatch=minibatch: task.loss(minibatch))

        found.append(optimizer.step(closure))
    return found


class TestAgainstTorch:
    def test_training_is_that_of_torchs_modules(self):
        """Linear, BatchNorm1d, ReLU, a mask; cross-entropy with smoothed labels; ten steps of SGD with momentum."""
        task, member = Digits([0, 7], **ALL), 1
        network, minibatches = torchs(task, member), list(islice(task.minibatches(0), 10))
        descent = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        expected = []
        for images, labels, kept in minibatches:
            for module, mask in zip([m for m in network if isinstance(m, Kept)], kept, strict=True):
                module.now = mask[member]
            descent.zero_grad()
            loss = nn.functional.cross_entropy(network(images[member]), labels[member], label_smoothing=0.1)
            loss.backward()
            descent.step()
            expected.append(loss.item())
        assert [loss[member].item() for loss in losses_of(task, 10)] == pytest.approx(expected, rel=1e-4)
        network.eval()
        images, labels = task._splits["test"]
        with torch.no_grad():
            logits = network(images[member])
        assert torch.allclose(task.logits("test")[member], logits, rtol=1e-3, atol=1e-4)
        plain = nn.functional.cross_entropy(logits, labels[member])
        assert task.evaluate("test")[0][member].item() == pytest.approx(plain.item(), rel=1e-4)

    def test_statistics_are_recomputed_from_all_training_images(self):
        task = Digits([3], **ALL)
        losses_of(task, 5)
        network = torchs(task, 0)
        for module in network:
            if isinstance(module, nn.BatchNorm1d):
                module.momentum = 1.0  # the last minibatch alone
        with torch.no_grad():
            for module in [m for m in network if isinstance(m, Kept)]:
                module.now = torch.ones(())
            for place, norm in enumerate(m for m in network if isinstance(m, nn.BatchNorm1d)):
                scale, shift = task.parameters[6 + 2 * place : 8 + 2 * place]
                norm.weight.copy_(scale[0, 0])
                norm.bias.copy_(shift[0, 0])
            network(task._splits["train"][0][0])
        task.recompute_statistics()
        wanted = [t for m in network if isinstance(m, nn.BatchNorm1d) for t in (m.running_mean, m.running_var)]
        for own, torchs_ in zip(task.buffers, wanted, strict=True):
            assert torch.allclose(own[0, 0], torchs_, rtol=1e-4, atol=1e-5)


class TestDropout:
    def test_a_member_is_what_it_is_alone(self):
        """What is drawn bit for bit; parameters to rounding: processors sum stacks of one and of two differently."""
        both, alone = Digits([0, 7], **ALL), Digits([7], **ALL)
        for ours, theirs in zip(both.minibatches(0), alone.minibatches(0), strict=True):
            for stacked, single in zip([*ours[:2], *ours[2]], [*theirs[:2], *theirs[2]], strict=True):
                assert torch.equal(stacked[1:], single)
        for task in (both, alone):
            losses_of(task, 5, "SAM")
        for ours, theirs in zip([*both.parameters, *both.buffers], [*alone.parameters, *alone.buffers], strict=True):
            assert torch.allclose(ours[1:], theirs, rtol=1e-5, atol=1e-6)

    def test_switches_off_its_share_and_scales_the_rest(self):
        masks = torch.cat([kept[0].flatten() for _, _, kept in Digits(range(9), dropout=0.3).minibatches(0)])
        assert masks.unique().tolist() == pytest.approx([0, 1 / 0.7])
        share = (masks == 0).double().mean().item()
        assert abs(share - 0.3) < 5 * np.sqrt(0.3 * 0.7 / len(masks))

    def test_draws_nothing_that_the_order_draws(self):
        plain, dropped = (Digits([4], dropout=share).minibatches(2) for share in (0.0, 0.5))
        for (images, labels), (same, labels_too, _) in zip(plain, dropped, strict=True):
            assert torch.equal(images, same)
            assert torch.equal(labels, labels_too)

    def test_sam_meets_one_mask_at_both_points(self):
        """At ρ = 0 it is SGD, so that its second pass is the first one again."""
        sam, sgd = Digits([0], dropout=0.5, batch_norm=True), Digits([0], dropout=0.5, batch_norm=True)
        optimizer = make("SAM", sam.parameters, buffers=sam.buffers, lr=0.1, rho=0.0, population=True)
        minibatch = next(sam.minibatches(0))

        closure = closure_on(optimizer, lambda: sam.loss(minibatch))

        optimizer.step(closure)
        descent = torch.optim.SGD(sgd.parameters, lr=0.1)
        sgd.loss(next(sgd.minibatches(0))).sum().backward()
        descent.step()
        for ours, theirs in zip([*sam.parameters, *sam.buffers], [*sgd.parameters, *sgd.buffers], strict=True):
            assert torch.equal(ours, theirs)

    def test_an_interrupted_run_goes_on_as_if_it_had_not_been(self, tmp_path):
        spec = spec_of("SGD", model={"batch_size": 50} | ALL)
        whole = rows(training.train_table(spec))
        file = tmp_path / "half"

        class Killed(Exception):
            pass

        def kill(problem, *rest):
            training_write(problem, *rest)
            raise Killed

        training_write, loop._write = loop._write, kill
        try:
            with pytest.raises(Killed):
                training.compute(spec, file, every=0.0)
        finally:
            loop._write = training_write
        resumed = training.compute(spec, file)[-1].table
        assert rows(resumed).equals(whole)


class TestCorrupted:
    def test_is_the_accuracy_on_corrupted_test_images(self):
        task = Digits([0, 1])
        losses_of(task, 20)
        found = task.corrupted()
        digits = load_digits()
        order = torch.randperm(1797, generator=generator(0, "digits"))[:597].numpy()
        pixels = np.rint(digits.images[order] * 255 / 16).astype(np.uint8)[..., None]
        shown = corruptions.corrupt_images(pixels, "blur", 4, 0).reshape(597, 64).astype(np.float32) / 255
        first, bias, second, last = (p.detach().numpy() for p in task.parameters)
        logits = np.maximum(shown @ first + bias, 0) @ second + last
        wanted = (logits.argmax(-1) == digits.target[order]).mean(1)
        assert found["blur"][3].tolist() == pytest.approx(wanted, abs=0.002)  # a tie may turn on rounding
        assert torch.equal(found["clean"][0], task.evaluate("test")[1])
        assert list(found) == ["clean", *CORRUPTIONS]
        assert [len(values) for values in found.values()] == [1, 5, 5, 5, 5]
        assert [len(values) for values in task.corrupted(whole=True).values()] == [1, 3, 3, 3, 3]

    @pytest.mark.parametrize("name", CORRUPTIONS)
    def test_severity_lowers_the_mean_signal_to_noise_ratio(self, name):
        clean = Digits([0])._splits["test"][0][0]
        errors = [(corrupted_digits(name, severity) - clean).square().mean(1) for severity in corruptions.SEVERITIES]
        ratios = [(-10 * error.clamp(min=1e-6).log10()).mean().item() for error in errors]
        assert ratios == sorted(ratios, reverse=True)

    def test_is_all_that_files_gain(self, monkeypatch):
        """Rows, digest and the rest of the metadata of a run stay as they were before there were corruptions."""
        spec = spec_of("SGD")
        now = training.train_table(spec)
        monkeypatch.setattr(Digits, "corrupted", Problem.corrupted)
        before = training.train_table(spec)
        assert rows(now).equals(rows(before))
        told, earlier = facts(now), facts(before)
        assert told.pop("corrupted").keys() == {"clean", *CORRUPTIONS}
        assert earlier.pop("corrupted") == {}
        assert told == earlier

    def test_shipped_files_gained_them_and_kept_their_rows(self):
        """Base files were computed anew for these: all columns but the clock's are those of before, bit for bit."""
        before = dict(line.split() for line in (GOLDEN / "digits-base-rows.txt").read_text().splitlines())
        specs = wanted("laptop", "digits", "base")
        assert {store.stem_of(spec) for spec in specs} == set(before)
        for spec in specs:
            table, digest = store.load(spec), hashlib.sha256()
            for name in sorted({*table.column_names} - {"seconds"}):
                digest.update(name.encode() + table[name].to_numpy().tobytes())
            assert digest.hexdigest() == before[store.stem_of(spec)], store.stem_of(spec)
            found = store.metadata(spec)["corrupted"]
            assert found.keys() == {"clean", *CORRUPTIONS}
            assert all(np.shape(found[name]) == (5, 50) for name in CORRUPTIONS)


class TestFewerClasses:
    """Trained and scored are the images of the first classes; the others are told apart by scikit-learn, too."""

    @pytest.mark.parametrize("settings", [{}, {"shared": True}, {"fixed_validation": True}])
    def test_splits_are_of_the_first_classes_alone(self, settings):
        task, whole = Digits([0, 1], classes=4, **settings), Digits([0, 1], **settings)
        for split in ("train", "validation", "test"):
            labels = task._splits[split][1]
            assert set(labels.unique().tolist()) == {0, 1, 2, 3}
            share = len(labels[0]) / len(whole._splits[split][1][0])
            assert share == pytest.approx(0.4, abs=0.02)
        seen = {tuple(row) for row in task._splits["train"][0][0].tolist()}
        assert not seen & {tuple(row) for row in task._splits["validation"][0][0].tolist()}
        known = Digits.sizes(RECORDS["digits"], {"classes": 4} | settings)
        assert [len(task.logits(split)[0]) for split in ("train", "test")] == [known.train, known.test]
        assert len(task.corrupted()["noise"][0]) == 2

    def test_images_of_the_first_classes_are_scored_corrupted_as_they_are_clean(self):
        task = Digits([3], classes=2)
        shown = corrupted_digits("blur", 1)[_rows(2)[0]]
        right = task._logits(shown[None]).argmax(-1)[0] == task._splits["test"][1][0]
        assert task.corrupted()["blur"][0].item() == pytest.approx(right.double().mean().item())

    def test_losses_under_corruption_by_torchs_own_modules(self):
        task = Digits([3, 4], classes=5)
        losses_of(task, 5)
        found, labels = task.corrupted_losses(), task._splits["test"][1][0]
        assert list(found) == list(CORRUPTIONS)
        shown = corrupted_digits("noise", 4)[_rows(5)[0]]
        for member in range(2):
            wanted = nn.functional.cross_entropy(torchs(task, member).eval()(shown), labels)
            assert found["noise"][3][member].item() == pytest.approx(wanted.item(), rel=1e-5)

    @pytest.mark.filterwarnings("ignore:self.within_class_std_dev_", "ignore:invalid value encountered")
    def test_unseen_classes_by_the_nearest_mean_activation(self):
        task = Digits([0, 5], hidden=[9, 7], classes=6)
        losses_of(task, 10)
        digits = load_digits()
        order = torch.randperm(1797, generator=generator(0, "digits")).numpy()
        images, labels = digits.data[order].astype(np.float32) / 16, digits.target[order]
        test, rest = (
            np.flatnonzero((labels >= 6) & where) for where in (np.arange(1797) < 597, np.arange(1797) >= 597)
        )
        for member in range(2):
            embed = torchs(task, member)[:-1].eval()
            with torch.no_grad():
                known, tested = (embed(torch.from_numpy(images[rows])).numpy() for rows in (rest, test))
            right = NearestCentroid().fit(known, labels[rest]).score(tested, labels[test])
            assert task.unseen()[member].item() == pytest.approx(right, abs=1.1 / len(test))
        pixels = NearestCentroid().fit(images[rest], labels[rest]).score(images[test], labels[test])
        assert unseen_by_pixels(6) == pytest.approx(pixels, abs=1.1 / len(test))

    def test_all_ten_leave_none_unseen(self):
        assert Digits([0]).unseen() is None
        assert "unseen" not in facts(training.compute(spec_of("SGD", epochs=1, checkpoints=2))[0].table)

    @pytest.mark.parametrize("classes", [1, 11])
    def test_of_one_class_or_of_eleven(self, classes):
        with pytest.raises(UsageError, match=f"classes of digits must be 2 to 10, got {classes}"):
            Digits([0], classes=classes)
