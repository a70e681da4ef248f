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
# # On Digits, measures of flatness contradict each other once training loss is taken out
#
# On Digits sharper minima have the higher test error, by {glue:text}`worse` of sharpness: rank correlations of
# {glue:text}`varied` where one setting varies. But settings that give flatter minima also give a lower training loss. With that taken
# out, measures contradict each other on whether sharper is worse where {glue:text}`contradicting`. Where {glue:text}`agreeing`,
# none says that it is better (95 % intervals over five seeds). On corrupted images, beyond training loss and clean error, sharper is worse by
# {glue:text}`sure-robust-number` of the five and better by {glue:text}`sure-robust-less-number`.
#
# ```{glue:figure} relations
# :name: figure-flatness-relations
#
# Rank correlation (Kendall's τ) of five measures of sharpness with the error on clean test images of Digits, by the setting that alone varies, with 95 % intervals, hidden where smaller than the mark. Uphill, noise: how much a small step raises the loss; by weight: in proportion to each weight. Training loss taken out: from measure and error we subtract what a line in the logarithm of the training loss predicts, with the slope of just these runs. The text counts what is sure: here by these intervals, of corrupted images and of averages after Holm's correction.
# ```

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the runs
factor: float = 10.0  # by which the first layer of a network is multiplied, and the second divided [above 0]

# %% tags=["remove-cell"]
import numpy as np
import pandas as pd
import torch
from myst_nb import glue
from PIL import Image
from sklearn.datasets import load_sample_image

from popview.book import page, style
from popview.book.cells import with_interval
from popview.book.figures import flatness as figures
from popview.book.tables import claims as claim_tables
from popview.common.contents import page_names
from popview.common.errors import check_name
from popview.common.seeds import generator
from popview.optimizers import make
from popview.paper import claims
from popview.paper.rules import Computed, Factors, load_rules
from popview.paper.rules.by_tasks import SHARPNESS
from popview.populations import flatness_factors, flatness_relations
from popview.populations.comparisons import ALPHA
from popview.runs.grids import grid_specs, grid_tasks
from popview.tasks.corruptions import IMAGE_CORRUPTIONS, corrupt_images
from popview.tasks.digits import CORRUPTIONS, corrupted_digits, unseen_by_pixels
from popview.tasks.setup import set_up
from popview.topography.measures import Models, flatness_of
from popview.topography.rescaling import rescale

style.use()
torch.set_num_threads(1)
check_name("task with grids on flatness", "digits", grid_tasks(flatness_factors.FACTORS, profile))
grids = claims.factor_grids(profile)
digits = grids["digits"]
settings = digits.changes.drop(columns="algorithm").rename(columns={"arm": "algorithm"})
cifar = flatness_relations.flatness_table(profile, "cifar10")
OUTCOMES = {"error": "error on test images", "adjusted_error": "error under shift, beyond that"}


def levels(table: pd.DataFrame, outcome: str, **varied: pd.DataFrame) -> pd.DataFrame:
    """Relate every measure of sharpness to an outcome within settings, between them, and where one varies."""
    found = [flatness_relations.relations(table, SHARPNESS, [outcome])]
    for name, rows in varied.items():
        found.append(rows[(rows["hyperparameter"] == "mean") & (rows["outcome"] == outcome)].assign(level=name))
    return pd.concat(found, ignore_index=True)


learned = flatness_factors.learned(digits.factorial)
varied = flatness_factors.one_varies(learned, SHARPNESS)
beyond = flatness_factors.one_varies(learned, SHARPNESS, beyond=True)
panels = {f"Digits: {words}": levels(settings, name, varied=varied, beyond=beyond) for name, words in OUTCOMES.items()}
both_ways = pd.concat([varied.assign(level="varied"), beyond.assign(level="beyond")], ignore_index=True)
both_ways = both_ways[both_ways["outcome"] == "error"].assign(words="")
by_rate = both_ways[(both_ways["hyperparameter"] == "lr") & (both_ways["level"] == "beyond")]
ends = [by_rate["tau"].idxmin(), by_rate["tau"].idxmax()]
both_ways.loc[ends, "words"] = [page.written(tau, "+.2f") for tau in by_rate.loc[ends, "tau"]]
told_ends = [f"{row.words} by “{figures.MEASURE_NAMES[row.measure]}”" for row in both_ways.loc[ends].itertuples()]
glue("beyond", " to ".join(told_ends), display=False)
of_means = varied[(varied["hyperparameter"] == "mean") & (varied["outcome"] == "error")]["tau"]
glue("varied", page.signed(f"{of_means.min():+.2f} to {of_means.max():+.2f}"), display=False)
lead = {words: both_ways[both_ways["hyperparameter"] == name] for name, words in flatness_factors.SETTINGS.items()}
by_setting = {True: [], False: []}
for words, rows in lead.items():
    taken_out = rows[rows["level"] == "beyond"]
    worse, better = int((taken_out["low"] > 0).sum()), int((taken_out["high"] < 0).sum())
    by_setting[worse > 0 and better > 0].append(f"{words} varies ({worse} worse, {better} better of {len(taken_out)})")
for label, both in (("contradicting", True), ("agreeing", False)):
    glue(label, page.listed(by_setting[both]), display=False)
