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
# # What has been run, and what is to come
#
# Of the {glue:text}`wanted-runs` runs at a constant learning rate, {glue:text}`done-runs` are done. With the searches that are still here they took {glue:text}`core-hours` core-hours; {glue:text}`to-come` are to come.
# Of runs with an annealed learning rate, which repeat the comparison by rules fixed beforehand and replace searched ones task by task, there are
# {glue:text}`annealed-done` of {glue:text}`annealed-wanted`. With searches and control arms all annealed runs took {glue:text}`annealed-hours` core-hours and are
# {glue:text}`annealed-size` MB; [another page](table-ahead) has the core-hours of what is to come.
#
# ```{glue:figure} progress
# :name: figure-progress
#
# Planned runs that are done (filled) and to come (outlined), per task and kind.
# ```

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the runs

# %% tags=["remove-cell"]
from importlib.metadata import version

import pandas as pd
from myst_nb import glue

from popview.book import page, style
from popview.book.figures import runs as run_figures
from popview.book.names import task_title
from popview.book.tables import runs as run_tables
from popview.paper import printed
from popview.runs import status
from popview.runs.solutions import load as study_results
from popview.runs.solutions import parts as study
from popview.runs.specs import VARIANTS

style.use()
every = pd.DataFrame(status.inventory(profile))
optimizers = every["experiment"] == "optimizers"
everything, gridded = every[optimizers], every[~optimizers]
read = everything["variant"].isin(VARIANTS)
inventory, annealed = everything[read], everything[~read]
compared = inventory[inventory["variant"] != "trial"]
page.figure(
    "progress",
    lambda width: run_figures.progress(everything, width),
    alt="Bars of the share of planned runs that are done, one per task and kind of run.",
)
page.table("inventory", run_tables.inventory_table(inventory))
page.show("annealed", annealed, run_tables.inventory_table)
page.show("gridded", gridded, run_tables.inventory_table)
for name, rows in (("", compared), ("annealed-", annealed[annealed["variant"] == "annealed"])):
    for column in ("done", "wanted"):
        key = f"{name}{column}" if name else f"{column}-runs"
        glue(key, f"{rows[column].sum():,}", display=False)
glue("core-hours", f"{inventory['core_hours'].sum():.1f}", display=False)
glue("annealed-hours", f"{annealed['core_hours'].sum():.1f}", display=False)
glue("annealed-size", f"{annealed['bytes'].sum() / 1e6:.1f}", display=False)
lacking = compared.groupby("task", sort=False)[["wanted", "done"]].sum()
lacking = lacking[lacking["done"] < lacking["wanted"]]
left = (f"{row.wanted - row.done:,} on {task_title(row.Index)}" for row in lacking.itertuples())
glue("to-come", ", ".join(left) or "none", display=False)
for name, rows in (("inventory", inventory), ("annealed", annealed), ("gridded", gridded)):
    size = f"{rows['bytes'].sum() / 1e6:.1f} MB in the repository"
    line = page.provenance(
        rows, f"{name}.csv", profile=profile, size=size, core_hours=f"{rows['core_hours'].sum():.1f}"
    )
    glue(f"provenance-{name}", line, display=False)

# %% [markdown]
# Algorithm by algorithm, `popview status` says the same in a terminal; `popview run` computes what is missing.
#
# `````{dropdown} Runs with default and searched settings
# ````{table} Training runs planned and done, those of searches included. A searched setting that is the default one needs no run of its own.
# :name: table-inventory
# ```{glue:md} inventory
# :format: myst
# ```
# ````
#
# ```{glue} provenance-inventory
# ```
# `````
#
# `````{dropdown} Runs with an annealed learning rate
# A search tries every cell of a grid at a third of the budget, and its three finalists at the whole of it. With the
# settings that it chooses, fresh seeds are trained, and a few arms that change one thing.
#
# ````{table} Runs with warm-up and cosine decay: planned, done, and to come.
# :name: table-annealed
# ```{glue:md} annealed
# :format: myst
# ```
# ````
#
# ```{glue} provenance-annealed
# ```
# `````
#
# `````{dropdown} Grids over hyperparameters: what makes minima flat, noise of every size, where the spread comes from
# ````{table} Runs of grids: planned, done, and to come.
# :name: table-gridded
# ```{glue:md} gridded
# :format: myst
# ```
# ````
#
# ```{glue} provenance-gridded
# ```
# `````

# %% tags=["remove-cell"]
studied = study_results.solutions_coverage(profile) if profile in study.PROFILES else pd.DataFrame()
page.show("studied", studied, lambda table: run_tables.sets_table(table, study.titles(profile)), digits=1)
size = f"{studied['bytes'].sum() / 1e6 if len(studied) else 0:.1f} MB in the repository"
glue("provenance-studied", page.provenance(studied, "study.csv", profile=profile, size=size), display=False)

# %% [markdown]
# `````{dropdown} The study of what lies between solutions
# ````{table} Sets of solutions that are there, of those planned, and what they took.
# :name: table-studied
# ```{glue:md} studied
# :format: myst
# ```
# ````
#
# ```{glue} provenance-studied
# ```
# `````
#
# ## Where the paper's tables and figures are answered
#
# The paper says that its code is shared; no repository of it was found on 22 November 2026. Everything here is derived
# from its text, and no code of others is used. A table that the text at hand lacks is answered by our numbers alone.
#
# ````{table} The paper's tables and figures, and the pages with ours.
# :name: table-paper
# ```{glue:md} paper
# :format: myst
# ```
# ````
#
# ## The software
#
# `````{dropdown} Versions behind this build
# ````{table} The main packages; the file requirements.lock lists all.
# :name: table-environment
# ```{glue:md} environment
# :format: myst
# ```
# ````
# `````

# %% tags=["remove-cell"]
paper = pd.DataFrame(
    {
        "of the paper": f"Table {number}",
        "shows": entry.caption,
        "legible in our copy": "yes" if entry.available else "no",
        "here": f"[ours](paper-table-{number})",
    }
    for number, entry in sorted(printed.TABLES.items())
)
drawn = {
    "1": "the functions",
    "2": "restarts on Himmelblau's function",
    "3": "restarts on the six-hump camel",
    "4": "learning curves",
}
figures = pd.DataFrame(
    {
        "of the paper": f"Figure {number}",
        "shows": shows,
        "legible in our copy": "no",
        "here": f"[ours](paper-figure-{number})",
    }
    for number, shows in drawn.items()
)
page.table("paper", pd.concat([paper, figures], ignore_index=True))
packages = ("torch", "numpy", "scipy", "statsmodels", "pandas", "scikit-learn", "jupyter-book")
page.table("environment", pd.DataFrame([{"package": name, "version": version(name)} for name in packages]))
