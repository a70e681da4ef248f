"""What one optimizer step costs beside the gradients: time, and memory in copies of the parameters.

Takes the shapes of ResNet-50's parameters (161 tensors, 25.6 million float32 numbers), presets the gradients, and steps
with a closure that returns a constant: what is left is the optimizer's own arithmetic. Every measured step is preceded
by one of ``torch.optim.SGD(foreach=True, momentum=0.9)`` on the same shapes, and the ratio of the two is reported
(median, and the quartiles in brackets), so that a slow minute of the machine slows both. The gradient of a minibatch,
which costs more than all this, is not in it: SAM's second one least of all.

The *bound* is the time that the step's elementwise operations need at the least: the parameter-sized tensors that they
read and write (torch's foreach functions are not fused on a processor, and neither are ours), at the memory bandwidth
measured in the same run, and the normal numbers drawn, at the speed of torch's generator measured in the same run.

*Kept* counts the tensors that the optimizer keeps, *peak* adds the largest sum of temporary tensors during one step (by
torch's profiler); both in copies of the parameters, gradients not counted.

    OMP_NUM_THREADS=1 python benchmarks/optimizer_step.py --rounds 15
"""

import argparse
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's chatter; read when torch is loaded

import torch
import torchvision
from torch import Tensor, nn

from popview.optimizers import make

TAU = 4  # steps in a hop: its start, two inside, its end


class Row(NamedTuple):
    """What is measured: which step (its place in a cycle of `cycle` steps) of which optimizer."""

    label: str
    build: Callable[[list[nn.Parameter]], Any]
    streams: int  # parameter-sized tensors read or written
    normals: int = 0  # normal numbers drawn, per parameter
    place: int = 0
    cycle: int = 1


def ours(name: str, **options: Any) -> Callable[[list[nn.Parameter]], Any]:
    options = {"lr": 1e-6, **({} if name == "AdamW" else {"momentum": 0.9}), **options}
    return lambda params: make(name, params, **options)


def torch_sgd(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=1e-6, momentum=0.9, foreach=True)


def rows() -> Iterator[Row]:
    """Yield the table's rows; the comments count streams: SGD's own are mul 2, add 3, add 3."""
    yield Row("torch.optim.SGD, momentum", torch_sgd, 8)
    yield Row("SGD", ours("SGD"), 8)
    yield Row("NiG-SGD, ball", ours("NiG-SGD", noise="ball"), 8 + 6, 1)  # norm 1, scale 2, add 3
    yield Row("NiG-SGD, sphere", ours("NiG-SGD", noise="sphere"), 8 + 6, 1)
    yield Row("NiG-SGD, gaussian", ours("NiG-SGD", noise="gaussian"), 8 + 5, 1)  # scale 2, add 3
    yield Row("NiM-SGD, not firing", ours("NiM-SGD", tau=1, epsilon=0.0), 8 + 1)  # norm 1
    yield Row("NiM-SGD, firing", ours("NiM-SGD", tau=1, epsilon=float("inf")), 8 + 7, 1)  # norm 1, noise 6
    yield Row("SAM", ours("SAM"), 8 + 10)  # keep 2, norm 1, scale 2, add 3, copy back 2
    for accept in ("always", "classical", "metropolis", "printed"):
        build = ours("NiM-BH", accept=accept, tau=TAU, epsilon=0.0)
        keep = 0 if accept == "always" else 4  # parameters and momentum, 2 each
        end = 0 if accept == "always" else 10  # candidate kept, reference in, candidate back; two returned by rejection
        yield Row(f"NiM-BH, {accept}: first step of a hop", build, 9 + 6 + keep, 1, 0, TAU)
        if accept in ("always", "classical"):
            yield Row(f"NiM-BH, {accept}: inside a hop", build, 9, 0, 1, TAU)
        yield Row(f"NiM-BH, {accept}: last step of a hop", build, 9 + end, 0, TAU - 1, TAU)
    # weight decay 2, lerp 3, mul 2, addcmul 3, sqrt 2, div 2, add 2, addcdiv 4
    yield Row("torch.optim.AdamW", lambda params: torch.optim.AdamW(params, lr=1e-6), 20)
    yield Row("AdamW", ours("AdamW"), 20)


