"""Tables that were computed before, kept in the cache as long as code, arguments and files are what they were."""

import hashlib
import inspect
import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec
from uuid import uuid4

from popview.common import read_log
from popview.common.digests import path_digest, text_digest
from popview.common.environment import processor, versions
from popview.common.errors import UsageError
from popview.common.files import written_whole
from popview.common.folders import ROOT, cache_folder
from popview.common.imports import imported_modules
from popview.common.locks import claim

if TYPE_CHECKING:
    import pandas as pd

LIBRARY = Path(__file__).resolve().parents[2]

Arguments = ParamSpec("Arguments")

#: What modules' files import, once for a process.
_parsed: dict[Path, list[str]] = {}


def kept(
    make: "Callable[Arguments, pd.DataFrame]", *given: Arguments.args, **named: Arguments.kwargs
) -> "pd.DataFrame":
    """Return the table that a function makes, and compute it only where it is not kept.

    It is kept in the cache with digests of the function's module and of all that this imports, of the arguments, of
    every file that was read, and with the processor and the versions. Where one of these differs, or the file is
    damaged, it is computed and kept anew. Of several processes one computes it, and the others wait. Where the cache
    cannot be written it is computed each time.

    Parameters
    ----------
    make : callable
        A function of the library. Its arguments, as `repr` writes them, and files decide what it returns.
    *given, **named
        Its arguments.

    Returns
    -------
    DataFrame
        As Parquet gives it back, the first time too.
    """
    bound = inspect.signature(make).bind(*given, **named)
    bound.apply_defaults()
    name = f"{make.__module__}.{make.__qualname__}"
    asked = text_digest(repr((str(ROOT), name, bound.arguments)))[:16]
    file, code = cache_folder() / "kept" / f"{name}-{asked}", _code(make)
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(claim(file.with_name(f"{file.name}.lock"), wait=True))
        if (found := _read(file, code)) is not None:
            return found
        with read_log.apart() as reads:
            made = make(*given, **named)
        for path in reads:
            read_log.record(path)
        made.to_parquet(content := BytesIO())
        head = {"code": code, "files": {str(path): path_digest(path) for path in reads}, "table": _seal(content)}
        with suppress(UsageError), written_whole(file) as part:
            part.write(json.dumps(head).encode() + b"\n" + content.getvalue())
        return _table(content)


def _code(make: Callable[..., object]) -> dict[str, str]:
    """Return the digests of the modules that a function's result depends on, the versions and the processor."""
    import psutil

    source, began = Path(inspect.getfile(make)), psutil.Process().create_time()
    with read_log.apart():  # whoever asks has these modules in its stamp
        modules = imported_modules(source.read_text("utf-8"), LIBRARY, origin=source.name, parsed=_parsed)
    found = versions() | {"processor": processor()}
    for name, path in {source.stem: source, **modules}.items():  # what was edited meanwhile is not what runs here
        found[name] = path_digest(path) if path.stat().st_mtime < began else uuid4().hex
    return found


def _read(file: Path, code: dict[str, str]) -> "pd.DataFrame | None":
    """Return a table that is kept, and note what it was made of; None where there is none of this code and files."""
    try:
        line, table = file.read_bytes().split(b"\n", 1)
        head, content = json.loads(line), BytesIO(table)
        files = {Path(path): digest for path, digest in head["files"].items()}
        if (head["code"], head["table"]) != (code, _seal(content)):
            return None
    except (OSError, AttributeError, LookupError, TypeError, ValueError):
        return None
    if any(path_digest(path) != digest for path, digest in files.items()):
        return None
    for path in files:
        read_log.record(path)
    return _table(content)


def _seal(content: BytesIO) -> str:
    return hashlib.sha256(content.getbuffer()).hexdigest()


def _table(content: BytesIO) -> "pd.DataFrame":
    import pandas as pd

    return pd.read_parquet(content)
