"""A reader's own optimizers and tasks: what they are pinned by, how they run, and that reading them imports nothing."""

import copy
import hashlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import closure_on
from torch import Tensor

from popview.common import named_code
from popview.common.errors import UsageError
from popview.common.named_code import code_origin, imported_object
from popview.optimizers import make
from popview.optimizers.foreign import Foreign, make_foreign
from popview.populations import comparisons, tables
from popview.runs import store, training
from popview.runs.expansion import expand
from popview.runs.own import is_own, own_specs, resolved, stored
from popview.runs.own_runs import run_own

PLAIN = """
import torch
open("imported", "a").write("x")
class Plain(torch.optim.Optimizer):
    def __init__(self, params, lr=0.05):
        super().__init__(params, {"lr": lr})
    def step(self):
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p -= group["lr"] * p.grad
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A reader's folder with ``plain.py``; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "plain.py").write_text(PLAIN)
    before = set(sys.modules)
    yield tmp_path
    forget(set(sys.modules) - before)


def forget(names) -> None:
    for name in [*names]:
        if getattr(sys.modules.get(name), "__file__", None) and "site-packages" not in str(sys.modules[name].__file__):
            sys.modules.pop(name)
    named_code._IMPORTED.clear()


def trained(folder: Path, optimizer: str, texts: dict[str, str], restarts: int = 2, task: str = "digits") -> str:
    options = {"workers": 1, "quiet": True, "root": folder / "data", "profile": "smoke"}
    return run_own(task, optimizer, texts, restarts=restarts, **options)


# ---------------------------------------------------------------- what pins code


def test_a_module_of_ones_own_is_pinned_by_its_sha256(folder):
    digest = hashlib.sha256((folder / "plain.py").read_bytes()).hexdigest()
    assert code_origin("plain:Plain") == f"sha256:{digest}"
    assert "plain" not in sys.modules


def test_a_package_is_pinned_by_its_version():
    assert code_origin("torch.optim:NAdam") == f"torch {torch.__version__.split('+')[0]}"
    assert code_origin("sklearn.svm:SVC").startswith("scikit-learn 1.")  # another name than the folder's


def test_an_edit_of_what_it_imports_counts(folder):
    (folder / "helper.py").write_text("rate = 1\n")
    (folder / "outer.py").write_text("import helper\nclass A: ...\n")
    before = code_origin("outer:A")
    (folder / "helper.py").write_text("rate = 2\n")
    assert code_origin("outer:A") != before
    assert "helper" not in sys.modules


def test_an_edit_gives_another_digest(folder):
    (before,) = own_specs("digits", "plain:Plain", {"lr": 0.1}, profile="smoke", restarts=1)
    (folder / "plain.py").write_text(PLAIN + "\n# edited\n")
    (after,) = own_specs("digits", "plain:Plain", {"lr": 0.1}, profile="smoke", restarts=1)
    assert before.digest != after.digest
    assert store.path(before).name != store.path(after).name


def test_code_that_was_edited_after_its_import_is_refused(folder):
    imported_object("plain:Plain")
    (folder / "plain.py").write_text(PLAIN + "\n# edited\n")
    with pytest.raises(UsageError, match="edited since it was imported"):
        imported_object("plain:Plain")


# ---------------------------------------------------------------- one step of theirs is one step here


def bowl(w: Tensor, optimizer: torch.optim.Optimizer):
    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = ((w - 1) ** 4 + (w**2) * torch.tensor([1.0, 3.0])).flatten(1).sum(1)
        losses.sum().backward()
        return losses if len(w) > 1 else losses.sum()

    return closure


THEIRS = {
    "SGD": (torch.optim.SGD, {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}),
    "NAdam": (torch.optim.NAdam, {"lr": 0.01}),
    "LBFGS": (torch.optim.LBFGS, {"lr": 0.1, "max_iter": 4}),
    "LBFGS, line search": (torch.optim.LBFGS, {"max_iter": 4, "line_search_fn": "strong_wolfe"}),
}


@pytest.mark.parametrize("name", THEIRS)
def test_steps_and_gradients_are_those_of_plain_torch(name):
    kind, settings = THEIRS[name]
    ours, theirs = (torch.nn.Parameter(torch.tensor([[2.0, -1.0]])) for _ in range(2))
    wrapped, plain = Foreign([ours], lambda params: kind(params, **settings)), kind([theirs], **settings)
    calls = 0

    def counted() -> Tensor:
        nonlocal calls
        calls += 1
        return bowl(theirs, plain)()

    for _ in range(5):
        wrapped.step(bowl(ours, wrapped))
        plain.step(counted)
    assert torch.equal(ours, theirs)
    assert wrapped.gradient_evaluations == calls


@pytest.mark.parametrize("name", THEIRS)
def test_members_of_a_population_are_optimized_apart(name):
    """Also by L-BFGS, whose directions and lengths are those of a whole model."""
    kind, settings = THEIRS[name]
    starts = torch.tensor([[2.0, -1.0], [0.5, 0.1], [-3.0, 2.0]])
    w = torch.nn.Parameter(starts.clone())
    together = Foreign([w], lambda params: kind(params, **settings), population=True)
    for _ in range(5):
        together.step(bowl(w, together))
    for i, start in enumerate(starts):
        alone = torch.nn.Parameter(start[None].clone())
        single = kind([alone], **settings)
        for _ in range(5):
            single.step(bowl(alone, single))
        assert torch.equal(w[i], alone[0])


class TwoGradients(torch.optim.Optimizer):
    """As SAM is often written: it needs the gradient before its step, and asks for another one where it has climbed."""

    def __init__(self, params, rho=0.5, lr=0.25):
        super().__init__(params, {"rho": rho, "lr": lr})

    @torch.no_grad()
    def step(self, closure):
        (w,) = self.param_groups[0]["params"]
        climb = self.defaults["rho"] * w.grad / w.grad.norm()
        w += climb
        with torch.enable_grad():
            closure()
        w -= climb + self.defaults["lr"] * w.grad


def test_a_closure_after_a_move_is_a_second_gradient():
    ours, theirs = (torch.nn.Parameter(torch.tensor([[2.0]])) for _ in range(2))
    wrapped, sam = Foreign([ours], TwoGradients), make("SAM", [theirs], lr=0.25, rho=0.5)
    for w, optimizer in ((ours, wrapped), (theirs, sam)):
        closure = closure_on(optimizer, lambda w=w, optimizer=optimizer: (w**2).sum())

        for _ in range(3):
            optimizer.step(closure)
    torch.testing.assert_close(ours, theirs)
    assert wrapped.gradient_evaluations == sam.gradient_evaluations == 6


def test_a_second_gradient_has_the_draws_of_the_first_and_leaves_buffers_alone():
    """As popview's own SAM has it; and gradients are cleared for a closure that does not."""
    network = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5))
    w, masks = torch.nn.Parameter(torch.tensor([[2.0]])), []
    wrapped = Foreign([w], TwoGradients, buffers=network.buffers())

    def closure() -> Tensor:
        masks.append(network(torch.arange(6.0)[:, None]) == 0)
        loss = (w**2).sum()
        loss.backward()
        return loss.detach()

    wrapped.step(closure)
    assert torch.equal(*masks)
    assert network[1].num_batches_tracked == 1
    assert w.item() == 2 - 0.25 * 2 * 2.5


