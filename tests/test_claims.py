"""The ledger of claims: complete, judged by rules, and rules that answer as the numbers say."""

import html
import re
from dataclasses import replace
from functools import cache
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from popview.book.page import signed
from popview.book.tables import claims as claim_tables
from popview.common.contents import page_names
from popview.common.errors import UsageError
from popview.common.folders import PAPER, RESULTS, ROOT
from popview.paper import claims, rules
from popview.paper.audit import printed_checks
from popview.paper.finding import any_or_settled, signs, that_share
from popview.paper.rules import Computed, Finding, Results, by_tasks
from popview.populations import tables
from popview.populations.outcomes import load_final_measures

SIX = by_tasks.SIX

TASK = rules.load_rules("task")


def trajectories(shifts: dict[str, float], restarts: int = 13, checkpoints: int = 30, seed: int = 0) -> pd.DataFrame:
    """Return trajectories whose loss falls and score rises with noise; `shifts` moves an algorithm's scores."""
    generator = np.random.default_rng(seed)
    rows = []
    base = generator.normal(0.9, 0.004, restarts)
    for algorithm, shift in shifts.items():
        for restart in range(restarts):
            step = np.arange(1, checkpoints + 1)
            score = base[restart] + shift + 0.002 * generator.standard_normal(checkpoints)
            cost = 2 if algorithm == "SAM" else 1
            rows.append(
                pd.DataFrame(
                    {
                        "task": "digits",
                        "profile": "laptop",
                        "algorithm": algorithm,
                        "variant": "base",
                        "seed": restart,
                        "step": step,
                        "epoch": step,
                        "gradient_evaluations": cost * step,
                        "train_loss": np.exp(-step / 5) * (1 + 0.1 * generator.random(checkpoints)),
                        "validation_metric": score,
                        "test_metric": score + 0.002 * generator.standard_normal(checkpoints),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def results(shifts: dict[str, float] | None = None, task: str = "digits", **settings: int) -> Results:
    """Return what rules judge by; the same object where it is asked for again, since most rules compare all pairs."""
    return made(tuple((shifts or {}).items()), task, **settings)


@cache
def made(shifts: tuple[tuple[str, float], ...], task: str, **settings: int) -> Results:
    moved = dict.fromkeys((*SIX, "NiG-MBH", "NiM-MBH"), 0.0) | dict(shifts)
    return Results(task, trajectories(moved, **settings), 0.005)


class TestClaims:
    def test_every_claim_has_a_page_a_place_and_something_to_say(self):
        table = claims.read_claims()
        assert table["id"].is_unique
        assert (table[["id", "document", "where", "claim", "page"]] != "").all(axis=None)
        assert set(table["page"]) <= {*page_names()}
        assert set(table["document"]) == set(claims.DOCUMENTS)

    def test_every_rule_is_stated(self):
        stated = claims.rules_of_claims(claims.read_claims())
        assert len(stated) == (claims.read_claims()[list(rules.DECIDERS)] != "").to_numpy().sum()
        laid = claim_tables.rules(stated)
        assert laid["rule"].str.contains(r"\*(?:holds|does not hold|inconclusive)[a-z ]*\*").all()
        assert laid["claim"].ne("").sum() == stated["claim"].nunique()
        assert not laid["rule"].str.contains("`_").any()  # what a reader cannot look up

    def test_no_verdict_is_in_the_file(self):
        text = (PAPER / "claims.csv").read_text()
        assert not any(word in text for word in rules.WORDS if word != "holds")

    def test_every_rule_is_used(self):
        table = claims.read_claims()
        for kind in rules.DECIDERS:
            assert set(table[kind]) - {""} == set(rules.load_rules(kind))

    def test_a_page_of_claims_is_written(self):
        for page in set(claims.read_claims()["page"]):
            assert (ROOT / "book" / f"{page}.py").is_file()

    def test_a_page_counts_as_written_as_soon_as_the_contents_name_it(self, tmp_path):
        """Once the status page had a list of its own, and the ledger the names of all chapters."""
        file, table = tmp_path / "_toc.yml", claims.read_claims()
        page = table.query("reason == 'page'")["page"].iloc[0]
        for line, word in (("", "not tested yet"), (f"chapters:\n  - file: {page}\n", "see the page")):
            file.write_text(f"root: index\n{line}")
            left = table.query("page == @page and reason == 'page'")
            entries = claims.judge_claims(left, {}, Computed(), set(page_names(tmp_path)))
            assert set(entries["verdict"]) == {word}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"document": "nobody"}, "unknown document of claim a 'nobody'"),
            ({"page": "five-run"}, "unknown page of claim a 'five-run': did you mean 'five-runs'"),
            ({"task": "on_par_with_sad"}, "unknown task rule of claim a 'on_par_with_sad': did you mean"),
            ({"task": ""}, "claim a of claims.csv has neither a rule nor a reason"),
        ],
    )
    def test_bad_rows_are_refused(self, tmp_path, change, message):
        row = dict.fromkeys(claims.COLUMNS, "") | {"id": "a", "document": "inan2024", "page": "five-runs"}
        file = tmp_path / "claims.csv"
        pd.DataFrame([row | {"task": "sets_alike"} | change]).to_csv(file, index=False)
        with pytest.raises(UsageError, match=message):
            claims.read_claims(file)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(UsageError, match="where there is no file"):
            claims.read_claims(tmp_path / "claims.csv")


