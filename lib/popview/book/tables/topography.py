"""Tables of the page on what lies between solutions: settings, accuracies, sharpness, distances, verdicts."""

from collections.abc import Collection, Mapping
from inspect import signature
from typing import Any

import pandas as pd

from popview.book.cells import with_interval, without_interval
from popview.book.page import number, p_value, raised, signed, written
from popview.populations.solutions import QUASI_NEWTON
from popview.topography import FourierPathFinder
from popview.topography.measures import SHARPNESS

#: Stage → what a reader is told.
STAGE_NAMES = {"early": "early-stopped", "equal": "equal training loss", "fitted": "fully fitted"}


#: Measure of sharpness → what a reader is told; others by their names.
MEASURES = {
    "ball_maximum": "one step uphill",
    "adaptive_sharpness": "uphill, by weight",
    "average_sharpness": "noise, by weight",
    "top_eigenvalue": "largest eigenvalue",
}


def small(value: float, digits: int = 2) -> str:
    """Write a loss with so many digits, a tiny one as a power of ten."""
    if not 0 < abs(value) < 1e-4:
        return written(value, ",.0f" if abs(value) >= 100 else f".{digits}g")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{signed(mantissa)} × 10{raised(int(exponent))}"


def settings_table(tables: Mapping[str, Mapping[str, Any]], table: pd.DataFrame) -> pd.DataFrame:
    """Lay out what each network is studied with, networks across.

    Parameters
    ----------
    tables : mapping of str to mapping
        Network → `popview.runs.solutions.parts.network_settings`.
    table : DataFrame
        As `popview.runs.solutions.load.solutions` returns it, of one or several networks: what was run is counted.
    """
    found = {given["title"]: _setting(given) | _passes(table, network) for network, given in tables.items()}
    return pd.DataFrame(found).fillna("–").rename_axis("").reset_index()


def _setting(given: Mapping[str, Any]) -> dict[str, str]:
    path, full_batch = given["path"], given["algorithms"][QUASI_NEWTON]["model"]["batch_size"]
    return {
        "training images": f"{full_batch:,}",
        "solutions of each algorithm": str(given["solutions"]),
        "common training loss": f"{given['level']:g}",
        "pairs of each set": str(given["pairs"]),
        "images, sharpness": f"{given['fitted']:,}",
        "images, paths": f"{given['images']:,}",
        "sines of a path": str(path.get("terms", signature(FourierPathFinder).parameters["terms"].default)),
        "points of a path": str(path["points"] + 1),
        "gradients of a search": f"up to {given['settled']['most']}",
    }


def _passes(table: pd.DataFrame, network: str) -> dict[str, str]:
    """Count the passes over the training set that a run of each algorithm costs: gradients and losses alike."""
    counts = {}
    rows = table[table["network"] == network] if len(table) else table
    for algorithm, found in rows.groupby("algorithm", sort=False) if len(rows) else ():
        steps_per_epoch = (found["step"] / found["epoch"]).max()
        evaluations = (found["gradient_evaluations"] + found["loss_evaluations"]).mean()
        counts[f"passes, {algorithm}"] = f"{evaluations / steps_per_epoch:,.0f}"
    return counts


