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
# # On three small networks, quasi-Newton solutions are sharper than SGD's and generalize worse
#
# We trained three small networks by stochastic gradient descent (SGD) and by L-BFGS-GSS, a quasi-Newton method.
# Compared at the same training loss, the largest curvature at L-BFGS-GSS's solutions is on average {glue:text}`sharper` times SGD's, and their
# test accuracy {glue:text}`worse` points lower (p {glue:text}`worse-p` on each network, by permutation). Whether the method does it or its batch, which
# is all images, was not told apart. We searched {glue:text}`paths` paths between two solutions: on none does the training loss rise more
# than {glue:text}`highest` above the higher end.
#
# ```{glue:figure} sharper-and-worse
# :name: figure-sharper-and-worse
#
# Each point is a solution at the training loss that is common to its network; the large ones are medians. Right is sharper, down is worse. FCP is a fully connected perceptron, LeNet a convolutional network. SGD takes minibatches, L-BFGS-GSS all images at once: {glue:text}`trained-on`.
# ```

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the study
network: str = "all"  # all that the profile has, or one: digits, fcp, lenet
steps: int = 1000  # of the path finder on the landscapes, which are computed with the page [1 or more]

# %% tags=["remove-cell"]
import numpy as np
import pandas as pd
from myst_nb import glue

from popview.book import page, style
from popview.book.figures import solutions as solution_figures
from popview.book.tables import audit as audit_tables
from popview.book.tables import barriers as barrier_tables
from popview.book.tables import runs as run_tables
from popview.book.tables import topography as topography_tables
from popview.landscapes import get
from popview.paper import against_sgd, audit, claims
from popview.paper.printed import printed_deviations, printed_losses
from popview.paper.rules import Computed, Study
from popview.populations import landscape_paths
from popview.populations import solutions as solution_statistics
from popview.runs.solutions import load as study_results
from popview.runs.solutions import parts as study

style.use()
names = study.networks(profile) if network == "all" else (network,)
titles = {name: title for name, title in study.titles(profile).items() if name in names}
evidence = {name: found for name in names if (found := Study.load(profile, name)) is not None}
solutions = pd.concat([pd.DataFrame(), *(found.solutions for found in evidence.values())], ignore_index=True)
barriers = pd.concat([pd.DataFrame(), *(found.barriers for found in evidence.values())], ignore_index=True)
products = {(name, stage): kept for name, found in evidence.items() for stage, kept in found.products.items()}
profiles = {name: study.network_settings(profile, name) for name in names}
facts = {"profile": profile, "seeds": f"0–{max(table['solutions'] for table in profiles.values()) - 1}"}
pair = ("SGD", "L-BFGS-GSS")


def span(values: pd.Series, form: str) -> str:
    """Write the smallest and the largest value."""
    return " to ".join(dict.fromkeys(page.written(value, form) for value in (values.min(), values.max())))


# %% tags=["hide-input", "remove-output"]
ratios = against_sgd.ratios_to_sgd(evidence)
quasi = ratios[(ratios["algorithm"] == pair[1]) & (ratios["measure"] == "top_eigenvalue")]
accuracy = {name: found.against("equal", "test_accuracy") for name, found in evidence.items()}
known = [result for result in accuracy.values() if result is not None]
points = pd.Series([-100 * result.estimate for result in known], dtype=float)
ended = barriers[barriers["converged"]] if len(barriers) else barriers
glue("sharper", span(quasi["ratio"], ".0f"), display=False)
glue("worse", span(points, ".1f"), display=False)
glue("worse-p", page.p_value(max((result.p_value for result in known), default=np.nan)), display=False)
others = ratios[(ratios["algorithm"] == pair[1]) & (ratios["measure"] != "top_eigenvalue")]
glue("least-sharper", f"{others['ratio'].min():.1f}" if len(others) else "–", display=False)
glue("converged", f"{len(ended)} of {len(barriers):,}", display=False)
glue("paths", len(barriers), display=False)
glue("highest", f"{barriers['rise'].max():.5f}" if len(barriers) else "–", display=False)
glue("level-paths", int((barriers["rise"] <= 0).sum()) if len(barriers) else "–", display=False)
rising = barriers[barriers["rise"] > barriers["within"]] if len(barriers) else barriers
moved = (rising["height"] - rising["earlier_height"]).abs() if len(barriers) else pd.Series(dtype=float)
glue("rising-paths", len(rising) or "none", display=False)
glue("relative-paths", int((moved <= 0.02 * rising["rise"]).sum()) if len(rising) else "none", display=False)
fitted = barriers.query("stage == 'fitted' and algorithm == 'L-BFGS-GSS'") if len(barriers) else barriers
halves = fitted.groupby("network", sort=False)[["earlier_height", "height"]].mean() if len(fitted) else fitted
words = [f"{ratio:.2g}" for ratio in halves["earlier_height"] / halves["height"]] if len(fitted) else []
glue("falling-paths", page.listed(words), display=False)
glue("searched", f"{ended['steps'].median():.0f}" if len(ended) else "–", display=False)
glue("straight", span(barriers["straight_rise"], ".2g") if len(barriers) else "–", display=False)
page.figure(
    "sharper-and-worse",
    lambda width: solution_figures.sharper_and_worse(solutions, titles, pair, width),
    alt="Three panels, one per network: L-BFGS-GSS's solutions lie to the right of SGD's and below them.",
)

