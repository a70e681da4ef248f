"""What the annealed search saw, recomputed from the shipped files, by enumeration, and from made-up scores."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stand_ins import stand_in

from popview.common.errors import UsageError
from popview.populations.searched import best_of_budget, search_scores, search_summary, sensitivity
from popview.runs import store
from popview.runs.annealed import AnnealedPlan


@pytest.fixture(scope="module")
def shipped() -> pd.DataFrame:
    return search_scores("laptop", "cifar10")


def made(losses: list[float], algorithm: str = "SGD") -> pd.DataFrame:
    """Return cells of one algorithm whose metrics are a known function of their place."""
    n = len(losses)
    table = pd.DataFrame({"algorithm": algorithm, "rung": "cell", "cell": range(n), "lr": np.arange(n) // 2 / 10})
    table["rho"] = np.arange(n) % 2
    table = table.assign(seed=0, epochs=1, diverged=False, score=losses)
    table["validation_metric"], table["test_metric"] = 0.9 - np.array(losses) / 10, np.arange(n) ** 2 / 100
    return table.assign(finalist=False, chosen=table["cell"] == int(np.argmin(losses)))


class TestScores:
    def test_the_search_chose_what_the_table_says(self, shipped: pd.DataFrame) -> None:
        plan = AnnealedPlan("laptop", "cifar10")
        assert set(shipped["algorithm"]) == {*plan.searched}
        for name, own in shipped.groupby("algorithm"):
            cells = own[own["rung"] == "cell"].sort_values("cell")
            assert len(cells) == len(plan.cells(name)) == 28
            assert cells.nsmallest(3, "score")["cell"].tolist() == plan.choices[name]["finalists"]
            last = own[own["rung"] == "finalist"].groupby("cell")["score"].mean()
            assert last.idxmin() == plan.choices[name]["chosen"]
            assert own[own["chosen"]]["cell"].unique().tolist() == [plan.choices[name]["chosen"]]
            settings = cells.set_index("cell").loc[plan.choices[name]["chosen"]]
            assert settings[list(plan.cells(name)[0])].to_dict() == plan.cells(name)[plan.choices[name]["chosen"]]

    def test_an_algorithm_that_lacks_a_cell_is_left_out(self, tmp_path: Path) -> None:
        plan = AnnealedPlan("laptop", "cifar10")
        for spec in [*plan.expand("cell", ("SGD",)), *plan.expand("cell", ("SAM",))[1:]]:
            told = {"validation": {"loss": [spec.hyperparameters["lr"]], "metric": [0.5]}}
            store.save(spec, stand_in(spec, whole_test={"metric": [0.4]}, **told), tmp_path)
        found = search_scores("laptop", "cifar10", tmp_path)
        assert (found["algorithm"] == "SGD").all()
        assert (found["rung"] == "cell").all()
        assert (found["score"] == found["lr"]).all()
        assert search_scores("laptop", "digits", tmp_path).empty
        assert search_scores("laptop", "tweeteval", tmp_path).empty


class TestSensitivity:
    def test_is_the_best_and_the_chosen_by_hand(self) -> None:
        scores = made([3.0, 1.0, 5.0, 4.0, np.inf, 2.0])  # chosen: cell 1, lr 0.0 and ρ 1
        found = sensitivity(scores, "lr")
        assert found["best"].to_list() == pytest.approx([0.8, 0.5, 0.7])
        assert found["cells"].tolist() == [2, 2, 1]
        assert found["at_chosen"].to_list() == pytest.approx([0.8, 0.5, 0.7])
        assert found["chosen"].tolist() == [True, False, False]
        assert sensitivity(scores, "lr", "score")["best"].tolist() == [1.0, 4.0, 2.0]
        assert sensitivity(scores, "rho")["median"].to_list() == pytest.approx([0.5, 0.7])

    def test_at_the_chosen_value_stands_the_chosen_cell(self, shipped: pd.DataFrame) -> None:
        for along in ("lr", "rho", "weight_decay"):
            found = sensitivity(shipped, along)
            for row in found[found["chosen"]].itertuples():
                own = shipped[(shipped["algorithm"] == row.algorithm) & (shipped["rung"] == row.rung)]
                assert row.at_chosen == pytest.approx(own[own["chosen"]]["validation_metric"].mean())
        assert set(sensitivity(shipped, "rho")["algorithm"]) == {"SAM", "NiM-BH"}

    def test_refuses_what_no_grid_has(self, shipped: pd.DataFrame) -> None:
        with pytest.raises(UsageError, match="epsilon"):
            sensitivity(shipped, "epsilon")
        with pytest.raises(UsageError, match="value of a search"):
            sensitivity(shipped, "lr", "train_loss")
        assert sensitivity(pd.DataFrame(), "lr").empty


class TestSummary:
    def test_the_share_and_the_ends_are_by_hand(self) -> None:
        low, high = made([3.0, 1.0, 5.0, 4.0], "SGD"), made([3.0, 7.0, 5.0, 4.0, np.inf, 9.0], "SAM")
        high["diverged"] = ~np.isfinite(high["score"])
        found = search_summary(pd.concat([low, high])).set_index("algorithm")
        assert found["best"].to_dict() == pytest.approx({"SGD": 0.8, "SAM": 0.6})
        assert found["share"].to_dict() == pytest.approx({"SGD": 1.0, "SAM": 0.75})
        assert found["diverged"].to_dict() == {"SGD": 0, "SAM": 1}
        assert found["chosen"]["SGD"] == {"lr": 0.0, "rho": 1}
        assert found["at_end"].to_dict() == {"SGD": ["lr", "rho"], "SAM": ["lr", "rho"]}
        assert search_summary(pd.DataFrame()).empty

    @pytest.mark.parametrize("task", ["digits", "cifar10", "tweeteval", "goemotions"])
    def test_no_algorithm_that_was_searched_is_never_trained(self, task: str) -> None:
        """Its best run beats chance, and half of the best algorithm's score."""
        found = search_summary(search_scores("laptop", task))
        chance = {"digits": 0.1, "cifar10": 0.1, "tweeteval": 0.25, "goemotions": 0.1}[task]
        assert len(found) > 0
        assert (found["best"] > chance).all()
        assert (found["share"] > 0.5).all()


