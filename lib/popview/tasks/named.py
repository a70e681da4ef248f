"""A reader's own task: a function ``module:function`` that makes it for a seed, and one made of two data sets."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from popview.common.errors import UsageError, reason_of
from popview.common.named_code import imported_object
from popview.common.seeds import generator, seed_torch, stream
from popview.tasks.problem import Problem
from popview.tasks.supervised import Batch, Supervised, draw_split, steps_of


def named_problem(name: str, seed: int) -> Problem:
    """Import the function that somebody has named, and let it make its task for a restart's seed.

    Torch's global random numbers are drawn by that seed within the function: so is a network's initialisation.

    Parameters
    ----------
    name : str
        ``module:function``; the function takes the seed.
    seed : int

    Raises
    ------
    UsageError
        If there is none of that name, it fails, or what it returns is no `Problem` of one restart.
    """
    make = imported_object(name)
    with torch.random.fork_rng([]):
        seed_torch(stream(seed, "initialisation"))
        try:
            made = make(seed)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(f"{name} failed for seed {seed}: {type(error).__name__}: {reason_of(error)}") from error
    if not isinstance(made, Problem):
        raise UsageError(f"{name} must return a popview.tasks.problem.Problem, it returned a {type(made).__name__}")
    if made.population and any(p.shape[:1] != (1,) for p in made.parameters):
        raise UsageError(f"{name} must return one restart: dimension 0 of its parameters has length 1")
    return made


class DatasetProblem(Supervised):
    """A classifier of one's own on data of one's own.

    Parameters
    ----------
    network : Module
        Inputs ``(n, …)`` → logits ``(n, classes)``.
    train, test : Dataset
        Pairs of an input and the number of its class. Each item is read once, so that a random transformation is drawn
        once.
    seed : int
        Of the restart: draws the validation split and the order of the minibatches.
    validation : float
        Share of the training data that is kept for validation.
    batch_size : int
    macro : bool
        Whether the metric is the macro-averaged F1; else accuracy.

    Raises
    ------
    UsageError
        If there is no whole minibatch, or validation keeps no row or all.

    Examples
    --------
    >>> import torch
    >>> from popview.tasks.named import DatasetProblem
    >>> data = torch.utils.data.TensorDataset(torch.eye(10), torch.arange(10) % 2)
    >>> task = DatasetProblem(torch.nn.Linear(10, 2), data, data, seed=0, batch_size=4)
    >>> task.steps_per_epoch, task.logits("validation").shape
    (2, torch.Size([1, 2, 2]))
    """

    def __init__(
        self,
        network: nn.Module,
        train: Dataset,
        test: Dataset,
        seed: int,
        *,
        validation: float = 0.2,
        batch_size: int = 50,
        macro: bool = False,
    ) -> None:
        super().__init__(network, multilabel=False, macro=macro, precision="float32")
        inputs, labels = _whole(train)
        kept = round(validation * len(labels)) if 0 < validation < 1 else 0
        if not 0 < kept < len(labels):
            raise UsageError(f"validation must keep a part of the {len(labels)} training rows, got {validation}")
        rows = draw_split(len(labels), len(labels) - kept, kept, seed)
        self._splits = {split: (inputs[rows[split]], labels[rows[split]]) for split in ("train", "validation")}
        self._splits["test"] = _whole(test)
        self.seed, self.batch_size = seed, batch_size
        self.steps_per_epoch = steps_of(len(labels) - kept, batch_size)

    def minibatches(self, epoch: int) -> Iterator[Batch]:
        """Yield inputs and labels in the seed's order; what does not fill a batch is left out."""
        inputs, labels = self._splits["train"]
        order = torch.randperm(len(labels), generator=generator(self.seed, f"order/{epoch}"))
        for step in range(self.steps_per_epoch):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield inputs[rows], labels[rows]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits."""
        return self.network(inputs.to(self.device))

    def sample(self, split: str) -> Sequence[Batch]:  # type: ignore[override]
        """Return a split, whole."""
        inputs, labels = self._splits[split]
        return [*zip(inputs.split(1000), labels.split(1000), strict=True)]

    def test_batches(self) -> list[Batch]:
        """Return the test split."""
        return [*self.sample("test")]

    def statistics_batches(self) -> Iterator[Tensor]:
        """Yield the training inputs."""
        yield from self._splits["train"][0].split(self.batch_size)

    def measured(self) -> Batch:
        """Return at most 1,000 training examples."""
        return self.sample("train")[0]

    def differentiable(self) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
        """Return the network, and at most 1,000 test examples."""
        inputs, labels = self.sample("test")[0]
        return self.forward, inputs.clone(), labels


def _whole(data: Any) -> tuple[Tensor, Tensor]:
    inputs, labels = default_collate([data[place] for place in range(len(data))])
    return inputs.float(), labels.long()
