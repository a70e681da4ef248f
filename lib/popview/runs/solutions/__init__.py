"""The experiment behind the chapter on solutions: train sets of them, find paths between them, keep what is measured.

>>> from popview.runs import experiment, solutions
>>> experiment.run_experiment("solutions", "smoke", ["digits"], workers=1, quiet=True)  # doctest: +SKIP
>>> solutions.barriers("smoke", "digits")  # doctest: +SKIP
"""

from popview.runs.solutions.load import barriers, products, solutions, solutions_coverage
from popview.runs.solutions.parts import (
    PROFILES,
    STAGES,
    TopographyPart,
    network_settings,
    networks,
    titles,
    topography_parts,
)

__all__ = [
    "PROFILES",
    "STAGES",
    "TopographyPart",
    "barriers",
    "network_settings",
    "networks",
    "products",
    "solutions",
    "solutions_coverage",
    "titles",
    "topography_parts",
]
