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
# # The data: all runs, in Parquet files that you can read without our code
#
# <a href="data.zip" download><strong>Download all results: data.zip</strong></a>, under the MIT licence. Its
# {glue:text}`number-files` files ({glue:text}`number-megabytes` MB) hold {glue:text}`number-rows` rows. Of runs, a row is a
# checkpoint. Most files hold one run. Those of small networks hold several, which the column `seed` tells apart. A file's name and
# metadata say what was run.
#
# ## Five lines to read them
#
# In the folder where `data.zip` was unzipped, with pandas and pyarrow: the final test accuracy, from 0 to 1, of ten runs of stochastic
# gradient descent (SGD) on CIFAR-10.

# %%
from pathlib import Path

import pandas as pd

files = sorted(Path("data/optimizers/laptop/cifar10/SGD").glob("base-*"))
runs = pd.concat(map(pd.read_parquet, files)).sort_values("step")
runs.groupby("seed")["test_metric"].last().describe().round(4)

# %% [markdown]
# In a path, `laptop` is the scale of all runs in this book: networks small enough for a laptop. `base-` marks default settings. With [DuckDB](https://duckdb.org), which reads all files at once, and the task and algorithm from their paths:
#
# ```sql
# SELECT regexp_extract(filename, 'laptop/(.*)/', 1) AS runs_of,
#        count(DISTINCT seed) AS runs, max(test_metric) AS best
# FROM read_parquet('data/optimizers/laptop/*/*/base-*.parquet',
#                   filename = true, union_by_name = true)
# GROUP BY ALL ORDER BY ALL;
# ```
#
# With [datasets](https://huggingface.co/docs/datasets), from the folder `data`, whose card names a configuration per task
# and a split per algorithm (`-` in a name is `_` there):
#
# ```python
# from datasets import load_dataset
#
# runs = load_dataset("data", "cifar10", split="NiM_BH")
# ```
#
# ## Where a file lies, and what its name says
#
# ```
# data/<experiment>/<profile>/<task>/<algorithm>/
#     <labels>-<seed>-<digest>.parquet
# ```
#
# The experiment `optimizers` has the runs that are compared. `solutions` has what lies
# [between solutions](between-solutions.ipynb). The others vary one source of chance. The label is the variant: `base` for
# default settings, `tuned` and `annealed` for searched ones. The digest is a hash of all that decides the run.
#
# The metadata are JSON under the key `popview` of the Parquet schema:

# %%
import json

import pyarrow.parquet as pq

told = json.loads(pq.read_schema(files[0]).metadata[b"popview"])
told["spec"]["task"], told["spec"]["algorithm"], told["spec"]["hyperparameters"]

# %% tags=["remove-cell"]
from myst_nb import glue

from popview.book import page
from popview.book.tables import data as data_tables

known, there = data_tables.dictionary(), data_tables.shipped()
for (kind, part), _ in known.groupby(["kind", "part"], sort=False):
    page.table(f"{kind}-{part}", data_tables.dictionary_table(known, kind, part))
page.table("shipped", there.assign(folder="`" + there["folder"] + "`"), digits=1)
for name, digits in (("files", 0), ("rows", 0), ("megabytes", 0)):
    glue(f"number-{name}", f"{there[name].sum():,.{digits}f}", display=False)
glue("provenance-dictionary", page.provenance(known, "dictionary.csv"), display=False)
glue("provenance-shipped", page.provenance(there, "shipped.csv"), display=False)

# %% [markdown]
# `````{dropdown} How many files there are
# ````{table} Files of results, their rows and sizes.
# :name: table-shipped
# ```{glue:md} shipped
# :format: myst
# ```
# ````
#
# ```{glue} provenance-shipped
# ```
# `````
#
# ## The data dictionary
#
# Losses are negative log likelihoods in nats. Scores are shares between 0 and 1; the book shows them in points, hundredths.
# No column has missing values, but for the predictions, which stand in some rows only. `popview verify` checks every file
# against `data/manifest.csv`.
#
# ```{glue} provenance-dictionary
# ```
#
# `````{dropdown} Trajectories: a row per run and checkpoint
# ````{table} Columns of trajectories.
# :name: table-data-trajectory
# ```{glue:md} trajectory-column
# :format: myst
# ```
# ````
# ````{table} Their metadata: keys of the JSON under `popview`.
# :name: table-metadata-trajectory
# ```{glue:md} trajectory-metadata
# :format: myst
# ```
# ````
# `````
#
# `````{dropdown} Solutions: a row per run and stage
# ````{table} Columns of solutions.
# :name: table-data-solutions
# ```{glue:md} solutions-column
# :format: myst
# ```
# ````
# ````{table} Their metadata.
# :name: table-metadata-solutions
# ```{glue:md} solutions-metadata
# :format: myst
# ```
# ````
# `````
#
# `````{dropdown} Barriers between solutions: a row per pair
# ````{table} Columns of barriers.
# :name: table-data-barriers
# ```{glue:md} barriers-column
# :format: myst
# ```
# ````
# ````{table} Their metadata.
# :name: table-metadata-barriers
# ```{glue:md} barriers-metadata
# :format: myst
# ```
# ````
# `````
#
# `````{dropdown} Inner products of solutions: a row per solution
# ````{table} Columns of inner products.
# :name: table-data-products
# ```{glue:md} products-column
# :format: myst
# ```
# ````
# ````{table} Their metadata.
# :name: table-metadata-products
# ```{glue:md} products-metadata
# :format: myst
# ```
# ````
# `````
#
# `````{dropdown} Sweeps over test functions: a row per setting
# ````{table} Columns of sweeps.
# :name: table-data-sweep
# ```{glue:md} sweep-column
# :format: myst
# ```
# ````
# ````{table} Their metadata.
# :name: table-metadata-sweep
# ```{glue:md} sweep-metadata
# :format: myst
# ```
# ````
# `````
#
# `````{dropdown} Ensembles, and pairs of models: CSV files in data/ensembles
# ````{table} Columns of ensembles: a row per algorithm, size and restart left out.
# :name: table-data-ensembles
# ```{glue:md} ensembles-column
# :format: myst
# ```
# ````
# ````{table} Columns of pairs: a row per two algorithms.
# :name: table-data-pairs
# ```{glue:md} pairs-column
# :format: myst
# ```
# ````
# ````{table} Columns of spreads: a row per algorithm.
# :name: table-data-spreads
# ```{glue:md} spreads-column
# :format: myst
# ```
# ````
# ````{table} Columns of differences to SGD: a row per algorithm.
# :name: table-data-differences
# ```{glue:md} differences-column
# :format: myst
# ```
# ````
# ````{table} Columns of ensembles of digits under corruption: a row per ensemble.
# :name: table-data-shifted
# ```{glue:md} shifted-column
# :format: myst
# ```
# ````
# `````
