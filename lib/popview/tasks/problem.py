"""What a trajectory needs of a task: parameters, minibatches, losses and a metric, for P restarts at once."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from popview.tasks.catalogue import Task
from popview.tasks.sizes import Sizes

SPLITS = ("train", "validation", "test")


class Problem(ABC):
    """A task set up for the restarts of given seeds: data, models, loss and metric.

    The seed of a restart draws its initialisation, its train/validation split, the order of its minibatches and their
    augmentation, and nothing that an algorithm does changes these: they are common random numbers. The test split is
    fixed. Each split is evaluated on a fixed sample of it.

    Attributes
    ----------
    parameters : sequence of Parameter
        Those that are trained. With `population` dimension 0 indexes the restarts; else there is one restart.
    buffers : sequence of Tensor
    population : bool
    device : device
        Where the models are trained; minibatches, logits and scores are the processor's.
    precision : str
        Of the arithmetic in forward and backward passes, as it is on this device.
    steps_per_epoch : int
    multilabel : bool
        Whether an example may have several labels.
    curvature : bool
        Whether the Hessian's eigenvalue and trace are measured at the end of each trajectory.
    transposed : bool
        Whether weights have shape ``(inputs, outputs)`` and biases ``(1, outputs)``, unlike `torch.nn.Linear`'s.
    """

    parameters: Sequence[Tensor]
    buffers: Sequence[Tensor] = ()
    population: bool = True
    device: torch.device = torch.device("cpu")
    precision: str = "float32"
    steps_per_epoch: int
    multilabel: bool = False
    curvature: bool = True
    transposed: bool = False

    @classmethod
    def sizes(cls, task: Task, model: Mapping[str, Any]) -> Sizes:
        """Return how many examples a run evaluates and measures; no data are read.

        Parameters
        ----------
        task : Task
            Of the catalogue.
        model : mapping
            All settings of its model, defaults included.
        """
        raise NotImplementedError

    @abstractmethod
    def minibatches(self, epoch: int) -> Iterator[Any]:
        """Yield the minibatches of an epoch, in each restart's own order."""

    @abstractmethod
    def loss(self, minibatch: Any) -> Tensor:
        """Return the mean loss on a minibatch with gradients: shape ``(P,)``, or ``()`` without `population`."""

    @abstractmethod
    def logits(self, split: str) -> Tensor:
        """Return each restart's outputs on the sample of a split, in evaluation mode: ``(P, n, classes)``."""

    @abstractmethod
    def score(self, split: str, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean loss and metric of `logits` on the sample of a split, each of shape ``(P,)``."""

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the predicted probabilities that belong to logits, of the same shape."""

    @abstractmethod
    def metric(self, split: str, probabilities: Tensor) -> Tensor:
        """Return the metric of predicted probabilities on the sample of a split, shape ``(P,)``."""

    @torch.no_grad()
    def evaluate(self, split: str) -> tuple[Tensor, Tensor]:
        """Return mean loss and metric on the sample of a split, each of shape ``(P,)``."""
        return self.score(split, self.logits(split))

    def evaluate_whole_test(self) -> tuple[Tensor, Tensor]:
        """Return mean loss and metric on the whole test split, each of shape ``(P,)``; here the sample is the whole."""
        return self.evaluate("test")

    @torch.no_grad()
    def whole_test(self) -> tuple[Tensor, Tensor]:
        """Return predicted probabilities ``(P, n, classes)`` and labels on the whole test split, in the data's order.

        Labels are of shape ``(n,)``, or ``(n, classes)`` where an example may have several.
        """
        return self.probabilities(self.logits("test")), self.test_labels()

    # The next four are needed by runs that are judged on the whole test split, those of the annealed variant.

    def test_labels(self) -> Tensor:
        """Return the labels of the whole test split, in the data's order."""
        raise NotImplementedError

    def sample_rows(self) -> np.ndarray:
        """Return the row of the test split of each example of the test sample, in the order of `sample_labels`."""
        raise NotImplementedError

    def sample_labels(self, split: str) -> Tensor:
        """Return the labels of the sample of a split: ``(n,)``, ``(n, classes)``, or ``(P, n)`` of several restarts."""
        raise NotImplementedError

    def metric_of(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """Return the metric of predicted probabilities ``(P, n, classes)``, shape ``(P,)``."""
        raise NotImplementedError

    def recompute_statistics(self) -> None:
        """Recompute what belongs to the weights but is not trained: BatchNorm statistics of averaged weights."""
        return

    def corrupted(self, whole: bool = False) -> dict[str, list[Tensor]]:
        """Return the metric under each corruption, one entry of shape ``(P,)`` per severity; {} where none apply.

        ``clean`` has one entry: the metric of the same examples as they are. These are the first of the test sample,
        at five severities, or with `whole` the whole test split, at severities 1, 3 and 5.
        """
        return {}

    def corrupted_losses(self) -> dict[str, list[Tensor]]:
        """Return the mean loss under each corruption, as `corrupted` has the metric; {} where none is measured."""
        return {}

    def unseen(self) -> Tensor | None:
        """Return how well classes that were not trained on are told apart, shape ``(P,)``; None where all were."""
        return None

    @abstractmethod
    def sample_loss(self) -> Tensor:
        """Return the mean loss on the training sample, float32 and in evaluation mode, with gradients; as `loss`."""

    def curvature_loss(self) -> Tensor:
        """Return `sample_loss`, or that of a part of the sample where Hessian-vector products are dear."""
        return self.sample_loss()

    @abstractmethod
    def input_losses(self) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """Return a function from inputs to each example's loss, ``(P, n)`` or ``(n,)``, and the test inputs for it."""

    def measuring(self) -> AbstractContextManager[Any]:
        """Return the context in which `sample_loss` and `input_losses` are called."""
        return nullcontext()
