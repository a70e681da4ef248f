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
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from popview.common import read_log
from popview.common.errors import UsageError
from popview.common.folders import TRAJECTORIES
from popview.common.locks import claim, is_held
from popview.runs import annealed
from popview.runs.specs import VARIANTS, RunSpec, Stored, expand, tasks, unsearched

__all__ = ["beside", "inventory", "load", "metadata", "missing", "path", "save", "seconds", "sweep", "tidy"]

#: What may lie beside a trajectory's file while it is computed, or on request.
SUFFIXES = {"lock": ".lock", "unfinished": ".unfinished", "weights": ".weights.safetensors"}

Wanted = TypeVar("Wanted", bound=Stored)

#: Last suffixes of what a run leaves only if it is killed.
TEMPORARY = (SUFFIXES["lock"], SUFFIXES["unfinished"], ".part")

#: Keys of the checksum beside the metadata: of them and the names of the columns; in older files of them alone.
SEAL, OLD_SEAL = b"popview crc32 with names", b"popview crc32"


def path(spec: Stored, root: Path = TRAJECTORIES) -> Path:
    """Return the file of a spec: ``<profile>/<task>/<algorithm>/<variant>-<seed>-<digest>.parquet``."""
    return root / f"{spec.profile}/{spec.task}/{spec.algorithm}/{spec.variant}-{spec.seed}-{spec.digest}.parquet"


def beside(spec: Stored, what: str, root: Path = TRAJECTORIES) -> Path:
    """Return the file of `SUFFIXES` that belongs to a spec: its lock, its half-done state, its models' weights."""
    return path(spec, root).with_suffix(SUFFIXES[what])


def save(spec: Stored, table: pa.Table, root: Path = TRAJECTORIES) -> Path:
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
    return {SEAL: str(zlib.crc32(told + names)).encode(), OLD_SEAL: str(zlib.crc32(told)).encode()}


def _unsealed(schema: pa.Schema) -> dict[bytes, bytes]:
    """Return the metadata without the checksum; ValueError where it is wrong. Old files have none."""
    metadata = dict(schema.metadata or {})
    for key, expected in _checksums(schema).items() if b"popview" in metadata else ():
        if metadata.pop(key, expected) != expected:
            raise ValueError("wrong checksum of its metadata")
    return metadata


def sweep(spec: Stored, root: Path = TRAJECTORIES) -> None:
    """Remove what interrupted runs left beside a trajectory that is there now: its state, and half-written files.

    Whoever calls this holds its lock.
    """
    for left in _left(spec, root):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        elif left.suffix != SUFFIXES["lock"]:
            left.unlink(missing_ok=True)


def _left(spec: Stored, root: Path) -> list[Path]:
    """Return what is temporary beside a trajectory's file: its lock, its state, half-written files."""
    stem = path(spec, root).stem
    return [file for file in path(spec, root).parent.glob(f"{stem}.*") if file.suffix in TEMPORARY]


def tidy(specs: Iterable[Stored], root: Path = TRAJECTORIES) -> None:
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


def _read(file: Path, spec: Stored) -> pa.Table:
    with _reading(file):
        table = pq.read_table(file, page_checksum_verification=True)
        table = table.replace_schema_metadata(_unsealed(table.schema))
        if metadata_of(table.schema)["digest"] != spec.digest:
            raise _Damaged("it holds another spec")
    return table


def _readable(file: Path, spec: Stored) -> bool:
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


def missing(specs: Iterable[Wanted], root: Path = TRAJECTORIES) -> list[Wanted]:
    """Return the specs whose trajectory is not in the store, in the order given."""
    wanted = list(specs)
    for spec in wanted:
        read_log.record(path(spec, root))
    return [spec for spec in wanted if not path(spec, root).is_file() or not _readable(path(spec, root), spec)]


def load(spec: Stored, root: Path = TRAJECTORIES) -> pa.Table:
    """Read a trajectory.

    Raises
    ------
    UsageError
        If it is not in the store, or damaged.
    """
    file = path(spec, root)
    if not file.is_file():
        what = f"{spec.algorithm} on {spec.task}, seed {spec.seed}"
        raise UsageError(f"no trajectory of {what}, in {file.parent}: compute it with {spec.command}")
    read_log.record(file)
    try:
        return _read(file, spec)
    except _Damaged as error:
        raise UsageError(f"{file} is damaged ({error}): compute it anew with {spec.command}") from error


