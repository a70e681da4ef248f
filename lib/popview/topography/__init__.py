"""Topography of loss landscapes (arXiv 2602.21276): low paths between solutions, and where solutions lie.

>>> from popview.topography import FourierPathFinder, network_loss
>>> path = FourierPathFinder(network_loss(model, images, labels), steps=200).fit(start, end)
>>> path.height, path.rise, path.straight_height
"""

from popview.landscapes.passes import lowest_passes
from popview.topography.fourier_paths import OBJECTIVES, Bend, FourierPath, FourierPathFinder, Profile, profile
from popview.topography.kernel_pca import KERNELS, Components, coordinates, distances, gram, kernel_pca, norms
from popview.topography.pair_bootstrap import difference, mean, random_pairs
from popview.topography.unit_matching import Match, match, permute
from popview.topography.vector_losses import PerceptronLoss, network_loss

__all__ = [
    "KERNELS",
    "OBJECTIVES",
    "Bend",
    "Components",
    "FourierPath",
    "FourierPathFinder",
    "Match",
    "PerceptronLoss",
    "Profile",
    "coordinates",
    "difference",
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
]
