"""MNIST and Fashion-MNIST: where their files lie, and the IDX format in which they are written."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import PositiveInt

from ganlab import DataError, Dataset, Source
from ganlab.standard.datasets.archives import refuse_special
from ganlab.standard.datasets.formats import PictureChannels
from ganlab.standard.datasets.published import Arrays, Split, expanded, fetch, not_there

if TYPE_CHECKING:
    import numpy as np

    Bytes = np.ndarray[Any, np.dtype[np.uint8]]

PARTS: Mapping[str, Sequence[str]] = {"train": ["train"], "test": ["t10k"], "all": ["train", "t10k"]}
"""How the file names of each split begin."""
SHIPPED = Path(__file__).parent / "fashion_mnist"
"""The test split of Fashion-MNIST that comes with ganlab, with its licence."""
DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""As its authors describe the labels."""
UNSIGNED_BYTE = 0x08
LARGEST_BYTES = 1 << 30


class MNIST(Dataset):
    """Handwritten digits, 28x28, 60,000 to train and 10,000 to test, 10 classes (LeCun et al. 1998)."""

    api = 1

    resolution: PositiveInt | tuple[PositiveInt, PositiveInt] = 28
    """Height and width of the training pictures, in pixels: one number, or `[height, width]`."""
    channels: PictureChannels = 1
    """1 for greyscale, 3 for RGB, 4 for RGBA."""
    root: Path = Path("data")
    """The folder that holds MNIST/raw/, as torchvision lays it out, or the files themselves, gzipped or not."""
    split: Split = "train"
    """Which pictures: `"train"`, `"test"`, or `"all"`."""
    download: bool = True
    """Fetch the files into `root` where they are missing."""

    def sources(self) -> Iterable[Path]:
        """Return the files of the split."""
        return self._files().paths

    def open(self) -> Source:
        """Read the files of the split, downloaded if need be."""
        refuse_special(expanded(self.root))
        files = self._files()
        fetch_missing(files, self, "MNIST", put(files))
        return Arrays("MNIST", DIGITS, *read(files))

    def _files(self) -> Files:
        return located(expanded(self.root), "MNIST/raw", self.split)


class FashionMNIST(Dataset):
    """Clothes and bags, 28x28, 60,000 to train and 10,000 to test, 10 classes (Xiao et al. 2017)."""

    api = 1

    resolution: PositiveInt | tuple[PositiveInt, PositiveInt] = 28
    """Height and width of the training pictures, in pixels: one number, or `[height, width]`."""
    channels: PictureChannels = 1
    """1 for greyscale, 3 for RGB, 4 for RGBA."""
    root: Path = Path("data")
    """The folder that holds FashionMNIST/raw/, as torchvision lays it out, or the files themselves, gzipped or not."""
    split: Literal["train", "test", "all", "shipped"] = "train"
    """Which pictures: `"train"`, `"test"`, `"all"`, or `"shipped"`, the test pictures that come with ganlab."""
    download: bool = True
    """Fetch the files into `root` where they are missing."""

    def sources(self) -> Iterable[Path]:
        """Return the files of the split."""
        return self._files().paths

    def open(self) -> Source:
        """Read the files of the split, downloaded if need be."""
        files = self._files()
        if self.split != "shipped":
            refuse_special(expanded(self.root))
            remedy = (
                'set dataset.split = "shipped" for the 10,000 pictures that come with ganlab, or '
                f"{put(files)} (Debian's package dataset-fashion-mnist has them)"
            )
            fetch_missing(files, self, "Fashion-MNIST", remedy)
        return Arrays("Fashion-MNIST", CLOTHES, *read(files))

    def _files(self) -> Files:
        if self.split == "shipped":
            return published_in(SHIPPED, "test")
        return located(expanded(self.root), "FashionMNIST/raw", self.split)


class Files(NamedTuple):
    """The files of a split, part by part: those of pictures, and those of labels."""

    images: list[Path]
    labels: list[Path]

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [*self.images, *self.labels]


def located(root: Path, below: str, split: str) -> Files:
    """Return the files of `split`, from the first folder that has them all, else where torchvision would put them."""
    for folder in (root / below, root):
        files = Files(*(list(map(_either, paths)) for paths in published_in(folder, split)))
        if all(path.is_file() for path in files.paths):
            return files
    return published_in(root / below, split)


def published_in(folder: Path, split: str) -> Files:
    """Return what the files of `split` are called when they are published."""
    return Files(
        *([folder / f"{part}-{kind}-ubyte.gz" for part in PARTS[split]] for kind in ("images-idx3", "labels-idx1"))
    )


def put(files: Files) -> str:
    """Return what to do where the files cannot be fetched."""
    names = ", ".join(path.name for path in files.paths)
    return f"put {names} into {files.images[0].parent}, or set dataset.root to the folder that holds them"


def fetch_missing(files: Files, dataset: MNIST | FashionMNIST, title: str, remedy: str) -> None:
    """Fetch those of the files that are not there. Raise `DataError` where that may not or cannot be."""
    missing = [path for path in files.paths if not path.is_file()]
    if not missing:
        return
    if not dataset.download:
        raise not_there(title, dataset.root, remedy)
    from torchvision import datasets

    published = datasets.MNIST if isinstance(dataset, MNIST) else datasets.FashionMNIST
    for path in missing:
        fetch([mirror + path.name for mirror in published.mirrors], dict(published.resources)[path.name], path, remedy)


def read(files: Files) -> tuple[Bytes, Bytes]:
    """Return pictures `(N, H, W)` and labels `(N,)`. Raise `DataError` where a file is not what it should be."""
    import numpy as np

    images = np.concatenate([read_file(path, 3) for path in files.images])
    labels = np.concatenate([read_file(path, 1) for path in files.labels])
    if len(images) != len(labels):
        raise DataError(f"{files.images[0].parent} holds {len(images):,} pictures but {len(labels):,} labels")
    return images, labels


def read_file(path: Path, dimensions: int) -> Bytes:
    """Return the array of bytes in an IDX file, gzipped or not. Raise `DataError` where it is anything else."""
    import numpy as np

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            zeros, kind, count = struct.unpack(">HBB", file.read(4))
            if (zeros, kind, count) != (0, UNSIGNED_BYTE, dimensions):
                raise DataError(f"{path} is not an IDX file of bytes in {dimensions} dimensions")
            shape = struct.unpack(f">{count}I", file.read(4 * count))
            size = math.prod(shape)
            # One byte more than there should be: what a file claims is neither believed nor exceeded.
            data = file.read(size + 1) if size <= LARGEST_BYTES else b""
    except (EOFError, zlib.error, struct.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut off or damaged ({error}); delete it, and it can be fetched again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) != size:
        raise DataError(
            f"{path} does not hold {' x '.join(map(str, shape))} bytes; delete it, and it can be fetched again"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _either(path: Path) -> Path:
    """Return the file as torchvision unpacks it where it lies there, else as it is published."""
    unpacked = path.with_suffix("")
    return unpacked if unpacked.is_file() else path
