"use strict";

/** Sliders of the directions, of inputs of a few numbers, and of the truncation. */
class Sliders {
  constructor(place, app) {
    this.app = app;
    this.made = [];
    const { about, page } = app.subject;
    page.directions?.shares.forEach((share, k) => {
      const move = (amount) => app.change({ amounts: replaced(app.state.amounts, k, amount) });
      const name = `direction ${k + 1} (${Math.round(100 * share)} %)`;
      this.add(place, name, -about.reach, about.reach, 0.05, () => app.state.amounts[k], move);
    });
    for (const [name, count] of Object.entries(about.numbers)) {
      const most = app.subject.kinds.find((kind) => kind.name === name).distribution === "uniform" ? 1.5 : 3;
      for (let i = 0; i < count; i++) {
        const now = () => app.state.numbers[name] ?? Array.from(app.subject.still(app.state, app.state.seed)[name]);
        const set = (value) => app.change({ numbers: { ...app.state.numbers, [name]: replaced(now(), i, value) } });
        this.add(place, count > 1 ? `${name} ${i + 1}` : name, -most, most, 0.05, () => now()[i], set);
      }
    }
    if (about.scales) {
      const set = (truncation) => app.change({ truncation });
      this.add(place, "truncation", 0, 1.5, 0.05, () => app.state.truncation, set);
    }
  }

  add(place, name, min, max, step, value, set) {
    const input = element("input", { type: "range", min, max, step });
    const output = element("output", { "aria-hidden": "true" });
    input.addEventListener("input", () => set(Number(input.value)));
    place.append(element("label", { class: "slider" }, element("span", {}, name), input, output));
    this.made.push({ input, output, value });
  }

  refresh() {
    for (const { input, output, value } of this.made) {
      const now = value();
      if (Number(input.value) !== now) input.value = now;
      output.textContent = now.toFixed(2);
    }
  }
}

function replaced(values, place, value) {
  return values.map((before, i) => (i === place ? value : before));
}
