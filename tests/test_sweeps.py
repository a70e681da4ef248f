"""Sweeps over landscapes as an experiment: parts, settings, files, and what is read from them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from popview import cli
from popview.common.errors import UsageError
from popview.landscapes.restarts import sample
from popview.landscapes.transitions import landscape_of, transitions
from popview.populations.landscape_sweeps import ends, first_effect, load_sweep, moves, well_preference
from popview.runs import columns, experiment, manifest, store, sweeps, workers

TINY = """
[wells]
algorithms = ["NiG-GD", "NiM-BH"]
landscapes = ["two-well", "himmelblau"]
restarts = 20
iterations = 100
ratio = [1.0, 5.0]
depth = [0.0, -0.3]
normalized = [true]
lr = [0.02]
displacement = [0.1, 2.0]
tau = [10, 20]

[fewer]
like = "wells"
own = { NiG-GD = { lr = [0.01, 0.02] } }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "landscapes").mkdir()
    (tmp_path / "landscapes" / "tiny.toml").write_text(TINY)
    monkeypatch.setattr(sweeps, "FOLDER", tmp_path / "landscapes")
    return tmp_path


@pytest.fixture
def computed(folder) -> Path:
    parts = experiment.parts_of("landscapes", "tiny", "wells")
    assert workers.run(parts, workers=1, root=folder / "store", quiet=True) == 2
    return folder / "store"


class TestParts:
    def test_every_combination_of_what_an_algorithm_has(self, folder):
        descent, hops = sweeps.sweep_parts("tiny", "wells")
        rows = pd.DataFrame(sweeps.settings_of(descent))
        assert len(rows) == (2 * 2 + 1) * 2
        assert (rows["tau"] == 0).all()
        assert rows["rho"].tolist() == pytest.approx((rows["displacement"] / 0.02).tolist())
        assert rows.loc[rows["landscape"] == "himmelblau", ["ratio", "depth"]].isna().all(axis=None)
        hopping = pd.DataFrame(sweeps.settings_of(hops))
        assert len(hopping) == 2 * len(rows)
        assert hopping["rho"].equals(hopping["displacement"])

    def test_values_of_an_algorithms_own(self, folder):
        descent, hops = (pd.DataFrame(sweeps.settings_of(part)) for part in sweeps.sweep_parts("tiny", "fewer"))
        assert set(descent["lr"]) == {0.01, 0.02}
        assert set(hops["lr"]) == {0.02}

    def test_what_decides_a_part_decides_its_digest(self, folder):
        first, second = sweeps.sweep_parts("tiny", "wells")
        fewer = sweeps.sweep_parts("tiny", "wells", ("NiG-GD",), 10)[0]
        assert len({first.digest, second.digest, fewer.digest}) == 3
        assert fewer.settings["restarts"] == 10

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("tau =", "tua =", "unknown key of wells in profile tiny of landscapes 'tua'"),
            ("restarts = 20", "restarts = 0", "restarts of wells in profile tiny of landscapes must be a whole number"),
            (
                "lr = [0.02]",
                "lr = [0.0]",
                "lr of wells in profile tiny of landscapes must be a list of numbers above 0",
            ),
            ("lr = [0.02]\n", "", "wells in profile tiny of landscapes has no lr"),
            ("displacement = [0.1, 2.0]\n", "", "wells in profile tiny of landscapes has no displacement"),
            ("tau = [10, 20]\n", "", "wells in profile tiny of landscapes has no tau, which NiM-BH needs there"),
            ("ratio = [1.0, 5.0]\n", "", "has no ratio, which NiG-GD needs there"),
            ("depth = [0.0, -0.3]\n", "", "has no depth, which NiG-GD needs there"),
        ],
    )
    def test_a_table_that_is_wrong(self, folder, old, new, message):
        file = folder / "landscapes" / "tiny.toml"
        file.write_text(file.read_text().replace(old, new))
        with pytest.raises(UsageError, match=message):
            sweeps.sweep_parts("tiny", "wells")

    def test_names_that_are_unknown(self, folder):
        with pytest.raises(UsageError, match="'well': did you mean 'wells'"):
            sweeps.sweep_parts("tiny", "well")
        with pytest.raises(UsageError, match="'NiG-GG': did you mean 'NiG-GD'"):
            sweeps.sweep_parts("tiny", "wells", ("NiG-GG",))


