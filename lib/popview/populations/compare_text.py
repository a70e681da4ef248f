"""One comparison as text for a terminal. No torch here, so that it is quick."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from popview.common.errors import UsageError, check_name
from popview.common.named_code import is_reference
from popview.populations import confirmation
from popview.populations.checkpoints import final, per_restart, select
from popview.populations.comparisons import HIGHER_IS_BETTER, against, sorted_into_families
from popview.populations.outcomes import by_algorithm, load_final_measures
from popview.populations.pooled import clustering
from popview.populations.tables import load_own, load_trajectories, wanted
from popview.runs import store
from popview.runs.expansion import planned, restarts_of
from popview.runs.own import PROFILE, is_own, resolved
from popview.runs.profiles import settings
from popview.runs.specs import RunSpec
from popview.statistics import Verdict

#: Which of a restart's models are judged: the last, or the paper's SetA.
MODELS = ("last", "SetA")

#: Metric → the measure of the last model on the whole test split.
WHOLE = {"test_metric": "whole_test.metric", "test_loss": "whole_test.loss"}


def comparison(
    a: str,
    b: str,
    *,
    task: str = "digits",
    profile: str = "laptop",
    variant: str = "base",
    metric: str = "test_metric",
    models: str = "last",
    per_trajectory: int = 10,
    epochs: int | None = None,
    margin: float | None = None,
) -> str:
    """Compare two algorithms as the page better-than-sgd does, and word it in a few lines.

    Against SGD an algorithm is judged in its family, as there (`popview.populations.comparisons.sorted_into_families`);
    any other pair by itself, without a correction. Of annealed runs the page shows the verdict by the rules that were
    fixed before them; it stands in a line of its own.

    Parameters
    ----------
    a, b : str
        Algorithms; positive differences are a − b. Also a reader's own, with their settings or without, as far as one
        setting has been run: `popview.runs.own.resolved`.
    task, profile, variant : str
    metric : str
        A key of `popview.populations.comparisons.HIGHER_IS_BETTER`. The margin is one of the metric: a loss is compared
        without.
    models : {"last", "SetA"}
        "last": a restart's value is that of its last model; of the book's tasks, test metric and loss are those of the
        whole test split. "SetA": the mean over the models of lowest training loss, on the test sample, as in the paper.
    per_trajectory : int
        Of SetA: how many models of each restart.
    epochs, margin
        Of a task of the reader's own: which of its runs, and the margin of equivalence, if there is one.

    Raises
    ------
    UsageError
        If a name is unknown, `a` is `b`, or a trajectory is missing.
    """
    check_name("metric", metric, HIGHER_IS_BETTER)
    check_name("models", models, MODELS)
    if a == b:
        raise UsageError(f"compare needs two algorithms, got {a} twice")
    if margin is not None and not 0 < margin < np.inf:
        raise UsageError(f"--margin must be a number above 0, got {margin}")
    others: list[str] = []
    specs: list[RunSpec] = []
    if is_reference(task):
        a, b = (resolved(task, name, epochs=epochs) for name in (a, b))
        trajectories = load_own(task, (a, b), epochs=epochs)
        profile, family = PROFILE, ""
        per_trajectory = min(per_trajectory, trajectories.groupby(["algorithm", "seed"]).size().max())
    else:
        if epochs is not None or margin is not None:
            raise UsageError(f"--epochs and --margin are for your own tasks: of {task} the profile says both")
        a, b = (resolved(task, name, profile=profile) if is_own(name) else name for name in (a, b))
        margin = settings(profile, task)["margin"]
        family, others = _family(a, b, planned(profile, task, variant))
        trajectories, specs = _loaded((a, b), others, task, profile, variant)
    chosen = select(trajectories, "train_loss", per_trajectory)
    if models == "last":
        values, said = _last(trajectories, specs, metric)
    else:
        said = f"mean {metric} of a restart's {per_trajectory} models of lowest training loss"
        values, said = per_restart(chosen, metric), said + (" on the test sample" if metric in WHOLE else "")
    percent = metric.endswith("_metric")
    margin = margin if percent else None
    pairs = [(a, b), *((name, "SGD") for name in others if name in values)]
    size = 1 + len(others)
    found = against(values, pairs, margin, higher_is_better=HIGHER_IS_BETTER[metric], family_size=size)
    row = found.iloc[0].to_dict()
    holm = f"{row['adjusted_p']:.4g} ({family} family of {size}, against SGD)" if family else ""
    both = values[[a, b]].dropna().index
    budget = "SAM at half the epochs" if variant == "annealed" else "equal epochs"
    title = f"{a} against {b}: {task}, {profile}, {variant}, {row['restarts']} restarts each, {budget}"
    unit = "points" if percent else "nats"
    lines = [
        ("value", f"{said}, in {unit}"),
        *_lines(row, values, 100.0 if percent else 1.0, unit, holm),
        *([("ICC", _clusters(chosen[chosen["seed"].isin(both)], metric, (a, b)))] if models == "SetA" else []),
        ("verdict", f"{Verdict(row['verdict'], row['direction'])}{'' if family else ' (one pair, uncorrected)'}"),
    ]
    if models == "last" and metric == "test_metric" and variant == "annealed":
        lines += _fixed_rules(a, b, task, profile)
    width = max(len(name) for name, _ in lines) + 2
    return "\n".join([title, *(f"  {name:<{width}}{words}" for name, words in lines)])


def _loaded(
    pair: tuple[str, str], others: Sequence[str], task: str, profile: str, variant: str
) -> tuple[pd.DataFrame, list[RunSpec]]:
    """Return the trajectories and specs of a pair, and of those others that have been run."""
    specs = wanted(profile, task, variant, algorithms=pair)
    beside = [spec for spec in wanted(profile, task, variant) if spec.algorithm in others] if others else []
    lacking = {spec.algorithm for spec in store.missing(beside)}
    specs += [spec for spec in beside if spec.algorithm not in lacking]
    return load_trajectories(specs, restarts_of(profile, task, variant)), specs


def _last(trajectories: pd.DataFrame, specs: list[RunSpec], metric: str) -> tuple[pd.DataFrame, str]:
    """Return a metric of each restart's last model, by algorithm, and what it is, in words."""
    measures = load_final_measures(specs) if specs and metric in WHOLE else pd.DataFrame()
    if WHOLE.get(metric) not in measures:
        return final(trajectories, metric), f"{metric} of a restart's last model"
    ours = measures[measures["seed"].isin(trajectories["seed"])]
    return by_algorithm(ours, WHOLE[metric]), f"{metric} of a restart's last model on the whole test split"


