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
# # SAM costs two gradients a step: what does it buy?
#
# **Sharpness-aware minimization (SAM) pays {glue:text}`ratio` gradients where stochastic gradient descent (SGD) pays
# one.** With as many gradients as SGD, half of the steps, and default settings, it is worse on {glue:text}`worse`, the same within the
# margin on {glue:text}`same`, and better on {glue:text}`better`. The paper compares equal epochs.
#
# ```{glue:figure} budgets
# :name: figure-budgets
#
# SAM less SGD in points of test score, with 95 % intervals, for the same epochs and for the same number of gradients;
# grey: the margin. Scored on the test sample that runs were followed on, not on the whole test set.
# ```

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the runs that are compared
task: str = "all"  # all that have results, or one: digits, cifar10, cifar100, goemotions, tweeteval
variant: str = "all"  # base (one setting per algorithm, stated in the profile), tuned, or all
restarts: int | None = None  # per algorithm; the profile's by default; only digits is ever computed here [2 or more]

# %% tags=["remove-cell"]
import pandas as pd
from myst_nb import glue

from popview.book import cells, page, style
from popview.book.figures import costs as cost_figures
from popview.book.names import task_title
from popview.book.results import each, required
from popview.book.tables import comparisons as comparison_tables
from popview.book.tables import costs as cost_tables
from popview.populations import confirmation, equal_budget, tables, time_to_target
from popview.populations.control_arms import control_arms
from popview.populations.embedded import train_embedded
from popview.populations.unfinished import unfinished
from popview.runs import profiles
from popview.runs.annealed import AnnealedPlan

style.use()
train_embedded(task, variant, profile, restarts)
coverage, results = tables.gather(profile, task, variant, restarts)
results = {key: rows for key, rows in results.items() if key[1] != "annealed"}  # these cannot be cut short
results = required(results, profile, task)
facts = page.facts(profile, results)
paid = each(results, profile, lambda rows, _: equal_budget.evaluations(rows))
metric = each(results, profile, equal_budget.equal_budgets)
loss = each(results, profile, lambda rows, margin: equal_budget.equal_budgets(rows, margin, "train_loss"))
times = each(results, profile, time_to_target.times)
late = each(results, profile, unfinished)

# %% [markdown]
# ## Half of the steps cost little where the score is flat, and much where it still climbs
#
# A SAM step takes the gradient twice: once to look uphill, once there. So for SGD's gradients it makes half of SGD's
# steps. Digits and TweetEval are learnt by then. CIFAR-10 and GoEmotions are not: there SGD itself still gains in the
# second half of its steps.
#
# ````{table} SAM less SGD in points with 95 % intervals, and the factor between their training losses at the same number of gradients (above 1: SAM's is higher).
# :name: table-sam
# ```{glue:md} sam
# :format: myst
# ```
# ````
#
# On GoEmotions SAM had not finished learning with twice SGD's gradients either: {glue:text}`left` of its runs with default
# settings had left the plateau where learning starts. The six trials of its search had half of the epochs, which is too few to
# leave it. A mean over
# such runs says how many had begun to learn, not how good SAM is ([the story](better-than-sgd.ipynb)). A search of {glue:text}`cells`
# settings with a falling learning rate chose {glue:text}`searched`; the defaults are {glue:text}`usual`. With these SAM learns, in half of
# the epochs: it is {glue:text}`learned` from SGD.
#
# ## A fair test gives SAM half of the epochs and its own schedule
#
# All learning rates here are constant, so a run that is stopped early is the run of the smaller budget. With a falling
# learning rate it is not. In the annealed runs, whose rules were fixed beforehand, SAM therefore has half of SGD's epochs
# and its own search and schedule, and its gradients are as many as SGD's without a cut. So they stand in none of the
# tables here. Complete so far: {glue:text}`annealed`. With all of SGD's epochs, and so twice its gradients, the same settings give
# {glue:text}`annealed-equal`.
#
# ## The other optimizers cost as much as SGD, but for NiM-SGD
#
# Noise in the model (NiM-SGD) takes a second gradient wherever its noise fires: {glue:text}`noisy` gradients for each of
# SGD's. Basin Hopping (BH) and the references compute as many gradients as SGD. Monotonic Basin Hopping's loss
# evaluations, which decide whether a hop is kept, come on top. A price in gradients is no price in time: it is what the
# paper's figure counts ([its Figure 4](better-than-sgd.ipynb)). What the whole design takes in operations and hours stands
# among [the tasks](tasks.ipynb).
#
# ## All the numbers
#
# `````{dropdown} All that pay more than SGD: equal epochs and equal gradients
# ````{table} At the last checkpoint within the budget: difference of the mean test score in points, and factor on the mean training loss, with 95 % intervals. Verdicts on the loss know no margin.
# :name: table-equal-budgets
# ```{glue:md} equal
# :format: myst
# ```
# ````
#
# ```{glue} provenance-equal
# ```
# `````
#
# `````{dropdown} What a restart pays, and until it is nearly as good as SGD
# A gradient evaluation is a forward and a backward pass over one minibatch. An accept rule evaluates losses instead, on a
# fixed sample of the training split: forward passes only. The target is the best validation score of SGD's median
# restart, less the margin.
#
# ````{table} Gradients for the same epochs (mean), and until a restart first comes within the margin of the target (median with 95 % interval; a miss within SGD's gradients counts as ∞).
# :name: table-prices
# ```{glue:md} prices
# :format: myst
# ```
# ````
#
# ```{glue} provenance-prices
# ```
# `````
#
# `````{dropdown} Training that was not finished when the epochs ended
# ````{table} A restart is on the plateau below half of SGD's mean. Differences are of those that left it, in points.
# :name: table-unfinished-costs
# ```{glue:md} unfinished
# :format: myst
# ```
# ````
# `````

