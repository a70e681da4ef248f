"""What an optimizer leaves behind when a second pass is interrupted, or a state comes from another kind."""

import pytest
import torch

from popview.errors import UsageError
from popview.optimizers import make


class Interrupted(Exception):
    """Stands for Ctrl-C inside a closure."""


def test_sam_returns_to_where_it_was_and_restores_buffers():
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    statistics = torch.zeros(1)
    optimizer = make("SAM", [w], buffers=[statistics], rho=0.3)
    passes = []

    def closure():
        passes.append(1)
        statistics.add_(1)
        if len(passes) == 2:
            raise Interrupted
        optimizer.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    with pytest.raises(Interrupted):
        optimizer.step(closure)
    assert torch.equal(w, torch.tensor([1.0, -2.0]))
    assert statistics.item() == 1  # the first pass's


@pytest.mark.parametrize(("saved", "loaded"), [("NiM-BH", "NiM-MBH"), ("NiG-MBH", "NiM-MBH"), ("SGD", "SAM")])
def test_a_state_of_another_kind_is_refused(saved, loaded):
    w = torch.nn.Parameter(torch.ones(2))
    state = make(saved, [w]).state_dict()
    with pytest.raises(UsageError, match="state_dict comes from"):
        make(loaded, [w]).load_state_dict(state)
