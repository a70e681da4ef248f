"""How a chapter hands its figures and tables to the page, and the line under each that says where it comes from."""

import html
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure
from myst_nb import glue

from popview.book import style
from popview.common.read_log import ENVIRONMENT_VARIABLE

#: The sign, at which a browser does not break the line as it does at a hyphen.
MINUS = "\u2212"

#: Whether a reader runs the notebook himself, and not `popview chapter`: each thing shows below the cell that makes it.
BY_HAND = ENVIRONMENT_VARIABLE not in os.environ

#: Bytes of an SVG from which on a PNG is tried.
HEAVY = 100_000

#: Where a chapter's page finds plotly's script; `popview book` puts it there.
PLOTLY = "_static/plotly.min.js"
#: Without the buttons that upload a figure to somebody else's site, or that select points.
PLOTLY_SETTINGS = {
    "responsive": True,
    "displaylogo": False,
    "modeBarButtonsToRemove": ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d"],
}


def table(name: str, frame: pd.DataFrame, digits: int = 2) -> None:
    """Hand a table to the page under a name; it stands where a ``{table}`` directive with ``{glue:md}`` names it.

    Numbers are shown with `digits` decimals at most, NaN as a dash.
    """
    shown = frame.map(lambda cell: number(cell, digits))
    align = ["right" if pd.api.types.is_numeric_dtype(frame[column]) else "left" for column in frame.columns]
    glue(name, Markdown(shown.to_markdown(index=False, colalign=align, disable_numparse=True)), display=BY_HAND)


def show(
    name: str,
    frame: pd.DataFrame,
    layout: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    digits: int = 2,
    empty: str = style.NOT_RUN,
) -> None:
    """Hand a table to the page, laid out; or, where it has no rows, one of a cell with the words for that.

    A ``{table}`` directive takes nothing else than a table.
    """
    if frame.empty:
        table(name, pd.DataFrame({"": [f"*{empty.capitalize()}.*"]}))
    else:
        table(name, layout(frame) if layout else frame, digits)


def listed(names: Iterable[str]) -> str:
    """Write names as a sentence does: "Digits, CIFAR-10 and TweetEval"; a dash where there are none."""
    first, last = (names := list(names))[:-1], names[-1:]
    return " and ".join([", ".join(first), *last] if first else last) or "–"


def number(value: Any, digits: int = 2) -> str:
    """Write a value for a reader: whole numbers in full, others with `digits` decimals, tiny ones as a power of ten."""
    if not isinstance(value, float):
        return str(value)
    return written(value, ".1e" if 0 < abs(value) < 10**-digits else f",.{digits}f")


def p_value(value: float) -> str:
    """Write a p-value for a reader: two significant digits, "< 0.001" below that, a dash for NaN."""
    if value != value:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:#.2g}"


def signed(words: str) -> str:
    """Put `MINUS` for the hyphens before digits."""
    return re.sub(r"-(?=\d)", MINUS, words)


def written(value: float, form: str) -> str:
    """Write a number by a format of Python's, with `MINUS`, without a sign that only rounding left, a dash for NaN."""
    if value != value:
        return "–"
    form = f"+z{form[1:]}" if form.startswith("+") else f"z{form}"
    return format(value, form).replace("inf", "∞").replace("-", MINUS)


def points(value: float, digits: int = 1) -> str:
    """Write a number of points with its sign, which zero has not: "+1.4", "−20.6", "0.0"."""
    return written(value, f"+.{digits}f" if round(float(value), digits) else f".{digits}f")


def raised(exponent: int) -> str:
    """Write an exponent in raised digits."""
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def figure(name: str, draw: Callable[[int], Figure], alt: str) -> None:
    """Hand a matplotlib figure to the page under a name, for a ``{glue:figure}`` directive.

    Parameters
    ----------
    name : str
        The figure's name on the page, and its file's on the site.
    draw : callable
        Width in pixels → the figure, as wide as that (`popview.book.style.canvas`). It is called for a desktop's text
        width and for a phone's, and the browser takes the one that fits.
    alt : str
        What is to be seen, for who cannot see it.
    """
    narrow, wide = (_image(draw(width)) for width in (style.PHONE, style.DESKTOP))
    code = (
        f'<picture><source media="(max-width: 600px)" data-name="{name}-phone.{narrow[0]}" srcset="{narrow[1]}">'
        f'<img alt="{html.escape(alt)}" data-name="{name}.{wide[0]}" src="{wide[1]}"></picture>'
    )
    glue(name, HTML(code), display=BY_HAND)


