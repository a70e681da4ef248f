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
# # Pooling invents differences, and five runs miss real ones
#
# The paper pools ten checkpoints from each of five runs and tests them as if they were independent. Between two
# *identical* optimizers with seeds of their own, that test finds a "significant" difference in {glue:text}`pooled-known`, instead of 5 %
# (at the median correlation of a run's checkpoints, default settings). On {glue:text}`unsure-tasks` it may be anything from
# {glue:text}`pooled-unsure` %. One value per run is honest. But with
# {glue:text}`paper-restarts` runs it misses a real difference of {glue:text}`effect` standard deviation (SD) in
# {glue:text}`quiet-five` % of cases.
#
# ```{glue:figure} false-positives
# :name: figure-false-positives
#
# False positives between two identical optimizers. Dots: the pooled Mann–Whitney test at the intra-class correlation
# (ICC) of our tasks; hollow: the same where the two optimizers share their seeds.
# ```

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the runs
per_trajectory: int = 10  # models selected from each trajectory by training loss, the paper's L [2 or more]
paper_restarts: int = 5  # the paper's number of trajectories [2 or more]
repeats: int = 10000  # simulated pairs of optimizers behind each false-positive rate [1 or more]
power_repeats: int = 4000  # simulated comparisons behind each rate of power [1 or more]
split_task: str = "digits"  # the task on which an optimizer is split against itself
split_algorithm: str = "SGD"  # and the optimizer
number_of_splits: int = 1000  # random splits [1 or more]
effect: float = 1.0  # the true difference that is looked for, in standard deviations of a restart [above 0]
seed: int = 0  # of all simulations [0 or more]

# %% tags=["remove-cell"]
from math import comb

import pandas as pd
from myst_nb import glue

from popview.book import page, style
from popview.book.cells import with_interval
from popview.book.figures import simulations as simulation_figures
from popview.book.names import task_title
from popview.book.results import required
from popview.book.tables import simulations as simulation_tables
from popview.common.errors import UsageError, check_name
from popview.paper import printed
from popview.populations import checkpoints, outcomes, pooled, restart_spread, tables, variance_sources
from popview.statistics import effective_n, power, simulations
from popview.tasks.catalogue import ACCURACY, RECORDS, SHOWN

if per_trajectory < 2:
    raise UsageError(
        f"per_trajectory must be 2 or above: one model has no correlation with others, got {per_trajectory}"
    )
style.use()
covered, trajectories = tables.gather(profile, variant="base")
trained_on = page.facts(profile, trajectories)["trained_on"]
results = {task: found for (task, _), found in trajectories.items()}
check_name("split_task", split_task, SHOWN)
required({key: rows for key, rows in results.items() if key == split_task}, profile, split_task)
sets = {task: checkpoints.select(found, "train_loss", per_trajectory) for task, found in results.items()}
design = {"restarts": f"{paper_restarts} each", "checkpoints": f"{per_trajectory} a restart"}
monte_carlo = "95 % Wilson intervals for the finite number of repeats"

# %% [markdown]
# Everything here is simulated while the page is built, or resampled from [this book's runs](how-to-read.md).
#
# ## Ten checkpoints of a run are not ten runs

