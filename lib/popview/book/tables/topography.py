"""Chapter 11's layouts: settings, solutions, barriers with their intervals, sharpness, distances, separation."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd

from popview.book.cells import with_interval
from popview.book.page import MINUS, number
from popview.populations.solutions import QUASI_NEWTON
from popview.topography import FourierPathFinder
from popview.topography.measures import SHARPNESS

__all__ = [
    "STAGE_NAMES",
    "barrier_differences_table",
    "barriers_table",
    "passes_table",
    "separations",
    "sets_table",
    "settings_table",
    "sharpness_table",
    "side_of_zero",
    "solutions_table",
    "spreads",
]

#: Stage → what a reader is told.
STAGE_NAMES = {"early": "early-stopped", "equal": "equal training loss", "fitted": "fully fitted"}


def _small(value: float) -> str:
    """Write a loss or a rise with three digits."""
    if value != value:
        return "–"
    return f"{value:.3g}".replace("e-0", "e-").replace("-", MINUS)


def _interval(rows: pd.DataFrame, value: str, low: str, high: str) -> pd.Series:
    return rows.apply(lambda r: f"{_small(r[value])} [{_small(r[low])},\u00a0{_small(r[high])}]", axis=1)


def sets_table(coverage: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.runs.solutions.coverage`: which sets there are, one line per network and kind, and one for
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


def passes_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.landscape_paths.heights`."""
    return pd.DataFrame(
        {
            "landscape": table["landscape"],
            "between": table["start"] + " and " + table["end"],
            "true pass": table["pass"],
            "sum of losses": table["sum of losses"],
            "soft maximum": table["soft maximum"],
            "straight line": table["straight"],
            "soft maximum above the pass, %": (100 * (table["soft maximum"] / table["pass"] - 1)).round(3),
        }
    )


def settings_table(tables: Mapping[str, Mapping[str, Any]], table: pd.DataFrame) -> pd.DataFrame:
    """Lay out what each network is studied with, networks across.

    Parameters
    ----------
    tables : mapping of str to mapping
        Network → `popview.runs.solutions.settings`.
    table : DataFrame
        As `popview.runs.solutions.solutions` returns it, of one or several networks; what was run is counted there.
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
        "images, paths fitted": f"{given['fitted']:,}",
        "images, heights taken": f"{given['images']:,}",
        "sines of a path": str(path.get("terms", signature(FourierPathFinder).parameters["terms"].default)),
        "points of a path": str(path["points"] + 1),
        "steps of the finder": str(path["steps"]),
        "rate of the finder": f"{path['lr']:g}",
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
    """Lay out `popview.runs.solutions.solutions`: means over solutions, the printed means beside them.

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
            row[f"{words} loss"] = f"{_small(losses.mean())} ({_small(losses.median())})"
            row[f"printed ({words})"] = _small(known.get(key, float("nan")))
        row |= {f"accuracy, {words}": _accuracy(found, stage) for stage, words in STAGE_NAMES.items()}
        rows.append(row)
    return _once(pd.DataFrame(rows))


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


def _once(table: pd.DataFrame) -> pd.DataFrame:
    """Name a network only where its rows begin."""
    return table.assign(network=table["network"].where(table["network"] != table["network"].shift(), ""))


def _set(rows: pd.DataFrame, titles: Mapping[str, str]) -> dict[str, pd.Series]:
    """Return the columns that name sets of pairs."""
    names = {"network": rows["network"].map(titles), "solutions": rows["stage"].map(STAGE_NAMES)}
    if "algorithm" in rows:
        names["algorithm"] = rows["algorithm"]
    if "ends" in rows:
        names["hidden units"] = rows["ends"].map({"plain": "as they are", "aligned": "aligned"})
    return names | {"path by": rows["objective"].map({"sum": "sum of losses", "maximum": "soft maximum"})}


def barriers_table(means: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.populations.solutions.barrier_means`."""
    named = {"height": "height", "rise": "rise", "straight_rise": "straight line's rise"}
    if not np.allclose(means["fitted_rise"], means["rise"]):
        named["fitted_rise"] = "rise on the images fitted"
    return pd.DataFrame(
        {
            **_set(means, titles),
            "pairs": means["pairs"],
            **{words: _interval(means, name, f"{name}_low", f"{name}_high") for name, words in named.items()},
            "at most half the straight line's, % of pairs": (100 * means["halved"]).round().astype(int),
        }
    )


def barrier_differences_table(table: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.populations.solutions.barrier_differences` of rises by the sum of losses, one line per set."""
    shown = table[table["objective"] == "sum"]
    places = {name: place for place, name in enumerate(("early", "equal", "fitted", "plain", "aligned", "rise"))}
    shown = shown.sort_values(
        ["network", "stage", "ends", "value"],
        key=lambda names: names.map({name: place for place, name in enumerate(titles)} | places).fillna(len(places)),
        kind="stable",
    )
    aligned = shown["ends"].map({"plain": "", "aligned": ", aligned"})
    sample = shown["value"].map({"rise": "", "fitted_rise": ", on the images fitted"})
    return _once(
        pd.DataFrame(
            {
                "network": shown["network"].map(titles),
                "solutions": shown["stage"].map(STAGE_NAMES) + aligned + sample,
                "SGD": shown["b"].map(_small),
                QUASI_NEWTON: shown["a"].map(_small),
                "difference": _interval(shown, "difference", "low", "high"),
                f"{QUASI_NEWTON} is": shown.apply(lambda r: side_of_zero(r["low"], r["high"]), axis=1),
            }
        )
    )


def side_of_zero(low: float, high: float) -> str:
    """Say on which side of 0 an interval lies."""
    return "higher" if low > 0 else "lower" if high < 0 else "not told apart"


def sharpness_table(table: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out the sharpness measures of `popview.runs.solutions.solutions` at equal training loss: medians and middle
    halves.

    Results that are older than a measure have no column of it, and the table has none.
    """
    measures = {name: name.replace("_", " ") for name in SHARPNESS if name in table}
    rows = []
    for (network, algorithm), found in table[table["stage"] == "equal"].groupby(["network", "algorithm"], sort=False):
        row = {"network": titles[network], "algorithm": algorithm, "solutions": len(found)}
        row["training loss"] = _small(found["train_loss"].median())
        rows.append(row | {words: _middle(found[name]) for name, words in measures.items()})
    return _once(pd.DataFrame(rows))


def _middle(values: pd.Series) -> str:
    """Write the median and the quartiles."""
    low, median, high = (_small(values.quantile(share)) for share in (0.25, 0.5, 0.75))
    return f"{median} [{low},\u00a0{high}]"


def spreads(table: pd.DataFrame, printed: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.populations.solutions.spread` of several networks (columns ``network, stage``), fully fitted.

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
        f"{words} less SGD's": with_interval(table, more, ends=f"{more}_", form=form).where(table[more].notna(), "–")
        for words, more, form in (("distance", "more", "+.1f"), ("directions", "direction_more", "+.4f"))
    }
    columns = {"norm": table["norm"], "distance": table["distance"], "to SGD's of its seed": table["same_seed"]}
    return _once(
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
        words = f"{row['right']} of {row['of']} (p\u00a0=\u00a0{row['p']:.2g})"
        wide.loc["direction alone, assigned rightly", row["network"]] = words
    return wide.rename(columns=titles).fillna("–").rename_axis("by", axis=0).rename_axis(columns=None).reset_index()
