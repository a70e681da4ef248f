"""Every algorithm on models as people have them: parameters without a gradient, shared, frozen, in groups, in bfloat16.

Where an algorithm contains torch's SGD or AdamW, it is compared with that bit for bit, state included.
"""

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import closure_on
from torch import Tensor, nn

from popview.optimizers import ALGORITHMS, AcceptRule, hyperparameters, make

INF = float("inf")
Groups = Callable[[nn.Module], list[dict[str, Any]]]


class Chain(nn.Module):
    """Three layers; the middle one is left out of some passes, a head is never used, one layer may be frozen."""

    def __init__(self, leaves_out: Callable[[int], bool] = lambda t: False, tied: bool = False, image: bool = False):
        super().__init__()
        self.a = nn.Conv2d(1, 6, 3, padding=1) if image else nn.Linear(6, 6)
        self.norm = nn.BatchNorm2d(6) if image else nn.BatchNorm1d(6)
        self.b, self.c, self.head = nn.Linear(6, 6), nn.Linear(6, 3), nn.Linear(6, 2)
        self.leaves_out, self.image, self.step = leaves_out, image, 0
        if tied:
            self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.a(x.view(-1, 1, 2, 3) if self.image else x)))
        x = x.mean((2, 3)) if self.image else x
        return self.c(x if self.leaves_out(self.step) else torch.tanh(self.b(x)))


def frozen(model: Chain) -> Chain:
    model.a.requires_grad_(False)
    return model


#: Name → the model. The middle layer is left out by the step's number, or by torch's or Python's random numbers.
ZOO: dict[str, Callable[[], Chain]] = {
    "unused head": Chain,
    "tied weights": lambda: Chain(tied=True),
    "layer dropped by step": lambda: Chain(lambda t: t % 2 == 1),
    "layer dropped at random": lambda: Chain(lambda t: bool(torch.rand(()) < 0.5)),
    "layer dropped for long": lambda: Chain(lambda t: t > 4),
    "layer dropped late": lambda: Chain(lambda t: t > 15 and t % 4 == 0),  # first where a hop starts
    "frozen layer": lambda: frozen(Chain()),
    "frozen and dropped": lambda: frozen(Chain(lambda t: t % 3 == 0)),
    "two groups": Chain,
    "bfloat16": lambda: Chain(lambda t: t % 2 == 0),
    "channels last": lambda: Chain(image=True).to(memory_format=torch.channels_last),
}

#: The algorithms as SGD: without noise, or before any.
AS_SGD: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {}),
    "NiG-SGD": ("NiG-SGD", {"rho": 0.0}),
    "NiM-SGD, firing": ("NiM-SGD", {"rho": 0.0, "tau": 1, "epsilon": INF}),
    "SAM": ("SAM", {"rho": 0.0}),
    "NiG-BH": ("NiG-BH", {"rho": 0.0, "tau": 2, "epsilon": 0.0}),
    "NiM-BH": ("NiM-BH", {"rho": 0.0, "tau": 2, "epsilon": 0.0}),
    "NiG-MBH, accepting": ("NiG-MBH", {"rho": 0.0, "tau": 3, "epsilon": 0.0, "accept": "yes"}),
    "NiM-MBH, accepting": ("NiM-MBH", {"rho": 0.0, "tau": 3, "epsilon": 0.0, "accept": "yes"}),
    "SWA": ("SWA", {}),
    "SGLD": ("SGLD", {"temperature": 0.0}),
}


def always(candidate: Tensor, reference: Tensor, temperature: float, generator: Any) -> Tensor:
    return torch.ones_like(candidate, dtype=torch.bool)


def model_of(name: str) -> Chain:
    torch.manual_seed(0)
    return ZOO[name]()


def parameters(name: str, model: nn.Module) -> Any:
    if name != "two groups":
        return model.parameters()
    biases = [p for p in model.parameters() if p.dim() == 1]
    return [
        {"params": [p for p in model.parameters() if p.dim() > 1]},
        {"params": biases, "weight_decay": 0.0, "lr": 0.02},
    ]


def closure_of(name: str, model: Chain, optimizer: Any, t: int, clear: Callable[[], None] | None = None) -> Callable:
    generator = torch.Generator().manual_seed(t)
    x, y = torch.randn(12, 6, generator=generator), torch.randint(3, (12,), generator=generator)
    clear = optimizer.zero_grad if clear is None else clear

    def closure() -> Tensor:
        clear()
        model.step = t
        with torch.autocast("cpu", torch.bfloat16, enabled=name == "bfloat16"):
            loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    return closure


