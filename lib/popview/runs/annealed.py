"""The variant `annealed`: what its search tries, in two rounds, and what is then trained with fresh seeds. No torch.

A profile says it in ``[<task>.annealed]``: the budget, what the model has otherwise, one setting per algorithm
(``base``), the values that its search tries (``grid``), and further arms that take the settings chosen.
"""

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from popview.common.errors import UsageError, check_name
from popview.common.folders import RESULTS
from popview.common.schemas import check
from popview.runs import profiles
from popview.runs.schemas import EPOCHS, Budget
from popview.runs.specs import FIRST_SEED, REVISIONS, TRIAL_SEED, RunSpec, digest
from popview.tasks.catalogue import RECORDS

#: The rounds of a search: every cell of the grid at a third of the budget, then the best at the whole of it.
ROUNDS = ("cell", "finalist")

#: The arm that holds the restarts of a sequential comparison after its first look: annealed runs of higher seeds.
LATER = "later-looks"

#: A cell has this part of the budget; so many cells, those of the best validation scores, are finalists.
PART, FINALISTS = 3, 3

#: Seeds of a search, the first of them for its cells.
SEARCH_SEEDS = (TRIAL_SEED, TRIAL_SEED + 1, TRIAL_SEED + 2)

#: Gradients a step, where they are more than one: these algorithms have as many epochs less, so that a run costs alike.
GRADIENTS_A_STEP = {"SAM": 2}


