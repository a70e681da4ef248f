"""Optimizers among other people's tools: accumulated gradients, scalers, copies, checkpoints, trainers, compilers."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import helpers
import pytest
import torch
from helpers import CASES, closure_of, options_for
from torch import Tensor, nn
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

from popview.common.errors import UsageError
from popview.optimizers import ALGORITHMS, BasinHopping, Perturb, hyperparameters, make
from popview.optimizers.noise import NOISES, SCOPES, make_noise

INF = float("inf")
#: The algorithms that need one gradient a step, and those that call closures again or move the model before.
PLAIN = ("SGD", "NiG-SGD", "AdamW", "SWA", "SGLD")
REPLAYING = ("NiM-SGD", "SAM", "NiG-BH", "NiM-BH", "NiG-MBH", "NiM-MBH", "L-BFGS-GSS")


def acting(name: str, **more: Any) -> dict[str, Any]:
    """Options with which an algorithm soon does what is its own."""
    world = {"lr": 0.05, "momentum": 0.9, "rho": 0.2, "tau": 2, "epsilon": INF if name == "NiM-SGD" else 0.0, **more}
    return {k: v for k, v in world.items() if k in hyperparameters(name)}


def regression() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    return model, torch.randn(12, 3), torch.randn(12, 1)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


class Test_Accumulation:
    """Whatever clears the gradients, and whoever accumulates them: the weights are those of one clean closure."""

    def path(self, name: str, step: Callable, steps: int = 8) -> Tensor:
        model, x, y = regression()
        optimizer = make(name, model.parameters(), **acting(name))
        for _ in range(steps):
            step(model, optimizer, x, y)
        return weights(model)

    @staticmethod
    def clean(model, optimizer, x, y):
        closure = helpers.closure_on(optimizer, lambda: (model(x) - y).square().mean())

        optimizer.step(closure)

    @staticmethod
    def cleared_outside(model, optimizer, x, y, how=None):
        def closure():
            loss = (model(x) - y).square().mean()
            loss.backward()
            return loss

        (how or optimizer.zero_grad)()
        optimizer.step(closure)

    @staticmethod
    def zeroed_outside(model, optimizer, x, y):
        Test_Accumulation.cleared_outside(model, optimizer, x, y, lambda: model.zero_grad(set_to_none=False))

    @staticmethod
    def zeroed_inside(model, optimizer, x, y):
        def closure():
            optimizer.zero_grad(set_to_none=False)
            loss = (model(x) - y).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)

    @staticmethod
    def from_autograd(model, optimizer, x, y):
        def closure():
            loss = (model(x) - y).square().mean()
            for p, g in zip(model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True):
                p.grad = g
            return loss.item()

        optimizer.step(closure)

    @pytest.mark.parametrize("way", ["cleared_outside", "zeroed_outside", "zeroed_inside", "from_autograd"])
    @pytest.mark.parametrize("name", [*PLAIN, *REPLAYING])
    def test_who_clears_does_not_matter(self, name, way):
        assert torch.equal(self.path(name, getattr(self, way)), self.path(name, self.clean))

    @pytest.mark.parametrize("name", REPLAYING)
    def test_a_closure_that_never_clears_is_as_one_that_does(self, name):
        """Of algorithms that evaluate closures again; torch's, and ours that do not, go on adding."""
        never = self.path(name, lambda *given: self.cleared_outside(*given, how=lambda: None))
        assert torch.equal(never, self.path(name, self.clean))

    @pytest.mark.parametrize("name", PLAIN)
    def test_one_that_never_clears_adds_up_as_torchs_do(self, name):
        if name in ("NiG-SGD", "SGLD"):
            pytest.skip("has no counterpart in torch")
        model, x, y = regression()
        other = copy.deepcopy(model)
        how = acting(name)
        reference = (torch.optim.AdamW if name == "AdamW" else torch.optim.SGD)(other.parameters(), **how)
        optimizer = make(name, model.parameters(), **how, **({"weight_decay": 0.01} if name == "AdamW" else {}))
        for _ in range(5):
            self.cleared_outside(model, optimizer, x, y, lambda: None)
            self.cleared_outside(other, reference, x, y, lambda: None)
        assert torch.equal(weights(model), weights(other))

    @pytest.mark.parametrize("name", REPLAYING)
    def test_gradients_from_before_the_step_are_refused_and_nothing_has_moved(self, name):
        model, x, y = regression()
        optimizer = make(name, model.parameters(), **acting(name))
        for done in range(4):
            before, state = weights(model), copy.deepcopy(optimizer.state_dict()["run"]["counts"])
            (model(x[:6]) - y[:6]).square().mean().backward()
            with pytest.raises(UsageError, match=r"params\[0\] has a gradient that was accumulated.*closure") as caught:
                self.clean(model, optimizer, x, y)
            assert "\n" not in str(caught.value)
            assert torch.equal(weights(model), before)
            assert optimizer.state_dict()["run"]["counts"] == state
            assert optimizer.steps == done
            optimizer.zero_grad()
            self.clean(model, optimizer, x, y)

    @pytest.mark.parametrize("name", REPLAYING)
    def test_gradients_of_another_optimizer_are_no_obstacle(self, name):
        model, x, y = regression()
        self.clean(model, make("SGD", model.parameters()), x, y)
        optimizer = make(name, model[0].parameters(), **acting(name))
        optimizer.add_param_group({"params": model[2].parameters()})
        self.clean(model, optimizer, x, y)
        assert optimizer.steps == 1

    @pytest.mark.parametrize("name", [*PLAIN, *REPLAYING])
    def test_inside_the_closure_minibatches_add_up_to_the_batch(self, name):
        def split(model, optimizer, x, y):
            def closure():
                optimizer.zero_grad()
                total = 0.0
                for rows in (slice(0, 3), slice(3, 6), slice(6, 12)):
                    loss = (model(x[rows]) - y[rows]).square().sum() / len(x)
                    loss.backward()
                    total = total + loss.detach()
                return total

            optimizer.step(closure)

        steps = 4  # rounding grows
        torch.testing.assert_close(
            self.path(name, split, steps), self.path(name, self.clean, steps), rtol=1e-3, atol=1e-4
        )

    @pytest.mark.parametrize("name", PLAIN)
    def test_minibatches_before_the_step_are_used_as_torch_uses_them(self, name):
        """As Lightning and accelerate do it: all but the last backward before `step`, the last one in the closure."""

        def before(model, optimizer, x, y, inside=True):
            optimizer.zero_grad()
            halves = [lambda rows=rows: (model(x[rows]) - y[rows]).square().sum() / len(x) for rows in
                      (slice(0, 6), slice(6, 12))]  # fmt: skip
            halves[0]().backward()

            def closure():
                loss = halves[1]()
                loss.backward()
                return loss

            if inside:
                optimizer.step(closure)
            else:
                closure()
                optimizer.step()

        ends = [self.path(name, before), self.path(name, lambda *given: before(*given, inside=False))]
        assert torch.equal(*ends)
        torch.testing.assert_close(ends[0], self.path(name, self.clean), rtol=1e-3, atol=1e-4)

    def test_calls_as_lightning_makes_them(self):
        """Manual optimization: a wrapper around the closure, and one that does nothing where none is given."""

        def wrapped(closure):
            result = closure()
            assert any(p.grad is not None for p in model.parameters())  # gradient clipping comes here
            return result

        model, x, y = regression()
        optimizer, sgd = make("SAM", model.parameters(), lr=0.1), make("SGD", model.parameters(), lr=0.1)

        def closure():
            optimizer.zero_grad()
            for rows in (slice(0, 6), slice(6, 12)):
                loss = (model(x[rows]) - y[rows]).square().mean() / 2
                loss.backward()
            return loss

        optimizer.step(closure=lambda: wrapped(closure))
        assert optimizer.gradient_evaluations == 2
        before = weights(model)
        sgd.step(closure=lambda: None)
        assert not torch.equal(weights(model), before)
        with pytest.raises(TypeError, match="must return the loss"):
            sgd.step(lambda: closure() and None)

    def test_calls_as_accelerate_makes_them(self):
        """Its wrapper passes None on, moves the state through a dict at its start, and names `set_to_none`."""
        for name in PLAIN:
            ends = []
            for wrapped in (False, True):
                model, x, y = regression()
                optimizer = make(name, model.parameters(), **acting(name))
                if wrapped:
                    optimizer.load_state_dict(optimizer.state_dict())
                for _ in range(3):
                    (model(x) - y).square().mean().backward()
                    optimizer.step(None) if wrapped else optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
                ends.append(weights(model))
            assert torch.equal(*ends)


