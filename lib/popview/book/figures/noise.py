"""Figures of sweeps over landscapes: what moves restarts, which well is preferred, and what acceptance can control."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from popview.book import style
from popview.book.colours import colour
from popview.book.names import landscape_title

#: Colours of changes in points, from the other well to the wide one, and of restarts in no well.
_CHANGES, _SHADES, _NONE = (-100, -50, -20, -10, -5, 5, 10, 20, 50, 100), "RdBu", "#d9d9d9"
#: A preference, and what is not judged.
_DOT: dict[str, Any] = {
    "color": "black",
    "marker": "o",
    "markeredgecolor": "white",
    "markeredgewidth": 0.7,
    "linewidth": 0,
}
_UNJUDGED: dict[str, Any] = {"facecolor": _NONE, "edgecolor": "#8c8c8c", "hatch": "/////", "linewidth": 0}


def _log_ticks(axes: plt.Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()


def onset(width: int, moved: pd.DataFrame) -> Figure:
    """Draw how many restarts end elsewhere than gradient descent's, against ρ and against the displacement.

    Parameters
    ----------
    width : int
        In pixels.
    moved : DataFrame
        Rows of `popview.populations.landscape_sweeps.moves`: one line of sizes for each algorithm.
    """
    figure, panels = style.canvas(width, 240, 2, columns=2, sharey=True)
    names = list(dict.fromkeys(moved["algorithm"]))
    for axes, (column, label) in zip(panels, _SIZES.items(), strict=True):
        for name in names:
            line = moved[moved["algorithm"] == name].sort_values(column)
            axes.plot(line[column], line["moved"], color=colour(name), marker=_MARKS[name], label=name)
            axes.fill_between(
                line[column], line["moved_low"], line["moved_high"], color=colour(name), alpha=0.15, linewidth=0
            )
        _log_ticks(axes)
        axes.set(xlabel=label, ylim=(-2, 100))
    panels[0].set(title="Against ρ", ylabel="% of restarts that end elsewhere")
    panels[1].set_title("Against the displacement")
    panels[0].legend(loc="upper left")
    return figure


_SIZES = {"rho": "ρ", "displacement": "displacement: ηρ (NiG) or ρ (NiM)"}
_MARKS = {"NiG-GD": "o", "NiM-GD": "s", "SAM": "^", "NiG-BH": "D", "NiM-BH": "v", "NiG-MBH": "P", "NiM-MBH": "X"}
_MARKS |= {"SGD": "*", "NiG-SGD": "o", "NiM-SGD": "s"}


def phases(width: int, preferred: pd.DataFrame) -> Figure:
    """Draw a phase diagram: in each panel, by size and width ratio, how many restarts more end in the wide well.

    A dot is a preference, and the largest of a panel is written beside it. What is not judged is hatched, and has no
    colour.

    Parameters
    ----------
    width : int
        In pixels.
    preferred : DataFrame
        Rows of `popview.populations.landscape_sweeps.well_preference`, with the panel's title in ``panel``: of each one
        for each size and ratio.
    """
    if preferred.empty:
        return style.empty(width)
    names = list(dict.fromkeys(preferred["panel"]))
    figure, panels = style.canvas(width, 250, len(names), columns=4, phone_columns=2, sharey=True)
    shades = plt.get_cmap(_SHADES, len(_CHANGES) - 1)
    norm = BoundaryNorm(_CHANGES, shades.N)
    for axes, name in zip(panels, names, strict=True):
        rows = preferred[preferred["panel"] == name]
        grid, said = (
            rows.pivot(index="ratio", columns="displacement", values=column) for column in ("change", "preference")
        )
        judged = grid.where(said != "not judged")
        axes.imshow(judged, origin="lower", aspect="auto", cmap=shades, norm=norm, interpolation="none")
        for y, x in zip(*np.nonzero(judged.isna().to_numpy()), strict=True):
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **_UNJUDGED))
        y, x = np.nonzero(said.isin(("wide", "narrow")).to_numpy())
        axes.plot(x, y, **_DOT)
        if len(x):
            sizes = grid.to_numpy()[y, x]
            top = np.abs(sizes).argmax()
            free = x[top]  # left of the dots that touch it
            while free - 1 in x[y == y[top]]:
                free -= 1
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
            axes.text(free - 0.6, y[top], f"{sizes[top]:.0f}", ha="right", va="center", fontweight="bold", bbox=box)
        tens = [place for place, value in enumerate(grid.columns) if np.log10(value) % 1 == 0]
        axes.set_xticks(tens, [f"{value:g}" for value in grid.columns[tens]])
        axes.set_yticks(range(len(grid)), [f"{value:g}" for value in grid.index])
        axes.set(title=name, xlabel="how far SAM looks, ρ" if name.startswith("SAM") else "displacement")
        axes.grid(False)
    for axes in panels[:: 4 if width > style.PHONE else 2]:
        axes.set_ylabel("times narrower")
    scale, ticks = ScalarMappable(norm, shades), (-100, -20, -5, 5, 20, 100)
    bar = figure.colorbar(scale, ax=panels, location="bottom", shrink=0.8, aspect=40, ticks=ticks)
    bar.set_label("points more in the wide well")
    key = [Line2D([], [], label="differs from gradient descent", **_DOT), Patch(label="not judged", **_UNJUDGED)]
    figure.legend(handles=key, loc="outside upper left", ncols=2)
    return figure


def effects(width: int, shares: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Draw where restarts end, by size: a panel for each algorithm, minima in blues, none grey, diverged red.

    Parameters
    ----------
    width : int
        In pixels.
    shares : DataFrame
        ``algorithm, displacement`` and the columns of `popview.populations.landscape_sweeps.ends`.
    names : sequence of str
        Of the minima.
    """
    algorithms = list(dict.fromkeys(shares["algorithm"]))
    figure, panels = style.canvas(width, 190, len(algorithms), columns=4, phone_columns=2, sharey=True)
    columns = [str(i + 1) for i in range(len(names))] + ["none", "diverged"]
    blues = plt.get_cmap("Blues_r")(np.linspace(0.1, 0.75, len(names)))
    for axes, name in zip(panels, algorithms, strict=True):
        rows = shares[shares["algorithm"] == name].sort_values("displacement")
        done = np.zeros(len(rows))
        for column, shade in zip(columns, [*blues, _NONE, "#b0431e"], strict=True):
            axes.bar(range(len(rows)), rows[column], bottom=done, color=shade, width=0.9)
            done = done + rows[column].to_numpy()
        axes.set_xticks(range(0, len(rows), 2), [f"{value:g}" for value in rows["displacement"].iloc[::2]])
        axes.set(title=name, ylim=(0, 100), xlabel="displacement" if name != "SAM" else "ρ")
    for axes in panels[:: 4 if width > style.PHONE else 2]:
        axes.set_ylabel("% of restarts")
    return figure


