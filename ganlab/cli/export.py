"""`ganlab export`: write a trained generator in another format, compared with torch before it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlab.cli.completion import complete_exporters, complete_runs
from ganlab.cli.output import say

if TYPE_CHECKING:
    from ganlab.generator.export import Exported
    from ganlab.generator.file import Artefact

REDUCED = ("onnx_fp16", "onnx_int8")
"""Exporters whose files are smaller or faster at the cost of some accuracy: all three are shown."""


class ExportCommand(click.Command):
    """The command, with a flag for each exporter that a plugin offers: `--page` is short for `--to page`."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the options, those of plugins behind our own flags."""
        own = super().get_params(ctx)
        taken = {flag for parameter in own for flag in parameter.opts}
        place = 1 + max(index for index, parameter in enumerate(own) if _is_format(parameter))
        flags = {f"--{name.replace('_', '-')}": name for name in _of_plugins()}
        added = [
            click.Option([flag, "names"], flag_value=name, multiple=True, help=f"Short for --to {name}.")
            for flag, name in flags.items()
            if flag not in taken
        ]
        return [*own[:place], *added, *own[place:]]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say of a flag that a plugin would offer which one that is."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            from ganlab.registry.checkout import how_to_install
            from ganlab.registry.lookup import registry

            name = error.option_name.removeprefix("--").replace("-", "_")
            if how_to_install("exporter", name):
                registry.provider("exporter", name)  # which raises, and says how it is installed
            raise


def _is_format(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and parameter.name == "names" and parameter.is_flag


def _of_plugins() -> list[str]:
    """Return the names of the exporters that are not ganlab's own."""
    from ganlab.registry.entry_points import HOST, normalized
    from ganlab.registry.lookup import registry

    ours = {who.name for who in registry.providers("exporter") if normalized(who.distribution) == HOST}
    return [name for name in registry.names("exporter") if name not in ours]


@click.command(cls=ExportCommand)
@click.argument("source", required=False, type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option("--onnx", "names", flag_value="onnx", multiple=True, help="Short for --to onnx.")
@click.option("--safetensors", "names", flag_value="safetensors", multiple=True, help="Short for --to safetensors.")
@click.option("--fp16", is_flag=True, help="With --onnx: half the size. Short for --to onnx_fp16.")
@click.option("--int8", is_flag=True, help="With --onnx: a quarter, and faster on a CPU. Short for --to onnx_int8.")
@click.option(
    "--to",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_exporters,
    help="An installed exporter (ganlab plugins).",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the exporter, as in opset=18."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to write; by default beside SOURCE."
)
def export(
    source: Path | None, names: tuple[str, ...], fp16: bool, int8: bool, settings: tuple[str, ...], out: Path | None
) -> None:
    """Export a generator. SOURCE is a run's directory or a generator.safetensors; without it the newest run.

    RUN@best is the best generator of a run, RUN@468 that of its iteration 468, from a kept file or a checkpoint.

    What was written is run at batches 1, 2 and 7 and compared with torch; a file that differs is not kept.
    """
    from ganlab.cli.source import generator_source
    from ganlab.errors import GanlabError

    if fp16 and int8:
        raise GanlabError("--fp16 and --int8 are two files; export one at a time")
    if fp16 or int8:
        form = "fp16" if fp16 else "int8"
        if "onnx" not in names:
            raise GanlabError(f"--{form} is a form of ONNX; write --onnx --{form}")
        names = tuple(f"onnx_{form}" if name == "onnx" else name for name in names)
    if not names:
        raise GanlabError("name a format: --onnx, --safetensors, or --to NAME (ganlab plugins lists the exporters)")
    if out is not None and len(names) > 1:
        raise GanlabError("--out names one file; export one format at a time")
    path = generator_source(source)

    from ganlab.generator.export import export as checked_export
    from ganlab.generator.remote import is_fetched
    from ganlab.messages import in_words, printable
    from ganlab.run.generators import opened
    from ganlab.run.places import stem_of

    generator = opened(path)
    stem = Path(path.stem) if is_fetched(path) else stem_of(path)
    for name in names:
        exported = checked_export(generator, name, settings, out, stem=stem)
        for written in (exported, *exported.others):
            say(
                f"{printable(str(written.path))}  {written.bytes / 1e6:.1f} MB, "
                f"differs from torch by at most {written.max_difference:.1e} (allowed {written.tolerance:.0e})"
            )
        if exported.left_out:
            say(f'the exporter "{name}" has no place for the {in_words(exported.left_out)}', err=True)
        if exported.usage:
            say(f"  {printable(exported.usage)}")
        if name in REDUCED:
            say(_against_fp32(generator, exported, settings))


def _against_fp32(source: Path | Artefact, exported: Exported, settings: Sequence[str]) -> str:
    """Return in words what a reduced file gives and costs, beside ONNX in float32 on this machine."""
    import tempfile

    from ganlab.generator.export import export as checked_export
    from ganlab.generator.export import paces
    from ganlab.generator.generator import BATCH

    with tempfile.TemporaryDirectory() as folder:
        whole = checked_export(source, "onnx", settings, Path(folder) / "fp32.onnx")
        ours, theirs = paces(exported.path, whole.path)
    return (
        f"  by {exported.relative_difference:.2%} on the whole; one picture in {ours.one_ms:.2f} ms, "
        f"{BATCH} in {ours.batch_ms:.1f} ms; "
        f"in fp32: {whole.bytes / 1e6:.1f} MB, {theirs.one_ms:.2f} ms, {theirs.batch_ms:.1f} ms"
    )
