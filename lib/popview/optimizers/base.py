"""What every optimizer here shares: closures, checks, counts, replayed second passes, mixed precision, resume."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from popview.common.errors import UsageError
from popview.optimizers.tensors import copy_where_, members_of, norm, scale_

__all__ = ["Closure", "Optimizer", "check_switch"]

Closure = Callable[[], Any]

#: Hyperparameter → (lower bound, whether the bound itself is allowed, upper bound, in words).
BOUNDS: dict[str, tuple[float, bool, float, str]] = {
    "lr": (0, False, math.inf, "above 0"),
    "momentum": (0, True, 1, "in [0, 1)"),
    "weight_decay": (0, True, math.inf, "0 or above"),
    "rho": (0, True, math.inf, "0 or above"),
    "tau": (1, True, math.inf, "a whole number, 1 or above"),
    "epsilon": (0, True, math.inf, "0 or above"),
    "temperature": (0, True, math.inf, "0 or above"),
    "noise_until": (0, True, math.inf, "0 or above"),
    "average_from": (0, True, math.inf, "a whole number, 0 or above"),
    "average_every": (1, True, math.inf, "a whole number, 1 or above"),
    "history": (1, True, math.inf, "a whole number, 1 or above"),
    "evaluations": (1, True, math.inf, "a whole number, 1 or above"),
}
WHOLE = ("tau", "average_from", "average_every", "history", "evaluations")
_MAY_BE_INFINITE = ("epsilon", "noise_until")  # ε = ∞: the condition on the gradient's norm always holds


def check_switch(name: str, value: Any) -> bool:
    """Return `value` if it is true or false; TypeError if it is a text or a number, which Python would take as one."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def _checked_hyperparameter(name: str, value: Any) -> float | int:
    low, inclusive, high, words = BOUNDS[name]
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number ({words}), got {value!r}")
    number = float(value)
    right = (low <= number if inclusive else low < number) and (number < high or name in _MAY_BE_INFINITE)
    if not right or (name in WHOLE and not number.is_integer()):
        raise ValueError(f"{name} must be {words}, got {value!r}")
    return int(number) if name in WHOLE else number  # no NumPy scalars: torch.load(weights_only=True) refuses them


