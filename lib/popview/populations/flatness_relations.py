"""Does flatness go with generalization, and with robustness? Rank correlations that are never pooled alone.

Restarts of one algorithm differ by their seeds only. Algorithms differ in much else than flatness. So both are told
apart: **within** an algorithm over its restarts, and **between** the means of algorithms.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from popview.common.folders import RESULTS
from popview.populations.checkpoints import final
from popview.populations.outcomes import load_final_measures
from popview.populations.tables import gather, wanted
from popview.populations.unfinished import unfinished
from popview.runs.profiles import settings
from popview.statistics import holm, kendall, mean_kendall
from popview.topography.measures import FLATNESS

#: Measures of flatness: more is sharper, or further away.
MEASURES = tuple(measure.name for measure in FLATNESS)

#: Outcome → what it is; more is worse.
OUTCOMES_OF_FLATNESS = {
    "gap": "loss on the test sample less loss on the training sample",
    "error": "1 − metric on the whole test split",
    "loss": "loss on the whole test split",
    "shifted_loss": "loss under corruption, the mean over corruptions and strengths",
    "shifted_error": "1 − metric under corruption, the mean over corruptions and strengths",
    "adjusted_error": "what is left of the shifted error beside a line in the error on the whole test split",
}

#: Restarts, and algorithms, that a rank correlation needs.
FEWEST = 5


def flatness_table(profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Return what each restart's last model at base settings measures, and how it fares.

    Algorithms that have not finished training (`popview.populations.unfinished`) are left out, and so are restarts that
    diverged: they are flat, or sharp, for another reason.

    Parameters
    ----------
    profile, task : str
    root : Path
        Of the store.

    Returns
    -------
    DataFrame
        ``algorithm, seed``, the columns of `MEASURES` that the files have, ``train_loss``, and `OUTCOMES_OF_FLATNESS`,
        without the last three where the files have no corruptions, without ``shifted_loss`` where these have no losses.
        The line of ``adjusted_error`` is drawn through all restarts by least squares. Without rows where there are no
        results.

    Raises
    ------
    UsageError
        As `popview.populations.tables.gather`.
    """
    trajectories = gather(profile, task, "base", root=root)[1].get((task, "base"), pd.DataFrame())
    if trajectories.empty:
        return pd.DataFrame(columns=["algorithm", "seed"])
    slow = unfinished(trajectories, float(settings(profile, task)["margin"]))
    kept = set(trajectories["algorithm"]) - set(slow.loc[slow["unfinished"].astype(bool), "algorithm"])
    specs = [spec for spec in wanted(profile, task) if spec.algorithm in kept]
    return adjusted(measured(trajectories, load_final_measures(specs, root)))


