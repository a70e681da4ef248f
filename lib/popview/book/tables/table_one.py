"""Tables of the test functions: their minima, Table 1 of the paper beside ours, and tests of both."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from popview.book import cells as cell_words
from popview.book.names import landscape_title
from popview.book.page import p_value, signed, written
from popview.landscapes import Landscape


def minima(landscapes: Iterable[Landscape], labels: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Tabulate all minima: place, value, eigenvalues and trace of the Hessian, and escape barrier, in numbers.

    Parameters
    ----------
    landscapes : iterable of Landscape
    labels : mapping of landscape name to sequence of str
        Names of its minima, in the order of `Landscape.minima`.
    """
    return pd.DataFrame(
        {
            "landscape": landscape_title(landscape.name),
            "minimum": label,
            "at": signed(f"({', '.join(f'{x:.2f}' for x in m.location)})"),
            "value": written(m.value, ".3f"),
            "eigenvalues of the Hessian": f"{m.eigenvalues[0]:.1f}, {m.eigenvalues[-1]:.1f}",
            "trace": f"{m.trace:.1f}",
            "escape barrier": f"{m.barrier:.3g}",
        }
        for landscape in landscapes
        for label, m in zip(labels[landscape.name], landscape.minima, strict=True)
    )


def beside_printed(cells: pd.DataFrame, landscape: str) -> pd.DataFrame:
    """Lay out one landscape of `popview.paper.table_one.cells`: two lines per algorithm, ours and the paper's.

    Ours reads "percent [low, high]"; the printed value, as printed, is a dash where it is illegible. The column of
    diverged restarts is left out where there are none.
    """
    chosen = cells[cells["landscape"] == landscape]
    empty = chosen.groupby("column")["count"].sum().eq(0)
    if empty.get("Diverged", False):
        chosen = chosen[chosen["column"] != "Diverged"]
    lines = []
    for algorithm, row in chosen.groupby("algorithm", sort=False):
        by_column = row.set_index("column")
        ours = by_column.apply(lambda c: f"{c['percent']:.1f} [{c['low']:.0f}, {c['high']:.0f}]", axis=1)
        lines.append({"algorithm": algorithm, "whose": "ours", **ours})
        printed = by_column["printed"].map(lambda p: f"{p:g}" if pd.notna(p) else "–")
        lines.append({"algorithm": "", "whose": "printed", **printed})
    return pd.DataFrame(lines)


def against_shares(tests: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Lay out `popview.paper.basins.against_basins`, with Holm's p-values in ``printed_adjusted, two_sample_adjusted``.

    A row differs where Holm's p of its one-sample test is at most `alpha`.
    """
    words = tests["printed_adjusted"].map(lambda p: "differs" if p <= alpha else "no difference found")
    return pd.DataFrame(
        {
            "landscape": tests["landscape"].map(landscape_title),
            "algorithm": tests["algorithm"],
            "legible cells": tests["legible"],
            "printed, distance": tests["printed_distance"].map("{:.1f}".format),
            "ours, distance": tests["ours_distance"].map("{:.1f}".format),
            "printed, p (Holm)": tests["printed_adjusted"].map(p_value),
            "ours, p": tests["ours_p"].map(p_value),
            "printed against ours, p (Holm)": tests["two_sample_adjusted"].map(p_value),
            "printed row": words,
        }
    )


def protocols(closest: pd.DataFrame, domains: dict[str, str]) -> pd.DataFrame:
    """Lay out `popview.paper.table_one.closest`; `domains` maps the text of a domain to its name."""
    return pd.DataFrame(
        {
            "landscape": closest["landscape"].map(landscape_title),
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
            "printed, p (Holm)": both["adjusted_printed"].map(p_value),
            "ours, %": both.apply(lambda r: f"{r['first']:.1f} / {r['second']:.1f}", axis=1),
            "ours, p (Holm)": both["adjusted"].map(p_value),
        }
    )


def preferences_table(wells: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.paper.table_one.preferences`."""
    moved = wells["to_wide"].astype(str) + " / " + wells["to_narrow"].astype(str)
    return pd.DataFrame(
        {
            "dimensions": wells["dimension"],
            "narrow well": wells["depth"].map(lambda depth: "equally deep" if depth == 0 else f"{depth:g} higher"),
            "algorithm": wells["algorithm"],
            "wide": wells["wide"],
            "saddle": wells["saddle"],
            "narrow": wells["narrow"],
            "wide of wide + narrow, %": cell_words.with_interval(wells, "share", form=".1f"),
            "p (Holm)": wells["adjusted"].map(p_value),
            "moved to wide / to narrow": moved.where(wells["algorithm"] != "GD", "–"),
            "moved, p (Holm)": wells["paired_adjusted"].map(p_value),
            "noise, times a restart": wells["noise_triggers"].map(lambda times: f"{times:.3g}"),
        }
    )
