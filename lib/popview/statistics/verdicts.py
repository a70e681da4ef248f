"""From numbers to a word: the verdict by rule, and whole families of comparisons."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from popview.statistics.classical import holm, mean_difference, tost
from popview.statistics.detectable import smallest_of_design
from popview.statistics.effect_sizes import a12, hodges_lehmann, hodges_lehmann_paired
from popview.statistics.permutation import exact_permutation, paired_permutation
from popview.statistics.results import Equivalence, Result, check_fraction

#: Pairs from which a paired comparison flips signs; below, it takes the t test.
FEWEST_SIGNS = 8

Word = Literal["equivalent", "better", "worse", "inconclusive", "undecidable at this n"]


@dataclass(frozen=True)
class Verdict:
    """What a comparison says.

    Attributes
    ----------
    word : {'equivalent', 'better', 'worse', 'inconclusive', 'undecidable at this n'}
    direction : {'better', 'worse', 'level'}
        Where the estimate lies, whatever the word; it carries no claim unless the word is the same.

    Examples
    --------
    >>> from popview.statistics import Verdict
    >>> print(Verdict("equivalent", "better"))
    equivalent (estimate on the better side)
    >>> print(Verdict("worse", "worse"))
    worse
    """

    word: Word
    direction: Literal["better", "worse", "level"]

    def __str__(self) -> str:
        """Return the word, with the direction where the word is 'equivalent'."""
        if self.word == "equivalent" and self.direction != "level":
            return f"equivalent (estimate on the {self.direction} side)"
        return self.word


@dataclass(frozen=True)
class Comparison:
    """One comparison of a family, on restart values.

    Attributes
    ----------
    paired : bool
        By seed, or independent groups.
    test : Result
        Of `paired_permutation` (below `FEWEST_SIGNS` pairs of the paired t test), or of `exact_permutation`.
    adjusted_p, smallest_adjusted_p : float
        Holm's, in its family; and the smallest that could have come out.
    equivalence : Equivalence or None
        None where no margin was given.
    a12, shift : Result
    verdict : Verdict

    Examples
    --------
    >>> from popview.statistics import compare
    >>> loss = {"mine": [0.30, 0.29, 0.31, 0.28, 0.32], "SGD": [0.36, 0.35, 0.37, 0.34, 0.38]}
    >>> comparison = compare(loss, [("mine", "SGD")], higher_is_better=False)["mine", "SGD"]
    >>> round(comparison.shift.estimate, 4), comparison.a12.estimate, comparison.paired
    (-0.06, 0.0, False)
    >>> round(comparison.adjusted_p, 4), comparison.equivalence, comparison.verdict.word
    (0.0079, None, 'better')
    """

    paired: bool
    test: Result
    adjusted_p: float
    smallest_adjusted_p: float
    equivalence: Equivalence | None
    a12: Result
    shift: Result
    verdict: Verdict


def verdict(
    difference: float,
    adjusted_p: float,
    equivalence: Equivalence | None = None,
    *,
    smallest_adjusted_p: float = 0.0,
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> Verdict:
    """Return the verdict, by rule from the numbers.

    'equivalent' if the two one-sided tests reject (p ≤ alpha, each comparison by itself, not adjusted); else
    'better' or 'worse' if Holm's p-value is at most alpha; else 'undecidable at this n' if no result could have
    rejected: the smallest adjusted p-value is above alpha, and even a difference of zero, with the spread that was
    seen, would not have been called equivalent; else 'inconclusive'.

    Parameters
    ----------
    difference : float
        a − b.
    adjusted_p : float
        NaN, a test that could not be computed, rejects nothing.
    equivalence : Equivalence, optional
        From `tost`.
    smallest_adjusted_p : float
        `smallest_p`, or its paired form, times the size of the family.
    alpha : float
    higher_is_better : bool
        False for losses.

    Raises
    ------
    ValueError
        Where `difference` is NaN.

    References
    ----------
    Lakens 2017, Social Psychological and Personality Science 8, 355: no effect is a claim that needs its own test.

    Examples
    --------
    >>> from popview.statistics import verdict
    >>> verdict(0.7, adjusted_p=0.01).word
    'better'
    >>> verdict(0.7, adjusted_p=0.01, higher_is_better=False).word
    'worse'
    >>> verdict(0.7, adjusted_p=0.20).word
    'inconclusive'
    >>> verdict(0.7, adjusted_p=0.20, smallest_adjusted_p=0.0625).word
    'undecidable at this n'
    """
    check_fraction(alpha, "alpha")
    if isnan(difference):
        raise ValueError("difference is NaN")
    gain = difference if higher_is_better else -difference
    direction: Literal["better", "worse", "level"] = "level" if gain == 0 else "better" if gain > 0 else "worse"
    if equivalence is not None and equivalence.p_value <= alpha:
        return Verdict("equivalent", direction)
    if adjusted_p <= alpha and direction != "level":
        return Verdict(direction, direction)
    if smallest_adjusted_p > alpha and not (equivalence is not None and equivalence.could_reject):
        return Verdict("undecidable at this n", direction)
    return Verdict("inconclusive", direction)


def compare(
    groups: Mapping[str, ArrayLike],
    pairs: Iterable[tuple[str, str]],
    *,
    margin: float | None = None,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    paired: bool = False,
    family_size: int | None = None,
) -> dict[tuple[str, str], Comparison]:
    """Compare optimizers pair by pair, as one Holm family: for any numbers, one per restart.

    A difference is tested by permutation: of restarts between independent groups, of signs where they are paired by
    seed. Fewer than `FEWEST_SIGNS` pairs take the t test: sign flips of 5 pairs can't reject, and so few values show
    nothing of their distribution either way. Equivalence takes t tests at any number.
    Values that are all equal differ in nothing (p = 1, A12 = 0.5) and are equivalent.

    Parameters
    ----------
    groups : mapping of str to array_like, shape (restarts,)
        One value per restart, in the order of seeds; pandas Series may have the seeds as index, in any order.
    pairs : iterable of (str, str)
        The family: ``("SAM", "SGD")`` asks whether SAM is better than SGD.
    margin : float, optional
        Of equivalence, fixed before the run.
    alpha, higher_is_better : see `verdict`
    paired : bool
        Entry i of each group comes from seed i: initialisation, split and order are the same. Without, groups are
        independent, and may differ in length.
    family_size : int, optional
        Where the family has more members than `pairs`.

    Returns
    -------
    dict of (str, str) to Comparison

    Raises
    ------
    ValueError
        Where a group is unusable (it is named), `pairs` is empty, or paired groups differ in length or labels.

    Examples
    --------
    >>> from popview.statistics import compare
    >>> accuracy = {"mine": [91.2, 90.8, 91.5, 91.0, 91.4], "SGD": [90.1, 89.9, 90.4, 90.0, 90.3]}
    >>> comparison = compare(accuracy, [("mine", "SGD")], margin=0.5)["mine", "SGD"]
    >>> round(comparison.test.estimate, 2), round(comparison.test.p_value, 4), comparison.verdict.word
    (1.04, 0.0079, 'better')
    """
    family = list(pairs)
    size = len(family) if family_size is None else family_size
    measured = [_measure(groups, pair, margin, alpha, paired) for pair in family]
    adjusted = holm(np.array([test.p_value for test, *_ in measured], dtype=float), family_size=size)
    comparisons = {}
    for pair, (test, equivalence, effect, shift), p_value in zip(family, measured, adjusted, strict=True):
        few = paired and test.n[0] < FEWEST_SIGNS
        smallest = 0.0 if few else min(1.0, size * smallest_of_design(test.n[0], test.n[-1], paired))
        word = verdict(
            test.estimate,
            float(p_value),
            equivalence,
            smallest_adjusted_p=smallest,
            alpha=alpha,
            higher_is_better=higher_is_better,
        )
        comparisons[pair] = Comparison(paired, test, float(p_value), smallest, equivalence, effect, shift, word)
    return comparisons


def _measure(
    groups: Mapping[str, ArrayLike], pair: tuple[str, str], margin: float | None, alpha: float, paired: bool
) -> tuple[Result, Equivalence | None, Result, Result]:
    """Return the test, the equivalence test, A12 and the shift of one pair, or an error that names the pair."""
    try:
        a, b = (groups[name] for name in pair)
        by_seed = paired_permutation if np.size(a) >= FEWEST_SIGNS else partial(mean_difference, paired=True)
        test = by_seed(a, b) if paired else exact_permutation(a, b)
        equivalence = None if margin is None else tost(a, b, margin, paired=paired, alpha=alpha)
        shift = hodges_lehmann_paired(a, b) if paired else hodges_lehmann(a, b)
        return test, equivalence, a12(a, b), shift
    except KeyError as error:
        raise ValueError(f"pairs names {error}, which groups lacks") from None
    except ValueError as error:
        raise ValueError(f"a = {pair[0]!r}, b = {pair[1]!r}: {error}") from None
