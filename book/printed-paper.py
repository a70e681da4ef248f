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
# # In our copy, four of the paper's statements contradict another
#
# We checked {glue:text}`number-checks` statements and tables. {glue:text}`number-impossible` contradict another one of
# the paper, and no single misread digit explains that: “All p-values are higher than 0.05” is printed with a table that
# has {glue:text}`low-p`. {glue:text}`number-slips` more may be slips of the character recognition (OCR) behind our copy. The
# others have harmless explanations.
#
# ```{glue:figure} contradictions
# :name: figure-contradictions
#
# Red: printed numbers that disagree with the words above them; the third panel supposes symmetric starts. SetA has the checkpoints of lowest training loss, SetB those of highest test score.
# ```
#
# **Our copy.** The paper is [arXiv 2403.00574](https://arxiv.org/abs/2403.00574). We have only a text of it that went
# through character recognition, and nobody here has compared it with the PDF. So each finding says what would have had
# to be misread. *Contradiction*: no data could give both statements. *Odd*: unlikely or inconsistent, but a reading
# exists under which it is neither.

# %% tags=["parameters"]
gate_restarts: int = 200  # restarts behind the rate of noise injection [1 or more]
acceptance_restarts: int = 300  # restarts behind the rate of uphill hops [1 or more]
hops: int = 40  # hops of each of these [1 or more]
seed: int = 0  # of starts and noise [0 or more]

# %% tags=["remove-cell"]
import numpy as np
import pandas as pd
from myst_nb import glue
from scipy.stats import binomtest

from popview.book import page, style
from popview.book.figures import audit as audit_figures
from popview.book.names import task_title
from popview.book.tables import audit as audit_tables
from popview.paper import audit, audit_formulas, printed

style.use()
source = {"source": "arXiv 2403.00574, our copy"}

# %% tags=["hide-input", "remove-output"]
gate = audit_formulas.gate_table(restarts=gate_restarts, seed=seed)
checks = pd.concat([audit.printed_checks(), audit_formulas.formula_checks(gate, acceptance_restarts, hops, seed)])
slips = checks[checks["slip"] & (checks["verdict"] != audit.NO_FLAG)]
firm = checks[(checks["verdict"] == "cannot both hold") & ~checks["slip"]]
others = checks.drop(index=[*slips.index, *firm.index])
page.table("contradictions-table", audit_tables.checks_table(firm))
page.table("slips", audit_tables.checks_table(slips, innocent=False))
page.table("others", audit_tables.checks_table(others, p=True))
glue("number-checks", len(checks), display=False)
glue("number-impossible", {4: "Four"}.get(len(firm), len(firm)), display=False)
glue("number-slips", {6: "Six"}.get(len(slips), len(slips)), display=False)
glue("number-others", len(others), display=False)
glue("provenance-checks", page.provenance(checks, "checks.csv", **source), display=False)

tables = {number: printed.printed_table(number) for number in ("1", "2a", "3a", "4", "6")}
six, four = tables["6"], tables["4"]
low = six[six["p_value"] < 0.05]["p_value"].sort_values()
glue("low-p", " and ".join(low.map("{:.3f}".format)), display=False)
tests = six.assign(cell=six["comparison"].str.replace(" vs. ", "–") + ",\n" + six["task"].map(task_title))
sets = audit.by_set(four)
gaps = sets.assign(
    cell=sets["algorithm"] + ",\n" + sets["task"].map(task_title), gap=100 * (sets["center_b"] - sets["center_a"])
)
pairs = audit.mirror_images(tables["1"])
page.figure(
    "contradictions",
    lambda width: audit_figures.contradictions(tests, gaps, pairs, width),
    alt="Two p-values of Table 6 lie below 0.05; in two cells of Table 4 SetB lies below SetA; mirror images differ.",
)
damaged = audit_tables.damaged_cells(tables)
page.table("damaged", damaged)
glue("number-damaged", len(damaged), display=False)
glue("number-cells", sum(len(table) for table in tables.values()), display=False)
glue("provenance-damaged", page.provenance(damaged, "damaged-cells.csv", **source), display=False)

