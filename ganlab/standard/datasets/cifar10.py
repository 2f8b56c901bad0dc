"""CIFAR-10, and its "python" batches: pickles, which are read here as lists of opcodes and never loaded.

torchvision's reader unpickles them, which runs whatever a file says. Here nothing is imported, built or called.
"""

from __future__ import annotations

import gzip
import io
import pickletools
import tarfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pydantic import PositiveInt

from ganlab import DataError, Dataset, Source
from ganlab.standard.datasets.archives import refuse_special
from ganlab.standard.datasets.formats import PictureChannels
from ganlab.standard.datasets.published import Arrays, Split, expanded, fetch, not_there

if TYPE_CHECKING:
    import numpy as np

    Batch = tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.int64]]]

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
TRAIN = [f"data_batch_{number}" for number in range(1, 6)]
TEST = ["test_batch"]
BATCHES: Mapping[str, Sequence[str]] = {"train": TRAIN, "test": TEST, "all": [*TRAIN, *TEST]}
"""The batches of each split."""
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""As batches.meta has them."""

SHAPE = (3, 32, 32)
PICTURE_BYTES = 3 * 32 * 32
LARGEST_BATCH_BYTES = 64 << 20
"""Twice what a batch of 10,000 pictures takes."""
LARGEST_ARCHIVE_BYTES = 1 << 30
"""Five times what the archive holds."""
MOST_OPCODES = 1_000_000
"""A batch of 10,000 pictures has about 40,000."""
KEYS = {"data", "labels", "filenames", "batch_label"}
"""What a batch holds; the strings that say which value comes next."""
NUMBERS = {"BININT", "BININT1", "BININT2"}


class CIFAR10(Dataset):
    """Photographs of animals and vehicles, 32x32, 50,000 to train and 10,000 to test, 10 classes (Krizhevsky 2009)."""

    api = 1

    resolution: PositiveInt | tuple[PositiveInt, PositiveInt] = 32
    """Height and width of the training pictures, in pixels: one number, or `[height, width]`."""
    channels: PictureChannels = 3
    """1 for greyscale, 3 for RGB, 4 for RGBA."""
    root: Path = Path("data")
    """The folder that holds cifar-10-batches-py/ or cifar-10-python.tar.gz, or one of these itself."""
    split: Split = "train"
    """Which pictures: `"train"`, `"test"`, or `"all"`."""
    download: bool = True
    """Fetch the archive into `root` where it is missing."""

    def sources(self) -> Iterable[Path]:
        """Return the batches of the split, or the archive that holds them."""
        place = self._found() or self._expected()
        return [place / name for name in BATCHES[self.split]] if place.is_dir() else [place]

    def open(self) -> Source:
        """Read the batches of the split, downloaded if need be; the archive is read in place."""
        refuse_special(expanded(self.root))
        place = self._found()
        if place is None:
            place = self._expected()
            remedy = f"put {place.name} into {place.parent}, or set dataset.root to where it lies"
            if not self.download:
                raise not_there("CIFAR-10", self.root, remedy)
            from torchvision import datasets as published

            fetch([published.CIFAR10.url], published.CIFAR10.tgz_md5, place, remedy)
        return Arrays("CIFAR-10", CLASS_NAMES, *read(place, BATCHES[self.split]))

    def _found(self) -> Path | None:
        return find(expanded(self.root), BATCHES[self.split])

    def _expected(self) -> Path:
        return expanded(self.root) / ARCHIVE


def find(root: Path, names: Sequence[str]) -> Path | None:
    """Return the folder with the named batches, or the archive; either may be `root` itself."""
    if root.is_file():
        return root
    for folder in (root / FOLDER, root):
        if any((folder / name).is_file() for name in names):
            return folder
    return root / ARCHIVE if (root / ARCHIVE).is_file() else None


def read(path: Path, names: Sequence[str]) -> Batch:
    """Return pictures `(N, 32, 32, 3)` and labels `(N,)` of the named batches, from their folder or tar archive.

    Raise `DataError` where a batch is missing or damaged.
    """
    import numpy as np

    try:
        data = _from_folder(path, names) if path.is_dir() else _from_archive(path, names)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is no whole tar archive; delete it, and it can be fetched again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    batches = []
    for name in names:
        if name not in data:
            raise DataError(f"{path} does not contain {name}")
        try:
            batches.append(read_batch(data[name]))
        except ValueError as error:
            raise DataError(f"{path}: {name} is not a batch of CIFAR-10: {error}") from error
    return np.concatenate([pixels for pixels, _ in batches]), np.concatenate([labels for _, labels in batches])


def _from_folder(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    found = {name: path / name for name in names if (path / name).is_file()}
    for name, file in found.items():
        _check_size(file.stat().st_size, path, name)
    return {name: file.read_bytes() for name, file in found.items()}


def _from_archive(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Read members in place: nothing is extracted, so no name and no link in the archive leads anywhere."""
    data, total = {}, 0
    with _unpacked(path) as file, tarfile.open(fileobj=_Bounded(path, file), mode="r:") as archive:
        for member in archive:
            _check_size(member.size, path, member.name)
            total += member.size
            if total > LARGEST_ARCHIVE_BYTES:
                raise DataError(f"{path} holds more than {LARGEST_ARCHIVE_BYTES:,} bytes, which CIFAR-10 does not")
            name = PurePosixPath(member.name).name
            content = archive.extractfile(member) if member.isreg() and name in names else None
            if content is not None:
                data[name] = content.read()
    return data


