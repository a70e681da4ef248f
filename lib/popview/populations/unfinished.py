"""Whether training had ended when the epochs did: restarts on the plateau of the start, and curves that still climb."""

import numpy as np
import pandas as pd

from popview.populations.checkpoints import final
from popview.populations.comparisons import paired_difference
from popview.statistics import proportion
from popview.statistics.results import interval_columns

#: The part of the epochs, at the end, over which the slope of a curve is taken.
LATE = 0.25


def late_gains(trajectories: pd.DataFrame, value: str = "validation_metric") -> pd.DataFrame:
    """Return what each restart gains over the last quarter of its epochs, by the least-squares line through that part.

    Returns
    -------
    DataFrame
        Rows: seeds; columns: algorithms. NaN where fewer than two checkpoints lie in that part.
    """
    ends = trajectories.groupby("algorithm", sort=False)["epoch"].max()  # annealed, SAM has half of the epochs
    last = trajectories["algorithm"].map(ends)
    late = trajectories[(trajectories["epoch"] >= (1 - LATE) * last) & np.isfinite(trajectories[value])]
    gains: dict[str, dict[int, float]] = {str(name): {} for name in ends.index}
    for (name, seed), rows in late.groupby(["algorithm", "seed"], sort=False):
        if rows["epoch"].nunique() > 1:
            gains[str(name)][int(seed)] = np.polyfit(rows["epoch"], rows[value], 1)[0] * LATE * ends[name]
    seeds = pd.Index(sorted(trajectories["seed"].unique()), name="seed")
    return pd.DataFrame(gains, index=seeds).rename_axis(columns="algorithm")


def unfinished(trajectories: pd.DataFrame, margin: float, reference: str = "SGD") -> pd.DataFrame:
    """Say of each algorithm whether its training at this setting had ended, by the reference's.

    A restart is on the plateau if its last model's test metric is below half of the reference's mean. Curves climb
    if over the last quarter of the epochs they gain more than the reference's of the same seeds: by more than the
    margin, with a 95 % interval above zero. An algorithm is unfinished if its curves climb or a restart is on the
    plateau. Where some restarts have left the plateau and others not, no restart is near the mean: there is the share
    of those that left it, and their difference to the reference's.

    Parameters
    ----------
    trajectories : DataFrame
        Of one task and variant, as `popview.populations.tables.load_trajectories` returns it.
    margin : float
        Of equivalence.
    reference : str

    Returns
    -------
    DataFrame
        One row per other algorithm: ``algorithm, restarts, left`` (restarts that are not on the plateau), ``share,
        share_low, share_high`` (of these, with Wilson's 95 % interval), ``gain, gain_low, gain_high`` (how much more
        than the reference's the curves gain, paired by seed), ``difference, difference_low, difference_high`` (of the
        restarts that left the plateau to the reference's of the same seeds; NaN where fewer than two did),
        ``on_plateau, climbs, unfinished`` (bool). Without rows where the reference is missing.
    """
    values, rows = final(trajectories), []
    if reference not in values:
        return pd.DataFrame(columns=["algorithm", "unfinished"])
    gains, half = late_gains(trajectories), values[reference].mean() / 2
    for name in values.columns.drop(reference):
        both = values[[name, reference]].dropna()
        if both.empty:
            continue
        left = both[name] >= half
        row = {"algorithm": name, "restarts": len(both), "left": int(left.sum())}
        share = proportion(int(left.sum()), len(both))
        row |= {"share": share.estimate, **interval_columns(share, "share_")}
        paired = gains.loc[gains.index.intersection(both.index), [name, reference]].dropna()
        there = both[left]
        for said, part in (("gain", paired), ("difference", there)):
            found = paired_difference(part[name], part[reference])
            row |= {said: found["difference"], f"{said}_low": found["low"], f"{said}_high": found["high"]}
        row["on_plateau"] = not left.all()
        row["climbs"] = bool(row["gain"] > margin and row["gain_low"] > 0)
        rows.append(row | {"unfinished": row["on_plateau"] or row["climbs"]})
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["algorithm", "unfinished"])
