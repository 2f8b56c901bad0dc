"""A cycle is found where there is one, and not in noise, drift or a ripple."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from ganlab.health.cycles import POINTS, Oscillation, cycle, even


def found(loss: Callable[[int], float], ticks: int = 400, step: int = 5) -> str | None:
    """Return the evidence of a cycle in a generator's loss, if one is found at any tick."""
    rule = Oscillation()
    for tick in range(1, ticks):
        sign = rule.tick(1000 + tick * step, {"loss_generator": loss(tick)})
        if sign is not None and sign.present:
            return sign.evidence
    return None


@pytest.mark.parametrize("period", [2, 3, 8, 12])
def test_a_cycle_has_its_period(period: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, POINTS)
    values = 3.0 + 0.1 * np.arange(POINTS) + np.sin(2 * math.pi * np.arange(POINTS) / period + 1.0) + noise
    made = cycle(values)
    assert made is not None
    assert made.period % period == 0
    assert made.correlation > 0.6


def test_noise_drift_and_steps_are_no_cycle() -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        assert cycle(random.normal(1.0, 0.3, POINTS).cumsum()) is None
    assert cycle(np.ones(POINTS)) is None
    assert cycle(np.arange(POINTS, dtype=np.float64)) is None
    assert cycle(np.where(np.arange(POINTS) < 20, 0.0, 1.0)) is None


def test_a_loss_that_goes_round_is_told_with_its_period_in_iterations() -> None:
    evidence = found(lambda tick: 2.0 + 1.5 * math.sin(2 * math.pi * tick / 8))
    assert evidence is not None
    assert "every 40 iterations" in evidence
    assert found(lambda tick: 2.0 + 1.5 * (-1) ** tick) is not None, "two steps"


def test_a_slow_cycle_is_found_in_the_means_of_ticks() -> None:
    assert found(lambda tick: 2.0 + 1.5 * math.sin(2 * math.pi * tick / 60), ticks=1500) is not None


def test_a_ripple_is_none() -> None:
    assert found(lambda tick: 2.0 + 0.1 * math.sin(2 * math.pi * tick / 8)) is None


def test_what_is_left_of_a_game_that_has_settled_is_none() -> None:
    def gap(tick: int) -> float:
        return 5.0 * 0.9**tick + 0.01 * math.sin(2 * math.pi * tick / 8)

    rule = Oscillation()
    signs = [rule.tick(1000 + tick, {"D(x)": gap(tick), "D(G(z))": 0.0}) for tick in range(400)]
    assert not any(sign.present for sign in signs if sign is not None)


@pytest.mark.parametrize("seed", range(5))
def test_thousands_of_noisy_ticks_have_no_cycle(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(1.0, 0.5, 5000)
    assert found(lambda tick: float(noise[tick]), ticks=5000) is None


def test_what_is_not_finite_is_left_out_and_a_cycle_ends() -> None:
    rule, signs = Oscillation(), []
    for tick in range(600):
        swing = 1.5 * math.sin(2 * math.pi * tick / 8) if tick < 200 else 0.0
        loss = math.nan if tick % 50 == 7 else 2.0 + swing
        signs.append(rule.tick(1000 + 5 * tick, {"loss_generator": loss}))
    assert any(sign.present for sign in signs if sign is not None)
    last = next(sign for sign in reversed(signs) if sign is not None)
    assert not last.present


def test_ticks_are_put_at_equal_distances() -> None:
    assert even([(0, 0.0), (10, 1.0), (40, 4.0)]).tolist() == [0.0, 2.0, 4.0]