def _unpacked(path: Path) -> BinaryIO:
    """Open a tar archive, gzipped as it is published or not."""
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return cast("BinaryIO", gzip.open(path)) if gzipped else path.open("rb")


class _Bounded(io.RawIOBase):
    """A file of which no more is read at once than a batch has: tarfile reads headers as long as they claim to be."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= LARGEST_BATCH_BYTES:
            raise DataError(f"{self._path} claims a header of {size:,} bytes: it is no archive of CIFAR-10")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _check_size(size: int, path: Path, name: str) -> None:
    if size > LARGEST_BATCH_BYTES:
        raise DataError(f"{path}: {name} has {size:,} bytes, more than any file of CIFAR-10")


def read_batch(data: bytes) -> Batch:
    """Return the pictures and labels in a pickled `{"data": uint8 (N, 3072), "labels": [...], ...}`."""
    import numpy as np

    key, last_flag, by_columns = "", "", False
    pixels = b""
    labels: list[int] = []
    for opcode, argument, _ in islice(pickletools.genops(data), MOST_OPCODES):
        if isinstance(argument, str) and argument in KEYS:
            key = argument
        elif key == "labels" and isinstance(argument, int) and opcode.name in NUMBERS:
            labels.append(argument)
        elif key == "data" and opcode.name in ("NEWTRUE", "NEWFALSE"):
            last_flag = opcode.name
        elif key == "data" and isinstance(argument, str | bytes | bytearray) and len(argument) >= PICTURE_BYTES:
            # Python 2 wrote bytes as a string, which is given as latin-1.
            pixels = argument.encode("latin-1") if isinstance(argument, str) else bytes(argument)
            by_columns = last_flag == "NEWTRUE"  # the array's last flag before its bytes
        elif key == "data" and argument == "F":  # after the bytes, since protocol 5
            by_columns = True
    if by_columns:
        raise ValueError("its pictures are stored by columns")
    if not labels or len(pixels) != len(labels) * PICTURE_BYTES:
        raise ValueError(f"{len(labels):,} labels for {len(pixels):,} bytes of pictures")
    planes = np.frombuffer(pixels, np.uint8).reshape(-1, *SHAPE)
    return planes.transpose(0, 2, 3, 1), np.array(labels, np.int64)
