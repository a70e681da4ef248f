"""The command line: one line and an exit code for every mistake."""

from dataclasses import replace
from pathlib import Path

import pytest
from interpreter import printed_by

import popview.common.folders
import popview.runs.specs
from popview import cli
from popview.book import build
from popview.runs import status, store
from popview.runs.profiles import FOLDER, profile_names
from popview.tasks.setup import TASKS

CHAPTER = '# %% tags=["parameters"]\nrestarts: int = 5  # how many\n\n# %%\nprint(restarts)\n'


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "sums.py").write_text(CHAPTER)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: sums\n")
    monkeypatch.setattr(popview.common.folders, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["chapter", "9"], "unknown chapter '9': known: sums"),
        (["chapter", "sum"], "unknown chapter 'sum': did you mean 'sums'? known: sums"),
        (["chapter", "1", "-p", "restart=3"], "did you mean 'restarts'? known: restarts"),
        (["chapter", "1", "-p", "restarts=many"], "parameter restarts: 'many' is not int"),
        (["chapter", "1", "-p", "restarts"], "-p restarts: expected NAME=VALUE"),
        (["chapter"], "Missing argument"),
        (["chapter", "1", "--lst"], "No such option: --lst"),
        (["bok"], "Did you mean 'book'?"),
    ],
)
@pytest.mark.usefixtures("root")
def test_mistake_is_one_line_and_code_two(words, message, capsys):
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("popview: ")
    assert err.count("\n") == 1
    assert message in err


