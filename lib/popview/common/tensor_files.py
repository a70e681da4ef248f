"""The state of a half-done run as a file: nested dicts and lists of tensors and plain values, in safetensors."""

import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_tensors(file: Path, state: Any) -> None:
    """Write a state, whole or not at all: tensors as such, everything else as JSON in the metadata; with a checksum.

    It is written in a folder beside it, ``<file>.part``, whose name is known where safetensors' own temporary is not.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    outline = json.dumps(_outline(state, tensors))
    part = file.with_name(f"{file.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    part.mkdir()
    try:
        save_file(tensors, part / "state", metadata={"outline": outline, "crc32": _checksum(outline, tensors)})
        (part / "state").replace(file)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_tensors(file: Path) -> Any:
    """Read a state that `save_tensors` wrote; a tuple comes back as a list.

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            metadata, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if metadata["crc32"] != _checksum(metadata["outline"], tensors):
            raise ValueError("wrong checksum")
        return _filled(json.loads(metadata["outline"]), tensors)
    except (SafetensorError, AttributeError, LookupError, OverflowError, RuntimeError, TypeError) as error:
        raise ValueError(str(error).partition("\n")[0]) from error


def check_shapes(kept: Any, fresh: Any, where: str = "it") -> None:
    """Raise ValueError where a state that was kept is not built as a fresh one is.

    Tensors must have its tensors' shapes and types, or of a fresh tensor without entries the number of axes and the
    type; lists of tensors its lengths; other values its types. What it lacks may be anything.
    """
    if isinstance(fresh, dict):
        for name, value in fresh.items():
            check_shapes(kept[name], value, f"{where}, {name}")
        return
    if isinstance(fresh, list | tuple):
        fits = isinstance(kept, list | tuple)
        fits = fits and (len(kept) == len(fresh) or not any(isinstance(value, Tensor) for value in fresh))
        for place, pair in enumerate(zip(kept, fresh, strict=False) if fits else ()):
            check_shapes(*pair, f"{where}, {place}")
    elif isinstance(fresh, Tensor):
        fits = isinstance(kept, Tensor) and kept.dtype == fresh.dtype and kept.dim() == fresh.dim()
        fits = fits and (not fresh.numel() or kept.shape == fresh.shape)
    else:
        numbers = isinstance(kept, int | float) and isinstance(fresh, int | float)
        fits = fresh is None or numbers or isinstance(kept, type(fresh))
    if not fits:
        raise ValueError(f"{where}: another shape or type than this run's")


def _checksum(outline: str, tensors: dict[str, Tensor]) -> str:
    found = zlib.crc32(outline.encode())
    for name in sorted(tensors, key=int):
        found = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, found)
    return str(found)


def _outline(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Replace tensors by their names and memory layouts; a dict becomes pairs, so that its keys keep their types."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return {"tensor": [name, torch.empty_like(value, device="meta").stride()]}
    if isinstance(value, dict):
        return {"dict": [[key, _outline(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_outline(item, tensors) for item in value]}
    return {"value": value}


def _filled(outline: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    ((kind, value),) = outline.items()
    if kind == "tensor":
        name, strides = value
        return torch.empty_strided(tensors[name].shape, strides, dtype=tensors[name].dtype).copy_(tensors[name])
    if kind == "dict":
        return {key: _filled(item, tensors) for key, item in value}
    if kind == "list":
        return [_filled(item, tensors) for item in value]
    return value
