"""Which tasks have results: told from the store, never computed."""

import pandas as pd
import pytest
from stand_ins import stand_in

from popview.book import page, results
from popview.common.errors import UsageError
from popview.populations import confirmation, embedded, outcomes, tables
from popview.populations.put_to_use import arms_table, read_arms
from popview.runs import expansion, profiles, store, workers
from popview.tasks.catalogue import SHOWN

PROCESSOR = "Difference Engine"


def fill(root, wanted) -> None:
    """Write a trajectory for each spec."""
    for spec in wanted:
        store.save(spec, stand_in(spec, {"train_loss": 1.0}, processor=PROCESSOR), root)


class TestCoverage:
    def state(self, root, **options) -> str:
        found = tables.gather("smoke", "digits", "base", root=root, **options)[0]
        (state,) = found["state"]
        return state

    def test_counts_files(self, tmp_path):
        wanted = tables.wanted("smoke", "digits")
        assert self.state(tmp_path) == "not run here yet"
        fill(tmp_path, wanted[:2])
        assert self.state(tmp_path) == "in part"
        assert tables.gather("smoke", "digits", "base", root=tmp_path)[1] == {}
        fill(tmp_path, wanted[2:])
        assert self.state(tmp_path) == "complete"
        found, results = tables.gather("smoke", "digits", "base", root=tmp_path)
        assert found[["restarts", "files", "present"]].iloc[0].tolist() == [4, len(wanted), len(wanted)]
        facts = page.facts("smoke", results)
        assert (facts["restarts"], facts["trained_on"]) == ("4 (digits, base)", PROCESSOR)
        seeds = pd.DataFrame({"seed": [0, 0, 1, 3, 5], "processor": [PROCESSOR] * 4 + ["Z3"]})
        more = results | {("cifar10", "base"): seeds, ("cifar10", "tuned"): seeds[seeds["seed"] != 1]}
        assert page.facts("smoke", more)["trained_on"] == (
            f"{PROCESSOR}, but Z3 (cifar10, base, seeds 5; cifar10, tuned, seeds 5)"
        )
        turned = seeds.replace({PROCESSOR: "Z3", "Z3": PROCESSOR})
        told = page.facts("smoke", {("cifar10", "base"): turned, ("digits", "base"): turned[:3]})["trained_on"]
        assert told == f"Z3, but {PROCESSOR} (cifar10, base, seeds 5)"
        assert page._spans(pd.Series([7, 0, 2, 1, 2])) == "0–2, 7"
        assert (page.facts("smoke", {})["restarts"], page.facts("smoke", {})["trained_on"]) == ("none", "none")
        ((key, table),) = results.items()
        assert key == ("digits", "base")
        assert sorted(table["seed"].unique()) == [0, 1, 2, 3]

    def test_the_store_is_asked_once_for_each_case(self, tmp_path, monkeypatch):
        fill(tmp_path, tables.wanted("smoke", "digits"))
        asked, missing = [], store.missing
        monkeypatch.setattr(store, "missing", lambda specs, root: asked.append(specs) or missing(specs, root))
        assert list(tables.gather("smoke", root=tmp_path)[1]) == [("digits", "base")]
        assert len(asked) == len(tables.cases("smoke", "all", "all")) == 2 * len(SHOWN)
        assert tables.cases("smoke", "digits", "all") == [("digits", "base"), ("digits", "tuned")]
        assert tables.cases("smoke", "all", "tuned") == [(task, "tuned") for task in SHOWN]

    def test_fewer_restarts_are_kept_and_more_are_missing(self, tmp_path):
        fill(tmp_path, tables.wanted("smoke", "digits"))
        assert self.state(tmp_path, restarts=3) == "complete"
        assert tables.gather("smoke", "digits", "base", 3, tmp_path)[1]["digits", "base"]["seed"].max() == 2
        assert self.state(tmp_path, restarts=9) == "in part"

    def test_every_task_of_the_paper_has_its_line(self, tmp_path):
        found = tables.gather("smoke", root=tmp_path)[0]
        assert len(found) == len(SHOWN) * 2
        assert list(dict.fromkeys(found["task"])) == ["digits", "cifar10", "cifar100", "goemotions", "tweeteval"]
        assert (found["state"] == "not run here yet").all()

    def test_tuned_settings_that_are_the_base_ones_are_named(self, monkeypatch):
        monkeypatch.setattr(expansion, "unchanged", lambda _, task: {"digits": ["SAM", "SGD"], "cifar10": []}[task])
        both = [("digits", "base"), ("digits", "tuned"), ("cifar10", "tuned")]
        assert results.base_setting_chosen(both, "smoke") == "SAM, SGD on digits"
        assert results.base_setting_chosen(both[2:], "smoke") == "nowhere so far"

    def test_algorithms_that_are_whole_are_shown_once_the_papers_are(self, tmp_path):
        wanted = tables.wanted("smoke", "digits")
        others = ("AdamW", "SWA")
        fill(tmp_path, [spec for spec in wanted if spec.algorithm not in (*others, "SAM")])
        assert tables.gather("smoke", "digits", "base", root=tmp_path)[1] == {}
        fill(tmp_path, [spec for spec in wanted if spec.algorithm == "SAM"])
        found, there = tables.gather("smoke", "digits", "base", root=tmp_path)
        ((_, table),) = there.items()
        assert set(table["algorithm"]) == {spec.algorithm for spec in wanted} - set(others)
        assert found[["algorithms", "whole", "state"]].iloc[0].tolist() == [11, 9, "in part"]