class Test_Without_A_Closure:
    @pytest.mark.parametrize("name", PLAIN)
    def test_is_the_step_with_one(self, name):
        ends = []
        for closure in (True, False):
            model, x, y = regression()
            optimizer = make(name, model.parameters(), **acting(name))
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.9**t)
            for _ in range(6):
                if closure:
                    Test_Accumulation.clean(model, optimizer, x, y)
                else:
                    optimizer.zero_grad()
                    (model(x) - y).square().mean().backward()
                    assert optimizer.step() is None
                schedule.step()
            assert optimizer.gradient_evaluations == 6
            ends.append(weights(model))
        assert torch.equal(*ends)

    @pytest.mark.parametrize("name", REPLAYING)
    def test_is_refused_by_algorithms_that_need_it(self, name):
        model, x, y = regression()
        (model(x) - y).square().mean().backward()
        with pytest.raises(TypeError, match="closure"):
            make(name, model.parameters()).step()

    @pytest.mark.parametrize("name", ["SGD", "NiG-SGD"])
    def test_scaler_step_drives_them(self, name):
        ends = []
        for way in ("plain", "scaler.step", "scaler=", "unscaled to clip"):
            model, x, y = regression()
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, enabled=way != "plain")
            optimizer = make(name, model.parameters(), scaler=None if way == "scaler.step" else scaler, **acting(name))
            for _ in range(4):
                optimizer.zero_grad()
                scaler.scale((model(x) - y).square().mean()).backward()
                if way == "unscaled to clip":
                    scaler.unscale_(optimizer)
                scaler.step(optimizer) if way == "scaler.step" else optimizer.step()
                if way != "plain":
                    scaler.update()
            ends.append(weights(model))
        assert all(torch.equal(end, ends[0]) for end in ends)