def measured(trajectories: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `flatness_table` before `adjusted`, of the restarts with these measures that did not diverge.

    Parameters
    ----------
    trajectories : DataFrame
        Of one task and variant, as `popview.populations.tables.load_trajectories` returns it.
    measures : DataFrame
        As `popview.populations.outcomes.load_final_measures` returns it.
    """
    found = measures[~measures["diverged"].astype(bool)]
    here = pd.MultiIndex.from_frame(found[["algorithm", "seed"]])
    gap = (final(trajectories, "test_loss") - final(trajectories, "train_loss")).stack().swaplevel()
    table = found[["algorithm", "seed"]].reset_index(drop=True)
    for name in MEASURES:
        if f"flatness.{name}" in found:
            table[name] = found[f"flatness.{name}"].to_numpy(dtype=float)
    table["train_loss"] = final(trajectories, "train_loss").stack().swaplevel().reindex(here).to_numpy(dtype=float)
    table["gap"] = gap.reindex(here).to_numpy(dtype=float)
    table["error"] = 1 - found["whole_test.metric"].to_numpy(dtype=float)
    table["loss"] = found["whole_test.loss"].to_numpy(dtype=float)
    shifted = [name for name in found if name.startswith("corrupted.") and not name.startswith("corrupted.clean")]
    if shifted and len(table):
        table["shifted_error"] = 1 - found[shifted].mean(axis=1).to_numpy(dtype=float)
    losses = [name for name in found if name.startswith("corrupted_losses.")]
    if losses and len(table):
        table["shifted_loss"] = found[losses].mean(axis=1).to_numpy(dtype=float)
    if "unseen.metric" in found:
        table["unseen_error"] = 1 - found["unseen.metric"].to_numpy(dtype=float)
    if "spread" in found:
        table["spread"] = found["spread"].to_numpy(dtype=float)
    return table


def adjusted(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with ``adjusted_error``: ``shifted_error`` less its least-squares line in ``error``."""
    if "shifted_error" not in table:
        return table
    slope, start = np.polyfit(table["error"], table["shifted_error"], 1)
    return table.assign(adjusted_error=table["shifted_error"] - start - slope * table["error"])


def relations(
    table: pd.DataFrame, measures: Sequence[str] = MEASURES, outcomes: Sequence[str] = tuple(OUTCOMES_OF_FLATNESS)
) -> pd.DataFrame:
    """Relate measures to outcomes by ranks, within algorithms and between them.

    Parameters
    ----------
    table : DataFrame
        As `flatness_table` returns it.
    measures, outcomes : sequence of str
        Columns; those that the table lacks are left out.

    Returns
    -------
    DataFrame
        ``level`` ("within": the mean over algorithms of Kendall's τ_b over the restarts of each; "between": τ_b over
        the means of algorithms), ``measure, outcome, algorithms, restarts`` (of each), ``tau, low, high`` (95 %, by the
        jackknife over restarts, or over algorithms), ``spearman``, ``p`` (t test of the jackknife, or Kendall's exact
        one), ``adjusted_p`` (by Holm, over all rows of a level). Positive: what is sharper fares worse.

    Examples
    --------
    >>> import pandas as pd
    >>> from popview.populations.flatness_relations import relations
    >>> restarts = {"algorithm": ["SGD"] * 5, "seed": range(5)}
    >>> table = pd.DataFrame(restarts | {"trace": [1, 2, 3, 4, 5], "error": [0.1, 0.3, 0.2, 0.4, 0.5]})
    >>> relations(table, ["trace"], ["error"])[["level", "tau", "restarts"]].values.tolist()
    [['within', 0.8, 5]]
    """
    rows = [
        {"level": level, "measure": measure, "outcome": outcome} | said
        for level, relate in (("within", _within), ("between", _between))
        for measure in measures
        for outcome in outcomes
        if measure in table and outcome in table
        for said in [relate(table, measure, outcome)]
        if said
    ]
    found = pd.DataFrame(rows)
    for _, places in found.groupby("level").groups.items() if rows else ():
        found.loc[places, "adjusted_p"] = holm(found.loc[places, "p"].to_numpy())
    return found


def _within(table: pd.DataFrame, x: str, y: str) -> dict[str, Any]:
    """Return one row of `relations`: over the seeds that all algorithms have."""
    wide = [table.pivot(index="seed", columns="algorithm", values=name) for name in (x, y)]
    whole = pd.concat(wide, axis=1).dropna().index
    if len(whole) < FEWEST:
        return {}
    first, second = (part.loc[whole].to_numpy(dtype=float).T for part in wide)
    result = mean_kendall(first, second)
    if result.p_value is None:
        return {}
    ranks = [scipy.stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True) if np.ptp(a) * np.ptp(b)]
    return _said(len(first), len(whole), result, float(np.mean(ranks)), result.p_value)


def _between(table: pd.DataFrame, x: str, y: str) -> dict[str, Any]:
    """Return one row of `relations`: over algorithms."""
    groups = table.groupby("algorithm")
    means = groups[[x, y]].mean().dropna() if x != y else groups[[x]].mean()
    if len(means) < FEWEST or (means.nunique() < 2).any():
        return {}
    first, second = means[x], means[y]
    result = kendall(first, second, unit="algorithm")
    exact = scipy.stats.kendalltau(first, second).pvalue
    spearman = float(scipy.stats.spearmanr(first, second).statistic)
    return _said(len(means), int(groups.size().min()), result, spearman, exact)


def _said(algorithms: int, restarts: int, result: Any, spearman: float, p: float) -> dict[str, Any]:
    low, high = (max(-1.0, result.interval[0]), min(1.0, result.interval[1])) if result.interval else (np.nan, np.nan)
    counted = {"algorithms": algorithms, "restarts": restarts, "tau": result.estimate, "low": low, "high": high}
    return counted | {"spearman": spearman, "p": float(p)}


def agreement(table: pd.DataFrame, measures: Sequence[str] = MEASURES) -> pd.DataFrame:
    """Relate the measures of flatness to each other: do they put models in the same order?

    Returns
    -------
    DataFrame
        As `relations`, one row per level and pair of measures; ``outcome`` is the other measure.
    """
    known = [name for name in measures if name in table]
    frames = [relations(table, [a], known[place + 1 :]) for place, a in enumerate(known)]
    found = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return found.drop(columns="adjusted_p", errors="ignore")
