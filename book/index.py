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
# # Beyond single-model views: recomputed, checked, extended
#
# **Does better optimization give better generalization? {cite:t}`inan2024` answer by comparing *populations* of models
# instead of single ones. This book recomputes its tables, tests its claims with one value per restart,
# and extends it.** Every table of numbers and every figure is computed by the code beside it, with the paper's printed
# values beside ours wherever they can be read.
#
# The short answer, of networks and budgets smaller than the paper's, and by task, for *base* settings (one per
# algorithm, stated in the profile) and *tuned* ones (the best of the same search for each), which are named where they differ:
#
# - Late in training, models of lower loss are better: {glue:md}`loss-and-accuracy`.
# - Choosing models by training loss costs no more than the margin: {glue:md}`selection-by-loss`.
# - SGD, its noisy variants and Basin Hopping perform on par with SAM: {glue:md}`comparable`.
# - A single model per optimizer misleads; a population is needed: {glue:md}`single-model`.
#
# The next table has all claims, and below it stands what the words mean.

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the runs
restarts: int = 500  # restarts per cell of Table 1 behind the verdicts on landscapes
two_well_restarts: int = 2000  # restarts per algorithm behind the verdict on flat minima
seed: int = 0  # of starts and noise

# %% tags=["remove-cell"]
import torch
from myst_nb import glue

from popview.book import page
from popview.book.tables import claims as claim_tables
from popview.paper import claims
from popview.paper.rules import Computed

torch.set_num_threads(1)
entries = claims.judge_everything(profile, Computed(restarts=restarts, two_well_restarts=two_well_restarts, seed=seed))
pages = claims.written_chapters()
facts = {"profile": profile, "restarts": f"{restarts} a cell on landscapes, the profile's on tasks", "seed": seed}

# %% [markdown]
# ## What the paper claims, and what we find

# %% tags=["hide-input", "remove-output"]
for document in claims.DOCUMENTS:
    page.table(f"ledger-{document}", claim_tables.compact(entries, document, pages))
for claim in ("loss-and-accuracy", "selection-by-loss", "comparable", "single-model"):
    page.markdown(claim, claim_tables.in_a_line(entries, claim))
glue("missing", claim_tables.named(entries[claim_tables.without_verdicts(entries)]), display=False)

# %% [markdown]
# ````{table} The claims of the paper, in our words, and their verdicts by rule: from its printed tables alone, from landscapes and simulations, and from trained networks, with base and with tuned settings where the verdicts differ. A dash: this kind of evidence does not bear on it.
# :name: table-ledger
# ```{glue:md} ledger-inan2024
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(entries, "ledger.csv", **facts, csv="has where each claim is made, and the numbers behind each verdict")

# %% [markdown]
# *Holds*: the evidence supports it. *Does not hold*: the evidence contradicts it. *In part*: for some algorithms, or
# with a reservation that the numbers state. *Inconclusive*: these numbers cannot tell, or disagree with each other. No
# verdict is written by hand; the rules and the numbers behind each are on [the status page](status.ipynb), and so are
# [those rules that were changed in sight of results](table-reconsidered), with the verdicts that turn on it. Not run
# here yet, or not whole: {glue:text}`missing`. Networks and tasks differ from the paper's in scale, and base settings are this book's,
# since the paper states none: "does not hold" is said of the claim as a general one, on the task that the column names.
#
# Two more documents ask the same question from other sides, the topography of the landscape {cite:p}`yu2026` and
# flatness under distribution shift (an unsigned article). Their claims belong to chapters 11 and 12.
#
# ````{table} Claims of Yu and Morozov.
# :name: table-ledger-topography
# ```{glue:md} ledger-yu2026
# :format: myst
# ```
# ````
#
# ````{table} Claims of the article on flat minima and distribution shift.
# :name: table-ledger-article
# ```{glue:md} ledger-article
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(claims.read_claims(), "claims.csv", csv="the claims and the names of their rules")

# %% [markdown]
# ## How to read a page
#
# - What is in bold at the top is the point of the page.
# - Under every table and figure a line says what is behind it: profile, restarts, seeds and spread where it has them,
#   the processors of trajectories and of the page; and offers the numbers as a CSV.
# - **Restart** means one run from one seed. **Population** means the models of many restarts. **SetA** is the ten models
#   of each trajectory with the lowest training loss, **SetB** the ten with the highest test metric.
# - A verdict on two optimizers is *better*, *worse*, *equivalent* or *inconclusive*, or *undecidable at this n* where
#   no result could have decided, and follows a rule. "p > 0.05" is
#   never read as "the same": [chapter 8](five-runs.ipynb) shows why.
# - Cells of the paper that the only text at hand does not show legibly are dashes. They are never guessed. What is
#   printed and cannot be right is in [chapter 13](printed-paper.ipynb).
#
# ## How to rerun a page
#
# ```
# popview chapter 04 --list                # its parameters
# popview chapter 04 -p restarts=2000      # run it with your own
# popview book                             # rebuild what is stale
# ```
