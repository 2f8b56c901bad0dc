"""What a run leaves behind: each file is read back as its user would read it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlab.events import RunInfo, Snapshot, Tick
from ganlab.interfaces import ImageSpec, Observer
from ganlab.run.observers import Observers
from ganlab.standard.observers.gif import GIF
from ganlab.standard.observers.log import Log
from ganlab.standard.observers.metrics import Metrics
from ganlab.standard.observers.samples import Samples

REALS = np.zeros((5, 8, 8, 3), np.uint8)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def a_run(directory: Path, first_iteration: int = 0) -> RunInfo:
    spec = ImageSpec(3, 8, 8)
    return RunInfo(
        "faces", directory, {"train": {"epochs": 2}}, spec, 50, {"generator": 7}, "cpu", "fp32", first_iteration
    )


def a_tick(iteration: int, seconds: float, **stats: float) -> Tick:
    return Tick(iteration, iteration * 4, iteration / 10, iteration / 20, 100.5, seconds, 1.0, stats)


def a_snapshot(iteration: int, samples: np.ndarray) -> Snapshot:
    return Snapshot(iteration, iteration * 4, iteration / 10, samples, 2)


def plain_samples(colour: tuple[int, ...], count: int = 4) -> np.ndarray:
    return np.full((count, 8, 8, len(colour)), colour, np.uint8)


def watched(*observers: Observer) -> Observers:
    host = Observers()
    for observer in observers:
        host.register(observer, type(observer).__name__.lower(), "ganlab 1")
    return host


def read_lines(path: Path) -> list[dict[str, float | None]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


# metrics.jsonl


def test_metrics_has_a_line_per_tick_at_once(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Metrics())
    host.run_start(run, REALS)
    host.tick(run, a_tick(10, 1.25, loss_generator=0.5))
    assert read_lines(tmp_path / "metrics.jsonl") == [
        {
            "iteration": 10,
            "images": 40,
            "epoch": 1.0,
            "seconds": 1.25,
            "images_per_second": 100.5,
            "loss_generator": 0.5,
        }
    ]
    host.tick(run, a_tick(20, 2.5, loss_generator=0.25))
    lines = read_lines(tmp_path / "metrics.jsonl")
    assert [line["loss_generator"] for line in lines] == [0.5, 0.25]
    assert list(lines[1])[:5] == ["iteration", "images", "epoch", "seconds", "images_per_second"]


def test_metrics_writes_null_for_what_json_cannot_say_and_hides_no_counter(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Metrics())
    host.run_start(run, REALS)
    host.tick(run, a_tick(10, 1.0, loss=math.nan, gap=math.inf, images=3.5))
    (line,) = read_lines(tmp_path / "metrics.jsonl")
    assert (line["loss"], line["gap"], line["images"], line["stat_images"]) == (None, None, 40, 3.5)


def test_metrics_of_a_continued_run_read_as_one_undisturbed_run(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for directory in (undisturbed, killed):
        directory.mkdir()
        run, host = a_run(directory), watched(Metrics())
        host.run_start(run, REALS)
        for iteration in (10, 20, 30):
            host.tick(run, a_tick(iteration, iteration / 10, loss=1 / iteration))
    # Killed after iteration 30, in the middle of a line, when the last checkpoint was of iteration 20.
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 40, "images": 1')
    host.tick(run._replace(directory=undisturbed), a_tick(40, 4.0, loss=1 / 40))

    run, host = a_run(killed, first_iteration=20), watched(Metrics())
    host.run_start(run, REALS)
    assert [line["iteration"] for line in read_lines(killed / "metrics.jsonl")] == [10, 20]
    for iteration in (30, 40):
        host.tick(run, a_tick(iteration, iteration / 10 - 2, loss=1 / iteration))
    assert (killed / "metrics.jsonl").read_bytes() == (undisturbed / "metrics.jsonl").read_bytes()


def test_metrics_that_are_whole_are_not_written_again(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Metrics())
    host.run_start(run, REALS)
    host.tick(run, a_tick(10, 1.0, loss=0.5))
    before = (tmp_path / "metrics.jsonl").stat()
    watched(Metrics()).run_start(a_run(tmp_path, first_iteration=10), REALS)
    after = (tmp_path / "metrics.jsonl").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_metrics_of_a_run_that_starts_anew_begin_anew(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b'\xff\n[1]\n3\n{"iteration": 5, "seconds": 9}\n{"iteration": "x"}\n')
    watched(Metrics()).run_start(a_run(tmp_path), REALS)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


# log.txt


def test_log_tells_everything_with_its_time_over_all_continuations(tmp_path: Path) -> None:
    for first in (0, 10):
        run, host = a_run(tmp_path, first), watched(Log())
        host.phase("packing", 3, 9)
        host.phase("packing", 9, 9)
        host.note("one\x1b[31m bad picture", "warning")
        host.run_start(run, REALS)
        host.tick(run, a_tick(first + 10, 1.0, loss=0.5))
        host.run_end(run, "interrupted")
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines)
    assert [line[21:] for line in lines[:7]] == [
        "packing: 9 in 0 s",
        r"warning: one\x1b[31m bad picture",
        f"faces in {tmp_path}",
        "50 pictures of 8x8x3; cpu, fp32",
        "parameters: generator 7",
        "epoch 1.00/2  iteration 10  100 images/s  1 s left  loss 0.500",
        "interrupted",
    ]
    assert [line[21:] for line in lines[12:]] == [
        "continues after iteration 10",
        "epoch 2.00/2  iteration 20  100 images/s  loss 0.500",
        "interrupted",
    ]


# reals.png and samples/


def test_samples_shows_the_data_before_training_and_each_snapshot(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Samples())
    reals = np.stack([np.full((8, 8, 3), colour, np.uint8) for colour in (RED, GREEN, BLUE, RED, GREEN)])
    host.run_start(run, reals)
    host.snapshot(run, a_snapshot(534, reals[:4]))

    with Image.open(tmp_path / "reals.png") as picture:  # five pictures, three in a row
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (32, 22))
        assert [picture.getpixel(place) for place in ((6, 6), (16, 6), (26, 6), (6, 16))] == [RED, GREEN, BLUE, RED]
        assert picture.getpixel((26, 16)) == WHITE
    with Image.open(tmp_path / "samples/00000534.png") as picture:
        assert picture.size == (22, 22)
        assert [picture.getpixel(place) for place in ((6, 6), (16, 6), (6, 16), (16, 16))] == [RED, GREEN, BLUE, RED]


@pytest.mark.parametrize(
    ("colour", "mode", "pixel"),
    [
        ((9,), "L", 9),
        ((9, 99), "L", 9),
        (RED, "RGB", RED),
        ((1, 2, 3, 4), "RGBA", (1, 2, 3, 4)),
        ((9, 8, 7, 6, 5), "L", 9),
    ],
)
def test_samples_of_any_number_of_channels_can_be_looked_at(
    tmp_path: Path, colour: tuple[int, ...], mode: str, pixel: object
) -> None:
    host = watched(Samples())
    host.snapshot(a_run(tmp_path), a_snapshot(1, plain_samples(colour)))
    with Image.open(tmp_path / "samples/00000001.png") as picture:
        assert (picture.mode, picture.getpixel((5, 5))) == (mode, pixel)


def test_samples_of_a_future_that_never_was_are_removed_and_no_others(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Samples())
    host.run_start(run, REALS)
    for iteration in (0, 100, 200, 1_234_567_890):
        host.snapshot(run, a_snapshot(iteration, plain_samples(RED)))
    (tmp_path / "samples/favourite.png").write_bytes(b"a user's own")
    (tmp_path / "samples/300.png").write_bytes(b"a user's own")

    watched(Samples()).run_start(a_run(tmp_path, first_iteration=100), REALS)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["00000000.png", "00000100.png", "300.png", "favourite.png"]


# progress.gif


def frames(path: Path) -> list[tuple[Image.Image, int]]:
    """Return the pictures of a film and how many milliseconds each is shown."""
    shown = []
    with Image.open(path) as film:
        for index in range(film.n_frames):
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


def film_of(directory: Path, colours: list[tuple[int, ...]], **options: float) -> list[tuple[Image.Image, int]]:
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
    levels = [picture.getpixel((6, 6))[0] for picture, _ in film]
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
    assert film[0][0].getpixel((3, 3))[0] > film[0][0].getpixel((3, 3))[1] + 100


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


def test_gif_without_samples_says_what_to_switch_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ganlab.standard.observers.terminal import Terminal

    run, host = a_run(tmp_path), watched(GIF(), Terminal(mode="plain"))
    host.run_start(run, REALS)
    host.run_end(run, "interrupted")  # before the first snapshot there is nothing to miss
    assert not (tmp_path / "progress.gif").exists()
    assert "warning" not in capsys.readouterr().err
    host.snapshot(run, a_snapshot(1, plain_samples(RED)))
    host.run_end(run, "finished")
    assert (
        f"progress.gif is made of the pictures in {tmp_path / 'samples'}, and there are none; "
        f"switch the observer samples on, or gif off" in capsys.readouterr().err
    )