def train(name: str, build: Callable[[Chain], Any], steps: int = 8, set_to_none: bool = True) -> tuple[list, Any]:
    """Return the parameters and buffers after each step, and the optimizer."""
    model = model_of(name)
    optimizer, path = build(model), []
    for t in range(steps):
        torch.manual_seed(t)
        random.seed(t)
        clear = lambda: optimizer.zero_grad(set_to_none=set_to_none)  # noqa: E731
        optimizer.step(closure_of(name, model, optimizer, t, clear))
        path.append([p.detach().clone() for p in [*model.parameters(), *model.buffers()]])
    return path, optimizer


def equal(a: list, b: list) -> bool:
    return all(torch.equal(s, t) for left, right in zip(a, b, strict=True) for s, t in zip(left, right, strict=True))


def ours(name: str, label: str, options: dict[str, Any]) -> Callable[[Chain], Any]:
    options = {k: AcceptRule(always) if v == "yes" else v for k, v in options.items()}
    return lambda model: make(label, parameters(name, model), buffers=model.named_buffers(), **options)


class Test_Contained:
    @pytest.mark.parametrize("set_to_none", [True, False], ids=["none", "zero"])
    @pytest.mark.parametrize("label", AS_SGD)
    @pytest.mark.parametrize("name", ZOO)
    def test_is_torchs_sgd(self, name, label, set_to_none):
        how = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}
        algorithm, options = AS_SGD[label]
        expected, reference = train(
            name, lambda model: torch.optim.SGD(parameters(name, model), **how), set_to_none=set_to_none
        )
        path, optimizer = train(name, ours(name, algorithm, {**how, **options}), set_to_none=set_to_none)
        assert equal(path, expected)
        assert not equal(path[:1], path[-1:])
        for p, q in zip(reference.param_groups[0]["params"], optimizer.param_groups[0]["params"], strict=True):
            theirs = reference.state[p].get("momentum_buffer") if p in reference.state else None
            own = optimizer.state[q].get("momentum_buffer") if q in optimizer.state else None
            if theirs is None:  # what may return to a reference has its momentum from the start: zeros
                assert own is None or ("MBH" in label and not own.any())
            else:
                assert own is not None
                assert torch.equal(own, theirs)

    @pytest.mark.parametrize("name", ZOO)
    def test_is_torchs_adamw(self, name):
        how = {"lr": 0.02, "weight_decay": 0.1}
        expected, _ = train(name, lambda model: torch.optim.AdamW(parameters(name, model), foreach=False, **how))
        path, _ = train(name, ours(name, "AdamW", how))
        assert equal(path, expected)


#: Every algorithm with all that is its own.
ACTING: dict[str, dict[str, Any]] = {
    "SGD": {},
    "NiG-SGD": {},
    "NiM-SGD": {"tau": 1, "epsilon": INF},
    "SAM": {},
    "NiG-BH": {"tau": 2, "epsilon": 0.0},
    "NiM-BH": {"tau": 2, "epsilon": 0.0},
    "NiG-MBH": {"tau": 2, "epsilon": 0.0, "accept": "yes"},
    "NiM-MBH": {"tau": 2, "epsilon": 0.0, "accept": "yes"},
    "AdamW": {"lr": 0.01},
    "SWA": {},
    "SGLD": {"temperature": 0.01},
    "L-BFGS-GSS": {},
}