class Test_Nan:
    @pytest.mark.parametrize("accept", ["classical", "metropolis", "printed", lambda loss: loss()])
    def test_an_incumbent_whose_loss_is_nan_is_replaced(self, accept):
        """f(w) = w − log w is no number below 0, where its derivative is one."""
        w = nn.Parameter(torch.tensor([-1.0]))
        jump = lambda models, generator: [torch.full_like(t, 3.0) for t in models]  # noqa: E731
        optimizer = BasinHopping([w], perturb=Perturb("model", jump), accept=accept, lr=0.01, rho=1.0, tau=1)
        for _ in range(6):
            optimizer.step(closure_of(lambda w: (w - torch.log(w)).sum(), w))
        optimizer.finish()
        assert optimizer.hops_accepted >= 1
        assert w.item() > 0

    @pytest.mark.parametrize("accept", ["classical", "metropolis", "printed"])
    def test_a_candidate_whose_loss_is_nan_is_not_taken(self, accept):
        w = nn.Parameter(torch.tensor([1.0, 1.0]))
        drop = lambda models, generator: [torch.full_like(t, -3.0) for t in models]  # noqa: E731
        optimizer = BasinHopping(
            [w], perturb=Perturb("model", drop), accept=accept, lr=0.01, rho=1.0, tau=1, temperature=0.5
        )
        for _ in range(4):
            optimizer.step(closure_of(lambda w: (w - torch.log(w)).sum(), w))
        assert optimizer.hops_accepted == 0

    def test_of_a_population_each_model_on_its_own(self):
        w = nn.Parameter(torch.tensor([[-1.0], [1.0]]))
        jump = lambda models, generator: [torch.full_like(t, 3.0) for t in models]  # noqa: E731
        optimizer = BasinHopping(
            [w], perturb=Perturb("model", jump), accept="classical", lr=0.01, rho=1.0, tau=1, population=True
        )
        for _ in range(2):
            optimizer.step(closure_of(lambda w: (w - torch.log(w)).sum(1), w))
        assert optimizer.hops_accepted.tolist() == [1, 0]

    @pytest.mark.parametrize("change", ["loss", "position"])
    def test_lbfgs_goes_on_from_where_it_has_stalled(self, change):
        w, target = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64)), torch.ones(2, dtype=torch.float64)
        optimizer = make("L-BFGS-GSS", [w])
        closure = closure_of(lambda w: ((w - target).square() * torch.tensor([1.0, 9.0])).sum(), w)
        for _ in range(60):
            optimizer.step(closure)
        assert optimizer.stalled
        with torch.no_grad():
            target.add_(5.0) if change == "loss" else w.add_(1.0)
        for _ in range(30):
            optimizer.step(closure)
        torch.testing.assert_close(w.detach(), target, rtol=0, atol=1e-6)

    def test_lbfgs_that_has_stalled_stays_while_nothing_changes(self):
        w = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
        optimizer = make("L-BFGS-GSS", [w])
        closure = closure_of(lambda w: w.square().sum(), w)
        for _ in range(60):
            optimizer.step(closure)
        evaluations, position = optimizer.loss_evaluations, w.detach().clone()
        for _ in range(5):
            optimizer.step(closure)
        assert optimizer.stalled
        assert optimizer.loss_evaluations == evaluations
        assert torch.equal(w, position)


