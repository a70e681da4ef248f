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
# # Noise prefers wide minima at some sizes only
#
# Of two equally deep wells, one is narrower. Noise in the gradient (NiG) brings more restarts into the wide one than gradient descent
# does: in two dimensions up to {glue:text}`most` points more, in ten up to {glue:text}`most-10`. The *displacement* is the farthest that one draw of noise
# can move the model. In two dimensions NiG prefers the wide well only if the other is at least {glue:text}`nig-ratio` times narrower, and only at a
# displacement of {glue:text}`times`. With smaller noise we detect no preference. Larger noise shows none either, or keeps too many restarts
# from any well. With raw gradients sharpness-aware minimization (SAM) prefers the
# wide well only if the other is {glue:text}`sam-ratio` times narrower and its radius ρ or learning rate η is large. At the largest of both it prefers the narrow one.
#
# ```{glue:figure} phases
# :name: figure-phases
#
# Two equally deep wells in two dimensions, one of them narrower (in the lowest row, as wide), by the normalised gradient, which always has length 1, and by the raw one. Colour: points more in the wide well than by gradient descent; the number stands left of the cell with the largest difference. Differences are
# tested with Holm's correction over all settings that are judged, and judged where {glue:text}`reached` % of the restarts reach a well. SAM, which draws nothing, by how far it looks.
# ```

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the sweeps and runs that are shown
landscape: str = "himmelblau"  # where first effects are drawn: himmelblau, three-hump-camel or six-hump-camel
learning_rate: float = 0.01  # of what is drawn of the test functions: 0.003, 0.01 or 0.03 [above 0]
normalized: bool = True  # follow the gradient's direction there (the paper's eq. 1), or the raw gradient
tau: int = 50  # updates in a hop there: 10, 50 or 200 [1 or more]

# %% tags=["remove-cell"]
import pandas as pd
from myst_nb import glue

from popview.book import page, style
from popview.book.cells import with_interval
from popview.book.figures import noise as noise_figures
from popview.book.names import landscape_title
from popview.book.tables import noise as noise_tables
from popview.landscapes import get
from popview.landscapes.transitions import landscape_of, sweep_settings
from popview.populations import landscape_sweeps, noise_outcomes
from popview.runs import status, store
from popview.runs.grids import grid_specs
from popview.statistics import holm

style.use()
wells = {size: landscape_sweeps.load_sweep(profile, f"two-wells-{size}d") for size in (2, 10, 100)}
preferred = {size: landscape_sweeps.well_preference(rows) for size, rows in wells.items()}
moved = landscape_sweeps.moves(landscape_sweeps.load_sweep(profile, "test-functions"))
shares = landscape_sweeps.ends(moved)
kinds = {True: "normalised", False: "raw"}


def source(name: str, *what: object, **said: object) -> None:
    glue(f"source-{name}", page.provenance(*what, **said), display=False)


