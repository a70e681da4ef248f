"""Checkpoints within restarts: how alike they are, what they are worth, and data of that kind to try tests on."""

from collections.abc import Sequence
from math import inf, isnan, nan, sqrt

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from popview.statistics.results import Array, Result, check_fraction, constant, finite_array


def icc(groups: Sequence[ArrayLike] | Array, *, level: float = 0.95, unit: str = "restart") -> Result:
    """Intra-class correlation, ICC(1): the share of the variance of checkpoints that lies between restarts.

    One-way random effects, from the analysis of variance; negative estimates are kept. The interval is the jackknife's
    over restarts, of the logarithm of the variance ratio, and needs three restarts. At 10 and at 100 restarts of 10
    checkpoints it covers 95 % where restarts are normally distributed, 85 % to 91 % where exponentially, 70 % to 75 %
    where lognormally; the F interval, exact for normal data, covers 75 % to 81 % and 34 % to 60 % there.

    Parameters
    ----------
    groups : array_like, shape (restarts, checkpoints), or a sequence of vectors
        One row of checkpoints per restart. Values that don't vary within restarts give 1 with the interval (1, 1);
        values that don't vary at all give NaN without an interval, and so does a ratio of 0 with any restart left out.
    level : float
    unit : str

    Returns
    -------
    Result
        `n` is the number of restarts; no p-value.

    Raises
    ------
    ValueError
        Where there are fewer than two restarts, an empty one, none with two checkpoints, or values that are not finite.

    References
    ----------
    Shrout & Fleiss 1979, Psychological Bulletin 86, 420: ICC(1,1).
    Arvesen & Schmitz 1970, Biometrics 26, 677: the jackknife of the logarithm of a variance ratio.
    Donner 1986, International Statistical Review 54, 67: the mean group size where sizes differ.

    Examples
    --------
    Checkpoints that differ by 2 within a restart, restarts whose means differ by 10. The mean squares are 100 between
    restarts and 2 within, and (100 − 2) / (100 + 2) is

    >>> from popview.statistics import icc
    >>> round(icc([[0, 2], [10, 12]]).estimate, 4)
    0.9608
    """
    check_fraction(level, "level")
    rows = _rows(groups)
    sizes = np.array([row.size for row in rows])
    restarts, total = len(rows), int(sizes.sum())
    values = np.concatenate(rows)
    if constant(values):
        return Result(nan, None, None, (restarts,), unit)
    if all(constant(row) for row in rows):
        return Result(1.0, (1.0, 1.0), None, (restarts,), unit)
    sums = np.array([row.sum() for row in rows])
    squares = np.array([float(((row - row.mean()) ** 2).sum()) for row in rows])
    size = (total - float(sizes @ sizes) / total) / (restarts - 1)

    def correlation(ratio: float) -> float:
        return (ratio - 1) / (ratio + size - 1)

    ratio = _ratio(sums, sizes, squares)
    left_out = [_ratio(*(np.delete(part, i) for part in (sums, sizes, squares))) for i in range(restarts)]
    interval = None
    if restarts > 2 and min(ratio, *left_out) > 0 and max(left_out) < inf:
        pseudo = restarts * np.log(ratio) - (restarts - 1) * np.log(left_out)
        half = scipy.stats.t.isf((1 - level) / 2, restarts - 1) * pseudo.std(ddof=1) / sqrt(restarts)
        interval = (correlation(float(np.exp(pseudo.mean() - half))), correlation(float(np.exp(pseudo.mean() + half))))
    return Result(correlation(ratio), interval, None, (restarts,), unit)


def _ratio(sums: Array, sizes: Array, squares: Array) -> float:
    """Return the mean square between groups over the one within, from their sums, sizes and sums of squares within."""
    groups, total = len(sums), int(sizes.sum())
    if groups < 2 or total == groups or not squares.sum() > 0:
        return inf
    between = float(sizes @ (sums / sizes - sums.sum() / total) ** 2) / (groups - 1)
    return between / (float(squares.sum()) / (total - groups))


def effective_n(restarts: int, checkpoints: float, correlation: float) -> float:
    """Return how many independent values `restarts` × `checkpoints` values are worth: total / (1 + (L − 1) ICC).

    Parameters
    ----------
    restarts : int
    checkpoints : float
        L: checkpoints per restart, or their mean.
    correlation : float
        The intra-class correlation. Negative ones count as 0, so that no design is worth more than its total; NaN
        gives NaN.

    Raises
    ------
    ValueError
        Where a count is below 1, or `correlation` above 1.

    References
    ----------
    Kish 1965, Survey Sampling: the design effect of a cluster sample.

    Examples
    --------
    50 checkpoints of 5 restarts are worth 50 values if they are independent, and 5 if those of a restart are all alike:

    >>> from popview.statistics import effective_n
    >>> effective_n(5, 10, 0.0), effective_n(5, 10, 1.0), round(effective_n(5, 10, 0.5), 2)
    (50.0, 5.0, 9.09)
    """
    if restarts < 1 or checkpoints < 1:
        raise ValueError(f"restarts and checkpoints must be 1 or above, got {restarts!r} and {checkpoints!r}")
    if correlation > 1:
        raise ValueError(f"correlation must not be above 1, got {correlation!r}")
    clipped = correlation if isnan(correlation) else max(0.0, correlation)
    return restarts * checkpoints / (1 + (checkpoints - 1) * clipped)


