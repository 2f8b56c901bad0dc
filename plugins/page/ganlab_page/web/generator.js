"use strict";

/** What the page's two tables say of the generator, and what its pictures are made of. */
class Subject {
  constructor(metadata, page) {
    this.metadata = metadata;
    this.page = page;
    this.kinds = metadata.inputs;
    this.images = metadata.images;
    this.labels = this.kinds.find((kind) => kind.distribution === "labels")?.name ?? null;
    this.directions = page.directions?.vectors ?? [];
    const moved = this.kinds.find((kind) => kind.name === page.directions?.input);
    const few = this.kinds.filter((kind) => kind.shape.length === 1 && kind.shape[0] <= 8 && kind !== moved);
    const numbered = few.filter((kind) => ["normal", "uniform"].includes(kind.distribution));
    const categories = this.kinds.filter((kind) => kind.distribution === "categorical");
    /** What a link may say. */
    this.about = {
      count: this.directions.length,
      reach: moved?.distribution === "uniform" ? 2 : 4,
      classes: this.labels === null ? 0 : metadata.images.classes,
      names: metadata.class_names ?? [],
      scales: this.kinds.some((kind) => kind.distribution === "normal"),
      categories: Object.fromEntries(categories.map((kind) => [kind.name, kind.shape[0]])),
      numbers: Object.fromEntries(numbered.map((kind) => [kind.name, kind.shape[0]])),
    };
  }

  /** The inputs of a seed under what is chosen, before it is moved along directions. */
  still(state, seed) {
    const chosen = { ...state.categories };
    if (this.labels !== null) chosen[this.labels] = state.label;
    const inputs = inputsOfSeed(this.kinds, seed, this.images.classes, chosen);
    const set = Object.keys(state.numbers).filter((name) => state.numbers[name] !== null);
    set.forEach((name) => inputs[name].set(state.numbers[name]));
    truncate(inputs, this.kinds.filter((kind) => !set.includes(kind.name)), state.truncation);
    return inputs;
  }

  inputs(state, amounts = state.amounts) {
    return this.moved(this.still(state, state.seed), amounts);
  }

  moved(inputs, amounts) {
    if (this.directions.length) moveAlong(inputs[this.page.directions.input], this.directions, amounts);
    return inputs;
  }

  pixels(image) {
    return toPixels(image, this.images.channels, this.images.height, this.images.width);
  }

  className(label) {
    return this.about.names[label] ?? `class ${label}`;
  }
}
