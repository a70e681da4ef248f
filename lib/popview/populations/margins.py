"""What a verdict owes to the margin of equivalence: as a function of it, and the smallest that would have shown it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from popview.populations.comparisons import ALPHA
from popview.populations.confirmation import confirm
from popview.populations.pooled import deviations
from popview.statistics import Equivalence, verdict
from popview.statistics.power import equivalence_power
from popview.tasks.catalogue import ACCURACY, RECORDS


def smallest_margins(comparisons: pd.DataFrame) -> pd.Series:
    """Return for each comparison the margin from which on two one-sided t tests at 5 % show equivalence.

    It is the larger distance from 0 of the two ends of the 90 % interval.

    Parameters
    ----------
    comparisons : DataFrame
        As `popview.populations.comparisons.against` returns it.

    Examples
    --------
    >>> import pandas as pd
    >>> from popview.populations.comparisons import against
    >>> from popview.populations.margins import smallest_margins
    >>> values = pd.DataFrame({"SGD": [0.70, 0.72, 0.71, 0.73], "SAM": [0.71, 0.72, 0.72, 0.73]})
    >>> smallest_margins(against(values, [("SAM", "SGD")], margin=0.01)).round(4).tolist()
    [0.0118]
    """
    return comparisons["difference"].abs() + _half_at_90(comparisons)


def verdicts_by_margin(comparisons: pd.DataFrame, factors: Sequence[float] = (0.5, 1.0, 2.0)) -> pd.DataFrame:
    """Return the verdict of each comparison at multiples of its margin.

    Whether a difference is there does not depend on the margin; whether it is equivalent does.

    Parameters
    ----------
    comparisons : DataFrame
        As `popview.populations.comparisons.against` returns it; columns ``task, variant, outcome, family`` are kept.
    factors : sequence of float
        Multiples of the margin that was decided.

    Returns
    -------
    DataFrame
        One row per comparison and factor: ``task, variant, outcome, family`` as far as given, ``a, b, factor, margin``
        (the multiple), ``verdict`` (as at that margin), ``direction, smallest_margin`` (see `smallest_margins`) and
        ``smallest_factor``, the same in multiples of the decided margin.

    Raises
    ------
    ValueError
        If a factor is not above 0.
    """
    if not all(0 < factor < np.inf for factor in factors):
        raise ValueError(f"factors must be above 0, got {list(factors)}")
    kept = [name for name in ("task", "variant", "outcome", "family") if name in comparisons]
    if comparisons.empty:
        return pd.DataFrame()
    table = comparisons.assign(smallest_margin=smallest_margins(comparisons), half=_half_at_90(comparisons))
    rows = []
    for row in table.to_dict("records"):
        known = {str(name): row[name] for name in (*kept, "a", "b")}
        for factor in factors:
            margin = factor * row["margin"]
            found = verdict(
                row["difference"],
                row["adjusted_p"],
                _equivalence(row["difference"], row["half"], row["restarts"], margin),
                smallest_adjusted_p=row["smallest_adjusted_p"],
            )
            shown = {"factor": factor, "margin": margin, "verdict": found.word, "direction": row["direction"]}
            shown |= {"smallest_margin": row["smallest_margin"]}
            rows.append(known | shown | {"smallest_factor": row["smallest_margin"] / row["margin"]})
    return pd.DataFrame(rows)


def confirmed_by_margin(fresh: Mapping[str, pd.DataFrame], decided: dict[str, Any]) -> pd.DataFrame:
    """Return the verdicts of the confirmation at the decided margin and at the others that were written down with it.

    Parameters
    ----------
    fresh : mapping of str to DataFrame
        As `popview.populations.confirmation.confirmed_tasks` returns it.
    decided : dict
        As `popview.populations.confirmation.decisions` returns it.

    Returns
    -------
    DataFrame
        As `popview.populations.confirmation.confirm`, with ``task``, ``decided`` (bool: by the decided margin) and
        ``turned`` (bool: the verdict is not that by the decided margin).
    """
    tables = [
        confirm(values, decided, task, margin).assign(task=task, decided=number == 0)
        for task, values in fresh.items()
        for number, margin in enumerate([decided["margins"][task], *decided["other_margins"].get(task, [])])
    ]
    found = pd.concat([pd.DataFrame(), *tables], ignore_index=True)
    if found.empty:
        return found
    first = found.groupby(["task", "family", "a"])["verdict"].transform("first")
    return found.assign(turned=found["verdict"] != first)


def design_strengths(comparisons: pd.DataFrame, values: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """Return what comparisons with SGD rest on: restarts, tests, the margin, and the sampling error of the test set.

    Parameters
    ----------
    comparisons : DataFrame
        As `popview.populations.comparisons.against_reference` returns it.
    values : mapping of (task, variant) to DataFrame
        The values that were compared, on the whole test split: rows: seeds; columns: algorithms.

    Returns
    -------
    DataFrame
        One row per task and variant: ``task, variant, restarts, tests`` (words), ``metric, mean`` (SGD's), ``margin``;
        ``standardised``, the margin in standard deviations of the difference of two restarts that share a seed, divided
        by √2, the median over algorithms (infinite without spread); ``shown``, how often equal optimizers so scattered
        are shown to be equivalent; ``sampling_error``, of SGD's accuracy on the whole test split, NaN of macro-F1.
    """
    rows = []
    for (task, variant), members in comparisons.groupby(["task", "variant"], sort=False) if len(comparisons) else ():
        table, record = values[task, variant], RECORDS[task]
        mean, margin = float(table["SGD"].mean()), members["margin"].iloc[0]
        spread = deviations(table)[1] / np.sqrt(2)
        wide = margin / spread if spread else np.inf
        accuracy = record.metric == ACCURACY
        rows.append(
            {
                "task": task,
                "variant": variant,
                "restarts": ", ".join(map(str, members["restarts"].unique())),
                "tests": ", ".join(members["test"].unique()),
                "metric": record.metric,
                "mean": mean,
                "margin": margin,
                "standardised": wide,
                "shown": equivalence_power(int(members["restarts"].min()), wide) if np.isfinite(wide) else np.nan,
                "sampling_error": np.sqrt(mean * (1 - mean) / record.test) if accuracy else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _half_at_90(comparisons: pd.DataFrame) -> pd.Series:
    """Return half the length of the 90 % interval, from that of the 95 % one."""
    freedom = comparisons["restarts"] - 1
    ratio = scipy.stats.t.isf(ALPHA, freedom) / scipy.stats.t.isf(0.025, freedom)
    return (comparisons["difference_high"] - comparisons["difference_low"]) / 2 * ratio


def _equivalence(difference: float, half: float, restarts: int, margin: float) -> Equivalence:
    """Return the two one-sided tests at a margin, from the 90 % interval that belongs to them."""
    error = half / scipy.stats.t.isf(ALPHA, restarts - 1)
    p_value = float(abs(difference) >= margin)
    if error > 0:
        p_value = float(scipy.stats.t.cdf((abs(difference) - margin) / error, restarts - 1))
    return Equivalence(difference, (difference - half, difference + half), p_value, (restarts,), "restart", margin)
