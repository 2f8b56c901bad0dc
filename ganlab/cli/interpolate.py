"""`ganlab interpolate`: a film that leads from picture to picture."""

from __future__ import annotations

from pathlib import Path

import click

from ganlab.cli.completion import complete_runs
from ganlab.cli.output import say
from ganlab.cli.target import overwrite_option, target

FRAMES_LIMIT = 5_000
"""Frames of one film: they are in memory together."""


@click.command()
@click.argument("source", required=False, type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option("--seeds", default="0-5", show_default=True, metavar="LIST", help="The pictures it goes through.")
@click.option("--label", metavar="CLASS", help="The class to draw, its name or number, for a conditional model.")
@click.option("--truncation", type=float, default=1.0, metavar="X", help="Scale normal inputs, as ganlab sample does.")
@click.option(
    "--way",
    type=click.Choice(["auto", "spherical", "linear"]),
    default="auto",
    show_default=True,
    help="Along arcs or lines; auto takes arcs for normal inputs.",
)
@click.option("--loop/--no-loop", default=True, show_default=True, help="Whether it goes back to the first picture.")
@click.option(
    "--steps", type=click.IntRange(1, 1000), default=25, show_default=True, help="Frames from one to the next."
)
@click.option("--fps", type=click.FloatRange(1, 100), default=25.0, show_default=True, help="Frames a second.")
@click.option("--scale", type=click.IntRange(1, 64), default=1, show_default=True, help="Pixels become so many a side.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A .gif, .png or .apng (both animated), .webp, or .mp4 where ffmpeg is.  [default: interpolation.gif]",
)
@overwrite_option
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="Where to compute.")
def interpolate(
    source: Path | None,
    seeds: str,
    label: str | None,
    truncation: float,
    way: str,
    loop: bool,
    steps: int,
    fps: float,
    scale: int,
    out: Path | None,
    overwrite: bool,
    device: str,
) -> None:
    """Make a film that goes from picture to picture.

    They are those of the seeds, in their order. SOURCE is what ganlab sample takes.
    """
    from itertools import chain

    from ganlab.cli.sample import parse_seeds
    from ganlab.cli.source import beside, generator_source
    from ganlab.data.captions import enlarged
    from ganlab.data.film import check_film, save_film
    from ganlab.data.pictures import to_uint8
    from ganlab.errors import GanlabError
    from ganlab.generator.interpolation import walk
    from ganlab.messages import counted, printable
    from ganlab.run.generators import load_generator

    chosen = parse_seeds(seeds)
    count = sum(map(len, chosen))
    if count < 2:
        raise GanlabError(f'--seeds "{seeds}" is one picture; name two or more, as in 0,7')
    frames = count * steps if loop else (count - 1) * steps + 1
    if frames > FRAMES_LIMIT:
        raise GanlabError(f"{frames:,} frames are too many for a film; {FRAMES_LIMIT:,} are the most: lower --steps")
    path = generator_source(source)
    place = target(out, beside(path, "interpolation.gif"), overwrite)
    generator = load_generator(path, device=device)
    images, milliseconds = generator.metadata.images, [max(1, round(1000 / fps))] * frames
    check_film(place, (images.height * scale, images.width * scale, images.channels), milliseconds)
    ends = generator.draw(chain(*chosen), label, truncation=truncation)
    pictures = to_uint8(generator(walk(ends, generator.metadata.kinds, steps, way, loop)))  # type: ignore[arg-type]
    save_film(place, enlarged(pictures, scale), milliseconds)
    say(f"{counted(frames, 'frame')} in {printable(str(place))}")
