"""The measures of flatness, each declared once: what it computes, how far it looks, where it is taken, what it costs.

Trajectories, the study of solutions and the bill read the same list.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Generator, Tensor

from popview.topography import flatness
from popview.topography.flatness import Estimate, Loss

#: Radii: those of Foret et al. 2021, Kwon et al. 2021, and a twentieth of each weight.
RADIUS, ADAPTIVE_RADIUS, RELATIVE_NOISE = 0.05, 0.5, 0.05

#: Random draws of the average-case sharpness and of the trace; Lanczos steps of the top eigenvalue and of the trace.
NOISE_DRAWS, TRACE_DRAWS, LANCZOS_STEPS, DEFLATION = 10, 4, 12, 8


@dataclass(frozen=True)
class Measure:
    """A measure taken at the end of a run.

    Attributes
    ----------
    name : str
    take : callable
        From what is measured to the values: one per model.
    passes : mapping
        What it costs: field of `popview.tasks.sizes.Sizes` → forward passes and gradients of each of these examples.
    where : tuple of str
        Where it is taken: in runs of these extents (`popview.runs.specs.RunSpec.extent`); in the study of "solutions".

    Examples
    --------
    >>> from popview.topography.measures import FLATNESS
    >>> {measure.name: dict(measure.passes) for measure in FLATNESS}["ball_maximum"]
    {'measured': (2, 1)}
    """

    name: str
    take: Callable[..., Any]
    passes: Mapping[str, tuple[int, int]]
    where: tuple[str, ...]


class Models(NamedTuple):
    """Models, and what is measured of them.

    Attributes
    ----------
    parameters, start : list of Tensor
        As they are, and as they were before the first step.
    population : bool
        Whether dimension 0 indexes models.
    draws : Generator
        Of random vectors; each measure goes on where the one before stopped.
    loss : callable
        See `popview.topography.flatness`.
    curvature_loss : callable, optional
        What the Hessian is taken of; None: it is not.
    input_losses : callable, optional
        Returns the arguments of `popview.topography.flatness.input_gradient_norm`.

    Examples
    --------
    All measures of one model, a reader's own, on a sample of two examples:

    >>> import torch
    >>> from popview.topography.measures import Models, flatness_of
    >>> model = torch.nn.Linear(2, 2, bias=False)
    >>> with torch.no_grad():
    ...     weights = model.weight.copy_(torch.eye(2))
    >>> start = [torch.zeros(2, 2)]
    >>> def loss():
    ...     return torch.nn.functional.cross_entropy(model(torch.eye(2)), torch.tensor([0, 1]))
    >>> models = Models(list(model.parameters()), start, False, torch.Generator().manual_seed(0), loss, loss)
    >>> found = flatness_of(models, "solutions")
    >>> list(found)[:4], round(found["distance"].item(), 4)
    (['weight_norm', 'distance', 'ball_maximum', 'adaptive_sharpness'], 1.4142)
    """

    parameters: list[Tensor]
    start: list[Tensor]
    population: bool
    draws: Generator
    loss: Loss
    curvature_loss: Loss | None = None
    input_losses: Callable[[], tuple[Callable[[Tensor], Tensor], Tensor]] | None = None

    def around(self, measure: Callable[..., Any], **options: Any) -> Any:
        """Return a measure of the loss around the models."""
        return measure(self.loss, self.parameters, population=self.population, **options)

    def curved(self, measure: Callable[..., Any], **options: Any) -> Any:
        """Return a measure of the Hessian."""
        return measure(
            self.curvature_loss, self.parameters, population=self.population, generator=self.draws, **options
        )


def _product_passes(products: int) -> tuple[int, int]:
    """Return the passes of Hessian-vector products: two gradients each, after the one that they are derived from."""
    return 0, 1 + 2 * products


_RUNS = ("sample", "whole")
_BOTH = (*_RUNS, "solutions")

FLATNESS = (
    Measure("weight_norm", lambda m: flatness.weight_norm(m.parameters, population=m.population), {}, _BOTH),
    Measure("distance", lambda m: flatness.distance(m.parameters, m.start, population=m.population), {}, _BOTH),
    Measure("ball_maximum", lambda m: m.around(flatness.ball_maximum, rho=RADIUS), {"measured": (2, 1)}, _BOTH),
    Measure(
        "adaptive_sharpness",
        lambda m: m.around(flatness.adaptive_sharpness, rho=ADAPTIVE_RADIUS),
        {"measured": (2, 1)},
        _BOTH,
    ),
    Measure(
        "average_sharpness",
        lambda m: m.around(flatness.average_sharpness, rho=RELATIVE_NOISE, draws=NOISE_DRAWS, generator=m.draws),
        {"measured": (1 + 2 * NOISE_DRAWS, 0)},
        _BOTH,
    ),
    Measure(
        "input_gradient_norm", lambda m: flatness.input_gradient_norm(*m.input_losses()), {"inputs": (0, 1)}, _RUNS
    ),
    Measure(
        "top_eigenvalue",
        lambda m: m.curved(flatness.top_eigenvalue, iterations=LANCZOS_STEPS),
        {"curved": _product_passes(LANCZOS_STEPS)},
        _BOTH,
    ),
    Measure(
        "trace",
        lambda m: m.curved(flatness.trace, draws=TRACE_DRAWS, deflation=DEFLATION),
        {"curved": _product_passes(DEFLATION + TRACE_DRAWS)},
        _RUNS,
    ),
)

#: Those of the study of solutions that look at the loss around a solution.
SHARPNESS = tuple(measure.name for measure in FLATNESS if "solutions" in measure.where and measure.passes)


def flatness_of(models: Models, where: str) -> dict[str, Tensor]:
    """Return the measures of flatness that are taken there (see `Measure.where`): name → float64 of shape ``(P,)``.

    Those of the Hessian need a `Models.curvature_loss`. The standard error of an `Estimate` is added as
    ``<name>_standard_error``.
    """
    found = {}
    for measure in FLATNESS:
        if where in measure.where and (models.curvature_loss or "curved" not in measure.passes):
            value = measure.take(models)
            if isinstance(value, Estimate):
                found[measure.name], found[f"{measure.name}_standard_error"] = value
            else:
                found[measure.name] = value
    return found
