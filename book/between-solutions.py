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
# # 11 Topography: what lies between solutions
#
# ```{glue:md} answer
# :format: myst
# ```
#
# {cite:t}`yu2026` train small networks by SGD and by a quasi-Newton method, look for low paths between the
# solutions of each, and conclude that SGD's lie in smoother basins with lower barriers between them. This page redoes
# that with what the paper leaves out: the rise above the ends beside the height, the straight line as a control, the
# symmetry of hidden units, solutions compared at equal training loss, sharpness measured, early stopping on a validation
# split instead of the test set, and intervals that know that pairs share solutions.

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the study
network: str = "all"  # all that the profile has, or one: digits, fcp, lenet
steps: int = 1000  # of the path finder on the landscapes, which are computed with the page

# %% tags=["remove-cell"]
import pandas as pd

from popview.book import page, style
from popview.book.figures import landscapes as landscape_figures
from popview.book.figures import solutions as solution_figures
from popview.book.sentences import topography as topography_sentences
from popview.book.tables import claims as claim_tables
from popview.book.tables import topography as topography_tables
from popview.landscapes import get
from popview.paper import claims
from popview.paper.printed import printed_deviations, printed_losses
from popview.paper.rules import Computed
from popview.populations import landscape_paths
from popview.populations import solutions as solution_statistics
from popview.runs import solutions as study

style.use()
names = study.networks(profile) if network == "all" else (network,)
titles = {name: title for name, title in study.titles(profile).items() if name in names}
evidence = {title: found for title, found in claims.network_studies(profile).items() if title in titles.values()}
coverage = study.solutions_coverage(profile)
coverage = coverage[coverage["network"].isin(names)]
solutions = pd.concat([study.solutions(profile, name) for name in names], ignore_index=True)
barriers = pd.concat([study.barriers(profile, name) for name in names], ignore_index=True)
products = {
    (name, stage): found
    for name in names
    for stage in study.STAGES
    if (found := study.products(profile, name, stage)) is not None
}
means = solution_statistics.barrier_means(barriers)
profiles = {name: study.network_settings(profile, name) for name in names}
drawn = f"0–{max(table['solutions'] for table in profiles.values()) - 1}"
facts = {"profile": profile, "seeds": drawn}
intervals = "95 % intervals of the bootstrap over solutions, not adjusted for their number"
page.markdown("answer", topography_sentences.answer(evidence))
# %% [markdown]
# ## Where the passes are known
#
# A path is a straight line bent by some sines (at laptop scale ten, three for LeNet), ω(t) = (1 − t) ωᵢ + t ωⱼ + Σ bₙ sin nπt; the bₙ are fitted so that the sum of
# the losses along it, plus a penalty on its length, is small. The sum is not the height: a path may cross high ground
# fast. So a second fit begins with that path and minimises a soft maximum. On landscapes the lowest pass between two
# minima is known, from the saddles:

# %% tags=["hide-input", "remove-output"]
chosen = {
    "himmelblau": [*landscape_paths.NEIGHBOURS, (3, 1)],
    "six-hump-camel": landscape_paths.every_pair(get("six-hump-camel")),
}
tables = []
for name, pairs in chosen.items():
    landscape = get(name)
    found = landscape_paths.paths(landscape, pairs, steps)
    tables.append(landscape_paths.heights(landscape, pairs, found))
    page.interactive(f"passes-{name}", landscape_figures.path_map(landscape, pairs, found))
rises = pd.concat(tables, ignore_index=True)
page.table("rises", topography_tables.passes_table(rises), digits=3)

# %% [markdown]
# ```{glue:figure} passes-himmelblau
# :name: figure-passes-himmelblau
#
# Paths between Himmelblau's minima, interactive. Between (−3.78, −3.28) and (3.58, −1.85) the lowest pass leads around, over the two others.
# ```
#
# ```{glue:figure} passes-six-hump-camel
# :name: figure-passes-six-hump
#
# The six-hump camel, interactive: a control, where straight lines are already nearly right. The soft maximum minds only the highest point of a path: below it the path wanders, which costs it nothing; a click on its name in the legend hides it.
# ```
#
# ````{table} Rise above the higher of two minima: of the lowest pass that there is, of the path by the sum of losses, of the soft maximum begun with that path, and of the straight line.
# :name: table-passes
# ```{glue:md} rises
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(rises, "passes.csv", computed="with the page", steps=steps, terms=10, grid="10,000 segments")