class Test_Nobodys_Gradient:
    def pair(self, how: str) -> tuple[list[nn.Parameter], Callable[[], Tensor]]:
        a, b = nn.Parameter(torch.tensor([1.0, 2.0])), nn.Parameter(torch.tensor([0.5, -1.0]))

        def closure() -> Tensor:
            loss = (a.sum() + b.sum()) ** 2 if how == "expanded" else ((a + b) ** 2).sum()
            a.grad, b.grad = torch.autograd.grad(loss, [a, b])
            if how == "separate":
                b.grad = b.grad.clone()
            elif how == "views":
                flat = torch.cat([a.grad, b.grad])
                a.grad, b.grad = flat[:2], flat[2:]
            return loss

        return [a, b], closure

    def path(self, name: str, how: str, steps: int = 8, **more: Any) -> Tensor:
        params, closure = self.pair(how)
        optimizer = make(name, params, **acting(name, lr=0.02, **more))
        for _ in range(steps):
            optimizer.step(closure)
        return torch.cat([p.detach() for p in params])

    @pytest.mark.parametrize("normalized", [False, True])
    @pytest.mark.parametrize("how", ["shared", "views"])
    @pytest.mark.parametrize("name", [*PLAIN, *REPLAYING])
    def test_that_share_their_memory(self, name, how, normalized):
        assert torch.equal(
            self.path(name, how, normalized=normalized), self.path(name, "separate", normalized=normalized)
        )

    @pytest.mark.parametrize("normalized", [False, True])
    @pytest.mark.parametrize("name", [*PLAIN, *REPLAYING])
    def test_that_are_expanded(self, name, normalized):
        assert torch.isfinite(self.path(name, "expanded", normalized=normalized)).all()

    @pytest.mark.parametrize("normalized", [False, True])
    @pytest.mark.parametrize("name", [*PLAIN, *REPLAYING])
    def test_is_the_losss_after_the_step(self, name, normalized):
        """The gradient that a logger finds in `.grad` is one of the loss, neither scaled nor noised nor normalized."""
        w, seen = nn.Parameter(torch.tensor([3.0, 4.0])), []
        optimizer = make(name, [w], **acting(name, lr=0.01, normalized=normalized))

        def closure():
            loss = (w**2).sum()
            (w.grad,) = torch.autograd.grad(loss, [w])
            seen.append((w.grad, w.grad.clone()))
            return loss

        for _ in range(4):
            optimizer.step(closure, lambda: (w**2).sum())
        assert all(torch.equal(now, then) for now, then in seen)

    @pytest.mark.parametrize("how", ["shared", "expanded"])
    @pytest.mark.parametrize("name", ["SGD", "SAM", "NiM-SGD"])
    def test_under_a_scaler(self, name, how):
        ends = []
        for scale in (1.0, 256.0):
            params, closure = self.pair(how)
            scaler = torch.amp.GradScaler("cpu", init_scale=scale)
            scaler.scale(torch.ones(()))  # as of a loss: now it has a scale
            optimizer = make(name, params, scaler=scaler, **acting(name, lr=0.01))

            def scaled(closure=closure, params=params, scale=scale):
                loss = closure()
                first = {}
                for p in params:  # shared gradients stay shared
                    p.grad = first.setdefault(p.grad.data_ptr(), p.grad * scale if how == "shared" else p.grad)
                    if how == "expanded":
                        p.grad = (p.grad[0] * scale).expand(2)
                return loss

            for _ in range(3):
                optimizer.step(scaled)
                scaler.update(scale)
            ends.append(torch.cat([p.detach() for p in params]))
        torch.testing.assert_close(*ends)