page.figure(
    "relations",
    lambda width: figures.tau_levels(lead, SHARPNESS, width, ("varied", "beyond")),
    alt="Four panels, by what varies: learning rate, weight decay, batch size, dropout. With the training loss taken out, the two curvatures lie left of zero for the learning rate and the batch size, right of it for weight decay and dropout; the other measures lie right of it in all.",
)
panels |= {f"CIFAR-10: {words}": levels(cifar, name) for name, words in OUTCOMES.items()}
page.figure(
    "relations-all",
    lambda width: figures.tau_levels(panels, SHARPNESS, width),
    alt="Four panels. Digits as before, with restarts and means of settings beside. CIFAR-10: wide intervals around zero.",
)


def sure(table: pd.DataFrame, outcome: str, sign: int = 1) -> list[str]:
    """Return the measures of which a sharper minimum has more of an outcome, or less, beyond doubt."""
    rows = table[(table["hyperparameter"] == "mean") & (table["outcome"] == outcome)]
    return [*rows.loc[(sign * rows["tau"] > 0) & (rows["adjusted_p"] <= ALPHA), "measure"]]


COUNTS = ("none", "one", "two", "three", "four", "all five")


def named(table: pd.DataFrame, outcome: str, sign: int = 1) -> str:
    """Name these measures."""
    real = sure(table, outcome, sign)
    words = page.listed(f"“{figures.MEASURE_NAMES[name]}”" for name in real)
    return "all five measures" if len(real) == len(SHARPNESS) else words if real else "no measure"


OTHERS = tuple(name for name in flatness_relations.MEASURES if name not in SHARPNESS)
every = {
    "varied": pd.concat([varied, flatness_factors.one_varies(learned, OTHERS)], ignore_index=True),
    "training loss taken out": pd.concat(
        [beyond, flatness_factors.one_varies(learned, OTHERS, beyond=True)], ignore_index=True
    ),
}
beyond_means = every["training loss taken out"].query("hyperparameter == 'mean'").set_index(["outcome", "measure"])
glue("gap-smaller", len(sure(varied, "gap", -1)) or "none", display=False)
glue("gap-larger", len(sure(beyond, "gap")) or "none", display=False)
dropped = varied.query("outcome == 'gap' and hyperparameter == 'dropout'")
glue("gap-dropout", int((dropped["low"] > 0).sum()) or "none", display=False)
for name, measure in (("norm-robust", "weight_norm"), ("distance-robust", "distance")):
    glue(name, with_interval(beyond_means.loc[[("adjusted_error", measure)]], "tau").iloc[0], display=False)
for name, degree in (("line", 1), ("cubic", 3)):
    pooled = flatness_factors.one_varies(flatness_factors.beyond_loss(learned, degree=degree), SHARPNESS, ["error"])
    glue(f"{name}-more", named(pooled, "error"), display=False)
    glue(f"{name}-less", named(pooled, "error", -1), display=False)
with_failed = digits.relations.query("hyperparameter == 'mean' and outcome == 'error'")["tau"]
glue("varied-all", page.signed(f"{with_failed.min():+.2f} to {with_failed.max():+.2f}"), display=False)
ALL = {
    "error": "error",
    "loss": "loss",
    "gap": "loss less training loss",
    "shifted_loss": "loss under corruption",
    "shifted_error": "error under corruption",
    "adjusted_error": "the same beyond the clean error",
}
laid = beyond_means.assign(cell=lambda table: with_interval(table, "tau").to_numpy())["cell"].unstack("outcome")
laid = laid.reindex(index=[*SHARPNESS, *(name for name in laid.index if name not in SHARPNESS)], columns=list(ALL))
page.table(
    "every-measure",
    laid.rename(index=figures.MEASURE_NAMES, columns=ALL).rename_axis(index="measure", columns=None).reset_index(),
)
sources = {("digits", "single changes"): settings, ("cifar10", "algorithms"): cifar}
sources |= {
    (task, "algorithms"): flatness_relations.flatness_table(profile, task)
    for task in ("digits", "goemotions", "tweeteval")
}
sources = {key: table for key, table in sources.items() if len(table)}
related = [flatness_relations.relations(rows).assign(task=key[0], over=key[1]) for key, rows in sources.items()]
related += [rows.assign(level=name, task="digits", over="factorial") for name, rows in every.items()]
agree = {key: flatness_relations.agreement(rows) for key, rows in sources.items()}
both = pd.concat([rows.assign(task=key[0], over=key[1]) for key, rows in agree.items()])
for name, rows in (("relations", pd.concat(related)), ("agreement", both)):
    glue(f"provenance-{name}", page.provenance(rows, f"{name}.csv", profile=profile), display=False)
glue("worse", named(varied, "error"), display=False)
known = {*sure(beyond, "error"), *sure(beyond, "error", -1)}
open_ones = page.listed(f"“{figures.MEASURE_NAMES[name]}”" for name in SHARPNESS if name not in known)
glue("unsure", f". By {open_ones} there is no telling" if len(known) < len(SHARPNESS) else "", display=False)
for name, outcome in (("sure", "error"), ("sure-robust", "adjusted_error")):
    for end, sign in (("", 1), ("-less", -1)):
        glue(f"{name}{end}", named(beyond, outcome, sign), display=False)
        glue(f"{name}{end}-number", COUNTS[len(sure(beyond, outcome, sign))], display=False)
