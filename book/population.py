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
# # For the cost of one run, a searched, decaying rate gains most on CIFAR-10, averaging less, another optimizer at default settings least
#
# Averaged, the predictions of ten checkpoints of one run of stochastic gradient descent (SGD) score {glue:text}`ten-gain` points above
# its last model on CIFAR-10's test sample. The best other optimizer at its default settings, {glue:text}`best-name`, scores {glue:text}`best-gain` above it. One model whose
# learning rate decays, by settings from a search, gains most: {glue:text}`annealed-gain`. Averaging within that run then costs more than it gains.
# On the other tasks another optimizer and the averaged predictions of one run gain {glue:text}`most-elsewhere` points at most, by estimates
# whose intervals reach up to {glue:text}`most-elsewhere-high`.
#
# ```{glue:figure} gains
# :name: figure-population-gains
#
# Gain in test score over the last model of one run of SGD, against the cost in training, with 95 % intervals over restarts; below, the same divided by the cost. Predicting is not counted: ten checkpoints predict ten times. The best other optimizer is the best of all that were tried, which flatters it. Of Digits no checkpoints of several runs were kept.
# ```

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the runs

# %% tags=["remove-cell"]

import numpy as np
import pandas as pd
from myst_nb import glue

from popview.book import page, style
from popview.book.cells import with_interval
from popview.book.figures import populations as population_figures
from popview.book.names import task_title
from popview.book.results import required
from popview.book.tables import populations as population_tables
from popview.populations import confirmation, disagreement, flatness_factors, outcomes, put_to_use
from popview.runs import profiles, status, store
from popview.runs.annealed import AnnealedPlan
from popview.statistics import mean_difference
from popview.tasks.catalogue import SHOWN

style.use()
tasks = [name for name in profiles.tasks(profile) if name in SHOWN]
read = {task: put_to_use.read_arms(profile, task) for task in tasks}
arms = {task: table for task, found in read.items() if len(table := put_to_use.arms_table(found))}
arms = required(arms, profile)
sides = {task: put_to_use.population_or_optimizer(read[task]) for task in arms}


def choice(task: str, words: str, variant: str = "base") -> pd.Series | None:
    """Return one row of `sides`."""
    rows = sides[task][(sides[task]["variant"] == variant) & (sides[task]["choice"] == words)]
    return rows.iloc[0] if len(rows) else None


def points(value: float) -> str:
    """Write a gain in points; zero has no sign."""
    return page.points(100 * value)


def cell(row: pd.Series | None, named: bool) -> str:
    """Write one gain with its interval."""
    if row is None:
        return "–"
    one = pd.DataFrame([row])
    words = with_interval(one, "gain", 100, "gain_", "+.1f").iloc[0]
    cost = f", {row['cost']:.0f} × cost" if row.get("cost", 1) > 1.5 else ""
    return f"{words} ({row['algorithm']}{cost})" if named else words


best = {task: choice(task, "best other optimizer") for task in arms}
alike = {task: put_to_use.averaged_alike(read[task]).set_index("choice") for task in arms}
alike = {task: table for task, table in alike.items() if len(table) == 3}
elsewhere: list[pd.Series] = []
for label, words in (("ten", "ensemble of ten"), ("best", "best other optimizer")):
    glue(f"{label}-gain", cell(choice("cifar10", words) if "cifar10" in arms else None, named=False), display=False)
    rows = {task: row for task in arms if task != "cifar10" and (row := choice(task, words)) is not None}
    elsewhere += rows.values()
for label, column in (("most-elsewhere", "gain"), ("most-elsewhere-high", "gain_high")):
    most = max((row[column] for row in elsewhere), default=None)
    glue(label, "–" if most is None else points(most).lstrip("+"), display=False)
for label, words in (("second-runs", "second run"), ("other-optimizers", "other optimizer")):
    rows = [f"{cell(table.loc[words], words != 'second run')} on {task_title(t)}" for t, table in alike.items()]
    glue(label, ", ".join(rows) or "–", display=False)
