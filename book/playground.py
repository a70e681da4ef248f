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
# # Playground: where restarts end
#
# Small noise moves no restart to another minimum; long hops do. Press **Start**. A bar is the share of 500 restarts (dots) at a
# minimum now; its line, the share that began in that basin.
#
# <div class="playground" id="playground-restarts" role="group" aria-label="Restarts on a test function">
# <div class="stage">
# <div class="choices"><button type="button" class="run">Start</button><button type="button" class="end">To the end</button><button type="button" class="again">New starts</button></div>
# <div class="plot" tabindex="0" role="img" aria-label="Contours of the function with its minima, and a dot for each restart"><canvas></canvas></div>
# <div class="ends">
# <table><thead><tr><th scope="col">where</th><th scope="col" class="bar">share</th><th scope="col">now</th><th scope="col">began</th></tr></thead><tbody></tbody></table>
# <p class="step"></p>
# <p class="fact muted"></p>
# </div>
# </div>
# <p><strong>At the end, compare</strong> each bar with its line. Where they differ, the optimizer has moved restarts to another minimum. Examples:</p>
# <div class="choices" role="group" aria-label="Examples">
# <button type="button" data-preset='{"algorithm": "NiG-GD"}' data-note="As in our copy of Table 1 of Inan, Liu and Shehu (2024): a step has length 0.01, and noise in the gradient (NiG) moves a point by a thousandth at most. So restarts end in the basins where they begin, as those of gradient descent (GD) do. That is why most rows of our copy are the same.">Noise too small</button>
# <button type="button" data-preset='{"algorithm": "NiG-GD", "rho": 0}' data-note="Without noise, at ρ = 0, NiG-GD is gradient descent. Raise ρ: the bars stay at their lines up to ρ = 2, twenty times the radius in that table. From ρ = 5 on restarts no longer come to rest.">No noise</button>
# <button type="button" data-preset='{"algorithm": "NiM-GD"}' data-note="Noise in the model (NiM) waits for a gradient below 0.001, which hardly ever comes with steps of one length. Take that tick off, and it is added some 80 times a restart. It moves none of them all the same, for ρ = 0.1 is too short to leave a basin.">Noise where it is flat</button>
# <button type="button" data-preset='{"algorithm": "SAM", "landscape": "two-well", "rho": 0.3}' data-note="Sharpness-aware minimization (SAM) looks uphill by ρ before it steps. Beside a ridge that look crosses to the other side, so about a quarter comes to rest at the saddle, more of them from the narrow side. Whoever counts these to the wide well sees a preference for flat minima.">Stuck at the saddle</button>
# <button type="button" data-preset='{"algorithm": "NiM-MBH", "landscape": "six-hump-camel", "rho": 2, "lr": 0.02}' data-note="Here something does move. Hops of length up to 2 leave the basin, and monotonic basin hopping (MBH) keeps a hop only if it ends lower. The two deepest minima take nearly all restarts.">Long hops</button>
# <button type="button" data-preset='{"algorithm": "GD", "landscape": "three-hump-camel", "normalized": false}' data-note="With the raw gradient a step is as long as the slope is steep. About a fifth of the restarts leave the picture for good, and the middle one of the minima gains. The paper does not say which gradient it follows.">Steps as long as the slope</button>
# </div>
# <p class="note"></p>
# <div class="controls">
# <label>Function <select name="landscape"></select></label>
# <label>Algorithm <select name="algorithm"></select></label>
# <label>Learning rate η <output></output><input type="range" name="lr" min="0" value="0" data-values="0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2"></label>
# <label>Radius ρ <output></output><input type="range" name="rho" min="0" value="0" data-values="0 0.01 0.02 0.05 0.1 0.2 0.3 0.5 1 2 5 10 20 50"></label>
# <label>Steps τ <output></output><input type="range" name="tau" min="0" value="0" data-values="1 2 5 10 20 50 100 200"></label>
# <label>Restarts <output></output><input type="range" name="restarts" min="0" value="0" data-values="1 10 50 100 200 500 1000 2000"></label>
# <label>Steps per frame <output></output><input type="range" name="speed" min="0" value="0" data-values="1 2 4 8 16"></label>
# <label><input type="checkbox" name="normalized"> steps of one length</label>
# </div>
# <p class="muted">★: global minimum; ○: local one; (x, y): where it is. Its basin: from where the steepest way down leads to it. A restart within 0.1 of a minimum is at it; one within 0.2 of a saddle is at that. ρ is how far noise reaches, or SAM looks. τ is the most steps of a hop, or the steps before NiM adds noise. Steps of one length follow the normalised gradient. The space bar starts and stops. All is computed in your browser.</p>
# <div class="visually-hidden" role="status" aria-live="polite"></div>
# </div>
#
# What this shows, with tests: [Test functions](test-functions.ipynb).
#
# ## What SetA and SetB take
#
# **Look for** the gap between SetA (filled: lowest training loss) and the other set (rings), and for what closes it. Each
# dot is a checkpoint of a real run.
#
# <div class="playground" id="playground-sets" role="group" aria-label="SetA and SetB of a run">
# <div class="choices" role="group" aria-label="Examples">
# <button type="button" data-preset='{"by": "test", "number": 10}' data-note="The paper's sets: ten checkpoints by training loss, ten by test score. SetB is chosen by the score that is then compared, so it cannot lie below SetA.">The paper: L = 10</button>
# <button type="button" data-preset='{"by": "validation", "number": 10}' data-note="Nobody can choose by the test score. Chosen by the validation score, the other set is a choice that a user has, and its lead is smaller or gone.">What a user can choose</button>
# <button type="button" data-preset='{"by": "last", "number": 10}' data-note="The last ten checkpoints, without a look at any loss. If SetA is no better than these, the loss says no more than that late models are good.">The last ten</button>
# <button type="button" data-preset='{"by": "test", "number": 1}' data-note="One model a run: luck counts most here, for the best of all checkpoints on these very examples is taken.">The single best</button>
# <button type="button" data-preset='{"by": "test", "number": 30}' data-note="With L near the number of checkpoints both sets take nearly everything, and agree by construction.">Nearly all</button>
# </div>
# <p class="note"></p>
# <svg role="img" aria-label="Test score against training loss"></svg>
# <table><thead><tr><th scope="col">mean test score, points</th><th scope="col">SetA (filled)</th><th scope="col">other set (rings)</th><th scope="col">difference</th><th scope="col">in common</th></tr></thead><tbody><tr><th scope="row">This restart</th><td></td><td></td><td></td><td></td></tr><tr><th scope="row" class="all"></th><td></td><td></td><td></td><td></td></tr></tbody></table>
# <div class="controls">
# <label>Task <select name="task"></select></label>
# <label>Optimizer <select name="algorithm"></select></label>
# <label>The other set is chosen by <select name="by"><option value="test">test score (SetB)</option><option value="validation">validation score</option><option value="last">being the last</option></select></label>
# <label>Checkpoints in a set L <output></output><input type="range" name="number" min="1" max="30" value="10"></label>
# <label>Restart <output></output><input type="range" name="restart" min="1" max="10" value="1"></label>
# </div>
# <p class="muted">Two unrelated choices would have <span class="chance"></span> in common. Where checkpoints tie for the last places, each counts by its chance, and is drawn as pale. Early checkpoints of low score are out of the picture.</p>
# <div class="visually-hidden" role="status" aria-live="polite"></div>
# </div>
#
# What this shows, with intervals: [Does lower loss generalize?](loss-and-generalization.ipynb)
#
# ## What pooling finds where nothing is
#
# **Look for** bars of the paper's pooled tests that pass the line at 5 %. The two optimizers do not differ at all. The more
# alike the checkpoints of a run are (intra-class correlation, ICC), the longer the bars.
#
# <div class="playground" id="playground-positives" role="group" aria-label="False positives of three tests">
# <div class="choices" role="group" aria-label="Examples" data-note="At {icc}, the median ICC of {task} in this book, ten checkpoints of a run are worth {worth} independent ones. Pooled tests take them for ten.">
# <button type="button" data-preset='{"icc": 0, "restarts": 5, "checkpoints": 10}' data-note="Independent checkpoints: all three tests find something in 5 % of cases, as they should. Now raise the ICC.">Independent, ICC 0</button>
# </div>
# <p class="note"></p>
# <svg role="img" aria-label="One simulated pair of optimizers: a column for each run, a dot for each checkpoint"></svg>
# <table><thead><tr><th scope="col">test</th><th scope="col" class="bar">differences found</th><th scope="col">share</th><th scope="col">error, points</th></tr></thead><tbody>
# <tr data-test="pooled Mann–Whitney"><th scope="row">pooled Mann–Whitney</th><td class="bar"><div><i></i><b class="five"></b></div></td><td class="rate"></td><td class="error muted"></td></tr>
# <tr data-test="pooled t"><th scope="row">pooled t</th><td class="bar"><div><i></i><b class="five"></b></div></td><td class="rate"></td><td class="error muted"></td></tr>
# <tr data-test="t on restarts"><th scope="row">t, one mean a run</th><td class="bar"><div><i></i><b class="five"></b></div></td><td class="rate"></td><td class="error muted"></td></tr></tbody></table>
# <div class="controls">
# <label>ICC <output></output><input type="range" name="icc" min="0" max="0.99" step="0.01" value="0"></label>
# <label>Runs of each optimizer <output></output><input type="range" name="restarts" min="0" value="3" data-values="2 3 4 5 7 10 15 20 30"></label>
# <label>Checkpoints of each run L <output></output><input type="range" name="checkpoints" min="0" value="1" data-values="5 10 15 20 30 50"></label>
# </div>
# <div class="choices"><button type="button" class="again">Another pair</button></div>
# <p class="step muted"></p>
# <div class="visually-hidden" role="status" aria-live="polite"></div>
# </div>
#
# What follows for tests: [Why five runs mislead](five-runs.ipynb).
#
# <noscript><p>This page computes in the browser, and needs JavaScript for that.</p></noscript>
# <link rel="stylesheet" href="_static/playground.css">
# <script src="_static/playground-maths.js"></script>
# <script src="_static/playground-views.js"></script>

# %% tags=["parameters"]
profile: str = "laptop"  # scale of the runs whose checkpoints are chosen from
restarts: int = 10  # of each task and optimizer [1 or more]
algorithms: list[str] = ["SGD", "SAM"]  # the optimizers
per_trajectory: int = 10  # models selected from each trajectory by training loss, for the correlations [2 or more]

# %% tags=["remove-input"]
import pandas as pd

from popview.book import playground
from popview.book.names import task_title
from popview.populations import checkpoints, pooled, tables

_, results = tables.gather(profile, variant="base")
runs = {task: found for (task, _), found in results.items()}
sets = {task: checkpoints.select(found, "train_loss", per_trajectory) for task, found in runs.items()}
correlations = pd.Series(
    {task: pooled.clustering(chosen)["icc"].median() for task, chosen in sets.items()}, dtype=float
)
playground.embedded(
    "playground-data",
    {
        "protocol": playground.protocol(),
        "landscapes": playground.landscapes(),
        "trajectories": playground.trajectories(runs, algorithms, restarts),
        "correlations": [
            {"title": task_title(task), "icc": round(value, 3)}
            for task, value in correlations.clip(0, 1).dropna().items()
        ],
    },
)
