"""One mean over several studies of the same comparison, whose true values may differ."""

from dataclasses import dataclass
from math import sqrt

import scipy.stats
from numpy.typing import ArrayLike

from popview.common.errors import of_the_book
from popview.statistics.results import Result, check_fraction, checked_sample, student


@dataclass(frozen=True)
class RandomEffects(Result):
    """A mean over studies, with how much their true values differ.

    Attributes
    ----------
    between : float
        Standard deviation τ of the true values, in the unit of the data; 0 where the studies differ no more than their
        errors explain.
    inconsistency : float
        I²: the share of the studies' variance that their errors do not explain, from 0 to 1.
    homogeneity_p : float
        Of Cochran's test that all true values are equal.

    Examples
    --------
    >>> from popview.statistics import random_effects_mean
    >>> alike = random_effects_mean([1.0, 1.1, 0.9], [0.5, 0.5, 0.5])
    >>> alike.between, alike.inconsistency, round(alike.homogeneity_p, 2)
    (0.0, 0.0, 0.96)
    """

    between: float
    inconsistency: float
    homogeneity_p: float


def random_effects_mean(
    estimates: ArrayLike, errors: ArrayLike, *, level: float = 0.95, unit: str = "task"
) -> RandomEffects:
    """Return the random-effects mean of several estimates, such as of one difference on several tasks.

    The variance between the studies is Paule and Mandel's. The interval is Hartung and Knapp's, by Student's t with one
    degree of freedom less than there are studies, and never narrower than by the studies' own errors. Of four studies
    it holds the mean of what they are drawn from 97 % of the time where their errors are alike, and 90 % of the time
    where errors differ sevenfold and the true values by as much; nearly always where the true values are equal.

    Parameters
    ----------
    estimates, errors : array_like, shape (studies,)
        What each study found, and its standard error.
    level : float
    unit : str

    Returns
    -------
    RandomEffects
        The p-value is that of the same t test against 0.

    Raises
    ------
    ValueError
        Where there are fewer than two studies, shapes differ, a value is not finite, or an error is not above 0.

    References
    ----------
    Paule & Mandel 1982, Journal of Research of the National Bureau of Standards 87, 377.
    Hartung & Knapp 2001, Statistics in Medicine 20, 1771; Röver, Knapp & Friede 2015, BMC Medical Research Methodology
    15, 99: the bound from below.

    Examples
    --------
    Two studies that agree, of equal errors: their mean, but a wide interval, for two say little of the spread.

    >>> from popview.statistics import random_effects_mean
    >>> result = random_effects_mean([1.0, 3.0], [1.0, 1.0])
    >>> result.estimate, [round(end, 1) for end in result.interval], result.n
    (2.0, [-10.7, 14.7], (2,))
    """
    check_fraction(level, "level")
    found, spread = checked_sample(estimates, "estimates"), checked_sample(errors, "errors")
    if found.shape != spread.shape:
        raise ValueError(f"estimates and errors must be as many, got {found.size} and {spread.size}")
    if not (spread > 0).all():
        raise ValueError("errors must be above 0: a study without error has nothing to be averaged with")
    largest = float(spread.max())  # in this unit, lest squares of small numbers vanish
    with of_the_book():
        from statsmodels.stats.meta_analysis import combine_effects
    combined = combine_effects(found / largest, (spread / largest) ** 2, method_re="pm", maxiter=1_000)
    freedom = found.size - 1
    mean, error = (float(value) * largest for value in (combined.mean_effect_re, combined.sd_eff_w_re))
    error *= max(1.0, sqrt(combined.scale_hksj_re))
    return RandomEffects(
        **vars(student(mean, error, freedom, level, (found.size,), unit)),
        between=sqrt(float(combined.tau2)) * largest,
        inconsistency=max(0.0, 1 - freedom / combined.q) if combined.q > 0 else 0.0,
        homogeneity_p=float(scipy.stats.chi2.sf(combined.q, freedom)),
    )
