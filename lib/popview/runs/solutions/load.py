"""Readings of the study: what the store holds, as data frames."""

from pathlib import Path

import numpy as np
import pandas as pd

from popview.common.folders import RESULTS
from popview.runs import store
from popview.runs.solutions.parts import TopographyPart, networks, topography_parts
from popview.runs.status import status


def _there(profile: str, network: str, kind: str, root: Path) -> list[TopographyPart]:
    """Return the parts of a kind that the store holds."""
    wanted = [part for part in topography_parts(profile, network) if part.kind == kind]
    absent = {part.digest for part in store.missing(wanted, root)}
    return [part for part in wanted if part.digest not in absent]


def _frame(found: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def solutions(profile: str, network: str, root: Path = RESULTS) -> pd.DataFrame:
    """Return the solutions of a network.

    ``network, algorithm``, ``epochs`` (of the run, at most) and the columns of
    `popview.runs.solutions.training.trained`. Only algorithms of which every part is there; empty where there are none.
    """
    found = []
    for part in _complete(profile, network, "solutions", root):
        frame = store.load(part, root).to_pandas()
        found.append(frame.assign(network=network, algorithm=part.algorithm, epochs=part.settings["epochs"]))
    return _frame(found)


def barriers(profile: str, network: str, root: Path = RESULTS) -> pd.DataFrame:
    """Return the pairs of a network.

    ``network, algorithm, stage, ends, objective``, ``within`` (to what a settled height is told: smaller differences do
    not count), and the columns of `popview.runs.solutions.between.measure_barriers`.

    Only sets of which every part is there; empty where there are none.

    Examples
    --------
    Of a folder where nothing has been computed yet:

    >>> from pathlib import Path
    >>> from popview.runs.solutions.load import barriers
    >>> barriers("smoke", "digits", root=Path("empty")).empty
    True
    """
    found = []
    for part in _complete(profile, network, "barriers", root):
        names = {name: part.settings[name] for name in ("stage", "ends", "objective")}
        frame = store.load(part, root).to_pandas().assign(within=part.settings["settled"]["within"])
        found.append(frame.assign(network=network, algorithm=part.algorithm, **names))
    return _frame(found)


def _complete(profile: str, network: str, kind: str, root: Path) -> list[TopographyPart]:
    """Return the parts that are there of those sets that are whole."""
    sets: dict[tuple[str, ...], list[TopographyPart]] = {}
    for part in (p for p in topography_parts(profile, network) if p.kind == kind):
        sets.setdefault((part.algorithm, *part.labels.values()), []).append(part)
    there = {part.digest for part in _there(profile, network, kind, root)}
    whole = [members for members in sets.values() if all(part.digest in there for part in members)]
    return [part for members in whole for part in members]


def products(
    profile: str, network: str, stage: str, root: Path = RESULTS
) -> tuple[pd.DataFrame, np.ndarray, int] | None:
    """Return the solutions (``algorithm, seed``), their inner products ``(n, n)`` and the number of parameters.

    None where they are not there, or fewer than three solutions reached the stage.
    """
    for part in _there(profile, network, "products", root):
        if part.settings["stage"] == stage:
            table = store.load(part, root)
            frame = table.to_pandas()
            if len(frame) < 3:
                return None
            inner = np.stack(frame.pop("products").to_list()).astype(float)
            return frame, inner, store.metadata_of(table.schema)["parameters"]
    return None


def solutions_coverage(profile: str, root: Path = RESULTS) -> pd.DataFrame:
    """Return what there is: ``network, kind, algorithm, set, wanted, done`` (files), processor ``seconds, bytes``."""
    wanted = [part for network in networks(profile) for part in topography_parts(profile, network)]
    rows = [
        {
            "network": part.network,
            "kind": part.kind,
            "algorithm": part.algorithm,
            "set": "-".join(part.labels.values()),
            "wanted": 1,
            "done": int(state.state == "done"),
            "seconds": state.seconds,
            "bytes": state.bytes,
        }
        for part, state in zip(wanted, status(wanted, root), strict=True)
    ]
    names = ["network", "kind", "algorithm", "set"]
    return pd.DataFrame(rows).groupby(names, sort=False, as_index=False).sum() if rows else pd.DataFrame()
