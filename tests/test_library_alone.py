"""The library without the book: its constructors, its wheel, and what it needs to be imported."""

import inspect
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
import torch
from helpers import closure_on, options_for

import popview
from popview import optimizers
from popview.book.html import _documented
from popview.optimizers import ALGORITHMS, Optimizer, make

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: Hides, in a process of its own, every installed package but torch, NumPy, SciPy and what these need.
ALONE = '''
import importlib.metadata, re, sys

def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()

def needed_by(name, known):
    """Add the names of a distribution and of all that it needs."""
    if normal(name) in known:
        return
    known.add(normal(name))
    try:
        lines = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for line in lines:
        if "extra ==" not in line:
            needed_by(re.split(r"[^\\w.-]", line)[0], known)

known = {"popview"}
for name in ("torch", "numpy", "scipy"):
    needed_by(name, known)
owned = importlib.metadata.packages_distributions().items()
refused = {top for top, owners in owned if not known & {normal(owner) for owner in owners}}
assert {"pandas", "pydantic", "statsmodels", "joblib", "sklearn", "typer", "matplotlib", "safetensors"} <= refused

class Without:
    """A finder that does not find what is refused, as if it were not installed."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in refused else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
'''

EXAMPLES = """
import torch
from torch.nn.functional import cross_entropy
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
loader = [(torch.randn(16, 4), torch.randint(3, (16,))) for _ in range(2)]
sharpness = lambda model: sum(p.square().sum() for p in model.parameters())
"""


def blocks(file: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / file).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def alone(code: str) -> str:
    command = [sys.executable, "-W", "error::DeprecationWarning:popview", "-c", ALONE + code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_constructor_of_each_name_gives_what_make_gives(name):
    construct = getattr(optimizers, name.replace("-", "_"))
    assert name.replace("-", "_") in optimizers.__all__
    options = options_for(name if name in ("SWA", "SGLD") else "SGD", lr=0.05)
    options |= {key: value for key, value in {"rho": 0.3, "tau": 2, "seed": 4}.items() if key in known(name)}
    ends = []
    for build in (construct, lambda params, **given: make(name, params, **given)):
        w = torch.nn.Parameter(torch.tensor([2.0, -1.0]))
        optimizer = build([w], **options)

        closure = closure_on(optimizer, lambda w=w, optimizer=optimizer: ((w - 1) ** 4).sum() + (w**2).sum())

        for _ in range(7):
            optimizer.step(closure)
        optimizer.finish()
        ends.append((type(optimizer), w.detach().clone(), optimizer.gradient_evaluations))
    assert ends[0][0] is ends[1][0]
    assert torch.equal(ends[0][1], ends[1][1])
    assert ends[0][2] == ends[1][2]


def known(name: str) -> tuple[str, ...]:
    return optimizers.hyperparameters(name)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_signature_shows_the_hyperparameters(name):
    shown = inspect.signature(getattr(optimizers, name.replace("-", "_"))).parameters
    assert {*shown} == {"params", "buffers", "scaler", "process_group", *known(name)}
    assert all(shown[one].default is not inspect.Parameter.empty for one in known(name))
    taken = {one: shown[one].default for one in known(name)}
    assert isinstance(make(name, [torch.zeros(1, requires_grad=True)], **taken), Optimizer)  # each default is taken


def test_a_misspelt_hyperparameter_of_a_constructor_is_named():
    with pytest.raises(ValueError, match="did you mean 'rho'"):
        optimizers.NiG_BH([torch.zeros(1, requires_grad=True)], rhoo=1)


# ---------------------------------------------------------------- the version


def test_the_version_is_the_same_wherever_it_stands():
    version = PROJECT["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"version {version}}}" in (ROOT / "book" / "cite.md").read_text()
    assert re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == version


# ---------------------------------------------------------------- what it needs


@pytest.mark.slow
def test_examples_run_with_torch_numpy_and_scipy_alone():
    examples = [*blocks("README.md"), *blocks("book/api-statistics.md")]
    code = EXAMPLES + "\n".join(examples) + "\nprint(int(ends.counts_by_basin().sum()), loss.item() > 0)\n"
    assert alone(code).split() == ["500", "True"]


def test_what_needs_more_says_so():
    code = """
from popview.statistics import detectable_effect
try:
    detectable_effect(64, 64)
except ValueError as error:
    print(error)
try:
    import popview.cli
except SystemExit as ending:
    print(ending.code)
"""
    assert alone(code).splitlines() == ["statsmodels is not installed: pip install 'popview[book]'", "2"]


def test_the_optimizers_take_a_second_at_most_beyond_torch():
    """To be imported, stepped and saved: the compiler, which torch itself imports for any of it, takes two."""
    code = (
        "import sys, time, torch\nbegan = time.process_time()\nfrom popview.optimizers import SAM\n"
        "from popview.common.seeds import seed_torch\nseed_torch(1)\n"
        "w = torch.nn.Parameter(torch.ones(2))\noptimizer = SAM([w], lr=0.1, rho=0.1)\n"
        "def closure():\n    optimizer.zero_grad()\n    loss = (w**2).sum()\n    loss.backward()\n    return loss\n"
        "optimizer.step(closure)\noptimizer.load_state_dict(optimizer.state_dict())\n"
        "assert 'torch._dynamo' not in sys.modules\nprint(time.process_time() - began)"
    )
    seconds = min(float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(2))
    assert seconds < 1


# ---------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(Path(popview.__file__).parent, source / "lib" / "popview", ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-build-isolation", "-w", folder, source], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_the_library_and_its_data_and_nothing_else(wheel):
    library = Path(popview.__file__).parent
    kinds = ("*.py", "*.toml", "*.json", "*.md", "py.typed")
    wanted = {f"popview/{file.relative_to(library).as_posix()}" for kind in kinds for file in library.rglob(kind)}
    there = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert there == wanted
    assert "popview/runs/profiles/optimizers/laptop.toml" in there


def test_the_wheel_says_what_it_is(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    metadata = message_from_bytes(wheel.read(name))
    assert (metadata["Name"], metadata["Version"]) == ("popview", PROJECT["version"])
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().startswith("# popview")
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(needed) == ["numpy", "scipy", "torch"]
    assert {"Summary", "Keywords", "Classifier", "Project-URL", "Requires-Python"} <= {*metadata.keys()}
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_an_edit_of_a_docstring_builds_the_api_page_anew():
    shown = _documented((ROOT / "book" / "api.md").read_text())
    library = Path(popview.__file__).parent
    assert {library / "optimizers" / "sam.py", library / "stationary.py", library / "tasks" / "problem.py"} <= shown
    assert not any("runs" in file.relative_to(library).parts for file in shown)
