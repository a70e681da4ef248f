"""What share of a domain drains into each minimum: the reference for the rows of Table 1."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import scipy.stats
import torch

from popview.common.seeds import generator
from popview.landscapes import get
from popview.landscapes.restarts import ARRIVED
from popview.paper.table_one import COLUMNS, Protocol, against_printed


def basin_shares(
    landscapes: Iterable[str] = tuple(COLUMNS),
    *,
    restarts: int = 40_000,
    domain: tuple[tuple[float, float], ...] | None = Protocol.domain,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure the basins of attraction of the gradient flow: uniform starts, each followed to its minimum.

    Parameters
    ----------
    landscapes : iterable of str
        Keys of `popview.paper.table_one.COLUMNS`.
    restarts : int
        Starts per landscape. Of 40,000 a share has a standard error of 0.25 points at most.
    domain : tuple of (low, high), or None
        Of the starts; None for the landscape's own.
    seed : int
        Of the starts.

    Returns
    -------
    DataFrame
        One row per landscape and minimum, by Table 1's columns: ``landscape, column, share`` and its standard error
        ``error`` (both in percent), ``restarts``.

    Raises
    ------
    ArithmeticError
        If a start has not arrived at a minimum.

    Examples
    --------
    By symmetry the two local minima of the three-hump camel have equal basins:

    >>> from popview.paper.basins import basin_shares
    >>> shares = basin_shares(["three-hump-camel"], restarts=2_000).set_index("column")["share"]
    >>> list(shares.index), bool(abs(shares["LM1"] - shares["LM2"]) < 5)
    (['GM', 'LM1', 'LM2'], True)
    """
    rows = []
    for name in landscapes:
        surface = get(name)
        starts = surface.sample_starts(restarts, generator(seed, "starts"), domain)
        minimum, distance = surface.nearest(surface.polish(starts, enough=ARRIVED))
        if not bool((distance < 1e-3).all()):
            raise ArithmeticError(f"{name}: {int((distance >= 1e-3).sum())} of {restarts} starts reach no minimum")
        shares = torch.bincount(minimum, minlength=len(surface.minima)).double() / restarts
        for column, share in zip(COLUMNS[name], shares.tolist(), strict=True):
            error = 100 * np.sqrt(share * (1 - share) / restarts)
            rows.append(
                {"landscape": name, "column": column, "share": 100 * share, "error": error, "restarts": restarts}
            )
    return pd.DataFrame(rows)


def against_basins(cells: pd.DataFrame, shares: pd.DataFrame, printed_restarts: int = 500) -> pd.DataFrame:
    """Test each row of Table 1, printed and ours, against basin shares that are known: one-sample χ² tests.

    Compared is how the restarts that end at a minimum are divided over the minima. Minima whose printed cell is
    illegible are one remainder, for both rows. What the printed row counts as Else is left out; so is what a row with
    all minima legible lacks of 100 %.

    Parameters
    ----------
    cells : DataFrame
        As `popview.paper.table_one.cells` returns it.
    shares : DataFrame
        As `basin_shares` returns it: taken as exact.
    printed_restarts : int
        By which printed percentages become counts.

    Returns
    -------
    DataFrame
        Per algorithm and landscape: ``legible`` (minima compared); of the printed row and of ours
        ``printed_at_minima, ours_at_minima`` (percent of the restarts), ``printed_distance, ours_distance`` (total
        variation from the shares, in percentage points), ``printed_p, ours_p``; and ``two_sample_p``, of the printed
        row against ours, as `popview.paper.table_one.against_printed` has it.
    """
    expected = shares.set_index(["landscape", "column"])["share"]
    two = against_printed(cells, printed_restarts).set_index(["algorithm", "landscape"])["p_value"]
    rows = []
    for (algorithm, landscape), row in cells.groupby(["algorithm", "landscape"], sort=False):
        by_column = row.set_index("column")
        minima = list(COLUMNS[str(landscape)])
        printed = by_column.loc[minima, "printed"]
        legible = list(printed.dropna().index)
        elsewhere = np.nan_to_num(by_column.loc["Else", "printed"])
        at_minima = {
            "printed": printed.sum() if len(legible) == len(minima) else 100 - elsewhere,
            "ours": by_column.loc[minima, "percent"].sum(),
        }
        values = {"printed": printed[legible], "ours": by_column.loc[legible, "percent"]}
        number = {"printed": printed_restarts, "ours": int(row["restarts"].iloc[0])}
        found = {"algorithm": algorithm, "landscape": landscape, "legible": len(legible)}
        reference = expected[landscape][legible].to_numpy() / 100
        if len(legible) < len(minima):
            reference = np.append(reference, 1 - reference.sum())
        for whose, total in at_minima.items():
            parts = values[whose].to_numpy() / total
            if len(legible) < len(minima):
                parts = np.append(parts, max(0.0, 1 - parts.sum()))
            counts = np.rint(parts * total / 100 * number[whose])
            found[f"{whose}_at_minima"] = total
            found[f"{whose}_distance"] = 100 * np.abs(parts - reference).sum() / 2
            found[f"{whose}_p"] = float(scipy.stats.chisquare(counts, reference * counts.sum()).pvalue)
        rows.append(found | {"two_sample_p": two[algorithm, landscape]})
    return pd.DataFrame(rows)