known = claims.read_claims().query("document == 'article'")
on_unseen = flatness_factors.learned(digits.unseen)
seen = grid_specs(flatness_factors.UNSEEN, profile, "digits")[0].model["classes"]
beyond_unseen = flatness_factors.one_varies(on_unseen, SHARPNESS, ("unseen_error",), beyond=True)
glue("unseen-right", f"{100 * (1 - on_unseen['unseen_error'].mean()):.0f}", display=False)
glue("unseen-pixels", f"{100 * unseen_by_pixels(seen):.0f}", display=False)
for name, sign in (("", 1), ("-less", -1)):
    glue(f"sure-unseen{name}", named(beyond_unseen, "unseen_error", sign), display=False)
for name, sign in (("more", 1), ("less", -1)):
    glue(f"spread-{name}", named(digits.relations, "spread", sign), display=False)
kept, words_of = Factors(learned, digits.changes, on_unseen), dict(zip(known["factors"], known["claim"], strict=True))
verdicts = {words_of[name]: (rule(kept).word, rule(digits).word) for name, rule in load_rules("factors").items()}
turned = [
    f"“{claim}” would be “{ours}” and not “{theirs}”" for claim, (ours, theirs) in verdicts.items() if ours != theirs
]
glue("verdicts-changed", page.listed(turned) or "no verdict differs", display=False)
glue("failed", len(digits.factorial) - len(learned), display=False)
glue("all-runs", len(digits.factorial), display=False)

# %% [markdown]
# An [unsigned article](table-flatness-claims) claims that flat minima generalize better and survive a shift of the data, and lists
# what leads to them. It gives no numbers. These are ours. Stochastic gradient descent (SGD) was run on Digits in a full factorial of learning rate, weight
# decay, batch size and dropout (81 settings, 5 seeds). Then come 19 single changes of it (20 seeds). On CIFAR-10 we take the
# [compared optimizers](better-than-sgd.ipynb).
#
# A correlation over all runs may come from one setting that moves sharpness and error both. So runs are compared only where one setting
# varies {cite:p}`jiang2020`. Of the factorial's {glue:text}`all-runs` runs {glue:text}`failed` failed (training loss
# above 1: the highest learning rate, the smallest batches, dropout). The figure leaves them out; with them its first correlations
# are {glue:text}`varied-all`. The verdicts below keep them, as their rules do.
#
# **Which measures say what, with the training loss taken out.** Averaged over the four settings, the error is higher at sharper minima by
# {glue:text}`sure`, and lower by {glue:text}`sure-less`{glue:text}`unsure`. The error under corruption, beyond the clean one, is higher by
# {glue:text}`sure-robust`, and lower by {glue:text}`sure-robust-less`. Where the learning rate alone varies, τ with the clean error then goes from
# {glue:text}`beyond`.
#
# **The gap between test and training loss turns.** Where one setting varies, sharper minima have the smaller gap by {glue:text}`gap-smaller` of five
# measures (Holm), since most settings that sharpen leave the training loss high. Under dropout {glue:text}`gap-dropout` of five say the
# opposite. With the training loss taken out, sharper minima have the larger gap by {glue:text}`gap-larger` of five.
#
# **Larger weights go with less robustness.** Three other measures were looked at after these five. Two of them go with the extra error on
# corrupted images: the norm of the weights and their distance from the start. With the training loss taken out their τ is
# {glue:text}`norm-robust` and {glue:text}`distance-robust`.
#
# `````{dropdown} All measures and outcomes; the same for restarts, for means of settings, and on CIFAR-10
# ````{table} Digits with the training loss taken out of measure and outcome: Kendall's τ, with 95 % intervals over seeds (jackknife), without the failed runs. The gradient by the input is taken on test images and their labels: it partly measures the error itself.
# :name: table-flatness-every
# ```{glue:md} every-measure
# :format: myst
# ```
# ````
# ```{glue:figure} relations-all
# :name: figure-flatness-relations-all
#
# As above. Restarts and means are those of 20 single changes on Digits, and of ten algorithms on CIFAR-10, which has no factorial.
# ```
# Each setting has its own slope here. One line through all runs gives sharper minima the higher clean error by
# {glue:text}`line-more`, and the lower by {glue:text}`line-less`. A cubic gives the higher by {glue:text}`cubic-more`, and the lower by {glue:text}`cubic-less`. All
# are averaged over settings (Holm).
# ```{glue} provenance-relations
# ```
# ```{glue} provenance-agreement
# ```
# `````
#
# ## What flattens by all measures lowers the training loss on Digits
#
# ```{glue:figure} changes
# :name: figure-flatness-changes
#
# Sharpness after one change to plain SGD on Digits, by five measures: geometric means over 20 seeds. Epochs are equal, so training losses are not.
# ```
#
# Of {glue:text}`all-changes` changes {glue:text}`flatter` flatten by all five measures, counted by intervals, and {glue:text}`sharper` sharpen by all five.
# Of the first {glue:text}`flatter-lower` end at a lower training loss than plain SGD, of the second {glue:text}`sharper-higher` at a higher one: curvature
# shrinks as the loss does. SAM
# (sharpness-aware minimization) flattens by {glue:text}`sam-flatter`. Against the claim, a quarter of the learning rate sharpens by
# {glue:text}`rate-sharper`, weight decay by {glue:text}`decay-sharper`. Half the width sharpens and depth flattens, by all. For
# {glue:text}`mixed` changes some measures say flatter and others sharper: for Adam by a factor of {glue:text}`apart`. Rank correlations between two measures,
# over the changes, go from {glue:text}`agree-least` to {glue:text}`agree-most`.

