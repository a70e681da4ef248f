"""What the models of each restart achieve: the last on the whole test split, and the paper's SetA beside it."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from popview.common.files import read_csv_table
from popview.common.folders import PAPER, RESULTS
from popview.populations.checkpoints import final
from popview.populations.comparisons import against_reference, paired_difference
from popview.populations.selection import chosen, last_checkpoints
from popview.populations.tables import wanted
from popview.runs import store
from popview.runs.specs import RunSpec

#: Outcome → what is judged, where.
OUTCOMES = {
    "last": "the last model, on the whole test split",
    "by validation": "the model chosen by validation, on the whole test split",
    "averaged": "the mean of the weights of SetA, on the test sample (of annealed runs: on the whole split)",
    "last, sample": "the last model, on the test sample",
    "by validation, sample": "the model chosen by validation, on the test sample",
    "SetA": "the mean over the ten checkpoints of lowest training loss, on the test sample: the paper's",
    "last ten": "the mean over the last ten checkpoints, on the test sample",
}

#: What a file says of all its restarts, or of its checkpoints, and not of each restart's models.
_OF_THE_FILE = {"spec", "digest", "equals", "precision", "versions", "processor", "seconds", "kept"}


def load_final_measures(specs: Iterable[RunSpec], root: Path = RESULTS) -> pd.DataFrame:
    """Read what the files say of each restart's models at its end.

    Returns
    -------
    DataFrame
        One row per restart: ``task, variant, algorithm, seed``, then a column per measure, named by the keys of the
        file's metadata with dots between them: ``whole_test.metric``, ``flatness.trace``, ``ensemble.metric``. A list
        of severities has the severity's place at the end, from 0: ``corrupted.noise.0``. What a file does not have is
        NaN.

    Raises
    ------
    UsageError
        If a file is not in the store.
    """
    rows = []
    for spec in specs:
        known = {name: value for name, value in store.metadata(spec, root).items() if name not in _OF_THE_FILE}
        columns = dict(_columns(known, "", len(spec.seeds)))
        for place, seed in enumerate(spec.seeds):
            named = {"task": spec.task, "variant": spec.variant, "algorithm": spec.shown, "seed": seed}
            rows.append(named | {name: values[place] for name, values in columns.items()})
    return pd.DataFrame(rows).infer_objects().replace({None: float("nan")})


def _columns(known: dict[str, Any], above: str, restarts: int) -> Iterator[tuple[str, list[Any]]]:
    """Yield the names and values of everything that has one value per restart."""
    for name, value in known.items():
        if isinstance(value, dict):
            yield from _columns(value, f"{above}{name}.", restarts)
        elif isinstance(value, list) and value and isinstance(value[0], list):
            yield from ((f"{above}{name}.{place}", part) for place, part in enumerate(value) if len(part) == restarts)
        elif isinstance(value, list) and len(value) == restarts:
            yield f"{above}{name}", value


def by_algorithm(measures: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return one measure of `load_final_measures`: rows are seeds, columns algorithms."""
    wide = measures.pivot_table(index="seed", columns="algorithm", values=name, sort=False)
    return wide.rename_axis(columns="algorithm")


