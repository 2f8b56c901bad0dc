"""`ganlab sample`: draw pictures from a trained generator."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlab.cli.completion import complete_runs
from ganlab.cli.output import say
from ganlab.cli.target import overwrite_option, refuse_taken, target

if TYPE_CHECKING:
    from ganlab.data.pictures import Pictures
    from ganlab.generator.arguments import Choice
    from ganlab.generator.generator import Generator

BATCH = 64
"""Pictures computed at once."""
GRID_LIMIT = 10_000
"""Pictures of one grid."""
ARRAY = ".npy"
"""The ending of a file of pixels."""
WAITING = 8
"""Batches that may wait to be encoded, so that memory stays flat however many pictures are asked for."""


@click.command()
@click.argument("source", required=False, type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="How many pictures.  [default: 64]")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of the first picture.  [default: 0]")
@click.option("--seeds", metavar="LIST", help="One seed a picture, as in 0-63 or 3,14,15-17.")
@click.option("--label", metavar="CLASS", help="The class to draw, its name or number, for a conditional model.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=VALUES",
    help="An input of the generator (ganlab info): a category, or several that take turns, as in code=0,1,2; "
    "of a normal or uniform one a number for all of it, or all of its numbers.",
)
@click.option("--truncation", type=float, metavar="X", help="Scale normal inputs: below 1, pictures are more alike.")
@click.option("--separate", is_flag=True, help="Write one PNG a picture, named after its seed, instead of a grid.")
@click.option("--columns", type=click.IntRange(min=1), metavar="N", help="Pictures in a row of the grid.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The grid's file, .png, .jpg or .webp; with --separate a directory; a .npy file gets the pixels themselves.",
)
@click.option("--scale", type=click.IntRange(1, 64), default=1, show_default=True, help="Pixels become so many a side.")
@click.option("--label-seeds", is_flag=True, help="Write its seed below each picture of the grid.")
@overwrite_option
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="Where to compute.")
def sample(
    source: Path | None,
    count: int | None,
    seed: int | None,
    seeds: str | None,
    label: str | None,
    inputs: tuple[str, ...],
    truncation: float | None,
    separate: bool,
    columns: int | None,
    out: Path | None,
    scale: int,
    label_seeds: bool,
    overwrite: bool,
    device: str,
) -> None:
    """Draw pictures. SOURCE is a run's directory, a generator.safetensors or an .onnx file; without it the newest run.

    RUN@best is the best generator of a run, RUN@468 that of its iteration 468, from a kept file or a checkpoint. A seed
    is the same picture from any of these files, on any device.
    """
    from ganlab.cli.source import beside, generator_source
    from ganlab.data.captions import captioned, enlarged
    from ganlab.data.inputs import SEEDS
    from ganlab.data.pictures import check_holds, grid, grid_size, save_picture
    from ganlab.errors import GanlabError
    from ganlab.messages import counted, printable
    from ganlab.run.generators import load_generator

    if seeds is not None and (count is not None or seed is not None):
        raise GanlabError("--seeds says which pictures to draw; leave --count and --seed away")
    first = seed or 0
    chosen = parse_seeds(seeds) if seeds is not None else [range(first, first + (count or 64))]
    if seeds is None and first < SEEDS < chosen[0].stop:
        raise GanlabError(
            f"--count {count or 64:,} is too many from seed {first} on: seeds end at {SEEDS - 1}, so "
            f"{SEEDS - first:,} at most"
        )
    _check_seeds(chosen)
    total = sum(map(len, chosen))
    if separate:
        _check_once(chosen)
    if out is not None:
        _check_out(out, separate)
    if (scale > 1 or label_seeds) and (separate or (out is not None and out.suffix.lower() == ARRAY)):
        raise GanlabError("--scale and --label-seeds are for a grid; leave them away")
    array = not separate and out is not None and out.suffix.lower() == ARRAY
    if total > GRID_LIMIT and not separate and not array:
        raise GanlabError(f"{total:,} pictures do not fit one grid; use --separate, or --out FILE.npy")
    path = generator_source(source)
    choices = parse_inputs(inputs)
    generator = load_generator(path, device=device)
    wishes = (label, BATCH, choices, 1.0 if truncation is None else truncation)
    if separate and out is not None:
        if not overwrite:
            refuse_taken(_those_there(out, chosen))
    else:
        out = target(out, beside(path, "seeds" if separate else "sample.png"), overwrite)
    if separate:
        _write_separately(chosen, generator.batches(chain(*chosen), *wishes), out)
        say(f"{counted(total, 'picture')} in {printable(str(out))}")
    elif array:
        _write_array((total, *_size(generator)), generator.batches(chain(*chosen), *wishes), out)
        say(f"{counted(total, 'picture')} in {printable(str(out))}")
    else:
        across = columns or math.ceil(math.sqrt(total))
        height, width, channels = _size(generator)
        check_holds(out, (*grid_size(total, height * scale, width * scale, across), channels))
        pictures = enlarged(generator.sample(chain(*chosen), *wishes), scale)
        if label_seeds:
            pictures = captioned(pictures, list(map(str, chain(*chosen))))
        alone = total == 1 and not label_seeds
        save_picture(out, pictures[0] if alone else grid(pictures, across), sheet=True)
        say(out)


def parse_seeds(text: str) -> list[range]:
    """Return the seeds of a list such as `0-63` or `3,14,15-17`. Raise `GanlabError` where it is none."""
    from ganlab.errors import GanlabError

    chosen: list[range] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})(?:\s*-\s*(\d{1,10}))?\s*", part)
        if match is None:
            raise GanlabError(f'--seeds "{text}": "{part}" is neither a seed nor a range; write 0-63 or 3,14,15-17')
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise GanlabError(f'--seeds "{text}": the range {part.strip()} runs backwards')
        chosen.append(range(first, last + 1))
    return chosen


def parse_inputs(texts: Sequence[str]) -> dict[str, Choice]:
    """Return what `NAME=3` and `NAME=0,1,2` choose. Raise `GanlabError` where a text is neither."""
    from ganlab.errors import GanlabError

    choices: dict[str, Choice] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not name or not equals:
            raise GanlabError(f'--input "{text}": write NAME=VALUE, as in code=3, or several values, as in code=0,1,2')
        if name in choices:
            raise GanlabError(f'--input gives {name} twice; write all of its values at once, as in "{name}=0,1,2"')
        numbers = [_number(text, value) for value in values.split(",")]
        choices[name] = numbers[0] if len(numbers) == 1 else numbers
    return choices


def _number(text: str, value: str) -> float:
    from ganlab.errors import GanlabError

    if re.fullmatch(r"[+-]?\d{1,18}", value.strip()):
        return int(value)
    try:
        return float(value)
    except ValueError as error:
        raise GanlabError(f'--input "{text}": "{value.strip()}" is no number') from error


def _check_once(chosen: Sequence[range]) -> None:
    """Refuse a seed that comes twice, whose pictures would be files of one name."""
    from ganlab.errors import GanlabError

    ordered = sorted(chosen, key=lambda seeds: seeds.start)
    for before, after in pairwise(ordered):
        if after.start < before.stop:
            raise GanlabError(
                f"--seeds names {after.start} more than once, and --separate writes one file a seed; "
                "name each once, or leave --separate away"
            )


def _check_out(out: Path, separate: bool) -> None:
    """Refuse a place that cannot be written, or whose name says that something else is in it."""
    from ganlab.data.pictures import ENCODINGS
    from ganlab.errors import GanlabError
    from ganlab.messages import in_words
    from ganlab.regular import named_path

    named_path(out)
    endings = [*ENCODINGS, ARRAY]
    named = out.suffix.lower() in endings
    if separate and (named or ((out.exists() or out.is_symlink()) and not out.is_dir())):
        raise GanlabError(f"--separate fills a directory with PNG files, and --out {out} is none; name a directory")
    if not separate and out.is_dir():
        raise GanlabError(f"--out {out} is a directory; name a file, or use --separate")
    if not separate and not named:
        raise GanlabError(f"--out {out}: name a file that ends in {in_words(endings, 'or')}")


def _check_seeds(chosen: Sequence[range]) -> None:
    from ganlab.data.inputs import SEEDS
    from ganlab.errors import GanlabError

    if (last := max(seeds.stop - 1 for seeds in chosen)) >= SEEDS:
        raise GanlabError(f"{last} is not a seed: seeds are whole numbers from 0 to {SEEDS - 1}")


def _size(generator: Generator) -> tuple[int, int, int]:
    """Return height, width and channels of its pictures."""
    images = generator.metadata.images
    return images.height, images.width, images.channels


def _write_separately(chosen: Sequence[range], batches: Iterator[Pictures], directory: Path) -> None:
    """Write one PNG a picture; they are encoded by threads of their own while the next ones are computed."""
    from concurrent.futures import Future, ThreadPoolExecutor

    from ganlab.data.pictures import save_png
    from ganlab.hardware.cores import physical_cores

    def write(seeds: list[int], pictures: Pictures) -> None:
        for seed, picture in zip(seeds, pictures, strict=True):
            # Not flushed one by one: a picture that a power cut takes is drawn again from its seed.
            save_png(directory / _file_of(seed), picture, flush=False)

    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(physical_cores()) as pool:
        seeds = chain(*chosen)
        for pictures in batches:
            waiting.append(pool.submit(write, list(islice(seeds, len(pictures))), pictures))
            if len(waiting) > WAITING:
                waiting.popleft().result()
        for future in waiting:
            future.result()


def _those_there(folder: Path, chosen: Sequence[range]) -> Iterator[Path]:
    """Yield the files of these seeds that a folder has: seeds may be too many to ask for each."""
    for path in folder.iterdir() if folder.is_dir() else ():
        found = re.fullmatch(r"seed(\d{8,10})\.png", path.name, re.ASCII)
        if found and any(int(found[1]) in seeds for seeds in chosen):
            yield path


def _file_of(seed: int) -> str:
    return f"seed{seed:08d}.png"


def _write_array(shape: tuple[int, int, int, int], batches: Iterator[Pictures], path: Path) -> None:
    """Write the pixels as one array of `shape`, `(N, H, W, C)`, uint8."""
    import numpy as np

    from ganlab.durable import replacing_file

    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    # Written, not mapped: a mapping is memory of this process, and ends it where the disk is full.
    with replacing_file(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for pictures in batches:
            file.write(pictures.data)