# %% tags=["remove-cell"]
ratios = flatness_factors.ratios(digits.changes, (), (*SHARPNESS, "train_loss"))
page.figure(
    "changes",
    lambda width: figures.sharpness_after(ratios, SHARPNESS, width),
    alt="A line for each change, five marks on it: three layers and a larger rate lie far left, label smoothing far right; Adam, BatchNorm and a decaying rate on both sides.",
)
arms = ratios.pivot(index="arm", columns="measure", values="ratio")
surely = ratios[ratios["measure"].isin(SHARPNESS)].set_index("arm")
less, more = ((said.groupby("arm").sum()) for said in (surely["high"] < 1, surely["low"] > 1))
glue("all-changes", len(arms), display=False)
glue("flatter", int((less == len(SHARPNESS)).sum()), display=False)
glue("sharper", int((more == len(SHARPNESS)).sum()), display=False)
ended = ratios[ratios["measure"] == "train_loss"].set_index("arm")["ratio"]
glue("flatter-lower", int((ended[less.index[less == len(SHARPNESS)]] < 1).sum()), display=False)
glue("sharper-higher", int((ended[more.index[more == len(SHARPNESS)]] > 1).sum()), display=False)
glue("mixed", int(((less > 0) & (more > 0)).sum()), display=False)
for name, said, arm in (
    ("sam-flatter", less, "sam"),
    ("rate-sharper", more, "small-rate"),
    ("decay-sharper", more, "weight-decay"),
):
    glue(name, f"{said[arm]} of five" if said[arm] < len(SHARPNESS) else "all five", display=False)
glue("apart", f"{arms.loc['adam', list(SHARPNESS)].max() / arms.loc['adam', list(SHARPNESS)].min():.0f}", display=False)
between = agree["digits", "single changes"].query(
    "level == 'between' and measure in @SHARPNESS and outcome in @SHARPNESS"
)
glue("agree-least", page.written(between["tau"].min(), ".2f"), display=False)
glue("agree-most", page.written(between["tau"].max(), ".2f"), display=False)
levels_table = pd.concat(
    [
        flatness_factors.level_ratios(digits.factorial, name, (*SHARPNESS, "train_loss")).assign(setting=words)
        for name, words in flatness_factors.SETTINGS.items()
    ],
    ignore_index=True,
)
NAMES = figures.MEASURE_NAMES | {"train_loss": "training loss"}


def taken(table: pd.DataFrame) -> float:
    """Return the core-hours of runs; those of SWA's are of its SGD."""
    return float(table["core_hours"].sum()) if len(table) else 0.0


def wide(table: pd.DataFrame, rows: str, titles: dict[str, str]) -> pd.DataFrame:
    """Lay out ratios with their intervals, measures across."""
    cells = table.assign(cell=with_interval(table, "ratio", form=".3g").to_numpy(), measure=table["measure"].map(NAMES))
    laid = cells.pivot(index=rows, columns="measure", values="cell")
    order = [name for name in (titles or dict.fromkeys(laid.index)) if name in laid.index]
    columns = [NAMES[name] for name in (*SHARPNESS, "train_loss") if NAMES[name] in laid]
    return laid.loc[order, columns].rename(index=titles).rename_axis(index=rows).reset_index()


page.table("arms", wide(ratios, "arm", figures.ARMS).rename(columns={"arm": "change"}))
page.table("levels", wide(levels_table, "setting", {}))
on_images = grids["cifar10"].changes
planned = grid_specs(flatness_factors.FACTORS, profile, "cifar10")
image_ratios = flatness_factors.ratios(on_images, (), (*SHARPNESS, "train_loss"))
page.table("arms-images", wide(image_ratios, "arm", figures.ARMS_OF_IMAGES).rename(columns={"arm": "change"}))
glue("images-run", image_ratios["arm"].nunique(), display=False)
glue("images-planned", len({spec.arm for spec in planned}) - 1, display=False)
glue("images-seeds", int(image_ratios["restarts"].min()), display=False)
machines = on_images.groupby("arm")["processor"].agg(set)
glue("images-elsewhere", int((machines.drop("plain") != machines["plain"]).sum()) or "none", display=False)
by_trace = image_ratios[image_ratios["measure"] == "trace"].set_index("arm")
for name in ("adam", "rmsprop", "small-rate", "small-batch", "no-batch-norm"):
    row = by_trace.loc[name] if name in by_trace.index else None
    words = "–" if row is None else f"{row['ratio']:.2g} [{row['low']:.2g}, {row['high']:.2g}]"
    glue(f"images-{name}", words, display=False)
