"""How the library is built: its rooms, who imports whom, lines of code, and public names that mean two things.

    python benchmarks/structure.py

It reads the sources of the library and of the tests, and imports neither. A second. `tests/test_rooms.py` takes its
facts from here.
"""

import ast
import io
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "lib" / "popview"

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
PROMISED = {"flatness": "topography", "stationary": "landscapes"}

#: Dotted name → source of each module of the library.
MODULES = {
    ".".join(file.relative_to(LIBRARY.parent).with_suffix("").parts): file.read_text()
    for file in sorted(LIBRARY.rglob("*.py"))
}

BLANK = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def imported(source: str) -> Iterator[tuple[str, str]]:
    """Yield what a module imports, within functions too: its dotted name, and the name that it gets there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((f"{node.module}.{alias.name}", alias.asname or alias.name) for alias in node.names)


def room_of(name: str) -> str:
    """Return the room of a dotted name of the library."""
    part = name.split(".")[1]
    return PROMISED.get(part, "cli" if part == "__init__" else part)


def imported_rooms(name: str) -> set[str]:
    """Return the rooms from which a module imports."""
    return {room_of(used) for used, _ in imported(MODULES[name]) if used.startswith("popview.")}


def against_the_order(name: str) -> list[str]:
    """Return the rooms that a module imports from although they come after its own."""
    own = ROOMS.index(room_of(name))
    return sorted(room for room in imported_rooms(name) if ROOMS.index(room) > own)


def public_names(source: str) -> list[str]:
    """Return the functions and classes that a module defines at its top level, without those that begin with _."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in ast.parse(source).body if isinstance(node, kinds) and node.name[0] != "_"]


def ambiguous_names() -> dict[str, list[str]]:
    """Return the public names that two modules or more define, with these modules.

    A command may have the name of the function that it calls, so `popview.cli` is left out.
    """
    places = defaultdict(list)
    for module, source in MODULES.items():
        for name in public_names(source) if module != "popview.cli" else ():
            places[name].append(module)
    return {name: modules for name, modules in sorted(places.items()) if len(modules) > 1}


def code_lines(source: str) -> int:
    """Count the lines of a module without docstrings, comments and blank lines."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for token in tokens if token.type not in BLANK for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if documented and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def total(sources: Iterable[str]) -> int:
    """Return the lines of code of several modules."""
    return sum(map(code_lines, sources))


def main() -> None:
    """Print it all."""
    print(f"{'room':12} {'modules':>7} {'code':>6}  imports from (modules that do)")
    arrows = Counter((room_of(name), used) for name in MODULES for used in imported_rooms(name))
    for room in ROOMS:
        members = [name for name in MODULES if room_of(name) == room]
        used = ", ".join(f"{other} ({arrows[room, other]})" for other in ROOMS if arrows[room, other] and other != room)
        print(f"{room:12} {len(members):7} {total(MODULES[name] for name in members):6}  {used or '–'}")
    print(f"rooms: {len(ROOMS)}; arrows between them: {sum(a != b for a, b in arrows)}")
    wrong = [f"{name} → {room}" for name in MODULES for room in against_the_order(name)]
    print(f"arrows against the order: {len(wrong)}", *wrong, sep="\n  ")
    tests = [file.read_text() for file in sorted((ROOT / "tests").rglob("*.py"))]
    print(f"lines of code: library {total(MODULES.values())} in {len(MODULES)} modules, tests {total(tests)}")
    names = [f"{name}: {', '.join(modules)}" for name, modules in ambiguous_names().items()]
    print(f"public names that mean two things: {len(names)}", *names, sep="\n  ")


if __name__ == "__main__":
    main()
