// The playground's three views: what is drawn, and what the controls do. The numbers come from playground-maths.js.
addEventListener("DOMContentLoaded", () => {
  "use strict";
  const data = JSON.parse(document.getElementById("playground-data").textContent);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const signed = (value, digits) => value.toFixed(digits).replace("-", "\u2212");
  const put = (element, words) => { if (element.textContent !== words) element.textContent = words; };

  const element = (name, attributes, ...children) => {
    const made = ["svg", "g", "circle", "path", "text", "line"].includes(name)
      ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  // The controls of a view by name: sliders (some over a list of values), selects, boxes. `changed` is called after each change.
  const controls = (view, changed) => {
    const found = {};
    for (const input of view.querySelectorAll("[name]")) {
      const range = input.type === "range", values = input.dataset.values?.split(" ").map(Number);
      const read = () => (values ? values[input.value] : range ? Number(input.value) : input.type === "checkbox" ? input.checked : input.value);
      const show = () => {
        if (!range) return;
        const words = read().toLocaleString("en", { maximumFractionDigits: 3 });
        input.setAttribute("aria-valuetext", words);
        put(input.closest("label").querySelector("output"), words);
      };
      if (values) input.max = values.length - 1;
      found[input.name] = {
        get value() { return read(); },
        set value(given) {
          if (values) input.value = values.reduce((best, v, i) => (Math.abs(v - given) < Math.abs(values[best] - given) ? i : best), 0);
          else if (input.type === "checkbox") input.checked = given;
          else input.value = given;
          show();
        },
        enable: (on) => { input.disabled = !on; },
        limit: (most) => {
          input.max = most;
          show();
        },
      };
      input.addEventListener(range ? "input" : "change", () => {
        show();
        view.querySelectorAll("[data-preset]").forEach((button) => button.setAttribute("aria-pressed", "false"));
        changed();
      });
      show();
    }
    return found;
  };

  // Buttons that set several controls at once, and say what there is to be seen; then `play` is called, if given.
  const presets = (view, defaults, settings, changed, play) => {
    const buttons = view.querySelectorAll("[data-preset]");
    const choose = (button) => {
      for (const [name, value] of Object.entries({ ...defaults, ...JSON.parse(button.dataset.preset) })) {
        if (name in settings) settings[name].value = value;
      }
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      put(view.querySelector(".note"), button.dataset.note);
      changed();
    };
    buttons.forEach((button) => button.addEventListener("click", () => {
      choose(button);
      play?.();
    }));
    choose(buttons[0]);
  };

  const options = (select, names) => select.append(...Object.entries(names).map(([value, words]) => element("option", { value }, words)));

  // ---------------------------------------------------------------- restarts on a landscape

  const restartsView = (view) => {
    const { iterations, epsilon, radius } = data.protocol;
    const plot = view.querySelector(".plot"), canvas = plot.querySelector("canvas"), over = plot.appendChild(element("canvas", {}));
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const run = view.querySelector(".run"), said = view.querySelector("[role=status]"), body = view.querySelector("tbody");
    const known = Object.entries(data.landscapes).filter(([name]) => name in popview.FORMULAS);
    options(view.querySelector("[name=landscape]"), Object.fromEntries(known.map(([name, { title }]) => [name, title])));
    options(view.querySelector("[name=algorithm]"), Object.fromEntries(Object.keys(data.protocol.algorithms).map((k) => [k, k])));
    let seed = 0, state, landscape, rows, frame = 0, pictures = 0;
    let place, painted = "", bare, ground, image, pixels, dot, ink;

    const reset = () => {
      const name = settings.landscape.value, algorithm = settings.algorithm.value, draw = popview.random(seed);
      landscape = data.landscapes[name];
      const from = popview.starts(name, landscape.domain, settings.restarts.value, draw);
      const own = { lr: settings.lr.value, rho: settings.rho.value, tau: settings.tau.value, epsilon, normalized: settings.normalized.value };
      state = popview.population(name, algorithm, own, from, popview.disc(draw));
      settings.rho.enable(algorithm !== "GD");
      settings.tau.enable(state.kind === "hops" || state.kind === "noise in model");
      const flow = new Int32Array(landscape.minima.length + 1);
      for (let i = 0; i < state.n; i++) {
        const to = popview.basin(name, landscape.minima, from.x[i], from.y[i]);
        flow[to < 0 ? landscape.minima.length : to] += 1;
      }
      const tenth = (value) => signed(Math.round(10 * value) / 10 + 0, 1);  // + 0: no minus before a zero
      const names = [...landscape.minima.map((m) => `${m.name} (${tenth(m.x)}, ${tenth(m.y)})`), "saddle", "elsewhere", "diverged"];
      const notes = landscape.minima.map((m) => `sharpness ${m.trace.toFixed(0)}`);
      body.replaceChildren();
      rows = names.map((words, i) => {
        const fill = element("i", {}), share = element("td", {}), bar = element("div", {}, fill), basin = i < landscape.minima.length;
        if (basin) {
          bar.append(element("b", {}));
          bar.lastChild.style.left = percent(flow[i] / state.n).replace(" ", "");
        }
        const head = element("th", { scope: "row", title: notes[i] ?? "" }, words);
        body.append(element("tr", {}, head, element("td", { class: "bar" }, bar), share, element("td", { class: "muted" }, basin ? percent(flow[i] / state.n) : "")));
        return { fill, share, words };
      });
      view.style.setProperty("--shade", data.protocol.algorithms[algorithm]);
      paint();
      show();
    };

    // The ground in pixels: contour lines of the function at hand, and the way of every restart so far.
    const paint = () => {
      const [[left, right], [low, high]] = landscape.window, width = plot.clientWidth;
      const dark = document.documentElement.dataset.theme === "dark", scale = Math.min(devicePixelRatio, 2);
      const w = Math.round(width * scale), h = Math.round(w * Math.min(Math.max((high - low) / (right - left), 0.6), 1));
      plot.style.aspectRatio = `${w} / ${h}`;
      const now = [landscape.title, w, h, dark].join();
      place = { left, top: high, x: w / (right - left), y: h / (high - low), w, h };
      if (now !== painted) {
        painted = now;
        canvas.width = over.width = w;
        canvas.height = over.height = h;
        contours(dark);
        labels(scale, dark);
        bare = new Uint32Array(context.getImageData(0, 0, w, h).data.buffer);
        image = context.createImageData(w, h);
        pixels = new Uint32Array(image.data.buffer);
      }
      ground = bare.slice();
      dot = stamp(data.protocol.algorithms[settings.algorithm.value], dark ? "#ffffff" : "#222222", Math.round(2.6 * scale));
      ink = dark ? 0xffb0b0b0 : 0xff8a8a8a;
    };

    const contours = (dark) => {
      const { left, top, x, y, w, h } = place, levels = new Float32Array(w * h), g = [0, 0];
      const formula = popview.FORMULAS[settings.landscape.value], lowest = Math.min(...landscape.minima.map((m) => m.value));
      let most = 0;
      for (let j = 0, k = 0; j < h; j++) for (let i = 0; i < w; i++, k++) {
        levels[k] = Math.log10(1 + Math.max(formula(left + (i + 0.5) / x, top - (j + 0.5) / y, g) - lowest, 0));
        most = Math.max(most, levels[k]);
      }
      for (let k = 0; k < w * h; k++) levels[k] = Math.floor(levels[k] / most * 15.999);
      const drawn = context.createImageData(w, h);
      for (let k = 0; k < w * h; k++) {
        const level = levels[k], line = (k % w < w - 1 && levels[k + 1] !== level) || (k + w < w * h && levels[k + w] !== level);
        const shade = dark ? (line ? 96 : 26 + 2 * level) : (line ? 165 : 252 - 2.5 * level);
        drawn.data.set([shade, shade, shade + (dark ? 6 : 2), 255], 4 * k);
      }
      context.putImageData(drawn, 0, 0);
    };

    // The minima's names, on a canvas of their own over the dots.
    const labels = (scale, dark) => {
      const { left, top, x, y, w } = place, context = over.getContext("2d");
      context.font = `600 ${13 * scale}px sans-serif`;
      context.textBaseline = "middle";
      context.lineWidth = 3 * scale;
      context.lineJoin = "round";
      context.strokeStyle = dark ? "#1a1a1e" : "#fff";
      context.fillStyle = dark ? "#fff" : "#111";
      for (const minimum of landscape.minima) {
        const px = (minimum.x - left) * x, py = (top - minimum.y) * y, name = minimum.name.replace("minimum ", "");
        const inward = px + 10 * scale + context.measureText(name).width > w;
        const said = [["center", minimum.kind === "global" ? "★" : "○", px, py], [inward ? "right" : "left", name, px + (inward ? -8 : 8) * scale, py - 10 * scale]];
        for (const [align, words, at, height] of said) {
          context.textAlign = align;
          for (const way of ["strokeText", "fillText"]) context[way](words, at, height);
        }
      }
    };

    // A disc with a rim, as offsets and colours (of which the lowest byte is red).
    const stamp = (inner, rim, radius) => {
      const colour = (words) => 0xff000000 | (parseInt(words.slice(5, 7), 16) << 16) | (parseInt(words.slice(3, 5), 16) << 8) | parseInt(words.slice(1, 3), 16);
      const found = [];
      for (let j = -radius; j <= radius; j++) for (let i = -radius; i <= radius; i++) {
        const distance = Math.sqrt(i * i + j * j);
        if (distance <= radius + 0.2) found.push({ i, j, colour: colour(distance > radius - 1 ? rim : inner) });
      }
      return found;
    };

    // Directly into pixels, for 500 discs and as many traces cost a phone more by calls for each than by one for all.
    const draw = () => {
      const { left, top, x, y, w, h } = place;
      pixels.set(ground);
      for (let k = 0; k < state.n; k++) {
        const px = Math.floor((state.x[k] - left) * x), py = Math.floor((top - state.y[k]) * y);
        if (!(px > -9 && px < w + 9 && py > -9 && py < h + 9)) continue;
        for (const { i, j, colour } of dot) if (px + i >= 0 && px + i < w && py + j >= 0 && py + j < h) pixels[(py + j) * w + px + i] = colour;
      }
      context.putImageData(image, 0, 0);
    };

    const mark = () => {
      const { left, top, x, y, w, h } = place;
      for (let k = 0; k < state.n; k++) {
        const px = Math.floor((state.x[k] - left) * x), py = Math.floor((top - state.y[k]) * y);
        if (px >= 0 && px < w && py >= 0 && py < h) ground[py * w + px] = ink;
      }
    };

    const show = () => {
      draw();
      list();
    };

    const list = () => {
      popview.counts(state, landscape.minima, landscape.saddles, radius).forEach((count, i) => {
        rows[i].fill.style.transform = `scaleX(${count / state.n})`;
        put(rows[i].share, percent(count / state.n));
      });
      put(view.querySelector(".step"), `Step ${state.steps.toLocaleString("en")} of ${iterations.toLocaleString("en")}`);
      const reach = state.rho * (state.kind === "noise in gradient" || (state.kind === "hops" && !state.model) ? state.lr : 1);
      const hops = state.tried ? ` Hops kept: ${percent(state.accepted / state.tried)}.` : "";
      put(view.querySelector(".fact"), state.kind === "descent" || state.kind === "sam" ? ""
        : !state.fired ? "No noise added yet."
        : `Noise added: ${+(state.fired / state.n).toPrecision(3)} times a restart, each moving it by at most ${+reach.toPrecision(2)}.${hops}`);
    };

    const tell = () => put(said, `Step ${state.steps}. ${rows.map((row) => `${row.words}: ${row.share.textContent}`).join("; ")}.`);

    const advance = (number) => {
      for (let k = 0; k < number && state.steps < iterations; k++) popview.step(state);
      mark();
    };

    const stop = () => {
      cancelAnimationFrame(frame);
      frame = 0;
      put(run, "Start");
    };

    const tick = () => {
      advance(settings.speed.value);
      draw();
      if (pictures++ % 6 === 0) list();  // numbers that change faster cannot be read
      if (state.steps < iterations) frame = requestAnimationFrame(tick);
      else {
        stop();
        show();
        tell();
      }
    };

    const toEnd = () => {
      stop();
      while (state.steps < iterations) advance(10);
      show();
      tell();
    };

    const start = () => {
      if (state.steps >= iterations) reset();
      if (still.matches) return toEnd();
      put(run, "Stop");
      frame = requestAnimationFrame(tick);
    };

    const toggle = () => {
      if (!frame) return start();
      stop();
      tell();
    };

    const settings = controls(view, reset);
    run.addEventListener("click", toggle);
    view.querySelector(".end").addEventListener("click", toEnd);
    view.querySelector(".again").addEventListener("click", () => {
      seed += 1;
      reset();
    });
    view.addEventListener("keydown", (event) => {
      if (event.key !== " " || event.target.closest("button, select, [type=checkbox]")) return;
      event.preventDefault();
      toggle();
    });
    presets(view, data.protocol, settings, reset, () => {
      stop();
      start();
      view.querySelector(".stage").scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });
    });
    const anew = () => {
      paint();
      show();
    };
    new ResizeObserver(() => { if (Math.round(plot.clientWidth * Math.min(devicePixelRatio, 2)) !== place.w) anew(); }).observe(plot);
    new MutationObserver(anew).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  };

  // ---------------------------------------------------------------- SetA and SetB

  // The width to draw a picture for; `again` is called where it changes.
  const widthOf = (svg) => Math.max(svg.parentElement.clientWidth, 280);
  const whenResized = (svg, again) => {
    let width = widthOf(svg);
    new ResizeObserver(() => {
      if (width === widthOf(svg)) return;
      width = widthOf(svg);
      again();
    }).observe(svg.parentElement);
  };

  const setsView = (view) => {
    const tasks = data.trajectories, svg = view.querySelector("svg"), cells = view.querySelectorAll("tbody td");
    if (!Object.keys(tasks).length) return put(view, "not run here yet");
    options(view.querySelector("[name=task]"), Object.fromEntries(Object.entries(tasks).map(([k, v]) => [k, v.title])));

    const changed = () => {
      const { title, epochs, runs } = tasks[settings.task.value], select = view.querySelector("[name=algorithm]"), before = select.value;
      select.replaceChildren();
      options(select, Object.fromEntries(Object.keys(runs).map((name) => [name, name])));
      select.value = before in runs ? before : Object.keys(runs)[0];
      const own = runs[settings.algorithm.value], by = settings.by.value;
      settings.number.limit(epochs.length);
      settings.restart.limit(own.length);
      const number = settings.number.value, place = settings.restart.value - 1, all = own.map((run) => popview.sets(run, by, number));
      const mean = (name) => all.reduce((sum, one) => sum + one[name], 0) / all.length;
      const row = (get) => [100 * get("setA"), 100 * get("setB"), 100 * get("regret")].map((v) => signed(v, 2)).concat(percent(get("overlap")));
      [...row((name) => all[place][name]), ...row(mean)].forEach((words, i) => put(cells[i], words));
      put(view.querySelector(".all"), `Mean of ${all.length} restarts`);
      put(view.querySelector(".chance"), percent(number / epochs.length));
      scatter(own[place], all[place], epochs, title);
      put(view.querySelector("[role=status]"), `${title}: SetA scores ${cells[4].textContent}, the other set ${cells[5].textContent} points.`);
    };

    const scatter = (run, found, epochs, title) => {
      const shown = run.test.map((_, i) => i).filter((i) => run.loss[i] !== null && run.test[i] !== null);
      // of the scores, the upper part: a random model's would squeeze all others into a corner
      const sorted = shown.map((i) => run.test[i]).sort((a, b) => a - b), top = sorted[sorted.length - 1];
      const bottom = Math.max(sorted[0], top - 2.5 * (top - sorted[Math.floor(sorted.length / 3)]) - 0.01);
      const inside = shown.filter((i) => run.test[i] >= bottom), losses = inside.map((i) => Math.log10(run.loss[i]));
      const [least, most] = [Math.min(...losses), Math.max(...losses)], width = widthOf(svg), height = 300;
      const x = (loss) => 50 + (width - 70) * (most - Math.log10(loss)) / (most - least || 1);
      const y = (score) => 12 + (height - 60) * (top - score) / (top - bottom || 1);
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.replaceChildren(element("path", { class: "axis", d: `M50 6V${height - 42}H${width - 12}` }));
      const step = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2].find((size) => (top - bottom) / size <= 6) ?? 0.5;
      for (let k = Math.ceil(bottom / step); k * step <= top; k++) {
        svg.append(element("text", { x: 44, y: y(k * step) + 4, "text-anchor": "end" }, (100 * k * step).toFixed(step < 0.01 ? 1 : 0)));
      }
      for (const value of [1, 2, 5].flatMap((m) => [-4, -3, -2, -1, 0].map((e) => m * 10 ** e))) {
        const at = Math.log10(value);
        if (at > least && at < most) svg.append(element("text", { x: x(value), y: height - 25, "text-anchor": "middle" }, String(+value.toPrecision(1))));
      }
      svg.append(element("text", { x: width / 2, y: height - 6, "text-anchor": "middle" }, "training loss, lower to the right"));
      svg.append(element("text", { x: 56, y: 12 }, "test score, points"));
      svg.append(element("path", { class: "way", d: inside.map((i, k) => `${k ? "L" : "M"}${x(run.loss[i])} ${y(run.test[i])}`).join("") }));
      for (const i of inside) {
        const at = { cx: x(run.loss[i]), cy: y(run.test[i]) }, group = element("g", {});
        group.append(element("circle", { class: "checkpoint", r: 2.5, ...at }));
        if (found.ours[i]) group.append(element("circle", { class: "set-a", r: 5, ...at, opacity: 0.25 + 0.75 * found.ours[i] }));
        if (found.rival[i]) group.append(element("circle", { class: "set-b", r: 8, ...at, opacity: 0.25 + 0.75 * found.rival[i] }));
        svg.append(group);
      }
      svg.setAttribute("aria-label", `${title}: test score against training loss at ${shown.length} checkpoints of a restart`);
    };

    const settings = controls(view, () => changed());
    presets(view, {}, settings, changed);
    whenResized(svg, changed);
  };

  // ---------------------------------------------------------------- false positives

  const positivesView = (view) => {
    const svg = view.querySelector("svg"), rows = view.querySelectorAll("tbody tr"), most = 4000;
    const group = view.querySelector("[aria-label=Examples]");
    for (const { title, icc } of data.correlations) {
      const facts = { task: title, icc: icc.toFixed(2), worth: (10 / (1 + 9 * icc)).toFixed(1) };
      const note = group.dataset.note.replace(/{(\w+)}/g, (_, name) => facts[name]);
      group.append(element("button", { type: "button", "data-preset": JSON.stringify({ icc, checkpoints: 10 }), "data-note": note }, `${title}, ICC ${icc.toFixed(2)}`));
    }
    let study, frame = 0, seed = 0;

    const show = () => {
      for (const row of rows) {
        const rate = study[row.dataset.test] / study.repeats, error = 1.96 * Math.sqrt(rate * (1 - rate) / study.repeats);
        row.querySelector("i").style.transform = `scaleX(${rate})`;
        put(row.querySelector(".rate"), percent(rate));
        put(row.querySelector(".error"), `± ${(100 * error).toFixed(1)}`);
      }
      put(view.querySelector(".step"), `${study.repeats.toLocaleString("en")} pairs of equal optimizers simulated`);
    };

    const tick = () => {
      const until = performance.now() + 8;
      do study.more(10); while (performance.now() < until && study.repeats < most);
      if (!still.matches || study.repeats >= most) show();
      frame = study.repeats < most ? requestAnimationFrame(tick) : 0;
      if (!frame) put(view.querySelector("[role=status]"), [...rows].map((row) => `${row.dataset.test}: ${row.querySelector(".rate").textContent}`).join("; "));
    };

    const changed = () => {
      const restarts = settings.restarts.value, checkpoints = settings.checkpoints.value;
      study = popview.study(restarts, checkpoints, settings.icc.value, popview.normal(popview.random(seed)));
      cancelAnimationFrame(frame);
      example(study.more(10).last, restarts, checkpoints);
      tick();
    };

    // One of the pairs: a column a run, a dot a checkpoint, a line a run's mean.
    const example = (pair, restarts, checkpoints) => {
      const width = widthOf(svg), height = 150, y = (value) => height / 2 - 20 * Math.max(Math.min(value, 3.4), -3.4), wide = width / 2 - 20;
      svg.setAttribute("viewBox", `0 0 ${width} ${height + 20}`);
      svg.replaceChildren();
      pair.forEach((values, side) => {
        const left = side * (width / 2) + 10, shade = side ? "second" : "first";
        svg.append(element("text", { x: left + wide / 2, y: height + 14, "text-anchor": "middle" }, `optimizer ${side ? "B" : "A"}, ${restarts} runs`));
        popview.means(values, checkpoints).forEach((mean, r) => {
          const x = left + wide * (r + 0.5) / restarts, half = Math.min(wide / restarts / 2 - 1, 16);
          for (let c = 0; c < checkpoints; c++) {
            svg.append(element("circle", { class: shade, r: 2.5, cx: x + half * ((c + 0.5) / checkpoints - 0.5), cy: y(values[r * checkpoints + c]), opacity: 0.7 }));
          }
          svg.append(element("line", { class: "axis", x1: x - half, x2: x + half, y1: y(mean), y2: y(mean) }));
        });
      });
    };

    const settings = controls(view, () => changed());
    view.querySelector(".again").addEventListener("click", () => {
      seed += 1;
      changed();
    });
    presets(view, {}, settings, changed);
    whenResized(svg, changed);
  };

  restartsView(document.getElementById("playground-restarts"));
  setsView(document.getElementById("playground-sets"));
  positivesView(document.getElementById("playground-positives"));
});
