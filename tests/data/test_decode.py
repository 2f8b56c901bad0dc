"""Decoding: any picture, upright, cropped, resized and in the channels asked, held by oracles written in numpy."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stand_ins import pictures, png_bytes

from ganlab.data.decode import Target, crop_box, decode, target_of
from ganlab.data.depth import UnfitError
from ganlab.standard.datasets.image_folder import ImageFolder

WHITE, BLUE = "#ffffff", "#0000ff"


def target(height: int = 8, width: int = 8, channels: int = 3, **options: Any) -> Target:
    defaults: dict[str, Any] = {"crop": "center", "background": WHITE, "max_pixels": 1_000_000}
    return Target(channels, height, width, **(defaults | options))


def reopened(image: Image.Image, kind: str, **options: Any) -> Image.Image:
    """Save a picture and open it again, as it comes from a disk."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return Image.open(file)


def solid(mode: str, colour: Any) -> Image.Image:
    return Image.new(mode, (8, 8), colour)


def bicubic(planes: np.ndarray[Any, Any], box: tuple[int, int, int, int], height: int, width: int) -> Any:
    """Resize the box (left, top, right, bottom) of `(H, W, C)`, width first, to whole numbers after each pass."""
    left, top, right, bottom = box
    rows = _resampled(planes.astype(float).swapaxes(0, 1), left, right, width).swapaxes(0, 1)
    return _resampled(rows, top, bottom, height).transpose(2, 0, 1)


