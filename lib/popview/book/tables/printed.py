"""The paper's Tables 2 to 6 with our numbers beside the printed ones, which stand as they are printed."""

import itertools
from collections.abc import Iterable

import pandas as pd

from popview.book.cells import setting
from popview.book.names import task_title
from popview.book.page import p_value
from popview.paper import printed as paper_tables
from popview.populations.comparisons import ALPHA
from popview.populations.pooled import PRINTED_PAIRS, tally
from popview.tasks.catalogue import SHOWN


def printed_and_ours(ours: pd.DataFrame, number: str, key: str = "algorithm") -> pd.DataFrame:
    """Lay out our p-values beside those that the paper printed in a table, task by task.

    Parameters
    ----------
    ours : DataFrame
        ``task, label`` (of the column), the key, and ``p``; may be empty.
    number : str
        Of the printed table; its columns are absent where the text at hand lacks it.
    key : str
        What the lines are: "algorithm" or "comparison".
    """
    columns = ["task", "label", key, "p"]
    parts = ours[columns].assign(p=ours["p"].map(p_value)) if len(ours) else pd.DataFrame(columns=columns)
    if paper_tables.TABLES[number].available:
        printed = paper_tables.printed_table(number).assign(label="printed")
        printed["p"] = printed["p_value"].map(str)
        parts = pd.concat([parts, printed[columns]])
    if parts.empty:
        return pd.DataFrame()
    return _beside(parts.rename(columns={"p": "cell"}), [key])


def printed_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return Table 6 for `printed_and_ours`: the pooled and the restarts' p-values of
    `popview.populations.comparisons.all_pairs`."""
    if pairs.empty:
        return pairs
    frames = []
    for (a, b), kind in itertools.product(PRINTED_PAIRS, ("pooled_p", "p")):
        rows = pairs[((pairs["a"] == a) & (pairs["b"] == b)) | ((pairs["a"] == b) & (pairs["b"] == a))]
        label = rows["variant"] + {"pooled_p": ", pooled models", "p": ", restarts"}[kind]
        frames.append(
            pd.DataFrame({"task": rows["task"], "label": label, "comparison": f"{a} vs. {b}", "p": rows[kind]})
        )
    return pd.concat(frames).sort_values("label", kind="stable", ignore_index=True)


def medians(sets: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.pooled.set_a_against_set_b` as Table 4 does, with the printed cells beside
    ours.

    Ours reads "median (SD of all models; median SD inside a restart)", the printed one "median (SD)".
    """
    lines = []
    for row in sets.to_dict("records"):
        for s in ("a", "b"):
            cell = f"{row[f'median_{s}']:.3f} ({row[f'sd_{s}']:.3f}; {row[f'within_{s}']:.3f})"
            lines.append((row["algorithm"], s.upper(), row["task"], row["variant"], cell))
    for row in paper_tables.printed_table("4").to_dict("records"):
        cell = f"{row['median']:.3f} ({row['standard_deviation']:.3f})"
        lines.append((row["algorithm"], row["set"], row["task"], "printed", cell))
    return _beside(pd.DataFrame(lines, columns=["algorithm", "set", "task", "label", "cell"]), ["algorithm", "set"])


def _beside(cells: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Lay out ``cell`` with a line per key and a column per task and ``label``, "CIFAR-10: base"; a dash for none."""
    ordered = cells.sort_values("task", key=lambda tasks: tasks.map(SHOWN.index), kind="stable")
    column = ordered["task"].map(task_title) + ": " + ordered["label"]
    wide = ordered.assign(column=column).pivot(index=keys, columns="column", values="cell").fillna("–")
    lines = cells[keys].drop_duplicates()
    return lines.merge(wide[column.unique()].reset_index(), on=keys, validate="one_to_one")


def whole(sets: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of `popview.populations.pooled.paper_sets` that hold all restarts."""
    if sets.empty:
        return sets
    return sets[sets["restarts"] == sets.groupby(["task", "variant"])["restarts"].transform("max")]


def losses(sets: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.pooled.set_a_against_set_b` of the training loss: Tables 5a and 5b."""
    return pd.DataFrame(
        {
            "task": setting(sets),
            "algorithm": sets["algorithm"],
            "SetA, median": sets["median_a"],
            "SetB, median": sets["median_b"],
            "p, Mann–Whitney (5a)": sets["mann_whitney"].map(p_value),
            "p, t test (5b)": sets["t_test"].map(p_value),
        }
    )


def tallies(groups: dict[str, Iterable[float]]) -> pd.DataFrame:
    """Lay out `popview.populations.pooled.tally` of several groups of p-values, by what they are."""
    counts = {name: tally(p_values) for name, p_values in groups.items()}
    return pd.DataFrame(
        {
            "p-values": name,
            "tests": count["tests"],
            f"p ≤ {ALPHA:g}": count["rejected"],
            "expected by chance": count["expected"],
            "smallest p (Holm)": p_value(count["adjusted"]),
        }
        for name, count in counts.items()
    )
