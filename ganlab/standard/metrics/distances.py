"""Distances between pictures or features, many at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

COLUMNS = 4096
"""How many numbers of each row are converted at once: pictures are bytes, and eight times as large in float64."""


def squared_distances(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> Floats:
    """Return the squared Euclidean distances `(N, M)` of rows `(N, D)` and `(M, D)`; exact for pixels."""
    found = np.zeros((len(first), len(second)))
    for start in range(0, first.shape[1], COLUMNS):
        a, b = (rows[:, start : start + COLUMNS].astype(np.float64) for rows in (first, second))
        found += (a * a).sum(1)[:, None] + (b * b).sum(1)
        found -= 2.0 * (a @ b.T)
    return np.maximum(found, 0.0, out=found)


def squared_distances_within(rows: np.ndarray[Any, Any]) -> Floats:
    """Return the squared distances `(N, N)` of rows to each other; none is its own neighbour: infinity."""
    found = squared_distances(rows, rows)
    np.fill_diagonal(found, np.inf)
    return found
