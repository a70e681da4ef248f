"""Tables as a reader wants them: our value with its interval, the printed one beside it."""

from collections.abc import Mapping

import pandas as pd

from popview.book.page import number

__all__ = [
    "beside_printed",
    "finals",
    "inventory",
    "preferences",
    "progress",
    "protocols",
    "symmetric_pairs",
    "verdicts",
]


def beside_printed(cells: pd.DataFrame, landscape: str) -> pd.DataFrame:
    """Lay out one landscape of `popview.paper.table_one.cells`: two lines per algorithm, ours and the paper's.

    Ours reads "percent [low, high]"; the printed value is a dash where it is illegible.
    """
    chosen = cells[cells["landscape"] == landscape]
    lines = []
    for algorithm, row in chosen.groupby("algorithm", sort=False):
        by_column = row.set_index("column")
        ours = by_column.apply(lambda c: f"{c['percent']:.1f} [{c['low']:.0f}, {c['high']:.0f}]", axis=1)
        lines.append({"algorithm": algorithm, "": "ours", **ours})
        lines.append({"algorithm": "", "": "printed", **by_column["printed"].map(lambda p: number(float(p), 2))})
    return pd.DataFrame(lines)


def inventory(rows: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.runs.store.inventory`: a line per task and variant, and which algorithms lack restarts."""
    lines = []
    for (task, variant), group in rows.groupby(["task", "variant"], sort=False):
        lacking = group[group["done"] < group["wanted"]]
        counts = [f"{row.algorithm} {row.wanted - row.done}" for row in lacking.itertuples()]
        untouched = len(lacking) == len(group) and not group["done"].any()
        lines.append(
            {
                "task": task,
                "variant": variant,
                **group[["wanted", "done"]].sum(),
                "to come": "all" if untouched else ", ".join(counts) or "–",
                "of them begun": group[["running", "half_done"]].sum().sum(),
                **group[["diverged", "damaged"]].sum(),
                "core-hours": number(float(group["core_hours"].sum()), 2),
            }
        )
    return pd.DataFrame(lines)


def verdicts(comparison: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Lay out `popview.paper.table_one.compare`, with Holm's p-values in a column ``adjusted``, and a verdict by
    rule."""
    words = comparison["adjusted"].map(lambda p: "differs" if p <= alpha else "no difference found")
    return pd.DataFrame(
        {
            "landscape": comparison["landscape"],
            "algorithm": comparison["algorithm"],
            "legible cells": comparison["legible"],
            "distance, points": comparison["distance"],
            "p": comparison["p_value"],
            "p (Holm)": comparison["adjusted"],
            "printed row": words,
        }
    )


def protocols(closest: pd.DataFrame, domains: dict[str, str]) -> pd.DataFrame:
    """Lay out `popview.paper.table_one.closest`; `domains` maps the text of a domain to its name."""
    return pd.DataFrame(
        {
            "landscape": closest["landscape"],
            "algorithm": closest["algorithm"],
            "distance, points": closest["distance"].map("{:.1f}".format),
            "gradient": closest["normalized"].map({True: "normalised", False: "raw"}),
            "step": closest["lr"].map("{:g}".format),
            "domain": closest["domain"].map(domains),
            "radius": closest["radius"].map("{:g}".format),
        }
    )


def symmetric_pairs(printed: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.paper.table_one.symmetry` of the printed table and of ours side by side, with ``adjusted``
    p-values.

    A pair of which a printed cell is illegible has a dash.
    """
    keys = ["algorithm", "pair"]
    both = ours.merge(printed, on=keys, how="left", suffixes=("", "_printed"))
    values = both.apply(lambda r: f"{r['first_printed']:g} / {r['second_printed']:g}", axis=1)
    return pd.DataFrame(
        {
            "algorithm": both["algorithm"],
            "pair": both["pair"],
            "printed, %": values.where(both["first_printed"].notna(), "–"),
            "p (Holm), printed": both["adjusted_printed"],
            "ours, %": both.apply(lambda r: f"{r['first']:.1f} / {r['second']:.1f}", axis=1),
            "p (Holm), ours": both["adjusted"],
        }
    )


def preferences(wells: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Lay out `popview.paper.table_one.wide_well`, with Holm's p-values in ``adjusted``, and a preference by rule."""
    found = wells["share"].gt(50).map({True: "wide", False: "narrow"}).where(wells["adjusted"] <= alpha, "none found")

    def interval(row: pd.Series) -> str:
        return f"{row['share']:.1f} [{row['low']:.1f},\u00a0{row['high']:.1f}]"

    return pd.DataFrame(
        {
            "dimensions": wells["dimension"],
            "narrow well": wells["depth"].map(lambda depth: "equal" if depth == 0 else f"{depth:g} higher"),
            "algorithm": wells["algorithm"],
            "noise, times a restart": wells["noise_triggers"],
            "wide": wells["wide"],
            "narrow": wells["narrow"],
            "at the saddle (from wide, from narrow)": wells.apply(
                lambda r: f"{r['saddle']} ({r['saddle_wide']:.0f}, {r['saddle_narrow']:.0f})", axis=1
            ),
            "wide of wide + narrow, %": wells.apply(interval, axis=1),
            "p (Holm)": wells["adjusted"],
            "preference": found,
        }
    )


def progress(inventory: pd.DataFrame) -> str:
    """Word `popview.runs.store.inventory` by task: "4,250 of 4,250 on digits, 50 of 127 on cifar10"."""
    counts = inventory.groupby("task", sort=False)[["done", "wanted"]].sum()
    return ", ".join(f"{row.done:,} of {row.wanted:,} on {row.Index}" for row in counts.itertuples())


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
    tasks = pd.Series([task for task, _ in lines], dtype=str)
    first = {"task": tasks.where(tasks != tasks.shift(), ""), "algorithm": [name for _, name in lines]}
    return pd.DataFrame(first | columns)
