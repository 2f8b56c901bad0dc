"""Packed pictures as a file: what is written is mapped again, and nothing that is damaged is taken for it."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from stand_ins import pictures
from toys import tiny

import ganlab
from ganlab import DataError
from ganlab.data.classes import MOST_CLASSES
from ganlab.data.storage import (
    NotPackedError,
    Packed,
    UnusableError,
    Verification,
    Writer,
    read,
    size_bytes,
)
from ganlab.interfaces import ImageSpec

IMAGES = ImageSpec(3, 8, 8, 11)
ASKED = ImageSpec(3, 8, 8)
"""What is known before the file is read: the classes are not."""
PIXELS = np.ascontiguousarray(pictures(70, 8, 8).transpose(0, 3, 1, 2))
LABELS = [index % 11 for index in range(70)]
NAMES = [f"class {number}" for number in range(11)]
SKIPPED = [("picture 3", "black as night")]
LABELS_END = 4096 + PIXELS.nbytes + 8 * len(LABELS)


def write(path: Path, images: ImageSpec = IMAGES, skipped: Sequence[tuple[str, str]] = ()) -> None:
    with path.open("wb") as file:
        writer = Writer(file, images)
        for part in (slice(0, 32), slice(32, 70)):
            writer.add(PIXELS[part], LABELS[part] if images.classes else [])
        writer.finish(skipped, (), (), "their state", NAMES if images.classes else [])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "packed")
    return tmp_path / "packed"


def again(path: Path, images: ImageSpec = ASKED, sources: str = "their state") -> Packed:
    return read(path, images, sources)


def test_what_is_written_is_mapped_again(path: Path) -> None:
    write(path, skipped=SKIPPED)
    packed = again(path)
    assert np.array_equal(packed.images, PIXELS)
    assert packed.labels is not None
    assert packed.labels.dtype == np.int64
    assert packed.labels.tolist() == LABELS
    assert (packed.spec, packed.skipped, packed.class_names) == (IMAGES, tuple(SKIPPED), tuple(NAMES))
    content = PIXELS.tobytes() + np.array(LABELS, "<i8").tobytes() + b"(70, 3, 8, 8, 11)"
    assert packed.fingerprint == hashlib.sha256(content).hexdigest()
    assert isinstance(packed.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        packed.images[0] = 0


def test_data_without_classes_has_no_labels(tmp_path: Path) -> None:
    write(tmp_path / "packed", IMAGES._replace(classes=0))
    packed = again(tmp_path / "packed")
    assert packed.labels is None
    assert packed.spec.classes == 0


def test_it_is_a_safetensors_file(path: Path) -> None:
    write(path, skipped=SKIPPED)
    with safetensors.safe_open(path, framework="numpy") as file:
        assert np.array_equal(file.get_tensor("images"), PIXELS)
        assert file.get_tensor("labels").tolist() == LABELS
        assert file.metadata()["fingerprint"] == again(path).fingerprint
        assert json.loads(file.get_tensor("skipped").tobytes()) == {
            "skipped": [["picture 3", "black as night"]],
            "remarks": [],
            "warnings": [],
            "class_names": NAMES,
        }


@pytest.mark.parametrize("classes", [0, 11])
def test_pixels_begin_on_a_page_and_the_size_is_known_before(tmp_path: Path, classes: int) -> None:
    images = IMAGES._replace(classes=classes)
    write(tmp_path / "packed", images)
    data = (tmp_path / "packed").read_bytes()
    assert struct.unpack("<Q", data[:8]) == (4088,)
    assert data[4096 : 4096 + PIXELS.nbytes] == PIXELS.tobytes()
    told = {"skipped": [], "remarks": [], "warnings": [], "class_names": NAMES if classes else []}
    assert len(data) == size_bytes(70, images) + len(json.dumps(told))


def _rewritten(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    header = json.loads(data[8:4096])
    change(header)
    return data[:8] + json.dumps(header).encode().ljust(4088) + data[4096:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut in the header": lambda data: data[:100],
    "cut in the pixels": lambda data: data[:-500],
    "longer": lambda data: data + b"x",
    "text": lambda data: b"<html>" * 2000,
    "zeros": lambda data: bytes(len(data)),
    "not utf-8": lambda data: data[:8] + b"\xff" * 4088 + data[4096:],
    "deep": lambda data: data[:8] + b"[" * 4088 + data[4096:],
    "a list": lambda data: data[:8] + b"[]".ljust(4088) + data[4096:],
    "no metadata": lambda data: _rewritten(data, lambda header: header.pop("__metadata__") and None),
    "huge shape": lambda data: _rewritten(data, lambda header: header["images"].update(shape=[10**30, 3, 8, 8])),
    "negative shape": lambda data: _rewritten(data, lambda header: header["images"].update(shape=[-1, 3, 8, 8])),
    "empty shape": lambda data: _rewritten(data, lambda header: header["images"].update(shape=[])),
    "text shape": lambda data: _rewritten(data, lambda header: header["images"].update(shape="70")),
    "other shape": lambda data: _rewritten(data, lambda header: header["images"].update(shape=[70, 3, 4, 16])),
    "negative skipped": lambda data: _rewritten(data, lambda header: header["skipped"].update(shape=[-2])),
    "long classes": lambda data: _rewritten(data, lambda header: header["__metadata__"].update(classes="9" * 3000)),
    "labels out of range": lambda data: data[: LABELS_END - 1] + b"\x7f" + data[LABELS_END:],
    "too many classes": lambda data: _rewritten(
        data, lambda header: header["__metadata__"].update(classes=str(MOST_CLASSES + 1))
    ),
    "fewer labels": lambda data: _rewritten(data, lambda header: header["labels"].update(shape=[69])),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_not_used(path: Path, damage: str) -> None:
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(UnusableError, match=r"^cache damaged$"):
        again(path)


def test_what_is_not_there_or_of_something_else_says_so(path: Path) -> None:
    with pytest.raises(NotPackedError, match=r"^not packed yet$"):
        again(path.with_name("nothing"))
    with pytest.raises(UnusableError, match=r"^cache is not a file$"):
        again(path.parent)
    with pytest.raises(UnusableError, match=r"^pictures changed$"):
        again(path, sources="another state")
    with pytest.raises(UnusableError, match=r"^cache damaged$"):
        again(path, ImageSpec(3, 8, 9))
    old = _rewritten(path.read_bytes(), lambda header: header["__metadata__"].update(format="ganlab 0"))
    path.write_bytes(old)
    with pytest.raises(UnusableError, match=r"^cache of another version$"):
        again(path)


def _retold(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a file with other text behind its labels."""
    told = json.loads(data[LABELS_END:])
    change(told)
    text = json.dumps(told).encode()
    return _rewritten(data[:LABELS_END], lambda header: header["skipped"].update(shape=[len(text)])) + text


