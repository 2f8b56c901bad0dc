"""What a rule says of a training when it looks at it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

LONG = 1_000
"""Iterations for which something must have been so before it is a finding, and must not have been before that ends.
Before so many, no generator is expected to draw well: a DCGAN at 64 pixels may be beaten for 400, and recovers."""
BLOCK = 100
"""Iterations over which statistics are averaged before they are judged."""


class Sign(NamedTuple):
    """What a rule sees; where it cannot know, it says nothing."""

    present: bool
    """Whether what the rule is about is there."""
    since: int
    """The iteration from which on it has been so."""
    evidence: str
    """What was seen, with its numbers, in words that follow a colon."""
    numbers: Mapping[str, float]
    """The numbers, by their names."""


class Block(NamedTuple):
    """Means over some iterations, whatever the ticks that they come from."""

    start: int
    end: int
    stats: Mapping[str, float]


class Blocks:
    """Puts ticks together until they tell of enough iterations: a mean over a few batches tells of those alone."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._start = 0
        self._sums: dict[str, float] = {}
        self._weights: dict[str, int] = {}

    def add(self, iteration: int, stats: Mapping[str, float]) -> Block | None:
        """Take the means since the tick before; return those of a block that is full.

        The first tick does not say since when its means are taken. What is not finite is not there.
        """
        before, self._last = self._last, iteration
        if before is None or iteration <= before:
            self._start, self._sums, self._weights = iteration, {}, {}
            return None
        for name, value in stats.items():
            if math.isfinite(value):
                self._sums[name] = self._sums.get(name, 0.0) + value * (iteration - before)
                self._weights[name] = self._weights.get(name, 0) + iteration - before
        if iteration - self._start < BLOCK:
            return None
        means = {name: total / self._weights[name] for name, total in self._sums.items()}
        block = Block(self._start, iteration, means)
        self._start, self._sums, self._weights = iteration, {}, {}
        return block


class Streak:
    """For how many iterations something has been so without a break."""

    def __init__(self) -> None:
        self.since = 0
        """The iteration from which on it has been as it is."""
        self._end = 0
        self._holds: bool | None = None

    def add(self, block: Block, holds: bool) -> None:
        """Note how it has been in a block."""
        self._end = block.end
        if holds != self._holds:
            self._holds, self.since = holds, block.start

    def lasts(self, holds: bool) -> bool:
        """Tell whether it has been so for long."""
        return self._holds is holds and self._end - self.since >= LONG