rest = arms["cifar10"] if "cifar10" in arms else pd.DataFrame(columns=["variant", "where", "arm", "algorithm", "gain"])
rest = rest.query("variant == 'base' and where == 'sample' and arm == 'last' and algorithm not in ('SGD', 'SWA')")
second = rest.sort_values("gain").tail(1)
said = " (it averages weights itself; of the others {name} gains most, {gain})"
words = with_interval(second, "gain", 100, "gain_", "+.1f")
average = best.get("cifar10") is not None and best["cifar10"]["algorithm"] == "SWA" and len(second)
glue("best-rest", said.format(name=second["algorithm"].iloc[0], gain=words.iloc[0]) if average else "", display=False)
glue("best-name", best["cifar10"]["algorithm"] if best.get("cifar10") is not None else "–", display=False)
annealed = choice("cifar10", "annealed", "annealed") if "cifar10" in arms else None
glue("annealed-gain", cell(annealed, named=False), display=False)

shown = {
    task: table.query("algorithm == 'SGD' and where == 'sample' and variant not in ('tuned', 'constant')")
    for task, table in sorted(
        arms.items(), key=lambda item: item[0] != "cifar10"
    )  # what the title speaks of comes first
    if (table["arm"] == "restarts").any()
}
page.figure(
    "gains",
    lambda width: population_figures.gains_by_cost(
        shown, {t: row for t, row in best.items() if row is not None and t in shown}, width
    ),
    alt="A panel for each task: the gain in points rises with the number of runs averaged; on CIFAR-10 one annealed run "
    "gains about as much as two constant ones.",
)

# %% [markdown]
# ## What the same models give, by how they are used
#
# A run of SGD leaves more than its last model. The ten checkpoints of lowest training loss can be averaged, weight by
# weight, into one model; or each can predict, and the probabilities are averaged (an ensemble). Averaged weights cost nothing
# more to use. An ensemble of ten costs ten forward passes for each example, and two runs are twenty models. Averaged alike, ten
# checkpoints a run, a second run of SGD adds, in points, {glue:text}`second-runs`. The best other optimizer in SGD's place adds
# {glue:text}`other-optimizers`. On CIFAR-10 the best single model of another optimizer is {glue:text}`best-name`'s{glue:text}`best-rest`.
#
# ````{table} Gain in points over the last model of one run of SGD at base settings, with 95 % intervals over restarts. "Best other optimizer" is the one with the highest mean, named in brackets; "chosen on all other seeds": the one that is chosen most often. "As SWA's search chose": SGD at the constant learning rate and weight decay that the search of SWA chose, for its averaged weights.
# :name: table-population
# ```{glue:md} uses
# :format: myst
# ```
# ````

# %% tags=["remove-cell"]
LINES = {
    "best other optimizer": "best other optimizer",
    "other optimizer, chosen by the other seeds": "other optimizer, chosen on all other seeds",
    "by validation": "one run, best by validation",
    "averaged": "one run, weights averaged",
    "ensemble of ten": "one run, ensemble of ten",
    "2 restarts": "two runs",
    "3 restarts": "three runs",
    "5 restarts": "five runs",
    "10 restarts": "ten runs",
}
uses = pd.DataFrame({"what is used": list(LINES.values())})
for task in arms:
    uses[task_title(task)] = [cell(choice(task, words), "other" in words) for words in LINES]
for variant, settings in (("constant", "constant, as SWA's search chose"), ("annealed", "annealed")):
    for more, words in (("", "one run"), (", 2 restarts", "two runs"), (", 10 restarts", "ten runs")):
        lines = [cell(choice(task, variant + more, variant), False) for task in arms]
        if any(line != "–" for line in lines):
            uses.loc[len(uses)] = [f"{settings}, {words}", *lines]
page.table("uses", uses)
every = pd.concat([table.assign(task=task) for task, table in arms.items()], ignore_index=True)
glue(
    "provenance-arms",
    page.provenance(
        every,
        "arms.csv",
        profile=profile,
        seeds="0 to 9; annealed from 100 on, Digits 0 to 99, from 200",
        spread="95 % jackknife intervals over restarts",
    ),
    display=False,
)

