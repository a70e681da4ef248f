# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Is any optimizer better than SGD?
#
# **The paper's five optimizers win {glue:text}`wins` of {glue:text}`comparisons` comparisons with stochastic gradient
# descent (SGD).** In {glue:text}`same` the two are the same within a margin that was fixed beforehand (the 95 % interval lies above zero
# in {glue:text}`same-above` of these, below in {glue:text}`same-below`). In {glue:text}`open` the runs are too few to tell. In {glue:text}`losses` SGD is better; of these rivals {glue:text}`losses-why`. Nearest to a win, in points, is {glue:text}`nearest`, {glue:text}`nearest-kind` the margin of {glue:text}`nearest-margin`. A learning rate
# that falls to zero and settings from a larger search, together, gain SGD itself {glue:text}`annealing-worth` (on texts, with a fifth more epochs).
#
# ```{glue:figure} effects
# :name: figure-effects
#
# Each algorithm's last model on the whole test set less SGD's of the same seed, with 95 % intervals; grey: the margin.
# A star: not finished learning when the epochs ended. Annealed: SAM has half of the epochs, SWA keeps its rate.
# ```
#
# Four of the paper's five add noise: to the gradient (NiG) or to the model's weights (NiM), at every step (SGD) or once a hop of
# Basin Hopping (BH). The fifth is sharpness-aware minimization (SAM). The rest is for reference:
# monotonic Basin Hopping (MBH), Adam with decoupled weight decay (AdamW), stochastic weight averaging (SWA), stochastic
# gradient Langevin dynamics (SGLD). Of these, better than SGD: {glue:text}`winners`.
# [How to read this](how-to-read.md): restart, margin, Holm's correction, the four verdicts.

# %% tags=["parameters"]
task: str = "all"  # all that have results, or one: digits, cifar10, cifar100, goemotions, tweeteval
variant: str = "all"  # base (one setting per algorithm, stated in the profile), tuned, annealed, or all
profile: str = "laptop"  # scale of the runs
restarts: int | None = None  # per algorithm; the profile's by default; only digits is ever computed here [2 or more]
per_trajectory: int = 10  # models selected from each trajectory by training loss, the paper's L [1 or more]
first_restarts: int = 5  # restarts compared alone, then again with all; the paper's Tr [2 or more]
own: list[str] = []  # optimizers of your own that have been run, such as mymodule:MyOptimizer; a Holm family apart

# %% tags=["remove-cell"]
import numpy as np
import pandas as pd
from myst_nb import glue

from popview.book import cells, page, style
from popview.book.figures import comparisons as comparison_figures
from popview.book.figures import trajectories as trajectory_figures
from popview.book.names import task_title, with_variant
from popview.book.results import base_setting_chosen, each, margin, planned_comparison, required
from popview.book.tables import comparisons as comparison_tables
from popview.book.tables import confirmed as confirmed_tables
from popview.book.tables import printed as printed_tables
from popview.book.tables import runs as run_tables
from popview.optimizers import hyperparameters
from popview.paper import printed
from popview.populations import (
    averaged_weights,
    checkpoints,
    comparisons,
    confirmation,
    flatness_factors,
    margins,
    outcomes,
    over_tasks,
    pooled,
    restart_spread,
    searched,
    tables,
    time_to_target,
)
from popview.populations.control_arms import at_equal_epochs, control_arms, trajectories_at_equal_epochs
from popview.populations.embedded import train_embedded
from popview.populations.unfinished import unfinished
from popview.runs.annealed import GRADIENTS_A_STEP, AnnealedPlan
from popview.runs.to_come import hours_to_come
from popview.statistics import mean_difference

style.use()
train_embedded(task, variant, profile, restarts)
coverage, results = tables.gather(profile, task, variant, restarts, own=own)
results = required(results, profile, task)
facts = page.facts(profile, results) | {"budget": "equal epochs; annealed, SAM has half"}
measured = outcomes.outcomes_by_case(results, profile)
last = {key: values["last"] for key, values in measured.items()}
against = planned_comparison(last, profile)
late = each(results, profile, unfinished)
open_ended = set(late.loc[late["unfinished"], ["task", "variant", "algorithm"]].itertuples(index=False, name=None))

decided = confirmation.decisions()
fresh = confirmation.confirmed_tasks(profile, decided, task)
by_margin = margins.confirmed_by_margin(fresh, decided)
confirmed = by_margin[by_margin["decided"]].reset_index(drop=True) if len(by_margin) else by_margin
constant = {name: last[name, "base"] for name in fresh if (name, "base") in last}
scattered = confirmation.spreads_by_task(fresh, constant)

# %% [markdown]
# ## On CIFAR-10 and Digits a searched, falling rate gains more than another optimizer
#
# At a constant learning rate the last model jumps about. SWA averages the weights along SGD's run, which gains
# {glue:text}`swa-gains`. The mean of ten checkpoints that SGD passed anyway gives as much: on the test sample SWA less that mean is
# {glue:text}`swa-averages`. Better than both is an annealed learning rate, which warms up and then falls along a cosine. On CIFAR-10 and Digits its runs also scatter less.
#
# ````{table} What SGD gains by an annealed learning rate with searched settings, in points on the whole test set with 95 % t intervals (unequal variances; the seeds differ), and how far its runs scatter (standard deviation, SD). Searched, constant rate: the best of six trials.
# :name: table-annealing
# ```{glue:md} annealing
# :format: myst
# ```
# ````
#
# These gains are the schedule's and the search's together: 28 settings were tried instead of one or six. What the decay alone gives, at default settings,
# [these runs cannot tell](population.ipynb): {glue:text}`decay-alone` on CIFAR-10. The annealed runs on texts
# are a fifth longer. On GoEmotions the output's biases also start at the labels' frequencies.
#
# With an annealed rate rivals are better than SGD in {glue:text}`annealed-better` of {glue:text}`annealed-judged` comparisons:
# {glue:text}`annealed-complete` ([numbers](table-confirmed)). {glue:text}`annealed-searched`. The other rivals use SGD's learning
# rate and their default ρ; a larger rate makes NiG's noise larger. SAM pays two gradients a step, and so has half the epochs. NiM-SGD
# pays a second gradient where its noise fires, and nothing was taken off for it: {glue:text}`nim-price` times SGD's gradients. With half the
# epochs SAM is {glue:text}`sam-half-epochs` from SGD. With as many epochs as SGD, twice its gradients and the same settings it is
# {glue:text}`sam-equal-epochs` ([control arms](table-arms)). So most of what it lacks on CIFAR-10 is the price of its steps. On CIFAR-10 its search chose the smallest of four ρ, and the
# validation loss still fell there: a smaller one may do better. AdamW on GoEmotions was still far
# behind at a constant rate, with six trials: {glue:text}`adamw-before` from SGD. Annealed it is {glue:text}`adamw-now`.

