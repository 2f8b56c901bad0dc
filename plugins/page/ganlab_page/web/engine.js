"use strict";

/** What lies in the page under an id: base64 of what Python has put there, or text. */
function island(id) {
  return document.getElementById(id).textContent.trim();
}

/** Text that lies in the page as gzip and base64. */
async function unpackedText(id) {
  const bytes = Uint8Array.from(atob(island(id)), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

/** Whether this browser has what the page needs, in words what is missing. */
function missing() {
  const needed = {
    WebAssembly: typeof WebAssembly === "object",
    "background workers": typeof Worker === "function",
    DecompressionStream: typeof DecompressionStream === "function",
    BigInt64Array: typeof BigInt64Array === "function",
  };
  return Object.keys(needed).filter((name) => !needed[name]);
}

/** The generator in its worker: one picture at a time, what is in view first. */
class Engine {
  constructor(worker, kinds) {
    this.worker = worker;
    this.kinds = kinds;
    this.waiting = []; // what is asked for: rank, group, inputs, and how it is answered
    this.answer = null; // of the message that the worker is busy with
    this.times = []; // of the last pictures, but for the first of all, which takes longer
    this.warm = false;
    worker.onmessage = ({ data }) => this.heard(data);
    worker.onerror = (event) => this.heard({ failed: event.message || "the worker could not be started" });
  }

  /** Starts the worker; rejects with the reason where that fails. */
  static async start(kinds) {
    const texts = [await unpackedText("ort"), "\n", island("worker")];
    const url = URL.createObjectURL(new Blob(texts, { type: "text/javascript" }));
    const engine = new Engine(new Worker(url), kinds);
    await engine.send({ wasm: island("wasm"), glue: island("glue"), model: island("generator") });
    for (const id of ["wasm", "glue", "ort"]) document.getElementById(id).remove(); // 5 MB of text
    return engine;
  }

  /**
   * Returns the image (C, H, W) of inputs, or null where `forget` came first. Lower ranks come first; the time that it
   * took is kept.
   */
  image(inputs, rank, group) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ inputs, rank, group, resolve, reject });
      this.next();
    });
  }

  /** Drops what a group has asked for and not yet got. */
  forget(group) {
    const dropped = this.waiting.filter((item) => item.group === group);
    this.waiting = this.waiting.filter((item) => item.group !== group);
    dropped.forEach((item) => item.resolve(null));
  }

  /** The median of the last pictures, in milliseconds; Infinity before it is known. */
  get pace() {
    const sorted = [...this.times].sort((a, b) => a - b);
    return sorted.length ? sorted[sorted.length >> 1] : Infinity;
  }

  send(message, transfer = []) {
    return new Promise((resolve, reject) => {
      this.answer = { resolve, reject };
      this.worker.postMessage(message, transfer);
    });
  }

  heard(data) {
    const { resolve, reject } = this.answer ?? { resolve() {}, reject() {} };
    this.answer = null;
    if (data.failed) reject(new Error(data.failed));
    else resolve(data);
    this.next();
  }

  next() {
    if (this.answer || !this.waiting.length) return;
    const first = this.waiting.reduce((best, item) => (item.rank < best.rank ? item : best));
    this.waiting.splice(this.waiting.indexOf(first), 1);
    const inputs = this.kinds.map(({ name, distribution, shape }) => ({
      name,
      type: distribution === "labels" ? "int64" : "float32",
      values: first.inputs[name],
      dims: [1, ...shape],
    }));
    this.send({ inputs }).then(({ image, milliseconds }) => {
      if (this.warm) this.times = [...this.times.slice(-30), milliseconds];
      this.warm = true;
      first.resolve(image);
    }, first.reject);
  }
}
