"""Kendall's rank correlation in groups: with intervals over restarts, and where one hyperparameter varies."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from popview.common.errors import of_the_book
from popview.statistics.jackknife import jackknife
from popview.statistics.results import Result, aligned_samples, finite_array, interval_columns

if TYPE_CHECKING:
    import pandas as pd


def kendall(x: ArrayLike, y: ArrayLike, *, level: float = 0.95, unit: str = "restart") -> Result:
    """Return Kendall's τ_b of two columns, with the jackknife's interval over their rows; see `mean_kendall`.

    Of two pandas Series the entries of one label belong together.

    Examples
    --------
    >>> from popview.statistics import kendall
    >>> kendall([1, 2, 3, 4], [1, 3, 2, 4]).estimate
    0.6666666666666666
    """
    first, second = aligned_samples(x, y)
    return mean_kendall(first[None], second[None], level=level, unit=unit)


def mean_kendall(x: ArrayLike, y: ArrayLike, *, level: float = 0.95, unit: str = "restart") -> Result:
    """Return the mean over groups of Kendall's τ_b within each, with an interval over the rows that groups share.

    Row i of every group is the same restart, such as that of seed i by another algorithm, so that the groups are not
    independent: the jackknife leaves row i out of all of them at once.

    Parameters
    ----------
    x, y : array_like, shape (groups, rows)
    level : float
    unit : str

    Returns
    -------
    Result
        `n` counts the rows. NaN without interval where a column is constant in every group; groups where one is are
        left out.

    Raises
    ------
    ValueError
        Where shapes differ, there are fewer than three rows, or a value is not finite.

    References
    ----------
    Kendall 1945, Biometrika 33, 239: ties. Arvesen 1969, Annals of Mathematical Statistics 40, 2076: the jackknife.

    Examples
    --------
    In one group the orders agree, in the other they are opposite:

    >>> from popview.statistics import mean_kendall
    >>> mean_kendall([[1, 2, 3, 4], [1, 2, 3, 4]], [[1, 2, 3, 4], [4, 3, 2, 1]]).estimate
    0.0
    """
    first, second = finite_array(x, "x"), finite_array(y, "y")
    if first.ndim != 2 or first.shape != second.shape or first.shape[1] < 3:
        raise ValueError(f"x and y must both be (groups, rows) of 3 rows or more, got {first.shape}, {second.shape}")
    varies = (np.ptp(first, axis=1) > 0) & (np.ptp(second, axis=1) > 0)
    if not varies.any():
        return Result(np.nan, None, None, (first.shape[1],), unit)
    signs = [np.sign(part[varies][:, :, None] - part[varies][:, None, :]) for part in (first, second)]
    pairs = np.stack([signs[0] * signs[1], signs[0] ** 2, signs[1] ** 2])  # (3, groups, rows, rows)
    rows = pairs.sum(-1)
    whole = rows.sum(-1)
    left = whole[..., None] - 2 * rows
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.nan_to_num(
            left[0] / np.sqrt(left[1] * left[2])
        )  # a column that is constant without row i: no relation
    estimate = float((whole[0] / np.sqrt(whole[1] * whole[2])).mean())
    return jackknife(estimate, out.mean(0), level=level, unit=unit)


def granulated_tau(
    measure: "pd.Series | pd.DataFrame",
    outcome: "pd.Series | pd.DataFrame",
    settings: "pd.DataFrame",
    restart: str | None = None,
) -> "pd.DataFrame":
    """Return Kendall's τ_b between a measure and an outcome where one hyperparameter varies and all others stay.

    A relation over all settings may come from one hyperparameter that moves both. Jiang et al. average τ over the
    groups in which only one varies, and then over the hyperparameters.

    Parameters
    ----------
    measure, outcome : Series or DataFrame
        One value per run; or a column per hyperparameter, of the values that count where that one varies.
    settings : DataFrame
        Of the same index; one column per hyperparameter, and one of seeds where there are several restarts.
    restart : str, optional
        The column of seeds: runs are compared within a seed, and the interval is over seeds.

    Returns
    -------
    DataFrame
        One row per hyperparameter that varies and a last one, "mean": ``hyperparameter, groups`` (in which τ is
        defined), ``tau, low, high`` (95 %), ``p`` (t test of the jackknife); NaN without restarts.

    Raises
    ------
    ValueError
        Where indices differ.

    References
    ----------
    Jiang et al. 2020, arXiv 1912.02178, section 4: Ψ, equations 4 and 5.

    Examples
    --------
    Width moves measure and outcome alike; depth moves them in opposite ways:

    >>> import pandas as pd
    >>> from popview.statistics import granulated_tau
    >>> settings = pd.DataFrame({"width": [1, 1, 2, 2], "depth": [1, 2, 1, 2]})
    >>> measure, outcome = pd.Series([0, 1, 2, 3]), pd.Series([1, 0, 3, 2])
    >>> granulated_tau(measure, outcome, settings)[["hyperparameter", "groups", "tau"]].values.tolist()
    [['width', 2, 1.0], ['depth', 2, -1.0], ['mean', 4, 0.0]]
    """
    if not (measure.index.equals(outcome.index) and measure.index.equals(settings.index)):
        raise ValueError("measure, outcome and settings must have the same index")
    with of_the_book():
        import pandas as pd
    names = [name for name in settings if name != restart and settings[name].nunique() > 1]
    seeds = settings[restart].to_numpy() if restart in settings else np.zeros(len(settings), int)
    rows: list[dict[str, Any]] = []
    for name in names:
        others = [other for other in settings if other != name and (other == restart or other in names)]
        number = (
            settings.groupby(others, sort=False, dropna=False).ngroup().to_numpy()
            if others
            else np.zeros(len(settings), int)
        )
        order = np.argsort(number, kind="stable")
        x, y = (values[name if values.ndim == 2 else slice(None)].to_numpy() for values in (measure, outcome))
        for group in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
            rows.append({"hyperparameter": name, "restart": seeds[group[0]], "tau": _tau(x[group], y[group])})
    taus = pd.DataFrame(rows, columns=["hyperparameter", "restart", "tau"]).dropna(subset="tau")
    said = [_granulated(name, [taus[taus["hyperparameter"] == name]]) for name in names]
    return pd.DataFrame([*said, _granulated("mean", [taus[taus["hyperparameter"] == name] for name in names])])


def _tau(x: np.ndarray, y: np.ndarray) -> float:
    """Return τ_b; NaN where one of the two is constant."""
    x, y = (np.sign(np.subtract.outer(values, values)) for values in (x, y))
    untied = np.square(x).sum() * np.square(y).sum()
    return float((x * y).sum() / np.sqrt(untied)) if untied else np.nan


def _granulated(name: str, parts: list["pd.DataFrame"]) -> dict[str, Any]:
    """Return one row of `granulated_tau`: the mean over hyperparameters of the means over groups."""
    parts = [part for part in parts if len(part)]
    groups = sum(len(part) for part in parts)
    row: dict[str, Any] = {
        "hyperparameter": name,
        "groups": groups,
        **dict.fromkeys(("tau", "low", "high", "p"), np.nan),
    }
    if not parts:
        return row
    row["tau"] = float(np.mean([part["tau"].mean() for part in parts]))
    restarts = sorted({seed for part in parts for seed in part["restart"]})
    if len(restarts) > 2:
        out = [np.mean([part.loc[part["restart"] != seed, "tau"].mean() for part in parts]) for seed in restarts]
        if np.isfinite(out).all():
            result = jackknife(row["tau"], out)
            row |= interval_columns(result) | {"p": result.p_value}
    return row
