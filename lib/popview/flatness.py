"""How flat the loss around a model of your own is: `popview.topography.flatness` by its promised name.

>>> import torch
>>> from popview.flatness import top_eigenvalue
>>> model, inputs, labels = torch.nn.Linear(2, 2), torch.eye(2), torch.tensor([0, 1])
>>> loss = lambda: torch.nn.functional.cross_entropy(model(inputs), labels)
>>> top_eigenvalue(loss, model.parameters(), generator=torch.Generator().manual_seed(0)).shape
torch.Size([1])
"""

from popview.topography.flatness import (
    Estimate,
    adaptive_sharpness,
    average_sharpness,
    ball_maximum,
    distance,
    hessian_vector_product,
    input_gradient_norm,
    top_eigenvalue,
    trace,
    weight_norm,
)

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
