"""What a check of a printed statement says: the common form of `popview.paper.audit.tables` and
`popview.paper.audit.formulas`."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Check", "Word"]

Word = Literal["cannot both hold", "flag", "no flag"]


@dataclass(frozen=True)
class Check:
    """One inconsistency, or the finding that there is none.

    Attributes
    ----------
    name, where : str
        What is checked, and where it is printed.
    printed, computed : str
        In words, with numbers.
    p_value : float or None
        How likely such numbers are by chance; None where the argument is not one of chance.
    found : bool
        Whether the computation shows an inconsistency.
    impossible : bool
        Whether no data could give both printed statements, and no caption leaves room.
    innocent : str
        The most innocent explanation.
    """

    name: str
    where: str
    printed: str
    computed: str
    p_value: float | None
    found: bool
    impossible: bool
    innocent: str

    @property
    def verdict(self) -> Word:
        """'cannot both hold' if found and impossible, 'flag' if found, else 'no flag'."""
        if not self.found:
            return "no flag"
        return "cannot both hold" if self.impossible else "flag"