# %% [markdown]
# ## The same ρ moves a model farther in one optimizer than in another
#
# NiG adds a vector of length up to ρ to the gradient, and the step multiplies it by the learning rate η. So its displacement is ηρ at
# most; that of noise in the model (NiM) is ρ. At η = 0.01 the same ρ moves the model a hundred times farther in NiM than in NiG. On test
# functions we compare at equal displacement. That is not yet equal noise: NiG draws at every update, Basin Hopping once a hop, and NiM
# only where the gradient is small. SAM draws nothing: its ρ is how far it looks uphill.
#
# ```{glue:figure} onset
# :name: figure-onset
#
# {glue:text}`where`: restarts that end elsewhere than gradient descent's from the same start, with 95 % intervals. Both panels
# show the same runs.
# ```
#
# On the page of [test functions](test-functions.ipynb) ρ is 0.1, so that NiG moves a point by 0.001. That is why most rows of the paper's Table 1, as we compute it,
# are identical. Gradient descent with noise in the model (NiM-GD) waits until the gradient is nearly zero. With the normalised
# gradient of the paper's eq. 1 it hardly ever is: in 1,000 updates the noise fires {glue:text}`fires` times on average.
#
# `````{dropdown} More hops do not make small noise large: where restarts end by size
# In 1,000 updates Basin Hopping (BH) with τ = 200, 50 and 10 hops 4, 19 and 99 times. At a displacement of
# 0.3 NiM-BH then moves {glue:text}`hops-0.3` % of its restarts on the six-hump camel; at 0.01, {glue:text}`hops-0.01` %. At equal displacement NiG-BH
# does the same: {glue:text}`hops-nig` % at 0.3.
#
# ````{table} The smallest displacement at which restarts move (the interval of their share lies above 1 %), with its ρ in brackets.
# :name: table-first-effects
# ```{glue:md} first-effects
# :format: myst
# ```
# ````
#
# ```{glue:figure} effects
# :name: figure-ends-by-size
#
# {glue:text}`where`: minima from the flattest (dark) to the sharpest, none (grey), diverged (red).
# ```
# ```{glue} source-moved
# ```
# ```{glue} source-first
# ```
# `````
#
# `````{dropdown} The same as an interactive map
# Choose an algorithm and a landscape; point at a cell for where its restarts end. `popview run --experiment landscapes` computes
# what is missing of all sweeps of this page over functions.
# ```{glue:figure} map
# :name: figure-noise-map
#
# Share of restarts that end elsewhere than gradient descent's, by displacement and by gradient, η and τ.
# ```
# `````
#
# ## Larger gradient noise favours wider wells
#
# With raw gradients NiG is a known process, Langevin dynamics. In $d$ dimensions its temperature is
# $T = \eta\rho^2 / 2(d + 2)$. In the long run a well holds a share in proportion to $e^{-f/T} / \sqrt{\det H}$, with $H$ its
# Hessian: the wider and the deeper the well, the more, and each further dimension in which it is wide multiplies that. In ten
# dimensions up to {glue:text}`ten` % of NiG's restarts end in the wide well, of gradient descent's {glue:text}`ten-plain` %. Our code is tested against this formula.
#
# In ten dimensions NiG prefers the wide well at displacements of {glue:text}`times-10`, in a hundred at {glue:text}`times-100`.
#
# Depth counts as well. Let the other well be 0.3 deeper. If both are as wide, the same noise prefers the deep one. If the
# deep one is {glue:text}`deep-wide` times narrower, it prefers the wide one.
#
# ## Basin Hopping prefers the wide well, monotonic hops sometimes the narrow one
#
# In two dimensions Basin Hopping (BH) prefers the wide well only from a displacement of {glue:text}`hops-from` on. That is the distance from a well to
# the saddle. It then does so by up to {glue:text}`hops-most` points, in a hundred dimensions by up to {glue:text}`hops-most-100`. Gradient descent with noise in the
# model (NiM-GD) prefers it with raw gradients, by up to {glue:text}`nim-most` points, at a displacement of {glue:text}`nim-from`.
#
# Monotonic Basin Hopping (MBH) keeps a hop only where the loss falls. Between equally deep wells that is a tie. It is decided by how near to
# the bottom each descent comes, and in the narrow well that is nearer. So with raw gradients MBH prefers the narrow well: in two dimensions
# at ratios of {glue:text}`narrow-ratio` or more and displacements of {glue:text}`narrow-from` or more, by up to {glue:text}`narrow-most` points. Depth overrules this. Let a hop have
# 200 updates: of equally deep wells {glue:text}`tie-wide` % of the restarts end in the wide one, and {glue:text}`higher-wide` % if the narrow one is 0.001 higher.
# With normalised gradients MBH prefers the wide one in {glue:text}`monotonic` of {glue:text}`monotonic-of` settings that could be judged in two dimensions, and in
# {glue:text}`monotonic-10` of {glue:text}`monotonic-of-10` in ten.
#
# ## With raw gradients SAM prefers the wide well, at its largest settings the narrow one
#
# Across a well of curvature $k$ SAM bounces from $y$ to $-y$ with $|y| = \eta k \rho / (2 - \eta k)$. Where the bounce is long enough, it leaves. So with
# raw gradients, and a well {glue:text}`sam-ratio` times narrower, SAM prefers the wide well if ρ or η is large: by up to {glue:text}`sam-most` points.
# With both at their largest, {glue:text}`sam-longest`, it prefers the narrow well by {glue:text}`sam-narrow` points. In 10 and 100 dimensions
# it has a preference only at a ratio of {glue:text}`sam-ratio-more`, the largest that was tried. There, too, it is for the wide well but at the largest settings. With
# normalised gradients the bounce is shorter than a step, and {glue:text}`sam-normalised` of {glue:text}`sam-normalised-of` settings show a preference.
# Above a ρ of {glue:text}`sam-judged` many other settings cannot be judged: too many runs end on the ridge between the wells.
#
# **The paper's claim** that NiG-GD and SAM are skewed towards flat minima, and the others are not: both can be, but so can Basin Hopping and NiM-GD, and
# monotonic hops the other way. The paper prints neither its learning rate nor its ρ, so that we cannot tell which sizes are its own.
#
# `````{dropdown} Basin Hopping; a deeper narrow well; 10 and 100 dimensions; SAM by learning rate, and on the ridge
# SAM may come to rest on the ridge between the wells: where a look of length ρ crosses it, the slope there points back. At ρ = 0.3
# {glue:text}`ridge-0.3` % of its runs end so, at ρ = 1 {glue:text}`ridge-1` %.
#
# ```{glue:figure} phases-all
# :name: figure-phases-all
#
# Basin Hopping on equally deep wells in two dimensions, η = 0.01. Colours as in the first figure; red: more restarts in the narrow well.
# ```
# ```{glue:figure} phases-deep
# :name: figure-phases-deep
#
# The narrow well is 0.3 deeper. Red: more restarts in the deep well.
# ```
# ```{glue:figure} phases-sam
# :name: figure-phases-sam
#
# SAM by learning rate η, equally deep wells.
# ```
# ```{glue:figure} phases-10
# :name: figure-phases-10
#
# Equally deep wells in 10 dimensions; the narrow one is narrow in nine.
# ```
# ```{glue:figure} phases-sam-more
# :name: figure-phases-sam-more
#
# SAM in 10 and 100 dimensions by learning rate η, equally deep wells, raw gradients.
# ```
# ```{glue:figure} phases-100
# :name: figure-phases-100
#
# Equally deep wells in 100 dimensions.
# ```
# ````{table} Every setting in which an algorithm prefers a well: more restarts in the wide one than under gradient descent, with 95 % intervals. Holm over all settings of a dimension.
# :name: table-preferring
# ```{glue:md} preferring
# :format: myst
# ```
# ````
# ```{glue} source-wells
# ```
# `````
#
# ## Acceptance can buy flatness, at a price that is known
#
# The paper suggests that Basin Hopping could control flatness. MBH keeps a hop where the loss is lower. We let it keep one
# where loss + $c$ · trace of the Hessian is lower. Of two wells the narrow one is 0.3 deeper and 8 sharper: at
# $c = 0.3 / 8$ they are worth the same, and there the restarts change sides, from {glue:text}`bought-below` % in the wide well to
# {glue:text}`bought-above` %. Too large a $c$ leads out of all minima, to where the curvature is negative.
#
# `````{dropdown} Restarts in the flattest minimum, by the weight of the trace
# ```{glue:figure} acceptance
# :name: figure-acceptance
#
# NiM-MBH: restarts that end in the flattest minimum, by the weight $c$ of the trace in acceptance. Dashed: gradient descent; grey line: the
# weight at which both wells are worth the same.
# ```
# ```{glue} source-acceptance
# ```
# `````
#
# ## On Digits no size of noise helps detectably, and large ones harm
#
# Our sizes go from no effect to divergence. In {glue:text}`network-better` of {glue:text}`network-cells-of` cells the test accuracy is better than that of
# stochastic gradient descent (SGD) with the same learning rate (Holm), in {glue:text}`network-worse` it is worse. With {glue:text}`network-restarts`
# restarts {glue:text}`network-open` are undecided, and in {glue:text}`network-wide` of these a gain above half a point is not excluded. In
# {glue:text}`network-lost` fewer than two restarts survive. {glue:text}`network-same` cells of monotonic hops are left out: no hop was undone, so that they repeat
# NiM-BH's runs. Among the cells are {glue:text}`network-sam` of SAM, with twice the
# gradients: its best stands {glue:text}`network-sam-best` points from SGD.
#
# Where one draw moves the weights equally far at once, noise in the gradient harms more. It scores less than noise in the model in
# {glue:text}`alike-worse` of {glue:text}`alike-of` such cells (Holm), by up to {glue:text}`alike-most` points, and in {glue:text}`alike-better` of them more; in
# {glue:text}`alike-lost` of the {glue:text}`alike-of` it diverges. Momentum can make one draw in the gradient travel ten times as far. So we also compared it with
# noise in the model of ten times the displacement: it still scores less in {glue:text}`momentum-worse` of {glue:text}`momentum-of` cells. Noise in the gradient is drawn at each of
# {glue:text}`alike-draws` steps. Noise in the model waits for a small gradient, and is drawn {glue:text}`alike-rare` times.
#
# More hops do not help Basin Hopping detectably, and harm where they are long. With 5, 25 and 100 hops a run NiM-BH stands
# {glue:text}`hops-network` points from SGD at a displacement of 0.5 and η = 0.05, and {glue:text}`hops-far` at one of 5. At the latter, monotonic hops
# (NiM-MBH), which are undone where the loss does not fall, stand {glue:text}`hops-kept`.
#
# ```{glue:figure} network
# :name: figure-network
#
# Digits, {glue:text}`network-restarts` restarts a cell: test accuracy, training loss, and distance between first and last weights, by displacement (of SAM, how far it looks). Dashed: SGD. Basin Hopping makes 25 hops.
# ```
#
# `````{dropdown} All cells on Digits
# ````{table} Means over restarts that did not diverge; difference to SGD of the same learning rate, paired by seed, with 95 % intervals.
# :name: table-network
# ```{glue:md} network-cells
# :format: myst
# ```
# ````
# ````{table} Noise in the gradient against noise in the model where one draw moves the weights equally far: difference in test accuracy, paired by seed, with 95 % intervals. Draws: mean number in a run.
# :name: table-alike
# ```{glue:md} alike
# :format: myst
# ```
# ````
# ```{glue} source-network
# ```
# `````