def _resampled(lines: np.ndarray[Any, Any], begin: int, end: int, count: int) -> np.ndarray[Any, Any]:
    """Resample lines `begin` to `end` to `count`: Keys' cubic (a = -0.5), as wide as the step where it shrinks."""
    step = (end - begin) / count
    centres = begin + (np.arange(count)[:, None] + 0.5) * step
    distance = np.abs(np.arange(len(lines))[None] + 0.5 - centres) / max(step, 1.0)
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    return np.clip(np.rint(np.tensordot(weights / weights.sum(1, keepdims=True), lines, 1)), 0, 255)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, target(64, 64, max_pixels=64_000_000)),
        ({"resolution": (48, 64), "channels": 1}, target(48, 64, 1, max_pixels=64_000_000)),
        ({"crop": "none", "background": BLUE}, target(64, 64, crop="none", background=BLUE, max_pixels=64_000_000)),
        ({"crop": 108, "max_pixels": 9}, target(64, 64, crop=(108, 108), max_pixels=9)),
        ({"crop": (100, 108)}, target(64, 64, crop=(100, 108), max_pixels=64_000_000)),
        ({"range": (-1, 4095)}, target(64, 64, range=(-1, 4095), max_pixels=64_000_000)),
    ],
)
def test_a_dataset_says_what_its_pictures_become(options: dict[str, Any], expected: Target) -> None:
    assert target_of(ImageFolder(root=Path("x"), **options)) == expected


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_a_picture_of_the_right_size_keeps_every_bit(channels: int, mode: str) -> None:
    pixels = pictures(1, 6, 9, channels)[0]
    plain = pixels[..., 0] if channels == 1 else pixels
    for picture in (plain, Image.fromarray(plain), reopened(Image.fromarray(plain), "PNG")):
        assert np.array_equal(decode(picture, target(6, 9, channels)), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("box", [(2, 1, 8, 7), (0, 0, 1, 1), (3, 2, 17, 13)])
def test_the_box_of_a_source_is_cut_out_first(box: tuple[int, int, int, int]) -> None:
    pixels = pictures(1, 13, 17)[0]
    left, top, right, bottom = box
    expected = decode(pixels[top:bottom, left:right], target(6, 6))
    for picture in (pixels, Image.fromarray(pixels), reopened(Image.fromarray(pixels), "PNG")):
        assert np.array_equal(decode(picture, target(6, 6, box=box)), expected)


def test_a_box_that_is_not_there_is_refused_and_nothing_too_large_is_decoded_for_it() -> None:
    pixels = pictures(1, 13, 17)[0]
    for box in ((0, 0, 18, 13), (0, 0, 17, 14), (-1, 0, 17, 13), (5, 5, 5, 9)):
        for picture in (pixels, Image.fromarray(pixels)):
            with pytest.raises(
                UnfitError, match=r"^is 17x13 pixels, and the part that counts, .*, does not lie in it$"
            ):
                decode(picture, target(6, 6, box=box))
    cut_off = Image.open(io.BytesIO(png_bytes(pixels)[:60]))
    with pytest.raises(UnfitError, match=r"claims 17x13 pixels, more than dataset\.max_pixels = 220"):
        decode(cut_off, target(6, 6, box=(0, 0, 4, 4), max_pixels=220))


@pytest.mark.parametrize(("height", "width"), [(37, 50), (50, 37), (5, 6), (8, 9)])
def test_crop_and_resize_are_antialiased_bicubic(height: int, width: int) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    expected = bicubic(noise, (left, top, left + side, top + side), 8, 8)
    for picture in (noise, Image.fromarray(noise)):
        assert np.abs(decode(picture, target()) - expected).max() <= 1


def test_crop_none_stretches_the_whole_picture() -> None:
    noise = np.random.default_rng(4).integers(0, 256, (20, 30), dtype=np.uint8)
    assert (
        np.abs(
            decode(noise, target(6, 7, 1, crop="none"))[0] - bicubic(noise[..., None], (0, 0, 30, 20), 6, 7)[0]
        ).max()
        <= 1
    )


def test_a_crop_in_pixels_is_centred_and_exact() -> None:
    pixels = pictures(1, 21, 31)[0]
    assert np.array_equal(decode(pixels, target(crop=(8, 8))), pixels[6:14, 11:19].transpose(2, 0, 1))
    assert np.array_equal(decode(Image.fromarray(pixels), target(crop=(8, 8))), pixels[6:14, 11:19].transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("size", "wanted", "box"),
    [
        ((178, 218), target(64, 64), (0, 20, 178, 198)),
        ((218, 178), target(64, 64), (20, 0, 198, 178)),
        ((100, 100), target(48, 64), (0, 12, 100, 87)),
        ((64, 48), target(48, 64), (0, 0, 64, 48)),
        ((1, 500), target(8, 8), (0, 249, 1, 250)),
        ((178, 218), target(64, 64, crop=(108, 108)), (35, 55, 143, 163)),
        ((178, 218), target(64, 64, crop="none"), (0, 0, 178, 218)),
    ],
)
def test_the_box_that_is_used(size: tuple[int, int], wanted: Target, box: tuple[int, int, int, int]) -> None:
    assert crop_box(*size, wanted) == box


@pytest.mark.parametrize(
    ("image", "rgb"),
    [
        (solid("1", 1), (255, 255, 255)),
        (solid("L", 77), (77, 77, 77)),
        (solid("RGB", (9, 8, 7)), (9, 8, 7)),
        (solid("CMYK", (0, 255, 0, 0)), (255, 0, 255)),
        (solid("HSV", (0, 255, 200)), (200, 0, 0)),
        (solid("LA", (100, 255)), (100, 100, 100)),
        (solid("LA", (100, 0)), (0, 0, 255)),
        (solid("RGBA", (200, 100, 50, 255)), (200, 100, 50)),
        (solid("RGBA", (255, 0, 0, 51)), (51, 0, 204)),
        (solid("RGB", (9, 8, 7)).convert("P", palette=Image.Palette.ADAPTIVE), (9, 8, 7)),
        (reopened(solid("RGB", (9, 8, 7)), "PNG", transparency=(9, 8, 7)), (0, 0, 255)),
        (reopened(solid("P", 0), "GIF", transparency=0), (0, 0, 255)),
        (reopened(solid("RGBA", (255, 0, 0, 51)).quantize(4), "PNG"), (51, 0, 204)),
        (reopened(solid("L", 33), "TIFF"), (33, 33, 33)),
        (reopened(solid("CMYK", (0, 0, 255, 0)), "TIFF"), (255, 255, 0)),
        (reopened(solid("RGBA", (1, 2, 3, 255)), "WEBP", lossless=True), (1, 2, 3)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_mode_becomes_rgb_on_the_background(image: Image.Image, rgb: tuple[int, int, int]) -> None:
    pixels = decode(image, target(background=BLUE))
    assert np.array_equal(pixels, np.broadcast_to(np.array(rgb, np.uint8)[:, None, None], (3, 8, 8)))


def test_a_jpeg_in_cmyk_is_not_inverted() -> None:
    pixels = decode(reopened(solid("CMYK", (0, 255, 255, 0)), "JPEG", quality=95), target())
    assert np.abs(pixels.astype(int) - np.array([255, 0, 0])[:, None, None]).max() <= 4


def test_greyscale_is_the_luma_of_the_colours() -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    luma = rgb @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    for picture in (rgb, Image.fromarray(rgb)):
        assert np.abs(decode(picture, target(channels=1))[0] - luma).max() <= 0.6


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    for image in (
        Image.fromarray(values),
        reopened(Image.fromarray(values), "PNG"),
        reopened(Image.fromarray(values), "TIFF"),
        Image.open(io.BytesIO(b"P5 8 8 65535\n" + values.astype(">u2").tobytes())),
    ):
        assert np.array_equal(decode(image, target(channels=1))[0], np.rint(values / 257).astype(np.uint8)), image.mode


def test_four_channels_keep_the_transparency() -> None:
    image = solid("RGBA", (200, 100, 50, 51)).resize((16, 16))
    assert decode(image, target(channels=4, background=BLUE))[:, 3, 3].tolist() == [200, 100, 50, 51]
    assert decode(solid("L", 7), target(channels=4))[:, 0, 0].tolist() == [7, 7, 7, 255]


UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


def oriented(pixels: np.ndarray[Any, np.dtype[np.uint8]], orientation: int, kind: str, **options: Any) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return reopened(Image.fromarray(pixels), kind, exif=exif, **options)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_pictures_are_turned_upright(orientation: int, kind: str) -> None:
    stored = pictures(1, 6, 10)[0]
    expected = UPRIGHT[orientation](stored)
    image = oriented(stored, orientation, kind)
    assert np.array_equal(decode(image, target(*expected.shape[:2])), expected.transpose(2, 0, 1))


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_a_large_jpeg_is_decoded_small_and_looks_the_same(orientation: int) -> None:
    stored = np.asarray(Image.fromarray(pictures(1, 30, 40)[0]).resize((520, 390), Image.Resampling.BICUBIC))
    image = oriented(stored, orientation, "JPEG", quality=95)
    pixels = decode(image, target(16, 16)).astype(float)
    assert image.size == (65, 49), "libjpeg was asked for an eighth, which is three times the target"
    upright = UPRIGHT[orientation](stored)
    top, left = (upright.shape[0] - 390) // 2, (upright.shape[1] - 390) // 2
    expected = bicubic(upright, (left, top, left + 390, top + 390), 16, 16)
    assert np.abs(pixels - expected).mean() < 1.5
    assert np.abs(pixels - expected).max() < 12


def test_a_jpeg_of_less_than_four_times_the_target_is_decoded_whole() -> None:
    image = reopened(Image.fromarray(pictures(1, 31, 31)[0]), "JPEG")
    decode(image, target())
    assert image.size == (31, 31)


def test_a_garbled_exif_block_does_no_harm() -> None:
    image = reopened(Image.fromarray(pictures(1, 8, 8)[0]), "PNG", exif=b"Exif\0\0no such thing")
    assert np.array_equal(decode(image, target()), pictures(1, 8, 8)[0].transpose(2, 0, 1))


def test_arrays_of_any_channels_are_cropped_and_resized() -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (10, 14, 5), dtype=np.uint8)
    assert np.array_equal(decode(pixels, target(10, 10, 5)), pixels[:, 2:12].transpose(2, 0, 1))
    small = decode(pixels, target(5, 5, 5))
    for channel in range(5):
        assert np.array_equal(small[channel], decode(pixels[..., channel], target(5, 5, 1))[0])


UNKNOWN = "whose range is not known; save it with 8 or 16 bits, or set dataset.range"


@pytest.mark.parametrize(
    ("picture", "wanted", "reason"),
    [
        (solid("F", 0.5), target(), f"has floating-point pixels, {UNKNOWN}"),
        (solid("I", 5), target(), f"has 32-bit pixels, {UNKNOWN}"),
        (solid("L", 5), target(crop=(9, 4)), "is 8x8 pixels, smaller than the crop of 4x9"),
        (solid("L", 5), target(max_pixels=63), "claims 8x8 pixels, more than dataset.max_pixels = 63"),
        (np.zeros((8, 8), np.uint8), target(max_pixels=63), "claims 8x8 pixels, more than dataset.max_pixels = 63"),
        (solid("L", 5), target(channels=2), "is a picture, which can have 1, 3 or 4 channels, not 2"),
        (np.zeros((8, 8, 2), np.uint8), target(), "has 2 channels, which cannot become 3"),
        (np.zeros((8, 8), np.float32), target(), "is an array (8, 8) of float32, not uint8 (H, W) or (H, W, C)"),
        (np.zeros(8, np.uint8), target(), "is an array (8,) of uint8, not uint8 (H, W) or (H, W, C)"),
        (np.zeros((0, 8), np.uint8), target(), "is an array (0, 8) of uint8, not uint8 (H, W) or (H, W, C)"),
    ],
)
def test_what_cannot_be_used_says_why(picture: Any, wanted: Target, reason: str) -> None:
    with pytest.raises(UnfitError) as caught:
        decode(picture, wanted)
    assert str(caught.value) == reason
