"""SetA, SetB and per-restart values against tables small enough to read."""

import math
from typing import Any

import pandas as pd
import pytest
from stand_ins import stand_in

from popview.common.errors import UsageError
from popview.populations import checkpoints, tables
from popview.populations.checkpoints import final, per_restart, select
from popview.populations.tables import load_trajectories
from popview.runs import store
from popview.runs.specs import RunSpec

NAN, INF = math.nan, math.inf

#: algorithm, seed, step, train_loss, validation_metric, test_metric
ROWS = [
    ("SGD", 0, 0, 2.0, 0.1, 0.1),
    ("SGD", 0, 10, 0.5, 0.7, 0.8),
    ("SGD", 0, 20, 0.5, 0.7, 0.6),  # a tie with the checkpoint before
    ("SGD", 0, 30, 0.7, 0.9, 0.8),
    ("SGD", 10, 0, 2.0, 0.1, 0.1),
    ("SGD", 10, 10, 0.9, 0.6, 0.5),
    ("SGD", 10, 20, 0.8, 0.8, 0.7),
    ("SGD", 10, 30, 0.6, 0.5, 0.9),
    ("NiM-BH", 0, 0, 2.0, 0.1, 0.1),
    ("NiM-BH", 0, 10, NAN, 0.95, 0.95),  # diverged: a network of NaNs has an accuracy too
    ("NiM-BH", 10, 0, 2.0, 0.1, 0.1),
    ("NiM-BH", 10, 10, 1.0, NAN, 0.3),
    ("NiM-BH", 10, 20, INF, 0.4, 0.4),
]


def frame(rows: list[tuple] = ROWS, **changes: Any) -> pd.DataFrame:
    names = ["algorithm", "seed", "step", "train_loss", "validation_metric", "test_metric"]
    table = pd.DataFrame(rows, columns=names).assign(task="digits", profile="smoke", variant="base", **changes)
    return table.sample(frac=1, random_state=3)  # the order of the rows must not matter


def chosen(table: pd.DataFrame) -> dict[tuple[str, int], list[int]]:
    return {key: rows["step"].tolist() for key, rows in table.groupby(["algorithm", "seed"])}


class TestSelect:
    @pytest.mark.parametrize(
        ("by", "number", "expected"),
        [
            ("train_loss", 1, {("SGD", 0): [10], ("SGD", 10): [30], ("NiM-BH", 0): [0], ("NiM-BH", 10): [10]}),
            (
                "train_loss",
                2,
                {("SGD", 0): [10, 20], ("SGD", 10): [20, 30], ("NiM-BH", 0): [0], ("NiM-BH", 10): [0, 10]},
            ),
            ("test_metric", 1, {("SGD", 0): [10], ("SGD", 10): [30], ("NiM-BH", 0): [0], ("NiM-BH", 10): [10]}),
            (
                "test_metric",
                3,
                {("SGD", 0): [10, 20, 30], ("SGD", 10): [10, 20, 30], ("NiM-BH", 0): [0], ("NiM-BH", 10): [0, 10]},
            ),
            (
                "validation_metric",
                2,
                {("SGD", 0): [10, 30], ("SGD", 10): [10, 20], ("NiM-BH", 0): [0], ("NiM-BH", 10): [0]},
            ),
            (
                "train_loss",
                4,
                {
                    ("SGD", 0): [0, 10, 20, 30],
                    ("SGD", 10): [0, 10, 20, 30],
                    ("NiM-BH", 0): [0],
                    ("NiM-BH", 10): [0, 10],
                },
            ),
        ],
    )
    def test_by_hand(self, by, number, expected):
        found = select(frame(), by, number)
        assert chosen(found) == expected
        assert found.index.tolist() == list(range(len(found)))

    def test_rows_are_kept_whole(self):
        found = select(frame(), "train_loss", 2)
        merged = found.merge(frame(), how="left", indicator=True)
        assert (merged["_merge"] == "both").all()
        assert set(found.columns) == set(frame().columns)

    def test_does_not_touch_its_argument(self):
        table = frame()
        kept = table.copy()
        select(table, "train_loss", 2)
        pd.testing.assert_frame_equal(table, kept)

    def test_tasks_and_variants_are_apart(self):
        table = pd.concat([frame(), frame().assign(task="mnist"), frame().assign(variant="tuned")])
        assert len(select(table, "train_loss", 2)) == 3 * len(select(frame(), "train_loss", 2))

    @pytest.mark.parametrize("number", [0, -1, 5])
    def test_a_number_out_of_range_is_refused(self, number):
        with pytest.raises(
            UsageError, match=rf"per_trajectory must be between 1 and 4, the checkpoints of digits, got {number}"
        ):
            select(frame(), "train_loss", number)

    def test_an_unknown_criterion_is_answered_with_the_nearest(self):
        with pytest.raises(UsageError, match="unknown criterion 'train_los': did you mean 'train_loss'"):
            select(frame(), "train_los")

    def test_criteria_say_which_end_is_best(self):
        assert checkpoints.CRITERIA == {"train_loss": True, "validation_metric": False, "test_metric": False}


