"""What runs cost, from their specs alone: gradient evaluations, floating-point operations, bytes, hours.

Nothing is trained, and no data set is needed (`popview.runs.flops`). The optimizers' own arithmetic and the preparation
of data are not counted.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from popview.common.errors import UsageError
from popview.common.folders import RESULTS
from popview.optimizers import SAM, BasinHopping, NiMSGD
from popview.runs import final_measures, store
from popview.runs.annealed import AnnealedPlan
from popview.runs.flops import Example, example, kind, model_settings, run_sizes, usual
from popview.runs.loop import unattached
from popview.runs.specs import RunSpec
from popview.runs.status import seconds
from popview.tasks.catalogue import RECORDS
from popview.tasks.sizes import Sizes
from popview.tasks.supervised import steps_of

#: FLOP/s that one GPU is taken to sustain: a fifth of an A100's dense bfloat16 peak, 312 · 10¹² by its data sheet.
#: NVIDIA's own ResNet-50 (v1.5, 224 × 224, one A100, mixed precision) trains 2,470 images a second, 19 % of that peak
#: (NVIDIA/DeepLearningExamples, PyTorch/Classification/ConvNets/resnet50v1.5/README.md, container 21.03).
THROUGHPUT = 62.4e12

#: A trajectory's file: bytes in all, per row, per restart (its measures), per accuracy or loss under corruption of a
#: stacked restart, and per probability that the ten best models predict (float16 and its dictionary), fitted to files
#: of this project; of a single restart the first holds its accuracies too.
FILE_BYTES, ROW_BYTES, RESTART_BYTES, CORRUPTED_BYTES, PROBABILITY_BYTES = 8_000, 19, 800, 49, 2.8

_TOKENS = ", ".join(f"{task.name} {task.tokens} tokens" for task in RECORDS.values() if task.tokens)
ASSUMPTIONS = (
    "FLOP: matrix products and convolutions, counted on the real networks; texts as they are in batches of like length "
    f"({_TOKENS} on average); NiM-SGD charged with noise at every step after τ; hops of τ steps.",
    "Evaluated: samples at checkpoints and for acceptance, measures at the end (a Hessian-vector product as two "
    "gradients). SWA rides along SGD, which is charged with the training.",
)


@dataclass(frozen=True)
class Cost:
    """What the runs of some specs take.

    Attributes
    ----------
    files, trajectories, steps : int
        Steps of all trajectories.
    gradients_least, gradients, loss_evaluations : int
        Of all trajectories. The least, and what is charged: NiM-SGD fires at no step, or at every one after τ.
    training, evaluation, measures : float
        FLOPs: gradients; checkpoints and acceptance; the end of the run.
    storage, weights, state : float
        Bytes of the files; of the ten models of lowest training loss, kept on request; of the state that a resumable
        run writes while it lasts.

    Examples
    --------
    >>> from popview.runs.costs import Cost
    >>> both = Cost(trajectories=5, training=1e9) + Cost(trajectories=1, evaluation=2e9)
    >>> both.trajectories, both.flops
    (6, 3000000000.0)
    """

    files: int = 0
    trajectories: int = 0
    steps: int = 0
    gradients_least: int = 0
    gradients: int = 0
    loss_evaluations: int = 0
    training: float = 0.0
    evaluation: float = 0.0
    measures: float = 0.0
    storage: float = 0.0
    weights: float = 0.0
    state: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)))

    @property
    def flops(self) -> float:
        """All of them."""
        return self.training + self.evaluation + self.measures


# ---------------------------------------------------------------- one spec


def cost(spec: RunSpec) -> Cost:
    """Return what the run of one spec takes, all its restarts together; of SWA with the SGD that it rides along.

    Raises
    ------
    UsageError
        If a setting of the model or a hyperparameter is unknown or out of range.
    """
    given, one = model_settings(spec.task, spec.model), example(spec.task, usual(spec.task, spec.model))
    evaluated = run_sizes(spec.task, spec.model)
    if not one.normalized:
        evaluated = evaluated._replace(statistics=0)
    steps = spec.epochs * steps_of(evaluated.trained, given["batch_size"])
    least, most, losses = _evaluations(spec, steps)
    checkpoints = len(set(np.linspace(0, steps, spec.checkpoints, dtype=int).tolist()))
    forwards = checkpoints * evaluated.checkpoint + losses * evaluated.train
    if spec.algorithm == "SWA":  # BatchNorm statistics of the average, from when there is one
        averaged = 1 - min(1.0, spec.hyperparameters.get("average_from", 0) / steps)
        forwards += round(averaged * checkpoints) * evaluated.statistics
    classes = given.get("classes", RECORDS[spec.task].classes)
    rows, beside = spec.restarts * checkpoints, len(spec.alongside)
    stacked = kind(spec.task).population
    probabilities = 0 if stacked else evaluated.test * classes
    corrupted = (evaluated.corrupted // max(1, evaluated.clean) + 1) * (stacked and spec.extent in ("sample", "whole"))
    if spec.extent == "sample":
        corrupted += evaluated.corrupted_losses // max(1, evaluated.clean)
    if spec.extent in ("scores", "whole"):  # in 8 bits instead of 16
        probabilities = evaluated.whole_test * classes / 2 if spec.extent == "whole" else 0
    return Cost(
        files=1,
        trajectories=spec.restarts,
        steps=spec.restarts * steps,
        gradients_least=spec.restarts * least,
        gradients=spec.restarts * most,
        loss_evaluations=spec.restarts * losses,
        training=spec.restarts * most * given["batch_size"] * one.gradient,
        evaluation=spec.restarts * forwards * one.forward,
        measures=spec.restarts * _measures(spec, evaluated, one),
        storage=FILE_BYTES
        + rows * ROW_BYTES
        + spec.restarts * (RESTART_BYTES + corrupted * CORRUPTED_BYTES + probabilities * PROBABILITY_BYTES),
        weights=spec.restarts * final_measures.KEPT * one.bytes,
        state=spec.restarts * (beside * (final_measures.KEPT + 1) + final_measures.KEPT + 3) * one.bytes,
    )


def _evaluations(spec: RunSpec, steps: int) -> tuple[int, int, int]:
    """Return a restart's gradient evaluations, the least and the most, and its loss evaluations."""
    optimizer = unattached(spec)
    if isinstance(optimizer, SAM):
        return 2 * steps, 2 * steps, 0
    if isinstance(optimizer, NiMSGD):
        later = max(0, steps - optimizer.hyperparameter("tau"))
        return steps + (later if math.isinf(optimizer.hyperparameter("epsilon")) else 0), steps + later, 0
    if isinstance(optimizer, BasinHopping) and optimizer.rule.decide is not None:
        return steps, steps, 2 * max(0, steps // optimizer.hyperparameter("tau") - 1)  # the first search is no hop
    return steps, steps, 0


def _measures(spec: RunSpec, evaluated: Sizes, one: Example) -> float:
    """Return the FLOPs at the end of a restart: of all that `popview.runs.final_measures` declares for its extent."""
    forwards = evaluated.statistics if spec.algorithm == "SWA" else 0  # of the average, which is what it returns
    gradients = 0
    for measure in final_measures.FINAL_MEASURES:
        if spec.extent in measure.where:
            for examples, (forward, gradient) in measure.passes.items():
                forwards += forward * getattr(evaluated, examples)
                gradients += gradient * getattr(evaluated, examples)
    return forwards * one.forward + gradients * one.gradient


# ---------------------------------------------------------------- many specs


def cost_table(specs: Iterable[RunSpec], *, throughput: float = THROUGHPUT, root: Path = RESULTS) -> pd.DataFrame:
    """Return the bill: one row per task, variant and algorithm, and one per task whose frozen layers run once.

    Parameters
    ----------
    specs : iterable of RunSpec
        Each is charged once. SGD and the SWA that rides along it share the training, which SGD is charged with if it
        is among them.
    throughput : float
        FLOP/s that a GPU sustains.
    root : Path
        The store, for the hours that its files took.

    Returns
    -------
    DataFrame
        ``profile, task, variant, algorithm``, the fields of `Cost`, ``flops, gpu_hours``; ``present`` (files in the
        store) and ``core_hours`` that all files take by the mean of those, NaN where there is none;
        ``expected_hours``: these, or where there are none of an arm of the annealed runs, its FLOPs at the pace of the
        algorithm's annealed runs, their searches included, that are there.

    Raises
    ------
    UsageError
        As `cost`, or if there are no specs, or the throughput is not above 0.
    """
    if not (throughput > 0 and math.isfinite(throughput)):
        raise UsageError(f"throughput must be above 0 (FLOP/s), got {throughput!r}")
    wanted = list({spec.digest: spec for spec in specs}.values())
    if not wanted:
        raise UsageError("nothing to charge for: no specs were given")
    digests = {spec.digest for spec in wanted}
    rows: dict[tuple[str, ...], Cost] = {}
    spent: dict[tuple[str, ...], list[float]] = {}
    for spec in wanted:
        key = (spec.profile, spec.task, spec.variant, spec.algorithm)
        beside = next(iter(spec.alongside), None)
        own = cost(spec)
        rides = beside is not None and beside.digest in digests
        if rides:
            own = replace(own, gradients_least=0, gradients=0, training=0.0)
        elif beside is not None:
            also = cost(beside)
            own = replace(own, evaluation=own.evaluation + also.evaluation, measures=own.measures + also.measures)
        rows[key] = rows.get(key, Cost()) + own
        spent.setdefault(key, [])
        if store.path(spec, root).is_file():
            spent[key].append(seconds(store.metadata(spec, root), alone=not rides))
    for (profile, task), model in {(s.profile, s.task): s.model for s in wanted}.items():
        if below := example(task, usual(task, model)).below:
            texts = RECORDS[task].rest + RECORDS[task].test + run_sizes(task, model).corrupted
            rows[profile, task, "", "frozen layers, once"] = Cost(measures=below * texts)
    frame = pd.DataFrame(
        {
            **dict(zip(("profile", "task", "variant", "algorithm"), key, strict=True)),
            **{field.name: getattr(total, field.name) for field in fields(Cost)},
            "flops": total.flops,
            "gpu_hours": total.flops / throughput / 3600,
            "present": len(spent.get(key, [])),
            "core_hours": np.mean(spent[key]) * total.files / 3600 if spent.get(key) else np.nan,
        }
        for key, total in rows.items()
    )
    names = frame.loc[frame["core_hours"].isna(), ["profile", "task", "variant", "algorithm"]]
    paces = pd.Series(
        [pace(*map(str, row), root=root) for row in names.itertuples(index=False)], names.index, dtype=float
    )
    frame["expected_hours"] = frame["core_hours"].fillna(frame["flops"] * paces / 3600)
    order = list(dict.fromkeys(frame["task"]))
    return frame.sort_values("task", key=lambda names: names.map(order.index), kind="stable", ignore_index=True)


def pace(profile: str, task: str, variant: str, algorithm: str, *, root: Path = RESULTS) -> float:
    """Return the core-seconds per FLOP of an algorithm's annealed runs; NaN where none is there, or `variant` is none.

    Those of its finalists count among them, and SWA's do not, which ride along SGD.
    """
    plan = AnnealedPlan(profile, task)
    others = [name for name in ("annealed", "finalist") if variant in plan.variants]
    specs = [spec for name in others for spec in plan.expand(name) if spec.algorithm == algorithm]
    there = [spec for spec in specs if store.path(spec, root).is_file() and not spec.alongside]
    flops = sum(cost(spec).flops for spec in there)
    return sum(seconds(store.metadata(spec, root), alone=True) for spec in there) / flops if there else math.nan


def text(specs: Iterable[RunSpec], *, throughput: float = THROUGHPUT, root: Path = RESULTS) -> str:
    """Return the bill as text for a terminal: a table, its total, the assumptions."""
    rows = cost_table(specs, throughput=throughput, root=root)
    lines = [_line(row) for row in rows.to_dict("records")]
    numbers = rows.select_dtypes("number")
    whole = {str(name): numbers[name].sum().item() for name in numbers}
    for name in ("core_hours", "expected_hours"):
        whole[name] = rows.loc[rows["trajectories"] > 0, name].sum(skipna=False)
    lines.append(_line(whole | {"task": "in all", "variant": "", "algorithm": ""}))
    shown = pd.DataFrame(lines).to_markdown(index=False, tablefmt="simple", disable_numparse=True, colalign=_ALIGN)
    largest = rows["state"].div(rows["trajectories"]).max()
    facts = (
        f"GPU-hours: FLOP over {amount(throughput, 'FLOP/s')} (default: a fifth of an A100's bfloat16 peak), which "
        "small batches of short texts do not reach; no measurement. "
        "Core-hours after ≈: nothing of the line is there, the algorithm's other annealed runs took so long per FLOP. "
        f"Models kept on request: {amount(whole['weights'], 'B')}; state of a run: up to {amount(largest, 'B')}. "
        f"Of {whole['files']} files {whole['present']} are there."
    )
    return "\n".join([shown, "", *ASSUMPTIONS, facts])


_ALIGN = ("left", "left", *["right"] * 8)


def _line(row: dict[str, Any]) -> dict[str, str]:
    least, most = row["gradients_least"], row["gradients"]
    other = (row["evaluation"] + row["measures"]) / row["flops"]
    hours = row["expected_hours"]
    name = row["algorithm"] if row["variant"] in ("", "base") else f"{row['algorithm']}, {row['variant']}"
    return {
        "task": row["task"],
        "algorithm": name,
        "runs": f"{row['trajectories']:,}",
        "steps": f"{row['steps']:,}",
        "gradients": f"{most:,}" if least == most else f"{least:,}–{most:,}",
        "FLOP": amount(row["flops"], ""),
        "evaluated": f"{100 * other:.1f} %",
        "files": amount(row["storage"], "B"),
        "GPU-hours": f"{row['gpu_hours']:,.3g}" if row["gpu_hours"] >= 0.001 else "<0.001",
        "core-hours": ("" if row["core_hours"] > 0 else "≈ ") + f"{hours:.3g}" if hours > 0 else "–",
    }


def amount(value: float, unit: str) -> str:
    """Write a quantity with three digits and a decimal prefix: "105 PFLOP", "3.2 MB"."""
    prefixes = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
    place = min(max(0, math.floor(math.log10(value) / 3)), len(prefixes) - 1) if value > 0 else 0
    scaled = value / 1000**place
    if round(scaled) >= 1000 and place + 1 < len(prefixes):
        place, scaled = place + 1, scaled / 1000
    digits_ = 0 if scaled >= 99.5 or not place else 1 if scaled >= 9.95 else 2
    return f"{scaled:.{digits_}f} {prefixes[place]}{unit}".strip()
