"""Measure the base ε of a task: the 10 % quantile of SGD's minibatch gradient norms over the first epoch.

The number goes into the profile by hand, so that a reader can check it; this script is where it comes from. It also
prints the norm of the initial weights and, where that many epochs are asked for, the quantiles of the last epoch, to
show how often ‖g‖ < ε can hold later.

    python benchmarks/first_epoch_gradient_norms.py --task cifar10 --profile laptop --epochs 1
"""

from dataclasses import replace

import torch
import typer

from popview.common import processes
from popview.optimizers import tensors
from popview.runs import loop
from popview.runs.expansion import expand
from popview.tasks.setup import set_up


def main(task: str = "digits", profile: str = "laptop", epochs: int = 1) -> None:
    """Print quantiles of ‖g‖ over the minibatches of the first and of the last epoch."""
    processes.keep_pages()
    torch.set_num_threads(1)
    spec = replace(expand(profile, task, algorithms=("SGD",))[0], epochs=epochs)
    problem = set_up(task, spec.seeds, spec.model)
    gradients = list(problem.parameters)
    start = tensors.norm(tensors.members_of([p.detach() for p in gradients], problem.population))
    steps = loop.train(problem, loop.optimizer_of(spec, problem), spec)
    next(steps)  # none is taken yet
    norms = [tensors.norm(tensors.members_of([p.grad for p in gradients], problem.population)) for _ in steps]
    print(f"{task}, {profile}, {spec.restarts} restarts: norm of the initial weights {start.mean():.1f}")
    for name, part in (("first", norms[: problem.steps_per_epoch]), ("last", norms[-problem.steps_per_epoch :])):
        levels = torch.tensor([0.01, 0.1, 0.5, 0.9])
        quantiles = torch.stack(part).flatten().quantile(levels)
        print(f"{name} of {epochs} epochs:", end=" ")
        print(", ".join(f"{level:.0%} quantile {q:.4f}" for level, q in zip(levels, quantiles, strict=True)))


if __name__ == "__main__":
    typer.run(main)
