"""Figures and tables of loss against score, and of what tests can say: they hold the numbers that they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from popview.book import style
from popview.book.figures import selection as figures
from popview.book.figures import simulations as simulated
from popview.book.tables import simulations as simulation_tables

WIDTHS = [style.DESKTOP, style.PHONE]


pytestmark = pytest.mark.usefixtures("page_style")


def curves() -> dict[str, pd.DataFrame]:
    """Two restarts a task: the loss halves at every epoch, the score climbs on one task and not on the other."""
    frames = {}
    for task, rise in {"digits": 0.0, "cifar10": 0.05}.items():
        epoch = np.tile(np.arange(7.0), 2)
        score = 0.6 + rise * epoch + np.repeat([-0.01, 0.01], 7)
        rows = {"seed": np.repeat([0, 1], 7), "epoch": epoch, "train_loss": 0.5**epoch, "test_metric": score}
        frames[task] = pd.DataFrame(rows)
    return frames


@pytest.mark.parametrize("width", WIDTHS)
def test_score_against_loss_shows_all_tasks_on_one_scale_and_where_each_stood_at_half(width):
    chosen = pd.DataFrame({"task": ["cifar10"], "by": ["loss"], "train_loss": [0.1], "test_metric": [0.88]})
    figure = figures.score_against_loss(curves(), {"digits": False, "cifar10": True}, chosen, width)
    flat, climbing = figure.axes[:2]
    assert [axes.get_title(loc="left").split()[-1] for axes in (flat, climbing)] == ["flat", "learning"]
    spans = [np.ptp(axes.get_ylim()) for axes in (flat, climbing)]
    assert spans[0] == pytest.approx(spans[1])
    for axes, half, end in ((flat, "60.0 at half", "60.0 at the end"), (climbing, "75.0 at half", "90.0 at the end")):
        assert axes.get_xlim()[0] > axes.get_xlim()[1]  # the loss falls to the right
        assert half in axes.texts[0].get_text()
        assert end in axes.texts[0].get_text()
    diamonds = [line for line in climbing.lines if line.get_marker() == "D" and len(line.get_xdata())]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in diamonds] == [(0.1, pytest.approx(88))]


@pytest.mark.parametrize(("low", "high"), [(0.02, 0.9), (0.65, 1.7), (1e-6, 1.0), (0.04, 0.11)])
@pytest.mark.parametrize("most", [3, 5])
def test_round_values_lie_between_the_ends_and_are_few(low, high, most):
    found = figures._round_values((high, low), most)
    assert 1 <= len(found) <= most
    assert all(low <= value <= high for value in found)
    assert all(
        f"{value:.1e}".split("e")[0] in ("1.0", "1.5", "2.0", "3.0", "4.0", "5.0", "6.0", "8.0") for value in found
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_agreement_shows_every_case_with_and_without_the_trend(width):
    halves = pd.DataFrame(
        {"task": ["digits", "cifar10", "cifar10"], "variant": ["base", "base", "tuned"], "gain": [0.0, 0.06, 0.04]}
        | {"tau": [0.1, 0.8, 0.7], "tau_without_trend": [0.0, 0.75, 0.6], "learning": [False, True, True]}
    )
    figure = figures.loss_and_score(halves, width)
    for axes, column in zip(figure.axes, ("tau", "tau_without_trend"), strict=True):
        marks = [line for line in axes.lines if line.get_linestyle() == "None"]
        points = {(float(x), float(y)) for line in marks for x, y in zip(*line.get_data(), strict=True)}
        assert points == set(zip(100 * halves["gain"], halves[column], strict=True))
        hollow = [line for line in marks if line.get_markerfacecolor() == "white"]
        assert [float(line.get_ydata()[0]) for line in hollow] == [halves[column][2]]


@pytest.mark.parametrize("width", WIDTHS)
def test_choices_colour_what_is_real_and_name_what_is_large(width):
    table = pd.DataFrame(
        {"task": "cifar10", "variant": "base", "algorithm": ["SGD", "SAM", "NiM-BH"], "margin": 0.01}
        | {"difference": [0.001, 0.012, -0.011], "difference_low": -0.02, "difference_high": 0.02}
        | {"adjusted_p": [0.5, 0.01, 0.2]}
    )
    (axes,) = figures.choices({"over the last": table}, width).axes
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in marks] == pytest.approx([0.1, 1.2, -1.1])
    assert [line.get_color() == figures.LEARNING for line in marks] == [False, True, False]
    assert [text.get_text() for text in axes.texts] == ["CIFAR-10: margin ±1", "SAM +1.2", "NiM-BH −1.1"]


@pytest.mark.parametrize("width", WIDTHS)
def test_false_positives_are_marked_at_the_tasks(width):
    table = pd.DataFrame({"icc": [0.0, 0.5], "test": "pooled Mann–Whitney", "rate": [0.05, 0.4]})
    tasks = pd.DataFrame(
        {
            "icc": [0.6, 0.6],
            "test": "pooled Mann–Whitney",
            "rate": [0.45, 0.02],
            "task": "digits",
            "shared": [False, True],
        }
    )
    (axes,) = simulated.false_positive_rates(table, tasks, width).axes
    full, hollow = (
        [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() == "o" and is_hollow(line) == wanted]
        for wanted in (False, True)
    )
    assert (full, hollow) == ([(0.6, pytest.approx(45))], [(0.6, pytest.approx(2))])
    assert "Digits, 45 %" in [text.get_text() for text in axes.texts]


def is_hollow(line: plt.Line2D) -> bool:
    return line.get_markerfacecolor() == "white"


def test_similarity_marks_the_median_of_a_task():
    clusters = pd.DataFrame({"task": "digits", "icc": [0.2, 0.6, 0.7], "low": 0.1, "high": 0.9})
    (axes,) = simulated.similarity(clusters, style.DESKTOP).axes
    assert axes.collections[-1].get_segments()[0][0][0] == pytest.approx(0.6)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Digits"]


@pytest.mark.parametrize("width", WIDTHS)
def test_silence_writes_its_shares(width):
    table = pd.DataFrame({"restarts": [5, 5], "difference": [0.0, 1.0], "not_rejected": [0.95, 0.73]})
    figure = simulated.missed_differences(table.assign(equivalent=[0.1, 0.04]), 1.0, width)
    found = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert found == [["95", "73"], ["10", "4"]]


def test_detectable_differences_of_both_kinds_of_seeds_stand_in_a_cell():
    table = pd.DataFrame({"restarts": [5, 10], "unpaired": [2.3, 1.7], "paired": [np.inf, 1.4]})
    table = table.assign(**{"cifar10, unpaired": [0.023, 0.017], "cifar10, paired": [np.inf, 0.0007]})
    found = simulation_tables.detectable(table)
    assert found.to_dict("list") == {
        "runs each": [5, 10],
        "SD": ["2.3 / –", "1.7 / 1.4"],
        "CIFAR-10": ["2.3 / –", "1.7 / 0.1"],
    }