def _image(drawn: Figure) -> tuple[str, str]:
    """Return a figure as an image within the page, and its kind: SVG, or PNG where that is heavy and PNG is smaller."""
    drawn.savefig(lines := BytesIO(), format="svg", metadata={"Date": None})
    found = {"svg": lines.getvalue()}
    if len(found["svg"]) > HEAVY:
        drawn.set_layout_engine("none")  # it has been laid out
        drawn.savefig(pixels := BytesIO(), format="png", dpi=2 * style.PIXELS_PER_INCH)
        found["png"] = pixels.getvalue()
    plt.close(drawn)
    kind = min(found, key=lambda name: len(found[name]))
    return kind, f"data:image/{kind.replace('svg', 'svg+xml')};base64,{b64encode(found[kind]).decode()}"


def interactive(name: str, drawn: go.Figure) -> None:
    """Hand a plotly figure to the page under a name; it works without a network."""
    drawn.update_layout(dragmode=False)  # else a finger that scrolls the page zooms the axes
    drawn.update_layout(paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"color": style.GREY})
    code = drawn.to_html(full_html=False, include_plotlyjs=PLOTLY, div_id=name, config=PLOTLY_SETTINGS)
    glue(name, HTML(code), display=BY_HAND)


def provenance(frame: pd.DataFrame | None = None, filename: str = "", **facts: Any) -> HTML:
    """Return the line under a table or figure: its facts, and its numbers as a CSV to download.

    Parameters
    ----------
    frame : DataFrame, optional
        What the CSV holds, in full.
    filename : str
        Of the CSV.
    **facts
        Shown as "name value", underscores as spaces: ``restarts=500, seeds="0–499", spread="95 % Wilson intervals"``.
    """
    parts = [f"{name.replace('_', ' ')} {value}" for name, value in facts.items()]
    line = html.escape(" · ".join(parts))
    if frame is not None:
        data = b64encode(frame.to_csv(index=False).encode()).decode()
        line += f'{" · " if parts else ""}<a download="{filename}" href="data:text/csv;base64,{data}">{filename}</a>'
    return HTML(f'<p class="provenance">{line}</p>')


def site_file(name: str, content: str) -> str:
    """Return a link to a file that the page hands to the site, which has it at its top: ``/<name>``."""
    data = b64encode(content.encode()).decode()
    return f'<a data-site="{name}" href="data:text/plain;base64,{data}">{name}</a>'


def facts(profile: str, results: dict[tuple[str, str], pd.DataFrame]) -> dict[str, str]:
    """Return what `provenance` says of the trajectories of `popview.populations.tables.gather`."""
    restarts = [f"{rows['seed'].nunique()} ({task}, {variant})" for (task, variant), rows in results.items()]
    firsts = [str(seed) for seed in sorted({rows["seed"].min() for rows in results.values()})]
    what: dict[str, list[str]] = {}
    for (task, variant), rows in results.items():
        for trained_on, some in rows.groupby("processor", sort=False)["seed"]:
            part = "" if some.nunique() == rows["seed"].nunique() else f", seeds {_spans(some)}"
            what.setdefault(str(trained_on), []).append(f"{task}, {variant}{part}")
    usual, *others = sorted(what, key=lambda name: -len(what[name])) or ["none"]
    return {
        "profile": profile,
        "restarts": ", ".join(restarts) or "none",
        "seeds": f"from {' or '.join(firsts) or '0'} on, the same for every algorithm",
        "trained_on": ", but ".join([usual, *(f"{other} ({'; '.join(what[other])})" for other in others)]),
    }


def _spans(seeds: pd.Series) -> str:
    """Write whole numbers as spans: "0–4, 7"."""
    ordered = pd.Series(np.unique(seeds))
    runs = ordered.groupby(ordered - ordered.index).agg(["min", "max"])
    return ", ".join(f"{low}–{high}" if high > low else str(low) for low, high in runs.itertuples(index=False))
