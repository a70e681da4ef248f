"""The headline comparisons, read from the shipped Parquet files with pyarrow, pandas and SciPy alone."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scipy.stats

from popview.populations import confirmation, selection, tables
from popview.populations.control_arms import control_arms
from popview.populations.flatness_factors import loss_at_equal_gradients
from popview.populations.outcomes import superseded_scores
from popview.populations.over_tasks import mean_over_tasks
from popview.populations.restart_spread import load_differences

FILES = Path(__file__).parent.parent / "data" / "optimizers" / "laptop"
FAMILY = ("NiG-SGD", "NiM-SGD", "SAM", "NiG-BH", "NiM-BH", "AdamW", "SWA")  # of seven, held at 2.5 %
MARGINS = {"cifar10": 0.01, "digits": 0.005}
CONFIRMED = {"cifar10": 7, "digits": 7, "tweeteval": 7, "goemotions": 4}  # rivals that are there, at least


def told(file: Path) -> dict:
    return json.loads(pq.read_schema(file).metadata[b"popview"])


def scores(task: str, algorithm: str, variant: str) -> pd.Series:
    """Return the last models' score on the whole test split, by seed."""
    found = {}
    for file in sorted((FILES / task / algorithm).glob(f"{variant}-*.parquet")):
        known = told(file)
        for place, value in enumerate(known["whole_test"]["metric"]):
            found[known["spec"]["seed"] + place] = value
    return pd.Series(found, dtype=float).sort_index()


def holm(p: dict[str, float], level: float) -> set[str]:
    rejected = set()
    for place, name in enumerate(sorted(p, key=p.__getitem__)):
        if p[name] > level / (len(p) - place):
            break
        rejected.add(name)
    return rejected


@pytest.mark.parametrize("task", CONFIRMED)
def test_annealed_comparisons_with_sgd(task: str) -> None:
    decided = confirmation.decisions()
    ours = confirmation.confirm_tasks(confirmation.confirmed_tasks("laptop", decided, task), decided)
    ours = ours[ours["family"] == "all"].set_index("a")
    sgd, margin = scores(task, "SGD", "annealed"), MARGINS.get(task, 0.02)
    differ, same, means = {}, {}, {}
    for name in FAMILY:
        gap = scores(task, name, "annealed") - sgd
        differ[name] = same[name] = 1.0
        if gap.notna().sum() == len(sgd):
            means[name] = gap.mean()
            differ[name] = scipy.stats.ttest_rel(scores(task, name, "annealed"), sgd).pvalue
            sides = ((-margin, "greater"), (margin, "less"))
            same[name] = max(scipy.stats.ttest_1samp(gap, end, alternative=side).pvalue for end, side in sides)
            if not gap.any():  # noise that never fires: SGD under another name, of which SciPy has no p
                differ[name], same[name] = 1.0, 0.0
    assert set(ours.index) == set(means)
    assert len(means) >= CONFIRMED[task]
    apart, alike = holm(differ, 0.025), holm(same, 0.025)
    for name, mean in means.items():
        word = "equivalent" if name in alike else "inconclusive"
        if name in apart and name not in alike:
            word = "better" if mean > 0 else "worse"
        row = ours.loc[name]
        assert (row["difference"], row["p"], row["verdict"]) == (pytest.approx(mean), pytest.approx(differ[name]), word)


def test_adamw_on_goemotions_is_within_two_points_of_sgd() -> None:
    """With default settings it had not learned; annealed it has: t interval by SciPy, inside the margin."""
    gap = scores("goemotions", "AdamW", "annealed") - scores("goemotions", "SGD", "annealed")
    low, high = scipy.stats.ttest_1samp(gap, 0).confidence_interval()
    assert len(gap) == 10
    assert (100 * low, 100 * gap.mean(), 100 * high) == pytest.approx((-1.70, -1.03, -0.35), abs=0.006)


