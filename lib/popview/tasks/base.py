"""What a trajectory needs of a task: parameters, minibatches, losses and a metric, for P restarts at once."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

__all__ = ["SPLITS", "Problem"]

SPLITS = ("train", "validation", "test")


class Problem(ABC):
    """A task set up for the restarts of given seeds: data, models, loss and metric.

    The seed of a restart draws its initialisation, its train/validation split and the order of its minibatches, and
    nothing that an algorithm does changes these: they are common random numbers. The test split is fixed.

    Attributes
    ----------
    parameters : sequence of Parameter
        Dimension 0 indexes the restarts.
    buffers : sequence of Tensor
    steps_per_epoch : int
    """

    parameters: Sequence[Tensor]
    buffers: Sequence[Tensor] = ()
    steps_per_epoch: int

    @abstractmethod
    def minibatches(self, epoch: int) -> Iterator[Any]:
        """Yield the minibatches of an epoch, in each restart's own order."""

    @abstractmethod
    def loss(self, minibatch: Any) -> Tensor:
        """Return the mean loss on a minibatch for each restart, shape ``(P,)``, with gradients."""

    @abstractmethod
    def evaluate(self, split: str) -> tuple[Tensor, Tensor]:
        """Return mean loss and metric on a split of `SPLITS` for each restart, each of shape ``(P,)``."""
