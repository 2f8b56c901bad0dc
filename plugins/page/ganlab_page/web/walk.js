"use strict";

const SECONDS = 2; // from one end to the other

/** The way from the picture to another seed: shown, played, and saved as a film. */
class Walk {
  constructor(app) {
    this.app = app;
    this.frames = null; // pixels of evenly spaced places, and what they were computed for
    this.playing = 0;
    this.picking = false;
    by("way").className = app.coarse;
    by("to").addEventListener("change", () => app.change({ to: whole(by("to").value, MOST_SEED) }));
    by("pick").addEventListener("click", () => this.pick(!this.picking));
    by("position").addEventListener("input", () => this.stand(Number(by("position").value)));
    by("play").addEventListener("click", () => (this.playing ? this.stop() : this.play()));
    by("gif").addEventListener("click", () => this.film((frames) => this.saveGif(frames)));
    by("webm").addEventListener("click", () => this.film((frames) => this.saveWebm(frames)));
    by("webm").hidden = typeof MediaRecorder !== "function" || !this.videoType();
  }

  get target() {
    return this.app.state.to ?? (this.app.state.seed + 1) % (MOST_SEED + 1);
  }

  pick(picking) {
    this.picking = picking;
    by("pick").setAttribute("aria-pressed", String(picking));
    this.say(picking ? "Click the seed to walk to in the gallery." : "");
  }

  say(text) {
    by("walked").textContent = text;
  }

  refresh() {
    by("to").value = this.target;
    const wanted = JSON.stringify(this.app.state);
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    this.frames = null;
    if (this.playing) this.stop();
    this.stand(Number(by("position").value));
  }

  /** The pixels at t, 0 to 1; null where something else was asked for since. */
  at(t) {
    const { subject, state } = this.app;
    const ends = [state.seed, this.target].map((seed) => subject.still(state, seed));
    const inputs = subject.moved(between(ends[0], ends[1], subject.kinds, t), state.amounts);
    return this.app.pixels(inputs, 1, "walk");
  }

  async stand(t) {
    this.app.engine.forget("walk");
    const { width, height } = this.app.subject.images;
    const pixels = await this.at(t);
    if (pixels) show(by("way"), pixels, width, height);
  }

  /** Frames from one end to the other, fewer where a picture takes long; null where the state has changed. */
  async compute() {
    if (this.frames) return this.frames;
    const count = Math.max(12, Math.min(48, Math.round(4000 / this.app.engine.pace)));
    const wanted = this.wanted;
    const frames = [];
    this.app.engine.forget("walk");
    for (let i = 0; i < count; i++) {
      frames.push(await this.at(i / (count - 1)));
      if (frames[i] === null || wanted !== this.wanted) return null;
      if (i % 8 === 7) this.say(`Computing picture ${i + 1} of ${count}`);
    }
    this.say("");
    this.frames = frames;
    return frames;
  }

  async play() {
    const token = (this.playing = performance.now());
    by("play").setAttribute("aria-pressed", "true");
    by("play").textContent = "Stop";
    const frames = await this.compute();
    if (!frames || this.playing !== token) return this.stop();
    const { width, height } = this.app.subject.images;
    const started = performance.now();
    const step = () => {
      if (this.playing !== token) return;
      const t = Math.abs((((performance.now() - started) / 1000 / SECONDS + 1) % 2) - 1); // there and back
      show(by("way"), frames[Math.round((1 - t) * (frames.length - 1))], width, height);
      by("position").value = 1 - t;
      requestAnimationFrame(step);
    };
    step();
    return undefined;
  }

  stop() {
    this.playing = 0;
    by("play").setAttribute("aria-pressed", "false");
    by("play").textContent = "Play";
  }

  /** Computes the frames there and back, and hands them on. */
  async film(use) {
    const buttons = [by("gif"), by("webm")];
    buttons.forEach((made) => (made.disabled = true));
    try {
      const frames = await this.compute();
      if (frames) await use([...frames, ...frames.slice(1, -1).reverse()]);
    } catch (error) {
      this.say(`That could not be saved: ${error.message}`);
    } finally {
      buttons.forEach((made) => (made.disabled = false));
    }
  }

  /** Frames enlarged by a whole number, so that small pictures can be seen. */
  enlarged(frames) {
    const { width, height } = this.app.subject.images;
    const scale = Math.max(1, Math.floor(256 / Math.max(width, height)));
    const canvas = element("canvas", { width: width * scale, height: height * scale });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const put = (frame) => draw(context, frame, width, height, 0, 0, canvas.width, canvas.height);
    return { canvas, context, put, frames };
  }

  saveGif(all) {
    const { canvas, context, put, frames } = this.enlarged(all);
    const data = frames.map((frame) => {
      put(frame);
      return context.getImageData(0, 0, canvas.width, canvas.height).data;
    });
    const hundredths = Math.max(2, Math.round((200 * SECONDS) / frames.length));
    save(encodeGif(data, canvas.width, canvas.height, hundredths), "image/gif", `${this.name}.gif`);
    this.say("The GIF has been saved.");
  }

  async saveWebm(all) {
    const { canvas, put, frames } = this.enlarged(all);
    const type = this.videoType();
    const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: type, videoBitsPerSecond: 4e6 });
    const pieces = [];
    recorder.ondataavailable = ({ data }) => pieces.push(data);
    const ended = new Promise((resolve) => (recorder.onstop = resolve));
    put(frames[0]);
    recorder.start();
    this.say("Recording, which takes as long as the film.");
    for (const frame of frames) {
      put(frame);
      await new Promise((resolve) => setTimeout(resolve, (2000 * SECONDS) / frames.length));
    }
    recorder.stop();
    await ended;
    save(pieces, type, `${this.name}.${type.includes("mp4") ? "mp4" : "webm"}`);
    this.say("The film has been saved.");
  }

  videoType() {
    const types = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"];
    return types.find((type) => MediaRecorder.isTypeSupported(type));
  }

  get name() {
    return `${this.app.fileName}-${this.app.state.seed}-to-${this.target}`;
  }
}
