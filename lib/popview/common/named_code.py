"""Code that a reader names, ``module:name``, on the command line: what pins it, and importing it."""

import hashlib
import importlib
import re
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

from popview.common.errors import UsageError, check_name, reason_of
from popview.common.files import file_digest
from popview.common.imports import imported_modules

_FORM = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

#: Module that was imported here → what pinned it then: Python would go on with the old one after an edit.
_IMPORTED: dict[str, str] = {}


def is_reference(name: str) -> bool:
    """Whether a name leads to somebody's code, as ``mymodule:MyOptimizer`` does, and is none of popview's own names."""
    return ":" in name


def code_origin(name: str) -> str:
    """Return what pins the code that a name leads to; no module is imported for it.

    That is the name and version of the installed package that it belongs to. Otherwise it is ``sha256:`` and the
    SHA-256 of the module's file; where the module imports others of its own folder, of the digests of all of them.

    Parameters
    ----------
    name : str
        ``module:name``; the module is looked for in the working directory first.

    Raises
    ------
    UsageError
        If the name has not that form, or there is no such module.

    Examples
    --------
    >>> from popview.common.named_code import code_origin
    >>> code_origin("torch.optim:NAdam").split()[0]
    'torch'
    """
    module = _module_of(name)
    found = _found(module)
    if found is None or found.origin is None:
        raise UsageError(f"{name}: there is no module {module} in {Path.cwd()}, and none is installed")
    file = Path(found.origin)
    depth = module.count(".") + (file.stem == "__init__")
    folder = file.parents[depth]
    if installed := _distribution(folder, module.partition(".")[0]):
        return installed
    files = imported_modules(f"import {module}", folder, package=None, origin=name) if file.suffix == ".py" else {}
    digests = {one: file_digest(path) for one, path in (files or {module: file}).items()}
    if len(digests) == 1:
        return f"sha256:{digests.popitem()[1]}"
    listing = "\n".join(f"{digest} {one}" for one, digest in digests.items())
    return f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}"


def imported_object(name: str) -> Any:
    """Import the module that a name leads to, and return what it has under that name.

    Only call this for a name that somebody has just typed, never for one that was read from a file.

    Raises
    ------
    UsageError
        If the module cannot be found or imported, has no such name, or was edited since this process imported it.
    """
    module, _, attribute = name.partition(":")
    origin = code_origin(name)
    if _IMPORTED.setdefault(module, origin) != origin:
        raise UsageError(f"{name}: {module} was edited since it was imported: start Python anew")
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        _IMPORTED.pop(module)
        raise UsageError(f"{name}: {module} cannot be imported: {type(error).__name__}: {reason_of(error)}") from error
    if not hasattr(found, attribute):
        check_name(f"name of module {module}", attribute, [one for one in vars(found) if not one.startswith("_")])
    return getattr(found, attribute)


def _module_of(name: str) -> str:
    if not _FORM.fullmatch(name):
        raise UsageError(f"{name!r} is no name of code: expected module:name, such as torch.optim:NAdam")
    return name.partition(":")[0]


def _found(module: str) -> ModuleSpec | None:
    """Find a module's file, package by package, as an import would, but without importing the packages."""
    importlib.invalidate_caches()  # a file may just have been written
    path: Any = [str(Path.cwd()), *sys.path]
    found = None
    parts = module.split(".")
    for place in range(len(parts)):
        found = PathFinder.find_spec(".".join(parts[: place + 1]), path)
        path = found.submodule_search_locations if found else None
        if path is None:
            return found if place == len(parts) - 1 else None
    return found


def _distribution(folder: Path, package: str) -> str | None:
    """Return name and version of the installed distribution that has a package in a folder; None for other files."""
    by_name = f"{package.lower()}-"  # that of its name comes first
    there = sorted(folder.glob("*.dist-info"), key=lambda info: not info.name.lower().startswith(by_name))
    for info in there:
        record = info / "RECORD"
        lines = record.read_text("utf-8", "replace") if record.is_file() else ""
        if re.search(rf"^{re.escape(package)}(/|\.py,)", lines, re.MULTILINE):
            known = PathDistribution(info)
            return f"{known.name} {known.version}"
    return None
