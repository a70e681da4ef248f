"""What people may write into profiles, searches and parameters; and that each mistake is one line."""

import re

import pytest

from popview import cli
from popview.common.errors import UsageError
from popview.common.schemas import Count, Schema, check
from popview.runs import expansion, grids, profiles
from popview.runs.annealed import AnnealedPlan
from popview.runs.solutions import parts

PROFILE = """
[digits]
restarts = 2
stack = 2
epochs = 2
checkpoints = 3
margin = 0.01
algorithms = ["SGD", "SWA"]
model = { hidden = 8, batch_size = 50 }

[digits.base]
lr = 0.05

[digits.search]
trials = 2
lr = [0.01, 0.1]

[digits.search.SGD]

[digits.annealed]
epochs = 2
checkpoints = 3
restarts = 2
algorithms = ["SGD", "SWA"]
model = {}
base = { lr = 0.1, SWA = { average_from_epochs = 1 } }
grid = { SGD = { lr = [0.1, 0.2] } }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of profiles: "tiny" of optimizers and of solutions, a grid "noise", and no searches yet."""
    for name in ("optimizers", "noise", "searches"):
        (tmp_path / name).mkdir()
    (tmp_path / "optimizers" / "tiny.toml").write_text(PROFILE)
    (tmp_path / "noise" / "tiny.toml").write_text('[digits]\nlike = "optimizers/tiny/digits"\ngrid = { lr = [0.1] }\n')
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "tiny.toml").write_text((parts.FOLDER / "smoke.toml").read_text())
    monkeypatch.setattr(parts, "FOLDER", tmp_path / "solutions")
    monkeypatch.setattr(profiles, "FOLDER", tmp_path / "optimizers")
    return tmp_path


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def refused(words, capfd):
    """Run a command that must fail, and return the one line that it prints."""
    assert cli.main(words) == 2
    told = capfd.readouterr().err
    assert told.count("\n") == 1, told
    return told


class TestProfiles:
    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ("lr = 0.05", "lr = 2020-01-01", r"lr in \[base\] of digits .* datetime.date\(2020, 1, 1\)"),
            ("lr = 0.05", "SGD = { lr = 12:00:00 }", r"lr in \[base.SGD\] of digits .* datetime.time"),
            ("restarts = 2", "restarts = 2020-01-01", "restarts of digits .* a whole number, 1 or above, got datetime"),
            ("restarts = 2", "restarts = 10_000_000", "restarts of digits .* must be at most 9,900, got 10000000"),
            ("margin = 0.01", "margin = nan", "margin of digits .* must be a number above 0, got nan"),
            ("lr = 0.1, SWA", "lr_epochs = 'x', SWA", r"base of \[digits.annealed\] .* lr_epochs is a number"),
            ("average_from_epochs = 1", "average_from_epochs = true", r"average_from_epochs is a number"),
            ("lr = [0.1, 0.2]", "lr = 0.1", r"lr in \[grid.SGD\] of \[digits.annealed\] .* must be a list, got 0.1"),
            ("grid = { SGD = { lr = [0.1, 0.2] } }", "grid = 3", r"grid of \[digits.annealed\] .* must be a table"),
            ("[digits.annealed]\n", "[digits.annealed]\nlike = 3\n", r"unknown key of \[digits.annealed\] .* 'like'"),
            ("[digits]\n", "[digits]\nlike = 3\n", "like of digits in profile tiny must be the name of a table, got 3"),
            ("[digits]\n", '[digits]\nlike = "noise/tiny/digits"\n', "digits in profile tiny is like itself"),
            (
                "[digits.search]\n",
                "[digits.search.SDG]\n[digits.search]\n",
                "unknown algorithm 'SDG': did you mean 'SGD'",
            ),
        ],
    )
    def test_wrong_values(self, folder, old, new, told, capfd):
        change(folder / "optimizers" / "tiny.toml", old, new)
        for command in ("run", "status"):
            assert re.search(told, refused([command, "--profile", "tiny"], capfd))

    @pytest.mark.parametrize("bytes_", [b"# f\xfcr\n", b"[digits\n", b"\x00", b"a = " + b"[" * 5000])
    def test_a_file_that_is_no_toml_in_utf_8(self, folder, bytes_, capfd):
        (folder / "optimizers" / "tiny.toml").write_bytes(bytes_)
        assert "tiny.toml) cannot be read" in refused(["status", "--profile", "tiny"], capfd)

    def test_a_task_that_nobody_knows(self, folder):
        file = folder / "optimizers" / "tiny.toml"
        file.write_text(file.read_text().replace("digits", "digit"))
        with pytest.raises(UsageError, match="unknown task 'digit': did you mean 'digits'"):
            AnnealedPlan("tiny", "digit")

    def test_a_mended_file_is_read_again(self, folder):
        file = folder / "optimizers" / "tiny.toml"
        change(file, "stack = 2", "stack = 0")
        for _ in range(2):
            with pytest.raises(UsageError, match="stack of digits"):
                profiles.settings("tiny", "digits")
        change(file, "stack = 0", "stack = 1")
        assert profiles.settings("tiny", "digits")["stack"] == 1

    def test_whoever_asks_has_a_copy_of_his_own(self, folder):
        profiles.settings("tiny", "digits")["model"]["hidden"] = 9
        assert profiles.settings("tiny", "digits")["model"]["hidden"] == 8

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ("level = 1.0", "level = 'low'", "level of digits in profile tiny must be a number above 0, got 'low'"),
            ("level = 1.0", "levl = 1.0", "unknown key of digits in profile tiny 'levl': did you mean 'level'"),
            ("level = 1.0\n", "", "digits in profile tiny has no level"),
            ('"early"', '"earl"', r"unknown stages in \[barriers\] of digits .* 'earl': did you mean 'early'"),
            ('["SAM", "NiM-BH"]', '["SAMM"]', "unknown algorithm 'SAMM': did you mean 'SAM'"),
            (
                "epochs = 6",
                "epoch = 6",
                r"unknown key of \[algorithms.SGD\] of digits .* 'epoch': did you mean 'epochs'",
            ),
            ("points = 12", "points = 2020-01-01", r"points in \[path\] of digits .* got datetime"),
        ],
    )
    def test_networks(self, folder, old, new, told):
        change(folder / "solutions" / "tiny.toml", old, new)
        with pytest.raises(UsageError, match=told) as error:
            parts.network_settings("tiny", "digits")
        assert "\n" not in str(error.value)


