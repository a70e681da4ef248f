"""FourierPathFinder: heights where the true passes are known, and its speed against a plain loop.

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/paths.py [--repeats 3] [--pairs 50] [--workers 2]

prints three Markdown tables (about five minutes on two idle cores).

1. Heights on Himmelblau's function and the six-hump camel, between minima whose lowest pass is known: of the
   sum-of-losses path, of the soft maximum begun with it, and of the straight line. Then the seed's toy,
   −Σ exp(−3‖r − c‖²) + Σ exp(−15‖r − d‖²) + 1.019, with the sum over f² that reproduces its figures.
2. Milliseconds per path and step of Adam, for a perceptron 784-50-50-10 on 1,000 images and 50 segments, in one process
   with one thread: (a) this package, `PerceptronLoss`; (b) `network_loss`, which uses `torch.func.vmap`; (c) a plain
   single-precision loop, one point after another through the network; and the time of a profile of 2,001 points.
   (a) to (c) take turns within each repeat. Then all pairs on two processes, heights included, (a) at a tenth of the
   steps and scaled, (c) scaled from the single paths. Required: (a) at least twice as fast as (c); exits with 1 if
   it is not.
3. The same per parameter vector for a LeNet on 250 images: `network_loss` at several `chunk`s and the plain loop.
All times are processor time, which other programs on the machine disturb less; the wall time of the pairs is given too.
Images are random: only their shape matters here.
"""

import math
import os
import statistics
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations, pairwise
from time import perf_counter, process_time
from typing import Any

import torch
import typer
from joblib import Parallel, delayed
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from popview.common.environment import processor
from popview.landscapes import get
from popview.tasks import networks
from popview.topography import FourierPathFinder, PerceptronLoss, lowest_passes, network_loss
from popview.topography.fourier_paths import along

WIDTHS, IMAGES, POINTS, STEPS, FEW = (784, 50, 50, 10), 1000, 50, 100, 5
PAIRS = {"himmelblau": [(0, 2), (2, 3), (1, 0), (3, 1)], "six-hump-camel": list(combinations(range(6), 2))}


def toy(w: Tensor) -> Tensor:
    wells = [torch.exp(-3 * ((w[..., 0] - x) ** 2 + (w[..., 1] - y) ** 2)) for x, y in ((0.5, 0), (-0.5, -0.5))]
    bumps = [torch.exp(-15 * ((w[..., 0] - x) ** 2 + (w[..., 1] - y) ** 2)) for x, y in ((-0.2, -0.4), (0, 0.3))]
    return bumps[0] + bumps[1] - wells[0] - wells[1] + 1.019


def heights() -> None:
    print("| between | lowest pass | sum of losses | soft maximum | straight line |")
    print("|---|---|---|---|---|")
    for name, pairs in PAIRS.items():
        landscape = get(name)
        minima = torch.tensor([m.location for m in landscape.minima], dtype=torch.float64)
        start, end = (minima[list(side)] for side in zip(*pairs, strict=True))
        by_sum = FourierPathFinder(landscape, fine=10_000).fit(start, end)
        finder = FourierPathFinder(landscape, points=200, objective="maximum", fine=10_000)
        by_maximum = finder.fit(start, end, by_sum.coefficients)
        for i, pair in enumerate(pairs):
            row = (lowest_passes(landscape)[pair], *(p[i] for p in (by_sum.height, by_maximum.height)))
            numbers = " | ".join(f"{float(v):.4f}" for v in (*row, by_sum.straight_height[i]))
            print(f"| {name} {landscape.minima[pair[0]].location[0]:.2f} to", end=" ")
            print(f"{landscape.minima[pair[1]].location[0]:.2f} | {numbers} |")
    ends = torch.tensor([[-0.62, -0.54], [0.49, -0.02]], dtype=torch.float64)
    for penalty, printed in ((10, 0.646), (100, 0.640), (1000, 0.652)):
        path = FourierPathFinder(lambda w: toy(w) ** 2, points=100, penalty=penalty).fit(*ends)
        numbers = f"{float(path.height.sqrt()):.4f} | | {float(path.straight_height.sqrt()):.4f}"
        print(f"| the seed's toy, penalty {penalty} (the seed prints {printed}) | | {numbers} |")


