"""The playground in a browser: what its scripts compute against the Python library, its frames a second, its keys.

Called by `audit_pages.py`. Stated where each is checked is how far the two may lie apart.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.stats
import torch
from playwright.sync_api import Browser, Page

from popview.landscapes import LANDSCAPES, Landscape
from popview.optimizers import make
from popview.paper.table_one import ALGORITHMS
from popview.populations import selection, tables
from popview.stationary import sample
from popview.statistics import simulations

#: Standard errors that two shares of independent samples may lie apart: among 200 comparisons chance reaches this in
#: one of 700 audits, and the random numbers are fixed.
ERRORS = 4.5
#: Restarts behind each share, and simulated pairs behind each rate.
RESTARTS, REPEATS = 20_000, 4_000
#: Milliseconds that a frame may take, at 60 a second, and how much slower than this machine a phone is taken to be.
FRAME, SLOWER = 1000 / 60, 4

#: Settings with which noise is added often and far enough to be seen in the shares.
SHARES = {"lr": 0.05, "tau": 20, "epsilon": 0.5, "normalized": True}
RADII = {"NiG-GD": 10.0, "NiM-GD": 0.5, "SAM": 0.3, "NiG-BH": 20.0, "NiM-BH": 1.0, "NiG-MBH": 20.0, "NiM-MBH": 1.0}

ENDS = """([name, algorithm, own, restarts, iterations, radius]) => {
  const landscape = JSON.parse(document.getElementById("playground-data").textContent).landscapes[name];
  const draw = popview.random(7), from = popview.starts(name, landscape.domain, restarts, draw);
  const all = popview.population(name, algorithm, own, from, popview.disc(draw));
  for (let k = 0; k < iterations; k++) popview.step(all);
  return [...popview.counts(all, landscape.minima, landscape.saddles, radius)];
}"""

STEPS = """([name, algorithm, own, x, y, zeta, path]) => {
  const noise = (i, out) => { [out[0], out[1]] = zeta[i]; };
  const all = popview.population(name, algorithm, own, { x, y }, noise);
  let most = 0;
  for (const [theirX, theirY] of path) {
    popview.step(all);
    for (let i = 0; i < all.n; i++)
      most = Math.max(most, Math.abs(all.x[i] - theirX[i]), Math.abs(all.y[i] - theirY[i]));
    all.x.set(theirX);
    all.y.set(theirY);
  }
  return most;
}"""

BASINS = """([name, x, y]) => {
  const { minima } = JSON.parse(document.getElementById("playground-data").textContent).landscapes[name];
  return x.map((_, i) => popview.basin(name, minima, x[i], y[i]));
}"""

SETS = """([by, number]) => {
  const { trajectories } = JSON.parse(document.getElementById("playground-data").textContent), found = {};
  for (const [task, { runs }] of Object.entries(trajectories)) for (const [algorithm, own] of Object.entries(runs))
    found[`${task} ${algorithm}`] = own.map((run) => {
      const { setA, setB, regret, overlap } = popview.sets(run, by, number);
      return [setA, setB, regret, overlap];
    });
  return found;
}"""

STATISTICS = "([a, b]) => [popview.rankZ(a, b), popview.tStatistic(a, b), popview.criticalT(a.length + b.length - 2)]"

RATES = "([icc, n]) => popview.study(5, 10, icc, popview.normal(popview.random(3))).more(n)"

MANY = """() => new Promise((done) => {
  const times = [];
  const tick = (now) => { times.push(now); times.length < 200 ? requestAnimationFrame(tick) : done(times); };
  requestAnimationFrame(tick);
})"""


def path(surface: Landscape, algorithm: str, own: dict[str, Any], starts: Any, zeta: Any, steps: int) -> np.ndarray:
    """Return where the library's optimizer is after each step, shape ``(steps, 2, restarts)``, with noise given."""
    points = torch.nn.Parameter(starts.clone())
    known = {"lr", "normalized"} if algorithm == "GD" else {"lr", "normalized", "rho"}
    known |= {"tau", "epsilon"} if algorithm.endswith("BH") or algorithm == "NiM-GD" else set()
    given = {} if algorithm in ("GD", "SAM") else {"noise": lambda models, generator: [zeta.clone()]}
    optimizer = make(algorithm, [points], population=True, **{name: own[name] for name in known}, **given)

    def closure() -> torch.Tensor:
        value, points.grad = surface.value_and_gradient(points.detach())
        return value

    found = []
    for _ in range(steps):
        optimizer.step(closure)
        found.append(points.detach().T.numpy().copy())
    return np.array(found)


