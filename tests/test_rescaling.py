"""Dinh et al.'s rescaling of digits' perceptron: the function stays, the measures move as computed."""

import pytest
import torch
from helpers import closure_on

from popview.common.seeds import generator
from popview.optimizers import make
from popview.tasks.digits import Digits
from popview.topography.flatness import adaptive_sharpness, average_sharpness, hessian_vector_product, weight_norm
from popview.topography.measures import Models, flatness_of
from popview.topography.rescaling import rescale, scales_of


@pytest.fixture(scope="module")
def trained() -> Digits:
    """Two perceptrons of 4 hidden units, after 40 steps, in float64."""
    task = Digits([0, 1], hidden=4)
    task.parameters = [torch.nn.Parameter(p.detach().double()) for p in task.parameters]
    task._splits = {split: (images.double(), labels) for split, (images, labels) in task._splits.items()}
    optimizer = make("SGD", task.parameters, lr=0.1, population=True)
    for epoch in range(2):
        for minibatch in task.minibatches(epoch):
            closure = closure_on(optimizer, lambda minibatch=minibatch: task.loss(minibatch))

            optimizer.step(closure)
    return task


@pytest.fixture
def net(trained) -> Digits:
    """The same, whose weights return after the test."""
    before = [p.detach().clone() for p in trained.parameters]
    yield trained
    with torch.no_grad():
        for p, b in zip(trained.parameters, before, strict=True):
            p.copy_(b)


def hessian(task: Digits) -> torch.Tensor:
    """Return the Hessians of both models, from products with unit vectors."""
    sizes = [p[0].numel() for p in task.parameters]
    rows = []
    for i in range(sum(sizes)):
        unit = torch.zeros(2, sum(sizes), dtype=torch.float64)
        unit[:, i] = 1
        vectors = [v.view_as(p) for v, p in zip(unit.split(sizes, 1), task.parameters, strict=True)]
        product = hessian_vector_product(task.sample_loss, task.parameters, vectors, population=True)
        rows.append(torch.cat([part.reshape(2, -1) for part in product], 1))
    return torch.stack(rows, 1)


@pytest.mark.parametrize("factor", [0.1, 8.0])
def test_the_function_stays(net, factor):
    before = net.logits("test").detach()
    rescale(net.parameters, factor)
    assert torch.allclose(net.logits("test"), before, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_the_hessian_moves_as_computed(net):
    factor, before = 5.0, hessian(net)
    norms = [p.detach().reshape(2, -1).square().sum(1) for p in net.parameters]
    rescale(net.parameters, factor)
    scales = [s for pair in scales_of(2, factor) for s in pair]
    each = torch.cat(
        [torch.full((p[0].numel(),), s, dtype=torch.float64) for p, s in zip(net.parameters, scales, strict=True)]
    )
    after = hessian(net)
    assert torch.allclose(after, before / each / each[:, None], rtol=1e-9, atol=1e-12)
    start = [torch.zeros_like(p) for p in net.parameters]
    draws = generator(0, "flatness")
    losses = net.sample_loss, net.curvature_loss, net.input_losses
    models = Models(list(net.parameters), start, True, draws, *losses)
    found = flatness_of(models, "sample")
    assert torch.allclose(found["top_eigenvalue"], torch.linalg.eigvalsh(after)[:, -1], rtol=2e-2)
    wanted = sum(s**2 * n for s, n in zip(scales, norms, strict=True)).sqrt()
    assert torch.allclose(weight_norm(net.parameters, population=True), wanted)
    trace = (before.diagonal(dim1=1, dim2=2) / each**2).sum(1)
    error = found["trace_standard_error"]
    assert ((found["trace"] - trace).abs() <= 5 * error + 1e-6 * trace.abs()).all()
    assert (trace > before.diagonal(dim1=1, dim2=2).sum(1)).all()  # sharper, and yet the same function


def test_measures_relative_to_the_weights_stay(net):
    def relative():
        adaptive = adaptive_sharpness(net.sample_loss, net.parameters, rho=0.5, population=True)
        mean = average_sharpness(
            net.sample_loss, net.parameters, draws=3, generator=generator(0, "noise"), population=True
        )
        return torch.stack([adaptive, mean.value])

    before = relative()
    rescale(net.parameters, 7.0)
    assert torch.allclose(relative(), before, rtol=1e-9)


@pytest.mark.parametrize(("factor", "hidden"), [(0.0, 0), (-1.0, 0), (2.0, 1), (2.0, -1)])
def test_refuses_what_would_change_the_function(factor, hidden):
    with pytest.raises(ValueError, match="must be"):
        scales_of(2, factor, hidden)


def test_refuses_layers_without_biases():
    with pytest.raises(ValueError, match="weights and biases in turn, got 3"):
        rescale([torch.ones(1)] * 3, 2.0)
