"""Sparklines, against what they must show."""

from __future__ import annotations

import math

import pytest

from ganlab.standard.observers.history import LEVELS, History


def line(*values: float, length: int = 8) -> str:
    history = History(length)
    for value in values:
        history.add(value)
    return history.sparkline()


def test_the_least_is_the_lowest_block_and_the_greatest_the_highest() -> None:
    assert line(*range(8)) == LEVELS
    assert line(0.0, 7.0, 3.5) == LEVELS[0] + LEVELS[7] + LEVELS[4]
    assert line(5.0, math.nan, -2.0, math.inf) == LEVELS[7] + LEVELS[0]


@pytest.mark.parametrize("values", [(), (3.0,), (1.0, 1.0, 1.0), (math.nan, math.nan), (-1.7e308, 1.7e308)])
def test_what_does_not_change_or_cannot_be_measured_has_no_line(values: tuple[float, ...]) -> None:
    assert line(*values) == ""


def test_a_long_run_keeps_its_shape_in_few_blocks() -> None:
    rising = line(*(float(value) for value in range(100_000)))
    assert len(rising) == 8
    assert list(rising) == sorted(rising)
    assert (rising[0], rising[-1]) == (LEVELS[0], LEVELS[-1])
