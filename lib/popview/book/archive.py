"""One zip of the built book, the results, the code and the lock, with checksums: the same bytes from the same book.

python -m popview.book.archive        # as `make archive` does, after building what is stale
"""

import hashlib
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from popview.common.endings import reported
from popview.common.errors import UsageError, last_line
from popview.common.files import file_digest, write_zip, written_whole
from popview.common.folders import ROOT


def archive(root: Path = ROOT) -> Path:
    """Write ``_build/popview-<version>.zip``, and return it.

    Within a folder of the same name it has every file that git tracks, the built pages as ``html/``, the commit in
    ``COMMIT``, and in ``SHA256SUMS`` what ``sha256sum --check`` reads. Nothing in it depends on when, where or by whom
    it is made. That stands beside it, in ``_build/popview-<version>.txt``: its SHA-256, the commit, the time, the
    seconds.

    Parameters
    ----------
    root : Path
        The book's folder, a git checkout.

    Raises
    ------
    UsageError
        If there is no built book, or no git checkout, or tracked files are changed and not committed.
    """
    start, built = time.perf_counter(), root / "_build" / "html"
    if not (built / "index.html").is_file():
        raise UsageError(f"no built book in {built}: make book")
    if changed := _git(root, "status", "--porcelain", "--untracked-files=no").splitlines():
        raise UsageError(f"{len(changed)} tracked files are changed: commit first, beginning with {changed[0][3:]}")
    commit = _git(root, "rev-parse", "HEAD").strip()
    files = {name: root / name for name in _git(root, "ls-files", "-z").split("\0") if name}
    files |= {f"html/{path.relative_to(built).as_posix()}": path for path in built.rglob("*") if path.is_file()}
    contents = {name: path.read_bytes() for name, path in files.items()} | {"COMMIT": f"{commit}\n".encode()}
    sums = "".join(f"{hashlib.sha256(contents[name]).hexdigest()}  {name}\n" for name in sorted(contents))
    folder = f"popview-{version('popview')}"
    target = root / "_build" / f"{folder}.zip"
    contents["SHA256SUMS"] = sums.encode()
    with written_whole(target) as part:
        write_zip(part, {f"{folder}/{name}": content for name, content in contents.items()})
    said = f"{file_digest(target)}  {target.name}\ncommit {commit}\n"
    said += f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}, {time.perf_counter() - start:.1f} s\n"
    with written_whole(target.with_suffix(".txt")) as part:
        part.write(said.encode())
    return target


def _git(root: Path, *words: str) -> str:
    """Return what git says of a checkout."""
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise UsageError("an archive is made of a git checkout, and there is no git") from error
    except subprocess.CalledProcessError as error:
        raise UsageError(f"{root} is no git checkout: {last_line(error.stderr)}") from error
    return done.stdout


if __name__ == "__main__":
    with reported():
        made = archive()
        print(made.with_suffix(".txt").read_text(encoding="utf-8"), end="")
        print(f"{made}: {made.stat().st_size / 1e6:.1f} MB")
    sys.exit()