# %% tags=["hide-input", "remove-output"]
design_of = {"restarts": paper_restarts, "checkpoints": per_trajectory, "repeats": repeats, "seed": seed}
positives = simulations.false_positives((0.0, 0.5, 0.8, 0.95), **design_of)
clusters = pd.concat(pooled.clustering(chosen).assign(task=task) for task, chosen in sets.items())
typical = clusters.groupby("task", sort=False)["icc"].median().clip(0, 1).dropna()
values = {task: checkpoints.per_restart(chosen) for task, chosen in sets.items()}
luck = {
    task: table.drop(columns="SGD").corrwith(table["SGD"]).median() for task, table in values.items() if "SGD" in table
}
rates = [
    simulations.false_positives([value], alike=alike, **design_of).assign(task=task, shared=shared)
    for task, value in typical.items()
    for shared, alike in ((False, 0.0), (True, float(min(max(luck.get(task, 0.0), 0.0), 1.0))))
]
at_ours = pd.concat(rates) if rates else positives[:0].assign(task="", shared=False)
own = at_ours[~at_ours["shared"].astype(bool)]
page.figure(
    "false-positives",
    lambda width: simulation_figures.false_positive_rates(positives, at_ours, width),
    alt="False positives against the correlation of the checkpoints of a run. Two red lines, of tests on pooled "
    "checkpoints, climb from 5 to above 50 percent, with our tasks as dots on them; tests with one value per run stay "
    "at 5 percent.",
)
page.figure(
    "similarity",
    lambda width: simulation_figures.similarity(clusters, width),
    alt="Intra-class correlations with intervals, a row per task, one line per algorithm, the median marked.",
)
shown = positives.assign(ICC=positives["icc"].map("{:g}".format))
page.table("positives", simulation_tables.rates(shown, "ICC"))
page.table(
    "clusters",
    pd.DataFrame(
        {
            "task": clusters["task"].map(task_title),
            "algorithm": clusters["algorithm"],
            "ICC": [
                page.signed(f"{i:.2f} [{low:.2f},\u00a0{high:.2f}]")
                for i, low, high in zip(clusters["icc"], clusters["low"], clusters["high"], strict=True)
            ],
            f"{paper_restarts} × {per_trajectory} models are worth": [
                round(effective_n(paper_restarts, per_trajectory, value), 1) for value in clusters["icc"]
            ],
        }
    ),
    digits=1,
)
for name, rows in (("at-ours", own), ("shared", at_ours[at_ours["shared"].astype(bool)])):
    titled = rows.assign(task=rows["task"].map(task_title))
    summary = simulation_tables.rates(titled, "task").set_index("task").reindex(titled["task"].unique()).reset_index()
    summary.insert(1, "median ICC", list(typical))
    if name == "shared":
        summary.insert(2, "correlation with SGD", [luck.get(task, float("nan")) for task in typical.index])
    page.table(name, summary)
every = pd.concat([positives, own])
sound = 100 * every.loc[every["test"].isin(simulations.RESTART_LEVEL), "rate"]
glue("restarts-rates", f"{sound.min():.1f} to {sound.max():.1f}", display=False)
pooled_at_ours = at_ours[at_ours["test"] == "pooled Mann–Whitney"].set_index("task")
is_shared = pooled_at_ours["shared"].astype(bool)
found = 100 * pooled_at_ours.loc[is_shared, "rate"]
glue("pooled-shared", f"{found.min():.0f} to {found.max():.0f}" if len(found) else "–", display=False)
ends = clusters.groupby("task", sort=False)[["low", "high"]].median().clip(0, 1).query("low == 0")
tried = [
    simulations.false_positives([value], **design_of, tests=["pooled Mann–Whitney"]) for value in (0.0, *ends["high"])
]
unsure = pd.concat(tried)["rate"]
glue("unsure-tasks", page.listed(map(task_title, ends.index)), display=False)
known = pooled_at_ours.loc[~is_shared, "rate"].drop(ends.index, errors="ignore")
told = [f"{100 * rate:.0f} % of cases on {task_title(name)}" for name, rate in known.items()]
glue("pooled-known", page.listed(told), display=False)
worth = [f"{effective_n(paper_restarts, per_trajectory, v):.1f} on {task_title(n)}" for n, v in typical.items()]
glue("worth", page.listed(worth), display=False)
glue("pooled-unsure", f"{100 * unsure.min():.0f} to {100 * unsure.max():.0f}", display=False)
glue("paper-restarts", paper_restarts, display=False)
glue(
    "provenance-positives",
    page.provenance(positives, "false-positives.csv", **design, repeats=repeats, seed=seed, spread=monte_carlo),
    display=False,
)
glue(
    "provenance-clusters",
    page.provenance(
        clusters,
        "icc-by-task.csv",
        profile=profile,
        trained_on=trained_on,
        models=f"{per_trajectory} per restart by training loss",
        restarts="; ".join(f"{task} {found['seed'].nunique()}" for task, found in results.items()),
    ),
    display=False,
)
glue(
    "provenance-ours",
    page.provenance(at_ours, "false-positives-by-task.csv", **design, repeats=repeats, seed=seed, spread=monte_carlo),
    display=False,
)

