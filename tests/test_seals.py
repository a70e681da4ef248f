"""The seal of results, their manifest and the index of the store: what is changed anywhere is named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from popview.cli import main
from popview.common.errors import UsageError
from popview.common.folders import RESULTS
from popview.populations.tables import load_trajectories
from popview.runs import manifest, seals, store
from popview.runs.expansion import expand
from popview.runs.status import inventory, status
from popview.statistics import a12, exact_permutation, holm, mean_difference, paired_permutation, t_test, tost

SPEC = expand("laptop", "cifar10", algorithms=("SGD",))[0]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a store with one result, and its manifest."""
    target = store.path(SPEC, tmp_path)
    target.parent.mkdir(parents=True)
    shutil.copy(store.path(SPEC), target)
    manifest.verify(tmp_path, write=True)
    return tmp_path


def rewritten(root: Path, table: pa.Table, seal: bool = False) -> None:
    """Write another table under the result's name: with the old seal in its metadata, or with one of its own."""
    file = store.path(SPEC, root)
    pq.write_table(seals.sealed(table) if seal else table, file)


def told(root: Path) -> str:
    """Return what loading says of the result, which must be one line and not a table."""
    with pytest.raises(UsageError) as error:
        load_trajectories([SPEC], root=root)
    assert "\n" not in str(error.value)
    return str(error.value)


class TestSeal:
    def test_is_the_documented_encoding_by_hand(self) -> None:
        import hashlib
        import struct

        known = {b"popview": b"{}", b"other": b"never counts"}
        table = pa.table({"n": [1, 2], "word": ["a", None], "list": pa.array([[0.5], []], pa.list_(pa.float16()))})
        pieces = [b"popview seal 1", b"{}", b"2"]
        pieces += [b"n", b"<i8", b"", struct.pack("<2q", 1, 2)]
        pieces += [b"word", b"text", b"\x01\x00", struct.pack("<q", 1), b"a"]
        pieces += [b"list", b"list of <f2", b"", struct.pack("<2q", 1, 0), b"", struct.pack("<e", 0.5)]
        expected = hashlib.sha256(b"".join(struct.pack("<q", len(piece)) + piece for piece in pieces)).hexdigest()
        assert seals.seal_of(table.replace_schema_metadata(known)) == expected

    def test_does_not_depend_on_how_parquet_lays_it_out(self, tmp_path: Path) -> None:
        table = pq.read_table(store.path(SPEC))
        ways = [{"compression": "none"}, {"row_group_size": 3}, {"use_dictionary": False, "data_page_version": "2.0"}]
        for place, way in enumerate(ways):
            pq.write_table(table, tmp_path / f"{place}.parquet", **way)
            assert seals.seal_of(pq.read_table(tmp_path / f"{place}.parquet")) == seals.seal_of(table)

    def test_a_flipped_bit_is_noticed_or_changes_nothing(self, shop: Path) -> None:
        """The footer's number of rows among them: it dropped the last rows in silence."""
        file, right = store.path(SPEC, shop), store.load(SPEC, shop)
        whole, draws = file.read_bytes(), np.random.default_rng(0)
        footer = int.from_bytes(whole[-8:-4], "little") + 8
        places = [*draws.integers(0, len(whole), 150), *draws.integers(len(whole) - footer, len(whole), 250)]
        messages = []
        for place in places:
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(draws.integers(8))
            file.write_bytes(flipped)
            try:
                table, _ = store.contents(file)
            except UsageError as error:
                messages.append(str(error))
            else:
                assert seals.seal_of(table) == seals.seal_of(right)
        assert not any("\n" in message for message in messages)
        assert len(messages) > 250  # the others change nothing that is read, as said above

    @pytest.mark.parametrize(
        "change",
        [
            lambda t: t.slice(0, 15),
            lambda t: pa.concat_tables([t, t.slice(30, 1)]),
            lambda t: t.set_column(1, "step", pa.array(np.arange(len(t)) * 39)),
            lambda t: t.rename_columns([n if n != "train_loss" else "Train_loss" for n in t.column_names]),
            lambda t: t.set_column(9, "test_metric", pa.array(np.full(len(t), 0.99))),
            lambda t: t.drop_columns(["seconds"]),
            lambda t: t.take(list(range(len(t)))[::-1]),
        ],
        ids=["dropped", "doubled", "renumbered", "renamed", "changed", "column gone", "reversed"],
    )
    def test_rows_and_columns_that_are_changed_are_named(self, shop: Path, change) -> None:
        rewritten(shop, change(pq.read_table(store.path(SPEC, shop))))
        assert str(SPEC.digest) in told(shop) or "not in" in told(shop)
        assert [state.state for state in status([SPEC], shop)] == ["damaged"]

    @pytest.mark.parametrize("rows", [list(range(15)), [*range(31), 30], [1, *range(1, 31)]])
    def test_rows_that_the_spec_does_not_ask_for_are_refused_under_a_seal_of_their_own(self, shop: Path, rows) -> None:
        table = pq.read_table(store.path(SPEC, shop)).take(rows)
        rewritten(shop, table, seal=True)
        assert [state.state for state in status([SPEC], shop)] == ["damaged"]
        assert told(shop)


