"""SGD, its noise-enabled variants and the references, each against torch or a hand-kept account."""

import copy
import math

import helpers
import pytest
import torch
from helpers import INF, closure_of, same
from scipy import stats
from torch import nn

from popview.optimizers import make, sgd_


def flat(w: torch.Tensor) -> torch.Tensor:
    """A loss without slope."""
    return (0 * w).sum(-1)


def two_groups(model: nn.Sequential) -> list[dict]:
    return [
        {"params": list(model[:2].parameters())},
        {"params": list(model[2:].parameters()), "lr": 0.01, "weight_decay": 0.1},
    ]


SCHEDULES = {
    "none": lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
    "StepLR": lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5),
    "CosineAnnealingLR": lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10),  # down to 0
    "OneCycleLR": lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, [0.05, 0.01], 12),
}


def histories(ours, theirs, schedule: str, steps: int = 12) -> list:
    """Train the same net with our optimizer and with torch's under a schedule."""
    made = []
    for build in (ours, theirs):
        model = helpers.small_net()
        optimizer = build(model)
        scheduler, history = SCHEDULES[schedule](optimizer), []
        torch.manual_seed(5)
        for t in range(steps):
            history += helpers.train(model, optimizer, range(t, t + 1))
            scheduler.step()
        made.append(history)
    return made