class Test_Left_Alone:
    def test_has_every_algorithm(self):
        assert {ALGORITHMS[name] for name in ACTING} == set(ALGORITHMS.values())

    @pytest.mark.parametrize("label", ACTING)
    @pytest.mark.parametrize("name", [name for name in ZOO if name not in ("tied weights", "two groups")])
    def test_what_has_no_gradient_in_a_step_stays(self, name, label):
        """The first pass tells which parameters have none, since only it is seen here: drops are by the step."""
        if name == "layer dropped at random" and label == "L-BFGS-GSS":
            pytest.skip("a line search needs the same loss each time")
        model = model_of(name)
        options = {"rho": 0.3, "momentum": 0.9, "weight_decay": 0.05, **ACTING[label]}
        options = {k: v for k, v in options.items() if k in hyperparameters(label)}
        optimizer = ours(name, label, options)(model)
        moved, still = 0, 0
        for t in range(24):
            before = {n: p.detach().clone() for n, p in model.named_parameters()}
            momenta = {n: copy.deepcopy(optimizer.state.get(p)) for n, p in model.named_parameters()}
            torch.manual_seed(t)
            optimizer.step(closure_of(name, model, optimizer, t))
            for n, p in model.named_parameters():
                if p.grad is None:
                    still += 1
                    assert torch.equal(p, before[n]), f"{n} moved in step {t}"
                    then, now = momenta[n] or {}, optimizer.state.get(p) or {}
                    kept = [key for key in then if "average" not in key and "reference" not in key]
                    assert all(torch.equal(then[key], now[key]) for key in kept)
                elif not torch.equal(p, before[n]):
                    moved += 1
                assert torch.isfinite(p).all()
        assert still >= 24
        assert moved >= 24

    def test_the_ball_has_the_dimension_of_what_moves(self):
        """On the unit sphere the displacement of what has a gradient is ρ, whatever else the model holds."""
        model, dimensions = model_of("unused head"), []

        def noise(models, generator):
            dimensions.append(sum(t[0].numel() for t in models))
            zeta = [torch.ones_like(t) for t in models]
            return [z * dimensions[-1] ** -0.5 for z in zeta]

        optimizer = make("NiG-SGD", model.parameters(), lr=1.0, rho=0.5, noise=noise)
        before = [p.detach().clone() for p in model.parameters()]
        closure = closure_of("unused head", model, optimizer, 0)
        optimizer.step(closure)
        ζ = [b - p.grad - p.detach() for b, p in zip(before, model.parameters(), strict=True) if p.grad is not None]
        assert dimensions == [sum(z.numel() for z in ζ)]
        assert sum(z.square().sum() for z in ζ).sqrt().item() == pytest.approx(0.5, rel=1e-4)

    def test_norms_are_of_what_has_a_gradient(self):
        used, unused = nn.Parameter(torch.tensor([3.0, 4.0])), nn.Parameter(torch.tensor([100.0]))
        seen = []

        def closure():
            optimizer.zero_grad()
            seen.append(used.detach().clone())
            loss = used.square().sum() / 2
            loss.backward()
            return loss

        optimizer = make("SAM", [used, unused], lr=0.1, rho=0.5)
        optimizer.step(closure)
        torch.testing.assert_close(seen[1], torch.tensor([3.3, 4.4]))
        assert unused.item() == 100

    @pytest.mark.parametrize("label", ACTING)
    def test_a_step_in_which_nothing_has_a_gradient_changes_nothing(self, label):
        w, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
        optimizer = make(label, [w])

        closure = closure_on(optimizer, lambda: (other**2).sum())

        for _ in range(4):
            assert optimizer.step(closure).item() == 2
        assert torch.equal(w, torch.ones(2))

    @pytest.mark.parametrize("label", ACTING)
    def test_frozen_and_thawed_in_between(self, label):
        model = model_of("unused head")
        options = {k: v for k, v in ACTING[label].items() if k != "accept"}
        optimizer = make(label, model.parameters(), buffers=model.buffers(), **options)
        for t in range(12):
            model.a.requires_grad_(t < 4 or t >= 8)
            before = model.a.weight.detach().clone()
            optimizer.step(closure_of("unused head", model, optimizer, t))
            if 4 <= t < 8:
                assert torch.equal(model.a.weight, before)
        assert torch.isfinite(model.a.weight).all()

    @pytest.mark.parametrize("label", ACTING)
    def test_whole_numbers_and_complex_ones_may_be_frozen(self, label):
        held = [nn.Parameter(t, requires_grad=False) for t in (torch.arange(3), torch.ones(2, dtype=torch.cfloat))]
        w = nn.Parameter(torch.ones(2))
        optimizer = make(label, [*held, w], **{k: v for k, v in ACTING[label].items() if k != "accept"})
        for _ in range(4):
            closure = closure_on(optimizer, lambda: (w**2).sum())

            optimizer.step(closure)
        optimizer.finish()
        assert held[0].tolist() == [0, 1, 2]
        assert not torch.equal(w, torch.ones(2))

    def test_a_population_with_a_layer_that_is_dropped(self):
        """Row by row what each model gives alone, and the frozen tensor need not have the population's size."""
        ends = []
        for rows in (slice(None), slice(0, 1), slice(1, 2)):
            a, b = (nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, -1.0]])[rows].clone()) for _ in range(2))
            optimizer = make("SAM", [a, b, torch.ones(7)], population=True, lr=0.1, rho=0.2, momentum=0.5)
            for t in range(6):
                closure = closure_on(
                    optimizer,
                    lambda t=t, a=a, b=b, optimizer=optimizer: (a**2).sum(1) + ((b**2).sum(1) if t % 2 else 0),
                )

                optimizer.step(closure)
            ends.append(torch.cat([a, b], 1).detach())
        torch.testing.assert_close(ends[0], torch.cat(ends[1:]), rtol=0, atol=0)


class Test_LBFGS:
    def test_a_dropped_layer_counts_as_zero_and_its_history_is_forgotten(self):
        a, b = (nn.Parameter(torch.tensor([2.0, -1.0], dtype=torch.float64)) for _ in range(2))
        optimizer = make("L-BFGS-GSS", [a, b])
        for t in range(40):
            both = t % 4 < 2
            before = b.detach().clone()

            closure = closure_on(
                optimizer, lambda both=both: a[0] ** 2 + 50 * a[1] ** 2 + ((b**2).sum() if both else 0)
            )

            optimizer.step(closure)
            if t % 4 in (0, 2):
                assert len(optimizer._pairs) == 0
            if not both:
                assert torch.equal(b, before)
        assert a.norm() < 1e-3
        assert b.norm() < 1e-3