# %% [markdown]
# ```{glue} provenance-arms
# ```
#
# All numbers of a column are of the same test examples: the sample that every run was followed on. Files of Digits keep
# no predictions of runs at base settings. Trained anew, five of them together err on {glue:text}`digits-together` % of the test images, one by one
# on {glue:text}`digits-alone` %.
#
# ## A decaying learning rate first, then a population
#
# The control for every gain above is a single run of about the same cost ({glue:text}`annealed-cost`) whose learning rate is warmed up and then decays to zero
# (*annealed*). On the test sample it gains {glue:text}`annealed-on`; [on the whole test split](table-annealing) it gains {glue:text}`annealed-whole`. On CIFAR-10 this is more than averaging weights or an ensemble within a
# run gives; over two constant runs together it scores {glue:text}`annealed-over-two` points. The search has its share in it. Over a constant
# rate that was searched as well, with six trials, the gain on the whole test split is {glue:text}`over-searched`. What the decay alone gives, at default settings,
# these runs cannot tell: {glue:text}`schedule-alone`.
#
# ````{table} What is left to gain over the last model of an annealed run of SGD, in points on the whole test split, with 95 % intervals over restarts. The last line: over the last model of a run at the constant rate that the search of SWA chose.
# :name: table-after-annealing
# ```{glue:md} after-annealing
# :format: myst
# ```
# ````
#
# Annealing leaves something for ten runs beyond the margin on {glue:text}`annealed-left`; on {glue:text}`annealed-none` the interval ends below it,
# and on {glue:text}`annealed-open` the margin lies within the interval.
# At a constant rate averaging repairs what the rate stirs up; after annealing there is little of that left within a run.
#
# The annealed settings come from a search of their own; its cost is not in the figure.
#
# ## At twice the cost, one long run beats two on CIFAR-10; on Digits they are close
#
# Two runs cost as much as one of twice as many epochs, whose learning rate decays once, over all of them. On Digits we
# trained such long runs, with the settings that were searched for a short one. Runs together gain {glue:text}`equal-cost-gains` points over a long one;
# {glue:text}`equal-cost-real` of {glue:text}`equal-cost-sizes` intervals lie above 0, and {glue:text}`equal-cost-margin` end
# above the margin of {glue:text}`margin` points. By negative log likelihood the long run is ahead in
# {glue:text}`equal-cost-behind`. And k runs together have to predict k times, the long run once.
#
# `````{dropdown} Long runs and runs together, with negative log likelihoods
# ````{table} Annealed SGD on the whole test split: accuracy in percent (negative log likelihood) of one long run, and of as many runs together as cost the same. Gain in points, with 95 % intervals over restarts.
# :name: table-equal-cost
# ```{glue:md} equal-cost
# :format: myst
# ```
# ````
# ```{glue} provenance-equal-cost
# ```
# `````
#
# On CIFAR-10 two runs together, less one twice as long: {glue:text}`equal-cost-images`. The long one scores {glue:text}`long-images`. Ten short
# runs together, at five times its cost, score {glue:text}`ten-images`. Thirty epochs are few there: before a second run is worth its
# cost, the first one has to be long enough. Runs three, five and ten times as long, of three seeds, would have taken about {glue:text}`long-hours`
# core-hours more on CIFAR-10, and were left out, as were all long ones on texts.
#
# ## Why it works: runs err on different examples
#
# ```{glue:figure} disagreement
# :name: figure-disagreement
#
# How often a run gives other answers than a run of SGD, base settings: one of SGD from another seed (diamond), or one of another optimizer from the same seed. Means over pairs of runs, with 95 % intervals that allow for runs shared between pairs.
# ```
#
# Two runs of SGD from different seeds, ten checkpoints of each averaged, disagree on {glue:text}`differ-seeds` % of CIFAR-10's test examples. Of
# {glue:text}`differ-cases` cases of another optimizer on a task, at the same seed, {glue:text}`differ-less` differ less from SGD than its own next seed does, counted
# by means. Most of these are variants of SGD from the same start. More than a new seed differ {glue:text}`differ-more`; AdamW and SAM were still far
# behind SGD on GoEmotions.
#
# Disagreement is what an ensemble lives on, but models must be good as well. On CIFAR-10 two of ten checkpoints of an annealed run disagree about as often as
# two seeds (table). Averaging them gains nothing. One by one they score {glue:text}`annealed-one` %, the last model {glue:text}`annealed-last` %.
#
# ````{table} Answers of SGD's models that differ, in percent, and in brackets the correlation of their errors: between two of a run's ten checkpoints (one by one), two seeds, and two algorithms (the median over so many others). Which of a run's checkpoints err together is not kept.
# :name: table-disagreement
# ```{glue:md} answers
# :format: myst
# ```
# ````
#
# `````{dropdown} Every use of every algorithm's models, with calibration, and all pairs
# The CSV files hold each arm of each algorithm, on the sample and on the whole test split, where the files have it: score,
# negative log likelihood, expected calibration error (15 bins of equal width), average precision, cost in training and in forward passes.
# Intervals are by the jackknife over restarts. Ensembles of two and more runs are averaged over all subsets of that size (a fixed
# number of them where there are more); their intervals leave out one run at a time, so runs shared by subsets are allowed for.
# Pairs of runs share runs, too; their intervals are dyadic-robust.
#
# ````{table} SGD: score, negative log likelihood and expected calibration error, by use, with 95 % intervals, on the test sample that is scored at checkpoints and on the whole test split. A dash: not known. Files of base runs keep predictions of ten checkpoints together and of no single model. Annealed runs, and those at the constant rate that the search of SWA chose ("constant"), are measured on the whole test split.
# :name: table-calibration
# ```{glue:md} calibration
# :format: myst
# ```
# ````
# ```{glue} provenance-pairs
# ```
# `````