# %% tags=["hide-input", "remove-output"]
HOPPING, FEW = ("NiG-BH", "NiM-BH", "NiG-MBH", "NiM-MBH"), ("NiG-GD", "NiM-BH")
level = {size: rows[rows["depth"] == 0] for size, rows in preferred.items()}
flat = level[2]


def panel(rows, names=None, rates=False):
    """Name the panels: by algorithm and gradient, or by SAM's learning rate."""
    rows = rows if names is None else rows[rows["algorithm"].isin(names)]
    last = "η = " + rows["lr"].map("{:g}".format) if rates else rows["normalized"].map(kinds)
    return rows.assign(panel=rows["algorithm"] + ", " + last)


def usual(rows):
    """Leave out SAM's other learning rates."""
    return rows[rows["lr"] == 0.01]


def in_dimensions(size):
    """Name SAM's panels of raw gradients by dimension and learning rate."""
    rows = level[size][(level[size]["algorithm"] == "SAM") & ~level[size]["normalized"]]
    return rows.assign(panel=f"SAM, {size}-d, η = " + rows["lr"].map("{:g}".format))


drawn = {
    "": panel(usual(flat), ("NiG-GD", "SAM")),
    "-all": panel(usual(flat), HOPPING),
    "-deep": panel(usual(preferred[2][preferred[2]["depth"] < 0]), FEW),
    "-sam": panel(flat[~flat["normalized"]], ("SAM",), rates=True),
    "-10": panel(level[10], FEW),
    "-100": panel(level[100], FEW),
    "-sam-more": pd.concat([in_dimensions(size) for size in (10, 100)]),
}
for name, rows in drawn.items():
    page.figure(
        f"phases{name}",
        lambda width, rows=rows: noise_figures.phases(width, rows),
        alt="Phase diagrams of displacement and width ratio, one for each algorithm: blue where more restarts end in the wide well.",
    )
