"""How an optimizer calls closures: first and second passes, what they find in `.grad`, mixed precision, decisions."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from popview.common.errors import UsageError
from popview.optimizers.checks import check_trained, checked_buffers, checked_seeds
from popview.optimizers.gradients import Held, separate_
from popview.optimizers.noise import Streams
from popview.optimizers.parameters import Parameters
from popview.optimizers.process_groups import Ranks
from popview.optimizers.tensors import members_of, norm, scaled

Closure = Callable[[], Any]


class Passes(Parameters):
    """Evaluations of the loss and its gradient; `popview.optimizers.Optimizer` describes the parameters.

    Nobody's `.grad` is changed by an update. What a step follows is a list of tensors, which begins as the gradients
    themselves and is replaced where it is normalised or gets noise.
    """

    #: Whether a step may need a second pass, and so has to remember the random state of the first.
    replays = False
    #: How often what was done, per model.
    counts: dict[str, Tensor]

    def __init__(
        self,
        params: Iterable,
        defaults: dict[str, Any],
        buffers: Iterable[Any],
        scaler: torch.amp.GradScaler | None,
        population: bool,
        seed: int | Sequence[int],
        process_group: Any,
    ) -> None:
        self._used = Held([])
        super().__init__(params, defaults, population)
        if scaler is not None and population:
            raise ValueError("scaler cannot be combined with population=True: losses are scaled for one model only")
        self.scaler = scaler if scaler is not None and scaler.is_enabled() else None
        self.buffers = checked_buffers(buffers, self._members())
        self.size = self._members() or 1
        self.device = (self._trained() or self._params())[0].device
        self.generators = [torch.Generator(device=self.device).manual_seed(s) for s in checked_seeds(seed, self.size)]
        self.ranks = Ranks(process_group, type(self).__name__ if self._decides() else None)
        for generator in self.generators:
            self.ranks.share(generator)
        self._everyone = torch.ones(self.size, dtype=torch.bool, device=self.device)
        # GradScaler unscales an optimizer once between updates: the second pass is registered with it as another one
        self._second = torch.optim.SGD(self._params()) if self.scaler else None
        self._set_to_none = True  # how gradients were last cleared
        self._followed: list[Tensor] = []

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group after checking it; gradients that its tensors have by now belong to no step of this optimizer."""
        super().add_param_group(param_group)
        if self.replays:
            self._used.extend(self.param_groups[-1]["params"])

    def _start_over(self) -> None:
        """Between steps: hold on to no gradient, and remember which ones are used up."""
        self._followed = []
        self._used = Held(self._params() if self.replays else [])

    @property
    def generator(self) -> torch.Generator:
        """The noise stream; in a population of several runs that of the first."""
        return self.generators[0]

    def _streams(self, where: Tensor) -> Iterator[tuple[slice, torch.Generator]]:
        """Each run's members and noise stream, if the mask `where` selects one of them; the only run's in any case."""
        streams = self._drawing(where)
        if isinstance(streams, torch.Generator):
            yield slice(None), streams
            return
        length = self.size // len(streams)
        for i, generator in enumerate(streams):
            if generator is not None:
                yield slice(i * length, (i + 1) * length), generator

    def _drawing(self, where: Tensor) -> Streams:
        """Return the noise stream; of several runs each one's, None where the mask `where` selects no member."""
        if len(self.generators) == 1:
            return self.generator
        selected = where.reshape(len(self.generators), -1).any(1).tolist()
        return [one if drawing else None for one, drawing in zip(self.generators, selected, strict=True)]

    def _buffers(self) -> list[Tensor]:
        return members_of(self.buffers, self.population)

    def _decides(self) -> bool:
        """Whether the algorithm decides by losses."""
        return False

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear all gradients; second passes are then cleared the same way. See `torch.optim.Optimizer.zero_grad`."""
        self._set_to_none = set_to_none
        self._clear(set_to_none)

    def _check_closure(self, closure: Any) -> None:
        if callable(closure):
            return
        wanted = f"step needs a closure that clears gradients, backpropagates and returns the loss: {closure!r}"
        if closure is not None or self.replays:
            raise TypeError(wanted)
        if all(p.grad is None for p in self._trained()):
            raise TypeError(f"{wanted}; without one there must be gradients, and no parameter has one")

    def _take_up(self) -> None:
        """Before a step with second passes: refuse gradients that were accumulated, drop those that are used up.

        Raises
        ------
        UsageError
            If a gradient was written since the last step and not cleared.
        """
        params = self._params()
        for i in self._used.changed(params):
            gradient = params[i].grad
            if params[i].requires_grad and gradient is not None and (gradient.is_sparse or bool(gradient.any())):
                raise UsageError(
                    f"params[{i}] has a gradient that was accumulated before step, which {type(self).__name__} cannot "
                    "use: accumulate inside the closure, or call zero_grad() first"
                )
        self.zero_grad(self._set_to_none)

    def _again(self, closure: Closure) -> Closure:
        """Return the closure as it is called a second time in a step: gradients are cleared first."""

        def cleared() -> Any:
            self.zero_grad(self._set_to_none)
            with torch.enable_grad():
                return closure()

        return cleared

    def _pass(self, closure: Closure | None, counted: Tensor | None = None) -> Any:
        """Evaluate loss and gradient, check both; afterwards the step follows ∇f. Returns the loss."""
        self._followed = []
        loss = None
        if closure is not None:
            before = None if self.replays else Held(self._params())
            torch.clear_autocast_cache()  # an autocast context around step would keep weights cast before they moved
            with torch.enable_grad():
                loss = closure()
            if loss is not None or before is None or before.changed(self._params()):
                self._check_loss(loss, "closure")  # else it did nothing, as Lightning's where none was given
        i = 0
        self._motion = [[] for _ in self.param_groups]
        for motion, group in zip(self._motion, self.param_groups, strict=True):
            for p in group["params"]:
                if p.requires_grad and p.grad is not None:
                    if p.grad.layout != torch.strided:
                        raise TypeError(
                            f"params[{i}] has a sparse gradient ({p.grad.layout}); dense gradients are needed"
                        )
                    if p.grad.is_complex():
                        raise TypeError(f"params[{i}] has a complex gradient; real gradients are needed")
                    if self.population:
                        check_trained(i, p, self.size)
                    motion.append(p)
                i += 1
        self.counts["gradient_evaluations"] += 1 if counted is None else counted
        return loss

    def _check_loss(self, loss: Any, source: str) -> None:
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else ()
        if not isinstance(loss, Tensor | Real) or isinstance(loss, bool):
            raise TypeError(f"{source} must return the loss as a tensor or a number, got {loss!r}")
        if self.population and shape != (self.size,):
            raise ValueError(f"{source} must return one loss per model, shape ({self.size},), got shape {shape}")
        if not self.population and math.prod(shape) != 1:
            raise ValueError(f"{source} must return one loss, got shape {shape}")

    def _first_pass(self, closure: Closure | None) -> Any:
        """Evaluate the step's first gradient, the only one that may change the buffers and the global random state."""
        self._random_state = _capture(self.device) if self.replays else None
        loss = self._pass(closure)
        self._follow(self)
        return loss

    def _second_pass(self, closure: Closure, counted: Tensor | None = None) -> None:
        """Evaluate a gradient again with the first pass's random draws; buffers and later draws stay as they were."""
        with self._replayed():
            self._pass(self._again(closure), counted)
        if self._second:
            self._second.param_groups = self.param_groups  # with groups added since
        self._follow(self._second or self)

    def _follow(self, registered: torch.optim.Optimizer) -> None:
        """Follow the gradients that are there, unscaled as those of the optimizer that the scaler knows them by."""
        if self.scaler is not None and any(self._motion):
            stage = self.scaler._per_optimizer_states[id(registered)]["stage"]
            if stage is not torch.amp.grad_scaler.OptState.UNSCALED:  # else the caller has, to clip them
                separate_(self._moving())
                self.scaler.unscale_(registered)
        self._followed = members_of([p.grad for p in self._moving()], self.population)  # type: ignore[misc]

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

    def _skipped(self) -> bool:
        """Whether nothing has a gradient, or a scaled one met an infinity or NaN: the step changes nothing then."""
        return not any(self._motion) or (self.scaler is not None and not bool(torch.isfinite(self._norm()).all()))

    def _norm(self) -> Tensor:
        """Return the norm of what the step follows, shape ``(P,)``: the mean over ranks, for what is decided by it."""
        return self.ranks.mean(norm(self._followed))

    def _normalize(self) -> None:
        """Follow ĝ = g/‖g‖ (zero where g is zero) instead of each model's gradient, if so configured: eq. 1."""
        if self.hyperparameter("normalized") and self._followed:
            length = norm(self._followed)
            self._followed = scaled(self._followed, length.reciprocal().masked_fill_(~(length > 0), 0))

    def _losses(self, evaluate: Closure) -> Tensor:
        """Evaluate a loss where the models stand, as shape ``(P,)``, under the first pass's random draws."""
        torch.clear_autocast_cache()
        with self._replayed():
            loss = evaluate()
        self._check_loss(loss, "loss_closure")
        return self._decisive(loss)

    def _decisive(self, loss: Any) -> Tensor:
        """Return losses as decisions see them: float64 of shape ``(P,)``, their mean over ranks, +∞ for NaN."""
        found = torch.as_tensor(loss, dtype=torch.float64, device=self.device).detach().reshape(self.size)
        found = self.ranks.mean(found)
        return torch.where(found.isnan(), torch.inf, found)


def _capture(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _restore(state: tuple[Tensor, Tensor | None] | None, device: torch.device) -> None:
    if state is None:
        return
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
