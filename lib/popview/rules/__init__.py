"""The rules by which the ledger judges the paper's claims: numbers in, one of a few words out, never typed by hand.

Three kinds of evidence: the printed tables (`popview.forensics`), landscapes and simulations computed on the spot, and
the results of a task. A rule names no threshold that is not stated in its docstring.
"""

from popview.rules.computed import COMPUTED, Computed
from popview.rules.findings import WORDS, Finding
from popview.rules.printed import PRINTED, checks_by_name
from popview.rules.tasks import TASK, Results

__all__ = ["COMPUTED", "PRINTED", "TASK", "WORDS", "Computed", "Finding", "Results", "checks_by_name"]
