"""The data of the playground, a page that computes in the reader's browser: landscapes, trajectories, correlations."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd
from IPython.display import HTML

from popview.book.colours import colour
from popview.book.names import landscape_title, task_title
from popview.common.errors import check_name
from popview.landscapes import LANDSCAPES
from popview.optimizers import ALGORITHMS as TRAINED
from popview.paper.table_one import ALGORITHMS, Protocol

#: What the minima of our two wells are called; those of other landscapes have numbers, in the order of Table 1.
WELLS = {"two-well": ("wide well", "narrow well")}

#: Column of a trajectory → its short name on the page.
KEPT = {"train_loss": "loss", "validation_metric": "validation", "test_metric": "test"}

#: So many significant digits keep the order and the ties of all shipped values, as a test shows.
DIGITS = 6


def landscapes() -> dict[str, Any]:
    """Return what the browser needs of each landscape in a plane, beside its formula: starts, minima, saddles.

    Examples
    --------
    >>> from popview.book.playground import landscapes
    >>> [minimum["name"] for minimum in landscapes()["himmelblau"]["minima"]]
    ['minimum 1', 'minimum 2', 'minimum 3', 'minimum 4']
    >>> [minimum["name"] for minimum in landscapes()["two-well"]["minima"]]
    ['wide well', 'narrow well']
    """
    found = {}
    for name, landscape in LANDSCAPES.items():
        if landscape.dimension != 2:
            continue
        names = WELLS.get(name) or [f"minimum {place}" for place, _ in enumerate(landscape.minima, start=1)]
        shown = landscape.domain if landscape.start is None else landscape.window or landscape.domain
        found[name] = {
            "title": landscape_title(name),
            "formula": landscape.formula,
            "domain": landscape.domain,
            "window": shown,
            "minima": [
                {
                    "name": words,
                    "kind": minimum.kind,
                    "x": minimum.location[0],
                    "y": minimum.location[1],
                    "value": minimum.value,
                    "trace": minimum.trace,
                }
                for words, minimum in zip(names, landscape.minima, strict=True)
            ],
            "saddles": [{"x": x, "y": y} for x, y in landscape.saddles],
        }
    return found


def protocol() -> dict[str, Any]:
    """Return the settings of the book's Table 1, with which the playground begins, and its algorithms' colours."""
    return asdict(Protocol()) | {"algorithms": {name: colour(name) for name in ALGORITHMS}}


def trajectories(results: Mapping[str, pd.DataFrame], algorithms: Collection[str], restarts: int) -> dict[str, Any]:
    """Return training loss and scores at the checkpoints of some restarts, by task and algorithm.

    Parameters
    ----------
    results : mapping of str to DataFrame
        Task → its trajectories, as `popview.populations.tables.load_trajectories` returns them.
    algorithms : collection of str
        Those that are kept. One without results of a task is left out there, and a task without any.
    restarts : int
        Of each, those of the lowest seeds.

    Returns
    -------
    dict
        Task → ``title``, ``epochs`` of its checkpoints, and ``runs``: algorithm → a list of restarts, each with
        ``loss``, ``validation`` and ``test``. A number that is not finite is None.

    Raises
    ------
    UsageError
        If an algorithm is unknown.
    """
    for name in algorithms:
        check_name("algorithm", name, TRAINED)
    found = {}
    for task, table in results.items():
        runs = {
            name: [
                {short: _rounded(rows[column]) for column, short in KEPT.items()}
                for _, rows in table[table["algorithm"] == name].sort_values("step").groupby("seed")
            ][:restarts]
            for name in algorithms
            if name in set(table["algorithm"])
        }
        if runs:
            found[task] = {"title": task_title(task), "epochs": sorted(table["epoch"].unique().tolist()), "runs": runs}
    return found


def _rounded(values: pd.Series) -> list[float | None]:
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values]


def embedded(name: str, data: Mapping[str, Any]) -> HTML:
    """Return data as an element of the page, for its own scripts: a page opened as a file may fetch none.

    Examples
    --------
    >>> from popview.book.playground import embedded
    >>> embedded("numbers", {"a": [1, 2]}).data
    '<script type="application/json" id="numbers">{"a":[1,2]}</script>'
    """
    words = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return HTML(f'<script type="application/json" id="{name}">{words}</script>')
