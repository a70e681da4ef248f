"""The optimizers of arXiv 2403.00574 (Algorithms 1–9) and references, for networks and for populations of points.

>>> from popview.optimizers import make
>>> optimizer = make("NiM-BH", model.parameters(), buffers=model.buffers(), lr=0.1, rho=0.05, tau=100)
>>> loss = optimizer.step(closure)
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from popview.common.errors import check_name
from popview.optimizers.adamw import AdamW
from popview.optimizers.base import Optimizer
from popview.optimizers.basin_hopping import ACCEPT_RULES, AcceptRule, BasinHopping, Perturb, hopping
from popview.optimizers.lbfgs import LBFGS
from popview.optimizers.noise import NOISES, SCOPES
from popview.optimizers.sam import SAM
from popview.optimizers.sgd import SGD, SGLD, NiGSGD, NiMSGD, sgd_
from popview.optimizers.swa import SWA

__all__ = [
    "ACCEPT_RULES",
    "ALGORITHMS",
    "LBFGS",
    "NOISES",
    "SAM",
    "SCOPES",
    "SGD",
    "SGLD",
    "SWA",
    "AcceptRule",
    "AdamW",
    "BasinHopping",
    "NiGSGD",
    "NiMSGD",
    "Optimizer",
    "Perturb",
    "hyperparameters",
    "make",
    "sgd_",
]

#: The paper's names. On a landscape there is no minibatch, and the paper writes GD for SGD.
ALGORITHMS: dict[str, Callable[..., Optimizer]] = {
    "GD": SGD,
    "NiG-GD": NiGSGD,
    "NiM-GD": NiMSGD,
    "SGD": SGD,
    "NiG-SGD": NiGSGD,
    "NiM-SGD": NiMSGD,
    "SAM": SAM,
    "NiG-BH": hopping("gradient", accept="always"),
    "NiM-BH": hopping("model", accept="always"),
    "NiG-MBH": hopping("gradient", accept="classical"),
    "NiM-MBH": hopping("model", accept="classical"),
    "AdamW": AdamW,
    "SWA": SWA,
    "SGLD": SGLD,
    "L-BFGS-GSS": LBFGS,
}


def hyperparameters(name: str) -> tuple[str, ...]:
    """Return the names of the hyperparameters that an algorithm takes, in alphabetical order.

    Raises
    ------
    UsageError
        If the algorithm is unknown.
    """
    check_name("algorithm", name, ALGORITHMS)
    build = ALGORITHMS[name]
    callables = [c.__init__ for c in build.__mro__] if inspect.isclass(build) else [build]  # type: ignore[misc]
    if not inspect.isclass(build):
        callables += [c.__init__ for c in BasinHopping.__mro__]  # type: ignore[misc]
    names = {
        parameter.name
        for f in callables
        for parameter in inspect.signature(f).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    return tuple(sorted(names - {"buffers", "scaler", "perturb"}))


def make(
    name: str,
    params: Iterable[Any],
    *,
    buffers: Iterable[Tensor] = (),
    scaler: torch.amp.GradScaler | None = None,
    **hyperparameters_: Any,
) -> Optimizer:
    """Make an optimizer by the paper's name.

    Parameters
    ----------
    name : str
        A key of `ALGORITHMS`.
    params, buffers, scaler
        See `Optimizer`.
    **hyperparameters_
        Those of the algorithm (`hyperparameters` lists them); the others keep their defaults.

    Raises
    ------
    UsageError
        If the algorithm or a hyperparameter's name is unknown.
    ValueError, TypeError
        If a value is out of range or a tensor unfit.
    """
    known = hyperparameters(name)
    for given in hyperparameters_:
        check_name(f"hyperparameter of {name}", given, known)
    return ALGORITHMS[name](params, buffers=buffers, scaler=scaler, **hyperparameters_)
