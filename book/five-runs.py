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
# # 8 What the tests can and cannot say
#
# **The paper tests pooled checkpoints. Between two optimizers that are the same, run from seeds of their own, that test finds a difference in
# {glue:text}`pooled-half` % of cases when the checkpoints of a run correlate by one half, and in
# {glue:text}`pooled-ours` % at the correlations of our own runs (base settings, by task); it promises 5 %. Tests on
# restarts reject in {glue:text}`restarts-rates` % of simulated cases. But with {glue:text}`paper-restarts` restarts they see little: a
# true difference of {glue:text}`effect` standard deviation (SD) of a restart's value gives "p > 0.05" in {glue:text}`quiet-five` % of cases, and no difference at all in {glue:text}`quiet-none` %.**
#
# So neither "p < 0.05" on pooled checkpoints nor "p > 0.05" on five restarts says what one would like to read in it.
# Everything on this page is simulated while the page is built, or resampled from results of this book.

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the runs
per_trajectory: int = 10  # models selected from each trajectory by training loss, the paper's L
paper_restarts: int = 5  # the paper's number of trajectories
repeats: int = 10000  # simulated pairs of optimizers behind each false-positive rate
power_repeats: int = 4000  # simulated comparisons behind each rate of power
split_task: str = "digits"  # the task on which an optimizer is split against itself
split_algorithm: str = "SGD"  # and the optimizer
number_of_splits: int = 1000  # random splits
effect: float = 1.0  # the true difference that is looked for, in standard deviations of a restart
seed: int = 0  # of all simulations

# %% tags=["remove-cell"]
from math import comb

import pandas as pd
from myst_nb import glue

from popview.book import page, style
from popview.book.figures import simulations as simulation_figures
from popview.book.tables import simulations as simulation_tables
from popview.common.errors import UsageError, check_name
from popview.paper import printed
from popview.populations import pooled, tables
from popview.statistics import effective_n, power, simulations
from popview.tasks.catalogue import SHOWN

if per_trajectory < 2:
    raise UsageError(
        f"per_trajectory must be 2 or above: one model has no correlation with others, got {per_trajectory}"
    )
style.use()
covered, trajectories = tables.gather(profile, variant="base")
trained_on = page.facts(profile, trajectories)["trained_on"]
results = {task: found for (task, _), found in trajectories.items()}
check_name("split_task", split_task, SHOWN)
if split_task not in results:
    command = f"popview run --profile {profile} --task {split_task}"
    raise UsageError(f"{split_task} has no whole results in profile {profile}: `{command}` computes them")
sets = {task: tables.select(found, "train_loss", per_trajectory) for task, found in results.items()}
design = {"restarts": f"{paper_restarts} each", "checkpoints": f"{per_trajectory} a restart"}
monte_carlo = "95 % Wilson intervals for the finite number of repeats"

# %% [markdown]
# ## False positives of pooled tests
#
# Two optimizers, the same in every respect. Each has five restarts of ten checkpoints, as in the paper; what varies is
# the *intra-class correlation* (ICC): how much the checkpoints of one restart resemble each other. A test at the 5 %
# level should find a difference in 5 % of cases.

# %% tags=["hide-input", "remove-output"]
design_of = {"restarts": paper_restarts, "checkpoints": per_trajectory, "repeats": repeats, "seed": seed}
positives = simulations.false_positives((0.0, 0.5, 0.8, 0.95), **design_of)
page.figure("false-positives", simulation_figures.false_positive_bars(positives))
shown = positives.assign(icc=positives["icc"].map("{:g}".format))
page.table("positives", simulation_tables.rates(shown, "icc").rename(columns={"icc": "ICC"}))
half = positives[(positives["icc"] == 0.5) & (positives["test"] == "pooled Mann–Whitney")]
glue("pooled-half", f"{100 * half['rate'].item():.0f}", display=False)
glue("paper-restarts", paper_restarts, display=False)
glue("split-task", split_task, display=False)

