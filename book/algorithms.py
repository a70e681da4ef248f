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
# # The same ρ is not the same noise
#
# Noise in the gradient (NiG), noise in the model (NiM), Basin Hopping (BH) and sharpness-aware minimization (SAM) all have a radius
# ρ. With ρ = 0.5 and a learning rate of 0.01, NiM moves the weights by up to 0.5 and NiG by up to 0.005. SAM looks 0.5 uphill, and comes back.
# A table that gives all of them the same ρ compares different things.
#
# ```{glue:figure} updates
# :name: figure-updates
#
# One update of six algorithms on the same curve, to scale: steps along the gradient are blue, noise and looks red. The red bar is how far noise reaches
# ($\eta = 0.3$, $\rho = 1$).
# ```

# %% tags=["parameters"]
restarts: int = 300  # restarts behind each rate of acceptance [1 or more]
hops: int = 40  # hops per restart [1 or more]
seed: int = 0  # of starts and noise [0 or more]
profile: str = "laptop"  # scale of the runs that are compared

# %% tags=["remove-cell"]
import pandas as pd
from myst_nb import glue

from popview import stationary
from popview.book import page, style
from popview.book.figures import landscapes as landscape_figures
from popview.book.figures import updates as update_figures
from popview.book.tables import confirmed as confirmed_tables
from popview.optimizers import ALGORITHMS, class_of
from popview.populations import confirmation

style.use()

# %% tags=["hide-input", "remove-output"]
page.figure(
    "updates",
    lambda width: update_figures.updates(width, lr=0.3, rho=1.0),
    alt="Six panels with the same curve of two wells. GD steps downhill. NiG-GD adds noise a third as far-reaching as "
    "NiM-GD's. SAM looks uphill and takes its step from where it stood. NiG-BH's kick stays in its well; NiM-BH's "
    "crosses the ridge, and it descends into the other well.",
)
named = pd.DataFrame({"name": name, "class": class_of(name)} for name in ALGORITHMS)
joined = named.groupby("class", sort=False)["name"].agg(", ".join)
lines = pd.DataFrame({"name": names, **made.in_short._asdict()} for made, names in joined.items())
page.table("lines", lines[["name", "update", "gradients", "source"]].rename(columns={"gradients": "gradients a step"}))

decided = confirmation.decisions()
judged = confirmation.confirm_tasks(confirmation.confirmed_tasks(profile, decided), decided)
judged = confirmation.latest(judged) if len(judged) else pd.DataFrame({"verdict": []})
page.show("which", judged, confirmed_tables.by_task)
glue("judged", len(judged), display=False)
glue("better", int((judged["verdict"] == "better").sum()) or "none", display=False)
restarts_of = judged.groupby("task", sort=False)["restarts"].max().items() if len(judged) else ()
facts = {"profile": profile, "restarts": ", ".join(f"{number} ({task})" for task, number in restarts_of) or "none"}
glue("source-which", page.provenance(judged, "which.csv", **facts), display=False)

# %% [markdown]
# ## All algorithms are one update, changed in one place
#
# $\eta$ is the learning rate, $g$ the gradient of the loss $f$ at the weights $w$. The noise $\zeta$ is drawn uniformly from the ball of radius
# $\rho$. On landscapes SGD, stochastic gradient descent, is plain gradient descent (GD).
#
# ````{table} One update of each algorithm. "Gradients a step" is what it pays.
# :name: table-updates
# ```{glue:md} lines
# :format: myst
# ```
# ````
#
# The code that trains a network also moves 500 points on a landscape. At $\rho = 0$ the five algorithms that contain gradient descent
# must reproduce it ({cite:t}`choi2019` call this inclusion); {glue:text}`included` of {glue:text}`tried` do so bit for bit, over 500 steps on the six-hump camel.
#
# `````{dropdown} How to use them in PyTorch
# ```python
# from popview.optimizers import make
#
# optimizer = make(
#     "NiM-BH", model.parameters(), buffers=model.buffers(),
#     lr=0.1, momentum=0.9, rho=0.5, tau=100,
# )
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
# SAM, NiM, Basin Hopping and L-BFGS-GSS need the closure, since they take several passes; the others also step on gradients that are
# there. Second passes (SAM; NiM when it fires; acceptance) see the first pass's dropout masks. With `buffers=` they leave
# BatchNorm's statistics alone; without it each pass updates them. Gradient scalers, learning-rate schedulers and `state_dict` work as they do in torch. A run saved in the middle
# of a hop continues bit for bit.
# `````
#
# `````{dropdown} The same paths at ρ = 0
# ````{table} Largest difference of end points from gradient descent's, over all restarts, at ρ = 0.
# :name: table-inclusion
# ```{glue:md} inclusion
# :format: myst
# ```
# ````
#
# "Noise drawn" counts the draws, here all of length 0: they show that the branch with noise was taken.
# ```{glue} source-inclusion
# ```
# `````

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
glue("tried", len(inclusion), display=False)
glue("included", int(inclusion["largest difference from GD"].str.startswith("0 ").sum()), display=False)
inclusion_source = page.provenance(
    inclusion,
    "inclusion.csv",
    restarts=200,
    seed=seed,
    steps=500,
    step=0.01,
    gradient="raw",
    spread="none: largest of all restarts",
)
glue("source-inclusion", inclusion_source, display=False)

