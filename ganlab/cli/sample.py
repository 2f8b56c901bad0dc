"""`ganlab sample`: draw pictures from a trained generator."""

from __future__ import annotations

import math
import re
from pathlib import Path

import click


@click.command()
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="How many pictures.  [default: 64]")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of the first picture.  [default: 0]")
@click.option("--seeds", metavar="LIST", help="One seed a picture, as in 0-63 or 3,14,15-17.")
@click.option("--label", type=int, metavar="N", help="The class to draw, for a conditional model.")
@click.option("--separate", is_flag=True, help="Write one PNG a picture, named after its seed, instead of a grid.")
@click.option("--columns", type=click.IntRange(min=1), metavar="N", help="Pictures in a row of the grid.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="PATH", help="The grid's file, or with --separate a directory."
)
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="Where to compute.")
def sample(
    source: Path | None,
    count: int | None,
    seed: int | None,
    seeds: str | None,
    label: int | None,
    separate: bool,
    columns: int | None,
    out: Path | None,
    device: str,
) -> None:
    """Draw pictures. SOURCE is a run's directory, a generator.safetensors or an .onnx file; without it the newest run.

    A seed is the same picture from any of these files, on any device.
    """
    from ganlab.cli.source import generator_source
    from ganlab.errors import GanlabError
    from ganlab.generator import load_generator
    from ganlab.pictures import grid, save_png

    if seeds is not None and (count is not None or seed is not None):
        raise GanlabError("--seeds says which pictures to draw; leave --count and --seed away")
    chosen = parse_seeds(seeds) if seeds is not None else range(seed or 0, (seed or 0) + (count or 64))
    path = generator_source(source)
    pictures = load_generator(path, device=device).sample(chosen, label=label)
    out = out or path.parent / ("seeds" if separate else "sample.png")
    if separate:
        for number, picture in zip(chosen, pictures, strict=True):
            save_png(out / f"seed{number:08d}.png", picture)
        click.echo(f"{len(pictures)} pictures in {out}")
        return
    save_png(out, grid(pictures, columns or math.ceil(math.sqrt(len(pictures)))))
    click.echo(out)


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of a list such as `0-63` or `3,14,15-17`. Raise `GanlabError` where it is none."""
    from ganlab.errors import GanlabError

    chosen: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})(?:\s*-\s*(\d{1,10}))?\s*", part)
        if match is None:
            raise GanlabError(f'--seeds "{text}": "{part}" is neither a seed nor a range; write 0-63 or 3,14,15-17')
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise GanlabError(f'--seeds "{text}": the range {part.strip()} runs backwards')
        chosen.extend(range(first, last + 1))
    return chosen
