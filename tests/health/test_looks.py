"""What samples show, at the limits that the module states."""

from __future__ import annotations

import numpy as np

from ganlab.health.looks import COPIES, LEAST_APART, SATURATED, Looks
from ganlab.health.pictures import Pictures
from ganlab.health.signs import LONG


def noise(count: int, low: int = 40, high: int = 216, seed: int = 0, channels: int = 1) -> Pictures:
    return np.random.default_rng(seed).integers(low, high, (count, 16, 16, channels), np.uint8)


REALS = noise(32)


def found(samples: Pictures, reals: Pictures = REALS, images: Pictures | None = None) -> set[str]:
    """Return what two snapshots with the same samples show."""
    looks = Looks(reals, images)
    assert looks.snapshot(LONG - 1, samples) == {}
    assert looks.snapshot(LONG, samples) == {}, "one snapshot is no proof"
    return {name for name, sign in looks.snapshot(2 * LONG, samples).items() if sign.present}


def test_good_samples_show_nothing() -> None:
    assert found(noise(32, seed=1)) == set()
    assert found(noise(4, seed=1)) == set(), "few samples"
    assert found(noise(32, seed=1, channels=3), noise(32, channels=3)) == set()


def test_one_picture_and_a_few_are_a_collapse() -> None:
    assert found(np.repeat(noise(1), 32, 0)) == {"generator_collapse"}
    few = np.tile(noise(4), (8, 1, 1, 1))
    assert found(few) == {"generator_collapse"}
    shaken = np.clip(few.astype(np.int16) + noise(32, 0, 8, seed=2).astype(np.int16), 0, 255).astype(np.uint8)
    assert found(shaken) == {"generator_collapse"}, f"nearer than {LEAST_APART:.0%}"


def test_few_samples_tell_of_one_picture_alone() -> None:
    assert found(np.repeat(noise(1), 4, 0)) == {"generator_collapse"}
    assert found(np.repeat(noise(2), 2, 0)) == set()


def test_pixels_at_the_ends_are_saturation_unless_the_data_have_them() -> None:
    driven = np.where(noise(32, seed=1) < 128, 0, 255).astype(np.uint8)
    assert found(driven) == {"saturation"}
    assert found(driven, np.where(REALS < 128, 0, 255).astype(np.uint8)) == set()
    mixed = np.where(noise(32, 0, 100, seed=3) < 100 * SATURATED - 5, driven, noise(32, seed=1))
    assert found(mixed) == set()


def test_a_grid_is_told_unless_the_data_have_it() -> None:
    smooth = noise(32, 100, 120, seed=1)
    smooth[:, ::2, ::2] = 20
    assert found(smooth, noise(32, 100, 120)) == {"checkerboard"}
    with_grid = noise(32, 100, 120)
    with_grid[:, ::2, ::2] = 20
    assert found(smooth, with_grid) == set()


def test_copies_are_told_beyond_those_of_the_data() -> None:
    data = noise(200, seed=4)
    images = data.transpose(0, 3, 1, 2)
    mine = round(32 * COPIES)
    some = np.concatenate([data[: mine + 1], noise(31 - mine, seed=5)])
    assert found(some, images=images) == {"memorisation"}
    assert found(np.concatenate([data[:mine], noise(32 - mine, seed=5)]), images=images) == set()
    twice = np.concatenate([data[:100], data[:100] // 2 * 2])
    assert found(twice[:32], images=twice.transpose(0, 3, 1, 2)) == set(), "the data are copies of each other"
    assert found(some) == set(), "not looked for among many"


def test_samples_of_another_shape_are_not_looked_at() -> None:
    assert found(noise(32, channels=3)) == set()


def test_what_is_seen_no_more_in_two_snapshots_has_ended() -> None:
    looks, bad, good = Looks(REALS, None), np.repeat(noise(1), 32, 0), noise(32, seed=1)
    seen = [looks.snapshot(LONG * at, samples) for at, samples in enumerate([bad, bad, good, good, bad], 1)]
    assert [sorted(signs) for signs in seen] == [
        [],
        ["checkerboard", "generator_collapse", "saturation"],
        ["checkerboard", "saturation"],
        ["checkerboard", "generator_collapse", "saturation"],
        ["checkerboard", "saturation"],
    ]
    collapse = [signs["generator_collapse"] for signs in (seen[1], seen[3])]
    assert [(sign.present, sign.since) for sign in collapse] == [(True, LONG), (False, 3 * LONG)]
