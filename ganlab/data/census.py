"""What a data set is made of, counted: what packing does not refuse, and a user may not know."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np

from ganlab.data.decode import Target, crop_box, target_of
from ganlab.data.depth import UnfitError
from ganlab.data.storage import Packed
from ganlab.interfaces import Dataset
from ganlab.messages import counted

LOOKED_AT = 64
"""So many pictures are opened to see how large they are."""
GREYS = 1024
"""So many are looked at for colours."""
ENLARGED = 0.75
"""A picture of less than this part of the resolution is enlarged so far that it becomes blurred."""
UNEVEN = 20
"""A class with so many times fewer pictures than the largest one is drawn badly."""


def remarks_on(packed: Packed, dataset: Dataset) -> Iterator[str]:
    """Yield what is to be said of the pictures, a sentence each."""
    count = len(packed.images)
    if twice := duplicates(packed.images):
        yield (
            f"{counted(twice, 'picture is', 'pictures are')} there already, pixel by pixel: {twice / count:.0%} of "
            f"{count:,} teach nothing new"
        )
    if packed.spec.channels == 3 and is_grey(packed.images):
        yield "the pictures are grey and stored as colour: dataset.channels = 1 trains the same with less"
    yield from _small(dataset, packed)
    yield from _uneven(packed)


def duplicates(images: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
    """Return how many pictures equal one before them."""
    return len(images) - len({blake2b(np.ascontiguousarray(image).data).digest() for image in images})


def is_grey(images: np.ndarray[Any, np.dtype[np.uint8]]) -> bool:
    """Tell whether no picture `(3, H, W)`, of those that are looked at, has a colour."""
    some = images[_spread(len(images), GREYS)]
    return bool((some[:, :1] == some).all())


def largest_scale(dataset: Dataset) -> tuple[int, int, int]:
    """Return how many of some pictures are smaller than the resolution by far, of how many, and the median side."""
    source = dataset.open()
    target = target_of(dataset, source.box)
    sides = []
    for index in _spread(len(source), LOOKED_AT):
        try:
            sides.append(_used_side(source.image(int(index)), target))
        # A file that cannot be read has been reported when it was packed; a stranger's source may raise anything.
        except Exception:  # noqa: BLE001
            continue
    small = sum(side < ENLARGED * max(target.height, target.width) for side in sides)
    return small, len(sides), int(np.median(sides)) if sides else 0


def _small(dataset: Dataset, packed: Packed) -> Iterator[str]:
    small, looked_at, side = largest_scale(dataset)
    wanted = max(packed.spec.height, packed.spec.width)
    if 2 * small > looked_at:
        yield (
            f"{small} of {looked_at} pictures that were looked at are smaller than dataset.resolution = {wanted}, most "
            f"about {side} pixels a side: they are enlarged, and a lower resolution shows all there is in less time"
        )


def _used_side(picture: Any, target: Target) -> int:
    """Return the longer side of the part that is used."""
    height, width = picture.shape[:2] if isinstance(picture, np.ndarray) else picture.size[::-1]
    if target.box is not None:
        left, top, right, bottom = target.box
        height, width = bottom - top, right - left
    left, top, right, bottom = crop_box(width, height, target)
    if right <= left or bottom <= top:
        raise UnfitError("is empty")
    return max(right - left, bottom - top)


def _uneven(packed: Packed) -> Iterator[str]:
    if packed.labels is None or packed.spec.classes < 2:
        return
    counts = np.bincount(packed.labels, minlength=packed.spec.classes)
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[least] * UNEVEN < counts[most]:
        yield (
            f"class {packed.class_names[least]} has {counted(int(counts[least]), 'picture')}, and "
            f"{packed.class_names[most]} {int(counts[most]):,}: rare ones are drawn badly"
        )


def _spread(count: int, most: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    chosen = min(count, most)
    return np.arange(chosen) * count // max(1, chosen)
