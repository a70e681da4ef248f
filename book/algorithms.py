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
# # 2 The optimizers
#
# **All algorithms, one implementation: the code that trains a network moves 500 points on a landscape.** The paper's
# pseudo-code boxes survive only in part, so every reading that it leaves open is a named option with a stated default,
# and this page shows what the readings do: at ρ = 0 the five that contain gradient descent reproduce it, bit for bit; at
# equal ρ they are not comparable; and "monotonic" Basin Hopping as printed is not monotonic.

# %% tags=["parameters"]
restarts: int = 300  # restarts behind each rate of acceptance
hops: int = 40  # hops per restart
seed: int = 0  # of starts and noise

# %% tags=["remove-cell"]
import pandas as pd

from popview import stationary
from popview.book import page, style
from popview.book.figures import landscapes as landscape_figures
from popview.optimizers import ALGORITHMS, class_of

style.use()

# %% [markdown]
# ## The updates
#
# η is the learning rate, ζ a noise vector drawn uniformly from the ball B₀(ρ), g the gradient of the loss.
#

# %% tags=["hide-input", "remove-output"]
named = pd.DataFrame({"name": name, "class": class_of(name)} for name in ALGORITHMS)
joined = named.groupby("class", sort=False)["name"].agg(", ".join)
updates = pd.DataFrame({"name": names, **made.in_short._asdict()} for made, names in joined.items())
page.table("updates", updates.rename(columns={"gradients": "gradients a step"}))

# %% [markdown]
# ```{glue:md} updates
# :format: myst
# ```
#
# ```python
# from popview.optimizers import make
#
# optimizer = make("NiM-BH", model.parameters(), buffers=model.buffers(), lr=0.1, momentum=0.9, rho=0.5, tau=100)
#
# for images, labels in loader:
#     def closure():
#         optimizer.zero_grad()
#         loss = cross_entropy(model(images), labels)
#         loss.backward()
#         return loss
#     optimizer.step(closure)
# ```
#
# Second passes (SAM; NiM when it fires; acceptance) see the first pass's dropout masks and leave BatchNorm's statistics
# alone. Gradient scalers, learning-rate schedulers and `state_dict` work as they do in torch; a run saved in the middle
# of a hop continues bit for bit.
#
# ## What the paper leaves open
#
# | question | options | default |
# |---|---|---|
# | Is the gradient normalised? Eq. 1 says so, Algorithm 2 does not | `normalized` | `False`; chapter 4 passes `True` |
# | Which distribution has ζ? | `noise="ball"`, `"sphere"`, `"gaussian"`, or a callable | uniform in the ball |
# | One ball for the model, or one for each layer? | `scope="model"`, `"layer"` | the model |
# | What is a candidate compared with? | `accept="classical"`, `"metropolis"`, `"printed"`, or a callable score | `classical` for MBH, `always` for BH |
# | Does a hop keep its momentum? | `reset_momentum` | it does |
# | Which t must exceed τ in Algorithm 2? | – | steps since the start, as printed (Jin et al. count from the last injection) |
# | Where is noise added when the gradient is normalised? | – | to ĝ, so that ρ compares with the length of a step |
#
# ## The same paths at ρ = 0
#
# An algorithm that contains gradient descent as a special case must reproduce it: the *inclusion* test of
# {cite:t}`choi2019`. The table shows the largest difference from GD over all restarts, after 500 steps on the six-hump camel.

# %% tags=["hide-input", "remove-output"]
settings = {"lr": 0.01, "iterations": 500, "seed": seed}
reference = stationary.sample("six-hump-camel", "GD", 200, **settings)
fires = {"tau": 1, "epsilon": float("inf")}
cases = {"NiG-GD": {}, "NiM-GD": fires, "SAM": {}, "NiG-BH": {"tau": 20}, "NiM-BH": {"tau": 20}}
inclusion = []
for algorithm, own in cases.items():
    s = stationary.sample("six-hump-camel", algorithm, 200, rho=0.0, **own, **settings)
    difference = float((s.ends - reference.ends).abs().max())
    inclusion.append(
        {
            "algorithm": algorithm,
            "largest difference from GD": "0 (bit for bit)" if difference == 0 else f"{difference:.1e}",
            "noise drawn, times a restart": int(s.noise_triggers[0]),
        }
    )
