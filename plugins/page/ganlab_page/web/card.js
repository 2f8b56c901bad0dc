"use strict";

/** What is known of the generator, as rows of a table: texts, never markup. */
function facts(metadata, page) {
  const { images, model, recipe, training, data, versions, score } = metadata;
  const inputs = metadata.inputs.map(({ name, distribution, shape }) => `${name} (${[distribution, ...shape].join(", ")})`);
  const origin = [model.distribution, model.version].filter(Boolean).join(" ");
  const rows = [
    ["Recipe", recipe.name],
    ["Model", origin ? `${model.name} (${origin})` : model.name],
    ["Pictures", `${images.width} × ${images.height}, ${images.channels === 1 ? "grey" : `${images.channels} channels`}`],
    ["Data", data.dataset || "not named"],
    ["Training", `${training.images.toLocaleString("en")} pictures seen, ${training.epochs.toFixed(1)} epochs, ${training.iterations.toLocaleString("en")} iterations`],
    ["Inputs", inputs.join("; ")],
    ["Weights", weights(page)],
    ["Licence of the generator", page.licence || "not stated"],
    ["Made with", `ganlab ${versions.ganlab}, torch ${versions.torch}`],
    ["Checksum of the page", metadata.digest],
  ];
  if (images.classes) rows.splice(3, 0, ["Classes", String(images.classes)]);
  if (score) {
    const pictures = score.protocol.fake ? ` (of ${score.protocol.fake} pictures; ${score.better} is better)` : ` (${score.better} is better)`;
    rows.splice(5, 0, ["Score", `${score.name} ${score.value.toPrecision(4)}${pictures}`]);
  }
  return rows;
}

function weights({ weights: { count, bytes, precision, difference } }) {
  const size = `${count.toLocaleString("en")}, ${megabytes(bytes)}`;
  if (precision !== "fp16") return `${size}, in float32`;
  return `${size}, stored in float16: a pixel differs from float32 by at most ${(difference * 127.5).toFixed(2)} of 255`;
}

function fillCard(metadata, page, live) {
  const rows = [...facts(metadata, page), ...live];
  const made = rows.map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)));
  by("facts").replaceChildren(element("tbody", {}, ...made));
}
