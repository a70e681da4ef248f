"""The parameters of all pages as a table: types, defaults, bounds, and what each page takes."""

from pathlib import Path

import pandas as pd

from popview.book import build
from popview.book.closing import span
from popview.common.contents import page_seconds
from popview.common.folders import ROOT


def all_parameters(root: Path = ROOT) -> pd.DataFrame:
    """Return the parameters of all pages, in the order of the contents and, within a page, of its cell.

    Parameters
    ----------
    root : Path
        The book's folder.

    Returns
    -------
    DataFrame
        One row per parameter: ``page, seconds`` (that the page takes; NaN where not measured), ``parameter, type,
        default`` (as Python writes it), ``bounds, meaning``.
    """
    seconds = page_seconds(root)
    rows = [
        {
            "page": name,
            "seconds": seconds.get(name),
            "parameter": entry.name,
            "type": entry.type,
            "default": repr(entry.default),
            "bounds": entry.bounds,
            "meaning": entry.help,
        }
        for name, chapter in build.chapters(root).items()
        for entry in build.parameters(chapter).values()
    ]
    return pd.DataFrame(rows).astype({"seconds": float})


def parameters_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `all_parameters`: each page is named once, with a link, and with what it takes."""
    again = table["page"].duplicated()
    took = table["seconds"].map(span, na_action="ignore").fillna("–")
    return pd.DataFrame(
        {
            "page": ("[" + table["page"] + "](" + table["page"] + ".ipynb)").mask(again, ""),
            "takes": took.mask(again, ""),
            "parameter": "`" + table["parameter"] + "`",
            "type": table["type"].str.replace("|", "\\|"),
            "default": "`" + table["default"] + "`",
            "bounds": table["bounds"],
            "meaning": table["meaning"].str.replace("|", "\\|"),
        }
    )
