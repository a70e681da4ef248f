"""Floating-point operations of one example of a task, counted on its real network.

No data set, no weights and no network connection are needed: torch's FlopCounterMode counts on a network without memory
behind it (torch's meta device). It counts matrix products and convolutions, two operations for each multiplication with
its addition, and neither normalisation nor activations.
"""

import inspect
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from popview.common.errors import UsageError
from popview.tasks import digits, hub, images, networks, texts
from popview.tasks.catalogue import RECORDS
from popview.tasks.setup import TASKS
from popview.tasks.sizes import Sizes

#: Vocabularies of models that cannot be had everywhere; 12 layers, 12 heads, 768 and 3,072 wide (Devlin et al. 2019,
#: BERT-base) are the defaults of `transformers.BertConfig`.
BERT_BASE = {"bert-base-cased": 28_996, "bert-base-uncased": 30_522}


class Example(NamedTuple):
    """What one example costs: FLOPs of a forward pass, of forward and backward, of the frozen layers; and the model.

    `below` is a forward pass through the frozen layers, once for all runs. `bytes` are those of the trained parameters
    and the buffers; `normalized` says whether there are BatchNorm statistics.
    """

    forward: float
    gradient: float
    below: float
    bytes: int
    normalized: bool


def network(task: str, model: dict[str, Any]) -> nn.Module:
    """Return the network of a task with random weights, on torch's default device; attention in plain products.

    Parameters
    ----------
    task : str
        Any but `digits`, which has no module.
    model : dict
        As in the profile.

    Raises
    ------
    UsageError
        If the model is unknown, or its configuration is not on this machine.
    """
    given = model_settings(task, model)
    if kind(task) is images.Images:
        places = given["network"], RECORDS[task].shape, given["classes"], given["width"]
        return networks.make_network(*places, batch_norm=given["batch_norm"], dropout=given["dropout"])
    from transformers import BertConfig, BertForSequenceClassification

    options: dict[str, Any] = {"num_labels": given["classes"], "attn_implementation": "eager"}
    name = given["model"]
    if name in BERT_BASE:
        return BertForSequenceClassification(BertConfig(vocab_size=BERT_BASE[name], **options))
    file = Path(hub.model_folder(name)) / "config.json"
    if not file.is_file():
        known = ", ".join(BERT_BASE)
        raise UsageError(f"no configuration of model {name} in {file.parent}: known without one are {known}")
    return BertForSequenceClassification(BertConfig(**json.loads(file.read_text("utf-8")) | options))


def example(task: str, model: dict[str, Any]) -> Example:
    """Count what one example of a task costs; a text has the length at which the profile cuts it (see `usual`).

    Raises
    ------
    UsageError
        As `network`, or if a setting of the model is unknown.
    """
    return _example(task, json.dumps(model, sort_keys=True))


def run_sizes(task: str, model: dict[str, Any]) -> Sizes:
    """Return how many examples a run of a task evaluates and measures.

    Raises
    ------
    UsageError
        As `model_settings`.
    """
    return kind(task).sizes(RECORDS[task], model_settings(task, model))


def usual(task: str, model: dict[str, Any]) -> dict[str, Any]:
    """Return a task's model with the length of its texts as they usually are in their batches, not as they may be."""
    tokens = RECORDS[task].tokens
    return model | {"length": min(tokens, model_settings(task, model)["length"])} if tokens else model


@cache
def _example(task: str, model_text: str) -> Example:
    model = json.loads(model_text)
    given = model_settings(task, model)
    if task == "digits":
        problem = digits.Digits([0], **{name: given[name] for name in ("hidden", "batch_size", "batch_norm")})
        minibatch = next(problem.minibatches(0))
        forward, gradient = _flops(lambda: problem.loss(minibatch).sum())
        weights = sum(t.numel() * t.element_size() for t in [*problem.parameters, *problem.buffers])
        return Example(forward / given["batch_size"], gradient / given["batch_size"], 0, weights, given["batch_norm"])
    with torch.device("meta"):
        built: Any = network(task, model)
        below = 0.0
        if kind(task) is images.Images:
            inputs = torch.empty(2, *RECORDS[task].shape)
            forward, gradient = _flops(lambda: built(inputs).sum())
        else:
            tokens = {"input_ids": torch.zeros(2, given["length"], dtype=torch.long)}
            if given["frozen"]:
                whole, _ = _flops(lambda: built(**tokens).logits.sum())
                built.bert.encoder.layer = built.bert.encoder.layer[given["frozen"] :]
                built.bert.embeddings = texts.Given()
                tokens = {"inputs_embeds": torch.empty(2, given["length"], built.config.hidden_size)}
            forward, gradient = _flops(lambda: built(**tokens).logits.sum())
            below = (whole - forward) / 2 if given["frozen"] else 0.0
    weights = sum(t.numel() * t.element_size() for t in [*built.parameters(), *built.buffers()])
    normalized = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in built.modules())
    return Example(forward / 2, gradient / 2, below, weights, normalized)


def _flops(loss: Callable[[], torch.Tensor]) -> tuple[float, float]:
    """Return the FLOPs of computing a loss, and of computing it and its gradient."""
    with FlopCounterMode(display=False) as counter:
        computed = loss()
        forward = counter.get_total_flops()
        computed.backward()
        return forward, counter.get_total_flops()


def kind(task: str) -> Any:
    """Return the class behind a task's name."""
    return TASKS[task].func


def model_settings(task: str, model: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a task's model with the defaults of those that the profile leaves out.

    Raises
    ------
    UsageError
        If a setting is unknown, or one without a default is missing.
    """
    try:
        bound = inspect.signature(TASKS[task]).bind([0], **model)
    except TypeError as error:
        raise UsageError(f"model of {task}: {error}") from error
    bound.apply_defaults()
    return bound.arguments
