"""How each kind of part is computed. Specs do not import this: who reads results imports nothing that trains."""

from collections.abc import Sequence
from pathlib import Path

from popview.runs import training
from popview.runs.solutions import training as solution_training
from popview.runs.solutions.between import measure_barriers, measure_products
from popview.runs.solutions.parts import TopographyPart
from popview.runs.specs import Part, RunSpec
from popview.runs.sweeping import sweep_table
from popview.runs.sweeps import SweepPart

#: A computed part: its ``spec`` and ``table``, and ``weights``, the state that holds its models'.
Finished = training.Trajectory | solution_training.Found


def compute_part(part: Part, unfinished: Path, every: float, root: Path) -> Sequence[Finished]:
    """Return what is to be stored: of `Part.alongside`, and last of the part itself.

    Parameters
    ----------
    part : Part
    unfinished : Path
        Where the state of a half-done part is read from, if there, and written to.
    every : float
        Seconds between two writings of it.
    root : Path
        The store, which holds the part's sources.
    """
    if isinstance(part, RunSpec):
        return training.compute(part, unfinished, every)
    if isinstance(part, SweepPart):
        return [solution_training.Found(part, sweep_table(part))]
    assert isinstance(part, TopographyPart)
    if part.kind == "solutions":
        return [solution_training.trained(part, unfinished, every)]
    return [(measure_barriers if part.kind == "barriers" else measure_products)(part, root)]
