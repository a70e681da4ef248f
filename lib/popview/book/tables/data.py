"""The data dictionary: columns and metadata of the files of results, and how many files of each kind ship."""

from pathlib import Path

import pandas as pd

from popview.common.files import read_csv_table
from popview.common.folders import RESULTS
from popview.runs.manifest import entries


def dictionary(root: Path = RESULTS) -> pd.DataFrame:
    """Read ``data/dictionary.csv``: a row per column, and per key of the metadata, of each kind of file.

    Returns
    -------
    DataFrame
        ``kind, part`` ("column" or "metadata"), ``name`` (of a key, its path; ``.*`` stands for all below it), ``type,
        unit, meaning``.
    """
    return read_csv_table(root / "dictionary.csv", ("kind", "part", "name", "type", "unit", "meaning"))


def dictionary_table(table: pd.DataFrame, kind: str, part: str) -> pd.DataFrame:
    """Lay out the columns of a kind of file, or the keys of its metadata."""
    rows = table[(table["kind"] == kind) & (table["part"] == part)]
    return pd.DataFrame(
        {
            "name": "`" + rows["name"] + "`",
            "meaning": rows["meaning"],
            "unit": rows["unit"].replace("", "–"),
            "type": rows["type"],
        }
    )


def shipped(root: Path = RESULTS) -> pd.DataFrame:
    """Count the files of results that the manifest lists, by their folder ``<experiment>/<profile>/<task>``.

    Returns
    -------
    DataFrame
        ``folder, files, rows, megabytes``.

    Raises
    ------
    UsageError
        If the manifest is damaged.
    """
    rows = [("/".join(name.split("/")[:3]), entry.rows, entry.bytes / 1e6) for name, entry in entries(root).items()]
    every = pd.DataFrame(rows, columns=["folder", "rows", "megabytes"])
    return every.groupby("folder", sort=False, as_index=False).agg(
        files=("rows", "size"), rows=("rows", "sum"), megabytes=("megabytes", "sum")
    )
