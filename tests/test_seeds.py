"""Seeds: NumPy's whole numbers are taken; floats, truth values and the like are refused, everywhere alike."""

from collections.abc import Callable
from typing import Any

import helpers
import numpy as np
import pytest
import torch

from popview.common.seeds import draws, generator, stream
from popview.optimizers import make
from popview.statistics import exact_permutation, paired_permutation
from popview.statistics.batched import p_values
from popview.topography.pair_bootstrap import random_pairs

#: Two groups so large that relabellings are drawn.
GROUPS = np.random.default_rng(5).normal(size=(2, 20))


#: What takes a seed.
TAKERS: dict[str, Callable[[Any], Any]] = {
    "optimizer": lambda seed: make("NiG-SGD", [helpers.point([0.0])], seed=seed).generator.initial_seed(),
    "stream": lambda seed: stream(seed, "noise"),
    "generator": lambda seed: generator(seed, "noise").initial_seed(),
    "NumPy's": lambda seed: draws(seed).random(),
    "permutation": lambda seed: exact_permutation(*GROUPS, resamples=50, seed=seed).p_value,
    "paired permutation": lambda seed: paired_permutation(*GROUPS, resamples=50, seed=seed).p_value,
    "many p-values": lambda seed: float(p_values("permutation", GROUPS[:1], GROUPS[1:], seed=seed)[0]),
    "pairs of solutions": lambda seed: random_pairs(8, 3, seed).tolist(),
}


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("taker", TAKERS)
def test_numpys_whole_numbers_are_whole_numbers(taker, kind):
    assert TAKERS[taker](kind(7)) == TAKERS[taker](7)


@pytest.mark.parametrize("seed", [1.0, np.float64(1), True, np.bool_(True), "1", None, torch.tensor(1.0)])
@pytest.mark.parametrize("taker", TAKERS)
def test_anything_else_is_refused_alike(taker, seed):
    with pytest.raises(TypeError, match="seed must be a whole number, got"):
        TAKERS[taker](seed)


@pytest.mark.parametrize("taker", TAKERS)
def test_one_that_does_not_fit_is_refused(taker):
    with pytest.raises(ValueError, match="seed must lie between"):
        TAKERS[taker](2**64)
