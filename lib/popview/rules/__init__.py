"""The rules by which the ledger judges the paper's claims: numbers in, one of a few words out, never typed by hand.

Four kinds of evidence: the printed tables (`popview.forensics`), landscapes and simulations computed on the spot, the
results of a task, and the study of a network's solutions. A rule names no threshold that its docstring does not state.
"""

from popview.rules.computed import COMPUTED, Computed
from popview.rules.findings import WORDS, Finding
from popview.rules.printed import PRINTED, checks_by_name
from popview.rules.study import STUDY, Study
from popview.rules.tasks import REVISED, TASK, Results

__all__ = [
    "COMPUTED",
    "PRINTED",
    "REVISED",
    "STUDY",
    "TASK",
    "WORDS",
    "Computed",
    "Finding",
    "Results",
    "Study",
    "checks_by_name",
]
