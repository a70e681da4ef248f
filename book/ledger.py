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
# # Every claim has a verdict, and every verdict a rule
#
# Three documents make {glue:text}`number-claims` claims. Each is judged by a written rule, from the printed tables, from
# landscapes and simulations, and on each task; no verdict is written by hand. Of the paper's {glue:text}`judged-on-tasks` claims on
# tasks, {glue:text}`everywhere` hold on every task at default settings, and {glue:text}`nowhere` fail on every task; the others hold on some,
# in part, or cannot be told. Of the rules {glue:text}`number-changed`
# were changed after results had been seen, and [the earlier verdicts are shown](table-reconsidered).
#
# ````{table} The paper's claims. ✓ holds, ◐ in part, ✗ does not hold, ? cannot be told, – not tested. Two marks: default settings, then searched ones, which are annealed but on GoEmotions. Scores of optimizers are compared at equal epochs, by the paper's SetA: the mean score on the test sample of each run's ten models of lowest training loss. The row on equal gradients compares training losses.
# :name: table-ledger
# ```{glue:md} grid-inan2024
# :format: myst
# ```
# ````

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the runs
restarts: int = 500  # restarts per cell of Table 1 behind the verdicts on landscapes [1 or more]
two_well_restarts: int = 2000  # restarts per algorithm behind the verdict on flat minima [1 or more]
seed: int = 0  # of starts and noise [0 or more]

# %% tags=["remove-cell"]
import torch
from IPython.display import HTML
from myst_nb import glue

from popview.book import page
from popview.book.tables import claims as claim_tables
from popview.common.contents import page_names
from popview.common.kept import kept
from popview.paper import claims, ledger
from popview.paper.rules import Computed

torch.set_num_threads(1)
known = claims.read_claims()
computed = Computed(restarts=restarts, two_well_restarts=two_well_restarts, seed=seed)
entries = kept(claims.judge_everything, profile, computed)
pages = set(page_names())
for document in claims.DOCUMENTS:
    named = known[known["document"] == document]
    page.table(
        f"grid-{document}", claim_tables.marks_grid(entries, dict(zip(named["id"], named["claim"], strict=True)), pages)
    )
    page.table(f"ledger-{document}", claim_tables.full(entries, document, pages))
stated = claims.rules_of_claims(known)
page.table("rules", claim_tables.rules(stated))
revised = claims.revised_verdicts(known)
page.show("reconsidered", revised, lambda found: claim_tables.changed_rules(found, stated))
superseded = claims.superseded_verdicts(entries)
superseded = superseded[~superseded["verdict"].isin(["not applicable", "not run here"])]
page.show("superseded", claim_tables.superseded(superseded), empty="none")
last = entries.merge(kept(claims.by_last_model, profile), on=["id", "scale", "variant"])
page.show("by-last", last, claim_tables.by_last, empty="none")
glue("number-last", len(last), display=False)
glue("number-last-turned", int((last["verdict"] != last["by_last"]).sum()) if len(last) else 0, display=False)
on_tasks = entries[(entries["document"] == "inan2024") & (entries["variant"] == "base")]
on_tasks = on_tasks[on_tasks["verdict"] != "not run here"].groupby("id")["verdict"]
for name, verdict in (("everywhere", "holds"), ("nowhere", "does not hold")):
    glue(name, sum(bool((words == verdict).all()) for _, words in on_tasks), display=False)
glue("judged-on-tasks", on_tasks.ngroups, display=False)
glue("number-claims", len(known), display=False)
changed = stated[stated["changed"] != ""].drop_duplicates(["evidence", "rule"])
glue("number-changed", len(changed), display=False)
glue("number-superseded", len(superseded), display=False)
glue("number-turned", int((superseded["verdict"] != superseded["earlier"]).sum()), display=False)
glue("missing", claim_tables.named(entries[claim_tables.without_verdicts(entries)]), display=False)
files = {
    "json": ledger.as_json(entries, profile),
    "csv": ledger.as_csv(entries, profile),
    "schema.json": ledger.schema(),
}
links = " · ".join(page.site_file(f"ledger.{kind}", content) for kind, content in files.items())
glue("ledger-files", HTML(f'<p class="provenance">{links}</p>'), display=False)
for name, frame in (("ledger", entries), ("rules", stated), ("reconsidered", revised), ("by-last", last)):
    glue(f"provenance-{name}", page.provenance(frame, f"{name}.csv", profile=profile), display=False)

