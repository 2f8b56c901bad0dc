"""Each measure against a picture that was made to have it."""

from __future__ import annotations

import numpy as np
import pytest

from ganlab.health.pictures import CHUNK, Copies, Pictures, apartness, extremes, grid_pattern, spread


def noise(count: int, side: int = 16, channels: int = 1, seed: int = 0) -> Pictures:
    return np.random.default_rng(seed).integers(40, 216, (count, side, side, channels), np.uint8)


def first(pictures: Pictures) -> Pictures:
    return pictures.transpose(0, 3, 1, 2)


def test_the_spread_is_among_pictures_and_not_within_them() -> None:
    pair = np.zeros((2, 8, 8, 1), np.uint8)
    pair[1] = 200
    assert spread(pair) == 100.0, "two values deviate from their mean by half of what they differ"
    checkered = np.tile(np.indices((8, 8)).sum(0) % 2 * 255, (5, 1, 1)).astype(np.uint8)
    assert spread(checkered[..., None]) == 0.0


def test_apartness_is_the_distance_to_the_nearest_other_one() -> None:
    shades = np.array([0, 10, 30], np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    assert apartness(shades) == pytest.approx(4 * 10.0)  # 10, 10 and 20 in each of 16 pixels
    assert apartness(np.repeat(shades, 2, 0)) == pytest.approx(0.0)


def test_extremes_are_black_and_white() -> None:
    shades = np.array([0, 1, 2, 128, 253, 254, 255, 200], np.uint8).reshape(1, 2, 4, 1)
    assert extremes(shades) == 0.5


@pytest.mark.parametrize("period", [2, 4])
@pytest.mark.parametrize("axis", [1, 2])
def test_a_grid_stands_out_by_its_period(period: int, axis: int) -> None:
    pictures = noise(16).astype(np.float64) / 8
    place = np.arange(16) % period == 0
    pictures += np.where(place, 60.0, 0.0).reshape((1, 16, 1, 1) if axis == 1 else (1, 1, 16, 1))
    made = grid_pattern(np.clip(pictures, 0, 255).astype(np.uint8))
    assert made.period == period or period == 4  # every 4th pixel is a pattern of 2 as well
    assert made.excess > 20
    assert made.share > 0.01
    assert grid_pattern(noise(16)).excess < 4


def test_pictures_that_are_too_small_have_no_grid_and_one_shade_neither() -> None:
    assert grid_pattern(noise(4, side=4)).excess == 0.0
    assert grid_pattern(np.full((4, 16, 16, 3), 7, np.uint8)).share == 0.0


@pytest.mark.parametrize("count", [40, CHUNK + 40])
def test_copies_are_found_and_new_pictures_are_none(count: int) -> None:
    reals = noise(count, side=8)
    copies = Copies(first(reals))
    assert copies.share(reals[-20:]) == 1.0
    near = np.clip(reals[-20:].astype(np.int16) + np.random.default_rng(1).integers(-9, 10, (20, 8, 8, 1)), 0, 255)
    assert copies.share(near.astype(np.uint8)) == 1.0
    assert copies.share(noise(20, side=8, seed=5)) == 0.0
    halves = np.concatenate([reals[:10], noise(10, side=8, seed=5)])
    assert copies.share(halves) == 0.5
    blurred = (reals[:20].astype(np.float64) + reals[20:40]) / 2
    assert copies.share(blurred.astype(np.uint8)) < 0.1, "a picture between two is none"


def test_what_the_data_have_of_copies_is_counted() -> None:
    reals = noise(40, side=8)
    assert Copies(first(reals)).share_among_reals(40) == 0.0
    twice = np.concatenate([reals[:20], np.clip(reals[:20].astype(np.int16) + 1, 0, 255).astype(np.uint8)])
    assert Copies(first(twice)).share_among_reals(40) == 1.0


def test_copies_are_compared_by_an_oracle() -> None:
    random = np.random.default_rng(3)
    reals, fakes = (random.integers(0, 256, (count, 4, 4, 2), np.uint8) for count in (30, 25))
    fakes[:9] = np.clip(reals[:9].astype(np.int16) + random.integers(-30, 30, (9, 4, 4, 2)), 0, 255)
    rows, made = (
        pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1).astype(float) for pictures in (reals, fakes)
    )
    expected = []
    for row in made:
        distances = [np.linalg.norm(row - other) for other in rows]
        nearest = int(np.argmin(distances))
        usual = min(np.linalg.norm(rows[nearest] - rows[j]) for j in range(30) if j != nearest)
        expected.append(distances[nearest] <= usual / 3)
    assert Copies(first(reals)).share(fakes) == pytest.approx(np.mean(expected))
