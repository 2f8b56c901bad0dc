"""Pictures for people: pixels, grids and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stand_ins import pictures

from ganlab import GanlabError, save_png, to_uint8
from ganlab.data.pictures import GAP, grid, grid_size, save_picture


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixels_are_those_of_the_formula(channels: int, dtype: type[np.float32 | np.float64]) -> None:
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
    ("pictures", "columns", "problem"),
    [
        (np.zeros((2, 4, 4, 3), np.uint8), 0, "a grid has one column or more, not 0"),
        (np.zeros((4, 4, 3), np.uint8), 2, r"must be an array (N, H, W, C) of uint8, 0 to 255, not uint8 (4, 4, 3)"),
        (np.zeros((2, 4, 4, 3)), 2, r"must be an array (N, H, W, C) of uint8, 0 to 255, not float64 (2, 4, 4, 3)"),
        ([[0]], 2, "must be an array (N, H, W, C) of uint8, 0 to 255, not list"),
    ],
)
def test_what_makes_no_grid_is_one_sentence(pictures: Any, columns: int, problem: str) -> None:
    with pytest.raises(GanlabError) as caught:
        grid(pictures, columns)
    assert str(caught.value) == problem


@pytest.mark.parametrize("picture", [np.zeros((2, 4, 4, 3), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8)])
def test_what_is_no_picture_is_one_sentence_and_no_file(picture: Any, tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match=r"must be an array \(H, W, C\) of uint8, 0 to 255, not "):
        save_png(tmp_path / "x.png", picture)
    assert list(tmp_path.iterdir()) == []


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
    save_png(str(tmp_path / "new" / "other.png"), picture, flush=False)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["other.png", "picture.png"]


MAGIC = {
    "a.png": (0, b"\x89PNG\r\n\x1a\n"),
    "a.PNG": (0, b"\x89PNG\r\n\x1a\n"),
    "a.jpg": (0, b"\xff\xd8\xff"),
    "a.b.jpeg": (0, b"\xff\xd8\xff"),
    "a.webp": (8, b"WEBPVP8L"),
}
"""Where the published formats have which bytes; VP8L is WebP without loss."""


@pytest.mark.parametrize("name", MAGIC)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_ending_says_what_is_written(tmp_path: Path, name: str, channels: int) -> None:
    picture = pictures(1, 20, 30, channels)[0]
    save_picture(tmp_path / name, picture)
    offset, magic = MAGIC[name]
    assert (tmp_path / name).read_bytes()[offset:].startswith(magic)
    mode = "L" if channels == 1 else "RGB"
    difference = np.asarray(Image.open(tmp_path / name).convert(mode)).reshape(picture.shape).astype(int) - picture
    assert np.abs(difference).max() <= (8 if magic == b"\xff\xd8\xff" else 0)


@pytest.mark.parametrize(
    ("name", "shape", "sentence"),
    [
        ("a.gif", (8, 8, 3), "a.gif: pictures are written to names that end in .png, .jpg, .jpeg or .webp"),
        ("a", (8, 8, 3), "a: pictures are written to names that end in .png, .jpg, .jpeg or .webp"),
        ("a.jpg", (8, 8, 4), "a.jpg: JPEG keeps no transparency; name a .png or .webp"),
        (
            "a.webp",
            (1, 16_384, 1),
            "a.webp: a picture of 16384x1 pixels does not fit WEBP, which ends at 16,383 a side; name a .png",
        ),
    ],
)
def test_what_a_format_cannot_hold_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shape: tuple[int, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GanlabError) as caught:
        save_picture(Path(name), np.zeros(shape, np.uint8))
    assert str(caught.value) == sentence
    assert list(tmp_path.iterdir()) == []


def test_the_longest_sides_that_are_allowed_are_written(tmp_path: Path) -> None:
    for name, side in (("a.webp", 16_383), ("a.jpg", 65_500), ("a.png", 70_000)):
        save_picture(tmp_path / name, np.zeros((1, side, 1), np.uint8))
        with Image.open(tmp_path / name) as image:
            assert image.size == (side, 1)


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.png.webp"])
def test_png_is_written_to_no_other_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(GanlabError, match=rf"{name}: a PNG file has a name that ends in \.png$"):
        save_png(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (5, 3), (6, 3), (2, 9)])
def test_the_size_of_a_grid_is_known_before_it_is_laid(count: int, columns: int) -> None:
    size = grid_size(count, 4, 7, columns)
    assert grid(np.zeros((count, 4, 7, 3), np.uint8), columns).shape == (*size, 3)
    across, down = min(count, columns), -(-count // columns)
    assert size == (down * 4 + (down + 1) * GAP, across * 7 + (across + 1) * GAP)
