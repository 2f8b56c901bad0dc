"""The IDX file format of MNIST and Fashion-MNIST."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ganlab import DataError

UNSIGNED_BYTE = 0x08
LARGEST_BYTES = 1 << 30


def read_idx(path: Path, dimensions: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the array of bytes in an IDX file, gzipped or not. Raise `DataError` where it is anything else."""
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
        raise DataError(f"{path} has not the {size:,} bytes of its {shape}; delete it, and it can be fetched again")
    return np.frombuffer(data, np.uint8).reshape(shape)
