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
# # 13 Errata and forensics
#
# **Of {glue:text}`number-checks` checks of what the paper prints, {glue:text}`number-impossible` find two statements
# that cannot both hold as transcribed, {glue:text}`number-flags` raise a flag, and {glue:text}`number-clear` nothing.** Most have
# an innocent explanation, which is printed beside them: a lost digit, a caption, a table from another run. They
# matter because conclusions rest on some of them.
#
# *Cannot both hold*: no data could give both statements as they are transcribed, and no caption leaves room. *Flag*: unlikely by chance
# or inconsistent, but a reading exists under which it is not. Numbers are read from the printed tables as they could
# be transcribed; the only text at hand went through a character reader, so a misread digit is always possible.

# %% tags=["parameters"]
gate_restarts: int = 200  # restarts behind the rate of noise injection
acceptance_restarts: int = 300  # restarts behind the rate of uphill hops
hops: int = 40  # hops of each of these
seed: int = 0  # of starts and noise

# %% tags=["remove-cell"]
import numpy as np
import pandas as pd
from myst_nb import glue

from popview.book import page, style
from popview.book.figures import audit as audit_figures
from popview.book.tables import audit as audit_tables
from popview.paper import audit, audit_formulas, printed

style.use()
from_print = audit.printed_checks()
gate = audit_formulas.gate_table(restarts=gate_restarts, seed=seed)
followed = audit_formulas.formula_checks(gate, acceptance_restarts, hops, seed)
checks = pd.concat([from_print, followed])
source = {"source": "arXiv 2403.00574, the only text at hand"}

# %% [markdown]
# ## All checks

# %% tags=["hide-input", "remove-output"]
page.table("overview", audit_tables.checks_in_brief(checks))
verdicts = list(checks["verdict"])
glue("number-checks", len(checks), display=False)
glue("number-impossible", verdicts.count("cannot both hold"), display=False)
glue("number-flags", verdicts.count("flag"), display=False)
glue("number-clear", verdicts.count("no flag"), display=False)

# %% [markdown]
# ````{table} Every check, its verdict by rule, and p, where the argument is one of chance: the probability of so extreme a printed result if what the text says were true. Not corrected for the number of checks; of several cells, the smallest after Holm's correction.
# :name: table-overview
# ```{glue:md} overview
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(checks, "checks.csv", **source, csv="has every check in full")

# %% [markdown]
# ## The printed numbers

# %% tags=["hide-input", "remove-output"]
page.table("printed", audit_tables.checks_in_full(from_print))

# %% [markdown]
# ````{table} Checks of the printed tables: what is printed, what follows from it, and the most innocent explanation.
# :name: table-printed
# ```{glue:md} printed
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(from_print, "printed-checks.csv", **source)

# %% [markdown]
# Table 1 has a page of its own: the symmetry test, cell by cell, and a search over protocols are in
# [chapter 4](test-functions.ipynb).
#
# **Why SetB cannot lie below SetA.** Sort the ten best scores of a trajectory, and the scores of any other ten of its
# checkpoints: each of the first is at least its counterpart. That stays so when trajectories are pooled, and it holds
# for means, medians and medians of medians alike. So no reading of the caption helps.
#
# ## What Table 4 implies for Tables 3a and 6
#
# A test needs two centres, two spreads and two sizes, and Table 4 prints the first four. Read as mean and SD of fifty
# models, they give the p-values in red; the printed ones are black. Read as five restarts they give the pale ones.

# %% tags=["hide-input", "remove-output"]
four = printed.printed_table("4")
sets = audit.implied_by_table_four(four, printed.printed_table("3a"))
sets.insert(0, "cell", sets["algorithm"] + ", " + sets["task"])
pairs = audit.implied_for_table_six(four, printed.printed_table("6"))
pairs.insert(0, "cell", pairs["comparison"] + ", " + pairs["task"])
panels = {"SetA against SetB (Table 3a)": sets, "Optimizer against optimizer (Table 6)": pairs}
page.figure("implied", audit_figures.implied_p_values(panels))
columns = {
    "cell": "cell",
    "center_a": "first centre",
    "center_b": "second",
    "printed": "printed p",
    "implied": "implied p, 50 models",
    "restarts": "implied p, 5 restarts",
    "needed": "SD that the printed p needs",
    "allowed": "largest SD possible",
}
everything = pd.concat([sets, pairs])[["printed", "implied", "restarts"]]
logs = np.log10(everything)
nearer = (logs["printed"] - logs["restarts"]).abs() < (logs["printed"] - logs["implied"]).abs()
glue("nearer", int(nearer.sum()), display=False)
glue("cells", len(nearer), display=False)
widest = pairs.loc[pairs["difference"].abs().idxmax()]
glue("widest", f"{widest['cell']}: {widest['center_a']:.3f} and {widest['center_b']:.3f}", display=False)
glue("widest-gap", f"{100 * abs(widest['difference']):.1f}", display=False)
glue("widest-p", f"{widest['printed']:g}", display=False)
page.table("implied-pairs", pairs[list(columns)].rename(columns=columns), digits=3)

