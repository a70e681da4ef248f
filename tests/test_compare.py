"""`popview compare`: the numbers of chapter 7 for one pair, in a few lines, and one line for every mistake."""

import re

import numpy as np
import pandas as pd
import pytest
from interpreter import printed_by

from popview import cli
from popview.populations import checkpoints, compare_text, comparisons, confirmation, outcomes, pooled, tables
from popview.runs import expansion
from popview.runs.profiles import settings
from popview.statistics import Verdict


def numbers(text: str, name: str) -> list[float]:
    """Return the numbers of one line of the output."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"  {name}  ")]
    return [float(n) for n in re.findall(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", line.removeprefix(f"  {name}"))]


@pytest.fixture(scope="module")
def chapter():
    """Rows of chapter 7's table, from the trajectories of all algorithms as the chapter loads them."""
    trajectories = tables.load_trajectories(tables.wanted("laptop", "digits"), settings("laptop", "digits")["restarts"])
    models = checkpoints.select(trajectories, "train_loss", 10)
    clusters = pooled.clustering(models).set_index("algorithm")
    found = outcomes.outcomes_by_case({("digits", "base"): trajectories}, "laptop")["digits", "base"]
    by_models = {}
    for name in ("last", "SetA"):
        shown = found[name][["SGD", "NiM-SGD", "SAM", "AdamW"]]
        table = comparisons.against_reference(shown, settings("laptop", "digits")["margin"])
        by_models[name] = table.set_index("a"), clusters, found[name]
    return by_models


@pytest.mark.parametrize("name", ["SAM", "NiM-SGD", "AdamW"])
@pytest.mark.parametrize("models", ["last", "SetA"])
def test_numbers_are_those_of_chapter_seven(name, models, chapter, capsys):
    table, clusters, values = chapter[models]
    assert cli.main(["compare", name, "SGD", *([] if models == "last" else ["--models", models])]) == 0
    text = capsys.readouterr().out
    row = table.loc[name]
    points = 5e-3 + 1e-9  # printed with two decimals
    assert numbers(text, "shift")[:3] == pytest.approx([100 * row[k] for k in ("estimate", "low", "high")], abs=points)
    assert numbers(text, "difference")[0] == pytest.approx(100 * row["difference"], abs=points)
    assert numbers(text, "A12")[-4:-1] == pytest.approx([row[k] for k in ("a12", "a12_low", "a12_high")], abs=points)
    assert numbers(text, "p")[0] == pytest.approx(row["p"], rel=1e-3)
    assert re.search(r"p \(equivalence\) +(\S+) \(TOST, margin ±0.5 points\)", text)[1] == f"{row['equivalence_p']:.4g}"
    assert numbers(text, name) == pytest.approx([100 * values[name].mean(), 100 * values[name].std()], abs=points)
    assert f"r by seed        {row['correlation']:.2f}" in text
    icc = f"{name} {clusters.loc[name, 'icc']:.2f} (1000 models worth {clusters.loc[name, 'effective']:.0f})"
    assert (icc in text) == (models == "SetA")
    assert text.endswith(f"{Verdict(row['verdict'], row['direction'])}\n")
    assert "100 restarts each" in text


def test_a_pair_of_no_family_is_a_family_of_one():
    """It says that it is not corrected; chapter 7 does not judge it, but among all pairs."""
    text = compare_text.comparison("SAM", "NiM-BH", models="SetA")
    assert "one pair: no family correction" in text
    assert text.endswith(" (one pair, uncorrected)")
    assert "p (Holm)" not in text
    trajectories = tables.load_trajectories(tables.wanted("laptop", "digits", algorithms=("SAM", "NiM-BH")), 100)
    values = checkpoints.per_restart(checkpoints.select(trajectories, "train_loss", 10))
    (row,) = comparisons.against(values, [("SAM", "NiM-BH")], 0.005).to_dict("records")
    assert numbers(text, "detectable")[0] == pytest.approx(100 * row["detectable"], abs=5e-3)


@pytest.mark.parametrize("pair", [("SAM", "SGD"), ("SGD", "SAM")])
def test_at_five_restarts_the_verdict_is_the_family_s(pair, monkeypatch):
    """A p that alone would do is not enough among the paper's five, of which one has not been run."""
    luck = np.arange(5.0)
    scores = dict.fromkeys(["NiG-SGD", "NiM-SGD", "NiG-BH"], np.add(luck, [0.4, -0.1, 0.5, -0.2, 0.2]))
    scores |= {"SGD": luck, "SAM": np.add(luck, [3.0, 1.0, 2.5, 0.2, 1.5])}  # paired t: p = 0.03
    rows = [
        {"task": "digits", "profile": "laptop", "variant": "base", "algorithm": name, "seed": seed, "step": 0}
        | {"train_loss": 0.1, "test_metric": 0.9 + 0.01 * score}
        for name, found in scores.items()
        for seed, score in enumerate(found)
    ]

    def loaded(specs, restarts):
        return pd.DataFrame(rows).query("algorithm in @names", local_dict={"names": {s.algorithm for s in specs}})

    monkeypatch.setattr(compare_text, "load_trajectories", loaded)
    monkeypatch.setattr(compare_text.store, "missing", lambda specs: [s for s in specs if s.algorithm == "NiM-BH"])
    text = compare_text.comparison(*pair, models="SetA", per_trajectory=1)
    raw, adjusted = numbers(text, "p")[0], numbers(text, "p (Holm)")[0]
    assert raw <= 0.05
    assert adjusted == pytest.approx(min(1, 5 * raw), rel=1e-3)
    assert "(the paper's family of 5, against SGD)" in text
    assert text.endswith("inconclusive")


