"""Folders and zips of pictures: classes from folders, and every bad file named with its reason."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stand_ins import jpeg_bytes, pictures, png_bytes, write_files, write_zip

from ganlab import DataError, Source
from ganlab.data.packing import Packed, pack
from ganlab.registry import registry
from ganlab.standard.datasets.formats import ENDINGS
from ganlab.standard.datasets.image_folder import ImageFolder, largest_file

PICTURES = pictures(8, 12, 12)


def some(*names: str) -> dict[str, bytes]:
    """Return small pictures under the given names, each another one."""
    return {name: png_bytes(PICTURES[index]) for index, name in enumerate(names)}


def names(source: Source, root: Path) -> list[str]:
    return [source.name(index).removeprefix(f"{root}/") for index in range(len(source))]


def pixels(source: Source) -> list[int]:
    """Return which of `PICTURES` the source's are."""
    found = [np.asarray(source.image(index)) for index in range(len(source))]
    return [next(number for number, one in enumerate(PICTURES) if np.array_equal(one, image)) for image in found]


def packed(root: Path, **options: Any) -> Packed:
    return pack(ImageFolder(root=root, **({"resolution": 12} | options)), "image_folder", lambda *_: None)


LAYOUTS: dict[str, tuple[list[str], list[int] | None]] = {
    "flat": (["a.png", "b.png", "c.png"], None),
    "classes": (["cats/1.png", "cats/2.png", "dogs/1.png", "eels/x/y.png"], [0, 0, 1, 2]),
    "wrapped": (["set/cats/1.png", "set/dogs/1.png"], [0, 1]),
    "one folder": (["cats/1.png", "cats/2.png"], None),
    "deep": (["a/b/1.png", "a/b/2.png"], None),
    "as many beside": (["a.png", "b.png", "cats/1.png", "dogs/1.png"], None),
    "natural": (["10/a.png", "2/a.png", "B/a.png", "a/a.png"], [1, 0, 3, 2]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("where", ["folder", "zip"])
def test_folders_are_classes_where_the_pictures_lie_in_them(tmp_path: Path, layout: str, where: str) -> None:
    files, numbers = LAYOUTS[layout]
    if where == "zip":
        root = write_zip(tmp_path / "pictures.zip", dict(reversed(some(*files).items())))
    else:
        root = write_files(tmp_path / "pictures", some(*files))
    for labels in (True, "auto"):
        source = ImageFolder(root=root, labels=labels).open()
        assert names(source, root) == files
        assert pixels(source) == list(range(len(files)))
        assert source.classes == len(source.class_names) == (0 if numbers is None else max(numbers) + 1)
        if numbers is not None:
            assert [source.label(index) for index in range(len(source))] == numbers
            shared = "set/" if layout == "wrapped" else ""
            named = [f"{shared}{source.class_names[number]}" for number in numbers]
            assert all(name.startswith(f"{called}/") for name, called in zip(files, named, strict=True))
    assert ImageFolder(root=root, labels=False).open().classes == 0


def test_a_folder_and_its_zip_give_the_same_data(tmp_path: Path) -> None:
    files = some("cats/1.png", "dogs/2.png", "dogs/3.png")
    one = packed(write_files(tmp_path / "folder", files))
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        two = packed(write_zip(tmp_path / "pictures.zip", files, method))
        assert one.fingerprint == two.fingerprint
    assert one.labels is not None
    assert one.labels.tolist() == [0, 1, 1]
    assert np.array_equal(one.images, PICTURES[:3].transpose(0, 3, 1, 2))


def test_the_documented_endings_are_those_that_are_read() -> None:
    documented = (ImageFolder.__doc__ or "").replace(",", " ").replace("\n", " ").split()
    assert tuple(word for word in documented if word.startswith(".")) == ENDINGS


def test_what_a_file_holds_counts_and_not_its_ending(tmp_path: Path) -> None:
    root = write_files(tmp_path, {f"picture{ending}": png_bytes(PICTURES[3]) for ending in ENDINGS})
    assert pixels(ImageFolder(root=root).open()) == [3] * len(ENDINGS)


@pytest.mark.parametrize(
    ("make_root", "reason"),
    [
        (lambda path: path / "nowhere", "{root} does not exist; set dataset.root to a folder or zip of pictures"),
        (lambda path: path, "{root} holds no pictures; read are files that end in .jpg .jpeg .jpe .jfif .png"),
        (
            lambda path: write_zip(path / "a.zip", {"a.txt": b""}),
            "{root} holds no pictures; read are files that end in",
        ),
        (lambda path: write_files(path, {"a.txt": b"text"}) / "a.txt", "{root} is neither a folder nor a zip"),
    ],
)
def test_a_root_without_pictures(tmp_path: Path, make_root: Callable[[Path], Path], reason: str) -> None:
    root = make_root(tmp_path)
    with pytest.raises(DataError) as caught:
        packed(root)
    assert str(caught.value).startswith(reason.format(root=root))


def test_paths_start_at_home_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "pictures", some("a.png"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(packed(Path("~/pictures")).images) == len(packed(Path("pictures")).images) == 1


def bomb(width: int, height: int) -> bytes:
    """Return the beginning of a PNG that claims to be large."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


GOOD = jpeg_bytes(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
GOOD_PNG = png_bytes(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8))
BAD = {
    "bomb-14000.png": (bomb(14000, 14000), "claims more pixels than PIL opens"),
    "bomb-65535.png": (bomb(65535, 65535), "claims more pixels than PIL opens"),
    "bomb-9000.png": (bomb(9000, 9000), "claims 9000x9000 pixels, more than dataset.max_pixels = 64000000"),
    "empty.jpg": (b"", "is empty"),
    "float.tif": (None, "has floating-point pixels, whose range is not known; save it with 8 or 16 bits"),
    "page.jpg": (b"\n<!DOCTYPE html><title>Quota exceeded", "is a web page"),
    "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not one of JPEG, PNG, WEBP, BMP, GIF"),
    "text.png": (b"just text", "is not one of JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM"),
    "truncated.jpg": (GOOD[: len(GOOD) // 2], "image file is truncated"),
    "truncated.png": (GOOD_PNG[:900], "image file is truncated"),
}


def bad_files() -> dict[str, bytes]:
    file = io.BytesIO()
    Image.fromarray(np.ones((4, 4), np.float32)).save(file, "TIFF")
    return {name: file.getvalue() if data is None else data for name, (data, _) in BAD.items()}


@pytest.mark.parametrize("where", ["folder", "zip"])
def test_every_bad_file_is_named_with_its_reason(tmp_path: Path, where: str) -> None:
    files = some("a.png", "z.png") | bad_files()
    root = write_zip(tmp_path / "pictures.zip", files) if where == "zip" else write_files(tmp_path / "pictures", files)
    with pytest.raises(DataError) as caught:
        packed(root)
    head, *lines, _ = str(caught.value).splitlines()
    assert head == '10 of the 12 pictures of dataset "image_folder" cannot be used:'
    for line, (name, (_, reason)) in zip(lines, sorted(BAD.items()), strict=True):
        assert line.startswith(f"  {root}/{name}: {reason}")
    data = packed(root, on_bad="skip")
    assert [Path(name).name for name, _ in data.skipped] == sorted(BAD)
    assert np.array_equal(data.images, PICTURES[:2].transpose(0, 3, 1, 2))


def test_what_is_no_file_is_named_and_never_opened(tmp_path: Path) -> None:
    root = write_files(tmp_path / "pictures", some("a.png", "full.jpg/b.png") | {"big.png": b""})
    (root / "folder.jpg").mkdir()
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "gone.png").symlink_to(root / "nowhere")
    os.mkfifo(root / "pipe.png")
    os.truncate(root / "big.png", 1 << 40)  # a hole: nothing is on the disk
    data = packed(root, on_bad="skip")
    assert [(Path(name).name, reason) for name, reason in data.skipped] == [
        ("big.png", "has 1,099,511,627,776 bytes, more than any picture within dataset.max_pixels"),
        ("folder.jpg", "is a folder"),
        ("gone.png", "No such file or directory"),
        ("loop.png", "Too many levels of symbolic links"),
        ("pipe.png", "is not a regular file"),
    ]
    assert len(data.images) == 2


def test_the_largest_picture_may_have_sixteen_bits_and_no_compression(tmp_path: Path) -> None:
    assert largest_file(ImageFolder(root=tmp_path, max_pixels=10**9)) > 10**9 * 4 * 2


def test_a_picture_that_vanishes_while_packing_is_a_bad_one(tmp_path: Path) -> None:
    root = write_files(tmp_path / "pictures", some("a.png", "b.png"))

    def report(name: str, done: int, total: int) -> None:
        if name == "packing image_folder":
            (root / "b.png").unlink(missing_ok=True)

    data = pack(ImageFolder(root=root, resolution=12, on_bad="skip"), "image_folder", report)
    assert data.skipped == ((f"{root}/b.png", "No such file or directory"),)
    assert len(packed(root, on_bad="skip").skipped) == 0, "and the next run looks again"


def test_odd_but_valid_pictures_are_taken(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    shades = np.linspace(0, 65535, 144).astype(np.uint16).reshape(12, 12)
    cmyk = io.BytesIO()
    Image.new("CMYK", (12, 12), (0, 0, 0, 0)).save(cmyk, "JPEG")
    root = write_files(
        tmp_path / "pictures",
        {
            "16bit.png": png_bytes(shades),
            "1x1.png": png_bytes(np.full((1, 1), 200, np.uint8)),
            "alpha.png": png_bytes(np.zeros((12, 12, 4), np.uint8)),
            "cmyk.jpg": cmyk.getvalue(),
            "turned.png": png_bytes(PICTURES[0], exif=exif),
        },
    )
    images = packed(root, background="#0a141e").images
    assert np.array_equal(images[0, 1], np.rint(shades / 257).astype(np.uint8))
    assert np.array_equal(images[1], np.full((3, 12, 12), 200))
    assert images[2, :, 5, 5].tolist() == [10, 20, 30]
    assert images[3].min() >= 250
    assert np.array_equal(images[4], np.rot90(PICTURES[0], -1).transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["image_folder", "celeba", "mnist", "fashion_mnist", "cifar10"])
@pytest.mark.parametrize("special", ["pipe", "/dev/zero"])
def test_a_pipe_or_a_device_for_a_root_is_not_waited_for(name: str, special: str) -> None:
    os.mkfifo("pipe")
    dataset = registry.get("dataset", name)(root=Path(special))
    with pytest.raises(
        DataError, match=f"^{special} is a pipe or a device, neither a file nor a folder; set dataset.root"
    ):
        pack(dataset, name, lambda *_: None)


def test_a_huge_zip_is_judged_by_its_end_alone(tmp_path: Path) -> None:
    """A file of a terabyte that takes no space, and claims a list of its members of nearly all of it."""
    path, size = tmp_path / "huge.zip", 1 << 40
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size - 200, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, size - 200, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    with path.open("wb") as file:
        file.seek(size - 200)
        file.write(record + locator + end)
    with pytest.raises(
        DataError, match=f"huge.zip claims a list of its members of {size - 200:,} bytes; up to 268,435,456"
    ):
        ImageFolder(root=path).open()
    path.unlink()
    path.touch()
    os.truncate(path, size)
    with pytest.raises(DataError, match=r"huge\.zip is neither a folder nor a zip"):
        ImageFolder(root=path).open()
