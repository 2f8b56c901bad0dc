"use strict";

/**
 * The inputs of one picture, by name, as ganlab draws them: what RandomState(seed) gives, in the order of the inputs;
 * a label is the seed's remainder and draws nothing. `kinds` are the metadata's inputs, `chosen` categories and
 * classes, by name, that take the place of those drawn.
 */
function inputsOfSeed(kinds, seed, classes, chosen = {}) {
  const stream = new RandomState(seed);
  const made = {};
  for (const { name, distribution, shape } of kinds) {
    const count = shape.reduce((product, length) => product * length, 1);
    const values = distribution === "labels" ? [seed % classes] : new Float32Array(count);
    switch (distribution) {
      case "normal":
        for (let i = 0; i < count; i++) values[i] = stream.normal();
        break;
      case "uniform":
        for (let i = 0; i < count; i++) values[i] = stream.uniform(-1, 1);
        break;
      case "categorical":
        values[stream.below(count)] = 1;
        break;
    }
    const choice = chosen[name];
    if (choice !== undefined && choice !== null) {
      if (distribution === "labels") values[0] = choice;
      else values.fill(0)[choice] = 1;
    }
    made[name] = values;
  }
  return made;
}

/** Scales normal inputs in place, as `ganlab sample --truncation` does: in float32. */
function truncate(inputs, kinds, truncation) {
  const factor = Math.fround(truncation);
  if (factor === 1) return;
  for (const { name, distribution } of kinds) {
    if (distribution === "normal") for (let i = 0; i < inputs[name].length; i++) inputs[name][i] *= factor;
  }
}

/** Moves a vector in place along each direction as far as its amount says. */
function moveAlong(vector, directions, amounts) {
  const moved = Float64Array.from(vector);
  directions.forEach((direction, k) => {
    if (amounts[k]) for (let i = 0; i < moved.length; i++) moved[i] += amounts[k] * direction[i];
  });
  vector.set(moved);
}

/**
 * Between two sets of inputs, t from 0 to 1, as `ganlab interpolate` goes: on an arc where they are normal, else on a
 * line; categories are blended, a label is that of the nearer end.
 */
function between(first, last, kinds, t) {
  const made = {};
  for (const { name, distribution } of kinds) {
    const a = first[name];
    const b = last[name];
    if (distribution === "normal") made[name] = onArc(a, b, t);
    else if (distribution === "labels") made[name] = t < 0.5 ? a : b;
    else made[name] = onLine(a, b, t);
  }
  return made;
}

/** Shoemake 1985: the angle between the two changes evenly, and the length stays that of normal numbers. */
function onArc(a, b, t) {
  let product = 0;
  let lengthA = 0;
  let lengthB = 0;
  for (let i = 0; i < a.length; i++) {
    product += a[i] * b[i];
    lengthA += a[i] * a[i];
    lengthB += b[i] * b[i];
  }
  const angle = Math.acos(Math.max(-1, Math.min(1, product / Math.sqrt(lengthA * lengthB) || 0)));
  const sine = Math.sin(angle);
  if (sine <= 1e-6) return onLine(a, b, t);
  const weightA = Math.sin((1 - t) * angle) / sine;
  const weightB = Math.sin(t * angle) / sine;
  return a.map((value, i) => weightA * value + weightB * b[i]);
}

function onLine(a, b, t) {
  return a.map((value, i) => (1 - t) * value + t * b[i]);
}
