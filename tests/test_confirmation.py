"""The confirmation's decisions, and what follows from them, recomputed with pandas and SciPy only."""

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from stand_ins import stand_in

from popview.common.errors import UsageError
from popview.populations.confirmation import (
    confirm,
    confirm_tasks,
    confirmed_tasks,
    decisions,
    load_confirmation,
    schedule_spreads,
    spreads_by_task,
)
from popview.populations.outcomes import load_final_measures, outcome_values, outcomes_by_case
from popview.populations.tables import gather, load_trajectories, wanted
from popview.runs import store
from popview.runs.annealed import LATER, AnnealedPlan
from popview.runs.expansion import expand
from popview.runs.profiles import settings
from popview.runs.specs import FIRST_SEED
from popview.statistics import look_levels

FILE = Path(__file__).parent.parent / "data/paper/confirmation.toml"
DECIDED = tomllib.loads(FILE.read_text())


def drawn(gaps: dict[str, float], seeds: int, spread: float = 0.004) -> pd.DataFrame:
    """Return scores of algorithms that share what a seed does, and differ from SGD by a gap and their own noise."""
    generator = np.random.default_rng(0)
    shared = 0.7 + 0.01 * generator.standard_normal(seeds)
    table = {"SGD": shared} | {n: shared + gap + spread * generator.standard_normal(seeds) for n, gap in gaps.items()}
    return pd.DataFrame(table, index=pd.RangeIndex(100, 100 + seeds, name="seed"))


def searched(task: str) -> bool:
    """Say whether SGD's search has chosen."""
    return "chosen" in AnnealedPlan("laptop", task).choices.get("SGD", {})


class TestDecisions:
    @pytest.mark.parametrize("name", ["test", "equivalence", "adjustment", "spending"])
    def test_other_tests_than_those_applied_are_refused(self, name: str, tmp_path: Path) -> None:
        assert f'{name} = "{DECIDED[name]}"' in FILE.read_text()
        (tmp_path / "decided.toml").write_text(
            FILE.read_text().replace(f'{name} = "{DECIDED[name]}"', f'{name} = "sign"')
        )
        with pytest.raises(UsageError, match=f"unknown {name} of decided.toml 'sign'"):
            decisions(tmp_path / "decided.toml")

    def test_are_those_of_the_profile(self) -> None:
        assert decisions() == DECIDED
        for task, margin in DECIDED["margins"].items():
            assert settings("laptop", task)["margin"] == margin
            planned = settings("laptop", task)["annealed"]
            assert DECIDED["first_seed"][task] == planned.get("first_seed", FIRST_SEED)
            assert {spec.seed for spec in expand("laptop", task, variant="annealed")} <= {
                *range(DECIDED["first_seed"][task], DECIDED["first_seed"][task] + planned["restarts"])
            }
            for family in DECIDED["families"]:
                assert set(family["algorithms"]) | {"SGD"} <= set(planned["algorithms"])
            assert DECIDED["families"][0]["looks"][task] == [planned["restarts"]]
            first, *more = DECIDED["families"][1]["looks"][task]
            assert first == planned["restarts"]
            later = expand("laptop", task, variant=LATER) if more and searched(task) else []
            assert bool(later) == (bool(more) and searched(task))
            if later:
                begin = DECIDED["first_seed"][task]
                assert {spec.seed for spec in later} == {*range(begin + first, begin + more[-1])}
                assert {spec.algorithm for spec in later} <= {"SGD", *DECIDED["families"][1]["algorithms"]}
        assert sum(family["level"] for family in DECIDED["families"]) == pytest.approx(0.05)

    def test_a_damaged_file_is_one_line(self, tmp_path: Path) -> None:
        file = tmp_path / "confirmation.toml"
        file.write_bytes(b"outcome = \xff")
        with pytest.raises(UsageError, match=r"confirmation\.toml, line 1: not UTF-8"):
            decisions(file)


