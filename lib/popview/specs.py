"""What is to be run: a spec names one trajectory file, a profile expands into specs. No torch here."""

import hashlib
import json
import math
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from popview import reads
from popview.errors import UsageError, check_name

__all__ = ["PROFILES", "RunSpec", "expand", "settings", "tasks"]

#: Raised when the arithmetic of an algorithm or of a task changes, so that its old results count as missing.
REVISIONS: dict[str, int] = {}


@dataclass(frozen=True)
class RunSpec:
    """Everything that determines a trajectory; `digest` names it.

    What enters the digest is every field below, and the revisions of the task and of the algorithm (1 unless
    `REVISIONS` says more). What does not: the machine, the number of workers, the profile's other settings.

    Attributes
    ----------
    task, profile, algorithm, variant : str
        `variant` is "base" or "tuned".
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

    @property
    def canonical(self) -> str:
        """The spec and its revisions as JSON with sorted keys and no spaces."""
        revisions = {"task": REVISIONS.get(self.task, 1), "algorithm": REVISIONS.get(self.algorithm, 1)}
        return json.dumps({**asdict(self), "revisions": revisions}, sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of `canonical`."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:16]

    @property
    def seeds(self) -> range:
        """The seeds of the restarts."""
        return range(self.seed, self.seed + self.restarts)


FOLDER = Path(__file__).parent / "profiles"
PROFILES = tuple(sorted(file.stem for file in FOLDER.glob("*.toml")))

#: What a task's table in a profile holds.
_SETTINGS = ("restarts", "stack", "epochs", "checkpoints", "margin", "algorithms", "model", "base")

#: What `expand` may change, and the least that it may be.
_CHANGES = {"epochs": 1, "checkpoints": 2}


def _profile(profile: str) -> dict[str, dict[str, Any]]:
    check_name("profile", profile, PROFILES)
    file = FOLDER / f"{profile}.toml"
    reads.record(file)
    return tomllib.loads(file.read_text("utf-8"))


def tasks(profile: str) -> tuple[str, ...]:
    """Return the names of a profile's tasks."""
    return tuple(_profile(profile))


def settings(profile: str, task: str) -> dict[str, Any]:
    """Return a task's table in a profile (``lib/popview/profiles/<profile>.toml``).

    Raises
    ------
    UsageError
        If the profile, the task or one of the table's keys is unknown.
    """
    tables = _profile(profile)
    check_name(f"task of profile {profile}", task, tables)
    for key in tables[task]:
        check_name(f"key of {task} in profile {profile}", key, _SETTINGS)
    for name, value in tables[task]["base"].items():
        if isinstance(value, dict):
            check_name(f"algorithm in base of {task} in profile {profile}", name, tables[task]["algorithms"])
    return tables[task]


def expand(
    profile: str,
    task: str,
    *,
    algorithms: tuple[str, ...] | None = None,
    restarts: int | None = None,
    hyperparameters: dict[str, Any] | None = None,
    **changes: Any,
) -> list[RunSpec]:
    """Return the specs of a task in a profile: every algorithm, in stacks of restarts that cover those wanted.

    Parameters
    ----------
    algorithms : tuple of str, optional
        Some of the profile's.
    restarts : int, optional
        Restarts per algorithm; the last stack may hold more.
    hyperparameters : dict, optional
        Change these hyperparameters of every algorithm.
    **changes
        Other fields of `RunSpec` to change (`epochs`, `checkpoints`).

    Raises
    ------
    UsageError
        If a name is unknown, `restarts` or `epochs` below 1, or `checkpoints` below 2 (the start and the end).
    """
    table = settings(profile, task)
    for name in changes:
        check_name("change", name, _CHANGES)
    wanted = table["restarts"] if restarts is None else restarts
    budget = {"epochs": table["epochs"], "checkpoints": table["checkpoints"]} | changes
    for name, value, least in (("restarts", wanted, 1), *((n, budget[n], least) for n, least in _CHANGES.items())):
        if value < least:
            raise UsageError(f"{name} must be {least} or above, got {value!r}")
    for algorithm in algorithms or ():
        check_name(f"algorithm of {task} in profile {profile}", algorithm, table["algorithms"])
    return [
        RunSpec(
            task=task,
            profile=profile,
            algorithm=algorithm,
            variant="base",
            seed=stack * table["stack"],
            restarts=table["stack"],
            hyperparameters=_base(table["base"], algorithm) | (hyperparameters or {}),
            model=table["model"],
            **budget,
        )
        for algorithm in algorithms or table["algorithms"]
        for stack in range(math.ceil(wanted / table["stack"]))
    ]


def _base(base: dict[str, Any], algorithm: str) -> dict[str, Any]:
    """Merge the hyperparameters common to all with the algorithm's own; ``common = false`` there takes only its own."""
    own = dict(base.get(algorithm, {}))
    common = {name: value for name, value in base.items() if not isinstance(value, dict)}
    return (common if own.pop("common", True) else {}) | own
