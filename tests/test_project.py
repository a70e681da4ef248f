"""One set of versions: pyproject.toml names the dependencies, requirements.lock and environment.yml pin them alike."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def normal(name: str) -> str:
    """Return a package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines: list[str]) -> dict[str, str]:
    """Return the versions of the lines that read ``name==version``."""
    split = (line.partition("==") for line in lines if "==" in line and not line.startswith("#"))
    return {normal(name): version for name, _, version in split}


@pytest.fixture(scope="module")
def named() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return {normal(re.split(r"[^\w.-]", requirement)[0]) for entries in lists for requirement in entries}


@pytest.fixture(scope="module")
def locked() -> dict[str, str]:
    return pins((ROOT / "requirements.lock").read_text().splitlines())


def test_every_dependency_is_locked(named, locked):
    assert named - set(locked) == set()


def test_lock_is_sorted_and_exact():
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", line) for line in lines)
    names = [line.split("==")[0].lower() for line in lines]
    assert names == sorted(names)


def test_conda_environment_mirrors_the_lock(named, locked):
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    lines = environment["dependencies"][-1]["pip"]
    assert environment["dependencies"][0] == "python=3.11"
    assert pins(lines) == {name: locked[name] for name in named}
    assert lines[-1] == "-e .[book,test]"


def test_the_library_alone_needs_torch_numpy_and_scipy_only():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == ["numpy", "scipy", "torch"]
    assert {"book", "test"} == project["optional-dependencies"].keys()


def test_no_dependency_is_named_twice():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    names = [normal(name) for entries in lists for name in entries]
    assert len(names) == len(set(names))


def test_make_sets_up_all_of_it():
    assert "--no-deps --no-build-isolation -e '.[book,test]'" in (ROOT / "Makefile").read_text()


def test_the_two_sets_of_tests_are_all_tests_and_both_are_run_on_every_submission():
    targets = r"^(test[\w-]*): \$\(READY\)\n(?:\t.*\n)*?\t\$\(PYTEST\) -m \"?((?:not )?slow)\"?$"
    sets = dict(re.findall(targets, (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert sets == {"test": "not slow", "test-slow": "slow"}
    assert {f"make {name}" for name in sets} <= {*(ROOT / ".ci" / "run").read_text().splitlines()}
