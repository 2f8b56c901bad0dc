"""Statistics are judged over blocks of iterations, however the ticks come."""

from __future__ import annotations

import math

import pytest

from ganlab.health.signs import BLOCK, LONG, Block, Blocks, Streak


@pytest.mark.parametrize("step", [1, 7, 50])
def test_a_block_is_the_mean_over_its_iterations_however_often_the_host_looks(step: int) -> None:
    blocks, found = Blocks(), None
    ends = range(step, 4 * BLOCK, step)
    for end in ends:  # a tick's mean is over the iterations since the one before: here each counts its own number
        found = blocks.add(end, {"loss": (2 * end - step + 1) / 2})
        if found is not None:
            break
    assert found is not None
    assert found.start == step, "the first tick does not say since when its mean is taken"
    assert found.end - found.start >= BLOCK
    iterations = range(found.start + 1, found.end + 1)
    assert found.stats["loss"] == pytest.approx(sum(iterations) / len(iterations))


def test_a_block_leaves_out_what_is_not_finite_and_begins_anew_where_a_run_went_back() -> None:
    blocks = Blocks()
    assert blocks.add(0, {}) is None
    found = blocks.add(BLOCK, {"loss": math.nan, "D(x)": 0.5})
    assert found == Block(0, BLOCK, {"D(x)": 0.5})
    assert blocks.add(50, {"loss": 1.0}) is None
    assert blocks.add(149, {"loss": 1.0}) is None
    assert blocks.add(150, {"loss": 1.0}) == Block(50, 150, {"loss": 1.0})


def test_a_streak_lasts_where_nothing_has_broken_it() -> None:
    streak = Streak()
    for start in range(0, LONG, BLOCK):
        assert not streak.lasts(True)
        streak.add(Block(start, start + BLOCK, {}), True)
    assert (streak.lasts(True), streak.lasts(False), streak.since) == (True, False, 0)
    streak.add(Block(LONG, LONG + BLOCK, {}), False)
    assert (streak.lasts(True), streak.lasts(False), streak.since) == (False, False, LONG)
