"""How fast restarts on a landscape are: as one population, one by one, with SciPy, and in NumPy by hand (the limit).

    PYTHONPATH=lib OMP_NUM_THREADS=1 python benchmarks/restarts.py [--repeats 5] [--iterations 1000]

Measures, on Himmelblau, in one process with one thread, gradient evaluations per second of

(a) `popview.landscapes.restarts.sample` with each algorithm of Table 1: 500 restarts × 1000 iterations, normalised
    gradient, starts and the classification of all end points included; GD also with 50,000 restarts × 100 iterations;
(b) the same optimizers without a population: a loop over restarts, one after another (2 of them a repeat);
(c) `scipy.optimize.basinhopping` with the analytic gradient: runs of 20 hops (4 runs a repeat), `njev` counted;
(d) gradient descent written by hand in NumPy on coordinates of 500 points, and of 50,000.

Then the time to 500 classified end points for each, (b) and (c) scaled up from the restarts that were run. Then Table 1
(24 cells × 500) and chapter 4's search (18 protocols × 24 cells × 200), as few populations (`table_one.run_cells`) and
cell by cell; a sweep of NiM-MBH over 27 settings of three hyperparameters × 200 restarts, as one population and in a
loop. Every end point and counter of the two ways is compared.
Times are this process's processor time. Methods take turns within each repeat, so that a busy machine slows all of
them. Cells: median, and range over repeats; ratios: median of the repeats' own, and range.
Aims: (a) of GD within 3 × of (d) at 500 points, and ahead of it at 50,000; required: at least 100 × (b) and 30 × (c),
Table 1 below 10 s, and members that are equal bit for bit. Four to eight minutes a repeat.
"""

import itertools
import os
import platform
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from time import process_time
from typing import Any

import numpy as np
import scipy
import scipy.optimize
import torch
import typer

from popview.common.environment import processor
from popview.common.seeds import generator
from popview.landscapes import get
from popview.landscapes.restarts import Sample, sample, sample_each
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


def numpy_descent(restarts: int, iterations: int) -> tuple[int, int]:
    """(d) Normalised gradient descent on all restarts, by hand, and the distance to each minimum."""
    x, y = LANDSCAPE.sample_starts(restarts, generator(0, "starts")).numpy().T.copy()
    for _ in range(iterations):
        a, b = x * x + y - 11, x + y * y - 7
        gx, gy = 4 * x * a + 2 * b, 2 * a + 4 * y * b
        step = PROTOCOL.lr / np.sqrt(gx * gx + gy * gy)
        x -= step * gx
        y -= step * gy
    locations = np.array([m.location for m in LANDSCAPE.minima])
    np.hypot(x[:, None] - locations[:, 0], y[:, None] - locations[:, 1]).argmin(1)
    return restarts * iterations, restarts


def descent(restarts: int, iterations: int) -> tuple[int, int]:
    """(a) of GD without the classification: what (d) does."""
    points = torch.nn.Parameter(LANDSCAPE.sample_starts(restarts, generator(0, "starts")))
    optimizer = make("GD", [points], population=True, lr=PROTOCOL.lr, normalized=True)

    def closure() -> torch.Tensor:
        value, points.grad = LANDSCAPE.value_and_gradient(points.detach())
        return value

    optimizer.repeat(closure, iterations)
    LANDSCAPE.nearest(points.detach())
    return restarts * iterations, restarts


def protocols(iterations: int) -> list[table_one.Protocol]:
    """Return chapter 4's 18 protocols."""
    square, camel, inner = ((-5.0, 5.0),) * 2, ((-3.0, 3.0), (-2.0, 2.0)), ((-2.0, 2.0), (-1.0, 1.0))
    base = replace(PROTOCOL, restarts=200, iterations=iterations)
    choices = itertools.product((True, False), (0.001, 0.01, 0.1), (square, camel, inner))
    return [replace(base, normalized=n, lr=lr, domain=domain) for n, lr, domain in choices]


def cell_by_cell(chosen: list[table_one.Protocol]) -> list[Sample]:
    return [p.sample(name, a) for p in chosen for name in table_one.COLUMNS for a in table_one.ALGORITHMS]


def swept(iterations: int) -> list[dict[str, Any]]:
    """Return 27 settings of NiM-MBH on Himmelblau."""
    common = {"landscape": "himmelblau", "restarts": 200, "iterations": iterations, "normalized": True, "epsilon": 1e-3}
    values = itertools.product((0.003, 0.01, 0.03), (0.1, 0.5, 2.0), (25, 50, 100))
    return [{**common, "lr": lr, "rho": rho, "tau": tau} for lr, rho, tau in values]


