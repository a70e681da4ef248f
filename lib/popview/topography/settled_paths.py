"""Low paths fitted until they have settled: until twice as many steps hardly change their height."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from popview.common.errors import UsageError
from popview.topography.fourier_paths import FourierPathFinder, Profile

#: Steps that L-BFGS remembers.
HISTORY = 10


@dataclass(frozen=True)
class SettledPaths:
    """What a fit of paths ended with.

    Attributes
    ----------
    coefficients : Tensor of shape ``(pairs, terms, d)``
        The bₙ of `FourierPath`.
    height, earlier_height : Tensor of shape ``(pairs,)``
        Highest loss along the path, and what it was after half of the steps.
    steps : Tensor of shape ``(pairs,)``
        Gradients taken of the objective.
    converged : Tensor of shape ``(pairs,)``
        Whether the second half of the steps changed the height by no more than `settle` was given.

    Examples
    --------
    A path between two points at the same height of a bowl: it need not be bent, and is settled after twice the first
    steps.

    >>> import torch
    >>> from functools import partial
    >>> from popview.topography import FourierPathFinder, profile, settle
    >>> def bowl(w):
    ...     return w.square().sum(-1)
    >>> start, end = torch.tensor([[-1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    >>> path = settle(FourierPathFinder(bowl), start, end, partial(profile, bowl), first=10)
    >>> path.coefficients.shape, path.height.tolist(), path.earlier_height.tolist(), path.converged.tolist()
    (torch.Size([1, 10, 2]), [1.0], [1.0], [True])
    """

    coefficients: Tensor
    height: Tensor
    earlier_height: Tensor
    steps: Tensor
    converged: Tensor


def settle(
    finder: FourierPathFinder,
    start: Tensor,
    end: Tensor,
    measure: Callable[[Tensor, Tensor, Tensor], Profile],
    coefficients: Tensor | None = None,
    *,
    first: int = 50,
    most: int = 3200,
    share: float = 0.02,
    within: float = 1e-4,
) -> SettledPaths:
    """Fit paths by L-BFGS, each until its height has settled, or until it has taken as many steps as are allowed.

    The objective is that of `FourierPathFinder`, the soft maximum at its last temperature. It does not change from step
    to step, so that a quasi-Newton method with a strong-Wolfe line search fits it. No schedule shortens the steps: that
    a height no longer changes is no matter of a rate that has come down to 0. After `first`, twice, four times as many
    gradients and so on the height is measured. The path has settled where the height is what it was after half of them,
    to within `share` of its rise above the higher end, or to `within`.

    Parameters
    ----------
    finder : FourierPathFinder
        Whose loss, terms, points, penalty, objective and last temperature are used.
    start, end : Tensor of shape ``(pairs, d)``
    measure : callable
        Start, end and coefficients of one pair → the profile that its height is taken from: `profile` on a loss, which
        may be of other images than those of the finder.
    coefficients : Tensor of shape ``(pairs, terms, d)``, optional
        Of the paths to begin with; by default straight lines.
    first, most : int
        Gradients after which the height is first measured, and those that are taken at most.
    share, within : float
        By how much the height of a settled path changed at most: as a share of the rise, or in the loss's unit.

    Raises
    ------
    UsageError
        If a number is out of range.

    Examples
    --------
    Between two minima of Himmelblau's function, whose lowest pass is 67.7 above them:

    >>> import torch
    >>> from functools import partial
    >>> from popview.landscapes import get
    >>> from popview.topography import FourierPathFinder, profile, settle
    >>> landscape = get("himmelblau")
    >>> start, end = (torch.tensor([landscape.minima[i].location], dtype=torch.float64) for i in (0, 2))
    >>> path = settle(FourierPathFinder(landscape, terms=3), start, end, partial(profile, landscape))
    >>> path.converged.tolist(), [round(height) for height in path.height.tolist()]
    ([True], [68])
    """
    for name, number in (("first", first), ("most", most)):
        if not isinstance(number, int) or number < 1:
            raise UsageError(f"{name} must be a whole number, 1 or above, got {number!r}")
    for name, change in (("share", share), ("within", within)):
        if not 0 <= change < 1:
            raise UsageError(f"{name} must be 0 or above, and below 1, got {change!r}")
    if coefficients is None:
        coefficients = start.new_zeros((len(start), finder.terms, start.shape[1]))
    pairs = zip(start.split(1), end.split(1), coefficients.split(1), strict=True)
    found = [_settle(finder, *pair, measure, first, most, share, within) for pair in pairs]
    terms, height, earlier, steps, settled = zip(*found, strict=True)
    return SettledPaths(
        torch.cat(terms), torch.cat(height), torch.cat(earlier), torch.tensor(steps), torch.tensor(settled)
    )


@torch.enable_grad()
def _settle(
    finder: FourierPathFinder,
    start: Tensor,
    end: Tensor,
    coefficients: Tensor,
    measure: Callable[[Tensor, Tensor, Tensor], Profile],
    first: int,
    most: int,
    share: float,
    within: float,
) -> tuple[Tensor, Tensor, Tensor, int, bool]:
    unit, path = finder.bent(start, end)
    moving = (coefficients / unit).requires_grad_()
    spread = path(moving)[0].detach()
    spread = (spread.amax(1) - spread.amin(1)).clamp(min=torch.finfo(start.dtype).eps)
    lbfgs = torch.optim.LBFGS(
        [moving], tolerance_grad=0, tolerance_change=0, history_size=HISTORY, line_search_fn="strong_wolfe"
    )
    steps = 0

    def closure() -> Tensor:
        nonlocal steps
        steps += 1
        moving.grad = None
        losses, length = path(moving)
        objective = (finder.aim(losses, spread, finder.steps) + finder.penalty * length).sum()
        objective.backward()
        return objective.detach()

    before, allowed = start.new_full((1,), torch.inf), first
    while True:
        for _ in range(2):
            if steps < allowed:
                lbfgs.param_groups[0].update(max_iter=allowed - steps, max_eval=allowed - steps)
                lbfgs.step(closure)
            if steps < allowed:  # its direction no longer descends: once more from the gradient
                lbfgs.state.clear()
        terms = unit * moving.detach()
        found = measure(start, end, terms)
        rise = found.height - found.losses[:, [0, -1]].amax(1)
        settled = bool((found.height - before).abs() <= max(share * float(rise), within))
        if settled or 2 * allowed > most or not torch.isfinite(found.height).all():
            return terms, found.height, before, steps, settled
        before, allowed = found.height, 2 * allowed