def steps_apart(tab: Page) -> Iterator[str]:
    """Each of 120 steps of every algorithm, taken from where the library's is, ends within 1e-9 of where that one ends.

    Starts and noise are given. From step to step only the positions are handed over: places in hops, minima to return
    to and what is accepted are the page's own. (Normalised steps about a minimum, or across a ridge, magnify a
    difference in the last digit, which torch's fused products leave, a millionfold in a hundred steps.)
    """
    generator = torch.Generator().manual_seed(1)
    for name, surface in LANDSCAPES.items():
        starts = surface.sample_starts(50, generator)
        angle, radius = torch.rand(2, 50, dtype=torch.float64, generator=generator)
        zeta = radius.sqrt().unsqueeze(1) * torch.stack([(6.28 * angle).cos(), (6.28 * angle).sin()], dim=1)
        for algorithm in ALGORITHMS:
            for normalized, lr in ((True, 0.05), (False, 0.001)):
                own = {"lr": lr, "rho": 0.3, "tau": 20, "epsilon": 2.0, "normalized": normalized}
                theirs = path(surface, algorithm, own, starts, zeta, 120)
                given = [name, algorithm, own, *starts.T.tolist(), zeta.tolist(), theirs.tolist()]
                apart = tab.evaluate(STEPS, given)
                if not apart <= 1e-9:
                    yield f"{algorithm} on {name}, normalised {normalized}: {apart:.1e} from the library's"


def too_far(ours: np.ndarray, theirs: np.ndarray, number: int) -> bool:
    """Say whether two rows of counts of `number` lie more than `ERRORS` standard errors of their difference apart."""
    share = (ours + theirs) / (2 * number)
    return bool((np.abs(ours - theirs) > ERRORS * np.sqrt(2 * number * share * (1 - share)) + 1e-9).any())


def shares_apart(tab: Page) -> Iterator[str]:
    """Of 20,000 restarts with noise of their own as many end at each minimum, but for chance; the flow's are equal."""
    for name, surface in LANDSCAPES.items():
        minima = len(surface.minima)
        for algorithm in ALGORITHMS:
            own = SHARES | {"rho": RADII.get(algorithm, 0.0)}
            ours = np.array(tab.evaluate(ENDS, [name, algorithm, own, RESTARTS, 120, 0.25]))
            ours = np.array([*ours[:minima], ours[minima] + ours[minima + 1], ours[minima + 2]])
            known = {"lr", "normalized", *({"rho"} if algorithm in RADII else ())}
            known |= {"tau", "epsilon"} if algorithm.endswith("BH") or algorithm == "NiM-GD" else set()
            ends = sample(name, algorithm, RESTARTS, iterations=120, seed=5, **{key: own[key] for key in known})
            theirs = ends.counts_by_radius(0.25).numpy()
            if too_far(ours, theirs, RESTARTS):
                yield f"{algorithm} on {name} ends {ours.tolist()} times where the library's does {theirs.tolist()}"
        starts = surface.sample_starts(500, torch.Generator().manual_seed(2))
        index, distance = surface.nearest(surface.polish(starts))
        flow = torch.where(distance <= 0.01, index, -1).tolist()
        if tab.evaluate(BASINS, [name, *starts.T.tolist()]) != flow:
            yield f"starts on {name} lie in other basins than the library's"


def sets_apart(tab: Page) -> Iterator[str]:
    """The means of SetA and of its rival, their difference and overlap, are the library's to 1e-5."""
    _, results = tables.gather("laptop", variant="base")
    for by in ("test", "validation", "last"):
        for number in (1, 10, 30):
            ours = {name: np.array(rows, dtype=float) for name, rows in tab.evaluate(SETS, [by, number]).items()}
            for (task, _), found in results.items():
                theirs = [selection.chosen(found, "train_loss", per_trajectory=number)]
                if by == "last":
                    theirs += [selection.last_checkpoints(found, number=number)]
                else:
                    theirs += [selection.chosen(found, f"{by}_metric", per_trajectory=number)]
                    theirs += [selection.regret(found, f"{by}_metric", per_trajectory=number)]
                    theirs += [selection.overlap(found, f"{by}_metric", number)]
                for name in [name for name in theirs[0] if f"{task} {name}" in ours]:
                    got = ours[f"{task} {name}"][:, : len(theirs)]
                    expected = np.array([table[name].sort_index() for table in theirs]).T[: len(got)]
                    if not np.abs(got - expected).max() <= 1e-5:
                        yield f"SetA of {number} against the choice by {by}, {task}, {name}: not the library's numbers"


def rates_apart(tab: Page) -> Iterator[str]:
    """The tests' numbers are SciPy's to 1e-6, and reject as often as the library's simulation says, but for chance."""
    for size in (3, 10, 50):
        a, b = np.random.default_rng(size).normal(size=(2, size))
        z, t, critical = tab.evaluate(STATISTICS, [a.tolist(), b.tolist()])
        ranks = scipy.stats.mannwhitneyu(a, b, method="asymptotic").pvalue
        ours = np.array([2 * scipy.stats.norm.sf(z), t, critical])
        theirs = np.array([ranks, scipy.stats.ttest_ind(a, b).statistic, scipy.stats.t.isf(0.025, 2 * size - 2)])
        if not np.abs(ours - theirs).max() <= 1e-6:
            yield f"of two times {size} values: {ours.tolist()}, SciPy has {theirs.tolist()}"
    tests = ("pooled Mann–Whitney", "pooled t", "t on restarts")
    rates = simulations.false_positives((0.0, 0.5, 0.95), repeats=REPEATS, seed=4, tests=tests)
    for icc, rows in rates.groupby("icc"):
        counts = tab.evaluate(RATES, [icc, REPEATS])
        for test, rate in zip(rows["test"], rows["rate"], strict=True):
            if too_far(np.array([counts[test]]), np.array([round(rate * REPEATS)]), REPEATS):
                yield f"{test} at ICC {icc} rejects {counts[test] / REPEATS:.3f}, the library's {rate:.3f}"


