"""How many examples of a task a run evaluates, and measures at its end."""

from typing import NamedTuple

from popview.tasks.corruptions import SEVERITIES, WHOLE_SEVERITIES


class Sizes(NamedTuple):
    """Numbers of examples.

    Attributes
    ----------
    trained : int
        Of the train split.
    train, validation, test : int
        Of each split's sample, which checkpoints evaluate.
    whole_test : int
        Of the test split.
    clean, corruptions : int
        Examples of the test sample that are corrupted, and in how many ways, each at every severity.
    measured, curved, inputs : int
        Training examples on which flatness is measured, and on which Hessian-vector products are taken (0: none are);
        test examples by which the loss is differentiated.
    statistics : int
        Training examples from which BatchNorm statistics are recomputed.
    corrupted_losses : int
        Corrupted examples of which the loss is measured as well.
    unseen : int
        Examples of classes that are not trained on, which are passed through once.

    Examples
    --------
    >>> from popview.tasks.sizes import Sizes
    >>> Sizes(trained=1000, train=500, validation=200, test=300, whole_test=600).checkpoint
    1000
    """

    trained: int
    train: int
    validation: int
    test: int
    whole_test: int
    clean: int = 0
    corruptions: int = 0
    measured: int = 0
    curved: int = 0
    inputs: int = 0
    statistics: int = 0
    corrupted_losses: int = 0
    unseen: int = 0

    @property
    def checkpoint(self) -> int:
        """Examples that a checkpoint evaluates."""
        return self.train + self.validation + self.test

    @property
    def corrupted(self) -> int:
        """Corrupted examples of the test sample."""
        return self.clean * self.corruptions * len(SEVERITIES)

    @property
    def whole_corrupted(self) -> int:
        """Examples that are evaluated where the whole test split is corrupted: it as it is, too."""
        return self.whole_test * (1 + self.corruptions * len(WHOLE_SEVERITIES)) if self.corruptions else 0


def sample_sizes(
    *, train: int, validation: int, test: int, evaluated: int, tested: int, fixed_validation: bool
) -> dict[str, int]:
    """Return the size of each split's sample.

    Parameters
    ----------
    train, validation, test : int
        Sizes of the splits.
    evaluated, tested : int
        How many examples a sample has at most: of the train and validation splits, and of the test split.
    fixed_validation : bool
        Whether the sample of the validation split is the whole of it.
    """
    return {
        "train": min(evaluated, train),
        "validation": validation if fixed_validation else min(evaluated, validation),
        "test": min(tested, test),
    }
