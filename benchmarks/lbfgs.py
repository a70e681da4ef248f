"""L-BFGS-GSS against SciPy's L-BFGS-B: the same starts, the same stopping rule, evaluations counted.

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/lbfgs.py [--restarts 100] [--images 300] [--nets 5]

prints two Markdown tables (about two minutes). Both remember 10 steps and end where no component of the gradient is
above 10⁻⁵, or after 5,000 steps; double precision. L-BFGS-GSS runs all restarts as one population, SciPy one after
another.

First, functions whose minima are known: Rosenbrock in 2 and 100 dimensions from (−1.2, 1, −1.2, 1, …) and from starts
around it, and the paper's three landscapes from starts drawn uniformly over their domains. Reached: within 10⁻³ of a
known minimum. Line searches differ, so that from the same start two methods may reach different minima.
Second, perceptrons 64-50-50-10 (softplus, no biases, 6,200 weights) on scikit-learn's digits: mean cross-entropy plus
2 · 10⁻³ ‖w‖², without which the minimum would lie at infinity. Their minima are not known: the losses that were reached
are given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

import numpy as np
import scipy.optimize
import torch
import typer
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from popview.common.seeds import generator
from popview.landscapes import get
from popview.optimizers import make

STEPS, FLAT = 5000, 1e-5
WIDTHS, DECAY = (64, 50, 50, 10), 2e-3


@dataclass(frozen=True)
class Problem:
    """A loss of points ``(P, d)``, where to start, and its minima where known."""

    name: str
    loss: Callable[[Tensor], Tensor]
    starts: Tensor
    minima: Tensor | None = None


@dataclass(frozen=True)
class Ends:
    """Where the restarts ended, and what it took: gradients, losses alone, seconds for all."""

    points: Tensor
    values: Tensor
    gradients: Tensor
    losses: Tensor
    seconds: float


def rosenbrock(points: Tensor) -> Tensor:
    ahead, behind = points[..., 1:], points[..., :-1]
    return (100 * (ahead - behind**2) ** 2 + (1 - behind) ** 2).sum(-1)


def known(restarts: int) -> list[Problem]:
    """Return the functions with known minima."""
    problems = []
    for dimension in (2, 100):
        start = torch.tensor([-1.2, 1.0], dtype=torch.float64).repeat(dimension // 2)
        noise = torch.randn(restarts, dimension, dtype=torch.float64, generator=generator(0, f"rosenbrock {dimension}"))
        noise[0] = 0
        minima = torch.ones(1, dimension, dtype=torch.float64)
        problems.append(Problem(f"Rosenbrock, {dimension}-d", rosenbrock, start + 0.1 * noise, minima))
    for name in ("himmelblau", "three-hump-camel", "six-hump-camel"):
        landscape = get(name)
        minima = torch.tensor([m.location for m in landscape.minima], dtype=torch.float64)
        starts = landscape.sample_starts(restarts, generator(0, "starts"))
        problems.append(Problem(name, landscape, starts, minima))
    return problems


def perceptrons(restarts: int, images: int) -> Problem:
    """Return P perceptrons, one after the other in each row of weights."""
    digits = load_digits()
    inputs, labels = torch.tensor(digits.data[:images] / 16), torch.tensor(digits.target[:images])
    shapes = list(pairwise(WIDTHS))
    bounds = torch.cat([torch.full((i * o,), i**-0.5, dtype=torch.float64) for i, o in shapes])
    unit = torch.rand(restarts, len(bounds), dtype=torch.float64, generator=generator(0, "perceptrons"))

    def loss(points: Tensor) -> Tensor:
        hidden = inputs.expand(len(points), -1, -1)
        weights = points.split([i * o for i, o in shapes], dim=1)
        for i, (weight, shape) in enumerate(zip(weights, shapes, strict=True)):
            hidden = torch.bmm(softplus(hidden) if i else hidden, weight.view(-1, *shape))
        target = labels.repeat(len(points))
        losses = cross_entropy(hidden.flatten(0, 1), target, reduction="none").view(len(points), -1).mean(1)
        return losses + DECAY * (points**2).sum(1)

    name = f"{'-'.join(map(str, WIDTHS))}, {images} digits"
    return Problem(name, loss, bounds * (2 * unit - 1))


def ours(problem: Problem) -> Ends:
    """Run all restarts as one population; count for each what it took until its gradient was flat."""
    points = torch.nn.Parameter(problem.starts.clone())
    optimizer = make("L-BFGS-GSS", [points], population=True)

    def closure() -> Tensor:
        points.grad = None
        losses = problem.loss(points)
        losses.sum().backward()
        return losses.detach()

    running = torch.ones(len(points), dtype=torch.bool)
    ends, values = torch.empty_like(points), torch.empty(len(points), dtype=torch.float64)
    counts = {
        name: torch.zeros(len(points), dtype=torch.int64) for name in ("gradient_evaluations", "loss_evaluations")
    }
    started = perf_counter()
    for _ in range(STEPS):
        before = {name: optimizer.counts[name].clone() for name in counts}
        stood = points.detach().clone()
        loss = optimizer.step(closure, lambda: problem.loss(points))
        assert points.grad is not None
        flat = running & (points.grad.abs().amax(1) <= FLAT)  # the gradient where it stood before the step
        ends[flat], values[flat] = stood[flat], loss[flat]
        counts["gradient_evaluations"][flat] = optimizer.counts["gradient_evaluations"][flat]
        counts["loss_evaluations"][flat] = before["loss_evaluations"][flat]
        running &= ~flat
        if not running.any():
            break
    ends[running], values[running] = points.detach()[running], problem.loss(points.detach())[running]
    for name, count in counts.items():
        count[running] = optimizer.counts[name][running]
    return Ends(ends, values, *counts.values(), perf_counter() - started)


def scipys(problem: Problem) -> Ends:
    """Run `scipy.optimize.minimize(method="L-BFGS-B")` on each restart; each evaluation is a loss and a gradient."""

    def value_and_gradient(w: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.tensor(w[None], requires_grad=True)
        value = problem.loss(point)
        (gradient,) = torch.autograd.grad(value.sum(), point)
        return float(value.detach()), gradient[0].numpy()

    started = perf_counter()
    settings = {"maxcor": 10, "gtol": FLAT, "ftol": 0.0, "maxiter": STEPS, "maxfun": 10 * STEPS}
    found = [
        scipy.optimize.minimize(value_and_gradient, w, jac=True, method="L-BFGS-B", options=settings)
        for w in problem.starts.numpy()
    ]
    points, values = torch.tensor(np.stack([f.x for f in found])), torch.tensor([f.fun for f in found])
    evaluations = torch.tensor([f.nfev for f in found])
    return Ends(points, values, evaluations, torch.zeros_like(evaluations), perf_counter() - started)


def nearest(problem: Problem, ends: Ends) -> Tensor:
    """Return the index of the minimum within 10⁻³ of each end, −1 where there is none."""
    assert problem.minima is not None
    distance, index = torch.cdist(ends.points, problem.minima, compute_mode="donot_use_mm_for_euclid_dist").min(1)
    return torch.where(distance <= 1e-3, index, -1)


def spread(values: Tensor) -> str:
    low, middle, high = torch.quantile(values.double(), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)).tolist()
    return f"{middle:.0f} ({low:.0f}–{high:.0f})"


METHODS = {"L-BFGS-GSS": ours, "SciPy L-BFGS-B": scipys}


def main(restarts: int = 100, images: int = 300, nets: int = 5) -> None:
    """Print the tables as Markdown."""
    torch.set_num_threads(1)
    print(f"{restarts} restarts; medians (10–90 %) per restart; seconds for all restarts.\n")
    print("| function | method | reached | same minimum | minima | largest f − f* | gradients | losses alone | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for problem in known(restarts):
        runs = {name: run(problem) for name, run in METHODS.items()}
        reached = {name: nearest(problem, ends) for name, ends in runs.items()}
        same = int((reached["L-BFGS-GSS"] == reached["SciPy L-BFGS-B"]).sum())
        assert problem.minima is not None
        lowest = problem.loss(problem.minima)
        for name, ends in runs.items():
            index = reached[name]
            excess = float((ends.values - lowest[index])[index >= 0].max())
            print(f"| {problem.name} | {name} | {int((index >= 0).sum())} | {same} |", end=" ")
            print(f"{len(index[index >= 0].unique())} of {len(lowest)} | {excess:.0e} |", end=" ")
            print(f"{spread(ends.gradients)} | {spread(ends.losses)} | {ends.seconds:.1f} |")

    problem = perceptrons(nets, images)
    print(f"\n{problem.name}, {nets} restarts.\n")
    print("| method | lowest loss | median | highest | flat | gradients | losses alone | s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, run in METHODS.items():
        ends = run(problem)
        point = ends.points.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(problem.loss(point).sum(), point)
        flat = int((gradient.abs().amax(1) <= FLAT).sum())
        low, middle, high = (float(f(ends.values)) for f in (torch.min, torch.median, torch.max))
        print(f"| {name} | {low:.5f} | {middle:.5f} | {high:.5f} | {flat} |", end=" ")
        print(f"{spread(ends.gradients)} | {spread(ends.losses)} | {ends.seconds:.1f} |")


if __name__ == "__main__":
    typer.run(main)
