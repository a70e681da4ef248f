"""What noise of every size does to a network: the cells of the grid "noise", restart by restart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from popview.common.folders import RESULTS
from popview.populations.comparisons import paired_difference
from popview.populations.outcomes import load_final_measures
from popview.runs import grids, store
from popview.runs.specs import GridSpec

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
    last = store.load(spec, root).to_pandas().groupby("seed").nth(-1).set_index("seed")["train_loss"]
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


def without_repeats(restarts: pd.DataFrame) -> pd.DataFrame:
    """Leave out cells whose runs are those of another cell, restart by restart: they are not another test.

    So it is where no hop of a monotonic algorithm is undone.

    Parameters
    ----------
    restarts : DataFrame
        As `noise_outcomes` returns it.
    """
    seen, kept = set(), []
    for key, cell in restarts.groupby(CELL, sort=False, dropna=False):
        runs = tuple(cell.sort_values("seed")[["train_loss", "accuracy", "distance"]].to_numpy().ravel())
        if (key[1], runs) not in seen:
            kept.append(cell)
        seen.add((key[1], runs))
    return pd.concat(kept, ignore_index=True) if kept else restarts


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
        compared = pairs.iloc[: 0 if key[0] == "SGD" else None]
        rows.append(row | _estimate(compared["accuracy"], compared["plain"]))
    return pd.DataFrame(rows)


def at_equal_displacement(
    restarts: pd.DataFrame, first: str = "NiG-SGD", second: str = "NiM-SGD", times: float = 1
) -> pd.DataFrame:
    """Compare noise in the gradient with noise in the model where one draw moves the model equally far at once.

    Parameters
    ----------
    restarts : DataFrame
        As `noise_outcomes` returns it.
    first, second : str
        Algorithms.
    times : float
        How many times as far the second's draw moves it. With momentum μ a draw in the gradient is carried on, to
        1 / (1 − μ) times as far.

    Returns
    -------
    DataFrame
        One row per learning rate and displacement, of the first, that both have: ``lr, displacement``, ``pairs`` (seeds
        of which neither diverged), ``estimate, low, high, p_value`` (the first's accuracy less the second's in points,
        t interval; NaN with fewer than two pairs), ``draws_first, draws_second`` (mean draws of noise a run).
    """
    moved = restarts["displacement"].mask(restarts["algorithm"] == second, restarts["displacement"] / times)
    rounded = restarts.assign(displacement=moved.round(9))
    rows = []
    for (rate, size), cell in rounded.groupby(["lr", "displacement"]):
        one, other = (cell[cell["algorithm"] == name].set_index("seed") for name in (first, second))
        if len(one) and len(other):
            accuracy = [part.loc[~part["diverged"], "accuracy"] for part in (one, other)]
            pairs = pd.concat(accuracy, axis=1, keys=["first", "second"], join="inner")
            row = {"lr": rate, "displacement": size, "pairs": len(pairs)}
            row |= _estimate(pairs["first"], pairs["second"])
            row |= {"draws_first": one["noise_triggers"].mean(), "draws_second": other["noise_triggers"].mean()}
            rows.append(row)
    return pd.DataFrame(rows)


def _estimate(first: pd.Series, second: pd.Series) -> dict[str, Any]:
    found = paired_difference(first, second)
    return {"estimate": found["difference"], "low": found["low"], "high": found["high"], "p_value": found["p"]}
