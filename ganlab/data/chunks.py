"""Consecutive pictures of a source, decoded together: what one thread or one process does at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ganlab.data.decode import Pixels, Target, decode
from ganlab.data.depth import UnfitError
from ganlab.data.findings import Findings
from ganlab.errors import DataError, GanlabError
from ganlab.interfaces import Source
from ganlab.messages import one_line, printable, told

if TYPE_CHECKING:
    from PIL import Image

Outcome = Pixels | str
"""What became of a picture: its pixels `(C, H, W)`, or on one line why it is bad."""


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
    """Decode the pictures of `span`. Raise `DataError` as `chunk_of` does."""
    findings = Findings()
    outcomes = [outcome(partial(source.image, index), target, findings) for index in span]
    return chunk_of(source, target, name, span, outcomes, findings)


def outcome(picture: Callable[[], Image.Image | Pixels], target: Target, findings: Findings) -> Outcome:
    """Return what becomes of the picture that `picture` opens."""
    try:
        return np.array(decode(picture(), target, findings))  # what may be a view of something large
    # A stranger's file, and the parsers of PIL: there is no list of what they raise.
    except Exception as error:  # noqa: BLE001
        return reason(error)


def chunk_of(
    source: Source, target: Target, name: str, span: range, outcomes: Sequence[Outcome], findings: Findings
) -> Chunk:
    """Add names and labels. Raise `DataError`, which names the dataset as `name`, for a label out of range."""
    pixels = np.empty((len(span), target.channels, target.height, target.width), np.uint8)
    labels: list[int] = []
    bad: list[tuple[str, str]] = []
    lost: list[int] = []
    good = 0
    for index, made in zip(span, outcomes, strict=True):
        why = made if isinstance(made, str) else None
        label = -1  # which is no class
        try:
            label = source.label(index) if source.classes else 0
        # A stranger's code.
        except Exception as error:  # noqa: BLE001
            why = why or reason(error)
        if why is not None:
            bad.append((source.name(index), why))
            if source.classes:
                with suppress(Exception):  # the label itself may be what cannot be read
                    lost.append(_checked(label, source, index, name))
            continue
        pixels[good] = made
        good += 1
        if source.classes:
            labels.append(_checked(label, source, index, name))
    return Chunk(len(span), pixels[:good], labels, bad, lost, findings)


def reason(error: Exception) -> str:
    """Return on one line why a picture is bad."""
    if isinstance(error, UnfitError | GanlabError):
        return one_line(str(error))
    if isinstance(error, OSError):
        return one_line(error.strerror or str(error))
    return told(error)


def _checked(label: int, source: Source, index: int, name: str) -> int:
    if not 0 <= label < source.classes:
        raise DataError(
            f'dataset "{name}": the label of {printable(source.name(index))} is {label}, '
            f"but there are {source.classes} classes, 0 to {source.classes - 1}"
        )
    return int(label)