class TestBounds:
    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["--restarts", "10000000"], "restarts must be at most 9,900, got 10000000"),
            (["--restarts", "-1"], "restarts must be a whole number, 1 or above, got -1"),
            (["--variant", "annealed", "--restarts", "9901"], "restarts must be at most 9,900, got 9901"),
            (["--variant", "annealed", "--restarts", "0"], "restarts must be a whole number, 1 or above, got 0"),
            (["--experiment", "noise", "--restarts", "9901"], "restarts must be at most 9,900, got 9901"),
            (["--experiment", "noise", "--restarts", "0"], "restarts must be a whole number, 1 or above, got 0"),
        ],
    )
    def test_are_told_before_anything_is_done(self, folder, words, told, capfd):
        assert told in refused(["run", "--profile", "tiny", *words], capfd)

    def test_of_a_budget(self, folder):
        for name, most in (("epochs", "1,000,000"), ("checkpoints", "100,000")):
            with pytest.raises(UsageError, match=f"{name} must be at most {most}, got {10**12}"):
                expansion.expand("tiny", "digits", **{name: 10**12})

    def test_the_most_restarts_have_seeds_below_those_of_trials(self, folder):
        plan, trials = AnnealedPlan("tiny", "digits"), expansion.TRIAL_SEED
        assert plan._seeds("annealed", 9_900)[-1] + plan.stack == trials
        assert expansion.expand("tiny", "digits", restarts=9_900)[-1].seeds[-1] < trials
        assert grids.grid_specs("noise", "tiny", "digits", restarts=9_900)[-1].seeds[-1] < trials


class TestSearches:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ('{"digits": {"SGD": {"of": "x", "trials": [{}, {"lr": 1}], "chosen": 999}}}', r"chosen in .*, got 999"),
            (
                '{"digits": {"SGD": {"of": "x", "trials": [{}], "chosen": "0"}}}',
                r"chosen in \[digits.SGD\] .*, got '0'",
            ),
            ('{"digits": {"SGD": {"of": "x", "trials": 3}}}', r"trials in \[digits.SGD\] of tiny.json .* got 3"),
            ('{"digits": {"SGD": {"of": "x", "trails": []}}}', "'trails': did you mean 'trials'"),
            ('{"digits": {"SGD": 3}}', r"SGD in \[digits\] of tiny.json must be a table, got 3"),
            ('{"digits": []}', "digits of tiny.json must be a table"),
            ("[" * 100_000, "recursion"),
        ],
    )
    def test_wrong_values(self, folder, text, told, capfd):
        (folder / "searches" / "tiny.json").write_text(text)
        line = refused(["status", "--profile", "tiny"], capfd)
        assert re.search(told, line)
        assert line.endswith("remove it and run `popview tune` again\n")

    @pytest.mark.parametrize("entry", ['"finalists": [0, 2]', '"finalists": [0, 1], "chosen": 999'])
    def test_a_cell_that_there_is_not(self, folder, entry):
        plan = AnnealedPlan("tiny", "digits")
        text = f'{{"digits": {{"SGD": {{"of": "{plan.record_of("SGD")}", {entry}}}}}}}'
        (folder / "searches" / "tiny-annealed.json").write_text(text)
        with pytest.raises(UsageError, match=r"tiny-annealed.json: SGD on digits has cells 0 to 1, none at (2|999)"):
            plan.expand("annealed")


class Trip(Schema):
    nights: Count


class TestCheck:
    def test_of_several_mistakes_an_unknown_key_is_told(self):
        with pytest.raises(UsageError, match=r"^unknown key of my table 'nigths': did you mean 'nights'"):
            check(Trip, {"nigths": 3}, "my table")

    @pytest.mark.parametrize("value", ["3", True, 3.0, None, [3]])
    def test_nothing_is_taken_for_a_number_that_is_none(self, value):
        with pytest.raises(UsageError, match=re.escape(f"must be a whole number, 1 or above, got {value!r}")):
            check(Trip, {"nights": value}, "my table")

    def test_what_is_no_table(self):
        with pytest.raises(UsageError, match=r"^my table must be a table, got \[\]$"):
            check(Trip, [], "my table")
