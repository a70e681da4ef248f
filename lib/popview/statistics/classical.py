"""Tests of a difference, the paper's two and equivalence, in their textbook forms; Holm's correction."""

from math import sqrt

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from popview.statistics.results import (
    Array,
    Equivalence,
    Result,
    check_fraction,
    checked_sample,
    constant,
    float_array,
    paired_samples,
    pooled,
    rounding,
)


def mann_whitney(a: ArrayLike, b: ArrayLike, *, unit: str = "checkpoint") -> Result:
    """Mann–Whitney U test as the paper runs it: SciPy's defaults, two-sided, on pooled checkpoints.

    Checkpoints of one trajectory are not independent, so its p-value is not to be believed (see the page on five runs).

    Parameters
    ----------
    a, b : array_like
        Any shape; flattened. Values that are all equal give p = 1.
    unit : str

    Returns
    -------
    Result
        `estimate` is U / (n_a n_b), which is P(a > b) + P(a = b) / 2; no interval (see `a12`).

    Raises
    ------
    ValueError
        Where a group has fewer than two values, or one that is not finite.

    References
    ----------
    Mann & Whitney 1947, Annals of Mathematical Statistics 18, 50: ranks tell whether one of two variables is larger.

    Examples
    --------
    Of the nine pairs, `a` is above in eight:

    >>> from popview.statistics import mann_whitney
    >>> test = mann_whitney([3, 5, 6], [1, 2, 4])
    >>> round(test.estimate, 4), round(test.p_value, 4), test.n
    (0.8889, 0.2, (3, 3))
    """
    first, second = pooled(a, "a"), pooled(b, "b")
    test = scipy.stats.mannwhitneyu(first, second, alternative="two-sided")
    estimate = float(test.statistic) / (first.size * second.size)
    return Result(estimate, None, float(test.pvalue), (first.size, second.size), unit)


def t_test(
    a: ArrayLike, b: ArrayLike, *, equal_variances: bool = True, level: float = 0.95, unit: str = "checkpoint"
) -> Result:
    """Two-sample t test as the paper runs it: SciPy's defaults (Student's), two-sided, on pooled checkpoints.

    Parameters
    ----------
    a, b : array_like
        Any shape; flattened. Where both are constant, the limit of ever smaller spread is returned: p = 1 if they
        are equal, 0 if not, and an interval of length zero. Where one is, SciPy warns.
    equal_variances : bool
        False gives Welch's test.
    level : float
        Of the interval.
    unit : str

    Returns
    -------
    Result
        `estimate` is mean(a) − mean(b), with its t interval.

    Raises
    ------
    ValueError
        Where a group has fewer than two values, or one that is not finite.

    References
    ----------
    Student 1908, Biometrika 6, 1: the error of a mean when its variance is estimated too.

    Examples
    --------
    The means differ by 2. Both variances are 1, so that t = 2 / √(2/3) with 4 degrees of freedom:

    >>> from popview.statistics import t_test
    >>> test = t_test([3, 4, 5], [1, 2, 3])
    >>> test.estimate, round(test.p_value, 4), [round(end, 2) for end in test.interval]
    (2.0, 0.0705, [-0.27, 4.27])
    """
    check_fraction(level, "level")
    first, second = pooled(a, "a"), pooled(b, "b")
    n = (first.size, second.size)
    difference = float(first.mean() - second.mean())
    if constant(first) and constant(second):
        equal = constant(np.concatenate([first, second]))
        return Result(difference, (difference, difference), float(equal), n, unit)
    test = scipy.stats.ttest_ind(first, second, equal_var=equal_variances)
    low, high = test.confidence_interval(level)
    return Result(difference, (float(low), float(high)), float(test.pvalue), n, unit)


