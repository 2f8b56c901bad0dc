"""`ganlab directions`: the directions that change a generator's pictures the most."""

from __future__ import annotations

from pathlib import Path

import click

from ganlab.cli.completion import complete_runs
from ganlab.cli.output import say
from ganlab.cli.target import overwrite_option, target

PICTURES_LIMIT = 10_000


@click.command()
@click.argument("source", required=False, type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option("--count", type=click.IntRange(1, 64), default=5, show_default=True, help="How many directions.")
@click.option("--seeds", default="0-2", show_default=True, metavar="LIST", help="The pictures that they change.")
@click.option("--label", metavar="CLASS", help="The class to draw, its name or number, for a conditional model.")
@click.option("--reach", type=click.FloatRange(0.01, 1000), default=3.0, show_default=True, help="How far to go.")
@click.option("--steps", type=click.IntRange(1, 50), default=3, show_default=True, help="Pictures to each side.")
@click.option("--scale", type=click.IntRange(1, 64), default=1, show_default=True, help="Pixels become so many a side.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="The sheet.  [default: directions.png]")
@overwrite_option
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="Where to compute.")
def directions(
    source: Path | None,
    count: int,
    seeds: str,
    label: str | None,
    reach: float,
    steps: int,
    scale: int,
    out: Path | None,
    overwrite: bool,
    device: str,
) -> None:
    """Draw what the strongest directions of z change.

    The sheet has a row for each seed and direction, from -REACH to REACH.

    They are found in closed form, from the generator's first layer (Shen and Zhou 2021). SOURCE is what ganlab sample
    takes.
    """
    from itertools import chain

    from ganlab.cli.sample import parse_seeds
    from ganlab.cli.source import beside, generator_source
    from ganlab.data.captions import enlarged
    from ganlab.data.pictures import check_holds, grid, grid_size, save_picture, to_uint8
    from ganlab.errors import GanlabError
    from ganlab.generator.directions import along
    from ganlab.generator.directions import directions as found_in
    from ganlab.messages import printable
    from ganlab.run.generators import load_generator

    chosen = list(chain(*parse_seeds(seeds)))
    path = generator_source(source)
    place = target(out, beside(path, "directions.png"), overwrite)
    generator = load_generator(path, device=device)
    found = found_in(generator, count)
    columns, images = 2 * steps + 1, generator.metadata.images
    if (pictures := len(chosen) * len(found.vectors) * columns) > PICTURES_LIMIT:
        raise GanlabError(f"{pictures:,} pictures do not fit one sheet; ask for fewer seeds, directions or steps")
    size = images.height * scale, images.width * scale
    check_holds(place, (*grid_size(pictures, *size, columns), images.channels))
    changed = along(found, generator.draw(chosen, label), reach, steps)
    save_picture(place, grid(enlarged(to_uint8(generator(changed)), scale), columns), sheet=True)
    for number, share in enumerate(found.shares, 1):
        say(f"direction {number} of {found.input}: {share:.1%} of what the first layer makes of it")
    say(f"{len(chosen)} x {len(found.vectors)} rows, a block of directions for each seed, in {printable(str(place))}")