# %% tags=["hide-input", "remove-output"]
ORDER = [*tables.PAPER_FAMILY, *comparisons.SECOND_FAMILY]
ORDER = sorted(ORDER, key=lambda name: (name not in tables.PAPER_FAMILY, name != "SAM"))


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Sort by algorithm as the figures do, algorithms that joined later last."""
    places = {name: place for place, name in enumerate(dict.fromkeys([*ORDER, *table.get("a", ())]))}
    return table.sort_values("a", key=lambda names: names.map(places), kind="stable") if len(table) else table


judged = confirmation.latest(confirmed) if len(confirmed) else pd.DataFrame(columns=["task"])
judged = judged.rename(columns={"low": "difference_low", "high": "difference_high"}).assign(variant="annealed")
settled = set(zip(judged["task"], judged["a"], strict=True))
superseded = [row.variant != "base" and (row.task, row.a) in settled for row in against.itertuples()]
superseded = np.array(superseded, dtype=bool)
shown = pd.concat([against[~superseded], judged], ignore_index=True) if len(judged) else against
page.figure(
    "effects",
    lambda width: comparison_figures.forest(in_order(shown), width, open_ended),
    alt="Differences to SGD with intervals, a panel per task, a line per algorithm. Most lie within the grey margin.",
)

papers = shown[shown["a"].isin(tables.PAPER_FAMILY)] if len(shown) else shown
others = shown.drop(papers.index)
copied = {(*key, name) for key, rows in results.items() for name in checkpoints.copies(rows)}  # SGD under another name
copied |= {(r.task, r.variant, r.a) for r in judged.itertuples() if r.difference_low == r.difference_high == 0}
own_name = [key not in copied for key in papers[["task", "variant", "a"]].itertuples(index=False, name=None)]
papers = papers[np.array(own_name, dtype=bool)]


def named(rows: pd.DataFrame) -> str:
    """Name the algorithms of comparisons, with task and variant."""
    return ", ".join(f"{a} on {with_variant(t, v)}" for a, t, v in rows[["a", "task", "variant"]].to_numpy())


def count(rows: pd.DataFrame, verdict: str) -> int:
    """Count comparisons with a verdict."""
    return int((rows["verdict"] == verdict).sum()) if len(rows) else 0


glue("comparisons", len(papers), display=False)
glue("wins", count(papers, "better") or "none", display=False)
glue("same", count(papers, "equivalent"), display=False)
alike = papers[papers["verdict"] == "equivalent"] if len(papers) else papers
glue("same-above", int((alike["difference_low"] > 0).sum()) if len(alike) else 0, display=False)
glue("same-below", int((alike["difference_high"] < 0).sum()) if len(alike) else 0, display=False)
glue("losses", count(papers, "worse"), display=False)
glue("open", count(papers, "inconclusive"), display=False)
behind = papers[papers["verdict"] == "worse"] if len(papers) else papers
plan = AnnealedPlan(profile, next(iter(fresh), "digits"))


HANDICAPS = (
    "had not finished learning",
    "had half of the epochs",
    "had a ρ that was not searched",
    "had no such handicap",
)


def handicap(key: tuple[str, str, str]) -> str:
    """Say what an algorithm that lost had against it, of task, variant and algorithm."""
    _, kind, name = key
    searched = kind == "tuned" or (kind == "annealed" and name in plan.searched)
    blind = not searched and "rho" in hyperparameters(name)
    held = (key in open_ended, kind == "annealed" and name in GRADIENTS_A_STEP, blind, True)
    return HANDICAPS[held.index(True)]


lost = [handicap(key) for key in behind[["task", "variant", "a"]].itertuples(index=False, name=None)]
glue("losses-why", page.listed(f"{lost.count(words)} {words}" for words in HANDICAPS if words in lost), display=False)
by_setting = [
    f"{name}: {count(rows, 'equivalent')} the same, {count(rows, 'worse')} worse, {count(rows, 'inconclusive')} open"
    for name, rows in (papers.groupby("variant", sort=False) if len(papers) else ())
]
glue("by-setting", "; ".join(by_setting), display=False)
winners = others[others["verdict"] == "better"] if len(others) else others
glue("winners", named(winners) if len(winners) else "none", display=False)


def points(low_high: tuple[float, float] | None, estimate: float) -> str:
    """Write a difference in points with its interval, below a point with two decimals."""
    row = pd.DataFrame([{"mean": estimate, **dict(zip(("low", "high"), low_high or (np.nan, np.nan), strict=True))}])
    return (
        cells.with_interval(row, scale=100, form="+.2f" if row.abs().max(axis=None) < 0.01 else "+.1f")[0] + " points"
    )


def annealed_rivals(rows: pd.DataFrame) -> str:
    """Say of how many of a task's annealed rivals which verdict holds."""
    said = {"equivalent": "the same", "worse": "worse", "better": "better", "inconclusive": "undecided"}
    counts = [f"{number} {words}" for word, words in said.items() if (number := count(rows, word))]
    return f"on {task_title(rows['task'].iloc[0])} {page.listed(counts)}"