def network() -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(WIDTHS):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def sample(images: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(images, 784, generator=generator), torch.randint(10, (images,), generator=generator)


def ends(pairs: int) -> tuple[Tensor, Tensor]:
    """Return initial weights of networks, two for each pair."""
    torch.manual_seed(1)
    vectors = torch.stack([parameters_to_vector(network().parameters()).detach() for _ in range(2 * pairs)])
    return vectors[:pairs], vectors[pairs:]


class Loop:
    """The plain loss: one vector after another through the network."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        self.model, self.images, self.labels = model, images, labels
        self.shapes = [(name, p.shape, p.numel()) for name, p in model.named_parameters()]

    def __call__(self, vectors: Tensor) -> Tensor:
        losses = []
        for vector in vectors:
            pieces = vector.split([size for _, _, size in self.shapes])
            state = {name: piece.view(shape) for (name, shape, _), piece in zip(self.shapes, pieces, strict=True)}
            losses.append(cross_entropy(torch.func.functional_call(self.model, state, (self.images,)), self.labels))
        return torch.stack(losses)


def loop(loss: Loop, start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Fit one path without this package; return the coefficients."""
    coefficients = torch.zeros(10, len(start), requires_grad=True)
    adam = torch.optim.Adam([coefficients], lr=1e-3)
    t = torch.linspace(0, 1, POINTS + 1).unsqueeze(1)
    sines = torch.sin(math.pi * t * torch.arange(1, 11))
    for _ in range(steps):
        path = (1 - t) * start + t * end + sines @ coefficients
        objective = loss(path).sum() + 1e-4 * (path[1:] - path[:-1]).square().sum()
        adam.zero_grad()
        objective.backward()
        adam.step()
    return coefficients.detach()


def seconds(run: Callable[..., object], *arguments: Any) -> float:
    """Return the processor time of a call."""
    started = process_time()
    run(*arguments)
    return process_time() - started


def fit(loss: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, steps: int) -> None:
    """Fit one path with this package, with a coarse profile."""
    FourierPathFinder(loss, points=POINTS, steps=steps, tolerance=0, fine=POINTS).fit(start, end)


@torch.no_grad()
def profile(loss: Callable[[Tensor], Tensor], start: Tensor, end: Tensor) -> Tensor:
    """Evaluate the loss at 2,001 points of a straight line."""
    t = torch.linspace(0, 1, 2001).unsqueeze(1)
    return along(loss, torch.cat([1 - t, t], 1), torch.stack([start, end])[None], POINTS + 1)


def share(loss: PerceptronLoss, start: Tensor, end: Tensor, steps: int) -> float:
    torch.set_num_threads(1)
    return seconds(FourierPathFinder(loss, points=POINTS, steps=steps, tolerance=0).fit, start, end)


def speed(repeats: int, pairs: int, workers: int) -> float:
    """Print the times of fitted paths; return how many times as fast as the plain loop they are."""
    images, labels = sample(IMAGES)
    fast, model = PerceptronLoss(images, labels, WIDTHS[1:]), network()
    batched, plain = network_loss(model, images, labels), Loop(model, images, labels)
    start, end = ends(pairs)
    times: dict[str, list[float]] = defaultdict(list)
    fit(fast, start[0], end[0], 2)  # warms up
    for repeat in range(repeats):
        pair = start[repeat % pairs], end[repeat % pairs]
        times["a"].append(seconds(fit, fast, *pair, FEW) / FEW)
        times["b"].append(seconds(fit, batched, *pair, FEW) / FEW)
        times["c"].append(seconds(loop, plain, *pair, FEW) / FEW)
        times["profile a"].append(seconds(profile, fast, *pair))
        times["profile c"].append(seconds(profile, plain, *pair))

    def cell(name: str, scale: float, digits: int = 0) -> str:
        values = [scale * v for v in times[name]]
        return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"

    def ratio(name: str, other: str) -> str:
        return f"{statistics.median(x / y for x, y in zip(times[other], times[name], strict=True)):.1f} ×"

    print("\n| what | one path, one step, ms | (c) / it | profile of 2,001 points, s | (c) / it |")
    print("|---|---|---|---|---|")
    print(f"| (a) `PerceptronLoss` | {cell('a', 1e3)} | {ratio('a', 'c')} |", end=" ")
    print(f"{cell('profile a', 1, 2)} | {ratio('profile a', 'profile c')} |")
    print(f"| (b) `network_loss` | {cell('b', 1e3)} | {ratio('b', 'c')} | | |")
    print(f"| (c) plain loop | {cell('c', 1e3)} | | {cell('profile c', 1, 2)} | |")

    with Parallel(n_jobs=workers, batch_size=1) as pool:
        groups = list(zip(start.split(math.ceil(pairs / workers)), end.split(math.ceil(pairs / workers)), strict=True))
        pool(delayed(share)(fast, a[:1], b[:1], 1) for a, b in groups)  # starts the workers
        started, taken = perf_counter(), []
        for steps in (1, 1 + STEPS // 10):
            taken.append(sum(pool(delayed(share)(fast, a, b, steps) for a, b in groups)))
        wall = perf_counter() - started
    ours = taken[0] + 10 * (taken[1] - taken[0])
    theirs = pairs * (statistics.median(times["c"]) * STEPS + 2 * statistics.median(times["profile c"]))
    print(
        f"\n{pairs} paths × {STEPS} steps, heights included, on {workers} processes: (a) {ours:.0f} s, that is", end=" "
    )
    print(f"{ours / workers:.0f} s for each process; (c) {theirs:.0f} s, {theirs / workers:.0f} s for each:", end=" ")
    print(f"{theirs / ours:.1f} ×. Wall time of what was run, (a) at {STEPS // 10} steps: {wall:.0f} s.")
    return theirs / ours


def convolutions(repeats: int) -> None:
    images, labels = sample(250)
    model, times = networks.make_network("lenet", (1, 28, 28), 10), defaultdict(list)
    vectors = parameters_to_vector(model.parameters()).detach() + 0.01 * torch.randn(10, 61706)
    square = images.view(-1, 1, 28, 28)
    losses: dict[str, Callable[[Tensor], Tensor]] = {"plain loop": Loop(model, square, labels)}
    losses |= {f"`network_loss`, chunk={c}": network_loss(model, square, labels, chunk=c) for c in (1, 5, 10)}
    for _ in range(repeats):
        for name, loss in losses.items():
            leaf = vectors.clone().requires_grad_()
            times[name].append(seconds(lambda f, w: f(w).sum().backward(), loss, leaf) / len(vectors))
    print("\n| LeNet, 250 images | loss and gradient of one vector, ms |")
    print("|---|---|")
    for name, values in times.items():
        print(f"| {name} | {1e3 * statistics.median(values):.1f} ({1e3 * min(values):.1f}–{1e3 * max(values):.1f}) |")


def main(repeats: int = 5, pairs: int = 50, workers: int = 2) -> None:
    """Print the tables as Markdown."""
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    heights()
    faster = speed(repeats, pairs, workers)
    convolutions(repeats)
    version = torch.__version__.split("+")[0]
    print(f"\n{processor()}, {os.cpu_count()} cores; torch {version};", end=" ")
    print(f"{repeats} repeats, median (range); load before {load:.2f}, after {os.getloadavg()[0]:.2f}")
    raise typer.Exit(0 if faster >= 2 else 1)


if __name__ == "__main__":
    typer.run(main)
