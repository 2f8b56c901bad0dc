"use strict";
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent);
  const colour = name => getComputedStyle(root).getPropertyValue(name).trim();
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
  const short = value => value == null ? "–" : String(Number(value.toPrecision(4)));

  // What the reader has chosen stands behind the # of the address: it outlives a reload, and needs no storage.
  const FLAGS = ["dark", "light", "live"];
  const words = () => decodeURIComponent(location.hash.slice(1)).split("&").filter(Boolean);
  const flags = new Set(words().filter(word => FLAGS.includes(word)));
  const place = () => words().find(word => !FLAGS.includes(word));
  function remember() {
    const hash = "#" + [place(), ...flags].filter(Boolean).join("&");
    if (hash !== (location.hash || "#")) location.replace(hash);
  }
  addEventListener("hashchange", remember); // a link within the page has replaced what stood there

  const system = matchMedia("(prefers-color-scheme: dark)");
  const theme = document.getElementById("theme");
  const isDark = () => flags.has("dark") || (system.matches && !flags.has("light"));
  function choose() {
    if (flags.has("dark")) root.dataset.theme = "dark";
    else if (flags.has("light")) root.dataset.theme = "light";
    else delete root.dataset.theme;
    theme.setAttribute("aria-pressed", String(isDark()));
  }
  function paint() {
    choose();
    plots.forEach(plot => plot.redraw(false));
  }
  theme.addEventListener("click", () => {
    const wanted = isDark() ? "light" : "dark";
    FLAGS.slice(0, 2).forEach(flag => flags.delete(flag));
    flags.add(wanted);
    remember();
    paint();
  });
  system.addEventListener("change", paint);
  choose();

  // A run that goes on writes its page anew: a reload shows it.
  const RELOAD_SECONDS = 30;
  const live = document.getElementById("live");
  let waiting = 0;
  function wait() {
    clearTimeout(waiting);
    live.setAttribute("aria-pressed", String(flags.has("live")));
    if (flags.has("live")) waiting = setTimeout(() => document.hidden ? wait() : location.reload(), RELOAD_SECONDS * 1000);
  }
  if (live) {
    live.addEventListener("click", () => {
      flags.has("live") ? flags.delete("live") : flags.add("live");
      remember();
      wait();
    });
    wait();
  }

  const plots = [];
  const COLOURS = 8;
  let marker = null; // the real pictures seen at the snapshot that the film shows

  function lines(chart) {
    const series = [{ label: "Images seen", value: (_, x) => x == null ? "–" : x.toLocaleString("en") }];
    const bands = [];
    chart.lines.forEach((line, index) => {
      const at = series.length;
      const stroke = () => colour(`--c${index % COLOURS}`);
      const dash = index < COLOURS ? undefined : [6, 3];
      const value = (plot, y, _, point) => {
        if (y == null || !line.low) return short(y);
        return `${short(y)} (${short(plot.data[at + 1][point])} to ${short(plot.data[at + 2][point])})`;
      };
      series.push({ label: line.label, class: `c${index % COLOURS}`, stroke, dash, width: 1.5, value, points: { show: line.x.length < 50, size: 4 } });
      if (!line.low) return;
      for (let bound = 0; bound < 2; bound++) {
        // A thin edge: a spike of one span is narrower than a band can be seen.
        series.push({ label: "", class: "bound", stroke: () => `${stroke()}90`, width: 0.5, points: { show: false } });
      }
      bands.push({ series: [at + 2, at + 1], fill: () => `${stroke()}38` });
    });
    return { series, bands };
  }

  function range(_, least, greatest) {
    if (least == null) return [0, 1];
    const room = Math.abs(least) / 10 || 1;
    return least === greatest ? [least - room, greatest + room] : uPlot.rangeNum(least, greatest, 0.1, true);
  }

  function drawMarker(plot) {
    if (marker == null || marker < plot.scales.x.min || marker > plot.scales.x.max) return;
    const { ctx, bbox } = plot;
    const x = Math.round(plot.valToPos(marker, "x", true)) + 0.5;
    ctx.save();
    ctx.strokeStyle = colour("--quiet");
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  }

  function draw(holder) {
    const chart = data.charts[holder.dataset.chart];
    const table = uPlot.join(chart.lines.map(line => line.low ? [line.x, line.y, line.low, line.high] : [line.x, line.y]));
    const { series, bands } = lines(chart);
    const axis = { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { stroke: () => colour("--line"), width: 1 } };
    const plot = new uPlot({
      width: Math.max(200, holder.clientWidth),
      height: 250,
      series,
      bands,
      scales: { x: { time: false }, y: { range } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map(tick => compact.format(tick)) },
        { ...axis, size: 56, values: (_, ticks) => ticks.map(tick => tick == null ? "" : compact.format(tick)) },
      ],
      cursor: { sync: { key: "ganlab" }, points: { size: 7 } },
      hooks: {
        draw: [drawMarker],
        setSeries: [(self, index, options) => {
          if (index == null || options.show == null || self.series[index].class === "bound") return;
          for (let bound = index + 1; bound < self.series.length && self.series[bound].class === "bound"; bound++) {
            self.setSeries(bound, { show: options.show });
          }
        }],
      },
    }, table, holder);
    plots.push(plot);
    const tools = document.createElement("div");
    tools.className = "tools";
    for (const [sign, about, action] of [["+", "Zoom in", () => zoom(plot, 0.5)], ["−", "Zoom out", () => zoom(plot, 2)], ["All", "Show all", () => showAll()]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = sign;
      button.setAttribute("aria-label", `${about}: ${chart.title}`);
      button.addEventListener("click", action);
      tools.append(button);
    }
    holder.after(tools);
    holder.addEventListener("keydown", event => press(plot, event));
    new ResizeObserver(() => {
      if (!("printing" in root.dataset) && holder.clientWidth) fit(plot, holder.clientWidth);
    }).observe(holder);
  }

  function fit(plot, width) {
    if (width !== plot.width) plot.setSize({ width, height: plot.height });
  }

  function zoom(plot, factor) {
    const { min, max } = plot.scales.x;
    if (min == null) return;
    const { idx } = plot.cursor;
    const middle = idx == null ? (min + max) / 2 : plot.data[0][idx];
    const left = Math.max(span.min, middle - (middle - min) * factor);
    const right = Math.min(span.max, middle + (max - middle) * factor);
    if (right > left) plots.forEach(one => one.setScale("x", { min: left, max: right }));
  }

  function showAll() {
    plots.forEach(one => {
      const x = one.data[0];
      one.setScale("x", { min: x[0], max: x[x.length - 1] });
    });
  }

  function press(plot, event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const x = plot.data[0];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) {
      const before = plot.cursor.idx ?? (step > 0 ? -1 : x.length);
      const now = Math.min(x.length - 1, Math.max(0, before + step * (event.shiftKey ? 10 : 1)));
      plot.setCursor({ left: plot.valToPos(x[now], "x"), top: plot.over.clientHeight / 2 }, true, true);
    } else if (event.key === "+" || event.key === "=") zoom(plot, 0.5);
    else if (event.key === "-") zoom(plot, 2);
    else if (event.key === "0") showAll();
    else return;
    event.preventDefault();
  }

  const span = { min: Infinity, max: -Infinity };
  data.charts.forEach(chart => chart.lines.forEach(line => {
    span.min = Math.min(span.min, line.x[0]);
    span.max = Math.max(span.max, line.x[line.x.length - 1]);
  }));
  document.querySelectorAll("[data-chart]").forEach(draw);

  function roll(film) {
    const frames = data.films[film.dataset.film];
    const [image, slider, output, play] = ["img", "input", "output", ".play"].map(which => film.querySelector(which));
    if (!slider) return;
    const whole = image.src; // the last one, which is not among the frames
    let playing = 0;
    function show() {
      const frame = frames[slider.value];
      image.src = frame.uri ?? whole;
      image.alt = frame.alt;
      output.textContent = frame.words;
      slider.setAttribute("aria-valuetext", frame.words);
      if (data.films.length > 1) return;
      marker = frame.images;
      plots.forEach(plot => plot.redraw(false, false));
    }
    function stop() {
      clearInterval(playing);
      playing = 0;
      play.textContent = "▶";
      play.setAttribute("aria-label", "Play the film");
    }
    slider.addEventListener("input", () => { stop(); show(); });
    play.addEventListener("click", () => {
      if (playing) return stop();
      if (Number(slider.value) === frames.length - 1) slider.value = 0;
      play.textContent = "❚❚";
      play.setAttribute("aria-label", "Stop the film");
      show();
      playing = setInterval(() => {
        slider.value = Number(slider.value) + 1;
        show();
        if (Number(slider.value) === frames.length - 1) stop();
      }, Math.min(500, Math.max(120, 6000 / frames.length)));
    });
  }
  document.querySelectorAll("[data-film]").forEach(roll);

  // Paper is light, and two charts wide.
  addEventListener("beforeprint", () => {
    root.dataset.printing = "";
    plots.forEach(plot => { fit(plot, 330); plot.redraw(false); });
  });
  addEventListener("afterprint", () => {
    delete root.dataset.printing;
    plots.forEach(plot => { fit(plot, plot.root.parentElement.clientWidth); plot.redraw(false); });
  });

  if (place()) document.getElementById(place())?.scrollIntoView();
})();
