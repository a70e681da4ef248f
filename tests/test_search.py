"""Searches: quasi-random trials over published ranges, one choice on the validation split, fresh seeds after it."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from stand_ins import stand_in

from popview import cli
from popview.common.errors import UsageError
from popview.populations import tables
from popview.runs import expansion, profiles, search, status, store, workers
from popview.runs.expansion import expand
from popview.runs.search import choose, draw, score, tune
from popview.runs.specs import TRIAL_SEED, VARIANTS, RunSpec

PROFILE = """
[digits]
restarts = 4
stack = 2
epochs = 2
checkpoints = 5
margin = 0.01
algorithms = ["SGD", "SAM", "AdamW", "NiM-BH"]
model = { hidden = 8 }

[digits.base]
lr = 0.05
momentum = 0.9

[digits.base.AdamW]
common = false

[digits.search]
trials = 3
lr = [0.01, 1]
momentum = [0.5, 0.99]

[digits.search.SGD]

[digits.search.SAM]
rho = [0.01, 0.5]

[digits.search.AdamW]
lr = [1e-4, 0.1]

[digits.search.NiM-BH]
tau = [3, 300]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of a profile "tiny", and of no other."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "tiny.toml").write_text(PROFILE)
    monkeypatch.setattr(profiles, "FOLDER", tmp_path / "profiles")
    return tmp_path / "profiles"


def change(folder: Path, old: str, new: str) -> None:
    text = (folder / "tiny.toml").read_text()
    assert old in text
    (folder / "tiny.toml").write_text(text.replace(old, new))


def searches(folder: Path) -> Any:
    return json.loads((folder.parent / "searches" / "tiny.json").read_text())


class TestDraw:
    def test_every_algorithm_has_as_many_trials(self, folder):
        drawn = {name: draw("tiny", "digits", name) for name in ("SGD", "SAM", "AdamW", "NiM-BH")}
        assert {name: len(trials) for name, trials in drawn.items()} == dict.fromkeys(drawn, 3)
        assert all(trials[0] == {} for trials in drawn.values())  # the base setting
        assert {name: set(trials[1]) for name, trials in drawn.items()} == {
            "SGD": {"lr", "momentum"},
            "SAM": {"lr", "momentum", "rho"},
            "AdamW": {"lr"},  # it has no momentum
            "NiM-BH": {"lr", "momentum", "tau"},
        }

    def test_points_are_log_uniform_within_their_ranges(self, folder):
        change(folder, "trials = 3", "trials = 256")
        for algorithm, ranges in (
            ("SAM", {"lr": (0.01, 1), "momentum": (0.5, 0.99), "rho": (0.01, 0.5)}),
            ("AdamW", {"lr": (1e-4, 0.1)}),
            ("NiM-BH", {"tau": (3, 300)}),
        ):
            trials = draw("tiny", "digits", algorithm)[1:]
            for name, (low, high) in ranges.items():
                values = np.array([trial[name] for trial in trials])
                assert low * 0.99 <= values.min()
                assert values.max() <= high * 1.01
                place = np.log(values / low) / math.log(high / low)
                assert scipy.stats.kstest(place, "uniform").statistic < 0.04  # of random points about 0.05
        lr, rho = np.log([[trial["lr"], trial["rho"]] for trial in draw("tiny", "digits", "SAM")[1:]]).T
        assert abs(np.corrcoef(lr, rho)[0, 1]) < 0.05

    def test_numbers_are_short_and_steps_are_whole(self, folder):
        for trial in draw("tiny", "digits", "NiM-BH")[1:]:
            assert isinstance(trial["tau"], int)
            assert float(f"{trial['lr']:.3g}") == trial["lr"]

    def test_the_same_each_time(self, folder):
        assert draw("tiny", "digits", "SAM") == draw("tiny", "digits", "SAM")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("lr = [0.01, 1]", "lr = [1, 0.01]", r"range of lr in \[digits.search\] must be two numbers above 0, got"),
            ("lr = [0.01, 1]", "lr = [0, 1]", "range of lr in"),
            ("lr = [0.01, 1]", "lr = [0.1]", "range of lr in"),
            ("lr = [0.01, 1]", "lr = ['a', 'b']", "range of lr in"),
            ("rho = [0.01, 0.5]", "rho = 0.5", "range of rho in"),
            ("rho = [0.01, 0.5]", "roh = [0.01, 0.5]", "'roh': did you mean 'rho'"),
            ("[digits.search.SAM]", "[digits.search.SMA]", "'SMA': did you mean 'SAM'"),
            ("trials = 3", "", r"\[digits.search\] of profile tiny does not say how many trials"),
            ("trials = 3", "trials = 0", r"trials in \[search\] of digits .* a whole number, 1 or above, got 0"),
            ("trials = 3", "trials = '3'", r"trials in \[search\] of digits .* a whole number, 1 or above, got '3'"),
            ("trials = 3", "trails = 60", r"unknown key of \[digits.search\] 'trails': did you mean 'trials'"),
            ("lr = [0.01, 1]", "lrr = [0.01, 1]", r"unknown key of \[digits.search\] 'lrr': did you mean 'lr'"),
            ("lr = [0.01, 1]", "lr = 0.1", "range of lr in .* must be two numbers above 0, got 0.1"),
        ],
    )
    def test_mistakes_in_a_profile_are_named(self, folder, old, new, message):
        change(folder, old, new)
        with pytest.raises(UsageError, match=message):
            draw("tiny", "digits", "SAM")

    def test_no_search(self, folder):
        text = (folder / "tiny.toml").read_text()
        (folder / "tiny.toml").write_text(text[: text.index("[digits.search]")])
        for attempt in (lambda: draw("tiny", "digits", "SGD"), lambda: tune("tiny", "digits")):
            with pytest.raises(UsageError, match=r"profile tiny has no \[digits\.search"):
                attempt()

    def test_an_unknown_algorithm_leaves_no_trace(self, folder):
        with pytest.raises(UsageError, match="'SDG': did you mean 'SGD'"):
            tune("tiny", "digits", ("SDG",))
        assert not (folder.parent / "searches").exists()