# %% [markdown]
# {cite:t}`yu2026` ([arXiv 2602.21276](https://arxiv.org/abs/2602.21276)) call SGD's basins smoother, and do not measure
# it. This page does, and adds controls. Each run gives three solutions: at its lowest validation loss (*early-stopped*),
# where its training loss first reaches a level common to all (*equal training loss*), and at its lowest training loss
# (*fully fitted*).
#
# ## At equal training loss, every measure calls quasi-Newton sharper
#
# Sharpness shrinks with the loss, so only solutions of equal training loss can be compared. Four measures agree that
# L-BFGS-GSS's are sharper; by how much, they do not: from {glue:text}`least-sharper` times. Where
# they were run, SAM (sharpness-aware minimization) gives flatter solutions than SGD by all of them, and NiM-BH (Basin
# Hopping with noise in the model) gives solutions like SGD's.

# %% tags=["hide-input", "remove-output"]
page.figure(
    "times-sgd",
    lambda width: solution_figures.times_sgd(ratios, titles, width),
    alt="Sharpness in multiples of SGD's: L-BFGS-GSS lies right of 1, SAM left of it, NiM-BH at it.",
)
page.show("sharpness", solutions, lambda t: topography_tables.sharpness_table(t, titles))
fitted_on = "; ".join(f"{t['title']} {t['fitted']:,}" for t in profiles.values())
trained_on = "; ".join(
    f"{t['title']} {t['model']['batch_size']} and {t['algorithms'][pair[1]]['model']['batch_size']:,}"
    for t in profiles.values()
)
glue("trained-on", trained_on, display=False)
glue("provenance-sharpness", page.provenance(solutions, "solutions.csv", **facts, images=fitted_on), display=False)
reached = solutions[(solutions["stage"] == "equal") & (solutions["algorithm"] == pair[1])].groupby("network").size()
short = [
    f"{count} of {profiles[name]['solutions']} on {titles[name]}"
    for name, count in reached.items()
    if count < profiles[name]["solutions"]
]
loss = {name: found.against("equal", "train_loss") for name, found in evidence.items()}
uneven = max((10**result.estimate for result in loss.values() if result is not None), default=np.nan)
glue("reached", "; ".join(short) or "every one", display=False)
last = solutions[(solutions["stage"] == "fitted") & (solutions["algorithm"] == pair[1])]
floored = last[last["train_loss"] <= last["network"].map({name: table["floor"] for name, table in profiles.items()})]
glue("floored", f"{len(floored)} of all {len(last)}", display=False)
glue(
    "floored-after",
    f"{floored['epoch'].min():.0f} to {floored['epoch'].max():.0f}" if len(floored) else "–",
    display=False,
)
glue("uneven", f"{uneven:.1f}", display=False)
printed = printed_losses()
page.show("solutions", solutions, lambda t: topography_tables.solutions_table(t, printed, titles))
differences = against_sgd.accuracies_less_sgds(evidence)
page.show("compared", differences, lambda t: topography_tables.accuracy_differences(t, titles))
glue(
    "provenance-solutions",
    page.provenance(solutions, "solutions.csv", **facts, unit="one solution per seed", spread="SD over solutions"),
    display=False,
)

