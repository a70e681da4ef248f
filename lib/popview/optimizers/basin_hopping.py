"""Basin Hopping on minibatches: Algorithms 4–9 of arXiv 2403.00574, built from three small callables.

A hop perturbs the model, searches locally for at most τ steps or until the gradient flattens, and is then accepted or
not. One optimizer step is one update, so a hop is a state machine over steps; every member of a population has its own
place in its own hop. The first local search starts unperturbed, as in Olson et al. 2012 and in SciPy.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from popview.common.errors import UsageError, check_name
from popview.optimizers.base import Closure, check_switch
from popview.optimizers.noise import Noise, make_noise
from popview.optimizers.sgd import SGD, sgd_
from popview.optimizers.tensors import add_, copy_where_, members_of, norm

__all__ = ["ACCEPT_RULES", "AcceptRule", "BasinHopping", "Perturb"]


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
        self, tensors: list[Tensor], models: list[Tensor], generator: Generator, rho: float, where: Tensor
    ) -> None:
        """Add ρ ζ in place to the `tensors` of those members of the population that `where` selects."""
        add_(tensors, self.noise(models, generator), rho, where)


def _loss(loss_closure: Closure) -> Any:
    return loss_closure()


def _lower(candidate: Tensor, reference: Tensor, temperature: float, generator: Generator) -> Tensor:
    return candidate < reference


def _metropolis(candidate: Tensor, reference: Tensor, temperature: float, generator: Generator) -> Tensor:
    lower = candidate < reference
    if temperature == 0:
        return lower
    chance = torch.empty_like(candidate).uniform_(generator=generator)
    return lower | (chance < torch.exp((reference - candidate) / temperature))


@dataclass(frozen=True)
class AcceptRule:
    """When a hop is accepted, and what a rejected one returns to.

    Parameters
    ----------
    decide : callable or None
        ``(candidate, reference, temperature, generator)`` → mask, from two scores of shape ``(P,)``; None accepts
        always and compares nothing. A NaN is never lower, so a diverged candidate is rejected.
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

    decide: Callable[[Tensor, Tensor, float, Generator], Tensor] | None
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


