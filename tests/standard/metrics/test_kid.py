"""KID against its definition, written as loops, and against its expectation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from comparisons import normal, of_features

from ganlab.standard.metrics.kid import KID


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    return float((x @ y / len(x) + 1) ** 3)


def unbiased(x: np.ndarray, y: np.ndarray) -> float:
    """Return the unbiased squared discrepancy (Gretton et al. 2012, equation 3), pair by pair."""
    n, m = len(x), len(y)
    within = sum(kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (n * (n - 1))
    within += sum(kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (m * (m - 1))
    return within - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def test_it_is_the_mean_over_subsets() -> None:
    """Of 4 pictures there are 6 subsets of two: with many draws, their mean and spread are those over all pairs."""
    real, fake = normal(4, 3, 0), normal(4, 3, 1) + 0.5
    pairs = [list(pair) for pair in itertools.combinations(range(4), 2)]
    all_of_them = [unbiased(real[i], fake[j]) for i in pairs for j in pairs]
    found = KID(subsets=40_000).compute(of_features(real, fake))
    assert found["kid_std"] == pytest.approx(np.std(all_of_them), rel=0.02)
    assert found["kid"] == pytest.approx(np.mean(all_of_them), abs=4 * float(np.std(all_of_them)) / 200)
    assert np.mean(all_of_them) == pytest.approx(unbiased(real, fake))


def test_one_subset_is_one_of_the_possible_ones() -> None:
    real, fake = normal(5, 2, 0), normal(4, 2, 1)
    possible = [
        unbiased(real[list(i)], fake[list(j)])
        for i in itertools.combinations(range(5), 2)
        for j in itertools.combinations(range(4), 2)
    ]
    for seed in range(5):
        found = KID(subsets=1).compute(of_features(real, fake, seed))
        assert min(abs(found["kid"] - value) for value in possible) < 1e-12
        assert found["kid_std"] == 0


def test_rows_beyond_a_block_count(monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = of_features(normal(50, 4, 0), normal(41, 4, 1))
    whole = KID(subsets=7).compute(comparison)
    monkeypatch.setattr("ganlab.standard.metrics.kid.ROWS", 7)
    assert KID(subsets=7).compute(comparison) == pytest.approx(whole)


def test_it_is_without_bias() -> None:
    """Of the same distribution its mean is 0 however few pictures there are, and so are half of its values below."""
    found = [
        KID(subsets=20).compute(of_features(normal(20, 4, 2 * n), normal(20, 4, 2 * n + 1)))["kid"] for n in range(400)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / 20
    assert 0.3 < np.mean(np.array(found) < 0) < 0.8


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^fewer than 4 pictures have no subsets: take more$"):
        KID().compute(of_features(normal(3, 2, 0), normal(9, 2, 1)))
