"""What is to be run: a spec names one trajectory file, a profile expands into specs. No torch here."""

import hashlib
import json
import math
import tomllib
from collections.abc import Collection
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from popview.common import read_log
from popview.common.errors import UsageError, check_name

__all__ = [
    "VARIANTS",
    "RunSpec",
    "Stored",
    "base_of",
    "digest",
    "expand",
    "restarts_of",
    "search",
    "searched",
    "searched_as",
    "searches",
    "settings",
    "tables",
    "tasks",
    "unchanged",
    "unsearched",
]

#: "base": the profile's one setting per algorithm; "trial": the settings that a search tries, base among them, at half
#: the budget; "tuned": the best of these, with other seeds.
VARIANTS = ("base", "tuned", "trial")

#: Variant that is a step of a search → what `popview tune` is given for it.
SEARCHES = {"trial": "", "cell": " --annealed", "finalist": " --annealed"}

#: Seed of every trial, far from those of the restarts.
TRIAL_SEED = 10_000

#: Fields that came later: they enter the digest only where they differ from this, what they were before.
_ADDED = {"schedule": "constant"}

#: Hyperparameters that count steps: where a trial has half the steps, it has half of these.
_STEPS = ("tau", "average_from", "average_every")

#: Hyperparameters that SGD does not have, of the algorithms whose runs may be SGD's.
_OWN = {"SWA": ("average_from", "average_every"), "NiM-SGD": ("rho", "noise", "scope", "tau", "epsilon", "noise_until")}

#: Raised when the arithmetic of an algorithm or of a task changes, so that its old results count as missing.
REVISIONS: dict[str, int] = {}