def parameters(shapes: list[torch.Size]) -> list[nn.Parameter]:
    params = [nn.Parameter(torch.randn(s) * 0.05) for s in shapes]
    for p in params:
        p.grad = torch.randn_like(p) * 0.01
    return params


def constant(params: list[nn.Parameter]) -> Callable[[], Tensor]:
    """Return a closure that stands for a minibatch: it hands out gradients that are there.

    Equal losses also reject every hop, the dearer outcome.
    """
    gradients = [p.grad for p in params]

    def closure() -> Tensor:
        for p, gradient in zip(params, gradients, strict=True):
            p.grad = gradient
        return LOSS

    return closure


LOSS = torch.tensor(1.0)


def timed(step: Callable[[], Any]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def median(step: Callable[[], Any], rounds: int) -> float:
    return statistics.median(timed(step) for _ in range(rounds))


def speeds(shapes: list[torch.Size], rounds: int) -> tuple[float, float]:
    """Return the memory bandwidth in bytes a second, and the seconds that a normal number takes.

    Both on tensors of the same shapes, so that what fits a cache does so here too.
    """
    source, target = ([torch.ones(s) for s in shapes] for _ in range(2))
    number_of = sum(s.numel() for s in shapes)
    adding = median(lambda: torch._foreach_add_(target, source), rounds)
    copying = median(lambda: torch._foreach_copy_(target, source), rounds)
    drawing = median(lambda: [t.normal_() for t in target], max(3, rounds // 3))
    return max(3 / adding, 2 / copying) * 4 * number_of, drawing / number_of


def kept_by(optimizer: torch.optim.Optimizer) -> int:
    """Count the numbers in the tensors of the optimizer's state, and in lists of tensors that it holds."""
    values = [v for state in optimizer.state.values() for v in state.values()]
    values += [v for held in vars(optimizer).values() if isinstance(held, list) for v in held]
    return sum(v.numel() for v in values if isinstance(v, Tensor))


def temporary_bytes(step: Callable[[], Any]) -> int:
    """Return the largest sum of tensors that were alive during a step and were made in it."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    now = peak = 0
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {platform.machine()}"


def quartiles(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def measure(
    row: Row, shapes: list[torch.Size], reference: Callable[[], Any], rounds: int
) -> tuple[list[float], list[float], float, float]:
    """Return times, ratios to the reference, copies kept, copies at the peak."""
    params = parameters(shapes)
    optimizer, closure = row.build(params), constant(params)

    def step() -> None:
        optimizer.step(closure)

    for _ in range(2 * row.cycle + row.place):  # through the first search, which is no hop, and the first hop
        step()
    times, ratios = [], []
    for _ in range(rounds):
        standard = timed(reference)
        times.append(timed(step))
        ratios.append(times[-1] / standard)
        for _ in range(row.cycle - 1):
            step()
    size = sum(p.numel() for p in params)
    temporary = temporary_bytes(step) / 4 / size
    kept = kept_by(optimizer) / size
    return times, ratios, kept, kept + temporary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="measured steps a row (3 or more)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--only", default="", help="measure the rows whose label contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = [p.shape for p in torchvision.models.resnet50().parameters()]
    size = sum(s.numel() for s in shapes)

    bandwidth, normal = speeds(shapes, arguments.rounds)
    standard = torch_sgd(parameters(shapes))
    standard.step()

    print(f"Processor: {processor()}; {arguments.threads} thread(s); torch {torch.__version__}; ", end="")
    print(f"{len(shapes)} tensors, {size / 1e6:.1f} million float32 parameters; {arguments.rounds} steps a row.")
    print(f"Memory bandwidth {bandwidth / 1e9:.1f} GB/s; one normal number {normal * 1e9:.2f} ns.\n")
    print("| step | ms | ratio to torch's SGD | streams | bound, ms | time / bound | kept | peak |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows():
        if arguments.only not in row.label:
            continue
        times, ratios, kept, peak = measure(row, shapes, standard.step, arguments.rounds)
        bound = row.streams * 4 * size / bandwidth + row.normals * normal * size
        middle = statistics.median(times)
        cells = [f"{1e3 * middle:.0f}", quartiles(ratios), f"{row.streams}", f"{1e3 * bound:.0f}"]
        print(f"| {row.label} | {' | '.join(cells)} | {middle / bound:.2f} | {kept:.1f} | {peak:.1f} |", flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
