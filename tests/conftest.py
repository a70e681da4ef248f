"""What several test files share: small data sets in the Hub's layout, the real ones, and caches of their own."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny

from popview.common.folders import ROOT

signal.signal(signal.SIGINT, signal.default_int_handler)  # else Ctrl-C is ignored in all that a background job starts
for number in (signal.SIGHUP, signal.SIGQUIT):  # and a closed terminal in all that nohup starts
    signal.signal(number, signal.SIG_DFL)

collect_ignore = ["audit_pages.py", "audit_playground.py"]  # for `make audit`: no tests, and long to import

#: Files that take longest come first, so that two processes with whole files each end together.
LONGEST = (
    *("optimizers_common", "members", "workers_killed", "paper_scale", "claims", "bring_your_own", "workers", "hub"),
    *("topography_study", "resume", "endings"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: first.get(item.path.stem, len(first)))


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of collections of garbage: half a second each, and statsmodels asks for many."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory) -> dict[str, str]:
    """Environment variables that lead to the data sets of `tiny` and to a cache."""
    place = tmp_path_factory.mktemp("tiny")
    return {"POPVIEW_HUB": str(tiny.write_hub(place / "hub")), "POPVIEW_CACHE": str(place / "cache")}


@pytest.fixture
def tiny_hub(tiny_folders, monkeypatch) -> Path:
    """Return the folder of the small data sets, which tasks read within this test."""
    for name, value in tiny_folders.items():
        monkeypatch.setenv(name, value)
    return Path(tiny_folders["POPVIEW_HUB"])


@pytest.fixture(scope="session")
def real_folders(tmp_path_factory) -> dict[str, str]:
    """Environment variables that lead to the real data sets, where there are any, and to an empty cache."""
    place = Path(os.environ.get("POPVIEW_HUB") or ROOT.parent / "shared" / "hub")
    if not place.is_dir():
        pytest.skip("no folder of real data sets: name it in POPVIEW_HUB")
    return {"POPVIEW_HUB": str(place), "POPVIEW_CACHE": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture
def real_hub(real_folders, monkeypatch) -> Path:
    """Return the folder of the real data sets, which tasks read within this test."""
    for name, value in real_folders.items():
        monkeypatch.setenv(name, value)
    return Path(real_folders["POPVIEW_HUB"])


@pytest.fixture
def page_style() -> Iterator[None]:
    """Draw as the book does, and in no window; the figures of a test are closed after it."""
    import matplotlib.pyplot as plt

    from popview.book import style

    plt.switch_backend("agg")
    with plt.rc_context():
        style.use()
        yield
    plt.close("all")
