"""The variant `annealed`: what its search tries, in two rounds, and what is then trained with fresh seeds. No torch.

A profile says it in ``[<task>.annealed]``: the budget, what the model has otherwise, one setting per algorithm
(``base``), the values that its search tries (``grid``), and further arms that take the settings chosen.
"""

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from popview.common.errors import UsageError, check_name
from popview.runs import profiles
from popview.runs.specs import REVISIONS, RunSpec, digest
from popview.tasks.catalogue import RECORDS

__all__ = [
    "FINALISTS",
    "ROUNDS",
    "annealed_specs",
    "annealed_table",
    "choices",
    "grid_cells",
    "record_of",
    "restarts_to_come",
    "searched_on_grid",
    "variants",
]

#: The rounds of a search: every cell of the grid at a third of the budget, then the best at the whole of it.
ROUNDS = ("cell", "finalist")

#: A cell has this part of the budget; so many cells, those of the best validation scores, are finalists.
PART, FINALISTS = 3, 3

#: Seeds of a search, the first of them for its cells; and the first seed of what is trained with the chosen settings.
SEARCH_SEEDS, FIRST_SEED = (10_000, 10_001, 10_002), 100

#: Gradients a step, where they are more than one: these algorithms have as many epochs less, so that a run costs alike.
GRADIENTS_A_STEP = {"SAM": 2}

_NEEDED = ("epochs", "checkpoints", "restarts", "algorithms", "model", "base", "grid")
_ARM = ("algorithms", "epochs", "restarts", "model", "base")

#: End of the name of a hyperparameter that counts steps and is stated in epochs of the whole budget.
_EPOCHS = "_epochs"


def annealed_table(profile: str, task: str) -> dict[str, Any]:
    """Return ``[<task>.annealed]`` of a profile; {} where it has none.

    Raises
    ------
    UsageError
        As `popview.runs.profiles.settings`, or if one of its keys is unknown or missing.
    """
    return _table_in(profiles.settings(profile, task), profile, task)


def _table_in(settings: dict[str, Any], profile: str, task: str) -> dict[str, Any]:
    """Return the annealed table of a task's settings, checked."""
    found = settings.get("annealed", {})
    for key in found:
        check_name(f"key of [{task}.annealed] in profile {profile}", key, (*_NEEDED, "arms"))
    for key in _NEEDED if found else ():
        if key not in found:
            raise UsageError(f"[{task}.annealed] in profile {profile} has no {key}")
    for name, arm in found.get("arms", {}).items():
        for key in arm:
            check_name(f"key of [{task}.annealed.arms.{name}] in profile {profile}", key, _ARM)
    return found


def variants(profile: str, task: str) -> tuple[str, ...]:
    """Return the variants that a task of a profile has beside `popview.runs.specs.VARIANTS`.

    "constant" is the SGD that SWA rides on: of SWA's settings, at their constant learning rate.
    """
    return _Plan(profile, task).variants


def searched_on_grid(profile: str, task: str) -> tuple[str, ...]:
    """Return the algorithms that have a grid."""
    return tuple(annealed_table(profile, task).get("grid", {}))


def grid_cells(profile: str, task: str, algorithm: str) -> list[dict[str, Any]]:
    """Return the settings that an algorithm's search tries: all combinations of the values in its grid."""
    return _Plan(profile, task).cells(algorithm)


def choices(profile: str, task: str) -> dict[str, dict[str, Any]]:
    """Return what `popview.runs.search.anneal` wrote of the searches as the profile now has them (see `record_of`).

    Per algorithm its ``finalists``, as places among its cells, by their scores, and which of the cells was ``chosen``.
    """
    return _Plan(profile, task).choices


def record_of(profile: str, task: str, algorithm: str) -> str:
    """Return the digest of all that an algorithm's search depends on."""
    return _Plan(profile, task).record_of(algorithm)


def annealed_specs(
    profile: str,
    task: str,
    variant: str,
    *,
    algorithms: tuple[str, ...] | None = None,
    restarts: int | None = None,
) -> list[RunSpec]:
    """Return the specs of a round of the search, of `annealed`, or of one of its arms.

    An algorithm that has a grid is left out as long as its search has not chosen; one that has none takes the learning
    rate that SGD's search has chosen.

    Raises
    ------
    UsageError
        As `popview.runs.expansion.expand`.
    """
    plan = _Plan(profile, task)
    check_name(f"variant of {task} in profile {profile}", variant, plan.variants)
    if variant == "constant":
        ridden = plan.settings("SWA", "annealed")
        riders = plan.specs("SWA", "annealed", ridden, plan.seeds("annealed", restarts))
        return [beside for spec in riders for beside in spec.alongside]
    known = plan.algorithms(variant)
    for name in algorithms or ():
        check_name(f"algorithm with variant {variant} of {task} in profile {profile}", name, known)
    made = []
    for name in algorithms or known:
        settings = plan.settings(name, variant)
        if not settings and algorithms:
            raise UsageError(
                f"{name} on {task} has no {variant} setting in profile {profile}: "
                f"run `popview tune --profile {profile} --task {task} --annealed`"
            )
        made += plan.specs(name, variant, settings, plan.seeds(variant, restarts))
    return made


