"""Packed pictures as one file: a safetensors file whose pixels begin on a page, so that it is mapped, never read."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO

import numpy as np

from ganlab.data.classes import MOST_CLASSES, is_name
from ganlab.errors import DataError
from ganlab.interfaces import ImageSpec

FORMAT = "ganlab packed pictures 1"
PIXELS_AT = 4096
"""Where the pixels begin. The header before them is padded, because what it says is known only after them."""
HEADER_BYTES = PIXELS_AT - 8

VERIFIED_BYTES = 1 << 20
"""How much is verified at once: other threads have their turn after each."""


@dataclass(frozen=True)
class Packed:
    """The pictures of a dataset, ready to be trained on."""

    images: np.ndarray[Any, np.dtype[np.uint8]]
    """`(N, C, H, W)`, a read-only memory map."""
    labels: np.ndarray[Any, np.dtype[np.int64]] | None
    """`(N,)`, 0 to `spec.classes - 1`; None where the data has no classes."""
    spec: ImageSpec
    skipped: tuple[tuple[str, str], ...]
    """Name and reason of each picture that was left out."""
    fingerprint: str
    """sha256 of pixels, labels and shape, in hex, computed when they were packed: the same data, wherever it lies."""
    remarks: tuple[str, ...] = ()
    """What its user should be told of the pictures, a sentence each."""
    warnings: tuple[str, ...] = ()
    """What its user should be warned of: the pictures may not have become what was meant."""
    class_names: tuple[str, ...] = ()
    """What the classes are called, in the order of their numbers: `spec.classes` names."""

    def some(self, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return at most `count` pictures `(N, H, W, C)`, from all parts of the data: the first may be of one class."""
        there = len(self.images)
        chosen = [index * there // min(count, there) for index in range(min(count, there))]
        some: np.ndarray[Any, np.dtype[np.uint8]] = self.images[chosen].transpose(0, 2, 3, 1)
        return some


class UnusableError(Exception):
    """A packed file that cannot be used, and why; it is packed again."""


class NotPackedError(UnusableError):
    """A packed file that has not been written yet."""


def size_bytes(count: int, images: ImageSpec) -> int:
    """Return how many bytes a packed file of `count` pictures takes."""
    label_bytes = 8 if images.classes else 0
    return PIXELS_AT + count * (images.channels * images.height * images.width + label_bytes)


class Writer:
    """Writes packed pictures to a file as they come, in bounded memory."""

    def __init__(self, file: BinaryIO, images: ImageSpec) -> None:
        self._file, self._images = file, images
        self._count = 0
        self._labels: list[int] = []
        self._digest = hashlib.sha256()
        file.write(bytes(PIXELS_AT))

    def add(self, pixels: np.ndarray[Any, np.dtype[np.uint8]], labels: Iterable[int]) -> None:
        """Append pictures `(n, C, H, W)`, contiguous, and their labels, none where there are no classes."""
        self._digest.update(pixels.data)
        self._file.write(pixels.data)
        self._count += len(pixels)
        self._labels.extend(labels)

    def leave_out(self, lost: Iterable[int]) -> set[int]:
        """Number the classes anew without those of `lost` that no picture has; return which these are.

        Nothing is changed in the labels' order, and a class that never had a picture stays.
        """
        gone = set(lost).difference(self._labels)
        kept = [number for number in range(self._images.classes) if number not in gone]
        anew = {number: position for position, number in enumerate(kept)}
        self._labels = [anew[label] for label in self._labels]
        self._images = self._images._replace(classes=len(kept))
        return gone

    def finish(
        self,
        skipped: Sequence[tuple[str, str]],
        remarks: Sequence[str],
        warnings: Sequence[str],
        sources: str,
        class_names: Sequence[str],
    ) -> None:
        """Write the rest. `sources` is the state of what the pictures were made from."""
        labels = np.array(self._labels, "<i8").tobytes()
        self._digest.update(labels + _shape_bytes(self._count, self._images))
        told = {"skipped": skipped, "remarks": remarks, "warnings": warnings, "class_names": class_names}
        names = json.dumps(told).encode()
        self._file.write(labels + names)
        metadata = {
            "format": FORMAT,
            "sources": sources,
            "fingerprint": self._digest.hexdigest(),
            "classes": str(self._images.classes),
        }
        self._file.seek(0)
        self._file.write(_header(metadata, (self._count, *self._images[:3]), len(self._labels), len(names)))


def read(path: Path, images: ImageSpec, sources: str) -> Packed:
    """Map the packed pictures in `path`; which classes there are is what the file says.

    Raise `UnusableError` where it is missing, damaged, or of other sources or shape.
    """
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise UnusableError("cache is not a file")
        with path.open("rb") as file:
            return _read(file, images, sources)
    except FileNotFoundError:
        raise NotPackedError("not packed yet") from None
    except OSError as error:
        raise UnusableError(f"cache cannot be read: {error.strerror}") from error
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise UnusableError("cache damaged") from error


def _read(file: BinaryIO, images: ImageSpec, sources: str) -> Packed:
    header = json.loads(_exactly(file, PIXELS_AT)[8:])
    metadata = header["__metadata__"]
    if metadata["format"] != FORMAT:
        raise UnusableError("cache of another version")
    if metadata["sources"] != sources:
        raise UnusableError("pictures changed")
    shape = header["images"]["shape"]
    classes = int(metadata["classes"])
    spec = images._replace(classes=classes)
    count = int(shape[0])
    label_count, skipped_bytes = (int(header[name]["shape"][0]) for name in ("labels", "skipped"))
    size = size_bytes(count, spec) + skipped_bytes
    if not 0 <= classes <= MOST_CLASSES:
        raise ValueError("unexpected number of classes")
    if count < 1 or shape[1:] != list(images[:3]) or label_count != (count if classes else 0):
        raise ValueError(f"unexpected shape {shape}")
    if file.seek(0, 2) != size:
        raise ValueError(f"{file.tell()} bytes instead of {size}")
    file.seek(size - skipped_bytes - 8 * label_count)
    labels = np.frombuffer(_exactly(file, 8 * label_count), "<i8").astype(np.int64)
    told = json.loads(_exactly(file, skipped_bytes))
    if isinstance(told, list):  # of an older ganlab
        told = {"skipped": told, "remarks": []}
    skipped = tuple((str(name), str(reason)) for name, reason in told["skipped"])
    remarks = tuple(map(str, told["remarks"]))
    warnings = tuple(map(str, told.get("warnings", ())))  # an older ganlab has none
    if classes and "class_names" not in told:  # of an older ganlab, and what the classes are called is not known
        raise UnusableError("cache of another version")
    class_names = tuple(map(str, told.get("class_names", ())))
    if len(class_names) != classes or len(set(class_names)) != classes or not all(map(is_name, class_names)):
        raise ValueError("unexpected names of classes")
    if label_count and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError("labels out of range")
    pixels = np.memmap(file, np.uint8, "r", PIXELS_AT, (count, *images[:3]))
    fingerprint = str(metadata["fingerprint"])
    return Packed(pixels, labels if classes else None, spec, skipped, fingerprint, remarks, warnings, class_names)


class Verification:
    """Reads packed pictures whole, beside other work, and compares them with their checksum.

    When they are mapped only the header is looked at, which knows nothing of changed pixels; to read all of them first
    would delay every run's start.
    """

    def __init__(self, packed: Packed) -> None:
        """Begin."""
        self._packed = packed
        self._sound = False
        self._thread = Thread(target=self._compare, name="ganlab-verification", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for its end. Raise `DataError` where the pictures are not those that were packed."""
        self._thread.join()
        images = self._packed.images
        if not self._sound:
            where = images.filename if isinstance(images, np.memmap) else "memory"
            raise DataError(
                f"the packed pictures in {where} are not those that were packed: the file was "
                "changed or damaged since; delete it and start again. Nothing trained on them was saved"
            )

    def _compare(self) -> None:
        packed, digest = self._packed, hashlib.sha256()
        pixels = packed.images.reshape(-1)
        for start in range(0, len(pixels), VERIFIED_BYTES):
            digest.update(pixels[start : start + VERIFIED_BYTES].data)
        labels = b"" if packed.labels is None else packed.labels.astype("<i8").tobytes()
        digest.update(labels + _shape_bytes(len(packed.images), packed.spec))
        self._sound = digest.hexdigest() == packed.fingerprint


def _shape_bytes(count: int, images: ImageSpec) -> bytes:
    return repr((count, *images)).encode()


def _header(metadata: Mapping[str, str], shape: tuple[int, ...], label_count: int, skipped_bytes: int) -> bytes:
    """Return the first `PIXELS_AT` bytes: a length, then JSON padded with spaces, as the safetensors format has it."""

    def tensors() -> Iterator[tuple[str, object]]:
        begin = 0
        for name, dtype, extent, width in (
            ("images", "U8", shape, 1),
            ("labels", "I64", (label_count,), 8),
            ("skipped", "U8", (skipped_bytes,), 1),
        ):
            end = begin + width * int(np.prod(extent, dtype=np.int64))
            yield name, {"dtype": dtype, "shape": extent, "data_offsets": (begin, end)}
            begin = end

    text = json.dumps({"__metadata__": metadata, **dict(tensors())}).encode()
    return struct.pack("<Q", HEADER_BYTES) + text.ljust(HEADER_BYTES)


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise ValueError(f"{len(data)} bytes instead of {count}")
    return data
