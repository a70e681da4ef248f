"""Restarts crossed with test examples: intervals for both at once, and the spread that the examples explain."""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from popview.statistics.results import Array, Result, finite_array, student


def crossed_mean(values: ArrayLike, *, level: float = 0.95) -> Result:
    """Return the mean of restarts × examples, with an interval for other restarts and other examples.

    An interval over restarts alone holds for the test examples at hand. This one adds how much the mean would move if
    other examples had been drawn: both are random effects of a two-way table with one value per cell, and the variance
    of the mean is (MS restarts + MS examples − MS rest) / (restarts · examples), but never less than that of one of the
    two alone.

    Parameters
    ----------
    values : array_like, shape (restarts, examples)
        One value per restart and example, such as 1 where the prediction is right, or the difference of two algorithms
        that were trained with the same seeds.
    level : float

    Returns
    -------
    Result
        `n` is (restarts, examples). The p-value is that of the same t test against 0.

    Raises
    ------
    ValueError
        Where `values` is not a matrix of two rows and columns or more, or has values that are not finite.

    References
    ----------
    Satterthwaite 1946, Biometrics Bulletin 2, 110: degrees of freedom of a sum of mean squares.
    Searle, Casella & McCulloch 1992, Variance Components, chapter 4: the two-way table of random effects.

    Examples
    --------
    Two restarts agree on the mean, but three examples do not, and other examples would have given another one:

    >>> from popview.statistics import crossed_mean
    >>> result = crossed_mean([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    >>> result.estimate, [round(end, 2) for end in result.interval], result.n
    (1.0, [-1.48, 3.48], (2, 3))
    """
    table = _matrix(values)
    restarts, examples = table.shape
    mean = float(table.mean())
    rows, columns = table.mean(1, keepdims=True), table.mean(0, keepdims=True)
    degrees = np.array([restarts - 1, examples - 1, (restarts - 1) * (examples - 1)])
    squares = np.array([examples * ((rows - mean) ** 2).sum(), restarts * ((columns - mean) ** 2).sum(), 0.0])
    squares[2] = ((table - rows - columns + mean) ** 2).sum()
    by_restart, by_example, rest = parts = squares / degrees / table.size
    both = by_restart + by_example - rest
    if both >= max(by_restart, by_example):
        variance, freedom = both, both**2 / (parts**2 / degrees).sum() if both > 0 else 1.0
    else:
        variance = max(by_restart, by_example)
        freedom = degrees[int(by_example > by_restart)]
    return student(mean, sqrt(variance), freedom, level, (restarts, examples), "restart and example")


def spread_of_scores(right: ArrayLike) -> tuple[float, float]:
    """Return the standard deviation of accuracies over restarts, and the one that independent errors would give.

    If a restart got each example right independently of the others, with the example's own probability, accuracies
    would scatter by √(Σ p (1 − p)) / examples. What is observed beyond that is what makes one model better than
    another; the rest is luck on these examples.

    Parameters
    ----------
    right : array_like of bool, shape (restarts, examples)

    Returns
    -------
    (float, float)
        Observed and expected, as fractions of the examples. p (1 − p) is estimated without bias: n / (n − 1) times
        that of the restarts' share.

    Raises
    ------
    ValueError
        As `crossed_mean`, or where a value is neither 0 nor 1.

    References
    ----------
    Jordan 2024, arXiv 2304.01910, section 3: the spread of test accuracy between runs is mostly this.

    Examples
    --------
    >>> from popview.statistics import spread_of_scores
    >>> [round(sd, 4) for sd in spread_of_scores([[1, 0, 1, 1], [0, 1, 1, 1]])]
    [0.0, 0.25]
    """
    table = _matrix(right)
    if not np.isin(table, (0, 1)).all():
        raise ValueError("right must hold 0 and 1 only")
    variance = float(table.var(axis=0, ddof=1).sum())
    return float(table.mean(1).std(ddof=1)), sqrt(variance) / table.shape[1]


def _matrix(values: ArrayLike) -> Array:
    """Return values as floats ``(restarts, examples)``, both 2 or more, all finite."""
    table = finite_array(values, "values")
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(f"values must be (restarts, examples) with 2 or more of both, got shape {table.shape}")
    return table
