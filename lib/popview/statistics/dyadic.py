"""Means over pairs: pairs that share a member are not independent."""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from popview.statistics.results import Result, finite_array, student


def dyadic_mean(values: ArrayLike, pairs: ArrayLike, *, level: float = 0.95, unit: str = "solution") -> Result:
    """Return the mean of values of pairs, with an interval that holds where pairs that share a member are alike.

    The variance of the mean sums the products of the residuals of all pairs of pairs with a common member. Values of
    one pair, in either order of its members, belong together. The variance is never taken as smaller than for
    independent pairs. Student's t has as many degrees of freedom as there are members, less one.

    Parameters
    ----------
    values : array_like, shape (n,)
        One value per pair, such as the height of a barrier, or the difference of two such heights.
    pairs : array_like of int, shape (n, 2)
        The two members of each pair.
    level : float
    unit : str

    Returns
    -------
    Result
        `n` counts the members. The p-value is that of the t test against 0.

    Raises
    ------
    ValueError
        Where shapes do not fit, a pair joins a member with itself, fewer than three members are in pairs, or a value is
        not finite.

    References
    ----------
    Aronow, Samii & Assenova 2015, Political Analysis 23, 564: the cluster-robust variance of dyadic data, equation 5.

    Examples
    --------
    >>> from popview.statistics import dyadic_mean
    >>> result = dyadic_mean([1.0, 2.0, 3.0, 2.0], [[0, 1], [0, 2], [1, 2], [2, 3]])
    >>> result.estimate, result.n
    (2.0, (4,))
    """
    numbers, ends = finite_array(values, "values"), np.asarray(pairs)
    if numbers.ndim != 1 or ends.shape != (len(numbers), 2) or not np.issubdtype(ends.dtype, np.integer):
        raise ValueError(f"values and pairs must have shapes (n,) and (n, 2), got {numbers.shape} and {ends.shape}")
    if (ends[:, 0] == ends[:, 1]).any():
        raise ValueError("a pair joins a member with itself")
    names, places = np.unique(ends, return_inverse=True)
    if len(names) < 3:
        raise ValueError(f"pairs must have 3 members or more, got {len(names)}")
    residuals = numbers - numbers.mean()
    sums = np.bincount(places.ravel(), weights=np.repeat(residuals, 2))
    _, pair = np.unique(np.sort(ends, axis=1), axis=0, return_inverse=True)
    alone = float((np.bincount(pair.ravel(), weights=residuals) ** 2).sum())
    error = sqrt(max(float((sums**2).sum()) - alone, alone)) / len(numbers)
    return student(float(numbers.mean()), error, len(names) - 1, level, (len(names),), unit)
