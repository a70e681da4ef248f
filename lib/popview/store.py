"""Where trajectories are kept: one Parquet file per spec, named by it; written whole or not at all."""

import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from popview import reads
from popview.errors import UsageError
from popview.paths import TRAJECTORIES
from popview.specs import RunSpec, expand, tasks

__all__ = ["load", "metadata", "missing", "path", "save", "summary"]


def path(spec: RunSpec, root: Path = TRAJECTORIES) -> Path:
    """Return the file of a spec: ``<profile>/<task>/<algorithm>/<variant>-<seed>-<digest>.parquet``."""
    folder = root / spec.profile / spec.task / spec.algorithm
    return folder / f"{spec.variant}-{spec.seed}-{spec.digest}.parquet"


def save(spec: RunSpec, table: pa.Table, root: Path = TRAJECTORIES) -> Path:
    """Write a trajectory: to a temporary file in the same folder, then renamed.

    Raises
    ------
    UsageError
        If the folder cannot be written; in one line, with the system's reason.
    """
    target = path(spec, root)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as part:
            try:
                pq.write_table(table, part, compression="zstd")
                os.chmod(part.name, 0o644)
                os.replace(part.name, target)
            except BaseException:
                os.unlink(part.name)
                raise
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _readable(file: Path, spec: RunSpec) -> bool:
    """Whether the file holds this spec's trajectory; a damaged one is named and set aside."""
    try:
        if metadata_of(pq.read_schema(file))["digest"] == spec.digest:
            pq.read_table(file)
            return True
        reason = "it holds another spec"
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
    aside = file.with_suffix(".damaged")
    file.rename(aside)
    print(f"popview: {file.name} is damaged ({reason}): set aside as {aside.name}, to be recomputed", file=sys.stderr)
    return False


def missing(specs: Iterable[RunSpec], root: Path = TRAJECTORIES) -> list[RunSpec]:
    """Return the specs whose trajectory is not in the store, in the order given."""
    wanted = list(specs)
    for spec in wanted:
        reads.record(path(spec, root))
    return [spec for spec in wanted if not path(spec, root).is_file() or not _readable(path(spec, root), spec)]


def load(spec: RunSpec, root: Path = TRAJECTORIES) -> pa.Table:
    """Read a trajectory.

    Raises
    ------
    UsageError
        If it is not in the store.
    """
    file = path(spec, root)
    if not file.is_file():
        raise UsageError(
            f"no trajectory of {spec.algorithm} on {spec.task}, seed {spec.seed}, in {file.parent}: "
            f"compute it with `popview run --profile {spec.profile} --task {spec.task}`"
        )
    reads.record(file)
    return pq.read_table(file)


def metadata_of(schema: pa.Schema) -> dict[str, Any]:
    """Return what `popview.trajectory.run` put into a file's metadata."""
    return json.loads((schema.metadata or {})[b"popview"])


def metadata(spec: RunSpec, root: Path = TRAJECTORIES) -> dict[str, Any]:
    """Return the metadata of a trajectory in the store; see `popview.trajectory.run`."""
    return metadata_of(load(spec, root).schema)


def summary(profile: str, root: Path = TRAJECTORIES) -> list[str]:
    """Return one line per task and algorithm of a profile: restarts wanted, done and diverged; then the total size."""
    lines, size = [], 0
    for task in tasks(profile):
        counts: dict[str, list[int]] = {}
        for spec in expand(profile, task):
            wanted, done, diverged = counts.setdefault(spec.algorithm, [0, 0, 0])
            file = path(spec, root)
            if file.is_file():
                done += spec.restarts
                diverged += sum(metadata_of(pq.read_schema(file))["diverged"])
                size += file.stat().st_size
            counts[spec.algorithm] = [wanted + spec.restarts, done, diverged]
        for algorithm, (wanted, done, diverged) in counts.items():
            lines.append(f"{profile}/{task}/{algorithm}: {wanted} wanted, {done} done, {diverged} diverged")
    return [*lines, f"{size / 1e6:.1f} MB in {root}"]
