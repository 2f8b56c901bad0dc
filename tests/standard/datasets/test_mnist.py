"""MNIST and Fashion-MNIST: found in every layout, read exactly, and damage named."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_ins import holds, idx_bytes, labels, make, pictures, serving

from ganlab import DataError
from ganlab.data.packing import pack
from ganlab.standard.datasets.mnist import MNIST, FashionMNIST, read_file

DIGITS = pictures(60, 28, 28, 1)[..., 0]


@pytest.mark.parametrize(("name", "kind"), [("mnist", MNIST), ("fashion_mnist", FashionMNIST)])
def test_idx_files_are_found_where_torchvision_puts_them(tmp_path: Path, name: str, kind: type[Any]) -> None:
    root = make(name, tmp_path)
    assert holds(kind(root=root), DIGITS, labels(60))
    assert holds(kind(root=root, split="test"), DIGITS[:30], labels(30))
    assert holds(kind(root=root, split="all"), np.concatenate([DIGITS, DIGITS[:30]]), labels(60) + labels(30))


def test_classes_have_the_names_that_their_authors_gave_them(tmp_path: Path) -> None:
    from torchvision import datasets as published

    assert pack(FashionMNIST(split="shipped"), "fashion_mnist", print).class_names == tuple(
        published.FashionMNIST.classes
    )
    assert pack(MNIST(root=make("mnist", tmp_path)), "mnist", print).class_names == tuple("0123456789")


def test_idx_files_may_be_unpacked_or_lie_in_the_root(tmp_path: Path) -> None:
    raw = make("mnist", tmp_path) / "MNIST/raw"
    for path in list(raw.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert holds(MNIST(root=tmp_path), DIGITS, labels(60))
    assert holds(MNIST(root=raw, split="test"), DIGITS[:30], labels(30))
    assert [path.name for path in MNIST(root=raw).sources()] == ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_only_what_is_missing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    from torchvision import datasets as published

    kind, theirs = {"mnist": (MNIST, published.MNIST), "fashion_mnist": (FashionMNIST, published.FashionMNIST)}[name]
    (family,) = make(name, tmp_path / "web").iterdir()
    raw = tmp_path / "data" / family.name / "raw"
    raw.mkdir(parents=True)
    (family / "raw/train-labels-idx1-ubyte.gz").rename(raw / "train-labels-idx1-ubyte.gz")
    checksums = [(path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in (family / "raw").iterdir()]
    with serving(family / "raw") as url:
        monkeypatch.setattr(theirs, "mirrors", [f"{url}/"])
        monkeypatch.setattr(theirs, "resources", checksums)
        assert holds(kind(root=tmp_path / "data"), DIGITS, labels(60))
    assert capsys.readouterr().err == f"downloading {url}/train-images-idx3-ubyte.gz to {raw}\n"
    assert holds(kind(root=tmp_path / "data", download=False), DIGITS, labels(60))


def test_the_reader_agrees_with_torchvision(tmp_path: Path) -> None:
    from torchvision import datasets as published

    raw = make("mnist", tmp_path) / "MNIST/raw"
    for path in list(raw.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    theirs = published.MNIST(tmp_path, train=False)
    assert holds(MNIST(root=tmp_path, split="test"), theirs.data.numpy(), theirs.targets.tolist())


def test_the_shipped_pictures_are_those_of_the_publishers() -> None:
    dataset = FashionMNIST(split="shipped", root=Path("nowhere"))
    packed = pack(dataset, "fashion_mnist", print)
    assert packed.spec == (1, 28, 28, 10)
    assert packed.labels is not None
    assert np.bincount(packed.labels).tolist() == [1000] * 10
    assert packed.labels[:10].tolist() == [
        9,
        2,
        1,
        1,
        6,
        1,
        4,
        6,
        5,
        7,
    ]  # a boot, a pullover, trousers ...
    images, numbers = dataset.sources()
    assert packed.images.tobytes() == gzip.decompress(images.read_bytes())[16:]
    assert packed.labels.astype(np.uint8).tobytes() == gzip.decompress(numbers.read_bytes())[8:]


DAMAGED = {
    "cut off": (gzip.compress(idx_bytes(DIGITS))[:-9], "is cut off or damaged"),
    "a byte short": (gzip.compress(idx_bytes(DIGITS)[:-1]), "does not hold 60 x 28 x 28 bytes; delete it"),
    "a byte long": (gzip.compress(idx_bytes(DIGITS) + b"x"), "does not hold 60 x 28 x 28 bytes; delete it"),
    "a bomb": (
        gzip.compress(struct.pack(">HBB3I", 0, 8, 3, *[2**31] * 3)),
        "does not hold 2147483648 x 2147483648 x",
    ),
    "one picture": (gzip.compress(idx_bytes(DIGITS[0])), "is not an IDX file of bytes in 3 dimensions"),
    "no header": (gzip.compress(b"\0\0"), "is cut off or damaged"),
    "a page": (b"<html>404</html>", "is cut off or damaged (Not a gzipped file"),
    "nothing": (b"", "is cut off or damaged"),
}


@pytest.mark.parametrize(("data", "reason"), list(DAMAGED.values()), ids=list(DAMAGED))
def test_damaged_idx_files_are_named(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_file(path, 3)
    assert str(caught.value).startswith(f"{path} {reason}")


def test_pictures_without_their_labels_are_an_error(tmp_path: Path) -> None:
    raw = make("mnist", tmp_path) / "MNIST/raw"
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(np.zeros(59, np.uint8))))
    with pytest.raises(DataError, match=r"MNIST/raw holds 60 pictures but 59 labels"):
        MNIST(root=tmp_path).open()