# %% [markdown]
# Point at a mark for its numbers, or open the tables below.
#
# ## What the words mean
#
# - **Holds**: the evidence supports the claim. **Does not hold**: it contradicts the claim as a general one, on the task
#   that the column names; the paper's networks are larger.
# - **In part**: for some algorithms, or with a reservation that the numbers state.
# - **Inconclusive**: these runs cannot tell, or the evidence disagrees with itself.
# - Not run yet, or not whole: {glue:text}`missing`.
#
# `````{dropdown} Every verdict on the paper's claims, with its numbers
# ````{table} Claims of the paper: where each is made, and its verdict and numbers at each scale.
# :name: table-ledger-full
# ```{glue:md} ledger-inan2024
# :format: myst
# ```
# ````
#
# ```{glue} provenance-ledger
# ```
# `````
#
# A user has one model, the last. By its score on the whole test split {glue:text}`number-last-turned` of the {glue:text}`number-last`
# verdicts on comparisons of optimizers become others.
#
# `````{dropdown} Verdicts that turn with the model that is judged
# ````{table} Verdicts on comparisons of optimizers by SetA on the test sample, as above, and by the last model on the whole test split, where the two differ; the rules are the same.
# :name: table-by-last
# ```{glue:md} by-last
# :format: myst
# ```
# ````
# ```{glue} provenance-by-last
# ```
# `````
#
# ## The ledger as a file
#
# Every verdict with its claim, place, scale, numbers, rule and the rule's version: as JSON, and as CSV. A JSON schema says
# what each entry is. Their addresses stay: `/ledger.json`, `/ledger.csv` and `/ledger.schema.json` of this site. A rule's
# version is a hash of its entry in `data/paper/rules.toml`, so a verdict by a changed rule can be told from one by the
# old.
#
# ```{glue} ledger-files
# ```
#
# ## Two more documents ask the same question
#
# Yu and Morozov compare the solutions of two optimizers and the loss between them
# ([between solutions](between-solutions.ipynb)). An unsigned article asks whether flat minima are more robust.
#
# `````{dropdown} Claims of Yu and Morozov
# ````{table} Claims of Yu and Morozov, and the marks of their verdicts.
# :name: table-ledger-topography
# ```{glue:md} grid-yu2026
# :format: myst
# ```
# ````
# ````{table} Claims of Yu and Morozov, with their numbers.
# :name: table-ledger-full-topography
# ```{glue:md} ledger-yu2026
# :format: myst
# ```
# ````
# `````
#
# `````{dropdown} Claims of the article on flat minima and distribution shift
# ````{table} Claims of the article, and the marks of their verdicts.
# :name: table-ledger-article
# ```{glue:md} grid-article
# :format: myst
# ```
# ````
# ````{table} Claims of the article, with their numbers.
# :name: table-ledger-full-article
# ```{glue:md} ledger-article
# :format: myst
# ```
# ````
# `````
#
# ## The rules
#
# A rule names its test, its margin, and what gives which word. The margin is the profile's
# ([how to read](how-to-read.md)). A12 is the probability that a run of the first algorithm beats one of the second.
#
# `````{dropdown} All rules, as data/paper/rules.toml states them
# ````{table} What each claim is judged by. Claims without a line here are not tested, or by their page.
# :name: table-rules
# ```{glue:md} rules
# :format: myst
# ```
# ````
#
# ```{glue} provenance-rules
# ```
# `````
#
# ## Rules that were changed in sight of results
#
# The margins were fixed before the runs; the rules were not. They were worded and sharpened while results came in, so
# a verdict is a reading of these data, to be tried on others. Both readings are of the results of 29 November 2026; annealed runs and
# CIFAR-10's single changes are of the day after. Annealed SAM alone is read from other runs: with all epochs now, with half of them before.
#
# `````{dropdown} What was changed, when, and the verdicts by both rules
# ````{table} Rules changed when results were there, and the verdicts that turn on it.
# :name: table-reconsidered
# ```{glue:md} reconsidered
# :format: myst
# ```
# ````
#
# ```{glue} provenance-reconsidered
# ```
# `````
#
# Task by task annealed runs replace those with settings searched at a constant rate, and are judged by the same rules. Of
# {glue:text}`number-superseded` verdicts {glue:text}`number-turned` became others.
#
# `````{dropdown} Verdicts that other runs changed
# ````{table} Verdicts by runs with settings from six trials at a constant rate, and by annealed runs with settings from a grid; the rules are the same, and scores are at equal epochs in both. On CIFAR-10 and TweetEval five runs became ten.
# :name: table-superseded
# ```{glue:md} superseded
# :format: myst
# ```
# ````
# `````
