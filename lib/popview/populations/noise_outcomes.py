"""What noise of every size does to a network: the cells of the grid "noise", restart by restart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from popview.common.folders import RESULTS
from popview.populations.outcomes import load_final_measures
from popview.runs import grids, store
from popview.runs.specs import GridSpec
from popview.statistics import mean_difference
from popview.statistics.results import interval_columns

#: What tells one cell from another.
CELL = ["algorithm", "lr", "rho", "tau", "displacement"]


def noise_outcomes(profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Read the restarts of the grid "noise" that are in the store.

    Returns
    -------
    DataFrame
        One row per restart: ``algorithm, lr, rho, tau`` (NaN where the algorithm lacks it), ``displacement`` (how far
        one draw of noise can move the model at once: ηρ in the gradient, ρ in the model), ``seed, accuracy`` (of the
        last model on the whole test split, in percent), ``train_loss`` (at its last checkpoint), ``distance`` (of the
        last model from its start), ``noise_triggers, diverged``. Without rows where nothing is there.
    """
    specs = grids.grid_specs("noise", profile, task)
    absent = {spec.digest for spec in store.missing(specs, root)}
    frames = [_restarts(spec, root) for spec in specs if spec.digest not in absent]
    names = [*CELL, "seed", "accuracy", "train_loss", "distance", "noise_triggers", "diverged"]
    return pd.concat(frames, ignore_index=True)[names] if frames else pd.DataFrame(columns=names)


def _restarts(spec: GridSpec, root: Path) -> pd.DataFrame:
    measured = load_final_measures([spec], root)
    last = store.load(spec, root).to_pandas().groupby("seed")["train_loss"].last()
    given = spec.hyperparameters
    rho = given.get("rho", np.nan)
    noisy = {"rho": rho, "displacement": rho * (given["lr"] if spec.algorithm.startswith("NiG") else 1)}
    cell = {"algorithm": spec.algorithm, "lr": given["lr"], "tau": given.get("tau", np.nan)} | noisy
    return pd.DataFrame(
        {
            **cell,
            "seed": measured["seed"],
            "accuracy": 100 * measured["whole_test.metric"].astype(float),
            "train_loss": measured["seed"].map(last),
            "distance": measured["flatness.distance"].astype(float),
            "noise_triggers": measured["noise_triggers"],
            "diverged": measured["diverged"].astype(bool),
        }
    )


def against_plain(restarts: pd.DataFrame, outcomes: Sequence[str] = ("accuracy", "distance")) -> pd.DataFrame:
    """Return the means of each cell, and the accuracy's difference to SGD of the same learning rate, paired by seed.

    Parameters
    ----------
    restarts : DataFrame
        As `noise_outcomes` returns it.
    outcomes : sequence of str
        Columns that are averaged, over restarts that did not diverge.

    Returns
    -------
    DataFrame
        One row per cell: `CELL`, ``restarts, diverged`` (counts), the outcomes' means, ``train_loss`` (median),
        ``estimate, low, high, p_value`` (accuracy less SGD's in points, t interval over the pairs that did not diverge;
        NaN with fewer than two pairs).
    """
    plain = restarts[(restarts["algorithm"] == "SGD") & ~restarts["diverged"]].set_index(["lr", "seed"])
    rows = []
    for key, cell in restarts.groupby(CELL, sort=False, dropna=False):
        there = cell[~cell["diverged"]]
        row = dict(zip(CELL, key, strict=True)) | {"restarts": len(cell), "diverged": int(cell["diverged"].sum())}
        row |= {name: there[name].mean() for name in outcomes} | {"train_loss": there["train_loss"].median()}
        pairs = there.join(plain["accuracy"].rename("plain"), on=["lr", "seed"]).dropna(subset=["plain"])
        row |= dict.fromkeys(("estimate", "low", "high", "p_value"), np.nan)
        if key[0] != "SGD" and len(pairs) > 1:
            found = mean_difference(pairs["accuracy"], pairs["plain"], paired=True)
            row |= {**interval_columns(found), "estimate": found.estimate, "p_value": found.p_value}
        rows.append(row)
    return pd.DataFrame(rows)
