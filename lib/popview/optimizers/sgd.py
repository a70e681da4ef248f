"""SGD and its noise-enabled variants: eq. 1, Algorithms 1 and 2 of arXiv 2403.00574, and SGLD."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from popview.optimizers.base import Closure, InShort, Optimizer
from popview.optimizers.noise import Noise, draw_noise, make_noise
from popview.optimizers.tensors import add_, add_all_, broadcast, equal_rows, matched


def sgd_(
    models: list[Tensor],
    gradients: list[Tensor],
    momentum_buffers: list[Tensor],
    *,
    lr: float | Tensor,
    momentum: float,
    weight_decay: float,
) -> None:
    """Take one step of gradient descent in place, in the arithmetic of `torch.optim.SGD`.

    Parameters
    ----------
    models, gradients, momentum_buffers : sequences of Tensor
        Of equal shapes; the buffers may be empty if `momentum` is 0.
    lr : float or Tensor
        In a population one per member, shape ``(P,)``, if it differs.
    momentum, weight_decay : float

    Examples
    --------
    >>> import torch
    >>> from popview.optimizers import sgd_
    >>> w, gradient = torch.tensor([2.0]), torch.tensor([4.0])
    >>> sgd_([w], [gradient], [], lr=0.25, momentum=0.0, weight_decay=0.0)
    >>> w
    tensor([1.])
    """
    if weight_decay:
        gradients = list(torch._foreach_add(gradients, models, alpha=weight_decay))
    if momentum:
        torch._foreach_mul_(momentum_buffers, momentum)
        torch._foreach_add_(momentum_buffers, gradients)
        gradients = momentum_buffers
    add_all_(models, gradients, -lr)


class SGD(Optimizer):
    """Gradient descent, w ← w − η g, on a minibatch or on a whole landscape (eq. 1).

    Parameters
    ----------
    params, buffers, scaler, population, seed
        See `Optimizer`.
    lr, momentum, weight_decay : float
        As in `torch.optim.SGD`; may differ between param groups.
    normalized : bool
        Follow ĝ = g/‖g‖, as eq. 1 has it, instead of g. The norm is the model's, without weight decay.

    Raises
    ------
    ValueError, TypeError
        If a hyperparameter is out of range, a tensor unfit, or a closure returns no loss.

    Examples
    --------
    The loss w² has gradient 4 at w = 2.

    >>> import torch
    >>> from popview.optimizers import SGD
    >>> w = torch.nn.Parameter(torch.tensor([2.0]))
    >>> optimizer = SGD([w], lr=0.25)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), w.item()
    (4.0, 1.0)

    A normalized gradient has norm 1, so that each step has length η:

    >>> optimizer = SGD([w], lr=0.25, normalized=True)
    >>> optimizer.step(closure).item(), w.item()
    (1.0, 0.75)
    """

    in_short = InShort("eq. 1", r"$w \leftarrow w - \eta g$")
    #: Numeric hyperparameters of a subclass that belong to the model as a whole.
    model_wide: tuple[str, ...] = ()
    #: One update in place.
    local_search = staticmethod(sgd_)

    def __init__(
        self,
        params: Iterable,
        *,
        lr: float = 0.01,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        normalized: bool = False,
        **others: Any,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "normalized": normalized}
        defaults |= {name: others.pop(name) for name in self.model_wide}
        super().__init__(params, defaults, **others)

    def _gradient(self, closure: Any) -> Any:
        loss = super()._gradient(closure)
        self._normalize()
        return loss

    def _momentum_buffers(self, params: list[Tensor]) -> list[Tensor]:
        wanted = any(group["momentum"] for group in self.param_groups)
        return self._of_state("momentum_buffer", "zeros", params) if wanted else []

    def _make_state(self) -> None:
        super()._make_state()
        self._momentum_buffers(self._trained())

    def _descend(self) -> None:
        models, gradients, buffers = self._moved(), self._followed, self._momentum_buffers(self._moving())
        for group, span in self._spans():
            self.local_search(
                models[span],
                gradients[span],
                buffers[span],
                lr=self._rate(group),
                momentum=group["momentum"],
                weight_decay=group["weight_decay"],
            )


class _Noisy(SGD):
    """SGD with a noise vector ζ ∈ B₀(ρ); see `popview.optimizers.noise` for the readings of B₀(ρ)."""

    model_wide: tuple[str, ...] = ("rho",)

    def __init__(
        self, params: Iterable, *, rho: float = 0.05, noise: str | Noise = "ball", scope: str = "model", **others: Any
    ) -> None:
        self.noise = make_noise(noise, scope)
        self._drawn = not callable(noise)
        super().__init__(params, rho=rho, **others)

    def _zeta(self, where: Tensor) -> list[Tensor]:
        """Draw ζ for the parameters in motion, and count it for the members that `where` selects."""
        self.counts["noise_triggers"] += where
        return draw_noise(self.noise, self._moved(), self._drawing(where))


class NiGSGD(_Noisy):
    """Noise in gradient: w ← w − η (g + ζ) at every step (Algorithm 1; Ge et al. 2015).

    With ``normalized=True`` the noise is added to ĝ, so that ρ stays comparable to the length of the step.

    Parameters
    ----------
    rho : float
        Radius of the noise ball.
    noise : {"ball", "sphere", "gaussian"} or callable
        Distribution of ζ at radius 1. A callable takes the models (tensors of shape ``(P, …)``, P = 1 for a single
        model) and a `torch.Generator`, and returns tensors of the same shapes.
    scope : {"model", "layer"}
        One ball for the model, or one per tensor.

    Examples
    --------
    With ζ = 1 in place of a random draw, the step from w = 2 follows 4 + 0.5.

    >>> import torch
    >>> from popview.optimizers import NiGSGD
    >>> w = torch.nn.Parameter(torch.tensor([2.0]))
    >>> ones = lambda models, generator: [torch.ones_like(t) for t in models]
    >>> optimizer = NiGSGD([w], lr=0.25, rho=0.5, noise=ones)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), w.item(), optimizer.noise_triggers
    (4.0, 0.875, 1)
    """

    in_short = InShort("Algorithm 1, {cite:t}`ge2015`", r"$w \leftarrow w - \eta\,(g + \zeta)$")

    def _gradient(self, closure: Any) -> Any:
        loss = super()._gradient(closure)
        if self._followed:
            zeta, rho = self._zeta(self._everyone), self.hyperparameter("rho")
            # what a callable returns is its own; the memory of what is drawn here takes the sum
            if isinstance(rho, Tensor):
                self._followed = [g.clone() for g in self._followed]
                add_all_(self._followed, zeta, rho)
                return loss
            self._followed = [
                torch.add(g, z, alpha=rho, out=z if self._drawn else None)
                for g, z in zip(self._followed, zeta, strict=True)
            ]
        return loss


class NiMSGD(_Noisy):
    """Noise in model: where ‖g‖ < ε and t > τ, w ← w + ζ and g anew; then w ← w − η g (Algorithm 2; Jin et al. 2017).

    The gradient compared with ε is the minibatch's, without weight decay and before normalisation. `noise_triggers`
    counts how often the condition held: with minibatches it may never do, and NiM-SGD is then SGD.

    Parameters
    ----------
    rho, noise, scope
        See `NiGSGD`.
    tau : int
        Steps before noise is allowed (the paper's t > τ, t counted from the start, not from the last injection).
    epsilon : float
        The gradient's norm below which the model counts as stationary.
    noise_until : float
        Once more than this many steps are taken, no noise is added any more; by default it always may be.

    Examples
    --------
    With ε = ∞ the condition on the gradient always holds, so noise is added from step τ + 1 on: here from w = 1 to 1.5,
    where the gradient is 3.

    >>> import torch
    >>> from popview.optimizers import NiMSGD
    >>> w = torch.nn.Parameter(torch.tensor([2.0]))
    >>> ones = lambda models, generator: [torch.ones_like(t) for t in models]
    >>> optimizer = NiMSGD([w], lr=0.25, rho=0.5, tau=1, epsilon=float("inf"), noise=ones)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), w.item(), optimizer.noise_triggers
    (4.0, 1.0, 0)
    >>> optimizer.step(closure).item(), w.item(), optimizer.noise_triggers
    (1.0, 0.75, 1)
    """

    in_short = InShort(
        "Algorithm 2, {cite:t}`jin2017`",
        r"if $\lVert g\rVert < \varepsilon$ and $t > \tau$: $w \leftarrow w + \zeta$, $g$ anew; "
        r"then $w \leftarrow w - \eta g$",
        "1, or 2 when it fires",
    )
    replays = True
    model_wide = ("rho", "tau", "epsilon", "noise_until")

    def __init__(
        self, params: Iterable, *, tau: int = 50, epsilon: float = 1e-4, noise_until: float = math.inf, **others: Any
    ) -> None:
        super().__init__(params, tau=tau, epsilon=epsilon, noise_until=noise_until, **others)

    def _gradient(self, closure: Any) -> Any:
        loss = self._first_pass(closure)
        late = self.hyperparameter("tau") < self.steps
        over = self.steps > self.hyperparameter("noise_until") + 1
        if not over and any(self._motion) and (late.any() if isinstance(late, Tensor) else late):
            length = self._norm()
            stationary = length < matched(self.hyperparameter("epsilon"), length)
            if isinstance(late, Tensor):
                stationary &= late.to(stationary.device)
            if stationary.any():
                self._move_and_follow(closure, stationary)
        self._normalize()
        return loss

    def _move_and_follow(self, closure: Closure, stationary: Tensor) -> None:
        """Add noise to the stationary members' models, and follow the gradient that they have there."""
        params, models = self._moving(), self._moved()
        kept = [t.clone() for t in models]
        first = None if stationary.all() else [g.clone() for g in self._followed]
        noisy = False
        try:
            add_(models, self._zeta(stationary), self.hyperparameter("rho"), stationary)
            self._second_pass(closure, stationary)
            if first is not None:  # the other members follow their first pass
                if list(map(id, params)) != list(map(id, self._moving())):
                    raise ValueError("in a population both passes of a step must give gradients to the same parameters")
                self._followed = [
                    torch.where(broadcast(stationary, g), g, f) for g, f in zip(self._followed, first, strict=True)
                ]
            noisy = not self._skipped()
        finally:  # no noise is left where the second pass gave no gradient, was interrupted, or overflowed
            reached = set(map(id, self._moving())) if noisy else set()
            for p, t, k in zip(params, models, kept, strict=True):
                if id(p) not in reached:
                    t.copy_(k)


