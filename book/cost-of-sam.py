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
# # 9 The budget
#
# **Equal epochs are not equal prices: SAM pays two gradients a step, and NiM-SGD a second one wherever its noise fires.**
# What that changes:
#
# ````{table} Gradients paid for the same epochs, test metric less SGD's, and training loss, both gradients and loss as multiples of SGD's; at the last checkpoint within the budget (chapter 7 takes the mean of ten), with 95 % t interval. Test metric: ▲ better, ▼ worse (△ ▽ perhaps by less than the margin), = equivalent (=△ =▽ and yet a difference by Holm), · inconclusive, ? undecidable at this n. Training loss: ▲ lower, ▼ higher, of any size. Signs follow Holm's correction, the intervals do not. Then the gradients until the validation metric comes within the margin of SGD's usual best: median and its 95 % interval, of which no test is made; ∞: not within SGD's budget. Algorithms without a line compute as many gradients as SGD; Monotonic Basin Hopping's loss evaluations come on top.
# :name: table-budget-overview
# ```{glue:md} overview
# :format: myst
# ```
# ````
#
# ```{glue:md} not-finished
# :format: myst
# ```
#
# **The paper's design at its own scale, with one setting for each algorithm (*base*: {glue:text}`number-tasks` tasks,
# {glue:text}`number-trajectories` trajectories of 300 epochs with the references that this book adds), takes
# {glue:text}`paper-gradients` gradient evaluations, about {glue:text}`paper-hours` GPU-hours if a GPU
# sustains {glue:text}`throughput`, or {glue:text}`core-years` years of one processor core at {glue:text}`core-throughput`, which was measured on
# a step of ResNet-50.** Tuned settings, which that profile does not plan,
# would cost at most as much again, and their search on top. The laptop scale of this book is planned {glue:text}`cheaper` times cheaper, and {glue:text}`done` % of the
# operations of its base runs have been run.

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the runs that are compared
task: str = "all"  # all that have results, or one: digits, cifar10, cifar100, goemotions, tweeteval
variant: str = "all"  # base (one setting per algorithm, stated in the profile), tuned, or all
restarts: int | None = None  # restarts per algorithm; the profile's by default; only digits is ever computed here
throughput: float = 62.4e12  # FLOP/s that one GPU sustains: a fifth of an A100's bfloat16 peak
core_throughput: float = 1.25e11  # FLOP/s of one core: a step of ResNet-50, batch 128, took 8.0 s on the core below

# %% tags=["remove-cell"]
import pandas as pd
from myst_nb import glue

from popview.book import page, style
from popview.book.figures import costs as cost_figures
from popview.book.results import each
from popview.book.sentences import comparisons as comparison_sentences
from popview.book.tables import costs as cost_tables
from popview.populations import equal_budget, tables, time_to_target
from popview.populations.embedded import train_embedded
from popview.populations.unfinished import unfinished
from popview.runs import costs, expansion, profiles, store

style.use()
train_embedded(task, variant, profile, restarts)
coverage, results = tables.gather(profile, task, variant, restarts)
facts = page.facts(profile, results)
paid = each(results, profile, lambda t, _: equal_budget.evaluations(t))
metric = each(results, profile, equal_budget.equal_budgets)
loss = each(results, profile, lambda t, margin: equal_budget.equal_budgets(t, margin, "train_loss"))
times = each(results, profile, time_to_target.times)
page.markdown("not-finished", comparison_sentences.not_finished(each(results, profile, unfinished)))
page.show("overview", paid, lambda table: cost_tables.costs_and_gains(table, metric, loss, times))

wanted = {
    name: [spec for t in profiles.tasks(name) for spec in expansion.expand(name, t)]
    for name in profiles.profile_names()
}
priced = (costs.cost_table(found, throughput=throughput) for found in wanted.values())
bills = pd.concat(sorted(priced, key=lambda bill: bill["flops"].sum()), ignore_index=True)
paper, laptop = (bills[bills["profile"] == name] for name in ("paper", "laptop"))
least, most = (paper[column].sum() for column in ("gradients_least", "gradients"))
glue("number-tasks", paper["task"].nunique(), display=False)
glue("number-trajectories", int(paper["trajectories"].sum()), display=False)
glue("paper-gradients", f"{least / 1e6:.0f} to {most / 1e6:.0f} million", display=False)
glue("paper-hours", f"{paper['gpu_hours'].sum():.0f}", display=False)
glue("throughput", costs.amount(throughput, "FLOP/s"), display=False)
glue("core-throughput", costs.amount(core_throughput, "FLOP/s"), display=False)
core_hours = costs.cost_table(wanted["paper"], throughput=core_throughput)["gpu_hours"].sum()
glue("core-years", f"{core_hours / (365.25 * 24):.1f}", display=False)
done = costs.cost_table([spec for spec in wanted["laptop"] if store.path(spec).is_file()], throughput=throughput)
glue("done", f"{100 * done['flops'].sum() / laptop['flops'].sum():.2g}", display=False)
glue("cheaper", f"{paper['flops'].sum() / laptop['flops'].sum():,.0f}", display=False)

# %% [markdown]
# ## What an optimizer pays
#
# A *gradient evaluation* is a forward and a backward pass over one minibatch. An accept rule evaluates losses instead,
# each on a fixed sample of the training split: forward passes only, counted beside. (It is the sample that the training loss
# of every checkpoint is taken on: Monotonic Basin Hopping picks by it what others are only measured by.) The target is the best validation
# metric that SGD reaches in its median restart, less the equivalence margin; chapter 7 has the target itself and the
# curves.

