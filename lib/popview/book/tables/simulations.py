"""Chapter 8's tables of what the tests can say (`popview.statistics.simulations` and `popview.statistics.power`)."""

import numpy as np
import pandas as pd

from popview.book.page import number

__all__ = ["detectable", "rates", "silent"]


def rates(table: pd.DataFrame, index: str, names: str = "test") -> pd.DataFrame:
    """Lay out shares with ``rate, low, high``: a line per `index`, a column per `names`, "52.1 [51.1, 53.1]" in %."""
    cells = table.assign(cell=table.apply(_interval, axis=1))
    wide = cells.pivot(index=index, columns=names, values="cell")[list(table[names].unique())]
    return wide.rename_axis(columns=None).reset_index()


def _interval(row: pd.Series) -> str:
    return f"{100 * row['rate']:.1f} [{100 * row['low']:.1f},\u00a0{100 * row['high']:.1f}]"


def silent(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.statistics.power.silence`: a line per number of restarts."""
    wide = table.pivot(index="restarts", columns="difference", values=["not_rejected", "equivalent"])
    labels = {"not_rejected": "p > 0.05", "equivalent": "equivalence shown"}
    columns = [
        f"{labels[name]}, {'no difference' if difference == 0 else f'difference of {difference:g} SD'}, %"
        for name, difference in wide.columns
    ]
    return (100 * wide).set_axis(columns, axis=1).reset_index()


def detectable(table: pd.DataFrame, scale: float = 100.0) -> pd.DataFrame:
    """Lay out `popview.statistics.power.detectable_points`; "–" where nothing can be found."""

    def cell(value: float, factor: float) -> str:
        return "–" if np.isinf(value) else number(factor * value)

    columns = {
        "unpaired": "unpaired, SD of a value",
        "paired": "paired by seed, SD of a difference",
    }
    return pd.DataFrame(
        {"restarts": table["restarts"]}
        | {columns[name]: table[name].map(lambda value: cell(value, 1.0)) for name in columns}
        | {f"{name}, points": table[name].map(lambda value: cell(value, scale)) for name in table.columns[3:]}
    )
