"""What the page on solutions and the ledger take from the study: barriers with intervals, distances, separation."""

import numpy as np
import pandas as pd
import scipy.stats

from popview import topography
from popview.common.errors import UsageError
from popview.common.seeds import draws
from popview.statistics import a12, dyadic_mean

#: The method that SGD is contrasted with.
QUASI_NEWTON = "L-BFGS-GSS"
CONTRASTED = ("SGD", QUASI_NEWTON)
#: Random exchanges of labels in the test of directions.
EXCHANGES = 1000

SET = ["network", "algorithm", "stage", "ends", "objective"]
VALUES = ("height", "rise", "straight_rise")

#: Places in the table of two algorithms' solutions of the same seed.
SIDES = ("index_x", "index_y")

#: Solutions needed for the bootstrap over solutions.
FEWEST = 3


def _pairs(rows: pd.DataFrame) -> np.ndarray:
    return rows[["first", "second"]].to_numpy()


def _intervals(values: pd.Series | np.ndarray, pairs: np.ndarray, prefix: str = "") -> dict[str, float]:
    """Return both kinds of 95 % interval of the mean over pairs, NaN where there are too few solutions.

    ``low, high`` of the bootstrap over solutions; ``dyadic_error, dyadic_low, dyadic_high, dyadic_p`` by the standard
    error that is robust to pairs sharing solutions.
    """
    names = ("low", "high", "dyadic_error", "dyadic_low", "dyadic_high", "dyadic_p")
    solutions = len(np.unique(pairs))
    if solutions < FEWEST:
        return dict.fromkeys((f"{prefix}{name}" for name in names), np.nan)
    low, high = topography.mean(values, pairs).interval or (np.nan, np.nan)
    robust = dyadic_mean(values, pairs)
    ends = robust.interval or (np.nan, np.nan)
    error = (ends[1] - ends[0]) / 2 / scipy.stats.t.isf(0.025, solutions - 1)
    found = (low, high, error, *ends, np.nan if robust.p_value is None else robust.p_value)
    return {f"{prefix}{name}": float(value) for name, value in zip(names, found, strict=True)}


def barrier_means(barriers: pd.DataFrame) -> pd.DataFrame:
    """Return the mean heights of each set of pairs, with 95 % intervals that know that pairs share solutions.

    Two kinds stand beside each other. The bootstrap over solutions errs on the wide side (Owen 2007). The dyadic-robust
    one sums the products of residuals of all pairs of pairs with a common solution (Fafchamps & Gubert 2007; Aronow,
    Samii & Assenova 2015): `popview.statistics.dyadic_mean`.

    Returns
    -------
    DataFrame
        ``network, algorithm, stage, ends, objective, pairs, solutions``; ``dropped``: pairs left out because a height
        is not finite; per value of ``height, rise, straight_rise``: the mean, ``<value>_low``,
        ``<value>_high`` (of the bootstrap), ``<value>_dyadic_error, <value>_dyadic_low, <value>_dyadic_high``;
        ``halved``: the share of pairs whose path rises at most half as far as their straight line;
        ``converged``: the share of pairs whose search had converged; ``distance``: mean between the ends.
    """
    rows = []
    for names, found in barriers.groupby(SET, sort=False) if len(barriers) else ():
        finite = found[np.isfinite(found[list(VALUES)]).all(axis=1)]
        row = dict(zip(SET, names, strict=True)) | {"pairs": len(finite), "dropped": len(found) - len(finite)}
        row["solutions"] = len(np.unique(_pairs(finite)))
        for value in VALUES:
            row |= {value: finite[value].mean(), **_intervals(finite[value], _pairs(finite), f"{value}_")}
            del row[f"{value}_dyadic_p"]  # that a mean height is not 0 is no question
        halved = finite["rise"] <= finite["straight_rise"] / 2  # on the same images
        row |= {"halved": halved.mean(), "converged": finite["converged"].mean()}
        rows.append(row | {"distance": finite["distance"].mean()})
    return pd.DataFrame(rows)


