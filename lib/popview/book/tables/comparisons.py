"""Comparisons of populations as a reader wants them.

Every table may hold several tasks and variants. One without rows, since nothing has been run, is shown as such.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from popview.book.cells import across, setting, sign, task_title, waits, with_interval, word
from popview.book.page import MINUS
from popview.populations.outcomes import OUTCOMES
from popview.runs import profiles
from popview.runs.flops import run_sizes
from popview.statistics.power import deviations, equivalence_power
from popview.tasks.catalogue import ACCURACY, RECORDS

__all__ = [
    "confirmed",
    "coverage_table",
    "deeds",
    "designs",
    "outcomes",
    "power_table",
    "repeats",
    "scatter",
    "square",
    "squares",
    "times_table",
    "verdict_grid",
    "verdicts_by_outcome",
    "write_hyperparameters",
]


def coverage_table(coverage: pd.DataFrame) -> pd.DataFrame:
    """Lay out the coverage of `popview.populations.tables.gather`: tasks down, variants across."""

    def words(row: pd.Series) -> str:
        if row["state"] == "complete":
            return f"{row['restarts']} restarts an algorithm"
        if row["whole"]:
            return f"{row['restarts']} restarts of {row['whole']} of {row['algorithms']} algorithms"
        return f"{row['present']} of {row['files']} files" if row["present"] else row["state"]

    table = coverage.assign(words=coverage.apply(words, axis=1))
    wide = table.pivot(index="task", columns="variant", values="words")
    wide = wide.loc[coverage["task"].unique(), coverage["variant"].unique()].reset_index().rename_axis(columns=None)
    return wide.assign(task=wide["task"].map(task_title))


def deeds(
    records: pd.DataFrame,
    apart: Mapping[tuple[str, str], pd.Series],
    distinct: Mapping[tuple[str, str], pd.Series],
) -> pd.DataFrame:
    """Lay out stacked `popview.populations.tables.records`: means over restarts, and when each algorithm parted from
    SGD.

    Parameters
    ----------
    records : DataFrame
    apart, distinct : mapping of (task, variant) to Series
        As `popview.populations.tables.parting` and `popview.populations.tables.distinct` return them.
    """
    keys = ["task", "variant", "algorithm"]
    table = records.groupby(keys, sort=False).mean(numeric_only=True).reset_index()
    parted, different = (
        [of[row.task, row.variant][row.algorithm] for row in table.itertuples()] for of in (apart, distinct)
    )
    own = table["algorithm"] == "SGD"
    return pd.DataFrame(
        {
            "task": setting(table),
            "algorithm": table["algorithm"],
            "gradients": table["gradient_evaluations"].map("{:,.0f}".format),
            "losses": table["loss_evaluations"],
            "noise": table["noise_triggers"],
            "hops": table["hops_tried"],
            "accepted": table["hops_accepted"],
            "parted": pd.Series(parted)
            .map(lambda epoch: "never" if np.isinf(epoch) else f"{epoch:.1f}")
            .mask(own, "–"),
            "models": different,
            "diverged": records.groupby(keys, sort=False)["diverged"].sum().to_numpy(),
        }
    )


def write_hyperparameters(hyperparameters: Mapping[str, Any]) -> str:
    """Write hyperparameters as "lr = 0.1, momentum = 0.9"."""
    return ", ".join(
        f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}"
        for name, value in hyperparameters.items()
    )


def designs(comparison: pd.DataFrame, values: dict[tuple[str, str], pd.DataFrame], profile: str) -> pd.DataFrame:
    """Lay out what the comparisons with SGD rest on: restarts, pairing, margin, and the sampling error of the test set.

    The margin is also given in standard deviations of the difference of two restarts that share a seed, divided by √2,
    with how often equal optimizers so scattered are shown to be equivalent: medians over algorithms. The sampling error
    is that of SGD's accuracy on so many test examples; none is given for macro-F1.

    Parameters
    ----------
    comparison : DataFrame
        Of `popview.populations.comparisons.against_reference`.
    values : mapping of (task, variant) to DataFrame
        The values that were compared: rows: seeds; columns: algorithms.
    profile : str
    """
    rows = []
    for (task, variant), members in comparison.groupby(["task", "variant"], sort=False):
        metric, examples = RECORDS[task].metric, run_sizes(task, profiles.settings(profile, task)["model"]).test
        mean = float(values[task, variant]["SGD"].mean())
        restarts = int(members["restarts"].min())
        spread = deviations(values[task, variant])[1] / np.sqrt(2)
        wide = members["margin"].iloc[0] / spread if spread else np.inf
        rows.append(
            {
                "task": f"{task_title(task)}, {variant}",
                "restarts": ", ".join(map(str, members["restarts"].unique())),
                "tests": ", ".join(members["test"].unique()),
                "metric": metric,
                "SGD, points": 100 * mean,
                "margin, points": f"±{100 * members['margin'].iloc[0]:g}",
                "in SDs": f"{wide:.1f}" if np.isfinite(wide) else "–",
                "shown if equal, %": f"{100 * equivalence_power(restarts, wide):.0f}" if np.isfinite(wide) else "–",
                "sampling error of the test set, points": 100 * np.sqrt(mean * (1 - mean) / examples)
                if metric == ACCURACY
                else np.nan,
            }
        )
    return pd.DataFrame(rows)


def outcomes(comparison: pd.DataFrame, scale: float = 100.0) -> pd.DataFrame:
    """Lay out `popview.populations.comparisons.against`: what was found. Effects are multiplied by `scale` (100:
    points)."""
    return pd.DataFrame(
        {
            "task": setting(comparison),
            "comparison": comparison["comparison"],
            "verdict": word(comparison),
            "difference of means": with_interval(comparison, "difference", scale, ends="difference_"),
            "A₁₂": with_interval(comparison, "a12", ends="a12_", form=".2f"),
            "p": comparison["p"],
            "p (Holm)": comparison["adjusted_p"],
            "p (TOST)": comparison["equivalence_p"],
        }
    )


def power_table(comparison: pd.DataFrame, clusters: pd.DataFrame, scale: float = 100.0) -> pd.DataFrame:
    """Lay out `popview.populations.comparisons.against`: what could have been found; and
    `popview.populations.pooled.clustering`."""
    keys = ["task", "variant"]
    named = clusters.rename(columns={"algorithm": "a", "low": "icc_low", "high": "icc_high"})
    rows = comparison.merge(named, on=[*keys, "a"], validate="one_to_one")
    return pd.DataFrame(
        {
            "task": setting(rows),
            "comparison": rows["comparison"],
            "restarts": rows["restarts"],
            "test": rows["test"],
            "least p (Holm)": rows["smallest_adjusted_p"],
            "detectable, points": (scale * rows["detectable"]).map("{:.2f}".format).str.replace("inf", "∞"),
            "r by seed": rows["correlation"],
            "ICC of the first": with_interval(rows, "icc", ends="icc_", form=".2f"),
            "its models": rows["models"],
            "worth": rows["effective"].map("{:.0f}".format),
        }
    )


def times_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.time_to_target.times`: one line per algorithm, both levels."""
    parts = []
    for series, rows in table.groupby("series", sort=False):
        missed = rows["missed"].astype(str) + " of " + rows["restarts"].astype(str)
        parts.append(pd.DataFrame({f"{series}: gradients": waits(rows), "missed": missed}).reset_index(drop=True))
    first = table[table["series"] == table["series"].iloc[0]].reset_index(drop=True)
    start = pd.DataFrame({"task": setting(first), "algorithm": first["algorithm"]})
    return pd.concat([start, *parts], axis=1)


