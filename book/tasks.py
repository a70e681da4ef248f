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
# # 5 Tasks and trajectories
#
# **From here on the landscape is a training loss: every restart is a network, and its trajectory is evaluated as it
# goes. Results so far: {glue:text}`trained`; tuned ones of a search that chose the base setting are the base ones.** The first task is small enough to run a hundred restarts of every
# algorithm on a laptop; the others are the paper's, at a scale that two processor cores can train.

# %% tags=["parameters"]
task: str = "all"  # all that have results, or one, which is trained first if need be: digits, cifar10, …
profile: str = "laptop"  # scale of the runs
restarts: int | None = None  # restarts per algorithm; the profile's by default

# %% tags=["remove-cell"]
import pandas as pd
from myst_nb import glue

from popview.book import cells, page, style
from popview.book.figures import trajectories as trajectory_figures
from popview.book.results import to_fill
from popview.book.tables import comparisons as comparison_tables
from popview.book.tables import runs as run_tables
from popview.populations import tables
from popview.populations.embedded import train_embedded
from popview.runs import expansion, profiles, status, workers

style.use()
if task != "all":
    workers.run(expansion.expand(profile, task, restarts=restarts))
train_embedded(task, "all", profile, restarts)
coverage, results = tables.gather(profile, task, "all", restarts)
base = {key: table for key, table in results.items() if key[1] == "base"}
counted = {key: table.groupby(["algorithm", "seed"]).ngroups for key, table in results.items()}
trained = ", ".join(f"{count:,} restarts on {cells.with_variant(*key)}" for key, count in counted.items())
glue("trained", trained or "nothing", display=False)
facts = page.facts(profile, results)

# %% [markdown]
# ## The tasks

# %% tags=["hide-input", "remove-output"]
sizes = {name: profiles.settings(profile, name) for name in profiles.tasks(profile)}
setup = pd.DataFrame(
    {
        "task": name,
        "network": table["model"].get("network")
        or table["model"].get("model")
        or f"perceptron 64–{table['model'].get('hidden', 32)}–10",
        "trained on": table["model"].get("train", 1000),
        "epochs": table["epochs"],
        "checkpoints": table["checkpoints"],
        "algorithms": len(table["algorithms"]),
        "restarts": table["restarts"],
        "margin, points": 100 * table["margin"],
    }
    for name, table in sizes.items()
).merge(coverage.loc[coverage["variant"] == "base", ["task", "state"]], how="left", on="task")
page.table("setup", setup, digits=1)
page.markdown("to-fill", to_fill(coverage, profile, status.inventory(profile)))

# %% [markdown]
# ````{table} The tasks at this scale, and whether their base results are here. Restarts are per algorithm. CIFAR-100 is built and tested on a hundred images, and not run here: the whole data set could not be had where this book is built.
# :name: table-setup
# ```{glue:md} setup
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(setup, "tasks.csv", profile=profile)

# %% [markdown]
# ```{glue:md} to-fill
# :format: myst
# ```

# %% [markdown]
# `digits` is 1,797 images of 8 × 8 pixels in ten classes. A fixed 597 of them are the test set, the same for every
# restart: all conclusions are conditional on it. With 97 % right, the sampling error of a test accuracy is 0.7 points,
# which concerns a claim about other digits, not a comparison on these. The other 1,200 are split by each restart's seed
# into 1,000 for training and 200 for validation.
#
# The paper's tasks are set up the same way, one network a file: CIFAR-10 with a ResNet-8 of He et al.'s family,
# GoEmotions (28 labels, several to a text) and TweetEval's emotion task with the two upper layers of MiniLM-L6, a small
# BERT. At each checkpoint a fixed sample of every split is evaluated in evaluation mode, and at the end the whole test
# set; the end of a trajectory is also where its flatness, its accuracy under corruption, and its ten models of lowest
# training loss as an ensemble are measured. `popview chapter 05 -p task=tweeteval` trains what is missing of one task,
# and shows it alone.
#
# The seed of a restart draws its initial weights, its split, the order of its minibatches, crops, flips and dropout,
# and it draws the *same* ones for every algorithm (common random numbers). An algorithm's noise comes from a stream of
# its own. So restart 3 of SAM and restart 3 of SGD begin at the same weights and see the same images in the same order:
# differences between algorithms are paired.
#
# ## Learning curves

# %% tags=["hide-input", "remove-output"]
drawn, across = ("SGD", "SAM", "NiM-BH", "NiM-SGD"), ("epoch", "gradient_evaluations")
page.figure("loss", trajectory_figures.learning_curves(base, drawn, y="train_loss", across=across, log=True))
page.figure("metric", trajectory_figures.learning_curves(base, drawn, y="test_metric", across=across, from_share=0.1))

# %% [markdown]
# ```{glue:figure} loss
# :alt: Training loss of every restart and its median for each algorithm, by epoch and by gradient evaluations, one line of panels per task.
# :name: figure-loss
#
# Training loss by epoch and by gradient evaluation: the median over restarts, with every restart behind it (the paper's Figure 4, which shows one smoothed trajectory each). Base settings.
# ```
#
# ```{glue:figure} metric
# :alt: Test metric of every restart and its median for each algorithm, by epoch and by gradient evaluations, one line of panels per task.
# :name: figure-metric
#
# Test metric after the first tenth of the epochs, by epoch and by gradient evaluation. Base settings.
# ```

# %% tags=["remove-input"]
medians = cells.stack(
    {
        key: t.groupby(["algorithm", "step"], sort=False).median(numeric_only=True).reset_index()
        for key, t in base.items()
    }
)
page.provenance(
    medians.drop(columns=["seed", "seconds"], errors="ignore"),
    "median-trajectories.csv",
    **facts,
    budget="equal epochs on the left, equal gradients on the right",
    spread="all restarts drawn",
)

