"""Optimizers that are not popview's, behind the same `step`: any `torch.optim.Optimizer`; its gradients are counted."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from popview.common.errors import UsageError, check_name, place_of, reason_of
from popview.common.named_code import imported_object
from popview.optimizers.base import Closure, InShort, Optimizer


class Foreign(Optimizer):
    """A torch optimizer, of which each ``step(closure)`` is one step; in a population each model has one of its own.

    The gradient is evaluated once before the other's step, which then finds it in ``.grad``. Where the other's step
    takes a closure, it gets one: its first call returns the loss that is known, as long as the model has not moved, and
    each further call evaluates the gradient anew and is counted (as those of `torch.optim.LBFGS` are). As with
    popview's own optimizers such a call finds cleared gradients, repeats the first one's random draws, and leaves
    `buffers` alone.

    Parameters
    ----------
    params, buffers, population, seed
        See `Optimizer`. In a population the other optimizers see tensors without dimension 0, so that one that takes
        norms does not mix the models. A further call of the closure then evaluates all models for the sake of one.
    build : callable
        Parameters of a model → the other optimizer.

    Raises
    ------
    ValueError
        If there is a gradient scaler: only popview's own optimizers unscale.

    Examples
    --------
    >>> import torch
    >>> from popview.optimizers.foreign import Foreign
    >>> w = torch.nn.Parameter(torch.tensor([2.0]))
    >>> optimizer = Foreign([w], lambda params: torch.optim.SGD(params, lr=0.25))
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), w.item(), optimizer.gradient_evaluations
    (4.0, 1.0, 1)
    """

    in_short = InShort("–", "what `step` of the other optimizer does", "1 or more")
    replays = True  # its step may call the closure again: gradients that were accumulated before would be lost

    def __init__(
        self, params: Iterable[Any], build: Callable[[list[Tensor]], torch.optim.Optimizer], **others: Any
    ) -> None:
        super().__init__(params, {"lr": 0.0}, **others)
        if self.scaler is not None:
            raise ValueError("scaler does not go with an optimizer that is not popview's: its gradients stay scaled")
        #: Tensors of each model; in a population they share the memory of its rows.
        self.own: list[list[Tensor]] = [self._trained()]
        if self.population:
            self.own = [[torch.nn.Parameter(p.detach()[i]) for p in self._trained()] for i in range(self.size)]
        self.others = [build([*models]) for models in self.own]
        self.takes_closure = bool(inspect.signature(self.others[0].step).parameters)

    def _update(self, closure: Any, loss_closure: Closure | None) -> Any:
        loss = self._first_pass(closure)
        losses = torch.as_tensor(loss).detach().reshape(self.size)
        gradients = self._gradients()
        for i, (other, models) in enumerate(zip(self.others, self.own, strict=True)):
            _hand_over(gradients, models, i)
            again = self._closure_of(i, closure, losses[i], gradients)
            try:
                with torch.enable_grad():
                    other.step(*([again] if self.takes_closure else []))
            except UsageError:
                raise
            except Exception as error:
                said = f"{type(error).__name__}: {reason_of(error)}"
                raise UsageError(f"step failed in {place_of(error)}: {said}") from error
        return loss

    def _gradients(self) -> list[Tensor | None]:
        """Return copies of the gradients, with dimension 0 for the models."""
        found = (None if p.grad is None else p.grad.clone() for p in self._trained())
        return [g if g is None or self.population else g.unsqueeze(0) for g in found]

    def _closure_of(self, i: int, closure: Any, loss: Tensor, gradients: list[Tensor | None]) -> Closure:
        """Return the closure of a model: its loss, and in its `.grad` the gradient, known or evaluated anew."""
        models, calls = self.own[i], 0
        before = [q.detach().clone() for q in models] if self.takes_closure else []
        counted = torch.arange(self.size, device=self.device) == i

        @torch.no_grad()
        def again() -> Tensor:
            nonlocal calls
            calls += 1
            if calls == 1 and all(map(torch.equal, models, before)):
                _hand_over(gradients, models, i)
                return loss
            with self._replayed():
                evaluated = self._pass(self._again(closure), counted)
            found = torch.as_tensor(evaluated).detach().reshape(self.size)[i]
            _hand_over(self._gradients(), models, i)
            return found

        return again

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up a copy: the models' tensors share the memory of its parameters, as the original's do."""
        super().__setstate__(state)
        for i, models in enumerate(self.own if self.population else []):
            for q, p in zip(models, self._trained(), strict=True):
                q.data = p.detach()[i]

    def _kind(self) -> str:
        return f"{type(self.others[0]).__module__}:{type(self.others[0]).__name__}"

    def _run_state(self) -> dict[str, Any]:
        """Return also the others' states, and the numbers that they keep as attributes."""
        numbers = [{k: v for k, v in vars(other).items() if type(v) in (bool, int, float)} for other in self.others]
        return super()._run_state() | {"others": [other.state_dict() for other in self.others], "numbers": numbers}

    def _load_run_state(self, run: dict[str, Any]) -> None:
        super()._load_run_state(run)
        for other, state, numbers in zip(self.others, run["others"], run["numbers"], strict=True):
            other.load_state_dict(state)
            vars(other).update(numbers)


def _hand_over(gradients: list[Tensor | None], models: list[Tensor], i: int) -> None:
    """Put a model's gradients where its optimizer looks for them."""
    for q, gradient in zip(models, gradients, strict=True):
        q.grad = None if gradient is None else gradient[i].clone()


def foreign_class(name: str) -> type[torch.optim.Optimizer]:
    """Import the optimizer that somebody has named, as ``module:Class``.

    Raises
    ------
    UsageError
        If there is none of that name, or it is no `torch.optim.Optimizer`.

    Examples
    --------
    >>> from popview.optimizers.foreign import foreign_class
    >>> foreign_class("torch.optim:NAdam").__name__
    'NAdam'
    """
    found = imported_object(name)
    if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
        what = f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
        raise UsageError(f"{name} is no torch.optim.Optimizer: it is {what}")
    return found


def make_foreign(name: str, params: Iterable[Any], settings: dict[str, Any], **others: Any) -> Optimizer:
    """Make the optimizer that somebody has named; popview's own classes as such, all others as `Foreign`.

    Parameters
    ----------
    name : str
        ``module:Class``.
    params
        See `Optimizer`.
    settings : dict
        Its hyperparameters; the others keep the defaults of the class.
    **others
        Of `Optimizer`: buffers, population, seed.

    Raises
    ------
    UsageError
        As `foreign_class`, and if the class does not take a setting, or needs another one.
    """
    kind = foreign_class(name)
    _, *known = inspect.signature(kind).parameters.values()
    named = {
        one.name: one.default is one.empty for one in known if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
    }
    if len(named) == len(known):
        for given in settings:
            check_name(f"setting of {name}", given, named)
    if lacking := [one for one, needed in named.items() if needed and one not in settings]:
        raise UsageError(f"{name} needs a value for {', '.join(lacking)}: -p {lacking[0]}=…")
    try:
        if issubclass(kind, Optimizer):
            return kind(params, **others, **settings)
        return Foreign(params, lambda own: kind(own, **settings), **others)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{name} refuses its settings: {type(error).__name__}: {reason_of(error)}") from error
