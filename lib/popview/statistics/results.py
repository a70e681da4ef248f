"""What every function here returns, and how its input is checked."""

from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: Values may be as large as this, either way, so that no sum of squares overflows.
LARGEST = 1e150


@dataclass(frozen=True)
class Result:
    """One estimate with what is known about it.

    Attributes
    ----------
    estimate : float
        In the unit of the data, or without unit; the function says what it estimates.
    interval : (float, float) or None
        None where the function gives no interval.
    p_value : float or None
        Two-sided and unadjusted. None where the function tests nothing.
    n : tuple of int
        How many units: ``(n_a, n_b)`` for two groups, ``(n,)`` for pairs or for one group.
    unit : str
        What was counted in `n`, such as 'restart' or 'checkpoint'.

    Examples
    --------
    >>> from popview.statistics import proportion
    >>> result = proportion(5, 10)
    >>> result.estimate, [round(end, 3) for end in result.interval], result.p_value, result.n, result.unit
    (0.5, [0.237, 0.763], None, (10,), 'restart')
    """

    estimate: float
    interval: tuple[float, float] | None
    p_value: float | None
    n: tuple[int, ...]
    unit: str


@dataclass(frozen=True)
class Equivalence(Result):
    """A `Result` of two one-sided tests, with the margin that they were run against.

    Attributes
    ----------
    interval : (float, float)
    p_value : float
    margin : float

    Examples
    --------
    Three values a side that scatter by 1 can't show that two optimizers are the same within ±0.5, even if their means
    are equal:

    >>> from popview.statistics import tost
    >>> result = tost([90, 91, 92], [90, 91, 92], margin=0.5)
    >>> result.estimate, result.margin, result.could_reject
    (0.0, 0.5, False)
    """

    interval: tuple[float, float]
    p_value: float
    margin: float

    @property
    def could_reject(self) -> bool:
        """Whether a difference of exactly zero, with the spread that was seen, would have been called equivalent."""
        low, high = self.interval
        return (high - low) / 2 < self.margin


def interval_columns(result: Result, prefix: str = "") -> dict[str, float]:
    """Return the ends of a result's interval as ``<prefix>low`` and ``<prefix>high``; NaN where it has none."""
    low, high = result.interval or (np.nan, np.nan)
    return {f"{prefix}low": low, f"{prefix}high": high}


def student(estimate: float, error: float, freedom: float, level: float, n: tuple[int, ...], unit: str) -> Result:
    """Return an estimate with Student's interval, and the p-value of his test against 0.

    Parameters
    ----------
    estimate : float
    error : float
        Its standard error; 0 where nothing varies.
    freedom : float
        Degrees of freedom.
    level : float
        Of the interval; ValueError unless it lies between 0 and 1.
    n : tuple of int
    unit : str
    """
    check_fraction(level, "level")
    half = float(scipy.stats.t.isf((1 - level) / 2, freedom)) * error
    p_value = 2 * float(scipy.stats.t.sf(abs(estimate) / error, freedom)) if error > 0 else float(estimate == 0)
    return Result(estimate, (estimate - half, estimate + half), p_value, n, unit)


def float_array(values: ArrayLike, name: str) -> Array:
    """Return `values`, of any shape, as an array of floats.

    Raises
    ------
    ValueError
        Where a value is no real number, or the mask of a masked array would be lost.
    """
    parts = values if isinstance(values, list | tuple) else [values]
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise ValueError(f"{name} is a masked array: give only the values that count, as an array without a mask")
    try:
        if np.iscomplexobj(values):
            raise TypeError("complex numbers")
        return np.asarray(values, dtype=float)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold real numbers: {' '.join(str(error).split())}") from error


def finite_array(values: ArrayLike, name: str) -> Array:
    """Return `values`, of any shape, as an array of floats that are finite, and small enough for sums of squares.

    Raises
    ------
    ValueError
        As `float_array`, and where a value is NaN, infinite, or beyond ±`LARGEST`.
    """
    array = float_array(values, name)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has {np.sum(~np.isfinite(array))} values that are NaN or infinite")
    if array.size and np.abs(array).max() > LARGEST:
        raise ValueError(f"{name} has values beyond ±{LARGEST:g}, whose squares are too large for floats: rescale them")
    return array


def checked_sample(values: ArrayLike, name: str) -> Array:
    """Return `values` as a float array of shape ``(n,)``, one value per restart.

    Raises
    ------
    ValueError
        As `finite_array`, and where it is not one-dimensional or has fewer than two values.
    """
    array = float_array(values, name)
    if array.ndim != 1:
        hint = "reduce it to one value per restart first, such as its mean over checkpoints"
        raise ValueError(f"{name} has shape {array.shape}: {hint}")
    return pooled(values, name)


def pooled(values: ArrayLike, name: str) -> Array:
    """Return `values`, of any shape, as a flat float array; raises ValueError as `checked_sample` does."""
    size = float_array(values, name).size
    if size < 2:
        raise ValueError(f"{name} has {size} values, needs 2 or more")
    return finite_array(values, name).ravel()


def paired_samples(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """Return two samples whose entries belong together, as `aligned_samples`, of one measure.

    Values of a pair that differ by `rounding` at most are made equal: which sign such a difference has means nothing.

    Raises
    ------
    ValueError
        As `aligned_samples`.
    """
    first, second = aligned_samples(a, b)
    return first, np.where(np.abs(first - second) <= rounding(first, second), first, second)


def aligned_samples(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """Return two samples whose entries belong together; one number as `b` stands beside every entry of `a`.

    Of two pandas Series those of one label do, in the order of the first; else those of one place.

    Raises
    ------
    ValueError
        As `checked_sample`, and where lengths differ, or the labels of two Series do or are not unique.
    """
    first = checked_sample(a, "a")
    second = checked_sample(np.full(first.size, b) if np.ndim(b) == 0 else b, "b")
    if first.size != second.size:
        raise ValueError(f"a and b are paired, but a has {first.size} values and b {second.size}")
    labels, others = (getattr(values, "index", None) if hasattr(values, "reindex") else None for values in (a, b))
    if labels is None or others is None or labels.equals(others):
        return first, second
    if not (labels.is_unique and others.is_unique and labels.isin(others).all()):
        raise ValueError("a and b are paired by their index, but its labels are not the same ones, each once in both")
    return first, second[others.get_indexer(labels)]


def check_fraction(value: float, name: str) -> None:
    """Raise ValueError unless `value` lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value!r}")


def constant(values: Array) -> bool:
    """Return whether `values` differ by `rounding` at most, so that their spread means nothing."""
    return bool(np.ptp(values) <= rounding(values))


def rounding(*samples: Array) -> float:
    """Return by how much values of `samples` may differ and be the same, summed otherwise: 1e-12 of the largest."""
    return 1e-12 * max(float(np.abs(values).max()) for values in samples)
