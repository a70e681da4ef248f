"""Claims on what makes minima flat, judged by a factorial of settings and by single changes: see `Factors.load`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from popview.common.folders import RESULTS
from popview.paper.finding import Decision, Finding, list_rows, signs
from popview.paper.rules.by_tasks import SHARPNESS
from popview.populations import flatness_factors
from popview.populations.comparisons import ALPHA
from popview.statistics import holm

#: How the name of an arm begins that goes without something.
WITHOUT = "no-"


@dataclass(frozen=True)
class Factors:
    """What three grids have of a task.

    Attributes
    ----------
    factorial, changes, unseen : DataFrame
        As `popview.populations.flatness_factors.factor_table` returns them; without rows where one was not run.
        ``unseen`` is the factorial trained on some of the classes.
    ensembles : DataFrame
        As `popview.populations.flatness_factors.load_shifted_ensembles` returns it.
    """

    factorial: pd.DataFrame
    changes: pd.DataFrame
    unseen: pd.DataFrame = field(default_factory=pd.DataFrame)
    ensembles: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def load(cls, profile: str, task: str, root: Path = RESULTS) -> "Factors | None":
        """Read the grids from the store; None where none was run."""
        grids = (flatness_factors.FACTORIAL, flatness_factors.FACTORS, flatness_factors.UNSEEN)
        factorial, changes, unseen = (flatness_factors.factor_table(grid, profile, task, root) for grid in grids)
        if factorial.empty and changes.empty and unseen.empty:
            return None
        return cls(factorial, changes, unseen, flatness_factors.load_shifted_ensembles(profile, task, root))

    def judged(self, outcome: str) -> pd.DataFrame:
        """Return the factorial that an outcome is judged by."""
        return self.unseen if outcome in flatness_factors.OF_UNSEEN else self.factorial

    def arms(self, names: Sequence[str]) -> list[str]:
        """Return the arms that have run for these changes; none where one of them, or plain SGD, is missing.

        Where plain SGD has what a change adds, its arm goes without, and is called ``no-<change>``.
        """
        there = set() if self.changes.empty else set(self.changes["arm"])
        found = [name if name in there else f"{WITHOUT}{name}" for name in names]
        return found if {"plain", *found} <= there else []

    @cached_property
    def relations(self) -> pd.DataFrame:
        """`flatness_factors.one_varies`, of `SHARPNESS`, over both factorials."""
        outcomes = (*flatness_factors.OUTCOMES_OF_FLATNESS, "train_loss", "input_gradient_norm")
        pairs = ((self.factorial, outcomes), (self.unseen, tuple(flatness_factors.OF_UNSEEN)))
        found = [flatness_factors.one_varies(table, SHARPNESS, names) for table, names in pairs if len(table)]
        return pd.concat([pd.DataFrame(), *found], ignore_index=True)


def sharper_is_worse_where_one_varies(factors: Factors, outcome: str, weak: float) -> Decision | Finding | None:
    """'holds' if sharper runs have more of an outcome by every measure of `SHARPNESS` where one setting varies.

    'in part' by some, less by none; 'does not hold' if less by some, more by none, or if all relations are weak.
    """
    if factors.factorial.empty and not factors.changes.empty:
        return Finding("not applicable", "there is no factorial here, and of single changes no correlation is claimed")
    table = factors.judged(outcome)
    if table.empty or outcome not in table:
        return None
    found = factors.relations
    found = found[(found["hyperparameter"] == "mean") & (found["outcome"] == outcome)]
    real = found["adjusted_p"] <= ALPHA
    told = list_rows(found, "{measure} {tau:+.2f} [{low:+.2f}, {high:+.2f}]", ", ")
    numbers = {"taus": told, "runs": len(table), "seeds": table["seed"].nunique()}
    word, counted = _decide(real & (found["tau"] > 0), real & (found["tau"] < 0), numbers)
    return "does not hold" if not real.any() and (found["high"] < weak).all() else word, counted


def level_is_flatter(factors: Factors, setting: str, flat: str, arm: str) -> Decision | Finding | None:
    """'holds' if the level of a setting that is claimed to be flat, "high" or "low", is flatter by every measure.

    Where there is no factorial, the single change that is called `arm` is judged as in `arms_are_flatter`.
    """
    if factors.factorial.empty:
        decided = arms_are_flatter(factors, [arm])
        return decided and Finding(
            decided[0],
            "against plain SGD, {restarts} restarts: {ratios}".format(**decided[1]),
            "{yes} of {of} for, {no} against".format(**decided[1]),
        )
    table = flatness_factors.level_ratios(factors.factorial, setting, SHARPNESS)
    numbers = _numbers(table, "{measure} {ratio:.2f} [{low:.2f}, {high:.2f}]")
    levels = sorted(factors.factorial[setting].unique())
    numbers |= {"lowest": levels[0], "highest": levels[-1], "runs": len(factors.factorial)}
    return _decide_ratios(table, table["ratio"] if flat == "high" else 1 / table["ratio"], numbers)


def arms_are_flatter(factors: Factors, arms: Sequence[str], sharper: Sequence[str] = ()) -> Decision | None:
    """'holds' if all arms are flatter than plain SGD by every measure, and those claimed to be sharper are sharper.

    An arm that goes without something is to be sharper: plain SGD has what is claimed to flatten.
    """
    if not (there := factors.arms([*arms, *sharper])):
        return None
    table = flatness_factors.ratios(factors.changes, there, SHARPNESS)
    turned = table["arm"].isin(list(sharper)) | table["arm"].str.startswith(WITHOUT)
    told = "{measure} {ratio:.2f} [{low:.2f}, {high:.2f}]"
    parts = [f"{arm}: {list_rows(rows, told, ', ')}" for arm, rows in table.groupby("arm", sort=False)]
    numbers = _numbers(table, told) | {"ratios": "; ".join(parts)}
    return _decide_ratios(table, table["ratio"].where(~turned, 1 / table["ratio"]), numbers)


def arms_are_more_robust(
    factors: Factors, arms: Sequence[str], outcome: str = "adjusted_error", ensembles: bool = False
) -> Decision | None:
    """'holds' if all arms have a smaller error under corruption than plain SGD, beyond what their clean error explains.

    Or a smaller one of another kind, which the outcome names. 'in part' if some have and none a larger one; 'does not
    hold' if some have a larger one and none a smaller. An arm that goes without something counts the other way.
    Ensembles of runs count as one arm more if asked for, where they were scored.
    """
    there = factors.arms(arms)
    if not there or outcome not in factors.changes:
        return None
    table = flatness_factors.arm_differences(factors.changes, outcome, there)
    if ensembles and len(factors.ensembles):
        row = flatness_factors.ensemble_difference(factors.ensembles, factors.changes)
        table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
        table["adjusted_p"] = holm(table["p"].to_numpy())
    real = table["adjusted_p"] <= ALPHA
    points = table.assign(**{name: 100 * table[name] for name in ("difference", "low", "high")})
    told = list_rows(points, "{arm} {difference:+.1f} [{low:+.1f}, {high:+.1f}]", ", ")
    more = table["difference"].where(~table["arm"].str.startswith(WITHOUT), -table["difference"])
    numbers = {"differences": told, "restarts": int(table["restarts"].min())}
    return _decide(real & (more < 0), real & (more > 0), numbers)


def arms_have_higher_loss(factors: Factors, arms: Sequence[str]) -> Decision | None:
    """'holds' if all arms end at a higher training loss than plain SGD at the same number of epochs."""
    if not (there := factors.arms(arms)):
        return None
    table = flatness_factors.ratios(factors.changes, there, ["train_loss"])
    real = table["adjusted_p"] <= ALPHA
    numbers = _numbers(table, "{arm} {ratio:.2f} [{low:.2f}, {high:.2f}]")
    return _decide(real & (table["ratio"] > 1), real & (table["ratio"] < 1), numbers)


def _decide(yes: pd.Series, no: pd.Series, numbers: dict[str, object]) -> Decision:
    """Return what `signs` says of tests that say yes and no, with their numbers."""
    return signs(yes, no), numbers | {"yes": int(yes.sum()), "no": int(no.sum()), "of": len(yes)}


def _decide_ratios(table: pd.DataFrame, ratio: pd.Series, numbers: dict[str, object]) -> Decision:
    real = table["adjusted_p"] <= ALPHA
    return _decide(real & (ratio < 1), real & (ratio > 1), numbers)


def _numbers(table: pd.DataFrame, template: str) -> dict[str, object]:
    return {"ratios": list_rows(table, template, ", "), "restarts": int(table["restarts"].min())}
