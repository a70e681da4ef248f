"""Where the spread of restarts comes from: initial weights, examples, their order; one varied at a time."""

from collections.abc import Mapping
from math import sqrt
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
    """Estimate how much of the variance between restarts each source gives.

    A source's component is the variance of restarts of which it alone varies, the others at one fixed value; the total
    is that of restarts that vary in all. Beside fixed values a source brings its interactions with the others along.
    So the components hold an interaction of k sources k times, and the total holds it once. What the components exceed
    the total by is therefore once the variance of all interactions of two sources, and twice that of three.

    Parameters
    ----------
    scores : mapping of str to Series
        As `source_scores` returns it: "all" and at least one source.

    Returns
    -------
    DataFrame
        One row per source, then "interactions" (the excess), then "all": ``source, restarts`` (of the row), ``sd`` (NaN
        where the variance is negative), ``variance, variance_low, variance_high`` (χ² intervals of normally distributed
        scores; of interactions by the method of variance estimates recovery), ``share, share_low, share_high`` of the
        total (F intervals; of interactions the estimate alone).

    Raises
    ------
    ValueError
        If "all" or every source is missing, or a sample is too small.

    References
    ----------
    Bouthillier et al. 2021, "Accounting for Variance in Machine Learning Benchmarks", MLSys, arXiv 2103.03098.
    Zou & Donner 2008, Statistics in Medicine 27, 1693: intervals of sums and differences from those of the parts.
    """
    sources = [name for name in scores if name != "all"]
    if "all" not in scores or not sources:
        raise ValueError(f"scores must have 'all' and one source or more, got {', '.join(scores) or 'nothing'}")
    values = {name: checked_sample(scores[name].to_numpy(), name) for name in [*sources, "all"]}
    ends = {name: np.square(sd_interval(sample.std(ddof=1), len(sample))) for name, sample in values.items()}
    variances = {name: float(sample.var(ddof=1)) for name, sample in values.items()}
    total, degrees = variances["all"], len(values["all"]) - 1
    excess = sum(variances[name] for name in sources) - total
    low, high = ends["all"]
    down = sqrt((high - total) ** 2 + sum((variances[name] - ends[name][0]) ** 2 for name in sources))
    up = sqrt((total - low) ** 2 + sum((ends[name][1] - variances[name]) ** 2 for name in sources))
    rows = []
    for name in [*sources, "interactions", "all"]:
        variance = variances.get(name, excess)
        row: dict[str, object] = {"source": name, "restarts": len(values[name]) if name in values else 0}
        row |= {"sd": sqrt(variance) if variance >= 0 else np.nan, "variance": variance}
        row |= dict(zip(("variance_low", "variance_high"), ends.get(name, (excess - down, excess + up)), strict=True))
        share = variance / total if total > 0 else np.nan
        row |= {"share": share, "share_low": np.nan, "share_high": np.nan}
        if name in sources:
            f = scipy.stats.f(len(values[name]) - 1, degrees)
            row |= {"share_low": share / f.isf(0.025), "share_high": share / f.ppf(0.025)}
        rows.append(row)
    return pd.DataFrame(rows)