# %% [markdown]
# ```{glue:figure} times-sgd
# :name: figure-times-sgd
#
# Sharpness in multiples of SGD's (blue line), geometric means over seeds.
# ```
#
# Two limits. Only runs that came down to the common loss are compared; of quasi-Newton's, {glue:text}`reached` did. And the
# losses are equal only nearly: quasi-Newton's are up to {glue:text}`uneven` times SGD's there, which may make its solutions look sharper.
#
# `````{dropdown} Sharpness of all solutions
# ````{table} Medians [middle half] at equal training loss: rise of the loss one SAM step away, the same relative to each weight, its mean under relative noise of 5 %, largest eigenvalue of the Hessian.
# :name: table-sharpness
# ```{glue:md} sharpness
# :format: myst
# ```
# ````
# ```{glue} provenance-sharpness
# ```
# `````
#
# `````{dropdown} Losses and accuracies, ours and those printed
# ````{table} Means (medians) over all solutions; test accuracy ± SD in percent. Yu and Morozov print means of the 48 runs of lowest training loss among 75, on more images.
# :name: table-solutions
# ```{glue:md} solutions
# :format: myst
# ```
# ````
#
# ````{table} Test accuracy less SGD's, in points, paired by seed.
# :name: table-accuracies
# ```{glue:md} compared
# :format: myst
# ```
# ````
# ```{glue} provenance-solutions
# ```
# `````
#
# ## Searched until they settle, paths hardly rise
#
# Two networks can be joined by a curve along which the loss stays low. The search bends a straight line by a few sines
# $b_n$ and lowers the sum of the losses along it:
#
# $$\omega(t) = (1 - t)\,\omega_i + t\,\omega_j + \sum_n b_n \sin(n \pi t)$$
#
# The *rise* of a path is its highest loss less that of its higher end. It is an upper bound: a lower path may exist.
#
# The search goes on until the path has settled. It has when the second half of the steps changed its height by at most 2 % of the
# rise; a change of at most 0.0001 is enough. By this rule {glue:text}`converged` searches settled, after {glue:text}`searched` gradients
# in the median. Straight lines between the same solutions rise by {glue:text}`straight`, and none of these paths by more than
# {glue:text}`highest`.
#
# So small a rise is known to 0.0001 and no better. {glue:text}`level-paths` of the {glue:text}`paths` paths do not rise at all. Of the {glue:text}`rising-paths` that rise by
# more than 0.0001, {glue:text}`relative-paths` met the 2 %, the others the 0.0001. The paths between fitted quasi-Newton solutions, too, met the 0.0001
# alone, and were still falling: half-way through the steps their heights were {glue:text}`falling-paths` times the final ones, network
# by network. So these heights are upper bounds.
#
# A search that is cut short leaves a barrier that is its own, and so does one on fewer images than the solutions were trained on
# (`benchmarks/longer_paths.py` shows both).


# %% tags=["hide-input", "remove-output"]
by_sum = barriers[barriers["objective"] == "sum"] if len(barriers) else barriers
rises = solution_statistics.barrier_differences(by_sum)
third = [solution_statistics.barrier_differences(by_sum, a=name).assign(algorithm=name) for name in ("SAM", "NiM-BH")]
differences = pd.concat([rises.assign(algorithm=pair[1]), *third], ignore_index=True)
heights = solution_statistics.barrier_differences(barriers, "height").assign(algorithm=pair[1])
gains = solution_statistics.aligned_gains(by_sum)
means = solution_statistics.barrier_means(barriers)
page.figure(
    "profiles",
    lambda width: solution_figures.profiles(barriers, titles, pair, width),
    alt="Loss along straight lines and along the paths found, a panel per network.",
)
page.figure(
    "differences-figure",
    lambda width: solution_figures.differences(rises, titles, width),
    alt="Differences of rises with two intervals each, on both sides of zero.",
)
page.show("differences", differences, lambda t: barrier_tables.barrier_differences_table(t, titles))
page.show("barriers", means, lambda t: barrier_tables.barriers_table(t, titles))
for name, low, high in (("bootstrap", "low", "high"), ("dyadic", "dyadic_low", "dyadic_high")):
    for word, found in (
        (("higher", rises[low] > rises["within"]), ("lower", rises[high] < -rises["within"])) if len(rises) else ()
    ):
        glue(f"{name}-{word}", int(found.sum()), display=False)
