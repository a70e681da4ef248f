"""Permutation tests on restarts: exact while all relabellings can be listed, which is where restarts are few."""

from functools import lru_cache
from itertools import combinations, product
from math import comb

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from popview.common.seeds import checked_seed, draws
from popview.statistics.results import Array, Result, checked_sample, paired_samples

ENUMERATED = 200_000
"""Up to this many relabellings are enumerated: 10 against 10 restarts (184,756), or 17 pairs (131,072)."""

RESAMPLES = 99_999
"""Random relabellings where there are more than `ENUMERATED`."""


def exact_permutation(
    a: ArrayLike, b: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0, unit: str = "restart"
) -> Result:
    """Permutation test of a difference of means between two independent groups of restarts.

    It tests that the two groups have one distribution. Where their spreads are 3 : 1 and their means equal, five
    restarts a side are wholly separated (p = 0.0079) twice as often as that, in 1.6 % of cases.

    Exact: all relabellings are enumerated up to `ENUMERATED` of them; above, `resamples` are drawn by SciPy. The
    p-value is twice the smaller tail, 1 at most; differences that agree to 1e-9 of the data's range are ties.

    Parameters
    ----------
    a, b : array_like, shapes (n_a,) and (n_b,)
        One value per restart. Values that are all equal give p = 1.
    resamples, seed : int
        Of the random relabellings; unused where all are enumerated.
    unit : str

    Returns
    -------
    Result
        `estimate` is mean(a) − mean(b); no interval (see `hodges_lehmann`).

    Raises
    ------
    ValueError
        Where a group is no vector, has fewer than two values, or one that is not finite.

    References
    ----------
    Fisher 1935, The Design of Experiments: the labels were exchangeable if the treatment did nothing.

    Examples
    --------
    Every value of `a` is above every one of `b`. Of the 252 relabellings of 5 + 5 values only this one and its mirror
    image are so extreme:

    >>> from popview.statistics import exact_permutation
    >>> test = exact_permutation([6, 7, 8, 9, 10], [1, 2, 3, 4, 5])
    >>> test.estimate, round(test.p_value, 6) == round(2 / 252, 6)
    (5.0, True)
    """
    first, second = checked_sample(a, "a"), checked_sample(b, "b")
    n = (first.size, second.size)
    scaled = _scaled(np.concatenate([first, second]))
    if comb(sum(n), n[0]) <= ENUMERATED:
        p_value = float(_two_sided(_relabellings(*n) @ scaled))
    else:
        p_value = _sampled(scaled[: n[0]], scaled[n[0] :], resamples, seed)
    return Result(float(first.mean() - second.mean()), None, p_value, n, unit)


def paired_permutation(
    a: ArrayLike, b: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0, unit: str = "restart"
) -> Result:
    """Sign-flip test of the mean difference between restarts that share a seed.

    Exact up to 17 pairs, above that with `resamples` sign vectors drawn at random; p-value and ties as in
    `exact_permutation`.

    Parameters
    ----------
    a, b : array_like, shape (n,)
        Entry i of both comes from seed i; of two pandas Series, entries of one label. Differences that are all
        zero give p = 1.
    resamples, seed : int
        Of the random sign vectors; unused where all are enumerated.
    unit : str

    Returns
    -------
    Result
        `estimate` is mean(a − b); no interval (see `hodges_lehmann_paired`).

    Raises
    ------
    ValueError
        As `exact_permutation`, and where the groups differ in length.

    References
    ----------
    Fisher 1935, The Design of Experiments: each pair could as well have come the other way round.

    Examples
    --------
    Three differences, all positive. Of the 8 ways to give them signs only this one and its mirror image are so extreme:

    >>> from popview.statistics import paired_permutation
    >>> test = paired_permutation([3, 5, 6], [1, 2, 5])
    >>> test.estimate, test.p_value
    (2.0, 0.25)
    """
    first, second = paired_samples(a, b)
    largest = np.abs(first - second).max()
    scaled = (first - second) / (largest if largest > 0 else 1)
    if 2**scaled.size <= ENUMERATED:
        p_value = float(_two_sided(_sign_flips(scaled.size) @ scaled))
    else:
        drawn = np.concatenate([flips @ scaled for flips in _drawn_flips(scaled.size, resamples, checked_seed(seed))])
        p_value = float(_two_sided(drawn / scaled.size, float(scaled.mean())))
    return Result(float((first - second).mean()), None, p_value, (scaled.size,), unit)


