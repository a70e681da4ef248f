"""What holds for every optimizer: one table of algorithms (`helpers.CASES`) drives each test here."""

import copy
import io
import re
from typing import Any, ClassVar

import helpers
import numpy as np
import pytest
import torch
from helpers import CASES, INF, Fed, closure_of, hops, options_for, same
from torch import nn

from popview.common.folders import ROOT
from popview.optimizers import ALGORITHMS, AcceptRule, class_of, hyperparameters, make

FOR_NET = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}


def net_options(label: str, **more: Any) -> dict[str, Any]:
    """Options on the small net: NiM fires at each step after the second, hops last three steps."""
    fires = INF if label.startswith("NiM-SGD") or label.startswith("NiM-GD") else 0.0
    return options_for(label, **{**FOR_NET, "tau": 2 if fires else 3, "epsilon": fires, "rho": 0.2, **more})


def global_state() -> torch.Tensor:
    torch.manual_seed(5)
    return torch.get_rng_state()


class Test_Table:
    def test_has_every_algorithm(self):
        assert {name for name, _ in CASES.values()} == set(ALGORITHMS)

    @pytest.mark.parametrize("name", ALGORITHMS)
    def test_hyperparameters_are_those_of_the_contract(self, name):
        names = set(hyperparameters(name))
        assert {"lr", "population", "seed"} <= names
        assert ("weight_decay" in names) == (name != "L-BFGS-GSS")  # its line search needs the loss to hold the penalty
        assert ("rho" in names) == (name not in ("GD", "SGD", "AdamW", "SWA", "SGLD", "L-BFGS-GSS"))
        assert ("accept" in names) == ("BH" in name)
        contract = "lr momentum weight_decay rho tau epsilon normalized noise scope accept temperature reset_momentum"
        extra = {
            "noise_until",
            "local_search",
            "betas",
            "eps",
            "average_from",
            "average_every",
            "history",
            "evaluations",
        }
        assert names <= {*contract.split(), "seed", "population"} | extra

    @pytest.mark.parametrize("label", CASES)
    def test_defaults_are_enough(self, label):
        optimizer = make(CASES[label][0], [helpers.point([0.5, 0.5])])
        assert helpers.counters(optimizer) == [0] * 5

    @pytest.mark.parametrize("name", ALGORITHMS)
    def test_the_book_s_line_is_the_optimizer_s_own_and_says_what_a_step_pays(self, name):
        kind = class_of(name)
        assert "in_short" in vars(kind)
        w = helpers.point([0.5, 0.5])
        optimizer = make(name, [w], lr=0.1)
        optimizer.step(closure_of(helpers.bowl_2d, w))
        assert optimizer.gradient_evaluations == int(kind.in_short.gradients.partition(",")[0])
        cited = re.findall(r"{cite:t}`(\w+)`", kind.in_short.source)
        assert all(f"{{{key}," in (ROOT / "book" / "references.bib").read_text("utf-8") for key in cited)


class Test_Copies:
    @pytest.mark.parametrize("label", CASES)
    def test_a_copy_goes_on_as_the_original_does_and_leaves_it_alone(self, label):
        """With a scheduler, which wraps the original's step."""
        name = CASES[label][0]
        w = helpers.point([0.5, -0.3])
        optimizer = make(name, [w], **options_for(label, lr=0.05, tau=2, rho=0.1))
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        paths = []

        def walk(point, optimizer, scheduler):
            path = []
            for _ in range(6):
                optimizer.step(closure_of(helpers.six_hump, point))
                scheduler.step()
                path.append(point.detach().clone())
            paths.append(torch.stack(path))

        walk(w, optimizer, scheduler)
        copied, before = copy.deepcopy((w, optimizer, scheduler)), w.detach().clone()
        walk(*copied)
        assert torch.equal(w, before)
        walk(w, optimizer, scheduler)
        assert torch.equal(paths[1], paths[2])
        assert not torch.equal(paths[0], paths[1])


