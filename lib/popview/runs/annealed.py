"""The variant `annealed`: what its search tries, in two rounds, and what is then trained with fresh seeds. No torch.

A profile says it in ``[<task>.annealed]``: the budget, what the model has otherwise, one setting per algorithm
(``base``), the values that its search tries (``grid``), and further arms that take the settings chosen.
"""

import itertools
import json
from collections.abc import Iterable
from typing import Any

from popview.common.errors import UsageError, check_name
from popview.runs import specs
from popview.runs.specs import RunSpec

__all__ = ["FINALISTS", "ROUNDS", "cells", "choices", "expand", "record_of", "searched", "table", "variants"]

#: The rounds of a search: every cell of the grid at a third of the budget, then the best at the whole of it.
ROUNDS = ("cell", "finalist")

#: A cell has this part of the budget; so many cells, those of the best validation scores, are finalists.
PART, FINALISTS = 3, 3

#: Seeds of a search, the first of them for its cells; and the first seed of what is trained with the chosen settings.
SEARCH_SEEDS, FIRST_SEED = (10_000, 10_001, 10_002), 100

#: Gradients a step, where they are more than one: these algorithms have as many epochs less, so that a run costs alike.
GRADIENTS_A_STEP = {"SAM": 2}

#: Training examples of a task whose profile does not say.
_TRAIN = {"digits": 1000}

_NEEDED = ("epochs", "checkpoints", "restarts", "algorithms", "model", "base", "grid")
_ARM = ("algorithms", "epochs", "restarts", "model", "base")

#: End of the name of a hyperparameter that counts steps and is stated in epochs of the whole budget.
_EPOCHS = "_epochs"


def table(profile: str, task: str) -> dict[str, Any]:
    """Return ``[<task>.annealed]`` of a profile; {} where it has none.

    Raises
    ------
    UsageError
        As `popview.runs.specs.settings`, or if one of its keys is unknown or missing.
    """
    found = specs.settings(profile, task).get("annealed", {})
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
    found = table(profile, task)
    beside = ("constant",) if "SWA" in found.get("algorithms", ()) else ()
    return (*ROUNDS, "annealed", *beside, *found.get("arms", {})) if found else ()


def searched(profile: str, task: str) -> tuple[str, ...]:
    """Return the algorithms that have a grid."""
    return tuple(table(profile, task).get("grid", {}))


def cells(profile: str, task: str, algorithm: str) -> list[dict[str, Any]]:
    """Return the settings that an algorithm's search tries: all combinations of the values in its grid."""
    grid = table(profile, task)["grid"].get(algorithm)
    if grid is None:
        return []
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def choices(profile: str, task: str) -> dict[str, dict[str, Any]]:
    """Return what `popview.runs.search.anneal` wrote: per algorithm its ``finalists``, as places among its cells, by
    their scores, and which of the cells was ``chosen``; only of a search as the profile now has it (see
    `record_of`)."""
    return {
        name: entry
        for name, entry in specs.searches(f"{profile}-annealed").get(task, {}).items()
        if entry.get("of") == record_of(profile, task, name)
    }


def record_of(profile: str, task: str, algorithm: str) -> str:
    """Return the digest of all that an algorithm's search depends on: its cells as specs, in both rounds."""
    found = table(profile, task)
    if algorithm not in found["grid"]:
        return ""
    every = [
        _spec(profile, task, algorithm, kind, cell, seed=0)
        for kind in ROUNDS
        for cell in cells(profile, task, algorithm)
    ]
    return specs.digest(json.dumps([spec.canonical for spec in every]))


