"""SAM against a two-step reference written by hand, and every optimizer under autocast and with a gradient scaler."""

from contextlib import nullcontext
from typing import Any

import helpers
import pytest
import torch
from helpers import INF, same
from torch import nn
from torch.nn.functional import cross_entropy

from popview.optimizers import AcceptRule, make

HOW = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}


def reference_step(
    model: nn.Module, base: torch.optim.SGD, t: int, rho: float, autocast: bool = False, keep_statistics: bool = True
) -> None:
    """Foret et al.'s two steps, around torch's own SGD."""
    x, y = helpers.batch(t)

    def backward() -> None:
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = cross_entropy(model(x), y)
        loss.backward()

    masks = torch.get_rng_state()
    backward()
    later = torch.get_rng_state()
    params, buffers = list(model.parameters()), [b.clone() for b in model.buffers()]
    weights = [p.detach().clone() for p in params]
    length = torch.cat([p.grad.flatten() for p in params]).norm()
    with torch.no_grad():
        for p in params:
            p += p.grad * (rho / length)
    torch.set_rng_state(masks)
    backward()
    torch.set_rng_state(later)
    with torch.no_grad():
        for p, w in zip(params, weights, strict=True):
            p.copy_(w)
        if keep_statistics:
            for b, kept in zip(model.buffers(), buffers, strict=True):
                b.copy_(kept)
    base.step()


def distance(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    return sum(float((s.double() - t.double()).square().sum()) for s, t in zip(a, b, strict=True)) ** 0.5


class Test_SAM:
    @pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
    @pytest.mark.parametrize("rho", [0.05, 1.0])
    def test_is_the_reference(self, rho, autocast):
        ours, theirs = helpers.small_net(), helpers.small_net()
        start = helpers.snapshot(ours)
        optimizer, base = (
            helpers.make_for(ours, "SAM", rho=rho, **HOW),
            torch.optim.SGD(theirs.parameters(), **HOW),
        )
        for t in range(10):
            torch.manual_seed(t)
            helpers.train(ours, optimizer, range(t, t + 1), autocast=autocast)
            drawn = torch.get_rng_state()
            torch.manual_seed(t)
            reference_step(theirs, base, t, rho, autocast)
            assert torch.equal(drawn, torch.get_rng_state())
            if t == 0:
                assert same(list(ours.buffers()), list(theirs.buffers()))
        far = distance(start, helpers.snapshot(theirs))
        assert distance(helpers.snapshot(ours), helpers.snapshot(theirs)) < far * (2e-3 if autocast else 1e-5)
        assert (optimizer.gradient_evaluations, optimizer.loss_evaluations) == (20, 0)

    def test_the_reference_would_show_statistics_of_the_second_pass(self):
        models = [helpers.small_net(), helpers.small_net()]
        for model, keep in zip(models, (True, False), strict=True):
            base = torch.optim.SGD(model.parameters(), **HOW)
            torch.manual_seed(0)
            reference_step(model, base, 0, 0.05, keep_statistics=keep)
        assert not same(list(models[0].buffers()), list(models[1].buffers()))

    def test_autocast_around_the_step_is_autocast_inside_the_closure(self):
        """The cache of cast weights must not outlive the weights: a context around many steps would keep it."""
        ends = []
        for around in (nullcontext(), torch.autocast("cpu", torch.bfloat16), torch.autocast("cpu", enabled=False)):
            model = helpers.small_net()
            optimizer = helpers.make_for(model, "SAM", rho=1.0, **HOW)
            torch.manual_seed(0)
            with around:
                helpers.train(model, optimizer, range(6), autocast=True)
            ends.append(helpers.snapshot(model))
        assert same(ends[0], ends[1])
        assert same(ends[0], ends[2])

    def test_looks_uphill_by_rho_and_comes_back(self):
        w, seen = helpers.point(helpers.starts(5)), []

        def closure():
            seen.append(w.detach().clone())
            return helpers.closure_of(helpers.six_hump, w)()

        make("SAM", [w], lr=1e-12, rho=0.02, population=True).step(closure)
        torch.testing.assert_close((seen[1] - seen[0]).norm(dim=1), torch.full((5,), 0.02).double())
        assert (helpers.six_hump(seen[1]) > helpers.six_hump(seen[0])).all()
        torch.testing.assert_close(w.detach(), seen[0])

    def test_ascent_is_zero_where_the_gradient_is(self):
        w = helpers.point([0.0, 0.0])
        make("SAM", [w], lr=0.1).step(helpers.closure_of(helpers.three_hump, w))
        assert w.tolist() == [0, 0]

    def test_ascent_has_no_weight_decay(self):
        w, seen = helpers.point([2.0, -1.0]), []

        def closure():
            seen.append(w.detach().clone())
            return helpers.closure_of(helpers.bowl_2d, w)()

        make("SAM", [w], lr=0.1, rho=0.5, weight_decay=10.0).step(closure)
        direction = 2 * (seen[0] - 1)
        torch.testing.assert_close(seen[1] - seen[0], 0.5 * direction / direction.norm())


#: Every kind of step: name and options; the net's steps 1 and 2 are ordinary, a hop starts at step 4.
STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {}),
    "SGD, normalized": ("SGD", {"normalized": True}),
    "NiG-SGD": ("NiG-SGD", {"rho": 0.1}),
    "NiM-SGD, firing": ("NiM-SGD", {"rho": 0.1, "tau": 1, "epsilon": INF}),
    "SAM": ("SAM", {"rho": 0.1}),
    "NiG-MBH": ("NiG-MBH", {"rho": 0.1, "tau": 3, "epsilon": 0.0}),
    "NiM-MBH": ("NiM-MBH", {"rho": 0.1, "tau": 3, "epsilon": 0.0}),
    "AdamW": ("AdamW", {}),
    "SWA": ("SWA", {}),
    "SGLD": ("SGLD", {}),
}


