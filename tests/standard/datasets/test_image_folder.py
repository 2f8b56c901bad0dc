"""Folders, zips and CelebA: found wherever they lie, classes from folders, bad files named, nothing extracted."""

from __future__ import annotations

import io
import os
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stand_ins import jpeg_bytes, make, pictures

from ganlab import DataError, Source
from ganlab.data.packing import Packed, pack
from ganlab.standard.datasets.archives import ENDINGS
from ganlab.standard.datasets.celeba import CelebA
from ganlab.standard.datasets.image_folder import ImageFolder

PICTURES = pictures(8, 12, 12)


def png(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def fill(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def zipped(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def some(*names: str) -> dict[str, bytes]:
    """Return small pictures under the given names, each another one."""
    return {name: png(PICTURES[index]) for index, name in enumerate(names)}


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
    "mixed": (["a.png", "cats/1.png", "dogs/1.png"], None),
    "mixed below": (["set/a.png", "set/cats/1.png", "set/dogs/1.png"], None),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("where", ["folder", "zip"])
def test_folders_are_classes_where_every_picture_lies_in_one(tmp_path: Path, layout: str, where: str) -> None:
    files, numbers = LAYOUTS[layout]
    if where == "zip":
        root = zipped(tmp_path / "pictures.zip", dict(reversed(some(*files).items())))
    else:
        root = fill(tmp_path / "pictures", some(*files))
    source = ImageFolder(root=root).open()
    assert names(source, root) == files
    assert pixels(source) == list(range(len(files)))
    assert source.classes == (0 if numbers is None else max(numbers) + 1)
    if numbers is not None:
        assert [source.label(index) for index in range(len(source))] == numbers
    assert ImageFolder(root=root, labels=False).open().classes == 0


def test_a_folder_and_its_zip_give_the_same_data(tmp_path: Path) -> None:
    files = some("cats/1.png", "dogs/2.png", "dogs/3.png")
    one = packed(fill(tmp_path / "folder", files))
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        two = packed(zipped(tmp_path / "pictures.zip", files, method))
        assert one.fingerprint == two.fingerprint
    assert one.labels is not None
    assert one.labels.tolist() == [0, 1, 1]
    assert np.array_equal(one.images, PICTURES[:3].transpose(0, 3, 1, 2))


def test_what_is_hidden_or_no_picture_is_not_read(tmp_path: Path) -> None:
    seen = some("a.JPG", "b.jpeg", "c.Png", "d.webp", "e.bmp", "f.gif", "g.tif", "h.PNM")
    unseen = [".b.png", ".git/c.png", "__MACOSX/._a.png", "__MACOSX/a.png", "readme.txt", "labels.csv", "x.npy", "png"]
    files = seen | dict.fromkeys(unseen, b"no picture")
    for root in (fill(tmp_path / "folder", files), zipped(tmp_path / "pictures.zip", files)):
        source = ImageFolder(root=root).open()
        assert names(source, root) == list(seen)
        assert pixels(source) == list(range(8)), "what a file holds counts, not its ending"


def test_the_documented_endings_are_those_that_are_read() -> None:
    documented = (ImageFolder.__doc__ or "").replace(",", " ").replace("\n", " ").split()
    assert tuple(word for word in documented if word.startswith(".")) == ENDINGS


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", some("1.png"))
    root = fill(tmp_path / "pictures", some("cats/0.png"))
    (root / "dogs").symlink_to(tmp_path / "elsewhere")
    (root / "cats/up").symlink_to(root)
    source = ImageFolder(root=root).open()
    assert names(source, root) == ["cats/0.png", "dogs/1.png"]
    assert source.classes == 2


@pytest.mark.parametrize(
    ("make_root", "reason"),
    [
        (lambda path: path / "nowhere", "{root} does not exist; set dataset.root to a folder or zip of pictures"),
        (lambda path: path, "{root} holds no pictures; read are files that end in .jpg .jpeg .jpe .jfif .png"),
        (lambda path: zipped(path / "a.zip", {"a.txt": b""}), "{root} holds no pictures; read are files that end in"),
        (lambda path: fill(path, {"a.txt": b"text"}) / "a.txt", "{root} is neither a folder nor a zip"),
    ],
)
def test_a_root_without_pictures(tmp_path: Path, make_root: Callable[[Path], Path], reason: str) -> None:
    root = make_root(tmp_path)
    with pytest.raises(DataError) as caught:
        packed(root)
    assert str(caught.value).startswith(reason.format(root=root))


def test_paths_start_at_home_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "pictures", some("a.png"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(packed(Path("~/pictures")).images) == len(packed(Path("pictures")).images) == 1


def bomb(width: int, height: int) -> bytes:
    """Return the beginning of a PNG that claims to be large."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


GOOD = jpeg_bytes(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
GOOD_PNG = png(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8))
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
    root = zipped(tmp_path / "pictures.zip", files) if where == "zip" else fill(tmp_path / "pictures", files)
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
    root = fill(tmp_path / "pictures", some("a.png", "full.jpg/b.png") | {"big.png": b""})
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


def test_a_picture_that_vanishes_while_packing_is_a_bad_one(tmp_path: Path) -> None:
    root = fill(tmp_path / "pictures", some("a.png", "b.png"))

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
    root = fill(
        tmp_path / "pictures",
        {
            "16bit.png": png(shades),
            "1x1.png": png(np.full((1, 1), 200, np.uint8)),
            "alpha.png": png(np.zeros((12, 12, 4), np.uint8)),
            "cmyk.jpg": cmyk.getvalue(),
            "turned.png": png(PICTURES[0], exif=exif),
        },
    )
    images = packed(root, background="#0a141e").images
    assert np.array_equal(images[0, 1], np.rint(shades / 257).astype(np.uint8))
    assert np.array_equal(images[1], np.full((3, 12, 12), 200))
    assert images[2, :, 5, 5].tolist() == [10, 20, 30]
    assert images[3].min() >= 250
    assert np.array_equal(images[4], np.rot90(PICTURES[0], -1).transpose(2, 0, 1))


def test_a_zip_with_hostile_names_is_read_in_place(tmp_path: Path) -> None:
    files = some("../../up.png", "/etc/root.png", "C:\\dogs\\a.png", "cats/b.png")
    root = zipped(tmp_path / "pictures.zip", files)
    before = sorted(tmp_path.rglob("*"))
    source = ImageFolder(root=root).open()
    assert sorted(pixels(source)) == [0, 1, 2, 3]
    assert sorted(tmp_path.rglob("*")) == before


def test_of_members_with_the_same_name_the_last_counts(tmp_path: Path) -> None:
    root = tmp_path / "pictures.zip"
    with zipfile.ZipFile(root, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index in (1, 0):
            archive.writestr("a.png", png(PICTURES[index]))
    assert pixels(ImageFolder(root=root).open()) == [0]


def patched(root: Path, field: int, value: bytes) -> Path:
    """Overwrite a field of the first entry in a zip's directory."""
    data = bytearray(root.read_bytes())
    entry = data.index(b"PK\1\2")
    data[entry + field : entry + field + len(value)] = value
    root.write_bytes(data)
    return root


FLAGS, METHOD, CRC, PACKED_SIZE, SIZE, OFFSET = 8, 10, 16, 20, 24, 42


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (METHOD, struct.pack("<H", 12), "is compressed by method 12; only stored and deflated members are read"),
        (CRC, b"\0\0\0\0", "is damaged: its checksum is wrong"),
        (SIZE, struct.pack("<I", 10), "is damaged: its checksum is wrong"),
        (SIZE, struct.pack("<I", 10**9), "has 1,000,000,000 bytes, more than any picture within dataset.max_pixels"),
        (PACKED_SIZE, struct.pack("<I", 10**8), "lies beyond the end of the archive"),
        (OFFSET, struct.pack("<I", 7), "is not where the archive's directory says"),
    ],
)
def test_a_damaged_member_is_a_bad_picture(tmp_path: Path, field: int, value: bytes, reason: str) -> None:
    root = patched(zipped(tmp_path / "pictures.zip", some("a.png", "b.png")), field, value)
    data = packed(root, on_bad="skip")
    assert data.skipped == ((f"{root}/a.png", reason),)
    assert np.array_equal(data.images[0], PICTURES[1].transpose(2, 0, 1))


def test_a_member_that_grows_beyond_its_claim_is_cut_short(tmp_path: Path) -> None:
    root = zipped(tmp_path / "pictures.zip", {"a.png": bytes(50_000_000), "b.png": png(PICTURES[0])})
    patched(root, SIZE, struct.pack("<I", 1000))
    assert packed(root, on_bad="skip").skipped == ((f"{root}/a.png", "is damaged: its checksum is wrong"),)


def test_an_encrypted_zip_is_refused_at_once(tmp_path: Path) -> None:
    root = patched(zipped(tmp_path / "pictures.zip", some("a.png")), FLAGS, b"\1\0")
    with pytest.raises(DataError) as caught:
        ImageFolder(root=root).open()
    assert (
        str(caught.value)
        == f"{root} is encrypted (a.png); unpack it with its password and set dataset.root to the folder"
    )


@pytest.mark.parametrize("layout", ["folder", "zip", "itself", "zip itself", "kaggle", "kaggle zip", "torchvision"])
def test_celeba_is_found_wherever_it_lies(tmp_path: Path, layout: str) -> None:
    data = tmp_path / "data"
    root = make("celeba_zip" if layout.startswith("zip") else "celeba", data, 6)
    inner = data / "img_align_celeba"
    if layout == "itself":
        root = inner
    elif layout == "zip itself":
        root = data / "img_align_celeba.zip"
    elif layout == "kaggle":
        shutil.move(inner, tmp_path / "moved")
        inner.mkdir()
        shutil.move(tmp_path / "moved", inner / "img_align_celeba")
        (data / "list_attr_celeba.csv").write_text("")
    elif layout == "kaggle zip":
        files = {f"img_align_celeba/img_align_celeba/{path.name}": path.read_bytes() for path in inner.iterdir()}
        shutil.rmtree(inner)
        zipped(data / "archive.zip", files | {"list_attr_celeba.csv": b""})
    elif layout == "torchvision":
        shutil.move(data, tmp_path / "celeba")
        root = tmp_path
    result = pack(CelebA(root=root), "celeba", lambda *_: None)
    assert result.images.shape == (6, 3, 64, 64)
    assert result.labels is None
    assert result.spec.classes == 0


def test_celeba_prefers_pictures_to_an_empty_folder(tmp_path: Path) -> None:
    make("celeba_zip", tmp_path, 3)
    (tmp_path / "img_align_celeba").mkdir()
    assert len(CelebA(root=tmp_path).open()) == 3


def test_the_face_crop_is_that_of_karras(tmp_path: Path) -> None:
    face = np.random.default_rng(0).integers(0, 256, (218, 178, 3), dtype=np.uint8)
    fill(tmp_path / "img_align_celeba", {"000001.jpg": png(face)})
    data = pack(CelebA(root=tmp_path, face_crop=True, resolution=128), "celeba", lambda *_: None)
    cx, cy = 89, 121
    assert np.array_equal(data.images[0], face[cy - 64 : cy + 64, cx - 64 : cx + 64].transpose(2, 0, 1))
    fill(tmp_path / "img_align_celeba", {"000002.jpg": png(face[:100])})
    with pytest.raises(DataError, match="is 178x100 pixels; face_crop is for the aligned pictures, 178x218"):
        pack(CelebA(root=tmp_path, face_crop=True), "celeba", lambda *_: None)


def remedy(root: Path) -> str:
    return (
        "CelebA may be used for research, and is not downloaded for you. It can be had from\n"
        "  its authors: mmlab.ie.cuhk.edu.hk/projects/CelebA.html, the file Img/img_align_celeba.zip\n"
        "  Kaggle: the dataset jessicali9530/celeba-dataset\n"
        "  Hugging Face: the dataset eurecom-ds/celeba, whose pictures must be saved as files\n"
        f"Put img_align_celeba.zip, or the folder img_align_celeba, into {root}, "
        "or set dataset.root to where one of them lies"
    )


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (None, "no CelebA pictures in {root}"),
        (b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title>",
         "{root}/img_align_celeba.zip is a web page, not a zip: "
         "a download was answered by a page such as a quota notice; download it again"),
        (b"PK\3\4" + bytes(4000),
         "{root}/img_align_celeba.zip is a zip that was cut off or damaged (4,004 bytes); download it again"),
        (b"", "{root}/img_align_celeba.zip is neither a folder nor a zip"),
    ],
)  # fmt: skip
def test_celeba_that_is_not_there_says_where_it_can_be_had(tmp_path: Path, data: bytes | None, what: str) -> None:
    if data is not None:
        (tmp_path / "img_align_celeba.zip").write_bytes(data)
    with pytest.raises(DataError) as caught:
        pack(CelebA(root=tmp_path), "celeba", lambda *_: None)
    assert str(caught.value) == f"{what.format(root=tmp_path)}\n{remedy(tmp_path)}"


def test_every_stand_in_of_pictures_is_packed(tmp_path: Path) -> None:
    folders = pack(ImageFolder(root=make("image_folder", tmp_path / "a", 10)), "image_folder", lambda *_: None)
    assert folders.spec == (3, 64, 64, 2)
    one, two = (
        pack(CelebA(root=make(name, tmp_path / name, 4)), "celeba", lambda *_: None)
        for name in ("celeba", "celeba_zip")
    )
    assert one.fingerprint == two.fingerprint
