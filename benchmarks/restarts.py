"""How fast restarts on a landscape are: as one population, one by one, with SciPy, and in NumPy by hand (the limit).

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/restarts.py [--repeats 5] [--workers 2]

Measures, on Himmelblau, in one process with one thread, gradient evaluations per second of

(a) `popview.landscapes.restarts.sample` with each algorithm of Table 1: 500 restarts × 1000 iterations, normalised
gradient,
    starts and the classification of all end points included;
(b) the same optimizers without a population: a loop over restarts, one after another (2 of them a repeat);
(c) `scipy.optimize.basinhopping` with the analytic gradient: runs of 20 hops (4 runs a repeat), `njev` counted;
(d) gradient descent written by hand in NumPy on an array of shape (500, 2).

Then the time to 500 classified end points for each, (b) and (c) scaled up from the restarts that were run; and the wall
time of Table 1: 24 cells × 500 restarts in this process, and shared between worker processes that are already up.
Methods take turns within each repeat, so that a busy machine slows all of them. Cells: median, and range over repeats;
ratios: median of the repeats' own.
Required: (a) of GD at least 100 × (b) and 30 × (c); Table 1 below 10 s on two cores. About three minutes.
"""

import os
import platform
import statistics
from collections import defaultdict
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import scipy
import scipy.optimize
import torch
import typer
from joblib import Parallel, delayed

from popview.common.environment import processor
from popview.common.seeds import generator
from popview.landscapes import get
from popview.landscapes.restarts import sample
from popview.optimizers import make
from popview.paper import table_one

RESTARTS, ITERATIONS, HOPS, ALONE, RUNS = 500, 1000, 20, 2, 4
PROTOCOL = table_one.Protocol(restarts=RESTARTS, iterations=ITERATIONS)
LANDSCAPE = get("himmelblau")

#: What is measured → repeats of (gradient evaluations, end points, seconds).
Times = dict[str, list[tuple[int, int, float]]]


def options(algorithm: str) -> dict[str, Any]:
    """Return the hyperparameters that `Protocol.sample` passes."""
    noise = {} if algorithm == "GD" else {"rho": PROTOCOL.rho}
    hops = {"tau": PROTOCOL.tau, "epsilon": PROTOCOL.epsilon} if "BH" in algorithm or "NiM" in algorithm else {}
    return {"lr": PROTOCOL.lr, "normalized": True, **noise, **hops}


def population(algorithm: str) -> tuple[int, int]:
    """(a) All restarts at once; return gradient evaluations and end points."""
    s = sample(LANDSCAPE, algorithm, RESTARTS, iterations=ITERATIONS, **options(algorithm))
    return int(s.gradient_evaluations.sum()), int(s.counts_by_basin().sum())


def one_by_one(algorithm: str) -> tuple[int, int]:
    """(b) The same optimizer, one restart after another."""
    evaluations, ends = 0, []
    for start in LANDSCAPE.sample_starts(ALONE, generator(0, "starts")):
        point = torch.nn.Parameter(start.clone())
        optimizer = make(algorithm, [point], **options(algorithm))

        def closure(point: torch.nn.Parameter = point) -> torch.Tensor:
            value, point.grad = LANDSCAPE.value_and_gradient(point.detach())
            return value

        for _ in range(ITERATIONS):
            optimizer.step(closure)
        optimizer.finish()
        evaluations += int(optimizer.gradient_evaluations)
        ends.append(point.detach())
    LANDSCAPE.nearest(torch.stack(ends))
    return evaluations, ALONE


def scipy_basinhopping(_: str) -> tuple[int, int]:
    """(c) SciPy's Basin Hopping with BFGS and the gradient, in plain Python numbers."""

    def value_and_gradient(w: np.ndarray) -> tuple[float, np.ndarray]:
        x, y = w.tolist()
        a, b = x * x + y - 11, x + y * y - 7
        return a * a + b * b, np.array([4 * x * a + 2 * b, 2 * a + 4 * y * b])

    rng, evaluations = np.random.default_rng(0), 0
    for start in LANDSCAPE.sample_starts(RUNS, generator(0, "starts")).numpy():
        found = scipy.optimize.basinhopping(
            value_and_gradient, start, HOPS, minimizer_kwargs={"jac": True}, stepsize=PROTOCOL.rho, rng=rng
        )
        evaluations += found.njev
        LANDSCAPE.nearest(torch.as_tensor(found.x[None]))
    return evaluations, RUNS


def numpy_descent(_: str) -> tuple[int, int]:
    """(d) Normalised gradient descent on all restarts, by hand, and the distance to each minimum."""
    x, y = LANDSCAPE.sample_starts(RESTARTS, generator(0, "starts")).numpy().T.copy()
    for _ in range(ITERATIONS):
        a, b = x * x + y - 11, x + y * y - 7
        gx, gy = 4 * x * a + 2 * b, 2 * a + 4 * y * b
        step = PROTOCOL.lr / np.sqrt(gx * gx + gy * gy)
        x -= step * gx
        y -= step * gy
    locations = np.array([m.location for m in LANDSCAPE.minima])
    np.hypot(x[:, None] - locations[:, 0], y[:, None] - locations[:, 1]).argmin(1)
    return RESTARTS * ITERATIONS, RESTARTS


