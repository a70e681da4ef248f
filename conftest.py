"""What tests and the examples in docstrings share: one thread, no network, and the same printing anywhere."""

import os
import sys
from collections.abc import Iterator

os.environ["OMP_NUM_THREADS"] = "1"  # before the first import of NumPy or torch: processes of tests share the cores
os.environ["HF_HUB_OFFLINE"] = "1"  # tests never ask the network
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else some hundred processes of tests compile all modules anew

import numpy as np
import pytest
import torch

sys.dont_write_bytecode = False  # nor the two of this run


@pytest.fixture(autouse=True)
def _printed_alike(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print arrays as NumPy and torch do by default, and draw unseeded weights from seed 0, within an example."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    torch.set_printoptions(profile="default")
    with np.printoptions(precision=8, suppress=False, threshold=1000, linewidth=75), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
