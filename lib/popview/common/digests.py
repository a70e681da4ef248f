"""What a text, a file or a folder holds, as a digest: equal where they are equal."""

import hashlib
from pathlib import Path

from popview.common.files import file_digest

ABSENT = "absent"


def text_digest(text: str) -> str:
    """Return the SHA-256 digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def path_digest(path: Path) -> str:
    """Return the digest of a file, or of a folder, or the word ``absent``.

    A folder's digest is that of its sorted relative file names, their sizes and their contents' digests; names that
    begin with a dot (temporary files) do not count.
    """
    if path.is_file():
        return file_digest(path)
    if not path.is_dir():
        return ABSENT
    listing = []
    for file_path in sorted(path.rglob("*")):
        name = file_path.relative_to(path)
        if file_path.is_file() and not any(part.startswith(".") for part in name.parts):
            listing.append(f"{name.as_posix()} {file_path.stat().st_size} {path_digest(file_path)}")
    return text_digest("\n".join(listing))