def build(label: str, scaler: torch.amp.GradScaler | None, **more: Any) -> Any:
    name, options = STEPS[label]
    how = {"lr": 0.002} if name == "AdamW" else HOW
    model = helpers.small_net()
    return model, helpers.make_for(model, name, scaler=scaler, **how, **options, **more)


def new_scaler() -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", init_scale=1024.0)


class Test_MixedPrecision:
    @pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
    @pytest.mark.parametrize("label", STEPS)
    def test_scaled_is_unscaled(self, label, autocast):
        ends, counts = [], []
        for scaler in (None, new_scaler()):
            model, optimizer = build(label, scaler)
            torch.manual_seed(0)
            for t in range(8):
                helpers.train(model, optimizer, range(t, t + 1), scaler=scaler, autocast=autocast)
                if scaler is not None:
                    scaler.update()
                    assert scaler.get_scale() == 1024
            ends.append(helpers.snapshot(model))
            counts.append(helpers.counters(optimizer))
        assert helpers.close(*ends, rtol=1e-4, atol=1e-6)
        assert counts[0] == counts[1]

    @pytest.mark.parametrize("label", ["SGD", "SAM"])
    def test_gradients_clipped_at_the_scale_are_clipped(self, label):
        """As the docstring says: inside the closure, to the norm times the scale."""
        ends = []
        for scaler in (None, new_scaler()):
            model, optimizer = build(label, scaler)
            limit = 0.1 * (1 if scaler is None else 1024)

            def clipped(closure, model=model, limit=limit):
                loss = closure()
                assert nn.utils.clip_grad_norm_(model.parameters(), limit) > limit  # it does clip
                return loss

            for t in range(3):
                torch.manual_seed(t)
                step = helpers.net_closure(model, t, scaler)
                optimizer.step(lambda step=step, clipped=clipped: clipped(step))
                if scaler is not None:
                    scaler.update()
            ends.append(helpers.snapshot(model))
        assert helpers.close(*ends, rtol=1e-4, atol=1e-6)

    def test_a_disabled_scaler_does_nothing(self):
        ends = []
        for scaler in (None, torch.amp.GradScaler("cpu", enabled=False)):
            model, optimizer = build("SAM", scaler)
            torch.manual_seed(0)
            helpers.train(model, optimizer, range(4), scaler=scaler)
            ends.append(helpers.snapshot(model))
            optimizer.step(Spoilt(model, 4, torch.amp.GradScaler("cpu", enabled=False), 1, float("nan")))
            assert torch.isnan(model[-1].weight[0, 0]), "divergence shows, as without a scaler"
        assert same(*ends)

    def test_groups_added_later_are_unscaled_in_both_passes(self):
        ends = []
        for scaler in (None, new_scaler()):
            model = helpers.small_net()
            optimizer = make("SAM", model[:2].parameters(), buffers=model.buffers(), scaler=scaler, **HOW)
            optimizer.add_param_group({"params": model[2:].parameters()})
            torch.manual_seed(0)
            helpers.train(model, optimizer, range(1), scaler=scaler)
            ends.append(helpers.snapshot(model))
        assert helpers.close(*ends, rtol=1e-4, atol=1e-6)


