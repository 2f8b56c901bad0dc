"""Tiny data sets in the real file formats, for tests of datasets and recipes: `make(name, root)` writes one."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from ganlab import Dataset

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

FACES_FOLDER = "img_align_celeba"
CIFAR_FOLDER = "cifar-10-batches-py"


def make(name: str, root: Path, count: int = 60) -> Path:
    """Write the stand-in for the dataset `name` below `root` and return what a recipe's `dataset.root` must be.

    `count` is the number of training pictures; there are `count // 2` to test. Names: mnist, fashion_mnist, cifar10,
    cifar10_archive, celeba, celeba_zip, image_folder (two class folders).
    """
    makers: dict[str, Callable[[Path, int], Path]] = {
        "mnist": lambda root, count: _idx_family(root, "MNIST", count),
        "fashion_mnist": lambda root, count: _idx_family(root, "FashionMNIST", count),
        "cifar10": _cifar_folder,
        "cifar10_archive": _cifar_archive,
        "celeba": _celeba_folder,
        "celeba_zip": _celeba_zip,
        "image_folder": _class_folders,
    }
    root.mkdir(parents=True, exist_ok=True)
    return makers[name](root, count)


def pictures(count: int, height: int, width: int, channels: int = 3) -> Pixels:
    """Return smooth pictures `(N, H, W, C)`, all different, the same in every call."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    index = np.arange(count)[:, None, None, None]
    channel = np.arange(channels)
    waves = np.sin(3.0 * x[..., None] * (1 + index % 3) + 2.0 * y[..., None] * (1 + index % 5) + channel + 0.37 * index)
    return np.rint(127.5 + 120.0 * waves).astype(np.uint8)


def labels(count: int) -> list[int]:
    """Return the labels of the stand-ins with ten classes."""
    return [(7 * index + 3) % 10 for index in range(count)]


def idx_bytes(array: Pixels) -> bytes:
    """Return an array of bytes in the IDX format."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def cifar_batch(pixels: Pixels, numbers: Sequence[int]) -> bytes:
    """Return a batch as Python 2 pickled it: opcode by opcode like the published files, pictures `(N, 32, 32, 3)`."""
    data = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), 3072).tobytes()
    names = b"".join(_short(f"picture_{index:06d}.png") for index in range(len(pixels)))
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\x01"
        + _integer(len(pixels))
        + _integer(3072)
        + b"\x86cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T"
        + struct.pack("<I", len(data))
        + data
        + b"tb"
    )
    return b"".join(
        [
            b"\x80\x02}(",
            _short("batch_label") + _short("training batch 1 of 5"),
            _short("labels") + b"](" + b"".join(_integer(number) for number in numbers) + b"e",
            _short("data") + array,
            _short("filenames") + b"](" + names + b"e",
            b"u.",
        ]
    )


def jpeg_bytes(pixels: Pixels) -> bytes:
    """Return a picture `(H, W, 3)` as a JPEG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92)
    return file.getvalue()


def png_bytes(pixels: np.ndarray, **options: Any) -> bytes:
    """Return a picture `(H, W)` or `(H, W, C)` as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def write_files(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below `root` by their relative paths, and return it."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a zip with these members, and return it."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder's files over HTTP on this machine; yield the address of the folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with serving_with(partial(Quiet, directory=str(folder))) as url:
        yield url


@contextmanager
def serving_with(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer HTTP requests on this machine with a handler; yield the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


def holds(dataset: Dataset, expected: Pixels, numbers: Sequence[int]) -> bool:
    """Tell whether a dataset has exactly these pictures with these labels."""
    source = dataset.open()
    images = np.stack([np.asarray(source.image(index)) for index in range(len(source))])
    return np.array_equal(images, expected) and [source.label(index) for index in range(len(source))] == list(numbers)


def _idx_family(root: Path, family: str, count: int) -> Path:
    folder = root / family / "raw"
    folder.mkdir(parents=True)
    for part, number in (("train", count), ("t10k", count // 2)):
        images = idx_bytes(pictures(number, 28, 28, 1)[..., 0])
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, 1))
        numbers = idx_bytes(np.array(labels(number), np.uint8))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(numbers, 1))
    return root


def _cifar_batches(count: int) -> dict[str, bytes]:
    """Return the six batches; five train batches share `count` pictures as evenly as can be."""
    batches = {}
    for number, chosen in enumerate(np.array_split(np.arange(count), 5), 1):
        numbers = [labels(count)[index] for index in chosen]
        batches[f"data_batch_{number}"] = cifar_batch(pictures(count, 32, 32)[chosen], numbers)
    batches["test_batch"] = cifar_batch(pictures(count // 2, 32, 32), labels(count // 2))
    return batches


def _cifar_folder(root: Path, count: int) -> Path:
    (root / CIFAR_FOLDER).mkdir()
    for name, data in _cifar_batches(count).items():
        (root / CIFAR_FOLDER / name).write_bytes(data)
    return root


def _cifar_archive(root: Path, count: int) -> Path:
    with tarfile.open(root / "cifar-10-python.tar.gz", "w:gz", compresslevel=1) as archive:
        for name, data in _cifar_batches(count).items():
            member = tarfile.TarInfo(f"{CIFAR_FOLDER}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return root


def _faces(count: int) -> dict[str, bytes]:
    return {f"{index:06d}.jpg": jpeg_bytes(picture) for index, picture in enumerate(pictures(count, 218, 178), 1)}


def _celeba_folder(root: Path, count: int) -> Path:
    (root / FACES_FOLDER).mkdir()
    for name, data in _faces(count).items():
        (root / FACES_FOLDER / name).write_bytes(data)
    return root


def _celeba_zip(root: Path, count: int) -> Path:
    with zipfile.ZipFile(root / f"{FACES_FOLDER}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _faces(count).items():
            archive.writestr(f"{FACES_FOLDER}/{name}", data)
    return root


def _class_folders(root: Path, count: int) -> Path:
    for index, picture in enumerate(pictures(count, 40, 48)):
        folder = root / ("cats", "dogs")[index % 2]
        folder.mkdir(exist_ok=True)
        (folder / f"{index:03d}.jpg").write_bytes(jpeg_bytes(picture))
    return root


def _short(text: str) -> bytes:
    return b"U" + bytes([len(text)]) + text.encode()


def _integer(number: int) -> bytes:
    return b"K" + bytes([number]) if number < 256 else b"M" + struct.pack("<H", number)
