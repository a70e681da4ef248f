"""Bad input: what was asked, which exception answers, and the words that its message must hold."""

from typing import Any

import helpers
import pytest
import torch
from helpers import closure_of
from torch import nn

from popview.common.errors import UsageError
from popview.optimizers import ALGORITHMS, AcceptRule, Perturb, hyperparameters, make
from popview.optimizers.noise import sphere

NAN, INF = float("nan"), float("inf")


def two(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.ones(shape or (2,)))


#: Name, parameters, options, exception, words.
MAKING: dict[str, tuple[str, Any, dict[str, Any], type[Exception], tuple[str, ...]]] = {
    "unknown algorithm": ("NiM-BJ", [two()], {}, UsageError, ("algorithm", "'NiM-BJ'", "did you mean 'NiM-BH'")),
    "case of an algorithm": ("sgd", [two()], {}, UsageError, ("did you mean 'SGD'",)),
    "nothing near": ("zzzzzz", [two()], {}, UsageError, ("known: GD, NiG-GD",)),
    "unknown hyperparameter": ("SAM", [two()], {"roh": 1}, UsageError, ("of SAM", "'roh'", "did you mean 'rho'")),
    "another's hyperparameter": ("SGD", [two()], {"tau": 5}, UsageError, ("hyperparameter of SGD", "'tau'")),
    "perturb by make": ("NiM-BH", [two()], {"perturb": 1}, UsageError, ("'perturb'",)),
    "noise": ("NiG-SGD", [two()], {"noise": "bal"}, UsageError, ("noise", "did you mean 'ball'")),
    "scope": ("NiG-BH", [two()], {"scope": "layers"}, UsageError, ("scope", "did you mean 'layer'")),
    "accept": ("NiM-MBH", [two()], {"accept": "classic"}, UsageError, ("accept rule", "did you mean 'classical'")),
    **{
        f"lr={lr}": ("SGD", [two()], {"lr": lr}, ValueError, ("lr must be above 0", repr(lr)))
        for lr in (-0.1, NAN, INF)
    },
    "lr a word": ("SGD", [two()], {"lr": "0.1"}, TypeError, ("lr must be a number", "'0.1'")),
    "lr a bool": ("SGD", [two()], {"lr": True}, TypeError, ("lr must be a number", "True")),
    "lr None": ("AdamW", [two()], {"lr": None}, TypeError, ("lr must be a number", "None")),
    **{
        f"rho={rho}, {name}": (name, [two()], {"rho": rho}, ValueError, ("rho must be 0 or above", repr(rho)))
        for rho in (-1e-9, NAN, INF)
        for name in ALGORITHMS
        if "rho" in hyperparameters(name)
    },
    **{
        f"tau={tau}, {name}": (name, [two()], {"tau": tau}, ValueError, ("tau must be a whole number", repr(tau)))
        for tau in (0, -3, 2.5, NAN, INF)
        for name in ("NiM-SGD", "NiG-BH", "NiM-MBH")
    },
    "epsilon below 0": ("NiM-SGD", [two()], {"epsilon": -1.0}, ValueError, ("epsilon must be 0 or above", "-1.0")),
    "epsilon NaN": ("NiM-BH", [two()], {"epsilon": NAN}, ValueError, ("epsilon", "nan")),
    "temperature": ("NiM-MBH", [two()], {"temperature": -1}, ValueError, ("temperature must be 0 or above",)),
    "SGLD's temperature": ("SGLD", [two()], {"temperature": NAN}, ValueError, ("temperature", "nan")),
    "momentum 1": ("SGD", [two()], {"momentum": 1}, ValueError, ("momentum must be in [0, 1)", "1")),
    "momentum below 0": ("SAM", [two()], {"momentum": -0.1}, ValueError, ("momentum must be in [0, 1)",)),
    "weight decay": ("SWA", [two()], {"weight_decay": -0.1}, ValueError, ("weight_decay must be 0 or above",)),
    "average_from": ("SWA", [two()], {"average_from": 0.5}, ValueError, ("average_from must be a whole number",)),
    "average_every": ("SWA", [two()], {"average_every": 0}, ValueError, ("average_every must be a whole number",)),
    "history": ("L-BFGS-GSS", [two()], {"history": 0}, ValueError, ("history must be a whole number, 1 or above",)),
    "evaluations": ("L-BFGS-GSS", [two()], {"evaluations": 2.5}, ValueError, ("evaluations must be a whole number",)),
    "betas": ("AdamW", [two()], {"betas": (0.9, 1.0)}, ValueError, ("betas[1] must be in [0, 1)", "1.0")),
    "one beta": ("AdamW", [two()], {"betas": 0.9}, TypeError, ("betas must be two numbers", "0.9")),
    "betas of a group": ("AdamW", [{"params": [two()], "betas": (2.0, 0.9)}], {}, ValueError, ("betas[0]", "2.0")),
    "only empty groups": ("SGD", [{"params": []}], {}, ValueError, ("every group is empty",)),
    "normalized a word": ("SGD", [two()], {"normalized": "false"}, TypeError, ("normalized must be True or False",)),
    "population a word": ("SAM", [two()], {"population": "no"}, TypeError, ("population must be True or False", "no")),
    "reset_momentum a number": ("NiM-BH", [two()], {"reset_momentum": 1}, TypeError, ("reset_momentum must be",)),
    "scope of a callable": ("NiG-SGD", [two()], {"noise": sphere, "scope": "layer"}, UsageError, ("callable",)),
    "eps": ("AdamW", [two()], {"eps": -1e-8}, ValueError, ("eps must be 0 or above", "-1e-08")),
    "no parameters": ("SGD", [], {}, ValueError, ("empty parameter list",)),
    "a tensor for parameters": ("SGD", two(), {}, TypeError, ("params argument",)),
    "not a leaf": ("SGD", [two() * 2], {}, ValueError, ("leaf",)),
    "complex": ("SAM", [nn.Parameter(torch.ones(2, dtype=torch.cfloat))], {}, TypeError, ("params[0]", "complex64")),
    "population of scalars": ("SGD", [two(), nn.Parameter(torch.tensor(1.0))], {"population": True}, ValueError,
                              ("params[1]", "shape ()", "dimension 0")),
    "population of unequal sizes": ("SGD", [two(3, 2), two(4, 2)], {"population": True}, ValueError,
                                    ("params[1]", "(4, 2)", "dimension 0", "equal")),
    "buffers of another size": ("SGD", [two(3, 2)], {"population": True, "buffers": [torch.ones(3), torch.ones(2)]},
                                ValueError, ("buffers[1]", "(2,)", "must be 3")),
    "buffer without a dimension": ("SGD", [two(3, 2)], {"population": True, "buffers": [torch.tensor(1)]},
                                   ValueError, ("buffers[0]", "()", "must be 3")),
    "scaler with population": ("SAM", [two(3, 2)], {"population": True, "scaler": torch.amp.GradScaler("cpu")},
                               ValueError, ("scaler", "population=True")),
    "rho per group": ("SAM", [{"params": [two()]}, {"params": [two()], "rho": 0.3}], {"rho": 0.1}, ValueError,
                      ("rho belongs to the whole model", "0.3")),
    "tau per group": ("NiM-BH", [{"params": [two()], "tau": 3}, {"params": [two()], "tau": 4}], {}, ValueError,
                      ("tau belongs to the whole model", "4")),
    "normalized per group": ("SGD", [{"params": [two()]}, {"params": [two()], "normalized": True}], {}, ValueError,
                             ("normalized belongs to the whole model",)),
    "lr of a group": ("SGD", [{"params": [two()]}, {"params": [two()], "lr": -1.0}], {}, ValueError, ("lr", "-1.0")),
}  # fmt: skip