class Test_EmptyGroups:
    @pytest.mark.parametrize("name", ALGORITHMS)
    def test_change_nothing(self, name):
        """As where parameters are told apart by weight decay, and one half is empty."""
        ends = []
        for place in (None, 0, 1):
            w = helpers.point([0.5, -0.3])
            groups: list[dict[str, Any]] = [{"params": [w]}]
            if place is not None:
                groups.insert(place, {"params": []})
            optimizer = make(name, groups, lr=0.05)
            for _ in range(4):
                optimizer.step(closure_of(helpers.six_hump, w))
            ends.append(w.detach())
        assert torch.equal(ends[0], ends[1])
        assert torch.equal(ends[0], ends[2])


class Test_Identity:
    """ρ = 0 is SGD, bit for bit: parameters, buffers, and the global random state after each step."""

    ROWS: ClassVar = {
        "NiG-SGD": {},
        "NiM-SGD, firing": {"epsilon": INF, "tau": 1},
        "SAM": {},
        "NiG-BH, hops of tau steps": {"tau": 3, "epsilon": 0.0},
        "NiM-BH, hops of tau steps": {"tau": 3, "epsilon": 0.0},
        "NiG-BH, hops of one step": {"tau": 3, "epsilon": INF},
        "NiM-BH, hops of one step": {"tau": 3, "epsilon": INF},
        "NiM-BH, hops as the gradient flattens": {"tau": 50, "epsilon": 1.0},
    }

    @staticmethod
    def acted(label: str, optimizer: Any) -> bool:
        """Whether the algorithm did what is its own."""
        counts = {name: torch.as_tensor(getattr(optimizer, name)) for name in helpers.COUNTERS}
        if "BH" in label:
            return bool((counts["hops_tried"] >= 3).all() and (counts["noise_triggers"] >= 3).all())
        if "SAM" in label:
            return bool((counts["gradient_evaluations"] == 2 * optimizer.steps).all())
        return bool((counts["noise_triggers"] >= optimizer.steps - 1).all())

    @pytest.mark.parametrize("more", [{}, {"normalized": True}, {"scope": "layer"}, {"noise": "gaussian"}], ids=str)
    @pytest.mark.parametrize("label", [label for label in ROWS if "flattens" not in label])
    def test_on_a_net_with_batch_norm_and_dropout(self, label, more):
        name = label.split(",")[0]
        more = {k: v for k, v in more.items() if k in hyperparameters(name)}
        histories = []
        for algorithm, options in ((name, {"rho": 0.0, **self.ROWS[label], **more}), ("SGD", {})):
            options = {k: v for k, v in {**more, **options}.items() if k in hyperparameters(algorithm)}
            model = helpers.small_net()
            optimizer = helpers.make_for(model, algorithm, **FOR_NET, **options)
            global_state()
            histories.append(helpers.train(model, optimizer, range(14)))
            if algorithm == name:
                assert self.acted(label, optimizer)
        assert all(same(a, b) for a, b in zip(*histories, strict=True))

    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    @pytest.mark.parametrize("label", ROWS)
    def test_on_a_landscape(self, label, momentum):
        name, paths, steps = label.split(",")[0], [], 150
        for algorithm, options in ((name, {"rho": 0.0, **self.ROWS[label]}), ("SGD", {})):
            w = helpers.point(helpers.starts(20))
            optimizer = make(algorithm, [w], lr=0.02, momentum=momentum, weight_decay=1e-3, population=True, **options)
            path = []
            for _ in range(steps):
                optimizer.step(closure_of(helpers.six_hump, w))
                path.append(w.detach().clone())
            paths.append(path)
            if algorithm == name:
                assert self.acted(label, optimizer)
        assert same(*paths)


