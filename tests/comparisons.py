"""Comparisons for tests of metrics: given features, or given pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from ganlab import Comparison

NONE = np.zeros((2, 1, 1, 1), np.uint8)


def of_features(real: np.ndarray[Any, Any], fake: np.ndarray[Any, Any], seed: int = 0) -> Comparison:
    """Return a comparison of which only the features count."""
    return Comparison(NONE, NONE, seed, "net", lambda: (real.astype(np.float64), fake.astype(np.float64)))


def of_pictures(real: np.ndarray[Any, Any], fake: np.ndarray[Any, Any], seed: int = 0) -> Comparison:
    """Return a comparison of pictures that has no features."""

    def features() -> Any:
        raise AssertionError("nobody asked for features")

    return Comparison(real, fake, seed, "", features)


def normal(count: int, dimensions: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return rows that are standard normal."""
    return np.random.default_rng(seed).standard_normal((count, dimensions))