def test_a_scaler_is_refused():
    scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(ValueError, match="its gradients stay scaled"):
        Foreign([torch.nn.Parameter(torch.ones(1))], TwoGradients, scaler=scaler)


def test_a_copy_of_a_population_moves_its_own_parameters():
    w = torch.nn.Parameter(torch.tensor([[2.0, -1.0], [0.5, 0.1]]))
    optimizer = Foreign([w], lambda params: torch.optim.NAdam(params, lr=0.01), population=True)
    optimizer.step(bowl(w, optimizer))
    v, copied = copy.deepcopy((w, optimizer))
    for models, one in ((w, optimizer), (v, copied)):
        one.step(bowl(models, one))
    assert torch.equal(v, w)
    assert v.data_ptr() != w.data_ptr()


@pytest.mark.parametrize("name", THEIRS)
def test_a_state_goes_on_to_the_last_bit(name):
    kind, settings = THEIRS[name]

    def begun(at: Tensor) -> tuple[Tensor, Foreign]:
        w = torch.nn.Parameter(at.clone())
        return w, Foreign([w], lambda params: kind(params, **settings), population=True)

    w, optimizer = begun(torch.tensor([[2.0, -1.0], [0.5, 0.1]]))
    for _ in range(2):
        optimizer.step(bowl(w, optimizer))
    again, resumed = begun(w.detach())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for models, one in ((w, optimizer), (again, resumed)):
        for _ in range(3):
            one.step(bowl(models, one))
    assert torch.equal(w, again)
    assert torch.equal(torch.as_tensor(optimizer.gradient_evaluations), torch.as_tensor(resumed.gradient_evaluations))


# ---------------------------------------------------------------- runs


