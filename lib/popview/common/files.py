"""Files: what is wrong with one that is read is told in one line; one that is written is whole or not there."""

import hashlib
import os
import shutil
import tempfile
import tomllib
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from popview.common import read_log
from popview.common.errors import UsageError, reason_of
from popview.common.locks import abandoned, claim

if TYPE_CHECKING:
    import pandas as pd


def read_utf8(file: Path) -> str:
    """Return a file's text, and note that it was read.

    Raises
    ------
    UsageError
        If it is not there, cannot be read, or is not UTF-8: the first line that is not is named.
    """
    read_log.record(file)
    try:
        found = file.read_bytes()
        return found.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{file}, line {line}: not UTF-8 ({error.reason}): save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_toml(file: Path) -> dict[str, Any]:
    """Return what a file of TOML says; raises UsageError as `read_utf8` does, and where it is no TOML."""
    try:
        return tomllib.loads(read_utf8(file))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is no TOML: {error}") from error


def read_yaml(file: Path) -> dict[str, Any] | None:
    """Return what a file of YAML says, None where it is empty; raises UsageError as `read_utf8` does, and where it is
    no YAML or holds no keys and values."""
    import yaml

    try:
        found = yaml.safe_load(read_utf8(file))
    except yaml.YAMLError as error:
        raise UsageError(f"{file} is no YAML: {reason_of(error)}") from error
    if found is not None and not isinstance(found, dict):
        raise UsageError(f"{file} must hold keys and values, as `title: …`")
    return found


def read_csv_table(file: Path, columns: Collection[str], numbers: Collection[str] = ()) -> "pd.DataFrame":
    """Return a table of comma-separated values: texts, empty ones too, but in the columns of numbers.

    Parameters
    ----------
    file : Path
    columns : collection of str
        That it must have; it may have others.
    numbers : collection of str
        Those that hold numbers, where it has them; NaN where they are empty.

    Raises
    ------
    UsageError
        As `read_utf8`, and where it lacks a column, or has a row of another length, or a word for a number.
    """
    import io

    import pandas as pd

    try:
        table = pd.read_csv(io.StringIO(read_utf8(file)), dtype=str, keep_default_na=False, index_col=False)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"{file} is no table: {' '.join(str(error).split())}") from error
    if lacking := [name for name in columns if name not in table]:
        raise UsageError(f"{file} has no column {' or '.join(lacking)}; it has {', '.join(table.columns)}")
    for name in table.columns.intersection([*numbers]):
        found = pd.to_numeric(table[name], errors="coerce")
        if (wrong := found.isna() & ~table[name].str.lower().isin(("", "nan"))).any():
            row = int(wrong.to_numpy().argmax())
            raise UsageError(f"{file}, row {row + 1}: {name} must be a number, got {table[name].iloc[row]!r}")
        table[name] = found
    return table


@contextmanager
def writing(place: Path | str, cure: str = "") -> Iterator[None]:
    """Within this context a failure of the system is UsageError: `place` cannot be written; `cure` says what to do."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {place}: {error.strerror or error}{cure}") from error


@contextmanager
def written_whole(file: Path) -> Iterator[IO[bytes]]:
    """Yield a temporary file in the same folder, which gets the file's name at the end of this context.

    Raises
    ------
    UsageError
        If it cannot be written; in one line, with the system's reason.
    """
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f"{file.stem}.", suffix=".part", delete=False) as part:
            try:
                yield part
                part.flush()  # else what is still in the buffer would be missing when the file gets its name
                os.fsync(part.fileno())
                os.chmod(part.name, 0o644)
                os.replace(part.name, file)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is gone at the end of this context; those of killed processes go at its start.

    A lock beside each says whether its process lives.

    Raises
    ------
    UsageError
        If no temporary folder can be written.
    """
    cure = "; name another temporary folder in TMPDIR"
    try:
        place = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise UsageError(f"there is no temporary folder that can be written{cure}") from error
    for left in abandoned(place.glob("popview-*.lock")):
        shutil.rmtree(left.with_suffix(""), ignore_errors=True)
    folder = place / f"popview-{uuid4().hex}"
    with ExitStack() as stack:
        with writing(place, cure):
            stack.enter_context(claim(folder.with_suffix(".lock"), wait=True))
            folder.mkdir(mode=0o700)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def write_zip(target: IO[bytes], contents: Mapping[str, bytes]) -> None:
    """Write a zip: the same bytes from the same contents, whenever, where and by whom it is made.

    Parameters
    ----------
    target : file
        Open for writing.
    contents : mapping of str to bytes
        Name within the zip → what the file holds. One that begins with ``#!`` can be executed.
    """
    with zipfile.ZipFile(target, "w") as zipped:
        for name, content in sorted(contents.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the first moment that a zip can name
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            entry.external_attr = (0o755 if content.startswith(b"#!") else 0o644) << 16
            zipped.writestr(entry, content, compresslevel=9)
