"""Files of pictures in a folder and in a zip: the same are found, and a zip is read in place, whatever it says."""

from __future__ import annotations

import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from stand_ins import pictures, png_bytes, write_files, write_zip

from ganlab import DataError
from ganlab.standard.datasets.archives import open_file_store

PICTURE, OTHER = (png_bytes(picture) for picture in pictures(2, 12, 12))
LIMIT = 1 << 20


def test_what_is_hidden_or_no_picture_is_not_found(tmp_path: Path) -> None:
    seen = ["a.JPG", "b.jpeg", "c.Png", "cats/d.webp", "e.bmp", "f.gif", "g.tif", "h.PNM"]
    unseen = [".b.png", ".git/c.png", "__MACOSX/._a.png", "__MACOSX/a.png", "readme.txt", "labels.csv", "x.npy", "png"]
    files = {name: name.encode() for name in reversed(seen + unseen)}
    for path in (write_files(tmp_path / "folder", files), write_zip(tmp_path / "pictures.zip", files)):
        store = open_file_store(path, LIMIT)
        assert store.names == seen
        assert [store.read(name) for name in store.names] == [files[name] for name in seen]


def test_a_folder_that_is_called_like_a_picture_is_one_only_where_it_holds_none(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"full.jpg/b.png": PICTURE, "other.jpg/a.txt": b""})
    (root / "empty.jpg").mkdir()
    assert open_file_store(root, LIMIT).names == ["empty.jpg", "full.jpg/b.png", "other.jpg"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_with_hostile_names_is_read_in_place(tmp_path: Path, method: int) -> None:
    names = ["../../up.png", "/etc/root.png", "C:\\dogs\\a.png", "cats/b.png"]
    root = write_zip(tmp_path / "pictures.zip", {name: name.encode() for name in names}, method)
    before = sorted(tmp_path.rglob("*"))
    store = open_file_store(root, LIMIT)
    assert {name: store.read(name) for name in store.names} == {name: name.encode() for name in sorted(names)}
    assert sorted(tmp_path.rglob("*")) == before


def test_of_members_with_the_same_name_the_last_counts(tmp_path: Path) -> None:
    root = tmp_path / "pictures.zip"
    with zipfile.ZipFile(root, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("a.png", OTHER)
        archive.writestr("a.png", PICTURE)
    store = open_file_store(root, LIMIT)
    assert store.names == ["a.png"]
    assert store.read("a.png") == PICTURE


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
        (PACKED_SIZE, struct.pack("<I", 10**6), "lies beyond the end of the archive"),
        (PACKED_SIZE, struct.pack("<I", 10**8), "has 100,000,000 bytes, more than any picture within dataset.max_pix"),
        (OFFSET, struct.pack("<I", 7), "is not where the archive's directory says"),
    ],
)
def test_a_damaged_member_is_refused_alone(tmp_path: Path, field: int, value: bytes, reason: str) -> None:
    store = open_file_store(
        patched(write_zip(tmp_path / "a.zip", {"a.png": PICTURE, "b.png": OTHER}), field, value), LIMIT
    )
    with pytest.raises(DataError) as caught:
        store.read("a.png")
    assert str(caught.value).startswith(reason)
    assert store.read("b.png") == OTHER


def test_deflated_nonsense_is_damage(tmp_path: Path) -> None:
    root = write_zip(tmp_path / "pictures.zip", {"a.png": PICTURE}, zipfile.ZIP_STORED)
    with pytest.raises(DataError, match="is damaged: it cannot be decompressed"):
        open_file_store(patched(root, METHOD, struct.pack("<H", zipfile.ZIP_DEFLATED)), LIMIT).read("a.png")


def test_a_member_that_grows_beyond_its_claim_is_cut_short(tmp_path: Path) -> None:
    root = patched(write_zip(tmp_path / "pictures.zip", {"a.png": bytes(50_000_000)}), SIZE, struct.pack("<I", 1000))
    with pytest.raises(DataError, match="is damaged: its checksum is wrong"):
        open_file_store(root, LIMIT).read("a.png")


def test_an_encrypted_zip_is_refused_at_once(tmp_path: Path) -> None:
    root = patched(write_zip(tmp_path / "pictures.zip", {"a.png": PICTURE}), FLAGS, b"\1\0")
    with pytest.raises(DataError) as caught:
        open_file_store(root, LIMIT)
    assert (
        str(caught.value)
        == f"{root} is encrypted (a.png); unpack it with its password and set dataset.root to the folder"
    )


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_file_store(tmp_path / "gone.zip", LIMIT)
    assert str(caught.value) == f"cannot read {tmp_path}/gone.zip: No such file or directory"


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_what_is_left_out_is_said_with_counts_by_ending(tmp_path: Path, kind: str) -> None:
    picture = png_bytes(pictures(1, 4, 4)[0])
    names = [*(f"{index}.mp4" for index in range(3)), "a.MP4", "b/readme.txt", "noending", ".hidden.txt"]
    files = {"a.png": picture} | dict.fromkeys(names, b"x")
    root = tmp_path / ("pics" if kind == "folder" else "pics.zip")
    (write_files if kind == "folder" else write_zip)(root, files)
    store = open_file_store(root, 1 << 20)
    assert store.names == ["a.png"]
    assert store.remarks == ["left out as no pictures: 4 .mp4, 1 .txt, 1 no ending"]
