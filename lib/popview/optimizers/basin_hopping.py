"""Basin Hopping on minibatches: Algorithms 4–9 of arXiv 2403.00574, built from three small callables.

A hop perturbs the model, searches locally for at most τ steps or until the gradient flattens, and is then accepted or
not. One optimizer step is one update, so a hop is a state machine over steps; every member of a population has its own
place in its own hop. The first local search starts unperturbed, as in Olson et al. 2012 and in SciPy.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from popview.common.errors import UsageError
from popview.optimizers.base import Closure, InShort
from popview.optimizers.checks import check_switch
from popview.optimizers.hops import AcceptRule, Perturb, make_accept_rule
from popview.optimizers.noise import Noise, make_noise
from popview.optimizers.sgd import SGD, sgd_
from popview.optimizers.tensors import copied, copy_where_, matched, members_of


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

    Noise in the model is added before the hop's first gradient is known: to the parameters that had one in the step
    before. One that turns out to have none goes back to where it was, from the previous minimum's copy or, where none
    is kept, from one more copy of the parameters, which is no part of the state dict.

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

    in_short = InShort(
        "Algorithms 4–9",
        r"add $\zeta$ to the gradient of a hop's first step (NiG), or to the model (NiM); then descend for at most "
        r"$\tau$ steps, or until $\lVert g\rVert < \varepsilon$; keep it always (BH), or if the loss is lower (MBH)",
        "1, and with MBH 2 losses a hop",
    )
    replays = True
    model_wide = ("rho", "tau", "epsilon", "temperature", "noise_until")
    copied_as = "reference"

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
        self._unperturbed: list[Tensor] = []  # copies, whose memory the next hop uses again
        self._without: set[int] = set()  # places of the parameters that lacked a gradient in the last step

    def _decides(self) -> bool:
        return self.rule.decide is not None

    def _update(self, closure: Any, loss_closure: Closure | None) -> Any:
        if self.rule.decide is not None:
            self._reference()  # of a parameter that is trained from now on: its value when the hop began
        between = (self._place == 0) & (self._searches > 0)
        starting = between & (self.steps <= self.hyperparameter("noise_until") + 1)
        starts = bool(starting.any())
        before = self._start(starting) if starts else {}
        try:
            loss = self._first_pass(closure)
        except BaseException:
            self._begun(starting)
            raise
        self._note_missing(before, starting)
        if self._skipped():
            self._begun(starting)
            return loss
        self._reset(starting, self._moving())
        length = self._norm()
        flat = length < matched(self.hyperparameter("epsilon"), length)
        self._normalize()
        if starts and self.perturb.target == "gradient":
            self._followed = [g.clone() for g in self._followed]
            self._inject(self._followed, self._moved(), starting)
            flat &= ~starting
        self._descend()
        self._followed = []
        if starts and self.perturb.target == "gradient" and self.rule.reference == "perturbed":
            self._keep(starting)
        searching = starting | ~between  # else hops are over, and this search has no end
        self._place += searching
        ended = searching & (flat | (self._place >= matched(self.hyperparameter("tau"), self._place)))
        if ended.any():
            self._end(ended, self._again(closure) if loss_closure is None else loss_closure)
        return loss

    def _start(self, starting: Tensor) -> dict[int, Tensor]:
        """Begin a hop; return what is known of the models before it was perturbed, by places among all parameters."""
        if self.rule.reference == "minimum":
            self._keep(starting)
        if self.perturb.target == "gradient":
            return {}
        places = [i for i, p in enumerate(self._params()) if p.requires_grad and i not in self._without]
        params = [self._params()[i] for i in places]
        models = members_of(params, self.population)
        if self.rule.decide is not None and self.rule.reference == "minimum":
            before = self._of_state("reference", "copy", params)
        else:
            before = self._unperturbed = copied(models, self._unperturbed)
        if models:
            self._inject(models, models, starting)
        if self.rule.reference == "perturbed":
            self._keep(starting)
        return dict(zip(places, before, strict=True))

    def _note_missing(self, before: dict[int, Tensor], starting: Tensor) -> None:
        """Note which parameters lack a gradient; those that a hop has just perturbed go back to where they were."""
        params = self._params()
        self._without = {i for i, p in enumerate(params) if p.requires_grad and p.grad is None}
        for i in self._without & before.keys():
            perturbed = [params[i]]
            if self.rule.decide is not None and self.rule.reference == "perturbed":
                perturbed.append(self.state[params[i]]["reference"])
            for t in members_of(perturbed, self.population):
                copy_where_([t], [before[i]], starting)

    def _begun(self, starting: Tensor) -> None:
        """Of a step that is skipped, or interrupted: where the model has been perturbed the hop goes on."""
        if self.perturb.target == "model":
            self._place += starting
            self._reset(starting, self._trained())

    def _reset(self, starting: Tensor, params: list[Tensor]) -> None:
        if self.reset_momentum and starting.any():
            momentum = self._momentum_buffers(params)
            copy_where_(momentum, [torch.zeros_like(m) for m in momentum], starting)

    def _inject(self, tensors: list[Tensor], models: list[Tensor], where: Tensor) -> None:
        self.perturb(tensors, models, self._drawing(where), self.hyperparameter("rho"), where)
        self.counts["noise_triggers"] += where

    def _reference(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Models, momentum and buffers of the point that a rejected hop returns to."""
        params = self._copied_or_trained()
        momentum = self._of_state("reference_momentum", "zeros", params) if self._momentum_buffers(params) else []
        models = self._of_state("reference", "copy", params)
        return models, momentum, members_of(self._kept_buffers, self.population)

    def _make_state(self) -> None:
        super()._make_state()
        if self.rule.decide is not None:
            self._reference()

    def _keep(self, where: Tensor) -> None:
        if self.rule.decide is not None:
            models, momentum, buffers = self._reference()
            copy_where_(models, self._covered(), where)
            copy_where_(momentum, self._momentum_buffers(self._copied_or_trained()), where)
            copy_where_(buffers, self._buffers(), where)

    def _end(self, ended: Tensor, evaluate: Closure) -> None:
        tried = ended & (self._searches > 0)
        if self.rule.decide is not None and tried.any():
            rejected = tried & ~self._accepts(evaluate, tried)
            models, momentum, buffers = self._reference()
            copy_where_(self._covered(), models, rejected)
            copy_where_(self._momentum_buffers(self._copied_or_trained()), momentum, rejected)
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

        here = [*self._covered(), *self._buffers()]
        candidates = [t.clone() for t in here]
        candidate_score = self._losses(lambda: self.rule.score(counted))
        models, _, buffers = self._reference()
        copy_where_(here, [*models, *buffers], tried)
        try:
            reference_score = self._losses(lambda: self.rule.score(counted))
        finally:  # back to the candidates, even when interrupted
            copy_where_(here, candidates, tried)
        assert self.rule.decide is not None
        accepted = torch.zeros_like(tried)
        for rows, generator in self._streams(tried):
            temperature = matched(_part(self.hyperparameter("temperature"), rows), candidate_score)
            accepted[rows] = self.rule.decide(candidate_score[rows], reference_score[rows], temperature, generator)
        return accepted

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
        without = [i in self._without for i in range(len(self._params()))]
        return {**super()._run_state(), **own, "without": without}

    def _check_run(self, run: dict[str, Any]) -> None:
        super()._check_run(run)
        if (kept := len(run["kept_buffers"])) != len(self._kept_buffers):
            raise UsageError(
                f"state_dict was saved with {kept} buffers, and this optimizer has {len(self._kept_buffers)}: "
                "give it the same buffers="
            )

    def _load_run_state(self, run: dict[str, Any]) -> None:
        super()._load_run_state(run)
        self._place.copy_(run["place"])
        self._searches.copy_(run["searches"])
        self._without = {i for i, lacked in enumerate(run.get("without", ())) if lacked}
        for buffer, kept in zip(self._kept_buffers, run["kept_buffers"], strict=True):
            buffer.copy_(kept)


def _part(value: float | Tensor, rows: slice) -> float | Tensor:
    return value[rows] if isinstance(value, Tensor) else value


def hopping(
    target: Literal["model", "gradient"],
    params: Iterable,
    *,
    accept: str | AcceptRule | Callable[[Closure], Any],
    noise: str | Noise = "ball",
    scope: str = "model",
    **others: Any,
) -> BasinHopping:
    """Build one of the paper's four Basin-Hopping algorithms; they differ in the target and the accept rule.

    Parameters
    ----------
    target : {"model", "gradient"}
        What a hop perturbs.
    params, accept
        See `BasinHopping`.
    noise, scope
        See `NiGSGD`.
    **others
        Those of `BasinHopping`.
    """
    return BasinHopping(params, perturb=Perturb(target, make_noise(noise, scope)), accept=accept, **others)
