"""Tasks on images: decoded once, cropped and flipped, classified by a convolutional network."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from popview.common.errors import UsageError, reason_of
from popview.common.seeds import SOURCES, generator, seed_of, seed_torch, stream
from popview.tasks import array_cache, corruptions, hub, networks
from popview.tasks.catalogue import Task, checksums
from popview.tasks.sizes import Sizes, sample_sizes
from popview.tasks.supervised import (
    Batch,
    Supervised,
    check_labels,
    draw_fixed,
    draw_split,
    one_seed,
    sample_with_every_label,
    steps_of,
    with_missing_labels,
)

EVALUATED_AT_ONCE = 500  # images per forward pass in evaluation
MEASURED = 250  # images for Hessian-vector products, each of which costs several passes, and for input gradients
CORRUPTED = 500  # images of the test sample that are corrupted
STATISTICS = 2000  # training images from which BatchNorm statistics are recomputed


def decoded(data: str, config: str, label: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return the images, uint8 of shape ``(n, height, width, channels)``, and labels of both splits.

    Keys: ``train_images, train_labels, test_images, test_labels``. A data set without a test split (a sample) gives its
    last fifth as one.
    """

    def make() -> dict[str, np.ndarray]:
        rows = hub.load_data(data, config)
        found = {}
        for split in ("train", "test") if "test" in rows else ("train",):
            part = hub.split_of(rows, split)
            pictures, labels = part[hub.column(part, ("img", "image"))], part[hub.column(part, label)]
            try:
                stacked = np.stack([np.atleast_3d(np.asarray(picture)) for picture in pictures])
                if stacked.dtype != np.uint8:
                    raise TypeError(f"pixels are {stacked.dtype}, not uint8")
                found[f"{split}_images"], found[f"{split}_labels"] = stacked, np.asarray(labels, dtype=np.int64)
            except (OSError, TypeError, ValueError) as error:
                where = f"split {split} of data set {data} ({config})"
                raise UsageError(f"cannot decode {where}: {reason_of(error)}") from error
        if "test" not in rows:
            cut = len(found["train_labels"]) * 4 // 5
            for key in ("images", "labels"):
                found[f"test_{key}"], found[f"train_{key}"] = found[f"train_{key}"][cut:], found[f"train_{key}"][:cut]
        return found

    return hub.checked_arrays(hub.name_of(data, config), make, checksums(data, config))


