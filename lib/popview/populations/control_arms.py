"""Annealed runs that change one thing, against annealed SGD: SAM at equal epochs, more hops, all images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from popview.common.folders import RESULTS
from popview.populations.comparisons import paired_difference
from popview.populations.learning import second_half
from popview.populations.outcomes import load_final_measures
from popview.populations.tables import load_trajectories
from popview.runs import store
from popview.runs.annealed import GRADIENTS_A_STEP, LATER, AnnealedPlan
from popview.runs.specs import RunSpec

#: The arm in which SAM has as many epochs as the other algorithms, and twice their gradients.
EQUAL_EPOCHS = "equal-epochs"


def control_arms(profile: str, task: str, reference: str = "SGD", root: Path = RESULTS) -> pd.DataFrame:
    """Compare each algorithm of each arm of a task's annealed runs with SGD, paired by seed.

    With SGD of the same arm where the arm has it, and with annealed SGD. These are controls, looked at one by one: the
    intervals are not adjusted, and no verdict follows.

    Parameters
    ----------
    profile, task : str
    reference : str
    root : Path
        Of the store.

    Returns
    -------
    DataFrame
        One row per comparison of runs that are whole in the store: ``arm, a, b, of`` (the reference's arm, or
        "annealed"), ``restarts, difference, low, high`` (the last model on the whole test split, 95 % t interval),
        ``p``, ``mean`` (of `a`), ``annealed_difference`` (the same comparison without what the arm changes; NaN where
        it is none), and of the second half of `a`'s training ``tau, tau_without_trend``
        (`popview.populations.learning`). Arms that fix seeds, and those that hold more restarts alone, are no controls
        and left out.
    """
    plan = AnnealedPlan(profile, task)
    arms = [name for name, arm in plan.arms.items() if name != LATER and "fixed_seeds" not in arm.get("model", {})]
    usual, rows = _scores(_specs(plan, "annealed", root), root), []
    for arm in arms:
        specs = _specs(plan, arm, root)
        scores, halves = _scores(specs, root), _halves(specs, root)
        for a in scores:
            for of, others in ((arm, scores), ("annealed", usual)):
                if reference not in others or (a == reference and of == arm):
                    continue
                row: dict[str, Any] = {"arm": arm, "a": a, "b": reference, "of": of}
                row |= paired_difference(scores[a], others[reference]) | {"annealed_difference": float("nan")}
                if a in usual and a != reference and reference in usual:
                    row["annealed_difference"] = (usual[a] - usual[reference]).mean()
                rows.append(row | halves.loc[a].to_dict())
    return pd.DataFrame(rows)


def equal_epochs(profile: str, task: str, root: Path = RESULTS) -> list[RunSpec]:
    """Return the specs of `EQUAL_EPOCHS` of the algorithms of which all are in the store."""
    return [spec for specs in _specs(AnnealedPlan(profile, task), EQUAL_EPOCHS, root).values() for spec in specs]


def at_equal_epochs(values: pd.DataFrame, profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Return whole-test scores of annealed runs, by algorithm, with those of `EQUAL_EPOCHS` in place of shorter runs.

    An algorithm that has fewer epochs, and no runs with all of them, is left out.
    """
    longer = _scores(_specs(AnnealedPlan(profile, task), EQUAL_EPOCHS, root), root)
    shorter = [name for name in values if name in GRADIENTS_A_STEP]
    return values.drop(columns=shorter).assign(**{name: longer[name] for name in shorter if name in longer})


def trajectories_at_equal_epochs(rows: pd.DataFrame, profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Return checkpoints of one task and variant, with annealed runs of `EQUAL_EPOCHS` in place of shorter ones.

    An algorithm that has fewer epochs, and no runs with all of them, is left out. Of other variants none has.
    """
    if set(rows["variant"]) != {"annealed"}:
        return rows
    specs = equal_epochs(profile, task, root)
    longer = [load_trajectories(specs, None, root).assign(variant="annealed")] if specs else []
    return pd.concat([rows[~rows["algorithm"].isin(GRADIENTS_A_STEP)], *longer], ignore_index=True)


def _specs(plan: AnnealedPlan, variant: str, root: Path) -> dict[str, list[RunSpec]]:
    """Return the specs of each algorithm of which all are in the store."""
    found: dict[str, list[RunSpec]] = {}
    for spec in plan.expand(variant) if variant in plan.variants else ():
        found.setdefault(spec.algorithm, []).append(spec)
    return {name: specs for name, specs in found.items() if not store.missing(specs, root)}


def _scores(specs: Mapping[str, list[RunSpec]], root: Path) -> dict[str, pd.Series]:
    """Return the whole-test score of each algorithm's last models, by seed."""
    found = {name: load_final_measures(own, root) for name, own in specs.items()}
    return {name: table.set_index("seed")["whole_test.metric"] for name, table in found.items()}


def _halves(specs: Mapping[str, list[RunSpec]], root: Path) -> pd.DataFrame:
    """Return how loss and score go together in the second half of each algorithm's training, the mean over restarts."""
    every = [spec for own in specs.values() for spec in own]
    if not every:
        return pd.DataFrame()
    return second_half(load_trajectories(every, None, root)).groupby("algorithm")[["tau", "tau_without_trend"]].mean()