# %% [markdown]
# A path found is an upper bound of the lowest pass of the loss that its height is taken on, never a proof that there is
# none lower.
#
# ## The solutions
#
# Perceptrons 64-50-50-10 on scikit-learn's digits and 784-50-50-10 without biases on MNIST (FCP, the paper's fully
# connected perceptron), and a LeNet on MNIST, by SGD and by L-BFGS-GSS: the quasi-Newton method L-BFGS on the whole
# training set, with a golden-section search for the length of each step. All
# solutions of a network are trained on the same images, so that they lie on one landscape; the seed draws initial
# weights, order and the validation split, and is the same for every algorithm. Of each run three solutions are kept:
# the one of lowest validation loss (early-stopped), the first whose training loss is at a common level or below (equal
# training loss), and the one of lowest training loss within the budget (fully fitted: where the training images are
# all classified rightly, cross-entropy has no minimum, and falls for as long as training goes on). They are looked for
# after every epoch, with L-BFGS-GSS after every step. Yu and Morozov's code has softplus in its perceptron and average pooling
# in its LeNet; here it is ReLU, as its text says, and maximum pooling. It stops early by the *test* loss.

# %% tags=["hide-input", "remove-output"]
printed = printed_losses()
page.table("covered", topography_tables.sets_table(coverage, titles), digits=1)
page.table("settings", topography_tables.settings_table(profiles, solutions))
page.figure("accuracies", solution_figures.accuracies(solutions, titles))
page.show("solutions", solutions, lambda t: topography_tables.solutions_table(t, printed, titles))
page.markdown("compared", topography_sentences.accuracy_differences(evidence))
page.table("printed", printed.assign(printed=printed["printed"].map("{:.2e}".format)))

# %% [markdown]
# ````{table} Settings. Passes over the training set that one run costs, gradients and losses alike: L-BFGS-GSS's line search evaluates the loss of the whole set several times a step.
# :name: table-settings-eleven
# ```{glue:md} settings
# :format: myst
# ```
# ````
#
# ````{table} Means (medians) over all solutions: training loss of the fully fitted, test loss of the early-stopped; test accuracy ± SD over solutions in percent. Beside them the means that Yu and Morozov print, of the 48 runs of lowest training loss among 75; their networks are trained on more images, and differ as said above.
# :name: table-solutions
# ```{glue:md} solutions
# :format: myst
# ```
# ````
#
# ```{glue:md} compared
# :format: myst
# ```
#
# ```{glue:figure} accuracies
# :alt: Test accuracies of solutions by algorithm, one panel per network.
# :name: figure-accuracies
#
# Test accuracy of every solution.
# ```

# %% tags=["remove-input"]
page.provenance(solutions, "solutions.csv", **facts, unit="one solution per seed", spread="SD over solutions")

# %% [markdown]
# `````{dropdown} All losses that Yu and Morozov print, and which sets are there
# ````{table} The printed losses. The autoencoder and the LSTM are not trained here.
# :name: table-yu-losses
# ```{glue:md} printed
# :format: myst
# ```
# ````
#
# ````{table} What this page rests on: sets that are there, of those wanted.
# :name: table-covered-eleven
# ```{glue:md} covered
# :format: myst
# ```
# ````
# `````

# %% tags=["remove-input"]
page.provenance(printed, "yu-losses.csv", source="arXiv 2602.21276", unit="means of 48 solutions")

# %% [markdown]
# ## Barriers
#
# Random pairs of solutions of one algorithm; the same pairs of seeds for all. *Height* is the highest training loss on
# the path, which is what Yu and Morozov report. *Rise* is the height above the higher end, since a height also contains how
# badly the ends fit. Pairs share solutions, so the bootstrap draws solutions, not pairs; where pairs differ more by
# themselves than by their solutions, its intervals are up to twice too wide. *Aligned*: the hidden units of the second
# network are permuted to lie close to the first's, which changes no output. A path may fit the images that it is fitted
# on. LeNet's heights are taken on other images as well, so both are given; FCP's are taken on the very tenth of the
# training images that its paths are fitted on, so they are of the lower kind.

