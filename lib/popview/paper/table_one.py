"""Table 1 of the paper, computed: eight algorithms on three landscapes, under any protocol, beside the printed cells.

The paper states 500 restarts and no more: neither domain nor step size, iterations, noise radius or the radius within
which an end point counts as a minimum. A *protocol* here is one choice of all of these.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar
from torch import Tensor

from popview.landscapes import Landscape, two_well
from popview.landscapes.restarts import Sample, sample, sample_each
from popview.paper import printed as paper_tables
from popview.statistics import holm, proportion

ALGORITHMS = ("GD", "NiG-GD", "NiM-GD", "SAM", "NiG-BH", "NiM-BH", "NiG-MBH", "NiM-MBH")

#: Landscape → the printed columns, in the order of `Landscape.minima` (by value, then trace, then x); then "Else".
COLUMNS = {
    "himmelblau": ("GM1", "GM2", "GM3", "GM4"),
    "three-hump-camel": ("GM", "LM1", "LM2"),
    "six-hump-camel": ("GM1", "GM2", "LM1", "LM2", "LM3", "LM4"),
}

#: Pairs of six-hump and three-hump columns that the symmetry f(−w) = f(w) makes equal in expectation.
PAIRS = {"three-hump-camel": (("LM1", "LM2"),), "six-hump-camel": (("GM1", "GM2"), ("LM1", "LM2"), ("LM3", "LM4"))}


@dataclass(frozen=True)
class Protocol:
    """Everything that the paper leaves open about Table 1, and the number of restarts.

    Attributes
    ----------
    normalized : bool
        Follow ĝ = g/‖g‖ (eq. 1) instead of g.
    lr : float
    iterations : int
    domain : tuple of (low, high), or None
        Of the uniform starts; None for the landscape's own.
    radius : float
        Within which an end point counts as a minimum.
    rho, tau, epsilon
        See `popview.optimizers`.

    Examples
    --------
    >>> from popview.paper.table_one import Protocol
    >>> ends = Protocol(restarts=20, iterations=50).sample("himmelblau", "SAM")
    >>> ends.ends.shape, ends.gradient_evaluations[0].item()
    (torch.Size([20, 2]), 100)
    """

    normalized: bool = True
    lr: float = 0.01
    iterations: int = 1000
    domain: tuple[tuple[float, float], ...] | None = ((-5.0, 5.0), (-5.0, 5.0))
    radius: float = 0.1
    rho: float = 0.1
    tau: int = 50
    epsilon: float = 1e-3
    restarts: int = 500

    def sample(self, landscape: str, algorithm: str, seed: int = 0, record_every: int | None = None) -> Sample:
        """Run one cell's restarts."""
        return sample(algorithm=algorithm, seed=seed, record_every=record_every, **self.settings(landscape, algorithm))

    def settings(self, landscape: str | Landscape, algorithm: str) -> dict[str, Any]:
        """Return one cell's settings, as `popview.stationary.sample` and `sample_each` take them."""
        noise = {} if algorithm == "GD" else {"rho": self.rho}
        hops = {"tau": self.tau, "epsilon": self.epsilon} if algorithm.endswith("BH") or "NiM" in algorithm else {}
        own = {name: getattr(self, name) for name in ("restarts", "iterations", "domain", "lr", "normalized")}
        return {"landscape": landscape, **own, **noise, **hops}


def run_cells(
    protocols: Iterable[Protocol], landscapes: Sequence[str | Landscape] = tuple(COLUMNS), seed: int = 0
) -> list[Sample]:
    """Run the eight algorithms on landscapes under protocols; what can be one population is (`sample_each`).

    Returns
    -------
    list of Sample
        Protocol by protocol, landscape by landscape, algorithm by algorithm: what `Protocol.sample` returns for each.

    Examples
    --------
    >>> from popview.paper.table_one import Protocol, run_cells
    >>> samples = run_cells([Protocol(restarts=20, iterations=50)])
    >>> len(samples), samples[8].landscape.name, samples[8].algorithm
    (24, 'three-hump-camel', 'GD')
    """
    protocols = list(protocols)
    columns = [
        sample_each(a, [p.settings(landscape, a) for p in protocols for landscape in landscapes], seed=seed)
        for a in ALGORITHMS
    ]
    return [s for row in zip(*columns, strict=True) for s in row]


