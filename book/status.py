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
# # 15 Status and provenance
#
# **Computed of the wanted restarts (base, tuned, and those of searches' trials): {glue:text}`progress`; {glue:text}`core-hours`
# core-hours so far. The table under [Trajectories](table-inventory) says which are missing.** Before it: every claim, its
# verdicts and its rule.

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the runs

# %% tags=["remove-cell"]
from importlib.metadata import version

import pandas as pd
from myst_nb import glue

from popview.book import page
from popview.book.tables import claims as claim_tables
from popview.book.tables import runs as run_tables
from popview.book.tables import topography as topography_tables
from popview.paper import claims, printed
from popview.runs import solutions as study
from popview.runs import status
from popview.runs.specs import VARIANTS

# %% [markdown]
# ## Ledger of claims
#
# Every claim, where it is made, and its verdict by rule at every scale, with the numbers behind it. The same on one
# line each is on [the first page](index.ipynb).

# %% tags=["hide-input", "remove-output"]
entries = claims.judge_everything(profile)
pages = claims.written_chapters()
for document in claims.DOCUMENTS:
    page.table(f"ledger-{document}", claim_tables.full(entries, document, pages))

# %% [markdown]
# ````{table} Claims of the paper.
# :name: table-ledger-full
# ```{glue:md} ledger-inan2024
# :format: myst
# ```
# ````
#
# ````{table} Claims of Yu and Morozov.
# :name: table-ledger-full-topography
# ```{glue:md} ledger-yu2026
# :format: myst
# ```
# ````
#
# ````{table} Claims of the article on flat minima and distribution shift.
# :name: table-ledger-full-article
# ```{glue:md} ledger-article
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(entries, "ledger.csv", profile=profile, rules="below")

# %% [markdown]
# The rules, as `data/paper/rules.toml` states them. One value per restart; A12 is the probability that a restart of the first algorithm
# beats one of the second, and the margin is the profile's.

# %% tags=["hide-input", "remove-output"]
stated = claims.rules_of_claims(claims.read_claims())
page.table("rules", claim_tables.rules(stated))

# %% [markdown]
# ````{table} What each claim is judged by. Claims without a line here are not tested, or by their chapter.
# :name: table-rules
# ```{glue:md} rules
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(stated, "rules.csv")

# %% [markdown]
# The margins were fixed before the runs; the rules were not. They were worded and sharpened while
# results came in, so a verdict is a reading of these data, to be tried on others. Of these rules a change turned
# verdicts, or could have. Both readings are of the results of 29 November 2026, base and tuned:

# %% tags=["hide-input", "remove-output"]
found = claims.revised_verdicts(claims.read_claims())
page.show("reconsidered", found, claim_tables.changed_rules)

# %% [markdown]
# ````{table} Rules changed when results were there: what was changed and when, and the verdicts that turn on it, by the rule as it stood and as it is.
# :name: table-reconsidered
# ```{glue:md} reconsidered
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(found, "reconsidered.csv", profile="laptop")

# %% [markdown]
# ## Trajectories

# %% tags=["hide-input", "remove-output"]
everything = pd.DataFrame(status.inventory(profile))
read = everything["variant"].isin(VARIANTS)
inventory, annealed = everything[read], everything[~read]
page.table("inventory", run_tables.inventory_table(inventory))
glue("progress", run_tables.progress(inventory), display=False)
glue("core-hours", f"{inventory['core_hours'].sum():.1f}", display=False)

# %% [markdown]
# ````{table} Restarts per task and variant, those of a search's trials included, all algorithms together: those wanted, also where a search has yet to give the settings; done; of which algorithms how many are to come; of them begun; of those done diverged; with a damaged file; what was done took. A tuned restart whose search chose the base setting is the base one, and took nothing.
# :name: table-inventory
# ```{glue:md} inventory
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    inventory,
    "inventory.csv",
    profile=profile,
    size=f"{inventory['bytes'].sum() / 1e6:.1f} MB in the repository",
    core_hours=f"{inventory['core_hours'].sum():.1f}",
)

