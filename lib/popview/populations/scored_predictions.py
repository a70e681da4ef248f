"""What restarts predict beside the labels of the data, and tables of that: `popview ensembles`, where the data are."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from popview.common.files import written_whole
from popview.common.folders import RESULTS
from popview.populations.stored_predictions import (
    KEPT,
    Predictions,
    derived_file,
    digest_of,
    specs_with_probabilities,
    stored_predictions,
)
from popview.tasks.setup import set_up


def predictions_of(profile: str, task: str, root: Path = RESULTS) -> Iterator[Predictions]:
    """Yield what the restarts of each variant and algorithm predict; the data have to be at hand.

    Annealed restarts come twice: on the whole test split and, so that they can be compared with others, on the sample.

    Raises
    ------
    UsageError
        As `popview.tasks.setup.set_up` and `stored_predictions`.
    """
    problems: dict[str, Any] = {}
    for (variant, algorithm), specs in specs_with_probabilities(profile, task, root).items():
        key = json.dumps(specs[0].model, sort_keys=True)
        if key not in problems:
            problems[key] = set_up(task, specs[0].seeds, specs[0].model)
        problem, (column, probabilities) = problems[key], stored_predictions(specs, root)
        models, where = KEPT[column]
        seeds = tuple(seed for spec in specs for seed in spec.seeds)
        labels = problem.test_labels() if where == "whole" else problem.sample_labels("test")
        found = Predictions(
            variant, algorithm, models, where, digest_of(specs), seeds, probabilities, problem, labels
        )  # fmt: skip
        yield found
        if where == "whole":
            rows = problem.sample_rows()
            yield found._replace(where="sample", probabilities=probabilities[:, rows], labels=labels[rows])


def write_derived(
    profile: str, task: str, kinds: Mapping[str, Callable[[list[Predictions]], pd.DataFrame]], root: Path = RESULTS
) -> dict[str, pd.DataFrame]:
    """Compute tables of what a task's restarts predict, and write each that has rows into ``data/ensembles``.

    Parameters
    ----------
    profile, task : str
    kinds : mapping of str to callable
        Name of a table → what makes it.
    root : Path
        Of the store.

    Raises
    ------
    UsageError
        As `predictions_of`, or if a file cannot be written.
    """
    predictions = list(predictions_of(profile, task, root))
    tables = {what: make(predictions) for what, make in kinds.items()} if predictions else {}
    tables = {what: table for what, table in tables.items() if len(table)}
    for what, table in tables.items():
        with written_whole(derived_file(profile, task, what, root)) as file:
            file.write(table.to_csv(index=False, float_format="%.6g").encode())
    return tables