class Test_SGD:
    @pytest.mark.parametrize("schedule", SCHEDULES)
    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    def test_is_torchs_bit_for_bit(self, momentum, schedule):
        if schedule == "OneCycleLR" and not momentum:
            momentum = 0.5  # it cycles the momentum
        how = {"lr": 0.05, "momentum": momentum, "weight_decay": 0.01}
        a, b = histories(
            lambda model: make("SGD", two_groups(model), **how),
            lambda model: torch.optim.SGD(two_groups(model), **how),
            schedule,
        )
        assert all(same(x, y) for x, y in zip(a, b, strict=True))

    @pytest.mark.parametrize("foreach", [False, True])
    def test_the_function_is_torchs(self, foreach):
        generator = torch.Generator().manual_seed(1)
        ours = [torch.randn(s, generator=generator) for s in ((7,), (3, 5), ())]
        theirs = [nn.Parameter(t.clone()) for t in ours]
        optimizer = torch.optim.SGD(theirs, lr=0.3, momentum=0.8, weight_decay=0.05, foreach=foreach)
        buffers = [torch.zeros_like(t) for t in ours]
        for _ in range(5):
            for p in theirs:
                p.grad = torch.randn(p.shape, generator=generator)
            gradients = [p.grad.clone() for p in theirs]
            sgd_(ours, gradients, buffers, lr=0.3, momentum=0.8, weight_decay=0.05)
            optimizer.step()
            assert same(ours, [p.detach() for p in theirs])
            assert same(gradients, [p.grad for p in theirs]), "gradients are read only"

    def test_channels_last(self):
        paths = []
        for memory_format in (torch.contiguous_format, torch.channels_last):
            model = helpers.small_net().to(memory_format=memory_format)
            model[3].p = 0.0  # masks are drawn in memory's order
            optimizer = helpers.make_for(model, "SAM", lr=0.05, momentum=0.9, weight_decay=0.01)
            torch.manual_seed(5)
            paths.append([s[:-1] for s in helpers.train(model, optimizer, range(4))])
        assert all(helpers.close(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(*paths, strict=True))

    def test_normalized_steps_have_length_lr(self):
        w = helpers.point(helpers.starts(10))
        optimizer = make("SGD", [w], lr=0.03, normalized=True, population=True)
        for _ in range(20):
            before = w.detach().clone()
            optimizer.step(closure_of(helpers.six_hump, w))
            torch.testing.assert_close((w.detach() - before).norm(dim=1), torch.full((10,), 0.03).double())

    def test_normalized_norm_is_the_models_over_all_tensors_and_groups(self):
        a, b = helpers.point([3.0]), helpers.point([4.0])
        optimizer = make("SGD", [{"params": [a]}, {"params": [b], "lr": 2.0}], lr=1.0, normalized=True)

        closure = helpers.closure_on(optimizer, lambda: (a**2 + b**2).sum() / 2)

        optimizer.step(closure)
        assert (a.item(), b.item()) == pytest.approx((3 - 0.6, 4 - 2 * 0.8))

    def test_normalized_stays_where_the_gradient_is_zero(self):
        w = helpers.point([[0.0, 0.0], [1.0, 0.0]])
        make("SGD", [w], lr=0.1, normalized=True, population=True).step(closure_of(helpers.three_hump, w))
        assert w[0].tolist() == [0, 0]
        assert w[1].tolist() != [1, 0]

    def test_weight_decay_is_not_normalized(self):
        w = helpers.point([2.0])
        optimizer = make("SGD", [w], lr=0.1, normalized=True, weight_decay=0.5)
        optimizer.step(closure_of(lambda w: 7 * w.sum(), w))
        assert w.item() == pytest.approx(2 - 0.1 * (1 + 0.5 * 2))

    def test_returns_the_loss_of_the_first_pass(self):
        w = helpers.point([1.0, 1.0])
        assert make("SAM", [w], rho=0.5).step(closure_of(helpers.three_hump, w)).item() == pytest.approx(
            helpers.three_hump(torch.ones(2)).item()
        )

    def test_groups_added_later(self):
        first, later = helpers.point([1.0]), helpers.point([1.0])
        optimizer = make("SAM", [first], lr=0.1, momentum=0.9)

        closure = helpers.closure_on(optimizer, lambda: first.square().sum() + later.square().sum())

        optimizer.step(closure)
        optimizer.add_param_group({"params": [later], "lr": 0.2})
        optimizer.step(closure)
        assert first.item() < 1
        assert later.item() < 1

    @pytest.mark.parametrize("averaged_again", [True, False])
    def test_swa_averages_what_was_added_from_then_on(self, averaged_again):
        first, later = helpers.point([1.0]), helpers.point([10.0])
        optimizer = make("SWA", [first], lr=0.1)

        closure = helpers.closure_on(optimizer, lambda: first.square().sum() + 0 * later.sum())  # it stays where it is

        for _ in range(5):
            optimizer.step(closure)
        optimizer.add_param_group({"params": [later]})
        for _ in range(5 * averaged_again):
            optimizer.step(closure)
        optimizer.finish()
        assert later.item() == 10


class Test_AdamW:
    @pytest.mark.parametrize("schedule", SCHEDULES)
    def test_is_torchs_bit_for_bit(self, schedule):
        how = {"lr": 0.01, "weight_decay": 0.05, "betas": (0.8, 0.95), "eps": 1e-6}
        a, b = histories(
            lambda model: make("AdamW", two_groups(model), **how),
            lambda model: torch.optim.AdamW(two_groups(model), **how),
            schedule,
        )
        assert all(same(x, y) for x, y in zip(a, b, strict=True))

    def test_has_torchs_defaults(self):
        a, b = histories(
            lambda model: make("AdamW", model.parameters()),
            lambda model: torch.optim.AdamW(model.parameters()),
            "none",
            3,
        )
        assert same(a[-1], b[-1])


class Test_SWA:
    @pytest.mark.parametrize(("start", "every"), [(0, 1), (4, 1), (3, 3)])
    def test_average_is_the_mean_along_sgds_own_path(self, start, every):
        how = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}
        models, paths = [helpers.small_net(), helpers.small_net()], []
        swa = helpers.make_for(models[0], "SWA", average_from=start, average_every=every, **how)
        for model, optimizer in zip(models, (swa, helpers.make_for(models[1], "SGD", **how)), strict=True):
            torch.manual_seed(5)
            paths.append(helpers.train(model, optimizer, range(12)))
        assert all(same(a, b) for a, b in zip(*paths, strict=True)), "the trajectory is SGD's"

        count = len(list(models[0].parameters()))
        sampled = [p for t, p in enumerate(paths[1], 1) if t > start and (t - start) % every == 0]
        mean = [torch.stack([p[i].double() for p in sampled]).mean(0) for i in range(count)]
        before = helpers.snapshot(models[0])
        with swa.solution():
            inside = helpers.snapshot(models[0])
            assert torch.is_grad_enabled()
        assert same(helpers.snapshot(models[0]), before)
        assert helpers.close([t.double() for t in inside[:count]], mean, rtol=1e-5, atol=1e-7)
        assert same(inside[count:], before[count:]), "buffers are the caller's to recompute"
        swa.finish()
        assert same(helpers.snapshot(models[0]), inside)

    def test_without_an_average_yet_the_solution_is_where_it_stands(self):
        w = helpers.point([1.0, 1.0])
        optimizer = make("SWA", [w], average_from=5)
        optimizer.step(closure_of(helpers.six_hump, w))
        before = w.detach().clone()
        with optimizer.solution():
            assert torch.equal(w, before)

    @pytest.mark.parametrize("freezes", [True, False])
    def test_the_average_is_of_all_its_models_whenever_a_parameter_is_frozen(self, freezes):
        """One parameter moves in the first half of the steps or in the second; the other one throughout."""
        w, v = helpers.point([2.0]), helpers.point([1.0])
        optimizer, path = make("SWA", [w, v], lr=0.25), []
        for step in range(6):
            w.requires_grad_((step < 3) == freezes)
            optimizer.step(helpers.closure_on(optimizer, lambda: (w**2 + v**2).sum()))
            path.append((w.item(), v.item()))
        with optimizer.solution():
            assert [w.item(), v.item()] == pytest.approx([sum(values) / 6 for values in zip(*path, strict=True)])
        assert (w.item(), v.item()) == path[-1]