MISSING = "not run here yet"
front = papers.loc[[papers["difference"].idxmax()]] if len(papers) else papers
glue(
    "nearest",
    " ".join(
        f"{named(front)}, {points((r.difference_low, r.difference_high), r.difference)}"
        + ", for two gradients a step" * (r.a in GRADIENTS_A_STEP and r.variant != "annealed")
        for r in front.itertuples()
    )
    or MISSING,
    display=False,
)
earlier = {key[0]: values for key, values in last.items() if key[1] == "tuned"}
earlier |= {name: values for name, values in outcomes.superseded_scores(profile).items() if task in ("all", name)}
spread = scattered[scattered["algorithm"] == "SGD"].set_index("task") if len(scattered) else scattered
lines, worth = [], []
for name, values in constant.items():
    line = {"task": task_title(name)}
    for words, others in (
        ("gain over default settings", values),
        ("over a searched, constant rate", earlier.get(name)),
    ):
        if others is not None:
            found = mean_difference(fresh[name]["SGD"].to_numpy(), others["SGD"].to_numpy())
            line[words] = points(found.interval, found.estimate).removesuffix(" points")
            if others is values:
                worth.append(f"{100 * found.estimate:.1f} points on {task_title(name)}")
    line["restarts, default and annealed"] = f"{values['SGD'].count()} and {fresh[name]['SGD'].count()}"
    line |= {f"SD, {kind}": f"{100 * spread.loc[name, f'{kind}_sd']:.1f}" for kind in ("constant", "annealed")}
    lines.append(line)
page.show("annealing", pd.DataFrame(lines).fillna("–") if lines else pd.DataFrame())
changes = flatness_factors.factor_table(flatness_factors.FACTORS, profile, "cifar10")
alone = flatness_factors.arm_differences(changes, "error", ["schedule"]) if len(changes) else pd.DataFrame()
written = [f"{points((-row.high, -row.low), -row.difference)} ({row.restarts} seeds)" for row in alone.itertuples()]
glue("decay-alone", "; ".join(written) or MISSING, display=False)
glue("annealing-worth", "; ".join(worth) or MISSING, display=False)
inside = len(front) > 0 and front["difference_low"].iloc[0] > 0 and front["verdict"].iloc[0] == "equivalent"
glue("nearest-kind", "above zero, but within" if inside else "not shown to be beyond", display=False)
glue("nearest-margin", page.listed(f"±{100 * row.margin:g}" for row in front.itertuples()), display=False)
averages = each(measured, profile, averaged_weights.swa_against_averages)
swa, alike = (
    table.query("a == 'SWA' and task == 'cifar10' and variant == 'base'") if len(table) else table
    for table in (against, averages)
)
for label, rows in (("swa-gains", swa), ("swa-averages", alike)):
    written = [
        f"{points((row.difference_low, row.difference_high), row.difference)} on {task_title(row.task)}"
        for row in rows.itertuples()
    ]
    glue(label, "; ".join(written) or MISSING, display=False)
written = [annealed_rivals(rows) for _, rows in judged.groupby("task", sort=False)]
glue("annealed-complete", "; ".join(written) or MISSING, display=False)
twice = against.merge(judged, on=["task", "variant", "a"]) if len(against) and len(judged) else judged
glue("judged-twice", len(twice), display=False)
glue("judged-alike", int((twice["verdict_x"] == twice["verdict_y"]).sum()) if len(twice) else 0, display=False)
for name, rows in (("before", cells.of_variant(against, "tuned")), ("now", judged)):
    found = rows.query("task == 'goemotions' and a == 'AdamW'") if len(rows) else rows
    written = [points((row.difference_low, row.difference_high), row.difference) for row in found.itertuples()]
    glue(f"adamw-{name}", "; ".join(written) or MISSING, display=False)
prices = {name: confirmation.gradient_ratios(profile, decided, name, list(values)) for name, values in fresh.items()}
paid = [
    f"{page.number(float(price['NiM-SGD']))} on {task_title(name)}"
    for name, price in prices.items()
    if "NiM-SGD" in price
]
glue("nim-price", page.listed(paid), display=False)
glue("annealed-better", count(judged, "better") or "none", display=False)
glue("annealed-judged", len(judged), display=False)
tried = {name: len(plan.cells(name)) for name in plan.searched}
settings = " or ".join(str(number) for number in sorted(set(tried.values())))
glue(
    "annealed-searched",
    f"{', '.join(tried)} were searched over {settings} settings each" if tried else MISSING,
    display=False,
)

# %% [markdown]
# ## Most of the noise moves a score less than another seed would
#
# All algorithms share seeds: initial weights, split and order. So each run has a twin among SGD's. In
# {glue:text}`less-moved` of {glue:text}`moved` cases the scores of the paper's four noise variants end nearer to their twin's than those of two
# SGD runs of different seeds to each other. On CIFAR-10 and the texts Basin Hopping hops {glue:text}`hops` times in a whole run.
# Where it hopped more, on Digits, it did not gain.
#
# ```{glue:figure} distances
# :name: figure-distances
#
# How far the last model's score lies from that of SGD's run of the same seed; 1 is the distance of two SGD runs of
# different seeds. Hollow: default settings; filled: searched ones, annealed where they are diamonds.
# ```

# %% tags=["hide-input", "remove-output"]
moved = cells.stack(
    {
        key: comparisons.seed_distances(values).rename_axis("a").rename("distance").reset_index()
        for key, values in last.items()
    }
)
page.figure(
    "distances",
    lambda width: comparison_figures.distances_from_sgd(in_order(moved), width),
    alt="Distances to SGD's twin run by algorithm and task. Most noise variants lie left of 1, AdamW and SAM right of it.",
)
noisy = moved[moved["a"].isin(tables.PAPER_FAMILY) & (moved["a"] != "SAM")] if len(moved) else moved
names = noisy[["task", "variant", "a"]].itertuples(index=False, name=None) if len(noisy) else ()
noisy = noisy[np.array([name not in copied for name in names], dtype=bool)]
glue("moved", len(noisy), display=False)
glue("less-moved", int((noisy["distance"] < 1).sum()) if len(noisy) else 0, display=False)
hops = [
    tables.records(tables.wanted(profile, *key, algorithms=("NiG-BH", "NiM-BH"), restarts=restarts))["hops_tried"]
    for key in results
    if key[0] != "digits"
]
ends = pd.concat(hops).agg(["min", "max"]).astype(int).unique() if hops else []
glue("hops", " to ".join(map(str, ends)) or MISSING, display=False)
glue("unchanged", base_setting_chosen(results, profile), display=False)
copies = [f"{name} on {with_variant(*key)}" for *key, name in sorted(copied)]
glue("copies", ", ".join(copies) or "none", display=False)