def test_classes_without_names_are_packed_again_and_what_are_no_names_is_damage(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(_retold(data, lambda told: told.pop("class_names")))
    with pytest.raises(UnusableError, match=r"^cache of another version$"):
        again(path)
    for names in (NAMES[1:], [*NAMES[1:], NAMES[1]], [*NAMES[1:], "\x1b[31m"], [*NAMES[1:], ""], None, 11):
        path.write_bytes(_retold(data, partial(dict.update, class_names=names)))
        with pytest.raises(UnusableError, match=r"^cache damaged$"):
            again(path)


def test_classes_that_lost_their_pictures_are_left_out_and_empty_ones_stay(tmp_path: Path) -> None:
    with (tmp_path / "packed").open("wb") as file:
        writer = Writer(file, IMAGES._replace(classes=6))
        writer.add(PIXELS[:4], [5, 0, 2, 5])
        assert writer.leave_out([1, 2, 4]) == {1, 4}, "2 has another picture, and 3 never had one"
        writer.finish((), (), (), "their state", ["a", "c", "d", "f"])
    packed = again(tmp_path / "packed")
    assert packed.labels is not None
    assert packed.labels.tolist() == [3, 0, 1, 3]
    assert (packed.spec.classes, packed.class_names) == (4, ("a", "c", "d", "f"))
    Verification(packed).wait()


@pytest.mark.parametrize("where", ["first pixel", "last pixel", "label"])
def test_a_byte_that_was_changed_after_the_header_is_found(path: Path, where: str) -> None:
    packed = again(path)
    Verification(packed).wait()
    data = bytearray(path.read_bytes())
    end = 4096 + packed.images.nbytes
    data[{"first pixel": 4096, "last pixel": end - 1, "label": end + 8}[where]] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"the packed pictures in {path} are not those that were packed"):
        Verification(again(path)).wait()


def test_nothing_that_was_trained_on_changed_pictures_is_saved(tmp_path: Path) -> None:
    recipe = tiny()
    generator = ganlab.train(recipe, out="sound").generator.read_bytes()
    (cached,) = (tmp_path / "cache").glob("*.safetensors")
    data = bytearray(cached.read_bytes())
    data[4096] ^= 0x80
    cached.write_bytes(data)
    with pytest.raises(DataError, match="delete it and start again"):
        ganlab.train(recipe, out="changed")
    assert [path.name for path in Path("changed/checkpoints").iterdir()] == ["00000000"]
    cached.unlink()
    assert ganlab.train(recipe, out="again").generator.read_bytes() == generator


def test_remarks_are_kept_and_an_older_file_without_is_read(tmp_path: Path) -> None:
    file = tmp_path / "packed.safetensors"
    with file.open("wb") as opened:
        writer = Writer(opened, ImageSpec(1, 2, 2))
        writer.add(np.zeros((1, 1, 2, 2), np.uint8), [])
        writer.finish([("a.png", "is empty")], ["left out as no pictures: 3 .txt"], ["dark"], "state", [])
    found = read(file, ImageSpec(1, 2, 2), "state")
    assert (found.skipped, found.remarks) == ((("a.png", "is empty"),), ("left out as no pictures: 3 .txt",))
    assert found.warnings == ("dark",)
    for old in (b'[["a.png", "is empty"]]', b'{"skipped": [["a.png", "is empty"]], "remarks": []}'):
        header = json.loads(file.read_bytes()[8:4096])
        header["skipped"] = {"dtype": "U8", "shape": [len(old)], "data_offsets": [4, 4 + len(old)]}
        text = json.dumps(header).encode().ljust(4088)
        file.write_bytes(struct.pack("<Q", 4088) + text + bytes(4) + old)
        found = read(file, ImageSpec(1, 2, 2), "state")
        assert (found.skipped, found.remarks, found.warnings) == ((("a.png", "is empty"),), (), ())


@pytest.mark.parametrize(("there", "count", "chosen"), [(10, 5, [0, 2, 4, 6, 8]), (3, 5, [0, 1, 2]), (7, 3, [0, 2, 4])])
def test_some_pictures_are_of_all_parts_of_the_data(there: int, count: int, chosen: list[int]) -> None:
    images = np.arange(there, dtype=np.uint8).reshape(there, 1, 1, 1).repeat(2, axis=3)
    some = Packed(images, None, ImageSpec(1, 1, 2, 0), (), "").some(count)
    assert some.shape == (len(chosen), 1, 2, 1)
    assert some[:, 0, 0, 0].tolist() == chosen