class Test_SGLD:
    def test_at_zero_temperature_is_sgd(self):
        paths = []
        for name, options in (("SGLD", {"temperature": 0.0}), ("SGD", {})):
            model = helpers.small_net()
            optimizer = helpers.make_for(model, name, lr=0.05, momentum=0.9, weight_decay=0.01, **options)
            torch.manual_seed(5)
            paths.append(helpers.train(model, optimizer, range(8)))
        assert all(same(a, b) for a, b in zip(*paths, strict=True))

    @pytest.mark.parametrize("population", [False, True])
    def test_noise_is_normal_with_variance_2_eta_t_in_each_group(self, population):
        shape = (50, 200) if population else (10_000,)
        a, b = helpers.point(torch.zeros(shape)), helpers.point(torch.zeros(shape))
        groups = [{"params": [a]}, {"params": [b], "lr": 0.5}]
        optimizer = make("SGLD", groups, lr=0.01, temperature=0.3, population=population)

        closure = helpers.closure_on(optimizer, lambda: flat(a) + flat(b))

        optimizer.step(closure)
        for w, lr in ((a, 0.01), (b, 0.5)):
            unit = w.detach().flatten() / math.sqrt(2 * lr * 0.3)
            assert stats.kstest(unit.numpy(), "norm").pvalue > 1e-4
            low, high = stats.chi2.ppf([1e-5, 1 - 1e-5], unit.numel())
            assert low < unit.square().sum() < high

    def test_samples_the_boltzmann_distribution_of_a_bowl(self):
        """The stationary variance of a coordinate of curvature c is T / c, up to O(η)."""
        w = helpers.point(torch.ones(2000, 4))
        optimizer = make("SGLD", [w], lr=0.005, temperature=0.2, population=True)
        for _ in range(1000):
            optimizer.step(closure_of(helpers.bowl, w))
        curvature = torch.tensor([1.0, 2.0, 8.0, 20.0]).double()
        torch.testing.assert_close(w.detach().var(0), 0.2 / curvature, rtol=0.15, atol=0)


class Test_NiG:
    @pytest.mark.parametrize("normalized", [False, True])
    def test_displaces_by_eta_rho(self, normalized):
        w = helpers.point(torch.zeros(30, 3))
        optimizer = make("NiG-SGD", [w], lr=0.1, rho=0.7, noise="sphere", population=True, normalized=normalized)
        optimizer.step(closure_of(flat, w))
        torch.testing.assert_close(w.detach().norm(dim=1), torch.full((30,), 0.07).double())
        assert optimizer.noise_triggers.tolist() == [1] * 30

    def test_adds_its_noise_to_the_gradient_before_momentum(self):
        """Two steps by hand."""
        zetas = [torch.tensor([[0.5, -1.0]]).double(), torch.tensor([[2.0, 0.25]]).double()]
        left = iter(zetas)
        w, lr, rho = helpers.point([0.3, 0.4]), 0.1, 0.2
        optimizer = make("NiG-SGD", [w], lr=lr, rho=rho, momentum=0.9, noise=lambda models, generator: [next(left)])
        expected, velocity = w.detach().clone(), torch.zeros(2).double()
        for zeta in zetas:
            at = helpers.point(expected)
            closure_of(helpers.six_hump, at)()
            velocity = 0.9 * velocity + at.grad + rho * zeta[0]
            expected = expected - lr * velocity
            optimizer.step(closure_of(helpers.six_hump, w))
            torch.testing.assert_close(w.detach(), expected)