def simulate_nested(
    generator: np.random.Generator, restarts: int, checkpoints: int, correlation: float, *, repeats: int | None = None
) -> Array:
    """Draw normal values of variance 1 whose checkpoints correlate within a restart: what trajectories look like.

    Parameters
    ----------
    generator : numpy.random.Generator
    restarts, checkpoints : int
    correlation : float
        The intra-class correlation, from 0 to 1.
    repeats : int, optional

    Returns
    -------
    array, shape (restarts, checkpoints), or (repeats, restarts, checkpoints) where `repeats` is given

    Raises
    ------
    ValueError
        Where a count is below 1, or `correlation` outside [0, 1].

    Examples
    --------
    With a correlation of 1 all checkpoints of a restart are equal:

    >>> import numpy as np
    >>> from popview.statistics import simulate_nested
    >>> drawn = simulate_nested(np.random.default_rng(0), restarts=3, checkpoints=4, correlation=1.0)
    >>> drawn.shape, np.ptp(drawn, axis=1).tolist()
    ((3, 4), [0.0, 0.0, 0.0])
    """
    shape = (restarts, checkpoints) if repeats is None else (repeats, restarts, checkpoints)
    if min(shape) < 1:
        raise ValueError(f"restarts, checkpoints and repeats must be 1 or above, got {shape}")
    if not 0 <= correlation <= 1:
        raise ValueError(f"correlation must lie in [0, 1], got {correlation!r}")
    shared = generator.standard_normal((*shape[:-1], 1))
    return sqrt(correlation) * shared + sqrt(1 - correlation) * generator.standard_normal(shape)


def simulate_selected(
    generator: np.random.Generator,
    restarts: int,
    checkpoints: int,
    chosen: int,
    correlation: float,
    between: float = 0.0,
    *,
    repeats: int,
) -> tuple[Array, Array]:
    """Draw trajectories and select from each by loss (SetA) and by score (SetB), as the paper does.

    Checkpoints of a trajectory are independent normal pairs (−loss, score) of the given correlation. What is returned
    is their score, of variance 1, of which the share `between` is common to a trajectory.

    Parameters
    ----------
    generator : numpy.random.Generator
    restarts, checkpoints, chosen : int
        Each set takes `chosen` of the `checkpoints` of each restart.
    correlation : float
        From −1 to 1.
    between : float
        From 0 to 1, 1 excluded.
    repeats : int

    Returns
    -------
    two arrays, shape (repeats, restarts, chosen)
        The scores of SetA and of SetB.

    Raises
    ------
    ValueError
        Where a count is below 1, `chosen` above `checkpoints`, or a share out of range.
    """
    shape = (repeats, restarts, checkpoints)
    if min(*shape, chosen) < 1 or chosen > checkpoints:
        raise ValueError(f"counts must be 1 or above and chosen at most checkpoints, got {(*shape, chosen)}")
    if not (-1 <= correlation <= 1 and 0 <= between < 1):
        raise ValueError(f"correlation must lie in [-1, 1] and between in [0, 1), got {correlation!r}, {between!r}")
    quality = generator.standard_normal(shape)  # −loss
    score = correlation * quality + sqrt(1 - correlation**2) * generator.standard_normal(shape)
    by_loss = np.argpartition(-quality, chosen - 1, axis=2)[..., :chosen]
    by_score = np.argpartition(-score, chosen - 1, axis=2)[..., :chosen]
    shared = sqrt(between) * generator.standard_normal((repeats, restarts, 1))
    set_a, set_b = (np.take_along_axis(score, index, axis=2) for index in (by_loss, by_score))
    scale = sqrt(1 - between)
    return shared + scale * set_a, shared + scale * set_b


def _rows(groups: Sequence[ArrayLike] | Array) -> list[Array]:
    """Return one float vector per restart, checked."""
    rows = [finite_array(row, "groups") for row in groups]
    if len(rows) < 2:
        raise ValueError(f"groups has {len(rows)} restarts, needs 2 or more")
    if any(row.ndim != 1 or row.size == 0 for row in rows):
        raise ValueError(f"groups must hold vectors that aren't empty, got shapes {[row.shape for row in rows]}")
    if max(row.size for row in rows) < 2:
        raise ValueError("groups has one checkpoint per restart: nothing varies within a restart")
    return rows
