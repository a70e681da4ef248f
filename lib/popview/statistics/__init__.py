"""What the numbers can and cannot say: tests, effect sizes, nesting and verdicts, on plain arrays.

The restart is the unit. Only `mann_whitney` and `t_test`, the paper's own tests, pool checkpoints; every other
function takes one value per restart and refuses a matrix. ``a`` is always compared with ``b``: estimates are a − b, or
P(a > b).
"""

from popview.statistics.classical import holm, mann_whitney, mean_difference, t_test, tost
from popview.statistics.clustering import effective_n, icc, simulate_nested
from popview.statistics.detectable import DetectableEffect, detectable_effect
from popview.statistics.effect_sizes import a12, hodges_lehmann, hodges_lehmann_paired, proportion
from popview.statistics.permutation import exact_permutation, paired_permutation, smallest_p, smallest_p_paired
from popview.statistics.results import Equivalence, Result
from popview.statistics.verdicts import Comparison, Verdict, compare, verdict

__all__ = [
    "Comparison",
    "DetectableEffect",
    "Equivalence",
    "Result",
    "Verdict",
    "a12",
    "compare",
    "detectable_effect",
    "effective_n",
    "exact_permutation",
    "hodges_lehmann",
    "hodges_lehmann_paired",
    "holm",
    "icc",
    "mann_whitney",
    "mean_difference",
    "paired_permutation",
    "proportion",
    "simulate_nested",
    "smallest_p",
    "smallest_p_paired",
    "t_test",
    "tost",
    "verdict",
]
