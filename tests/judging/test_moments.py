"""Mean and covariance of features, summed in parts."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from comparisons import normal

from ganlab.judging.moments import moments_of


@pytest.mark.parametrize("part", [1, 7, 100, 101, 4096])
def test_they_are_those_of_all_rows_however_these_are_divided(part: int) -> None:
    rows = normal(101, 6, 0) @ normal(6, 6, 1) + np.arange(6.0)
    found = moments_of(rows, part)
    assert found.pictures == 101
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(rows, rowvar=False), rtol=1e-11, atol=1e-12)


def test_a_mean_that_is_large_beside_the_spread_costs_no_digits() -> None:
    """Of x^2 in float64, 1e8 + noise of 1 would leave nothing."""
    noise = np.round(normal(500, 3, 2) * 1024) / 1024  # so that adding 1e8 loses none of it
    found = moments_of(noise + 1e8, 64)
    np.testing.assert_allclose(found.covariance, np.cov(noise, rowvar=False), rtol=1e-6, atol=1e-6)


def test_float32_is_summed_in_float64() -> None:
    rows = normal(20_000, 2, 3).astype(np.float32) + np.float32(100)
    found = moments_of(rows)
    np.testing.assert_allclose(found.mean, rows.astype(np.float64).mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(rows.astype(np.float64), rowvar=False), rtol=1e-10)


def test_one_row_has_no_spread() -> None:
    found = moments_of(np.ones((1, 4), np.float32))
    assert found.pictures == 1
    assert found.mean.tolist() == [1.0] * 4
    assert not found.covariance.any()


def test_of_many_rows_no_second_copy_is_made() -> None:
    rows = np.ones((40_000, 64), np.float32)
    tracemalloc.start()
    moments_of(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < rows.nbytes / 2
