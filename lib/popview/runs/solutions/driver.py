"""Compute what is missing of the study: solutions first, then what is taken from them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from popview.common.folders import TOPOGRAPHY
from popview.runs import workers as engine
from popview.runs.solutions import training
from popview.runs.solutions.barriers import barriers, products
from popview.runs.solutions.parts import Part, networks, parts
from popview.runs.solutions.training import Found

__all__ = ["compute", "run"]

KINDS = {"solutions": training.stored, "products": products, "barriers": barriers}


def compute(part: Part, unfinished: Path, every: float, *, root: Path) -> list[Found]:
    """Compute a part; a part is small enough to begin anew where it was interrupted."""
    return [KINDS[part.kind](part, root)]


def run(
    profile: str,
    only: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    root: Path = TOPOGRAPHY,
    quiet: bool = False,
) -> dict[str, tuple[int, int]]:
    """Compute what is missing of a profile's study, network by network.

    Parameters
    ----------
    profile : str
    only : sequence of str, optional
        Networks; all of the profile by default.
    workers : int, optional
        Processes, one a core by default.
    root : Path
        The store.
    quiet : bool
        Whether to hide the progress bars.

    Returns
    -------
    dict of str to (int, int)
        Network → files wanted, files computed now.

    Raises
    ------
    UsageError
        If a name is unknown, or as `popview.runs.workers.run`.
    """
    found = {}
    everything = {network: parts(profile, network) for network in only or networks(profile)}
    for network, wanted in everything.items():
        computed = 0
        for kinds in (("solutions",), ("products", "barriers")):
            chosen = [part for part in wanted if part.kind in kinds]
            how: dict[str, Any] = {
                "compute": partial(compute, root=root.absolute()),
                "kind": f"{network}, {' and '.join(kinds)}",
            }
            computed += engine.run(chosen, workers=workers, root=root, quiet=quiet, **how)
        found[network] = len(wanted), computed
    return found