# %% [markdown]
# ```{glue:figure} false-positives
# :alt: Bars of false positives of each test at four correlations, with the promised 5 % marked.
# :name: figure-false-positives
#
# False positives of the paper's two tests on pooled checkpoints, and of tests with one value per restart.
# ```
#
# ````{table} False positives at the 5 % level, in percent [95 % interval of the simulation].
# :name: table-positives
# ```{glue:md} positives
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(positives, "false-positives.csv", **design, repeats=repeats, seed=seed, spread=monte_carlo)

# %% [markdown]
# Mann–Whitney on five restarts stays below 5 % because its p-value can take few values, and none just
# below 0.05. At an ICC of 0, where checkpoints are independent, the paper's tests are right. With
# seeds that are not shared that is the only case; where the optimizers share seeds, as in this book, the correlation
# between them works the other way, and the two errors may cancel in part ([chapter 7](better-than-sgd.ipynb)).
#
# ## How alike are checkpoints in practice?
#
# The same correlation, measured in our own runs: the ten models of lowest training loss of each restart.

# %% tags=["hide-input", "remove-output"]
clusters = pd.concat(pooled.clustering(chosen).assign(task=task) for task, chosen in sets.items())
typical = clusters.groupby("task", sort=False)["icc"].median().clip(0, 1)
at_ours = pd.concat(
    simulations.false_positives([value], **design_of).assign(task=task) for task, value in typical.dropna().items()
)
page.table(
    "clusters",
    pd.DataFrame(
        {
            "task": clusters["task"],
            "algorithm": clusters["algorithm"],
            "ICC": [
                f"{i:.2f} [{low:.2f},\u00a0{high:.2f}]"
                for i, low, high in zip(clusters["icc"], clusters["low"], clusters["high"], strict=True)
            ],
            f"{paper_restarts} × {per_trajectory} models are worth": [
                round(effective_n(paper_restarts, per_trajectory, value), 1) for value in clusters["icc"]
            ],
        }
    ),
    digits=1,
)
summary = simulation_tables.rates(at_ours, "task")
summary.insert(1, "median ICC", summary["task"].map(typical))
page.table("at-ours", summary)
every = pd.concat([positives, at_ours])
sound = 100 * every.loc[every["test"].isin(simulations.RESTART_LEVEL), "rate"]
glue("restarts-rates", f"{sound.min():.1f} to {sound.max():.1f}", display=False)
ours = 100 * at_ours.loc[at_ours["test"] == "pooled Mann–Whitney", "rate"]
glue("pooled-ours", f"{ours.min():.0f} to {ours.max():.0f}" if len(ours) else "–", display=False)
glue("tasks-there", ", ".join(results) or "none", display=False)
glue("tasks-missing", ", ".join(task for task in covered["task"] if task not in results) or "none", display=False)

# %% [markdown]
# ````{table} Intra-class correlation of the test metric of SetA's models at base settings [95 % interval; of strongly skewed restarts it covers 70 % to 90 %], and how many independent models the paper's fifty would be worth at that correlation.
# :name: table-clusters-by-task
# ```{glue:md} clusters
# :format: myst
# ```
# ````
#
# ````{table} False positives of each test, in percent [95 % interval of the simulation alone], simulated at the median ICC of a task at base settings. How uncertain that ICC is at the restarts at hand, the table above says.
# :name: table-at-ours
# ```{glue:md} at-ours
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    clusters,
    "icc-by-task.csv",
    profile=profile,
    trained_on=trained_on,
    models=f"{per_trajectory} per restart by training loss",
    restarts="; ".join(f"{task} {found['seed'].nunique()}" for task, found in results.items()),
    repeats=repeats,
    seed=seed,
    spread=monte_carlo,
)

# %% [markdown]
# Tasks with results: {glue:text}`tasks-there`. Not run here yet: {glue:text}`tasks-missing`.
#
# ## One optimizer against itself
#
# No simulation: the restarts of one optimizer, divided at random into two sides, as if they were two optimizers. Any
# difference found is a false positive.

