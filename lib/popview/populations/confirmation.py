"""The comparison of annealed runs, as ``data/paper/confirmation.toml`` fixed it before the first was trained."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from popview.common.errors import check_name
from popview.common.files import read_csv_table, read_toml
from popview.common.folders import PAPER, RESULTS
from popview.populations.outcomes import by_algorithm, load_final_measures
from popview.populations.tables import records
from popview.runs import store
from popview.runs.annealed import LATER, AnnealedPlan
from popview.statistics import detectable_effect, look_levels, mean_difference, sequential_holm, tost

#: What `confirm` applies. A file of decisions that names another test is refused.
APPLIED = {"test": "paired t", "equivalence": "two one-sided paired t", "adjustment": "holm", "spending": "pocock"}


def decisions(file: Path = RESULTS / "paper" / "confirmation.toml") -> dict[str, Any]:
    """Return what was decided before the first confirmation run: families, looks, levels, margins, outcome.

    Raises
    ------
    UsageError
        If the file cannot be read, or asks for other tests than `APPLIED`.
    """
    decided = read_toml(file)
    for name, applied in APPLIED.items():
        check_name(f"{name} of {file.name}", decided[name], (applied,))
    return decided


def load_confirmation(profile: str, task: str, decided: dict[str, Any], root: Path = RESULTS) -> pd.DataFrame:
    """Return the decided outcome of the confirmation runs that are there.

    An algorithm is loaded once it has all restarts of its first look; of more than that, those up to the first gap.

    Returns
    -------
    DataFrame
        Rows: seeds; columns: algorithms. Without columns where nothing is decided of the task, the profile plans no
        such runs, or none is there.
    """
    variant = decided["variant"]
    if task not in decided["margins"]:
        return pd.DataFrame()
    plan = AnnealedPlan(profile, task)
    specs = [spec for name in (variant, LATER) if name in plan.variants for spec in plan.expand(name)]
    absent = {spec.digest for spec in store.missing(specs, root)}
    first = min(family["looks"][task][0] for family in decided["families"])
    there = []
    for algorithm in dict.fromkeys(spec.algorithm for spec in specs):
        own = [spec for spec in specs if spec.algorithm == algorithm]
        gap = next((place for place, spec in enumerate(own) if spec.digest in absent), len(own))
        if sum(len(spec.seeds) for spec in own[:gap]) >= first:
            there += own[:gap]
    if not there:
        return pd.DataFrame()
    measures = load_final_measures(there, root)
    return by_algorithm(measures, decided["outcome"])


def processors(
    profile: str, decided: dict[str, Any], task: str, algorithms: Iterable[str], root: Path = RESULTS
) -> dict[str, list[str]]:
    """Return on which processors a task's confirmation runs were trained: processor → algorithms.

    Two processors round differently, so that a seed's two runs on unlike ones part by that as well.
    """
    found: dict[str, list[str]] = {}
    for spec in AnnealedPlan(profile, task).expand(decided["variant"], tuple(algorithms)):
        known = found.setdefault(store.metadata(spec, root)["processor"], [])
        if spec.algorithm not in known:
            known.append(spec.algorithm)
    return found


def gradient_ratios(
    profile: str, decided: dict[str, Any], task: str, algorithms: Iterable[str], root: Path = RESULTS
) -> pd.Series:
    """Return how many times the reference's gradient evaluations a task's confirmation runs took, by algorithm.

    Only SAM has fewer epochs for its dearer steps; NiM-SGD pays a second gradient where its noise fires.
    """
    specs = AnnealedPlan(profile, task).expand(decided["variant"], tuple(algorithms))
    paid = records(specs, root=root).groupby("algorithm")["gradient_evaluations"].mean()
    return paid / paid[decided["reference"]]


def confirmed_tasks(
    profile: str, decided: dict[str, Any], task: str = "all", root: Path = RESULTS
) -> dict[str, pd.DataFrame]:
    """Return `load_confirmation` of each task with a decided margin in which the reference is there.

    Parameters
    ----------
    profile : str
    decided : dict
        As `decisions` returns it.
    task : str
        One task, or "all".
    root : Path
        Of the store.
    """
    names = [name for name in decided["margins"] if task in ("all", name)]
    found = {name: load_confirmation(profile, name, decided, root) for name in names}
    return {name: values for name, values in found.items() if decided["reference"] in values}


def earlier_rounds() -> pd.DataFrame:
    """Read the two rounds on Digits that do not count: ``round, algorithm, verdict, difference, low, high``.

    Raises
    ------
    UsageError
        If the file is damaged.
    """
    file = PAPER / "digits-rounds.csv"
    return read_csv_table(file, ("round", "algorithm", "verdict"), ("difference", "low", "high"))


def confirm_tasks(fresh: Mapping[str, pd.DataFrame], decided: dict[str, Any]) -> pd.DataFrame:
    """Return `confirm` of the values of each task, with the task in a column ``task`` at the end."""
    tables = [confirm(values, decided, name).assign(task=name) for name, values in fresh.items()]
    return pd.concat([pd.DataFrame(), *tables], ignore_index=True)


def latest(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return one comparison per task and algorithm of `confirm_tasks`: that of the most restarts.

    Two algorithms are in both families. Where both have as many restarts, the first family's comparison counts.
    """
    if comparisons.empty:
        return comparisons
    most = comparisons.groupby(["task", "a"])["restarts"].transform("max")
    return comparisons[comparisons["restarts"] == most].drop_duplicates(["task", "a"]).reset_index(drop=True)


