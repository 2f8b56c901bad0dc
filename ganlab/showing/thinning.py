"""Curves of as many points as can be told apart: no spike is lost, as each span keeps its least and greatest value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ganlab.showing.account import Curve, Floats

SPANS = 480
"""Of a curve: about as many as a screen has pixels for them. One with up to twice as many points is shown as it is."""

T = TypeVar("T")


class Spans:
    """A curve in spans of pictures: of each its end, and the mean, least and greatest of its values.

    All are of one length; a span without a finite value has NaN. A curve with few points has one a span.
    """

    def __init__(self, images: Floats, mean: Floats, least: Floats, greatest: Floats) -> None:
        self.images, self.mean, self.least, self.greatest = images, mean, least, greatest

    @property
    def thinned(self) -> bool:
        """Whether a span has more than one value."""
        return not np.array_equal(self.least, self.greatest, equal_nan=True)

    @classmethod
    def of(cls, curve: Curve, count: int = SPANS) -> Spans:
        """Return at most `count` spans of equal width, or each point where there are up to twice as many."""
        images, values = curve
        if len(images) <= 2 * count and bool(np.all(np.diff(images) > 0)):
            return cls(images, values, values, values)
        edges = np.linspace(images[0], images[-1], count + 1)
        place = np.clip(np.searchsorted(edges, images, side="left") - 1, 0, count - 1)
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        ends = np.append(starts[1:], len(images)) - 1
        known = np.isfinite(values)
        counts = np.add.reduceat(known.astype(float), starts)
        with np.errstate(over="ignore"):
            sums = np.add.reduceat(np.where(known, values, 0.0), starts)
        empty = counts == 0
        mean = np.divide(sums, counts, out=np.full(len(starts), np.nan), where=~empty)
        least = np.minimum.reduceat(np.where(known, values, np.inf), starts)
        greatest = np.maximum.reduceat(np.where(known, values, -np.inf), starts)
        least[empty] = greatest[empty] = np.nan
        return cls(images[ends], mean, least, greatest)


def evenly(items: Sequence[T], count: int) -> list[T]:
    """Return at most `count` of the items, evenly spaced: the last always, the first too where there is room."""
    if len(items) <= count:
        return list(items)
    last = len(items) - 1
    return [items[last - round(place * last / max(count - 1, 1))] for place in reversed(range(count))]