class AnnealedPlan:
    """What a profile plans of a task's annealed runs.

    Parameters
    ----------
    profile, task : str

    Attributes
    ----------
    table : dict
        ``[<task>.annealed]`` of the profile; empty where it has none.
    variants : tuple of str
        The variants that the task has beside `popview.runs.specs.VARIANTS`. "constant" is the SGD that SWA rides on: of
        SWA's settings, at their constant learning rate.
    searched : tuple of str
        The algorithms that have a grid.

    Raises
    ------
    UsageError
        As `popview.runs.profiles.settings`.
    """

    def __init__(self, profile: str, task: str) -> None:
        self.profile, self.task = profile, task
        whole = profiles.settings(profile, task)
        self.table = whole.get("annealed", {})
        self.stack, self.model = whole["stack"], whole["model"] | self.table.get("model", {})
        if self.table:
            check_name("task", task, RECORDS)
            if "batch_size" not in self.model:
                raise UsageError(f"the model of {task} in profile {profile} needs the setting batch_size")
        self.searched, self.arms = tuple(self.table.get("grid", {})), self.table.get("arms", {})
        beside = ("constant",) if "SWA" in self.table.get("algorithms", ()) else ()
        self.variants = (*ROUNDS, "annealed", *beside, *self.arms) if self.table else ()

    def cells(self, algorithm: str) -> list[dict[str, Any]]:
        """Return the settings that an algorithm's search tries: all combinations of the values in its grid."""
        grid = self.table["grid"].get(algorithm)
        return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())] if grid else []

    def record_of(self, algorithm: str) -> str:
        """Return the digest of all that an algorithm's search depends on."""
        budget = [self.table[name] for name in ("epochs", "checkpoints")]
        grid = self.table["grid"].get(algorithm, {})
        own = profiles.base_of(self.table["base"], algorithm)
        base = {name: value for name, value in own.items() if name not in grid}
        revisions = [REVISIONS.get(name, 1) for name in (self.task, algorithm)]
        return digest(json.dumps([budget, self.stack, self.model, base, grid, revisions], sort_keys=True))

    @cached_property
    def choices(self) -> dict[str, dict[str, Any]]:
        """What `popview.runs.search.anneal` wrote of the searches as the profile now has them (see `record_of`).

        Per algorithm its ``finalists``, as places among its cells, by their scores, and which of the cells was
        ``chosen``.
        """
        entries = profiles.searches(f"{self.profile}-annealed").get(self.task, {})
        found = {name: entry for name, entry in entries.items() if entry.get("of") == self.record_of(name)}
        for name, entry in found.items():
            cells, last = len(self.cells(name)), max([*entry.get("finalists", []), entry.get("chosen", 0)])
            if last >= cells:
                file = f"searches/{self.profile}-annealed.json"
                raise UsageError(f"{file}: {name} on {self.task} has cells 0 to {cells - 1}, none at {last}")
        return found

    def expand(
        self, variant: str, algorithms: tuple[str, ...] | None = None, restarts: int | None = None
    ) -> list[RunSpec]:
        """Return the specs of a round of the search, of `annealed`, or of one of its arms.

        An algorithm that has a grid is left out as long as its search has not chosen; one that has none takes the
        learning rate that SGD's search has chosen.

        Raises
        ------
        UsageError
            As `popview.runs.expansion.expand`.
        """
        check_name(f"variant of {self.task} in profile {self.profile}", variant, self.variants)
        if variant == "constant":
            ridden, seeds = self._settings("SWA", "annealed"), self._seeds("annealed", restarts)
            riders = self._specs("SWA", "annealed", ridden, seeds)
            return [beside for spec in riders for beside in spec.alongside]
        known, made = self.algorithms(variant), []
        for name in algorithms or ():
            check_name(f"algorithm with variant {variant} of {self.task} in profile {self.profile}", name, known)
        for name in algorithms or known:
            settings = self._settings(name, variant)
            if not settings and algorithms:
                raise UsageError(
                    f"{name} on {self.task} has no {variant} setting in profile {self.profile}: "
                    f"run `popview tune --profile {self.profile} --task {self.task} --annealed`"
                )
            made += self._specs(name, variant, settings, self._seeds(variant, restarts))
        return made

    def planned(self, variant: str, algorithm: str) -> list[RunSpec]:
        """Return what `expand` gives of an algorithm; before its search has chosen, specs that cost as much."""
        own = self._settings(algorithm, variant)
        if not own:
            own = self.cells(algorithm)[: FINALISTS if variant == "finalist" else 1] or [{}]
        return self._specs(algorithm, variant, own, self._seeds(variant, None))

    def restarts_to_come(self, variant: str, known: Iterable[str], restarts: int | None = None) -> dict[str, int]:
        """Return how many restarts `expand` will add once the searches that have not ended have chosen."""
        if variant == "cell":
            return {}
        names = ("SGD",) if variant == "constant" else self.algorithms(variant)
        number = len(self._seeds(variant, restarts)) * self.stack * (FINALISTS if variant == "finalist" else 1)
        return {name: number for name in names if name not in set(known)}

    def algorithms(self, variant: str) -> tuple[str, ...]:
        """Return the algorithms of a round of the search, of `annealed`, or of an arm."""
        if variant in ROUNDS:
            return self.searched
        return tuple(self.arms.get(variant, {}).get("algorithms", self.table["algorithms"]))

    def _seeds(self, variant: str, restarts: int | None) -> Sequence[int]:
        """Return the first seed of each stack."""
        if variant in ROUNDS:
            return SEARCH_SEEDS[: 1 if variant == "cell" or self.stack > 1 else None]
        own = self.table | self.arms.get(variant, {})
        number = own["restarts"] if restarts is None else restarts
        check(Budget, {name: self.table[name] for name in ("epochs", "checkpoints")} | {"restarts": number})
        first = own.get("first_seed", FIRST_SEED)
        return range(first, first + number, self.stack)

    def _settings(self, algorithm: str, variant: str) -> list[dict[str, Any]]:
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

    def _specs(
        self, algorithm: str, variant: str, settings: list[dict[str, Any]], seeds: Sequence[int]
    ) -> list[RunSpec]:
        """Return the specs of some settings; what is stated in epochs of the whole budget becomes steps of its own."""
        arm = self.arms.get(variant, {})
        epochs = arm.get("epochs", self.table["epochs"] // GRADIENTS_A_STEP.get(algorithm, 1))
        checkpoints = self.table["checkpoints"]
        if variant == "cell":
            epochs, checkpoints = max(1, epochs // PART), max(2, checkpoints // PART)
        model = self.model | arm.get("model", {})
        steps = epochs * (model.get("train", RECORDS[self.task].train) // model["batch_size"])
        base = profiles.base_of(self.table["base"], algorithm) | profiles.base_of(arm.get("base", {}), algorithm)
        for name in [name for name in base if name.endswith(EPOCHS)]:
            taken = base.pop(name) * steps / self.table["epochs"]
            base[name.removesuffix(EPOCHS)] = max(1, math.floor(taken + 1e-9))
        of = partial(RunSpec, self.task, self.profile, algorithm, variant)
        sizes = {"restarts": self.stack, "epochs": epochs, "checkpoints": checkpoints}
        schedule = "constant" if algorithm == "SWA" else "annealed"
        return [
            of(seed=seed, hyperparameters=base | own, model=model, schedule=schedule, **sizes)
            for own in settings
            for seed in seeds
        ]


def loss_on_validation(spec: RunSpec, root: Path = RESULTS) -> float:
    """Return what a run of an annealed search is judged by, the lower the better; infinite where a restart diverged.

    The last model's mean loss on the validation split; where an example may have several labels, less its mean average
    precision there, which rare labels count in.
    """
    import numpy as np

    from popview.runs import store  # both here, since plans are named without results

    told = store.metadata(spec, root)
    if any(told["diverged"]):
        return math.inf
    found = told["validation"]
    values = [-value for value in found["average_precision"]] if "average_precision" in found else found["loss"]
    return float(np.mean(values)) if None not in values else math.inf