# %% [markdown]
# ## What contradicts what
#
# ````{table} Contradictions that would take two or more unrelated misread characters. Table numbers are the paper's.
# :name: table-contradictions
# ```{glue:md} contradictions-table
# :format: myst
# ```
# ````
#
# **Why SetB cannot lie below SetA.** SetB holds each run's ten checkpoints of highest test score, SetA those of lowest
# training loss. Sort both by score: each of SetB's is at least its counterpart. That stays so when runs are pooled, for
# means, medians and medians of medians. So no reading of the caption helps.
#
# ## What may be a slip of our copy
#
# ````{table} Each would be explained by one misread character, or by the same one in several places. Table numbers are the paper's.
# :name: table-scan
# ```{glue:md} slips
# :format: myst
# ```
# ````
#
# `````{dropdown} Digits that are doubtful in our copy
# Of {glue:text}`number-cells` cells of the printed tables, {glue:text}`number-damaged` are damaged, or have a note. A
# damaged cell is left empty, unless no doubt is left, as where a comma reads as a point. All cells of Tables 2a, 3a and 6
# are clean; Tables 2b, 3b, 5a and 5b of the paper are missing from our copy. The book uses the standard formulas of the
# test functions, and t from the start as printed.
#
# ````{table} Damaged cells of the paper's tables, and what they read.
# :name: table-damaged
# ```{glue:md} damaged
# :format: myst
# ```
# ````
# ```{glue} provenance-damaged
# ```
# `````
#
# `````{dropdown} The other checks, with harmless explanations
# ````{table} Checks that find something odd, or nothing. p, where the argument is one of chance, is not corrected for the number of checks.
# :name: table-overview
# ```{glue:md} others
# :format: myst
# ```
# ````
# ```{glue} provenance-checks
# ```
# The symmetry test, cell by cell, is on the page about [test functions](test-functions.ipynb).
# `````
#
# ## Printed p-values of Table 6 do not fit the printed spreads
#
# The paper says that it tests fifty models a set, ten from each of five runs. From the centres and spreads that its
# Table 4 prints, one can compute what such tests should give.

# %% tags=["hide-input", "remove-output"]
implied_sets = audit.implied_by_table_four(four, tables["3a"])
implied_sets.insert(0, "cell", implied_sets["algorithm"] + ", " + implied_sets["task"].map(task_title))
implied_pairs = audit.implied_for_table_six(four, six)
names = implied_pairs["comparison"].str.replace(" vs. ", "–")
implied_pairs.insert(0, "cell", names + ", " + implied_pairs["task"].map(task_title))
page.figure(
    "implied",
    lambda width: audit_figures.implied_p_values({"Two optimizers, Table 6 of the paper": implied_pairs}, width),
    alt="Printed p-values lie near 0.05 or above; those implied by fifty models mostly far below, those by five runs above 0.05 but for two.",
)
page.figure(
    "implied-sets-figure",
    lambda width: audit_figures.implied_p_values({"SetA against SetB, Table 3a of the paper": implied_sets}, width),
    alt="Printed p-values of SetA against SetB, and those implied by fifty models, which are lower in most cells.",
)
everything = pd.concat([implied_sets, implied_pairs])[["printed", "implied", "restarts"]]
logs = np.log10(everything)
nearer = (logs["printed"] - logs["restarts"]).abs() < (logs["printed"] - logs["implied"]).abs()
glue("nearer", int(nearer.sum()), display=False)
glue("cells", len(nearer), display=False)
glue("nearer-p", page.p_value(binomtest(int(nearer.sum()), len(nearer)).pvalue), display=False)
glue("gross", int(((implied_pairs["printed"] > 0.05) & (implied_pairs["implied"] < 0.001)).sum()), display=False)
glue("six-cells", len(implied_pairs), display=False)
widest = implied_pairs.loc[implied_pairs["difference"].abs().idxmax()]
glue("widest", widest["cell"], display=False)
glue("widest-centers", f"{widest['center_a']:.3f} and {widest['center_b']:.3f}", display=False)
glue("widest-gap", f"{100 * abs(widest['difference']):.1f}", display=False)
glue("widest-p", f"{widest['printed']:.2g}", display=False)
columns = {
    "cell": "cell",
    "center_a": "first centre",
    "center_b": "second",
    "printed": "printed p",
    "implied": "implied, 50 models",
    "restarts": "implied, 5 runs",
    "needed": "SD that the printed p needs",
    "allowed": "largest SD possible",
}
for name, table in (("implied-sets", implied_sets), ("implied-pairs", implied_pairs)):
    shown = table[list(columns)].rename(columns=columns)
    for column in ("printed p", "implied, 50 models", "implied, 5 runs"):
        shown[column] = shown[column].map(lambda p: "< 0.001" if p < 0.001 else f"{p:.2g}")
    page.table(name, shown, digits=3)
