"""Sweeps over landscapes, read: what moves restarts, from which size on, and which well an algorithm prefers."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from popview.common.folders import RESULTS
from popview.landscapes.transitions import landscape_of
from popview.populations.comparisons import ALPHA
from popview.runs import store
from popview.runs.sweeps import sweep_parts
from popview.statistics import holm, paired_change, proportion

#: A preference between wells is judged where at least this share of the restarts reach one, gradient descent's too.
REACHED = 0.95

#: A share of the restarts that is no longer nothing: from here on an algorithm moves restarts.
MOVED = 0.01

#: What tells one line of sizes from another.
LINE = ["algorithm", "landscape", "dimension", "ratio", "depth", "normalized", "lr", "tau", "weight"]


def load_sweep(profile: str, sweep: str, root: Path = RESULTS) -> pd.DataFrame:
    """Read what is in the store of a sweep.

    Returns
    -------
    DataFrame
        One row per setting: ``algorithm``, the columns of `popview.runs.sweeping.sweep_table`, ``transitions`` as
        matrices. Without rows where nothing is there.

    Raises
    ------
    UsageError
        If a name is unknown or a file damaged.
    """
    parts = sweep_parts(profile, sweep)
    absent = {part.digest for part in store.missing(parts, root)}
    frames = [
        store.load(part, root).to_pandas().assign(algorithm=part.algorithm)
        for part in parts
        if part.digest not in absent
    ]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*LINE, "transitions"])
    matrices = [counts.reshape(2 * [round(len(counts) ** 0.5)]) for counts in table["transitions"]]
    return table.assign(transitions=pd.Series(matrices, table.index, dtype=object))


def ends(rows: pd.DataFrame) -> pd.DataFrame:
    """Return in percent where restarts end: a column for each minimum, from 1 on, then ``none`` and ``diverged``.

    A landscape with fewer minima than others has NaN where it has none.
    """
    found = []
    for counts in rows["transitions"]:
        shares = 100 * counts.sum(0) / counts.sum()
        found.append(
            {str(i + 1): share for i, share in enumerate(shares[:-2])} | {"none": shares[-2], "diverged": shares[-1]}
        )
    table = pd.DataFrame(found, rows.index)
    return table[[*sorted(set(table) - {"none", "diverged"}), "none", "diverged"]] if found else table


def moves(rows: pd.DataFrame) -> pd.DataFrame:
    """Say of each setting how many restarts end elsewhere than gradient descent's, and whether the shares change.

    Parameters
    ----------
    rows : DataFrame
        As `load_sweep` returns it.

    Returns
    -------
    DataFrame
        The rows with ``moved, moved_low, moved_high`` (percent of restarts that end in another place, 95 % Wilson
        interval), ``shares_p``: of McNemar's exact tests of each place, the smallest p-value times their number.
    """
    found = []
    for counts in rows["transitions"]:
        total, stayed = int(counts.sum()), int(np.trace(counts))
        share = proportion(total - stayed, total)
        low, high = share.interval or (np.nan, np.nan)
        lost, gained = counts.sum(1) - counts.diagonal(), counts.sum(0) - counts.diagonal()
        tests = paired_change(gained, lost, np.full(len(counts), total)).p_value
        found.append([100 * share.estimate, 100 * low, 100 * high, min(1, len(tests) * tests.min())])
    names = ["moved", "moved_low", "moved_high", "shares_p"]
    return pd.concat([rows, pd.DataFrame(found, rows.index, names)], axis=1)


def first_effect(moved: pd.DataFrame, by: Iterable[str] = LINE) -> pd.DataFrame:
    """Return the smallest size at which an algorithm differs from gradient descent from the same starts.

    The criteria were fixed before the sweeps were run. It moves restarts where the interval of the share that ends
    elsewhere lies above 1 %. It changes the shares where ``shares_p`` is at most 0.05 by Holm over the sizes.

    Parameters
    ----------
    moved : DataFrame
        As `moves` returns it.
    by : iterable of str
        What tells one line of sizes from another.

    Returns
    -------
    DataFrame
        One row per line: ``moves_from, changes_from`` (the displacement), ``moves_rho, changes_rho`` (ρ); NaN for none.
    """
    by = list(by)
    rows = []
    for key, line in moved.groupby(by, sort=False, dropna=False):
        line = line.sort_values("displacement")
        row = dict(zip(by, key, strict=True))
        effects = {
            "moves": line["moved_low"] > 100 * MOVED,
            "changes": pd.Series(holm(line["shares_p"].to_numpy()) <= ALPHA, line.index),
        }
        for name, there in effects.items():
            first = line[there].head(1)
            row[f"{name}_from"] = first["displacement"].iloc[0] if len(first) else np.nan
            row[f"{name}_rho"] = first["rho"].iloc[0] if len(first) else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def well_preference(rows: pd.DataFrame) -> pd.DataFrame:
    """Say of each setting on two wells which well the algorithm prefers, against gradient descent from the same starts.

    Compared are restarts that end in a well under both. A preference is judged where at least `REACHED` of the restarts
    do. Holm's p-values are over all settings judged, of all algorithms: one family.

    Parameters
    ----------
    rows : DataFrame
        As `load_sweep` returns it, of one sweep on two wells.

    Returns
    -------
    DataFrame
        The rows with ``reached`` (share of the restarts in a well under both), ``plain`` (percent of these in the wide
        well under gradient descent), ``change, low, high`` (how much more under the algorithm, in points, 95 %
        interval), ``p_value, adjusted``, ``preference``: "wide", "narrow", "neither" or "not judged". The wide well is
        that of value 0, and where both are as wide, it is the other than the deeper one.
    """
    counts = np.stack([*rows["transitions"]]) if len(rows) else np.zeros((0, 4, 4), int)
    wide = np.where(rows["depth"] < 0, 1, 0)  # minima are ordered by value, then by trace
    place, narrow = np.arange(len(rows)), 1 - wide
    to_wide, to_narrow = counts[place, narrow, wide], counts[place, wide, narrow]
    both = counts[:, :2, :2].sum((1, 2))
    found = paired_change(to_wide, to_narrow, both)
    reached = both / np.maximum(counts.sum((1, 2)), 1)
    judged = reached >= REACHED
    adjusted = np.full(len(rows), np.nan)
    adjusted[judged] = holm(found.p_value[judged]) if judged.any() else []
    side = np.where(found.estimate > 0, "wide", "narrow")
    word = np.where(~judged, "not judged", np.where(adjusted <= ALPHA, side, "neither"))
    plain = 100 * counts[place, wide, :2].sum(1) / np.maximum(both, 1)
    return rows.assign(
        reached=reached,
        plain=plain,
        change=100 * found.estimate,
        low=100 * found.low,
        high=100 * found.high,
        p_value=found.p_value,
        adjusted=adjusted,
        preference=word,
    )


def in_flattest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how many restarts end in the minimum whose Hessian has the smallest trace, in percent.

    Parameters
    ----------
    rows : DataFrame
        As `load_sweep` returns it.

    Returns
    -------
    DataFrame
        The rows with ``flattest, plain`` (under the algorithm, and under gradient descent) and ``worth``: the weight of
        the trace from which on no deeper minimum is worth more; NaN where none is deeper.
    """
    found = []
    for row in rows.itertuples():
        minima = landscape_of(row.landscape, row.dimension, row.ratio, row.depth).minima
        place = int(np.argmin([minimum.trace for minimum in minima]))
        flat, total = minima[place], row.transitions.sum()
        prices = [(flat.value - m.value) / (m.trace - flat.trace) for m in minima if flat.value - m.value > 1e-9]
        shares = (100 * row.transitions.sum(axis)[place] / total for axis in (0, 1))
        found.append([*shares, max(prices, default=np.nan)])
    return pd.concat([rows, pd.DataFrame(found, rows.index, ["flattest", "plain", "worth"])], axis=1)
