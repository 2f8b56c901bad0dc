"""Student's t, against the published table."""

from __future__ import annotations

import math

import pytest

from ganlab.judging.chance import factor, within

# Of the 0.975 quantile: Fisher & Yates, as every textbook prints it.
TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 10: 2.228, 29: 2.045, 30: 2.042, 120: 1.980}


@pytest.mark.parametrize("degrees", TABLE)
def test_the_quantiles_are_those_of_the_table(degrees: int) -> None:
    assert factor(degrees + 1) * math.sqrt(degrees + 1) == pytest.approx(TABLE[degrees], abs=6e-4)
    assert within(TABLE[degrees], degrees) == pytest.approx(0.95, abs=1e-4)
    assert within(0.0, degrees) == 0


def test_many_blocks_are_as_good_as_a_normal_distribution_and_one_says_nothing() -> None:
    assert factor(1_000_000) * 1000 == pytest.approx(1.96, abs=3e-3)
    assert factor(1) == math.inf
