"""`ganlab export`: write a trained generator in another format, compared with torch before it is kept."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("--onnx", "names", flag_value="onnx", multiple=True, help="Short for --to onnx.")
@click.option("--safetensors", "names", flag_value="safetensors", multiple=True, help="Short for --to safetensors.")
@click.option("--to", "names", multiple=True, metavar="NAME", help="An installed exporter (ganlab plugins).")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the exporter, as in opset=18."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to write; by default beside SOURCE."
)
def export(source: Path | None, names: tuple[str, ...], settings: tuple[str, ...], out: Path | None) -> None:
    """Export a generator. SOURCE is a run's directory or a generator.safetensors; without it the newest run.

    What was written is run at batches 1, 2 and 7 and compared with torch; a file that differs is not kept.
    """
    from ganlab.cli.source import generator_source
    from ganlab.errors import GanlabError

    if not names:
        raise GanlabError("name a format: --onnx, --safetensors, or --to NAME (ganlab plugins lists the exporters)")
    if out is not None and len(names) > 1:
        raise GanlabError("--out names one file; export one format at a time")
    path = generator_source(source)

    from ganlab.export import export as checked_export

    for name in names:
        exported = checked_export(path, name, settings, out)
        click.echo(
            f"{exported.path}  {exported.bytes / 1e6:.1f} MB, "
            f"differs from torch by at most {exported.max_difference:.1e} (allowed {exported.tolerance:.0e})"
        )
