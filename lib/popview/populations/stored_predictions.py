"""What restarts predict, from the probabilities that files keep, and what is computed of that where the data are.

Labels do not ship. So what depends on them is computed by `popview ensembles`, and read from ``data/ensembles``.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from popview.common import read_log
from popview.common.errors import UsageError
from popview.common.files import read_csv_table, written_whole
from popview.common.folders import RESULTS
from popview.populations.confirmation import decisions, load_confirmation
from popview.populations.tables import COMPARED, wanted
from popview.runs import store
from popview.runs.annealed import AnnealedPlan
from popview.runs.specs import RunSpec, digest
from popview.tasks.catalogue import RECORDS
from popview.tasks.scores import from_bytes

__all__ = [
    "Predictions",
    "annealed_specs",
    "load_derived",
    "predictions_of",
    "specs_with_probabilities",
    "stored_predictions",
    "write_derived",
]

#: Where a file keeps probabilities → what the models of one restart are, and the test examples.
KEPT = {"probabilities": ("ten of lowest loss", "sample"), "test_probabilities": ("last", "whole")}

#: Columns of texts in the tables of `write_derived`.
TEXTS = ("variant", "where", "models", "algorithm", "other", "seeds", "of")


class Predictions(NamedTuple):
    """What the restarts of one algorithm predict on test examples, and the labels of these.

    Attributes
    ----------
    variant, algorithm : str
    models : str
        "ten of lowest loss": the mean over the restart's ten models of lowest training loss; "last": its last model.
    where : {"sample", "whole"}
        The sample of the test split that checkpoints are scored on, or the whole of it.
    of : str
        Digest of the specs.
    seeds : tuple of int
    probabilities : ndarray
        Shape ``(restarts, examples, classes)``.
    problem : Problem
        Says how probabilities are scored.
    labels : Tensor
    """

    variant: str
    algorithm: str
    models: str
    where: str
    of: str
    seeds: tuple[int, ...]
    probabilities: np.ndarray
    problem: Any
    labels: Any

    @property
    def named(self) -> dict[str, str]:
        """What names them in a table."""
        return {name: getattr(self, name) for name in ("variant", "where", "models", "algorithm")}


def specs_with_probabilities(profile: str, task: str, root: Path = RESULTS) -> dict[tuple[str, str], list[RunSpec]]:
    """Return the specs whose files keep probabilities: variant and algorithm → its specs, where all are there.

    Stacks of restarts keep none. Of annealed ones see `annealed_specs`.
    """
    found: dict[tuple[str, str], list[RunSpec]] = {}
    for variant in COMPARED:
        specs = [spec for spec in wanted(profile, task, variant) if spec.restarts == 1]
        absent = {spec.algorithm for spec in store.missing(specs, root)}
        for spec in specs:
            if spec.algorithm not in absent:
                found.setdefault((variant, spec.algorithm), []).append(spec)
    for spec in annealed_specs(profile, task, root):
        if spec.restarts == 1:
            found.setdefault((spec.variant, spec.algorithm), []).append(spec)
    return found


def annealed_specs(profile: str, task: str, root: Path = RESULTS) -> list[RunSpec]:
    """Return the annealed specs of the restarts that `popview.populations.confirmation.load_confirmation` shows."""
    decided = decisions()
    shown = load_confirmation(profile, task, decided, root)
    specs = AnnealedPlan(profile, task).expand(decided["variant"]) if len(shown.columns) else []
    return [s for s in specs if s.algorithm in shown and s.seed in shown[s.algorithm].dropna().index]


def stored_predictions(specs: Sequence[RunSpec], root: Path = RESULTS) -> tuple[str, np.ndarray]:
    """Read what the restarts of an algorithm predict: the column of `KEPT`, and ``(restarts, examples, classes)``.

    Raises
    ------
    UsageError
        If a file is not in the store, or keeps no probabilities.
    """
    rows, column = [], ""
    for spec in specs:
        table = store.load(spec, root)
        column = next((name for name in KEPT if name in table.column_names), "")
        if not column:
            raise UsageError(f"the file of {spec.algorithm} on {spec.task}, seed {spec.seed}, keeps no probabilities")
        kept = table[column][len(table) - 1].values.to_numpy().reshape(-1, RECORDS[spec.task].classes)
        rows.append(from_bytes(kept) if column == "test_probabilities" else kept.astype(float))
    return column, np.stack(rows)


def predictions_of(profile: str, task: str, root: Path = RESULTS) -> Iterator[Predictions]:
    """Yield what the restarts of each variant and algorithm predict; the data have to be at hand.

    Annealed restarts come twice: on the whole test split and, so that they can be compared with others, on the sample.

    Raises
    ------
    UsageError
        As `popview.tasks.setup.set_up` and `stored_predictions`.
    """
    from popview.tasks.setup import set_up

    problems: dict[str, Any] = {}
    for (variant, algorithm), specs in specs_with_probabilities(profile, task, root).items():
        key = json.dumps(specs[0].model, sort_keys=True)
        if key not in problems:
            problems[key] = set_up(task, specs[0].seeds, specs[0].model)
        problem, (column, probabilities) = problems[key], stored_predictions(specs, root)
        models, where = KEPT[column]
        seeds = tuple(spec.seed for spec in specs)
        labels = problem.test_labels() if where == "whole" else problem.sample_labels("test")
        found = Predictions(
            variant, algorithm, models, where, digest_of(specs), seeds, probabilities, problem, labels
        )  # fmt: skip
        yield found
        if where == "whole":
            rows = problem.sample_rows()
            yield found._replace(where="sample", probabilities=probabilities[:, rows], labels=labels[rows])


def digest_of(specs: Sequence[RunSpec]) -> str:
    """Return a digest of what results were computed from."""
    return digest("|".join(spec.digest for spec in specs))


def _file(profile: str, task: str, what: str, root: Path) -> Path:
    return root / "ensembles" / profile / f"{task}-{what}.csv"


def write_derived(
    profile: str,
    task: str,
    kinds: Mapping[str, Callable[[list[Predictions]], pd.DataFrame]],
    root: Path = RESULTS,
) -> dict[str, pd.DataFrame]:
    """Compute tables of what a task's restarts predict, and write each into ``data/ensembles``.

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
    for what, table in tables.items():
        with written_whole(_file(profile, task, what, root)) as file:
            file.write(table.to_csv(index=False, float_format="%.6g").encode())
    return tables


def load_derived(profile: str, task: str, what: str, columns: Collection[str], root: Path = RESULTS) -> pd.DataFrame:
    """Read a table of `write_derived`: the rows that were computed from the files that are in the store now.

    Returns
    -------
    DataFrame
        Without rows where nothing was computed.

    Raises
    ------
    UsageError
        If the file is damaged.
    """
    file = _file(profile, task, what, root)
    read_log.record(file)
    if not file.is_file():
        return pd.DataFrame(columns=[*columns])
    table = read_csv_table(file, columns, set(columns) - set(TEXTS))
    now = {key: digest_of(specs) for key, specs in specs_with_probabilities(profile, task, root).items()}
    return table[[_is_of(row, now) for row in table.to_dict("records")]].reset_index(drop=True)


def _is_of(row: Mapping[Any, Any], now: Mapping[tuple[str, str], str]) -> bool:
    """Say whether a row was computed from the specs that are there now; ``of`` names those of both algorithms."""
    names = [row["algorithm"], *filter(None, [row.get("other", "")])]
    return "+".join(now.get((row["variant"], name), "") for name in names) == row["of"]
