"""What the annealed search saw: scores over its grid, and what a smaller search would have found."""

from collections.abc import Iterator
from math import comb, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from popview.common.errors import check_name
from popview.common.folders import RESULTS
from popview.runs import store
from popview.runs.annealed import ROUNDS, AnnealedPlan, loss_on_validation


def search_scores(profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Return what the runs of a task's annealed search scored, of the algorithms of which all cells are there.

    Returns
    -------
    DataFrame
        One row per run: ``algorithm, rung`` ("cell": a third of the budget, one seed; "finalist": the whole of it),
        ``cell`` (its place in the grid), a column per hyperparameter of the grids (NaN where an algorithm's grid lacks
        it), ``seed, epochs, diverged``, ``score`` (what the search goes by, the lower the better: validation loss, or
        of several labels − mean average precision; infinite where diverged), ``validation_metric, test_metric`` (of
        the last model, the second on the whole test split), ``finalist, chosen`` (bool, of the cell). Without rows
        where the profile plans no such search, or nothing of it is there.
    """
    plan, rows = AnnealedPlan(profile, task), []
    for algorithm in plan.searched:
        tried, entry = plan.cells(algorithm), plan.choices.get(algorithm, {})
        for rung in ROUNDS:
            specs = plan.expand(rung, (algorithm,)) if rung == "cell" or "finalists" in entry else []
            if store.missing(specs, root):
                break
            places = range(len(tried)) if rung == "cell" else entry["finalists"] if specs else ()
            each = len(specs) // max(1, len(places))
            for number, spec in enumerate(specs):
                place, told = places[number // each], store.metadata(spec, root)
                row: dict[str, Any] = {"algorithm": algorithm, "rung": rung, "cell": place, **tried[place]}
                row |= {"seed": spec.seed, "epochs": spec.epochs, "diverged": any(told["diverged"])}
                row |= {"score": loss_on_validation(spec, root)}
                for name, where in (("validation_metric", "validation"), ("test_metric", "whole_test")):
                    row[name] = float(np.mean(np.array(told[where]["metric"], dtype=float)))
                row |= {"finalist": place in entry.get("finalists", []), "chosen": place == entry.get("chosen")}
                rows.append(row)
    return pd.DataFrame(rows)


def sensitivity(scores: pd.DataFrame, along: str, value: str = "validation_metric") -> pd.DataFrame:
    """Return how a value depends on one hyperparameter of the grid: at its best over the others, and at the chosen.

    Parameters
    ----------
    scores : DataFrame
        As `search_scores` returns it.
    along : str
        A hyperparameter of the grids, such as "lr".
    value : str
        A column: "validation_metric", "test_metric" or "score".

    Returns
    -------
    DataFrame
        Per algorithm that has it in its grid, rung and value of `along`: ``algorithm, rung``, `along`, ``cells``
        (those of it that did not diverge), ``best`` and ``median`` over them (mean over seeds first), ``at_chosen``
        (with the other hyperparameters as chosen; NaN where there is no such cell) and ``chosen`` (bool: the value that
        was chosen).

    Raises
    ------
    UsageError
        If no grid has the hyperparameter, or the value is none of these columns.
    """
    check_name("value of a search", value, ("validation_metric", "test_metric", "score"))
    if scores.empty:
        return pd.DataFrame()
    axes = _axes(scores)
    check_name("hyperparameter of the grids", along, axes)
    rows = []
    for (algorithm, rung), found in _means(scores).groupby(["algorithm", "rung"], sort=False):
        own = [name for name in axes if found[name].notna().all()]
        picked = scores[(scores["algorithm"] == algorithm) & scores["chosen"]].head(1)
        if along not in own:
            continue
        for level, cells in found.groupby(along):
            there = cells[np.isfinite(cells["score"])][value]
            others = [name for name in own if name != along]
            alike = cells.merge(picked[others].drop_duplicates(), on=others) if len(picked) and others else cells[:0]
            row = {"algorithm": algorithm, "rung": rung, along: level, "cells": len(there)}
            row |= {"best": there.min() if value == "score" else there.max(), "median": there.median()}
            row |= {"at_chosen": alike[value].iloc[0] if len(alike) else np.nan}
            rows.append(row | {"chosen": len(picked) > 0 and picked[along].iloc[0] == level})
    return pd.DataFrame(rows)


def search_summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what each search chose, how far its best runs come, and whether a grid ends where it chose.

    Returns
    -------
    DataFrame
        Per algorithm: ``algorithm, cells, diverged`` (of the first rung), ``chosen`` (hyperparameter → value; empty
        where the search has not ended), ``at_end`` (names of those of which the chosen value is the grid's lowest or
        highest), ``best`` (validation score of the chosen cell, at the whole budget where it is a finalist; before the
        choice, of the best cell), ``share`` (of the highest ``best`` of all algorithms: below a half an algorithm would
        count as never trained).
    """
    rows = []
    for algorithm, own in scores.groupby("algorithm", sort=False) if len(scores) else ():
        first, last = (own[own["rung"] == rung] for rung in ROUNDS)
        axes = [name for name in _axes(scores) if first[name].notna().all()]
        picked = first[first["chosen"]].head(1)
        chosen = picked.iloc[0][axes].to_dict() if len(picked) else {}
        row: dict[str, Any] = {"algorithm": algorithm, "cells": len(first), "diverged": int(first["diverged"].sum())}
        ends = [name for name, value in chosen.items() if value in (first[name].min(), first[name].max())]
        picked = last[last["chosen"]] if last["chosen"].any() else first[first["chosen"]]
        reached = picked["validation_metric"].mean() if len(picked) else first["validation_metric"].max()
        rows.append(row | {"chosen": chosen, "at_end": ends, "best": reached})
    table = pd.DataFrame(rows)
    return table.assign(share=table["best"] / table["best"].max()) if rows else table


def best_of_budget(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what a search of k cells drawn at random from the grid would have been expected to choose.

    Of the first rung alone. The cell of the best score among the k is chosen: of n cells, in order from the best, the
    i-th is chosen with probability C(n − i, k − 1) / C(n, k).

    Parameters
    ----------
    scores : DataFrame
        As `search_scores` returns it.

    Returns
    -------
    DataFrame
        Per algorithm and number of ``trials`` k: ``cells`` (n), and the expected ``validation_metric, test_metric`` of
        the chosen cell with the standard deviations ``validation_sd, test_sd`` over such searches. Cells that diverged
        count as a metric of 0. Validation's is biased upwards, for it chose.

    References
    ----------
    Dodge et al. 2019, "Show Your Work", EMNLP, arXiv 1909.03004: expected best validation performance; here drawn
    without replacement.
    """
    return pd.DataFrame(_budgets(scores))


def _budgets(scores: pd.DataFrame) -> Iterator[dict[str, Any]]:
    first = scores[scores["rung"] == "cell"] if len(scores) else scores
    for algorithm, found in first.groupby("algorithm", sort=False) if len(first) else ():
        ordered = found.sort_values("score", kind="stable")
        lost = ~np.isfinite(ordered["score"].to_numpy())
        n = len(ordered)
        for trials in range(1, n + 1):
            chance = np.array([comb(n - place, trials - 1) / comb(n, trials) for place in range(1, n + 1)])
            row: dict[str, Any] = {"algorithm": algorithm, "trials": trials, "cells": n}
            for kind in ("validation", "test"):
                values = np.where(lost, 0.0, ordered[f"{kind}_metric"].to_numpy())
                mean = float(chance @ values)
                row |= {f"{kind}_metric": mean, f"{kind}_sd": sqrt(max(0.0, float(chance @ (values - mean) ** 2)))}
            yield row


def _axes(scores: pd.DataFrame) -> list[str]:
    """Return the hyperparameters of the grids."""
    known = ["algorithm", "rung", "cell", "seed", "epochs", "diverged", "score", "validation_metric", "test_metric"]
    return [name for name in scores if name not in (*known, "finalist", "chosen")]


def _means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the means over seeds of each cell."""
    keys = ["algorithm", "rung", "cell", *_axes(scores)]
    return (
        scores.groupby(keys, sort=False, dropna=False)[["score", "validation_metric", "test_metric"]]
        .mean()
        .reset_index()
    )
