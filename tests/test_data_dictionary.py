"""The data dictionary and the data set card against the files that ship; the examples of the page give the same."""

import json
import re
from collections import defaultdict
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from popview.book.tables import data as tables
from popview.common.folders import RESULTS, ROOT

ARROW = {"float64": "double", "list<float16>": "list<element: halffloat>", "list<float32>": "list<element: float>"}
ARROW |= {f"list<{kind}>": f"list<element: {kind}>" for kind in ("uint8", "int64")}

CARD = yaml.safe_load((RESULTS / "README.md").read_text(encoding="utf-8").split("---")[1])


@pytest.fixture(scope="module")
def listed() -> pd.DataFrame:
    return tables.dictionary()


@pytest.fixture(scope="module")
def files() -> dict[str, list[tuple[Path, object, dict]]]:
    """Kind of file → the files that the manifest lists, with schema and metadata."""
    found = defaultdict(list)
    for path in pd.read_csv(RESULTS / "manifest.csv")["path"]:
        schema = pq.read_schema(RESULTS / path)
        told = json.loads(schema.metadata[b"popview"])
        found[told["spec"].get("kind", "trajectory")].append((RESULTS / path, schema, told))
    return found


def paths(told: dict, before: str = "") -> set[str]:
    """Return the keys of nested tables as paths; only the last of each branch."""
    found = set()
    for name, value in told.items():
        below = paths(value, f"{before}{name}.") if isinstance(value, dict) else set()
        found |= below or {f"{before}{name}"}
    return found


def test_every_column_is_in_the_dictionary_with_its_type_and_no_other(files, listed):
    columns = listed[listed["part"] == "column"]
    for kind, those in files.items():
        known = columns[columns["kind"] == kind].set_index("name")["type"]
        there = {(field.name, str(field.type)) for _, schema, _ in those for field in schema}
        assert there == {(name, ARROW.get(type_, type_)) for name, type_ in known.items()}, kind


def test_every_key_of_the_metadata_is_in_the_dictionary_and_no_other(files, listed):
    metadata = listed[listed["part"] == "metadata"]
    assert set(metadata["kind"]) == set(files)
    for kind, those in files.items():
        known = metadata.loc[metadata["kind"] == kind, "name"]
        patterns = {name: re.compile(re.escape(name).replace(r"\.\*", r"(\..+)?") + "$") for name in known}
        there = set().union(*(paths(told) for _, _, told in those))
        for path in there:
            assert sum(bool(pattern.match(path)) for pattern in patterns.values()) == 1, (kind, path)
        for name, pattern in patterns.items():
            assert any(pattern.match(path) for path in there), (kind, name)


@pytest.mark.parametrize(
    ("kind", "least"), [("ensembles", 3), ("pairs", 3), ("spreads", 1), ("differences", 1), ("shifted", 1)]
)
def test_derived_tables_are_in_the_dictionary(listed, kind, least):
    known = listed[(listed["kind"] == kind) & (listed["part"] == "column")].set_index("name")["type"]
    found = sorted((RESULTS / "ensembles").rglob(f"*-{kind}.csv"))
    assert len(found) >= least
    for file in found:
        table = pd.read_csv(file)
        assert list(table.columns) == list(known.index)
        for name, type_ in known.items():
            kinds = {"string": ("str", "object", "float64"), "int64": ("int64",), "float64": ("float64",)}[type_]
            assert str(table[name].dtype) in kinds, (file.name, name)


def test_names_have_a_meaning_and_stand_once(listed):
    assert (listed[["kind", "part", "name", "type", "meaning"]] != "").all(axis=None)
    assert not listed.duplicated(["kind", "part", "name"]).any()


def test_numbers_of_the_page_are_the_manifests(files):
    counted = tables.shipped()
    there = [path for those in files.values() for path, _, _ in those]
    assert counted["files"].sum() == len(there)
    assert counted["megabytes"].sum() == pytest.approx(sum(path.stat().st_size for path in there) / 1e6)
    assert counted["rows"].sum() == sum(pq.read_metadata(path).num_rows for path in there)


class TestCard:
    def splits(self) -> list[tuple[str, str, str]]:
        return [(c["config_name"], f["split"], f["path"]) for c in CARD["configs"] for f in c["data_files"]]

    def test_has_what_the_hub_reads(self):
        assert CARD["license"] == "mit"
        rows = tables.shipped()["rows"].sum()
        assert CARD["size_categories"] == ["100K<n<1M"]
        assert 100_000 < rows < 1_000_000

    def test_every_algorithm_with_base_runs_is_a_split(self):
        there = {
            (file.parts[-3], file.parts[-2]) for file in (RESULTS / "optimizers" / "laptop").glob("*/*/base-*.parquet")
        }
        named = {(config, path.split("/")[3]) for config, _, path in self.splits()}
        assert named == there
        for config, split, path in self.splits():
            algorithm = path.split("/")[3]
            assert path == f"optimizers/laptop/{config}/{algorithm}/base-*.parquet"
            assert split == algorithm.replace("-", "_")
            assert re.fullmatch(r"\w+", split)

    def test_files_of_a_configuration_have_the_same_columns(self):
        for config in CARD["configs"]:
            schemas = {
                tuple(pq.read_schema(file).remove_metadata())
                for entry in config["data_files"]
                for file in RESULTS.glob(entry["path"])
            }
            assert len(schemas) == 1, config["config_name"]

    def test_datasets_reads_them_without_popview(self, tmp_path):
        from datasets import load_dataset

        file = next((RESULTS / "optimizers/laptop/digits/SGD").glob("base-*.parquet"))
        rows = load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(tmp_path))
        pd.testing.assert_frame_equal(rows.to_pandas(), pd.read_parquet(file))
        runs = load_dataset(str(RESULTS), "cifar10", split="NiM_BH", cache_dir=str(tmp_path))
        there = RESULTS.glob("optimizers/laptop/cifar10/NiM-BH/base-*.parquet")
        assert len(runs) == sum(pq.read_metadata(path).num_rows for path in there)


class TestExamples:
    TEXT = "\n".join(line.removeprefix("# ") for line in (ROOT / "book" / "data.py").read_text("utf-8").splitlines())

    def test_five_lines_are_five(self):
        example = self.TEXT.partition("Five lines")[2].partition("\n%%\n")[2].partition("\n%% ")[0]
        assert example.count("\n") > 4
        assert len([line for line in example.splitlines() if line.strip()]) == 5

    def test_duckdb_says_what_pandas_says(self, monkeypatch):
        monkeypatch.chdir(ROOT)
        query = re.search(r"^```sql\n(.*?)^```$", self.TEXT, re.MULTILINE | re.DOTALL)[1]
        assert len(query.splitlines()) <= 5
        found = duckdb.sql(query).df().set_index("runs_of")
        base = sorted((RESULTS / "optimizers" / "laptop").glob("*/*/base-*.parquet"))
        rows = pd.concat(
            pd.read_parquet(file, columns=["seed", "test_metric"]).assign(runs_of="/".join(file.parts[-3:-1]))
            for file in base
        )
        own = rows.groupby("runs_of").agg(runs=("seed", "nunique"), best=("test_metric", "max"))
        pd.testing.assert_frame_equal(found.sort_index(), own.sort_index(), check_dtype=False)

    def test_the_split_that_the_page_names_is_there(self):
        config, split = re.search(r'load_dataset\("data", "(\w+)", split="(\w+)"\)', self.TEXT).groups()
        assert (config, split) in [(c, s) for c, s, _ in TestCard().splits()]
