"""Where trajectories are kept: one Parquet file per spec, named by it; written whole or not at all."""

import errno
import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from popview.common import read_log
from popview.common.environment import processor, versions
from popview.common.errors import UsageError, reason_of
from popview.common.files import written_whole
from popview.common.folders import OWN, RESULTS
from popview.common.locks import claim
from popview.runs import columns, seals
from popview.runs.specs import Part

#: What may lie beside a trajectory's file while it is computed, or on request.
SUFFIXES = {"lock": ".lock", "unfinished": ".unfinished", "weights": ".weights.safetensors"}

Wanted = TypeVar("Wanted", bound=Part)

#: Last suffixes of what a run leaves only if it is killed.
TEMPORARY = (SUFFIXES["lock"], SUFFIXES["unfinished"], ".part")


def path(part: Part, root: Path = RESULTS) -> Path:
    """Return a part's file: ``<experiment>/<profile>/<task>/<algorithm>/<labels>-<seed>-<digest>.parquet``.

    A reader's own lie in a folder of that name beside the store.
    """
    return (root.with_name(OWN) if part.readers else root) / f"{folder_of(part)}/{stem_of(part)}.parquet"


def folder_of(part: Part) -> str:
    """Return the folder of a part's file, below the store's; a colon of a name is a dot there."""
    return f"{part.experiment}/{part.profile}/{part.task}/{part.algorithm}".replace(":", ".")


def stem_of(part: Part) -> str:
    """Return the name of a part's file without its suffix."""
    return f"{'-'.join(map(str, part.labels.values()))}-{part.seed}-{part.digest}"


def beside(spec: Part, what: str, root: Path = RESULTS) -> Path:
    """Return the file of `SUFFIXES` that belongs to a spec: its lock, its half-done state, its models' weights."""
    return path(spec, root).with_suffix(SUFFIXES[what])


def described(table: pa.Table, part: Part, **facts: Any) -> pa.Table:
    """Add a part's metadata to its table: spec, digest, versions, processor and other facts."""
    known = {"spec": json.loads(part.canonical), "digest": part.digest, "versions": versions()}
    return table.replace_schema_metadata({"popview": json.dumps({**known, "processor": processor(), **facts})})


def save(spec: Part, table: pa.Table, root: Path = RESULTS) -> Path:
    """Write a trajectory, with its seal: to a temporary file in the same folder, then renamed.

    Raises
    ------
    UsageError
        If the folder cannot be written; in one line, with the system's reason.
    """
    target = path(spec, root)
    single = [field.name for field in table.schema if not pa.types.is_list(field.type)]
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": single}
    with written_whole(target) as part:
        pq.write_table(seals.sealed(table), part, write_page_checksum=True, **options)
    return target


def sweep(spec: Part, root: Path = RESULTS) -> None:
    """Remove what interrupted runs left beside a trajectory that is there now: its state, and half-written files.

    Whoever calls this holds its lock.
    """
    for left in _left(spec, root):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        elif left.suffix != SUFFIXES["lock"]:
            left.unlink(missing_ok=True)


def _left(spec: Part, root: Path) -> list[Path]:
    """Return what is temporary beside a trajectory's file: its lock, its state, half-written files."""
    stem = path(spec, root).stem
    return [file for file in path(spec, root).parent.glob(f"{stem}.*") if file.suffix in TEMPORARY]


def tidy(specs: Iterable[Part], root: Path = RESULTS) -> None:
    """Remove what killed runs left of specs that are there, as far as nobody is at them; on a read-only disk nothing.

    A run sweeps behind itself: this is for one that was killed between its result and its end.
    """
    for spec in specs:
        if path(spec, root).is_file() and _left(spec, root):
            with suppress(OSError), claim(beside(spec, "lock", root)) as held:
                if held:
                    sweep(spec, root)