class Test_Population:
    """A population is its members, row by row, when each is fed its rows of the noise."""

    MEMBERS = 40  # enough for vectorised loops, whose last elements take another path
    COMPARED = (0, 31, 39)

    def options(self, label: str, fed: Fed, **world: Any) -> dict[str, Any]:
        options = options_for(label, noise=fed, **world)
        if options.get("accept") == "metropolis" and options["temperature"] > 0:
            options["accept"] = AcceptRule(fed.metropolis)
        return options

    def run(
        self, label: str, tensors: list, loss: Any, member: int | None, steps: int, held: Any = (), **world: Any
    ) -> Any:
        """Return the path (a list of parameters and buffers a step) and the counters."""
        params = [nn.Parameter(t.clone() if member is None else t[member].clone()) for t in tensors]
        buffers = [t.clone() if member is None else t[member].clone() for t in held]
        fed = Fed([tuple(t.shape[1:]) for t in tensors], steps, self.MEMBERS, member)
        options = self.options(label, fed, **world)
        optimizer = make(CASES[label][0], params, buffers=buffers, population=member is None, **options)

        def closure() -> torch.Tensor:
            for p in params:
                p.grad = None
            losses = loss([*params, *buffers])
            losses.sum().backward()
            return losses

        path = []
        for fed.step in range(steps):
            optimizer.step(closure)
            path.append([t.detach().clone() for t in [*params, *buffers]])
        return path, [torch.as_tensor(count) for count in helpers.counters(optimizer)]

    def compare(self, label: str, tensors: list, loss: Any, steps: int, equal: Any, **world: Any) -> Any:
        path, counts = self.run(label, tensors, loss, None, steps, **world)
        for i in self.COMPARED:
            own_path, own_counts = self.run(label, tensors, loss, i, steps, **world)
            for t, (together, alone) in enumerate(zip(path, own_path, strict=True)):
                assert equal([p[i] for p in together], alone), f"member {i} parts from its own run at step {t}"
            assert [int(c[i]) for c in counts] == [int(c) for c in own_counts]
        return dict(zip(helpers.COUNTERS, counts, strict=True))

    @pytest.mark.parametrize(("dtype", "momentum"), [(torch.float64, 0.0), (torch.float32, 0.9)], ids=str)
    @pytest.mark.parametrize("label", CASES)
    def test_bit_for_bit_on_a_landscape(self, label, dtype, momentum):
        tensors = [helpers.starts(self.MEMBERS, dtype=dtype)]
        world = {"lr": 0.02, "momentum": momentum, "weight_decay": 1e-3, "rho": 0.4, "tau": 9, "epsilon": 0.8}
        if CASES[label][1].get("normalized") or "reset" in label:
            world["epsilon"] = 2.5
        counts = self.compare(label, tensors, lambda params: helpers.six_hump(params[0]), 32, same, **world)
        if hops(label):
            assert len(set(counts["hops_tried"].tolist())) > 1, "members are to hop at different times"
        if label.startswith("NiM-"):
            assert len(set(counts["noise_triggers"].tolist())) > 1, "members are to fire at different times"
        if "MBH" in label:
            accepted, tried = counts["hops_accepted"].sum(), counts["hops_tried"].sum()
            assert 0 < accepted < tried or (("printed" in label or "T>0" in label) and accepted == tried)

    @pytest.mark.parametrize("label", CASES)
    def test_bit_for_bit_on_a_landscape_of_several_tensors(self, label):
        """Norms are taken over all tensors of a member."""
        generator = torch.Generator().manual_seed(3)
        tensors = [
            torch.rand(self.MEMBERS, *s, generator=generator, dtype=torch.float64) for s in ((2,), (2,), (3, 2), ())
        ]

        def loss(params: list[torch.Tensor]) -> torch.Tensor:
            a, b, c, d = params
            return helpers.six_hump(a) + helpers.three_hump(b) + d * d + helpers.six_hump(c).sum(-1)

        self.compare(label, tensors, loss, 15, same, lr=0.02, momentum=0.5, rho=0.3, tau=6, epsilon=4.0)

    @pytest.mark.parametrize("label", CASES)
    def test_to_rounding_on_a_stack_of_nets(self, label):
        generator = torch.Generator().manual_seed(4)
        shapes = ((3, 5), (1, 5), (5, 2), (1, 2))
        tensors = [torch.randn(self.MEMBERS, *s, generator=generator, dtype=torch.float64) for s in shapes]
        x, y = (torch.randn(20, n, generator=generator, dtype=torch.float64) for n in (3, 2))

        def loss(tensors: list[torch.Tensor]) -> torch.Tensor:
            w1, b1, w2, b2, running = tensors
            together = w1.dim() == 3
            inputs = x.expand(len(w1), -1, -1) if together else x
            hidden = torch.tanh(torch.baddbmm(b1, inputs, w1) if together else inputs @ w1 + b1)
            hidden = hidden - running.clone()  # a buffer that the loss depends on, and that each pass moves
            running.lerp_(hidden.detach().mean(-2, keepdim=True), 0.1)
            output = torch.baddbmm(b2, hidden, w2) if together else hidden @ w2 + b2
            return (output - y).square().mean((-2, -1))

        def equal(together: list, alone: list) -> bool:
            return helpers.close(together, alone, rtol=1e-9, atol=1e-11)

        world = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3, "rho": 0.1, "tau": 5, "epsilon": 0.7}
        held = [torch.zeros(self.MEMBERS, 1, 5, dtype=torch.float64)]
        self.compare(label, tensors, loss, 15, equal, held=held, **world)