def cells(samples: Iterable[Sample], radius: float) -> pd.DataFrame:
    """Tabulate samples as Table 1 does, with 95 % Wilson intervals and the printed value beside each cell.

    Returns
    -------
    DataFrame
        One row per algorithm, landscape and column: ``count, percent, low, high`` (in percent; classified by radius),
        ``basin`` (percent, classified by basin of attraction), ``restarts``, ``printed`` (NaN where illegible).
        Columns are the minima, "Else" (near none) and "Diverged". The paper's Else includes what diverged, if
        anything did.
    """
    printed = paper_tables.printed_table("1").set_index(["algorithm", "landscape", "column"])
    rows = []
    for s in samples:
        by_radius, by_basin, n = s.counts_by_radius(radius), s.counts_by_basin(), len(s.ends)
        for i, column in enumerate((*COLUMNS[s.landscape.name], "Else", "Diverged")):
            count = int(by_radius[i])
            low, high = proportion(count, n).interval or (np.nan, np.nan)
            row = {"algorithm": s.algorithm, "landscape": s.landscape.name, "column": column, "count": count}
            row |= {"percent": 100 * count / n, "low": 100 * low, "high": 100 * high}
            row |= {"basin": 100 * int(by_basin[i]) / n, "restarts": n}
            key = (s.algorithm, s.landscape.name, column)
            if key in printed.index:
                row |= printed.loc[key, ["percent", "legible"]].set_axis(["printed", "legible"]).to_dict()
            rows.append(row)
    return pd.DataFrame(rows)


def against_printed(table: pd.DataFrame, printed_restarts: int = 500) -> pd.DataFrame:
    """Say for each row of a table from `cells` how far it is from the printed one.

    Cells that are illegible in the text at hand, Else and what diverged are lumped into one remainder on both sides.

    Returns
    -------
    DataFrame
        Per algorithm and landscape: ``distance`` (total variation in percentage points: what share of the restarts
        would have to move), ``p_value`` (χ² test that both rows come from one distribution, the printed percentages
        taken as counts of `printed_restarts`), ``legible`` (cells compared).
    """
    rows = []
    for (algorithm, landscape), row in table.groupby(["algorithm", "landscape"], sort=False):
        named = row[row["printed"].notna() & ~row["column"].isin(["Else", "Diverged"])]
        ours = np.append(named["percent"], 100 - named["percent"].sum())
        theirs = np.append(named["printed"], max(0.0, 100 - named["printed"].sum()))
        counts = np.rint(np.stack([ours / 100 * row["restarts"].iloc[0], theirs / 100 * printed_restarts]))
        counts = counts[:, counts.sum(0) > 0]
        p_value = scipy.stats.chi2_contingency(counts).pvalue if counts.shape[1] > 1 else 1.0
        rows.append(
            {
                "algorithm": algorithm,
                "landscape": landscape,
                "distance": np.abs(ours - theirs).sum() / 2,
                "p_value": float(p_value),
                "legible": len(named),
            }
        )
    return pd.DataFrame(rows)


def grid(choices: dict[str, tuple], *, radii: tuple[float, ...], restarts: int, seed: int = 0) -> pd.DataFrame:
    """Compare every printed row with every protocol of a grid.

    Parameters
    ----------
    choices : dict
        Field of `Protocol` → values to try.
    radii : tuple of float
        Classification radii, tried on the same runs.

    Returns
    -------
    DataFrame
        The columns of `against_printed` and the protocol's fields; one row per algorithm, landscape and protocol.
    """
    protocols = [
        Protocol(restarts=restarts, **dict(zip(choices, values, strict=True)))
        for values in itertools.product(*choices.values())
    ]
    samples, compared = iter(run_cells(protocols, seed=seed)), []
    for protocol in protocols:
        own = [next(samples) for _ in range(len(COLUMNS) * len(ALGORITHMS))]
        settings = {k: v for k, v in asdict(protocol).items() if k not in ("radius", "restarts")}
        settings["domain"] = str(protocol.domain)
        tables = [against_printed(cells(own, radius)).assign(radius=radius, **settings) for radius in radii]
        compared.append(pd.concat(tables).sort_index(kind="stable"))  # radius by radius for each row
    return pd.concat(compared, ignore_index=True)