# %% [markdown]
# Runs under warm-up and a cosine schedule are on their way, and no page reads them yet. A search tries every cell of a
# grid at a third of the budget, and its three finalists at the whole of it. With the settings that it chooses, fresh
# seeds are then trained (annealed), and a few arms that change one thing.

# %% tags=["hide-input", "remove-output"]
page.show("annealed", annealed, run_tables.inventory_table)

# %% [markdown]
# ````{table} Restarts under warm-up and cosine: wanted, done, and to come. Algorithms whose search has not ended are counted with what they will need.
# :name: table-annealed
# ```{glue:md} annealed
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(annealed, "annealed.csv", profile=profile, core_hours=f"{annealed['core_hours'].sum():.1f}")

# %% [markdown]
# Algorithm by algorithm, `popview status` says the same in a terminal (`--restarts 10`: how far it is to ten);
# `popview run` computes what is missing. The study of solutions behind chapter 11:

# %% tags=["hide-input", "remove-output"]
studied = study.solutions_coverage(profile) if profile in study.PROFILES else pd.DataFrame()
page.show("studied", studied, lambda table: topography_tables.sets_table(table, study.titles(profile)), digits=1)

# %% [markdown]
# ````{table} The study of solutions: sets that are there, of those wanted, and what they took.
# :name: table-studied
# ```{glue:md} studied
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(
    studied,
    "study.csv",
    profile=profile,
    size=f"{studied['bytes'].sum() / 1e6 if len(studied) else 0:.1f} MB in the repository",
)

# %% [markdown]
#
# ## Chapters

# %% tags=["hide-input", "remove-output"]
page.table("chapters", claim_tables.chapter_list(claims.chapter_names(), pages))

# %% [markdown]
# ````{table} The chapters. One that has a parameter *profile* reads results at that scale, which grow with computing time; the others are computed while the page is built.
# :name: table-chapters
# ```{glue:md} chapters
# :format: myst
# ```
# ````
#
# ## The paper's tables

# %% tags=["hide-input", "remove-output"]
places = {
    "1": "chapter 4",
    "2a": "chapter 6",
    "3a": "chapter 6",
    "4": "chapter 6",
    "6": "chapter 7",
    "2b": "chapter 6",
    "3b": "chapter 6",
    "5a": "chapter 6",
    "5b": "chapter 6",
}
paper = pd.DataFrame(
    {
        "table": number,
        "what it shows": entry.caption,
        "text at hand": "yes" if entry.available else "missing",
        "here": places[number],
    }
    for number, entry in printed.TABLES.items()
)
page.table("paper", paper)

# %% [markdown]
# ````{table} Tables of the paper, and where this book answers them. A missing table's page gives our own numbers.
# :name: table-paper
# ```{glue:md} paper
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(paper, "tables-of-the-paper.csv", source="arXiv 2403.00574, the only text at hand")

# %% [markdown]
# The paper says that its code is shared; no repository of it was found on 22 November 2026. Everything here is
# re-derived from the text. No code of others is used.
#
# ## Environment

# %% tags=["hide-input", "remove-output"]
packages = ("torch", "numpy", "scipy", "statsmodels", "pandas", "scikit-learn", "jupyter-book")
environment = pd.DataFrame([{"package": name, "version": version(name)} for name in packages])
page.table("environment", environment)

# %% [markdown]
# ````{table} Versions behind this build; the full list is requirements.lock.
# :name: table-environment
# ```{glue:md} environment
# :format: myst
# ```
# ````

# %% tags=["remove-input"]
page.provenance(environment, "environment.csv")

# %% [markdown]
# ## How to cite
#
# The repository's `CITATION.cff` has the entry for this book; the paper is {cite:t}`inan2024`.
#
# ```{bibliography}
# ```
