"""Chapter 6's tables of what choosing models by training loss costs."""

import pandas as pd

from popview.book.cells import across, of, setting, sign, with_interval, word
from popview.book.page import MINUS
from popview.populations.comparisons import ALPHA
from popview.populations.selection import REGRETS

__all__ = ["choices_table", "correlations_table", "selection_overview", "upper_bounds"]

BY_TEST, ON_VALIDATION, CAN_BE_HAD = REGRETS


def selection_overview(
    sets: pd.DataFrame,
    regrets: pd.DataFrame,
    verdicts: pd.DataFrame,
    chance: pd.DataFrame,
    overlaps: pd.DataFrame,
    correlations: pd.DataFrame,
) -> pd.DataFrame:
    """Lay out what choosing by training loss costs at a glance: tasks and variants across.

    Parameters
    ----------
    sets : DataFrame
        Of `popview.populations.pooled.paper_sets`.
    regrets, overlaps, correlations : DataFrame
        Of the functions of these names in `popview.populations.selection`.
    verdicts, chance : DataFrame
        Of `popview.populations.selection.verdicts` and `popview.populations.selection.against_last`.
    """
    columns = {}
    for key, tests in sets.groupby(["task", "variant"], sort=False):
        regret, rule, luck, common, tau = (of(t, key) for t in (regrets, verdicts, chance, overlaps, correlations))
        own, oracle = (regret[regret["series"] == name] for name in (CAN_BE_HAD, BY_TEST))
        shared = common[common["split"] == "test"]
        late = tau[(tau["split"] == "test") & (tau["series"] == "second half")]
        columns[key] = {
            "restarts": str(tests["restarts"].max()),
            "margin": f"±{100 * rule['margin'].iloc[0]:g}",
            "loss against validation metric": _verdicts(rule),
            "regret: validation's choice less the loss's": _range(own, 100),
            "loss against the last checkpoints": _verdicts(luck),
            "gain: the loss's choice less the last ones": _range(luck.assign(mean=luck["difference"]), 100),
            "regret to the best by test": _range(oracle, 100),
            "models that both choose, %": f"{_range(shared, 100, 0)}; by chance {100 * shared['chance'].iloc[0]:.0f}",
            "Kendall's τ of −loss and test metric, second half": _range(late),
            "paper's test: SetA differs from SetB": "; ".join(
                f"{(group['mann_whitney'] <= ALPHA).sum()} of {len(group)} ({n} restarts)"
                for n, group in tests.groupby("restarts")
            ),
        }
    return across(columns)


def _verdicts(comparison: pd.DataFrame) -> str:
    """Name the algorithms of each sign, or count them if they are many."""
    parts = []
    for said, rows in comparison.groupby(sign(comparison), sort=False):
        few = ", ".join(rows["algorithm"]) if len(rows) < min(3, len(comparison)) else f"{len(rows)}"
        parts.append(f"{said}\u00a0{'all ' if len(rows) == len(comparison) else ''}{few}")
    return "; ".join(parts)


def _range(rows: pd.DataFrame, scale: float = 1.0, digits: int = 2) -> str:
    """Write the lowest and the highest mean, and whose they are: "0.06 (AdamW) to 0.80 (NiM-SGD)"."""
    known, others = (rows[rows["mean"].notna() == there] for there in (True, False))
    if known.empty:
        return "undefined"
    ends = [known.loc[known["mean"].idxmin()], known.loc[known["mean"].idxmax()]][: len(known)]
    numbers = [f"{round(scale * end['mean'], digits) + 0.0:.{digits}f}".replace("-", MINUS) for end in ends]
    said = " to ".join(f"{text} ({end['algorithm']})" for text, end in zip(numbers, ends, strict=True))
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


def choices_table(regrets: pd.DataFrame, verdicts: pd.DataFrame, chance: pd.DataFrame) -> pd.DataFrame:
    """Lay out the regret that can be had, and the verdicts on choosing by loss, also against choosing the last."""
    rows = regrets[regrets["series"] == CAN_BE_HAD].reset_index()
    return pd.DataFrame(
        {
            "task": setting(rows),
            "algorithm": rows["algorithm"],
            "regret": with_interval(rows, scale=100),
            "p (Holm)": verdicts["adjusted_p"],
            "p (TOST)": verdicts["equivalence_p"],
            "choosing by loss is": word(verdicts),
            "gain over the last checkpoints": with_interval(chance, "difference", 100, ends="difference_"),
            "against that it is": word(chance),
        }
    )


def correlations_table(summaries: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.selection.correlations`: one line per algorithm."""
    keys = ["task", "variant", "algorithm"]
    table = summaries[keys].drop_duplicates().reset_index(drop=True)
    for (split, period), rows in summaries.groupby(["split", "series"], sort=False):
        column = rows[keys].assign(**{f"{split}, {period}": with_interval(rows)})
        table = table.merge(column, on=keys, validate="one_to_one")
    undefined = summaries.groupby(keys)["undefined"].max().rename("undefined, at most").reset_index()
    table = table.merge(undefined, on=keys, validate="one_to_one")
    table.insert(0, "setting", setting(table))
    return table.drop(columns=["task", "variant"]).rename(columns={"setting": "task"})
