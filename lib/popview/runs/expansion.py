"""From a profile to specs: every algorithm of a task, in its variants. No torch here."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from popview.common.errors import UsageError, check_name
from popview.common.schemas import check
from popview.runs.annealed import AnnealedPlan
from popview.runs.profiles import base_of, searches, settings
from popview.runs.schemas import Budget
from popview.runs.specs import TRIAL_SEED, VARIANTS, RunSpec, digest

#: Hyperparameters that count steps: where a trial has half the steps, it has half of these.
_STEPS = ("tau", "average_from", "average_every")


def restarts_of(profile: str, task: str, variant: str = "base") -> int:
    """Return how many restarts a profile wants of each algorithm of a task.

    Raises
    ------
    UsageError
        As `settings`.
    """
    return _restarts(settings(profile, task), variant)


def _restarts(table: dict[str, Any], variant: str) -> int:
    if variant == "annealed":
        return int(table["annealed"]["restarts"])
    return int(table.get("tuned_restarts", table["restarts"]) if variant == "tuned" else table["restarts"])


def recorded_trials(profile: str, task: str) -> dict[str, dict[str, Any]]:
    """Return what `popview.runs.search` wrote: per algorithm the settings of its ``trials``, and which was ``chosen``.

    Empty where nothing was drawn yet; without ``chosen`` where the trials have not all run. An algorithm whose trials
    would be others as the profile stands now (`searched_as`) has to be searched again.
    """
    table = settings(profile, task)
    return {
        name: tried
        for name, tried in searches(profile).get(task, {}).items()
        if tried.get("of") == _searched_as(table, profile, task, name, tried.get("trials", []))
    }


def unchanged(profile: str, task: str) -> list[str]:
    """Return the algorithms of which a search chose the base setting: their tuned restarts are the base ones."""
    base = {spec.digest for spec in expand(profile, task)}
    tuned = expand(profile, task, variant="tuned")
    same = (spec for spec in tuned for other in spec.same_as if other.variant == "base" and other.digest in base)
    return list(dict.fromkeys(spec.algorithm for spec in same))


def searched_as(profile: str, task: str, algorithm: str, trials: list[dict[str, Any]]) -> str:
    """Return the digest of all that an algorithm's search depends on: its trials as specs, and the profile's ranges."""
    return _searched_as(settings(profile, task), profile, task, algorithm, trials)


def _searched_as(table: dict[str, Any], profile: str, task: str, algorithm: str, trials: list[dict[str, Any]]) -> str:
    space = table.get("search", {})
    common = {name: span for name, span in space.items() if not isinstance(span, dict)}
    ranges = {"common": common, "own": space.get(algorithm, {})}
    specs = _specs(table, algorithm, "trial", trials, [TRIAL_SEED], profile=profile, task=task)
    return digest(json.dumps([ranges, *(spec.canonical for spec in specs)], sort_keys=True))


def expand(
    profile: str,
    task: str,
    *,
    algorithms: tuple[str, ...] | None = None,
    restarts: int | None = None,
    variant: str = "base",
    **changes: Any,
) -> list[RunSpec]:
    """Return the specs of a task in a profile: every algorithm, in stacks of restarts that cover those wanted.

    Parameters
    ----------
    algorithms : tuple of str, optional
        Some of the profile's; by default all that have this variant.
    restarts : int, optional
        Restarts per algorithm, by default those of `restarts_of`; the last stack may hold more. Of a trial there is one
        stack.
    variant : str
        One of `VARIANTS` or of `popview.runs.annealed.AnnealedPlan.variants`; those of the latter take no changes.
    **changes
        Other fields of `RunSpec` to change (`epochs`, `checkpoints`).

    Raises
    ------
    UsageError
        If a name is unknown, a number of `popview.runs.schemas.Budget` out of range, or an algorithm asked for by name
        has no trials, or none chosen.
    """
    if variant not in VARIANTS:
        plan = AnnealedPlan(profile, task)
        check_name("variant", variant, (*VARIANTS, *plan.variants))
        return plan.expand(variant, algorithms, restarts)
    table = settings(profile, task)
    for name in changes:
        check_name("change", name, ("epochs", "checkpoints"))
    wanted = _restarts(table, variant) if restarts is None else restarts
    check(Budget, {"restarts": wanted, **_budget(table, variant), **changes})
    for algorithm in algorithms or ():
        check_name(f"algorithm of {task} in profile {profile}", algorithm, table["algorithms"])
    seeds = [TRIAL_SEED] if variant == "trial" else range(0, wanted, table["stack"])
    entries = {} if variant == "base" else recorded_trials(profile, task)
    found = []
    for algorithm in algorithms or table["algorithms"]:
        tried = entries.get(algorithm, {})
        varied: list[dict[str, Any]] = [{}] if variant == "base" else tried.get("trials", [])
        if variant == "tuned":
            varied = [varied[tried["chosen"]]] if "chosen" in tried else []
        if not varied and algorithms is not None:
            cure = f"run `popview tune --profile {profile} --task {task} --algorithm {algorithm}`"
            if algorithm not in searched(profile, task):
                cure = f"it has no [{task}.search.{algorithm}], so that none is searched for"
            raise UsageError(f"{algorithm} on {task} has no {variant} setting in profile {profile}: {cure}")
        found += _specs(table, algorithm, variant, varied, seeds, profile=profile, task=task, **changes)
    return found


def _budget(table: dict[str, Any], variant: str) -> dict[str, int]:
    """Return a task's epochs and checkpoints, of a trial half of them."""
    epochs, checkpoints = table["epochs"], table["checkpoints"]
    if variant == "trial":
        epochs, checkpoints = -(-epochs // 2), max(2, -(-checkpoints // 2))
    return {"epochs": epochs, "checkpoints": checkpoints}


def _specs(
    table: dict[str, Any], algorithm: str, variant: str, varied: list[dict[str, Any]], seeds: Sequence[int], **more: Any
) -> list[RunSpec]:
    """Return the specs of an algorithm: each of the varied settings, in stacks that begin with these seeds."""
    base = base_of(table["base"], algorithm)
    fields: dict[str, Any] = {"algorithm": algorithm, "variant": variant, "model": table["model"]}
    fields |= {"restarts": table["stack"], **_budget(table, variant), **more}
    settled = [_shortened(base | own, variant) for own in varied]
    return [RunSpec(seed=seed, hyperparameters=own, **fields) for own in settled for seed in seeds]


def searched(profile: str, task: str) -> tuple[str, ...]:
    """Return the algorithms of a task that a profile says to search for: those with a table in ``[<task>.search]``."""
    space = settings(profile, task).get("search", {})
    return tuple(name for name, value in space.items() if isinstance(value, dict))


def planned(profile: str, task: str, variant: str) -> tuple[str, ...]:
    """Return the algorithms that a variant will have once all is run; of tuned ones those that are searched."""
    known = tuple(settings(profile, task)["algorithms"])
    if variant == "base":
        return known
    if variant not in VARIANTS:
        return tuple(AnnealedPlan(profile, task).table.get("algorithms", ()))
    return tuple(name for name in known if name in searched(profile, task))


def unsearched(
    profile: str, task: str, variant: str, found: Collection[str], restarts: int | None = None
) -> dict[str, int]:
    """Return how many restarts `expand` will give of the algorithms that it leaves out until their search gets there.

    These are all that a search is for but those `found` by `expand`: algorithms without trials, or without a choice.
    """
    if variant == "base":
        return {}
    if variant not in VARIANTS:
        return AnnealedPlan(profile, task).restarts_to_come(variant, found, restarts)
    table = settings(profile, task)
    stacks = -(-(restarts or _restarts(table, variant)) // table["stack"])
    number = table.get("search", {}).get("trials", 0) if variant == "trial" else stacks
    return {one: number * table["stack"] for one in searched(profile, task) if one not in found}


def _shortened(hyperparameters: dict[str, Any], variant: str) -> dict[str, Any]:
    """Halve what counts steps for a trial, so that it has as many hops as a whole run."""
    steps = {name: hyperparameters[name] for name in _STEPS if name in hyperparameters}
    half = {name: -(-value // 2) for name, value in steps.items() if isinstance(value, int | float)}
    return hyperparameters | (half if variant == "trial" else {})
