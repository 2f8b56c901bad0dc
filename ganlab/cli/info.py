"""`ganlab info`: what a generator file or a run says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlab.cli.completion import complete_runs
from ganlab.cli.output import say
from ganlab.messages import in_words

if TYPE_CHECKING:
    from ganlab.generator.metadata import Metadata
    from ganlab.interfaces import ImageSpec, Input

LEAST_LETTERS, MOST_LETTERS = 28, 40
"""Of the column of keys; what stands beside longer ones begins further to the right."""


@click.command(short_help="Show what a generator is, and what it was trained on.")
@click.argument("source", required=False, type=click.Path(path_type=Path), shell_complete=complete_runs)
def info(source: Path | None) -> None:
    """Show what a generator is: its model, options, pictures, inputs and training. Without SOURCE, the newest run's."""
    import json

    from ganlab.cli.source import generator_source
    from ganlab.generator.file import Artefact
    from ganlab.generator.formats import read_metadata
    from ganlab.messages import printable
    from ganlab.run.generators import opened

    path = generator_source(source)
    found = opened(path)
    if isinstance(found, Artefact):
        metadata, size = found.metadata, f"{len(found.data) / 1e6:.1f} MB as a file"
    else:
        metadata, size = read_metadata(found), f"{found.stat().st_size / 1e6:.1f} MB"
    say(f"{printable(str(path))}  {size}")
    sections = json.loads(metadata.to_json())
    sections["inputs"] = {record.name: _drawn(record.kind, metadata.images) for record in metadata.inputs}
    sections["shipped"] = {network: _computes(metadata, network) for network in metadata.networks}
    rows = [
        (printable(key), printable(item)) for section, value in sections.items() for key, item in _flat(section, value)
    ]
    width = min(MOST_LETTERS, max(LEAST_LETTERS, *(len(key) for key, _ in rows)))
    for key, item in rows:
        say(f"  {key:<{width}} {item}")


def _computes(metadata: Metadata, network: str) -> str:
    """Return in words what a network does: `images (3 x 8 x 8) to z (16)`."""
    output, shape = metadata.makes(network)
    made = f"{output} ({' x '.join(map(str, shape))})"
    return f"{in_words(list(metadata.takes(network)))} to {made}"


def _drawn(kind: Input, images: ImageSpec) -> str:
    """Return in words what an input is drawn from: `normal, 100`, `categorical, 10` or `labels, 10 classes`."""
    if kind.distribution == "labels":
        return f"labels, {images.classes} classes"
    return f"{kind.distribution}, {' x '.join(map(str, kind.shape))}"


def _flat(prefix: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [row for key, item in value.items() for row in _flat(f"{prefix}.{key}", item)]
    if prefix == "class_names" and isinstance(value, list):
        return [(prefix, ", ".join(value))] if value else []
    return [(prefix, str(value))]
