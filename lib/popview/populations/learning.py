"""Whether the loss still tells a better model: what the second half of training gains, and how loss and score go
together there."""

import numpy as np
import pandas as pd
import scipy.stats

from popview.populations.selection import mean_with_interval, rank_correlation

#: What `second_half` says of a restart.
READINGS = ("gain", "tau", "tau_without_trend")


def second_half(trajectories: pd.DataFrame, value: str = "test_metric") -> pd.DataFrame:
    """Return what each restart gains in the second half of its epochs, and how loss and score go together there.

    A loss that falls while the score rises agrees with it at every pair of checkpoints, even where nothing but time
    connects the two. So the agreement is given without the trend, too: the straight line through the second half is
    taken from the loss, and another one from the score, and what is left is ranked.

    Parameters
    ----------
    trajectories : DataFrame
        Of one task and variant, as `popview.populations.tables.load_trajectories` returns it.
    value : str
        Column of the score.

    Returns
    -------
    DataFrame
        One row per restart: ``algorithm, seed, gain`` (by the least-squares line, over the second half, in the unit of
        the score), ``tau`` (Kendall's τ_b of −training loss and the score), ``tau_without_trend``. The last two are
        NaN where the score is constant, or the loss takes fewer than `popview.populations.selection.FEWEST_LOSSES`
        values; all are NaN where a restart has fewer than three finite checkpoints.

    Examples
    --------
    >>> import pandas as pd
    >>> from popview.populations.learning import second_half
    >>> epochs = list(range(11))
    >>> rows = {"algorithm": "SGD", "seed": 0, "epoch": epochs, "train_loss": [1 - e / 20 for e in epochs]}
    >>> restart = pd.DataFrame(rows | {"test_metric": [e / 20 for e in epochs]})
    >>> second_half(restart)[["gain", "tau"]].round(2).to_dict("records")
    [{'gain': 0.25, 'tau': 1.0}]
    """
    halves = trajectories.groupby("algorithm")["epoch"].max() / 2  # annealed, SAM has half of the epochs
    late = trajectories[trajectories["epoch"] >= trajectories["algorithm"].map(halves)]
    gains, rest = [], []
    for (algorithm, seed), rows in late[np.isfinite(late[["train_loss", value]]).all(axis=1)].groupby(
        ["algorithm", "seed"], sort=False
    ):
        slope = np.nan
        if len(rows) > 2:
            lines = {name: scipy.stats.linregress(rows["epoch"], rows[name]) for name in ("train_loss", value)}
            slope = lines[value].slope
            fits = {name: line.intercept + line.slope * rows["epoch"] for name, line in lines.items()}
            rest.append(rows.assign(**{name: rows[name] - fit for name, fit in fits.items()}))
        gains.append({"algorithm": str(algorithm), "seed": int(seed), "gain": slope * halves[algorithm]})
    found = pd.DataFrame(gains, columns=["algorithm", "seed", "gain"])
    parts = {"tau": late, "tau_without_trend": pd.concat([late[:0], *rest])}
    for name, rows in parts.items():
        values = (
            rank_correlation(rows, value).rename_axis(columns="algorithm").melt(value_name=name, ignore_index=False)
        )
        found = found.merge(values.reset_index(), how="left", on=["algorithm", "seed"])
    return found.assign(tau_without_trend=found["tau_without_trend"].where(found["tau"].notna()))


def second_halves(trajectories: pd.DataFrame, margin: float, value: str = "test_metric") -> pd.DataFrame:
    """Return the mean of `second_half` over restarts, and whether an algorithm was still learning there.

    Parameters
    ----------
    trajectories, value
        As for `second_half`.
    margin : float
        Of equivalence, in the unit of the score.

    Returns
    -------
    DataFrame
        One row per algorithm: ``algorithm, restarts``; of each of `READINGS` its mean under its own name, and
        ``<name>_low, <name>_high`` of Student's 95 % interval, that of a τ cut at −1 and 1; ``learning``: whether the
        mean gain is above the margin.
    """
    found = second_half(trajectories, value)
    table = pd.DataFrame({"algorithm": list(dict.fromkeys(trajectories["algorithm"]))})
    table["restarts"] = table["algorithm"].map(found.groupby("algorithm")["seed"].nunique()).fillna(0).astype(int)
    for name in READINGS:
        wide = found.pivot(index="seed", columns="algorithm", values=name).reindex(columns=table["algorithm"])
        means = mean_with_interval(wide)
        if name != "gain":  # a rank correlation ends at −1 and 1
            means[["low", "high"]] = means[["low", "high"]].clip(-1, 1)
        table[[name, f"{name}_low", f"{name}_high"]] = means[["mean", "low", "high"]].to_numpy()
    return table.assign(learning=table["gain"] > margin)
