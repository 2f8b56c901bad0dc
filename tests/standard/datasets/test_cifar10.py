"""CIFAR-10: read from its folder and its archive, of any pickle protocol, and nothing in them executed or unpacked."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_ins import cifar_batch, holds, labels, make, pictures, serving

from ganlab import DataError
from ganlab.data.packing import pack
from ganlab.standard.datasets.cifar10 import CIFAR10, read_batch

PHOTOS = pictures(60, 32, 32)


@pytest.mark.parametrize("name", ["cifar10", "cifar10_archive"])
def test_it_is_read_from_its_folder_and_from_its_archive(tmp_path: Path, name: str) -> None:
    root = make(name, tmp_path)
    (itself,) = root.iterdir()
    for place in (root, itself):
        assert holds(CIFAR10(root=place), PHOTOS, labels(60))
        assert holds(CIFAR10(root=place, split="test"), PHOTOS[:30], labels(30))
        assert holds(CIFAR10(root=place, split="all"), np.concatenate([PHOTOS, PHOTOS[:30]]), labels(60) + labels(30))
    packed = pack(CIFAR10(root=root), "cifar10", print)
    assert packed.spec == (3, 32, 32, 10)
    assert " ".join(packed.class_names) == "airplane automobile bird cat deer dog frog horse ship truck"
    assert np.array_equal(packed.images, PHOTOS.transpose(0, 3, 1, 2))


def test_the_archive_is_fetched_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets as published

    (archive,) = make("cifar10_archive", tmp_path / "web").iterdir()
    with serving(archive.parent) as url:
        monkeypatch.setattr(published.CIFAR10, "url", f"{url}/{archive.name}")
        monkeypatch.setattr(published.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
        assert holds(CIFAR10(root=tmp_path / "data"), PHOTOS, labels(60))
    assert (tmp_path / "data" / archive.name).read_bytes() == archive.read_bytes()


def test_the_stand_in_is_what_pickle_reads() -> None:
    batch = pickle.loads(cifar_batch(PHOTOS[:7], labels(7)), encoding="latin1")  # noqa: S301 our own bytes
    assert np.array_equal(batch["data"].reshape(7, 3, 32, 32), PHOTOS[:7].transpose(0, 3, 1, 2))
    assert batch["labels"] == labels(7)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_batches_of_every_pickle_protocol_are_read(protocol: int) -> None:
    data = PHOTOS[:300].transpose(0, 3, 1, 2).reshape(60, 3072)
    images, numbers = read_batch(pickle.dumps({"data": data, "labels": labels(60)}, protocol=protocol))
    assert np.array_equal(images, PHOTOS)
    assert numbers.tolist() == labels(60)
    columns = pickle.dumps({"data": np.asfortranarray(data), "labels": labels(60)}, protocol=protocol)
    with pytest.raises(ValueError, match="its pictures are stored by columns"):
        read_batch(columns)


def test_a_hostile_pickle_is_not_executed(tmp_path: Path) -> None:
    make("cifar10", tmp_path)
    hostile = b"cos\nsystem\n(S'touch " + str(tmp_path / "owned").encode() + b"'\ntR."
    (tmp_path / "cifar-10-batches-py/data_batch_1").write_bytes(hostile)
    with pytest.raises(DataError, match="data_batch_1 is not a batch of CIFAR-10: 0 labels for 0 bytes of pictures"):
        CIFAR10(root=tmp_path).open()
    assert not (tmp_path / "owned").exists()


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    with tarfile.open(path / "cifar-10-python.tar.gz", "w:gz") as tar:
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))


def member(name: str, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def test_a_hostile_archive_writes_nothing_and_links_nowhere(tmp_path: Path) -> None:
    link = member("cifar-10-batches-py/test_batch", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    archive(tmp_path, (link, b""), (member("../../escaped", size=3), b"abc"))
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz does not contain test_batch"):
        CIFAR10(root=tmp_path, split="test").open()
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-python.tar.gz"]


def test_a_bomb_in_an_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    size = 100 << 20
    archive(tmp_path, (member("cifar-10-batches-py/test_batch", size=size), bytes(size)))
    with pytest.raises(DataError, match=r"test_batch has 104,857,600 bytes, more than any file of CIFAR-10"):
        CIFAR10(root=tmp_path, split="test").open()


@pytest.mark.parametrize("damage", ["half", "page", "empty"])
def test_a_damaged_archive_says_what_to_do(tmp_path: Path, damage: str) -> None:
    (path,) = make("cifar10_archive", tmp_path).iterdir()
    data = path.read_bytes()
    path.write_bytes({"half": data[: len(data) // 2], "page": b"<html>quota</html>", "empty": b""}[damage])
    with pytest.raises(DataError) as caught:
        CIFAR10(root=tmp_path).open()
    assert str(caught.value) == f"{path} is no whole tar archive; delete it, and it can be fetched again"


def sparse_tar(path: Path, *members: tarfile.TarInfo) -> Path:
    """Write members without their contents: the file takes no space."""
    with path.open("wb") as file:
        for info in members:
            file.write(info.tobuf())
            file.seek(-(-info.size // 512) * 512, 1)
        file.truncate()
    return path


def test_an_archive_that_claims_more_than_there_is_room_for_is_not_read(tmp_path: Path) -> None:
    header = sparse_tar(tmp_path / "header.tar", member("x", type=tarfile.XHDTYPE, size=1 << 32))
    with pytest.raises(DataError, match=r"header\.tar claims a header of 4,294,967,296 bytes: it is no archive of CIF"):
        CIFAR10(root=header).open()
    many = sparse_tar(tmp_path / "many.tar", *(member(f"{number}", size=64 << 20) for number in range(17)))
    with pytest.raises(DataError, match=r"many\.tar holds more than 1,073,741,824 bytes, which CIFAR-10 does not"):
        CIFAR10(root=many).open()
    empty = tmp_path / "empty.tar"
    empty.touch()
    os.truncate(empty, 1 << 40)
    with pytest.raises(DataError, match=r"empty\.tar does not contain data_batch_1"):
        CIFAR10(root=empty).open()
