"""The paper's scale on a GPU: images a second against plain PyTorch, each algorithm's steps, its losses beside a CPU's.

    PYTHONPATH=lib python benchmarks/gpu.py [--steps 300] [--compared 5] [--device cuda] [--network resnet-50]

ResNet-50 for 32 × 32 images, with the settings of `runs/profiles/optimizers/paper.toml`. Needs PyTorch, torchvision,
SciPy, pydantic and typer, and no data set: the images are 4,096 of noise in which each of ten classes has a pattern of
its own, drawn from a seed, cropped and flipped a batch at a time. Ten minutes on a recent GPU.

1. Images a second in steps of 128, after ten that do not count. Plain: float32, `torch.optim.SGD`. Ours: bfloat16,
   channels last, `popview.optimizers.make("SGD")`, as the tasks do it. They take turns, five times. Median, range, and
   the ratio of each turn.
2. Every algorithm of the profile for `--steps` steps: milliseconds a step, gradient evaluations, the loss of the first
   ten steps and of the last ten. τ, and NiM's ε, are such that noise falls within these steps.
3. Every algorithm for `--compared` steps of 32 images in float32, on the GPU (without TF32) and on the CPU, from the
   same weights with the same noise: the largest relative difference of a loss. Required: below 1e-3 at the first step,
   where nothing but rounding differs. Exits with 1 otherwise, or where an algorithm's loss has not fallen.

`--device cpu --network resnet-8 --steps 60` tries the script itself on a machine without a GPU.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
import typer
from torch import Tensor, nn

from popview.optimizers import make
from popview.optimizers.base import Optimizer
from popview.runs import profiles
from popview.tasks.networks import make_network

PROFILE = profiles.settings("paper", "cifar10")
CLASSES, IMAGES, BATCH, SMALL, WARM, TURNS = 10, 4096, 128, 32, 10, 5
#: In place of the profile's, which are for 300 epochs.
WITHIN = {"tau": 20, "average_from": 20, "average_every": 20}


def pictures() -> tuple[Tensor, Tensor]:
    """Return images as bytes ``(n, 3, 32, 32)`` and their labels."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (IMAGES,), generator=draws)
    patterns = 80 * torch.randn(CLASSES, 3, 32, 32, generator=draws)
    noisy = 128 + patterns[labels] + 40 * torch.randn(IMAGES, 3, 32, 32, generator=draws)
    return noisy.clamp(0, 255).to(torch.uint8), labels


