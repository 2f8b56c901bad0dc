"""Mean and covariance of features, summed in float64 a part at a time: of 50,000 pictures no second copy is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from ganlab.interfaces import Moments

PART = 4096
"""Rows that are widened to float64 at once."""


def moments_of(rows: np.ndarray[Any, Any], part: int = PART) -> Moments:
    """Return the moments of features `(N, D)`.

    Parts are joined by their own means (Chan, Golub and LeVeque 1979), so that nothing is lost where the mean is large
    beside the spread, as it is in a sum of squares.
    """
    dimensions = rows.shape[1]
    count, mean, scatter = 0, np.zeros(dimensions), np.zeros((dimensions, dimensions))
    for start in range(0, len(rows), part):
        exact = rows[start : start + part].astype(np.float64)
        own = exact.mean(0)
        exact -= own
        joined, apart = count + len(exact), own - mean
        scatter += exact.T @ exact + np.outer(apart, apart) * (count * len(exact) / joined)
        mean += apart * (len(exact) / joined)
        count = joined
    return Moments(count, mean, scatter / max(1, count - 1))
