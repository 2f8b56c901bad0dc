"""Fréchet distance: how far the two normal distributions are apart that fit the features best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ganlab import Comparison, Metric, Moments

Floats = np.ndarray[Any, np.dtype[np.float64]]


class Frechet(Metric):
    """Fréchet distance (Heusel et al. 2017) on the features of whichever network, after which it is named: `fd_lite0`.

    It is FID only with the Inception weights of 2015 and their own resizing, so it is never called that. It is biased:
    the fewer pictures, the larger, so it is comparable at equal numbers of pictures alone.
    """

    api = 1
    better: ClassVar = "lower"
    needs_features: ClassVar[bool] = True

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        """Refuse fewer pictures than dimensions, of which covariances say nothing."""
        return {f"fd_{comparison.network}": distance_of(comparison)}


def distance_of(comparison: Comparison) -> float:
    """Return the Fréchet distance of the features. Raise `ValueError` where there are not more pictures than those."""
    real, fake = comparison.moments()
    dimensions, count = len(real.mean), min(real.pictures, fake.pictures)
    if count <= dimensions:
        raise ValueError(
            f"{count:,} pictures are too few for the {dimensions:,} features of {comparison.network}: take more "
            f"than {dimensions:,}, or KID and MIND, which need fewer"
        )
    return frechet_distance(real, fake)


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return the squared Fréchet distance of two normal distributions (Dowson and Landau 1982).

    The trace of the root of A B is the sum of the roots of the eigenvalues of A^1/2 B A^1/2, which is symmetric: no
    root of a matrix that has none, and no complex numbers.
    """
    A, B = first.covariance, second.covariance
    values, vectors = np.linalg.eigh(A)
    root = (vectors * _roots(values)) @ vectors.T
    shared = _roots(np.linalg.eigvalsh(root @ B @ root)).sum()
    means = first.mean - second.mean
    return float(means @ means + np.trace(A) + np.trace(B) - 2.0 * shared)


def _roots(values: Floats) -> Floats:
    """Return the roots of eigenvalues. Those that rounding alone may have left are 0: their roots would be large."""
    noise = len(values) * np.finfo(np.float64).eps * values.max(initial=0.0)
    return np.sqrt(np.where(values > noise, values, 0.0))
