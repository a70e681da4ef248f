"""Independent random streams from one seed: a restart's start must not share random numbers with its noise."""

import hashlib

import torch

__all__ = ["generator", "stream"]


def stream(seed: int, name: str) -> int:
    """Return the seed of the stream `name` ("starts", "noise", "order", …) that belongs to `seed`."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, name: str) -> torch.Generator:
    """Return a processor-side torch generator at the start of that stream."""
    return torch.Generator().manual_seed(stream(seed, name))
