"""Chapter 9: prices, equal budgets, the share of measuring, scales, and how they are worded and drawn."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from stand_ins import stand_in

from popview.book import style
from popview.book.figures import costs as cost_figures
from popview.book.tables import costs as cost_tables
from popview.common.errors import UsageError
from popview.populations import equal_budget, time_to_target
from popview.runs import costs, expansion, store, workers

SEEDS, CHECKPOINTS = 13, 11
PRICES = {"SGD": 1, "SAM": 2, "NiM-MBH": 1}


def trajectories(losses: bool = True) -> pd.DataFrame:
    """Checkpoints every 10 steps; the metric grows with the steps, and SAM is 0.02 better at equal steps.

    So at SGD's 100 gradients SAM stands at step 50, 0.03 below SGD.
    """
    noise = np.random.default_rng(0)
    rows = []
    for seed in range(SEEDS):
        for name, price in PRICES.items():
            shift = 0.02 * (name == "SAM") + 1e-4 * noise.normal()
            for step in range(0, 10 * CHECKPOINTS, 10):
                metric = 0.5 + 0.001 * step + shift
                row = {"task": "digits", "profile": "laptop", "algorithm": name, "variant": "base", "seed": seed}
                row |= {"step": step, "epoch": step / 10, "gradient_evaluations": price * step}
                row |= {"loss_evaluations": step // 5 if name == "NiM-MBH" and losses else 0}
                row |= {"train_loss": 10 ** -(metric * 2), "validation_metric": metric, "test_metric": metric}
                rows.append(row)
    return pd.DataFrame(rows)


def test_evaluations():
    table = equal_budget.evaluations(trajectories()).set_index("algorithm")
    assert list(table.index) == list(PRICES)
    assert list(table["gradients"]) == [100, 200, 100]
    assert list(table["ratio"]) == [1, 2, 1]
    assert list(table["losses"]) == [0, 0, 20]
    assert (table["lowest"] == table["highest"]).all()
    with pytest.raises(UsageError, match="unknown reference 'AdamW'"):
        equal_budget.evaluations(trajectories(), "AdamW")


def test_sam_is_better_at_equal_epochs_and_worse_at_equal_gradients():
    table = equal_budget.equal_budgets(trajectories(), 0.005).set_index("budget")
    assert list(table["algorithm"]) == ["SAM", "SAM"]
    assert list(table["gradients"]) == [200, 100]
    np.testing.assert_allclose(table["difference"], [0.02, -0.03], atol=2e-4)
    assert list(table["verdict"]) == ["better", "worse"]
    assert (table["adjusted_p"] >= table["p"]).all()


def test_losses_are_compared_on_a_logarithmic_scale_and_lower_is_better():
    table = equal_budget.equal_budgets(trajectories(), 0.005, "train_loss").set_index("budget")
    np.testing.assert_allclose(table["estimate"], [-0.04, 0.06], atol=4e-4)  # 10^(−2 metric)
    assert list(table["verdict"]) == ["better", "worse"]
    assert table["margin"].isna().all()
    np.testing.assert_allclose(np.log10(table["own"] / table["other"]), table["estimate"], atol=4e-4)


def test_a_dearer_algorithm_that_joins_later_moves_no_number_of_the_others():
    rows = trajectories()
    joined = rows[rows["algorithm"] == "SAM"].assign(algorithm="Lion")
    joined["test_metric"] += 1e-3 * joined["seed"]
    before, after = (equal_budget.equal_budgets(table, 0.005) for table in (rows, pd.concat([joined, rows])))
    assert list(after["algorithm"]) == ["Lion", "SAM"] * 2
    pd.testing.assert_frame_equal(after[after["algorithm"] == "SAM"].reset_index(drop=True), before)


def test_nothing_to_compare_where_no_algorithm_is_dearer():
    rows = trajectories()
    assert equal_budget.equal_budgets(rows[rows["algorithm"] != "SAM"], 0.005).empty
    with pytest.raises(UsageError, match="unknown value 'accuracy'"):
        equal_budget.equal_budgets(rows, 0.005, "accuracy")


def test_measuring(tmp_path):
    wanted = expansion.expand("smoke", "digits", algorithms=("SGD", "SAM"))
    workers.run(wanted[:1], workers=1, root=tmp_path, quiet=True)
    table = equal_budget.measuring(wanted, tmp_path).set_index("algorithm")
    clock = store.metadata(wanted[0], tmp_path)["seconds"]
    assert table.loc["SGD", "clock"] == clock["measures"] / clock["training_and_checkpoints"]
    assert np.isnan(table.loc["SAM", "clock"])
    assert list(table["files"]) == [1, 0]
    cost = costs.cost(wanted[1])
    assert table.loc["SAM", "counted"] == cost.measures / (cost.training + cost.evaluation)

    old = store.load(wanted[0], tmp_path)  # a file from before its measures were timed
    silent = {name: value for name, value in store.metadata_of(old.schema).items() if name != "seconds"}
    store.save(wanted[0], old.replace_schema_metadata({"popview": json.dumps(silent)}), tmp_path)
    assert equal_budget.measuring(wanted, tmp_path)["clock"].isna().all()


def test_sgd_and_swa_share_a_training(tmp_path):
    wanted = expansion.expand("smoke", "digits", algorithms=("SGD", "SWA", "SAM"))
    made = {"SGD": (100.0, 10.0), "SWA": (100.0, 14.0), "SAM": (200.0, 10.0)}  # training, measures
    for spec in wanted:
        training, measures = made[spec.algorithm]
        clock = {"training_and_checkpoints": training, "measures": measures}
        store.save(spec, stand_in(spec, seconds=clock), tmp_path)
    clock = equal_budget.measuring(wanted, tmp_path).set_index("algorithm")["clock"]
    assert clock.to_dict() == pytest.approx({"SGD": 0.24, "SWA": 0.24, "SAM": 0.05})
    made_alone = equal_budget.measuring(wanted[:1], tmp_path)  # SWA is not asked for
    assert made_alone["clock"].item() == pytest.approx(0.10)


def test_scales():
    table = equal_budget.scales(("laptop", "paper"))
    table = table[table["task"].isin(["digits", "cifar10", "cifar100"])]
    assert list(zip(table["task"], table["profile"], strict=True)) == [
        ("digits", "laptop"),
        ("cifar10", "laptop"),
        ("cifar10", "paper"),
        ("cifar100", "laptop"),
        ("cifar100", "paper"),
    ]
    digits, small, large, *_ = table.to_dict("records")
    assert (digits["parameters"], digits["train"], digits["steps"]) == (64 * 32 + 32 + 320 + 10, 1000, 2000)
    assert (large["steps"], large["train"], large["network"]) == (300 * (45_000 // 128), 45_000, "resnet-50")
    laid = cost_tables.traded(table)
    assert laid["times the line above"].tolist()[2] == f"{large['flops'] / small['flops']:,.0f}"
    assert laid["times the line above"].tolist()[3] == ""


# ---------------------------------------------------------------- words and layouts


@pytest.fixture(scope="module")
def readings():
    rows = trajectories()
    key = {"task": "digits", "variant": "base"}
    return {
        "paid": equal_budget.evaluations(rows).assign(**key),
        "metric": equal_budget.equal_budgets(rows, 0.005).assign(**key),
        "loss": equal_budget.equal_budgets(rows, 0.005, "train_loss").assign(**key),
        "times": time_to_target.times(rows, 0.005).assign(**key),
    }


def test_one_algorithm_at_a_glance(readings):
    laid = cost_tables.one_algorithm(readings["metric"], readings["loss"])
    assert list(laid["task"]) == ["Digits, base"]
    bare = laid.iloc[0].str.replace(r"\s\[.*\]", "", regex=True)
    assert bare["equal epochs"] == "▲\u00a0+2.00"
    assert bare["equal gradients"] == "▼\u00a0−3.00"
    assert bare["training loss, factor"] == "1.15"
    low, high = 100 * readings["metric"].loc[0, ["difference_low", "difference_high"]]
    assert laid.loc[0, "equal epochs"].partition(" ")[2] == f"[{low:+.2f},\u00a0{high:+.2f}]"


def test_the_figure_of_budgets_goes_down_from_epochs_to_gradients(readings):
    for width in (style.DESKTOP, style.PHONE):
        figure = cost_figures.budgets(readings["metric"], width)
        (axes,) = figure.axes
        assert axes.get_title() == "Digits"
        heights = axes.lines[1].get_ydata()  # after the line at zero
        np.testing.assert_allclose(heights, 100 * readings["metric"]["difference"])
        plt.close(figure)


def test_what_lies_beyond_the_figure_of_budgets_is_an_arrow_with_its_number(readings):
    far = readings["metric"].assign(difference=[-0.02, -0.376])
    figure = cost_figures.budgets(far, style.DESKTOP)
    assert [text.get_text() for text in figure.axes[0].texts] == ["−37.6"]
    plt.close(figure)


def test_layouts(readings):
    prices = cost_tables.prices(readings["paid"], readings["times"])
    assert list(prices["algorithm"]) == list(PRICES)
    assert list(prices["× SGD"]) == ["1.00", "2.00", "1.00"]
    assert prices["missed"][1] == f"{SEEDS}\u00a0of\u00a0{SEEDS}"
    assert prices["gradients to within the margin"][1].startswith("∞")
    equal = cost_tables.equal(readings["metric"], readings["loss"])
    assert list(equal["at"]) == ["equal epochs", "equal gradients"]
    assert list(equal["verdict"]) == list(equal["verdict "]) == ["better", "worse"]
    assert equal["training loss, factor"][1].startswith("1.15 [")
    shares = cost_tables.shares(
        pd.DataFrame(
            {
                "task": "digits",
                "variant": "base",
                "algorithm": ["SGD", "SAM", "SWA"],
                "files": [2, 2, 0],
                "clock": [0.10, 0.14, np.nan],
                "counted": [0.2, 0.1, 0.3],
            }
        )
    )
    assert shares["by the clock, median, %"].item() == pytest.approx(12)
    assert shares["by the clock, highest"].item() == "14.0 % (SAM)"
    assert shares["by operations, highest"].item() == "30.0 % (SWA)"


def test_totals_add_up_and_the_figure_shows_every_bar():
    rows = costs.cost_table([spec for task in ("cifar10", "tweeteval") for spec in expansion.expand("paper", task)])
    laid = cost_tables.totals(rows)
    assert list(laid["task"]) == ["CIFAR-10", "TweetEval", "in all"]
    assert laid["trajectories"].tolist()[:2] == [50, 40]
    assert laid["trajectories"].tolist()[2] == 90
    assert laid["FLOP"].tolist()[2] == costs.amount(rows["flops"].sum(), "").replace(" ", "\u00a0")
    assert set(laid["core-hours taken"]) == {"–"}
    figure = cost_figures.hours_figure(rows, 688)
    assert [axes.get_title() for axes in figure.axes] == ["CIFAR-10", "TweetEval"]
    assert [len(axes.patches) for axes in figure.axes] == [10, 10]
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(widths, rows.loc[rows["task"] == "cifar10", "gpu_hours"])
    assert sum("not in the profile" in text.get_text() for text in figure.axes[1].texts) == 2  # both MBH
    plt.close(figure)