def spreads_by_task(fresh: Mapping[str, pd.DataFrame], constant: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return `schedule_spreads` of each task that has both, with the task in a column ``task`` at the end.

    Parameters
    ----------
    fresh : mapping of str to DataFrame
        Task → annealed runs, as `confirmed_tasks` returns them.
    constant : mapping of str to DataFrame
        Task → the same outcome of runs at a constant learning rate.
    """
    both = [name for name in fresh if name in constant]
    tables = [schedule_spreads(fresh[name], constant[name]).assign(task=name) for name in both]
    return pd.concat([pd.DataFrame(), *tables], ignore_index=True)


def schedule_spreads(annealed: pd.DataFrame, constant: pd.DataFrame, reference: str = "SGD") -> pd.DataFrame:
    """Compare how far restarts scatter at an annealed and at a constant learning rate, by the same outcome.

    Parameters
    ----------
    annealed, constant : DataFrame
        Rows: seeds; columns: algorithms. The two share no seeds.
    reference : str

    Returns
    -------
    DataFrame
        Per algorithm of both: ``algorithm``; of each of the two kinds ``<kind>_restarts, <kind>_mean, <kind>_sd`` and
        ``<kind>_detectable``: the difference to the reference that a paired t test at 5 % finds with probability 0.8,
        given the spread seen (NaN for the reference itself).
    """
    rows = []
    for name in [name for name in annealed if name in constant]:
        row: dict[str, Any] = {"algorithm": name}
        for kind, values in (("constant", constant), ("annealed", annealed)):
            own, apart = values[name].dropna(), (values[name] - values[reference]).dropna()
            row |= {f"{kind}_restarts": len(own), f"{kind}_mean": own.mean(), f"{kind}_sd": own.std(ddof=1)}
            effect = np.nan
            if name != reference and len(apart) > 1:
                effect = detectable_effect(len(apart), len(apart), paired=True, permutation=False).effect
            row[f"{kind}_detectable"] = effect * apart.std(ddof=1)
        rows.append(row)
    return pd.DataFrame(rows)


def confirm(values: pd.DataFrame, decided: dict[str, Any], task: str, margin: float | None = None) -> pd.DataFrame:
    """Compare algorithms with the reference by the families, looks and levels that were decided.

    Both a difference and equivalence are tested by paired t tests. Holm's procedure holds each family's level over its
    members and looks, for the two questions alike. A look counts once all members of its family have that many
    restarts; the last such look is reported. Members that have not been run count as p = 1.

    Parameters
    ----------
    values : DataFrame
        Rows: seeds, from the first confirmation seed; columns: algorithms.
    decided : dict
        As `decisions` returns it.
    task : str
    margin : float, optional
        Instead of the decided one.

    Returns
    -------
    DataFrame
        Per family and algorithm that has been run: ``family, a, b, restarts, look, looks`` (planned), ``difference,
        low, high`` (95 % t interval, not adjusted), ``p, equivalence_p`` (at the last look), ``margin, verdict``
        ("equivalent", "better", "worse", "inconclusive"), ``direction`` ("better", "worse", "level"),
        ``smallest_margin`` (within which the last look would have shown equivalence, at the level of Holm's first
        rejection), ``detectable`` (the difference found with probability 0.8 at that level, given the spread seen).
        Empty where no family has come to its first look.

    Raises
    ------
    UsageError
        If the task has no margin, or the reference has not been run.
    """
    check_name("task with decided margins", task, decided["margins"])
    check_name("algorithm", decided["reference"], list(values))
    width = decided["margins"][task] if margin is None else margin
    tables = [_of_family(values, family, decided["reference"], task, width) for family in decided["families"]]
    return pd.concat([pd.DataFrame(), *tables], ignore_index=True)


def _of_family(values: pd.DataFrame, family: dict[str, Any], reference: str, task: str, margin: float) -> pd.DataFrame:
    """Return the rows of one family, of a score that is better where it is higher."""
    members, planned, level = family["algorithms"], family["looks"][task], family["level"]
    run = [name for name in members if name in values]
    differences = values[run].sub(values[reference], axis=0).dropna().sort_index()
    looks = [number for number in planned if number <= len(differences)]
    if not run or not looks:
        return pd.DataFrame()
    differ, equal = np.ones((2, len(looks), len(members)))
    for name in run:
        for look, number in enumerate(looks):
            seen, place = differences[name].to_numpy()[:number], members.index(name)
            differ[look, place] = mean_difference(seen, 0, paired=True).p_value
            equal[look, place] = tost(seen, 0, margin, paired=True).p_value
    apart = sequential_holm(differ, planned, level)
    alike = sequential_holm(equal, planned, level, two_sided=False)
    share, last = level / len(members), len(looks) - 1
    first, first_one_sided = (look_levels(planned, share, two_sided=sided)[last] for sided in (True, False))
    rows = []
    for name in run:
        place, seen = members.index(name), differences[name].to_numpy()[: looks[-1]]
        told = apart[place]
        decisive = seen[: looks[-1 if told is None else told]].mean()
        direction = "level" if decisive == 0 else "better" if decisive > 0 else "worse"
        word = "inconclusive" if told is None else direction
        mean = mean_difference(seen, 0, paired=True)
        low, high = mean.interval or (np.nan, np.nan)
        error = seen.std(ddof=1) / np.sqrt(len(seen))
        found = detectable_effect(len(seen), len(seen), alpha=first, paired=True, permutation=False).effect
        rows.append(
            {
                "family": family["name"],
                "a": name,
                "b": reference,
                "restarts": len(seen),
                "look": last + 1,
                "looks": len(planned),
                "difference": mean.estimate,
                "low": low,
                "high": high,
                "p": differ[last, place],
                "equivalence_p": equal[last, place],
                "margin": margin,
                "verdict": word if alike[place] is None else "equivalent",
                "direction": direction,
                "smallest_margin": abs(mean.estimate)
                + float(scipy.stats.t.isf(first_one_sided, len(seen) - 1)) * error,
                "detectable": found * seen.std(ddof=1),
            }
        )
    return pd.DataFrame(rows)
