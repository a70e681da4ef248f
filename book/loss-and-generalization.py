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
# # 6 Does lower loss mean better generalization?
#
# **The paper takes ten models per trajectory by training loss (SetA) and ten by test score (SetB), pools them, tests
# whether they differ, and reads "not rejected" as agreement. That test cannot answer the question: SetB is chosen by
# the very score that is compared, so a difference is built in, and whether it is found depends on how tightly loss and score
# are tied, how far trajectories lie apart and how many models are pooled.** What can be answered is what choosing by loss costs, restart by restart:
# **{glue:text}`answer`**
#
# ````{table} What choosing by training loss costs and gains, in points of test metric: means over restarts, of the algorithm where it is lowest and of the one where it is highest, which are not tested against each other. The loss's choice is: = as good within the margin (=△ =▽ and yet better, worse, inside it), ▲ better, ▼ worse (△ ▽ perhaps by less than the margin), · neither shown. Both: training loss and test score; by chance: of all checkpoints, of the later half about twice as many.
# :name: table-selection-overview
# ```{glue:md} overview
# :format: myst
# ```
# ````
#
# Where a search chose the base setting, the tuned case is the base one again:
# {glue:text}`unchanged`. {glue:md}`never-parted`
#
# ```{glue:md} not-finished
# :format: myst
# ```

# %% tags=["parameters"]
task: str = "all"  # all that have results, or one: digits, cifar10, cifar100, goemotions, tweeteval
variant: str = "all"  # base (one setting per algorithm, stated in the profile), tuned, or all
profile: str = "laptop"  # scale of the runs
restarts: int | None = None  # restarts per algorithm; the profile's by default; only digits is ever computed here
per_trajectory: int = 10  # models selected from each trajectory, the paper's L
paper_restarts: int = 5  # the paper's number of trajectories, shown beside all of ours

# %% tags=["remove-cell"]
from myst_nb import glue

from popview.book import page, style
from popview.book.figures import selection as selection_figures
from popview.book.figures import trajectories as trajectory_figures
from popview.book.results import absent, base_setting_chosen, each, to_fill
from popview.book.sentences import comparisons as comparison_sentences
from popview.book.tables import comparisons as comparison_tables
from popview.book.tables import printed as printed_tables
from popview.book.tables import selection as selection_tables
from popview.paper import printed
from popview.populations import pooled, selection, tables
from popview.populations.comparisons import joined_later
from popview.populations.embedded import train_embedded
from popview.populations.unfinished import unfinished
from popview.runs import status

style.use()
train_embedded(task, variant, profile, restarts)
coverage, results = tables.gather(profile, task, variant, restarts)
facts = page.facts(profile, results) | {
    "models": f"{per_trajectory} per restart",
}
sets = each(results, profile, lambda t, _: pooled.paper_sets(t, per_trajectory, few=paper_restarts))
regrets = each(results, profile, lambda t, margin: selection.regrets(t, margin, per_trajectory))
verdicts = each(results, profile, lambda t, m: selection.verdicts(t, m, per_trajectory=per_trajectory))
last = each(results, profile, lambda t, m: selection.against_last(t, m, per_trajectory=per_trajectory))
overlaps = each(results, profile, lambda t, _: selection.overlaps(t, per_trajectory))
correlations = each(results, profile, lambda t, _: selection.correlations(t))
glue(
    "answer",
    comparison_sentences.cost_of_choosing_by_loss(
        verdicts, last, comparison_sentences.duplicate_cases(results, profile)
    ),
    display=False,
)
page.markdown("not-finished", comparison_sentences.not_finished(each(results, profile, unfinished)))
page.markdown("never-parted", comparison_sentences.never_parted(results))
page.show(
    "overview",
    sets,
    lambda table: selection_tables.selection_overview(table, regrets, verdicts, last, overlaps, correlations),
)
glue("unchanged", base_setting_chosen(results, profile), display=False)
for kind in ("base", "tuned"):
    glue(f"absent-{kind}", absent(coverage, kind), display=False)

# %% [markdown]
# *Regret*: the mean test score of the models that the other criterion chooses, minus that of the models that the
# training loss chooses, in one restart. A *point* is a hundredth of accuracy or macro-F1. *Equivalent* means that two
# one-sided tests reject a difference as large as the margin, which the profile fixes before the runs. Which tasks have
# results:

# %% tags=["hide-input", "remove-output"]
page.show("covered", coverage, comparison_tables.coverage_table)
page.markdown("to-fill", to_fill(coverage, profile, status.inventory(profile)))

