"""How far a share changes when the same restarts are run in another way: paired proportions, for many cells at once."""

from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from popview.statistics.results import Array


class PairedChange(NamedTuple):
    """Changes of a share, one per cell.

    Attributes
    ----------
    estimate, low, high : ndarray
        The change and the ends of its interval, from −1 to 1; NaN where there are no trials.
    p_value : ndarray
        Of McNemar's exact test that gains and losses are equally probable; 1 where nothing changed.

    Examples
    --------
    >>> from popview.statistics import paired_change
    >>> paired_change([3, 8], [3, 0], [40, 40]).estimate.tolist()
    [0.0, 0.2]
    """

    estimate: Array
    low: Array
    high: Array
    p_value: Array


def paired_change(gains: ArrayLike, losses: ArrayLike, trials: ArrayLike, *, level: float = 0.95) -> PairedChange:
    """Estimate by how much a share changes between two runs of the same restarts.

    Parameters
    ----------
    gains, losses : array of int
        Restarts that have the property in the second run alone, and in the first alone.
    trials : array of int
        All restarts.
    level : float
        Of the intervals: Wald's, after one restart is added to the gains and one to the losses (Bonett and Price 2012).
        With 100 restarts and more they cover 93.5 % at least.

    Raises
    ------
    ValueError
        If a count is negative, or gains and losses together exceed the trials.

    References
    ----------
    McNemar 1947, Psychometrika 12, 153; Bonett and Price 2012, Journal of Educational and Behavioral Statistics
    37, 479.

    Examples
    --------
    Six of 100 restarts have moved, all to the same side: 2 · 0.5⁶ is the probability of that by chance.

    >>> from popview.statistics import paired_change
    >>> found = paired_change([6], [0], [100])
    >>> found.estimate.item(), found.p_value.item()
    (0.06, 0.03125)
    """
    gained, lost, number = (np.asarray(values, dtype=float) for values in (gains, losses, trials))
    if (np.minimum(gained, lost) < 0).any() or (gained + lost > number).any():
        raise ValueError("gains and losses must be 0 or above, and together at most the trials")
    discordant = gained + lost
    p_value = np.minimum(1, 2 * scipy.stats.binom.cdf(np.minimum(gained, lost), discordant, 0.5))
    with np.errstate(invalid="ignore"):
        estimate = np.where(number > 0, (gained - lost) / np.where(number > 0, number, 1), np.nan)
    middle, size = (gained - lost) / (number + 2), number + 2
    error = np.sqrt((discordant + 2) / size - middle**2) / np.sqrt(size)
    reach = scipy.stats.norm.ppf((1 + level) / 2) * error
    low, high = np.maximum(middle - reach, -1), np.minimum(middle + reach, 1)
    there = number > 0
    return PairedChange(estimate, np.where(there, low, np.nan), np.where(there, high, np.nan), p_value)
