"""Comparisons for tests of metrics: given features, or given pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from ganlab import Comparison, Moments
from ganlab.judging.moments import moments_of

Rows = np.ndarray[Any, Any]
NONE = np.zeros((2, 1, 1, 1), np.uint8)


def of_features(
    real: Rows, fake: Rows, seed: int = 0, pictures: tuple[Rows, Rows] = (NONE, NONE), network: str = "net"
) -> Comparison:
    """Return a comparison of which the features count, and pictures that are given."""

    def features() -> tuple[Rows, Rows]:
        return real.astype(np.float64), fake.astype(np.float64)

    def moments() -> tuple[Moments, Moments]:
        return moments_of(real), moments_of(fake)

    return Comparison(*pictures, seed, network, features, moments)


def of_pictures(real: np.ndarray[Any, Any], fake: np.ndarray[Any, Any], seed: int = 0) -> Comparison:
    """Return a comparison of pictures that has no features."""

    def features() -> Any:
        raise AssertionError("nobody asked for features")

    return Comparison(real, fake, seed, "", features, features)


def normal(count: int, dimensions: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return rows that are standard normal."""
    return np.random.default_rng(seed).standard_normal((count, dimensions))