class Test_Resume:
    """Saved, loaded into a fresh optimizer and continued, a run is the run that was not interrupted."""

    @staticmethod
    def through_a_file(saved: dict[str, Any]) -> dict[str, Any]:
        file = io.BytesIO()
        torch.save(saved, file)
        file.seek(0)
        return torch.load(file, weights_only=True)

    @staticmethod
    def in_mid_hop(optimizer: Any) -> torch.Tensor:
        return torch.as_tensor(optimizer.noise_triggers) > torch.as_tensor(optimizer.hops_tried)

    @pytest.mark.parametrize("at", [2, 6, 7])
    @pytest.mark.parametrize("label", CASES)
    def test_net(self, label, at):
        name, end = CASES[label][0], 13

        def fresh(seed: int) -> Any:
            model = helpers.small_net(seed)
            return model, helpers.make_for(model, name, seed=seed, **net_options(label))

        model, optimizer = fresh(0)
        global_state()
        whole = helpers.train(model, optimizer, range(end))
        expected = helpers.counters(optimizer)
        optimizer.finish()
        finished = helpers.snapshot(model)

        model, optimizer = fresh(0)
        global_state()
        helpers.train(model, optimizer, range(at))
        if hops(label):  # the first search has 3 steps, each hop 3
            assert bool(self.in_mid_hop(optimizer)) == (at == 7)
        saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}
        saved = self.through_a_file(saved)

        model, optimizer = fresh(17)
        torch.manual_seed(18)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["random"])
        rest = helpers.train(model, optimizer, range(at, end))
        assert all(same(a, b) for a, b in zip(rest, whole[at:], strict=True))
        assert helpers.counters(optimizer) == expected
        optimizer.finish()
        assert same(helpers.snapshot(model), finished)

    @pytest.mark.parametrize("label", CASES)
    def test_population(self, label):
        name, start, at, end = CASES[label][0], helpers.starts(8), 34, 60
        world = {"lr": 0.02, "momentum": 0.5, "rho": 0.4, "tau": 9, "epsilon": 0.8, "population": True}

        def fresh(seed: int) -> Any:
            w = helpers.point(start)
            return w, make(name, [w], seed=seed, **options_for(label, **world))

        def run(w: nn.Parameter, optimizer: Any, steps: int) -> list[torch.Tensor]:
            path = []
            for _ in range(steps):
                optimizer.step(closure_of(helpers.six_hump, w))
                path.append(w.detach().clone())
            return path

        w, optimizer = fresh(0)
        whole = run(w, optimizer, end)
        expected = helpers.counters(optimizer)

        w, optimizer = fresh(0)
        run(w, optimizer, at)
        if hops(label):
            assert self.in_mid_hop(optimizer).any()
        saved = self.through_a_file({"w": w, "optimizer": optimizer.state_dict()})

        w, optimizer = fresh(17)
        with torch.no_grad():
            w.copy_(saved["w"])
        optimizer.load_state_dict(saved["optimizer"])
        assert same(run(w, optimizer, end - at), whole[at:])
        assert all(torch.equal(a, b) for a, b in zip(helpers.counters(optimizer), expected, strict=True))

    def test_hyperparameters_may_be_numpy_scalars(self):
        rho, tau, lr = np.logspace(-3, 0, 4)[1], np.int64(3), np.float32(0.5)
        optimizer = make("NiM-SGD", [helpers.point([0.0, 0.0])], rho=rho, tau=tau, lr=lr)
        saved = self.through_a_file(optimizer.state_dict())
        assert saved["param_groups"][0]["rho"] == pytest.approx(0.01)
        assert isinstance(saved["param_groups"][0]["tau"], int)

    def test_learning_rate_schedules_resume_too(self):
        w = helpers.point([1.0, 1.0])
        optimizer = make("NiM-MBH", [w], lr=0.04)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5)
        for _ in range(4):
            optimizer.step(closure_of(helpers.six_hump, w))
            schedule.step()
        other = make("NiM-MBH", [w], lr=0.5)
        other.load_state_dict(self.through_a_file(optimizer.state_dict()))
        assert other.param_groups[0]["lr"] == 0.02