def expand(
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
        As `popview.runs.specs.expand`.
    """
    found = table(profile, task)
    check_name(f"variant of {task} in profile {profile}", variant, variants(profile, task))
    if variant == "constant":
        ridden = expand(profile, task, "annealed", algorithms=("SWA",) if algorithms else None, restarts=restarts)
        return [spec.alongside for spec in ridden if spec.alongside]
    arm = found.get("arms", {}).get(variant, {})
    known = searched(profile, task) if variant in ROUNDS else arm.get("algorithms", found["algorithms"])
    for name in algorithms or ():
        check_name(f"algorithm with variant {variant} of {task} in profile {profile}", name, known)
    stack = specs.settings(profile, task)["stack"]
    made = []
    for name in algorithms or known:
        settings = _settings(profile, task, name, variant)
        if not settings and algorithms:
            raise UsageError(
                f"{name} on {task} has no {variant} setting in profile {profile}: "
                f"run `popview tune --profile {profile} --task {task} --annealed`"
            )
        if variant in ROUNDS:
            seeds: Iterable[int] = SEARCH_SEEDS[: 1 if variant == "cell" or stack > 1 else None]
        else:
            number = restarts or arm.get("restarts", found["restarts"])
            seeds = range(FIRST_SEED, FIRST_SEED + number, stack)
        made += [_spec(profile, task, name, variant, own, seed) for own in settings for seed in seeds]
    return made


def unsearched(
    profile: str, task: str, variant: str, known: Iterable[str], restarts: int | None = None
) -> dict[str, int]:
    """Return how many restarts `expand` will give of the algorithms that it leaves out until a search has chosen."""
    found = table(profile, task)
    arm, stack = found.get("arms", {}).get(variant, {}), specs.settings(profile, task)["stack"]
    if variant == "finalist":
        names, number = searched(profile, task), FINALISTS * (1 if stack > 1 else len(SEARCH_SEEDS)) * stack
    else:
        names = ("SGD",) if variant == "constant" else arm.get("algorithms", found["algorithms"])
        number = -(-(restarts or arm.get("restarts", found["restarts"])) // stack) * stack
    return {name: number for name in names if name not in set(known)} if variant != "cell" else {}


def _settings(profile: str, task: str, algorithm: str, variant: str) -> list[dict[str, Any]]:
    """Return what is added to an algorithm's own setting: for each cell or finalist, or the chosen one alone."""
    tried = cells(profile, task, algorithm)
    if variant == "cell":
        return tried
    known = choices(profile, task)
    entry = known.get(algorithm, {})
    if variant == "finalist":
        return [tried[place] for place in entry.get("finalists", [])]
    if tried:
        return [tried[entry["chosen"]]] if "chosen" in entry else []
    sgd = known.get("SGD", {})
    return [{"lr": cells(profile, task, "SGD")[sgd["chosen"]]["lr"]}] if "chosen" in sgd else []


def _spec(profile: str, task: str, algorithm: str, variant: str, own: dict[str, Any], seed: int) -> RunSpec:
    whole, found = specs.settings(profile, task), table(profile, task)
    arm = found.get("arms", {}).get(variant, {})
    epochs = arm.get("epochs", found["epochs"] // GRADIENTS_A_STEP.get(algorithm, 1))
    checkpoints = found["checkpoints"]
    if variant == "cell":
        epochs, checkpoints = max(1, epochs // PART), max(2, checkpoints // PART)
    model = whole["model"] | found["model"] | arm.get("model", {})
    steps = epochs * (model.get("train", _TRAIN.get(task, 0)) // model["batch_size"])
    stated = specs.base_of(found["base"], algorithm) | specs.base_of(arm.get("base", {}), algorithm) | own
    return RunSpec(
        task=task,
        profile=profile,
        algorithm=algorithm,
        variant=variant,
        seed=seed,
        restarts=whole["stack"],
        epochs=epochs,
        checkpoints=checkpoints,
        hyperparameters=_in_steps(stated, steps / found["epochs"]),
        model=model,
        schedule="constant" if algorithm == "SWA" else "annealed",
    )


def _in_steps(stated: dict[str, Any], steps_an_epoch: float) -> dict[str, Any]:
    """Turn hyperparameters that are stated in epochs of the whole budget into steps of this one."""
    return {
        name.removesuffix(_EPOCHS): max(1, round(value * steps_an_epoch)) if name.endswith(_EPOCHS) else value
        for name, value in stated.items()
    }