def solutions_table(table: pd.DataFrame, printed: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.runs.solutions.load.solutions`: means over solutions, the printed means beside them.

    Parameters
    ----------
    table : DataFrame
        Of one or several networks.
    printed : DataFrame
        As `popview.paper.printed.printed_losses` returns it.
    titles : mapping of str to str
        Network → its title.
    """
    known = _known(printed, "network", "stage", "algorithm", "split")
    rows = []
    for (network, algorithm), found in table.groupby(["network", "algorithm"], sort=False):
        row = {"network": titles[network], "algorithm": algorithm}
        for words, stage, split in (("training", "fitted", "train"), ("test", "early", "test")):
            key = (network, stage, algorithm, split)
            losses = found.loc[found["stage"] == stage, f"{split}_loss"]
            row[f"{words} loss"] = f"{small(losses.mean())} ({small(losses.median())})"
            row[f"printed ({words})"] = small(known.get(key, float("nan")))
        row |= {f"accuracy, {words}": _accuracy(found, stage) for stage, words in STAGE_NAMES.items()}
        rows.append(row)
    return once(pd.DataFrame(rows))


def printed_losses_table(printed: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.paper.printed.printed_losses`: a line per network, training and test losses side by side."""
    words = printed["algorithm"] + ", " + printed["split"].map({"train": "training", "test": "test"})
    wide = (
        printed.assign(what=words)
        .pivot(index="network", columns="what", values="printed")
        .map(lambda value: small(value, 3))
    )
    return wide.reindex(list(dict.fromkeys(printed["network"]))).rename_axis(columns=None).reset_index()


def _known(printed: pd.DataFrame, *keys: str) -> pd.Series:
    """Return printed numbers by network and other keys; a network's name is the printed one in small letters."""
    return printed.assign(network=printed["network"].str.lower()).set_index([*keys])["printed"]


def _accuracy(rows: pd.DataFrame, stage: str) -> str:
    """Write "96.5 ± 0.4" for a stage, in percent, and how many solutions reached it where not all did."""
    found = 100 * rows.loc[rows["stage"] == stage, "test_accuracy"]
    if found.empty:
        return "–"
    reached = "" if len(found) == rows["seed"].nunique() else f" (n\u00a0{len(found)})"
    return f"{found.mean():.1f} ± {found.std():.1f}{reached}"


def once(table: pd.DataFrame) -> pd.DataFrame:
    """Name a network only where its rows begin."""
    return table.assign(network=table["network"].where(table["network"] != table["network"].shift(), ""))


def accuracy_differences(differences: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.paper.against_sgd.accuracies_less_sgds`."""
    return once(
        pd.DataFrame(
            {
                "network": differences["network"].map(titles),
                "solutions": differences["stage"].map(STAGE_NAMES),
                "algorithm": differences["algorithm"],
                "points": without_interval(differences["difference"], 100.0),
                "p (Holm)": differences["adjusted_p"].map(p_value),
            }
        )
    )


def _equals(p: str) -> str:
    return p if p.startswith("<") else f"=\u00a0{p}"


def verdict_grid(verdicts: pd.DataFrame, titles: Collection[str]) -> pd.DataFrame:
    """Lay out `popview.paper.claims.judge_claims` of studied networks: a line per claim, a column per network."""
    rows = verdicts[verdicts["scale"].isin(titles)]
    wide = rows.pivot(index="claim", columns="scale", values="verdict")
    order = {"index": list(dict.fromkeys(rows["claim"])), "columns": [title for title in titles if title in wide]}
    return wide.reindex(**order).rename_axis(columns=None).reset_index()


def sharpness_table(table: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out the sharpness measures of `popview.runs.solutions.load.solutions` at equal training loss: medians and
    middle halves.

    Results that are older than a measure have no column of it, and the table has none.
    """
    measures = {name: measure_words(name) for name in SHARPNESS if name in table}
    rows = []
    for (network, algorithm), found in table[table["stage"] == "equal"].groupby(["network", "algorithm"], sort=False):
        row = {"network": titles[network], "algorithm": algorithm, "solutions": len(found)}
        row["training loss"] = small(found["train_loss"].median())
        rows.append(row | {words: _middle(found[name]) for name, words in measures.items()})
    return once(pd.DataFrame(rows))


def measure_words(name: str) -> str:
    """Return what a reader is told of a measure of sharpness."""
    return MEASURES.get(name, name.replace("_", " "))


def _middle(values: pd.Series) -> str:
    """Write the median and the quartiles."""
    low, median, high = (small(values.quantile(share)) for share in (0.25, 0.5, 0.75))
    return f"{median} [{low},\u00a0{high}]"


def spreads(table: pd.DataFrame, printed: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.populations.solutions.spread` of several networks (columns ``network, stage``), fully fitted.

    Intervals are dyadic-robust.

    Parameters
    ----------
    table : DataFrame
    printed : DataFrame
        As `popview.paper.printed.printed_deviations` returns it.
    titles : mapping of str to str
        Network → its title.
    """
    table = table[table["stage"] == "fitted"]
    keys = ["network", "stage", "algorithm"]
    beside = _known(printed, *keys).reindex(pd.MultiIndex.from_frame(table[keys])).set_axis(table.index)
    more = {
        f"{words} less SGD's": with_interval(table, more, ends=f"{more}_dyadic_", form=form).where(
            table[more].notna(), "–"
        )
        for words, more, form in (("distance", "more", "+.1f"), ("directions", "direction_more", "+.4f"))
    }
    columns = {"norm": table["norm"], "distance": table["distance"], "to SGD's of its seed": table["same_seed"]}
    return once(
        pd.DataFrame(
            {
                "network": table["network"].map(titles),
                "algorithm": table["algorithm"],
                "size of a weight": table["deviation"].map(lambda value: number(value, 3)),
                "printed": beside.map(lambda value: number(value, 3)),
                **{words: found.map(lambda value: number(value, 1)) for words, found in columns.items()},
                "distance less SGD's": more["distance less SGD's"],
                "directions": table["direction"].map(lambda value: number(value, 4)),
                "directions less SGD's": more["directions less SGD's"],
            }
        )
    )


def separations(table: pd.DataFrame, told: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out what tells fully fitted solutions of two algorithms apart, networks across.

    Parameters
    ----------
    table : DataFrame
        Of `popview.populations.solutions.separation`, with columns ``network, stage``.
    told : DataFrame
        ``network, stage, right, of, p`` of `popview.populations.solutions.directions`.
    """
    fitted, by_direction = (frame[frame["stage"] == "fitted"] for frame in (table, told))
    wide = fitted.pivot(index="by", columns="network", values="a12").map(lambda value: number(value, 2))
    wide = wide.loc[list(dict.fromkeys(fitted["by"])), list(dict.fromkeys(fitted["network"]))]
    wide.index = [{"norm": "norm alone"}.get(by, f"{by} kernel, first component") for by in wide.index]
    for row in by_direction.to_dict("records"):
        words = f"{row['right']} of {row['of']} (p\u00a0{_equals(p_value(row['p']))})"
        wide.loc["direction alone, assigned rightly", row["network"]] = words
    return wide.rename(columns=titles).fillna("–").rename_axis("by", axis=0).rename_axis(columns=None).reset_index()