def holm(p_values: ArrayLike, *, family_size: int | None = None) -> Array:
    """Holm-adjusted p-values of one declared family.

    Parameters
    ----------
    p_values : array_like, shape (m,)
        NaN marks a test that could not be computed. It stays NaN and still counts as a member, as p = 1 would.
    family_size : int, optional
        Where the family has more members than are given; those that are missing count as p = 1.

    Returns
    -------
    array, shape (m,)

    Raises
    ------
    ValueError
        Where `p_values` is empty, no vector or outside [0, 1], or `family_size` is below m.

    References
    ----------
    Holm 1979, Scandinavian Journal of Statistics 6, 65: step-down Bonferroni, valid under any dependence.

    Examples
    --------
    The smallest p-value is multiplied by 3, the next by 2, the largest by 1; none falls below the one before:

    >>> from popview.statistics import holm
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    raw = float_array(p_values, "p_values")
    if raw.ndim != 1 or raw.size == 0 or np.any((raw < 0) | (raw > 1)):
        raise ValueError(f"p_values must be a vector of one or more numbers in [0, 1], got {p_values!r}")
    size = raw.size if family_size is None else family_size
    if size < raw.size:
        raise ValueError(f"family_size is {size}, but {raw.size} p-values are given")
    family = np.ones(size)
    family[: raw.size] = np.where(np.isnan(raw), 1, raw)
    order, adjusted = np.argsort(family), np.empty(size)  # statsmodels collects all garbage in each call: 0.2 s
    adjusted[order] = np.maximum.accumulate(family[order] * np.arange(size, 0, -1)).clip(max=1)
    return np.where(np.isnan(raw), np.nan, adjusted[: raw.size])


def mean_difference(
    a: ArrayLike, b: ArrayLike, *, paired: bool = False, level: float = 0.95, unit: str = "restart"
) -> Result:
    """Difference of means with its t interval: Welch's, or paired.

    Parameters
    ----------
    a, b : array_like, shapes (n_a,) and (n_b,)
        One value per restart. Without any spread the interval has length zero.
    paired : bool
        Entry i of both comes from seed i; of two pandas Series, entries of one label. One number as `b`, such as 0, is
        set against every entry of `a`: the t test of one sample.
    level : float
    unit : str

    Returns
    -------
    Result
        `estimate` is mean(a) − mean(b); the p-value is that of the t test whose interval it is.

    Raises
    ------
    ValueError
        As `tost`.

    References
    ----------
    Welch 1947, Biometrika 34, 28: groups of unequal variance.

    Examples
    --------
    >>> from popview.statistics import mean_difference
    >>> accuracy, reference = [91.0, 92.0, 93.0], [90.0, 90.5, 91.0]
    >>> result = mean_difference(accuracy, reference, paired=True)
    >>> result.estimate, [round(end, 2) for end in result.interval], result.n
    (1.5, [0.26, 2.74], (3,))
    """
    check_fraction(level, "level")
    first, second = paired_samples(a, b) if paired else (checked_sample(a, "a"), checked_sample(b, "b"))
    n = (first.size,) if paired else (first.size, second.size)
    difference = float(first.mean() - second.mean())
    if _no_spread(first, second, paired):
        p_value = float(abs(difference) <= rounding(first, second))
    else:
        error, freedom = _error_of_difference(first, second, paired)
        p_value = 2 * scipy.stats.t.sf(abs(difference) / error, freedom)
    return Result(difference, _t_interval(first, second, paired, 1 - level), float(p_value), n, unit)


def tost(
    a: ArrayLike, b: ArrayLike, margin: float, *, paired: bool = False, alpha: float = 0.05, unit: str = "restart"
) -> Equivalence:
    """Two one-sided t tests of equivalence: is the difference of means within ±margin? Welch's, or paired.

    Parameters
    ----------
    a, b : array_like, shapes (n_a,) and (n_b,)
        One value per restart. Without any spread, the limit of ever smaller spread is returned: p = 0 if the
        difference is within the margin, else 1, and an interval of length zero. (Two optimizers whose runs are bit
        for bit the same are equivalent.)
    margin : float
        Fixed before the run.
    paired : bool
        As for `mean_difference`.
    alpha : float
        The interval has level 1 − 2 alpha; it lies within ±margin just where p < alpha.
    unit : str

    Returns
    -------
    Equivalence
        `estimate` is mean(a) − mean(b); `p_value` the larger of the two one-sided ones.

    Raises
    ------
    ValueError
        Where a group is no vector, has fewer than two values, or one that is not finite; where the groups are paired
        and differ in length; where `margin` is not above 0.

    References
    ----------
    Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15, 657: equivalence is what must be shown.

    Examples
    --------
    Two optimizers whose means differ by 0.1 are equivalent within ±0.5, and not within ±0.15:

    >>> from popview.statistics import tost
    >>> a, b = [90.0, 90.1, 90.2, 90.1], [90.1, 90.2, 90.3, 90.2]
    >>> round(tost(a, b, 0.5).p_value, 4), round(tost(a, b, 0.15).p_value, 4)
    (0.0002, 0.2099)
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, got {alpha!r}")
    if not 0 < margin < np.inf:
        raise ValueError(f"margin must be a number above 0, got {margin!r}")
    first, second = paired_samples(a, b) if paired else (checked_sample(a, "a"), checked_sample(b, "b"))
    n = (first.size,) if paired else (first.size, second.size)
    difference = float(first.mean() - second.mean())
    interval = _t_interval(first, second, paired, 2 * alpha)
    if _no_spread(first, second, paired):
        p_value = float(abs(difference) >= margin)
    else:
        error, freedom = _error_of_difference(first, second, paired)
        p_value = scipy.stats.t.sf((margin - abs(difference)) / error, freedom)
    return Equivalence(difference, interval, float(p_value), n, unit, margin)


def _t_interval(a: Array, b: Array, paired: bool, alpha: float) -> tuple[float, float]:
    """Return the 1 − alpha interval of mean(a) − mean(b)."""
    if _no_spread(a, b, paired):
        return (float(a.mean() - b.mean()),) * 2
    difference = float((a - b).mean()) if paired else float(a.mean() - b.mean())
    error, freedom = _error_of_difference(a, b, paired)
    half = error * float(scipy.stats.t.ppf(1 - alpha / 2, freedom))
    return difference - half, difference + half


def _error_of_difference(a: Array, b: Array, paired: bool) -> tuple[float, float]:
    """Return the standard error of mean(a) − mean(b), and its degrees of freedom: n − 1 of pairs, else Welch's."""
    if paired:
        return float((a - b).std(ddof=1)) / sqrt(a.size), a.size - 1
    first, second = float(a.var(ddof=1)) / a.size, float(b.var(ddof=1)) / b.size
    freedom = (first + second) ** 2 / (first**2 / (a.size - 1) + second**2 / (b.size - 1))
    return sqrt(first + second), freedom


def _no_spread(a: Array, b: Array, paired: bool) -> bool:
    """Return whether the standard error of the difference is zero but for rounding."""
    if paired:
        return bool(np.ptp(a - b) <= rounding(a, b))
    return constant(a) and constant(b)