# %% tags=["hide-input", "remove-output"]
MISSING = "not run here yet"
sam = metric[metric["algorithm"] == "SAM"] if len(metric) else metric
page.figure(
    "budgets",
    lambda width: cost_figures.budgets(sam, width),
    alt="SAM less SGD by task. From equal epochs to equal gradients it falls on CIFAR-10 and GoEmotions, and stays elsewhere.",
)
page.show("sam", sam, lambda table: cost_tables.one_algorithm(table, loss[loss["algorithm"] == "SAM"]))
base = sam[(sam["variant"] == "base") & (sam["budget"] == "equal gradients")] if len(sam) else sam
for word in ("better", "same within the margin", "worse"):
    names = [task_title(name) for name in base[cells.words(base) == word]["task"]] if len(base) else []
    glue(word.split()[0], page.listed(names) if names else "none", display=False)


def ratios(algorithm: str) -> str:
    """Write what an algorithm pays for each of SGD's gradients, from the least to the most."""
    found = paid[paid["algorithm"] == algorithm]["ratio"].agg(["min", "max"]).map("{:.2g}".format)
    return " to ".join(found.unique())


glue("ratio", ratios("SAM") if len(paid) else MISSING, display=False)
glue("noisy", ratios("NiM-SGD") if len(paid) else MISSING, display=False)
stuck = late[(late["task"] == "goemotions") & (late["variant"] == "base") & (late["algorithm"] == "SAM")]
glue("left", f"{stuck['left'].iloc[0]} of {stuck['restarts'].iloc[0]}" if len(stuck) else MISSING, display=False)
decided = confirmation.decisions()
confirmed = confirmation.confirm_tasks(confirmation.confirmed_tasks(profile, decided, task), decided)
own = confirmation.latest(confirmed).query("a == 'SAM'") if len(confirmed) else confirmed
said = (
    [
        f"{task_title(name)} {difference} points, {word}"
        for name, difference, word in zip(
            own["task"], cells.with_interval(own, "difference", 100) if len(own) else (), cells.words(own), strict=True
        )
    ]
    if len(own)
    else []
)
glue("annealed", "; ".join(said) or "no task", display=False)
on_emotions = own[own["task"] == "goemotions"] if len(own) else own
learned = [f"{words} points" for words in cells.with_interval(on_emotions, "difference", 100)] if len(own) else []
glue("learned", learned[0] if learned else MISSING, display=False)
plan = AnnealedPlan(profile, "goemotions")
tried = plan.cells("SAM") if plan.table else []
picked = tried[plan.choices["SAM"]["chosen"]] if "chosen" in plan.choices.get("SAM", {}) else {}
default = profiles.base_of(profiles.settings(profile, "goemotions").get("base", {}), "SAM") if picked else {}
for label, given in (("searched", picked), ("usual", default)):
    words = [f"{said} {given[name]:g}" for name, said in {"lr": "a rate of", "rho": "ρ ="}.items() if name in given]
    glue(label, page.listed(words) if words else MISSING, display=False)
glue("cells", len(tried), display=False)
arms = cells.stack({(name, "annealed"): control_arms(profile, name) for name in dict.fromkeys(own.get("task", []))})
equal = arms[arms["arm"] == "equal-epochs"] if len(arms) else pd.DataFrame()
told = cells.with_interval(equal, "difference", 100) if len(equal) else ()
words = [
    f"{task_title(name)} {difference} points" for name, difference in zip(equal.get("task", ()), told, strict=True)
]
glue("annealed-equal", "; ".join(words) or MISSING, display=False)

page.show("equal", metric, lambda table: cost_tables.equal(table, loss))
both = pd.concat([metric.assign(value="test_metric"), loss.assign(value="log10 train_loss")], ignore_index=True)
glue("provenance-equal", page.provenance(both, "equal-budgets.csv", **facts, spread="95 % intervals"), display=False)
page.show("prices", paid, lambda table: cost_tables.prices(table, times))
glue("provenance-prices", page.provenance(paid, "prices.csv", **facts), display=False)
page.show("unfinished", late[late["unfinished"]], comparison_tables.unfinished_table, empty="none")
