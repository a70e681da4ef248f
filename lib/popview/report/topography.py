"""Chapter 11's layouts: solutions, barriers with their intervals, alignment, distances, separation, verdicts."""

from collections.abc import Mapping

import pandas as pd

from popview.report.comparisons import with_interval
from popview.report.page import MINUS, number
from popview.report.trajectories import NOT_RUN
from popview.rules import STUDY, Study
from popview.rules.study import SHARPNESS

__all__ = [
    "STAGE_NAMES",
    "answer",
    "barriers",
    "covered",
    "differences",
    "gains",
    "passes",
    "separations",
    "sharpness",
    "solutions",
    "spreads",
]

#: Stage → what a reader is told.
STAGE_NAMES = {"early": "early-stopped", "equal": "equal training loss", "fitted": "fully fitted"}

MEASURES = {name: name.replace("_", " ") for name in SHARPNESS}


def _small(value: float) -> str:
    """Write a loss or a rise with three digits."""
    if value != value:
        return "–"
    return f"{value:.3g}".replace("e-0", "e-").replace("-", MINUS)


def _interval(rows: pd.DataFrame, value: str, low: str, high: str) -> pd.Series:
    return rows.apply(lambda r: f"{_small(r[value])} [{_small(r[low])},\u00a0{_small(r[high])}]", axis=1)