def test_outside_a_book(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(popview.common.folders, "ROOT", tmp_path)
    assert cli.main(["book"]) == 2
    assert capsys.readouterr().err.startswith(f"popview: no book in {tmp_path}")


def test_a_root_that_is_not_there_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POPVIEW_ROOT", str(tmp_path / "nowhere"))
    assert cli.main(["status", "--profile", "smoke"]) == 2
    told = f"popview: POPVIEW_ROOT names {tmp_path / 'nowhere'}, where there is no folder\n"
    assert capsys.readouterr().err == told


@pytest.mark.usefixtures("root")
def test_list(capsys):
    assert cli.main(["chapter", "1", "--list"]) == 0
    assert capsys.readouterr().out == "restarts: int = 5  how many\n"


@pytest.mark.usefixtures("root")
def test_interrupt(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "execute", interrupted)
    assert cli.main(["chapter", "1"]) == 130
    assert capsys.readouterr().err.endswith("popview: interrupted; what was finished is kept\n")


def test_interrupt_of_an_import(monkeypatch, capsys):
    def imported_in_vain(*_, **__):
        try:
            raise KeyboardInterrupt if interrupted else OSError("no such library")
        except (KeyboardInterrupt, OSError) as error:
            raise ImportError("initialization failed") from error

    monkeypatch.setattr(cli, "app", imported_in_vain)
    interrupted = True
    assert cli.main(["status"]) == 130
    assert capsys.readouterr().err == "popview: interrupted; what was finished is kept\n"
    interrupted = False
    with pytest.raises(ImportError, match="initialization failed"):
        cli.main(["status"])


def test_overrides_are_echoed_and_a_failing_cell_is_one_line(root, capsys):
    (root / "book" / "sums.py").write_text(CHAPTER + "raise RuntimeError('no')\n")
    assert cli.main(["chapter", "1", "-p", "restarts=7"]) == 2
    out, err = capsys.readouterr()
    assert out == "restarts = 7 (default 5)\nrunning sums (your parameters)\n"
    assert err.startswith("popview: chapter sums, cell 3 (raise RuntimeError('no')): RuntimeError: no; see ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("command", "experiment"), [("run", "optimizers"), ("topography", "solutions")])
def test_help_names_the_profiles_that_are_there(command, experiment, capsys):
    assert cli.main([command, "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"How much to compute: {', '.join(profile_names(FOLDER.parent / experiment))}." in told


def test_a_profile_that_is_added_is_in_the_help(tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "profiles" / "optimizers"
    folder.mkdir(parents=True)
    for name in ("workstation.toml", "laptop.toml", "notes.txt"):
        (folder / name).touch()
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "cli.py"))
    assert cli._profile_option("optimizers").help == "How much to compute: laptop, workstation."
    assert profile_names(folder) == ["laptop", "workstation"]


def test_help_is_quick_because_it_imports_nothing_heavy():
    heavy = "{'torch', 'numpy', 'pandas', 'papermill', 'jupytext', 'joblib', 'scipy'}"
    code = f"import sys\nfrom popview.cli import main\nmain([])\nsys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    told = printed_by(code)
    assert "chapter" in told
    assert "book" in told


class TestRuns:
    """`run` and `status`, on the smallest profile and in a store of their own."""

    def test_status_counts_what_run_computes(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(status.inventory, "__defaults__", (tmp_path,))
        assert cli.main(["status", "--profile", "smoke"]) == 0
        told = capsys.readouterr().out
        nothing = "0 done, 0 running, 0 half-done, 0 diverged, 0 damaged"
        assert f"smoke/digits/base/SGD: 4 wanted, {nothing}\n" in told
        assert told.endswith(f"{nothing}; 0.0 MB, 0.0 core-hours\n")
        assert cli.main(["status", "--profile", "smoke", "--restarts", "6"]) == 0
        assert f"smoke/cifar10/base/SGD: 6 wanted, {nothing}\n" in capsys.readouterr().out
        monkeypatch.setattr(popview.common.folders, "RESULTS", tmp_path)
        words = ["run", "--profile", "smoke", "--task", "digits", "--algorithm", "SWA", "--workers", "1"]
        assert cli.main(words) == 0
        assert "smoke/digits: 1 files wanted, 1 new, 0 there before\n" in capsys.readouterr().out
        assert cli.main(["status", "--profile", "smoke"]) == 0
        told = capsys.readouterr().out
        for algorithm in ("SWA", "SGD"):  # SGD's trajectory was made along with it
            assert f"smoke/digits/base/{algorithm}: 4 wanted, 4 done, 0 running" in told
        assert "8 done" in told.splitlines()[-1]
        assert cli.main(words) == 0
        assert "1 files wanted, 0 new, 1 there before" in capsys.readouterr().out

    def test_all_tasks_are_one_run(self, tmp_path, capsys, monkeypatch):
        """What another driver is at keeps no other task from being computed."""
        from popview.common.locks import claim
        from popview.runs import workers
        from popview.runs.expansion import expand

        monkeypatch.setattr(popview.common.folders, "RESULTS", tmp_path)
        calls, run = [], workers.run
        monkeypatch.setattr(workers, "run", lambda specs, **how: calls.append(1) or run(specs, quiet=True, **how))
        (tmp_path / "profiles").mkdir()
        words = ["run", "--profile", "two", "--algorithm", "SAM", "--algorithm", "SGD", "--workers", "1"]
        text = (popview.runs.profiles.FOLDER / "smoke.toml").read_text()
        digits = text[text.index("[digits]") : text.index("[cifar10]")]
        (tmp_path / "profiles" / "two.toml").write_text(digits + digits.replace("digits", "cifar10"))
        monkeypatch.setattr(popview.runs.profiles, "FOLDER", tmp_path / "profiles")
        monkeypatch.setitem(TASKS, "cifar10", TASKS["digits"])
        held = expand("two", "digits", algorithms=("SAM",))[0]
        with claim(store.beside(held, "lock", tmp_path)):
            assert cli.main(words) == 2
        out, error = capsys.readouterr()
        assert out.splitlines() == [
            "two/digits: 2 files wanted, 1 new, 0 there before",
            "two/cifar10: 2 files wanted, 2 new, 0 there before",
        ]
        assert error.startswith("popview: 1 of 4 files are being computed by another driver")
        assert calls == [1]

    def test_what_no_search_has_chosen_is_named(self, monkeypatch, capsys):
        """By a search of one algorithm here, whatever the shipped ones have come to: nothing is ever trained."""
        found = {"goemotions": {"SGD": popview.runs.profiles.searches("laptop")["goemotions"]["SGD"]}}
        monkeypatch.setattr(popview.runs.expansion, "searches", lambda profile: found)
        words = ["run", "--variant", "tuned", "--dry-run", "--task"]
        assert cli.main([*words, "goemotions"]) == 0
        first, second = capsys.readouterr().out.splitlines()[:2]
        left = "laptop/goemotions: left out, without a tuned setting"
        assert first.startswith(f"{left} (`popview tune --profile laptop --task goemotions` chooses one): NiG-SGD, ")
        assert second == f"{left} (the profile searches none): SWA"
        found.clear()
        assert cli.main([*words, "goemotions"]) == 2
        told = "goemotions has no tuned settings in profile laptop: run"
        assert capsys.readouterr().err == f"popview: {told} `popview tune --profile laptop --task goemotions`\n"
        for profile in ("smoke", "laptop"):
            assert cli.main([*words, "digits", "--profile", profile]) == 2
            told = f"digits has no tuned settings in profile {profile}: it has no [digits.search.<algorithm>]"
            assert capsys.readouterr().err == f"popview: {told}\n"

    @pytest.mark.parametrize(
        "words",
        [
            ["run", "--profile", "smoke", "--task", "mnist", "--variant", "tuned", "--algorithm", "SGD", "--dry-run"],
            ["run", "--profile", "smoke", "--variant", "trial", "--algorithm", "SGD", "--dry-run"],
            ["run", "--profile", "smoke", "--variant", "tuned", "--dry-run"],
            ["compare", "SWA", "SGD", "--task", "goemotions", "--variant", "tuned"],
        ],
    )
    def test_no_search_is_advised_where_the_profile_has_none(self, words, capsys):
        assert cli.main(words) == 2
        out, error = capsys.readouterr()
        assert "popview tune" not in out + error
        if "--algorithm" in words or words[0] == "compare":
            assert error.endswith("so that none is searched for\n")
        else:
            assert out.count("(the profile searches none)") == len(popview.runs.profiles.tasks("smoke"))
            assert error == "popview: no task of profile smoke has a tuned setting, as told above\n"

    def test_what_is_missing_comes_with_the_command_of_its_variant(self):
        (base,) = popview.runs.expansion.expand("laptop", "tweeteval", algorithms=("SGD",), restarts=1)
        told = {kind: replace(base, variant=kind).command for kind in popview.runs.specs.VARIANTS}
        assert told["base"] == "popview run --profile laptop --task tweeteval"
        assert told["tuned"] == "popview run --profile laptop --task tweeteval --variant tuned"
        assert told["trial"] == "popview tune --profile laptop --task tweeteval"

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["run", "--dry-run", "--task", "digit"], "did you mean 'digits'?"),
            (["run", "--dry-run", "--profile", "latop"], "did you mean 'laptop'?"),
            (["run", "--dry-run", "--algorithm", "NiM-SDG"], "did you mean 'NiM-SGD'?"),
            (["run", "--experiment", "solutions", "--restarts", "2"], "--experiment solutions takes no --restarts"),
            (["run", "--experiment", "solutions", "--algorithm", "SGD"], "solutions takes no --algorithm"),
            (["run", "--experiment", "noise", "--variant", "tuned"], "--experiment noise takes no --variant"),
            (["run", "--experiment", "landscapes", "--keep-weights"], "landscapes takes no --keep-weights"),
            (["run", "--dry-run", "--restarts", "0"], "restarts must be a whole number, 1 or above, got 0"),
            (["status", "--profile", "smok"], "did you mean 'smoke'?"),
        ],
    )
    def test_mistakes_are_one_line(self, words, told, capsys):
        assert cli.main(words) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1