def verdict_grid(comparison: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.comparisons.against` at a glance: comparisons down, tasks and variants across; sign
    and points.

    The first lines are what each column rests on: restarts, margin, and the differences to SGD found 4 times in 5.
    """
    points = (100 * comparison["difference"]).map("{:+.2f}".format).str.replace("-", MINUS)
    table = comparison.assign(cell=sign(comparison) + "\u00a0" + points)
    columns = {}
    for key, rows in table.groupby(["task", "variant"], sort=False):
        found = 100 * rows.loc[rows["b"] == "SGD", "detectable"].agg(["min", "max"])
        least, most = (f"{end:.2f}".replace("inf", "∞") for end in found)
        columns[key] = {
            "restarts": ", ".join(map(str, rows["restarts"].unique())),
            "margin": f"±{100 * rows['margin'].iloc[0]:g}",
            "differences to SGD found 4 times in 5": f"{least} to {most}",
            **dict(zip(rows["comparison"], rows["cell"], strict=True)),
        }
    return across(columns)


def repeats(comparison: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.comparisons.repeated`: sign and points by the first restarts, by the later ones, and
    by all."""
    cells = sign(comparison) + "\u00a0" + with_interval(comparison, "difference", 100.0, ends="difference_")
    parts = {part: rows.reset_index(drop=True) for part, rows in comparison.assign(cell=cells).groupby("part")}
    first, later, everything = (parts[part] for part in ("first", "later", "all"))
    return pd.DataFrame(
        {
            "task": setting(first),
            "comparison": first["comparison"],
            "restarts": first["restarts"].astype(str) + " + " + later["restarts"].astype(str),
            "the first": first["cell"],
            "the later": later["cell"],
            "later − first": with_interval(first, "change", 100.0, ends="change_"),
            "all": everything["cell"],
        }
    )


def confirmed(comparison: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.confirmation.confirm`, of several tasks."""
    points = {name: 100 * comparison[name] for name in ("margin", "smallest_margin", "detectable")}
    return pd.DataFrame(
        {
            "task": comparison["task"].map(task_title),
            "family": comparison["family"],
            "comparison": comparison["a"] + " – " + comparison["b"],
            "restarts": comparison["restarts"],
            "look": comparison["look"].astype(str) + " of " + comparison["looks"].astype(str),
            "verdict": comparison["verdict"],
            "difference": with_interval(comparison, "difference", 100.0),
            "p": comparison["p"],
            "p (TOST)": comparison["equivalence_p"],
            "margin": points["margin"].map("±{:g}".format),
            "equivalent within": points["smallest_margin"].map("±{:.2f}".format),
            "found 4 times in 5": points["detectable"].map("{:.2f}".format),
        }
    )


def scatter(spread: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.confirmation.schedule_spreads`, of several tasks."""
    columns: dict[str, Any] = {"task": spread["task"].map(task_title), "algorithm": spread["algorithm"]}
    for kind in ("constant", "annealed"):
        mean, deviation = (100 * spread[f"{kind}_{what}"] for what in ("mean", "sd"))
        columns[f"{kind}: mean ± SD"] = mean.map("{:.2f}".format) + " ± " + deviation.map("{:.2f}".format)
        columns[f"{kind}: restarts"] = spread[f"{kind}_restarts"]
        found = (100 * spread[f"{kind}_detectable"]).map("{:.2f}".format)
        columns[f"{kind}: found 4 times in 5"] = found.mask(spread[f"{kind}_detectable"].isna(), "–")
    return pd.DataFrame(columns)


def verdicts_by_outcome(comparison: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.outcomes.against_by_outcome`: one line per comparison, a column per outcome."""
    cells = sign(comparison) + "\u00a0" + (100 * comparison["difference"]).map("{:+.2f}".format)
    table = comparison.assign(cell=cells.str.replace("-", MINUS))
    keys = ["task", "variant", "comparison"]
    wide = table.pivot(index=keys, columns="outcome", values="cell")
    order = pd.MultiIndex.from_frame(table[keys].drop_duplicates())
    wide = wide.loc[order, [name for name in OUTCOMES if name in wide]]
    rows = wide.fillna("–").reset_index()
    return rows.assign(task=setting(rows)).drop(columns="variant")


def squares(pairs: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.comparisons.all_pairs`: a `square` for each task and variant, one under the
    other."""
    frames = []
    for (task, variant), rows in pairs.groupby(["task", "variant"], sort=False):
        names = list(pd.concat([rows["a"], rows["b"]]).unique())
        frame = square(rows, names)
        frame.insert(0, "task", [f"{task_title(task)}, {variant}"] + [""] * (len(frame) - 1))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True).fillna("")


def square(comparison: pd.DataFrame, algorithms: Sequence[str]) -> pd.DataFrame:
    """Lay out the verdicts of all pairs as a square of signs: the row against the column."""
    mirrored = str.maketrans("▲▼△▽", "▼▲▽△")
    table = pd.DataFrame("", index=list(algorithms), columns=list(algorithms))
    for a, b, shown in zip(comparison["a"], comparison["b"], sign(comparison), strict=True):
        table.loc[a, b], table.loc[b, a] = shown, shown.translate(mirrored)
    return table.reset_index(names="")
