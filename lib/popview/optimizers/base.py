"""What every optimizer here shares: how a step goes, what a run returns, counts, resume."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from inspect import Signature
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from popview.common.errors import UsageError
from popview.optimizers.parameters import uncompiled
from popview.optimizers.passes import Closure, Passes
from popview.optimizers.signatures import merged_signature
from popview.optimizers.tensors import copy_where_


class InShort(NamedTuple):
    """An optimizer's line in the book's table of updates, in MyST Markdown: η the learning rate, g the gradient."""

    source: str
    update: str
    gradients: str = "1"


class Optimizer(Passes):
    """Base of all optimizers: one ``step(closure)`` is one parameter update on one minibatch.

    Parameters
    ----------
    params : iterable of Tensor, of pairs of a name and a Tensor, or of param groups
        Real, dense tensors; those that do not require gradients are left alone. With ``population=True`` dimension 0
        of each indexes P models.
    defaults : dict
        Numeric hyperparameters; what belongs to the model as a whole (`rho`, `tau`, …) must agree between groups.
    buffers : iterable of Tensor, or of pairs of a name and a Tensor
        The model's buffers (BatchNorm statistics, say): only a step's first pass may change them, and a rejected hop
        brings them back.
    scaler : torch.amp.GradScaler, optional
        With it the closure backpropagates ``scaler.scale(loss)``; gradients are unscaled after each pass, and a step
        that meets an infinity or NaN is skipped. Call ``scaler.update()`` after each step, as ever. To clip, clip the
        scaled gradients inside the closure, to ``max_norm * scaler.get_scale()``: the optimizer unscales them.
    population : bool
        Whether the tensors hold P models; the closure then returns P losses (and backpropagates their sum).
    seed : int or sequence of int
        Seed of the optimizer's own noise stream, whose state is part of ``state_dict()``. K seeds: the P models are K
        runs of P/K models each, one after the other, and each run has a noise stream of its own.
    process_group : torch.distributed.ProcessGroup or False, optional
        The ranks that train this model together. Losses and norms by which an algorithm decides are then averaged over
        them, and all take the noise stream of the first. False: the ranks are independent. Algorithms that decide by
        losses refuse to be made where several ranks are there and neither is given.

    Notes
    -----
    *Missing gradients.* As with torch's optimizers, a parameter without a gradient in a step is not updated in it, nor
    its momentum, nor decayed. Norms, and noise with its dimension, are those of the parameters that have one.

    *Accumulation.* To accumulate gradients, backpropagate all minibatches inside the closure, each loss divided by
    their number, and return the sum. What was accumulated before ``step`` is used as torch uses it by SGD, NiG-SGD,
    SGLD, SWA and AdamW. The others refuse it, since they call closures again or move the model before. Before a second
    call of a closure gradients are cleared, as `zero_grad` was last asked to. In Lightning pass that closure to
    ``self.optimizers().step`` in manual optimization, with `manual_backward`. In accelerate pass it to the prepared
    optimizer, with `Accelerator.backward` and ``gradient_accumulation_steps=1``: more would divide the loss once again.

    *Populations.* `lr`, `rho`, `epsilon`, `tau` and `temperature` may be tensors of shape ``(P,)``, one value per
    model (in float64, lest 0.1 be rounded before it is used). With a seed for each run, a model then does what it does
    in a population of its run alone. (Torch's schedulers fill tensors of one number only.)

    *Process groups.* Gradients are averaged between ranks by the model's wrapper (DistributedDataParallel).

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

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        steps = [vars(kind)["__init__"] for kind in cls.__mro__ if "__init__" in vars(kind)]
        cls.__signature__ = merged_signature(steps)

    #: What the book's table of updates says of it; every optimizer has its own.
    in_short: ClassVar[InShort]
    __signature__: ClassVar[Signature]
    #: Whether what a run returns now is an average of models, whose BatchNorm statistics are the caller's to recompute.
    averages = False

    def __init__(
        self,
        params: Iterable,
        defaults: dict[str, Any],
        *,
        buffers: Iterable[Any] = (),
        scaler: torch.amp.GradScaler | None = None,
        population: bool = False,
        seed: int | Sequence[int] = 0,
        process_group: Any = None,
    ) -> None:
        super().__init__(params, defaults, buffers, scaler, population, seed, process_group)
        self.counts: dict[str, Tensor] = {
            name: torch.zeros(self.size, dtype=torch.int64, device=self.device)
            for name in ("gradient_evaluations", "loss_evaluations", "noise_triggers", "hops_tried", "hops_accepted")
        }
        self.steps = 0  # the paper's t; a step skipped for an infinity counts

    @uncompiled  # it would lose steps taken and models averaged
    @torch.no_grad()
    def step(self, closure: Closure | None = None, loss_closure: Closure | None = None) -> Any:
        """Make one update; return the loss of the first pass (one loss per model for a population).

        Parameters
        ----------
        closure : callable, optional
            Clears the gradients, backpropagates the minibatch's loss, returns the loss. Algorithms that need one
            gradient a step (SGD, NiG-SGD, SGLD, SWA, AdamW) take the gradients that are there if none is given.
        loss_closure : callable, optional
            Returns the loss on a fixed sample, for accept rules; other algorithms ignore it.
        """
        if closure is None and self._is_blank():
            self._make_state()
            return None
        return self._step(closure, loss_closure)

    @torch.no_grad()
    def repeat(self, closure: Closure, steps: int, loss_closure: Closure | None = None) -> Any:
        """Make so many updates with one closure, as on a landscape; return the last step's loss, as `step` does.

        What torch does around every step, for its profiler and for hooks, is left out.

        Examples
        --------
        >>> import torch
        >>> from popview.optimizers import make
        >>> w = torch.nn.Parameter(torch.tensor([2.0]))
        >>> optimizer = make("SGD", [w], lr=0.25)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w**2).sum()
        ...     loss.backward()
        ...     return loss
        >>> optimizer.repeat(closure, 3).item(), w.item()
        (0.25, 0.25)
        """
        loss = None
        for _ in range(steps):
            loss = self._step(closure, loss_closure)
        return loss

    def _step(self, closure: Closure | None, loss_closure: Closure | None) -> Any:
        self._check_closure(closure)
        if self.replays:
            self._take_up()
        self.steps += 1
        try:
            return self._update(closure, loss_closure)
        finally:
            self._start_over()

    def _update(self, closure: Any, loss_closure: Closure | None) -> Any:
        """Take the step that `step` has checked."""
        loss = self._gradient(closure)
        if not self._skipped():
            self._descend()
        return loss

    def _gradient(self, closure: Any) -> Any:
        """Find the direction to follow; return the loss of the first pass."""
        return self._first_pass(closure)

    def _descend(self) -> None:
        """Update the parameters in place along the direction."""
        raise NotImplementedError

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
        kept = [t.clone() for t in self._covered() + self._buffers()] if self._returns() is not None else None
        self.finish()
        try:
            yield
        finally:
            if kept is not None:
                with torch.no_grad():
                    copy_where_(self._covered() + self._buffers(), kept, self._everyone)

    @torch.no_grad()
    def finish(self) -> None:
        """End the run: leave in the parameters and buffers what it returns (see `solution`)."""
        returned = self._returns()
        if returned is not None:
            models, buffers, where = returned
            copy_where_([*self._covered(), *self._buffers()], [*models, *buffers], where)

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
        streams = [generator.get_state() for generator in self.generators]
        return {
            "optimizer": self._kind(),
            "generator": torch.stack(streams) if len(streams) > 1 else streams[0],
            "steps": self.steps,
            "counts": {name: count.clone() for name, count in self.counts.items()},
        }

    def _load_run_state(self, run: dict[str, Any]) -> None:
        for generator, state in zip(self.generators, torch.atleast_2d(run["generator"].cpu()), strict=True):
            generator.set_state(state.clone())  # of a row of a larger tensor torch reads the wrong bytes
        self.steps = run["steps"]
        for name, count in run["counts"].items():
            self.counts[name].copy_(count)

    def __getstate__(self) -> dict[str, Any]:
        """Return all attributes, for copies; not a scheduler's wrapped `step`, which would move the original."""
        return {name: value for name, value in self.__dict__.items() if name not in ("step", "_used")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._start_over()

    def _make_state(self) -> None:
        """Make an entry of `state` for each trained parameter, with all that the algorithm may ever keep there.

        Checkpoints that are read into a state of the same structure (`torch.distributed.checkpoint`) then lose nothing.
        """
        for p in self._trained():
            self.state[p]

    def _is_blank(self) -> bool:
        """Whether nothing is kept yet and a step would change nothing: so torch asks for an optimizer's state."""
        return (
            not self.state
            and not any(torch.as_tensor(group["lr"]).any() for group in self.param_groups)
            and all(p.grad is not None and not p.grad.any() for p in self._trained())
        )

    def state_dict(self) -> dict[str, Any]:
        """Return torch's state dict with one more entry, ``"run"``: noise stream, counters, position in the hop.

        The first param group that has tensors holds the same entry, since `torch.distributed.checkpoint` knows groups
        only.
        """
        self._make_state()
        saved, run = super().state_dict(), self._run_state()
        next(group for group in saved["param_groups"] if group["params"])["run"] = run
        return {**saved, "run": run}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`; the model's own parameters and buffers are loaded by the caller.

        Raises
        ------
        UsageError
            If the state comes from another kind of optimizer.
        """
        groups = state_dict.get("param_groups", [])
        run = next((part["run"] for part in (state_dict, *groups) if "run" in part), None)
        if run is None:
            raise UsageError("state_dict has no entry 'run': it was not saved by an optimizer of popview")
        if run["optimizer"] != self._kind():
            raise UsageError(f"state_dict comes from {run['optimizer']}, not from {self._kind()}")
        self._check_run(run)
        groups = [{k: v for k, v in group.items() if k != "run"} for group in groups]
        super().load_state_dict({"state": state_dict["state"], "param_groups": groups})
        self._load_run_state(run)

    def _check_run(self, run: dict[str, Any]) -> None:
        """Raise UsageError where the run's entry does not fit this optimizer."""
        if (saved := len(torch.atleast_2d(run["generator"]))) != len(self.generators):
            raise UsageError(
                f"state_dict holds {saved} noise streams, and this optimizer has {len(self.generators)}: "
                "give it as many seeds"
            )
