"""What has been run: restarts done and to come, and the last values of each restart."""

from collections.abc import Mapping

import pandas as pd

from popview.book.names import task_title
from popview.book.page import number


def inventory_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.runs.status.inventory`: a line per task and variant, and which algorithms lack restarts."""
    lines = []
    for (task, variant), group in rows.groupby(["task", "variant"], sort=False):
        lacking = group[group["done"] < group["wanted"]]
        counts = [f"{row.algorithm} {row.wanted - row.done}" for row in lacking.itertuples()]
        untouched = len(lacking) == len(group) and not group["done"].any()
        lines.append(
            {
                "task": task_title(str(task)),
                "settings": variant,
                **group[["wanted", "done"]].sum(),
                "to come": "all" if untouched else ", ".join(counts) or "–",
                "of them begun": group[["running", "half_done"]].sum().sum(),
                **group[["diverged", "damaged"]].sum(),
                "core-hours": number(float(group["core_hours"].sum()), 2),
            }
        )
    return pd.DataFrame(lines)


def to_come_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.runs.to_come.hours_to_come`, of several tasks: a line per task and kind of run, and the sum."""
    lines = [
        {
            "task": task_title(str(task)),
            "runs": str(variant),
            "restarts to come": ", ".join(f"{row.algorithm} {row.restarts}" for row in group.itertuples()),
            "core-hours": _span(group, ".1f"),
            "command": f"`{group['command'].iloc[0]}`",
        }
        for (task, variant), group in rows.groupby(["task", "variant"], sort=False)
    ]
    return pd.DataFrame([*lines, {"task": "in all", "core-hours": _span(rows, ".0f")}]).fillna("")


def _span(rows: pd.DataFrame, form: str) -> str:
    """Write the core-hours at the fastest pace and at the algorithms' own."""
    ends = [format(rows[name].sum(skipna=False), form) for name in ("least_hours", "core_hours")]
    return "≈ " + " to ".join(dict.fromkeys(ends))


def finals(values: Mapping[tuple[str, str], pd.DataFrame], scale: float = 100.0) -> pd.DataFrame:
    """Lay out one value per restart: a line per task and algorithm, "mean ± SD [lowest, highest]" for each variant.

    Parameters
    ----------
    values : mapping of (task, variant) to DataFrame
        Rows: seeds; columns: algorithms. Multiplied by `scale`.
    """
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for (task, variant), frame in values.items():
        for algorithm, column in (scale * frame).items():
            spread = f"[{column.min():.2f},\u00a0{column.max():.2f}]"
            words = f"{column.mean():.2f} ± {column.std():.2f} {spread}"
            lines.setdefault((task, str(algorithm)), {})[variant] = words
    columns = {variant: [words.get(variant, "–") for words in lines.values()] for _, variant in values}
    tasks = pd.Series([task_title(task) for task, _ in lines], dtype=str)
    first = {"task": tasks.where(tasks != tasks.shift(), ""), "algorithm": [name for _, name in lines]}
    return pd.DataFrame(first | columns)


def sets_table(coverage: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.runs.solutions.load.solutions_coverage`: which sets there are, by network and kind, and in
    all."""
    rows = []
    kinds = [((titles[n], kind), found) for (n, kind), found in coverage.groupby(["network", "kind"], sort=False)]
    for (network, kind), found in [*kinds, (("in all", ""), coverage)]:
        whole = found["done"] == found["wanted"]
        rows.append(
            {
                "network": network,
                "what": {"products": "inner products"}.get(kind, kind),
                "sets": f"{int(whole.sum())} of {len(whole)}",
                "core-minutes": found["seconds"].sum() / 60,
                "not there yet": ", ".join(sorted(set(found.loc[~whole, "algorithm"]))) or "–",
            }
        )
    return pd.DataFrame(rows)
