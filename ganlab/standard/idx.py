"""The files of MNIST and Fashion-MNIST: where they lie, and the IDX format in which they are written."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ganlab import DataError

if TYPE_CHECKING:
    import numpy as np

    Bytes = np.ndarray[Any, np.dtype[np.uint8]]

PARTS: Mapping[str, Sequence[str]] = {"train": ["train"], "test": ["t10k"], "all": ["train", "t10k"]}
"""How the file names of each split begin."""
UNSIGNED_BYTE = 0x08
LARGEST_BYTES = 1 << 30


class Files(NamedTuple):
    """The files of a split, part by part: those of pictures, and those of labels."""

    images: list[Path]
    labels: list[Path]


def expected(folder: Path, split: str) -> Files:
    """Return what the files of `split` are called when they are published."""
    return Files(
        *([folder / f"{part}-{kind}-ubyte.gz" for part in PARTS[split]] for kind in ("images-idx3", "labels-idx1"))
    )


def find(folders: Sequence[Path], split: str) -> Files | None:
    """Return the files of `split`, gzipped or not, from the first folder that has them all."""
    for folder in folders:
        kinds = [[_either(path) for path in paths] for paths in expected(folder, split)]
        if all(path is not None for paths in kinds for path in paths):
            return Files(*([path for path in paths if path is not None] for paths in kinds))
    return None


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


def _either(path: Path) -> Path | None:
    """Return the file as torchvision unpacks it, or as it is published; None where there is neither."""
    return next((choice for choice in (path.with_suffix(""), path) if choice.is_file()), None)
