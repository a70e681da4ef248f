"""BERT of any size as `transformers` loads it: its tokenizer, and a classifier on it."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from popview.common.errors import UsageError, is_out_of_memory, reason_of
from popview.common.files import file_digest
from popview.common.seeds import seed_torch
from popview.tasks import hub

#: What a tokenizer is read from, as far as it is there.
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt")


def tokenizer(model: str) -> Any:
    """Return the tokenizer of a model; UsageError if it cannot be read."""
    from transformers import AutoTokenizer

    found = _from_pretrained(AutoTokenizer, model)
    if len(found) <= len(found.all_special_tokens):
        raise _unreadable(model, "it has no vocabulary")
    return found


def vocabulary(model: str) -> str:
    """Return the first digits of the SHA-256 of a model's tokenizer files; "hub" where they are in no local folder."""
    place = Path(hub.model_folder(model))
    found = [place / name for name in FILES if (place / name).is_file()]
    sums = "".join(f"{file.name} {file_digest(file)}" for file in found)
    return hashlib.sha256(sums.encode()).hexdigest()[:12] if found else "hub"


def classifier(model: str, classes: int, multilabel: bool, pretrained: bool, seed: int) -> Any:
    """Return BERT with a fresh classification head, drawn by the seed; without `pretrained` all of it is.

    Raises
    ------
    UsageError
        If the model cannot be read, is no BERT, or lacks weights of the encoder.
    """
    from transformers import AutoConfig, BertForSequenceClassification

    config = _from_pretrained(AutoConfig, model, num_labels=classes)
    if config.model_type != "bert":
        raise UsageError(f"model {model} is of type {config.model_type}: a BERT is needed")
    config.problem_type = "multi_label_classification" if multilabel else "single_label_classification"
    with torch.random.fork_rng([]):
        seed_torch(seed)
        if not pretrained:
            return BertForSequenceClassification(config)
        how = {"config": config, "dtype": torch.float32, "use_safetensors": True, "output_loading_info": True}
        network, told = _from_pretrained(BertForSequenceClassification, model, **how)
    absent = sorted(key for key in told["missing_keys"] if not key.startswith(("classifier.", "bert.pooler.")))
    if absent:
        raise _unreadable(model, f"it has no weights for {absent[0]}")
    return network


def _from_pretrained(loader: Any, model: str, **options: Any) -> Any:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    place = hub.model_folder(model)
    try:
        return loader.from_pretrained(place, trust_remote_code=False, **options)  # else the terminal would be asked
    except Exception as error:  # of a dozen kinds: of the files, of the network
        if is_out_of_memory(error):
            raise
        raise _unreadable(model, reason_of(error, 160)) from error


def _unreadable(model: str, reason: str) -> UsageError:
    place = hub.model_folder(model)
    where = f"in {place}" if Path(place).is_dir() else "on the Hub"
    return UsageError(f"cannot read model {model} {where}: {reason}; {hub.advice(model, model)}")