# %% tags=["hide-input", "remove-output"]
by_sum = barriers[barriers["objective"] == "sum"] if len(barriers) else barriers
samples = barriers[barriers["fitted_height"] != barriers["height"]] if len(barriers) else barriers
differences = pd.concat(
    [solution_statistics.barrier_differences(by_sum), solution_statistics.barrier_differences(samples, "fitted_rise")],
    ignore_index=True,
)
heights = solution_statistics.barrier_differences(barriers, "height")
gains = solution_statistics.aligned_gains(by_sum)
softer = solution_statistics.changes(barriers, "objective", "maximum", "sum")
third = [solution_statistics.barrier_differences(by_sum, a=name).assign(algorithm=name) for name in ("SAM", "NiM-BH")]
page.figure("rises-figure", solution_figures.rises(means, titles))
page.figure("profiles", solution_figures.profiles(barriers, titles, ("SGD", "L-BFGS-GSS")))
page.show("barriers", means, lambda t: topography_tables.barriers_table(t, titles))
page.show("differences", differences, lambda t: topography_tables.barrier_differences_table(t, titles))
page.markdown("others", topography_sentences.others(pd.concat(third, ignore_index=True), titles))
page.markdown("gains", f"The rise, once aligned: {topography_sentences.count_sides(gains)}.")
page.markdown(
    "softer",
    f"The soft maximum's rise against the sum's from which it began: {topography_sentences.count_sides(softer)}.",
)
page.markdown("converged", topography_sentences.converged(barriers))

# %% [markdown]
# ````{table} Mean rise of the paths by the sum of losses over pairs, and quasi-Newton's less SGD's on the same pairs of seeds with its 95 % interval.
# :name: table-differences
# ```{glue:md} differences
# :format: myst
# ```
# ````
#
# ```{glue:md} others
# :format: myst
# ```
# ```{glue:md} gains
# :format: myst
# ```
# ```{glue:md} softer
# :format: myst
# ```
# ```{glue:md} converged
# :format: myst
# ```
# The number of steps is the same for all algorithms on a network. So what is compared are paths found with equal effort,
# upper bounds both; their difference is no bound on that of the lowest passes. Where the soft maximum ends higher than the sum from
# which it began, it has not come far in its steps, and is no evidence.
#
# ```{glue:figure} profiles
# :alt: Loss along paths between pairs of solutions, one panel per set.
# :name: figure-profiles
#
# Training loss along paths and straight lines between fully fitted solutions: median and middle half over pairs.
# ```
#
# ```{glue:figure} rises-figure
# :alt: Mean rises of paths with intervals, by network, stage and algorithm.
# :name: figure-rises
#
# Mean rise of the paths by the sum of losses (filled) and of the straight lines (hollow), with 95 % intervals over solutions.
# ```
#
# `````{dropdown} All sets: heights and rises
# ````{table} Mean height and rise with 95 % intervals.
# :name: table-barriers
# ```{glue:md} barriers
# :format: myst
# ```
# ````
# `````

# %% tags=["remove-input"]
listed = barriers.drop(columns=["profile", "straight_profile"], errors="ignore")
samples_used = "; ".join(f"{t['title']} {t['fitted']:,} and {t['images']:,}" for t in profiles.values())
pairs_drawn = max(table["pairs"] for table in profiles.values())
page.provenance(
    listed, "barriers.csv", **facts, pairs=pairs_drawn, spread=intervals, images_fitted_and_measured=samples_used,
    grid="2,000 segments, filled in around the highest point",
)  # fmt: skip

# %% tags=["remove-input"]
changed = pd.concat([differences, heights], ignore_index=True)
page.provenance(changed, "differences.csv", **facts, pairs=pairs_drawn, spread=intervals)

# %% [markdown]
# ## Sharpness, measured
#
# Sharpness shrinks with the loss: a network that fits its images perfectly looks flat. Only at equal training loss is
# like compared with like. The first and the last measure also change when weights are rescaled without changing the
# function.

# %% tags=["hide-input", "remove-output"]
page.show("sharpness", solutions, lambda t: topography_tables.sharpness_table(t, titles))
page.markdown("sharper", topography_sentences.judged("smoother_basins", evidence))

# %% [markdown]
# ````{table} Medians [middle half] over the solutions that reached the common training loss, on the training images where paths are fitted, whose numbers the line below gives; training loss: where they are first seen at it or below, SGD once an epoch. The rise of the loss one SAM step away (ρ = 0.05), the same relative to each weight (ρ = 0.5), its mean under noise relative to each weight (5 %), and the largest eigenvalue of the Hessian.
# :name: table-sharpness
# ```{glue:md} sharpness
# :format: myst
# ```
# ````
#
# That SGD's solutions are flatter:
#
# ```{glue:md} sharper
# :format: myst
# ```

