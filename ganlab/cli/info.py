"""`ganlab info`: what a generator file or a run says about itself."""

from __future__ import annotations

from pathlib import Path

import click

from ganlab.cli.completion import complete_runs
from ganlab.cli.output import say


@click.command(short_help="Show what a generator is, and what it was trained on.")
@click.argument("source", required=False, type=click.Path(path_type=Path), shell_complete=complete_runs)
def info(source: Path | None) -> None:
    """Show what a generator is: its model, options, pictures, latent and training. Without SOURCE, the newest run's."""
    import json

    from ganlab.cli.source import generator_source
    from ganlab.generator.formats import read_metadata
    from ganlab.messages import printable

    path = generator_source(source)
    metadata = read_metadata(path)
    say(f"{printable(str(path))}  {path.stat().st_size / 1e6:.1f} MB")
    for section, value in json.loads(metadata.to_json()).items():
        for key, item in _flat(section, value):
            say(f"  {printable(key):<28} {printable(item)}")


def _flat(prefix: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [row for key, item in value.items() for row in _flat(f"{prefix}.{key}", item)]
    if prefix == "class_names" and isinstance(value, list):
        return [(prefix, ", ".join(value))] if value else []
    return [(prefix, str(value))]
