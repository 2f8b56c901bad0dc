"""progress.gif, taken apart into its frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from standard.observers.events import REALS, a_run, a_snapshot, watched

from ganlab.errors import PluginError
from ganlab.standard.observers.gif import GIF
from ganlab.standard.observers.samples import Samples

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def plain_samples(colour: tuple[int, ...], count: int = 4) -> np.ndarray:
    return np.full((count, 8, 8, len(colour)), colour, np.uint8)


def frames(path: Path) -> list[tuple[Image.Image, int]]:
    """Return the pictures of a film and how many milliseconds each is shown."""
    shown = []
    with Image.open(path) as film:
        for index in range(film.n_frames):  # type: ignore[attr-defined]  # a GIF has it
            film.seek(index)
            shown.append((film.convert("RGB"), film.info["duration"]))
    return shown


def local_palettes(gif: bytes) -> int:
    """Count the frames that bring colours of their own, by walking through the file's blocks."""
    place, found = 13 + (3 << (gif[10] & 7) + 1), 0
    while gif[place] != 0x3B:
        if gif[place] == 0x21:
            place += 2
        else:
            assert gif[place] == 0x2C
            flags = gif[place + 9]
            found += flags >> 7
            place += 11 + (3 << (flags & 7) + 1 if flags >> 7 else 0)
        while gif[place]:
            place += gif[place] + 1
        place += 1
    return found


def film_of(directory: Path, colours: Sequence[tuple[int, ...]], **options: Any) -> list[tuple[Image.Image, int]]:
    run, host = a_run(directory), watched(Samples(), GIF(**options))
    host.run_start(run, REALS)
    for iteration, colour in enumerate(colours):
        host.snapshot(run, a_snapshot(iteration * 10, plain_samples(colour)))
    host.run_end(run, "finished")
    return frames(directory / "progress.gif")


def test_gif_shows_all_snapshots_in_order_and_holds_the_last(tmp_path: Path) -> None:
    colours = [(0, 0, 0), RED, GREEN, BLUE, (10, 20, 30)]
    film = film_of(tmp_path, colours, seconds=1.0)
    assert [picture.getpixel((6, 6)) for picture, _ in film] == colours
    assert [picture.getpixel((0, 0)) for picture, _ in film] == [WHITE] * 5
    assert [duration for _, duration in film] == [160, 160, 160, 160, 360]
    with Image.open(tmp_path / "progress.gif") as gif:
        assert gif.info["loop"] == 0  # for ever


def test_gif_of_many_snapshots_keeps_its_length_and_its_ends(tmp_path: Path) -> None:
    greys = [(level,) for level in range(0, 250, 5)]
    film = film_of(tmp_path, greys, frames=8, seconds=2.0)
    levels = [picture.getpixel((6, 6))[0] for picture, _ in film]  # type: ignore[index]  # a tuple in RGB
    assert len(film) == 8
    assert (levels[0], levels[-1]) == (0, 245)
    steps = np.diff(levels)
    assert steps.min() >= 30  # even: 245 / 7 = 35, rounded to the snapshots 5 apart
    assert steps.max() <= 40
    assert sum(duration for _, duration in film) == 2000


def test_gif_of_few_snapshots_is_not_stretched(tmp_path: Path) -> None:
    assert [duration for _, duration in film_of(tmp_path, [(0, 0, 0), RED])] == [1000, 3000]


