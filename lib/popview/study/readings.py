"""What chapter 11 and the ledger take from the study: barriers with intervals, distances, separation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from popview import reads, topography
from popview.errors import UsageError
from popview.paths import PAPER
from popview.statistics import a12

__all__ = [
    "QUASI_NEWTON",
    "aligned_gains",
    "barrier_differences",
    "barrier_means",
    "printed_losses",
    "separation",
    "spread",
]

#: The method that SGD is contrasted with.
QUASI_NEWTON = "L-BFGS-GSS"

SET = ["network", "algorithm", "stage", "ends", "objective"]
VALUES = ("height", "rise", "straight_height", "straight_rise")

#: Solutions needed for the bootstrap over solutions.
FEWEST = 3


def _pairs(rows: pd.DataFrame) -> np.ndarray:
    return rows[["first", "second"]].to_numpy()


def _enough(*groups: pd.DataFrame) -> bool:
    return all(len(np.unique(_pairs(rows))) >= FEWEST for rows in groups)


def barrier_means(barriers: pd.DataFrame) -> pd.DataFrame:
    """Return the mean heights of each set of pairs, with 95 % intervals of the bootstrap over solutions.

    Returns
    -------
    DataFrame
        ``network, algorithm, stage, ends, objective, pairs, solutions``; per value of ``height, rise, straight_height,
        straight_rise``: the mean, ``<value>_low``, ``<value>_high``; ``lower``: the share of pairs whose path is lower
        than their straight line; ``distance``: mean between the ends.
    """
    rows = []
    for names, found in barriers.groupby(SET, sort=False) if len(barriers) else ():
        row = dict(zip(SET, names, strict=True))
        row |= {"pairs": len(found), "solutions": len(np.unique(_pairs(found)))}
        for value in VALUES:
            low = high = np.nan
            if _enough(found):
                low, high = topography.mean(found[value], _pairs(found)).interval or (low, high)
            row |= {value: found[value].mean(), f"{value}_low": low, f"{value}_high": high}
        row |= {"lower": (found["height"] < found["straight_height"]).mean(), "distance": found["distance"].mean()}
        rows.append(row)
    return pd.DataFrame(rows)


def barrier_differences(
    barriers: pd.DataFrame, value: str = "rise", a: str = QUASI_NEWTON, b: str = "SGD"
) -> pd.DataFrame:
    """Return mean `value` of a's pairs − that of b's, wherever both sets are there, as `topography.difference` does.

    Returns
    -------
    DataFrame
        ``network, stage, ends, objective, value, difference, low, high, solutions``.
    """
    rows = []
    keys = [name for name in SET if name != "algorithm"]
    for names, found in barriers.groupby(keys, sort=False) if len(barriers) else ():
        ours, theirs = (found[found["algorithm"] == name] for name in (a, b))
        if _enough(ours, theirs):
            result = topography.difference(ours[value], _pairs(ours), theirs[value], _pairs(theirs))
            low, high = result.interval or (np.nan, np.nan)
            row = dict(zip(keys, names, strict=True))
            rows.append(
                {
                    **row,
                    "value": value,
                    "difference": result.estimate,
                    "low": low,
                    "high": high,
                    "solutions": min(result.n),
                }
            )
    return pd.DataFrame(rows)


def aligned_gains(barriers: pd.DataFrame, value: str = "rise") -> pd.DataFrame:
    """Return what permuting the second of each pair's hidden units changes: `value` aligned − as they are.

    Returns
    -------
    DataFrame
        ``network, algorithm, stage, objective, difference, low, high``; the mean over pairs, with the interval of the
        bootstrap over solutions.
    """
    rows = []
    keys = [name for name in SET if name != "ends"]
    for names, found in barriers.groupby(keys, sort=False) if len(barriers) else ():
        sides = {ends: rows.set_index(["first", "second"])[value] for ends, rows in found.groupby("ends")}
        if set(sides) == {"plain", "aligned"}:
            gain = (sides["aligned"] - sides["plain"]).dropna()
            pairs = np.array(gain.index.to_list())
            if len(np.unique(pairs)) >= FEWEST:
                result = topography.mean(gain.to_numpy(), pairs)
                low, high = result.interval or (np.nan, np.nan)
                row = dict(zip(keys, names, strict=True))
                rows.append({**row, "difference": result.estimate, "low": low, "high": high})
    return pd.DataFrame(rows)


def _within(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of all pairs, and the pairs."""
    pairs = np.stack(np.triu_indices(len(distances), 1), axis=1)
    return distances[pairs[:, 0], pairs[:, 1]], pairs