# %% tags=["remove-input"]
fitted_on = "; ".join(f"{t['title']} {t['fitted']:,}" for t in profiles.values())
page.provenance(
    solutions, "solutions.csv", **facts, images=fitted_on, measures="popview.topography.flatness", stages="all three"
)

# %% [markdown]
# ## Norms, distances and kernel principal components
#
# Yu and Morozov's kernel PCA separates the two sets with an RBF kernel, not with linear, polynomial or sigmoid kernels. Is it the
# direction in which solutions lie, or only their norm? The norm is one number, and tells by itself. Scaled to norm 1, only
# direction is left, and with their width every kernel is linear there: the cosine kernel. That a first component
# does not separate two sets does not mean that their directions are alike, so these are tested with the labels known:
# both solutions of a seed are left out, and each is assigned to the algorithm whose mean direction is nearer.

# %% tags=["hide-input", "remove-output"]
spreads, apart = (
    pd.concat([pd.DataFrame(), *(of(*f).assign(network=n, stage=s) for (n, s), f in products.items())])
    for of in (solution_statistics.spread, solution_statistics.separation)
)
by_direction = {key: solution_statistics.directions(*found[:2]) for key, found in products.items()}
told = pd.DataFrame(
    [(*key, *found) for key, found in by_direction.items() if found is not None],
    columns=["network", "stage", "right", "of", "p"],
)
pair = ("SGD", "L-BFGS-GSS")
page.figure(
    "components", solution_figures.components({n: f for (n, s), f in products.items() if s == "fitted"}, titles, pair)
)
page.show("spreads", spreads, lambda t: topography_tables.spreads(t, printed_deviations(), titles))
page.markdown("spread-out", topography_sentences.judged("more_spread_out", evidence))
page.show("separations", apart, lambda t: topography_tables.separations(t, told, titles))
page.markdown("told", topography_sentences.norms_and_directions(apart, told))

# %% [markdown]
# ````{table} Fully fitted solutions: root mean square of a weight, and the standard deviation of weights that Yu and Morozov print; mean norm; mean distance between two of an algorithm, from each to SGD's that began with the same weights, and between directions (each scaled to norm 1; √2 = 1.4142 is a right angle); less SGD's with 95 % intervals.
# :name: table-spreads
# ```{glue:md} spreads
# :format: myst
# ```
# ````
#
# That L-BFGS-GSS's lie further apart:
#
# ```{glue:md} spread-out
# :format: myst
# ```

# %% tags=["remove-input"]
page.provenance(spreads, "spreads.csv", **facts, stages="all three", spread=intervals, inner_products="float32")

# %% [markdown]
# ````{table} What tells SGD's fully fitted solutions from quasi-Newton's. By a kernel's first component or the norm: the probability that it orders one of each rightly (A12; 0.5 is not at all, 1 entirely). By direction: how many are assigned rightly; p from exchanges of the two within seeds.
# :name: table-separations
# ```{glue:md} separations
# :format: myst
# ```
# ````
#
# ```{glue:md} told
# :format: myst
# ```
#
# ```{glue:figure} components
# :alt: Solutions projected on two components of each kernel, coloured by algorithm.
# :name: figure-components
#
# SGD's and L-BFGS-GSS's fully fitted solutions in the plane of their first two kernel principal components.
# ```

# %% tags=["remove-input"]
page.provenance(
    apart, "separation.csv", **facts, stages="all three", kernels="scikit-learn's, 2σ² = number of parameters"
)

# %% [markdown]
# ## Verdicts

# %% tags=["hide-input", "remove-output"]
listed = claims.read_claims().query("chapter == '11'")
verdicts = claims.judge_claims(listed, {}, Computed(), set(), evidence)
page.table("verdicts", claim_tables.full(verdicts, "yu2026", {}))

# %% [markdown]
# ````{table} The claims of Yu and Morozov, judged by rule on each network.
# :name: table-verdicts-eleven
# ```{glue:md} verdicts
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    verdicts,
    "verdicts.csv",
    profile=profile,
    rules="in lib/popview/paper/rules/by_solutions.py, stated in each docstring",
)

# %% [markdown]
# `popview topography --profile laptop` computes what is missing and continues where it
# was interrupted; `runs.solutions.barriers("laptop", "fcp")` is the table of all pairs.
