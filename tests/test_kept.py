"""Tables that are kept: computed once, and anew when an argument, a file, the code or the kept file is another."""

import threading
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from popview.common import kept as module
from popview.common import read_log
from popview.common.kept import kept
from popview.common.locks import claim
from popview.paper import table_one

CALLS: list[Path] = []


def squares(file: Path, first: int = 1, names: tuple[str, ...] = ("a",)) -> pd.DataFrame:
    """Return a table of what a file says: texts, numbers, NaN, truth values, an index with gaps."""
    CALLS.append(file)
    read_log.record(file)
    number = int(file.read_text())
    table = {"text": [*names, "é, x"], "n": [first, number**2], "x": [np.nan, 0.1 + 0.2], "real": [True, False]}
    return pd.DataFrame(table, index=[3, 7])


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("POPVIEW_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(read_log.ENVIRONMENT_VARIABLE, raising=False)
    CALLS.clear()
    (tmp_path / "number").write_text("5")
    return tmp_path / "number"


def kept_files(file: Path) -> list[Path]:
    return [path for path in (file.parent / "cache" / "kept").iterdir() if path.suffix != ".lock"]


def test_is_computed_once_and_is_what_the_function_returns(file):
    for _ in range(2):
        pd.testing.assert_frame_equal(kept(squares, file), squares(file), check_exact=True)
    assert len(CALLS) == 3
    assert len(kept_files(file)) == 1


def test_however_the_same_arguments_are_given(file):
    kept(squares, file)
    kept(squares, file=file, names=("a",), first=1)
    assert len(CALLS) == 1
    assert kept(squares, file, 2)["n"].tolist() == [2, 25]
    assert kept(squares, file)["n"].tolist() == [1, 25]
    assert len(CALLS) == 2


def test_a_file_that_was_read_is_another(file):
    kept(squares, file)
    file.write_text("6")
    assert kept(squares, file)["n"].tolist() == [1, 36]
    assert len(kept_files(file)) == 1  # in the place of the one before


def test_the_code_or_the_processor_is_another(file, monkeypatch):
    kept(squares, file)
    for name, value in (("processor", lambda: "another"), ("versions", lambda: {"numpy": "0"})):
        monkeypatch.setattr(module, name, value)
        kept(squares, file)
    monkeypatch.setattr(module, "path_digest", lambda path: "another")
    kept(squares, file)
    assert len(CALLS) == 4


def test_the_code_is_the_module_and_all_that_it_imports():
    code = module._code(table_one.grid)
    wanted = {"table_one", "popview.landscapes.formulas", "popview.optimizers.noise", "popview.statistics.classical"}
    assert wanted | {"torch", "numpy", "processor"} <= code.keys()
    assert not [name for name in code if name.startswith("popview.book")]


@pytest.mark.parametrize("damage", [lambda _: b"", lambda whole: whole[:-1], lambda whole: whole[:9] + whole[10:]])
def test_a_damaged_one_is_made_anew(file, damage):
    kept(squares, file)
    (place,) = kept_files(file)
    place.write_bytes(damage(whole := place.read_bytes()))
    assert kept(squares, file)["n"].tolist() == [1, 25]
    assert len(CALLS) == 2
    assert place.read_bytes() == whole


def test_whoever_reads_it_has_read_what_it_was_made_of(file, tmp_path, monkeypatch):
    for log in (tmp_path / "first", tmp_path / "second"):
        monkeypatch.setenv(read_log.ENVIRONMENT_VARIABLE, str(log))
        kept(squares, file)
        assert log.read_text() == f"{file}\n"  # and not the modules, of which it knows
    assert len(CALLS) == 1


def test_whoever_comes_while_another_computes_waits(file):
    kept(squares, file)
    (place,) = kept_files(file)
    with claim(place.with_name(f"{place.name}.lock")) as held:
        waiting = threading.Thread(target=kept, args=(squares, file))
        waiting.start()
        waiting.join(0.3)
        assert held
        assert waiting.is_alive()
    waiting.join(20)
    assert not waiting.is_alive()
    assert len(CALLS) == 1


def test_code_that_was_edited_since_the_process_began_is_not_what_runs(file, monkeypatch):
    """So that what an old process computes is not taken for what the new code gives."""
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: 0.0)
    for _ in range(2):
        assert kept(squares, file)["n"].tolist() == [1, 25]
    monkeypatch.undo()
    monkeypatch.setenv("POPVIEW_CACHE", str(file.parent / "cache"))
    kept(squares, file)
    assert len(CALLS) == 3


def test_where_the_cache_cannot_be_written_it_is_computed_each_time(file, monkeypatch):
    monkeypatch.setenv("POPVIEW_CACHE", str(file))
    for _ in range(2):
        assert kept(squares, file)["n"].tolist() == [1, 25]
    assert len(CALLS) == 2


def test_what_fails_is_not_kept(file):
    file.write_text("no number")
    with pytest.raises(ValueError, match="no number"):
        kept(squares, file)
    file.write_text("5")
    assert kept(squares, file)["n"].tolist() == [1, 25]
