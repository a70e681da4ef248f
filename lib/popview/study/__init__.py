"""The study of solutions behind chapter 11: train sets of them, find paths between them, keep what is measured.

>>> from popview import study
>>> study.run("smoke", networks=("digits",), workers=1)
>>> study.barriers("smoke", "digits")
"""

from popview.study.driver import compute, run
from popview.study.parts import PROFILES, STAGES, Part, networks, parts, settings, solution_parts, titles
from popview.study.results import barriers, coverage, products, solutions

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