def test_the_last_ten_against_the_ten_best_by_validation() -> None:
    """On CIFAR-10, whose validation accuracies have few ties: the mean over restarts, and its t interval by SciPy."""
    (_, rows), *_ = tables.gather("laptop", "cifar10", "base")[1].items()
    row = selection.last_against_validation(rows, None).set_index("algorithm").loc["SGD"]
    gaps = []
    for _, run in rows[rows["algorithm"] == "SGD"].groupby("seed"):
        ranks = run["validation_metric"].rank(ascending=False, method="min") - 1
        ties = run.groupby("validation_metric")["step"].transform("size")
        weights = ((10 - ranks) / ties).clip(0, 1)
        gaps.append(run.sort_values("step")["test_metric"].tail(10).mean() - (weights * run["test_metric"]).sum() / 10)
    low, high = scipy.stats.ttest_1samp(gaps, 0).confidence_interval()
    assert (row["difference"], row["difference_low"], row["difference_high"]) == pytest.approx(
        (np.mean(gaps), low, high)
    )


@pytest.mark.parametrize("task", ["cifar10", "tweeteval"])
def test_choosing_by_loss_against_choosing_the_last(task: str) -> None:
    """The ten checkpoints of lowest training loss less the last ten, the mean over restarts."""
    (_, rows), *_ = tables.gather("laptop", task, "base")[1].items()
    ours = selection.against_last(rows, None).set_index("algorithm")["difference"]
    for name in ("SGD", "SAM", "NiM-BH"):
        gaps = []
        for file in sorted((FILES / task / name).glob("base-*.parquet")):
            read = pq.read_table(file, columns=["step", "train_loss", "test_metric"]).to_pandas()
            by_loss = read.sort_values(["train_loss", "step"], kind="stable").head(10)
            gaps.append(by_loss["test_metric"].mean() - read.sort_values("step").tail(10)["test_metric"].mean())
        assert len(gaps) == 10
        assert ours[name] == pytest.approx(np.mean(gaps), abs=1e-9)


def test_an_interval_for_other_restarts_and_other_images(real_hub) -> None:
    """Mean squares of the two-way table of shipped answers, and Satterthwaite's degrees of freedom."""
    labels = pq.read_table(real_hub / "uoft-cs/cifar10/plain_text/test-00000-of-00001.parquet")["label"].to_numpy()

    def right(algorithm: str) -> np.ndarray:
        found = []
        for file in sorted((FILES / "cifar10" / algorithm).glob("annealed-*.parquet")):
            said = pq.read_table(file, columns=["test_probabilities"])["test_probabilities"].to_pylist()
            (row,) = [values for values in said if values is not None]
            found.append(np.asarray(row, dtype=float).reshape(len(labels), -1).argmax(1) == labels)
        return np.array(found, dtype=float)

    gap = right("AdamW") - right("SGD")
    n, m = gap.shape
    assert (n, m) == (10, 10_000)
    mean, rows, columns = gap.mean(), gap.mean(1), gap.mean(0)
    squares = (
        m * ((rows - mean) ** 2).sum() / (n - 1),
        n * ((columns - mean) ** 2).sum() / (m - 1),
        ((gap - rows[:, None] - columns + mean) ** 2).sum() / ((n - 1) * (m - 1)),
    )
    parts = np.array(squares) / (n * m)
    variance = parts[0] + parts[1] - parts[2]
    freedom = variance**2 / (parts**2 / [n - 1, m - 1, (n - 1) * (m - 1)]).sum()
    half = scipy.stats.t.isf(0.025, freedom) * np.sqrt(variance)
    found = load_differences("laptop", "cifar10").set_index("algorithm").loc["AdamW"]
    assert variance > max(parts[:2])
    assert found["difference"] == pytest.approx(mean, abs=1e-9)
    assert (found["crossed_low"], found["crossed_high"]) == pytest.approx((mean - half, mean + half), rel=1e-4)


