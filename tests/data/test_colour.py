"""Colours: whatever the mode and the profile, what comes out is sRGB, held by the formulas of the standards."""

from __future__ import annotations

import random
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from handmade import (
    D50,
    GREY,
    GREY_ALPHA,
    RGB,
    RGBA,
    SHORT,
    UNDEFINED,
    Values,
    curve,
    gamma,
    grid,
    icc,
    iccp,
    png,
    rgb_profile,
    tiff,
)
from PIL import Image, TiffImagePlugin

from ganlab.data.decode import Target, decode
from ganlab.data.findings import Findings
from ganlab.data.formats import open_picture
from ganlab.data.packing import pack
from ganlab.standard.datasets.image_folder import ImageFolder

DICE = np.random.default_rng(8)
BLUE = "#0000ff"
XYZ_TO_SRGB = np.linalg.inv(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
"""From XYZ under D50, Bradford-adapted."""


def decoded(data: bytes, channels: int = 3, findings: Findings | None = None) -> Values:
    """Return `(H, W, C)` of a file with a picture of 8x8, on blue."""
    target = Target(channels, 8, 8, "center", BLUE, 1000)
    return decode(open_picture(data), target, findings).transpose(1, 2, 0)


def encoded(linear: Values) -> Values:
    """Return 0 to 255 of linear light, by sRGB's curve (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def luma(rgb: Values) -> Values:
    return rgb @ np.array([0.299, 0.587, 0.114])


def xyz_of_lab(lab: Values) -> Values:
    """Return XYZ under D50 of CIELAB (CIE 15), L* 0 to 100."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], -1)
    return np.array(D50) * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_lab_becomes_every_number_of_channels(channels: int) -> None:
    lightness = DICE.integers(60, 200, (8, 8))
    a, b = DICE.integers(-8, 9, (2, 8, 8))
    data = tiff(np.stack([lightness, a & 0xFF, b & 0xFF], -1), 8, 8)
    expected = encoded(xyz_of_lab(np.stack([lightness * (100 / 255), a, b], -1)) @ XYZ_TO_SRGB.T)
    if channels == 1:
        expected = luma(expected)[..., None]
    pixels = decoded(data, channels).astype(float)
    assert np.abs(pixels[..., :3] - expected).max() <= 2
    assert channels < 4 or pixels[..., 3].min() == 255


READS_PREMULTIPLIED = any(mode == "La" for mode, _ in TiffImagePlugin.OPEN_INFO.values())
OLD = pytest.mark.skipif(not READS_PREMULTIPLIED, reason="this Pillow knows no premultiplied grey in TIFF")


@pytest.mark.parametrize("extra", [pytest.param(1, id="premultiplied", marks=OLD), pytest.param(2, id="plain")])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_with_alpha_shows_the_background_through(channels: int, extra: int) -> None:
    grey, alpha = DICE.integers(0, 256, (8, 8)), DICE.integers(100, 256, (8, 8))
    stored = np.rint(grey * alpha / 255) if extra == 1 else grey
    data = tiff(np.stack([stored, alpha], -1), 8, 1, tags={338: (SHORT, [extra])})
    pixels = decoded(data, channels).astype(float)
    on_blue = (np.outer(grey * alpha, [1, 1, 1]) + np.outer(255 * (255 - alpha), [0, 0, 1])).reshape(8, 8, 3) / 255
    wanted = {1: luma(on_blue)[..., None], 3: on_blue, 4: np.stack([grey, grey, grey, alpha], -1)}
    assert np.abs(pixels - wanted[channels]).max() <= 2


ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
"""The primaries of Adobe RGB (1998) as columns, XYZ under D50."""
EXPONENT = 563 / 256
WIDE = rgb_profile(ADOBE, gamma(EXPONENT))
LINEAR_GREY = icc(b"GRAY", {b"kTRC": gamma(1.0)})
SAMPLES = DICE.integers(0, 256, (8, 8, 3))
ALPHA = DICE.integers(0, 256, (8, 8, 1))


def srgb_of_wide(samples: Values) -> Values:
    """Return 0 to 255 of Adobe RGB's 0 to 1."""
    return encoded((samples**EXPONENT) @ ADOBE.T @ XYZ_TO_SRGB.T)


def of(kind: str, image: Image.Image, profile: bytes) -> bytes:
    file = BytesIO()
    image.save(file, kind, icc_profile=profile, **({"lossless": True} if kind == "WEBP" else {"quality": 100}))
    return file.getvalue()


WIDE_FILES = {
    "png": png(SAMPLES, 8, RGB, [iccp(WIDE)]),
    "png of 16 bits": png(SAMPLES * 257, 16, RGB, [iccp(WIDE)]),
    "tiff": tiff(SAMPLES, 8, 2, tags={34675: (UNDEFINED, WIDE)}),
    "webp": of("WEBP", Image.fromarray(SAMPLES.astype(np.uint8)), WIDE),
}


@pytest.mark.parametrize("name", WIDE_FILES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_profile_of_primaries_becomes_srgb(name: str, channels: int) -> None:
    findings = Findings()
    expected = srgb_of_wide(SAMPLES / 255)
    assert np.abs(expected - SAMPLES).max() > 30, "which is not what stands in the file"
    expected = luma(expected)[..., None] if channels == 1 else expected
    assert np.abs(decoded(WIDE_FILES[name], channels, findings) - expected).max() <= 2
    assert findings.profiles == 0


def test_the_profile_of_a_jpeg_counts() -> None:
    data = of("JPEG", Image.new("RGB", (8, 8), (40, 200, 90)), WIDE)
    assert np.abs(decoded(data) - srgb_of_wide(np.array([40, 200, 90]) / 255)).max() <= 3


@pytest.mark.parametrize("bits", [8, 16])
def test_profiles_of_grey_become_srgb(bits: int) -> None:
    grey = DICE.integers(0, 2**bits, (8, 8))
    expected = encoded(grey[..., None] / (2**bits - 1)).repeat(3, -1)
    data = png(grey, bits, GREY, [iccp(LINEAR_GREY)])
    # 16 bits are 8 before the profile is applied: of the darkest shades, that costs some levels.
    light = grey >= 2 ** (bits - 4)
    for channels in (1, 3):
        assert np.abs(decoded(data, channels) - expected[..., :channels])[light].max() <= (2 if bits == 8 else 4)


def test_grey_with_a_profile_of_colours_is_one_of_them() -> None:
    grey = DICE.integers(0, 256, (8, 8))
    assert (
        np.abs(decoded(png(grey, 8, GREY, [iccp(WIDE)])) - srgb_of_wide(grey[..., None].repeat(3, -1) / 255)).max() <= 2
    )


def test_the_background_is_not_of_the_profile() -> None:
    srgb = srgb_of_wide(SAMPLES / 255)
    data = png(np.concatenate([SAMPLES, ALPHA], -1), 8, RGBA, [iccp(WIDE)])
    expected = (srgb * ALPHA + np.array([0, 0, 255]) * (255 - ALPHA)) / 255
    assert np.abs(decoded(data) - expected).max() <= 2
    assert np.abs(decoded(data, 4) - np.concatenate([srgb, ALPHA], -1)).max() <= 2
    grey = np.concatenate([SAMPLES[..., :1], ALPHA], -1)
    expected = np.concatenate([encoded(grey[..., :1] / 255).repeat(3, -1), ALPHA], -1)
    assert np.abs(decoded(png(grey, 8, GREY_ALPHA, [iccp(LINEAR_GREY)]), 4) - expected).max() <= 2
    key = SAMPLES[3, 3]
    clear = png(SAMPLES, 8, RGB, [iccp(WIDE), (b"tRNS", struct.pack(">3H", *key))])
    assert decoded(clear)[3, 3].tolist() == [0, 0, 255]


PER_INK = np.array([[-20, -8, 0], [-20, 8, 0], [-20, 0, 8], [-20, 0, -8]])
"""How much each of four inks takes of a paper's L*, a* and b*."""
PAPER = np.array([100, 0, 0])
TABLE = grid((PAPER + np.moveaxis(np.indices((2, 2, 2, 2)), 0, -1) @ PER_INK + [0, 128, 128]) * [2.55, 1, 1])
PRESS = icc(b"CMYK", {b"A2B0": TABLE, b"A2B1": TABLE}, pcs=b"Lab ", kind=b"scnr")


@pytest.mark.parametrize("kind", ["tiff", "jpeg"])
def test_inks_become_the_colours_of_their_press(kind: str) -> None:
    """The darkest that the press can do becomes black: black point compensation, in XYZ (Adobe, 2006)."""
    inks = DICE.integers(0, 256, (8, 8, 4)) if kind == "tiff" else np.full((8, 8, 4), [30, 200, 90, 60])
    if kind == "tiff":
        data = tiff(inks, 8, 5, tags={34675: (UNDEFINED, PRESS)})
    else:
        data = of("JPEG", Image.frombytes("CMYK", (8, 8), inks.astype(np.uint8).tobytes()), PRESS)
    xyz = xyz_of_lab(PAPER + inks / 255 @ PER_INK)
    darkest = xyz_of_lab(np.array([PAPER[0] + PER_INK[:, 0].sum(), 0, 0]))
    expected = encoded((xyz - darkest) / (D50 - darkest) * D50 @ XYZ_TO_SRGB.T)
    findings = Findings()
    assert np.abs(decoded(data, 3, findings) - expected).max() <= 3
    assert findings.profiles == 0


def test_a_profile_of_srgb_changes_nothing() -> None:
    steps = np.linspace(0, 1, 1024)
    tone = curve(np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4))
    profile = rgb_profile(np.linalg.inv(XYZ_TO_SRGB), tone)
    assert np.array_equal(decoded(png(SAMPLES, 8, RGB, [iccp(profile)])), SAMPLES)
    grey = SAMPLES[..., 0]
    assert np.array_equal(decoded(png(grey, 8, GREY, [iccp(icc(b"GRAY", {b"kTRC": tone}))]), 1)[..., 0], grey)


UNUSABLE = {
    "nothing": b"",
    "text": b"no profile at all",
    "cut": WIDE[:200],
    "no curves": icc(b"RGB ", {}),
    "grey for colours": LINEAR_GREY,
    "inks for colours": PRESS,
    "unknown space": icc(b"HLS ", {}),
    "link": icc(b"RGB ", {}, kind=b"link"),
    "5 MB": WIDE + bytes(5_000_000),
}


@pytest.mark.parametrize("name", UNUSABLE)
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_a_profile_that_cannot_be_used_is_counted_and_ignored(name: str, kind: str) -> None:
    profile = UNUSABLE[name]
    if kind == "png":
        data = png(SAMPLES, 8, RGB, [iccp(profile)])
    else:
        data = tiff(SAMPLES, 8, 2, tags={34675: (UNDEFINED, profile or b"\0")})
    findings = Findings()
    assert np.array_equal(decoded(data, 3, findings), SAMPLES)
    assert findings.profiles == 1


def test_a_profile_of_some_megabytes_is_used_in_a_png_too() -> None:
    profile = WIDE + bytes(2_000_000)
    profile = struct.pack(">I", len(profile)) + profile[4:]
    findings = Findings()
    pixels = decoded(png(SAMPLES, 8, RGB, [iccp(profile)]), 3, findings)
    assert np.abs(pixels - srgb_of_wide(SAMPLES / 255)).max() <= 2
    assert findings.profiles == 0


@pytest.mark.parametrize(
    "data", [b"", b"made", b"made\0\0", b"made\0\0garbage", b"made\0\0" + zlib.compress(WIDE)[:90]]
)
def test_a_damaged_chunk_of_a_png_is_as_good_as_none(data: bytes) -> None:
    findings = Findings()
    assert np.array_equal(decoded(png(SAMPLES, 8, RGB, [(b"iCCP", data)]), 3, findings), SAMPLES)
    assert findings.profiles == 1


@pytest.mark.parametrize("profile", [WIDE, PRESS], ids=["colours", "inks"])
def test_no_changed_byte_of_a_profile_breaks_a_picture(profile: bytes) -> None:
    dice = random.Random(3)
    findings = Findings()
    for _ in range(60):
        damaged = bytearray(profile)
        for _ in range(dice.choice([1, 1, 2, 8])):
            damaged[dice.randrange(dice.choice([300, len(damaged)]))] = dice.choice(
                [0, 1, 127, 128, 255, dice.randrange(256)]
            )
        tags = {34675: (UNDEFINED, bytes(damaged))}
        samples, photometric = (SAMPLES, 2) if profile is WIDE else (np.concatenate([SAMPLES, ALPHA], -1), 5)
        assert decoded(tiff(samples, 8, photometric, tags=tags), 3, findings).shape == (8, 8, 3)
    assert 5 < findings.profiles < 55, "some are noticed, some do no harm"


def test_a_dataset_tells_once_how_many_profiles_were_ignored(tmp_path: Path) -> None:
    for number in range(40):
        profile = UNUSABLE["cut"] if number % 2 else WIDE
        (tmp_path / f"{number:02d}.png").write_bytes(png(SAMPLES, 8, RGB, [iccp(profile)]))
    assert pack(ImageFolder(root=tmp_path, resolution=8), "image_folder", lambda *_: None).warnings == (
        "20 pictures have a colour profile that is damaged, too large or made for other colours; it was "
        "ignored, and sRGB taken in its place",
    )
