"""Training passes that torch.compile has fused: the same function, the same run each time, and what they need."""

import json
import shutil

import numpy as np
import pytest
import tiny
import torch
from test_resume import check, small, told

from popview.common.errors import UsageError
from popview.runs import loop, training
from popview.tasks.images import Images

COMPILED = tiny.IMAGE_MODEL | {"compiled": True}
compiler = pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="no C++ compiler")


@pytest.fixture(autouse=True)
def _kernels(tmp_path_factory, monkeypatch) -> None:
    """Keep what is compiled in a folder of the tests' own: compiled once."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "kernels"))


@compiler
@pytest.mark.slow
@pytest.mark.usefixtures("tiny_hub")
class TestTrained:
    def test_a_run_is_that_of_plain_passes_but_for_rounding(self):
        plain, fused = (training.train_table(small("cifar10", "SAM", model=m)) for m in (tiny.IMAGE_MODEL, COMPILED))
        losses = [table["train_loss"].to_numpy() for table in (plain, fused)]
        assert losses[0][0] == losses[1][0]  # evaluation is not compiled
        np.testing.assert_allclose(*losses, rtol=1e-4)
        assert not np.array_equal(*losses)  # so that it is another setting
        flat = [told(table)["flatness"] for table in (plain, fused)]  # second derivatives, of the plain passes
        assert flat[1].keys() == flat[0].keys()
        np.testing.assert_allclose(flat[1]["trace"], flat[0]["trace"], rtol=1e-2)

    def test_an_interrupted_run_goes_on(self, tmp_path, monkeypatch):
        monkeypatch.setattr(loop, "SPARING", 0)
        check(small("cifar10", "NiM-MBH", model=COMPILED), tmp_path / "state", (4,))


def test_without_a_compiler_it_says_so(tiny_hub, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match=r"^compiled = true needs a C\+\+ compiler, and no-such-compiler is not there"):
        Images([1], **COMPILED, label=("label",))


def test_it_is_a_setting_of_the_run_only_where_it_is_given():
    plain, fused = (small("cifar10", "SGD", model=m) for m in (tiny.IMAGE_MODEL, COMPILED))
    assert "compiled" not in plain.canonical
    assert json.loads(fused.canonical)["model"]["compiled"] is True
    assert plain.digest != fused.digest


def test_models_keep_their_own_tensors(tiny_hub):
    problem = Images([1], **COMPILED, label=("label",))
    assert [id(p) for p in problem.parameters] == [id(p) for p in problem.network.parameters()]
    assert not isinstance(problem.network, torch._dynamo.eval_frame.OptimizedModule)
