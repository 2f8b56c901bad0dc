"""The distance of two sets of points along many directions, each as the best transport of one set onto the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]

AT_ONCE = 64
"""Directions that are projected on at once, so that memory does not grow with their number."""


class Transport(NamedTuple):
    """The best transport between sorted sets of any two sizes: which points meet, and how much of the mass."""

    first: np.ndarray[Any, np.dtype[np.intp]]
    second: np.ndarray[Any, np.dtype[np.intp]]
    mass: np.ndarray[Any, np.dtype[np.float64]]

    @classmethod
    def of(cls, count: int, other: int) -> Transport:
        """Return the transport between `count` and `other` points of equal mass.

        Both are spread over `count * other` equal parts, so that where they begin and end is told by whole numbers.
        """
        edges = np.union1d(np.arange(count + 1) * other, np.arange(other + 1) * count)
        return cls(edges[:-1] // other, edges[:-1] // count, np.diff(edges) / (count * other))


def directions(dimensions: int, count: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return directions `(dimensions, count)`, uniform on the sphere."""
    drawn = np.random.default_rng(seed).standard_normal((dimensions, count))
    drawn /= np.linalg.norm(drawn, axis=0)
    return drawn


def gaps(first: Floats, second: Floats, along: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Yield how far the points of `first` `(N, D)` are moved to become `second` `(M, D)`, along some directions a time.

    The gaps `(parts, directions)` come with the mass `(parts,)` of each.
    """
    transport = Transport.of(len(first), len(second))
    for start in range(0, along.shape[1], AT_ONCE):
        part = along[:, start : start + AT_ONCE].astype(first.dtype)
        # Sorted in rows: numpy sorts what lies together in memory several times as fast.
        here, there = (np.sort(part.T @ points.T, axis=1) for points in (first, second))
        yield (here[:, transport.first] - there[:, transport.second]).T, transport.mass
