"""What tests do where the truth is known: false positives, splits, and a test decided by construction.

Everything here is simulated from normal values, or resampled from results, and returned as one table per question.
Shares come with a 95 % Wilson interval for the finite number of repeats (Monte Carlo), in ``low, high``.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from popview.common.errors import UsageError
from popview.common.seeds import draws
from popview.statistics import TESTS, proportion, simulate_nested
from popview.statistics.batched import p_values
from popview.statistics.clustering import simulate_selected

#: What the paper does: its two tests on pooled models. And the same question asked of restarts, by every test.
POOLED = {"pooled Mann–Whitney": "Mann–Whitney", "pooled t": "t"}
RESTART_LEVEL = {f"{name} on restarts": name for name in TESTS}
EVERY = POOLED | RESTART_LEVEL


def rate_with_interval(successes: int, trials: int) -> dict[str, float]:
    """Return a proportion as columns: ``rate, low, high, repeats``."""
    found = proportion(successes, trials)
    low, high = found.interval or (0.0, 1.0)
    return {"rate": found.estimate, "low": low, "high": high, "repeats": trials}


def _tests(a: np.ndarray, b: np.ndarray, seed: int, tests: Iterable[str] = EVERY) -> dict[str, np.ndarray]:
    """Return the p-values of tests of two batches of shape ``(repeats, restarts, checkpoints)``."""
    pooled = [group.reshape(len(group), -1) for group in (a, b)]
    means = [group.mean(axis=2) for group in (a, b)]
    return {name: p_values(EVERY[name], *(pooled if name in POOLED else means), seed=seed) for name in tests}


def false_positives(
    correlations: Iterable[float],
    *,
    restarts: int = 5,
    checkpoints: int = 10,
    repeats: int = 10_000,
    alpha: float = 0.05,
    seed: int = 0,
    tests: Iterable[str] = EVERY,
    alike: float = 0.0,
) -> pd.DataFrame:
    """Simulate how often each test finds a difference between two optimizers that do not differ.

    Parameters
    ----------
    correlations : iterable of float
        Intra-class correlations of the checkpoints of a restart.
    restarts, checkpoints : int
        Per optimizer and per restart: the paper's Tr and L.
    repeats : int
    alpha : float
        The level at which the tests are run.
    seed : int
    tests : iterable of str
        Some of `POOLED` and `RESTART_LEVEL`; by default all.
    alike : float
        Correlation of what the checkpoints of a restart have in common between the two optimizers, from 0 to 1: above
        zero where restarts of the same seed share their luck.

    Returns
    -------
    DataFrame
        ``icc, test, rate, low, high, repeats``.

    Raises
    ------
    UsageError
        If `alike` is outside [0, 1].
    """
    if not 0 <= alike <= 1:
        raise UsageError(f"the correlation between two optimizers must lie in [0, 1], got {alike}")
    generator = draws(seed)
    rows = []
    for correlation in correlations:
        luck = correlation * alike  # the share of the variance that both optimizers have in common
        own = (correlation - luck) / (1 - luck) if luck < 1 else 0.0
        a, b = (simulate_nested(generator, restarts, checkpoints, own, repeats=repeats) for _ in range(2))
        if luck:
            seeds = luck**0.5 * generator.standard_normal((repeats, restarts, 1))
            a, b = (seeds + (1 - luck) ** 0.5 * group for group in (a, b))
        for test, found in _tests(a, b, seed, tests).items():
            rows.append({"icc": correlation, "test": test, **rate_with_interval(int((found <= alpha).sum()), repeats)})
    return pd.DataFrame(rows)


def split_p_values(values: np.ndarray, per_side: int, number: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Split one optimizer's restarts against themselves at random, and test each split.

    The splits share restarts: they are draws from this set of restarts, not from the optimizer's distribution. Where a
    split uses all restarts, each is one relabelling of the same values, so that the permutation test on restarts
    rejects as often as its level says, whatever the values are.

    Parameters
    ----------
    values : array, shape (restarts, models)
    per_side : int
        Restarts on each side.
    number : int
        Of splits.
    seed : int

    Returns
    -------
    DataFrame
        One row per split; columns: the tests of `POOLED` and `RESTART_LEVEL`, holding p-values.

    Raises
    ------
    UsageError
        If there are too few restarts, or no splits.
    """
    if number < 1:
        raise UsageError(f"the number of splits must be 1 or above, got {number}")
    if 2 * per_side > len(values):
        raise UsageError(f"{per_side} restarts a side need {2 * per_side}, there are {len(values)}")
    generator = draws(seed)
    order = generator.permuted(np.tile(np.arange(len(values)), (number, 1)), axis=1)
    sides = (values[order[:, :per_side]], values[order[:, per_side : 2 * per_side]])
    return pd.DataFrame(_tests(*sides, seed))


def rejected(found: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Return each test's share of `split_p_values` that are at most `alpha`: ``test, rate, low, high, repeats``."""
    return pd.DataFrame(
        {"test": test, **rate_with_interval(int((found[test] <= alpha).sum()), len(found))} for test in found
    )


def decided_by_construction(
    correlations: Iterable[float],
    *,
    restarts: int = 5,
    checkpoints: int = 300,
    chosen: int = 10,
    between: float = 0.0,
    repeats: int = 500,
    alpha: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """Simulate the paper's test of SetA against SetB, for checkpoints whose loss and score correlate more or less.

    Parameters
    ----------
    correlations : iterable of float
        Between −loss and score, over the checkpoints of a trajectory.
    restarts, checkpoints, chosen : int
        Trajectories, checkpoints of each, and how many of them each set takes (the paper's Tr, epochs and L).
    between : float
        Share of the variance of the score that lies between trajectories.
    repeats : int
    alpha : float
    seed : int

    Returns
    -------
    DataFrame
        ``correlation, rate, low, high, repeats`` of Mann–Whitney on the pooled sets, and ``gap``: mean score of SetB
        minus that of SetA, in standard deviations of the score.
    """
    generator = draws(seed)
    rows = []
    for correlation in correlations:
        sets = simulate_selected(generator, restarts, checkpoints, chosen, correlation, between, repeats=repeats)
        a, b = (chosen_set.reshape(repeats, -1) for chosen_set in sets)
        found = p_values("Mann–Whitney", a, b)
        counted = rate_with_interval(int((found <= alpha).sum()), repeats)
        rows.append({"correlation": correlation, **counted, "gap": float(b.mean() - a.mean())})
    return pd.DataFrame(rows)
