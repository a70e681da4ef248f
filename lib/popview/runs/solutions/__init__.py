"""The study of solutions behind chapter 11: train sets of them, find paths between them, keep what is measured.

>>> from popview.runs import solutions
>>> solutions.run("smoke", networks=("digits",), workers=1)
>>> solutions.barriers("smoke", "digits")
"""

from popview.runs.solutions.driver import compute, run
from popview.runs.solutions.load import barriers, coverage, products, solutions
from popview.runs.solutions.parts import PROFILES, STAGES, Part, networks, parts, settings, solution_parts, titles

__all__ = [
    "PROFILES",
    "STAGES",
    "Part",
    "barriers",
    "compute",
    "coverage",
    "networks",
    "parts",
    "products",
    "run",
    "settings",
    "solution_parts",
    "solutions",
    "titles",
]
