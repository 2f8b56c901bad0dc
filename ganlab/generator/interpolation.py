"""From one picture to the next: a generator's inputs on the way between those of several pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from ganlab.data.inputs import Arrays
from ganlab.interfaces import Categorical, Input, Labels, Normal

Way = Literal["auto", "spherical", "linear"]
ALMOST_PARALLEL = 1e-6
"""Sine of an angle below which the arc between two vectors is the line between them."""


def walk(inputs: Arrays, kinds: Mapping[str, Input], steps: int, way: Way = "auto", loop: bool = False) -> Arrays:
    """Return inputs that lead through the rows of `inputs`, `steps` from one to the next; back to the first in a loop.

    Of K rows, `(K - 1) * steps + 1` are made, the last one included, or `K * steps` in a loop. `"spherical"` goes along
    arcs, on which what is drawn from a normal distribution keeps its length (White 2016, section 2.1), `"linear"` along
    lines, `"auto"` along arcs for normal inputs and along lines for others. Categories are blended; a label is that of
    the nearer end.
    """
    count = len(next(iter(inputs.values())))
    places = np.arange(count * steps if loop else (count - 1) * steps + 1)
    start, share = places // steps, (places % steps) / steps
    end = (start + 1) % count
    made: Arrays = {}
    for name, values in inputs.items():
        kind = kinds[name]
        if isinstance(kind, Labels):
            made[name] = values[np.where(share < 0.5, start, end)]
            continue
        arcs = isinstance(kind, Normal) if way == "auto" else way == "spherical" and not isinstance(kind, Categorical)
        between = _arc if arcs else _line
        made[name] = between(values[start], values[end], share).astype(values.dtype)
    return made


def _line(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any], share: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    weight = share.reshape(-1, *[1] * (one.ndim - 1))
    return np.asarray((1.0 - weight) * one + weight * other)


def _arc(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any], share: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return points on the arcs between rows, at so much of their angles (Shoemake 1985, section 3.3)."""
    a, b = (values.reshape(len(values), -1).astype(np.float64) for values in (one, other))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.divide((a * b).sum(1), lengths, out=np.ones_like(lengths), where=lengths > 0)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    sine = np.sin(angle)
    curved = sine > ALMOST_PARALLEL
    safe = np.where(curved, sine, 1.0)
    before = np.where(curved, np.sin((1.0 - share) * angle) / safe, 1.0 - share)
    behind = np.where(curved, np.sin(share * angle) / safe, share)
    return np.asarray(before[:, None] * a + behind[:, None] * b).reshape(one.shape)
