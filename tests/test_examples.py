"""What a reader calls has an example in its docstring; pytest runs them all (--doctest-modules in pyproject.toml)."""

import inspect
from importlib import import_module

import pytest

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