class SGLD(SGD):
    """Stochastic gradient Langevin dynamics: w ← w − η g + √(2 η T) ξ, ξ standard normal (Welling and Teh 2011).

    A reference that the paper names as future work. The noise scales with η and the temperature T, not with a ρ.

    Parameters
    ----------
    temperature : float
        T; for the posterior of a mean loss over N examples T = 1/N. T = 0 is SGD. It is a temperature without momentum
        only: momentum multiplies the drift by 1 / (1 − momentum), and not the noise.
    noise : "gaussian" or callable
        As in `NiGSGD`; ``"gaussian"`` has unit norm, hence the factor √d below.

    Examples
    --------
    With η = 0.25 and T = 0.5, √(2 η T) is 0.5. With ξ = 1 in place of a random draw, the step from w = 2
    goes to 1 + 0.5.

    >>> import torch
    >>> from popview.optimizers import SGLD
    >>> w = torch.nn.Parameter(torch.tensor([2.0]))
    >>> ones = lambda models, generator: [torch.ones_like(t) for t in models]
    >>> optimizer = SGLD([w], lr=0.25, temperature=0.5, noise=ones)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), w.item()
    (4.0, 1.5)
    """

    in_short = InShort(
        "{cite:t}`welling2011`, which the paper lacks",
        r"$w \leftarrow w - \eta g + \sqrt{2 \eta T}\,\xi$, $\xi$ standard normal",
    )
    model_wide = ("temperature",)

    def __init__(
        self, params: Iterable, *, temperature: float = 1e-4, noise: str | Noise = "gaussian", **others: Any
    ) -> None:
        self.noise = make_noise(noise, "model")
        super().__init__(params, temperature=temperature, **others)

    def _descend(self) -> None:
        super()._descend()
        models = self._moved()
        xi = draw_noise(self.noise, models, self._drawing(self._everyone))
        dimension = sum(t[0].numel() for t in models)
        for group, span in self._spans():
            variance = 2 * self._rate(group) * group["temperature"]
            for rows, number in equal_rows(variance) if isinstance(variance, Tensor) else [(slice(None), variance)]:
                deviation = number**0.5 * dimension**0.5
                add_all_([t[rows] for t in models[span]], [x[rows] for x in xi[span]], deviation)
        self.counts["noise_triggers"] += 1
