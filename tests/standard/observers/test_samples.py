"""reals.png and samples/, found again in their pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from standard.observers.events import REALS, a_run, a_snapshot, watched

from ganlab.standard.observers.samples import Samples

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


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


def test_rows_that_show_a_class_are_named_beside_the_grids(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Samples())
    host.snapshot(run, a_snapshot(1))
    assert not (tmp_path / "samples/rows.txt").exists()
    for rows in (("cat", "dog"), ("cat", "Ankle boot", "é")):
        host.snapshot(run, a_snapshot(2)._replace(rows=rows))
        assert (tmp_path / "samples/rows.txt").read_text(encoding="utf-8").splitlines() == list(rows)
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "00000001.png",
        "00000002.png",
        "rows.txt",
    ]


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
    host.snapshot(a_run(tmp_path), a_snapshot(1, np.full((4, 8, 8, len(colour)), colour, np.uint8)))
    with Image.open(tmp_path / "samples/00000001.png") as picture:
        assert (picture.mode, picture.getpixel((5, 5))) == (mode, pixel)


def test_a_run_that_goes_on_leaves_every_picture_there(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Samples())
    host.run_start(run, REALS)
    for iteration in (0, 100, 200, 1_234_567_890):
        host.snapshot(run, a_snapshot(iteration))
    (tmp_path / "samples/favourite.png").write_bytes(b"a user's own")
    (tmp_path / "samples/300.png").write_bytes(b"a user's own")

    watched(Samples()).run_start(a_run(tmp_path, first_iteration=100), REALS)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    grids = ["00000000.png", "00000100.png", "00000200.png", "1234567890.png"]
    assert names == sorted([*grids, "300.png", "favourite.png"])