# %% tags=["remove-cell"]
def span(values: pd.Series) -> str:
    """Write the smallest and the largest value, with signs."""
    return page.signed(f"{values.min():+.2f} to {values.max():+.2f}")


def equal_cost(rows: pd.DataFrame) -> pd.DataFrame:
    """Lay out long runs beside as many runs together."""
    scored = {
        name: (100 * rows[f"{name}_metric"]).map("{:.2f}".format) + rows[f"{name}_loss"].map(" ({:.4f})".format)
        for name in ("alone", "together")
    }
    return pd.DataFrame(
        {
            "task": rows["task"].map(task_title),
            "cost, in runs": rows["restarts"],
            "one long run": scored["alone"],
            "runs together": scored["together"],
            "gain, points": with_interval(rows, "gain", 100, "gain_"),
            "long runs tried": rows["n"],
        }
    )


compared = {task: put_to_use.against_long_runs(read[task]) for task in arms}
there = [table.assign(task=task) for task, table in compared.items() if len(table)]
long_runs = pd.concat(there or [pd.DataFrame()], ignore_index=True)
on_digits, on_images = (compared.get(task, pd.DataFrame()) for task in ("digits", "cifar10"))
known = len(on_digits) > 0
margin = 100 * profiles.settings(profile, "digits")["margin"] if known else np.nan
gains = 100 * on_digits[["gain", "gain_low", "gain_high"]] if known else pd.DataFrame(columns=["gain_low", "gain_high"])
glue("equal-cost-gains", span(gains["gain"]) if known else "–", display=False)
glue("equal-cost-real", int((gains["gain_low"] > 0).sum()), display=False)
glue("equal-cost-margin", int((gains["gain_high"] > margin).sum()) or "none", display=False)
behind = on_digits["together_loss"] > on_digits["alone_loss"] if known else pd.Series(dtype=bool)
glue("equal-cost-behind", int(behind.sum()), display=False)
glue("equal-cost-sizes", len(gains), display=False)
glue("margin", f"{margin:g}", display=False)
words = [f"{cell(row, named=False)} points ({row['n']} long runs)" for _, row in on_images.iterrows()]
glue("equal-cost-images", words[0] if words else style.NOT_RUN, display=False)
whole = arms["cifar10"].query("where == 'whole' and algorithm == 'SGD'") if "cifar10" in arms else pd.DataFrame()
scored = dict.fromkeys((("twice-as-long", "last", 1), ("annealed", "restarts", 10)), "–")
if len(whole):
    metrics = with_interval(whole, "metric", 100, "metric_", ".1f")
    scored |= dict(zip(zip(whole["variant"], whole["arm"], whole["restarts"], strict=True), metrics, strict=True))
