"""`ganlab project`: the latent vector of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlab.cli.completion import complete_runs
from ganlab.cli.output import say
from ganlab.cli.target import overwrite_option, target

if TYPE_CHECKING:
    from ganlab.data.pictures import Pictures
    from ganlab.interfaces import ImageSpec

LARGEST_FILE = 200_000_000
LARGEST_PIXELS = 64_000_000


@click.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.argument("source", required=False, type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option("--label", metavar="CLASS", help="Its class; without it, a conditional generator tries all in turns.")
@click.option("--starts", type=click.IntRange(1, 1024), default=16, show_default=True, help="Seeds to begin with.")
@click.option("--steps", type=click.IntRange(1, 100_000), default=300, show_default=True, help="Steps of each.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The picture beside the nearest one; its inputs lie beside it as .npz.  [default: projection.png]",
)
@overwrite_option
def project(
    picture: Path, source: Path | None, label: str | None, starts: int, steps: int, out: Path | None, overwrite: bool
) -> None:
    """Find the latent vector of PICTURE.

    It is what a generator must be given to come as near as it can, by gradient descent from many starts.

    SOURCE is a run's directory or a generator.safetensors; without it the newest run. PICTURE is cropped in its centre
    and resized. The sheet shows it, what was found, and the difference.
    """
    import numpy as np

    from ganlab.cli.output import Told
    from ganlab.cli.source import beside, generator_source
    from ganlab.data.pictures import check_holds, grid, grid_size, save_picture
    from ganlab.durable import replacing_file
    from ganlab.generator.projection import network_of
    from ganlab.generator.projection import project as nearest
    from ganlab.messages import printable
    from ganlab.run.generators import load_generator, opened

    path = generator_source(source)
    place = target(out, beside(path, "projection.png"), overwrite)
    numbers = target(None if out is None else place.with_suffix(".npz"), place.with_suffix(".npz"), overwrite)
    network, metadata = network_of(opened(path))
    images = metadata.images
    check_holds(place, (*grid_size(3, images.height, images.width, 3), images.channels))
    wanted = _picture(picture, images)
    drawn = load_generator(path, device="cpu").draw(starts, label)
    told = Told()
    found = nearest(network, metadata.kinds, wanted, drawn, steps, lambda done: told("descending", done, steps))
    difference = 255 - np.abs(found.picture.astype(np.int16) - wanted).astype(np.uint8)
    save_picture(place, grid(np.stack([wanted, found.picture, difference]), 3), sheet=True)
    with replacing_file(numbers) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **found.inputs)
    same = sum(error < 1.02 * found.errors[0] for error in found.errors)
    say(f"error {found.error:.1f} of 255 levels; {same} of {starts} starts came as near")
    say(f"{printable(str(place))}: the picture, the nearest one, and their difference")
    say(f"{printable(str(numbers))}: what the generator is given for it")


def _picture(path: Path, images: ImageSpec) -> Pictures:
    """Return a picture `(H, W, C)` as the generator's data would have it. Raise `GanlabError` where it is none."""
    import numpy as np

    from ganlab.data.decode import Target, decode
    from ganlab.data.formats import open_picture
    from ganlab.errors import GanlabError
    from ganlab.messages import told
    from ganlab.regular import named_path, read_regular

    try:
        data = read_regular(named_path(path), LARGEST_FILE)
        target_ = Target(images.channels, images.height, images.width, "center", "#ffffff", LARGEST_PIXELS)
        return np.ascontiguousarray(decode(open_picture(data), target_).transpose(1, 2, 0))
    except GanlabError as error:
        raise GanlabError(f"{path}: {error}") from error
    except OSError as error:
        raise GanlabError(f"{path}: {error.strerror or told(error)}") from error
    except Exception as error:  # whatever Pillow raises for a broken file
        raise GanlabError(f"{path}: is no picture that can be read: {told(error)}") from error