def smallest_p(n_a: int, n_b: int) -> float:
    """Return the smallest p-value that `exact_permutation` can give for groups of these sizes.

    It is 2 / C(n_a + n_b, n_a): 0.0079 for 5 against 5. Where relabellings are drawn it can't fall below
    2 / (`RESAMPLES` + 1).

    Raises
    ------
    ValueError
        Where a size is below 2.

    Examples
    --------
    >>> from popview.statistics import smallest_p
    >>> round(smallest_p(5, 5), 4)
    0.0079
    """
    _check_size(n_a, "n_a")
    _check_size(n_b, "n_b")
    return _smallest(comb(n_a + n_b, n_a))


def smallest_p_paired(n: int) -> float:
    """Return the smallest p-value that `paired_permutation` can give for `n` pairs: 2 / 2ⁿ, 0.0625 for 5.

    Raises
    ------
    ValueError
        Where `n` is below 2.

    Examples
    --------
    >>> from popview.statistics import smallest_p_paired
    >>> smallest_p_paired(5)
    0.0625
    """
    _check_size(n, "n")
    return _smallest(2**n)


def _check_size(size: int, name: str) -> None:
    if size < 2:
        raise ValueError(f"{name} is {size}, needs 2 or more")


def _smallest(relabellings: int) -> float:
    return 2 / (relabellings if relabellings <= ENUMERATED else RESAMPLES + 1)


def _scaled(values: Array) -> Array:
    """Return `values` moved to mean 0 and divided by their range, so that one tolerance fits all data."""
    spread = np.ptp(values)
    return (values - values.mean()) / (spread if spread > 0 else 1)


@lru_cache(maxsize=8)
def _relabellings(n_a: int, n_b: int) -> Array:
    """Return the weights, shape (relabellings, n_a + n_b), that give each difference of means; the first is ours."""
    members = np.array(list(combinations(range(n_a + n_b), n_a)))
    weights = np.full((len(members), n_a + n_b), -1 / n_b)
    np.put_along_axis(weights, members, 1 / n_a, axis=1)
    return weights


@lru_cache(maxsize=8)
def _sign_flips(n: int) -> Array:
    """Return the weights, shape (2ⁿ, n), that give each mean difference; the first is ours."""
    return np.array(list(product((1.0, -1.0), repeat=n))) / n


@lru_cache(maxsize=2)
def _drawn_flips(n: int, resamples: int, seed: int) -> list[Array]:
    """Return random signs, shape (resamples, n) in parts that bound the memory of a product with them."""
    signs = np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), (resamples, n))
    return np.array_split(signs, -(-signs.size // 2_000_000))


def _two_sided(differences: Array, observed: float | None = None) -> Array:
    """Return twice the smaller tail over the last axis: of all relabellings, ours first, or of drawn ones and ours."""
    drawn = int(observed is not None)
    ours = differences[..., :1] if observed is None else observed
    above = (differences >= ours - 1e-9).sum(axis=-1) + drawn
    below = (differences <= ours + 1e-9).sum(axis=-1) + drawn
    return np.minimum(1.0, 2 * np.minimum(above, below) / (differences.shape[-1] + drawn))


def _sampled(a: Array, b: Array, resamples: int, seed: int) -> float:
    """Return the p-value of two groups from `resamples` relabellings, drawn by SciPy in parts that bound the memory."""
    drawn = scipy.stats.permutation_test(
        (a, b),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        permutation_type="independent",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, 2_000_000 // (a.size + b.size)),
        rng=draws(seed),
    )
    return float(_two_sided(drawn.null_distribution, float(drawn.statistic)))
