"""Formats: told by what is in a file, read in one picture, and never one that starts a program."""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import handmade
import numpy as np
import pytest
from handmade import Values, png, tiff
from PIL import Image, features
from sheets import ROOT
from stand_ins import write_files, write_zip

from ganlab import DataError
from ganlab.data import formats
from ganlab.data.decode import Target, decode
from ganlab.data.depth import UnfitError
from ganlab.data.formats import FORMATS, TGA_MARK, open_picture
from ganlab.data.packing import Packed, pack
from ganlab.standard.datasets.image_folder import ImageFolder

SAMPLES = np.random.default_rng(9).integers(0, 256, (8, 8, 3))
TARGET = Target(3, 8, 8, "center", "#ffffff", 1000)


def rgb_png(pixels: Values) -> bytes:
    return png(pixels, 8, handmade.RGB)


def packed(root: Path, **options: str) -> Packed:
    return pack(ImageFolder(root=root, resolution=8).model_copy(update=options), "image_folder", lambda *_: None)


MADE: dict[str, Callable[[Values], bytes]] = {
    "BMP": handmade.bmp,
    "PCX": handmade.pcx,
    "PNG": rgb_png,
    "PPM": lambda pixels: b"P6 8 8 255\n" + pixels.astype(np.uint8).tobytes(),
    "PSD": handmade.psd,
    "QOI": handmade.qoi,
    "SGI": handmade.sgi,
    "SUN": handmade.sun,
    "TGA": handmade.tga,
    "TIFF": lambda pixels: tiff(pixels, 8, 2),
}


@pytest.mark.parametrize("name", MADE)
def test_a_file_is_what_its_bytes_say(name: str) -> None:
    image = open_picture(MADE[name](SAMPLES))
    assert image.format == name
    assert np.array_equal(decode(image, TARGET), SAMPLES.transpose(2, 0, 1))


def written(kind: str, pixels: Values, **options: object) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()


SMOOTH = np.add.outer(np.arange(8) * 12, np.arange(8) * 12)[..., None] + [20, 40, 60]


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_read() -> None:
    pixels = decode(open_picture(written("AVIF", SMOOTH, quality=100, subsampling="4:4:4")), TARGET)
    assert np.abs(pixels.transpose(1, 2, 0) - SMOOTH.astype(int)).max() <= 4


