"use strict";

const MOST_SEED = 4294967295;

/**
 * What is shown, as the end of a link: `seed=7&d1=1.5&class=cat`. What has its usual value is left out.
 * `about` says what there is: `reach` of the directions' `count`, `classes` with `names`, `categories` and `numbers`
 * by name with how many each has.
 */
function toLink(state, about) {
  const parts = new URLSearchParams();
  parts.set("seed", state.seed);
  state.amounts.forEach((amount, k) => amount && parts.set(`d${k + 1}`, rounded(amount)));
  if (state.label !== null) parts.set("class", about.names[state.label] ?? state.label);
  if (state.truncation !== 1) parts.set("truncation", rounded(state.truncation));
  for (const [name, choice] of Object.entries(state.categories)) {
    if (choice !== null) parts.set(`input.${name}`, choice);
  }
  for (const [name, values] of Object.entries(state.numbers)) {
    if (values !== null) parts.set(`input.${name}`, values.map(rounded).join(","));
  }
  if (state.to !== null) parts.set("to", state.to);
  return parts.toString();
}

/** Reads a link that anybody may have written: returns the state, and what was wrong with it, in words. */
function fromLink(text, about) {
  const state = startState(about);
  const wrong = [];
  for (const [key, value] of new URLSearchParams(text.replace(/^#/, ""))) {
    if (!take(state, about, key, value)) wrong.push(key.slice(0, 20));
  }
  return { state, wrong };
}

function startState(about) {
  return {
    seed: 0,
    amounts: new Array(about.count).fill(0),
    label: null,
    truncation: 1,
    categories: Object.fromEntries(Object.keys(about.categories).map((name) => [name, null])),
    numbers: Object.fromEntries(Object.keys(about.numbers).map((name) => [name, null])),
    to: null,
  };
}

/** Puts one part of a link into the state; returns whether it is one. */
function take(state, about, key, value) {
  const direction = /^d([1-9][0-9]?)$/.exec(key);
  const input = /^input\.([a-z][a-z0-9_]*)$/.exec(key);
  if (key === "seed" || key === "to") {
    const seed = whole(value, MOST_SEED);
    if (seed !== null) state[key] = seed;
    return seed !== null;
  }
  if (direction && direction[1] <= about.count) {
    const amount = number(value, -about.reach, about.reach);
    if (amount !== null) state.amounts[direction[1] - 1] = amount;
    return amount !== null;
  }
  if (key === "class" && about.classes) {
    const named = about.names.indexOf(value);
    const label = named >= 0 ? named : whole(value, about.classes - 1);
    if (label !== null) state.label = label;
    return label !== null;
  }
  if (key === "truncation" && about.scales) {
    const truncation = number(value, 0, 2);
    if (truncation !== null) state.truncation = truncation;
    return truncation !== null;
  }
  if (input && Object.hasOwn(about.categories, input[1])) {
    const category = whole(value, about.categories[input[1]] - 1);
    if (category !== null) state.categories[input[1]] = category;
    return category !== null;
  }
  if (input && Object.hasOwn(about.numbers, input[1])) {
    const values = value.split(",").map((part) => number(part, -10, 10));
    const fits = values.length === about.numbers[input[1]] && !values.includes(null);
    if (fits) state.numbers[input[1]] = values;
    return fits;
  }
  return false;
}

function whole(text, most) {
  return /^[0-9]{1,10}$/.test(text) && Number(text) <= most ? Number(text) : null;
}

function number(text, least, most) {
  const value = /^-?[0-9]{1,6}(\.[0-9]{1,6})?$/.test(text) ? Number(text) : NaN;
  return value >= least && value <= most ? value : null;
}

function rounded(value) {
  return Number(value.toFixed(4)).toString();
}
