"""The parts that a hop is built from: what perturbs a model, and the rule by which the hop is accepted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from popview.common.errors import check_name
from popview.optimizers.noise import Noise, Streams, draw_noise
from popview.optimizers.passes import Closure
from popview.optimizers.tensors import add_


@dataclass(frozen=True)
class Perturb:
    """Add noise ζ ∈ B₀(ρ) to the model (Algorithm 6) or to the gradient of the hop's first step (Algorithm 7).

    At equal ρ the two are not alike: the second displaces the model by η ρ, and with momentum, which carries it on, by
    η ρ / (1 − momentum) in the end.

    Examples
    --------
    Noise that is 1 everywhere, at ρ = 0.5, for the second of two models:

    >>> import torch
    >>> from popview.optimizers import Perturb
    >>> ones = lambda models, generator: [torch.ones_like(t) for t in models]
    >>> perturb, models = Perturb("model", ones), [torch.zeros(2, 1)]
    >>> perturb(models, models, torch.Generator(), 0.5, torch.tensor([False, True]))
    >>> models
    [tensor([[0.0000],
            [0.5000]])]
    """

    target: Literal["model", "gradient"]
    noise: Noise

    def __post_init__(self) -> None:
        """Raise UsageError where the target is unknown."""
        check_name("target of a perturbation", self.target, ("model", "gradient"))

    def __call__(
        self, tensors: list[Tensor], models: list[Tensor], streams: Streams, rho: float | Tensor, where: Tensor
    ) -> None:
        """Add ρ ζ in place to the `tensors` of those members of the population that `where` selects."""
        add_(tensors, draw_noise(self.noise, models, streams), rho, where)


def _loss(loss_closure: Closure) -> Any:
    return loss_closure()


def _lower(candidate: Tensor, reference: Tensor, temperature: float | Tensor, generator: Generator) -> Tensor:
    return candidate < reference


def _metropolis(candidate: Tensor, reference: Tensor, temperature: float | Tensor, generator: Generator) -> Tensor:
    lower = candidate < reference
    if not (temperature.any() if isinstance(temperature, Tensor) else temperature):
        return lower
    chance = torch.empty_like(candidate).uniform_(generator=generator)
    return lower | (chance < torch.exp((reference - candidate) / temperature))


@dataclass(frozen=True)
class AcceptRule:
    """When a hop is accepted, and what a rejected one returns to.

    Parameters
    ----------
    decide : callable or None
        ``(candidate, reference, temperature, generator)`` → mask, from two scores of shape ``(P,)``; the temperature
        has that shape where it differs between members. None accepts always and compares nothing. A loss that is NaN
        counts as +∞: it is never lower, and anything finite is lower.
    reference : {"minimum", "perturbed"}
        The point that the candidate is compared with and that a rejection returns to: the previous minimum, or the
        point after the perturbation.
    score : callable
        ``loss_closure`` → score of the model as it stands, the lower the better; by default the loss.

    Examples
    --------
    A rule that also accepts a loss that is higher by less than 0.1:

    >>> import torch
    >>> from popview.optimizers import AcceptRule, make
    >>> rule = AcceptRule(lambda candidate, reference, temperature, generator: candidate < reference + 0.1)
    >>> rule.decide(torch.tensor([1.0, 2.0]), torch.tensor([0.95, 1.0]), 0.0, torch.Generator())
    tensor([ True, False])
    >>> optimizer = make("NiM-MBH", [torch.nn.Parameter(torch.zeros(1))], accept=rule)
    """

    decide: Callable[[Tensor, Tensor, Any, Generator], Tensor] | None
    reference: Literal["minimum", "perturbed"] = "minimum"
    score: Callable[[Closure], Any] = _loss

    def __post_init__(self) -> None:
        """Raise UsageError where the reference is unknown."""
        check_name("reference of an accept rule", self.reference, ("minimum", "perturbed"))


ACCEPT_RULES: dict[str, AcceptRule] = {
    "always": AcceptRule(None),
    "classical": AcceptRule(_lower),
    "metropolis": AcceptRule(_metropolis),
    "printed": AcceptRule(_lower, reference="perturbed"),
}


def make_accept_rule(accept: str | AcceptRule | Callable[[Closure], Any]) -> AcceptRule:
    """Return the rule named; a rule as it is; or, for a callable, `classical` with that callable as the score."""
    if isinstance(accept, AcceptRule):
        return accept
    if callable(accept):
        return AcceptRule(_lower, score=accept)
    check_name("accept rule", accept, ACCEPT_RULES)
    return ACCEPT_RULES[accept]
