"""How flat the loss is around a trained model: what a small change of the weights costs, and how the loss curves.

`loss` is a callable without arguments that returns the mean loss on a fixed sample, in torch and differentiable with
respect to `parameters` (twice for the Hessian; attention: the plain one): one number, or with ``population=True`` shape
``(P,)``, dimension 0 of every parameter indexing P models. Results are float64 of shape ``(P,)``, ``(1,)`` for a single
model, NaN where a model's loss is not finite. Random vectors are drawn from `generator` for one model, in float64, and
shared by a population (common random numbers): a member's result is, to rounding, the one it gets alone from a
generator in the same state. Parameters come back bit for bit, also after an exception; `.grad` is left alone.
ValueError is raised where a number is out of range, a shape is not the one asked for, or a parameter is frozen that a
gradient is asked of.

The caller sets evaluation mode (in training mode BatchNorm's and dropout's loss is no function of the weights) and uses
float32 or float64 (in bfloat16 the differences are rounding). Values depend on the sample: compare them on the same.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from popview.optimizers.tensors import broadcast, members_of, norm

__all__ = [
    "Estimate",
    "adaptive_sharpness",
    "average_sharpness",
    "ball_maximum",
    "distance",
    "hessian_vector_product",
    "input_gradient_norm",
    "top_eigenvalue",
    "trace",
    "weight_norm",
]

Loss = Callable[[], Tensor]
Tensors = Iterable[Tensor]


class Estimate(NamedTuple):
    """A mean over random draws and its standard error, each of shape ``(P,)``.

    Examples
    --------
    >>> import torch
    >>> from popview.topography.flatness import trace
    >>> w = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> estimate = trace(lambda: (3 * w[0] ** 2 + w[1] ** 2), [w], generator=torch.Generator().manual_seed(0))
    >>> estimate.value.round(decimals=4), estimate.standard_error.round(decimals=4)
    (tensor([8.], dtype=torch.float64), tensor([0.], dtype=torch.float64))
    """

    value: Tensor
    standard_error: Tensor


def ball_maximum(loss: Loss, parameters: Tensors, rho: float = 0.05, *, population: bool = False) -> Tensor:
    """Return SAM's maximum of L(w + δ) − L(w) over ‖δ‖ ≤ ρ, to first order: its value at δ = ρ g/‖g‖.

    One ascent step (Foret et al. 2021, arXiv 2010.01412, equation 2), so a lower bound of the true maximum, and 0 where
    the gradient is zero. It is their m-sharpness with m the size of the sample.

    Examples
    --------
    The gradient of w² at 1 points to larger w. At w + 0.5 the loss is 2.25:

    >>> import torch
    >>> from popview.topography.flatness import ball_maximum
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> ball_maximum(lambda: w.square().sum(), [w], rho=0.5).item()
    1.25

    A model of a reader's own, on a sample of two examples:

    >>> model, inputs, labels = torch.nn.Linear(2, 2), torch.eye(2), torch.tensor([0, 1])
    >>> def loss():
    ...     return torch.nn.functional.cross_entropy(model(inputs), labels)
    >>> rise = ball_maximum(loss, model.parameters(), rho=0.05)
    >>> rise.shape, rise.item() > 0
    (torch.Size([1]), True)
    """
    _check(0, rho=rho)
    models = _Models(loss, parameters, population)
    return models.losses(_rescaled(models.gradient(), rho)) - models.losses()


def adaptive_sharpness(loss: Loss, parameters: Tensors, rho: float = 0.5, *, population: bool = False) -> Tensor:
    """Return ASAM's maximum of L(w + δ) − L(w) over ‖δ/abs(w)‖ ≤ ρ, to first order: at δ = ρ w² g/‖w g‖.

    Unlike `ball_maximum` it does not change when a ReLU unit's incoming weights and bias are multiplied, its outgoing
    weights divided, by a factor above 0 (Kwon et al. 2021, arXiv 2102.11600). To that end biases are scaled as weights
    are, and nothing is added to abs(w); the authors' code differs in both.

    Examples
    --------
    Unlike that of `ball_maximum`, the radius is relative to each weight. At w = 2 and ρ = 0.5 the loss w² rises from 4
    to that of w = 3:

    >>> import torch
    >>> from popview.topography.flatness import adaptive_sharpness
    >>> w = torch.tensor([2.0], requires_grad=True)
    >>> adaptive_sharpness(lambda: w.square().sum(), [w], rho=0.5).item()
    5.0
    """
    _check(0, rho=rho)
    models = _Models(loss, parameters, population)
    uphill = _rescaled([g * w.abs() for g, w in zip(models.gradient(), models.tensors, strict=True)], rho)
    return models.losses([u * w.abs() for u, w in zip(uphill, models.tensors, strict=True)]) - models.losses()


def average_sharpness(
    loss: Loss,
    parameters: Tensors,
    rho: float = 0.05,
    draws: int = 20,
    *,
    generator: Generator,
    population: bool = False,
) -> Estimate:
    """Estimate the mean of L(w + δ) − L(w) over δ ~ N(0, ρ² w²), independent for each weight, relative to its size.

    Average-case adaptive sharpness of Andriushchenko et al. 2023 (arXiv 2302.07011). `draws`, 2 or more, counts pairs
    ±δ, two losses each: odd orders of δ, the gradient's foremost, cancel (variance at worst twice that of as many
    independent losses, and a small fraction of it where the gradient dominates). A smooth loss gives ½ ρ² Σ wᵢ²
    ∂²L/∂wᵢ² to second order; the kinks of ReLU, which no Hessian sees, add to that at any ρ.

    Examples
    --------
    Of w² at w = 2 the mean rise is ½ ρ² w² · 2, which is 0.01 at ρ = 0.05:

    >>> import torch
    >>> from popview.topography.flatness import average_sharpness
    >>> w = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    >>> generator = torch.Generator().manual_seed(0)
    >>> estimate = average_sharpness(lambda: w.square().sum(), [w], draws=1000, generator=generator)
    >>> abs(estimate.value.item() - 0.01) < 3 * estimate.standard_error.item()
    True
    """
    _check(0, rho=rho)
    _check(2, draws=draws)
    models = _Models(loss, parameters, population)
    here, rises = models.losses(), []
    for _ in range(draws):
        change = [rho * w * z for w, z in zip(models.tensors, models.draw(generator), strict=True)]
        rises.append((models.losses(change) + models.losses([-c for c in change])) / 2 - here)
    return _estimate(rises)


def hessian_vector_product(
    loss: Loss, parameters: Tensors, vectors: Tensors, *, population: bool = False
) -> list[Tensor]:
    """Return each model's Hessian times its vector; `vectors` and result are lists of the parameters' shapes.

    Examples
    --------
    The Hessian of w₁² w₂ is [[2 w₂, 2 w₁], [2 w₁, 0]]. At (1, 3), times (1, 0):

    >>> import torch
    >>> from popview.topography.flatness import hessian_vector_product
    >>> w = torch.tensor([1.0, 3.0], requires_grad=True)
    >>> hessian_vector_product(lambda: w[0] ** 2 * w[1], [w], [torch.tensor([1.0, 0.0])])
    [tensor([6., 2.])]
    """
    models, vectors = _Models(loss, parameters, population), list(vectors)
    _check_shapes("vectors", vectors, models.parameters)
    product = models.split(models.hessian()(_flat(members_of(vectors, population))))
    return [h.view_as(p) for h, p in zip(product, models.parameters, strict=True)]


def top_eigenvalue(
    loss: Loss,
    parameters: Tensors,
    iterations: int = 20,
    tolerance: float = 1e-2,
    *,
    generator: Generator,
    population: bool = False,
) -> Tensor:
    """Return the algebraically largest eigenvalue λ of the Hessian, by Lanczos' method from a random start.

    A negative eigenvalue is never taken for it, however large: at a maximum of the loss the result is negative. Each
    model has a unit vector x. It is done when the residual ‖H x − λ x‖ is at most `tolerance` times the size of λ. It
    also ends when its Krylov space is exhausted, or after `iterations` Hessian-vector products. As a Rayleigh quotient,
    the result is a lower bound.

    Examples
    --------
    The Hessian of 3 w₁² + w₂² has the eigenvalues 6 and 2:

    >>> import torch
    >>> from popview.topography.flatness import top_eigenvalue
    >>> w = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> value = top_eigenvalue(lambda: 3 * w[0] ** 2 + w[1] ** 2, [w], generator=torch.Generator().manual_seed(0))
    >>> round(value.item(), 3)
    6.0
    """
    _check(1, iterations=iterations)
    _check(0, tolerance=tolerance)
    models = _Models(loss, parameters, population)
    return _lanczos(models, models.hessian(), iterations, tolerance, generator)[0]


def trace(
    loss: Loss,
    parameters: Tensors,
    draws: int = 4,
    deflation: int = 8,
    *,
    generator: Generator,
    population: bool = False,
) -> Estimate:
    """Estimate the trace of the Hessian: exactly on a Krylov space, by Hutchinson's method on what is left.

    Hutchinson's mean of zᵀ H z over vectors z of random signs is unbiased, with variance 2 Σ Hᵢⱼ² (i ≠ j): in a trained
    network often that of a few large eigenvalues. `deflation` steps of Lanczos' method (0: none) take these away first,
    as Hutch++ does (Meyer et al. 2021, arXiv 2010.09649). Costs `deflation` + `draws` (2 or more) products H v.

    Examples
    --------
    The Hessian of 3 w₁² + w₂² has the eigenvalues 6 and 2. Two steps of Lanczos' method span the whole space, so that
    nothing is left to estimate:

    >>> import torch
    >>> from popview.topography.flatness import trace
    >>> w = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> estimate = trace(lambda: 3 * w[0] ** 2 + w[1] ** 2, [w], generator=torch.Generator().manual_seed(0))
    >>> round(estimate.value.item(), 4), round(estimate.standard_error.item(), 4)
    (8.0, 0.0)
    """
    _check(2, draws=draws)
    _check(0, deflation=deflation)
    models = _Models(loss, parameters, population)
    multiply, values = models.hessian(), []
    _, within, basis = _lanczos(models, multiply, deflation, 0, generator)
    for _ in range(draws):
        signs = _flat(models.draw(generator)).sign().unsqueeze(1)
        rest = (signs - signs @ basis.mT @ basis).squeeze(1)
        values.append(within + (rest * multiply(rest)).sum(1, dtype=torch.float64))
    return _estimate(values)


def weight_norm(parameters: Tensors, *, population: bool = False) -> Tensor:
    """Return the Euclidean norm of each model's parameters.

    Examples
    --------
    >>> import torch
    >>> from popview.topography.flatness import weight_norm
    >>> weight_norm([torch.tensor([3.0]), torch.tensor([4.0])]).item()
    5.0
    """
    return norm([p.detach().double() for p in members_of(parameters, population)])


def distance(parameters: Tensors, start: Tensors, *, population: bool = False) -> Tensor:
    """Return the Euclidean distance of each model's parameters from `start`, tensors of the same shapes.

    Examples
    --------
    >>> import torch
    >>> from popview.topography.flatness import distance
    >>> distance([torch.tensor([3.0, 4.0])], [torch.tensor([0.0, 0.0])]).item()
    5.0
    """
    here, there = list(parameters), list(start)
    _check_shapes("start", there, here)
    return weight_norm((p.double() - s for p, s in zip(here, there, strict=True)), population=population)


def input_gradient_norm(loss_of: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Return the mean over examples of the Euclidean norm of each example's loss gradient with respect to its input.

    `inputs` are floating-point, of shape ``(n, …)``, and ``loss_of(inputs)`` returns the examples' losses, of shape
    ``(n,)``; for a population ``(P, n, …)`` and ``(P, n)`` (inputs that the models share: `Tensor.expand`). No
    example's loss may depend on another example.

    Examples
    --------
    The gradient of 3 x₁ + 4 x₂ has norm 5 for every example:

    >>> import torch
    >>> from popview.topography.flatness import input_gradient_norm
    >>> input_gradient_norm(lambda inputs: inputs @ torch.tensor([3.0, 4.0]), torch.zeros(7, 2)).item()
    5.0
    """
    inputs = inputs.detach().requires_grad_()
    with torch.enable_grad():
        losses = loss_of(inputs)
        shape = tuple(losses.shape)
        if len(shape) not in (1, 2) or tuple(inputs.shape[: len(shape)]) != shape:
            raise ValueError(f"losses {shape} and inputs {tuple(inputs.shape)} must both begin with (n,) or (P, n)")
        (gradient,) = torch.autograd.grad(losses.sum(), inputs)
    return torch.linalg.vector_norm(gradient.double().reshape(*shape, -1), dim=-1).mean(-1).reshape(-1)


