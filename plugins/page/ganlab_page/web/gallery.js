"use strict";

const PICTURES = 64;

/** Pictures of 64 seeds, as buttons. */
class Gallery {
  constructor(app) {
    this.app = app;
    this.first = Math.floor(app.state.seed / PICTURES) * PICTURES;
    this.drawn = "";
    by("before").addEventListener("click", () => this.turn(-PICTURES));
    by("after").addEventListener("click", () => this.turn(PICTURES));
  }

  turn(by) {
    this.first += by;
    this.refresh();
  }

  refresh() {
    const { seed, amounts, to, ...rest } = this.app.state;
    const wanted = JSON.stringify([this.first, rest]);
    if (wanted !== this.drawn) {
      this.drawn = wanted;
      this.draw();
    }
    for (const made of by("seeds").children) made.setAttribute("aria-pressed", String(Number(made.value) === seed));
  }

  draw() {
    const { app, first } = this;
    const { width, height } = app.subject.images;
    app.engine.forget("gallery");
    by("before").disabled = first === 0;
    by("after").disabled = first + PICTURES > MOST_SEED;
    by("range").textContent = `${first} to ${first + PICTURES - 1}`;
    const kept = by("seeds").children; // the buttons stay, so that the focus stays
    for (let i = 0; i < PICTURES; i++) {
      const seed = first + i;
      const made = kept[i] ?? this.add();
      made.value = seed;
      made.setAttribute("aria-label", `seed ${seed}`);
      app.pixels(app.subject.still(app.state, seed), 3, "gallery").then((pixels) => {
        if (pixels) show(made.firstChild, pixels, width, height, 128);
      });
    }
  }

  add() {
    const { width, height } = this.app.subject.images;
    const scale = Math.min(1, 128 / Math.max(width, height));
    const canvas = element("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
    canvas.className = this.app.coarse;
    const made = button(canvas, () => this.app.picked(Number(made.value)));
    by("seeds").append(made);
    return made;
  }
}
