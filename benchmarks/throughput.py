"""Training steps a second: this project's way against plain PyTorch, on the same two cores.

    PYTHONPATH=lib python benchmarks/throughput.py [--repeats 5] [--tasks cifar10 --tasks tweeteval]

CIFAR-10 with ResNet-8 and TweetEval with MiniLM, with the laptop profile's settings (batches of 128 and 32), TweetEval
once with all layers trained and once with the four lower ones frozen. CIFAR-10 also with `compiled = true`, where the
kernels are made before the clock starts. Same model, batch size, initial weights, learning rate; every process is
fresh, warms up, waits for the others, and then takes a fixed number of steps.

plain   float32, one process with two threads, glibc's own memory, `torch.optim.SGD`, a `DataLoader`. Images: NCHW,
        PIL images through torchvision's pad, crop, flip, to_tensor and normalize, in the DataLoader's process (of 0 and
        2 workers, that which is faster here: --loaders). Texts: tokens at hand, batches drawn at random and padded to
        their longest; frozen layers computed each time.
ours    bfloat16, two processes with one thread each, an allocator that keeps its pages, huge ones; images: channels
        last, uint8 in memory, augmented as a batch; texts: batches of like length, frozen layers computed once before.

Then the losses of the first ten steps on the same batches (and, for texts, with the same dropout): ours in bfloat16 and
in float32, plain. Stated tolerance: relative difference below 2⁻⁷ (bfloat16's rounding step) in bfloat16, on average
over the ten steps, and below 1e-3 at each step in float32.

Rates: median (range) over repeats; ratios: median of the repeats' own. Required: 3 × on CIFAR-10, 5 × where it is
compiled, 1.8 × on TweetEval with all layers trained; exits with 1 if a ratio falls short or a loss is out of its
tolerance. Ten minutes.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import typer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from popview.common import processes
from popview.common.environment import processor
from popview.common.seeds import generator, stream
from popview.optimizers import make
from popview.runs.expansion import expand
from popview.runs.specs import RunSpec
from popview.tasks import images
from popview.tasks.setup import TASKS

#: Row of the table → task and what is changed in the model's settings.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "cifar10": ("cifar10", {}),
    "cifar10-compiled": ("cifar10", {"compiled": True}),
    "tweeteval": ("tweeteval", {"frozen": 0}),
    "tweeteval-frozen": ("tweeteval", {"frozen": 4}),
}
STEPS = {"cifar10": 40, "cifar10-compiled": 40, "tweeteval": 30, "tweeteval-frozen": 60}
REQUIRED = {"cifar10": 3.0, "cifar10-compiled": 5.0, "tweeteval": 1.8}  # ours / plain
WARM, COMPARED = 4, 10


def spec_of(case: str) -> RunSpec:
    return expand("laptop", CASES[case][0], algorithms=("SGD",))[0]


def problem_of(case: str, precision: str, **changes: Any) -> Any:
    spec = spec_of(case)
    return TASKS[spec.task](spec.seeds, **(spec.model | CASES[case][1] | {"precision": precision} | changes))


# ---------------------------------------------------------------- ours


def ours(case: str, precision: str) -> Iterator[float]:
    """Yield the loss of each step, trained as `popview.runs.training` does."""
    processes.keep_pages()
    spec, problem = spec_of(case), problem_of(case, precision)
    hyperparameters = spec.hyperparameters
    optimizer = make("SGD", problem.parameters, buffers=problem.buffers, population=False, **hyperparameters)
    step = 0
    for epoch in range(1000):
        for minibatch in problem.minibatches(epoch):

            def closure(minibatch: Any = minibatch) -> Tensor:
                optimizer.zero_grad()
                loss = problem.loss(minibatch)
                loss.backward()
                return loss.detach()

            torch.manual_seed(stream(spec.seed, f"step/{step}"))
            yield float(optimizer.step(closure))
            step += 1


# ---------------------------------------------------------------- plain


class Pictures(Dataset):
    """CIFAR-10 as PIL images, cropped and flipped one by one, as the draws of `popview.tasks.images` say."""

    def __init__(self, problem: images.Images) -> None:
        from PIL import Image

        pixels, self.labels = problem._train
        self.pictures = [Image.fromarray(p) for p in pixels.numpy()]
        self.mean, self.deviation = problem._mean[0, 0].tolist(), problem._deviation[0, 0].tolist()
        draws = generator(problem.seeds["order"], "order/0")
        order = torch.randperm(len(self.labels), generator=draws)
        self.drawn = []
        for step in range(problem.steps_per_epoch):
            rows, size = order[step * problem.batch_size :][: problem.batch_size], (problem.batch_size, 1)
            top, left = (torch.randint(0, 9, size, generator=draws) for _ in range(2))
            flipped = torch.rand(size, generator=draws) < 0.5
            self.drawn += zip(*(t.flatten().tolist() for t in (rows, top, left, flipped)), strict=True)

    def __len__(self) -> int:
        return len(self.drawn)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        from torchvision.transforms import functional

        row, top, left, flipped = self.drawn[index]
        picture = functional.crop(functional.pad(self.pictures[row], 4), top, left, 32, 32)
        picture = functional.hflip(picture) if flipped else picture
        return functional.normalize(functional.to_tensor(picture), self.mean, self.deviation), self.labels[row]


class Sentences(Dataset):
    """TweetEval as token ids."""

    def __init__(self, problem: Any) -> None:
        self.texts, self.rows = problem._rest, problem._train

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row = self.rows[index]
        tokens = self.texts.tokens[self.texts.starts[row] : self.texts.starts[row + 1]]
        return torch.from_numpy(np.array(tokens)).long(), int(self.texts.labels[row])


def padded(examples: list[tuple[Tensor, int]]) -> tuple[dict[str, Tensor], Tensor]:
    ids = torch.nn.utils.rnn.pad_sequence([tokens for tokens, _ in examples], batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(t) for t, _ in examples], batch_first=True)
    return {"input_ids": ids, "attention_mask": mask}, torch.tensor([label for _, label in examples])


def loader_of(case: str, problem: Any, same_batches: bool, workers: int) -> DataLoader:
    """Return batches of the first epoch: our own, or for texts such as a DataLoader draws."""
    if CASES[case][0] == "cifar10":
        return DataLoader(Pictures(problem), problem.batch_size, drop_last=True, num_workers=workers)
    data, size = Sentences(problem), problem.batch_size
    if not same_batches:
        return DataLoader(data, size, shuffle=True, drop_last=True, collate_fn=padded, num_workers=workers)
    place = {int(row): i for i, row in enumerate(problem._train)}
    rows: list[np.ndarray] = []
    problem._batch = lambda _, chosen: rows.append(chosen)
    list(problem.minibatches(0))
    return DataLoader(data, batch_sampler=[[place[int(r)] for r in chosen] for chosen in rows], collate_fn=padded)


def plain(case: str, same_batches: bool, workers: int) -> Iterator[float]:
    """Yield the loss of each step, trained as a tutorial would."""
    spec = spec_of(case)
    frozen = CASES[case][1].get("frozen", 0)
    images_given = CASES[case][0] == "cifar10"
    problem = problem_of(case, "float32", **({"compiled": False} if images_given else {"frozen": 0}))
    model = problem.network.to(memory_format=torch.contiguous_format)
    below = [model.bert.embeddings, *model.bert.encoder.layer[:frozen]] if frozen else []
    for module in below:
        module.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], **spec.hyperparameters)
    loader, step = loader_of(case, problem, same_batches, workers), 0
    model.train()
    for module in below:
        module.eval()
    while True:
        for inputs, labels in loader:
            torch.manual_seed(stream(spec.seed, f"step/{step}"))
            optimizer.zero_grad()
            logits = model(inputs) if images_given else model(**inputs).logits
            loss = torch.nn.functional.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            yield loss.item()
            step += 1


# ---------------------------------------------------------------- measuring


def child(case: str, way: str, loaders: int) -> None:
    """Warm up, say so, wait for the word, take the steps, and tell the seconds or the losses as JSON."""
    torch.set_num_threads(2 if way.startswith("plain") else 1)
    compared = way.endswith("losses")
    if way.startswith("plain"):
        steps = plain(case, compared, loaders)
    else:
        steps = ours(case, "float32" if "float32" in way else "bfloat16")
    if compared:
        print(json.dumps([next(steps) for _ in range(COMPARED)]))
        return
    for _ in range(WARM):
        next(steps)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    for _ in range(STEPS[case]):
        next(steps)
    print(json.dumps(time.perf_counter() - began))
    os._exit(0)  # the loader's processes need no farewell


def begin(case: str, way: str, loaders: int) -> subprocess.Popen[str]:
    threads = "2" if way.startswith("plain") else "1"
    words = [sys.executable, __file__, "--child", way, "--tasks", case, "--loaders", str(loaders)]
    own = {} if way.startswith("plain") else processes.HUGE_PAGES
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false", **own}
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def rate(case: str, way: str, count: int, loaders: int) -> float:
    """Return examples per second of `count` processes at once."""
    begun = [begin(case, way, loaders) for _ in range(count)]
    for process in begun:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in begun:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [json.loads(process.communicate()[0]) for process in begun]
    return sum(STEPS[case] * spec_of(case).model["batch_size"] / seconds for seconds in taken)


def losses(case: str, way: str) -> np.ndarray:
    return np.array(json.loads(begin(case, f"{way} losses", 0).communicate()[0]))


def spread(values: list[float], digits: str = ".0f") -> str:
    """Write the median and the range."""
    return f"{statistics.median(values):{digits}} ({min(values):{digits}}–{max(values):{digits}})"


def main(
    repeats: int = 5, tasks: list[str] | None = None, child_of: str = typer.Option("", "--child"), loaders: int = 0
) -> None:
    """Print the tables as Markdown."""
    tasks = tasks or list(CASES)
    if child_of:
        child(tasks[0], child_of, loaders)
        return
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}; ", end="")
    print(f"torch {torch.__version__.split('+')[0]}; {repeats} repeats\n")
    rates: dict[str, dict[str, list[float]]] = {case: {"plain": [], "ours": []} for case in tasks}
    for _ in range(repeats):
        for case in tasks:
            rates[case]["plain"].append(rate(case, "plain", 1, loaders))
            rates[case]["ours"].append(rate(case, "ours", 2, loaders))
    print("| task | plain, examples a second | ours | ours / plain |\n|---|---|---|---|")
    met = True
    for case, found in rates.items():
        ratios = [o / p for o, p in zip(found["ours"], found["plain"], strict=True)]
        met &= statistics.median(ratios) >= REQUIRED.get(case, 0)
        print(f"| {case} | {spread(found['plain'])} | {spread(found['ours'])} | {spread(ratios, '.2f')} × |")
    print("\nLosses of the first steps on the same batches.\n")
    for case in tasks:
        reference = losses(case, "plain")
        print(f"| {case} | {' | '.join(map(str, range(1, COMPARED + 1)))} | difference |\n|{'---|' * (COMPARED + 2)}")
        for way in ("plain", "ours, float32", "ours"):
            found = reference if way == "plain" else losses(case, way)
            difference = np.abs(found - reference) / reference
            met &= bool(difference.max() < 1e-3 if way == "ours, float32" else difference.mean() < 2**-7)
            summary = f"mean {difference.mean():.1e}, largest {difference.max():.1e}"
            print(f"| {way} | {' | '.join(f'{value:.4f}' for value in found)} | {summary} |")
        print()
    raise typer.Exit(0 if met else 1)


if __name__ == "__main__":
    typer.run(main)