# %% [markdown]
# ## With so few runs, small differences are missed
#
# "Too few runs to tell" is no equality. A difference to SGD had to be so large, in points, to be found four times in five by the most
# and by the least certain comparison: {glue:text}`blind`.
#
# ````{table} The smallest difference to SGD that would have been found 4 times in 5, by the most and the least certain comparison, at the level of Holm's first rejection in its family.
# :name: table-missed
# ```{glue:md} missed
# :format: myst
# ```
# ````
#
# ## Some verdicts change with the model that is judged
#
# The paper compares the mean of ten checkpoints of lowest training loss (SetA) on a part of the test set. A user has one
# model. Between the two, {glue:text}`changed` of {glue:text}`both` verdicts change, though the runs are the same.
#
# ```{admonition} An interval knows only the runs it was made from
# SAM on GoEmotions, with default settings: its first five runs ended at {glue:text}`sam-first` points and looked alike,
# all still near the plateau where learning starts. The next five left it and ended at {glue:text}`sam-later`, SGD at
# {glue:text}`sam-sgd`. The first five, trained again on the second five's processor, ended where they had ended. So a
# mean over ten says how many runs had begun to learn, not how good SAM is once they have.
# ```
#
# ## All the numbers
#
# `````{dropdown} All comparisons with SGD: the last model on the whole test set
# ````{table} Difference to SGD in points with its 95 % interval, paired by seed. The paper's five are one Holm family of each task and variant. "5 of 10 learned": the others still stood on the plateau of the start, so that no run is near the mean; [the share and the rest](table-unfinished).
# :name: table-against-sgd
# ```{glue:md} family-0
# :format: myst
# ```
# ````
#
# ````{table} The references against SGD: a second Holm family. Optimizers of your own, if there are any: another.
# :name: table-references
# ```{glue:md} family-1
# :format: myst
# ```
# ````
#
# By settings: {glue:text}`by-setting`. Runs that are SGD under another name, and not counted: {glue:text}`copies`. Algorithms of which the search chose the default setting:
# {glue:text}`unchanged`. Below eight restarts a paired t test decides, otherwise sign flips. *Better* and *worse* are of
# any size; *same* takes precedence. An algorithm that the profile names and that has not been run counts as p = 1.
# Annealed runs stand here by the tests of all others. In {glue:text}`judged-alike` of {glue:text}`judged-twice` cases the
# [rules fixed beforehand](table-confirmed) say the same; the first figure goes by these.
#
# ```{glue} provenance-against
# ```
# `````
#
# `````{dropdown} The same by the paper's outcome: the mean of SetA on the test sample
# ```{glue:figure} effects-seta
# :name: figure-effects-seta
#
# As the first figure, of each run's mean over its ten checkpoints of lowest training loss.
# ```
#
# ````{table} Difference to SGD in points by what is judged, with its sign; the columns are outcomes of the same runs. Of the model chosen by validation only annealed runs kept the score on the whole test set.
# :name: table-outcomes
# ```{glue:md} by-outcome
# :format: myst
# ```
# ````
#
# ````{table} Difference to SGD by the mean of SetA.
# :name: table-against-sgd-seta
# ```{glue:md} seta
# :format: myst
# ```
# ````
#
# ```{glue} provenance-outcomes
# ```
# `````
#
# `````{dropdown} On par with SAM? The paper's abstract, tested
# ````{table} SGD and the paper's others less SAM at equal epochs, in points, by the last model on the whole test set: one Holm family per task and variant.
# :name: table-against-sam
# ```{glue:md} on-par
# :format: myst
# ```
# ````
#
# ````{table} Training that was not finished when the epochs ended, on the test sample: a run on the plateau, which is below half of SGD's mean, or a steeper end than SGD's. The share of runs that left the plateau has Wilson's 95 % interval. The difference is that of these runs, which were chosen by their outcome.
# :name: table-unfinished
# ```{glue:md} unfinished
# :format: myst
# ```
# ````
#
# ```{glue} provenance-sam
# ```
# `````
#
# `````{dropdown} Annealed learning rates: rules fixed before the first run, and three rounds on Digits
# Pairs, test, margins, families, looks and outcome were fixed in `data/paper/confirmation.toml` before the first of these
# runs: the rules in commit `3655da2`, on 29 November 2026 at 06:18 UTC, the first run's file in `c05b813`, at 10:22. Between the two,
# in `81c036a`, the search of NiG-SGD, NiM-SGD and NiG-BH was given up for its cost. When to stop depends on the boundary or on hours,
# never otherwise on results; the last complete look is reported. Seeds were in no search. SAM has half the epochs, so that
# it pays as many gradients as SGD; NiM-SGD pays more. Two
# things this does not cure: rules and schedule were chosen after the same test sets had been seen, and fresh seeds do not renew
# the test examples. An algorithm counts once its look is complete.
#
# On Digits a first round gave five rivals a tenth of SGD's weight decay. Its results were seen, this was mended, and a second round ran
# at the same seeds. So a third was decided on, at fresh seeds and with nothing else changed: it alone counts. The commit that decided
# it (`c2c6816`) is older than its runs, and holds code as well as rules.
#
# ````{table} The rounds on Digits: points of difference to SGD with 95 % t interval, and verdict; 100 restarts each.
# :name: table-rounds
# ```{glue:md} rounds
# :format: myst
# ```
# ````
#
# Where the first look at all annealed rivals of a task is complete, and SAM's arm of equal epochs, runs with settings searched at a
# constant rate are superseded and leave the results. So it is on Digits, CIFAR-10 and TweetEval. What they scored is kept in
# `data/paper/superseded-scores.csv`; their files are in the repository's history, before the commits that
# `git log -1 -- '*digits/SGD/tuned*'` names, and likewise with `cifar10` and `tweeteval`.
#
# By the smaller of two margins that were decided on beforehand these verdicts change: {glue:text}`turned`.
#
# ````{table} The last model on the whole test set, against SGD's of the same seeds: points with 95 % t interval, unadjusted p-values, and the verdict that holds each family's 2.5 %. The smaller margin: on CIFAR-10 half of the gain that SAM's authors print (0.8 points), elsewhere half the margin.
# :name: table-confirmed
# ```{glue:md} confirmed
# :format: myst
# ```
# ````
#
# ````{table} Differences to SGD with intervals for other restarts, and for other restarts and other test examples at once. On TweetEval by accuracy too, since macro-F1 is no mean over examples. None on GoEmotions, where an example has several labels and no single answer is right.
# :name: table-crossed
# ```{glue:md} crossed
# :format: myst
# ```
# ````
#
# ````{table} The last model at a constant learning rate (default settings) and annealed (searched): mean ± SD over restarts, in points. Found 4 times in 5: by a paired t test at 5 %, not adjusted.
# :name: table-scattered
# ```{glue:md} scattered
# :format: myst
# ```
# ````
#
# Processors: {glue:text}`processors`. Two processors round differently; a pair of unlike ones has less in common than its seed.
#
# ````{table} Control arms: annealed runs in which one thing is changed, less SGD's of the same seeds, in points with 95 % t interval. Not adjusted, and no verdict follows. τ: rank correlation of lower loss and higher score.
# :name: table-arms
# ```{glue:md} arms
# :format: myst
# ```
# ````
#
# To come are {glue:text}`hours-to-come` core-hours. GoEmotions' comparison comes first; then CIFAR-10's 48,000 images
# outside validation ("all images", with fused passes), later looks, single sources of chance and twenty hops.
#
# ````{table} Annealed runs that are planned and not there, with restarts (in a search: settings). Core-hours: at the fastest pace of the task's algorithms, and at that of the algorithm's own runs that are there; processors differ by a factor of five.
# :name: table-ahead
# ```{glue:md} ahead
# :format: myst
# ```
# ````
# `````
#
# `````{dropdown} What the searches saw: learning rate, ρ, and fewer trials
# ```{glue:figure} search-rates
# :name: figure-search-rates
#
# The best validation score at each learning rate, at a third of the epochs: 28 settings per algorithm and task.
# ```
#
# ```{glue:figure} search-radii
# :name: figure-search-radii
#
# The same at each ρ, of the algorithms that have one.
# ```
#
# ```{glue:figure} search-trials
# :name: figure-search-trials
#
# What a search of fewer settings would have been expected to reach.
# ```
#
# Each setting is trained once at a third of the epochs, the best three thrice at all of them (seeds 10000 to 10002). The lowest mean
# validation loss chooses, on GoEmotions the highest mean average precision; of equal ones the setting nearer to the default. Validation
# are 2,000 examples that no run trains on, on TweetEval 374. By guessing, an accuracy of 10 % is had on images, of 43 % on TweetEval
# (the most frequent emotion), and a macro-F1 of 8 % on GoEmotions (every label always).
#
# ````{table} What each search chose, and the validation score of that. Below half of the best algorithm's it would count as never trained.
# :name: table-searches
# ```{glue:md} searches
# :format: myst
# ```
# ````
#
# Least is {glue:text}`searched-least`. Searched so far: {glue:text}`searched-so-far`.
#
# A grid was lengthened once, where SGD's search on CIFAR-10 chose its highest learning rate; the other algorithms' grids there
# grew with it. It was not where other searches ended at an end: the best setting may lie beyond.
#
# ```{glue} provenance-annealed
# ```
# `````
#
# `````{dropdown} SWA against averages of SGD's own checkpoints
# ````{table} SWA less the averaged weights of SGD's own ten checkpoints of lowest training loss, and these less SGD's last model, on the test sample.
# :name: table-averages
# ```{glue:md} averages
# :format: myst
# ```
# ````
#
# Annealed, SGD's learning rate falls and SWA's does not. Recomputed BatchNorm statistics alone, before anything is averaged: {glue:text}`statistics-alone`.
# `````
#
# `````{dropdown} Other margins
# ````{table} Verdicts at half, one and two times the margin, and the smallest margin that would have shown them to be the same.
# :name: table-margins
# ```{glue:md} margins
# :format: myst
# ```
# ````
# `````
#
# `````{dropdown} Verdicts that changed, old and new
# ````{table} Comparisons with SGD of which another reading says something else: first by another model of the same runs (the mean of SetA on the test sample, then the last model on the whole test set), then by other settings (default, from a search at a constant rate, annealed).
# :name: table-changed
# ```{glue:md} changed-verdicts
# :format: myst
# ```
# ````
#
# The [ledger](ledger.ipynb) lists which of the paper's claims changed with them, and which rules were changed.
# `````
#
# `````{dropdown} Another score: the loss
# By the loss these are surely lower than SGD's (unadjusted intervals): {glue:text}`lower-loss`. A lower loss is no higher score. On GoEmotions
# mean average precision of annealed runs stands beside macro-F1, since it needs no threshold; other runs did not keep it. AdamW's is
# {glue:text}`adamw-precision` from SGD's.
#
# ````{table} The last model on the whole test set less SGD's of the same seeds, by score: 95 % t intervals, unadjusted. A lower loss is better.
# :name: table-scores
# ```{glue:md} by-score
# :format: myst
# ```
# ````
#
# ```{glue} provenance-scores
# ```
# `````
#
# `````{dropdown} Means over tasks
# A task weighs by how certain its difference is. Where the tasks' true differences do not seem to vary (SD between tasks 0), nearly all the
# weight in points is that of Digits, with 100 runs. These means then say little of the other tasks.
#
# ````{table} Random-effects mean over tasks of the difference to SGD, with 95 % interval, in points and in margins of each task. Unfinished: tasks left out.
# :name: table-over-tasks
# ```{glue:md} over-tasks
# :format: myst
# ```
# ````
# `````
#
# `````{dropdown} Do later restarts repeat what the first said?
# Of {glue:text}`repeats` comparisons, {glue:text}`repeats-differ` changed by more than the two parts' spread explains;
# chance alone would give one in twenty. The paper has five restarts; here the first {glue:text}`first-restarts` stand
# beside all others.
#
# ````{table} Difference in points with its 95 % interval by the first restarts, by the later ones, and by all; in between the change with Welch's 95 % interval.
# :name: table-repeated
# ```{glue:md} repeated
# :format: myst
# ```
# ````
#
# ```{glue} provenance-repeated
# ```
# `````
#
# `````{dropdown} The paper's Table 6, as the paper computes it
# The paper writes under it that "all p-values are higher than 0.05". The second table counts those that are not. A
# p-value above 0.05 is no finding of equality. Annealed SAM is taken at equal epochs, as in the ledger's verdict on these pairs. By the
# last model on the whole test set it can be otherwise: [the table against SAM](table-against-sam).
#
# (paper-table-6)=
# ````{table} The p-values of three pairs: printed; ours by the same test on pooled models; ours with the restart as unit. Unadjusted.
# :name: table-six
# ```{glue:md} six
# :format: myst
# ```
# ````
#
# ````{table} How many of them are at most 0.05, how many would be by chance, and the smallest after Holm's correction.
# :name: table-tallies-six
# ```{glue:md} tallies
# :format: myst
# ```
# ````
#
# ````{table} All pairs of algorithms by the mean of SetA: counts of verdicts, Holm over all pairs. A dash: by sign flips of so few restarts no pair of so many could differ, whatever the data; "too few" is then no finding.
# :name: table-all-pairs
# ```{glue:md} all-pairs
# :format: myst
# ```
# ````
#
# ```{glue} provenance-pairs
# ```
# `````
#
# `````{dropdown} The paper's Figure 4: training loss by gradient evaluations, and time to a target
# (paper-figure-4)=
# ```{glue:figure} loss-by-gradients
# :name: figure-loss-by-gradients
#
# Training loss by gradient evaluations, default settings: every run, and the median in bold.
# ```
#
# The target is the median over SGD's runs of the best validation score on the way, so that SGD misses it about half of the
# time. A run that does not get there within SGD's gradients counts as ∞. Annealed runs are left out: when one gets there is
# its schedule's doing.
#
# ```{glue:figure} reached
# :name: figure-reached
#
# Share of restarts that have come within the margin of the target, by gradient evaluations.
# ```
#
# ````{table} Gradient evaluations until the target, and until one margin below it: median with its 95 % interval.
# :name: table-times
# ```{glue:md} times
# :format: myst
# ```
# ````
#
# ```{glue} provenance-times
# ```
# `````
#
# `````{dropdown} What these designs rest on, and what each comparison could have found
# ````{table} The margin in points and in standard deviations (SD) of a paired difference, divided by √2, and how often equal optimizers that scatter so would be shown to be the same.
# :name: table-designs
# ```{glue:md} designs
# :format: myst
# ```
# ````
#
# ````{table} Least p: the smallest Holm-adjusted p-value that could have come out. ICC: correlation of the checkpoints of one run of the first algorithm, and how many independent models its ten are worth.
# :name: table-power
# ```{glue:md} power
# :format: myst
# ```
# ````
#
# ```{glue} provenance-power
# ```
# `````
#
# The margins are a convention, fixed before the runs. Classical statistics would take every comparison for a claim about
# these test examples; intervals for other examples are wider. Test scores are compared at equal epochs, but for annealed SAM:
# [what SAM costs](cost-of-sam.ipynb) compares equal gradients, and [why five runs mislead](five-runs.ipynb) says what the
# paper's pooled tests do.

