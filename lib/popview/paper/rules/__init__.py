"""The rules by which the ledger judges the paper's claims: numbers in, one of a few words out, never typed by hand.

Four kinds of evidence: the printed tables (`popview.paper.audit`), landscapes and simulations computed on the
spot, the results of a task, and the study of a network's solutions. A rule names no threshold that its docstring does
not state.
"""

from popview.paper.rules.by_landscapes import COMPUTED, Computed
from popview.paper.rules.by_print import PRINTED, printed_checks
from popview.paper.rules.by_solutions import STUDY, Study
from popview.paper.rules.by_tasks import REVISED, TASK, Results
from popview.paper.rules.finding import WORDS, Finding

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
    "printed_checks",
]
