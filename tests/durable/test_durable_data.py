"""I1 to I4, I6: bad pictures are counted and named, bombs are refused by what they claim, changes are noticed."""

from __future__ import annotations

import io
import os
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import handmade
import numpy as np
import pytest
from PIL import Image
from stand_ins import jpeg_bytes
from toys import tiny

import ganlab
from durable.client import Server
from durable.conftest import Scale, Tally
from durable.damage import mutated_bytes
from durable.runs import end
from ganlab import DataError, GanlabError, Observer, Tick, hookimpl
from ganlab.data.packing import pack
from ganlab.registry import registry
from ganlab.standard.datasets.image_folder import ImageFolder

DICE = np.random.default_rng(0)


def encoded(kind: str, mode: str, side: int = 12, **options: Any) -> bytes:
    """Return a picture of noise."""
    image = Image.fromarray(DICE.integers(0, 256, (side, side, 3), dtype=np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def sixteen_bits() -> bytes:
    file = io.BytesIO()
    Image.fromarray(DICE.integers(0, 65536, (12, 12)).astype(np.uint16)).save(file, "PNG")
    return file.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("JPEG", "RGB", exif=exif)


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that claims to be large."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(bytes(1000)), b"IEND"]
    framed = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


JPEG, PNG = encoded("JPEG", "RGB", 40), encoded("PNG", "RGB", 40)
ODD: dict[str, Callable[[], bytes]] = {
    "16bit.png": sixteen_bits,
    "alpha.png": lambda: encoded("PNG", "RGBA"),
    "cmyk.jpg": lambda: encoded("JPEG", "CMYK"),
    "grey.png": lambda: encoded("PNG", "L"),
    "one.png": lambda: encoded("PNG", "RGB", 1),
    "palette.gif": lambda: encoded("GIF", "P"),
    "turned.jpg": turned,
}
"""Valid, and to be converted."""


def bad_files(root: Path) -> dict[str, str]:
    """Put twenty bad pictures of all kinds below `root`; return the reason that each must be given."""
    contents = {
        "bomb1.png": (bomb(65535, 65535), "claims more pixels than PIL opens"),
        "bomb2.png": (bomb(14000, 14000), "claims more pixels than PIL opens"),
        "bomb3.png": (bomb(9000, 9000), "claims 9000x9000 pixels, more than dataset.max_pixels"),
        "cut1.jpg": (JPEG[: len(JPEG) // 2], "truncated"),
        "cut2.jpg": (JPEG[:200], "not one of|truncated|broken"),
        "cut3.png": (PNG[: len(PNG) // 2], "truncated"),
        "cut4.png": (PNG[:20], "not one of|truncated|broken"),
        "empty1.jpg": (b"", "is empty"),
        "empty2.png": (b"", "is empty"),
        "eps.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not one of JPEG"),
        "page1.jpg": (b"<!DOCTYPE html><title>Quota exceeded", "is a web page"),
        "page2.jpg": (b"\xef\xbb\xbf<html><body>404", "is a web page"),
        "pickle.png": (b"\x80\x04\x95cos\nsystem\n", "is not one of JPEG"),
        "text1.png": (b"just text", "is not one of JPEG"),
        "text2.jpg": (b"name,label\n1.jpg,3\n", "is not one of JPEG"),
        "zip.jpg": (b"PK\3\4" + bytes(100), "is not one of JPEG"),
    }
    for name, (data, _) in contents.items():
        (root / name).write_bytes(data)
    (root / "folder.jpg").mkdir()
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "gone.jpg").symlink_to(root / "nowhere.jpg")
    os.mkfifo(root / "pipe.png")
    return {name: reason for name, (_, reason) in contents.items()} | {
        "folder.jpg": "is a folder",
        "loop.png": "Too many levels of symbolic links",
        "gone.jpg": "No such file or directory",
        "pipe.png": "is not a regular file",
    }


def recipe(root: Path, **dataset: Any) -> dict[str, Any]:
    return tiny(dataset={"name": "image_folder", "root": str(root), "resolution": 8, "channels": 1} | dataset)


def test_i1_a_thousand_pictures_of_which_twenty_are_bad(folder: Path, tally: Tally) -> None:
    root = folder / "pictures"
    root.mkdir()
    reasons = bad_files(root)
    assert len(reasons) == 20
    for name, make in ODD.items():
        (root / name).write_bytes(make())
    for number in range(980 - len(ODD)):
        (root / f"good{number:04d}.png").write_bytes(encoded("PNG", "L", 8))
    with pytest.raises(DataError) as caught:
        ganlab.train(recipe(root), out="run")
    head, *lines, more, remedy = str(caught.value).splitlines()
    assert head == '20 of the 1,000 pictures of dataset "image_folder" cannot be used:'
    assert len(lines) == 10
    assert more == "  and 10 more"
    assert remedy == 'repair or remove them, or set dataset.on_bad = "skip" to leave them out'
    assert not Path("run").exists(), "nothing was begun"
    packed = pack(ImageFolder(root=root, resolution=8, channels=1, on_bad="skip"), "image_folder", lambda *_: None)
    assert len(packed.images) == 980
    assert {Path(name).name for name, _ in packed.skipped} == set(reasons)
    for name, reason in packed.skipped:
        assert re.search(reasons[Path(name).name], reason, re.IGNORECASE), f"{name}: {reason}"
    ganlab.train(recipe(root, on_bad="skip"), out="run")
    log = Path("run/log.txt").read_text()
    assert log.count("warning: left out ") == 11
    assert "warning: left out 20 pictures that could not be read" in log
    tally("bad pictures", len(reasons))


@pytest.mark.parametrize("kind", ["png", "zip"])
def test_i3_bombs_are_refused_by_what_they_claim(server: Server, folder: Path, tally: Tally, kind: str) -> None:
    root = folder / "pictures"
    root.mkdir()
    if kind == "png":
        sizes = [(65535, 65535), (14000, 14000), (9000, 9000), (20000, 4000), (1, 2**31 - 1)]
        for width, height in sizes:
            (root / f"{width}.png").write_bytes(bomb(width, height))
    else:
        sizes = [(0, 0)] * 4
        root = folder / "pictures.zip"
        with zipfile.ZipFile(root, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, _ in enumerate(sizes):
                archive.writestr(f"{number}.png", bytes(100 << 20))
    ended = server.call("pack_and_weigh", str(root), 64_000_000 if kind == "png" else 1_000_000, folder=folder)
    assert ended.code == 0, ended.err
    good, refused, grown = map(int, ended.out.split())
    assert (good, refused) == (0, len(sizes))
    assert grown < 200 << 20, "bytes of memory that it has taken on top"
    tally("bad pictures", refused)


class Janitor(Observer):
    """Changes the pictures of a run under its feet."""

    api = 1
    root: str

    @hookimpl
    def tick(self, tick: Tick) -> None:
        for file in Path(self.root).iterdir():
            if tick.iteration % 2:
                file.write_bytes(b"garbage")
            else:
                file.unlink()
                file.mkdir()


@pytest.fixture
def _janitor() -> Iterator[None]:
    registry.add("observer", "janitor", Janitor)
    yield
    registry.remove("observer", "janitor")


@pytest.mark.usefixtures("_janitor")
def test_i2_pictures_that_change_under_a_run_do_not_change_it(folder: Path) -> None:
    for name in ("left", "changed"):
        (folder / name).mkdir()
        for number in range(40):
            shades = (np.arange(64).reshape(8, 8) * (number + 1) % 256).astype(np.uint8)
            Image.fromarray(shades).save(folder / name / f"{number:02d}.png")
    table = recipe(folder / "changed")
    expected = end(ganlab.train(recipe(folder / "left"), out="left").directory)[0]
    ganlab.train(table | {"observers": table["observers"] | {"janitor": {"root": str(folder / "changed")}}}, out="run")
    states = {path.name for path in Path("run/checkpoints").iterdir()}
    assert states == {"00000008", "00000012"}
    assert end(Path("run"))[0] == expected
    with pytest.raises(GanlabError, match="40 of the 40 pictures"):
        ganlab.train(table | {"train": table["train"] | {"iterations": 20}}, out="run")
    for file in (folder / "changed").iterdir():
        file.rmdir()
        Image.fromarray(np.full((8, 8), 7, np.uint8)).save(file)
    with pytest.raises(GanlabError, match="the pictures have changed since run was begun; put them back, or start"):
        ganlab.train(table | {"train": table["train"] | {"iterations": 20}}, out="run")


def few(root: Path, count: int) -> Path:
    root.mkdir()
    for number in range(count):
        (root / f"{number}.jpg").write_bytes(jpeg_bytes(DICE.integers(0, 256, (20, 20, 3), dtype=np.uint8)))
    return root


@pytest.mark.parametrize(
    ("count", "dataset", "sentence"),
    [
        (0, {}, r"holds no pictures; read are files that end in"),
        (9, {"resolution": 9}, r"dataset.resolution = 9: "),
        (9, {"resolution": 0}, r"dataset.resolution = 0: must be"),
        (9, {"crop": 64}, r"is 20x20 pixels, smaller than the crop of 64x64"),
    ],
)
def test_i6_what_cannot_be_trained_on_is_said_before_anything_is_made(
    tmp_path: Path, count: int, dataset: dict[str, Any], sentence: str
) -> None:
    root = few(tmp_path / "pictures", count)
    with pytest.raises(GanlabError, match=sentence):
        ganlab.train(recipe(root, **dataset), out="run")
    assert not Path("run").exists()


def test_i1_no_damaged_picture_raises_anything_else(server: Server, folder: Path, scale: Scale, tally: Tally) -> None:
    """Mutated files of every format: a picture or a reason, never an exception or a crash."""
    dice = random.Random(11)
    kinds = {"jpg": ("JPEG", "RGB"), "png": ("PNG", "RGBA"), "webp": ("WEBP", "RGB"), "bmp": ("BMP", "RGB"),
             "gif": ("GIF", "P"), "tif": ("TIFF", "RGB"), "ppm": ("PPM", "RGB")}  # fmt: skip
    sound = {ending: encoded(kind, mode, 16) for ending, (kind, mode) in kinds.items()}
    noise = DICE.integers(0, 65536, (16, 16, 3))
    sound |= {make.__name__: make(noise >> 8) for make in (handmade.qoi, handmade.psd, handmade.tga, handmade.pcx)}
    sound |= {
        "deep.png": handmade.png(noise, 16, handmade.RGB, [(b"tRNS", bytes(6))]),
        "deep.tif": handmade.tiff(noise, 16, 2, deflate=True),
        "deep.ppm": b"P6 16 16 4095\n" + (noise >> 4).astype(">u2").tobytes(),
        "j2k": encoded("JPEG2000", "RGB", 16),
    }
    count = scale(300, 700, 50_000)
    root = folder / "pictures"
    root.mkdir()
    for number in range(count):
        ending = dice.choice(list(sound))
        (root / f"{number}.{ending}").write_bytes(mutated_bytes(sound[ending], dice))
    (root / "sound.png").write_bytes(sound["png"])
    ended = server.call("pack_and_weigh", str(root), 64_000_000, folder=folder)
    assert ended.code == 0, ended
    good, bad, _ = map(int, ended.out.split())
    assert good + bad == count + 1
    assert bad > count / 10
    tally("pictures mutated", count)