def changes(barriers: pd.DataFrame, column: str, a: str, b: str, value: str = "rise") -> pd.DataFrame:
    """Return mean `value` where `column` is a − where it is b, over the pairs of seeds that have both.

    Seeds, and so initial weights, are the same for every algorithm, and pairs are pairs of seeds.

    Returns
    -------
    DataFrame
        The names of the set without `column`; ``value``; ``pairs`` that have a finite value in both, ``dropped`` that
        have not; means ``a, b``; ``converged``, the share of searches that had; ``within``, to what settled heights are
        told; ``difference``; ``low, high``, the 95 % interval of the bootstrap over solutions; ``dyadic_error,
        dyadic_low, dyadic_high, dyadic_p``, the dyadic-robust standard error, interval and t test (see
        `barrier_means`). Sets with fewer than three solutions are left out.
    """
    rows = []
    keys = [name for name in SET if name != column]
    for names, found in barriers.groupby(keys, sort=False) if len(barriers) else ():
        compared = found[found[column].isin([a, b])]
        sides = {side: rows.set_index(["first", "second"])[value] for side, rows in compared.groupby(column)}
        if {a, b} <= set(sides):
            both = pd.DataFrame({"a": sides[a], "b": sides[b]})
            finite = both[np.isfinite(both).all(axis=1)]
            gap, pairs = finite["a"] - finite["b"], np.array(finite.index.to_list(), dtype=int).reshape(-1, 2)
            found = _intervals(gap, pairs)
            if found["low"] == found["low"]:
                row = dict(zip(keys, names, strict=True)) | finite.mean().to_dict()
                row |= {"value": value, "pairs": len(finite), "dropped": len(both) - len(finite)}
                row |= {"converged": compared["converged"].mean(), "within": compared["within"].max()}
                rows.append(row | {"difference": gap.mean()} | found)
    return pd.DataFrame(rows)


def barrier_differences(
    barriers: pd.DataFrame, value: str = "rise", a: str = QUASI_NEWTON, b: str = "SGD"
) -> pd.DataFrame:
    """Return mean `value` of a's pairs − that of b's, as `changes` does."""
    return changes(barriers, "algorithm", a, b, value)


def aligned_gains(barriers: pd.DataFrame, value: str = "rise") -> pd.DataFrame:
    """Return what permuting the hidden units of each pair's second solution changes, as `changes` does."""
    return changes(barriers, "ends", "aligned", "plain", value)