def acceptance(width: int, panels_of: dict[str, pd.DataFrame]) -> Figure:
    """Draw how many restarts end in the flattest minimum, by the weight of sharpness in acceptance.

    Parameters
    ----------
    width : int
        In pixels.
    panels_of : dict of str to DataFrame
        Title of a panel → rows with ``weight, displacement, flattest, plain, worth`` (percent in the flattest minimum,
        that of gradient descent, the weight at which it is worth the rival's depth; NaN for none).
    """
    figure, panels = style.canvas(width, 200, len(panels_of), columns=3, sharey=True)
    for axes, (name, rows) in zip(panels, panels_of.items(), strict=True):
        weights = sorted(set(rows["weight"]))
        for (size, line), mark in zip(rows.groupby("displacement"), "osD", strict=False):
            steps = [weights.index(weight) for weight in line["weight"]]
            axes.plot(steps, line["flattest"], marker=mark, label=f"ρ = {size:g}")
        axes.axhline(rows["plain"].iloc[0], color="black", linestyle="--", linewidth=1)
        worth = rows["worth"].iloc[0]
        if worth == worth:
            axes.axvline(np.interp(np.log(worth), np.log(weights[1:]), range(1, len(weights))), color="#777777")
        axes.set_xticks(range(0, len(weights), 2), [f"{weight:g}" for weight in weights[::2]])
        axes.set(title=name, xlabel="weight of the trace", ylim=(-2, 102))
    panels[0].set_ylabel("% in the flattest minimum")
    panels[0].legend(loc="best")
    return figure


