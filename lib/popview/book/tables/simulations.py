"""Tables of what the tests can say (`popview.statistics.simulations` and `popview.statistics.power`)."""

import numpy as np
import pandas as pd

from popview.book.cells import with_interval
from popview.book.names import task_title, with_variant


def rates(table: pd.DataFrame, index: str, names: str = "test") -> pd.DataFrame:
    """Lay out shares with ``rate, low, high``: a line per `index`, a column per `names`, "52.1 [51.1, 53.1]" in %."""
    cells = table.assign(cell=with_interval(table, "rate", 100.0, form=".1f"))
    wide = cells.pivot(index=index, columns=names, values="cell")[list(table[names].unique())]
    return wide.rename_axis(columns=None).reset_index()


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
    """Lay out `popview.statistics.power.detectable_points` as "unpaired / paired"; "–" where nothing can be found.

    In standard deviations first, then in points of each task.
    """

    def cells(name: str, factor: float) -> pd.Series:
        one, other = (
            table[column].map(lambda value: "–" if np.isinf(value) else f"{factor * value:.1f}")
            for column in ((f"{name}, unpaired", f"{name}, paired") if name else ("unpaired", "paired"))
        )
        return one + " / " + other

    tasks = [column.removesuffix(", unpaired") for column in table.columns if column.endswith(", unpaired")]
    columns = {"SD": cells("", 1.0)} | {task_title(task): cells(task, scale) for task in tasks}
    return pd.DataFrame({"runs each": table["restarts"]} | columns)


def lucky(spread: pd.DataFrame) -> pd.DataFrame:
    """Lay out how restarts scatter, and how independent errors would: a line per task and variant, in points."""
    limit = spread["variant"].eq("base").map({True: "at most ", False: ""})
    share = limit + with_interval(spread, "share", 100, "share_", ".0f")
    return pd.DataFrame(
        {
            "task": [with_variant(*row) for row in spread[["task", "variant"]].to_numpy()],
            "restarts": spread["restarts"].astype(int),
            "test examples": spread["examples"].astype(int),
            "SD": with_interval(spread, "sd", 100, "sd_", ".2f"),
            "SD, independent errors": limit + spread["independent"].map(lambda value: f"{100 * value:.2f}"),
            "share, %": share.mask(spread["independent"] >= spread["sd"], "no bound"),
        }
    )


def chance_sources(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.variance_sources.variance_by_source`, of several tasks, in points and in %."""
    return pd.DataFrame(
        {
            "task": table["task"].map(task_title),
            "drawn by the seed": table["source"],
            "restarts": table["restarts"],
            "SD": table["sd"].map(lambda value: f"{100 * value:.2f}"),
            "variance, % of all": with_interval(table, "share", 100, "share_", ".0f").str.removesuffix(" [–,\u00a0–]"),
        }
    )