# %% tags=["hide-input", "remove-output"]
chosen = sets[split_task]
check_name(f"algorithm of {split_task}", split_algorithm, list(chosen["algorithm"].unique()))
values = simulations.matrix(chosen[chosen["algorithm"] == split_algorithm])
sides = (paper_restarts, len(values) // 2)
found = {f"{n} a side": simulations.split_p_values(values, n, number_of_splits, seed) for n in sides}
tests = [*simulations.POOLED, *simulations.RESTART_LEVEL]
page.figure("splits", simulation_figures.p_value_histograms(found, tests))
shares = pd.concat(simulations.rejected(table).assign(side=side) for side, table in found.items())
page.table("shares", simulation_tables.rates(shares, "side").rename(columns={"side": "restarts"}))

# %% [markdown]
# ```{glue:figure} splits
# :alt: Histograms of p-values of tests of one optimizer against itself, the part at most 0.05 in red.
# :name: figure-splits
#
# p-values of an optimizer split against itself. A test that keeps its promise has level bars; red is what lies at 0.05 or below.
# ```
#
# ````{table} Share of splits with p of at most 0.05, in percent; the intervals count the splits as independent, which they are not.
# :name: table-shares
# ```{glue:md} shares
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    pd.concat(table.assign(side=side) for side, table in found.items()),
    "splits.csv",
    task=split_task,
    algorithm=split_algorithm,
    profile=profile,
    trained_on=trained_on,
    restarts=len(values),
    models=f"{per_trajectory} per restart by training loss",
    splits=number_of_splits,
    seed=seed,
)

# %% [markdown]
# What these splits are not: independent. All come from the same {glue:text}`split-restarts` restarts. With five a side
# two splits have few restarts in common, so the shares describe these restarts well and the optimizer's distribution
# nearly as well; the intervals leave out the luck of which restarts we have. With {glue:text}`split-half` a side every
# split uses *all* of them and is one relabelling of the same values: the permutation test then rejects in about 5 % of
# splits whatever the values are, and only the pooled columns tell something. They tell that more restarts do not cure
# pooling: the number that is wrong is the number of checkpoints, and it grows along.

# %% tags=["remove-cell"]
glue("split-restarts", len(values), display=False)
glue("split-half", sides[1], display=False)

# %% [markdown]
# ## Power: what can be found at all?
#
# The other side of honesty: how large must a true difference be to be found? Differences are in standard deviations
# (SD) of a restart's value.

# %% tags=["hide-input", "remove-output"]
sizes = tuple(sorted({paper_restarts, 10, 20, 100}))
effects = [step / 20 for step in range(61)]
curves = power.power(sizes, effects, simulated=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0), repeats=power_repeats, seed=seed)
page.figure("power", simulation_figures.power_curves(curves))
first = curves.set_index(["restarts", "family", "effect"]).loc[(paper_restarts, 5, 2.0)]
glue("formula", f"{100 * first['power']:.0f}", display=False)
glue("permuted", f"{100 * first['permutation']:.0f}", display=False)

# %% [markdown]
# ```{glue:figure} power
# :alt: Curves of power against the number of restarts.
# :name: figure-power
#
# Power at the 5 % level for one comparison, and for the first rejection in a Holm family of five (the paper's five algorithms against SGD). Lines: the t test's formula. Points: simulated permutation tests.
# ```

# %% tags=["remove-input"]
page.provenance(
    curves,
    "power.csv",
    groups="independent",
    repeats=f"{power_repeats} behind each point",
    seed=seed,
    spread="the CSV has 95 % Wilson intervals",
)

# %% [markdown]
# With {glue:text}`paper-restarts` restarts in a family of five the formula does not hold: a difference of 2 SD is found in
# {glue:text}`permuted` % of cases, where it says {glue:text}`formula` %, because few of the relabellings are so extreme that they
# count as significant. What follows is by simulation where restarts are so few.
#
# In the unit of our tasks: the smallest difference that is found with a probability of 80 % as the first of a family of
# five. The SD of a restart's value, and that of the difference to SGD of the same seed, are medians
# over algorithms (two others may differ by more).

# %% tags=["hide-input", "remove-output"]
deviations = {task: power.deviations(tables.per_restart(chosen)) for task, chosen in sets.items()}
detectable = power.detectable_points(sizes, deviations, family=5)
page.table("detectable", simulation_tables.detectable(detectable))
spread_of = pd.DataFrame(deviations, index=["SD of a restart's value", "SD of a difference to SGD paired by seed"]).T
page.table("deviations", (100 * spread_of).rename_axis("task").reset_index(), digits=3)