# %% tags=["hide-input", "remove-output"]
found = over_tasks.detectable_summary(shown)
page.show("missed", found, comparison_tables.missed)
told = {name: [] for name in found["task"].unique()} if len(found) else {}
for row in found.query("variant != 'tuned'").itertuples() if len(found) else ():
    kind = "with default settings" if row.variant == "base" else "annealed"
    told[row.task].append(f"{100 * row.least:.1f} to {100 * row.most:.1f} {kind}")
glue("blind", "; ".join(f"on {task_title(n)} {page.listed(s)}" for n, s in told.items()) or MISSING, display=False)
means = over_tasks.mean_over_tasks(shown, late) if len(shown) else shown
page.show("over-tasks", means, comparison_tables.over_tasks)
page.show("margins", margins.verdicts_by_margin(against), comparison_tables.by_margin)

for number, paper in enumerate((True, False)):
    rows = against[(against["family"] == "the paper's") == paper] if len(against) else against
    page.show(f"family-{number}", rows, lambda table: comparison_tables.outcomes(table, late))
TESTS = "paired by seed: sign flips from 8 restarts on, below it t tests; Holm in each family; equivalence: two t tests"
glue(
    "provenance-against",
    page.provenance(against, "against-sgd.csv", **facts, spread="95 % intervals", tests=TESTS),
    display=False,
)

