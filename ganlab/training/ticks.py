"""The moments when the host looks at the device: when they come, what is read, and who is told."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from ganlab.distributed.ranks import Ranks
from ganlab.errors import NonFiniteError
from ganlab.events import Tick
from ganlab.hardware.device import memory_held
from ganlab.training.plan import Ahead, Plan
from ganlab.training.state import Magnitudes, State
from ganlab.training.statistics import Reading, Report, Statistics


def _nothing(*_: object) -> None:
    """Take no notice."""


class Callbacks(NamedTuple):
    """Who is told what the training does, and who may ask it to stop. By default nobody is, and nobody does."""

    tick: Callable[[Tick], None] = _nothing
    """Learns what the device has reported."""
    snapshot: Callable[[], None] = _nothing
    """Draws samples and saves a checkpoint of the state as it is now."""
    note: Callable[[str], None] = _nothing
    """Learns something about the run that its user may want to know."""
    stop_requested: Callable[[], bool] = lambda: False
    """Tells, after each iteration, whether the training should end."""


class _Question(NamedTuple):
    """What the host has asked of the device at one place of the training."""

    iteration: int
    images: int
    epoch: float
    progress: float
    ahead: Ahead
    report: Report
    magnitudes: Magnitudes
    reading: Reading


class Readback:
    """What the host reads of the device: asked for at once, and told when the answer has come."""

    def __init__(
        self,
        state: State,
        plan: Plan,
        statistics: Statistics,
        ranks: Ranks,
        stopwatch: Stopwatch,
        callbacks: Callbacks,
        device: torch.device,
    ) -> None:
        self._device = device
        self._state, self._plan, self._statistics = state, plan, statistics
        self._ranks, self._stopwatch, self._callbacks = ranks, stopwatch, callbacks
        self._asked: _Question | None = None

    @property
    def open(self) -> bool:
        """Whether an answer is still to come."""
        return self._asked is not None

    def ask(self) -> None:
        """Ask the device for what it has added up, and whether anything in the state has ceased to be finite."""
        self.tell(wait=True)
        state, plan = self._state, self._plan
        # Weights that no loss has met yet are looked at as well, and the moving average, which none ever meets.
        report, magnitudes = self._statistics.report(), state.magnitudes()
        reading = Reading(torch.cat([report.values, magnitudes.values.to(report.values)]))
        place = (state.iteration, plan.images(state), plan.epoch(state), plan.progress(state), plan.ahead(state))
        self._asked = _Question(*place, report, magnitudes, reading)

    def tell(self, wait: bool) -> None:
        """Tell the callbacks of the answer, if it has come or is to be waited for. Raises `NonFiniteError`."""
        asked = self._asked
        if asked is None or not (wait or asked.reading.arrived()):
            return
        self._asked = None
        numbers = asked.reading.numbers()
        size = asked.report.values.numel()
        means = self._ranks.mean(asked.report.means(numbers[:size]))
        if found := asked.report.non_finite(numbers[:size], self._ranks):
            raise NonFiniteError(f"the {found.what} of the {found.network}", found.iteration)
        asked.magnitudes.refuse_non_finite(numbers[size:], asked.iteration, self._ranks)
        lap = self._stopwatch.lap(asked.iteration, asked.images, asked.progress)
        iterations, snapshot = asked.ahead
        self._callbacks.tick(
            Tick(
                asked.iteration,
                asked.images,
                asked.epoch,
                asked.progress,
                stats=means,
                iterations=iterations,
                next_snapshot=snapshot,
                memory_bytes=memory_held(self._device),
                **lap,
            )
        )


class Stopwatch:
    """The wall clock of this process's share of the training."""

    def __init__(self, tick_seconds: float, state: State, plan: Plan, ranks: Ranks) -> None:
        self._tick_seconds, self._ranks = tick_seconds, ranks
        self._paced: tuple[float, float] | None = None
        """When the first lap had ended, and how much was done then: it has the start's costs, and tells no pace."""
        self._last_iteration, self._last_images = state.iteration, plan.images(state)
        self._next_iteration = state.iteration + 1
        self._start = self._last = time.perf_counter()

    def tick_due(self, iteration: int) -> bool:
        """Tell whether `tick_seconds` have passed; several ranks agree beforehand on an iteration instead."""
        if not self._ranks.alone:
            return iteration >= self._next_iteration
        return time.perf_counter() - self._last >= self._tick_seconds

    def lap(self, iteration: int, images: int, progress: float) -> dict[str, float]:
        """Return `seconds`, `images_per_second` and `seconds_left`, and begin a new lap."""
        now = time.perf_counter()
        elapsed = max(now - self._last, 1e-9)
        speed = (images - self._last_images) / elapsed
        if self._paced is None:
            self._paced = now, progress
        since, gained = now - self._paced[0], progress - self._paced[1]
        left = since * (1.0 - progress) / gained if gained > 0 else math.inf if progress < 1 else 0.0
        if not self._ranks.alone:
            step = max(1, int((iteration - self._last_iteration) / elapsed * self._tick_seconds))
            self._next_iteration = iteration + int(self._ranks.smallest(step))
        self._last, self._last_iteration, self._last_images = now, iteration, images
        return {"seconds": now - self._start, "images_per_second": speed, "seconds_left": left}
