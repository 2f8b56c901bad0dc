from __future__ import annotations

import numpy as np
import pytest

from ganlab import to_uint8


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