def restarts_to_come(
    profile: str, task: str, variant: str, known: Iterable[str], restarts: int | None = None
) -> dict[str, int]:
    """Return how many restarts `annealed_specs` will add once the searches that have not ended have chosen."""
    if variant == "cell":
        return {}
    plan = _Plan(profile, task)
    names = ("SGD",) if variant == "constant" else plan.algorithms(variant)
    number = len(plan.seeds(variant, restarts)) * plan.stack * (FINALISTS if variant == "finalist" else 1)
    return {name: number for name in names if name not in set(known)}


class _Plan:
    """What a profile plans of a task's annealed runs."""

    def __init__(self, profile: str, task: str) -> None:
        self.profile, self.task = profile, task
        whole = profiles.settings(profile, task)
        self.table = _table_in(whole, profile, task)
        self.stack, self.model = whole["stack"], whole["model"] | self.table.get("model", {})

    @property
    def variants(self) -> tuple[str, ...]:
        beside = ("constant",) if "SWA" in self.table.get("algorithms", ()) else ()
        return (*ROUNDS, "annealed", *beside, *self.table.get("arms", {})) if self.table else ()

    def arm(self, variant: str) -> dict[str, Any]:
        return self.table.get("arms", {}).get(variant, {})

    def algorithms(self, variant: str) -> tuple[str, ...]:
        if variant in ROUNDS:
            return tuple(self.table["grid"])
        return tuple(self.arm(variant).get("algorithms", self.table["algorithms"]))

    def seeds(self, variant: str, restarts: int | None) -> Sequence[int]:
        """Return the first seed of each stack."""
        if variant in ROUNDS:
            return SEARCH_SEEDS[: 1 if variant == "cell" or self.stack > 1 else None]
        number = restarts or self.arm(variant).get("restarts", self.table["restarts"])
        return range(FIRST_SEED, FIRST_SEED + number, self.stack)

    def cells(self, algorithm: str) -> list[dict[str, Any]]:
        grid = self.table["grid"].get(algorithm)
        if grid is None:
            return []
        return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]

    def record_of(self, algorithm: str) -> str:
        budget = [self.table[name] for name in ("epochs", "checkpoints")]
        grid = self.table["grid"].get(algorithm, {})
        own = profiles.base_of(self.table["base"], algorithm)
        base = {name: value for name, value in own.items() if name not in grid}
        revisions = [REVISIONS.get(name, 1) for name in (self.task, algorithm)]
        return digest(json.dumps([budget, self.stack, self.model, base, grid, revisions], sort_keys=True))

    @cached_property
    def choices(self) -> dict[str, dict[str, Any]]:
        entries = profiles.searches(f"{self.profile}-annealed").get(self.task, {})
        return {name: entry for name, entry in entries.items() if entry.get("of") == self.record_of(name)}

    def settings(self, algorithm: str, variant: str) -> list[dict[str, Any]]:
        """Return what is added to an algorithm's own setting: for each cell or finalist, or the chosen one alone."""
        tried, entry = self.cells(algorithm), self.choices.get(algorithm, {})
        if variant == "cell":
            return tried
        if variant == "finalist":
            return [tried[place] for place in entry.get("finalists", [])]
        if tried:
            return [tried[entry["chosen"]]] if "chosen" in entry else []
        sgd = self.choices.get("SGD", {})
        return [{"lr": self.cells("SGD")[sgd["chosen"]]["lr"]}] if "chosen" in sgd else []

    def specs(
        self, algorithm: str, variant: str, settings: list[dict[str, Any]], seeds: Sequence[int]
    ) -> list[RunSpec]:
        """Return the specs of some settings; what is stated in epochs of the whole budget becomes steps of its own."""
        arm = self.arm(variant)
        epochs = arm.get("epochs", self.table["epochs"] // GRADIENTS_A_STEP.get(algorithm, 1))
        checkpoints = self.table["checkpoints"]
        if variant == "cell":
            epochs, checkpoints = max(1, epochs // PART), max(2, checkpoints // PART)
        model = self.model | arm.get("model", {})
        steps = epochs * (model.get("train", RECORDS[self.task].train) // model["batch_size"])
        base = (profiles.base_of(given, algorithm) for given in (self.table["base"], arm.get("base", {})))
        stated = {name: value for given in base for name, value in given.items()}
        hyperparameters = {
            name.removesuffix(_EPOCHS): max(1, math.floor(value * steps / self.table["epochs"] + 1e-9))
            if name.endswith(_EPOCHS)
            else value
            for name, value in stated.items()
        }
        return [
            RunSpec(
                task=self.task,
                profile=self.profile,
                algorithm=algorithm,
                variant=variant,
                seed=seed,
                restarts=self.stack,
                epochs=epochs,
                checkpoints=checkpoints,
                hyperparameters=hyperparameters | own,
                model=model,
                schedule="constant" if algorithm == "SWA" else "annealed",
            )
            for own in settings
            for seed in seeds
        ]
