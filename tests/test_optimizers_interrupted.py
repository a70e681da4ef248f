"""What an optimizer leaves behind when a second pass is interrupted, or a state comes from another kind."""

from itertools import pairwise

import pytest
import torch

from popview.common.errors import UsageError
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


def quadratic(optimizer, w, fails):
    """Return a closure on a bowl that raises where `fails` says so of the number of its call, from 1 on."""
    calls = []

    def closure():
        calls.append(1)
        if fails(len(calls)):
            raise Interrupted
        optimizer.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    return closure


def test_noise_in_the_model_is_taken_back():
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = make("NiM-SGD", [w], rho=0.3, tau=1, epsilon=float("inf"))
    closure = quadratic(optimizer, w, lambda call: call == 3)
    optimizer.step(closure)
    before = w.detach().clone()
    with pytest.raises(Interrupted):
        optimizer.step(closure)
    assert torch.equal(w, before)


@pytest.mark.parametrize(("algorithm", "accept"), [("NiM-MBH", "classical"), ("NiG-MBH", "classical")])
def test_a_step_that_is_tried_again_keeps_a_monotonic_hop_monotonic(algorithm, accept):
    """The minimum that a hop may return to is not the point that an interrupted first step has perturbed."""
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = make(algorithm, [w], accept=accept, lr=0.05, rho=0.5, tau=5)
    closure = quadratic(optimizer, w, lambda call: call % 4 == 0)
    solutions, tries = [], 0
    while len(solutions) < 100:
        tries += 1
        try:
            optimizer.step(closure, lambda: (w**2).sum())
        except Interrupted:
            continue
        with optimizer.solution():
            solutions.append((w**2).sum().item())
    assert tries > 100
    assert optimizer.hops_tried > 10
    after = solutions[5:]  # hops begin
    assert all(later <= sooner for sooner, later in pairwise(after))


def test_a_hop_that_was_perturbed_once_is_not_perturbed_again():
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = make("NiM-BH", [w], lr=0.05, rho=0.5, tau=2)
    closure = quadratic(optimizer, w, lambda call: call == 3)
    for _ in range(2):
        optimizer.step(closure)
    with pytest.raises(Interrupted):
        optimizer.step(closure)
    optimizer.step(closure)
    assert optimizer.noise_triggers == 1


def test_a_comparison_that_is_interrupted_leaves_the_candidate():
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = make("NiM-MBH", [w], lr=0.05, rho=0.5, tau=1)
    closure = quadratic(optimizer, w, lambda call: False)
    optimizer.step(closure)
    start, seen = w.detach().clone(), []

    def loss():
        seen.append(w.detach().clone())
        if len(seen) == 2:
            raise Interrupted
        return (w**2).sum()

    with pytest.raises(Interrupted):
        optimizer.step(closure, loss)
    assert torch.equal(seen[1], start)  # the reference was being looked at
    assert torch.equal(w, seen[0])


@pytest.mark.parametrize(("saved", "loaded"), [("NiM-BH", "NiM-MBH"), ("NiG-MBH", "NiM-MBH"), ("SGD", "SAM")])
def test_a_state_of_another_kind_is_refused(saved, loaded):
    w = torch.nn.Parameter(torch.ones(2))
    state = make(saved, [w]).state_dict()
    with pytest.raises(UsageError, match="state_dict comes from"):
        make(loaded, [w]).load_state_dict(state)
