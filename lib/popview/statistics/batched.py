"""The same tests on whole batches of data sets at once, for studies that need thousands of p-values.

A batch has shape ``(repeats, n)``: one data set per row. Each p-value is the one that the function of the same name
in `popview.statistics` gives for that row alone; tests hold them to that.
"""

from math import comb

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from popview.common.errors import check_name
from popview.common.seeds import draws
from popview.statistics.classical import t_test
from popview.statistics.permutation import _relabellings, _two_sided
from popview.statistics.results import Array, finite_array

ENUMERATED = 1000
"""Up to this many relabellings are enumerated (6 against 6 restarts: 924)."""

RESAMPLES = 999
"""Random relabellings where there are more than `ENUMERATED`, drawn anew for every `CHUNK` data sets."""

CHUNK = 500


def p_values(test: str, a: ArrayLike, b: ArrayLike, *, seed: int = 0) -> Array:
    """Return the two-sided p-value of each data set of a batch.

    Parameters
    ----------
    test : str
        A name of `popview.statistics.TESTS`: "Mann–Whitney", "t" and "permutation" are as `mann_whitney`, `t_test` and
        `exact_permutation` compute them; the last from `RESAMPLES` random relabellings where there are more than
        `ENUMERATED`.
    a, b : array_like, shapes (repeats, n_a) and (repeats, n_b)
    seed : int
        Of the random relabellings.

    Returns
    -------
    array, shape (repeats,)

    Raises
    ------
    UsageError
        Where the test is unknown.
    ValueError
        Where a batch is no matrix, they differ in length, or a group has fewer than two values or any not finite.
    """
    from popview.statistics import TESTS  # which lists the functions below, and others

    check_name("test", test, TESTS)
    return TESTS[test](*_batches(a, b), seed)


def equivalence_p_values(a: ArrayLike, b: ArrayLike, margin: float) -> Array:
    """Return the p-value of two one-sided Welch tests for each data set of a batch, as `tost` gives it.

    Parameters
    ----------
    a, b : array_like, shapes (repeats, n_a) and (repeats, n_b)
        Without spread in both, the p-value is NaN.
    margin : float

    Raises
    ------
    ValueError
        As `p_values`, and where `margin` is not above 0.
    """
    if not 0 < margin < np.inf:
        raise ValueError(f"margin must be a number above 0, got {margin!r}")
    first, second = _batches(a, b)
    parts = [group.var(axis=1, ddof=1) / group.shape[1] for group in (first, second)]
    error = np.sqrt(parts[0] + parts[1])
    with np.errstate(invalid="ignore"):
        freedom = error**4 / (parts[0] ** 2 / (first.shape[1] - 1) + parts[1] ** 2 / (second.shape[1] - 1))
        nearest = (margin - np.abs(first.mean(axis=1) - second.mean(axis=1))) / error
    return scipy.stats.t.sf(nearest, freedom)


def mann_whitney_batch(a: Array, b: Array, seed: int) -> Array:
    """Return the p-values of `mann_whitney` for two batches.

    SciPy's method is chosen row by row: given a batch, it takes one for all, by ties anywhere.
    """
    both = np.sort(np.concatenate([a, b], axis=1), axis=1)
    tied = (np.diff(both, axis=1) == 0).any(axis=1)
    found = np.empty(len(a))
    for rows in (tied, ~tied):
        if rows.any():
            found[rows] = scipy.stats.mannwhitneyu(a[rows], b[rows], axis=1).pvalue
    return found


def t_batch(a: Array, b: Array, seed: int) -> Array:
    """Return the p-values of `t_test` for two batches."""
    found, varied = np.empty(len(a)), (np.ptp(a, axis=1) > 0) | (np.ptp(b, axis=1) > 0)
    found[varied] = scipy.stats.ttest_ind(a[varied], b[varied], axis=1).pvalue
    for row in np.flatnonzero(~varied):
        found[row] = t_test(a[row], b[row]).p_value
    return found


def permutation_batch(a: Array, b: Array, seed: int) -> Array:
    """Return the p-values of `exact_permutation` for two batches.

    Each is twice the smaller tail over the relabellings, ours among them; ties as in `exact_permutation`.
    """
    values, n_a = np.concatenate([a, b], axis=1), a.shape[1]
    spread = np.ptp(values, axis=1, keepdims=True)
    scaled = (values - values.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    exact = comb(values.shape[1], n_a) <= ENUMERATED
    generator = draws(seed)
    found = []
    for start in range(0, len(values), CHUNK):
        weights = _relabellings(n_a, b.shape[1]) if exact else _drawn(generator, n_a, b.shape[1])
        found.append(_two_sided(scaled[start : start + CHUNK] @ weights.T))
    return np.concatenate(found)


def _drawn(generator: np.random.Generator, n_a: int, n_b: int) -> Array:
    """Return the weights of `RESAMPLES` random relabellings, below the observed one."""
    ours = np.concatenate([np.full(n_a, 1 / n_a), np.full(n_b, -1 / n_b)])
    return np.concatenate([ours[None], generator.permuted(np.tile(ours, (RESAMPLES, 1)), axis=1)])


def _batches(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    first, second = finite_array(a, "a"), finite_array(b, "b")
    for group, name in ((first, "a"), (second, "b")):
        if group.ndim != 2 or group.shape[1] < 2:
            raise ValueError(f"{name} must have shape (repeats, 2 or more), got {group.shape}")
    if len(first) != len(second):
        raise ValueError(f"a has {len(first)} data sets and b {len(second)}")
    return first, second