def _fixed_rules(a: str, b: str, task: str, profile: str) -> list[tuple[str, str]]:
    """Word the verdict by ``data/paper/confirmation.toml``, in which annealed runs are compared with SGD's."""
    decided = confirmation.decisions()
    if b != decided["reference"]:
        return []
    found = confirmation.confirm_tasks(confirmation.confirmed_tasks(profile, decided, task), decided)
    found = confirmation.latest(found)
    rows = found[found["a"] == a] if len(found) else found
    return [("fixed rules", f"{rows['verdict'].iloc[0]} (the page's: paired t tests)")] if len(rows) else []


def _family(a: str, b: str, known: Sequence[str]) -> tuple[str, list[str]]:
    """Return the name of the family in which that page judges a pair, and its other planned members; "" and none."""
    for family, members in sorted_into_families([*known, a, b]).items():
        if "SGD" in (a, b) and (a in members or b in members):
            return family, [name for name in members if name not in (a, b)]
    return "", []


def _lines(row: dict, values: pd.DataFrame, scale: float, unit: str, holm: str) -> list[tuple[str, str]]:
    """Word the numbers of one row of `popview.populations.comparisons.against`."""
    digits = 2 if scale == 100 else 4

    def write(value: float, sign: str = "+") -> str:
        return f"{scale * value:{sign}.{digits}f}"

    complete = values.dropna()
    ends = f"[{write(row['low'])}, {write(row['high'])}]" if np.isfinite(row["low"]) else "[too few restarts to say]"
    test = "sign-flip permutation test" if row["test"] == "sign flips" else "t test"
    lines = [
        (name, f"{write(complete[name].mean(), '')} (SD {write(complete[name].std(), '')})")
        for name in (row["a"], row["b"])
    ]
    lines += [
        ("difference", f"{write(row['difference'])} (of means)"),
        ("shift", f"{write(row['estimate'])} {ends} (Hodges-Lehmann, 95 %)"),
        ("A12", f"{row['a12']:.2f} [{row['a12_low']:.2f}, {row['a12_high']:.2f}] (95 %, without the pairing)"),
        ("p", f"{row['p']:.4g} ({test}, paired by seed)" + ("" if holm else "; one pair: no family correction")),
    ]
    if holm:
        lines.append(("p (Holm)", holm))
    if np.isfinite(row["margin"]):
        lines.append(
            ("p (equivalence)", f"{row['equivalence_p']:.4g} (TOST, margin ±{scale * row['margin']:g} {unit})")
        )
    found = f"{write(row['detectable'], '')} {unit}, 4 times in 5" if np.isfinite(row["detectable"]) else "nothing"
    least = f"; smallest p {row['smallest_adjusted_p']:.2g}" if row["test"] == "sign flips" else ""
    lines.append(("detectable", f"{found}, given the spread seen{least}"))
    lines.append(("r by seed", f"{row['correlation']:.2f} (used by the pairing)"))
    return lines


def _clusters(models: pd.DataFrame, metric: str, names: tuple[str, str]) -> str:
    """Word how alike the models of a restart are, and what pooled ones would be worth."""
    rows = clustering(models, metric).set_index("algorithm")
    texts = []
    for name in names:
        row = rows.loc[name]
        texts.append(f"{name} {row['icc']:.2f} ({row['models']:.0f} models worth {row['effective']:.0f})")
    return "; ".join(texts)