class Test_SecondPasses:
    """Second passes and comparisons leave buffers, global random state and later dropout draws as they were."""

    @pytest.mark.parametrize("label", CASES)
    def test_the_global_random_state_is_sgds(self, label):
        states = []
        for name, options in ((CASES[label][0], net_options(label)), ("SGD", {})):
            model = helpers.small_net()
            optimizer = helpers.make_for(model, name, **options)
            global_state()
            states.append([s[-1] for s in helpers.train(model, optimizer, range(10))])
        assert same(*states)

    @pytest.mark.parametrize("label", ["SAM", "NiM-SGD"])
    def test_buffers_are_those_of_one_pass_where_the_model_stood(self, label):
        model, witness = helpers.small_net(), helpers.small_net()
        optimizer = helpers.make_for(model, CASES[label][0], **net_options(label))
        global_state()
        for t in range(10):
            witness.load_state_dict(model.state_dict())
            with torch.random.fork_rng([]):
                witness(helpers.batch(t)[0])
            before = optimizer.gradient_evaluations
            optimizer.step(helpers.net_closure(model, t))
            twice = optimizer.gradient_evaluations - before == 2
            assert twice == (label == "SAM" or t >= 2)
            assert same(list(model.buffers()), list(witness.buffers()))

    @pytest.mark.parametrize("name", ["NiG-BH", "NiM-BH"])
    def test_comparisons_that_always_accept_are_no_comparisons(self, name):
        def yes(candidate, reference, temperature, generator):
            return torch.ones_like(candidate, dtype=torch.bool)

        histories = []
        for accept in ("always", AcceptRule(yes), AcceptRule(yes, reference="perturbed")):
            model = helpers.small_net()
            optimizer = helpers.make_for(model, name, accept=accept, tau=3, epsilon=0.0, rho=0.3, **FOR_NET)
            global_state()
            histories.append(helpers.train(model, optimizer, range(14)))
            assert optimizer.hops_accepted == optimizer.hops_tried == 3
        assert all(same(a, b) and same(a, c) for a, b, c in zip(*histories, strict=True))