# %% [markdown]
# ````{table} Smallest true difference found with 80 % power in a family of five, in SDs and in percentage points of each task's metric at base settings. A dash: no result could reject.
# :name: table-detectable
# ```{glue:md} detectable
# :format: myst
# ```
# ````
#
# ````{table} What turns SDs into points: medians over algorithms at base settings, in percentage points.
# :name: table-deviations
# ```{glue:md} deviations
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    detectable,
    "detectable.csv",
    level="5 %, first of a Holm family of 5",
    power="80 %, simulated up to 7 restarts or 12 pairs, above by the t test's formula; a dash: nothing can be found",
    profile=profile,
    trained_on=trained_on,
)

# %% [markdown]
# Pairing by seed helps only as far as two algorithms that share a seed also share luck. And some designs cannot reject
# at all: the smallest p-value of a permutation test is 2 divided by the number of relabellings.

# %% tags=["hide-input", "remove-output"]
limits = power.smallest(sorted({4, paper_restarts, 6, 7, 8, 10, 20, 100}))
glue("largest-family", int(limits.set_index("restarts").loc[paper_restarts, "unpaired_family"]), display=False)
glue("six-cells", len(printed.printed_table("6")), display=False)
glue("six-pairs", comb(6, 2), display=False)
page.table(
    "limits",
    pd.DataFrame(
        {
            "restarts": limits["restarts"],
            "smallest p, unpaired": limits["unpaired"],
            "largest family, unpaired": limits["unpaired_family"],
            "smallest p, paired": limits["paired"],
            "largest family, paired": limits["paired_family"],
        }
    ),
    digits=4,
)

# %% [markdown]
# ````{table} Smallest two-sided p-value of exact tests (of 99,999 drawn relabellings where there are too many), and the largest Holm family in which one comparison could still be significant at 5 %; 0: none, not even alone.
# :name: table-limits
# ```{glue:md} limits
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(limits, "limits.csv", spread="none: exact")

# %% [markdown]
# With {glue:text}`paper-restarts` restarts a family of {glue:text}`largest-family` is the limit: the paper's
# {glue:text}`six-cells` comparisons of Table 6, or all {glue:text}`six-pairs` pairs of six optimizers, are families of more.
#
# ## What "p > 0.05" looks like when there is a difference
#
# Now two optimizers that do differ, by {glue:text}`effect` SD; and the same design without a difference. The margin of
# equivalence is the true difference itself, so that the two are just *not* equivalent.

# %% tags=["hide-input", "remove-output"]
quiet = power.silence(sizes, effect=effect, margin=effect, repeats=power_repeats, seed=seed)
page.figure("silence", simulation_figures.silence_bars(quiet, effect))
page.table("silent", simulation_tables.silent(quiet), digits=1)
drawn = power.differing_groups((paper_restarts,), (0.0, effect, 2 * effect), repeats=power_repeats, seed=seed)
distribution = power.restart_p_values(drawn, seed)
page.figure(
    "p-values", simulation_figures.p_value_histograms({f"{paper_restarts} restarts": distribution}, list(distribution))
)
five = quiet[quiet["restarts"] == paper_restarts].set_index("difference")
glue("effect", f"{effect:g}", display=False)
glue("quiet-five", f"{100 * five.loc[effect, 'not_rejected']:.0f}", display=False)
glue("quiet-none", f"{100 * five.loc[0.0, 'not_rejected']:.0f}", display=False)
glue("equivalent-five", f"{100 * five.loc[effect, 'equivalent']:.1f}", display=False)
glue("equivalent-none", f"{100 * five.loc[0.0, 'equivalent']:.0f}", display=False)
twenty = quiet[quiet["restarts"] == 20].set_index("difference")
glue("equivalent-twenty", f"{100 * twenty.loc[0.0, 'equivalent']:.0f}", display=False)