_OF_TASK = {"accuracy": "test accuracy, %", "train_loss": "training loss", "distance": "distance"}


def on_task(width: int, cells: pd.DataFrame) -> Figure:
    """Draw a network's test accuracy, training loss and distance by the displacement, a column per learning rate.

    Parameters
    ----------
    width : int
        In pixels.
    cells : DataFrame
        ``algorithm, lr, displacement, accuracy, train_loss, distance``; SGD's displacement is NaN.
    """
    rates = sorted(set(cells["lr"]))
    wide = width > style.PHONE
    figure, panels = style.canvas(width, 150, 3 * len(rates), columns=len(rates), phone_columns=1, sharey="row")
    for i, rate in enumerate(rates):
        rows = cells[cells["lr"] == rate]
        own = panels[i :: len(rates)] if wide else panels[3 * i : 3 * i + 3]
        for axes, (column, words) in zip(own, _OF_TASK.items(), strict=True):
            plain = rows[rows["algorithm"] == "SGD"]
            axes.axhline(plain[column].mean(), color="black", linestyle="--", linewidth=1)
            for name, line in rows[rows["algorithm"] != "SGD"].groupby("algorithm", sort=False):
                line = line.sort_values("displacement")
                axes.plot(line["displacement"], line[column], color=colour(name), marker=_MARKS[name], label=name)
            _log_ticks(axes)
            axes.set(ylabel=words if i == 0 or not wide else "", yscale="linear" if column == "accuracy" else "log")
        own[0].set(title=f"η = {rate:g}")
        own[-1].set(xlabel="displacement")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=6 if wide else 3)
    return figure


def sweep_map(moved: pd.DataFrame, shares: pd.DataFrame, at_first: tuple[str, str]) -> go.Figure:
    """Draw an interactive map: how many restarts end elsewhere, by size and by step, of one algorithm and landscape.

    Parameters
    ----------
    moved : DataFrame
        As `popview.populations.landscape_sweeps.moves` returns it.
    shares : DataFrame
        As `popview.populations.landscape_sweeps.ends` of the same rows: what is shown where one points.
    at_first : (str, str)
        Algorithm and landscape that are shown when the page opens.
    """
    figure, buttons = go.Figure(), []
    groups = list(moved.groupby(["algorithm", "landscape"], sort=False))
    for place, (key, rows) in enumerate(groups):
        kind = rows["normalized"].map({True: "normalised", False: "raw"})
        hops = rows["tau"].map(lambda tau: f", τ {tau}" if tau else "")
        lines = kind + ", η " + rows["lr"].map("{:g}".format) + hops
        words = [
            "<br>".join(f"{name}: {value:.0f} %" for name, value in shares.loc[i].dropna().items()) for i in rows.index
        ]
        table = rows.assign(line=lines, words=words)
        grid = table.pivot(index="line", columns="displacement", values="moved")
        said = table.pivot(index="line", columns="displacement", values="words")
        figure.add_heatmap(
            x=[f"{size:g}" for size in grid.columns],
            y=list(grid.index),
            z=grid.round(1).to_numpy(),
            customdata=said.to_numpy(),
            hovertemplate="displacement %{x}, %{y}<br>elsewhere: %{z} %<br>%{customdata}<extra></extra>",
            colorscale="Viridis",
            zmin=0,
            zmax=100,
            colorbar={"title": "% elsewhere"},
            visible=key == at_first,
        )
        shown = [i == place for i in range(len(groups))]
        label = f"{key[0]}, {landscape_title(key[1])}"
        buttons.append({"label": label, "method": "update", "args": [{"visible": shown}]})
    active = [key for key, _ in groups].index(at_first)
    figure.update_layout(
        height=520,
        margin={"l": 10, "r": 10, "t": 50, "b": 40},
        xaxis={"title": "displacement", "type": "category"},
        yaxis={"automargin": True, "type": "category"},
        updatemenus=[{"buttons": buttons, "active": active, "x": 0, "xanchor": "left", "y": 1.12, "yanchor": "top"}],
    )
    return figure