sweeps_say = {"restarts": "500 (2 dimensions), 150 (10), 100 (100)", "iterations": 1000, "ε": 0.001, "τ": 50, "seed": 0}
everything = pd.concat([rows.drop(columns="transitions") for rows in preferred.values()], ignore_index=True)
page.table(
    "preferring", noise_tables.preferences_by_size(everything[everything["preference"].isin(("wide", "narrow"))])
)
source(
    "wells", everything, "two-wells.csv", profile=profile, **sweeps_say, spread="95 % intervals of paired differences"
)

skewed = flat[(flat["preference"] == "wide") & (flat["algorithm"] == "NiG-GD")]
glue("most", f"{skewed['change'].max():.0f}", display=False)
for size in (10, 100):
    found = level[size].query("preference == 'wide' and algorithm == 'NiG-GD'")
    glue(f"most-{size}", f"{found['change'].max():.0f}", display=False)
    spans = found.groupby("normalized")["displacement"].agg(["min", "max"])
    words = [f"{low:g} to {high:g} with {kinds[one]} gradients" for one, low, high in spans.itertuples()]
    glue(f"times-{size}", page.listed(words), display=False)
glue("nig-ratio", f"{skewed['ratio'].min():g}", display=False)
glue(
    "times",
    " to ".join(f"{end:g}" for end in (skewed["displacement"].min(), skewed["displacement"].max())),
    display=False,
)
glue("reached", f"{100 * landscape_sweeps.REACHED:.0f}", display=False)


