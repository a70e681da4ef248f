"""Functions with known minima, and where restarts end on them."""

from popview.landscapes.functions import LANDSCAPES, Landscape, Minimum, get, two_well

__all__ = ["LANDSCAPES", "Landscape", "Minimum", "get", "two_well"]
