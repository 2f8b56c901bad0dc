"""Depth: which of a file's values become black and white, in files made by hand, held by arithmetic."""

from __future__ import annotations

import struct
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import GREY, GREY_ALPHA, LONG, RGB, RGBA, SHORT, Order, packed, png, tiff
from PIL import Image

from ganlab.data.decode import Target, decode
from ganlab.data.depth import UnfitError
from ganlab.data.findings import Findings
from ganlab.data.packing import pack
from ganlab.standard.datasets.image_folder import ImageFolder

BLUE = "#0000ff"
DICE = np.random.default_rng(7)
SHADES = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
COLOURS = DICE.integers(0, 65536, (8, 8, 3)).astype(np.uint16)
FOUR = DICE.integers(0, 65536, (8, 8, 4)).astype(np.uint16)


def decoded(data: bytes, channels: int = 3, findings: Findings | None = None, **options: Any) -> np.ndarray[Any, Any]:
    """Return `(H, W, C)` of a file with pictures of 8x8, on blue."""
    target = Target(channels, 8, 8, "center", BLUE, 1000, **options)
    return decode(Image.open(BytesIO(data)), target, findings).transpose(1, 2, 0)


def grey(values: Any) -> np.ndarray[Any, Any]:
    return np.repeat(np.rint(values).astype(np.uint8)[..., None], 3, -1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("place", [(0, 0), (3, 5)])
def test_a_grey_png_of_any_depth_keeps_its_transparent_shade(bits: int, place: tuple[int, int]) -> None:
    most = 2**bits - 1
    samples = (np.arange(64).reshape(8, 8) * 37 + (np.arange(64).reshape(8, 8) << 8)) % (most + 1)
    clear = samples == samples[place]
    data = png(samples, bits, GREY, [(b"tRNS", struct.pack(">H", samples[place]))])
    expected = np.where(clear[..., None], [0, 0, 255], grey(samples * (255 / most)))
    assert np.array_equal(decoded(data), expected)
    assert np.array_equal(decoded(data, 4)[..., 3], np.where(clear, 0, 255))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_colour_png_keeps_its_transparent_colour(bits: int) -> None:
    samples = COLOURS >> (16 - bits)
    key = samples[2, 3].copy()
    samples[6, 6] = key
    samples[0, 0] = key ^ [1, 0, 0]  # one bit beside it
    data = png(samples, bits, RGB, [(b"tRNS", struct.pack(">3H", *key))])
    expected = np.rint(samples * (255 / (2**bits - 1))).astype(np.uint8)
    expected[2, 3] = expected[6, 6] = 0, 0, 255
    assert np.array_equal(decoded(data), expected)
    assert (decoded(data, 4)[..., 3] == 0).sum() == 2


def premultiplied(four: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return RGBA with the colours times alpha, as whole numbers."""
    colours = np.rint(four[..., :3] * (four[..., 3:] / 65535.0)).astype(np.uint16)
    return np.concatenate([colours, four[..., 3:]], -1)


ORDERS: tuple[Order, ...] = ("<", ">")
SIXTEEN = {
    "png grey": (png(SHADES, 16, GREY), SHADES),
    "png rgb": (png(COLOURS, 16, RGB), COLOURS),
    "png rgba": (png(FOUR, 16, RGBA), FOUR),
    "png grey alpha": (png(FOUR[..., :2], 16, GREY_ALPHA), FOUR[..., [0, 0, 0, 1]]),
    "tiff grey": (tiff(SHADES, 16, 1), SHADES),
    "tiff grey big-endian": (tiff(SHADES, 16, 1, ">"), SHADES),
    "tiff grey deflate": (tiff(SHADES, 16, 1, deflate=True), SHADES),
    "tiff rgb": (tiff(COLOURS, 16, 2), COLOURS),
    "tiff rgb big-endian": (tiff(COLOURS, 16, 2, ">"), COLOURS),
    "tiff rgb deflate": (tiff(COLOURS, 16, 2, deflate=True), COLOURS),
    "tiff rgb deflate big-endian": (tiff(COLOURS, 16, 2, ">", deflate=True), COLOURS),
    "tiff rgba": (tiff(FOUR, 16, 2, tags={338: (SHORT, [2])}), FOUR),
    "tiff rgba deflate": (tiff(FOUR, 16, 2, ">", {338: (SHORT, [2])}, deflate=True), FOUR),
    "tiff rgbx": (tiff(FOUR, 16, 2, tags={338: (SHORT, [0])}), FOUR[..., :3]),
    "tiff rgb in planes": (tiff(COLOURS, 16, 2, planes=True), COLOURS),
    "tiff rgb in planes big-endian": (tiff(COLOURS, 16, 2, ">", planes=True), COLOURS),
    "tiff rgba in planes": (tiff(FOUR, 16, 2, tags={338: (SHORT, [2])}, planes=True), FOUR),
    "pgm": (b"P5 8 8 65535\n" + SHADES.astype(">u2").tobytes(), SHADES),
    "ppm": (b"P6 # a word\n8 8\n65535\n" + COLOURS.astype(">u2").tobytes(), COLOURS),
    "plain ppm": (b"P3 8 8 65535\n" + " ".join(map(str, COLOURS.ravel())).encode(), COLOURS),
}


@pytest.mark.parametrize("name", SIXTEEN)
def test_sixteen_bits_are_rounded_to_eight(name: str) -> None:
    data, values = SIXTEEN[name]
    expected = np.rint(values / 257).astype(np.uint8)
    if values.ndim == 2:
        expected = grey(expected)
    if values.shape[-1] == 4:
        assert np.array_equal(decoded(data, 4), expected)
    else:
        assert np.array_equal(decoded(data), expected)


@pytest.mark.parametrize("name", SIXTEEN)
def test_a_range_is_in_the_numbers_of_the_file(name: str) -> None:
    data, values = SIXTEEN[name]
    colours = values[..., :3] if values.ndim == 3 else values[..., None].repeat(3, -1)
    low, high = 10_000, 12_345
    expected = np.clip(np.rint((colours - float(low)) * 255 / (high - low)), 0, 255)
    channels = 4 if values.shape[-1] == 4 else 3
    assert np.array_equal(decoded(data, channels, range=(low, high))[..., :3], expected)
    low, high = int(colours.min()), int(colours.max())
    expected = np.rint((colours - float(low)) * 255 / (high - low))
    assert np.array_equal(decoded(data, channels, range="data")[..., :3], expected)


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_premultiplied_colours_are_divided_with_all_their_bits(order: Order, deflate: bool) -> None:
    four = FOUR.copy()
    four[..., 3] |= 0x4000  # of almost nothing, almost nothing is left
    data = tiff(premultiplied(four), 16, 2, order, {338: (SHORT, [1])}, deflate)
    assert np.abs(decoded(data, 4).astype(int) - np.rint(four / 257)).max() <= 1


def test_sixteen_bits_of_cmyk_in_a_range() -> None:
    ink = FOUR >> 4
    data = tiff(ink, 16, 5)
    c, m, y, k = np.moveaxis(np.rint(ink * (255 / 4095)), -1, 0)
    expected = np.stack([(255 - one) * (255 - k) / 255 for one in (c, m, y)], -1)
    assert np.abs(decoded(data, range=(0, 4095)) - expected).max() <= 1


def test_the_page_that_a_source_chose_is_read_with_all_its_bits() -> None:
    first, second = COLOURS, COLOURS[::-1]
    data = bytearray(tiff(np.stack([first, second]).reshape(16, 8, 3), 16, 2, tags={257: (LONG, [8])}, pages=2))
    size = first.nbytes
    offsets = [place for place in range(len(data)) if data[place : place + 8] == struct.pack("<HHI", 273, 4, 1)]
    assert len(offsets) == 2
    data[offsets[1] + 8 : offsets[1] + 12] = struct.pack("<I", 8 + size)
    image = Image.open(BytesIO(bytes(data)))
    image.seek(1)
    pixels = decode(image, Target(3, 8, 8, "center", BLUE, 1000)).transpose(1, 2, 0)
    assert np.array_equal(pixels, np.rint(second / 257))


def test_a_pgm_that_its_source_has_loaded_is_scaled() -> None:
    image = Image.open(BytesIO(SIXTEEN["pgm"][0]))
    image.load()
    assert np.array_equal(decode(image, Target(1, 8, 8, "center", BLUE, 1000))[0], np.rint(SHADES / 257))


def test_planes_that_are_compressed_keep_their_high_bytes() -> None:
    for order in ORDERS:
        assert np.array_equal(decoded(tiff(COLOURS, 16, 2, order, deflate=True, planes=True)), COLOURS >> 8)


def test_planes_of_ink_are_refused() -> None:
    with pytest.raises(
        UnfitError, match=r"^has inks of 16 bits in planes of their own, which Pillow mixes up; save it"
    ):
        decoded(tiff(FOUR, 16, 5, planes=True))


def test_twelve_bits_have_a_range_of_their_own() -> None:
    values = SHADES >> 4
    findings = Findings()
    assert np.array_equal(decoded(tiff(values, 12, 1), findings=findings), grey(values * (255 / 4095)))
    assert np.array_equal(decoded(b"P5 8 8 4095\n" + values.astype(">u2").tobytes()), grey(values * (255 / 4095)))
    colours = COLOURS >> 4
    ppm = b"P6 8 8 4095\n" + colours.astype(">u2").tobytes()
    assert np.array_equal(decoded(ppm, findings=findings), np.rint(colours * (255 / 4095)))
    assert list(findings.sentences()) == []


@pytest.mark.parametrize("make", [lambda values: png(values, 16, GREY), lambda values: tiff(values, 16, 1)])
def test_twelve_bits_in_sixteen_are_told_and_can_be_spread(make: Any) -> None:
    values = SHADES >> 4
    findings = Findings()
    assert np.array_equal(decoded(make(values), findings=findings), grey(values / 257.0))
    assert (findings.deep, findings.narrow, findings.least, findings.greatest) == (1, 1, 0, 4095)
    for wanted in ("data", (0, 4095)):
        assert np.array_equal(decoded(make(values), findings=findings, range=wanted), grey(values * (255 / 4095)))
    assert findings.deep == 1, "where a range is given, there is nothing to tell"


@pytest.mark.parametrize(("greatest", "narrow"), [(8190, 1), (8192, 0)])
def test_an_eighth_of_the_range_is_enough(greatest: int, narrow: int) -> None:
    values = SHADES.copy()
    values[:] = 0
    values[4, 4] = greatest  # an eighth of 65535 is 8191.9
    findings = Findings()
    decoded(png(values, 16, GREY), findings=findings)
    assert (findings.deep, findings.narrow) == (1, narrow)


@pytest.mark.parametrize("deflate", [False, True])
def test_min_is_white_is_inverted(deflate: bool) -> None:
    assert np.array_equal(decoded(tiff(SHADES, 16, 0, deflate=deflate)), grey((65535 - SHADES) / 257.0))
    expected = 255 - np.clip(np.rint((SHADES - 1000.0) * 255 / 1000), 0, 255)
    assert np.array_equal(decoded(tiff(SHADES, 16, 0), range=(1000, 2000)), grey(expected))
    eight = (SHADES >> 8).astype(np.uint8)
    assert np.array_equal(decoded(tiff(eight, 8, 0)), grey(255 - eight))


def test_signed_values_begin_below_zero() -> None:
    values = SHADES.astype(np.int64) - 32768
    data = tiff(values & 0xFFFF, 16, 1, tags={339: (SHORT, [2])})
    assert np.array_equal(decoded(data), grey(SHADES / 257.0))
    expected = np.clip(np.rint((values + 1000) * 255 / 4000), 0, 255)
    assert np.array_equal(decoded(data, range=(-1000, 3000)), grey(expected))


def test_where_no_range_is_known_one_can_be_given() -> None:
    floats = (SHADES >> 4) / 4096 - 0.25
    data = tiff(floats.astype(np.float32), 32, 1, tags={339: (SHORT, [3])})
    whole = tiff(SHADES.astype(np.int64) * 65000, 32, 1)
    with pytest.raises(UnfitError, match="has floating-point pixels, whose range is not known; save it with 8 or 16"):
        decoded(data)
    with pytest.raises(UnfitError, match=r"has 32-bit pixels, whose range is not known; .* or set dataset.range"):
        decoded(whole)
    assert np.array_equal(decoded(data, range=(0.0, 0.5)), grey(np.clip(np.rint(floats * 510), 0, 255)))
    assert np.array_equal(decoded(data, range="data"), grey((SHADES >> 4) * (255 / 4095)))
    assert np.array_equal(decoded(whole, range="data"), grey(SHADES / 257.0)), "above 2**31, too"


@pytest.mark.parametrize("wanted", ["data", (0, 1)])
@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_not_finite_has_no_shade(wanted: Any, odd: float) -> None:
    floats = np.ones((8, 8), np.float32)
    floats[3, 3] = odd
    with pytest.raises(UnfitError, match=r"^has values that are not finite$"):
        decoded(tiff(floats, 32, 1, tags={339: (SHORT, [3])}), range=wanted)


def test_a_picture_of_one_value_is_black_in_its_own_range() -> None:
    assert decoded(png(np.full((8, 8), 9), 16, GREY), range="data").max() == 0


def test_a_picture_that_pil_has_made_is_scaled_too() -> None:
    target = Target(1, 8, 8, "center", BLUE, 1000, range=(0, 4095))
    pixels = decode(Image.fromarray(SHADES >> 4), target)[0]
    assert np.array_equal(pixels, np.rint((SHADES >> 4) * (255 / 4095)))


BEYOND = {273: (LONG, [1_000_000])}
"""Where the pixels of a TIFF begin, if it had been written to its end."""


@pytest.mark.parametrize(
    "data",
    [
        *(SIXTEEN[name][0][:90] for name in ("png grey", "png rgb", "pgm", "ppm", "plain ppm")),
        tiff(COLOURS, 16, 2, tags=BEYOND),
        tiff(COLOURS, 16, 2, tags=BEYOND, deflate=True),
        tiff(SHADES, 16, 1, tags=BEYOND),
    ],
)
def test_what_is_cut_off_is_refused(data: bytes) -> None:
    with pytest.raises((OSError, ValueError)):
        decoded(data)


def test_memory_is_some_bytes_a_pixel() -> None:
    values = np.zeros((1000, 1000, 3), np.uint16)
    data = png(values, 16, RGB)
    tracemalloc.start()
    try:
        decode(Image.open(BytesIO(data)), Target(3, 8, 8, "center", BLUE, 1_000_000))
        assert tracemalloc.get_traced_memory()[1] < 40e6, "of which the arrays of NumPy are a part, PIL's pictures none"
    finally:
        tracemalloc.stop()


def test_shades_are_packed_by_hand_as_the_formats_say() -> None:
    assert packed(np.array([[1, 2, 3, 0, 1]]), 2).tolist() == [[0b01101100, 0b01000000]]
    assert packed(np.array([[0xABC, 0xDEF]]), 12).tolist() == [[0xAB, 0xCD, 0xEF]]


def test_a_dataset_with_twelve_bits_is_told_once_and_packed_anew_with_another_range(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02d}.png").write_bytes(png((SHADES >> 4) + number, 16, GREY))
    (tmp_path / "full.png").write_bytes(png(SHADES, 16, GREY))
    told = (
        "40 of the 41 pictures with more than 8 bits have almost no contrast: less than an eighth of the possible "
        "values is used, only 0 to 4134; dataset.range = [0, 4134] spreads these values over all "
        'shades, dataset.range = "data" those of each picture by itself'
    )
    for _ in range(2):
        packed = pack(ImageFolder(root=tmp_path, resolution=8), "image_folder", lambda *_: None)
        assert packed.warnings == (told,)
        assert packed.images[0].max() == 16
    wider: list[tuple[Any, int]] = [((0, 4134), 253), ("data", 255), ((0, 4095), 255)]
    for wanted, most in wider:
        packed = pack(ImageFolder(root=tmp_path, resolution=8, range=wanted), "image_folder", lambda *_: None)
        assert (packed.images[0].max(), packed.warnings) == (most, ()), "another range is another file in the cache"