chosen = {key: checkpoints.select(rows, "train_loss", per_trajectory) for key, rows in results.items()}
values = {key: checkpoints.per_restart(models) for key, models in chosen.items()}
seta = planned_comparison(values, profile)
page.show("seta", seta, comparison_tables.outcomes)
page.figure(
    "effects-seta",
    lambda width: comparison_figures.forest(in_order(seta), width, open_ended),
    alt="Differences to SGD by the mean of SetA, a panel per task.",
)
by_outcome = planned_comparison(measured, profile, outcomes.against_by_outcome)
page.show("by-outcome", by_outcome, comparison_tables.verdicts_by_outcome)
keys = ["task", "variant", "a"]
both = against.merge(seta, on=keys) if len(against) else against
glue("both", len(both), display=False)
changed = (
    cells.words(both.rename(columns={"verdict_x": "verdict"}))
    != cells.words(both.drop(columns="verdict", errors="ignore").rename(columns={"verdict_y": "verdict"}))
    if len(both)
    else both
)
glue("changed", int(changed.sum()) if len(both) else 0, display=False)
by_search = planned_comparison({(name, "tuned"): values for name, values in earlier.items()}, profile)
before = {name: rows for (name, kind), rows in values.items() if kind == "tuned"}
before |= {n: rows for n, rows in outcomes.superseded_scores(profile, "set_a").items() if task in ("all", n)}
seta_by_search = planned_comparison({(name, "tuned"): rows for name, rows in before.items()}, profile)
one, grid = (
    "one model, on the whole test set",
    "settings from a grid of 28, a falling learning rate, fresh seeds, rules fixed before",
)
default, annealed = (("last model, default", cells.of_variant(against, "base"), one), ("annealed", judged, one))
chains = (
    [("SetA, default", cells.of_variant(seta, "base"), ""), default],
    [("SetA, searched", seta_by_search, ""), ("last model, searched", by_search, one)],
    [("SetA, annealed", cells.of_variant(seta, "annealed"), ""), annealed],
    [default, ("last model, searched", by_search, "settings from a search of six trials"), ("annealed", judged, grid)],
)
turned = pd.concat([comparison_tables.changed_verdicts(*readings) for readings in chains], ignore_index=True)
page.show("changed-verdicts", turned, empty="none")
whole = {
    key: tables.wanted(profile, *key, restarts=restarts, algorithms=tuple(rows["algorithm"].unique()))
    for key, rows in results.items()
    if key[1] == "base"
}
whole |= {
    (name, "annealed"): AnnealedPlan(profile, name).expand("annealed", tuple(values)) for name, values in fresh.items()
}
by_score = cells.stack(
    {key: outcomes.score_differences(outcomes.load_final_measures(specs)) for key, specs in whole.items()}
)
page.show("by-score", by_score, comparison_tables.by_score)
lower = by_score.query("score == 'loss' and high < 0") if len(by_score) else by_score
by_rank = by_score.query("score == 'average_precision' and a == 'AdamW'") if len(by_score) else by_score
told = [points((row.low, row.high), row.difference) for row in by_rank.itertuples()]
glue("adamw-precision", "; ".join(told) or MISSING, display=False)
where = (
    [(setting, page.listed(rows["a"])) for setting, rows in lower.groupby(["task", "variant"], sort=False)]
    if len(lower)
    else []
)
glue("lower-loss", "; ".join(f"on {with_variant(*key)} {who}" for key, who in where) or "none", display=False)
of_these = page.facts(profile, {key: rows for key, rows in results.items() if key in whole})
glue("provenance-scores", page.provenance(by_score, "by-score.csv", **of_these), display=False)
glue(
    "provenance-outcomes",
    page.provenance(by_outcome, "by-outcome.csv", **facts, models=f"{per_trajectory} per restart by training loss"),
    display=False,
)

