"""Seeds per source of randomness, and what each source gives of the variance between restarts."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from popview.common.errors import UsageError
from popview.common.seeds import SOURCES, seed_of
from popview.populations.variance_sources import source_scores, variance_by_source
from popview.runs.expansion import expand
from popview.tasks.digits import Digits


def drawn(**fixed: int) -> dict[str, list]:
    """Return what the seeds 1 and 2 draw of digits: initial weights, training rows, and the first minibatch's order."""
    task = Digits([1, 2], fixed_seeds=fixed or None)
    images = next(task.minibatches(0))[0]
    rows = task._splits["train"][0]
    order = [[(rows[p] == image).all(1).nonzero()[0].item() for image in images[p]] for p in range(2)]
    return {"initialisation": list(task.parameters[0].detach()), "split": list(rows), "order": order}


class TestFixedSeeds:
    @pytest.mark.parametrize("source", ["initialisation", "split", "order"])
    def test_a_fixed_source_is_the_same_for_both_and_the_others_are_as_they_were(self, source: str) -> None:
        free, held, reference = drawn(), drawn(**{source: 7}), Digits([7])
        for name, (one, other) in held.items():
            same = torch.equal(torch.as_tensor(one), torch.as_tensor(other))
            assert same == (name == source)
            if name != source and (name, source) != ("order", "split"):  # rows that change have another first index
                assert all(
                    torch.equal(torch.as_tensor(a), torch.as_tensor(b))
                    for a, b in zip(held[name], free[name], strict=True)
                )
        if source == "initialisation":
            assert torch.equal(held[source][0], reference.parameters[0][0])

    def test_a_digest_knows_them_only_where_they_are_given(self) -> None:
        (whole, *_), (only, *_) = (
            expand("laptop", "cifar10", variant=name, algorithms=("SGD",)) for name in ("annealed", "only-split")
        )
        assert "fixed_seeds" not in json.loads(whole.canonical)["model"]
        assert json.loads(only.canonical)["model"]["fixed_seeds"] == {"initialisation": 0, "order": 0, "noise": 0}
        assert whole.digest != only.digest
        assert whole.hyperparameters == only.hyperparameters

    def test_refuses_an_unknown_source(self) -> None:
        assert [seed_of(name, 3) for name in SOURCES] == [3] * 4
        with pytest.raises(UsageError, match="source of randomness"):
            Digits([0], fixed_seeds={"splitt": 0})


class TestVarianceBySource:
    def test_recovers_the_components_of_additive_scores(self) -> None:
        generator, sizes = np.random.default_rng(0), {"initialisation": 1.0, "split": 2.0, "order": 0.5}
        scores = {name: pd.Series(size * generator.standard_normal(4_000)) for name, size in sizes.items()}
        scores["all"] = sum(s.sample(frac=1, random_state=1).reset_index(drop=True) for s in scores.values())
        found = variance_by_source(scores).set_index("source")
        for name, size in sizes.items():
            assert found.loc[name, "sd"] == pytest.approx(size, rel=0.05)
            assert found.loc[name, "share_low"] < size**2 / 5.25 < found.loc[name, "share_high"]

    @pytest.mark.slow
    def test_intervals_hold_the_truth_nineteen_times_in_twenty(self) -> None:
        generator, held = np.random.default_rng(1), {"split": 0, "share": 0}
        for _ in range(1_000):
            scores = {"split": generator.normal(0, 1, 10), "order": generator.normal(0, 1, 10)}
            scores["all"] = generator.normal(0, 2, 10)
            found = variance_by_source({name: pd.Series(s) for name, s in scores.items()}).set_index("source")
            held["split"] += found.loc["split", "variance_low"] <= 1 <= found.loc["split", "variance_high"]
            held["share"] += found.loc["split", "share_low"] <= 0.25 <= found.loc["split", "share_high"]
        assert all(0.93 <= number / 1_000 <= 0.98 for number in held.values()), held

    def test_is_scipys_by_hand_on_shipped_digits(self) -> None:
        scores = source_scores("laptop", "digits")
        assert {name: len(values) for name, values in scores.items()} == {
            "initialisation": 50, "split": 50, "order": 50, "all": 100
        }  # fmt: skip
        found = variance_by_source(scores).set_index("source")
        for name in ("initialisation", "split", "order"):
            variance = scores[name].var()
            low, high = 49 * variance / scipy.stats.chi2.ppf([0.975, 0.025], 49)
            assert found.loc[name, ["variance", "variance_low", "variance_high"]].tolist() == pytest.approx(
                [variance, low, high]
            )
        assert found["variance"].idxmax() == "split"

    def test_needs_a_total_and_a_source(self, tmp_path: Path) -> None:
        for scores in ({}, {"all": pd.Series([1.0, 2.0])}, {"split": pd.Series([1.0, 2.0])}):
            with pytest.raises(ValueError, match="'all' and one source"):
                variance_by_source(scores)
        assert source_scores("laptop", "cifar10", root=tmp_path) == {}
