"""What can be made of a population: one of its models, their average, an ensemble; what each scores and costs.

Every arm is scored by the mean over restarts, and known without each restart in turn, so that the jackknife gives its
interval, and that of the difference of two arms.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from popview.common.folders import RESULTS
from popview.populations.checkpoints import final, select
from popview.populations.ensembles import SCORES, load_ensembles
from popview.populations.outcomes import load_final_measures
from popview.populations.selection import chosen
from popview.populations.stored_predictions import annealed_specs, constant_specs
from popview.populations.tables import gather, load_trajectories, wanted
from popview.runs import store
from popview.runs.annealed import AnnealedPlan
from popview.runs.specs import RunSpec
from popview.statistics import jackknife, jackknife_apart
from popview.statistics.results import Result, interval_columns

#: Arm → what it is.
ARMS = {
    "last": "the last model",
    "by validation": "the model of the best validation metric",
    "one of ten": "the ten models of lowest training loss, one by one: the mean of their scores",
    "averaged": "the mean of the weights of these ten, BatchNorm statistics recomputed",
    "ensemble of ten": "the mean of the probabilities of these ten",
    "restarts": "the mean of the probabilities of several restarts",
}

#: Models of lowest training loss that a restart keeps.
TEN = 10

#: Variants whose learning rate does not change.
CONSTANT = ("base", "tuned")


class _Arm(NamedTuple):
    """One score of one arm: from all restarts, and without each (by seed)."""

    estimate: float
    left_out: pd.Series

    def minus(self, other: "_Arm") -> Result:
        """Return the difference, paired by seed where both have the same seeds."""
        if set(self.left_out.index) == set(other.left_out.index):
            return jackknife(self.estimate - other.estimate, (self.left_out - other.left_out).to_numpy())
        return jackknife_apart(self.estimate, self.left_out.to_numpy(), other.estimate, other.left_out.to_numpy())


def _of_restarts(values: pd.Series) -> _Arm | None:
    """Return the arm that is the mean over restarts; None where fewer than two have a value."""
    known = values[np.isfinite(values.astype(float))]
    number = len(known)
    if number < 2 or number < len(values):
        return None
    return _Arm(float(known.mean()), (known.sum() - known) / (number - 1))


#: What names an arm: variant, test examples, algorithm, a key of `ARMS`, and how many restarts it takes.
_Key = tuple[str, str, str, str, int]


class Arms(NamedTuple):
    """All arms of a task, as `read_arms` reads them.

    Attributes
    ----------
    scores : dict of _Key to dict of str to _Arm or None
    gradients : dict of (str, str) to float
        Variant and algorithm → gradient evaluations of one restart, mean.
    last : dict of str to DataFrame
        Variant → metric of the last model on the test sample; rows: seeds; columns: algorithms.
    longer : dict of str to int
        Arm of longer annealed runs → as many annealed runs of usual length have as many epochs.
    """

    scores: dict[_Key, dict[str, _Arm | None]]
    gradients: dict[tuple[str, str], float]
    last: dict[str, pd.DataFrame]
    longer: dict[str, int]


def read_arms(profile: str, task: str, root: Path = RESULTS) -> Arms:
    """Read all arms of a task from the files, each file once.

    Parameters
    ----------
    profile, task : str
    root : Path
        Of the store.

    Raises
    ------
    UsageError
        As `popview.populations.tables.gather`.
    """
    found = Arms({}, {}, {}, {})
    for (_, variant), trajectories in gather(profile, task, root=root)[1].items():
        names = set(trajectories["algorithm"])
        specs = [spec for spec in wanted(profile, task, variant) if spec.algorithm in names]
        _add(found, variant, trajectories, load_final_measures(specs, root))
    longer = _long_runs(profile, task, root)
    found.longer.update({specs[0].variant: times for times, specs in longer})
    kept = annealed_specs(profile, task, root), constant_specs(profile, task, root)
    for specs in (*kept, *(specs for _, specs in longer)):
        if specs and specs[0].variant not in found.last:
            _add(found, specs[0].variant, load_trajectories(specs, root=root), load_final_measures(specs, root))
    for (variant, where, models, name, size), rows in load_ensembles(profile, task, root).groupby(
        ["variant", "where", "models", "algorithm", "size"]
    ):
        one = "ensemble of ten" if models.startswith("ten") else "last"
        key = variant, where, name, "restarts" if size > 1 else one, int(size)
        # of one restart the files themselves say more, and without rounding
        found.scores[key] = _ensembles(rows) | found.scores.get(key, {})
    return found


def _long_runs(profile: str, task: str, root: Path) -> list[tuple[int, list[RunSpec]]]:
    """Return of each arm that has more epochs than the annealed runs how many times as many, and its specs.

    Arms of which a run is missing are left out.
    """
    plan = AnnealedPlan(profile, task)
    usual = plan.table.get("epochs", 0)
    longer = {name: arm["epochs"] // usual for name, arm in plan.arms.items() if arm.get("epochs", 0) > usual}
    known = [(times, plan.expand(name)) for name, times in longer.items()]
    return [(times, specs) for times, specs in known if specs and not store.missing(specs, root)]


def _add(found: Arms, variant: str, trajectories: pd.DataFrame, measures: pd.DataFrame) -> None:
    """Add the arms of one restart each, of one variant."""
    names = list(trajectories["algorithm"].unique())
    for name, value in final(trajectories, "gradient_evaluations").mean().items():
        found.gradients[variant, str(name)] = float(value)
    last = found.last[variant] = final(trajectories)
    best = select(trajectories, "validation_metric", 1)
    tables = {
        ("sample", "last"): {"metric": last, "loss": final(trajectories, "test_loss")},
        ("sample", "by validation"): {s: final(best, f"test_{s}") for s in ("metric", "loss")},
        ("sample", "one of ten"): {s: chosen(trajectories, "train_loss", f"test_{s}", TEN) for s in ("metric", "loss")},
    }
    # What the files say of the models at the end is about the whole test split where they say it of ten models.
    where = "whole" if "kept_models.metric" in measures else "sample"
    for arm, measured, place in (
        ("last", "whole_test", "whole"),
        ("by validation", "by_validation", "whole"),
        ("one of ten", "kept_models", "whole"),
        ("averaged", "averaged_weights", where),
        ("ensemble of ten", "ensemble", where),
    ):
        columns = {score: f"{measured}.{score}" for score in SCORES if f"{measured}.{score}" in measures}
        if columns:
            tables[place, arm] = {
                score: measures.pivot(index="seed", columns="algorithm", values=column)
                for score, column in columns.items()
            }
    for (place, arm), scores in tables.items():
        for name in names:
            arms_of = {score: _of_restarts(table[name]) for score, table in scores.items() if name in table}
            found.scores[variant, place, str(name), arm, 1] = arms_of


def _ensembles(rows: pd.DataFrame) -> dict[str, _Arm | None]:
    """Return the scores of ensembles of one size."""
    seeds, table = rows["left_out"].to_numpy(), rows[list(SCORES)].to_numpy(dtype=float)
    out = np.isfinite(seeds)
    index = pd.Index(seeds[out].astype(int), name="seed")
    return {
        score: _Arm(float(values[~out][0]), pd.Series(values[out], index=index))
        for score, values in zip(SCORES, table.T, strict=True)
        if len(index) > 1 and np.isfinite(values).all()
    }


def arms_table(found: Arms) -> pd.DataFrame:
    """Return what can be made of each algorithm's population, what it scores, and what it costs.

    Nothing is trained. Arms are comparable where ``where`` is the same: they are scored on the same test examples. Of
    digits the sample is the whole test split.

    Parameters
    ----------
    found : Arms

    Returns
    -------
    DataFrame
        ``variant`` ("base", "tuned", "annealed", "constant": at the constant rate that SWA's search chose, or an arm of
        longer annealed runs), ``where`` ("sample": the test sample of checkpoints; "whole": the whole test split),
        ``algorithm, arm`` (a key of `ARMS`), ``restarts`` (that are trained for one such model), ``n`` (restarts in
        all), ``training`` (gradient evaluations), ``cost`` (the same, in restarts of base SGD; a search for settings is
        not in it), ``passes`` (forward passes to predict one example); of each score that is known, else NaN: ``metric,
        metric_low, metric_high``, likewise ``loss`` (negative log likelihood), ``calibration_error``
        (`popview.tasks.scores.calibration_error`) and ``average_precision``; ``gain, gain_low, gain_high``: metric
        above that of the last model of the reference, SGD of the same variant, or base SGD for annealed ones, on the
        same examples; ``gain_per_cost``: gain for each restart's worth of training.

        Intervals are of 95 %, over restarts, by `popview.statistics.jackknife`, for the test examples at hand.
    """
    rows = []
    for key, scores in found.scores.items():
        variant, where, name, arm, restarts = key
        if not any(scores.values()):
            continue
        training = found.gradients[variant, name] * restarts
        unit = found.gradients.get(("base", "SGD"), np.nan)
        ten = arm == "ensemble of ten" or (arm == "restarts" and variant in CONSTANT)
        row: dict[str, Any] = dict(zip(("variant", "where", "algorithm", "arm", "restarts"), key, strict=True))
        row |= {"n": max(len(one.left_out) for one in scores.values() if one), "training": training}
        row |= {"cost": training / unit, "passes": restarts * (TEN if ten else 1)}
        for score in SCORES:
            one = scores.get(score)
            result = jackknife(one.estimate, one.left_out.to_numpy()) if one else None
            row |= {score: one.estimate if one else np.nan} | _interval(result, score)
        metric, other = scores.get("metric"), found.scores.get(_reference(variant, where), {}).get("metric")
        gain = metric.minus(other) if metric and other else None
        row |= {"gain": gain.estimate if gain else np.nan} | _interval(gain, "gain")
        rows.append(row | {"gain_per_cost": row["gain"] / row["cost"]})
    return pd.DataFrame(rows)


def _reference(variant: str, where: str) -> _Key:
    return variant if variant in CONSTANT else "base", where, "SGD", "last", 1


def _interval(result: Result | None, name: str) -> dict[str, float]:
    return interval_columns(result or Result(np.nan, None, None, (), ""), f"{name}_")


def population_or_optimizer(found: Arms) -> pd.DataFrame:
    """Set side by side what a better choice of optimizer gains over SGD, and what a population of SGD's models does.

    All is said of the metric on the test sample, above SGD's last model.

    Returns
    -------
    DataFrame
        ``variant, choice, algorithm, gain, gain_low, gain_high, n, cost, passes, gain_per_cost`` as in `arms_table`.
        Choices:

        - "best other optimizer": of the highest mean among the algorithms, so that its gain is too good by the choice;
        - "other optimizer, chosen by the other seeds": for each seed, the algorithm that is best on all others, without
          such luck; ``algorithm`` is the one most often chosen;
        - each arm of SGD, "2 restarts" and so on;
        - "annealed", "annealed, 2 restarts" and so on, of SGD: the control at the same cost. Its settings were searched
          with its schedule;
        - "twice-as-long" and so on: one annealed run of SGD, with the same settings, that has more epochs.
    """
    table = arms_table(found)
    if table.empty:
        return table
    columns = ["gain", "gain_low", "gain_high", "n", "cost", "passes", "gain_per_cost"]
    on_sample = table[table["where"] == "sample"]
    rows = []
    for variant, part in on_sample.groupby("variant", sort=False):
        own = part[part["algorithm"] == "SGD"]
        if variant in CONSTANT:
            others = part[(part["arm"] == "last") & (part["algorithm"] != "SGD")]
            if len(others):
                best = others.loc[others["gain"].idxmax()]
                rows.append(
                    {"variant": variant, "choice": "best other optimizer", "algorithm": best["algorithm"]}
                    | best[columns].to_dict()
                )
                rows.append({"variant": variant} | _chosen_by_others(found.last[str(variant)], found, str(variant)))
            own = own[own["arm"] != "last"]
        for line in own.to_dict("records"):
            words = f"{line['restarts']} restarts" if line["arm"] == "restarts" else line["arm"]
            words = words if variant in CONSTANT else str(variant) if words == "last" else f"{variant}, {words}"
            rows.append(
                {"variant": variant, "choice": words, "algorithm": "SGD"} | {name: line[name] for name in columns}
            )
    return pd.DataFrame(rows)


def _chosen_by_others(last: pd.DataFrame, found: Arms, variant: str) -> dict[str, Any]:
    """Return what it gains to take, for each seed, the algorithm that is best on all other seeds."""
    known = last.dropna(axis=1)
    rivals = known.drop(columns="SGD")
    names = [str(rivals.drop(index=seed).mean().idxmax()) for seed in rivals.index]
    gains = pd.Series([rivals.loc[s, n] - known.loc[s, "SGD"] for s, n in zip(rivals.index, names, strict=True)])
    result = jackknife(float(gains.mean()), ((gains.sum() - gains) / (len(gains) - 1)).to_numpy())
    cost = float(np.mean([found.gradients[variant, name] for name in names]) / found.gradients["base", "SGD"])
    told = {"choice": "other optimizer, chosen by the other seeds", "algorithm": pd.Series(names).mode()[0]}
    counted = {"n": len(gains), "cost": cost, "passes": 1, "gain_per_cost": result.estimate / cost}
    return told | {"gain": result.estimate} | interval_columns(result, "gain_") | counted


def averaged_alike(found: Arms) -> pd.DataFrame:
    """Compare what a second run of SGD adds with what another optimizer does, where all are ensembles of checkpoints.

    Runs are of base settings, scored on the test sample by the metric; of each the ten checkpoints of lowest training
    loss predict together.

    Returns
    -------
    DataFrame
        ``choice, algorithm, gain, gain_low, gain_high`` (95 % intervals over restarts as in `arms_table`), for "ten
        checkpoints" (of one run of SGD, over its last model), "second run" (two runs of SGD over one) and "other
        optimizer" (one run of it over one of SGD; the one of the highest score). Without rows where files keep no
        probabilities.
    """
    metrics = {
        key[2:]: arm for key, of in found.scores.items() if key[:2] == ("base", "sample") and (arm := of.get("metric"))
    }
    last, ten, two = (
        metrics.get(("SGD", arm, runs)) for arm, runs in (("last", 1), ("ensemble of ten", 1), ("restarts", 2))
    )
    if not (last and ten and two):
        return pd.DataFrame(columns=["choice", "algorithm", "gain", "gain_low", "gain_high"])
    others = {name: arm for (name, words, _), arm in metrics.items() if words == "ensemble of ten" and name != "SGD"}
    gains = [("ten checkpoints", "SGD", ten.minus(last)), ("second run", "SGD", two.minus(ten))]
    if others:
        best = max(others, key=lambda name: others[name].estimate)
        gains.append(("other optimizer", best, others[best].minus(ten)))
    return pd.DataFrame(
        {"choice": choice, "algorithm": name, "gain": gain.estimate} | interval_columns(gain, "gain_")
        for choice, name, gain in gains
    )


#: What may be gained over the last model of a run of SGD → variant, arm and restarts; None: by another optimizer.
AFTER = {
    "weights of ten checkpoints averaged": ("annealed", "averaged", 1),
    "predictions of ten checkpoints averaged": ("annealed", "ensemble of ten", 1),
    "best other optimizer": None,
    "two runs": ("annealed", "restarts", 2),
    "ten runs": ("annealed", "restarts", 10),
    "constant rate: weights of ten checkpoints averaged": ("constant", "averaged", 1),
}


def after_annealing(found: Arms) -> pd.DataFrame:
    """Return what is left to gain over the last model of an annealed run of SGD, on the whole test split.

    Returns
    -------
    DataFrame
        ``what`` (a key of `AFTER`), ``algorithm``, ``of`` (how many others the best was chosen from, else 1), ``gain,
        gain_low, gain_high`` (95 %, over restarts); over the last model of the same variant. Without rows for what was
        not run.
    """
    others = {name for variant, _, name, *_ in found.scores if variant == "annealed"} - {"SGD"}
    rows = []
    for what, key in AFTER.items():
        variant, arm, restarts = key or ("annealed", "last", 1)
        last = found.scores.get((variant, "whole", "SGD", "last", 1), {}).get("metric")
        gains = {
            name: metric.minus(last)
            for name in (["SGD"] if key else sorted(others))
            if last and (metric := found.scores.get((variant, "whole", name, arm, restarts), {}).get("metric"))
        }
        if gains:
            best = max(gains, key=lambda name: gains[name].estimate)
            named = {"what": what, "algorithm": best, "of": len(gains), "gain": gains[best].estimate}
            rows.append(named | interval_columns(gains[best], "gain_"))
    return pd.DataFrame(rows, columns=["what", "algorithm", "of", "gain", "gain_low", "gain_high"])


def against_long_runs(found: Arms) -> pd.DataFrame:
    """Compare ensembles of annealed runs of SGD with one annealed run that has as many epochs as they have together.

    Both are judged on the whole test split.

    Returns
    -------
    DataFrame
        One row per arm of longer runs of which there are ensembles, too: ``variant`` (the arm), ``restarts`` (of
        the ensemble), ``n`` (long runs in all); means, of the ensemble ``together_metric, together_loss`` (negative log
        likelihood, from probabilities of 8 bits) and of the one run ``alone_metric, alone_loss``; ``gain, gain_low,
        gain_high`` (metric of the ensemble above the one run's, with 95 % intervals over restarts as in `arms_table`).
    """
    rows = []
    for variant, restarts in found.longer.items():
        keys = {"together": ("annealed", "whole", "SGD", "restarts", restarts)}
        keys["alone"] = (variant, "whole", "SGD", "last", 1)
        known = {
            f"{name}_{of}": found.scores.get(key, {}).get(of) for name, key in keys.items() for of in ("metric", "loss")
        }
        both = {name: arm for name, arm in known.items() if arm}
        if len(both) == len(known):
            gain = both["together_metric"].minus(both["alone_metric"])
            row = {"variant": variant, "restarts": restarts, "n": len(both["alone_metric"].left_out)}
            row |= {name: arm.estimate for name, arm in both.items()} | {"gain": gain.estimate}
            rows.append(row | interval_columns(gain, "gain_"))
    return pd.DataFrame(rows)