class BasinHopping(SGD):
    """Hops of perturbation, local search and acceptance (Algorithms 4, 5, 8 and 9).

    Parameters
    ----------
    perturb : Perturb
        What starts a hop.
    local_search : callable
        One step of the search, with the signature of `sgd_`.
    accept : {"always", "classical", "metropolis", "printed"}, AcceptRule or callable
        `classical` compares with the previous minimum and is monotonic; `metropolis` at temperature 0 is `classical`;
        `printed` compares with the perturbed point, as line 9 of the paper's Algorithm 9 reads, and is not monotonic.
        A callable is a score, ``score(loss_closure)``, that must be lower at the candidate: a loss plus c times a
        sharpness, say. It is called without gradients: a sharpness that takes some opens `torch.enable_grad` itself.
    rho : float
        Radius of the noise ball.
    tau : int
        Most steps in a hop; where the gradient is perturbed, the perturbed step is the first of them.
    epsilon : float
        A hop ends after the step that met ‖g‖ < ε (∇f, without weight decay and before normalisation). The step with
        the perturbed gradient does not end a hop: it starts where the gradient is flat.
    temperature : float
        T of `metropolis`.
    noise_until : float
        Once more than this many steps are taken, no hop starts any more: when the last one has ended, and was accepted
        or not, the rest of the run is one local search without an end. By default hops never stop.
    reset_momentum : bool
        Whether a hop starts with its momentum at zero.

    Notes
    -----
    Candidate and reference are evaluated one after the other through ``loss_closure`` (without gradients; the closure
    itself where none is given), under the same random draws: two loss evaluations a hop. Pass a `loss_closure` on a
    fixed sample when training on minibatches. A rejected hop returns parameters, buffers and momentum. In mid-hop
    `solution` and `finish` give the incumbent: the previous minimum, or for `printed` the perturbed point. Under an
    accept rule one more copy of parameters, buffers and momentum is kept, and a second one of parameters and buffers
    for as long as the two are compared. `metropolis` at T > 0 draws from the optimizer's noise stream.

    Examples
    --------
    The loss (w² − 1)² − w/4 has a minimum at −0.97, where the search begins, and a lower one at 1.03. A hop by 2 to the
    right is accepted. The next hop is rejected, since it ends in the same minimum. The last hop has not ended, and
    `finish` returns to the minimum before it.

    >>> import torch
    >>> from popview.optimizers import BasinHopping, Perturb
    >>> w = torch.nn.Parameter(torch.tensor([-1.0]))
    >>> ones = lambda models, generator: [torch.ones_like(t) for t in models]
    >>> optimizer = BasinHopping([w], perturb=Perturb("model", ones), accept="classical", lr=0.01, rho=2.0, tau=90)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w**2 - 1) ** 2 - w / 4).sum()
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(270):
    ...     loss = optimizer.step(closure)
    >>> optimizer.finish()
    >>> round(w.item(), 2), optimizer.hops_tried, optimizer.hops_accepted
    (1.03, 2, 1)
    """

    replays = True
    model_wide = ("rho", "tau", "epsilon", "temperature", "noise_until")

    def __init__(
        self,
        params: Iterable,
        *,
        perturb: Perturb,
        accept: str | AcceptRule | Callable[[Closure], Any] = "always",
        local_search: Any = sgd_,
        rho: float = 0.05,
        tau: int = 50,
        epsilon: float = 1e-4,
        temperature: float = 0.0,
        noise_until: float = math.inf,
        reset_momentum: bool = False,
        **others: Any,
    ) -> None:
        self.perturb = perturb
        self.rule = make_accept_rule(accept)
        self.local_search = local_search
        self.reset_momentum = check_switch("reset_momentum", reset_momentum)
        others |= {"rho": rho, "tau": tau, "epsilon": epsilon, "temperature": temperature}
        others["noise_until"] = noise_until
        super().__init__(params, **others)
        self._place = torch.zeros(self.size, dtype=torch.int64, device=self.device)  # steps taken in the hop
        self._searches = torch.zeros_like(self._place)  # local searches finished: 0 during the first
        self._kept_buffers = [b.clone() for b in self.buffers] if self.rule.decide is not None else []

    @torch.no_grad()
    def step(self, closure: Closure, loss_closure: Closure | None = None) -> Any:  # type: ignore[override]
        """Make one update, and accept or reject where it ends a hop; see `Optimizer.step` for the closures."""
        self._check_closure(closure)
        self.steps += 1
        between = (self._place == 0) & (self._searches > 0)
        starting = between & (self.steps <= self.hyperparameter("noise_until") + 1)
        starts = bool(starting.any())
        if starts:
            self._start(starting)
        try:
            loss = self._first_pass(closure)
        except BaseException:
            self._begun(starting)
            raise
        if not self._overflowed():
            flat = norm(self._gradients()) < self.hyperparameter("epsilon")
            self._normalize()
            if starts and self.perturb.target == "gradient":
                self._inject(self._gradients(), starting)
                flat &= ~starting
            self._descend()
            if starts and self.perturb.target == "gradient" and self.rule.reference == "perturbed":
                self._keep(starting)
            searching = starting | ~between  # else hops are over, and this search has no end
            self._place += searching
            ended = searching & (flat | (self._place >= self.hyperparameter("tau")))
            if ended.any():
                self._end(ended, torch.enable_grad()(closure) if loss_closure is None else loss_closure)
        else:
            self._begun(starting)
        return loss

    def _start(self, starting: Tensor) -> None:
        if self.rule.reference == "minimum":
            self._keep(starting)
        if self.perturb.target == "model":
            self._inject(self._models(), starting)
            if self.rule.reference == "perturbed":
                self._keep(starting)
        if self.reset_momentum:
            momentum = self._momentum_buffers()
            copy_where_(momentum, [torch.zeros_like(m) for m in momentum], starting)

    def _begun(self, starting: Tensor) -> None:
        """Of a step that is skipped, or interrupted: where the model has been perturbed the hop goes on."""
        if self.perturb.target == "model":
            self._place += starting

    def _inject(self, tensors: list[Tensor], where: Tensor) -> None:
        self.perturb(tensors, self._models(), self.generator, self.hyperparameter("rho"), where)
        self.counts["noise_triggers"] += where

    def _reference(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Models, momentum and buffers of the point that a rejected hop returns to."""
        momentum = [] if not self._momentum_buffers() else self._of_state("reference_momentum", "zeros")
        return self._of_state("reference", "copy"), momentum, members_of(self._kept_buffers, self.population)

    def _keep(self, where: Tensor) -> None:
        if self.rule.decide is not None:
            models, momentum, buffers = self._reference()
            copy_where_(models, self._models(), where)
            copy_where_(momentum, self._momentum_buffers(), where)
            copy_where_(buffers, self._buffers(), where)

    def _end(self, ended: Tensor, evaluate: Closure) -> None:
        tried = ended & (self._searches > 0)
        if self.rule.decide is not None and tried.any():
            rejected = tried & ~self._accepts(evaluate, tried)
            models, momentum, buffers = self._reference()
            copy_where_(self._models(), models, rejected)
            copy_where_(self._momentum_buffers(), momentum, rejected)
            copy_where_(self._buffers(), buffers, rejected)
        else:
            rejected = torch.zeros_like(tried)
        self.counts["hops_tried"] += tried
        self.counts["hops_accepted"] += tried & ~rejected
        self._place[ended] = 0
        self._searches += ended

    def _accepts(self, evaluate: Closure, tried: Tensor) -> Tensor:
        """Compare each candidate with its reference, and leave the candidates in place."""

        def counted() -> Any:
            self.counts["loss_evaluations"] += tried
            return evaluate()

        here = [*self._models(), *self._buffers()]
        candidates = [t.clone() for t in here]
        candidate_score = self._losses(lambda: self.rule.score(counted))
        models, _, buffers = self._reference()
        copy_where_(here, [*models, *buffers], tried)
        try:
            reference_score = self._losses(lambda: self.rule.score(counted))
        finally:  # back to the candidates, even when interrupted
            copy_where_(here, candidates, tried)
        assert self.rule.decide is not None
        return self.rule.decide(candidate_score, reference_score, self.hyperparameter("temperature"), self.generator)

    def _returns(self) -> tuple[list[Tensor], list[Tensor], Tensor] | None:
        in_hop = (self._place > 0) & (self._searches > 0)
        if self.rule.decide is None or not in_hop.any():
            return None
        models, _, buffers = self._reference()
        return models, buffers, in_hop

    def _kind(self) -> str:
        back = "always accepts" if self.rule.decide is None else f"may return to the {self.rule.reference} point"
        return f"BasinHopping that perturbs the {self.perturb.target} and {back}"

    def _run_state(self) -> dict[str, Any]:
        kept = [b.clone() for b in self._kept_buffers]
        own = {"place": self._place.clone(), "searches": self._searches.clone(), "kept_buffers": kept}
        return {**super()._run_state(), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`; see `Optimizer.load_state_dict`."""
        kept = state_dict.get("run", {}).get("kept_buffers", self._kept_buffers)
        if len(kept) != len(self._kept_buffers):
            raise UsageError(
                f"state_dict was saved with {len(kept)} buffers, and this optimizer has {len(self._kept_buffers)}: "
                "give it the same buffers="
            )
        super().load_state_dict(state_dict)

    def _load_run_state(self, run: dict[str, Any]) -> None:
        super()._load_run_state(run)
        self._place.copy_(run["place"])
        self._searches.copy_(run["searches"])
        for buffer, kept in zip(self._kept_buffers, run["kept_buffers"], strict=True):
            buffer.copy_(kept)


def hopping(target: Literal["model", "gradient"], accept: str) -> Callable[..., BasinHopping]:
    """Return the builder of one of the paper's four Basin-Hopping algorithms, with its default accept rule."""

    def build(
        params: Iterable,
        *,
        noise: str | Noise = "ball",
        scope: str = "model",
        accept: str | AcceptRule | Callable[[Closure], Any] = accept,
        **others: Any,
    ) -> BasinHopping:
        return BasinHopping(params, perturb=Perturb(target, make_noise(noise, scope)), accept=accept, **others)

    return build
