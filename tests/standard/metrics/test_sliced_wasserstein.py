"""The sliced Wasserstein distance of patches: its pyramid, and what it sees."""

from __future__ import annotations

import numpy as np
import pytest
from comparisons import of_pictures

from ganlab.standard.metrics.sliced_wasserstein import SlicedWasserstein, _blurred, _pyramid


def textures(count: int, seed: int, side: int = 32) -> np.ndarray:
    """Return soft pictures: noise of 8 x 8 pixels, enlarged."""
    rough = np.random.default_rng(seed).integers(60, 196, (count, side // 4, side // 4, 3))
    return rough.repeat(4, 1).repeat(4, 2).astype(np.uint8)


def distance(real: np.ndarray, fake: np.ndarray) -> float:
    return SlicedWasserstein().compute(of_pictures(real, fake))["sliced_wasserstein"]


def test_the_levels_of_the_pyramid_are_the_picture_again() -> None:
    """What a level leaves out is in the coarser ones: added up again, they are the picture (Burt and Adelson 1983)."""
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), np.uint8)
    levels = list(_pyramid(pictures))
    assert [level.shape for level in levels] == [(2, 3, 64, 48), (2, 3, 32, 24)]
    image = levels[-1]
    for level in levels[-2::-1]:
        spread = np.zeros_like(level)
        spread[:, :, ::2, ::2] = 4 * image
        image = level + _blurred(spread)
    assert image.transpose(0, 2, 3, 1) == pytest.approx(pictures.astype(float), abs=1e-2)
    assert len(list(_pyramid(pictures[:, :28, :28]))) == 1


def test_the_filter_keeps_what_is_even_and_is_binomial() -> None:
    point = np.zeros((1, 1, 9, 9), np.float32)
    point[0, 0, 4, 4] = 256
    assert _blurred(point)[0, 0, 2:7, 2:7].tolist() == np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).tolist()
    assert _blurred(np.ones((1, 2, 5, 8), np.float32)) == pytest.approx(np.ones((1, 2, 5, 8)))


def test_it_sees_texture_brightness_and_contrast() -> None:
    real, others = textures(100, 0), textures(100, 1)
    usual = distance(real, others)
    assert distance(real, real) == 0
    assert distance(real, others + np.uint8(20)) > 5 * usual
    assert distance(real, (others // 2 + 64).astype(np.uint8)) > 5 * usual
    noisy = np.clip(others.astype(int) + np.random.default_rng(2).integers(-30, 31, others.shape), 0, 255)
    assert distance(real, noisy.astype(np.uint8)) > 3 * usual


def test_of_pictures_of_one_colour_it_is_the_step_between_them() -> None:
    """Two greys in equal parts have a deviation of 10: a third, 30 above their middle, is at 3."""
    real = np.zeros((20, 16, 16, 1), np.uint8)
    real[::2], real[1::2] = 90, 110
    fake = np.full_like(real, 130)
    # Each patch is one number 49 times: along a direction u it lies at the sum of u times that number.
    along = np.random.default_rng(0).standard_normal((49, 128))
    length = np.abs((along / np.linalg.norm(along, axis=0)).sum(0)).mean()
    assert distance(real, fake) == pytest.approx(1e3 * 3 * length, rel=1e-5)


def test_pictures_smaller_than_a_patch_are_refused() -> None:
    small = np.zeros((20, 6, 8, 1), np.uint8)
    with pytest.raises(ValueError, match=r"^patches have 7 x 7 pixels: take pictures that are no smaller$"):
        distance(small, small)
