"""Looking at the data more than once: what level is left at each look, and a Holm family under it."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import e, log, sqrt

import numpy as np
import scipy.optimize
import scipy.stats
from numpy.typing import ArrayLike

from popview.statistics.results import Array, check_fraction, float_array

#: Points of the Gauss–Legendre rule between two boundaries.
NODES = 200

#: Where no boundary stops a statistic, this many standard deviations hold all of its probability that counts.
FAR = 10.0


def spent(fraction: float, level: float) -> float:
    """Return how much of a level may have been used when a fraction of the planned restarts has been seen.

    Parameters
    ----------
    fraction : float
        Between 0 and 1.
    level : float
        Of all looks together.

    References
    ----------
    Lan & DeMets 1983, Biometrika 70, 659: the spending function of Pocock's type, level · ln(1 + (e − 1) fraction).

    Examples
    --------
    >>> from popview.statistics import spent
    >>> round(spent(1 / 3, 0.05), 4), round(spent(1.0, 0.05), 4)
    (0.0226, 0.05)
    """
    check_fraction(level, "level")
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction!r}")
    return level * log(1 + (e - 1) * fraction)


def look_levels(restarts: Sequence[int], level: float, *, two_sided: bool = True) -> list[float]:
    """Return the p-value at or below which a test rejects at each look, so that all looks together keep the level.

    The levels are those of a normal statistic of so many restarts, seen as they accumulate. They are applied to the
    p-values of t tests: with 10 restarts and more that changes the level of the whole by a few thousandths (a test
    measures it).

    Parameters
    ----------
    restarts : sequence of int
        Per look, growing; the last is the planned number.
    level : float
    two_sided : bool
        Whether the test rejects on both sides. Each of two one-sided tests of equivalence rejects on one.

    Returns
    -------
    list of float
        One level per look. A single look has `level` itself.

    Raises
    ------
    ValueError
        Where `restarts` is empty, does not grow, or begins below 2.

    References
    ----------
    Armitage, McPherson & Rowe 1969, Journal of the Royal Statistical Society A 132, 235: the integrals over looks.
    Jennison & Turnbull 2000, Group Sequential Methods, chapters 7 and 19.

    Examples
    --------
    Three looks at 10, 20 and 30 restarts, instead of one at 5 %:

    >>> from popview.statistics import look_levels
    >>> [round(p, 4) for p in look_levels([10, 20, 30], 0.05)]
    [0.0226, 0.0217, 0.0217]
    """
    check_fraction(level, "level")
    sizes = tuple(int(n) for n in restarts)
    if not sizes or sizes[0] < 2 or any(b <= a for a, b in pairwise(sizes)):
        raise ValueError(f"restarts must be numbers from 2 that grow from look to look, got {list(restarts)}")
    return list(_look_levels(sizes, level, two_sided))


@lru_cache
def _look_levels(sizes: tuple[int, ...], level: float, two_sided: bool) -> tuple[float, ...]:
    """Return the levels: at each look the boundary that spends what the spending function has freed since the last."""
    sides, levels, before = 1 + two_sided, [], 0.0
    points, weights, width = np.zeros(1), np.ones(1), 0  # of the sum of all restarts that has not crossed a boundary
    for size in sizes:
        freed = spent(size / sizes[-1], level) - before
        before += freed
        step = sqrt(size - width)
        bound = scipy.optimize.brentq(
            _excess, 0.0, FAR, args=(size, points, weights, step, two_sided, freed), xtol=1e-12
        )
        levels.append(sides * float(scipy.stats.norm.sf(bound)))
        nodes, steps = np.polynomial.legendre.leggauss(NODES)
        low, high = (-bound if two_sided else -FAR) * sqrt(size), bound * sqrt(size)
        reached = (high - low) / 2 * nodes + (high + low) / 2
        density = scipy.stats.norm.pdf((reached[:, None] - points) / step) / step
        weights = (high - low) / 2 * steps * (density @ weights)
        points, width = reached, size
    return tuple(levels)


def _excess(
    bound: float, size: int, points: Array, weights: Array, step: float, two_sided: bool, freed: float
) -> float:
    """Return how far the probability of crossing a boundary at this look, and not before, exceeds what is freed."""
    above = scipy.stats.norm.sf((bound * sqrt(size) - points) / step)
    below = scipy.stats.norm.cdf((-bound * sqrt(size) - points) / step) if two_sided else 0.0
    return float(weights @ (above + below)) - freed


def sequential_holm(
    p_values: ArrayLike, restarts: Sequence[int], level: float, *, two_sided: bool = True
) -> list[int | None]:
    """Return at which look each hypothesis of a family is rejected first.

    At a look, hypotheses are rejected while one of those left has a p-value at or below the look's level for
    ``level / (number left)``. A rejection stays.

    Parameters
    ----------
    p_values : array_like, shape (looks, hypotheses)
        The looks so far: as many as `restarts`, or fewer.
    restarts, level, two_sided : see `look_levels`

    Returns
    -------
    list of int or None
        Per hypothesis the look, from 0; None where it has not been rejected.

    Raises
    ------
    ValueError
        Where there are more looks than planned, or a p-value is not between 0 and 1.

    References
    ----------
    Ye, Li, Liu & Yao 2013, Statistics in Medicine 32, 1112: a group sequential Holm procedure.

    Examples
    --------
    The first hypothesis falls at the first look. The second then has the whole level, and falls at the second look:

    >>> from popview.statistics import sequential_holm
    >>> sequential_holm([[0.001, 0.04], [0.002, 0.02]], [10, 20, 30], 0.05)
    [0, 1]
    >>> sequential_holm([[0.3, 0.04], [0.2, 0.02]], [10, 20, 30], 0.05)
    [None, None]
    """
    table = float_array(p_values, "p_values")
    if table.ndim != 2 or len(table) > len(restarts) or not ((table >= 0) & (table <= 1)).all():
        raise ValueError(f"p_values must be (looks, hypotheses) between 0 and 1, {len(restarts)} looks or fewer")
    rejected: list[int | None] = [None] * table.shape[1]
    for look, row in enumerate(table):
        while left := [place for place, seen in enumerate(rejected) if seen is None]:
            bound = look_levels(restarts, level / len(left), two_sided=two_sided)[look]
            lowest = min(left, key=lambda place: row[place])
            if row[lowest] > bound:
                break
            rejected[lowest] = look
    return rejected