level = {
    key: at_equal_epochs(values, profile, key[0]) if key[1] == "annealed" else values for key, values in last.items()
}
sam = each(level, profile, comparisons.against_sam)
page.show("on-par", sam, comparison_tables.outcomes)
page.show("unfinished", late[late["unfinished"]], comparison_tables.unfinished_table, empty="none")
glue("provenance-sam", page.provenance(sam, "against-sam.csv", **facts, tests=TESTS), display=False)

turned = by_margin[by_margin["turned"]].drop_duplicates(["task", "a"]) if len(by_margin) else by_margin
turns = [f"{row['a']} on {task_title(row['task'])}, {row['verdict']}" for _, row in turned.iterrows()]
glue("turned", "; ".join(turns) or "none", display=False)
page.show("confirmed", by_margin, lambda t: confirmed_tables.confirmed(t, prices), empty="no look is complete yet")
differences = [restart_spread.load_differences(profile, name).assign(task=name) for name in fresh]
crossed = pd.concat(differences) if differences else pd.DataFrame()
on_digits = confirmed[confirmed["task"] == "digits"] if len(confirmed) else confirmed
page.show("rounds", on_digits, lambda rows: confirmed_tables.rounds(rows, confirmation.earlier_rounds()))
page.show("crossed", crossed, confirmed_tables.crossed, empty="no look is complete yet")
page.show("scattered", scattered, confirmed_tables.scatter)
trained = {
    name: " and ".join(f"{page.listed(who)} on {what}" for what, who in where.items())
    for name, values in fresh.items()
    for where in [confirmation.processors(profile, decided, name, list(values))]
}
glue("processors", "; ".join(f"{task_title(name)}: {who}" for name, who in trained.items()) or MISSING, display=False)
arms = cells.stack({(name, "annealed"): control_arms(profile, name) for name in fresh})
page.show("arms", arms, confirmed_tables.arms)
equal = arms[arms["arm"] == "equal-epochs"] if len(arms) else arms
for label, told in (
    ("half", [page.points(100 * r.annealed_difference) for r in equal.itertuples()]),
    ("equal", [points((r.low, r.high), r.difference) for r in equal.itertuples()]),
):
    named_tasks = [f"{words} on {task_title(name)}" for words, name in zip(told, equal.get("task", ()), strict=True)]
    glue(f"sam-{label}-epochs", page.listed(named_tasks) if told else MISSING, display=False)
ahead = pd.concat([pd.DataFrame(), *(hours_to_come(profile, name) for name in decided["margins"])])
page.show("ahead", ahead, run_tables.to_come_table, empty="none")
hours = [ahead[name].sum() for name in ("least_hours", "core_hours")] if len(ahead) else [0.0]
glue("hours-to-come", " to ".join(f"{x:.0f}" for x in hours), display=False)
scores = {name: searched.search_scores(profile, name) for name in fresh}
scores = {name: table for name, table in scores.items() if len(table)}
by_rate = {name: searched.sensitivity(table, "lr") for name, table in scores.items()}
by_radius = {name: searched.sensitivity(table, "rho") for name, table in scores.items() if "rho" in table}
budgets = {name: searched.best_of_budget(table) for name, table in scores.items()}
for name, seen, along, described in (
    ("rates", by_rate, "lr", "highest in the middle of most grids"),
    ("radii", by_radius, "rho", "nearly level at small ρ"),
    ("trials", budgets, "trials", "rising with the number of settings, and nearly level from ten on"),
):
    page.figure(
        f"search-{name}",
        lambda width, seen=seen, along=along: comparison_figures.search_curves(seen, along, width),
        alt=f"Validation score, a panel per task, a line per algorithm; {described}.",
    )
