"""The solutions of several networks beside SGD's of the same seeds: their sharpness and their accuracy."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from popview.paper.rules import Study
from popview.runs.solutions.parts import STAGES
from popview.statistics import holm
from popview.topography.measures import SHARPNESS


def ratios_to_sgd(networks: Mapping[str, Study]) -> pd.DataFrame:
    """Return how many times SGD's each measure of sharpness is at equal training loss, in geometric mean over seeds.

    Returns
    -------
    DataFrame
        ``network, algorithm, measure, ratio, p`` (sign flips by seed, not adjusted); without algorithms of which fewer
        than three solutions reached that loss.
    """
    rows = [
        (name, algorithm, measure, 10**found.estimate, found.p_value)
        for name, study in networks.items()
        for algorithm in study.values("equal", "seed")
        if algorithm != "SGD"
        for measure in SHARPNESS
        if measure in study.solutions and (found := study.against("equal", measure, algorithm)) is not None
    ]
    return pd.DataFrame(rows, columns=["network", "algorithm", "measure", "ratio", "p"])


def accuracies_less_sgds(networks: Mapping[str, Study]) -> pd.DataFrame:
    """Return each algorithm's test accuracy less SGD's, by network and stage, paired by seed.

    Returns
    -------
    DataFrame
        ``network, stage, algorithm, difference, adjusted_p`` (of sign flips by seed; Holm's, within a network and
        stage); without algorithms of which fewer than three seeds have both.
    """
    rows = []
    for network, study in networks.items():
        for stage in STAGES:
            names = [name for name in study.values(stage, "seed") if name != "SGD"]
            against = {name: study.against(stage, "test_accuracy", name) for name in names}
            found = {name: result for name, result in against.items() if result is not None}
            adjusted = holm(np.array([result.p_value for result in found.values()], dtype=float)) if found else ()
            rows += [
                (network, stage, name, result.estimate, p)
                for (name, result), p in zip(found.items(), adjusted, strict=True)
            ]
    return pd.DataFrame(rows, columns=["network", "stage", "algorithm", "difference", "adjusted_p"])
