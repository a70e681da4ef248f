"""What names one file of the store, and all that determines it. No torch here."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

#: "base": the profile's one setting per algorithm; "trial": the settings that a search tries, base among them, at half
#: the budget; "tuned": the best of these, with other seeds.
VARIANTS = ("base", "tuned", "trial")


#: Variant that is a step of a search → what `popview tune` is given for it.
SEARCHES = {"trial": "", "cell": " --annealed", "finalist": " --annealed"}


#: Seed of every trial, far from those of the restarts.
TRIAL_SEED = 10_000


#: Seed of the first restart that is trained with settings chosen on a grid, unless a profile says a later one: base
#: restarts have those below.
FIRST_SEED = 100


#: Hyperparameters that SGD does not have, of the algorithms whose runs may be SGD's.
_OWN = {"SWA": ("average_from", "average_every"), "NiM-SGD": ("rho", "noise", "scope", "tau", "epsilon", "noise_until")}


#: Raised when the arithmetic of an algorithm or of a task changes, so that its old results count as missing.
REVISIONS: dict[str, int] = {}


#: JSON with sorted keys and no spaces.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Part:
    """What names a file of the store, and knows how it comes about: one part of an experiment.

    Attributes
    ----------
    profile, task, algorithm : str
    seed : int
    experiment : str
        The folder of results, and of profiles, that it belongs to: "optimizers", "solutions", or a grid's name.
    labels : mapping
        What else tells it from others: file names begin with the values, and in tables each is a column.
    canonical : str
        All that determines it, as JSON.
    command : str
        The command that computes it, as it is typed.
    """

    profile: str
    task: str
    algorithm: str
    seed: int

    @property
    def experiment(self) -> str:
        raise NotImplementedError

    @property
    def labels(self) -> Mapping[str, Any]:
        raise NotImplementedError

    @property
    def canonical(self) -> str:
        raise NotImplementedError

    @property
    def command(self) -> str:
        raise NotImplementedError

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of `canonical`."""
        return digest(self.canonical)

    @property
    def sources(self) -> Sequence["Part"]:
        """Parts that must be there before, with their weights."""
        return ()

    @property
    def alongside(self) -> Sequence["Part"]:
        """Parts that computing this one serves as well."""
        return ()

    @property
    def same_as(self) -> Sequence["Part"]:
        """Parts whose files may have the same rows; `popview.runs.training.taken` says whether one has."""
        return ()

    @property
    def keeps_weights(self) -> bool:
        """Whether its models' weights are always kept beside its file, though not in git."""
        return False

    @property
    def readers(self) -> bool:
        """Whether it is a reader's own, whose file lies outside the store."""
        return False


