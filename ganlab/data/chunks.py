"""Consecutive pictures of a source, decoded together: what one thread or one process does at a time."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from ganlab.data.decode import Target, decode
from ganlab.data.depth import UnfitError
from ganlab.data.findings import Findings
from ganlab.errors import DataError, GanlabError
from ganlab.interfaces import Source
from ganlab.messages import one_line, printable, told


class Chunk(NamedTuple):
    """Some consecutive pictures of a source, decoded."""

    taken: int
    """How many pictures of the source these were, the bad ones included."""
    pixels: np.ndarray[Any, np.dtype[np.uint8]]
    """`(n, C, H, W)`."""
    labels: list[int]
    bad: list[tuple[str, str]]
    """Name and reason."""
    lost: list[int]
    """The labels of the bad ones."""
    findings: Findings


def decode_chunk(source: Source, target: Target, name: str, span: range) -> Chunk:
    """Decode the pictures of `span`. Raise `DataError`, which names the dataset as `name`, for a label out of range."""
    pixels = np.empty((len(span), target.channels, target.height, target.width), np.uint8)
    labels: list[int] = []
    bad: list[tuple[str, str]] = []
    lost: list[int] = []
    findings = Findings()
    good = 0
    for index in span:
        try:
            pixels[good] = decode(source.image(index), target, findings)
            label = source.label(index) if source.classes else 0
        # A stranger's file, and the parsers of PIL: there is no list of what they raise.
        except Exception as error:  # noqa: BLE001
            bad.append((source.name(index), _reason(error)))
            if source.classes:
                with suppress(Exception):  # the label itself may be what cannot be read
                    lost.append(_checked(source.label(index), source, index, name))
            continue
        good += 1
        if source.classes:
            labels.append(_checked(label, source, index, name))
    return Chunk(len(span), pixels[:good], labels, bad, lost, findings)


def _checked(label: int, source: Source, index: int, name: str) -> int:
    if not 0 <= label < source.classes:
        raise DataError(
            f'dataset "{name}": the label of {printable(source.name(index))} is {label}, '
            f"but there are {source.classes} classes, 0 to {source.classes - 1}"
        )
    return int(label)


def _reason(error: Exception) -> str:
    """Return on one line why a picture is bad."""
    if isinstance(error, UnfitError | GanlabError):
        return one_line(str(error))
    if isinstance(error, OSError):
        return one_line(error.strerror or str(error))
    return told(error)