class Test_NoiseStream:
    NOISY: ClassVar = [
        label for label in CASES if CASES[label][0] not in ("GD", "SGD", "SAM", "AdamW", "SWA", "L-BFGS-GSS")
    ]

    def end(self, label: str, seed: int) -> torch.Tensor:
        w = helpers.point(helpers.starts(8))
        world = {"lr": 0.02, "rho": 0.4, "tau": 4, "epsilon": INF, "population": True, "seed": seed}
        if hops(label):
            world["epsilon"] = 0.0
        optimizer = make(CASES[label][0], [w], **options_for(label, **world))
        for _ in range(16):
            optimizer.step(closure_of(helpers.six_hump, w))
        return w.detach()

    @pytest.mark.parametrize("label", NOISY)
    def test_is_the_seeds(self, label):
        first = self.end(label, 1)
        torch.manual_seed(123)  # the global stream has no part in it
        assert torch.equal(first, self.end(label, 1))
        assert not torch.equal(first, self.end(label, 2))


class Test_Minima:
    """Each optimizer finds a known minimum."""

    ROWS: ClassVar = {
        "bowl": (helpers.bowl, [1.0, 1.0, 1.0, 1.0], [0.5, 1.6, 1.3, 0.9], 0.04),
        "six-hump": (helpers.six_hump, [-0.08984201, 0.71265640], [0.2, 0.5], 0.03),
        "three-hump": (helpers.three_hump, [0.0, 0.0], [0.6, -0.4], 0.1),
        "himmelblau": (helpers.himmelblau, [3.0, 2.0], [3.4, 1.5], 0.01),
    }

    #: Accept rules find what `always` and `classical` find: those two are enough here.
    LABELS: ClassVar = [label for label in CASES if "MBH" not in label or "classical" in label or "normalized" in label]

    @pytest.mark.slow
    @pytest.mark.parametrize("row", ROWS)
    @pytest.mark.parametrize("label", LABELS)
    def test_is_found(self, label, row):
        function, minimum, start, lr = self.ROWS[row]
        w, world = helpers.point(start), {"lr": lr, "rho": 0.02, "tau": 60, "epsilon": 1e-6, "momentum": 0.0}
        name, options = CASES[label]
        if name == "AdamW":
            world |= {"lr": 0.02, "weight_decay": 0.0}
        elif options.get("normalized"):
            world["lr"] = 0.02
        elif name == "SGLD":
            options = {"temperature": 1e-5}
        elif name == "SWA":
            options = {"average_from": 100}
        optimizer = make(name, [w], **{**options_for(label, **world), **options})
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.98 if "normalized" in options else 1.0)
        for _ in range(200):
            optimizer.step(closure_of(function, w))
            schedule.step()
        optimizer.finish()
        error = (w.detach() - torch.tensor(minimum, dtype=torch.float64)).norm()
        assert error < (0.05 if name in ("SWA", "SGLD") or "SAM" in name or "Ni" in name else 5e-3)


class Test_Schedules:
    """Torch's schedulers, those too that cycle momentum or Adam's betas."""

    @pytest.mark.parametrize("label", CASES)
    def test_one_cycle(self, label):
        w = helpers.point([0.5, 0.5])
        optimizer = make(CASES[label][0], [w], **options_for(label, momentum=0.9))
        cycles = CASES[label][0] != "L-BFGS-GSS"  # it has no momentum
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, 10, cycle_momentum=cycles)
        rates, momenta = [], []
        for _ in range(10):
            optimizer.step(closure_of(helpers.six_hump, w))
            group = optimizer.param_groups[0]
            rates.append(group["lr"])
            if cycles:
                momenta.append(group.get("momentum") or group["betas"][0])
            schedule.step()
        assert max(rates) == pytest.approx(0.05)
        assert rates[-1] < 1e-4
        assert not cycles or min(momenta) == pytest.approx(0.85)
        assert torch.isfinite(w).all()