glue("long-images", f"{scored['twice-as-long', 'last', 1]} %", display=False)
glue("ten-images", f"{scored['annealed', 'restarts', 10]} %", display=False)
long_specs = AnnealedPlan(profile, "cifar10").expand("twice-as-long") if "cifar10" in arms else []
clocks = [status.seconds(store.metadata(spec), alone=True) for spec in long_specs if not store.missing([spec])]
hours = f"{np.median(clocks) / 2 * (3 + 5 + 10) * 3 / 3600:.0f}" if clocks else "–"
glue("long-hours", hours, display=False)
page.show("equal-cost", long_runs, equal_cost)
glue(
    "provenance-equal-cost",
    page.provenance(long_runs, "equal-cost.csv", profile=profile, seeds="from 200 on, CIFAR-10 from 100"),
    display=False,
)
left_over = {task: put_to_use.after_annealing(read[task]).set_index("what") for task in arms}
after = pd.DataFrame({"what is used": list(put_to_use.AFTER)})
for task, rows in left_over.items():
    words = with_interval(rows, "gain", 100, "gain_", "+.1f")
    chosen = " (" + rows["algorithm"] + ", best of " + rows["of"].astype(str) + ")"
    after[task_title(task)] = (
        words.add(chosen.where(rows["algorithm"] != "SGD", "")).reindex(put_to_use.AFTER, fill_value="–").to_numpy()
    )
page.table("after-annealing", after)
changes = flatness_factors.factor_table(flatness_factors.FACTORS, profile, "cifar10")
alone = flatness_factors.arm_differences(changes, "error", ["schedule"]) if len(changes) else pd.DataFrame()
if len(alone):
    alone = alone.assign(gain=-alone["difference"], gain_low=-alone["high"], gain_high=-alone["low"])
    words = f"{cell(alone.iloc[0], False)} points ({alone['restarts'].iloc[0]} seeds, whole test split)"
glue("schedule-alone", words if len(alone) else style.NOT_RUN, display=False)
one_run = {name: row for name in arms if (row := choice(name, "annealed", "annealed")) is not None}
gained = [f"{points(row['gain'])} on {task_title(name)}" for name, row in one_run.items()]
glue("annealed-on", ", ".join(gained) or style.NOT_RUN, display=False)
on_whole = {}
for name in one_run:
    lasts = arms[name].query("where == 'whole' and algorithm == 'SGD' and arm == 'last' and restarts == 1")
    metric = lasts.set_index("variant")["metric"]
    if {"annealed", "base"} <= set(metric.index):
        on_whole[name] = f"{points(metric['annealed'] - metric['base'])} on {task_title(name)}"
glue("annealed-whole", ", ".join(on_whole.values()) or style.NOT_RUN, display=False)
tens = {task: rows.loc["ten runs"] for task, rows in left_over.items() if "ten runs" in rows.index}
margins = {task: profiles.settings(profile, task)["margin"] for task in tens}
left = page.listed(task_title(task) for task, row in tens.items() if row["gain_low"] > margins[task])
none = page.listed(task_title(task) for task, row in tens.items() if row["gain_high"] < margins[task])
glue("annealed-left", left if tens else "no task", display=False)
glue("annealed-none", none if tens else "no task", display=False)
undecided = [t for t, row in tens.items() if row["gain_low"] <= margins[t] <= row["gain_high"]]
glue("annealed-open", page.listed(map(task_title, undecided)) if undecided else "no task", display=False)


def metric_of(variant: str, arm: str, restarts: int) -> pd.Series:
    """Return the score of a use of SGD's models on CIFAR-10's test sample, with its interval."""
    rows = arms["cifar10"].query("algorithm == 'SGD' and where == 'sample' and variant == @variant and arm == @arm")
    return rows[rows["restarts"] == restarts].iloc[0]


over_two = "–"
if "cifar10" in one_run and (arms["cifar10"]["arm"] == "restarts").any():  # other seeds: two independent estimates
    ours, theirs = metric_of("annealed", "last", 1), metric_of("base", "restarts", 2)
    gap = ours["metric"] - theirs["metric"]
    half = np.hypot(*((row["metric_high"] - row["metric_low"]) / 2 for row in (ours, theirs)))
    row = pd.DataFrame([{"gap": gap, "low": gap - half, "high": gap + half}])
    over_two = with_interval(row, "gap", 100, form="+.1f").iloc[0]
glue("annealed-over-two", over_two, display=False)
fresh = confirmation.load_confirmation(profile, "cifar10", confirmation.decisions())
searched = outcomes.superseded_scores(profile).get("cifar10")
over_searched = style.NOT_RUN
if searched is not None and "SGD" in fresh:
    found = mean_difference(fresh["SGD"].to_numpy(), searched["SGD"].to_numpy())
    row = pd.DataFrame([{"gap": found.estimate, "low": found.interval[0], "high": found.interval[1]}])
    over_searched = with_interval(row, "gap", 100, form="+.1f").iloc[0]
