"use strict";

const CELLS = 7;
const CELL_PIXELS = 48;
const FAST = 60; // milliseconds a picture, up to which the map shows pictures

/** The plane of directions 1 and 2: drawn in cells where pictures are cheap, and walked over by pointer or keys. */
class Plane {
  constructor(app) {
    this.app = app;
    this.map = by("map");
    this.timer = 0;
    this.shown = "";
    by("plane").hidden = app.subject.directions.length < 2;
    this.map.addEventListener("pointerdown", (event) => {
      this.map.setPointerCapture(event.pointerId);
      this.point(event);
    });
    this.map.addEventListener("pointermove", (event) => event.buttons && this.point(event));
    this.map.addEventListener("keydown", (event) => this.key(event));
  }

  point(event) {
    const place = this.map.getBoundingClientRect();
    const across = (event.clientX - place.left) / place.width;
    const up = 1 - (event.clientY - place.top) / place.height;
    this.go((2 * across - 1) * this.reach, (2 * up - 1) * this.reach);
  }

  key(event) {
    const step = event.shiftKey ? 0.5 : 0.1;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    this.go(this.app.state.amounts[0] + move[0], this.app.state.amounts[1] + move[1]);
  }

  go(first, second) {
    const clamped = [first, second].map((amount) => Math.max(-this.reach, Math.min(this.reach, amount)));
    this.app.change({ amounts: [...clamped, ...this.app.state.amounts.slice(2)] });
  }

  get reach() {
    return this.app.subject.about.reach;
  }

  refresh() {
    if (this.app.subject.directions.length < 2) return;
    const [first, second] = this.app.state.amounts;
    by("cross").style.left = `${50 + (50 * first) / this.reach}%`;
    by("cross").style.top = `${50 - (50 * second) / this.reach}%`;
    const { amounts, to, ...rest } = this.app.state;
    const wanted = JSON.stringify([rest, amounts.slice(2)]);
    if (wanted === this.shown) return;
    this.shown = wanted;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.draw(), 150);
  }

  draw() {
    const { app } = this;
    if (app.engine.pace === Infinity) {
      this.timer = setTimeout(() => this.draw(), 150); // the first picture comes first
      return;
    }
    const { width, height } = app.subject.images;
    const scale = CELL_PIXELS / Math.max(width, height);
    const [cellWidth, cellHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
    const canvas = by("plan");
    canvas.width = CELLS * cellWidth;
    canvas.height = CELLS * cellHeight;
    const context = canvas.getContext("2d");
    app.engine.forget("plane");
    if (app.engine.pace > FAST) return;
    const at = (i) => (((2 * i + 1) / CELLS) - 1) * this.reach;
    for (let row = 0; row < CELLS; row++) {
      for (let column = 0; column < CELLS; column++) {
        const amounts = [at(column), at(CELLS - 1 - row), ...app.state.amounts.slice(2)];
        app.pixels(app.subject.inputs(app.state, amounts), 2, "plane").then((pixels) => {
          if (pixels) draw(context, pixels, width, height, column * cellWidth, row * cellHeight, cellWidth, cellHeight);
        });
      }
    }
  }
}