def digest(canonical: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a spec's canonical JSON."""
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RunSpec(Part):
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

    Examples
    --------
    >>> from popview.runs.specs import RunSpec
    >>> spec = RunSpec("digits", "mine", "SGD", "base", seed=0, restarts=5, epochs=10, checkpoints=3)
    >>> list(spec.seeds), len(spec.digest), spec.command
    ([0, 1, 2, 3, 4], 16, 'popview run --profile mine --task digits')
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
        """The spec and its revisions as JSON with sorted keys and no spaces.

        Without a schedule that is constant, as all were before there were others, and without what names a `GridSpec`.
        """
        revisions = {"task": REVISIONS.get(self.task, 1), "algorithm": REVISIONS.get(self.algorithm, 1)}
        content = {**vars(self), "revisions": revisions}
        if self.schedule == "constant":
            del content["schedule"]
        for name in ("axes", "arm"):
            content.pop(name, None)
        return _encode(content)

    @property
    def command(self) -> str:
        """The command that computes it."""
        where = f"--profile {self.profile} --task {self.task}"
        if self.variant in SEARCHES:
            return f"popview tune {where}{SEARCHES[self.variant]}"
        return f"popview run {where}{'' if self.variant == 'base' else f' --variant {self.variant}'}"

    @property
    def experiment(self) -> str:
        """The folder of results that it belongs to."""
        return "optimizers"

    @property
    def labels(self) -> dict[str, Any]:
        """What else tells it from others: the variant."""
        return {"variant": self.variant}

    @property
    def alongside(self) -> list["RunSpec"]:
        """What a run of this one serves as well: SWA averages along SGD's own trajectory; nothing in a search."""
        return [] if self.variant in SEARCHES else self._as_sgd("SWA")

    @property
    def same_as(self) -> list["RunSpec"]:
        """Specs whose rows may be this one's: a base one, where a search has chosen its setting; of NiM-SGD, SGD."""
        return [*self._as_base(), *self._as_sgd("NiM-SGD")]

    @property
    def extent(self) -> str:
        """How much is measured at the end: see `popview.runs.final_measures.measures`."""
        if self.variant == "trial":
            return "brief"
        if self.variant in SEARCHES:
            return "scores"
        return "sample" if self.variant in VARIANTS else "whole"

    def _as_base(self) -> list["RunSpec"]:
        """Return the base spec that a tuned one is, if its search has chosen the base setting; of others none."""
        return [replace(self, variant="base")] if self.variant == "tuned" else []

    def _as_sgd(self, algorithm: str) -> list["RunSpec"]:
        """Return the SGD that a spec of this algorithm contains; of other algorithms none."""
        if self.algorithm != algorithm:
            return []
        common = {name: value for name, value in self.hyperparameters.items() if name not in _OWN[algorithm]}
        variant = "constant" if self.extent == "whole" and self.schedule == "constant" else self.variant
        return [replace(self, algorithm="SGD", variant=variant, hyperparameters=common)]

    @property
    def shown(self) -> str:
        """The algorithm, as tables name it."""
        return self.algorithm

    @property
    def seeds(self) -> range:
        """The seeds of the restarts."""
        return range(self.seed, self.seed + self.restarts)


@dataclass(frozen=True)
class GridSpec(RunSpec):
    """A point of a grid over hyperparameters: an experiment of its own, named by its variant.

    Attributes
    ----------
    axes : tuple of str
        The hyperparameters, and settings of the model, that vary; they enter the digest as such only.
    arm : str
        The name of a change that is made alone; what it changes enters the digest, and the name does not.

    Examples
    --------
    >>> from popview.runs.specs import GridSpec
    >>> settings = {"seed": 0, "restarts": 5, "epochs": 10, "checkpoints": 3}
    >>> spec = GridSpec("digits", "mine", "SAM", "noise", **settings, hyperparameters={"rho": 0.5}, axes=("rho",))
    >>> spec.experiment, spec.labels
    ('noise', {'rho': 0.5})
    """

    axes: tuple[str, ...] = ()
    arm: str = ""

    @property
    def experiment(self) -> str:
        """The grid's name."""
        return self.variant

    @property
    def labels(self) -> dict[str, Any]:
        """The name of an arm; else the values of what varies; those that an algorithm lacks are left out."""
        settings = {**self.model, **self.hyperparameters}
        return {"arm": self.arm} if self.arm else {name: settings[name] for name in self.axes if name in settings}

    @property
    def alongside(self) -> list[RunSpec]:
        """What a run of this one serves as well; an arm has a file of its own, and no other."""
        return [] if self.arm else super().alongside

    @property
    def extent(self) -> str:
        """As much as of base settings is measured at the end."""
        return "sample"

    @property
    def command(self) -> str:
        """The command that computes it."""
        return f"popview run --experiment {self.variant} --profile {self.profile} --task {self.task}"

    def _as_base(self) -> list[RunSpec]:
        """Return the base spec of the same settings: a point of the grid may be the base setting."""
        own = {f.name: getattr(self, f.name) for f in fields(RunSpec)}
        return [RunSpec(**own | {"variant": "base"})]
