"""What makes minima flat? A factorial of settings, single changes, and relations where one setting varies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from popview.common import read_log
from popview.common.files import read_csv_table
from popview.common.folders import RESULTS
from popview.populations.checkpoints import final
from popview.populations.flatness_relations import MEASURES, OUTCOMES_OF_FLATNESS, adjusted, measured
from popview.populations.outcomes import load_final_measures
from popview.populations.stored_predictions import derived_file, digest_of
from popview.populations.tables import load_trajectories, wanted
from popview.populations.time_to_target import equal_gradients
from popview.runs import grids, store
from popview.runs.status import seconds
from popview.statistics import granulated_tau, holm, mean_difference
from popview.statistics.results import interval_columns

#: Grids: every combination of the settings below; one change at a time; and every combination, on some of the classes.
FACTORIAL, FACTORS, UNSEEN = "flatness-factorial", "flatness-factors", "flatness-unseen"

#: Outcome of the last of these grids → what it is; more is worse, or less settled.
OF_UNSEEN = {
    "unseen_error": "1 − accuracy on classes that were not trained on, by the nearest mean activation",
    "spread": "root mean square distance of a run's ten checkpoints of lowest training loss from their mean",
}

#: Training loss from which on a run counts as failed; chance has ln 10, which is 2.3.
LEARNED = 1.0

#: Setting of the factorial → what it is called.
SETTINGS = {"lr": "learning rate", "weight_decay": "weight decay", "batch_size": "batch size", "dropout": "dropout"}


def factor_table(grid: str, profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Return what each run of a grid measures, and how it fares; runs that diverged are left out.

    A factorial counts once all its files are there, single changes arm by arm.

    Parameters
    ----------
    grid : str
        `FACTORIAL`, `FACTORS` or `UNSEEN`.
    profile, task : str
    root : Path
        Of the store.

    Returns
    -------
    DataFrame
        The labels of each run (the factorial's settings, or ``arm``), ``processor, core_hours``, then the columns of
        `popview.populations.flatness_relations.flatness_table`. Without rows where nothing is whole.

    Raises
    ------
    UsageError
        As `popview.runs.grids.grid_specs`.
    """
    if task not in grids.grid_tasks(grid, profile):
        return pd.DataFrame()
    specs = grids.grid_specs(grid, profile, task)
    unfinished = {spec.arm for spec in store.missing(specs, root)}
    frames = []
    for spec in (spec for spec in specs if spec.arm not in unfinished):
        rows = measured(load_trajectories([spec], root=root), load_final_measures([spec], root))
        told = store.metadata(spec, root)
        hours = seconds(told, alone=not spec.alongside) / 3600 / max(1, len(rows))
        labels = {**spec.labels, "processor": told["processor"], "core_hours": hours}
        frames.append(pd.concat([pd.DataFrame(labels, index=rows.index), rows], axis=1))
    return adjusted(pd.concat(frames, ignore_index=True)) if frames else pd.DataFrame()


