"""Which modules a source imports, found by reading it: nothing is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

from popview.common.errors import UsageError
from popview.common.files import read_utf8


def imported_modules(
    source: str,
    library: Path,
    package: str | None = "popview",
    origin: str = "<script>",
    parsed: dict[Path, list[str]] | None = None,
) -> dict[str, Path]:
    """Return the modules of `package` that `source` imports, directly or through one another.

    Parameters
    ----------
    source
        Text of a script; relative imports can only stand in the package's own modules.
    library
        The folder that holds the package's folder.
    package
        Name of the package; other packages are the lock file's business. None: every module in that folder.
    origin
        Where `source` comes from, for the message if it does not parse.
    parsed
        What modules' files name, of those that were parsed before. Those that are parsed now are added.

    Returns
    -------
    dict
        Dotted name to file, sorted by name. The ``__init__`` files on the way are among them.
    """
    parsed = {} if parsed is None else parsed
    found: dict[str, Path] = {}
    seen: set[str] = set()
    waiting = list(_named_in(source, "", origin))
    while waiting:
        name = waiting.pop()
        if name in seen or package not in (None, name.split(".")[0]):
            continue
        seen.add(name)
        path = _module_file(name, library)
        if path is None:
            continue
        found[name] = path
        parent = name if path.name == "__init__.py" else name.rpartition(".")[0]
        if path not in parsed:
            parsed[path] = [*dict.fromkeys(_named_in(read_utf8(path), parent, str(path)))]
        waiting += parsed[path]
    return dict(sorted(found.items()))


def _module_file(name: str, library: Path) -> Path | None:
    """Return the file of a dotted module name, or None where there is no such module."""
    base = library.joinpath(*name.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def _named_in(source: str, parent: str, origin: str) -> Iterator[str]:
    """Yield every dotted name in `source` that may be a module, and the packages above it."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise UsageError(f"{origin}, line {error.lineno}: {error.msg}") from None
    except (RecursionError, ValueError) as error:  # of a null byte
        raise UsageError(f"{origin}: {error}") from None
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(parent.split(".")[: len(parent.split(".")) + 1 - node.level]) if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value] if all(part.isidentifier() for part in node.value.split(".")) else []
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)))
