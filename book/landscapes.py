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
# # 3 Landscapes with known minima
#
# **Where every minimum is known, an optimizer's preference can be measured instead of guessed.** The paper uses three
# functions of two variables. We solve for their minima, measure how sharp each is and how high the pass that leads out
# of it. On one of the three the paper's reading of "sharp" and "flat" does not survive the measurement, if its last two
# minima are the pair that its small shares suggest.
# A fourth function, which the paper lacks, sets depth and width independently.

# %% tags=["remove-cell"]
import pandas as pd
import torch

from popview.book import page, style
from popview.book.figures import landscapes as landscape_figures
from popview.landscapes import LANDSCAPES

style.use()
minima = pd.DataFrame(
    {
        "landscape": name,
        "minimum": f"({', '.join(f'{x:.4f}' for x in m.location)})",
        "kind": m.kind,
        "value": m.value,
        "eigenvalues of the Hessian": f"{m.eigenvalues[0]:.2f}, {m.eigenvalues[-1]:.2f}",
        "trace": m.trace,
        "escape barrier": m.barrier,
    }
    for name, landscape in LANDSCAPES.items()
    for m in landscape.minima
)

# %% [markdown]
# ## The surfaces

# %% tags=["hide-input", "remove-output"]
page.figure(
    "surfaces",
    landscape_figures.surfaces([LANDSCAPES[n] for n in ("himmelblau", "three-hump-camel", "six-hump-camel")]),
)

# %% [markdown]
# ```{glue:figure} surfaces
# :alt: Three surfaces seen from above at an angle, Himmelblau, the three-hump and the six-hump camel, with their basins.
# :name: figure-surfaces
#
# The three functions of the paper (its Figure 1), on a logarithmic scale so that the basins can be seen.
# Himmelblau has four minima of equal value; the three-hump camel one global and two local ones; the six-hump camel two
# global, two lower and two shallow local ones.
# ```

# %% tags=["remove-input"]
page.provenance(minima, "minima.csv", computed="live from the formulas", domain="the window drawn")

# %% [markdown]
# The standard formulas are used. The paper's Figure 1 prints two of them otherwise: 1.04 for 1.05 in the three-hump
# camel, which moves its local minima, and (−44 y²) y² for (−4 + 4 y²) y² in the six-hump camel, which is then unbounded
# below and has no minima at all.
#
# | landscape | formula | starts |
# |---|---|---|
# | Himmelblau | (x² + y − 11)² + (x + y² − 7)² | uniform on [−5, 5]² |
# | three-hump camel | 2x² − 1.05x⁴ + x⁶/6 + xy + y² | uniform on [−5, 5]² |
# | six-hump camel | (4 − 2.1x² + x⁴/3)x² + xy + (−4 + 4y²)y² | uniform on [−3, 3] × [−2, 2] |
# | two-well | (x² − 1)² + depth · s(x) + ½ k(x) ‖y‖² | on both sides of the separatrix, 50 : 50 |
#
# ## Minima, sharpness, and the way out

# %% tags=["hide-input", "remove-output"]
page.table("minima", minima.assign(value=minima["value"].round(6) + 0.0), digits=3)

# %% [markdown]
# ````{table} All minima, ordered by value, then by the trace of the Hessian, then by x. The escape barrier is the height of the lowest pass out of the basin, above the minimum.
# :name: table-minima
# ```{glue:md} minima
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    minima, "minima.csv", solved_by="Newton's method (SciPy) to a gradient below 1e-10", spread="none: exact"
)

# %% [markdown]
# Read the six-hump camel's rows again. The paper lists "flatter minima before sharper ones" and calls its last two
# columns, LM3 and LM4, "the sharpest local minima". It gives no coordinates; few restarts reach these two, which suggests the
# pair at (±1.607, ±0.569). That pair is the
# **flattest** of all six by its Hessian's trace. What sets it apart is a barrier of 0.125, an eighth of the global
# minima's and a sixth of the other pair's. If an algorithm leaves it, "shallow" explains that as well as "sharp" would, and better.
#
# Two lessons for [chapter 4](test-functions.ipynb):
#
# - **Himmelblau takes depth out**: four minima of equal value whose traces differ by a factor of two. But the two
#   flattest have the lowest pass (13, against 68 and 104): sharpness and barrier go together.
# - **The six-hump camel entangles all three.** Only the two-well landscape below sets them apart.

# %% tags=["hide-input", "remove-output"]
page.figure("contours", landscape_figures.contours(list(LANDSCAPES.values())))

# %% [markdown]
# ```{glue:figure} contours
# :alt: Contour lines of the three landscapes with their minima marked.
# :name: figure-contours
#
# Contours with every minimum marked (the paper's Figure 2): a star is a global minimum, a circle a local one, and the
# colour is the trace of the Hessian: dark is flat, bright is sharp.
# ```

# %% tags=["remove-input"]
page.provenance(minima, "minima.csv", computed="live from the formulas", minima="of the table above")

# %% [markdown]
# ## Two wells: depth and width apart
#
# Depth and width must be free of each other if flatness is to be tested at all. With y the coordinates across, and
# s a smooth step from 0 at x = −1 to 1 at x = 1,
#
# > f(x, y) = (x² − 1)² + depth · s(x) + ½ k(x) ‖y‖²,   k(x) = k₋ + (k₊ − k₋) s(x).
#
# The minima are exactly (−1, 0) and (1, 0), with values 0 and depth; along x both have curvature 8, across it k₋ = 2
# (the wide well) and k₊ = 20 (the narrow one). Any number of dimensions will do. The basins are not equally large, so
# starts are drawn on both sides of the surface that separates them, found by following the saddle's stable manifold:
# plain gradient flow sends half of them to each well, and **an algorithm's preference is its deviation from 50 : 50**.

# %% tags=["hide-input", "remove-output"]
two_well = LANDSCAPES["two-well"]
starts = two_well.sample_starts(1000, torch.Generator().manual_seed(0))
wells, _ = two_well.nearest(two_well.polish(starts))
split = pd.DataFrame(
    {"well": ["wide", "narrow"], "starts that flow there": torch.bincount(wells, minlength=2).tolist()}
)
page.table("split", split)

# %% [markdown]
# ````{table} Where 1,000 starts of the two-well landscape flow.
# :name: table-split
# ```{glue:md} split
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(split, "two-well-split.csv", starts="1,000", seed=0, spread="binomial, ±32 starts (95 %)")
