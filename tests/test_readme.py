"""README's Python runs as it is printed, with small stand-ins for a reader's model, minibatches and sharpness."""

import re

import pytest
import torch
from torch.nn.functional import cross_entropy

from popview.common.folders import ROOT

BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def names() -> dict:
    """The names that README leaves to the reader, and after it all that its blocks have made, in their order."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    stand_ins = {
        "model": model,
        "loader": [(torch.randn(16, 4), torch.randint(3, (16,))) for _ in range(5)],
        "cross_entropy": cross_entropy,
        "sharpness": lambda model: sum(p.square().sum() for p in model.parameters()),
        "before": model[0].weight.detach().clone(),
    }
    for i, block in enumerate(BLOCKS):
        exec(compile(block, f"README.md, Python block {i + 1}", "exec"), stand_ins)
    return stand_ins


def test_the_optimizer_trains_the_model(names):
    assert names["optimizer"].gradient_evaluations == 2 * len(names["loader"])
    assert not torch.equal(names["model"][0].weight, names["before"])
    assert torch.isfinite(names["loss"])


def test_the_sample_says_where_all_restarts_end(names):
    counts = names["ends"].counts_by_basin()
    assert len(counts) == 4 + 2
    assert counts.sum() == 500


def test_all_blocks_are_tried():
    text = "\n".join(BLOCKS)
    assert len(BLOCKS) == 4
    assert all(call in text for call in ("SAM(model", 'make("NiM-MBH"', 'sample("himmelblau"', "tost("))
