"""Ensembles of restarts: what the mean of their probabilities scores, over all ensembles of a size."""

from collections.abc import Sequence
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd

from popview.common.folders import RESULTS
from popview.populations.stored_predictions import Predictions, load_derived

#: Restarts of an ensemble; that of all restarts is added.
SIZES = (1, 2, 3, 5, 10)

#: Ensembles of a size that are scored at most: all there are, or so many that are drawn.
MOST = 300

#: What is said of an ensemble; see `popview.runs.final_measures.scores_of`.
SCORES = ("metric", "loss", "calibration_error", "average_precision")


def subsets(number: int, size: int, most: int = MOST) -> list[tuple[int, ...]]:
    """Return all groups of a size from so many restarts; where there are more than `most`, that many.

    The latter are drawn from seed 0: neighbours in random circles, so that each restart is in as many groups.

    Examples
    --------
    >>> from popview.populations.ensembles import subsets
    >>> subsets(3, 2), len(subsets(30, 5))
    ([(0, 1), (0, 2), (1, 2)], 300)
    """
    if comb(number, size) <= most:
        return list(combinations(range(number), size))
    draws = np.random.default_rng(0)
    found: list[tuple[int, ...]] = []
    while len(found) < most:
        circle = draws.permutation(number)
        found += [tuple(sorted(np.roll(circle, -place)[:size].tolist())) for place in range(number)]
    return found[:most]


def ensemble_scores(predicted: Predictions, sizes: Sequence[int] = SIZES) -> pd.DataFrame:
    """Score the ensembles of the restarts of one algorithm, by the mean of their probabilities.

    Parameters
    ----------
    predicted : Predictions
    sizes : sequence of int
        Restarts in an ensemble. Those above the number of restarts are left out; all restarts together are added.

    Returns
    -------
    DataFrame
        ``size, left_out, ensembles`` (how many), then `SCORES`: means over the ensembles of that size. Where
        ``left_out`` is a seed, over those without that restart; of the ensemble of all restarts, that of all others. So
        `popview.statistics.jackknife` gives the interval.
    """
    import torch

    from popview.runs.final_measures import scores_of

    number = len(predicted.seeds)
    whole = {number: [tuple(range(number))]}
    groups = {size: subsets(number, size) for size in sorted(sizes) if size < number} | whole
    others = subsets(number, number - 1) if number > 1 else []
    scores: dict[tuple[int, ...], list[float]] = {}
    for group in dict.fromkeys([*others, *(group for some in groups.values() for group in some)]):
        mean = torch.from_numpy(predicted.probabilities[list(group)].mean(0))[None]
        known = scores_of(predicted.problem, mean, predicted.labels)
        values = (known.get(name, [None])[0] for name in SCORES)
        scores[group] = [np.nan if value is None else value for value in values]
    rows = []
    for size, of_size in groups.items():
        for place in (None, *range(number)):
            those = [
                group for group in (others if size == number and place is not None else of_size) if place not in group
            ]
            if those:
                means = np.array([scores[group] for group in those], dtype=float).mean(0)
                out = np.nan if place is None else predicted.seeds[place]
                rows.append([size, out, len(those), *means])
    return pd.DataFrame(rows, columns=["size", "left_out", "ensembles", *SCORES])


def ensembles_of(predictions: Sequence[Predictions]) -> pd.DataFrame:
    """Score the ensembles of several algorithms; columns as `load_ensembles`."""
    frames = [ensemble_scores(one).assign(of=one.of) for one in predictions]
    named = [pd.DataFrame([one.named] * len(frame)) for one, frame in zip(predictions, frames, strict=True)]
    pairs = zip(named, frames, strict=True)
    return pd.concat([pd.concat(pair, axis=1) for pair in pairs], ignore_index=True)


def load_ensembles(profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Read the scores of ensembles of restarts that `popview ensembles` has computed of a task.

    Returns
    -------
    DataFrame
        ``variant, where`` ("sample" or "whole" test split), ``models`` (of one restart: "ten of lowest loss" or
        "last"), ``algorithm``, the columns of `ensemble_scores`, ``of`` (digest of what it was computed from). Without
        rows where nothing was computed, as of tasks whose files keep no probabilities.

    Raises
    ------
    UsageError
        If the file is damaged.
    """
    columns = ("variant", "where", "models", "algorithm", "size", "left_out", "ensembles", *SCORES, "of")
    return load_derived(profile, task, "ensembles", columns, root)