def one_after_another(algorithm: str, settings: list[dict[str, Any]]) -> list[Sample]:
    return [sample(algorithm=algorithm, **setting) for setting in settings]


def ways(iterations: int) -> dict[str, tuple[Callable[[], list[Sample]], Callable[[], list[Sample]]]]:
    """Return what is computed as few populations, and one after another."""
    one, search, settings = [replace(PROTOCOL, iterations=iterations)], protocols(iterations), swept(iterations)
    return {
        "Table 1, 24 cells × 500": (lambda: table_one.run_cells(one), lambda: cell_by_cell(one)),
        "18 protocols × 24 cells × 200": (lambda: table_one.run_cells(search), lambda: cell_by_cell(search)),
        "NiM-MBH, 27 settings × 200": (
            lambda: sample_each("NiM-MBH", settings),
            lambda: one_after_another("NiM-MBH", settings),
        ),
    }


def equal(a: Sample, b: Sample) -> bool:
    """Whether all restarts of two samples are the same, bit for bit (a NaN equals a NaN)."""
    names = ["starts", "ends", "nearest", "distance", "basin", "gradient_evaluations", "loss_evaluations"]
    names += ["noise_triggers", "hops_tried", "hops_accepted"]
    pairs = [(getattr(a, name), getattr(b, name)) for name in names]
    return all(bool(((x == y) | (x.isnan() & y.isnan())).all()) for x, y in pairs)


def timed(times: Times, name: str, run: Callable[..., tuple[int, int]], *arguments: Any) -> None:
    started = process_time()
    evaluations, ends = run(*arguments)
    times[name].append((evaluations, ends, process_time() - started))


def timed_ways(times: Times, iterations: int) -> None:
    """Time both ways of each of `ways`; AssertionError where a member differs."""
    for name, both in ways(iterations).items():
        results = []
        for way, run in zip(("together", "apart"), both, strict=True):
            started = process_time()
            results.append(run())
            seconds = process_time() - started
            evaluations = sum(int(s.gradient_evaluations.sum()) for s in results[-1])
            times[f"{way} {name}"].append((evaluations, sum(len(s.ends) for s in results[-1]), seconds))
        assert all(map(equal, *results)), f"{name}: a member differs from its run alone"


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


def main(repeats: int = 5, iterations: int = ITERATIONS) -> None:
    """Print the tables as Markdown; `iterations` are those of Table 1, the search and the sweep."""
    torch.set_num_threads(1)
    load = os.getloadavg()
    times: Times = defaultdict(list)
    population("GD")  # warms the process up
    for _ in range(repeats):
        for algorithm in table_one.ALGORITHMS:
            timed(times, f"a {algorithm}", population, algorithm)
            timed(times, f"b {algorithm}", one_by_one, algorithm)
        timed(times, "c", scipy_basinhopping, "")
        timed(times, "d", numpy_descent, RESTARTS, ITERATIONS)
        for number, steps in ((500, 1000), (50_000, 100)):
            timed(times, f"descent {number}", descent, number, steps)
            timed(times, f"numpy {number}", numpy_descent, number, steps)
        timed_ways(times, iterations)

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
    print("\nDescent alone, thousands of gradient evaluations per second; NumPy's time over ours.\n")
    print("| points | ours | (d) | ours / (d) |")
    print("|---|---|---|---|")
    for number in (500, 50_000):
        ours, numpys = (rates(times, f"{name} {number}") for name in ("descent", "numpy"))
        ratios = [a / d for a, d in zip(ours, numpys, strict=True)]
        print(f"| {number:,} | {spread(ours, '.0f')} | {spread(numpys, '.0f')} | {spread(ratios)} |")
    print(f"\nAs few populations, and one after another; {iterations} iterations; all members equal bit for bit.\n")
    print("| what | seconds | one after another | ratio | thousands of gradients a second |")
    print("|---|---|---|---|---|")
    for name in ways(iterations):
        together, apart = ([seconds for *_, seconds in times[f"{way} {name}"]] for way in ("together", "apart"))
        ratios = [b / a for a, b in zip(together, apart, strict=True)]
        rate = spread(rates(times, f"together {name}"), ".0f")
        print(f"| {name} | {spread(together)} | {spread(apart)} | {spread(ratios)} | {rate} |")


if __name__ == "__main__":
    typer.run(main)