def test_an_own_run_of_the_books_sgd_has_its_rows(folder):
    """By its class's name, in a stack as the book's are; torch's SGD to rounding."""
    (spec,) = expand("smoke", "digits", algorithms=("SGD",))
    book = training.train_table(spec).to_pandas().drop(columns="seconds")
    texts = {"lr": "0.05", "momentum": "0.9"}
    for name in ("SGD", "popview.optimizers:SGD", "torch.optim:SGD"):
        assert "1 new" in trained(folder, name, texts, restarts=4)
        (own,) = stored("digits", name, profile="smoke", root=folder / "data")
        rows = store.load(own, folder / "data").to_pandas().drop(columns="seconds")
        tolerance = {"rtol": 1e-4, "check_exact": False} if name.startswith("torch") else {"check_exact": True}
        pd.testing.assert_frame_equal(rows, book, **tolerance)


def test_an_interrupted_run_goes_on(folder):
    (spec,) = own_specs("digits", "torch.optim:NAdam", {"lr": 0.01}, profile="smoke", restarts=2, stacked=True)
    whole = training.compute(spec)[-1].table.to_pandas().drop(columns="seconds")
    state = folder / "state"

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        written, original = [], training.follow.__globals__["_write"]

        def write(*given):
            original(*given)
            written.append(given)
            kill()

        patch.setitem(training.follow.__globals__, "_write", write)
        with pytest.raises(Killed):
            training.compute(spec, state, every=0.0)
    assert written
    assert state.is_file()
    rows = training.compute(spec, state)[-1].table.to_pandas().drop(columns="seconds")
    pd.testing.assert_frame_equal(rows, whole, check_exact=True)


def test_reading_imports_nothing(folder):
    trained(folder, "plain:Plain", {})
    imports = (folder / "imported").read_text()
    forget(["plain"])
    root = folder / "data"
    assert resolved("digits", "plain:Plain", profile="smoke", root=root) == "plain:Plain"
    rows = tables.load_trajectories(stored("digits", "plain:Plain", profile="smoke", root=root), None, root)
    assert set(rows["algorithm"]) == {"plain:Plain"}
    assert "plain" not in sys.modules
    assert (folder / "imported").read_text() == imports
    (folder / "plain.py").write_text("raise SystemExit('imported')\n")
    with pytest.raises(UsageError, match="1 files are of other code or another budget"):
        stored("digits", "plain:Plain", profile="smoke", root=root)


def test_a_larger_stack_takes_the_place_of_a_smaller_one(folder):
    for restarts in (2, 3):
        trained(folder, "torch.optim:Rprop", {}, restarts=restarts)
    (spec,) = stored("digits", "torch.optim:Rprop", profile="smoke", root=folder / "data")
    assert list(spec.seeds) == [0, 1, 2]


def test_two_settings_have_names_of_their_own(folder):
    for rate in ("0.01", "0.02"):
        trained(folder, "torch.optim:Rprop", {"lr": rate})
    options = {"profile": "smoke", "root": folder / "data"}
    with pytest.raises(UsageError, match=r"say which: torch.optim:Rprop lr=0\.01; torch.optim:Rprop lr=0\.02"):
        resolved("digits", "torch.optim:Rprop", **options)
    assert resolved("digits", "torch.optim:Rprop lr=0.02", **options) == "torch.optim:Rprop lr=0.02"
    with pytest.raises(UsageError, match=r"did you mean 'torch.optim:Rprop lr=0\.02'"):
        resolved("digits", "torch.optim:Rprop lr=0.2", **options)


TASKS = """
import torch
from torch.utils.data import TensorDataset
from popview.tasks.named import DatasetProblem
def good(seed):
    draws = torch.Generator().manual_seed(5)
    x = torch.randn(100, 3, generator=draws)
    data = TensorDataset(x, (x.sum(1) > 0).long())
    return DatasetProblem(torch.nn.Linear(3, 2), data, data, seed, batch_size=20)
def narrow(seed):
    task = good(seed)
    task.network = torch.nn.Linear(4, 2)
    return task
def wide(seed):
    data = TensorDataset(torch.ones(10, 3), torch.zeros(10))
    return DatasetProblem(torch.nn.Linear(3, 2), data, data, seed, batch_size=2, validation=1.5)
def none(seed): ...
def broken(seed): raise KeyError("where")
number = 3
"""


def test_a_task_of_ones_own_draws_by_the_restarts_seed(folder):
    (folder / "tasks_of_mine.py").write_text(TASKS)
    run_own(
        "tasks_of_mine:good", "SGD", {"lr": "0.1"}, restarts=2, epochs=2, root=folder / "data", workers=1, quiet=True
    )
    rows = tables.load_own("tasks_of_mine:good", ["SGD"], epochs=2, root=folder / "data")
    start = rows[rows["step"] == 0].set_index("seed")["train_loss"]
    assert start[0] != start[1]
    assert rows.groupby("seed")["step"].max().tolist() == [8, 8]  # 80 of 100 are trained on, 20 a minibatch


