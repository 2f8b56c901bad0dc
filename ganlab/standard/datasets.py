"""MNIST, Fashion-MNIST and CIFAR-10, from where they lie, or from the network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from ganlab import DataError, Dataset, Source
from ganlab.standard import cifar, idx

if TYPE_CHECKING:
    import numpy as np

Split = Literal["train", "test", "all"]

CLASSES = 10
SHIPPED = Path(__file__).parent / "fashion_mnist"
"""The test split of Fashion-MNIST that comes with ganlab, with its licence."""


class MNIST(Dataset):
    """Handwritten digits, 28x28, 60,000 to train and 10,000 to test, 10 classes (LeCun et al. 1998)."""

    api = 1

    resolution: PositiveInt | tuple[PositiveInt, PositiveInt] = 28
    """Height and width of the training pictures, in pixels: one number, or `[height, width]`."""
    channels: PositiveInt = 1
    """1 for greyscale, 3 for RGB."""
    root: Path = Path("data")
    """The folder that holds MNIST/raw/, as torchvision lays it out, or the files themselves, gzipped or not."""
    split: Split = "train"
    """Which pictures: `"train"`, `"test"`, or `"all"`."""
    download: bool = True
    """Fetch the files into `root` where they are missing."""

    def sources(self) -> Iterable[Path]:
        """Return the files of the split."""
        return _flat(self._found() or self._expected())

    def open(self) -> Source:
        """Read the files of the split, downloaded if need be."""
        files = self._found()
        if files is None:
            files = self._expected()
            remedy = _put(files, "dataset.root")
            if not self.download:
                raise _not_there("MNIST", self.root, remedy)
            from torchvision import datasets as published

            _download(files, published.MNIST.mirrors, published.MNIST.resources, remedy)
        return Arrays("MNIST", *idx.read(files))

    def _found(self) -> idx.Files | None:
        root = _expanded(self.root)
        return idx.find([root / "MNIST/raw", root], self.split)

    def _expected(self) -> idx.Files:
        return idx.expected(_expanded(self.root) / "MNIST/raw", self.split)


class FashionMNIST(Dataset):
    """Clothes and bags, 28x28, 60,000 to train and 10,000 to test, 10 classes (Xiao et al. 2017)."""

    api = 1

    resolution: PositiveInt | tuple[PositiveInt, PositiveInt] = 28
    """Height and width of the training pictures, in pixels: one number, or `[height, width]`."""
    channels: PositiveInt = 1
    """1 for greyscale, 3 for RGB."""
    root: Path = Path("data")
    """The folder that holds FashionMNIST/raw/, as torchvision lays it out, or the files themselves, gzipped or not."""
    split: Literal["train", "test", "all", "shipped"] = "train"
    """Which pictures: `"train"`, `"test"`, `"all"`, or `"shipped"`, the test pictures that come with ganlab."""
    download: bool = True
    """Fetch the files into `root` where they are missing."""

    def sources(self) -> Iterable[Path]:
        """Return the files of the split."""
        return _flat(self._found() or self._expected())

    def open(self) -> Source:
        """Read the files of the split, downloaded if need be."""
        files = self._found()
        if files is None:
            files = self._expected()
            remedy = (
                'set dataset.split = "shipped" for the 10,000 pictures that come with ganlab, or '
                + _put(files, "dataset.root")
                + " (Debian's package dataset-fashion-mnist has them)"
            )
            if not self.download:
                raise _not_there("Fashion-MNIST", self.root, remedy)
            from torchvision import datasets as published

            _download(files, published.FashionMNIST.mirrors, published.FashionMNIST.resources, remedy)
        return Arrays("Fashion-MNIST", *idx.read(files))

    def _found(self) -> idx.Files | None:
        root = _expanded(self.root)
        return self._expected() if self.split == "shipped" else idx.find([root / "FashionMNIST/raw", root], self.split)

    def _expected(self) -> idx.Files:
        if self.split == "shipped":
            return idx.expected(SHIPPED, "test")
        return idx.expected(_expanded(self.root) / "FashionMNIST/raw", self.split)


class CIFAR10(Dataset):
    """Photographs of animals and vehicles, 32x32, 50,000 to train and 10,000 to test, 10 classes (Krizhevsky 2009)."""

    api = 1

    resolution: PositiveInt | tuple[PositiveInt, PositiveInt] = 32
    """Height and width of the training pictures, in pixels: one number, or `[height, width]`."""
    root: Path = Path("data")
    """The folder that holds cifar-10-batches-py/ or cifar-10-python.tar.gz, or one of these itself."""
    split: Split = "train"
    """Which pictures: `"train"`, `"test"`, or `"all"`."""
    download: bool = True
    """Fetch the archive into `root` where it is missing."""

    def sources(self) -> Iterable[Path]:
        """Return the batches of the split, or the archive that holds them."""
        place = self._found() or self._expected()
        return [place / name for name in cifar.BATCHES[self.split]] if place.is_dir() else [place]

    def open(self) -> Source:
        """Read the batches of the split, downloaded if need be; the archive is read in place."""
        place = self._found()
        if place is None:
            place = self._expected()
            remedy = f"put {place.name} into {place.parent}, or set dataset.root to where it lies"
            if not self.download:
                raise _not_there("CIFAR-10", self.root, remedy)
            from torchvision import datasets as published

            _fetch([published.CIFAR10.url], published.CIFAR10.tgz_md5, place, remedy)
        return Arrays("CIFAR-10", *cifar.read(place, cifar.BATCHES[self.split]))

    def _found(self) -> Path | None:
        return cifar.find(_expanded(self.root), cifar.BATCHES[self.split])

    def _expected(self) -> Path:
        return _expanded(self.root) / cifar.ARCHIVE


class Arrays(Source):
    """Pictures `(N, H, W)` or `(N, H, W, C)` and labels `(N,)` that are in memory already."""

    classes = CLASSES

    def __init__(
        self,
        title: str,
        images: np.ndarray[Any, np.dtype[np.uint8]],
        labels: np.ndarray[Any, np.dtype[np.integer[Any]]],
    ) -> None:
        self._title, self._images, self._labels = title, images, labels

    def __len__(self) -> int:
        return len(self._images)

    def image(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        image: np.ndarray[Any, np.dtype[np.uint8]] = self._images[index]
        return image

    def name(self, index: int) -> str:
        return f"{self._title} picture {index}"

    def label(self, index: int) -> int:
        return int(self._labels[index])


def _download(files: idx.Files, mirrors: Sequence[str], resources: Sequence[tuple[str, str]], remedy: str) -> None:
    for path in _flat(files):
        if not path.is_file():
            _fetch([mirror + path.name for mirror in mirrors], dict(resources)[path.name], path, remedy)


def _fetch(urls: Sequence[str], md5: str, path: Path, remedy: str) -> None:
    from ganlab.standard.downloads import download

    try:
        download(urls, md5, path)
    except DataError as error:
        raise DataError(f"{error}\n{remedy}") from error


def _not_there(title: str, root: Path, remedy: str) -> DataError:
    return DataError(f"{title} is not in {root}, and dataset.download is false; {remedy}")


def _put(files: idx.Files, option: str) -> str:
    names = ", ".join(path.name for path in _flat(files))
    return f"put {names} into {files.images[0].parent}, or set {option} to the folder that holds them"


def _flat(files: idx.Files) -> list[Path]:
    return [*files.images, *files.labels]


def _expanded(path: Path) -> Path:
    return Path(os.path.expanduser(path))
