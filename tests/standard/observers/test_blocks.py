"""Pictures as half blocks, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from rich.segment import Segment

from ganlab.standard.observers.blocks import UPPER_HALF, shrunk, strip


def seen(lines: list[list[Segment]]) -> np.ndarray:
    """Return the pixels `(H, W, 3)` that lines of half blocks show; a gap is -1."""
    rows = []
    for line in lines:
        for half in ("color", "bgcolor"):
            colours = [getattr(segment.style, half, None) for segment in line]
            rows.append([(-1, -1, -1) if colour is None else tuple(colour.triplet) for colour in colours])
    assert all(segment.text in (UPPER_HALF, " ") for line in lines for segment in line)
    return np.array(rows)


def test_a_strip_shows_every_pixel_of_pictures_side_by_side() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 6, 4, 3), np.uint8)
    pixels = seen(strip(pictures))
    assert pixels.shape == (6, 3 * 4 + 2, 3)
    for place, picture in enumerate(pictures):
        assert (pixels[:, 5 * place : 5 * place + 4] == picture).all()
    assert (pixels[:, [4, 9]] == -1).all()


def test_shrinking_is_a_mean_and_nothing_grows() -> None:
    picture = np.zeros((1, 8, 4, 1), np.uint8)
    picture[:, :4] = 200
    assert shrunk(picture, 2)[0, :, :, 0].tolist() == [[200], [0]]
    assert shrunk(picture, 100).shape == (1, 8, 4, 3)


@pytest.mark.parametrize(
    ("pixel", "colour"), [([7], [7, 7, 7]), ([1, 2, 3], [1, 2, 3]), ([9, 9, 9, 0], [255] * 3), ([5, 80], [5, 5, 5])]
)
def test_any_number_of_channels_becomes_a_colour(pixel: list[int], colour: list[int]) -> None:
    pictures = np.full((1, 2, 2, len(pixel)), pixel, np.uint8)
    assert (shrunk(pictures, 2) == colour).all()