@pytest.fixture(scope="module")
def judged() -> pd.DataFrame:
    """All claims that need no landscape, with results of one task and none of another."""
    table = claims.read_claims()
    quick = table.assign(computed="").query("printed != '' or task != '' or reason != ''")
    return claims.judge_claims(
        quick,
        {
            ("digits", "base"): results(),
            ("digits", "tuned"): results({"SAM": 0.03}),
            ("cifar10", "base"): None,
            ("cifar10", "tuned"): None,
            ("mnist", "tuned"): None,
        },
        Computed(),
        {"algorithms", "flatness-and-shift"},
    )


class TestJudge:
    def test_no_claim_is_left_out_and_no_verdict_is_blank(self, judged):
        assert (judged[["scale", "verdict", "detail"]] != "").all(axis=None)
        table = claims.read_claims()
        wanted = table[(table["printed"] != "") | (table["task"] != "") | (table["reason"] != "")]
        assert set(judged["id"]) == set(wanted["id"])
        assert set(judged["verdict"]) <= set(rules.WORDS)

    def test_a_task_without_results_is_said_to_be_not_run(self, judged):
        here = judged[(judged["scale"] == "cifar10") & (judged["variant"] == "base")]
        assert set(here["verdict"]) == {"not run here"}
        assert len(here) == (claims.read_claims()["task"] != "").sum()

    def test_pages_decide_what_is_not_tested_yet(self, judged):
        no_rule = dict.fromkeys(rules.DECIDERS, "")
        claim = claims.read_claims().head(1).assign(page="dummy", reason="page", **no_rule)
        for pages, word in ((set(), "not tested yet"), ({"dummy"}, "see the page")):
            assert claims.judge_claims(claim, {}, Computed(), pages)["verdict"].tolist() == [word]
        assert judged.set_index("id")["verdict"]["code"] == "not tested"

    def test_the_full_ledger_has_every_claim(self, judged):
        full = claim_tables.full(judged, "inan2024", {"loss-and-generalization"})
        assert (full[["scale", "verdict", "numbers"]] != "").all(axis=None)
        assert full["claim"].ne("").sum() == judged.query("document == 'inan2024'")["id"].nunique()
        assert full["tested in"][0] == "[](loss-and-generalization.ipynb)"
        assert set(full.loc[full["claim"] != "", "tested in"]) > {"five-runs"}  # not in the contents: no link
        absent = judged[claim_tables.without_verdicts(judged)]
        scales = list(absent[["scale", "variant"]].drop_duplicates().itertuples(index=False, name=None))
        assert scales == [("cifar10", "base"), ("cifar10", "tuned"), ("mnist", "tuned")]
        assert claim_tables.named(absent) == "CIFAR-10, MNIST (tuned)"
        assert claim_tables.named(absent[:0]) == "none"

    def test_the_grid_has_a_mark_per_variant_where_they_differ(self, judged):
        words = {"comparable": "on par", "significance": "pooled tests", "t-test": "both tests"}
        grid = claim_tables.marks_grid(judged, words, {"better-than-sgd"})
        assert list(grid.columns) == ["claim", "Digits", "printed tables"]  # tasks with verdicts, by their titles
        assert list(grid["claim"]) == ["[on par](better-than-sgd.ipynb)", "pooled tests", "both tests"]
        signs = grid.map(lambda cell: re.sub("<[^>]*>", "", cell))
        assert list(signs["Digits"]) == ["✓\u00a0✗", "✗", "✓"]  # five on par with SAM, or SAM ahead
        assert list(signs["printed tables"])[1:] == ["–", "?"]
        first = judged.query("id == 'comparable' and scale == 'digits'").set_index("variant")["detail"]
        told = html.unescape(re.findall('title="([^"]*)"', grid["Digits"][0])[0])
        assert told == signed(f"base: holds: {first['base']}\ntuned: does not hold: {first['tuned']}")
        assert re.findall('aria-label="([^"]*)"', grid["Digits"][0]) == ["holds", "does not hold"]
        assert not grid.map(lambda cell: "|" in cell).any(axis=None)  # it would end the cell

    @pytest.mark.slow
    def test_computed_rules_on_few_restarts(self):
        evidence = Computed(restarts=20, two_well_restarts=60, iterations=60, repeats=300)
        found = {name: rule(evidence) for name, rule in rules.load_rules("computed").items()}
        assert all(finding.word in rules.WORDS and finding.detail for finding in found.values())
        assert found["pooled_tests"].word == "does not hold"
        assert found["accept_rule"].word == "does not hold"
        assert found["sharpest_minima"].word == "inconclusive"  # the printed table has no coordinates

    def test_printed_rules(self):
        checks = printed_checks()
        found = {name: rule(checks).word for name, rule in rules.load_rules("printed").items()}
        assert found["sentence_under_six"] == "does not hold"
        assert found["top_three"] == "holds"
        assert found["ahead_by_f1_printed"] == "holds in part"