span = image_ratios[(image_ratios["arm"] == "adam") & image_ratios["measure"].isin(SHARPNESS)]["ratio"]
glue("images-adam-span", f"{span.min():.1f} to {span.max():.1f}" if len(span) else "–", display=False)
granulated = varied[varied["outcome"].isin(["gap", "error", "shifted_error", "adjusted_error"])]
cells = granulated.assign(
    cell=with_interval(granulated, "tau"),
    measure=granulated["measure"].map(NAMES),
    outcome=granulated["outcome"].map(ALL),
    varied=granulated["hyperparameter"].map(flatness_factors.SETTINGS | {"mean": "mean of the four"}),
)
laid = cells.pivot(index=["outcome", "measure"], columns="varied", values="cell")
columns = [*flatness_factors.SETTINGS.values(), "mean of the four"]
page.table("granulated", laid[columns].reset_index())
runs = {"runs": f"{len(digits.factorial)} and {len(digits.changes)}", "profile": profile, "unit": "one model per seed"}
runs["processor"] = ", ".join(sorted({*digits.factorial["processor"], *digits.changes["processor"]}))
runs |= {"seeds": "0 to 4 and 0 to 19", "core_hours": f"{taken(digits.factorial):.2f} and {taken(digits.changes):.2f}"}
glue("provenance-changes", page.provenance(ratios, "changes.csv", **runs), display=False)
few = {"runs": len(on_images), "profile": profile, "processor": ", ".join(sorted({*on_images["processor"]}))}
few |= {"seeds": "0 to 2", "core_hours": f"{taken(on_images):.1f}"}
glue("provenance-images", page.provenance(image_ratios, "changes-cifar10.csv", **few), display=False)
glue("provenance-granulated", page.provenance(varied, "one-varies.csv", **runs), display=False)

# %% [markdown]
# `````{dropdown} Every change and level, with intervals; every relation where one setting varies
# ````{table} Single changes: ratio to plain SGD, with 95 % t intervals over 20 seeds, paired by seed.
# :name: table-flatness-changes
# ```{glue:md} arms
# :format: myst
# ```
# ````
# ````{table} Factorial: highest level over lowest, all else equal, with 95 % t intervals over 5 seeds.
# :name: table-flatness-levels
# ```{glue:md} levels
# :format: myst
# ```
# ````
# ```{glue} provenance-changes
# ```
# ````{table} The same changes on CIFAR-10: ratio to plain SGD, with 95 % t intervals over 3 seeds.
# :name: table-flatness-images
# ```{glue:md} arms-images
# :format: myst
# ```
# ````
# ```{glue} provenance-images
# ```
# ````{table} Kendall's τ between sharpness and an outcome, where the setting of the column alone varies, with 95 % intervals over seeds (jackknife).
# :name: table-granulated
# ```{glue:md} granulated
# :format: myst
# ```
# ````
# ```{glue} provenance-granulated
# ```
# `````
#
# ## Under shift, BatchNorm and adaptive methods lose most on Digits
#
# ```{glue:figure} robustness
# :name: figure-robustness
#
# Error less that of plain SGD on Digits, with 95 % intervals over 20 seeds: on clean test images; under corruption; and what is left of that beside a line in the clean error.
# ```
#
# The test images were changed in four ways, by noise, blur, contrast and brightness, at five strengths. Only what the clean error does not explain says
# something of robustness. BatchNorm costs {glue:text}`shift-batch-norm` points beyond it, Adam {glue:text}`shift-adam` and RMSprop
# {glue:text}`shift-rmsprop`; a learning rate of a quarter, one of the sharpest, gains {glue:text}`shift-small-rate`. SAM, though it
# flattens, {glue:text}`shift-sam` ({glue:text}`shift-sam-interval` points). Training is on clean images only, so that this is a shift that no run has seen. On CIFAR-10, with
# {glue:text}`images-seeds` seeds each, {glue:text}`shift-images` of {glue:text}`images-planned` changes differ beyond chance (Holm over all of them): Adam
# {glue:text}`shift-images-adam` points and RMSprop {glue:text}`shift-images-rmsprop` beyond the clean error. A claim names three to seven changes; its
# verdict below is by Holm over these alone. Corrupted are 500 test images there, and the clean error is that of all 10,000.
#
# `````{dropdown} What the corrupted images look like
# ```{glue:figure} sheet
# :name: figure-corrupted-digits
#
# A test digit as it is, and at severities 1 to 5. Strengths are those made for 32 × 32 pixels; at 8 × 8 the same blur reaches further.
# ```
# ```{glue:figure} sheet-colour
# :name: figure-corrupted-colour
#
# The six corruptions that CIFAR-10's test images get, on a photograph that ships with scikit-learn, at 32 × 32 pixels.
# ```
# `````

# %% tags=["remove-cell"]
THREE = {"error": "clean", "shifted_error": "under corruption", "adjusted_error": "beyond the clean error"}
shifts = {words: flatness_factors.arm_differences(digits.changes, name) for name, words in THREE.items()}
page.figure(
    "robustness",
    lambda width: figures.shift_differences(shifts, width),
    alt="Three panels, a line for each change. Clean errors differ by a point; under corruption BatchNorm, label smoothing, Adam and RMSprop lie 4 to 8 points to the right.",
)
on_shift = flatness_factors.arm_differences(on_images, "adjusted_error").set_index("arm")
glue("shift-images", int((on_shift["adjusted_p"] <= ALPHA).sum()) or "none", display=False)
for name in ("adam", "rmsprop"):
    words = (
        with_interval(on_shift.loc[[name]], "difference", 100, form="+.1f").iloc[0] if name in on_shift.index else "–"
    )
    glue(f"shift-images-{name}", words, display=False)