def stored(root: Path, metrics: list[list[float]], diverged: tuple[int, ...] = ()) -> list[RunSpec]:
    """Store trials of two restarts with these validation metrics at five checkpoints; restart 1 half a point better."""
    found = []
    for i, values in enumerate(metrics):
        spec = RunSpec("digits", "tiny", "SGD", "trial", TRIAL_SEED, 2, 1, 5, {"lr": i + 0.1})
        scores = {"validation_metric": [value + half for value in values for half in (0, 0.005)]}
        store.save(spec, stand_in(spec, scores, processor="Z3", diverged=[False, i in diverged]), root)
        found.append(spec)
    return found


class TestChoose:
    def test_by_the_mean_of_the_last_three_checkpoints(self, tmp_path):
        trials = stored(tmp_path, [[0.9, 0.9, 0.5, 0.5, 0.5], [0.1, 0.1, 0.6, 0.6, 0.6], [0.1, 0.1, 0.1, 0.1, 0.9]])
        assert [score(trial, tmp_path) for trial in trials] == pytest.approx([0.5025, 0.6025, 1.1 / 3 + 0.0025])
        assert choose(trials, tmp_path) == 1

    def test_of_equals_the_first(self, tmp_path):
        assert choose(stored(tmp_path, [[0.1] * 5, [0.3] * 5, [0.3] * 5]), tmp_path) == 1

    def test_never_one_that_diverged(self, tmp_path):
        trials = stored(tmp_path, [[0.9] * 5, [0.2] * 5, [0.3] * 5], diverged=(0, 2))
        assert score(trials[0], tmp_path) == -math.inf
        assert choose(trials, tmp_path) == 1
        with pytest.raises(UsageError, match="all 2 trials of SGD on digits diverged: lower its ranges"):
            choose([trials[0], trials[2]], tmp_path)