class TestRules:
    @pytest.mark.parametrize("kind", rules.DECIDERS)
    def test_every_rule_fits_the_function_that_decides_it(self, kind):
        named = {rule.decide.__name__ for rule in rules.load_rules(kind).values()}
        assert named == set(rules.DECIDERS[kind])
        for rule in rules.load_rules(kind).values():
            signature(rule.decide).bind(None, **rule.settings)
            assert rule.detail

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ('decide = "all_bettr"', "unknown decider of rule a 'all_bettr': did you mean 'all_better'"),
            ('decide = "by_check"', "unknown decider of rule a 'by_check'"),  # it decides another kind of rules
        ],
    )
    def test_a_decider_that_is_not_there_is_named(self, tmp_path, monkeypatch, row, message):
        (tmp_path / "rules.toml").write_text(f'[task.a]\nstates = "b"\ndetail = "c"\n{row}\n')
        monkeypatch.setattr(rules, "PAPER", tmp_path)
        with pytest.raises(UsageError, match=message):
            rules.load_rules("task")

    @pytest.mark.parametrize(
        ("yes", "no", "words"),
        [
            ([1, 1], [0, 0], ("holds", "holds", "holds")),
            ([1, 0], [0, 0], ("holds in part", "holds in part", "holds in part")),
            ([1, 0], [0, 1], ("holds in part", "holds in part", "inconclusive")),
            ([0, 0], [0, 1], ("does not hold", "inconclusive", "does not hold")),
            ([0, 0], [0, 0], ("does not hold", "inconclusive", "inconclusive")),
        ],
    )
    def test_parts_become_one_word(self, yes, no, words):
        assert (that_share(yes), any_or_settled(yes, False), signs(yes, no)) == words
        assert any_or_settled(yes, True) == that_share(yes)


class TestRevisedRules:
    def test_every_verdict_has_a_claim_a_change_and_the_words_of_rules(self):
        table = claims.read_claims()
        found = claims.revised_verdicts(table)
        single = found["variant"] == "factors"
        for kind, rows in (("task", found[~single]), ("factors", found[single])):
            known = rules.load_rules(kind).items()
            changed = {name for name, rule in known if any(", with " in words for words in rule.changed)}
            assert set(table[table["id"].isin(rows["id"])][kind]) == changed, kind
            single_runs = rows[rows["variant"] != "annealed"]  # annealed are the two tasks whose runs were there
            assert single_runs.groupby("id").size().nunique() == 1
        assert not found.duplicated(["id", "scale", "variant"]).any()
        assert set(found["verdict"]) | set(found["earlier"]) <= set(rules.WORDS)
        assert found["changed"].str.match(r"\d+ November 2026, with ").all()

    def test_the_page_says_which_verdicts_turned(self):
        found = claims.revised_verdicts(claims.read_claims())
        stated = claims.rules_of_claims(claims.read_claims())
        laid = claim_tables.changed_rules(found, stated).set_index("claim")["verdicts"]
        comparable = laid[found.set_index("id")["claim"]["comparable"].iloc[0]]
        assert "GoEmotions (base): *does not hold*, now *inconclusive*" in comparable
        assert (laid != "none by the earlier rule").sum() == found["id"].nunique()
        assert set(laid.index) == set(stated.loc[stated["changed"] != "", "claim"])

    def test_superseded_verdicts_are_those_of_the_papers_claims(self):
        known = claims.read_claims().query("document == 'inan2024'")
        now = pd.DataFrame({"id": ["table-6", "top-f1", "table-6"], "scale": ["digits", "digits", "cifar100"]})
        now = now.assign(variant="annealed", claim="c", verdict="holds")
        found = claims.superseded_verdicts(now)
        assert found[["id", "earlier"]].to_numpy().tolist() == [
            ["table-6", "does not hold"],
            ["top-f1", "not applicable"],
        ]
        laid = claim_tables.superseded(found)
        assert laid["searched, constant rate"].tolist() == ["does not hold", "not applicable"]
        file = pd.read_csv(claims.PAPER / "superseded-verdicts.csv")
        assert set(file["id"]) <= set(known["id"])
        assert set(file["verdict"]) <= set(rules.WORDS)