class _Models:
    """A loss and the parameters that it depends on: P models, of which a single one is a population of one."""

    def __init__(self, loss: Loss, parameters: Tensors, population: bool) -> None:
        self.loss, self.parameters, self.population = loss, list(parameters), population
        sizes = {tuple(p.shape[:1]) for p in self.parameters}
        if not sizes or (population and (len(sizes) > 1 or () in sizes)):
            raise ValueError(f"parameters must be tensors, of one size along dimension 0 in a population, got {sizes}")
        #: Views of shape (P, …): they share the parameters' memory and need no gradient.
        self.tensors = members_of([p.detach() for p in self.parameters], population)

    def losses(self, change: Tensors = ()) -> Tensor:
        """Return the losses, shape ``(P,)``: here, or `change` away from here."""
        kept = [t.clone() for t in self.tensors]
        try:
            for t, c in zip(self.tensors, change, strict=False):
                t.add_(c)
            with torch.no_grad():
                return self._evaluate().double()
        finally:
            torch._foreach_copy_(self.tensors, kept)

    def gradient(self, create_graph: bool = False) -> list[Tensor]:
        for i, p in enumerate(self.parameters):
            if not p.requires_grad:
                raise ValueError(
                    f"parameters[{i}] of shape {tuple(p.shape)} is frozen (requires_grad is False): the loss has no "
                    "gradient there, leave it out"
                )
        with torch.enable_grad():
            total = self._evaluate().sum()
            if not total.requires_grad:
                raise ValueError("loss returned a number without a gradient: compute it outside no_grad, undetached")
            gradient = torch.autograd.grad(total, self.parameters, create_graph=create_graph, materialize_grads=True)
            return members_of(gradient, self.population)

    def hessian(self) -> Callable[[Tensor], Tensor]:
        """Return v → H v on vectors ``(P, d)``: one graph of the gradient, differentiated at each call."""
        anchor = torch.zeros((), requires_grad=True)  # a graph also for gradients that do not depend on anything
        with torch.enable_grad():
            gradient = [g + anchor.to(g) for g in self.gradient(create_graph=True)]

        def multiply(vectors: Tensor) -> Tensor:
            parts = self.split(vectors)
            product = torch.autograd.grad(gradient, self.parameters, parts, retain_graph=True, materialize_grads=True)
            return _flat(members_of(product, self.population))

        return multiply

    def draw(self, generator: Generator) -> list[Tensor]:
        """Draw standard normal tensors for one model and show them to all: shapes ``(P, …)``."""
        options: dict[str, Any] = {"generator": generator, "dtype": torch.float64, "device": generator.device}
        return [torch.randn(t.shape[1:], **options).to(t).expand_as(t) for t in self.tensors]

    def split(self, flat: Tensor) -> list[Tensor]:
        """Return vectors ``(P, d)`` as tensors of the parameters' shapes, as they were before `_flat`."""
        parts = flat.split([t[0].numel() for t in self.tensors], dim=1)
        return [part.reshape(t.shape) for part, t in zip(parts, self.tensors, strict=True)]

    def _evaluate(self) -> Tensor:
        torch.clear_autocast_cache()  # an autocast context around the call would keep weights cast before they moved
        losses = self.loss()
        shape, wanted = tuple(losses.shape), (len(self.tensors[0]),) if self.population else ()
        if shape != wanted:
            raise ValueError(f"loss must return shape {wanted}, one loss per model, got {shape}")
        return losses.reshape(-1)