def test_gif_has_one_palette_so_that_what_stands_still_does_not_flicker(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    run, host = a_run(tmp_path), watched(Samples(), GIF())
    host.run_start(run, REALS)
    for iteration in range(6):
        samples = rng.integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
        samples[0] = np.arange(192).reshape(8, 8, 3)  # the same in every snapshot
        host.snapshot(run, a_snapshot(iteration, samples))
    host.run_end(run, "finished")

    still = {picture.crop((2, 2, 10, 10)).tobytes() for picture, _ in frames(tmp_path / "progress.gif")}
    assert len(still) == 1
    assert local_palettes((tmp_path / "progress.gif").read_bytes()) == 0


def test_gif_of_grey_pictures_is_exact(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Samples(), GIF())
    host.run_start(run, REALS)
    levels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    for iteration, samples in enumerate((levels, 255 - levels)):
        host.snapshot(run, a_snapshot(iteration, samples))
    host.run_end(run, "finished")
    for iteration, (picture, _) in enumerate(frames(tmp_path / "progress.gif")):
        with Image.open(tmp_path / f"samples/{iteration:08d}.png") as grid:
            assert np.array_equal(np.asarray(picture), np.asarray(grid.convert("RGB")))
    assert local_palettes((tmp_path / "progress.gif").read_bytes()) == 0


def test_gif_shows_what_is_transparent_as_white_and_keeps_to_its_size(tmp_path: Path) -> None:
    film = film_of(tmp_path, [(255, 0, 0, 255), (0, 0, 0, 0)], size=11)
    assert [picture.size for picture, _ in film] == [(11, 11)] * 2
    assert film[1][0].getpixel((3, 3)) == WHITE
    assert film[0][0].getpixel((3, 3))[0] > film[0][0].getpixel((3, 3))[1] + 100  # type: ignore[index]  # as above


def test_gif_of_a_continued_run_has_the_earlier_frames_and_none_of_a_lost_future(tmp_path: Path) -> None:
    film_of(tmp_path, [(0, 0, 0), RED, GREEN, BLUE])  # iterations 0 to 30; then killed, checkpoint of 10
    run, host = a_run(tmp_path, first_iteration=10), watched(Samples(), GIF())
    host.run_start(run, REALS)
    host.snapshot(run, a_snapshot(20, plain_samples((9, 9, 9))))
    host.run_end(run, "interrupted")
    film = frames(tmp_path / "progress.gif")
    assert [picture.getpixel((6, 6)) for picture, _ in film] == [(0, 0, 0), RED, (9, 9, 9)]


def test_gif_costs_little_during_the_run(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Samples(), GIF())
    host.run_start(run, REALS)
    for iteration, colour in enumerate((RED, GREEN, BLUE)):
        host.snapshot(run, a_snapshot(iteration, plain_samples(colour)))
    assert len(frames(tmp_path / "progress.gif")) == 1
    host.run_end(run, "finished")
    assert len(frames(tmp_path / "progress.gif")) == 3


def test_gif_leaves_out_grids_of_another_size(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Samples(), GIF())
    host.run_start(run, REALS)
    host.snapshot(run, a_snapshot(1, plain_samples(RED, count=6)))
    host.snapshot(run, a_snapshot(2, plain_samples(GREEN)))
    host.run_end(run, "finished")
    assert [picture.getpixel((6, 6)) for picture, _ in frames(tmp_path / "progress.gif")] == [GREEN]


def test_gif_of_a_second_run_of_the_same_recipe_has_its_own_frames(tmp_path: Path) -> None:
    host = watched(Samples(), GIF())
    for name, colours in (("first", (RED, GREEN)), ("second", (BLUE,)), ("third", ())):
        run = a_run(tmp_path / name)
        host.run_start(run, REALS)
        for iteration, colour in enumerate(colours):
            host.snapshot(run, a_snapshot(iteration, plain_samples(colour)))
            assert (tmp_path / name / "progress.gif").exists()  # the first film of a run is there at once
        host.run_end(run, "interrupted")
    assert [picture.getpixel((6, 6)) for picture, _ in frames(tmp_path / "second/progress.gif")] == [BLUE]


def test_gif_without_samples_says_what_to_switch_on(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(GIF())
    host.run_start(run, REALS)
    host.run_end(run, "interrupted")  # before the first snapshot there is nothing to miss
    assert not (tmp_path / "progress.gif").exists()
    host.snapshot(run, a_snapshot(1))
    with pytest.raises(PluginError) as caught:
        host.run_end(run, "finished")
    sentence = f"progress.gif is made of the pictures in {tmp_path / 'samples'}, and there are none; "
    assert sentence + "switch the observer samples on, or gif off" in str(caught.value)