@pytest.mark.slow
class TestGoldenLedger:
    """Verdicts on the results in data/, as they were; new results change tests/golden/ledger.csv in the same commit."""

    GOLDEN = pd.read_csv(Path(__file__).parent / "golden" / "ledger.csv", keep_default_na=False)

    def test_printed_tables_tasks_and_networks(self):
        table, pages = claims.read_claims().assign(computed=""), set(page_names())
        studies, factors = claims.network_studies("laptop"), claims.factor_grids("laptop")
        entries = claims.judge_claims(table, claims.task_results("laptop"), Computed(), pages, studies, factors)
        self.check_equal(entries, self.GOLDEN[self.GOLDEN["scale"] != claims.COMPUTED_SCALE])

    def test_landscapes_and_simulations(self):
        table = claims.read_claims().query("computed != ''").assign(printed="", task="", study="", reason="")
        entries = claims.judge_claims(table, {}, Computed(), set())
        self.check_equal(entries, self.GOLDEN[self.GOLDEN["scale"] == claims.COMPUTED_SCALE])

    def check_equal(self, entries: pd.DataFrame, golden: pd.DataFrame) -> None:
        """Compare claims, scales and verdicts, in order; a scale that the golden file has not is new, and free."""
        scale = ["scale", "variant"]
        known = entries.merge(golden[scale].drop_duplicates())
        columns = ["id", "claim", *scale, "verdict"]
        pd.testing.assert_frame_equal(known[columns].reset_index(drop=True), golden[columns].reset_index(drop=True))


