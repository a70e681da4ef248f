"""Are ensembles more robust? What runs of digits predict together under corruption.

Weights do not ship, so these runs are trained anew, by the settings and seeds of SGD's base files.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from popview.common.files import written_whole
from popview.common.folders import RESULTS
from popview.populations.stored_predictions import derived_file, digest_of
from popview.populations.tables import wanted
from popview.runs.specs import RunSpec
from popview.runs.training import trained_anew
from popview.tasks import corruptions
from popview.tasks.digits import CORRUPTIONS, Digits

#: Runs in an ensemble.
SIZE = 5


def shifted_ensembles(specs: list[RunSpec]) -> pd.DataFrame:
    """Train restarts on digits, and score each `SIZE` of them, alone and together, clean and corrupted.

    Ensembles average probabilities, and no two share a run.

    Parameters
    ----------
    specs : list of RunSpec
        Of one algorithm on digits.

    Returns
    -------
    DataFrame
        Per ensemble: ``first`` (its first seed) and errors on the test split: ``clean_alone`` (mean over its runs),
        ``clean_together``, and means over corruptions and severities ``shifted_alone, shifted_together``; ``of``:
        digest of the specs.
    """
    return pd.concat([_of_stack(spec) for spec in specs], ignore_index=True).assign(of=digest_of(specs))


def write_shifted(profile: str, root: Path = RESULTS) -> pd.DataFrame:
    """Compute `shifted_ensembles` of SGD's base restarts, and write the table into ``data/ensembles``."""
    specs = [spec for spec in wanted(profile, "digits", "base") if spec.algorithm == "SGD"]
    table = shifted_ensembles(specs)
    with written_whole(derived_file(profile, "digits", "shifted", root)) as file:
        file.write(table.to_csv(index=False, float_format="%.6g").encode())
    return table


@torch.no_grad()
def _of_stack(spec: RunSpec) -> pd.DataFrame:
    with torch.enable_grad():
        problem = trained_anew(spec)
        assert isinstance(problem, Digits)
    labels = problem.test_labels()
    clean = _errors(problem.logits("test").softmax(-1), labels)
    shifted = [
        _errors(problem.under_corruption(name, severity).softmax(-1), labels)
        for name in CORRUPTIONS
        for severity in corruptions.SEVERITIES
    ]
    names = ("clean_alone", "clean_together", "shifted_alone", "shifted_together")
    first = list(spec.seeds)[: len(clean[0]) * SIZE : SIZE]
    return pd.DataFrame({"first": first} | dict(zip(names, (*clean, *np.mean(shifted, axis=0)), strict=True)))


def _errors(probabilities: Tensor, labels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors of groups of `SIZE` runs: the mean of each run's, and that of their mean prediction."""
    groups = len(probabilities) // SIZE
    parts = probabilities[: groups * SIZE].unflatten(0, (groups, SIZE))
    alone = (parts.argmax(-1) != labels).double().mean((1, 2))
    together = (parts.mean(1).argmax(-1) != labels).double().mean(1)
    return alone.numpy(), together.numpy()
