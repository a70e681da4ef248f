"""What the optimizer tests share: landscapes, a small net, stacked nets, and the one table of algorithms."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from popview.optimizers import Optimizer, hyperparameters, make

INF = float("inf")
COUNTERS = ("gradient_evaluations", "loss_evaluations", "noise_triggers", "hops_tried", "hops_accepted")


# ---------------------------------------------------------------- the table


def sharp(loss_closure: Callable[[], Any]) -> Any:
    """Score that asks for the loss twice: not the loss, but ordered otherwise than the loss where it is negative."""
    return loss_closure() + 0.3 * loss_closure() ** 2


MBH = {
    "classical": {"accept": "classical"},
    "metropolis T=0": {"accept": "metropolis", "temperature": 0.0},
    "metropolis T>0": {"accept": "metropolis", "temperature": 0.5},
    "printed": {"accept": "printed"},
    "score": {"accept": sharp},
    "classical, momentum reset": {"accept": "classical", "reset_momentum": True},
}

#: Label → (name in ALGORITHMS, options): every generic test runs over all of it, or over a subset chosen by name.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "GD": ("GD", {"normalized": True}),
    "SGD": ("SGD", {}),
    "NiG-GD": ("NiG-GD", {"normalized": True}),
    "NiG-SGD": ("NiG-SGD", {}),
    "NiM-GD": ("NiM-GD", {"normalized": True}),
    "NiM-SGD": ("NiM-SGD", {}),
    "SAM": ("SAM", {}),
    "SAM, normalized": ("SAM", {"normalized": True}),
    "NiG-BH": ("NiG-BH", {}),
    "NiG-BH, normalized": ("NiG-BH", {"normalized": True}),
    "NiM-BH": ("NiM-BH", {}),
    "NiM-BH, momentum reset": ("NiM-BH", {"reset_momentum": True}),
    **{f"NiG-MBH, {label}": ("NiG-MBH", options) for label, options in MBH.items()},
    **{f"NiM-MBH, {label}": ("NiM-MBH", options) for label, options in MBH.items()},
    "NiM-MBH, normalized": ("NiM-MBH", {"normalized": True}),
    "AdamW": ("AdamW", {}),
    "SWA": ("SWA", {"average_from": 2, "average_every": 2}),
    "SGLD": ("SGLD", {"temperature": 0.1}),
    "L-BFGS-GSS": ("L-BFGS-GSS", {}),
}


def options_for(label: str, **world: Any) -> dict[str, Any]:
    """Return a case's options, completed by those of the world that its algorithm takes."""
    name, options = CASES[label]
    return {**{k: v for k, v in world.items() if k in hyperparameters(name)}, **options}


def hops(label: str) -> bool:
    return "BH" in label


# ---------------------------------------------------------------- landscapes
# Powers are written as products: `x**4` rounds differently for one point and for many.


def six_hump(w: Tensor) -> Tensor:
    x, y = w.unbind(-1)
    xx, yy = x * x, y * y
    return (4 - 2.1 * xx + xx * xx / 3) * xx + x * y + (-4 + 4 * yy) * yy


def three_hump(w: Tensor) -> Tensor:
    x, y = w.unbind(-1)
    xx = x * x
    return 2 * xx - 1.05 * xx * xx + xx * xx * xx / 6 + x * y + y * y


def himmelblau(w: Tensor) -> Tensor:
    x, y = w.unbind(-1)
    a, b = x * x + y - 11, x + y * y - 7
    return a * a + b * b


def bowl(w: Tensor) -> Tensor:
    """Quadratic in four dimensions, condition number 20, minimum at (1, 1, 1, 1)."""
    curvature = torch.tensor([0.5, 1.0, 4.0, 10.0], dtype=w.dtype)
    return (curvature * (w - 1) * (w - 1)).sum(-1)


def bowl_2d(w: Tensor) -> Tensor:
    return ((w - 1) * (w - 1)).sum(-1)