class TestWanted:
    def test_base_is_what_expand_gives(self):
        assert tables.wanted("laptop", "digits", restarts=60) == expansion.expand("laptop", "digits", restarts=60)

    def test_a_task_that_the_profile_lacks_has_none(self):
        absent = [task for task in SHOWN if task not in profiles.tasks("smoke")]
        assert [tables.wanted("smoke", task) for task in absent] == [[]] * len(absent)

    @pytest.mark.parametrize(
        ("chosen", "algorithms"),
        [
            ({"SGD": True, "SAM": True}, {"SGD", "SAM"}),
            ({"SGD": True, "SAM": False}, set()),  # the search has not ended
            ({"NiM-BH": True, "SAM": True}, set()),  # nothing to compare with
            ({"SGD": True}, set()),
            ({"SGD": True, "SAM": True, "NiM-BH": None}, set()),  # NiM-BH's was of another profile
            ({}, set()),
        ],
    )
    def test_tuned_settings_count_once_the_search_has_ended(self, chosen, algorithms, monkeypatch):
        found = {name: {"trials": [{"lr": 0.1}]} | ({"chosen": 0} if end else {}) for name, end in chosen.items()}
        valid = {name: tried for name, tried in found.items() if chosen[name] is not None}
        monkeypatch.setattr(tables, "searches", lambda profile: {"digits": found})
        for module in (expansion, tables):
            monkeypatch.setattr(module, "recorded_trials", lambda profile, task: valid)
        wanted = tables.wanted("smoke", "digits", "tuned")
        assert {spec.algorithm for spec in wanted} == algorithms
        assert all(spec.variant == "tuned" and spec.hyperparameters["lr"] == 0.1 for spec in wanted)

    @pytest.mark.parametrize(("task", "variant"), [("digits", "base"), ("goemotions", "tuned"), ("digits", "annealed")])
    def test_mistakes_are_not_taken_for_missing_results(self, task, variant):
        for arguments, message in (
            (("laptop", "digts", variant), "unknown task 'digts': did you mean 'digits'"),
            (("laptop", task, variant + "x"), f"did you mean '{variant}'"),
            (("latop", task, variant), "did you mean 'laptop'"),
        ):
            with pytest.raises(UsageError, match=message):
                tables.wanted(*arguments)
        with pytest.raises(UsageError, match=rf"unknown algorithm .*of {task} in profile laptop 'SMA'"):
            tables.wanted("laptop", task, variant, algorithms=("SMA",))


class TestAnnealedRuns:
    """Where they are compared, in place of runs tuned at a constant rate: their seeds begin at 200."""

    def test_what_is_compared_follows_from_the_profile(self, monkeypatch):
        every = {"base": {}, "search": {}, "annealed": {}}
        for lacking, variant in ((set(), "tuned"), ({"search"}, "annealed"), ({"search", "annealed"}, "tuned")):
            table = {name: every[name] for name in every.keys() - lacking}
            monkeypatch.setattr(tables, "settings", lambda profile, task, table=table: table)
            assert tables.compared("laptop", "digits") == ("base", variant)
        assert tables.compared("smoke", "goemotions") == ("base", "tuned")

    def test_what_is_not_compared_is_refused(self):
        assert tables.cases("laptop", "digits", "all") == [("digits", "base"), ("digits", "annealed")]
        assert ("digits", "tuned") not in tables.cases("laptop", "all", "tuned")
        for refused in (tables.wanted, tables.cases):
            with pytest.raises(UsageError, match=r"unknown variant .*'tuned'.* known: .*base, annealed"):
                refused("laptop", "digits", "tuned")

    def test_the_first_restarts_are_those_of_the_lowest_seeds(self):
        specs = tables.wanted("laptop", "digits", "annealed", algorithms=("SGD", "SAM"))
        assert specs == expansion.expand("laptop", "digits", variant="annealed", algorithms=("SGD", "SAM"))
        for rows in (tables.load_trajectories(specs, 3), tables.records(specs, 3)):
            assert {name: sorted(set(own["seed"])) for name, own in rows.groupby("algorithm")} == {
                "SGD": [200, 201, 202],
                "SAM": [200, 201, 202],
            }
        coverage, loaded = tables.gather("laptop", "digits", "annealed", restarts=3)
        assert coverage[["restarts", "state"]].values.tolist() == [[3, "complete"]]
        last = outcomes.outcomes_by_case(loaded, "laptop")["digits", "annealed"]["last"]
        fresh = confirmation.load_confirmation("laptop", "digits", confirmation.decisions())
        pd.testing.assert_frame_equal(last, fresh.loc[200:202, last.columns], check_names=False)

    def test_a_page_says_where_seeds_begin(self):
        seeds = [pd.DataFrame({"seed": range(first, first + 3), "processor": PROCESSOR}) for first in (0, 200)]
        results = {("digits", "base"): seeds[0], ("digits", "annealed"): seeds[1]}
        assert page.facts("laptop", results)["seeds"] == "from 0 or 200 on, the same for every algorithm"

    def test_no_arm_of_a_population_comes_twice(self):
        table = arms_table(read_arms("laptop", "digits"))
        longer = {f"{times}-as-long" for times in ("twice", "three-times", "five-times", "ten-times")}
        assert set(table["variant"]) == {"base", "annealed", "constant", *longer}
        assert not table.duplicated(["variant", "where", "algorithm", "arm", "restarts"]).any()


def test_nothing_but_digits_is_trained_for_a_page(monkeypatch):
    asked = []
    monkeypatch.setattr(workers, "run", asked.extend)
    monkeypatch.setattr(embedded.store, "missing", list)
    for task in ("cifar10", "tweeteval"):
        embedded.train_embedded(task, "all", "laptop", None)
    assert asked == []
    embedded.train_embedded("all", "base", "laptop", 3)
    assert {spec.task for spec in asked} == {"digits"}
    assert {spec.variant for spec in asked} == {"base"}
