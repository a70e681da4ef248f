"""Where the spread of restarts comes from: initial weights, examples, their order; one varied at a time."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats

from popview.common.errors import UsageError
from popview.common.folders import RESULTS
from popview.common.seeds import SOURCES
from popview.populations.outcomes import load_final_measures
from popview.populations.restart_spread import sd_interval
from popview.runs import expansion, grids, store
from popview.runs.annealed import AnnealedPlan
from popview.runs.specs import RunSpec
from popview.statistics.results import checked_sample


def source_scores(
    profile: str, task: str, algorithm: str = "SGD", outcome: str = "whole_test.metric", root: Path = RESULTS
) -> dict[str, pd.Series]:
    """Read what restarts score of which one source alone is drawn by the restart's seed, and those that vary in all.

    They are the variants ``only-<source>`` of the annealed runs, whose counterpart is ``annealed``; of a task that has
    none of these, the grids of that name, with the base runs.

    Returns
    -------
    dict of str to Series
        Source, or "all" → score by seed. Only what is whole in the store.

    Raises
    ------
    UsageError
        If the profile lacks the task.
    """
    plan = AnnealedPlan(profile, task)
    annealed = [source for source in SOURCES if f"only-{source}" in plan.variants]
    wanted: dict[str, list[RunSpec]] = {}
    for source in annealed or SOURCES:
        name = f"only-{source}"
        if annealed:
            wanted[source] = plan.expand(name, (algorithm,))
        elif name in grids.grids() and task in grids.grid_tasks(name, profile):
            wanted[source] = [*grids.grid_specs(name, profile, task, (algorithm,))]
    wanted["all"] = expansion.expand(profile, task, algorithms=(algorithm,), variant="annealed" if annealed else "base")
    there = {name: specs for name, specs in wanted.items() if specs and not store.missing(specs, root)}
    found = {name: load_final_measures(specs, root) for name, specs in there.items()}
    for name, table in found.items():
        if outcome not in table:
            raise UsageError(f"{task}, {name}: the files have no {outcome}")
    return {name: table.set_index("seed")[outcome] for name, table in found.items()}


def variance_by_source(scores: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Estimate the variance between restarts that each source gives by itself.

    A source's variance is that of restarts of which it alone varies, the others at one fixed value; the total is that
    of restarts that vary in all. At another value the variance may be another, and a source brings its interactions
    with the others along: these are no parts of the total, and need not add up to it.

    Parameters
    ----------
    scores : mapping of str to Series
        As `source_scores` returns it: "all" and at least one source.

    Returns
    -------
    DataFrame
        One row per source, then "all": ``source, restarts, sd, variance, variance_low, variance_high`` (χ² intervals of
        normally distributed scores), ``share, share_low, share_high`` of the total (F intervals; none of "all").

    Raises
    ------
    ValueError
        If "all" or every source is missing, or a sample is too small.

    References
    ----------
    Bouthillier et al. 2021, "Accounting for Variance in Machine Learning Benchmarks", MLSys, arXiv 2103.03098.
    """
    sources = [name for name in scores if name != "all"]
    if "all" not in scores or not sources:
        raise ValueError(f"scores must have 'all' and one source or more, got {', '.join(scores) or 'nothing'}")
    values = {name: checked_sample(scores[name].to_numpy(), name) for name in [*sources, "all"]}
    total, degrees = float(values["all"].var(ddof=1)), len(values["all"]) - 1
    rows = []
    for name, sample in values.items():
        variance, sd = float(sample.var(ddof=1)), float(sample.std(ddof=1))
        low, high = np.square(sd_interval(sd, len(sample)))
        row: dict[str, object] = {"source": name, "restarts": len(sample), "sd": sd, "variance": variance}
        row |= {"variance_low": low, "variance_high": high}
        share = variance / total if total > 0 else np.nan
        row |= {"share": share, "share_low": np.nan, "share_high": np.nan}
        if name in sources:
            f = scipy.stats.f(len(sample) - 1, degrees)
            row |= {"share_low": share / f.isf(0.025), "share_high": share / f.ppf(0.025)}
        rows.append(row)
    return pd.DataFrame(rows)
