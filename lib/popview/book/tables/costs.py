"""Tables of what optimizers pay, and of what the whole design costs."""

import numpy as np
import pandas as pd

from popview.book.cells import WORD_SIGNS, setting, waits, with_interval, word, words
from popview.book.names import task_title

WITHIN = "within the margin of it"


def prices(paid: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.equal_budget.evaluations` beside the time to within the margin of the target.

    Parameters
    ----------
    paid : DataFrame
        Of each task and variant.
    times : DataFrame
        Of `popview.populations.time_to_target.times`.
    """
    near = times[times["series"] == WITHIN]
    both = paid.merge(near, on=["task", "variant", "algorithm"], validate="one_to_one")
    return pd.DataFrame(
        {
            "task": setting(both),
            "algorithm": both["algorithm"],
            "gradients": both["gradients"].map("{:,.0f}".format),
            "× SGD": both["ratio"].map("{:.2f}".format),
            "losses for acceptance": both["losses"].map("{:,.0f}".format),
            "gradients to within the margin": waits(both),
            "missed": both["missed"].astype(str) + "\u00a0of\u00a0" + both["restarts"].astype(str),
        }
    )


def _points(metric: pd.DataFrame) -> pd.Series:
    """Write `popview.populations.equal_budget.equal_budgets` of the test metric: "+0.12 [−0.02, +0.26]"."""
    return with_interval(metric, "difference", 100, "difference_")


def _factors(loss: pd.DataFrame) -> pd.Series:
    """Write `popview.populations.equal_budget.equal_budgets` of the training loss: "0.68 [0.68, 0.69]" times the
    reference's."""
    factors = 10 ** loss[["difference", "difference_low", "difference_high"]]
    return with_interval(factors, "difference", ends="difference_", form=".2f")


def equal(metric: pd.DataFrame, loss: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.equal_budget.equal_budgets` of the test metric, in points, and of the training
    loss."""
    return pd.DataFrame(
        {
            "task": setting(metric),
            "against SGD": metric["algorithm"],
            "at": metric["budget"],
            "gradients": metric["gradients"].map("{:,.0f}".format),
            "test score": _points(metric),
            "verdict": words(metric),
            "by the rule": word(metric).where(word(metric) != words(metric), ""),
            "training loss, factor": _factors(loss),
            "verdict ": words(loss),
        }
    )


def one_algorithm(metric: pd.DataFrame, loss: pd.DataFrame) -> pd.DataFrame:
    """Lay out the rows of `equal` of one algorithm at a glance: a line per task and variant."""
    parts = {budget: rows.reset_index(drop=True) for budget, rows in metric.groupby("budget")}
    ends = loss[loss["budget"] == "equal gradients"].reset_index(drop=True)
    columns = {"task": setting(parts["equal epochs"])}
    for budget, rows in parts.items():
        columns[budget] = words(rows).map(WORD_SIGNS) + "\u00a0" + _points(rows)
    return pd.DataFrame(columns | {"training loss, factor": _factors(ends)})


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.equal_budget.measuring`: the median and the highest share over the algorithms of a
    task."""
    rows = []
    for (task, variant), members in table.groupby(["task", "variant"], sort=False):
        row = {"task": f"{task_title(task)}, {variant}", "files timed": int(members["files"].sum())}
        for column, label in (("clock", "by the clock"), ("counted", "by operations")):
            known = members[members[column].notna()]
            row[f"{label}, median, %"] = 100 * known[column].median() if len(known) else np.nan
            row[f"{label}, highest"] = _highest(known, column) if len(known) else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def _highest(members: pd.DataFrame, column: str) -> str:
    row = members.loc[members[column].idxmax()]
    return f"{100 * row[column]:.1f} % ({row['algorithm']})"


def totals(bills: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.runs.costs.cost_table` of several profiles: a line per profile and task, and totals."""
    lines = []
    for profile, rows in bills.groupby("profile", sort=False):
        parts = [(task_title(str(task)), members) for task, members in rows.groupby("task", sort=False)]
        for task, members in [*parts, ("in all", rows)]:
            runs = members[members["trajectories"] > 0]
            least, most = (int(members[name].sum()) for name in ("gradients_least", "gradients"))
            lines.append(
                {
                    "profile": profile if task == parts[0][0] else "",
                    "task": task,
                    "trajectories": int(members["trajectories"].sum()),
                    "gradient evaluations": f"{most:,}" if least == most else f"{least:,} to {most:,}",
                    "FLOP": _amount(members["flops"].sum()),
                    "not training, %": 100 * (1 - members["training"].sum() / members["flops"].sum()),
                    "files": _amount(members["storage"].sum(), "B"),
                    "models kept on request": _amount(members["weights"].sum(), "B"),
                    "GPU-hours": hours(members["gpu_hours"].sum()),
                    "core-hours taken": hours(runs["core_hours"].sum(skipna=False)),
                }
            )
    return pd.DataFrame(lines)


def _amount(value: float, unit: str = "") -> str:
    """Write a quantity that a line does not break."""
    from popview.runs.costs import amount  # which imports torch

    return amount(value, unit).replace(" ", "\u00a0")


def hours(value: float) -> str:
    """Write a number of hours: "12", "0.35", "<0.01"; a dash where it is not known."""
    if np.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.2g}" if value >= 0.01 else "<0.01"


def traded(scales: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.equal_budget.scales`, and how many times the FLOPs of the scale before it each
    has."""
    above = scales.groupby("task")["flops"].shift()
    return pd.DataFrame(
        {
            "task": scales["task"].map(task_title).where(scales["task"] != scales["task"].shift(), ""),
            "profile": scales["profile"],
            "network": scales["network"],
            "trained numbers": scales["parameters"].map("{:,}".format),
            "frozen layers": scales["frozen"],
            "training examples": scales["train"].map("{:,.0f}".format),
            "batch": scales["batch_size"],
            "epochs": scales["epochs"],
            "steps": scales["steps"].map("{:,}".format),
            "FLOP": scales["flops"].map(_amount),
            "times the line above": (scales["flops"] / above).map(
                lambda ratio: "" if np.isnan(ratio) else f"{ratio:,.0f}"
            ),
        }
    )
