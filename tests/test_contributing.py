"""CONTRIBUTING.md names the rooms in their order, and files that are there."""

import re

import pytest
from test_rooms import structure

from popview.common.folders import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def named() -> list[str]:
    """Return the paths that the text names, without those that a contributor makes."""
    paths = re.findall(r"`([\w/.-]+(?:/|\.(?:py|toml|yml|csv)))`", TEXT)
    return sorted(set(paths))


def test_rooms_are_listed_in_the_order_of_imports():
    listed = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", TEXT, re.MULTILINE)
    assert tuple(listed) == structure.ROOMS


@pytest.mark.parametrize("path", named())
def test_files_named_are_there(path):
    assert (ROOT / path).exists() or (ROOT / "lib" / "popview" / path).exists()


def test_each_addition_takes_two_files_at_most():
    table = TEXT.partition("## To add something")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith(("| a ", "| an "))]
    assert len(rows) == 13
    for _, made, shown in rows:
        for cell in (made, shown):
            assert len(re.findall(r"`[^`]*\.(?:py|toml|yml|csv)`", cell)) <= 2
