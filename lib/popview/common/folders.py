"""Where the book's files lie, and the cache's: the one module that knows."""

import os
from pathlib import Path

__all__ = ["PAPER", "RESULTS", "ROOT", "cache_folder"]


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


def cache_folder() -> Path:
    """Return the cache's folder: the one that POPVIEW_CACHE names, else the user's cache folder for popview."""
    named = os.environ.get("POPVIEW_CACHE")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("popview")
