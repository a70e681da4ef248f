"""What names one file of the store, and all that determines it. No torch here."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

__all__ = ["REVISIONS", "SEARCHES", "TRIAL_SEED", "VARIANTS", "Finished", "GridSpec", "Part", "RunSpec", "digest"]

#: "base": the profile's one setting per algorithm; "trial": the settings that a search tries, base among them, at half
#: the budget; "tuned": the best of these, with other seeds.
VARIANTS = ("base", "tuned", "trial")


#: Variant that is a step of a search → what `popview tune` is given for it.
SEARCHES = {"trial": "", "cell": " --annealed", "finalist": " --annealed"}


#: Seed of every trial, far from those of the restarts.
TRIAL_SEED = 10_000


#: Fields that came later: they enter the digest only where they differ from this, what they were before.
_ADDED = {"schedule": "constant"}


#: Hyperparameters that SGD does not have, of the algorithms whose runs may be SGD's.
_OWN = {"SWA": ("average_from", "average_every"), "NiM-SGD": ("rho", "noise", "scope", "tau", "epsilon", "noise_until")}


#: Raised when the arithmetic of an algorithm or of a task changes, so that its old results count as missing.
REVISIONS: dict[str, int] = {}


#: JSON with sorted keys and no spaces.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Part(Protocol):
    """What names a file of the store, and knows how it comes about: one part of an experiment.

    Attributes
    ----------
    experiment : str
        The folder of results, and of profiles, that it belongs to: "optimizers", "solutions", or a grid's name.
    profile, task, algorithm : str
    seed : int
    labels : mapping
        What else tells it from others: file names begin with the values, and in tables each is a column.
    digest : str
    command : str
        The command that computes it, as it is typed.
    sources : sequence of Part
        Parts that must be there before, with their weights.
    alongside : sequence of Part
        Parts that computing this one serves as well.
    same_as : sequence of Part
        Parts whose files may have the same rows; `popview.runs.computing.rows_taken` says whether one has.
    keeps_weights : bool
        Whether its models' weights are always kept beside its file, though not in git.
    """

    @property
    def experiment(self) -> str: ...
    @property
    def profile(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def labels(self) -> Mapping[str, Any]: ...
    @property
    def canonical(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def command(self) -> str: ...
    @property
    def sources(self) -> Sequence["Part"]: ...
    @property
    def alongside(self) -> Sequence["Part"]: ...
    @property
    def same_as(self) -> Sequence["Part"]: ...
    @property
    def keeps_weights(self) -> bool: ...


class Finished(Protocol):
    """A computed part: its table, and the state that holds its models' weights."""

    @property
    def spec(self) -> Part: ...
    @property
    def table(self) -> Any: ...
    @property
    def weights(self) -> dict[str, Any]: ...


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
        """The spec and its revisions as JSON with sorted keys and no spaces; later fields where they change a run."""
        revisions = {"task": REVISIONS.get(self.task, 1), "algorithm": REVISIONS.get(self.algorithm, 1)}
        told = self._fields()
        for name, before in _ADDED.items():
            if told[name] == before:
                del told[name]
        return _encode({**told, "revisions": revisions})

    def _fields(self) -> dict[str, Any]:
        """Return the fields that may enter the digest."""
        return {**vars(self)}

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of `canonical`."""
        return digest(self.canonical)

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
    def sources(self) -> list[Part]:
        """Nothing has to be there before."""
        return []

    @property
    def keeps_weights(self) -> bool:
        """Weights are kept on request only."""
        return False

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
    def seeds(self) -> range:
        """The seeds of the restarts."""
        return range(self.seed, self.seed + self.restarts)


@dataclass(frozen=True)
class GridSpec(RunSpec):
    """A point of a grid over hyperparameters: an experiment of its own, named by its variant.

    Attributes
    ----------
    axes : tuple of str
        The hyperparameters that vary; they enter the digest as hyperparameters only.

    Examples
    --------
    >>> from popview.runs.specs import GridSpec
    >>> settings = {"seed": 0, "restarts": 5, "epochs": 10, "checkpoints": 3}
    >>> spec = GridSpec("digits", "mine", "SAM", "noise", **settings, hyperparameters={"rho": 0.5}, axes=("rho",))
    >>> spec.experiment, spec.labels
    ('noise', {'rho': 0.5})
    """

    axes: tuple[str, ...] = ()

    def _fields(self) -> dict[str, Any]:
        """Return the fields that may enter the digest: not the axes."""
        return {name: value for name, value in vars(self).items() if name != "axes"}

    @property
    def experiment(self) -> str:
        """The grid's name."""
        return self.variant

    @property
    def labels(self) -> dict[str, Any]:
        """The values of the hyperparameters that vary; those that an algorithm lacks are left out."""
        return {name: self.hyperparameters[name] for name in self.axes if name in self.hyperparameters}

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