# %% [markdown]
# Checkpoints of one run resemble each other more than checkpoints of two runs. The *intra-class correlation* (ICC) says
# how much: 0 if they are as good as independent, 1 if they are all the same. A test that counts them as independent
# believes that it has fifty results. By the median ICC they are worth {glue:text}`worth`. The
# [playground](playground.ipynb) lets you move the ICC and count.
#
# Tests with one value per run, the mean of its ten checkpoints, reject in {glue:text}`restarts-rates` % of cases. More
# runs do not repair the pooled test: it goes on counting ten checkpoints of one run as ten results.
# Where the ICC may be 0 ([table](table-clusters-by-task)), on {glue:text}`unsure-tasks`, it may err in anything from
# {glue:text}`pooled-unsure` % of cases.
#
# Where two optimizers share seeds, as in this book, their runs share their luck, and the pooled test finds a difference in
# {glue:text}`pooled-shared` % of cases: wrong as well, and not always to the same side.
#
# ```{glue:figure} similarity
# :name: figure-similarity
#
# ICC of the ten checkpoints of lowest training loss in our runs at default settings: one line per algorithm with its
# 95 % interval, the task's median in red.
# ```
#
# `````{dropdown} The rates in numbers
# ````{table} False positives at the 5 % level by ICC, in percent [95 % interval of the simulation].
# :name: table-positives
# ```{glue:md} positives
# :format: myst
# ```
# ````
# ```{glue} provenance-positives
# ```
#
# ````{table} The same at the median ICC of each task, for seeds of their own.
# :name: table-at-ours
# ```{glue:md} at-ours
# :format: myst
# ```
# ````
#
# ````{table} The same for shared seeds: the runs of the two optimizers correlate as the median algorithm's do with SGD's.
# :name: table-shared-seeds
# ```{glue:md} shared
# :format: myst
# ```
# ````
# ```{glue} provenance-ours
# ```
# `````
#
# `````{dropdown} ICC by task and algorithm
# ````{table} ICC of the test score of SetA's models at default settings, and how many independent models the pooled ones are worth. Of strongly skewed runs the interval covers 70 % to 90 %.
# :name: table-clusters-by-task
# ```{glue:md} clusters
# :format: myst
# ```
# ````
# ```{glue} provenance-clusters
# ```
# `````