class Stored(Protocol):
    """What names a file of the store, and the command that computes it."""

    @property
    def profile(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def variant(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def command(self) -> str: ...
    @property
    def alongside(self) -> "Stored | None": ...


def digest(canonical: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a spec's canonical JSON."""
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RunSpec:
    """Everything that determines a trajectory; `digest` names it.

    What enters the digest is every field below, and the revisions of the task and of the algorithm (1 unless
    `REVISIONS` says more). What does not: the machine, the number of workers, the profile's other settings.

    Attributes
    ----------
    task, profile, algorithm, variant : str
        `variant` is one of `VARIANTS`.
    hyperparameters : dict
        Of the optimizer.
    seed : int
        Of the first restart; restart i of a stack has ``seed + i``.
    restarts : int
        Restarts trained as one stacked population; their trajectories share a file.
    epochs : int
        The budget: passes over the training split. Gradient evaluations are counted in the table.
    checkpoints : int
        Evaluations, spread evenly over the epochs.
    model : dict
        Settings of the task: model and batch size.
    schedule : {"constant", "annealed"}
        Of the learning rate: see `popview.runs.schedules`.
    """

    task: str
    profile: str
    algorithm: str
    variant: str
    seed: int
    restarts: int
    epochs: int
    checkpoints: int
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    schedule: str = "constant"

    @property
    def canonical(self) -> str:
        """The spec and its revisions as JSON with sorted keys and no spaces; later fields where they change a run."""
        revisions = {"task": REVISIONS.get(self.task, 1), "algorithm": REVISIONS.get(self.algorithm, 1)}
        fields = {name: value for name, value in vars(self).items() if _ADDED.get(name) != value}
        return json.dumps({**fields, "revisions": revisions}, sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of `canonical`."""
        return digest(self.canonical)

    @property
    def command(self) -> str:
        """The command that computes it."""
        where = f"--profile {self.profile} --task {self.task}"
        if self.variant in SEARCHES:
            return f"`popview tune {where}{SEARCHES[self.variant]}`"
        return f"`popview run {where}{'' if self.variant == 'base' else f' --variant {self.variant}'}`"

    @property
    def alongside(self) -> "RunSpec | None":
        """The spec that a run of this one serves as well: SWA averages along SGD's own trajectory; none in a search."""
        return None if self.variant in SEARCHES else self._as_sgd("SWA")

    @property
    def extent(self) -> str:
        """How much is measured at the end: see `popview.runs.final_measures.measures`."""
        if self.variant == "trial":
            return "brief"
        if self.variant in SEARCHES:
            return "scores"
        return "sample" if self.variant in VARIANTS else "whole"

    @property
    def silent(self) -> "RunSpec | None":
        """The spec whose rows are this one's if its noise never fires: NiM-SGD is SGD then."""
        return self._as_sgd("NiM-SGD")

    @property
    def twin(self) -> "RunSpec | None":
        """The base spec whose rows are this one's if a search has chosen the base setting; None of a base spec."""
        return replace(self, variant="base") if self.variant == "tuned" else None

    def _as_sgd(self, algorithm: str) -> "RunSpec | None":
        """Return the SGD that a spec of this algorithm contains; of another there is none."""
        if self.algorithm != algorithm:
            return None
        common = {name: value for name, value in self.hyperparameters.items() if name not in _OWN[algorithm]}
        beside_annealed = self.schedule == "constant" and self.variant not in VARIANTS
        variant = "constant" if beside_annealed else self.variant
        return replace(self, algorithm="SGD", variant=variant, hyperparameters=common)

    @property
    def seeds(self) -> range:
        """The seeds of the restarts."""
        return range(self.seed, self.seed + self.restarts)


FOLDER = Path(__file__).parent / "profiles" / "optimizers"

#: What a task's table in a profile holds, and may hold: `tuned_restarts` where they are fewer than the base ones.
_NEEDED = ("restarts", "stack", "epochs", "checkpoints", "margin", "algorithms", "model", "base")
_SETTINGS = (*_NEEDED, "tuned_restarts", "search", "annealed")

#: Whole numbers, and the least that they may be: in a task's table (`expand` may change the last two), in its model's.
_WHOLE = {"restarts": 1, "tuned_restarts": 1, "stack": 1, "epochs": 1, "checkpoints": 2}
_CHANGES = ("epochs", "checkpoints")
_SIZES = {"frozen": 0} | dict.fromkeys(
    ("hidden", "width", "length", "train", "validation", "evaluated", "tested", "batch_size"), 1
)
_MODEL: dict[str, type] = dict.fromkeys(
    ("augmented", "pretrained", "curvature", "shared", "fixed_validation", "base_rates"), bool
) | dict.fromkeys(("network", "model", "data", "config", "precision"), str)
_KINDS = {"algorithms": list, "model": dict, "base": dict, "search": dict, "annealed": dict}


def tables(profile: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the tables of a profile in a folder of profiles, ``<folder>/<profile>.toml``.

    Raises
    ------
    UsageError
        If the profile is unknown or cannot be read.
    """
    check_name("profile", profile, sorted(file.stem for file in folder.glob("*.toml")))
    file = folder / f"{profile}.toml"
    read_log.record(file)
    try:
        found = _parsed(file.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"profile {profile} ({file}) cannot be read: {error}") from error
    return {name: _inherited(found, name, profile) for name in found}


def _inherited(known: dict[str, Any], name: str, profile: str, heirs: tuple[str, ...] = ()) -> Any:
    """Return a table of a profile, completed by the one that it is ``like``, if it says so."""
    table = known[name]
    if not isinstance(table, dict) or "like" not in table:
        return table
    check_name(f"table that {name} in profile {profile} is like", table["like"], [*known])
    if table["like"] in (*heirs, name):
        chain = [*heirs, name, table["like"]]
        raise UsageError(f"{chain[0]} in profile {profile} is like itself: {' → '.join(chain)}")
    own = {key: value for key, value in table.items() if key != "like"}
    return _merged(_inherited(known, table["like"], profile, (*heirs, name)), own)


def _merged(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a table with changes; what is a table in both is merged in turn."""
    both = {
        key: _merged(table[key], value) if isinstance(value, dict) and isinstance(table.get(key), dict) else value
        for key, value in changes.items()
    }
    return table | both


def _profile(profile: str) -> dict[str, dict[str, Any]]:
    return tables(profile, FOLDER)


_parsed = cache(tomllib.loads)


def tasks(profile: str) -> tuple[str, ...]:
    """Return the names of a profile's tasks."""
    return tuple(_profile(profile))


def settings(profile: str, task: str) -> dict[str, Any]:
    """Return a task's table in a profile (``lib/popview/runs/profiles/optimizers/<profile>.toml``).

    Raises
    ------
    UsageError
        If the profile or the task is unknown, one of the table's keys unknown or missing, or a value out of range.
    """
    known = _profile(profile)
    check_name(f"task of profile {profile}", task, known)
    table = deepcopy(known[task])
    if not isinstance(table, dict):
        raise UsageError(f"{task} in profile {profile} must be a table, [{task}]")
    for key in table:
        check_name(f"key of {task} in profile {profile}", key, _SETTINGS)
    _check_values(table, f"of {task} in profile {profile}")
    for group in ("base", "search"):
        for name, value in table.get(group, {}).items():
            if isinstance(value, dict):
                check_name(f"algorithm in {group} of {task} in profile {profile}", name, table.get("algorithms", ()))
    for key in _NEEDED:
        if key not in table:
            raise UsageError(f"{task} in profile {profile} has no {key}")
    return table


def _check_values(table: dict[str, Any], where: str) -> None:
    """Raise UsageError for a value of a task's table that is of another kind, or out of range."""
    for key, kind in _KINDS.items():
        if not isinstance(table.get(key, kind()), kind):
            what = "a list of names" if kind is list else "a table"
            raise UsageError(f"{key} {where} must be {what}, got {table[key]!r}")
    for names, values in ((_WHOLE, table), (_SIZES, table.get("model", {}))):
        for key in names.keys() & values.keys():
            for value in values[key] if key == "hidden" and isinstance(values[key], list) else [values[key]]:
                _check_whole(f"{key} {where}", value, names[key])
    for key, value in table.get("model", {}).items():
        if key in _MODEL and not isinstance(value, _MODEL[key]):
            what = "true or false" if _MODEL[key] is bool else "a name"
            raise UsageError(f"{key} {where} must be {what}, got {value!r}")
    if "trials" in table.get("search", {}):
        _check_whole(f"trials in [search] {where}", table["search"]["trials"], 1)
    if table.get("tuned_restarts", 1) > table.get("restarts", math.inf):
        raise UsageError(f"tuned_restarts {where} must be at most its restarts: base ones come first")
    margin = table.get("margin", 1)
    if not isinstance(margin, int | float) or not 0 < margin < math.inf:
        raise UsageError(f"margin {where} must be a number above 0, got {margin!r}")


def _check_whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{name} must be a whole number, {least} or above, got {value!r}")


def restarts_of(profile: str, task: str, variant: str = "base") -> int:
    """Return how many restarts a profile wants of each algorithm of a task.

    Raises
    ------
    UsageError
        As `settings`.
    """
    return _restarts(settings(profile, task), variant)


def _restarts(table: dict[str, Any], variant: str) -> int:
    return int(table.get("tuned_restarts", table["restarts"]) if variant == "tuned" else table["restarts"])


def search(profile: str, task: str) -> dict[str, dict[str, Any]]:
    """Return what `popview.runs.search` wrote: per algorithm the settings of its ``trials``, and which was ``chosen``.

    Empty where nothing was drawn yet; without ``chosen`` where the trials have not all run. An algorithm whose trials
    would be others as the profile stands now (`searched_as`) has to be searched again.
    """
    table = settings(profile, task)
    found = searches(profile).get(task, {})
    return {
        name: tried
        for name, tried in found.items()
        if tried.get("of") == _searched_as(table, profile, task, name, tried["trials"])
    }


def unchanged(profile: str, task: str) -> list[str]:
    """Return the algorithms of which a search chose the base setting: their tuned restarts are the base ones."""
    base = {spec.digest for spec in expand(profile, task)}
    tuned = expand(profile, task, variant="tuned")
    return list(dict.fromkeys(spec.algorithm for spec in tuned if spec.twin and spec.twin.digest in base))


def searched_as(profile: str, task: str, algorithm: str, trials: list[dict[str, Any]]) -> str:
    """Return the digest of all that an algorithm's search depends on: its trials as specs, and the profile's ranges."""
    return _searched_as(settings(profile, task), profile, task, algorithm, trials)


def _searched_as(table: dict[str, Any], profile: str, task: str, algorithm: str, trials: list[dict[str, Any]]) -> str:
    space = table.get("search", {})
    common = {name: span for name, span in space.items() if not isinstance(span, dict)}
    specs = _built(table, algorithm, "trial", trials, profile=profile, task=task, **_budget(table, "trial"))
    ranges = {"common": common, "own": space.get(algorithm, {})}
    return digest(json.dumps([ranges, *(spec.canonical for spec in specs)], sort_keys=True))


def searches(profile: str) -> dict[str, dict[str, Any]]:
    """Return what `search` does for each task."""
    file = FOLDER.parent / "searches" / f"{profile}.json"
    read_log.record(file)
    try:
        return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}
    except (TypeError, ValueError) as error:
        raise UsageError(f"{file} cannot be read ({error}): remove it and run `popview tune` again") from error


def expand(
    profile: str,
    task: str,
    *,
    algorithms: tuple[str, ...] | None = None,
    restarts: int | None = None,
    variant: str = "base",
    hyperparameters: dict[str, Any] | None = None,
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
        One of `VARIANTS` or of `popview.runs.annealed.variants`; those of the latter take no changes.
    hyperparameters : dict, optional
        Change these hyperparameters of every algorithm.
    **changes
        Other fields of `RunSpec` to change (`epochs`, `checkpoints`).

    Raises
    ------
    UsageError
        If a name is unknown, `restarts` or `epochs` below 1, `checkpoints` below 2 (the start and the end), or an
        algorithm asked for by name has no trials, or none chosen.
    """
    table = settings(profile, task)
    if variant not in VARIANTS:
        from popview.runs import annealed  # it builds on this module

        more = annealed.variants(profile, task)
        check_name("variant", variant, (*VARIANTS, *more))
        return annealed.expand(profile, task, variant, algorithms=algorithms, restarts=restarts)
    for name in changes:
        check_name("change", name, _CHANGES)
    wanted = _restarts(table, variant) if restarts is None else restarts
    budget = _budget(table, variant) | changes
    for name, value in {"restarts": wanted, **budget}.items():
        _check_whole(name, value, _WHOLE[name])
    for algorithm in algorithms or ():
        check_name(f"algorithm of {task} in profile {profile}", algorithm, table["algorithms"])
    entries = {} if variant == "base" else search(profile, task)
    found = []
    for algorithm in algorithms or table["algorithms"]:
        tried = entries.get(algorithm, {})
        varied: list[dict[str, Any]] = [{}] if variant == "base" else tried.get("trials", [])
        if variant == "tuned":
            varied = [varied[tried["chosen"]]] if "chosen" in tried else []
        if not varied and algorithms is not None:
            command = f"`popview tune --profile {profile} --task {task} --algorithm {algorithm}`"
            raise UsageError(f"{algorithm} on {task} has no {variant} setting in profile {profile}: run {command}")
        stacks = 1 if variant == "trial" else math.ceil(wanted / table["stack"])
        some = _built(table, algorithm, variant, varied, stacks, profile=profile, task=task, **budget)
        changed = hyperparameters or {}
        found += [replace(spec, hyperparameters=spec.hyperparameters | changed) for spec in some]
    return found


def _budget(table: dict[str, Any], variant: str) -> dict[str, int]:
    """Return a task's epochs and checkpoints, of a trial half of them."""
    budget = {name: table[name] for name in _CHANGES}
    return {name: max(-(-value // 2), _WHOLE[name]) for name, value in budget.items()} if variant == "trial" else budget


def _built(
    table: dict[str, Any],
    algorithm: str,
    variant: str,
    varied: list[dict[str, Any]],
    stacks: int = 1,
    **fields: Any,
) -> list[RunSpec]:
    """Return the specs of an algorithm: each of the varied settings, in so many stacks; `fields` are their others."""
    own = base_of(table["base"], algorithm)
    return [
        RunSpec(
            algorithm=algorithm,
            variant=variant,
            seed=TRIAL_SEED if variant == "trial" else stack * table["stack"],
            restarts=table["stack"],
            hyperparameters=_shortened(own | more, variant),
            model=table["model"],
            **fields,
        )
        for more in varied
        for stack in range(stacks)
    ]


def searched(profile: str, task: str) -> tuple[str, ...]:
    """Return the algorithms of a task that a profile says to search for: those with a table in ``[<task>.search]``."""
    space = settings(profile, task).get("search", {})
    return tuple(name for name, value in space.items() if isinstance(value, dict))


def unsearched(
    profile: str, task: str, variant: str, found: Collection[str], restarts: int | None = None
) -> dict[str, int]:
    """Return how many restarts `expand` will give of the algorithms that it leaves out until their search gets there.

    These are all that a search is for but those `found` by `expand`: algorithms without trials, or without a choice.
    """
    if variant == "base":
        return {}
    if variant not in VARIANTS:
        from popview.runs import annealed

        return annealed.unsearched(profile, task, variant, found, restarts)
    table = settings(profile, task)
    stacks = math.ceil((restarts or _restarts(table, variant)) / table["stack"])
    number = table.get("search", {}).get("trials", 0) if variant == "trial" else stacks
    return {one: number * table["stack"] for one in searched(profile, task) if one not in found}


def _shortened(hyperparameters: dict[str, Any], variant: str) -> dict[str, Any]:
    """Halve what counts steps for a trial, so that it has as many hops as a whole run."""
    steps = {name: hyperparameters[name] for name in _STEPS if name in hyperparameters}
    half = {name: -(-value // 2) for name, value in steps.items() if isinstance(value, int | float)}
    return hyperparameters | (half if variant == "trial" else {})


def base_of(base: dict[str, Any], algorithm: str) -> dict[str, Any]:
    """Merge the hyperparameters common to all with the algorithm's own; ``common = false`` there takes only its own."""
    own = dict(base.get(algorithm, {}))
    common = {name: value for name, value in base.items() if not isinstance(value, dict)}
    return (common if own.pop("common", True) else {}) | own
