"""The experiment behind the chapter on solutions: train sets of them, find paths between them, keep what is measured.

>>> from popview.runs import experiment, solutions
>>> experiment.run("solutions", "smoke", ["digits"], workers=1, quiet=True)  # doctest: +SKIP
>>> solutions.barriers("smoke", "digits")  # doctest: +SKIP
"""

from popview.runs.solutions.load import barriers, coverage, products, solutions
from popview.runs.solutions.parts import PROFILES, STAGES, TopographyPart, networks, settings, titles, topography_parts

__all__ = [
    "PROFILES",
    "STAGES",
    "TopographyPart",
    "barriers",
    "coverage",
    "networks",
    "products",
    "settings",
    "solutions",
    "titles",
    "topography_parts",
]