class Test_Float16:
    @pytest.mark.parametrize("size", [1e-7, 1e-5, 1.0, 3e4])
    @pytest.mark.parametrize("name", ["SGD", "SAM", "NiM-SGD", "NiG-BH", "NiM-BH"])
    def test_normalized_steps_have_length_lr(self, name, size):
        """Gradients whose norm, or one divided by it, float16 does not hold."""
        w = nn.Parameter(torch.zeros(4, dtype=torch.float16))
        optimizer = make(name, [w], lr=0.5, normalized=True)

        def closure():
            w.grad = torch.full_like(w, size)
            return 0.0

        optimizer.step(closure)
        torch.testing.assert_close(w.detach(), torch.full_like(w, -0.25))

    def test_sam_climbs_by_rho(self):
        w, seen = nn.Parameter(torch.zeros(4, dtype=torch.float16)), []
        optimizer = make("SAM", [w], lr=0.5, rho=0.5)

        def closure():
            seen.append(w.detach().clone())
            w.grad = torch.full_like(w, 1e-7)
            return 0.0

        optimizer.step(closure)
        torch.testing.assert_close(seen[1], torch.full_like(w, 0.25))

    def test_a_large_gradient_is_not_flat_and_not_infinite(self):
        w = nn.Parameter(torch.zeros(16, dtype=torch.float16))
        optimizer = make("NiM-SGD", [w], lr=1e-6, tau=1, epsilon=1e5)  # ‖g‖ = 80000: too large for float16
        for size in (1e4, 2e4, 3e4):

            def closure(size=size):
                w.grad = torch.full_like(w, size)
                return 0.0

            optimizer.step(closure)
        assert optimizer.noise_triggers == 1

    @pytest.mark.parametrize("noise", NOISES)
    def test_noise_has_its_length(self, noise):
        w = nn.Parameter(torch.zeros(100_000, dtype=torch.float16))
        optimizer = make("NiG-SGD", [w], lr=1.0, rho=50.0, noise=noise)
        w.grad = torch.zeros_like(w)
        optimizer.step()
        assert w.detach().float().norm().item() == pytest.approx(50, rel=0.01)

    def test_lbfgs_finds_a_minimum(self):
        w = nn.Parameter(torch.full((64,), 30.0, dtype=torch.float16))
        optimizer = make("L-BFGS-GSS", [w])
        for _ in range(8):
            optimizer.step(closure_of(lambda w: w.float().square().sum(), w))
        assert w.detach().float().abs().max() < 0.1