class TestTaskRules:
    def test_every_rule_answers_on_five_and_on_thirteen_restarts(self):
        for restarts in (5, 13):
            evidence = results(restarts=restarts)
            for name, rule in TASK.items():
                finding = rule(evidence)
                assert finding.word in rules.WORDS, name
                assert finding.detail, name

    def test_where_seeds_begin_changes_nothing(self):
        """Annealed runs begin at 100: the paper's first five once were none of them."""
        evidence = results(restarts=13)
        later = Results("digits", evidence.trajectories.assign(seed=evidence.trajectories["seed"] + 100), 0.005)
        for name in ("sets_alike", "tests_alike"):
            assert TASK[name](later) == TASK[name](evidence)

    def test_an_epoch_of_sam_pays_double_however_many_it_has(self):
        """Annealed, SAM has half of the epochs, and pays as much in all."""
        evidence = results()
        half = evidence.trajectories.query("algorithm != 'SAM' or epoch <= 15")
        finding = TASK["half_the_gradients"](Results("digits", half, 0.005))
        assert finding == TASK["half_the_gradients"](evidence)
        assert finding.word == "holds"

    def test_missing_algorithms_are_said_to_be_missing(self):
        evidence = Results("digits", trajectories({"SGD": 0.0, "NiG-SGD": 0.0}), 0.005)
        for name, rule in TASK.items():
            assert rule(evidence).word in rules.WORDS, name
        assert TASK["on_par_with_sam"](evidence) == Finding(
            "not run here", "no results of NiM-SGD, SAM, NiG-BH, NiM-BH"
        )

    def test_equivalent_better_and_both(self):
        assert TASK["on_par_with_sam"](results()).word == "holds"
        assert TASK["on_par_with_sam"](results({"SAM": 0.03})).word == "does not hold"
        assert TASK["on_par_with_sam"](results({"NiG-SGD": -0.03})).word == "holds in part"
        assert TASK["on_par_with_sam"](results({"SAM": 0.005})).word == "inconclusive"

    def test_more_evidence_for_a_claim_never_makes_its_verdict_worse(self):
        """Pairs become equivalent one after another: the word goes up, and never down."""
        order, pairs = ("does not hold", "inconclusive", "holds in part", "holds"), by_tasks.SIX[1:]
        for shift in (0.005, 0.03):  # open, or surely beyond the margin
            before = 0
            for number in range(len(pairs) + 1):
                evidence = results({"SAM": 0.0} | dict.fromkeys([n for n in SIX if n != "SAM"][number:], shift))
                rank = order.index(TASK["on_par_with_sam"](evidence).word)
                assert rank >= before
                before = rank
            assert rank == 3

    def test_a_real_difference_that_may_be_inside_the_margin_contradicts_nothing(self):
        evidence = results({"SAM": 0.005})
        table = evidence.against([(name, "SAM") for name in SIX if name != "SAM"])
        assert (table["verdict"] == "worse").any()
        assert (table["difference_high"] > -0.005).all()
        found = TASK["on_par_with_sam"](evidence)
        assert found.word == "inconclusive"
        assert found.detail.endswith("surely beyond it: none")

    def test_a_real_difference_inside_the_margin_can_be_told_apart(self):
        assert TASK["indistinguishable"](results()).word == "holds"
        finding = TASK["indistinguishable"](results({"SAM": 0.003}))
        assert finding.word == "does not hold"
        assert finding.detail.startswith("told apart: SGD – SAM")
        assert "equivalent: SGD – SAM" in finding.detail

    def test_nothing_is_on_par_with_an_algorithm_that_hardly_trains(self):
        evidence = results({"SAM": -0.8})
        behind = results({"SAM": -0.8, "NiM-BH": 0.03}, task="tweeteval")
        of_sam = (TASK["on_par_with_sam"], TASK["indistinguishable"], TASK["sam_at_equal_gradients"])
        found = [rule(evidence) for rule in (*of_sam, TASK["top_three_by_accuracy"])] + [TASK["ahead_by_f1"](behind)]
        for finding in found:
            assert finding.word == "inconclusive"
            said = r"still learning when the epochs ended: SAM \(0 of 13 restarts had left the plateau; "
            assert re.match(said, finding.detail)

    def test_nothing_is_on_par_with_an_algorithm_that_still_climbs(self):
        """Above half of SGD's points at the end, which the former rule took for trained."""
        frame = trajectories(dict.fromkeys(SIX, 0.0))
        climb = 0.3 * (frame["epoch"] / frame["epoch"].max() - 1).where(frame["algorithm"] == "SAM", 0.0)
        for name in ("test_metric", "validation_metric"):
            frame[name] += climb
        finding = TASK["on_par_with_sam"](Results("digits", frame, 0.005))
        assert finding.word == "inconclusive"
        assert re.search(
            r"SAM \(13 of 13 restarts had left the plateau; in the last quarter it gained \+7\.", finding.detail
        )

    def test_one_run_of_what_hardly_trains_misleads_about_nothing(self):
        finding = TASK["one_run_misleads"](results({"SAM": -0.8, "SGD": 0.03}))
        assert finding.detail.startswith("of 10 pairs")
        poor = results(dict.fromkeys(SIX[1:], -0.8))
        assert TASK["one_run_misleads"](poor) == Finding(
            "inconclusive", "all others were still learning when the epochs ended"
        )

    def test_sets_alike_where_score_follows_loss_and_where_it_does_not(self):
        assert TASK["sets_alike"](results()).word == "does not hold"
        frame = trajectories(dict.fromkeys(SIX, 0.0))
        tied = frame.assign(test_metric=0.9 - frame["train_loss"])
        assert TASK["sets_alike"](Results("digits", tied, 0.005)).word == "holds"

    def test_gradients(self):
        finding = TASK["half_the_gradients"](results())
        assert finding.word == "holds"
        assert "2.00 × SGD's" in finding.detail
        frame = trajectories(dict.fromkeys(SIX, 0.0))
        dear = frame.assign(
            gradient_evaluations=frame["gradient_evaluations"].where(
                frame["algorithm"] != "NiM-SGD", 2 * frame["gradient_evaluations"]
            )
        )
        assert TASK["half_the_gradients"](Results("digits", dear, 0.005)).word == "holds in part"

    def test_equal_gradients(self):
        assert TASK["sam_at_equal_gradients"](results()).word == "holds in part"  # half the steps, so a higher loss
        frame = trajectories(dict.fromkeys(SIX, 0.0))
        slow = frame.assign(train_loss=frame["train_loss"] * np.where(frame["algorithm"] == "SAM", 3, 1))
        assert TASK["sam_at_equal_gradients"](Results("digits", slow, 0.005)).word == "holds"  # higher to the end
        fast = frame.assign(train_loss=frame["train_loss"].where(frame["algorithm"] != "SAM", 1e-9))
        assert TASK["sam_at_equal_gradients"](Results("digits", fast, 0.005)).word == "does not hold"

    def test_top_three(self):
        ahead = {"SGD": 0.02, "NiM-SGD": 0.02, "SAM": 0.02}
        assert TASK["top_three_by_accuracy"](results(ahead)).word == "holds"
        behind = {"NiG-SGD": 0.02, "NiG-BH": 0.02, "NiM-BH": 0.02}
        assert TASK["top_three_by_accuracy"](results(behind)).word == "does not hold"
        assert TASK["top_three_by_accuracy"](results({"SGD": 0.02})).word == "holds in part"
        assert TASK["top_three_by_accuracy"](results()).word == "inconclusive"
        assert TASK["top_three_by_accuracy"](results(task="tweeteval")).word == "not applicable"

    def test_ahead_by_f1(self):
        assert TASK["ahead_by_f1"](results()).word == "not applicable"
        text = {"task": "tweeteval"}
        assert TASK["ahead_by_f1"](results({"SAM": -0.03, "NiM-BH": 0.03}, **text)).word == "holds"
        assert TASK["ahead_by_f1"](results({"SAM": -0.03}, **text)).word == "holds in part"
        assert TASK["ahead_by_f1"](results(**text)).word == "does not hold"
        reversed_ = results({"SAM": 0.03, "NiM-BH": -0.03}, **text)
        assert TASK["ahead_by_f1"](reversed_).word == "does not hold"

    def test_one_restart_each_is_judged_by_no_rule(self, monkeypatch):
        covered = pd.DataFrame({"task": ["digits", "cifar10", "tweeteval"], "variant": "base"})
        frame = trajectories(dict.fromkeys(SIX, 0.0), restarts=2)
        there = {("digits", "base"): frame[frame["seed"] == 0], ("tweeteval", "base"): frame}
        monkeypatch.setattr(tables, "gather", lambda profile: (covered, there))
        found = claims.task_results("laptop")
        assert list(found) == [("digits", "base"), ("cifar10", "base"), ("tweeteval", "base")]
        assert found["digits", "base"] is found["cifar10", "base"] is None
        assert found["tweeteval", "base"].task == "tweeteval"

    def test_equal_gradients_are_of_cheaper_runs_and_equal_epochs_of_others(self):
        """Annealed SAM with half of the epochs is behind; with all of them it is not: in part."""
        frame = trajectories({"SGD": 0.0, "SAM": 0.0, "NiM-BH": 0.0}, restarts=8)
        own = frame[frame["algorithm"] == "SAM"]
        behind = own.assign(train_loss=2 * own["train_loss"], gradient_evaluations=own["gradient_evaluations"] // 2)
        whole = Results("digits", frame, 0.005)
        assert TASK["sam_at_equal_gradients"](replace(whole, cheaper=behind)).word == "holds in part"
        ahead = behind.assign(train_loss=1e-3 * own["train_loss"])
        assert TASK["sam_at_equal_gradients"](replace(whole, cheaper=ahead)).word == "does not hold"

    @pytest.mark.slow
    def test_annealed_sam_is_judged_by_runs_with_all_epochs(self):
        """The paper compares at equal epochs: SAM has 30 on CIFAR-10, and 15 in the runs of equal gradients."""
        found = claims.task_results("laptop")["cifar10", "annealed"]
        last = found.trajectories.groupby("algorithm")["epoch"].max()
        assert last["SAM"] == last["SGD"] == 30
        assert set(found.cheaper["algorithm"]) == {"SAM"}
        assert found.cheaper["epoch"].max() == 15
        (file, *_) = sorted((RESULTS / "optimizers/laptop/cifar10/SAM").glob("equal-epochs-100-*.parquet"))
        rows = pd.read_parquet(file, columns=["step", "train_loss"])
        ours = found.trajectories.query("algorithm == 'SAM' and seed == 100")
        assert ours["train_loss"].iloc[-1] == rows.loc[rows["step"].idxmax(), "train_loss"]

    @pytest.mark.slow
    def test_by_the_last_model_verdicts_are_those_of_its_scores(self):
        """On CIFAR-10 at default settings none of three is told from another: t tests, Holm by hand."""
        found = claims.by_last_model("laptop").set_index(["id", "scale", "variant"])
        assert found.loc["table-6", "cifar10", "base"]["by_last"] == "inconclusive"
        specs = tables.wanted("laptop", "cifar10", algorithms=("SGD", "SAM", "NiM-BH"))
        wide = load_final_measures(specs).pivot(index="seed", columns="algorithm", values="whole_test.metric")
        pairs = [("SGD", "SAM"), ("SGD", "NiM-BH"), ("SAM", "NiM-BH")]
        p = [scipy.stats.ttest_rel(wide[a], wide[b]).pvalue for a, b in pairs]
        assert 3 * min(p) > 0.05

    def test_monotonic(self):
        assert TASK["monotonic_is_worse"](results()).word == "does not hold"
        assert (
            TASK["monotonic_is_worse"](results({"NiG-MBH": -0.03})).word == "inconclusive"
        )  # worse, at no higher loss

        def stuck(names: tuple[str, ...], **shifts: float) -> Results:
            found = results({name.replace("_", "-"): shift for name, shift in shifts.items()})
            loss = found.trajectories["train_loss"] * np.where(found.trajectories["algorithm"].isin(names), 2, 1)
            return Results("digits", found.trajectories.assign(train_loss=loss), 0.005)

        both = ("NiG-MBH", "NiM-MBH")
        assert TASK["monotonic_is_worse"](stuck(both, NiG_MBH=-0.03)).word == "holds"
        finding = TASK["monotonic_is_worse"](stuck(both))
        assert finding.word == TASK["monotonic_is_worse"](stuck(both[:1], NiG_MBH=-0.03)).word == "holds in part"
        assert "NiG-MBH 2.0" in finding.detail

    def test_one_run(self):
        """Over all pairs, whether they differ significantly or not."""
        nothing = TASK["one_run_misleads"](results(restarts=60))
        assert nothing.word == "holds"  # equal populations: one run each is a coin
        assert nothing.detail.startswith(
            "of 15 pairs one run each ranks 15 rightly with a probability surely below 0.71"
        )
        steps = {name: 0.05 * place for place, name in enumerate(SIX)}
        assert TASK["one_run_misleads"](results(steps)).word == "does not hold"
        one_apart = TASK["one_run_misleads"](results({"SAM": -0.05}, restarts=60))
        assert one_apart.word == "holds in part"
        assert "and 5 surely above" in one_apart.detail
        few = TASK["one_run_misleads"](results(restarts=5))
        assert few.word == "inconclusive"  # wide intervals
        own = results().values["SGD"].to_numpy()
        apart = np.abs(own[:, None] - own)[np.triu_indices(len(own), 1)] > 0.005
        told = TASK["one_run_misleads"](results()).detail
        assert told.endswith(f"more than 0.5 points in {100 * apart.mean():.0f} % of their pairs")

    def test_choosing_by_loss(self):
        """Where scores follow the loss it is free and better than chance; where not, free; where they fall, neither."""
        both = TASK["loss_costs_nothing"], TASK["lower_loss_is_better"]
        frame = trajectories(dict.fromkeys(SIX, 0.0))

        def words(score: pd.Series) -> list[str]:
            evidence = Results("digits", frame.assign(test_metric=score, validation_metric=score), 0.005)
            return [rule(evidence).word for rule in both]

        falling = np.exp(-frame["step"] / 5)
        noisy = falling + 0.1 * np.random.default_rng(0).random(len(frame))  # the last are not those of lowest loss
        frame = frame.assign(train_loss=noisy)
        assert words(0.9 - frame["train_loss"]) == ["holds", "holds"]
        assert [rule(results()).word for rule in both] == ["holds", "does not hold"]
        frame = frame.assign(train_loss=falling)
        assert words(0.9 - falling) == ["holds", "does not hold"]  # recency alone
        assert words(0.9 - frame["step"] / 1000) == ["does not hold", "does not hold"]
        assert words(0.9 - frame["step"] / 1e5) == ["holds", "does not hold"]  # worse, but inside the margin
        mixed = frame["algorithm"].isin(["SGD", "SAM"])
        frame = frame.assign(train_loss=noisy.where(mixed, falling))
        assert words(0.9 - frame["train_loss"].where(mixed, frame["step"] / 1000)) == ["holds in part"] * 2

    def test_what_lower_loss_is_worth_is_judged_by_the_papers_algorithms(self):
        frame = trajectories(dict.fromkeys((*SIX, "AdamW"), 0.0))
        own = frame["algorithm"] == "AdamW"
        moved = frame.assign(test_metric=frame["test_metric"].mask(own, 0.9 - frame["train_loss"]))
        found = TASK["lower_loss_is_better"](Results("digits", moved, 0.005))
        assert found.detail.startswith("better for: none; worse for: none; gain ")
        assert "within ±0.5 points: equivalent: SGD, " in found.detail
        assert "AdamW" not in found.detail
        assert found.word == "does not hold"

    def test_five_restarts_can_show_that_loss_beats_recency(self):
        """All six gains of one sign at five restarts: sign flips could reject nothing, the paired t test does."""
        frame = trajectories(dict.fromkeys(SIX, 0.0), restarts=5)
        noisy = np.random.default_rng(0).random(len(frame))
        frame = frame.assign(train_loss=np.exp(-frame["step"] / 5) + 0.1 * noisy)
        tied = frame.assign(test_metric=0.9 - frame["train_loss"])
        assert TASK["lower_loss_is_better"](Results("digits", tied, 0.005)).word == "holds"

    def test_a_loss_that_is_not_finite_stops_no_rule(self):
        frame = trajectories(dict.fromkeys(SIX, 0.0))
        first = (frame["algorithm"] == "SAM") & (frame["seed"] == 0)
        for value in (np.inf, 0.0):
            broken = frame.assign(train_loss=frame["train_loss"].mask(first, value))
            assert TASK["sam_at_equal_gradients"](Results("digits", broken, 0.005)).word

    def test_the_t_test_agrees_on_the_papers_finding_or_on_another(self):
        both, tied = results(), self.tied()
        assert TASK["tests_alike"](both).word == "holds"
        assert "both reject for 6 of 6" in TASK["tests_alike"](both).detail
        assert TASK["tests_alike"](tied).word == "holds"
        assert TASK["tests_alike"](tied).detail.endswith("neither for 6")

    def test_a_p_of_exactly_the_level_rejects_on_both_sides(self):
        evidence = self.tied()
        for mann_whitney, t_test, word in ((0.05, 0.05, "holds"), (0.05, 0.06, "does not hold")):
            few = evidence.tests[0].assign(mann_whitney=mann_whitney, t_test=t_test)
            evidence.__dict__["tests"] = (few, few)
            assert TASK["tests_alike"](evidence).word == word

    def tied(self, gap: float = 0.0) -> Results:
        """Scores that follow the loss but for one checkpoint, which falls behind by `gap`."""
        frame = trajectories(dict.fromkeys(SIX, 0.0))
        score = 0.9 - frame["train_loss"] - gap * (frame["step"] == frame["step"].max())
        return Results("digits", frame.assign(test_metric=score, validation_metric=score), 0.005)

    def test_a_test_that_does_not_reject_is_no_agreement(self):
        """SetA is told from SetB by nothing where scores follow the loss; that alone would not be enough to hold."""
        assert TASK["sets_alike"](self.tied()).word == "holds"
        wide = self.tied(gap=0.2)
        assert (wide.tests[0]["mann_whitney"] > 0.05).all()
        found = TASK["sets_alike"](wide)
        assert found.word == "inconclusive"
        assert "rejects for 0 of 6 algorithms" in found.detail
        assert "inside ±0.5 points for 0" in found.detail
        assert TASK["sets_alike"](results()).word == "does not hold"

    def test_pooling(self):
        finding = TASK["pooled_tests_here"](results())
        assert finding.word == "does not hold"
        assert "50 models are worth" in finding.detail

    def test_pooling_is_open_where_the_correlation_may_be_none(self):
        """Five restarts whose checkpoints correlate little: the interval of the ICC goes from none to much."""
        frame = trajectories(dict.fromkeys(SIX, 0.0), restarts=5)
        noise = 0.01 * np.random.default_rng(0).standard_normal(len(frame))
        found = TASK["pooled_tests_here"](
            Results("digits", frame.assign(test_metric=frame["test_metric"] + noise), 0.005)
        )
        assert found.word == "inconclusive"
        assert "[0.00, " in found.detail


class TestFlatnessRules:
    """The rules on flatness, on tables that are made here: `Results.flatness` gives them."""

    def evidence(self, error_by_sharpness: float, seeds: int = 12) -> Results:
        draws = np.random.default_rng(0)
        rows = []
        for name in ("SGD", "AdamW", "SAM", "NiG-SGD", "NiM-SGD"):
            for seed in range(seeds):
                level = draws.uniform(1, 2)
                sharp = {measure: level * draws.uniform(0.99, 1.01) for measure in by_tasks.SHARPNESS}
                error = error_by_sharpness * level + draws.uniform(0, 1) * (1 - abs(error_by_sharpness))
                rows.append({"algorithm": name, "seed": seed, "error": error, "adjusted_error": error} | sharp)
        found = made.__wrapped__((), "digits", restarts=5)
        vars(found)["flatness"] = pd.DataFrame(rows)
        return found

    @pytest.mark.parametrize(("slope", "word"), [(1.0, "holds"), (-1.0, "does not hold"), (0.0, "does not hold")])
    def test_sharper_is_worse(self, slope, word):
        evidence = self.evidence(slope, seeds=60)
        assert by_tasks.sharper_is_worse(evidence, "error", 0.3)[0] == word

    def test_few_restarts_settle_nothing(self):
        assert by_tasks.sharper_is_worse(self.evidence(0.0, seeds=6), "error", 0.3)[0] == "inconclusive"

    def test_files_without_the_measures_are_said_to_lack_them(self):
        assert TASK["sharper_is_less_robust"](results()).word == "not run here"
        assert by_tasks.flatter(results(), "AdamW", "SGD").word == "not run here"

    @pytest.mark.parametrize(
        ("factors", "word"),
        [
            ((0.5, 0.5), "holds"),
            ((0.5, 1.0), "holds in part"),
            ((2.0, 2.0), "does not hold"),
            ((2.0, 0.5), "inconclusive"),
        ],
    )
    def test_flatter(self, factors, word):
        """The first measure is that factor of SGD's, all others the other one."""
        evidence = self.evidence(0.0)
        table = evidence.flatness
        sgd = table[table["algorithm"] == "SGD"].set_index("seed")
        for place, name in enumerate(by_tasks.SHARPNESS):
            noise = 1 + 1e-3 * np.arange(-6, 6)
            table.loc[table["algorithm"] == "AdamW", name] = sgd[name].to_numpy() * factors[place > 0] * noise
        assert by_tasks.flatter(evidence, "AdamW", "SGD")[0] == word