class Test_NiM:
    def test_fires_where_the_gradient_is_small_and_t_above_tau(self):
        """Counts of triggers and of gradients against the condition evaluated by hand before each step."""
        tau, epsilon = 5, 1.5
        w = helpers.point(helpers.starts(50))
        optimizer = make("NiM-SGD", [w], lr=0.02, rho=0.3, tau=tau, epsilon=epsilon, population=True)
        fired = torch.zeros(50, dtype=torch.int64)
        for t in range(1, 41):
            witness = helpers.point(w.detach())
            closure_of(helpers.six_hump, witness)()
            fires = (witness.grad.norm(dim=1) < epsilon) & (t > tau)
            before = w.detach().clone()
            optimizer.step(closure_of(helpers.six_hump, w))
            fired += fires
            assert torch.equal(optimizer.noise_triggers, fired)
            assert torch.equal(optimizer.gradient_evaluations, t + fired)
            still = ~fires
            torch.testing.assert_close(w.detach()[still], (before - 0.02 * witness.grad)[still], rtol=1e-12, atol=0)
        assert 0 < fired.min() < fired.max()

    def test_steps_along_the_gradient_at_the_perturbed_point(self):
        zeta = torch.tensor([[0.6, -0.8]]).double()
        w = helpers.point([0.3, 0.4])
        optimizer = make("NiM-SGD", [w], lr=0.1, rho=0.2, tau=1, epsilon=INF, noise=lambda models, generator: [zeta])
        optimizer.step(closure_of(helpers.six_hump, w))
        at = helpers.point(w.detach() + 0.2 * zeta[0])
        closure_of(helpers.six_hump, at)()
        optimizer.step(closure_of(helpers.six_hump, w))
        torch.testing.assert_close(w.detach(), at.detach() - 0.1 * at.grad)
        assert optimizer.noise_triggers == 1

    @pytest.mark.parametrize(("epsilon", "fires"), [(0.999, False), (1.001, True)])
    def test_compares_the_gradient_without_weight_decay_and_before_normalization(self, epsilon, fires):
        w = helpers.point([5.0])
        optimizer = make("NiM-SGD", [w], lr=0.1, tau=1, epsilon=epsilon, weight_decay=3.0, normalized=True)
        for _ in range(2):
            optimizer.step(closure_of(lambda w: w.sum(), w))
        assert optimizer.noise_triggers == fires

    def test_is_sgd_while_it_does_not_fire(self):
        paths = []
        for name, options in (("NiM-SGD", {"epsilon": 0.0, "tau": 1, "rho": 3.0}), ("SGD", {})):
            model = helpers.small_net()
            optimizer = helpers.make_for(model, name, lr=0.05, momentum=0.9, **options)
            torch.manual_seed(5)
            paths.append(helpers.train(model, optimizer, range(8)))
            assert optimizer.gradient_evaluations == 8
            assert optimizer.noise_triggers == 0
        assert all(same(a, b) for a, b in zip(*paths, strict=True))

    def test_a_diverged_member_neither_fires_nor_disturbs_the_others(self):
        paths = []
        for far in (0.1, 1e200):
            w = helpers.point(torch.cat([helpers.starts(5), torch.full((1, 2), far, dtype=torch.float64)]))
            zeta = torch.tensor([[0.6, -0.8]]).double().expand(6, 2)
            optimizer = make(
                "NiM-SGD", [w], lr=0.02, rho=0.2, tau=3, epsilon=2.0, population=True,
                noise=lambda models, generator, zeta=zeta: [zeta],
            )  # fmt: skip
            for _ in range(20):
                optimizer.step(closure_of(helpers.six_hump, w))
            paths.append(w.detach().clone())
        assert torch.isnan(paths[1][5]).all()
        assert optimizer.noise_triggers[5] == 0
        assert torch.equal(paths[0][:5], paths[1][:5])


def test_nothing_is_shared_between_optimizers():
    """Two optimizers on copies of a net do not see each other's noise."""
    first = helpers.small_net()
    second = copy.deepcopy(first)
    a = helpers.make_for(first, "NiG-SGD", lr=0.05, rho=0.1, seed=3)
    b = helpers.make_for(second, "NiG-SGD", lr=0.05, rho=0.1, seed=3)
    for t in range(4):
        for model, optimizer in ((first, a), (second, b)):
            torch.manual_seed(t)
            helpers.train(model, optimizer, range(t, t + 1))
    assert same(helpers.snapshot(first), helpers.snapshot(second))
