"""MIND against what it must be of clouds that are moved, stretched or of other sizes."""

from __future__ import annotations

import numpy as np
import pytest
from comparisons import normal, of_features

from ganlab.standard.metrics.mind import MIND
from ganlab.standard.metrics.wasserstein import Transport, directions, gaps


def mind(real: np.ndarray, fake: np.ndarray, seed: int = 0, projections: int = 1000) -> float:
    return MIND(projections=projections).compute(of_features(real, fake, seed))["mind"]


def test_of_a_cloud_that_is_moved_it_is_three_times_the_square_of_the_way() -> None:
    """Along a random direction of D, the way counts with the square of its part: 1 / D in the mean, times 3 D."""
    cloud, way = normal(60, 8, 0), normal(1, 8, 1)
    found = np.mean([mind(cloud, cloud + way, seed) for seed in range(20)])
    assert found == pytest.approx(3 * (way**2).sum(), rel=0.02)
    assert mind(cloud, cloud) == 0.0
    assert mind(cloud, cloud[::-1]) == 0.0


def test_along_one_direction_each_point_meets_the_one_of_its_rank() -> None:
    real, fake = np.array([[3.0], [1.0], [2.0]]), np.array([[10.0], [30.0], [20.0]])
    assert mind(real, fake) == pytest.approx(3 * np.mean([9**2, 18**2, 27**2]))


def test_sets_of_two_sizes_are_transported_whole() -> None:
    """Two points against three: each meets one whole third and half of the one in the middle."""
    real, fake = np.array([[0.0], [6.0]]), np.array([[0.0], [3.0], [9.0]])
    by_hand = (0**2) / 3 + (3**2) / 6 + (3**2) / 6 + (3**2) / 3
    assert mind(real, fake) == pytest.approx(3 * by_hand)
    assert mind(fake, real) == pytest.approx(3 * by_hand)
    several = np.repeat(real, 3, 0), np.repeat(fake, 2, 0)  # six points each, of which the same are the same
    assert mind(*several) == pytest.approx(3 * by_hand)
    transport = Transport.of(2048, 1500)
    assert transport.mass.sum() == pytest.approx(1.0)
    assert np.bincount(transport.first, transport.mass) == pytest.approx(np.full(2048, 1 / 2048))
    assert np.bincount(transport.second, transport.mass) == pytest.approx(np.full(1500, 1 / 1500))


def test_directions_have_length_one_and_every_part_of_them_counts() -> None:
    along = directions(5, 200, 3)
    assert np.linalg.norm(along, axis=0) == pytest.approx(np.ones(200))
    assert np.abs(along @ along.T / 200 - np.eye(5) / 5).max() < 0.06
    first, second = normal(7, 5, 0), normal(7, 5, 1)
    widths = [gap.shape[1] for gap, _ in gaps(first, second, along)]
    assert sum(widths) == 200
    assert max(widths) < 200