# %% [markdown]
# ````{table} What this page rests on. The paper's tasks are cifar10, cifar100, goemotions and tweeteval.
# :name: table-covered-six
# ```{glue:md} covered
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(coverage, "coverage.csv", **facts)

# %% [markdown]
# ```{glue:md} to-fill
# :format: myst
# ```

# %% [markdown]
# ## What choosing by training loss costs

# %% tags=["hide-input", "remove-output"]
page.figure("regret", selection_figures.regrets_figure(regrets))
page.show("choices", regrets, lambda table: selection_tables.choices_table(table, verdicts, last), digits=4)
page.show("bounds", regrets, lambda table: selection_tables.upper_bounds(table, overlaps))

# %% [markdown]
# ```{glue:figure} regret
# :alt: Three marks with intervals per algorithm around a band at zero, one panel per task and variant.
# :name: figure-regret
#
# What choosing by training loss gives away, in points: mean over restarts with its 95 % interval; the band is the equivalence margin, fixed in the profile. The verdicts are about the diamonds: choosing by validation metric, judged by the test metric, can be had; the best by test, judged by test (circles), and by validation, judged by validation (squares), cannot.
# ```
#
# ````{table} Choosing by training loss against choosing by validation metric, judged by the test metric. Regret in points, with 95 % t interval over restarts: below zero the loss chooses better. TOST: the larger p of two one-sided tests of equivalence. Then the loss against recency: as many of the last checkpoints, gain in points with 95 % t interval. One Holm family per task, variant and rival, paired within restarts. An interval without length: the restarts' values are all equal.
# :name: table-choices
# ```{glue:md} choices
# :format: myst
# ```
# ````
#
# ````{table} SetA against SetB, and the same on the validation split: the share of the models chosen by loss that the score chooses too, and the regret in points with 95 % t interval over restarts. The margin: below, if two one-sided tests at 5 % put the mean regret inside it; above, if the interval lies beyond it.
# :name: table-bounds
# ```{glue:md} bounds
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    regrets,
    "regret.csv",
    **facts,
    spread="95 % t intervals over restarts",
    ties="in random order, in expectation",
    tests="sign flips from 8 restarts on (99,999 draws above 17, so that p is at least 2e-5), below it the paired t test",
)

# %% [markdown]
# The regret to SetB cannot be negative, and part of it is luck: SetB takes the checkpoints that happened to do best on
# these very test examples. It is an upper bound on what the loss misses. Accuracies on few examples tie often; these numbers are expectations over a random order of tied
# checkpoints, since "the earlier one" would favour the beginning of training. A t interval covers less than it says
# where restarts are few and values skewed, as at five restarts; `popview.populations.selection.mean_with_interval` says by how much. The
# rule of the verdicts is in chapter 7. All of it is conditional on the fixed test set.
#
# ## Loss and metric along trajectories

# %% tags=["hide-input", "remove-output"]
page.figure(
    "scatter", trajectory_figures.loss_against_metric(results, ("SGD", "NiM-SGD", "SAM", "NiM-BH"), from_share=0.06)
)
page.figure("tau", selection_figures.correlations_figure(correlations))
page.show("taus", correlations, selection_tables.correlations_table)

# %% [markdown]
# ```{glue:figure} scatter
# :alt: Clouds of checkpoints, test metric against training loss, one panel per algorithm and task.
# :name: figure-scatter
#
# Test metric against training loss, one point per checkpoint of every restart, without the first 6 % of the epochs.
# ```
#
# ```{glue:figure} tau
# :alt: Rank correlations with intervals, one line per algorithm and period, one panel per task and variant.
# :name: figure-tau
#
# Kendall's τ_b between −training loss and test metric inside each trajectory: mean over restarts with its 95 % interval. 1 would be full agreement, 0 none.
# ```
#
# ````{table} Kendall's τ_b inside trajectories between −training loss and the metric, on the test and on the validation split: mean over restarts with 95 % t interval. Intervals are cut at −1 and 1. A restart in which the score never changes, or the loss takes too few values (Monotonic Basin Hopping repeats its incumbent), is left out, and counted in the last column.
# :name: table-taus
# ```{glue:md} taus
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
few = f"{selection.FEWEST_LOSSES} different ones or more"
page.provenance(correlations, "rank-correlation.csv", **facts, losses=few, spread="95 % t intervals over restarts")

# %% [markdown]
# Over a whole trajectory loss and metric improve together because both start where nothing has been learnt; the second
# half asks whether the loss still tells anything after that.
#
# ## Tables 2 and 3: SetA against SetB, as the paper tests it

