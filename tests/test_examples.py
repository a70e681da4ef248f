"""What a reader calls has an example in its docstring; pytest runs them all (--doctest-modules in pyproject.toml)."""

import inspect
import re
import textwrap
from importlib import import_module

import pytest
import torch

from popview.common.folders import ROOT

MODULES = (
    "popview.landscapes",
    "popview.optimizers",
    "popview.stationary",
    "popview.statistics",
    "popview.tasks.corruptions",
    "popview.topography",
    "popview.topography.flatness",
)

PUBLIC = {
    f"{module}.{name}": getattr(import_module(module), name)
    for module in MODULES
    for name in import_module(module).__all__
    if inspect.isclass(getattr(import_module(module), name)) or inspect.isfunction(getattr(import_module(module), name))
}


@pytest.mark.parametrize("name", PUBLIC)
def test_it_has_an_example(name):
    section = inspect.getdoc(PUBLIC[name]).partition("\nExamples\n--------\n")[2]
    assert ">>> " in section


def test_the_doctests_are_collected(pytestconfig):
    assert "--doctest-modules" in pytestconfig.getini("addopts")
    assert "lib/popview" in pytestconfig.getini("testpaths")


def test_the_lines_for_a_readers_own_model_run():
    """Those of the page on flatness and shift: five each, as they stand there."""
    page = re.sub(r"^# ?", "", (ROOT / "book" / "flatness-and-shift.py").read_text("utf-8"), flags=re.MULTILINE)
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert [len(block.splitlines()) for block in blocks] == [5, 6]
    for block, name in zip(blocks, ("loss", "accuracy"), strict=True):
        *before, last = textwrap.dedent(block).splitlines()
        scope: dict = {}
        exec("\n".join([*before, last if last.startswith(" ") else f"found = {last}"]), scope)
        assert scope.get("found", scope[name]) is not None
    images, blurred = torch.tensor(scope["images"]) / 255, scope["blurred"]
    apart = [(blurred[severity] - images).abs().mean().item() for severity in (1, 2, 3, 4, 5)]
    assert apart == sorted(apart)
    assert apart[0] > 0
    assert list(scope["accuracy"]) == [1, 2, 3, 4, 5]
    assert all(0 <= value <= 1 for value in scope["accuracy"].values())
