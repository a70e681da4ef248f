"""Tables of what the training loss tells, and of what choosing models by it costs."""

import pandas as pd

from popview.book.cells import of, setting, with_interval, word, words
from popview.book.names import task_title
from popview.book.page import p_value, written
from popview.populations.comparisons import ALPHA
from popview.populations.selection import REGRETS

BY_TEST, ON_VALIDATION, _ = REGRETS


def selection_overview(
    sets: pd.DataFrame,
    regrets: pd.DataFrame,
    verdicts: pd.DataFrame,
    last: pd.DataFrame,
    overlaps: pd.DataFrame,
    halves: pd.DataFrame,
) -> pd.DataFrame:
    """Lay out what choosing by training loss costs and gains: tasks and variants across.

    Parameters
    ----------
    sets : DataFrame
        Of `popview.populations.pooled.paper_sets`.
    regrets, overlaps : DataFrame
        Of the functions of these names in `popview.populations.selection`.
    verdicts, last : DataFrame
        Of `popview.populations.selection.verdicts` and `popview.populations.selection.against_last`.
    halves : DataFrame
        Of `popview.populations.learning.second_halves`.
    """
    columns = {}
    for key, tests in sets.groupby(["task", "variant"], sort=False):
        regret, rule, late, common, half = (of(t, key) for t in (regrets, verdicts, last, overlaps, halves))
        oracle, shared = regret[regret["series"] == BY_TEST], common[common["split"] == "test"]
        columns[f"{task_title(key[0])}, {key[1]}"] = {
            "restarts": str(tests["restarts"].max()),
            "margin": f"±{100 * rule['margin'].iloc[0]:g}",
            "gain of the second half": _range(half, "gain", 100),
            "τ, second half": _range(half, "tau"),
            "τ without the time trend": _range(half, "tau_without_trend"),
            "loss against validation": _counts(rule),
            "gain over validation": _range(rule, "difference", 100),
            "loss against the last checkpoints": _counts(late),
            "gain over the last checkpoints": _range(late, "difference", 100),
            "regret to the best by test": _range(oracle, "mean", 100),
            "models that both choose, %": _range(shared, "mean", 100, 0)
            + f"; by chance {100 * shared['chance'].iloc[0]:.0f}",
            "paper's test: SetA differs from SetB": "; ".join(
                f"{(group['mann_whitney'] <= ALPHA).sum()} of {len(group)} ({n} restarts)"
                for n, group in tests.groupby("restarts")
            ),
        }
    return pd.DataFrame(columns).rename_axis("").reset_index()


def _counts(comparison: pd.DataFrame) -> str:
    """Count the algorithms of each verdict."""
    return ", ".join(f"{number} {said}" for said, number in words(comparison).value_counts(sort=False).items())


def _range(rows: pd.DataFrame, column: str, scale: float = 1.0, digits: int = 2) -> str:
    """Write the lowest and the highest value, and whose they are: "0.06 (AdamW) to 0.80 (NiM-SGD)"."""
    known, others = (rows[rows[column].notna() == there] for there in (True, False))
    if known.empty:
        return "undefined"
    ends = [known.loc[known[column].idxmin()], known.loc[known[column].idxmax()]][: len(known)]
    said = " to ".join(f"{written(scale * end[column], f'.{digits}f')} ({end['algorithm']})" for end in ends)
    return said + (f"; undefined for {', '.join(others['algorithm'])}" if len(others) else "")


def upper_bounds(regrets: pd.DataFrame, overlaps: pd.DataFrame) -> pd.DataFrame:
    """Lay out overlaps, and the regrets to choices by the very score that is then compared."""
    test, validation = (overlaps[overlaps["split"] == split].reset_index() for split in ("test", "validation"))
    oracle, other = (regrets[regrets["series"] == name].reset_index() for name in (BY_TEST, ON_VALIDATION))
    return pd.DataFrame(
        {
            "task": setting(oracle),
            "algorithm": oracle["algorithm"],
            "also best by test, %": (100 * test["mean"]).round().astype(int),
            "also best by validation, %": (100 * validation["mean"]).round().astype(int),
            "regret on test": with_interval(oracle, scale=100),
            "the margin": oracle.apply(_beside_margin, axis=1),
            "regret on validation": with_interval(other, scale=100),
        }
    )


def _beside_margin(regret: pd.Series) -> str:
    """Say on which side of the margin a regret lies with its interval, if it does."""
    if regret["equivalence_p"] <= ALPHA:
        return "below"
    return "above" if regret["low"] > regret["margin"] else "not known"


def choices_table(verdicts: pd.DataFrame, recency: pd.DataFrame | None = None) -> pd.DataFrame:
    """Lay out the gain by choosing by training loss over a rival, with the verdict in pages' words and the finer one.

    Parameters
    ----------
    verdicts : DataFrame
        As `popview.populations.selection.verdicts` or `popview.populations.selection.against_last` returns them.
    recency : DataFrame, optional
        `popview.populations.selection.last_against_validation` of the same cases, shown beside the gain.
    """
    beside = {}
    if recency is not None:
        case = ["task", "variant", "algorithm"]
        same = verdicts[case].merge(recency, on=case, validate="one_to_one")
        beside["the last ten gain"] = with_interval(same, "difference", 100, ends="difference_").to_numpy()
    return pd.DataFrame(
        {
            "task": setting(verdicts),
            "algorithm": verdicts["algorithm"],
            "gain, points": with_interval(verdicts, "difference", 100, ends="difference_"),
            **beside,
            "p (Holm)": verdicts["adjusted_p"].map(p_value),
            "p (TOST)": verdicts["equivalence_p"].map(p_value),
            "choosing by loss is": words(verdicts),
            "finer": word(verdicts),
        }
    )


def halves_table(halves: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.learning.second_halves`: one line per algorithm."""
    return pd.DataFrame(
        {
            "task": setting(halves),
            "algorithm": halves["algorithm"],
            "gain, points": with_interval(halves, "gain", 100, ends="gain_"),
            "τ": with_interval(halves, "tau", ends="tau_"),
            "τ without the time trend": with_interval(halves, "tau_without_trend", ends="tau_without_trend_"),
            "": halves["learning"].map({True: "still learning", False: "flat"}),
        }
    )