glue("aligned-lower", int((gains["high"] < -gains["within"]).sum()) if len(gains) else 0, display=False)
glue("aligned-sets", len(gains), display=False)
glue("sets", len(rises), display=False)
pairs_drawn = "; ".join(f"{t['title']} {t['pairs']}" for t in profiles.values())
glue("pairs", pairs_drawn, display=False)
spread_of = "95 %, not adjusted for their number"
changed = pd.concat([differences, heights], ignore_index=True)
listed = barriers.drop(columns=["profile", "straight_profile"], errors="ignore")
images_used = "; ".join(f"{t['title']} {t['images']:,}" for t in profiles.values())
both = {
    "differences": page.provenance(changed, "differences.csv", **facts, pairs=pairs_drawn, intervals=spread_of),
    "barriers": page.provenance(
        listed, "barriers.csv", **facts, pairs=pairs_drawn, intervals=spread_of, images=images_used
    ),
}
for name, line in both.items():
    glue(f"provenance-{name}", line, display=False)
chosen = {
    "himmelblau": [*landscape_paths.NEIGHBOURS, (3, 1)],
    "six-hump-camel": landscape_paths.every_pair(get("six-hump-camel")),
}
tables, drawn = [], []
for name, pairs in chosen.items():
    found = landscape_paths.paths(get(name), pairs, steps)
    tables.append(landscape_paths.heights(get(name), pairs, found))
    drawn.append((get(name), pairs, found["sum of losses"]))
passes = pd.concat(tables, ignore_index=True)
page.figure(
    "passes",
    lambda width: solution_figures.path_map(drawn, np.sqrt, width),
    alt="Contours of two test functions; the paths found bend around hills that straight lines cross.",
)
page.table("rises", barrier_tables.passes_table(passes), digits=2)
glue("above-pass", f"{100 * (passes['sum of losses'] / passes['pass'] - 1).max():.1f}", display=False)
glue("above-straight", f"{100 * (passes['straight'] / passes['pass'] - 1).max():.0f}", display=False)
glue("provenance-passes", page.provenance(passes, "passes.csv", steps=steps, terms=10), display=False)

