"""Comparisons of algorithms, one value per restart: whole families, their verdicts, and what they could have found."""

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

import numpy as np
import pandas as pd

from popview.common.errors import UsageError, check_name
from popview.populations.checkpoints import per_restart
from popview.populations.pooled import pairwise
from popview.populations.tables import PAPER_FAMILY
from popview.runs.own import is_own
from popview.statistics import FEWEST_SIGNS, compare, detectable_effect, mean_difference
from popview.statistics.results import Array, constant, interval_columns

#: A test rejects where its p-value, adjusted where it is one of several, is at most this.
ALPHA = 0.05

#: Compared with SGD as one Holm family each: the paper's five algorithms; then references and both monotonic ones. All
#: other algorithms are a family of their own, "others": one that is added changes no p-value of these.
SECOND_FAMILY = ("NiG-MBH", "NiM-MBH", "AdamW", "SWA", "SGLD")
FAMILIES = {"the paper's": PAPER_FAMILY, "second": SECOND_FAMILY}

#: The paper's abstract: all of these perform on par with SAM.
SAM_PAIRS = tuple((name, "SAM") for name in ("SGD", *PAPER_FAMILY) if name != "SAM")

#: Column that two algorithms can be compared by → whether more of it is better.
HIGHER_IS_BETTER = {
    "test_metric": True,
    "validation_metric": True,
    "test_loss": False,
    "validation_loss": False,
    "train_loss": False,
}


def joined_later(algorithm: str) -> bool:
    """Say of an algorithm whether it is neither SGD nor in one of `FAMILIES`.

    Examples
    --------
    >>> from popview.populations.comparisons import joined_later
    >>> joined_later("SAM"), joined_later("Lion")
    (False, True)
    """
    return algorithm != "SGD" and not any(algorithm in members for members in FAMILIES.values())


def sorted_into_families(algorithms: Iterable[str]) -> dict[str, list[str]]:
    """Return which of some algorithms belong to each of `FAMILIES`; of the rest, "others" and a reader's "your own"."""
    known = list(dict.fromkeys(algorithms))
    members = {family: [name for name in whole if name in known] for family, whole in FAMILIES.items()}
    later = [name for name in known if joined_later(name)]
    mine = {"your own": [name for name in later if is_own(name)]}
    return members | {"others": [name for name in later if not is_own(name)]} | (mine if mine["your own"] else {})


def against(
    values: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    margin: float | None,
    *,
    higher_is_better: bool = True,
    family_size: int | None = None,
) -> pd.DataFrame:
    """Compare pairs of algorithms as one Holm family, on one value per restart; see `popview.statistics.compare`.

    All are paired by seed, for seeds, and so splits and orders, are shared by design: sign flips from 8 restarts on,
    the t test below; equivalence by t tests at any number.

    Parameters
    ----------
    values : DataFrame
        Rows: seeds; columns: algorithms. A seed that lacks one of those in `pairs` is left out.
    pairs : sequence of (str, str)
        First against second; positive estimates are first minus second.
    margin : float, optional
        Of equivalence.
    higher_is_better : bool
        False for losses.
    family_size : int, optional
        Where the family has more members than `pairs`: those that have not been run count as p = 1.

    Returns
    -------
    DataFrame
        ``comparison, a, b, restarts, test, correlation`` (Pearson's, between the values of a seed), ``difference,
        difference_low, difference_high`` (of means, which the tests are about, with its 95 % t interval, paired by
        seed), ``estimate, low, high`` (Hodges–Lehmann shift), ``p, adjusted_p, smallest_adjusted_p`` (that
        could have come out), ``equivalence_p, margin, a12, a12_low, a12_high, detectable`` (the difference of means
        found with probability 0.8 at the level of Holm's first rejection, given the spread that was seen; infinite
        where none can be), ``verdict, direction`` (the word of `popview.statistics.Verdict`, and where the estimate
        lies: "better", "worse" or "level").

    Raises
    ------
    UsageError
        If an algorithm is not among the values, or fewer than two restarts have all of them.
    """
    named = list(dict.fromkeys(name for pair in pairs for name in pair))
    for name in named:
        check_name("algorithm", name, list(values))
    complete = values[named].dropna().sort_index()  # the random relabellings, and so p, depend on the order of seeds
    if len(complete) < 2:
        raise UsageError(f"a comparison needs 2 restarts or more, got {len(complete)}: ask for more restarts")
    groups = {str(name): complete[name].to_numpy() for name in complete.columns}
    rows = []
    size = len(pairs) if family_size is None else family_size
    found = compare(groups, pairs, margin=margin, higher_is_better=higher_is_better, paired=True, family_size=size)
    for (a, b), c in found.items():
        difference = mean_difference(groups[a], groups[b], paired=True)
        rows.append(
            {
                "comparison": f"{a} – {b}",
                "a": a,
                "b": b,
                "restarts": len(complete),
                "test": "sign flips" if len(complete) >= FEWEST_SIGNS else "paired t",
                "correlation": _correlation(groups[a], groups[b]),
                "difference": c.test.estimate,
                **interval_columns(difference, "difference_"),
                "estimate": c.shift.estimate,
                **interval_columns(c.shift),
                "p": c.test.p_value,
                "adjusted_p": c.adjusted_p,
                "smallest_adjusted_p": c.smallest_adjusted_p,
                "equivalence_p": c.equivalence.p_value if c.equivalence else np.nan,
                "margin": np.nan if margin is None else margin,
                "a12": c.a12.estimate,
                **interval_columns(c.a12, "a12_"),
                "detectable": _detectable(groups[a] - groups[b], size),
                "verdict": c.verdict.word,
                "direction": c.verdict.direction,
            }
        )
    return pd.DataFrame(rows)