def cell(landscape: str, algorithm: str) -> int:
    """Run one cell of Table 1; return the end points."""
    torch.set_num_threads(1)
    s = PROTOCOL.sample(landscape, algorithm)
    return int(s.counts_by_radius(PROTOCOL.radius).sum() + s.counts_by_basin().sum()) // 2


def timed(times: Times, name: str, run: Callable[..., tuple[int, int]], *arguments: Any) -> None:
    started = perf_counter()
    evaluations, ends = run(*arguments)
    times[name].append((evaluations, ends, perf_counter() - started))


def spread(values: list[float], digits: str = ".3g") -> str:
    """Write the median and the range."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,{digits}} ({low:,{digits}}–{high:,{digits}})"


def rates(times: Times, name: str) -> list[float]:
    """Return gradient evaluations per second, in thousands."""
    return [evaluations / seconds / 1e3 for evaluations, _, seconds in times[name]]


def to_all(times: Times, name: str) -> list[float]:
    """Return the seconds to 500 end points, in proportion."""
    return [seconds * RESTARTS / ends for _, ends, seconds in times[name]]


def main(repeats: int = 5, workers: int = 2) -> None:
    """Print the tables as Markdown."""
    torch.set_num_threads(1)
    load = os.getloadavg()
    cells = [(landscape, algorithm) for landscape in table_one.COLUMNS for algorithm in table_one.ALGORITHMS]
    times: Times = defaultdict(list)
    tables: dict[str, list[float]] = defaultdict(list)
    with Parallel(n_jobs=workers, batch_size=1) as pool:
        pool(delayed(cell)("himmelblau", "GD") for _ in range(workers))  # starts the workers
        population("GD")  # and warms this process up
        for _ in range(repeats):
            for algorithm in table_one.ALGORITHMS:
                timed(times, f"a {algorithm}", population, algorithm)
                timed(times, f"b {algorithm}", one_by_one, algorithm)
            timed(times, "c", scipy_basinhopping, "")
            timed(times, "d", numpy_descent, "")
            started = perf_counter()
            assert sum(cell(*c) for c in cells) == len(cells) * RESTARTS
            tables["one process"].append(perf_counter() - started)
            started = perf_counter()
            pool(delayed(cell)(*c) for c in cells)
            tables[f"{workers} processes"].append(perf_counter() - started)

    versions = f"torch {torch.__version__.split('+')[0]}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    print(f"{processor()}, {os.cpu_count()} cores; {versions}, Python {platform.python_version()};", end=" ")
    print(f"{repeats} repeats; load before {load[0]:.2f}, after {os.getloadavg()[0]:.2f}\n")
    print("Thousands of gradient evaluations per second on Himmelblau; median (range).\n")
    print("| algorithm | (a) population of 500 | (b) one by one | a / b | a / c | a / d |")
    print("|---|---|---|---|---|---|")
    for algorithm in table_one.ALGORITHMS:
        a, b = f"a {algorithm}", f"b {algorithm}"
        ratio = [
            statistics.median(x / y for x, y in zip(rates(times, a), rates(times, other), strict=True))
            for other in (b, "c", "d")
        ]
        print(f"| {algorithm} | {spread(rates(times, a), '.0f')} | {spread(rates(times, b), '.2f')} |", end=" ")
        print(f"{ratio[0]:.0f} × | {ratio[1]:.1f} × | {ratio[2]:.2f} × |")
    print(f"| (c) `scipy.optimize.basinhopping` | {spread(rates(times, 'c'), '.2f')} | | | | |")
    print(f"| (d) NumPy by hand, GD | {spread(rates(times, 'd'), '.0f')} | | | | |\n")
    print(f"Seconds to 500 classified end points; (b) scaled up from {ALONE} restarts, (c) from {RUNS} runs.\n")
    print("| what | seconds |")
    print("|---|---|")
    for name, label in (("a GD", "(a) GD, population"), ("a NiM-MBH", "(a) NiM-MBH, population")):
        print(f"| {label}, {ITERATIONS} iterations | {spread(to_all(times, name))} |")
    for name, label in (("b GD", "(b) GD, one by one, scaled"), ("b NiM-MBH", "(b) NiM-MBH, one by one, scaled")):
        print(f"| {label} | {spread(to_all(times, name))} |")
    hop = statistics.median(evaluations / ends for evaluations, ends, _ in times["c"])
    print(f"| (c) SciPy, {HOPS} hops a run ({hop:.0f} gradients), scaled | {spread(to_all(times, 'c'))} |")
    print(f"| (d) NumPy by hand, GD | {spread(to_all(times, 'd'))} |")
    for name, seconds in tables.items():
        print(f"| Table 1: {len(cells)} cells × {RESTARTS} restarts, {name} | {spread(seconds)} |")


if __name__ == "__main__":
    typer.run(main)