# %% [markdown]
# ```{glue:figure} profiles
# :name: figure-profiles
#
# Training loss between fully fitted solutions, medians over pairs ({glue:text}`pairs`): along straight lines (dotted) and along the paths found (solid). Each panel has its own scale.
# ```
#
# `````{dropdown} All differences of rises, with both intervals
# ```{glue:figure} differences-figure
# :name: figure-differences
#
# Rise of L-BFGS-GSS's paths less that of SGD's: dyadic-robust 95 % intervals (thick), bootstrap (thin). Filled: the thick interval leaves out 0.
# ```
#
# Pairs share solutions, so intervals must allow for it. The bootstrap over solutions errs on the wide side;
# dyadic-robust errors do not. By the latter, quasi-Newton's paths rise further in {glue:text}`dyadic-higher` of
# {glue:text}`sets` sets and less far in {glue:text}`dyadic-lower`; by the bootstrap in {glue:text}`bootstrap-higher` and
# {glue:text}`bootstrap-lower`. Differences that a settled search does not resolve do not count. *Aligned* means that the second network's hidden units are permuted to lie close to the
# first's, which changes no output; paths then rise less in {glue:text}`aligned-lower` of {glue:text}`aligned-sets` sets.
#
# ````{table} Mean rise of paths by the sum of losses, and its difference to SGD's on the same pairs of seeds.
# :name: table-differences
# ```{glue:md} differences
# :format: myst
# ```
# ````
# ```{glue} provenance-differences
# ```
# `````
#
# `````{dropdown} All sets of pairs: heights, rises, straight lines
# Paths are fitted and measured on all images that the solutions were trained on. Searched five times as long
# (`benchmarks/longer_paths.py`, whose README has its output), three paths of each algorithm on Digits change their height by less than
# 0.000005.
#
# ````{table} Mean height (highest loss on the path) and rise, with dyadic-robust 95 % intervals. Low: pairs whose path rises at most half as far as their straight line.
# :name: table-barriers
# ```{glue:md} barriers
# :format: myst
# ```
# ````
# ```{glue} provenance-barriers
# ```
# `````
#
# `````{dropdown} The same search where the lowest pass is known
# On test functions of two variables the lowest pass between two minima is a saddle that can be computed. The search ends
# at most {glue:text}`above-pass` % above it; straight lines are up to {glue:text}`above-straight` % too high.
#
# ```{glue:figure} passes
# :name: figure-passes
#
# Paths found by the sum of losses (brown) and straight lines (dotted) between minima.
# ```
#
# ````{table} Rise above the higher of two minima: of the lowest pass, of the paths found, of the straight line.
# :name: table-passes
# ```{glue:md} rises
# :format: myst
# ```
# ````
# ```{glue} provenance-passes
# ```
# `````
#
# ## The two sets differ in norm, and in direction too
#
# Yu and Morozov separate the two sets by a principal component of a radial (RBF) kernel and not by those of other
# kernels, which suggests that only the norm of the weights differs.

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
fitted = {name: found for (name, stage), found in products.items() if stage == "fitted"}
page.figure(
    "components",
    lambda width: solution_figures.components(fitted, titles, pair, width),
    alt="Solutions in the plane of two kernel principal components, by network and kernel.",
)
page.show("spreads", spreads, lambda t: topography_tables.spreads(t, printed_deviations(), titles))
page.show("separations", apart, lambda t: topography_tables.separations(t, told, titles))
norms = apart.loc[(apart["by"] == "norm"), "a12"] if len(apart) else pd.Series(dtype=float)
glue("by-norm", f"{(norms == 1).sum()} of {len(norms)}", display=False)
glue("by-direction", f"{(told['p'] <= 0.05).sum()} of {len(told)}", display=False)
glue("assigned", span(100 * told["right"] / told["of"], ".0f"), display=False)
glue("angle", span(spreads["direction"] if len(spreads) else pd.Series(dtype=float), ".2f"), display=False)
intervals = "95 %, dyadic-robust; the file has the bootstrap's over solutions, too"
kernels = "scikit-learn's, 2σ² = number of parameters"
lines = {
    "spreads": page.provenance(spreads, "spreads.csv", **facts, stages="all three", intervals=intervals),
    "separations": page.provenance(apart, "separation.csv", **facts, stages="all three", kernels=kernels),
}
for name, line in lines.items():
    glue(f"provenance-{name}", line, display=False)

# %% [markdown]
# Over all networks and stages, the norm alone orders the two sets without an error in {glue:text}`by-norm` cases. But
# direction tells them apart as well, in {glue:text}`by-direction` cases: scaled to norm 1, {glue:text}`assigned` % of
# solutions are nearer to the mean of their own algorithm. All directions are nearly orthogonal: at norm 1, distances are
# {glue:text}`angle`, and a right angle is √2 ≈ 1.41.
#
# `````{dropdown} Norms, distances, kernel principal components
# ````{table} Fully fitted solutions: root mean square of a weight, ours and printed; mean norm; mean distances between two of an algorithm, to SGD's of the same seed, and at norm 1; differences to SGD's with dyadic-robust 95 % intervals.
# :name: table-spreads
# ```{glue:md} spreads
# :format: myst
# ```
# ````
# ```{glue} provenance-spreads
# ```
#
# ````{table} What tells SGD's fully fitted solutions from quasi-Newton's. Kernels and norm: probability that one of each is ordered correctly (0.5: not at all). Direction: how many are assigned correctly.
# :name: table-separations
# ```{glue:md} separations
# :format: myst
# ```
# ````
# ```{glue} provenance-separations
# ```
#
# ```{glue:figure} components
# :name: figure-components
#
# Fully fitted solutions in the plane of their first two kernel principal components.
# ```
# `````

