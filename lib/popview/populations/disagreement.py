"""On how many test examples two models differ, and whether they are wrong on the same ones."""

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from popview.common.folders import RESULTS
from popview.populations.stored_predictions import Predictions, load_derived, specs_with_probabilities
from popview.runs import store
from popview.statistics import dyadic_mean, mean_difference
from popview.statistics.results import Result, interval_columns
from popview.tasks.scores import predictions

#: What is said of a pair of models.
MEASURED = ("disagreement", "error_correlation")


def error_correlations(predicted: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how often models differ, and how their errors correlate.

    Parameters
    ----------
    predicted : array
        Predicted classes ``(models, n)``, or labels ``(models, n, classes)``.
    labels : array
        Shape ``(n,)`` or ``(n, classes)``. An example of several labels is wrong, or differs, if one of these is.

    Returns
    -------
    disagreement, correlation : array, shape (models, models)
        Share of the examples on which two models predict otherwise; Pearson's correlation, over the examples, of
        whether two models are wrong (NaN for one that is wrong everywhere or nowhere).

    Examples
    --------
    Two of three examples are predicted alike; both models err on the last:

    >>> import numpy as np
    >>> from popview.populations.disagreement import error_correlations
    >>> apart, together = error_correlations(np.array([[0, 1, 1], [1, 1, 1]]), np.array([0, 1, 0]))
    >>> round(float(apart[0, 1]), 4), round(float(together[0, 1]), 4)
    (0.3333, 0.5)
    """
    wide = predicted.reshape(len(predicted), len(labels), -1)
    apart = np.stack([(one != wide).any(-1).mean(1) for one in wide])
    wrong = (wide != labels.reshape(1, len(labels), -1)).any(-1).astype(float)
    centred = wrong - wrong.mean(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        centred /= np.sqrt((centred**2).sum(1, keepdims=True))
    return apart, centred @ centred.T


def pairs_of(found: Sequence[Predictions]) -> pd.DataFrame:
    """Compare the models of restarts pair by pair; columns as `load_pairs`, without those of one run."""
    rows = []
    for group in dict.fromkeys((one.variant, one.where, one.models) for one in found):
        members = [one for one in found if (one.variant, one.where, one.models) == group]
        kinds = [predictions(one.probabilities, one.problem.multilabel) for one in members]
        values = error_correlations(np.concatenate(kinds), np.asarray(members[0].labels))
        starts = np.cumsum([0, *(len(one.seeds) for one in members)])
        for i, j in combinations_with_replacement(range(len(members)), 2):
            parts = [table[starts[i] : starts[i + 1], starts[j] : starts[j + 1]] for table in values]
            for seeds, said in _compared(parts, members[i].seeds, members[j].seeds, i == j):
                of = members[i].of if i == j else f"{members[i].of}+{members[j].of}"
                other = "" if i == j else members[j].algorithm
                rows.append(members[i].named | {"other": other, "seeds": seeds} | said | {"of": of})
    return pd.DataFrame(rows)


def _compared(
    parts: list[np.ndarray], first: Sequence[int], second: Sequence[int], one_algorithm: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield whether seeds are the same, and what is said of such pairs of models."""
    a, b = np.meshgrid(first, second, indexing="ij")
    for seeds, there in (("same", a == b), ("different", a < b if one_algorithm else a != b)):
        if there.sum() < 3 or (one_algorithm and seeds == "same"):
            continue
        said: dict[str, Any] = {"runs": len({*a[there], *b[there]}), "pairs": int(there.sum())}
        for name, table in zip(MEASURED, parts, strict=True):
            values = table[there]
            if np.isfinite(values).all():
                result = _mean(values, np.stack([a[there], b[there]], 1) if seeds == "different" else None)
                said |= {name: result.estimate, **interval_columns(result, f"{name}_")}
        yield seeds, said


def _mean(values: np.ndarray, pairs: np.ndarray | None) -> Result:
    """Return the mean over pairs, with an interval: of pairs that share runs by `dyadic_mean`, else Student's."""
    if pairs is not None:
        return dyadic_mean(values, pairs, unit="seed")
    return mean_difference(values, 0, paired=True)


def load_pairs(profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Read how often two models differ, and how their errors correlate, as `popview ensembles` has computed it.

    Returns
    -------
    DataFrame
        ``variant, where`` ("sample" or "whole" test split), ``models`` (of a restart: "ten of lowest loss" together, or
        "last"), ``algorithm, other`` (empty: the same), ``seeds``: "same" (both algorithms began alike), "different",
        or "one run" (two of the ten models of lowest loss of one run), ``runs, pairs, disagreement,
        disagreement_low, disagreement_high`` (share of the test examples), ``error_correlation,
        error_correlation_low, error_correlation_high``. Intervals are of 95 %, over runs: pairs that share a run are
        not independent (`popview.statistics.dyadic_mean`). What is not kept is NaN.

    Raises
    ------
    UsageError
        If the file is damaged.
    """
    measured = [f"{name}{end}" for name in MEASURED for end in ("", "_low", "_high")]
    columns = ("variant", "where", "models", "algorithm", "other", "seeds", "runs", "pairs", *measured, "of")
    table = load_derived(profile, task, "pairs", columns, root)
    within = [
        _within(variant, algorithm, [store.metadata(spec, root) for spec in specs])
        for (variant, algorithm), specs in specs_with_probabilities(profile, task, root).items()
    ]
    rows = [row for row in within if row]
    return (pd.concat([table, pd.DataFrame(rows)], ignore_index=True) if rows else table).drop(columns="of")


#: Who is compared → what a reader is told, from the most alike on.
KINDS = {
    "one run": "two checkpoints of one run",
    "seeds": "two seeds",
    "algorithms": "two algorithms, one seed",
    "both": "two algorithms, two seeds",
}


def by_kind(pairs: pd.DataFrame, algorithm: str = "SGD") -> pd.DataFrame:
    """Sum up how an algorithm's models differ from another checkpoint, seed or algorithm.

    Parameters
    ----------
    pairs : DataFrame
        As `load_pairs` returns it.
    algorithm : str

    Returns
    -------
    DataFrame
        One row per ``variant, where`` and ``kind`` (of `KINDS`): ``models`` ("last", or "ten of lowest loss" together;
        of one run, two of ten, one by one), ``cases`` (other algorithms, or 1), and the median over these of
        ``disagreement`` and ``error_correlation`` (NaN where it is not kept).
    """
    own = pairs[pairs["algorithm"] == algorithm]
    other = own["other"] != ""
    kind = own["seeds"].map({"same": "seeds", "different": "seeds", "one run": "one run"})
    kind = kind.mask(other & (own["seeds"] == "same"), "algorithms").mask(other & (own["seeds"] == "different"), "both")
    groups = own.assign(kind=kind).groupby(["variant", "where", "models", "kind"], sort=False)
    found = groups[list(MEASURED)].median().assign(cases=groups.size()).reset_index()
    return found[["variant", "where", "models", "kind", "cases", *MEASURED]]


def _within(variant: str, algorithm: str, told: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of two models of one run, where the files say it."""
    shares = [share for known in told for share in known.get("kept_models", {}).get("disagreement", [None])]
    if None in shares or len(shares) < 2:
        return {}
    result = _mean(np.array(shares), None)
    named = {"variant": variant, "where": "whole", "models": "two of ten", "algorithm": algorithm, "other": ""}
    counted = {"seeds": "one run", "runs": len(shares), "pairs": 45 * len(shares)}
    return named | counted | {"disagreement": result.estimate, **interval_columns(result, "disagreement_")}
