"""Measure the base ε of a task: the 10 % quantile of SGD's minibatch gradient norms over the first epoch.

The number goes into the profile by hand, so that a reader can check it; this script is where it comes from. It also
prints the quantiles of the last epoch, to show how often ‖g‖ < ε can hold later.

    python benchmarks/first_epoch_gradient_norms.py --task digits --profile laptop
"""

import torch
import typer

from popview.optimizers import SGD, models
from popview.specs import expand
from popview.tasks import TASKS


def main(task: str = "digits", profile: str = "laptop") -> None:
    """Print quantiles of ‖g‖ over the minibatches of the first and of the last epoch."""
    spec = expand(profile, task, algorithms=("SGD",))[0]
    problem = TASKS[task](spec.seeds, **spec.model)
    optimizer = SGD(problem.parameters, population=True, **spec.hyperparameters)
    norms = []
    for epoch in range(spec.epochs):
        for minibatch in problem.minibatches(epoch):

            def closure(minibatch=minibatch):
                optimizer.zero_grad()
                losses = problem.loss(minibatch)
                losses.sum().backward()
                return losses.detach()

            optimizer.step(closure)
            norms.append(models.norm([p.grad for p in problem.parameters]))
    for name, part in (("first", norms[: problem.steps_per_epoch]), ("last", norms[-problem.steps_per_epoch :])):
        levels = torch.tensor([0.01, 0.1, 0.5, 0.9])
        quantiles = torch.stack(part).flatten().quantile(levels)
        print(f"{task}, {profile}, {spec.restarts} restarts, {name} epoch:", end=" ")
        print(", ".join(f"{level:.0%} quantile {q:.4f}" for level, q in zip(levels, quantiles, strict=True)))


if __name__ == "__main__":
    typer.run(main)