class Optimizer(torch.optim.Optimizer):
    """Base of all optimizers: one ``step(closure)`` is one parameter update on one minibatch.

    Parameters
    ----------
    params : iterable of Tensor, or of param groups
        Real, dense tensors that require gradients, and get one in every closure (torch's own optimizers skip those
        without). With ``population=True`` dimension 0 of each indexes P models.
    defaults : dict
        Numeric hyperparameters; what belongs to the model as a whole (`rho`, `tau`, …) must agree between groups.
    buffers : iterable of Tensor
        The model's buffers (BatchNorm statistics, say): only a step's first pass may change them, and a rejected hop
        brings them back.
    scaler : torch.amp.GradScaler, optional
        With it the closure backpropagates ``scaler.scale(loss)``; gradients are unscaled after each pass, and a step
        that meets an infinity or NaN is skipped. Call ``scaler.update()`` after each step, as ever. To clip, clip the
        scaled gradients inside the closure, to ``max_norm * scaler.get_scale()``: the optimizer unscales them.
    population : bool
        Whether the tensors hold P models; the closure then returns P losses (and backpropagates their sum).
    seed : int
        Seed of the optimizer's own noise stream, whose state is part of ``state_dict()``.

    Notes
    -----
    Counters (one whole number, or a tensor of shape ``(P,)`` for a population) are attributes:
    `gradient_evaluations`, `loss_evaluations`, `noise_triggers`, `hops_tried`, `hops_accepted`.
    A closure's own randomness is replayed in second passes as far as it comes from torch's global generators.

    Examples
    --------
    All optimizers share this interface. The state restores a run together with the model's parameters:

    >>> import torch
    >>> from popview.optimizers import make
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = make("NiG-SGD", [w], lr=0.25, rho=0.5)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> loss = optimizer.step(closure)
    >>> state, after_one = optimizer.state_dict(), w.detach().clone()
    >>> loss, after_two = optimizer.step(closure), w.detach().clone()
    >>> w.data.copy_(after_one)[0] == after_two[0]
    tensor(False)
    >>> optimizer.load_state_dict(state)
    >>> loss = optimizer.step(closure)
    >>> torch.equal(w, after_two), optimizer.gradient_evaluations
    (True, 2)
    """

    #: Whether a step may need a second pass, and so has to remember the random state of the first.
    replays = False
    #: Hyperparameters that may differ between param groups; the others belong to the model as a whole.
    per_group: tuple[str, ...] = ("lr", "momentum", "weight_decay")
    #: Whether what a run returns now is an average of models, whose BatchNorm statistics are the caller's to recompute.
    averages = False

    def __init__(
        self,
        params: Iterable,
        defaults: dict[str, Any],
        *,
        buffers: Iterable[Tensor] = (),
        scaler: torch.amp.GradScaler | None = None,
        population: bool = False,
        seed: int = 0,
    ) -> None:
        self.population = check_switch("population", population)
        super().__init__(params, defaults)
        if scaler is not None and population:
            raise ValueError("scaler cannot be combined with population=True: losses are scaled for one model only")
        self.scaler = scaler if scaler is not None and scaler.is_enabled() else None
        self.buffers = list(buffers)
        if not self._params():
            raise ValueError("params has no tensor: every group is empty")
        first = self._params()[0]
        self.size = len(first) if population else 1
        if population:
            for i, b in enumerate(self.buffers):
                if b.dim() == 0 or len(b) != self.size:
                    raise ValueError(f"buffers[{i}] has shape {tuple(b.shape)}; its dimension 0 must be {self.size}")
        self.device = first.device
        self.generator = torch.Generator(device=self.device)
        self.generator.manual_seed(seed)
        self.counts: dict[str, Tensor] = {
            name: torch.zeros(self.size, dtype=torch.int64, device=self.device)
            for name in ("gradient_evaluations", "loss_evaluations", "noise_triggers", "hops_tried", "hops_accepted")
        }
        self.steps = 0  # the paper's t; a step skipped for an infinity counts
        self._everyone = torch.ones(self.size, dtype=torch.bool, device=self.device)
        # GradScaler unscales an optimizer once between updates: the second pass is registered with it as another one
        self._second = torch.optim.SGD(self._params())

    @torch.no_grad()
    def step(self, closure: Closure, loss_closure: Closure | None = None) -> Any:  # type: ignore[override]
        """Make one update; return the loss of the first pass (one loss per model for a population).

        Parameters
        ----------
        closure : callable
            Clears the gradients, backpropagates the minibatch's loss, returns the loss.
        loss_closure : callable, optional
            Returns the loss on a fixed sample, for accept rules; other algorithms ignore it.
        """
        self._check_closure(closure)
        self.steps += 1
        loss = self._gradient(closure)
        if not self._overflowed():
            self._descend()
        return loss

    def _gradient(self, closure: Closure) -> Any:
        """Leave in `.grad` the direction to follow; return the loss of the first pass."""
        return self._first_pass(closure)

    def _descend(self) -> None:
        """Update the parameters in place along `.grad`."""
        raise NotImplementedError

    # ---------------------------------------------------------------- parameters

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group after checking its tensors and hyperparameters; see `torch.optim.Optimizer.add_param_group`."""
        super().add_param_group(param_group)
        try:
            self._check_group(self.param_groups[-1])
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise

    def _check_group(self, group: dict[str, Any]) -> None:
        for name, value in group.items():
            if name in BOUNDS:
                group[name] = _checked_hyperparameter(name, value)
            elif name == "normalized":
                check_switch(name, value)
            if name in self.defaults and name not in self.per_group and value != self.param_groups[0][name]:
                raise ValueError(
                    f"{name} belongs to the whole model and must be the same in every group, got {value!r}"
                )
        start = sum(len(g["params"]) for g in self.param_groups[:-1])
        for i, p in enumerate(group["params"], start):
            if p.is_complex() or not p.is_floating_point():
                raise TypeError(f"params[{i}] must be real floating-point, got {p.dtype}")
            if not p.requires_grad:
                raise ValueError(f"params[{i}] of shape {tuple(p.shape)} does not require a gradient: leave it out")
            if self.population:
                first = self._params()[0]
                if p.dim() == 0 or len(p) != len(first):
                    raise ValueError(
                        f"params[{i}] has shape {tuple(p.shape)}; with population=True dimension 0 indexes models: "
                        "it must be present, and equal in all params"
                    )

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _spans(self) -> Iterator[tuple[dict[str, Any], slice]]:
        """Each group that has tensors, and where they stand among those of all groups."""
        start = 0
        for group in self.param_groups:
            stop = start + len(group["params"])
            if stop > start:
                yield group, slice(start, stop)
            start = stop

    def _models(self) -> list[Tensor]:
        return members_of(self._params(), self.population)

    def _gradients(self) -> list[Tensor]:
        return members_of([p.grad for p in self._params()], self.population)  # type: ignore[misc]

    def _buffers(self) -> list[Tensor]:
        return members_of(self.buffers, self.population)

    def _of_state(self, key: str, start_from: str) -> list[Tensor]:
        """Views of one tensor per parameter kept in `state` under `key`, made on first use: zeros, or a copy."""
        for p in self._params():
            if key not in self.state[p]:
                make = torch.zeros_like if start_from == "zeros" else torch.clone
                self.state[p][key] = make(p.detach(), memory_format=torch.preserve_format)
        return members_of([self.state[p][key] for p in self._params()], self.population)

    def hyperparameter(self, name: str) -> Any:
        """Return a hyperparameter of the model as a whole (`rho`, `tau`, …); `lr` and the like live in the groups."""
        return self.param_groups[0][name]

    # ---------------------------------------------------------------- passes

    def _check_closure(self, closure: Any) -> None:
        if not callable(closure):
            raise TypeError(
                f"step needs a closure that clears gradients, backpropagates and returns the loss: {closure!r}"
            )

    def _pass(self, closure: Closure, counted: Tensor | None = None) -> Any:
        """Evaluate loss and gradient, check both, unscale; afterwards `.grad` holds ∇f. Returns the loss."""
        torch.clear_autocast_cache()  # else an autocast context around step would keep weights cast before they moved
        with torch.enable_grad():
            loss = closure()
        self._check_loss(loss, "closure")
        for i, p in enumerate(self._params()):
            if p.grad is None:
                raise ValueError(f"params[{i}] of shape {tuple(p.shape)} has no gradient after the closure")
            if p.grad.layout != torch.strided:
                raise TypeError(f"params[{i}] has a sparse gradient ({p.grad.layout}); dense gradients are needed")
            if p.grad.is_complex():
                raise TypeError(f"params[{i}] has a complex gradient; real gradients are needed")
        if counted is None:
            self.counts["gradient_evaluations"] += 1
        else:
            self.counts["gradient_evaluations"] += counted
        return loss

    def _check_loss(self, loss: Any, source: str) -> None:
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else ()
        if not isinstance(loss, Tensor | Real) or isinstance(loss, bool):
            raise TypeError(f"{source} must return the loss as a tensor or a number, got {loss!r}")
        if self.population and shape != (self.size,):
            raise ValueError(f"{source} must return one loss per model, shape ({self.size},), got shape {shape}")
        if not self.population and math.prod(shape) != 1:
            raise ValueError(f"{source} must return one loss, got shape {shape}")

    def _first_pass(self, closure: Closure) -> Any:
        """Evaluate the step's first gradient, the only one that may change the buffers and the global random state."""
        self._random_state = _capture(self.device) if self.replays else None
        loss = self._pass(closure)
        if self.scaler is not None:
            self.scaler.unscale_(self)
        return loss

    def _second_pass(self, closure: Closure, counted: Tensor | None = None) -> None:
        """Evaluate a gradient again with the first pass's random draws; buffers and later draws stay as they were."""
        with self._replayed():
            self._pass(closure, counted)
        if self.scaler is not None:
            self._second.param_groups = self.param_groups  # with groups added since
            self.scaler.unscale_(self._second)

    @contextmanager
    def _replayed(self) -> Iterator[None]:
        kept = [b.clone() for b in self.buffers]
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices):
                _restore(self._random_state, self.device)
                yield
        finally:  # an interrupted pass must not leave its traces
            for b, k in zip(self.buffers, kept, strict=True):
                b.copy_(k)

    def _overflowed(self) -> bool:
        """Whether a scaled gradient met an infinity or NaN, so that the step must be skipped (scaler only)."""
        return self.scaler is not None and not bool(torch.isfinite(norm(self._gradients())).all())

    def _normalize(self) -> None:
        """Replace each model's gradient by ĝ = g/‖g‖ (zero where g is zero), if so configured: eq. 1."""
        if self.hyperparameter("normalized"):
            gradients = self._gradients()
            length = norm(gradients)
            scale_(gradients, torch.where(length > 0, 1 / length, 0))

    def _losses(self, evaluate: Closure) -> Tensor:
        """Evaluate a loss where the models stand, as shape ``(P,)``, under the first pass's random draws."""
        torch.clear_autocast_cache()
        with self._replayed():
            loss = evaluate()
        self._check_loss(loss, "loss_closure")
        return torch.as_tensor(loss, dtype=torch.float64, device=self.device).detach().reshape(self.size)

    # ---------------------------------------------------------------- what a run returns

    def _returns(self) -> tuple[list[Tensor], list[Tensor], Tensor] | None:
        """Models, buffers and the mask of members for which the run would return them instead of where it stands."""
        return None

    @contextmanager
    @torch.no_grad()
    def solution(self) -> Iterator[None]:
        """Within this context the parameters and buffers are what the run would return if it ended here.

        They differ from where the optimizer stands for `SWA` (the average) and in the middle of a hop under an
        accept rule (the incumbent).
        """
        kept = [t.clone() for t in self._models() + self._buffers()] if self._returns() is not None else None
        self.finish()
        try:
            yield
        finally:
            if kept is not None:
                with torch.no_grad():
                    copy_where_(self._models() + self._buffers(), kept, self._everyone)

    @torch.no_grad()
    def finish(self) -> None:
        """End the run: leave in the parameters and buffers what it returns (see `solution`)."""
        returned = self._returns()
        if returned is not None:
            models, buffers, where = returned
            copy_where_([*self._models(), *self._buffers()], [*models, *buffers], where)

    # ---------------------------------------------------------------- counters and resume

    def _count(self, name: str) -> int | Tensor:
        return self.counts[name].clone() if self.population else int(self.counts[name])

    @property
    def gradient_evaluations(self) -> int | Tensor:
        """Gradients evaluated so far, per model."""
        return self._count("gradient_evaluations")

    @property
    def loss_evaluations(self) -> int | Tensor:
        """Losses evaluated without following their gradient (acceptance) so far, per model."""
        return self._count("loss_evaluations")

    @property
    def noise_triggers(self) -> int | Tensor:
        """How often noise was injected so far, per model."""
        return self._count("noise_triggers")

    @property
    def hops_tried(self) -> int | Tensor:
        """Hops finished so far, per model; the first local search is not a hop."""
        return self._count("hops_tried")

    @property
    def hops_accepted(self) -> int | Tensor:
        """Hops accepted so far, per model."""
        return self._count("hops_accepted")

    def _kind(self) -> str:
        """Name what this optimizer's state is good for."""
        return type(self).__name__

    def _run_state(self) -> dict[str, Any]:
        """Return everything beside torch's own state that a resumed run needs, as tensors and numbers."""
        return {
            "optimizer": self._kind(),
            "generator": self.generator.get_state(),
            "steps": self.steps,
            "counts": {name: count.clone() for name, count in self.counts.items()},
        }

    def _load_run_state(self, run: dict[str, Any]) -> None:
        self.generator.set_state(run["generator"].cpu())
        self.steps = run["steps"]
        for name, count in run["counts"].items():
            self.counts[name].copy_(count)

    def __getstate__(self) -> dict[str, Any]:
        """Return all attributes, for copies; not a scheduler's wrapped `step`, which would move the original."""
        return {name: value for name, value in self.__dict__.items() if name != "step"}

    def state_dict(self) -> dict[str, Any]:
        """Return torch's state dict with one more entry, ``"run"``: noise stream, counters, position in the hop."""
        return {**super().state_dict(), "run": self._run_state()}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`; the model's own parameters and buffers are loaded by the caller.

        Raises
        ------
        UsageError
            If the state comes from another kind of optimizer.
        """
        if "run" not in state_dict:
            raise UsageError("state_dict has no entry 'run': it was not saved by an optimizer of popview")
        if state_dict["run"]["optimizer"] != self._kind():
            raise UsageError(f"state_dict comes from {state_dict['run']['optimizer']}, not from {self._kind()}")
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "run"})
        self._load_run_state(state_dict["run"])


def _capture(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _restore(state: tuple[Tensor, Tensor | None] | None, device: torch.device) -> None:
    if state is None:
        return
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
