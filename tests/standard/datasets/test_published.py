"""MNIST, Fashion-MNIST and CIFAR-10: found in every layout, read exactly, fetched safely, and clear when missing."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_ins import cifar_batch, idx_bytes, labels, make, pictures

from ganlab import DataError, Dataset, Source
from ganlab.data.packing import pack
from ganlab.standard.datasets.cifar10 import CIFAR10, read_batch
from ganlab.standard.datasets.mnist import MNIST, FashionMNIST, read_file
from ganlab.standard.datasets.published import download

DIGITS = pictures(60, 28, 28, 1)[..., 0]
PHOTOS = pictures(60, 32, 32)


def content(source: Source) -> tuple[np.ndarray[Any, Any], list[int]]:
    indices = range(len(source))
    return np.stack([np.asarray(source.image(i)) for i in indices]), [source.label(i) for i in indices]


def holds(dataset: Dataset, expected: np.ndarray[Any, Any], numbers: list[int]) -> bool:
    images, found = content(dataset.open())
    return np.array_equal(images, expected) and found == numbers


@pytest.mark.parametrize(("name", "kind"), [("mnist", MNIST), ("fashion_mnist", FashionMNIST)])
def test_idx_files_are_found_where_torchvision_puts_them(tmp_path: Path, name: str, kind: type[Any]) -> None:
    root = make(name, tmp_path)
    assert holds(kind(root=root), DIGITS, labels(60))
    assert holds(kind(root=root, split="test"), DIGITS[:30], labels(30))
    assert holds(kind(root=root, split="all"), np.concatenate([DIGITS, DIGITS[:30]]), labels(60) + labels(30))


def test_idx_files_may_be_unpacked_or_lie_in_the_root(tmp_path: Path) -> None:
    raw = make("mnist", tmp_path) / "MNIST/raw"
    for path in list(raw.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert holds(MNIST(root=tmp_path), DIGITS, labels(60))
    assert holds(MNIST(root=raw, split="test"), DIGITS[:30], labels(30))
    assert [path.name for path in MNIST(root=raw).sources()] == ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]


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


@pytest.mark.parametrize("name", ["cifar10", "cifar10_archive"])
def test_cifar_is_read_from_its_folder_and_from_its_archive(tmp_path: Path, name: str) -> None:
    root = make(name, tmp_path)
    (itself,) = root.iterdir()
    for place in (root, itself):
        assert holds(CIFAR10(root=place), PHOTOS, labels(60))
        assert holds(CIFAR10(root=place, split="test"), PHOTOS[:30], labels(30))
        assert holds(CIFAR10(root=place, split="all"), np.concatenate([PHOTOS, PHOTOS[:30]]), labels(60) + labels(30))
    packed = pack(CIFAR10(root=root), "cifar10", print)
    assert packed.spec == (3, 32, 32, 10)
    assert np.array_equal(packed.images, PHOTOS.transpose(0, 3, 1, 2))


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


MISSING = [
    (MNIST, "MNIST", "put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz into {root}/MNIST/raw, or set "
     "dataset.root to the folder that holds them"),
    (FashionMNIST, "Fashion-MNIST", 'set dataset.split = "shipped" for the 10,000 pictures that come with ganlab, or '
     "put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz into {root}/FashionMNIST/raw, or set dataset.root to "
     "the folder that holds them (Debian's package dataset-fashion-mnist has them)"),
    (CIFAR10, "CIFAR-10", "put cifar-10-python.tar.gz into {root}, or set dataset.root to where it lies"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "title", "remedy"), MISSING)
def test_missing_files_that_may_not_be_fetched(tmp_path: Path, kind: type[Any], title: str, remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        pack(kind(root=tmp_path / "data", download=False), "name", print)
    root = tmp_path / "data"
    assert str(caught.value) == (f"{title} is not in {root}, and dataset.download is false; {remedy.format(root=root)}")


@pytest.mark.parametrize(("kind", "title", "remedy"), MISSING)
def test_without_a_network_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Any], title: str, remedy: str
) -> None:
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.delenv("no_proxy", raising=False)
    root = tmp_path / "data"
    with pytest.raises(DataError) as caught:
        pack(kind(root=root), "name", print)
    first, *answers, last = str(caught.value).splitlines()
    assert first in ("cannot download train-images-idx3-ubyte.gz:", "cannot download cifar-10-python.tar.gz:")
    assert answers
    assert all(answer.startswith("  http") and answer.endswith(": Connection refused") for answer in answers)
    assert last == remedy.format(root=root)
    assert [path for path in root.rglob("*") if path.is_file()] == []


BODY = b"a small file" * 1000
MD5 = hashlib.md5(BODY).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Answers each path in its own bad way."""

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        body = {"/page": b"<!DOCTYPE html><p>quota", "/other": b"x" * 100}.get(self.path, BODY)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:500] if self.path == "/cut" else body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_download_is_complete_or_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "folder/file.gz"
    with server() as url:
        for path, reason in (
            ("missing", "the server answered 404 Not Found"),
            ("page", f"the server sent a web page, not the file with md5 {MD5}"),
            ("other", f"the server sent 100 bytes with md5 {hashlib.md5(b'x' * 100).hexdigest()}, not the file with"),
            ("cut", "the server sent 500 bytes with md5 "),
        ):
            with pytest.raises(DataError) as caught:
                download([f"{url}/{path}"], MD5, target)
            assert str(caught.value).startswith(f"cannot download file.gz:\n  {url}/{path}: {reason}")
            assert list(target.parent.iterdir()) == []
        download([f"{url}/missing", f"{url}/file"], MD5, target)
        assert target.read_bytes() == BODY
        assert list(target.parent.iterdir()) == [target]
        said = capsys.readouterr().err.splitlines()
        assert said[-2:] == [f"downloading {url}/{path} to {target.parent}" for path in ("missing", "file")]


def test_a_failed_download_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")
    with server() as url, pytest.raises(DataError):
        download([f"{url}/cut"], MD5, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_home_directory_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make("mnist", tmp_path / "digits")
    make("cifar10", tmp_path / "photos")
    assert len(MNIST(root=Path("~/digits")).open()) == 60
    assert len(CIFAR10(root=Path("~/photos")).open()) == 60
    assert len(pack(MNIST(root=Path("~/digits")), "mnist", print).images) == 60
