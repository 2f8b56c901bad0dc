"""The Fréchet distance against its closed forms, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from comparisons import normal, of_features

from ganlab.judging.moments import moments_of
from ganlab.standard.metrics.frechet import Frechet, frechet_distance


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return frechet_distance(moments_of(first), moments_of(second))


def whitened(count: int, dimensions: int, seed: int) -> np.ndarray:
    """Return rows whose mean is exactly 0 and whose covariance is exactly 1."""
    rows = normal(count, dimensions, seed)
    rows -= rows.mean(0)
    return rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T


def test_of_normal_distributions_it_is_the_closed_form() -> None:
    """Of covariances that commute it is |m - n|^2 + the sum of (sqrt a - sqrt b)^2."""
    first, second = whitened(200, 5, 0), whitened(150, 5, 1)
    a, b = np.array([1.0, 4.0, 9.0, 0.25, 0.0]), np.array([4.0, 4.0, 1.0, 0.0, 0.0])
    shift = np.array([1.0, -2.0, 0.0, 0.0, 3.0])
    found = distance(first * np.sqrt(a), second * np.sqrt(b) + shift)
    assert found == pytest.approx((shift**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-9)
    turned = np.linalg.qr(normal(5, 5, 2))[0]
    again = distance(first * np.sqrt(a) @ turned, (second * np.sqrt(b) + shift) @ turned)
    assert again == pytest.approx(found, rel=1e-9)


def test_of_covariances_that_do_not_commute_it_is_the_root_of_their_product() -> None:
    first, second = (normal(400, 4, seed) @ normal(4, 4, seed + 10) for seed in (0, 1))
    A, B = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    trace = (
        np.sqrt(np.linalg.eigvals(A @ B).astype(complex)).sum().real
    )  # of the product itself, which is not symmetric
    means = first.mean(0) - second.mean(0)
    expected = means @ means + np.trace(A) + np.trace(B) - 2 * trace
    assert distance(first, second) == pytest.approx(expected, rel=1e-8)
    assert distance(first, first) == pytest.approx(0.0, abs=1e-9)


def test_it_is_called_after_its_network_and_never_fid() -> None:
    assert list(Frechet().compute(of_features(normal(20, 3, 0), normal(20, 3, 1)))) == ["fd_net"]


def test_too_few_pictures_are_refused() -> None:
    Frechet().compute(of_features(normal(9, 8, 0), normal(9, 8, 1)))
    sentence = (
        r"^8 pictures are too few for the 8 features of net: take more than 8, or KID and MIND, which need fewer$"
    )
    with pytest.raises(ValueError, match=sentence):
        Frechet().compute(of_features(normal(9, 8, 0), normal(8, 8, 1)))
