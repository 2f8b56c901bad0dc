"""The clock of a measurement, on a wall clock that goes only when it is told to."""

from __future__ import annotations

import time

import pytest
import torch

from ganlab.bench.clock import Block, Clock
from ganlab.training.state import State


@pytest.mark.parametrize(("period", "warm_up"), [(1, 8), (2, 16)])
def test_it_measures_blocks_and_leaves_out_the_warm_up(
    monkeypatch: pytest.MonkeyPatch, period: int, warm_up: int
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    state = State({}, {}, None, {})
    clock = Clock(state, torch.device("cpu"), seconds=30.0, block_seconds=2.0, period=period)
    stopped: list[bool] = []
    while not stopped or not stopped[-1]:
        now += 0.5
        state.iteration += 1
        stopped.append(clock.stop_requested())
    # Of sixty iterations some are warm-up; the others come in blocks of four, until thirty seconds are over.
    assert len(stopped) == 60
    assert clock.blocks == [Block(4, 2.0)] * ((60 - warm_up) // 4)
    assert clock.blocks[0].each == 0.5


def test_where_iterations_are_slow_the_warm_up_ends_with_a_third_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    state = State({}, {}, None, {})
    clock = Clock(state, torch.device("cpu"), seconds=12.0, block_seconds=1.0, period=1)
    while True:
        now += 3.0
        state.iteration += 1
        if clock.stop_requested():
            break
    assert clock.blocks == [Block(1, 3.0)] * 2