both = pd.concat([implied_sets.assign(beside="Table 3a"), implied_pairs.assign(beside="Table 6")])
test = "Welch's t from printed centre and spread; Table 6 prints Mann–Whitney"
glue("provenance-implied", page.provenance(both, "implied-p-values.csv", **source, test=test), display=False)

# %% [markdown]
# ```{glue:figure} implied
# :name: figure-implied
#
# Printed p-values (black), and Welch's t from the centres and spreads of Table 4 of the paper, read as fifty models (red) and as five runs (hollow).
# ```
#
# In {glue:text}`gross` of the {glue:text}`six-cells` cells of Table 6 the printed p is above 0.05, where fifty models of these means and spreads
# would give less than 0.001. Were the tests run on five values, one per run? The printed p is nearer to that, on a logarithmic scale,
# in {glue:text}`nearer` of {glue:text}`cells` cells of Tables 3a and 6, which chance could give (p = {glue:text}`nearer-p`, and cells share sets).
#
# The widest gap of Table 6 is {glue:text}`widest-gap` points ({glue:text}`widest`: {glue:text}`widest-centers`). It is
# printed with p = {glue:text}`widest-p` and read as “cannot distinguish”; fifty models of these means and spreads would
# be told apart. Two ways out remain: a rank test can miss such a gap where a few collapsed models make it, and the
# *median standard deviation* of Table 4's caption may leave out the spread between runs.
#
# `````{dropdown} The implied p-values
# ````{table} Two optimizers, Table 6 of the paper. Last column: the largest standard deviation that values between 0 and 1 can have around these centres.
# :name: table-implied
# ```{glue:md} implied-pairs
# :format: myst
# ```
# ````
#
# ```{glue:figure} implied-sets-figure
# :name: figure-implied-sets
#
# The same for SetA against SetB.
# ```
#
# ````{table} SetA against SetB, Table 3a of the paper.
# :name: table-implied-sets
# ```{glue:md} implied-sets
# :format: myst
# ```
# ````
# ```{glue} provenance-implied
# ```
# `````

# %% tags=["hide-input", "remove-output"]
gates = {"ε": gate["epsilon"].map("{:g}".format), "t from the start (printed)": gate["printed"]}
page.table("gate", pd.DataFrame(gates | {"t from the last noise": gate["since_last"]}), digits=1)
of_text = audit.slips_of_texts()
for document in ("inan2024", "article"):
    rows = of_text[of_text["document"] == document]
    page.table(f"slips-{document}", audit_tables.slips_table(rows))
    glue(
        f"provenance-{document}",
        page.provenance(rows, f"slips-{document}.csv", read="abstracts at least"),
        display=False,
    )
settings = {"landscape": "six-hump camel", "restarts": gate_restarts, "seed": seed, "ρ": 0.1, "τ": 50}
glue("provenance-gate", page.provenance(gate, "noise-gate.csv", **settings), display=False)

# %% [markdown]
# `````{dropdown} When noise is injected: two readings of Algorithm 2
# ````{table} How often NiM-GD (gradient descent with noise in the model) injects noise, times a restart of 1,000 steps.
# :name: table-gate
# ```{glue:md} gate
# :format: myst
# ```
# ````
# ```{glue} provenance-gate
# ```
# More on what the printed pseudo-code would do is on the page about [the optimizers](algorithms.ipynb).
# `````
#
# `````{dropdown} Small slips of the text
# ````{table} Statements that disagree with each other or with their source. None changes a result by itself.
# :name: table-slips-paper
# ```{glue:md} slips-inan2024
# :format: myst
# ```
# ````
# ```{glue} provenance-inan2024
# ```
# The benchmark's own results are in {cite:t}`barbieri2020`.
# `````
#
# `````{dropdown} An unsigned article on flat minima that we started from
# It gives no numbers, so it is taken as a list of hypotheses. What follows was read, not computed; the sources are
# {cite:t}`keskar2017`, {cite:t}`dinh2017`, {cite:t}`wu2020` and {cite:t}`andriushchenko2023`.
#
# ````{table} Statements that their sources do not carry.
# :name: table-slips-article
# ```{glue:md} slips-article
# :format: myst
# ```
# ````
# ```{glue} provenance-article
# ```
# `````
#
# Slips in the code of Yu and Morozov are on the page about [their paper](between-solutions.ipynb).