# %% tags=["hide-input", "remove-output"]
of_page = claims.read_claims().query("page == 'between-solutions'")
by_title = {titles[name]: found for name, found in evidence.items()}
verdicts = claims.judge_claims(of_page, {}, Computed(), set(), by_title)
page.show("verdicts", verdicts, lambda t: topography_tables.verdict_grid(t, titles.values()))
rules_in = "lib/popview/paper/rules/by_solutions.py"
glue(
    "provenance-verdicts", page.provenance(verdicts, "verdicts.csv", profile=profile, rules_in=rules_in), display=False
)
coverage = study_results.solutions_coverage(profile)
coverage = coverage[coverage["network"].isin(names)]
page.table("covered", run_tables.sets_table(coverage, titles), digits=0)
page.table("settings", topography_tables.settings_table(profiles, solutions))
page.table("printed", topography_tables.printed_losses_table(printed))
slips = audit.slips_of_texts().query("document == 'yu2026'")
page.table("slips-yu2026", audit_tables.slips_table(slips))
source = {"source": "arXiv 2602.21276", "unit": "means of 48 solutions"}
lines = {
    "yu": page.provenance(printed, "yu-losses.csv", **source),
    "slips": page.provenance(slips, "slips-of-code.csv", source="released code, read on 22 November 2026"),
}
for name, line in lines.items():
    glue(f"provenance-{name}", line, display=False)

# %% [markdown]
# `````{dropdown} What Yu and Morozov claim, judged network by network
# On barriers the rule counts heights and rises, by their intervals alone. Where no path rises, its height is that of its higher end:
# a verdict may then come from the losses of the solutions, and not from what lies between them.
#
# ````{table} Each claim on each network, by a rule that the [ledger](ledger.ipynb) states.
# :name: table-verdicts-eleven
# ```{glue:md} verdicts
# :format: myst
# ```
# ````
# ```{glue} provenance-verdicts
# ```
# `````
#
# `````{dropdown} How it was done: networks, settings, coverage
# The networks are perceptrons with two hidden layers of 50 (on scikit-learn's Digits, and without biases on MNIST: FCP)
# and LeNet on MNIST. All solutions of a network are trained on the same images, so they lie on one landscape. A seed
# draws initial weights, order and validation split, and is the same for every algorithm. Weights do not ship: paths
# join solutions that were trained anew by the same settings, those of Digits on another processor.
#
# A quasi-Newton run ends at a training loss of $10^{-7}$; on MNIST also where its loss has not fallen by 1 % in 100 epochs, or after
# 600; on Digits after 150. {glue:text}`floored` came down to $10^{-7}$, after {glue:text}`floored-after` epochs. A path is made of ten sines on
# Digits, and for the sake of time of three on MNIST. The number of pairs
# (50 before, on MNIST), of sines and of images was changed with the earlier, unsettled results there.
#
# ````{table} Settings by network. Passes over the training set count gradients and losses alike.
# :name: table-settings-eleven
# ```{glue:md} settings
# :format: myst
# ```
# ````
#
# ````{table} Sets of results that are there, of those wanted.
# :name: table-covered-eleven
# ```{glue:md} covered
# :format: myst
# ```
# ````
# `popview topography --profile laptop` computes what is missing, and continues where it was interrupted.
# `````
#
# `````{dropdown} What Yu and Morozov print, and where their code differs
# ````{table} The printed losses. The autoencoder and the LSTM (long short-term memory) are not trained here.
# :name: table-yu-losses
# ```{glue:md} printed
# :format: myst
# ```
# ````
# ```{glue} provenance-yu
# ```
#
# Their perceptron has softplus and their LeNet average pooling; here it is ReLU, as their text says, and maximum
# pooling. They stop early by the *test* loss. Their [code](https://github.com/jy856-jpg/path-finding) is public, without
# a licence, and none of it is used here.
#
# ````{table} Where the released code differs from its own comments or from the paper.
# :name: table-slips-topography
# ```{glue:md} slips-yu2026
# :format: myst
# ```
# ````
# ```{glue} provenance-slips
# ```
# `````
