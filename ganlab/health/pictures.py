"""What pictures tell of the generator that has drawn them: each measure is to be held beside that of real ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Pictures = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]

CLOSE = 1 / 3
"""A picture in the middle between two real neighbours is at half of their distance, and so is a blur of them: a copy is
nearer than that. As the metric `neighbours` has it."""
SIDE_OF_COPIES = 16
"""Copies are looked for in pictures of at most so many pixels a side."""
SIDE_APART = 32
"""And pictures are compared with each other at so many."""
WINDOW = 128
"""A grid is looked for in the middle of a picture, in at most so many pixels a side."""
CHUNK = 4096
"""So many real pictures are compared at once."""
NUMBERS = 1 << 24
"""So many numbers are made smaller at once, which bounds the memory."""


def spread(pictures: Pictures) -> float:
    """Return the standard deviation among pictures `(N, H, W, C)`, averaged over their pixels, 0 to 127.5."""
    total, squares = np.zeros(pictures.shape[1:]), np.zeros(pictures.shape[1:])
    for picture in pictures:
        total += picture
        squares += np.square(picture, dtype=np.float64)
    mean = total / len(pictures)
    return float(np.sqrt(np.maximum(squares / len(pictures) - mean * mean, 0.0)).mean())


def apartness(pictures: Pictures) -> float:
    """Return the median distance of pictures `(N, H, W, C)`, two at least, to the nearest other one."""
    rows = _rows(pictures.transpose(0, 3, 1, 2), SIDE_APART)
    squared = _squared_distances(rows, rows)
    np.fill_diagonal(squared, np.inf)
    return float(np.sqrt(np.median(squared.min(1))))


def extremes(pictures: Pictures) -> float:
    """Return which part of the numbers in pictures is black or white to the last shade but one."""
    return float(np.mean([((picture <= 1) | (picture >= 254)).mean() for picture in pictures]))


class Grid(NamedTuple):
    """A regular pattern of a period that upsampling leaves."""

    period: int
    """In pixels."""
    excess: float
    """How many times the power that frequencies beside it have."""
    share: float
    """Of the pictures' whole variance."""


def grid_pattern(pictures: Pictures) -> Grid:
    """Return the pattern of period 2 or 4 that stands out most, along rows or columns, over pictures `(N, H, W, C)`.

    A layer that doubles the resolution leaves period 2, and the one before it period 4 (Odena et al. 2016).
    """
    middle = pictures[:, *(_middle(side) for side in pictures.shape[1:3])]
    power = np.zeros(middle.shape[1:3])
    for picture in middle:
        grey = picture.mean(2, dtype=np.float64)
        power += np.square(np.abs(np.fft.fft2(grey - grey.mean())))
    total = max(float(power.sum()), 1e-12)
    found = Grid(2, 0.0, 0.0)
    for rows in (power, power.T):
        along, height = rows.sum(1), len(rows)
        for period in (2, 4):
            if height % period or height < 4 * period:
                continue
            at = height // period
            beside = [along[(at + step) % height] for step in (-3, -2, 2, 3)]
            usual = max(float(np.median(beside)), 1e-9 * total)
            candidate = Grid(period, float(along[at]) / usual, float(along[at]) / total)
            found = max(found, candidate, key=lambda one: one.excess)
    return found


def _middle(side: int) -> slice:
    """Return the middle part of a side, in step with every period that is looked for."""
    if side <= WINDOW:
        return slice(0, side)
    start = (side - WINDOW) // 8 * 4
    return slice(start, start + WINDOW)


class Copies:
    """Looks for the nearest real picture of each generated one."""

    def __init__(self, images: Pictures) -> None:
        """`images` are all pictures of the data `(N, C, H, W)`."""
        self._rows = _rows(images, SIDE_OF_COPIES)

    def share(self, pictures: Pictures) -> float:
        """Return which part of pictures `(N, H, W, C)` is nearer to a real one than a third of its distance to the
        nearest other real one."""
        nearest, distance = self._nearest(_rows(pictures.transpose(0, 3, 1, 2), SIDE_OF_COPIES))
        _, usual = self._nearest(self._rows[nearest], nearest)
        return float(_are_copies(distance, usual).mean())

    def share_among_reals(self, count: int) -> float:
        """Return the same of so many real pictures, each against all others: what the data has of copies by itself."""
        count = min(count, len(self._rows))
        chosen = np.arange(count) * len(self._rows) // count
        nearest, distance = self._nearest(self._rows[chosen], chosen)
        _, usual = self._nearest(self._rows[nearest], nearest, chosen)
        return float(_are_copies(distance, usual).mean())

    def _nearest(self, rows: Pictures, *left_out: Indices) -> tuple[Indices, Floats]:
        """Return index and distance of the nearest real picture of each row, but for those that are left out."""
        nearest, least = np.zeros(len(rows), np.int64), np.full(len(rows), np.inf)
        for start in range(0, len(self._rows), CHUNK):
            squared = _squared_distances(rows, self._rows[start : start + CHUNK])
            for own in left_out:
                mine = np.flatnonzero((start <= own) & (own < start + CHUNK))
                squared[mine, own[mine] - start] = np.inf
            closest = squared.argmin(1)
            smallest = squared[np.arange(len(rows)), closest]
            better = smallest < least
            nearest[better], least[better] = closest[better] + start, smallest[better]
        return nearest, np.sqrt(least)


def _are_copies(distance: Floats, usual: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.isfinite(usual) & (distance <= CLOSE * usual)


def _squared_distances(first: Pictures, second: Pictures) -> Floats:
    """Return them, exact: these are sums of whole numbers that float64 holds."""
    one, other = first.astype(np.float64), second.astype(np.float64)
    product = one @ other.T
    made: Floats = np.square(one).sum(1)[:, None] + np.square(other).sum(1) - 2.0 * product
    return made


def _rows(images: Pictures, side: int) -> Pictures:
    """Return pictures `(N, C, H, W)` as rows, made small by means of pixels until they have `side` or a little more."""
    step = max(1, NUMBERS // max(1, images[0].size))
    parts = [_small(images[at : at + step], side) for at in range(0, len(images), step)]
    return np.concatenate(parts)


def _small(images: Pictures, side: int) -> Pictures:
    for axis in (2, 3):
        step = images.shape[axis] // side
        if step > 1:
            kept = images.shape[axis] // step * step
            shades = [images.take(range(at, kept, step), axis).astype(np.float32) for at in range(step)]
            images = np.rint(sum(shades[1:], shades[0]) / step).astype(np.uint8)
    return images.reshape(len(images), -1)
