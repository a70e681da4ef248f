"""Losses of networks as functions of batches of parameter vectors: what path finders and other surveys evaluate."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy

from popview.common.errors import UsageError

#: Points of a path that `PerceptronLoss.along` runs through the later layers at once: what a processor's cache holds.
POINTS = 12


def network_loss(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    criterion: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    *,
    chunk: int | None = None,
) -> Callable[[Tensor], Tensor]:
    """Return a network's loss as a function of parameter vectors, many at once, through `torch.func.vmap`.

    Parameters
    ----------
    model : Module
        Its own parameters give names, shapes and order only; its buffers are used as they are. Put it in eval mode:
        dropout and BatchNorm's running statistics can't be batched.
    inputs, targets : Tensor
        The sample on which the loss is taken.
    criterion : callable
        Outputs and targets → one loss.
    chunk : int, optional
        Vectors run through the network at once (all by default): fewer need less memory. With 1 they run one by one,
        without `torch.func.vmap`, which is faster for convolutions on a processor.

    Returns
    -------
    callable
        Vectors ``(N, d)``, in the order of `torch.nn.utils.parameters_to_vector`, → losses ``(N,)``; differentiable.

    Raises
    ------
    UsageError
        When called, if the vectors are not as long as the model has parameters.

    Examples
    --------
    A network w ↦ w x of one weight, with the mean of (w x − y)² on x = 1, 2 and y = 1, 2 as its loss: 2.5 (w − 1)².

    >>> import torch
    >>> from popview.topography import network_loss
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> x = torch.tensor([[1.0], [2.0]])
    >>> loss = network_loss(model, x, x, torch.nn.functional.mse_loss)
    >>> loss(torch.tensor([[1.0], [0.0], [3.0]]))
    tensor([ 0.0000,  2.5000, 10.0000])
    """
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())
    sizes = [p.numel() for p in parameters.values()]

    def one(vector: Tensor) -> Tensor:
        pieces = vector.split(sizes)
        state = {n: piece.view(p.shape) for (n, p), piece in zip(parameters.items(), pieces, strict=True)}
        return criterion(functional_call(model, (state, buffers), (inputs,)), targets)

    def loss(vectors: Tensor) -> Tensor:
        _check_vectors(vectors, sum(sizes))
        if chunk == 1:
            return torch.stack([one(vector) for vector in vectors])
        return vmap(one, chunk_size=chunk)(vectors)

    return loss


class PerceptronLoss:
    """Loss of a perceptron, hand-batched: the mean over images of the cross-entropy, for many vectors at once.

    Along a path the parameters are mixtures of few vectors (two ends and ten coefficients, say), and the first layer's
    outputs are the same mixtures of those vectors' outputs: `along` multiplies the images once per vector of the basis
    instead of once per point. That is exact, and the first layer is most of the work for a narrow net.

    Parameters
    ----------
    images : Tensor of shape ``(n, inputs)``
    labels : Tensor of shape ``(n,)``
    widths : sequence of int
        Units of the hidden layers and of the output.
    activation : callable
        Between layers, elementwise.
    bias : bool
        Whether each layer has one. Vectors are ordered as `torch.nn.utils.parameters_to_vector` orders a
        `torch.nn.Sequential` of `torch.nn.Linear`: weight ``(outputs, inputs)``, then bias, layer by layer.

    Raises
    ------
    UsageError
        If shapes don't fit.

    Examples
    --------
    With all weights zero, each of two classes has probability ½, and the cross-entropy is ln 2.

    >>> import torch
    >>> from popview.topography import PerceptronLoss
    >>> loss = PerceptronLoss(torch.eye(2), torch.tensor([0, 1]), widths=(3, 2))
    >>> loss.dimension
    12
    >>> loss(torch.zeros(2, 12))
    tensor([0.6931, 0.6931])
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        widths: Sequence[int],
        *,
        activation: Callable[[Tensor], Tensor] = torch.relu,
        bias: bool = False,
    ) -> None:
        if images.dim() != 2 or labels.shape != images.shape[:1]:
            shapes = f"{tuple(images.shape)} and {tuple(labels.shape)}"
            raise UsageError(f"images and labels must have shapes (n, inputs) and (n,), got {shapes}")
        if not widths or min(widths) < 1:
            raise UsageError(f"widths must be one whole number above 0 per layer, got {tuple(widths)!r}")
        self.columns, self.labels = images.T.contiguous(), labels
        self.activation, self.bias = activation, bias
        self.shapes = [(outputs, inputs) for inputs, outputs in pairwise([images.shape[1], *widths])]
        self.sizes = [size for o, i in self.shapes for size in ((o * i, o) if bias else (o * i,))]

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return sum(self.sizes)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return the losses ``(N,)`` of vectors ``(N, d)``."""
        _check_vectors(vectors, self.dimension)
        pieces = vectors.split(self.sizes, dim=1)
        outputs, inputs = self.shapes[0]
        first = (pieces[0].reshape(-1, inputs) @ self.columns).view(len(vectors), outputs, -1)
        return self._rest(first, pieces)

    def along(self, weights: Tensor, basis: Tensor) -> Tensor:
        """Return the losses ``(pairs, n)`` at ``weights @ basis``, of shapes ``(n, k)`` and ``(pairs, k, d)``."""
        _check_vectors(basis, self.dimension)
        weight, *others = basis.split(self.sizes, dim=2)
        outputs, inputs = self.shapes[0]
        first = (weight.reshape(-1, inputs) @ self.columns).view(len(basis), len(weights.T), -1)
        parts = []
        for some in weights.split(POINTS):
            mixed = [(some @ piece).flatten(0, 1) for piece in (first, *others)]
            parts.append(self._rest(mixed[0].view(-1, outputs, self.columns.shape[1]), mixed).view(len(basis), -1))
        return torch.cat(parts, 1)

    def _rest(self, hidden: Tensor, pieces: Sequence[Any]) -> Tensor:
        """Go on from the first layer's products ``(N, units, n)`` with the pieces of N vectors."""
        pieces = list(pieces[1:])
        for layer, shape in enumerate(self.shapes):
            if layer:
                hidden = torch.bmm(pieces.pop(0).view(-1, *shape), self.activation(hidden))
            if self.bias:
                hidden = hidden + pieces.pop(0).unsqueeze(2)
        target = self.labels.expand(len(hidden), -1)
        return cross_entropy(hidden, target, reduction="none").mean(1)


def _check_vectors(vectors: Tensor, size: int) -> None:
    if vectors.shape[-1] != size:
        raise UsageError(f"parameter vectors of this network have {size} entries, got shape {tuple(vectors.shape)}")
