"""Tasks on texts: tokenised once, batched by length, classified by a BERT of any size."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from popview.common.errors import UsageError
from popview.common.processes import one_thread
from popview.common.seeds import SOURCES, generator, seed_of, stream
from popview.tasks import array_cache, corruptions, hub
from popview.tasks.bert import classifier, tokenizer, vocabulary
from popview.tasks.catalogue import Task, checksums
from popview.tasks.sizes import Sizes, sample_sizes
from popview.tasks.supervised import (
    Batch,
    Supervised,
    autocast,
    check_labels,
    draw_fixed,
    draw_split,
    labels_of,
    one_seed,
    sample_with_every_label,
    steps_of,
    supported_precision,
    with_missing_labels,
)

EVALUATED_AT_ONCE = 100  # texts per forward pass in evaluation
SORTED_AT_ONCE = 50  # minibatches whose texts are sorted by length together
MEASURED = 64  # texts on which flatness is measured
CORRUPTED = 200  # texts of the test sample that are corrupted
PROCESSOR = torch.device("cpu")  # frozen layers are computed there, once


class Encoded(NamedTuple):
    """Many texts in a row: what stands for each token, where each text starts (one more than texts), the labels."""

    tokens: np.ndarray
    starts: np.ndarray
    labels: np.ndarray


class Texts(Supervised):
    """A text classifier on BERT, measured by macro-F1.

    Parameters
    ----------
    seeds : sequence of int
        Exactly one.
    data, config : str
        Hub name and configuration of the data set.
    label : tuple of str
        Names that the column of labels may have.
    multilabel : bool
        Whether a text may have several labels.
    classes : int
    model : str
        A BERT of `transformers`: a package's, a folder, or a Hub name.
    pretrained : bool
        Whether to load its weights; else they are drawn at random and only its configuration is read.
    frozen : int
        Layers of the encoder, from below and with the embeddings, that are not trained: their outputs are computed
        once, without dropout, and cached as float16.
    length : int
        Tokens after which a text is cut.
    train, validation : int
        Sizes of the splits drawn by the seed from the data set's own train and validation rows together.
    fixed_validation : bool
        Whether the validation split is the first part of the data set's own, in one order for every seed, and evaluated
        whole; the seeds then draw from the other rows only.
    base_rates : bool
        Whether the head's biases start at the logits of the labels' rates in the train split, as Lin et al. 2017
        (arXiv 1708.02002, section 3.3) propose for rare classes; else at zero.
    evaluated, tested : int
        Sizes of the samples evaluated at checkpoints: of the train and validation splits, and of the test split.
    batch_size : int
    precision : str
        See `Supervised`.
    curvature : bool
        Whether the Hessian's top eigenvalue and trace are measured at the end of each trajectory: a minute for the two
        upper layers of MiniLM-L6, three for all six, by one core.
    fixed_seeds : mapping of str to int, optional
        See `popview.common.seeds.seed_of`.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        *,
        data: str,
        config: str,
        label: tuple[str, ...],
        multilabel: bool,
        classes: int,
        model: str,
        pretrained: bool = True,
        frozen: int = 0,
        length: int = 64,
        train: int,
        validation: int,
        fixed_validation: bool = False,
        base_rates: bool = False,
        evaluated: int = 200,
        tested: int = 700,
        batch_size: int = 32,
        precision: str = "bfloat16",
        curvature: bool = False,
        fixed_seeds: Mapping[str, int] | None = None,
    ) -> None:
        self.batch_size, self.length, self.curvature = batch_size, length, curvature
        self.seeds = {source: seed_of(source, one_seed(seeds), fixed_seeds) for source in SOURCES}
        self.data, self.config, self.label, self.model = data, config, label, model
        self.classes, self.multilabel = classes, multilabel
        network = classifier(
            model, classes, multilabel, pretrained, stream(self.seeds["initialisation"], "initialisation")
        )
        layers = network.bert.encoder.layer
        if not 0 <= frozen <= len(layers):
            raise UsageError(f"frozen must be between 0 and {len(layers)} (layers of {model}), got {frozen!r}")
        if frozen and not pretrained:
            raise UsageError("frozen layers need pretrained = true: random ones are nothing to keep")
        self.frozen = frozen
        self._precision_below = supported_precision(precision, PROCESSOR)
        self.name = f"{hub.name_of(data, config)}-{model.replace('/', '--')}-{vocabulary(model)}-{length}"
        arrays = hub.checked_arrays(self.name, self._decoded, checksums(data, config))
        for split in ("train", "test"):
            check_labels(arrays[f"{split}_labels"], classes)
        self._test_texts = arrays["test_texts"]
        encoded = {s: Encoded(*(arrays[f"{s}_{field}"] for field in Encoded._fields)) for s in ("train", "test")}
        self._rest, self._test = self._below(network.bert, self.name, encoded).values()
        if frozen:
            network.bert.encoder.layer = layers[frozen:]
            network.bert.embeddings = Given()
        super().__init__(network, multilabel=multilabel, macro=True, precision=precision)
        number = len(self._rest.labels)
        if fixed_validation:
            own = np.arange(number - int(arrays["validation_rows"]), number)
            rows = draw_fixed(number, own, train, validation, self.seeds["split"])
        else:
            rows = draw_split(number, train, validation, self.seeds["split"])
        self._train = rows["train"]
        if base_rates:
            with torch.no_grad():
                network.classifier.bias.copy_(logits_of_base_rates(self._rest.labels[self._train], classes))
        validated = with_missing_labels(self._rest.labels, rows["validation"], rows["rest"])
        order = torch.randperm(len(self._test.labels), generator=generator(0, "test")).numpy()
        sizes = sample_sizes(
            train=train, validation=validation, test=len(order), evaluated=evaluated, tested=tested,
            fixed_validation=fixed_validation,
        )  # fmt: skip
        self._samples = {
            split: chosen[sample_with_every_label(source.labels[chosen], sizes[split])]
            for split, source, chosen in (
                ("train", self._rest, rows["train"]),
                ("validation", self._rest, validated),
                ("test", self._test, order),
            )
        }
        self.steps_per_epoch = steps_of(train, batch_size)

    @classmethod
    def sizes(cls, task: Task, model: Mapping[str, Any]) -> Sizes:
        """Return how many texts a run evaluates and measures."""
        known = super().sizes(task, model)
        measured = min(MEASURED, known.train)
        return known._replace(
            clean=min(CORRUPTED, known.test),
            corruptions=len(corruptions.TEXT_CORRUPTIONS),
            measured=measured,
            curved=measured if model["curvature"] else 0,
            inputs=min(MEASURED, known.test),
        )

    # ---------------------------------------------------------------- data

    def _decoded(self) -> dict[str, np.ndarray]:
        """Return token ids, starts and labels of both splits, the texts of the test split, and how many of the train
        split's rows, its last, the data set keeps for validation."""
        rows = hub.load_data(self.data, self.config)
        found = {}
        for split, sources in (("train", ("train", "validation")), ("test", ("test",))):
            parts = [hub.split_of(rows, source) for source in sources]
            texts = [text for part in parts for text in hub.values(part, ("text",))]
            if split == "train":
                found["validation_rows"] = np.array(len(parts[-1]))
            others = {type(text).__name__ for text in texts if not isinstance(text, str)}
            if others:
                raise UsageError(f"column text of data set {self.data} ({self.config}) holds {', '.join(others)}")
            found[f"{split}_tokens"], found[f"{split}_starts"] = self._encode(texts)
            labels = [value for part in parts for value in hub.values(part, self.label)]
            try:
                found[f"{split}_labels"] = self._table(labels)
            except (TypeError, ValueError) as error:
                raise UsageError(f"labels of data set {self.data} ({self.config}) cannot be read: {error}") from error
        return found | {"test_texts": np.array(texts)}

    def _table(self, labels: list[Any]) -> np.ndarray:
        """Return labels as whole numbers ``(n,)``, or lists of them as 0 and 1 of shape ``(n, classes)``."""
        if not self.multilabel:
            return np.asarray(labels, dtype=np.int64)
        rows = np.repeat(np.arange(len(labels)), [len(present) for present in labels])
        columns = np.concatenate([np.asarray(present, dtype=np.int64) for present in labels])
        check_labels(columns, self.classes)
        table = np.zeros((len(labels), self.classes), dtype=np.float32)
        table[rows, columns] = 1
        return table

    def _encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return token ids and starts."""
        ids = tokenizer(self.model)(list(texts), truncation=True, max_length=self.length)["input_ids"]
        return np.concatenate([np.asarray(i, dtype=np.int32) for i in ids]), np.cumsum([0, *map(len, ids)])

    @torch.no_grad()
    def _below(self, bert: Any, name: str, texts: dict[str, Encoded]) -> dict[str, Encoded]:
        """Return texts as what enters the trained layers: token ids, or what the frozen layers make of them."""
        if not self.frozen:
            return texts

        @one_thread()
        def make() -> dict[str, np.ndarray]:
            upper, bert.encoder.layer = bert.encoder.layer, bert.encoder.layer[: self.frozen]
            bert.eval()
            found = {}
            for split, encoded in texts.items():
                states = np.empty((len(encoded.tokens), bert.config.hidden_size), dtype=np.float16)
                lengths = np.diff(encoded.starts)
                for rows in np.array_split(np.argsort(lengths, kind="stable"), max(1, len(lengths) // 100)):
                    ids, mask = _padded(encoded, rows)
                    with autocast(self._precision_below, PROCESSOR):
                        out = bert(input_ids=ids.long(), attention_mask=mask).last_hidden_state.half().numpy()
                    for i, row in zip(rows, out, strict=True):
                        states[encoded.starts[i] : encoded.starts[i + 1]] = row[: lengths[i]]
                found[split] = states
            bert.encoder.layer = upper
            return found

        with one_thread():  # sums in another order round otherwise
            weights = array_cache.array_digest(np.array([p.double().sum().item() for p in bert.parameters()]))[:12]
        made = array_cache.array_digest(np.array([torch.__version__, version("transformers")]))[:12]
        states = array_cache.arrays(f"{name}-below-{self.frozen}-{self._precision_below}-{weights}-{made}", make)
        return {split: encoded._replace(tokens=states[split]) for split, encoded in texts.items()}

    def _batch(self, texts: Encoded, rows: np.ndarray) -> Batch:
        """Return some texts, padded to the longest."""
        tokens, mask = _padded(texts, rows)
        inputs = {"inputs_embeds": tokens.float()} if self.frozen else {"input_ids": tokens.long()}
        return {**inputs, "attention_mask": mask}, torch.from_numpy(np.array(texts.labels[rows]))

    def _batches(self, texts: Encoded, rows: np.ndarray) -> list[Batch]:
        """Return some texts in batches of like length (so in another order)."""
        ordered = by_length(texts, rows)
        return [self._batch(texts, part) for part in np.array_split(ordered, max(1, len(rows) // EVALUATED_AT_ONCE))]

    def minibatches(self, epoch: int) -> Iterator[Batch]:
        """Yield texts of like length together, in an order drawn by the seed; what does not fill a batch is left out.

        Fifty minibatches' texts at a time are sorted by length; the batches made of them then come in random order.
        """
        draws = generator(self.seeds["order"], f"order/{epoch}")
        lengths, size = np.diff(self._rest.starts), self.batch_size
        order = self._train[torch.randperm(len(self._train), generator=draws).numpy()][: self.steps_per_epoch * size]
        batches = []
        for start in range(0, len(order), SORTED_AT_ONCE * size):
            pool = order[start : start + SORTED_AT_ONCE * size]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[i : i + size] for i in range(0, len(pool), size)]
        for step in torch.randperm(len(batches), generator=draws).tolist():
            yield self._batch(self._rest, batches[step])

    # ---------------------------------------------------------------- what Supervised asks for

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the logits of a padded batch."""
        return self.network(**{name: given.to(self.device) for name, given in inputs.items()}).logits

    def sample(self, split: str) -> list[Batch]:
        """Return the fixed sample of a split."""
        return self._batched_samples[split]

    @cached_property
    def _batched_samples(self) -> dict[str, list[Batch]]:
        return {s: self._batches(self._test if s == "test" else self._rest, r) for s, r in self._samples.items()}

    def test_batches(self) -> list[Batch]:
        """Return the whole test split, in batches of like length."""
        return self._batches(self._test, np.arange(len(self._test.labels)))

    def sample_rows(self) -> np.ndarray:
        """Return the row of the test split of each text of the test sample, which is evaluated by length."""
        return by_length(self._test, self._samples["test"])

    def test_order(self) -> np.ndarray:
        """Return the row of the test split of each text of `test_batches`."""
        return by_length(self._test, np.arange(len(self._test.labels)))

    def statistics_batches(self) -> Iterator[Tensor]:
        """Yield nothing: BERT has no BatchNorm."""
        return iter(())

    def measured(self) -> Batch:
        """Return the first 64 texts of the training sample."""
        return self._batch(self._rest, self._samples["train"][:MEASURED])

    def curvature_loss(self) -> Tensor:
        """Return the loss on the same texts with attention in plain products: fused, it cannot be derived twice."""
        with sdpa_kernel(SDPBackend.MATH):
            return self.sample_loss()

    def differentiable(self) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
        """Return the network as a function of what enters its trained layers, and 64 test texts."""
        inputs, labels = self._batch(self._test, self._samples["test"][:MEASURED])
        if self.frozen:
            embedded = inputs["inputs_embeds"]
        else:
            embedded = self.network.get_input_embeddings()(inputs["input_ids"].to(self.device))
        mask = inputs["attention_mask"]
        return lambda given: self.forward({"inputs_embeds": given, "attention_mask": mask}), embedded.detach(), labels

    def corrupted(self, whole: bool = False) -> dict[str, list[Tensor]]:
        """Return the macro-F1 on the first 200 texts of the test sample, or on the whole test split, as they are and
        under each corruption."""
        rows = np.arange(len(self._test.labels)) if whole else self._samples["test"][:CORRUPTED]
        texts, labels = [str(text) for text in self._test_texts[rows]], np.array(self._test.labels[rows])
        severities = corruptions.WHOLE_SEVERITIES if whole else corruptions.SEVERITIES
        pairs = [(name, severity) for name in corruptions.TEXT_CORRUPTIONS for severity in severities]

        def make() -> dict[str, np.ndarray]:
            found = {}
            for corruption, severity in pairs:
                key = f"{corruption}-{severity}"
                noisy = corruptions.corrupt_texts(texts, corruption, severity, seed=0)
                found[f"{key}_tokens"], found[f"{key}_starts"] = self._encode(noisy)
            return found

        name = f"{self.name}-corrupted-{corruptions.version()}-{array_cache.array_digest(np.array(texts))[:12]}"
        kept = array_cache.arrays(name, make)
        keys = [f"{corruption}-{severity}" for corruption, severity in pairs]
        encoded = {key: Encoded(kept[f"{key}_tokens"], kept[f"{key}_starts"], labels) for key in keys}
        encoder = classifier(self.model, self.classes, self.multilabel, True, 0).bert if self.frozen else None
        noisy = [self._batches(part, np.arange(len(rows))) for part in self._below(encoder, name, encoded).values()]
        found: dict[str, list[Tensor]] = {"clean": [], **{corruption: [] for corruption, _ in pairs}}
        for (key, _), batches in zip([("clean", 0), *pairs], [self._batches(self._test, rows), *noisy], strict=True):
            found[key].append(self._score(self.predict(batches), labels_of(batches))[1])
        return found


