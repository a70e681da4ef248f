"""What the numbers can and cannot say: tests, effect sizes, nesting and verdicts, on plain arrays.

The restart is the unit. Only `mann_whitney` and `t_test`, the paper's own tests, pool checkpoints; every other
function takes one value per restart and refuses a matrix. ``a`` is always compared with ``b``: estimates are a − b, or
P(a > b).
"""

from collections.abc import Callable

from popview.statistics.batched import mann_whitney_batch, permutation_batch, t_batch
from popview.statistics.classical import holm, mann_whitney, mean_difference, t_test, tost
from popview.statistics.clustering import effective_n, icc, simulate_nested
from popview.statistics.crossed import crossed_mean, spread_of_scores
from popview.statistics.detectable import DetectableEffect, detectable_effect
from popview.statistics.dyadic import dyadic_mean
from popview.statistics.effect_sizes import a12, hodges_lehmann, hodges_lehmann_paired, proportion
from popview.statistics.jackknife import jackknife, jackknife_apart
from popview.statistics.paired_change import PairedChange, paired_change
from popview.statistics.permutation import exact_permutation, paired_permutation, smallest_p, smallest_p_paired
from popview.statistics.rank_relations import granulated_tau, kendall, mean_kendall
from popview.statistics.results import Array, Equivalence, Result
from popview.statistics.sequential import look_levels, sequential_holm, spent
from popview.statistics.summary import RandomEffects, random_effects_mean
from popview.statistics.verdicts import FEWEST_SIGNS, Comparison, Verdict, compare, verdict

__all__ = [
    "FEWEST_SIGNS",
    "TESTS",
    "Comparison",
    "DetectableEffect",
    "Equivalence",
    "PairedChange",
    "RandomEffects",
    "Result",
    "Verdict",
    "a12",
    "compare",
    "crossed_mean",
    "detectable_effect",
    "dyadic_mean",
    "effective_n",
    "exact_permutation",
    "granulated_tau",
    "hodges_lehmann",
    "hodges_lehmann_paired",
    "holm",
    "icc",
    "jackknife",
    "jackknife_apart",
    "kendall",
    "look_levels",
    "mann_whitney",
    "mean_difference",
    "mean_kendall",
    "paired_change",
    "paired_permutation",
    "proportion",
    "random_effects_mean",
    "sequential_holm",
    "simulate_nested",
    "smallest_p",
    "smallest_p_paired",
    "spent",
    "spread_of_scores",
    "t_test",
    "tost",
    "verdict",
]

#: Name of a test → its p-values for two batches of data sets, and a seed: what the book simulates, lists and draws.
TESTS: dict[str, Callable[[Array, Array, int], Array]] = {
    "Mann–Whitney": mann_whitney_batch,
    "t": t_batch,
    "permutation": permutation_batch,
}
