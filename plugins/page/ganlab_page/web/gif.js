"use strict";

/** An animated GIF of RGBA frames that repeats for ever, in 256 colours at most that are chosen for all frames. */
function encodeGif(frames, width, height, hundredths) {
  const palette = choosePalette(frames);
  const bits = Math.max(2, Math.ceil(Math.log2(palette.colours.length)));
  const bytes = [...ascii("GIF89a"), ...short(width), ...short(height), 0xf0 | (bits - 1), 0, 0];
  for (let i = 0; i < 1 << bits; i++) bytes.push(...(palette.colours[i] ?? [0, 0, 0]));
  bytes.push(0x21, 0xff, 11, ...ascii("NETSCAPE2.0"), 3, 1, 0, 0, 0);
  const pieces = [Uint8Array.from(bytes)];
  for (const frame of frames) {
    const indices = new Uint8Array(width * height);
    for (let i = 0; i < indices.length; i++) indices[i] = palette.indexOf(frame[4 * i], frame[4 * i + 1], frame[4 * i + 2]);
    const control = [0x21, 0xf9, 4, 0, ...short(hundredths), 0, 0];
    const place = [0x2c, 0, 0, 0, 0, ...short(width), ...short(height), 0, bits];
    pieces.push(Uint8Array.from([...control, ...place]), inBlocks(compress(indices, bits)));
  }
  pieces.push(Uint8Array.of(0x3b));
  return pieces;
}

/** Colours by median cut (Heckbert 1982) over a histogram of 15 bits; greys keep all of their 256 levels. */
function choosePalette(frames) {
  const counts = new Float64Array(32768);
  let grey = true;
  for (const frame of frames) {
    for (let i = 0; i < frame.length; i += 4) {
      grey &&= frame[i] === frame[i + 1] && frame[i] === frame[i + 2];
      counts[(frame[i] >> 3) * 1024 + (frame[i + 1] >> 3) * 32 + (frame[i + 2] >> 3)]++;
    }
  }
  if (grey) {
    const colours = Array.from({ length: 256 }, (_, level) => [level, level, level]);
    return { colours, indexOf: (red) => red };
  }
  const present = [];
  counts.forEach((count, cell) => count && present.push(cell));
  const boxes = cut(present, counts);
  const colours = boxes.map((box) => mean(box, counts));
  const nearest = new Int16Array(32768).fill(-1);
  boxes.forEach((box, index) => box.forEach((cell) => (nearest[cell] = index)));
  return { colours, indexOf: (red, green, blue) => nearest[(red >> 3) * 1024 + (green >> 3) * 32 + (blue >> 3)] };
}

function cut(cells, counts) {
  const boxes = [cells];
  while (boxes.length < 256) {
    let widest = -1;
    let most = 0;
    boxes.forEach((box, index) => {
      const spread = widestAxis(box);
      const weight = box.length > 1 ? spread.width * box.reduce((sum, cell) => sum + counts[cell], 0) : 0;
      if (weight > most) [widest, most] = [index, weight];
    });
    if (widest < 0) break;
    const box = boxes[widest];
    const { shift } = widestAxis(box);
    box.sort((a, b) => ((a >> shift) & 31) - ((b >> shift) & 31));
    const half = box.reduce((sum, cell) => sum + counts[cell], 0) / 2;
    let place = 0;
    for (let sum = 0; place < box.length - 1 && sum < half; place++) sum += counts[box[place]];
    boxes.splice(widest, 1, box.slice(0, Math.max(1, place)), box.slice(Math.max(1, place)));
  }
  return boxes;
}

function widestAxis(box) {
  const axes = [10, 5, 0].map((shift) => {
    const levels = box.map((cell) => (cell >> shift) & 31);
    return { shift, width: levels.reduce((a, b) => Math.max(a, b)) - levels.reduce((a, b) => Math.min(a, b)) };
  });
  return axes.reduce((widest, axis) => (axis.width > widest.width ? axis : widest));
}

function mean(box, counts) {
  const total = box.reduce((sum, cell) => sum + counts[cell], 0);
  return [10, 5, 0].map((shift) => {
    const sum = box.reduce((level, cell) => level + counts[cell] * ((cell >> shift) & 31), 0);
    return Math.round((sum / total) * (255 / 31));
  });
}

/** LZW with codes of growing length, as GIF has it. */
function compress(indices, bits) {
  const clear = 1 << bits;
  const out = [];
  let held = 0;
  let heldBits = 0;
  let size = bits + 1;
  let next = clear + 2;
  let codes = new Map();
  const write = (code) => {
    held |= code << heldBits;
    heldBits += size;
    while (heldBits >= 8) {
      out.push(held & 255);
      held >>>= 8;
      heldBits -= 8;
    }
  };
  write(clear);
  let prefix = indices[0];
  for (let i = 1; i < indices.length; i++) {
    const key = (prefix << 8) | indices[i];
    const known = codes.get(key);
    if (known !== undefined) {
      prefix = known;
      continue;
    }
    write(prefix);
    prefix = indices[i];
    if (next === 4096) {
      write(clear);
      codes = new Map();
      next = clear + 2;
      size = bits + 1;
    } else {
      if (next === 1 << size) size++;
      codes.set(key, next++);
    }
  }
  write(prefix);
  write(clear + 1);
  if (heldBits) out.push(held & 255);
  return out;
}

function inBlocks(data) {
  const bytes = new Uint8Array(data.length + Math.ceil(data.length / 255) + 1);
  let place = 0;
  for (let start = 0; start < data.length; start += 255) {
    const block = data.slice(start, start + 255);
    bytes[place++] = block.length;
    bytes.set(block, place);
    place += block.length;
  }
  return bytes.subarray(0, place + 1);
}

function ascii(text) {
  return [...text].map((letter) => letter.charCodeAt(0));
}

function short(value) {
  return [value & 255, value >> 8];
}
