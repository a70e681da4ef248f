"""The smallest effect that a design detects."""

from dataclasses import dataclass
from functools import lru_cache
from math import comb, inf

import numpy as np

from popview.common.errors import of_the_book
from popview.statistics.permutation import _relabellings, _sign_flips, _two_sided, smallest_p, smallest_p_paired
from popview.statistics.results import check_fraction

#: Up to this many relabellings a design's power is simulated, on so many data sets.
SIMULATED, DRAWS = 5_000, 4_000


@dataclass(frozen=True)
class DetectableEffect:
    """The smallest effect that a design finds with the given power.

    Attributes
    ----------
    effect : float
        In standard deviations (of the differences, where paired); infinite where no result could reject.
    explanation : str
        One sentence, to print beside it.

    Examples
    --------
    >>> from popview.statistics import detectable_effect
    >>> detectable_effect(50, 50).explanation
    '50 against 50 restarts in a family of 1 find 0.57 standard deviations with probability 0.8.'
    """

    effect: float
    explanation: str


def detectable_effect(
    n_a: int,
    n_b: int,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    family_size: int = 1,
    paired: bool = False,
    permutation: bool = True,
) -> DetectableEffect:
    """Return the smallest standardised difference of means that a design detects: print it before the run.

    At alpha / family_size, the level that the first rejection in Holm's procedure needs. Of designs with up to
    `SIMULATED` relabellings (7 restarts a side, 12 pairs) the permutation test itself is simulated on normal data, to
    0.02 in power: of so few restarts it finds less than a t test. Above, the t test's formula.

    Parameters
    ----------
    n_a, n_b : int
        Restarts per group; equal where `paired`.
    alpha, power : float
    family_size : int
        Comparisons in the Holm family.
    paired : bool
    permutation : bool
        False: of the t test, at any number of restarts.

    Returns
    -------
    DetectableEffect

    Raises
    ------
    ValueError
        Where a size is below 2, `family_size` below 1, or paired sizes differ.

    References
    ----------
    Cohen 1988, Statistical Power Analysis for the Behavioral Sciences: power of the t tests.

    Examples
    --------
    Cohen's table asks for 64 a side to find half a standard deviation. Five pairs can't find anything: their smallest
    p-value is 2/2⁵.

    >>> from popview.statistics import detectable_effect
    >>> round(detectable_effect(64, 64).effect, 2)
    0.5
    >>> detectable_effect(5, 5, paired=True).explanation
    '5 pairs in a family of 1 can reject nothing: the smallest adjusted p-value is 0.0625, above 0.05.'
    """
    check_fraction(alpha, "alpha")
    check_fraction(power, "power")
    if family_size < 1:
        raise ValueError(f"family_size must be 1 or above, got {family_size!r}")
    smallest = family_size * smallest_of_design(n_a, n_b, paired) if permutation else 0.0
    design = f"{n_a} pairs" if paired else f"{n_a} against {n_b} restarts"
    design += f" in a family of {family_size}"
    if smallest > alpha:
        reason = f"the smallest adjusted p-value is {min(1.0, smallest):.3g}, above {alpha:g}"
        return DetectableEffect(inf, f"{design} can reject nothing: {reason}.")
    level = alpha / family_size
    if permutation and (2**n_a if paired else comb(n_a + n_b, n_a)) <= SIMULATED:
        effect = _simulated_effect(n_a, n_b, paired, level, power)
    else:
        effect = _effect_of_t_test(n_a, n_b, paired, level, power)
    return DetectableEffect(effect, f"{design} find {effect:.2f} standard deviations with probability {power:g}.")


@lru_cache
def _effect_of_t_test(n_a: int, n_b: int, paired: bool, level: float, power: float) -> float:
    """Return the difference of means, in SDs, at which the t test rejects with this power."""
    with of_the_book():
        from statsmodels.stats.power import TTestIndPower, TTestPower
    if paired:
        effect = TTestPower().solve_power(nobs=n_a, alpha=level, power=power)
    else:
        effect = TTestIndPower().solve_power(nobs1=n_a, ratio=n_b / n_a, alpha=level, power=power)
    return float(np.squeeze(effect))  # where statsmodels falls back on another solver, it returns an array


@lru_cache
def _simulated_effect(n_a: int, n_b: int, paired: bool, level: float, power: float) -> float:
    """Return the difference of means, in SDs, at which the permutation test of normal data rejects with this power."""
    weights = _sign_flips(n_a) if paired else _relabellings(n_a, n_b)
    drawn = np.random.default_rng(0).standard_normal((DRAWS, weights.shape[1]))
    shift = weights[:, :n_a].sum(axis=1)  # what a difference of 1 adds to each relabelling's difference

    def found(effect: float) -> float:
        rejected = 0
        for part in np.array_split(drawn, 1 + DRAWS * len(weights) // 2_000_000):
            rejected += int((_two_sided(part @ weights.T + effect * shift) <= level * (1 + 1e-12)).sum())
        return rejected / DRAWS

    low, high = 0.0, 1.0
    while found(high) < power:
        low, high = high, 2 * high
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if found(middle) < power else (low, middle)
    return high


def smallest_of_design(n_a: int, n_b: int, paired: bool) -> float:
    """Return the smallest p-value of the design's permutation test."""
    if not paired:
        return smallest_p(n_a, n_b)
    if n_a != n_b:
        raise ValueError(f"n_a and n_b are paired, but {n_a} and {n_b} differ")
    return smallest_p_paired(n_a)