def test_heic_is_read_where_its_plugin_is_installed() -> None:
    pytest.importorskip("pillow_heif")
    formats.readable()
    pixels = decode(open_picture(written("HEIF", SMOOTH, quality=100, chroma=444)), TARGET)
    assert np.abs(pixels.transpose(1, 2, 0) - SMOOTH.astype(int)).max() <= 6


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_without_its_plugin_says_what_to_install(brand: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as where it is not installed
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    formats.readable.cache_clear()
    try:
        with pytest.raises(DataError, match=r"^is HEIC, for which Pillow needs a plugin: pip install pillow-heif$"):
            open_picture(struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1heic" + bytes(100))
    finally:
        formats.readable.cache_clear()


NO_PICTURES = {
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
    "metafile": b"\xd7\xcd\xc6\x9a\0\0" + bytes(200),
    "measurements": b"SIMPLE  =                    T" + bytes(3000),
    "icon": b"\0\0\1\0\1\0\x08\x08\0\0\1\0\x20\0" + struct.pack("<II", 300, 22) + rgb_png(SAMPLES),
    "unmarked tga": handmade.tga(SAMPLES, mark=b""),
    "text": b"just text",
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_what_is_no_picture_or_unsafe_is_not_opened(name: str) -> None:
    with pytest.raises(DataError, match=r"^is not one of JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM, AVIF and the rarer"):
        open_picture(NO_PICTURES[name])


def test_no_format_starts_a_program_or_holds_another_file() -> None:
    unsafe = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "IPTC", "ICO", "ICNS", "CUR", "BLP", "FITS"}
    assert not unsafe & {*FORMATS, *formats.readable()}
    assert "TGA" not in FORMATS, "of which only the marked ones are taken"


@pytest.mark.parametrize(
    "data",
    [
        b"qoif" + struct.pack(">IIBB", 65535, 65535, 3, 0) + bytes(20),
        b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 30000, 30000, 8, 3) + bytes(14),
        struct.pack(">8I", 0x59A66A95, 60000, 60000, 24, 0, 1, 0, 0),
        struct.pack("<BBB5xHHHHBB", 0, 0, 2, 0, 0, 65535, 65535, 24, 0x20) + bytes(26) + TGA_MARK,
        struct.pack(">HBBHHHH", 474, 0, 1, 3, 65535, 65535, 3).ljust(600, b"\0"),
        handmade.pcx(SAMPLES)[:8] + struct.pack("<HH", 65534, 65534) + handmade.pcx(SAMPLES)[12:],
        b"P6 65535 65535 65535\n",
        tiff(SAMPLES, 16, 2, tags={256: (handmade.LONG, [65535]), 257: (handmade.LONG, [65535])}),
    ],
)
def test_bombs_of_every_format_are_refused_by_what_they_claim(data: bytes) -> None:
    with pytest.raises((DataError, UnfitError), match=r"^claims "):
        decode(open_picture(data), TARGET)


OTHERS = {
    "b7/9c4e1d": rgb_png(SAMPLES),
    "photo.jpg_large": rgb_png(SAMPLES),
    "scan": tiff(SAMPLES, 8, 2),
    "data.bin": handmade.bmp(SAMPLES),
}
LEFT_OUT = {
    "raw.nef": tiff(SAMPLES, 8, 2),
    "bmw.txt": b"BMW and other makers of cars, in a text of some length that begins like a bitmap",
    "p1.txt": b"P1 is a player",
    "empty": b"",
    "caption.txt": b"a picture of noise",
}


@pytest.mark.parametrize("where", ["folder", "zip"])
def test_pictures_are_found_by_their_first_bytes_whatever_they_are_called(tmp_path: Path, where: str) -> None:
    files = OTHERS | LEFT_OUT | {"a.png": rgb_png(SAMPLES)}
    root = write_files(tmp_path / "p", files) if where == "folder" else write_zip(tmp_path / "p.zip", files)
    if where == "folder":
        os.mkfifo(root / "pipe")
        (root / "gone").symlink_to(root / "nowhere")
    data = packed(root)
    assert np.array_equal(data.images, np.broadcast_to(SAMPLES.transpose(2, 0, 1), (5, 3, 8, 8)))
    rest = "3 no ending, 1 .nef" if where == "folder" else "1 .nef, 1 no ending"
    assert data.remarks == (f"left out as no pictures: 3 .txt, {rest}",)
    source = ImageFolder(root=root).open()
    assert [source.name(index).removeprefix(f"{root}/") for index in range(5)] == sorted([*OTHERS, "a.png"])


def animation(kind: str, **options: object) -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    file = BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], **options)
    return file.getvalue()


def test_the_first_of_several_pictures_is_taken_and_told_once(tmp_path: Path) -> None:
    root = write_files(
        tmp_path,
        {
            "a.gif": animation("GIF"),
            "b.png": animation("PNG"),
            "c.webp": animation("WEBP", lossless=True),
            "d.tif": tiff(np.full((8, 8, 3), [255, 0, 0]), 8, 2, pages=3),
            "still.gif": written("GIF", np.full((8, 8, 3), [255, 0, 0])),
            "still.tif": tiff(np.full((8, 8, 3), [255, 0, 0]), 8, 2),
            "stereo.jpg": animation("MPO", quality=100),
        },
    )
    data = packed(root)
    red = np.broadcast_to(np.array([255, 0, 0])[:, None, None], (3, 8, 8))
    assert np.abs(data.images.astype(int) - red).max() <= 2
    assert data.warnings == ("4 files hold several pictures, frames or pages; the first of each is taken",)


def test_an_animation_that_breaks_off_after_its_first_frame_has_that() -> None:
    data = animation("GIF")
    for cut in range(100, len(data)):
        try:
            Image.open(BytesIO(data[:cut])).load()
        except OSError:
            continue
        assert decode(open_picture(data[:cut]), TARGET)[:, 0, 0].tolist() == [255, 0, 0]


def test_the_docs_name_every_format_and_plugin() -> None:
    page = (ROOT / "docs" / "datasets.md").read_text()
    for word in ["TGA", "HEIC", *FORMATS, "pillow-heif", "pillow-avif-plugin"]:
        titles = {"WEBP": "WebP", "JPEG2000": "JPEG 2000"}
        assert re.search(rf"\b{titles.get(word, word)}\b", page), word