def wide(rows, names):
    """Return the settings of some algorithms that are judged, and those of them that prefer the wide well."""
    judged = rows[rows["algorithm"].isin(names) & (rows["preference"] != "not judged")]
    return judged, judged[judged["preference"] == "wide"]


_, looking = wide(flat, ("SAM",))
glue("sam-most", f"{looking['change'].max():.0f}", display=False)
glue("sam-ratio", f"{looking['ratio'].min():g}", display=False)
more = [wide(level[size], ("SAM",))[1]["ratio"].min() for size in (10, 100)]
glue("sam-ratio-more", page.listed(dict.fromkeys(f"{ratio:g}" for ratio in more)), display=False)
narrow = flat[(flat["preference"] == "narrow") & (flat["algorithm"] == "SAM")]
said = page.listed(f"η = {row.lr:g} and ρ = {row.displacement:g}" for row in narrow.itertuples())
glue("sam-longest", said, display=False)
glue("sam-narrow", page.listed(f"{-change:.0f}" for change in narrow["change"]), display=False)
judged, found = wide(flat[flat["normalized"]], ("SAM",))
ridge = flat[flat["normalized"] & (flat["algorithm"] == "SAM")].groupby("displacement")["reached"].mean()
for size in (0.3, 1.0):
    glue(f"ridge-{size:g}", f"{100 * (1 - ridge[size]):.0f}", display=False)
glue("sam-normalised", len(found) or "none", display=False)
glue("sam-normalised-of", len(judged), display=False)
_, hopping = wide(flat, ("NiG-BH", "NiM-BH"))
glue("hops-most", f"{hopping['change'].max():.0f}", display=False)
glue("hops-from", f"{hopping['displacement'].min():g}", display=False)
_, hopping = wide(level[100], ("NiG-BH", "NiM-BH"))
glue("hops-most-100", f"{hopping['change'].max():.0f}", display=False)
_, shaken = wide(flat[~flat["normalized"]], ("NiM-GD",))
glue("nim-most", f"{shaken['change'].max():.0f}", display=False)
glue("nim-from", f"{shaken['displacement'].min():g}", display=False)
for rows, where in ((flat, ""), (level[10], "-10")):
    judged, found = wide(rows[rows["normalized"]], ("NiG-MBH", "NiM-MBH"))
    glue(f"monotonic{where}", len(found) or "none", display=False)
    glue(f"monotonic-of{where}", len(judged), display=False)
narrow = flat[(flat["preference"] == "narrow") & flat["algorithm"].isin(["NiG-MBH", "NiM-MBH"])]
glue("narrow-from", f"{narrow['displacement'].min():g}", display=False)
glue(
    "narrow-ratio",
    f"{narrow.groupby('ratio')['algorithm'].nunique().loc[lambda n: n == 2].index.min():g}",
    display=False,
)
control = {"restarts": 200, "iterations": 1000, "seed": 0, "lr": 0.01, "rho": 3.0, "normalized": False, "tau": 200}
for name, depth in (("tie", 0.0), ("higher", 0.001)):
    (found,) = sweep_settings("NiM-MBH", [control | {"landscape": landscape_of("two-well", 2, 20.0, depth)}])
    glue(f"{name}-wide", f"{100 * found['transitions'][:, 0].sum() / control['restarts']:.0f}", display=False)
