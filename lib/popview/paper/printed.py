"""The tables that the paper printed, as far as they can be read.

Source: arXiv 2403.00574, in the only text at hand, which is the output of a character reader (OCR). A cell that it
damaged is marked in the column ``legible``: ``no`` or ``partial``, and the column ``note`` says what can be read. Such
a cell is left empty, never guessed, unless the damage leaves no doubt (a comma read as a point). Tables 2b, 3b, 5a and
5b are missing altogether. In Table 1 the paper heads two columns of the six-hump camel GM1: they are GM1 and GM2 here;
and its three-hump camel's ``LM -`` is LM1. Misprints are transcribed as they stand, and noted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor, isnan
from pathlib import Path

import pandas

from popview.common import read_log
from popview.common.errors import UsageError, check_name
from popview.common.files import read_csv_table
from popview.common.folders import PAPER

NUMBERS = frozenset({"percent", "p_value", "median", "standard_deviation"})


@dataclass(frozen=True)
class PublishedTable:
    """A printed table: its number, what it shows (in our words), and the file that holds it, if any text does.

    Examples
    --------
    >>> from popview.paper.printed import TABLES
    >>> TABLES["1"].file, TABLES["2b"].file
    ('table-1.csv', None)
    """

    number: str
    caption: str
    available: bool = True

    @property
    def file(self) -> str | None:
        """Name of the table's file in ``data/paper``, or None where the table is missing from the text."""
        return f"table-{self.number}.csv" if self.available else None


TABLES: dict[str, PublishedTable] = {
    entry.number: entry
    for entry in (
        PublishedTable("1", "Share of end points at each minimum of three landscapes, in percent, by algorithm"),
        PublishedTable("2a", "Mann-Whitney U, SetA against SetB on the test metric, tuned algorithms"),
        PublishedTable("2b", "Mann-Whitney U, SetA against SetB on the test metric, base algorithms", False),
        PublishedTable("3a", "t-test, SetA against SetB on the test metric, tuned algorithms"),
        PublishedTable("3b", "t-test, SetA against SetB on the test metric, base algorithms", False),
        PublishedTable("4", "Median and median standard deviation of the test metric in SetA and SetB"),
        PublishedTable("5a", "Mann-Whitney U, SetA against SetB on the training loss", False),
        PublishedTable("5b", "t-test, SetA against SetB on the training loss", False),
        PublishedTable("6", "Mann-Whitney U between the SetA of two algorithms on the test metric"),
    )
}


def printed_table(number: str, directory: Path | None = None) -> pandas.DataFrame:
    """Read a printed table in long format, one row per cell.

    Parameters
    ----------
    number : str
        A key of `TABLES`, such as ``"1"`` or ``"2a"``.
    directory : Path, optional
        Where the files lie; by default ``data/paper``.

    Returns
    -------
    pandas.DataFrame
        Numbers are floats, NaN where illegible; ``legible`` is ``yes``, ``partial`` or ``no``; ``note`` may be empty.

    Raises
    ------
    UsageError
        If there is no such table, the text at hand lacks it, or its file is not there.
    """
    check_name("table", number, TABLES)
    name = TABLES[number].file
    if name is None:
        raise UsageError(f"Table {number} is missing from the only text at hand")
    path = (directory or PAPER) / name
    if not path.is_file():
        read_log.record(path)
        raise UsageError(f"Table {number} should be at {path}, where there is no file")
    return read_csv_table(path, ("legible", "note"), NUMBERS)


def fits(percents: Iterable[float], population: int) -> bool:
    """Tell whether every percentage can be a whole number of `population` members, as printed.

    A percentage counts as rounded to its own last printed place, halves either way: 16.4 stands for 16.35 to 16.45,
    both included. A float cannot show a dropped trailing zero (4.5 for 4.50), which only makes the test more lenient,
    so a False is safe. NaN (an illegible cell) is passed over.
    """
    for percent in percents:
        if isnan(percent):
            continue
        printed = Decimal(str(percent)).normalize()
        half = Decimal(5).scaleb(min(int(printed.as_tuple().exponent), 0) - 1)
        if ceil((printed - half) * population / 100) > floor((printed + half) * population / 100):
            return False
    return True


def printed_losses() -> pandas.DataFrame:
    """Return the losses that Yu and Morozov print: ``network, stage, algorithm, split, printed`` (means of 48)."""
    return _printed("yu-losses.csv")


def printed_deviations() -> pandas.DataFrame:
    """Return the standard deviations of weights that Yu and Morozov print: ``network, stage, algorithm, printed``."""
    return _printed("yu-deviations.csv")


def _printed(name: str) -> pandas.DataFrame:
    return read_csv_table(PAPER / name, ("network", "stage", "algorithm", "printed"), ("printed",))