def test_others_of_the_family_that_no_search_has_chosen_need_not_be_there(monkeypatch):
    """They count in the family all the same; once the command asked for a search of them."""
    known = expansion.recorded_trials("laptop", "goemotions")
    found = {name: known[name] for name in ("SGD", "SAM")}
    monkeypatch.setattr(expansion, "recorded_trials", lambda profile, task: found)
    text = compare_text.comparison("SAM", "SGD", task="goemotions", variant="tuned")
    assert text.startswith("SAM against SGD: goemotions, laptop, tuned, 5 restarts each, equal epochs\n")
    assert "(the paper's family of 5, against SGD)" in text


def test_searched_settings_have_the_restarts_that_the_profile_gives_them(monkeypatch):
    monkeypatch.setattr(compare_text, "restarts_of", lambda *names: {("laptop", "digits", "annealed"): 30}[names])
    text = compare_text.comparison("SAM", "SGD", variant="annealed", models="SetA")
    assert text.startswith("SAM against SGD: digits, laptop, annealed, 30 restarts each, SAM at half the epochs\n")


def test_a_loss_has_no_margin_and_less_is_better():
    text = compare_text.comparison("SAM", "SGD", metric="train_loss")
    assert "TOST" not in text
    assert numbers(text, "difference")[0] < 0
    assert text.endswith("better")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["SAMM", "SGD"], "unknown algorithm of digits in profile laptop 'SAMM': did you mean 'SAM'?"),
        (["SAM", "sgd"], "did you mean 'SGD'?"),
        (["SAM", "SAM"], "compare needs two algorithms, got SAM twice"),
        (["SAM", "SGD", "--metric", "test_metrc"], "unknown metric 'test_metrc': did you mean 'test_metric'?"),
        (["SAM", "SGD", "--models", "seta"], "unknown models 'seta': did you mean 'SetA'?"),
        (["SAM", "SGD", "--task", "digit"], "did you mean 'digits'?"),
        (["SAM", "SGD", "--profile", "latop"], "did you mean 'laptop'?"),
        (["SAM", "SGD", "--variant", "aneal"], "variant of digits that is compared 'aneal': did you mean 'annealed'?"),
        (["SAM"], "Missing argument"),
        (["SAM", "SGD", "--margin", "-1"], "--margin must be a number above 0, got -1.0"),
        (["SAM", "SGD", "--margin", "nan"], "--margin must be a number above 0, got nan"),
    ],
)
def test_mistakes_are_one_line(words, message, capsys):
    assert cli.main(["compare", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_rules_for_annealed_runs_are_read_for_these_alone(monkeypatch):
    """A folder of one's own has no such file."""
    monkeypatch.delattr(confirmation, "decisions")
    assert "SAM against SGD" in compare_text.comparison("SAM", "SGD")


def test_missing_trajectories_come_with_their_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tables.load_trajectories, "__defaults__", (None, tmp_path))
    assert cli.main(["compare", "SAM", "SGD"]) == 2
    err = capsys.readouterr().err
    assert "no trajectory of SAM on digits" in err
    assert "popview run --profile laptop --task digits" in err
    assert err.count("\n") == 1


def test_an_algorithm_that_is_not_tuned_comes_with_its_command(monkeypatch, capsys):
    monkeypatch.setattr(expansion, "recorded_trials", lambda profile, task: {})
    assert cli.main(["compare", "SAM", "SGD", "--task", "goemotions", "--variant", "tuned"]) == 2
    err = capsys.readouterr().err
    assert "popview tune --profile laptop --task goemotions --algorithm SAM" in err
    assert err.count("\n") == 1


def test_torch_is_not_imported():
    code = "import sys\nfrom popview.cli import main\nmain(['compare', 'SAM', 'SGD'])\nsys.exit('torch' in sys.modules)"
    assert printed_by(code).startswith("SAM against SGD: digits")


def test_five_restarts_claim_no_interval_and_no_least_p():
    """A t test has no smallest p, and the Hodges-Lehmann interval of five pairs at 95 % has no ends."""
    text = compare_text.comparison("SAM", "SGD", task="goemotions", variant="tuned")
    assert "[too few restarts to say]" in text
    assert "inf" not in text
    assert "smallest p" not in text


def test_annealed_runs_have_the_verdict_of_the_rules_fixed_before_them():
    """The page shows this one; the others' test is by sign flips."""
    decided = confirmation.decisions()
    found = confirmation.confirm_tasks(confirmation.confirmed_tasks("laptop", decided, "cifar10"), decided)
    word = found[found["a"] == "AdamW"]["verdict"].iloc[0]
    text = compare_text.comparison("AdamW", "SGD", task="cifar10", variant="annealed")
    assert text.endswith(f"fixed rules      {word} (the page's: paired t tests)")
    assert "fixed rules" not in compare_text.comparison(
        "AdamW", "SGD", task="cifar10", variant="annealed", models="SetA"
    )