def batches(
    images: Tensor, labels: Tensor, size: int, device: torch.device, last: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches on a device for ever, cropped by up to four pixels and flipped: the same on every device."""
    draws = torch.Generator().manual_seed(1)
    padded = nn.functional.pad(images, (4, 4, 4, 4))
    memory = torch.channels_last if last else torch.contiguous_format
    while True:
        order = torch.randperm(len(labels), generator=draws)
        for rows in order.split(size)[: len(order) // size]:
            top, left = torch.randint(0, 9, (2,), generator=draws).tolist()
            batch = padded[rows][..., top : top + 32, left : left + 32]
            batch = batch.flip(-1) if torch.rand((), generator=draws) < 0.5 else batch
            batch = batch.to(device, non_blocking=True).float().sub(128).div(64)
            yield batch.contiguous(memory_format=memory), labels[rows].to(device, non_blocking=True)


def network_of(name: str, device: torch.device, last: bool) -> nn.Module:
    torch.manual_seed(0)
    network = make_network(name, (3, 32, 32), CLASSES).to(device)
    return network.to(memory_format=torch.channels_last) if last else network


def settings(algorithm: str) -> dict[str, Any]:
    """Return an algorithm's hyperparameters in the profile, with those of `WITHIN` that it has."""
    given = profiles.base_of(PROFILE["base"], algorithm)
    within = WITHIN | ({"epsilon": 1e9} if algorithm == "NiM-SGD" else {})
    return given | {name: value for name, value in within.items() if name in given}


def optimizer_of(algorithm: str, network: nn.Module, **others: Any) -> Optimizer:
    return make(algorithm, network.parameters(), buffers=network.buffers(), seed=0, **settings(algorithm) | others)


def stepping(network: nn.Module, optimizer: Any, supply: Iterator, precision: str) -> Callable[[], Tensor]:
    """Return a function that makes one step on the next batch and returns its loss."""
    kind = next(network.parameters()).device.type

    def step() -> Tensor:
        images, labels = next(supply)

        def closure() -> Tensor:
            optimizer.zero_grad()
            with torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16"):
                loss = nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            return loss.detach()

        return torch.as_tensor(optimizer.step(closure))

    return step


def seconds_of(step: Callable[[], Tensor], steps: int, device: torch.device) -> float:
    """Return the seconds that so many steps take, the GPU's work included."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return time.perf_counter() - began


def spread(values: list[float], form: str) -> str:
    """Write median and range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def throughput(name: str, device: torch.device, data: tuple[Tensor, Tensor], steps: int) -> None:
    ways, rates = {}, {"plain": list[float](), "ours": list[float]()}
    for way in rates:
        last = way == "ours"
        network, supply = network_of(name, device, last), batches(*data, BATCH, device, last)
        rate, momentum, decay = (PROFILE["base"][key] for key in ("lr", "momentum", "weight_decay"))
        plain = torch.optim.SGD(network.parameters(), lr=rate, momentum=momentum, weight_decay=decay)
        optimizer = optimizer_of("SGD", network) if last else plain
        ways[way] = stepping(network, optimizer, supply, "bfloat16" if last else "float32")
        seconds_of(ways[way], WARM, device)
    for _ in range(TURNS):
        for way, step in ways.items():
            rates[way].append(steps * BATCH / seconds_of(step, steps, device))
    ratios = [ours / plain for ours, plain in zip(rates["ours"], rates["plain"], strict=True)]
    cells = name, spread(rates["plain"], ",.0f"), spread(rates["ours"], ",.0f"), spread(ratios, ".2f")
    print(f"\n| images a second | plain | ours | ratio |\n|---|---|---|---|\n| {' | '.join(cells)} |\n")


def short_runs(name: str, device: torch.device, data: tuple[Tensor, Tensor], steps: int) -> list[str]:
    """Train with each algorithm; return those whose loss has not fallen."""
    wrong = []
    print(f"| {steps} steps of {BATCH} | ms a step | gradients | noise | hops | first ten losses | last ten |")
    print("|---|---|---|---|---|---|---|")
    for algorithm in PROFILE["algorithms"]:
        network = network_of(name, device, last=True)
        optimizer = optimizer_of(algorithm, network)
        step = stepping(network, optimizer, batches(*data, BATCH, device, last=True), "bfloat16")
        losses: list[Tensor] = []
        seconds = seconds_of(lambda step=step, losses=losses: losses.append(step()) or losses[-1], steps, device)
        first, end = (float(torch.stack(part).float().mean()) for part in (losses[:10], losses[-10:]))
        counts = optimizer.gradient_evaluations, optimizer.noise_triggers, optimizer.hops_tried
        print(
            f"| {algorithm} | {1e3 * seconds / steps:.1f} | {' | '.join(map(str, counts))} | {first:.3f} | {end:.3f} |"
        )
        if not end < first:
            wrong.append(f"{algorithm}: the loss went from {first:.3f} to {end:.3f}")
    return wrong


def beside_cpu(name: str, device: torch.device, data: tuple[Tensor, Tensor], steps: int) -> list[str]:
    """Compare losses on a device with those on the CPU; return where the first step differs by more than rounding."""
    wrong = []
    print(
        f"\n| float32, {steps} steps of {SMALL} | losses on {device.type} | on the CPU | largest relative difference |"
    )
    print("|---|---|---|---|")
    for algorithm in PROFILE["algorithms"]:
        found = []
        for place in (device, torch.device("cpu")):
            network = network_of(name, place, last=False)
            optimizer = optimizer_of(algorithm, network, lr=0.001)
            step = stepping(network, optimizer, batches(*data, SMALL, place, last=False), "float32")
            found.append([float(step()) for _ in range(steps)])
        apart = [abs(one - other) / abs(other) for one, other in zip(*found, strict=True)]
        lines = (" ".join(f"{loss:.4f}" for loss in losses) for losses in found)
        print(f"| {algorithm} | {' | '.join(lines)} | {max(apart):.1e} |")
        if not apart[0] < 1e-3:
            wrong.append(f"{algorithm}: the first losses differ by {apart[0]:.1e}")
    return wrong


def main(steps: int = 300, compared: int = 5, device: str = "cuda", network: str = "resnet-50") -> None:
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("gpu.py: no GPU is seen; --device cpu --network resnet-8 --steps 60 tries the script itself")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    place, data = torch.device(device), pictures()
    print(f"{torch.cuda.get_device_name() if device == 'cuda' else 'CPU'}; torch {torch.__version__}; {network}")
    throughput(network, place, data, max(5, steps // 10))
    wrong = short_runs(network, place, data, steps) + beside_cpu(network, place, data, compared)
    print("\n" + ("; ".join(wrong) or "all losses fell, and agree with the CPU's"))
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    typer.run(main)