beyond = shifts["beyond the clean error"].set_index("arm")
glue("shift-sam-interval", with_interval(beyond.loc[["sam"]], "difference", 100, form="+.1f").iloc[0], display=False)
low, high = beyond.loc["sam", ["low", "high"]]
said_of_sam = "loses" if low > 0 else "gains" if high < 0 else "is not shown to gain or to lose"
for arm, row in beyond.iterrows():
    glue(f"shift-{arm}", said_of_sam if arm == "sam" else f"{abs(100 * row['difference']):.1f}", display=False)
task = set_up("digits", [0], {"hidden": 32, "batch_size": 50})
first = task.input_losses()[1][0, 0].view(8, 8).numpy()
images = {
    name: [first, *(corrupted_digits(name, severity)[0].view(8, 8).numpy() for severity in range(1, 6))]
    for name in CORRUPTIONS
}
page.figure(
    "sheet",
    lambda width: figures.corruption_sheet(images, width),
    alt="Four lines of six small pictures of one digit: noise, blur, contrast, brightness, stronger to the right.",
)
photograph = Image.fromarray(load_sample_image("flower.jpg")).resize((32, 32), Image.Resampling.BOX)
pixels = np.asarray(photograph)[None]
corrupted = {
    name: [pixels[0] / 255, *(corrupt_images(pixels, name, severity, seed=0)[0] / 255 for severity in range(1, 6))]
    for name in IMAGE_CORRUPTIONS
}
page.figure(
    "sheet-colour",
    lambda width: figures.corruption_sheet(corrupted, width),
    alt="Lines of six small pictures of a flower, one for each corruption of CIFAR-10, stronger to the right.",
)

# %% [markdown]
# `````{dropdown} Three of the five measures can be moved without changing the network
# A ReLU network computes the same if one layer's weights and biases are multiplied by {glue:text}`factor` and the next layer's
# weights divided by it {cite:p}`dinh2017`. We did so to a perceptron trained on Digits: its outputs differ by
# {glue:text}`same` of the largest at most, by rounding. The largest eigenvalue is {glue:text}`moved` times what it was,
# and may be made as large as one likes; so may the step uphill and the trace. The two measures relative to each weight have stayed.
#
# ````{table} A perceptron's measures before and after its rescaling.
# :name: table-rescaled
# ```{glue:md} rescaled
# :format: myst
# ```
# ````
# `````

# %% tags=["remove-cell"]
optimizer = make("SGD", task.parameters, lr=0.05, momentum=0.9, population=True)
start = [p.detach().clone() for p in task.parameters]
for epoch in range(20):
    for minibatch in task.minibatches(epoch):

        def closure(minibatch=minibatch):
            optimizer.zero_grad()
            loss = task.loss(minibatch)
            loss.sum().backward()
            return loss.detach()

        optimizer.step(closure)


def measured() -> dict[str, float]:
    """Return all measures of flatness of the network, and its error on test images."""
    losses = task.sample_loss, task.curvature_loss, task.input_losses
    found = flatness_of(Models(task.parameters, start, True, generator(0, "flatness"), *losses), "sample")
    return {name: found[name].item() for name in ("weight_norm", *SHARPNESS)}


before, outputs = measured(), task.logits("test").detach()
rescale(task.parameters, factor)
after, apart = measured(), (task.logits("test") - outputs).abs().max() / outputs.abs().max()
rescaled = pd.DataFrame(
    {
        "measure": [NAMES.get(name, "norm of the weights") for name in before],
        "before": [f"{value:.3g}" for value in before.values()],
        "after": [f"{value:.3g}" for value in after.values()],
        "ratio": [f"{after[name] / before[name]:.3g}" for name in before],
    }
)
page.table("rescaled", rescaled)
glue("moved", f"{after['top_eigenvalue'] / before['top_eigenvalue']:.0f}", display=False)
glue("factor", f"{factor:g}", display=False)
glue("same", f"{100 * apart.item():.5f} %", display=False)