def _within(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of all pairs, and the pairs."""
    pairs = np.stack(np.triu_indices(len(distances), 1), axis=1)
    return distances[pairs[:, 0], pairs[:, 1]], pairs


def spread(frame: pd.DataFrame, inner: np.ndarray, parameters: int, reference: str = "SGD") -> pd.DataFrame:
    """Return how far apart the solutions of each algorithm lie, from their inner products.

    Parameters
    ----------
    frame, inner, parameters
        As `popview.runs.solutions.load.products` returns them.
    reference : str
        Algorithm that the others are compared with.

    Returns
    -------
    DataFrame
        ``algorithm, solutions, norm`` (mean), ``deviation`` (root mean square of a weight), ``distance`` (mean between
        two solutions), ``direction`` (the same after scaling each to norm 1), ``same_seed`` (mean distance to the
        reference's solution from the same seed); ``more, more_low, more_high``: the distance less the reference's, over
        the seeds that have both, with the 95 % interval of the bootstrap over solutions and the dyadic-robust
        ``more_dyadic_error, more_dyadic_low, more_dyadic_high, more_dyadic_p``, and ``direction_more`` alike.
    """
    norms = topography.norms(inner)
    kinds = {"distance": topography.distances(inner), "direction": topography.distances(inner, unit_norm=True)}
    rows = []
    for algorithm in dict.fromkeys(frame["algorithm"]):
        own, other = (np.flatnonzero(frame["algorithm"] == name) for name in (algorithm, reference))
        row = {"algorithm": algorithm, "solutions": len(own), "norm": norms[own].mean()}
        shared = frame.loc[own].reset_index().merge(frame.loc[other].reset_index(), on="seed")
        beside = kinds["distance"][shared[SIDES[0]], shared[SIDES[1]]]
        row["same_seed"] = beside.mean() if len(beside) and algorithm != reference else np.nan
        row["deviation"] = np.sqrt((norms[own] ** 2).mean() / parameters)
        for (kind, found), prefix in zip(kinds.items(), ("", "direction_"), strict=True):
            inside = _within(found[np.ix_(own, own)])[0]
            row[kind] = inside.mean() if len(inside) else np.nan
            gaps, pairs = np.empty(0), np.empty((0, 2), dtype=int)
            if len(shared) >= FEWEST and algorithm != reference:
                (ours, pairs), (theirs, _) = (_within(found[np.ix_(shared[i], shared[i])]) for i in SIDES)
                gaps = ours - theirs
            row |= {f"{prefix}more": gaps.mean() if len(gaps) else np.nan} | _intervals(gaps, pairs, f"{prefix}more_")
        rows.append(row)
    return pd.DataFrame(rows)


def separation(frame: pd.DataFrame, inner: np.ndarray, parameters: int) -> pd.DataFrame:
    """Return how well kernel principal components, and norms alone, tell the solutions of `CONTRASTED` apart.

    At norm 1 and γ = 1/parameters all kernels are linear to rounding: that is the cosine kernel.

    Returns
    -------
    DataFrame
        ``by``: a kernel, whose first component is meant, or "norm"; ``a12``: the probability that a solution of one
        lies above one of the other, folded to 0.5 (not told apart) to 1 (separated); NaN where an algorithm has
        fewer than two solutions, or the kernel no components on these.
    """
    chosen = np.flatnonzero(frame["algorithm"].isin(CONTRASTED))
    names, within = frame["algorithm"].to_numpy()[chosen], inner[np.ix_(chosen, chosen)]
    scores = {"norm": topography.norms(within)} if len(chosen) > 1 else {}
    for kernel in topography.KERNELS if len(chosen) >= FEWEST else ():
        try:
            points = topography.coordinates(within)
            scores[kernel] = topography.kernel_pca(points, kernel, parameters=parameters)[:, 0]
        except UsageError:
            pass  # told by NaN
    rows = []
    for by in (*topography.KERNELS, "norm"):
        apart = np.nan
        if by in scores and all((names == name).sum() > 1 for name in CONTRASTED):
            above = a12(*(scores[by][names == name] for name in CONTRASTED)).estimate
            apart = max(above, 1 - above)
        rows.append({"by": by, "a12": apart})
    return pd.DataFrame(rows)


def directions(frame: pd.DataFrame, inner: np.ndarray) -> tuple[int, int, float] | None:
    """Return whether the directions of the solutions of `CONTRASTED` differ: right assignments, of how many, and p.

    Every solution is scaled to norm 1. Both of a seed are left out, and each is assigned to the algorithm whose mean
    over the other seeds is nearer. p is the share of `EXCHANGES` random exchanges of the two labels within seeds, the
    given ones among them, with at least as many right. None where fewer than three seeds have both.
    """
    sides = [frame.reset_index().loc[(frame["algorithm"] == name).to_numpy()] for name in CONTRASTED]
    shared = sides[0].merge(sides[1], on="seed")
    count = len(shared)
    if count < FEWEST:
        return None
    order = np.concatenate([shared[side].to_numpy() for side in SIDES])
    norms = topography.norms(inner)[order]
    cosines = inner[np.ix_(order, order)] / np.outer(norms, norms)
    swapped = draws(0).integers(2, size=(EXCHANGES, count)).astype(bool)
    swapped[0] = False
    right = np.array([_right(cosines, exchanged) for exchanged in swapped])
    return int(right[0]), 2 * count, float((right >= right[0]).mean())


def _right(cosines: np.ndarray, exchanged: np.ndarray) -> int:
    """Count the right assignments of `directions`, the two solutions of the `exchanged` seeds having each other's."""
    count = len(exchanged)
    first = np.arange(count) + count * exchanged
    own, other = first, (first + count) % (2 * count)
    same, across, others = (cosines[np.ix_(a, b)] for a, b in ((own, own), (own, other), (other, other)))
    sums = [block.sum() - block.sum(0) - block.sum(1) + np.diag(block) for block in (same, others)]
    offset = (sums[0] - sums[1]) / (2 * (count - 1) ** 2)  # half the difference of the means' squared norms
    left = [block.sum(1) - np.diag(block) for block in (same, across, across.T, others)]
    nearer = [(left[i] - left[i + 1]) / (count - 1) - offset for i in (0, 2)]
    return int((nearer[0] > 0).sum() + (nearer[1] < 0).sum())
