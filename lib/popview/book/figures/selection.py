"""Chapter 6's figures of what choosing models by training loss costs."""

import pandas as pd
from matplotlib.figure import Figure

from popview.book.figures.trajectories import effects

__all__ = ["correlations_figure", "regrets_figure"]


def regrets_figure(regrets: pd.DataFrame, width: int) -> Figure:
    """Draw `popview.populations.selection.regrets` with the band of equivalence, in points."""
    return effects(_points(regrets), width, label="regret of choosing by training loss, points")


def correlations_figure(correlations: pd.DataFrame, width: int) -> Figure:
    """Draw `popview.populations.selection.correlations` on the test split."""
    if correlations.empty:
        return effects(correlations, width, label="")
    shown = correlations[correlations["split"] == "test"]
    return effects(
        shown.assign(name=shown["algorithm"], estimate=shown["mean"]),
        width,
        label="Kendall's τ of −training loss, test metric",
    )


def _points(regrets: pd.DataFrame) -> pd.DataFrame:
    if regrets.empty:
        return regrets
    scaled = regrets.assign(name=regrets["algorithm"], estimate=regrets["mean"])
    scaled[["estimate", "low", "high", "margin"]] *= 100
    return scaled