glue("narrow-most", f"{-narrow['change'].min():.0f}", display=False)
judged, _ = wide(flat[flat["normalized"] | (flat["ratio"] < looking["ratio"].min())], ("SAM",))
glue("sam-judged", f"{judged['displacement'].max():g}", display=False)
sure = preferred[2][(preferred[2]["depth"] < 0) & (preferred[2]["algorithm"] == "NiG-GD")]
glue(
    "deep-wide",
    " or ".join(f"{x:g}" for x in sorted(set(sure.loc[sure["preference"] == "wide", "ratio"]))),
    display=False,
)
_, warm = wide(level[10], ("NiG-GD",))
best = warm.loc[warm["change"].idxmax()]
glue("ten", f"{best['plain'] + best['change']:.0f}", display=False)
glue("ten-plain", f"{best['plain']:.0f}", display=False)

here = moved[(moved["normalized"] == normalized) & (moved["lr"] == learning_rate) & moved["tau"].isin((0, tau))]
where = f"{landscape_title(landscape)}, η = {learning_rate:g}, {kinds[normalized]} gradient, τ = {tau}"
glue("where", where, display=False)
there = here[here["landscape"] == landscape]
page.figure(
    "onset",
    lambda width: noise_figures.onset(width, there[~there["algorithm"].isin(("SAM", "NiG-MBH", "NiM-MBH"))]),
    alt="Against ρ, noise in the gradient begins to move restarts a hundred times later than noise in the model; against the "
    "displacement the two Basin Hoppings lie together; noise in the gradient, drawn at each update, lies above them.",
)
hops = moved[(moved["landscape"] == "six-hump-camel") & moved["normalized"] & (moved["lr"] == 0.01)]
hops = hops.sort_values("tau", ascending=False).set_index(["algorithm", "displacement"])["moved"]
for name, key in {"0.3": ("NiM-BH", 0.3), "0.01": ("NiM-BH", 0.01), "nig": ("NiG-BH", 0.3)}.items():
    glue(f"hops-{name}", page.listed(f"{value:.0f}" for value in hops.loc[[key]]), display=False)
silent = there[there["algorithm"] == "NiM-GD"]
glue("fires", f"{silent['noise_triggers'].mean():.2g}", display=False)
first = landscape_sweeps.first_effect(here)
page.table("first-effects", noise_tables.first_effects(first))
source(
    "first",
    landscape_sweeps.first_effect(moved),
    "first-effects.csv",
    profile=profile,
    restarts="100 a cell",
    iterations=1000,
    seed=0,
    criterion="moved: 95 % Wilson interval above 1 %; shares changed: McNemar's exact tests, Holm over sizes",
)
source(
    "moved",
    pd.concat([moved.drop(columns="transitions"), shares], axis=1),
    "noise-on-test-functions.csv",
    profile=profile,
    restarts="100 a cell",
    iterations=1000,
    seed=0,
    spread="95 % Wilson intervals",
)
page.figure(
    "effects",
    lambda width: noise_figures.effects(width, there.join(shares), [m.kind for m in get(landscape).minima]),
    alt="Where restarts end, by displacement, one panel for each algorithm.",
)
page.interactive("map", noise_figures.sweep_map(moved, shares, ("NiM-BH", landscape)))

# %% tags=["hide-input", "remove-output"]
bought = landscape_sweeps.in_flattest(landscape_sweeps.load_sweep(profile, "sharpness-in-acceptance"))
himmelblau = bought[(bought["landscape"] == "himmelblau") & (bought["lr"] == 0.01)]
pair = bought[(bought["landscape"] == "two-well") & (bought["lr"] == 0.01)]
panels = {
    "Himmelblau: equal depth": himmelblau,
    "Two wells of equal depth": pair[pair["depth"] == 0],
    "Narrow well 0.3 deeper": pair[pair["depth"] < 0],
}
page.figure(
    "acceptance",
    lambda width: noise_figures.acceptance(width, panels),
    alt="Three panels: share of restarts in the flattest minimum against the weight of the trace in acceptance.",
)
source(
    "acceptance",
    bought.drop(columns="transitions"),
    "sharpness-in-acceptance.csv",
    profile=profile,
    restarts=150,
    iterations=1000,
)

