"""Topography of loss landscapes (arXiv 2602.21276): low paths between solutions, and where solutions lie.

>>> import torch
>>> from popview.topography import FourierPathFinder, network_loss
>>> model, images, labels = torch.nn.Linear(2, 2), torch.eye(2), torch.tensor([0, 1])
>>> start, end = 3 * torch.eye(6)[0], 3 * torch.eye(6)[3]
>>> path = FourierPathFinder(network_loss(model, images, labels), steps=20).fit(start, end)
>>> path.rise <= path.straight_rise
tensor(True)
"""

from popview.landscapes.passes import lowest_passes
from popview.topography.fourier_paths import OBJECTIVES, FourierPath, FourierPathFinder, Profile, profile
from popview.topography.kernel_pca import KERNELS, coordinates, distances, gram, kernel_pca, norms
from popview.topography.pair_bootstrap import mean, random_pairs
from popview.topography.settled_paths import SettledPaths, settle
from popview.topography.unit_matching import Match, match, permute
from popview.topography.vector_losses import PerceptronLoss, network_loss

__all__ = [
    "KERNELS",
    "OBJECTIVES",
    "FourierPath",
    "FourierPathFinder",
    "Match",
    "PerceptronLoss",
    "Profile",
    "SettledPaths",
    "coordinates",
    "distances",
    "gram",
    "kernel_pca",
    "lowest_passes",
    "match",
    "mean",
    "network_loss",
    "norms",
    "permute",
    "profile",
    "random_pairs",
    "settle",
]
