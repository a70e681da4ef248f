"""Comparisons of populations as a reader wants them.

Every table may hold several tasks and variants. One without rows, since nothing has been run, is shown as such.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from popview.book.cells import WORD_SIGNS, interval, setting, waits, with_interval, without_interval, word, words
from popview.book.names import task_title
from popview.book.page import p_value
from popview.populations.comparisons import ALPHA
from popview.populations.outcomes import OUTCOMES


def deeds(
    records: pd.DataFrame, apart: Mapping[tuple[str, str], pd.Series], distinct: Mapping[tuple[str, str], pd.Series]
) -> pd.DataFrame:
    """Lay out stacked `popview.populations.tables.records`: means over restarts, and when each algorithm parted from
    SGD.

    Parameters
    ----------
    records : DataFrame
    apart, distinct : mapping of (task, variant) to Series
        As `popview.populations.checkpoints.parting` and `popview.populations.checkpoints.distinct` return them.
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


def designs(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.margins.design_strengths`."""
    shown, wide = (100 * table["shown"]).map("{:.0f}".format), table["standardised"].map("{:.1f}".format)
    return pd.DataFrame(
        {
            "task": table["task"].map(task_title) + ", " + table["variant"],
            "restarts": table["restarts"],
            "tests": table["tests"],
            "metric": table["metric"],
            "SGD, points": 100 * table["mean"],
            "margin, points": (100 * table["margin"]).map("±{:g}".format),
            "in SDs of a difference ÷ √2": wide.where(np.isfinite(table["standardised"]), "–"),
            "shown if equal, %": shown.where(np.isfinite(table["standardised"]), "–"),
            "sampling error of the test set, points": 100 * table["sampling_error"],
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


def repeats(comparison: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.comparisons.repeated`: sign and points by the first restarts, by the later ones, and
    by all."""
    signs = words(comparison).map(WORD_SIGNS) + "\u00a0"
    cells = signs + with_interval(comparison, "difference", 100.0, ends="difference_")
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


def verdicts_by_outcome(comparison: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.outcomes.against_by_outcome`: one line per comparison, a column per outcome."""
    cells = words(comparison).map(WORD_SIGNS) + "\u00a0" + without_interval(comparison["difference"], 100.0)
    table = comparison.assign(cell=cells)
    keys = ["task", "variant", "comparison"]
    wide = table.pivot(index=keys, columns="outcome", values="cell")
    order = pd.MultiIndex.from_frame(table[keys].drop_duplicates())
    wide = wide.loc[order, [name for name in OUTCOMES if name in wide]]
    rows = wide.fillna("–").reset_index()
    return rows.assign(task=setting(rows)).drop(columns="variant")


def outcomes(comparison: pd.DataFrame, late: pd.DataFrame | None = None) -> pd.DataFrame:
    """Lay out `popview.populations.comparisons.against`: what was found, in points; the verdict in the words of pages,
    then in the rule's own where these are finer.

    Parameters
    ----------
    comparison : DataFrame
    late : DataFrame, optional
        What `popview.populations.unfinished.unfinished` says of each ``task, variant, algorithm``. Where some restarts
        have left the plateau and others not, no restart is near the mean, and the table says how many have.
    """
    rule = word(comparison)
    apart = with_interval(comparison, "difference", 100.0, ends="difference_")
    if late is not None and len(late):
        parted = late[(late["left"] > 0) & (late["left"] < late["restarts"])]
        told = {(r.task, r.variant, r.algorithm): f" ({r.left} of {r.restarts} learned)" for r in parted.itertuples()}
        apart += [told.get(key, "") for key in comparison[["task", "variant", "a"]].itertuples(index=False, name=None)]
    return pd.DataFrame(
        {
            "task": setting(comparison),
            "comparison": comparison["comparison"],
            "verdict": words(comparison).map(WORD_SIGNS) + "\u00a0" + words(comparison),
            "by the rule": rule.where(rule != words(comparison), ""),
            "difference": apart,
            "A₁₂": with_interval(comparison, "a12", ends="a12_", form=".2f"),
            "p": comparison["p"].map(p_value),
            "p (Holm)": comparison["adjusted_p"].map(p_value),
            "p (TOST)": comparison["equivalence_p"].map(p_value),
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
            "least p (Holm)": rows["smallest_adjusted_p"].map(p_value),
            "detectable, points": (scale * rows["detectable"]).map("{:.2f}".format).str.replace("inf", "∞"),
            "r by seed": without_interval(rows["correlation"], form=".2f"),
            "ICC of the first": with_interval(rows, "icc", ends="icc_", form=".2f"),
            "its models": rows["models"],
            "worth": rows["effective"].map("{:.0f}".format),
        }
    )


def missed(found: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.over_tasks.detectable_summary`: which differences would have been missed."""
    least, most = (
        (100 * found[end]).map("{:.1f}".format).str.replace("inf", "∞") + " (" + found[f"{end}_of"] + ")"
        for end in ("least", "most")
    )
    return pd.DataFrame(
        {
            "task": setting(found),
            "margin, points": (100 * found["margin"]).map("±{:g}".format),
            "smallest difference found, points": least + " to " + most,
            "fine enough for the margin": found["below_margin"].astype(str) + " of " + found["comparisons"].astype(str),
        }
    )


def over_tasks(means: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.over_tasks.mean_over_tasks`: a line per comparison, in points and in margins."""
    keys = ["variant", "a", "b"]
    both = means[means["unit"] == "metric"].merge(means[means["unit"] == "margin"], on=keys, suffixes=("", "_margins"))
    margins = both.filter(like="_margins")
    return pd.DataFrame(
        {
            "settings": both["variant"].where(both["variant"] != both["variant"].shift(), ""),
            "comparison": both["a"] + " – " + both["b"],
            "tasks": both["tasks"],
            "mean, points": with_interval(both, scale=100),
            "mean, margins": with_interval(margins.rename(columns=lambda name: name.removesuffix("_margins"))),
            "between tasks, SD": (100 * both["between"]).map("{:.2f}".format),
            "I², %": (100 * both["inconsistency"]).map("{:.0f}".format),
            "unfinished": both["unfinished"],
        }
    )


def by_margin(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.margins.verdicts_by_margin`: a line per comparison, a sign per multiple."""
    keys = ["task", "variant", "a"]
    cells = verdicts.assign(cell=words(verdicts).map(WORD_SIGNS))
    wide = cells.pivot(index=keys, columns="factor", values="cell")
    order = verdicts.drop_duplicates(keys)
    wide = wide.loc[pd.MultiIndex.from_frame(order[keys])].reset_index()
    points = (100 * order["smallest_margin"]).map("{:.2f}".format).to_numpy()
    signs = {f"{factor:g} × margin": wide[factor] for factor in sorted(verdicts["factor"].unique())}
    return pd.DataFrame({"task": setting(wide), "algorithm": wide["a"], **signs, "same within ±": points})


def pair_counts(pairs: pd.DataFrame, pooled: dict[tuple[str, str], Mapping[str, Any]]) -> pd.DataFrame:
    """Count the verdicts of `popview.populations.comparisons.all_pairs`, for each task and variant.

    Parameters
    ----------
    pairs : DataFrame
    pooled : mapping of (task, variant) to mapping
        What `popview.populations.pooled.tally` says of the paper's test on pooled models.
    """
    rows = []
    for key, members in pairs.groupby(["task", "variant"], sort=False):
        said, least = words(members).value_counts(), members["smallest_adjusted_p"].min()
        differ = str(said.get("better", 0) + said.get("worse", 0)) if least <= ALPHA else "–"
        rows.append(
            {
                "task": f"{task_title(str(key[0]))}, {key[1]}",
                "pairs": len(members),
                "pooled models: p ≤ 0.05": pooled[str(key[0]), str(key[1])]["rejected"],
                "restarts: p ≤ 0.05": int((members["p"] <= ALPHA).sum()),
                "differ (Holm)": differ,
                "= same": int(said.get("same within the margin", 0)),
                "? too few": int(said.get("too few runs to tell", 0)),
                "least p (Holm)": p_value(least),
            }
        )
    return pd.DataFrame(rows)


def unfinished_table(late: pd.DataFrame) -> pd.DataFrame:
    """Lay out the algorithms that `popview.populations.unfinished.unfinished` finds not to have ended."""
    rows = late[late["unfinished"]].reset_index(drop=True)
    return pd.DataFrame(
        {
            "task": rows["task"].map(task_title) + ", " + rows["variant"],
            "algorithm": rows["algorithm"],
            "left the plateau": rows["left"].astype(str) + " of " + rows["restarts"].astype(str),
            "share, %": interval(rows, 100.0, "share_", form=".0f"),
            "their difference to SGD": with_interval(rows, "difference", 100.0, ends="difference_"),
            "gain of the last quarter over SGD's": with_interval(rows, "gain", 100.0, ends="gain_"),
        }
    )


#: Score → its column's title, and what it is multiplied by.
SCORES = {
    "metric": ("score, points", 100.0),
    "average_precision": ("mean average precision, points", 100.0),
    "loss": ("loss, thousandths", 1000.0),
}


def by_score(differences: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.outcomes.score_differences`, of several tasks and variants: a column per score."""
    scale = differences["score"].map(lambda name: SCORES[name][1])
    ends = {name: differences[name] * scale for name in ("difference", "low", "high")}
    table = differences.assign(**ends)
    table["cell"] = with_interval(table, "difference")
    keys = ["task", "variant", "a", "restarts"]
    wide = table.pivot(index=keys, columns="score", values="cell").loc[
        pd.MultiIndex.from_frame(table[keys].drop_duplicates())
    ]
    titles = {name: title for name, (title, _) in SCORES.items() if name in wide}
    rows = wide[[*titles]].fillna("–").rename(columns=titles).reset_index().rename(columns={"a": "algorithm"})
    return rows.assign(task=setting(rows)).drop(columns="variant")


def changed_verdicts(*readings: tuple[str, pd.DataFrame, str]) -> pd.DataFrame:
    """List the comparisons of which a later reading's verdict is another: the old one, the new one, and the reason.

    Parameters
    ----------
    *readings : tuple of str, DataFrame, str
        What the reading is called, its comparisons (``task, a, b`` and a verdict), and what it does otherwise than the
        one before. In order of time; of each comparison the latest reading before it counts as the old one.
    """
    rows, before = [], dict[tuple[str, str], tuple[str, str]]()
    for name, table, reason in readings:
        for (_, row), verdict in zip(table.iterrows(), words(table) if len(table) else (), strict=True):
            key, now = (row["task"], row["a"]), f"{verdict} ({name}, {row['restarts']} runs)"
            old = before.get(key)
            if old is not None and old[1] != verdict:
                comparison = f"{row['a']} – {row['b']}"
                told = {"old": old[0], "new": now, "reason": reason}
                rows.append({"task": task_title(row["task"]), "comparison": comparison, **told})
            before[key] = now, verdict
    return pd.DataFrame(rows)
