"""Search for hyperparameters: the base setting and quasi-random trials, the best chosen on the validation split."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import qmc

from popview.common.errors import UsageError, check_name
from popview.common.files import writing
from popview.common.folders import RESULTS
from popview.common.locks import claim
from popview.common.seeds import stream
from popview.optimizers import hyperparameters
from popview.optimizers.checks import WHOLE
from popview.runs import annealed, expansion, profiles, specs, store, workers


def draw(profile: str, task: str, algorithm: str) -> list[dict[str, float]]:
    """Draw the trials of an algorithm: its base setting, then Halton points, log-uniform over ranges in the profile.

    Every algorithm gets the same number of trials; the first changes nothing (``{}``), so that what is tuned was at
    least as good as base in the search. The ranges are those of ``[<task>.search]`` that the algorithm has,
    then those of ``[<task>.search.<algorithm>]``, which come first where both name one. Numbers are rounded to three
    digits, those of steps to whole ones.

    Raises
    ------
    UsageError
        If the profile has no search for this task, the algorithm or a hyperparameter is unknown (a common one: to
        every algorithm that is searched), a range is not two numbers above 0, the lower first, or there is none.
    """
    table = profiles.settings(profile, task)
    check_name(f"algorithm of {task} in profile {profile}", algorithm, table["algorithms"])
    if "search" not in table:
        raise UsageError(f"profile {profile} has no [{task}.search]")
    known, own = hyperparameters(algorithm), table["search"].get(algorithm, {})
    for name in own:
        check_name(f"hyperparameter of {algorithm} in [{task}.search.{algorithm}]", name, known)
    common = {name: span for name, span in table["search"].items() if not isinstance(span, dict)}
    searched = (algorithm, *expansion.searched(profile, task))
    some = dict.fromkeys(["trials", *(name for one in searched for name in hyperparameters(one))])
    for name in common:
        check_name(f"key of [{task}.search]", name, some)
    trials = common.pop("trials", None)
    if trials is None:
        raise UsageError(f"[{task}.search] of profile {profile} does not say how many trials")
    ranges = {name: span for name, span in common.items() if name in known} | own
    if not ranges:
        raise UsageError(f"[{task}.search] has no range for {algorithm}")
    for name, span in ranges.items():
        numbers = isinstance(span, list) and all(isinstance(end, int | float) for end in span)
        if not numbers or len(span) != 2 or not 0 < span[0] < span[1] < np.inf:
            raise UsageError(f"range of {name} in [{task}.search] must be two numbers above 0, got {span!r}")
    low, high = np.log10(np.array(list(ranges.values()), dtype=float).T)
    points = qmc.Halton(len(ranges), rng=stream(0, f"search/{task}") % 2**32).random(trials - 1)
    values = 10 ** (low + points * (high - low))
    return [{}, *({name: _rounded(name, v) for name, v in zip(ranges, row, strict=True)} for row in values)]


def _rounded(name: str, value: float) -> float:
    return round(value) if name in WHOLE else float(f"{value:.3g}")


def score(spec: specs.RunSpec, root: Path = RESULTS) -> float:
    """Return what a trial is chosen by: its validation metric, mean over restarts and the last three checkpoints.

    A trial with a restart that diverged scores minus infinity.
    """
    if any(store.metadata(spec, root)["diverged"]):
        return -np.inf
    last = store.load(spec, root).to_pandas().sort_values("step").groupby("seed").tail(3)
    return float(last["validation_metric"].mean())


def choose(trials: list[specs.RunSpec], root: Path = RESULTS) -> int:
    """Return which trial scores best; of equals the first.

    Raises
    ------
    UsageError
        If all diverged.
    """
    scores = [score(spec, root) for spec in trials]
    if max(scores) == -np.inf:
        one = trials[0]
        raise UsageError(f"all {len(trials)} trials of {one.algorithm} on {one.task} diverged: lower its ranges")
    return int(np.argmax(scores))


def tune(
    profile: str, task: str, algorithms: tuple[str, ...] | None = None, *, root: Path = RESULTS, **options: Any
) -> dict[str, dict[str, Any]]:
    """Draw trials, compute those that are missing, choose; write both to ``profiles/searches/<profile>.json``.

    Parameters
    ----------
    profile, task : str
    algorithms : tuple of str, optional
        By default all those with a table in ``[<task>.search]``.
    root, **options
        See `popview.runs.workers.run`.

    Returns
    -------
    dict
        Algorithm → ``trials, of, chosen`` (see `popview.runs.expansion.recorded_trials`) and the trials' ``scores``.

    Raises
    ------
    UsageError
        As `draw`, `choose` and `popview.runs.workers.run`, or if the file cannot be written.
    """
    drawn = {one: draw(profile, task, one) for one in algorithms or expansion.searched(profile, task)}
    if not drawn:
        raise UsageError(f"profile {profile} has no [{task}.search.<algorithm>]")
    found = {}
    for algorithm, settings in drawn.items():
        drawn_as = {"trials": settings, "of": expansion.searched_as(profile, task, algorithm, settings)}
        _record(profile, task, algorithm, drawn_as)
        trials = expansion.expand(profile, task, algorithms=(algorithm,), variant="trial")
        workers.run(trials, root=root, **options)
        chosen = drawn_as | {"chosen": choose(trials, root)}
        _record(profile, task, algorithm, chosen)
        found[algorithm] = chosen | {"scores": [score(spec, root) for spec in trials]}
    return found


def anneal(
    profile: str, task: str, algorithms: tuple[str, ...] | None = None, *, root: Path = RESULTS, **options: Any
) -> dict[str, dict[str, Any]]:
    """Search for the settings of `popview.runs.annealed`: all cells at a third of the budget, then the best at the
    whole.

    Written to ``profiles/searches/<profile>-annealed.json``. Of equal scores the setting nearer the base one is taken:
    the one with the least sum of |ln ratio| over the grid.

    Parameters
    ----------
    profile, task : str
    algorithms : tuple of str, optional
        By default all that have a grid.
    root, **options
        See `popview.runs.workers.run`.

    Returns
    -------
    dict
        Algorithm → ``of, finalists, chosen`` (see `popview.runs.annealed.AnnealedPlan.choices`), the ``cells``, and
        their ``scores`` in both rounds (`popview.runs.annealed.loss_on_validation`, the mean over the seeds).

    Raises
    ------
    UsageError
        If the profile has no grid for it, all cells or all finalists diverged, or as `popview.runs.workers.run`.
    """
    plan = annealed.AnnealedPlan(profile, task)
    names = algorithms or plan.searched
    if not names:
        raise UsageError(f"profile {profile} has no [{task}.annealed.grid.<algorithm>]")
    first = {one: plan.expand("cell", (one,)) for one in names}
    workers.run([spec for runs in first.values() for spec in runs], root=root, **options)
    found = {}
    for one, runs in first.items():
        scores = [annealed.loss_on_validation(spec, root) for spec in runs]
        if min(scores) == np.inf:
            raise UsageError(f"all {len(runs)} cells of {one} on {task} diverged: lower its grid")
        best = sorted(range(len(runs)), key=lambda i: (scores[i], _distance(plan, one, i)))
        entry: dict[str, Any] = {"of": plan.record_of(one), "finalists": best[: annealed.FINALISTS]}
        _record(profile, task, one, entry, "-annealed")
        found[one] = entry | {"cells": plan.cells(one), "scores": {"cell": scores}}
    plan = annealed.AnnealedPlan(profile, task)  # which reads what is written now: a search that has chosen stays
    for one in names:
        found[one]["finalists"] = plan.choices[one]["finalists"]
    last = {one: plan.expand("finalist", (one,)) for one in names}
    workers.run([spec for runs in last.values() for spec in runs], root=root, **options)
    for one, runs in last.items():
        entry = found[one]
        each = [annealed.loss_on_validation(spec, root) for spec in runs]
        means = np.mean(np.reshape(each, (len(entry["finalists"]), -1)), axis=1)
        if min(means) == np.inf:
            raise UsageError(f"all {len(means)} finalists of {one} on {task} diverged: lower its grid")
        place = min(range(len(means)), key=lambda i: (means[i], _distance(plan, one, entry["finalists"][i])))
        entry["chosen"] = entry["finalists"][place]
        entry["scores"]["finalist"] = means.tolist()
        _record(profile, task, one, {key: entry[key] for key in ("of", "finalists", "chosen")}, "-annealed")
    return found


def _distance(plan: annealed.AnnealedPlan, algorithm: str, place: int) -> float:
    """Return how far a cell is from the base setting: the sum of |ln ratio| over the hyperparameters in its grid."""
    base = profiles.base_of(plan.table["base"], algorithm)
    cell = plan.cells(algorithm)[place]
    return float(sum(abs(np.log(value / base[name])) for name, value in cell.items() if base.get(name)))


def _record(profile: str, task: str, algorithm: str, entry: dict[str, Any], kind: str = "") -> None:
    """Write an algorithm's entry; one of the same search, and chosen already, stays."""
    file = profiles.FOLDER.parent / "searches" / f"{profile}{kind}.json"
    with writing(file), claim(file.with_suffix(".lock"), wait=True):
        searches = profiles.searches(f"{profile}{kind}")
        known = searches.setdefault(task, {}).get(algorithm, {})
        if known.get("of") != entry["of"] or "chosen" in entry or "chosen" not in known:
            searches[task][algorithm] = entry
        part = file.with_suffix(".part")
        part.write_text(json.dumps(searches, indent=1, sort_keys=True) + "\n", "utf-8")
        part.replace(file)