# %% [markdown]
# SAM pays two gradients a step, so by gradients its curve is stretched; what that does to a comparison is in
# [chapter 9](cost-of-sam.ipynb). Every trajectory is a Parquet file under `data/optimizers`, with its spec in the
# metadata. Computed again from its spec on the same kind of processor it is the same, bit for bit; another kind rounds
# otherwise, and training carries that on. On CIFAR-10 a restart may then end as far from the shipped one as another
# restart does; on `digits` and texts those tried ended nearer (`benchmarks/README.md` has the figures). What another
# machine can be asked to repeat is what a population says.
#
# ## Where the restarts end

# %% tags=["hide-input", "remove-output"]
final = {key: tables.final(table) for key, table in results.items()}
trials = {n: profiles.settings(profile, n)["search"]["trials"] for n, v in results if v == "tuned"}
searched = ", ".join(f"best of {number} trials ({n})" for n, number in trials.items()) or "none"
page.show("final", run_tables.finals(final))
page.figure(
    "final-figure",
    trajectory_figures.distributions(
        {key: 100 * frame for key, frame in final.items()}, "test metric at the last checkpoint, points"
    ),
)

# %% [markdown]
# ````{table} Test metric at the last checkpoint, in points: mean ± SD [range] over restarts. Accuracy; macro-F1 for texts. Base: one setting per algorithm, stated in the profile, with learning rates of SGD and AdamW that were looked at first. Tuned: the best of a few trials of half the epochs, the base setting and quasi-random draws, as many for each algorithm, chosen by validation metric and run with other seeds; but for digits a trial is one run, judged on a few hundred validation examples, and SDs hold nothing of that choice. The measured sample of the test set, not the whole of it.
# :name: table-final
# ```{glue:md} final
# :format: myst
# ```
# ````
#
# ```{glue:figure} final-figure
# :alt: One point per restart and a box of quartiles for each algorithm, one panel per task and variant.
# :name: figure-final
#
# Test metric at the last checkpoint: one point per restart.
# ```

# %% tags=["remove-input"]
page.provenance(
    cells.stack({key: frame.reset_index() for key, frame in final.items()}),
    "final-test-metric.csv",
    **facts,
    budget="equal epochs",
    tuned=searched,
    spread="SD and range over restarts; every restart in the CSV",
)

# %% [markdown]
# ## What each algorithm did
#
# An algorithm whose noise never fires is SGD under another name, so the counts are part of the result. A file of NiM-SGD
# says for each restart whether it is; where SGD's gradients alone show it, the rows are taken from SGD's file.

# %% tags=["hide-input", "remove-output"]
shown = {key: tuple(table["algorithm"].unique()) for key, table in results.items()}
run = {key: tables.wanted(profile, *key, algorithms=names, restarts=restarts) for key, names in shown.items()}
counts = cells.stack({key: tables.records(found, results[key]["seed"].nunique()) for key, found in run.items()})
apart = {key: tables.parting(table) for key, table in results.items()}
ten = {key: tables.select(table, "train_loss", min(10, table["step"].nunique())) for key, table in results.items()}
distinct = {key: tables.distinct(models) for key, models in ten.items()}
page.show("counts", counts, lambda table: comparison_tables.deeds(table, apart, distinct), digits=1)

# %% [markdown]
# ````{table} Mean counts per restart. Noise: how often it was injected. Parted: the epoch by which every restart's training loss had parted from SGD's at the same seed (a hop begins only when the first search has ended; never: it is SGD). A loss evaluation of an accept rule is one pass over its fixed sample of the training split, without gradient. Models: how many of a restart's ten of lowest training loss differ.
# :name: table-counts
# ```{glue:md} counts
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
computed = counts.groupby("task", sort=False)["precision"].unique() if len(counts) else pd.Series()
precision = "; ".join(f"{name} {' and '.join(sorted(kinds))}" for name, kinds in computed.items()) or "none"
page.provenance(
    counts, "counts.csv", **facts, precision=precision, spread="means over restarts; every restart in the CSV"
)

# %% [markdown]
# NiM-SGD's condition is ‖g‖ < ε, with ε at base settings the 10 % quantile of the gradient norms in SGD's first epoch. On `digits` it
# holds in most steps once the network has learnt something: its noise then arrives at nearly every step.
#
# Monotonic Basin Hopping is evaluated at the minimum that it would return if it ended there, the best one so far.
# Checkpoints within a hop therefore repeat a model, and ten chosen ones are fewer: the column "models" says how many.
#
# ## The settings
#
# The file `lib/popview/runs/profiles/optimizers/laptop.toml` gives a reason for each base setting and the space of each search.

# %% tags=["hide-input", "remove-output"]
same = {n: expansion.unchanged(profile, n) for n, v in run if v == "tuned"}
hyperparameters = pd.DataFrame(
    {
        "task": n,
        "variant": v,
        "algorithm": name,
        "hyperparameters": comparison_tables.write_hyperparameters(spec.hyperparameters),
        "base setting": "yes" if v == "base" or name in same[n] else "no",
    }
    for (n, v), found in run.items()
    for name, spec in {spec.algorithm: spec for spec in found}.items()
)
page.show("hyperparameters", hyperparameters)

# %% [markdown]
# ````{table} Hyperparameters. Epochs, checkpoints and batch size are the same for all algorithms of a task. Where a search chose the base setting, the tuned restarts are the base ones.
# :name: table-hyperparameters
# ```{glue:md} hyperparameters
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(hyperparameters, "hyperparameters.csv", profile=profile)