summaries = [searched.search_summary(table).assign(task=name) for name, table in scores.items()]
summary = pd.concat(summaries, ignore_index=True) if summaries else pd.DataFrame()
if len(summary):
    several = summary[summary.groupby("task")["algorithm"].transform("size") > 1]
    row = several.loc[several["share"].idxmin()] if len(several) else summary.iloc[0]
    least = f"{row['algorithm']} on {task_title(row['task'])}, with {100 * row['share']:.0f} % of the best algorithm's score"
    glue("searched-least", least, display=False)
else:
    glue("searched-least", MISSING, display=False)
so_far = summary.groupby("task", sort=False)["algorithm"].agg(page.listed) if len(summary) else pd.Series(dtype=str)
glue(
    "searched-so-far",
    "; ".join(f"on {task_title(name)} {who}" for name, who in so_far.items()) or MISSING,
    display=False,
)
page.show("searches", summary, confirmed_tables.searches_table)
scores = pd.concat([pd.DataFrame(), *(table.assign(task=name) for name, table in scores.items())], ignore_index=True)
glue(
    "provenance-annealed",
    page.provenance(scores, "annealed-search.csv", profile=profile, tests="as data/paper/confirmation.toml says"),
    display=False,
)

page.show("averages", averages, comparison_tables.outcomes)
alone = averaged_weights.statistics_alone(results, profile)
written = cells.with_interval(alone, scale=100) + " points on " + alone["task"].map(task_title) if len(alone) else []
glue("statistics-alone", "; ".join(written) or "no network with BatchNorm", display=False)

repeated = planned_comparison(last, profile, comparisons.repeated, first=first_restarts)
page.show("repeated", repeated, comparison_tables.repeats, empty=f"no task has {2 * first_restarts} restarts")
once = repeated[repeated["part"] == "all"] if len(repeated) else repeated
differ = (once["change_low"] > 0) | (once["change_high"] < 0) if len(once) else pd.Series(dtype=bool)
glue("repeats", len(once), display=False)
glue("repeats-differ", int(differ.sum()), display=False)
glue("first-restarts", first_restarts, display=False)
glue("provenance-repeated", page.provenance(repeated, "first-and-later.csv", **facts, tests=TESTS), display=False)


def span(scores: pd.Series) -> str:
    """Write the lowest and the highest of some scores, in points."""
    return f"{100 * scores.min():.0f} to {100 * scores.max():.0f}" if len(scores) else MISSING


story = last.get(("goemotions", "base"), pd.DataFrame(columns=["SAM", "SGD"])).sort_index()
glue("sam-first", span(story["SAM"][:5]), display=False)
glue("sam-later", span(story["SAM"][5:]), display=False)
glue("sam-sgd", span(story["SGD"]), display=False)

# %% tags=["hide-input", "remove-output"]
level = {key: trajectories_at_equal_epochs(rows, profile, key[0]) for key, rows in results.items()}
level = {key: checkpoints.select(rows, "train_loss", per_trajectory) for key, rows in level.items()}
pairs = each(level, profile, comparisons.all_pairs)
counts = {"printed: four tasks": printed.printed_table("6")["p_value"]}
six = printed_tables.printed_pairs(pairs)
for said, rows in six.groupby(["task", "label"], sort=False) if len(six) else ():
    counts[f"ours: {task_title(said[0])}, {said[1]}"] = rows["p"]
page.show("six", printed_tables.printed_and_ours(six, "6", "comparison"))
page.table("tallies", printed_tables.tallies(counts))
tallied = {key: pooled.tally(cells.of(pairs, key)["pooled_p"]) for key in level}
page.show("all-pairs", pairs, lambda table: comparison_tables.pair_counts(table, tallied))
glue("provenance-pairs", page.provenance(pairs, "all-pairs.csv", **facts, tests=TESTS), display=False)

clusters = cells.stack({key: pooled.clustering(models) for key, models in chosen.items()})
page.show("designs", margins.design_strengths(against, last), comparison_tables.designs)
page.show("power", against, lambda table: comparison_tables.power_table(table, clusters))
glue("provenance-power", page.provenance(clusters, "clusters.csv", **facts), display=False)

base = {key: rows for key, rows in results.items() if key[1] == "base"}
page.figure(
    "loss-by-gradients",
    lambda width: trajectory_figures.learning_curves(
        base, ("SGD", "SAM", "NiM-BH"), width, y="train_loss", across=("gradient_evaluations",), log=True
    ),
    alt="Falling training loss by gradient evaluations. SAM's curve falls about half as fast as SGD's and NiM-BH's.",
)
constant_rates = {key: rows for key, rows in results.items() if key[1] != "annealed"}
times = each(constant_rates, profile, time_to_target.times)
equal = {key: time_to_target.equal_gradients(rows) for key, rows in base.items()}
within = {
    key: time_to_target.time_to_target(rows, time_to_target.target(rows) - margin(profile, key))
    for key, rows in equal.items()
}
longest = {key: float(rows["gradient_evaluations"].max()) for key, rows in equal.items()}
page.show("times", times, comparison_tables.times_table)
page.figure(
    "reached",
    lambda width: trajectory_figures.reached(
        within, longest, ("SGD", "NiG-SGD", "NiM-SGD", "SAM", "NiM-BH", "AdamW"), width
    ),
    alt="Rising steps, the share of restarts near the target by gradient evaluations, one line per algorithm.",
)
glue("provenance-times", page.provenance(times, "time-to-target.csv", **facts), display=False)