def first_screen_fails(tab: Page) -> Iterator[str]:
    """When it opens nothing has moved, and the button, the map and the bars are on the first screen of a phone."""
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.reload()
    tab.wait_for_timeout(1000)
    step = tab.evaluate("document.querySelector('#playground-restarts .step').textContent")
    if step != "Step 0 of 1,000":
        yield f"restarts have moved before anybody asked for it: {step}"
    for part in (".run", ".plot", "table"):
        bottom = tab.evaluate(
            f"document.querySelector('#playground-restarts {part}').getBoundingClientRect().bottom + scrollY"
        )
        if bottom > 844:
            yield f"on a phone {part} ends {bottom - 844:.0f} pixels below the first screen"
    tab.set_viewport_size({"width": 360, "height": 740})


def keys_fail(tab: Page) -> Iterator[str]:
    """By keyboard alone: Tab reaches every control, the space bar starts and stops, arrows move sliders.

    Where the reader's system asks for less motion, restarts are at their end at once.
    """
    reach = "[...document.querySelectorAll('.playground :is(button, select, input):not(:disabled), .playground .plot')]"
    tab.evaluate(f"{reach}[0].focus()")
    reached = set()
    for _ in range(2 * int(tab.evaluate(f"{reach}.length"))):
        place = tab.evaluate(f"{reach}.indexOf(document.activeElement)")
        if place >= 0 and tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "none":
            yield f"it is not seen that the control {place} has the focus"
        reached.add(place)
        tab.keyboard.press("Tab")
    if missed := set(range(int(tab.evaluate(f"{reach}.length")))) - reached:
        yield f"Tab does not reach the controls {sorted(missed)}"
    step = "document.querySelector('#playground-restarts .step').textContent"
    tab.locator("#playground-restarts .plot").focus()
    tab.keyboard.press("Space")
    tab.wait_for_timeout(300)
    tab.keyboard.press("Space")
    stopped = tab.evaluate(step)
    tab.wait_for_timeout(200)
    if stopped.startswith("Step 0 ") or tab.evaluate(step) != stopped:
        yield f"the space bar does not start and stop: {stopped}"
    if not tab.evaluate("document.querySelector('#playground-restarts [role=status]').textContent"):
        yield "nothing is said when the restarts stop"
    tab.locator("#playground-restarts [name=rho]").focus()
    before = tab.evaluate("document.activeElement.getAttribute('aria-valuetext')")
    tab.keyboard.press("ArrowRight")
    if tab.evaluate("document.activeElement.getAttribute('aria-valuetext')") == before:
        yield "an arrow does not move a slider"
    tab.emulate_media(reduced_motion="reduce")
    tab.locator("#playground-restarts .run").click()
    if "Step 1,000 of" not in tab.evaluate(step):
        yield f"restarts move where motion is to be reduced: {tab.evaluate(step)}"
    tab.emulate_media(reduced_motion="no-preference")


def frames(tab: Page) -> tuple[float, float]:
    """Return milliseconds of the processor a frame while 500 restarts move, and frames a second, both slowed down.

    The first is of the page's main thread alone, and the least of three: what else this machine does only adds to it.
    """
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    def run() -> tuple[list[float], float]:
        tab.evaluate("document.querySelector('#playground-restarts [data-preset]').click()")  # which starts them
        tab.wait_for_timeout(500)
        before = busy()
        times = tab.evaluate(MANY)
        return times, (busy() - before) / len(times)

    cost = SLOWER * min(run()[1] for _ in range(3))
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    times, _ = run()
    session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    return cost, 1000 * (len(times) - 1) / (times[-1] - times[0])


def playground_faults(browser: Browser, address: str) -> list[str]:
    """Return what is wrong with the playground at an address."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, device_scale_factor=2)
    tab = context.new_page()
    tab.goto(address)
    tab.wait_for_timeout(1000)
    checks: list[Callable[[Page], Iterator[str]]] = [
        first_screen_fails,
        steps_apart,
        shares_apart,
        sets_apart,
        rates_apart,
    ]
    checks.append(keys_fail)
    found = [fault for check in checks for fault in check(tab)]
    tab.goto(address)  # as a reader opens it: the checks before have moved its sliders
    tab.wait_for_timeout(1000)
    cost, rate = frames(tab)
    print(f"playground, 500 restarts, {SLOWER} times slower: {cost:.1f} ms of processor a frame, {rate:.0f} frames a s")
    if cost > FRAME:
        found.append(f"a frame takes {cost:.1f} ms of the processor, above {FRAME:.1f}")
    context.close()
    return found
