"""The embedded task: scikit-learn's bundled 8×8 digits and a small perceptron, many restarts as one stacked population.

1,797 images in 10 classes. 597 test images, fixed for all; the other 1,200 are split by each restart's seed into 1,000
for training and 200 for validation, with `shared` into the same 1,000 for all and 100 of the rest, or with
`fixed_validation` into the same 200 for validation and the same 1,000 for all. With fewer `classes` all this is of the
images of these alone, in the same proportions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import cross_entropy

from popview.common.errors import UsageError
from popview.common.seeds import generator, seed_of
from popview.tasks import corruptions
from popview.tasks.catalogue import RECORDS, Task
from popview.tasks.problem import Problem
from popview.tasks.sizes import Sizes
from popview.tasks.supervised import draw_fixed, draw_split, steps_of

TASK = RECORDS["digits"]

#: Of the images that are not for testing one in so many is for validation; half of these where `shared`.
VALIDATION = TASK.rest // (TASK.rest - TASK.train)

#: Corruptions that leave something of 8 × 8 pixels: JPEG's block is the whole image, and pixelation leaves 5 × 5.
CORRUPTIONS = ("noise", "blur", "contrast", "brightness")

#: BatchNorm, as torch's own: share of a minibatch in the running statistics, and what is added to a variance.
SHARE, ADDED = 0.1, 1e-5


@cache
def _images() -> tuple[Tensor, Tensor]:
    """Return all images, in [0, 1] and of shape ``(1797, 64)``, and labels, in a fixed shuffled order."""
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=generator(0, "digits"))
    return torch.tensor(digits.data, dtype=torch.float32)[order] / 16, torch.tensor(digits.target)[order]


@cache
def _rows(classes: int) -> tuple[Tensor, ...]:
    """Return the rows of the test images and of all others of the first classes; then of the classes that are left."""
    seen = _images()[1] < classes
    test = torch.arange(len(seen)) < TASK.test
    return tuple(torch.nonzero(chosen).flatten() for chosen in (test & seen, ~test & seen, test & ~seen, ~test & ~seen))


@cache
def corrupted_digits(name: str, severity: int) -> Tensor:
    """Return the test images under a corruption of C-lite, in [0, 1] and of shape ``(597, 64)``.

    The 17 grey levels become 8 bits first. Strengths are those for CIFAR's 32 × 32 pixels: at a quarter of the width
    the same blur reaches further.

    Raises
    ------
    UsageError
        As `popview.tasks.corruptions.corrupt_images`.

    Examples
    --------
    >>> from popview.tasks.digits import corrupted_digits
    >>> corrupted_digits("contrast", severity=5).shape
    torch.Size([597, 64])
    """
    levels = (255 * _images()[0][: TASK.test]).round().to(torch.uint8).numpy().reshape(-1, 8, 8, 1)
    return torch.from_numpy(corruptions.corrupt_images(levels, name, severity, seed=0)).flatten(1) / 255


def _nearest_mean(known: Tensor, of: Tensor, tested: Tensor, labels: Tensor) -> Tensor:
    """Return the accuracy, ``(P,)``, of giving each of ``(P, n, …)`` to the class of which the mean is nearest."""
    names = torch.unique(of)
    means = torch.stack([known[:, of == name].mean(1) for name in names], 1)
    return (names[torch.cdist(tested, means).argmin(-1)] == labels).double().mean(-1)


def unseen_by_pixels(classes: int) -> float:
    """Return the accuracy on test images of all but the first classes by the nearest mean image: see `Digits.unseen`.

    Examples
    --------
    >>> from popview.tasks.digits import unseen_by_pixels
    >>> round(unseen_by_pixels(5), 2)
    0.95
    """
    test, rest = _rows(classes)[2:]
    images, labels = _images()
    return float(_nearest_mean(images[None, rest], labels[rest], images[None, test], labels[test]))


class Digits(Problem):
    """P perceptrons 64–hidden–10 with ReLU, trained by cross-entropy, measured by accuracy.

    Parameters
    ----------
    seeds : sequence of int
        One per restart.
    hidden : int or sequence of int
        Units of the hidden layer, or of each.
    batch_size : int
    shared : bool
        Whether every restart trains on the same images, and its seed draws only those for validation.
    fixed_validation : bool
        Whether the validation split is the same for every restart, outside all that any trains on.
    fixed_seeds : mapping of str to int, optional
        See `popview.common.seeds.seed_of`.
    dropout : float
        Share of each hidden layer's units that is switched off for an image in training, drawn by the restart's seed;
        the others are scaled up. Below 1.
    batch_norm : bool
        Whether hidden layers are normalised before ReLU: over the minibatch in training, by running statistics else.
    label_smoothing : float
        Share of the label that the loss of training spreads over all classes; losses that are reported are plain.
    classes : int
        Trained and scored are only images of the digits below this one; of the others see `unseen`.

    Raises
    ------
    UsageError
        If there are not 2 to 10 classes.

    Examples
    --------
    Two perceptrons, drawn by the seeds 0 and 1, with the loss and accuracy of each on the validation split:

    >>> from popview.tasks.digits import Digits
    >>> task = Digits(seeds=[0, 1])
    >>> [tuple(p.shape) for p in task.parameters]
    [(2, 64, 32), (2, 1, 32), (2, 32, 10), (2, 1, 10)]
    >>> loss, accuracy = task.evaluate("validation")
    >>> loss.shape, accuracy.shape
    (torch.Size([2]), torch.Size([2]))

    One update of both:

    >>> from popview.optimizers import make
    >>> optimizer = make("SGD", task.parameters, lr=0.1, population=True)
    >>> minibatch = next(task.minibatches(epoch=0))
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = task.loss(minibatch)
    ...     loss.sum().backward()
    ...     return loss
    >>> optimizer.step(closure).shape
    torch.Size([2])
    """

    transposed = True

    def __init__(
        self,
        seeds: Sequence[int],
        *,
        hidden: int | Sequence[int] = 32,
        batch_size: int = 50,
        shared: bool = False,
        fixed_validation: bool = False,
        fixed_seeds: Mapping[str, int] | None = None,
        dropout: float = 0.0,
        batch_norm: bool = False,
        label_smoothing: float = 0.0,
        classes: int = TASK.classes,
    ) -> None:
        if not 2 <= classes <= TASK.classes:
            raise UsageError(f"classes of digits must be 2 to {TASK.classes}, got {classes}")
        self.seeds, self.batch_size, self.fixed_seeds, self.classes = list(seeds), batch_size, fixed_seeds, classes
        self.hidden = [hidden] if isinstance(hidden, int) else list(hidden)
        self.dropout, self.batch_norm, self.label_smoothing = dropout, batch_norm, label_smoothing
        train, validation = self._drawn(shared, fixed_validation)
        self._splits = {
            "test": self._for_all(_rows(classes)[0]),
            "validation": self._subset(validation),
            "train": self._subset(train),
        }
        self.steps_per_epoch = steps_of(train.shape[1], batch_size)
        self.parameters = self._initial(self.hidden)
        if batch_norm:
            ones, zeros = ([torch.full((len(self.seeds), 1, n), v) for n in self.hidden] for v in (1.0, 0.0))
            self.parameters += [Parameter(t.clone()) for pair in zip(ones, zeros, strict=True) for t in pair]
            self.buffers = [t for pair in zip(zeros, ones, strict=True) for t in pair]

    @classmethod
    def sizes(cls, task: Task, model: Mapping[str, Any]) -> Sizes:
        """Return how many images a run evaluates: every split is its own sample, and all test images are corrupted."""
        test, rest, *unseen = (len(rows) for rows in _rows(model.get("classes", task.classes)))
        train, validation = rest - rest // VALIDATION, rest // VALIDATION
        if model.get("shared") and not model.get("fixed_validation"):
            validation //= 2
        known = Sizes(train, train, validation, test, test, unseen=sum(unseen))
        known = known._replace(clean=test, corruptions=len(CORRUPTIONS))
        known = known._replace(corrupted_losses=known.corrupted)
        return known._replace(measured=train, curved=train, inputs=test, statistics=train)

    def _seeds(self, source: str) -> list[int]:
        """Return the seed of each restart that draws a source."""
        return [seed_of(source, seed, self.fixed_seeds) for seed in self.seeds]

    def _drawn(self, shared: bool, fixed: bool) -> tuple[Tensor, Tensor]:
        """Return the rows of each restart's train and validation splits, ``(P, n)``."""
        pool = _rows(self.classes)[1]
        rest, validation = len(pool), len(pool) // VALIDATION
        if not shared and not fixed:
            order = torch.stack(
                [torch.randperm(rest, generator=generator(seed, "split")) for seed in self._seeds("split")]
            )
            return pool[order[:, validation:]], pool[order[:, :validation]]
        train = rest - validation
        if fixed:
            drawn = [draw_fixed(rest, np.arange(0), train, validation, seed) for seed in self._seeds("split")]
        else:
            drawn = [draw_split(rest, train, validation // 2, seed, shared=True) for seed in self._seeds("split")]
        trained, validated = (pool[np.stack([d[split] for d in drawn])] for split in ("train", "validation"))
        return trained, validated

    @staticmethod
    def _subset(chosen: Tensor) -> tuple[Tensor, Tensor]:
        images, labels = _images()
        return images[chosen], labels[chosen]

    def _for_all(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return images and labels of the same rows for every restart."""
        images, labels = self._subset(chosen)
        return images.expand(len(self.seeds), -1, -1), labels.expand(len(self.seeds), -1)

    def _initial(self, hidden: list[int]) -> list[Parameter]:
        """Draw weights and biases as `torch.nn.Linear` does: uniform within 1/√(inputs)."""
        layers = list(pairwise([_images()[0].shape[1], *hidden, TASK.classes]))
        shapes = [shape for inputs, outputs in layers for shape in ((inputs, outputs), (1, outputs))]
        bounds = [inputs**-0.5 for inputs, _ in layers for _ in range(2)]
        generators = [generator(seed, "initialisation") for seed in self._seeds("initialisation")]
        return [
            Parameter(torch.stack([(2 * torch.rand(shape, generator=g) - 1) * bound for g in generators]))
            for shape, bound in zip(shapes, bounds, strict=True)
        ]

    def minibatches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Yield images ``(P, batch, 64)`` and labels ``(P, batch)``; what does not fill a batch is left out.

        With dropout, third, what the units of each hidden layer are multiplied by: ``(P, batch, units)``.
        """
        images, labels = self._splits["train"]
        order = torch.stack(
            [torch.randperm(labels.shape[1], generator=generator(s, f"order/{epoch}")) for s in self._seeds("order")]
        )
        restart = torch.arange(len(self.seeds)).unsqueeze(1)
        draws = [generator(seed, f"dropout/{epoch}") for seed in self._seeds("noise")] if self.dropout else []
        for step in range(self.steps_per_epoch):
            chosen = order[:, step * self.batch_size : (step + 1) * self.batch_size]
            minibatch = images[restart, chosen], labels[restart, chosen]
            yield (*minibatch, [self._kept(draws, units) for units in self.hidden]) if draws else minibatch

    def _kept(self, draws: list[torch.Generator], units: int) -> Tensor:
        """Draw what a hidden layer's units are multiplied by in a minibatch."""
        drawn = torch.stack([torch.rand(self.batch_size, units, generator=g) for g in draws])
        return (drawn >= self.dropout) / (1 - self.dropout)

    def _logits(self, images: Tensor, kept: Sequence[Tensor] = (), share: float = 0.0) -> Tensor:
        """Return logits; `share` is that of these images in BatchNorm's running statistics, 0 in evaluation."""
        weight, bias = self.parameters[2 * len(self.hidden) : 2 * len(self.hidden) + 2]
        return torch.baddbmm(bias, self._activations(images, kept, share), weight)

    def _activations(self, images: Tensor, kept: Sequence[Tensor] = (), share: float = 0.0) -> Tensor:
        """Return the activations of the last hidden layer."""
        outputs = images
        for place in range(len(self.hidden)):
            weight, bias = self.parameters[2 * place : 2 * place + 2]
            outputs = torch.baddbmm(bias, outputs, weight)
            outputs = torch.relu(self._normalized(place, outputs, share) if self.batch_norm else outputs)
            outputs = outputs * kept[place] if kept else outputs
        return outputs

    def _normalized(self, place: int, outputs: Tensor, share: float) -> Tensor:
        """Normalise a hidden layer's outputs by their own statistics, or in evaluation by the running ones."""
        first = 2 * len(self.hidden) + 2 + 2 * place
        scale, shift = self.parameters[first : first + 2]
        running = self.buffers[2 * place : 2 * place + 2]
        mean, variance = running
        if share:
            mean, variance = outputs.mean(1, keepdim=True), outputs.var(1, keepdim=True, correction=0)
            images = outputs.shape[1]
            with torch.no_grad():
                running[0].lerp_(mean, share)
                running[1].lerp_(variance * images / (images - 1), share)
        return (outputs - mean) * torch.rsqrt(variance + ADDED) * scale + shift

    @torch.no_grad()
    def recompute_statistics(self) -> None:
        """Take BatchNorm's statistics of the whole training split."""
        if self.batch_norm:
            self._logits(self._splits["train"][0], share=1.0)

    def _losses(self, logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        flat = logits.flatten(0, 1), labels.flatten()
        return cross_entropy(*flat, reduction="none", label_smoothing=smoothing).view(labels.shape)

    def loss(self, minibatch: Any) -> Tensor:
        """Return the mean cross-entropy of each restart on its own minibatch, shape ``(P,)``."""
        images, labels, *kept = minibatch
        logits = self._logits(images, kept[0] if kept else (), SHARE)
        return self._losses(logits, labels, self.label_smoothing).mean(1)

    def logits(self, split: str) -> Tensor:
        """Return the logits ``(P, n, 10)`` on a split."""
        return self._logits(self._splits[split][0])

    def score(self, split: str, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return cross-entropy and accuracy of each restart on a split."""
        return self._losses(logits, self._splits[split][1]).mean(1), self.metric(split, logits)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the softmax over the classes."""
        return logits.softmax(-1)

    def metric(self, split: str, probabilities: Tensor) -> Tensor:
        """Return the accuracy of each restart on a split, from its probabilities (or logits)."""
        return self.metric_of(probabilities, self._splits[split][1])

    def metric_of(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """Return the accuracy of probabilities (or logits)."""
        return (probabilities.argmax(-1) == labels).double().mean(-1)

    def test_labels(self) -> Tensor:
        """Return the labels of the test images."""
        return self._splits["test"][1][0]

    def sample_rows(self) -> np.ndarray:
        """Return the rows of all test images: the sample is the whole test split."""
        return np.arange(len(self.test_labels()))

    def sample_labels(self, split: str) -> Tensor:
        """Return each restart's labels on a split, ``(P, n)``."""
        return self._splits[split][1]

    @torch.no_grad()
    def corrupted(self, whole: bool = False) -> dict[str, list[Tensor]]:
        """Return the accuracy on the test images, clean and under each of `CORRUPTIONS`."""
        labels, severities = self._splits["test"][1], corruptions.WHOLE_SEVERITIES if whole else corruptions.SEVERITIES
        found = {"clean": [self.metric("test", self.logits("test"))]}
        for name in CORRUPTIONS:
            found[name] = [self.metric_of(self.under_corruption(name, severity), labels) for severity in severities]
        return found

    @torch.no_grad()
    def corrupted_losses(self) -> dict[str, list[Tensor]]:
        """Return the mean cross-entropy on the test images under each of `CORRUPTIONS`."""
        labels = self._splits["test"][1]
        return {
            name: [
                self._losses(self.under_corruption(name, severity), labels).mean(1)
                for severity in corruptions.SEVERITIES
            ]
            for name in CORRUPTIONS
        }

    def under_corruption(self, name: str, severity: int) -> Tensor:
        """Return the logits on the test images under one of `CORRUPTIONS`."""
        shown = corrupted_digits(name, severity)[_rows(self.classes)[0]]
        return self._logits(shown.expand(len(self.seeds), -1, -1))

    @torch.no_grad()
    def unseen(self) -> Tensor | None:
        """Return the accuracy on test images of classes that were not trained on; None where there are none.

        An image is of the class whose mean activation in the last hidden layer is nearest (Mensink et al. 2013, section
        3.1, with Euclidean distances); means are of the images of these classes that are not for testing.
        """
        test, rest = _rows(self.classes)[2:]
        if not len(test):
            return None
        (tested, labels), (known, of) = self._for_all(test), self._for_all(rest)
        return _nearest_mean(self._activations(known), of[0], self._activations(tested), labels[0])

    def measured(self) -> tuple[Tensor, Tensor]:
        """Return each restart's training images ``(P, n, 64)`` and labels ``(P, n)``."""
        return self._splits["train"]

    def sample_loss(self) -> Tensor:
        """Return the cross-entropy of each restart on its training split."""
        images, labels = self.measured()
        return self._losses(self._logits(images), labels).mean(1)

    def input_losses(self) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """Return the cross-entropy per image and the test images."""
        images, labels = self._splits["test"]
        return lambda inputs: self._losses(self._logits(inputs), labels), images.clone()
