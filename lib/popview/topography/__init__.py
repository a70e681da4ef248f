"""Topography of loss landscapes (arXiv 2602.21276): low paths between solutions, and where solutions lie.

>>> from popview.topography import FourierPathFinder, network_loss
>>> path = FourierPathFinder(network_loss(model, images, labels), steps=200).fit(start, end)
>>> path.height, path.rise, path.straight_height
"""

from popview.topography.barriers import difference, mean, random_pairs
from popview.topography.kernels import KERNELS, Components, coordinates, distances, gram, kernel_pca, norms
from popview.topography.matching import Match, match, permute
from popview.topography.networks import PerceptronLoss, network_loss
from popview.topography.passes import lowest_passes
from popview.topography.paths import OBJECTIVES, Bend, FourierPath, FourierPathFinder, Profile, profile

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
