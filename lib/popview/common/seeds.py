"""Independent random streams from one seed: a restart's start must not share random numbers with its noise."""

import hashlib
from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from popview.common.errors import check_name

if TYPE_CHECKING:
    import torch


#: What a restart's seed draws, apart from each other: the initial weights; the examples that are trained on; their
#: order, and how they are cropped and flipped; the optimizer's noise, and dropout.
SOURCES = ("initialisation", "split", "order", "noise")


def checked_seed(seed: Any) -> int:
    """Return a seed as a whole number of Python: NumPy's are taken, and anything else is refused.

    Raises
    ------
    TypeError
        If it is a float, a truth value or anything else: 1.0 and True would name other streams than 1 does.
    ValueError
        If it does not fit the 64 bits of torch's generators.

    Examples
    --------
    >>> import numpy as np
    >>> from popview.common.seeds import checked_seed
    >>> checked_seed(np.int64(3))
    3
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed must be a whole number, got {seed!r}")
    if not -(2**63) <= (number := int(seed)) < 2**64:
        raise ValueError(f"seed must lie between -2**63 and 2**64 - 1, got {seed!r}")
    return number


def stream(seed: int, name: str) -> int:
    """Return the seed of the stream `name` ("starts", "noise", "order", …) that belongs to `seed`."""
    return int.from_bytes(hashlib.sha256(f"{checked_seed(seed)}/{name}".encode()).digest()[:8], "big") >> 1


def seed_of(source: str, seed: int, fixed: Mapping[str, int] | None = None) -> int:
    """Return the seed that draws a source of a restart: its own, unless the source has a fixed one.

    Parameters
    ----------
    source : str
        One of `SOURCES`.
    seed : int
        Of the restart.
    fixed : mapping of str to int, optional
        Source → the seed that draws it for every restart.

    Raises
    ------
    UsageError
        If a source is unknown.

    Examples
    --------
    >>> from popview.common.seeds import seed_of
    >>> [seed_of(source, 3, {"split": 0}) for source in ("split", "order")]
    [0, 3]
    """
    for name in (source, *(fixed or {})):
        check_name("source of randomness", name, SOURCES)
    return checked_seed((fixed or {}).get(source, seed))


def draws(seed: int) -> np.random.Generator:
    """Return NumPy's generator at the start of a seed's numbers; for the errors see `checked_seed`."""
    return np.random.default_rng(checked_seed(seed))


def generator(seed: int, name: str) -> "torch.Generator":
    """Return a processor-side torch generator at the start of that stream."""
    import torch  # here, since statistics draw numbers without it

    return torch.Generator().manual_seed(stream(seed, name))


def seed_torch(seed: int) -> None:
    """Put torch's own generators at the start of a seed's numbers, as `torch.manual_seed` does.

    Where there is no accelerator, only that of the processor. For each other kind of device torch would note the whole
    stack of calls. That takes as long as a step of a small network.
    """
    import torch

    (torch.manual_seed if torch.accelerator.is_available() else torch.default_generator.manual_seed)(seed)
