"""The library's rooms: each file has one, none imports a later one, and a public name means one thing."""

import importlib
import importlib.util
import re
from collections import defaultdict
from pathlib import Path

import pytest

from popview.common.imports import imported_modules

ROOT = Path(__file__).resolve().parents[1]

_spec = importlib.util.spec_from_file_location("structure", ROOT / "benchmarks" / "structure.py")
structure = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(structure)


def test_every_file_has_a_room():
    there = {
        entry.name
        for entry in structure.LIBRARY.iterdir()
        if entry.is_file() or any(file.suffix != ".pyc" for file in entry.rglob("*.*"))
    }
    modules = {f"{name}.py" for name in ("__init__", "cli", *structure.PROMISED)}
    assert there == {*structure.ROOMS[:-1], *modules, "py.typed"}


@pytest.mark.parametrize("name", sorted(structure.MODULES))
def test_no_import_against_the_order(name):
    assert structure.against_the_order(name) == []


def test_no_public_name_is_defined_in_two_modules():
    assert set(structure.ambiguous_names()) == set()


def test_a_name_means_the_same_module_in_every_chapter():
    meanings, names = defaultdict(set), defaultdict(set)
    for file in ROOT.glob("book/*.py"):
        for module, name in structure.imported(file.read_text()):
            if {module, f"{module}.__init__"} & structure.MODULES.keys():
                meanings[name].add(module)
                names[module].add(name)
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}
    assert {module: found for module, found in names.items() if len(found) > 1} == {}


def test_lines_of_code_are_those_that_do_something():
    source = '"""Words."""\n\n#\ndef f(\n    a,  # a number\n):\n    """Words\n\n    more."""\n    return """\n\n"""\n'
    assert structure.code_lines(source) == 6


def test_promised_names_lead_to_the_same_code():
    from popview import flatness, stationary
    from popview.landscapes import restarts
    from popview.topography import flatness as measures

    for promised, module in ((stationary, restarts), (flatness, measures)):
        assert promised.__all__ == module.__all__
        assert all(getattr(promised, name) is getattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("chapter", ["algorithms", "test-functions", "five-runs", "printed-paper", "status"])
def test_a_page_that_trains_nothing_imports_nothing_that_trains(chapter):
    """So that an edit of the training code does not make it stale."""
    modules = imported_modules((ROOT / "book" / f"{chapter}.py").read_text(), ROOT / "lib")
    training = {f"popview.runs.{name}" for name in ("training", "loop", "workers", "computing")}
    assert not {*training, "popview.tasks.setup"} & modules.keys()


def test_a_page_without_optimizers_imports_none():
    """It simulates numbers: an edit of an optimizer does not make it stale."""
    modules = imported_modules((ROOT / "book" / "five-runs.py").read_text(), ROOT / "lib")
    assert not [name for name in modules if name.startswith("popview.optimizers")]


def resolves(name: str) -> bool:
    """Say whether a dotted name is a module, what one defines, or an attribute that a class documents."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            if not hasattr(found, part):
                return part in (found.__doc__ or "")
            found = getattr(found, part)
        return True
    return False


def test_what_docstrings_refer_to_is_there():
    named = {
        name
        for file in (ROOT / "lib").rglob("*.py")
        for name in re.findall(r"`(popview(?:\.\w+)+)`", file.read_text("utf-8"))
    }
    assert len(named) > 150
    assert [name for name in sorted(named) if not resolves(name)] == []
    assert not resolves("popview.runs.solutions.coverage")