# %% tags=["hide-input", "remove-output"]
page.show("prices", paid, lambda table: cost_tables.prices(table, times))

# %% [markdown]
# ````{table} What a restart pays for the same epochs (mean), and until it first comes within the margin of the target (median over restarts with 95 % interval; a miss within SGD's gradients counts as ∞).
# :name: table-prices
# ```{glue:md} prices
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(paid, "prices.csv", **facts, spread="95 % intervals between order statistics")

# %% [markdown]
# ## The same epochs, or the same gradients?

# %% tags=["hide-input", "remove-output"]
page.show("equal", metric, lambda table: cost_tables.equal(table, loss), digits=4)

# %% [markdown]
# ````{table} The algorithms that pay more than SGD, at their last checkpoint: for the same epochs, and stopped where SGD's gradients end. Difference of mean test metric in points, factor on the (geometric) mean training loss (above 1: higher than SGD's), each with its 95 % t interval, paired by seed from 8 restarts. Verdicts by the rule of chapter 7, for the loss without a margin; one Holm family per task, variant and column; p-values in the CSV.
# :name: table-equal-budgets
# ```{glue:md} equal
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    pd.concat([metric.assign(value="test_metric"), loss.assign(value="log10 train_loss")], ignore_index=True),
    "equal-budgets.csv",
    **facts,
    spread="95 % intervals",
    tests="as in chapter 7",
)

# %% [markdown]
# Stopping a run early is a fair stand-in for a run of the smaller budget only because all learning rates here are
# constant; with a schedule the shorter run would have to be run. The paper does not count SAM's second gradient in its
# 300 epochs.
#
# ## What measuring adds
#
# Each trajectory ends with measures of flatness, corrupted inputs, ensembles and averaged weights (chapter 12). They
# were meant to add at most 15 % to the time of training and its checkpoints. Where files are not there yet, only the share by counted operations is known; of networks as small as those of `digits` the
# operations say little about the time.

# %% tags=["hide-input", "remove-output"]
run_here = [spec for (name, kind), _ in results.items() for spec in expansion.expand(profile, name, variant=kind)]
measuring = equal_budget.measuring(run_here)
page.show("measuring", measuring, cost_tables.shares, digits=1)

# %% [markdown]
# ````{table} What the measures at the end add to training and checkpoints: median and highest over the algorithms of a task. SWA rides along SGD's training, and pays for its own measures.
# :name: table-measuring
# ```{glue:md} measuring
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(measuring, "measuring.csv", **facts, clock="wall time, whatever else the machine did")

# %% [markdown]
# ## The bill
#
# Computed from the profiles alone, before anything is run; `popview run --profile paper --dry-run` prints it line by
# line.

# %% tags=["hide-input", "remove-output"]
page.table("totals", cost_tables.totals(bills), digits=1)
page.figure("hours", cost_figures.hours_figure(paper[paper["trajectories"] > 0]))

# %% [markdown]
# ````{table} What each scale takes, base settings alone. Gradient evaluations: NiM-SGD at least and at most. FLOP: floating-point operations in matrix products and convolutions, a multiplication and its addition being two. Not training: evaluation at checkpoints, acceptance, measures at the end. Core-hours taken: by the files that are there, as many as are wanted.
# :name: table-totals
# ```{glue:md} totals
# :format: myst
# ```
# ````
#
# ```{glue:figure} hours
# :alt: Bars of hours by task and profile on a logarithmic scale.
# :name: figure-hours
#
# The paper's scale: GPU-hours for the trajectories of each algorithm. SWA rides along SGD's training.
# ```

# %% tags=["remove-input"]
page.provenance(
    bills, "bill.csv", throughput=costs.amount(throughput, "FLOP/s"), profiles=", ".join(bills["profile"].unique())
)

# %% [markdown]
# How far to trust it:
#
# - Operations are counted on the real networks, and a step of ResNet-50 and of BERT-base under every algorithm takes
#   exactly the number that is charged (a test of this project). Normalisation, activations and the optimizers' own
#   arithmetic are not counted.
# - Texts are charged as long as they are on average in batches of like length, not at the length where they are cut.
#   NiM-SGD is charged as if its noise fired at every step after τ, which at most doubles it.
# - The throughput is an assumption, not a measurement. The default is a fifth of an A100's peak; NVIDIA's own ResNet-50
#   for images of 224 × 224 (DeepLearningExamples, 2,470 images a second) gets 19 % of it. A batch of 16 short texts is
#   too small to keep a GPU that busy: hours for texts may be several times as many. Where there is a GPU the networks
#   for images and texts are trained on it; no GPU was at hand to try that on.
# - The paper states neither batch sizes nor which BERT it used; those of the profile are this book's.
#
# ## What was traded

# %% tags=["hide-input", "remove-output"]
scales = equal_budget.scales(("laptop", "paper"), dict.fromkeys([*profiles.tasks("laptop"), *profiles.tasks("paper")]))
page.table("traded", cost_tables.traded(scales))

# %% [markdown]
# ````{table} One trajectory of SGD at laptop scale and at the paper's.
# :name: table-traded
# ```{glue:md} traded
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(scales, "scales.csv")

# %% [markdown]
# At laptop scale networks are smaller, the lower layers of the text model are frozen, training sets are cut and epochs
# are fewer by a factor of ten or more. A conclusion from these runs is one about them; where the paper trains for 300
# epochs, loss and metric may drift apart in ways that 30 epochs do not show.