class Test_Copies:
    @pytest.mark.parametrize("label", CASES)
    def test_pickled_it_goes_on_as_it_would_have(self, label):
        name = CASES[label][0]
        options = options_for(label, lr=0.05, tau=2, rho=0.1, momentum=0.9)
        options |= {"scope": "layer"} if "scope" in hyperparameters(name) else {}
        w = helpers.point([0.5, -0.3])
        optimizer = make(name, [w], buffers={"n": torch.zeros(1)}.items(), **options)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        for _ in range(5):
            optimizer.step(closure_of(helpers.six_hump, w))
            schedule.step()
        other_w, other = pickle.loads(pickle.dumps((w, optimizer)))
        for point, going in ((w, optimizer), (other_w, other)):
            for _ in range(5):
                going.step(closure_of(helpers.six_hump, point))
        assert torch.equal(w, other_w)
        assert helpers.counters(optimizer) == helpers.counters(other)

    @pytest.mark.parametrize("name", ALGORITHMS)
    def test_what_makes_an_algorithm_can_be_pickled(self, name):
        """For workers that are told what to make, and not given it made."""
        ends = []
        for build in (ALGORITHMS[name], pickle.loads(pickle.dumps(ALGORITHMS[name]))):
            w = helpers.point([0.5, -0.3])
            optimizer = build([w], **acting(name))
            for _ in range(4):
                optimizer.step(closure_of(helpers.six_hump, w))
            ends.append(w.detach())
        assert torch.equal(*ends)

    @pytest.mark.parametrize("name", ["SAM", "NiM-BH"])
    def test_a_model_that_becomes_double_is_kept_in_double(self, name):
        """What a step returns to is a copy: one in float32 would round it."""
        model = nn.Linear(3, 1)
        optimizer = make(name, model.parameters(), lr=0.0, **({"tau": 1} if name == "NiM-BH" else {}), rho=0.0)
        for dtype in (torch.float32, torch.float64):
            model.to(dtype)
            with torch.no_grad():
                model.weight.fill_(1 / 3)
            for t in range(4):
                closure = helpers.closure_on(
                    optimizer,
                    lambda t=t, dtype=dtype: model(torch.ones(2, 3, dtype=dtype)).sum() if t < 3 else model.bias.sum(),
                )

                optimizer.step(closure)
            assert torch.equal(model.weight, torch.full((1, 3), 1 / 3, dtype=dtype))

    @pytest.mark.parametrize("scope", SCOPES)
    @pytest.mark.parametrize("noise", NOISES)
    def test_every_noise_can_be_pickled(self, noise, scope):
        draw = make_noise(noise, scope)
        models = [torch.zeros(1, 3), torch.zeros(1, 2, 2)]
        ends = [f(models, torch.Generator().manual_seed(3)) for f in (draw, pickle.loads(pickle.dumps(draw)))]
        assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))

    def test_a_compiled_step_keeps_the_average(self):
        ends = []
        for compiled in (False, True):
            w = nn.Parameter(torch.tensor([2.0]))
            optimizer = make("SWA", [w], lr=0.25)
            step = torch.compile(optimizer.step, backend="eager") if compiled else optimizer.step
            for _ in range(3):
                w.grad = 2 * w.detach()
                step()
            optimizer.finish()
            ends.append(w.item())
            assert optimizer.averages
        assert ends[0] == ends[1] == pytest.approx((1 + 0.5 + 0.25) / 3)

    @pytest.mark.parametrize("name", ["NiG-SGD", "AdamW"])
    def test_a_compiled_step_counts_and_draws(self, name):
        ends = []
        for compiled in (False, True):
            w = nn.Parameter(torch.tensor([2.0]))
            optimizer = make(name, [w], lr=0.25)
            step = torch.compile(optimizer.step, backend="eager") if compiled else optimizer.step
            for _ in range(3):
                w.grad = 2 * w.detach()
                step()
            ends.append((w.item(), optimizer.steps, optimizer.gradient_evaluations, optimizer.noise_triggers))
        assert ends[0] == ends[1]


class Test_Distributed_Checkpoints:
    """State dicts of torch.distributed.checkpoint, whole in memory or through files, go on where the run was."""

    @pytest.mark.parametrize("way", ["memory", "files"])
    @pytest.mark.parametrize("at", [0, 1, 5])
    @pytest.mark.parametrize(
        "label", [label for label in CASES if "," not in label or "printed" in label or "classical" in label]
    )
    def test_resume(self, label, at, way, tmp_path):
        name, options = CASES[label][0], options_for(label, lr=0.05, momentum=0.9, rho=0.2, tau=3, epsilon=INF)
        if helpers.hops(label):
            options["epsilon"] = 0.0

        def fresh(seed: int) -> tuple[nn.Module, Any]:
            model = helpers.small_net(seed)
            model.register_parameter("unused", nn.Parameter(torch.ones(2)))
            return model, helpers.make_for(model, name, seed=seed, **options)

        model, optimizer = fresh(0)
        torch.manual_seed(5)
        helpers.train(model, optimizer, range(at))
        # the state is read while gradients are there, and a fresh optimizer is asked for its own before it is given it
        saved, random = get_optimizer_state_dict(model, optimizer), torch.get_rng_state()
        other, resumed = fresh(9)
        if way == "files":
            checkpoint.save({"optimizer": saved}, checkpoint_id=tmp_path / "saved", no_dist=True)
            template = {"optimizer": get_optimizer_state_dict(other, resumed)}
            checkpoint.load(template, checkpoint_id=tmp_path / "saved", no_dist=True)
            saved = template["optimizer"]
        other.load_state_dict(model.state_dict())
        set_optimizer_state_dict(other, resumed, optim_state_dict=copy.deepcopy(saved))  # torch's loaders share tensors
        ends = []
        for net, going in ((model, optimizer), (other, resumed)):
            torch.set_rng_state(random)
            helpers.train(net, going, range(at, at + 6))
            ends.append((helpers.snapshot(net), helpers.counters(going)))
        assert helpers.same(ends[0][0], ends[1][0])
        assert ends[0][1] == ends[1][1]

    def test_asking_for_the_state_changes_nothing(self):
        ends = []
        for asked in (False, True):
            model = nn.Linear(2, 2)
            nn.init.ones_(model.weight), nn.init.ones_(model.bias)
            optimizer = make("NiG-SGD", model.parameters(), rho=0.5)
            for _ in range(3):
                optimizer.zero_grad()
                if asked:
                    get_optimizer_state_dict(model, optimizer)
                model(torch.ones(2)).sum().backward()
                optimizer.step()
            ends.append((weights(model), optimizer.steps))
        assert torch.equal(ends[0][0], ends[1][0])
        assert ends[0][1] == ends[1][1]