class Images(Supervised):
    """An image classifier, trained by cross-entropy and measured by accuracy.

    Parameters
    ----------
    seeds : sequence of int
        Exactly one.
    data, config : str
        Hub name and configuration of the data set.
    label : tuple of str
        Names that the column of labels may have.
    classes : int
    network : str
        See `popview.tasks.networks.make_network`.
    width : int
        Of a 6n+2 ResNet.
    train, validation : int
        Sizes of the splits drawn by the seed.
    evaluated : int
        Size of the samples of the train and validation splits that are evaluated at checkpoints.
    tested : int
        Size of the sample of the test split, the same for every seed.
    batch_size : int
    augmented : bool
        Whether to pad by 4, crop at random and flip: the usual augmentation of CIFAR.
    shared : bool
        Whether every seed trains on the same images, and draws only those for validation.
    fixed_validation : bool
        Whether the validation split is the same for every seed, outside all that any trains on, and evaluated whole.
    precision : str
        See `Supervised`.
    batch_norm : bool
        Whether a 6n+2 ResNet has BatchNorm.
    dropout : float
        Share of a 6n+2 ResNet's features that is switched off in training; the draws are the step's, the same for every
        algorithm.
    label_smoothing : float
        See `Supervised`.
    compiled : bool
        Whether `torch.compile` fuses the training passes. They round in another order then: other rows, and more images
        a second (benchmarks/README.md says how many). Each process first takes a minute to compile, or seconds where
        torch finds the code in its cache.
    fixed_seeds : mapping of str to int, optional
        See `popview.common.seeds.seed_of`.

    Raises
    ------
    UsageError
        If data or a setting are unfit, or `compiled` finds no C++ compiler.
    """

    _fused: Callable[[Tensor], Tensor] | None = None

    def __init__(
        self,
        seeds: Sequence[int],
        *,
        data: str,
        config: str,
        label: tuple[str, ...],
        classes: int,
        network: str,
        width: int = 16,
        train: int,
        validation: int,
        evaluated: int = 500,
        tested: int = 2000,
        batch_size: int = 128,
        augmented: bool = True,
        shared: bool = False,
        fixed_validation: bool = False,
        precision: str = "bfloat16",
        batch_norm: bool = True,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        compiled: bool = False,
        fixed_seeds: Mapping[str, int] | None = None,
    ) -> None:
        self.batch_size, self.augmented = batch_size, augmented
        self.seeds = {source: seed_of(source, one_seed(seeds), fixed_seeds) for source in SOURCES}
        self.name = hub.name_of(data, config)
        self._arrays = decoded(data, config, label)
        for split in ("train", "test"):
            check_labels(self._arrays[f"{split}_labels"], classes)
        number = len(self._arrays["train_labels"])
        if fixed_validation:
            rows = draw_fixed(number, np.arange(0), train, validation, self.seeds["split"])
        else:
            rows = draw_split(number, train, validation, self.seeds["split"], shared)
        self._train = self._take("train", rows["train"])
        validated = with_missing_labels(self._arrays["train_labels"], rows["validation"], rows["rest"])
        test_order = torch.randperm(len(self._arrays["test_labels"]), generator=generator(0, "test")).numpy()
        sizes = sample_sizes(
            train=train, validation=validation, test=len(test_order), evaluated=evaluated, tested=tested,
            fixed_validation=fixed_validation,
        )  # fmt: skip
        chosen = {
            split: order[sampled(self._arrays[f"{source}_labels"][order], sizes[split])]
            for split, source, order in (
                ("train", "train", rows["train"]),
                ("validation", "train", validated),
                ("test", "test", test_order),
            )
        }
        self._sample_rows = chosen["test"]
        self._samples = {split: self._take("test" if split == "test" else "train", r) for split, r in chosen.items()}
        height, breadth, channels = shape = self._arrays["train_images"].shape[1:]
        statistics = channel_statistics(self._arrays["train_images"])
        self._mean, self._deviation = (values.expand(shape).contiguous() for values in statistics)  # whole rows: fast
        with torch.random.fork_rng([]):
            seed_torch(stream(self.seeds["initialisation"], "initialisation"))
            made = networks.make_network(
                network, (channels, height, breadth), classes, width, batch_norm=batch_norm, dropout=dropout
            )
        options: dict[str, Any] = {"precision": precision, "label_smoothing": label_smoothing}
        super().__init__(made.to(memory_format=torch.channels_last), multilabel=False, macro=False, **options)
        if compiled:
            self._fused = compiled_network(self.network)
        self.steps_per_epoch = steps_of(train, batch_size)

    @classmethod
    def sizes(cls, task: Task, model: Mapping[str, Any]) -> Sizes:
        """Return how many images a run evaluates and measures."""
        known = super().sizes(task, model)
        return known._replace(
            clean=min(CORRUPTED, known.test),
            corruptions=len(corruptions.IMAGE_CORRUPTIONS),
            measured=known.train,
            curved=min(MEASURED, known.train),
            inputs=min(MEASURED, known.test),
            statistics=min(STATISTICS, known.trained),
        )

    def _take(self, split: str, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Copy rows of a split out of the memory map."""
        images, labels = self._arrays[f"{split}_images"], self._arrays[f"{split}_labels"]
        return torch.from_numpy(images[rows]), torch.from_numpy(labels[rows])

    def normalized(self, images: Tensor) -> Tensor:
        """Turn uint8 ``(n, height, width, channels)`` into float32 ``(n, channels, height, width)``, channels last."""
        return ((images / 255 - self._mean) / self._deviation).permute(0, 3, 1, 2)

    def minibatches(self, epoch: int) -> Iterator[Batch]:
        """Yield normalised images and labels in the seed's order; what does not fill a batch is left out."""
        images, labels = self._train
        draws = generator(self.seeds["order"], f"order/{epoch}")
        order = torch.randperm(len(labels), generator=draws)
        for step in range(self.steps_per_epoch):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            batch = images[rows]
            yield self.normalized(augment(batch, draws) if self.augmented else batch), labels[rows]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of normalised images."""
        training = self.network.training and torch.is_grad_enabled()  # a compiled network has no second derivatives
        network = self.network if self._fused is None or not training else self._fused
        return network(inputs.to(self.device, non_blocking=True))

    def _batches(self, images: Tensor, labels: Tensor) -> list[Batch]:
        size = EVALUATED_AT_ONCE
        return [(self.normalized(images[i : i + size]), labels[i : i + size]) for i in range(0, len(labels), size)]

    def sample(self, split: str) -> list[Batch]:
        """Return the fixed sample of a split."""
        return self._batched_samples[split]

    @cached_property
    def _batched_samples(self) -> dict[str, list[Batch]]:
        return {split: self._batches(*sample) for split, sample in self._samples.items()}

    def sample_rows(self) -> np.ndarray:
        """Return the row of the test split of each image of the test sample."""
        return self._sample_rows

    def test_batches(self) -> list[Batch]:
        """Return the whole test split."""
        return self._batches(*self._whole_test())

    def _whole_test(self) -> tuple[Tensor, Tensor]:
        return self._take("test", np.arange(len(self._arrays["test_labels"])))

    def statistics_batches(self) -> Iterator[Tensor]:
        """Yield the first 2,000 training images."""
        images = self._train[0][:STATISTICS]
        return (self.normalized(part) for part in images.split(EVALUATED_AT_ONCE))

    def corrupted(self, whole: bool = False) -> dict[str, list[Tensor]]:
        """Return the accuracy on the first 500 images of the test sample, or on the whole test split, clean and under
        each corruption of C-lite."""
        images, labels = self._whole_test() if whole else (part[:CORRUPTED] for part in self._samples["test"])
        severities = corruptions.WHOLE_SEVERITIES if whole else corruptions.SEVERITIES
        pairs = [(name, severity) for name in corruptions.IMAGE_CORRUPTIONS for severity in severities]

        def make() -> dict[str, np.ndarray]:
            return {f"{n}-{s}": corruptions.corrupt_images(images.numpy(), n, s, seed=0) for n, s in pairs}

        name = f"{self.name}-corrupted-{corruptions.version()}-{array_cache.array_digest(images.numpy())[:12]}"
        kept = array_cache.arrays(name, make)
        found: dict[str, list[Tensor]] = {}
        for name, severity in [("clean", 0), *pairs]:
            pixels = torch.from_numpy(np.array(kept[f"{name}-{severity}"])) if severity else images
            score = self._score(self.predict(self._batches(pixels, labels)), labels)[1]
            found.setdefault(name, []).append(score)
        return found

    def measured(self) -> Batch:
        """Return the training sample as one batch, without augmentation."""
        images, labels = self._samples["train"]
        return self.normalized(images), labels

    def curvature_loss(self) -> Tensor:
        """Return the mean loss on the first 250 images of the training sample."""
        inputs, labels = (part[:MEASURED] for part in self.measured())
        return self._losses(self.forward(inputs), labels).mean()

    def differentiable(self) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
        """Return the network and the first 250 images of the test sample."""
        images, labels = (part[:MEASURED] for part in self._samples["test"])
        return self.forward, self.normalized(images), labels


def compiled_network(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a network's forward pass as `torch.compile` makes it, with the network's own tensors.

    Raises
    ------
    UsageError
        If its tensors lie in main memory and there is no C++ compiler.
    """
    named = os.environ.get("CXX")
    known = (named,) if named else ("g++", "clang++")
    if next(network.parameters()).device.type == "cpu" and not any(map(shutil.which, known)):
        raise UsageError(f"compiled = true needs a C++ compiler, and {' or '.join(known)} is not there: install one")
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no processes of torch's beside this one
    return torch.compile(network, dynamic=False)


def sampled(labels: np.ndarray, size: int) -> np.ndarray:
    """Return the first `size` rows, with every label where there are places enough."""
    return sample_with_every_label(labels, size) if len(np.unique(labels)) <= size else np.arange(size)


def channel_statistics(images: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel, in float32 and for white = 1, of images uint8.

    From the counts of grey levels, a thousand images at a time: in floating point CIFAR-10 would take gigabytes.
    """
    channels = range(images.shape[-1])
    counts = np.zeros((len(channels), 256), dtype=np.int64)
    for part in np.array_split(images, -(-len(images) // 1000)):
        counts += np.stack([np.bincount(part[..., channel].ravel(), minlength=256) for channel in channels])
    level, pixels = np.arange(256), counts.sum(1)
    mean = counts @ level / pixels
    deviation = np.sqrt(counts @ level**2 / pixels - mean**2)
    return torch.tensor(mean / 255, dtype=torch.float32), torch.tensor(deviation / 255, dtype=torch.float32)


def augment(images: Tensor, draws: torch.Generator, padding: int = 4) -> Tensor:
    """Pad by zeros, crop at random to the former size and flip left to right with probability ½ (He et al. 2016).

    Parameters
    ----------
    images : Tensor
        Shape ``(n, height, width, channels)``.
    draws : Generator
    padding : int
        Pixels on each side.
    """
    n, height, width, channels = images.shape
    padded = torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding))
    top, left = (torch.randint(0, 2 * padding + 1, (n, 1), generator=draws) for _ in range(2))
    flipped = torch.rand((n, 1), generator=draws) < 0.5
    columns = torch.arange(width)
    rows = top + torch.arange(height)
    columns = left + torch.where(flipped, width - 1 - columns, columns)
    lines = torch.arange(n)[:, None] * padded.shape[1] + rows
    pixels = lines[:, :, None] * padded.shape[2] + columns[:, None, :]
    return padded.view(-1, channels).index_select(0, pixels.flatten()).view(images.shape)  # thrice as fast as [,,]
