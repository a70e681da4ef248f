"""Values and gradients of the landscapes in closed form, from coordinates: the same bits in NumPy as in torch.

A formula takes coordinates of equal shapes and returns the value and one partial derivative per coordinate. It is
written with sums, products, quotients and `clip` alone. Each of these is rounded once, by torch and by NumPy, so that
both give the same bits. NumPy needs a third of torch's time per operation on some hundred points.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

ValueAndGradient = Callable[[Tensor], tuple[Tensor, Tensor]]
#: Coordinates in, of torch or of NumPy; value and partial derivatives out.
Formula = Callable[..., tuple[Any, tuple[Any, ...]]]

#: Points evaluated at once, so that what is in between stays in the processor's nearest caches.
CHUNK = 4096


def on_coordinates(formula: Formula) -> ValueAndGradient:
    """Return a formula as a function of points of shape ``(..., d)``: values ``(...)`` and gradients ``(..., d)``.

    Points in main memory that need no gradients of autograd are evaluated in NumPy, others in torch.

    Examples
    --------
    >>> import torch
    >>> from popview.landscapes.formulas import on_coordinates
    >>> bowl = on_coordinates(lambda x, y: (x * x + y * y, (2 * x, 2 * y)))
    >>> bowl(torch.tensor([[1.0, 2.0]]))
    (tensor([5.]), tensor([[2., 4.]]))
    """

    def value_and_gradient(points: Tensor) -> tuple[Tensor, Tensor]:
        differentiated = points.requires_grad and torch.is_grad_enabled()
        if differentiated or points.device.type != "cpu" or points.dtype not in (torch.float32, torch.float64):
            value, parts = formula(*points.unbind(-1))
            return value, torch.stack(parts, dim=-1)
        given = points.detach().numpy()
        rows = given.reshape(-1, given.shape[-1])
        values, gradients = np.empty(len(rows), rows.dtype), np.empty(rows.shape, rows.dtype)
        with np.errstate(all="ignore"):  # what diverges overflows
            for start in range(0, len(rows), CHUNK):
                some = slice(start, start + CHUNK)
                values[some], parts = formula(*np.ascontiguousarray(rows[some].T))
                for i, part in enumerate(parts):
                    gradients[some, i] = part
        return torch.from_numpy(values.reshape(given.shape[:-1])), torch.from_numpy(gradients.reshape(given.shape))

    return value_and_gradient


def himmelblau(x: Any, y: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return (x² + y − 11)² + (x + y² − 7)² and its gradient."""
    a, b = x * x + y - 11, x + y * y - 7
    return a * a + b * b, (4 * x * a + 2 * b, 2 * a + 4 * y * b)


def three_hump_camel(x: Any, y: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return 2x² − 1.05x⁴ + x⁶/6 + xy + y² and its gradient."""
    square = x * x
    value = square * (2 + square * (square / 6 - 1.05)) + y * (x + y)
    return value, (x * (4 + square * (square - 4.2)) + y, x + 2 * y)


def six_hump_camel(x: Any, y: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return (4 − 2.1x² + x⁴/3)x² + xy + (−4 + 4y²)y² and its gradient."""
    u, v = x * x, y * y
    value = u * (4 + u * (u / 3 - 2.1)) + x * y + 4 * v * (v - 1)
    return value, (x * (8 + u * (2 * u - 8.4)) + y, x + y * (16 * v - 8))


def two_well_formula(dimension: int, depth: float, curvatures: tuple[float, float], height: float) -> ValueAndGradient:
    """Return the value and gradient of `popview.landscapes.two_well`, which says what the parameters are."""
    left, right = curvatures

    def along_and_across(x: Any, square: Any) -> tuple[Any, Any, Any]:
        """Value, derivative along x, and curvature across it; `square` is ‖y‖²."""
        t = ((x + 1) / 2).clip(0, 1)
        bell = t * (1 - t)
        step, slope = t * t * t * (t * (6 * t - 15) + 10), 15 * (bell * bell)
        well, curvature = x * x - 1, left + (right - left) * step
        value = height * (well * well) + depth * step + curvature * square / 2
        return value, 4 * height * x * well + (depth + (right - left) * square / 2) * slope, curvature

    def in_the_plane(x: Any, y: Any) -> tuple[Any, tuple[Any, ...]]:
        value, along, curvature = along_and_across(x, y * y)
        return value, (along, curvature * y)

    def in_space(points: Tensor) -> tuple[Tensor, Tensor]:  # sums of many squares round differently in NumPy
        x, y = points[..., 0], points[..., 1:]
        value, along, curvature = along_and_across(x, (y * y).sum(-1))
        return value, torch.cat([along.unsqueeze(-1), curvature.unsqueeze(-1) * y], dim=-1)

    return on_coordinates(in_the_plane) if dimension == 2 else in_space
