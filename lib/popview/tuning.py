"""Search for hyperparameters: quasi-random trials over a published space, the best chosen on the validation split."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import qmc

from popview import engine, populations, specs, store
from popview.errors import UsageError
from popview.paths import TRAJECTORIES
from popview.seeds import stream

__all__ = ["choose", "draw", "score", "tune"]


def draw(profile: str, task: str, algorithm: str) -> list[dict[str, float]]:
    """Draw the trials of an algorithm: Halton points, each hyperparameter log-uniform over its range in the profile.

    Every algorithm gets the same number of trials. The ranges are those of ``[<task>.search]`` that the algorithm has,
    then those of ``[<task>.search.<algorithm>]``, which come first where both name one. Numbers are rounded to three
    digits.

    Raises
    ------
    UsageError
        If the profile has no search for this task, or a range is not two numbers above 0, the lower first.
    """
    table = specs.settings(profile, task)
    if "search" not in table:
        raise UsageError(f"profile {profile} has no [{task}.search]")
    common = {name: value for name, value in table["search"].items() if isinstance(value, list)}
    own = table["search"].get(algorithm, {})
    ranges = common | own
    for name, span in ranges.items():
        if len(span) != 2 or not 0 < span[0] < span[1]:
            raise UsageError(f"range of {name} in [{task}.search] must be two numbers above 0, got {span!r}")
    low, high = np.log10(np.array(list(ranges.values())).T)
    points = qmc.Halton(len(ranges), rng=stream(0, f"search/{task}") % 2**32).random(table["search"]["trials"])
    values = 10 ** (low + points * (high - low))
    return [{name: float(f"{v:.3g}") for name, v in zip(ranges, row, strict=True)} for row in values]


def score(spec: specs.RunSpec, root: Path = TRAJECTORIES) -> float:
    """Return what a trial is chosen by: its validation metric, mean over restarts and the last three checkpoints.

    A trial with a restart that diverged scores minus infinity.
    """
    if any(store.metadata(spec, root)["diverged"]):
        return -np.inf
    last = populations.load([spec], root=root).sort_values("step").groupby("seed").tail(3)
    return float(last["validation_metric"].mean())


def choose(trials: list[specs.RunSpec], root: Path = TRAJECTORIES) -> int:
    """Return which trial scores best; of equals the first."""
    return int(np.argmax([score(spec, root) for spec in trials]))


def tune(
    profile: str,
    task: str,
    algorithms: tuple[str, ...] | None = None,
    *,
    root: Path = TRAJECTORIES,
    folder: Path = specs.FOLDER,
    **options: Any,
) -> dict[str, dict[str, Any]]:
    """Draw trials, compute those that are missing, choose; write both to ``profiles/searches/<profile>.json``.

    Parameters
    ----------
    profile, task : str
    algorithms : tuple of str, optional
        By default all those with a table in ``[<task>.search]``.
    root, **options
        See `popview.engine.run`.
    folder : Path
        That of the profiles.

    Returns
    -------
    dict
        Algorithm → ``trials, chosen`` and the trials' ``scores``.
    """
    searched = tuple(n for n, v in specs.settings(profile, task).get("search", {}).items() if isinstance(v, dict))
    found = {}
    for algorithm in algorithms or searched:
        drawn = draw(profile, task, algorithm)
        _record(profile, task, algorithm, {"trials": drawn}, folder)
        trials = specs.expand(profile, task, algorithms=(algorithm,), variant="trial")
        engine.run(trials, root=root, **options)
        chosen = {"trials": drawn, "chosen": choose(trials, root)}
        _record(profile, task, algorithm, chosen, folder)
        found[algorithm] = chosen | {"scores": [score(spec, root) for spec in trials]}
    return found


def _record(profile: str, task: str, algorithm: str, entry: dict[str, Any], folder: Path) -> None:
    """Write an algorithm's entry; one that has the same trials and is chosen already stays."""
    file = folder / "searches" / f"{profile}.json"
    searches = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    known = searches.setdefault(task, {}).get(algorithm, {})
    if known.get("trials") != entry["trials"] or "chosen" in entry:
        searches[task][algorithm] = entry
    file.parent.mkdir(exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(searches, indent=1, sort_keys=True) + "\n", "utf-8")
    part.replace(file)
