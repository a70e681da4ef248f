"""What averaging the weights along a run does: SWA beside averages of SGD's own checkpoints."""

from collections.abc import Mapping

import pandas as pd

from popview.populations.comparisons import against, first_average
from popview.runs.flops import example
from popview.runs.profiles import settings
from popview.statistics import mean_difference
from popview.statistics.results import interval_columns


def swa_against_averages(values: Mapping[str, pd.DataFrame], margin: float | None) -> pd.DataFrame:
    """Compare SWA with what averaging SGD's own checkpoints gives: a part of SWA's gain, or all of it?

    SWA's last model against the mean of the weights of SGD's ten checkpoints of lowest training loss, on the same test
    examples; and SGD's averaged weights against its last model.

    Returns
    -------
    DataFrame
        As `popview.populations.comparisons.against`; without rows where SWA or the averages are missing.
    """
    if "averaged" not in values or "SWA" not in values["averaged"]:
        return pd.DataFrame()
    where = "last" if "by validation" in values else "last, sample"  # annealed runs are measured on the whole split
    last, averaged = values[where], values["averaged"]
    names = {"SWA": last["SWA"], "SGD, averaged weights": averaged["SGD"], "SGD, last model": last["SGD"]}
    pairs = [("SWA", "SGD, averaged weights"), ("SGD, averaged weights", "SGD, last model")]
    return against(pd.DataFrame(names), pairs, margin)


def statistics_alone(results: Mapping[tuple[str, str], pd.DataFrame], profile: str) -> pd.DataFrame:
    """Return what recomputed BatchNorm statistics do by themselves, before SWA has averaged anything.

    Of base results on networks with BatchNorm: SWA less SGD at the step of the first averaged model, where their
    weights are the same (`popview.populations.comparisons.first_average`).

    Parameters
    ----------
    results : mapping of (task, variant) to DataFrame
        As `popview.populations.tables.gather` returns them.
    profile : str

    Returns
    -------
    DataFrame
        ``task, mean, low, high`` (95 %, of the difference in the test metric), ``restarts``.
    """
    rows = []
    for (task, variant), trajectories in results.items():
        table = settings(profile, task)
        swa = table["base"].get("SWA")
        if variant != "base" or swa is None or not example(task, table["model"]).normalized:
            continue
        pairs = first_average(trajectories, swa["average_from"] + swa["average_every"])
        if len(pairs) > 1:
            found = mean_difference(pairs["SWA"], pairs["SGD"], paired=True)
            rows.append({"task": task, "mean": found.estimate, **interval_columns(found), "restarts": len(pairs)})
    return pd.DataFrame(rows)