class TestManifest:
    def test_what_ships_is_what_the_manifest_says(self) -> None:
        found = manifest.verify()
        assert found.wrong == []
        assert found.right == len(list(RESULTS.rglob("*.parquet")))

    def test_each_fault_is_a_line(self, shop: Path, capsys) -> None:
        file = store.path(SPEC, shop)
        name = str(file.relative_to(shop))
        table = pq.read_table(file)
        assert manifest.verify(shop) == ([], [], 1)
        pq.write_table(table, file, compression="none")
        assert "the same rows" in manifest.verify(shop).wrong[0]
        metadata = json.loads(table.schema.metadata[b"popview"])
        metadata["whole_test"]["metric"] = [0.99]
        other = table.replace_schema_metadata({b"popview": json.dumps(metadata).encode()})
        rewritten(shop, other, seal=True)
        assert f"{name}: changed: another seal" in manifest.verify(shop).wrong[0]
        rewritten(shop, other)
        assert name in manifest.verify(shop).wrong[0]
        file.rename(file.with_name("base-1-b11faed6bc9b3463.parquet"))
        (shop / "notes.txt").write_text("mine")
        wrong = manifest.verify(shop).wrong
        assert any(line == f"{name}: missing" for line in wrong)
        assert any(line == "notes.txt: foreign: no result" for line in wrong)
        assert all("\n" not in line for line in wrong)

    def test_a_result_without_a_seal_gets_none_and_keeps_its_line(self, shop: Path) -> None:
        table, listed = pq.read_table(store.path(SPEC, shop)), (shop / manifest.MANIFEST).read_text()
        rewritten(shop, table.replace_schema_metadata({b"popview": table.schema.metadata[b"popview"]}))
        assert "it has no seal" in told(shop)
        assert "it has no seal" in manifest.verify(shop, write=True).wrong[0]
        assert (shop / manifest.MANIFEST).read_text() == listed

    @pytest.mark.slow
    def test_the_command_ends_with_1_where_something_is_wrong(self, monkeypatch, shop: Path, capsys) -> None:
        assert main(["verify"]) == 0
        assert f"{len(list(RESULTS.rglob('*.parquet')))} files are right, 0 are not" in capsys.readouterr().out

    def test_a_damaged_manifest_is_one_line(self, shop: Path) -> None:
        (shop / manifest.MANIFEST).write_text("path,bytes\n")
        with pytest.raises(UsageError, match="take it back from git"):
            manifest.verify(shop)


class TestIndex:
    @pytest.fixture
    def cache(self, monkeypatch, tmp_path: Path) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.delenv("POPVIEW_CACHE", raising=False)
        return tmp_path / "cache"

    @pytest.mark.slow
    def test_destroyed_damaged_or_outdated_it_says_the_same(self, cache: Path) -> None:
        first = inventory("laptop")
        (index,) = [file for file in cache.rglob("index/*") if file.is_file()]
        whole = index.read_bytes()
        for content in (b"", whole[:-9], whole.replace(b"1", b"2"), b"[]\n{}", None):
            index.unlink() if content is None else index.write_bytes(content)
            assert inventory("laptop") == first
        assert inventory("laptop") == first

    def test_a_file_that_is_changed_is_read_again(self, cache: Path, shop: Path) -> None:
        file = store.path(SPEC, shop)
        assert [state.state for state in status([SPEC], shop)] == ["done"]
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        assert [state.state for state in status([SPEC], shop)] == ["damaged"]
        file.write_bytes(whole)
        assert [state.state for state in status([SPEC], shop)] == ["done"]
        file.unlink()
        assert [state.state for state in status([SPEC], shop)] == ["missing"]

    def test_files_that_it_knows_are_not_opened(self, cache: Path, shop: Path, monkeypatch) -> None:
        first = status([SPEC], shop)
        monkeypatch.setattr(store, "contents", lambda *_, **__: pytest.fail("opened"))
        assert status([SPEC], shop) == first


class TestArrays:
    """Point by point what someone's arrays may be: Series in another order, masks, values near the end of floats."""

    mine, reference = [0.91, 0.92, 0.90, 0.93, 0.94, 0.90, 0.95, 0.91], [0.88, 0.90, 0.87, 0.91, 0.90, 0.88, 0.92, 0.87]

    @pytest.mark.parametrize("function", [paired_permutation, lambda a, b: mean_difference(a, b, paired=True)])
    def test_series_are_paired_by_their_labels(self, function) -> None:
        a = pd.Series(self.mine, index=range(8))
        b = pd.Series(self.reference, index=range(8))
        expected = function(np.array(self.mine), np.array(self.reference)).p_value
        assert function(a, b[::-1]).p_value == pytest.approx(expected)
        assert function(a.sample(frac=1, random_state=1), b).p_value == pytest.approx(expected)
        with pytest.raises(ValueError, match="labels are not the same"):
            function(a, b.rename(lambda label: label + 1))

    @pytest.mark.parametrize("function", [paired_permutation, exact_permutation, a12, t_test, mean_difference])
    def test_masks_are_refused(self, function) -> None:
        with pytest.raises(ValueError, match="masked array"):
            function(np.ma.masked_array(self.mine, mask=[1] + [0] * 7), self.reference)

    def test_masks_are_refused_by_holm_too(self) -> None:
        with pytest.raises(ValueError, match="masked array"):
            holm(np.ma.masked_array([0.1, 0.2], mask=[1, 0]))

    @pytest.mark.parametrize("function", [paired_permutation, exact_permutation])
    def test_a_permutation_p_value_is_never_zero(self, function) -> None:
        with pytest.raises(ValueError, match="rescale"):
            function([1e308] * 8, [-1e308] * 8)
        found = function([1e149] * 8, [-1e149] * 8)
        assert 0 < found.p_value <= 2 / 2**8 + 1e-12

    def test_equivalence_refuses_them_too(self) -> None:
        with pytest.raises(ValueError, match="masked array"):
            tost(np.ma.masked_array(self.mine), self.reference, 0.1)