# %% tags=["hide-input", "remove-output"]
counts = {}
for number, kind, test in (
    ("2a", "tuned", "mann_whitney"),
    ("2b", "base", "mann_whitney"),
    ("3a", "tuned", "t_test"),
    ("3b", "base", "t_test"),
):
    ours = sets[sets["variant"] == kind] if results else sets
    if len(ours):
        ours = ours.assign(label=kind + ", " + ours["restarts"].astype(str) + " restarts", p=ours[test])
        for said, rows in ours.groupby(["task", "label"], sort=False):
            counts[f"{number}, ours: {', '.join(said)}"] = rows.loc[~rows["algorithm"].map(joined_later), "p"]
    if printed.TABLES[number].available:
        counts[f"{number}, printed: four tasks, {kind}"] = printed.printed_table(number)["p_value"]
    page.show(f"table-{number}", printed_tables.printed_and_ours(ours, number), digits=4)
page.table("tallies", printed_tables.tallies(counts))

# %% [markdown]
# ````{table} The paper's Table 2a: Mann–Whitney U test of SetA against SetB on the test metric, pooled models, tuned algorithms: the printed p-values, and ours beside them where tuned runs exist. Other networks and budgets than the paper's.
# :name: table-two-a
# ```{glue:md} table-2a
# :format: myst
# ```
# ````
#
# Ours: {glue:text}`absent-tuned`.
#
# ````{table} The paper's Table 2b: the same for base algorithms. The paper's values are missing from the only text at hand; these are ours.
# :name: table-two-b
# ```{glue:md} table-2b
# :format: myst
# ```
# ````
#
# Ours: {glue:text}`absent-base`.
#
# ````{table} The paper's Table 3a: t test of SetA against SetB on the test metric, pooled models, tuned algorithms: the printed p-values, and ours beside them where tuned runs exist.
# :name: table-three-a
# ```{glue:md} table-3a
# :format: myst
# ```
# ````
#
# ````{table} The paper's Table 3b: the same for base algorithms. The paper's values are missing from the only text at hand; these are ours.
# :name: table-three-b
# ```{glue:md} table-3b
# :format: myst
# ```
# ````
#
# ````{table} How many of these tests reject, and how many would by chance alone if every hypothesis were true and every model independent; and the smallest p-value after Holm's correction over the line.
# :name: table-tallies
# ```{glue:md} tallies
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    sets,
    "seta-setb.csv",
    **facts,
    note="models of one restart are not independent; printed values: ResNet-50 and BERT, 5 trajectories of 300 epochs",
)

# %% [markdown]
# The same runs give both columns of a task: only the number of restarts that are pooled differs (the first five seeds,
# or all). SetB can only lie at or above SetA, so the hypothesis is false unless both criteria choose models of equal score; a small p-value says that
# enough models were pooled to see it, a large one that they were too few or too alike.
#
# ## Table 4: medians and standard deviations

# %% tags=["hide-input", "remove-output"]
whole = printed_tables.whole(sets)
page.table("four", printed_tables.medians(whole))

# %% [markdown]
# ````{table} The paper's Table 4: test metric of SetA and SetB. Ours: median (SD over all models; median over restarts of the SD inside a restart). Printed: median ("median standard deviation"), which may be either. In some printed cells SetB lies below SetA, which its definition excludes, and some SDs are ten times the others: both as printed ([chapter 13](printed-paper.ipynb)).
# :name: table-four
# ```{glue:md} four
# :format: myst
# ```
# ````
#
# The printed cells as a file: {download}`table-4.csv <../../data/paper/table-4.csv>`.

# %% tags=["remove-input"]
page.provenance(whole, "medians.csv", **facts, spread="SD over models, as the column says")

# %% [markdown]
# ## Tables 5a and 5b: training loss of SetA and SetB
#
# Both are missing from the only text at hand. Ours:

# %% tags=["hide-input", "remove-output"]
losses = each(results, profile, lambda t, _: pooled.paper_sets(t, per_trajectory, "train_loss", few=paper_restarts))
page.show("losses", printed_tables.whole(losses), printed_tables.losses, digits=4)

# %% [markdown]
# ````{table} The paper's Tables 5a and 5b: training loss of SetA and SetB, and the paper's two tests on pooled models. SetA is chosen by this very loss, so here too the difference has its sign by construction.
# :name: table-losses
# ```{glue:md} losses
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(losses, "seta-setb-loss.csv", **facts, note="the CSV has the first restarts alone as well")
