"use strict";

/** The page: one state, which every part shows and changes. */
class App {
  constructor(subject, engine) {
    this.subject = subject;
    this.engine = engine;
    /** How canvases are enlarged: small pictures show their pixels. */
    this.coarse = Math.max(subject.images.width, subject.images.height) < 256 ? "coarse" : "fine";
    this.fileName = subject.page.title.replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 60) || "generator";
    this.state = startState(subject.about);
    by("picture").className = this.coarse;
    this.address = null; // of the timer after which the address says what is shown
    this.first = null; // when the first picture was seen, in milliseconds from the start
    this.read();
    this.parts = [
      new Choices(by("choices"), this),
      new Sliders(by("sliders"), this),
      new Plane(this),
      new Gallery(this),
      (this.walk = new Walk(this)),
    ];
    this.listen();
  }

  listen() {
    by("seed").addEventListener("change", () => {
      const seed = whole(by("seed").value, MOST_SEED);
      if (seed === null) this.hear(`A seed is a whole number from 0 to ${MOST_SEED}.`);
      else this.change({ seed });
    });
    by("random").addEventListener("click", () => this.change({ seed: Math.floor(Math.random() * (MOST_SEED + 1)) }));
    by("reset").addEventListener("click", () => this.change({ ...startState(this.subject.about), seed: this.state.seed }));
    by("png").addEventListener("click", () => this.savePng());
    by("copy").addEventListener("click", () => this.copyLink());
    by("onnx").addEventListener("click", () => this.saveOnnx());
    by("notices").addEventListener("click", async () => {
      by("third").textContent = await unpackedText("third-party");
      by("third").hidden = false;
    });
    addEventListener("hashchange", () => {
      if (location.hash.slice(1) === toLink(this.state, this.subject.about)) return;
      this.read();
      this.refresh();
    });
  }

  /** Takes the state from the link, as far as it is one. */
  read() {
    const { state, wrong } = fromLink(location.hash, this.subject.about);
    this.state = state;
    this.hear(wrong.length ? `The link says what this generator does not have: ${wrong.join(", ")}.` : "");
  }

  change(part) {
    this.state = { ...this.state, ...part };
    this.hear("");
    this.address ??= setTimeout(() => {
      this.address = null; // not at each move of a slider: Safari takes 100 changes in 10 seconds
      history.replaceState(null, "", `#${toLink(this.state, this.subject.about)}`);
    }, 200);
    this.refresh();
  }

  picked(seed) {
    if (this.walk.picking) {
      this.walk.pick(false);
      this.change({ to: seed });
    } else this.change({ seed });
  }

  hear(text) {
    by("heard").textContent = text;
  }

  async refresh() {
    by("seed").value = this.state.seed;
    this.engine.forget("picture");
    const asked = this.pixels(this.subject.inputs(this.state), 0, "picture");
    this.parts.forEach((part) => part.refresh());
    const pixels = await asked;
    if (!pixels) return;
    const { width, height } = this.subject.images;
    show(by("picture"), pixels, width, height);
    by("picture").setAttribute("aria-label", this.description());
    by("picture").dataset.shown = toLink(this.state, this.subject.about);
    if (this.first === null) this.started();
  }

  description() {
    const { state, subject } = this;
    const moved = state.amounts.flatMap((amount, k) => (amount ? [`direction ${k + 1} at ${rounded(amount)}`] : []));
    const label = subject.labels === null ? [] : [subject.className(state.label ?? state.seed % subject.images.classes)];
    return [`Picture of seed ${state.seed}`, ...label, ...moved].join(", ");
  }

  /** The pixels of inputs; null where something else was asked for since. A failure is said, and is no picture. */
  async pixels(inputs, rank, group) {
    try {
      const image = await this.engine.image(inputs, rank, group);
      return image && this.subject.pixels(image);
    } catch (error) {
      this.hear(`A picture could not be computed: ${error.message}`);
      return null;
    }
  }

  started() {
    this.first = performance.now();
    document.documentElement.dataset.firstPicture = Math.round(this.first);
    const { metadata, page } = this.subject;
    const tell = () => {
      const pace = this.engine.pace;
      const took = pace < 1 ? "less than 1 ms" : `${pace.toFixed(pace < 10 ? 1 : 0)} ms`; // Firefox's clock is coarse
      const each = pace === Infinity ? "" : `, ${took} a picture`;
      fillCard(metadata, page, [
        ["Size of this page", megabytes(page.bytes)],
        ["On this device", `first picture after ${(this.first / 1000).toFixed(1)} s${each}`],
      ]);
    };
    tell();
    setTimeout(tell, 3000); // once more is known of the pace
  }

  savePng() {
    const name = `${this.fileName}-seed-${this.state.seed}.png`;
    by("picture").toBlob((blob) => save([blob], "image/png", name), "image/png");
  }

  async copyLink() {
    const link = `${location.href.split("#")[0]}#${toLink(this.state, this.subject.about)}`;
    try {
      await navigator.clipboard.writeText(link);
      this.hear("The link has been copied.");
    } catch {
      this.hear(link); // to be copied by hand
    }
  }

  saveOnnx() {
    const bytes = Uint8Array.from(atob(island("generator")), (letter) => letter.charCodeAt(0));
    save([bytes], "application/octet-stream", `${this.fileName}.onnx`);
  }
}

async function main() {
  const metadata = JSON.parse(island("metadata"));
  const page = JSON.parse(island("page"));
  by("title").textContent = page.title;
  const lacking = missing();
  if (lacking.length) {
    by("status").textContent = `This browser cannot run the generator: it has no ${lacking.join(" and no ")}. A newer Firefox, Chrome, Edge or Safari can.`;
    return;
  }
  by("status").textContent = "Loading the generator …";
  const subject = new Subject(metadata, page);
  let engine;
  try {
    engine = await Engine.start(subject.kinds);
  } catch (error) {
    by("status").textContent = `This browser cannot run the generator: ${error.message}`;
    return;
  }
  by("undirected").textContent = page.directions ? "" : page.undirected;
  by("undirected").hidden = Boolean(page.directions);
  by("main").hidden = false;
  by("status").hidden = true;
  new App(subject, engine).refresh();
}

main();