def _lanczos(
    models: _Models, multiply: Callable, iterations: int, tolerance: float, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return H's largest eigenvalue and its trace on a Krylov space, and the space's basis: ``(P, steps, d)``."""
    vector = _flat(models.draw(generator))
    members, dimension, wide, steps = *vector.shape, torch.float64, min(iterations, vector.shape[1])
    basis = vector.new_zeros(members, steps, dimension)  # stays zero where a model is done
    tridiagonal = vector.new_zeros(members, steps + 1, steps + 1, dtype=wide)
    value, done = vector.new_zeros(members, dtype=wide), vector.new_zeros(members, dtype=torch.bool)
    beta = torch.linalg.vector_norm(vector, dim=1, dtype=wide)
    for j in range(steps):
        basis[:, j] = torch.where(done, 0, vector.T / beta).T
        vector, known = multiply(basis[:, j]), basis[:, : j + 1]
        alpha = (vector * basis[:, j]).sum(1, dtype=wide)
        for _ in range(2):  # full reorthogonalisation, twice: once leaves rounding errors that grow
            vector = vector - (vector.unsqueeze(1) @ known.mT @ known).squeeze(1)
        beta = torch.linalg.vector_norm(vector, dim=1, dtype=wide)
        value[~torch.isfinite(alpha + beta)] = math.nan
        done |= value.isnan()
        tridiagonal[:, j, j] = torch.where(done, 0, alpha)
        ritz, eigenvectors = torch.linalg.eigh(tridiagonal[:, : j + 1, : j + 1])  # of the lower triangle
        value = torch.where(done, value, ritz[:, -1])
        done |= beta * eigenvectors[:, -1, -1].abs() <= tolerance * value.abs()
        done |= beta <= torch.finfo(vector.dtype).eps * ritz.abs().amax(1)
        tridiagonal[:, j + 1, j] = torch.where(done, 0, beta)
        if done.all():
            break
    return value, tridiagonal.diagonal(dim1=1, dim2=2).sum(1), basis


def _flat(tensors: list[Tensor]) -> Tensor:
    """Return models as vectors, shape ``(P, d)``."""
    return torch.cat([t.reshape(len(t), -1) for t in tensors], dim=1)


def _rescaled(vectors: list[Tensor], length: float) -> list[Tensor]:
    """Return each model's vector at that length, in float64; zero where it is zero."""
    now = norm([v.double() for v in vectors])
    return [v * broadcast(torch.where(now == 0, 0, length / now), v) for v in vectors]


def _estimate(draws: list[Tensor]) -> Estimate:
    values = torch.stack(draws)
    return Estimate(values.mean(0), values.std(0) / math.sqrt(len(values)))


def _check_shapes(name: str, tensors: list[Tensor], parameters: list[Tensor]) -> None:
    shapes, wanted = ([tuple(t.shape) for t in group] for group in (tensors, parameters))
    if shapes != wanted:
        raise ValueError(f"{name} must have the parameters' shapes {wanted}, got {shapes}")


def _check(low: float, **given: float) -> None:
    for name, value in given.items():
        if not low <= value < math.inf:
            raise ValueError(f"{name} must be {low} or above and finite, got {value!r}")
