"""The manifest of the results that ship, ``data/manifest.csv``: what is missing, foreign, changed or damaged."""

import json
from pathlib import Path
from typing import NamedTuple

from popview.common.errors import UsageError
from popview.common.files import read_utf8, written_whole
from popview.common.folders import RESULTS
from popview.runs import seals, store
from popview.runs.specs import digest

MANIFEST = "manifest.csv"
HEADER = "path,bytes,rows,sha256"

#: What lies in the store beside results: the manifest, what papers print, what is derived, and what is said of them.
BESIDE = (MANIFEST, "paper", "ensembles", "README.md", "dictionary.csv")

#: Last suffixes of what may lie in the store and is no result.
OTHERS = (*store.TEMPORARY, ".safetensors")


class Entry(NamedTuple):
    """What the manifest says of a file: its size, its rows, and its seal (`popview.runs.seals.seal_of`)."""

    bytes: int
    rows: int
    sha256: str


class Verified(NamedTuple):
    """What `verify` found: a line for all that is wrong, a line for all that it wrote, and how many files are right.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from popview.runs.manifest import verify
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "notes.txt").write_text("mine")
    ...     verify(Path(folder))
    Verified(wrong=['notes.txt: foreign: no result'], written=[], right=0)
    """

    wrong: list[str]
    written: list[str]
    right: int


def verify(root: Path = RESULTS, *, write: bool = False) -> Verified:
    """Read every file of the store whole, and compare it with the manifest.

    Parameters
    ----------
    root : Path
        The store.
    write : bool
        Whether to write the manifest anew: of all files that their own seal and spec say are right. The others keep the
        line that they had.

    Raises
    ------
    UsageError
        If the manifest cannot be read or written.
    """
    before, there = entries(root), _files(root)
    found: dict[str, Entry] = {}
    result = Verified([], [], 0)
    wrong, written, right = result
    for name in sorted({*before, *there}):
        known = before.get(name)
        try:
            entry = _entry(root, name) if name in there else None
        except UsageError as error:
            wrong.append(f"{name}: {str(error).removeprefix(f'{root / name} ')}")
            entry = known
        else:
            change = _change(known, entry)
            if change:
                (written if write else wrong).append(f"{name}: {'was ' * write}{change}")
            right += entry is not None and (write or not change)
        if entry:
            found[name] = entry
    if write and found != before:
        lines = [",".join(map(str, (name, *entry))) for name, entry in found.items()]
        with written_whole(root / MANIFEST) as file:
            file.write("\n".join([HEADER, *lines, ""]).encode())
    return result._replace(right=right)


def _change(before: Entry | None, now: Entry | None) -> str:
    """Return in words how a file differs from the manifest; nothing where it does not."""
    if now is None:
        return "missing"
    if before is None:
        return "foreign: not in the manifest"
    if before.sha256 != now.sha256:
        return f"changed: another seal than in the manifest, {now.rows} rows where it has {before.rows}"
    return "" if before == now else f"changed: {now.bytes} bytes where the manifest has {before.bytes}; the same rows"


def entries(root: Path) -> dict[str, Entry]:
    """Read the manifest; without one, nothing ships."""
    file = root / MANIFEST
    first, *lines = read_utf8(file).splitlines() if file.is_file() else [HEADER]
    try:
        if first != HEADER:
            raise ValueError
        rows = [line.rsplit(",", 3) for line in lines]
        return {name: Entry(int(size), int(count), seal) for name, size, count, seal in rows}
    except ValueError:
        raise UsageError(f"{file} is damaged: a line is not {HEADER}; take it back from git") from None


def _files(root: Path) -> list[str]:
    """Return the names of what lies in the store, but for what is `BESIDE` results, and what is under way."""
    places = (file.relative_to(root) for file in root.rglob("*") if not file.is_dir() and file.suffix not in OTHERS)
    return [
        str(place)
        for place in places
        if place.parts[0] not in BESIDE and not any(part.startswith(".") for part in place.parts)
    ]


def _entry(root: Path, name: str) -> Entry:
    """Return what the manifest is to say of a file.

    Raises
    ------
    UsageError
        If it is damaged, no result, or not where its spec belongs.
    """
    file = root / name
    if file.suffix != ".parquet":
        raise UsageError("damaged, and set aside" if file.suffix == ".damaged" else "foreign: no result")
    table, told = store.contents(file)
    spec = told["spec"]
    belongs = tuple(str(spec.get(key)) for key in ("profile", "network" if "network" in spec else "task", "algorithm"))
    canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    if Path(name).parts[1:-1] != belongs or digest(canonical) != told["digest"]:
        raise UsageError(f"foreign: its spec belongs to {'/'.join(belongs)} and has digest {digest(canonical)}")
    return Entry(file.stat().st_size, len(table), seals.seal_of(table))
