"""Copies are found, and what is new is not called one."""

from __future__ import annotations

import numpy as np
import pytest
from comparisons import normal, of_features, of_pictures

from ganlab.standard.metrics.neighbours import Neighbours


def noise(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)


def found(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    return dict(Neighbours().compute(of_pictures(real, fake)))


def test_copies_are_found_among_new_pictures() -> None:
    real, new = noise(50, 0), noise(30, 1)
    assert found(real, new)["copies"] == 0
    assert found(real, new)["nearness"] == pytest.approx(1, abs=0.1)
    nearly = np.clip(real[:10].astype(int) + np.random.default_rng(2).integers(-9, 10, (10, 8, 8, 3)), 0, 255)
    mixed = np.concatenate([new, real[20:30], nearly.astype(np.uint8)])
    assert found(real, mixed)["copies"] == 20 / 50
    assert found(real, real) == {"copies": 1, "nearness": 0}


def test_pictures_between_two_real_ones_are_no_copies() -> None:
    real = noise(50, 0)
    wide = real.reshape(50, -1).astype(float)
    apart = ((wide[:, None] - wide) ** 2).sum(2) + np.where(np.eye(50), np.inf, 0)
    middle = (real + real[apart.argmin(1)].astype(int)) // 2
    assert found(real, middle.astype(np.uint8))["copies"] == 0


def test_a_picture_that_the_data_has_twice_can_be_copied() -> None:
    real = np.concatenate([noise(20, 0), noise(20, 0)[:5]])
    assert found(real, np.concatenate([noise(9, 1), real[:1]]))["copies"] == 0.1
    twice = np.repeat(noise(10, 0), 2, 0)
    with pytest.raises(
        ValueError, match=r"^most of the real pictures are there twice, so nothing can be said of copies$"
    ):
        found(twice, noise(10, 1))


def test_features_find_what_pixels_do_not() -> None:
    real, fake = normal(40, 6, 0), normal(40, 6, 1)
    comparison = of_features(real, np.concatenate([fake, real[:40] + 1e-3]))
    assert Neighbours(space="features").compute(comparison)["copies"] == 0.5
