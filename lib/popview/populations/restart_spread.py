"""How much of the spread between restarts is sampling of test examples: models that err alike on average, not in each.

Runs that are judged on the whole test split keep what their last model predicts there, so that errors are counted
example by example. Labels do not ship: `popview ensembles` computes these tables where the data are.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import ArrayLike

from popview.common.folders import RESULTS
from popview.populations.stored_predictions import Predictions, load_derived
from popview.statistics import crossed_mean, mean_difference, spread_of_scores
from popview.statistics.results import interval_columns
from popview.tasks.scores import predictions

#: Columns that say which results a row of these tables is of.
NAMED = ("variant", "where", "models", "algorithm")


def accuracy_spread(right: ArrayLike) -> dict[str, float]:
    """Compare how accuracies scatter over restarts with what independent errors would give.

    If a restart got each example right with the example's own probability p, whatever it did with the others,
    accuracies would have variance Σ p (1 − p) / n². The rest is what makes one model better than another.

    Parameters
    ----------
    right : array_like of bool, shape (restarts, examples)

    Returns
    -------
    dict of str to float
        ``restarts, examples, mean, sd, sd_low, sd_high`` (95 %, of normally distributed restarts), ``independent`` (SD
        by independent errors), ``share`` (of the observed variance, not above 1).

    Raises
    ------
    ValueError
        As `popview.statistics.spread_of_scores`.

    References
    ----------
    Jordan 2024, arXiv 2304.01910: of networks trained to the end most of the spread of test accuracy is this.

    Examples
    --------
    >>> from popview.populations.restart_spread import accuracy_spread
    >>> found = accuracy_spread([[1, 1, 1, 1], [0, 1, 0, 1]])
    >>> {name: round(found[name], 3) for name in ("mean", "sd", "independent", "share")}
    {'mean': 0.75, 'sd': 0.354, 'independent': 0.25, 'share': 0.5}
    """
    sd, independent = spread_of_scores(right)
    table = np.asarray(right, dtype=float)
    low, high = sd_interval(sd, len(table))
    share = min(1.0, (independent / sd) ** 2) if sd > 0 else np.nan
    found = {"restarts": len(table), "examples": table.shape[1], "mean": float(table.mean()), "sd": sd}
    return found | {"sd_low": low, "sd_high": high, "independent": independent, "share": share}


def sd_interval(sd: float, restarts: int) -> tuple[float, float]:
    """Return the 95 % interval of a standard deviation over restarts, whose values are taken for normal.

    Examples
    --------
    >>> from popview.populations.restart_spread import sd_interval
    >>> [round(end, 2) for end in sd_interval(0.70, 10)]
    [0.48, 1.28]
    """
    low, high = sd * np.sqrt((restarts - 1) / scipy.stats.chi2.ppf([0.975, 0.025], restarts - 1))
    return float(low), float(high)


def most_independent(accuracy: float, examples: int) -> float:
    """Return the largest SD over restarts that independent errors give, where only the mean accuracy is known.

    p (1 − p) is concave, so its sum is largest where every example has the mean's probability.

    Examples
    --------
    >>> from popview.populations.restart_spread import most_independent
    >>> most_independent(0.5, 100)
    0.05
    """
    return sqrt(accuracy * (1 - accuracy) / examples)


def crossed_differences(right: Mapping[str, pd.DataFrame], reference: str = "SGD") -> pd.DataFrame:
    """Compare accuracies with the reference's, for other restarts alone and for other restarts and examples at once.

    Parameters
    ----------
    right : mapping of str to DataFrame
        Algorithm → whether a restart's prediction is right; rows: seeds; columns: examples.
    reference : str

    Returns
    -------
    DataFrame
        One row per other algorithm of which two seeds or more are the reference's: ``algorithm, other`` (the
        reference), ``restarts, examples, difference``; 95 % intervals ``low, high`` over restarts, for the test
        examples at hand, and ``crossed_low, crossed_high`` over restarts × examples (see
        `popview.statistics.crossed_mean`); ``crossed_p``.
    """
    rows = []
    for name in [name for name in right if name != reference and reference in right]:
        shared = right[name].index.intersection(right[reference].index)
        if len(shared) < 2:
            continue
        ours, theirs = (right[one].loc[shared].to_numpy(dtype=float) for one in (name, reference))
        both, alone = crossed_mean(ours - theirs), mean_difference(ours.mean(1), theirs.mean(1), paired=True)
        row = {"algorithm": name, "other": reference, "restarts": len(shared), "examples": ours.shape[1]}
        row |= {"difference": both.estimate, **interval_columns(alone), **interval_columns(both, "crossed_")}
        rows.append(row | {"crossed_p": both.p_value})
    return pd.DataFrame(rows)


SPREAD = ("restarts", "examples", "mean", "sd", "sd_low", "sd_high", "independent", "share")
DIFFERENCE = ("restarts", "examples", "difference", "low", "high", "crossed_low", "crossed_high", "crossed_p")


def _right(found: Sequence[Predictions]) -> list[tuple[Predictions, pd.DataFrame]]:
    """Return which predictions of last models on the whole test split are right, where an example has one label."""
    said = []
    for one in found:
        if one.models == "last" and one.where == "whole" and not one.problem.multilabel:
            classes = predictions(one.probabilities, multilabel=False)
            said.append((one, pd.DataFrame(classes == np.asarray(one.labels), index=list(one.seeds))))
    return said


def spreads_of(found: Sequence[Predictions]) -> pd.DataFrame:
    """Return `accuracy_spread` of each algorithm with two restarts or more; columns as `load_spreads`."""
    rows = [one.named | accuracy_spread(table) | {"of": one.of} for one, table in _right(found) if len(table) > 1]
    return pd.DataFrame(rows, columns=[*NAMED, *SPREAD, "of"])


def differences_of(found: Sequence[Predictions]) -> pd.DataFrame:
    """Return `crossed_differences` to SGD of each variant; columns as `load_differences`."""
    tables, there = [], _right(found)
    for variant in dict.fromkeys(one.variant for one, _ in there):
        own = {one.algorithm: (one, table) for one, table in there if one.variant == variant}
        rows = crossed_differences({name: table for name, (_, table) in own.items()})
        for row in rows.to_dict("records"):
            ofs = (own[row[name]][0].of for name in ("algorithm", "other"))
            tables.append(own[row["algorithm"]][0].named | row | {"of": "+".join(ofs)})
    return pd.DataFrame(tables, columns=[*NAMED, "other", *DIFFERENCE, "of"])


def load_spreads(profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Read how far restarts scatter and how much of it is the test examples', as `popview ensembles` has computed it.

    Returns
    -------
    DataFrame
        ``variant, where, models, algorithm`` (see `popview.populations.ensembles.load_ensembles`), then what
        `accuracy_spread` returns. Without rows where an example may have several labels, or nothing was computed.

    Raises
    ------
    UsageError
        If the file is damaged.
    """
    return _load(profile, task, "spreads", (*NAMED, *SPREAD), root)


def load_differences(profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Read differences to SGD with intervals over restarts × examples, as `popview ensembles` has computed them.

    Returns
    -------
    DataFrame
        ``variant, where, models``, then what `crossed_differences` returns. Without rows as `load_spreads`.

    Raises
    ------
    UsageError
        If the file is damaged.
    """
    return _load(profile, task, "differences", (*NAMED, "other", *DIFFERENCE), root)


def _load(profile: str, task: str, what: str, columns: tuple[str, ...], root: Path) -> pd.DataFrame:
    return load_derived(profile, task, what, (*columns, "of"), root).drop(columns="of")