glue("over-searched", over_searched, display=False)
together = flatness_factors.load_shifted_ensembles(profile, "digits")
for name in ("alone", "together"):
    words = f"{100 * together[f'clean_{name}'].mean():.1f}" if len(together) else "–"
    glue(f"digits-{name}", words, display=False)
costs = [f"{row['cost']:.1f} runs on {task_title(name)}" for name, row in one_run.items()]
glue("annealed-cost", ", ".join(costs) or "–", display=False)
every_pair = {task: disagreement.load_pairs(profile, task) for task in arms}
near = {}
for task, table in every_pair.items():
    table = table[(table["variant"] == "base") & (table["where"] == "sample") & (table["algorithm"] == "SGD")]
    rows = table[(table["seeds"] == "same") | ((table["other"] == "") & (table["seeds"] == "different"))]
    if rows.empty:
        continue
    rows = rows.assign(run=rows["other"].where(rows["other"] != "", "another seed of SGD"))
    near[task] = pd.concat([rows[rows["other"] == ""], rows[rows["other"] != ""]])
page.figure(
    "disagreement",
    lambda width: population_figures.disagreement_with_sgd(near, width),
    alt="A panel for each task: the diamond of another seed lies to the right of most dots of other optimizers.",
)
summed = {task: disagreement.by_kind(table) for task, table in every_pair.items()}
page.table("answers", population_tables.answers(summed))
less = [
    row["disagreement"] < rows.iloc[0]["disagreement"] for rows in near.values() for _, row in rows.iloc[1:].iterrows()
]
glue("differ-cases", len(less), display=False)
glue("differ-less", int(sum(less)), display=False)
further = {
    task: [*rows["run"][1:][rows["disagreement"][1:].gt(rows.iloc[0]["disagreement"])]] for task, rows in near.items()
}
further = {task: names for task, names in further.items() if names}
said = [f"{page.listed(names)} on {task_title(task)}" for task, names in further.items()]
glue("differ-more", page.listed(said) if said else "none", display=False)
for name, arm in (("one", "one of ten"), ("last", "last")):
    of_sgd = every.query("task == 'cifar10' and variant == 'annealed' and where == 'whole' and algorithm == 'SGD'")
    score = of_sgd.loc[of_sgd["arm"] == arm, "metric"]
    glue(f"annealed-{name}", f"{100 * score.iloc[0]:.1f}" if len(score) else "–", display=False)
glue(
    "differ-seeds", f"{100 * near['cifar10'].iloc[0]['disagreement']:.0f}" if "cifar10" in near else "–", display=False
)
glue(
    "provenance-pairs",
    page.provenance(
        pd.concat([table.assign(task=task) for task, table in every_pair.items()]), "pairs.csv", profile=profile
    ),
    display=False,
)
own = every[(every["algorithm"] == "SGD") & (every["variant"] != "tuned")]
own = own[own["calibration_error"].notna() | (own["where"] == "sample")]
twice = own.duplicated(["task", "variant", "arm", "restarts"], keep=False)
own = own[~twice | (own["task"] != "digits") | (own["where"] == "whole")]  # of Digits the sample is the whole


def scored_cell(name: str, scale: float, form: str) -> pd.Series:
    """Write a score with its interval; a dash where it is not known."""
    written = with_interval(own, name, scale, f"{name}_", form)
    return written.where(own[name].notna(), "–").str.replace(r" \[nan.*", "", regex=True)


calibration = pd.DataFrame(
    {
        "task": own["task"].map(task_title),
        "scored on": own["where"],
        "use": own["variant"] + ", " + own["arm"].where(own["restarts"] == 1, own["restarts"].astype(str) + " runs"),
        "score": scored_cell("metric", 100, ".1f"),
        "log likelihood": scored_cell("loss", 1, ".3f"),
        "calibration error, points": scored_cell("calibration_error", 100, ".1f"),
        "training cost": own["cost"].map("{:.0f}".format),
        "passes": own["passes"],
    }
)
page.table("calibration", calibration)
