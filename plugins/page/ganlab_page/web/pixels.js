"use strict";

/** Turns an image (C, H, W) in [-1, 1] into RGBA, with the very bytes that ganlab writes into a PNG. */
function toPixels(image, channels, height, width) {
  const count = height * width;
  const pixels = new Uint8ClampedArray(4 * count);
  const places = channels >= 3 ? [0, 1, 2] : [0, 0, 0];
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < 3; k++) {
      const value = Math.max(-1, Math.min(1, image[places[k] * count + i]));
      // In float32, as numpy computes it; the array rounds half to even, as numpy does.
      pixels[4 * i + k] = Math.fround(Math.fround(value + 1) * 127.5);
    }
    pixels[4 * i + 3] = 255;
  }
  return pixels;
}