class Spoilt:
    """A step's closure whose pass number `which` (1 or 2) meets an infinity or NaN, as an overflow leaves it."""

    def __init__(self, model: nn.Module, t: int, scaler: torch.amp.GradScaler, which: int, value: float) -> None:
        self.closure, self.model = helpers.net_closure(model, t, scaler), model
        self.which, self.value, self.passes = which, value, 0

    def __call__(self) -> torch.Tensor:
        self.passes += 1
        loss = self.closure()
        if self.passes == self.which:
            self.model[-1].weight.grad[0, 0] = self.value
        return loss


def momenta(optimizer: Any) -> list[torch.Tensor]:
    return [value.clone() for state in optimizer.state.values() for key, value in sorted(state.items()) if "mom" in key]


class Test_Skip:
    @pytest.mark.parametrize("value", [INF, float("nan")])
    @pytest.mark.parametrize(
        ("label", "which"),
        [(label, 1) for label in STEPS] + [("SAM", 2), ("NiM-SGD, firing", 2)],
    )
    def test_an_overflow_leaves_the_model_bit_for_bit(self, label, which, value):
        scaler = new_scaler()
        model, optimizer = build(label, scaler)
        torch.manual_seed(0)
        for t in range(2):
            helpers.train(model, optimizer, range(t, t + 1), scaler=scaler)
            scaler.update()
        params = [p.detach().clone() for p in model.parameters()]
        velocity = momenta(optimizer)
        assert velocity
        spoilt = Spoilt(model, 2, scaler, which, value)
        optimizer.step(spoilt, helpers.fixed_loss(model))
        assert spoilt.passes == which, "no second pass after an overflow in the first"
        assert same([p.detach() for p in model.parameters()], params)
        assert same(momenta(optimizer), velocity)
        scaler.update()
        assert scaler.get_scale() == 512
        helpers.train(model, optimizer, range(3, 4), scaler=scaler)
        scaler.update()
        assert scaler.get_scale() == 512
        assert not same([p.detach() for p in model.parameters()], params)
        assert all(torch.isfinite(p).all() for p in model.parameters())

    @pytest.mark.parametrize("label", ["NiG-MBH", "NiM-MBH"])
    def test_at_a_hops_start_the_model_is_perturbed_once(self, label):
        """And is rejected to the very minimum that the hop started from."""
        never = AcceptRule(lambda candidate, reference, temperature, generator: torch.zeros_like(candidate) > 0)
        scaler, rho = new_scaler(), 0.1
        model, optimizer = build(
            label, scaler, noise=lambda models, generator: [torch.ones_like(t) for t in models], accept=never
        )
        torch.manual_seed(0)
        for t in range(3):
            helpers.train(model, optimizer, range(t, t + 1), scaler=scaler)
            scaler.update()
        minimum = [p.detach().clone() for p in model.parameters()]
        for _ in range(2):  # two overflows in a row
            optimizer.step(Spoilt(model, 3, scaler, 1, INF), helpers.fixed_loss(model))
            scaler.update()
            shift = rho if label == "NiM-MBH" else 0.0
            assert helpers.close([p.detach() for p in model.parameters()], [p + shift for p in minimum], atol=1e-6)
        assert scaler.get_scale() == 256
        assert optimizer.hops_tried == 0
        while optimizer.hops_tried == 0:
            helpers.train(model, optimizer, range(4, 5), scaler=scaler)
            scaler.update()
        assert optimizer.noise_triggers == 1
        assert same([p.detach() for p in model.parameters()], minimum)