class TestBestOfBudget:
    def test_is_the_mean_over_all_subsets(self) -> None:
        scores = made([3.0, 1.0, 5.0, 4.0, np.inf, 2.0])
        found = best_of_budget(scores).set_index("trials")
        for k in range(1, 7):
            chosen = [min(some, key=scores["score"].__getitem__) for some in itertools.combinations(range(6), k)]
            for kind in ("validation", "test"):
                values = scores[f"{kind}_metric"].where(np.isfinite(scores["score"]), 0).to_numpy()[chosen]
                assert found.loc[k, f"{kind}_metric"] == pytest.approx(values.mean())
                assert found.loc[k, f"{kind}_sd"] == pytest.approx(values.std(), abs=1e-12)

    def test_ends_at_the_cell_that_the_whole_grid_chooses(self, shipped: pd.DataFrame) -> None:
        found = best_of_budget(shipped)
        last = found[found["trials"] == found["cells"]].set_index("algorithm")
        cells = shipped[shipped["rung"] == "cell"]
        best = cells.loc[cells.groupby("algorithm")["score"].idxmin()].set_index("algorithm")
        for kind in ("validation_metric", "test_metric"):
            pd.testing.assert_series_equal(last[kind], best[kind].reindex(last.index))
        assert (last["test_sd"] == 0).all()
        for _, own in found.groupby("algorithm"):
            assert (own["validation_sd"].diff().dropna() <= 1e-3).all()  # a larger search leaves less to luck
        assert best_of_budget(pd.DataFrame()).empty