class Given(nn.Module):
    """Stands in for BERT's embeddings where what they and the frozen layers give is at hand."""

    def forward(self, inputs_embeds: Tensor, **_: Any) -> Tensor:
        """Return the states unchanged."""
        return inputs_embeds


def logits_of_base_rates(labels: np.ndarray, classes: int) -> Tensor:
    """Return the outputs that predict each label's rate, of labels of either form; half an example is added to each.

    >>> logits_of_base_rates(np.array([0, 0, 0, 1]), 2).softmax(0)
    tensor([0.7000, 0.3000])
    """
    table = labels if labels.ndim == 2 else np.eye(classes)[labels]
    counts = torch.tensor(table.sum(0) + 0.5, dtype=torch.float32)
    rest = torch.tensor(len(table) - table.sum(0) + 0.5, dtype=torch.float32)
    return (counts / rest).log() if labels.ndim == 2 else (counts / counts.sum()).log()


def by_length(texts: Encoded, rows: np.ndarray) -> np.ndarray:
    """Return rows in the order of their texts' lengths."""
    return rows[np.argsort(np.diff(texts.starts)[rows], kind="stable")]


def _padded(texts: Encoded, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return the tokens of some texts, padded with zeros to the longest, and the mask of what is text."""
    parts = [torch.from_numpy(np.array(texts.tokens[texts.starts[i] : texts.starts[i + 1]])) for i in rows]
    mask = nn.utils.rnn.pad_sequence([torch.ones(len(part), dtype=torch.int64) for part in parts], batch_first=True)
    return nn.utils.rnn.pad_sequence(parts, batch_first=True), mask