def test_control_arms() -> None:
    """SAM at equal epochs, and twenty hops on Digits."""
    hops = [("digits", "twenty-hops", "NiG-BH"), ("digits", "twenty-hops", "NiM-BH")]
    equal = [(task, "equal-epochs", "SAM") for task in ("digits", "cifar10", "tweeteval")]
    for task, arm, name in [*equal, *hops]:
        ours, sgd = control_arms("laptop", task).set_index(["arm", "a"]), scores(task, "SGD", "annealed")
        found = scipy.stats.ttest_rel(scores(task, name, arm), sgd)
        row, (low, high) = ours.loc[(arm, name)], found.confidence_interval()
        assert (row["low"], row["high"]) == pytest.approx((low, high))
        assert row["annealed_difference"] == pytest.approx((scores(task, name, "annealed") - sgd).mean())
    assert control_arms("laptop", "goemotions").empty


def test_the_annealed_mean_over_tasks_is_by_hand() -> None:
    """Three tasks: the weighted mean by hand, τ² by Paule and Mandel's equation."""
    decided = confirmation.decisions()
    table = confirmation.confirm_tasks(confirmation.confirmed_tasks("laptop", decided), decided).drop_duplicates(
        ["task", "a"]
    )
    table = table.rename(columns={"low": "difference_low", "high": "difference_high"}).assign(variant="annealed")
    row = mean_over_tasks(table).query("a == 'NiM-BH' and unit == 'metric'").iloc[0]
    gaps = [scores(task, "NiM-BH", "annealed") - scores(task, "SGD", "annealed") for task in (*MARGINS, "tweeteval")]
    weights = np.array([len(gap) / gap.var() for gap in gaps])
    means = np.array([gap.mean() for gap in gaps])
    assert row["between"] == 0  # they differ by less than their errors
    assert row["mean"] == pytest.approx((weights @ means) / weights.sum(), rel=1e-3)


def test_scores_of_superseded_runs_are_pandas_own() -> None:
    """Runs with settings searched at a constant rate, whose files have left the results."""
    found = superseded_scores("laptop")
    file = pd.read_csv(FILES.parents[1] / "paper" / "superseded-scores.csv")
    assert set(found) == set(file["task"]) >= {"digits", "cifar10", "tweeteval"}
    for (task, algorithm), rows in file.groupby(["task", "algorithm"]):
        assert found[task][algorithm].tolist() == rows["score"].tolist()
        assert superseded_scores("laptop", "set_a")[task][algorithm].tolist() == rows["set_a"].tolist()
        assert not list((FILES / task / algorithm).glob("tuned-*"))
    assert superseded_scores("paper") == {}


def test_sams_loss_at_as_many_gradients() -> None:
    """SAM's row at half of the epochs, over SGD's last row, the geometric mean over 20 seeds."""
    files = FILES.parents[1] / "flatness-factors" / "laptop" / "digits"
    rows = {}
    for name, place in (("SGD", "SGD/plain-0-*"), ("SAM", "SAM/sam-0-*")):
        (file,) = files.glob(f"{place}.parquet")
        rows[name] = pq.read_table(file, columns=["seed", "gradient_evaluations", "train_loss"]).to_pandas()
    spent = rows["SGD"]["gradient_evaluations"].max()
    assert rows["SAM"]["gradient_evaluations"].max() == 2 * spent
    last = {name: table[table["gradient_evaluations"] == spent].set_index("seed") for name, table in rows.items()}
    gap = np.log(last["SAM"]["train_loss"]) - np.log(last["SGD"]["train_loss"])
    low, high = scipy.stats.ttest_1samp(gap, 0).confidence_interval()
    found = loss_at_equal_gradients("laptop", "digits")
    assert (found["restarts"], len(gap)) == (20, 20)
    assert [found[name] for name in ("ratio", "low", "high")] == pytest.approx(np.exp([gap.mean(), low, high]).tolist())
    assert loss_at_equal_gradients("laptop", "digits", root=FILES / "nowhere") == {}
