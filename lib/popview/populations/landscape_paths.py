"""Paths on landscapes whose true passes are known: what the page on solutions draws, and how near the paths come."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from popview.landscapes import Landscape, get
from popview.topography import FourierPath, FourierPathFinder, lowest_passes

#: Pairs of Himmelblau's minima with one saddle between them that is their lowest pass, in the landscape's order.
NEIGHBOURS = ((0, 2), (2, 3), (1, 0))


def paths(landscape: Landscape, pairs: Sequence[tuple[int, int]], steps: int = 1000) -> dict[str, FourierPath]:
    """Return the paths between pairs of minima, by the sum of losses and from there by the soft maximum.

    Returns
    -------
    dict of str to FourierPath
        "sum of losses" and "soft maximum".
    """
    start, end = _ends(landscape, pairs)
    by_sum = FourierPathFinder(landscape, steps=steps, fine=10_000).fit(start, end)
    finder = FourierPathFinder(landscape, points=200, objective="maximum", steps=steps, fine=10_000)
    return {"sum of losses": by_sum, "soft maximum": finder.fit(start, end, by_sum.coefficients)}


def _ends(landscape: Landscape, pairs: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    minima = torch.tensor([m.location for m in landscape.minima], dtype=torch.float64)
    start, end = (minima[list(side)] for side in zip(*pairs, strict=True))
    return start, end


def heights(landscape: Landscape, pairs: Sequence[tuple[int, int]], found: dict[str, FourierPath]) -> pd.DataFrame:
    """Return how high each path rises above the higher of its ends, beside the true pass and the straight line.

    Returns
    -------
    DataFrame
        ``landscape, start, end`` (the minima), ``pass``, one column for each kind of path, ``straight``.
    """
    known = lowest_passes(landscape)
    rows = []
    for i, (start, end) in enumerate(pairs):
        first, last = landscape.minima[start], landscape.minima[end]
        ends = {"start": first.location, "end": last.location}
        row: dict[str, Any] = {
            "landscape": landscape.name,
            **{n: f"({at[0]:.2f}, {at[1]:.2f})" for n, at in ends.items()},
        }
        row["pass"] = float(known[start, end]) - max(first.value, last.value)
        row |= {kind: float(path.rise[i]) for kind, path in found.items()}
        rows.append(row | {"straight": float(found["sum of losses"].straight_rise[i])})
    return pd.DataFrame(rows)


def neighbours() -> pd.DataFrame:
    """Return `heights` between Himmelblau's neighbouring minima; the column of the sum of losses is ``path``."""
    landscape = get("himmelblau")
    found = {"sum of losses": FourierPathFinder(landscape, fine=10_000).fit(*_ends(landscape, NEIGHBOURS))}
    return heights(landscape, NEIGHBOURS, found).rename(columns={"sum of losses": "path"})


def every_pair(landscape: Landscape) -> list[tuple[int, int]]:
    """Return all pairs of a landscape's minima."""
    return list(combinations(range(len(landscape.minima)), 2))
