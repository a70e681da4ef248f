"""The embedded task, digits, is trained when a page asks for more of it; no other task ever is."""

from popview.populations.tables import cases, wanted
from popview.runs import store

#: The task that needs no download and trains in minutes.
EMBEDDED = "digits"


def train_embedded(task: str, variant: str, profile: str, restarts: int | None) -> None:
    """Train what the store does not hold of the embedded task, if a page asks for it.

    Parameters
    ----------
    task, variant : str
        One, or "all".
    profile : str
    restarts : int, optional
        Per algorithm; the profile's by default.

    Raises
    ------
    UsageError
        If a name is unknown, or as `popview.runs.workers.run`.
    """
    asked = [case for case in cases(profile, task, variant) if case[0] == EMBEDDED]
    if absent := store.missing(spec for case in asked for spec in wanted(profile, *case, restarts=restarts)):
        from popview.runs import workers  # which imports torch

        workers.run(absent)
