"""Where the book's files lie, and the cache's: the one module that knows."""

import os
from pathlib import Path

from popview.common.errors import UsageError


def _root() -> Path:
    """Return the folder that POPVIEW_ROOT names, else the one above this file that holds data/paper, else the cwd."""
    named = os.environ.get("POPVIEW_ROOT")
    if named:
        return Path(os.path.expanduser(named)).resolve()
    above = Path(__file__).resolve().parents
    return next((folder for folder in above if (folder / "data" / "paper").is_dir()), Path.cwd())


ROOT = _root()
RESULTS = ROOT / "data"  # one folder an experiment
PAPER = RESULTS / "paper"
OWN = "own"  # beside it: a reader's own results


def cache_folder() -> Path:
    """Return the cache's folder: the one that POPVIEW_CACHE names, else the user's cache folder for popview.

    Raises
    ------
    UsageError
        If it would lie in a home, and the user has none.
    """
    from platformdirs import user_cache_path

    named = os.environ.get("POPVIEW_CACHE")
    try:
        return Path(named).expanduser() if named else user_cache_path("popview")
    except RuntimeError as error:
        raise UsageError(f"the cache has no folder ({error}): name one in POPVIEW_CACHE") from error
