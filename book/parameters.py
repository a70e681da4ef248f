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
# # What each page can be asked: parameters, bounds, minutes
#
# {glue:text}`number-pages` pages have {glue:text}`number-parameters` parameters between them.
# `popview chapter five-runs -p repeats=500` makes such a page with a number of your own; [rerun](rerun.md) says how. A
# value that is of another type, or out of bounds, is refused before anything runs.
#
# ````{table} Parameters of all pages. Times are of two cores with the defaults, and grow with restarts, repeats and iterations.
# :name: table-parameters
# ```{glue:md} parameters
# :format: myst
# ```
# ````

# %% tags=["remove-cell"]
from myst_nb import glue

from popview.book import page
from popview.book.tables import parameters as parameter_tables

everything = parameter_tables.all_parameters()
page.table("parameters", parameter_tables.parameters_table(everything))
glue("number-pages", everything["page"].nunique(), display=False)
glue("number-parameters", len(everything), display=False)
glue("provenance-parameters", page.provenance(everything, "parameters.csv"), display=False)

# %% [markdown]
# ```{glue} provenance-parameters
# ```
#
# `popview chapter NAME --list` prints the lines of one page. A list is given as `-p names=SGD,SAM`. Where the default is
# `None`, the profile decides, and `-p restarts=none` says so.