def against_apart(
    values: pd.DataFrame, pairs: Sequence[tuple[str, str]], sides: Sequence[int], margin: float | None, **options: Any
) -> pd.DataFrame:
    """Compare pairs as several Holm families: those of algorithms that are in `FAMILIES`, and those that joined later.

    Parameters
    ----------
    values, pairs, margin, **options
        As in `against`.
    sides : sequence of int
        The family of each pair: whether one of its algorithms `joined_later`, say.

    Returns
    -------
    DataFrame
        As `against`, in the order of the pairs.
    """
    frames = []
    for side in sorted(set(sides)):
        places = [place for place, one in enumerate(sides) if one == side]
        found = against(values, [pairs[place] for place in places], margin, **options)
        frames.append(found.set_axis(places))
    return pd.concat(frames).sort_index()


def against_reference(values: pd.DataFrame, margin: float | None, *, planned: Iterable[str] = ()) -> pd.DataFrame:
    """Compare every algorithm with SGD, in its family, as far as they have been run: see `sorted_into_families`.

    Parameters
    ----------
    values, margin
        As in `against`.
    planned : iterable of str
        The algorithms of the profile: they belong to their family before they have been run, lest a verdict be taken
        back when they arrive.

    Returns
    -------
    DataFrame
        As `against`, after ``family``; without rows where SGD or all others have not been run.
    """
    known = sorted_into_families([*planned, *values])
    families = {family: [(name, "SGD") for name in members] for family, members in known.items()}
    return _in_families(values, margin, families)


def repeated(values: pd.DataFrame, margin: float | None, first: int, *, planned: Iterable[str] = ()) -> pd.DataFrame:
    """Compare with SGD by the first restarts alone, by those after them, and by all: does the later part repeat it?

    Parameters
    ----------
    values, margin, planned
        As in `against_reference`.
    first : int
        How many seeds, the lowest, are the first ones.

    Returns
    -------
    DataFrame
        As `against_reference`, after ``part`` ("first", "later" or "all") and ``change, change_low, change_high``: how
        much larger the difference of the later restarts is, with Welch's 95 % interval. Without rows where fewer came
        later than first, and without a reader's own optimizers that lack a seed.

    Raises
    ------
    UsageError
        If `first` is below 2.
    """
    if first < 2:
        raise UsageError(f"the first restarts to look at alone must be 2 or more, got {first}")
    ordered = values[[n for n in values if not is_own(n) or values[n].notna().all()]].sort_index()
    if len(ordered) < 2 * first:
        return pd.DataFrame()
    parts = {"first": ordered[:first], "later": ordered[first:], "all": ordered}
    frames = [against_reference(some, margin, planned=planned).assign(part=part) for part, some in parts.items()]
    table = pd.concat(frames, ignore_index=True)
    if table.empty:
        return table
    changes = []
    for a, b in table[["a", "b"]].drop_duplicates().itertuples(index=False):
        found = mean_difference(*((parts[part][a] - parts[part][b]).dropna() for part in ("later", "first")))
        changes.append({"a": a, "b": b, "change": found.estimate, **interval_columns(found, "change_")})
    return table.merge(pd.DataFrame(changes), on=["a", "b"], validate="many_to_one")


def paired_difference(ours: pd.Series, theirs: pd.Series) -> dict[str, Any]:
    """Compare two scores by their index, such as the seed, over what both have.

    Returns
    -------
    dict
        ``restarts, mean`` (ours), ``difference, low, high`` (95 % t interval), ``p`` (paired t test, unadjusted); the
        last four are NaN where there are fewer than two pairs.
    """
    both = pd.concat([ours, theirs], axis=1, keys=["ours", "theirs"]).dropna()
    row = {"restarts": len(both), "mean": both["ours"].mean()}
    if len(both) < 2:
        return row | dict.fromkeys(("difference", "low", "high", "p"), np.nan)
    found = mean_difference(both["ours"].to_numpy(), both["theirs"].to_numpy(), paired=True)
    return row | {"difference": found.estimate, **interval_columns(found), "p": found.p_value}


