"""Intervals by the jackknife: what the result would be without each restart in turn."""

from math import sqrt

from numpy.typing import ArrayLike

from popview.statistics.results import Result, checked_sample, student


def jackknife(estimate: float, left_out: ArrayLike, *, level: float = 0.95, unit: str = "restart") -> Result:
    """Return an estimate with the interval that its values without one restart each give.

    The variance is (n − 1) / n · Σ (without i − their mean)². Of a mean it is the usual one, so that the interval is
    that of the t test. Of a mean over all groups of k restarts, such as ensembles of k, it takes into account that two
    groups share restarts; it is too large on average rather than too small.

    Parameters
    ----------
    estimate : float
        From all n restarts.
    left_out : array_like, shape (n,)
        From all but one restart, for each of them.
    level : float
    unit : str

    Returns
    -------
    Result
        `n` counts the restarts. The p-value is that of the t test against 0, with n − 1 degrees of freedom.

    Raises
    ------
    ValueError
        Where there are fewer than two values, or one is not finite.

    References
    ----------
    Arvesen 1969, Annals of Mathematical Statistics 40, 2076: the jackknife of means over groups (U-statistics).
    Efron & Stein 1981, Annals of Statistics 9, 586: its variance is biased upwards.

    Examples
    --------
    Of the mean of 1, 2 and 6 it gives the interval of the t test:

    >>> from popview.statistics import jackknife
    >>> result = jackknife(3.0, [4.0, 3.5, 1.5])
    >>> [round(end, 3) for end in result.interval]
    [-3.572, 9.572]
    """
    variance, number = _variance(left_out, "left_out")
    return student(estimate, sqrt(variance), number - 1, level, (number,), unit)


def jackknife_apart(
    a: float, a_left_out: ArrayLike, b: float, b_left_out: ArrayLike, *, level: float = 0.95, unit: str = "restart"
) -> Result:
    """Return the difference a − b of two estimates that share no restart, with its interval.

    Of two means it is Welch's t interval.

    Parameters
    ----------
    a, b : float
    a_left_out, b_left_out : array_like
        As in `jackknife`, of each.
    level : float
    unit : str

    Raises
    ------
    ValueError
        As `jackknife`.

    Examples
    --------
    >>> from popview.statistics import jackknife_apart
    >>> result = jackknife_apart(3.0, [4.0, 3.5, 1.5], 1.0, [1.0, 1.0, 1.0])
    >>> result.estimate, [round(end, 3) for end in result.interval]
    (2.0, [-4.572, 8.572])
    """
    first, n_a = _variance(a_left_out, "a_left_out")
    second, n_b = _variance(b_left_out, "b_left_out")
    below = first**2 / (n_a - 1) + second**2 / (n_b - 1)
    freedom = (first + second) ** 2 / below if below > 0 else 1.0
    return student(a - b, sqrt(first + second), freedom, level, (n_a, n_b), unit)


def _variance(left_out: ArrayLike, name: str) -> tuple[float, int]:
    """Return the jackknife's variance, and how many restarts there are."""
    values = checked_sample(left_out, name)
    return float(((values - values.mean()) ** 2).sum()) * (len(values) - 1) / len(values), len(values)