class TestPerRestart:
    def test_averages_the_models_of_each_restart(self):
        table = per_restart(select(frame(), "train_loss", 2))
        assert table.loc[0, "SGD"] == pytest.approx(0.7)
        assert table.loc[10, "SGD"] == pytest.approx(0.8)
        assert table.loc[0, "NiM-BH"] == pytest.approx(0.1)
        assert table.loc[10, "NiM-BH"] == pytest.approx(0.2)
        assert sorted(table.columns) == ["NiM-BH", "SGD"]
        assert sorted(table.index) == [0, 10]

    def test_of_another_column(self):
        assert per_restart(select(frame(), "test_metric", 1), "train_loss").loc[10, "SGD"] == 0.6

    def test_final_is_the_last_checkpoint(self):
        table = final(frame())
        assert table.loc[0].to_dict() == {"SGD": 0.8, "NiM-BH": 0.95}
        assert table.loc[10].to_dict() == {"SGD": 0.9, "NiM-BH": 0.4}
        assert final(frame(), "step").loc[10].to_dict() == {"SGD": 30, "NiM-BH": 20}

    @pytest.mark.parametrize("function", [per_restart, final])
    @pytest.mark.parametrize("key", ["task", "profile", "variant"])
    def test_unlike_restarts_are_not_averaged(self, function, key):
        table = pd.concat([frame(), frame().assign(**{key: "other"})])
        with pytest.raises(UsageError, match=f"choose one {key} first: the table holds "):
            function(table)


class TestLoad:
    @pytest.fixture
    def stored(self, tmp_path) -> list[RunSpec]:
        specs = [
            RunSpec("digits", "smoke", algorithm, "base", seed, 3, 1, 2, {"lr": 0.1})
            for algorithm in ("SGD", "SAM")
            for seed in (0, 3)
        ]
        for spec in specs:
            processor = "Difference Engine" if spec.seed else "Z3"
            store.save(spec, stand_in(spec, processor=processor), tmp_path)
        return specs

    @pytest.mark.parametrize(("restarts", "seeds"), [(None, 6), (6, 6), (4, 4), (2, 2), (9, 6)])
    def test_keeps_the_restarts_asked_for(self, stored, tmp_path, restarts, seeds):
        table = load_trajectories(stored, restarts, tmp_path)
        assert list(table.columns[:4]) == ["task", "profile", "algorithm", "variant"]
        for algorithm in ("SGD", "SAM"):
            rows = table[table["algorithm"] == algorithm]
            assert sorted(set(rows["seed"])) == list(range(seeds))
            assert len(rows) == 2 * seeds
            assert set(rows.loc[rows["seed"] < 3, "processor"]) == {"Z3"}
            assert set(rows.loc[rows["seed"] >= 3, "processor"]) <= {"Difference Engine"}
        assert table.index.tolist() == list(range(len(table)))

    def test_nothing_to_load_is_a_usage_error(self, tmp_path):
        with pytest.raises(UsageError, match="no specs to load"):
            load_trajectories([], root=tmp_path)

    def test_what_is_not_there_is_named(self, stored, tmp_path):
        with pytest.raises(UsageError, match="no trajectory of SGD on digits, seed 7"):
            load_trajectories([RunSpec("digits", "smoke", "SGD", "base", 7, 3, 1, 2)], root=tmp_path)


class TestParting:
    def table(self, other: dict[int, list[float]]) -> pd.DataFrame:
        own = {0: [2.0, 1.0, 0.5], 1: [2.5, 1.5, 0.75]}
        rows = [
            (name, seed, 10 * place, loss, 0.5, 0.5)
            for name, losses in (("SGD", own), ("SAM", other))
            for seed, values in losses.items()
            for place, loss in enumerate(values)
        ]
        return frame(rows).assign(epoch=lambda table: table["step"] / 10)

    @pytest.mark.parametrize(
        ("other", "epoch"),
        [
            ({0: [2.0, 1.1, 0.5], 1: [2.5, 1.5, 0.7]}, 2),  # the later of the two restarts
            ({0: [2.0, 1.1, 0.5], 1: [2.5, 1.5, 0.75]}, INF),
            ({0: [2.0, NAN], 1: [2.5, 1.4, 0.7]}, 1),
        ],
    )
    def test_by_hand(self, other, epoch):
        found = checkpoints.parting(self.table(other))
        assert found["SAM"] == epoch
        assert found["SGD"] == INF

    def test_checkpoints_in_between_say_nothing(self):
        """Annealed, SAM has half of the epochs, and so checkpoints where SGD and its copies have none."""
        whole = self.table({0: [2.0, 1.1, 0.5], 1: [2.5, 1.5, 0.7]})
        between = whole[whole["algorithm"] == "SAM"].assign(epoch=lambda table: table["epoch"] + 0.5)
        copy = whole[whole["algorithm"] == "SGD"].assign(algorithm="NiM-SGD")
        table = pd.concat([whole, between, copy])
        assert checkpoints.parting(table).to_dict() == {"SGD": INF, "SAM": 2, "NiM-SGD": INF}
        assert checkpoints.copies(table) == ["NiM-SGD"]

    def test_an_absent_reference_is_named(self):
        with pytest.raises(UsageError, match="unknown reference 'SGE'"):
            checkpoints.parting(self.table({0: [2.0], 1: [2.5]}), "SGE")


def test_checkpoints_that_repeat_a_model_are_counted_once():
    rows = pd.DataFrame(
        {"algorithm": "NiM-MBH", "seed": [0] * 3 + [1] * 3, "train_loss": [0.5, 0.5, 0.4, 0.3, 0.3, 0.3]}
    )
    assert checkpoints.distinct(rows).to_dict() == {"NiM-MBH": 1.5}


def test_records_are_the_metadatas(tmp_path):
    spec = RunSpec("digits", "smoke", "NiM-SGD", "base", seed=3, restarts=2, epochs=1, checkpoints=2)
    told = {name: [10 * place, 10 * place + 1] for place, name in enumerate(tables.COUNTS)}
    store.save(spec, stand_in(spec, precision="bfloat16", **told), tmp_path)
    found = tables.records([spec], root=tmp_path)
    told = {"algorithm": ["NiM-SGD"] * 2, "seed": [3, 4], "precision": ["bfloat16"] * 2} | told
    assert found.to_dict("list") == told
    assert list(tables.records([spec], 1, tmp_path)["seed"]) == [3]
