"""Which tasks have results: told from the store, never computed."""

import pandas as pd
import pytest
from stand_ins import stand_in

from popview.book import page, results
from popview.common.errors import UsageError
from popview.populations import embedded, tables
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
        assert len(asked) == len(tables.cases("all", "all")) == 2 * len(SHOWN)
        assert tables.cases("digits", "all") == [("digits", "base"), ("digits", "tuned")]
        assert tables.cases("all", "tuned") == [(task, "tuned") for task in SHOWN]

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
            monkeypatch.setattr(module, "search", lambda profile, task: valid)
        wanted = tables.wanted("smoke", "digits", "tuned")
        assert {spec.algorithm for spec in wanted} == algorithms
        assert all(spec.variant == "tuned" and spec.hyperparameters["lr"] == 0.1 for spec in wanted)

    @pytest.mark.parametrize("variant", ["base", "tuned"])
    def test_mistakes_are_not_taken_for_missing_results(self, variant):
        for arguments, message in (
            (("laptop", "digts", variant), "unknown task 'digts': did you mean 'digits'"),
            (("laptop", "digits", variant + "x"), f"did you mean '{variant}'"),
            (("latop", "digits", variant), "did you mean 'laptop'"),
        ):
            with pytest.raises(UsageError, match=message):
                tables.wanted(*arguments)
        with pytest.raises(UsageError, match="unknown algorithm of digits"):
            tables.wanted("laptop", "digits", variant, algorithms=("SMA",))


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
