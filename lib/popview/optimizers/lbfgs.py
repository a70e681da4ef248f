"""L-BFGS with a golden-section line search: the full-batch quasi-Newton method of arXiv 2602.21276."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from popview.optimizers.base import Closure, InShort, Optimizer
from popview.optimizers.tensors import broadcast, matched, members_of

#: Golden section: the shorter part of an interval, and what a bracket grows by so that its middle divides it so.
SHORTER = (3 - 5**0.5) / 2
GROWTH = (1 + 5**0.5) / 2


class LBFGS(Optimizer):
    """Limited-memory BFGS whose step along p = −H g is found by golden-section search (Yu and Morozov 2026).

    One step takes one gradient and `evaluations` losses, for each model of a population in lock step. H comes from the
    two-loop recursion (Nocedal 1980) over the last `history` steps. The search starts with the full step and looks for
    a bracket: it goes on in steps that grow by the golden ratio while the loss falls, back to 0.382 of the step while
    nothing lower than the start is found; the evaluations that remain divide the bracket by golden section. A loss that
    is not finite counts as infinitely high. The model moves to the lowest point seen, and only if that is lower than
    where it stood: the loss never rises. (The seed's bracket starts at 0.2 of the full step and grows by doubling.)

    Parameters
    ----------
    params, buffers, scaler, population, seed
        See `Optimizer`. Nothing here is random.
    lr : float
        First trial of the search, as a multiple of the full step. Without curvature information p is −g, shortened so
        that the trial is no longer than the last step (than 1, at the start), then times `lr`.
    history : int
        Steps remembered. A step that measured no positive curvature, yᵀs ≤ 0 up to rounding, is remembered as empty.
    evaluations : int
        Losses per line search, all of which are used.

    Notes
    -----
    Both closures must return the same deterministic loss at each step, regularisation included: use the full batch.
    Without a `loss_closure` the closure itself is evaluated, gradient and all; with one, the search starts by
    evaluating it once more where the model stands. Where p is no descent direction, and after a search that found
    nothing lower, the model's history is forgotten and the gradient followed, by an ever shorter step as long as
    nothing lower is found. `stalled` tells where that step has come down to rounding; there, steps change nothing,
    until the loss, its gradient or the model is changed from outside: the search then begins anew. A missing gradient
    counts as zero. Where the parameters that lack one are others than in the step before, the history is forgotten.

    Examples
    --------
    On a quadratic of very different curvatures a few steps reach the minimum. Each takes one gradient and six losses.

    >>> import torch
    >>> from popview.optimizers import LBFGS
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> optimizer = LBFGS([w])
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = w[0] ** 2 + 100 * w[1] ** 2
    ...     loss.backward()
    ...     return loss
    >>> losses = [optimizer.step(closure).item() for _ in range(5)]
    >>> losses[0], losses == sorted(losses, reverse=True), losses[-1] < 1e-8
    (101.0, True, True)
    >>> optimizer.gradient_evaluations, optimizer.loss_evaluations
    (5, 30)
    """

    in_short = InShort(
        "{cite:t}`yu2026`",
        r"$w \leftarrow w - s H g$ of the whole training set; $H$ by the last steps, $s$ by golden section",
        "1, and 6 losses",
    )
    replays = True
    per_group = ()

    def __init__(
        self, params: Iterable, *, lr: float = 1.0, history: int = 10, evaluations: int = 6, **others: Any
    ) -> None:
        super().__init__(params, {"lr": lr, "history": history, "evaluations": evaluations}, **others)
        kind: dict[str, Any] = {"dtype": torch.get_default_dtype(), "device": self.device}
        if self._trained():
            kind["dtype"] = self._flat(self._models()).dtype
        self._previous: tuple[Tensor, Tensor] | None = None  # position and gradient of the last step, (P, d) each
        self._pairs: list[tuple[Tensor, Tensor, Tensor]] = []  # s, y, 1/yᵀs; zeros where a step taught nothing
        self._scale = torch.ones(self.size, **kind)  # yᵀs/yᵀy of the last pair
        self._length = torch.ones(self.size, **kind)  # of the last step; of the shortest trial where none was lower
        self._stalled = torch.zeros(self.size, dtype=torch.bool, device=self.device)
        self._value = torch.full((self.size,), torch.inf, dtype=torch.float64, device=self.device)  # the last loss
        self._kinds: list[int] = []  # of all parameters in the last step: 0 frozen, 1 without a gradient, 2 with one

    def _decides(self) -> bool:
        return True

    @property
    def stalled(self) -> bool | Tensor:
        """Whether no shorter step along the gradient could change the model: per model, as the counters are."""
        return self._stalled.clone() if self.population else bool(self._stalled)

    def _update(self, closure: Any, loss_closure: Closure | None) -> Any:
        """Make one update; return the loss before it. A `loss_closure` is what line searches evaluate."""
        loss = self._first_pass(closure)
        if self._skipped():
            return loss
        position = self._flat(self._models())
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._trained()]
        gradient = self._flat(members_of(gradients, self.population))
        self._followed = []
        value = self._decisive(loss)
        self._remember(position, gradient, value)
        slope = torch.linalg.vector_norm(gradient, dim=1)
        lr = matched(self._rate(self.param_groups[0]), slope)
        searching = torch.isfinite(slope) & (slope > 0) & ~self._stalled & (lr > 0)
        if searching.any():  # a schedule may begin, or end, at 0
            direction, first = self._direction(gradient, slope, lr)
            direction = torch.where(searching.unsqueeze(1), direction, 0)
            evaluate = self._again(closure) if loss_closure is None else loss_closure
            start = value if loss_closure is None else self._counted(evaluate, searching)
            self._search(position, direction, first, start, evaluate, searching)
        self._stalled |= slope == 0
        return loss

    @staticmethod
    def _flat(models: list[Tensor]) -> Tensor:
        """Return a copy of the models as ``(P, d)``, in float32 if they are in float16."""
        flat = torch.cat([t.reshape(len(t), -1) for t in models], dim=1)
        return flat.float() if flat.dtype == torch.float16 else flat

    def _counted(self, evaluate: Closure, searching: Tensor) -> Tensor:
        self.counts["loss_evaluations"] += searching
        return self._losses(evaluate)

    def _remember(self, position: Tensor, gradient: Tensor, value: Tensor) -> None:
        """Learn curvature from the step before: s and y, where yᵀs is positive beyond rounding."""
        kinds = [p.requires_grad + (p.requires_grad and p.grad is not None) for p in self._params()]
        if self._previous is not None and self._kinds == kinds:
            s, y = position - self._previous[0], gradient - self._previous[1]
            anew = self._stalled & ((s != 0).any(1) | (y != 0).any(1) | (value != self._value))
            product, square = (s * y).sum(1), (y * y).sum(1)
            good = product > 100 * torch.finfo(s.dtype).eps * torch.linalg.vector_norm(s, dim=1) * square.sqrt()
            good &= torch.isfinite(square) & ~anew
            rows = good.unsqueeze(1)
            pair = (torch.where(rows, s, 0), torch.where(rows, y, 0), torch.where(good, 1 / product, 0))
            self._pairs = [*self._pairs, pair][-self.hyperparameter("history") :]
            self._scale = torch.where(good, product / square, self._scale)
            self._forget(anew)
        else:  # the first step, or one of other parameters: a group was added, a layer frozen, dropped or taken up
            self._pairs, anew = [], self._stalled
        self._length = torch.where(anew, 1, self._length)
        self._stalled = self._stalled & ~anew
        self._previous, self._value, self._kinds = (position, gradient), value, kinds

    def _direction(self, gradient: Tensor, slope: Tensor, lr: float | Tensor) -> tuple[Tensor, Tensor]:
        """Return p, and the first trial along it; forget the history of models for which p would not descend."""
        p, steps = -gradient, []
        for s, y, inverse in reversed(self._pairs):
            steps.append(inverse * (s * p).sum(1))
            p = p - broadcast(steps[-1], y) * y
        p = p * broadcast(self._scale, p)
        for (s, y, inverse), step in zip(self._pairs, reversed(steps), strict=True):
            p = p + broadcast(step - inverse * (y * p).sum(1), s) * s
        learnt = torch.stack([torch.zeros_like(slope), *(inverse for _, _, inverse in self._pairs)]).sum(0) > 0
        descends = learnt & ((p * gradient).sum(1) < 0) & torch.isfinite(torch.linalg.vector_norm(p, dim=1))
        self._forget(~descends)
        p = torch.where(descends.unsqueeze(1), p, -gradient)
        return p, lr * torch.where(descends, 1, (self._length / slope).clamp(max=1))

    def _forget(self, where: Tensor) -> None:
        self._pairs = [(s, y, torch.where(where, 0, inverse)) for s, y, inverse in self._pairs]
        self._scale = torch.where(where, 1, self._scale)

    def _search(
        self, position: Tensor, direction: Tensor, trial: Tensor, value: Tensor, evaluate: Closure, searching: Tensor
    ) -> None:
        """Move each model to the lowest of the points tried along its direction, or leave it where it stands."""
        trial = torch.where(searching, trial, 0)
        low, best, high = torch.zeros_like(trial), torch.zeros_like(trial), torch.full_like(trial, torch.inf)
        for _ in range(self.hyperparameter("evaluations")):
            tried = trial
            self._place(position + trial.unsqueeze(1) * direction)
            found = self._counted(evaluate, searching)
            better = searching & torch.isfinite(found) & (found < value)
            beyond = trial > best
            low, high = (
                torch.where(better & beyond, best, torch.where(~better & ~beyond, trial, low)),
                torch.where(better & ~beyond, best, torch.where(~better & beyond, trial, high)),
            )
            best, value = torch.where(better, trial, best), torch.where(better, found, value)
            inside = torch.where(high - best > best - low, SHORTER * (high - best), -SHORTER * (best - low))
            trial = best + torch.where(torch.isinf(high), GROWTH * (best - low), inside)
        moved = best > 0
        self._place(torch.where(moved.unsqueeze(1), position + best.unsqueeze(1) * direction, position))
        reached = torch.where(moved, best, tried) * torch.linalg.vector_norm(direction, dim=1)
        self._length = torch.where(searching, reached, self._length)
        self._forget(searching & ~moved)
        rounding = max(torch.finfo(t.dtype).eps for t in self._models()) * torch.linalg.vector_norm(position, dim=1)
        self._stalled |= searching & ~moved & (self._length <= rounding)

    def _place(self, flat: Tensor) -> None:
        """Put models given as ``(P, d)`` into the parameters."""
        models = self._models()
        pieces = flat.split([t[0].numel() for t in models], dim=1)
        torch._foreach_copy_(models, [piece.reshape(t.shape) for piece, t in zip(pieces, models, strict=True)])

    def _run_state(self) -> dict[str, Any]:
        """Return as many pairs as may ever be remembered, so that all states have the same structure."""
        position = torch.zeros_like(self._flat(self._models())) if self._trained() else torch.zeros(self.size, 0)
        previous = (position, position.clone()) if self._previous is None else self._previous
        missing = self.hyperparameter("history") - len(self._pairs)
        empty = [(torch.zeros_like(position), torch.zeros_like(position), torch.zeros_like(self._scale))] * missing
        return {
            **super()._run_state(),
            "previous": [t.clone() for t in previous],
            "pairs": [[t.clone() for t in pair] for pair in [*empty, *self._pairs]],
            "known": [self._previous is not None, len(self._pairs)],
            "kinds": self._kinds or [0] * len(self._params()),
            **{name: getattr(self, f"_{name}").clone() for name in ("scale", "length", "stalled", "value")},
        }

    def _load_run_state(self, run: dict[str, Any]) -> None:
        super()._load_run_state(run)

        def here(tensors: Iterable[Tensor]) -> Any:
            return tuple(t.to(self.device, copy=True) for t in tensors)

        begun, pairs = run.get("known", (run["previous"] is not None, len(run["pairs"])))
        self._previous = here(run["previous"]) if begun else None
        self._pairs = [here(pair) for pair in run["pairs"][len(run["pairs"]) - pairs :]]
        self._scale, self._length, self._stalled = here([run["scale"], run["length"], run["stalled"]])
        (self._value,) = here([run.get("value", self._value)])
        self._kinds = list(run.get("kinds", [2] * len(self._params())))
