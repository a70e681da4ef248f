"""Where a result was computed: the processor, and the versions that its numbers may depend on."""

import platform
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


#: Packages whose arithmetic, tokens or pixels enter a trajectory.
DEPENDS = ("popview", "torch", "numpy", "scipy", "scikit-learn", "transformers", "tokenizers", "pillow")


@cache
def versions() -> dict[str, str]:
    """Return the versions that results may depend on: Python's, and those of `DEPENDS` that are installed."""
    known = {"python": platform.python_version()}
    for name in DEPENDS:
        with suppress(PackageNotFoundError):
            known[name] = version(name).split("+")[0]
    return known


def processor(device: "torch.device | None" = None) -> str:
    """Return the name of the processor, or of the GPU that a device is, as the system gives it."""
    if device is not None and device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