def load_shifted_ensembles(profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Read what `popview.populations.shifted_ensembles` has written of SGD's base restarts; without rows if nothing.

    Raises
    ------
    UsageError
        If the file is damaged.
    """
    file = derived_file(profile, task, "shifted", root)
    read_log.record(file)
    numbers = ("clean_alone", "clean_together", "shifted_alone", "shifted_together")
    if not file.is_file():
        return pd.DataFrame(columns=["first", *numbers])
    table = read_csv_table(file, ("first", *numbers, "of"), ("first", *numbers))
    specs = [spec for spec in wanted(profile, task, "base") if spec.algorithm == "SGD"]
    return table[table["of"] == digest_of(specs)].reset_index(drop=True)


def ensemble_difference(ensembles: pd.DataFrame, changes: pd.DataFrame) -> dict[str, Any]:
    """Return what ensembles gain under corruption over their own runs alone, beyond what their clean error explains.

    Parameters
    ----------
    ensembles : DataFrame
        As `load_shifted_ensembles` returns it.
    changes : DataFrame
        As `factor_table` returns it of single changes: its runs say by how much the one error moves with the other.

    Returns
    -------
    dict
        As a row of `arm_differences`, without ``adjusted_p``; its restarts are ensembles.
    """
    slope = np.polyfit(changes["error"], changes["shifted_error"], 1)[0]
    shifted, clean = (ensembles[f"{name}_together"] - ensembles[f"{name}_alone"] for name in ("shifted", "clean"))
    beyond = (shifted - slope * clean).to_numpy()
    found = mean_difference(beyond, 0, paired=True)
    named = {"arm": "ensembles of five", "difference": found.estimate, "restarts": len(beyond), "p": found.p_value}
    return named | interval_columns(found)


def one_varies(
    table: pd.DataFrame,
    measures: Sequence[str] = MEASURES,
    outcomes: Sequence[str] = tuple(OUTCOMES_OF_FLATNESS),
    beyond: bool = False,
) -> pd.DataFrame:
    """Relate measures to outcomes by ranks where one setting varies, and all others and the seed stay.

    Parameters
    ----------
    table : DataFrame
        As `factor_table` returns it of the factorial.
    measures, outcomes : sequence of str
        Columns; those that the table lacks are left out.
    beyond : bool
        Whether what the training loss explains is taken out first: where a setting varies, by the slope that
        `beyond_loss` finds in just these groups.

    Returns
    -------
    DataFrame
        ``measure, outcome``, the columns of `popview.statistics.granulated_tau` and ``adjusted_p`` (by Holm, of the
        rows "mean" over the measures of one outcome).
    """
    settings, tables = table[[*SETTINGS, "seed"]], dict.fromkeys(SETTINGS, table)
    if beyond:
        tables = {name: beyond_loss(table, measures, outcomes, varying=name) for name in SETTINGS}
    known = set(table).intersection(*tables.values())
    values = {
        column: pd.DataFrame({name: rows[column] for name, rows in tables.items()})
        for column in {*measures, *outcomes} & known
    }
    frames = [
        granulated_tau(values[measure], values[outcome], settings, "seed").assign(measure=measure, outcome=outcome)
        for outcome in outcomes
        for measure in measures
        if {measure, outcome} <= known
    ]
    found = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    for _, rows in found[found["hyperparameter"] == "mean"].groupby("outcome") if frames else ():
        found.loc[rows.index, "adjusted_p"] = holm(rows["p"].to_numpy())
    return found


def learned(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the runs that learned next to nothing: their training loss did not end below `LEARNED`.

    ``adjusted_error`` is that of a line through the runs that are left.
    """
    return adjusted(table[table["train_loss"] < LEARNED].drop(columns="adjusted_error").reset_index(drop=True))


def beyond_loss(
    table: pd.DataFrame,
    measures: Sequence[str] = MEASURES,
    outcomes: Sequence[str] = tuple(OUTCOMES_OF_FLATNESS),
    degree: int = 1,
    varying: str | None = None,
) -> pd.DataFrame:
    """Return a table of what the training loss explains neither of the measures nor of the outcomes.

    Sharpness shrinks with the training loss itself, and errors move with it. From the logarithm of each measure, and
    from each outcome, its least-squares polynomial in the logarithm of the training loss is taken away.

    A polynomial through all runs may follow a setting that moves the loss and all else. So the slope can be that within
    the groups in which one setting varies, all others and the seed stay: of differences from the group's mean.

    Parameters
    ----------
    table : DataFrame
        As `factor_table` returns it.
    measures, outcomes : sequence of str
        Columns; a measure that is not above 0 in every run is left out.
    degree : int
        Of the polynomial through all runs: a line by default.
    varying : str, optional
        A setting: the line's slope is that within its groups.
    """
    loss = np.log(table["train_loss"])
    values = {name: np.log(table[name]) for name in _positive(table, measures)}
    values |= {name: table[name] for name in outcomes if name in table}
    if varying:
        groups = [table[name] for name in (*SETTINGS, "seed") if name != varying]
        apart = loss - loss.groupby(groups).transform("mean")
        rest = {name: value - (apart * value).sum() / np.square(apart).sum() * loss for name, value in values.items()}
    else:
        rest = {name: value - np.polyval(np.polyfit(loss, value, degree), loss) for name, value in values.items()}
    return table.drop(columns=[name for name in measures if name in table]).assign(**rest)


def level_ratios(table: pd.DataFrame, setting: str, measures: Sequence[str] = MEASURES) -> pd.DataFrame:
    """Compare the highest level of a setting of the factorial with the lowest, all else equal.

    Parameters
    ----------
    table : DataFrame
        As `factor_table` returns it of the factorial.
    setting : str
        One of `SETTINGS`.
    measures : sequence of str
        Columns; one that is not above 0 in every run has no logarithm, and is left out.

    Returns
    -------
    DataFrame
        One row per measure: ``measure``, ``ratio, low, high`` (geometric mean over the other settings, then over seeds;
        95 % t interval over seeds), ``restarts`` (seeds), ``p, adjusted_p`` (Holm over the measures).
    """
    others = [name for name in SETTINGS if name != setting]
    rows = []
    for name in _positive(table, measures):
        wide = table.assign(log=np.log(table[name])).pivot_table(index=["seed", *others], columns=setting, values="log")
        ends = wide[[min(wide), max(wide)]].dropna().groupby("seed").mean()
        rows.append(_ratio(name, ends[max(wide)], ends[min(wide)]))
    return _adjusted_p(pd.DataFrame(rows))


def ratios(
    table: pd.DataFrame,
    arms: Sequence[str] = (),
    measures: Sequence[str] = MEASURES,
    by: str = "arm",
    reference: str = "plain",
) -> pd.DataFrame:
    """Compare each arm with the plain one, paired by seed.

    Parameters
    ----------
    table : DataFrame
        As `factor_table` returns it of the single changes.
    arms : sequence of str
        All by default.
    measures : sequence of str
        Columns; one that is not above 0 in every run has no logarithm, and is left out.
    by, reference : str
        The column that names arms, and the plain one.

    Returns
    -------
    DataFrame
        What `by` names, then as `level_ratios`; Holm's p over all rows.
    """
    chosen = arms or [name for name in table[by].unique() if name != reference]
    rows = []
    for name in _positive(table, measures):
        wide = np.log(table.pivot(index="seed", columns=by, values=name))
        rows += [{by: arm} | _ratio(name, *_both(wide, arm, reference)) for arm in chosen if arm in wide]
    return _adjusted_p(pd.DataFrame(rows))


def arm_differences(table: pd.DataFrame, outcome: str, arms: Sequence[str] = ()) -> pd.DataFrame:
    """Return how much more of an outcome each arm has than the plain one, paired by seed.

    Returns
    -------
    DataFrame
        ``arm, difference, low, high`` (95 % t interval), ``restarts, p, adjusted_p`` (Holm over the arms).
    """
    chosen = arms or [name for name in table["arm"].unique() if name != "plain"]
    wide = table.pivot(index="seed", columns="arm", values=outcome)
    rows = []
    for arm in [arm for arm in chosen if arm in wide]:
        result = mean_difference(*_both(wide, arm), paired=True)
        rows.append({"arm": arm, "difference": result.estimate, **interval_columns(result)})
        rows[-1] |= {"restarts": result.n[0], "p": result.p_value}
    return _adjusted_p(pd.DataFrame(rows))


def loss_at_equal_gradients(profile: str, task: str, arm: str = "sam", root: Path = RESULTS) -> dict[str, Any]:
    """Compare an arm's training loss with plain SGD's at the number of gradients that SGD has computed at its end.

    Returns
    -------
    dict
        ``restarts, ratio, low, high`` (geometric mean over seeds, 95 % t interval); empty where a file is missing.

    Raises
    ------
    UsageError
        As `popview.runs.grids.grid_specs`.
    """
    specs = [spec for spec in grids.grid_specs(FACTORS, profile, task) if spec.arm in ("plain", arm)]
    if not specs or store.missing(specs, root):
        return {}
    last = np.log(final(equal_gradients(load_trajectories(specs, None, root)), "train_loss"))
    (other,) = [name for name in last if name != "SGD"]
    result = mean_difference(last[other].to_numpy(), last["SGD"].to_numpy(), paired=True)
    low, high = np.exp(result.interval) if result.interval else (np.nan, np.nan)
    return {"restarts": len(last), "ratio": float(np.exp(result.estimate)), "low": low, "high": high}


def _positive(table: pd.DataFrame, measures: Sequence[str]) -> list[str]:
    return [name for name in measures if name in table and (table[name] > 0).all()]


def _both(wide: pd.DataFrame, arm: str, reference: str = "plain") -> tuple[pd.Series, pd.Series]:
    both = wide[[arm, reference]].dropna()
    return both[arm], both[reference]


def _ratio(measure: str, ours: pd.Series, theirs: pd.Series) -> dict[str, object]:
    """Return one row of `level_ratios`, of logarithms paired by seed."""
    result = mean_difference(ours.to_numpy(), theirs.to_numpy(), paired=True)
    ends = {name: float(np.exp(value)) for name, value in interval_columns(result).items()}
    return {
        "measure": measure,
        "ratio": float(np.exp(result.estimate)),
        **ends,
        "restarts": len(ours),
        "p": result.p_value,
    }


def _adjusted_p(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(adjusted_p=holm(table["p"].to_numpy(dtype=float))) if len(table) else table
