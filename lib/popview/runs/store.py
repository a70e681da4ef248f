"""Where trajectories are kept: one Parquet file per spec, named by it; written whole or not at all."""

import errno
import json
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from popview.common import read_log
from popview.common.errors import UsageError
from popview.common.folders import RESULTS
from popview.common.locks import claim
from popview.runs.specs import Part

__all__ = [
    "beside",
    "folder_of",
    "load",
    "metadata",
    "metadata_of",
    "missing",
    "path",
    "peek",
    "save",
    "stem_of",
    "sweep",
    "tidy",
]

#: What may lie beside a trajectory's file while it is computed, or on request.
SUFFIXES = {"lock": ".lock", "unfinished": ".unfinished", "weights": ".weights.safetensors"}

Wanted = TypeVar("Wanted", bound=Part)

#: Last suffixes of what a run leaves only if it is killed.
TEMPORARY = (SUFFIXES["lock"], SUFFIXES["unfinished"], ".part")

#: Keys of the checksum beside the metadata: of them and the names of the columns; in older files of them alone.
SEAL, OLD_SEAL = b"popview crc32 with names", b"popview crc32"


def path(part: Part, root: Path = RESULTS) -> Path:
    """Return a part's file: ``<experiment>/<profile>/<task>/<algorithm>/<labels>-<seed>-<digest>.parquet``."""
    return root / f"{folder_of(part)}/{stem_of(part)}.parquet"


def folder_of(part: Part) -> str:
    """Return the folder of a part's file, below the store's."""
    return f"{part.experiment}/{part.profile}/{part.task}/{part.algorithm}"


def stem_of(part: Part) -> str:
    """Return the name of a part's file without its suffix."""
    return f"{'-'.join(map(str, part.labels.values()))}-{part.seed}-{part.digest}"


def beside(spec: Part, what: str, root: Path = RESULTS) -> Path:
    """Return the file of `SUFFIXES` that belongs to a spec: its lock, its half-done state, its models' weights."""
    return path(spec, root).with_suffix(SUFFIXES[what])


def save(spec: Part, table: pa.Table, root: Path = RESULTS) -> Path:
    """Write a trajectory: to a temporary file in the same folder, then renamed.

    Raises
    ------
    UsageError
        If the folder cannot be written; in one line, with the system's reason.
    """
    target = path(spec, root)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f"{target.stem}.", suffix=".part", delete=False
        ) as part:
            try:
                single = [field.name for field in table.schema if not pa.types.is_list(field.type)]
                options: dict[str, Any] = {"compression": "zstd", "use_dictionary": single}
                pq.write_table(_sealed(table), part, write_page_checksum=True, **options)
                part.flush()  # else what is still in the buffer would be missing when the file gets its name
                os.fsync(part.fileno())
                os.chmod(part.name, 0o644)
                os.replace(part.name, target)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _sealed(table: pa.Table) -> pa.Table:
    """Add a checksum of the metadata and of the names of columns, which Parquet protects by none of its own."""
    return table.replace_schema_metadata({**table.schema.metadata, SEAL: _checksums(table.schema)[SEAL]})


def _checksums(schema: pa.Schema) -> dict[bytes, bytes]:
    told, names = schema.metadata[b"popview"], "|".join(schema.names).encode()
    return {SEAL: b"%d" % zlib.crc32(told + names), OLD_SEAL: b"%d" % zlib.crc32(told)}


def _unsealed(schema: pa.Schema) -> dict[bytes, bytes]:
    """Return the metadata without the checksum; ValueError where it is wrong. Old files have none."""
    metadata = dict(schema.metadata or {})
    for key, expected in _checksums(schema).items() if b"popview" in metadata else ():
        if metadata.pop(key, expected) != expected:
            raise ValueError("wrong checksum of its metadata")
    return metadata


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


class _Damaged(Exception):
    """A file is damaged, or holds another spec; why, in a few words."""


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Raise _Damaged for what a damaged file raises.

    Where it is the system that cannot read now, for want of memory say, UsageError: the file may be good.
    """
    try:
        yield
    except (pa.ArrowException, OSError, MemoryError, LookupError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        number = getattr(error, "errno", None)
        if isinstance(error, MemoryError) or number not in (None, errno.ENOENT):
            raise UsageError(f"{file} cannot be read: {reason}") from error
        raise _Damaged(reason) from error


@lru_cache(maxsize=4096)
def _opened(file: Path, *_: int) -> pa.Table:
    """Return a file's table, checked; read once while its time and size stay what they are."""
    table = pq.read_table(file, page_checksum_verification=True)
    return table.replace_schema_metadata(_unsealed(table.schema))


def _read(file: Path, spec: Part) -> pa.Table:
    with _reading(file):
        facts = file.stat()
        table = _opened(file, facts.st_mtime_ns, facts.st_size)
        if metadata_of(table.schema)["digest"] != spec.digest:
            raise _Damaged("it holds another spec")
    return table


def _readable(file: Path, spec: Part) -> bool:
    """Whether the file holds this spec's trajectory; a damaged one is named and set aside."""
    try:
        _read(file, spec)
        return True
    except _Damaged as error:
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
    file = path(spec, root)
    if not file.is_file():
        what = f"{spec.algorithm} on {spec.task}, seed {spec.seed}"
        raise UsageError(f"no trajectory of {what}, in {file.parent}: compute it with `{spec.command}`")
    read_log.record(file)
    try:
        return _read(file, spec)
    except _Damaged as error:
        raise UsageError(f"{file} is damaged ({error}): compute it anew with `{spec.command}`") from error


def metadata_of(schema: pa.Schema) -> dict[str, Any]:
    """Return what `popview.runs.training.train_table` put into a file's metadata."""
    return json.loads((schema.metadata or {})[b"popview"])


def metadata(spec: Part, root: Path = RESULTS) -> dict[str, Any]:
    """Return the metadata of a trajectory in the store; see `popview.runs.training.train_table`."""
    return metadata_of(load(spec, root).schema)


def peek(file: Path) -> dict[str, Any] | None:
    """Return ``digest, diverged, seconds`` of a file's metadata, without its rows; None where the file is damaged.

    Damage to rows shows where they are loaded.
    """
    try:
        with _reading(file), file.open("rb") as stream:
            known = _unsealed(pq.ParquetFile(stream).schema_arrow)[b"popview"].decode()
            found = _parsed(known, "digest", "diverged", "seconds")
            return found if file.stem.endswith(f"-{found['digest']}") else None
    except _Damaged:
        return None


_decode = json.JSONDecoder().raw_decode


def _parsed(text: str, *names: str) -> dict[str, Any]:
    """Return some values of a file's metadata: parsing all of them takes most of the time of an inventory."""
    found = {}
    for name in names:
        mark = f'"{name}": '
        if text.count(mark) != 1:
            return dict(json.loads(text))
        found[name] = _decode(text, text.index(mark) + len(mark))[0]
    return found
