"""The experiment behind the chapter on solutions: train sets of them, find paths between them, keep what is measured.

`popview topography` computes what is missing, as `popview.runs.experiment.run_experiment` does in Python. `solutions`,
`barriers` and `products` read what is there.

>>> from popview.runs import solutions
>>> solutions.networks("smoke")
('digits',)
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
