"""The library's rooms: what stands in lib/popview, and that no room imports one that stands later."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import popview

LIBRARY = Path(popview.__file__).parent

#: From the ground up: a module imports only from its own room and from those before it.
ROOMS = (
    "common",
    "optimizers",
    "statistics",
    "tasks",
    "landscapes",
    "topography",
    "runs",
    "populations",
    "paper",
    "book",
    "cli",
)

#: Promised names → the room whose code they lead to.
PROMISED = {"stationary": "landscapes"}

MODULES = {".".join(file.relative_to(LIBRARY.parent).with_suffix("").parts): file for file in LIBRARY.rglob("*.py")}


def imported(source: str) -> Iterator[str]:
    """Yield the dotted names that a module imports, those within functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str:
    """Return the room of a dotted name of the library."""
    return name.split(".")[1]


def test_every_file_has_a_room():
    there = {
        entry.name
        for entry in LIBRARY.iterdir()
        if entry.is_file() or any(file.suffix != ".pyc" for file in entry.rglob("*.*"))
    }
    modules = {f"{name}.py" for name in ("__init__", "cli", *PROMISED)}
    assert there == {*ROOMS[:-1], *modules, "py.typed"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_import_against_the_order(name):
    room = "cli" if name == "popview.__init__" else room_of(name)
    at = ROOMS.index(PROMISED.get(room, room))
    used = {room_of(one) for one in imported(MODULES[name].read_text()) if one.startswith("popview.")}
    assert [one for one in used if ROOMS.index(PROMISED.get(one, one)) > at] == []


def test_promised_names_lead_to_the_same_code():
    from popview import stationary
    from popview.landscapes import restarts

    assert all(getattr(stationary, name) is getattr(restarts, name) for name in restarts.__all__)