class Test_Options:
    @pytest.mark.parametrize("name", ALGORITHMS)
    def test_lr_may_be_zero(self, name):
        """A schedule may begin there; torch's optimizers take it too."""
        w = helpers.point([0.5, -0.3])
        optimizer = make(name, [w], lr=0.0, **{k: v for k, v in acting(name).items() if k == "momentum"})
        for _ in range(2):
            optimizer.step(closure_of(helpers.six_hump, w))
        assert torch.equal(w.detach(), torch.tensor([0.5, -0.3], dtype=torch.float64))

    @pytest.mark.parametrize("label", CASES)
    def test_lr_may_be_a_tensor_that_schedulers_fill(self, label):
        ends, lr = [], torch.tensor(0.0625)  # exact in float32
        for given in (0.0625, lr):
            w = helpers.point([0.5, -0.3])
            optimizer = make(CASES[label][0], [w], **options_for(label, lr=given, tau=2, rho=0.1))
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5**t)
            for _ in range(6):
                optimizer.step(closure_of(helpers.six_hump, w))
                schedule.step()
            ends.append(w.detach())
            assert float(optimizer.param_groups[0]["lr"]) == 0.0625 * 0.5**6
        assert torch.equal(*ends)
        assert optimizer.param_groups[0]["lr"] is lr
        assert float(optimizer.state_dict()["param_groups"][0]["lr"]) == float(lr)

    @pytest.mark.parametrize("lr", [torch.tensor(-0.1), torch.tensor(float("nan"))])
    def test_a_tensor_is_held_to_the_same_bounds(self, lr):
        with pytest.raises(ValueError, match="lr must be"):
            make("SGD", [helpers.point([0.0])], lr=lr)

    def test_a_tensor_of_several_numbers_is_no_lr(self):
        with pytest.raises(TypeError, match="lr must be a number"):
            make("SGD", [helpers.point([0.0])], lr=torch.ones(2))

    def test_names_may_come_with_parameters_and_buffers(self):
        ends = []
        for named in (False, True):
            model = helpers.small_net()
            params = model.named_parameters() if named else model.parameters()
            buffers = model.named_buffers() if named else model.buffers()
            optimizer = make("SAM", params, buffers=buffers, lr=0.1)
            torch.manual_seed(0)
            helpers.train(model, optimizer, range(3))
            optimizer.load_state_dict(optimizer.state_dict())
            ends.append(helpers.snapshot(model))
        assert helpers.same(*ends)

    @pytest.mark.parametrize("buffers", [["running_mean"], [None], [("a", "b")], {"n": torch.ones(1)}])
    def test_what_is_no_buffer_is_named(self, buffers):
        with pytest.raises(TypeError, match=r"buffers\[0\] must be a tensor"):
            make("SGD", [helpers.point([0.0])], buffers=buffers)

    @pytest.mark.parametrize("name", ["SGD", "NiM-MBH", "L-BFGS-GSS"])
    def test_meta_parameters_are_refused(self, name):
        with pytest.raises(TypeError, match=r"params\[1\] is on the meta device"):
            make(name, [helpers.point([0.0]), nn.Parameter(torch.ones(2, device="meta"))])

    def test_frozen_meta_parameters_are_left_alone(self):
        w = helpers.point([0.5, -0.3])
        optimizer = make("NiM-MBH", [nn.Parameter(torch.ones(2, device="meta"), requires_grad=False), w], tau=1)
        for _ in range(3):
            optimizer.step(closure_of(helpers.six_hump, w))
        optimizer.finish()
        assert optimizer.hops_tried == 2
