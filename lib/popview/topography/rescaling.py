"""Dinh et al.'s rescaling: other weights, the same function, and other measures of flatness."""

from collections.abc import Sequence

import torch
from torch import Tensor


def scales_of(layers: int, factor: float, hidden: int = 0) -> list[tuple[float, float]]:
    """Return what the weights and biases of each layer are multiplied by.

    A ReLU layer commutes with factors above 0: φ(α x) = α φ(x). So one layer's weights and biases may be multiplied by
    α, and the next layer's weights divided by it.

    Parameters
    ----------
    layers : int
        With weights and biases each.
    factor : float
        α, above 0.
    hidden : int
        The layer that is multiplied; any but the last.

    Raises
    ------
    ValueError
        If the factor is not above 0, or no layer comes after that one.

    References
    ----------
    Dinh et al. 2017, arXiv 1703.04933, definition 5 and theorem 2.

    Examples
    --------
    >>> from popview.topography.rescaling import scales_of
    >>> scales_of(2, 4.0)
    [(4.0, 4.0), (0.25, 1.0)]
    """
    if not factor > 0:
        raise ValueError(f"factor must be above 0, got {factor!r}")
    if not 0 <= hidden < layers - 1:
        raise ValueError(f"hidden must be between 0 and {layers - 2}, a layer with another after it, got {hidden!r}")
    scales = [(1.0, 1.0)] * layers
    scales[hidden], scales[hidden + 1] = (factor, factor), (1 / factor, 1.0)
    return scales


@torch.no_grad()
def rescale(parameters: Sequence[Tensor], factor: float, hidden: int = 0) -> None:
    """Rescale the weights of a ReLU network in place; its function stays, up to rounding.

    If D are the factors of the single parameters, a gradient g becomes g / D and the Hessian H becomes D⁻¹ H D⁻¹.
    With α far from 1 the trace and the largest eigenvalue become as large as one likes (theorem 4). Measures relative
    to the weights (`popview.topography.flatness.adaptive_sharpness, average_sharpness`) stay as they are.

    Parameters
    ----------
    parameters : sequence of Tensor
        Weights and biases of the layers in turn, of one model or a population, such as those of
        `popview.tasks.digits.Digits`.
    factor, hidden
        See `scales_of`.

    Raises
    ------
    ValueError
        As `scales_of`, or if the number of tensors is odd.

    Examples
    --------
    >>> import torch
    >>> from popview.topography.rescaling import rescale
    >>> layers = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> before = layers(torch.ones(1, 2))
    >>> rescale(list(layers.parameters()), 8.0)
    >>> torch.allclose(layers(torch.ones(1, 2)), before)
    True
    """
    if len(parameters) % 2:
        raise ValueError(f"parameters must be weights and biases in turn, got {len(parameters)} tensors")
    scales = [scale for pair in scales_of(len(parameters) // 2, factor, hidden) for scale in pair]
    for tensor, scale in zip(parameters, scales, strict=True):
        tensor.mul_(scale)
