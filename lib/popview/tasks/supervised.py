"""One network trained by minibatches, on images or on texts: precision, losses, metrics and fixed samples."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.optim.swa_utils import update_bn

from popview.common.errors import UsageError
from popview.common.seeds import generator
from popview.tasks.catalogue import Task
from popview.tasks.problem import Problem
from popview.tasks.scores import predictions
from popview.tasks.sizes import Sizes, sample_sizes

Batch = tuple[Any, Tensor]


class Supervised(Problem):
    """A task with one network and one restart, trained on a GPU where there is one.

    Parameters
    ----------
    network : Module
        Its parameters that require gradients are trained.
    multilabel : bool
        Sigmoid and binary cross-entropy for labels of shape ``(n, classes)``; else softmax and cross-entropy.
    macro : bool
        Whether the metric is the macro-averaged F1 (0 where a class is neither present nor predicted); else accuracy.
    precision : {"bfloat16", "float32"}
        Of forward and backward passes. Where the device has no bfloat16 arithmetic, float32 is taken instead.
    label_smoothing : float
        Share of the label that the loss of training spreads over all classes, of one label per example; losses that are
        reported are plain.

    Raises
    ------
    UsageError
        If the precision is unknown.
    """

    population = False

    def __init__(
        self, network: nn.Module, *, multilabel: bool, macro: bool, precision: str, label_smoothing: float = 0.0
    ) -> None:
        self.device = device()
        self.precision = supported_precision(precision, self.device)
        self.network: Any = network.to(self.device)
        self.multilabel, self.macro, self.label_smoothing = multilabel, macro, label_smoothing
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.buffers = list(network.buffers())

    @classmethod
    def sizes(cls, task: Task, model: Mapping[str, Any]) -> Sizes:
        """Return how many examples a run evaluates; of another data set than the task's own no more is known than the
        sample of its test split."""
        names = ("train", "validation", "evaluated", "tested", "fixed_validation")
        found = sample_sizes(test=task.test, **{name: model[name] for name in names})
        own = model["data"] == task.data
        return Sizes(model["train"], **found, whole_test=task.test if own else found["test"])

    @abstractmethod
    def sample(self, split: str) -> list[Batch]:
        """Return the fixed sample of a split, in batches."""

    @abstractmethod
    def forward(self, inputs: Any) -> Tensor:
        """Return the network's logits ``(n, classes)`` for a batch's inputs, which it moves to the network's device."""

    def _autocast(self) -> torch.autocast:
        return autocast(self.precision, self.device)

    def _losses(self, logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the loss of each example, in float32; of a multi-label example, the mean over the labels."""
        labels = labels.to(logits.device)
        if self.multilabel:
            return binary_cross_entropy_with_logits(logits.float(), labels, reduction="none").mean(-1)
        return cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)

    def loss(self, minibatch: Batch) -> Tensor:
        """Return the mean loss on a minibatch in training mode, a scalar with gradients."""
        inputs, labels = minibatch
        self.network.train()
        with self._autocast():
            logits = self.forward(inputs)
        return self._losses(logits, labels, self.label_smoothing).mean()

    @torch.no_grad()
    def predict(self, batches: Sequence[Batch]) -> Tensor:
        """Return the logits on batches in evaluation mode, float32 of shape ``(1, n, classes)``."""
        self.network.eval()
        with self._autocast():
            return torch.cat([self.forward(inputs).float().cpu() for inputs, _ in batches]).unsqueeze(0)

    def logits(self, split: str) -> Tensor:
        """Return the logits on the sample of a split."""
        return self.predict(self.sample(split))

    def score(self, split: str, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean loss and metric of logits on the sample of a split."""
        return self._score(logits, self.sample_labels(split))

    def _score(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        losses = torch.stack([self._losses(row, labels).double().mean() for row in logits])
        return losses, self.metric_of(self.probabilities(logits), labels)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return softmax, or for a multi-label task sigmoid, of the logits."""
        return logits.sigmoid() if self.multilabel else logits.softmax(-1)

    def metric(self, split: str, probabilities: Tensor) -> Tensor:
        """Return accuracy or macro-F1 on the sample of a split."""
        return self.metric_of(probabilities, self.sample_labels(split))

    def sample_labels(self, split: str) -> Tensor:
        """Return the labels of the sample of a split."""
        return labels_of(self.sample(split))

    def metric_of(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """Return accuracy or macro-F1."""
        predicted = predictions(probabilities, self.multilabel)
        if not self.macro:
            return (predicted == labels).double().mean(-1)
        every = {} if self.multilabel else {"labels": np.arange(probabilities.shape[-1])}
        true = labels.numpy().astype(int)
        scores = [f1_score(true, p.numpy().astype(int), average="macro", zero_division=0, **every) for p in predicted]
        return torch.tensor(scores, dtype=torch.float64)

    @abstractmethod
    def test_batches(self) -> list[Batch]:
        """Return the whole test split, in batches."""

    def test_order(self) -> np.ndarray:
        """Return the row of the test split of each example of `test_batches`."""
        return np.arange(sum(len(labels) for _, labels in self.test_batches()))

    def evaluate_whole_test(self) -> tuple[Tensor, Tensor]:
        """Return mean loss and metric on the whole test split."""
        batches = self.test_batches()
        return self._score(self.predict(batches), labels_of(batches))

    @torch.no_grad()
    def whole_test(self) -> tuple[Tensor, Tensor]:
        """Return probabilities ``(1, n, classes)`` and labels on the whole test split, in the data's order."""
        batches = self.test_batches()
        back = np.argsort(self.test_order())
        return self.probabilities(self.predict(batches))[:, back], labels_of(batches)[back]

    def test_labels(self) -> Tensor:
        """Return the labels of the whole test split, in the data's order."""
        return labels_of(self.test_batches())[np.argsort(self.test_order())]

    @abstractmethod
    def statistics_batches(self) -> Iterator[Tensor]:
        """Yield the training inputs from which BatchNorm statistics are recomputed."""

    def recompute_statistics(self) -> None:
        """Recompute the BatchNorm statistics as plain means over training inputs, without augmentation."""
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in self.network.modules()):
            with self._autocast():
                update_bn(self.statistics_batches(), self.network, self.device)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Keep the network in evaluation mode, and a GPU from rounding float32 to TF32, which curvature would see."""
        self.network.eval()
        products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
        before = products.allow_tf32, convolutions.allow_tf32
        products.allow_tf32 = convolutions.allow_tf32 = False
        try:
            yield
        finally:
            products.allow_tf32, convolutions.allow_tf32 = before

    @abstractmethod
    def measured(self) -> Batch:
        """Return the training examples on which flatness is measured, as one batch."""

    def sample_loss(self) -> Tensor:
        """Return the mean loss on `measured`, in float32, a scalar with gradients."""
        inputs, labels = self.measured()
        return self._losses(self.forward(inputs), labels).mean()

    @abstractmethod
    def differentiable(self) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
        """Return a function from inputs to logits, and test inputs and labels to differentiate at."""

    def input_losses(self) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """Return a function from inputs to each example's loss, and the test inputs for it."""
        forward, inputs, labels = self.differentiable()
        return lambda given: self._losses(forward(given), labels), inputs


def device() -> torch.device:
    """Return where networks are trained: the first GPU that this process sees, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def supported_precision(precision: str, on: torch.device) -> str:
    """Return the precision to compute in: bfloat16 only where the device has it, since emulation is slow.

    Raises
    ------
    UsageError
        If it is neither bfloat16 nor float32.
    """
    if precision not in ("bfloat16", "float32"):
        raise UsageError(f"precision must be bfloat16 or float32, got {precision!r}")
    has = torch.cuda.is_bf16_supported(False) if on.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
    return precision if has else "float32"


def autocast(precision: str, on: torch.device) -> torch.autocast:
    """Return the context in which forward passes run in a precision."""
    return torch.autocast(on.type, torch.bfloat16, enabled=precision == "bfloat16")


def labels_of(batches: Sequence[Batch]) -> Tensor:
    """Return the labels of batches in one tensor."""
    return torch.cat([labels for _, labels in batches])


def one_seed(seeds: Sequence[int]) -> int:
    """Return the only seed.

    Raises
    ------
    UsageError
        If there are more: these tasks train one restart a file.
    """
    if len(seeds) != 1:
        raise UsageError(f"this task trains one restart a file, got {len(seeds)}: set stack = 1 in the profile")
    return seeds[0]


def steps_of(train: int, batch_size: int) -> int:
    """Return the minibatches of an epoch; what does not fill one is left out.

    Raises
    ------
    UsageError
        If there is none.
    """
    if batch_size > train:
        raise UsageError(f"batch_size is {batch_size}, above the {train} rows of the train split")
    return train // batch_size


def check_labels(labels: np.ndarray, classes: int) -> None:
    """Raise UsageError unless labels are whole numbers from 0 to `classes` − 1, or a table has that many columns."""
    low, high = (0, labels.shape[1] - 1) if labels.ndim == 2 else (int(labels.min()), int(labels.max()))
    if low < 0 or high >= classes:
        raise UsageError(f"labels must be between 0 and {classes - 1}, the data set has {low} to {high}")


def draw_split(rows: int, train: int, validation: int, seed: int, shared: bool = False) -> dict[str, np.ndarray]:
    """Draw the rows of the train and validation splits from those that are not for testing.

    With `shared` the seed draws only the validation split: the rows of the train split are the same for every seed.
    What neither gets is the ``rest``.

    Raises
    ------
    UsageError
        If there are not so many.
    """
    if train + validation > rows:
        raise UsageError(f"{train} training and {validation} validation examples wanted, the data set has {rows} rows")
    draws = generator(seed, "split")
    if shared:
        common = torch.randperm(rows, generator=generator(0, "training"))
        order = torch.cat([common[:train], common[train:][torch.randperm(rows - train, generator=draws)]]).numpy()
    else:
        order = torch.randperm(rows, generator=draws).numpy()
    both = train + validation
    return {"train": order[:train], "validation": order[train:both], "rest": order[both:]}


def draw_fixed(rows: int, own: np.ndarray, train: int, validation: int, seed: int) -> dict[str, np.ndarray]:
    """Draw the rows of the train split; those of the validation split are the same for every seed and never trained on.

    Parameters
    ----------
    rows : int
        Rows that are not for testing.
    own : array
        Those of them that the data set itself keeps for validation; where there are none, `validation` are drawn, the
        same for every seed.
    train, validation, seed : int

    Returns
    -------
    dict
        As `draw_split`; ``rest`` are further rows that no seed trains on.

    Raises
    ------
    UsageError
        If there are not so many.
    """
    always = generator(0, "validation")
    candidates = own if len(own) else np.arange(rows)
    order = candidates[torch.randperm(len(candidates), generator=always).numpy()]
    kept = order if len(own) else order[:validation]
    pool = np.setdiff1d(np.arange(rows), kept)
    if validation > len(kept) or train > len(pool):
        raise UsageError(
            f"{train} training and {validation} validation examples wanted, "
            f"the data set has {len(pool)} and {len(kept)} for them"
        )
    drawn = torch.randperm(len(pool), generator=generator(seed, "split")).numpy()[:train]
    return {"train": pool[drawn], "validation": kept[:validation], "rest": kept[validation:]}


def _membership(labels: np.ndarray) -> np.ndarray:
    """Return which of the labels that occur each row has, of either form: truth values ``(n, labels)``."""
    return labels.astype(bool) if labels.ndim == 2 else labels[:, None] == np.unique(labels)


def with_missing_labels(labels: np.ndarray, rows: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return `rows`, and after them the first of `rest` with each label that none of them has, where there is one."""
    member = _membership(labels)
    lacking = member[rest][:, ~member[rows].any(0)]
    return np.concatenate([rows, rest[np.unique(lacking[:, lacking.any(0)].argmax(0))]]) if lacking.any() else rows


def sample_with_every_label(labels: np.ndarray, size: int) -> np.ndarray:
    """Return the first `size` rows, but so that every label is present: its first row replaces one of the last.

    Parameters
    ----------
    labels : array
        Whole numbers of shape ``(n,)``, or 0 and 1 of shape ``(n, classes)``; in random order.
    size : int

    Raises
    ------
    UsageError
        If there are more labels than places, or fewer rows.
    """
    member = _membership(labels)
    firsts = np.unique(member.argmax(0)[member.any(0)])
    if not len(firsts) <= size <= len(labels):
        raise UsageError(f"a sample of {size} cannot be drawn from {len(labels)} rows with {member.shape[1]} labels")
    others = np.setdiff1d(np.arange(len(labels)), firsts)[: size - len(firsts)]
    return np.sort(np.concatenate([firsts, others]))
