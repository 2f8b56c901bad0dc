"""Pictures for people: pixels, grids and files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stand_ins import pictures

from ganlab import grid, save_png, to_uint8
from ganlab.data.pictures import GAP


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixels_are_those_of_the_formula(channels: int, dtype: type) -> None:
    images = (np.random.RandomState(0).standard_normal((5, channels, 6, 7)) * 1.5).astype(dtype)
    before = images.copy()
    pixels = to_uint8(images)
    expected = np.rint((np.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert np.array_equal(pixels, expected)
    assert np.array_equal(images, before)


def test_the_ends_and_the_middle() -> None:
    images = np.array([-2.0, -1.0, 0.0, 1.0, 2.0], np.float32).reshape(1, 1, 1, 5)
    assert to_uint8(images).ravel().tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    ("count", "columns", "rows_and_columns"), [(6, 3, (2, 3)), (7, 3, (3, 3)), (2, 5, (1, 2)), (1, 1, (1, 1))]
)
def test_a_grid_holds_each_picture_in_its_place_on_white(
    count: int, columns: int, rows_and_columns: tuple[int, int]
) -> None:
    tiles = np.minimum(pictures(count, 4, 6), 254)
    sheet = grid(tiles, columns)
    rows, across = rows_and_columns
    assert sheet.shape == (rows * (4 + GAP) + GAP, across * (6 + GAP) + GAP, 3)
    covered = np.zeros(sheet.shape[:2], bool)
    for index in range(count):
        top, left = GAP + index // across * (4 + GAP), GAP + index % across * (6 + GAP)
        assert np.array_equal(sheet[top : top + 4, left : left + 6], tiles[index])
        covered[top : top + 4, left : left + 6] = True
    assert (sheet[~covered] == 255).all()


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (4, "RGBA"), (5, "L")])
def test_a_picture_is_written_without_loss(tmp_path: Path, channels: int, mode: str) -> None:
    picture = pictures(1, 5, 7, channels)[0]
    save_png(tmp_path / "new" / "picture.png", picture)
    with Image.open(tmp_path / "new" / "picture.png") as image:
        assert (image.format, image.mode) == ("PNG", mode)
        assert np.array_equal(np.asarray(image), picture if channels in (3, 4) else picture[:, :, 0])
    save_png(str(tmp_path / "new" / "other.jpg"), picture, flush=False)
    with Image.open(tmp_path / "new" / "other.jpg") as image:
        assert image.format == "PNG", "whatever it is called"
    assert sorted(os.listdir(tmp_path / "new")) == ["other.jpg", "picture.png"]
