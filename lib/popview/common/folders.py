"""Where the book's files lie: the one module that knows."""

import os
from pathlib import Path

__all__ = ["PAPER", "RESULTS", "ROOT"]


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