# %% tags=["hide-input", "remove-output"]
chosen = sets[split_task]
check_name(f"algorithm of {split_task}", split_algorithm, list(chosen["algorithm"].unique()))
matrix = pooled.matrix(chosen[chosen["algorithm"] == split_algorithm])
sides = (paper_restarts, len(matrix) // 2)
found = {f"{n} a side": simulations.split_p_values(matrix, n, number_of_splits, seed) for n in sides}
tests = [*simulations.POOLED, *simulations.RESTART_LEVEL]
page.figure(
    "splits",
    lambda width: simulation_figures.p_value_histograms(found, tests, width),
    alt="Histograms of p-values of tests of one optimizer against itself, the part at most 0.05 in red.",
)
shares = pd.concat(simulations.rejected(table).assign(runs=side) for side, table in found.items())
page.table("shares", simulation_tables.rates(shares, "runs"))
glue("split-task", task_title(split_task), display=False)
glue("split-algorithm", split_algorithm, display=False)
glue("split-restarts", len(matrix), display=False)
glue("split-half", sides[1], display=False)
glue(
    "provenance-splits",
    page.provenance(
        pd.concat(table.assign(side=side) for side, table in found.items()),
        "splits.csv",
        task=split_task,
        algorithm=split_algorithm,
        profile=profile,
        trained_on=trained_on,
        restarts=len(matrix),
        models=f"{per_trajectory} per restart by training loss",
        splits=number_of_splits,
        seed=seed,
    ),
    display=False,
)

# %% [markdown]
# `````{dropdown} No simulation: one optimizer of ours split against itself
# The {glue:text}`split-restarts` runs of {glue:text}`split-algorithm` on {glue:text}`split-task`, divided at random
# into two sides as if they were two optimizers. Any difference found is a false positive. The splits are not
# independent, since all draw on the same runs. With {glue:text}`split-half` a side each uses all runs, so that the
# permutation test rejects in about 5 % whatever the values are; there only the pooled tests tell something.
#
# ```{glue:figure} splits
# :name: figure-splits
#
# p-values of an optimizer split against itself. A test that keeps its promise has level bars; red: 0.05 or below.
# ```
#
# ````{table} Share of splits with p of at most 0.05, in percent. The intervals count the splits as independent.
# :name: table-shares
# ```{glue:md} shares
# :format: myst
# ```
# ````
# ```{glue} provenance-splits
# ```
# `````
#
# ## With five runs "p > 0.05" says nothing

# %% tags=["hide-input", "remove-output"]
sizes = tuple(sorted({paper_restarts, 10, 20, 100}))
quiet = power.silence(sizes, effect=effect, margin=effect, repeats=power_repeats, seed=seed)
page.figure(
    "silence",
    lambda width: simulation_figures.missed_differences(quiet, effect, width),
    alt="Bars by number of runs. With few runs p is above 0.05 nearly as often with a difference as without. "
    "Equivalence is hardly ever shown where there is a difference, and needs many runs where there is none.",
)
page.table("silent", simulation_tables.silent(quiet), digits=1)
drawn = power.differing_groups((paper_restarts,), (0.0, effect, 2 * effect), repeats=power_repeats, seed=seed)
distribution = power.restart_p_values(drawn, seed)
page.figure(
    "p-values",
    lambda width: simulation_figures.p_value_histograms(
        {f"{paper_restarts} runs": distribution}, list(distribution), width
    ),
    alt="Histograms of p-values at three true differences.",
)
five = quiet[quiet["restarts"] == paper_restarts].set_index("difference")
glue("effect", f"{effect:g}", display=False)
glue("quiet-five", f"{100 * five.loc[effect, 'not_rejected']:.0f}", display=False)
glue("quiet-none", f"{100 * five.loc[0.0, 'not_rejected']:.0f}", display=False)
glue("equivalent-five", f"{100 * five.loc[effect, 'equivalent']:.1f}", display=False)
glue("equivalent-none", f"{100 * five.loc[0.0, 'equivalent']:.0f}", display=False)
twenty = quiet[quiet["restarts"] == 20].set_index("difference")
glue("equivalent-twenty", f"{100 * twenty.loc[0.0, 'equivalent']:.0f}", display=False)
glue(
    "provenance-quiet",
    page.provenance(
        quiet,
        "silence.csv",
        difference=f"{effect:g} SD",
        margin=f"{effect:g} SD",
        repeats=power_repeats,
        seed=seed,
        spread="the CSV has 95 % Wilson intervals",
    ),
    display=False,
)

# %% [markdown]
# With {glue:text}`paper-restarts` runs each, "p > 0.05" comes in {glue:text}`quiet-five` % of cases where the
# optimizers differ by {glue:text}`effect` SD, and in {glue:text}`quiet-none` % where they do not. So it hardly tells
# the two apart. A test of equivalence asks the right question. It errs in {glue:text}`equivalent-five` % of cases.
# Where there is no difference it says so in {glue:text}`equivalent-none` % with {glue:text}`paper-restarts` runs, and
# in {glue:text}`equivalent-twenty` % with twenty.
#
# ```{glue:figure} silence
# :name: figure-silence
#
# The same simulated data, two questions. The margin of equivalence is the true difference itself.
# ```
#
# `````{dropdown} The shares in numbers, and the p-values behind them
# ````{table} Shares of cases in percent: the permutation test is not significant, and equivalence is shown.
# :name: table-silent
# ```{glue:md} silent
# :format: myst
# ```
# ````
#
# ```{glue:figure} p-values
# :name: figure-p-values
#
# p-values of the exact permutation test on runs at three true differences. So few runs give it few values.
# ```
# ```{glue} provenance-quiet
# ```
# `````
#
# ## What can be found at all

# %% tags=["hide-input", "remove-output"]
effects = [step / 20 for step in range(61)]
curves = power.power(sizes, effects, simulated=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0), repeats=power_repeats, seed=seed)
page.figure(
    "power",
    lambda width: simulation_figures.power_curves(curves, width),
    alt="Power against the true difference, one curve per number of runs: more runs find smaller differences.",
)
first = curves.set_index(["restarts", "family", "effect"]).loc[(paper_restarts, 5, 2.0)]
glue("formula", f"{100 * first['power']:.0f}", display=False)
glue("permuted", f"{100 * first['permutation']:.0f}", display=False)
deviations = {task: pooled.deviations(table) for task, table in values.items()}
detectable = power.detectable_points(sizes, deviations, family=5)
page.table("detectable", simulation_tables.detectable(detectable))
spread_of = pd.DataFrame(deviations, index=["SD of a run's value", "SD of a difference to SGD of the same seed"]).T
page.table("deviations", (100 * spread_of).rename(task_title).rename_axis("task").reset_index())
limits = power.smallest(sorted({4, paper_restarts, 6, 7, 8, 10, 20, 100}))
glue("largest-family", int(limits.set_index("restarts").loc[paper_restarts, "unpaired_family"]), display=False)
glue("six-cells", len(printed.printed_table("6")), display=False)
glue("six-pairs", comb(6, 2), display=False)
page.table(
    "limits",
    pd.DataFrame(
        {
            "runs": limits["restarts"],
            "smallest p, own seeds": limits["unpaired"].map(page.p_value),
            "largest family, own seeds": limits["unpaired_family"],
            "smallest p, shared seeds": limits["paired"].map(page.p_value),
            "largest family, shared seeds": limits["paired_family"],
        }
    ),
)
glue(
    "provenance-power",
    page.provenance(
        curves,
        "power.csv",
        groups="independent",
        repeats=f"{power_repeats} behind each point",
        seed=seed,
        spread="the CSV has 95 % Wilson intervals",
    ),
    display=False,
)
glue(
    "provenance-detectable",
    page.provenance(
        detectable,
        "detectable.csv",
        level="5 %, first of a Holm family of 5",
        power="80 %, simulated up to 7 restarts or 12 pairs, above by the t test's formula",
        profile=profile,
        trained_on=trained_on,
    ),
    display=False,
)
glue("provenance-limits", page.provenance(limits, "limits.csv", spread="none: properties of the tests"), display=False)