class TestConfirm:
    def test_the_family_of_seven_is_holms_by_hand(self) -> None:
        gaps = {"NiG-SGD": 0.0, "NiM-SGD": 0.02, "SAM": -0.03, "NiG-BH": 0.0, "NiM-BH": 0.001, "AdamW": 0.012, "SWA": 0}
        values = drawn(gaps, 10)
        table = confirm(values, DECIDED, "cifar10")
        seven = table[table["family"] == "all"].set_index("a")
        p, alike = {}, {}
        for name in gaps:
            pairs = values[name] - values["SGD"]
            p[name] = scipy.stats.ttest_1samp(pairs, 0).pvalue
            alike[name] = max(
                scipy.stats.ttest_1samp(pairs, -0.01, alternative="greater").pvalue,
                scipy.stats.ttest_1samp(pairs, 0.01, alternative="less").pvalue,
            )

        def holm(found: dict[str, float]) -> set[str]:
            rejected: set[str] = set()
            for place, name in enumerate(sorted(found, key=lambda name: found[name])):
                if found[name] > 0.025 / (7 - place):
                    break
                rejected.add(name)
            return rejected

        differ, equal = holm(p), holm(alike)
        for name in gaps:
            mean = (values[name] - values["SGD"]).mean()
            word = "better" if mean > 0 else "worse"
            expected = "equivalent" if name in equal else word if name in differ else "inconclusive"
            assert seven.loc[name, "verdict"] == expected
            assert seven.loc[name, "p"] == pytest.approx(p[name])
            assert seven.loc[name, "equivalence_p"] == pytest.approx(alike[name])
        assert {"better", "worse", "equivalent"} <= set(seven["verdict"])

    def test_what_a_look_has_found_stays(self) -> None:
        values = drawn({"SAM": 0.02, "NiM-BH": 0.02}, 30)
        values.loc[110:, "SAM"] = values.loc[110:, "SGD"] - 0.02  # after the first look it turns
        for seeds in (10, 20, 30):
            table = confirm(values[:seeds], DECIDED, "cifar10").query("family == 'two'").set_index("a")
            assert table.loc["SAM", ["verdict", "restarts", "look"]].tolist() == ["better", seeds, seeds // 10]

    def test_restarts_between_two_looks_do_not_count(self) -> None:
        values = drawn({"SAM": 0.02, "NiM-BH": 0.0}, 19)
        values.loc[110:, "SAM"] = 5.0
        table = confirm(values, DECIDED, "cifar10").query("family == 'two'")
        assert table["restarts"].tolist() == [10, 10]
        assert table["difference"].max() < 0.1
        assert confirm(values[:9], DECIDED, "cifar10").empty

    def test_the_smallest_margin_is_where_equivalence_begins(self) -> None:
        values = drawn({"SAM": 0.003, "NiM-BH": 0.003}, 20)
        table = confirm(values, DECIDED, "cifar10").query("family == 'two'").set_index("a")
        at = table.loc["SAM", "smallest_margin"]
        pairs = values["SAM"] - values["SGD"]
        bound = look_levels([10, 20, 30], 0.0125, two_sided=False)[1]
        assert scipy.stats.ttest_1samp(pairs, at, alternative="less").pvalue == pytest.approx(bound, rel=1e-6)


class TestLoading:
    def test_an_algorithm_counts_from_its_first_look_on(self, tmp_path: Path) -> None:
        """With nine files of ten it is left out; what the files say is what is loaded."""
        specs = expand("laptop", "cifar10", variant="annealed", algorithms=("SGD", "SAM"))
        metric = {}
        for spec in specs:
            if (spec.algorithm, spec.seed) != ("SAM", 104):
                value = metric[spec.algorithm, spec.seed] = 0.7 + spec.seed / 1000
                store.save(spec, stand_in(spec, whole_test={"metric": [value]}), tmp_path)
        found = load_confirmation("laptop", "cifar10", DECIDED, tmp_path)
        assert list(found) == ["SGD"]
        assert found["SGD"].to_dict() == {seed: value for (name, seed), value in metric.items() if name == "SGD"}
        assert load_confirmation("laptop", "cifar10", DECIDED, tmp_path / "empty").empty
        assert confirm(found, DECIDED, "cifar10").empty

    def test_later_looks_are_read_as_their_files_arrive(self, tmp_path: Path) -> None:
        """Up to the second look of both members; SAM's files go on to seed 125, which is before the third."""
        wanted = {"SGD": 120, "SAM": 125, "NiM-BH": 120}
        for variant in ("annealed", LATER):
            for spec in expand("laptop", "cifar10", variant=variant, algorithms=(*wanted,)):
                if spec.seed < wanted[spec.algorithm]:
                    value = 0.7 + spec.seed % 7 / 1000 + 0.02 * (spec.algorithm == "SAM") + spec.seed % 3 / 1e4
                    store.save(spec, stand_in(spec, whole_test={"metric": [value]}), tmp_path)
        found = load_confirmation("laptop", "cifar10", DECIDED, tmp_path)
        assert found.count().to_dict() == {"SGD": 20, "SAM": 25, "NiM-BH": 20}
        table = confirm(found, DECIDED, "cifar10").query("family == 'two'").set_index("a")
        assert table["look"].tolist() == [2, 2]
        assert table["restarts"].tolist() == [20, 20]
        assert table["verdict"].to_dict() == {"SAM": "better", "NiM-BH": "equivalent"}

    def test_over_tasks_each_stands_as_it_does_alone(self, tmp_path: Path) -> None:
        """A task without SGD is left out; of the others the rows are those of the task alone."""
        for spec in expand("laptop", "cifar10", variant="annealed", algorithms=("SGD", "SAM")):
            value = 0.7 + spec.seed % 7 / 1000 + 0.002 * (spec.algorithm == "SAM") * (spec.seed % 3)
            store.save(spec, stand_in(spec, whole_test={"metric": [value]}), tmp_path)
        fresh = confirmed_tasks("laptop", DECIDED, root=tmp_path)
        assert list(fresh) == ["cifar10"]
        assert confirmed_tasks("laptop", DECIDED, "digits", tmp_path) == {}
        alone = confirm(fresh["cifar10"], DECIDED, "cifar10")
        table = confirm_tasks({"cifar10": fresh["cifar10"], "goemotions": fresh["cifar10"]}, DECIDED)
        assert set(table["task"]) == {"cifar10", "goemotions"}
        pd.testing.assert_frame_equal(table[table["task"] == "cifar10"].drop(columns="task"), alone)
        wider = table[table["task"] == "goemotions"]
        assert (wider["margin"] == DECIDED["margins"]["goemotions"]).all()
        spread = spreads_by_task(fresh, {"cifar10": fresh["cifar10"], "digits": fresh["cifar10"]})
        assert spread["task"].tolist() == ["cifar10", "cifar10"]
        assert (spread["constant_sd"] == spread["annealed_sd"]).all()

    def test_spreads_are_those_of_the_columns(self) -> None:
        annealed, constant = drawn({"SAM": 0.01}, 10), drawn({"SAM": 0.0, "SGLD": 0.0}, 5, spread=0.02)
        found = schedule_spreads(annealed, constant).set_index("algorithm")
        assert list(found.index) == ["SGD", "SAM"]
        assert found.loc["SAM", "constant_sd"] == pytest.approx(np.std(constant["SAM"], ddof=1))
        assert found.loc["SGD", "annealed_mean"] == pytest.approx(annealed["SGD"].mean())
        assert np.isnan(found.loc["SGD", "annealed_detectable"])
        gap = annealed["SAM"] - annealed["SGD"]
        shift = found.loc["SAM", "annealed_detectable"] * np.sqrt(10) / np.std(gap, ddof=1)
        level = scipy.stats.t.isf(0.025, 9)
        power = scipy.stats.nct.sf(level, 9, shift) + scipy.stats.nct.cdf(-level, 9, shift)
        assert power == pytest.approx(0.8, abs=1e-3)


class TestOutcomes:
    def test_the_statisticians_numbers(self) -> None:
        specs = wanted("laptop", "cifar10", "base")
        values = outcome_values(load_trajectories(specs), load_final_measures(specs))
        gaps = {name: (100 * v.sub(v["SGD"], axis=0).mean()).round(2) for name, v in values.items()}
        assert gaps["last"]["SWA"] == 2.79
        assert gaps["last"]["NiG-MBH"] == -0.88
        assert gaps["last, sample"]["SWA"] == 2.87
        assert gaps["SetA"]["SWA"] == 3.13
        assert gaps["averaged"]["SWA"] == -0.94
        assert round(100 * values["last"]["SGD"].std(), 2) == 2.30

    def test_of_all_tasks_are_those_of_each_and_read_no_file_twice(self, monkeypatch) -> None:
        _, results = gather("laptop", "cifar10", "base")
        opened = []
        monkeypatch.setattr(store, "_checked", lambda file, *_: opened.append(file))
        by_case = outcomes_by_case(results, "laptop")
        assert not opened
        specs = wanted("laptop", "cifar10", "base")
        alone = outcome_values(load_trajectories(specs), load_final_measures(specs))
        assert by_case.keys() == {("cifar10", "base")}
        for name, values in alone.items():
            pd.testing.assert_frame_equal(by_case["cifar10", "base"][name], values)
        few = {key: rows[rows["seed"].isin([2, 5])] for key, rows in results.items()}
        assert outcomes_by_case(few, "laptop")["cifar10", "base"]["last"].index.tolist() == [2, 5]

    def test_the_last_ten_are_the_ten_of_the_highest_step(self) -> None:
        specs = wanted("laptop", "goemotions", "base")
        rows = load_trajectories(specs)
        values = outcome_values(rows, load_final_measures(specs))
        mine = rows.query("algorithm == 'SGD' and seed == 3").nlargest(10, "step")["test_metric"].mean()
        assert values["last ten"].loc[3, "SGD"] == pytest.approx(mine)
        gain = 100 * (values["SetA"] - values["last ten"])["SGD"]
        assert round(gain.mean(), 2) == 0.04  # choosing by loss on GoEmotions is choosing the last
