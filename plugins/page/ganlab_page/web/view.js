"use strict";

/** What stands under an id. */
function by(id) {
  return document.getElementById(id);
}

/** A new element. Children are elements or texts, which stay texts whatever they hold. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function button(text, press) {
  const made = element("button", { type: "button" }, text);
  made.addEventListener("click", press);
  return made;
}

/** Shows RGBA pixels in a canvas, at most `most` wide and high. */
function show(canvas, pixels, width, height, most = Infinity) {
  const scale = Math.min(1, most / Math.max(width, height));
  const [shownWidth, shownHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  if (canvas.width !== shownWidth) canvas.width = shownWidth;
  if (canvas.height !== shownHeight) canvas.height = shownHeight;
  draw(canvas.getContext("2d"), pixels, width, height, 0, 0, shownWidth, shownHeight);
}

function draw(context, pixels, width, height, left, top, shownWidth, shownHeight) {
  const image = new ImageData(pixels, width, height);
  if (shownWidth === width && shownHeight === height) {
    context.putImageData(image, left, top);
    return;
  }
  const whole = element("canvas", { width, height });
  whole.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = shownWidth < width;
  context.drawImage(whole, left, top, shownWidth, shownHeight);
}

/** Hands a file to the reader. */
function save(pieces, type, name) {
  const url = URL.createObjectURL(new Blob(pieces, { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB`;
}
