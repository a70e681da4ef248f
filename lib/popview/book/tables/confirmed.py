"""Comparisons of annealed runs, by rules and seeds that were fixed before the first was trained."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from popview.book.cells import WORD_SIGNS, interval, with_interval, without_interval, words
from popview.book.names import task_title
from popview.book.page import p_value
from popview.populations.flatness_factors import SETTINGS

#: What tables call hyperparameters.
SHORT = SETTINGS | {"rho": "ρ"}

#: What tells one comparison from another.
KEYS = ["task", "family", "a"]


def confirmed(comparison: pd.DataFrame, prices: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Lay out `popview.populations.margins.confirmed_by_margin`: a line per comparison, by the decided margin.

    Parameters
    ----------
    comparison : DataFrame
    prices : mapping of str to Series
        Task → what `popview.populations.confirmation.gradient_ratios` returns.
    """
    if comparison.empty:
        return comparison
    others = comparison[~comparison["decided"]]
    at = (100 * others["margin"]).map("±{:g}: ".format) + words(others)
    beside = at.groupby([others[name] for name in KEYS]).agg(", ".join)
    comparison = comparison[comparison["decided"]].reset_index(drop=True)
    points = {name: 100 * comparison[name] for name in ("margin", "smallest_margin", "detectable")}
    return pd.DataFrame(
        {
            "task": comparison["task"].map(task_title),
            "family": comparison["family"],
            "comparison": comparison["a"] + " – " + comparison["b"],
            "restarts": comparison["restarts"].astype(int),
            "gradients, × SGD's": [f"{prices[task][a]:.2f}" for task, a in comparison[["task", "a"]].to_numpy()],
            "look": comparison["look"].astype(int).astype(str) + " of " + comparison["looks"].astype(int).astype(str),
            "verdict": words(comparison),
            "difference": with_interval(comparison, "difference", 100.0),
            "p": comparison["p"].map(p_value),
            "p (TOST)": comparison["equivalence_p"].map(p_value),
            "margin": points["margin"].map("±{:g}".format),
            "by the smaller margin": beside.reindex(pd.MultiIndex.from_frame(comparison[KEYS])).fillna("–").to_numpy(),
            "equivalent within": points["smallest_margin"].map("±{:.2f}".format),
            "found 4 times in 5": points["detectable"].map("{:.2f}".format),
        }
    )


def by_task(comparison: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.confirmation.latest`: a line per algorithm, a column per task."""
    cells = words(comparison).map(WORD_SIGNS) + "\u00a0" + with_interval(comparison, "difference", 100.0)
    wide = comparison.assign(cell=cells).pivot(index="a", columns="task", values="cell").fillna("–")
    wide = wide.reindex(index=comparison["a"].unique(), columns=comparison["task"].unique())
    return wide.rename(columns=task_title).rename_axis(columns=None).reset_index(names="algorithm")


def rounds(comparison: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """Lay out two rounds on Digits that do not count beside the one that does.

    Parameters
    ----------
    comparison : DataFrame
        `popview.populations.confirmation.confirm`, of Digits.
    earlier : DataFrame
        `popview.populations.confirmation.earlier_rounds`.
    """
    ours = comparison.drop_duplicates("a").rename(columns={"a": "algorithm"}).assign(round="counts")
    every = pd.concat([earlier, ours], ignore_index=True)
    every["cell"] = with_interval(every, "difference", 100.0) + " " + words(every)
    laid = every.pivot(index="algorithm", columns="round", values="cell").reindex(ours["algorithm"])
    titles = {"first": "first: seeds from 100", "second": "again: the same seeds", "counts": "counts: seeds from 200"}
    return laid[[*titles]].rename(columns=titles).reset_index()


def scatter(spread: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.confirmation.schedule_spreads`, of several tasks."""
    columns: dict[str, Any] = {"task": spread["task"].map(task_title), "algorithm": spread["algorithm"]}
    for kind in ("constant", "annealed"):
        mean, deviation = (100 * spread[f"{kind}_{what}"] for what in ("mean", "sd"))
        columns[f"{kind}: mean ± SD"] = mean.map("{:.2f}".format) + " ± " + deviation.map("{:.2f}".format)
        columns[f"{kind}: restarts"] = spread[f"{kind}_restarts"]
        found = (100 * spread[f"{kind}_detectable"]).map("{:.2f}".format)
        columns[f"{kind}: found 4 times in 5"] = found.mask(spread[f"{kind}_detectable"].isna(), "–")
    return pd.DataFrame(columns)


def searches_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.searched.search_summary`, of several tasks."""

    def settings(chosen: dict[str, float]) -> str:
        return ", ".join(f"{SHORT.get(name, name)} {value:g}" for name, value in chosen.items()) or "–"

    return pd.DataFrame(
        {
            "task": summary["task"].map(task_title),
            "algorithm": summary["algorithm"],
            "cells": summary["cells"],
            "diverged": summary["diverged"],
            "chosen": summary["chosen"].map(settings),
            "at an end of the grid": summary["at_end"].map(
                lambda names: ", ".join(SHORT.get(name, name) for name in names) or "–"
            ),
            "validation score, %": (100 * summary["best"]).map("{:.1f}".format),
            "of the best algorithm's, %": (100 * summary["share"]).map("{:.0f}".format),
        }
    )


def arms(comparison: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.control_arms.control_arms`, of several tasks, in points."""
    return pd.DataFrame(
        {
            "task": comparison["task"].map(task_title),
            "what is changed": comparison["arm"].str.replace("-", " "),
            "comparison": comparison["a"]
            + " – "
            + comparison["b"]
            + " of "
            + comparison["of"]
            .where(comparison["of"] == "annealed", "the same arm")
            .replace("annealed", "the annealed runs"),
            "restarts": comparison["restarts"],
            "difference": with_interval(comparison, "difference", 100.0),
            "without the change": without_interval(comparison["annealed_difference"], 100.0),
            "τ of the second half": without_interval(comparison["tau"], form=".2f"),
            "τ without the trend": without_interval(comparison["tau_without_trend"], form=".2f"),
        }
    )


def crossed(differences: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.restart_spread.load_differences`, of several tasks, in points."""
    return pd.DataFrame(
        {
            "task": differences["task"].map(task_title),
            "comparison": differences["algorithm"] + " – " + differences["other"],
            "restarts": differences["restarts"].astype(int),
            "test examples": differences["examples"].astype(int),
            "difference, other restarts": with_interval(differences, "difference", 100.0),
            "other restarts and examples": interval(differences, 100.0, "crossed_"),
        }
    )
