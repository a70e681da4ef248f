"""How long the annealed runs that a profile plans will still take, at the pace of those that are there."""

from pathlib import Path

import numpy as np
import pandas as pd

from popview.common.folders import RESULTS
from popview.runs import store
from popview.runs.annealed import ROUNDS, AnnealedPlan
from popview.runs.costs import cost, pace


def hours_to_come(profile: str, task: str, root: Path = RESULTS) -> pd.DataFrame:
    """Return what is missing of a task's annealed runs, searches and arms included, and the core-hours it will take.

    A search that has not ended counts whole, and so does what its choice will be trained in. An algorithm goes at the
    pace of its own annealed runs; where none is there, at the mean pace of the task's others. Those may have had a
    slower processor than is at hand, so that the fastest pace stands beside it.

    Parameters
    ----------
    profile, task : str
    root : Path
        Of the store.

    Returns
    -------
    DataFrame
        One row per variant and algorithm of which files are missing: ``task, variant, algorithm, restarts`` (missing),
        ``core_hours`` (NaN where the task has no annealed runs to go by), ``least_hours`` (at the fastest pace of the
        task's algorithms), ``command``. The SGD that SWA rides on is no
        row: it is trained with SWA.
    """
    plan, rows = AnnealedPlan(profile, task), []
    if not plan.variants:
        return pd.DataFrame()
    paces = {name: pace(profile, task, "annealed", name, root=root) for name in plan.algorithms("annealed")}
    known = [value for value in paces.values() if value == value]
    for variant in (*ROUNDS, "annealed", *plan.arms):
        for name in plan.algorithms(variant):
            missing = store.missing(plan.planned(variant, name), root)
            if missing:
                own = missing[0]
                beside = [cost(spec) for spec in own.alongside]  # whose training is charged to the rider
                flops = len(missing) * (cost(own).flops + sum(rider.evaluation + rider.measures for rider in beside))
                going = paces[name] if paces[name] == paces[name] else float(np.mean(known)) if known else np.nan
                row = {"task": task, "variant": variant, "algorithm": name, "restarts": len(missing) * own.restarts}
                row |= {"core_hours": flops * going / 3600}
                row |= {"least_hours": flops * min(known, default=np.nan) / 3600, "command": own.command}
                rows.append(row)
    return pd.DataFrame(rows)
