"""What a hub shows of a generator: README.md with its front matter, and config.json, by which downloads are counted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ganlab.errors import printable
from ganlab.generator.remote import ONNX

if TYPE_CHECKING:
    from ganlab.generator.metadata import Metadata

LIBRARY = "ganlab"
PIPELINE = "unconditional-image-generation"
README, SAMPLE, FILM, RECIPE, PAGE = "README.md", "sample.png", "progress.gif", "recipe.toml", "index.html"
CLASSES_SHOWN = 50

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|<>~&-])")


class Scored(NamedTuple):
    """One number that says how good the generator is, and what it was computed from."""

    name: str
    value: float
    spread: float | None
    """Standard deviation over blocks of seeds; None of a single one."""
    reference: float | None
    """What real pictures get."""
    better: str
    """`"lower"`, `"higher"` or `"neither"`."""
    protocol: Mapping[str, Any]
    """As `ganlab evaluate --json` has it."""


class Card(NamedTuple):
    """What is said of a generator."""

    title: str
    licence: str
    metadata: Metadata
    recipe: str
    """The resolved recipe as TOML; empty where it is not known."""
    scores: Sequence[Scored]
    files: Sequence[str]
    """The names of what is handed over."""
    repository: str = "user/name"
    dataset: str | None = None
    """Of the data set on the hub, as `user/name`."""

    def readme(self) -> str:
        """Return README.md: front matter in YAML, then Markdown. No text of a stranger is markup in either."""
        return "".join(f"{line}\n" for line in [*self._front_matter(), "", *self._body()])

    def _front_matter(self) -> Iterator[str]:
        about = self.metadata
        yield "---"
        yield f"library_name: {LIBRARY}"
        yield f"pipeline_tag: {PIPELINE}"
        yield f"license: {quoted(self.licence)}"
        yield "tags:"
        yield from (f"- {quoted(tag)}" for tag in [LIBRARY, about.model.name, "gan", *["onnx"] * (ONNX in self.files)])
        if self.dataset is not None:
            yield from ("datasets:", f"- {quoted(self.dataset)}")
        if self.scores:
            yield from ("model-index:", f"- name: {quoted(self.title)}", "  results:")
            for scored in self.scores:
                yield from _result(scored)
        yield "---"

    def _body(self) -> Iterator[str]:
        about, images = self.metadata, self.metadata.images
        colours = {1: "grey", 3: "RGB", 4: "RGBA"}.get(images.channels, f"{images.channels} channels")
        yield f"# {_text(self.title)}"
        yield ""
        yield (
            f"A generator of pictures of {images.height}x{images.width} pixels, {colours}, trained by ganlab with "
            f"the model {_text(about.model.name)} on {_text(about.data.dataset or 'data without a name')}."
        )
        for name, what in ((SAMPLE, "Samples of the generator"), (FILM, "The same latents from snapshot to snapshot")):
            if name in self.files:
                yield from ("", f"![{what}]({name})")
        yield from ("", "## Use it", "", "```python", "import ganlab", "")
        yield f'generator = ganlab.load_generator("hf://{self.repository}")'
        yield from ("pictures = generator.sample(16)  # uint8 (N, H, W, C); a seed is always the same picture", "```")
        if ONNX in self.files:
            inputs = ", ".join(f"`{record.name}` {_shape(record.shape)}" for record in about.inputs)
            yield ""
            yield f"`{ONNX}` runs in onnxruntime without ganlab: it takes {inputs} and makes `images` in [-1, 1]."
        if PAGE in self.files:
            yield from ("", f"`{PAGE}` is a page that draws pictures in a browser, without a server.")
        yield from self._training()
        yield from self._quality()
        yield from ("", "## Limits", "")
        yield "It draws what its data shows, with the gaps that the data has, and is no source of facts about anything."
        yield "Whether pictures are copies of training data is what `ganlab evaluate --metrics neighbours` looks for."

    def _training(self) -> Iterator[str]:
        about = self.metadata
        yield from ("", "## Training", "")
        yield (
            f"Recipe {_text(about.recipe.name)}, {about.training.iterations:,} iterations on "
            f"{about.training.images:,} pictures, repetitions counted ({about.training.epochs:,.1f} epochs); ganlab "
            f"{_text(about.versions.ganlab)}, torch {_text(about.versions.torch)}."
        )
        if about.class_names:
            shown = ", ".join(map(_text, about.class_names[:CLASSES_SHOWN]))
            more = len(about.class_names) - CLASSES_SHOWN
            yield from ("", f"Classes: {shown}{f' and {more:,} more' if more > 0 else ''}.")
        if self.recipe:
            yield from ("", f"`{RECIPE}`, which `ganlab run {RECIPE}` trains again:", "")
            # Indented, not fenced: nothing in it can end the block.
            yield from (f"    {printable(line)}".rstrip() for line in self.recipe.splitlines())

    def _quality(self) -> Iterator[str]:
        yield from ("", "## How good it is", "")
        if not self.scores:
            yield "Not measured."
            return
        yield from ("| score | this generator | real pictures | better is | computed from |", "|---|---|---|---|---|")
        for scored in self.scores:
            spread = "" if scored.spread is None else f" +- {scored.spread:.3g}"
            reference = "" if scored.reference is None else f"{scored.reference:.4g}"
            from_ = _text(_protocol(scored.protocol))
            yield f"| {_text(scored.name)} | {scored.value:.4g}{spread} | {reference} | {scored.better} | {from_} |"


def config(metadata: Metadata, files: Mapping[str, tuple[int, str]]) -> str:
    """Return config.json: what the generator is, and each file that is handed over with its size and SHA-256."""
    about = json.loads(metadata.to_json())
    kept = {key: about[key] for key in ("model", "images", "inputs", "class_names", "training", "data", "versions")}
    listed = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in sorted(files.items())}
    return json.dumps({"library_name": LIBRARY, "files": listed, **kept}, indent=1) + "\n"


def _result(scored: Scored) -> Iterator[str]:
    protocol = scored.protocol
    dataset = quoted(str(protocol.get("dataset", "unknown")))
    yield from (
        "  - task:",
        f"      type: {PIPELINE}",
        "    dataset:",
        f"      name: {dataset}",
        f"      type: {dataset}",
    )
    yield from ("    metrics:", f"    - type: {quoted(scored.name)}", f"      value: {json.dumps(scored.value)}")
    yield f"      name: {quoted(f'{scored.name}, {_protocol(protocol)}')}"


def _protocol(protocol: Mapping[str, Any]) -> str:
    """Say in a few words what a score was computed from."""
    network = protocol.get("network")
    seen = f", features of {network}" if isinstance(network, str) else ""
    return f"{protocol.get('fake')} generated and {protocol.get('real')} real pictures{seen}"


def quoted(text: str) -> str:
    """Return a text as YAML has it: a JSON string is one."""
    return json.dumps(text)


def _text(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    return _MARKUP.sub(r"\\\1", printable(text)).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")


def _shape(shape: Sequence[int]) -> str:
    return f"(N, {', '.join(map(str, shape))})" if shape else "(N,)"