class TestTune:
    def test_from_ranges_to_tuned_runs(self, folder, tmp_path):
        root = tmp_path / "store"
        found = tune("tiny", "digits", ("SGD", "AdamW"), root=root, workers=1, quiet=True)
        written = searches(folder)["digits"]
        assert [path.name for path in (folder.parent / "searches").iterdir()] == ["tiny.json"]
        assert set(written) == {"SGD", "AdamW"}
        for algorithm in ("SGD", "AdamW"):
            assert written[algorithm]["trials"] == draw("tiny", "digits", algorithm)
            trials = expand("tiny", "digits", algorithms=(algorithm,), variant="trial")
            assert [trial.hyperparameters for trial in trials] == [
                ({} if algorithm == "AdamW" else {"lr": 0.05, "momentum": 0.9}) | settings
                for settings in written[algorithm]["trials"]
            ]
            assert all((t.seed, t.restarts, t.epochs, t.checkpoints) == (TRIAL_SEED, 2, 1, 3) for t in trials)
            means = []
            for trial in trials:
                frame = store.load(trial, root).to_pandas()
                assert sorted(set(frame["step"])) == [0, 10, 20]
                means.append(frame["validation_metric"].mean())
            assert found[algorithm]["scores"] == pytest.approx(means)
            assert written[algorithm]["chosen"] == int(np.argmax(means)) == found[algorithm]["chosen"]
            tuned = expand("tiny", "digits", algorithms=(algorithm,), variant="tuned")
            best = trials[written[algorithm]["chosen"]]
            assert [t.hyperparameters for t in tuned] == [best.hyperparameters] * 2
            assert [list(t.seeds) for t in tuned] == [[0, 1], [2, 3]]
            assert (algorithm in expansion.unchanged("tiny", "digits")) == (written[algorithm]["chosen"] == 0)
            assert not {seed for t in tuned for seed in t.seeds} & {seed for t in trials for seed in t.seeds}
            assert all((t.epochs, t.checkpoints, t.variant) == (2, 5, "tuned") for t in tuned)
        assert {s.algorithm for s in expand("tiny", "digits", variant="tuned")} == {"SGD", "AdamW"}
        with pytest.raises(UsageError, match=r"SAM on digits has no tuned setting .*: run `popview tune "):
            expand("tiny", "digits", algorithms=("SAM",), variant="tuned")

        before = {path: path.stat().st_mtime_ns for path in root.rglob("*.parquet")}
        assert tune("tiny", "digits", ("SGD", "AdamW"), root=root, workers=1, quiet=True) == found
        assert {path: path.stat().st_mtime_ns for path in root.rglob("*.parquet")} == before

    def test_the_inventory_wants_what_the_search_has_yet_to_give(self, folder, tmp_path):
        """As many before a search as after it, and only of the algorithms that are searched."""

        def told() -> dict[tuple[str, str], tuple[int, int]]:
            rows = status.inventory("tiny", root, restarts=5)
            return {(row["variant"], row["algorithm"]): (row["wanted"], row["done"]) for row in rows}

        root = tmp_path / "store"
        change(folder, '"SGD", "SAM"', '"SGD", "SWA", "SAM"')
        before, names = told(), ("SGD", "SWA", "SAM", "AdamW", "NiM-BH")
        assert before == (
            {("base", name): (6, 0) for name in names}
            | {("tuned", name): (6, 0) for name in names if name != "SWA"}
            | {("trial", name): (6, 0) for name in names if name != "SWA"}
        )
        tune("tiny", "digits", ("SAM",), root=root, workers=1, quiet=True)
        assert told() == before | {("trial", "SAM"): (6, 6)}
        (row,) = (r for r in status.inventory("tiny", root) if (r["variant"], r["algorithm"]) == ("trial", "SAM"))
        clocks = [store.metadata(spec, root)["seconds"] for spec in expand("tiny", "digits", variant="trial")]
        spent = sum(clock["measures"] + clock["training_and_checkpoints"] for clock in clocks)
        assert row["core_hours"] == pytest.approx(spent / 3600)

    def test_tuned_settings_can_have_other_restarts_than_base(self, folder, tmp_path):
        root = tmp_path / "store"
        found = tune("tiny", "digits", ("SGD", "SAM"), root=root, workers=1, quiet=True)
        change(folder, "restarts = 4", "restarts = 4\ntuned_restarts = 2")
        assert tune("tiny", "digits", ("SGD", "SAM"), root=root, workers=1, quiet=True) == found
        seeds = {
            v: [list(spec.seeds) for spec in expand("tiny", "digits", algorithms=("SAM",), variant=v)] for v in VARIANTS
        }
        assert (seeds["base"], seeds["tuned"]) == ([[0, 1], [2, 3]], [[0, 1]])
        assert len(expand("tiny", "digits", algorithms=("SAM",), variant="tuned", restarts=4)) == 2
        wanted = {(row["variant"], row["algorithm"]): row["wanted"] for row in status.inventory("tiny", root)}
        assert (
            [wanted[v, "SAM"] for v in ("base", "tuned")] == [wanted[v, "AdamW"] for v in ("base", "tuned")] == [4, 2]
        )
        rows = tables.gather("tiny", "digits", root=root)[0].set_index("variant")["restarts"]
        assert rows.to_dict() == {"base": 4, "tuned": 2}
        change(folder, "tuned_restarts = 2", "tuned_restarts = 3")  # no multiple of a stack
        assert [list(s.seeds) for s in expand("tiny", "digits", algorithms=("SAM",), variant="tuned")] == [
            [0, 1],
            [2, 3],
        ]
        workers.run(tables.wanted("tiny", "digits", "tuned"), root=root, workers=1, quiet=True)
        ((_, table),) = tables.gather("tiny", "digits", "tuned", root=root)[1].items()
        assert sorted(table["seed"].unique()) == [0, 1, 2]
        change(folder, "tuned_restarts = 3", "tuned_restarts = 5")
        with pytest.raises(UsageError, match="tuned_restarts of digits in profile tiny must be at most its restarts"):
            expand("tiny", "digits")
        change(folder, "tuned_restarts = 5", "tuned_restarts = 0")
        with pytest.raises(UsageError, match=r"tuned_restarts of digits in profile tiny must be a whole number, 1 or"):
            expand("tiny", "digits")

    def test_a_trial_has_half_the_steps_of_everything_that_counts_them(self, folder):
        change(folder, "[digits.base.AdamW]", "[digits.base.NiM-BH]\ntau = 25\n\n[digits.base.AdamW]")
        (folder.parent / "searches").mkdir()
        trials = [{}, {"lr": 0.1, "tau": 8}, {"tau": 9}]
        entry = {"trials": trials, "chosen": 1, "of": expansion.searched_as("tiny", "digits", "NiM-BH", trials)}
        (folder.parent / "searches" / "tiny.json").write_text(json.dumps({"digits": {"NiM-BH": entry}}))
        tried = expand("tiny", "digits", algorithms=("NiM-BH",), variant="trial")
        assert [(t.epochs, t.hyperparameters["tau"], t.hyperparameters["lr"]) for t in tried] == [
            (1, 13, 0.05),
            (1, 4, 0.1),
            (1, 5, 0.05),
        ]
        tuned = expand("tiny", "digits", algorithms=("NiM-BH",), variant="tuned")
        assert {(t.epochs, t.hyperparameters["tau"], t.hyperparameters["lr"]) for t in tuned} == {(2, 8, 0.1)}
        assert expansion.unchanged("tiny", "digits") == []
        entry["chosen"] = 0
        (folder.parent / "searches" / "tiny.json").write_text(json.dumps({"digits": {"NiM-BH": entry}}))
        assert expansion.unchanged("tiny", "digits") == ["NiM-BH"]

    @pytest.mark.parametrize("tau", ['"20"', "[1]"])
    def test_a_number_of_steps_that_is_no_number_is_left_to_the_optimizer_to_refuse(self, folder, tmp_path, tau):
        change(folder, "[digits.base.AdamW]", f"[digits.base.NiM-BH]\ntau = {tau}\n\n[digits.base.AdamW]")
        assert expansion.searched_as("tiny", "digits", "NiM-BH", [{"lr": 0.1}])
        with pytest.raises(UsageError, match="tau must be a number"):
            workers.run(
                expand("tiny", "digits", algorithms=("NiM-BH",)), root=tmp_path / "store", workers=1, quiet=True
            )

    @pytest.fixture
    def computed(self, monkeypatch) -> list[list[RunSpec]]:
        """What `tune` asks the engine for; nothing is computed, and the second trial is best."""
        asked: list[list[RunSpec]] = []
        monkeypatch.setattr(workers, "run", lambda specs, **_: asked.append(specs))
        monkeypatch.setattr(search, "score", lambda spec, root: float(spec == asked[-1][1]))
        return asked

    def test_all_algorithms_with_a_table_of_their_own(self, folder, computed):
        assert set(tune("tiny", "digits")) == {"SGD", "SAM", "AdamW", "NiM-BH"} == set(searches(folder)["digits"])
        assert [{spec.algorithm for spec in asked} for asked in computed] == [{"SGD"}, {"SAM"}, {"AdamW"}, {"NiM-BH"}]
        assert all(len(asked) == 3 for asked in computed)

    def test_a_changed_space_is_drawn_anew(self, folder, computed, monkeypatch):
        tune("tiny", "digits", ("SGD", "SAM"))
        before = searches(folder)["digits"]
        assert before["SGD"]["chosen"] == before["SAM"]["chosen"] == 1
        change(folder, "rho = [0.01, 0.5]", "rho = [0.01, 5]")

        def stop(specs: list[RunSpec], **_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(workers, "run", stop)
        for algorithm in ("SGD", "SAM"):
            with pytest.raises(KeyboardInterrupt):
                tune("tiny", "digits", (algorithm,))
        after = searches(folder)["digits"]
        assert after["SGD"] == before["SGD"]  # nothing changed: still chosen
        assert after["SAM"].keys() == {"trials", "of"}
        assert after["SAM"]["trials"] == draw("tiny", "digits", "SAM") != before["SAM"]["trials"]
        assert expand("tiny", "digits", variant="tuned", restarts=1)[0].algorithm == "SGD"

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("lr = 0.05\nmomentum", "lr = 0.5\nmomentum"),
            ("hidden = 8", "hidden = 64"),
            ("epochs = 2", "epochs = 200"),
            ("rho = [0.01, 0.5]", "rho = [0.01, 0.6]"),
            ("trials = 3", "trials = 4"),
            ("lr = [0.01, 1]", "lr = [0.1, 1]"),
        ],
    )
    def test_a_search_of_another_profile_chooses_nothing(self, folder, computed, old, new):
        tune("tiny", "digits", ("SAM",))
        assert [spec.algorithm for spec in expand("tiny", "digits", variant="tuned", restarts=1)] == ["SAM"]
        change(folder, old, new)
        assert expansion.recorded_trials("tiny", "digits") == {}
        assert expand("tiny", "digits", variant="tuned", restarts=1) == []
        assert "SAM" in expansion.unsearched("tiny", "digits", "tuned", ())

    def test_what_does_not_enter_a_search_leaves_its_choice(self, folder, computed):
        tune("tiny", "digits", ("SAM",))
        for name, old, new in (("restarts", 4, 8), ("margin", 0.01, 0.02), ("tau", "[3", "[4")):
            change(folder, f"{name} = {old}", f"{name} = {new}")
            assert "chosen" in expansion.recorded_trials("tiny", "digits")["SAM"]

    def test_other_tasks_stay(self, folder, computed):
        (folder.parent / "searches").mkdir()
        (folder.parent / "searches" / "tiny.json").write_text('{"other": {"SGD": {"trials": [{}], "chosen": 0}}}')
        tune("tiny", "digits", ("SGD",))
        assert searches(folder)["other"] == {"SGD": {"trials": [{}], "chosen": 0}}

    def test_written_whole_or_not_at_all(self, folder, computed, monkeypatch):
        tune("tiny", "digits", ("SGD",))
        before = (folder.parent / "searches" / "tiny.json").read_bytes()
        change(folder, "trials = 3", "trials = 4")

        def full(self: Path, text: str, encoding: str) -> None:
            self.write_bytes(text.encode()[:20])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_text", full)
        with pytest.raises(UsageError, match=r"^cannot write .*tiny\.json: No space left on device$"):
            tune("tiny", "digits", ("SGD",))
        assert (folder.parent / "searches" / "tiny.json").read_bytes() == before

    @pytest.mark.parametrize("text", ["{", "[1, 2]", "\xff"])
    def test_a_file_that_cannot_be_read_is_one_line(self, folder, text):
        (folder.parent / "searches").mkdir()
        (folder.parent / "searches" / "tiny.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(UsageError, match=r"tiny\.json cannot be read .*: remove it and run `popview tune` again"):
            expand("tiny", "digits", variant="tuned")

    def test_from_the_command_line(self, folder, computed, capsys):
        assert cli.main(["tune", "--profile", "tiny", "--task", "digits", "--algorithm", "SAM"]) == 0
        told = capsys.readouterr().out
        assert told.startswith("tiny/digits/SAM: lr = ")
        assert told.endswith("(validation metric 1.0000, 3 trials)\n")
        assert cli.main(["tune", "--profile", "tiny", "--task", "digits", "--algorithm", "SMA"]) == 2
        error = capsys.readouterr().err
        assert "did you mean 'SAM'?" in error
        assert error.count("\n") == 1


def test_the_published_spaces_can_be_drawn():
    for profile in ("smoke", "laptop", "paper"):
        for task in profiles.tasks(profile):
            space = profiles.settings(profile, task).get("search", {})
            for algorithm in (name for name, value in space.items() if isinstance(value, dict)):
                assert len(draw(profile, task, algorithm)) == space["trials"]
