"""The embedded task: scikit-learn's bundled 8×8 digits and a small perceptron, many restarts as one stacked population.

1,797 images in 10 classes. 597 test images, fixed for all; the other 1,200 are split by each restart's seed into 1,000
for training and 200 for validation.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import cross_entropy

from popview.seeds import generator
from popview.tasks.base import Problem

__all__ = ["Digits"]

TEST_IMAGES, VALIDATION_IMAGES = 597, 200
CLASSES = 10


@cache
def _images() -> tuple[Tensor, Tensor]:
    """Return all images, in [0, 1] and of shape ``(1797, 64)``, and labels, in a fixed shuffled order."""
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=generator(0, "digits"))
    return torch.tensor(digits.data, dtype=torch.float32)[order] / 16, torch.tensor(digits.target)[order]


class Digits(Problem):
    """P perceptrons 64–hidden–10 with ReLU, trained by cross-entropy, measured by accuracy.

    Parameters
    ----------
    seeds : sequence of int
        One per restart.
    hidden, batch_size : int
    """

    def __init__(self, seeds: Sequence[int], *, hidden: int = 32, batch_size: int = 50) -> None:
        self.seeds, self.batch_size = list(seeds), batch_size
        images, labels = _images()
        rest = len(labels) - TEST_IMAGES
        splits = torch.stack([torch.randperm(rest, generator=generator(seed, "split")) for seed in self.seeds])
        self._splits = {
            "test": (images[:TEST_IMAGES].expand(len(self.seeds), -1, -1), labels[:TEST_IMAGES].expand(len(seeds), -1)),
            "validation": self._subset(splits[:, :VALIDATION_IMAGES]),
            "train": self._subset(splits[:, VALIDATION_IMAGES:]),
        }
        self.steps_per_epoch = (rest - VALIDATION_IMAGES) // batch_size
        self.parameters = self._initial(hidden)

    @staticmethod
    def _subset(chosen: Tensor) -> tuple[Tensor, Tensor]:
        images, labels = _images()
        return images[TEST_IMAGES + chosen], labels[TEST_IMAGES + chosen]

    def _initial(self, hidden: int) -> list[Parameter]:
        """Draw weights and biases as `torch.nn.Linear` does: uniform within 1/√(inputs)."""
        inputs = _images()[0].shape[1]
        shapes = [(inputs, hidden), (1, hidden), (hidden, CLASSES), (1, CLASSES)]
        bounds = [inputs**-0.5] * 2 + [hidden**-0.5] * 2
        generators = [generator(seed, "initialisation") for seed in self.seeds]
        return [
            Parameter(torch.stack([(2 * torch.rand(shape, generator=g) - 1) * bound for g in generators]))
            for shape, bound in zip(shapes, bounds, strict=True)
        ]

    def minibatches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images ``(P, batch, 64)`` and labels ``(P, batch)``; what does not fill a batch is left out."""
        images, labels = self._splits["train"]
        order = torch.stack(
            [torch.randperm(labels.shape[1], generator=generator(s, f"order/{epoch}")) for s in self.seeds]
        )
        restart = torch.arange(len(self.seeds)).unsqueeze(1)
        for step in range(self.steps_per_epoch):
            chosen = order[:, step * self.batch_size : (step + 1) * self.batch_size]
            yield images[restart, chosen], labels[restart, chosen]

    def _logits(self, images: Tensor) -> Tensor:
        first, first_bias, second, second_bias = self.parameters
        return torch.baddbmm(second_bias, torch.relu(torch.baddbmm(first_bias, images, first)), second)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)

    def loss(self, minibatch: Any) -> Tensor:
        """Return the mean cross-entropy of each restart on its own minibatch, shape ``(P,)``."""
        images, labels = minibatch
        return self._losses(self._logits(images), labels).mean(1)

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
        return (probabilities.argmax(-1) == self._splits[split][1]).double().mean(1)

    def sample_loss(self) -> Tensor:
        """Return the cross-entropy of each restart on its training split."""
        images, labels = self._splits["train"]
        return self._losses(self._logits(images), labels).mean(1)

    def input_losses(self) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """Return the cross-entropy per image and the test images."""
        images, labels = self._splits["test"]
        return lambda inputs: self._losses(self._logits(inputs), labels), images.clone()


def majority_accuracy() -> float:
    """Return the test accuracy of always answering the most frequent class, the floor of the metric."""
    counts = torch.bincount(_images()[1][:TEST_IMAGES])
    return float(counts.max()) / math.fsum(counts.tolist())