class Damaged(UsageError):
    """A file that is damaged, or holds another spec."""


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Raise Damaged for what a damaged file raises.

    Where it is the system that cannot read now, for want of memory say, UsageError: the file may be good.
    """
    try:
        yield
    except Damaged:
        raise
    except (
        pa.ArrowException, OSError, MemoryError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError
    ) as error:  # fmt: skip
        reason = reason_of(error)
        number = getattr(error, "errno", None)
        if isinstance(error, MemoryError) or number not in (None, errno.ENOENT):
            raise UsageError(f"{file} cannot be read: {reason}") from error
        raise Damaged(reason) from error


def _checked(file: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Return a file's table and metadata, if they are what was written, and what their spec asks for."""
    with file.open("rb") as stream:
        table = pq.ParquetFile(stream, page_checksum_verification=True).read(use_threads=False)
    table = seals.unsealed(table)
    told = metadata_of(table.schema)
    columns.check_schema(table, told)
    return table, told


@lru_cache(maxsize=4096)
def _opened(file: Path, *_: int) -> tuple[pa.Table, dict[str, Any]]:
    """Return a file's table and metadata, checked; read once while its time and size stay what they are."""
    return _checked(file)


def _read(file: Path, spec: Part) -> tuple[pa.Table, dict[str, Any]]:
    with _reading(file):
        facts = file.stat()
        table, told = _opened(file, facts.st_mtime_ns, facts.st_size)
        if told["digest"] != spec.digest:
            raise Damaged("it holds another spec")
    return table, told


def _readable(file: Path, spec: Part) -> bool:
    """Whether the file holds this spec's trajectory; a damaged one is named and set aside."""
    try:
        _read(file, spec)
        return True
    except Damaged as error:
        reason = error
    aside = file.with_suffix(".damaged")
    try:
        file.rename(aside)
    except FileNotFoundError:  # another driver was faster
        return False
    except OSError as error:
        message = f"{file} is damaged ({reason}) and cannot be set aside: {error.strerror or error}"
        raise UsageError(message) from error
    print(f"popview: {file.name} is damaged ({reason}): set aside as {aside.name}, to be recomputed", file=sys.stderr)
    return False


def missing(specs: Iterable[Wanted], root: Path = RESULTS) -> list[Wanted]:
    """Return the specs whose trajectory is not in the store, in the order given."""
    wanted = list(specs)
    for spec in wanted:
        read_log.record(path(spec, root))
    return [spec for spec in wanted if not path(spec, root).is_file() or not _readable(path(spec, root), spec)]


def load(spec: Part, root: Path = RESULTS) -> pa.Table:
    """Read a trajectory.

    Raises
    ------
    UsageError
        If it is not in the store, or damaged.
    """
    return _loaded(spec, root)[0]


def _loaded(spec: Part, root: Path) -> tuple[pa.Table, dict[str, Any]]:
    file = path(spec, root)
    if not file.is_file():
        what = f"{spec.algorithm} on {spec.task}, seed {spec.seed}"
        raise UsageError(f"no trajectory of {what}, in {file.parent}: compute it with `{spec.command}`")
    read_log.record(file)
    try:
        return _read(file, spec)
    except Damaged as error:
        raise UsageError(f"{file} is damaged ({error}): compute it anew with `{spec.command}`") from error


def metadata_of(schema: pa.Schema) -> dict[str, Any]:
    """Return what `popview.runs.training.train_table` put into a file's metadata."""
    return json.loads((schema.metadata or {})[b"popview"])


def metadata(spec: Part, root: Path = RESULTS) -> dict[str, Any]:
    """Return the metadata of a trajectory in the store; see `popview.runs.training.train_table`.

    It was parsed when the file was read, and is shared by all that ask for it: do not change it.

    Raises
    ------
    UsageError
        As `load`.
    """
    return _loaded(spec, root)[1]


def contents(file: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Return the table and the metadata of a file of any spec, read now and checked as by `load`.

    Raises
    ------
    Damaged
        If it is damaged, or another spec's than its name says.
    UsageError
        If it cannot be read now.
    """
    try:
        with _reading(file):
            table, told = _checked(file)
            if not file.stem.endswith(f"-{told['digest']}"):
                raise Damaged("it holds another spec")
    except Damaged as error:
        raise Damaged(f"{file} is damaged ({error})") from error
    return table, told
