"""Colours: whatever the mode and the profile, what comes out is sRGB, held by the formulas of the standards."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from handmade import SHORT, tiff
from PIL import Image

from ganlab.data.decode import Target, decode

DICE = np.random.default_rng(8)
BLUE = "#0000ff"
D50 = np.array([0.9642, 1.0, 0.8249])
XYZ_TO_SRGB = np.linalg.inv(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
"""From XYZ under D50, Bradford-adapted."""


def decoded(data: bytes, channels: int = 3, **options: Any) -> np.ndarray[Any, Any]:
    """Return `(H, W, C)` of a file with pictures of 8x8, on blue."""
    target = Target(channels, 8, 8, "center", BLUE, 1000, **options)
    return decode(Image.open(BytesIO(data)), target).transpose(1, 2, 0)


def encoded(linear: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return 0 to 255 of linear light, by sRGB's curve (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def luma(rgb: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return rgb @ np.array([0.299, 0.587, 0.114])


def srgb_of_lab(lab: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return 0 to 255 of CIELAB (CIE 15), L* 0 to 100."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], -1)
    xyz = D50 * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    return encoded(xyz @ XYZ_TO_SRGB.T)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_lab_becomes_every_number_of_channels(channels: int) -> None:
    lightness = DICE.integers(60, 200, (8, 8))
    a, b = DICE.integers(-8, 9, (2, 8, 8))
    data = tiff(np.stack([lightness, a & 0xFF, b & 0xFF], -1), 8, 8)
    expected = srgb_of_lab(np.stack([lightness * (100 / 255), a, b], -1))
    if channels == 1:
        expected = luma(expected)[..., None]
    pixels = decoded(data, channels).astype(float)
    assert np.abs(pixels[..., :3] - expected).max() <= 2
    assert channels < 4 or pixels[..., 3].min() == 255


@pytest.mark.parametrize("extra", [1, 2], ids=["premultiplied", "plain"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_with_alpha_shows_the_background_through(channels: int, extra: int) -> None:
    grey, alpha = DICE.integers(0, 256, (8, 8)), DICE.integers(100, 256, (8, 8))
    stored = np.rint(grey * alpha / 255) if extra == 1 else grey
    data = tiff(np.stack([stored, alpha], -1), 8, 1, tags={338: (SHORT, [extra])})
    pixels = decoded(data, channels).astype(float)
    on_blue = (np.outer(grey * alpha, [1, 1, 1]) + np.outer(255 * (255 - alpha), [0, 0, 1])).reshape(8, 8, 3) / 255
    wanted = {1: luma(on_blue)[..., None], 3: on_blue, 4: np.stack([grey, grey, grey, alpha], -1)}
    assert np.abs(pixels - wanted[channels]).max() <= 2
