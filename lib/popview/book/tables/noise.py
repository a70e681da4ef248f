"""Tables of the page on the magnitude of noise: first effects, preferences between wells, acceptance, a network."""

import numpy as np
import pandas as pd

from popview.book import cells as cell_words
from popview.book.names import landscape_title
from popview.book.page import p_value


def _size(value: float) -> str:
    return f"{float(f'{value:.2g}'):,g}" if np.isfinite(value) else "–"


def first_effects(effects: pd.DataFrame, column: str = "moves") -> pd.DataFrame:
    """Lay out `popview.populations.landscape_sweeps.first_effect`: per algorithm and landscape "displacement (ρ)".

    Parameters
    ----------
    effects : DataFrame
        Rows of one learning rate and kind of gradient.
    column : {"moves", "changes"}
        Which of the two criteria.
    """
    sizes = effects[f"{column}_from"].map(_size) + " (" + effects[f"{column}_rho"].map(_size) + ")"
    shown = effects.assign(cell=sizes.where(effects[f"{column}_from"].notna(), "none"))
    hops = shown["tau"].map(lambda tau: f", τ = {tau}" if tau else "")
    several = shown.groupby("algorithm")["tau"].transform("nunique") > 1
    shown["algorithm"] = shown["algorithm"] + hops.where(several, "")
    wide = shown.pivot(index="algorithm", columns="landscape", values="cell")
    order = list(dict.fromkeys(shown["algorithm"]))
    return wide.loc[order, list(dict.fromkeys(shown["landscape"]))].rename(columns=landscape_title).reset_index()


def preferences_by_size(preferred: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.landscape_sweeps.well_preference`: a line per setting."""
    reached = (100 * preferred["reached"]).map("{:.0f}".format)
    return pd.DataFrame(
        {
            "dimensions": preferred["dimension"],
            "algorithm": preferred["algorithm"],
            "gradient": preferred["normalized"].map({True: "normalised", False: "raw"}),
            "step": preferred["lr"].map("{:g}".format),
            "narrower by": preferred["ratio"].map("{:g}".format),
            "narrow well": preferred["depth"].map(lambda depth: "as deep" if depth == 0 else f"{-depth:g} deeper"),
            "displacement": preferred["displacement"].map("{:g}".format),
            "reach a well, %": reached,
            "more in the wide well, points": cell_words.with_interval(preferred, "change", form="+.1f"),
            "p (Holm)": preferred["adjusted"].map(p_value),
            "prefers": preferred["preference"],
        }
    )


def network_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.noise_outcomes.against_plain`: a line per cell."""
    ordered = cells.sort_values(["algorithm", "lr", "tau", "displacement"], kind="stable")
    return pd.DataFrame(
        {
            "algorithm": ordered["algorithm"],
            "η": ordered["lr"].map("{:g}".format),
            "τ": ordered["tau"].map(_size),
            "ρ": ordered["rho"].map(_size),
            "displacement": ordered["displacement"].map(_size),
            "diverged": ordered["diverged"].astype(str) + " of " + ordered["restarts"].astype(str),
            "accuracy, %": ordered["accuracy"],
            "less SGD, points": cell_words.with_interval(ordered, "estimate", form="+.1f"),
            "training loss": ordered["train_loss"],
            "distance": ordered["distance"],
        }
    )


def alike(differences: pd.DataFrame) -> pd.DataFrame:
    """Lay out `popview.populations.noise_outcomes.at_equal_displacement`, with ``adjusted`` p: a line per cell."""
    return pd.DataFrame(
        {
            "η": differences["lr"].map("{:g}".format),
            "displacement": differences["displacement"].map(_size),
            "pairs": differences["pairs"],
            "in the gradient less in the model, points": cell_words.with_interval(differences, "estimate", form="+.1f"),
            "p (Holm)": differences["adjusted"].map(p_value),
            "draws in the gradient": differences["draws_first"].map("{:.0f}".format),
            "in the model": differences["draws_second"].map("{:.0f}".format),
        }
    )
