"""Signs of collapse, at the very limits that the module states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ganlab import Loss
from ganlab.standard.losses.bce import BCE
from ganlab.training.collapse import ITERATIONS, QUIET_LOSS, CollapseWatch, advice, spread


def two(difference: int, pixels: int = 64) -> Any:
    """Return two grey pictures of 8x8 that differ by so much in so many pixels."""
    pair = np.full((2, 64), 20, np.uint8)
    pair[1, :pixels] += difference
    return pair.reshape(2, 8, 8, 1)


def test_the_spread_is_among_pictures_and_not_within_them() -> None:
    # Two values a and b deviate from their mean by |a - b| / 2 each.
    assert spread(two(200)) == 100.0
    assert spread(two(200, pixels=16)) == 25.0
    assert spread(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)) == 127.5, "the most that there can be"
    checkered = np.tile(np.indices((8, 8)).sum(0) % 2 * 255, (5, 1, 1)).astype(np.uint8)
    assert spread(checkered[..., None]) == 0.0


def test_samples_collapse_below_a_hundredth_of_what_the_data_do() -> None:
    watch = CollapseWatch(two(200))
    assert watch.snapshot(ITERATIONS, two(2)) is None, "exactly a hundredth"
    told = watch.snapshot(ITERATIONS, two(2, pixels=32))
    assert told is not None
    assert "the samples of iteration 500 are all but the same picture; they differ among each other by 0.5%" in told


def test_one_warning_is_enough_whatever_is_wrong() -> None:
    watch = CollapseWatch(two(200))
    assert watch.snapshot(ITERATIONS, two(0)) is not None
    assert [watch.tick(iteration, {"loss_discriminator": 0.0}) for iteration in (0, ITERATIONS, 9999)] == [None] * 3


@pytest.mark.parametrize(("loss", "quiet"), [(QUIET_LOSS, False), (0.99 * QUIET_LOSS, True), (-QUIET_LOSS, False)])
def test_a_loss_is_quiet_below_its_limit(loss: float, quiet: bool) -> None:
    watch = CollapseWatch(two(200))
    assert watch.tick(10, {"loss_discriminator": loss}) is None
    assert watch.tick(20, {"loss_discriminator": loss}) is None
    told = watch.tick(10 + ITERATIONS, {"loss_discriminator": loss})
    assert (told is not None) == quiet


def test_a_loss_that_is_not_reported_is_not_quiet() -> None:
    watch = CollapseWatch(two(200))
    assert [watch.tick(iteration, {"loss_generator": 0.0}) for iteration in (0, 1000, 2000)] == [None] * 3


def test_the_advice_names_options_that_the_loss_has_and_that_say_something_else() -> None:
    class Bare(Loss):
        api = 1

        def updates(self, networks: Any, batches: Any, iteration: Any) -> Any:
            yield

    head, tail = "the training goes on, but a lower optimizer.lr", "or another seed may do better"
    assert advice(BCE()) == f"{head}, loss.real_label = 0.9 {tail}"
    assert advice(BCE(real_label=0.9)) == advice(Bare()) == f"{head} {tail}"