def covered(coverage: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.study.coverage`: which sets there are, one line per network and kind."""
    rows = []
    for (network, kind), found in coverage.groupby(["network", "kind"], sort=False):
        whole = found["done"] == found["wanted"]
        rows.append(
            {
                "network": titles[network],
                "what": {"products": "inner products"}.get(kind, kind),
                "sets": f"{int(whole.sum())} of {len(whole)}",
                "core-minutes": found["seconds"].sum() / 60,
                "not there yet": ", ".join(sorted(set(found.loc[~whole, "algorithm"]))) or "–",
            }
        )
    return pd.DataFrame(rows)


def passes(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.study.passes.heights`."""
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


def solutions(table: pd.DataFrame, printed: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.study.solutions`: means over solutions, the printed means beside them.

    Parameters
    ----------
    table : DataFrame
        Of one or several networks.
    printed : DataFrame
        As `popview.study.readings.printed_losses` returns it.
    titles : mapping of str to str
        Network → its title, whose first word is the name in the printed table.
    """
    known = printed.set_index(["network", "stage", "algorithm", "split"])["printed"]
    rows = []
    for (network, stage, algorithm), found in table.groupby(["network", "stage", "algorithm"], sort=False):
        key = (titles[network].split(" ")[0], stage, algorithm)
        rows.append(
            {
                "network": titles[network],
                "solutions": STAGE_NAMES[stage],
                "algorithm": algorithm,
                "n": len(found),
                "training loss": _small(found["train_loss"].mean()),
                "printed": _small(known.get((*key, "train"), float("nan"))),
                "test loss": _small(found["test_loss"].mean()),
                "printed ": _small(known.get((*key, "test"), float("nan"))),
                "test accuracy, %": 100 * found["test_accuracy"].mean(),
                "SD": 100 * found["test_accuracy"].std(),
                "gradients": f"{found['gradient_evaluations'].mean():,.0f}",
            }
        )
    order = list(STAGE_NAMES.values())
    return pd.DataFrame(rows).sort_values(
        ["network", "solutions"],
        key=lambda c: c.map({n: i for i, n in enumerate([*titles.values(), *order])}),
        kind="stable",
    )


def _set(rows: pd.DataFrame, titles: Mapping[str, str]) -> dict[str, pd.Series]:
    """Return the columns that name sets of pairs."""
    names = {"network": rows["network"].map(titles), "solutions": rows["stage"].map(STAGE_NAMES)}
    if "algorithm" in rows:
        names["algorithm"] = rows["algorithm"]
    if "ends" in rows:
        names["hidden units"] = rows["ends"].map({"plain": "as they are", "aligned": "aligned"})
    return names | {"path by": rows["objective"].map({"sum": "sum of losses", "maximum": "soft maximum"})}


def barriers(means: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.study.readings.barrier_means`."""
    return pd.DataFrame(
        {
            **_set(means, titles),
            "pairs": means["pairs"],
            "height": _interval(means, "height", "height_low", "height_high"),
            "rise": _interval(means, "rise", "rise_low", "rise_high"),
            "straight line's rise": _interval(means, "straight_rise", "straight_rise_low", "straight_rise_high"),
            "path lower, % of pairs": (100 * means["lower"]).round().astype(int),
        }
    )


def differences(table: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.study.readings.barrier_differences`, one line per set, height and rise side by side."""
    keys = ["network", "stage", "ends", "objective"]
    height, rise = (table[table["value"] == value].set_index(keys) for value in ("height", "rise"))
    both = height.reset_index().merge(rise.reset_index(), on=keys, suffixes=("_height", "_rise"))
    shown = {
        f"{value}, difference": _interval(both, *(f"{name}_{value}" for name in ("difference", "low", "high")))
        for value in ("height", "rise")
    }
    words = both.apply(lambda r: _sign(r["low_rise"], r["high_rise"]), axis=1)
    return pd.DataFrame({**_set(both, titles), **shown, "rise of L-BFGS-GSS is": words})


def _sign(low: float, high: float) -> str:
    return "higher" if low > 0 else "lower" if high < 0 else "not told apart"


def gains(table: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.study.readings.aligned_gains`."""
    return pd.DataFrame(
        {**_set(table, titles), "rise, aligned − as they are": _interval(table, "difference", "low", "high")}
    )


def sharpness(table: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out the medians of the sharpness measures of `popview.study.solutions`, by stage and algorithm."""
    medians = table.groupby(["network", "stage", "algorithm"], sort=False)[[*SHARPNESS, "weight_norm"]].median()
    rows = medians.reset_index()
    columns = {words: rows[name].map(_small) for name, words in MEASURES.items()}
    names = {"network": rows["network"].map(titles), "solutions": rows["stage"].map(STAGE_NAMES)}
    return pd.DataFrame({**names, "algorithm": rows["algorithm"], **columns})


def spreads(table: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.study.readings.spread` of several networks and stages (columns ``network, stage``)."""
    intervals = {
        words: with_interval(table.rename(columns={f"{name}_low": "low", f"{name}_high": "high"}), name)
        for name, words in (("more", "distance less SGD's"), ("direction_more", "between directions, less SGD's"))
    }
    return pd.DataFrame(
        {
            "network": table["network"].map(titles),
            "solutions": table["stage"].map(STAGE_NAMES),
            "algorithm": table["algorithm"],
            "norm": table["norm"],
            "weight SD": table["deviation"],
            "distance": table["distance"],
            "to SGD's of the same seed": table["same_seed"],
            "distance less SGD's": intervals["distance less SGD's"].where(table["more"].notna(), "–"),
            "between directions": table["direction"],
            "between directions, less SGD's": intervals["between directions, less SGD's"].where(
                table["direction_more"].notna(), "–"
            ),
        }
    )


def separations(table: pd.DataFrame, titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out `popview.study.readings.separation` of several networks: kernels down, weights across."""
    names = {"network": table["network"].map(titles), "solutions": table["stage"].map(STAGE_NAMES)}
    wide = table.assign(**names, a12=table["a12"].map(lambda value: number(value, 2))).pivot(
        index=["network", "solutions", "kernel"], columns="weights", values="a12"
    )
    return wide.loc[:, ["as they are", "norm 1"]].rename_axis(columns=None).reset_index()


def answer(networks: Mapping[str, Study | None]) -> str:
    """Word what the study says of the claims in one sentence, by rule; and where nothing has been run."""
    there = {title: evidence for title, evidence in networks.items() if evidence is not None}
    if not there:
        return f"The study of trained networks has {NOT_RUN.removesuffix(' yet').replace('not', 'not been', 1)} yet."
    said = {
        "Barriers between SGD's solutions are lower": "lower_barriers",
        "L-BFGS-GSS reaches lower training loss": "deeper_minima",
        "and generalises less well there": "less_general",
        "lies in sharper places at equal training loss": "smoother_basins",
        "and its solutions lie further apart": "more_spread_out",
    }
    parts = []
    for words, rule in said.items():
        found = {title: STUDY[rule](evidence).word for title, evidence in there.items()}
        grouped: dict[str, list[str]] = {}
        for title, word in found.items():
            grouped.setdefault(word, []).append(title)
        parts.append(f"{words}: " + ", ".join(f"*{word}* ({', '.join(t)})" for word, t in grouped.items()))
    absent = [title for title in networks if title not in there]
    return f"**{'; '.join(parts)}.**" + (f" {NOT_RUN.capitalize()}: {', '.join(absent)}." if absent else "")
