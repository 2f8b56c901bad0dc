"""The clock that a training is measured by, as one of its callbacks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

    from ganlab.training.state import State

WARM_UP_ITERATIONS = 8
"""What comes before the first block, for each of the loss's phases: the choice of algorithms, the capture's proof."""
ENQUEUED = 3
"""Iterations over which the host's own time is taken: few, so that it never waits for room in the device's queue."""


class Block(NamedTuple):
    """What lies between two moments at which the device has done all that it was given."""

    iterations: int
    seconds: float

    @property
    def each(self) -> float:
        """Seconds an iteration."""
        return self.seconds / self.iterations


class Clock:
    """Lets a training run for some seconds, and measures it in blocks."""

    def __init__(self, state: State, device: torch.device, seconds: float, block_seconds: float, period: int) -> None:
        self.blocks: list[Block] = []
        self.enqueued: list[float] = []
        """Seconds that the host itself needs for an iteration, where the device is not the host."""
        self._state, self._device = state, device
        self._seconds, self._block_seconds = seconds, block_seconds
        self._warm_at = state.iteration + WARM_UP_ITERATIONS * period
        self._warm = False
        self._start = time.perf_counter()
        self._begin(self._start)

    def stop_requested(self) -> bool:
        """Note the time, after each iteration; tell whether the seconds are over."""
        from ganlab.hardware.device import synchronize

        now, iterations = time.perf_counter(), self._state.iteration - self._first
        if self._warm and self._device.type != "cpu" and iterations == ENQUEUED:
            self.enqueued.append((now - self._begun) / ENQUEUED)
        if now - self._begun < self._block_seconds:
            return False
        synchronize(self._device)
        now = time.perf_counter()
        if self._warm:
            self.blocks.append(Block(iterations, now - self._begun))
        else:
            self._warm = self._state.iteration >= self._warm_at or now - self._start >= self._seconds / 3
        self._begin(now)
        return bool(self.blocks) and now - self._start >= self._seconds

    def _begin(self, now: float) -> None:
        self._begun, self._first = now, self._state.iteration