# %% [markdown]
# ```{glue:figure} p-values
# :alt: Histograms of p-values at three true differences.
# :name: figure-p-values
#
# Distribution of the p-value of an exact permutation test of restarts, at three true differences. So few restarts give it few values, so the bars are uneven even where there is no difference.
# ```
#
# ```{glue:figure} silence
# :alt: Bars of how often a test is not significant and how often equivalence is shown, by number of restarts.
# :name: figure-silence
#
# The same data, two questions. "p > 0.05" is common with and without a difference; equivalence is claimed wrongly in at most about 5 % of cases, and can be shown only with enough restarts.
# ```
#
# ````{table} Shares of cases in percent: permutation test not significant, and equivalence shown by two one-sided tests with the true difference as margin.
# :name: table-silent
# ```{glue:md} silent
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    quiet,
    "silence.csv",
    difference=f"{effect:g} SD",
    margin=f"{effect:g} SD",
    repeats=power_repeats,
    seed=seed,
    spread="the CSV has 95 % Wilson intervals",
)

# %% [markdown]
# At {glue:text}`paper-restarts` restarts "p > 0.05" comes in {glue:text}`quiet-five` % of cases with the difference and in
# {glue:text}`quiet-none` % without: it hardly tells the two apart. The test of equivalence errs in
# {glue:text}`equivalent-five` % of cases, and where there is no difference at all it says so in only
# {glue:text}`equivalent-none` % at {glue:text}`paper-restarts` restarts and in {glue:text}`equivalent-twenty` % at twenty. Where
# restarts are too few it claims nothing, which non-rejection cannot do. Below 8 restarts chapter 7 asks for the paired
# test besides, since its seeds are shared, and shows equivalence more rarely still.
#
# ## A test decided by construction
#
# The paper's first test compares SetA (lowest loss) with SetB (highest test score) on that very score. Whatever the
# optimizer, SetB lies at or above SetA. How often the test notices depends on how tightly loss and score are
# tied along a trajectory, on how far trajectories lie apart, and on how many models are pooled.

# %% tags=["hide-input", "remove-output"]
tied = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99)
fewer = max(repeats // 20, 1)
built = {
    f"{name}": simulations.decided_by_construction(
        tied, restarts=paper_restarts, chosen=per_trajectory, between=between, repeats=fewer, seed=seed
    )
    for name, between in (("trajectories alike", 0.0), ("four fifths of the variance between trajectories", 0.8))
}
page.figure("construction", simulation_figures.construction(built))
constructed = pd.concat(table.assign(trajectories=name) for name, table in built.items())
text = constructed.assign(correlation=constructed["correlation"].map("{:g}".format))
page.table("constructed", simulation_tables.rates(text, "correlation", "trajectories"))

# %% [markdown]
# ```{glue:figure} construction
# :alt: Two falling curves, the share of rejections against the correlation of loss and score.
# :name: figure-construction
#
# How often Mann–Whitney rejects SetA = SetB at the 5 % level, against the correlation of −loss and score over the 300 checkpoints of a trajectory.
# ```
#
# ````{table} Rejections in percent [95 % interval of the simulation].
# :name: table-constructed
# ```{glue:md} constructed
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    constructed,
    "decided-by-construction.csv",
    restarts=paper_restarts,
    checkpoints="300 a trajectory, independent",
    chosen=f"{per_trajectory} for each set",
    repeats=fewer,
    seed=seed,
    spread=monte_carlo,
)

# %% [markdown]
# The null hypothesis is false at every correlation below one, and the outcome moves from certain rejection to none
# all the same. Where trajectories differ among each other the test turns deaf sooner, because
# both sets share these differences and the test does not know it. So a table of such p-values (the paper's Tables 2
# and 3) says how noisy the score is along a trajectory and how far trajectories lie apart. It does not say whether
# lower loss means better generalization; what does is in [chapter 6](loss-and-generalization.ipynb).
#
# Real checkpoints are not independent along a trajectory, which this simulation leaves out: neighbours have similar
# scores, so the best ten by any criterion are often neighbours.
#
# ## Sources
#
# Clusters counted as independent are *pseudoreplication* {cite:p}`hurlbert1984`; the design effect is
# {cite:t}`kish1965`'s, the intra-class correlation {cite:t}`shrout1979`'s. Equivalence needs its own test:
# {cite:t}`schuirmann1987`, {cite:t}`lakens2017`. Families are corrected after {cite:t}`holm1979`.