def closest(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return for each printed row the protocol of a `grid` that comes closest in total variation."""
    best = comparisons.groupby(["landscape", "algorithm"], sort=False)["distance"].idxmin()
    return comparisons.loc[best].reset_index(drop=True)


def symmetry(table: pd.DataFrame, value: str, restarts: int) -> pd.DataFrame:
    """Test whether columns paired by the symmetry f(−w) = f(w) are equal, as any symmetric domain demands.

    Given how many restarts reached either minimum of a pair, the number that reached the first is binomial with
    probability ½, if starts and noise are symmetric about the origin: an exact two-sided binomial test.

    Parameters
    ----------
    table : DataFrame
        As `cells` returns it.
    value : {"percent", "printed"}
    restarts : int
        Number that turns percentages into counts (rounded to whole restarts).

    Returns
    -------
    DataFrame
        One row per algorithm, landscape and pair with both cells legible: the two values and ``p_value``.
    """
    rows = []
    for (algorithm, landscape), row in table.groupby(["algorithm", "landscape"], sort=False):
        cell = row.set_index("column")[value]
        for first, second in PAIRS.get(str(landscape), ()):
            a, b = (round(cell[c] / 100 * restarts) if pd.notna(cell[c]) else None for c in (first, second))
            if a is None or b is None:
                continue
            found = {"algorithm": algorithm, "landscape": landscape, "pair": f"{first} – {second}"}
            found |= {"first": cell[first], "second": cell[second]}
            rows.append(found | {"p_value": scipy.stats.binomtest(a, a + b).pvalue if a + b else 1.0})
    return pd.DataFrame(rows)


def wide_well(samples: Iterable[Sample], radius: float = 0.2) -> pd.DataFrame:
    """Tabulate where restarts end on `two_well` landscapes: in the wide well, in the narrow one, or at the saddle.

    The starts are drawn so that gradient flow sends half of them to either well. An algorithm's preference is the
    deviation from ½ among the restarts that end in a basin, tested by an exact binomial test. Restarts that end within
    `radius` of the saddle are in neither: SAM leaves many there, all on one side, and their basin says nothing.

    Starts are shared: McNemar's exact test compares with GD from the same starts, whichever were drawn.

    Parameters
    ----------
    samples : iterable of Sample
        From the same starts on a landscape; of GD's, if it is among them, the ends say to which well a start belongs.
    radius : float

    Returns
    -------
    DataFrame
        ``algorithm, dimension, depth`` (how much higher the narrow well lies), ``restarts`` and, of these, ``wide,
        narrow, saddle, diverged`` (counts); ``saddle_wide, saddle_narrow``: those at the saddle that began where GD
        ends in either well (NaN without GD); ``share`` of wide among wide and narrow with its 95 % Wilson interval
        ``low, high`` (in percent; NaN where none ended in a basin), ``p_value``, ``noise_triggers`` (mean a restart).
        With GD among the samples: ``paired`` (restarts that end in a well as GD's do), ``to_wide, to_narrow`` (of
        these, those in the other well than GD's), ``moved, moved_low, moved_high`` (their share with its 95 % Wilson
        interval, in percent), ``paired_p`` (McNemar 1947; NaN for GD itself).
    """
    samples, rows = list(samples), []
    plain = {_place(s): s for s in samples if s.algorithm == "GD"}
    for s in samples:
        first, second = s.landscape.minima
        wide, narrow = (0, 1) if first.trace < second.trace else (1, 0)
        settled = _settled(s, radius)
        saddle = ~settled & ~s.diverged
        a, b = (int((settled & (s.basin == well)).sum()) for well in (wide, narrow))
        found = proportion(a, a + b) if a + b else None
        low, high = (found and found.interval) or (np.nan, np.nan)
        row = {"algorithm": s.algorithm, "dimension": s.landscape.dimension}
        row |= {"depth": s.landscape.minima[narrow].value - s.landscape.minima[wide].value, "restarts": len(s.ends)}
        row |= {"wide": a, "narrow": b, "saddle": int(saddle.sum()), "diverged": int(s.diverged.sum())}
        began = plain.get(_place(s))
        for name, well in (("saddle_wide", wide), ("saddle_narrow", narrow)):
            row[name] = np.nan if began is None else int((saddle & (began.basin == well)).sum())
        row |= {"share": 100 * a / (a + b) if a + b else np.nan, "low": 100 * low, "high": 100 * high}
        row |= {"p_value": scipy.stats.binomtest(a, a + b).pvalue if a + b else np.nan}
        row |= {"noise_triggers": float(s.noise_triggers.double().mean())}
        rows.append(row | (_moved(s, began, wide, narrow, radius) if began is not None else {}))
    return pd.DataFrame(rows)


def _moved(s: Sample, began: Sample, wide: int, narrow: int, radius: float) -> dict[str, float]:
    """Return the columns of `wide_well` that compare with GD; of GD itself only what is certain: nothing moves."""
    both = _settled(s, radius) & _settled(began, radius)
    gains, losses = (int((both & (s.basin == well) & (began.basin != well)).sum()) for well in (wide, narrow))
    found = proportion(gains + losses, int(both.sum())) if both.any() else None
    low, high = (found and found.interval) or (np.nan, np.nan)
    row: dict[str, float] = {"paired": int(both.sum()), "to_wide": gains, "to_narrow": losses}
    row |= {"moved": 100 * found.estimate if found else np.nan, "moved_low": 100 * low, "moved_high": 100 * high}
    test = np.nan if s is began else float(mcnemar([[0, gains], [losses, 0]], exact=True).pvalue)
    return row | {"paired_p": test}


def _settled(s: Sample, radius: float) -> Tensor:
    """Say of each restart on a two-well landscape whether it ended in a well, away from the saddle."""
    return ((s.ends - s.ends.new_tensor(s.landscape.passes[0])).norm(dim=-1) >= radius) & ~s.diverged


def _place(s: Sample) -> tuple[float, ...]:
    """Return what tells one `two_well` landscape from another."""
    return (s.landscape.dimension, *(minimum.value for minimum in s.landscape.minima))


def preferences(restarts: int, iterations: int, seed: int, lr: float = 0.01) -> pd.DataFrame:
    """Run the eight algorithms on three `two_well` landscapes: equally deep in 2 and in 10 dimensions, unequally in 2.

    Normalised gradients of step `lr`, ρ = 0.3, and where an algorithm has them τ = 50 and ε = 0.001.

    Returns
    -------
    DataFrame
        As `wide_well`, one row per landscape and algorithm, with Holm's p-values over all rows in ``adjusted``, and
        those of ``paired_p`` over all rows but GD's in ``paired_adjusted``.
    """
    protocol = Protocol(lr=lr, iterations=iterations, domain=None, rho=0.3, restarts=restarts)
    wells = [two_well(dimension, depth=depth) for dimension, depth in ((2, 0.0), (10, 0.0), (2, 0.3))]
    table = wide_well(run_cells([protocol], wells, seed)).assign(adjusted=lambda table: holm(table["p_value"]))
    others = table["paired_p"].notna()
    table.loc[others, "paired_adjusted"] = holm(table.loc[others, "paired_p"])
    return table


def at_saddles(samples: Iterable[Sample], radius: float) -> pd.DataFrame:
    """Count, of the end points near no minimum ("Else"), those within `radius` of a saddle that separates basins."""
    rows = []
    for s in samples:
        left = s.ends[(s.distance > radius) & ~s.diverged]
        away = (left.unsqueeze(1) - left.new_tensor(s.landscape.saddles)).norm(dim=-1)
        beside = int((away.amin(dim=1) <= radius).sum()) if len(left) else 0
        rows.append({"algorithm": s.algorithm, "landscape": s.landscape.name, "else": len(left), "at a saddle": beside})
    return pd.DataFrame(rows)