def metadata_of(schema: pa.Schema) -> dict[str, Any]:
    """Return what `popview.runs.training.run` put into a file's metadata."""
    return json.loads((schema.metadata or {})[b"popview"])


def metadata(spec: Stored, root: Path = TRAJECTORIES) -> dict[str, Any]:
    """Return the metadata of a trajectory in the store; see `popview.runs.training.run`."""
    return metadata_of(load(spec, root).schema)


def seconds(told: dict[str, Any], alone: bool) -> float:
    """Return what a trajectory took, by its metadata: the measures at its end and, if `alone`, all before them.

    One whose rows were taken from another's file has no clock: it took nothing.

    Parameters
    ----------
    told : dict
    alone : bool
        Whether the training is to be counted: not for SWA beside the SGD that was trained with it.
    """
    clock = told["seconds"]
    return clock.get("measures", 0.0) + (clock.get("training_and_checkpoints", 0.0) if alone else 0.0)


def inventory(profile: str, root: Path = TRAJECTORIES, *, restarts: int | None = None) -> list[dict[str, Any]]:
    """Return, per task, variant and algorithm of a profile, how many restarts there are of each kind, bytes and hours.

    ``wanted``, also where a search has yet to give the settings; ``done``, of which ``diverged``; ``running`` (a living
    process works on them); ``half_done`` (begun, to be continued); ``damaged`` (their metadata cannot be read or are
    another spec's, or their file was set aside and not replaced; damage to rows shows where they are loaded); ``bytes``
    and ``core_hours`` of what is done.

    Parameters
    ----------
    profile : str
    root : Path
    restarts : int, optional
        Wanted per algorithm; the profile's by default.
    """
    counts = ("wanted", "done", "running", "half_done", "diverged", "damaged", "bytes", "core_hours")
    rows: dict[tuple[str, ...], dict[str, Any]] = {}

    def row_of(*names: str) -> dict[str, Any]:
        named = dict(zip(("task", "variant", "algorithm"), names, strict=True))
        return rows.setdefault(names, named | dict.fromkeys(counts, 0))

    for task in tasks(profile):
        for variant in (*VARIANTS, *annealed.variants(profile, task)):
            found = expand(profile, task, variant=variant, restarts=restarts)
            for spec in found:
                _count(row_of(task, variant, spec.algorithm), spec, root)
            names = {spec.algorithm for spec in found}
            for algorithm, number in unsearched(profile, task, variant, names, restarts).items():
                row_of(task, variant, algorithm)["wanted"] += number
    return list(rows.values())


def _parsed(told: str, *names: str) -> dict[str, Any]:
    """Return some values of a file's metadata: parsing all of them takes most of the time of an inventory."""
    marks = {name: f'"{name}": ' for name in names}
    if any(told.count(mark) != 1 for mark in marks.values()):
        return dict(json.loads(told))
    decode = json.JSONDecoder().raw_decode
    return {name: decode(told, told.index(mark) + len(mark))[0] for name, mark in marks.items()}


def _count(row: dict[str, Any], spec: RunSpec, root: Path) -> None:
    """Count a spec's restarts in its row of the inventory."""
    file = path(spec, root)
    read_log.record(file)
    row["wanted"] += spec.restarts
    if file.is_file():
        try:
            with _reading(file), file.open("rb") as stream:
                told = _parsed(
                    _unsealed(pq.ParquetFile(stream).schema_arrow)[b"popview"].decode(), "digest", "diverged", "seconds"
                )
                if not file.stem.endswith(f"-{told['digest']}"):
                    raise _Damaged("it holds another spec")
                diverged, taken = sum(told["diverged"]), seconds(told, alone=spec.alongside is None)
        except _Damaged:
            row["damaged"] += spec.restarts
            return
        row["done"] += spec.restarts
        row["diverged"] += diverged
        row["bytes"] += file.stat().st_size
        row["core_hours"] += taken / 3600
    elif is_held(file.with_suffix(SUFFIXES["lock"])):
        row["running"] += spec.restarts
    elif file.with_suffix(SUFFIXES["unfinished"]).is_file():
        row["half_done"] += spec.restarts
    elif file.with_suffix(".damaged").is_file():
        row["damaged"] += spec.restarts
