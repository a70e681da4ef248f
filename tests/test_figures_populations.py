"""What is drawn of populations is what the tables say."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from popview.book import style
from popview.book.figures import populations

ARMS = pd.DataFrame(
    [
        ("base", "last", 1, 1.0, 0.0, 0.0, 0.0),
        ("base", "averaged", 1, 1.0, 0.03, 0.02, 0.04),
        ("base", "ensemble of ten", 1, 1.0, 0.06, 0.05, 0.07),
        ("base", "restarts", 3, 3.0, 0.09, 0.07, 0.1),
        ("base", "restarts", 2, 2.0, 0.08, 0.06, 0.1),
        ("annealed", "last", 1, 1.0, 0.085, 0.07, 0.1),
        ("annealed", "restarts", 100, 100.0, 0.15, 0.14, 0.16),
        ("twice-as-long", "last", 1, 2.0, 0.086, 0.07, 0.1),
    ],
    columns=["variant", "arm", "restarts", "cost", "gain", "gain_low", "gain_high"],
)


@pytest.mark.parametrize("width", [style.DESKTOP, style.PHONE])
def test_gains_in_points_stand_at_their_cost(width):
    best = pd.Series({"algorithm": "SWA", "cost": 1.0, "gain": 0.029, "gain_low": 0.016, "gain_high": 0.042})
    drawn = populations.gains_by_cost({"cifar10": ARMS, "digits": ARMS[:2]}, {"cifar10": best}, width)
    assert drawn.get_size_inches()[0] * style.PIXELS_PER_INCH == pytest.approx(width)
    first = drawn.axes[0]
    assert "CIFAR-10" in {first.get_title(where) for where in ("left", "center")}
    lines = [line.get_xydata() for line in first.get_lines()]
    assert any(np.allclose(line, [[1, 6], [2, 8], [3, 9]]) for line in lines if len(line) == 3)
    assert any(np.allclose(line, [[1, 2.9]]) for line in lines if len(line) == 1)
    assert any(np.allclose(line, [[1, 8.5], [2, 8.6]]) for line in lines if len(line) == 2)
    assert max(line[:, 0].max() for line in lines if len(line)) <= 10
    assert [text.get_text() for text in first.texts] == ["SWA"]
    per_run = [line.get_xydata() for line in drawn.axes[1 if width == style.PHONE else 2].get_lines()]
    assert any(np.allclose(line, [[1, 6], [2, 4], [3, 3]]) for line in per_run if len(line) == 3)
    assert any(np.allclose(line, [[1, 8.5], [2, 4.3]]) for line in per_run if len(line) == 2)
    plt.close(drawn)


def test_another_seed_comes_first_and_its_mean_is_a_line():
    rows = pd.DataFrame(
        {"run": ["another seed", "SAM"], "disagreement": [0.2, 0.15], "disagreement_low": [0.18, 0.14]}
    ).assign(disagreement_high=[0.22, 0.16])
    drawn = populations.disagreement_with_sgd({"cifar10": rows}, style.DESKTOP)
    (ax,) = drawn.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["another seed", "SAM"]
    assert any(np.allclose(line.get_xdata(), 20) and len(line.get_xdata()) == 2 for line in ax.get_lines())
    assert any(
        np.allclose(line.get_xydata(), [[14, 1], [16, 1]]) for line in ax.get_lines() if len(line.get_xdata()) == 2
    )
    plt.close(drawn)
