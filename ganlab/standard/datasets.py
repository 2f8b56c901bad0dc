"""MNIST, Fashion-MNIST and CIFAR-10, from where they lie, or from the network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import PositiveInt

from ganlab import DataError, Dataset, Source
from ganlab.standard import cifar
from ganlab.standard.downloads import download
from ganlab.standard.idx import read_idx

Split = Literal["train", "test", "all"]

CLASSES = 10
SHIPPED = Path(__file__).parent / "fashion_mnist"
"""The test split of Fashion-MNIST that comes with ganlab, with its licence."""
PARTS = {"train": ("train",), "test": ("t10k",), "all": ("train", "t10k")}
"""How the file names of the MNISTs begin."""
BATCHES = {"train": cifar.TRAIN, "test": cifar.TEST, "all": (*cifar.TRAIN, *cifar.TEST)}


class MNIST(Dataset):
    """Handwritten digits, 28x28, 60,000 to train and 10,000 to test, 10 classes (LeCun et al. 1998)."""

    api = 1

    resolution: PositiveInt | tuple[PositiveInt, PositiveInt] = 28
    """Height and width of the training pictures, in pixels: one number, or `[height, width]`."""
    channels: PositiveInt = 1
    """1 for greyscale, 3 for RGB."""
    root: Path = Path("data")
    """The folder that holds MNIST/raw/, as torchvision lays it out, or the four files themselves, gzipped or not."""
    split: Split = "train"
    """Which pictures: `"train"`, `"test"`, or `"all"`."""
    download: bool = True
    """Fetch the files into `root` where they are missing."""

    def sources(self) -> Iterable[Path]:
        """Return the files of the split."""
        return _idx_files(self.root, "MNIST", self.split) or _idx_targets(self.root, "MNIST", self.split)

    def open(self) -> Source:
        """Read the files of the split, downloaded if need be."""
        if files := _idx_files(self.root, "MNIST", self.split):
            return _read_idx_files(files, "MNIST")
        targets = _idx_targets(self.root, "MNIST", self.split)
        remedy = _remedy(targets, "dataset.root")
        if not self.download:
            raise DataError(f"MNIST is not in {self.root}, and dataset.download is false; {remedy}")
        from torchvision.datasets import MNIST as PUBLISHED

        _download_idx(targets, PUBLISHED.mirrors, PUBLISHED.resources, remedy)
        return _read_idx_files(targets, "MNIST")


class FashionMNIST(Dataset):
    """Clothes and bags, 28x28, 60,000 to train and 10,000 to test, 10 classes (Xiao et al. 2017)."""

    api = 1

    resolution: PositiveInt | tuple[PositiveInt, PositiveInt] = 28
    """Height and width of the training pictures, in pixels: one number, or `[height, width]`."""
    channels: PositiveInt = 1
    """1 for greyscale, 3 for RGB."""
    root: Path = Path("data")
    """The folder that holds FashionMNIST/raw/, as torchvision lays it out, or the four files themselves, gzipped or not."""
    split: Literal["train", "test", "all", "shipped"] = "train"
    """Which pictures: `"train"`, `"test"`, `"all"`, or `"shipped"`, the test pictures as they come with ganlab."""
    download: bool = True
    """Fetch the files into `root` where they are missing."""

    def sources(self) -> Iterable[Path]:
        """Return the files of the split."""
        return self._files() or _idx_targets(self.root, "FashionMNIST", self.split)

    def open(self) -> Source:
        """Read the files of the split, downloaded if need be."""
        if files := self._files():
            return _read_idx_files(files, "Fashion-MNIST")
        targets = _idx_targets(self.root, "FashionMNIST", self.split)
        remedy = (
            'set dataset.split = "shipped" for the 10,000 pictures that come with ganlab, or '
            + _remedy(targets, "dataset.root")
            + " (Debian and Ubuntu have them as the package dataset-fashion-mnist)"
        )
        if not self.download:
            raise DataError(f"Fashion-MNIST is not in {self.root}, and dataset.download is false; {remedy}")
        from torchvision.datasets import FashionMNIST as PUBLISHED

        _download_idx(targets, PUBLISHED.mirrors, PUBLISHED.resources, remedy)
        return _read_idx_files(targets, "Fashion-MNIST")

    def _files(self) -> list[Path]:
        if self.split == "shipped":
            return _idx_files(SHIPPED, "", "test")
        return _idx_files(self.root, "FashionMNIST", self.split)


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
        place = self._place()
        if place is None or place.is_file():
            return [place or _expanded(self.root) / cifar.ARCHIVE]
        return [place / name for name in BATCHES[self.split]]

    def open(self) -> Source:
        """Read the batches of the split, downloaded if need be; the archive is read in place."""
        place = self._place() or self._downloaded()
        pixels, labels = cifar.read_cifar(place, BATCHES[self.split])
        return Arrays(pixels, labels, "CIFAR-10")

    def _place(self) -> Path | None:
        root = _expanded(self.root)
        if root.is_file():
            return root
        for folder in (root / cifar.FOLDER, root):
            if any((folder / name).is_file() for name in BATCHES[self.split]):
                return folder
        return root / cifar.ARCHIVE if (root / cifar.ARCHIVE).is_file() else None

    def _downloaded(self) -> Path:
        target = _expanded(self.root) / cifar.ARCHIVE
        remedy = _remedy([target], "dataset.root")
        if not self.download:
            raise DataError(f"CIFAR-10 is not in {self.root}, and dataset.download is false; {remedy}")
        from torchvision.datasets import CIFAR10 as PUBLISHED

        try:
            download([PUBLISHED.url], PUBLISHED.tgz_md5, target)
        except DataError as error:
            raise DataError(f"{error}\n{remedy}") from error
        return target


class Arrays(Source):
    """Pictures and labels that fit into memory."""

    def __init__(
        self,
        pixels: np.ndarray[Any, np.dtype[np.uint8]],
        labels: np.ndarray[Any, np.dtype[np.integer[Any]]],
        title: str,
    ) -> None:
        if len(pixels) != len(labels):
            raise DataError(f"{title} has {len(pixels):,} pictures but {len(labels):,} labels")
        self._pixels, self._labels, self._title = pixels, labels, title
        self.classes = CLASSES

    def __len__(self) -> int:
        return len(self._pixels)

    def image(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        pixels: np.ndarray[Any, np.dtype[np.uint8]] = self._pixels[index]
        return pixels

    def name(self, index: int) -> str:
        return f"{self._title} picture {index}"

    def label(self, index: int) -> int:
        return int(self._labels[index])


def _idx_names(split: str) -> list[str]:
    """Return the files of a split: for each part, pictures and labels."""
    return [f"{part}-{kind}-ubyte" for part in PARTS[split] for kind in ("images-idx3", "labels-idx1")]


def _idx_targets(root: Path, family: str, split: str) -> list[Path]:
    """Return where the files of a split are put when they are fetched."""
    return [_expanded(root) / family / "raw" / f"{name}.gz" for name in _idx_names(split)]


def _idx_files(root: Path, family: str, split: str) -> list[Path]:
    """Return the files of a split, all from one folder; none where no folder has them all."""
    for folder in (_expanded(root) / family / "raw", _expanded(root)):
        choices = [(folder / name, folder / f"{name}.gz") for name in _idx_names(split)]
        files = [next((path for path in choice if path.is_file()), None) for choice in choices]
        found = [path for path in files if path is not None]
        if len(found) == len(choices):
            return found
    return []


def _read_idx_files(files: Sequence[Path], title: str) -> Arrays:
    pixels = [read_idx(path, 3) for path in files[::2]]
    labels = [read_idx(path, 1) for path in files[1::2]]
    return Arrays(np.concatenate(pixels), np.concatenate(labels), title)


def _download_idx(
    targets: Sequence[Path], mirrors: Sequence[str], resources: Sequence[tuple[str, str]], remedy: str
) -> None:
    checksums = dict(resources)
    try:
        for target in targets:
            if not target.is_file():
                download([mirror + target.name for mirror in mirrors], checksums[target.name], target)
    except DataError as error:
        raise DataError(f"{error}\n{remedy}") from error


def _remedy(targets: Sequence[Path], option: str) -> str:
    names = ", ".join(target.name for target in targets)
    return f"put {names} into {targets[0].parent}, or set {option} to the folder that holds them"


def _expanded(path: Path) -> Path:
    return Path(os.path.expanduser(path))
