"""What restarts predict, from the probabilities that files keep, and tables that were computed of that.

Labels do not ship. What depends on them is computed by `popview ensembles` (`popview.populations.scored_predictions`),
and read here from ``data/ensembles``.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from popview.common import read_log
from popview.common.errors import UsageError
from popview.common.files import read_csv_table
from popview.common.folders import RESULTS
from popview.populations.confirmation import decisions, load_confirmation
from popview.populations.tables import compared, wanted
from popview.runs import store
from popview.runs.annealed import AnnealedPlan
from popview.runs.specs import RunSpec, digest
from popview.tasks.catalogue import RECORDS
from popview.tasks.scores import from_bytes

#: Where a file keeps probabilities → what the models of one restart are, and the test examples.
KEPT = {"probabilities": ("ten of lowest loss", "sample"), "test_probabilities": ("last", "whole")}

#: Columns of texts in these tables.
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

    Stacks of base and tuned restarts keep none. Of the others see `annealed_specs` and `constant_specs`.
    """
    found: dict[tuple[str, str], list[RunSpec]] = {}
    for variant in [name for name in compared(profile, task) if name != "annealed"]:
        specs = [spec for spec in wanted(profile, task, variant) if spec.restarts == 1]
        absent = {spec.algorithm for spec in store.missing(specs, root)}
        for spec in specs:
            if spec.algorithm not in absent:
                found.setdefault((variant, spec.algorithm), []).append(spec)
    for spec in [*annealed_specs(profile, task, root), *constant_specs(profile, task, root)]:
        found.setdefault((spec.variant, spec.algorithm), []).append(spec)
    return found


def annealed_specs(profile: str, task: str, root: Path = RESULTS) -> list[RunSpec]:
    """Return the annealed specs of the restarts that `popview.populations.confirmation.load_confirmation` shows."""
    decided = decisions()
    shown = load_confirmation(profile, task, decided, root)
    specs = AnnealedPlan(profile, task).expand(decided["variant"]) if len(shown.columns) else []
    return [s for s in specs if s.algorithm in shown and s.seed in shown[s.algorithm].dropna().index]


def constant_specs(profile: str, task: str, root: Path = RESULTS) -> list[RunSpec]:
    """Return the specs of variant "constant": SGD at the constant rate of SWA's search; none where one is missing."""
    plan = AnnealedPlan(profile, task)
    specs = plan.expand("constant") if "constant" in plan.variants else []
    return [] if store.missing(specs, root) else specs


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
        lists = table.filter(table[column].is_valid()).sort_by("seed")[column]
        kept = lists.combine_chunks().flatten().to_numpy().reshape(len(lists), -1, RECORDS[spec.task].classes)
        rows.append(from_bytes(kept) if column == "test_probabilities" else kept.astype(float))
    return column, np.concatenate(rows)


def digest_of(specs: Sequence[RunSpec]) -> str:
    """Return a digest of what results were computed from."""
    return digest("|".join(spec.digest for spec in specs))


def derived_file(profile: str, task: str, what: str, root: Path) -> Path:
    """Return where a table of what a task's restarts predict stands."""
    return root / "ensembles" / profile / f"{task}-{what}.csv"


def load_derived(profile: str, task: str, what: str, columns: Collection[str], root: Path = RESULTS) -> pd.DataFrame:
    """Read a table that `popview ensembles` has written: the rows of files that are in the store now.

    Returns
    -------
    DataFrame
        Without rows where nothing was computed.

    Raises
    ------
    UsageError
        If the file is damaged.
    """
    file = derived_file(profile, task, what, root)
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
