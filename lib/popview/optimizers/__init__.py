"""The optimizers of arXiv 2403.00574 (Algorithms 1–9) and references, for networks and for populations of points.

>>> import torch
>>> from popview.optimizers import make
>>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
>>> optimizer = make("NiM-BH", model.parameters(), buffers=model.buffers(), lr=0.1, rho=0.05, tau=100)
>>> def closure():
...     optimizer.zero_grad()
...     loss = (model(torch.eye(2)) ** 2).mean()
...     loss.backward()
...     return loss
>>> loss = optimizer.step(closure)
>>> optimizer.gradient_evaluations
1
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch

from popview.common.errors import check_name
from popview.optimizers.adamw import AdamW
from popview.optimizers.base import Optimizer
from popview.optimizers.basin_hopping import BasinHopping, hopping
from popview.optimizers.hops import ACCEPT_RULES, AcceptRule, Perturb
from popview.optimizers.lbfgs import LBFGS
from popview.optimizers.noise import NOISES, SCOPES
from popview.optimizers.sam import SAM
from popview.optimizers.sgd import SGD, SGLD, NiGSGD, NiMSGD, sgd_
from popview.optimizers.signatures import merged_signature
from popview.optimizers.swa import SWA

__all__ = [
    "ACCEPT_RULES",
    "ALGORITHMS",
    "GD",
    "LBFGS",
    "L_BFGS_GSS",
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
    "NiG_BH",
    "NiG_GD",
    "NiG_MBH",
    "NiG_SGD",
    "NiMSGD",
    "NiM_BH",
    "NiM_GD",
    "NiM_MBH",
    "NiM_SGD",
    "Optimizer",
    "Perturb",
    "class_of",
    "hyperparameters",
    "make",
    "sgd_",
]

#: The paper's names. On a landscape there is no minibatch, and the paper writes GD for SGD. Each algorithm can also be
#: imported from here by its name, with an underscore for each hyphen: `SAM`, `NiG_BH`, `L_BFGS_GSS`.
ALGORITHMS: dict[str, Callable[..., Optimizer]] = {
    "GD": SGD,
    "NiG-GD": NiGSGD,
    "NiM-GD": NiMSGD,
    "SGD": SGD,
    "NiG-SGD": NiGSGD,
    "NiM-SGD": NiMSGD,
    "SAM": SAM,
    "NiG-BH": partial(hopping, "gradient", accept="always"),
    "NiM-BH": partial(hopping, "model", accept="always"),
    "NiG-MBH": partial(hopping, "gradient", accept="classical"),
    "NiM-MBH": partial(hopping, "model", accept="classical"),
    "AdamW": AdamW,
    "SWA": SWA,
    "SGLD": SGLD,
    "L-BFGS-GSS": LBFGS,
}


#: What the four algorithms that hop take.
_OF_HOPS = merged_signature([hopping, BasinHopping.__init__, SGD.__init__, Optimizer.__init__], ("target", "perturb"))

_HOPPING = """Make {0}; see `BasinHopping` for its hyperparameters, `NiGSGD` for noise and scope.

    Examples
    --------
    >>> import torch
    >>> from popview.optimizers import {1}
    >>> weights = torch.zeros(2, requires_grad=True)
    >>> {1}([weights], lr=0.1, rho=0.5, tau=20).param_groups[0]["rho"]
    0.5
    """


def _constructor(name: str) -> Callable[..., Optimizer]:
    """Return an algorithm's constructor under its name in Python."""

    def construct(params: Iterable[Any], **given: Any) -> Optimizer:
        return make(name, params, **given)

    rule = ALGORITHMS[name].keywords["accept"]  # type: ignore[attr-defined]
    known = [one.replace(default=rule) if one.name == "accept" else one for one in _OF_HOPS.parameters.values()]
    construct.__signature__ = _OF_HOPS.replace(parameters=known)  # type: ignore[attr-defined]
    construct.__name__ = construct.__qualname__ = name.replace("-", "_")
    construct.__doc__ = _HOPPING.format(name, construct.__name__)
    return construct


GD = SGD
NiG_GD = NiG_SGD = NiGSGD
NiM_GD = NiM_SGD = NiMSGD
NiG_BH, NiM_BH, NiG_MBH, NiM_MBH = map(_constructor, ("NiG-BH", "NiM-BH", "NiG-MBH", "NiM-MBH"))
L_BFGS_GSS = LBFGS


def class_of(name: str) -> type[Optimizer]:
    """Return the class of an algorithm of `ALGORITHMS`; it holds the line of the book's table, `in_short`.

    Examples
    --------
    >>> from popview.optimizers import class_of
    >>> class_of("SAM").in_short.gradients, class_of("NiM-MBH").__name__
    ('2', 'BasinHopping')
    """
    build = ALGORITHMS[name]
    return build if isinstance(build, type) else BasinHopping


def hyperparameters(name: str) -> tuple[str, ...]:
    """Return the names of the hyperparameters that an algorithm takes, in alphabetical order.

    Raises
    ------
    UsageError
        If the algorithm is unknown.

    Examples
    --------
    >>> from popview.optimizers import hyperparameters
    >>> hyperparameters("SAM")
    ('lr', 'momentum', 'normalized', 'population', 'rho', 'seed', 'weight_decay')
    """
    check_name("algorithm", name, ALGORITHMS)
    kind = class_of(name)
    taken = _OF_HOPS if kind is BasinHopping else kind.__signature__
    names = {one.name for one in taken.parameters.values() if one.kind is one.KEYWORD_ONLY}
    return tuple(sorted(names - {"buffers", "scaler", "process_group"}))


def make(
    name: str,
    params: Iterable[Any],
    *,
    buffers: Iterable[Any] = (),
    scaler: torch.amp.GradScaler | None = None,
    process_group: Any = None,
    **hyperparameters_: Any,
) -> Optimizer:
    """Make an optimizer by the paper's name.

    Parameters
    ----------
    name : str
        A key of `ALGORITHMS`.
    params, buffers, scaler, process_group
        See `Optimizer`.
    **hyperparameters_
        Those of the algorithm (`hyperparameters` lists them); the others keep their defaults.

    Raises
    ------
    UsageError
        If the algorithm or a hyperparameter's name is unknown.
    ValueError, TypeError
        If a value is out of range or a tensor unfit.

    Examples
    --------
    The loss w² at w = 2 has gradient 4. SAM climbs by ρ = 0.5 to 2.5, where the gradient is 5, and
    steps from 2 along it.

    >>> import torch
    >>> from popview.optimizers import make
    >>> w = torch.nn.Parameter(torch.tensor([2.0]))
    >>> optimizer = make("SAM", [w], lr=0.25, rho=0.5)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), w.item(), optimizer.gradient_evaluations
    (4.0, 0.75, 2)

    Two models at once, whose minima differ. Each has a loss of its own:

    >>> w = torch.nn.Parameter(torch.tensor([[2.0], [2.0]]))
    >>> optimizer = make("SGD", [w], lr=0.25, population=True)
    >>> def losses():
    ...     optimizer.zero_grad()
    ...     loss = ((w - torch.tensor([[0.0], [1.0]])) ** 2).sum(1)
    ...     loss.sum().backward()
    ...     return loss
    >>> optimizer.step(losses).tolist(), w.tolist()
    ([4.0, 1.0], [[1.0], [1.5]])
    """
    known = hyperparameters(name)
    for given in hyperparameters_:
        check_name(f"hyperparameter of {name}", given, known)
    return ALGORITHMS[name](params, buffers=buffers, scaler=scaler, process_group=process_group, **hyperparameters_)