@pytest.mark.parametrize(
    ("optimizer", "texts", "task", "message"),
    [
        ("nowhere:X", {}, "digits", "there is no module nowhere in"),
        ("plain", {}, "digits", "unknown optimizer 'plain'"),
        ("plain:", {}, "digits", "expected module:name"),
        ("plain:Plane", {}, "digits", "did you mean 'Plain'"),
        ("plain:torch", {}, "digits", "is no torch.optim.Optimizer: it is a module"),
        ("plain:Plain", {"rl": "1"}, "digits", "unknown setting of plain:Plain 'rl': did you mean 'lr'"),
        ("torch.optim:SGD", {"lr": "-1"}, "digits", "refuses its settings: ValueError: Invalid learning rate: -1"),
        ("bad:Bad", {}, "digits", "bad cannot be imported: ZeroDivisionError: division by zero"),
        ("needy:Needy", {}, "digits", "needy:Needy needs a value for lr: -p lr=…"),
        ("needy:Fails", {}, "digits", "step failed in needy.py, line 9: RuntimeError: no way"),
        ("SGD", {"rho": "1"}, "digits", "unknown hyperparameter of SGD 'rho'"),
        ("SGD", {}, "nowhere:task", "there is no module nowhere"),
        ("SGD", {}, "tasks_of_mine:none", "must return a popview.tasks.problem.Problem, it returned a NoneType"),
        ("SGD", {}, "tasks_of_mine:broken", "failed for seed 0: KeyError: 'where'"),
        ("SGD", {}, "tasks_of_mine:goood", "did you mean 'good'"),
        ("SGD", {}, "tasks_of_mine:narrow", "RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        ("SGD", {}, "tasks_of_mine:wide", "validation must keep a part of the 10 training rows, got 1.5"),
        ("SGD", {"lr": "{[]:1}"}, "digits", "lr"),
        ("SGD", {"seed": "3"}, "digits", "seed is no setting of SGD: a run sets it itself"),
    ],
)
def test_a_mistake_is_one_line(folder, optimizer, texts, task, message):
    (folder / "bad.py").write_text("1 / 0\n")
    (folder / "needy.py").write_text(
        "import torch\nclass Needy(torch.optim.Optimizer):\n    def __init__(self, params, lr):\n"
        "        super().__init__(params, {})\nclass Fails(torch.optim.Optimizer):\n    def __init__(self, params):\n"
        "        super().__init__(params, {})\n    def step(self):\n        raise RuntimeError('no\\n way')\n"
    )
    (folder / "tasks_of_mine.py").write_text(TASKS)
    with pytest.raises(UsageError) as error:
        trained(folder, optimizer, texts, task=task, restarts=1)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_setting_that_popviews_own_class_lacks_is_named():
    with pytest.raises(UsageError, match=r"unknown setting of popview\.optimizers:SAM 'roh': did you mean 'rho'"):
        make_foreign("popview.optimizers:SAM", [torch.zeros(1, requires_grad=True)], {"roh": 1})


# ---------------------------------------------------------------- judged apart


def test_the_books_families_do_not_move():
    draws = np.random.default_rng(0)
    names = ["SGD", "SAM", "NiG-SGD", "AdamW"]
    values = pd.DataFrame(draws.normal(size=(10, 4)), columns=names)
    mine = pd.Series(draws.normal(size=3), index=[0, 1, 2])
    more = values.assign(**{"mymodule:Mine lr=0.1": mine, "SGD lr=0.3": mine + 1})
    before, after = (comparisons.against_reference(table, 0.5) for table in (values, more))
    own = after[after["a"].map(is_own)]
    pd.testing.assert_frame_equal(after.drop(own.index).reset_index(drop=True), before, check_exact=True)
    assert set(own["family"]) == {"your own"}
    assert set(own["restarts"]) == {3}


def test_pairs_with_ones_own_are_a_family_apart():
    draws = np.random.default_rng(0)
    rows = [
        {"task": "t", "profile": "p", "variant": "base", "algorithm": name, "seed": seed, "test_metric": draws.normal()}
        for name in ("SGD", "SAM", "AdamW", "mymodule:Mine")
        for seed in range(8 if ":" not in name else 4)
    ]
    table = pd.DataFrame(rows)
    before, after = (comparisons.all_pairs(t, 0.5) for t in (table[table["algorithm"] != "mymodule:Mine"], table))
    shared = after[~(after["a"].map(is_own) | after["b"].map(is_own))].reset_index(drop=True)
    pd.testing.assert_frame_equal(shared, before, check_exact=True)
