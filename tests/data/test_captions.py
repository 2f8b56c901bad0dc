"""Larger pictures and words below them."""

from __future__ import annotations

import numpy as np
import pytest

from ganlab.data.captions import captioned, enlarged

RNG = np.random.default_rng(0)


def test_every_pixel_becomes_a_square() -> None:
    pictures = RNG.integers(0, 256, (2, 3, 4, 3), np.uint8)
    made = enlarged(pictures, 5)
    assert made.shape == (2, 15, 20, 3)
    assert (made.reshape(2, 3, 5, 4, 5, 3) == pictures[:, :, None, :, None]).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_picture_stands_as_it_is_above_its_words(channels: int) -> None:
    pictures = RNG.integers(0, 256, (2, 8, 64, channels), np.uint8)
    made = captioned(pictures, ["7", "4294967295"])
    assert (made[:, :8] == pictures).all()
    below = made[:, 8:]
    dark = [int((words[..., 0] < 128).sum()) for words in below]
    assert 0 < dark[0] < dark[1], "a longer number has more ink"
    if channels == 4:
        assert (below[..., 3] == 255).all()


def test_narrow_pictures_make_room_for_long_words() -> None:
    made = captioned(np.zeros((1, 8, 4, 1), np.uint8), ["4294967295"])
    assert made.shape[2] > 40
    assert (made[0, :8].min(0) == 0).sum() == 4, "and stand in the middle"
    ink = np.flatnonzero((made[0, 8:, :, 0] < 255).any(0))
    assert ink[0] >= 0
    assert ink[-1] < made.shape[2] - 1
