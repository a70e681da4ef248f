"""A reader's own runs: an optimizer and a task by name, the book's or somebody's code. No torch here; nothing imported.

They lie in the folder ``own`` beside the store, and are found there by the names that a reader types. What a file says
of itself is compared with these, and never leads to code.
"""

import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from popview.common import read_log
from popview.common.errors import UsageError, check_name
from popview.common.folders import OWN, RESULTS
from popview.common.named_code import code_origin, is_reference
from popview.common.schemas import check
from popview.runs import store
from popview.runs.profiles import settings
from popview.runs.schemas import Budget
from popview.runs.specs import RunSpec

#: Profile, epochs and restarts of a task that no profile knows.
PROFILE, EPOCHS, RESTARTS = "own", 20, 10

#: Checkpoints of such a task, at most, beside the start.
CHECKPOINTS = 50


@dataclass(frozen=True)
class OwnSpec(RunSpec):
    """A run of a reader's own.

    Attributes
    ----------
    origins : dict
        Name of code → what pins it (`popview.common.named_code.code_origin`), of algorithm and task as far as they are
        code: so an edited optimizer has another digest.

    Examples
    --------
    >>> from popview.runs.own import OwnSpec
    >>> spec = OwnSpec("digits", "laptop", "torch.optim:NAdam", "base", 0, 1, 100, 51, hyperparameters={"lr": 0.01})
    >>> spec.shown, spec.command
    ('torch.optim:NAdam lr=0.01', 'popview run --optimizer torch.optim:NAdam -p lr=0.01 --profile laptop --task digits')
    """

    origins: dict[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The algorithm and its settings."""
        return " ".join([self.algorithm, *self._given()])

    def _given(self) -> list[str]:
        """Return the hyperparameters as they are typed."""
        texts = {
            name: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            for name, value in self.hyperparameters.items()
        }
        return [f"{name}={texts[name]}" for name in sorted(texts)]

    @property
    def command(self) -> str:
        """The command that computes it."""
        given = "".join(f" -p {text}" for text in self._given())
        scale = f"--epochs {self.epochs}" if is_reference(self.task) else f"--profile {self.profile}"
        return f"popview run --optimizer {self.algorithm}{given} {scale} --task {self.task}"

    @property
    def readers(self) -> bool:
        """It is a reader's own."""
        return True

    @property
    def alongside(self) -> list[RunSpec]:
        """Nothing: each is computed for itself."""
        return []

    @property
    def same_as(self) -> list[RunSpec]:
        """Nothing: each is computed for itself."""
        return []


def is_own(name: str) -> bool:
    """Whether the name of an algorithm is that of somebody's code, or has settings: a reader's own, then.

    Examples
    --------
    >>> from popview.runs.own import is_own
    >>> is_own("NiG-BH"), is_own("mymodule:MyOptimizer"), is_own("SGD lr=0.3")
    (False, True, True)
    """
    return is_reference(name) or " " in name


def own_specs(
    task: str,
    algorithm: str,
    given: dict[str, Any],
    *,
    profile: str = "laptop",
    restarts: int | None = None,
    epochs: int | None = None,
    stacked: bool = False,
) -> list[OwnSpec]:
    """Return the specs of an optimizer on a task, restart by restart or in stacks.

    Parameters
    ----------
    task, algorithm : str
        Names of the book's, or of code.
    given : dict
        Hyperparameters; all others keep the optimizer's own defaults.
    profile : str
        Of one of the book's tasks: it has model, epochs, checkpoints, and by default the restarts.
    restarts, epochs : int, optional
        A task of the book has its profile's epochs, since its results are compared at these.
    stacked : bool
        Whether several restarts of one of the book's tasks are trained as one stack, as the profile has it.

    Raises
    ------
    UsageError
        If a name is unknown, a number out of range, or there is no such code.
    """
    origins = {name: code_origin(name) for name in (algorithm, task) if is_reference(name)}
    if is_reference(task):
        epochs = EPOCHS if epochs is None else epochs
        table: dict[str, Any] = {"restarts": RESTARTS, "epochs": epochs, "model": {}, "stack": 1}
        table |= {"checkpoints": min(epochs, CHECKPOINTS) + 1 if isinstance(epochs, int) else 2}
        profile = PROFILE
    else:
        table = settings(profile, task)
        if epochs is not None:
            raise UsageError(
                f"{task} has {table['epochs']} epochs in profile {profile}: --epochs is for your own tasks"
            )
    wanted = table["restarts"] if restarts is None else restarts
    check(Budget, {"restarts": wanted} | {name: table[name] for name in ("epochs", "checkpoints")})
    size = min(table["stack"], wanted) if stacked else 1
    known = {name: table[name] for name in ("epochs", "checkpoints", "model")} | {"variant": "base", "restarts": size}
    known |= {"task": task, "profile": profile, "algorithm": algorithm, "hyperparameters": given, "origins": origins}
    return [OwnSpec(seed=seed, **known) for seed in range(0, wanted, size)]


def stored(
    task: str, name: str, *, profile: str = "laptop", epochs: int | None = None, root: Path = RESULTS
) -> list[OwnSpec]:
    """Return the specs of which a reader's own folder has results, of one optimizer on a task.

    Results of code that has been edited since, and of another budget than the profile's, are not among them.

    Parameters
    ----------
    task : str
    name : str
        Of the optimizer; with its settings, as `OwnSpec.shown` writes them, or without.
    profile, epochs
        As for `own_specs`.
    root : Path
        The store beside which the folder lies.

    Raises
    ------
    UsageError
        If there are none, or a file is damaged.
    """
    algorithm = name.partition(" ")[0]
    now = own_specs(task, algorithm, {}, profile=profile, epochs=epochs)[0]
    folder = root.with_name(OWN) / store.folder_of(now)
    read_log.record(folder)
    files = sorted(folder.glob("*.parquet"))
    every = [_spec_of(file) for file in files]
    same = ("task", "profile", "algorithm", "variant", "epochs", "checkpoints", "model", "origins")
    current = [one for one in every if all(getattr(one, field) == getattr(now, field) for field in same)]
    found = [one for one in current if store.path(one, root) in files and name in (algorithm, one.shown)]
    if found:
        return _without_repeats(found)
    if name != algorithm and current:
        check_name(f"optimizer with results on {task}", name, sorted({one.shown for one in current}))
    old = f" ({len(every)} files are of other code or another budget)" if every else ""
    texts = dict(part.split("=", 1) for part in name.split(" ")[1:] if "=" in part)
    command = replace(now, hyperparameters=texts).command
    raise UsageError(f"no results of {name} on {task} as it is now{old}: compute them with `{command}`")


def _without_repeats(specs: list[OwnSpec]) -> list[OwnSpec]:
    """Return specs so that no seed of an optimizer comes twice: of two stacks with the same seeds the larger one."""
    kept: list[OwnSpec] = []
    for one in sorted(specs, key=lambda one: (one.shown, -one.restarts, one.seed)):
        if not any(one.shown == other.shown and {*one.seeds} & {*other.seeds} for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: (one.shown, one.seed))


def _spec_of(file: Path) -> OwnSpec:
    told = store.contents(file)[1]["spec"]
    try:
        return OwnSpec(**{one.name: told[one.name] for one in fields(OwnSpec) if one.name in told})
    except TypeError as error:
        raise UsageError(f"{file} is no run of a reader's own: remove it") from error


def resolved(task: str, name: str, **options: Any) -> str:
    """Return the one name with settings that a name stands for; see `stored`.

    Raises
    ------
    UsageError
        If there are several, or none.
    """
    labels = list(dict.fromkeys(one.shown for one in stored(task, name, **options)))
    if len(labels) > 1:
        raise UsageError(f"{name} has been run with several settings on {task}, say which: {'; '.join(labels)}")
    return labels[0]
