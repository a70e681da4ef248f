"""A network of the study as parameter vectors: how they come out of a task's models, go back, and what they lose."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from popview.optimizers.tensors import members_of
from popview.tasks.problem import Problem
from popview.tasks.setup import set_up
from popview.topography import PerceptronLoss, network_loss

#: Images that run through a convolutional network at once: what a processor's cache holds.
IMAGES_AT_ONCE = 250


def _oriented(problem: Problem, parameters: Sequence[Tensor] | None = None) -> list[Tensor]:
    """Return views of parameters, ``(P, …)``, with weights as `torch.nn.Linear` has them: outputs first."""
    given = problem.parameters if parameters is None else parameters
    tensors = members_of([p.detach() for p in given], problem.population)
    if not problem.transposed:
        return tensors
    return [t.squeeze(1) if t.shape[1] == 1 else t.mT for t in tensors]


def vectors(problem: Problem, parameters: Sequence[Tensor] | None = None) -> Tensor:
    """Return a copy of a problem's models, or of others with such parameters, as parameter vectors ``(P, d)``."""
    return torch.cat([t.reshape(len(t), -1) for t in _oriented(problem, parameters)], 1)


def place(problem: Problem, found: Tensor) -> None:
    """Put parameter vectors ``(P, d)`` into a problem's models."""
    tensors = _oriented(problem)
    for t, piece in zip(tensors, found.split([t[0].numel() for t in tensors], 1), strict=True):
        t.copy_(piece.reshape(t.shape))


@dataclass(frozen=True)
class Network:
    """Names and shapes of a network's parameters, and the training images that all its solutions have in common.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        In the order of the vectors.
    images, labels : Tensor
        The training sample, normalised: ``(n, …)`` and ``(n,)``.
    module : Module or None
        The network itself, where it is no perceptron.
    """

    shapes: dict[str, tuple[int, ...]]
    images: Tensor
    labels: Tensor
    module: Any

    @classmethod
    def of(cls, task: str, model: dict[str, Any]) -> "Network":
        """Set a task's network up; its training images must not depend on the seed (``shared = true``)."""
        problem: Any = set_up(task, [0], model)
        images, labels = problem.measured()
        if problem.population:
            images, labels = images[0], labels[0]
        named = [name for name, _ in problem.network.named_parameters()] if hasattr(problem, "network") else None
        tensors = _oriented(problem)
        names = named or [f"{i // 2}.{('weight', 'bias')[i % 2]}" for i in range(len(tensors))]
        shapes = {name: tuple(t.shape[1:]) for name, t in zip(names, tensors, strict=True)}
        convolved = any(len(shape) > 2 for shape in shapes.values())
        return cls(shapes, images, labels, problem.network.eval() if convolved else None)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, from input to output."""
        return tuple(name.removesuffix(".weight") for name in self.shapes if name.endswith(".weight"))

    @property
    def parameters(self) -> int:
        """Number of parameters d."""
        return sum(torch.Size(shape).numel() for shape in self.shapes.values())

    def named(self, vector: Tensor) -> dict[str, Tensor]:
        """Return the parameters of one vector, by name."""
        pieces = vector.split([torch.Size(shape).numel() for shape in self.shapes.values()])
        return {name: p.view(shape) for (name, shape), p in zip(self.shapes.items(), pieces, strict=True)}

    def loss(self, images: int, chunk: int | None = None) -> Callable[[Tensor], Tensor]:
        """Return the cross-entropy on the first `images` of the sample as a function of vectors: `topography`'s."""
        inputs, labels = self.images[:images], self.labels[:images]
        if self.module is not None:
            batches = zip(inputs.split(IMAGES_AT_ONCE), labels.split(IMAGES_AT_ONCE), strict=True)
            parts = [(len(b) / len(labels), network_loss(self.module, a, b, chunk=chunk)) for a, b in batches]
            return lambda vectors: torch.stack([share * part(vectors) for share, part in parts]).sum(0)
        weights = [shape for name, shape in self.shapes.items() if name.endswith(".weight")]
        bias = any(name.endswith(".bias") for name in self.shapes)
        return PerceptronLoss(inputs.flatten(1), labels, [shape[0] for shape in weights], bias=bias)
