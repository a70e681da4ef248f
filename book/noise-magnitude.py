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
# # Noise prefers wide minima only where it can carry a model out of one
#
# Of two equally deep wells, noise in the gradient (NiG) brings up to {glue:text}`most` points more of its restarts into the
# wider one. But that begins where its noise is {glue:text}`times` times as long as a step; smaller noise changes nothing.
# Sharpness-aware minimization (SAM) prefers the wide well where its steps overshoot the narrow one, and else none.
#
# ```{glue:figure} phases
# :name: figure-phases
#
# Two equally deep wells, one of them narrower. Dot: differs from gradient descent (Holm). Grey: fewer than {glue:text}`reached` %
# of the restarts reach a well, so that nothing is judged.
# ```

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the sweeps and runs that are shown
landscape: str = "himmelblau"  # where first effects are drawn: himmelblau, three-hump-camel or six-hump-camel
learning_rate: float = 0.01  # of what is drawn of the test functions: 0.003, 0.01 or 0.03
normalized: bool = True  # follow the gradient's direction there (the paper's eq. 1), or the raw gradient
tau: int = 50  # updates in a hop there: 10, 50 or 200

# %% tags=["remove-cell"]
from myst_nb import glue

from popview.book import page, style
from popview.book.figures import noise as noise_figures
from popview.book.tables import noise as noise_tables
from popview.landscapes import get
from popview.populations import landscape_sweeps, noise_outcomes

style.use()
wells = {size: landscape_sweeps.load_sweep(profile, f"two-wells-{size}d") for size in (2, 10, 100)}
preferred = {size: landscape_sweeps.well_preference(rows) for size, rows in wells.items()}
moved = landscape_sweeps.moves(landscape_sweeps.load_sweep(profile, "test-functions"))
shares = landscape_sweeps.ends(moved)
kinds = {True: "normalised", False: "raw"}


def source(name: str, *what: object, **said: object) -> None:
    glue(f"source-{name}", page.provenance(*what, **said), display=False)


# %% [markdown]
# ## What is compared: displacement, not ρ
#
# NiG adds a vector of length up to ρ to the gradient, and the step multiplies it by the learning rate η: one draw moves
# the model by ηρ at most. Noise in the model (NiM) moves it by ρ. At η = 0.01 the same ρ is a hundred times larger in one
# than in the other. So we compare at equal *displacement*, ηρ against ρ. SAM draws nothing: its ρ is how far it looks
# uphill.
#
# ```{glue:figure} onset
# :name: figure-onset
#
# {glue:text}`where`: restarts that end elsewhere than gradient descent's from the same start, with 95 % intervals. Both panels
# show the same runs; only the size on the axis differs.
# ```
#
# ````{table} The smallest displacement at which restarts move (the interval of their share lies above 1 %), and its ρ in brackets.
# :name: table-first-effects
# ```{glue:md} first-effects
# :format: myst
# ```
# ````
#
# The page on [test functions](test-functions.ipynb) has ρ = 0.1, and NiG moves its points by 0.001 there. That is why five of its eight
# rows are identical. Noise in the model of gradient descent (NiM-GD) waits until the gradient is nearly zero. With the
# normalised gradient of the paper's eq. 1 every step is as long as the last, so that it hardly ever is: its noise fires
# {glue:text}`fires` times in 1,000 steps.
#
# ## Noise has a temperature, and heat prefers room
#
# With raw gradients NiG is a known process, Langevin dynamics. In $d$ dimensions its temperature is
# $T = \eta\rho^2 / 2(d + 2)$. If it runs long enough, each well holds a share in proportion to
# $e^{-f/T} / \sqrt{\det H}$, where $H$ is the Hessian: a wide well holds more, a deep one too, and the more
# dimensions a well is narrow in, the less it holds. We test our code against this formula. The paper's claim that NiG-GD is skewed towards flat minima is right
# of such noise. It is not of the noise that leaves its Table 1 as it is.
#
# Depth counts against width. Where the narrow well is 0.3 deeper, the same noise prefers {glue:text}`deep-side`.
#
# ## SAM does not prefer what it cannot reach
#
# SAM comes to rest at the saddle where a look of length ρ uphill crosses the ridge: at ρ = 0.3 a fifth of its runs end
# there, at ρ = 1 nearly all. Where it does reach a well, it ends as gradient descent does, whatever the learning rate, but for
# one corner: raw gradients, a well {glue:text}`sam-ratio` times narrower, and ρ of {glue:text}`sam-from` or more. There a step
# across the narrow well is longer than the well is wide, and SAM is thrown out of it. That is a skew towards flat minima,
# {glue:text}`sam-most` points of it. It needs an overshooting step, though, and no claim can be made of SAM as such.
#
# `````{dropdown} All algorithms, raw and normalised; a deeper narrow well; 10 and 100 dimensions; SAM by learning rate
# ```{glue:figure} phases-all
# :name: figure-phases-all
#
# All algorithms on equally deep wells in two dimensions, η = 0.01, as above.
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
# ```{glue:figure} phases-100
# :name: figure-phases-100
#
# Equally deep wells in 100 dimensions.
# ```
# ```{glue} source-wells
# ```
# `````
#
# ## More hops make Basin Hopping no freer
#
# At its base settings Basin Hopping (BH) hops four or five times a run, and nearly is gradient descent. With 1,000 updates, τ of 200,
# 50 and 10 make 5, 20 and 100 hops. {glue:text}`hops`
#
# `````{dropdown} Where restarts end, and first effects at every step, gradient and τ
# ```{glue:figure} effects
# :name: figure-effects
#
# {glue:text}`where`: minima from the flattest (dark) to the sharpest, none (grey), diverged (red).
# ```
# ```{glue} source-moved
# ```
# `````
#
# `````{dropdown} The same as an interactive map
# Choose an algorithm and a landscape; point at a cell for where its restarts end.
# ```{glue:figure} map
# :name: figure-noise-map
#
# Share of restarts that end elsewhere than gradient descent's, by displacement and by gradient, η and τ.
# ```
# `````
#
# ## Acceptance can buy flatness, at a price that is known
#
# The paper suggests that Basin Hopping could control flatness. Its monotonic form (MBH) keeps a hop where the loss is lower; we
# let it keep one where loss + $c$ · trace of the Hessian is lower. Two wells of which the narrow one is 0.3 deeper and 8
# sharper are then worth the same at $c = 0.3 / 8$. {glue:text}`bought`
#
# ```{glue:figure} acceptance
# :name: figure-acceptance
#
# NiM-MBH: restarts that end in the flattest minimum, by the weight $c$ of the trace in acceptance. Dashed: gradient descent; grey line: the
# weight at which both wells are worth the same.
# ```
#
# ## On a network, noise hurts before it explores
#
# {glue:text}`network-words`
#
# ```{glue:figure} network
# :name: figure-network
#
# Digits, {glue:text}`network-restarts` restarts a cell: test accuracy, and distance between first and last weights. Dashed: stochastic
# gradient descent (SGD).
# ```
#
# `````{dropdown} All cells on Digits
# ````{table} Means over restarts that did not diverge; difference to SGD of the same learning rate, paired by seed, with 95 % intervals.
# :name: table-network
# ```{glue:md} network-cells
# :format: myst
# ```
# ````
# ```{glue} source-network
# ```
# `````