# %% [markdown]
# ````{table} Smallest true difference found with a probability of 80 % as the first of five comparisons: for seeds of their own / for shared seeds. In standard deviations, then in points of each task; a dash: no result could reject.
# :name: table-detectable
# ```{glue:md} detectable
# :format: myst
# ```
# ````
#
# Shared seeds help as far as two algorithms share their luck. Some designs cannot find anything: with
# {glue:text}`paper-restarts` runs an exact test can reject in a family of {glue:text}`largest-family` comparisons at
# most. The paper's Table 6 has {glue:text}`six-cells`, and six optimizers make {glue:text}`six-pairs` pairs.
#
# `````{dropdown} Power curves, and what turns standard deviations into points
# In a family of five the t test's formula (lines) does not hold for {glue:text}`paper-restarts` runs: a difference of
# 2 SD is found in {glue:text}`permuted` % of cases, and the formula says {glue:text}`formula` %. So the table above is
# by simulation where runs are few.
#
# ```{glue:figure} power
# :name: figure-power
#
# Power at the 5 % level for one comparison, and for the first rejection in a Holm family of five. Lines: the t test's
# formula; points: simulated permutation tests.
# ```
# ```{glue} provenance-power
# ```
#
# ````{table} What turns standard deviations into points: medians over algorithms at default settings, of SetA's mean score, in points. Last models alone scatter more ([table](table-lucky)).
# :name: table-deviations
# ```{glue:md} deviations
# :format: myst
# ```
# ````
# ```{glue} provenance-detectable
# ```
# `````
#
# `````{dropdown} The smallest p-value that a design allows
# ````{table} Smallest two-sided p-value of exact tests (of 99,999 drawn relabellings where there are too many), and the largest Holm family in which one comparison could be significant at 5 %; 0: not even alone.
# :name: table-limits
# ```{glue:md} limits
# :format: myst
# ```
# ````
# ```{glue} provenance-limits
# ```
# `````
#
# ## What makes a run lucky