def test_parts_of_basin_hopping():
    with pytest.raises(UsageError, match=r"target of a perturbation.*'weights'"):
        Perturb("weights", sphere)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"reference of an accept rule.*'minima'.*did you mean 'minimum'"):
        AcceptRule(None, reference="minima")  # type: ignore[arg-type]


@pytest.mark.parametrize("row", MAKING)
def test_making(row):
    name, params, options, exception, words = MAKING[row]
    with pytest.raises(exception) as caught:
        make(name, params, **options)
    for word in words:
        assert word in str(caught.value)


def fill(*params: nn.Parameter) -> None:
    for p in params:
        p.grad = torch.ones_like(p)


#: Population or not, closure (given the parameters), exception, words.
CLOSURES: dict[str, tuple[bool, Any, type[Exception], tuple[str, ...]]] = {
    "None": (False, lambda a, b: None, TypeError, ("closure", "None")),
    "a loss": (False, lambda a, b: torch.tensor(1.0), TypeError, ("closure", "tensor(1.)")),
    "returns None": (False, lambda a, b: lambda: fill(a, b), TypeError, ("closure", "return", "None")),
    "returns a bool": (False, lambda a, b: lambda: fill(a, b) is None, TypeError, ("closure", "True")),
    "returns a list": (False, lambda a, b: lambda: [fill(a, b)], TypeError, ("closure", "[None]")),
    "returns many losses": (False, lambda a, b: lambda: fill(a, b) or torch.ones(3), ValueError,
                            ("closure", "one loss", "(3,)")),
    "population: one number": (True, lambda a, b: lambda: fill(a, b) or 1.0, ValueError,
                               ("one loss per model", "(2,)", "()")),
    "population: the sum": (True, lambda a, b: lambda: fill(a, b) or torch.tensor(1.0), ValueError,
                            ("one loss per model", "(2,)", "()")),
    "population: too many": (True, lambda a, b: lambda: fill(a, b) or torch.ones(3), ValueError,
                             ("one loss per model", "(2,)", "(3,)")),
    "population: a column": (True, lambda a, b: lambda: fill(a, b) or torch.ones(2, 1), ValueError,
                             ("one loss per model", "(2,)", "(2, 1)")),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["SGD", "NiG-SGD", "NiM-SGD", "SAM", "NiG-MBH", "NiM-MBH", "AdamW", "SWA", "SGLD", "L-BFGS-GSS"]
)
@pytest.mark.parametrize("row", CLOSURES)
def test_closures(row, name):
    population, closure, exception, words = CLOSURES[row]
    a, b = two(), two()
    optimizer = make(name, [a, b], population=population)
    with pytest.raises(exception) as caught:
        optimizer.step(closure(a, b))
    for word in words:
        assert word in str(caught.value)
    assert torch.equal(a, torch.ones(2)), "the model has not moved"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_sparse_gradients(name):
    embedding = nn.Embedding(4, 2, sparse=True)
    optimizer = make(name, embedding.parameters())

    closure = helpers.closure_on(optimizer, lambda: embedding(torch.tensor([1, 2])).sum())

    with pytest.raises(TypeError, match=r"params\[0\] has a sparse gradient"):
        optimizer.step(closure)


