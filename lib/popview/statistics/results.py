"""What every function here returns, and how its input is checked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Equivalence",
    "Result",
    "check_fraction",
    "checked_sample",
    "constant",
    "interval_columns",
    "paired_samples",
    "pooled",
    "rounding",
]

Array = NDArray[np.float64]


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


def checked_sample(values: ArrayLike, name: str) -> Array:
    """Return `values` as a float array of shape ``(n,)``, one value per restart.

    Raises
    ------
    ValueError
        Where it is not one-dimensional, has fewer than two values, or has values that are not finite.
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != 1:
        hint = "reduce it to one value per restart first, such as its mean over checkpoints"
        raise ValueError(f"{name} has shape {array.shape}: {hint}")
    return _checked(array, name)


def pooled(values: ArrayLike, name: str) -> Array:
    """Return `values`, of any shape, as a flat float array; raises ValueError as `checked_sample` does."""
    return _checked(np.asarray(values, dtype=float).ravel(), name)


def _checked(array: Array, name: str) -> Array:
    if array.size < 2:
        raise ValueError(f"{name} has {array.size} values, needs 2 or more")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has {np.sum(~np.isfinite(array))} values that are NaN or infinite")
    return array


def paired_samples(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """Return two samples whose entries belong together; raises ValueError where their lengths differ."""
    first, second = checked_sample(a, "a"), checked_sample(b, "b")
    if first.size != second.size:
        raise ValueError(f"a and b are paired, but a has {first.size} values and b {second.size}")
    return first, second


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