# %% tags=["hide-input", "remove-output"]
LAST = {name: found["last"] for (name, _), found in outcomes.outcomes_by_case(trajectories, profile).items()}
rows = []
for name, table in LAST.items():
    if RECORDS[name].metric == ACCURACY and "SGD" in table:
        scores, examples = table["SGD"].dropna(), RECORDS[name].test
        most = restart_spread.most_independent(scores.mean(), examples)
        ends = restart_spread.sd_interval(scores.std(), len(scores))
        rows.append([name, "base", len(scores), examples, scores.std(), *ends, most])
    fresh = restart_spread.load_spreads(profile, name).query("algorithm == 'SGD' and variant == 'annealed'")
    columns = ["variant", "restarts", "examples", "sd", "sd_low", "sd_high", "independent"]
    rows += [[name, *row] for row in fresh[columns].to_numpy()]
lucky = pd.DataFrame(rows, columns=["task", *columns] if rows else ["task", "variant"])
for share, sd in {"share": "sd", "share_low": "sd_high", "share_high": "sd_low"}.items() if rows else ():
    lucky[share] = (lucky["independent"] / lucky[sd]).pow(2).clip(upper=1)
page.show("lucky", lucky, simulation_tables.lucky)
scores = {name: variance_sources.source_scores(profile, name) for name in results}
by_task = {
    name: variance_sources.variance_by_source(values).assign(task=name)
    for name, values in scores.items()
    if len(values) > 1 and "all" in values
}
every = pd.concat(by_task.values(), ignore_index=True) if by_task else pd.DataFrame()
page.show("sources", every, simulation_tables.chance_sources)
sources = by_task.get("digits", pd.DataFrame())


def luck_of(task: str, variant: str, column: str, form: str) -> str:
    """Write one number of SGD's spread on a task with its interval; a dash where it has not been run."""
    found = lucky[(lucky["task"] == task) & (lucky["variant"] == variant)]
    return with_interval(found, column, 100, f"{column}_", form).iloc[0] if len(found) else "–"


for name in ("base", "annealed"):
    glue(f"lucky-sd-{name}", luck_of("cifar10", name, "sd", ".1f"), display=False)
    glue(f"lucky-share-{name}", luck_of("cifar10", name, "share", ".0f"), display=False)
glue("lucky-texts", f"{RECORDS['tweeteval'].test:,}", display=False)
glue("lucky-digits", f"{RECORDS['digits'].test:,}", display=False)
glue("lucky-share-digits", luck_of("digits", "annealed", "share", ".0f"), display=False)
glue("lucky-share-texts", luck_of("tweeteval", "annealed", "share", ".0f"), display=False)
said = dict(zip(sources["source"], 100 * sources["sd"], strict=True)) if len(sources) else {}
for name in ("initialisation", "split", "order", "all"):
    glue(f"source-{name}", f"{said[name]:.1f}" if name in said else "–", display=False)
glue("provenance-lucky", page.provenance(lucky, "restart-spread.csv", profile=profile, algorithm="SGD"), display=False)
glue(
    "provenance-sources",
    page.provenance(every, "variance-sources.csv", profile=profile, algorithm="SGD"),
    display=False,
)

