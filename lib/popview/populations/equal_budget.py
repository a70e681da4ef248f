"""What each optimizer pays, optimizers at the same price, and what measuring adds to training."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from popview.common.errors import check_name
from popview.common.folders import RESULTS
from popview.populations.checkpoints import final
from popview.populations.comparisons import HIGHER_IS_BETTER, against_apart, joined_later, log_loss
from popview.populations.time_to_target import dearer, equal_gradients
from popview.runs import store
from popview.runs.expansion import expand
from popview.runs.profiles import settings, tasks
from popview.runs.specs import RunSpec


def evaluations(trajectories: pd.DataFrame, reference: str = "SGD") -> pd.DataFrame:
    """Return what a restart of each algorithm pays for its epochs.

    Returns
    -------
    DataFrame
        ``algorithm, gradients`` (mean over restarts, at the end), ``lowest, highest`` (restart), ``ratio`` (of means,
        to the reference's), ``losses`` (loss evaluations of accept rules, mean).

    Raises
    ------
    UsageError
        If the reference is not among the trajectories.
    """
    names = list(trajectories["algorithm"].unique())
    check_name("reference", reference, names)
    gradients, losses = (final(trajectories, column)[names] for column in ("gradient_evaluations", "loss_evaluations"))
    return pd.DataFrame(
        {
            "algorithm": names,
            "gradients": gradients.mean().to_numpy(dtype=float),
            "lowest": gradients.min().to_numpy(dtype=float),
            "highest": gradients.max().to_numpy(dtype=float),
            "ratio": (gradients.mean() / gradients[reference].mean()).to_numpy(dtype=float),
            "losses": losses.mean().to_numpy(dtype=float),
        }
    )


def equal_budgets(
    trajectories: pd.DataFrame, margin: float | None, value: str = "test_metric", reference: str = "SGD"
) -> pd.DataFrame:
    """Compare the dearer algorithms with the reference at equal epochs, and stopped where its gradients end.

    Each is taken at its last checkpoint within the budget: at constant learning rates, as here, a run that is stopped
    early is the run of the smaller budget. All comparisons are one Holm family; those of algorithms that
    joined later are another (`popview.populations.comparisons.against_apart`).

    Parameters
    ----------
    trajectories : DataFrame
        As `popview.populations.tables.load_trajectories` returns it.
    margin : float, optional
        Of equivalence; losses are compared without.
    value : str
        A key of `popview.populations.comparisons.HIGHER_IS_BETTER`; of losses the logarithm to base 10 is compared.
    reference : str

    Returns
    -------
    DataFrame
        ``algorithm, budget`` ("equal epochs" or "equal gradients"), ``gradients`` (paid, mean over restarts), ``own,
        other`` (medians of the algorithm's values and of the reference's), and the columns of
        `popview.populations.comparisons.against`; without rows where no algorithm is dearer.

    Raises
    ------
    UsageError
        If the reference is not among the trajectories, or the value is unknown.
    """
    check_name("value", value, HIGHER_IS_BETTER)
    loss = not HIGHER_IS_BETTER[value]
    cut, names = equal_gradients(trajectories, reference), dearer(trajectories, reference)
    values, rows = {reference: final(trajectories, value)[reference]}, []
    for budget, allowed in (("equal epochs", trajectories), ("equal gradients", cut)):
        ends, gradients = final(allowed, value), final(allowed, "gradient_evaluations").mean()
        for name in names:
            values[f"{name}, {budget}"] = ends[name]
            medians = {"own": ends[name].median(), "other": values[reference].median()}
            rows.append({"algorithm": name, "budget": budget, "gradients": gradients[name], **medians})
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(values)
    pairs = [(str(name), reference) for name in table.columns[1:]]
    later = [joined_later(row["algorithm"]) for row in rows]
    compared = against_apart(
        log_loss(table) if loss else table, pairs, later, None if loss else margin, higher_is_better=not loss
    )
    return pd.concat([pd.DataFrame(rows), compared], axis=1)


def measuring(specs: Iterable[RunSpec], root: Path = RESULTS) -> pd.DataFrame:
    """Return what the measures at the end add to training and checkpoints: by the clock, and by counted operations.

    Returns
    -------
    DataFrame
        ``task, variant, algorithm, files`` (in the store, and timed), ``clock`` (share of the seconds, mean over these
        files; NaN where there is none), ``counted`` (share of the FLOPs that `popview.runs.costs.cost` charges). SGD
        and the SWA of its settings share a training: the share of each is that of both files' measures in it.
    """
    from popview.runs import costs  # which imports torch

    specs = list(specs)
    pairs = {other.digest: spec for spec in specs for other in spec.alongside}
    rows: dict[tuple[str, str, str], list[float]] = {}
    counted = {}
    for spec in specs:
        key = (spec.task, spec.variant, spec.algorithm)
        other = next(iter(spec.alongside), pairs.get(spec.digest))
        both = [spec, *filter(None, [other])]
        shares, charged = rows.setdefault(key, []), [costs.cost(one) for one in both]
        counted[key] = sum(cost.measures for cost in charged) / (
            charged[0].training + sum(cost.evaluation for cost in charged)
        )
        clocks = [_clock(one, root) for one in both]
        if own := clocks[0]:
            shared = [c for c in clocks if c and c["training_and_checkpoints"] == own["training_and_checkpoints"]]
            shares.append(sum(clock["measures"] for clock in shared) / own["training_and_checkpoints"])
    return pd.DataFrame(
        {
            **dict(zip(("task", "variant", "algorithm"), key, strict=True)),
            "files": len(shares),
            "clock": float(np.mean(shares)) if shares else np.nan,
            "counted": counted[key],
        }
        for key, shares in rows.items()
    )


def _clock(spec: RunSpec, root: Path) -> dict[str, float] | None:
    """Return the seconds that a file in the store says, None where it is not there or says none."""
    return store.metadata(spec, root).get("seconds") if store.path(spec, root).is_file() else None


def scales(profiles: tuple[str, ...]) -> pd.DataFrame:
    """Return what one trajectory of SGD is at each scale: what was traded against the paper's.

    Parameters
    ----------
    profiles : tuple of str
        A profile that lacks another's task has no line for it.

    Returns
    -------
    DataFrame
        ``task, profile, network, frozen`` (layers), ``parameters`` (trained, with buffers), ``train`` (examples),
        ``batch_size, epochs, restarts, steps, flops`` (of one trajectory).
    """
    from popview.runs import costs, flops  # which import torch

    rows = []
    for task in dict.fromkeys(task for profile in profiles for task in tasks(profile)):
        for profile in (name for name in profiles if task in tasks(name)):
            table, (spec, *_) = settings(profile, task), expand(profile, task, algorithms=("SGD",), restarts=1)
            model, cost = table["model"], costs.cost(spec)
            steps = cost.steps // cost.trajectories
            rows.append(
                {
                    "task": task,
                    "profile": profile,
                    "network": model.get("network") or model.get("model") or f"perceptron 64–{model['hidden']}–10",
                    "frozen": model.get("frozen", 0),
                    "parameters": flops.example(task, model).bytes // 4,
                    "train": model.get("train") or steps // spec.epochs * model["batch_size"],
                    "batch_size": model["batch_size"],
                    "epochs": spec.epochs,
                    "restarts": table["restarts"],
                    "steps": steps,
                    "flops": cost.flops / cost.trajectories,
                }
            )
    return pd.DataFrame(rows)
