"""Data sets of a few rows in the Hub's layout, a BERT of two small layers, and tasks set up on them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

IMAGES, TEXTS, MANY = "tiny/images", "tiny/texts", "tiny/many"
CLASSES = 4
WORDS = [f"word{i}" for i in range(40)]


def readme(config: str, splits: list[str]) -> str:
    """Return the head of a Hub data set's README that names its files."""
    files = "".join(f"  - split: {split}\n    path: {config}/{split}-*\n" for split in splits)
    return f"---\nconfigs:\n- config_name: {config}\n  data_files:\n{files}---\n"


def write(folder: Path, config: str, splits: dict[str, Any]) -> None:
    """Write splits, each a `datasets.Dataset` or a dict of columns, as the Hub keeps them."""
    import datasets

    datasets.disable_progress_bars()
    (folder / config).mkdir(parents=True)
    (folder / "README.md").write_text(readme(config, list(splits)))
    for split, rows in splits.items():
        made = datasets.Dataset.from_dict(rows) if isinstance(rows, dict) else rows
        made.to_parquet(folder / config / f"{split}-00000-of-00001.parquet")


def images(rows: int, seed: int, size: int = 12) -> dict[str, list[Any]]:
    """Return noisy images of which each class is bright in another quarter, with their labels."""
    draws = np.random.default_rng(seed)
    labels = draws.integers(CLASSES, size=rows)
    pixels = draws.integers(0, 160, size=(rows, size, size, 3))
    half = size // 2
    for picture, label in zip(pixels, labels, strict=True):
        top, left = half * (label // 2), half * (label % 2)
        picture[top : top + half, left : left + half] += 90
    return {"img": list(pixels.astype(np.uint8)), "label": labels.tolist()}


def pictures(rows: dict[str, list[Any]]) -> Any:
    """Return images and labels as a data set of PNG images."""
    import datasets
    from PIL import Image

    features = datasets.Features({"img": datasets.Image(), "label": datasets.Value("int64")})
    shown = [Image.fromarray(picture) for picture in rows["img"]]
    return datasets.Dataset.from_dict({"img": shown, "label": rows["label"]}, features=features)


def texts(rows: int, seed: int, several: bool = False) -> dict[str, list[Any]]:
    """Return texts of 1 to 12 words whose class, or classes, can be told by words that occur, with their labels."""
    draws = np.random.default_rng(seed)
    found: dict[str, list[Any]] = {"text": [], "labels" if several else "label": []}
    for _ in range(rows):
        label = int(draws.integers(CLASSES))
        words = draws.choice(WORDS[8:], size=draws.integers(0, 12)).tolist()
        found["text"].append(" ".join([WORDS[label], *words]))
        if several:
            found["labels"].append(sorted({label, *(int(w[4:]) % 4 for w in words if w in WORDS[8:10])}))
        else:
            found["label"].append(label)
    return found


def write_bert(folder: Path, **changes: Any) -> None:
    """Write the configuration, random weights and tokenizer of a BERT with two layers of width 16."""
    from transformers import BertConfig, BertModel, BertTokenizerFast
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *(chr(c) for c in range(97, 123))]
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    shape["initializer_range"] = 0.3  # else all texts would give the same
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        BertModel(BertConfig(vocab_size=len(words), **shape, **changes)).save_pretrained(folder)


def write_hub(hub: Path) -> Path:
    """Write the data sets, and the model as ``tiny/bert``; return the folder."""
    write(hub / IMAGES, "plain_text", {"train": pictures(images(150, 0)), "test": pictures(images(60, 1))})
    for name, several in ((TEXTS, False), (MANY, True)):
        rows = {
            split: texts(n, i, several)
            for i, (split, n) in enumerate({"train": 110, "validation": 30, "test": 60}.items())
        }
        write(hub / name, "plain_text", rows)
    write_bert(hub / "tiny" / "bert")
    return hub


#: Settings of the image task on the data above: ResNet-8, 6 steps an epoch.
IMAGE_MODEL: dict[str, Any] = {
    **{"data": IMAGES, "config": "plain_text", "classes": CLASSES, "network": "resnet-8", "width": 4},
    **{"train": 100, "validation": 40, "evaluated": 30, "tested": 40, "batch_size": 16, "precision": "float32"},
}
#: Settings of the text tasks: the whole BERT, 5 steps an epoch.
TEXT_MODEL: dict[str, Any] = {
    **{"data": TEXTS, "config": "plain_text", "classes": CLASSES, "model": "tiny/bert", "length": 10},
    **{"train": 90, "validation": 40, "evaluated": 30, "tested": 40, "batch_size": 16, "precision": "float32"},
}