def outcome_values(trajectories: pd.DataFrame, measures: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the test metric of each restart by each of `OUTCOMES` that the files have.

    Parameters
    ----------
    trajectories : DataFrame
        Of one task and variant, as `popview.populations.tables.load_trajectories` returns it.
    measures : DataFrame
        As `load_final_measures` returns it, of the same restarts.

    Returns
    -------
    dict of str to DataFrame
        Rows: seeds; columns: algorithms.
    """
    measured = partial(by_algorithm, measures)
    found = {"last": measured("whole_test.metric")}
    if "by_validation.metric" in measures:
        found["by validation"] = measured("by_validation.metric")
    if "averaged_weights.metric" in measures:
        found["averaged"] = measured("averaged_weights.metric")
    found["last, sample"] = final(trajectories)
    found["by validation, sample"] = chosen(trajectories, "validation_metric", per_trajectory=1)
    found["SetA"] = chosen(trajectories, "train_loss")
    found["last ten"] = last_checkpoints(trajectories)
    return found


def outcomes_by_case(
    results: Mapping[tuple[str, str], pd.DataFrame], profile: str, root: Path = RESULTS
) -> dict[tuple[str, str], dict[str, pd.DataFrame]]:
    """Return the `outcome_values` of each task and variant, of the algorithms and seeds that have been loaded.

    Parameters
    ----------
    results : mapping of (task, variant) to DataFrame
        As `popview.populations.tables.gather` returns them.
    profile : str
    root : Path
        Of the store.

    Returns
    -------
    dict of (task, variant) to dict of str to DataFrame
    """
    found = {}
    for (task, variant), rows in results.items():
        seeds = rows["seed"].unique()
        ours = partial(wanted, profile, task, variant, algorithms=tuple(rows["algorithm"].unique()))
        first = min(spec.seed for spec in ours())
        measures = load_final_measures(ours(restarts=int(seeds.max()) + 1 - first), root)
        found[task, variant] = outcome_values(rows, measures[measures["seed"].isin(seeds)])
    return found


def against_by_outcome(
    values: Mapping[str, pd.DataFrame], margin: float | None, *, planned: Iterable[str] = ()
) -> pd.DataFrame:
    """Compare with SGD by every outcome: does a verdict depend on which of a restart's models is judged, and where?

    Parameters
    ----------
    values : mapping of str to DataFrame
        As `outcome_values` returns them.
    margin, planned
        As in `popview.populations.comparisons.against_reference`.

    Returns
    -------
    DataFrame
        As `popview.populations.comparisons.against_reference`, after ``outcome``.
    """
    frames = [against_reference(table, margin, planned=planned).assign(outcome=name) for name, table in values.items()]
    return pd.concat([frame for frame in frames if len(frame)] or frames, ignore_index=True)


def superseded_scores(
    profile: str, score: str = "score", file: Path = PAPER / "superseded-scores.csv"
) -> dict[str, pd.DataFrame]:
    """Read what runs with settings searched at a constant rate scored, of tasks where annealed runs replaced them.

    Their files left the results and are in the repository's history.

    Parameters
    ----------
    profile : str
    score : {"score", "set_a"}
        The last model's on the whole test split, or the mean of SetA on the test sample.
    file : Path

    Returns
    -------
    dict of str to DataFrame
        Task → rows: seeds; columns: algorithms.

    Raises
    ------
    UsageError
        If the file is damaged.
    """
    table = read_csv_table(file, ("profile", "task", "algorithm"), ("seed", "score", "set_a"))
    own = table[table["profile"] == profile].astype({"seed": int})
    return {
        str(task): rows.pivot_table(index="seed", columns="algorithm", values=score, sort=False)
        for task, rows in own.groupby("task", sort=False)
    }


def score_differences(measures: pd.DataFrame, reference: str = "SGD") -> pd.DataFrame:
    """Compare the last models with those of a reference by every score of the whole test split, paired by seed.

    Where an example may have several labels, the metric (macro-F1) hangs on a threshold, and mean average precision and
    the loss do not.

    Parameters
    ----------
    measures : DataFrame
        As `load_final_measures` returns it, of one task and variant.
    reference : str

    Returns
    -------
    DataFrame
        Per algorithm and score that the files have: ``a, b, score`` ("metric", "loss", "average_precision"),
        ``restarts, mean`` (of `a`), ``difference, low, high`` (95 % t interval) and ``p``, unadjusted.
    """
    rows = []
    for score in ("metric", "loss", "average_precision"):
        if f"whole_test.{score}" not in measures:
            continue
        wide = by_algorithm(measures, f"whole_test.{score}")
        for name in [name for name in wide if name != reference and reference in wide]:
            found = paired_difference(wide[name], wide[reference])
            if found["restarts"]:
                rows.append({"a": name, "b": reference, "score": score} | found)
    return pd.DataFrame(rows)