# %% [markdown]
# ## What the article claims, and what came out
#
# ````{table} The article's claims, judged on Digits by rules written before the runs; those with † were written with the runs there. Numbers: τ by the trace of the Hessian, or times the trace without the change, with 95 % intervals. Verdicts: by all five measures and all changes that are named, of which so many are for the claim, and against it, beyond chance (Holm); failed runs count. From: runs of the factorial (5 seeds), or pairs of runs of the same seed. On CIFAR-10: single changes of 3 seeds, for which [rules were changed](table-flatness-rules) on 30 November 2026; or restarts of ten algorithms.
# :name: table-flatness-claims
# ```{glue:md} claims
# :format: myst
# ```
# ````
#
# *Flat generalizes better* is judged as the article puts it, with the training loss left in and failed runs counted. What trains
# badly is sharp and errs. [The first figure](figure-flatness-relations) says what is left beyond that. *Slower* is judged at equal epochs. At equal
# gradients SAM's training loss on Digits is {glue:text}`slower-gradients` times SGD's.
#
# Ensembles of runs have no minimum of their own: whether they are flat is asked of SWA (stochastic weight averaging), an ensemble that is one
# model. Five runs of SGD on Digits that predict together err on {glue:text}`shifted-together` % of corrupted images, one by one on
# {glue:text}`shifted-alone` %.
# On CIFAR-10 {glue:text}`images-run` of {glue:text}`images-planned` single changes have run, with {glue:text}`images-seeds` seeds each
# ([table](table-flatness-images)), {glue:text}`images-elsewhere` of them on another processor than plain SGD. By the trace, Adam ends
# {glue:text}`images-adam` times as sharp as SGD there, and RMSprop {glue:text}`images-rmsprop` times. By the five measures Adam's ratio goes from
# {glue:text}`images-adam-span`. A quarter of the learning rate ends {glue:text}`images-small-rate` times as sharp, a quarter of the batch
# {glue:text}`images-small-batch` times, and a network without BatchNorm {glue:text}`images-no-batch-norm` times. Not tested are reinforcement learning and domain adaptation.
#
# To two claims the article gives no measurable form, so this one is ours. *Unseen classes*: the factorial is trained on the digits
# 0 to 4, and tells 5 to 9 apart by the nearest mean activation of its hidden layer. It is right for {glue:text}`unseen-right` % of them; the
# nearest mean image is right for {glue:text}`unseen-pixels` %. With the training loss taken out, sharper minima have the higher error there by
# {glue:text}`sure-unseen`, and the lower by {glue:text}`sure-unseen-less`. *Variance in the parameter space*: the root mean square distance of
# a run's ten checkpoints of lowest training loss from their mean, in the same runs. It is larger at sharper minima by
# {glue:text}`spread-more`, and smaller by {glue:text}`spread-less`.
#
# `````{dropdown} Every claim at every scale, with its numbers, and the rules
# The factorial's verdicts count its failed runs. Without these {glue:text}`verdicts-changed`.
#
# ````{table} The article's claims: verdict, and the numbers with their intervals behind it.
# :name: table-flatness-claims-full
# ```{glue:md} claims-full
# :format: myst
# ```
# ````
# ```{glue} provenance-claims
# ```
# ````{table} What each claim is judged by.
# :name: table-flatness-rules
# ```{glue:md} claims-rules
# :format: myst
# ```
# ````
# `````
#
# `````{dropdown} Flatness and corruptions for a model of your own
# Flatness: a loss without arguments on a fixed sample, and the parameters.
#
# ```python
# import torch
# from popview.flatness import top_eigenvalue
# model, inputs, labels = torch.nn.Linear(2, 2), torch.eye(2), torch.tensor([0, 1])
# loss = lambda: torch.nn.functional.cross_entropy(model(inputs), labels)
# top_eigenvalue(loss, model.parameters(), generator=torch.Generator().manual_seed(0))
# ```
#
# Corruptions: images of 8 bits, `(n, height, width, 1 or 3)`.
#
# ```python
# import numpy as np, torch
# from popview.tasks.corruptions import corrupt_images
# images, labels = np.random.default_rng(0).integers(256, size=(100, 32, 32, 3)).astype(np.uint8), torch.arange(100) % 10
# model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
# blurred = {severity: torch.tensor(corrupt_images(images, "blur", severity, seed=0)) / 255 for severity in (1, 2, 3, 4, 5)}
# accuracy = {severity: (model(x).argmax(1) == labels).float().mean().item() for severity, x in blurred.items()}
# ```
#
# These are six of the corruptions of {cite:t}`hendrycks2019`, with noise of our own: figures cannot stand beside that benchmark's.
# `popview.topography.measures.flatness_of` takes all measures at once.
# `````

# %% tags=["remove-cell"]
CLAIMS = {
    "flat-generalizes": ("Flat generalizes better", "test error, one setting varied", "error"),
    "flat-robust": ("Flat is more robust", "error under shift beyond that", "adjusted_error"),
    "flat-insensitive": ("Flat is less sensitive to the input", "its gradient", "input_gradient_norm"),
    "unseen-classes": ("Flat is better on unseen classes", "error on digits 5 to 9, trained on 0 to 4", "unseen_error"),
    "low-variance": ("Flat varies less in the parameter space", "distance of low-loss checkpoints", "spread"),
    "flat-lower-loss": ("Flat has the lower training loss", "training loss", "train_loss"),
    "flat-slower": ("Seeking flat minima is slower", "SAM (and SWA), training loss", "slower"),
    "small-rate-flat": ("Small learning rates flatten", "0.2 over 0.0125", "lr"),
    "weight-decay-flat": ("Weight decay flattens", "0.005 over none", "weight_decay"),
    "dropout-flat": ("Dropout flattens", "0.5 over none", "dropout"),
    "adaptive-flat": ("Adam and RMSprop flatten", "Adam (and RMSprop)", "adam"),
    "schedule-flat": ("Schedules flatten", "warm-up and decay", "schedule"),
    "batch-norm-flat": ("BatchNorm flattens", "with it", "batch-norm"),
    "label-smoothing-flat": ("Label smoothing flattens", "by 0.1", "label-smoothing"),
    "simpler-flat": ("Simpler networks are flatter", "half as wide (and deeper)", "narrower"),
    "large-rate-sharp": ("Too high a rate avoids flat regions", "four times the rate", "large-rate"),
    "designed-flat": ("Flat-seeking algorithms find flat minima", "SAM (and SWA)", "sam"),
    "regularization": ("Regularizers flatten", "averaged weights (and three others)", "swa"),
    "regularized-robust": ("Such training makes robust", "SAM (and six others), points of error", "sam"),
    "ensembles-robust": ("Ensembles are more robust", "five runs (and averaged weights), points of error", "ensembles"),
    "schedules-adaptive-robust": ("Schedules and Adam make robust", "Adam (and two), points of error", "adam"),
    "small-rate-robust": ("Small learning rates make robust", "a quarter, points of error", "small-rate"),
    "simpler-robust": ("Simpler networks are more robust", "half as wide, points of error", "narrower"),
    "deeper-better": ("Deeper networks are better", "two layers (and three), points of clean error", "deeper"),
}