@pytest.mark.parametrize("name", ["NiG-BH", "NiM-BH"])
def test_a_bad_closure_does_not_start_a_hop(name):
    w = helpers.point([0.5, 0.5])
    optimizer = make(name, [w], tau=1, rho=0.5)
    optimizer.step(closure_of(helpers.six_hump, w))
    before = w.detach().clone()
    with pytest.raises(TypeError, match="closure"):
        optimizer.step(None)
    assert torch.equal(w, before)
    assert (optimizer.noise_triggers, optimizer.steps) == (0, 1)


@pytest.mark.parametrize(
    ("loss", "exception", "words"),
    [
        (lambda: None, TypeError, "loss_closure must return the loss"),
        (lambda: torch.ones(3), ValueError, "loss_closure must return one loss"),
    ],
)
def test_bad_loss_closures(loss, exception, words):
    w = helpers.point([0.5, 0.5])
    optimizer = make("NiM-MBH", [w], tau=1)
    optimizer.step(closure_of(helpers.six_hump, w), loss)
    with pytest.raises(exception, match=words):
        optimizer.step(closure_of(helpers.six_hump, w), loss)


def test_a_refused_group_leaves_no_trace():
    w = two()
    optimizer = make("SAM", [w])
    for group in (
        {"params": [two()], "lr": -1.0},
        {"params": [two()], "rho": 9.0},
        {"params": [two()], "normalized": True},
    ):
        with pytest.raises(ValueError, match=r"lr|rho|normalized"):
            optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1


def other_state(name: str) -> dict[str, Any]:
    return make(name, [two()]).state_dict()


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("SGD", lambda: torch.optim.SGD([two()], lr=0.1).state_dict(), ("'run'", "popview")),
        ("AdamW", lambda: torch.optim.AdamW([two()]).state_dict(), ("'run'", "popview")),
        ("NiM-BH", lambda: other_state("SGD"), ("SGD", "not from BasinHopping")),
        ("SGD", lambda: other_state("NiM-BH"), ("BasinHopping", "not from SGD")),
        ("SAM", lambda: other_state("SWA"), ("SWA", "not from SAM")),
    ],
)
def test_states_of_others(name, state, words):
    optimizer = make(name, [two()], lr=0.25)
    with pytest.raises(UsageError) as caught:
        optimizer.load_state_dict(state())
    for word in words:
        assert word in str(caught.value)
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_states_of_another_model():
    with pytest.raises(ValueError, match="parameter group"):
        make("SGD", [two(), two()]).load_state_dict(other_state("SGD"))