# %% [markdown]
# Two models that are equally good score differently on a finite test set. On CIFAR-10 this is not what makes runs differ.
# At a constant learning rate SGD's last models scatter by {glue:text}`lucky-sd-base` points (SD), and errors that are
# independent in each test image would give at most {glue:text}`lucky-share-base` % of that variance. With an annealed
# rate they scatter by {glue:text}`lucky-sd-annealed` points, of which such errors give {glue:text}`lucky-share-annealed` %
# (brackets: 95 % intervals). So most of a run's luck would be there on other test images, too. On Digits
# annealed runs differ less, and such errors give more of it: {glue:text}`lucky-share-digits` % of the variance
# ({glue:text}`lucky-digits` test images). On TweetEval they may give {glue:text}`lucky-share-texts` % of that of the accuracy ({glue:text}`lucky-texts` texts).
#
# `````{dropdown} Spread over restarts, and what independent errors would give
# ````{table} SGD's last model on the whole test set: SD over restarts of the accuracy, SD if errors were independent in each example, share of the variance, with 95 % intervals. At most: only the mean accuracy is known.
# :name: table-lucky
# ```{glue:md} lucky
# :format: myst
# ```
# ````
# ```{glue} provenance-lucky
# ```
#
# On Digits SGD's scores scatter by {glue:text}`source-initialisation` points (SD) if only the initial weights differ. If only the
# split into training and validation does, it is {glue:text}`source-split` points; if only the order of the examples does,
# {glue:text}`source-order`; if all three do, {glue:text}`source-all`. The other two were held at one fixed value each. At another
# value the scatter may differ, so the variances of the three need not add up to that of all.
#
# ````{table} SGD with one source of chance left free and the others at one fixed value, on tasks of which these runs are there: SD in points, and the variance in % of that of all together, with 95 % interval.
# :name: table-sources
# ```{glue:md} sources
# :format: myst
# ```
# ````
# ```{glue} provenance-sources
# ```
#
# That test-set sampling is most of the spread of networks trained to the end is {cite:t}`jordan2024`'s finding; the
# design with one source at a time is {cite:t}`bouthillier2021`'s.
# `````
#
# ## Construction decides the paper's first test

# %% tags=["hide-input", "remove-output"]
tied = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99)
fewer = max(repeats // 20, 1)
built = {
    f"{name}": simulations.decided_by_construction(
        tied, restarts=paper_restarts, chosen=per_trajectory, between=between, repeats=fewer, seed=seed
    )
    for name, between in (("runs alike", 0.0), ("four fifths of the variance between runs", 0.8))
}
page.figure(
    "construction",
    lambda width: simulation_figures.construction(built, width),
    alt="Two falling curves, the share of rejections against the correlation of loss and score.",
)
constructed = pd.concat(table.assign(runs=name) for name, table in built.items())
text = constructed.assign(correlation=constructed["correlation"].map("{:g}".format))
page.table("constructed", simulation_tables.rates(text, "correlation", "runs"))
glue(
    "provenance-constructed",
    page.provenance(
        constructed,
        "decided-by-construction.csv",
        restarts=paper_restarts,
        checkpoints="300 a trajectory, independent",
        chosen=f"{per_trajectory} for each set",
        repeats=fewer,
        seed=seed,
        spread=monte_carlo,
    ),
    display=False,
)

# %% [markdown]
# The paper compares SetA (lowest loss) with SetB (highest test score) by that very score. SetB lies above SetA whatever
# the optimizer. Whether the test notices depends on how noisy the score is along a run and how far runs lie apart, and
# its answer moves from certain rejection to none while the hypothesis is always false. What choosing by loss does cost
# is on the page [on loss and generalization](loss-and-generalization.ipynb).
#
# `````{dropdown} How often it rejects, by simulation
# ```{glue:figure} construction
# :name: figure-construction
#
# How often Mann–Whitney rejects SetA = SetB at the 5 % level, against the correlation of lower loss and score over the
# 300 checkpoints of a run.
# ```
#
# ````{table} Rejections in percent [95 % interval of the simulation].
# :name: table-constructed
# ```{glue:md} constructed
# :format: myst
# ```
# ````
# ```{glue} provenance-constructed
# ```
#
# Real checkpoints are not independent along a run, which this leaves out: the best ten are often neighbours.
# `````
#
# ## Sources
#
# Clusters counted as independent are *pseudoreplication* {cite:p}`hurlbert1984`; the design effect is
# {cite:t}`kish1965`'s, the ICC {cite:t}`shrout1979`'s. Equivalence needs its own test: {cite:t}`schuirmann1987`,
# {cite:t}`lakens2017`. Families are corrected after {cite:t}`holm1979`.
