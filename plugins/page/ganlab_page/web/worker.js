"use strict";

// Runs beside the page, so that the page answers while a picture is computed. onnxruntime-web stands before this text.

let session = null;
let output = null;

self.onmessage = async ({ data }) => {
  try {
    if (data.model !== undefined) await open(data);
    else await compute(data);
  } catch (error) {
    self.postMessage({ id: data.id, failed: String((error && error.message) || error).slice(0, 300) });
  }
};

async function open({ id, wasm, glue, model }) {
  ort.env.wasm.numThreads = 1; // more need headers that a file on a disk has not
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = await unpacked(wasm);
  const text = new Blob([await unpacked(glue)], { type: "text/javascript" });
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(text) };
  session = await ort.InferenceSession.create(decoded(model), { executionProviders: ["wasm"] });
  output = session.outputNames[0];
  self.postMessage({ id });
}

async function compute({ id, inputs }) {
  const feeds = {};
  for (const { name, type, values, dims } of inputs) {
    feeds[name] = new ort.Tensor(type, type === "int64" ? BigInt64Array.from(values, BigInt) : values, dims);
  }
  const started = performance.now();
  const image = (await session.run(feeds))[output].data.slice();
  self.postMessage({ id, image, milliseconds: performance.now() - started }, [image.buffer]);
}

function decoded(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function unpacked(base64) {
  const stream = new Blob([decoded(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
