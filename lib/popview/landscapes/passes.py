"""The true lowest passes between the minima of a landscape whose saddles are known: what path finders should find."""

import torch
from torch import Tensor

from popview.landscapes.functions import Landscape


def lowest_passes(landscape: Landscape) -> Tensor:
    """Return for each pair of minima the height of the lowest path between them: the highest saddle on the best route.

    Two minima are neighbours over a saddle when the descents along its two downhill directions end in them.

    Returns
    -------
    Tensor of shape ``(minima, minima)``
        In the order of ``landscape.minima``; a minimum's own value on the diagonal; ∞ where no known saddles connect.

    Examples
    --------
    The saddle at (0, 0) of six-hump camel, where the value is 0, is the lowest pass between its two global minima.

    >>> from popview.landscapes import get
    >>> from popview.topography import lowest_passes
    >>> passes = lowest_passes(get("six-hump-camel"))
    >>> round(passes[0, 0].item(), 4), round(passes[0, 1].item(), 4)
    (-1.0316, 0.0)
    """
    saddles = torch.tensor(landscape.saddles, dtype=torch.float64).reshape(-1, landscape.dimension)
    downhill = torch.linalg.eigh(landscape.hessian(saddles))[1][..., 0]
    sides = [landscape.nearest(landscape.polish(saddles + step * downhill))[0] for step in (-1e-3, 1e-3)]
    minima = len(landscape.minima)
    lowest = torch.full((minima, minima), torch.inf, dtype=torch.float64)
    for i, minimum in enumerate(landscape.minima):
        lowest[i, i] = minimum.value
    for left, right, height in zip(*(side.tolist() for side in sides), landscape(saddles).tolist(), strict=True):
        if left != right:
            lowest[left, right] = lowest[right, left] = min(float(lowest[left, right]), height)
    for via in range(minima):  # Floyd and Warshall's recursion, with the maximum in place of the sum
        lowest = torch.minimum(lowest, torch.maximum(lowest[:, via : via + 1], lowest[via : via + 1]))
    return lowest