deeper = panels["Narrow well 0.3 deeper"]
price = deeper["worth"].iloc[0]
for side, weights in (("below", deeper["weight"] < price), ("above", deeper["weight"] > price)):
    nearest = deeper[weights & (deeper["displacement"] == deeper["displacement"].max())]
    row = nearest.iloc[(nearest["weight"] - price).abs().argmin()]
    glue(f"bought-{side}", f"{row['flattest']:.0f}", display=False)

restarts = noise_outcomes.noise_outcomes(profile, "digits")
all_cells = noise_outcomes.against_plain(restarts)
distinct = noise_outcomes.without_repeats(restarts)
cells = noise_outcomes.against_plain(distinct)
glue("network-same", len(all_cells) - len(cells), display=False)
page.figure(
    "network",
    lambda width: noise_figures.on_task(width, cells[cells["tau"].isna() | (cells["tau"] == 20)]),
    alt="Test accuracy falls, training loss and the distance travelled grow with the displacement, at every learning rate.",
)
noisy = cells[cells["p_value"].notna()]
adjusted = holm(noisy["p_value"])
glue("network-cells-of", len(cells[cells["algorithm"] != "SGD"]), display=False)
glue("network-better", int(((adjusted <= 0.05) & (noisy["estimate"] > 0)).sum()) or "none", display=False)
glue("network-open", int((adjusted > 0.05).sum()), display=False)
glue("network-wide", int(((adjusted > 0.05) & (noisy["high"] > 0.5)).sum()), display=False)
glue("network-lost", int((cells["algorithm"] != "SGD").sum()) - len(noisy), display=False)
glue("network-worse", int(((adjusted <= 0.05) & (noisy["estimate"] < 0)).sum()), display=False)
page.table("network-cells", noise_tables.network_cells(cells))
every = noise_outcomes.at_equal_displacement(restarts)
alike = every.dropna(subset=["p_value"])
alike = alike.assign(adjusted=holm(alike["p_value"]))
glue("alike-lost", len(every) - len(alike), display=False)
carried = noise_outcomes.at_equal_displacement(restarts, times=10).dropna(subset=["p_value"])
carried = carried.assign(adjusted=holm(carried["p_value"]))
glue("momentum-worse", int(((carried["adjusted"] <= 0.05) & (carried["estimate"] < 0)).sum()), display=False)
glue("momentum-of", len(carried), display=False)
sure = alike[alike["adjusted"] <= 0.05]
glue("alike-of", len(every), display=False)
glue("alike-worse", int((sure["estimate"] < 0).sum()), display=False)
glue("alike-better", int((sure["estimate"] > 0).sum()) or "none", display=False)
glue("alike-most", f"{-sure['estimate'].min():.0f}", display=False)
glue("alike-draws", f"{alike['draws_first'].max():.0f}", display=False)
rare = alike["draws_second"]
glue("alike-rare", f"{rare.min():.0f} to {rare.max():.0f}", display=False)
page.table("alike", noise_tables.alike(alike))
hopping = cells[(cells["algorithm"] == "NiM-BH") & (cells["lr"] == 0.05)].sort_values("tau", ascending=False)
kept = all_cells.query("algorithm == 'NiM-MBH' and lr == 0.05 and rho == 5.0")
glue(
    "hops-kept",
    page.listed(with_interval(kept.sort_values("tau", ascending=False), "estimate", form="+.1f")),
    display=False,
)
sharp = cells[cells["algorithm"] == "SAM"]
glue("network-sam", len(sharp), display=False)
glue("network-sam-best", with_interval(sharp.nlargest(1, "estimate"), "estimate").iloc[0], display=False)
for name, size in (("hops-network", 0.5), ("hops-far", 5.0)):
    glue(name, page.listed(with_interval(hopping[hopping["rho"] == size], "estimate", form="+.1f")), display=False)
glue("network-restarts", int(cells["restarts"].max()), display=False)
done = [spec for spec in grid_specs("noise", profile, "digits") if not store.missing([spec])]
clocks = [status.seconds(store.metadata(spec), alone=not spec.alongside) for spec in done]
said = {"seeds": "0 to 9", "epochs": 25, "spread": "95 % t intervals", "core_hours": f"{sum(clocks) / 3600:.2f}"}
source("network", restarts, "noise-on-digits.csv", profile=profile, **said)
