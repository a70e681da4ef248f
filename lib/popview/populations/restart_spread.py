"""How much of the spread between restarts is sampling of test examples: models that err alike on average, not in each.

Runs that are judged on the whole test split keep what their last model predicts there, so that errors can be counted
example by example. The labels are the data set's: a file has none.
"""

from collections.abc import Iterable, Mapping
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import ArrayLike

from popview.common.folders import RESULTS
from popview.populations.confirmation import decisions, load_confirmation
from popview.runs import store
from popview.runs.annealed import AnnealedPlan
from popview.runs.specs import RunSpec
from popview.statistics import crossed_mean, mean_difference, spread_of_scores
from popview.statistics.results import interval_columns
from popview.tasks.catalogue import ACCURACY, RECORDS
from popview.tasks.scores import disagreement, from_bytes, predictions
from popview.tasks.setup import set_up

__all__ = [
    "accuracy_spread",
    "confirmed_predictions",
    "crossed_differences",
    "labels_of_test_split",
    "whole_test_predictions",
]


def whole_test_predictions(specs: Iterable[RunSpec], root: Path = RESULTS) -> dict[str, pd.DataFrame]:
    """Read the classes that the last models predict on the whole test split, where an example has one label.

    Parameters
    ----------
    specs : iterable of RunSpec
        Of one task, of runs whose `extent` is "whole".
    root : Path
        Of the store.

    Returns
    -------
    dict of str to DataFrame
        Algorithm → predicted class; rows: seeds; columns: examples in the data's order.

    Raises
    ------
    UsageError
        If a file is not in the store.
    """
    found: dict[str, dict[int, np.ndarray]] = {}
    for spec in specs:
        table, classes = store.load(spec, root), RECORDS[spec.task].classes
        for seed, kept in zip(table["seed"].to_pylist(), table["test_probabilities"], strict=True):
            if kept.is_valid:
                probabilities = from_bytes(kept.values.to_numpy().reshape(-1, classes))
                found.setdefault(spec.algorithm, {})[seed] = predictions(probabilities, multilabel=False)
    return {
        name: pd.DataFrame.from_dict(rows, orient="index").rename_axis("seed").sort_index()
        for name, rows in found.items()
    }


def confirmed_predictions(profile: str, task: str, root: Path = RESULTS) -> dict[str, pd.DataFrame]:
    """Return `whole_test_predictions` of the confirmation runs that count: see `load_confirmation`.

    Nothing where an example may have several labels, or nothing is there.
    """
    decided = decisions()
    there = load_confirmation(profile, task, decided, root)
    if there.empty or RECORDS[task].multilabel:
        return {}
    wanted = AnnealedPlan(profile, task).expand(decided["variant"])
    known = {(name, seed) for name in there for seed in there[name].dropna().index}
    return whole_test_predictions([spec for spec in wanted if (spec.algorithm, spec.seed) in known], root)


def labels_of_test_split(profile: str, task: str) -> np.ndarray:
    """Return the labels of a task's test split, in the data's order: they are the data set's own.

    Raises
    ------
    UsageError
        If its data cannot be had.
    """
    plan = AnnealedPlan(profile, task)
    return set_up(task, [0], plan.model).test_labels().numpy()


def accuracy_spread(
    scores: pd.DataFrame,
    task: str,
    predicted: Mapping[str, pd.DataFrame] | None = None,
    labels: ArrayLike | None = None,
) -> pd.DataFrame:
    """Compare how accuracies on the whole test split scatter over restarts with what independent errors would give.

    If a restart got each example right with the example's own probability p, whatever it did with the others,
    accuracies would have variance Σ p (1 − p) / n². The rest is what makes one model better than another. Without
    labels there is an upper limit: p (1 − p) is at most half the chance that two restarts predict different classes;
    and without predictions another: that of the mean of p.

    Parameters
    ----------
    scores : DataFrame
        Accuracies; rows: seeds; columns: algorithms.
    task : str
    predicted : mapping of str to DataFrame, optional
        As `whole_test_predictions` returns it, of the same restarts.
    labels : array_like of int, optional
        As `labels_of_test_split` returns them.

    Returns
    -------
    DataFrame
        One row per algorithm of two restarts or more: ``algorithm, restarts, mean, sd, sd_low, sd_high`` (95 %, of
        normally distributed restarts), ``disagreement`` (share of the examples on which two restarts differ, NaN
        without predictions), ``independent`` (SD by independent errors, NaN without labels), ``independent_most`` (its
        upper limit), ``share`` (of the observed variance, by ``independent`` or else at most; not above 1) and
        ``beyond`` (SD of what is left). No rows where the task's metric is not accuracy.

    References
    ----------
    Jordan 2024, arXiv 2304.01910: of networks trained to the end most of the spread of test accuracy is this.
    """
    record, rows = RECORDS[task], []
    if record.metric != ACCURACY:
        return pd.DataFrame()
    for name in scores:
        values = scores[name].dropna().to_numpy()
        if len(values) < 2:
            continue
        sd, mean, degrees = float(values.std(ddof=1)), float(values.mean()), len(values) - 1
        low, high = sd * np.sqrt(degrees / scipy.stats.chi2.ppf([0.975, 0.025], degrees))
        row = {"algorithm": name, "restarts": len(values), "mean": mean, "sd": sd, "sd_low": low, "sd_high": high}
        most, apart, independent = mean * (1 - mean), np.nan, np.nan
        if predicted and len(predicted.get(str(name), ())) > 1:
            classes = predicted[str(name)].to_numpy()
            apart = disagreement(classes)
            most = min(most, apart / 2)
            if labels is not None:
                independent = spread_of_scores(classes == np.asarray(labels))[1]
        row |= {"disagreement": apart, "independent": independent, "independent_most": sqrt(most / record.test)}
        explained = row["independent_most"] if np.isnan(independent) else independent
        row |= {"share": min(1.0, (explained / sd) ** 2) if sd > 0 else np.nan}
        rows.append(row | {"beyond": sqrt(max(0.0, sd**2 - explained**2))})
    return pd.DataFrame(rows)


def crossed_differences(
    predicted: Mapping[str, pd.DataFrame], labels: ArrayLike, reference: str = "SGD"
) -> pd.DataFrame:
    """Compare accuracies with the reference's, for other restarts alone and for other restarts and examples at once.

    Parameters
    ----------
    predicted : mapping of str to DataFrame
        As `whole_test_predictions` returns it.
    labels : array_like of int
        As `labels_of_test_split` returns them.
    reference : str

    Returns
    -------
    DataFrame
        One row per other algorithm of which two seeds or more are the reference's: ``a, b, restarts, examples,
        difference``; 95 % intervals ``low, high`` over restarts, for the test examples at hand, and ``crossed_low,
        crossed_high`` over restarts × examples (see `popview.statistics.crossed_mean`); ``crossed_p``.
    """
    truth, rows = np.asarray(labels), []
    right = {name: table == truth for name, table in predicted.items()}
    for name in [name for name in right if name != reference and reference in right]:
        shared = right[name].index.intersection(right[reference].index)
        if len(shared) < 2:
            continue
        ours, theirs = (right[one].loc[shared].to_numpy(dtype=float) for one in (name, reference))
        both, alone = crossed_mean(ours - theirs), mean_difference(ours.mean(1), theirs.mean(1), paired=True)
        row = {"a": name, "b": reference, "restarts": len(shared), "examples": len(truth)}
        row |= {"difference": both.estimate, **interval_columns(alone), **interval_columns(both, "crossed_")}
        rows.append(row | {"crossed_p": both.p_value})
    return pd.DataFrame(rows)
