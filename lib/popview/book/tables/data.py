"""The data dictionary: columns and metadata of the files of results, and how many files of each kind ship."""

from pathlib import Path

import pandas as pd

from popview.common.files import read_csv_table
from popview.common.folders import RESULTS
from popview.common.read_log import record


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
    """
    record(root / "manifest.csv")
    listed = pd.read_csv(root / "manifest.csv")
    folder = listed["path"].str.split("/").str[:3].str.join("/")
    found = listed.groupby(folder.rename("folder"), sort=False).agg(
        files=("path", "size"), rows=("rows", "sum"), megabytes=("bytes", "sum")
    )
    return found.assign(megabytes=found["megabytes"] / 1e6).reset_index()