def against_sam(values: pd.DataFrame, margin: float | None) -> pd.DataFrame:
    """Compare SGD and the paper's others with SAM, as far as they have been run: `SAM_PAIRS`, one Holm family.

    Returns
    -------
    DataFrame
        As `against_reference`; without rows where SAM or all others have not been run.
    """
    return _in_families(values, margin, {"the paper's": SAM_PAIRS})


def _in_families(
    values: pd.DataFrame, margin: float | None, families: Mapping[str, Sequence[tuple[str, str]]]
) -> pd.DataFrame:
    """Compare what has been run of each family; the pairs that have not been count in its size all the same."""
    frames = [pd.DataFrame()]
    for family, pairs in families.items():
        run = [pair for pair in pairs if {*pair} <= {*values}]
        if run:
            table = against(values, run, margin, family_size=len(pairs))
            table.insert(0, "family", family)
            frames.append(table)
    return pd.concat(frames, ignore_index=True)


def first_average(trajectories: pd.DataFrame, step: int) -> pd.DataFrame:
    """Return SGD's and SWA's test metric at the step where the first model enters SWA's average.

    The weights of the two are the same there. On a network with BatchNorm the statistics are not: the average's are
    recomputed from training images, SGD's are the running ones. Their difference is what that alone does.

    Returns
    -------
    DataFrame
        Rows: seeds; columns: SGD, SWA; no rows where one of them has no checkpoint at that step.
    """
    rows = trajectories[(trajectories["step"] == step) & trajectories["algorithm"].isin(["SGD", "SWA"])]
    wide = rows.pivot(index="seed", columns="algorithm", values="test_metric")
    return wide.reindex(columns=["SGD", "SWA"]).dropna()


def seed_distances(values: pd.DataFrame, reference: str = "SGD") -> pd.Series:
    """Return how far each algorithm moves a run's value from the reference's run of the same seed.

    The unit is the distance of two runs of the reference with different seeds: root mean square of the paired
    differences, divided by √2 standard deviations of the reference. 0: the same run; 1: as far as another seed.

    Examples
    --------
    >>> import pandas as pd
    >>> from popview.populations.comparisons import seed_distances
    >>> seed_distances(pd.DataFrame({"SGD": [0.0, 2.0], "SAM": [1.0, 1.0]})).round(3).to_dict()
    {'SAM': 0.5}
    """
    other = values.drop(columns=reference)
    apart = other.sub(values[reference], axis=0).pow(2).mean().pow(0.5)
    return apart / (np.sqrt(2) * values[reference].std(ddof=1))


def all_pairs(population: pd.DataFrame, margin: float | None, value: str = "test_metric") -> pd.DataFrame:
    """Compare all pairs of algorithms as one Holm family, with the paper's p-value on pooled models beside.

    Pairs with an algorithm that `joined_later` are a family of their own, those with one of a reader's own another.

    Returns
    -------
    DataFrame
        As `against`, and ``pooled_p``; without rows where there is one algorithm.
    """
    pooled = pairwise(population, list(population["algorithm"].unique()), value)
    if pooled.empty:
        return pooled
    pairs = list(zip(pooled["a"], pooled["b"], strict=True))
    sides = [max(joined_later(name) + is_own(name) for name in pair) for pair in pairs]
    return against_apart(per_restart(population, value), pairs, sides, margin).assign(pooled_p=pooled["pooled_p"])


def beyond_margin(table: pd.DataFrame) -> pd.Series:
    """Say of the comparisons of `against` whether the whole 95 % interval of the difference lies outside the margin."""
    return (table["difference_low"] > table["margin"]) | (table["difference_high"] < -table["margin"])


def log_loss(losses: pd.DataFrame) -> pd.DataFrame:
    """Return the logarithm to base 10 of losses, of 1e-12 where they are below it, and NaN where they are infinite."""
    return np.log10(losses.clip(lower=1e-12).where(np.isfinite(losses)))


def _correlation(a: Array, b: Array) -> float:
    """Return Pearson's correlation, NaN where one of the two is constant."""
    return np.nan if constant(a) or constant(b) else float(np.corrcoef(a, b)[0, 1])


def _detectable(differences: Array, family_size: int) -> float:
    """Return the smallest mean of such differences that the design detects, in the unit of the data."""
    n, signs = len(differences), len(differences) >= FEWEST_SIGNS
    effect = detectable_effect(n, n, family_size=family_size, paired=True, permutation=signs).effect
    spread = differences.std(ddof=1)
    return inf if effect == inf else float(effect * spread)