class TestFiles:
    def test_rows_are_what_single_runs_give(self, computed):
        table = load_sweep("tiny", "wells", computed)
        assert len(table) == 10 + 20
        for row in (table.iloc[3], table.iloc[9], table.iloc[15]):
            surface = landscape_of(row["landscape"], 2, row["ratio"], row["depth"])
            common = {"restarts": 20, "iterations": 100, "lr": row["lr"], "normalized": True}
            more = {"tau": int(row["tau"]), "epsilon": 1e-3} if row["tau"] else {}
            ended = sample(surface, row["algorithm"], rho=row["rho"], **common, **more)
            assert (row["transitions"] == transitions(sample(surface, "GD", **common), ended)).all()
            assert row["gradient_evaluations"] == 100
            assert row["near"] == int((ended.distance <= 0.1).sum())

    def test_the_manifest_knows_them(self, computed):
        assert manifest.verify(computed, write=True).right == 2
        found = manifest.verify(computed)
        assert (found.wrong, found.right) == ([], 2)

    def test_a_file_with_a_row_too_few_restarts_is_damaged(self, computed):
        part = sweeps.sweep_parts("tiny", "wells")[0]
        table = store.load(part, computed)
        told = json.loads(table.schema.metadata[b"popview"])
        columns.check_schema(table, told)
        with pytest.raises(ValueError, match="one per setting"):
            columns.check_schema(table, told | {"spec": told["spec"] | {"settings": {"restarts": 21}}})
        with pytest.raises(ValueError, match="one per setting"):
            columns.check_schema(table.take([0, 0]), told)

    def test_the_command_that_a_part_names_computes_it(self, folder, monkeypatch, capsys):
        monkeypatch.setattr("popview.common.folders.RESULTS", folder / "store")
        part = sweeps.sweep_parts("tiny", "fewer")[1]
        assert load_sweep("tiny", "fewer", folder / "store").empty
        command = [*part.command.split()[1:], "--algorithm", part.algorithm, "--restarts", "5", "--workers", "1"]
        assert cli.main(command) == 0
        assert "tiny/fewer: 1 files wanted, 1 new" in capsys.readouterr().out


def rows(*counts: list[list[int]], **columns: list) -> pd.DataFrame:
    table = pd.DataFrame({"transitions": [np.array(c) for c in counts], **columns})
    return table.assign(transitions=pd.Series([np.array(c) for c in counts], dtype=object))


STAYED = np.diag([50, 50, 0, 0]).tolist()
#: Eight leave the second well for the first.
LEFT = [[50, 0, 0, 0], [8, 42, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
#: Ten of each change places, so that the shares stay.
SWAPPED = [[40, 10, 0, 0], [10, 40, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
#: Six of a hundred stay at the saddle.
STUCK = [[47, 0, 3, 0], [0, 47, 3, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


class TestReadings:
    def test_where_restarts_end(self):
        found = ends(rows(LEFT, STUCK))
        assert found.columns.tolist() == ["1", "2", "none", "diverged"]
        assert found.to_numpy().tolist() == [[58, 42, 0, 0], [47, 47, 6, 0]]
        mixed = ends(rows(LEFT, np.diag([1, 1, 1, 0, 1])))
        assert mixed.columns.tolist() == ["1", "2", "3", "none", "diverged"]
        assert mixed.loc[1].tolist() == [25, 25, 25, 0, 25]
        assert np.isnan(mixed.loc[0, "3"])

    def test_moves_and_shares(self):
        found = moves(rows(STAYED, LEFT, SWAPPED))
        assert found["moved"].tolist() == [0, 8, 20]
        assert found["shares_p"].tolist() == pytest.approx([1, 4 * 2 * 0.5**8, 1])
        assert found["moved_low"][2] > 10

    def test_the_first_size_that_does(self):
        line = {name: ["x"] * 3 for name in ("algorithm",)}
        table = rows(SWAPPED, STAYED, LEFT, displacement=[0.1, 0.01, 1.0], rho=[1.0, 0.1, 10.0], **line)
        found = first_effect(moves(table), ["algorithm"]).iloc[0]
        assert (found["moves_from"], found["moves_rho"]) == (0.1, 1.0)
        assert np.isnan(found["changes_from"])  # 4 · 2 · 0.5⁸ = 0.03, thrice that by Holm
        strong = [[50, 0, 0, 0], [14, 36, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
        table["transitions"] = pd.Series([np.array(c) for c in (SWAPPED, STAYED, strong)], dtype=object)
        assert first_effect(moves(table), ["algorithm"])["changes_from"].tolist() == [1.0]

    def test_preference_is_a_change_from_gradient_descent(self):
        table = rows(LEFT, LEFT, SWAPPED, STUCK, depth=[0.0, -0.3, 0.0, 0.0])
        found = well_preference(table)
        assert found["preference"].tolist() == ["wide", "narrow", "neither", "not judged"]
        assert found["change"].tolist()[:3] == [8, -8, 0]
        assert found["plain"].tolist()[:3] == [50, 50, 50]
        assert found["reached"].tolist() == [1, 1, 1, 0.94]
        p = scipy.stats.binomtest(8, 8).pvalue
        assert found["adjusted"].tolist()[:3] == pytest.approx([3 * p, 3 * p, 1])
        assert np.isnan(found["adjusted"][3])