# %% [markdown]
# ```{glue:figure} implied
# :alt: Printed cells of the tables and the values that they imply.
# :name: figure-implied
#
# Printed p-values, and Welch's t from the centres and spreads of Table 4. Two that agree lie on top of each other.
# ```
#
# ````{table} The pairs of Table 6. The last column is the largest standard deviation that values between 0 and 1 can have around the mean of the two centres.
# :name: table-implied
# ```{glue:md} implied-pairs
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    pd.concat([sets.assign(beside="Table 3a"), pairs.assign(beside="Table 6")]),
    "implied-p-values.csv",
    **source,
    test="Welch's t from printed centre and spread; Table 6 prints Mann–Whitney",
)

# %% [markdown]
# The widest gap of Table 6, {glue:text}`widest-gap` points ({glue:text}`widest`), is printed with p =
# {glue:text}`widest-p` and read as "cannot distinguish". If these are means and standard deviations of fifty models, a t
# test would reject. Table 6 prints Mann–Whitney, though, and a rank test can miss such a gap where a few collapsed models
# make it; the printed spreads leave no room for them. The caption leaves a way out: medians, and a "median standard
# deviation" that may leave the spread between trajectories out. Then the table does not show the spread that the test
# used, and a reader cannot check it. In {glue:text}`nearer` of the {glue:text}`cells` cells the printed p-value is
# nearer, on a logarithmic scale, to the one implied by five restarts than to the one implied by fifty models. If the
# tests were run on one value per trajectory, they were sounder than the text says, and nearly blind
# ([chapter 8](five-runs.ipynb)).
#
# ## Formulas and algorithms, followed to the letter

# %% tags=["hide-input", "remove-output"]
page.table("followed", audit_tables.checks_in_full(followed))
page.table(
    "gate",
    pd.DataFrame(
        {
            "ε": gate["epsilon"].map("{:g}".format),
            "t from the start (printed)": gate["printed"],
            "t from the last noise": gate["since_last"],
        }
    ),
    digits=1,
)

# %% [markdown]
# ````{table} What the printed formulas and pseudo-code would do.
# :name: table-followed
# ```{glue:md} followed
# :format: myst
# ```
# ````
#
# ````{table} How often NiM-GD injects noise, times a restart of 1,000 steps, by the reading of t in Algorithm 2.
# :name: table-gate
# ```{glue:md} gate
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    gate,
    "noise-gate.csv",
    landscape="six-hump camel",
    restarts=gate_restarts,
    seed=seed,
    steps="1,000 of 0.01",
    ρ=0.1,
    τ=50,
    gradient="raw",
)

# %% [markdown]
# This book uses the standard formulas, and t from the start as printed. More on the accept rules in
# [chapter 2](algorithms.ipynb), on sharpness and barriers in [chapter 3](landscapes.ipynb).
#
# ## Slips of the text

# %% tags=["hide-input", "remove-output"]
slips = audit.slips_of_texts()
for document in ("inan2024", "yu2026", "article"):
    page.table(f"slips-{document}", audit_tables.slips_table(slips[slips["document"] == document]))

# %% [markdown]
# ````{table} The paper: statements that disagree with each other or with their source. None changes a result by itself.
# :name: table-slips-paper
# ```{glue:md} slips-inan2024
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(slips, "slips.csv", **source, csv="has the sources, and the slips of the other two documents")

# %% [markdown]
# The benchmark's own results are in {cite:t}`barbieri2020`.
#
# ## The two other documents
#
# [Chapter 1](index.ipynb) lists what they claim. What follows was read, not computed.
#
# ````{table} Yu and Morozov: where the released code differs from its own comments or from the paper's description.
# :name: table-slips-topography
# ```{glue:md} slips-yu2026
# :format: myst
# ```
# ````
#
# The paper is {cite:t}`yu2026`; its code is public, without a licence, and none of it is used here.
#
# ````{table} The article on flat minima and distribution shift: statements that their sources do not carry.
# :name: table-slips-article
# ```{glue:md} slips-article
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(slips[slips["document"] != "inan2024"], "slips-of-others.csv", sources="read, abstracts at least")

# %% [markdown]
# Sources: {cite:t}`keskar2017`, {cite:t}`dinh2017`, {cite:t}`wu2020`, {cite:t}`andriushchenko2023`. The article is
# unsigned and gives no numbers, so it is taken as a list of hypotheses; where studies disagree, this book tests.