def starts(members: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Points drawn uniformly from six-hump's usual domain [-2, 2] × [-1, 1]."""
    unit = torch.rand(members, 2, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return (2 * unit - 1) * torch.tensor([2.0, 1.0], dtype=dtype)


def point(start: Tensor | list[float]) -> nn.Parameter:
    return nn.Parameter(torch.as_tensor(start, dtype=torch.float64).clone())


def closure_of(function: Callable[[Tensor], Tensor], w: nn.Parameter) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        w.grad = None
        loss = function(w)
        loss.sum().backward()
        return loss

    return closure


def closure_on(optimizer: torch.optim.Optimizer, loss: Callable[..., Tensor]) -> Callable[[], Tensor]:
    """Return what a step takes: it clears gradients, evaluates a loss, or one a model, and backpropagates it."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = loss()
        losses.sum().backward()
        return losses.detach()

    return closure


# ---------------------------------------------------------------- a small net


def small_net(seed: int = 0) -> nn.Sequential:
    """Convolution, BatchNorm, dropout and a linear layer, in train mode."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(64, 3)
        )


def batch(step: int, size: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1000 + step % 8)
    return torch.randn(size, 1, 6, 6, generator=generator), torch.randint(3, (size,), generator=generator)


def net_closure(model: nn.Module, step: int, scaler: torch.amp.GradScaler | None = None, autocast: bool = False):
    x, y = batch(step)

    def closure() -> Tensor:
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = cross_entropy(model(x), y)
        (loss if scaler is None else scaler.scale(loss)).backward()
        return loss

    return closure


def fixed_loss(model: nn.Module) -> Callable[[], Tensor]:
    """Loss on a sample of its own, in train mode: it would draw dropout masks and move the statistics, if let."""
    x, y = batch(-1, 24)
    return lambda: cross_entropy(model(x), y)


def make_for(model: nn.Module, name: str, **options: Any) -> Optimizer:
    return make(name, model.parameters(), buffers=model.buffers(), **options)


def train(model: nn.Module, optimizer: Any, steps: range, **how: Any) -> list[list[Tensor]]:
    """Train on minibatches; return parameters, buffers and the global random state after each step."""
    history = []
    for t in steps:
        if isinstance(optimizer, Optimizer):
            optimizer.step(net_closure(model, t, **how), fixed_loss(model))
        else:
            optimizer.step(net_closure(model, t, **how))
        history.append([*snapshot(model), torch.get_rng_state()])
    return history


def snapshot(model: nn.Module) -> list[Tensor]:
    return [t.detach().clone() for t in [*model.parameters(), *model.buffers()]]


def counters(optimizer: Optimizer) -> list[Any]:
    return [getattr(optimizer, name) for name in COUNTERS]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    """Whether two lists of tensors are equal bit for bit (but for the sign of zero; a NaN equals a NaN)."""
    return len(a) == len(b) and all(
        torch.equal(s, t) or bool(((s == t) | (s.isnan() & t.isnan())).all()) for s, t in zip(a, b, strict=True)
    )


def close(a: list[Tensor], b: list[Tensor], **tolerance: float) -> bool:
    return len(a) == len(b) and all(torch.allclose(s, t, **tolerance) for s, t in zip(a, b, strict=True))


# ---------------------------------------------------------------- noise that is fed


class Fed:
    """Noise from a table of steps: all rows for a population, one member's row for a single model."""

    def __init__(self, shapes: list[tuple[int, ...]], steps: int, members: int, member: int | None = None) -> None:
        generator = torch.Generator().manual_seed(99)
        self.rows = slice(None) if member is None else slice(member, member + 1)
        self.zeta = [
            [torch.randn(members, *s, generator=generator, dtype=torch.float64) for s in shapes] for _ in range(steps)
        ]
        self.chance = torch.rand(steps, members, generator=generator, dtype=torch.float64)
        self.step = 0

    def __call__(self, models: list[Tensor], generator: torch.Generator) -> list[Tensor]:
        return [z[self.rows].to(t.dtype) for z, t in zip(self.zeta[self.step], models, strict=True)]

    def metropolis(self, candidate: Tensor, reference: Tensor, temperature: float, generator: Any) -> Tensor:
        """Decide as `metropolis` does, with the step's own chances."""
        return self.chance[self.step, self.rows] < torch.exp((reference - candidate) / temperature)