inclusion = pd.DataFrame(inclusion)
page.table("inclusion", inclusion)

# %% [markdown]
# ````{table} Difference of end points from gradient descent's at ρ = 0.
# :name: table-inclusion
# ```{glue:md} inclusion
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    inclusion,
    "inclusion.csv",
    restarts=200,
    seed=seed,
    steps=500,
    step=0.01,
    gradient="raw",
    spread="none: largest of all restarts",
)

# %% [markdown]
# ## Equal ρ is not equal noise
#
# NiM-BH moves the model by ζ; NiG-BH adds ζ to a gradient, and so moves the model by η ζ. With η = 0.01 the second is a
# hundredth of the first. SAM's ρ is the length of a look uphill from which it returns. A table that gives all of them
# the same ρ compares different things.
#
# ## Monotonic as printed, monotonic as meant
#
# Lines 6–11 of Algorithm 9 overwrite w by the perturbed point and then accept the candidate if it is lower *than that*.
# Basin Hopping compares with the previous minimum ({cite:t}`olson2012`), and only then is it monotonic. Both are here:
# `accept="printed"` and `accept="classical"`.

# %% tags=["hide-input", "remove-output"]
rates = pd.DataFrame(
    stationary.hop_rates("six-hump-camel", accept, radius, restarts=restarts, hops=hops, seed=seed)
    for radius in (0.1, 0.5, 1.0)
    for accept in ("classical", "printed", "always")
)
page.table(
    "acceptance",
    pd.DataFrame(
        {
            "ρ": rates["rho"].map("{:g}".format),
            "accept rule": rates["accept"],
            "accepted, %": (100 * rates["accepted"]).map("{:.1f}".format),
            "went uphill, %": (100 * rates["uphill"]).map("{:.1f}".format),
            "hops": rates["hops"],
        }
    ),
)

# %% [markdown]
# ````{table} Hops of NiM-(M)BH on the six-hump camel: accepted, and gone uphill (more than 0.001 above the point before the hop), in percent of hops.
# :name: table-acceptance
# ```{glue:md} acceptance
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    rates,
    "acceptance.csv",
    restarts=restarts,
    hops=f"{hops} a restart",
    seed=seed,
    gradient="raw",
    step=0.01,
    τ=50,
    ε=1e-4,
    starts="uniform on [−2, 2] × [−1, 1], after 400 steps of GD",
    spread="hops of a restart are dependent: about ±1 point",
)

# %% [markdown]
# The printed rule accepts nearly every hop, because a local search from the perturbed point always ends below it. At
# ρ = 1 it goes uphill in about a fifth of them: it is not monotonic. The classical rule never does.
#
# ## What the algorithms do on a landscape

# %% tags=["hide-input", "remove-output"]
names = ("GD", "NiG-GD", "NiM-GD", "SAM", "NiG-BH", "NiM-BH", "NiG-MBH", "NiM-MBH")
moved = {}
for algorithm in names:
    own = {} if algorithm == "GD" else {"rho": 0.6}
    own |= {"tau": 40, "epsilon": 1e-3} if algorithm.startswith("NiM") or algorithm.endswith("BH") else {}
    moved[algorithm] = stationary.sample(
        "six-hump-camel",
        algorithm,
        8,
        iterations=400,
        record_every=4,
        lr=0.01,
        domain=((-1.9, 1.9), (-1.1, 1.1)),
        seed=seed,
        **own,
    )
page.interactive("hops", landscape_figures.trajectory_map(moved, shown=8))

# %% [markdown]
# ```{glue:figure} hops
# :name: figure-hops
#
# Eight restarts of each algorithm on the six-hump camel, raw gradient, ρ = 0.6. Click in the legend; NiM-BH's hops leave
# a basin, NiM-MBH's return.
# ```

# %% tags=["remove-input"]
page.provenance(
    landscape_figures.positions(list(moved.values()), 8),
    "hops.csv",
    restarts=8,
    seed=seed,
    steps=400,
    shown="every 4th position",
    step=0.01,
    ρ=0.6,
    τ=40,
    ε=1e-3,
    gradient="raw",
)
