// What the playground computes: landscapes, optimizers, selection, tests. It neither draws nor reads the page.
// `make audit` compares it with the Python library: tests/audit_playground.py.
const popview = (() => {
  "use strict";
  const FAR = 1e3;        // beyond this distance from the origin a restart counts as diverged
  const SADDLE = 0.2;     // within this distance of a saddle a restart counts as at the saddle
  const FINISHED = 0.01;  // a descent that ends farther from all minima than this has not finished

  // ---------------------------------------------------------------- random numbers

  // Numbers between 0 and 1, from a seed: Chris Doty-Humphrey's sfc32.
  const random = (seed) => {
    let a = 0x9e3779b9 ^ seed, b = 0x243f6a88, c = 0xb7e15162, d = 1;
    const next = () => {
      const sum = (a + b + d) | 0;
      d = (d + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = ((c << 21) | (c >>> 11)) + sum | 0;
      return (sum >>> 0) / 4294967296;
    };
    for (let i = 0; i < 15; i++) next();
    return next;
  };

  // Standard normal numbers, by Box and Muller.
  const normal = (next) => {
    let kept = null;
    return () => {
      if (kept !== null) {
        const value = kept;
        kept = null;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log(1 - next())), angle = 2 * Math.PI * next();
      kept = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    };
  };

  // Noise uniform in the unit disc, for any restart.
  const disc = (next) => (i, out) => {
    const radius = Math.sqrt(next()), angle = 2 * Math.PI * next();
    out[0] = radius * Math.cos(angle);
    out[1] = radius * Math.sin(angle);
  };

  // ---------------------------------------------------------------- landscapes: the value; the gradient goes into g

  const FORMULAS = {
    "himmelblau": (x, y, g) => {
      const a = x * x + y - 11, b = x + y * y - 7;
      g[0] = 4 * x * a + 2 * b;
      g[1] = 2 * a + 4 * y * b;
      return a * a + b * b;
    },
    "three-hump-camel": (x, y, g) => {
      const u = x * x;
      g[0] = x * (4 + u * (u - 4.2)) + y;
      g[1] = x + 2 * y;
      return u * (2 + u * (u / 6 - 1.05)) + y * (x + y);
    },
    "six-hump-camel": (x, y, g) => {
      const u = x * x, v = y * y;
      g[0] = x * (8 + u * (2 * u - 8.4)) + y;
      g[1] = x + y * (16 * v - 8);
      return u * (4 + u * (u / 3 - 2.1)) + x * y + 4 * v * (v - 1);
    },
    "two-well": (x, y, g) => {  // both wells at 0, curvatures 2 and 20 across
      const t = Math.min(Math.max((x + 1) / 2, 0), 1), bell = t * (1 - t), square = y * y, well = x * x - 1;
      const step = t * t * t * (t * (6 * t - 15) + 10), slope = 15 * (bell * bell), curvature = 2 + 18 * step;
      g[0] = 4 * x * well + 18 * square / 2 * slope;
      g[1] = curvature * y;
      return well * well + curvature * square / 2;
    },
  };

  // x on the boundary of the two wells' basins by |y|: up the gradient from beside the saddle, by Runge and Kutta.
  const boundary = (() => {
    const parts = 1000, xs = new Float64Array(parts + 1), g = [0, 0];
    const slope = (y, x) => {
      FORMULAS["two-well"](x, y, g);
      return g[0] / g[1];
    };
    for (let i = 1; i < parts; i++) {
      const y = i / parts, h = 1 / parts, x = xs[i];
      const a = slope(y, x), b = slope(y + h / 2, x + h / 2 * a), c = slope(y + h / 2, x + h / 2 * b);
      xs[i + 1] = x + h / 6 * (a + 2 * b + 2 * c + slope(y + h, x + h * c));
    }
    return (y) => {
      const place = Math.min(Math.abs(y), 1) * parts, i = Math.min(Math.floor(place), parts - 1);
      return xs[i] + (place - i) * (xs[i + 1] - xs[i]);
    };
  })();

  // Starts, as coordinates x and y: uniform over the domain; on both sides of the boundary alike for the two wells.
  const starts = (landscape, domain, number, next) => {
    const x = new Float64Array(number), y = new Float64Array(number), [[left, right], [low, high]] = domain;
    for (let i = 0; i < number; i++) {
      x[i] = next();
      y[i] = low + (high - low) * next();
      x[i] = landscape === "two-well" ? boundary(y[i]) + 2 * x[i] - 1 : left + (right - left) * x[i];
    }
    return { x, y };
  };

  // ---------------------------------------------------------------- optimizers

  // Algorithm → what a step does. Hops perturb the model or the gradient; a monotonic one returns unless it got lower.
  const ALGORITHMS = {
    "GD": { kind: "descent" },
    "NiG-GD": { kind: "noise in gradient" },
    "NiM-GD": { kind: "noise in model" },
    "SAM": { kind: "sam" },
    "NiG-BH": { kind: "hops", model: false, monotonic: false },
    "NiM-BH": { kind: "hops", model: true, monotonic: false },
    "NiG-MBH": { kind: "hops", model: false, monotonic: true },
    "NiM-MBH": { kind: "hops", model: true, monotonic: true },
  };

  // Restarts of an algorithm. Settings: lr, rho, tau, epsilon, normalized. noise(i, out) draws ζ at radius 1.
  const population = (landscape, algorithm, settings, from, noise) => {
    const n = from.x.length, { kind, model, monotonic } = ALGORITHMS[algorithm];
    return {
      ...settings, formula: FORMULAS[landscape], kind, model, monotonic, noise, n, steps: 0, fired: 0, tried: 0, accepted: 0,
      x: Float64Array.from(from.x), y: Float64Array.from(from.y), keptX: new Float64Array(n), keptY: new Float64Array(n),
      place: new Int32Array(n), searches: new Int32Array(n), g: new Float64Array(2), zeta: new Float64Array(2),
    };
  };

  // One update of every restart.
  const step = (s) => {
    s.steps += 1;
    for (let i = 0; i < s.n; i++) (s.kind === "hops" ? hop : update)(s, i);
  };

  const perturb = (s, i, target) => {
    s.noise(i, s.zeta);
    target[0] += s.rho * s.zeta[0];
    target[1] += s.rho * s.zeta[1];
    s.fired += 1;
  };

  const length = (g) => Math.sqrt(g[0] * g[0] + g[1] * g[1]);

  const normalize = (s) => {
    if (!s.normalized) return;
    const size = length(s.g), factor = size > 0 ? 1 / size : 0;
    s.g[0] *= factor;
    s.g[1] *= factor;
  };

  const here = [0, 0];

  const update = (s, i) => {
    const { g, formula } = s;
    here[0] = s.x[i];
    here[1] = s.y[i];
    formula(here[0], here[1], g);
    if (s.kind === "noise in model" && s.steps > s.tau && length(g) < s.epsilon) {
      perturb(s, i, here);
      formula(here[0], here[1], g);
    } else if (s.kind === "sam") {
      const size = length(g), ascent = size > 0 ? s.rho / size : 0;
      formula(here[0] + ascent * g[0], here[1] + ascent * g[1], g);
    }
    normalize(s);
    if (s.kind === "noise in gradient") perturb(s, i, g);
    s.x[i] = here[0] - s.lr * g[0];
    s.y[i] = here[1] - s.lr * g[1];
  };

  const lower = (a, b) => (Number.isNaN(a) ? Infinity : a) < (Number.isNaN(b) ? Infinity : b);

  const hop = (s, i) => {
    const { g, formula, place, searches } = s, starting = place[i] === 0 && searches[i] > 0;  // the first has no noise
    here[0] = s.x[i];
    here[1] = s.y[i];
    if (starting) {
      s.keptX[i] = here[0];
      s.keptY[i] = here[1];
      if (s.model) perturb(s, i, here);
    }
    formula(here[0], here[1], g);
    let flat = length(g) < s.epsilon;
    normalize(s);
    if (starting && !s.model) {
      perturb(s, i, g);
      flat = false;
    }
    s.x[i] = here[0] - s.lr * g[0];
    s.y[i] = here[1] - s.lr * g[1];
    place[i] += 1;
    if (!flat && place[i] < s.tau) return;
    if (searches[i] > 0) {
      s.tried += 1;
      if (!s.monotonic || lower(formula(s.x[i], s.y[i], g), formula(s.keptX[i], s.keptY[i], g))) s.accepted += 1;
      else {
        s.x[i] = s.keptX[i];
        s.y[i] = s.keptY[i];
      }
    }
    place[i] = 0;
    searches[i] += 1;
  };

  // Where the run would return if it ended now: in the middle of a monotonic hop, the minimum before it.
  const returned = (s, i, out) => {
    const back = s.monotonic && s.place[i] > 0 && s.searches[i] > 0;
    out[0] = back ? s.keptX[i] : s.x[i];
    out[1] = back ? s.keptY[i] : s.y[i];
  };

  // ---------------------------------------------------------------- where restarts end

  const nearest = (points, x, y) => {
    let index = -1, least = Infinity;
    for (let m = 0; m < points.length; m++) {
      const dx = x - points[m].x, dy = y - points[m].y, distance = dx * dx + dy * dy;
      if (distance < least) {
        least = distance;
        index = m;
      }
    }
    return { index, distance: Math.sqrt(least) };
  };

  // Restarts at each minimum; then at a saddle, elsewhere, diverged.
  const counts = (s, minima, saddles, radius) => {
    const found = new Int32Array(minima.length + 3), out = [0, 0];
    for (let i = 0; i < s.n; i++) {
      returned(s, i, out);
      const [x, y] = out, at = nearest(minima, x, y);
      if (!(Math.sqrt(x * x + y * y) <= FAR)) found[minima.length + 2] += 1;
      else if (at.distance <= radius) found[at.index] += 1;
      else found[minima.length + (nearest(saddles, x, y).distance <= SADDLE ? 0 : 1)] += 1;
    }
    return found;
  };

  // The minimum to which the gradient flow leads, by Heun's method with a step that adapts; −1 where it does not end.
  const basin = (landscape, minima, x, y, iterations = 400) => {
    const formula = FORMULAS[landscape], g = [0, 0], ahead = [0, 0], after = [0, 0];
    let size = 1e-3, value = formula(x, y, g);
    for (let k = 0; k < Math.floor(iterations / 2); k++) {
      formula(x - size * g[0], y - size * g[1], ahead);
      const u = x - size / 2 * (g[0] + ahead[0]), v = y - size / 2 * (g[1] + ahead[1]), trial = formula(u, v, after);
      const bend = Math.sqrt((ahead[0] - g[0]) ** 2 + (ahead[1] - g[1]) ** 2);
      const good = bend <= length(g) / 2 && trial <= value;
      if (good) {
        x = u;
        y = v;
        value = trial;
        g[0] = after[0];
        g[1] = after[1];
      }
      size *= good ? 1.25 : 0.5;
    }
    const { index, distance } = nearest(minima, x, y);
    return distance <= FINISHED ? index : -1;
  };

  // ---------------------------------------------------------------- choosing checkpoints

  // Each checkpoint's chance of being among the best, were ties broken at random; values that are null never are.
  const chances = (values, lowest, number) => values.map((value) => {
    if (value === null) return 0;
    let better = 0, tied = 0;
    for (const other of values) {
      if (other === null) continue;
      if (other === value) tied += 1;
      else if (lowest ? other < value : other > value) better += 1;
    }
    return Math.min(Math.max((number - better) / tied, 0), 1);
  });

  const weighted = (weights, values) => {
    let sum = 0, total = 0;
    weights.forEach((weight, i) => {
      if (!(weight > 0)) return;
      total += weight;
      sum += weight * values[i];
    });
    return sum / total;
  };

  // A restart's sets of so many checkpoints, by loss and by a rival; their mean test scores, and the share in common.
  const sets = (run, by, number) => {
    const finite = (values) => values.map((value, i) => (run.loss[i] === null ? null : value));
    const late = finite(run.test.map((value, i) => (value === null ? null : i)));
    const ours = chances(run.loss, true, number);
    const rival = chances(by === "last" ? late : finite(run[by]), false, number);
    const setA = weighted(ours, run.test), setB = weighted(rival, run.test);
    return { ours, rival, setA, setB, regret: setB - setA, overlap: weighted(ours, rival) };
  };

  // ---------------------------------------------------------------- tests of two optimizers that do not differ

  // |t| above which the t test rejects. With t = √ν tan θ its density is cos^(ν − 1) θ, summed here from θ = π/2 down.
  const criticalT = (freedom, alpha = 0.05, parts = 20000) => {
    const width = Math.PI / 2 / parts, at = (i) => Math.cos((i + 0.5) * width) ** (freedom - 1);
    let whole = 0, tail = 0, i = parts;
    for (let k = 0; k < parts; k++) whole += at(k);
    while (tail + at(i - 1) < alpha * whole) tail += at(--i);
    return Math.sqrt(freedom) * Math.tan((i - (alpha * whole - tail) / at(i - 1)) * width);
  };

  const tStatistic = (a, b) => {
    const n = a.length, mean = (v) => v.reduce((sum, x) => sum + x, 0) / n;
    const ma = mean(a), mb = mean(b), squares = (v, m) => v.reduce((sum, x) => sum + (x - m) ** 2, 0);
    return (ma - mb) / Math.sqrt((squares(a, ma) + squares(b, mb)) / (2 * n - 2) * 2 / n);
  };

  // z of Mann and Whitney's test, with the correction for continuity, for values without ties.
  const rankZ = (a, b) => {
    const first = Float64Array.from(a).sort(), second = Float64Array.from(b).sort(), n = first.length, m = second.length;
    let wins = 0, below = 0;
    for (const value of first) {
      while (below < m && second[below] < value) below += 1;
      wins += below;
    }
    return (Math.max(wins, n * m - wins) - n * m / 2 - 0.5) / Math.sqrt(n * m * (n + m + 1) / 12);
  };

  // One optimizer's values: restarts × checkpoints, of variance 1, correlated within a restart.
  const nested = (draw, restarts, checkpoints, correlation) => {
    const values = new Float64Array(restarts * checkpoints), between = Math.sqrt(correlation), within = Math.sqrt(1 - correlation);
    for (let r = 0, k = 0; r < restarts; r++) {
      const shared = between * draw();
      for (let c = 0; c < checkpoints; c++) values[k++] = shared + within * draw();
    }
    return values;
  };

  const means = (values, checkpoints) => {
    const found = new Float64Array(values.length / checkpoints);
    values.forEach((value, k) => { found[Math.floor(k / checkpoints)] += value / checkpoints; });
    return found;
  };

  // A study of false positives: `more(repeats)` simulates so many pairs of equal optimizers and counts rejections.
  const study = (restarts, checkpoints, correlation, draw) => {
    const pooled = criticalT(2 * restarts * checkpoints - 2), single = criticalT(2 * restarts - 2);
    const found = { repeats: 0, "pooled Mann–Whitney": 0, "pooled t": 0, "t on restarts": 0, last: null };
    found.more = (repeats) => {
      for (let k = 0; k < repeats; k++) {
        const [a, b] = [0, 1].map(() => nested(draw, restarts, checkpoints, correlation));
        found["pooled Mann–Whitney"] += rankZ(a, b) >= 1.959963984540054;
        found["pooled t"] += Math.abs(tStatistic(a, b)) >= pooled;
        found["t on restarts"] += Math.abs(tStatistic(means(a, checkpoints), means(b, checkpoints))) >= single;
        found.last = [a, b];
      }
      found.repeats += repeats;
      return found;
    };
    return found;
  };

  return {
    ALGORITHMS, FORMULAS, SADDLE, basin, boundary, chances, counts, criticalT, disc, means, normal, population, random, rankZ,
    returned, sets, starts, step, study, tStatistic,
  };
})();
