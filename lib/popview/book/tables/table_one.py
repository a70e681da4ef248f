"""Chapter 4's tables: our values with their intervals, the printed ones beside them."""

import pandas as pd

from popview.book.page import number

__all__ = ["beside_printed", "preferences_table", "protocols", "row_verdicts", "symmetric_pairs"]


def beside_printed(cells: pd.DataFrame, landscape: str) -> pd.DataFrame:
    """Lay out one landscape of `popview.paper.table_one.cells`: two lines per algorithm, ours and the paper's.

    Ours reads "percent [low, high]"; the printed value is a dash where it is illegible.
    """
    chosen = cells[cells["landscape"] == landscape]
    lines = []
    for algorithm, row in chosen.groupby("algorithm", sort=False):
        by_column = row.set_index("column")
        ours = by_column.apply(lambda c: f"{c['percent']:.1f} [{c['low']:.0f}, {c['high']:.0f}]", axis=1)
        lines.append({"algorithm": algorithm, "": "ours", **ours})
        lines.append({"algorithm": "", "": "printed", **by_column["printed"].map(lambda p: number(float(p), 2))})
    return pd.DataFrame(lines)


def row_verdicts(comparison: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Lay out `popview.paper.table_one.against_printed`, with Holm's p-values in ``adjusted`` and a verdict."""
    words = comparison["adjusted"].map(lambda p: "differs" if p <= alpha else "no difference found")
    return pd.DataFrame(
        {
            "landscape": comparison["landscape"],
            "algorithm": comparison["algorithm"],
            "legible cells": comparison["legible"],
            "distance, points": comparison["distance"],
            "p": comparison["p_value"],
            "p (Holm)": comparison["adjusted"],
            "printed row": words,
        }
    )


def protocols(closest: pd.DataFrame, domains: dict[str, str]) -> pd.DataFrame:
    """Lay out `popview.paper.table_one.closest`; `domains` maps the text of a domain to its name."""
    return pd.DataFrame(
        {
            "landscape": closest["landscape"],
            "algorithm": closest["algorithm"],
            "distance, points": closest["distance"].map("{:.1f}".format),
            "gradient": closest["normalized"].map({True: "normalised", False: "raw"}),
            "step": closest["lr"].map("{:g}".format),
            "domain": closest["domain"].map(domains),
            "radius": closest["radius"].map("{:g}".format),
        }
    )


def symmetric_pairs(printed: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.paper.table_one.symmetry` of the printed table and of ours side by side, with ``adjusted``
    p-values.

    A pair of which a printed cell is illegible has a dash.
    """
    keys = ["algorithm", "pair"]
    both = ours.merge(printed, on=keys, how="left", suffixes=("", "_printed"))
    values = both.apply(lambda r: f"{r['first_printed']:g} / {r['second_printed']:g}", axis=1)
    return pd.DataFrame(
        {
            "algorithm": both["algorithm"],
            "pair": both["pair"],
            "printed, %": values.where(both["first_printed"].notna(), "–"),
            "p (Holm), printed": both["adjusted_printed"],
            "ours, %": both.apply(lambda r: f"{r['first']:.1f} / {r['second']:.1f}", axis=1),
            "p (Holm), ours": both["adjusted"],
        }
    )


def preferences_table(wells: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Lay out `popview.paper.table_one.wide_well`, with Holm's p-values in ``adjusted``, and a preference by rule."""
    found = wells["share"].gt(50).map({True: "wide", False: "narrow"}).where(wells["adjusted"] <= alpha, "none found")

    def interval(row: pd.Series) -> str:
        return f"{row['share']:.1f} [{row['low']:.1f},\u00a0{row['high']:.1f}]"

    return pd.DataFrame(
        {
            "dimensions": wells["dimension"],
            "narrow well": wells["depth"].map(lambda depth: "equal" if depth == 0 else f"{depth:g} higher"),
            "algorithm": wells["algorithm"],
            "noise, times a restart": wells["noise_triggers"],
            "wide": wells["wide"],
            "narrow": wells["narrow"],
            "at the saddle (from wide, from narrow)": wells.apply(
                lambda r: f"{r['saddle']} ({r['saddle_wide']:.0f}, {r['saddle_narrow']:.0f})", axis=1
            ),
            "wide of wide + narrow, %": wells.apply(interval, axis=1),
            "p (Holm)": wells["adjusted"],
            "preference": found,
        }
    )