# %% [markdown]
# ## Which one to try
#
# First SGD with warm-up and cosine: it has the fewest settings. Of {glue:text}`judged` comparisons with it, at as many gradients
# and with searched or default settings, {glue:text}`better` came out better. SAM takes half as many steps for it. NiM-SGD
# takes more gradients, and SWA (stochastic weight averaging) trains at a constant rate.
# [Is any optimizer better than SGD?](better-than-sgd.ipynb) has each by itself. These
# networks are small, so compare on your own task: [Bring your own](bring-your-own.md) has the command.
#
# ````{table} Score less SGD's of the same seed, in points, with 95 % intervals: annealed, last model, whole test set. = the same within the margin, ▲ better, ▼ worse, ? too few runs to tell, – not run.
# :name: table-which
# ```{glue:md} which
# :format: myst
# ```
# ````
# ```{glue} source-which
# ```
#
# ## "Monotonic" Basin Hopping as printed goes uphill
#
# A hop kicks the weights, descends for at most $\tau$ steps to a candidate, and then decides. Monotonic Basin Hopping (MBH) is meant to
# keep the candidate $w'$ only if it lies below the point $w$ before the hop ({cite:t}`olson2012`):
#
# $$
# \textbf{as meant:}\quad w \leftarrow
# \begin{cases} w' & \text{if } f(w') < f(w)\\ w & \text{otherwise} \end{cases}
# $$
#
# Lines 6–11 of the paper's Algorithm 9 first overwrite $w$ by the kicked point $w + \zeta$, and so compare with that:
#
# $$
# \textbf{as printed:}\quad
# \begin{aligned} & w \leftarrow w + \zeta\\ & w \leftarrow w' \ \text{ if } f(w') < f(w) \end{aligned}
# $$
#
# A descent from the kicked point nearly always ends below it. So the printed rule takes nearly every hop, like Basin Hopping without a rule. At
# $\rho = 1$ it ends uphill in {glue:text}`uphill` % of hops. The rule as meant never does.
#
# ```{glue:figure} uphill-hops
# :name: figure-uphill
#
# Hops of NiM-(M)BH on the six-hump camel that end more than 0.001 above the point before the hop.
# ```
#
# `````{dropdown} The algorithms of a hop, line by line
# $$
# \begin{array}{rl}
# & \textbf{NiM-BH}(w) \\
# 1 & \textbf{repeat} \\
# 2 & \quad \text{draw } \zeta \text{ from the ball of radius } \rho \\
# 3 & \quad w' \leftarrow w + \zeta \\
# 4 & \quad \textbf{for } t = 1, \dots, \tau \ \textbf{while } \lVert \nabla f(w') \rVert \ge \varepsilon: \\
# 5 & \quad\quad w' \leftarrow w' - \eta\, \nabla f(w') \\
# 6 & \quad \textbf{NiM-BH: } w \leftarrow w' \\
# 7 & \quad \textbf{NiM-MBH: } w \leftarrow w' \text{ if } f(w') < f(w)
# \end{array}
# $$
#
# NiG-BH and NiG-MBH replace line 3 by a step along a perturbed gradient: $w' \leftarrow w - \eta\,(\nabla f(w) + \zeta)$.
# `````
#
# `````{dropdown} Hops accepted and gone uphill, in numbers
# ````{table} Hops of NiM-(M)BH on the six-hump camel, in percent. Uphill: more than 0.001 above the point before the hop.
# :name: table-acceptance
# ```{glue:md} acceptance
# :format: myst
# ```
# ````
# ```{glue} source-acceptance
# ```
# `````

# %% tags=["hide-input", "remove-output"]
rates = pd.DataFrame(
    stationary.hop_rates("six-hump-camel", accept, radius, restarts=restarts, hops=hops, seed=seed)
    for radius in (0.1, 0.5, 1.0)
    for accept in ("classical", "printed", "always")
)
page.figure(
    "uphill-hops",
    lambda width: update_figures.uphill_hops(width, rates),
    alt="Share of hops that end uphill against the radius of the kick: it grows alike for the rule as printed and for "
    "no rule, and is zero for the rule as meant.",
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
printed = rates[(rates["accept"] == "printed") & (rates["rho"] == 1)]
glue("uphill", f"{100 * printed['uphill'].item():.0f}", display=False)
rates_source = page.provenance(
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
glue("source-acceptance", rates_source, display=False)

# %% [markdown]
# ## What the paper leaves open is an option here
#
# Some of the paper's pseudo-code is unreadable in our copy. Each guess is a named option with a stated default.
#
# `````{dropdown} Open readings, options and defaults
# | question | options | default |
# |---|---|---|
# | Is the gradient normalised? Eq. 1 says so, Algorithm 2 does not | `normalized` | `False`; [the test functions](test-functions.ipynb) pass `True` |
# | Which distribution has $\zeta$? | `noise="ball"`, `"sphere"`, `"gaussian"`, or a callable | uniform in the ball |
# | One ball for the model, or one for each layer? | `scope="model"`, `"layer"` | the model |
# | What is a candidate compared with? | `accept="classical"`, `"metropolis"`, `"printed"`, or a callable score | `classical` for MBH, `always` for BH |
# | Does a hop keep its momentum? | `reset_momentum` | it does |
# | Which $t$ must exceed $\tau$ in Algorithm 2? | – | steps since the start, as printed (Jin et al. count from the last injection) |
# | Where is noise added when the gradient is normalised? | – | to the normalised gradient, so that $\rho$ compares with the length of a step |
# `````
#
# `````{dropdown} Paths of eight algorithms on the six-hump camel, to explore
# Click an algorithm in the legend to show or hide it.
# ```{glue:figure} hops
# :name: figure-hops
#
# Eight restarts of each algorithm, raw gradient, ρ = 0.6. NiM-BH's hops leave a basin, NiM-MBH's return.
# ```
# ```{glue} source-hops
# ```
# `````

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
page.interactive("hops", landscape_figures.trajectory_map(moved, shown=8, at_first=("NiM-BH", "NiM-MBH")))
hops_source = page.provenance(
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
glue("source-hops", hops_source, display=False)