def spread(frame: pd.DataFrame, inner: np.ndarray, parameters: int, reference: str = "SGD") -> pd.DataFrame:
    """Return how far apart the solutions of each algorithm lie, from their inner products.

    Parameters
    ----------
    frame, inner, parameters
        As `popview.study.products` returns them.
    reference : str
        Algorithm that the others are compared with.

    Returns
    -------
    DataFrame
        ``algorithm, solutions, norm`` (mean), ``deviation`` (root mean square of a weight), ``distance`` (mean between
        two solutions), ``direction`` (the same after scaling each to norm 1), ``same_seed`` (mean distance to the
        reference's solution from the same seed); ``more, more_low, more_high``: the distance less the reference's, with
        the 95 % interval of the bootstrap over solutions, and ``direction_more, …`` alike.
    """
    norms = topography.norms(inner)
    kinds = {"distance": topography.distances(inner), "direction": topography.distances(inner, unit_norm=True)}
    rows = []
    for algorithm in dict.fromkeys(frame["algorithm"]):
        own, other = (np.flatnonzero(frame["algorithm"] == name) for name in (algorithm, reference))
        row = {"algorithm": algorithm, "solutions": len(own), "norm": norms[own].mean()}
        shared = frame.loc[own].reset_index().merge(frame.loc[other].reset_index(), on="seed")
        beside = kinds["distance"][shared["index_x"], shared["index_y"]]
        row["same_seed"] = beside.mean() if len(beside) and algorithm != reference else np.nan
        row["deviation"] = np.sqrt((norms[own] ** 2).mean() / parameters)
        for (kind, found), prefix in zip(kinds.items(), ("", "direction_"), strict=True):
            ours, theirs = (_within(found[np.ix_(chosen, chosen)]) for chosen in (own, other))
            row[kind] = ours[0].mean() if len(ours[0]) else np.nan
            estimate, low, high = np.nan, np.nan, np.nan
            if min(len(own), len(other)) >= FEWEST and algorithm != reference:
                result = topography.difference(*ours, *theirs)
                estimate, (low, high) = result.estimate, result.interval or (low, high)
            row |= {f"{prefix}more": estimate, f"{prefix}more_low": low, f"{prefix}more_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def separation(
    frame: pd.DataFrame,
    inner: np.ndarray,
    parameters: int,
    algorithms: Sequence[str] = ("SGD", QUASI_NEWTON),
    kernels: Sequence[str] = tuple(topography.KERNELS),
) -> pd.DataFrame:
    """Return how well the first kernel principal component tells two algorithms' solutions apart.

    Returns
    -------
    DataFrame
        ``kernel, weights`` ("as they are", "norm 1"), ``a12``: the probability that a solution of one lies above one
        of the other on the component, folded to 0.5 (not told apart) to 1 (separated); ``share`` of the variance;
        NaN where the kernel has no components on these solutions.
    """
    chosen = np.flatnonzero(frame["algorithm"].isin(algorithms))
    names = frame["algorithm"].to_numpy()[chosen]
    points = topography.coordinates(inner[np.ix_(chosen, chosen)])
    rows = []
    for kernel in kernels:
        for weights, unit in (("as they are", False), ("norm 1", True)):
            apart, share = np.nan, np.nan
            try:
                found = topography.kernel_pca(points, kernel, parameters=parameters, unit_norm=unit)
                sides = [found.scores[names == name, 0] for name in algorithms]
                above = a12(*sides).estimate
                apart, share = max(above, 1 - above), float(found.shares[0])
            except UsageError:
                pass  # told by NaN
            rows.append({"kernel": kernel, "weights": weights, "a12": apart, "share": share})
    return pd.DataFrame(rows)


def printed_losses() -> pd.DataFrame:
    """Return the losses that Yu and Morozov print: ``network, stage, algorithm, split, printed`` (means of 48)."""
    file = PAPER / "yu-losses.csv"
    reads.record(file)
    return pd.read_csv(file)
