"""What a design can find: power, the smallest p-value, the smallest difference, and what silence means.

Normal restart values, simulated or by formula. Shares come with a 95 % Wilson interval for the finite number of
repeats (Monte Carlo), in ``low, high``.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import floor, inf

import numpy as np
import pandas as pd
from statsmodels.stats.power import TTestIndPower

from popview.common.seeds import draws
from popview.statistics import detectable_effect, smallest_p, smallest_p_paired
from popview.statistics.batched import equivalence_p_values, p_values
from popview.statistics.simulations import rate_with_interval


def differing_groups(
    sizes: Iterable[int], effects: Iterable[float], *, repeats: int = 2000, seed: int = 0
) -> dict[tuple[int, float], tuple[np.ndarray, np.ndarray]]:
    """Draw normal restart values of two optimizers whose means differ by `effect` standard deviations.

    Returns
    -------
    dict of (restarts, effect) to two arrays of shape (repeats, restarts)
    """
    generator = draws(seed)
    drawn = {}
    for size in sizes:
        for effect in effects:
            a, b = (generator.standard_normal((repeats, size)) for _ in range(2))
            drawn[size, effect] = (a + effect, b)
    return drawn


def restart_p_values(drawn: Mapping[tuple[int, float], tuple[np.ndarray, np.ndarray]], seed: int = 0) -> pd.DataFrame:
    """Return the permutation test's p-values on `differing_groups`: one column per true difference, one row a repeat.

    The draws must be of one number of restarts.
    """
    columns = {
        "no difference" if effect == 0 else f"difference of {effect:g} SD": p_values("permutation", *groups, seed=seed)
        for (_, effect), groups in drawn.items()
    }
    return pd.DataFrame(columns)


def power(
    sizes: Sequence[int],
    effects: Sequence[float],
    *,
    families: Sequence[int] = (1, 5),
    alpha: float = 0.05,
    simulated: Sequence[float] = (),
    repeats: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the power to find a true difference, by the t test's formula, checked by simulating permutation tests.

    Parameters
    ----------
    sizes : sequence of int
        Restarts of each optimizer, independent groups.
    effects : sequence of float
        True differences of means in standard deviations of a restart's value.
    families : sequence of int
        Comparisons in the Holm family; the first rejection needs p ≤ alpha / family.
    alpha : float
    simulated : sequence of float
        Effects at which `exact_permutation` is simulated as well.
    repeats, seed : int
        Of that simulation.

    Returns
    -------
    DataFrame
        ``restarts, family, effect, power`` and ``permutation, low, high`` (NaN where not simulated). Power is 0 where
        no permutation of so few restarts could reject.
    """
    drawn = differing_groups(sizes, simulated, repeats=repeats, seed=seed)
    found = {key: p_values("permutation", *groups, seed=seed) for key, groups in drawn.items()}
    rows = []
    for size in sizes:
        for family in families:
            for effect in sorted({*effects, *simulated}):
                row = {"restarts": size, "family": family, "effect": effect}
                possible = smallest_p(size, size) <= alpha / family
                row["power"] = _t_power(effect, size, alpha / family) if possible else 0.0
                row |= {"permutation": np.nan, "low": np.nan, "high": np.nan}
                if (size, effect) in found:
                    counted = rate_with_interval(int((found[size, effect] <= alpha / family).sum()), repeats)
                    row |= {"permutation": counted["rate"], "low": counted["low"], "high": counted["high"]}
                rows.append(row)
    return pd.DataFrame(rows)


def _t_power(effect: float, size: int, level: float) -> float:
    """Return the two-sided power; statsmodels' noncentral t gives NaN far out, where the power is 1."""
    found = float(TTestIndPower().power(effect, size, level))
    return 1.0 if np.isnan(found) else found


def silence(
    sizes: Iterable[int],
    *,
    effect: float = 1.0,
    margin: float = 1.0,
    alpha: float = 0.05,
    repeats: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Simulate what "p > 0.05" and what a test of equivalence say, without and with a true difference.

    Parameters
    ----------
    sizes : iterable of int
        Restarts of each optimizer.
    effect : float
        The true difference, in standard deviations of a restart's value.
    margin : float
        Of equivalence, in the same unit. With ``margin = effect`` the optimizers are just not equivalent.
    alpha : float
    repeats, seed : int

    Returns
    -------
    DataFrame
        ``restarts, difference, not_rejected, equivalent`` (shares), and ``low, high`` of each with that prefix.
    """
    rows = []
    for (size, difference), groups in differing_groups(sizes, (0.0, effect), repeats=repeats, seed=seed).items():
        quiet = int((p_values("permutation", *groups, seed=seed) > alpha).sum())
        shown = int((equivalence_p_values(*groups, margin) <= alpha).sum())
        row: dict[str, float] = {"restarts": size, "difference": difference}
        for name, count in (("not_rejected", quiet), ("equivalent", shown)):
            counted = rate_with_interval(count, repeats)
            row |= {name: counted["rate"], f"{name}_low": counted["low"], f"{name}_high": counted["high"]}
        rows.append(row)
    return pd.DataFrame(rows)


def equivalence_power(
    restarts: int, margin: float, *, alpha: float = 0.05, repeats: int = 4000, seed: int = 0
) -> float:
    """Return the share of simulated pairs of equal optimizers that two one-sided Welch tests show to be equivalent.

    Parameters
    ----------
    restarts : int
    margin : float
        In standard deviations of a restart's value.
    alpha, repeats, seed
    """
    groups = differing_groups((restarts,), (0.0,), repeats=repeats, seed=seed)[restarts, 0.0]
    return float((equivalence_p_values(*groups, margin) <= alpha).mean())


def smallest(sizes: Iterable[int], alpha: float = 0.05) -> pd.DataFrame:
    """Return the smallest p-value of a permutation test, and the largest Holm family that it can reject in.

    Returns
    -------
    DataFrame
        ``restarts, unpaired, unpaired_family, paired, paired_family``; a family of 0 means that nothing can reject.
    """
    rows = []
    for size in sizes:
        row: dict[str, float] = {"restarts": size}
        for name, p_value in (("unpaired", smallest_p(size, size)), ("paired", smallest_p_paired(size))):
            row |= {name: p_value, f"{name}_family": floor(alpha / p_value)}
        rows.append(row)
    return pd.DataFrame(rows)


def detectable_points(
    sizes: Iterable[int], deviations: Mapping[str, tuple[float, float]], *, family: int = 5, power: float = 0.8
) -> pd.DataFrame:
    """Return the smallest difference that a design finds, in standard deviations and in the unit of each task.

    Parameters
    ----------
    sizes : iterable of int
        Restarts of each optimizer.
    deviations : mapping of str to (float, float)
        Task → standard deviation of a restart's value, and of the difference of two restarts that share a seed.
    family : int
        Comparisons in the Holm family.
    power : float

    Returns
    -------
    DataFrame
        ``restarts, unpaired, paired`` (standard deviations, of a value and of a paired difference), and for each task
        ``<task>, unpaired`` and ``<task>, paired``. Infinite where no result could reject.
    """
    rows = []
    for size in sizes:
        unpaired = detectable_effect(size, size, family_size=family, power=power).effect
        paired = detectable_effect(size, size, family_size=family, power=power, paired=True).effect
        row: dict[str, float] = {"restarts": size, "unpaired": unpaired, "paired": paired}
        for task, (single, difference) in deviations.items():
            row[f"{task}, unpaired"] = unpaired * single
            row[f"{task}, paired"] = inf if paired == inf else paired * difference
        rows.append(row)
    return pd.DataFrame(rows)
