"""The real pictures that generators are judged by: which of a data set's, and their features, kept in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ganlab.data import cache
from ganlab.data.pictures import Pictures
from ganlab.durable import replacing_file
from ganlab.errors import DataError
from ganlab.judging.features import Array, Network
from ganlab.messages import counted

if TYPE_CHECKING:
    from ganlab.data.packing import Packed

LEAST = 20
"""Fewer real pictures than twice as many are no data set to judge by."""


class Reals(NamedTuple):
    """Two disjoint samples of the real pictures, of the same size."""

    first: Pictures
    """What generators are compared with, `(N, H, W, C)`."""
    second: Pictures
    """What stands beside the generators: as good as pictures can be."""
    fingerprint: str
    """Of the data set."""


def choose_reals(packed: Packed, count: int, name: str) -> Reals:
    """Choose `count` pictures twice at random, always the same ones; fewer where there are not so many.

    Raise `DataError` where there are too few.
    """
    there = len(packed.images)
    if there < 2 * LEAST:
        raise DataError(
            f'dataset "{name}" has {counted(there, "picture")}, too few to judge a generator by: it takes {2 * LEAST}, '
            "half of them to compare the other half with"
        )
    count = min(count, there // 2)
    # RandomState, whose stream numpy promises never to change.
    order = np.random.RandomState(0).permutation(there)
    first, second = (_pictures(packed, order[start : start + count]) for start in (0, count))
    return Reals(first, second, packed.fingerprint)


def _pictures(packed: Packed, chosen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Pictures:
    pictures = np.ascontiguousarray(packed.images[np.sort(chosen)].transpose(0, 2, 3, 1))
    pictures.flags.writeable = False
    return pictures


def features_of_reals(reals: Reals, network: Network, advance: Callable[[int], None]) -> tuple[Array, Array]:
    """Return the features of both samples, from the cache where they were computed before."""
    path = _place(reals, network)
    expected = len(reals.first)
    found = _read(path, expected)
    if found is None:
        first = network.features(reals.first, advance)
        second = network.features(reals.second, lambda done: advance(expected + done))
        _write(path, first, second)
        found = first, second
    advance(2 * expected)
    return found


def _place(reals: Reals, network: Network) -> Path:
    """Return where the features are kept: all that decides them is in the name."""
    count, height, width, _ = reals.first.shape
    what = [reals.fingerprint, network.digest, network.resizer(height, width), str(count)]
    key = hashlib.sha256("\n".join(what).encode()).hexdigest()[:16]
    return cache.directory() / f"features-{network.name}-{key}.safetensors"


def _read(path: Path, count: int) -> tuple[Array, Array] | None:
    """Return what `_write` wrote; None where there is nothing, or nothing usable: it is computed again."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        return None
    try:
        found = load_file(path)
        first, second = found["first"], found["second"]
    except (OSError, SafetensorError, KeyError):
        return None
    fits = first.shape == second.shape and len(first) == count and first.dtype == second.dtype == np.float32
    return (first, second) if fits and first.ndim == 2 and np.isfinite(first + second).all() else None


def _write(path: Path, first: Array, second: Array) -> None:
    from safetensors.numpy import save_file

    with cache.locked(path, lambda: None), replacing_file(path) as temporary:
        save_file({"first": first, "second": second}, temporary)