def told(name: str, key: str) -> tuple[str, str]:
    """Write the number behind a claim, with its interval, and how many runs it is from."""
    if key in set(digits.relations["outcome"]):
        rows = digits.relations.query("hyperparameter == 'mean' and measure == 'trace' and outcome == @key")
        return "τ " + with_interval(rows, "tau").iloc[0], f"{len(digits.judged(key))} runs"
    if key in flatness_factors.SETTINGS:
        of_level = levels_table["setting"] == flatness_factors.SETTINGS[key]
        rows = levels_table[of_level & (levels_table["measure"] == "trace")]
        ends = int((digits.factorial[key] == digits.factorial[key].max()).sum())
        return "× " + with_interval(rows, "ratio", form=".2f").iloc[0], f"{ends} pairs"
    if key == "ensembles":
        row = pd.DataFrame([flatness_factors.ensemble_difference(digits.ensembles, digits.changes)])
        return with_interval(row, "difference", 100, form="+.1f").iloc[0], f"{row['restarts'].iloc[0]} ensembles"
    if name.endswith(("-robust", "-better")):
        rows = shifts["clean" if name.endswith("-better") else "beyond the clean error"].query("arm == @key")
        words = with_interval(rows, "difference", 100, form="+.1f").iloc[0]
    else:
        arm, measure = ("sam", "train_loss") if key == "slower" else (key, "trace")
        rows = ratios[(ratios["arm"] == arm) & (ratios["measure"] == measure)]
        words = "× " + with_interval(rows, "ratio", form=".2f").iloc[0]
    return words, f"{rows['restarts'].iloc[0]} pairs"


def on_cifar(name: str) -> str:
    """Say the verdict on CIFAR-10: of single changes, or else over the restarts of the compared algorithms."""
    word = str(images.loc[name, "verdict"])
    compared = entries[(entries["id"] == name) & (entries["scale"] == "cifar10") & (entries["variant"] == "base")]
    return word if word != "not applicable" or compared.empty else f"{compared['verdict'].iloc[0]} (restarts)"


for name in ("together", "alone"):
    glue(f"shifted-{name}", f"{100 * digits.ensembles[f'shifted_{name}'].mean():.1f}", display=False)
slower = pd.DataFrame([flatness_factors.loss_at_equal_gradients(profile, "digits")])
glue("slower-gradients", with_interval(slower, "ratio", form=".1f").iloc[0] if slower.size else "–", display=False)
results = claims.task_results(profile)
entries = claims.judge_claims(known, results, Computed(), set(page_names()), None, grids)
judged = entries[entries["variant"] == "factors"]
ours, images = (judged[judged["scale"] == task].set_index("id") for task in ("digits", "cifar10"))
stated = load_rules("factors")
later = {
    row["id"]: "with the runs there" in stated[row["factors"]].states
    for row in known.to_dict("records")
    if row["factors"]
}
numbers, runs_behind = zip(*(told(name, key) for name, (_, _, key) in CLAIMS.items()), strict=True)
page.table(
    "claims",
    pd.DataFrame(
        {
            "claim": [claim + "†" * later[name] for name, (claim, _, _) in CLAIMS.items()],
            "number of": [words for _, words, _ in CLAIMS.values()],
            "number": numbers,
            "from": runs_behind,
            "verdict": [f"**{ours.loc[name, 'verdict']}**: {ours.loc[name, 'number']}" for name in CLAIMS],
            "on CIFAR-10": [on_cifar(name) for name in CLAIMS],
        }
    ),
)
page.table("claims-full", claim_tables.full(entries, "article", page_names()))
page.table("claims-rules", claim_tables.rules(claims.rules_of_claims(known)))
hours = sum(taken(table) for table in (digits.factorial, digits.unseen, digits.changes, on_images))
of_all = {"seeds": "5, 20 and 3 (factorials, changes, CIFAR-10)", "core_hours": f"{hours:.1f}"}
glue("provenance-claims", page.provenance(entries, "claims.csv", profile=profile, **of_all), display=False)
