"""A killed worker costs one spec, and workers killed again and again are one line."""

import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError

from popview import engine, specs, store
from popview.errors import UsageError

WANTED = specs.expand("smoke", "digits", algorithms=("SGD", "SAM"))


def killer(times: int):
    """A stand-in for joblib.Parallel that finishes one job and is then killed, `times` times."""
    left = [times]

    class Killed:
        def __init__(self, **_):
            pass

        def __call__(self, jobs):
            for function, arguments, options in jobs:
                yield function(*arguments, **options)
                if left[0]:
                    left[0] -= 1
                    raise TerminatedWorkerError("killed")

    return Killed


def test_what_was_finished_is_kept_and_the_rest_computed_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(engine, "Parallel", killer(1))
    assert engine.run(WANTED, root=tmp_path, quiet=True) == 2
    assert store.missing(WANTED, tmp_path) == []
    assert "a worker was killed" in capsys.readouterr().err


def test_giving_up_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "Parallel", killer(99))
    monkeypatch.setattr(engine.store, "missing", lambda wanted, root: list(wanted))
    with pytest.raises(UsageError, match="workers were killed 3 times, 2 files are missing"):
        engine.run(WANTED, root=tmp_path, quiet=True)
